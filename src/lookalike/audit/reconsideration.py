"""Suspects whose evidence people have put right since: judged again by the same neighbours, as these are now.

Two images that contradict each other are both suspects. When one gets the other's label, nothing speaks
against the other any more, and what was suggested for it must not be offered.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from lookalike.types import Neighbour
from lookalike.vectors.vote import label_key, label_of, vote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lookalike.audit.findings import Audit, Suspect
    from lookalike.types import Record, Scalar


class Judged(NamedTuple):
    """What the neighbours of an image say of its label."""

    suggested: Scalar
    """The label that they vote for; where that is its own, the other that comes nearest, or its own."""
    score: float
    """Similarity to the nearest neighbour of that label less that to the nearest of its own, −2 … 2; where no
    neighbour has one of them, the least of theirs stands for it."""
    contradicted: bool


def judged_by(label: Scalar, neighbours: Sequence[Neighbour], by: str) -> Judged:
    """Judge a label by neighbours.

    Args:
        label: of the image.
        neighbours: as they are now, most similar first.
        by: the field that holds the label.
    """
    labels = [value for value, _ in vote(neighbours, by).votes]
    own = label_key(label)
    contradicted = bool(labels) and label_key(labels[0]) != own
    others = [each for each in neighbours if _differs(each, by, own)]
    suggested = label
    if contradicted:
        suggested = labels[0]
    elif others:
        suggested = others[0].record.fields[by]
    if not neighbours or label_key(suggested) == own:
        return Judged(label, 0.0, contradicted=False)

    def nearest(key: object) -> float:
        found = (each for each in neighbours if _key(each, by) == key)
        return max((each.similarity for each in found), default=neighbours[-1].similarity)

    return Judged(suggested, nearest(label_key(suggested)) - nearest(own), contradicted)


def reconsidered(audit: Audit, read: Callable[[list[str]], Mapping[str, Record]]) -> Audit:
    """Return an audit whose suspects are judged again where their own label or their evidence has changed.

    Those that are settled (put right, or with nothing that speaks against them) move behind the others.

    Args:
        audit: as it was.
        read: returns records as they are now, by id, without those that are gone.
    """
    by = audit.by
    if by is None:
        return audit
    ids = {each.record.id for each in audit.suspects}
    ids |= {voter.record.id for each in audit.suspects for voter in each.neighbours}
    now = read(sorted(ids))
    suspects = [
        _again(each, now, by)
        for each in audit.suspects
        if each.record.id in now and label_of(now[each.record.id], by) is not None
    ]
    suspects.sort(key=lambda each: (not each.contradicted, -each.score, each.record.uri))
    return replace(audit, suspects=tuple(suspects))


def _again(suspect: Suspect, now: Mapping[str, Record], by: str) -> Suspect:
    record = now[suspect.record.id]
    neighbours = tuple(
        Neighbour(now[each.record.id], each.similarity)
        for each in suspect.neighbours
        if each.record.id in now
    )
    label = record.fields[by]
    pairs = ((each.record, now.get(each.record.id)) for each in suspect.neighbours)
    same = all(later is not None and _label(before, by) == _label(later, by) for before, later in pairs)
    if same and label_key(label) == label_key(suspect.label):
        return replace(suspect, record=record, neighbours=neighbours)
    return replace(
        suspect,
        record=record,
        label=label,
        neighbours=neighbours,
        **judged_by(label, neighbours, by)._asdict(),
    )


def _label(record: Record, by: str) -> object:
    value = label_of(record, by)
    return None if value is None else label_key(value)


def _key(neighbour: Neighbour, by: str) -> object:
    return _label(neighbour.record, by)


def _differs(neighbour: Neighbour, by: str, own: object) -> bool:
    key = _key(neighbour, by)
    return key is not None and key != own
