"""The contents of collections, record by record, compared to the last bit."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lookalike.stores.store import Store
    from lookalike.types import Record, Space, Vectors


class Row(NamedTuple):
    """One record of a collection with its vectors."""

    record: Record
    vectors: dict[Space, Vectors]
    """Each of shape (dimension,), a view of its batch: whoever keeps it for long copies it."""
    digest: bytes
    """See `row_digest`."""


def row_digest(record: Record, vectors: Mapping[Space, Vectors]) -> bytes:
    """Return the SHA-256 of all that a record and its vectors say, to the last bit.

    Fields and metadata are compared as JSON, whatever the order of their keys; 3, 3.0 and true differ.
    """
    said = [
        *(record.id, record.uri, record.digest, dict(record.fields), dict(record.metadata)),
        *(record.size, record.modified_ns),
    ]
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    for _, vector in sorted(vectors.items(), key=lambda item: repr(item[0])):
        digest.update(np.ascontiguousarray(vector, "<f4").tobytes())
    return digest.digest()


def read_rows(store: Store, name: str) -> Iterator[Row]:
    """Yield all of a collection in order of id; a batch of it is in memory at a time."""
    for records, vectors in store.scan_vectors(name):
        for row, record in enumerate(records):
            own = {space: rows[row] for space, rows in vectors.items()}
            yield Row(record, own, row_digest(record, own))


def joined(first: Iterator[Row], second: Iterator[Row]) -> Iterator[tuple[str, Row | None, Row | None]]:
    """Yield the ids of two collections in order, each with the rows that have it.

    Args:
        first: rows in order of id.
        second: the same of the other collection.
    """
    one, other = next(first, None), next(second, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one.record.id < other.record.id):
            if one is not None:
                yield one.record.id, one, None
            one = next(first, None)
        elif one is None or other.record.id < one.record.id:
            yield other.record.id, None, other
            other = next(second, None)
        else:
            yield one.record.id, one, other
            one, other = next(first, None), next(second, None)
