"""Calibration of confidence: a logistic regression from what a prediction rests on to how often it is right.

It reads three numbers off a prediction: the similarity to the nearest image of the label that
was named, how much nearer that is than the nearest image of any other label, and the label's share of the
vote. It is fitted to held-out predictions, of which it is known whether they were right. That is Platt's
calibration (J. Platt, "Probabilistic outputs for support vector machines", 1999) with three scores for one;
L2 regularisation of weight 1 keeps few mistakes from making it too sure of itself.

The figures of an evaluation (Brier score, reliability) are cross-fitted: the confidence of an image comes
from a regression that has not seen its answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.linear_model import LogisticRegression

from lookalike.errors import Unanswerable
from lookalike.evaluation.confidence import LogisticCalibration, answer_scores, images_and_right, shrunk
from lookalike.evaluation.folds import stratified_folds
from lookalike.progress import silent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lookalike.evaluation.confidence import Scores
    from lookalike.evaluation.held_out_predictions import HeldOutPredictions
    from lookalike.progress import Progress
    from lookalike.vectors.nearest import Rows
    from lookalike.vectors.vote import Codes

BINS = 10
"""Of a reliability table: scikit-learn's custom for larger samples, and easy to read."""


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Answers of about one confidence, and how often they were right."""

    low: float
    high: float
    count: int
    """At least 1."""
    confidence: float
    """Their mean confidence."""
    right: float
    """The part of them that was right."""


def held_out_scores(held: HeldOutPredictions) -> Scores:
    """Return the scores of held-out answers, shape (n, 3).

    Raises:
        Unanswerable: there are too many labels for the similarities to all of them to be kept.
    """
    if held.class_similarities is None:
        raise Unanswerable(f"{len(held.labels):,} labels on {len(held.rows):,} images are too many to judge")
    own, other = own_and_other(held.class_similarities, held.predicted)
    return answer_scores(own, other, held.shares)


def own_and_other(similarities: NDArray[np.float32], codes: Codes) -> tuple[Scores, Scores]:
    """Return each row's similarity to its class, and to the nearest of the other classes.

    Args:
        similarities: shape (n, classes).
        codes: shape (n,): the class of each row.
    """
    rows = np.arange(len(codes))
    own = similarities[rows, codes].astype(np.float64)
    others = similarities.copy()
    others[rows, codes] = -np.inf
    return own, others.max(axis=1).astype(np.float64)


def fit_calibration(scores: Scores, right: NDArray[np.bool_]) -> LogisticCalibration:
    """Fit confidence to answers of which it is known whether they were right.

    Where all were right, or all wrong, the scores tell nothing: every answer then gets the same confidence,
    (right + 1) / (n + 2), Laplace's rule of succession.

    Args:
        scores: shape (n, 3), n at least 1.
        right: shape (n,).
    """
    centre, scale = scores.mean(axis=0), scores.std(axis=0)
    scale[scale < 1e-12] = 1.0
    if right.all() or not right.any():
        count = int(right.sum())
        odds = (count + 1) / (len(right) - count + 1)
        return LogisticCalibration(_three(centre), _three(scale), (0.0, 0.0, 0.0), float(np.log(odds)))
    model = LogisticRegression(C=1.0, max_iter=1000).fit((scores - centre) / scale, right)
    return LogisticCalibration(
        _three(centre), _three(scale), _three(model.coef_[0]), float(model.intercept_[0])
    )


def cross_fitted_confidence(
    scores: Scores,
    right: NDArray[np.bool_],
    lots: Codes | None = None,
    *,
    truth: Codes,
    named: Codes,
    ranks: Rows | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Scores:
    """Return each answer's confidence from a calibration that has not seen it, nor any of its lot.

    It is shrunk where labels have few images, as that of new predictions.

    Args:
        scores: shape (n, 3).
        right: shape (n,).
        lots: shape (n,): answers of one number stay together.
        truth: shape (n,): the true label of each image, as a number from 0.
        named: shape (n,): the label that its answer names.
        ranks: shape (n,): numbers in whose order folds are drawn.
        seed: of the folds.
        progress: called with lots divided into folds and lots to divide.

    Returns:
        Shape (n,). With fewer than two lots to divide, Laplace's rule for no answers at all: 0.5.
    """
    confidence = np.full(len(right), 0.5)
    try:
        folds = stratified_folds(right.astype(np.intp), lots, ranks=ranks, seed=seed, progress=progress)
    except Unanswerable:
        return confidence
    for held_in, held_out in folds:
        fitted = fit_calibration(scores[held_in], right[held_in])
        own = images_and_right(truth[held_in], right[held_in], int(max(truth.max(), named.max())) + 1)
        images, well = (each[named[held_out]] for each in own)
        confidence[held_out] = shrunk(fitted.confidence(scores[held_out]), images, well)
    return confidence


def brier_score(confidence: Scores, right: NDArray[np.bool_]) -> float:
    """Return the mean squared difference of confidence and outcome: 0 is perfect, 0.25 is a coin's.

    Source: G. W. Brier, Monthly Weather Review 78 (1950), 1-3, in its form for two outcomes.
    """
    return float(np.mean((confidence - right) ** 2))


def reliability_bins(confidence: Scores, right: NDArray[np.bool_]) -> tuple[ReliabilityBin, ...]:
    """Return how often answers of about the same confidence were right, in `BINS` bins of equal width.

    Bins without answers are left out; the upper end belongs to the lower bin.
    """
    edges = np.linspace(0.0, 1.0, BINS + 1)
    bins = np.searchsorted(edges[1:-1], confidence)
    return tuple(
        ReliabilityBin(
            float(edges[each]),
            float(edges[each + 1]),
            int((bins == each).sum()),
            float(confidence[bins == each].mean()),
            float(right[bins == each].mean()),
        )
        for each in np.unique(bins)
    )


def _three(numbers: Scores) -> tuple[float, float, float]:
    margin, similarity, share = (float(number) for number in numbers)
    return margin, similarity, share
