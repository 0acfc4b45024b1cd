"""Vectors as others keep them: how they are written, which can be used, and their directions."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, cast

import numpy as np

from lookalike.stores.attached.foreign import LeftOut
from lookalike.stores.attached.json_paths import document_in
from lookalike.stores.checks import LENGTH_TOLERANCE
from lookalike.vectors.metric import normalise
from lookalike.vectors.written_vectors import FEWEST, NPY, read_npy, read_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lookalike.types import Vectors

Written: TypeAlias = Literal["float16", "float32", "float64", "int8", "json", "npy", "numbers", "text"]
"""How a vector is written: little-endian numbers in bytes, a JSON list, what `numpy.save` writes, as the
database has numbers, or as any other text of numbers: see `read_text`."""

TYPES: dict[str, str] = {"float32": "<f4", "float64": "<f8", "float16": "<f2"}
"""NumPy's names of those in bytes, the usual one first."""

LONGEST = 1 << 17
"""Bytes of a vector, at most: 16,384 numbers of 8 bytes. What is longer is a picture, and not looked at."""

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
    if written in TYPES or written == "int8":
        kind = np.dtype(TYPES.get(written, "i1"))
        if not isinstance(content, bytes) or len(content) % kind.itemsize:
            return None
        return np.frombuffer(content, kind)
    found: object = content
    try:
        if written == "npy":
            found = read_npy(content) if isinstance(content, bytes) else None
        elif written == "text":
            found = read_text(content) if isinstance(content, str) else None
        elif isinstance(content, str | bytes):
            found = json.loads(content)
        numbers = np.array(found, np.float64)
    except (TypeError, ValueError, RecursionError, OverflowError, EOFError):
        return None
    return numbers if numbers.ndim == 1 else None


def vector_form(values: Sequence[Any]) -> tuple[int | None, Written]:
    """Return the dimension that most vectors have, and how they are written; None where they are none.

    Args:
        values: the first of a column: bytes, texts or lists, none of them None.
    """
    if values and all(isinstance(value, bytes) and value.startswith(NPY) for value in values):
        sizes = [len(one) for value in values if (one := _numbers(value, "npy")) is not None]
        most = max(sorted(set(sizes)), key=sizes.count, default=0)
        return (most, "npy") if most > 1 else (None, "npy")
    if values and all(isinstance(value, bytes) for value in values):
        lengths = [len(value) for value in values]
        usual = max(sorted(set(lengths)), key=lengths.count)
        if usual % 4 or not usual or 2 * lengths.count(usual) < len(lengths):
            return None, "float32"
        # Numbers of 8 or 2 bytes read as 4 make nonsense; vectors of length 1 are those of length 1.
        read = {written: _numbers_of(values, usual, kind) for written, kind in TYPES.items()}
        unit = (written for written, some in read.items() if some is not None and _are_unit(some))
        sound = (written for written, some in read.items() if some is not None and _look_like_numbers(some))
        found = next(unit, None) or next(sound, None)
        if found is None or usual == np.dtype(TYPES[found]).itemsize:
            return None, "float32"  # digests, pictures, keys
        return usual // np.dtype(TYPES[found]).itemsize, cast("Written", found)
    if values and all(isinstance(value, list) or _may_be_list(value) for value in values):
        lists = [found for value in values if isinstance(found := document_in(value), list)]
        lengths = [len(one) for one in lists if all(isinstance(number, int | float) for number in one)]
        if lengths and 2 * len(lengths) >= len(values) and max(lengths) > 1:
            return max(sorted(set(lengths)), key=lengths.count), "json"
    if values and all(isinstance(value, str) for value in values):
        lengths = [len(one) for value in values if (one := _numbers(value, "text")) is not None]
        if lengths and 2 * len(lengths) >= len(values) and max(lengths) >= FEWEST:
            return max(sorted(set(lengths)), key=lengths.count), "text"
    return None, "float32"


def _may_be_list(value: object) -> bool:
    return isinstance(value, str) and value.lstrip()[:1] == "["


def _numbers_of(values: Sequence[bytes], size: int, kind: str) -> NDArray[Any] | None:
    """Return the vectors that have so many bytes, as numbers of a kind; None where that cannot be."""
    if size % np.dtype(kind).itemsize:
        return None
    return np.stack([np.frombuffer(one, kind) for one in values if len(one) == size])


def _are_unit(vectors: NDArray[Any]) -> bool:
    with np.errstate(all="ignore"):
        lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    return bool(np.mean(np.abs(lengths - 1) < 0.01) > 0.9)


def _look_like_numbers(numbers: NDArray[Any]) -> bool:
    """Tell whether numbers may be those of vectors, and not bytes read in the wrong width."""
    with np.errstate(all="ignore"):
        wide = np.abs(numbers.astype(np.float64))
        # Any two bytes are a number of 2 bytes in the wider range.
        least, most = (1e-4, 1e3) if numbers.dtype.itemsize == 2 else (1e-12, 1e6)
        plain = (wide == 0) | ((wide > least) & (wide < most))
    return bool(np.mean(plain) > 0.98)


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
