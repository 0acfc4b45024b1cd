"""What columns that hold fields are called: as the fields are, unless another column is called so."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

FIELD = "field."
"""Stands before the name of a field that is that of another column, or that begins so itself."""


def field_columns(fields: Iterable[str], others: Iterable[str]) -> dict[str, str]:
    """Return the column of each field, by its name, in order of the names.

    No two have the same, and `column_field` tells the field of each.

    Args:
        fields: names of fields.
        others: names of all columns that are no field.
    """
    taken = frozenset(others)
    return {
        name: FIELD + name if name in taken or name.startswith(FIELD) else name for name in sorted(fields)
    }


def column_field(column: str, others: Container[str]) -> str:
    """Return the field that a column is of.

    Args:
        column: its name.
        others: names of columns that are no field.
    """
    name = column.removeprefix(FIELD)
    return name if name != column and (name in others or name.startswith(FIELD)) else column
