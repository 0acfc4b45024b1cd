"""The two-sample test of maximum mean discrepancy, with p-values by permutation of whole groups.

The squared maximum mean discrepancy (MMD) is the unbiased estimate of A. Gretton, K. M. Borgwardt,
M. J. Rasch, B. Schölkopf, A. Smola, "A Kernel Two-Sample Test", Journal of Machine Learning Research 13
(2012), 723-773, lemma 6; its witness function (section 2.3 there) tells which images speak for a difference.
Where images come in groups, it is groups that are exchangeable, and they are permuted whole.

`benchmarks/drift.py` has its power beside the share of nearest neighbours of one sample (M. F. Schilling,
"Multivariate Two-Sample Tests Based on Nearest Neighbors", Journal of the American Statistical Association 81
(1986), 799-806; N. Henze, "A Multivariate Two-Sample Test Based on the Number of Nearest Neighbor Type
Coincidences", Annals of Statistics 16 (1988), 772-783), which is told beside it: a person can count it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lookalike.vectors.groupings import group_members

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lookalike.progress import Progress
    from lookalike.types import Vectors
    from lookalike.vectors.groupings import Groups

NEIGHBOURS = 5
"""Of each new image, of which it is told how many are new too."""

# Permutations whose statistics are computed at once.
_BLOCK = 50


@dataclass(frozen=True, slots=True)
class TwoSample:
    """What the test says of two samples."""

    discrepancy: float
    """The squared maximum mean discrepancy; about 0 where both are alike, and below it by chance."""
    p_value: float
    """Part of the permutations, the samples as they are included, whose discrepancy is as large."""
    permutations: int
    witness: NDArray[np.float64]
    """(n,): how much more similar each image is to the second sample than to the first."""
    share: float
    """Part of the nearest neighbours of the second sample's images that are of it too, 0 … 1."""
    expected: float
    """The same at random."""


def compare_samples(
    vectors: Vectors,
    second: NDArray[np.bool_],
    groups: Groups,
    permutations: int,
    seed: int,
    progress: Progress,
) -> TwoSample:
    """Test whether two samples are drawn from one distribution.

    Args:
        vectors: float32 of shape (n, d), each row of length 1.
        second: shape (n,): which are of the second sample; at least two of each.
        groups: shape (n,): images of one group are permuted together, and do not count as neighbours.
        permutations: at random, beside the samples as they are.
        seed: of the permutations.
        progress: called with permutations done and to do.
    """
    count = len(vectors)
    similarities = (vectors @ vectors.T).astype(np.float64)
    squares = np.maximum(0.0, 2.0 - 2.0 * similarities)
    # The median distance is the usual width of the kernel (Gretton et al. 2012, section 8); images of one
    # group say nothing of others.
    same = groups[:, None] == groups
    kernel = np.exp(-squares / np.median(squares[~same])) if not same.all() else np.exp(-squares)
    own = np.where(same, 0.0, 1.0)
    kernel *= own
    found = np.empty(permutations + 1)
    found[0] = _discrepancies(kernel, own, second[None])[0]
    random = np.random.default_rng(seed)
    members = group_members(groups)
    for start in range(0, permutations, _BLOCK):
        some = min(_BLOCK, permutations - start)
        drawn = np.stack([_drawn(members, int(second.sum()), count, random) for _ in range(some)])
        found[1 + start : 1 + start + some] = _discrepancies(kernel, own, drawn)
        progress(start + some, permutations)
    p_value = float((found >= found[0] - 1e-12).mean())
    similarities[same] = -np.inf
    nearest = np.argpartition(-similarities, min(NEIGHBOURS, count - 1) - 1, axis=1)[:, :NEIGHBOURS]
    share = float(second[nearest][second].mean())
    weights = own[second]
    expected = float((weights[:, second].sum(axis=1) / np.maximum(1, weights.sum(axis=1))).mean())
    witness = _mean(kernel, own, second) - _mean(kernel, own, ~second)
    return TwoSample(float(found[0]), p_value, permutations, witness, share, expected)


def _mean(
    kernel: NDArray[np.float64], own: NDArray[np.float64], rows: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the mean kernel of each image with those rows that are not of its own group."""
    means: NDArray[np.float64] = kernel[:, rows].sum(axis=1) / np.maximum(1.0, own[:, rows].sum(axis=1))
    return means


def _discrepancies(
    kernel: NDArray[np.float64], own: NDArray[np.float64], second: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the squared MMD of each way of dividing images, (divisions, n), by pairs of different groups."""
    sides = second.astype(np.float64)
    sums = []
    for matrix in (kernel, own):
        within = sides @ matrix
        both = (within * sides).sum(axis=1)
        of_second, total = within.sum(axis=1), matrix.sum()
        sums.append((both, of_second - both, total - 2 * of_second + both))
    (xx, xy, yy), (nxx, nxy, nyy) = sums
    pairs: NDArray[np.float64] = (
        xx / np.maximum(1, nxx) + yy / np.maximum(1, nyy) - 2 * xy / np.maximum(1, nxy)
    )
    return pairs


def _drawn(
    members: list[NDArray[np.intp]], wanted: int, count: int, random: np.random.Generator
) -> NDArray[np.bool_]:
    """Return a second sample of whole groups at random, of as many images as wanted or nearly so."""
    drawn = np.zeros(count, dtype=bool)
    taken = 0
    for place in random.permutation(len(members)):
        size = len(members[place])
        if abs(taken + size - wanted) <= abs(wanted - taken):
            drawn[members[place]] = True
            taken += size
        if taken >= wanted:
            break
    return drawn
