"""Bad luck, with real processes and signals: nothing acknowledged is lost, the same command goes on."""

from __future__ import annotations

import io
import json
import os
import random
import resource
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from conformal_clip_data import textile_simulated_root

from lookalike.cli import main
from lookalike.stores.registry import open_store
from lookalike.uris import uri_path
from tests.forked_programs import ForkedCommand, run_command
from tests.unmeasured import unmeasured

PROGRAM = Path(sys.executable).with_name("lookalike")
FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


class Bench:
    """One store, one feature cache, and folders of photographs to index, each call a process."""

    def __init__(self, folder: Path, models: Path) -> None:
        self.folder = folder
        self.database = folder / "test.db"
        self.cache = folder / "cache"
        self.cache.mkdir()
        (self.cache / "models").symlink_to(models)
        self.environment = {
            **unmeasured(),
            "LOOKALIKE_STORE": f"sqlite:///{self.database}",
            "LOOKALIKE_CACHE": str(self.cache),
        }
        self._running: list[subprocess.Popen[str]] = []

    def photographs(self, name: str, count: int, first: int = 0) -> Path:
        """Make a folder of photographs, `count` from each class from the `first` on."""
        root = self.folder / name
        for kind in ("global", "local", "nominal"):
            (root / kind).mkdir(parents=True)
            for file in sorted((textile_simulated_root() / kind).iterdir())[first : first + count]:
                shutil.copy2(file, root / kind / file.name)
        return root

    def start(self, *words: str | Path, **options: object) -> subprocess.Popen[str]:
        process: subprocess.Popen[str] = subprocess.Popen(
            [PROGRAM, *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,  # type: ignore[call-overload] # pass_fds, preexec_fn and the like as they come
        )
        self._running.append(process)
        return process

    def run(
        self, *words: str | Path, code: int = 0, afresh: bool = False, **options: object
    ) -> tuple[str, str]:
        """Run a command that must end with `code`; return what it wrote to stdout and stderr.

        Where nothing but its words says how it starts, it is a fork of what has imported what it needs.
        """
        if afresh or options:
            process = self.start(*words, **options)
            out, err = process.communicate(timeout=60)
            ended = process.returncode
        else:
            ended, out, err = run_command(words, self.environment)
        assert ended == code, (words, ended, out, err)
        assert "Traceback" not in err, err
        return out, err

    def one_line(self, *words: str | Path, code: int = 1, afresh: bool = False, **options: object) -> str:
        """Run a command that must fail with `code`, one line on stderr and nothing on stdout."""
        out, err = self.run(*words, code=code, afresh=afresh, **options)
        assert out == ""
        (line,) = err.splitlines()
        assert line.startswith("lookalike: ")
        return line

    def end(self) -> None:
        for process in self._running:
            process.kill()
            process.communicate()

    def indexed(self) -> set[Path]:
        """Return the paths of all records, each there once, from a sound database."""
        if not self.database.exists():
            return set()
        connection = sqlite3.connect(self.database)
        try:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            if not connection.execute("PRAGMA user_version").fetchone()[0]:
                return set()
            rows = connection.execute(
                "SELECT uri, length(vector), fields"
                " FROM lookalike_records LEFT JOIN lookalike_v1 USING (record)"
            ).fetchall()
        finally:
            connection.close()
        paths = [uri_path(uri) for uri, _, _ in rows]
        assert len(paths) == len(set(paths)), "an image is there twice"
        for path, (_, length, fields) in zip(paths, rows, strict=True):
            assert length == 4 * 1280
            assert json.loads(fields)["label"] == path.parent.name
        return set(paths)

    def wait_until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not holds():
            assert time.monotonic() < deadline
            time.sleep(0.005)


@pytest.fixture(scope="session")
def models(cache: Path) -> Path:
    """The folder with the model's graph, built once."""
    from lookalike.embedders.registry import open_embedder

    open_embedder("efficientnet-lite0", cache)
    return cache / "models"


@pytest.fixture
def bench(tmp_path: Path, models: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, models)
    yield bench
    bench.end()


def files(*roots: Path) -> set[Path]:
    return {path for root in roots for path in root.rglob("*.jpg")}


# Interrupted -----------------------------------------------------------------------------------------------


def test_ctrl_c_in_the_middle_of_index_keeps_what_was_written(bench: Bench) -> None:
    # So many that it is still at it when the signal comes, however quick the machine is.
    first, root = bench.photographs("first", 5), bench.photographs("root", 170)
    bench.run("index", first)
    process = bench.start("index", root)
    bench.wait_until(lambda: len(bench.indexed()) > 15 or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, "")
    # click ends the terminal's line after ^C.
    assert err.splitlines() == [
        "",
        "lookalike: interrupted; what was acknowledged is kept, and the same command goes on from there",
    ]
    kept = bench.indexed()
    assert files(first) < kept < files(first, root)

    (summary,) = _lines(bench.run("index", root, "--format", "jsonl")[0])
    assert summary["unchanged"] == len(kept) - 15
    assert summary["added"] == 510 - summary["unchanged"]
    assert bench.indexed() == files(first, root)


@pytest.mark.parametrize("seconds", [0.05, 0.15, 0.25, 0.4, 0.6])
def test_ctrl_c_is_quiet_however_early(bench: Bench, seconds: float) -> None:
    root = bench.photographs("root", 100)
    process = bench.start("index", root)
    # Python itself must have come up: before the first line of a program nothing can be caught.
    time.sleep(seconds)
    if not _runs_lookalike(process):
        bench.wait_until(lambda: _runs_lookalike(process) or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert [line for line in err.splitlines() if line] == [
        "lookalike: interrupted; what was acknowledged is kept, and the same command goes on from there"
    ]
    assert bench.indexed() <= files(root)


def _runs_lookalike(process: subprocess.Popen[str]) -> bool:
    """Tell whether the process has begun to load what lookalike needs: numpy's compiled core."""
    if not Path("/proc/self/maps").exists():
        return True
    try:
        return "_multiarray_umath" in Path(f"/proc/{process.pid}/maps").read_text()
    except OSError:
        return False


def test_kill_at_any_moment_loses_no_acknowledged_image(bench: Bench) -> None:
    acknowledged, root = bench.photographs("first", 5), bench.photographs("root", 120)
    bench.run("index", acknowledged)
    everything = files(acknowledged, root)
    before = bench.indexed()
    assert before == files(acknowledged)
    moments = random.Random(7)
    for _ in range(7):
        process = ForkedCommand(("index", root), bench.folder, bench.environment, bench.folder / "out")
        try:
            process.wait(moments.uniform(0.05, 1.3))
        except subprocess.TimeoutExpired:
            process.kill()
        assert process.wait(60) in (0, -signal.SIGKILL)
        after = bench.indexed()
        assert before <= after <= everything
        with open_store(bench.environment["LOOKALIKE_STORE"]) as store:
            assert [one.count for one in store.collections()] == [len(after)]
        before = after
    bench.run("index", root)
    assert bench.indexed() == everything


def test_kill_just_after_a_write_loses_none_of_it(bench: Bench) -> None:
    root = bench.photographs("root", 60)
    process = bench.start("index", root)
    bench.wait_until(lambda: bool(bench.indexed()) or process.poll() is not None)
    seen = bench.indexed()
    process.kill()
    process.communicate()
    assert seen
    assert seen <= bench.indexed()
    bench.run("index", root)
    assert bench.indexed() == files(root)


# Together --------------------------------------------------------------------------------------------------


def test_two_processes_index_different_folders_while_others_search(bench: Bench) -> None:
    first, second, third = (bench.photographs(name, 25, at) for name, at in (("a", 0), ("b", 25), ("c", 50)))
    bench.run("index", first)
    writers = [bench.start("index", folder) for folder in (second, third)]
    picture = next(iter(sorted(files(first))))
    searches = 0
    while searches < 2 or any(writer.poll() is None for writer in writers):
        found = _lines(bench.run("search", picture, "-k", "1", "--format", "jsonl")[0])
        assert [line["path"] for line in found] == [str(picture)]
        searches += 1
    for writer in writers:
        assert writer.wait() == 0, writer.communicate()
    assert bench.indexed() == files(first, second, third)


def test_processes_that_index_the_same_folder_put_each_image_once(bench: Bench) -> None:
    root = bench.photographs("root", 20)
    writers = [bench.start("index", root) for _ in range(3)]
    for writer in writers:
        out, err = writer.communicate(timeout=60)
        assert (writer.returncode, err) == (0, ""), (out, err)
    assert bench.indexed() == files(root)
    assert _lines(bench.run("index", root, "--format", "jsonl")[0])[0]["unchanged"] == 60


def test_a_locked_store_is_waited_for_as_long_as_asked_and_can_be_searched(bench: Bench) -> None:
    root = bench.photographs("root", 3)
    bench.run("index", root)
    new = bench.photographs("new", 1, 50)
    before = bench.indexed()
    holder = sqlite3.connect(bench.database, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    bench.environment["LOOKALIKE_TIMEOUT"] = "0.2"
    assert "another process kept it locked for 0.2 s; try again later" in bench.one_line("index", new)
    bench.run("search", next(iter(files(new))))
    holder.execute("ROLLBACK")
    holder.close()
    assert bench.indexed() == before
    bench.run("index", new)
    assert bench.indexed() == files(root, new)


def test_files_that_vanish_under_way_are_skipped_by_name(bench: Bench) -> None:
    root = bench.photographs("root", 60)
    process = bench.start("index", root, "--format", "jsonl")
    # The store is made after the walk and before the first image is read.
    bench.wait_until(bench.database.exists)
    shutil.rmtree(root / "nominal")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    *skipped, summary = _lines(out)
    assert {line["reason"] for line in skipped} == {"cannot be read: No such file or directory"}
    assert {Path(line["path"]).parent for line in skipped} == {root / "nominal"}
    assert summary["added"] + len(skipped) == 180
    assert bench.indexed() >= files(root)


# No space, no right ----------------------------------------------------------------------------------------


def _no_file_above(size: int) -> Callable[[], None]:
    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


def test_a_store_that_may_not_grow_is_one_line_and_goes_on_later(bench: Bench) -> None:
    first, root = bench.photographs("first", 5), bench.photographs("root", 20)
    bench.run("index", first)
    limit = bench.database.stat().st_size + (64 << 10)
    bench.one_line("index", root, preexec_fn=_no_file_above(limit))
    assert files(first) <= bench.indexed() <= files(first, root)
    bench.run("index", root)
    assert bench.indexed() == files(first, root)


@pytest.fixture
def mounted(bench: Bench) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Run a shell script that may mount things, which nobody else sees and which are gone at its end."""
    unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    trial = "mount -t tmpfs -o size=64k none . && umount ."
    try:
        subprocess.run([*unshare, "sh", "-c", trial], cwd=bench.cache, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting is not allowed here")

    def run(script: str) -> subprocess.CompletedProcess[str]:
        command = [*unshare, "sh", "-ec", f"alias lookalike={shlex.quote(str(PROGRAM))}\n{script}"]
        return subprocess.run(
            command, cwd=bench.folder, env=bench.environment, capture_output=True, text=True, timeout=60
        )

    return run


def test_a_store_on_a_full_disk_is_one_line_and_goes_on_when_there_is_space(
    bench: Bench, mounted: Callable[[str], subprocess.CompletedProcess[str]]
) -> None:
    bench.photographs("first", 2)
    bench.photographs("root", 60)
    (bench.folder / "disk").mkdir()
    bench.environment["LOOKALIKE_STORE"] = f"sqlite:///{bench.folder}/disk/test.db"
    done = mounted("""
        mount -t tmpfs -o size=700k none disk
        lookalike index first >&2
        code=0; lookalike index root || code=$?
        echo $code
        lookalike search first/local/textile_0001.jpg -k 1 >&2
        mount -o remount,size=8m disk
        lookalike index root >&2
        cp disk/test.db test.db
    """)
    assert done.returncode == 0, done
    assert done.stdout == "1\n"
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("lookalike: ")]
    assert line.endswith("disk/test.db: no space left; free some and run it again")
    assert len(bench.indexed()) == 6 + 180


def test_a_cache_on_a_full_disk_is_a_warning_and_the_work_goes_on(
    bench: Bench, mounted: Callable[[str], subprocess.CompletedProcess[str]]
) -> None:
    root = bench.photographs("root", 20)
    (bench.cache / "features").mkdir()
    done = mounted("mount -t tmpfs -o size=64k none cache/features; lookalike index root")
    assert done.returncode == 0, done
    assert "60 added" in done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("lookalike: features are not kept (")
    assert line.endswith("database or disk is full)")
    assert bench.indexed() == files(root)


def test_a_store_that_cannot_be_written_is_searched_and_not_indexed(
    bench: Bench, mounted: Callable[[str], subprocess.CompletedProcess[str]]
) -> None:
    (bench.folder / "disk").mkdir()
    bench.environment["LOOKALIKE_STORE"] = f"sqlite:///{bench.folder}/disk/test.db"
    bench.run("index", bench.photographs("root", 3))
    bench.photographs("new", 1, 50)
    before = (bench.folder / "disk" / "test.db").read_bytes()
    done = mounted("""
        mount --bind disk disk
        mount -o remount,ro,bind disk
        lookalike search root/local/textile_0001.jpg -k 1 --format jsonl
        lookalike index new && exit 3 || test $? -eq 1
    """)
    assert done.returncode == 0, done
    (found,) = _lines(done.stdout)
    assert found["path"] == str(bench.folder / "root" / "local" / "textile_0001.jpg")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"lookalike: sqlite:///{bench.folder}/disk/test.db: ")
    assert "written" in line
    assert (bench.folder / "disk" / "test.db").read_bytes() == before


# Wrong files -----------------------------------------------------------------------------------------------


def _another_program(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE mine (x)")
    connection.commit()
    connection.close()


def _newer(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 1000")
    connection.close()


def _damaged(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xa5" * (len(content) - 100))


WRONG: list[tuple[str, Callable[[Path], object], str]] = [
    ("text", lambda path: path.write_text("no database\n" * 500), "is not a database; nothing was changed"),
    ("short", lambda path: path.write_text("x"), "is not a database; nothing was changed"),
    ("damaged", _damaged, "is damaged"),
    ("newer", _newer, "was written by a later version of lookalike"),
]


@pytest.mark.parametrize(("what", "make", "said"), WRONG, ids=[what for what, _, _ in WRONG])
def test_a_store_that_is_wrong_is_one_line_and_stays_byte_for_byte(
    bench: Bench, what: str, make: Callable[[Path], object], said: str
) -> None:
    root = bench.photographs("root", 1)
    bench.run("index", root)
    make(bench.database)
    _is_refused(bench, root, said)


def test_a_database_of_another_program_is_one_line_and_stays_byte_for_byte(bench: Bench) -> None:
    root = bench.photographs("root", 1)
    _another_program(bench.database)
    _is_refused(bench, root, "is a database of another program; nothing was changed")


def _is_refused(bench: Bench, root: Path, said: str) -> None:
    before = bench.database.read_bytes()
    picture = next(iter(files(root)))
    for words in (
        ("index", root),
        ("search", picture),
        ("classify", picture, "--by", "label"),
        ("sql", "SELECT 1 FROM images"),
        ("collections",),
        ("delete", "images", "--yes"),
    ):
        # In this process: what is asked about here is the file, and five of them in six commands.
        options = ["--store", f"sqlite:///{bench.database}", "--cache", str(bench.cache)]
        err = io.StringIO()
        with redirect_stderr(err), redirect_stdout(io.StringIO()) as out:
            assert main([*map(str, words), *options]) == 1, words
        assert out.getvalue() == ""
        (line,) = err.getvalue().splitlines()
        assert line.startswith("lookalike: ")
        assert said in line, words
        assert bench.database.read_bytes() == before, words


def test_a_record_that_is_damaged_is_one_line(bench: Bench) -> None:
    root = bench.photographs("root", 20)
    bench.run("index", root)
    content = bytearray(bench.database.read_bytes())
    half = len(content) // 2 // 4096 * 4096
    content[half:] = b"\xa5" * (len(content) - half)
    bench.database.write_bytes(content)
    assert "is damaged" in bench.one_line("search", next(iter(files(root))))


# Output that goes nowhere ----------------------------------------------------------------------------------

ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 200000) SELECT x FROM n"


@pytest.mark.parametrize("words", [("sql", ENDLESS, "--format", "jsonl"), ("sql", "SELECT 1"), ("--help",)])
def test_a_reader_that_leaves_early_is_no_error_message(bench: Bench, words: tuple[str, ...]) -> None:
    process = bench.start(*words)
    assert process.stdout is not None
    assert process.stderr is not None
    if ENDLESS in words:
        assert process.stdout.readline() == '{"x": 1}\n'
    process.stdout.close()
    assert process.wait(60) in (0, 1)
    assert process.stderr.read() == ""


@needs_full
@pytest.mark.parametrize(
    "words", [("sql", ENDLESS, "--format", "jsonl"), ("sql", "SELECT 1"), ("--help",), ("--version",)]
)
def test_stdout_on_a_full_disk_is_one_line_and_code_1(bench: Bench, words: tuple[str, ...]) -> None:
    with FULL.open("w") as full:
        done = subprocess.run([PROGRAM, *words], env=bench.environment, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr == b"lookalike: the output cannot be written: No space left on device\n"


@needs_full
def test_a_stderr_that_is_full_changes_no_result(bench: Bench) -> None:
    root = bench.photographs("root", 1)
    bench.run("index", root)
    with FULL.open("w") as full:
        for words, code in (
            (("search", next(iter(files(root)))), 0),
            (("search", "nowhere.jpg"), 2),
            (("no",), 2),
        ):
            done = subprocess.run(
                [PROGRAM, *words], env=bench.environment, stdout=subprocess.PIPE, stderr=full, timeout=60
            )
            assert done.returncode == code
            assert bool(done.stdout) == (code == 0)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_error(bench: Bench, closed: str) -> None:
    root = bench.photographs("root", 1)
    script = f"{shlex.quote(str(PROGRAM))} index {shlex.quote(str(root))} {closed}"
    done = subprocess.run(["sh", "-c", script], env=bench.environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert bench.indexed() == files(root)


@pytest.mark.parametrize("locale", [{"LC_ALL": "C"}, {"LC_ALL": "POSIX", "LANG": ""}])
def test_korean_names_are_names_in_any_locale(bench: Bench, locale: dict[str, str]) -> None:
    bench.photographs("사진", 1)
    root = bench.folder / "사진"
    (root / "local").rename(root / "불량")
    for name in ("LC_ALL", "LC_CTYPE", "LANG", "PYTHONIOENCODING", "PYTHONUTF8", "PYTHONCOERCECLOCALE"):
        bench.environment.pop(name, None)
    bench.run("index", root)
    bench.environment |= locale
    (summary,) = _lines(bench.run("index", root, "--format", "jsonl", afresh=True)[0])
    assert summary["unchanged"] == 3
    picture = root / "불량" / "textile_0001.jpg"
    out, _ = bench.run("search", picture, "--where", "label=불량", "--format", "jsonl", afresh=True)
    assert [line["path"] for line in _lines(out)] == [str(picture)]
    assert "불량" in bench.run("search", picture, afresh=True)[0]
    assert "사진/없음.jpg" in bench.one_line("search", "사진/없음.jpg", code=2, afresh=True)


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1"])
def test_json_lines_are_json_in_any_encoding(bench: Bench, encoding: str) -> None:
    root = bench.photographs("café 🚢 탱크", 1)
    bench.run("index", root)
    bench.environment["PYTHONIOENCODING"] = encoding
    process = subprocess.run(
        [PROGRAM, "search", next(iter(files(root))), "--format", "jsonl"],
        env=bench.environment,
        capture_output=True,
        check=True,
    )
    lines = _lines(process.stdout.decode(encoding))
    assert {Path(line["path"]) for line in lines} == files(root)


def _lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]
