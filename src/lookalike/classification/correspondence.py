"""Correspondence: which patches of an image have a like in other images, and which in some of them only.

All patches are whitened by their own covariance, as in `lookalike.anomaly.memory`, so that what differs from
one ordinary patch to the next counts little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lookalike.anomaly.memory import joined_map, whitening
from lookalike.embedders.builtin.patches import Patches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

# As for a memory of normal pictures: see `anomaly.memory`.
_SHRINKAGE = 0.05
_LEAST_DEVIATION = 1e-6
# Of 28 places from the border inwards, those that are told apart.
_RINGS = 3


class Novelty(NamedTuple):
    """How unlike all patches of some images those of another one are."""

    anomaly_map: Floats
    """Shape (56, 56): in deviations of what the images' patches have, each image held out."""
    peaks: Floats
    """Shape (images,): the highest value of each image's own map, held out."""


class Match(NamedTuple):
    """A patch of an image, and the one in another that is its mutual nearest neighbour."""

    row: int
    column: int
    image: int
    """Place of the other image among those that were given."""
    other_row: int
    other_column: int
    similarity: float
    """Cosine of the two."""
    rival: float
    """Cosine of the patch and the one that is most like it in the images on the other side."""


def whitened(images: Sequence[Patches]) -> list[Patches]:
    """Whiten the patches of images by the covariance of all of them.

    The image that is explained has a part in it, as each other one has, so that its patches are not farther
    away for having none.
    """
    found: dict[str, list[Floats]] = {}
    for name in ("fine", "coarse"):
        maps: list[Floats] = [getattr(each, name) for each in images]
        rows = [each.reshape(-1, each.shape[2]) for each in maps]
        white = whitening(np.concatenate(rows), _SHRINKAGE)
        found[name] = [white(each).reshape(maps[0].shape) for each in rows]
    levels = zip(found["fine"], found["coarse"], images, strict=True)
    return [Patches(fine, coarse, each.whole) for fine, coarse, each in levels]


def novelty(image: Patches, others: Sequence[Patches]) -> Novelty:
    """Measure how far each patch of an image is from the nearest of all patches of others.

    It is the map of `lookalike.anomaly`, with the others in the place of normal pictures.

    Args:
        image: whitened.
        others: whitened, at least two.
    """
    levels = []
    for name in ("fine", "coarse"):
        maps = [getattr(each, name) for each in (image, *others)]
        shape = maps[0].shape[:2]
        rows = [each.reshape(-1, each.shape[2]) for each in maps]
        nearest = np.full((len(rows), len(rows[0])), np.inf, np.float32)
        for at, some in enumerate(rows):
            for other in range(at + 1, len(rows)):
                squares = _squared_distances(some, rows[other])
                np.minimum(nearest[at], squares.min(axis=1), out=nearest[at])
                if at:  # the image itself is no like of the others
                    np.minimum(nearest[other], squares.min(axis=0), out=nearest[other])
        levels.append(_standardised(np.sqrt(np.maximum(nearest, 0)).reshape(-1, *shape)))
    found, *held = (joined_map(fine, coarse) for fine, coarse in zip(*levels, strict=True))
    return Novelty(found, np.array([each.max() for each in held], np.float32))


def best_match(image: Patches, some: Sequence[Patches], rivals: Sequence[Patches]) -> Match | None:
    """Return the patch that most speaks for some images against others, and its counterpart.

    Two patches match where each is the nearest neighbour of the other ("best buddies": Dekel et al.,
    "Best-Buddies Similarity for Robust Template Matching", CVPR 2015). That explains a classification by
    neighbours as in Nguyen, Taesiri and Nguyen, "Visual correspondence-based explanations improve AI
    robustness and human-AI team accuracy", NeurIPS 2022, arXiv 2208.00780. How much a match speaks for one
    side is what it adds to the odds in naive Bayes by nearest neighbours (Boiman, Shechtman and Irani, "In
    Defense of Nearest-Neighbor Based Image Classification", CVPR 2008): the squared distance to the nearest
    patch of the other side less that to the nearest of this one; for patches of length 1 twice the
    difference of their cosines.

    Args:
        image: whitened; a patch is a place of 28 × 28, with all that both kinds of patches say of it.
        some: whitened.
        rivals: whitened; as many as `some`, or else more of them would have the nearer patches for that.

    Returns:
        None where no match is nearer than what the rivals have, or there are none on one side.
    """
    if not some or not rivals:
        return None
    own = _described(image)
    rival = np.max([(own @ _described(each).T).max(axis=1) for each in rivals], axis=0)
    found, best = None, 0.0
    for place, each in enumerate(some):
        cosines = own @ _described(each).T
        nearest = cosines.argmax(axis=1)
        mutual = cosines.argmax(axis=0)[nearest] == np.arange(len(own))
        margin = np.where(mutual, cosines.max(axis=1) - rival, -np.inf)
        at = int(margin.argmax())
        if margin[at] > best:
            best = float(margin[at])
            columns = image.coarse.shape[1]
            (row, column), other = divmod(at, columns), int(nearest[at])
            found = Match(
                row, column, place, other // columns, other % columns,
                float(cosines[at, other]), float(rival[at]),
            )  # fmt: skip
    return found


def _standardised(distances: Floats) -> Floats:
    """Return distances, shape (images, h, w), in deviations of those of all images but the first.

    A few images tell nothing of single places; of those that are as far from the border they do, and near the
    border the network's padding makes patches odd.
    """
    rows, columns = (np.minimum(np.arange(side), np.arange(side)[::-1]) for side in distances.shape[1:])
    ring = np.minimum(np.minimum.outer(rows, columns), _RINGS * distances.shape[1] // 28)
    found = np.empty_like(distances)
    for each in range(ring.max() + 1):
        there = distances[:, ring == each]
        usual = there[1:]
        found[:, ring == each] = (there - usual.mean()) / max(usual.std(), _LEAST_DEVIATION)
    return found


def _described(image: Patches) -> Floats:
    """Return what is known of each coarse place, shape (784, d), of length 1; both kinds count the same."""
    rows, columns, deep = image.coarse.shape
    fine = image.fine.reshape(rows, 2, columns, 2, -1).swapaxes(1, 2).reshape(rows * columns, -1)
    coarse = image.coarse.reshape(-1, deep)
    found = np.concatenate([fine / np.sqrt(fine.shape[1]), coarse / np.sqrt(deep)], axis=1)
    described: Floats = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), _LEAST_DEVIATION)
    return described


def _squared_distances(rows: Floats, others: Floats) -> Floats:
    """Return the squared Euclidean distances of rows, shape (n, d), to others, (m, d): shape (n, m)."""
    squares: Floats = rows @ others.T
    squares *= -2
    squares += np.einsum("ij,ij->i", rows, rows)[:, None]
    squares += np.einsum("ij,ij->i", others, others)
    return squares
