"""Who a shortlist names, ordered by the exact vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lookalike.stores.reranking import rerank
from lookalike.stores.sqlite.matrix import verified
from lookalike.stores.sqlite.records import record_keys, select_vectors

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Sequence

    from lookalike.stores.damage import Fault
    from lookalike.stores.entry import VectorEntry
    from lookalike.stores.sqlite.filters import Numbers
    from lookalike.stores.sqlite.shortlist.compressed import Shortlist
    from lookalike.types import Vectors

# Beyond so many it is quicker to compare with all vectors than to fetch the candidates.
_MOST = 1000


class Candidates(NamedTuple):
    """The nearest neighbours of queries among the candidates of a shortlist."""

    found: list[list[tuple[str, float]]]
    """A list a query of ids and exact similarities, by falling similarity, then by rising id."""
    numbers: dict[str, int]
    """Of the records that are candidates, by id."""
    faults: list[Fault]
    """Of those whose vector is damaged."""


class StrayCandidate(Exception):
    """A shortlist names a record that is not there: it is of another state of the collection."""


def is_quicker(k: int, exclude: Sequence[Collection[str]] | None) -> bool:
    """Return whether candidates are quicker than exact search for k neighbours, with some left out."""
    return k + _spare(exclude) <= _MOST


def _spare(exclude: Sequence[Collection[str]] | None) -> int:
    return max((len(some) for some in exclude or ()), default=0)


def nearest_candidates(
    connection: sqlite3.Connection,
    vector: VectorEntry,
    shortlist: Shortlist,
    queries: Vectors,
    k: int,
    matches: Numbers | None = None,
    exclude: Sequence[Collection[str]] | None = None,
) -> Candidates:
    """Return the nearest among the candidates of a shortlist.

    Args:
        connection: its open transaction sees the records that the shortlist was made of.
        vector: that it was made of.
        shortlist: who is asked for candidates.
        queries: float32 of shape (queries, dimension), each row of length 1.
        k: neighbours per query, at least 1.
        matches: numbers of the records that count, None for all.
        exclude: for each query, ids that are left out.

    Returns:
        At most k a query; fewer only where fewer match, or where the vectors of candidates are damaged.

    Raises:
        StrayCandidate: the shortlist is of another state of the collection.
    """
    if matches is not None and len(matches) == len(shortlist):
        matches = None
    try:
        numbers = shortlist.search(queries, shortlist.candidate_count(k) + _spare(exclude), matches)
    except KeyError as error:
        raise StrayCandidate from error
    wanted = np.unique(np.concatenate([np.empty(0, np.int64), *numbers]))
    ids: list[str] = []
    parts = [np.empty((0, queries.shape[1]), np.float32)]
    sound, faults = [np.empty(0, bool)], []
    for columns in select_vectors(connection, vector, record_keys(connection, wanted.tolist())):
        some = verified(connection, columns, queries.shape[1])
        ids += columns.ids
        parts.append(some.vectors)
        sound.append(some.sound)
        faults += some.faults
    if len(ids) < len(wanted):
        raise StrayCandidate
    vectors, is_sound = np.concatenate(parts), np.concatenate(sound)
    found = []
    for place, query in enumerate(queries):
        left_out = set(exclude[place]) if exclude is not None else ()
        rows = [
            row
            for row in np.searchsorted(wanted, numbers[place])
            if is_sound[row] and ids[row] not in left_out
        ]
        found.append(rerank(query, ([ids[row] for row in rows], vectors[rows]))[:k])
    return Candidates(found, dict(zip(ids, wanted.tolist(), strict=True)), faults)
