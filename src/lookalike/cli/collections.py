"""The command collections: what a store holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lookalike.cli.options import Settings, format_option, global_options
from lookalike.cli.output import collection_line, print_line, print_table, print_text, vector_text
from lookalike.errors import TableGone

if TYPE_CHECKING:
    from lookalike.types import CollectionInfo


@click.command()
@format_option
@global_options
def collections(settings: Settings, form: str) -> None:
    """List the collections of a store."""
    with settings.open() as database:
        found = database.collections()
        place = database.url
    if form == "jsonl":
        for collection in found:
            print_line(collection_line(collection))
    elif found:
        columns = ("collection", "images", "vectors", "fields")
        print_table(
            columns,
            [(c.name, _count(c), "; ".join(map(vector_text, c.vectors)), ", ".join(c.fields)) for c in found],
        )
    else:
        print_text(f"no collections in {place}; `lookalike index PATH` makes one")


def _count(collection: CollectionInfo) -> int | str:
    if collection.problem is None:
        return collection.count
    return "table is gone" if isinstance(collection.problem, TableGone) else "cannot be read"
