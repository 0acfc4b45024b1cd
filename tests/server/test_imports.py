"""Vectors over HTTP: what is sent becomes a collection, and nothing that it names is opened."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from lookalike.testing.samples import random_vectors
from lookalike.types import Space
from lookalike.uris import file_uri, uri_text
from tests.mean_colours import save
from tests.server.test_jobs import ended, got
from tests.service import COLLECTION, InProcess

VECTORS = random_vectors(4, 5, 7)
ROWS = [
    {"sku": f"s{n}", "path": f"사진/{n}.png", "kind": "ab"[n % 2], "embedding": row.tolist()}
    for n, row in enumerate(VECTORS)
]


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows({**row, "embedding": json.dumps(row["embedding"])} for row in rows)
    return text.getvalue().encode()


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows), file)
    return file.getvalue()


def as_npy(rows: NDArray[np.float32]) -> bytes:
    file = io.BytesIO()
    np.save(file, rows)
    return file.getvalue()


def send(
    service: InProcess, file: tuple[str, bytes], query: dict[str, Any], name: str = "goods", **more: Any
) -> Any:
    files = {"file": file, "query": (None, json.dumps(query), "application/json"), **more}
    return service.client.post(f"/v1/collections/{name}/imports", files=files)


def imported(service: InProcess, *asked: Any, **more: Any) -> Any:
    answer = send(service, *asked, **more)
    assert answer.status_code == 202, answer.text
    job = ended(service, answer.headers["location"])
    assert job["state"] == "done", job
    return got(service, f"{answer.headers['location']}/import")


FILES = {
    "상품.csv": as_csv(ROWS),
    "goods.jsonl": b"".join(json.dumps(row).encode() + b"\n" for row in ROWS),
    "goods.json": json.dumps(ROWS).encode(),
    "goods.parquet": as_parquet(ROWS),
}


def test_a_file_becomes_a_collection(service: InProcess) -> None:
    for number, (name, content) in enumerate(FILES.items()):
        goods = f"goods{number}"
        report = imported(service, (name, content), {"space": "theirs"}, goods)
        assert (report["rows"], report["added"], report["left_out"]) == (4, 4, [])
        assert report["columns"]["id"] == "sku"
        assert report["spaces"] == [{"vector": "image", "model": "theirs", "dimension": 5}]
        query = {"terms": [{"vector": VECTORS[2].tolist()}], "k": 1, "where": {"kind": ["a"]}}
        (hit,) = service.client.post(f"/v1/collections/{goods}/search", json=query).json()["hits"]
        assert (hit["id"], hit["name"], hit["fields"]) == ("s2", "2.png", {"kind": "a"})
    # Again it changes nothing; another part is added.
    assert imported(service, (name, content), {"space": "theirs"}, goods)["unchanged"] == 4
    more = as_csv([{**ROWS[0], "sku": "other"}])
    assert imported(service, ("more.csv", more), {"space": "theirs"}, goods)["added"] == 1
    assert service.database[goods].info().count == 5


def test_a_matrix_has_its_ids_beside_it_and_a_dry_run_writes_nothing(service: InProcess) -> None:
    file, ids = ("v.npy", as_npy(VECTORS)), ("names.txt", "\n".join("abcd").encode())
    report = imported(service, file, {"space": "theirs", "dry_run": True}, ids=ids)
    assert (report["rows"], report["added"]) == (4, 0)
    assert service.client.get("/v1/collections/goods").status_code == 404
    assert imported(service, file, {"space": "theirs"}, ids=ids)["added"] == 4
    assert sorted(one.id for one in service.database["goods"].records.get(list("abcd"))) == list("abcd")


def test_a_table_of_export_is_read_back(service: InProcess) -> None:
    """With what the service sends itself: names for places, and the vectors of its own model."""
    params = {"format": "csv", "vectors": "true"}
    content = service.client.get(f"/v1/collections/{COLLECTION}/export", params=params).content
    report = imported(service, ("textile.csv", content), {"model": "efficientnet-lite0"})
    assert (report["added"], report["doubtful"], report["verified"]) == (60, False, 0)
    (hit,) = service.ask("search", {"terms": [{"text": "cloth"}], "k": 1})["hits"]
    answer = service.client.post("/v1/collections/goods/search", json={"terms": [{"text": "cloth"}], "k": 1})
    assert answer.json()["hits"][0]["id"] == hit["id"]


def test_nothing_that_rows_name_is_opened(make_service: Callable[..., InProcess], tmp_path: Path) -> None:
    """Whoever may write here may not read the files of this machine for it."""
    root, secret = save(tmp_path / "root" / "a.png", 1).parent, save(tmp_path / "secret.png", 2)
    (root / "out.png").symlink_to(secret)
    service = make_service(roots=(root,))
    places = [
        str(secret), file_uri(secret), f"file://localhost{secret}", "../secret.png", "/etc/passwd",
        f"{file_uri(root)}/../secret.png", "s3://bucket/a.png", "http://127.0.0.1:9/a.png",
        f"file:{secret}", f"file:{root}/a.png#t=1",
    ]  # fmt: skip
    rows = [
        {"id": f"{n}", "path": place, "embedding": row.tolist()}
        for n, (place, row) in enumerate(zip(places, random_vectors(10, 5, 1), strict=True))
    ]
    for query in ({}, {"folder": {"root": "root", "path": ""}}):
        imported(service, ("x.parquet", as_parquet(rows)), {"space": "theirs", **query})
        for one in service.database["goods"].records.get([row["id"] for row in rows]):
            assert (one.size, one.digest) == (0, f"row-{one.id}"), one
            for what in ("original", "thumbnail"):
                answer = service.client.get(f"/v1/collections/goods/images/{one.id}/{what}")
                assert answer.status_code in (403, 404), one.uri
                assert str(tmp_path) not in answer.text
            assert one.uri.startswith(("file://sent/", "s3:", "http:")), one.uri
            assert one.uri.partition("#")[0].endswith((".png", "/passwd")), one.uri
        assert str(tmp_path) not in service.client.post("/v1/collections/goods/browse", json={}).text
    # What lies below a folder that the service lets clients name is shown, and not what links there lead to.
    rows = [{**row, "path": path} for row, path in zip(rows, ["a.png", "out.png"], strict=False)]
    imported(service, ("x.csv", as_csv(rows)), {"space": "theirs", "folder": {"root": "root"}})
    first, second = service.database["goods"].records.get(["0", "1"])
    assert uri_text(first.uri) == str(root / "a.png")
    base = "/v1/collections/goods/images"
    assert service.client.get(f"{base}/0/original").content == (root / "a.png").read_bytes()
    assert service.client.get(f"{base}/1/original").status_code == 403
    # A file that says itself what made its vectors names no model of this machine.
    model = tmp_path / "model"
    service.database.store.create("told", Space(f"onnx:{model}", "ab" * 32, 5))
    vectors = random_vectors(1, 5, 2)
    space = service.database["told"].info().space
    service.database.store.put("told", [second], {space: vectors})
    service.database["told"].export(tmp_path / "told.parquet")
    service.database["told"].delete()
    answer = send(service, ("told.parquet", (tmp_path / "told.parquet").read_bytes()), {}, "new")
    assert (answer.status_code, answer.json()["error"]) == (404, "ModelNotServed")


REFUSED: list[tuple[tuple[str, bytes], dict[str, Any], int, str]] = [
    (("a.zip", b"PK"), {"space": "x"}, 400, "files whose names end in .parquet"),
    (("a.csv.gz", b"x"), {"space": "x"}, 400, "files whose names end in"),
    (("../../a.csv", b""), {"space": "x"}, 400, "a.csv is empty"),
    (("a.csv", b"id,label\n1,b\n"), {"space": "x"}, 400, "no column of vectors"),
    (("a.parquet", b"PAR1 and more"), {"space": "x"}, 400, "a.parquet"),
    (("a.csv", as_csv(ROWS)), {}, 400, "say which model"),
    (("a.csv", as_csv(ROWS)), {"model": "efficientnet-lite0"}, 400, "the vectors have 5 numbers"),
    (("a.csv", as_csv(ROWS)), {"model": "onnx:/etc"}, 404, "no model"),
    (("a.csv", as_csv(ROWS)), {"space": "x", "folder": {"root": "etc"}}, 404, "no such folder"),
    (("a.csv", as_csv(ROWS)), {"space": "x", "base": "/etc"}, 422, "query/base"),
    (("a.csv", as_csv(ROWS)), {"space": "x", "id": "nosuch"}, 400, "there is no column 'nosuch'"),
]


def test_what_cannot_be_imported_is_refused_at_once(service: InProcess) -> None:
    for file, query, status, line in REFUSED:
        answer = send(service, file, query)
        assert answer.status_code == status, answer.text
        assert line in answer.json()["detail"]
        assert "/tmp/" not in answer.text
    assert service.client.get("/v1/collections/goods").status_code == 404
    assert send(service, ("a.csv", as_csv(ROWS)), {"space": "x"}, "bad name").status_code == 400


def test_other_vectors_of_a_collection_and_large_files_are_refused(
    make_service: Callable[..., InProcess],
) -> None:
    service = make_service(max_bytes=10_000, collections=(COLLECTION,))
    answer = send(service, ("a.csv", as_csv(ROWS)), {"space": "x"}, COLLECTION)
    job = ended(service, answer.headers["location"])
    assert (job["state"], job["problem"]["error"]) == ("failed", "SpaceMismatch")
    assert send(service, ("a.csv", b"x" * 20_000), {"space": "x"}, COLLECTION).status_code == 413
    assert send(service, ("a.csv", as_csv(ROWS)), {"space": "x"}, "other").status_code == 404
    answer = service.client.post(f"/v1/collections/{COLLECTION}/imports", json={})
    assert answer.status_code == 415
