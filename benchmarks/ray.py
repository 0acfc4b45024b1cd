"""`index --workers ray` beside `index`: CPU an image, what Ray costs beforehand, and memory of the driver."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from conformal_clip_data import textile_simulated_root
from PIL import Image

from benchmarks.figures import figure, title

KEYS = (10_000, 100_000)
_TICKS = os.sysconf("SC_CLK_TCK")
_WORKER = b"ray::RayWorker"


class Spent(NamedTuple):
    """What a run took."""

    driver: float
    """Seconds of CPU of the command itself; of `index` alone, of everything."""
    workers: float
    """Of the processes that embed."""
    wall: float
    memory: int
    """Bytes that the command had at most."""


def run(folder: Path, root: Path, *words: str) -> Spent:
    """Index a folder, by a command of its own."""
    began = time.monotonic()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("lookalike"), "index", str(root), "--quiet", *words],
            stdout=log,
            stderr=log,
        )
    workers: dict[int, float] = {}
    memory, own = 0, 0.0
    while process.poll() is None:
        workers |= dict(_workers())
        with suppress(OSError, IndexError):
            own = _cpu(process.pid)
            status = Path(f"/proc/{process.pid}/status").read_text()
            memory = max(memory, int(status.partition("VmHWM:")[2].split()[0]) * 1024)
        time.sleep(0.2)
    assert process.returncode == 0, (folder / "log").read_text()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    all_of_it = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(own if workers else all_of_it, sum(workers.values()), time.monotonic() - began, memory)


def _workers() -> Iterable[tuple[int, float]]:
    for called in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError, IndexError):
            if called.read_bytes().startswith(_WORKER):
                yield int(called.parent.name), _cpu(int(called.parent.name))


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def main() -> None:
    root = textile_simulated_root() / "local"
    title(f"indexing {len(list(root.iterdir())):,} textile photographs with two processes of Ray")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spent = []
        for kind, words in (("models", ()), ("one", ()), ("ray", ("--workers", "ray", "--actors", "2"))):
            cache = folder / kind
            if kind != "models":
                cache.mkdir()
                (cache / "models").symlink_to(folder / "models" / "models")
            arguments = (*words, "--store", f"sqlite:///{folder}/{kind}.db", "--cache", str(cache))
            # The second time nothing is embedded: what is left is the cost of beginning.
            spent.append((run(folder, root, *arguments), run(folder, root, *arguments)))
        _, (one, one_again), (ray, ray_again) = spent
        ratio = (ray.workers - ray_again.workers) / (one.driver - one_again.driver)
        figure("CPU an image in the processes / index alone", f"{ratio:.2f}", "≤ 1.1", ratio <= 1.1)
        figure("nothing to embed: whole run, s", f"{ray_again.wall:.1f}")
        figure("nothing to embed: CPU of the command, s", f"{ray_again.driver:.1f}")
        figure("nothing to embed: CPU of each process that embeds, s", f"{ray_again.workers / 2:.1f}")

        title("memory of the command, one small picture under many names, in folders of 1,000")
        memory, spent_by = {}, {}
        for keys in KEYS:
            pictures = folder / f"pictures-{keys}"
            _fill(pictures, keys)
            store = f"sqlite:///{folder}/{keys}.db"
            arguments = ("--workers", "ray", "--actors", "2", "--store", store, "--cache", f"{name}/models")
            spent_by[keys] = run(folder, pictures, *arguments)
            memory[keys] = spent_by[keys].memory
            figure(f"{keys:,} names, MiB", f"{memory[keys] / 2**20:.0f}")
            figure(f"{keys:,} names, CPU of the command, s", f"{spent_by[keys].driver:.1f}")
        few, many = KEYS
        ratio = memory[many] / memory[few]
        figure(f"{many:,} names / {few:,}", f"{ratio:.2f}", "≤ 1.2", ratio <= 1.2)


def _fill(folder: Path, count: int) -> None:
    """Make a picture that has many names; file systems have limits of how many."""
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 12, 3), np.uint8))
    for first in range(0, count, 1000):
        inner = folder / f"{first:06}"
        inner.mkdir(parents=True)
        picture.save(inner / "0.png")
        for n in range(1, min(1000, count - first)):
            (inner / f"{n}.png").hardlink_to(inner / "0.png")
