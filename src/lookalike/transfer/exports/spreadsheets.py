"""Cells of tables that people open with a spreadsheet, which calculates what looks like a formula."""

from __future__ import annotations

# What makes a spreadsheet calculate a cell: https://owasp.org/www-community/attacks/CSV_Injection.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def plain_cell(value: object) -> object:
    """Return a value as no spreadsheet calculates it: a text that looks like a formula has a quotation mark.

    At the beginning it says that a text follows, and is not shown by most.
    """
    if isinstance(value, str) and value.lstrip(" ").startswith(_FORMULA):
        return f"'{value}"
    return value
