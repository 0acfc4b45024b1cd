"""The discriminant in the space of the images: the metric of a fold, whose images are fewer than columns.

The steps and their sources are those of `discriminant`, and so are the similarities, up to rounding. What
differs is what is decomposed: the whitened products of n images come from their plain products by Woodbury's
identity (M. A. Woodbury, "Inverting modified matrices", Princeton 1950), which takes a Cholesky factor of n
columns where the map takes two eigendecompositions. The directions need not be told apart; only those that
are dropped are looked for, where there are more than `MAX_DIMENSION`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lookalike.vectors.discriminant import (
    EXACT_UP_TO,
    GAIN,
    MAX_DIMENSION,
    between_directions,
    class_means,
    learn_scale,
    rank_of,
    within_variance,
)
from lookalike.vectors.metric import checked_lesson, normalise

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from lookalike.types import Vectors
    from lookalike.vectors.discriminant import Matrix

# Part of the largest product below which directions count as rounding, as in the map.
_NEGLIGIBLE = {np.dtype(np.float64): 1e-10, np.dtype(np.float32): 1e-6}
_BLOCK_ROWS = 512


class DualMetric:
    """A discriminant that keeps the images it was fitted to, and projects by products with them."""

    learned: Vectors
    """float32 of shape (n, dimension): the images it was fitted to, projected."""

    def __init__(
        self,
        vectors: Vectors,
        codes: NDArray[np.intp],
        *,
        groups: Sequence[slice] | None = None,
        lots: NDArray[np.intp] | None = None,
        seed: int = 0,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        """Learn from labelled vectors; arguments and errors are as for `fit_metric`.

        Takes some n² d + 5 n³ multiplications and 40 n² bytes: it is for n of a few thousand, and at most d.
        """
        from scipy.linalg import cholesky, eigh, solve_triangular

        codes, groups, lots = checked_lesson(vectors, codes, groups, lots)
        mean, scale, shrinkage = learn_scale(vectors, codes, groups, lots, seed, beat)
        self._mean, self._scale = mean.astype(np.float32), scale.astype(np.float32)
        self._data = (vectors - self._mean) * self._scale
        count = len(vectors)
        exact = self._data.astype(np.float64) if count <= EXACT_UP_TO else self._data
        products = exact @ exact.T
        kind = products.dtype
        beat()
        negligible = _NEGLIGIBLE[kind] * products.diagonal().max()
        from_means = products - class_means(products, codes).astype(kind)[codes]
        within = from_means - class_means(from_means.T, codes).astype(kind).T[:, codes]
        freedom = max(count - int(codes.max()) - 1, 1)
        traces = float(np.trace(within)) / freedom, float(np.trace(products)) / count
        floor = shrinkage * within_variance(*traces, rank_of(products, negligible), freedom)
        within[np.diag_indices(count)] += floor * freedom / (1 - shrinkage)
        beat()
        lower = cholesky(within, lower=True, overwrite_a=True, check_finite=False)
        half = solve_triangular(lower, from_means, lower=True, overwrite_b=True, check_finite=False)
        whitened = (products - half.T @ half) / floor
        lengths = whitened.diagonal().copy()
        beat()
        dropped = count - MAX_DIMENSION
        if dropped > 1:
            # In float32, since nothing hangs on the last of them: which is dropped of two that are as long.
            found = eigh(whitened.astype(np.float32), subset_by_index=[0, dropped - 1], check_finite=False)
            energies, directions = (each.astype(kind) for each in found)
        else:
            # The rows are centred: they have no length along 1, 1, 1 …
            energies, directions = np.zeros(1, kind), np.full((count, 1), count**-0.5, kind)
        beat()
        # What is dropped gets the usual length, for a matrix that can be factorised, and is taken out again.
        usual = np.trace(whitened) / count or 1.0
        whitened += (directions * (usual - energies)) @ directions.T
        rounding = max(negligible / floor, _NEGLIGIBLE[kind] * usual)
        whitened[np.diag_indices(count)] += rounding
        factor = cholesky(whitened, lower=True, overwrite_a=True, check_finite=False)
        beat()
        taken_out = solve_triangular(factor, directions, lower=True, check_finite=False)
        coordinates = factor - usual * directions @ taken_out.T
        coordinates[lengths <= count * rounding] = 0  # those that equal the mean
        # From products with the images to coordinates: see `project`.
        inner = solve_triangular(lower, half, lower=True, trans="T", overwrite_b=True, check_finite=False)
        inner = class_means(inner, codes).astype(kind)[codes] - inner
        inner[np.diag_indices(count)] += 1
        inner -= (inner @ directions) @ directions.T
        inner /= floor
        towards = solve_triangular(factor, inner.T, lower=True, overwrite_b=True, check_finite=False).T
        between = between_directions(class_means(coordinates, codes))
        self._towards: Matrix = _gained(towards, between).astype(kind)
        self.learned = _unit(_gained(coordinates, between))

    @property
    def dimension(self) -> int:
        """Numbers per projected vector."""
        return len(self._data)

    def project(self, vectors: Vectors) -> Vectors:
        """Project plain vectors; see `Metric.project`."""
        projected = np.empty((len(vectors), self.dimension), np.float32)
        known = self._data.astype(self._towards.dtype)
        for start in range(0, len(vectors), _BLOCK_ROWS):
            block = slice(start, start + _BLOCK_ROWS)
            some = ((vectors[block] - self._mean) * self._scale).astype(known.dtype)
            projected[block] = _unit(some @ known.T @ self._towards)
        return projected


def _gained(coordinates: Matrix, between: Matrix) -> Matrix:
    """Return coordinates (n, m) in which the directions (r, m) between classes count as often as they do."""
    gained: Matrix = coordinates + (GAIN - 1) * ((coordinates @ between.T) @ between)
    return gained


def _unit(coordinates: NDArray[np.floating]) -> Vectors:
    unit = normalise(coordinates)
    unit[~unit.any(axis=1), 0] = 1
    return unit
