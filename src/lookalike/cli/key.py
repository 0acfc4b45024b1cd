"""The command key: makes an API key for the service."""

from __future__ import annotations

from pathlib import Path

import click

from lookalike.cli.options import option
from lookalike.cli.output import print_text


@click.command()
@click.argument("name")
@click.option("--write", is_flag=True, help="Let it change collections too, and not only read.")
@option(
    "--keys",
    "keys_file",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="LOOKALIKE_KEYS_FILE",
    metavar="FILE",
    help="Add its line to this file, which is made if it is missing.",
)
def key(name: str, keys_file: Path | None, *, write: bool) -> None:
    """Make an API key called NAME for `lookalike serve`.

    It is printed once, and nobody keeps it. What is kept is its SHA-256, as a line in --keys FILE; without
    it, the line is printed below the key.
    """
    from lookalike.server.auth.keys import add_key, new_key

    secret, kept = new_key(name, "write" if write else "read")
    if keys_file is not None:
        add_key(keys_file, kept)
    print_text(secret)
    if keys_file is None:
        print_text(str(kept))
