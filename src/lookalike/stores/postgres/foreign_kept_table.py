"""One table of others in PostgreSQL whose vectors PostgreSQL cannot compare, kept in memory.

Arrays of numbers, JSON lists as `jsonb`, `json` or text, and the bytes of numbers as `bytea`: pgvector need
not be there. What was read is read again once anything in the database has been changed.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from lookalike.errors import Unanswerable
from lookalike.stores.attached.description import row_id
from lookalike.stores.attached.kept_rows import keep_rows, version_of
from lookalike.stores.postgres.connection import SQL
from lookalike.stores.postgres.foreign_rows import TABLES, ForeignRows, document, snapshot_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from numpy.typing import NDArray

    from lookalike.stores.attached.description import Attachment, ForeignRow
    from lookalike.stores.attached.foreign import Change, Tally
    from lookalike.stores.attached.foreign_vectors import Written
    from lookalike.stores.attached.kept_rows import KeptRows
    from lookalike.stores.postgres.connection import Composed, PostgresServer, Transaction
    from lookalike.stores.query import Query
    from lookalike.types import Vectors, Where

ARRAYS = {"_float4": ">f4", "_float8": ">f8", "_int2": ">i2", "_int4": ">i4", "_int8": ">i8"}
"""Arrays of numbers by their names in pg_type, and NumPy's names of what PostgreSQL sends of each."""

_TOGETHER = 500  # rows that are read at once
_HEAD = 20  # bytes before the numbers of an array of one dimension


class PostgresKeptTable:
    """One attached table: see `ForeignTable`."""

    def __init__(self, server: PostgresServer, attachment: Attachment) -> None:
        self._of = attachment
        self._rows = ForeignRows(server, attachment)
        self._array = ARRAYS.get(attachment.detail("type") or "")
        self._written = cast("Written", attachment.detail("written"))
        self._lock = threading.Lock()
        self._kept: KeptRows | None = None

    def state(self) -> Hashable | None:
        return self._rows.state()

    def tally(self, *, thorough: bool = False) -> Tally:
        return self._read().tally

    def ids(self, where: Where | None = None, having: str | None = None) -> list[str]:
        return self._read().matching_ids(where, having)

    def rows(self, ids: Sequence[str] | None = None) -> list[ForeignRow]:
        found = self._read()
        chosen = found.rows if ids is None else [found.rows[place] for place in found.places(ids)]
        if self._of.metadata is None or not chosen:
            return chosen
        statement = SQL("SELECT {}, {} FROM {} AS t WHERE true").format(
            self._rows.text_id(), self._rows.metadata(), self._rows.table
        )
        said: dict[str | None, dict[str, Any]] = {}
        for text, metadata in self._rows.asked(statement, ids):
            said.setdefault(row_id(text), document(metadata))
        return [replace(row, metadata=said[row.id]) for row in chosen if row.id in said]

    def vectors(self, ids: Sequence[str]) -> tuple[list[str], Vectors]:
        return self._read().vectors_of(ids, self._fetch)

    def nearest(self, queries: Vectors, query: Query) -> list[list[tuple[str, float]]]:
        return self._read().nearest(queries, query, self._fetch)

    def index(self) -> str:
        of = self._of
        raise Unanswerable(
            f"{of.table}: PostgreSQL compares no vectors that are kept as {of.detail('shown')}; search stays "
            f'exact. With pgvector, a view with "{of.vector}"::vector({of.space.dimension}) can be attached'
        )

    def update(self, changes: Mapping[str, Mapping[str, Change]]) -> None:
        self._rows.update(changes)

    def remove(self, ids: Sequence[str]) -> int:
        return self._rows.remove(ids)

    def _read(self) -> KeptRows:
        """Return the records as they are now: read again where anything may have been changed."""
        with self._lock:
            state = self.state()
            if self._kept is None or state is None or self._kept.state != state:
                self._kept = None  # before the new ones are read: there may be no room for two
                self._kept = self._rows.read(self._read_all)
            return self._kept

    def _read_all(self, transaction: Transaction) -> KeptRows:
        known = self._of.detail("kind") in TABLES
        state = snapshot_of(transaction.connection) if known else None
        statement = SQL("SELECT {} FROM {} AS t").format(
            SQL(", ").join([self._rows.text_id(), self._content(), *self._rows.columns(metadata=False)]),
            self._rows.table,
        )
        with transaction.connection.cursor("lookalike_rows", binary=True) as cursor:
            cursor.execute(statement)
            return keep_rows(
                (self._decoded(some) for some in iter(lambda: cursor.fetchmany(_TOGETHER), [])),
                lambda identity, row, vector: self._rows.made(identity, row[2:], version_of(vector)),
                state=state,
                written=self._written,
                dimension=self._of.space.dimension,
            )

    def _fetch(self, keys: Sequence[str]) -> list[list[Any]]:
        """Return ids and vectors of the rows with some ids."""
        statement = SQL("SELECT {}, {} FROM {} AS t WHERE true").format(
            self._rows.text_id(), self._content(), self._rows.table
        )
        ids = [str(row_id(key)) for key in keys]
        return self._decoded(self._rows.asked(statement, ids, binary=True))

    def _content(self) -> Composed:
        """Return the vector as it is read."""
        if self._array is not None:
            return SQL("array_send({})").format(self._rows.vector)
        if self._of.detail("type") == "_numeric":
            return SQL("to_jsonb({})::text").format(self._rows.vector)
        return SQL("{}" if self._of.detail("type") == "bytea" else "{}::text").format(self._rows.vector)

    def _decoded(self, rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
        if self._array is None:
            return [list(row) for row in rows]
        return [[key, _array_in(content, self._array), *more] for key, content, *more in rows]


def _array_in(sent: bytes | None, kind: str) -> NDArray[Any] | None:
    """Return the numbers of an array as PostgreSQL sends it; of two dimensions where it is no vector.

    Source: array_send in PostgreSQL's src/backend/utils/adt/arrayfuncs.c.
    """
    if sent is None:
        return None
    dimensions, _, _, count, _ = np.frombuffer(sent.ljust(_HEAD, b"\0"), ">i4", 5).tolist()
    layout = np.dtype([("size", ">i4"), ("value", kind)])
    if dimensions == 0:
        return np.empty(0)
    if dimensions != 1 or len(sent) != _HEAD + count * layout.itemsize:  # NULL is sent without a value
        return np.empty((0, 0))
    return np.frombuffer(sent, layout, offset=_HEAD)["value"]
