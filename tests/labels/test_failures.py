"""What `lookalike index` says of labels: where they fail, what was assumed, which look alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal
from unicodedata import normalize

import pytest
from PIL import Image

from lookalike.ingest.index_report import A_FEW, label_trouble
from lookalike.label_normalisation import label_text
from lookalike.labels.similar_labels import similar_label_remarks
from lookalike.types import Skipped
from tests.conftest import CommandLine
from tests.labelled_tree import fields, read, tree


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """A folder of six small pictures, 1.png to 6.png."""
    folder = tmp_path / "parts"
    folder.mkdir()
    for n in range(1, 7):
        Image.new("RGB", (8, 8), (40 * n, 90, 255 - 40 * n)).save(folder / f"{n}.png")
    return folder


def rows(*labels: str, ending: str = ".png") -> str:
    return "file_name,label\n" + "".join(f"{n}{ending},{label}\n" for n, label in enumerate(labels, 1))


def lines(lookalike: CommandLine, *words: str, code: int = 0) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lookalike(*words, "--format", "jsonl", code=code)[0].splitlines()]


def labels(lookalike: CommandLine) -> dict[str, Any]:
    found = lines(lookalike, "sql", "SELECT path, label FROM x")
    return {Path(row["path"]).name: row["label"] for row in found}


def test_where_all_labels_fail_the_first_line_says_so_and_the_code_is_1(
    lookalike: CommandLine, parts: Path
) -> None:
    tree(parts, {"metadata.csv": rows("good", "bad", ending=".jpg")})
    out, _ = lookalike("index", "parts", "-c", "x", code=1)
    first, second, *_ = out.splitlines()
    assert first == (
        "no image has a label: 6 images, 2 labels or label files could not be used; for example "
        f"{parts}/metadata.csv: line 2: there is no image '1.jpg': 1.png differs by its ending"
    )
    assert second.startswith("x: 6 added, 2 skipped, 6 without a label (labels: table;")
    assert len(lines(lookalike, "sql", "SELECT * FROM x")) == 6, "they are indexed all the same"
    again = lines(lookalike, "index", "parts", "-c", "x", code=1)
    assert again[0] == {"type": "label_trouble", "text": first, "all_failed": True}
    assert (again[-1]["labels_failed"], again[-1]["label_trouble"], again[-1]["unchanged"]) == (
        True,
        first,
        6,
    )


@pytest.mark.parametrize(
    "files",
    [
        {"labels.xlsx": b"PK\x03\x04"},
        {"labels.csv": "part,kind\nhull,1\n"},
        {"annotations.csv": rows("good", ending=".jpg")},
        {"metadata.csv": "file_name\n1.png\n"},
        {
            "metadata.csv": "file_name,label\nsub/1.jpg,good\n",
            "metadata.tsv": "file_name\tlabel\n7.png\tbad\n",
        },
    ],
)
def test_whatever_the_label_files_are(lookalike: CommandLine, parts: Path, files: dict[str, Any]) -> None:
    tree(parts, files)
    out, _ = lookalike("index", "parts", "-c", "x", code=1)
    assert out.startswith("no image has a label: 6 images")
    assert "6 added" in out


def test_where_there_are_no_label_files_there_is_no_failure(lookalike: CommandLine, parts: Path) -> None:
    tree(parts, {"readme.txt": "pictures", "package.json": {"name": "x"}, "measured.csv": "t,v\n1,2\n"})
    out, _ = lookalike("index", "parts", "-c", "x")
    assert out.startswith("x: 6 added (labels: none;")
    (summary,) = lines(lookalike, "index", "parts", "-c", "x")
    assert (summary["labels_failed"], summary["label_trouble"]) == (False, "")


def test_more_than_a_few_come_first_with_the_code_0_and_a_few_at_the_end(
    lookalike: CommandLine, parts: Path
) -> None:
    tree(parts, {"metadata.csv": rows("good", "bad")})
    out, _ = lookalike("index", "parts", "-c", "x")
    first = out.splitlines()[0]
    assert first == (
        f"labels are missing: 4 of 6 images without one; for example {parts}/3.png, which no label names"
    )
    tree(parts, {"metadata.csv": rows("good", "bad", "good")})
    out, _ = lookalike("index", "parts", "-c", "x")
    assert out.startswith("x: 1 relabelled, 5 unchanged, 3 without a label")


def test_the_example_is_one_of_the_reason_that_most_have() -> None:
    unused = [Skipped("a.csv", "line 2: has 4 values for 3 columns")]
    unused += [
        Skipped("a.csv", f"line {n}: there is no image '{n}.jpg': {n}.png differs") for n in range(3, 7)
    ]
    assert "for example a.csv: line 3: there is no image '3.jpg'" in label_trouble(
        9, [], unused, failed=False
    )
    assert label_trouble(9, [], unused[:A_FEW], failed=False) == ""
    one = label_trouble(9, [], unused[:1], failed=True)
    assert one.startswith(
        "no image has a label: 9 images, 1 label or label file could not be used; for example"
    )
    lost = [Skipped("a.csv", "line 2: there is no image 'x.jpg'")]
    said = label_trouble(9, [], lost, failed=True)
    assert said.endswith("no image 'x.jpg'; they may be of images that are not below this folder")


def test_the_encoding_is_said_and_can_be_overruled(lookalike: CommandLine, parts: Path) -> None:
    tree(parts, {"metadata.csv": rows("良品", "不良", "良品", "不良", "良品", "不良").encode("gbk")})
    out, _ = lookalike("index", "parts", "-c", "x")
    assert "parts/metadata.csv: is not UTF-8; read as GB 18030 (GBK, Chinese): --encoding NAME reads" in out
    assert set(labels(lookalike).values()) == {"良品", "不良"}
    (summary,) = lines(lookalike, "index", "parts", "-c", "x", "--encoding", "cp949")
    assert (summary["remarks"], summary["relabelled"]) == (0, 6)
    assert set(labels(lookalike).values()) == {"좁틔", "꼇좁"}


def test_an_unknown_encoding_is_refused(lookalike: CommandLine, parts: Path) -> None:
    _, err = lookalike("index", "parts", "-c", "x", "--encoding", "klingon", code=2)
    assert "no encoding 'klingon': such as utf-8, utf-16, cp949" in err


# Labels that are the same, and labels that look so.

BLANKS = ["good ", " good", "\u3000good", "good\u00a0", "\u200bgood\ufeff", "good\t", "\u202agood\u202c"]


@pytest.mark.parametrize("text", BLANKS)
def test_blanks_at_the_ends_of_a_label_go(text: str) -> None:
    assert label_text(text) == "good"


@pytest.mark.parametrize(
    "files",
    [
        {"metadata.csv": f"file_name, {normalize('NFD', '등급')} \nx/1.jpg,{normalize('NFD', '각')} \n"},
        {"metadata.jsonl": {"file_name": "x/1.jpg", normalize("NFD", "등급"): normalize("NFD", "각\u3000")}},
        {"1.json": {"images": [{"file_name": "1.jpg"}],
                    "annotations": [{"attributes": {normalize("NFD", "등급 "): normalize("NFD", " 각")}}]}},
    ],
)  # fmt: skip
def test_labels_and_names_of_fields_are_nfc_without_blanks(tmp_path: Path, files: dict[str, Any]) -> None:
    tree(tmp_path, {"x/1.jpg": None, **files})
    (found,) = fields(tmp_path, read(tmp_path, "auto")).values()
    assert found["등급"] == "각"


def test_the_label_that_is_a_folder_is_nfc_without_blanks(tmp_path: Path) -> None:
    tree(tmp_path, {f"{normalize('NFD', '각')}/1.jpg": None, "각 /2.jpg": None})
    assert {found["label"] for found in fields(tmp_path, read(tmp_path, "auto")).values()} == {"각"}


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_filter_finds_either_form(lookalike: CommandLine, parts: Path, form: Literal["NFC", "NFD"]) -> None:
    name, value = normalize(form, "등급"), normalize(form, "각")
    table = f"file_name,{normalize('NFD', '등급')}\n" + "".join(
        f"{n}.png,{'각' if n < 4 else '원'}\n" for n in range(1, 7)
    )
    tree(parts, {"metadata.csv": table})
    lookalike("index", "parts", "-c", "x")
    found = lines(lookalike, "search", "parts/5.png", "-c", "x", "-k", "6", "--where", f"{name}={value} ")
    assert {hit["fields"]["등급"] for hit in found if "fields" in hit} == {"각"}
    for command in ("evaluate", "classify"):
        words = ["parts/5.png"] if command == "classify" else []
        lookalike(command, *words, "-c", "x", "--by", name, "-k", "1")


def test_labels_that_look_alike_are_said_with_how_many_they_are(lookalike: CommandLine, parts: Path) -> None:
    tree(parts, {"metadata.csv": rows("good", "Good", "good ", "bad", "ｂａｄ", "fine")})
    out, _ = lookalike("index", "parts", "-c", "x")
    assert "label: 'good' (2) and 'Good' (1) differ by case, width or blanks only" in out
    assert "label: 'bad' (1) and 'ｂａｄ' (1) differ by case, width or blanks only" in out


def test_so_are_names_of_fields_and_what_several_fields_have_is_said_once() -> None:
    records: list[dict[str, Any]] = [{"a": "X", "b": "X"}, {"a": "x", "b": "x", "A": 1}]
    assert [remark.text for remark in similar_label_remarks(records)] == [
        "a, b: 'X' (1) and 'x' (1) differ by case, width or blanks only; each is a label of its own",
        "the fields 'a' (2) and 'A' (1) differ by case, width or blanks only",
    ]
    many = [{"a": f"x{n}"} for n in range(40)] + [{"a": f"X{n}"} for n in range(40)]
    assert similar_label_remarks(many)[-1].text == "and 30 more groups of labels that look alike"
