"""Collections asked in the space that their vectors are in: the plain one, or that of a fitted metric.

All that reads a collection which may be fitted asks here which vectors it has, so that what a fit is made of
is known in this room only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from lookalike.errors import CollectionNotFound, SpaceMismatch
from lookalike.metric_learning.fitted import fitting_of, is_fitted, plain_name, read_plain, refit_with
from lookalike.progress import silent

if TYPE_CHECKING:
    from collections.abc import Callable

    from lookalike.embedders.models import Models
    from lookalike.evaluation.fold_predictor import Fit
    from lookalike.metric_learning.fitted import Fitting
    from lookalike.progress import Progress
    from lookalike.stores.store import Store
    from lookalike.types import CollectionInfo, Record, Vectors

_T = TypeVar("_T")

TRIES = 100
"""Exchanges of vectors that one question may meet, before a mismatch is taken for a lasting one."""


class Spaces:
    """The collections of a store in their spaces, plain and fitted; threads may share it."""

    def __init__(self, store: Store) -> None:
        """Name the store, which this does not close."""
        self.store = store
        self._fittings: dict[str, Fitting] = {}

    def fitting(self, collection: CollectionInfo) -> Fitting | None:
        """Return what is known of a collection's fit; None where it is not fitted.

        Raises:
            SpaceMismatch: it was fitted anew, or that was undone, since `collection` was read.
        """
        if not is_fitted(collection):
            return None
        key = collection.space.metric_fingerprint
        if key not in self._fittings:
            self._fittings = {key: fitting_of(self.store, collection)}
        return self._fittings[key]

    def plain(self, collection: CollectionInfo) -> CollectionInfo:
        """Return where the plain vectors of a collection are: itself where it is not fitted."""
        return self.store.collection(plain_name(collection)) if is_fitted(collection) else collection

    def project(self, collection: CollectionInfo, plain: Vectors) -> Vectors:
        """Return plain vectors, shape (n, d), as vectors of a collection's own space."""
        found = self.fitting(collection)
        return plain if found is None else found.metric.project(plain)

    def ask(
        self, collection: CollectionInfo, question: Callable[[CollectionInfo], _T]
    ) -> tuple[_T, CollectionInfo]:
        """Ask a collection, and once more wherever another process exchanged its vectors meanwhile.

        Args:
            collection: as it was when the question was put together.
            question: asks the collection as it is; raises SpaceMismatch or CollectionNotFound where that has
                changed while it asked.

        Returns:
            The answer, and the collection that gave it.
        """
        for _ in range(TRIES - 1):
            try:
                return question(collection), collection
            except (SpaceMismatch, CollectionNotFound):
                # Also where the space is the same again: a fit may have been undone and done meanwhile.
                collection = self.store.collection(collection.name)
        return question(collection), collection

    def read_plain(self, name: str, progress: Progress = silent) -> tuple[list[Record], Vectors]:
        """Return all records of a collection and their plain vectors, in order of id, fitted or not.

        Args:
            name: the collection.
            progress: called with records read and records to read.
        """
        return read_plain(self.store, name, progress)

    def refit(
        self, collection: CollectionInfo, models: Models, beat: Callable[[], None] = lambda: None
    ) -> Fit | None:
        """Return what fits the metric of a collection anew, for folds; None where it is not fitted.

        Args:
            collection: as it is now.
            models: know which columns of the plain vectors belong together.
            beat: called between the steps of each fit; what it raises ends it.
        """
        return refit_with(models.groups(collection.space.embedder), beat) if is_fitted(collection) else None
