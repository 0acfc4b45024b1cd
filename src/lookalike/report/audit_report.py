"""The report of an audit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.embedders.ranged import split_name
from lookalike.report.evaluation_report import draw_map
from lookalike.report.page import Names, card, check_report, neighbour_cards, shown, write_page
from lookalike.report.thumbnails import BUDGET, Thumbnails
from lookalike.vectors.near_duplicates import chains_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lookalike.audit.findings import Audit, Duplicates
    from lookalike.audit.picture_quality import PictureFinding, PictureQuality
    from lookalike.types import Record, Vectors

# Of a group with more images than this, the first are shown.
_GROUP = 12
_FINDINGS_SHARE = 0.5


def write_audit_report(
    path: Path, audit: Audit, records: Sequence[Record], vectors: Vectors, *, collection: str, model: str = ""
) -> None:
    """Write an audit as one HTML file that opens offline.

    Args:
        path: the file, replaced if it is there.
        audit: of that collection.
        records: all records of the collection.
        vectors: in which the map is drawn, the collection's own, shape (len(records), d).
        collection: its name.
        model: the name of its embedder, by whose range pictures are shown.

    Raises:
        ExtraMissing: Bokeh is not installed.
        InvalidArgument: the file cannot be written.
    """
    check_report(path)
    names = Names(records)
    thumbnails = Thumbnails(split_name(model)[1])
    findings = [
        record
        for suspect in audit.contradicted
        for record in (suspect.record, *(n.record for n in suspect.neighbours[:5]))
    ]
    findings += [record for group in audit.duplicates for record in group.records[:_GROUP]]
    findings += [record for each in audit.outliers for record in (each.record, each.nearest.record)]
    pictures = audit.pictures
    some = {} if pictures is None else {kind.name: _of_kind(pictures, kind.name) for kind in pictures.kinds}
    findings += [each.record for found in some.values() for each in found]
    thumbnails.add(findings, int(BUDGET * _FINDINGS_SHARE))
    notes = {each.record.id: f"more like {shown(each.suggested)}" for each in audit.contradicted}
    write_page(
        path,
        "audit.html",
        thumbnails,
        {"map": draw_map(records, vectors, audit.by, names, thumbnails, notes, " (contradicted)")},
        title=f"{shown(collection)}: audit by {shown(audit.by)}"
        if audit.by is not None
        else f"{shown(collection)}: audit without labels",
        chains=chains_text(audit.chains) if audit.chains else "",
        audit=audit,
        by=shown(audit.by),
        split=shown(audit.split),
        suspects=[
            {
                "image": card(each.record, names, each.label),
                "suggested": shown(each.suggested),
                "score": each.score,
                "neighbours": neighbour_cards(each.neighbours, names, audit.by),
            }
            for each in audit.contradicted
        ],
        groups=[_group(each, names) for each in audit.duplicates],
        outliers=[
            {
                "image": card(each.record, names, each.label),
                "deviation": each.deviation,
                "neighbours": neighbour_cards([each.nearest], names, audit.by),
            }
            for each in audit.outliers
        ],
        small=[(shown(each.label), each) for each in audit.small_classes],
        left_out=[(names(each.record), each.reason) for each in audit.left_out],
        quality=pictures,
        unread=f"{names(pictures.unread[0].record)}: {pictures.unread[0].reason}"
        if pictures is not None and pictures.unread
        else "",
        kinds=[
            {
                "kind": kind,
                "count": pictures.count(kind.name),
                "images": [(card(each.record, names, None), each.value) for each in some[kind.name]],
            }
            for kind in pictures.kinds
        ]
        if pictures is not None
        else [],
    )


def _of_kind(pictures: PictureQuality, kind: str) -> list[PictureFinding]:
    """Return the pictures of a kind that are shown."""
    return [each for each in pictures.findings if each.kind == kind][:_GROUP]


def _group(group: Duplicates, names: Names) -> dict[str, object]:
    splits = group.splits or (None,) * len(group.records)
    cards = [
        card(record, names, label, shown(split))
        for record, label, split in zip(group.records, group.labels, splits, strict=True)
    ]
    return {"group": group, "images": cards[:_GROUP], "more": len(cards) - len(cards[:_GROUP])}
