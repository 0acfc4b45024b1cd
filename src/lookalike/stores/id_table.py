"""Ids in a table on disk, so that memory does not grow with them."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class IdTable:
    """A set of ids, or of other names, in a temporary table that SQLite keeps on disk where they are many."""

    def __init__(self) -> None:
        # An empty name makes a temporary file that SQLite removes at once (sqlite.org/inmemorydb.html).
        self._table = sqlite3.connect("", isolation_level=None)
        self._table.execute("PRAGMA journal_mode = OFF")
        self._table.execute("CREATE TABLE ids (id TEXT PRIMARY KEY) WITHOUT ROWID")
        self._table.execute("BEGIN")

    def close(self) -> None:
        """Forget them."""
        self._table.close()

    def add(self, identity: str) -> bool:
        """Note an id, and tell whether it is new."""
        return self._table.execute("INSERT OR IGNORE INTO ids VALUES (?)", (identity,)).rowcount == 1

    def update(self, ids: Iterable[str]) -> None:
        """Note ids."""
        self._table.executemany("INSERT OR IGNORE INTO ids VALUES (?)", ((one,) for one in ids))

    def __contains__(self, identity: str) -> bool:
        return self._table.execute("SELECT 1 FROM ids WHERE id = ?", (identity,)).fetchone() is not None
