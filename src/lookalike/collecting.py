"""What makes and changes collections: index, add, correct, remove, fit, delete."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from lookalike.answering import Answering
from lookalike.errors import CollectionExists, CollectionNotFound
from lookalike.images.limits import MAX_PIXELS
from lookalike.ingest import adding
from lookalike.ingest.index_options import IndexOptions
from lookalike.ingest.indexed_collection import index_collection
from lookalike.ingest.indexed_folders import forget_indexed
from lookalike.ingest.removals import disagree
from lookalike.label_normalisation import kept_name
from lookalike.metric_learning import corrections, fitting, sides
from lookalike.metric_learning.fitted import is_fitted, plain_name, refuse_side
from lookalike.types import Space

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from lookalike.images.levels import Range
    from lookalike.ingest.adding import Picture
    from lookalike.ingest.index_report import IndexReport
    from lookalike.ingest.removals import Agree
    from lookalike.metric_learning.fitting import FitReport
    from lookalike.types import Approximation, CollectionInfo, Record, Scalar


class Collecting(Answering):
    """What makes and changes collections, beside what asks them."""

    _unnoted: str | None = None

    @property
    def problems(self) -> list[str]:
        """What went on without being as it should be: caches that cannot be kept, one line each."""
        found = [*super().problems, *getattr(self.store, "problems", ())]
        if self._unnoted is not None:
            found.append(f"not noted which folder was indexed ({self._unnoted}): `serve` needs --root for it")
        return found

    def index(
        self,
        name: str,
        paths: Sequence[Path],
        *,
        model: str | None = None,
        levels: Range | None = None,
        labels: str = "auto",
        encoding: str | None = None,
        prune: bool = False,
        prune_empty: bool = False,
        agree: Agree = disagree,
        verify: bool = False,
        exclude: Sequence[str] = (),
        include: Sequence[str] = (),
        as_before: bool = False,
        max_pixels: int = MAX_PIXELS,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> IndexReport:
        """Bring a collection up to date with the images below some paths: see `indexing.index`.

        That these paths were indexed is noted on this machine: see `indexed`.

        Args:
            name: the collection, made if it is missing.
            paths: folders and files.
            model: the embedder, by default that of the collection, or `DEFAULT_MODEL` for a new one. Weights
                that are not on this machine are fetched from the model hub.
            levels: which samples of more than 8 bits become black and white, by default those that the
                collection has been made by, or `AUTO` for a new one.
            labels: auto, folders, json, table, xml, yolo or none.
            encoding: of label files that are no Unicode by their marks; None to guess.
            prune: whether to remove records below the paths whose file is gone.
            prune_empty: whether to do so too where it looks as though a disk were not mounted.
            agree: asked before more than a tenth of the collection is removed.
            verify: whether to read the files whose size and date are the same, and compare their digests.
            exclude: patterns of what is left out, see `left_out.Patterns`.
            include: patterns of the only pictures that are taken.
            as_before: whether to leave out what was left out when the same paths were indexed last on this
                machine, instead.
            max_pixels: images with more pixels are skipped.
            progress: called with images done and images to do.
        """
        options = IndexOptions(
            model, levels, labels, encoding, prune, prune_empty, agree, verify, exclude, include, as_before,
            max_pixels,
        )  # fmt: skip
        report, self._unnoted = index_collection(self.store, self.models, name, paths, options, progress)
        return report

    def create(self, name: str, model: str) -> CollectionInfo:
        """Make an empty collection.

        Args:
            name: letters, digits, `_` and `-` of any script.
            model: its embedder; its weights have to be on this machine.

        Raises:
            InvalidArgument: a name that cannot be used.
            CollectionExists: one that is taken.
            ModelNotFound: no embedder is called so.
        """
        refuse_side(self.store, name)
        with suppress(CollectionNotFound):
            taken = self.store.collection(name)
            raise CollectionExists(taken.name)
        embedder = self.embedder(model)
        return self.store.create(name, Space(embedder.name, embedder.fingerprint, embedder.dimension))

    def add(self, name: str, pictures: Sequence[Picture]) -> list[Record]:
        """Add pictures that came one by one: see `adding.add`. New features are kept in the cache.

        Args:
            name: the collection.
            pictures: with the features that the collection's embedder gave them.
        """
        collection = self.store.collection(name)
        plain = self.store.collection(plain_name(collection)).space
        fresh = {each.file.digest: each.file.features for each in pictures if not each.file.cached}
        self.kept_features(plain.embedder_fingerprint, plain.dimension).put(fresh)
        return adding.add(self.store, collection.name, plain, pictures)

    def correct(
        self,
        name: str,
        identity: str,
        changes: Mapping[str, Scalar | None],
        confirm: Iterable[str] = (),
    ) -> Record:
        """Put the labels of an image right, or confirm them: see `corrections.correct`."""
        return corrections.correct(self.store, name, identity, changes, confirm)

    def remove(self, name: str, ids: Sequence[str]) -> int:
        """Remove records by id, and return how many there were; no file is touched."""
        return sides.remove(self.store, name, ids)

    def delete(self, name: str) -> list[CollectionInfo]:
        """Delete a collection, with its plain side where it is fitted: see `sides.delete`."""
        deleted = sides.delete(self.store, name)
        forget_indexed(self.cache, self.store.url, deleted[0].name)
        return deleted

    def build_index(self, name: str) -> Approximation:
        """Build the approximate index of a collection, and of its plain side where it is fitted.

        Raises:
            CollectionNotFound: there is none of that name.
            ExtraMissing: the store needs a package for it that is not installed.
            Unanswerable: the collection is empty, or its vectors are too long for the store's indexes.
        """
        collection = self.store.collection(name)
        if is_fitted(collection):
            # Classifications ask it how strange a picture is.
            self.store.build_index(plain_name(collection))
        return self.store.build_index(collection.name)

    def fit(
        self, name: str, by: str, *, progress: Callable[[int, int], None] = lambda _done, _total: None
    ) -> FitReport:
        """Fit a metric to the labels of a collection: see `fitting.fit`."""
        collection = self.store.collection(name)
        groups, by = self.groups(collection.space.embedder), kept_name(by, collection)
        return fitting.fit(self.store, name, by, groups=groups, locks=self.cache / "locks", progress=progress)

    def undo_fit(self, name: str) -> int:
        """Give a fitted collection its plain vectors back: see `fitting.undo_fit`."""
        return fitting.undo_fit(self.store, name, locks=self.cache / "locks")
