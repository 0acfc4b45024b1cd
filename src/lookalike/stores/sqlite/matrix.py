"""The vectors of a collection in memory, for as long as nobody changes the collection."""

from __future__ import annotations

import threading
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lookalike.stores.damage import Fault
from lookalike.stores.verification import vector_fault, verify_vectors
from lookalike.vectors.nearest import nearest_rows

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterator, Sequence

    from numpy.typing import NDArray

    from lookalike.stores.damage import DamageLog
    from lookalike.stores.sqlite.matches import Numbers
    from lookalike.types import Vectors

LOST = "an index of the database names it, and its row is not there"

# Part of the vectors below which it is quicker to copy those that match than to multiply by all.
_FEW = 0.25
# Rows that one statement reads: a parameter each, of 32,766 at most (sqlite.org/limits.html, section 9).
_CHUNK = 1000


@dataclass(frozen=True, slots=True)
class SqliteMatrix:
    """All sound vectors of a collection as they were at one revision, in order of id."""

    revision: int
    damaged: int
    """How many records are left out because their vector is damaged."""
    ids: list[str]
    numbers: Numbers
    """The number of each record in its table, in the same order."""
    vectors: Vectors

    def nearest(
        self, queries: Vectors, k: int, matches: Numbers | None, exclude: Sequence[Collection[str]] | None
    ) -> list[list[tuple[str, float]]]:
        """Return ids and similarities of the exact nearest neighbours of each query.

        Args:
            queries: float32 of shape (queries, dimension), each row of length 1.
            k: neighbours per query, at least 1.
            matches: numbers of the records that count, None for all.
            exclude: for each query, ids that are left out.

        Returns:
            A list a query, by falling similarity, then by rising id.
        """
        ids, vectors, among = self.ids, self.vectors, None
        # Places for more neighbours than there are records would be memory for nothing.
        k = max(1, min(k, len(ids) if matches is None else len(matches)))
        if matches is not None and len(matches) < len(ids) + self.damaged:
            among = np.isin(self.numbers, matches, assume_unique=True)
            if np.count_nonzero(among) < _FEW * len(ids):
                rows = np.flatnonzero(among)
                ids, vectors, among = [ids[row] for row in rows], vectors[rows], None
        left_out = None if exclude is None else [_rows_of(ids, some) for some in exclude]
        found, similarities = nearest_rows(queries, vectors, k, left_out, among)
        return [
            [(ids[row], float(value)) for row, value in zip(some, values, strict=True) if row >= 0]
            for some, values in zip(found, similarities, strict=True)
        ]


class SqliteMatrices:
    """The matrices of the collections that were searched, 4 bytes a number; threads may share them."""

    def __init__(self, damage: DamageLog) -> None:
        self._damage = damage
        self._matrices: dict[int, SqliteMatrix] = {}
        self._lock = threading.Lock()

    def read(self, connection: sqlite3.Connection, collection: int) -> SqliteMatrix:
        """Return the matrix of a collection as the open transaction sees it; each vector is verified once."""
        name, dimension, revision = connection.execute(
            "SELECT name, dimension, revision FROM lookalike_collections WHERE collection = ?", (collection,)
        ).fetchone()
        with self._lock:
            matrix = self._matrices.get(collection)
            if matrix is not None and matrix.revision == revision:
                return matrix
            if matrix is not None:
                # What was damaged may have been written anew, and is noted again where it was not.
                self._damage.forget(name)
            # Let go before the new one is read: there may be no room for two.
            matrix = None
            self._matrices.pop(collection, None)
            keys = connection.execute(
                "SELECT id, record FROM lookalike_records WHERE collection = ? ORDER BY id", (collection,)
            ).fetchall()
            numbers = np.array([record for _, record in keys], dtype=np.int64)
            ids = [identity for identity, _ in keys]
            vectors = np.empty((len(keys), dimension), np.float32)
            found = np.zeros(len(keys), bool)
            places = np.argsort(numbers)
            rising = numbers[places]
            for some in vectors_by_number(connection, rising, dimension):
                rows = places[np.searchsorted(rising, some.numbers)]
                vectors[rows] = some.vectors
                found[rows] = some.sound
                self._damage.note(name, some.faults)
            if not found.all():
                rows = np.flatnonzero(found)
                missing = {ids[row] for row in np.flatnonzero(~found)} - self._damage.ids(name)
                self._damage.note(name, [Fault(each, None, LOST) for each in sorted(missing)])
                ids, numbers, vectors = [ids[row] for row in rows], numbers[rows], vectors[rows]
            matrix = SqliteMatrix(revision, len(keys) - len(ids), ids, numbers, vectors)
            self._matrices[collection] = matrix
            return matrix

    def forget(self, collection: int | None = None) -> None:
        """Let go of the matrix of one collection, or of all."""
        with self._lock:
            if collection is None:
                self._matrices.clear()
            else:
                self._matrices.pop(collection, None)


class Verified(NamedTuple):
    """Some vectors that were read and verified."""

    numbers: Numbers
    """Of their records, rising."""
    vectors: Vectors
    """Shape (numbers, dimension); of a damaged one an axis of the space stands in its place."""
    sound: NDArray[np.bool_]
    """Shape (numbers,)."""
    faults: list[Fault]
    """What is wrong with those that are not sound."""


def vectors_by_number(connection: sqlite3.Connection, numbers: Numbers, dimension: int) -> Iterator[Verified]:
    """Yield the vectors of the records with these numbers, some at a time, in their order.

    Numbers stand in the file one after the other, ids do not: so it is read once, from front to back.

    Args:
        connection: its open transaction sees the records.
        numbers: rising, none twice; those that are not there are left out.
        dimension: of the vectors.
    """
    for start in range(0, len(numbers), _CHUNK):
        some = numbers[start : start + _CHUNK].tolist()
        rows = connection.execute(
            f"SELECT record, id, vector_checksum, vector FROM lookalike_records"  # noqa: S608 marks are our own
            f" WHERE record IN ({', '.join('?' * len(some))}) ORDER BY record",
            some,
        ).fetchall()
        yield verified(connection, rows, dimension)


def verified(connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]], dimension: int) -> Verified:
    """Return the vectors of rows of number, id, checksum and vector.

    Args:
        connection: asked for the URIs of those that are damaged.
        rows: as they were read.
        dimension: of the vectors.
    """
    numbers, ids, checksums, contents = zip(*rows, strict=True) if rows else ((), (), (), ())
    vectors, wrong = verify_vectors(ids, checksums, contents, dimension)
    sound = np.ones(len(rows), bool)
    sound[wrong] = False
    faults = [
        Fault(str(ids[row]), _uri(connection, numbers[row]), vector_fault(contents[row], dimension))
        for row in wrong
    ]
    return Verified(np.array(numbers, np.int64), vectors, sound, faults)


def _uri(connection: sqlite3.Connection, number: int) -> str | None:
    row = connection.execute("SELECT uri FROM lookalike_records WHERE record = ?", (number,)).fetchone()
    return row[0] if row is not None and isinstance(row[0], str) else None


def _rows_of(ids: list[str], wanted: Collection[str]) -> list[int]:
    """Return the places in the sorted `ids` of those that are wanted."""
    places = ((bisect_left(ids, identity), identity) for identity in wanted)
    return [row for row, identity in places if row < len(ids) and ids[row] == identity]
