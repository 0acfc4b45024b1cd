"""Vectors as others keep them: how they are written, which can be used, and their directions."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np

from lookalike.stores.attached.foreign import LeftOut
from lookalike.stores.checks import LENGTH_TOLERANCE
from lookalike.vectors.metric import normalise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lookalike.types import Vectors

Written: TypeAlias = Literal["float16", "float32", "float64", "json"]
"""How a vector is written: little-endian numbers in bytes, or a JSON list."""

TYPES: dict[str, str] = {"float32": "<f4", "float64": "<f8", "float16": "<f2"}
"""NumPy's names of those in bytes, the usual one first."""

NO_VECTOR = "no vector (NULL)"
UNREADABLE = "a vector that cannot be read as {}"
OTHER_DIMENSION = "a vector that has not {:,} dimensions"
NOT_FINITE = "a vector with numbers that are not finite"
ZEROS = "a vector of zeros"
NO_ID = "an id that can be none: NULL, bytes, or longer than 512 characters"
SAME_ID = "an id that another row has; one of these rows is the record"
NOT_UNIT = "a vector whose length is not 1, which is compared by its direction (cosine)"


class Usable(NamedTuple):
    """The vectors of some rows that can be used."""

    rows: list[int]
    """Which of the rows have one, rising."""
    vectors: Vectors
    """float32 of shape (rows, dimension), of length 1."""
    reasons: dict[int, str]
    """Why each other row has none."""
    not_unit: list[int]
    """Those of `rows` whose vector had another length than 1."""


def read_vectors(contents: Sequence[Any], written: Written, dimension: int) -> Usable:
    """Return the directions of vectors as they were read, without those that have none.

    Args:
        contents: bytes, JSON lists, or lists of numbers; None for none.
        written: how they are written.
        dimension: that they must have.
    """
    reasons: dict[int, str] = {}
    numbers: dict[int, NDArray[Any]] = {}
    for row, content in enumerate(contents):
        found = None if content is None else _numbers(content, written)
        if found is None:
            reasons[row] = NO_VECTOR if content is None else UNREADABLE.format(written)
        elif len(found) != dimension:
            reasons[row] = OTHER_DIMENSION.format(dimension)
        else:
            numbers[row] = found
    rows = list(numbers)
    wide = np.array([numbers[row] for row in rows], np.float64).reshape(len(rows), dimension)
    return usable(wide, rows, reasons)


def usable(numbers: NDArray[Any], rows: Sequence[int], reasons: dict[int, str]) -> Usable:
    """Return the directions of vectors, without those that have none.

    Args:
        numbers: shape (rows, dimension).
        rows: what they are called.
        reasons: gets why others have none.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # of numbers that are told to be not finite
        narrow = numbers.astype(np.float32)
        lengths = np.sqrt(np.einsum("ij,ij->i", narrow, narrow, dtype=np.float64))
    finite = np.isfinite(lengths)
    for place in np.flatnonzero(~finite | (lengths == 0)).tolist():
        reasons[rows[place]] = ZEROS if finite[place] else NOT_FINITE
    good = np.flatnonzero(finite & (lengths > 0))
    off = np.abs(lengths[good] - 1) > LENGTH_TOLERANCE
    return Usable(
        [rows[place] for place in good.tolist()],
        normalise(narrow[good]),
        reasons,
        [rows[place] for place in good[off].tolist()],
    )


def _numbers(content: object, written: Written) -> NDArray[Any] | None:
    """Return the numbers of a vector, in one dimension; None where it cannot be read."""
    if written != "json":
        kind = np.dtype(TYPES[written])
        if not isinstance(content, bytes) or len(content) % kind.itemsize:
            return None
        return np.frombuffer(content, kind)
    try:
        found = json.loads(content) if isinstance(content, str | bytes) else content
        numbers = np.array(found, np.float64)
    except (TypeError, ValueError, RecursionError, OverflowError):
        return None
    return numbers if numbers.ndim == 1 else None


class Counts:
    """Counts rows by what is to be told of them, each with the id of the first."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, str] = {}

    def add(self, reason: str, identity: object, count: int = 1) -> None:
        """Count a row, or several."""
        if count:
            self._counts[reason] += count
            self._examples.setdefault(reason, "NULL" if identity is None else str(identity)[:80])

    def told(self) -> tuple[LeftOut, ...]:
        """Return what is to be told, the most frequent first."""
        return tuple(LeftOut(one, count, self._examples[one]) for one, count in self._counts.most_common())
