"""Collections in an Oracle database, 23ai or later, through python-oracledb."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Self

from lookalike.errors import CollectionEmpty, InvalidArgument, StoreBusy, StoreCorrupt
from lookalike.stores.batches import SCAN_BATCH, chunks
from lookalike.stores.checks import (
    check_fields,
    check_k,
    check_records,
    collection_name,
    of_space,
    unit_vectors,
)
from lookalike.stores.damage import DamageLog
from lookalike.stores.oracle.catalog import (
    counted,
    delete_collection,
    find,
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
    ids_of_digest,
    matching_ids,
    put_labels,
    put_records,
    read_batch,
    read_records,
    read_stamps,
    records_by_words,
    remove_records,
    uris_of,
)
from lookalike.stores.oracle.schema import LONGEST_VECTOR
from lookalike.stores.oracle.search import Search, make_vector_index
from lookalike.stores.oracle.sql import answer
from lookalike.stores.oracle.views import refresh_views
from lookalike.stores.recall import measure_recall
from lookalike.stores.sql import SECONDS
from lookalike.stores.verification import DamagedCandidates
from lookalike.stores.wording import query_terms
from lookalike.types import Neighbour

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from lookalike.stores.damage import Fault, StructureFault
    from lookalike.stores.oracle.catalog import Place
    from lookalike.stores.oracle.connection import OracleSession
    from lookalike.types import (
        Approximation,
        CollectionInfo,
        Fields,
        Metadata,
        Record,
        Space,
        Stamp,
        Table,
        Vectors,
        Where,
    )


class OracleStore:
    """A store in one schema of an Oracle database. Threads may share it.

    Writers of one collection take turns; readers see what was committed when each of their statements began.

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
        """The URL that leads to the store, without a password."""
        return self._server.url

    def collections(self) -> list[CollectionInfo]:
        """Return all collections, by name."""
        with self._server.session() as session:
            found = []
            for place in find_all(session, self.url):
                with suppress_code(*NO_SUCH_TABLE):
                    found.append(counted(session, place))
            return found

    def collection(self, name: str) -> CollectionInfo:
        """Return one collection."""
        with self._reading(name) as (session, place):
            return counted(session, place)

    def create(self, name: str, space: Space, metric: bytes | None = None) -> CollectionInfo:
        """Return the collection `name`, made now unless it is there; one that is there is not written to."""
        name = collection_name(name)
        if not 1 <= space.dimension <= LONGEST_VECTOR:
            raise InvalidArgument(f"a vector of Oracle has 1 … {LONGEST_VECTOR} dimensions")
        with self._server.session() as session:
            place = find(session, self.url, name)
            if place is None:
                make_collection(session, name, space, metric)
                place = must_find(session, self.url, name)
            return of_space(counted(session, place), space)

    def metric(self, name: str) -> bytes | None:
        """Return what the collection was created with as its `metric`."""
        with self._reading(name) as (session, place):
            return read_metric(session, place.number)

    def rename(self, names: Mapping[str, str]) -> None:
        """Give collections other names in one transaction; their views follow at once, one by one."""
        with self._server.session() as session:
            places = lock(session, self.url, list(names), self._server.wait)
            rename(session, dict(zip(names, places, strict=True)), names)
            session.commit()
            self.damage.forget()
            refresh_views(session)

    def delete(self, name: str) -> int:
        """Delete a collection and return how many records it had; its tables are dropped afterwards."""
        with self._writing(name) as (session, place):
            count = counted(session, place).count
            delete_collection(session, place)
            self.damage.forget(name)
            return count

    def put(
        self, name: str, records: Sequence[Record], vectors: Vectors, *, space: Space | None = None
    ) -> None:
        """Add records, or replace those of the same id, in one transaction."""
        check_records(records)
        vectors = unit_vectors(self._of_space(name, space), vectors, len(records))
        with self._writing(name) as (session, place):
            # Again, because another process may have made or renamed the collection.
            unit_vectors(of_space(place.collection, space), vectors[:0])
            stale = put_records(session, place.number, records, vectors)
            session.commit()
            self.damage.forget(name, [record.id for record in records])
            if stale:
                refresh_views(session)

    def relabel(self, name: str, labels: Sequence[tuple[str, Fields, Metadata]]) -> None:
        """Replace fields and metadata of the records with these ids, in one transaction."""
        for identity, fields, _ in labels:
            check_fields(identity, fields)
        with self._writing(name) as (session, place):
            stale = put_labels(session, place.number, labels)
            session.commit()
            self.damage.forget(name, [identity for identity, _, _ in labels])
            if stale:
                refresh_views(session)

    def remove(self, name: str, ids: Sequence[str]) -> int:
        """Remove records by id, in one transaction, and return how many there were."""
        with self._writing(name) as (session, place):
            removed = remove_records(session, place.number, ids)
            session.commit()
            self.damage.forget(name, ids)
            return removed

    def stamps(self, name: str) -> dict[str, Stamp]:
        """Return the stamp of every record, by uri; a record that names another file than it did has none."""
        with self._reading(name) as (session, place):
            return read_stamps(session, place.number, partial(self.damage.note, name))

    def get(self, name: str, ids: Sequence[str]) -> list[Record]:
        """Return the records with these ids, in the order asked, without those that are not there."""
        with self._reading(name) as (session, place):
            found = read_records(session, place.number, ids, partial(self.damage.note, name))
        return [found[identity] for identity in ids if identity in found]

    def ids_by_digest(self, name: str, digest: str) -> list[str]:
        """Return the ids of the records whose file has this SHA-256, sorted."""
        with self._reading(name) as (session, place):
            return ids_of_digest(session, place.number, digest)

    def scan(self, name: str, where: Where | None = None) -> Iterator[tuple[list[Record], Vectors]]:
        """Yield all matching records with their vectors, in order of id, at most 1,000 at a time.

        The ids are those that match when the first batch is asked for; each batch is read when it is asked
        for, so that no session is held in between. A record that was removed meanwhile is left out, one that
        was replaced comes as it is now. A collection that is renamed meanwhile is read to its end.
        """
        with self._reading(name) as (session, place):
            matching = read_filter(session, place.number, where)
            if matching is None:
                return
            ids = matching_ids(session, place.number, matching)
            dimension = place.collection.space.dimension
        note = partial(self.damage.note, name)
        for some in chunks(ids, SCAN_BATCH):
            with self._server.session() as session:
                batch = read_batch(session, place.number, dimension, some, note)
            if batch[0]:
                yield batch

    def nearest(
        self,
        name: str,
        queries: Vectors,
        k: int,
        where: Where | None = None,
        exclude: Sequence[Collection[str]] | None = None,
        having: str | None = None,
        *,
        space: Space | None = None,
        approximate: bool = False,
    ) -> list[list[Neighbour]]:
        """Return the nearest neighbours of each query, by falling similarity, then by rising id."""
        check_k(k)
        damaged: set[str] = set()

        def note(faults: list[Fault]) -> None:
            self.damage.note(name, faults)
            damaged.update(fault.id for fault in faults)

        while True:
            with self._reading(name) as (session, place):
                queries = unit_vectors(of_space(place.collection, space), queries)
                matching = read_filter(session, place.number, where, having)
                if matching is None:
                    return [[] for _ in queries]
                left_out = list(exclude) if exclude is not None else [()] * len(queries)
                without = [[*some, *damaged] for some in left_out] if damaged else exclude
                search = Search(session, place.number, queries, matching, without)
                by_index = approximate and place.index_kind is not None
                try:
                    found = search.approximate(k) if by_index else search.exact(k)
                except DamagedCandidates as error:
                    uris = uris_of(session, place.number, [fault.id for fault in error.faults])
                    note([fault._replace(uri=uris.get(fault.id)) for fault in error.faults])
                    continue
                ids = list({identity for row in found for identity, _ in row})
                records = read_records(session, place.number, ids, note)
            if all(identity in records for identity in ids):
                return [[Neighbour(records[identity], value) for identity, value in row] for row in found]
            # One of them was removed while we searched, or is damaged: fewer than k must not come back, so
            # ask again.

    def search_words(self, name: str, words: str, k: int, where: Where | None = None) -> list[Record]:
        """Return the records that have any of the words, best first by Oracle's score, then by rising id.

        Raises:
            Unanswerable: the server has no Oracle Text.
        """
        check_k(k)
        with self._reading(name) as (session, place):
            note = partial(self.damage.note, name)
            return records_by_words(session, place.number, query_terms(words), k, where, note)

    def build_index(self, name: str) -> Approximation:
        """Build the collection's vector index anew and measure its recall.

        The kinds that the URL's option `approximate` names are tried in their order: where there is no memory
        for the graph of `hnsw`, `ivf` is built.

        Raises:
            Unanswerable: the collection is empty.
        """
        with self._server.session(patient=True) as session:
            place = must_find(session, self.url, name)
            if not counted(session, place).count:
                raise CollectionEmpty(name)
            kind = make_vector_index(session, place, self._server.indexes)
        measured = measure_recall(self, name, kind)
        with self._server.session() as session:
            set_index(session, place.number, kind, measured)
        return measured

    def check(self) -> list[StructureFault]:
        """Return nothing: Oracle verifies its blocks itself (DB_BLOCK_CHECKSUM, and RMAN's VALIDATE)."""
        return []

    def sql(self, statement: str, seconds: float = SECONDS) -> Table:
        """Answer one SQL statement that only reads; each collection is a view of its name."""
        return answer(self._server, statement, seconds)

    def close(self) -> None:
        """Close the sessions. A second call does nothing; another call opens new ones."""
        self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _of_space(self, name: str, space: Space | None) -> CollectionInfo:
        with self._reading(name) as (_, place):
            return of_space(place.collection, space)

    @contextmanager
    def _reading(self, name: str) -> Iterator[tuple[OracleSession, Place]]:
        """Lend a session to read the collection `name`."""
        with self._server.session() as session:
            place = must_find(session, self.url, name)
            try:
                yield session, place
            except OracleRefusal as error:
                if not is_missing_table(error):
                    raise
                if must_find(session, self.url, name).number == place.number:
                    raise StoreCorrupt(self.url, f"is damaged: collection {name!r} has no tables") from error
                raise StoreBusy(self.url, f"collection {name!r} was just made anew; ask again") from error

    @contextmanager
    def _writing(self, name: str) -> Iterator[tuple[OracleSession, Place]]:
        """Lend a session to change the collection `name`, which no other writer has meanwhile."""
        with self._server.session() as session:
            (place,) = lock(session, self.url, [name], self._server.wait)
            yield session, place
