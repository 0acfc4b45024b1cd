"""`lookalike index --workers ray`, with real Ray, S3, PostgreSQL and Elasticsearch: what a kill costs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest

from lookalike.stores.registry import open_store
from tests.film_files import GREEN, RED, film
from tests.mean_colours import save
from tests.servers import s3
from tests.servers.elasticsearch import running
from tests.servers.postgres import PASSWORD, PostgresProcess, postgres_process
from tests.servers.ray_nodes import listening, tree, two_nodes
from tests.servers.s3 import Bucket, S3Server

pytest.importorskip("ray", reason="Ray: it is not installed (make test-ray)", exc_type=ImportError)
pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("ray")]

PICTURES = 600
# 127.0.0.1 and the same as an address of IPv6, as /proc/net/tcp and tcp6 have them.
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F"}
LABELS = ("bus", "car", "양품")
Records = dict[str, tuple[str, dict[str, object], np.ndarray]]


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "lookalike", *words]


def run(environment: Mapping[str, str], *words: str) -> str:
    """Run a command to its end, and return what it says."""
    done = subprocess.run(
        command(*words),
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def records(url: str, using: str | None = None) -> Records:
    """Return digest, fields and vector of each record, by URI; each is there once."""
    store = open_store(url)
    try:
        found: Records = {}
        for batch, vectors in store.scan("parts", using=using):
            for record, vector in zip(batch, vectors, strict=True):
                assert record.uri not in found
                found[record.uri] = record.digest, dict(record.fields), np.array(vector)
        assert store.collection("parts").count == len(found)
        return found
    finally:
        store.close()


def assert_same(found: Records, undisturbed: Records) -> None:
    assert found.keys() == undisturbed.keys()
    for uri, (digest, fields, vector) in undisturbed.items():
        assert found[uri][:2] == (digest, fields)
        np.testing.assert_allclose(found[uri][2], vector, atol=1e-6)


def wait(condition: Callable[[], bool], driver: subprocess.Popen[bytes], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert driver.poll() is None, "the driver ended before its time"
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresProcess]:
    with postgres_process() as process:
        yield process


@pytest.fixture(scope="module")
def environment(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What all processes have: the keys of the S3 server, and a cache that no other test fills."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "RAY_", "LOOKALIKE_"))
    }
    cache = tmp_path_factory.mktemp("cache")
    token = cache / "token"
    token.write_text(os.urandom(32).hex())
    ray = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    return kept | s3_server.settings() | {"LOOKALIKE_CACHE": str(cache), "LOOKALIKE_PROGRESS": "1"} | ray


@pytest.fixture(scope="module")
def filled(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URI of pictures in three folders, of which one is no picture."""
    bucket = Bucket(s3_server, "ray")
    folder = tmp_path_factory.mktemp("pictures")
    for n in range(PICTURES):
        bucket.put({f"parts/{LABELS[n % 3]}/{n} %+.png": save(folder / "one.png", n).read_bytes()})
    bucket.put({"parts/bus/broken.png": b"none"})
    return f"{bucket.uri}/parts"


@pytest.fixture(scope="module")
def undisturbed(
    environment: dict[str, str], filled: str, tmp_path_factory: pytest.TempPathFactory
) -> Records:
    folder = tmp_path_factory.mktemp("one")
    url = f"sqlite:///{folder}/one.db"
    own = environment | {"LOOKALIKE_CACHE": str(folder / "cache"), "LOOKALIKE_STORE": url}
    assert f"{PICTURES:,} added" in run(own, "index", filled, "-c", "parts")
    found = records(url)
    assert len(found) == PICTURES
    assert {fields["label"] for _, fields, _ in found.values()} == set(LABELS)
    return found


@pytest.fixture
def sessions() -> Iterator[Path]:
    """A folder for Ray's sessions, whose name is short: sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:
        yield Path(folder)


class Driver:
    """`lookalike index --workers ray` under way, and how far it is."""

    def __init__(self, environment: Mapping[str, str], filled: str, log: Path) -> None:
        self._log = log
        with log.open("ab") as said:
            self.process = subprocess.Popen(
                command("index", filled, "-c", "parts", "--workers", "ray", "--actors", "2"),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
        self._url = environment["LOOKALIKE_STORE"]

    def wait_for(self, count: int) -> None:
        """Wait until so many records are there."""
        store = open_store(self._url)
        try:
            wait(lambda: self._count(store) >= count, self.process)
        finally:
            store.close()

    @staticmethod
    def _count(store: object) -> int:
        return next((each.count for each in store.collections() if each.name == "parts"), 0)  # type: ignore[attr-defined]

    def end(self) -> str:
        assert self.process.wait(timeout=240) == 0, self._log.read_text()[-3000:]
        return self._log.read_text()


def assert_no_secret(*folders: Path) -> None:
    """No file of Ray's sessions, and nothing that was said, holds a password or a key."""
    secrets = {s3.SECRET, PASSWORD, quote(PASSWORD, safe=""), quote(s3.SECRET, safe="")}
    looked = 0
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file():
                looked += 1
                data = path.read_bytes()
                assert not [path for secret in secrets if secret.encode() in data]
    assert looked > 10


def test_kills_and_restarts_of_all_that_takes_part_cost_nothing_that_was_written(
    environment: dict[str, str],
    filled: str,
    undisturbed: Records,
    postgres: PostgresProcess,
    s3_server: S3Server,
    tmp_path: Path,
) -> None:
    given = environment | {"LOOKALIKE_STORE": postgres.url()}
    log = tmp_path / "driver.log"
    with two_nodes(given) as (sessions, first, second):
        driver = Driver(given | {"RAY_ADDRESS": first.address}, filled, log)
        driver.wait_for(50)
        os.kill((first.workers() or second.workers())[0], signal.SIGKILL)
        driver.wait_for(130)
        s3_server.stop()
        time.sleep(2)
        s3_server.start()
        driver.wait_for(210)
        postgres.stop()
        time.sleep(2)
        postgres.start()
        driver.wait_for(290)
        driver.process.kill()
        driver.process.wait()
        again = Driver(given | {"RAY_ADDRESS": first.address}, filled, log)
        again.wait_for(400)
        second.kill_raylet()
        said = again.end()
        counts = {
            what: int(n.replace(",", "")) for n, what in re.findall(r"([\d,]+) (added|unchanged)", said)
        }
        assert counts["added"] + counts["unchanged"] == PICTURES
        assert "1 skipped" in said
        assert "broken.png   not an image" in said
        assert_same(records(postgres.url()), undisturbed)
        # A second run reads no picture but the one that is none; another one is gone by then, and is pruned.
        reads = s3_server.requests("GetObject")
        picture = s3_server.folder / "buckets" / "ray" / "parts" / LABELS[0] / "0 %+.png"
        aside = picture.rename(s3_server.folder / "aside.png")
        given_address = given | {"RAY_ADDRESS": first.address}
        said = run(given_address, "index", filled, "-c", "parts", "--workers", "ray", "--prune")
        aside.rename(picture)
        assert f"{PICTURES - 1:,} unchanged, 1 removed" in said
        assert s3_server.requests("GetObject") - reads == 1
        assert_no_secret(sessions, tmp_path)
        # A store that is a file of this machine is not for machines apart from it.
        done = subprocess.run(
            command("index", filled, "--workers", "ray", "--store", f"sqlite:///{tmp_path}/one.db"),
            env=given | {"RAY_ADDRESS": first.address},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 2
        assert "is a file of one machine: name a server" in done.stderr


def test_the_node_of_elasticsearch_is_killed_and_started_again(
    environment: dict[str, str],
    filled: str,
    undisturbed: Records,
    elasticsearch_home: Path,
    sessions: Path,
    tmp_path: Path,
) -> None:
    with running(elasticsearch_home, "ray") as node:
        url = f"elasticsearch+http://{node.host}/"
        # The cluster of this machine alone, which a run starts for itself.
        own = {"LOOKALIKE_STORE": url, "RAY_TMPDIR": str(sessions)}
        own["LOOKALIKE_CACHE"] = str(tmp_path / "cache")
        driver = Driver(environment | own, filled, tmp_path / "driver.log")
        driver.wait_for(150)
        processes = tree(driver.process.pid)
        assert any("/raylet/raylet " in called for called in processes.values())
        assert listening(processes) <= LOOPBACK
        node.kill()
        time.sleep(1)
        node.launch()
        node.wait()
        driver.end()
        assert_same(records(url), undisturbed)
        assert_no_secret(sessions, tmp_path)


def test_films_coco_and_a_further_model_are_indexed_as_on_one_machine(
    environment: dict[str, str], sessions: Path, tmp_path: Path
) -> None:
    root = tmp_path / "사진"
    for n in range(12):
        save(root / "images" / f"{n}.png", n)
    film(root / "line.mp4", [RED, GREEN])
    images = [{"id": n, "file_name": f"{n}.png"} for n in range(12)]
    annotations = [{"id": n, "image_id": n, "category_id": n % 2} for n in range(10)]
    categories = [{"id": 0, "name": "양품"}, {"id": 1, "name": "scratch"}]
    coco = {"images": images, "annotations": annotations, "categories": categories}
    (root / "instances.json").write_text(json.dumps(coco))
    given = environment | {"RAY_TMPDIR": str(sessions)}
    one, many = (f"sqlite:///{tmp_path}/{name}.db" for name in ("one", "many"))
    index = ("index", str(root), "-c", "parts", "--frames", "every:1s")
    run(given | {"LOOKALIKE_STORE": one}, *index)
    run(given | {"LOOKALIKE_STORE": many}, *index, "--workers", "ray", "--actors", "2")
    undisturbed = records(one)
    assert len(undisturbed) == 15
    assert [fields.get("label") for _, fields, _ in undisturbed.values()].count("양품") == 5
    assert_same(records(many), undisturbed)
    (root / "images" / "0.png").unlink()
    further = (*index, "--as", "second", "--model", "efficientnet-lite0-inspect", "--prune")
    said = run(given | {"LOOKALIKE_STORE": many}, *further, "--workers", "ray", "--actors", "2")
    assert "14 unchanged, 1 removed" in said
    assert "the vector second is there for all images" in said
    said = run(given | {"LOOKALIKE_STORE": one}, *further)
    assert_same(records(many, "second"), records(one, "second"))
