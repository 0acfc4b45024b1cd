"""Values of fields as texts, for stores that compare no values but what stands for them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lookalike.types import Scalar


def comparable(value: Scalar) -> str | None:
    """Return a text that is equal for values that `Where` takes for equal; None for what equals nothing.

    Numbers compare as numbers, a boolean only with a boolean, a string only with a string.
    """
    if isinstance(value, str):
        return f"s{value}"
    if isinstance(value, bool):
        return f"b{value:d}"
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        if not value.is_integer():
            return f"n{value.hex()}"
        value = int(value)
    return f"n{value:x}"  # hexadecimal: Python refuses to write very long integers in decimal
