"""Nodes of a genuine Ray cluster on this machine, each with a raylet of its own that can be killed.

On a busy machine a part of Ray may miss the time that Ray gives it to come up: a start is tried again.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.servers.postgres import free_port

_TRIES = 4
_START_SECONDS = 90
_STARTED = "Ray runtime started"
_WORKER = "ray::RayWorker"
# Bytes of a node's object store: the least that Ray takes.
_OBJECTS = 80_000_000


def tree(root: int) -> dict[int, str]:
    """Return a process and all below it: by number, how they were called."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            parent = int(stat.read_text(errors="replace").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    todo, found = [root], {}
    while todo:
        pid = todo.pop()
        todo += children.get(pid, [])
        with suppress(OSError):
            found[pid] = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
    return found


def listening(pids: Iterable[int]) -> set[str]:
    """Return the addresses that processes listen on for TCP, in the hexadecimal of /proc/net."""
    sockets = set()
    for pid in pids:
        with suppress(OSError):
            for file in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    sockets.add(str(file.readlink()))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == "0A" and f"socket:[{rest[5]}]" in sockets:
                found.add(local.partition(":")[0])
    return found


class RayNode:
    """A node with one CPU: its processes, and the address of its cluster."""

    def __init__(self, folder: Path, name: str, environment: Mapping[str, str], address: str | None) -> None:
        """Start it.

        Args:
            folder: where Ray keeps the files of all nodes' sessions.
            name: of its log.
            environment: of its processes.
            address: of the cluster that it joins; None: it is the first of one.
        """
        self._environment = dict(environment)
        self._log = folder / f"{name}.log"
        for last in (False,) * (_TRIES - 1) + (True,):
            if self._starts(folder, address):
                break
            self.kill()
            said = self._log.read_text(errors="replace")[-2000:]
            assert not last, f"Ray does not start here: {said}"
        found = re.search(r"Local node IP: \S*?([0-9.]+)", self._text())
        assert found is not None, self._text()
        self.address = address or f"{found[1]}:{self._port}"

    def _starts(self, folder: Path, address: str | None) -> bool:
        self._port = free_port()
        head = ["--head", f"--port={self._port}", "--include-dashboard=false", f"--temp-dir={folder}"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    Path(sys.executable).with_name("ray"),
                    *("start", "--block", "--num-cpus=1", f"--object-store-memory={_OBJECTS}"),
                    "--disable-usage-stats",
                    *(head if address is None else [f"--address={address}"]),
                ],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            if _STARTED in self._text():
                return True
            time.sleep(0.1)
        return False

    def _text(self) -> str:
        return re.sub(r"\x1b\[[0-9;]*m", "", self._log.read_text(errors="replace"))

    def processes(self) -> dict[int, str]:
        """Return its processes: by number, how they were called."""
        return tree(self._process.pid)

    def workers(self) -> list[int]:
        """Return the processes that embed."""
        return [pid for pid, called in self.processes().items() if called.startswith(_WORKER)]

    def kill_raylet(self) -> None:
        """Kill what makes it a node: all else there ends by itself."""
        (pid,) = [pid for pid, called in self.processes().items() if "/raylet/raylet " in called]
        os.kill(pid, signal.SIGKILL)

    def kill(self) -> None:
        """Kill all that belongs to it."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()


@contextmanager
def two_nodes(environment: Mapping[str, str]) -> Iterator[tuple[Path, RayNode, RayNode]]:
    """Run two nodes of one CPU each, and give the folder of their sessions."""
    # Paths of sockets are short.
    folder = Path(tempfile.mkdtemp(prefix="ray-"))
    nodes: list[RayNode] = []
    try:
        nodes.append(RayNode(folder, "first", environment, None))
        nodes.append(RayNode(folder, "second", environment, nodes[0].address))
        yield folder, nodes[0], nodes[1]
    finally:
        for node in nodes:
            node.kill()
        shutil.rmtree(folder, ignore_errors=True)
