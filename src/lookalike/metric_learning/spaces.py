"""Collections asked in the space that a vector of theirs is in: the plain one, or that of a fitted metric."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lookalike.errors import SpaceMismatch
from lookalike.metric_learning.fitted import fitting_of, plain_of, plain_vector, read, refit_with
from lookalike.progress import Pulse, divided, silent

if TYPE_CHECKING:
    from collections.abc import Callable

    from lookalike.embedders.models import Models
    from lookalike.metric_learning.fitted import Fitting
    from lookalike.progress import Progress
    from lookalike.stores.store import Store
    from lookalike.types import Approximation, CollectionInfo, Record, Space, VectorInfo, Vectors
    from lookalike.vectors.metric import Fit


@dataclass(frozen=True, slots=True)
class Unfitted:
    """A collection as it was before a fit, and what makes the fit anew: what folds need."""

    records: list[Record]
    """In order of id."""
    vectors: Vectors
    """Plain, float32 of shape (records, d), each row of length 1."""
    fit: Fit | None
    """None where the vector is a plain one."""
    fit_by: str | None
    """The field whose labels the metric learns; None where the vector is a plain one."""


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

    def read_for_folds(
        self, collection: CollectionInfo, using: str | None, models: Models, progress: Progress = silent
    ) -> tuple[Unfitted, Progress]:
        """Return all records of a collection as they were before a vector's fit, and what makes it anew.

        Args:
            collection: as the store has it.
            using: the name of the vector, by default the default one.
            models: know which columns of the plain vectors belong together.
            progress: called with images read and compared and those to do; what it raises ends a fit, too.

        Returns:
            The records; and whom their comparing tells, in its own numbers.
        """
        pulse = Pulse(progress)
        # Each image is read once, and compared about three times: that takes longer the more there are.
        reading, comparing = divided(pulse, [collection.count // 8 + 1, 3 * collection.count + 1])
        _, fit, fit_by = self.for_folds(collection, using, models, pulse.beat)
        records, vectors = self.read_plain(collection, using, reading)
        return Unfitted(records, vectors, fit, fit_by), comparing

    def for_folds(
        self,
        collection: CollectionInfo,
        using: str | None,
        models: Models,
        beat: Callable[[], None] = lambda: None,
    ) -> tuple[VectorInfo, Fit | None, str | None]:
        """Return the plain vector behind one, what makes its fit anew, and the field whose labels it learns.

        Args:
            collection: as the store has it.
            using: the name of the vector, by default the default one.
            models: know which columns of the plain vectors belong together.
            beat: called between the steps of a fit.

        Returns:
            The vector; and None twice where nothing is fitted.
        """
        plain = plain_vector(collection, using)
        fitting = self.fitting(collection, using)
        if fitting is None:
            return plain, None, None
        return plain, refit_with(models.groups(plain.space.embedder), beat), fitting.by

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
