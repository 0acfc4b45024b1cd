"""Exact nearest neighbours of unit vectors: one order for every store and every evaluation.

A float32 matrix product finds the candidates; their similarities are then computed again in float64, pair by
pair, so that a similarity does not depend on where a vector stands in the matrix. Equal vectors have equal
similarities, and ties are broken by row.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lookalike.errors import InvalidArgument
from lookalike.progress import divided, silent
from lookalike.vectors.groupings import group_members

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lookalike.progress import Progress
    from lookalike.types import Vectors

Rows: TypeAlias = NDArray[np.intp]
Similarities: TypeAlias = NDArray[np.float64]

MARGIN = 1e-5
"""More than a float32 product errs by: its error grows with the square root of the dimension, about
6e-8 · sqrt(d), which is 4e-6 at 5,000 dimensions."""
# Candidates beyond k that are looked at in any case; only where more than these tie is a row searched again.
_SPARE = 8
# Similarities of which only the largest is looked at first: of 200,000 one then partitions 3,000 and 1,200,
# which takes a twentieth of the time.
_SIEVE = 64
# Of similarities at once; a product of fewer queries packs the vectors more often.
_BLOCK_BYTES = 256 << 20
_GATHERED_BYTES = 64 << 20
_CACHED_ROWS = 64


class BestOfClass:
    """The similarity of each query to the nearest row of each class."""

    def __init__(self, codes: Rows, out: NDArray[np.float32]) -> None:
        """Prepare for one call of `nearest_rows`.

        Args:
            codes: shape (n,): the class of each row, 0 … classes − 1.
            out: float32 of shape (q, classes), filled where a class has rows.
        """
        self._order = np.argsort(codes, kind="stable")
        self._present, self._starts = np.unique(codes[self._order], return_index=True)
        self._out = out

    def fill(self, start: int, rough: NDArray[np.float32]) -> None:
        """Take the similarities of some queries, from number `start`, to all rows: shape (some, n)."""
        # A few rows at a time stay in the cache; and `take` goes through them row by row.
        for row in range(0, len(rough), _CACHED_ROWS):
            some = np.take(rough[row : row + _CACHED_ROWS], self._order, axis=1, mode="clip")
            by_class = np.maximum.reduceat(some, self._starts, axis=1)
            at = start + row
            self._out[at : at + len(some), self._present] = np.minimum(by_class, 1.0)


def nearest_rows(
    queries: Vectors,
    vectors: Vectors,
    k: int,
    exclude: Sequence[Sequence[int]] | None = None,
    among: NDArray[np.bool_] | None = None,
    best: BestOfClass | None = None,
    progress: Progress = silent,
) -> tuple[Rows, Similarities]:
    """Find the k rows of `vectors` that are most similar to each query.

    Args:
        queries: float32 of shape (q, d), each row of length 1.
        vectors: float32 of shape (n, d), each row of length 1.
        k: neighbours per query, at least 1.
        exclude: for each query, rows that are left out.
        among: shape (n,): the rows that count, by default all; where they are many, faster than a copy.
        best: filled from the same product, where it is given.
        progress: called with queries done and queries to do.

    Returns:
        Rows of shape (q, k) and their cosine similarities −1 … 1, both by falling similarity, then by rising
        row. Where fewer than k are there, the rest is −1 and NaN. Memory beside the arguments is bounded.

    Raises:
        InvalidArgument: k is below 1.
    """
    if k < 1:
        raise InvalidArgument(f"k must be at least 1, not {k}")
    count = len(vectors)
    rows = np.full((len(queries), k), -1, dtype=np.intp)
    similarities = np.full((len(queries), k), np.nan)
    total = len(queries)
    if count == 0:
        progress(total, total)
        return rows, similarities
    step = max(1, _BLOCK_BYTES // (4 * count))
    # One buffer for all blocks: a new one each time costs as much as a fourth of the product.
    buffer = np.empty((min(step, len(queries)), count), np.float32)
    for start in range(0, len(queries), step):
        block = queries[start : start + step]
        pulse = partial(progress, start, total)
        rough = np.matmul(block, vectors.T, out=buffer[: len(block)])
        pulse()
        for offset, left_out in enumerate(exclude[start : start + step] if exclude is not None else ()):
            rough[offset, list(left_out)] = -np.inf
        if among is not None:
            rough[:, ~among] = -np.inf
        if best is not None:
            best.fill(start, rough)
            pulse()
        found = rows[start : start + step], similarities[start : start + step]
        _rank_block(block, vectors, rough, *found, pulse)
        progress(min(start + step, total), total)
    return rows, similarities


def leave_one_out_rows(
    vectors: Vectors, k: int, groups: Rows | None = None, progress: Progress = silent
) -> tuple[Rows, Similarities]:
    """Find the k nearest other rows of each row.

    Args:
        vectors: float32 of shape (n, d), each row of length 1.
        k: neighbours per row, at least 1.
        groups: shape (n,): only rows of the same number are compared.
        progress: called with rows done and rows to do.

    Returns:
        As `nearest_rows`, of shape (n, k).

    Raises:
        InvalidArgument: k is below 1.
    """
    count = len(vectors)
    if groups is None:
        return nearest_rows(vectors, vectors, k, [[row] for row in range(count)], progress=progress)
    rows = np.full((count, k), -1, dtype=np.intp)
    similarities = np.full((count, k), np.nan)
    each = group_members(groups)
    for members, tell in zip(each, divided(progress, [len(members) for members in each]), strict=True):
        found, similarities[members] = leave_one_out_rows(vectors[members], k, progress=tell)
        rows[members] = np.where(found >= 0, members[found], -1)
    return rows, similarities


def _rank_block(
    queries: Vectors,
    vectors: Vectors,
    rough: NDArray[np.float32],
    rows: Rows,
    similarities: Similarities,
    pulse: Callable[[], None],
) -> None:
    """Fill `rows` and `similarities` from the rough similarities, shape (queries, vectors), of one block."""
    count = len(vectors)
    k = min(rows.shape[1], count)
    wide = min(count, k + _SPARE)
    candidates = _largest(rough, wide)
    found = np.take_along_axis(rough, candidates, axis=1)
    kth = np.partition(found, wide - k, axis=1)[:, wide - k]
    # A row whose weakest candidate is as good as its k-th may have missed some that tie with it.
    crowded = (found.min(axis=1) >= kth - MARGIN) & (wide < count) & np.isfinite(kth)

    candidates = np.sort(candidates, axis=1)
    usable = np.isfinite(np.take_along_axis(rough, candidates, axis=1))
    exact = np.where(usable, exact_similarities(queries, vectors, candidates), -np.inf)
    best = np.argsort(-exact, axis=1, kind="stable")[:, :k]
    values = np.take_along_axis(exact, best, axis=1)
    rows[:, :k] = np.where(np.isfinite(values), np.take_along_axis(candidates, best, axis=1), -1)
    similarities[:, :k] = np.where(np.isfinite(values), values, np.nan)

    for row in np.flatnonzero(crowded):
        pulse()
        some = np.flatnonzero(rough[row] >= kth[row] - MARGIN)
        exact_row = exact_similarities(queries[row : row + 1], vectors, some[None])[0]
        order = np.argsort(-exact_row, kind="stable")[:k]
        rows[row, :k], similarities[row, :k] = some[order], exact_row[order]


def _largest(rough: NDArray[np.float32], wide: int) -> Rows:
    """Return where the `wide` largest of each row are, in no order: shape (len(rough), wide)."""
    count = rough.shape[1]
    if wide == count:
        return np.broadcast_to(np.arange(count), rough.shape)
    height = count // _SIEVE
    if height <= 2 * wide:
        return np.argpartition(rough, count - wide, axis=1)[:, count - wide :]
    # Column c of the sieve holds the places c, c + height, c + 2 · height … Outside of the `wide` columns
    # with the largest maxima nothing exceeds all these maxima, nor, so, the `wide` largest inside.
    columns = rough[:, : _SIEVE * height].reshape(-1, _SIEVE, height).max(axis=1)
    best = np.argpartition(columns, height - wide, axis=1)[:, height - wide :]
    places = (best[:, None, :] + (np.arange(_SIEVE) * height)[:, None]).reshape(len(rough), -1)
    rest = np.broadcast_to(np.arange(_SIEVE * height, count), (len(rough), count - _SIEVE * height))
    places = np.concatenate([places, rest], axis=1)
    chosen = np.argpartition(np.take_along_axis(rough, places, axis=1), -wide, axis=1)[:, -wide:]
    return np.take_along_axis(places, chosen, axis=1)


def exact_similarities(queries: Vectors, vectors: Vectors, rows: Rows) -> Similarities:
    """Return the cosine similarity of each query to rows of its own, always the same of two vectors.

    Args:
        queries: float32 of shape (q, d), each row of length 1.
        vectors: float32 of shape (n, d), each row of length 1.
        rows: of shape (q, m).

    Returns:
        Of shape (q, m), −1 … 1.
    """
    out = np.empty(rows.shape)
    step = max(1, _GATHERED_BYTES // (8 * rows.shape[1] * vectors.shape[1]))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        gathered = vectors[rows[part]].astype(np.float64)
        # vecdot works pair by pair in one order; a matrix product sums in an order that its position decides.
        np.vecdot(gathered, queries[part, None].astype(np.float64), out=out[part])
    return np.clip(out, -1.0, 1.0, out=out)
