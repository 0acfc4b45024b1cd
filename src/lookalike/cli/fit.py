"""The command fit: learns from labels how to compare images."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from lookalike.cli.options import (
    Settings,
    collection_options,
    using_option,
)
from lookalike.cli.output import counted, print_left_out, print_left_out_lines, print_line, print_text
from lookalike.cli.progress_bar import progress_bar
from lookalike.errors import InvalidArgument

if TYPE_CHECKING:
    from lookalike.metric_learning.fitting import FitReport


@click.command()
@click.option("--by", metavar="FIELD", help="The field whose labels the metric learns.")
@click.option("--undo", is_flag=True, help="Go back to the plain vectors, and drop the fitted ones.")
@using_option
@collection_options
def fit(
    settings: Settings, by: str | None, using: str | None, collection: str, form: str, *, undo: bool
) -> None:
    """Learn from labels how to compare a collection's images.

    Each image gets a further vector, `fitted`, which went through the metric and becomes the default; the
    plain one stays. Images that are added later need no new fit.
    """
    if undo == (by is not None):
        raise InvalidArgument("fit needs either --by FIELD or --undo")
    if undo and using is not None:
        raise InvalidArgument(
            "--using is for a fit: --undo drops the fitted vectors, whatever they are made of"
        )
    with settings.open() as database:
        handle = database[collection]
        if by is None:
            name = handle.info().name
            images = handle.undo_fit()
            if form == "jsonl":
                print_line({"type": "undone", "collection": name, "images": images})
            else:
                print_text(f"{name} is as before the fit: {counted(images, 'image')} with plain vectors")
            return
        with progress_bar("fitting", quiet=settings.quiet) as progress:
            report = handle.fit(by, using=using, progress=progress)
    if form == "jsonl":
        print_left_out_lines(report.left_out)
        line = asdict(report)
        line["left_out"] = len(report.left_out)
        print_line({"type": "summary", **line})
    else:
        _print_report(report)


def _print_report(report: FitReport) -> None:
    drawn = "" if report.drawn_from is None else f", drawn at random from {report.drawn_from:,},"
    images = counted(report.images, "image")
    learned = f"learned from {images}{drawn} of {report.classes} classes by {report.by}"
    again = "still fitted" if report.unchanged else "fitted anew" if report.refit else "fitted"
    print_text(f"{report.collection}: {again}, {learned} ({report.seconds:.1f} s)")
    print_text(f"{report.dimension_in} → {report.dimension_out} dimensions")
    if report.alone:
        print_text(
            f"{report.alone} of the classes have a single image: what they vary in cannot be learned, nor "
            f"how well they are found be measured; `lookalike audit --by {report.by}` names them"
        )
    print_text(
        f"how good it is: `lookalike evaluate --by {report.by}`, which fits anew in each fold; "
        f"back: `lookalike fit --undo`"
    )
    print_left_out(report.left_out, heading="not learned from")
