"""Exact order of a server's candidates, or of vectors in blocks: similarities and ties as in every store.

A server's own similarities are sums in float32, in an order of its own. Here those of the candidates are
computed again from their vectors, as `ranking` does it for vectors in memory, so that two stores agree to the
last bit.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

from lookalike.vectors.nearest import MARGIN, exact_similarities, nearest_rows

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from lookalike.types import Vectors

Candidates: TypeAlias = "tuple[Sequence[str], Vectors]"
"""Ids and their vectors, float32 of shape (ids, dimension), in any order."""

_SPARE = 8
_WIDER = 4


class Fetch(Protocol):
    """How a store is asked for candidates."""

    def __call__(self, rows: Sequence[int], count: int) -> list[Candidates]:
        """Return, for each of these queries, the `count` candidates that the server holds for most similar.

        Fewer than `count` come back only where fewer match.
        """
        ...


def exact_nearest(queries: Vectors, k: int, fetch: Fetch) -> list[list[tuple[str, float]]]:
    """Return ids and similarities of the exact nearest neighbours of each query.

    Args:
        queries: float32 of shape (queries, dimension), each row of length 1.
        k: neighbours per query, at least 1.
        fetch: asked again, for more, where so many tie for the k-th place that some may not have come.

    Returns:
        A list a query, by falling similarity, then by rising id.
    """
    found: list[list[tuple[str, float]]] = [[] for _ in queries]
    rows, count = list(range(len(queries))), k + _SPARE
    while rows:
        crowded = []
        for row, candidates in zip(rows, fetch(rows, count), strict=True):
            ranked = rerank(queries[row], candidates)
            found[row] = ranked[:k]
            # Candidates that did not come are at most as similar as the last that did, but for rounding.
            if len(ranked) >= count and ranked[-1][1] >= ranked[k - 1][1] - MARGIN:
                crowded.append(row)
        rows, count = crowded, count * _WIDER
    return found


def approximate_nearest(
    queries: Vectors, k: int, candidates: Sequence[Candidates], fetch: Fetch
) -> list[list[tuple[str, float]]]:
    """Return neighbours among what an index found; of a query that it found fewer than k for, the exact ones.

    Args:
        queries: float32 of shape (queries, dimension), each row of length 1.
        k: neighbours per query, at least 1.
        candidates: of each query, from the index.
        fetch: asked without the index, see `exact_nearest`.

    Returns:
        A list a query, by falling similarity, then by rising id.
    """
    found = [rerank(query, some)[:k] for query, some in zip(queries, candidates, strict=True)]
    few = [row for row, some in enumerate(found) if len(some) < k]
    exact = exact_nearest(queries[few], k, lambda rows, count: fetch([few[row] for row in rows], count))
    for row, some in zip(few, exact, strict=True):
        found[row] = some
    return found


def rerank(query: Vectors, candidates: Candidates) -> list[tuple[str, float]]:
    """Return all candidates of one query, shape (dimension,), by falling similarity, then by rising id."""
    ids, vectors = candidates
    if not len(ids):
        return []
    (similarities,) = exact_similarities(query[None], vectors, np.arange(len(ids))[None])
    return sorted(zip(ids, similarities.tolist(), strict=True), key=lambda hit: (-hit[1], hit[0]))


def nearest_of_blocks(
    queries: Vectors, k: int, blocks: Iterable[Candidates], exclude: Sequence[Collection[str]] | None
) -> list[list[tuple[str, float]]]:
    """Return the exact nearest neighbours of each query among vectors that come in blocks, each held once.

    Args:
        queries: float32 of shape (queries, dimension), each row of length 1.
        k: neighbours per query, at least 1.
        blocks: no id twice; rising ids are quicker.
        exclude: for each query, ids that are left out.

    Returns:
        A list a query, ids and similarities by falling similarity, then by rising id.
    """
    best: list[list[tuple[str, float]]] = [[] for _ in queries]
    for given, vectors in blocks:
        order = sorted(range(len(given)), key=given.__getitem__)
        ids = [given[row] for row in order]
        rising = vectors if ids == given else vectors[np.array(order, np.intp)]
        left_out = None if exclude is None else [rows_of(ids, some) for some in exclude]
        rows, similarities = nearest_rows(queries, rising, min(k, max(1, len(ids))), left_out)
        found = zip(rows.tolist(), similarities.tolist(), strict=True)
        for place, (near, values) in enumerate(found):
            more = [(ids[row], value) for row, value in zip(near, values, strict=True) if row >= 0]
            best[place] = sorted(best[place] + more, key=lambda hit: (-hit[1], hit[0]))[:k]
    return best


def rows_of(ids: Sequence[str], wanted: Collection[str]) -> list[int]:
    """Return the places in the sorted `ids` of those that are wanted."""
    places = ((bisect_left(ids, identity), identity) for identity in wanted)
    return [row for row, identity in places if row < len(ids) and ids[row] == identity]
