"""All vectors of one name in memory, for as long as nobody changes one of them."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lookalike.memory import kept_bytes
from lookalike.stores.damage import Fault
from lookalike.stores.reranking import rows_of
from lookalike.stores.sqlite.catalog import vector_revision
from lookalike.stores.sqlite.change_log import MOST, of_vector
from lookalike.stores.sqlite.keys import numbers_by_id
from lookalike.stores.sqlite.records import Keys, record_keys, select_vectors
from lookalike.stores.verification import LOST_VECTOR, vector_fault, verify_vectors
from lookalike.vectors.nearest import nearest_rows

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Sequence

    from numpy.typing import NDArray

    from lookalike.stores.damage import DamageLog
    from lookalike.stores.entry import Entry, VectorEntry
    from lookalike.stores.sqlite.change_log import ChangeLog
    from lookalike.stores.sqlite.filters import Numbers
    from lookalike.stores.sqlite.records import VectorColumns
    from lookalike.types import Vectors

# Part of the vectors below which it is quicker to copy those that match than to multiply by all.
_FEW = 0.25


@dataclass(frozen=True, slots=True)
class SqliteMatrix:
    """All sound vectors of one name as they were at one revision, in order of id."""

    revision: int | None
    damaged: int
    """How many records are left out because their vector is damaged."""
    ids: list[str]
    numbers: Numbers
    """The number of each record in its table, in the same order."""
    vectors: Vectors
    gone: NDArray[np.bool_] | None = None
    """Which of these were removed or changed since; None for none."""
    recent: SqliteMatrix | None = None
    """Those that came or changed since: to put them in their places would be to copy all."""

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
        ids, vectors = self.ids, self.vectors
        among = None if self.gone is None else ~self.gone
        later = [] if self.recent is None else self.recent.nearest(queries, k, matches, exclude)
        # Places for more neighbours than there are records would be memory for nothing.
        most, k = k, max(1, min(k, len(ids) if matches is None else len(matches)))
        # Of a matrix as it was read, all match where as many do; of one that has changed that tells nothing.
        changed = self.gone is not None or self.recent is not None
        if matches is not None and (changed or len(matches) < len(ids) + self.damaged):
            counts = np.isin(self.numbers, matches, assume_unique=True)
            among = counts if among is None else counts & among
            if np.count_nonzero(among) < _FEW * len(ids):
                rows = np.flatnonzero(among)
                ids, vectors, among = [ids[row] for row in rows], vectors[rows], None
        left_out = None if exclude is None else [rows_of(ids, some) for some in exclude]
        rows_found, similarities = nearest_rows(queries, vectors, k, left_out, among)
        found = [
            [(ids[row], float(value)) for row, value in zip(some, values, strict=True) if row >= 0]
            for some, values in zip(rows_found, similarities, strict=True)
        ]
        if self.recent is None:
            return found
        both = ([*some, *more] for some, more in zip(found, later, strict=True))
        return [sorted(hits, key=lambda hit: (-hit[1], hit[0]))[:most] for hits in both]

    def followed(self, revision: int | None, changed: Collection[int], now: SqliteMatrix) -> SqliteMatrix:
        """Return the matrix after some records changed.

        Args:
            revision: that it is of then.
            changed: numbers of the records that came, changed or went.
            now: those of them that are there.
        """
        numbers = np.fromiter(changed, np.int64)
        gone = np.isin(self.numbers, numbers)
        if self.gone is not None:
            gone |= self.gone
        if self.recent is not None:
            kept = ~np.isin(self.recent.numbers, numbers)
            ids = [each for each, stays in zip(self.recent.ids, kept, strict=True) if stays] + now.ids
            order = sorted(range(len(ids)), key=ids.__getitem__)
            now = SqliteMatrix(
                revision,
                0,
                [ids[place] for place in order],
                np.concatenate([self.recent.numbers[kept], now.numbers])[order],
                np.concatenate([self.recent.vectors[kept], now.vectors])[order],
            )
        return replace(
            self, revision=revision, gone=gone if gone.any() else None, recent=now if now.ids else None
        )

    @property
    def changed(self) -> int:
        """How many records are gone or recent."""
        gone = 0 if self.gone is None else int(np.count_nonzero(self.gone))
        return gone + (0 if self.recent is None else len(self.recent.ids))


class SqliteMatrices:
    """The matrices of the vectors that were searched, 4 bytes a number; threads may share them.

    Of one that has changed only the changed records are read again, where it is known which and they are few.
    """

    def __init__(self, damage: DamageLog, log: ChangeLog) -> None:
        self._damage = damage
        self._log = log
        self._matrices: dict[int, SqliteMatrix] = {}
        self._lock = threading.Lock()

    def holds(self, vector: VectorEntry) -> bool:
        """Tell whether the matrix of a vector is in memory, maybe as it was before."""
        return vector.number in self._matrices

    def read(self, connection: sqlite3.Connection, entry: Entry, vector: VectorEntry) -> SqliteMatrix:
        """Return the matrix of a vector as the open transaction sees it; each row is verified once."""
        revision = vector_revision(connection, vector.number)
        with self._lock:
            matrix = self._matrices.get(vector.number)
            if matrix is not None and matrix.revision == revision:
                return matrix
            if matrix is not None:
                followed = self._followed(connection, vector, matrix, revision)
                if followed is not None:
                    self._matrices[vector.number] = followed
                    return followed
                # What was damaged may have been written anew, and is noted again where it was not.
                self._damage.forget(entry.name)
            # Let go before the new one is read: there may be no room for two.
            matrix = None
            self._matrices.pop(vector.number, None)
            keys = numbers_by_id(connection, entry.key).fetchall()
            dimension = vector.info.space.dimension
            self._make_room(4 * dimension * len(keys))
            numbers = np.array([number for number, _ in keys], dtype=np.int64)
            ids = [identity for _, identity in keys]
            vectors = np.empty((len(keys), dimension), np.float32)
            found = np.zeros(len(keys), bool)
            places = np.argsort(numbers)
            rising = numbers[places]
            by_number = Keys(rising.tolist(), [ids[place] for place in places])
            for columns in select_vectors(connection, vector, by_number):
                some = verified(connection, columns, dimension)
                at = places[np.searchsorted(rising, some.numbers)]
                vectors[at] = some.vectors
                found[at] = some.sound
                self._damage.note(entry.name, some.faults)
            if not found.all():
                at = np.flatnonzero(found)
                missing = {ids[row] for row in np.flatnonzero(~found)} - self._damage.ids(entry.name)
                reason = LOST_VECTOR.format(vector.info.name)
                self._damage.note(entry.name, [Fault(each, None, reason) for each in sorted(missing)])
                ids, numbers, vectors = [ids[row] for row in at], numbers[at], vectors[at]
            matrix = SqliteMatrix(revision, len(keys) - len(ids), ids, numbers, vectors)
            self._matrices[vector.number] = matrix
            return matrix

    def _make_room(self, wanted: int) -> None:
        """Let go of matrices, those that were read first, until so many bytes more may be kept."""
        taken = {number: each.vectors.nbytes for number, each in self._matrices.items()}
        for number in taken:
            if sum(taken[each] for each in self._matrices) + wanted <= kept_bytes():
                return
            self._matrices.pop(number)

    def _followed(
        self, connection: sqlite3.Connection, vector: VectorEntry, matrix: SqliteMatrix, revision: int | None
    ) -> SqliteMatrix | None:
        """Return a matrix brought up to date; None where all have to be read, or something is damaged."""
        changed = self._log.since(of_vector(vector.number), matrix.revision, revision)
        if changed is None or matrix.damaged or matrix.changed + len(changed) > MOST:
            return None
        keys = record_keys(connection, sorted(changed))
        dimension = vector.info.space.dimension
        parts = [verified(connection, each, dimension) for each in select_vectors(connection, vector, keys)]
        numbers = np.concatenate([np.empty(0, np.int64), *(part.numbers for part in parts)])
        if len(numbers) != len(keys.numbers) or not all(part.sound.all() for part in parts):
            return None
        vectors = np.concatenate([np.empty((0, dimension), np.float32), *(part.vectors for part in parts)])
        # By rising number, as the keys are.
        order = np.array(sorted(range(len(keys.ids)), key=keys.ids.__getitem__), np.intp)
        ids = [keys.ids[place] for place in order]
        now = SqliteMatrix(revision, 0, ids, numbers[order], vectors[order])
        return matrix.followed(revision, changed, now)

    def forget(self, vectors: Iterable[int] | None = None) -> None:
        """Let go of the matrices of some vectors, by number, or of all."""
        with self._lock:
            for number in list(self._matrices) if vectors is None else vectors:
                self._matrices.pop(number, None)


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


def verified(connection: sqlite3.Connection, columns: VectorColumns, dimension: int) -> Verified:
    """Return vectors that were read, verified.

    Args:
        connection: asked for the URIs of those that are damaged.
        columns: as they were read.
        dimension: of the vectors.
    """
    numbers, ids, checksums, contents = columns
    vectors, wrong = verify_vectors(ids, checksums, contents, dimension)
    sound = np.ones(len(numbers), bool)
    sound[wrong] = False
    faults = [
        Fault(ids[row], _uri(connection, numbers[row]), vector_fault(contents[row], dimension))
        for row in wrong
    ]
    return Verified(np.array(numbers, np.int64), vectors, sound, faults)


def _uri(connection: sqlite3.Connection, number: int) -> str | None:
    row = connection.execute("SELECT uri FROM lookalike_records WHERE record = ?", (number,)).fetchone()
    return row[0] if row is not None and isinstance(row[0], str) else None
