"""Lots: images that an evaluation keeps together, by a field or as near-duplicates.

Images of one lot are alike for reasons that have nothing to do with the label; near-duplicates are the same
picture twice. Neither may answer for the other when a collection is judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import FieldNotFound, InvalidArgument
from lookalike.progress import silent
from lookalike.sources.film_groups import film_groups
from lookalike.types import FILM
from lookalike.vectors.groupings import merge_groupings
from lookalike.vectors.near_duplicates import find_near_duplicates
from lookalike.vectors.vote import label_key, label_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.progress import Progress
    from lookalike.types import Record, Scalar, Vectors
    from lookalike.vectors.near_duplicates import Chain
    from lookalike.vectors.vote import Codes


@dataclass(frozen=True, slots=True)
class Joined:
    """Groups of the field that are one lot, since near-duplicates lie in several of them."""

    images: int
    groups: int
    """How many values of the field, at least 2."""


def joined_text(joined: Sequence[Joined], group: str) -> str:
    """Return in words which groups of a field became one lot, the largest first; at least one."""
    several = len(joined) > 1
    return (
        f"near-duplicates lie in several values of {group}, which were kept together as "
        f"{f'{len(joined):,} lots; the largest' if several else 'one lot'}: {joined[0].images:,} images, "
        f"{joined[0].groups:,} values"
    )


@dataclass(frozen=True, slots=True)
class Lots:
    """Which of n images are to be kept together, and why."""

    together: Codes | None
    """(n,): the lot of each; None where every image is its own."""
    alike: Codes
    """(n,): 1 for each image that has a near-duplicate, 0 for the others."""
    chains: tuple[Chain, ...] = ()
    """Near-duplicates that were taken apart, the largest first."""
    joined: tuple[Joined, ...] = ()
    """Lots of several groups, the largest first."""
    frames: int = 0
    """Images that are frames of one film with others, which are kept together always."""


def lots_of(
    records: Sequence[Record],
    vectors: Vectors,
    by: str,
    *,
    group: str | None,
    near_duplicates: bool,
    progress: Progress = silent,
) -> Lots:
    """Return which images are to be kept together; frames of one film always are, where `by` is not the film.

    Args:
        records: in any order.
        vectors: plain, their rows in the order of the records.
        by: the field that holds the label.
        group: images with the same value of this field are a lot; without the field, one of their own.
        near_duplicates: whether near-duplicates share a lot.
        progress: called with what is compared and what is to be, where near-duplicates are looked for.

    Raises:
        InvalidArgument: `group` is `by`.
        FieldNotFound: no record has the field `group`.
    """
    if group is not None and group == by:
        raise InvalidArgument(f"by and group are both {by!r}: no image could meet another of its label")
    count = len(records)
    groupings = []
    values: list[Scalar | None] = []
    alike = np.zeros(count, dtype=np.intp)
    chains: tuple[Chain, ...] = ()
    if group is not None:
        values = [label_of(record, group) for record in records]
        if records and all(value is None for value in values):
            raise FieldNotFound(group, {name for record in records for name in record.fields} - {group})
        keys = [(3, place) if value is None else label_key(value) for place, value in enumerate(values)]
        numbers: dict[object, int] = {}
        groupings.append(np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.intp))
    if near_duplicates and count:
        order = np.array(sorted(range(count), key=lambda row: records[row].id), dtype=np.intp)
        # In order of id, so that the order of the records makes no difference.
        in_order = vectors if (np.diff(order) > 0).all() else vectors[order]
        found = np.empty(count, dtype=np.intp)
        digests = [records[row].digest for row in order.tolist()]
        near = find_near_duplicates(in_order, digests, progress)
        found[order], chains = near.groups, near.chains
        groupings.append(found)
        alike = (np.bincount(found)[found] > 1).astype(np.intp)
    films = film_groups(records)
    if films is not None and by != FILM:
        groupings.append(films)
    if not groupings:
        return Lots(None, alike)
    lots = merge_groupings(groupings)
    together = lots if int(lots.max(initial=-1)) + 1 < count else None
    named = np.array([value is not None for value in values], dtype=bool)
    joined = _joined(lots[named], groupings[0][named]) if group is not None else ()
    frames = 0 if films is None else int((np.bincount(films)[films] > 1).sum())
    return Lots(together, alike, chains, joined, frames)


def _joined(lots: Codes, groups: Codes) -> tuple[Joined, ...]:
    """Return the lots that hold several groups.

    Args:
        lots: shape (n,), of images that have a group.
        groups: shape (n,), the group of each.
    """
    images = np.bincount(lots)
    size = int(groups.max(initial=0)) + 1
    values = np.bincount(np.unique(lots * size + groups) // size, minlength=len(images))
    several = np.flatnonzero(values > 1).tolist()
    found = [Joined(int(images[lot]), int(values[lot])) for lot in several]
    return tuple(sorted(found, key=lambda each: (-each.images, -each.groups)))
