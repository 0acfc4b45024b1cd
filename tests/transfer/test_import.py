"""Imports: what a foreign file holds answers as NumPy does on its columns; nothing is lost in silence."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import signal
import subprocess
import sys
import tempfile
import threading
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyarrow import feather, parquet

import lookalike
from lookalike import (
    Database,
    EmbedderUnknown,
    Image,
    ImportReport,
    InvalidArgument,
    PathNotFound,
    RecordId,
    SpaceMismatch,
    Text,
    Vector,
)
from lookalike.cli import main
from lookalike.testing.samples import random_vectors
from lookalike.transfer.imports.csv_tables import csv_table
from lookalike.transfer.imports.json_tables import json_table
from lookalike.types import Record, Space
from lookalike.uris import file_uri, record_id, uri_path
from tests.mean_colours import MeanColours, picture, save

DIMENSION = 12
COUNT = 60
LABELS = ("good", "bad", "균열")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with lookalike.open(f"sqlite:///{tmp_path}/parts.db", cache=tmp_path / "cache") as database:
        database.use(MeanColours())
        yield database


@pytest.fixture(scope="module")
def vectors() -> NDArray[np.float32]:
    """Not of length 1, as many models give them."""
    return np.random.default_rng(7).normal(size=(COUNT, DIMENSION)).astype(np.float32)


def frame(vectors: NDArray[np.float32]) -> pd.DataFrame:
    """Return what a person has in pandas."""
    return pd.DataFrame(
        {
            "image_id": [f"part {n:03}" for n in range(COUNT)],
            "file_name": [f"shots/{n % 7}/{n}.jpg" for n in range(COUNT)],
            "label": [LABELS[n % 3] for n in range(COUNT)],
            "weight": [n / 4 if n % 5 else None for n in range(COUNT)],
            "ok": [n % 2 == 0 for n in range(COUNT)],
            "embedding": list(vectors),
        }
    )


def unit(vectors: NDArray[Any]) -> NDArray[np.float64]:
    wide = vectors.astype(np.float64)
    found: NDArray[np.float64] = wide / np.linalg.norm(wide, axis=1, keepdims=True)
    return found


def check_answers(db: Database, name: str, vectors: NDArray[np.float32], ids: list[str]) -> None:
    """The neighbours of each vector, asked for by itself and by its id, are those that NumPy finds."""
    directions = unit(vectors)
    for row in range(0, len(ids), 7):
        cosines = directions @ directions[row]
        nearest = sorted(range(len(ids)), key=lambda other: (-cosines[other], ids[other]))[:5]
        for query in (Vector(vectors[row].tolist()), RecordId(ids[row])):
            hits = db[name].search(query, k=5).hits
            assert [hit.record.id for hit in hits] == [ids[other] for other in nearest]
            assert [hit.similarity for hit in hits] == pytest.approx(cosines[nearest], abs=1e-5)


# --- foreign files, each made by its own tool

Write = Callable[[pd.DataFrame, Path], Path]


def as_parquet(table: pd.DataFrame, folder: Path) -> Path:
    table.to_parquet(folder / "parts.parquet")
    return folder / "parts.parquet"


def as_arrow_file(table: pd.DataFrame, folder: Path) -> Path:
    found = pa.Table.from_pandas(table)
    with pa.ipc.new_file(folder / "parts.arrow", found.schema) as writer:
        writer.write_table(found, max_chunksize=17)
    return folder / "parts.arrow"


def as_arrow_stream(table: pd.DataFrame, folder: Path) -> Path:
    found = pa.Table.from_pandas(table)
    with pa.ipc.new_stream(folder / "parts.ipc", found.schema) as writer:
        writer.write_table(found, max_chunksize=17)
    return folder / "parts.ipc"


def as_feather(table: pd.DataFrame, folder: Path) -> Path:
    feather.write_feather(table, str(folder / "parts.feather"))
    return folder / "parts.feather"


def as_csv(table: pd.DataFrame, folder: Path) -> Path:
    texts = table.assign(embedding=[json.dumps(row.tolist()) for row in table["embedding"]])
    texts.to_csv(folder / "parts.csv", index=False)
    return folder / "parts.csv"


def as_korean_csv(table: pd.DataFrame, folder: Path) -> Path:
    """As Excel of a Korean Windows writes it, with a column for each number."""
    wide = table.drop(columns="embedding").join(
        pd.DataFrame(table["embedding"].tolist(), columns=[f"emb_{n}" for n in range(DIMENSION)])
    )
    wide.to_csv(folder / "parts.csv", index=False, encoding="cp949", sep=";")
    return folder / "parts.csv"


def as_json_lines(table: pd.DataFrame, folder: Path) -> Path:
    table.to_json(folder / "parts.jsonl", orient="records", lines=True, double_precision=15)
    return folder / "parts.jsonl"


def as_json_list(table: pd.DataFrame, folder: Path) -> Path:
    table.to_json(folder / "parts.json", orient="records", double_precision=15, indent=1)
    return folder / "parts.json"


def as_matrix_with_table(table: pd.DataFrame, folder: Path) -> Path:
    np.save(folder / "vectors.npy", np.asfortranarray(np.stack(list(table["embedding"]))))
    table.drop(columns="embedding").to_csv(folder / "vectors.csv", index=False)
    return folder / "vectors.npy"


@pytest.mark.parametrize(
    "write",
    [
        *(as_parquet, as_arrow_file, as_arrow_stream, as_feather, as_csv, as_korean_csv, as_json_lines),
        *(as_json_list, as_matrix_with_table),
    ],
)
def test_a_table_of_another_program_answers_as_its_columns_do(
    db: Database, tmp_path: Path, vectors: NDArray[np.float32], write: Write
) -> None:
    table = frame(vectors)
    report = db["parts"].import_vectors(write(table, tmp_path), space="their-model")
    assert (report.rows, report.added, report.left_out) == (COUNT, COUNT, ())
    assert [(each.reason[:30], each.count) for each in report.counted] == [
        ("a vector whose length is not 1", COUNT)
    ]
    ids = [f"part%20{n:03}" for n in range(COUNT)]
    check_answers(db, "parts", vectors, ids)
    records = {record.id: record for record in db["parts"].records.get(ids)}
    for n, identity in enumerate(ids):
        row = table.iloc[n]
        expected = {"label": row["label"], "ok": bool(row["ok"])}
        if not np.isnan(row["weight"]):
            expected["weight"] = row["weight"]
        assert records[identity].fields == expected
        assert records[identity].uri == file_uri(tmp_path / row["file_name"])
    again = db["parts"].import_vectors(write(table, tmp_path), space="their-model")
    assert (again.added, again.updated, again.unchanged) == (0, 0, COUNT)


def test_what_needs_no_picture_works_and_what_does_says_why(
    db: Database, tmp_path: Path, vectors: NDArray[np.float32]
) -> None:
    db["parts"].import_vectors(as_parquet(frame(vectors), tmp_path), space="their-model")
    parts = db["parts"]
    evaluation = parts.evaluate("label", k=3, near_duplicates=False)
    directions = unit(vectors)
    cosines = directions @ directions.T
    np.fill_diagonal(cosines, -2)
    right = 0
    for row in range(COUNT):
        nearest = np.argsort(-cosines[row])[:1]
        right += LABELS[nearest[0] % 3] == LABELS[row % 3]
    assert parts.evaluate("label", k=1, near_duplicates=False).correct == right
    assert evaluation.evaluated == COUNT
    assert parts.audit("label") is not None
    (answer,) = parts.classify(RecordId("part%20000"), "label", k=3)
    assert not isinstance(answer, lookalike.Skipped)
    assert parts.fit("label").images == COUNT
    check = np.array([hit.similarity for hit in parts.search(RecordId("part%20000"), k=3).hits])
    assert check[0] == pytest.approx(1, abs=1e-5)
    save(tmp_path / "new.png", 1)
    for query in (Image(tmp_path / "new.png"), Text("a red car")):
        with pytest.raises(
            EmbedderUnknown, match="of the space 'their-model', whose model lookalike does not"
        ):
            parts.search(query)
    with pytest.raises(EmbedderUnknown):
        list(parts.classify(tmp_path / "new.png", "label"))
    with pytest.raises(EmbedderUnknown):
        parts.index(tmp_path)
    for wrong in ([1.0], [0.0] * DIMENSION, [float("nan")] * DIMENSION, ["a"] * DIMENSION):
        with pytest.raises(InvalidArgument):
            parts.search(Vector(wrong))  # type: ignore[arg-type]


def test_a_folder_of_clip_retrieval(db: Database, tmp_path: Path, vectors: NDArray[np.float32]) -> None:
    """Its layout as clip_retrieval/clip_inference/writer.py writes it: the package itself brings torch."""
    for folder in ("img_emb", "metadata"):
        (tmp_path / "clip" / folder).mkdir(parents=True)
    for number, rows in enumerate(np.array_split(np.arange(COUNT), 11)):
        np.save(tmp_path / f"clip/img_emb/img_emb_{number}.npy", vectors[rows].astype(np.float16))
        pd.DataFrame(
            {"image_path": [f"/shots/{n}.jpg" for n in rows], "caption": [LABELS[n % 3] for n in rows]}
        ).to_parquet(tmp_path / f"clip/metadata/metadata_{number}.parquet")
    report = db["clip"].import_vectors(tmp_path / "clip", space="ViT-B/32")
    assert (report.form, report.added) == ("clip-retrieval", COUNT)
    ids = [record_id(f"file:///shots/{n}.jpg") for n in range(COUNT)]
    check_answers(db, "clip", vectors.astype(np.float16).astype(np.float32), ids)
    assert [record.fields["caption"] for record in db["clip"].records.get(ids)] == [
        LABELS[n % 3] for n in range(COUNT)
    ]
    (tmp_path / "clip/metadata/metadata_3.parquet").unlink()
    with pytest.raises(PathNotFound, match="img_emb_3"):
        db["clip"].import_vectors(tmp_path / "clip", space="ViT-B/32")


@pytest.mark.parametrize("packed", ["text", "binary", "list"])
def test_an_export_of_fiftyone(
    db: Database, tmp_path: Path, vectors: NDArray[np.float32], packed: str
) -> None:
    """FiftyOneDataset as its exporter writes it; the package itself brings MongoDB."""
    samples = []
    for n, vector in enumerate(vectors):
        written = io.BytesIO()
        np.save(written, vector, allow_pickle=False)
        text = base64.b64encode(zlib.compress(written.getvalue())).decode()
        value = {
            "text": text,
            "binary": {"$binary": {"base64": text, "subType": "00"}},
            "list": vector.tolist(),
        }
        samples.append(
            {
                "_id": {"$oid": f"{n:024x}"},
                "filepath": f"data/{n}.jpg",
                "tags": ["validation", "line 3"],
                "metadata": {"_cls": "ImageMetadata", "width": 4, "height": 3, "mime_type": "image/jpeg"},
                "ground_truth": {
                    "_id": {"$oid": f"{n + 99:024x}"},
                    "_cls": "Classification",
                    "label": LABELS[n % 3],
                },
                "found": {
                    "_cls": "Detections",
                    "detections": [{"_cls": "Detection", "label": one} for one in "ba"],
                },
                "embedding": value[packed],
            }
        )
    (tmp_path / "samples.json").write_text(json.dumps({"samples": samples}))
    (tmp_path / "metadata.json").write_text("{}")
    report = db["fifty"].import_vectors(tmp_path, space="resnet")
    assert (report.form, report.added) == ("FiftyOne", COUNT)
    ids = [f"{n:024x}" for n in range(COUNT)]
    check_answers(db, "fifty", vectors, ids)
    (record,) = db["fifty"].records.get(ids[:1])
    assert record.uri == file_uri(tmp_path / "data" / "0.jpg")
    assert record.fields == {"ground_truth": "good", "found": "a, b", "tags": "line 3, validation"}
    assert record.metadata["media"]["width"] == 4


def hugging_face(folder: Path, pictures: list[bytes], parts: int, *, paths: bool = True) -> None:
    """Write what `Dataset.save_to_disk` writes; the layout of datasets 4, arrow_dataset.py."""
    folder.mkdir(parents=True)
    features = {"image": {"_type": "Image"}, "label": {"names": list(LABELS), "_type": "ClassLabel"}}
    schema = pa.schema(
        [("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])), ("label", pa.int64())],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    names = []
    for part, rows in enumerate(np.array_split(np.arange(len(pictures)), parts)):
        names.append(f"data-{part:05}-of-{parts:05}.arrow")
        images = [{"bytes": pictures[n], "path": f"{n}.png" if paths else None} for n in rows]
        table = pa.table({"image": images, "label": [int(n) % 3 for n in rows]}, schema)
        with pa.ipc.new_stream(folder / names[-1], schema) as writer:
            writer.write_table(table)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))


def pngs(count: int) -> list[bytes]:
    found = []
    for seed in range(count):
        written = io.BytesIO()
        picture(seed).save(written, "PNG")
        found.append(written.getvalue())
    return found


def test_pictures_of_a_data_set_of_hugging_face_are_embedded(db: Database, tmp_path: Path) -> None:
    pictures = pngs(9)
    hugging_face(tmp_path / "set" / "train", pictures[:6], 2)
    hugging_face(tmp_path / "set" / "test", pictures[6:], 1, paths=False)
    (tmp_path / "set" / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    report = db["set"].import_vectors(tmp_path / "set", model=MeanColours.name, pictures=tmp_path / "kept")
    assert (report.added, report.skipped) == (9, ())
    for seed in range(9):
        save(tmp_path / "pictures" / f"{seed}.png", seed)
    db["files"].index(tmp_path / "pictures", model=MeanColours.name)
    expected = {record.digest: row.tobytes() for record, row in zip(*db["files"].vectors.read(), strict=True)}
    records, rows = db["set"].vectors.read()
    assert {record.digest: row.tobytes() for record, row in zip(records, rows, strict=True)} == expected
    labels = {hashlib.sha256(data).hexdigest(): LABELS[n % 3] for n, data in enumerate([*pictures[:6]])}
    labels |= {hashlib.sha256(data).hexdigest(): LABELS[n % 3] for n, data in enumerate(pictures[6:])}
    assert {record.digest: record.fields["label"] for record in records} == labels
    assert {record.fields["split"] for record in records} == {"train", "test"}
    for record in records:
        assert hashlib.sha256(uri_path(record.uri).read_bytes()).hexdigest() == record.digest
    with pytest.raises(InvalidArgument, match="say which model embeds them"):
        db["other"].import_vectors(tmp_path / "set", space="x")


def test_pictures_in_parquet_have_a_name_and_no_file(db: Database, tmp_path: Path) -> None:
    images = [{"bytes": data, "path": None} for data in [*pngs(3), b"no picture"]]
    parquet.write_table(pa.table({"image": images, "key": ["a", "b", "c/d", "e"]}), tmp_path / "p.parquet")
    report = db["p"].import_vectors(tmp_path / "p.parquet", model=MeanColours.name)
    assert (report.added, len(report.skipped)) == (3, 1)
    records, _ = db["p"].vectors.read()
    assert [(record.id, record.uri) for record in records] == [
        (one, f"row:p.parquet/{one}") for one in ("a", "b", "c%2Fd")
    ]


# --- what is not as it should be


def test_what_cannot_be_a_record_is_counted_with_an_example(db: Database, tmp_path: Path) -> None:
    good = [0.6, 0.8, 0.0]
    rows: list[tuple[object, object]] = [
        ("a", good), ("b", None), ("c", [float("nan"), 1.0, 0.0]), ("d", [0.0, 0.0, 0.0]), ("e", [1.0, 0.0]),
        ("a", good), (None, good), ("f", [3.0, 4.0, 0.0]), ("g", [1e300, 0.0, 0.0]), ("x" * 600, good),
    ]  # fmt: skip
    table = pa.table(
        {
            "id": pa.array([one for one, _ in rows]),
            "vector": pa.array([row for _, row in rows], pa.list_(pa.float64())),
        }
    )
    parquet.write_table(table, tmp_path / "odd.parquet")
    report = db["odd"].import_vectors(tmp_path / "odd.parquet", space="s")
    told = {each.reason.split(":")[0]: (each.count, each.example[:1]) for each in report.left_out}
    assert told == {
        "no vector (NULL)": (1, "b"),
        "a vector with numbers that are not finite": (2, "c"),
        "a vector of zeros": (1, "d"),
        "a vector that has not 3 dimensions": (1, "e"),
        "an id that another row has; one of these rows is the record": (1, "a"),
        "an id that can be none": (2, "N"),
    }
    assert [(each.count, each.example) for each in report.counted] == [(1, "f")]
    assert (report.rows, report.added) == (10, 2)
    assert [record.id for record in db["odd"].vectors.read()[0]] == ["a", "f"]


@pytest.mark.parametrize(
    ("name", "content", "options", "line"),
    [
        ("a.csv", "", {"space": "s"}, "is empty"),
        ("a.csv", "id,v\n", {"space": "s"}, "has no rows"),
        ("a.csv", 'id,v\n1,"[1, 2', {"space": "s"}, "is no CSV"),
        ("a.csv", "id,v\n1,2,3\n", {"space": "s"}, "3 columns, the first line has 2"),
        ("a.csv", "id,id\n1,2\n", {"space": "s"}, "two columns of one name"),
        (
            "a.csv",
            "id,name\n1,x\n",
            {"space": "s"},
            "no column of vectors nor of pictures: id .number., name .text.",
        ),
        ("a.csv", 'id,v,w\n1,"[1.5, 2]","[1.5, 2]"\n', {"space": "s"}, "say --vector v or w"),
        ("a.csv", 'id,v\n1,"[1.5, 2]"\n', {}, "say which model the vectors are of"),
        ("a.csv", 'id,v\n1,"[1.5, 2]"\n', {"space": "s", "id": "nosuch"}, "no column 'nosuch': id, v"),
        (
            "a.csv",
            'id,v\n1,"[1.5, 2]"\n',
            {"model": "mean-colours"},
            "have 2 numbers, and those of mean-colours have 27",
        ),
        ("a.csv", 'id,v\n1,"[1.5, 2]"\n', {"space": "efficientnet-lite0"}, "names a model"),
        ("a.csv", 'id,v\n1,"[1.5, 2]"\n', {"space": "s", "model": "mean-colours"}, "not both"),
        ("a.json", '[{"id": 1, "v": [1.5, 2]}, 7]', {"space": "s"}, "holds int, and no objects"),
        ("a.jsonl", '{"id": 1, "v": [1.5, 2]}\n{"id"', {"space": "s"}, "is no JSON"),
        ("a.json", '[{"id": 1, "v": [1.5, 2]},\n', {"space": "s"}, "ends within the list"),
        ("a.json", '[{"id": 1, "v": [1.5, 2]}]\n[{"id": 2}]', {"space": "s"}, "follows the end of the list"),
        ("a.jsonl", '{"id": 1, "v": [1.5, 2]}\n]\n{"id": 2}', {"space": "s"}, "is no JSON"),
        ("a.parquet", "no parquet", {"space": "s"}, "cannot be read"),
        ("a.arrow", "no arrow at all", {"space": "s"}, "cannot be read"),
        ("a.npy", "no npy", {"space": "s"}, "is no array of NumPy"),
        ("a.xyz", "", {"space": "s"}, "are read"),
        ("samples.json", '{"samplers": []}', {"space": "s"}, "has no list 'samples'"),
    ],
)
def test_what_cannot_be_read_says_so_and_makes_nothing(
    db: Database, tmp_path: Path, name: str, content: str, options: dict[str, Any], line: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InvalidArgument, match=line):
        db["none"].import_vectors(tmp_path / name, **options)
    assert db.collections() == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("id;size, in mm, w, h;v\n1;2, 3;4\n", ["id", "size, in mm, w, h", "v"]),
        ('id,v,"a;b;c;d"\n1,"[1; 2]",x\n2,"[3; 4]",y\n', ["id", "v", "a;b;c;d"]),
        ("sep=|\r\nid|a;b\r\n1|2\r\n", ["id", "a;b"]),
    ],
    ids=["semicolons", "commas", "stated"],
)
def test_the_separator_of_csv_is_what_parts_all_rows_alike(
    tmp_path: Path, text: str, names: list[str]
) -> None:
    (tmp_path / "a.csv").write_text(text)
    (block,) = csv_table(tmp_path / "a.csv").open()
    assert list(block.columns) == names
    assert block.columns["id"][0] == 1


def test_numbers_of_a_matrix_have_names_or_places(
    db: Database, tmp_path: Path, vectors: NDArray[np.float32]
) -> None:
    np.save(tmp_path / "m.npy", vectors)
    report = db["m"].import_vectors(tmp_path / "m.npy", space="s")
    assert report.remarks == ("no file names the rows (--ids): they are named by their numbers",)
    np.save(tmp_path / "named.npy", np.array([f"n{n}" for n in range(COUNT)]))
    db["named"].import_vectors(tmp_path / "m.npy", space="s", ids=tmp_path / "named.npy")
    check_answers(db, "named", vectors, [f"n{n}" for n in range(COUNT)])
    (tmp_path / "named.txt").write_text("\n".join(f"t{n}" for n in range(COUNT)))
    db["text"].import_vectors(tmp_path / "m.npy", space="s", ids=tmp_path / "named.txt")
    check_answers(db, "text", vectors, [f"t{n}" for n in range(COUNT)])
    (tmp_path / "few.txt").write_text("a\nb\n")
    with pytest.raises(InvalidArgument, match="60 rows"):
        db["few"].import_vectors(tmp_path / "m.npy", space="s", ids=tmp_path / "few.txt")


def test_vectors_of_another_model_are_told_by_the_pictures(db: Database, tmp_path: Path) -> None:
    for seed in range(4):
        save(tmp_path / f"{seed}.png", seed)
    model = MeanColours()
    right = model.embed([picture(seed) for seed in range(4)])
    names = [f"{seed}.png" for seed in range(4)]
    pd.DataFrame({"path": names, "vector": list(right)}).to_parquet(tmp_path / "right.parquet")
    report = db["right"].import_vectors(tmp_path / "right.parquet", model=model.name)
    assert (report.verified, report.doubtful) == (4, False)
    assert report.similarity == pytest.approx(1, abs=1e-5)
    (record, *_), _ = db["right"].vectors.read()
    data = uri_path(record.uri).read_bytes()
    assert (record.digest, record.size) == (hashlib.sha256(data).hexdigest(), len(data))
    found = db["right"].search(tmp_path / "2.png", k=1).hits[0]
    assert uri_path(found.record.uri) == tmp_path / "2.png"
    pd.DataFrame({"path": names, "vector": list(-right)}).to_parquet(tmp_path / "wrong.parquet")
    assert db["wrong"].import_vectors(tmp_path / "wrong.parquet", model=model.name).doubtful


def test_corrections_stay_and_columns_are_those_that_are_named(
    db: Database, tmp_path: Path, vectors: NDArray[np.float32]
) -> None:
    path = as_parquet(frame(vectors), tmp_path)
    options: dict[str, Any] = {
        "space": "s",
        "id": "image_id",
        "vector": "embedding",
        "fields": {"kind": "label"},
    }
    db["parts"].import_vectors(path, **options)
    db["parts"].correct("part%20003", {"kind": "put right"})
    report = db["parts"].import_vectors(path, **options)
    assert report.unchanged == COUNT
    assert db["parts"].record("part%20003").fields == {"kind": "put right"}
    with pytest.raises(SpaceMismatch):
        db["parts"].import_vectors(path, space="another", id="image_id")


# --- interrupted, killed, twice at once

IMPORT = (
    "import sys, lookalike\n"
    "db = lookalike.open(sys.argv[1], cache=sys.argv[2], timeout=60)\n"
    "db['many'].import_vectors(sys.argv[3], space='s', progress=lambda done, _: print(done, flush=True))\n"
)


def many(folder: Path, count: int = 6_000) -> tuple[Path, list[str]]:
    rows = random_vectors(count, DIMENSION, 3)
    np.save(folder / "many.npy", rows)
    ids = [f"{n:05}" for n in range(count)]
    (folder / "many.txt").write_text("\n".join(ids))
    return folder / "many.npy", ids


def test_what_was_killed_goes_on_and_two_at_once_end_alike(db: Database, tmp_path: Path) -> None:
    path, ids = many(tmp_path)
    words = [sys.executable, "-c", IMPORT, db.url, str(tmp_path / "cache"), str(path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        done = int(killed.stdout.readline())
        killed.send_signal(signal.SIGKILL)
    there = db["many"].info().count
    assert done <= there < len(ids)
    report: list[ImportReport] = []
    with lookalike.open(db.url, cache=tmp_path / "cache") as other:
        both = [
            threading.Thread(
                target=lambda each=each: report.append(each["many"].import_vectors(path, space="s"))
            )
            for each in (db, other)
        ]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
    assert len(report) == 2
    assert min(each.unchanged for each in report) >= there
    records, rows = db["many"].vectors.read()
    assert [record.id for record in records] == ids
    assert rows.tobytes() == np.load(path).tobytes()


# --- there and back again

NAMES = st.text(min_size=1, max_size=6).filter(lambda text: text.isprintable() and text.strip() == text)


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_export_writes_import_reads_back(tmp_path: Path, form: str, data: st.DataObject) -> None:
    own = st.sampled_from(["id", "uri", "metadata", "vector_image", "fields", "3"])
    names = data.draw(st.lists(NAMES | own, unique=True, max_size=4))
    values = st.none() | FIELDS_VALUES
    count = data.draw(st.integers(1, 5))
    rows = random_vectors(count, 5, data.draw(st.integers(0, 9)))
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    space = Space("some-model", "ab" * 32, 5)
    records = []
    for n in range(count):
        drawn = {name: data.draw(values) for name in names}
        fields = {name: value for name, value in drawn.items() if value is not None}
        uri = data.draw(st.sampled_from([f"file:///a/{n}.jpg", f"s3://b/{n}", f"row:x/{n}"]))
        records.append(Record(f"id-{n}", uri, f"{n:064x}", fields, {"a": [n, {"b": None}]}, n, -n))
    with lookalike.open(f"sqlite:///{folder}/store.db", cache=folder) as db:
        db.store.create("from", space)
        db.store.put("from", records, {space: rows})
        db["from"].export(folder / f"out.{form}")
        if form == "parquet":
            report = db["to"].import_vectors(folder / "out.parquet")
        else:
            db.use(NamedModel())
            report = db["to"].import_vectors(folder / "out.jsonl", model="some-model")
        assert (report.added, report.left_out) == (count, ())
        before, after = db["from"].vectors.read(), db["to"].vectors.read()
        assert after[0] == before[0]
        assert [
            {name: type(value) for name, value in one.fields.items() if not isinstance(value, int | float)}
            for one in after[0]
        ] == [
            {name: type(value) for name, value in one.fields.items() if not isinstance(value, int | float)}
            for one in before[0]
        ]
        assert after[1].tobytes() == before[1].tobytes()


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("sent", [False, True])
def test_fields_that_are_called_as_columns_are_read_back(
    tmp_path: Path, form: Literal["csv", "jsonl"], *, sent: bool
) -> None:
    """What `lookalike export` writes, and what the service sends, whose rows have a name for a place."""
    space = Space("some-model", "ab" * 32, 5)
    names = ["id", "uri", "path", "name", "metadata", "digest", "field.id", "field.field.id", "label", "size"]
    records = [
        Record(
            f"id-{n}", f"file:///a/{n}.jpg", f"{n:064x}", {name: f"{name} {n}" for name in names}, {}, 9, 9
        )
        for n in range(3)
    ]
    with lookalike.open(f"sqlite:///{tmp_path}/store.db", cache=tmp_path) as db:
        db.use(NamedModel())
        db.store.create("from", space)
        db.store.put("from", records, {space: random_vectors(3, 5, 1)})
        lines = db["from"].export_lines(
            form, vectors=True, name_of=(lambda one: one.uri.rpartition("/")[2]) if sent else None
        )
        (tmp_path / f"out.{form}").write_bytes(b"".join(lines))
        db["to"].import_vectors(tmp_path / f"out.{form}", model="some-model", base="/a")
        before, after = db["from"].vectors.read(), db["to"].vectors.read()
    assert [(one.id, one.uri, one.fields) for one in after[0]] == [
        (one.id, one.uri, one.fields) for one in before[0]
    ]
    assert after[1] == pytest.approx(before[1], abs=1e-6)


FIELDS_VALUES = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=5)
    | st.sampled_from(["3", "true", '"', "null"])
)


class NamedModel(MeanColours):
    """An embedder of the name and fingerprint that the records above are said to be of."""

    name = "some-model"
    fingerprint = "ab" * 32
    dimension = 5


def test_the_command_tells_what_it_took(
    db: Database, tmp_path: Path, vectors: NDArray[np.float32], capsys: pytest.CaptureFixture[str]
) -> None:
    path = as_parquet(frame(vectors), tmp_path)
    where = ["--store", db.url, "--cache", str(tmp_path / "cache"), "-c", "parts"]
    assert main(["import", str(path), "--space", "s", "--dry-run", *where]) == 0
    assert "nothing was written" in capsys.readouterr().out
    assert db.collections() == []
    assert main(["import", str(path), "--space", "s", *where]) == 0
    out, err = capsys.readouterr()
    assert "parts: 60 added" in out
    assert "embedding" in out
    assert "60 rows have a vector whose length is not 1" in err
    np.save(tmp_path / "query.npy", vectors[5])
    assert main(["search", str(tmp_path / "query.npy"), "-k", "1", "--format", "jsonl", *where]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == "part%20005"


def test_a_number_that_is_none_costs_its_row_alone(db: Database, tmp_path: Path) -> None:
    rows = [{"id": f"r{n:04d}", **{f"emb_{k}": n + k + 0.5 for k in range(8)}} for n in range(120)]
    rows[110]["emb_3"] = "n/a"
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    report = db["wide"].import_vectors(tmp_path / "a.jsonl", space="s")
    assert [(each.count, each.example) for each in report.left_out] == [(1, "r0110")]
    assert (report.rows, report.added) == (120, 119)


def test_a_broken_line_is_told_before_the_file_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": 1, "v": [1.5, 2]\n' + f'{{"v": [1.5, {"2" * 1000}]}}\n' * 20_000)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidArgument, match="is no JSON"):
            next(iter(json_table(path).open()))
        assert tracemalloc.get_traced_memory()[1] < path.stat().st_size / 2
    finally:
        tracemalloc.stop()


def test_lines_of_export_that_others_have_changed_are_told(db: Database, tmp_path: Path) -> None:
    line: dict[str, Any] = {"id": "a", "uri": "file:///a.png", "path": "/a.png", "digest": None}
    line |= {"size": "12", "modified_ns": 2, "fields": {"label": "b"}, "vectors": {"image": [1.5, 2.0]}}
    path = tmp_path / "a.jsonl"
    for changed in ({"size": "much"}, {"modified_ns": 2**63}, {"fields": "label"}, {"size": [1]}):
        path.write_text(json.dumps(line) + "\n" + json.dumps({**line, "id": "b", **changed}))
        with pytest.raises(InvalidArgument, match=f"row 2: '{next(iter(changed))}' is .*writes otherwise"):
            db["lines"].import_vectors(path, space="s")
    path.write_text(json.dumps({**line, "uri": 5, "digest": 7}))
    assert db["lines"].import_vectors(path, space="s").added == 1
    (record,) = db["lines"].vectors.read()[0]
    assert (record.digest, record.size) == ("row-a", 12)
