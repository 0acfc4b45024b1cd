"""Blocks of rows of a table, and the vectors that its cells hold, however they are written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.arrow import pyarrow
from lookalike.stores.attached.description import read_source
from lookalike.stores.attached.json_paths import document_in, values_at
from lookalike.transfer.imports.vector_cells import narrow, read_cell

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
    _documents: dict[str, list[Any]] = field(default_factory=dict)

    def values(self, column: str) -> list[Any]:
        """Return the values of a column, or of what is at a path in its JSON, as Python has them.

        Returns:
            None where absent, as all are of a column that these rows do not have.
        """
        found = self.columns.get(column)
        if found is None:
            return self._at_path(column)
        if isinstance(found, list):
            return found
        listed: list[Any] = found.tolist() if isinstance(found, np.ndarray) else found.to_pylist()
        return listed

    def vectors(
        self, columns: Sequence[str], bytes_of: str = "<f4"
    ) -> list[NDArray[np.float32] | str | None]:
        """Return the vector of each row: None where absent, a text where it cannot be read.

        Args:
            columns: the one that has vectors, or several that have a number each.
            bytes_of: NumPy's name of the type that bytes hold.
        """
        if len(columns) > 1:
            several = np.stack([_numbers(self.values(column)) for column in columns], axis=1)
            return [None if np.isnan(row).all() else row for row in narrow(several)]
        found = self.columns.get(columns[0])
        if isinstance(found, np.ndarray):
            return list(narrow(found))
        if found is None:
            found = self._at_path(columns[0])
        if not isinstance(found, list):
            return _from_arrow(found, bytes_of)
        return [read_cell(value, bytes_of) for value in found]

    def _at_path(self, column: str) -> list[Any]:
        source = read_source(column)
        if source.path is None or source.column not in self.columns:
            return [None] * self.count
        if source.column not in self._documents:
            self._documents[source.column] = [document_in(value) for value in self.values(source.column)]
        found = (values_at(document, source.steps) for document in self._documents[source.column])
        return [None if not some else some[0] if len(some) == 1 else some for some in found]


def _numbers(values: Sequence[Any]) -> NDArray[Any]:
    return np.array([_number(value) for value in values], np.float64)


def _number(value: object) -> float:
    """Return a number; NaN, which no vector may hold, for what is none."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return np.nan


def _from_arrow(array: Any, bytes_of: str) -> list[NDArray[np.float32] | str | None]:
    """Return the vectors of lists of numbers without making Python's numbers of them."""
    pa = pyarrow("reading Arrow")
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    kind = array.type
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not lists or not (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)):
        return [read_cell(value, bytes_of) for value in array.to_pylist()]
    flat = array.flatten()  # of the rows of this block that are there, whatever comes before
    numbers = narrow(flat.to_numpy(zero_copy_only=False))
    lengths = array.value_lengths().to_pylist()
    found: list[NDArray[np.float32] | str | None] = []
    place = 0
    for length in lengths:
        found.append(None if length is None else numbers[place : place + length])
        place += length or 0
    return found
