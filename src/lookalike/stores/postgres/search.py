"""Nearest neighbours in PostgreSQL: pgvector gives candidates, `reranking` their exact order."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from lookalike.errors import CollectionEmpty, Unanswerable
from lookalike.stores.postgres.connection import SQL, Composed, Literal, Wire
from lookalike.stores.postgres.encoding import binary_vectors
from lookalike.stores.postgres.filters import matching
from lookalike.stores.postgres.records import vector_rows
from lookalike.stores.postgres.schema import index, record_table, vector_table
from lookalike.stores.reranking import approximate_nearest, exact_nearest
from lookalike.stores.verification import sound_candidates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.stores.entry import Entry, VectorEntry
    from lookalike.stores.postgres.address import PostgresAddress
    from lookalike.stores.postgres.connection import Connection
    from lookalike.stores.query import Query
    from lookalike.stores.reranking import Candidates
    from lookalike.types import Approximation, Vectors

# Dimensions that HNSW takes, by type (README of pgvector, "HNSW").
_KINDS = {"hnsw": 2_000, "hnsw-halfvec": 4_000}
# The first version whose scans go on until enough have passed a filter (CHANGELOG of pgvector).
_OLDEST = (0, 8)
# All vectors are of length 1, so their inner product orders as the cosine does. No index serves a sum.
_EXACT = SQL("(vector <#> %b::vector) + 0")
_APPROXIMATE = SQL("vector <=> %b::vector")
_HALF = SQL("vector::halfvec({dimension}) <=> %b::vector::halfvec({dimension})")
# Candidates for each neighbour: an index of shorter numbers has them in a somewhat other order.
_SPARE = 8
_WIDER = {"hnsw": 1, "hnsw-halfvec": 2}
_ANSWER_BYTES = 64 << 20


def index_kind(dimension: int) -> str:
    """Return what kind of index takes vectors of this dimension.

    Raises:
        Unanswerable: none does.
    """
    for kind, most in _KINDS.items():
        if dimension <= most:
            return kind
    raise Unanswerable(
        f"pgvector's indexes take vectors of at most {most:,} numbers, these have {dimension:,}; "
        f"search stays exact"
    )


def create_index(connection: Connection, entry: Entry, vector: VectorEntry, address: PostgresAddress) -> str:
    """Make the approximate index of a vector of a collection that is locked, and return its kind.

    Its recall is not known then.

    Raises:
        Unanswerable: no record has the vector, it is too long, or pgvector is too old.
    """
    table, dimension = vector_table(vector.number), vector.info.space.dimension
    if connection.execute(SQL("SELECT FROM {} LIMIT 1").format(table)).fetchone() is None:
        raise CollectionEmpty(entry.name)
    kind = index_kind(dimension)
    row = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()
    version = tuple(map(int, re.findall(r"\d+", row[0])[:2])) if row is not None else ()
    if version < _OLDEST:
        raise Unanswerable(
            "pgvector there is older than 0.8 and loses matches under a filter: "
            "update it, then ALTER EXTENSION vector UPDATE"
        )
    column = {
        "hnsw": SQL("vector vector_cosine_ops"),
        "hnsw-halfvec": SQL("(vector::halfvec({})) halfvec_cosine_ops").format(Literal(dimension)),
    }[kind]
    # It may take longer than the server's administrator allows questions to take.
    connection.execute("SET LOCAL statement_timeout = 0")
    connection.execute(SQL("DROP INDEX IF EXISTS {}").format(index(vector.number)))
    connection.execute(
        SQL("CREATE INDEX {} ON {} USING hnsw ({}) WITH (m = {}, ef_construction = {})").format(
            index(vector.number),
            table,
            column,
            Literal(address.m),
            Literal(max(address.ef_construction, 2 * address.m)),  # which pgvector asks for
        )
    )
    connection.execute(SQL("ANALYZE {}, {}").format(table, record_table(entry.key)))
    connection.execute(
        "UPDATE lookalike_vectors SET index_kind = %s, approximation = NULL WHERE vector = %s",
        (kind, vector.number),
    )
    return kind


def write_recall(connection: Connection, vector: VectorEntry, measured: Approximation) -> None:
    """Keep with a vector what was measured of its index."""
    connection.execute(
        "UPDATE lookalike_vectors SET approximation = %s::jsonb WHERE vector = %s",
        (json.dumps(asdict(measured)), vector.number),
    )


class VectorSearch:
    """A search of one vector of a collection, in the transaction that is open.

    Args:
        connection: with the transaction.
        entry: the collection.
        vector: the one that is searched.
        queries: float32 of shape (queries, dimension), each row of length 1.
        query: what else is asked.
    """

    def __init__(
        self, connection: Connection, entry: Entry, vector: VectorEntry, queries: Vectors, query: Query
    ) -> None:
        self._connection = connection
        self._vector = vector
        self._dimension = vector.info.space.dimension
        self._queries = queries
        self._k = query.k
        self._binary = [Wire(row) for row in binary_vectors(queries)]
        self._exclude = [list(ids) for ids in query.exclude] if query.exclude is not None else None
        table = vector_table(vector.number)
        self._from: Composed | SQL = SQL("{}").format(table)
        self._condition, self._bound = matching(query.where, query.having)
        if query.where or query.having is not None:
            self._from = SQL("{} JOIN {} USING (id)").format(table, record_table(entry.key))

    def exact(self) -> list[list[tuple[str, float]]]:
        """Return ids and similarities of the exact nearest neighbours of each query.

        Raises:
            DamagedCandidates: it has to be asked again without these.
        """
        return exact_nearest(self._queries, self._k, partial(self._fetch, _EXACT))

    def approximate(self, kind: str, ef_search: int) -> list[list[tuple[str, float]]]:
        """Return what the index finds; where it finds fewer than k, the exact neighbours.

        Raises:
            DamagedCandidates: it has to be asked again without these.
        """
        # Filters are applied behind the index: it goes on until enough have passed. Small tables would be
        # searched exactly without being told not to, and tables of long vectors look small.
        self._connection.execute(
            "SELECT set_config('hnsw.iterative_scan', 'strict_order', true),"
            " set_config('hnsw.ef_search', %s, true), set_config('enable_seqscan', 'off', true)",
            (str(ef_search),),
        )
        order: SQL | Composed = _APPROXIMATE
        if kind == "hnsw-halfvec":
            order = _HALF.format(dimension=Literal(self._dimension))
        count = _WIDER[kind] * (self._k + _SPARE)
        candidates = self._fetch(order, range(len(self._queries)), count)

        def fetch(rows: Sequence[int], count: int) -> list[Candidates]:
            self._connection.execute("SELECT set_config('enable_seqscan', 'on', true)")
            return self._fetch(_EXACT, rows, count)

        return approximate_nearest(self._queries, self._k, candidates, fetch)

    def _fetch(self, order: SQL | Composed, rows: Sequence[int], count: int) -> list[Candidates]:
        """Ask for the first `count` of each query, several queries in one round trip."""
        left_out = SQL("") if self._exclude is None else SQL(" AND id <> ALL(%s::text[])")
        statement = SQL("SELECT id, checksum, vector FROM {} WHERE {}{} ORDER BY {} LIMIT %s").format(
            self._from, self._condition, left_out, order
        )
        step = max(1, _ANSWER_BYTES // (4 * self._dimension * count))
        candidates: list[Candidates] = []
        with self._connection.cursor(binary=True) as cursor:
            for start in range(0, len(rows), step):
                cursor.executemany(
                    statement,
                    [self._parameters(row, count) for row in rows[start : start + step]],
                    returning=True,
                )
                more: bool | None = True
                while more:
                    rows_found = vector_rows(cursor.fetchall(), self._dimension)
                    candidates.append(sound_candidates(rows_found, self._dimension))
                    more = cursor.nextset()
        return candidates

    def _parameters(self, row: int, count: int) -> list[Any]:
        left_out = [] if self._exclude is None else [self._exclude[row]]
        return [*self._bound, *left_out, self._binary[row], count]
