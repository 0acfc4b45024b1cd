"""The findings of an audit, as values and as lines of JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from lookalike.evaluation.figures import wilson_interval
from lookalike.vectors.vote import label_key, label_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lookalike.audit.picture_quality import PictureQuality
    from lookalike.types import Neighbour, Record, Scalar
    from lookalike.vectors.exclusions import LeftOut
    from lookalike.vectors.near_duplicates import Chain

SMALL = 10
"""Images below which a class is too small to judge: even if all 10 are right, the 95 % Wilson interval of
their share reaches down to 0.72."""

DEVIATION = 3.5
"""Modified z-score above which an image is an outlier: B. Iglewicz, D. Hoaglin, "How to Detect and Handle
Outliers", ASQC Quality Press (1993)."""

SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "holdout"), "test"),
}
"""Names by which a field is taken for the split of a data set, lower case, and what they stand for."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A label that may be wrong, with its score and the label suggested instead."""

    record: Record
    label: Scalar
    suggested: Scalar
    """The label that the neighbours voted for; where that is its own, the other that comes nearest."""
    score: float
    """Similarity to the nearest image of the suggested label less that of its own, −2 … 2.

    Where there are too many labels for that, the parts of the vote take the place of the similarities.
    """
    contradicted: bool
    """Whether the neighbours voted for the suggested label."""
    neighbours: tuple[Neighbour, ...]
    """Those that voted on it, most similar first."""


@dataclass(frozen=True, slots=True)
class Duplicates:
    """A group of near-duplicate images."""

    records: tuple[Record, ...]
    """At least two, by uri."""
    labels: tuple[Scalar | None, ...]
    """One for each record; None where it has none."""
    similarity: float
    """Each is at least so similar to another of the group, −1 … 1."""
    splits: tuple[Scalar | None, ...]
    """One for each record; empty where no field holds the split."""

    @property
    def disagree(self) -> bool:
        """Whether two of them have different labels."""
        return len({label_key(label) for label in self.labels if label is not None}) > 1

    @property
    def straddle(self) -> bool:
        """Whether two of them are in different splits."""
        return len({split_key(split) for split in self.splits if split is not None}) > 1

    @property
    def identical(self) -> bool:
        """Whether all files have the same bytes."""
        return len({record.digest for record in self.records}) == 1


@dataclass(frozen=True, slots=True)
class Outlier:
    """An image that is unlike all others."""

    record: Record
    label: Scalar | None
    """None in an audit without labels."""
    nearest: Neighbour
    """The most similar of the others."""
    deviation: float
    """Modified z-score of its distance to the nearest among the images of its label, or among all in an audit
    without labels; above `DEVIATION`."""


@dataclass(frozen=True, slots=True)
class SmallClass:
    """A label that too few images have."""

    label: Scalar
    count: int

    @property
    def floor(self) -> float:
        """Lower end of the 95 % Wilson interval if all of its images were right."""
        return wilson_interval(self.count, self.count).low


@dataclass(frozen=True, slots=True)
class Audit:
    """The findings of an audit, the most striking first."""

    by: str | None
    """The field that holds the label; None in an audit without labels."""
    split: str | None
    """The field that holds the split; None where there is none."""
    images: int
    method: str
    """How the answers were got that the labels were held against; empty in an audit without labels."""
    threshold: float
    """Cosine similarity from which two images are near-duplicates; they may be less similar where their
    pictures show that one was saved again as the other."""
    chains: tuple[Chain, ...]
    """Near-duplicates that are not all near each other, and were taken apart; the largest first."""
    suspects: tuple[Suspect, ...]
    """Every image that was judged: those contradicted first, then by falling score."""
    duplicates: tuple[Duplicates, ...]
    """Those with different labels first, then larger groups first."""
    outliers: tuple[Outlier, ...]
    """By falling deviation."""
    small_classes: tuple[SmallClass, ...]
    """The smallest first."""
    left_out: tuple[LeftOut, ...]
    """Images whose label could not be judged, by uri."""
    pictures: PictureQuality | None = None
    """What was measured of the pictures; None where they were not looked at."""

    @property
    def contradicted(self) -> tuple[Suspect, ...]:
        """The suspects whose label the neighbours contradict."""
        return tuple(suspect for suspect in self.suspects if suspect.contradicted)

    @property
    def straddling(self) -> tuple[Duplicates, ...]:
        """The near-duplicates that sit in two splits at once."""
        return tuple(group for group in self.duplicates if group.straddle)


def split_key(split: Scalar) -> str:
    """Return what a value of the split field stands for: `train` for `Training`."""
    return SPLITS.get(str(split).casefold(), str(split))


def audit_lines(audit: Audit) -> Iterator[dict[str, Any]]:
    """Yield an audit as values that JSON can hold, each with its `type`.

    The order: one `summary`, then every `suspect` (all images that were judged, the most contradicted first),
    `duplicates` group, `outlier`, `small_class`, `left_out`, `picture` and `unread`.
    """
    yield {
        "type": "summary",
        "by": audit.by,
        "split": audit.split,
        "method": audit.method or None,
        "images": audit.images,
        "judged": len(audit.suspects),
        "contradicted": len(audit.contradicted),
        "duplicates": len(audit.duplicates),
        "disagreeing": sum(group.disagree for group in audit.duplicates),
        "straddling": len(audit.straddling),
        "threshold": audit.threshold,
        "chains": [asdict(chain) for chain in audit.chains],
        "outliers": len(audit.outliers),
        "small_classes": len(audit.small_classes),
        "left_out": len(audit.left_out),
        "pictures": None if audit.pictures is None else _pictures_line(audit.pictures),
    }
    for suspect in audit.suspects:
        yield {
            "type": "suspect",
            **_image(suspect.record),
            "label": suspect.label,
            "suggested": suspect.suggested,
            "score": suspect.score,
            "contradicted": suspect.contradicted,
            "neighbours": [_neighbour_line(each, audit.by) for each in suspect.neighbours],
        }
    for group in audit.duplicates:
        splits = group.splits or (None,) * len(group.records)
        yield {
            "type": "duplicates",
            "disagree": group.disagree,
            "straddle": group.straddle,
            "identical": group.identical,
            "similarity": group.similarity,
            "images": [
                {**_image(record), "label": label, "split": split}
                for record, label, split in zip(group.records, group.labels, splits, strict=True)
            ],
        }
    for outlier in audit.outliers:
        yield {
            "type": "outlier",
            **_image(outlier.record),
            "label": outlier.label,
            "deviation": outlier.deviation,
            "nearest": _neighbour_line(outlier.nearest, audit.by),
        }
    for small in audit.small_classes:
        yield {"type": "small_class", "label": small.label, "count": small.count, "floor": small.floor}
    for each in audit.left_out:
        yield {"type": "left_out", **_image(each.record), "reason": each.reason}
    if audit.pictures is not None:
        for finding in audit.pictures.findings:
            yield {"type": "picture", **_image(finding.record), "kind": finding.kind, "value": finding.value}
        for each in audit.pictures.unread:
            yield {"type": "unread", **_image(each.record), "reason": each.reason}


def _pictures_line(pictures: PictureQuality) -> dict[str, Any]:
    return {
        "measured": pictures.measured,
        "unread": len(pictures.unread),
        "kinds": [
            {
                "kind": kind.name,
                "count": pictures.count(kind.name),
                "measure": kind.measure,
                "below": kind.low if isfinite(kind.low) else None,
                "above": kind.high if isfinite(kind.high) else None,
            }
            for kind in pictures.kinds
        ],
    }


def _image(record: Record) -> dict[str, Any]:
    return {"id": record.id, "uri": record.uri}


def _neighbour_line(neighbour: Neighbour, by: str | None) -> dict[str, Any]:
    return {
        **_image(neighbour.record),
        "label": None if by is None else label_of(neighbour.record, by),
        "similarity": neighbour.similarity,
    }
