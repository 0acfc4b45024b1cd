"""The stamps of a large collection in a table on disk, so that memory does not grow with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from lookalike.stores.temporary_tables import temporary_table
from lookalike.types import Stamp

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lookalike.stores.store import Store

MOST_IN_MEMORY = 100_000
"""Stamps that are kept in memory, where looking one up takes a tenth of the time: some 40 MB."""

# KiB of the table that SQLite keeps in memory.
_CACHE = 16_384


class StampTable(Mapping[str, Stamp]):
    """Stamps by URI, or by another name of the record, in a temporary table that nobody else sees.

    It goes when it is let go of; some 250 bytes a stamp.
    """

    def __init__(self, stamps: Iterable[tuple[str, Stamp]]) -> None:
        """Keep stamps.

        Args:
            stamps: read once, to the end; of one name the last counts.
        """
        self._table = temporary_table(
            "CREATE TABLE stamps (name TEXT PRIMARY KEY, id TEXT, size, modified_ns, labels TEXT)"
            " WITHOUT ROWID"
        )
        self._table.execute(f"PRAGMA cache_size = -{_CACHE}")
        self._table.executemany(
            "INSERT OR REPLACE INTO stamps VALUES (?, ?, ?, ?, ?)",
            ((uri, one.id, one.size, one.modified_ns, one.labels_digest) for uri, one in stamps),
        )
        self._table.execute("COMMIT")
        (self._count,) = self._table.execute("SELECT count(*) FROM stamps").fetchone()

    def __getitem__(self, uri: str) -> Stamp:
        row = self._table.execute(
            "SELECT id, size, modified_ns, labels FROM stamps WHERE name = ?", (uri,)
        ).fetchone()
        if row is None:
            raise KeyError(uri)
        return Stamp(*row)

    def beginning(self, text: str) -> dict[str, Stamp]:
        """Return those whose name begins so."""
        rows = self._table.execute(
            "SELECT name, id, size, modified_ns, labels FROM stamps WHERE name >= ? AND name < ?",
            (text, f"{text}\U0010ffff"),
        )
        return {name: Stamp(*row) for name, *row in rows}

    def __iter__(self) -> Iterator[str]:
        for (uri,) in self._table.execute("SELECT name FROM stamps"):
            yield uri

    def __len__(self) -> int:
        return int(self._count)


def read_stamps(store: Store, name: str) -> Mapping[str, Stamp]:
    """Return the stamps of a collection by URI: in memory, or on disk where they are many."""
    if store.collection(name).count <= MOST_IN_MEMORY:
        return store.stamps(name)
    return StampTable(store.scan_stamps(name))


def read_stamps_by_id(store: Store, name: str) -> Mapping[str, Stamp]:
    """Return the stamps of a collection by id of the record, likewise."""
    by_id = ((stamp.id, stamp) for _, stamp in store.scan_stamps(name))
    return dict(by_id) if store.collection(name).count <= MOST_IN_MEMORY else StampTable(by_id)
