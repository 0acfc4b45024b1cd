"""What is read or written of many, some at a time."""

from __future__ import annotations

import hashlib
import re
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


def drawn_order(ids: Sequence[str]) -> list[str]:
    """Return ids in a random order that is the same each time; the first of them are a random sample.

    Ids of ours are digests, whose own order is one. Where some are those of rows of others, numbered as these
    came, say, all are ordered by their hashes.

    Args:
        ids: sorted.
    """
    text = "".join(ids)
    if len(text) == _DIGEST * len(ids) and _DIGESTS.fullmatch(text):
        return list(ids)
    return sorted(ids, key=lambda one: hashlib.sha256(one.encode()).digest())


# Hexadecimal digits of an id that is a digest.
_DIGEST, _DIGESTS = 32, re.compile("[0-9a-f]*")
