"""Patch features of an image: what a network sees at each place of it, and over the whole of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Patches(NamedTuple):
    """What a network sees in one image."""

    fine: NDArray[np.float32]
    """Shape (56, 56, 64): rows, columns, channels; eight pixels of 448 apart."""
    coarse: NDArray[np.float32]
    """Shape (h, h, d), of a wider view."""
    whole: NDArray[np.float32]
    """Shape (896,): statistics over the image."""


class Shapes(NamedTuple):
    """The shapes of an embedder's patch features."""

    fine: tuple[int, int, int]
    coarse: tuple[int, int, int]
    whole: tuple[int]

    @property
    def sizes(self) -> list[int]:
        """How many numbers each has."""
        return [int(np.prod(shape)) for shape in self]


LITE0 = Shapes((56, 56, 64), (28, 28, 192), (896,))
"""Of `efficientnet_lite_patches`."""

VIT = Shapes((56, 56, 64), (16, 16, 384), (896,))
"""Of `vit_patches`."""

_BY_LENGTH = {sum(shapes.sizes): shapes for shapes in (LITE0, VIT)}


def patches_of(features: NDArray[np.float32]) -> Patches:
    """Return one row of an embedder of patches as maps, without a copy; its length says whose it is."""
    shapes = _BY_LENGTH[len(features)]
    parts = np.split(features, np.cumsum(shapes.sizes)[:-1])
    return Patches(*(part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)))
