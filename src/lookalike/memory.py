"""How much memory this process may take, and what is refused, or done in blocks, because it takes more."""

from __future__ import annotations

import os
import re
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lookalike.errors import InvalidArgument, MemoryTooSmall

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = "LOOKALIKE_MEMORY_LIMIT"
"""The environment variable that says how much memory may be taken: `4GiB`, `500MB`, or bytes."""

RECORD_BYTES = 2_000
"""What a record with a few fields takes in memory: 1,450 to 1,950 bytes were measured (docs/scale.md)."""

# Of the memory that there is: what all vectors of one name may take, so that there is room for another.
_KEPT = 0.5
# What a computation over a whole collection may take: the rest is for Python, NumPy and what is computed.
_TAKEN = 0.8

_UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30}
# What stands in place of "no limit": larger than any machine.
_UNLIMITED = 1 << 60


def memory_limit() -> int:
    """Return how many bytes this process may take: what `LOOKALIKE_MEMORY_LIMIT` says, or what there is.

    That is the least of the machine's memory, the limits of this process (RLIMIT_AS, RLIMIT_DATA) and those
    of its control groups.

    Raises:
        InvalidArgument: the variable does not read.
    """
    given = os.environ.get(VARIABLE, "").strip()
    return _read(given) if given else _limit()


def kept_bytes() -> int:
    """Return what the vectors of one collection may take, to be kept in memory: half of the limit."""
    return int(_KEPT * memory_limit())


def usable_memory() -> int:
    """Return how many bytes one computation may take: four fifths of the limit."""
    return int(_TAKEN * memory_limit())


def fits(count: int, dimension: int) -> bool:
    """Tell whether so many records, with a vector of that dimension each, may be in memory at once."""
    return _needed(count, dimension) <= usable_memory()


def check_fits(name: str, count: int, dimension: int, instead: str = "") -> None:
    """Refuse what needs all records of a collection in memory, before it takes it, where that is too much.

    Args:
        name: the collection.
        count: its records.
        dimension: of their vectors.
        instead: what can be done instead, in words.

    Raises:
        MemoryTooSmall: they do not fit.
    """
    if not fits(count, dimension):
        raise MemoryTooSmall(name, count, dimension, _needed(count, dimension), memory_limit(), instead)


def _needed(count: int, dimension: int) -> int:
    return count * (4 * dimension + RECORD_BYTES)


def _read(text: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]I?|)B?", text.upper())
    if found is None or float(found[1]) <= 0:
        raise InvalidArgument(f"{VARIABLE} is {text!r}: give it as 4GiB, 500MB or a number of bytes")
    return int(float(found[1]) * _UNITS[found[2]])


@cache
def _limit() -> int:
    limits = list(_limits())
    return min((each for each in limits if 0 < each < _UNLIMITED), default=_UNLIMITED)


def _limits() -> Iterator[int]:
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if sys.platform != "win32":
        import resource

        for which in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
            yield resource.getrlimit(which)[0]
    yield from _group_limits(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))


def _group_limits(own: Path, root: Path) -> Iterator[int]:
    """Yield the limits of the control groups of a process (Linux, cgroups(7)).

    Args:
        own: names its groups, `/proc/self/cgroup`.
        root: where the groups are mounted.
    """
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, group = line.split(":", 2)
        if number == "0":
            base, file = root, "memory.max"
        elif "memory" in controllers.split(","):
            base, file = root / "memory", "memory.limit_in_bytes"
        else:
            continue
        # A group is limited by those above it, too; in a container only the mounted ones are to be seen.
        below = base / group.lstrip("/")
        for folder in (below, *below.parents):
            try:
                text = (folder / file).read_text().strip()
            except OSError:
                text = ""
            if text.isdigit():
                yield int(text)
            if folder == base:
                break
