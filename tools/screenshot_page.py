"""Takes the picture of the page that the README shows, over the collections of `make demo`.

    make demo
    .venv/bin/python -m tools.screenshot_page

It needs Debian's chromium. The page is asked to classify a photograph that is not in the collection, and a
drawing that is like nothing in it.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from conformal_clip_data import textile_simulated_root
from PIL import Image
from playwright.sync_api import sync_playwright

from tests.drawings import drawn
from tests.page.page_visits import ARGUMENTS, CHROMIUM
from tests.service import server_process

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "demo"
TARGET = ROOT / "docs" / "images" / "page.webp"
WIDTH, HEIGHT = 1200, 800
MOST = 200_000
"""Bytes."""


def main() -> None:
    if not (DEMO / "textile.db").exists():
        sys.exit("make demo comes first: its collections are shown")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = shutil.copy2(DEMO / "textile.db", folder / "demo.db")
        stranger = folder / "traffic light.png"
        drawn("traffic_light").save(stranger)
        photograph = DEMO / "textile" / "local" / "textile_0001.jpg"
        roots = ("--root", DEMO / "known", "--root", textile_simulated_root())
        with server_process(folder, "--store", f"sqlite:///{store}", *roots) as server:
            shot = folder / "page.png"
            take(server.url, [photograph, stranger], shot)
            TARGET.parent.mkdir(exist_ok=True)
            with Image.open(shot) as image:
                # Lossless, and less than half of what a PNG takes.
                image.convert("RGB").save(TARGET, lossless=True, method=6)
    size = TARGET.stat().st_size
    print(f"{TARGET.relative_to(ROOT)}: {size:,} bytes")
    if size > MOST:
        sys.exit(f"larger than {MOST:,} bytes")


def take(url: str, pictures: list[Path], path: Path) -> None:
    """Classify pictures in the page, and keep what it looks like."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, locale="en-GB")
        page.goto(f"{url}/#/inspection/classify")
        page.locator("input[type=file]").first.set_input_files(pictures)
        page.locator(".prediction").nth(len(pictures) - 1).wait_for(timeout=120_000)
        page.wait_for_function(
            "() => [...document.images].every((each) => each.complete && each.naturalWidth > 0)"
        )
        page.screenshot(path=path)
        browser.close()


if __name__ == "__main__":
    main()
