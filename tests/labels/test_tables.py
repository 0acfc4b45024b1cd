"""What `--labels table` promises of metadata.csv, metadata.jsonl and metadata.parquet."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import math
import os
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from lookalike.errors import ExtraMissing, LabelsInvalid
from lookalike.labels.reading import read_labels
from lookalike.labels.tables.column_types import typed
from lookalike.labels.tables.sheets import TABLE_NAMES
from tests.labelled_tree import fields, read, reasons, remarks, tree


def write_parquet(path: Path, columns: dict[str, list[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table(columns), path)


def test_each_column_of_a_csv_file_is_a_field_and_the_row_is_the_metadata(tmp_path: Path) -> None:
    tree(tmp_path, {"a.jpg": None, "b.jpg": None})
    tree(tmp_path, {"metadata.csv": "file_name,part,size\na.jpg,탱크,3\nb.jpg,,4\n"})
    labelling = read(tmp_path, "table")
    assert fields(tmp_path, labelling) == {"a.jpg": {"part": "탱크", "size": 3}, "b.jpg": {"size": 4}}
    assert labelling.labels[tmp_path / "b.jpg"].metadata == {"file_name": "b.jpg", "part": "", "size": "4"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949"])
def test_a_csv_file_is_read_in_each_encoding_that_spreadsheets_write(tmp_path: Path, encoding: str) -> None:
    text = "file_name,부품\r\n사진.jpg,탱크\r\n"
    tree(tmp_path, {"사진.jpg": None, "metadata.csv": text.encode(encoding)})
    assert fields(tmp_path, read(tmp_path, "table")) == {"사진.jpg": {"부품": "탱크"}}


def test_a_table_speaks_of_its_own_folder_and_each_folder_may_have_one(tmp_path: Path) -> None:
    tree(tmp_path, {f"{folder}/{n}.jpg": None for folder in ("train/x", "test") for n in range(2)})
    tree(tmp_path, {"train/metadata.csv": "file_name,label\nx/0.jpg,a\n./x/../x/1.jpg,b\n"})
    tree(tmp_path, {"test/metadata.jsonl": '{"file_name": "0.jpg", "label": "c"}\n'})
    labelling = read(tmp_path, "auto")
    assert labelling.mode == "table"
    assert fields(tmp_path, labelling) == {
        "train/x/0.jpg": {"label": "a"},
        "train/x/1.jpg": {"label": "b"},
        "test/0.jpg": {"label": "c"},
    }
    assert labelling.unlabelled == [tmp_path / "test/1.jpg"]


def test_a_path_may_be_absolute_or_upwards_or_with_backslashes_below_the_root_and_no_further(
    tmp_path: Path,
) -> None:
    root = tree(tmp_path / "root", {"x/a.jpg": None, "x/b.jpg": None, "x/c.jpg": None})
    tree(tmp_path, {"out.jpg": None, "root2/a.jpg": None})
    names = [f"{root}/x/a.jpg", "../x/b.jpg", "..\\x\\c.jpg", "../../out.jpg", str(tmp_path / "root2/a.jpg")]
    tree(root, {"t/metadata.csv": "file_name,n\n" + "".join(f"{name},{n}\n" for n, name in enumerate(names))})
    labelling = read(root, "table")
    assert fields(root, labelling) == {"x/a.jpg": {"n": 0}, "x/b.jpg": {"n": 1}, "x/c.jpg": {"n": 2}}
    assert reasons(root, labelling) == [
        ("t/metadata.csv", f"line {line}: {name!r} leads out of the folder that is indexed")
        for line, name in enumerate(names, 2)
        if line > 4
    ]


def test_each_row_that_cannot_be_used_is_reported_by_its_line(tmp_path: Path) -> None:
    rows = ["file_name,note,n", 'a.jpg,"two', 'lines",1', "", "lost.jpg,x,2", ",x,3", "a.jpg,x,4,5", "b.jpg"]
    tree(tmp_path, {"a.jpg": None, "b.jpg": None, "metadata.csv": "\n".join(rows)})
    labelling = read(tmp_path, "table")
    assert fields(tmp_path, labelling) == {"a.jpg": {"note": "two\nlines", "n": 1}, "b.jpg": {}}
    assert reasons(tmp_path, labelling) == [
        ("metadata.csv", "line 5: there is no image 'lost.jpg'"),
        ("metadata.csv", "line 6: names no image: file_name is empty"),
        ("metadata.csv", "line 7: has 4 values for 3 columns"),
    ]


def test_each_line_of_json_that_cannot_be_used_is_reported(tmp_path: Path) -> None:
    rows = ['{"file_name": "a.jpg", "t": "x\u2028y"}', "{", "[1]", '{"file_name": 7}', '{"t": 1}']
    tree(tmp_path, {"a.jpg": None, "metadata.jsonl": "\n".join(rows)})
    labelling = read(tmp_path, "table")
    assert fields(tmp_path, labelling) == {"a.jpg": {"t": "x\u2028y"}}
    assert [reason for _, reason in reasons(tmp_path, labelling)] == [
        "line 2: not JSON: Expecting property name enclosed in double quotes (line 1, column 2)",
        "line 3: is a list, not an object",
        "line 4: file_name is a number, not a string",
        "line 5: names no image: file_name is empty",
    ]


def test_json_lines_keep_their_types_and_nested_values_are_metadata_only(tmp_path: Path) -> None:
    row = {"file_name": "a.jpg", "s": "007", "n": 7, "x": 1.0, "b": True, "no": None, "box": [1], "o": {}}
    tree(tmp_path, {"a.jpg": None, "metadata.jsonl": row})
    labelling = read(tmp_path, "table")
    assert fields(tmp_path, labelling) == {"a.jpg": {"s": "007", "n": 7, "x": 1.0, "b": True}}
    assert labelling.labels[tmp_path / "a.jpg"].metadata == row


def test_parquet_keeps_its_types_and_what_json_lacks_becomes_text_or_null(tmp_path: Path) -> None:
    tree(tmp_path, {"x/a.jpg": None, "x/b.jpg": None})
    write_parquet(
        tmp_path / "x/metadata.parquet",
        {
            "file_name": ["a.jpg", "b.jpg"],
            "label": ["탱크", None],
            "n": [1, 2],
            "x": [0.5, math.nan],
            "ok": [True, False],
            "day": [dt.date(2024, 2, 29), None],
            "price": [Decimal("1.50"), None],
            "box": [[1, 2], None],
            "image": [{"bytes": b"\xff", "path": "p"}, None],
            "raw": [b"\xff", b""],
        },
    )
    labelling = read(tmp_path, "auto")
    first = {"label": "탱크", "n": 1, "x": 0.5, "ok": True, "day": "2024-02-29", "price": "1.50"}
    assert fields(tmp_path, labelling) == {"x/a.jpg": first, "x/b.jpg": {"n": 2, "ok": False}}
    metadata = labelling.labels[tmp_path / "x/a.jpg"].metadata
    assert metadata == {
        "file_name": "a.jpg", **first, "box": [1, 2], "image": {"bytes": None, "path": "p"}
    }  # fmt: skip
    json.dumps([dict(label.metadata) for label in labelling.labels.values()], allow_nan=False)


def test_without_pyarrow_a_parquet_file_names_the_package_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path, {"a.jpg": None, "metadata.parquet": b"PAR1"})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ExtraMissing, match=r"metadata\.parquet.*lookalike\[parquet\]"):
        read(tmp_path, "table")


def test_several_rows_of_an_image_are_joined_and_said_and_equal_ones_are_one(tmp_path: Path) -> None:
    rows = "file_name,label,n\na.jpg,x,1\nb.jpg,y,2\na.jpg,z,1\nb.jpg,y,2\na.jpg,x,1\n"
    tree(tmp_path, {"a.jpg": None, "b.jpg": None, "metadata.csv": rows})
    labelling = read(tmp_path, "table")
    assert fields(tmp_path, labelling) == {
        "a.jpg": {"label": "x, z", "n": 1},
        "b.jpg": {"label": "y", "n": 2},
    }
    assert labelling.labels[tmp_path / "a.jpg"].metadata == {
        "rows": [{"file_name": "a.jpg", "label": label, "n": "1"} for label in "xz"]
    }
    assert labelling.labels[tmp_path / "b.jpg"].metadata == {"file_name": "b.jpg", "label": "y", "n": "2"}
    assert reasons(tmp_path, labelling) == []
    assert remarks(labelling) == ["1 image has several rows, which are joined: a.jpg is label=x, z, n=1"]


def test_tables_that_contradict_each_other_are_reported(tmp_path: Path) -> None:
    tree(tmp_path, {"x/a.jpg": None, "x/metadata.csv": "file_name,label\na.jpg,x\n"})
    tree(tmp_path, {"metadata.csv": "file_name,label\nx/a.jpg,z\n"})
    labelling = read(tmp_path, "table")
    assert labelling.labels == {}
    one, two = tmp_path / "metadata.csv", tmp_path / "x/metadata.csv"
    assert reasons(tmp_path, labelling) == [
        ("metadata.csv", f"line 2: contradicts {two}, line 2 about a.jpg; neither is used"),
        ("x/metadata.csv", f"line 2: contradicts {one}, line 2 about a.jpg; neither is used"),
    ]


@pytest.mark.parametrize("mode", ["auto", "table"])
@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("metadata.csv", "", "is empty"),
        ("metadata.csv", "part,label\nhull,x\n", "no column file_name: the columns are part, label"),
        (
            "metadata.csv",
            'file_name,n\na.jpg,"x\n',
            "line 2: unexpected end of data: a quotation mark is not closed",
        ),
        ("metadata.csv", b"\xff\xff\x81\x00", "a binary file"),
        ("metadata.csv", b"\xff\xfea", "begins as UTF-16 and is damaged"),
        ("metadata.csv", b"PK\x03\x04...xl/workbook.xml", "is an Excel workbook (.xlsx): save it as CSV"),
        ("metadata.csv", "<!DOCTYPE html><html>", "is a page of the web (HTML)"),
        ("metadata.csv", "version https://git-lfs.github.com/spec/v1\n", "`git lfs pull` fetches"),
        ("metadata.jsonl", "", "no line has a file_name"),
        ("metadata.jsonl", '{"part": "hull"}', "no line has a file_name"),
        ("metadata.parquet", b"PAR1", "cannot be read as Parquet"),
    ],
)
def test_a_table_that_cannot_be_used_at_all_is_an_error(
    tmp_path: Path, mode: str, name: str, content: str | bytes, reason: str
) -> None:
    tree(tmp_path, {"x/a.jpg": None, name: content})
    with pytest.raises(LabelsInvalid) as caught:
        read(tmp_path, mode)
    assert caught.value.path == str(tmp_path / name)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.timeout(20)
def test_a_named_pipe_is_no_table_and_is_not_waited_for(tmp_path: Path) -> None:
    for name in TABLE_NAMES:
        os.mkfifo(tmp_path / name)
        with pytest.raises(LabelsInvalid, match="not a regular file"):
            read_labels(tmp_path, [], [tmp_path / name], "table")


def test_a_parquet_file_without_the_column_or_with_one_twice_is_an_error(tmp_path: Path) -> None:
    tree(tmp_path, {"a.jpg": None})
    path = tmp_path / "metadata.parquet"
    write_parquet(path, {"part": ["hull"]})
    with pytest.raises(LabelsInvalid, match="no column file_name: the columns are part"):
        read(tmp_path, "table")
    parquet.write_table(pa.Table.from_arrays([pa.array(["a.jpg"])] * 2, names=["file_name"] * 2), path)
    with pytest.raises(LabelsInvalid, match="two columns of one name"):
        read(tmp_path, "table")


def test_a_column_without_a_name_is_no_field(tmp_path: Path) -> None:
    """As pandas writes its row numbers."""
    tree(tmp_path, {"a.jpg": None, "metadata.csv": ",file_name,label\n0,a.jpg,x\n"})
    labelling = read(tmp_path, "table")
    assert fields(tmp_path, labelling) == {"a.jpg": {"label": "x"}}
    assert labelling.labels[tmp_path / "a.jpg"].metadata[""] == "0"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "-2", ""], [1, -2, None]),
        (["1", "2.5", "1e3", ".5", "5."], [1, 2.5, 1000.0, 0.5, 5.0]),
        (["true", "False", "TRUE", ""], [True, False, True, None]),
        (["007", "1"], ["007", "1"]),
        (["1", "nan"], ["1", "nan"]),
        (["1", "inf"], ["1", "inf"]),
        (["1", "1e999"], ["1", "1e999"]),
        (["1", "true"], ["1", "true"]),
        (["+82", "1"], ["+82", "1"]),
        (["1_000"], ["1_000"]),
        ([" 1"], [" 1"]),
        (["1\n"], ["1\n"]),
        (["٣"], ["٣"]),
        (["9223372036854775807"], [2**63 - 1]),
        (["9223372036854775808"], ["9223372036854775808"]),
        (["-9223372036854775808"], [-(2**63)]),
        (["1" * 5000], ["1" * 5000]),
        (["", ""], [None, None]),
        ([], []),
    ],
)
def test_a_csv_column_is_of_numbers_or_booleans_only_where_all_its_values_are(
    values: list[str], expected: list[object]
) -> None:
    found = typed(values)
    assert found == expected
    assert [type(value) for value in found] == [type(value) for value in expected]


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)))
def test_a_column_of_integers_is_read_back(values: list[int | None]) -> None:
    assert typed(["" if value is None else str(value) for value in values]) == values


@given(st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False)))
def test_a_column_of_decimals_is_read_back(values: list[float | None]) -> None:
    assert typed(["" if value is None else repr(value) for value in values]) == values


@given(st.lists(st.text()))
def test_a_column_has_one_type_and_text_is_untouched(values: list[str]) -> None:
    found = typed(values)
    assert [value is None for value in found] == [not value for value in values]
    kinds = {type(value) for value in found if value is not None}
    assert kinds <= {int, float} or len(kinds) == 1
    if kinds == {str}:
        assert found == [value or None for value in values]


@given(
    st.lists(
        st.tuples(st.sampled_from(["a.jpg", "b.jpg"]), st.text(st.characters(codec="utf-8"))), max_size=4
    )
)
def test_any_text_in_a_csv_file_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    root = tree(tmp_path_factory.mktemp("csv"), {"a.jpg": None, "b.jpg": None})
    text = io.StringIO(newline="")
    csv.writer(text).writerows([("file_name", "text"), *rows])
    tree(root, {"metadata.csv": text.getvalue()})
    labelling = read(root, "table")
    for image, label in labelling.labels.items():
        read_back = [row["text"] for row in label.metadata.get("rows", [label.metadata])]
        assert read_back == list(dict.fromkeys(value for name, value in rows if name == image.name))
    assert {image.name for image in labelling.labels} == {name for name, _ in rows}
