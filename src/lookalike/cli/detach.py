"""The command detach: forgets that a table was attached."""

from __future__ import annotations

import click

from lookalike.cli.options import Settings, global_options
from lookalike.cli.output import print_text


@click.command()
@click.argument("name", metavar="COLLECTION")
@global_options
def detach(settings: Settings, name: str) -> None:
    """Forget an attached table; nothing in it is changed.

    The collection is gone, and the table stays as its owner has it.
    """
    with settings.open() as database:
        table = database.detach(name)
    print_text(f"{table} is no collection any more; nothing in it was changed")
