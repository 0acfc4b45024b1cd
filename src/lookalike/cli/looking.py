"""Commands that look things up: search, sql, models, embed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lookalike.cli.options import (
    Settings,
    approximate_option,
    collection_option,
    format_option,
    global_options,
    max_pixels_option,
    parse_where,
    read_paths,
    where_option,
)
from lookalike.cli.output import (
    approximation_line,
    counted,
    describe,
    neighbour_line,
    print_how_searched,
    print_line,
    print_table,
    short_path,
    warn,
)
from lookalike.errors import PathNotFound, UnusableImage
from lookalike.records import Skipped

if TYPE_CHECKING:
    from lookalike.session import Session


@click.command()
@click.argument("image", metavar="IMAGE")
@click.option("-k", type=int, default=10, metavar="N", help="How many neighbours. [default: 10]")
@approximate_option
@where_option
@max_pixels_option
@collection_option
@format_option
@global_options
def search(
    settings: Settings,
    image: str,
    k: int,
    conditions: tuple[str, ...],
    max_pixels: int,
    collection: str,
    form: str,
    *,
    approximate: bool,
) -> None:
    """Find the images that are most like IMAGE.

    Exact search by cosine similarity (−1 … 1), most similar first, unless --approximate asks for another.
    """
    path = Path(image)
    if not path.exists():
        raise PathNotFound(image)
    with settings.open() as session:
        found = session.search(
            *(collection, path, k, parse_where(conditions)), approximate=approximate, max_pixels=max_pixels
        )
        if isinstance(found, Skipped):
            raise UnusableImage(found.path, found.reason)
        for problem in session.problems:
            warn(problem, quiet=settings.quiet)
    if len(found.neighbours) < k:
        warn(
            f"{counted(len(found.neighbours), 'image')} found, fewer than the {k} asked for",
            quiet=settings.quiet,
        )
    if form == "jsonl":
        for rank, neighbour in enumerate(found.neighbours, 1):
            line = {"rank": rank, **neighbour_line(neighbour)}
            if approximate:
                line["approximation"] = approximation_line(found.approximation)
            print_line(line)
        return
    if approximate:
        print_how_searched(found.approximation)
    print_table(
        ("", "similarity", "image", "fields"),
        [
            (rank, n.similarity, short_path(n.record.uri), describe(n.record))
            for rank, n in enumerate(found.neighbours, 1)
        ],
    )


@click.command()
@click.argument("statement")
@format_option
@global_options
def sql(settings: Settings, statement: str, form: str) -> None:
    """Answer one SQL STATEMENT that only reads.

    Each collection is a view of its name, with a column for each field beside id, path, uri, digest, metadata
    and vector; cosine_similarity(a, b) compares two vectors.
    """
    with settings.open() as session:
        table = session.store.sql(statement)
    if form == "jsonl":
        for row in table.rows:
            print_line(dict(zip(table.columns, row, strict=True)))
        return
    print_table(table.columns, table.rows)


@click.command()
@format_option
def models(form: str) -> None:
    """List the embedders, with dimension and licence."""
    from lookalike.embedders import cards

    found = cards()
    if form == "jsonl":
        for card in found.values():
            line = asdict(card)
            del line["groups"]
            print_line(line)
        return
    columns = ("model", "dimensions", "parameters", "licence", "what it is")
    print_table(columns, [(c.name, c.dimension, c.parameters, c.licence, c.summary) for c in found.values()])


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option("--model", metavar="NAME", help="The embedder, see `lookalike models`.")
@max_pixels_option
@global_options
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
    from lookalike.metric import normalise
    from lookalike.pipeline import embed_files
    from lookalike.session import DEFAULT_MODEL

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
