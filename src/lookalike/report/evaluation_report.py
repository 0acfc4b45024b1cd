"""The report of an evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.embedders.ranged import split_name
from lookalike.file_names import display
from lookalike.report.page import Names, card, check_report, neighbour_cards, shown, write_page
from lookalike.report.thumbnails import BUDGET, Thumbnails
from lookalike.vectors.projection import evenly, plane
from lookalike.vectors.vote import label_key, label_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lookalike.evaluation.evaluation import Evaluation
    from lookalike.types import Record, Vectors

# Classes that a confusion matrix has room for; beyond, its largest cells are listed.
_MATRIX = 25
_LISTED = 100
# Part of the pictures' room that the mistakes may take.
_MISTAKES_SHARE = 0.5
_MAP_POINTS = 20_000
_MAP_SIZE = 96


def write_evaluation_report(
    path: Path,
    evaluation: Evaluation,
    records: Sequence[Record],
    vectors: Vectors,
    *,
    collection: str,
    model: str = "",
) -> None:
    """Write an evaluation as one HTML file that opens offline.

    Args:
        path: the file, replaced if it is there.
        evaluation: of that collection.
        records: all records of the collection, in the order that was evaluated.
        vectors: in which the map is drawn, the collection's own, shape (len(records), d).
        collection: its name.
        model: the name of its embedder, by whose range pictures are shown.

    Raises:
        ExtraMissing: Bokeh is not installed.
        InvalidArgument: the file cannot be written.
    """
    from lookalike.report import plots

    check_report(path)
    names = Names(records)
    thumbnails = Thumbnails(split_name(model)[1])
    mistakes = [
        {
            "image": card(mistake.record, names, mistake.label),
            "predicted": shown(mistake.prediction.label),
            "share": mistake.prediction.share,
            "neighbours": neighbour_cards(mistake.prediction.neighbours, names, evaluation.by),
            "more": max(0, len(mistake.prediction.neighbours) - 5),
        }
        for mistake in evaluation.mistakes
    ]
    thumbnails.add(
        [
            record
            for mistake in evaluation.mistakes
            for record in (mistake.record, *(n.record for n in mistake.prediction.neighbours[:5]))
        ],
        int(BUDGET * _MISTAKES_SHARE),
    )
    figures: dict[str, Any] = {
        "map": draw_map(records, vectors, evaluation.by, names, thumbnails, _wrong(evaluation), " (mistaken)")
    }
    reliability = evaluation.reliability
    if reliability is not None:
        figures["risk"] = plots.risk_curve(reliability.risk_coverage)
        figures["reliability"] = plots.reliability_diagram(reliability.bins)
    write_page(
        path,
        "evaluation.html",
        thumbnails,
        figures,
        title=f"{shown(collection)}: evaluation by {shown(evaluation.by)}",
        evaluation=evaluation,
        by=shown(evaluation.by),
        reliability=reliability,
        remarks=[display(remark) for remark in evaluation.remarks],
        warnings=[display(warning) for warning in evaluation.warnings],
        fitted=evaluation.held.refitted,
        points=min(len(records), _MAP_POINTS),
        classes=[(shown(each.label), each) for each in evaluation.classes],
        matrix=_matrix(evaluation),
        confused=_confused(evaluation),
        mistakes=mistakes,
        left_out=[(names(each.record), each.reason) for each in evaluation.left_out],
    )


def draw_map(
    records: Sequence[Record],
    vectors: Vectors,
    by: str | None,
    names: Names,
    thumbnails: Thumbnails,
    notes: dict[str, str],
    marked_as: str,
) -> Any:
    """Draw the map of a collection, at most 20,000 images of it, evenly spaced, and add their pictures.

    Args:
        records: all records.
        vectors: theirs, in which the map is drawn.
        by: the field that gives the colour; None: all are of one.
        names: of the images.
        thumbnails: to which the pictures are added that it lacks.
        notes: by id, what is said of the images that are marked.
        marked_as: what a mark means.
    """
    from lookalike.report import plots

    rows = evenly(len(records), _MAP_POINTS).tolist()
    chosen = [records[row] for row in rows]
    points, variance = plane(vectors if len(rows) == len(vectors) else vectors[rows])
    thumbnails.add(chosen, BUDGET - thumbnails.size, _MAP_SIZE)
    labels = [None if by is None else label_of(record, by) for record in chosen]
    keys = {label_key(label): label for label in labels if label is not None}
    codes = {key: code for code, key in enumerate(sorted(keys))}
    return plots.collection_map(
        points,
        variance,
        {
            "id": [record.id for record in chosen],
            "name": [names(record) for record in chosen],
            "label": [shown(label) for label in labels],
            "note": [notes.get(record.id, "") for record in chosen],
        },
        [-1 if label is None else codes[label_key(label)] for label in labels],
        [shown(keys[key], 30) for key in codes],
        np.array([record.id in notes for record in chosen]),
        marked_as,
    )


def _wrong(evaluation: Evaluation) -> dict[str, str]:
    return {
        mistake.record.id: f"taken for {shown(mistake.prediction.label)}" for mistake in evaluation.mistakes
    }


def _matrix(evaluation: Evaluation) -> list[tuple[str, list[tuple[int, float, bool]]]]:
    """Return the confusion matrix, a row a label: count, part of the row, whether it is right."""
    if len(evaluation.classes) > _MATRIX:
        return []
    cells = {(label_key(c.label), label_key(c.predicted)): c.count for c in evaluation.confusion}
    keys = [label_key(each.label) for each in evaluation.classes]
    return [
        (
            shown(each.label),
            [
                (cells.get((key, other), 0), cells.get((key, other), 0) / max(1, each.support), key == other)
                for other in keys
            ],
        )
        for key, each in zip(keys, evaluation.classes, strict=True)
    ]


def _confused(evaluation: Evaluation) -> list[tuple[str, str, int]]:
    """Return the pairs of labels that were confused most often, where there is no room for the matrix."""
    wrong = [c for c in evaluation.confusion if label_key(c.label) != label_key(c.predicted)]
    wrong.sort(key=lambda cell: -cell.count)
    return [(shown(c.label), shown(c.predicted), c.count) for c in wrong[:_LISTED]]
