"""Novelty detection: pictures unlike anything in the collection.

A conformal p-value: of the collection's own images, held out, and the new one, the part whose nearest image
is no more similar than that of the new one. If the new image comes from where the others came from, its
p-value is at most r in at most a part r of all cases: r is the rate of false alarms. R. Laxhammar and
G. Falkman, "Conformal prediction for distribution-independent anomaly detection in streaming vessel data",
StreamKDD 2010, score by nearest neighbours; S. Bates, E. Candès, L. Lei, Y. Romano and M. Sesia, "Testing for
outliers with conformal p-values", Annals of Statistics 51 (2023), 149-178, tell what such p-values promise.

The least p-value of n images is 1 / (n + 1): a rate of 0.01 needs 99 images before anything is unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import InvalidArgument

if TYPE_CHECKING:
    from lookalike.evaluation.confidence import Scores

FALSE_ALARM = 0.01
"""By default one known picture in a hundred is taken for unlike anything."""


def p_values(nearest: Scores, known: Scores) -> Scores:
    """Return how usual it is for an image of the collection to have no nearer neighbour.

    Args:
        nearest: shape (q,): similarity of each new image to the nearest image of the collection.
        known: shape (n,): that of the collection's own images, held out.

    Returns:
        Shape (q,): (1 + the number of `known` that are at most as similar) / (n + 1), above 0 and up to 1.
    """
    below = np.searchsorted(np.sort(known), nearest, side="right")
    values: Scores = (1 + below) / (len(known) + 1)
    return values


def own_p_values(known: Scores) -> Scores:
    """Return the p-value of each of the collection's own images against all its others, shape (n,)."""
    # Each counts itself among those at most as similar: that is the 1 of the formula above.
    values: Scores = np.searchsorted(np.sort(known), known, side="right") / len(known)
    return values


def check_rate(rate: float) -> None:
    """Refuse a rate of false alarms that is none.

    Raises:
        InvalidArgument: it is below 0 or not below 1; 0 turns the alarm off.
    """
    if not 0 <= rate < 1:
        raise InvalidArgument(f"the rate of false alarms must be at least 0 and below 1, not {rate:g}")
