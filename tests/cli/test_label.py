"""The command label: what a person puts right, image by image or in a table, and what becomes of the rest."""

from __future__ import annotations

import io
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lookalike.database import Database
from lookalike.metric_learning.correction_table import like_others
from lookalike.metric_learning.corrections import Correction
from tests.cli.json_lines import lines
from tests.conftest import CommandLine
from tests.mean_colours import save

NAMES = ("양품_1", "양품_2", "불량_1", "불량_2")


@pytest.fixture
def parts(tmp_path: Path, lookalike: CommandLine) -> Path:
    """Four pictures with a table of their labels, indexed; grades are numbers, and lots texts."""
    root = tmp_path / "parts"
    for number, name in enumerate(NAMES):
        save(root / f"{name}.png", number)
    rows = [f"{name}.png,{name[:2]},{number},L{number}" for number, name in enumerate(NAMES)]
    (root / "metadata.csv").write_text("\n".join(["file_name,label,grade,lot", *rows]), encoding="utf-8")
    lookalike("index", root, "-c", "parts", "--quiet")
    return root


def fields(lookalike: CommandLine, name: str) -> dict[str, object]:
    """Return the fields of an image, as a dry run that would set one shows its record."""
    out, _ = lookalike(
        "label", f"parts/{name}.png", "--set", "probe=x", "--dry-run", "--format", "jsonl", "-c", "parts"
    )
    found: dict[str, object] = next(line["fields"] for line in lines(out) if line["type"] == "corrected")
    return {field: value for field, value in found.items() if field != "probe"}


def test_labels_of_images(lookalike: CommandLine, parts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, _ = lookalike(
        "label", "parts/양품_1.png", "--set", "label=불량", "--set", "grade=3", "--dry-run", "-c", "parts"
    )
    assert "1 put right; this was a dry run, and nothing was changed" in out
    assert fields(lookalike, "양품_1") == {"label": "양품", "grade": 0, "lot": "L0"}

    out, _ = lookalike("label", "parts/양품_1.png", "--set", "label=불량", "--set", "grade=3", "-c", "parts")
    assert "before" not in out
    assert fields(lookalike, "양품_1") == {"label": "불량", "grade": 3, "lot": "L0"}
    # Indexing again, and moving the file, keep to that.
    out, _ = lookalike("index", parts, "-c", "parts")
    assert "4 unchanged" in out
    (parts / "b").mkdir()
    shutil.move(parts / "양품_1.png", parts / "b" / "양품_1.png")
    table = (parts / "metadata.csv").read_text(encoding="utf-8")
    (parts / "metadata.csv").write_text(table.replace("양품_1.png", "b/양품_1.png"), encoding="utf-8")
    lookalike("index", parts, "-c", "parts", "--prune", "--yes")
    assert fields(lookalike, "b/양품_1")["label"] == "불량"

    # By id and from stdin; a new value, and a new field, are said.
    out, _ = lookalike("label", "parts/불량_1.png", "--set", "lot=7", "-c", "parts", "--format", "jsonl")
    told = lines(out)
    assert [line["text"] for line in told if line["type"] == "remark"] == ["no image had lot = 7 before"]
    (one,) = [line for line in told if line["type"] == "corrected"]
    assert (one["fields"]["lot"], one["was"]) == ("7", {"lot": "L2"})
    monkeypatch.setattr(
        "sys.stdin", io.TextIOWrapper(io.BytesIO(f"{one['id']}\nparts/불량_2.png\n".encode()))
    )
    out, _ = lookalike("label", "-", "--set", "seen=true", "--confirm", "label", "-c", "parts")
    assert "2 put right, 2 confirmed" in out
    assert "seen is a new field" in out
    assert fields(lookalike, "불량_2") == {"label": "불량", "grade": 3, "lot": "L3", "seen": True}

    # What was delivered comes back.
    lookalike("label", one["id"], "--undo", "lot", "--unset", "seen", "-c", "parts")
    assert fields(lookalike, "불량_1") == {"label": "불량", "grade": 2, "lot": "L2"}
    out, _ = lookalike("label", one["id"], "--undo", "lot", "--unset", "colour", "-c", "parts")
    assert "1 unchanged" in out
    assert "no image has a field colour" in out
    # Also a field that no image has any more.
    lookalike("label", *parts.rglob("*.png"), "--unset", "lot", "-c", "parts")
    out, _ = lookalike("label", *parts.rglob("*.png"), "--undo", "lot", "-c", "parts")
    assert "4 put right" in out
    assert "no image" not in out


def test_labels_that_several_put_right_at_once(lookalike: CommandLine, parts: Path, cache: Path) -> None:
    """Each reads a record and writes it whole: nobody's word may be lost by that."""

    def say(field: str) -> None:
        with Database(lookalike.store, cache=cache) as database:
            handle = database["parts"]
            ids = [record.id for record in handle.vectors.read()[0]]
            for number in range(10):
                handle.corrections.apply([Correction(each, {f"{field}{number}": True}) for each in ids])

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(say, "abc"))
    said = {f"{field}{number}" for field in "abc" for number in range(10)}
    for name in NAMES:
        assert fields(lookalike, name).keys() == {"label", "grade", "lot"} | said


def test_what_label_refuses(lookalike: CommandLine, parts: Path) -> None:
    for words, line in (
        ((), "name the images"),
        (("parts/양품_1.png",), "say what is right"),
        (("parts/양품_1.png", "--set", "label"), "FIELD=VALUE"),
        (("parts/양품_1.png", "--set", "label="), "--unset FIELD removes"),
        (("parts/양품_1.png", "--set", "label=a", "--field", "label"), "--from TABLE"),
        (("--from", "parts/metadata.csv", "--set", "label=a"), "stands in it"),
        (("parts/양품_1.png", "parts/none.png", "--set", "label=a"), "nothing was changed"),
        (("parts/양품_1.png", "--confirm", "colour"), "no field 'colour'"),
        (("parts/양품_1.png", "--set", "label=a", "--unset", "label"), "label is named twice"),
    ):
        _, err = lookalike("label", *words, "-c", "parts", code=2)
        assert line in err, words
    assert fields(lookalike, "양품_1")["label"] == "양품"


@pytest.mark.parametrize(("encoding", "separator"), [("utf-8", ","), ("cp949", ";"), ("utf-16", "\t")])
def test_labels_from_a_table(
    lookalike: CommandLine, parts: Path, tmp_path: Path, encoding: str, separator: str
) -> None:
    rows = (
        ("파일명", "label", "grade", "reviewer"),
        ("양품_1.png", "불량", "5", "김"),
        ("불량_2.png", "불합격", "보통", "이"),
        ("C:\\photographs\\parts\\양품_2.png", "양품", "", "김"),
        ("불량_1.png", "양품", "", "이"),
        ("불량_1.png", "불량", "", "박"),
        ("없음.png", "불량", "", "박"),
    )
    table = tmp_path / "corrections.csv"
    table.write_bytes("\r\n".join(separator.join(row) for row in rows).encode(encoding))
    out, _ = lookalike("label", "--from", table, "-c", "parts", "--format", "jsonl")
    told = lines(out)
    assert [line["reason"].partition(":")[0] for line in told if line["type"] == "skipped"] == [
        "line 7",
        "line 5",
        "line 6",
    ]
    assert "neither is used" in out
    remarks = [line["text"] for line in told if line["type"] == "remark"]
    assert any("reviewer" in text for text in remarks)
    assert "no image had label = 불합격 before" in remarks
    assert "no image had grade = 보통, 5 before; so far each is a number" in remarks
    summary = {"type": "summary", "collection": "parts", "images": 3, "put_right": 2, "confirmed": 0}
    assert told[-1] == {**summary, "unchanged": 1, "skipped": 3, "dry_run": False}
    assert fields(lookalike, "양품_1") == {"label": "불량", "grade": 5, "lot": "L0"}
    assert fields(lookalike, "불량_1")["label"] == "불량"


def test_tables_of_ids_and_of_one_field(lookalike: CommandLine, parts: Path, tmp_path: Path) -> None:
    out, _ = lookalike("label", "parts/양품_1.png", "--confirm", "lot", "-c", "parts", "--format", "jsonl")
    identity = lines(out)[0]["id"]
    table = tmp_path / "corrections.jsonl"
    table.write_text(json.dumps({"id": identity, "label": "불량", "checked by": "kim"}), encoding="utf-8")
    out, _ = lookalike("label", "--from", table, "--field", "checked by", "--confirm", "label", "-c", "parts")
    assert "1 put right, 1 confirmed" in out
    assert fields(lookalike, "양품_1") == {"label": "양품", "grade": 0, "lot": "L0", "checked by": "kim"}
    _, err = lookalike("label", "--from", table, "--field", "colour", "-c", "parts", code=1)
    assert "no column colour" in err
    # Nothing that can be used.
    for name, text, line in (
        ("c.json", "[]", "is JSON, and no table"),
        ("c.csv", "file,label\n", "no rows below"),
        ("d.csv", "file,label\n양품_1.png,\n", "all its cells are empty"),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
        _, err = lookalike("label", "--from", tmp_path / name, "-c", "parts", code=1)
        assert line in err
    table.write_text(json.dumps({"image": "f" * 32, "label": "불량"}), encoding="utf-8")
    out, _ = lookalike("label", "--from", table, "-c", "parts", code=1)
    assert "there is no image" in out


def test_a_value_has_the_type_of_the_others() -> None:
    assert like_others(7, ["7", "a"]) == "7"
    assert like_others(7, ["a"]) == "7"
    assert like_others("7", [1, 2.5]) == 7
    assert like_others("2.50", [1, 2.5]) == 2.5
    assert like_others("true", [False]) is True
    assert like_others(True, ["false"]) == "true"
    assert like_others(7, []) == 7
    assert like_others("x", [1]) == "x"
    assert like_others(7, ["a", 1]) == 7
