"""How a benchmark prints what it measured, and what was to be reached."""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path


def title(text: str) -> None:
    print(f"\n{text}", flush=True)


def figure(what: str, value: str, bound: str = "", reached: bool | None = None) -> None:
    """Print one figure, the bound it is held against, and whether it keeps it."""
    verdict = {None: "", True: "reached", False: "NOT REACHED"}[reached]
    print(f"  {what:<58} {value:>14}  {bound:<16} {verdict}".rstrip(), flush=True)


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
    """Run `call` in a process of its own, so that its peak of memory is its own; end where it fails."""
    sys.stdout.flush()
    process = multiprocessing.get_context("spawn").Process(target=call, args=(count, dimension))
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(process.exitcode)
