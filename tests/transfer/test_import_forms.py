"""Tables of vectors in the forms that programs write: the same names, labels and numbers from each."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from pyarrow import parquet

import lookalike
from lookalike import InvalidArgument
from lookalike.cli import main
from lookalike.stores.attached.attaching import place_column
from lookalike.transfer.imports.columns import Columns, Wanted, find_columns
from lookalike.transfer.imports.folders import open_table
from lookalike.transfer.imports.table import Table

COUNT, DIMENSION = 30, 16
NAMES = [f"r{n}" for n in range(COUNT)]
LABELS = [("good", "bad", "균열")[n % 3] for n in range(COUNT)]
VECTORS = np.random.default_rng(3).normal(size=(COUNT, DIMENSION)).astype(np.float32)
LISTS = VECTORS.tolist()
ROWS = [
    {"id": name, "label": label, "embedding": vector}
    for name, label, vector in zip(NAMES, LABELS, LISTS, strict=True)
]

Write = Callable[[Path], Path]


def opened(path: Path, vector: str | None = None) -> tuple[Table, Columns]:
    table = open_table(path)
    return table, find_columns(table, next(iter(table.open())), Wanted(vector=vector), "image")


def check(path: Path, *, names: list[str] | None = NAMES, labels: list[str] | None = LABELS) -> Columns:
    """What is read is what was written: names, labels, and numbers as near as the form keeps them."""
    table, columns = opened(path)
    blocks = list(table.open())
    (of,) = columns.vectors.values()
    found = [row for block in blocks for row in block.vectors(of, columns.bytes_of)]
    assert np.allclose(np.stack(found), VECTORS, atol=2e-3)  # type: ignore[arg-type]
    if names is not None:
        assert columns.id is not None
        assert [str(value) for block in blocks for value in block.values(columns.id)] == names
    if labels is not None:
        (field,) = columns.fields.values()
        assert [value for block in blocks for value in block.values(field)] == labels
    else:
        assert columns.fields == {}
    return columns


# --- one cell


def in_parquet(vectors: Any) -> Write:
    def write(folder: Path) -> Path:
        table = pa.table({"id": NAMES, "label": pa.array(LABELS).dictionary_encode(), "embedding": vectors})
        parquet.write_table(table, folder / "a.parquet", row_group_size=7)
        return folder / "a.parquet"

    return write


def saved(row: NDArray[Any]) -> bytes:
    """What `numpy.save` writes."""
    stream = io.BytesIO()
    np.save(stream, row)
    return stream.getvalue()


def in_csv(cell: Callable[[list[float]], str], separator: str = ",") -> Write:
    def write(folder: Path) -> Path:
        table = pd.DataFrame({"id": NAMES, "label": LABELS, "embedding": [cell(row) for row in LISTS]})
        table.to_csv(folder / "a.csv", index=False, sep=separator)
        return folder / "a.csv"

    return write


@pytest.mark.parametrize(
    "write",
    [
        in_parquet(pa.array([row.astype("f2") for row in VECTORS], pa.list_(pa.float16()))),
        in_parquet(pa.array(VECTORS.astype("f8").tolist(), pa.large_list(pa.float64()))),
        in_parquet(pa.FixedSizeListArray.from_arrays(pa.array(VECTORS.ravel()), DIMENSION)),
        in_parquet(pa.FixedShapeTensorArray.from_numpy_ndarray(VECTORS)),
        in_parquet(pa.array([[[*row]] for row in LISTS])),
        in_parquet(pa.array([[Decimal(f"{one:.4f}") for one in row] for row in LISTS])),
        *(
            in_parquet(pa.array([row.astype(kind).tobytes() for row in VECTORS]))
            for kind in ("f2", "f4", "f8")
        ),
        in_parquet(pa.array([saved(row) for row in VECTORS])),
        in_csv(lambda row: base64.b64encode(np.array(row, "f8").tobytes()).decode()),
        in_csv(lambda row: base64.b64encode(np.array(row, "f2").tobytes()).decode()),
        in_csv(lambda row: f"\\x{np.array(row, 'f8').tobytes().hex()}"),
        in_csv(str),
        in_csv(lambda row: " ".join(map(str, row))),
        in_csv(lambda row: ", ".join(map(str, row)), ";"),
        in_csv(lambda row: "|".join(map(str, row))),
        in_csv(lambda row: str(tuple(row))),
        in_csv(lambda row: "{" + ",".join(map(str, row)) + "}"),
        in_csv(lambda row: str(np.array(row))),
        in_csv(lambda row: repr(np.array(row, np.float32))),
        in_csv(lambda row: f"tensor({row}, device='cuda:0')"),
        in_csv(lambda row: str([np.float32(one) for one in row])),
        in_csv(lambda row: "[" + "; ".join(str(one).replace(".", ",") for one in row) + "]"),
        in_csv(lambda row: "\\x" + np.array(row, np.float32).tobytes().hex()),
        in_csv(lambda row: base64.b64encode(np.array(row, np.float32).tobytes()).decode()),
    ],
)
def test_a_cell_holds_a_vector_however_a_program_writes_it(tmp_path: Path, write: Write) -> None:
    check(write(tmp_path))


# --- whole files


def text(name: str, content: str, encoding: str = "utf-8") -> Write:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(content.encode(encoding))
        return folder / name

    return write


def wide(head: Callable[[int], str] | None, separator: str, decimal: str = ".", *, named: bool = True) -> str:
    table = pd.DataFrame(VECTORS, columns=None if head is None else [head(n) for n in range(DIMENSION)])
    if named:
        table = pd.DataFrame({"id": NAMES, "label": LABELS}).join(table)
    content: str = table.to_csv(index=False, sep=separator, decimal=decimal, header=head is not None)
    return content


LINES = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS)
IN_COLUMNS = {
    "ids": NAMES,
    "embeddings": LISTS,
    "metadatas": [{"label": one} for one in LABELS],
    "included": [1],
}
BY_COLUMN = {
    column: {str(n): row[column] for n, row in enumerate(ROWS)} for column in ("id", "label", "embedding")
}
SOURCES = [{"label": row["label"], "image_embedding": row["embedding"]} for row in ROWS]
HITS = [{"_index": "a", "_id": name, "_source": one} for name, one in zip(NAMES, SOURCES, strict=True)]
BULK = [
    line
    for name, one in zip(NAMES, SOURCES, strict=True)
    for line in ({"index": {"_index": "a", "_id": name}}, one)
]
POINTS = [{"id": row["id"], "payload": {"label": row["label"]}, "vector": row["embedding"]} for row in ROWS]


@pytest.mark.parametrize(
    "write",
    [
        text("a.csv", wide("v{}".format, ",")),
        text("a.csv", wide("emb_{:03}".format, "\t")),
        text("a.csv", wide("v{}".format, ";", ",")),  # Excel's in most of Europe
        text("a.csv", "sep=;\n" + wide("v{}".format, ";")),
        text("a.csv", wide(None, ",")),
        text("a.txt", wide(None, " ")),
        text("a.csv", wide("v{}".format, ",").replace("\n", ",\n")),
        *(text("a.csv", wide("v{}".format, ","), encoding) for encoding in ("utf-16", "utf-16-le", "utf-32")),
        *(text("a.jsonl", LINES, encoding) for encoding in ("utf-8-sig", "utf-16", "euc-kr")),
        text("a.json", json.dumps({"count": COUNT, "result": {"points": POINTS}})),
        text("a.jsonl", "\n".join(map(json.dumps, POINTS))),
        text("a.json", json.dumps(IN_COLUMNS)),
        text("a.json", json.dumps(BY_COLUMN)),
        text(
            "a.json", json.dumps({row["id"]: {"label": row["label"], "v": row["embedding"]} for row in ROWS})
        ),
        text("a.ndjson", "\n".join(map(json.dumps, HITS))),
        text("a.json", json.dumps({"took": 1, "hits": {"total": {"value": COUNT}, "hits": HITS}})),
        text("a.ndjson", "\n".join(map(json.dumps, BULK))),
    ],
)
def test_a_text_is_read_as_programs_write_it(tmp_path: Path, write: Write) -> None:
    check(write(tmp_path))


@pytest.mark.parametrize(
    ("encoding", "labels"),
    [
        ("gb18030", ("表面划痕", "边缘裂纹", "合格产品")),
        ("cp932", ("表面のキズ", "ひび割れ", "良品です")),
        ("cp1252", ("größere Risse", "Oberfläche", "in Ordnung")),
    ],
)
def test_an_encoding_is_guessed_as_that_of_labels_is(
    tmp_path: Path, encoding: str, labels: tuple[str, ...]
) -> None:
    named = [labels[n % 3] for n in range(COUNT)]
    rows = [{**row, "label": label} for row, label in zip(ROWS, named, strict=True)]
    content = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    check(text("a.jsonl", content, encoding)(tmp_path), labels=named)


@pytest.mark.parametrize("heading", ["Image_Path", "파일명", "Dateiname", "file name"])
def test_the_column_of_pictures_is_told_by_its_name_in_many_languages(tmp_path: Path, heading: str) -> None:
    table = pd.DataFrame({"name": NAMES, heading: [f"a/{name}.jpg" for name in NAMES], "vector": LISTS})
    table.to_csv(tmp_path / "a.csv", index=False)
    _, columns = opened(tmp_path / "a.csv")
    assert (columns.uri, [*columns.fields]) == (heading, ["name"])
    assert place_column(["id", heading, "name"]) == heading  # as `attach` does


def test_rows_without_labels_have_none(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "a.csv", VECTORS, delimiter=",")
    check(tmp_path / "a.csv", names=None, labels=None)
    np.savetxt(tmp_path / "a.txt", VECTORS)
    check(tmp_path / "a.txt", names=None, labels=None)
    (tmp_path / "a.json").write_text(json.dumps(dict(zip(NAMES, LISTS, strict=True))))
    check(tmp_path / "a.json", labels=None)
    (tmp_path / "a.json").write_text(json.dumps(LISTS))
    check(tmp_path / "a.json", names=None, labels=None)


def zstandard(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress), (".zst", zstandard)],
)
def test_packed_texts_are_unpacked_as_they_are_read(
    tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    for name, content in (("a.csv", wide("v{}".format, ",")), ("a.jsonl", LINES)):
        whole = pack(content.encode())
        path = tmp_path / f"{name}{suffix}"
        path.write_bytes(whole)
        check(path)
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(InvalidArgument, match=r"cannot be read|is no JSON|is no CSV"):
            check(path)


def test_an_archive_of_numpy(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    for stored in (VECTORS, np.asfortranarray(VECTORS), VECTORS.astype(">f8")):
        np.savez_compressed(path, ids=np.array(NAMES), labels=np.array(LABELS), embeddings=stored)
        check(path)
    np.savez(path, ids=np.array([name.encode() for name in NAMES]), labels=np.array(LABELS), v=VECTORS)
    check(path)
    np.savez(path, VECTORS, names=np.array(NAMES, object), few=np.zeros(3))
    check(path, names=None, labels=None)
    assert opened(path)[0].remarks == [
        "Python's objects are not read, in names: save texts with numpy.save(…, names.astype(str))",
        "arrays that have not 30 rows are not taken: few",
    ]
    np.savez(path, a=VECTORS, b=VECTORS)
    with pytest.raises(InvalidArgument, match="say --vector a or b"):
        opened(path)
    np.savez(path, a=VECTORS[0])
    with pytest.raises(InvalidArgument, match=r"a.npz holds a \(float32, \(16,\)\), and no vectors"):
        opened(path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InvalidArgument, match="is no archive of NumPy's"):
        opened(path)


def test_the_index_of_pandas_names_rows_where_nothing_else_does(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pd.DataFrame({"label": LABELS, "embedding": list(VECTORS)}, index=NAMES)
    table.to_parquet(path)
    assert check(path).id == "__index_level_0__"
    table.rename_axis("sample").to_parquet(path)
    assert check(path).id == "sample"
    table.assign(id=NAMES).to_parquet(path)
    assert check(path).id == "id"
    table.assign(path=NAMES).reset_index(drop=True).query("label != ''").iloc[::-1].iloc[::-1].to_parquet(
        path
    )
    assert check(path, names=None).uri == "path"
    table.assign(embedding=[str(row) for row in LISTS]).reset_index(drop=True).to_csv(tmp_path / "a.csv")
    check(tmp_path / "a.csv", names=[str(n) for n in range(COUNT)])


def test_a_folder_of_files_with_columns_in_the_names_of_folders(tmp_path: Path) -> None:
    table = pd.DataFrame(ROWS).sort_values("label", kind="stable")
    ordered = {"names": list(table["id"]), "labels": list(table["label"])}
    table.to_parquet(tmp_path / "hive", partition_cols=["label"])
    (tmp_path / "hive/_SUCCESS").write_text("")
    (tmp_path / "hive/.part.crc").write_text("")
    opening, columns = opened(tmp_path / "hive")
    rows = [
        (name, label)
        for block in opening.open()
        for name, label in zip(block.values("id"), block.values("label"), strict=True)
    ]
    assert sorted(rows) == sorted(zip(ordered["names"], ordered["labels"], strict=True))
    assert columns.fields == {"label": "label"}
    empty = tmp_path / "hive/label=__HIVE_DEFAULT_PARTITION__"
    empty.mkdir()
    pd.DataFrame(ROWS[:1]).drop(columns="label").to_parquet(empty / "a.parquet")
    assert None in {label for block in opened(tmp_path / "hive")[0].open() for label in block.values("label")}
    for suffix in (".csv.gz", ".jsonl"):
        folder = tmp_path / f"parts{suffix}"
        folder.mkdir()
        for number in range(3):
            part = pd.DataFrame(ROWS[number * 10 : number * 10 + 10])
            if suffix == ".jsonl":
                part.to_json(folder / f"{number}.jsonl", orient="records", lines=True, double_precision=15)
            else:
                part.to_csv(folder / f"{number}.csv.gz", index=False)
        check(folder)
    (tmp_path / "hive/_delta_log").mkdir()
    (tmp_path / "hive/_delta_log/0.json").write_text("{}")
    with pytest.raises(InvalidArgument, match="Delta Lake, whose files have rows that were deleted"):
        opened(tmp_path / "hive")


# --- what is not as it should be


def test_what_only_later_rows_have_is_taken_or_told(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"id": n, "embedding": LISTS[n % COUNT], "path": "a.jpg"} for n in range(1_000)
    ]
    rows += [{"id": 1_000, "embedding": LISTS[0], "label": "late"}, {"id": 1_001, "path": "b.jpg"}]
    rows += [{"id": 1_002, "embedding": LISTS[0], "other": LISTS[0], "more": {"a": 1}}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with lookalike.open(f"sqlite:///{tmp_path}/a.db", cache=tmp_path / "cache") as db:
        report = db["parts"].import_vectors(tmp_path / "a.jsonl", space="ours")
        assert (report.rows, report.added) == (1_003, 1_002)
        assert [(each.reason, each.example) for each in report.left_out] == [("no vector (NULL)", "1001")]
        assert report.remarks == ("columns that come after 1,000 rows are not taken: other",)
        assert report.columns["fields"] == "label"
        (late,) = db["parts"].records.scan(where={"label": "late"})
        assert [record.id for record in late] == ["1000"]


def test_a_row_that_is_wrong_costs_itself_alone(tmp_path: Path) -> None:
    rows = [dict(row) for row in ROWS]
    rows[3]["embedding"], rows[4]["embedding"], rows[5]["embedding"] = "oops", None, LISTS[5][:-1]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    lines = wide("v{}".format, ",").splitlines()
    lines[4] = ",".join([*lines[4].split(",")[:5], "nan", *lines[4].split(",")[6:]])
    lines[5] = ",".join([*lines[5].split(",")[:5], "n/a", *lines[5].split(",")[6:]])
    (tmp_path / "a.csv").write_text("\n".join(lines))
    with lookalike.open(f"sqlite:///{tmp_path}/a.db", cache=tmp_path / "cache") as db:
        report = db["lines"].import_vectors(tmp_path / "a.jsonl", space="ours")
        assert sorted((each.reason, each.example) for each in report.left_out) == [
            ("a vector that cannot be read as numbers", "r3"),
            ("a vector that has not 16 dimensions", "r5"),
            ("no vector (NULL)", "r4"),
        ]
        report = db["wide"].import_vectors(tmp_path / "a.csv", space="ours")
        assert [(each.reason, each.count, each.example) for each in report.left_out] == [
            ("a vector with numbers that are not finite", 2, "r3")
        ]


@pytest.mark.parametrize(
    ("write", "line"),
    [
        (
            text("a.csv", 'id,embedding\na,"[0.1 0.2 ... 0.8 0.9]"'),
            "the vectors are cut off, as NumPy prints",
        ),
        (text("a.db", "SQLite format 3\0"), "lookalike attach TABLE --store sqlite:///a.db"),
        (text("a.csv", 'id,embedding\na,"[0.1]"\nb,"x"y'), "is no CSV: line 3, "),
        (
            in_parquet(pa.array([row.astype(">f4").tobytes() for row in VECTORS])),
            "the bytes in 'embedding' are no little-endian numbers",
        ),
        (text("a.pkl", "\x80\x04"), "are read, texts packed as"),
        (text("a.csv.gz", "id,embedding"), "cannot be read: Not a gzipped file"),
        (
            text("a.csv", wide("v{}".format, ",").replace("label", "id")),
            "two columns of one name: id, id, v0",
        ),
    ],
)
def test_what_cannot_be_read_says_what_it_is(tmp_path: Path, write: Write, line: str) -> None:
    with pytest.raises(InvalidArgument, match=line):
        opened(write(tmp_path))


def test_many_columns_are_not_all_told(tmp_path: Path) -> None:
    path = text("a.csv", wide("v{}x".format, ","))(tmp_path)
    with pytest.raises(InvalidArgument, match=r"v9x \(number\) …$"):
        opened(path)
    with pytest.raises(InvalidArgument, match=r"there is no column 'vector': id, label, v0x, .*v9x …$"):
        opened(path, vector="vector")


def test_the_commands_work_on_what_was_imported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOOKALIKE_CACHE", str(tmp_path / "cache"))
    table = pa.table(
        {
            "id": NAMES,
            "data": [{"embedding": row} for row in LISTS],
            "meta": [{"label": one} for one in LABELS],
        }
    )
    parquet.write_table(table, "a.parquet")
    assert main(["import", "a.parquet", "--space", "ours", "-q", "--field", "kind=meta:$.label"]) == 0
    printed = capsys.readouterr().out
    assert 'data:$."embedding"' in printed
    assert 'kind (meta:$."label")' in printed

    assert main(["classify", "id:r3", "--by", "kind", "--format", "jsonl"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["uri"] == "row:a.parquet/r3"
    directions = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    nearest = np.argsort(-(directions @ directions[3]))[1:6]
    assert [each["fields"]["kind"] for each in answer["neighbours"]] == [LABELS[n] for n in nearest]
    assert main(["export", "folder", "--as", "imagefolder", "--by", "kind"]) == 1
    assert "… and 20 more: --format jsonl lists them all" in capsys.readouterr().out


def as_matrix(array: NDArray[Any]) -> Write:
    def write(folder: Path) -> Path:
        np.save(folder / "features.npy", array)
        (folder / "names.json").write_text(json.dumps(NAMES))
        return folder / "features.npy"

    return write


@pytest.mark.parametrize("array", [VECTORS.astype(">f4"), VECTORS[:, None, :], np.asfortranarray(VECTORS)])
def test_a_matrix_is_named_by_the_file_beside_it(tmp_path: Path, array: NDArray[Any]) -> None:
    check(as_matrix(array)(tmp_path), labels=None)
    (tmp_path / "names.json").unlink()
    np.save(tmp_path / "names.npy", np.array(NAMES).astype("S"))
    check(tmp_path / "features.npy", labels=None)
    np.save(tmp_path / "names.npy", np.array(NAMES, object))
    with pytest.raises(InvalidArgument, match=r"Python objects in dtype: save texts with numpy.save"):
        opened(tmp_path / "features.npy")
    (tmp_path / "names.npy").unlink()
    (tmp_path / "names.csv").write_text("\n".join(NAMES))
    with pytest.raises(InvalidArgument, match="its first line is taken for the names of its columns"):
        opened(tmp_path / "features.npy")
