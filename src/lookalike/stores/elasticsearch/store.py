"""The Elasticsearch store: one index for each collection."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

from lookalike.errors import CollectionNotFound, QueryRefused
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
from lookalike.stores.elasticsearch.address import read_elasticsearch_address
from lookalike.stores.elasticsearch.approximation import add_embedding, check_buildable
from lookalike.stores.elasticsearch.catalog import ElasticsearchCatalog, Entry
from lookalike.stores.elasticsearch.collections import ElasticsearchCollections
from lookalike.stores.elasticsearch.connection import ElasticsearchClient
from lookalike.stores.elasticsearch.errors import IndexGone
from lookalike.stores.elasticsearch.filters import matching
from lookalike.stores.elasticsearch.pages import pages
from lookalike.stores.elasticsearch.records import (
    RECORD_FIELDS,
    STAMP_FIELDS,
    VECTOR_FIELDS,
    check_ids,
    put_documents,
    read_records,
    read_stamps,
    relabel_documents,
    remove_documents,
    sound_hits,
    usable_id,
)
from lookalike.stores.elasticsearch.search import ElasticsearchNeighbours, Question
from lookalike.stores.elasticsearch.words import records_by_words
from lookalike.stores.recall import measure_recall
from lookalike.stores.sql import SECONDS
from lookalike.stores.wording import query_terms
from lookalike.types import CollectionInfo

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from lookalike.stores.damage import StructureFault
    from lookalike.types import (
        Approximation,
        Fields,
        Metadata,
        Neighbour,
        Record,
        Space,
        Stamp,
        Table,
        Vectors,
        Where,
    )

_T = TypeVar("_T")

_FETCH = 5_000


class ElasticsearchStore:
    """A store on an Elasticsearch server, 8.19 or 9.

    Threads may share it, and processes may write at once: each write is seen by all when it returns. A `put`
    whose arguments are refused writes nothing. One that the server ends half-way has written some of its
    records, each of them whole; it raises, and the same call again completes it.

    Args:
        url: `elasticsearch+http://host:port` or `elasticsearch+https://user:password@host:port`, more hosts
            after commas, with the options `api_key`, `ca_file`, `prefix`, `shards`, `replicas` and
            `approximate`. Nothing is sent until something is asked.
        timeout: seconds to wait for an answer.

    Raises:
        InvalidArgument: the URL is not as that.
        ExtraMissing: the package elasticsearch is not installed.
    """

    def __init__(self, url: str, timeout: float = 30.0) -> None:
        address = read_elasticsearch_address(url)
        self._url = address.url
        self._kind = address.approximate
        self._client = ElasticsearchClient(address, timeout)
        self.damage = DamageLog(address.url)
        self._catalog = ElasticsearchCatalog(self._client, address, timeout)
        self._collections = ElasticsearchCollections(self._client, self._catalog, address)

    @property
    def url(self) -> str:
        """The URL it was opened with, without password and key."""
        return self._url

    def collections(self) -> list[CollectionInfo]:
        """Return all collections, by name."""
        return self._collections.every()

    def collection(self, name: str) -> CollectionInfo:
        """Return one collection."""
        return self._collections.one(name)

    def create(self, name: str, space: Space, metric: bytes | None = None) -> CollectionInfo:
        """Return the collection `name`, made now unless it is there; one that is there is not written to.

        Raises:
            InvalidArgument: the name is not usable, or the vectors are too long for the server.
            SpaceMismatch: it is there and of another space.
        """
        name = collection_name(name)
        try:
            return of_space(self.collection(name), space)
        except CollectionNotFound:
            pass
        self._collections.create(name, space, metric)
        return of_space(self.collection(name), space)

    def metric(self, name: str) -> bytes | None:
        """Return what the collection was created with as its `metric`."""
        return self._catalog.metric(self._catalog.find(name))

    def rename(self, names: Mapping[str, str]) -> None:
        """Give collections other names by one change of one document; the readable aliases follow."""
        self._collections.rename(names)
        self.damage.forget()

    def delete(self, name: str) -> int:
        """Delete a collection and its index, and return how many records it had."""
        count = self._collections.delete(self._catalog.find(name))
        self.damage.forget(name)
        return count

    def put(
        self, name: str, records: Sequence[Record], vectors: Vectors, *, space: Space | None = None
    ) -> None:
        """Add records, or replace those of the same id; what is refused leaves all as it was."""
        check_records(records)
        check_ids(records)
        for record in records:
            metadata_text(record.id, record.metadata)

        def act(entry: Entry) -> None:
            checked = unit_vectors(of_space(_bare(entry), space), vectors, len(records))
            self._catalog.add_fields(entry.number, {field for record in records for field in record.fields})
            put_documents(self._client, self._catalog.alias(entry.number), records, checked, entry.kind)

        self._collections.at(name, act)
        self.damage.forget(name, [record.id for record in records])

    def relabel(self, name: str, labels: Sequence[tuple[str, Fields, Metadata]]) -> None:
        """Replace fields and metadata of the records with these ids; others and damaged ones are ignored."""
        for identity, fields, metadata in labels:
            check_fields(identity, fields)
            metadata_text(identity, metadata)

        def act(entry: Entry) -> None:
            relabel_documents(
                self._client,
                self._catalog.alias(entry.number),
                {label[0]: label for label in labels if usable_id(label[0])},
                entry,
                lambda fields: self._catalog.add_fields(entry.number, fields),
                partial(self.damage.note, name),
            )

        self._collections.at(name, act)

    def remove(self, name: str, ids: Sequence[str]) -> int:
        """Remove records by id and return how many there were."""
        usable = list(dict.fromkeys(filter(usable_id, ids)))
        count = self._collections.at(
            name, lambda entry: remove_documents(self._client, self._catalog.alias(entry.number), usable)
        )
        self.damage.forget(name, usable)
        return count

    def stamps(self, name: str) -> dict[str, Stamp]:
        """Return the stamp of every record, by uri; a record that names another file than it did has none."""

        def act(entry: Entry) -> dict[str, Stamp]:
            found = pages(self._client, self._catalog.alias(entry.number), [], STAMP_FIELDS)
            return read_stamps((hit for hits in found for hit in hits), partial(self.damage.note, name))

        return self._collections.at(name, act)

    def get(self, name: str, ids: Sequence[str]) -> list[Record]:
        """Return the records with these ids, in the order asked, without those that are not there."""
        usable = list(dict.fromkeys(filter(usable_id, ids)))

        def act(entry: Entry) -> dict[str, Record]:
            found: dict[str, Record] = {}
            index = self._catalog.alias(entry.number)
            for start in range(0, len(usable), _FETCH):
                hits = self._client.fetch(index, usable[start : start + _FETCH], RECORD_FIELDS)
                records, faults = read_records(hits)
                self.damage.note(name, faults)
                found |= records
            return found

        records = self._collections.at(name, act)
        return [records[identity] for identity in ids if identity in records]

    def ids_by_digest(self, name: str, digest: str) -> list[str]:
        """Return the ids of the records whose file has this SHA-256, sorted."""
        clause = {"term": {"digest": digest}} if digest.isascii() else {"match_none": {}}
        return self._collections.at(name, lambda entry: self._ids(entry, [clause]))

    def scan(self, name: str, where: Where | None = None) -> Iterator[tuple[list[Record], Vectors]]:
        """Yield all matching records with their vectors, in order of id, at most 1,000 at a time.

        The ids are those that match when the first batch is asked for, read at one point in time; each batch
        is read as it is when it is asked for.
        """
        clauses = matching(where)
        entry, ids = self._collections.at(name, lambda entry: (entry, self._ids(entry, clauses)))
        index = self._catalog.alias(entry.number)
        for some in chunks(ids, SCAN_BATCH):
            source = [*RECORD_FIELDS, *VECTOR_FIELDS]
            try:
                hits = self._client.fetch(index, some, source)
            except IndexGone:
                return
            _, records, vectors, faults = sound_hits(hits, entry.space.dimension)
            self.damage.note(name, faults)
            if records:
                yield records, vectors

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
        """Return the nearest neighbours of each query, by falling similarity, then by rising id.

        The server finds candidates, exactly unless told otherwise; their similarities are computed here.
        """
        check_k(k)

        def act(entry: Entry) -> list[list[Neighbour]]:
            checked = unit_vectors(of_space(_bare(entry), space), queries)
            kind = entry.kind if approximate else None
            index = self._catalog.alias(entry.number)
            question = Question(index, entry.space.dimension, kind, where, having, exclude)
            note = partial(self.damage.note, name)
            return ElasticsearchNeighbours(self._client, question, checked, note).nearest(k)

        return self._collections.at(name, act)

    def search_words(self, name: str, words: str, k: int, where: Where | None = None) -> list[Record]:
        """Return the records that have any of the words, best first by the server's BM25, then by id."""
        check_k(k)
        terms, note = query_terms(words), partial(self.damage.note, name)

        def act(entry: Entry) -> list[Record]:
            return records_by_words(self._client, self._catalog.alias(entry.number), terms, where, k, note)

        return self._collections.at(name, act)

    def build_index(self, name: str) -> Approximation:
        """Make the collection's approximate index, or bring it up to date, and measure its recall.

        Its kind is what the option `approximate` of the URL says, int8_hnsw by default.

        Raises:
            Unanswerable: the collection is empty, or its vectors are too short for bbq_hnsw.
        """
        check_buildable(self.collection(name), self._kind)
        entry = self._collections.at(
            name,
            lambda entry: add_embedding(
                self._client, self._catalog, entry, self._kind, partial(self.damage.note, name)
            ),
        )
        built = measure_recall(self, name, self._kind)
        self._catalog.change_state(entry.number, lambda state: state._replace(approximation=built))
        return built

    def check(self) -> list[StructureFault]:
        """Return nothing: Lucene verifies its segments itself, and a document holds all that it repeats."""
        return []

    def sql(self, statement: str, seconds: float = SECONDS) -> Table:  # noqa: ARG002 all are refused
        """Refuse, because Elasticsearch's SQL knows no vectors.

        Raises:
            QueryRefused: always.
        """
        raise QueryRefused(
            "Elasticsearch speaks no SQL over vectors: ask it with _search and knn (docs/stores.md), or copy "
            "the collection into SQLite or PostgreSQL: `lookalike copy FROM TO`"
        )

    def close(self) -> None:
        """Give back the connections. A second call does nothing; another call opens them again."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _ids(self, entry: Entry, clauses: list[dict[str, Any]]) -> list[str]:
        found = pages(self._client, self._catalog.alias(entry.number), clauses, None)
        return sorted(hit["_id"] for hits in found for hit in hits)


def _bare(entry: Entry) -> CollectionInfo:
    return CollectionInfo(entry.name, entry.space, 0, ())
