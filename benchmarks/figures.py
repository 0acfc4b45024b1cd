"""How a benchmark prints what it measured, and what was to be reached."""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

SHORT = "--short" in sys.argv
"""Whether sizes are such that all benchmarks together take less than 15 minutes on two cores."""


class Measured(NamedTuple):
    """A figure that was printed, under the title above it."""

    title: str
    what: str
    value: str
    bound: str
    reached: bool | None
    """None where there is no bound."""

    def __str__(self) -> str:
        verdict = {None: "", True: "reached", False: "NOT REACHED"}[self.reached]
        return f"  {self.what:<58} {self.value:>14}  {self.bound:<16} {verdict}".rstrip()


_measured: list[Measured] = []
_titles = [""]


def title(text: str) -> None:
    _titles.append(text)
    print(f"\n{text}", flush=True)


def figure(what: str, value: str, bound: str = "", reached: bool | None = None) -> None:
    """Print one figure, the bound it is held against, and whether it keeps it."""
    _measured.append(Measured(_titles[-1], what, value, bound, reached))
    print(_measured[-1], flush=True)


def summary() -> None:
    """Print every figure with a bound once more, and how many keep it."""
    held = [one for one in _measured if one.reached is not None]
    print(f"\nsummary: {sum(one.reached is True for one in held)} of {len(held)} bounds reached")
    for number, one in enumerate(held):
        if number == 0 or one.title != held[number - 1].title:
            print(one.title)
        print(one)


def seconds(call: Callable[[], object]) -> float:
    """Return how long one call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def median_ratio(pairs: Sequence[tuple[float, float]]) -> float:
    """Return the median of first / second over runs taken in turn, so that a noisy minute hits both."""
    return statistics.median(first / second for first, second in pairs)


def peak_memory_gib() -> float:
    """Return the largest resident size that this process has had, in GiB.

    Linux counts it anew for each program (proc(5), VmHWM); `getrusage` begins with that of the process which
    started this one.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 2**20


def in_own_process(call: Callable[[int, int], None], count: int, dimension: int) -> None:
    """Run `call` in a process of its own, so that its peak of memory is its own.

    Raises:
        RuntimeError: it failed, having said why.
    """
    sys.stdout.flush()
    context = multiprocessing.get_context("spawn")
    figures, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measuring, args=(sender, _titles[-1], call, count, dimension))
    process.start()
    sender.close()
    try:
        while True:
            _measured.append(figures.recv())
    except EOFError:
        process.join()
    if process.exitcode:
        raise RuntimeError(f"its process ended with {process.exitcode}")


def _measuring(
    sender: Connection, above: str, call: Callable[[int, int], None], count: int, dimension: int
) -> None:
    _titles.append(above)
    call(count, dimension)
    for one in _measured:
        sender.send(one)
