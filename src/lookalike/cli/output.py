"""What is printed: tables for people, JSON lines for programs, warnings on stderr."""

from __future__ import annotations

import base64
import json
import math
import os
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lookalike.errors import InvalidArgument
from lookalike.file_names import display
from lookalike.progress import Lines
from lookalike.uris import local_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from lookalike.types import Approximation, Neighbour, Record

_WIDEST = 1_000_000
# Rows of a list that a table shows; JSON lines have them all.
SHOWN = 50
# The variable that says how many seconds there are between lines of progress, and what it says by default.
_BETWEEN = "LOOKALIKE_PROGRESS"
_SECONDS = 10.0


def print_line(value: object) -> None:
    """Print one JSON line; text that stdout cannot encode (a file name, say) is written as JSON's escapes."""
    text = json.dumps(value, ensure_ascii=False, default=_encode)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, ensure_ascii=True, default=_encode)
    sys.stdout.write(text + "\n")


def _encode(value: object) -> object:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """Print a table; text is shown as it is, numbers are set to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    body = [list(row) for row in rows]
    table = Table(
        box=SIMPLE_HEAD, title=title and Text(display(title), "bold"), title_justify="left", pad_edge=False
    )
    for at, column in enumerate(columns):
        numbers = bool(body) and all(isinstance(row[at], int | float | None) for row in body)
        table.add_column(Text(display(column)), justify="right" if numbers else "left", overflow="fold")
    for row in body:
        table.add_row(*(Text(text_of(value)) for value in row))
    # Piped tables are as wide as they are: nothing is folded to some assumed width.
    width = None if sys.stdout.isatty() else Console(width=_WIDEST).measure(table).maximum
    Console(file=sys.stdout, highlight=False, width=width).print(table)


def text_of(value: object) -> str:
    """Return a value as a table shows it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, int):
        return str(value)
    return display(str(value))


def counted(count: int, what: str) -> str:
    """Return a count with its noun: `1 record`, `2,000 records`."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def print_text(text: str = "") -> None:
    """Print one line of prose on stdout."""
    sys.stdout.write(text + "\n")


def print_rest(count: int, shown: int | None, what: str) -> None:
    """Say how many rows of a list were not shown, and what shows them; None shows all."""
    if shown is not None and count > shown:
        print_text(f"… and {count - shown:,} more {what}: --all shows them")


def warn(text: str, *, quiet: bool = False) -> None:
    """Print a warning on stderr; that nobody can read it is no reason to end the work."""
    if not quiet:
        with suppress(OSError):
            click.echo(f"lookalike: {display(text)}", err=True)


def short_path(path: Path | str) -> str:
    """Return a path, or that of a `file:` URI, for people: relative to the current folder where it can be.

    A URI of anything but a file on this machine stays as it is.
    """
    place = local_path(path) if isinstance(path, str) else path
    if place is None:
        return display(path)
    try:
        here = Path.cwd()
    except OSError:  # it was removed under this process
        return display(place)
    return display(place.relative_to(here) if place.is_relative_to(here) else place)


def record_line(record: Record) -> dict[str, Any]:
    """Return what programs get to see of a record."""
    return {
        "id": record.id,
        "uri": record.uri,
        "path": None if (path := local_path(record.uri)) is None else str(path),
        "fields": dict(record.fields),
    }


def neighbour_line(neighbour: Neighbour) -> dict[str, Any]:
    """Return what programs get to see of a neighbour."""
    return {"similarity": neighbour.similarity, **record_line(neighbour.record)}


def approximation_text(found: Approximation) -> str:
    """Return in words what an approximate index is and finds."""
    return (
        f"{found.kind}, recall@{found.k} {found.recall:.4f} on {counted(found.queries, 'image')} of its own"
    )


def print_how_searched(found: Approximation | None) -> None:
    """Say how a search went that was asked to be approximate."""
    if found is None:
        print_text("exact: there is no approximate index; `lookalike index PATH --approximate` makes one")
    else:
        print_text(f"approximate: {approximation_text(found)}")


def approximation_line(found: Approximation | None) -> dict[str, Any] | None:
    """Return what programs get to see of an approximate index; None where there is none."""
    return None if found is None else asdict(found)


def describe(record: Record) -> str:
    """Return the fields of a record in one line."""
    return ", ".join(f"{name}={text_of(value)}" for name, value in sorted(record.fields.items()))


class Bar:
    """Tells how far a work is; can be hidden while something is asked."""

    def __init__(
        self, tell: Callable[[int, int], None], stop: Callable[[], None], start: Callable[[], None]
    ) -> None:
        self._tell = tell
        self._stop = stop
        self._start = start

    def __call__(self, done: int, total: int) -> None:
        """Tell that so much is done."""
        self._tell(done, total)

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Leave the terminal to somebody else for a while."""
        self._stop()
        try:
            yield
        finally:
            self._start()


def _seconds_between_lines() -> float:
    """Return what the environment says of lines of progress; 0 is for none."""
    said = os.environ.get(_BETWEEN, "")
    try:
        seconds = float(said) if said else _SECONDS
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < math.inf:
        raise InvalidArgument(f"{_BETWEEN} is {said!r}: write a number of seconds, or 0 for no lines")
    return seconds


@contextmanager
def _progress_lines(text: str, unit: str, seconds: float) -> Iterator[Bar]:
    """Say on stderr how far a work is, a line now and then."""
    lines = Lines(text, seconds, unit)
    ended = threading.Event()

    def say() -> None:
        while not ended.wait(min(1.0, seconds)):
            if line := lines.line():
                warn(line)

    thread = threading.Thread(target=say, name="progress", daemon=True)
    thread.start()
    try:
        yield Bar(lines, lambda: None, lambda: None)
    finally:
        ended.set()
        thread.join()


@contextmanager
def progress_bar(text: str, *, quiet: bool, unit: str = "") -> Iterator[Bar]:
    """Show a progress bar on a terminal, and elsewhere a line now and then.

    Args:
        text: the work, as in `evaluating`.
        quiet: whether to show nothing.
        unit: what is counted, as in `images`; empty where the counts mean nothing to people.
    """
    if quiet:
        yield Bar(lambda _done, _total: None, lambda: None, lambda: None)
        return
    if not sys.stderr.isatty():
        if seconds := _seconds_between_lines():
            with _progress_lines(text, unit, seconds) as bar:
                yield bar
        else:
            yield Bar(lambda _done, _total: None, lambda: None, lambda: None)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Results that go to a file or a pipe are not for the terminal that the bar is on.
    shown = sys.stdout.isatty()
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, redirect_stdout=shown) as drawn:
        task = drawn.add_task(text, total=None)
        yield Bar(
            lambda done, total: drawn.update(task, completed=done, total=total), drawn.stop, drawn.start
        )
