"""Commands on several stores: copy, parity."""

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
    parse_where,
    watched,
    where_option,
)
from lookalike.cli.output import counted, print_line, print_table, print_text, progress_bar, text_of, warn
from lookalike.errors import InvalidArgument, LookalikeError, StoreError, Unanswerable
from lookalike.file_names import display
from lookalike.stores.registry import check_approximate, open_store

if TYPE_CHECKING:
    from lookalike.stores.protocol import Store
    from lookalike.transfer.copy import CopyReport
    from lookalike.transfer.levelling import Tally
    from lookalike.transfer.parity import Holding, Parity
    from lookalike.types import Approximation, Where


@click.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@collection_option
@click.option("--all", "every", is_flag=True, help="Copy every collection of the store.")
@click.option("--prune", is_flag=True, help="Remove from a collection at TO what the one at FROM lacks.")
@click.option("--approximate", is_flag=True, help="Build the approximate index at TO afterwards.")
@format_option
@global_options
@click.pass_context
def copy(
    context: click.Context,
    settings: Settings,
    source: str,
    target: str,
    collection: str,
    every: bool,
    prune: bool,
    approximate: bool,
    form: str,
) -> int:
    """Copy a collection from the store FROM into the store TO, and compare both to the last bit.

    Both are URLs as for --store. A collection that TO has already is brought up to date; what is the same is
    not sent again. A copy that was interrupted goes on when it is run again.
    """
    from lookalike.transfer.copy import copyable

    named = context.get_parameter_source("collection") is click.core.ParameterSource.COMMANDLINE
    if every and named:
        raise InvalidArgument("--all and --collection exclude each other")
    code = 0
    if approximate:
        check_approximate(target)
    with (
        watched(open_store(source, settings.timeout)) as here,
        watched(open_store(target, settings.timeout)) as there,
    ):
        names = copyable(here) if every else [collection]
        if not names:
            raise Unanswerable(f"{here.url} has no collections: there is nothing to copy")
        for name in names:
            try:
                done = _copy_one(settings, here, there, name, prune, approximate, form)
            except StoreError:
                raise
            except LookalikeError as error:
                if not every:
                    raise
                warn(str(error))  # the others can be copied all the same
                done = False
            code = code if done else 1
    return code


def _copy_one(
    settings: Settings, here: Store, there: Store, name: str, prune: bool, approximate: bool, form: str
) -> bool:
    """Copy one collection and say what came of it; return whether it was verified."""
    from lookalike.transfer.copy import copy as copy_collection

    with progress_bar(f"copying {display(name)}", quiet=settings.quiet) as progress:
        report = copy_collection(here, there, name, prune=prune, progress=progress)
    approximation = None
    if approximate and report.verified and report.sides[-1].images:
        with progress_bar("building the approximate index", quiet=settings.quiet):
            approximation = there.build_index(report.collection)
    if report.fit_differs:
        warn(
            f"{report.collection}: {there.url} keeps its own fit of the same metric, made at another time",
            quiet=settings.quiet,
        )
    if form == "jsonl":
        _print_copy_lines(report, approximation)
    else:
        _print_copy(report, approximation, prune)
    return report.verified


def _print_copy(report: CopyReport, approximation: Approximation | None, prune: bool) -> None:
    for side in report.sides:
        print_text(f"{side.collection}: {_done(side)}")
    if report.verified:
        said = f"verified: {counted(report.sides[-1].images, 'image')} alike to the last bit"
        print_text(f"{said}, SHA-256 {(report.digest or '')[:12]} ({report.seconds:.1f} s)")
    else:
        print_text(
            f"not verified: FROM or TO changed in each of {report.passes} passes; run it again when less is "
            f"written"
        )
    if report.under is not None:
        print_text(f"until then what is there is called {report.under}")
    if not prune and any(side.only_there for side in report.sides):
        print_text("images that only TO has were left there: --prune removes them")
    if approximation is not None:
        print_text(
            f"approximate index {approximation.kind}: recall@{approximation.k} {approximation.recall:.4f} on "
            f"{counted(approximation.queries, 'image')}"
        )


def _done(side: Tally) -> str:
    counts = [
        ("added", side.added),
        ("updated", side.updated),
        ("removed", side.removed),
        ("unchanged", side.unchanged),
        ("only at TO", side.only_there),
    ]
    said = ", ".join(f"{count:,} {what}" for what, count in counts if count)
    if side.added or side.updated or side.removed:
        return said
    return f"nothing to do ({said})" if said else "nothing to do"


def _print_copy_lines(report: CopyReport, approximation: Approximation | None) -> None:
    summary = asdict(report)
    for side in summary.pop("sides"):
        print_line({"type": "side", **side})
    index = None if approximation is None else asdict(approximation)
    print_line({"type": "summary", **summary, "images": report.sides[-1].images, "approximation": index})


@click.command()
@click.argument("stores", nargs=-1, required=True, metavar="STORE STORE...")
@collection_option
@click.option(
    "--queries",
    type=int,
    default=200,
    metavar="N",
    help="How many images of the collection are asked for. [default: 200]",
)
@click.option("-k", type=int, default=10, metavar="N", help="Neighbours of each. [default: 10]")
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
    """Ask several stores the same questions about one collection, and compare what they hold and answer.

    Each STORE is a URL as for --store; the first is what the others are compared with. The questions are the
    collection's own images, without a filter and with some.
    """
    from lookalike.transfer.parity import parity as ask

    where = parse_where(conditions) if conditions else None
    with ExitStack() as opened:
        there = [opened.enter_context(watched(open_store(url, settings.timeout))) for url in stores]
        with progress_bar("asking", quiet=settings.quiet) as progress:
            found = ask(
                there,
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
