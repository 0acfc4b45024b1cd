"""Collections in a PostgreSQL database with the extension pgvector."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Self, TypeVar

from lookalike.errors import CollectionNotFound, Unanswerable
from lookalike.stores.batches import SCAN_BATCH, chunks
from lookalike.stores.checks import (
    check_fields,
    check_k,
    check_records,
    collection_name,
    metadata_text,
    of_space,
    unit_vectors,
)
from lookalike.stores.damage import DamageLog
from lookalike.stores.postgres.address import read_postgres_address
from lookalike.stores.postgres.catalog import (
    add_collection,
    all_collections,
    collection_from,
    existing,
    find_collection,
    read_metric,
    remove_collection,
    rename_all,
)
from lookalike.stores.postgres.connection import PostgresServer
from lookalike.stores.postgres.records import (
    ids_of_digest,
    matching_ids,
    put_labels,
    put_rows,
    read_batch,
    read_records,
    read_stamps,
    record_rows,
    remove_records,
    uris_of,
)
from lookalike.stores.postgres.schema import lock_schema, make_schema
from lookalike.stores.postgres.search import PostgresSearch, create_index, keep_recall
from lookalike.stores.postgres.sql import answer
from lookalike.stores.postgres.words import check_words, ids_by_words
from lookalike.stores.recall import measure_recall
from lookalike.stores.sql import SECONDS
from lookalike.stores.verification import DamagedCandidates
from lookalike.stores.wording import query_terms
from lookalike.types import Neighbour

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from lookalike.stores.damage import Fault, StructureFault
    from lookalike.stores.postgres.catalog import Found
    from lookalike.stores.postgres.connection import Connection, Transaction
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

_T = TypeVar("_T")


class PostgresStore:
    """A store in a schema of a PostgreSQL database.

    Threads and processes may share it: readers see a finished state while others write, and writers of one
    collection take turns. Connections are opened when they are needed and kept for the next call; one that a
    restart of the server broke is replaced.

    Args:
        url: `postgresql://user:password@host:port/database`, see `read_postgres_address`.
        timeout: seconds to wait for the server, and for locks of others.

    Raises:
        InvalidArgument: the URL is not as it should be.
        ExtraMissing: psycopg is not installed.
    """

    def __init__(self, url: str, timeout: float = 30.0) -> None:
        self._address = read_postgres_address(url)
        self._server = PostgresServer(self._address, timeout)
        self.damage = DamageLog(self._address.masked)

    @property
    def url(self) -> str:
        """The URL it was opened with, without a password."""
        return self._address.masked

    def collections(self) -> list[CollectionInfo]:
        """Return all collections, by name."""
        return self._server.read(all_collections)

    def collection(self, name: str) -> CollectionInfo:
        """Return one collection."""
        return self._reading(name, collection_from)

    def create(self, name: str, space: Space, metric: bytes | None = None) -> CollectionInfo:
        """Return the collection `name`, made now unless it is there; one that is there is not written to."""
        name = collection_name(name)
        with suppress(CollectionNotFound):
            return of_space(self.collection(name), space)

        def make(transaction: Transaction) -> CollectionInfo:
            connection = transaction.connection
            lock_schema(connection, self._address.schema)
            make_schema(self._server, transaction, self._address.schema)
            if find_collection(connection, name) is None:  # another process may have been faster
                add_collection(connection, name, space, metric)
            found = find_collection(connection, name)
            assert found is not None  # noqa: S101 for the type
            return of_space(collection_from(connection, found), space)

        return self._server.write(make)

    def metric(self, name: str) -> bytes | None:
        """Return what the collection was created with as its `metric`."""
        return self._reading(name, read_metric)

    def rename(self, names: Mapping[str, str]) -> None:
        """Give collections other names in one transaction; their views are renamed with them."""
        self._server.write(lambda transaction: rename_all(transaction, names, self._address.schema))
        self.damage.forget()

    def delete(self, name: str) -> int:
        """Delete a collection and its view, and return how many records it had."""

        def write(connection: Connection, found: Found) -> int:
            remove_collection(connection, found.number)
            return found.records

        count = self._writing(name, write)
        self.damage.forget(name)
        return count

    def put(
        self, name: str, records: Sequence[Record], vectors: Vectors, *, space: Space | None = None
    ) -> None:
        """Add records, or replace those of the same id, in one transaction."""
        check_records(records)
        vectors = unit_vectors(of_space(self.collection(name), space), vectors, len(records))
        rows = record_rows(records, vectors)

        def write(connection: Connection, found: Found) -> None:
            # Again, because another process may have made or renamed the collection.
            unit_vectors(of_space(collection_from(connection, found), space), vectors[:0])
            put_rows(connection, found.number, records, rows)

        self._writing(name, write)
        self.damage.forget(name, [record.id for record in records])

    def relabel(self, name: str, labels: Sequence[tuple[str, Fields, Metadata]]) -> None:
        """Replace fields and metadata of the records with these ids, in one transaction."""
        for identity, fields, metadata in labels:
            check_fields(identity, fields)
            metadata_text(identity, metadata)
        by_id = {label[0]: label for label in labels}
        self._writing(name, lambda connection, found: put_labels(connection, found.number, by_id))
        self.damage.forget(name, by_id)

    def remove(self, name: str, ids: Sequence[str]) -> int:
        """Remove records by id, in one transaction, and return how many there were."""
        count = self._writing(name, lambda connection, found: remove_records(connection, found.number, ids))
        self.damage.forget(name, ids)
        return count

    def stamps(self, name: str) -> dict[str, Stamp]:
        """Return the stamp of every record, by uri; a record that names another file than it did has none."""
        note = partial(self.damage.note, name)
        return self._reading(name, lambda connection, found: read_stamps(connection, found.number, note))

    def get(self, name: str, ids: Sequence[str]) -> list[Record]:
        """Return the records with these ids, in the order asked, without those that are not there."""
        note = partial(self.damage.note, name)
        by_id = self._reading(name, lambda one, found: read_records(one, found.number, ids, note))
        return [by_id[identity] for identity in ids if identity in by_id]

    def ids_by_digest(self, name: str, digest: str) -> list[str]:
        """Return the ids of the records whose file has this SHA-256, sorted."""
        return self._reading(name, lambda connection, found: ids_of_digest(connection, found.number, digest))

    def scan(self, name: str, where: Where | None = None) -> Iterator[tuple[list[Record], Vectors]]:
        """Yield all matching records with their vectors, in order of id, at most 1,000 at a time.

        The ids are those that match when the first batch is asked for; each batch is a transaction of its
        own, and none is open in between. A record that was removed meanwhile is left out, one that was
        replaced comes as it is now.
        """
        number, dimension, ids = self._reading(
            name,
            lambda connection, found: (
                found.number,
                found.space.dimension,
                matching_ids(connection, found.number, where),
            ),
        )
        note = partial(self.damage.note, name)
        for some in chunks(ids, SCAN_BATCH):
            batch = self._server.read(partial(_batch, number, dimension, some, note))
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
        """Return the nearest neighbours of each query, the exact ones unless told otherwise."""
        check_k(k)
        note = partial(self.damage.note, name)

        def read(connection: Connection, found: Found) -> list[list[Neighbour]]:
            unit = unit_vectors(of_space(collection_from(connection, found), space), queries)
            if not len(unit):
                return []
            search = PostgresSearch(connection, found, unit, where, exclude, having)
            while True:
                try:
                    if approximate and found.index_kind is not None:
                        hits = search.approximate(k, self._address.ef_search)
                    else:
                        hits = search.exact(k)
                except DamagedCandidates as damaged:
                    uris = uris_of(connection, found.number, [fault.id for fault in damaged.faults])
                    note([fault._replace(uri=uris.get(fault.id)) for fault in damaged.faults])
                    search.leave_out(fault.id for fault in damaged.faults)
                    continue
                ids = {identity for row in hits for identity, _ in row}
                records = read_records(connection, found.number, ids, note, where, having)
                if len(records) == len(ids):
                    return [[Neighbour(records[identity], value) for identity, value in row] for row in hits]
                search.leave_out(ids - records.keys())

        return self._reading(name, read)

    def search_words(self, name: str, words: str, k: int, where: Where | None = None) -> list[Record]:
        """Return the records that have any of the words, best first by BM25, then by rising id."""
        check_k(k)
        terms = query_terms(words)
        note = partial(self.damage.note, name)

        def read(connection: Connection, found: Found) -> list[Record]:
            wanted = k
            while True:
                ids = ids_by_words(connection, found, terms, wanted, where)
                records = read_records(connection, found.number, ids, note, where)
                there = [records[identity] for identity in ids if identity in records]
                if len(there) >= k or len(ids) < wanted:
                    return there[:k]
                wanted *= 2  # some are damaged, and others take their places

        return self._reading(name, read)

    def build_index(self, name: str) -> Approximation:
        """Make the collection's HNSW index anew, of halfvec where the dimension needs it, and measure it."""

        def build(connection: Connection, found: Found) -> tuple[Found, str]:
            return found, create_index(connection, found, self._address)

        found, kind = self._writing(name, build)
        try:
            measured = measure_recall(self, name, kind)
        except StopIteration:
            raise Unanswerable(f"collection {found.name!r} was emptied meanwhile") from None
        self._server.write(lambda transaction: keep_recall(transaction.connection, found, measured))
        return measured

    def check(self) -> list[StructureFault]:
        """Return which records a search for words does not know, or knows though they are not there.

        PostgreSQL verifies its pages itself where it was set up with checksums (`pg_checksums`), and its
        indexes with `pg_amcheck`.
        """
        return self._server.read(check_words)

    def sql(self, statement: str, seconds: float = SECONDS) -> Table:
        """Answer one SQL statement that only reads.

        Each collection is a view of its name; pgvector's operators compare vectors. Values are as JSON has
        them; what it has not (dates, vectors …) is text.

        Raises:
            QueryRefused: it does not parse, fails, is more than one, or would write.
            QueryStopped: it takes longer than `seconds`, or its answer is too large to be held.
        """
        return answer(self._server, statement, seconds)

    def close(self) -> None:
        """Close the connections. A second call does nothing; another call opens others."""
        self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _reading(self, name: str, work: Callable[[Connection, Found], _T]) -> _T:
        """Read one state of the collection `name`."""
        return self._server.read(
            lambda transaction: work(transaction.connection, existing(transaction, name))
        )

    def _writing(self, name: str, work: Callable[[Connection, Found], _T]) -> _T:
        """Change the collection `name` in one transaction; other writers of it wait."""

        def write(transaction: Transaction) -> _T:
            return work(transaction.connection, existing(transaction, name, lock=True))

        return self._server.write(write)


def _batch(
    number: int,
    dimension: int,
    ids: Sequence[str],
    note: Callable[[list[Fault]], None],
    transaction: Transaction,
) -> tuple[list[Record], Vectors]:
    return read_batch(transaction, number, dimension, ids, note)
