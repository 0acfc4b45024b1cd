"""Reliability of single predictions: calibration error, risk and coverage, measured on held-out predictions.

Each figure is itself held out: the confidence of an image comes from a calibration that did not see its
prediction, and its label set from thresholds that did not see it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import InvalidArgument, Unanswerable
from lookalike.evaluation.calibration import (
    brier_score,
    cross_fitted_confidence,
    held_out_scores,
    reliability_bins,
)
from lookalike.evaluation.conformal import measured_coverage
from lookalike.evaluation.novelty import FALSE_ALARM, check_rate, own_p_values
from lookalike.evaluation.selective import risk_coverage, select
from lookalike.progress import divided, silent

if TYPE_CHECKING:
    from lookalike.evaluation.calibration import ReliabilityBin
    from lookalike.evaluation.confidence import Scores
    from lookalike.evaluation.conformal import Coverage
    from lookalike.evaluation.held_out_predictions import HeldOutPredictions
    from lookalike.evaluation.selective import Selection
    from lookalike.progress import Progress


@dataclass(frozen=True, slots=True)
class Reliability:
    """How well confidence, label sets and false-alarm rates keep what they promise."""

    confidence: Scores = field(repr=False, compare=False)
    """(n,): of each held-out prediction, in the order of `HeldOutPredictions.rows`."""
    p_values: Scores = field(repr=False, compare=False)
    """(n,): how usual it is to have no nearer neighbour."""
    brier: float
    bins: tuple[ReliabilityBin, ...]
    risk_coverage: tuple[tuple[float, float], ...] = field(repr=False)
    """Share answered and error among it, for each threshold of confidence."""
    false_alarm: float
    unknown: int
    """Held-out images that would be called unlike anything."""
    selection: Selection | None
    """Where an error was promised."""
    refusal: str | None
    """Why that error cannot be promised."""
    coverage: Coverage | None
    """Where a coverage was promised."""


def measure_reliability(
    held: HeldOutPredictions,
    *,
    max_error: float | None = None,
    coverage: float | None = None,
    false_alarm: float = FALSE_ALARM,
    seed: int = 0,
    progress: Progress = silent,
) -> Reliability:
    """Measure how reliable predictions for new images will be.

    Args:
        held: predictions for the collection's own images.
        max_error: of the answers given, above 0 and below 1.
        coverage: of the label sets, above 0 and below 1.
        false_alarm: the rate at which a known image may be called unknown, at least 0 and below 1.
        seed: of the folds that are needed to calibrate and to measure.
        progress: called with lots of images divided into folds and lots to divide.

    Raises:
        InvalidArgument: a number outside its range.
        Unanswerable: too many labels, or too few images to divide.
    """
    check_rate(false_alarm)
    scores = held_out_scores(held)
    count = len(held.truth)
    confiding, covering = divided(progress, [count, count if coverage is not None else 0])
    confidence = cross_fitted_confidence(
        scores, held.right, held.lots,
        truth=held.truth, named=held.predicted, ranks=held.ranks, seed=seed, progress=confiding,
    )  # fmt: skip
    p_values = own_p_values(held.plain_nearest)
    selection = refusal = None
    if max_error is not None:
        try:
            selection = select(confidence, held.right, max_error)
        except Unanswerable as error:
            refusal = str(error)
    measured = None
    if coverage is not None:
        if held.class_similarities is None:
            raise InvalidArgument("too many labels for label sets")
        measured = measured_coverage(
            held.class_similarities,
            held.truth,
            held.labels,
            coverage,
            lots=held.lots,
            ranks=held.ranks,
            seed=seed,
            progress=covering,
        )
    return Reliability(
        confidence,
        p_values,
        brier_score(confidence, held.right),
        reliability_bins(confidence, held.right),
        risk_coverage(confidence, held.right),
        false_alarm,
        int(np.count_nonzero(p_values <= false_alarm)),
        selection,
        refusal,
        measured,
    )
