"""Selective classification: predictions are given only where the error stays below a promise.

Selection with guaranteed risk: Y. Geifman and R. El-Yaniv, "Selective classification for deep neural
networks", NeurIPS 2017. Answers with known outcome are ordered by confidence; an upper bound of the error
among the surest of them comes from the tail of the binomial distribution. They search by bisection, which
misses thresholds where the bound does not rise with the share answered, as with few answers; here the bound
is computed at `STEPS` shares that are fixed beforehand, and the largest share is taken whose bound is at most
the error allowed. The bounds hold together with probability 1 − `DELTA` over the draw of the answers
(Bonferroni), whichever is chosen.

It supposes that new images come from where the collection's came from, and that held-out answers are
independent draws, which answers that share neighbours are only nearly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betaincinv

from lookalike.errors import InvalidArgument, Unanswerable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lookalike.evaluation.confidence import Scores

DELTA = 0.05
"""Chance that the promise does not hold; the complement of the field's customary 95 %."""
STEPS = 20
"""Shares at which the bound is computed: every 5 %. More would cost each of them certainty."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The threshold of confidence from which predictions are given, and what it promises."""

    max_error: float
    threshold: float
    """The least confidence of an answer that is given, 0 … 1."""
    bound: float
    """Upper bound of the error among answers given, with probability 1 − `DELTA`."""
    answered: int
    """Held-out answers that reach the threshold."""
    wrong: int
    """Those of them that were wrong."""
    total: int

    @property
    def share(self) -> float:
        """Part of the held-out answers that are still given."""
        return self.answered / self.total


def error_bound(wrong: int, total: int, delta: float) -> float:
    """Return the error rate at which `wrong` or fewer errors in `total` have probability `delta`.

    The exact binomial bound: C. J. Clopper and E. S. Pearson, Biometrika 26 (1934), 404-413; 1 where all
    were wrong.
    """
    if wrong >= total:
        return 1.0
    return float(betaincinv(wrong + 1, total - wrong, 1 - delta))


def select(
    confidence: Scores, right: NDArray[np.bool_], max_error: float, *, delta: float = DELTA
) -> Selection:
    """Find the least confidence above which the error is at most `max_error`.

    Args:
        confidence: shape (n,), n at least 1: of answers that did not see their own outcome.
        right: shape (n,): their outcomes.
        max_error: above 0 and below 1.
        delta: chance that the promise does not hold.

    Raises:
        InvalidArgument: `max_error` is not between 0 and 1.
        Unanswerable: no threshold can promise it; the text names the lowest error that some can.
    """
    if not 0 < max_error < 1:
        raise InvalidArgument(f"the error allowed must be above 0 and below 1, not {max_error:g}")
    count = len(confidence)
    order = np.argsort(-confidence, kind="stable")
    ordered = confidence[order]
    wrong = np.concatenate([[0], np.cumsum(~right[order])]).tolist()
    lowest = 1.0
    for step in range(STEPS, 0, -1):
        threshold = ordered[(count * step + STEPS - 1) // STEPS - 1]
        # Answers of equal confidence are given together or not at all.
        answered = int(np.searchsorted(-ordered, -threshold, side="right"))
        bound = error_bound(wrong[answered], answered, delta / STEPS)
        if bound <= max_error:
            return Selection(max_error, float(threshold), bound, answered, wrong[answered], count)
        lowest = min(lowest, bound)
    raise Unanswerable(
        f"an error of at most {max_error:g} cannot be promised from {count:,} held-out answers, "
        f"{wrong[-1]:,} of them wrong; the lowest that can is {np.ceil(lowest * 1000) / 1000:g}"
    )


def risk_coverage(confidence: Scores, right: NDArray[np.bool_]) -> tuple[tuple[float, float], ...]:
    """Return, for each threshold from high to low, the share answered and the error among those answers."""
    order = np.argsort(-confidence, kind="stable")
    ordered = confidence[order]
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)) + 1
    wrong = np.cumsum(~right[order])
    return tuple((end / len(order), float(wrong[end - 1]) / end) for end in ends.tolist())
