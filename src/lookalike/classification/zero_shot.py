"""Labels an image by the names of labels alone, with a model that places texts among its images.

A. Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021, arXiv
2103.00020, section 3.1: the label whose text is nearest; several texts a label are averaged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import InvalidArgument
from lookalike.images.limits import MAX_PIXELS
from lookalike.ingest.embedding import embed_files
from lookalike.types import Skipped
from lookalike.vectors.metric import normalise

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lookalike.embedders.models import Models
    from lookalike.embedders.protocol import Embedder, TextEmbedder
    from lookalike.sources.frames import Place
    from lookalike.types import Vectors

TEMPLATES = ("a photo of a {}",)
"""That of the README of CLIP (github.com/openai/CLIP)."""

SCALE = 100.0
"""What similarities are multiplied with before they become shares: the scale of CLIP, which training keeps
from exceeding 100 (section 2.5 of the paper), and which is 100 in its README. Other models have others."""


@dataclass(frozen=True, slots=True)
class Named:
    """What the names of labels say of one image."""

    path: Place
    labels: tuple[tuple[str, float, float], ...]
    """Each label with its share of 1 and its cosine similarity, the most similar first."""


def label_vectors(
    reader: TextEmbedder, labels: Sequence[str], templates: Sequence[str] = TEMPLATES
) -> Vectors:
    """Return the vector of each label: the mean of its texts.

    A label that is not in plain ASCII is put in no template of `TEMPLATES`, which is English.

    Args:
        reader: a text side.
        labels: at least two different ones.
        templates: texts with `{}` where the label goes.

    Returns:
        float32 of shape (labels, dimension), each row of length 1.

    Raises:
        InvalidArgument: labels or templates are not as said, or a label says nothing to the model.
        ExtraMissing: the text side needs a package that is not installed.
    """
    if len(set(labels)) < 2 or len(set(labels)) < len(labels):
        raise InvalidArgument(
            f"labels: at least two different ones are needed, not {', '.join(labels) or 'none'}"
        )
    if not templates:
        raise InvalidArgument("no template is given")
    for template in templates:
        if "{}" not in template:
            raise InvalidArgument(f"template {template!r} has no {{}} where the label goes")
    rows = []
    for label in labels:
        own = ("{}",) if tuple(templates) == TEMPLATES and not label.isascii() else templates
        texts = normalise(reader.embed_texts([template.replace("{}", label) for template in own]))
        row = normalise(texts.mean(axis=0, keepdims=True))
        if not row.any():
            raise InvalidArgument(f"label {label!r} says nothing to the model: say it in other words")
        rows.append(row[0])
    return np.stack(rows)


def name_image(path: Place, image: Vectors, labels: Sequence[str], rows: Vectors) -> Named:
    """Return what the names of labels say of one image.

    Args:
        path: the image.
        image: its vector, shape (d,), of length 1.
        labels: their names.
        rows: their vectors, as `label_vectors` has them.
    """
    similarities = rows.astype(np.float64) @ image.astype(np.float64)
    weights = np.exp(SCALE * (similarities - similarities.max()))
    shares = weights / weights.sum()
    order = np.argsort(-similarities, kind="stable")
    return Named(path, tuple((labels[at], float(shares[at]), float(similarities[at])) for at in order))


class ZeroShotClassifier:
    """Labels images by the names of labels alone: no labelled image is needed, and no collection."""

    def __init__(
        self,
        models: Models,
        embedder: Embedder,
        labels: Sequence[str],
        templates: Sequence[str] = TEMPLATES,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        """Name the labels; they are read when the first image is classified.

        Args:
            models: with the embedder.
            embedder: a model that reads texts.
            labels: at least two different ones, as texts.
            templates: texts with `{}` where the label goes; none: `TEMPLATES`.
            max_pixels: images with more pixels are skipped.

        Raises:
            Unanswerable: the model reads no texts.
        """
        self._models = models
        self._embedder = embedder
        self._reader = models.text_embedder(embedder, "images cannot be named")
        self._labels = labels
        self._templates = templates or TEMPLATES
        self._max_pixels = max_pixels
        self.model = embedder.name
        """The embedder's name."""
        self.vocabulary = self._reader.vocabulary
        """What it cannot understand, in a sentence; None where nothing is known."""

    def classify(self, paths: Iterable[Place]) -> Iterator[Named | Skipped]:
        """Label images.

        Yields:
            One value for each path, in order.

        Raises:
            InvalidArgument: labels or templates are not as said.
            ExtraMissing: the text side needs a package that is not installed.
        """
        rows = label_vectors(self._reader, self._labels, self._templates)
        cache = self._models.features(self._embedder)
        for file in embed_files(paths, self._embedder, cache, max_pixels=self._max_pixels):
            if isinstance(file, Skipped):
                yield file
            else:
                yield name_image(file.path, normalise(file.features[None])[0], self._labels, rows)
