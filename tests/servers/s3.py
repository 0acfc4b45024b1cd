"""A genuine S3 server for the tests: versitygw over a folder, built once into a cache with Go's modules."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import filelock
import obstore
import platformdirs
import pytest
from obstore.store import S3Store

from lookalike.sources.objects import ObjectPath, object_path
from tests.servers.postgres import free_port

VERSION = "1.8.0"
MODULE = f"github.com/versity/versitygw/cmd/versitygw@v{VERSION}"
KEY = "testaccess"
SECRET = "test+secret/" + os.urandom(8).hex()
"""With what has a meaning in URLs; it must never be seen in what we print."""
# A test may take three minutes in all; what Go has compiled by then it keeps.
_BUILD_SECONDS = 150
_START_SECONDS = 20


def program(seconds: float = _BUILD_SECONDS) -> Path:
    """Return the server's program, from the cache or built anew; skip the tests where it cannot be had."""
    folder = platformdirs.user_cache_path("lookalike-tests") / f"versitygw-{VERSION}"
    built = folder / "versitygw"
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / "lock"):
        if built.exists():
            return built
        go = shutil.which("go")
        if go is None:
            pytest.skip("S3: Go is not here, and builds the server for the tests")
        with tempfile.TemporaryDirectory(dir=folder) as fresh:
            try:
                done = subprocess.run(
                    [go, "install", MODULE],
                    env=os.environ | {"GOBIN": fresh},
                    capture_output=True,
                    text=True,
                    timeout=seconds,
                )
            except subprocess.TimeoutExpired:
                pytest.skip(
                    f"S3: Go did not build the server in {seconds:.0f} s; run it again, and it goes on"
                )
            if done.returncode:
                pytest.skip(f"S3: Go cannot build {MODULE}: {done.stderr[-300:]!r}")
            (Path(fresh) / "versitygw").replace(built)
    return built


class S3Server:
    """A server of its own: its folder, its port, and how it is started and stopped."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.endpoint = f"http://127.0.0.1:{free_port()}"
        self._program = program()
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "buckets").mkdir()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        place = self.endpoint.removeprefix("http://")
        log = self.folder / "access.log"
        self._process = subprocess.Popen(
            [
                self._program,
                "--quiet",
                "--access-log",
                log,
                "--port",
                place,
                "posix",
                self.folder / "buckets",
            ],
            env={"ROOT_ACCESS_KEY": KEY, "ROOT_SECRET_KEY": SECRET, "PATH": os.environ["PATH"]},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                urllib.request.urlopen(self.endpoint, timeout=1).close()
            except urllib.error.HTTPError:  # it refuses us, so it is there
                return
            except OSError:
                if self._process.poll() is not None:
                    pytest.skip("S3: the server does not run here: its folder needs extended attributes")
                assert time.monotonic() < deadline, "the S3 server does not start"
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """Stop it as a crash would; what was put stays."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def settings(self) -> dict[str, str]:
        """The environment by which it is reached, as other programs have it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }

    def requests(self, operation: str) -> int:
        """Return how many requests of a kind it has answered: `GetObject`, say."""
        log = self.folder / "access.log"
        return log.read_text(errors="replace").count(f" s3_{operation} ") if log.exists() else 0


class Bucket:
    """A bucket of a server, to be filled by the tests."""

    def __init__(self, server: S3Server, name: str) -> None:
        self.server = server
        self.uri = f"s3://{name}"
        (server.folder / "buckets" / name).mkdir()
        self._store: Any = S3Store(
            name,
            config={
                "endpoint": server.endpoint,
                "access_key_id": KEY,
                "secret_access_key": SECRET,
                "region": "us-east-1",
            },
            client_options={"allow_http": True},
        )

    def path(self, key: str = "") -> ObjectPath:
        return object_path(f"{self.uri}/{key}")

    def put(self, contents: Mapping[str, bytes]) -> None:
        for key, data in contents.items():
            obstore.put(self._store, key, data)

    def delete(self, *keys: str) -> None:
        obstore.delete(self._store, list(keys))


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """A server for the whole run; whoever stops it starts it again."""
    folder = Path(tempfile.mkdtemp(prefix="lookalike-s3-"))
    server = S3Server(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def bucket(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty bucket, with the environment by which it is reached."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    for name, value in s3_server.settings().items():
        monkeypatch.setenv(name, value)
    number = len(list((s3_server.folder / "buckets").iterdir()))
    return Bucket(s3_server, f"pictures-{number}")


if __name__ == "__main__":
    program(1800)
