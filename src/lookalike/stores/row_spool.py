"""Rows of stamps that a server has given, kept on disk where they are many until they are taken."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from lookalike.stores.temporary_tables import temporary_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lookalike.stores.backend import StampRow

# Rows that stay in memory, some 700 bytes each.
_MOST_IN_MEMORY = 10_000


class RowSpool:
    """Rows of stamps that were read to their end: the first in memory, the others in a temporary file.

    So a transaction that reads them may be begun anew, and ends before they are looked at.
    """

    def __init__(self, rows: Iterable[StampRow]) -> None:
        """Keep rows.

        Args:
            rows: read once, to the end.
        """
        left = iter(rows)
        self._first = list(islice(left, _MOST_IN_MEMORY))
        self._table = temporary_table(
            "CREATE TABLE stamps (uri, id, size, modified_ns, labels, digest, checksum)"
        )
        self._table.executemany("INSERT INTO stamps VALUES (?, ?, ?, ?, ?, ?, ?)", left)
        self._table.execute("COMMIT")

    def __iter__(self) -> Iterator[StampRow]:
        yield from self._first
        yield from self._table.execute("SELECT * FROM stamps ORDER BY rowid")
