"""How predictions are printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.cli.output import neighbour_line, print_table, print_text, short_path, text_of
from lookalike.records import display, file_uri
from lookalike.walk import absolute

if TYPE_CHECKING:
    from lookalike.answering import Classified


def classified_line(answer: Classified, by: str) -> dict[str, object]:
    """Return what programs get to see of the prediction for one image."""
    prediction = answer.prediction
    return {
        "path": str(answer.path),
        "uri": file_uri(absolute(answer.path)),
        "by": by,
        "label": prediction.label,
        "share": prediction.share,
        "confidence": prediction.confidence,
        "p_value": prediction.p_value,
        "reason": prediction.reason,
        **({} if prediction.label_set is None else {"label_set": list(prediction.label_set)}),
        "votes": [{"label": label, "share": share} for label, share in prediction.votes],
        "neighbours": [neighbour_line(neighbour) for neighbour in prediction.neighbours],
        "itself": answer.itself,
    }


def print_classified(answer: Classified, by: str) -> None:
    """Print the prediction for one image, and the neighbours that voted."""
    prediction = answer.prediction
    label = "unknown" if prediction.label is None else text_of(prediction.label)
    voters = len(prediction.neighbours)
    votes = round(prediction.share * voters)
    if prediction.reason is not None:
        label = f"unknown, nearest to {text_of(prediction.votes[0][0])}"
    sure = "" if prediction.confidence is None else f", confidence {prediction.confidence:.4f}"
    print_text(f"{display(answer.path)}: {by} = {label} ({votes} of {voters} neighbours){sure}")
    if prediction.reason is not None:
        print_text(f"  {prediction.reason}")
    if prediction.label_set is not None:
        names = ", ".join(text_of(each) for each in prediction.label_set)
        print_text(f"  labels that fit: {names or 'none'}")
    if answer.itself:
        print_text("  it is in the collection itself, and had no vote")
    if not voters:
        return
    print_table(
        ("", "similarity", by, "image"),
        [
            (rank, n.similarity, n.record.fields[by], short_path(n.record.uri))
            for rank, n in enumerate(prediction.neighbours, 1)
        ],
    )
