"""The reports: one file, opened in a real browser, that asks nobody for anything and shows what it says."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from conformal_clip_data import textile_simulated_root
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from lookalike.audit.audit import audit
from lookalike.audit.picture_quality import KINDS, PictureFinding, PictureQuality
from lookalike.errors import InvalidArgument
from lookalike.images.levels import AUTO, FULL, Range
from lookalike.report.audit_report import write_audit_report
from lookalike.report.evaluation_report import write_evaluation_report
from lookalike.report.thumbnails import BUDGET, Thumbnails
from lookalike.types import Record, Vectors
from lookalike.uris import file_uri, record_id
from lookalike.vectors.metric import normalise
from lookalike.vectors.near_duplicates import Chain
from tests.evaluations import evaluate
from tests.mean_colours import save
from tests.page.page_visits import ARGUMENTS, CHROMIUM

NASTY = "<b onclick='alert(1)'>\"결함\"</b></script><script>alert(2)</script>"
LABELS = ("정상", NASTY, "x" * 10_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


def collection(files: list[Path], labels: list[str]) -> tuple[list[Record], Vectors]:
    """Return records of real files, and vectors that tell most of their labels apart."""
    rng = np.random.default_rng(0)
    places = {label: place for place, label in enumerate(sorted(set(labels)))}
    codes = [places[label] for label in labels]
    vectors = rng.normal(scale=0.35, size=(len(files), 40)).astype(np.float32)
    vectors[np.arange(len(files)), codes] += 1
    records = []
    for file, label in zip(files, labels, strict=True):
        uri = file_uri(file)
        digest = hashlib.sha256(file.read_bytes() if file.exists() else b"").hexdigest()
        records.append(Record(record_id(uri), uri, digest, {"label": label, "split": "train"}, {}, 1, 1))
    return records, normalise(vectors)


@pytest.fixture
def pictures(tmp_path: Path, textile_files: dict[str, list[Path]]) -> list[Path]:
    """60 photographs, a few under difficult names, one damaged and one gone since they were indexed."""
    folder = tmp_path / "<i>사진 & 'co'"
    folder.mkdir()
    files = []
    for n, file in enumerate(each for some in textile_files.values() for each in some):
        copy = folder / f"{n}-\"'<u>&.jpg"
        copy.write_bytes(b"no picture" if n == 3 else file.read_bytes())
        files.append(copy)
    files[4].unlink()
    return files


def opened(browser: Browser, path: Path, width: int) -> tuple[Page, list[str]]:
    """Open a file and return the page with what it complained of or asked the network for."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    trouble: list[str] = []
    page.on(
        "console",
        lambda said: trouble.append(said.text) if said.type in ("error", "warning") else None,
    )
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("dialog", lambda dialog: trouble.append(dialog.message))
    page.on(
        "request",
        lambda asked: None if asked.url.startswith(("file:", "data:")) else trouble.append(asked.url),
    )
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready=yes]")
    return page, trouble


def hovered_picture(page: Page) -> str:
    """Point at places of the map until a picture is shown, and return where it comes from."""
    page.locator("#map .drawing").scroll_into_view_if_needed()
    box = page.locator("#map .drawing").bounding_box()
    assert box
    # Bokeh keeps the tip in a shadow tree, which Playwright's locators look into.
    tip = page.locator(".tip img")
    for down in range(60, int(box["height"]) - 120, 9):
        for right in range(60, int(box["width"]) - 20, 9):
            page.mouse.move(box["x"] + right, box["y"] + down)
            if tip.count() and tip.first.is_visible():
                return tip.first.get_attribute("src") or ""
    raise AssertionError("no point of the map shows a picture")


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 400])
def test_both_reports_open_offline_show_pictures_and_take_names_for_text(
    browser: Browser, pictures: list[Path], tmp_path: Path, width: int
) -> None:
    records, vectors = collection(pictures, [LABELS[n % 3] for n in range(60)])
    vectors[10] = vectors[13]
    evaluation = evaluate(records, vectors, "label")
    write_evaluation_report(tmp_path / "e.html", evaluation, records, vectors, collection="사진 <1>")
    found = audit(records, vectors, "label")
    write_audit_report(tmp_path / "a.html", found, records, vectors, collection="사진 <1>")
    assert evaluation.mistakes
    assert found.contradicted

    for name, findings in (("e.html", len(evaluation.mistakes)), ("a.html", len(found.contradicted))):
        page, trouble = opened(browser, tmp_path / name, width)
        where = "#mistakes" if name == "e.html" else "#suspects"
        assert page.locator(f"{where} .finding").count() == findings
        text = page.inner_text("main")
        assert "정상" in text
        assert "<b onclick='alert(1)'>" in text
        assert "x" * 200 not in text
        assert page.inner_text("h1").startswith("사진 <1>")
        assert page.locator("main u, main header i, [onclick]").count() == 0
        first = page.locator(f"{where} .finding img").first
        first.scroll_into_view_if_needed()
        page.wait_for_function("(img) => img.naturalWidth > 0", arg=first.element_handle())
        assert hovered_picture(page).startswith("data:image/")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert trouble == []
        page.close()
    page, _ = opened(browser, tmp_path / "e.html", width)
    assert page.locator("#confusion table td").count() == 9
    page.close()


def test_pictures_of_a_report_are_shown_by_the_range_of_the_model(tmp_path: Path) -> None:
    samples = np.linspace(0, 2047, 60 * 40).reshape(40, 60).astype(np.uint16)
    Image.fromarray(samples).save(tmp_path / "dim.png")
    digest = hashlib.sha256((tmp_path / "dim.png").read_bytes()).hexdigest()
    record = Record("a" * 32, file_uri(tmp_path / "dim.png"), digest, {}, {}, 1, 1)
    brightest = []
    for levels in (AUTO, Range.parse("0:2047"), FULL):
        thumbnails = Thumbnails(levels)
        thumbnails.add([record], 10_000)
        picture = Image.open(BytesIO(b64decode(thumbnails.pictures[record.id]))).convert("L")
        brightest.append(picture.getextrema()[1])
    assert brightest == pytest.approx([128, 255, 8], abs=8)


def test_a_picture_that_cannot_be_read_has_its_reason_in_its_place(pictures: list[Path]) -> None:
    records, _ = collection(pictures[:6], ["a", "b"] * 3)
    thumbnails = Thumbnails()
    thumbnails.add(records, BUDGET)
    assert len(thumbnails.pictures) == 4
    assert "not an image" in thumbnails.missing[records[3].id]
    assert "No such file" in thumbnails.missing[records[4].id]


def test_pictures_shrink_to_the_room_there_is(textile_files: dict[str, list[Path]]) -> None:
    records, _ = collection(textile_files["local"], ["a", "b"] * 10)
    sizes = []
    for budget in (1_000_000, 40_000, 0):
        thumbnails = Thumbnails()
        thumbnails.add(records, budget)
        assert thumbnails.size <= budget
        assert len(thumbnails.pictures) + len(thumbnails.missing) == 20
        sizes.append(thumbnails.size)
    assert sizes[0] > sizes[1] > sizes[2] == 0


@pytest.mark.slow
def test_ten_thousand_images_stay_below_20_megabytes(tmp_path: Path) -> None:
    """Crops of real photographs, four files of each, half of them mistaken: the worst that is likely."""
    rng = np.random.default_rng(0)
    sources = [Image.open(file) for file in sorted((textile_simulated_root() / "global").iterdir())[:50]]
    files = [tmp_path / f"{n:05}.jpg" for n in range(10_000)]
    for n, file in enumerate(files[:2_500]):
        left, top = rng.integers(0, 120, 2).tolist()
        sources[n % 50].crop((left, top, left + 128, top + 128)).save(file, quality=85)
        for other in files[n + 2_500 :: 2_500]:
            other.hardlink_to(file)
    records, vectors = collection(files, [f"class {n % 4}" for n in range(10_000)])
    vectors[:4_000] = normalise(rng.normal(size=(4_000, 40)).astype(np.float32))
    evaluation = evaluate(records, vectors, "label")
    assert len(evaluation.mistakes) > 2_000
    path = tmp_path / "e.html"
    write_evaluation_report(path, evaluation, records, vectors, collection="many")
    assert path.stat().st_size < 20_000_000
    text = path.read_text()
    found = re.search(r'id="picture-data">(.*?)</script>', text)
    assert found
    assert len(json.loads(found[1])["pictures"]) > 9_900


def test_more_classes_than_a_matrix_holds_are_listed(
    tmp_path: Path, textile_files: dict[str, list[Path]]
) -> None:
    files = [file for some in textile_files.values() for file in some]
    records, _ = collection(files, [f"class {n % 30}" for n in range(60)])
    vectors = normalise(np.random.default_rng(1).normal(size=(60, 12)).astype(np.float32))
    write_evaluation_report(
        tmp_path / "e.html", evaluate(records, vectors, "label"), records, vectors, collection="many"
    )
    assert "Too many classes for a matrix" in (tmp_path / "e.html").read_text()


def test_a_report_of_an_audit_without_labels_speaks_of_none(
    tmp_path: Path, textile_files: dict[str, list[Path]]
) -> None:
    records, vectors = collection(textile_files["local"], ["a", "b"] * 10)
    vectors[3] = vectors[2]
    chain = Chain(images=12, groups=3, similarity=0.25)
    dark = PictureQuality(20, KINDS, (PictureFinding(records[0], "dark", 0.1),), ())
    found = replace(audit(records, vectors, None), chains=(chain,), pictures=dark)
    write_audit_report(tmp_path / "a.html", found, records, vectors, collection="x")
    page = (tmp_path / "a.html").read_text()
    assert "x: audit without labels" in page
    assert "Near-duplicates" in page
    assert "A chain of near-duplicates was taken apart" in page
    assert "12 images, 3 groups, least similarity 0.2500" in page
    assert "Labels that the neighbours contradict" not in page
    assert "too small to judge" not in page
    # What the script finds its pictures by is no section's.
    names = re.findall(r' id="([^"]+)"', page)
    assert "pictures" in names
    assert len(names) == len(set(names))


def test_a_report_that_cannot_be_written_leaves_what_was_there(
    tmp_path: Path, textile_files: dict[str, list[Path]]
) -> None:
    records, vectors = collection(textile_files["local"], ["a", "b"] * 10)
    found = audit(records, vectors, "label")
    with pytest.raises(InvalidArgument, match="is a folder"):
        write_audit_report(tmp_path, found, records, vectors, collection="x")
    with pytest.raises(InvalidArgument, match="is no folder"):
        write_audit_report(tmp_path / "no" / "a.html", found, records, vectors, collection="x")
    kept = tmp_path / "kept.html"
    kept.write_text("kept")
    with pytest.raises(ValueError, match="stop"):
        write_audit_report(kept, replace(found, method=_Unprintable()), records, vectors, collection="x")
    assert kept.read_text() == "kept"
    assert list(tmp_path.iterdir()) == [kept]


class _Unprintable(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise ValueError("stop")

    def __html__(self) -> str:
        raise ValueError("stop")


def test_a_report_shows_what_links_lead_to_and_no_other_file(tmp_path: Path) -> None:
    kept = save(tmp_path / "elsewhere" / "kept.png", 1)
    link = tmp_path / "links" / "a.png"
    link.parent.mkdir()
    link.symlink_to(kept)
    uri, digest = file_uri(link), hashlib.sha256(kept.read_bytes()).hexdigest()
    record = Record(record_id(uri), uri, digest, {}, {}, kept.stat().st_size, 1)
    made = Thumbnails()
    made.add([record], 100_000)
    assert (list(made.pictures), made.missing) == ([record.id], {})
    link.unlink()
    link.symlink_to(save(tmp_path / "elsewhere" / "secret.png", 2))
    made = Thumbnails()
    made.add([record], 100_000)
    assert made.pictures == {}
    assert "has changed" in made.missing[record.id]
