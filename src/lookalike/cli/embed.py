"""The command embed: vectors as JSON lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lookalike.cli.options import Settings, global_options, max_pixels_option, model_options, read_paths
from lookalike.cli.output import print_line, warn
from lookalike.types import Skipped

if TYPE_CHECKING:
    from pathlib import Path

    from lookalike.session import Session


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option("--model", metavar="NAME", help="The embedder, see `lookalike models`.")
@max_pixels_option
@global_options
@model_options
def embed(settings: Settings, images: tuple[str, ...], model: str | None, max_pixels: int) -> int:
    """Print the vector of each IMAGE, of length 1, as JSON lines.

    `-` reads paths from stdin, one a line.
    """
    paths = read_paths(images)
    with settings.open() as session:
        return _print_vectors(session, paths, model, max_pixels, quiet=settings.quiet)


def _print_vectors(
    session: Session, paths: list[Path], model: str | None, max_pixels: int, *, quiet: bool
) -> int:
    from lookalike.answering import DEFAULT_MODEL
    from lookalike.ingest.embedding import embed_files
    from lookalike.vectors.metric import normalise

    embedder = session.embedder(model or DEFAULT_MODEL)
    code = 0
    for file in embed_files(paths, embedder, session.features(embedder), max_pixels=max_pixels):
        if isinstance(file, Skipped):
            warn(f"{file.path}: {file.reason}", quiet=quiet)
            code = 1
            continue
        vector = normalise(file.features[None])[0]
        print_line(
            {
                "path": str(file.path),
                "digest": file.digest,
                "model": embedder.name,
                "fingerprint": embedder.fingerprint,
                "dimension": embedder.dimension,
                "vector": [float(number) for number in vector],
            }
        )
    for problem in session.problems:
        warn(problem, quiet=quiet)
    return code
