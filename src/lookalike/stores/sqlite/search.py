"""Nearest neighbours in a SQLite store: exact from the vectors in memory, or over a shortlist."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import CollectionEmpty, CollectionNotFound
from lookalike.stores.checks import check_k, of_space, unit_vectors
from lookalike.stores.damage import Fault
from lookalike.stores.sqlite.matches import SqliteMatches
from lookalike.stores.sqlite.matrix import LOST, SqliteMatrices
from lookalike.stores.sqlite.named import reading_named
from lookalike.stores.sqlite.rows import (
    RECORD_COLUMNS,
    collection_names,
    read_collection,
    read_revision,
    read_space,
    select_by_id,
)
from lookalike.stores.sqlite.shortlists import SqliteShortlists
from lookalike.stores.sqlite.words import ids_by_words
from lookalike.stores.verification import CHANGED_FILTER, fields_match, sound_records
from lookalike.stores.wording import query_terms
from lookalike.types import Neighbour

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Sequence

    from lookalike.stores.damage import DamageLog
    from lookalike.stores.sqlite.file import SqliteFile
    from lookalike.types import Approximation, Record, Space, Vectors, Where

# Queries whose candidates are fetched in one transaction.
_TOGETHER = 64


class SqliteSearch:
    """What a store remembers to search quickly: vectors, answers to filters, shortlists."""

    def __init__(self, file: SqliteFile, timeout: float, damage: DamageLog) -> None:
        self.matches = SqliteMatches()
        self._file = file
        self._damage = damage
        self._matrices = SqliteMatrices(damage)
        self._shortlists = SqliteShortlists(file, timeout, damage)

    @property
    def problems(self) -> list[str]:
        """What went on without being as it should be, one line each."""
        return [] if self._shortlists.problem is None else [self._shortlists.problem]

    def nearest(
        self,
        name: str,
        queries: Vectors,
        k: int,
        where: Where | None,
        exclude: Sequence[Collection[str]] | None,
        having: str | None,
        space: Space | None,
        *,
        approximate: bool,
    ) -> list[list[Neighbour]]:
        """Return the nearest neighbours of each query: see `Store.nearest`."""
        check_k(k)
        queries = np.asarray(queries)
        found = None
        if approximate:
            found = self._over_shortlist(name, queries, k, where, exclude, having, space)
        left_out: set[str] = set()
        while found is None:
            without = exclude
            if left_out:
                without = [{*some, *left_out} for some in exclude or [()] * len(queries)]
            found = self._exact(name, queries, k, where, without, having, space, left_out)
        return found

    def search_words(self, name: str, words: str, k: int, where: Where | None) -> list[Record]:
        """Return the records that have any of the words, best first: see `Store.search_words`."""
        check_k(k)
        terms = query_terms(words)
        with reading_named(self._file, name) as (connection, number):
            if not terms:
                return []
            matches = self.matches.read(connection, number, where)
            wanted = k
            while True:
                ids = ids_by_words(connection, number, terms, wanted, matches)
                records = self._records(connection, number, name, ids, where)
                found = [records[identity] for identity in ids if identity in records]
                if len(found) >= k or len(ids) < wanted:
                    return found[:k]
                wanted *= 2  # some are damaged, and others take their places

    def build_index(self, name: str) -> Approximation:
        """Build a collection's shortlist: see `SqliteStore.build_index`."""
        with reading_named(self._file, name) as (connection, number):
            if not read_collection(connection, number).count:
                raise CollectionEmpty(name)
        approximation = self._shortlists.build(number)
        if approximation is None:
            with self._file.reading() as reader:
                raise CollectionNotFound(name, () if reader is None else collection_names(reader))
        return approximation

    def forget(self, collection: int | None = None, token: str | None = None) -> None:
        """Let go of what is remembered of one collection, or of all.

        Args:
            collection: the number of one that was deleted, None for all.
            token: of the shortlist that it had.
        """
        self._matrices.forget(collection)
        self._shortlists.forget(collection)
        if collection is None:
            self.matches.forget()
        if token is not None:
            self._shortlists.remove(token)

    def _exact(
        self,
        name: str,
        queries: Vectors,
        k: int,
        where: Where | None,
        exclude: Sequence[Collection[str]] | None,
        having: str | None,
        space: Space | None,
        left_out: set[str],
    ) -> list[list[Neighbour]] | None:
        """Return the exact neighbours; None where one was removed while we computed: ask again.

        The same where a record is damaged, whose id is then added to `left_out`.
        """
        with reading_named(self._file, name) as (connection, number):
            collection = of_space(read_space(connection, number), space)
            queries = unit_vectors(collection, queries)
            matrix = self._matrices.read(connection, number)
            matches = self.matches.read(connection, number, where, having)
        found = matrix.nearest(queries, k, matches, exclude)
        ids = {identity for row in found for identity, _ in row}
        with reading_named(self._file, name) as (connection, number):
            records = self._records(connection, number, name, list(ids))
            unchanged = read_revision(connection, number) == matrix.revision
        lost = ids - records.keys()
        if unchanged:
            # Else somebody has changed it since.
            wrong = [one for one in records.values() if not fields_match(one.fields, where, having)]
            self._damage.note(name, [Fault(one.id, one.uri, CHANGED_FILTER) for one in wrong])
            self._damage.note(name, [Fault(each, None, LOST) for each in lost - self._damage.ids(name)])
            lost |= {one.id for one in wrong}
            left_out |= lost
        return None if lost else _neighbours(found, records)

    def _over_shortlist(
        self,
        name: str,
        queries: Vectors,
        k: int,
        where: Where | None,
        exclude: Sequence[Collection[str]] | None,
        having: str | None,
        space: Space | None,
    ) -> list[list[Neighbour]] | None:
        """Return what the collection's shortlist leads to; None where exact search is to be used."""
        answers: list[list[Neighbour]] = []
        for start in range(0, max(1, len(queries)), _TOGETHER):
            part = slice(start, start + _TOGETHER)
            with reading_named(self._file, name) as (connection, number):
                collection = of_space(read_space(connection, number), space)
                some = unit_vectors(collection, queries[part])
                matches = self.matches.read(connection, number, where, having)
                left_out = None if exclude is None else exclude[part]
                found = self._shortlists.nearest(connection, number, some, k, matches, left_out)
                if found is None:
                    return None
                ids = {identity for row in found for identity, _ in row}
                records = self._records(connection, number, name, list(ids), where, having)
                if len(records) < len(ids):
                    return None
                answers += _neighbours(found, records)
        return answers

    def _records(
        self,
        connection: sqlite3.Connection,
        number: int,
        name: str,
        ids: list[str],
        where: Where | None = None,
        having: str | None = None,
    ) -> dict[str, Record]:
        """Return the sound records of these ids that match, by id."""
        rows = select_by_id(connection, number, RECORD_COLUMNS, ids)
        return sound_records(rows, partial(self._damage.note, name), where, having)


def _neighbours(found: list[list[tuple[str, float]]], records: dict[str, Record]) -> list[list[Neighbour]]:
    return [[Neighbour(records[identity], value) for identity, value in row] for row in found]
