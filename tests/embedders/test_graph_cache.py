"""A graph is built once, by one process, and whatever befalls the cache, it can be used."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from filelock import FileLock

from lookalike.embedders.onnx import graph_cache
from lookalike.embedders.onnx.graph_cache import built_once
from lookalike.errors import WeightsInvalid

GRAPH = bytes(range(256)) * 100


class Builder:
    """Builds `GRAPH` and counts how often."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> bytes:
        self.calls += 1
        return GRAPH


def test_the_second_call_reads_what_the_first_built(tmp_path: Path) -> None:
    build = Builder()
    path = tmp_path / "models" / "graph.onnx"
    assert built_once(path, build) == GRAPH
    assert built_once(path, build) == GRAPH
    assert build.calls == 1
    assert path.read_bytes() == GRAPH


def test_the_checksum_is_in_the_format_of_sha256sum(tmp_path: Path) -> None:
    built_once(tmp_path / "graph.onnx", Builder())
    expected = f"{hashlib.sha256(GRAPH).hexdigest()}  graph.onnx\n"
    assert (tmp_path / "graph.onnx.sha256").read_text() == expected


@pytest.mark.parametrize(
    ("suffix", "content"),
    [
        ("", b""),
        ("", GRAPH[:-1]),
        ("", GRAPH[:-1] + b"x"),
        (".sha256", b""),
        (".sha256", b"\xff" * 64),
        (".sha256", None),
        ("", None),
    ],
)
def test_a_damaged_file_is_built_again(tmp_path: Path, suffix: str, content: bytes | None) -> None:
    build = Builder()
    path = tmp_path / "graph.onnx"
    built_once(path, build)
    damaged = tmp_path / f"graph.onnx{suffix}"
    damaged.unlink() if content is None else damaged.write_bytes(content)
    assert built_once(path, build) == GRAPH
    assert built_once(path, build) == GRAPH
    assert build.calls == 2


def test_what_a_killed_process_left_behind_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "graph.onnx.part").write_bytes(b"half")
    (tmp_path / "graph.onnx.lock").touch()
    assert built_once(tmp_path / "graph.onnx", Builder()) == GRAPH
    assert not (tmp_path / "graph.onnx.part").exists()


def test_threads_build_once(tmp_path: Path) -> None:
    build = Builder()
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda _: built_once(tmp_path / "graph.onnx", build), range(8)))
    assert results == [GRAPH] * 8
    assert build.calls == 1


def test_processes_build_once(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
import time
from lookalike.embedders.onnx.graph_cache import built_once
folder = Path({str(tmp_path)!r})
def build():
    with (folder / "log").open("a") as log:
        log.write("built\\n")
    time.sleep(0.3)
    return b"graph"
assert built_once(folder / "graph.onnx", build) == b"graph"
"""
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert (tmp_path / "log").read_text() == "built\n"


def test_a_folder_that_cannot_be_made_means_building_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    build = Builder()
    assert built_once(tmp_path / "file" / "graph.onnx", build) == GRAPH
    assert build.calls == 1


def test_a_full_disk_means_building_in_memory_once(tmp_path: Path) -> None:
    # Writing to /dev/full fails with "no space left on device" (full(4)).
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    (tmp_path / "graph.onnx.part").symlink_to("/dev/full")
    build = Builder()
    assert built_once(tmp_path / "graph.onnx", build) == GRAPH
    assert build.calls == 1
    assert not (tmp_path / "graph.onnx").exists()
    assert not (tmp_path / "graph.onnx.part").is_symlink()


def test_a_lock_that_is_never_given_back_is_not_waited_for_forever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_cache, "_WAIT_S", 0.1)
    build = Builder()
    with FileLock(f"{tmp_path / 'graph.onnx'}.lock"), ThreadPoolExecutor(1) as thread:
        assert thread.submit(built_once, tmp_path / "graph.onnx", build).result(30) == GRAPH
    assert build.calls == 1


def test_what_the_builder_raises_goes_through_and_leaves_nothing(tmp_path: Path) -> None:
    def build() -> bytes:
        raise WeightsInvalid("weights.pth", "damaged")

    with pytest.raises(WeightsInvalid, match="damaged"):
        built_once(tmp_path / "graph.onnx", build)
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []
