"""The Elasticsearch store when things go wrong: nodes that stop, refuse, are full or leave a cluster."""

from __future__ import annotations

import hashlib
import http.server
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from lookalike.embedders.models import Models
from lookalike.errors import (
    LookalikeError,
    StoreBusy,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnreachable,
)
from lookalike.ingest.completion import complete_vectors
from lookalike.stores.registry import open_store
from lookalike.stores.store import Store
from lookalike.testing.samples import CORNERS, SPACE, corners, fill, nearest, put, record, scanned
from lookalike.vectors.metric import normalise
from tests.forked_programs import ForkedProgram
from tests.servers.elasticsearch import (
    Node,
    Unavailable,
    free_port,
)
from tests.stores.interrupted_fits import complete_fit, fit_endlessly
from tests.stores.test_elasticsearch_store import PREFIX, ask, no_catalogue_stays, url

__all__ = ["no_catalogue_stays", "url"]

pytestmark = pytest.mark.xdist_group("elasticsearch")

ROOT = Path(__file__).parents[2]

SECRET = "s%3Acret%20word"
"""A password as a URL has it; `s:cret word` without."""


class Secured(NamedTuple):
    """A node that wants to know who asks."""

    node: Node
    ca_file: Path

    def url(self, user: str, password: str = SECRET, *options: str) -> str:
        asked = "&".join((f"ca_file={self.ca_file}", "shards=1", "replicas=0", *options))
        return f"elasticsearch+https://{user}:{password}@localhost:{self.node.port}/?{asked}"


ROLES = """
writer:
  indices:
    - names: ["lookalike.*", "lookalike-*"]
      privileges: ["create_index", "manage", "read", "write"]
reader:
  indices:
    - names: ["lookalike.*", "lookalike-*"]
      privileges: ["read"]
"""


def _hashed(password: str) -> str:
    """Return what `elasticsearch-users`, which takes seconds, writes for a password (Elastic's `Hasher`)."""
    salt, rounds = os.urandom(32), 1000
    key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds, 32)
    return f"{{PBKDF2}}{rounds}${b64encode(salt).decode()}${b64encode(key).decode()}"


@pytest.fixture(scope="module")
def secured(elasticsearch_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A node with TLS, users and roles."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl makes the certificate, and is not here")
    settings = {
        "xpack.security.enabled": "true",
        "xpack.security.http.ssl.enabled": "true",
        "xpack.security.http.ssl.key": "key.pem",
        "xpack.security.http.ssl.certificate": "certificate.pem",
        "xpack.security.transport.ssl.enabled": "false",
    }
    node = Node(elasticsearch_home, "secured", settings)
    node.scheme = "https"
    folder = tmp_path_factory.mktemp("certificate")
    command = [
        openssl,
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    command += ["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:TRUE"]
    command += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    subprocess.run(command, check=True, capture_output=True)
    for name in ("key.pem", "certificate.pem"):
        shutil.copy(folder / name, node.config / name)
    (node.config / "roles.yml").write_text(ROLES)
    users = ("writer", "reader")
    (node.config / "users").write_text("".join(f"{user}:{_hashed('s:cret word')}\n" for user in users))
    (node.config / "users_roles").write_text("".join(f"{user}:{user}\n" for user in users))
    try:
        node.launch()
        node.wait()
        yield Secured(node, folder / "certificate.pem")
    except Unavailable as error:
        pytest.skip(f"Elasticsearch: {error}")
    finally:
        node.kill()


def said(call: Callable[[], object], kind: type[LookalikeError]) -> str:
    """Return the one line of the error that a call must raise."""
    with pytest.raises(kind) as raised:
        call()
    text = str(raised.value)
    assert "\n" not in text
    # No secret in what is shown of it, causes included.
    error: BaseException | None = raised.value
    while error is not None:
        for secret in (SECRET, "s:cret", "czpjcmV0"):
            assert secret not in f"{error!s} {error!r}"
        error = error.__cause__
    return text


# Who may


def test_users_passwords_and_rights_over_tls(secured: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_store(secured.url("writer")) as writer:
        assert writer.url.startswith("elasticsearch+https://writer@localhost:")
        assert "cret" not in writer.url
        records = fill(writer, 3, [{"a": "b"}])
        writer.build_index("parts")
        writer.rename("parts", "Parts")
        with open_store(secured.url("reader")) as reader:
            assert scanned(reader) == records
            assert len(nearest(reader, "parts", CORNERS[:1], 9, {"a": ["b"]}, approximate=True)[0]) == 3
            for call in (
                lambda: put(reader, "parts", [record(9)], CORNERS[:1]),
                lambda: reader.remove("parts", [record(0).id]),
                lambda: reader.create("others", SPACE),
                lambda: reader.rename("parts", "others"),
                lambda: reader.delete("parts"),
            ):
                assert "a right is missing" in said(call, StoreDenied)
            assert scanned(reader) == records
        for password in ("s%3Acret", "%20"):
            with open_store(secured.url("writer", password)) as wrong:
                assert "refuses" in said(wrong.collections, StoreDenied)
        assert writer.delete("parts") == 3
    place = f"localhost:{secured.node.port}/?ca_file={secured.ca_file}"
    key = "czpjcmV0OnM6Y3JldA=="
    with open_store(f"elasticsearch+https://{place}&api_key={key}") as wrong:
        assert "refuses the API key" in said(wrong.collections, StoreDenied)
    monkeypatch.setenv("LOOKALIKE_ELASTICSEARCH_API_KEY", key)
    with open_store(f"elasticsearch+https://{place}") as wrong:
        assert "refuses the API key" in said(wrong.collections, StoreDenied)


def test_a_certificate_that_nobody_vouches_for_is_refused(secured: Secured) -> None:
    without = secured.url("writer").replace(f"ca_file={secured.ca_file}&", "")
    with open_store(without) as store:
        assert "?ca_file=FILE" in said(store.collections, StoreUnreachable)
    with open_store(without.replace("https", "http")) as store:
        said(store.collections, StoreError)


# Who is not there


def test_no_server_is_named_at_once(store: Store) -> None:
    nobody = f"elasticsearch+http://anna:{SECRET}@127.0.0.1:{free_port()},127.0.0.1:{free_port()}/"
    with open_store(nobody) as absent:
        start = time.monotonic()
        text = said(absent.collections, StoreUnreachable)
        assert time.monotonic() - start < 5
        assert text.startswith("elasticsearch+http://anna@127.0.0.1:")
        assert text.endswith("no server answers there: connection refused; is it running?")
        said(lambda: absent.create("parts", SPACE), StoreUnreachable)


def test_a_server_that_is_silent_is_left_after_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        with open_store(f"elasticsearch+http://anna:{SECRET}@{place}", timeout=0.5) as store:
            start = time.monotonic()
            assert "no answer within 0.5 s" in said(store.collections, StoreUnreachable)
            assert time.monotonic() - start < 3


@contextmanager
def answering(status: int, body: bytes, kind: str = "application/json") -> Iterator[str]:
    """Run a web server that gives the same answer to everything."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            if kind == "application/json":
                self.send_header("x-elastic-product", "Elasticsearch")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"elasticsearch+http://anna:{SECRET}@127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("kind", ["text/html", "application/json"])
@pytest.mark.parametrize("status", [200, 404])
def test_what_is_no_elasticsearch_is_named(status: int, kind: str) -> None:
    with answering(status, b"<html>", kind) as url, open_store(url) as store:
        said(store.collections, StoreError)


def test_a_server_that_stays_busy_is_named() -> None:
    body = b'{"error": {"type": "es_rejected_execution_exception", "reason": "queue full"}, "status": 429}'
    with answering(429, body) as url, open_store(url, timeout=0.6) as store:
        start = time.monotonic()
        assert "queue full" in said(store.collections, StoreBusy)
        assert time.monotonic() - start < 3


# Blocked


def test_a_full_disk_and_a_block_on_writing_are_told_apart(store: Store, url: str) -> None:
    records = fill(store, 3)
    (index,) = ask(url, "GET", f"/{PREFIX}-parts/_alias")
    for block, kind, words in (
        ("read_only_allow_delete", StoreFull, "no space left"),
        ("write", StoreReadOnly, "read only"),
        ("read_only", StoreReadOnly, "read only"),
    ):
        ask(url, "PUT", f"/{index}/_settings", {f"index.blocks.{block}": True})
        try:
            start = time.monotonic()
            for call in (
                lambda: put(store, "parts", [record(9, {"new": 1})], CORNERS[:1]),
                lambda: store.relabel("parts", [(record(0).id, {}, {})]),
            ):
                assert words in said(call, kind)
            assert time.monotonic() - start < 10
            assert scanned(store) == records
            assert len(nearest(store, "parts", CORNERS[:1], 9)[0]) == 3
        finally:
            ask(url, "PUT", f"/{index}/_settings", {f"index.blocks.{block}": None})
    put(store, "parts", [record(9, {"new": 1})], CORNERS[:1])
    assert store.collection("parts").count == 4


# Stopped


def test_a_node_that_is_killed_and_started_again_has_all_that_was_acknowledged(
    elasticsearch_that_stops: Node,
) -> None:
    node = elasticsearch_that_stops
    url = f"elasticsearch+http://{node.host}/?shards=1&replicas=0&prefix=restarted"
    with open_store(url) as store:
        store.create("parts", SPACE, metric=b"metric")
        acknowledged: list[str] = []
        failed: list[LookalikeError] = []

        def write() -> None:
            with open_store(url, timeout=5) as writer:
                while not failed:
                    rows = [record(f"{len(acknowledged)}-{row}", {"n": row}) for row in range(10)]
                    try:
                        put(writer, "parts", rows, corners(10))
                    except LookalikeError as error:
                        failed.append(error)
                    else:
                        acknowledged.extend(one.id for one in rows)

        thread = threading.Thread(target=write)
        thread.start()
        while len(acknowledged) < 200:
            time.sleep(0.02)
        node.kill()
        thread.join()
        assert isinstance(failed[0], StoreUnreachable)
        said(lambda: store.collection("parts"), StoreUnreachable)
        node.launch()
        node.wait()
        # The same store goes on; what was asked while shards come up waits for them.
        assert len(store.get("parts", acknowledged)) == len(acknowledged)
        rows = [record(f"{len(acknowledged)}-{row}", {"n": row}) for row in range(10)]
        put(store, "parts", rows, corners(10))  # the one that failed, again
        assert store.collection("parts").count == len(acknowledged) + 10
        assert len(nearest(store, "parts", CORNERS[:1], 100_000)[0]) == len(acknowledged) + 10
        assert store.metric("parts") == b"metric"


def test_a_kill_between_any_two_steps_of_a_fit_leaves_no_record_half_there(url: str) -> None:
    chance = random.Random(os.urandom(8))
    with open_store(url) as store:
        fill(store, 100)
    finished: list[str] = []
    for _ in range(5):
        with ForkedProgram(fit_endlessly, url) as process:
            first = process.stdout.readline()
            time.sleep(chance.uniform(0, 2))
            process.kill()
            finished += [line for line in (first + process.stdout.read()).splitlines() if line]
        with open_store(url) as store:
            complete_fit(store)
    assert finished


# argv: URL, a folder for locks. Puts a record while a whole fit runs beside it, and is killed as soon as it
# is written: before it looks whether anything was declared meanwhile.
_KILLED_WRITER = """
import os, signal, sys
from pathlib import Path
from lookalike.metric_learning.fitting import fit
from lookalike.stores.elasticsearch import backend
from lookalike.stores.registry import open_store
from lookalike.testing.samples import CORNERS, SPACE, record

write = backend.put_documents

def put_documents(*arguments):
    with open_store(sys.argv[1]) as other:
        fit(other, "parts", "label", locks=Path(sys.argv[2]))
    write(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)

backend.put_documents = put_documents
with open_store(sys.argv[1]) as store:
    store.put("parts", [record("late", {"label": "good"})], {SPACE: CORNERS[:1]})
"""


def test_a_put_that_is_killed_beside_a_whole_fit_is_named_and_the_next_index_completes_it(
    url: str, tmp_path: Path
) -> None:
    with open_store(url) as store:
        store.create("parts", SPACE)
        labelled = [record(number, {"label": "good" if number % 2 else "bad"}) for number in range(20)]
        chance = np.random.default_rng(7)
        put(store, "parts", labelled, normalise(chance.standard_normal((20, 4)).astype(np.float32)))
        command = [sys.executable, "-c", _KILLED_WRITER, url, str(tmp_path / "locks")]
        assert subprocess.run(command, check=False, cwd=ROOT).returncode == -signal.SIGKILL
        late = record("late")
        fitted = store.collection("parts").vector("fitted")
        assert store.lacking("parts", fitted.space) == [late.id]
        (fault,) = store.check()
        assert fault.reason == f"1 record lacks the vector 'fitted': {late.id}"
        models = Models(tmp_path / "cache")
        assert complete_vectors(store, "parts", models) == []
        assert store.check() == []
        assert store.lacking("parts", fitted.space) == []
        (hits,) = nearest(store, "parts", store.vectors_of("parts", [late.id])[1][fitted.space], 1)
        assert hits[0].record.id == late.id
        models.close()


def test_a_node_that_falls_out_takes_nothing_that_was_acknowledged(
    elasticsearch_home: Path, elasticsearch_that_stops: Node
) -> None:
    first = elasticsearch_that_stops
    second = Node(elasticsearch_home, "second", first.settings_to_join())
    try:
        second.launch()
        first.wait(nodes=2)
        url = f"elasticsearch+http://{second.host},{first.host}/?shards=2&replicas=1&prefix=falling"
        with open_store(url, timeout=60) as store, open_store(url, timeout=60) as searcher:
            store.create("parts", SPACE)
            ask(url, "GET", "/_cluster/health?wait_for_status=green&timeout=60s")
            acknowledged: list[str] = []
            failures: list[LookalikeError] = []
            done = threading.Event()

            def search() -> None:
                while not done.is_set():
                    before = len(acknowledged)
                    try:
                        (hits,) = nearest(searcher, "parts", CORNERS[:1], 5_000)
                        assert len(hits) >= before
                    except (LookalikeError, AssertionError) as error:
                        failures.append(error)  # type: ignore[arg-type]  # shown below
                        return

            thread = threading.Thread(target=search)
            thread.start()
            try:
                for batch in range(60):
                    if batch == 20:
                        second.kill()
                    rows = [record(f"{batch}-{row}") for row in range(10)]
                    put(store, "parts", rows, corners(10))
                    acknowledged.extend(one.id for one in rows)
            finally:
                done.set()
                thread.join()
            assert failures == []
            assert len(store.get("parts", acknowledged)) == 600
            assert store.collection("parts").count == 600
            assert {hit.record.id for hit in nearest(store, "parts", CORNERS[:1], 700)[0]} == set(
                acknowledged
            )
            assert len(scanned(store)) == 600
    except Unavailable as error:
        pytest.skip(f"Elasticsearch: {error}")
    finally:
        second.kill()
