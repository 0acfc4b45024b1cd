"""Records of a collection drawn at random, of which alone the vectors are read."""

from __future__ import annotations

import hashlib
import heapq
from typing import TYPE_CHECKING

import numpy as np

from lookalike.progress import silent
from lookalike.stores.batches import chunks
from lookalike.vectors.projection import evenly

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lookalike.progress import Progress
    from lookalike.stores.store import Store
    from lookalike.types import CollectionInfo, Record, VectorInfo, Vectors

# Records whose vectors are read at once.
_READ = 1000


def rank(record: Record, seed: int) -> int:
    """Return a number at random by which images are drawn: by their bytes, so that no name decides."""
    return int.from_bytes(hashlib.blake2b(f"{seed} {record.digest}".encode(), digest_size=8).digest())


def draw(
    batches: Iterable[list[Record]], most: int, seed: int, among: Callable[[Record], bool]
) -> tuple[list[str], int]:
    """Draw some of many records at random; the same ones in whatever order they come.

    Args:
        batches: go by once.
        most: how many are drawn, at most.
        seed: of what is drawn.
        among: tells which may be.

    Returns:
        Their ids, rising; and how many they were drawn from.
    """
    count = 0

    def ranked() -> Iterator[tuple[int, str]]:
        nonlocal count
        for batch in batches:
            for record in batch:
                if among(record):
                    count += 1
                    yield rank(record, seed), record.id

    chosen = heapq.nsmallest(most, ranked())
    return sorted(identity for _, identity in chosen), count


def vectors_of(
    store: Store, name: str, vector: VectorInfo, ids: Iterable[str]
) -> tuple[list[Record], Vectors]:
    """Return some records, by id, with one vector of each; without those that are gone or damaged.

    Args:
        store: where the collection lives.
        name: the collection.
        vector: which one.
        ids: rising.
    """
    found: list[Record] = []
    parts = [np.empty((0, vector.space.dimension), np.float32)]
    for some in chunks(list(ids), _READ):
        ready, vectors = store.vectors_of(name, some, vector.name)
        found += ready
        parts.append(vectors[vector.space])
    return found, np.concatenate(parts)


def read_evenly(
    store: Store, collection: CollectionInfo, vector: VectorInfo, most: int, progress: Progress = silent
) -> tuple[list[Record], Vectors]:
    """Return at most so many records of a collection, evenly spaced in order of id, with one vector of each.

    Args:
        store: where the collection lives.
        collection: as the store has it.
        vector: one of its own.
        most: how many, at least 1.
        progress: called with records that went by and records to go by.
    """
    wanted = evenly(collection.count, most)
    records: list[Record] = []
    parts = [np.empty((0, vector.space.dimension), np.float32)]
    passed = 0
    for batch, rows in store.scan(collection.name, using=vector.name):
        places = wanted[np.searchsorted(wanted, passed) : np.searchsorted(wanted, passed + len(batch))]
        records += [batch[place - passed] for place in places.tolist()]
        parts.append(rows[places - passed])
        passed += len(batch)
        progress(min(passed, collection.count), collection.count)
    return records, np.concatenate(parts)
