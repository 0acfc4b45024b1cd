"""The embedder `efficientnet-lite0-inspect`: EfficientNet-Lite0 read at all its depths, for inspection.

A defect is small and low in the network, and the mean of the last layer averages it away. Here the features
are statistics over the image (mean, maximum and standard deviation) of seven layers, from the stem to the
last block but one. Such statistics are known from texture synthesis (Gatys, Ecker and Bethge, "Texture
Synthesis Using Convolutional Neural Networks", NIPS 2015, arXiv 1505.07376) and from industrial inspection
(Defard et al., "PaDiM", ICPR 2020, arXiv 2011.08785, which also reads several depths of an EfficientNet).

Every image is read at 224 and at 448 pixels a side. Which of the two tells classes apart depends on the size
of what is looked for, and not on the size of the file: threads of a fabric want 448, the outline of a bead of
plastic wants 224, though both files are small. The vector holds both, and a fitted metric weighs them. At 224
pixels the image and its mirror image are read and the features averaged: with few exemplars, on which side
something lies should not count. That gained half a percent for a quarter more time (extrusion, 60 draws); at
448 it gained nothing for twice the time.

`efficientnet-lite0-inspect-3scales` reads it at 96 pixels, too, the smallest that the network's maps allow.
There the outline of what fills a picture, or of a small picture, is told best: of extrusions of 85 × 85
pixels 0.871 were right instead of 0.844, of textile 0.992 as with two (benchmarks/inspection.py, draws
0 to 59), for a tenth more time. The maxima at 224 pixels are left out: nothing misses them, and the rest fits
into a dense_vector of Elasticsearch, which ends at 4,096 numbers.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lookalike.embedders.builtin.efficientnet_lite import CARD as PLAIN
from lookalike.embedders.builtin.efficientnet_lite import WEIGHTS_SHA256, open_graph, resized
from lookalike.embedders.protocol import Card

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL.Image import Image

    from lookalike.embedders.builtin.efficientnet_lite_graph import Weights
    from lookalike.embedders.protocol import Device
    from lookalike.types import Features

# At these sides the mirror image is read, too.
_MIRRORED = (96, 224)
# Channels of the stem and of blocks 0, 2, 4, 7, 10 and 14: Tan and Le (2019), table 1.
_CHANNELS = (32, 16, 24, 40, 80, 112, 192)
_STATISTICS = 3


class _Variant(NamedTuple):
    """A choice of sides that images are read at."""

    name: str
    sides: tuple[int, ...]
    summary: str
    left_out: tuple[tuple[int, int], ...]
    """Sides and statistics, by their place among mean, maximum and deviation."""
    recipe: str
    """Whoever changes a number that comes out changes this text."""

    def card(self) -> Card:
        return Card(
            name=self.name,
            dimension=sum(map(len, map(self.columns, self.sides))),
            licence=PLAIN.licence,
            # Of the stem and of blocks 0 to 14: block 15, the head and the classifier are not used.
            parameters=2_353_408,
            summary="for inspection: statistics of seven layers of EfficientNet-Lite0, "
            f"{self.summary}; for `fit`",
            source=PLAIN.source,
            groups=tuple(self._groups()),
        )

    def _groups(self) -> Iterator[slice]:
        """Yield the columns of each resolution × layer × statistic, in the order of the features."""
        start = 0
        for side in self.sides:
            for width in _CHANNELS:
                for statistic in range(_STATISTICS):
                    if (side, statistic) not in self.left_out:
                        yield slice(start, start + width)
                        start += width

    def columns(self, side: int) -> NDArray[np.intp]:
        """Return which of the graph's statistics are taken at a side."""
        kept = [
            np.full(width, (side, statistic) not in self.left_out)
            for width in _CHANNELS
            for statistic in range(_STATISTICS)
        ]
        return np.flatnonzero(np.concatenate(kept))


_TWO = _Variant(
    "efficientnet-lite0-inspect",
    (224, 448),
    "at two resolutions",
    (),
    "statistics graph 1, with mirror image at 224; "
    "whole image to 224 x 224 and 448 x 448 by Pillow bicubic, reducing gap 3; "
    "(pixel - 127) / 128; mean, maximum and log deviation of stem, blocks 0 2 4 7 10 14",
)
_THREE = _Variant(
    "efficientnet-lite0-inspect-3scales",
    (96, 224, 448),
    "at three resolutions",
    ((224, 1),),
    "statistics graph 1, with mirror image at 96 and 224; "
    "whole image to 96 x 96, 224 x 224 and 448 x 448 by Pillow bicubic, reducing gap 3; "
    "(pixel - 127) / 128; mean, maximum (not at 224) and log deviation of stem, blocks 0 2 4 7 10 14",
)
CARD = _TWO.card()
CARD_3_SCALES = _THREE.card()
_VARIANTS = {card.name: (variant, card) for variant, card in ((_TWO, CARD), (_THREE, CARD_3_SCALES))}
INSPECT_NAMES = tuple(_VARIANTS)


class EfficientNetLite0Inspect:
    """Statistics of EfficientNet-Lite0's layers as an embedder; see `protocol.Embedder`."""

    batch_size = 1

    def __init__(self, cache: Path, device: Device = "cpu", name: str = CARD.name) -> None:
        """Open the embedder.

        Args:
            cache: the user's cache folder; the graph is kept in its folder `models`.
            device: where it runs.
            name: one of `INSPECT_NAMES`.

        Raises:
            WeightsInvalid: the weights are damaged, and no graph was built from them yet.
        """

        def build(weights: Weights) -> bytes:
            from lookalike.embedders.builtin.efficientnet_lite_graph import build_statistics_graph

            return build_statistics_graph(weights)

        variant, self.card = _VARIANTS[name]
        self.name = name
        self.dimension = self.card.dimension
        self.fingerprint = _fingerprint(variant)
        self.input_size = max(variant.sides)
        self._columns = {side: variant.columns(side) for side in variant.sides}
        # One graph for all: it takes any size.
        path = cache / "models" / f"{CARD.name}-{_fingerprint(_TWO)[:12]}.onnx"
        self._session = open_graph(path, build, device)

    def embed(self, images: Sequence[Image]) -> Features:
        """Embed images of any sizes.

        Args:
            images: of mode RGB, none of them empty.

        Returns:
            float32 of shape (len(images), dimension), in the order given. Columns run by resolution (rising),
            layer (stem, blocks 0, 2, 4, 7, 10, 14), statistic (mean, maximum, deviation) and channel, as
            `Card.groups` has them and `efficientnet_lite_graph.build_statistics_graph` describes them.

        Raises:
            InvalidArgument: an image is not of mode RGB, or empty.
        """
        features = np.empty((len(images), self.dimension), np.float32)
        # One at a time, as efficientnet-lite0 does and for the same reasons.
        for row, image in zip(features, images, strict=True):
            start = 0
            for side, columns in self._columns.items():
                pixels = resized(image, side)
                found = self._statistics(pixels)
                if side in _MIRRORED:
                    found += self._statistics(np.ascontiguousarray(pixels[:, ::-1]))
                    found /= 2
                row[start : start + len(columns)] = found[columns]
                start += len(columns)
        return features

    def _statistics(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self._session.run(["statistics"], {"image": pixels[np.newaxis]})[0][0]
        return found


def _fingerprint(variant: _Variant) -> str:
    return hashlib.sha256(f"{WEIGHTS_SHA256}; {variant.recipe}".encode()).hexdigest()
