"""Texts, fields and vectors in the forms that PostgreSQL and pgvector store.

Its texts and its jsonb take neither NUL characters nor halves of surrogate pairs, which is what Python makes
of names that are no UTF-8. They are written as U+001A, "substitute", and four hexadecimal digits; so is
U+001A itself, so that two texts are never stored as one.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.types import Fields, Scalar, Vectors

_UNFIT = re.compile("[\0\x1a\ud800-\udfff]")
_STORED = re.compile("\x1a([0-9a-f]{4})")


def stored_text(text: str) -> str:
    """Return the text that stands for `text` in the database; most texts stand for themselves."""
    return _UNFIT.sub(lambda found: f"\x1a{ord(found[0]):04x}", text)


def given_text(stored: str) -> str:
    """Return the text that `stored_text` was given."""
    return _STORED.sub(lambda found: chr(int(found[1], 16)), stored)


def stored_fields(fields: Fields) -> str:
    """Return fields as the text of the jsonb that filters compare and SQL sees."""
    return json.dumps(
        {stored_text(name): _stored_value(value) for name, value in fields.items()}, ensure_ascii=False
    )


def stored_value(value: Scalar) -> str:
    """Return a value as the text of the jsonb that it has in `stored_fields`."""
    return json.dumps(_stored_value(value), ensure_ascii=False)


def _stored_value(value: Scalar) -> Scalar:
    if isinstance(value, str):
        return stored_text(value)
    # A float that is whole is the integer of the same value, in all its digits: jsonb compares decimals, and
    # 1e23 is not 10**23. Others equal no integer, and no other float that is written in other digits.
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def binary_vectors(vectors: Vectors) -> list[bytes]:
    """Return vectors as pgvector sends and receives them: dimension, 0, then big-endian float32.

    Args:
        vectors: float32 of shape (rows, dimension).
    """
    rows = np.zeros(len(vectors), _layout(vectors.shape[1]))
    rows["dimension"] = vectors.shape[1]
    rows["numbers"] = vectors
    return [row.tobytes() for row in rows]


def read_vectors(rows: Sequence[bytes], dimension: int) -> Vectors:
    """Return the vectors of `binary_vectors`: float32 of shape (rows, dimension).

    Raises:
        ValueError: they have another dimension.
    """
    found = np.frombuffer(b"".join(rows), _layout(dimension))
    if len(found) != len(rows) or (found["dimension"] != dimension).any():
        raise ValueError(f"a vector has not {dimension} dimensions")
    return found["numbers"].astype(np.float32)


def little_endian(rows: Sequence[bytes], dimension: int) -> list[bytes]:
    """Return the numbers of the vectors of `binary_vectors` as little-endian float32.

    Those of another dimension come as they are, without the head.
    """
    try:
        whole = read_vectors(rows, dimension).astype("<f4", copy=False).tobytes()
    except ValueError:
        return [
            np.frombuffer(row[4 : len(row) - len(row) % 4], ">f4").astype("<f4").tobytes() for row in rows
        ]
    size = 4 * dimension
    return [whole[start : start + size] for start in range(0, len(whole), size)]


def _layout(dimension: int) -> np.dtype[np.void]:
    # vector_send in pgvector's src/vector.c.
    return np.dtype([("dimension", ">u2"), ("unused", ">u2"), ("numbers", ">f4", (dimension,))])
