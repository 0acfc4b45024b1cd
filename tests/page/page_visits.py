"""A visitor of the page in a real browser, who notices everything that should not be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import Browser, BrowserContext, Locator, Page

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-gpu",
    "--disable-quic",
]
WAIT = 30_000
"""Milliseconds until something that does not come is a failure."""

# A refusal that the server gives is written to the console by the browser itself.
_REFUSAL = re.compile(r"Failed to load resource: the server responded with a status of (\d+)")


@dataclass(slots=True)
class Visit:
    """A page that is open, and what went on in it."""

    page: Page
    url: str
    """Of the server."""
    trouble: list[str] = field(default_factory=list)
    """Errors and warnings in the console, dialogs, and requests to anyone else than the server."""
    refusals: list[int] = field(default_factory=list)
    """Statuses of refused requests."""

    def go(self, view: str = "search", collection: str = "textile", **params: Any) -> None:
        """Open a view by its address, as a page that is loaded anew, and wait until it is there."""
        query = urlencode({name: value for name, value in params.items() if value is not None}, doseq=True)
        # A change after the # alone would leave what was there for a moment.
        self.page.goto("about:blank")
        self.page.goto(f"{self.url}/#/{collection}/{view}" + (f"?{query}" if query else ""))
        self.page.wait_for_selector("html[data-ready=yes]")

    def search(self, words: str) -> None:
        """Type words and press Enter."""
        self.page.locator("input[type=search]").fill(words)
        self.page.keyboard.press("Enter")
        self.settled()

    def settled(self) -> None:
        """Wait until nothing is asked for any more."""
        self.page.wait_for_selector(".results:not([aria-busy]), .predictions:not([aria-busy])")
        self.page.wait_for_function("() => !document.querySelector('.stale, .waiting, [aria-busy=true]')")

    @property
    def cards(self) -> Locator:
        """The results of a search."""
        return self.page.locator(".results .card")

    def ids(self) -> list[str]:
        """Return the ids of the results, in order."""
        found: list[str] = self.cards.evaluate_all("(all) => all.map((each) => each.dataset.image)")
        return found

    def names(self) -> list[str]:
        """Return the names of the results, in order."""
        return self.page.locator(".results .card .name").all_text_contents()

    def pick(self, *files: Path) -> None:
        """Pick pictures with the first button that lets one."""
        self.page.locator("input[type=file]").first.set_input_files(list(files))

    def too_wide(self) -> list[str]:
        """Return what makes the page wider than the window, if anything does."""
        found: list[str] = self.page.evaluate(
            """() => {
                const { clientWidth, scrollWidth } = document.documentElement;
                if (scrollWidth <= clientWidth) return [];
                return [...document.querySelectorAll("body *")]
                    .filter((each) => each.getBoundingClientRect().right > clientWidth + 1)
                    .map((each) => `${each.tagName}.${each.className}`);
            }"""
        )
        return found

    def pictures_are_shown(self, where: str) -> None:
        """Wait until the first picture of a place is drawn."""
        image = self.page.locator(f"{where} img").first
        image.scroll_into_view_if_needed()
        self.page.wait_for_function(
            "(img) => img.complete && img.naturalWidth > 0", arg=image.element_handle()
        )


@contextmanager
def visit(browser: Browser, url: str, expected: tuple[int, ...] = (), **options: Any) -> Iterator[Visit]:
    """Open the page for the time of a `with`; at its end nothing may have gone wrong.

    Args:
        browser: that is to be used.
        url: of the server.
        expected: statuses of refusals that the test wants.
        options: of the browser's context: `locale`, `color_scheme`, `viewport`.
    """
    options = {"locale": "en-GB", "viewport": {"width": 1280, "height": 900}, **options}
    context: BrowserContext = browser.new_context(**options)
    context.set_default_timeout(WAIT)
    opened = Visit(context.new_page(), url)
    watch(opened)
    try:
        yield opened
        assert opened.trouble == []
        assert set(opened.refusals) <= set(expected)
    finally:
        context.close()


def watch(opened: Visit) -> None:
    """Note whatever goes wrong in a page."""

    def said(kind: str, text: str) -> None:
        if kind in ("error", "warning") and not _REFUSAL.match(text):
            opened.trouble.append(text)

    page = opened.page
    page.on("console", lambda message: said(message.type, message.text))
    page.on("pageerror", lambda error: opened.trouble.append(str(error)))
    page.on("dialog", lambda dialog: opened.trouble.append(f"dialog: {dialog.message}"))
    page.on(
        "request",
        lambda asked: (
            None
            if asked.url.startswith((opened.url + "/", f"blob:{opened.url}/"))
            else opened.trouble.append(f"asked for {asked.url}")
        ),
    )
    page.on(
        "response",
        lambda answer: opened.refusals.append(answer.status) if answer.status >= 400 else None,
    )
