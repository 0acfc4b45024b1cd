"""Nearest neighbours from an Elasticsearch server: exact from `flat`, approximate from an HNSW index."""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.stores.backend import Hits
from lookalike.stores.elasticsearch.connection import search_lines
from lookalike.stores.elasticsearch.filters import matching
from lookalike.stores.elasticsearch.pages import pages
from lookalike.stores.elasticsearch.records import (
    RECORD_FIELDS,
    answered_at_once,
    checksum_source,
    record_row,
    vector_row,
)
from lookalike.stores.elasticsearch.schema import vector_field
from lookalike.stores.reranking import approximate_nearest, exact_nearest, rerank
from lookalike.stores.verification import sound_candidates

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lookalike.stores.backend import RecordRow
    from lookalike.stores.elasticsearch.connection import ElasticsearchClient
    from lookalike.stores.entry import VectorEntry
    from lookalike.stores.query import Query
    from lookalike.stores.reranking import Candidates
    from lookalike.types import Vectors

# Of `num_candidates`, and so of `k`: the limit in Elastic's reference of knn searches.
_MOST_CANDIDATES = 10_000
# Approximate candidates that are ranked again, per neighbour: bbq is published with the same oversampling.
_OVERSAMPLE = 3
# What a graph is searched with, per neighbour and at least; recall grows with it, and so does time.
_WIDTH = 10
_LEAST_WIDTH = 200
# Of one request: a server takes 100 MB (http.max_content_length).
_REQUEST_BYTES = 16 << 20
_REQUEST_QUERIES = 64
_PAGE = 500


class _TooMany(Exception):
    """More candidates are needed than one search can give."""


class ElasticsearchNeighbours:
    """A search of one vector of a collection for the neighbours of some queries.

    Args:
        client: where it asks.
        alias: of the collection's index.
        vector: the one that is searched.
        queries: float32 of shape (queries, dimension), each row of length 1.
        query: what else is asked.
    """

    def __init__(
        self, client: ElasticsearchClient, alias: str, vector: VectorEntry, queries: Vectors, query: Query
    ) -> None:
        self._client = client
        self._alias = alias
        self._vector = vector
        self._queries = queries
        self._query = query
        self._clauses = matching(query.where, query.having)
        self._field = vector_field(vector.number)
        self._source = [*RECORD_FIELDS, checksum_source(vector)]
        self._records: dict[str, RecordRow] = {}

    def nearest(self) -> Hits:
        """Return the k nearest neighbours of each query, by falling similarity, then by rising id.

        Raises:
            DamagedCandidates: some candidates are damaged.
        """
        k, rows = self._query.k, range(len(self._queries))
        kind = self._vector.index if self._query.approximate else None
        try:
            if kind is None or _OVERSAMPLE * k > _MOST_CANDIDATES // 2:
                found = exact_nearest(self._queries, k, self._fetch)
            else:
                candidates = self._ask(rows, _OVERSAMPLE * k, kind)
                found = approximate_nearest(self._queries, k, candidates, self._fetch)
        except _TooMany:
            found = self._read_all(rows, k)
        ids = {identity for row in found for identity, _ in row}
        return Hits(found, [self._records[identity] for identity in ids])

    def _fetch(self, rows: Sequence[int], count: int) -> list[Candidates]:
        if count > _MOST_CANDIDATES:
            raise _TooMany
        return self._ask(rows, count, None)

    def _ask(self, rows: Sequence[int], count: int, kind: str | None) -> list[Candidates]:
        """Return the candidates of these queries."""
        answers: list[Candidates] = []
        for bodies in self._requests(rows, count, kind):
            found = self._client.search([(self._alias, body) for body in bodies])
            answers += [self._candidates(answer["hits"]["hits"]) for answer in found]
        return answers

    def _requests(self, rows: Sequence[int], count: int, kind: str | None) -> Iterator[list[dict[str, Any]]]:
        """Yield searches, as many as go into one request."""
        most = max(1, min(_REQUEST_QUERIES, answered_at_once(self._queries.shape[1]) // count))
        bodies: list[dict[str, Any]] = []
        size = 0
        for row in rows:
            body = self._body(row, count, kind)
            more = len(search_lines(self._alias, body))
            if bodies and (len(bodies) == most or size + more > _REQUEST_BYTES):
                yield bodies
                bodies, size = [], 0
            bodies.append(body)
            size += more
        if bodies:
            yield bodies

    def _body(self, row: int, count: int, kind: str | None) -> dict[str, Any]:
        vector = self._queries[row].tolist()
        without = self._without(row)

        def part(field: str, width: int, *more: dict[str, Any]) -> dict[str, Any]:
            return {
                "field": field,
                "query_vector": vector,
                "k": count,
                "num_candidates": width,
                # Inside knn: a filter beside it would look only at what was found.
                "filter": {"bool": {"filter": self._clauses, "must_not": [*without, *more]}},
            }

        if kind is None:
            knn = [part(self._field, count)]
        else:
            field = vector_field(self._vector.number, kind)
            width = min(_MOST_CANDIDATES, max(_LEAST_WIDTH, _WIDTH * count))
            # Documents that were written without the field, by who did not know of the index yet, are few.
            knn = [part(field, width), part(self._field, count, {"exists": {"field": field}})]
        return {
            "knn": knn,
            "size": len(knn) * count,
            "_source": self._source,
            "docvalue_fields": [self._field],
            "track_total_hits": False,
        }

    def _without(self, row: int) -> list[dict[str, Any]]:
        exclude = self._query.exclude
        ids = sorted(() if exclude is None else exclude[row])
        return [{"ids": {"values": ids}}] if ids else []

    def _candidates(self, hits: list[dict[str, Any]]) -> Candidates:
        """Return the documents as candidates, and keep their records.

        Raises:
            DamagedCandidates: the vectors of some are damaged.
        """
        # The server has found it by its vector: that is there, or is damaged.
        rows = [vector_row(hit, self._vector) or (str(hit["_id"]), None, None) for hit in hits]
        candidates = sound_candidates(rows, self._queries.shape[1])
        self._records |= {row[0]: row for row in map(record_row, hits)}
        return candidates

    def _read_all(self, rows: Sequence[int], k: int) -> list[list[tuple[str, float]]]:
        """Rank every record that matches, page by page: where more are asked for than one search gives."""
        exclude = self._query.exclude
        best: list[list[tuple[str, float]]] = [[] for _ in rows]
        clauses = [*self._clauses, {"exists": {"field": self._field}}]
        # Damaged ones are left out of the answer of every query: they are not read again.
        never = set.intersection(*map(set, exclude)) if exclude else set()
        without = [{"ids": {"values": sorted(never)}}] if never else []
        found = pages(self._client, self._alias, clauses, self._source, _PAGE, without, [self._field])
        for hits in found:
            ids, vectors = self._candidates(hits)
            for place, row in enumerate(rows):
                out = set() if exclude is None else set(exclude[row])
                kept = np.array([number for number, name in enumerate(ids) if name not in out], np.intp)
                more = rerank(self._queries[row], ([ids[number] for number in kept], vectors[kept]))
                merged = heapq.merge(best[place], more, key=lambda pair: (-pair[1], pair[0]))
                best[place] = list(itertools.islice(merged, k))
        return best
