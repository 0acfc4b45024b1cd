"""Nothing leaves the machine: packages' telemetry is off, and the system calls of a day's work show it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from lookalike.telemetry import turn_off

# What would turn telemetry off by itself, or in a test only, and what says where things are written.
_OURS = {"PATH", "LANG"}


def bare(home: Path, **more: str) -> dict[str, str]:
    """Return the environment of a user whose home is empty, and nothing else of ours: no CI either."""
    return {**{name: os.environ[name] for name in _OURS & set(os.environ)}, "HOME": str(home), **more}


def test_what_the_user_has_set_stays() -> None:
    environment: dict[str, str] = {}
    turn_off(environment)
    assert environment == {
        "ORT_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "DO_NOT_TRACK": "1",
    }
    own = {"ORT_DISABLE_TELEMETRY": "0", "HF_HUB_DISABLE_TELEMETRY": "0", "RAY_USAGE_STATS_ENABLED": "1"}
    environment = dict(own)
    turn_off(environment)
    assert environment == own


@pytest.mark.parametrize(
    "program",
    [
        "import lookalike.embedders.onnx.runtime",
        "from lookalike.embedders.registry import open_embedder",
        "import lookalike.database, onnxruntime",
        "import lookalike.server.app, lookalike.embedders.onnx.runtime",
        "import subprocess, sys, lookalike; subprocess.run([sys.executable, '-c', 'import onnxruntime'])",
    ],
)
def test_onnx_runtime_writes_nothing_home(program: str, tmp_path: Path) -> None:
    """Without the variable, 1.31 writes a device's id and a database there when it is imported."""
    subprocess.run([sys.executable, "-c", program], env=bare(tmp_path), check=True)
    assert list(tmp_path.rglob("*")) == []


def test_who_imports_onnx_runtime_first_has_its_telemetry_off_after_lookalike(tmp_path: Path) -> None:
    program = (
        "import onnxruntime\nasked = []\nonnxruntime.disable_telemetry_events = lambda: asked.append(1)\n"
        "import lookalike.embedders.onnx.runtime\nprint(len(asked))"
    )
    for own, told in ((None, "1"), ("0", "0")):
        env = bare(tmp_path) if own is None else bare(tmp_path, ORT_DISABLE_TELEMETRY=own)
        done = subprocess.run(
            [sys.executable, "-c", program], env=env, check=True, capture_output=True, text=True
        )
        assert done.stdout.split() == [told]


# What opens connections, and what makes or changes files by name. `?`: not on every machine's kernel.
_SENDING = ("connect", "sendto", "sendmsg", "sendmmsg")
_WRITING = (
    "?open", "openat", "?openat2", "?creat", "?mkdir", "mkdirat", "?rename", "?renameat", "renameat2",
    "?link", "linkat", "?symlink", "symlinkat", "?mknod", "mknodat", "truncate",
)  # fmt: skip
_CALL = re.compile(r"^\d+ +(\w+)\((.*)$", re.MULTILINE)
_QUOTED = re.compile(r'(?:AT_FDCWD(?:<([^>]*)>)?, |\d+<([^>]*)>, )?"((?:[^"\\]|\\.)*)"')
_LOOPBACK = re.compile(r'inet_addr\("127\.|"::1"|"::ffff:127\.')


@dataclass(frozen=True)
class Day:
    """What a day's work left behind."""

    folder: Path
    trace: str

    def sent(self) -> list[str]:
        """Return the calls that speak to another machine, or ask a resolver, wherever it listens."""
        found = []
        for name, rest in _CALL.findall(self.trace):
            if name not in _SENDING:
                continue
            away = "sa_family=AF_INET" in rest and not _LOOPBACK.search(rest)
            asks = "htons(53)" in rest or "nscd" in rest or "/resolve" in rest
            if away or asks:
                found.append(f"{name}({rest}")
        return found

    def written(self) -> set[str]:
        """Return the paths of files that were made or opened for writing, whether or not that went well."""
        found: set[str] = set()
        for name, rest in _CALL.findall(self.trace):
            if name in _SENDING or (
                name.startswith("open") and not re.search("O_WRONLY|O_RDWR|O_CREAT", rest)
            ):
                continue
            for here, folder, path in _QUOTED.findall(rest):
                found.add(os.path.normpath(Path(here or folder, path)))
        return found


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory, textile_files: dict[str, list[Path]]) -> Day:
    """A day's work in a network namespace of its own, under strace, with an empty home."""
    folder = tmp_path_factory.mktemp("day")
    alone = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    for program, what in ((alone[0], "util-linux"), ("strace", "strace")):
        if shutil.which(program) is None:
            pytest.skip(f"tracing: {program} is not here (Debian's package {what})")
    strace = [*alone, "strace", "-f", "--seccomp-bpf", "-qq", "-o"]
    tried = subprocess.run([*strace, folder / "tried", "true"], capture_output=True)
    if tried.returncode:
        pytest.skip(f"tracing: no namespace or no tracing here: {tried.stderr.decode().strip()}")
    for name, files in textile_files.items():
        (folder / "pictures" / name).mkdir(parents=True)
        for file in files[:6]:
            shutil.copy2(file, folder / "pictures" / name)
    for name in ("home", "store", "temporary"):
        (folder / name).mkdir()
    # Compiled modules are Python's business, and not written everywhere.
    env = bare(folder / "home", TMPDIR=str(folder / "temporary"), PYTHONDONTWRITEBYTECODE="1")
    calls = ",".join((*_SENDING, *_WRITING))
    command = Path(sys.executable).with_name("lookalike")
    ended = subprocess.run(
        [*strace, folder / "trace", "-y", "-s", "4096", "-e", "signal=none", "-e", f"trace={calls}",
         sys.executable, Path(__file__).with_name("one_day.py"), command, folder],
        env=env, capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return Day(folder, (folder / "trace").read_text(errors="backslashreplace"))


@pytest.mark.slow
@pytest.mark.xdist_group("day")
def test_a_days_work_tries_to_reach_nobody(day: Day) -> None:
    assert "sa_family=AF_INET" in day.trace, "the request to the service should be seen"
    assert day.sent() == []
    assert "/etc/resolv.conf" not in day.trace


@pytest.mark.slow
@pytest.mark.xdist_group("day")
def test_a_days_work_writes_what_was_asked_for_and_nothing_else(day: Day) -> None:
    written = day.written()
    allowed = (
        day.folder / "home" / ".cache" / "lookalike",
        day.folder / "store" / "lookalike.db",
        day.folder / "temporary",
    )
    assert {path for path in written if path.startswith(str(allowed[1]))}, "the store should be seen"
    report = day.folder / "report.html"
    assert report.is_file()
    outside = {
        path
        for path in written
        if not path.startswith((*map(str, allowed), "/dev/", "/proc/"))
        # A report is written beside its name first.
        and not (Path(path).parent == day.folder and "report.html" in Path(path).name)
        and path != str(day.folder / "home" / ".cache")
    }
    assert outside == set()
    assert list((day.folder / "temporary").iterdir()) == []
    assert sorted(path.name for path in day.folder.iterdir()) == [
        "home", "pictures", "report.html", "store", "temporary", "trace", "tried",
    ]  # fmt: skip
    assert [path.name for path in (day.folder / "store").iterdir()] == ["lookalike.db"]
    assert [path.name for path in (day.folder / "home" / ".cache").iterdir()] == ["lookalike"]
