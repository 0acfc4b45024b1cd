"""Vectors in single cells of a table: lists, bytes, and the texts that programs make of them."""

from __future__ import annotations

import base64
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.vectors.written_vectors import FEWEST, NPY, read_npy, read_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HEXADECIMAL = re.compile(r"\\x((?:[0-9A-Fa-f]{2})+)")


def narrow(numbers: NDArray[Any]) -> NDArray[np.float32]:
    """Return numbers as float32; what becomes infinite is told by who looks at it."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.ascontiguousarray(numbers, np.float32)


def read_cell(value: object, bytes_of: str = "<f4") -> NDArray[np.float32] | str | None:
    """Return the vector in one cell: numbers, their bytes, or a text of either.

    Args:
        value: of the cell.
        bytes_of: NumPy's name of the type that bytes hold.

    Returns:
        None where there is none, a text where it cannot be read.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        if isinstance(value, str):
            value = bytes_in(value) or read_text(value)
        if isinstance(value, bytes) and value.startswith(NPY):
            value = read_npy(value)
        if isinstance(value, bytes):
            return narrow(np.frombuffer(value, bytes_of))
        found = np.array(value, np.float64)
    except (TypeError, ValueError, OverflowError, RecursionError, EOFError):
        return "text"
    one_row = found.size > 0 and found.size == max(found.shape, default=0)  # [[0.1, 0.2]] is one, too
    return narrow(found.reshape(-1)) if one_row else "text"


def is_vector(value: object, *, named: bool) -> bool:
    """Tell whether a cell holds a vector.

    Args:
        value: of the cell.
        named: whether the column is called as those of vectors are: then whole numbers and bytes are, too.
    """
    if isinstance(value, bytes):
        return named and len(value) >= 2 * np.dtype("<f4").itemsize and not len(value) % 4
    if isinstance(value, str):
        try:
            numbers = read_text(value)
        except (ValueError, RecursionError):
            return named and bytes_in(value) is not None
        bare = value.strip()[:1].isdigit() or value.strip()[:1] in "-+."
        return _are_numbers(numbers, named=named) and (not bare or len(numbers) >= FEWEST)
    return isinstance(value, list) and _are_numbers(value, named=named)


def is_cut_off(value: object) -> bool:
    """Tell whether a text is a vector that NumPy has shortened by dots, as it does above 1,000 numbers."""
    return isinstance(value, str) and "..." in value and value.lstrip()[:1] in ("[", "a")


def _are_numbers(found: list[Any], *, named: bool) -> bool:
    if len(found) == 1 and isinstance(found[0], list):
        found = found[0]
    numbers = [one for one in found if one is not None]  # JSON writes what is not finite as null
    return (
        len(found) > 1
        and len(numbers) > 0
        and all(isinstance(one, int | float | Decimal) and not isinstance(one, bool) for one in numbers)
        and (named or any(not isinstance(one, int) for one in numbers))
    )


def bytes_in(text: str) -> bytes | None:
    """Return numbers in a text, as PostgreSQL prints bytes or in base64; None where it is neither."""
    hexadecimal = _HEXADECIMAL.fullmatch(text.strip())
    if hexadecimal is not None:
        data = bytes.fromhex(hexadecimal[1])
    else:
        try:
            data = base64.b64decode(text.strip(), validate=True)
        except ValueError:
            return None
    return data if len(data) >= 2 * np.dtype("<f4").itemsize and not len(data) % 4 else None
