"""What a database has to do for tables of others to be attached: the primitives under `AttachedBackend`.

A back end of a database finds a table and says what is in it, answers questions about the rows whose vector
can be used, and writes where the user allowed it, by the statements that it has for an `Attachment`. All that
is the same everywhere is above it: names, refusals, records, words, checksums, what is told of vectors that
are left out. Whoever writes one gets by with NumPy: rows as `ForeignRow`, vectors of length 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from lookalike.errors import Unanswerable

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    from lookalike.stores.attached.description import Attachment, ForeignRow
    from lookalike.stores.query import Query
    from lookalike.types import Table, Vectors, Where

Kind: TypeAlias = Literal["vector", "json", "text", "number", "boolean", "other"]
"""What the values of a column are."""


Change: TypeAlias = "Callable[[Any], Any]"
"""Makes the new value of a column from the one that is there; JSON as Python has it."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column as the database describes it, or as its first rows show it."""

    name: str
    kind: Kind
    type: str
    """As the database calls it."""
    dimension: int | None = None
    """Of a vector, where its column or its first rows say it."""
    unique: bool = False
    """Whether its values name the rows: it is the primary key, or the like."""
    details: tuple[tuple[str, str], ...] = ()
    """What of it belongs into `Attachment.details` where it is the vector."""
    surely: bool = False
    """Of vectors: whether the type says that it is one, and not only what its first rows look like."""


@dataclass(frozen=True, slots=True)
class FoundTable:
    """A table or view that may be attached."""

    table: str
    """For `Attachment.table`."""
    kind: str
    """What it is, in words: `table`, `view` …"""
    columns: tuple[Column, ...]
    sample: list[dict[str, Any]] = field(default_factory=list)
    """A few of its rows: values of Python, JSON read, vectors left out."""
    key: tuple[str, ...] = ()
    """The columns that name the rows together, where none does alone."""
    in_capitals: bool = False
    """Whether names in capitals are those that people write in small letters, as in Oracle."""

    def spelt(self, name: str) -> str:
        """Return a name as people write it."""
        return name.lower() if self.in_capitals and name.isascii() and name.isupper() else name


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Rows that are no records, and why; or that are, and what is to be known of them."""

    reason: str
    """In words that follow "3 rows have"."""
    count: int
    example: str
    """The id of one of them."""

    def __str__(self) -> str:
        rows = "1 row has" if self.count == 1 else f"{self.count:,} rows have"
        return f"{rows} {self.reason} (the id {self.example}, say)"


@dataclass(frozen=True, slots=True)
class Tally:
    """The rows of a table, counted."""

    records: int
    """With an id and a vector that can be used."""
    left_out: tuple[LeftOut, ...] = ()
    """The others, by reason."""
    remarks: tuple[LeftOut, ...] = ()
    """Of those that are records: vectors whose length is not 1, say."""


def check_rows(table: str, changed: int, ids: Sequence[str], there: int | None = None) -> int:
    """Refuse a change, before it is committed, that met other rows than those that are records.

    Args:
        table: as its owner calls it.
        changed: how many rows the database changed.
        ids: of the records that are meant.
        there: how many of them the table had; None: all.

    Returns:
        `changed`.

    Raises:
        Unanswerable: several rows have one of the ids.
    """
    if changed > min(len(set(ids)), len(ids) if there is None else there):
        several = f"the id {ids[0]!r}" if len(set(ids)) == 1 else "one of these ids"
        raise Unanswerable(
            f"{table}: several rows have {several}, and one of them is the record: nothing is changed. "
            f"`lookalike attach --id` names a column that each row has a value of its own in"
        )
    return changed


class ForeignTable(Protocol):
    """One attached table: what is asked of its rows that have an id and a vector that can be used.

    Of rows with one id the first that is met counts, everywhere the same one if that can be had.
    """

    def state(self) -> Hashable | None:
        """Return what changes whenever the table may have changed; None where nothing tells."""
        ...

    def tally(self, *, thorough: bool = False) -> Tally:
        """Count the rows.

        Args:
            thorough: also look at each vector, for what is to be told once: lengths, duplicate ids.
        """
        ...

    def ids(self, where: Where | None = None, having: str | None = None) -> list[str]:
        """Return the ids of the records that match, sorted."""
        ...

    def rows(self, ids: Sequence[str] | None = None) -> Iterable[ForeignRow]:
        """Return the rows with these ids, or all, in any order; it is read to its end at once."""
        ...

    def vectors(self, ids: Sequence[str]) -> tuple[list[str], Vectors]:
        """Return those of these ids that are there, in any order, and their vectors: float32, of length 1."""
        ...

    def nearest(self, queries: Vectors, query: Query) -> list[list[tuple[str, float]]]:
        """Return ids and exact similarities of the nearest neighbours of each query: see `Backend.nearest`.

        Args:
            queries: float32 of shape (queries, dimension), each row of length 1.
            query: what else is asked; `approximate` by the index that the table has, where one serves.
        """
        ...

    def index(self) -> str:
        """Return what kind of index serves approximate searches.

        Raises:
            Unanswerable: none does; the line says why, and what its owner can do.
        """
        ...

    def update(self, changes: Mapping[str, Mapping[str, Change]]) -> None:
        """Change columns of some rows, all or none; ids that are gone are ignored.

        Args:
            changes: by id and column, what makes the new value of the one that is there in the transaction.

        Raises:
            Unanswerable: see `check_rows`.
        """
        ...

    def remove(self, ids: Sequence[str]) -> int:
        """Delete the rows with these ids, all or none, and return how many there were.

        Raises:
            Unanswerable: see `check_rows`.
        """
        ...


class ForeignDatabase(Protocol):
    """A database whose tables can be attached. Threads may share it."""

    def find(self, table: str) -> FoundTable:
        """Look at a table or view.

        Args:
            table: its name as the user wrote it.

        Raises:
            NotFound: there is none; the line names those with vectors.
            InvalidArgument: it cannot be read, and why.
        """
        ...

    def open(self, attachment: Attachment) -> ForeignTable:
        """Return a table that was attached; nothing is asked yet."""
        ...

    def sql(self, attachments: Sequence[Attachment], statement: str, seconds: float) -> Table | None:
        """Answer a statement that only reads, in which attached tables have the names of their collections.

        Returns:
            None where the store's own `Backend.sql` answers as well.
        """
        ...

    def close(self) -> None:
        """Give back connections. A second call does nothing; another call opens them again."""
        ...
