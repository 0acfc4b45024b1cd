"""The report of a comparison of new images with a collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.embedders.ranged import split_name
from lookalike.file_names import display
from lookalike.report.page import Names, card, check_report, neighbour_cards, shown, write_page
from lookalike.report.thumbnails import BUDGET, Thumbnails

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lookalike.drift.drift import Drift, Driver
    from lookalike.types import Record, Vectors


def write_drift_report(
    path: Path, drift: Drift, records: Sequence[Record], _: Vectors, *, collection: str, model: str = ""
) -> None:
    """Write a comparison as one HTML file that opens offline.

    Args:
        path: the file, replaced if it is there.
        drift: of that collection.
        records: all records of the collection.
        collection: its name.
        model: the name of its embedder, by whose range pictures are shown.

    Raises:
        ExtraMissing: Bokeh is not installed.
        InvalidArgument: the file cannot be written.
    """
    check_report(path)
    named = [*drift.drivers, *drift.missing]
    names = Names([*records, *(each.record for each in named)])
    thumbnails = Thumbnails(split_name(model)[1])
    thumbnails.add([one for each in named for one in (each.record, each.nearest.record)], BUDGET)
    write_page(
        path,
        "drift.html",
        thumbnails,
        {},
        title=f"{shown(collection)}: new images against the collection",
        drift=drift,
        text=display(drift.text),
        by=shown(drift.by),
        shares=[(shown(each.label), each) for each in drift.shares],
        drivers=_findings(drift.drivers, names, drift.by),
        missing=_findings(drift.missing, names, drift.by),
        left_out=[(display(each.path), each.reason) for each in drift.skipped],
    )


def _findings(images: Sequence[Driver], names: Names, by: str | None) -> list[dict[str, object]]:
    return [
        {
            "image": card(each.record, names, None if by is None else each.record.fields.get(by)),
            "witness": each.witness,
            "neighbours": neighbour_cards([each.nearest], names, by),
        }
        for each in images
    ]
