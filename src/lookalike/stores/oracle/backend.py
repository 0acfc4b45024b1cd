"""The back end of Oracle Database, 23ai or later, through python-oracledb."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from lookalike.errors import CollectionEmpty, CollectionNotFound, StoreBusy, StoreCorrupt, StoreError
from lookalike.stores.backend import BuiltIndex, Hits, Rows, WordHits
from lookalike.stores.damage import DamageLog, Fault
from lookalike.stores.entry import NEW
from lookalike.stores.oracle.catalog import (
    change_vectors,
    count,
    delete_collection,
    find,
    find_again,
    find_all,
    lock,
    make_collection,
    must_find,
    read_metric,
    rename,
    set_index,
)
from lookalike.stores.oracle.connection import OracleServer
from lookalike.stores.oracle.errors import NO_SUCH_TABLE, OracleRefusal, is_missing_table, suppress_code
from lookalike.stores.oracle.filters import read_filter
from lookalike.stores.oracle.records import (
    count_lacking,
    fill_vectors,
    ids_of_digest,
    lacking_ids,
    matching_ids,
    orphaned_ids,
    put_labels,
    put_records,
    put_vectors,
    read_records,
    read_stamps,
    read_with_vectors,
    remove_records,
)
from lookalike.stores.oracle.schema import check_dimension, drop_tables, make_vector_table
from lookalike.stores.oracle.search import Search, make_vector_index
from lookalike.stores.oracle.sql import answer
from lookalike.stores.oracle.views import refresh_views
from lookalike.stores.oracle.words import records_by_words
from lookalike.stores.verification import LOST_RECORD, DamagedCandidates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lookalike.stores.backend import Ask, Choose, ChooseSome, Edit, Give, StampRow
    from lookalike.stores.damage import StructureFault
    from lookalike.stores.entry import Entry, VectorEntry
    from lookalike.stores.oracle.connection import OracleSession
    from lookalike.stores.query import Query
    from lookalike.stores.stored import StoredLabels, StoredRecord
    from lookalike.types import Approximation, Record, Space, Table, VectorInfo, Vectors, Where

_T = TypeVar("_T")

_ATTEMPTS = 3  # where tables vanish because another process dropped a vector or made a collection anew


class OracleBackend:
    """Collections in one schema of an Oracle database. Threads may share it.

    Writers of one collection take turns: each locks its row. Readers see what was committed when each of
    their statements began.

    Args:
        url: `oracle://user:password@host:port/service`; see `oracle_address` for what may be left out.
        timeout: seconds to wait for the server, or for another writer.

    Raises:
        InvalidArgument: the URL and the environment do not say who logs in where.
    """

    def __init__(self, url: str, timeout: float = 30.0) -> None:
        self._server = OracleServer(url, timeout)
        self.damage = DamageLog(self._server.url)

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def problems(self) -> list[str]:
        """Nothing: Oracle keeps all indexes itself."""
        return []

    def close(self) -> None:
        self._server.close()

    # The catalog

    def entries(self) -> list[Entry]:
        with self._server.session() as session:
            found = []
            for entry in find_all(session, self.url):
                with suppress_code(*NO_SUCH_TABLE):  # deleted just now
                    found.append(count(session, entry))
            return found

    def entry(self, name: str, *, counted: bool = False) -> Entry:
        return self._read(name, count if counted else lambda _, entry: entry)

    def create(self, name: str, vector: VectorInfo, metric: bytes | None) -> None:
        check_dimension(vector.space.dimension)
        with self._server.session() as session:
            if find(session, self.url, name) is None:
                make_collection(session, name, vector, metric)

    def declare(self, name: str, edit: Edit, metrics: Mapping[Space, bytes]) -> None:
        """Change in one step which vectors a collection declares, and which is its default.

        The table of a new vector is made before that step, in which `edit` is called again: DDL commits, and
        would end the transaction that has the lock. Those of dropped ones are dropped after it.
        """
        with self._server.session() as session:
            made: dict[int, int] = {}  # numbers of tables by the dimension of their vectors
            try:
                while True:
                    before = lock(session, self.url, name, self._server.wait)
                    after = edit(before, partial(_lacking, session, before))
                    new = next((one for one in after.vectors if one.number == NEW), None)
                    if new is None or new.info.space.dimension in made:
                        break
                    session.rollback()
                    dimension = new.info.space.dimension
                    made[dimension] = make_vector_table(session, dimension)
                if new is not None:
                    numbered = replace(new, number=made.pop(new.info.space.dimension))
                    vectors = (numbered if one is new else one for one in after.vectors)
                    after = replace(after, vectors=tuple(vectors))
                if after != before or metrics:
                    change_vectors(session, before, after, metrics)
                    session.commit()
            except Exception:
                with suppress(StoreError):
                    session.rollback()
                    drop_tables(session, None, made.values())
                raise
            refresh_views(session)
            gone = {one.number for one in before.vectors} - {one.number for one in after.vectors}
            # What cannot be dropped now, because somebody reads it, is cleared away later.
            with suppress(StoreError):
                drop_tables(session, None, [*sorted(gone), *made.values()])

    def metric(self, name: str, choose: Choose) -> bytes | None:
        return self._read(name, lambda session, entry: read_metric(session, choose(entry).number))

    def rename(self, name: str, new: str) -> None:
        with self._writing(name) as (session, entry):
            rename(session, entry, new)
            session.commit()
            refresh_views(session)

    def delete(self, name: str) -> int:
        with self._writing(name) as (session, entry):
            found = count(session, entry)
            delete_collection(session, entry)
            return found.count or 0

    # Records

    def put(self, name: str, records: Sequence[StoredRecord], give: Give) -> None:
        with self._writing(name) as (session, entry):
            given = give(entry)
            stale = put_records(session, entry, records)
            for vector, rows in given:
                put_vectors(session, vector.number, [one.id for one in records], rows)
            session.commit()
            if stale:
                refresh_views(session)

    def fill(self, name: str, choose: Choose, records: Sequence[Record], vectors: Vectors) -> int:
        with self._writing(name) as (session, entry):
            given = fill_vectors(session, entry.key, choose(entry).number, records, vectors)
            session.commit()
            return given

    def lacking(self, name: str, choose: Choose, most: int | None) -> list[str]:
        return self._read(
            name, lambda session, entry: lacking_ids(session, entry.key, choose(entry).number, most)
        )

    def relabel(self, name: str, labels: Sequence[StoredLabels]) -> None:
        with self._writing(name) as (session, entry):
            stale = put_labels(session, entry, labels)
            session.commit()
            if stale:
                refresh_views(session)

    def remove(self, name: str, ids: Sequence[str]) -> int:
        with self._writing(name) as (session, entry):
            removed = remove_records(session, entry, ids)
            session.commit()
            return removed

    def stamps(self, name: str) -> list[StampRow]:
        return self._read(name, lambda session, entry: read_stamps(session, entry.key))

    def ids_by_digest(self, name: str, digest: str) -> list[str]:
        return self._read(name, lambda session, entry: ids_of_digest(session, entry.key, digest))

    def matching(self, name: str, where: Where | None) -> tuple[Entry, list[str]]:
        def work(session: OracleSession, entry: Entry) -> tuple[Entry, list[str]]:
            matching = read_filter(session, entry.key, where)
            return entry, [] if matching is None else matching_ids(session, entry.key, matching)

        return self._read(name, work)

    def read(self, of: str | Entry, ids: Sequence[str], choose: ChooseSome) -> Rows | None:
        def work(session: OracleSession, entry: Entry) -> Rows:
            numbers = [vector.number for vector in choose(entry)]
            return Rows(entry, *read_with_vectors(session, entry.key, numbers, ids))

        try:
            return self._read(of, work)
        except CollectionNotFound:
            if isinstance(of, str):
                raise
            return None

    # Search

    def nearest(self, name: str, ask: Ask, query: Query) -> Hits:
        def work(session: OracleSession, entry: Entry) -> Hits:
            vector, queries = ask(entry)
            matching = read_filter(session, entry.key, query.where, query.having)
            if matching is None:
                return Hits([[] for _ in queries], [])
            search = Search(session, vector.number, queries, matching, query.exclude)
            by_index = query.approximate and vector.index is not None
            found = search.approximate(query.k) if by_index else search.exact(query.k)
            ids = {identity for row in found for identity, _ in row}
            records = read_records(session, entry.key, list(ids))
            missing = ids - {str(row[0]) for row in records}
            # A record that is not there was removed just now, and its vectors with it, or it is lost.
            lost = orphaned_ids(session, entry.key, vector.number, sorted(missing))
            if lost:
                raise DamagedCandidates([Fault(identity, None, LOST_RECORD) for identity in lost])
            return Hits(found, records, certain=False)

        return self._read(name, work)

    def words(self, name: str, terms: Sequence[str], k: int, where: Where | None) -> WordHits:
        """Return the ids of the records that have any of the words, by Oracle's score; and the records.

        Raises:
            Unanswerable: the server has no Oracle Text.
        """

        def work(session: OracleSession, entry: Entry) -> WordHits:
            matching = read_filter(session, entry.key, where)
            rows = [] if matching is None else records_by_words(session, entry.key, terms, k, matching)
            return WordHits([str(row[0]) for row in rows], rows)

        return self._read(name, work)

    def build_index(self, name: str, choose: Choose) -> BuiltIndex:
        """Build the vector's index anew.

        The kinds that the URL's option `approximate` names are tried in their order: where there is no memory
        for the graph of `hnsw`, `ivf` is built.

        Raises:
            Unanswerable: no record has the vector.
        """
        with self._server.session(patient=True) as session:
            entry = must_find(session, self.url, name)
            vector = choose(entry)
            if count_lacking(session, entry.key, vector.number) == count_lacking(session, entry.key, None):
                raise CollectionEmpty(entry.name)
            kind = make_vector_index(session, vector.number, self._server.indexes)
            return BuiltIndex(entry, replace(vector, index=kind), kind)

    def keep_recall(self, built: BuiltIndex, measured: Approximation) -> None:
        with self._server.session() as session:
            set_index(session, built.vector.number, built.kind, measured)

    # Looking after

    def check(self) -> list[StructureFault]:
        return []

    def sql(self, statement: str, seconds: float) -> Table:
        return answer(self._server, statement, seconds)

    def _read(self, of: str | Entry, work: Callable[[OracleSession, Entry], _T]) -> _T:
        """Do `work` on a collection; begun anew where a table that it read was dropped meanwhile.

        Args:
            of: its name, or what was found before, however it is called now.
            work: which changes nothing.

        Raises:
            CollectionNotFound: it is not there.
        """
        with self._server.session() as session:
            entry = self._find(session, of)
            for _ in range(_ATTEMPTS):
                try:
                    return work(session, entry)
                except OracleRefusal as error:
                    if not is_missing_table(error):
                        raise
                    before, entry = entry, self._find(session, of)
                    if entry == before:
                        reason = f"is damaged: collection {entry.name!r} has no tables"
                        raise StoreCorrupt(self.url, reason) from error
            raise StoreBusy(self.url, f"collection {entry.name!r} was just made anew; ask again")

    def _find(self, session: OracleSession, of: str | Entry) -> Entry:
        if isinstance(of, str):
            return must_find(session, self.url, of)
        entry = find_again(session, self.url, of)
        if entry is None:
            raise CollectionNotFound(of.name, [])
        return entry

    @contextmanager
    def _writing(self, name: str) -> Iterator[tuple[OracleSession, Entry]]:
        """Lend a session to change the collection `name`, which no other writer has meanwhile."""
        with self._server.session() as session:
            yield session, lock(session, self.url, name, self._server.wait)


def _lacking(session: OracleSession, entry: Entry, vector: VectorEntry) -> int:
    return count_lacking(session, entry.key, None if vector.number == NEW else vector.number)
