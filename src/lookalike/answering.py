"""Questions to a collection: what is like this image, and what is it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lookalike import images
from lookalike.errors import FieldNotFound, SpaceMismatch, Unanswerable
from lookalike.fitted import fitting_of, is_fitted, plain_name
from lookalike.metric import normalise
from lookalike.opened import Opened
from lookalike.pipeline import embed_files
from lookalike.records import Neighbour, Prediction, Skipped, Space
from lookalike.stores import TIMEOUT
from lookalike.vote import vote

if TYPE_CHECKING:
    from collections.abc import Collection as Ids
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from lookalike.fitted import Fitting
    from lookalike.judging.judge import Judge
    from lookalike.pipeline import EmbeddedFile
    from lookalike.records import Approximation, Collection, Scalar, Where


# Exchanges of names that one search may meet, before a mismatch is taken for a lasting one.
_TRIES = 100


@dataclass(frozen=True, slots=True)
class Found:
    """The neighbours of one image."""

    path: Path
    neighbours: list[Neighbour]
    approximation: Approximation | None = None
    """What was searched with; None where the search was exact."""


@dataclass(frozen=True, slots=True)
class Classified:
    """The prediction for one image."""

    path: Path
    prediction: Prediction
    itself: int
    """Records of the very same bytes, which had no vote."""
    approximation: Approximation | None = None
    """What the neighbours were searched with; None where the search was exact."""


class Answering(Opened):
    """What can be asked of the collections of a store."""

    def __init__(self, store: str, cache: Path, timeout: float = TIMEOUT) -> None:
        """Open a store: see `Opened`."""
        super().__init__(store, cache, timeout)
        self._fittings: dict[str, Fitting] = {}

    def search(
        self,
        name: str,
        path: Path,
        k: int,
        where: Where | None = None,
        *,
        approximate: bool = False,
        max_pixels: int = images.MAX_PIXELS,
    ) -> Found | Skipped:
        """Find the images of a collection that are most like the one at `path`.

        Args:
            name: the collection.
            path: an image.
            k: how many neighbours.
            where: only records that match.
            approximate: use the collection's approximate index, if it has one.
            max_pixels: an image with more pixels is skipped.

        Raises:
            CollectionNotFound, FieldNotFound: of the collection or of `where`.
            Unanswerable: the collection is empty.
            SpaceMismatch: the collection was made by another version of its embedder.
        """
        collection = self._ready(name, where)
        for file in self._embed(collection, [path], max_pixels):
            if isinstance(file, Skipped):
                return file
            found = self._nearest(collection, file, k, where, approximate=approximate)
            return Found(path, found, collection.approximation if approximate else None)
        raise AssertionError(path)

    def classify(
        self,
        name: str,
        paths: Iterable[Path],
        by: str,
        k: int,
        where: Where | None = None,
        *,
        judge: Judge | None = None,
        approximate: bool = False,
        max_pixels: int = images.MAX_PIXELS,
    ) -> Iterator[Classified | Skipped]:
        """Label images by their nearest labelled neighbours.

        A record of the very same bytes has no vote: it would only repeat its own label.

        Args:
            name: the collection.
            paths: images.
            by: the field to predict.
            k: neighbours that vote.
            where: only records that match vote.
            judge: what puts confidence on the predictions, made for the same `by`, `k` and `where`.
            approximate: use the collection's approximate index, if it has one.
            max_pixels: images with more pixels are skipped.

        Yields:
            One value for each path, in order.

        Raises:
            CollectionNotFound, FieldNotFound: of the collection, of `where` or of `by`.
            Unanswerable: the collection is empty.
            SpaceMismatch: the collection was made by another version of its embedder.
        """
        collection = self._ready(name, where)
        if by not in collection.fields:
            raise FieldNotFound(by, collection.fields)
        for file in self._embed(collection, paths, max_pixels):
            if isinstance(file, Skipped):
                yield file
                continue
            same = self.store.ids_by_digest(collection.name, file.digest)
            neighbours = self._nearest(collection, file, k, where, [same], by, approximate=approximate)
            prediction = vote(neighbours, by)
            if judge is not None:

                def nearest(
                    labels: Sequence[Scalar], file: EmbeddedFile = file, same: Ids[str] = same
                ) -> float:
                    asked = {**(where or {}), by: labels}
                    if not labels:
                        return -math.inf
                    found = self._nearest(collection, file, 1, asked, [same], approximate=approximate)
                    return found[0].similarity if found else -math.inf

                closest = self._closest(collection, file, where, same, by, approximate=approximate)
                prediction = judge(prediction, by, nearest, closest)
            used = collection.approximation if approximate else None
            yield Classified(file.path, prediction, len(same), used)

    def _ready(self, name: str, where: Where | None) -> Collection:
        """Return a collection that can answer, or say why it cannot."""
        collection = self.store.collection(name)
        if not collection.count:
            raise Unanswerable(f"collection {name!r} is empty; `lookalike index PATH` fills it")
        for field in where or ():
            if field not in collection.fields:
                raise FieldNotFound(field, collection.fields)
        return collection

    def _embed(
        self, collection: Collection, paths: Iterable[Path], max_pixels: int
    ) -> Iterator[EmbeddedFile | Skipped]:
        embedder = self.embedder(collection.space.embedder)
        made_by = collection.space.embedder_fingerprint
        if made_by != embedder.fingerprint:
            space = Space(embedder.name, embedder.fingerprint, embedder.dimension)
            raise SpaceMismatch(collection.name, str(collection.space), str(space))
        return embed_files(paths, embedder, self.features(embedder), max_pixels=max_pixels)

    def _nearest(
        self,
        collection: Collection,
        file: EmbeddedFile,
        k: int,
        where: Where | None,
        exclude: Sequence[Ids[str]] | None = None,
        having: str | None = None,
        *,
        approximate: bool = False,
    ) -> list[Neighbour]:
        """Find the neighbours of one file, also while another process fits the collection."""
        plain = normalise(file.features[None])
        tries = _TRIES
        while True:
            try:
                found = self._fitting_of(collection)
                query = plain if found is None else found.metric.project(plain)
                return self.store.nearest(
                    *(collection.name, query, k, where, exclude, having),
                    space=collection.space,
                    approximate=approximate,
                )[0]
            except SpaceMismatch:
                # Also where the space is the same again: a fit may have been undone and done meanwhile.
                tries -= 1
                if not tries:
                    raise
                collection = self.store.collection(collection.name)

    def _closest(
        self,
        collection: Collection,
        file: EmbeddedFile,
        where: Where | None,
        same: Ids[str],
        by: str,
        *,
        approximate: bool,
    ) -> float:
        """Return the plain similarity of a file to the nearest image; −inf where there is none.

        A fitted metric looks only at what tells the labels apart; how strange a picture is, it cannot see.
        """
        plain = normalise(file.features[None])
        name = plain_name(collection)
        found = self.store.nearest(name, plain, 1, where, [same], by, approximate=approximate)[0]
        return found[0].similarity if found else -math.inf

    def _fitting_of(self, collection: Collection) -> Fitting | None:
        if not is_fitted(collection):
            return None
        key = collection.space.metric_fingerprint
        if key not in self._fittings:
            self._fittings = {key: fitting_of(self.store, collection)}
        return self._fittings[key]
