"""Figures of an evaluation: accuracy, precision, recall, F1, confusion and Wilson intervals.

Nothing here is as large as classes × classes, so that a field with a value of its own for every image is slow
to read but not to compute.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.types import Scalar
    from lookalike.vectors.vote import Codes

CONFIDENCE = 0.95
"""Of how many such intervals cover the true accuracy, in the long run; the field's custom."""


class Interval(NamedTuple):
    """A confidence interval of a proportion, both ends 0 … 1."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """Precision, recall and F1 of one label, by the counts behind them."""

    label: Scalar
    support: int
    """Evaluated images that have the label; 0 where all that have it were left out."""
    predicted: int
    """Evaluated images that were given the label."""
    correct: int
    """Evaluated images that have it and were given it."""

    @property
    def precision(self) -> float:
        """Part of the images given the label that have it; 0 where none was given it, as in scikit-learn."""
        return self.correct / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """Part of the images with the label that were given it; 0 where there is none."""
        return self.correct / self.support if self.support else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 where both are."""
        return 2 * self.correct / max(1, self.predicted + self.support)


@dataclass(frozen=True, slots=True)
class ConfusionCell:
    """One cell of the confusion matrix: how many images of a label were given another, or the same."""

    label: Scalar
    predicted: Scalar
    count: int


def wilson_interval(correct: int, total: int) -> Interval:
    """Return the 95 % Wilson score interval of the proportion correct / total, without continuity correction.

    Args:
        correct: 0 … total.
        total: at least 1.

    Source: E. B. Wilson, Journal of the American Statistical Association 22 (1927), 209-212, as SciPy has it.
    """
    # SciPy's statistics take half a second to load; only an evaluation needs them.
    from scipy.stats import binomtest

    ends = binomtest(correct, total).proportion_ci(CONFIDENCE, method="wilson")
    return Interval(float(ends.low), float(ends.high))


def class_figures(truth: Codes, predicted: Codes, labels: Sequence[Scalar]) -> tuple[ClassFigures, ...]:
    """Return the figures of each label, in the order of `labels`.

    Args:
        truth: shape (n,): the true label of each image, as its place in `labels`; each label at least once.
        predicted: shape (n,): the label each was given.
        labels: what the numbers stand for.
    """
    count = len(labels)
    columns = (
        np.bincount(truth, minlength=count),
        np.bincount(predicted, minlength=count),
        np.bincount(truth[truth == predicted], minlength=count),
    )
    return tuple(
        ClassFigures(label, *numbers)
        for label, *numbers in zip(labels, *(column.tolist() for column in columns), strict=True)
    )


def confusion_cells(truth: Codes, predicted: Codes, labels: Sequence[Scalar]) -> tuple[ConfusionCell, ...]:
    """Return the cells of the confusion matrix that are not 0, row by row in the order of `labels`.

    Args:
        truth: shape (n,): the true label of each image, as its place in `labels`.
        predicted: shape (n,): the label each was given.
        labels: what the numbers stand for.
    """
    cells, counts = np.unique(truth * len(labels) + predicted, return_counts=True)
    return tuple(
        ConfusionCell(labels[cell // len(labels)], labels[cell % len(labels)], count)
        for cell, count in zip(cells.tolist(), counts.tolist(), strict=True)
    )


def baseline_accuracy(truth: Codes, groups: Codes | None = None) -> float:
    """Return the accuracy of always naming the most common label, or the most common one of each group.

    Args:
        truth: shape (n,), n at least 1: the true label of each image, as a number from 0.
        groups: shape (n,): the group of each image, as a number from 0.
    """
    if groups is None:
        groups = np.zeros_like(truth)
    labels = int(truth.max()) + 1
    cells, counts = np.unique(groups * labels + truth, return_counts=True)
    most_common = np.zeros(int(groups.max()) + 1, dtype=np.intp)
    np.maximum.at(most_common, cells // labels, counts)
    return float(most_common.sum() / len(truth))
