"""The shortlists of a SQLite store: read, made again where they are not right, kept level with the vectors.

The database notes which rows change of a vector with a shortlist. Whoever searches brings these in, in
memory; now and then the file beside the database is written anew. The database alone suffices to make it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import StoreBusy
from lookalike.stores.sqlite.catalog import vector_revision
from lookalike.stores.sqlite.matrix import verified
from lookalike.stores.sqlite.records import record_keys, select_vectors
from lookalike.stores.sqlite.shortlist.building import (
    Held,
    build_shortlist,
    make_shortlist,
    reading_apart,
)
from lookalike.stores.sqlite.shortlist.candidates import (
    Candidates,
    StrayCandidate,
    is_quicker,
    nearest_candidates,
)
from lookalike.stores.sqlite.shortlist.compressed import engine
from lookalike.stores.sqlite.shortlist.files import Moment, SqliteShortlistFiles
from lookalike.types import Approximation

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Sequence

    from lookalike.stores.damage import DamageLog
    from lookalike.stores.entry import Entry, VectorEntry
    from lookalike.stores.sqlite.connection import SqliteFile
    from lookalike.stores.sqlite.filters import Numbers
    from lookalike.types import Vectors

# Changes after which the file is written anew: to bring in a thousand takes less than reading the file.
_UNWRITTEN = 1000
_UNWRITTEN_PART = 0.02


class SqliteShortlists:
    """The shortlists of the vectors that were searched; threads may share them."""

    def __init__(self, file: SqliteFile, timeout: float, damage: DamageLog) -> None:
        self.problem: str | None = None
        """Why a shortlist is only in memory; None where nothing is wrong."""
        self._file = file
        self._damage = damage
        self._files = SqliteShortlistFiles(file.path)
        self._timeout = timeout
        self._held: dict[int, Held] = {}
        self._lock = threading.Lock()

    def nearest(
        self,
        connection: sqlite3.Connection,
        entry: Entry,
        vector: VectorEntry,
        queries: Vectors,
        k: int,
        matches: Numbers | None,
        exclude: Sequence[Collection[str]] | None,
    ) -> Candidates | None:
        """Return the nearest neighbours that the vector's shortlist leads to.

        To be called by one thread at a time, inside its transaction, as `SqliteFile.reading` lets in one.

        Args:
            connection: its open transaction sees the collection.
            entry: the collection.
            vector: which one.
            queries: float32 of shape (queries, dimension), each row of length 1.
            k: neighbours per query, at least 1.
            matches: numbers of the records that count, None for all.
            exclude: for each query, ids that are left out.

        Returns:
            None where exact search is to be used: there is no shortlist, or k is so large that exact search
            is quicker.

        Raises:
            ExtraMissing: there is one, and the package that reads it is not installed.
        """
        for _ in range(2):
            held = self._current(connection, entry, vector) if is_quicker(k, exclude) else None
            if held is None:
                return None
            try:
                nearest = nearest_candidates(connection, vector, held.shortlist, queries, k, matches, exclude)
            except StrayCandidate:
                self._files.remove(held.token)
                self.forget([vector.number])
                continue
            if not nearest.faults:
                return nearest
            self._damage.note(entry.name, nearest.faults)
            # Where a damaged one has taken a place among the candidates, others may have got none.
            return nearest if all(len(some) >= k for some in nearest.found) else None
        return None

    def build(self, entry: Entry, vector: VectorEntry) -> Approximation | None:
        """Build the shortlist of a vector, unless there is one that shows it as it is.

        Returns:
            None where the vector was dropped meanwhile.

        Raises:
            ExtraMissing: the package that makes it is not installed.
            StoreBusy: another process is at it for longer than we wait.
            StoreError: the store cannot be written, or the shortlist beside it.
            CollectionEmpty: no record has the vector.
        """
        engine()
        with self._files.locked(self._timeout) as ours:
            if not ours:
                raise StoreBusy(self._file.url, "another process is building a shortlist; try again later")
            kept = self._unchanged(vector)
            if kept is not None:
                return kept
            made = build_shortlist(self._file, self._files, entry, vector)
        if made is None:
            return None
        approximation, held = made
        # Not while we keep others from the files: who searches may have the one and wait for the other.
        with self._lock:
            self._held[vector.number] = held
        return approximation

    def forget(self, vectors: Iterable[int] | None = None) -> None:
        """Let go of the shortlists of some vectors, by number, or of all; files stay."""
        with self._lock:
            for number in list(self._held) if vectors is None else vectors:
                self._held.pop(number, None)

    def remove(self, token: str) -> None:
        """Remove the file of a shortlist whose vector was dropped."""
        self._files.remove(token)

    def _unchanged(self, vector: VectorEntry) -> Approximation | None:
        """Return what is known of a shortlist that is as it would be if it were built now."""
        with reading_apart(self._file) as connection:
            row = connection.execute(
                "SELECT token, since, kind, recall, k, queries FROM lookalike_shortlists WHERE vector = ?",
                (vector.number,),
            ).fetchone()
            if row is None:
                return None
            token, since, *found = row
            if token is None or _mark(connection, vector.number, since, None) is not None:
                return None
        return None if self._files.read(token, vector.info.space.dimension) is None else Approximation(*found)

    def _current(self, connection: sqlite3.Connection, entry: Entry, vector: VectorEntry) -> Held | None:
        """Return the shortlist of a vector as the open transaction sees it; None where none was built."""
        token, revision = vector.index, vector_revision(connection, vector.number)
        if token is None or revision is None:
            return None
        dimension = vector.info.space.dimension
        with self._lock:
            held = self._held.get(vector.number)
            if held is None or held.token != token or held.moment.revision > revision:
                self._held.pop(vector.number, None)
                held = self._read(connection, vector, token, revision)
            if held is None:
                with self._files.locked(self._timeout) as ours:
                    # Another may have made it while we waited.
                    held = self._read(connection, vector, token, revision)
                    if held is None:
                        moment = Moment(revision, _mark(connection, vector.number, 0, revision))
                        held = Held(token, make_shortlist(connection, entry, vector), moment)
                        if ours:
                            self._write(held, dimension)
            if held.moment.revision < revision:
                self._follow(connection, vector, held, revision)
                if held.shortlist.is_outgrown:
                    held.shortlist = make_shortlist(connection, entry, vector)
                    self._write_if_free(held, dimension)
            self._held[vector.number] = held
            return held

    def _read(
        self, connection: sqlite3.Connection, vector: VectorEntry, token: str, revision: int
    ) -> Held | None:
        """Return the shortlist that is on disk; None where that shows no past of this vector."""
        found = self._files.read(token, vector.info.space.dimension)
        if found is None or found[1].revision > revision:
            return None
        shortlist, moment = found
        if _mark(connection, vector.number, 0, moment.revision) != moment.mark:
            return None
        return Held(token, shortlist, moment)

    def _follow(self, connection: sqlite3.Connection, vector: VectorEntry, held: Held, revision: int) -> None:
        """Bring in what changed since the state that a shortlist shows."""
        dimension = vector.info.space.dimension
        rows = connection.execute(
            "SELECT DISTINCT record FROM lookalike_changes WHERE vector = ? AND revision > ?",
            (vector.number, held.moment.revision),
        )
        numbers = [number for (number,) in rows]
        held.shortlist.remove(np.array(numbers, np.int64))
        for some in select_vectors(connection, vector, record_keys(connection, numbers)):
            those = verified(connection, some, dimension)
            held.shortlist.add(those.numbers, those.vectors)
        held.moment = Moment(revision, _mark(connection, vector.number, 0, revision))
        held.unwritten += len(numbers)
        if held.unwritten >= max(_UNWRITTEN, _UNWRITTEN_PART * len(held.shortlist)):
            self._write_if_free(held, vector.info.space.dimension)

    def _write_if_free(self, held: Held, dimension: int) -> None:
        with self._files.locked(0) as ours:
            if ours:
                self._write(held, dimension)

    def _write(self, held: Held, dimension: int) -> None:
        """Keep a shortlist on disk; that it cannot be is no reason not to search."""
        try:
            self._files.write(held.token, dimension, held.shortlist, held.moment)
        except OSError as error:
            self.problem = f"the shortlist is not kept ({self._files.folder}: {error.strerror or error})"
        else:
            self.problem = None
        held.unwritten = 0


def _mark(connection: sqlite3.Connection, vector: int, after: int, until: int | None) -> int | None:
    """Return the mark of the last change that was noted after one revision and until another."""
    row = connection.execute(
        "SELECT mark FROM lookalike_changes WHERE vector = ? AND revision > ? AND revision <= ?"
        " ORDER BY revision DESC, record DESC LIMIT 1",
        (vector, after, (1 << 62) if until is None else until),
    ).fetchone()
    return None if row is None else int(row[0])
