"""Nearest neighbours by Oracle's own ordering: the statements, and what they fetch.

VECTOR_DISTANCE and the row limits EXACT and APPROX: Oracle AI Vector Search User's Guide, "Perform Exact
Similarity Search" and "Perform Approximate Similarity Search Using Vector Indexes". Without EXACT the
optimizer may take a vector index ("Vector Index Hints").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from lookalike.stores.batches import chunks
from lookalike.stores.oracle.rows import TOGETHER, in_list, read_vectors, text_key, value_key, vector_bind
from lookalike.stores.oracle.schema import records_table, values_table, vector_index
from lookalike.stores.reranking import exact_nearest, rerank
from lookalike.stores.verification import DamagedCandidates

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from lookalike.stores.oracle.session import OracleSession
    from lookalike.stores.reranking import Candidates
    from lookalike.types import Vectors, Where

ACCURACY = 95
"""Percent of the nearest that an approximate index is built and asked for."""

_ORGANIZATIONS = {"hnsw": "INMEMORY NEIGHBOR GRAPH", "ivf": "NEIGHBOR PARTITIONS"}
_SPARE = 8  # rows beyond k that an approximate search is asked for
_LISTED = 512  # values that a condition lists one by one; more are one bind
_KEYS_OF = "SELECT j.value_key FROM JSON_TABLE(:values{}, '$[*]' COLUMNS (value_key VARCHAR2(32) PATH '$')) j"
# FETCH takes a NUMBER; no table has more rows than this.
_MOST_ROWS = 2**31 - 1


class Filter(NamedTuple):
    """A condition on records `r`, and what it binds."""

    condition: str
    """'' where all match."""
    binds: dict[str, Any]
    sizes: dict[str, str]


NO_FILTER = Filter("", {}, {})


def index_statement(kind: str, collection: int) -> str:
    """Return the statement that builds a vector index.

    CREATE VECTOR INDEX: Oracle AI Vector Search User's Guide, "Hierarchical Navigable Small World CREATE
    INDEX" and "Inverted File Flat CREATE INDEX".

    Args:
        kind: `hnsw`, which is held in the memory of VECTOR_MEMORY_SIZE, or `ivf`, which is in tables.
        collection: the number of the collection.
    """
    return (
        f"CREATE VECTOR INDEX {vector_index(collection)} ON {records_table(collection)} (embedding)"
        f" ORGANIZATION {_ORGANIZATIONS[kind]} DISTANCE COSINE WITH TARGET ACCURACY {ACCURACY:d}"
    )


def nearest_statement(collection: int, condition: str, *, approximate: bool) -> str:
    """Return the statement that fetches the `:fetched` records nearest to `:query`."""
    where = f" WHERE {condition}" if condition else ""
    kind, accuracy = ("APPROX", f" WITH TARGET ACCURACY {ACCURACY:d}") if approximate else ("EXACT", "")
    return (
        f"SELECT r.id, r.vector_checksum, r.embedding FROM {records_table(collection)} r{where}"  # noqa: S608 our own conditions
        f" ORDER BY VECTOR_DISTANCE(r.embedding, :query, COSINE)"
        f" FETCH {kind} FIRST :fetched ROWS ONLY{accuracy}"
    )


def read_filter(
    session: OracleSession, collection: int, where: Where | None, having: str | None = None
) -> Filter | None:
    """Return the condition that says `where` and `having`; None where nothing can match."""
    names = [*(where or {}), *([having] if having is not None else [])]
    if not names:
        return NO_FILTER
    numbers: dict[str, int] = {}
    keys = {text_key(name): name for name in names}
    for some in chunks(list(keys), TOGETHER):
        listed, binds = in_list("name_key", "name_key", some)
        rows = session.query(
            "SELECT name_key, field_id FROM lookalike_fields"  # noqa: S608 binds
            f" WHERE collection_id = :collection_id AND {listed}",
            {"collection_id": collection, **binds},
        )
        numbers |= {keys[key]: int(number) for key, number in rows}
    return filter_of(collection, numbers, where, having)


def filter_of(
    collection: int, numbers: Mapping[str, int], where: Where | None, having: str | None = None
) -> Filter | None:
    """Return the condition that says `where` and `having`; None where nothing can match.

    Args:
        collection: the number of the collection.
        numbers: those of its fields, by name.
        where: names and values are never in the statement; digests of values are bound.
        having: the name of a field that must be there.
    """
    conditions: list[str] = []
    binds: dict[str, Any] = {}
    sizes: dict[str, str] = {}
    chosen = f"r.id IN (SELECT v.id FROM {values_table(collection)} v WHERE v.field_id = "  # noqa: S608
    for place, (name, values) in enumerate((where or {}).items()):
        keys = sorted({key for key in map(value_key, values) if key is not None})
        if name not in numbers or not keys:
            return None
        binds[f"field{place}"] = numbers[name]
        if len(keys) <= _LISTED:
            listed, more = in_list("v.value_key", f"value{place}_", keys)
            binds |= more
        else:
            # Past the 65,535 binds of a statement, and the elements of an IN list.
            listed = f"v.value_key IN ({_KEYS_OF.format(place)})"
            binds[f"values{place}"] = keys
            sizes[f"values{place}"] = "json"
        conditions.append(f"{chosen}:field{place} AND {listed})")
    if having is not None:
        if having not in numbers:
            return None
        binds["had"] = numbers[having]
        conditions.append(f"{chosen}:had)")
    return Filter(" AND ".join(conditions), binds, sizes)


class Search:
    """Asks one collection for the neighbours of some queries."""

    def __init__(
        self,
        session: OracleSession,
        collection: int,
        queries: Vectors,
        matching: Filter,
        exclude: Sequence[Collection[str]] | None,
    ) -> None:
        """Prepare for one call of `exact` or `approximate`.

        Args:
            session: lent for as long as that takes.
            collection: its number.
            queries: float32 of shape (queries, dimension), each row of length 1.
            matching: what records must match.
            exclude: for each query, ids that are left out. As many more are fetched, and left out here: the
                list is short, and a condition with all of them would make each statement another.
        """
        self._session = session
        self._collection = collection
        self._queries = queries
        self._matching = matching
        self._exclude = [frozenset(ids) for ids in exclude] if exclude is not None else None

    def leave_out(self, ids: Iterable[str]) -> None:
        """Leave records out of all that is asked from now on."""
        some = frozenset(ids)
        self._exclude = [known | some for known in self._exclude or [frozenset[str]() for _ in self._queries]]

    def exact(self, k: int) -> list[list[tuple[str, float]]]:
        """Return ids and similarities of the exact nearest neighbours of each query, in order.

        Raises:
            DamagedCandidates: it has to be asked again without these.
        """
        return exact_nearest(self._queries, k, self._fetch)

    def approximate(self, k: int) -> list[list[tuple[str, float]]]:
        """Return neighbours of each query that the vector index finds; the exact ones where those are few."""
        statement = nearest_statement(self._collection, self._matching.condition, approximate=True)
        found = [
            rerank(self._queries[row], self._candidates(statement, row, k + _SPARE))[:k]
            for row in range(len(self._queries))
        ]
        few = [row for row, some in enumerate(found) if len(some) < k]
        if few:
            again = exact_nearest(
                self._queries[few], k, lambda rows, count: self._fetch([few[row] for row in rows], count)
            )
            for row, some in zip(few, again, strict=True):
                found[row] = some
        return found

    def _fetch(self, rows: Sequence[int], count: int) -> list[Candidates]:
        statement = nearest_statement(self._collection, self._matching.condition, approximate=False)
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
        kept = [row for row in rows if row[0] not in left_out]
        vectors, faults = read_vectors(kept, self._queries.shape[1])
        if faults:
            raise DamagedCandidates(faults)
        return [row[0] for row in kept], vectors
