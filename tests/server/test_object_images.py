"""Objects over HTTP: only those below what was indexed, with the service's own keys."""

from __future__ import annotations

import io
import json

import pytest

from lookalike.ingest.indexed_folders import forget_indexed
from lookalike.server.routes.index import indexed_roots
from lookalike.types import Record
from lookalike.uris import record_id, uri_text
from tests.mean_colours import picture
from tests.servers.s3 import KEY, SECRET, Bucket
from tests.service import InProcess

pytestmark = pytest.mark.xdist_group("s3")

MINE = "mine"


def png(seed: int) -> bytes:
    file = io.BytesIO()
    picture(seed).save(file, "png")
    return file.getvalue()


def index(service: InProcess, bucket: Bucket, key: str = "parts") -> dict[str, Record]:
    service.database[MINE].index(bucket.path(key), labels="folders")
    return {uri_text(one.uri).rpartition("/")[2]: one for one in service.database[MINE].vectors.read()[0]}


def address(one: Record, what: str) -> str:
    return f"/v1/collections/{MINE}/images/{one.id}/{what}"


def test_objects_are_shown_as_files_are(service: InProcess, bucket: Bucket) -> None:
    data = {"한국 +%.png": png(1), "b.png": png(2)}
    bucket.put({f"parts/good/{name}": one for name, one in data.items()})
    found = index(service, bucket)
    for name, one in found.items():
        answer = service.client.get(address(one, "original"))
        assert (answer.status_code, answer.content) == (200, data[name])
        assert answer.headers["content-type"] == "image/png"
        again = service.client.get(
            address(one, "original"), headers={"If-None-Match": answer.headers["etag"]}
        )
        assert again.status_code == 304
        small = service.client.get(address(one, "thumbnail"))
        assert (small.status_code, small.headers["content-type"]) == (200, "image/webp")
    read = bucket.server.requests("GetObject")
    assert service.client.get(address(found["b.png"], "thumbnail")).status_code == 200
    assert bucket.server.requests("GetObject") == read
    names = sorted(service.service.roots.names(found.values()))
    assert names == ["good/b.png", "good/한국 +%.png"]


def test_nothing_else_is_shown(service: InProcess, bucket: Bucket) -> None:
    bucket.put({"parts/a.png": png(1), "secret/b.png": png(2), "partsx/c.png": png(3)})
    (one,) = index(service, bucket).values()
    mine = service.database[MINE]
    for key in ("secret/b.png", "partsx/c.png", "parts/../secret/b.png", "parts//../secret/b.png"):
        uri = f"{bucket.uri}/{key}"
        other = Record(record_id(uri), uri, one.digest, {}, {}, one.size, one.modified_ns)
        service.database.store.put(MINE, [other], {mine.info().space: mine.vectors.read()[1][:1]})
        for what in ("original", "thumbnail"):
            answer = service.client.get(address(other, what))
            assert (answer.status_code, what) == (403, what)
    forget_indexed(service.database.cache, service.database.url, MINE)
    assert service.client.get(address(one, "original")).status_code == 403


def test_what_the_server_refuses_is_told_without_its_secrets(
    service: InProcess, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put({"parts/a.png": png(1), "parts/b.png": png(2), "parts/c.png": png(3)})
    found = index(service, bucket)
    bucket.delete("parts/a.png")
    assert service.client.get(address(found["a.png"], "original")).status_code == 404
    bucket.put({"parts/b.png": png(9)})
    assert service.client.get(address(found["b.png"], "original")).status_code == 409
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong+secret")
    answer = service.client.get(address(found["c.png"], "original"))
    assert answer.status_code == 403
    said = answer.text + json.dumps(dict(answer.headers))
    for secret in ("wrong+secret", SECRET, KEY, bucket.uri, bucket.server.endpoint):
        assert secret not in said


def test_the_service_indexes_objects_again(service: InProcess, bucket: Bucket) -> None:
    bucket.put({"parts/good/a.png": png(1)})
    index(service, bucket)
    bucket.put({"parts/bad/b.png": png(2)})
    roots = indexed_roots(service.service, service.database[MINE].info())
    assert roots == [bucket.path("parts")]
    report = service.database[MINE].index(roots, as_before=True)
    assert (report.added, report.unchanged, report.skipped) == (1, 1, [])
