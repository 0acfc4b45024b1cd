"""Discriminant analysis: a linear map learned from labels in closed form, by which classes lie apart.

Four steps, each with its source:

1. Groups of columns are weighed by how well each alone predicts the labels of images that were left out: the
   R² of a ridge regression onto the classes, of leave-one-out residuals, which need no refit (PRESS: Allen,
   "The relationship between variable selection and data augmentation", Technometrics 16, 1974; its use for
   classes: Cawley and Talbot, "Efficient leave-one-out cross-validation of kernel Fisher discriminant
   classifiers", Pattern Recognition 36, 2003). How sharply they are weighed, and how much is shrunk in the
   next step, is what gives the largest R² of all columns together. Before, each column is weighed by the
   root of the share of its variance that lies between the classes (ε²: T. L. Kelley, "An unbiased correlation
   ratio measure", PNAS 21, 1935), with a tenth added, so that none that tells little is lost.
2. Whitening by the within-class covariance W, shrunk towards a multiple of the identity: (1 − λ) W + λ t I
   (Friedman, "Regularized discriminant analysis", JASA 84, 1989), t being W's mean variance over the
   directions in which the images differ at all.
3. Of the whitened directions those are kept in which the images vary most.
4. Directions that tell class means apart count twice. With 1 for the others, it is still the neighbour that
   decides and not the class mean, as in discriminant adaptive nearest neighbours (Hastie and Tibshirani,
   "Discriminant adaptive nearest neighbor classification", IEEE PAMI 18, 1996).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lookalike.vectors.groupings import group_members

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lookalike.types import Vectors

Matrix = NDArray[np.float64]

MAX_DIMENSION = 1024
"""Of projected vectors."""

# What step 1 chooses from. On few-shot draws of textile and extrusion photographs (benchmarks/inspection.py)
# accuracy is flat between these. A regression would often rather have 0.1 or less, but the nearest neighbour,
# in a space of more dimensions than images, is then less often right by about half a percent.
_SHRINKAGES = (0.2, 0.3, 0.5)
_SHARPNESS = (0.0, 1.0, 2.0, 3.0, 4.0)
_RIDGES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
GAIN = 2.0
"""Times that directions which tell class means apart count."""
# Images that step 1 looks at, and per class at least: its choices do not get better with more.
_PILOT = 500
_PILOT_PER_CLASS = 3
# Added to the share of a column's variance that lies between the classes. Of 0.05 to 0.2, on draws 100 to 159
# of textile and extrusion (benchmarks/inspection.py), none is clearly better than the others.
_LEAST_SHARE = 0.1
# A column that varies by less than this part of its group's mean variation is not blown up to the others.
_LEAST_VARIATION = 1e-3
# Variation of this size, in vectors of length 1, is rounding: float32 carries 6e-8.
_ROUNDING = 1e-7
EXACT_UP_TO = 2048
"""Images or columns up to which products are in float64; float32 above halves memory and time."""
_BLOCK_ROWS = 1024


class Map(NamedTuple):
    """x → (x − mean) · matrix."""

    mean: NDArray[np.float32]
    matrix: NDArray[np.float32]


def discriminant_map(
    vectors: Vectors,
    codes: NDArray[np.intp],
    groups: Sequence[slice],
    lots: NDArray[np.intp],
    seed: int,
    beat: Callable[[], None],
) -> Map:
    """Learn the map; arguments are as for `metric.fit_metric`, with classes 0 … C − 1 that all occur.

    Args:
        vectors: float32 of shape (n, d).
        codes: shape (n,).
        groups: columns that are weighed together; they cover all d.
        lots: shape (n,): rows of one lot are left out together.
        seed: of what the pilot takes of a large collection.
        beat: called between the steps.

    Returns:
        mean (d,) and matrix (d, m), m at most MAX_DIMENSION.
    """
    mean, scale, shrinkage = learn_scale(vectors, codes, groups, lots, seed, beat)
    data = np.subtract(vectors, mean, dtype=np.float32)
    data *= scale.astype(np.float32)
    beat()
    basis, coordinates = _span(data)
    beat()
    directions = _whiten(coordinates, codes, shrinkage, beat)
    between = between_directions(class_means(coordinates, codes) @ directions)
    directions += (GAIN - 1) * (directions @ (between.T @ between))
    matrix = directions if basis is None else basis @ directions
    return Map(mean.astype(np.float32), (scale[:, None] * matrix).astype(np.float32))


def learn_scale(
    vectors: Vectors,
    codes: NDArray[np.intp],
    groups: Sequence[slice],
    lots: NDArray[np.intp],
    seed: int,
    beat: Callable[[], None],
) -> tuple[Matrix, Matrix, float]:
    """Take step 1; arguments are as for `discriminant_map`.

    Returns:
        The mean of each column, what each is multiplied by, and the shrinkage of step 2.
    """
    mean, scale = _standardisation(vectors, groups)
    pilot = _pilot(vectors, codes, seed)
    beat()
    shrinkage = _weigh(vectors[pilot], codes[pilot], groups, lots[pilot], mean, scale, beat)
    return mean, scale, shrinkage


def _standardisation(vectors: Vectors, groups: Sequence[slice]) -> tuple[Matrix, Matrix]:
    """Return the mean of each column, and what makes columns and then groups vary alike; 0 if constant."""
    mean = vectors.mean(axis=0, dtype=np.float64)
    squares = np.zeros_like(mean)
    for start in range(0, len(vectors), _BLOCK_ROWS):
        squares += ((vectors[start : start + _BLOCK_ROWS] - mean) ** 2).sum(axis=0)
    deviation = np.sqrt(squares / len(vectors))
    scale = np.zeros_like(mean)
    for group in groups:
        own = deviation[group]
        floor = max(_LEAST_VARIATION * own.mean(), _ROUNDING)
        # Each group is as long as every other, however many columns it has.
        scale[group] = np.where(own > _ROUNDING, 1 / np.maximum(own, floor), 0) / np.sqrt(len(own))
    return mean, scale


def _pilot(vectors: Vectors, codes: NDArray[np.intp], seed: int) -> NDArray[np.intp]:
    """Return the rows that step 1 looks at: all, or of each class its part, whatever the order of rows."""
    classes = int(codes.max()) + 1
    wanted = max(_PILOT, _PILOT_PER_CLASS * classes)
    if len(vectors) <= wanted:
        return np.arange(len(vectors))
    direction = np.random.default_rng(seed).standard_normal(vectors.shape[1], dtype=np.float32)
    order = np.argsort(vectors @ direction, kind="stable")
    chosen = []
    for code in range(classes):
        members = order[codes[order] == code]
        count = min(len(members), max(_PILOT_PER_CLASS, round(wanted * len(members) / len(codes))))
        chosen.append(members[np.linspace(0, len(members) - 1, count).round().astype(np.intp)])
    return np.sort(np.concatenate(chosen))


def _weigh(
    vectors: Vectors,
    codes: NDArray[np.intp],
    groups: Sequence[slice],
    lots: NDArray[np.intp],
    mean: Matrix,
    scale: Matrix,
    beat: Callable[[], None],
) -> float:
    """Multiply `scale` by the weights of columns and groups, in place, and return the shrinkage."""
    data = (vectors - mean) * scale
    data -= data.mean(axis=0)
    by_column = np.sqrt(_between_shares(data, codes) + _LEAST_SHARE)
    scale *= by_column
    data *= by_column
    test = _left_out_test(codes, lots)
    scores = np.ones(1)
    if len(groups) > 1:
        scores = np.array([_scores(data[:, group], test, _RIDGES).max() for group in groups])
    scores = np.maximum(scores, 0)
    candidates = [np.ones(len(groups))]
    if len(groups) > 1 and scores.max() > 0:
        candidates = [(scores / scores.max()) ** sharpness for sharpness in _SHARPNESS]
    ratios = [shrinkage / (1 - shrinkage) for shrinkage in _SHRINKAGES]
    best, chosen, shrinkage = -np.inf, candidates[0], _SHRINKAGES[0]
    for weights in candidates:
        beat()
        weighed = data * _spread(weights, groups, data.shape[1])
        found = _scores(weighed, test, ratios)
        if found.max() > best:
            best, chosen, shrinkage = found.max(), weights, _SHRINKAGES[int(found.argmax())]
    scale *= _spread(chosen, groups, len(scale))
    return shrinkage


def _between_shares(data: Matrix, codes: NDArray[np.intp]) -> Matrix:
    """Return the share of each column's variance between the classes, less what it is by chance; at least 0.

    Args:
        data: shape (n, d), centred.
        codes: shape (n,): classes.
    """
    order = np.argsort(codes, kind="stable")
    counts = np.bincount(codes)
    sums = np.add.reduceat(data[order], np.cumsum(counts) - counts)
    total = (data**2).sum(axis=0)
    between = (sums**2 / counts[:, None]).sum(axis=0)
    by_chance = (len(counts) - 1) * (total - between) / max(len(codes) - len(counts), 1)
    shares: Matrix = np.divide(between - by_chance, total, out=np.zeros_like(total), where=total > 0)
    return np.maximum(shares, 0)


def _spread(weights: Matrix, groups: Sequence[slice], columns: int) -> Matrix:
    spread = np.empty(columns)
    for weight, group in zip(weights, groups, strict=True):
        spread[group] = weight
    return spread


class _LeftOutTest(NamedTuple):
    """What regressions of n rows onto classes are tested by."""

    targets: Matrix
    """(n, classes): 1 for the class of each row, less the mean of the column."""
    several: list[NDArray[np.intp]]
    """The lots of more than one row, those equally large together: each of shape (lots, rows in a lot)."""


def _left_out_test(codes: NDArray[np.intp], lots: NDArray[np.intp]) -> _LeftOutTest:
    targets = np.eye(int(codes.max()) + 1)[codes]
    several = [rows for rows in group_members(lots) if 1 < len(rows) < len(codes)]
    sizes = sorted({len(rows) for rows in several})
    by_size = [np.stack([rows for rows in several if len(rows) == size]) for size in sizes]
    return _LeftOutTest(targets - targets.mean(axis=0), by_size)


def _rotated(data: Matrix) -> tuple[Matrix, Matrix]:
    """Return the energies (k,) of the directions in which centred rows (n, d) vary; coordinates (n, k)."""
    wide = len(data) <= data.shape[1]
    energies, directions = np.linalg.eigh(data @ data.T if wide else data.T @ data)
    kept = energies > 1e-10 * max(energies[-1], 0)
    energies = energies[kept]
    return energies, directions[:, kept] * np.sqrt(energies) if wide else data @ directions[:, kept]


def _scores(data: Matrix, test: _LeftOutTest, ridges: Sequence[float]) -> Matrix:
    """Return the leave-one-lot-out R² of ridge regressions onto the classes.

    Args:
        data: shape (n, d), centred.
        test: what they are tested by.
        ridges: in units of the mean variance over the directions in which the data varies.

    Returns:
        Shape (ridges,): 1 is perfect, 0 is no better than the shares of the classes, less is worse.
    """
    energies, rotated = _rotated(data)
    count = len(rotated)
    if not len(energies):
        return np.zeros(len(ridges))
    targets, several = test
    squares = rotated**2
    towards = rotated.T @ targets
    baseline = float(((targets * count / (count - 1)) ** 2).sum())
    scores = []
    for ridge in ridges:
        inverse = 1 / (energies + ridge * energies.mean())
        residuals = targets - rotated @ (inverse[:, None] * towards)
        # The mean is part of the regression: 1 / n.
        leverage = squares @ inverse + 1 / count
        left_out = residuals / np.maximum(1 - leverage, 1e-9)[:, None]
        for rows in several:
            own = rotated[rows]
            rest = np.eye(rows.shape[1]) - (own * inverse) @ own.swapaxes(1, 2) - 1 / count
            left_out[rows] = np.linalg.pinv(rest, 1e-9, hermitian=True) @ residuals[rows]
        scores.append(1 - (left_out**2).sum() / baseline)
    return np.array(scores)


def rank_of(products: NDArray[np.floating], negligible: float) -> int:
    """Return in how many directions the rows differ of which these are the products (n, n); at least 1.

    Args:
        products: symmetric, of no negative energy.
        negligible: the square of a length that is rounding.
    """
    from scipy.linalg.lapack import dpstrf, spstrf

    pivoted = dpstrf if products.dtype == np.float64 else spstrf
    return max(1, int(pivoted(products.T, tol=negligible, lower=1)[2]))


def _span(data: NDArray[np.float32]) -> tuple[NDArray[np.floating] | None, NDArray[np.floating]]:
    """Return an orthonormal basis (d, k) of the data's rows, or None for all of d, and their coordinates.

    With fewer images than columns nothing differs outside the span of the images, and k is below n.
    """
    count, columns = data.shape
    if count > columns:
        return None, data if columns > EXACT_UP_TO else data.astype(np.float64)
    exact = data.astype(np.float64) if count <= EXACT_UP_TO else data
    energies, left = np.linalg.eigh(exact @ exact.T)
    smallest = 1e-10 if exact.dtype == np.float64 else 1e-6
    kept = energies > smallest * max(energies[-1], 0)
    if not kept.any():  # All images alike.
        return np.eye(columns, 1, dtype=exact.dtype), np.zeros((count, 1), exact.dtype)
    lengths = np.sqrt(energies[kept])
    left = left[:, kept]
    return exact.T @ (left / lengths), left * lengths


def class_means(coordinates: NDArray[np.floating], codes: NDArray[np.intp]) -> Matrix:
    """Return the mean of the rows (n, m) of each class, shape (classes, m)."""
    counts = np.bincount(codes)
    indicator = np.zeros((len(counts), len(codes)), coordinates.dtype)
    indicator[codes, np.arange(len(codes))] = 1
    return np.asarray(indicator @ coordinates / counts[:, None], np.float64)


def _whiten(
    coordinates: NDArray[np.floating],
    codes: NDArray[np.intp],
    shrinkage: float,
    beat: Callable[[], None] = lambda: None,
) -> NDArray[np.floating]:
    """Return directions (k, m) in which the shrunk within-class covariance is the identity.

    Those in which the images vary most come first; there are at most MAX_DIMENSION of them.
    """
    from scipy.linalg import cholesky, eigh, solve_triangular

    count, size = coordinates.shape
    means = class_means(coordinates, codes).astype(coordinates.dtype)
    beat()
    total = coordinates.T @ coordinates
    beat()
    counts = np.bincount(codes).astype(coordinates.dtype)
    within = total - (means * counts[:, None]).T @ means
    freedom = max(count - len(counts), 1)
    within /= freedom
    total /= count
    variance = within_variance(float(np.trace(within)), float(np.trace(total)), size, freedom)
    within *= 1 - shrinkage
    within[np.diag_indices(size)] += shrinkage * variance
    lower = cholesky(within, lower=True, overwrite_a=True, check_finite=False)
    half = solve_triangular(lower, total, lower=True, overwrite_b=True, check_finite=False)
    whitened = solve_triangular(lower, half.T, lower=True, overwrite_b=True, check_finite=False)
    beat()
    # Divide and conquer gives all directions in less time than other drivers take for the best 1,024.
    _, rotation = eigh(whitened, driver="evd", overwrite_a=True, check_finite=False)
    beat()
    best = rotation[:, : -MAX_DIMENSION - 1 : -1]
    directions: NDArray[np.floating] = solve_triangular(
        lower, best, lower=True, trans="T", check_finite=False
    )
    return directions


def within_variance(within: float, total: float, size: int, freedom: int) -> float:
    """Return the variance towards which the within-class covariance is shrunk.

    Args:
        within: trace of the within-class covariance.
        total: trace of the covariance of all images.
        size: directions in which the images differ.
        freedom: degrees of freedom of the within-class covariance.
    """
    if within > _ROUNDING * total * min(size, freedom):
        return within / min(size, freedom)
    return total / size or 1.0  # No two images of a class differ.


def between_directions(means: Matrix) -> Matrix:
    """Return orthonormal directions (r, m) in which class means (classes, m) differ."""
    _, lengths, directions = np.linalg.svd(means - means.mean(axis=0), full_matrices=False)
    rank = int((lengths > 1e-6 * lengths[0]).sum()) if lengths[0] > 0 else 0
    found: Matrix = directions[:rank]
    return found
