"""What `index` leaves out, through the command: it is counted, stays out, and the service keeps to it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from lookalike.ingest.indexed_folders import indexed_paths

if TYPE_CHECKING:
    from tests.conftest import CommandLine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures of two classes, with a thumbnail, a mask and a hidden file beside them."""
    root = tmp_path / "parts"
    for n, name in enumerate(
        (
            *("good/001.png", "good/@eaDir/001.png/SYNO.jpg", "bad/002.png", "bad/002_mask.png"),
            *("bad/.003.png", "old/004.png"),
        )
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(n).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
    return root


def indexed(lookalike: CommandLine, *words: str | Path, code: int = 0) -> dict[str, list[dict[str, object]]]:
    """Run `index` and return what it says, by type."""
    out, _ = lookalike("index", *words, "--format", "jsonl", code=code)
    found: dict[str, list[dict[str, object]]] = {}
    for line in map(json.loads, out.splitlines()):
        found.setdefault(line["type"], []).append(line)
    return found


def names(lookalike: CommandLine) -> list[str]:
    out, _ = lookalike("sql", "SELECT path FROM images", "--format", "jsonl")
    return sorted(Path(json.loads(line)["path"]).name for line in out.splitlines())


def test_what_is_left_out_is_counted_and_said(lookalike: CommandLine, folder: Path) -> None:
    said = indexed(lookalike, folder, "--exclude", "old", "--exclude", "typo")
    assert names(lookalike) == ["001.png", "002.png"]
    assert {(one["reason"], one["count"]) for one in said["left_out"]} == {
        ("by --exclude old", 1),
        ("in @eaDir (thumbnails of a NAS)", 1),
        ("named …_mask beside their picture (masks)", 1),
        ("with hidden names", 1),
    }
    assert said["summary"][0]["left_out"] == 4
    assert [one["text"] for one in said["remark"]] == ["the pattern 'typo' matches no picture"]
    out, _ = lookalike("index", folder, "--exclude", "old")
    assert (
        "left out: 1 image in @eaDir (thumbnails of a NAS), such as parts/good/@eaDir/001.png/SYNO.jpg" in out
    )


def test_records_of_what_is_left_out_now_stay_and_are_said(lookalike: CommandLine, folder: Path) -> None:
    indexed(lookalike, folder)
    said = indexed(lookalike, folder, "--exclude", "old", "--prune")
    assert said["summary"][0]["removed"] == 0
    assert names(lookalike) == ["001.png", "002.png", "004.png"]
    (remark,) = said["remark"]
    assert str(remark["text"]).startswith("1 of what is left out now was indexed before and stays")


def test_where_all_is_left_out_the_error_says_why(lookalike: CommandLine, folder: Path) -> None:
    _, err = lookalike("index", folder, "--include", "*.tif", code=1)
    assert "no image below" in err
    assert "3 left out: by --include, which others match" in err
    _, err = lookalike("index", folder, "--exclude", "[z-a]", code=2)
    assert "is no pattern" in err


def test_files_that_are_listed_are_left_out_by_their_paths(lookalike: CommandLine, folder: Path) -> None:
    os.chdir(folder)
    indexed(lookalike, "good/001.png", "old/004.png", "--exclude", "old/*")
    assert names(lookalike) == ["001.png"]
    lookalike("index", "old/004.png", "--exclude", "old", code=1)


def test_the_patterns_are_noted_for_the_service(lookalike: CommandLine, folder: Path, cache: Path) -> None:
    indexed(lookalike, folder, "--exclude", "old", "--include", "*.png")
    noted = indexed_paths(cache, lookalike.store)["images"]
    assert noted.folders == (folder,)
    assert (noted.patterns[folder].exclude, noted.patterns[folder].include) == (("old",), ("*.png",))
    indexed(lookalike, folder)
    assert indexed_paths(cache, lookalike.store)["images"].patterns == {}


def test_names_that_a_zip_left_in_another_code_page_are_shown_as_what_they_are(
    lookalike: CommandLine, folder: Path
) -> None:
    packed = os.fsdecode("불량".encode("cp949"))
    (folder / "bad").rename(folder / packed)
    (folder / packed / "002.png").rename(folder / packed / os.fsdecode("부품2.png".encode("cp949")))
    said = indexed(lookalike, folder)
    assert [one["text"] for one in said["remark"]] == [
        "its name, or a folder's, was taken for CP949; images of such names: 2"
    ]
    out, _ = lookalike(
        "sql", "SELECT path, label FROM images WHERE label = '불량' ORDER BY path", "--format", "jsonl"
    )
    rows = [json.loads(line) for line in out.splitlines()]
    assert {Path(row["path"]).name for row in rows} == {"002_mask.png", "부품2.png"}
    out, _ = lookalike("search", folder / "good/001.png", "-k", "9")
    assert "불량/부품2.png" in out
    assert "\\udc" not in out
