"""Nearest neighbours from an Elasticsearch server: exact from `flat`, approximate from an HNSW index."""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lookalike.stores.backend import Hits
from lookalike.stores.elasticsearch.connection import search_lines
from lookalike.stores.elasticsearch.filters import matching
from lookalike.stores.elasticsearch.pages import pages
from lookalike.stores.elasticsearch.records import (
    RECORD_FIELDS,
    record_row,
    usable_ids,
    vector_row,
    vector_source,
)
from lookalike.stores.elasticsearch.schema import vector_field
from lookalike.stores.reranking import exact_nearest, rerank
from lookalike.stores.verification import DamagedCandidates, sound_vectors

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
# Of one request: a server takes 100 MB (http.max_content_length), and answers should fit into memory.
_REQUEST_BYTES = 16 << 20
_ANSWER_BYTES = 64 << 20
_REQUEST_QUERIES = 64
_LABEL_BYTES = 2_000  # of a record beside its vector, by and large
_PAGE = 500


class Question(NamedTuple):
    """What the neighbours are asked of."""

    alias: str
    vector: VectorEntry
    queries: Vectors
    """float32 of shape (queries, dimension)."""
    query: Query
    """What else is asked."""


class _TooMany(Exception):
    """More candidates are needed than one search can give."""


class ElasticsearchNeighbours:
    """Answers one question for some queries."""

    def __init__(self, client: ElasticsearchClient, question: Question) -> None:
        self._client = client
        self._question = question
        self._queries = question.queries
        self._kind = question.vector.index if question.query.approximate else None
        self._clauses = matching(question.query.where, question.query.having)
        self._source = [*RECORD_FIELDS, vector_source(question.vector)]
        self._records: dict[str, RecordRow] = {}

    def nearest(self) -> Hits:
        """Return the k nearest neighbours of each query, by falling similarity, then by rising id.

        Raises:
            DamagedCandidates: some candidates are damaged.
        """
        k = self._question.query.k
        if self._kind is None or _OVERSAMPLE * k > _MOST_CANDIDATES // 2:
            found = self._exact(list(range(len(self._queries))), k)
        else:
            found = self._approximate(k, self._kind)
        ids = {identity for row in found for identity, _ in row}
        return Hits(found, [self._records[identity] for identity in ids])

    def _exact(self, wanted: list[int], k: int) -> list[list[tuple[str, float]]]:
        def fetch(rows: Sequence[int], count: int) -> list[Candidates]:
            if count > _MOST_CANDIDATES:
                raise _TooMany
            return self._ask([wanted[row] for row in rows], count, None)

        try:
            return exact_nearest(self._queries[wanted], k, fetch)
        except _TooMany:
            return self._read_all(wanted, k)

    def _approximate(self, k: int, kind: str) -> list[list[tuple[str, float]]]:
        rows = list(range(len(self._queries)))
        answers = self._ask(rows, _OVERSAMPLE * k, kind)
        found = [
            rerank(self._queries[row], candidates)[:k] for row, candidates in zip(rows, answers, strict=True)
        ]
        few = [row for row in rows if len(found[row]) < k]
        for row, exact in zip(few, self._exact(few, k), strict=True):
            found[row] = exact
        return found

    def _ask(self, rows: Sequence[int], count: int, kind: str | None) -> list[Candidates]:
        """Return the candidates of these queries."""
        answers: list[Candidates] = []
        for bodies in self._requests(rows, count, kind):
            found = self._client.search([(self._question.alias, body) for body in bodies])
            answers += [self._candidates(answer["hits"]["hits"]) for answer in found]
        return answers

    def _requests(self, rows: Sequence[int], count: int, kind: str | None) -> Iterator[list[dict[str, Any]]]:
        """Yield searches, as many as go into one request."""
        answer = count * (6 * self._queries.shape[1] + _LABEL_BYTES)
        most = max(1, min(_REQUEST_QUERIES, _ANSWER_BYTES // answer))
        bodies: list[dict[str, Any]] = []
        size = 0
        for row in rows:
            body = self._body(row, count, kind)
            more = len(search_lines(self._question.alias, body))
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

        exact = vector_field(self._question.vector.number)
        if kind is None:
            knn = [part(exact, count)]
        else:
            field = vector_field(self._question.vector.number, kind)
            width = min(_MOST_CANDIDATES, max(_LEAST_WIDTH, _WIDTH * count))
            # Documents that were written without the field, by who did not know of the index yet, are few.
            knn = [part(field, width), part(exact, count, {"exists": {"field": field}})]
        return {
            "knn": knn,
            "size": len(knn) * count,
            "_source": self._source,
            "track_total_hits": False,
        }

    def _without(self, row: int) -> list[dict[str, Any]]:
        exclude = self._question.query.exclude
        ids = sorted(usable_ids(() if exclude is None else exclude[row]))
        return [{"ids": {"values": ids}}] if ids else []

    def _candidates(self, hits: list[dict[str, Any]]) -> Candidates:
        """Return the documents as candidates, and keep their records.

        Raises:
            DamagedCandidates: the vectors of some are damaged.
        """
        vector = self._question.vector
        # The server has found it by its own copy: what it was made from is there, or is damaged.
        rows = [vector_row(hit, vector) or (str(hit["_id"]), None, None) for hit in hits]
        places, vectors, faults = sound_vectors(rows, self._queries.shape[1])
        records = {row[0]: row for row in map(record_row, hits)}
        if faults:
            raise DamagedCandidates([fault._replace(uri=records[fault.id][1]) for fault in faults])
        self._records |= records
        return list(places), vectors

    def _read_all(self, rows: list[int], k: int) -> list[list[tuple[str, float]]]:
        """Rank every record that matches, page by page: where more are asked for than one search gives."""
        exclude = self._question.query.exclude
        best: list[list[tuple[str, float]]] = [[] for _ in rows]
        clauses = [*self._clauses, {"exists": {"field": vector_field(self._question.vector.number)}}]
        # Damaged ones are left out of the answer of every query: they are not read again.
        never = usable_ids(set.intersection(*map(set, exclude))) if exclude else []
        without = [{"ids": {"values": sorted(never)}}] if never else []
        for hits in pages(self._client, self._question.alias, clauses, self._source, _PAGE, without):
            ids, vectors = self._candidates(hits)
            for place, row in enumerate(rows):
                out = set() if exclude is None else set(exclude[row])
                kept = np.array([number for number, name in enumerate(ids) if name not in out], np.intp)
                more = rerank(self._queries[row], ([ids[number] for number in kept], vectors[kept]))
                merged = heapq.merge(best[place], more, key=lambda pair: (-pair[1], pair[0]))
                best[place] = list(itertools.islice(merged, k))
        return best
