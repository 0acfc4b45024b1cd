"""Progress of long work: callbacks, their division into parts, and lines for logs."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import accumulate
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

Progress: TypeAlias = Callable[[int, int], None]
"""Called with what is done and what is to do, never less than before, and with equal numbers at the end. What
it raises ends the work, which leaves nothing behind: so is a work cancelled."""


def silent(_done: int, _total: int) -> None:
    """Tell nobody."""


class Pulse:
    """Progress that never goes back, and can be told again from inside a long step."""

    def __init__(self, progress: Progress) -> None:
        """Take whom to tell."""
        self._progress = progress
        self._last = 0, 1

    def __call__(self, done: int, total: int) -> None:
        """Tell that so much is done."""
        self._last = max(self._last, (done, total))
        self._progress(*self._last)

    def after(self, before: int, total: int) -> Progress:
        """Return whom a part tells, in its own numbers, that begins when `before` of `total` are done."""
        return lambda done, _count: self(before + done, total)

    def beat(self) -> None:
        """Tell that it still runs, from inside a step that cannot say how far it is."""
        self._progress(*self._last)


# Part of the time that a work has taken by which the next line waits: a day has some 40 lines then.
_GROWTH = 0.25


class Lines:
    """Progress as lines now and then, where there is no terminal for a bar.

    It is told of progress in the thread of the work, and asked for lines in another one: a step that cannot
    say how far it is still shows that it runs.
    """

    def __init__(
        self, what: str, seconds: float, unit: str = "", clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin.

        Args:
            what: the work, as in `evaluating`.
            seconds: until the first line, and at least between two.
            unit: what is counted, as in `images`; empty where the counts mean nothing to people.
            clock: returns seconds.
        """
        self._what = what
        self._seconds = seconds
        self._unit = unit
        self._clock = clock
        self._state = 0, 0
        self._began = clock()
        self._due = self._began + seconds

    def __call__(self, done: int, total: int) -> None:
        """Take how far the work is."""
        self._state = done, total

    def line(self) -> str | None:
        """Return a line if it is time for one."""
        now = self._clock()
        if now < self._due:
            return None
        elapsed = now - self._began
        self._due = now + max(self._seconds, _GROWTH * elapsed)
        done, total = self._state
        if done <= 0 or total <= 0:
            return f"{self._what}: {_duration(elapsed)} so far"
        said = [f"{done:,} of {total:,} {self._unit}"] if self._unit else []
        said.append(f"{100 * done // total} %")
        if done < total:
            said.append(f"about {_duration(elapsed * (total - done) / done)} left")
        return f"{self._what}: {', '.join(said)}"


def _duration(seconds: float) -> str:
    """Return a time as people say it: `40 s`, `7 min`, `2.5 h`."""
    if seconds < 99.5:
        return f"{max(1, round(seconds))} s"
    if seconds < 99.5 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def divided(progress: Progress, sizes: Sequence[int]) -> list[Progress]:
    """Divide progress into that of parts that follow one another.

    A part that is left out counts as done when the next one begins.

    Args:
        progress: whom the whole work tells.
        sizes: of each part, at least 0, in any unit that all share; the last is at least 1.

    Returns:
        Whom each part tells: in its own numbers, of which it may have none.
    """
    total = sum(sizes)

    def part(end: int, size: int) -> Progress:
        def tell(done: int, count: int) -> None:
            progress(end - size + (size * done // count if count else size), total)

        return tell

    return [part(end, size) for end, size in zip(accumulate(sizes), sizes, strict=True)]
