"""Vectors as programs write them into one cell: texts of numbers, and what `numpy.save` makes."""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST = 8
"""Numbers that are taken for a vector where nothing but their count says so: fewer, in a text without
brackets, may be a size or the corners of a box."""
NPY = b"\x93NUMPY"
"""How what `numpy.save` writes begins (numpy.lib.format)."""

# As NumPy and torch print one: array([0.1, 0.2], dtype=float32), tensor([0.1], device='cuda:0').
_CALL = re.compile(r"(?:\w+\.)?(?:array|tensor)\s*\((.*?)(?:,\s*\w+=[^\[\]]*)?\)", re.DOTALL)
# And each number in a list of NumPy's: np.float32(0.1).
_SCALAR = re.compile(r"(?:\w+\.)?float(?:16|32|64)\(([^()]*)\)")
_BRACKETS = {"[": "]", "(": ")", "{": "}"}


def read_text(text: str) -> list[Any]:
    """Return the numbers in a text: a list of JSON, as programs print them, or parted by spaces or signs.

    Raises:
        ValueError: it is none.
    """
    bare = text.strip()
    called = _CALL.fullmatch(bare)
    if called is not None:
        bare = called[1].strip()
    if "(" in bare:
        bare = _SCALAR.sub(r"\1", bare)
    if bare.startswith("["):
        try:
            found: list[Any] = json.loads(bare)
        except ValueError:
            pass
        else:
            return found
    while bare and _BRACKETS.get(bare[0]) == bare[-1]:
        bare = bare[1:-1].strip()
    if ";" in bare:  # where the comma is that of decimals
        return list(map(float, bare.replace(",", ".").split(";")))
    separator = next((sign for sign in ",|" if sign in bare), None)
    return list(map(float, bare.strip(", ").split(separator)))


def read_npy(data: bytes) -> NDArray[Any]:
    """Return the array that `numpy.save` has written.

    Raises:
        ValueError, EOFError: it is none, or holds Python's objects.
    """
    found: NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    return found
