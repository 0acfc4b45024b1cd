"""Series among the images of a collection: several exposures of one part, the frames of one film.

Images of one series are no independent evidence: each is classified by another exposure of the same part,
and the accuracy is that of recognising a part again. Where names, folders or capture times tell what
may be a series (see `series_candidates`), a permutation test tells whether it is one: the nearest neighbour
of an image lies in its own series more often than it does when the names are exchanged at random among images
of one label in one folder. Such a test is exact for whatever the vectors are (E. L. Lehmann, J. P. Romano,
"Testing Statistical Hypotheses", 3rd edition, 2005, section 15.2); of several candidates the largest excess
is compared with the largest of all at random, so that many candidates make no more false alarms
(P. H. Westfall, S. S. Young, "Resampling-Based Multiple Testing", 1993).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lookalike.evaluation.series_candidates import find_candidates
from lookalike.vectors.groupings import group_members, numbered_by_first_row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lookalike.evaluation.series_candidates import Candidates, Grouping, Order
    from lookalike.types import Record, Vectors
    from lookalike.vectors.groupings import Groups
    from lookalike.vectors.nearest import Rows

LEAST_EXCESS = 0.1
"""Part of the images, beyond chance, whose nearest neighbour is of their own series: less moves little."""
MOST_P = 0.01
"""Series are reported where chance does as much in at most this part of the permutations."""

# How far apart in an order two images of one series may be.
_WINDOWS = (1, 2, 4, 8, 16)
# Permutations that tell what is usual, before many are made for the p-value.
_FIRST = 20
_PERMUTATIONS, _FEWER, _MANY = 999, 199, 2_000
# What is told by a grouping is clearer than what an order tells, unless that finds so much more.
_CLEARER = 0.05
# Images after one in an order that may be linked to it, strangers that it is compared with, and their part
# that may be as similar.
_REACH, _STRANGERS = 3, 50
# A film becomes pieces of this part of all images, and of this many at least: its two ends are not one part.
_PIECE, _PIECE_PART = 20, 0.05


@dataclass(frozen=True, slots=True)
class Series:
    """Series that were found, and what speaks for them."""

    how: str
    """What tells them, in words."""
    groups: Groups
    """(n,): the series of each record."""
    share: float
    """Part of the images whose nearest neighbour is of their own series, 0 … 1."""
    expected: float
    """The same at random."""
    p_value: float
    """Part of the permutations, this one included, in which any candidate exceeds chance by as much."""
    permutations: int

    @property
    def sizes(self) -> NDArray[np.intp]:
        """Images of each series that has several."""
        sizes = np.bincount(self.groups)
        return sizes[sizes > 1]


def find_series(
    records: Sequence[Record],
    vectors: Vectors,
    rows: Rows,
    nearest: Rows,
    by: str | None,
    *,
    within: str | None = None,
    seed: int = 0,
) -> Series | None:
    """Find series among images, by their names and times and by how often neighbours come from one.

    The answer does not depend on the order of the records.

    Args:
        records: all records.
        vectors: plain, float32 of shape (len(records), d), each row of length 1.
        rows: shape (m,): places of the images that have a nearest neighbour.
        nearest: shape (m,): the place of that neighbour; −1 where there is none.
        by: the field that holds the label; None: there is none.
        within: the field of whose values only equal ones were compared.
        seed: of the permutations.

    Returns:
        What was found; None where neighbours come from one series hardly more often than chance, or where no
        two images that follow each other are alike.
    """
    # In order of id, so that the order of the records makes no difference.
    order = np.array(sorted(range(len(records)), key=lambda row: records[row].id), dtype=np.intp)
    ranks = np.empty(len(order), dtype=np.intp)
    ranks[order] = np.arange(len(order))
    known = nearest >= 0
    pairs = ranks[rows[known]], ranks[nearest[known]]
    if not len(pairs[0]):
        return None
    sorted_records = [records[row] for row in order.tolist()]
    candidates = find_candidates(sorted_records, by, within)
    found = _find(candidates, vectors[order], pairs, seed)
    if found is None:
        return None
    how, groups, share, expected, p_value, permutations = found
    return Series(how, numbered_by_first_row(groups)[ranks], share, expected, p_value, permutations)


def _find(
    candidates: Candidates, vectors: Vectors, pairs: tuple[Rows, Rows], seed: int
) -> tuple[str, Groups, float, float, float, int] | None:
    names = _Names(candidates, pairs)
    random = np.random.default_rng(seed)
    observed = names.shares(np.arange(len(vectors)), np.arange(len(vectors)))
    first = np.stack([names.permuted(random) for _ in range(_FIRST)])
    if float((observed - first.mean(axis=0)).max(initial=0)) < LEAST_EXCESS:
        return None
    count = _PERMUTATIONS if len(vectors) <= _MANY else _FEWER
    chance = np.stack([*first, *(names.permuted(random) for _ in range(count - _FIRST))])
    expected = chance.mean(axis=0)
    excess = observed - expected
    best, window = names.best(excess)
    largest = float(excess[best])
    p_value = (1 + int(((chance - expected).max(axis=1) >= largest).sum())) / (count + 1)
    if largest < LEAST_EXCESS or p_value > MOST_P:
        return None
    if window is None:
        grouping = candidates.groupings[best]
        return grouping.how, grouping.groups, float(observed[best]), float(expected[best]), p_value, count
    groups = _linked(window, candidates, vectors, random)
    if len(np.unique(groups)) == len(groups):
        # Neighbours follow each other, and no two of them are more alike than strangers.
        return None
    share, usual = (
        float((groups[one] == groups[other]).mean())
        for one, other in (pairs, tuple(names.shuffled(random)[rows] for rows in pairs))
    )
    how = f"{window.how}, and how similar images are that follow each other"
    return how, groups, share, usual, p_value, count


class _Names:
    """Counts how often two images that are nearest are of one series, also with the names exchanged."""

    def __init__(self, candidates: Candidates, pairs: tuple[Rows, Rows]) -> None:
        self._groupings: Sequence[Grouping] = candidates.groupings
        self._orders: Sequence[Order] = candidates.orders
        self._pairs = pairs
        self._strata = group_members(candidates.strata)
        self._labels = group_members(candidates.labels)
        self._folders = any(grouping.folders for grouping in self._groupings)

    def shares(self, named: Rows, foldered: Rows) -> NDArray[np.float64]:
        """Return the part of the pairs that are of one series: for each grouping, then each order and window.

        Args:
            named: shape (n,): the image whose name each image has.
            foldered: shape (n,): likewise, where images are exchanged across folders.
        """
        one, other = (named[rows] for rows in self._pairs)
        above, beside = (foldered[rows] for rows in self._pairs) if self._folders else (one, other)
        found = [
            (each.groups[above] == each.groups[beside]).mean()
            if each.folders
            else (each.groups[one] == each.groups[other]).mean()
            for each in self._groupings
        ]
        for order in self._orders:
            apart = np.abs(order.places[one] - order.places[other])
            found += [(apart <= window).mean() for window in _WINDOWS]
        return np.array(found)

    def shuffled(self, random: np.random.Generator) -> Rows:
        """Return names exchanged at random within label and folder."""
        return _shuffled(self._strata, random)

    def permuted(self, random: np.random.Generator) -> NDArray[np.float64]:
        """Return the shares with names exchanged at random."""
        named = _shuffled(self._strata, random)
        return self.shares(named, _shuffled(self._labels, random) if self._folders else named)

    def best(self, excess: NDArray[np.float64]) -> tuple[int, Order | None]:
        """Return the place of the candidate that exceeds chance most, and its order where it is one."""
        count = len(self._groupings)
        window = count + int(np.argmax(excess[count:]))
        if count:
            grouping = int(np.argmax(excess[:count]))
            if excess[grouping] >= max(LEAST_EXCESS, excess[window] - _CLEARER):
                return grouping, None
        return window, self._orders[(window - count) // len(_WINDOWS)]


def _shuffled(strata: Sequence[Rows], random: np.random.Generator) -> Rows:
    named = np.empty(sum(map(len, strata)), dtype=np.intp)
    for members in strata:
        named[members] = random.permutation(members)
    return named


def _linked(order: Order, candidates: Candidates, vectors: Vectors, random: np.random.Generator) -> Groups:
    """Return the series of an order: images that follow each other and are more alike than strangers.

    Strangers are images of the same label and folder further away in the order. What is longer than a series
    is cut, since a film that changes slowly is linked from its first frame to its last.
    """
    count = len(vectors)
    rows = np.argsort(order.places, kind="stable")
    places = order.places[rows]
    usual = _usual_similarity(order, candidates, vectors, random)[rows]
    sorted_vectors = vectors[rows]
    # Whether the run goes on from each place to the next.
    joined = np.zeros(count, dtype=bool)
    for step in range(1, min(_REACH, count - 1) + 1):
        similar = np.einsum("nd,nd->n", sorted_vectors[:-step], sorted_vectors[step:])
        near = places[step:] - places[:-step] == step
        linked = near & (similar > np.maximum(usual[:-step], usual[step:]))
        for between in range(step):
            joined[between : count - step + between] |= linked
    starts = np.concatenate([[0], np.flatnonzero(~joined[:-1]) + 1])
    most = max(_PIECE, int(_PIECE_PART * count))
    runs = np.zeros(count, dtype=np.intp)
    number = 0
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), count], strict=True):
        pieces = -(-(end - start) // most)
        runs[start:end] = number + np.arange(end - start) * pieces // (end - start)
        number += pieces
    groups = np.empty(count, dtype=np.intp)
    groups[rows] = runs
    return groups


def _usual_similarity(
    order: Order, candidates: Candidates, vectors: Vectors, random: np.random.Generator
) -> NDArray[np.float32]:
    """Return the largest similarity of each image to some strangers."""
    usual = np.ones(len(vectors), dtype=np.float32)
    for members in group_members(candidates.strata):
        if len(members) > 2 * max(_WINDOWS):
            strangers = random.permutation(members)[:_STRANGERS]
            similar = vectors[members] @ vectors[strangers].T
            near = np.abs(order.places[members][:, None] - order.places[strangers]) <= max(_WINDOWS)
            usual[members] = np.where(near, -1.0, similar).max(axis=1)
    return usual
