"""The command sql: one statement that only reads."""

from __future__ import annotations

import click

from lookalike.cli.options import Seconds, Settings, format_option, global_options, option
from lookalike.cli.output import print_line, print_table
from lookalike.stores.sql import SECONDS


@click.command()
@click.argument("statement")
@option(
    "--max-seconds",
    type=Seconds(min=0, min_open=True),
    default=SECONDS,
    metavar="SECONDS",
    help="Stop a statement that is not answered by then.",
)
@format_option
@global_options
def sql(settings: Settings, statement: str, max_seconds: float, form: str) -> None:
    """Answer one SQL STATEMENT that only reads.

    Each collection is a view of its name, with a column for each field beside id, path, uri, digest, metadata
    and vector; cosine_similarity(a, b) compares two vectors.
    """
    with settings.open() as database:
        table = database.sql(statement, max_seconds)
    if form == "jsonl":
        for row in table.rows:
            print_line(dict(zip(table.columns, row, strict=True)))
        return
    print_table(table.columns, table.rows)
