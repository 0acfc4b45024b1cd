"""What the stores that answer SQL statements share: limits of an answer, and texts as SQL can hold them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.errors import QueryStopped

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SECONDS = 60.0
"""In which a statement is answered, where nothing else is said."""
MOST_BYTES = 1 << 30
"""Of an answer, which is held in memory: 200,000 vectors of 1,280 numbers."""

# Of a value beside its content, and of a row: what Python takes.
_VALUE_BYTES = 50
_ROW_BYTES = 100


class AnswerLimit:
    """The memory that an answer may still take."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        """Begin with all of it.

        Args:
            most: bytes.
        """
        self._most = self._left = most

    def take(self, row: Sequence[object]) -> None:
        """Make room for a row.

        Raises:
            QueryStopped: there is none left.
        """
        self._left -= _ROW_BYTES + sum(
            _VALUE_BYTES + (len(value) if isinstance(value, str | bytes) else 0) for value in row
        )
        if self._left < 0:
            raise QueryStopped(
                f"the answer has more than {self._most >> 20:,} MB: ask for fewer rows (LIMIT) or columns"
            )


def insert_statement(table: str, columns: Iterable[str], mark: str = ":{}") -> str:
    """Return the INSERT of one row.

    Args:
        table: our own.
        columns: our own, each of which is the name of what is bound to it.
        mark: how a statement names what is bound.
    """
    names = list(columns)
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(map(mark.format, names))})"  # noqa: S608


def too_long(seconds: float) -> QueryStopped:
    """Return the error of a statement that was not answered in time."""
    line = f"stopped, for it was not answered within {seconds:g} seconds"
    return QueryStopped(f"{line}; `lookalike sql --max-seconds N` allows more")


def sql_text(text: str) -> str:
    """Return text fit for SQL: NUL characters and bytes that are no UTF-8 become escapes as in Python."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
