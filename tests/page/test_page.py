"""The page in a real browser, over a real server and real photographs."""

from __future__ import annotations

import base64
import importlib.util
import io
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conformal_clip_data import textile_simulated_root
from PIL import Image
from playwright.sync_api import Browser, Locator, Route, expect

from lookalike.database import Database
from lookalike.server.auth.keys import add_key, new_key
from lookalike.server.routes.page import WEB
from lookalike.types import Scalar
from lookalike.uris import record_id
from tests.drawings import drawn
from tests.film_files import film
from tests.mean_colours import picture
from tests.page.page_visits import WAIT, Visit, visit
from tests.servers.s3 import Bucket
from tests.service import Server, server_process

pytestmark = pytest.mark.xdist_group("page")

COUNTS = {"global": 40, "local": 40, "nominal": 70}
"""Photographs of each class: enough that a stranger can be told, at a false-alarm rate of 1 in 100."""

DRAWING = "(canvas) => canvas.toDataURL()"

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
    woven = folder / "woven"
    for name in ("good", "spot"):
        (woven / name).mkdir(parents=True)
    for file in sorted((photographs / "nominal").iterdir())[:8]:
        shutil.copy2(file, woven / "good" / file.name)
    with Image.open(file) as image:
        image.paste("white", (150, 60, 175, 85))
        image.save(woven / "spot" / "spot.png")
    Image.new("RGB", (250, 250)).save(woven / "spot" / "dark.png")
    url = f"sqlite:///{folder / 'page.db'}"
    with Database(url, cache=cache) as database:
        database["woven"].index([woven])
        database["woven"].anomaly.fit({"label": "good"})
        database["textile"].index([photographs])
        database["things"].index([things])
        film(folder / "films" / "하나.webm", codec="libvpx-vp9", seconds=2)
        database["videos"].index([folder / "films"], frames="every:1s")
        records, _ = database["things"].vectors.read()
        named = {str(things / file): name for name, file in FILES.items()}
        labels = []
        for record in records:
            (name,) = [name for path, name in named.items() if record.uri == Path(path).as_uri()]
            labels.append(
                (record.id, {"label": LABELS[name], "kind": name, MARKUP: True}, {"caption": MARKUP})
            )
        database.store.relabel("things", labels)
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
    with Database(store, cache=cache) as database:
        (record,) = database.store.get(collection, [identity])
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


def test_a_folder_is_dropped(page: Visit, tmp_path: Path) -> None:
    def drop(path: Path) -> None:
        data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            devtools.send("Input.dispatchDragEvent", {"type": kind, "x": 600, "y": 500, "data": data})

    devtools = page.page.context.new_cdp_session(page.page)
    page.go()
    (tmp_path / "부품" / "inner").mkdir(parents=True)
    (tmp_path / "부품" / "notes.txt").write_text("no picture")
    drop(tmp_path / "부품")
    expect(page.page.locator(".veil")).to_have_text("There is no picture in it.")
    for n in range(34):
        Image.new("RGB", (8, 8), (n, 0, 0)).save(tmp_path / "부품" / "inner" / f"{n:02}.png")
    drop(tmp_path / "부품")
    # As many as one question may be made of, and a word on the others.
    expect(page.page.locator(".term .name")).to_have_text([f"{n:02}.png" for n in range(32)])
    page.settled()
    expect(page.page.locator(".notice.warn")).to_contain_text("2 pictures were left out")
    assert page.cards.count() == 24


def test_a_file_that_is_gone_since_it_was_chosen_is_named(page: Visit, tmp_path: Path) -> None:
    file = tmp_path / "gone.png"
    Image.new("RGB", (8, 8)).save(file)
    page.go()
    page.pick(file)
    page.settled()
    file.unlink()
    page.page.locator(".filter", has_text="label").get_by_label("global").check()
    expect(page.page.locator(".results .notice")).to_contain_text("cannot read gone.png any more")
    # That the request failed is said by the browser, too.
    assert all("Failed to load resource" in each for each in page.trouble)
    page.trouble.clear()


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
    assert json.loads(asked.value.post_data or "")["terms"] == [
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


def test_from_one_result_to_the_next_without_closing(page: Visit) -> None:
    page.go(q="cloth")
    page.settled()
    ids = page.ids()
    page.cards.first.locator(".open").click()
    dialog = page.page.locator("dialog[open]")
    expect(dialog.locator("code")).to_have_text(ids[0])
    expect(dialog.get_by_role("button", name="The one before")).to_be_hidden()
    page.page.keyboard.press("ArrowRight")
    expect(dialog.locator("code")).to_have_text(ids[1])
    dialog.get_by_role("button", name="The next one").click()
    expect(dialog.locator("code")).to_have_text(ids[2])
    page.page.keyboard.press("ArrowLeft")
    expect(dialog.locator("code")).to_have_text(ids[1])
    page.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.cards.nth(1).locator(".open")).to_be_focused()


def test_images_are_added_to_a_search_and_taken_away(page: Visit) -> None:
    page.go(q="cloth")
    page.settled()
    one, other = page.ids()[:2]
    dialog = page.page.locator("dialog[open]")
    for identity, button in ((one, "More like this"), (other, "Less like this")):
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
        page.page.wait_for_function("() => !document.querySelector('.more button')?.disabled")
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
        # The same again would be refused again.
        expect(notice.get_by_role("button")).to_have_count(0)
        page.go("classify")
        page.pick(file)
        expect(page.page.locator(".prediction .notice")).to_contain_text("not an image")


def test_a_picture_is_classified_with_votes_and_neighbours(page: Visit, photograph: Path) -> None:
    page.go("classify", by="label")
    page.pick(photograph)
    page.settled()
    answer = page.page.locator(".prediction")
    expect(answer.locator(".verdict .label > .value")).to_have_text(re.compile("^(global|local|nominal)$"))
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


def test_what_is_odd_lies_over_the_picture_and_is_switched_off(page: Visit, folder: Path) -> None:
    spot = folder / "woven" / "spot" / "spot.png"
    page.go("classify", "woven", by="label")
    page.pick(spot)
    answer = page.page.locator(".prediction")
    expect(answer.locator(".outcome")).to_have_text("Anomalous")
    expect(answer.locator(".anomaly")).to_contain_text("unlike the 8 normal pictures")
    expect(answer.locator(".anomaly")).to_contain_text(re.compile("At 5.% to 7.% from the left"))
    layer, button = answer.locator(".layer"), answer.get_by_role("button", name="What is odd")
    expect(layer).to_be_visible()
    page.pictures_are_shown(".layer, .prediction .picture")
    expect(button).to_have_attribute("aria-pressed", "true")
    button.click()
    expect(layer).to_be_hidden()
    page.page.keyboard.press("m")
    expect(layer).to_be_visible()
    # Why it was called so lies over it in its place, by a key of its own.
    answer.get_by_role("button", name="Why?").click()
    expect(answer.locator(".why")).to_contain_text(re.compile("region"))
    expect(answer.locator(".layer")).to_have_count(2)
    why = answer.get_by_role("button", name="Why", exact=True)
    expect(why).to_have_attribute("aria-pressed", "true")
    expect(button).to_have_attribute("aria-pressed", "false")
    why.focus()
    page.page.keyboard.press("w")
    expect(answer.locator(".layer:visible")).to_have_count(0)
    # Of an image of the collection the details say the same.
    page.page.locator(".evidence .card", has_text="good/").first.locator(".open").click()
    dialog = page.page.locator("dialog[open]")
    expect(dialog.locator(".outcome")).to_have_text("Nothing unusual")
    expect(dialog).to_contain_text("one of the normal pictures")
    expect(dialog.locator(".layer")).to_be_hidden()
    page.page.keyboard.press("m")
    expect(dialog.locator(".layer")).to_be_visible()
    # Where nothing normal was learned, nothing is said of it.
    page.go("classify", by="label")
    page.pick(spot)
    page.settled()
    expect(page.page.locator(".anomaly")).to_be_hidden()


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


def test_a_frame_is_shown_with_its_film_at_that_moment(page: Visit) -> None:
    page.go(collection="videos", q="a red wall")
    page.settled()
    page.page.locator(".card", has_text="#t=1").locator(".open").click()
    expect(page.page.locator("dialog .fields")).to_contain_text("하나.webm")
    playing = "(film) => film.readyState > 1 && !film.error && film.currentTime === 1"
    page.page.wait_for_function(playing, arg=page.page.locator("dialog video").element_handle(), timeout=WAIT)


def test_no_text_can_become_markup_or_a_program(browser: Browser, site: Server) -> None:
    with visit(browser, site.url) as page:
        page.go()
        refused = page.page.evaluate(
            """() => {
                const script = document.createElement("script");
                const refused = [];
                for (const act of [
                    () => { document.body.innerHTML = "<b>"; },
                    () => { script.text = "window.ran = true"; },
                    () => { setTimeout("window.ran = true", 0); },
                ]) {
                    try { act(); refused.push(false); } catch { refused.push(true); }
                }
                const style = document.createElement("style");
                style.textContent = "body { opacity: 0 }";
                document.head.append(style, script);
                const seen = getComputedStyle(document.body).opacity === "1";
                return [...refused, seen, window.ran === undefined];
            }"""
        )
        assert refused == [True] * 5
        # The browser says so, as it should.
        assert page.trouble
        page.trouble.clear()


def test_the_page_speaks_korean_to_those_who_want_it(
    browser: Browser, site: Server, store: str, cache: Path
) -> None:
    with visit(browser, site.url, locale="ko-KR") as page:
        page.go()
        assert page.page.locator("html").get_attribute("lang") == "ko"
        expect(page.page.locator(".views [aria-current]")).to_have_text("검색")
        page.search("천")
        expect(page.page.locator(".results .status")).to_contain_text("가장 닮은 이미지 24개")
        # What the model knows is said with its name, until that has been read.
        note = page.page.locator(".remarks li", has_text="efficientnet-lite0")
        expect(note).to_contain_text("영어나 한국어 이름")
        note.get_by_role("button", name="다시 보지 않기").click()
        expect(note).to_have_count(0)
        with Database(store, cache=cache) as database:
            database["textile"].fit("label")
            page.search("옷감")
            expect(page.page.locator(".remarks li")).to_contain_text(["맞추기 전의 벡터에서"])
            expect(note).to_have_count(0)
            database["textile"].undo_fit()
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
        assert page.page.evaluate("!document.activeElement.closest('main, header')")
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
    held: list[Route] = []

    def answer(route: Route) -> None:
        if '"one"' in (route.request.post_data or ""):
            held.append(route)
        else:
            route.continue_()

    page.page.route("**/search", answer)
    page.page.locator("input[type=search]").fill("one")
    page.page.keyboard.press("Enter")
    expect(page.page.locator(".results")).to_have_attribute("aria-busy", "true")
    # Pictures that were browsed before are given up, too.
    searches = page.page.expect_event("requestfailed", lambda request: request.url.endswith("/search"))
    with searches as failed:
        page.search("two")
    assert failed.value == held[0].request
    assert failed.value.failure == "net::ERR_ABORTED"
    assert page.cards.count() == 24
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


def test_an_evaluation_shows_its_figures_and_opens_the_pictures_of_a_cell(page: Visit) -> None:
    page.go("judge/evaluation", "things")
    expect(page.page.locator(".result")).to_contain_text("Nothing has been evaluated yet")
    page.go("judge/evaluation")
    page.page.get_by_label("Neighbours", exact=True).select_option("3")
    page.page.get_by_role("button", name="Evaluate").click()
    matrix = page.page.locator("table.matrix")
    expect(matrix).to_be_visible()
    tiles = page.page.locator(".tile").all_text_contents()
    total = sum(COUNTS.values())
    assert any(f"of {total} images" in each for each in tiles)
    assert any("95% Wilson interval" in each for each in tiles)
    expect(page.page.get_by_text("leave-one-out")).to_be_visible()
    assert matrix.locator("thead th[scope=col]").all_text_contents() == ["true", *COUNTS]
    rows = matrix.locator("tbody tr").all()
    assert len(rows) == 3
    counts = [int(text) for text in matrix.locator("tbody td").all_text_contents()]
    assert [sum(counts[3 * n : 3 * n + 3]) for n in range(3)] == list(COUNTS.values())
    wrong = matrix.locator("button.wrong").first
    count = int(wrong.text_content() or "")
    label, predicted = re.fullmatch(
        r"(\w+), predicted (\w+): .*", wrong.get_attribute("aria-label") or "?"
    ).groups()  # type: ignore[union-attr]
    wrong.click()
    cell = page.page.locator(".cell")
    expect(cell.locator("h2")).to_have_text(f"{label}, predicted {predicted}")
    expect(cell.locator(".finding").first).to_be_visible()
    assert cell.locator(".finding").count() == min(count, 12)
    for name in cell.locator(".subject .name").all_text_contents():
        assert name.startswith(f"{label}/")
    assert cell.locator(".finding").first.locator(".row:not(.subject) .card").count() == 3
    page.pictures_are_shown(".cell")
    page.page.reload()
    expect(cell.locator("h2")).to_have_text(f"{label}, predicted {predicted}")
    cell.get_by_role("button", name="Close").click()
    expect(cell).to_be_hidden()
    page.page.get_by_role("button", name="mistakes").click()
    expect(cell.locator("h2")).to_have_text("All mistakes")
    page.page.locator("summary", has_text="How far single answers").click()
    expect(page.page.get_by_role("table", name="Reliability")).to_be_visible()


def test_the_map_shows_what_is_pointed_at_and_opens_it(page: Visit) -> None:
    page.go("judge/map")
    page.page.get_by_role("button", name="Draw the map").click()
    canvas = page.page.locator("canvas")
    expect(canvas).to_be_visible()
    assert painted(canvas) > 500
    tip = page.page.locator(".tip")
    canvas.scroll_into_view_if_needed()
    canvas.focus()
    page.page.keyboard.press("ArrowRight")
    expect(tip).to_be_visible()
    page.pictures_are_shown(".tip")
    first = tip.locator(".name").text_content()
    expect(page.page.locator("#announcements")).to_contain_text(first or "?")
    page.page.keyboard.press("ArrowLeft")
    expect(tip.locator(".name")).not_to_have_text(first or "?")
    name = tip.locator(".name").text_content() or ""
    # A mouse at that place points at the same image, and a click opens it.
    left, top = (
        float(tip.evaluate(f"(each) => each.style.getPropertyValue('--{side}')")[:-2])
        for side in ("left", "top")
    )
    box = canvas.bounding_box()
    assert box
    page.page.mouse.move(box["x"] + 3, box["y"] + box["height"] - 3)
    expect(tip).to_be_hidden()
    page.page.mouse.move(box["x"] + left, box["y"] + top)
    expect(tip).to_be_visible()
    page.page.mouse.click(box["x"] + left, box["y"] + top)
    expect(page.page.locator("dialog[open] h2")).to_have_text(tip.locator(".name").text_content() or name)
    page.page.keyboard.press("Escape")
    handle, drawing, before = canvas.element_handle(), canvas.evaluate(DRAWING), painted(canvas)
    page.page.get_by_role("button", name="global", exact=False).first.click()
    expect(page.page.locator(".legend [aria-pressed=false]")).to_have_count(1)
    page.page.wait_for_function("([canvas, before]) => canvas.toDataURL() !== before", arg=[handle, drawing])
    assert painted(canvas) < before
    page.page.locator("summary", has_text="The same as a table").click()
    rows = page.page.locator(".map table tbody tr")
    expect(rows).to_have_count(50)
    rows.first.get_by_role("button").click()
    expect(page.page.locator("dialog[open] .facts")).to_be_visible()


def painted(canvas: Locator) -> int:
    """Return the pixels of a canvas on which something is drawn."""
    data = base64.b64decode(canvas.evaluate(DRAWING).partition(",")[2])
    with Image.open(io.BytesIO(data)) as image:
        return sum(image.getchannel("A").histogram()[1:])


def test_the_audits_suspects_are_confirmed_or_corrected(page: Visit, store: str, cache: Path) -> None:
    page.go("judge/audit")
    page.page.get_by_role("button", name="Start the audit").click()
    suspects = page.page.locator(".finding", has=page.page.locator(".decision"))
    expect(suspects.first).to_be_visible()
    right, wrong = suspects.nth(0), suspects.nth(1)
    first, second = (
        each.locator(".subject .card").get_attribute("data-image") or "" for each in (right, wrong)
    )
    right.get_by_role("button", name="The label is right").click()
    expect(right.locator(".decision")).to_contain_text("Confirmed")
    label, suggested = (wrong.locator(".claim b").nth(place).text_content() for place in range(2))
    assert fields_of(store, cache, second)["label"] == label
    wrong.get_by_role("button", name=f"Correct to {suggested}").click()
    expect(wrong.locator(".decision")).to_contain_text(f"Corrected, was {label}")
    expect(wrong.locator(".subject .tag")).to_have_text(suggested or "?")
    assert fields_of(store, cache, second)["label"] == suggested
    # What it was evidence of is judged again, and the page says what is said of it by now.
    job = re.search(r"job=(\w+)", page.page.url)
    assert job
    answer = page.page.request.get(f"{page.url}/v1/jobs/{job[1]}/audit?list=suspects&limit=200").json()
    now = {each["image"]["id"]: each["suggested"] for each in answer["suspects"]}
    assert answer["total"] == len(now)
    for each in suspects.or_(page.page.locator(".finding", has_text="Nothing speaks against")).all():
        identity = each.locator(".subject .card").get_attribute("data-image") or ""
        if identity not in (first, second):
            claimed = now.get(identity)
            expect(each).to_contain_text(f"more like {claimed}" if claimed else "Nothing speaks against")
    # Whoever looks at the audit again sees what became of them.
    page.page.reload()
    page.page.locator("[aria-pressed=true]", has_text="Suspect").wait_for()
    page.page.wait_for_selector(".finding")
    while page.page.locator(".more button").is_visible():
        page.page.locator(".more button").click()
        page.page.wait_for_function("() => !document.querySelector('.more .waiting')")
    again = page.page.locator(".finding", has=page.page.locator(f"[data-image='{first}']")).filter(
        has_text="Confirmed"
    )
    expect(again.first).to_be_visible()
    changed = page.page.locator(".finding", has=page.page.locator(f".subject [data-image='{second}']"))
    expect(changed).to_contain_text(f"It is {suggested} by now")
    page.page.locator(f".subject [data-image='{second}'] .open").click()
    dialog = page.page.locator("dialog[open]")
    field = dialog.locator(".field", has_text="label")
    field.get_by_role("button", name="Change label").click()
    field.get_by_role("combobox").fill(label or "")
    field.get_by_role("button", name="Correct", exact=True).click()
    expect(field.locator(".told")).to_contain_text("Corrected")
    assert fields_of(store, cache, second)["label"] == label
    page.page.keyboard.press("Escape")
    for name in ("Near-duplicates", "Outliers", "Small classes", "Left out"):
        page.page.locator(".chips .chip", has_text=name).click()
        expect(page.page.locator(".findings h2")).to_have_text(name)
        expect(page.page.locator(".findings .waiting")).to_have_count(0)


def test_an_audit_without_labels_shows_poor_pictures_with_their_measures(page: Visit) -> None:
    page.go("judge/audit", "woven")
    page.page.locator(".asker").get_by_label("Label").select_option("")
    page.page.get_by_role("button", name="Start the audit").click()
    lists = page.page.locator(".chips .chip")
    expect(lists.filter(has_text="Outliers")).to_be_visible()
    expect(lists.filter(has_text="Suspect")).to_have_count(0)
    lists.filter(has_text="Poor pictures").click()
    dark = page.page.locator(".finding", has=page.page.locator("b", has_text="Dark"))
    expect(dark).to_contain_text("below 0.32")
    expect(dark.locator(".card")).to_have_count(1)
    expect(dark.locator(".card")).to_contain_text("0.000")
    expect(dark.locator(".card .name")).to_have_text("spot/dark.png")


def test_what_to_label_next_is_suggested_and_labelled(page: Visit, store: str, cache: Path) -> None:
    page.go("judge/suggest", "woven")
    page.page.locator(".asker").get_by_label("Label").fill("checked")
    page.page.get_by_label("How many").fill("3")
    page.page.get_by_role("button", name="Suggest").click()
    first = page.page.locator(".finding").first
    expect(page.page.locator(".finding")).to_have_count(3)
    expect(page.page.locator(".result")).to_contain_text("without: 10")
    first.get_by_label("What it is").fill("yes")
    page.page.keyboard.press("Enter")
    expect(first.locator(".told")).to_contain_text("Labelled")
    identity = first.locator(".card").get_attribute("data-image") or ""
    assert fields_of(store, cache, identity, "woven")["checked"] == "yes"
    page.page.get_by_role("button", name="Suggest").click()
    expect(page.page.locator(".result")).to_contain_text("without: 9")
    # What is known by now has a button, and undone it is as before.
    expect(first.locator(".row:not(.subject)")).to_contain_text("yes")
    first.get_by_role("button", name="yes", exact=True).click()
    first.get_by_role("button", name="Undo").click()
    expect(first.locator(".told")).to_contain_text("As it was before")


def test_drift_of_some_images_against_the_others(page: Visit) -> None:
    page.go("judge/drift")
    page.page.get_by_label("New where").select_option("label")
    page.page.get_by_label("is", exact=True).fill("global")
    page.page.get_by_role("button", name="Compare").click()
    expect(page.page.locator(".outcome")).to_have_text("Drift")
    expect(page.page.locator(".tiles")).to_contain_text("40new images")
    expect(page.page.locator(".tiles")).to_contain_text("110images they were compared with")
    new, others = (
        page.page.locator(".findings", has=page.page.get_by_role("heading", name=each))
        for each in ("New images most unlike", "Others most unlike")
    )
    assert all(each.startswith("global/") for each in new.locator(".subject .name").all_text_contents())
    assert others.locator(".subject .card").count() > 0
    # Pictures that are chosen need not be in the collection, and are shown from the page's own memory.
    strangers = sorted((textile_simulated_root() / "global").iterdir())[COUNTS["global"] :][:12]
    page.pick(*strangers)
    expect(page.page.locator(".asker")).to_contain_text("12 new pictures")
    page.page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.page.locator(".tiles")).to_contain_text("12new images")
    assert set(new.locator(".side:nth-of-type(1) > .name").all_text_contents()) <= {
        file.name for file in strangers
    }
    page.pictures_are_shown(".findings")
    assert (new.locator("img").first.get_attribute("src") or "").startswith("blob:")


def test_a_job_shows_its_progress_and_is_cancelled(page: Visit, site: Server) -> None:
    """The progress is slowed down on its way to the page, so that there is time to cancel."""
    page.go("judge/evaluation")
    state: dict[str, Any] = {"cancelled": False}

    def answer(route: Route) -> None:
        if route.request.method == "DELETE":
            state["cancelled"] = True
        found = route.fetch()
        job = found.json()
        told = (
            {"state": "cancelled"} if state["cancelled"] else {"state": "running", "done": 30, "total": 150}
        )
        route.fulfill(response=found, json={**job, **told})

    page.page.route(re.compile(r"/v1/jobs/\w+$"), answer)
    page.page.get_by_role("button", name="Evaluate").click()
    expect(page.page.get_by_role("progressbar")).to_have_attribute("value", "30")
    expect(page.page.locator(".job-text")).to_have_text("30 of 150")
    page.page.get_by_role("button", name="Cancel").click()
    expect(page.page.locator(".result .notice")).to_have_text("Cancelled.")


def test_what_is_indexed_is_brought_up_to_date(page: Visit, folder: Path) -> None:
    new = folder / "textile" / "nominal" / "new.jpg"
    drawn("umbrella").save(new)
    broken = folder / "textile" / "nominal" / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 no more")
    try:
        page.go("index")
        total = sum(COUNTS.values())
        expect(page.page.locator("dl.facts dd").first).to_have_text(str(total))
        expect(page.page.locator(".vectors li")).to_have_count(1)
        expect(page.page.locator(".vectors li")).to_contain_text(
            "image efficientnet-lite0 (1,280) default · "
        )
        page.page.get_by_role("button", name="Index again").click()
        tiles = page.page.locator(".result .tiles")
        expect(tiles).to_contain_text("1added")
        expect(tiles).to_contain_text("1skipped")
        page.page.locator("summary", has_text="Why 1 file was skipped").click()
        expect(page.page.locator(".result details")).to_contain_text("nominal/broken.jpg")
        expect(page.page.locator("dl.facts dd").first).to_have_text(str(total + 1))
        expect(page.page.get_by_label("Collection").locator("option").first).to_have_text(
            f"textile ({total + 1})"
        )
        new.unlink()
        page.page.get_by_label("Remove images whose file is gone").check()
        page.page.get_by_role("button", name="Index again").click()
        expect(tiles).to_contain_text("1removed")
    finally:
        new.unlink(missing_ok=True)
        broken.unlink()


def test_pictures_are_added_with_fields_and_reasons(browser: Browser, site: Server, folder: Path) -> None:
    drawn("crossword").save(folder / "added.png")
    (folder / "no picture.txt").write_text("no picture")
    with visit(browser, site.url, expected=(422,)) as page:
        page.go("index", "things")
        page.page.get_by_label("Field", exact=True).fill("kind")
        page.page.get_by_label("Value", exact=True).fill("added")
        page.page.locator("input[type=file]").set_input_files(
            [folder / "added.png", folder / "no picture.txt"]
        )
        expect(page.page.locator(".box .status")).to_have_text("2 of 2 done, 1 added")
        expect(page.page.locator(".uploads li", has_text="no picture.txt")).to_contain_text("not an image")
        page.page.locator(".uploads li", has_text="added.png").get_by_role("button").click()
        dialog = page.page.locator("dialog[open]")
        expect(dialog.locator("h2")).to_have_text("added.png")
        expect(dialog.locator(".field", has_text="kind")).to_contain_text("added")
        page.pictures_are_shown("dialog")
        expect(page.page.get_by_label("Collection").locator("option").nth(1)).to_have_text(
            f"things ({len(FILES) + 1})"
        )
        identity = dialog.locator("code").text_content()
        removed = page.page.request.delete(f"{site.url}/v1/collections/things/images/{identity}")
        assert removed.status == 204


def test_a_store_without_collections_says_what_to_do(browser: Browser, cache: Path, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'empty.db'}"
    Database(store, cache=cache).close()
    with (
        server_process(tmp_path, "--store", store, "--cache", cache) as site,
        visit(browser, site.url) as page,
    ):
        page.page.goto(site.url)
        expect(page.page.locator("h1")).to_have_text("Nothing is indexed yet")
        expect(page.page.locator("main")).to_contain_text("lookalike index FOLDER")
        expect(page.page.locator("main")).to_contain_text("another store")


def test_a_collection_without_images_or_labels_says_what_to_do(
    browser: Browser, cache: Path, tmp_path: Path
) -> None:
    store = f"sqlite:///{tmp_path / 'empty.db'}"
    with Database(store, cache=cache) as database:
        database.create("hollow", "efficientnet-lite0")
    with (
        server_process(tmp_path, "--store", store, "--cache", cache) as site,
        visit(browser, site.url) as page,
    ):
        page.go("search", "hollow")
        expect(page.page.locator(".results")).to_contain_text("no images yet")
        for view in ("classify", "judge"):
            page.go(view, "hollow")
            expect(page.page.locator("main .notice")).to_contain_text("in the view Index")
        # What needs no label can be asked for all the same.
        expect(page.page.locator(".tabs a")).to_have_text(["Audit", "What to label"])


def test_pictures_of_objects_are_shown_and_none_beside_what_was_indexed(
    browser: Browser, cache: Path, tmp_path: Path, bucket: Bucket
) -> None:
    keys = ["parts/good/한국 +%.png", "parts/bad/b.png", "secret/c.png"]
    for number, key in enumerate(keys):
        file = io.BytesIO()
        picture(number).save(file, "png")
        bucket.put({key: file.getvalue()})
    store = f"sqlite:///{tmp_path / 'objects.db'}"
    with Database(store, cache=cache) as database:
        objects = database.create("objects", "efficientnet-lite0")
        objects.index(bucket.path("parts"))
        (first, second), vectors = objects.vectors.read()
        uri = f"{bucket.uri}/{keys[2]}"
        secret = replace(first, id=record_id(uri), uri=uri)
        database.store.put("objects", [secret], {objects.info().space: vectors[:1]})
    with (
        server_process(tmp_path, "--store", store, "--cache", cache) as site,
        visit(browser, site.url, expected=(403,)) as page,
    ):
        page.go("search", "objects", p=f"+{first.id}")
        page.settled()
        assert set(page.ids()) == {first.id, second.id, secret.id}
        for one in (first, second):
            page.pictures_are_shown(f".results .card[data-image='{one.id}']")
        page.pictures_are_shown(".terms")
        hidden = page.page.locator(f".results .card[data-image='{secret.id}']")
        expect(hidden.locator(".missing")).to_be_visible()
        expect(hidden.locator("img")).to_have_count(0)


def test_no_figure_is_broken_in_two_beside_a_long_label(page: Visit) -> None:
    page.go("judge", "things", by="label")
    page.page.get_by_role("button", name="Evaluate", exact=True).click()
    figures = page.page.locator("td.n")
    expect(figures.first).to_be_visible()
    count_lines = """(all) => all.map((each) => {
        const range = document.createRange();
        range.selectNodeContents(each);
        return new Set([...range.getClientRects()].map((line) => Math.round(line.top))).size;
    })"""
    # A figure whose table is being drawn anew has no line for a moment.
    for _ in range(100):
        lines = figures.evaluate_all(count_lines)
        if 0 not in lines:
            break
        page.page.wait_for_timeout(50)
    assert set(lines) == {1}


def test_a_key_is_asked_for_and_one_that_reads_cannot_write(
    browser: Browser, store: str, cache: Path, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    reading, writing = new_key("reader", "read"), new_key("writer", "write")
    for _, key in (reading, writing):
        add_key(keys, key)
    with (
        server_process(tmp_path, "--store", store, "--cache", cache, "--keys", keys) as site,
        visit(browser, site.url, expected=(401,)) as page,
    ):
        page.page.goto(site.url)
        dialog = page.page.locator("dialog[open]")
        expect(dialog).to_contain_text("A key is needed")
        page.page.keyboard.press("Escape")
        expect(dialog).to_be_visible()
        dialog.get_by_label("Key").fill("guessed")
        page.page.keyboard.press("Enter")
        expect(dialog.get_by_role("alert")).to_contain_text("not known")
        dialog.get_by_label("Key").fill(reading[0])
        page.page.keyboard.press("Enter")
        expect(dialog).to_have_count(0)
        page.search("cloth")
        assert page.cards.count() == 24
        page.pictures_are_shown(".results")
        assert page.page.evaluate("document.cookie") == ""
        identity = page.ids()[0]
        page.cards.first.locator(".open").click()
        expect(dialog).to_contain_text("may read and not write")
        expect(dialog.get_by_role("button", name="Change")).to_have_count(0)
        page.go("classify", p=identity)
        expect(page.page.locator(".truth")).to_contain_text("may read and not write")
        expect(page.page.get_by_role("button", name="Correct")).to_have_count(0)
        page.go("index")
        expect(page.page.get_by_role("button", name="Index again")).to_have_count(0)
        page.page.get_by_role("button", name="Sign out").click()
        dialog.get_by_label("Key").fill(writing[0])
        page.page.keyboard.press("Enter")
        expect(page.page.get_by_role("button", name="Index again")).to_be_visible()


@pytest.fixture(scope="module")
def axe() -> str:
    """axe-core, which looks for what shuts people out; the package carries it as one script."""
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None or found.origin is None:
        pytest.skip("axe-playwright-python is not installed")
    return Path(found.origin).with_name("axe.min.js").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_axe_finds_nothing_that_shuts_people_out(
    browser: Browser, site: Server, axe: str, photograph: Path, scheme: Any, width: int
) -> None:
    with visit(browser, site.url, color_scheme=scheme, viewport={"width": width, "height": 900}) as page:

        def check(where: str) -> None:
            page.page.evaluate(axe)
            found = page.page.evaluate(
                """async () => (await axe.run(document, { resultTypes: ["violations"] })).violations
                    .map(({ id, nodes }) => [id, nodes.map((each) => each.html.slice(0, 160))])"""
            )
            assert found == [], where

        page.go()
        for n in range(2):
            page.cards.nth(n).locator(".open").click(modifiers=["Control"])
        page.page.get_by_role("button", name="Label", exact=True).click()
        check("all images, two of them chosen")
        page.page.get_by_role("button", name="Compare").click()
        expect(page.page.locator("dialog .beside")).to_be_visible()
        check("comparison")
        page.go(q="cloth", f=json.dumps({"label": ["local"]}), hybrid=1)
        page.settled()
        check("search")
        page.cards.first.locator(".open").click()
        expect(page.page.locator("dialog .facts")).to_be_visible()
        page.page.locator("dialog").get_by_role("button", name="Change label").click()
        page.page.locator("dialog").get_by_role("button", name="Search by a part").click()
        page.page.keyboard.press("ArrowLeft")
        expect(page.page.get_by_role("button", name="Search for this part")).to_be_visible()
        check("details")
        identity = page.ids()[0]
        page.go("classify")
        check("classify, empty")
        page.go("classify", p=identity)
        page.settled()
        check("classify")
        page.go("classify", "woven")
        page.pick(photograph)
        expect(page.page.locator(".outcome")).to_be_visible()
        page.page.get_by_role("button", name="Why?").click()
        expect(page.page.locator(".why h3")).to_be_visible()
        check("anomaly")
        for tab, what in (
            ("evaluation", ".matrix"),
            ("map", "canvas"),
            ("audit", ".finding"),
            ("drift", ".finding"),
        ):
            page.go(f"judge/{tab}")
            if tab == "drift":
                page.page.get_by_label("is", exact=True).fill("local")
            page.page.locator(".asker button.primary").click()
            expect(page.page.locator(what).first).to_be_visible()
            if tab == "evaluation":
                page.page.locator(".matrix button.wrong").first.click()
                expect(page.page.locator(".cell .finding").first).to_be_visible()
            page.page.locator("main details").evaluate_all(
                "(all) => all.forEach((each) => { each.open = true; })"
            )
            check(tab)
        page.go("index")
        expect(page.page.get_by_role("button", name="Index again")).to_be_visible()
        check("index")
