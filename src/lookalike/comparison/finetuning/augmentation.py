"""Data augmentation: crops, mirror images and slightly other colours, drawn anew in each epoch."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lookalike.comparison.finetuning.recipe import Recipe


class Augmentation(NamedTuple):
    """The crop, mirroring and colour change of each of n pictures."""

    places: NDArray[np.float32]
    """(n, 2, 3): the crop as an affine map from its coordinates to the picture's, both −1 … 1; a negative
    factor across mirrors it."""
    brightness: NDArray[np.float32]
    """(n,): a factor, as the two below."""
    contrast: NDArray[np.float32]
    saturation: NDArray[np.float32]


def draw_augmentation(count: int, recipe: Recipe, drawn: np.random.Generator) -> Augmentation:
    """Draw an augmentation for each of some pictures.

    Chance comes from the CPU, so that every device sees the same crops.

    Args:
        count: how many pictures.
        recipe: how much they vary.
        drawn: where chance comes from.
    """
    area = drawn.uniform(recipe.area, 1, count)
    stretch = np.exp(drawn.uniform(-log(recipe.stretch), log(recipe.stretch), count))
    across, down = np.minimum(1, np.sqrt(area * stretch)), np.minimum(1, np.sqrt(area / stretch))
    places = np.zeros((count, 2, 3), dtype=np.float32)
    places[:, 0, 0] = across * drawn.choice((-1.0, 1.0), count)
    places[:, 1, 1] = down
    places[:, 0, 2] = drawn.uniform(-1, 1, count) * (1 - across)
    places[:, 1, 2] = drawn.uniform(-1, 1, count) * (1 - down)
    colours = drawn.uniform(1 - recipe.colour, 1 + recipe.colour, (3, count)).astype(np.float32)
    return Augmentation(places, *colours)
