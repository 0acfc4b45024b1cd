"""Collections asked in the space that a vector of theirs is in: the plain one, or that of a fitted metric."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from lookalike.errors import SpaceMismatch, VectorNotFound
from lookalike.metric_learning.fitted import fitting_of, plain_of, plain_vector, read, refit_with
from lookalike.progress import silent

if TYPE_CHECKING:
    from collections.abc import Callable

    from lookalike.embedders.models import Models
    from lookalike.evaluation.fold_predictor import Fit
    from lookalike.metric_learning.fitted import Fitting
    from lookalike.progress import Progress
    from lookalike.stores.store import Store
    from lookalike.types import Approximation, CollectionInfo, Record, Space, VectorInfo, Vectors

_T = TypeVar("_T")

TRIES = 100
"""Exchanges of vectors that one question may meet, before a mismatch is taken for a lasting one."""


class Spaces:
    """The vectors of a store's collections in their spaces, plain and fitted; threads may share it."""

    def __init__(self, store: Store) -> None:
        """Name the store, which this does not close."""
        self.store = store
        self._fittings: dict[Space, Fitting | None] = {}

    def fitting(self, collection: CollectionInfo, using: str | None = None) -> Fitting | None:
        """Return what is known of a vector's fit; None for a plain one.

        Args:
            collection: as the store has it.
            using: the name of the vector, by default the default one.

        Raises:
            SpaceMismatch: it was fitted anew, or that was undone, since `collection` was read.
        """
        return self._fitting(collection, collection.vector(using))

    def project(self, collection: CollectionInfo, vector: VectorInfo, plain: Vectors) -> Vectors:
        """Return plain vectors, shape (n, d), in the space of a vector of a collection.

        Raises:
            SpaceMismatch: the vector was fitted to those of another model meanwhile.
        """
        made_of = plain_of(collection, vector)
        if plain.shape[1] != made_of.space.dimension:
            raise SpaceMismatch(collection.name, str(made_of.space), f"{plain.shape[1]} dimensions")
        found = self._fitting(collection, vector)
        return plain if found is None else found.metric.project(plain)

    def ask(
        self,
        collection: CollectionInfo,
        using: str | None,
        question: Callable[[CollectionInfo, VectorInfo], _T],
    ) -> tuple[_T, CollectionInfo, VectorInfo]:
        """Ask a collection, and once more wherever another process exchanged its vectors meanwhile.

        Args:
            collection: as it was when the question was put together.
            using: the name of the vector that is asked, by default the default one at the time.
            question: asks the collection and its vector as they are; raises SpaceMismatch or VectorNotFound
                where they have changed while it asked.

        Returns:
            The answer, and the collection and the vector that gave it.
        """
        for _ in range(TRIES - 1):
            try:
                vector = collection.vector(using)
                return question(collection, vector), collection, vector
            except (SpaceMismatch, VectorNotFound):
                # Also where they are the same again: a fit may have been undone and done meanwhile.
                collection = self.store.collection(collection.name)
        vector = collection.vector(using)
        return question(collection, vector), collection, vector

    def read_plain(
        self, collection: CollectionInfo, using: str | None = None, progress: Progress = silent
    ) -> tuple[list[Record], Vectors]:
        """Return all records and their plain vectors, in order of id.

        Args:
            collection: as the store has it.
            using: the name of the vector, by default the default one; of a fitted one those that it was made
                of are read.
            progress: called with records read and records to read.
        """
        return read(self.store, collection, plain_vector(collection, using), progress=progress)

    def refit(
        self,
        collection: CollectionInfo,
        using: str | None,
        models: Models,
        beat: Callable[[], None] = lambda: None,
    ) -> Fit | None:
        """Return what fits the metric of a vector anew, for folds; None for a plain one.

        Args:
            collection: as the store has it.
            using: the name of the vector, by default the default one.
            models: know which columns of the plain vectors belong together.
            beat: called between the steps of each fit; what it raises ends it.
        """
        vector = collection.vector(using)
        return refit_with(models.groups(vector.space.embedder), beat) if vector.fitted else None

    def build_index(self, collection: CollectionInfo, using: str | None = None) -> Approximation:
        """Build the approximate index of a vector, see `Store.build_index`.

        Args:
            collection: as the store has it.
            using: the name of the vector, by default the default one. The plain vectors that a fitted one was
                made of get an index too: classifications ask them how strange a picture is.
        """
        vector = collection.vector(using)
        if vector.fitted:
            self.store.build_index(collection.name, plain_vector(collection, using).name)
        return self.store.build_index(collection.name, vector.name)

    def _fitting(self, collection: CollectionInfo, vector: VectorInfo) -> Fitting | None:
        if vector.space not in self._fittings:
            self._fittings = {vector.space: fitting_of(self.store, collection, vector)}
        return self._fittings[vector.space]
