"""Nearest neighbours in a SQLite store: exact from the vectors in memory, or over a shortlist."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.memory import kept_bytes
from lookalike.stores.backend import Hits
from lookalike.stores.sqlite.blocks import nearest_in_blocks
from lookalike.stores.sqlite.catalog import count_vectors, existing_entry, read_entry
from lookalike.stores.sqlite.matrix import SqliteMatrices
from lookalike.stores.sqlite.records import RECORD_COLUMNS, select_by_id, select_by_number
from lookalike.stores.sqlite.shortlist.building import reading_apart
from lookalike.stores.sqlite.shortlist.search import SqliteShortlists

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from lookalike.stores.backend import Ask, RecordRow
    from lookalike.stores.damage import DamageLog
    from lookalike.stores.entry import Entry, VectorEntry
    from lookalike.stores.query import Query
    from lookalike.stores.sqlite.change_log import ChangeLog
    from lookalike.stores.sqlite.connection import SqliteFile
    from lookalike.stores.sqlite.filters import SqliteFilters

# Queries whose candidates are fetched in one transaction.
_TOGETHER = 64


class SqliteSearch:
    """What a store remembers to search quickly: vectors and shortlists."""

    def __init__(
        self, file: SqliteFile, timeout: float, damage: DamageLog, filters: SqliteFilters, log: ChangeLog
    ) -> None:
        self.matrices = SqliteMatrices(damage, log)
        self.shortlists = SqliteShortlists(file, timeout, damage)
        self._file = file
        self._filters = filters
        self._damage = damage

    def nearest(self, name: str, ask: Ask, query: Query) -> Hits:
        """Return the nearest neighbours of each query: see `Backend.nearest`."""
        if query.approximate:
            hits = self._over_shortlist(name, ask, query)
            if hits is not None:
                return hits
        with self._file.reading() as connection:
            entry = existing_entry(connection, name)
            assert connection is not None  # noqa: S101 it has collections
            vector, queries = ask(entry)
            has_room = self._has_room(connection, vector)
            if has_room:
                matrix = self.matrices.read(connection, entry, vector)
                matches = self._filters.read(connection, entry, query.where, query.having)
        # Outside of any transaction: others may read meanwhile.
        if has_room:
            found = matrix.nearest(queries, query.k, matches, query.exclude)
        else:
            entry, found = self._in_blocks(name, ask, query)
        with self._file.reading() as reader:
            now = None if reader is None else read_entry(reader, entry.key)
            if reader is None or now is None:
                return Hits(found, [], certain=False)
            return Hits(found, _records(reader, now, found), certain=now.revision == entry.revision)

    def forget(self, vectors: Iterable[int] | None = None, tokens: Iterable[str] = ()) -> None:
        """Let go of what is remembered of vectors, by number, or of all.

        Args:
            vectors: those that were dropped; None for all.
            tokens: of the shortlists that they had.
        """
        dropped = None if vectors is None else list(vectors)
        self.matrices.forget(dropped)
        self.shortlists.forget(dropped)
        for token in tokens:
            self.shortlists.remove(token)

    def _has_room(self, connection: sqlite3.Connection, vector: VectorEntry) -> bool:
        """Tell whether all vectors of a name are in memory, or may be."""
        if self.matrices.holds(vector):
            return True
        return 4 * vector.info.space.dimension * count_vectors(connection, vector) <= kept_bytes()

    def _in_blocks(self, name: str, ask: Ask, query: Query) -> tuple[Entry, list[list[tuple[str, float]]]]:
        """Return a collection and who is nearest in it, on a connection of its own: others may read."""
        with reading_apart(self._file) as connection:
            entry = existing_entry(connection, name)
            vector, queries = ask(entry)
            matches = self._filters.read(connection, entry, query.where, query.having)
            return entry, nearest_in_blocks(
                connection, entry, vector, queries, query.k, matches, query.exclude, self._damage
            )

    def _over_shortlist(self, name: str, ask: Ask, query: Query) -> Hits | None:
        """Return what the shortlist of a vector leads to; None where exact search is to be used."""
        hits = Hits([], [])
        for start in range(0, len(query.vectors), _TOGETHER):
            part = slice(start, start + _TOGETHER)
            with self._file.reading() as connection:
                entry = existing_entry(connection, name)
                assert connection is not None  # noqa: S101 it has collections
                vector, queries = ask(entry)
                matches = self._filters.read(connection, entry, query.where, query.having)
                left_out = None if query.exclude is None else query.exclude[part]
                nearest = self.shortlists.nearest(
                    connection, entry, vector, queries[part], query.k, matches, left_out
                )
                if nearest is None:
                    return None
                hits.found.extend(nearest.found)
                # By number, not by id: the pages with these rows were read for their ids a moment ago.
                numbers = {nearest.numbers[identity] for row in nearest.found for identity, _ in row}
                hits.records.extend(select_by_number(connection, RECORD_COLUMNS, numbers))
        return hits


def _records(
    connection: sqlite3.Connection, entry: Entry, found: list[list[tuple[str, float]]]
) -> list[RecordRow]:
    ids = list({identity for row in found for identity, _ in row})
    return list(select_by_id(connection, entry.key, RECORD_COLUMNS, ids))
