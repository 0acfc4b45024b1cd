"""The split of a fold's images into those that train a network and those that tell it when to stop.

Neither has seen an image that is held out: both are of the images held in, and lots are whole in one or the
other, as in the folds themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lookalike.errors import Unanswerable
from lookalike.evaluation.folds import Fold, stratified_folds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.vectors.nearest import Rows
    from lookalike.vectors.vote import Codes

HELD_BACK = 5
"""One part in five of the images held in is held back: as large a part as is held out."""


class TrainingSplit(NamedTuple):
    """Training and validation images of a fold, each in the order of their ranks."""

    training: Rows
    validation: Rows
    """Empty where there is too little to divide: then training takes all its epochs."""


def folds_of(held_in: Sequence[Codes], lots: Codes) -> list[Fold]:
    """Return the folds that were drawn, from the lots that each of them held in.

    Args:
        held_in: for each fold, the lots of the images held in, in any order.
        lots: shape (n,): those of all images; a lot is whole in or out.
    """
    inside = [np.isin(lots, each) for each in held_in]
    return [Fold(np.flatnonzero(each), np.flatnonzero(~each)) for each in inside]


def split_training(fold: Fold, truth: Codes, lots: Codes, ranks: Rows, *, seed: int) -> TrainingSplit:
    """Divide the images held in.

    A label all of whose images would be held back is learned instead, with all their lots: a network that
    never saw it could not name it, while the neighbours of the fold can.

    Args:
        fold: rows of the images.
        truth: shape (n,): their labels, as numbers.
        lots: shape (n,).
        ranks: shape (n,): in whose order the division is drawn.
        seed: of the drawing.
    """
    rows = fold.held_in[np.argsort(ranks[fold.held_in])]
    codes = np.unique(truth[rows], return_inverse=True)[1].astype(np.intp)
    try:
        drawn = stratified_folds(codes, lots[rows], folds=HELD_BACK, seed=seed)
    except Unanswerable:
        return TrainingSplit(rows, rows[:0])
    back = np.zeros(len(rows), dtype=np.bool_)
    back[drawn[0].held_out] = True
    known = np.isin(codes, codes[~back])
    back &= ~np.isin(lots[rows], lots[rows][~known])
    return TrainingSplit(rows[~back], rows[back])
