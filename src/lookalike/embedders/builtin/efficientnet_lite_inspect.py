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
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

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

_SIDES = (224, 448)
_MIRRORED = 224
# Channels of the stem and of blocks 0, 2, 4, 7, 10 and 14: Tan and Le (2019), table 1.
_CHANNELS = (32, 16, 24, 40, 80, 112, 192)
_STATISTICS = 3

# Whoever changes a number that comes out changes this text.
_RECIPE = (
    "statistics graph 1, with mirror image at 224; "
    "whole image to 224 x 224 and 448 x 448 by Pillow bicubic, reducing gap 3; "
    "(pixel - 127) / 128; mean, maximum and log deviation of stem, blocks 0 2 4 7 10 14"
)


def _groups() -> Iterator[slice]:
    """Yield the columns of each resolution × layer × statistic, in the order of the features."""
    start = 0
    for width in _CHANNELS * len(_SIDES):
        for _ in range(_STATISTICS):
            yield slice(start, start + width)
            start += width


CARD = Card(
    name="efficientnet-lite0-inspect",
    dimension=len(_SIDES) * _STATISTICS * sum(_CHANNELS),
    licence=PLAIN.licence,
    # Of the stem and of blocks 0 to 14: block 15, the head and the classifier are not used.
    parameters=2_353_408,
    summary="for inspection: statistics of seven layers of EfficientNet-Lite0, at two resolutions; for `fit`",
    source=PLAIN.source,
    groups=tuple(_groups()),
)


class EfficientNetLite0Inspect:
    """Statistics of EfficientNet-Lite0's layers as an embedder; see `protocol.Embedder`."""

    card = CARD
    name = CARD.name
    dimension = CARD.dimension
    input_size = max(_SIDES)
    batch_size = 1
    fingerprint = hashlib.sha256(f"{WEIGHTS_SHA256}; {_RECIPE}".encode()).hexdigest()

    def __init__(self, cache: Path, device: Device = "cpu") -> None:
        """Open the embedder.

        Args:
            cache: the user's cache folder; the graph is kept in its folder `models`.
            device: where it runs.

        Raises:
            WeightsInvalid: the weights are damaged, and no graph was built from them yet.
        """

        def build(weights: Weights) -> bytes:
            from lookalike.embedders.builtin.efficientnet_lite_graph import build_statistics_graph

            return build_statistics_graph(weights)

        path = cache / "models" / f"{self.name}-{self.fingerprint[:12]}.onnx"
        self._session = open_graph(path, build, device)

    def embed(self, images: Sequence[Image]) -> Features:
        """Embed images of any sizes.

        Args:
            images: of mode RGB, none of them empty.

        Returns:
            float32 of shape (len(images), 2976), in the order given. Columns run by resolution (224, 448),
            layer (stem, blocks 0, 2, 4, 7, 10, 14), statistic (mean, maximum, deviation) and channel, as
            `CARD.groups` has them and `efficientnet_lite_graph.build_statistics_graph` describes them.

        Raises:
            InvalidArgument: an image is not of mode RGB, or empty.
        """
        features = np.empty((len(images), self.dimension), np.float32)
        # One at a time, as efficientnet-lite0 does and for the same reasons.
        for row, image in zip(features, images, strict=True):
            for part, side in zip(np.split(row, len(_SIDES)), _SIDES, strict=True):
                pixels = resized(image, side)
                part[:] = self._statistics(pixels)
                if side == _MIRRORED:
                    part += self._statistics(np.ascontiguousarray(pixels[:, ::-1]))
                    part /= 2
        return features

    def _statistics(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self._session.run(["statistics"], {"image": pixels[np.newaxis]})[0][0]
        return found
