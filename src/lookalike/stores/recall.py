"""How much of the exact answer an approximate index finds."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from lookalike.errors import ExtraMissing, Unanswerable
from lookalike.stores.query import Query
from lookalike.types import Approximation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lookalike.types import Neighbour, Space, Vectors

K = 10
"""Neighbours that are compared: as those who publish recalls do (ann-benchmarks.com)."""

QUERIES = 200
"""Vectors of the collection that are asked for: 2,000 neighbours, a standard error below 0.3 % at 0.99."""


def measure_recall(
    kind: str, ids: Sequence[str], vectors: Vectors, search: Callable[[Query], list[list[Neighbour]]]
) -> Approximation:
    """Ask a collection for the neighbours of some of its own vectors, exactly and approximately.

    Whoever is as similar as the k-th exact neighbour counts as found.

    Args:
        kind: what the index is.
        ids: of records of the collection: the first by id, which are digests, are a random sample.
        vectors: theirs, float32 of shape (ids, dimension).
        search: answers a query.
    """
    itself = [[identity] for identity in ids]
    exact = search(Query(vectors, K, exclude=itself))
    found = search(Query(vectors, K, exclude=itself, approximate=True))
    pairs = zip(exact, found, strict=True)
    recall = part_found(([one.similarity for one in b], [one.similarity for one in s]) for b, s in pairs)
    return Approximation(kind, recall, K, len(ids))


class Indexed(Protocol):
    """What can give a vector of a collection an approximate index: a store."""

    def build_index(
        self, name: str, using: str | None = None, *, space: Space | None = None
    ) -> Approximation:
        """Make the index, see `Store.build_index`."""
        ...


def build_index_if_possible(
    store: Indexed, name: str, using: str | None = None, *, space: Space | None = None
) -> None:
    """Give a vector an approximate index; where it cannot have one, searches are exact and say so."""
    with suppress(ExtraMissing, Unanswerable):
        store.build_index(name, using, space=space)


def part_found(pairs: Iterable[tuple[Sequence[float], Sequence[float]]]) -> float:
    """Return which part of the exact neighbours was found, 0 … 1; 1 where there are none.

    Args:
        pairs: for each query, the similarities of its exact neighbours, falling, and of those found.
    """
    hits = wanted = 0
    for exact, found in pairs:
        wanted += len(exact)
        hits += sum(similarity >= exact[-1] for similarity in found) if exact else 0
    return hits / wanted if wanted else 1.0
