"""Several rankings of the same things made one.

Reciprocal rank fusion: G. V. Cormack, C. L. A. Clarke and S. Büttcher, "Reciprocal Rank Fusion outperforms
Condorcet and individual Rank Learning Methods", SIGIR 2009. It needs no scores that can be compared, only
places.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_K = 60
"""The paper's constant, found on TREC's collections: the first places count for little more than the next."""


@dataclass(frozen=True, slots=True)
class Fused:
    """A thing with its places."""

    id: str
    score: float
    """Sum over the rankings of 1 / (60 + place)."""
    places: tuple[int | None, ...]
    """Its place in each ranking, from 1; None where it has none."""


def fuse(rankings: Sequence[Sequence[str]]) -> list[Fused]:
    """Fuse rankings, best first; equal scores by the best single place, then by id.

    Args:
        rankings: ids, best first, none twice in one ranking.
    """
    places: dict[str, list[int | None]] = {}
    for number, ranking in enumerate(rankings):
        for place, each in enumerate(ranking, 1):
            places.setdefault(each, [None] * len(rankings))[number] = place
    fused = [
        Fused(each, sum(1 / (_K + place) for place in found if place is not None), tuple(found))
        for each, found in places.items()
    ]
    return sorted(fused, key=lambda one: (-one.score, min(p for p in one.places if p is not None), one.id))
