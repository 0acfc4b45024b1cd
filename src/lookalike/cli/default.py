"""The command default: chooses the vector of a collection that answers where none is named."""

from __future__ import annotations

import click

from lookalike.cli.options import Settings, collection_option, global_options
from lookalike.cli.output import print_text


@click.command()
@click.argument("vector", metavar="NAME")
@collection_option
@global_options
def default(settings: Settings, vector: str, collection: str) -> None:
    """Make the vector NAME of a collection the default one.

    It answers where no --using names another. Nothing is computed, and every vector stays.
    """
    with settings.open() as database:
        found = database[collection].vectors.set_default(vector)
    print_text(f"the default vector of {found.name} is {found.default}")
