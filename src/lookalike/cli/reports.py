"""The option --report: one HTML file beside what a command prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lookalike.cli.progress_bar import progress_bar
from lookalike.errors import MemoryTooSmall, OutputFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from lookalike.collection import Collection
    from lookalike.errors import LookalikeError

# Records that a report is given: its map shows no more.
_READ = 20_000


def report_option(text: str) -> Callable[[Any], Any]:
    """Return the option, with its help; a place where no file can be is refused before any work."""

    def check(_context: click.Context, _option: click.Parameter, path: Path | None) -> Path | None:
        if path is not None:
            from lookalike.report.page import check_report

            check_report(path)
        return path

    kind = click.Path(path_type=Path, dir_okay=False)
    return click.option("--report", type=kind, metavar="FILE", callback=check, help=text)


def try_to_write(
    write: Callable[..., None],
    path: Path,
    found: object,
    collection: Collection,
    *,
    using: str | None,
    quiet: bool,
) -> LookalikeError | None:
    """Write a report.

    Args:
        write: one of `lookalike.report`.
        path: the file.
        found: what it is about.
        collection: where that was found.
        using: name of the vector by which it was; None for the default.
        quiet: whether to show no progress.

    Returns:
        What went wrong, to be raised at the end: what was found took its time, and is shown all the same.
    """

    def act() -> None:
        model = collection.info().vector(using).space.embedder
        some = collection.vectors.read(using=using, most=_READ)
        write(path, found, *some, collection=collection.name, model=model)

    return trouble_of(act, quiet=quiet)


def trouble_of(write: Callable[[], None], *, quiet: bool) -> LookalikeError | None:
    """Write a report, and return what went wrong, as `try_to_write` does."""
    try:
        with progress_bar("writing the report", quiet=quiet):
            write()
    except (OutputFailed, MemoryTooSmall) as error:
        return error
    return None
