"""The command import: takes vectors that others computed."""

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
    max_pixels_option,
    model_options,
)
from lookalike.cli.output import SHOWN_FINDINGS, counted, print_line, print_rest, print_table, print_text
from lookalike.cli.progress_bar import progress_bar
from lookalike.errors import InvalidArgument

if TYPE_CHECKING:
    from lookalike.transfer.imports.vector_import import ImportReport


@click.command("import")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--model", metavar="NAME", help="The model that the vectors were made by.")
@click.option(
    "--space",
    metavar="NAME",
    help="Instead, a name for a model that lookalike does not know: then only vectors answer.",
)
@click.option("--id", "identity", metavar="COLUMN", help="The column that names the rows.")
@click.option("--uri", "--path", metavar="COLUMN", help="The column of the pictures' paths or URIs.")
@click.option("--vector", metavar="COLUMN", help="The column of vectors; `emb_*` for one of each number.")
@click.option(
    "--field",
    "fields",
    multiple=True,
    metavar="NAME=COLUMN",
    help="A field and its column; with one, only those that are named are fields.",
)
@click.option("--metadata", metavar="COLUMN", help="The column that is kept as metadata.")
@click.option("--digest", metavar="COLUMN", help="The column with the SHA-256 of the pictures.")
@click.option("--ids", type=click.Path(path_type=Path), help="Of a .npy: the file that names its rows.")
@click.option(
    "--base", metavar="FOLDER|URI", help="What relative paths are relative to. [default: the file's own]"
)
@click.option(
    "--pictures",
    type=click.Path(path_type=Path, file_okay=False),
    help="A folder for the pictures that are in the file.",
)
@click.option("--encoding", metavar="NAME", help="Of CSV that is not UTF-8.")
@click.option(
    "--name", metavar="NAME", help="Of the vector in the collection. [default: the file's, or image]"
)
@click.option("--dry-run", is_flag=True, help="Say what would be taken of the first rows, and write nothing.")
@max_pixels_option
@collection_option
@format_option
@global_options
@model_options
def import_(
    settings: Settings,
    path: Path,
    model: str | None,
    space: str | None,
    identity: str | None,
    uri: str | None,
    vector: str | None,
    fields: tuple[str, ...],
    metadata: str | None,
    digest: str | None,
    ids: Path | None,
    base: str | None,
    pictures: Path | None,
    encoding: str | None,
    name: str | None,
    max_pixels: int,
    collection: str,
    form: str,
    *,
    dry_run: bool,
) -> int:
    """Take vectors that others computed, from files.

    PATH is Parquet, Arrow, Feather, .npy, CSV or JSON, or a folder of clip-retrieval, FiftyOne or Hugging
    Face's datasets. What is not said of the columns is guessed and told. The same import again changes
    nothing, and goes on where one was interrupted. The code is 1 if rows were left out.
    """
    named = dict(map(_field, fields))
    with settings.open() as database, progress_bar("importing", quiet=settings.quiet) as progress:
        report = database[collection].import_vectors(
            path,
            model=model,
            space=space,
            id=identity,
            uri=uri,
            vector=vector,
            fields=named,
            metadata=metadata,
            digest=digest,
            ids=ids,
            base=base,
            pictures=pictures,
            encoding=encoding,
            name=name,
            dry_run=dry_run,
            max_pixels=max_pixels,
            progress=progress,
        )
    for remark in report.remarks:
        warn(remark, quiet=settings.quiet)
    for one in report.counted:
        warn(str(one), quiet=settings.quiet)
    if report.doubtful:
        warn(
            f"{model} gives other vectors of these pictures: the least similarity of {report.verified} is "
            f"{report.similarity:.4f}; were they made by another model, or of pictures prepared otherwise?",
            quiet=settings.quiet,
        )
    if form == "jsonl":
        _print_lines(report, dry_run=dry_run)
    else:
        _print(report, dry_run=dry_run)
    return int(bool(report.left_out or report.skipped))


def _field(text: str) -> tuple[str, str]:
    name, parted, column = text.partition("=")
    if not name or (parted and not column):
        raise InvalidArgument(f"--field {text!r}: write NAME=COLUMN")
    return name, column or name


def _print(report: ImportReport, *, dry_run: bool) -> None:
    taken = [(what, column) for what, column in report.columns.items()]
    spaces = [(f"space of {name}", str(space)) for name, space in report.spaces.items()]
    print_table(("", ""), [("read as", report.form), *taken, *spaces])
    if dry_run:
        print_text(f"{report.collection}: nothing was written; {counted(report.rows, 'row')} looked at")
    else:
        counts = (("added", report.added), ("updated", report.updated), ("unchanged", report.unchanged))
        said = ", ".join(f"{count:,} {what}" for what, count in counts if count) or "no rows"
        print_text(f"{report.collection}: {said}")
    if report.similarity is not None and not report.doubtful:
        print_text(
            f"{counted(report.verified, 'vector')} compared with what the model makes of the pictures: "
            f"similarity at least {report.similarity:.4f}"
        )
    if report.left_out:
        rows = [(f"{one.count:,}", one.reason, one.example) for one in report.left_out]
        print_table(("left out", "rows with", "the id of one"), rows)
    if report.skipped:
        rows_of = [(each.path, each.reason) for each in report.skipped[:SHOWN_FINDINGS]]
        print_table(("left out", "because"), rows_of)
        print_rest(len(report.skipped), SHOWN_FINDINGS)


def _print_lines(report: ImportReport, *, dry_run: bool) -> None:
    for one in report.left_out:
        print_line({"type": "left_out", **asdict(one)})
    for each in report.skipped:
        print_line({"type": "skipped", **asdict(each)})
    summary = asdict(report)
    for listed in ("left_out", "skipped"):
        del summary[listed]
    print_line({"type": "summary", **summary, "dry_run": dry_run})
