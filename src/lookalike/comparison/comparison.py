"""The result of a comparison: accuracy of each candidate, and McNemar's test against the best."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING

from scipy.stats import binomtest

from lookalike.evaluation.figures import wilson_interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lookalike.evaluation.figures import Interval
    from lookalike.vectors.exclusions import LeftOut

FINE_TUNED = "fine-tuned"
"""Stands for the metric where a network names the label itself."""


@dataclass(frozen=True, slots=True)
class PairedTest:
    """McNemar's exact test between two that answered the same images.

    Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
    Psychometrika 12, 1947; exact: the binomial distribution instead of its approximation.
    """

    first_only: int
    """Images that only the first got right."""
    second_only: int
    """Images that only the second got right."""
    p_value: float
    """How often two that are equally good would differ at least so much."""


def paired_test(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> PairedTest:
    """Test whether two that answered the same images differ.

    Args:
        first: shape (n,): whether the first was right.
        second: shape (n,): whether the second was.
    """
    first_only = int((first & ~second).sum())
    second_only = int((second & ~first).sum())
    differing = first_only + second_only
    p_value = float(binomtest(first_only, differing).pvalue) if differing else 1.0
    return PairedTest(first_only, second_only, p_value)


@dataclass(frozen=True, slots=True)
class RankedCandidate:
    """One embedder, metric and k, or one network that was trained, and how often it was right."""

    model: str
    metric: str
    """plain, fitted or fine-tuned."""
    k: int | None
    """None where no neighbours vote."""
    images: int
    correct: int
    macro_f1: float
    """Mean of the labels' F1, each label counting alike, 0 … 1."""
    training_seconds: float
    """What learning from labels took, all folds together: 0 for plain vectors."""
    milliseconds: float
    """To decode one image and embed or name it, alone on this machine; NaN where that could not be timed."""
    epochs: tuple[int, ...] = ()
    """That a network was trained for in each fold."""
    test: PairedTest | None = None
    """Between the first place and this one; None for the first."""

    @property
    def fine_tuned(self) -> bool:
        """Whether a network that was trained names the labels."""
        return self.metric == FINE_TUNED

    @property
    def accuracy(self) -> float:
        """Part of the images that got their own label, 0 … 1."""
        return self.correct / self.images

    @property
    def interval(self) -> Interval:
        """The 95 % Wilson interval of the accuracy."""
        return wilson_interval(self.correct, self.images)

    @property
    def images_per_second(self) -> float | None:
        """One after another, on this machine; None where that could not be timed."""
        return None if isnan(self.milliseconds) else 1000 / self.milliseconds


@dataclass(frozen=True, slots=True)
class Comparison:
    """All candidates, the best first."""

    by: str
    folds: int
    places: tuple[RankedCandidate, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def test(self) -> PairedTest | None:
        """Between the first two; None where there is one place only."""
        return self.places[1].test if len(self.places) > 1 else None
