"""How much memory may be taken, and what is said where that is not enough."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lookalike import memory
from lookalike.errors import InvalidArgument, MemoryTooSmall


@pytest.mark.parametrize(
    ("text", "count"), [("4GiB", 4 << 30), ("1.5 gb", 1_500_000_000), ("512Ki", 512 << 10), ("1000", 1000)]
)
def test_the_variable_says_how_much(monkeypatch: pytest.MonkeyPatch, text: str, count: int) -> None:
    monkeypatch.setenv(memory.VARIABLE, text)
    assert memory.memory_limit() == count
    assert memory.kept_bytes() == count // 2


@pytest.mark.parametrize("text", ["much", "-4GiB", "0", "4 TB"])
def test_a_variable_that_says_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(memory.VARIABLE, text)
    with pytest.raises(InvalidArgument, match="LOOKALIKE_MEMORY_LIMIT"):
        memory.memory_limit()


def test_a_limit_of_the_process_counts() -> None:
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_DATA, (1 << 29, 1 << 29))\n"
        "from lookalike.memory import memory_limit; print(memory_limit())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(run.stdout) <= 1 << 29


def test_limits_of_control_groups_count_and_of_those_above(tmp_path: Path) -> None:
    own, root = tmp_path / "cgroup", tmp_path / "fs"
    inner = root / "a" / "b"
    inner.mkdir(parents=True)
    own.write_text("0::/a/b\n")
    (inner / "memory.max").write_text("max\n")
    (root / "a" / "memory.max").write_text("4294967296\n")
    (root / "memory").mkdir()
    (root / "memory" / "memory.limit_in_bytes").write_text("1000\n")
    assert list(memory._group_limits(own, root)) == [4 << 30]
    own.write_text("12:cpu,memory:/none\n3:cpuset:/\n")
    assert list(memory._group_limits(own, root)) == [1000]
    assert list(memory._group_limits(tmp_path / "nowhere", root)) == []


def test_what_does_not_fit_is_refused_with_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(memory.VARIABLE, "4GiB")
    memory.check_fits("parts", 100_000, 1280)
    with pytest.raises(MemoryTooSmall) as raised:
        memory.check_fits("parts", 1_000_000, 1280, "ask for a sample")
    assert str(raised.value) == (
        "all 1,000,000 records of parts with vectors of 1,280 numbers take about 6.6 GiB of memory, and this "
        "process may take 4.0 GiB: ask for a sample, or use a machine with more (LOOKALIKE_MEMORY_LIMIT says "
        "how much may be taken)"
    )
