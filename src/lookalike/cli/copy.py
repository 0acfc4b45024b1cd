"""The command copy: from one store into another, compared to the last bit."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from lookalike.cli.messages import warn
from lookalike.cli.options import Settings, collection_option, format_option, global_options
from lookalike.cli.output import counted, print_line, print_text
from lookalike.cli.progress_bar import progress_bar
from lookalike.errors import InvalidArgument, LookalikeError, StoreError, Unanswerable
from lookalike.file_names import display

if TYPE_CHECKING:
    from lookalike.database import Database
    from lookalike.transfer.copy import CopyReport
    from lookalike.transfer.synchronisation import Tally
    from lookalike.types import Approximation


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
    """Copy a collection from the store FROM into the store TO.

    Both are URLs as for --store, and are compared to the last bit at the end. A collection that TO has
    already is brought up to date; what is the same is not sent again. A copy that was interrupted goes on
    when it is run again.
    """
    named = context.get_parameter_source("collection") is click.core.ParameterSource.COMMANDLINE
    if every and named:
        raise InvalidArgument("--all and --collection exclude each other")
    code = 0
    with settings.open_at(source) as here, settings.open_at(target) as there:
        if approximate:
            there.check_approximate()
        names = here.copyable() if every else [collection]
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
    settings: Settings, here: Database, there: Database, name: str, prune: bool, approximate: bool, form: str
) -> bool:
    """Copy one collection and say what came of it; return whether it was verified."""
    with progress_bar(f"copying {display(name)}", quiet=settings.quiet) as progress:
        report = here.copy(name, there, prune=prune, progress=progress)
    approximation = None
    if approximate and report.verified and report.tally.images:
        with progress_bar("building the approximate index", quiet=settings.quiet):
            approximation = there[report.collection].vectors.build_index()
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
    print_text(f"{report.collection}: {_done(report.tally)}")
    if report.verified:
        said = f"verified: {counted(report.tally.images, 'image')} alike to the last bit"
        print_text(f"{said}, SHA-256 {(report.digest or '')[:12]} ({report.seconds:.1f} s)")
    else:
        print_text(
            f"not verified: FROM or TO changed in each of {report.passes} passes; run it again when less is "
            f"written"
        )
    if report.under is not None:
        print_text(f"until then what is there is called {report.under}")
    if not prune and report.tally.only_there:
        print_text("images that only TO has were left there: --prune removes them")
    if approximation is not None:
        print_text(
            f"approximate index {approximation.kind}: recall@{approximation.k} {approximation.recall:.4f} on "
            f"{counted(approximation.queries, 'image')}"
        )


def _done(tally: Tally) -> str:
    counts = [
        ("added", tally.added),
        ("updated", tally.updated),
        ("removed", tally.removed),
        ("unchanged", tally.unchanged),
        ("only at TO", tally.only_there),
    ]
    said = ", ".join(f"{count:,} {what}" for what, count in counts if count)
    if tally.added or tally.updated or tally.removed:
        return said
    return f"nothing to do ({said})" if said else "nothing to do"


def _print_copy_lines(report: CopyReport, approximation: Approximation | None) -> None:
    summary = asdict(report)
    summary |= summary.pop("tally")
    index = None if approximation is None else asdict(approximation)
    print_line({"type": "summary", **summary, "approximation": index})
