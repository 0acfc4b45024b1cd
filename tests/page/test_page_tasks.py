"""What is done with the page: a collection made and indexed, a class added, a search kept, a list saved."""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, expect

from lookalike.database import Database
from tests.drawings import drawn
from tests.page.page_visits import Visit, visit
from tests.service import Server, server_process

pytestmark = pytest.mark.xdist_group("page")

NAME = "부품"
LABELS = ("umbrella", "keyboard", "crossword")
EACH = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that may be indexed, with a link out of it, and a picture that is not in it."""
    folder = tmp_path_factory.mktemp("tasks")
    for label in LABELS:
        (folder / "roots" / "한국 사진" / label).mkdir(parents=True)
        for n in range(EACH):
            picture = drawn(label).convert("RGB")
            picture.putpixel((n, 0), (255, 0, 0))
            picture.save(folder / "roots" / "한국 사진" / label / f"{n}.png")
    (folder / "roots" / "out").symlink_to(folder)
    drawn("balloon").save(folder / "balloon.png")
    return folder


@pytest.fixture(scope="module")
def site(folder: Path, cache: Path) -> Iterator[Server]:
    """A server of an empty store, of which one folder may be indexed."""
    url = f"sqlite:///{folder / 'tasks.db'}"
    Database(url, cache=cache).close()
    # Jobs leave the processor to others: what the model says of these pictures is known.
    with Database(f"sqlite:///{folder / 'known.db'}", cache=cache) as database:
        database["known"].index([folder / "roots" / "한국 사진"])
    roots, uploads = folder / "roots", folder / "uploads"
    with server_process(
        folder, "--store", url, "--cache", cache, "--root", roots, "--uploads", uploads
    ) as running:
        yield running


@pytest.fixture(scope="module")
def indexed(browser: Browser, site: Server) -> None:
    """The first thing that a visitor does, by keyboard: make a collection, and index a folder."""
    with visit(browser, site.url) as page:
        page.page.goto(site.url)
        expect(page.page.locator("h1")).to_have_text("Nothing is indexed yet")
        page.page.get_by_label("Name").fill(NAME)
        page.page.keyboard.press("Enter")
        expect(page.page.get_by_label("Collection").locator("option")).to_have_text([f"{NAME} (0)"])
        roots = page.page.get_by_role("list", name="Folders in it").get_by_role("button")
        roots.first.focus()
        page.page.keyboard.press("Enter")
        expect(roots).to_have_text(["out", "한국 사진"])
        expect(page.page.get_by_role("navigation", name="Where we are")).to_be_focused()
        expect(roots.first).to_be_disabled()
        expect(page.page.locator(".folders")).to_contain_text("A link leads out of what may be indexed")
        roots.nth(1).click()
        expect(roots).to_have_text(sorted(LABELS))
        page.page.get_by_role("button", name="Index this folder").click()
        expect(page.page.locator(".result .tiles")).to_contain_text(f"{len(LABELS) * EACH}added")
        expect(page.page.get_by_label("Collection").locator("option")).to_have_text(
            [f"{NAME} ({len(LABELS) * EACH})"]
        )


@pytest.fixture
def page(browser: Browser, site: Server, indexed: None) -> Iterator[Visit]:
    with visit(browser, site.url, permissions=["clipboard-read", "clipboard-write"]) as opened:
        yield opened


def rows(page: Visit, button: Locator) -> list[dict[str, str]]:
    """Take a list along, and return what is in the file."""
    with page.page.expect_download() as taken:
        button.click()
    with taken.value.path().open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_a_search_is_a_link_a_file_and_has_a_name(page: Visit) -> None:
    page.go(collection=NAME)
    page.search("an umbrella - a keyboard")
    found = page.ids()
    assert page.names()[0].startswith("umbrella/")
    taken = rows(page, page.page.get_by_role("button", name="As CSV"))
    assert [each["id"] for each in taken] == found
    page.page.get_by_role("button", name="Copy the link").click()
    expect(page.page.locator(".tools")).to_contain_text("The link is copied")
    address = page.page.evaluate("navigator.clipboard.readText()")
    page.page.get_by_role("button", name="Save this search").click()
    page.page.get_by_label("Name of the search").fill("우산 <b>")
    page.page.keyboard.press("Enter")
    expect(page.page.locator(".saved summary")).to_have_text("1 saved search")
    for way in ("link", "name"):
        page.go("classify", NAME)
        if way == "link":
            page.page.goto("about:blank")
            page.page.goto(address)
        else:
            page.go(collection=NAME)
            page.page.locator(".saved summary").click()
            page.page.get_by_role("link", name="우산 <b>").click()
        page.page.wait_for_selector(".results .status")
        page.settled()
        assert page.ids() == found
    page.page.locator(".saved").evaluate("(each) => { each.open = true; }")
    page.page.get_by_role("button", name="Forget 우산 <b>").click()
    expect(page.page.locator(".saved")).to_have_count(0)


def test_a_picture_of_the_visitor_is_in_no_link(page: Visit, folder: Path) -> None:
    page.go(collection=NAME)
    page.pick(folder / "balloon.png")
    page.settled()
    expect(page.page.get_by_role("button", name="Copy the link")).to_be_disabled()
    assert len(rows(page, page.page.get_by_role("button", name="As CSV"))) == page.cards.count()


def test_mistakes_and_findings_are_taken_along(page: Visit) -> None:
    page.go("judge/evaluation", NAME)
    page.page.get_by_role("button", name="Evaluate").click()
    page.page.locator(".matrix button").first.click()
    assert {each["label"] for each in rows(page, page.page.locator(".cell").get_by_role("link"))} == {
        min(LABELS)
    }
    page.go("judge/audit", NAME)
    page.page.get_by_role("button", name="Start the audit").click()
    page.page.locator(".chips .chip", has_text="Near-duplicates").click()
    expect(page.page.locator(".findings h2")).to_have_text("Near-duplicates")
    taken = rows(page, page.page.locator(".findings").get_by_role("link"))
    assert sorted(each["label"] for each in taken) == sorted(LABELS * EACH)


def test_a_picture_becomes_the_first_of_a_new_class(page: Visit, folder: Path, cache: Path) -> None:
    page.go("classify", NAME)
    page.pick(folder / "balloon.png")
    answer = page.page.locator(".prediction")
    box = answer.get_by_label("a new name makes a new class")
    if not box.is_visible():
        answer.locator("summary", has_text="Add this picture").click()
    box.fill("umbrella")
    expect(answer.get_by_role("button", name="Add", exact=True)).to_be_visible()
    box.fill("풍선")
    answer.get_by_role("button", name="Add as a new class").click()
    expect(answer).to_contain_text("Added to the collection")
    answer.get_by_role("button", name="Open it").click()
    expect(page.page.locator("dialog .fields")).to_contain_text("풍선")
    with Database(f"sqlite:///{folder / 'tasks.db'}", cache=cache) as database:
        records, _ = database[NAME].vectors.read()
        assert [each.fields["label"] for each in records].count("풍선") == 1
        database[NAME].remove([each.id for each in records if each.fields["label"] == "풍선"])


@pytest.mark.parametrize("width", [360, 1600])
def test_what_is_done_fits_every_window(browser: Browser, site: Server, indexed: None, width: int) -> None:
    found = importlib.util.find_spec("axe_playwright_python")
    axe = Path(found.origin or "").with_name("axe.min.js").read_text() if found else None
    options: dict[str, Any] = {"locale": "ko-KR", "color_scheme": "dark"} if width == 360 else {}
    with visit(browser, site.url, viewport={"width": width, "height": 800}, **options) as page:
        page.go("index", NAME)
        page.page.locator("main details").evaluate_all(
            "(all) => all.forEach((each) => { each.open = true; })"
        )
        page.page.locator(".folders button").first.click()
        expect(page.page.locator(".folders button")).to_have_count(2)
        page.page.locator("main details").evaluate_all(
            "(all) => all.forEach((each) => { each.open = true; })"
        )
        expect(page.page.locator("input[name=name]")).to_be_visible()
        assert page.too_wide() == []
        if axe:
            page.page.evaluate(axe)
            violations = page.page.evaluate(
                """async () => (await axe.run(document, { resultTypes: ["violations"] })).violations
                    .map(({ id, nodes }) => [id, nodes.map((each) => each.html.slice(0, 160))])"""
            )
            assert violations == []
