"""Confidence of a prediction: three scores, and the probability that they stand for in a fitted calibration.

Fitting is in `calibration`; what is here needs NumPy alone, so that a classification starts quickly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Scores: TypeAlias = NDArray[np.float64]


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
