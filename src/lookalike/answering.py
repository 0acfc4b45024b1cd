"""What an image is: by the labels of its neighbours, or by the names of labels alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lookalike.classification.zero_shot import TEMPLATES, Named, label_vectors, name_image
from lookalike.errors import CollectionNotFound, FieldNotFound
from lookalike.images import decoding
from lookalike.ingest.embedding import embed_files
from lookalike.label_normalisation import kept_filter, kept_name
from lookalike.metric_learning.fitted import is_fitted
from lookalike.neighbours import best_similarity
from lookalike.searching import Searching
from lookalike.types import Skipped
from lookalike.vectors.metric import normalise
from lookalike.vectors.vote import vote

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from lookalike.embedders.protocol import Embedder, TextEmbedder
    from lookalike.evaluation.calibrator import Calibrator
    from lookalike.ingest.embedding import EmbeddedFile
    from lookalike.types import Approximation, CollectionInfo, Prediction, Scalar, Where

DEFAULT_MODEL = "efficientnet-lite0"
"""The embedder where none is named and no collection says."""


@dataclass(frozen=True, slots=True)
class Classified:
    """The prediction for one image."""

    path: Path
    prediction: Prediction
    itself: int
    """Records of the very same bytes, which had no vote."""
    approximation: Approximation | None = None
    """What the neighbours were searched with; None where the search was exact."""


class Answering(Searching):
    """What classifies images, beside what finds them."""

    def classify(
        self,
        name: str,
        paths: Iterable[Path],
        by: str,
        k: int,
        where: Where | None = None,
        *,
        judge: Calibrator | None = None,
        approximate: bool = False,
        max_pixels: int = decoding.MAX_PIXELS,
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
        collection = self.store.collection(name)
        by, where = kept_name(by, collection), kept_filter(where, collection)
        collection = self._ready(name, where)
        if by not in collection.fields:
            raise FieldNotFound(by, collection.fields)
        files = self._embed(collection, paths, max_pixels)
        yield from self.classify_embedded(
            collection, files, by, k, where, judge=judge, approximate=approximate
        )

    def classify_embedded(
        self,
        collection: CollectionInfo,
        files: Iterable[EmbeddedFile | Skipped],
        by: str,
        k: int,
        where: Where | None = None,
        *,
        judge: Calibrator | None = None,
        approximate: bool = False,
    ) -> Iterator[Classified | Skipped]:
        """Label images that were embedded before: see `classify`.

        Args:
            collection: as the store has it.
            files: images with the features that the collection's embedder gave them.
            by: the field to predict, one of the collection's.
            k: neighbours that vote.
            where: only records that match vote.
            judge: what puts confidence on the predictions.
            approximate: use the collection's approximate index, if it has one.

        Yields:
            One value for each file, in order.
        """
        for file in files:
            if isinstance(file, Skipped):
                yield file
                continue
            same = self.store.ids_by_digest(collection.name, file.digest)
            neighbours, asked = self._nearest(collection, file, k, where, [same], by, approximate=approximate)
            prediction = vote(neighbours, by)
            if judge is not None:

                def nearest(
                    labels: Sequence[Scalar], file: EmbeddedFile = file, same: Collection[str] = same
                ) -> float:
                    among = {**(where or {}), by: labels}
                    if not labels:
                        return -math.inf
                    found, _ = self._nearest(collection, file, 1, among, [same], approximate=approximate)
                    return best_similarity(found)

                if is_fitted(asked):
                    closest = self._closest(asked, file, where, same, by, approximate=approximate)
                else:
                    closest = best_similarity(neighbours)
                prediction = judge(prediction, by, nearest, closest)
            used = collection.approximation if approximate else None
            yield Classified(file.path, prediction, len(same), used)

    def names_model(self, collection: str, model: str | None = None) -> tuple[Embedder, TextEmbedder]:
        """Return the model that names images, and its text side.

        Args:
            collection: whose embedder it is, where no model is named; the default one where there is none.
            model: the embedder.

        Raises:
            Unanswerable: it reads no texts.
        """
        if model is None:
            try:
                model = self.store.collection(collection).space.embedder
            except CollectionNotFound:
                model = DEFAULT_MODEL
        embedder = self.embedder(model)
        return embedder, self._reading(embedder, "images cannot be named")

    def name(
        self,
        embedder: Embedder,
        reader: TextEmbedder,
        paths: Iterable[Path],
        labels: Sequence[str],
        *,
        templates: Sequence[str] = TEMPLATES,
        max_pixels: int = decoding.MAX_PIXELS,
    ) -> Iterator[Named | Skipped]:
        """Label images by the names of labels alone: no labelled image is needed, and no collection.

        Args:
            embedder: a model.
            reader: its text side.
            paths: images.
            labels: at least two different ones, as texts.
            templates: texts with `{}` where the label goes.
            max_pixels: images with more pixels are skipped.

        Yields:
            One value for each path, in order.

        Raises:
            InvalidArgument: labels or templates are not as said.
            ExtraMissing: the text side needs a package that is not installed.
        """
        rows = label_vectors(reader, labels, templates)
        for file in embed_files(paths, embedder, self.features(embedder), max_pixels=max_pixels):
            if isinstance(file, Skipped):
                yield file
            else:
                yield name_image(file.path, normalise(file.features[None])[0], labels, rows)
