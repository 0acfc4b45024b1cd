"""Which records of a SQLite collection match a filter."""

from __future__ import annotations

import threading
from functools import reduce
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lookalike.stores.sqlite.change_log import of_collection
from lookalike.stores.sqlite.views import field_numbers

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from lookalike.stores.entry import Entry
    from lookalike.stores.sqlite.change_log import ChangeLog
    from lookalike.types import Where

Numbers: TypeAlias = NDArray[np.int64]
"""Numbers of records in their table, rising, none twice."""

# Filters that are remembered: a classification asks with a handful by turns.
_REMEMBERED = 16


class SqliteFilters:
    """Answers to the last filters; threads may share them.

    Of a collection that has changed only the changed records are asked again, where it is known which.
    """

    def __init__(self, log: ChangeLog) -> None:
        self._log = log
        self._answers: dict[tuple[int, str], tuple[int | None, Numbers]] = {}
        self._lock = threading.Lock()

    def read(
        self, connection: sqlite3.Connection, entry: Entry, where: Where | None, having: str | None = None
    ) -> Numbers | None:
        """Return the numbers of the records that match; None for all.

        Args:
            connection: its open transaction sees the collection.
            entry: the collection.
            where: only records that match.
            having: only records that have this field.
        """
        if not where and having is None:
            return None
        asked = [(name, list(values)) for name, values in (where or {}).items()]
        key = (entry.key, repr((asked, having)))
        with self._lock:
            revision, known = self._answers.pop(key, (None, None))
        if known is None or revision != entry.revision:
            changed = (
                None if known is None else self._log.since(of_collection(entry), revision, entry.revision)
            )
            if known is None or changed is None:
                known = _matching(connection, entry.key, where or {}, having)
            else:
                others = np.setdiff1d(known, np.fromiter(changed, np.int64), assume_unique=True)
                again = _matching(connection, entry.key, where or {}, having, sorted(changed))
                known = np.insert(others, np.searchsorted(others, again), again)
        with self._lock:
            self._answers[key] = entry.revision, known
            while len(self._answers) > _REMEMBERED:
                del self._answers[next(iter(self._answers))]
        return known

    def forget(self) -> None:
        """Let go of all answers."""
        with self._lock:
            self._answers.clear()


def _matching(
    connection: sqlite3.Connection,
    collection: int,
    where: Where,
    having: str | None,
    among: Sequence[int] | None = None,
) -> Numbers:
    """Return the numbers of the records that match, by the rules of `Where`; of all, or of at most 1,000.

    Values are compared in Python, whose equality of numbers is that of `Where`, and which takes any number
    of values and any text.
    """
    fields = field_numbers(connection, collection)
    some = "" if among is None else f" AND record IN ({', '.join('?' * len(among))})"
    found = []
    for name, values in where.items():
        wanted = {(isinstance(value, bool), value) for value in values}
        rows = connection.execute(
            f"SELECT record, boolean, value FROM lookalike_values WHERE field = ?{some} ORDER BY record",  # noqa: S608
            (fields.get(name), *(among or ())),
        )
        matches = (record for record, boolean, value in rows if (bool(boolean), value) in wanted)
        found.append(np.fromiter(matches, np.int64))
    if having is not None:
        rows = connection.execute(
            f"SELECT record FROM lookalike_values WHERE field = ?{some} ORDER BY record",  # noqa: S608 marks
            (fields.get(having), *(among or ())),
        )
        found.append(np.fromiter((record for (record,) in rows), np.int64))
    return reduce(lambda one, other: np.intersect1d(one, other, assume_unique=True), found)
