"""How much of the exact answer an approximate index finds."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from lookalike.errors import ExtraMissing, Unanswerable
from lookalike.types import Approximation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lookalike.stores.protocol import Store

K = 10
"""Neighbours that are compared: as those who publish recalls do (ann-benchmarks.com)."""

QUERIES = 200
"""Vectors of the collection that are asked for: 2,000 neighbours, a standard error below 0.3 % at 0.99."""


def measure_recall(store: Store, name: str, kind: str) -> Approximation:
    """Ask a collection for the neighbours of some of its own vectors, exactly and approximately.

    The first vectors in order of id are asked for: ids are digests, so that is a random sample. Whoever is as
    similar as the k-th exact neighbour counts as found.

    Args:
        store: where the collection is, with its index built.
        name: the collection, which is not empty.
        kind: what the index is.
    """
    records, vectors = next(iter(store.scan(name)))
    queries, itself = vectors[:QUERIES], [[record.id] for record in records[:QUERIES]]
    exact = store.nearest(name, queries, K, exclude=itself)
    found = store.nearest(name, queries, K, exclude=itself, approximate=True)
    pairs = zip(exact, found, strict=True)
    recall = part_found(([one.similarity for one in b], [one.similarity for one in s]) for b, s in pairs)
    return Approximation(kind, recall, K, len(queries))


def build_index_if_possible(store: Store, name: str) -> None:
    """Give a collection an approximate index; where it cannot have one, searches are exact and say so."""
    with suppress(ExtraMissing, Unanswerable):
        store.build_index(name)


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
