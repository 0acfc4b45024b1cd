"""The result of an audit job in compact form: ids and numbers, no records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lookalike.audit.findings import audit_lines
from lookalike.schemas.audit import AuditSummary, SmallClass
from lookalike.server.routes.votes import Ids, Votes
from lookalike.vectors.vote import label_key

if TYPE_CHECKING:
    from lookalike.audit.findings import Audit
    from lookalike.types import Record, Scalar
    from lookalike.vectors.vote import LabelKey


@dataclass(frozen=True, slots=True)
class DuplicateIds:
    """A group of near-duplicates."""

    ids: Ids
    labels: tuple[Scalar | None, ...]
    splits: tuple[Scalar | None, ...]
    """One for each id; empty where no field holds the split."""
    disagree: bool
    straddle: bool
    identical: bool
    similarity: float


class OutlierIds(NamedTuple):
    """An outlier, and the image that is nearest to it."""

    id: str
    label: Scalar | None
    nearest: str
    similarity: float
    deviation: float


@dataclass(frozen=True, slots=True)
class AuditResult:
    """The result of an audit job, some 100 bytes an image."""

    summary: AuditSummary
    votes: Votes
    """On the n images that were judged: those contradicted first, as the audit ranks them."""
    contradicted: int
    """How many these are."""
    labels: tuple[Scalar, ...]
    """n of them, as `suggested` and `scores`."""
    suggested: tuple[Scalar, ...]
    scores: tuple[float, ...]
    duplicates: list[DuplicateIds]
    outliers: list[OutlierIds]
    small_classes: list[SmallClass]
    left_out: list[tuple[str, str]]
    """Ids and reasons."""
    pictures: list[tuple[str, str, float]]
    """Ids, kinds and values."""
    unread: list[tuple[str, str]]
    """Ids and reasons."""


def audit_result(found: Audit) -> AuditResult:
    """Return an audit in compact form."""
    values: dict[LabelKey, Scalar] = {}

    def shared(value: Scalar) -> Scalar:
        """Return the first of all values that are equal, so that they take the memory of one."""
        return values.setdefault(label_key(value), value)

    def shared_all(values: tuple[Scalar | None, ...]) -> tuple[Scalar | None, ...]:
        return tuple(None if value is None else shared(value) for value in values)

    rows: dict[str, int] = {}

    def row(record: Record) -> int:
        return rows.setdefault(record.id, len(rows))

    suspects, pictures = found.suspects, found.pictures
    images = np.array([row(each.record) for each in suspects], np.intp)
    most = max((len(each.neighbours) for each in suspects), default=0)
    neighbours = np.full((len(suspects), most), -1, np.intp)
    similarities = np.full((len(suspects), most), np.nan)
    for place, each in enumerate(suspects):
        for rank, neighbour in enumerate(each.neighbours):
            neighbours[place, rank] = row(neighbour.record)
            similarities[place, rank] = neighbour.similarity
    return AuditResult(
        AuditSummary.model_validate(next(audit_lines(found))),
        Votes.of(Ids(rows), images, neighbours, similarities),
        len(found.contradicted),
        tuple(shared(each.label) for each in suspects),
        tuple(shared(each.suggested) for each in suspects),
        tuple(each.score for each in suspects),
        [
            DuplicateIds(
                Ids(record.id for record in group.records),
                shared_all(group.labels),
                shared_all(group.splits),
                group.disagree,
                group.straddle,
                group.identical,
                group.similarity,
            )
            for group in found.duplicates
        ],
        [
            OutlierIds(
                each.record.id,
                None if each.label is None else shared(each.label),
                each.nearest.record.id,
                each.nearest.similarity,
                each.deviation,
            )
            for each in found.outliers
        ],
        [SmallClass(label=each.label, count=each.count, floor=each.floor) for each in found.small_classes],
        [(each.record.id, each.reason) for each in found.left_out],
        [] if pictures is None else [(each.record.id, each.kind, each.value) for each in pictures.findings],
        [] if pictures is None else [(each.record.id, each.reason) for each in pictures.unread],
    )
