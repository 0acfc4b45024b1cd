"""The progress of long work: a bar on a terminal, and elsewhere a line now and then."""

from __future__ import annotations

import math
import os
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lookalike.cli.messages import warn
from lookalike.errors import InvalidArgument
from lookalike.progress import Lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The variable that says how many seconds there are between lines of progress, and what it says by default.
_BETWEEN = "LOOKALIKE_PROGRESS"
_SECONDS = 10.0


class Bar:
    """Shows progress; can be hidden while something is asked."""

    def __init__(
        self, tell: Callable[[int, int], None], stop: Callable[[], None], start: Callable[[], None]
    ) -> None:
        self._tell = tell
        self._stop = stop
        self._start = start

    def __call__(self, done: int, total: int) -> None:
        """Show that so much is done."""
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
    """Return the seconds between lines of progress that the environment names; 0 is for none."""
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
    """Print progress on stderr, a line now and then."""
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
