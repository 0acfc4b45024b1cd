"""The command export: writes a collection as a table, as COCO, or as folders of pictures."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lookalike.cli.messages import warn
from lookalike.cli.options import (
    Settings,
    collection_option,
    format_option,
    global_options,
    option,
    parse_where,
    where_option,
)
from lookalike.cli.output import SHOWN_FINDINGS, counted, print_line, print_rest, print_table, print_text
from lookalike.cli.progress_bar import progress_bar
from lookalike.errors import InvalidArgument

if TYPE_CHECKING:
    from lookalike.transfer.exports.export import ExportReport, Form


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@option(
    "--as",
    "written",
    type=click.Choice(["parquet", "csv", "jsonl", "coco", "imagefolder"]),
    help="What is written.",
    default_text="what PATH ends in: .parquet, .csv, .jsonl, and .json for COCO",
)
@where_option
@click.option(
    "--vectors/--no-vectors",
    default=None,
    help="Write vectors, too. [default: into Parquet and JSON lines, and not into CSV]",
)
@click.option(
    "--predictions",
    metavar="FIELD",
    help="Write the held-out label of this field, too, and how sure it is, as `evaluate` has them.",
)
@option(
    "--by",
    default="label",
    metavar="FIELD",
    help="The field whose values are the categories of COCO, and the folders of an ImageFolder.",
)
@click.option("--copy", is_flag=True, help="Copy the pictures into an ImageFolder, instead of linking them.")
@collection_option
@format_option
@global_options
def export(
    settings: Settings,
    path: Path,
    written: Form | None,
    conditions: tuple[str, ...],
    predictions: str | None,
    by: str,
    collection: str,
    form: str,
    *,
    vectors: bool | None,
    copy: bool,
) -> int:
    """Write a collection as a table, as COCO or ImageFolder.

    PATH is a file, which is replaced where it is there, or the folder of an ImageFolder, which must be new or
    empty. It is there whole or not at all. What people have put right is what is written. The code is 1 if
    pictures had to be left out.
    """
    if str(path) == "-":
        raise InvalidArgument("- names no file: /dev/stdout is the output, with --as to say what is written")
    with settings.open() as database, progress_bar("exporting", quiet=settings.quiet) as progress:
        report = database[collection].export(
            path,
            form=written,
            where=parse_where(conditions) or None,
            vectors=vectors,
            predictions=predictions,
            by=by,
            copy=copy,
            progress=progress,
        )
    for remark in report.remarks:
        warn(remark, quiet=settings.quiet)
    if form == "jsonl":
        _print_lines(report)
    else:
        _print(report)
    return int(bool(report.skipped))


def _print(report: ExportReport) -> None:
    print_text(f"{report.path}: {counted(report.images, 'image')} as {report.form}")
    found = report.predictions
    if found is not None:
        print_text(
            f"held-out labels of {counted(len(found.of), 'image')} ({found.method}): "
            f"{found.accuracy:.2%} are right"
        )
        if found.refusal is not None:
            print_text(f"without confidence: {found.refusal}")
    if report.skipped:
        print_text(f"left out: {counted(len(report.skipped), 'image')}")
        rows = [(each.path, each.reason) for each in report.skipped[:SHOWN_FINDINGS]]
        print_table(("left out", "because"), rows)
        print_rest(len(report.skipped), SHOWN_FINDINGS)


def _print_lines(report: ExportReport) -> None:
    for each in report.skipped:
        print_line({"type": "skipped", **asdict(each)})
    found = report.predictions
    told = None
    if found is not None:
        told = {"field": found.by, "images": len(found.of)}
        told |= {"method": found.method, "accuracy": found.accuracy}
    summary = {"type": "summary", "path": str(report.path), "form": report.form, "images": report.images}
    print_line(summary | {"skipped": len(report.skipped), "predictions": told, "remarks": report.remarks})
