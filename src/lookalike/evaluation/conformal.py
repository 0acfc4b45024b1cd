"""Conformal prediction: label sets that contain the true label as often as promised, for every label.

Class-conditional (Mondrian) split conformal prediction: V. Vovk, A. Gammerman and G. Shafer, "Algorithmic
learning in a random world", 2005, chapter 4; M. Sadinle, J. Lei and L. Wasserman, "Least ambiguous
set-valued classifiers with bounded error levels", JASA 114 (2019), 223-234. The score of an image for a label
is how much nearer the nearest image of another label is than the nearest of this one, and 0 for the label
whose image is nearest of all, however near: that label is always in the set. Without that floor the promise
would rest on how large similarities are, which a metric fitted to all images and one fitted to four fifths of
them do not agree on. A label is in the set
if its score is not above that of the ⌈(n + 1)·coverage⌉-th of the n held-out images that have the label. For
a label with fewer than coverage / (1 − coverage) images no such rank exists, and it is in every set.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import InvalidArgument
from lookalike.evaluation.folds import stratified_folds
from lookalike.progress import silent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lookalike.evaluation.confidence import Scores
    from lookalike.progress import Progress
    from lookalike.types import Scalar
    from lookalike.vectors.nearest import Rows
    from lookalike.vectors.vote import Codes


@dataclass(frozen=True, slots=True)
class LabelCoverage:
    """The coverage of one label: how often the sets contained it where it was the true one."""

    label: Scalar
    images: int
    covered: int
    always: bool
    """Whether the label has too few images, so that it is in every set."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """Label sets of a collection's own images, calibrated on some folds and measured on the others."""

    promised: float
    labels: tuple[LabelCoverage, ...]
    mean_size: float
    """Labels in a set."""
    single: int
    """Images that got a set of one label."""


def label_scores(similarities: NDArray[np.float32]) -> Scores:
    """Return how ill each label fits each image.

    Args:
        similarities: shape (n, labels): to the nearest image of each label; −inf where there is none.

    Returns:
        Shape (n, labels): similarity to the nearest image of any label, less that to this one, 0 … 2; 0 for
        the label whose image is nearest; inf where the label has no image to be compared with.
    """
    filled = np.maximum(similarities.astype(np.float64), -1.0)
    gaps = filled.max(axis=1, keepdims=True) - filled
    scores: Scores = np.where(np.isneginf(similarities), np.inf, gaps)
    return scores


def label_thresholds(own_scores: Scores, truth: Codes, labels: int, coverage: float) -> Scores:
    """Return for each label the highest score with which it is in a set.

    Args:
        own_scores: shape (n,): of held-out images, for their true label.
        truth: shape (n,): their true label.
        labels: how many there are.
        coverage: above 0 and below 1.

    Returns:
        Shape (labels,); inf for a label with too few images.

    Raises:
        InvalidArgument: `coverage` is not between 0 and 1.
    """
    if not 0 < coverage < 1:
        raise InvalidArgument(f"the coverage must be above 0 and below 1, not {coverage:g}")
    thresholds = np.full(labels, np.inf)
    for label in range(labels):
        scores = np.sort(own_scores[truth == label])
        # Rounded first: 0.95 · 20 is a little above 19 as a float.
        rank = max(1, math.ceil(round((len(scores) + 1) * coverage, 9)))
        if rank <= len(scores):
            thresholds[label] = scores[rank - 1]
    return thresholds


def measured_coverage(
    similarities: NDArray[np.float32],
    truth: Codes,
    labels: tuple[Scalar, ...],
    coverage: float,
    *,
    lots: Codes | None = None,
    ranks: Rows | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Coverage:
    """Measure label sets on held-out images: thresholds from some folds, coverage on the others.

    Args:
        similarities: shape (n, labels), of held-out images.
        truth: shape (n,): their true labels.
        labels: what the numbers stand for.
        coverage: promised, above 0 and below 1.
        lots: shape (n,): images of one number stay together.
        ranks: shape (n,): numbers in whose order folds are drawn.
        seed: of the folds.
        progress: called with lots divided into folds and lots to divide.

    Raises:
        InvalidArgument: `coverage` is not between 0 and 1.
        Unanswerable: too few images to divide.
    """
    count = len(labels)
    scores = label_scores(similarities)
    own = scores[np.arange(len(truth)), truth]
    within = np.zeros(scores.shape, dtype=bool)
    always = ~np.isfinite(label_thresholds(own, truth, count, coverage))
    for held_in, held_out in stratified_folds(truth, lots, ranks=ranks, seed=seed, progress=progress):
        thresholds = label_thresholds(own[held_in], truth[held_in], count, coverage)
        within[held_out] = scores[held_out] <= thresholds
    sizes = within.sum(axis=1)
    covered = within[np.arange(len(truth)), truth]
    return Coverage(
        coverage,
        tuple(
            LabelCoverage(
                label,
                int((truth == code).sum()),
                int(covered[truth == code].sum()),
                bool(always[code]),
            )
            for code, label in enumerate(labels)
        ),
        float(sizes.mean()),
        int((sizes == 1).sum()),
    )
