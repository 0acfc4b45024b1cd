"""The command search: finds images by images, by words, and by sums of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lookalike.cli.messages import warn
from lookalike.cli.options import (
    Settings,
    approximate_option,
    collection_options,
    max_pixels_option,
    option,
    parse_where,
    using_option,
    where_option,
)
from lookalike.cli.output import (
    approximation_line,
    counted,
    describe,
    print_how_searched,
    print_line,
    print_table,
    print_text,
    record_line,
    short_path,
)
from lookalike.cli.progress_bar import progress_bar
from lookalike.errors import InvalidArgument
from lookalike.search.expressions import read_query, within_box

if TYPE_CHECKING:
    from lookalike.search.hits import Hit, SearchResult
    from lookalike.search.query import Box
    from lookalike.search.search import LeastSimilarity


class _Sum(click.Command):
    """Takes words as arguments, and explains what to do with those that look like options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            hint = f"A text that begins with - comes after --: {ctx.command_path} -- '-20 °C'"
            raise click.UsageError(f"{error.format_message()} {hint}", ctx) from error


def _read_cutoff(_context: click.Context, _option: click.Parameter, value: str | None) -> LeastSimilarity:
    """Read a similarity, or `auto`."""
    if value is None:
        return None
    if value == "auto":
        return "auto"
    try:
        return float(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither a number nor auto.") from None


def _read_box(_context: click.Context, _option: click.Parameter, value: str | None) -> Box | None:
    """Read four numbers."""
    if value is None:
        return None
    try:
        left, top, width, height = map(float, value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not four numbers, X,Y,W,H.") from None
    return left, top, width, height


@click.command(cls=_Sum)
@click.argument("terms", nargs=-1, metavar="TERM [+|- TERM]...")
@option("-k", type=int, default=10, metavar="N", help="How many neighbours.")
@click.option("--text", is_flag=True, help="All terms are words, whatever files there are.")
@click.option(
    "--hybrid",
    is_flag=True,
    help="Look for the words in labels, file names, fields and captions too, and fuse both rankings.",
)
@click.option(
    "--min-similarity",
    callback=_read_cutoff,
    metavar="X",
    help="Leave out what is less similar; `auto` sets this against the collection's own background.",
)
@option(
    "--false-alarm",
    type=float,
    metavar="R",
    help="For --min-similarity auto: how often something may be found that is not there.",
    default_text="0.01",
)
@click.option(
    "--box",
    callback=_read_box,
    metavar="X,Y,W,H",
    help="Search with a region of the image: left, top, width and height in pixels.",
)
@approximate_option
@where_option
@max_pixels_option
@using_option
@collection_options
def search(
    settings: Settings,
    terms: tuple[str, ...],
    k: int,
    min_similarity: LeastSimilarity,
    false_alarm: float | None,
    box: Box | None,
    conditions: tuple[str, ...],
    max_pixels: int,
    using: str | None,
    collection: str,
    form: str,
    *,
    text: bool,
    hybrid: bool,
    approximate: bool,
) -> None:
    """Find the images most like an image, a text, or a sum.

    A TERM is an image file, the id of an image of the collection, a .npy with one vector, or else words: "a
    red car". Terms are added and subtracted with + and -, each a word of its own: "red car" + a.jpg - "at
    night". Exact search by cosine similarity (−1 … 1), most similar first, unless --approximate asks for
    another.
    """
    asked = read_query(terms, text=text)
    if box is not None:
        asked = within_box(asked, box)
    if false_alarm is not None and min_similarity != "auto":
        raise InvalidArgument("--false-alarm is for --min-similarity auto")
    with settings.open() as database, progress_bar("reading background texts", quiet=settings.quiet) as bar:
        answer = database[collection].search(
            asked,
            k=k,
            using=using,
            where=parse_where(conditions),
            hybrid=hybrid,
            min_similarity=min_similarity,
            false_alarm=false_alarm,
            approximate=approximate,
            max_pixels=max_pixels,
            progress=bar,
        )
    for line in [*answer.remarks, *_shortfalls(answer, k)]:
        warn(line, quiet=settings.quiet)
    if form == "jsonl":
        for rank, hit in enumerate(answer.hits, 1):
            print_line(_line(rank, hit, answer, approximate=approximate, hybrid=hybrid))
        if not answer.hits and answer.cutoff is not None:
            warn(_nothing(answer), quiet=settings.quiet)
    else:
        _print(answer, approximate=approximate, hybrid=hybrid)


def _shortfalls(answer: SearchResult, k: int) -> list[str]:
    """Return why there are fewer hits than asked for."""
    said = []
    if answer.itself:
        said.append(f"{counted(answer.itself, 'image')} left out: a term itself")
    if len(answer.hits) < k and answer.cutoff is None:
        said.append(f"{counted(len(answer.hits), 'image')} found, fewer than the {k} asked for")
    return said


def _nothing(answer: SearchResult) -> str:
    if answer.best is None or answer.cutoff is None:
        return "nothing found"
    return (
        f"nothing found: the most similar image is at {answer.best:.4f}, below {answer.cutoff.similarity:.4f}"
    )


def _line(rank: int, hit: Hit, answer: SearchResult, *, approximate: bool, hybrid: bool) -> dict[str, Any]:
    """Return a hit as a JSON line."""
    line = {"rank": rank, "similarity": hit.similarity, **record_line(hit.record)}
    line |= {"using": answer.using, "model": answer.model}
    if hybrid:
        line |= {"score": hit.score, "by_vectors": hit.by_vectors, "by_words": hit.by_words}
    if hit.weak is not None:
        line["weak"] = hit.weak
    if answer.cutoff is not None:
        line["min_similarity"] = answer.cutoff.similarity
    if approximate:
        line["approximation"] = approximation_line(answer.approximation)
    return line


def _print(answer: SearchResult, *, approximate: bool, hybrid: bool) -> None:
    if approximate:
        print_how_searched(answer.approximation)
    cutoff = answer.cutoff
    if cutoff is not None and cutoff.images:
        against = f"{counted(cutoff.texts, 'text')} and " if cutoff.texts else ""
        against += counted(cutoff.images, "image")
        rate = "what nonsense finds" if cutoff.rate is None else f"a false-alarm rate of {cutoff.rate:g}"
        print_text(f"at least {cutoff.similarity:.4f} similar: set by {against} for {rate}")
    if not answer.hits and cutoff is not None:
        print_text(_nothing(answer))
        return
    rows = [
        (
            *(rank, _similarity(hit), *([_found_by(hit)] if hybrid else [])),
            *(short_path(hit.record.uri), describe(hit.record)),
        )
        for rank, hit in enumerate(answer.hits, 1)
    ]
    print_table(("", "similarity", *(["found by"] if hybrid else []), "image", "fields"), rows)


def _similarity(hit: Hit) -> float | str | None:
    return f"weak {hit.similarity:.4f}" if hit.weak and hit.similarity is not None else hit.similarity


def _found_by(hit: Hit) -> str:
    """Say in words how a hit was found, with its places."""
    ways = (("likeness", hit.by_vectors), ("words", hit.by_words))
    return ", ".join(f"{way} ({place}.)" for way, place in ways if place is not None)
