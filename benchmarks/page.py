"""The page among many images: from Enter, or a picked picture, to drawn cards; and scrolling through all.

A real `lookalike serve` and a real Chromium, on the same cores. The collection is the service's bench's: its
vectors vary as real ones do, and no file belongs to them, so that cards are drawn without thumbnails.

LOOKALIKE_BENCH_LARGE (100,000) is the size of the collection.
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from conformal_clip_data import textile_simulated_root
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.figures import figure, title
from benchmarks.service import LARGE, fill_large, new_pictures, serving
from lookalike.database import Database
from lookalike.vectors.metric import normalise
from tests.page.page_visits import ARGUMENTS, CHROMIUM, visit

BOUND = 300.0
"""Milliseconds."""
PAUSE = 100.0
"""Milliseconds between two frames."""
STEPS = 300
"""Frames of one way of scrolling."""
ASKED = 40
TEXTS = [f"{one} and {two}" for one in ("a hole", "cloth", "threads", "rust") for two in ("a cat", "a screw")]

# What the page does is waited for frame by frame, as a person sees it: the new cards, then the next frame.
_MEASURE = """async ([how, given]) => {
    const frame = () => new Promise(requestAnimationFrame);
    // A picture that is picked beside another is added to it.
    location.hash = "#/large/search";
    while (!document.querySelector(".results .browsed")) await frame();
    const field = document.querySelector("input[type=search]");
    let begin = () => field.form.requestSubmit();
    if (how === "words") field.value = given;
    else {
        const bytes = Uint8Array.from(atob(given), (sign) => sign.charCodeAt(0));
        const held = new DataTransfer();
        held.items.add(new File([bytes], "new.jpg", { type: "image/jpeg" }));
        const picker = document.querySelector("input[type=file]");
        begin = () => {
            picker.files = held.files;
            picker.dispatchEvent(new Event("change", { bubbles: true }));
        };
    }
    const began = performance.now();
    begin();
    for (;;) {
        await frame();
        if (document.querySelector(".results .gallery:not(.browsed) .card")) break;
        if (performance.now() - began > 30000) throw new Error("no cards came");
    }
    await frame();
    return performance.now() - began;
}"""


# What the page does between two frames is what a person waits for.
_SCROLL = """async ([steps, by]) => {
    const frame = () => new Promise(requestAnimationFrame);
    const gaps = [];
    let before = await frame();
    for (let n = 0; n < steps; n += 1) {
        scrollBy(0, by);
        const now = await frame();
        gaps.push(now - before);
        before = now;
    }
    return [Math.max(...gaps), document.querySelectorAll(".card").length];
}"""


def longest_task(events: Sequence[dict[str, Any]]) -> float:
    """Return the processor time of the longest task in milliseconds: other work does not change it."""
    page = {
        (each["pid"], each["tid"])
        for each in events
        if each.get("name") == "thread_name" and each["args"]["name"] == "CrRendererMain"
    }
    tasks = [
        each.get("tdur", 0)
        for each in events
        if (each["pid"], each["tid"]) in page and each.get("name") == "ThreadControllerImpl::RunTask"
    ]
    return float(max(tasks)) / 1000


def scroll(browser: Browser, page: Page) -> None:
    """Scroll through all images and print the longest pause between two frames."""
    page.evaluate("location.hash = '#/large/search?order=id'")
    page.wait_for_selector(".browsed [data-image]", timeout=60_000)
    height = page.evaluate("document.documentElement.scrollHeight")
    for what, by in (("line by line", 60), ("page by page", 900), ("to the end", height / STEPS)):
        page.evaluate("scrollTo(0, 0)")
        browser.start_tracing(page=page, categories=["toplevel"])
        longest, cards = page.evaluate(_SCROLL, [STEPS, by])
        worked = longest_task(json.loads(browser.stop_tracing())["traceEvents"])
        figure(
            f"scrolling {what}: longest pause, ms", f"{longest:.0f}", f"at most {PAUSE:g}", longest <= PAUSE
        )
        figure(f"scrolling {what}: longest task, ms of processor time", f"{worked:.0f}")
        figure(f"scrolling {what}: cards in the document", f"{cards}")
    page.wait_for_selector(".browsed [data-image]")


def measure(page: Page, what: str, how: str, given: Sequence[str]) -> None:
    """Search again and again, and print how long it took."""
    for each in given[:3]:
        page.evaluate(_MEASURE, [how, each])
    took = [page.evaluate(_MEASURE, [how, given[turn % len(given)]]) for turn in range(ASKED)]
    slow = float(np.quantile(took, 0.99))
    figure(f"{what}: to drawn cards, median, ms", f"{median(took):.0f}")
    figure(f"{what}: 99th, ms", f"{slow:.0f}", f"at most {BOUND:g}", slow <= BOUND)


def main() -> None:
    """Print the figures."""
    title(f"searching in the page among {LARGE:,} images, a warm service")
    if not CHROMIUM.exists():
        print(f"  not measured: there is no {CHROMIUM}")
        return
    root = textile_simulated_root()
    pictures = new_pictures(sorted(root.glob("*/*.jpg"))[:ASKED])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cache = folder / "cache"
        with Database(f"sqlite:///{folder}/few.db", cache=cache) as database:
            database["textile"].index([root])
            real = normalise(database["textile"].vectors.read(plain=True)[1])
        url = f"sqlite:///{folder}/large.db"
        fill_large(url, cache, real)
        with serving(url, cache, folder) as server, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
            # Thumbnails of files that are not there are refused.
            with visit(browser, server.url, expected=(403, 404)) as page:
                page.go(collection="large")
                scroll(browser, page.page)
                measure(page.page, "in words", "words", TEXTS)
                asked = [base64.b64encode(each).decode() for each in pictures[:ASKED]]
                measure(page.page, "by picture", "picture", asked)
            browser.close()


if __name__ == "__main__":
    main()
