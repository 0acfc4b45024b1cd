"""The vote of neighbours on a label: one rule for search, evaluation and every store.

Each neighbour that has the label has one vote, however near it is. The label with the most votes wins. Of
labels with equally many votes, the one wins whose nearest neighbour is nearest; of neighbours that are
equally near, the one with the lower id counts as nearer.

Why votes count alike: the share is then what a person can count ("4 of 5 neighbours"), and one SQL statement
can say the same. Weighting by 1/distance would need a rule of its own for images at distance zero:
scikit-learn's weights="distance" lets only those vote, so that one copy with a wrong label outvotes all the
others (scikit-learn 1.9, sklearn/neighbors/_base.py, _get_weights). Its default, weights="uniform", is the
rule here, draws apart: there it takes the label that sorts first, which says nothing of the image.

A neighbour without the label does not vote and is not counted. Whoever wants k votes asks the store for the k
nearest that have the label: `nearest(..., having=field)`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lookalike.types import Prediction

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lookalike.types import Neighbour, Record, Scalar

Codes: TypeAlias = NDArray[np.intp]
"""Labels as numbers from 0; −1 stands for none."""

LabelKey: TypeAlias = "tuple[int, Scalar]"


def label_of(record: Record, field: str) -> Scalar | None:
    """Return the record's value of `field`; None where it has none, or NaN, which equals nothing."""
    value = record.fields.get(field)
    return None if isinstance(value, float) and math.isnan(value) else value


def label_key(label: Scalar) -> LabelKey:
    """Return what tells labels apart and sorts them: booleans, then numbers, then strings.

    1 and 1.0 are one label, as in `Where`; 1, True and "1" are three, though Python has 1 == True.
    """
    if isinstance(label, bool):
        return 0, label
    return (2, label) if isinstance(label, str) else (1, label)


def encode(values: Iterable[Scalar]) -> tuple[Codes, list[Scalar]]:
    """Return values as numbers, and what the numbers stand for, sorted as `label_key` says."""
    keys: list[LabelKey] = []
    firsts: dict[LabelKey, Scalar] = {}
    for value in values:
        key = label_key(value)
        keys.append(key)
        firsts.setdefault(key, value)
    ranks = {key: rank for rank, key in enumerate(sorted(firsts))}
    return np.array([ranks[key] for key in keys], dtype=np.intp), [firsts[key] for key in ranks]


def vote(neighbours: Sequence[Neighbour], by: str) -> Prediction:
    """Let neighbours decide on a label; the rule is told at the top of this module.

    Args:
        neighbours: in any order.
        by: the field that holds the label.

    Returns:
        The label, its share of the votes, and all labels by falling share, draws in the order of their
        nearest neighbour. Its neighbours are those that voted, most similar first, then by id. If none
        voted, the label is None and the share 0.
    """
    voters = sorted(
        (neighbour for neighbour in neighbours if label_of(neighbour.record, by) is not None),
        key=lambda neighbour: (-neighbour.similarity, neighbour.record.id),
    )
    labels: dict[LabelKey, Scalar] = {}
    counts: dict[LabelKey, int] = {}
    for voter in voters:
        label = voter.record.fields[by]
        key = label_key(label)
        labels.setdefault(key, label)
        counts[key] = counts.get(key, 0) + 1
    # The sort is stable: labels with equally many votes stay in the order of their nearest neighbour.
    ranked = sorted(counts, key=lambda key: -counts[key])
    votes = tuple((labels[key], counts[key] / len(voters)) for key in ranked)
    if not votes:
        return Prediction(None, 0.0, ())
    return Prediction(*votes[0], votes, tuple(voters))


def winning_codes(codes: Codes) -> Codes:
    """Let many rows of neighbours decide at once, by the same rule as `vote`.

    Args:
        codes: shape (q, k): the label of each neighbour, nearest first; −1 does not vote.

    Returns:
        Shape (q,): the label that wins in each row; −1 where nobody votes.
    """
    queries, k = codes.shape
    if not codes.size:
        return np.full(queries, -1, dtype=np.intp)
    order = np.argsort(codes, axis=1)
    ordered = np.take_along_axis(codes, order, axis=1)
    starts = np.ones((queries, k), dtype=bool)
    starts[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    runs = np.cumsum(starts.ravel()) - 1
    votes = np.empty_like(codes)
    np.put_along_axis(votes, order, np.bincount(runs)[runs].reshape(queries, k), axis=1)
    votes[codes < 0] = 0
    # argmax gives the first of several equal ones: the label of the nearest neighbour among those that tie.
    nearest = votes.argmax(axis=1)
    return np.take_along_axis(codes, nearest[:, None], axis=1)[:, 0]
