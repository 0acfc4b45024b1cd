"""Projection of a collection onto a plane by principal components, for its map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lookalike.types import Vectors
    from lookalike.vectors.nearest import Rows

_FITTED_TO = 5_000


def evenly(count: int, most: int) -> Rows:
    """Return the places of at most `most` of `count` images, evenly spaced and rising; the first and last."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.intp))


def plane(vectors: Vectors) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """Lay vectors onto the plane in which they differ most: their first two principal components.

    Args:
        vectors: float32 of shape (n, d), n at least 1.

    Returns:
        Shape (n, 2), and the part of the variance that each axis holds. The axes are found on at most 5,000
        of the vectors, evenly spaced.
    """
    from sklearn.decomposition import PCA

    sample = vectors[:: -(-len(vectors) // _FITTED_TO)]
    if not np.ptp(sample, axis=0).any():
        return np.zeros((len(vectors), 2), np.float32), (0.0, 0.0)
    parts = min(2, *sample.shape)
    model = PCA(parts, svd_solver="randomized" if min(sample.shape) > 10 else "full", random_state=0).fit(
        sample
    )
    points = np.zeros((len(vectors), 2), np.float32)
    points[:, :parts] = model.transform(vectors)
    held = [*model.explained_variance_ratio_.tolist(), 0.0][:2]
    return points, (held[0], held[1])
