"""Ids in a table on disk, so that memory does not grow with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.stores.temporary_tables import temporary_table

if TYPE_CHECKING:
    from collections.abc import Iterable


class IdTable:
    """A set of ids, or of other names, in a temporary table that SQLite keeps on disk where they are many."""

    def __init__(self) -> None:
        self._table = temporary_table("CREATE TABLE ids (id TEXT PRIMARY KEY) WITHOUT ROWID")

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
