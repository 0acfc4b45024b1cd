"""Exports: what is written is what the collection has, whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import lookalike
from lookalike import Database, FieldNotFound, ImageNotFound, InvalidArgument, OutputFailed
from lookalike.cli import main
from lookalike.transfer.exports.columns import mixed_text, mixed_value
from lookalike.transfer.exports.export import ExportReport
from lookalike.types import Scalar
from lookalike.uris import uri_path
from tests.mean_colours import MeanColours, save

Rows = dict[str, dict[str, Any]]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    """Twelve pictures of two kinds, some fields of which need care, and one whose label was put right."""
    with lookalike.open(f"sqlite:///{tmp_path}/parts.db", cache=tmp_path / "cache") as database:
        database.use(MeanColours())
        for seed in range(12):
            save(tmp_path / "pictures" / ("good" if seed % 2 else "bad") / f"{seed}.png", seed)
        parts = database["parts"]
        parts.index(tmp_path / "pictures", model=MeanColours.name)
        # Ids are made from paths, which differ from run to run.
        first, second, third = [
            one.id for one in sorted(parts.vectors.read()[0], key=lambda one: one.uri)[:3]
        ]
        parts.correct(first, {"label": '균열/2, "deep"', "mixed": 3, "id": "X\nY", "count": 3})
        parts.correct(second, {"mixed": "3", "count": 4})
        parts.correct(third, {"mixed": True, "count": 2.5})
        yield database


def by_id(db: Database) -> Rows:
    """Return what the collection has, record by record, with its vector."""
    records, vectors = db["parts"].vectors.read()
    return {
        record.id: {"record": record, "vector": vector}
        for record, vector in zip(records, vectors, strict=True)
    }


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_json_lines_have_all_of_a_record(db: Database, tmp_path: Path) -> None:
    report = db["parts"].export(tmp_path / "parts.jsonl")
    assert report == ExportReport(tmp_path / "parts.jsonl", "jsonl", 12)
    lines = read_json_lines(tmp_path / "parts.jsonl")
    known = by_id(db)
    assert [line["id"] for line in lines] == sorted(known)
    for line in lines:
        record = known[line["id"]]["record"]
        assert (line["uri"], line["path"]) == (record.uri, str(uri_path(record.uri)))
        assert (line["digest"], line["size"], line["modified_ns"]) == (
            *(record.digest, record.size, record.modified_ns),
        )
        assert (line["fields"], line["metadata"]) == (record.fields, record.metadata)
        vector = np.array(line["vectors"]["image"], np.float32)
        assert vector.tobytes() == known[line["id"]]["vector"].tobytes()


def test_parquet_has_a_column_for_each_field_and_vector(db: Database, tmp_path: Path) -> None:
    assert db["parts"].export(tmp_path / "parts.parquet").images == 12
    table = parquet.read_table(tmp_path / "parts.parquet")
    known = by_id(db)
    dimension = len(next(iter(known.values()))["vector"])
    assert table.schema.field("vector_image").type == pa.list_(pa.float32(), dimension)
    assert table.schema.field("count").type == pa.float64()
    assert table.schema.field("field.id").type == pa.string()
    for row in table.to_pylist():
        record = known[row["id"]]["record"]
        assert row["uri"] == record.uri
        assert json.loads(row["metadata"]) == record.metadata
        assert np.array(row["vector_image"], np.float32).tobytes() == known[row["id"]]["vector"].tobytes()
        fields = {"label": row["label"], "count": row["count"], "id": row["field.id"]}
        assert {name: value for name, value in fields.items() if value is not None} == {
            name: value for name, value in record.fields.items() if name != "mixed"
        }
    assert sorted(filter(None, table.column("mixed").to_pylist())) == ['"3"', "3", "true"]


@pytest.mark.parametrize(
    "value", ["3", 3, 3.5, "3.5", True, "true", "", '"', '"3"', "null", "NaN", "1e999", "007", "a", -1]
)
def test_values_of_several_types_are_text_that_says_which(value: Scalar) -> None:
    again = mixed_value(mixed_text(value))
    assert (again, type(again)) == (value, type(value))


def test_csv_is_for_spreadsheets(db: Database, tmp_path: Path) -> None:
    db["parts"].export(tmp_path / "parts.csv")
    assert (
        (tmp_path / "parts.csv")
        .read_bytes()
        .startswith(b"\xef\xbb\xbfid,uri,path,digest,count,field.id,label,mixed\r\n")
    )
    known = by_id(db)
    rows = read_csv(tmp_path / "parts.csv")
    assert [row["id"] for row in rows] == sorted(known)
    for row in rows:
        fields = known[row["id"]]["record"].fields
        assert row["label"] == fields["label"]
        assert row["field.id"] == fields.get("id", "")
        assert row["mixed"] == ("true" if fields.get("mixed") is True else str(fields.get("mixed", "")))


def test_a_filter_is_a_part_of_it_and_the_order_that_of_ids(db: Database, tmp_path: Path) -> None:
    report = db["parts"].export(tmp_path / "some.csv", where={"label": "bad"})
    ids = [record.id for record in db["parts"].vectors.read({"label": "bad"})[0]]
    assert [row["id"] for row in read_csv(tmp_path / "some.csv")] == ids
    assert report.images == len(ids) < 12
    turned = b"".join(db["parts"].export_lines("jsonl", ids=ids[::-1], vectors=True)).splitlines()
    assert [json.loads(line)["id"] for line in turned] == ids[::-1]
    with pytest.raises(FieldNotFound):
        db["parts"].export(tmp_path / "no.csv", where={"nosuch": 1})
    with pytest.raises(ImageNotFound):
        db["parts"].export_lines(ids=["0" * 32])
    assert not (tmp_path / "no.csv").exists()


@pytest.mark.parametrize("name", ["parts.jsonl", "parts.parquet", "parts.csv"])
def test_held_out_labels_are_those_of_the_evaluation(db: Database, tmp_path: Path, name: str) -> None:
    evaluation = db["parts"].evaluate("label")
    report = db["parts"].export(tmp_path / name, predictions="label")
    assert report.predictions is not None
    assert report.predictions.accuracy == evaluation.accuracy
    held = evaluation.held
    expected = {
        evaluation.records[row].id: held.labels[code]
        for row, code in zip(held.rows.tolist(), held.predicted.tolist(), strict=True)
    }
    if name.endswith("jsonl"):
        told = {
            each["id"]: (each["prediction"] or {}).get("label") for each in read_json_lines(tmp_path / name)
        }
    elif name.endswith("csv"):
        told = {each["id"]: each["predicted_label"] or None for each in read_csv(tmp_path / name)}
    else:
        rows = parquet.read_table(tmp_path / name).to_pylist()
        told = {each["id"]: each["predicted_label"] for each in rows}
    assert told == {one: expected.get(one) for one in by_id(db)}


def test_coco_is_read_back_with_the_corrected_labels(db: Database, tmp_path: Path) -> None:
    report = db["parts"].export(tmp_path / "pictures" / "coco.json")
    assert report.images == 12
    document = json.loads((tmp_path / "pictures" / "coco.json").read_text())
    assert [each["name"] for each in document["categories"]] == ["bad", "good", '균열/2, "deep"']
    names = {each["id"]: each["name"] for each in document["categories"]}
    of = {each["image_id"]: each for each in document["annotations"]}
    assert {each["lookalike_id"]: names[of[each["id"]]["category_id"]] for each in document["images"]} == {
        one: each["record"].fields["label"] for one, each in by_id(db).items()
    }
    for image in document["images"]:
        assert (tmp_path / "pictures" / image["file_name"]).is_file()
        assert of[image["id"]]["bbox"] == [0, 0, image["width"], image["height"]]
    db["again"].index(tmp_path / "pictures", model=MeanColours.name, labels="table")
    again, _ = db["again"].vectors.read()
    fields = {record.id: record.fields for record in again}
    assert fields == {one: each["record"].fields for one, each in by_id(db).items()}


@pytest.mark.parametrize("copy", [False, True])
def test_an_image_folder_has_a_folder_for_each_label(db: Database, tmp_path: Path, copy: bool) -> None:
    known = by_id(db)
    ids = sorted(known, key=lambda one: str(known[one]["record"].uri))
    db["parts"].correct(ids[3], {"label": "GOOD"})
    db["parts"].correct(ids[4], {"label": "..", "count": None})
    db["parts"].correct(ids[5], {"label": None})
    uri_path(known[ids[6]]["record"].uri).rename(tmp_path / "gone.png")
    report = db["parts"].export(tmp_path / "folder", form="imagefolder", copy=copy)
    assert (report.images, len(report.skipped)) == (10, 2)
    reasons = sorted(each.reason for each in report.skipped)
    assert reasons == ["it has no 'label'", "its file is not there"]
    made = {each.name for each in (tmp_path / "folder").iterdir()}
    assert {name.casefold() for name in made} >= {"good", "bad", "good-2", "%2e%2e", "metadata.csv"}
    assert '균열%2F2, "deep"' in made
    rows = read_csv(tmp_path / "folder" / "metadata.csv")
    labels = {}
    for row in rows:
        file = tmp_path / "folder" / row["file_name"]
        assert file.is_symlink() is not copy
        labels[file.read_bytes()] = row["label"]
    records = [each["record"] for each in by_id(db).values()]
    assert labels == {
        uri_path(record.uri).read_bytes(): record.fields["label"]
        for record in records
        if "label" in record.fields and uri_path(record.uri).exists()
    }


def test_pictures_of_one_name_stay_apart(db: Database, tmp_path: Path) -> None:
    for number, name in enumerate(("a/x.png", "b/x.png", "c/X.png", f"d/{'한' * 70}.png"), 20):
        save(tmp_path / "more" / name, number)
    db["more"].index(tmp_path / "more", model=MeanColours.name, labels="none")
    for record in db["more"].vectors.read()[0]:
        db["more"].correct(record.id, {"part": 7})
    db["more"].export(tmp_path / "folder", form="imagefolder", by="part")
    names = {each.name.casefold() for each in (tmp_path / "folder" / "7").iterdir()}
    assert names == {"x.png", "x-2.png", "x-3.png", f"{'한' * 70}.png"}
    # A label may have the name of the file that says what the folders are.
    db["more"].correct(record.id, {"part": "METADATA.csv"})
    report = db["more"].export(tmp_path / "other", form="imagefolder", by="part")
    assert {each.name for each in (tmp_path / "other").iterdir()} == {"7", "metadata.csv", "METADATA-2.csv"}
    assert (report.images, report.skipped) == (4, ())


def test_a_table_that_a_service_sends_has_no_formulas(db: Database) -> None:
    ids = [record.id for record in db["parts"].vectors.read()[0][:2]]
    db["parts"].correct(ids[0], {"label": "=1+1", "count": -3})
    for name_of, label in ((lambda record: f"@{record.id}", "'=1+1"), (None, "=1+1")):
        text = b"".join(db["parts"].export_lines("csv", ids=ids, name_of=name_of)).decode("utf-8-sig")
        row = next(csv.DictReader(io.StringIO(text, newline="")))
        assert (row["label"], row["count"], row.get("name", f"'@{ids[0]}")) == (label, "-3", f"'@{ids[0]}")


def test_what_cannot_be_is_told_before(db: Database, tmp_path: Path) -> None:
    parts = db["parts"]
    for path, options, line in (
        ("parts.xyz", {}, "does not say what it shall be: parquet, csv"),
        ("parts.csv", {"copy": True}, "copies of the pictures are of imagefolder"),
        ("parts.json", {"predictions": "label"}, "vectors and predictions are for tables"),
        ("nosuch/parts.csv", {}, "is no folder"),
        ("pictures", {"form": "imagefolder"}, "is not empty"),
    ):
        with pytest.raises(InvalidArgument, match=line):
            parts.export(tmp_path / path, **options)


def test_a_full_disk_leaves_nothing(db: Database, tmp_path: Path) -> None:
    """A limit on the size of files stands for it: the write fails in the middle."""
    paths = [tmp_path / "out" / f"parts.{form}" for form in ("parquet", "jsonl", "csv", "json")]
    (tmp_path / "out").mkdir()
    for path in paths:
        path.write_text("before")
    program = (
        "import resource, signal, sys, lookalike\n"
        "import lookalike.transfer.exports.export, pyarrow.parquet\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "db = lookalike.open(sys.argv[1], cache=sys.argv[2])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))\n"
        "for path in sys.argv[3:]:\n"
        "    try: db['parts'].export(path)\n"
        "    except lookalike.OutputFailed as error: print(error)\n"
    )
    given = [db.url, str(tmp_path / "cache"), *map(str, paths)]
    done = subprocess.run([sys.executable, "-c", program, *given], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{path} cannot be written: File too large" for path in paths]
    assert sorted((tmp_path / "out").iterdir()) == sorted(paths)
    assert {path.read_text() for path in paths} == {"before"}


def test_a_folder_that_cannot_be_finished_is_not_there(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    with pytest.raises(OutputFailed, match="No space left"):
        db["parts"].export(tmp_path / "out" / "folder", form="imagefolder")
    assert list((tmp_path / "out").iterdir()) == []


def test_the_command_says_what_it_wrote(
    db: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--store", db.url, "--collection", "parts", "--cache", str(tmp_path / "cache")]
    assert main(["export", str(tmp_path / "parts.csv"), *where, "--where", "label=bad"]) == 0
    assert "parts.csv: 5 images as csv" in capsys.readouterr().out
    assert main(["export", str(tmp_path / "f"), *where, "--as", "imagefolder", "--format", "jsonl"]) == 0
    (summary,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (summary["type"], summary["form"], summary["images"]) == ("summary", "imagefolder", 12)
    assert summary["remarks"] == ["the folder of '균열/2, \"deep\"' is '균열%2F2, \"deep\"'"]
    assert main(["export", "-", "--as", "csv", "--collection", "parts"]) == 2
    assert "names no file: /dev/stdout" in capsys.readouterr().err
