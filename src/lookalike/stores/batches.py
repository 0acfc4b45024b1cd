"""What is read or written of many, some at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_T = TypeVar("_T")

SCAN_BATCH = 1000
"""Records that `Store.scan` yields at a time, at most."""


def chunks(values: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    """Yield `values` in their order, at most `size` at a time."""
    for start in range(0, len(values), size):
        yield values[start : start + size]
