"""The command embed: vectors as JSON lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lookalike.cli.messages import warn
from lookalike.cli.options import Settings, global_options, max_pixels_option, model_options, read_paths
from lookalike.cli.output import print_line
from lookalike.types import Skipped

if TYPE_CHECKING:
    from lookalike.database import Database
    from lookalike.sources.frames import Place


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option("--model", metavar="NAME", help="The embedder, see `lookalike models`.")
@max_pixels_option
@global_options
@model_options
def embed(settings: Settings, images: tuple[str, ...], model: str | None, max_pixels: int) -> int:
    """Print the vector of each IMAGE as JSON lines.

    Vectors have length 1. `-` reads paths from stdin, one a line.
    """
    paths = read_paths(images)
    with settings.open() as database:
        return _print_vectors(database, paths, model, max_pixels, quiet=settings.quiet)


def _print_vectors(
    database: Database, paths: list[Place], model: str | None, max_pixels: int, *, quiet: bool
) -> int:
    from lookalike.embedders.models import DEFAULT_MODEL

    embedder = database.embedder(model or DEFAULT_MODEL)
    code = 0
    for file in database.embed(paths, embedder.name, max_pixels=max_pixels):
        if isinstance(file, Skipped):
            warn(f"{file.path}: {file.reason}", quiet=quiet)
            code = 1
            continue
        print_line(
            {
                "path": file.name,
                "digest": file.digest,
                "model": embedder.name,
                "fingerprint": embedder.fingerprint,
                "dimension": embedder.dimension,
                "vector": [float(number) for number in file.vector],
            }
        )
    return code
