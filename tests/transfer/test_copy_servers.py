"""Copies into servers and out of them: the same to the last bit everywhere, and the same answers."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import numpy as np
import pytest

from lookalike.errors import CollectionNotFound, StoreError, TargetDiffers
from lookalike.ingest.record_writer import RecordWriter
from lookalike.metric_learning.fitting import fit
from lookalike.stores.registry import open_store
from lookalike.stores.store import Store
from lookalike.testing.samples import FIELDS, SPACE, STRANGE_TEXTS, corners, random_vectors, record
from lookalike.transfer.copy import copy
from lookalike.transfer.parity import parity
from lookalike.types import Scalar, Space
from tests.forked_programs import run_command
from tests.servers.elasticsearch import Node
from tests.servers.postgres import PASSWORD, postgres_process
from tests.unmeasured import unmeasured

PROGRAM = Path(sys.executable).with_name("lookalike")
LABELS = ("good", "bad", "worse")
WIDE = Space("some-model", "ab" * 32, 64)
# One node for all tests of it, also where several processes run tests.
SERVERS = (
    "postgres",
    pytest.param("elasticsearch", marks=pytest.mark.xdist_group("elasticsearch")),
)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path}/from.db") as store:
        yield store


@pytest.fixture
def elasticsearch_url(elasticsearch_server: str) -> Iterator[str]:
    """The URL of an empty store: one whose indexes begin with a name of its own."""
    url = f"{elasticsearch_server}?prefix=t{uuid.uuid4().hex[:12]}&shards=1&replicas=0"
    yield url
    with open_store(url) as store:
        for collection in store.collections():
            store.delete(collection.name)


@pytest.fixture(params=SERVERS)
def url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty store on a server."""
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


@pytest.fixture
def server(url: str) -> Iterator[Store]:
    with open_store(url) as store:
        yield store


def fill(store: Store, count: int, name: str = "parts") -> None:
    """Make a collection of three classes."""
    store.create(name, WIDE)
    for first in range(0, count, 1000):
        numbers = range(first, min(first + 1000, count))
        records = [record(number, fields(number)) for number in numbers]
        vectors = random_vectors(len(records), WIDE.dimension, first)
        vectors[np.arange(len(records)), [number % 3 for number in numbers]] += 1
        store.put(name, records, {WIDE: vectors / np.linalg.norm(vectors, axis=1, keepdims=True)})


def fields(number: int) -> dict[str, Scalar]:
    return {"label": LABELS[number % 3], "sealed": number % 4 == 0, "tray": number % 7, "탱크": number / 8}


def names(store: Store) -> list[str]:
    return [one.name for one in store.collections()]


def test_there_and_back_all_is_the_same_to_the_last_bit(file: Store, server: Store, tmp_path: Path) -> None:
    records = []
    for at, text in enumerate(STRANGE_TEXTS):
        said: dict[str, Scalar] = {**FIELDS, text: text}
        records.append(record(at, said, metadata={text: [text, None, 1e-300, 0.1, {}]}))
    records.append(record("stamp", size=2**62, modified_ns=2**62))
    file.create("parts", SPACE)
    file.put("parts", records, {SPACE: corners(len(records))})
    there = copy(file, server, "parts")
    assert there.verified
    assert server.collection("parts") == file.collection("parts")
    with open_store(f"sqlite:///{tmp_path}/back.db") as back:
        assert copy(server, back, "parts").digest == there.digest
    again = copy(file, server, "parts")
    assert (again.passes, again.tally.unchanged) == (1, len(records))


def test_a_fitted_collection_answers_there_as_here(file: Store, server: Store, tmp_path: Path) -> None:
    fill(file, 1500)
    fit(file, "parts", "label", locks=tmp_path / "locks")
    assert copy(file, server, "parts").verified
    assert names(server) == ["parts"]
    assert server.collection("parts").vectors == file.collection("parts").vectors
    assert server.metric("parts") == file.metric("parts")
    found = parity([file, server], "parts", queries=40)
    assert found.agrees, found
    assert len(found.answers) == 7
    # It takes images as here, and the copy goes the other way round.
    more = [record(f"more-{number}", fields(number)) for number in range(9)]
    RecordWriter(server, "parts").put(more, {WIDE.embedder_fingerprint: random_vectors(9, WIDE.dimension, 5)})
    assert not parity([file, server], "parts", queries=5).agrees
    assert copy(server, file, "parts").tally.added == 9
    assert parity([server, file], "parts", queries=5).agrees


def test_one_that_is_there_is_brought_up_to_date(file: Store, server: Store) -> None:
    fill(file, 50)
    copy(file, server, "parts")
    file.remove("parts", [record(1).id])
    file.relabel("parts", [(record(2).id, {"label": "other"}, {})])
    file.put("parts", [record(3, fields(3))], {WIDE: random_vectors(1, WIDE.dimension, 77)})
    side = copy(file, server, "parts", prune=True).tally
    assert (side.added, side.updated, side.removed, side.unchanged) == (0, 2, 1, 47)
    file.create("others", SPACE)
    server.create("others", WIDE)
    with pytest.raises(TargetDiffers):
        copy(file, server, "others")


# Killed, as a command


def start(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [PROGRAM, *words], env=unmeasured(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def call(*words: str, code: int = 0) -> str:
    """Run a command that must end with `code`; return what it said."""
    ended, out, err = run_command(words, timeout=120)
    assert ended == code, (out, err)
    return out + err


def count(url: str, name: str) -> int:
    try:
        with open_store(url) as store:
            return store.collection(name).count
    except CollectionNotFound:
        return 0


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def started(url: str, before: int, process: subprocess.Popen[str]) -> Callable[[], bool]:
    return lambda: count(url, "parts-copying") > before or process.poll() is not None


@pytest.mark.slow
def test_killed_in_the_middle_and_run_again_it_ends_well(file: Store, server: Store, url: str) -> None:
    fill(file, 8000)
    words = ("copy", file.url, url, "-c", "parts")
    chance = random.Random(os.urandom(8))
    killed = 0
    for how in (signal.SIGKILL, signal.SIGINT, signal.SIGKILL):
        before = count(url, "parts-copying")
        with start(*words) as process:
            wait_until(started(url, before, process))
            time.sleep(chance.uniform(0, 0.1))
            process.send_signal(how)
            _, err = process.communicate()
        assert how == signal.SIGKILL or process.returncode == 0 or err.strip().startswith("lookalike: interr")
        killed += process.returncode != 0
        assert names(server) in (["parts-copying"], ["parts"])
    assert killed
    said = call(*words)
    assert "verified: 8,000 images alike to the last bit" in said
    assert names(server) == ["parts"]
    assert parity([file, server], "parts", queries=3).agrees
    _says_no_password(said, url)


@pytest.mark.slow
def test_two_at_once_do_no_damage(file: Store, server: Store, url: str) -> None:
    fill(file, 5000)
    running = [start("copy", file.url, url, "-c", "parts") for _ in range(2)]
    ended = [process.communicate() for process in running]
    assert [process.returncode for process in running] == [0, 0], ended
    assert names(server) == ["parts"]
    assert parity([file, server], "parts", queries=3).agrees


def test_both_commands_show_no_password(file: Store, server: Store, url: str) -> None:
    fill(file, 20)
    for words in (
        ("copy", file.url, url, "-c", "parts"),
        ("copy", file.url, url, "-c", "parts", "--format", "jsonl"),
        ("parity", file.url, url, "-c", "parts"),
        ("parity", file.url, url, "-c", "parts", "--format", "jsonl"),
    ):
        _says_no_password(call(*words), url)
    _says_no_password(call("copy", url, url, "-c", "parts", code=2), url)
    server.delete("parts")
    server.create("parts", SPACE)
    _says_no_password(call("copy", file.url, url, "-c", "parts", code=1), url)


def _says_no_password(said: str, url: str) -> None:
    password = urlsplit(url).password
    assert password is None or password not in said
    assert PASSWORD not in said


class Server(NamedTuple):
    """A server of a test's own, to be broken."""

    url: str
    stop: Callable[[], None]
    start: Callable[[], None]


@pytest.fixture
def own_postgres() -> Iterator[Server]:
    with postgres_process() as process:
        yield Server(process.url(), process.stop, process.start)


@pytest.fixture
def own_elasticsearch(elasticsearch_that_stops: Node) -> Server:
    node = elasticsearch_that_stops

    def start() -> None:
        node.launch()
        node.wait()

    return Server(f"elasticsearch+http://{node.host}/?shards=1&replicas=0&prefix=own", node.kill, start)


@pytest.fixture(params=SERVERS)
def own(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(f"own_{request.param}")
    return found


@pytest.mark.slow
def test_a_server_that_stops_in_the_middle_is_one_line_and_the_copy_goes_on_later(
    file: Store, own: Server
) -> None:
    fill(file, 8000)
    words = ("copy", file.url, own.url, "-c", "parts", "--timeout", "5")
    with start(*words) as command:
        # More than the first batch: what is seen of the only one need not have been acknowledged.
        wait_until(started(own.url, 1000, command))
        own.stop()
        out, err = command.communicate(timeout=60)
    assert (command.returncode, out) == (1, "")
    place = urlsplit(own.url)
    assert err.startswith(f"lookalike: {place.scheme}://")
    assert f":{place.port}" in err
    assert err.count("\n") == 1
    _says_no_password(err, own.url)
    with pytest.raises(StoreError), open_store(own.url, 1) as down:
        copy(file, down, "parts")
    own.start()
    there = count(own.url, "parts-copying")
    assert 0 < there < 8000
    assert f"{there:,} unchanged" in call(*words)
    with open_store(own.url) as again:
        assert parity([file, again], "parts", queries=3).agrees


@pytest.mark.xdist_group("elasticsearch")
def test_from_one_server_into_another(
    postgres_url: str, elasticsearch_url: str, file: Store, tmp_path: Path
) -> None:
    fill(file, 1200)
    fit(file, "parts", "label", locks=tmp_path / "locks")
    with open_store(postgres_url) as first, open_store(elasticsearch_url) as second:
        digests = {
            copy(here, there, "parts").digest
            for here, there in ((file, first), (first, second), (second, file))
        }
        assert len(digests) == 1
        found = parity([file, first, second], "parts", queries=30)
        assert found.agrees, found
        assert len(found.answers) == 2 * 7
