"""How far a work is: whom it tells, and how a work of several parts tells as one."""

from __future__ import annotations

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
    """Tells on what it is told, never less than before, and can tell the last of it again."""

    def __init__(self, progress: Progress) -> None:
        """Take whom to tell."""
        self._progress = progress
        self._last = 0, 1

    def __call__(self, done: int, total: int) -> None:
        """Tell that so much is done."""
        self._last = max(self._last, (done, total))
        self._progress(*self._last)

    def beat(self) -> None:
        """Tell that it still runs, from inside a step that cannot say how far it is."""
        self._progress(*self._last)


def divided(progress: Progress, sizes: Sequence[int]) -> list[Progress]:
    """Divide a work into parts that follow one another.

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
