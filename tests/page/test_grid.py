"""Looking through a collection in the page: the grid, choosing several, an image large, a part as a query."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, expect

from lookalike.database import Database
from lookalike.types import Record
from lookalike.uris import record_id
from lookalike.vectors.metric import normalise
from tests.drawings import drawn
from tests.page.page_visits import Visit, visit
from tests.service import Server, server_process

pytestmark = pytest.mark.xdist_group("page")

MANY = 3_000
"""Images of the collection: many times what a window shows."""
DRAWN = ("balloon", "umbrella", "keyboard")
"""Labels of those that there are pictures of."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Server]:
    """A server of a large collection; few of its images have a file."""
    folder = tmp_path_factory.mktemp("grid")
    for label in DRAWN:
        (folder / "many" / label).mkdir(parents=True)
        for n in range(4):
            # Larger than the largest thumbnail that a card shows.
            large = drawn(label).convert("RGB").resize((900, 600), Image.Resampling.NEAREST)
            large.putpixel((n, 0), (255, 0, 0))
            large.save(folder / "many" / label / f"{n}.png")
    url = f"sqlite:///{folder / 'grid.db'}"
    with Database(url, cache=cache) as database:
        database["many"].index([folder / "many"])
        space = database["many"].info().space
        uris = [f"file:///made/{row:05}.jpg" for row in range(MANY - 4 * len(DRAWN))]
        records = [
            Record(record_id(uri), uri, f"{row:064x}", {"label": f"made {row % 3}"}, {}, 1, 1)
            for row, uri in enumerate(uris)
        ]
        made = np.random.default_rng(0).normal(size=(len(uris), space.dimension)).astype(np.float32)
        database.store.put("many", records, {space: normalise(made)})
        with closing(sqlite3.connect(folder / "grid.db")) as theirs, theirs:
            theirs.execute("CREATE TABLE parts (id INTEGER PRIMARY KEY, kind TEXT, embedding BLOB)")
            rows = [(kind, each.tobytes()) for kind, each in zip("aab", made, strict=False)]
            theirs.executemany("INSERT INTO parts (kind, embedding) VALUES (?, ?)", rows)
        database.attach("parts", model=space.embedder)
    with server_process(folder, "--store", url, "--cache", cache, "--uploads", folder / "uploads") as running:
        yield running


@pytest.fixture
def page(browser: Browser, site: Server) -> Iterator[Visit]:
    """The collection in the page; most of its images have no picture."""
    with visit(browser, site.url, expected=(403, 404)) as opened:
        opened.go(collection="many")
        expect(opened.cards.first).to_be_visible()
        yield opened


def chosen(page: Visit) -> list[str]:
    """Return the names of the chosen images that are drawn."""
    return page.page.locator(".card.chosen .name").all_text_contents()


def bar(page: Visit) -> Locator:
    return page.page.locator("section.chosen")


def filtered(page: Visit, *labels: str) -> None:
    """Show only images of some labels."""
    page.go(collection="many", f=json.dumps({"label": labels}))
    expect(page.page.locator(".status")).to_have_text(f"{4 * len(labels)} images")
    expect(page.cards).to_have_count(4 * len(labels))


def test_all_are_looked_through_and_only_what_is_seen_is_drawn(page: Visit) -> None:
    grid = page.page.get_by_role("grid", name="All images")
    expect(page.page.locator(".status")).to_have_text("3,000 images")
    expect(page.page.get_by_role("rowheader").first).to_contain_text("balloon 4 images")
    assert page.cards.count() < 150
    rows = int(grid.get_attribute("aria-rowcount") or 0)
    assert rows > MANY / 9
    first = page.names()[0]
    # By keys to the end and back, and with the wheel to the middle.
    page.cards.first.locator(".open").focus()
    page.page.keyboard.press("End")
    last = page.page.locator(f"[data-index='{MANY - 1}']")
    expect(last.locator(".open")).to_be_focused()
    expect(last).to_be_in_viewport()
    expect(last.locator(".tags")).to_have_text("umbrella")
    assert page.cards.count() < 150
    page.page.keyboard.press("PageUp")
    expect(page.page.locator(":focus")).to_be_in_viewport()
    page.page.keyboard.press("Home")
    expect(page.cards.first.locator(".open")).to_be_focused()
    assert page.names()[0] == first
    page.page.mouse.move(700, 600)
    page.page.mouse.wheel(0, 40_000)
    expect(page.page.locator(".card[data-image]").nth(20)).to_be_in_viewport()
    expect(page.page.locator(".card:not([data-image])")).to_have_count(0)
    assert page.cards.count() < 150
    # An image far down is opened, and the next one without closing; the focus comes back to it.
    page.page.locator(".card[data-image]").nth(20).locator(".open").click()
    code = page.page.locator("dialog .facts code")
    before = code.text_content()
    page.page.keyboard.press("ArrowRight")
    expect(code).not_to_have_text(before or "")
    now = code.text_content()
    page.page.keyboard.press("Escape")
    expect(page.page.locator(f".card[data-image='{now}'] .open")).to_be_focused()


def test_the_order_is_chosen_and_stands_in_the_address(page: Visit) -> None:
    order = page.page.get_by_label("Order")
    order.select_option("id")
    expect(page.page.get_by_role("rowheader")).to_have_count(0)
    page.settled()
    ids = page.ids()
    assert ids == sorted(ids)
    order.select_option("newest")
    expect(page.cards.first.locator(".similarity")).to_be_visible()
    page.page.reload()
    expect(order).to_have_value("newest")
    page.page.go_back()
    expect(order).to_have_value("id")
    # A wrong address is told although the page is there already.
    page.page.evaluate("location.hash = '#/nobody/search'")
    expect(page.page.locator(".notice")).to_contain_text("There is no collection “nobody” here")


def test_several_are_chosen_by_pointer(page: Visit) -> None:
    filtered(page, *DRAWN)
    names = page.names()
    page.cards.nth(1).hover()
    page.cards.nth(1).get_by_role("button", name="Select").click()
    assert chosen(page) == [names[1]]
    page.cards.nth(6).locator(".open").click(modifiers=["Shift"])
    expect(bar(page)).to_contain_text("6 selected")
    assert chosen(page) == names[1:7]
    page.cards.nth(3).locator(".open").click(modifiers=["Control"])
    expect(bar(page)).to_contain_text("5 selected")
    page.page.keyboard.press("Escape")
    expect(bar(page)).to_have_count(0)
    # A rectangle from the middle of the second to the middle of the third.
    boxes = [page.cards.nth(n).bounding_box() for n in (1, 2)]
    mouse = page.page.mouse
    for box, act in zip(boxes, (mouse.down, mouse.up), strict=True):
        assert box
        mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=4)
        act()
    assert chosen(page) == names[1:3]
    expect(page.page.locator("dialog")).to_have_count(0)


def test_what_is_chosen_is_told_without_colours_and_paper_has_no_buttons(page: Visit) -> None:
    page.page.emulate_media(forced_colors="active")
    page.cards.first.locator(".check").click()
    expect(page.cards.first.locator(".check svg")).to_be_visible()
    expect(page.cards.nth(1).locator(".check svg")).to_be_hidden()
    page.page.emulate_media(media="print")
    for shown in ("#bar", ".asker", "section.chosen"):
        expect(page.page.locator(shown)).to_be_hidden()
    expect(page.cards.first).to_be_visible()


def test_several_are_chosen_by_keys(page: Visit) -> None:
    filtered(page, *DRAWN)
    names = page.names()
    press = page.page.keyboard.press
    page.cards.first.locator(".open").focus()
    press("ArrowRight")
    press("Space")
    expect(page.cards.nth(1)).to_have_attribute("aria-selected", "true")
    press("Shift+ArrowRight")
    press("Shift+ArrowRight")
    expect(bar(page)).to_contain_text("3 selected")
    press("Shift+ArrowLeft")
    expect(bar(page)).to_contain_text("2 selected")
    assert chosen(page) == names[1:3]
    expect(page.page.locator("#announcements")).to_have_text("2 selected")
    press("Control+a")
    expect(bar(page)).to_contain_text("12 selected")
    press("Escape")
    expect(bar(page)).to_have_count(0)
    expect(page.cards.nth(2).locator(".open")).to_be_focused()


def test_all_of_a_large_collection_are_chosen(page: Visit) -> None:
    page.cards.first.locator(".open").focus()
    page.page.keyboard.press("Control+a")
    expect(bar(page)).to_contain_text("3,000 selected")
    expect(bar(page).get_by_role("button", name="Find like these")).to_be_disabled()


def test_the_chosen_are_labelled_and_removed_and_that_is_undone(page: Visit) -> None:
    filtered(page, "balloon")
    page.cards.first.locator(".open").focus()
    page.page.keyboard.press("Space")
    page.page.keyboard.press("Shift+ArrowRight")
    bar(page).get_by_role("button", name="Label", exact=True).click()
    page.page.keyboard.type("kite")
    page.page.keyboard.press("Enter")
    expect(bar(page).locator(".told")).to_contain_text("2 images have another label")
    expect(page.page.locator(".status")).to_have_text("2 images")
    expect(page.page.get_by_label("kite")).to_be_visible()
    # The form is gone, and the keys go on here.
    expect(bar(page).get_by_role("button", name="Undo")).to_be_focused()
    page.page.keyboard.press("Enter")
    expect(page.page.locator(".status")).to_have_text("4 images")
    page.cards.first.locator(".open").focus()
    page.page.keyboard.press("Control+a")
    bar(page).get_by_role("button", name="Remove").click()
    expect(page.page.locator(".status")).to_have_text("0 images")
    expect(bar(page)).to_contain_text("4 images are removed")
    bar(page).get_by_role("button", name="Undo").click()
    expect(page.page.locator(".status")).to_have_text("4 images")
    expect(page.cards).to_have_count(4)


def test_of_a_table_that_is_only_read_nothing_is_offered_that_would_change_it(page: Visit) -> None:
    page.go(collection="parts")
    expect(page.cards).to_have_count(3)
    page.cards.first.locator(".check").click()
    expect(bar(page).get_by_role("button", name="Find like these")).to_be_visible()
    for name in ("Label", "Remove"):
        expect(bar(page).get_by_role("button", name=name, exact=True)).to_have_count(0)
    page.cards.first.locator(".open").click()
    expect(page.page.locator("dialog")).to_contain_text("attached to be read")
    expect(page.page.locator("dialog").get_by_role("button", name="Change")).to_have_count(0)
    page.go("index", collection="parts")
    expect(page.page.locator("main .notice")).to_contain_text("rows that its owner inserts")
    for name in ("Index again", "Choose pictures"):
        expect(page.page.get_by_role("button", name=name)).to_have_count(0)


def test_the_chosen_are_compared_taken_along_and_searched_for(page: Visit) -> None:
    filtered(page, "balloon", "umbrella")
    for n in (0, 7):
        page.cards.nth(n).locator(".open").click(modifiers=["Control"])
    names = chosen(page)
    bar(page).get_by_role("button", name="Compare").click()
    dialog = page.page.locator("dialog[open]")
    expect(dialog.locator("thead .name")).to_have_text(names)
    expect(dialog.locator("tr.differs")).to_contain_text("balloon")
    page.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    with page.page.expect_download() as saved:
        bar(page).get_by_role("button", name="CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(saved.value.path()).read_text("utf-8-sig"))))
    assert [row["name"] for row in rows] == names
    assert [row["label"] for row in rows] == ["balloon", "umbrella"]
    with page.page.expect_download() as saved:
        bar(page).get_by_role("button", name="ZIP of links").click()
    with zipfile.ZipFile(saved.value.path()) as archive:
        assert archive.namelist() == ["images.csv", *(f"{name}.url" for name in names)]
        link = archive.read(f"{names[0]}.url").decode()
    assert link == f"[InternetShortcut]\r\nURL={rows[0]['link']}\r\n"
    assert page.page.request.get(rows[0]["link"]).ok
    bar(page).get_by_role("button", name="Find like these").click()
    page.settled()
    expect(page.page.locator(".term")).to_have_count(2)
    assert not set(names) & set(page.names())


def test_an_image_is_looked_into(page: Visit) -> None:
    filtered(page, "balloon")
    page.cards.first.locator(".open").click()
    stage = page.page.get_by_role("group", name="Picture:")
    expect(stage).to_be_visible()
    # More pixels than a card has are fetched.
    expect(stage.locator(".sharp")).to_have_count(1)
    inside = stage.locator(".stage-inside")

    def scale() -> float:
        return float(inside.evaluate("(each) => new DOMMatrix(getComputedStyle(each).transform).a"))

    assert scale() == 1
    stage.hover()
    page.page.mouse.wheel(0, -300)
    expect(page.page.get_by_role("button", name="Reduce")).to_have_attribute("aria-disabled", "false")
    enlarged = scale()
    assert enlarged > 1
    stage.focus()
    name = page.page.locator("dialog h2").text_content()
    page.page.keyboard.press("+")
    page.page.wait_for_function(
        "([each, than]) => new DOMMatrix(getComputedStyle(each).transform).a > than",
        arg=[inside.element_handle(), enlarged],
    )
    # The arrow keys go over the enlarged picture, and not to the next one.
    page.page.keyboard.press("ArrowRight")
    assert page.page.locator("dialog h2").text_content() == name
    page.page.keyboard.press("0")
    page.page.wait_for_function(
        "(each) => new DOMMatrix(getComputedStyle(each).transform).a === 1", arg=inside.element_handle()
    )
    page.page.keyboard.press("ArrowRight")
    expect(page.page.locator("dialog h2")).not_to_have_text(name or "")
    neighbours = page.page.get_by_role("list", name="Neighbours").locator(".card")
    expect(neighbours).to_have_count(8)
    first = neighbours.first.locator(".name").text_content()
    neighbours.first.locator(".open").click()
    expect(page.page.locator("dialog h2")).to_have_text(first or "?")
    # Going back leads to the one before, and closing leaves them all.
    page.page.go_back()
    expect(page.page.locator("dialog h2")).not_to_have_text(first or "?")
    page.page.go_forward()
    expect(page.page.locator("dialog h2")).to_have_text(first or "?")
    page.page.keyboard.press("Escape")
    expect(page.page.locator("dialog")).to_have_count(0)
    expect(page.cards.first).to_be_visible()


def test_a_part_of_an_image_is_the_question(page: Visit) -> None:
    filtered(page, "balloon")
    identity = page.ids()[0]
    page.cards.first.locator(".open").click()
    expect(page.page.locator(".sharp")).to_be_visible()
    page.page.get_by_role("button", name="Search by a part").click()
    box = page.page.locator(".stage-picture").bounding_box()
    assert box
    mouse = page.page.mouse
    for part, act in ((0.2, mouse.down), (0.6, mouse.up)):
        mouse.move(box["x"] + part * box["width"], box["y"] + part * box["height"], steps=3)
        act()
    with page.page.expect_request("**/search") as asked:
        page.page.get_by_role("button", name="Search for this part").click()
    (term,) = json.loads(asked.value.post_data or "")["terms"]
    assert term["id"] == identity
    assert term["part"] == pytest.approx([0.2, 0.2, 0.4, 0.4], abs=0.02)
    page.settled()
    assert page.cards.count() == 24
    expect(page.page.locator(".term .region")).to_be_visible()
    # The same by keys: from the middle, a step to the left, and smaller.
    page.page.locator(".term .bare").click()
    page.page.get_by_role("group", name="Picture:").focus()
    for key in ("r", "ArrowLeft", "ArrowLeft", "Shift+ArrowUp"):
        page.page.keyboard.press(key)
    with page.page.expect_request("**/search") as asked:
        page.page.keyboard.press("Enter")
    (term,) = json.loads(asked.value.post_data or "")["terms"]
    assert term["part"] == pytest.approx([0.23, 0.25, 0.5, 0.48])


def test_a_part_of_a_picture_of_ones_own_is_the_question(page: Visit, tmp_path: Path) -> None:
    # A picture that is a line can be pointed at, too.
    Image.new("RGB", (4000, 10)).save(tmp_path / "line.png")
    page.pick(tmp_path / "line.png")
    page.page.locator(".term .bare").click()
    page.page.wait_for_function("() => document.querySelector('.stage-picture')?.clientHeight < 5")
    box = page.page.locator(".stage").bounding_box()
    assert box
    assert box["height"] > 100
    page.page.keyboard.press("Escape")
    page.page.locator(".term").get_by_role("button", name="out of the search").click()
    drawn("umbrella").save(tmp_path / "mine.png")
    page.pick(tmp_path / "mine.png")
    page.settled()
    page.page.locator(".term .bare").click()
    expect(page.page.locator("dialog h2")).to_have_text("mine.png")
    page.page.get_by_role("group", name="Picture:").focus()
    page.page.keyboard.press("r")
    page.page.keyboard.press("ArrowDown")
    page.page.keyboard.press("Enter")
    page.settled()
    expect(page.page.locator(".term .region")).to_be_visible()
    assert page.cards.count() == 24


@pytest.mark.parametrize("locale", ["en-GB", "ko-KR"])
def test_it_is_used_on_a_telephone(browser: Browser, site: Server, locale: str) -> None:
    options = {"viewport": {"width": 360, "height": 740}, "locale": locale, "has_touch": True}
    with visit(browser, site.url, expected=(403, 404), color_scheme="dark", **options) as page:
        page.go(collection="many")
        expect(page.cards.first).to_be_visible()
        assert page.too_wide() == []
        for n in range(2):
            page.cards.nth(n).locator(".check").tap()
        expect(bar(page)).to_be_in_viewport()
        assert page.too_wide() == []
        page.cards.first.locator(".open").tap()
        expect(page.page.locator("dialog .facts")).to_be_visible()
        assert page.too_wide() == []
