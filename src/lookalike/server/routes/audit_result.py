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
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from lookalike.audit.findings import Audit
    from lookalike.server.routes.votes import Places
    from lookalike.types import Record, Scalar
    from lookalike.vectors.vote import LabelKey


@dataclass(frozen=True, slots=True)
class GroupRows:
    """A group of near-duplicates, as rows."""

    rows: Places
    """(n,): places of ids."""
    labels: Places
    """(n,): places of values, −1 where there is none."""
    splits: Places
    """(n,): likewise."""
    disagree: bool
    straddle: bool
    identical: bool
    similarity: float


class OutlierRow(NamedTuple):
    """An outlier, as rows."""

    row: int
    label: int
    nearest: int
    similarity: float
    deviation: float


@dataclass(frozen=True, slots=True)
class AuditResult:
    """The result of an audit job, some 100 bytes an image."""

    summary: AuditSummary
    ids: Ids
    values: tuple[Scalar, ...]
    votes: Votes
    """On the n images that were judged: those contradicted first, as the audit ranks them."""
    contradicted: int
    """How many these are."""
    labels: Places
    """(n,): places of values."""
    suggested: Places
    """(n,): likewise."""
    scores: NDArray[np.float64]
    """(n,)"""
    duplicates: list[GroupRows]
    outliers: list[OutlierRow]
    small_classes: list[SmallClass]
    left_out: list[tuple[int, str]]
    """Places of ids, and reasons."""


class _Table:
    """Numbers ids and values in order of first appearance."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._values: dict[LabelKey, tuple[int, Scalar]] = {}

    def row(self, record: Record) -> int:
        """Return the place of a record's id."""
        return self._ids.setdefault(record.id, len(self._ids))

    def value(self, value: Scalar | None) -> int:
        """Return the place of a value, −1 for none."""
        if value is None:
            return -1
        return self._values.setdefault(label_key(value), (len(self._values), value))[0]

    @property
    def ids(self) -> Ids:
        """The ids, in order."""
        return Ids(self._ids)

    @property
    def values(self) -> tuple[Scalar, ...]:
        """The values, in order."""
        return tuple(value for _, value in self._values.values())


def audit_result(found: Audit) -> AuditResult:
    """Return an audit in compact form."""
    table = _Table()
    most = max((len(each.neighbours) for each in found.suspects), default=0)
    neighbours = np.full((len(found.suspects), most), -1, np.intp)
    similarities = np.full((len(found.suspects), most), np.nan)
    rows = np.array([table.row(each.record) for each in found.suspects], np.intp)
    for place, each in enumerate(found.suspects):
        for rank, neighbour in enumerate(each.neighbours):
            neighbours[place, rank] = table.row(neighbour.record)
            similarities[place, rank] = neighbour.similarity
    labels = _places(table.value(each.label) for each in found.suspects)
    suggested = _places(table.value(each.suggested) for each in found.suspects)
    duplicates = [
        GroupRows(
            _places(table.row(record) for record in group.records),
            _places(table.value(label) for label in group.labels),
            _places(table.value(split) for split in group.splits or [None] * len(group.records)),
            group.disagree,
            group.straddle,
            group.identical,
            group.similarity,
        )
        for group in found.duplicates
    ]
    outliers = [
        OutlierRow(
            table.row(each.record),
            table.value(each.label),
            table.row(each.nearest.record),
            each.nearest.similarity,
            each.deviation,
        )
        for each in found.outliers
    ]
    left_out = [(table.row(each.record), each.reason) for each in found.left_out]
    ids = table.ids
    return AuditResult(
        AuditSummary.model_validate(next(audit_lines(found))),
        ids,
        table.values,
        Votes.of(ids, rows, neighbours, similarities),
        len(found.contradicted),
        labels,
        suggested,
        np.array([each.score for each in found.suspects], np.float64),
        duplicates,
        outliers,
        [SmallClass(label=each.label, count=each.count, floor=each.floor) for each in found.small_classes],
        left_out,
    )


def _places(places: Iterable[int]) -> Places:
    return np.fromiter(places, np.int32)
