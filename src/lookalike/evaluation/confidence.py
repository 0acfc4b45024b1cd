"""Confidence of a prediction: three scores, and the probability that they stand for in a fitted calibration.

Fitting is in `calibration`; what is here needs NumPy alone, so that a classification starts quickly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Scores: TypeAlias = NDArray[np.float64]

FEW_EXEMPLARS = 10
"""Images of a label below which its own held-out answers say less than caution does, see `shrunk`."""
ENOUGH_EXEMPLARS = 50
"""Images of a label from which on its confidence is that of the calibration."""


@dataclass(frozen=True, slots=True)
class LogisticCalibration:
    """A logistic function from the scores of a prediction to the probability that it is right."""

    centre: tuple[float, float, float]
    scale: tuple[float, float, float]
    weights: tuple[float, float, float]
    intercept: float

    def confidence(self, scores: Scores) -> Scores:
        """Return the probability that an answer is right.

        Args:
            scores: shape (n, 3), as `answer_scores` has them.

        Returns:
            Shape (n,), each above 0 and below 1.
        """
        standard = (scores - np.array(self.centre)) / np.array(self.scale)
        log_odds = np.clip(standard @ np.array(self.weights) + self.intercept, -30.0, 30.0)
        confident: Scores = 1 / (1 + np.exp(-log_odds))
        return confident

    def to_numbers(self) -> Scores:
        """Return its ten numbers."""
        return np.array([*self.centre, *self.scale, *self.weights, self.intercept])

    @classmethod
    def from_numbers(cls, numbers: Scores) -> LogisticCalibration:
        """Return the calibration of ten numbers.

        Raises:
            ValueError: there are not ten.
        """
        centre, scale, weights = numbers[:9].reshape(3, 3)
        return cls(_three(centre), _three(scale), _three(weights), float(numbers[9:].item()))


def _three(numbers: Scores) -> tuple[float, float, float]:
    margin, similarity, share = (float(number) for number in numbers)
    return margin, similarity, share


def answer_scores(own: Scores, other: Scores, shares: Scores) -> Scores:
    """Return what confidence is read from.

    Args:
        own: shape (n,): similarity to the nearest image of the label named, −1 … 1.
        other: shape (n,): similarity to the nearest image of any other label; −inf where there is none, which
            counts as −1.
        shares: shape (n,): the label's part of the vote, 0 … 1.

    Returns:
        Shape (n, 3): margin, similarity, share.
    """
    return np.column_stack([own - np.maximum(other, -1.0), own, shares]).astype(np.float64)


def shrunk(confidence: Scores, images: Scores, right: Scores) -> Scores:
    """Return confidence shrunk towards caution where a label has few images of its own.

    The calibration is that of all labels together. What it says counts as often as the label has held-out
    images, and up to `FEW_EXEMPLARS` times, less the nearer they are to `ENOUGH_EXEMPLARS`, counts how often
    these were right by Laplace's rule of succession, (right + 1) / (images + 2): a weighing as in the
    m-estimate (B. Cestnik, "Estimating probabilities: a crucial task in machine learning", ECAI 1990,
    147-149). It never makes an answer surer.

    Args:
        confidence: shape (n,): of answers, 0 … 1.
        images: shape (n,): held-out images of the label that each answer names.
        right: shape (n,): how many of these were answered right.
    """
    cautious = (right + 1) / (images + 2)
    doubt = FEW_EXEMPLARS * np.maximum(1 - images / ENOUGH_EXEMPLARS, 0)
    weighed = (images * confidence + doubt * cautious) / (images + doubt)
    least: Scores = np.minimum(confidence, weighed)
    return least


def images_and_right(truth: NDArray[np.intp], right: NDArray[np.bool_], labels: int) -> tuple[Scores, Scores]:
    """Return how many held-out images each label has, and how many of these were answered right.

    Args:
        truth: shape (n,): the true label of each image, 0 … labels − 1.
        right: shape (n,): whether it was named.
        labels: how many there are.

    Returns:
        Two of shape (labels,).
    """
    images = np.bincount(truth, minlength=labels).astype(np.float64)
    return images, np.bincount(truth, right, labels).astype(np.float64)
