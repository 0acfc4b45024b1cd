"""Which records of a SQLite collection match a filter."""

from __future__ import annotations

import threading
from functools import reduce
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lookalike.stores.sqlite.views import field_numbers

if TYPE_CHECKING:
    import sqlite3

    from lookalike.stores.entry import Entry
    from lookalike.types import Where

Numbers: TypeAlias = NDArray[np.int64]
"""Numbers of records in their table, rising, none twice."""

# Filters that are remembered: a classification asks with a handful by turns.
_REMEMBERED = 16


class SqliteFilters:
    """Answers to the last filters, for as long as the collection does not change; threads may share them."""

    def __init__(self) -> None:
        self._answers: dict[tuple[int, int | None, str], Numbers] = {}
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
        key = (entry.key, entry.revision, repr((asked, having)))
        with self._lock:
            known = self._answers.get(key)
        if known is None:
            known = _matching(connection, entry.key, where or {}, having)
            with self._lock:
                self._answers[key] = known
                while len(self._answers) > _REMEMBERED:
                    del self._answers[next(iter(self._answers))]
        return known

    def forget(self) -> None:
        """Let go of all answers."""
        with self._lock:
            self._answers.clear()


def _matching(connection: sqlite3.Connection, collection: int, where: Where, having: str | None) -> Numbers:
    """Return the numbers of the records that match, by the rules of `Where`.

    Values are compared in Python, whose equality of numbers is that of `Where`, and which takes any number
    of values and any text.
    """
    fields = field_numbers(connection, collection)
    found = []
    for name, values in where.items():
        wanted = {(isinstance(value, bool), value) for value in values}
        rows = connection.execute(
            "SELECT record, boolean, value FROM lookalike_values WHERE field = ? ORDER BY record",
            (fields.get(name),),
        )
        matches = (record for record, boolean, value in rows if (bool(boolean), value) in wanted)
        found.append(np.fromiter(matches, np.int64))
    if having is not None:
        rows = connection.execute(
            "SELECT record FROM lookalike_values WHERE field = ? ORDER BY record", (fields.get(having),)
        )
        found.append(np.fromiter((record for (record,) in rows), np.int64))
    return reduce(lambda one, other: np.intersect1d(one, other, assume_unique=True), found)
