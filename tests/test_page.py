"""The page in a real browser, over a real server and real photographs."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conformal_clip_data import textile_simulated_root
from playwright.sync_api import Browser, Locator, expect, sync_playwright

from lookalike.records import Scalar
from lookalike.server.page import WEB
from lookalike.session import Session
from tests.drawings import drawn
from tests.page_visits import ARGUMENTS, CHROMIUM, Visit, visit
from tests.service import Server, server_process

pytestmark = pytest.mark.xdist_group("page")

COUNTS = {"global": 40, "local": 40, "nominal": 70}
"""Photographs of each class: enough that a stranger can be told, at a false-alarm rate of 1 in 100."""

MARKUP = "<img src=x onerror=\"alert('1')\"><b>굵게</b>"
LABELS: dict[str, Scalar] = {
    "traffic_light": MARKUP,
    "smiling_face": "x" * 10_000,
    "keyboard": "two\nlines \"and\" 'quotes' & more",
    "umbrella": "مظلة حمراء",
    "balloon": "🎈 balloon 👩‍👩‍👧‍👦",
    "crossword": 1,
}
FILES = {
    "traffic_light": "<b onclick='alert(2)'>신호등.png",
    "smiling_face": "s" * 200 + ".png",
    "keyboard": "two\nlines.png",
    "umbrella": "مظلة.png",
    "balloon": "🎈.png",
    "crossword": '&amp; "quoted".png',
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def store(folder: Path, cache: Path) -> str:
    """A store of photographs of textile, and of drawings under difficult names and labels."""
    photographs = folder / "textile"
    for name, count in COUNTS.items():
        (photographs / name).mkdir(parents=True)
        for file in sorted((textile_simulated_root() / name).iterdir())[:count]:
            shutil.copy2(file, photographs / name / file.name)
    things = folder / "things"
    things.mkdir()
    for name, file in FILES.items():
        drawn(name).save(things / file)
    url = f"sqlite:///{folder / 'page.db'}"
    with Session(url, cache) as session:
        session.index("textile", [photographs])
        session.index("things", [things])
        records, _ = session.read("things")
        named = {str(things / file): name for name, file in FILES.items()}
        labels = []
        for record in records:
            (name,) = [name for path, name in named.items() if record.uri == Path(path).as_uri()]
            labels.append(
                (record.id, {"label": LABELS[name], "kind": name, MARKUP: True}, {"caption": MARKUP})
            )
        session.store.relabel("things", labels)
    return url


@pytest.fixture(scope="module")
def site(folder: Path, store: str, cache: Path) -> Iterator[Server]:
    """A server that lets everybody write."""
    with server_process(
        folder, "--store", store, "--cache", cache, "--uploads", folder / "uploads"
    ) as running:
        yield running


@pytest.fixture
def page(browser: Browser, site: Server) -> Iterator[Visit]:
    """The page in English, on a wide window."""
    with visit(browser, site.url) as opened:
        yield opened


@pytest.fixture
def photograph(folder: Path) -> Path:
    """A photograph of the collection."""
    return sorted((folder / "textile" / "local").iterdir())[7]


def fields_of(store: str, cache: Path, identity: str, collection: str = "textile") -> dict[str, Scalar]:
    with Session(store, cache) as session:
        (record,) = session.store.get(collection, [identity])
    return dict(record.fields)


def test_a_picture_finds_its_lookalikes(page: Visit, photograph: Path) -> None:
    page.go()
    page.pick(photograph)
    page.settled()
    assert page.cards.count() == 24
    assert page.names()[0] == f"local/{photograph.name}"
    expect(page.cards.first).to_contain_text("1.000")
    expect(page.page.locator(".term .name")).to_have_text(photograph.name)
    page.pictures_are_shown(".results")
    # The picture is in this page alone; after a reload it is asked for again.
    page.page.reload()
    expect(page.page.locator(".notice")).to_contain_text("forgotten")


def test_a_picture_is_dropped_or_pasted(page: Visit, photograph: Path) -> None:
    page.go()
    for kind, transfer in (("drop", "dataTransfer"), ("paste", "clipboardData")):
        page.page.evaluate(
            """([kind, transfer, bytes, name]) => {
                const data = new DataTransfer();
                data.items.add(new File([new Uint8Array(bytes)], name, { type: "image/jpeg" }));
                const event = kind === "drop"
                    ? new DragEvent(kind, { [transfer]: data, bubbles: true, cancelable: true })
                    : new ClipboardEvent(kind, { [transfer]: data, bubbles: true, cancelable: true });
                document.body.dispatchEvent(event);
            }""",
            [kind, transfer, list(photograph.read_bytes()), f"{kind}.jpg"],
        )
        expect(page.page.locator(".term .name")).to_have_text(f"{kind}.jpg")
        page.settled()
        assert page.names()[0] == f"local/{photograph.name}"


def test_words_find_what_they_name(page: Visit) -> None:
    page.go(collection="things")
    page.search("a traffic light")
    assert page.names()[0] == FILES["traffic_light"]
    page.search("우산")
    assert page.names()[0] == FILES["umbrella"]
    expect(page.page.locator(".remarks")).to_contain_text("English or Korean")
    page.page.go_back()
    expect(page.page.locator("input[type=search]")).to_have_value("a traffic light")
    page.settled()
    assert page.names()[0] == FILES["traffic_light"]
    page.page.reload()
    page.settled()
    assert page.names()[0] == FILES["traffic_light"]


def test_words_are_added_and_taken_away(page: Visit, site: Server) -> None:
    page.go(collection="things")
    with page.page.expect_request("**/search") as asked:
        page.search("a balloon + an umbrella - a computer keyboard")
    assert asked.value.post_data_json["terms"] == [
        {"text": "a balloon", "sign": 1},
        {"text": "an umbrella", "sign": 1},
        {"text": "a computer keyboard", "sign": -1},
    ]
    assert {FILES["balloon"], FILES["umbrella"]} == set(page.names()[:2])
    assert page.names()[-1] == FILES["keyboard"]


def test_a_click_on_a_result_opens_it_and_searches_from_it(page: Visit) -> None:
    page.go(q="cloth")
    page.settled()
    card = page.cards.nth(3)
    identity = card.get_attribute("data-image") or ""
    card.locator(".open").click()
    dialog = page.page.locator("dialog[open]")
    expect(dialog.locator("h2")).to_have_text(card.locator(".name").text_content() or "?")
    expect(dialog.locator(".facts")).to_contain_text(identity)
    page.pictures_are_shown("dialog")
    page.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(card.locator(".open")).to_be_focused()
    page.page.keyboard.press("Enter")
    dialog.get_by_role("button", name="Search from this").click()
    page.page.wait_for_function("(id) => location.hash.includes('p=%2B' + id)", arg=identity)
    page.settled()
    assert page.ids()[0] == identity
    page.page.go_back()
    expect(dialog.locator(".facts")).to_contain_text(identity)
    page.page.go_back()
    expect(dialog).to_have_count(0)


def test_images_are_added_to_a_search_and_taken_away(page: Visit) -> None:
    page.go(q="cloth")
    page.settled()
    one, other = page.ids()[:2]
    dialog = page.page.locator("dialog[open]")
    for identity, button in ((one, "Add"), (other, "Take away")):
        page.page.locator(f".results [data-image='{identity}'] .open").click()
        dialog.get_by_role("button", name=button, exact=True).click()
        page.page.wait_for_function(
            "(id) => document.querySelector('.terms')?.innerHTML.includes(id)", arg=identity
        )
        page.settled()
    assert not {one, other} & set(page.ids())
    expect(page.page.locator(".remarks")).to_contain_text("2 images are part of the question")
    page.page.locator(".sign.minus").click()
    expect(page.page.locator(".sign.minus")).to_have_count(0)
    page.page.locator(".term").first.get_by_role("button", name="out of the search").click()
    expect(page.page.locator(".term")).to_have_count(1)


def test_filters_are_alternatives_within_a_field_and_page_after_page_follows(page: Visit) -> None:
    page.go(q="cloth", k=12)
    page.settled()
    filters = page.page.locator(".filter", has_text="label")
    filters.get_by_label("global").check()
    page.settled()
    expect(page.page.locator(".results .status")).to_contain_text("The nearest 12 images")
    assert {name.split("/")[0] for name in page.names()} == {"global"}
    filters.get_by_label("local").check()
    expect(page.page.locator(".columns .chips .chip")).to_have_count(2)
    page.settled()
    while page.page.locator(".more button").is_visible():
        count = page.cards.count()
        page.page.locator(".more button").click()
        page.page.wait_for_function(
            "(n) => document.querySelectorAll('.results .card').length > n", arg=count
        )
        page.page.wait_for_function("() => !document.querySelector('.more button').disabled")
    names = page.names()
    assert len(names) == len(set(names)) == COUNTS["global"] + COUNTS["local"]
    similarities = [
        float(text) for text in page.page.locator(".card .similarity > span:last-child").all_text_contents()
    ]
    assert similarities == sorted(similarities, reverse=True)
    page.page.locator(".columns .chip", has_text="global").click()
    page.settled()
    assert {name.split("/")[0] for name in page.names()} == {"local"}


def test_what_is_not_alike_is_left_out(page: Visit) -> None:
    page.go(collection="textile", q="a traffic light")
    page.settled()
    assert page.cards.count() == 24
    page.page.locator(".options summary").click()
    page.page.get_by_label("Leave out what is not alike").check()
    expect(page.page.locator(".results .lead")).to_contain_text("Nothing was found")
    page.page.get_by_role("button", name="Search without filters").click()
    page.settled()
    assert page.cards.count() == 24


def test_an_upload_that_is_no_image_gets_the_servers_line(
    browser: Browser, site: Server, folder: Path
) -> None:
    file = folder / "<b>no image.jpg"
    file.write_text("<script>alert(3)</script>")
    with visit(browser, site.url, expected=(422,)) as page:
        page.go()
        page.pick(file)
        notice = page.page.locator(".results .notice")
        expect(notice).to_contain_text("not an image")
        expect(notice).to_contain_text("<b>no image.jpg")
        assert notice.locator("b, script").count() == 0
        page.go("classify")
        page.pick(file)
        expect(page.page.locator(".prediction .notice")).to_contain_text("not an image")


def test_a_picture_is_classified_with_votes_and_neighbours(page: Visit, photograph: Path) -> None:
    page.go("classify", by="label")
    page.pick(photograph)
    page.settled()
    answer = page.page.locator(".prediction")
    expect(answer.locator(".verdict .label")).to_have_text(re.compile("^(global|local|nominal)$"))
    expect(answer).to_contain_text("1 image of the very same bytes had no vote")
    expect(answer.locator(".figures")).to_contain_text("%")
    shares = [int(each.rstrip("%")) for each in answer.locator(".votes .bar-value").all_text_contents()]
    assert sum(shares) == 100
    assert shares == sorted(shares, reverse=True)
    assert answer.locator(".evidence .card").count() == 5
    page.pictures_are_shown(".evidence")
    page.page.get_by_label("Neighbours", exact=True).select_option("1")
    expect(answer.locator(".evidence .card")).to_have_count(1)


def test_a_picture_unlike_anything_is_unknown(page: Visit, folder: Path) -> None:
    drawn("balloon").save(folder / "balloon.png")
    page.go("classify", by="label")
    page.pick(folder / "balloon.png")
    page.settled()
    expect(page.page.locator(".verdict .label")).to_have_text("unknown")
    expect(page.page.locator(".verdict")).to_contain_text("unlike anything in the collection")


def test_a_wrong_label_is_put_right_and_back(page: Visit, store: str, cache: Path) -> None:
    page.go(q="cloth", f=json.dumps({"label": ["nominal"]}))
    page.settled()
    identity = page.ids()[0]
    page.go("classify", by="label", p=identity)
    form = page.page.locator(".truth")
    expect(form.locator("p").first).to_contain_text("nominal")
    known = form.locator("datalist option")
    expect(known).to_have_count(2)
    assert set(known.evaluate_all("(all) => all.map((each) => each.value)")) == {"global", "local"}
    form.get_by_role("combobox").fill("local")
    form.get_by_role("button", name="Correct").click()
    expect(form.locator(".told")).to_contain_text("Corrected, was nominal")
    expect(form.locator("p").first).to_contain_text("local")
    assert fields_of(store, cache, identity)["label"] == "local"
    page.page.locator(".subject button").click()
    expect(page.page.locator("dialog .field", has_text="label").first).to_contain_text(
        "corrected, was nominal"
    )
    page.page.keyboard.press("Escape")
    form.get_by_role("button", name="Undo").click()
    expect(form.locator(".told")).to_contain_text("As it was before")
    assert fields_of(store, cache, identity)["label"] == "nominal"


def test_names_and_labels_are_text_whatever_is_in_them(browser: Browser, site: Server) -> None:
    for width in (1280, 360):
        with visit(browser, site.url, viewport={"width": width, "height": 800}) as page:
            page.go(collection="things", q="a thing")
            page.settled()
            assert page.cards.count() == len(FILES)
            texts = page.cards.all_text_contents()
            assert any(MARKUP in text for text in texts)
            assert any("مظلة حمراء" in text for text in texts)
            assert any("👩‍👩‍👧‍👦" in text for text in texts)
            assert page.page.locator("main b, main [onclick], main [onerror]").count() == 0
            assert page.too_wide() == []
            for place in range(len(FILES)):
                page.cards.nth(place).locator(".open").click()
                expect(page.page.locator("dialog .facts")).to_be_visible()
                assert page.too_wide() == []
                assert (
                    page.page.locator("dialog").evaluate("(each) => each.scrollWidth - each.clientWidth") <= 0
                )
                page.page.keyboard.press("Escape")
                expect(page.page.locator("dialog")).to_have_count(0)
            page.go("classify", "things", by="label", p=page.ids() if page.cards.count() else None)
            assert page.too_wide() == []


def test_a_long_label_is_whole_in_the_details(page: Visit) -> None:
    page.go(collection="things", q="a smiling face")
    page.settled()
    page.page.locator(".card", has_text="sss").locator(".open").click()
    expect(page.page.locator("dialog .field[data-name=label], dialog .field").first).to_be_visible()
    assert "x" * 10_000 in (page.page.locator("dialog .fields").text_content() or "")


def test_the_page_speaks_korean_to_those_who_want_it(browser: Browser, site: Server) -> None:
    with visit(browser, site.url, locale="ko-KR") as page:
        page.go()
        assert page.page.locator("html").get_attribute("lang") == "ko"
        expect(page.page.locator(".views [aria-current]")).to_have_text("검색")
        page.search("천")
        expect(page.page.locator(".results .status")).to_contain_text("가장 닮은 이미지 24개")
        # The server's own words stay English, and say so to a screen reader.
        expect(page.page.locator(".remarks li").first).to_have_attribute("lang", "en")
        page.page.get_by_label("언어").select_option("en")
        expect(page.page.locator(".views [aria-current]")).to_have_text("Search")
        page.page.reload()
        expect(page.page.locator(".views [aria-current]")).to_have_text("Search")
        assert page.page.locator("html").get_attribute("lang") == "en"


def test_the_same_is_said_in_both_languages(page: Visit) -> None:
    page.go()
    said: dict[str, dict[str, Any]] = page.page.evaluate(
        """async () => {
            const base = document.querySelector("script[type=module]").src.replace("main.js", "messages/");
            const [en, ko] = await Promise.all(["en", "ko"].map((each) => import(`${base}${each}.js`)));
            return { en: en.en, ko: ko.ko };
        }"""
    )
    english, korean = said["en"], said["ko"]
    assert set(english) == set(korean)
    for key, text in english.items():
        one, other = (
            list(each.values()) if isinstance(each, dict) else [each] for each in (text, korean[key])
        )
        # In a singular the number may be said by the noun.
        assert set(re.findall(r"\{\w*\}", one[-1])) == set(re.findall(r"\{\w*\}", other[-1])), key
        if re.sub(r"\{\w*\}", "", other[-1]).strip(" …·") not in ("", "id"):
            assert re.search("[가-힣]", other[-1]), key
    scripts = "".join(path.read_text() for path in (WEB / "js").glob("*.js"))
    literal = set(re.findall(r"[\"`]([\w.]+)[\"`]", scripts))
    prefixes = re.findall(r"`([\w.]+\.)\$\{", scripts)
    unused = [
        key for key in english if key not in literal and not any(key.startswith(each) for each in prefixes)
    ]
    assert unused == []
    asked = set(re.findall(r"\bt\(\s*\"([\w.]+)\"", scripts))
    assert asked <= set(english)


def test_everything_is_reached_by_keyboard(page: Visit) -> None:
    press = page.page.keyboard.press
    focused = page.page.locator(":focus")
    page.go()
    press("Tab")
    expect(focused).to_have_text("Skip to the content")
    press("Enter")
    expect(page.page.locator("main")).to_be_focused()
    press("Tab")
    expect(page.page.locator("input[type=search]")).to_be_focused()
    page.page.keyboard.type("cloth")
    press("Enter")
    page.settled()
    expect(page.page.locator("input[type=search]")).to_be_focused()
    tab_to(page, page.cards.first.locator(".open"))
    press("ArrowRight")
    expect(page.cards.nth(1).locator(".open")).to_be_focused()
    press("ArrowDown")
    place = page.cards.locator(".open").evaluate_all("(all) => all.indexOf(document.activeElement)")
    assert place > 2
    press("Home")
    expect(page.cards.first.locator(".open")).to_be_focused()
    outline = focused.evaluate(
        "(each) => getComputedStyle(each).outlineStyle + getComputedStyle(each).outlineWidth"
    )
    assert outline == "solid3px"
    press("Enter")
    dialog = page.page.locator("dialog[open]")
    expect(dialog.locator(".facts")).to_be_visible()
    # The focus stays inside, however often it is moved on.
    for _ in range(15):
        press("Tab")
        assert page.page.evaluate(
            "document.activeElement === document.body || !!document.activeElement.closest('dialog')"
        )
    press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.cards.first.locator(".open")).to_be_focused()
    page.page.locator(".views a", has_text="Classify").focus()
    press("Enter")
    expect(page.page.locator("main")).to_be_focused()
    tab_to(page, page.page.locator(".zone button"))


def tab_to(page: Visit, wanted: Locator) -> None:
    """Press Tab until an element has the focus."""
    handle = wanted.element_handle()
    for _ in range(60):
        page.page.keyboard.press("Tab")
        if page.page.evaluate("(each) => document.activeElement === each", handle):
            return
    raise AssertionError("it is not reached by Tab")


@pytest.mark.parametrize("view", ["search", "classify", "judge", "index"])
@pytest.mark.parametrize("locale", ["en-GB", "ko-KR"])
def test_nothing_is_wider_than_a_telephone(browser: Browser, site: Server, view: str, locale: str) -> None:
    with visit(
        browser, site.url, viewport={"width": 360, "height": 740}, locale=locale, has_touch=True
    ) as page:
        page.go(view, **({"q": "cloth"} if view == "search" else {}))
        expect(page.page.locator("main h1")).to_have_count(1)
        if view == "search":
            page.settled()
        assert page.too_wide() == []
        page.page.locator("details").evaluate_all("(all) => all.forEach((each) => { each.open = true; })")
        assert page.too_wide() == []
        small = page.page.locator(
            "main button:visible, header a:visible, header select:visible"
        ).evaluate_all(
            """(all) => all.map((each) => [each.textContent, each.getBoundingClientRect()])
                .filter(([, box]) => box.height < 24 || box.width < 24).map(([text]) => text)"""
        )
        assert small == []


def test_the_dark_is_dark(browser: Browser, site: Server) -> None:
    grounds = {}
    for scheme in ("light", "dark"):
        with visit(browser, site.url, color_scheme=scheme) as page:
            page.go()
            colours = page.page.evaluate(
                """[document.documentElement, document.querySelector(".asker")]
                    .map((each) => getComputedStyle(each).backgroundColor)"""
            )
            grounds[scheme] = [sum(map(int, re.findall(r"\d+", each)[:3])) for each in colours]
    assert all(each > 700 for each in grounds["light"])
    assert all(each < 150 for each in grounds["dark"])


def test_motion_stops_for_those_who_do_not_want_it(browser: Browser, site: Server) -> None:
    with visit(browser, site.url, reduced_motion="reduce") as page:
        page.go()
        moving = page.page.evaluate(
            """[...document.querySelectorAll("*")]
                .filter((each) => parseFloat(getComputedStyle(each).transitionDuration) > 0).length"""
        )
        assert moving == 0


def test_requests_that_are_overtaken_are_given_up(page: Visit) -> None:
    page.go()
    held: list[Any] = []
    page.page.route("**/search", lambda route: held.append(route))  # noqa: PLW0108 it is called with more
    page.page.locator("input[type=search]").fill("one")
    page.page.keyboard.press("Enter")
    expect(page.page.locator(".results")).to_have_attribute("aria-busy", "true")
    page.page.unroute("**/search")
    page.search("two")
    assert page.cards.count() == 24
    assert len(held) == 1
    # The first answer comes late, and nobody wants it any more.
    held[0].abort()
    expect(page.page.locator(".results .notice")).to_have_count(0)


def test_a_server_that_is_gone_is_said_and_asked_again(browser: Browser, site: Server) -> None:
    with visit(browser, site.url) as page:
        page.go()
        page.page.route("**/search", lambda route: route.abort())
        page.page.locator("input[type=search]").fill("cloth")
        page.page.keyboard.press("Enter")
        expect(page.page.get_by_role("alert")).to_contain_text("No connection")
        page.page.unroute("**/search")
        page.page.get_by_role("button", name="Try again").click()
        page.settled()
        assert page.cards.count() == 24
        assert [each for each in page.trouble if "ERR_FAILED" not in each] == []
        page.trouble.clear()
