"""The command attach: makes a collection of a table that somebody else made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lookalike.cli.messages import warn
from lookalike.cli.options import Settings, format_option, global_options, model_options
from lookalike.cli.output import approximation_line, approximation_text, print_line, print_table
from lookalike.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lookalike.stores.attached.attaching import Attached

_SOURCE = "COLUMN[:$.PATH]"


@click.command()
@click.argument("table", metavar="TABLE")
@click.option("--collection", "-c", metavar="NAME", help="Of the collection. [default: the table's name]")
@click.option("--model", metavar="NAME", help="The model that the vectors were made by.")
@click.option(
    "--space",
    metavar="NAME",
    help="Instead, a name for a model that lookalike does not know: then only vectors answer.",
)
@click.option("--id", "identity", metavar="COLUMN", help="The column that names the rows.")
@click.option("--vector", metavar="COLUMN", help="The column of vectors.")
@click.option("--path", metavar=_SOURCE, help="Where it stands which picture it is: a path or a URI.")
@click.option(
    "--base", metavar="FOLDER|URI", help="What relative paths are relative to; `serve` shows what is in it."
)
@click.option(
    "--field",
    "fields",
    multiple=True,
    metavar=f"NAME={_SOURCE}",
    help="A field and where it stands; with one, only those that are named are fields.",
)
@click.option("--metadata", metavar="COLUMN", help="The column of JSON that is given as metadata.")
@click.option("--digest", metavar="COLUMN", help="The column with the SHA-256 of the pictures.")
@click.option("--writable", is_flag=True, help="Write corrections into the table, and remove rows from it.")
@click.option("--dry-run", is_flag=True, help="Say what would be taken, and attach nothing.")
@format_option
@global_options
@model_options
def attach(
    settings: Settings,
    table: str,
    identity: str | None,
    fields: tuple[str, ...],
    form: str,
    *,
    dry_run: bool,
    collection: str | None,
    model: str | None,
    space: str | None,
    vector: str | None,
    path: str | None,
    base: str | None,
    metadata: str | None,
    digest: str | None,
    writable: bool,
) -> None:
    """Make a collection of a TABLE that somebody else writes.

    A table or view of the store's database with a column of vectors is searched, classified by and evaluated
    as it is: nothing is copied, and nothing changed. What is not said of its columns is guessed and told.
    """
    named = dict(map(_field, fields))
    with settings.open() as database:
        done = database.attach(
            table,
            collection,
            model=model,
            space=space,
            id=identity,
            vector=vector,
            path=path,
            base=base,
            fields=named,
            metadata=metadata,
            digest=digest,
            writable=writable,
            dry_run=dry_run,
        )
    if form == "jsonl":
        print_line(_line(done))
    else:
        print_table(("", ""), _rows(done))
    for one in (*done.tally.left_out, *done.tally.remarks):
        warn(str(one), quiet=settings.quiet)


def _field(text: str) -> tuple[str, str]:
    name, parted, source = text.partition("=")
    if not parted or not name or not source:
        raise InvalidArgument(f"--field {text!r}: write NAME={_SOURCE}")
    return name, source


def _line(done: Attached) -> dict[str, object]:
    of = done.attachment
    return {
        "type": "attached" if done.collection is not None else "found",
        "collection": of.name,
        "table": of.table,
        "kind": done.found.kind,
        "records": done.tally.records,
        "id": of.id,
        "vector": of.vector,
        "dimensions": of.space.dimension,
        "model": of.space.embedder,
        "path": None if of.uri is None else str(of.uri),
        "base": of.base,
        "fields": {name: str(source) for name, source in of.fields},
        "metadata": of.metadata,
        "digest": of.digest,
        "writable": of.writable,
        "approximation": approximation_line(of.approximation),
        "exact_because": done.index,
        "left_out": [
            {"reason": one.reason, "rows": one.count, "id": one.example} for one in done.tally.left_out
        ],
        "remarks": [
            {"reason": one.reason, "rows": one.count, "id": one.example} for one in done.tally.remarks
        ],
        "columns": {each.name: each.kind for each in done.found.columns},
    }


def _rows(done: Attached) -> Iterator[tuple[str, str]]:
    of = done.attachment
    yield "collection", of.name if done.collection is not None else f"{of.name} (not attached: --dry-run)"
    yield done.found.kind, of.table
    yield "records", f"{done.tally.records:,}"
    yield "id", of.id
    yield "vector", f"{of.vector}, {of.space.dimension:,} numbers of {of.space.embedder}"
    yield "path", "none" if of.uri is None else f"{of.uri}{f' in {of.base}' if of.base else ''}"
    for name, source in of.fields:
        yield "field", name if str(source) == name else f"{name} = {source}"
    if of.metadata is not None:
        yield "metadata", of.metadata
    if of.digest is not None:
        yield "digest", of.digest
    used = {of.id, of.vector, of.metadata, of.digest, *(source.column for _, source in of.fields)}
    used |= set() if of.uri is None else {of.uri.column}
    left = [f"{each.name} ({each.kind})" for each in done.found.columns if each.name not in used]
    if left:
        yield "not taken", ", ".join(left)
    yield "changes", "corrections and removals are written" if of.writable else "none: it is only read"
    if of.approximation is not None:
        yield "approximate index", approximation_text(of.approximation)
    elif done.index is not None:
        yield "approximate index", f"none: {done.index}"
