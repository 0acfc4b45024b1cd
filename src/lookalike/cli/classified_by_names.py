"""What `classify --labels` prints: the labels whose names fit each image best."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.cli.messages import warn
from lookalike.cli.output import print_line, print_table, print_text, text_of
from lookalike.file_names import display
from lookalike.sources.locations import full
from lookalike.types import Skipped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.classification.zero_shot import Named
    from lookalike.cli.options import Settings
    from lookalike.sources.frames import Place


def classify_by_names(
    settings: Settings,
    paths: Sequence[Place],
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
    names = [label.strip() for label in labels.split(",") if label.strip()]
    code = 0
    with settings.open() as database:
        classifier = database[collection].zero_shot(
            names, templates=templates, model=model, max_pixels=max_pixels
        )
        if classifier.vocabulary is not None:
            warn(classifier.vocabulary, quiet=settings.quiet)
        found = classifier.classify(paths)
        for answer in found:
            if isinstance(answer, Skipped):
                warn(f"{answer.path}: {answer.reason}", quiet=settings.quiet)
                code = 1
            elif form == "jsonl":
                print_line(_named_line(answer, classifier.model))
            else:
                _print_named(answer)
    return code


def _named_line(answer: Named, model: str) -> dict[str, object]:
    label, share, _ = answer.labels[0]
    return {
        "path": str(answer.path),
        "uri": full(answer.path).as_uri(),
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
