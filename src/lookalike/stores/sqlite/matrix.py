"""The vectors of a collection in memory, for as long as nobody changes the collection."""

from __future__ import annotations

import threading
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import StoreCorrupt
from lookalike.ranking import nearest_rows

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection as Ids
    from collections.abc import Iterable, Iterator, Sequence

    from lookalike.records import Vectors
    from lookalike.stores.sqlite.matches import Numbers

# Part of the vectors below which it is quicker to copy those that match than to multiply by all.
_FEW = 0.25
# Rows that one statement reads: a parameter each, of 32,766 at most (sqlite.org/limits.html, section 9).
_CHUNK = 1000


@dataclass(frozen=True, slots=True)
class SqliteMatrix:
    """All vectors of a collection as they were at one revision, in order of id."""

    revision: int
    ids: list[str]
    numbers: Numbers
    """The number of each record in its table, in the same order."""
    vectors: Vectors

    def nearest(
        self, queries: Vectors, k: int, matches: Numbers | None, exclude: Sequence[Ids[str]] | None
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
        if matches is not None and len(matches) < len(ids):
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

    def __init__(self, url: str) -> None:
        self._url = url
        self._matrices: dict[int, SqliteMatrix] = {}
        self._lock = threading.Lock()

    def read(self, connection: sqlite3.Connection, collection: int) -> SqliteMatrix:
        """Return the matrix of a collection as the open transaction sees it."""
        dimension, revision = connection.execute(
            "SELECT dimension, revision FROM lookalike_collections WHERE collection = ?", (collection,)
        ).fetchone()
        with self._lock:
            matrix = self._matrices.get(collection)
            if matrix is not None and matrix.revision == revision:
                return matrix
            # Let go before the new one is read: there may be no room for two.
            matrix = None
            self._matrices.pop(collection, None)
            keys = connection.execute(
                "SELECT id, record FROM lookalike_records WHERE collection = ? ORDER BY id", (collection,)
            ).fetchall()
            numbers = np.array([record for _, record in keys], dtype=np.int64)
            vectors = np.empty((len(keys), dimension), np.float32)
            places = np.argsort(numbers)
            start = 0
            for _, some in vectors_by_number(self._url, connection, numbers[places], dimension):
                vectors[places[start : start + len(some)]] = some
                start += len(some)
            matrix = SqliteMatrix(revision, [identity for identity, _ in keys], numbers, vectors)
            self._matrices[collection] = matrix
            return matrix

    def forget(self, collection: int | None = None) -> None:
        """Let go of the matrix of one collection, or of all."""
        with self._lock:
            if collection is None:
                self._matrices.clear()
            else:
                self._matrices.pop(collection, None)


def read_vectors(url: str, contents: Iterable[bytes], count: int, dimension: int) -> Vectors:
    """Return the vectors that BLOBs of little-endian float32 hold, shape (count, dimension).

    Raises:
        StoreCorrupt: there are not so many, or one is not of that dimension.
    """
    vectors = np.empty((count, dimension), dtype=np.float32)
    try:
        for row, content in zip(vectors, contents, strict=True):
            row[:] = np.frombuffer(content, "<f4")
    except (TypeError, ValueError) as error:
        raise StoreCorrupt(url, f"is damaged: a vector does not read: {error}") from error
    return vectors


def vectors_by_number(
    url: str, connection: sqlite3.Connection, numbers: Numbers, dimension: int
) -> Iterator[tuple[Numbers, Vectors]]:
    """Yield the vectors of the records with these numbers, some at a time, in their order.

    Numbers stand in the file one after the other, ids do not: so it is read once, from front to back.

    Args:
        url: of the store, for what is wrong with it.
        connection: its open transaction sees the records.
        numbers: rising, none twice; those that are not there are left out.
        dimension: of the vectors.

    Raises:
        StoreCorrupt: a vector does not read.
    """
    for start in range(0, len(numbers), _CHUNK):
        some = numbers[start : start + _CHUNK].tolist()
        rows = connection.execute(
            f"SELECT record, vector FROM lookalike_records"  # noqa: S608 marks are our own
            f" WHERE record IN ({', '.join('?' * len(some))}) ORDER BY record",
            some,
        ).fetchall()
        vectors = read_vectors(url, (vector for _, vector in rows), len(rows), dimension)
        yield np.array([number for number, _ in rows], np.int64), vectors


def _rows_of(ids: list[str], wanted: Ids[str]) -> list[int]:
    """Return the places in the sorted `ids` of those that are wanted."""
    places = ((bisect_left(ids, identity), identity) for identity in wanted)
    return [row for row, identity in places if row < len(ids) and ids[row] == identity]
