"""Which records this process changed last, so that what is held of the others need not be read again."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection

    from lookalike.stores.entry import Entry

What: TypeAlias = tuple[str, int]
"""A collection or a vector of one, and its number."""

MOST = 1000
"""Records that are noted of a collection at once: where more changed, all are read again."""

# Numbers of records that are kept of a collection or a vector: an import would fill memory with its own.
_KEPT = 10 * MOST


class _Change(NamedTuple):
    before: int
    """The revision that was changed."""
    after: int
    numbers: frozenset[int]
    """Of the records in their table."""


class ChangeLog:
    """The last changes of collections and of their vectors; threads may share it.

    A change by another process is missing, and so is every one before it: revisions do not follow then.
    """

    def __init__(self) -> None:
        self._changes: dict[What, deque[_Change]] = {}
        self._lock = threading.Lock()

    def note(
        self, before: dict[What, int | None], after: dict[What, int | None], numbers: Collection[int]
    ) -> None:
        """Take it that a transaction that is committed changed some records.

        Args:
            before: the revisions that it found.
            after: those that it left.
            numbers: of the records that came, changed or went.
        """
        with self._lock:
            for what, revision in after.items():
                known = self._changes.setdefault(what, deque(maxlen=MOST))
                earlier = before.get(what)
                if earlier is None or revision is None or len(numbers) > MOST:
                    known.clear()
                elif revision != earlier:
                    known.append(_Change(earlier, revision, frozenset(numbers)))
                    while sum(len(change.numbers) for change in known) > _KEPT:
                        known.popleft()

    def since(self, what: What, revision: int | None, now: int | None) -> set[int] | None:
        """Return the numbers of the records that changed between two revisions; None where that is unknown.

        Args:
            what: the collection or vector.
            revision: the earlier one.
            now: the later one.
        """
        found: set[int] = set()
        with self._lock:
            for change in reversed(self._changes.get(what, ())):
                if now == revision:
                    break
                if change.after == now:
                    found |= change.numbers
                    now = change.before
        return found if now == revision and len(found) <= MOST else None


def of_collection(entry: Entry) -> What:
    """Return what a change log calls a collection."""
    return "collection", entry.key


def of_vector(number: int) -> What:
    """Return what a change log calls a vector."""
    return "vector", number
