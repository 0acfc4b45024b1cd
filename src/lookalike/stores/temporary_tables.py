"""Temporary tables on disk, for what grows with a collection and is not to be held in memory."""

from __future__ import annotations

import sqlite3


def temporary_table(definition: str) -> sqlite3.Connection:
    """Return a connection, for any thread, to a database of its own that has one table, and is gone with it.

    It lies where SQLite puts such files: in SQLITE_TMPDIR, TMPDIR, /var/tmp or /tmp. A transaction is begun.

    Args:
        definition: of the table, in SQL.
    """
    # An empty name makes a temporary file that SQLite removes at once (sqlite.org/inmemorydb.html).
    connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute(definition)
    connection.execute("BEGIN")
    return connection
