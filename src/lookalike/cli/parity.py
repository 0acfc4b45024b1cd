"""The command parity: several stores are asked the same questions, and their answers compared."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from lookalike.cli.options import (
    Settings,
    collection_option,
    format_option,
    global_options,
    option,
    parse_where,
    where_option,
)
from lookalike.cli.output import print_line, print_table, print_text, text_of
from lookalike.cli.progress_bar import progress_bar

if TYPE_CHECKING:
    from lookalike.transfer.parity import Holding, Parity
    from lookalike.types import Where


@click.command()
@click.argument("stores", nargs=-1, required=True, metavar="STORE STORE...")
@collection_option
@option(
    "--queries", type=int, default=200, metavar="N", help="How many images of the collection are asked for."
)
@option("-k", type=int, default=10, metavar="N", help="Neighbours of each.")
@where_option
@click.option("--approximate", is_flag=True, help="Ask approximately, and measure the recall.")
@format_option
@global_options
def parity(
    settings: Settings,
    stores: tuple[str, ...],
    collection: str,
    queries: int,
    k: int,
    conditions: tuple[str, ...],
    approximate: bool,
    form: str,
) -> int:
    """Ask several stores the same, and compare the answers.

    What they hold of the collection is compared, too. Each STORE is a URL as for --store; the first is what
    the others are compared with. The questions are the collection's own images, without a filter and with
    some.
    """
    where = parse_where(conditions) if conditions else None
    with ExitStack() as opened:
        first, *others = [opened.enter_context(settings.open_at(url)) for url in stores]
        with progress_bar("asking", quiet=settings.quiet) as progress:
            found = first.parity(
                others,
                collection,
                queries=queries,
                k=k,
                where=where,
                approximate=approximate,
                progress=progress,
            )
    if form == "jsonl":
        _print_parity_lines(found)
    else:
        _print_parity(found, approximate)
    return 0 if found.agrees else 1


def _print_parity(found: Parity, approximate: bool) -> None:
    rows = [
        (holding.store, holding.images, _space(holding), (holding.digest or "")[:12], _same(holding, at))
        for at, holding in enumerate(found.holdings)
    ]
    print_table(("store", "images", "space", "SHA-256", ""), rows, found.collection)
    if not found.answers:
        return
    last = "recall" if approximate else ""
    columns = ("asked", "store", "queries", "same ids", "same places", "largest difference", last)
    print_table(
        columns,
        [
            (
                _filter(answer.where),
                answer.store,
                answer.queries,
                f"{answer.same_queries:.2%}",
                f"{answer.same_places:.2%}",
                f"{answer.largest_difference:.1e}",
                answer.recall if approximate else "agrees" if answer.agrees else "DIFFERS",
            )
            for answer in found.answers
        ],
        f"{found.k} nearest",
    )
    if approximate:
        said = "hold the same" if found.agrees else "do not hold the same"
    else:
        said = "agree" if found.agrees else "do not agree"
    print_text(f"the {len(found.holdings)} stores {said}")


def _space(holding: Holding) -> str:
    return "" if holding.space is None else str(holding.space)


def _same(holding: Holding, at: int) -> str:
    if holding.space is None:
        return "no such collection"
    return "" if at == 0 else "same" if holding.same else "DIFFERS"


def _filter(where: Where | None) -> str:
    if where is None:
        return "all images"
    return ", ".join(f"{field}={text_of(values[0])}" for field, values in where.items())


def _print_parity_lines(found: Parity) -> None:
    for holding in found.holdings:
        print_line({"type": "store", **asdict(holding)})
    for answer in found.answers:
        print_line({"type": "answers", **asdict(answer), "agrees": answer.agrees})
    summary = {"collection": found.collection, "k": found.k, "stores": len(found.holdings)}
    print_line({"type": "summary", **summary, "agrees": found.agrees})
