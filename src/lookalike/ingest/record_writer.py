"""Writing records: each with all the vectors that its collection declares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import SpaceMismatch
from lookalike.metric_learning.fitted import fitting_of
from lookalike.stores.checks import ROUNDING
from lookalike.vectors.metric import normalise

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lookalike.metric_learning.fitted import Fitting
    from lookalike.stores.store import Store
    from lookalike.types import CollectionInfo, Features, Record, Space, VectorInfo, Vectors

# Changes of what a collection declares that one write may meet: fits that another process begins or ends.
_TRIES = 100


class RecordWriter:
    """Writes records to a collection, also while another process fits it."""

    def __init__(self, store: Store, name: str) -> None:
        """Name the collection, which is there."""
        self._store = store
        self._name = name
        self._fittings: dict[Space, Fitting | None] = {}

    def put(self, records: Sequence[Record], features: Mapping[str, Features]) -> None:
        """Add or replace records; on return they survive a kill.

        Args:
            records: no id twice.
            features: by the fingerprint of each embedder that the collection has vectors of: shape
                (records, dimension), in the order of the records, of length 1 or not; those that are, as far
                as float32 goes, are kept bit by bit.

        Raises:
            CollectionNotFound: it was deleted meanwhile.
            SpaceMismatch: it has vectors of an embedder that is not among them.
        """
        tries = _TRIES
        while True:
            collection = self._store.collection(self._name)
            try:
                self._store.put(self._name, records, self._vectors(collection, features))
            except SpaceMismatch:
                # A fit was begun, ended or undone since: what it declares now is given.
                # Also where that is the same again: it may have been undone and done meanwhile.
                tries -= 1
                if not tries:
                    raise
            else:
                return

    def _vectors(self, collection: CollectionInfo, features: Mapping[str, Features]) -> dict[Space, Vectors]:
        """Return a vector of each declared space for each row of features."""
        plain = {fingerprint: unit_rows(rows) for fingerprint, rows in features.items()}
        found = {}
        for vector in collection.vectors:
            rows = plain.get(vector.space.embedder_fingerprint)
            if rows is None:
                raise SpaceMismatch(collection.name, str(vector.space), "no features of its model")
            fitting = self._fitting(collection, vector)
            found[vector.space] = rows if fitting is None else fitting.metric.project(rows)
        return found

    def _fitting(self, collection: CollectionInfo, vector: VectorInfo) -> Fitting | None:
        if vector.space not in self._fittings:
            self._fittings[vector.space] = fitting_of(self._store, collection, vector)
        return self._fittings[vector.space]


def unit_rows(rows: Features) -> Vectors:
    """Return rows of length 1: those that are already, bit by bit."""
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    off = np.abs(lengths - 1) > ROUNDING
    if not off.any():
        return rows
    unit = rows.copy()
    unit[off] = normalise(rows[off])
    return unit
