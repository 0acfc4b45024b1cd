"""The command that answers over HTTP: serve."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lookalike.cli.options import Settings, global_options, model_options

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.command()
@click.option("--host", default="127.0.0.1", metavar="ADDRESS", help="Where to listen. [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, metavar="N", help="[default: 8000]")
@click.option(
    "--collection",
    "-c",
    "collections",
    multiple=True,
    metavar="NAME",
    help="Serve this collection, and others that are named so, but no more. [default: all]",
)
@click.option(
    "--root",
    "roots",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    metavar="PATH",
    help="Show pictures below this folder too; those that were indexed here are shown anyway.",
)
@global_options
@model_options
def serve(
    settings: Settings, host: str, port: int, collections: Sequence[str], roots: Sequence[Path]
) -> None:
    """Serve an inference endpoint, a search API and a page to search, classify and judge, over HTTP."""
    from lookalike.server.serving import serve as serve_until_stopped
    from lookalike.server.settings import Settings as Served

    with settings.open() as session:
        serve_until_stopped(session, Served(collections=tuple(collections), roots=tuple(roots)), host, port)
