"""Exact nearest neighbours in a SQLite store, from vectors that are read in blocks where they do not fit.

Each question reads all vectors once, for all its queries together. The answer is that of a `SqliteMatrix`.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from lookalike.stores.damage import Fault
from lookalike.stores.reranking import nearest_of_blocks
from lookalike.stores.sqlite.matrix import verified
from lookalike.stores.sqlite.records import record_keys, record_numbers, select_vectors
from lookalike.stores.verification import LOST_VECTOR

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterator, Sequence

    from lookalike.stores.damage import DamageLog
    from lookalike.stores.entry import Entry, VectorEntry
    from lookalike.stores.sqlite.filters import Numbers
    from lookalike.types import Vectors

# Vectors that are in memory at once.
_BLOCK_BYTES = 32 << 20


def nearest_in_blocks(
    connection: sqlite3.Connection,
    entry: Entry,
    vector: VectorEntry,
    queries: Vectors,
    k: int,
    matches: Numbers | None,
    exclude: Sequence[Collection[str]] | None,
    damage: DamageLog,
) -> list[list[tuple[str, float]]]:
    """Return ids and similarities of the exact nearest neighbours of each query.

    Args:
        connection: its open transaction sees the collection.
        entry: the collection.
        vector: which one.
        queries: float32 of shape (queries, dimension), each row of length 1.
        k: neighbours per query, at least 1.
        matches: numbers of the records that count, None for all.
        exclude: for each query, ids that are left out.
        damage: what is told of vectors that are damaged or missing.

    Returns:
        A list a query, by falling similarity, then by rising id.
    """
    numbers = record_numbers(connection, entry) if matches is None else matches
    step = max(1, _BLOCK_BYTES // (4 * vector.info.space.dimension))
    blocks = (
        _block(connection, entry, vector, numbers[start : start + step], damage)
        for start in range(0, len(numbers), step)
    )
    return nearest_of_blocks(queries, k, blocks, exclude)


def _block(
    connection: sqlite3.Connection, entry: Entry, vector: VectorEntry, numbers: Numbers, damage: DamageLog
) -> tuple[list[str], Vectors]:
    """Return ids, rising, and sound vectors of some records; what is wrong with others is noted."""
    dimension = vector.info.space.dimension
    keys = record_keys(connection, numbers.tolist())
    ids: list[str] = []
    parts = [np.empty((0, dimension), np.float32)]
    there: set[str] = set()
    for columns in select_vectors(connection, vector, keys):
        some = verified(connection, columns, dimension)
        damage.note(entry.name, some.faults)
        there.update(columns.ids)
        ids += itertools.compress(columns.ids, some.sound)
        parts.append(some.vectors if some.sound.all() else some.vectors[some.sound])
    if len(there) < len(keys.ids):
        lost = sorted(set(keys.ids) - there - damage.ids(entry.name))
        damage.note(entry.name, [Fault(one, None, LOST_VECTOR.format(vector.info.name)) for one in lost])
    order = sorted(range(len(ids)), key=ids.__getitem__)
    return [ids[row] for row in order], _gathered(parts, order, dimension)


def _gathered(parts: list[Vectors], order: list[int], dimension: int) -> Vectors:
    """Return the rows of all parts in an order; each part is let go of when it has been copied."""
    places = np.empty(len(order), np.intp)
    places[order] = np.arange(len(order))
    vectors = np.empty((len(order), dimension), np.float32)
    start = 0
    for part in _taken(parts):
        vectors[places[start : start + len(part)]] = part
        start += len(part)
    return vectors


def _taken(parts: list[Vectors]) -> Iterator[Vectors]:
    parts.reverse()
    while parts:
        yield parts.pop()
