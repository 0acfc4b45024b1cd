"""Nearest neighbours by Oracle's own ordering: the statements, and what they fetch.

VECTOR_DISTANCE and the row limits EXACT and APPROX: Oracle AI Vector Search User's Guide, "Perform Exact
Similarity Search" and "Perform Approximate Similarity Search Using Vector Indexes". Without EXACT the
optimizer may take a vector index ("Vector Index Hints").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.stores.oracle.catalog import set_index
from lookalike.stores.oracle.encoding import vector_bind, vector_content
from lookalike.stores.oracle.errors import OracleRefusal
from lookalike.stores.oracle.schema import vector_index, vector_table
from lookalike.stores.reranking import approximate_nearest, exact_nearest
from lookalike.stores.verification import sound_candidates

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from lookalike.stores.oracle.connection import OracleSession
    from lookalike.stores.oracle.filters import Filter
    from lookalike.stores.reranking import Candidates
    from lookalike.types import Vectors

ACCURACY = 95
"""Percent of the nearest that an approximate index is built and asked for."""

_ORGANIZATIONS = {"hnsw": "INMEMORY NEIGHBOR GRAPH", "ivf": "NEIGHBOR PARTITIONS"}
_SPARE = 8  # rows beyond k that an approximate search is asked for
# FETCH takes a NUMBER; no table has more rows than this.
_MOST_ROWS = 2**31 - 1


def index_statement(kind: str, vector: int) -> str:
    """Return the statement that builds a vector index.

    CREATE VECTOR INDEX: Oracle AI Vector Search User's Guide, "Hierarchical Navigable Small World CREATE
    INDEX" and "Inverted File Flat CREATE INDEX".

    Args:
        kind: `hnsw`, which is held in the memory of VECTOR_MEMORY_SIZE, or `ivf`, which is in tables.
        vector: the number of the vector.
    """
    return (
        f"CREATE VECTOR INDEX {vector_index(vector)} ON {vector_table(vector)} (embedding)"
        f" ORGANIZATION {_ORGANIZATIONS[kind]} DISTANCE COSINE WITH TARGET ACCURACY {ACCURACY:d}"
    )


def nearest_statement(vector: int, condition: str, *, approximate: bool) -> str:
    """Return the statement that fetches the `:fetched` rows of a vector's table nearest to `:query`."""
    where = f" WHERE {condition}" if condition else ""
    kind, accuracy = ("APPROX", f" WITH TARGET ACCURACY {ACCURACY:d}") if approximate else ("EXACT", "")
    return (
        f"SELECT r.id, r.vector_checksum, r.embedding FROM {vector_table(vector)} r{where}"  # noqa: S608 our own conditions
        f" ORDER BY VECTOR_DISTANCE(r.embedding, :query, COSINE)"
        f" FETCH {kind} FIRST :fetched ROWS ONLY{accuracy}"
    )


class Search:
    """A search among the vectors of one name for the nearest neighbours of some queries."""

    def __init__(
        self,
        session: OracleSession,
        vector: int,
        queries: Vectors,
        matching: Filter,
        exclude: Sequence[Collection[str]] | None,
    ) -> None:
        """Prepare for one call of `exact` or `approximate`.

        Args:
            session: lent for as long as that takes.
            vector: the number of the vector.
            queries: float32 of shape (queries, dimension), each row of length 1.
            matching: what records must match.
            exclude: for each query, ids that are left out. As many more are fetched, and left out here: the
                list is short, and a condition with all of them would make each statement another.
        """
        self._session = session
        self._vector = vector
        self._queries = queries
        self._matching = matching
        self._exclude = [frozenset(ids) for ids in exclude] if exclude is not None else None

    def exact(self, k: int) -> list[list[tuple[str, float]]]:
        """Return ids and similarities of the exact nearest neighbours of each query, in order.

        Raises:
            DamagedCandidates: it has to be asked again without these.
        """
        return exact_nearest(self._queries, k, self._fetch)

    def approximate(self, k: int) -> list[list[tuple[str, float]]]:
        """Return neighbours of each query that the vector index finds; the exact ones where those are few."""
        statement = nearest_statement(self._vector, self._matching.condition, approximate=True)
        rows = range(len(self._queries))
        candidates = [self._candidates(statement, row, k + _SPARE) for row in rows]
        return approximate_nearest(self._queries, k, candidates, self._fetch)

    def _fetch(self, rows: Sequence[int], count: int) -> list[Candidates]:
        statement = nearest_statement(self._vector, self._matching.condition, approximate=False)
        return [self._candidates(statement, row, count) for row in rows]

    def _candidates(self, statement: str, row: int, count: int) -> Candidates:
        left_out = self._exclude[row] if self._exclude is not None else frozenset()
        fetched = min(count + len(left_out), _MOST_ROWS)
        rows = self._session.query(
            statement,
            {**self._matching.binds, "query": vector_bind(self._queries[row]), "fetched": fetched},
            {**self._matching.sizes, "query": "vector"},
            rows=fetched,
        )
        kept = [(row[0], row[1], vector_content(row[2])) for row in rows if row[0] not in left_out]
        return sound_candidates(kept, self._queries.shape[1])


def make_vector_index(session: OracleSession, vector: int, kinds: Sequence[str]) -> str:
    """Build a vector's index anew, of the first kind that the server can build, and return its kind."""
    set_index(session, vector, None, None)
    session.execute(f"DROP INDEX IF EXISTS {vector_index(vector)}")
    *preferred, last = kinds
    built = next((kind for kind in preferred if _can_build(session, vector, kind)), None)
    if built is None:
        session.execute(index_statement(last, vector))
        built = last
    set_index(session, vector, built, None)
    return built


def _can_build(session: OracleSession, vector: int, kind: str) -> bool:
    try:
        session.execute(index_statement(kind, vector))
    except OracleRefusal:
        return False  # no memory for it; if it is something else, the next kind tells
    return True
