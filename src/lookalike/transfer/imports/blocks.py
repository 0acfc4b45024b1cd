"""Blocks of rows of a table, and the vectors that its cells hold, however they are written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.arrow import pyarrow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

MOST_ROWS = 1_000
"""Rows that a block has, at most."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows of a table."""

    start: int
    """How many rows come before the first."""
    count: int
    columns: Mapping[str, Any]
    """By name: a list of values, an array of pyarrow, or a matrix of NumPy with a row for each."""

    def values(self, column: str) -> list[Any]:
        """Return the values of a column as Python has them; None where absent."""
        found = self.columns[column]
        if isinstance(found, list):
            return found
        listed: list[Any] = found.tolist() if isinstance(found, np.ndarray) else found.to_pylist()
        return listed

    def vectors(self, columns: Sequence[str]) -> list[NDArray[np.float32] | str | None]:
        """Return the vector of each row: None where absent, a text where it cannot be read.

        Args:
            columns: the one that has vectors, or several that have a number each.
        """
        if len(columns) > 1:
            several = np.stack([_numbers(self.columns[column]) for column in columns], axis=1)
            return list(several.astype(np.float32))
        found = self.columns[columns[0]]
        if isinstance(found, np.ndarray):
            return list(_narrow(found))
        if not isinstance(found, list):
            return _from_arrow(found)
        return [_read(value) for value in found]


def _numbers(column: Any) -> NDArray[Any]:
    values = column if isinstance(column, list) else column.to_pylist()
    return np.array([_number(value) for value in values], np.float64)


def _number(value: object) -> float:
    """Return a number; NaN, which no vector may hold, for what is none."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return np.nan


def _from_arrow(array: Any) -> list[NDArray[np.float32] | str | None]:
    """Return the vectors of lists of numbers without making Python's numbers of them."""
    pa = pyarrow("reading Arrow")
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    kind = array.type
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not lists or not (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)):
        return [_read(value) for value in array.to_pylist()]
    flat = array.flatten()  # of the rows of this block that are there, whatever comes before
    numbers = _narrow(flat.to_numpy(zero_copy_only=False))
    lengths = array.value_lengths().to_pylist()
    found: list[NDArray[np.float32] | str | None] = []
    place = 0
    for length in lengths:
        found.append(None if length is None else numbers[place : place + length])
        place += length or 0
    return found


def _narrow(numbers: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore", invalid="ignore"):  # what becomes infinite is told
        return np.ascontiguousarray(numbers, np.float32)


def _read(value: object) -> NDArray[np.float32] | str | None:
    """Return the vector in one cell: numbers, their little-endian float32, or a text of them."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        if isinstance(value, bytes):
            return np.frombuffer(value, "<f4")
        if isinstance(value, str):
            value = read_text(value)
        found = np.array(value, np.float64)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return "text"
    return _narrow(found) if found.ndim == 1 and found.size else "text"


def read_text(text: str) -> list[Any]:
    """Return the numbers in a text: a list of JSON, or as NumPy and pgvector print them.

    Raises:
        ValueError: it is none.
    """
    bare = text.strip()
    if not (bare.startswith("[") and bare.endswith("]")):
        raise ValueError(text)
    try:
        found: list[Any] = json.loads(bare)
    except ValueError:
        return [float(part) for part in bare[1:-1].replace(",", " ").split()]
    return found
