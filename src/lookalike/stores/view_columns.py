"""Names of the columns that a collection's view has, in the stores that speak SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from lookalike.stores.entry import Entry, VectorEntry

COLUMNS = ("id", "uri", "path", "digest", "metadata", "vector")
"""Those that every view has; `vector` is the default vector."""


class ColumnNames:
    """The names that the columns of one view have, each of another column."""

    def __init__(
        self,
        taken: Iterable[str],
        *,
        most_bytes: int | None = None,
        same: Callable[[str], Hashable] = lambda name: name.encode().lower(),
    ) -> None:
        """Begin with those that there are.

        Args:
            taken: names of columns.
            most_bytes: of UTF-8 that a name may have; longer ones are cut. None for any number.
            same: equal for names that the database, or a reader, takes for the same: without regard to
                ASCII case unless told otherwise.
        """
        self._most_bytes = most_bytes
        self._same = same
        self._taken = set(map(same, taken))

    def take(self, name: str) -> str:
        """Return the name of a new column: this one, or where that is taken with `_2`, `_3` … at its end."""
        column, counter = self._cut(name), 2
        while self._same(column) in self._taken:
            column, counter = self._cut(name, f"_{counter}"), counter + 1
        self._taken.add(self._same(column))
        return column

    def _cut(self, name: str, suffix: str = "") -> str:
        return (name if self._most_bytes is None else cut(name, self._most_bytes - len(suffix))) + suffix


def cut(text: str, count: int) -> str:
    """Return the beginning of a text that UTF-8 holds in `count` bytes."""
    return text.encode()[:count].decode("utf-8", "ignore")


def vector_column(name: str) -> str:
    """Return what the column of a vector is called that is not the default, unless a field has that name."""
    return f"vector_{name}"


def further_vectors(entry: Entry) -> list[VectorEntry]:
    """Return the vectors beside the default one that are ready: those that have a column of their name."""
    default = entry.ready()
    return [one for one in entry.vectors if one.info.ready and one is not default]
