"""The PostgreSQL store when things go wrong: gone, restarted, refused, cancelled, full."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
import pytest
from psycopg.sql import SQL

from lookalike.cli import main
from lookalike.errors import (
    LookalikeError,
    StoreBusy,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnreachable,
    Unanswerable,
)
from lookalike.stores.registry import open_store
from lookalike.testing.samples import CORNERS, SPACE, corners, fill, nearest, put, record, scanned
from tests.forked_programs import ForkedProgram
from tests.servers.postgres import PASSWORD, PostgresProcess, free_port, postgres_process
from tests.stores.batch_writer import BATCH, write_batches
from tests.stores.interrupted_fits import complete_fit, fit_endlessly

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lookalike.stores.store import Store

# One server for all of them, also where several processes run tests (pytest --dist loadgroup).
pytestmark = pytest.mark.xdist_group("postgres that stops")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def process() -> Iterator[PostgresProcess]:
    """A server that these tests may stop."""
    with postgres_process() as process:
        yield process


@pytest.fixture
def database(process: PostgresProcess) -> str:
    """The name of a new database on it."""
    if not process.is_running():
        process.start()
    with psycopg.connect(process.url(), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS parts WITH (FORCE)")
        connection.execute("CREATE DATABASE parts")
    return "parts"


@pytest.fixture
def url(process: PostgresProcess, database: str) -> str:
    return process.url(database=database)


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with open_store(url, timeout=10) as store:
        yield store


@pytest.fixture
def administrator(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture(autouse=True)
def no_secret_is_told(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level("DEBUG")
    yield
    assert PASSWORD not in caplog.text


def one_line(error: LookalikeError) -> str:
    """Return the text of an error, having looked at all that Python would show of it."""
    shown: BaseException | None = error
    while shown is not None:
        assert PASSWORD not in str(shown) + repr(shown)
        shown = shown.__cause__ or (None if shown.__suppress_context__ else shown.__context__)
    assert "\n" not in str(error)
    return str(error)


@contextmanager
def held(administrator: psycopg.Connection[Any], lock: LiteralString = "SHARE") -> Iterator[None]:
    """Keep others from writing to the first collection, though their transactions may begin."""
    with administrator.transaction():
        administrator.execute(SQL("LOCK TABLE lookalike.lookalike_c1 IN {} MODE").format(SQL(lock)))
        yield


def waiting(administrator: psycopg.Connection[Any]) -> int:
    """Return the process of the server that waits for a lock, as soon as there is one."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        row = administrator.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'lookalike'"
            " AND wait_event_type = 'Lock' AND cardinality(pg_blocking_pids(pid)) > 0"
        ).fetchone()
        if row is not None:
            return int(row[0])
        time.sleep(0.02)
    raise AssertionError("nobody waits")


class Attempt(threading.Thread):
    """A call in a thread of its own, and what came of it."""

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__()
        self._call = call
        self.failure: LookalikeError | None = None
        self.start()

    def run(self) -> None:
        try:
            self._call()
        except LookalikeError as failure:
            self.failure = failure

    def ended(self) -> LookalikeError | None:
        self.join(30)
        assert not self.is_alive()
        return self.failure


# Gone


def test_a_port_where_nobody_listens_is_named_at_once() -> None:
    port = free_port()
    url = f"postgresql://u:secret-word@127.0.0.1:{port}/db"
    start = time.monotonic()
    with open_store(url, timeout=10) as store:
        for call in (store.collections, lambda: store.sql("SELECT 1"), lambda: store.create("a", SPACE)):
            with pytest.raises(StoreUnreachable) as failed:
                call()
            text = one_line(failed.value)
            assert text.startswith(f"postgresql://u@127.0.0.1:{port}/db: no server answers there: ")
            assert "Connection refused" in text
            assert "secret-word" not in text
    assert time.monotonic() - start < 5


def test_a_server_that_never_answers_is_given_up_after_the_timeout() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/db"
        start = time.monotonic()
        with open_store(url, timeout=2) as store, pytest.raises(StoreUnreachable, match="timeout"):
            store.collections()
        assert 1.5 < time.monotonic() - start < 6


def test_a_host_that_is_none_is_named() -> None:
    store = open_store("postgresql://host.invalid/db", timeout=5)
    with pytest.raises(StoreUnreachable, match="no server answers there"):
        store.collections()


def test_a_restart_between_two_calls_is_not_noticed(process: PostgresProcess, store: Store) -> None:
    records = fill(store, 5)
    for mode in ("fast", "immediate"):
        process.stop(mode)
        process.start()
        assert scanned(store) == records
        process.stop(mode)
        process.start()
        put(store, "parts", [record(mode)], CORNERS[:1])
        store.remove("parts", [record(mode).id])
        process.stop(mode)
        process.start()
        assert store.sql("SELECT count(*) FROM lookalike.parts").rows == [(5,)]


def test_a_server_that_stops_while_we_write_loses_nothing_and_keeps_no_half(
    process: PostgresProcess, store: Store, url: str
) -> None:
    records = fill(store, 5)
    holder = psycopg.connect(url, autocommit=True)
    holder.execute("BEGIN; LOCK TABLE lookalike.lookalike_c1 IN SHARE MODE")
    with psycopg.connect(url, autocommit=True) as watcher:
        attempt = Attempt(lambda: put(store, "parts", [record(f"more-{n}") for n in range(50)], corners(50)))
        waiting(watcher)
        process.stop("immediate")
        failure = attempt.ended()
    holder.close()
    assert isinstance(failure, StoreUnreachable)
    assert "is it running" in one_line(failure)
    with pytest.raises(StoreUnreachable):
        store.collections()
    process.start()
    assert scanned(store) == records
    put(store, "parts", [record(f"more-{n}") for n in range(50)], corners(50))
    assert store.collection("parts").count == 55 == len(scanned(store))


def test_a_scan_goes_on_after_a_restart_and_ends_in_a_clear_line_without(
    process: PostgresProcess, store: Store
) -> None:
    fill(store, 2_500)
    scan = store.scan("parts")
    first, _ = next(scan)
    process.stop()
    process.start()
    second, _ = next(scan)
    assert len({one.id for one in first + second}) == 2_000
    process.stop()
    with pytest.raises(StoreUnreachable) as failed:
        next(scan)
    one_line(failed.value)


def test_a_command_that_met_a_stopped_server_completes_when_it_is_run_again(
    process: PostgresProcess,
    url: str,
    textile: Path,
    cache: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["index", str(textile), "--store", url, "--cache", str(cache), "--timeout", "5"]
    process.stop()
    assert main(words) == 1
    out, err = capsys.readouterr()
    assert "no server answers there" in err
    assert "Traceback" not in err
    assert PASSWORD not in out + err
    process.start()
    assert main(words) == 0
    with open_store(url) as store:
        assert store.collection("images").count == 60
    assert PASSWORD not in "".join(capsys.readouterr())


# Killed


def test_what_was_acknowledged_survives_a_kill_and_writing_resumes(url: str) -> None:
    chance = random.Random(os.urandom(8))
    acknowledged: list[str] = []
    for turn in range(6):
        with ForkedProgram(write_batches, url, str(turn)) as process:
            first = process.stdout.readline() if turn else ""  # the first one may be killed at any time
            time.sleep(chance.uniform(0, 0.5))
            process.kill()
            lines = (first + process.stdout.read()).splitlines(keepends=True)
        acknowledged += [f"{turn}-{line.strip()}" for line in lines if line.endswith("\n")]
        with open_store(url) as store:
            store.create("parts", SPACE)
            ids = [record(f"{batch}-{row}").id for batch in acknowledged for row in range(BATCH)]
            assert len(store.get("parts", ids)) == len(ids)
            count = store.collection("parts").count
            assert count % BATCH == 0
            assert count >= len(ids)
            assert len(store.stamps("parts")) == count
            put(store, "parts", [record("more")], CORNERS[:1])
            assert store.remove("parts", [record("more").id]) == 1
    assert acknowledged


def test_a_kill_between_any_two_steps_of_a_fit_leaves_no_record_half_there(url: str) -> None:
    chance = random.Random(os.urandom(8))
    with open_store(url) as store:
        fill(store, 200)
    finished: list[str] = []
    for _ in range(6):
        with ForkedProgram(fit_endlessly, url) as process:
            first = process.stdout.readline()
            time.sleep(chance.uniform(0, 0.2))
            process.kill()
            finished += [line for line in (first + process.stdout.read()).splitlines() if line]
        with open_store(url) as store:
            complete_fit(store)
            tables = store.sql("SELECT count(*) FROM pg_class WHERE relname ~ '^lookalike_v[0-9]+$'")
            assert tables.rows == [(len(store.collection("parts").vectors),)]
    assert finished


@pytest.mark.parametrize("call", ["put", "remove", "rename"])
def test_a_connection_that_breaks_before_the_end_is_replaced_and_nothing_is_done_twice(
    store: Store, administrator: psycopg.Connection[Any], url: str, call: str
) -> None:
    fill(store, 5)
    calls: dict[str, Callable[[], object]] = {
        "put": lambda: put(store, "parts", [record(9)], CORNERS[:1]),
        "remove": lambda: store.remove("parts", [record(1).id]),
        "rename": lambda: store.rename("parts", "others"),
    }
    with psycopg.connect(url, autocommit=True) as holder:
        holder.execute("BEGIN; SELECT * FROM lookalike.lookalike_collections FOR UPDATE")
        attempt = Attempt(calls[call])
        administrator.execute("SELECT pg_terminate_backend(%s)", (waiting(administrator),))
        waiting(administrator)  # again
        holder.execute("ROLLBACK")
        assert attempt.ended() is None
    count = {"put": 6, "remove": 4, "rename": 5}[call]
    assert store.collection("others" if call == "rename" else "parts").count == count


def test_a_connection_that_breaks_twice_is_told_and_leaves_all_as_it_was(
    store: Store, administrator: psycopg.Connection[Any], url: str
) -> None:
    records = fill(store, 5)
    with psycopg.connect(url, autocommit=True) as holder, held(holder):
        attempt = Attempt(lambda: put(store, "parts", [record(9)], CORNERS[:1]))
        for _ in range(2):
            administrator.execute("SELECT pg_terminate_backend(%s, 5000)", (waiting(administrator),))
        failure = attempt.ended()
    assert isinstance(failure, StoreUnreachable)
    assert "the connection broke" in one_line(failure)
    assert scanned(store) == records


def test_ctrl_c_while_writing_leaves_all_as_it_was(
    store: Store, administrator: psycopg.Connection[Any], url: str
) -> None:
    records = fill(store, 5)
    command = [sys.executable, "-m", "tests.stores.batch_writer", url, "a", "1000000"]
    with (
        psycopg.connect(url, autocommit=True) as holder,
        held(holder),
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process,
    ):
        waiting(administrator)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert "KeyboardInterrupt" in err
    assert scanned(store) == records
    assert store.collection("parts").fields == ()


# Cancelled and locked


@pytest.mark.parametrize("call", ["put", "relabel", "delete", "build_index"])
def test_a_statement_that_is_cancelled_half_way_leaves_all_as_it_was(
    store: Store, administrator: psycopg.Connection[Any], url: str, call: str
) -> None:
    records = fill(store, 5)
    calls: dict[str, Callable[[], object]] = {
        "put": lambda: put(store, "parts", [record(9, {"new": 1})], CORNERS[:1]),
        "relabel": lambda: store.relabel("parts", [(record(1).id, {"new": 1}, {})]),
        "delete": lambda: store.delete("parts"),
        "build_index": lambda: store.build_index("parts"),
    }
    with psycopg.connect(url, autocommit=True) as holder, held(holder, "ROW EXCLUSIVE"):
        holder.execute("LOCK TABLE lookalike.lookalike_c1, lookalike.lookalike_v1 IN SHARE MODE")
        attempt = Attempt(calls[call])
        administrator.execute("SELECT pg_cancel_backend(%s)", (waiting(administrator),))
        failure = attempt.ended()
    assert isinstance(failure, StoreBusy)
    assert "run it again" in one_line(failure)
    assert scanned(store) == records
    assert store.collection("parts").fields == ()
    calls[call]()


def test_a_lock_that_is_held_too_long_is_named_and_changes_nothing(
    store: Store, administrator: psycopg.Connection[Any], url: str
) -> None:
    records = fill(store, 2)
    with open_store(url, timeout=0.3) as impatient, held(administrator):
        for call in (
            lambda: put(impatient, "parts", [record(9, {"new": 1})], CORNERS[:1]),
            lambda: impatient.delete("parts"),
        ):
            start = time.monotonic()
            with pytest.raises(StoreBusy, match=r"kept it locked for 0\.3 s") as failed:
                call()
            one_line(failed.value)
            assert 0.3 <= time.monotonic() - start < 5
        assert scanned(impatient) == records  # reading goes on
    put(store, "parts", [record(9, {"new": 1})], CORNERS[:1])
    assert store.collection("parts").count == 3


def test_a_full_house_is_named(process: PostgresProcess, url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE guest LOGIN PASSWORD 'guest' CONNECTION LIMIT 0")
    store = open_store(process.url("guest", "guest", "parts"), timeout=2)
    with pytest.raises(StoreBusy, match="connections") as failed:
        store.collections()
    assert "guest:" not in one_line(failed.value)
    with psycopg.connect(process.url(), autocommit=True) as connection:
        connection.execute("DROP ROLE guest")


# Refused


@pytest.mark.parametrize(
    ("user", "password", "said"),
    [
        ("postgres", "wrong-word", "password authentication failed"),
        ("nobody-of-that-name", "wrong-word", "password authentication failed"),
        ("postgres", "", "password"),
    ],
)
def test_a_wrong_password_is_told_at_once_and_not_repeated(
    process: PostgresProcess,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    user: str,
    password: str,
    said: str,
) -> None:
    monkeypatch.setenv("PGPASSFILE", os.devnull)
    start = time.monotonic()
    store = open_store(process.url(user, password, database), timeout=20)
    with pytest.raises(StoreDenied, match=said) as failed:
        store.collections()
    text = one_line(failed.value)
    assert "wrong-word" not in text
    assert ("PGPASSWORD" in text) == (not password)
    assert time.monotonic() - start < 5


def test_the_password_may_come_from_where_libpq_finds_it(
    process: PostgresProcess, database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = f"postgresql://postgres@127.0.0.1:{process.port}/{database}"
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    with open_store(url) as store:
        assert store.collections() == []
    monkeypatch.delenv("PGPASSWORD")
    file = tmp_path / "pgpass"
    file.write_text(f"127.0.0.1:*:*:postgres:{PASSWORD.replace(':', chr(92) + ':')}\n")
    file.chmod(0o600)
    with open_store(f"{url}?passfile={file}") as store:
        assert store.collections() == []
        assert str(file) not in store.url


def test_a_database_that_is_not_there_is_named(process: PostgresProcess, database: str) -> None:
    store = open_store(process.url(database="nowhere"))
    with pytest.raises(StoreError, match="CREATE DATABASE") as failed:
        store.create("parts", SPACE)
    one_line(failed.value)


@pytest.fixture
def guest(process: PostgresProcess, url: str) -> Iterator[str]:
    """The URL for a user who may connect and nothing else."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE guest LOGIN PASSWORD 'guest-word'")
        connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    yield process.url("guest", "guest-word", "parts")
    if not process.is_running():
        process.start()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP OWNED BY guest CASCADE; DROP ROLE guest")


def test_a_user_who_may_only_read_reads_and_is_told_so_when_writing(
    store: Store, administrator: psycopg.Connection[Any], guest: str
) -> None:
    records = fill(store, 3, [{"a": 1}])
    with open_store(guest) as reader:
        with pytest.raises(StoreDenied, match="permission denied for schema lookalike"):
            reader.collections()
        administrator.execute(
            "GRANT USAGE ON SCHEMA lookalike TO guest;"
            " GRANT SELECT ON ALL TABLES IN SCHEMA lookalike TO guest"
        )
        assert scanned(reader) == records
        assert len(nearest(reader, "parts", CORNERS[:1], 9)[0]) == 3
        assert reader.sql("SELECT count(*) FROM parts").rows == [(3,)]
        assert reader.create("parts", SPACE).count == 3
        for call in (
            lambda: reader.create("others", SPACE),
            lambda: put(reader, "parts", [record(9)], CORNERS[:1]),
            lambda: reader.remove("parts", [record(1).id]),
            lambda: reader.rename("parts", "others"),
            lambda: reader.delete("parts"),
            lambda: reader.build_index("parts"),
        ):
            with pytest.raises(StoreDenied, match="lacks a right") as failed:
                call()
            assert "guest-word" not in one_line(failed.value)
    assert scanned(store) == records


def test_a_user_with_a_schema_of_his_own_needs_no_other_right(
    process: PostgresProcess, administrator: psycopg.Connection[Any], guest: str
) -> None:
    with open_store(guest) as store, pytest.raises(StoreDenied, match="lacks a right"):
        store.create("parts", SPACE)
    administrator.execute("CREATE SCHEMA lookalike AUTHORIZATION guest")
    with open_store(guest) as store:
        with pytest.raises(StoreDenied, match="CREATE EXTENSION vector"):
            store.create("parts", SPACE)
        administrator.execute("CREATE EXTENSION vector SCHEMA public")
        records = fill(store, 30, [{"a": 1}, {"b": 2}])
        assert scanned(store) == records
        assert store.build_index("parts").kind == "hnsw"
        assert store.delete("parts") == 30


def test_an_extension_in_another_schema_is_found(
    administrator: psycopg.Connection[Any], store: Store
) -> None:
    administrator.execute('CREATE SCHEMA "The Extensions"; CREATE EXTENSION vector SCHEMA "The Extensions"')
    fill(store, 30)
    store.build_index("parts")
    assert len(nearest(store, "parts", CORNERS[:1], 3, approximate=True)[0]) == 3
    assert store.sql("SELECT a.vector <=> b.vector FROM parts a, parts b LIMIT 1").columns == ("?column?",)


def test_an_extension_that_is_too_old_for_an_index_still_searches_exactly(
    administrator: psycopg.Connection[Any], store: Store
) -> None:
    fill(store, 30)
    administrator.execute("UPDATE pg_extension SET extversion = '0.7.4' WHERE extname = 'vector'")
    with pytest.raises(Unanswerable, match=r"older than 0\.8") as failed:
        store.build_index("parts")
    one_line(failed.value)
    assert len(nearest(store, "parts", CORNERS[:1], 30, approximate=True)[0]) == 30


def test_a_server_without_the_extension_is_told(
    process: PostgresProcess, administrator: psycopg.Connection[Any], database: str
) -> None:
    # Extensions are looked for where this says: a role that is told of another folder has none.
    administrator.execute("ALTER ROLE postgres IN DATABASE parts SET extension_control_path = '/nowhere'")
    with open_store(process.url(database=database)) as store:
        with pytest.raises(StoreError, match="no pgvector") as failed:
            store.create("parts", SPACE)
        one_line(failed.value)
        assert store.collections() == []
    row = administrator.execute("SELECT to_regnamespace('lookalike') IS NULL").fetchone()
    assert row == (True,)  # not half-made


def test_a_database_that_cannot_hold_every_text_is_refused(process: PostgresProcess, url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with open_store(process.url(database="latin")) as store, pytest.raises(StoreError, match="LATIN1"):
        store.create("parts", SPACE)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP DATABASE latin")


@pytest.mark.parametrize("how", ["standby", "setting"])
def test_a_server_that_is_read_only_can_be_read(
    process: PostgresProcess, store: Store, url: str, how: str
) -> None:
    records = fill(store, 3)
    standby = process.folder / "data" / "standby.signal"
    if how == "standby":
        process.stop("fast")
        standby.touch()
        shutil.chown(standby, process.user.pw_uid, process.user.pw_gid)
        process.start()
    else:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("ALTER DATABASE parts SET default_transaction_read_only = on")
        store.close()
    try:
        assert scanned(store) == records
        assert store.sql("SELECT count(*) FROM parts").rows == [(3,)]
        for call in (
            lambda: store.create("others", SPACE),
            lambda: put(store, "parts", [record(9)], CORNERS[:1]),
            lambda: store.delete("parts"),
        ):
            with pytest.raises(StoreReadOnly, match="read but not written") as failed:
                call()
            one_line(failed.value)
    finally:
        if how == "standby":
            process.stop("fast")
            standby.unlink()
            process.start()
    assert scanned(store) == records


# No space left


def test_a_full_disk_is_named_and_loses_nothing(process: PostgresProcess, url: str) -> None:
    small = process.folder / "small"
    own = f"size=4m,mode=700,uid={process.user.pw_uid},gid={process.user.pw_gid}"
    before = (
        "unshare",
        "--mount",
        "sh",
        "-c",
        f'mount -t tmpfs -o {own} tmpfs "$0" && exec "$@"',
        str(small),
    )
    small.mkdir(exist_ok=True)
    if shutil.which("unshare") is None or subprocess.run([*before, "true"], capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    process.stop("fast")
    process.start(before)
    with psycopg.connect(process.url(), autocommit=True) as connection:
        connection.execute(SQL("CREATE TABLESPACE small LOCATION {}").format(str(small)))
        connection.execute("ALTER DATABASE parts SET default_tablespace = small")
    with open_store(url) as store:
        store.create("parts", SPACE)
        done = 0

        def put_until(batches: int) -> None:
            nonlocal done
            while done < batches:
                fields = [{"a": random.Random(f"{done}-{n}").randbytes(500).hex()} for n in range(100)]
                rows = [record(f"{done}-{n}", one) for n, one in enumerate(fields)]
                put(store, "parts", rows, corners(100))
                done += 1

        with pytest.raises(StoreFull, match="no space left") as failed:
            put_until(100)
        one_line(failed.value)
        assert done
        assert store.collection("parts").count == done * 100 == len(scanned(store))
        store.delete("parts")
        fill(store, 20)
    with psycopg.connect(process.url(), autocommit=True) as connection:
        connection.execute("DROP DATABASE parts WITH (FORCE)")
        connection.execute("DROP TABLESPACE small")
