"""The SQLite store when things go wrong: killed, locked out, not allowed to write, no space left."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lookalike.errors import StoreBusy, StoreFull, StoreUnreachable
from lookalike.stores.registry import open_store
from lookalike.stores.store import Store
from lookalike.testing.samples import CORNERS, SPACE, corners, fill, nearest, put, record, scanned
from tests.forked_programs import ForkedProgram
from tests.stores.batch_writer import BATCH, write_batches
from tests.stores.interrupted_fits import complete_fit, fit_endlessly
from tests.stores.test_sqlite_store import backend

if TYPE_CHECKING:
    pass

ROOT = Path(__file__).parents[2]
"""Where a Python of its own finds `tests`."""

PYTHON = (sys.executable, "-W", "error")
WRITER = "tests.stores.batch_writer"

# Says what came of writing and of reading, and whether one batch more or less is there afterwards.
ATTEMPT = """
import sys
from lookalike.testing.samples import CORNERS, SPACE, fill, nearest, put, record, scanned
from lookalike.errors import LookalikeError
from lookalike.stores.registry import open_store
with open_store(sys.argv[1]) as store:
    for call in (
        lambda: store.create("parts", SPACE) and "created",
        lambda: put(store, "parts", [record("new")], CORNERS[:1]) or "put",
        lambda: store.create("others", SPACE) and "created",
        lambda: store.remove("parts", [record(1).id]),
        lambda: len(scanned(store)),
        lambda: len(nearest(store, "parts", CORNERS[:1], 99)[0]),
        lambda: store.sql("SELECT count(*) FROM parts").rows[0][0],
    ):
        try:
            print(call())
        except LookalikeError as error:
            assert chr(10) not in str(error)
            print(type(error).__name__)
"""


def python(*words: str, before: tuple[str, ...] = ()) -> str:
    """Run a Python of its own with these words and return what it printed."""
    done = subprocess.run(
        [*before, *PYTHON, *words],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def mere_user() -> tuple[str, ...]:
    """The beginning of a command whose process is stopped by permissions, even where we are root."""
    if os.geteuid() != 0:
        return ()
    without = "-dac_override,-dac_read_search"
    command = ("setpriv", f"--bounding-set={without}", f"--inh-caps={without}")
    if shutil.which("setpriv") is None or subprocess.run([*command, "true"], capture_output=True).returncode:
        pytest.skip("we are root and cannot give that up: setpriv does not work here")
    return command


def check(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


# Killed


def kill_writer(url: str, name: str, chance: random.Random) -> list[str]:
    """Let a process write until it is killed; return the batches that it had acknowledged."""
    with ForkedProgram(write_batches, url, name) as process:
        first = ""
        if chance.random() < 0.75:  # else it may be killed while it makes the file
            first = process.stdout.readline()
        time.sleep(chance.uniform(0, 0.15))
        process.kill()
        lines = (first + process.stdout.read()).splitlines(keepends=True)
    return [f"{name}-{line.strip()}" for line in lines if line.endswith("\n")]


def test_what_was_acknowledged_survives_a_kill_and_writing_resumes(file: Path) -> None:
    chance = random.Random(os.urandom(8))
    url = f"sqlite:///{file}"
    acknowledged: list[str] = []
    for turn in range(12):
        acknowledged += kill_writer(url, str(turn), chance)
        with open_store(url) as store:
            store.create("parts", SPACE)
            ids = [record(f"{batch}-{row}").id for batch in acknowledged for row in range(BATCH)]
            assert len(store.get("parts", ids)) == len(ids)
            count = store.collection("parts").count
            assert count % BATCH == 0
            assert count >= len(ids)
            values = store.sql("SELECT count(*) FROM lookalike_values").rows
            assert values == [(count,)]
            put(store, "parts", [record("more")], CORNERS[:1])
            assert store.remove("parts", [record("more").id]) == 1
        check(file)
    assert acknowledged


def test_a_kill_between_any_two_steps_of_a_fit_leaves_no_record_half_there(file: Path) -> None:
    chance = random.Random(os.urandom(8))
    url = f"sqlite:///{file}"
    with open_store(url) as store:
        fill(store, 200)
    finished = []
    for _ in range(12):
        with ForkedProgram(fit_endlessly, url) as process:
            first = process.stdout.readline()
            time.sleep(chance.uniform(0, 0.1))
            process.kill()
            finished += [line for line in (first + process.stdout.read()).splitlines() if line]
        check(file)
        with open_store(url) as store:
            complete_fit(store)
            tables = store.sql("SELECT count(*) FROM sqlite_master WHERE name GLOB 'lookalike_v[0-9]*'")
            assert tables.rows == [(2 * len(store.collection("parts").vectors),)], "tables and their indexes"
    assert finished


def test_two_processes_write_while_a_third_searches(file: Path) -> None:
    url = f"sqlite:///{file}"
    batches = 25
    with open_store(url) as store:
        store.create("parts", SPACE)
        writers = [
            subprocess.Popen(
                [*PYTHON, "-m", WRITER, url, name, str(batches)], stdout=subprocess.PIPE, cwd=ROOT
            )
            for name in "ab"
        ]
        counts = [0]
        while any(writer.poll() is None for writer in writers):
            (hits,) = nearest(store, "parts", CORNERS[:1], 10_000)
            assert len(hits) % BATCH == 0
            assert [(-hit.similarity, hit.record.id) for hit in hits] == sorted(
                (-hit.similarity, hit.record.id) for hit in hits
            )
            counts.append(len(hits))
        for writer in writers:
            writer.communicate()
        assert [writer.returncode for writer in writers] == [0, 0]
        assert counts == sorted(counts)
        assert len(nearest(store, "parts", CORNERS[:1], 10_000)[0]) == 2 * batches * BATCH
        assert len(scanned(store)) == 2 * batches * BATCH
    check(file)


def test_a_process_that_ends_leaves_the_log_to_those_that_use_it(store: Store, file: Path) -> None:
    # What closes the file takes the locks of the whole process away; then the other one, thinking itself the
    # last, deletes the log that we go on writing to.
    fill(store, 5)
    with open_store(store.url) as second:
        second.sql("SELECT * FROM parts")
        nearest(second, "parts", CORNERS[:1], 1)
    python("-m", WRITER, store.url, "a", "1")
    assert file.with_name("parts.db-wal").exists()
    put(store, "parts", [record("ours")], CORNERS[:1])
    python("-m", WRITER, store.url, "b", "1")
    assert store.collection("parts").count == 5 + 2 * BATCH + 1
    store.close()
    with open_store(store.url) as again:
        assert again.collection("parts").count == 5 + 2 * BATCH + 1


def test_processes_that_make_the_store_at_once_agree(file: Path) -> None:
    url = f"sqlite:///{file}"
    writers = [
        subprocess.Popen([*PYTHON, "-m", WRITER, url, name, "1"], stdout=subprocess.PIPE, text=True, cwd=ROOT)
        for name in "abcd"
    ]
    assert [writer.communicate()[0] for writer in writers] == ["0\n"] * 4
    with open_store(url) as store:
        assert store.collection("parts").count == 4 * BATCH


# Locked


def test_a_lock_that_is_held_too_long_is_named_and_changes_nothing(store: Store, file: Path) -> None:
    records = fill(store, 2)
    with closing(sqlite3.connect(file, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with open_store(store.url, timeout=0.2) as waiting:
            for call in (
                lambda: put(waiting, "parts", [record(9)], CORNERS[:1]),
                lambda: waiting.create("others", SPACE),
                lambda: waiting.delete("parts"),
            ):
                start = time.monotonic()
                with pytest.raises(StoreBusy, match=r"kept it locked for 0\.2 s"):
                    call()
                assert time.monotonic() - start >= 0.2
            assert scanned(waiting) == records  # reading goes on
            holder.execute("ROLLBACK")
            put(waiting, "parts", [record(9)], CORNERS[:1])
    assert store.collection("parts").count == 3


def test_a_lock_that_is_let_go_is_waited_for(store: Store, file: Path) -> None:
    fill(store, 2)
    with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        release = threading.Timer(0.4, lambda: holder.execute("ROLLBACK"))
        release.start()
        put(store, "parts", [record(9)], CORNERS[:1])
        release.join()
    assert store.collection("parts").count == 3


def test_a_file_that_is_locked_even_for_reading_is_named(store: Store, file: Path) -> None:
    fill(store, 2)
    store.close()
    with closing(sqlite3.connect(file, isolation_level=None)) as holder:
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN IMMEDIATE")
        with open_store(store.url, timeout=0.2) as waiting:
            for call in (waiting.collections, lambda: waiting.sql("SELECT * FROM parts")):
                with pytest.raises(StoreBusy):
                    call()
    assert store.collection("parts").count == 2


# Gone


@pytest.mark.parametrize("what", ["deleted", "replaced"])
def test_what_is_written_never_goes_to_a_file_that_nobody_finds_again(
    store: Store, file: Path, tmp_path: Path, what: str
) -> None:
    records = fill(store, 2)
    assert scanned(store) == records
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    backup = tmp_path / "backup.db"
    shutil.copy(file, backup)
    for each in (file, *file.parent.glob(f"{file.name}-*")):
        each.unlink()
    if what == "replaced":
        backup.rename(file)
    for call in (lambda: put(store, "parts", [record(9)], CORNERS[:1]), store.collections):
        with pytest.raises(StoreUnreachable, match="deleted or replaced while it was open"):
            call()
    store.close()  # as a program that is started again
    assert len(store.collections()) == (what == "replaced")
    store.create("parts", SPACE)
    put(store, "parts", [record(9)], CORNERS[:1])
    assert store.collection("parts").count == (3 if what == "replaced" else 1)


# Read-only


@pytest.mark.parametrize("what", ["file", "folder", "both"])
def test_what_cannot_be_written_can_be_read(
    store: Store, file: Path, mere_user: tuple[str, ...], what: str
) -> None:
    fill(store, 5)
    store.close()
    before = file.read_bytes()
    if what != "folder":
        file.chmod(0o444)
    if what != "file":
        file.parent.chmod(0o555)
    try:
        lines = python("-c", ATTEMPT, store.url, before=mere_user).split()
    finally:
        file.parent.chmod(0o755)
        file.chmod(0o644)
    assert lines == ["created", "StoreReadOnly", "StoreReadOnly", "StoreReadOnly", "5", "5", "5"]
    assert file.read_bytes() == before


def test_a_log_that_cannot_be_read_without_writing_is_not_passed_over(
    store: Store, file: Path, tmp_path: Path, mere_user: tuple[str, ...]
) -> None:
    fill(store, 5)
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("parts.db", "parts.db-wal"):  # as a kill, or a copy of a running store, leaves them
        shutil.copy(tmp_path / name, copy / name)
    copy.chmod(0o555)
    try:
        lines = python("-c", ATTEMPT, f"sqlite:///{copy}/parts.db", before=mere_user).split()
    finally:
        copy.chmod(0o755)
    assert set(lines) == {"StoreReadOnly"}
    with open_store(f"sqlite:///{copy}/parts.db") as writable:
        assert writable.collection("parts").count == 5


def test_what_cannot_be_written_shows_the_changes_that_others_make(
    store: Store, file: Path, mere_user: tuple[str, ...]
) -> None:
    fill(store, 5)
    store.close()
    program = (
        "import sys\nfrom lookalike.stores.registry import open_store\n"
        "with open_store(sys.argv[1]) as store:\n"
        "    for _ in sys.stdin:\n        print(store.collection('parts').count, flush=True)\n"
    )
    command = [*mere_user, sys.executable, "-c", program, store.url]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        for count in (5, 405, 805):
            file.parent.chmod(0o555)
            reader.stdin.write("\n")
            reader.stdin.flush()
            assert reader.stdout.readline() == f"{count}\n"
            file.parent.chmod(0o755)
            put(store, "parts", [record(f"{count}-{row}") for row in range(400)], corners(400))
            store.close()
        reader.stdin.close()
    assert reader.returncode == 0


def test_a_store_cannot_be_made_where_writing_is_not_allowed(
    tmp_path: Path, mere_user: tuple[str, ...]
) -> None:
    tmp_path.chmod(0o555)
    try:
        lines = python("-c", ATTEMPT, f"sqlite:///{tmp_path}/parts.db", before=mere_user).split()
    finally:
        tmp_path.chmod(0o755)
    assert lines[:3] == ["StoreReadOnly", "CollectionNotFound", "StoreReadOnly"]
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_read_is_named(store: Store, file: Path, mere_user: tuple[str, ...]) -> None:
    fill(store, 1)
    store.close()
    file.chmod(0)
    lines = python("-c", ATTEMPT, store.url, before=mere_user).split()
    file.chmod(0o644)
    assert set(lines) == {"StoreError"}


# No space left


def test_a_put_that_does_not_fit_leaves_all_as_it_was(store: Store) -> None:
    records = fill(store, 10)
    writer = backend(store)._file._writer
    assert writer is not None
    (pages,) = writer.execute("PRAGMA page_count").fetchone()
    writer.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreFull, match="no space left"):
        put(store, "parts", [record(f"more-{row}", {"new": row}) for row in range(2_000)], corners(2_000))
    assert scanned(store) == records
    assert store.collection("parts").fields == ()
    writer.execute("PRAGMA max_page_count = 1000000")
    put(store, "parts", [record("more", {"new": 1})], CORNERS[:1])
    assert store.collection("parts").count == 11


# argv: a folder whose disk is small or whose files may not grow. "ballast" is given up in the end.
FILL_UP = """
import pathlib, resource, sys
from lookalike.testing.samples import SPACE, corners, put, record, scanned
from lookalike.errors import LookalikeError
from lookalike.stores.registry import open_store
folder = pathlib.Path(sys.argv[1])
(folder / "ballast").write_bytes(bytes(400_000))
if sys.argv[2] == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (900_000, resource.RLIM_INFINITY))
with open_store(f"sqlite:///{folder}/parts.db") as store:
    store.create("parts", SPACE)
    done = 0
    try:
        while True:
            rows = [record(f"{done}-{row}", {"a": "x" * 2000}) for row in range(20)]
            put(store, "parts", rows, corners(20))
            done += 1
    except LookalikeError as error:
        print(type(error).__name__)
    assert done and len(scanned(store)) == done * 20, (done, len(scanned(store)))
    assert store.sql("SELECT count(a) FROM parts").rows == [(done * 20,)]
    (folder / "ballast").unlink()
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    put(store, "parts", [record("last")], corners(1))
    print(store.collection("parts").count - done * 20)
    print(store.sql("SELECT count(*) FROM parts").rows[0][0] - done * 20)
"""


def test_a_full_disk_is_named_and_loses_nothing(tmp_path: Path) -> None:
    mount = 'mount -t tmpfs -o size=2m tmpfs "$0" && exec "$@"'
    own = ("unshare", "--mount") if os.geteuid() == 0 else ("unshare", "--map-root-user", "--mount")
    before = (*own, "sh", "-c", mount, str(tmp_path))
    if shutil.which("unshare") is None or subprocess.run([*before, "true"], capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    assert python("-c", FILL_UP, str(tmp_path), "disk", before=before).split() == ["StoreFull", "1", "1"]


def test_a_file_that_may_not_grow_loses_nothing(tmp_path: Path) -> None:
    assert python("-c", FILL_UP, str(tmp_path), "limit").split() == ["StoreError", "1", "1"]


@pytest.mark.parametrize("begin", ["reading", "writing"])
def test_a_transaction_that_ctrl_c_left_open_does_not_hold_up_the_end(tmp_path: Path, begin: str) -> None:
    """Where it strikes between the beginning and the block, the traceback keeps the transaction alive."""
    url = f"sqlite:///{tmp_path}/parts.db"
    with open_store(url) as store:
        fill(store, 3)
    script = (
        "import sys\n"
        "from lookalike.stores.sqlite.connection import SqliteFile\n"
        "file = SqliteFile(sys.argv[1], 1.0)\n"
        f"left = file.{begin}()\n"
        "left.__enter__()\n"
        "file.close()\n"
        "print('closed')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, url], capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.stdout == "closed\n", ended.stderr
    with open_store(url) as store:
        assert len(scanned(store)) == 3
