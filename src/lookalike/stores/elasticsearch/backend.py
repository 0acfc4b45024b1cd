"""Collections on an Elasticsearch server: one index each, with a field for each named vector."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from lookalike.errors import QueryRefused, StoreCorrupt
from lookalike.stores.backend import BuiltIndex, Rows, WordHits
from lookalike.stores.batches import chunks
from lookalike.stores.damage import DamageLog
from lookalike.stores.elasticsearch.address import read_elasticsearch_address
from lookalike.stores.elasticsearch.approximation import check_buildable, write_graph
from lookalike.stores.elasticsearch.catalog import ElasticsearchCatalog
from lookalike.stores.elasticsearch.collections import ElasticsearchCollections
from lookalike.stores.elasticsearch.connection import ElasticsearchClient
from lookalike.stores.elasticsearch.errors import IndexGone
from lookalike.stores.elasticsearch.filters import matching
from lookalike.stores.elasticsearch.pages import pages
from lookalike.stores.elasticsearch.passage import ElasticsearchPassage
from lookalike.stores.elasticsearch.records import (
    RECORD_FIELDS,
    STAMP_FIELDS,
    answered_at_once,
    checksum_source,
    fill_documents,
    put_documents,
    record_row,
    relabel_documents,
    remove_documents,
    stamp_row,
    vector_row,
)
from lookalike.stores.elasticsearch.schema import vector_field
from lookalike.stores.elasticsearch.search import ElasticsearchNeighbours
from lookalike.stores.elasticsearch.words import hits_by_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lookalike.stores.backend import Ask, Choose, ChooseSome, Edit, Give, Hits, StampRow
    from lookalike.stores.damage import StructureFault
    from lookalike.stores.documents import DocumentIndex
    from lookalike.stores.elasticsearch.catalog import Listing
    from lookalike.stores.elasticsearch.passage import PassedAnswer
    from lookalike.stores.entry import Entry, VectorEntry
    from lookalike.stores.query import Query
    from lookalike.stores.relative_paths import Bases
    from lookalike.stores.stored import StoredLabels, StoredRecord
    from lookalike.types import Approximation, Record, Space, Table, VectorInfo, Vectors, Where

# Documents of one request, at most.
_FETCH = 5_000
_VECTOR_FIELD = re.compile(r"vector_(\d+)(_.*)?")


class ElasticsearchBackend:
    """A store on an Elasticsearch server, 8.19 or 9.

    Threads may share it, and processes may write at once: each write is seen by all when it returns. The
    server has no transactions: a document is changed as a whole, only as it was read, and so is the catalogue
    of collections. A `put`, `fill` or `relabel` that the server ends half-way has written some of its
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
        self.url = address.url
        self.damage = DamageLog(address.url)
        self.problems: list[str] = []
        self._kind = address.approximate
        self._client = ElasticsearchClient(address, timeout)
        self._passage = ElasticsearchPassage(address, timeout)
        self._catalog = ElasticsearchCatalog(self._client, address, timeout)
        self._collections = ElasticsearchCollections(self._client, self._catalog, address)

    def close(self) -> None:
        self._client.close()
        self._passage.close()

    # The catalogue

    def entries(self) -> list[Entry]:
        return self._collections.every()

    def entry(self, name: str, *, counted: bool = False) -> Entry:
        return self._collections.one(name) if counted else self._catalog.find(name).entry

    def create(self, name: str, vector: VectorInfo, metric: bytes | None) -> None:
        self._collections.create(name, vector, metric)

    def declare(self, name: str, edit: Edit, metrics: Mapping[Space, bytes]) -> None:
        self._collections.declare(name, edit, metrics)

    def metric(self, name: str, choose: Choose) -> bytes | None:
        while True:
            listing = self._catalog.find(name)
            vector = choose(listing.entry)
            try:
                return self._catalog.metric(listing, vector)
            except StoreCorrupt:  # unless another was kept while it was read
                if self._catalog.find(name).metrics.get(vector.number) == listing.metrics[vector.number]:
                    raise

    def rename(self, name: str, new: str) -> None:
        self._collections.rename(name, new)

    def delete(self, name: str) -> int:
        return self._collections.delete(name)

    # Records

    def put(self, name: str, records: Sequence[StoredRecord], give: Give) -> None:
        """Add or replace records: see `Backend.put`.

        Where vectors were declared or dropped while it wrote, it writes again, or is refused as if it came
        later: so no record stays without a vector that its collection declares.
        """

        def act(listing: Listing) -> None:
            entry = listing.entry
            while True:
                given = give(entry)
                self._catalog.add_fields(entry.key, {name for one in records for name in one.labels.fields})
                put_documents(self._client, self._catalog.alias(entry.key), records, given, listing.bases)
                now = self._catalog.by_key(entry.key) if records else None
                if now is None or _numbers(now.entry) == _numbers(entry):
                    return
                entry = now.entry

        self._collections.at(name, act)

    def fill(self, name: str, choose: Choose, records: Sequence[Record], vectors: Vectors) -> int:
        """Give a vector to records that lack it: see `Backend.fill`.

        Documents that are written lose what they hold of vectors that were dropped.
        """

        def act(listing: Listing) -> int:
            entry = listing.entry
            return fill_documents(
                self._client,
                self._catalog.alias(entry.key),
                choose(entry),
                [(one.id, one.digest) for one in records],
                vectors,
                self._stale(listing),
            )

        return self._collections.at(name, act)

    def _stale(self, listing: Listing) -> dict[str, list[str]]:
        """Return the fields of vectors that are not declared any more, by number."""
        declared = {str(one.number) for one in listing.entry.vectors}
        stale: dict[str, list[str]] = {}
        if listing.last > len(declared):
            for field in self._collections.mapped(listing.entry):
                named = _VECTOR_FIELD.fullmatch(field)
                if named is not None and named[1] not in declared:
                    stale.setdefault(named[1], []).append(field)
        return stale

    def lacking(self, name: str, choose: Choose, most: int | None) -> list[str]:
        def act(listing: Listing) -> list[str]:
            field = vector_field(choose(listing.entry).number)
            self._collections.refresh(listing.entry)
            return self._ids(listing.entry, [], without=[{"exists": {"field": field}}])[:most]

        return self._collections.at(name, act)

    def relabel(self, name: str, labels: Sequence[StoredLabels]) -> None:
        def act(listing: Listing) -> None:
            key = listing.entry.key
            add_fields = partial(self._catalog.add_fields, key)
            relabel_documents(self._client, self._catalog.alias(key), labels, add_fields)

        self._collections.at(name, act)

    def remove(self, name: str, ids: Sequence[str]) -> int:
        def act(listing: Listing) -> int:
            return remove_documents(self._client, self._catalog.alias(listing.entry.key), ids)

        return self._collections.at(name, act)

    def stamps(self, name: str) -> Iterator[StampRow]:
        def act(listing: Listing) -> Iterator[list[dict[str, Any]]]:
            found = pages(self._client, self._catalog.alias(listing.entry.key), [], STAMP_FIELDS)
            # The first page is asked for here: that is when the index may be gone.
            return chain(list(islice(found, 1)), found)

        for hits in self._collections.at(name, act):
            yield from map(stamp_row, hits)

    def ids_by_digest(self, name: str, digest: str) -> list[str]:
        clauses = [{"term": {"digest": digest}}]
        return self._collections.at(name, lambda listing: self._ids(listing.entry, clauses))

    def matching(self, name: str, where: Where | None) -> tuple[Entry, list[str]]:
        clauses = matching(where)
        return self._collections.at(name, lambda listing: (listing.entry, self._ids(listing.entry, clauses)))

    def _ids(
        self, entry: Entry, clauses: list[dict[str, Any]], without: Sequence[dict[str, Any]] = ()
    ) -> list[str]:
        found = pages(self._client, self._catalog.alias(entry.key), clauses, None, without=without)
        return sorted(hit["_id"] for hits in found for hit in hits)

    def read(self, of: str | Entry, ids: Sequence[str], choose: ChooseSome) -> Rows | None:
        if isinstance(of, str):
            return self._collections.at(of, lambda listing: self._read(listing.entry, ids, choose))
        listing = self._catalog.by_key(of.key)
        if listing is None:
            return None
        try:
            return self._read(listing.entry, ids, choose)
        except IndexGone:
            self._collections.check_there([listing.entry])
            return None

    def _read(self, entry: Entry, ids: Sequence[str], choose: ChooseSome) -> Rows:
        chosen = choose(entry)
        rows = Rows(entry, [], [[] for _ in chosen])
        source = [*RECORD_FIELDS, *map(checksum_source, chosen)]
        fields = [vector_field(one.number) for one in chosen]
        alias = self._catalog.alias(entry.key)
        most = min(_FETCH, answered_at_once(sum(one.info.space.dimension for one in chosen)))
        for some in chunks(ids, most):
            wanted = [{"ids": {"values": list(some)}}]
            for hits in pages(self._client, alias, wanted, source, vectors=fields):
                rows.records.extend(map(record_row, hits))
                for vector, found in zip(chosen, rows.vectors, strict=True):
                    found.extend(filter(None, (vector_row(hit, vector) for hit in hits)))
        return rows

    # Search

    def nearest(self, name: str, ask: Ask, query: Query) -> Hits:
        """Return the nearest neighbours of each query: see `Backend.nearest`.

        The server finds candidates, exactly unless told otherwise; their similarities are computed here.
        """

        def act(listing: Listing) -> Hits:
            vector, queries = ask(listing.entry)
            alias = self._catalog.alias(listing.entry.key)
            return ElasticsearchNeighbours(self._client, alias, vector, queries, query).nearest()

        return self._collections.at(name, act)

    def words(self, name: str, terms: Sequence[str], k: int, where: Where | None) -> WordHits:
        def act(listing: Listing) -> list[dict[str, Any]]:
            return hits_by_words(self._client, self._catalog.alias(listing.entry.key), terms, where, k)

        hits = self._collections.at(name, act)
        return WordHits([hit["_id"] for hit in hits], [record_row(hit) for hit in hits])

    def build_index(self, name: str, choose: Choose) -> BuiltIndex:
        """Put an approximate index onto a vector, of the kind that the URL names, int8_hnsw by default.

        From the first step on everybody writes for it, and searches it: documents that lack its field are
        searched exactly beside it, so that a kill in the middle leaves a collection that is only slower. One
        that is damaged stays without.

        Raises:
            Unanswerable: the vectors are too short for bbq_hnsw.
        """
        return self._collections.at(name, lambda listing: self._build(listing.entry, choose))

    def _build(self, entry: Entry, choose: Choose) -> BuiltIndex:
        vector = choose(entry)
        check_buildable(vector, self._kind)
        self._collections.add_field(entry, vector, self._kind)
        changed = self._change_vector(entry, vector.number, partial(replace, index=self._kind))
        if changed is None:
            raise IndexGone(entry.name)
        entry, vector = changed.entry, choose(changed.entry)
        field = vector_field(vector.number, self._kind)
        others = [
            one
            for one in self._collections.mapped(entry)
            if one.startswith(f"{vector_field(vector.number)}_") and one != field
        ]
        note = partial(self.damage.note, entry.name)
        write_graph(self._client, self._catalog.alias(entry.key), vector, self._kind, others, note)
        self._collections.publish_fields(entry)
        return BuiltIndex(entry, vector, self._kind)

    def keep_recall(self, built: BuiltIndex, measured: Approximation) -> None:
        def keep(vector: VectorEntry) -> VectorEntry:
            if vector.index != built.kind:
                return vector
            return replace(vector, info=replace(vector.info, approximation=measured))

        self._change_vector(built.entry, built.vector.number, keep)

    def _change_vector(
        self, entry: Entry, number: int, change: Callable[[VectorEntry], VectorEntry]
    ) -> Listing | None:
        """Change what a collection says of one vector, if it has it; return the collection."""

        def edit(listing: Listing) -> Listing:
            vectors = tuple(change(one) if one.number == number else one for one in listing.entry.vectors)
            return listing._replace(entry=replace(listing.entry, vectors=vectors))

        return self._catalog.change_one(entry.key, edit)

    # What others read: see `KeepsDocuments`

    def indexes(self) -> list[DocumentIndex]:
        return self._collections.indexes()

    def check_index_name(self, name: str, index: str) -> None:
        self._collections.check_index_name(name, index)

    def set_index_name(self, name: str, index: str) -> None:
        self._collections.set_index_name(name, index)

    def path_bases(self, name: str) -> dict[str, str]:
        return dict(self._catalog.find(name).bases)

    def set_path_bases(self, name: str, bases: Bases) -> None:
        self._collections.set_path_bases(name, bases)

    def pass_on(
        self, method: str, path: str, body: bytes | None, params: Mapping[str, str], lines: bool = False
    ) -> PassedAnswer:
        return self._passage.send(method, path, body, params, lines)

    # Looking after

    def check(self) -> list[StructureFault]:
        return []

    def sql(self, statement: str, seconds: float) -> Table:  # noqa: ARG002 all are refused
        """Refuse, because Elasticsearch's SQL knows no vectors.

        Raises:
            QueryRefused: always.
        """
        raise QueryRefused(
            "Elasticsearch speaks no SQL over vectors: ask it with _search and knn (docs/stores.md), or copy "
            "the collection into SQLite or PostgreSQL: `lookalike copy FROM TO`"
        )


def _numbers(entry: Entry) -> set[int]:
    return {one.number for one in entry.vectors}
