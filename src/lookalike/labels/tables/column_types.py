"""Types of the columns of a CSV file: numbers, booleans, lists or text."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from lookalike.labels.fields import INTEGERS, scalar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lookalike.types import Scalar

# What is written back as it was read: 007 and +82 are names of something, not numbers. ASCII digits only.
_INTEGER = re.compile(r"0|-?[1-9][0-9]*")
_DECIMAL = re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_BOOLEANS = {"true": True, "false": False}


def typed(values: Sequence[str]) -> list[Scalar | None]:
    """Return the values of a column in the one type that all of them have.

    Args:
        values: as they stand in the file; empty where absent.

    Returns:
        In the order given: integers and decimals where every value is a number, booleans where every value
        is true or false in any case, else the text; None where absent. Numbers with leading zeros or a plus
        sign, beyond 64 bits or the range of a double, `nan` and `inf` are text.
    """
    readers: tuple[Callable[[str], Scalar | None], ...] = (_number, _boolean)
    for read in readers:
        found: list[Scalar | None] = []
        for value in values:
            item = read(value) if value else None
            if value and item is None:
                break
            found.append(item)
        else:
            return found
    return [value or None for value in values]


def _number(text: str) -> int | float | None:
    if _INTEGER.fullmatch(text):
        # The longest in 64 bits, -2**63, has 20 characters; int() refuses thousands of digits.
        return number if len(text) <= 20 and (number := int(text)) in INTEGERS else None
    if not _DECIMAL.fullmatch(text):
        return None
    value = scalar(float(text))
    return value if isinstance(value, float) else None


def _boolean(text: str) -> bool | None:
    return _BOOLEANS.get(text.lower())


_WITH_COMMA = re.compile(
    r"-?(?:(?:0|[1-9][0-9]*)|[1-9][0-9]{0,2}(?:\.[0-9]{3})+)(?:,[0-9]+)?(?:[eE][+-]?[0-9]+)?"
)
_THOUSANDS = re.compile(r"-?[1-9][0-9]{0,2}(?:,[0-9]{3})+")


def decimal_comma(values: Sequence[str]) -> list[str] | None:
    """Return the values of a column with points for decimal commas, or None where they are no such numbers.

    Points that part thousands are left out.

    `1,234` alone may be a thousand and more: a column where each comma has three digits after it is left
    alone, but where a number begins with 0.
    """
    commas = [value for value in values if "," in value]
    if not commas or not all(_WITH_COMMA.fullmatch(value) for value in values if value):
        return None
    if all(_THOUSANDS.fullmatch(value) for value in commas):
        return None
    return [value.replace(".", "").replace(",", ".") for value in values]


_LONGEST_LIST = 10_000


def listed(text: str) -> list[str] | None:
    """Return the strings of a list that a program has written into one cell, as JSON or as Python does.

    Returns:
        None where it is none: `['hole', 'stain']` is one, `[3, 4]` and `[hole]` are text.
    """
    if not (text.startswith("[") and text.endswith("]") and len(text) <= _LONGEST_LIST):
        return None
    try:
        values = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return values if values and all(isinstance(value, str) for value in values) else None
