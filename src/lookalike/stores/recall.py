"""How much of the exact answer an approximate index finds."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

import numpy as np

from lookalike.errors import ExtraMissing, Unanswerable
from lookalike.stores.query import Query
from lookalike.types import Approximation
from lookalike.vectors.nearest_in_blocks import NearestInBlocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lookalike.types import Neighbour, Record, Space, Vectors

K = 10
"""Neighbours that are compared: as those who publish recalls do (ann-benchmarks.com)."""

QUERIES = 200
"""Vectors of the collection that are asked for: 2,000 neighbours, a standard error below 0.3 % at 0.99."""


def measure_recall(
    kind: str,
    ids: Sequence[str],
    vectors: Vectors,
    batches: Iterable[tuple[Sequence[Record], Vectors]],
    search: Callable[[Query], list[list[Neighbour]]],
) -> Approximation:
    """Ask a collection for the neighbours of some of its own vectors, and compare them with the exact ones.

    Whoever is as similar as the k-th exact neighbour counts as found.

    Args:
        kind: what the index is.
        ids: of records of the collection, drawn at random.
        vectors: theirs, float32 of shape (ids, dimension).
        batches: all records with their vectors, read once, in place of an exact search for each of `ids`.
        search: answers a query.
    """
    exact = NearestInBlocks(vectors, K)
    places = {identity: row for row, identity in enumerate(ids)}
    every, number = np.arange(len(ids)), 0
    for records, rows in batches:
        rough = vectors @ rows.T
        for column, record in enumerate(records):
            if record.id in places:
                rough[places[record.id], column] = -np.inf
        numbers = np.arange(number, number + len(records))
        exact.take(every, rough, rows, numbers, np.zeros(len(records), np.intp))
        number += len(records)
    found = search(Query(vectors, K, exclude=[[identity] for identity in ids], approximate=True))
    best = (similarities[np.isfinite(similarities)].tolist() for similarities in exact.similarities)
    pairs = zip(best, found, strict=True)
    recall = part_found((one, [neighbour.similarity for neighbour in some]) for one, some in pairs)
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
