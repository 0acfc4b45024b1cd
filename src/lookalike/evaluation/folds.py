"""Folds for cross-validation: stratified by label, repeated, seeded, and never through a lot.

Images of one lot (a field such as the day of production, or copies of one another) are alike for reasons that
have nothing to do with the label. They are all held in or all held out.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from lookalike.errors import InvalidArgument, Unanswerable
from lookalike.progress import silent
from lookalike.vectors.groupings import numbered_by_first_row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.progress import Progress
    from lookalike.vectors.nearest import Rows
    from lookalike.vectors.vote import Codes

FOLDS = 5
"""The field's custom, and scikit-learn's default (1.9, sklearn/model_selection/_split.py)."""
REPEATS = 3
"""Enough to see how far the drawing of the folds moves a figure."""

# Lots after which somebody is told how far it is: a hundredth of a second.
_TOLD = 128


class Fold(NamedTuple):
    """One division of rows in two, both in rising order."""

    held_in: Rows
    held_out: Rows


def stratified_folds(
    codes: Codes,
    lots: Codes | None = None,
    *,
    ranks: Rows | None = None,
    folds: int = FOLDS,
    seed: int = 0,
    progress: Progress = silent,
) -> list[Fold]:
    """Divide rows so that each is held out once and every label is spread over the folds.

    There are fewer folds than asked for where there are fewer lots, or where even the most common label has
    fewer images. A label with fewer images than folds is held out in some folds only.

    Args:
        codes: shape (n,): the label of each row, as a number from 0.
        lots: shape (n,): rows of one number stay together; by default each row is a lot of its own.
        ranks: shape (n,): numbers in whose order the rows are drawn, none twice; by default their own.
        folds: how many, at least 2.
        seed: which of the possible divisions.
        progress: called with lots that found their fold and lots to find one.

    Returns:
        The folds; none of them is empty on either side.

    Raises:
        InvalidArgument: fewer than 2 folds, or a seed outside 0 … 2³² − 1.
        Unanswerable: fewer than two lots, or no label on two images.
    """
    if folds < 2:
        raise InvalidArgument(f"folds must be at least 2, not {folds}")
    if not 0 <= seed < 1 << 32:
        raise InvalidArgument(f"seed must be 0 … {(1 << 32) - 1}, not {seed}")
    count = len(codes)
    order = np.arange(count) if ranks is None else np.argsort(ranks)
    codes = codes[order]
    # Numbered by their first rows, so that the folds do not depend on how the lots were numbered.
    lots = np.arange(count) if lots is None else numbered_by_first_row(lots[order])
    different = int(lots.max(initial=-1)) + 1
    most = min(folds, different, int(np.bincount(codes).max(initial=0)))
    if most < 2:
        what = "all images are in one group" if different < 2 else "no two images share a label"
        raise Unanswerable(f"{what}: nothing can be held out")
    # The splitter for lots is slow: not where nothing has to be kept together.
    drawn: Any = StratifiedKFold(n_splits=most, shuffle=True, random_state=seed)
    if different < count:
        drawn = _LotFolds(most, seed, different, progress)
    with warnings.catch_warnings():
        # That a label has fewer images than folds is documented above.
        warnings.simplefilter("ignore", UserWarning)
        parts = list(drawn.split(np.empty((count, 0)), codes, lots))
    progress(different, different)
    return [
        Fold(np.sort(order[held_in]), np.sort(order[held_out]))
        for held_in, held_out in parts
        if len(held_in) and len(held_out)
    ]


class _LotFolds(StratifiedGroupKFold):  # type: ignore[misc]
    """Scikit-learn's splitter, which looks at every lot in Python: ten seconds for 100,000."""

    def __init__(self, folds: int, seed: int, lots: int, progress: Progress) -> None:
        super().__init__(n_splits=folds, shuffle=True, random_state=seed)
        self._lots = lots
        self._progress = progress
        self._done = 0

    def _find_best_fold(self, **lot: Any) -> Any:
        # Called once a lot (scikit-learn 1.9, sklearn/model_selection/_split.py). Where a later version calls
        # something else, nobody is told how far it is, and the folds are the same.
        if self._done % _TOLD == 0:
            self._progress(self._done, self._lots)
        self._done += 1
        return super()._find_best_fold(**lot)


def repeat_seeds(seed: int, repeats: int) -> Sequence[int]:
    """Return a seed for each repeat, the first being `seed` itself.

    Raises:
        InvalidArgument: fewer than one repeat.
    """
    if repeats < 1:
        raise InvalidArgument(f"repeats must be at least 1, not {repeats}")
    return [(seed + repeat) % (1 << 32) for repeat in range(repeats)]
