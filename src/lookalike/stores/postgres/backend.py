"""The back end of PostgreSQL with pgvector: what a store does there, each in one transaction."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from lookalike.errors import CollectionNotFound
from lookalike.stores.backend import BuiltIndex, Hits, Rows, WordHits
from lookalike.stores.damage import DamageLog
from lookalike.stores.postgres.address import read_postgres_address
from lookalike.stores.postgres.catalog import (
    add_collection,
    all_entries,
    change_vectors,
    existing,
    find_entry,
    known_entry,
    read_metric,
    remove_collection,
    rename_collection,
)
from lookalike.stores.postgres.connection import PostgresServer
from lookalike.stores.postgres.records import (
    check_vectors,
    fill_vector,
    ids_of_digest,
    lacking_ids,
    matching_ids,
    put_labels,
    put_records,
    read_records,
    read_stamps,
    read_vectors,
    remove_records,
)
from lookalike.stores.postgres.schema import lock_schema, make_schema
from lookalike.stores.postgres.search import VectorSearch, create_index, write_recall
from lookalike.stores.postgres.sql import answer
from lookalike.stores.postgres.words import check_words, ids_by_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from lookalike.stores.backend import Ask, Choose, ChooseSome, Edit, Give, StampRow
    from lookalike.stores.damage import StructureFault
    from lookalike.stores.entry import Entry
    from lookalike.stores.postgres.connection import Connection, Transaction
    from lookalike.stores.query import Query
    from lookalike.stores.stored import StoredLabels, StoredRecord
    from lookalike.types import Approximation, Record, Space, Table, VectorInfo, Vectors, Where

_T = TypeVar("_T")


class PostgresBackend:
    """Collections in a schema of a PostgreSQL database: see `Backend`.

    Readers see a finished state while others write, and writers of one collection take turns. Connections are
    opened when they are needed and kept for the next call; one that a restart of the server broke is
    replaced.

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
        self.problems: list[str] = []

    @property
    def url(self) -> str:
        return self._address.masked

    def close(self) -> None:
        self._server.close()

    # The catalogue

    def entries(self) -> list[Entry]:
        return self._server.read(all_entries)

    def entry(self, name: str, *, counted: bool = False) -> Entry:
        return self._server.read(lambda transaction: existing(transaction, name, with_fields=counted))

    def create(self, name: str, vector: VectorInfo, metric: bytes | None) -> None:
        with suppress(CollectionNotFound):
            self.entry(name)  # who may only read can open what is there
            return

        def make(transaction: Transaction) -> None:
            connection = transaction.connection
            lock_schema(connection, self._address.schema)
            make_schema(self._server, transaction, self._address.schema)
            if find_entry(connection, name) is None:  # another process may have been faster
                add_collection(connection, name, vector, metric)

        self._server.write(make)

    def declare(self, name: str, edit: Edit, metrics: Mapping[Space, bytes]) -> None:
        self._write(name, lambda connection, entry: change_vectors(connection, entry, edit, metrics))

    def metric(self, name: str, choose: Choose) -> bytes | None:
        return self._read(name, lambda connection, entry: read_metric(connection, choose(entry)))

    def rename(self, name: str, new: str) -> None:
        def rename(transaction: Transaction) -> None:
            if transaction.exists:
                lock_schema(transaction.connection, self._address.schema)
            rename_collection(transaction.connection, existing(transaction, name, lock=True), new)

        self._server.write(rename)

    def delete(self, name: str) -> int:
        def delete(connection: Connection, entry: Entry) -> int:
            remove_collection(connection, entry)
            return entry.count or 0

        return self._write(name, delete)

    # Records

    def put(self, name: str, records: Sequence[StoredRecord], give: Give) -> None:
        self._write(name, lambda connection, entry: put_records(connection, entry, records, give(entry)))

    def fill(self, name: str, choose: Choose, records: Sequence[Record], vectors: Vectors) -> int:
        return self._write(
            name,
            lambda connection, entry: fill_vector(connection, entry, choose(entry), records, vectors),
        )

    def lacking(self, name: str, choose: Choose, most: int | None) -> list[str]:
        return self._read(name, lambda connection, entry: lacking_ids(connection, entry, choose(entry), most))

    def relabel(self, name: str, labels: Sequence[StoredLabels]) -> None:
        self._write(name, lambda connection, entry: put_labels(connection, entry, labels))

    def remove(self, name: str, ids: Sequence[str]) -> int:
        return self._write(name, lambda connection, entry: remove_records(connection, entry, ids))

    def stamps(self, name: str) -> Iterable[StampRow]:
        return self._read(name, read_stamps)

    def ids_by_digest(self, name: str, digest: str) -> list[str]:
        return self._read(name, lambda connection, entry: ids_of_digest(connection, entry, digest))

    def matching(self, name: str, where: Where | None) -> tuple[Entry, list[str]]:
        return self._read(name, lambda connection, entry: (entry, matching_ids(connection, entry, where)))

    def read(self, of: str | Entry, ids: Sequence[str], choose: ChooseSome) -> Rows | None:
        def rows(transaction: Transaction) -> Rows | None:
            connection = transaction.connection
            if isinstance(of, str):
                entry = existing(transaction, of)
            else:
                known = known_entry(connection, of.key) if transaction.exists else None
                if known is None:
                    return None
                entry = known
            vectors = [read_vectors(connection, vector, ids) for vector in choose(entry)]
            return Rows(entry, read_records(connection, entry, ids), vectors)

        return self._server.read(rows)

    # Search

    def nearest(self, name: str, ask: Ask, query: Query) -> Hits:
        def nearest(connection: Connection, entry: Entry) -> Hits:
            vector, queries = ask(entry)
            search = VectorSearch(connection, entry, vector, queries, query)
            if query.approximate and vector.index is not None:
                found = search.approximate(vector.index, self._address.ef_search)
            else:
                found = search.exact()
            ids = {identity for hits in found for identity, _ in hits}
            return Hits(found, read_records(connection, entry, ids))

        return self._read(name, nearest)

    def words(self, name: str, terms: Sequence[str], k: int, where: Where | None) -> WordHits:
        def search(connection: Connection, entry: Entry) -> WordHits:
            ids = ids_by_words(connection, entry, terms, k, where)
            return WordHits(ids, read_records(connection, entry, ids))

        return self._read(name, search)

    def build_index(self, name: str, choose: Choose) -> BuiltIndex:
        def build(connection: Connection, entry: Entry) -> BuiltIndex:
            vector = choose(entry)
            return BuiltIndex(entry, vector, create_index(connection, entry, vector, self._address))

        return self._write(name, build)

    def keep_recall(self, built: BuiltIndex, measured: Approximation) -> None:
        self._server.write(lambda transaction: write_recall(transaction.connection, built.vector, measured))

    # Looking after

    def check(self) -> list[StructureFault]:
        """Return which records a search for words does not know, and what is there of records that are not.

        PostgreSQL verifies its pages itself where it was set up with checksums (`pg_checksums`), and its
        indexes with `pg_amcheck`.
        """
        return self._server.read(
            lambda transaction: [
                fault
                for entry in all_entries(transaction)
                for check in (check_words, check_vectors)
                for fault in check(transaction.connection, entry)
            ]
        )

    def sql(self, statement: str, seconds: float) -> Table:
        return answer(self._server, statement, seconds)

    def _read(self, name: str, work: Callable[[Connection, Entry], _T]) -> _T:
        """Read one state of the collection `name`."""
        return self._server.read(
            lambda transaction: work(transaction.connection, existing(transaction, name))
        )

    def _write(self, name: str, work: Callable[[Connection, Entry], _T]) -> _T:
        """Change the collection `name` in one transaction; other writers of it wait."""
        return self._server.write(
            lambda transaction: work(transaction.connection, existing(transaction, name, lock=True))
        )
