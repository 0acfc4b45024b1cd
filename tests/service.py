"""The service for tests: its application in this process, and `lookalike serve` as a process of its own."""

from __future__ import annotations

import base64
import http.client
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from conformal_clip_data import textile_simulated_root
from fastapi import FastAPI
from starlette.testclient import TestClient

from lookalike.cli import main
from lookalike.database import Database
from lookalike.server.app import make_app
from lookalike.server.service import Service
from lookalike.server.settings import Settings
from tests.forked_programs import ForkedCommand

COLLECTION = "textile"
"""The collection of the shared store: 60 photographs of three classes, of EfficientNet-Lite0."""

MIXED = ("1", 1, True, 1.5, "true")
"""Values of the field `mixed`, in turn, in order of id: they look alike, and none equals another."""

_T = TypeVar("_T")

_numbers = itertools.count()
_START_SECONDS = 60.0
_STOP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class InProcess:
    """The application in this process, its lifespan begun."""

    client: TestClient
    """An httpx client that asks it; threads may share it. What fails inside is answered, not raised."""
    database: Database
    """What it works with."""
    app: FastAPI

    @property
    def service(self) -> Service:
        """What its requests share."""
        service: Service = self.app.state.service
        return service

    def ask(
        self, what: str, query: Mapping[str, Any], pictures: Sequence[Path] = (), *, status: int = 200
    ) -> Any:
        """Post a question about the shared collection, which must be answered so; return the answer's JSON.

        Args:
            what: `search`, `classify` …
            query: the question.
            pictures: files that go with it, in a multipart request.
            status: that the answer must have.
        """
        path = f"/v1/collections/{COLLECTION}/{what}"
        if pictures:
            parts: list[Any] = [("query", (None, json.dumps(query), "application/json"))]
            parts += [("image", (file.name, file.read_bytes(), "image/jpeg")) for file in pictures]
            answer = self.client.post(path, files=parts)
        else:
            answer = self.client.post(path, json=query)
        assert answer.status_code == status, answer.text
        if status >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
        return answer.json()


def until(met: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def data_url(file: Path, kind: str = "image/jpeg") -> str:
    """Return a file as a data URL (RFC 2397)."""
    return f"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode()}"


@contextmanager
def in_process(url: str, cache: Path, settings: Settings | None = None) -> Iterator[InProcess]:
    """Run the application over a store for the time of a `with`.

    Args:
        url: of the store.
        cache: the folder for models and features.
        settings: limits and places.
    """
    with Database(url, cache=cache) as database:
        app = make_app(database, settings or Settings())
        with TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False) as client:
            yield InProcess(client, database, app)


@dataclass(slots=True)
class Server:
    """`lookalike serve` as a process of its own."""

    process: ForkedCommand | subprocess.Popen[bytes]
    log: Path
    """What it wrote to stdout and stderr."""
    host: str = "127.0.0.1"
    port: int = 0
    """Known once `wait` has returned."""
    code: int | None = field(default=None, init=False)
    """How it ended."""

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{self.host}:{self.port}"

    def wait(self) -> None:
        """Wait until it says that it answers."""
        found = self._until(
            lambda: re.search(r"^lookalike serves http://\S+:(\d+)$", self.log.read_text(), re.MULTILINE)
        )
        self.port = int(found[1])

    def wait_ready(self) -> None:
        """Wait until it answers quickly too: models are opened then, and collections read."""
        self.wait()
        self._until(self._is_ready)

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=_START_SECONDS)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.HTTPStatus.OK
        finally:
            connection.close()

    def _until(self, look: Callable[[], _T | None]) -> _T:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if found := look():
                return found
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.02)
        raise AssertionError(self.log.read_text())

    def stop(self, how: int = signal.SIGTERM) -> int:
        """Send a signal, wait for the end, and return how it ended; a second call does nothing."""
        if self.code is None:
            self.process.send_signal(how)
            self.code = self.process.wait(_STOP_SECONDS)
        return self.code


@contextmanager
def server_process(
    folder: Path,
    *words: str | Path,
    env: Mapping[str, str] | None = None,
    wait: bool = True,
    ready: bool = False,
    afresh: bool = False,
) -> Iterator[Server]:
    """Run `lookalike serve` on a free port for the time of a `with`.

    Args:
        folder: an existing one, in which it runs and which gets its log.
        words: of the command line, after `serve`: with `--host` another address, `--store` …
        env: variables beside those of this process.
        wait: whether to wait until it answers.
        ready: whether to wait until it answers quickly too: models are opened then, and collections read.
        afresh: whether Python begins for it, not in a fork of what has begun: where memory or threads count.
    """
    log = folder / f"serve-{next(_numbers)}.log"
    host = str(words[words.index("--host") + 1]) if "--host" in words else "127.0.0.1"
    log.touch()
    given = ("serve", "--port", "0", *words)
    environment = {**os.environ, **(env or {})}
    process: ForkedCommand | subprocess.Popen[bytes]
    if afresh:
        program = Path(sys.executable).with_name("lookalike")
        with log.open("wb") as out:
            process = subprocess.Popen(
                [program, *map(str, given)],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
    else:
        process = ForkedCommand(given, folder, environment, log)
    server = Server(process, log, "127.0.0.1" if host == "0.0.0.0" else host)
    try:
        if ready:
            server.wait_ready()
        elif wait:
            server.wait()
        yield server
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory, textile_files: dict[str, list[Path]]) -> Path:
    """The folder of the 60 photographs of the shared store, which no test changes."""
    root = tmp_path_factory.mktemp("pictures") / "textile"
    for name, files in textile_files.items():
        (root / name).mkdir(parents=True)
        for file in files:
            shutil.copy2(file, root / name / file.name)
    return root


@pytest.fixture(scope="session")
def strangers() -> list[Path]:
    """Nine photographs of the same three classes that are not in the store."""
    root = textile_simulated_root()
    return [
        root / name / f"textile_{n:04}.jpg" for n in (21, 22, 23) for name in ("global", "local", "nominal")
    ]


def fill(url: str, cache: Path, pictures: Path) -> None:
    """Index the photographs into a new store, and give them the field `mixed`."""
    with Database(url, cache=cache) as database:
        database[COLLECTION].index([pictures])
        records, _ = database[COLLECTION].vectors.read()
        labels = [
            (record.id, {**record.fields, "mixed": MIXED[place % len(MIXED)]}, record.metadata)
            for place, record in enumerate(records)
        ]
        database.store.relabel(COLLECTION, labels)


@pytest.fixture(scope="session")
def filled_store(tmp_path_factory: pytest.TempPathFactory, cache: Path, pictures: Path) -> Path:
    """The file of a store with the collection `textile`; not to be written to."""
    path = tmp_path_factory.mktemp("store") / "filled.db"
    fill(f"sqlite:///{path}", cache, pictures)
    return path


@pytest.fixture
def store_url(tmp_path: Path, filled_store: Path) -> str:
    """The URL of a copy of that store, to be changed at will."""
    path = tmp_path / "service.db"
    shutil.copyfile(filled_store, path)
    return f"sqlite:///{path}"


@pytest.fixture
def service(store_url: str, cache: Path, pictures: Path) -> Iterator[InProcess]:
    """The application over a copy of the shared store; pictures are shown from where they were indexed."""
    with in_process(store_url, cache, Settings(roots=(pictures,))) as running:
        yield running


@pytest.fixture
def make_service(store_url: str, cache: Path, pictures: Path) -> Iterator[Callable[..., InProcess]]:
    """A function that starts such an application with other settings: `make_service(max_images=2)`."""
    with ExitStack() as stack:

        def make(**settings: Any) -> InProcess:
            told = Settings(**{"roots": (pictures,), **settings})
            return stack.enter_context(in_process(store_url, cache, told))

        yield make


@pytest.fixture
def start_server(tmp_path: Path, store_url: str, cache: Path) -> Iterator[Callable[..., Server]]:
    """A function that starts `lookalike serve` over a copy of the store: `start_server("--host", …)`."""
    with ExitStack() as stack:

        def start(*words: str | Path, env: Mapping[str, str] | None = None, wait: bool = True) -> Server:
            given = ("--store", store_url, "--cache", cache, *words)
            return stack.enter_context(server_process(tmp_path, *given, env=env, wait=wait))

        yield start


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    """A process of `lookalike serve` that answers."""
    return start_server()


@pytest.fixture
def typed(
    store_url: str, cache: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., list[dict[str, Any]]]:
    """A function that runs a command on that copy of the store and returns its JSON lines."""

    def run(*words: str | Path, code: int = 0) -> list[dict[str, Any]]:
        capsys.readouterr()
        given = ("--collection", COLLECTION, "--format", "jsonl", "--store", store_url, "--cache", cache)
        ended = main([*map(str, (words[0], *given, *words[1:]))])
        out, err = capsys.readouterr()
        assert ended == code, err
        return [json.loads(line) for line in out.splitlines()]

    return run
