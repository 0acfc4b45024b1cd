"""Residuals at a few bits a number: they say which of the vectors that seem near are nearest.

A residual is what a vector differs by from the centre of its cell (Jégou et al. 2011,
doi.org/10.1109/TPAMI.2010.57). After a rotation by chance its numbers are about normally distributed, so each
is rounded to one of a few levels, as far apart as is best for such numbers (Max 1960,
doi.org/10.1109/TIT.1960.1057548). A factor for each makes the product of a residual with its own code exact,
as RaBitQ does it (arxiv.org/abs/2409.09913), so that distances are right on average.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lookalike.types import Vectors

# By bits, how far the levels are apart, in standard deviations: Max 1960, table II; of 256 by his equations.
_STEPS = {2: 0.9957, 4: 0.3352, 8: 0.03076}
# The error of a distance falls with the numbers of a residual and with the bits of each. Of a million of 512
# numbers, of 100 that seemed near, all ten nearest were among the first 14 by 4 bits, and 25 by 2.
_BITS = 2048


class ResidualCodes:
    """Rounded residuals, and the cell of each, under the numbers of their records."""

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension
        self._bits = next((bits for bits in _STEPS if bits * dimension >= _BITS), max(_STEPS))
        # A byte has a number of each of these parts of a residual, the last of which may be filled up.
        self._parts = 8 // self._bits
        width = -(-dimension // self._parts)
        self._count = 0
        # By place; what is removed gives its place to the last.
        self._numbers = np.empty(0, np.int64)
        self._cells = np.empty(0, np.int32)
        self._codes = np.empty((0, width), np.uint8)
        self._factors = np.empty(0, np.float32)
        self._offsets = np.empty(0, np.float32)
        # The place of each number, -1 where it has none.
        self._places = np.empty(0, np.int32)

    def __len__(self) -> int:
        return self._count

    def add(
        self, numbers: NDArray[np.int64], cells: NDArray[np.int64], vectors: Vectors, centres: Vectors
    ) -> None:
        """Add residuals under numbers that it does not have.

        Args:
            numbers: of the records, none twice.
            cells: of the vectors, as rows of `centres`.
            vectors: unit vectors, float32 of shape (len(numbers), dimension).
            centres: float32 of shape (cells, dimension).
        """
        mine = centres[cells]
        residuals = vectors - mine
        levels = 1 << self._bits
        step = _STEPS[self._bits] * residuals.std(axis=1, keepdims=True)
        # All numbers of a residual may be equal, of a few numbers and where a vector is the centre.
        scaled = np.divide(residuals, step, out=np.zeros_like(residuals), where=step > 0)
        codes = np.clip(np.floor(scaled) + levels // 2, 0, levels - 1)
        values = codes - (levels - 1) / 2
        lengths = np.einsum("ij,ij->i", residuals, residuals)
        products = np.einsum("ij,ij->i", residuals, values)
        factors = np.divide(lengths, products, out=np.zeros_like(lengths), where=products > 0)
        start, self._count = self._count, self._count + len(numbers)
        self._make_room()
        rows = slice(start, self._count)
        self._numbers[rows] = numbers
        self._cells[rows] = cells
        self._codes[rows] = self._packed(codes.astype(np.uint8))
        self._factors[rows] = factors
        self._offsets[rows] = lengths + 2 * factors * np.einsum("ij,ij->i", mine, values)
        self._note(start)

    def remove(self, numbers: NDArray[np.int64]) -> None:
        """Remove the residuals of these numbers, all of which it has, none named twice."""
        places = self._places[numbers]
        self._places[numbers] = -1
        self._count -= len(numbers)
        holes = places[places < self._count]
        last = np.setdiff1d(np.arange(self._count, self._count + len(numbers)), places, assume_unique=True)
        for column in self._columns():
            column[holes] = column[last]
        self._places[self._numbers[holes]] = holes

    def cells_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the cell of each number, -1 where it is not there."""
        known = numbers < len(self._places)
        places = self._places[numbers[known]]
        cells = np.full(len(numbers), -1, np.int32)
        cells[known] = np.where(places >= 0, self._cells[places] if self._count else -1, -1)
        return cells

    def distances(self, query: Vectors, to_centres: Vectors, numbers: NDArray[np.int64]) -> Vectors:
        """Return about how far away some are from a query, squared.

        Args:
            query: a unit vector, float32 of shape (dimension,).
            to_centres: its squared distance from every centre.
            numbers: of those that are asked for, all of which it has.

        Returns:
            float32 of shape (len(numbers),).
        """
        places = self._places[numbers]
        packed = self._codes[places]
        parts = np.zeros((self._parts, packed.shape[1]), np.float32)
        parts.reshape(-1)[: self._dimension] = query
        levels = 1 << self._bits
        products = np.full(len(numbers), -(levels - 1) / 2 * query.sum(), np.float32)
        for number, part in enumerate(parts):
            codes = (packed >> (number * self._bits)) & (levels - 1)
            # Not by BLAS, whose threads wait for each other longer than so little takes.
            products += np.einsum("ij,j->i", codes.astype(np.float32), part)
        found: Vectors = to_centres[self._cells[places]] + self._offsets[places]
        found -= 2 * self._factors[places] * products
        return found

    def to_parts(self) -> list[memoryview]:
        """Return all of it as bytes in parts, for `from_parts`."""
        return [
            np.ascontiguousarray(column[: self._count]).reshape(-1).view(np.uint8).data
            for column in self._columns()
        ]

    @classmethod
    def from_parts(cls, dimension: int, parts: Sequence[NDArray[np.uint8]]) -> ResidualCodes:
        """Return what `to_parts` wrote.

        Raises:
            ValueError: these are other bytes.
        """
        made = cls(dimension)
        numbers, cells, codes, factors, offsets = parts
        made._numbers = numbers.view(np.int64)
        made._cells = cells.view(np.int32)
        made._codes = codes.reshape(-1, made._codes.shape[1])
        made._factors = factors.view(np.float32)
        made._offsets = offsets.view(np.float32)
        made._count = len(made._numbers)
        if any(len(column) != made._count for column in made._columns()):
            raise ValueError("columns differ in length")
        made._note(0)
        return made

    def _columns(self) -> tuple[NDArray[Any], ...]:
        return self._numbers, self._cells, self._codes, self._factors, self._offsets

    def _packed(self, codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the numbers of some codes, by row, several in a byte."""
        width = self._codes.shape[1]
        packed = np.zeros((len(codes), width), np.uint8)
        for part in range(self._parts):
            some = codes[:, part * width : (part + 1) * width]
            packed[:, : some.shape[1]] |= some << (part * self._bits)
        return packed

    def _make_room(self) -> None:
        """Have places for as many as there are, and for more, so that not every record makes new ones."""
        if self._count <= len(self._numbers):
            return
        room = self._count + self._count // 8
        self._numbers, self._cells, self._codes, self._factors, self._offsets = (
            _longer(column, room) for column in self._columns()
        )

    def _note(self, start: int) -> None:
        """Remember the places of those from one place on."""
        numbers = self._numbers[start : self._count]
        missing = int(numbers.max(initial=-1)) + 1 - len(self._places)
        if missing > 0:
            more = np.full(missing + len(self._places) // 8, -1, np.int32)
            self._places = np.concatenate([self._places, more])
        self._places[numbers] = np.arange(start, self._count, dtype=np.int32)


def _longer(column: NDArray[Any], rows: int) -> NDArray[Any]:
    """Return a column with so many rows: where it can be, the same one, for which nothing is copied."""
    own = column if column.flags.owndata else column.copy()
    own.resize((rows, *column.shape[1:]), refcheck=False)
    return own
