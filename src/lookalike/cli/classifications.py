"""How predictions are printed, and labels that are chosen by their names alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lookalike.cli.output import (
    neighbour_line,
    print_line,
    print_table,
    print_text,
    short_path,
    text_of,
    warn,
)
from lookalike.errors import InvalidArgument
from lookalike.file_names import display
from lookalike.sources.files import absolute
from lookalike.types import Skipped
from lookalike.uris import file_uri

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lookalike.answering import Classified
    from lookalike.classification.zero_shot import Named
    from lookalike.cli.options import Settings


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


def refuse_beside(option: str, *names: str) -> None:
    """Refuse parameters of the running command that say nothing beside an option.

    Args:
        option: the option, as it is typed.
        names: of the parameters, as Python has them.

    Raises:
        InvalidArgument: one of them was given on the command line.
    """
    context = click.get_current_context()
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in names and source == click.core.ParameterSource.COMMANDLINE:
            raise InvalidArgument(f"{parameter.opts[-1]} says nothing beside {option}")


def classify_by_names(
    settings: Settings,
    paths: Sequence[Path],
    labels: str,
    templates: Sequence[str],
    *,
    model: str | None,
    collection: str,
    max_pixels: int,
    form: str,
) -> int:
    """Print the labels whose names fit each image best.

    Args:
        settings: the global options.
        paths: images.
        labels: their names, with commas between them.
        templates: texts with `{}` where the label goes; empty: those of `zero_shot`.
        model: the embedder; None: that of the collection, if it is there.
        collection: its name.
        max_pixels: images with more pixels are skipped.
        form: table or jsonl.

    Returns:
        The exit code.
    """
    from lookalike.classification.zero_shot import TEMPLATES

    names = [label.strip() for label in labels.split(",") if label.strip()]
    code = 0
    with settings.open() as session:
        embedder, reader = session.names_model(collection, model)
        if reader.vocabulary is not None:
            warn(reader.vocabulary, quiet=settings.quiet)
        found = session.name(
            embedder, reader, paths, names, templates=templates or TEMPLATES, max_pixels=max_pixels
        )
        for answer in found:
            if isinstance(answer, Skipped):
                warn(f"{answer.path}: {answer.reason}", quiet=settings.quiet)
                code = 1
            elif form == "jsonl":
                print_line(_named_line(answer, embedder.name))
            else:
                _print_named(answer)
        for problem in session.problems:
            warn(problem, quiet=settings.quiet)
    return code


def _named_line(answer: Named, model: str) -> dict[str, object]:
    label, share, _ = answer.labels[0]
    return {
        "path": str(answer.path),
        "uri": file_uri(absolute(answer.path)),
        "model": model,
        "label": label,
        "share": share,
        "labels": [
            {"label": label, "share": share, "similarity": similarity}
            for label, share, similarity in answer.labels
        ],
    }


def _print_named(answer: Named) -> None:
    label, share, _ = answer.labels[0]
    print_text(f"{display(answer.path)}: {text_of(label)} (share {share:.4f}, not calibrated)")
    print_table(("label", "share", "similarity"), answer.labels)
