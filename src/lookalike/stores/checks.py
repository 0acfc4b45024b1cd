"""What every store refuses, so that all of them refuse the same."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import InvalidArgument, SpaceMismatch, StoreNewer, StoreOlder
from lookalike.file_names import display

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lookalike.types import Fields, Metadata, Record, Space, Vectors

NAME_LENGTH = 64
"""Characters in the name of a collection."""

ID_LENGTH = 512
"""Characters in the id of a record: bytes of an `_id` in Elasticsearch, at most (Elastic's reference)."""

RESERVED = ("lookalike_", "sqlite_")
"""Beginnings of names that belong to our own tables and to SQLite's (sqlite.org/fileformat2.html, 2.6)."""

LENGTH_TOLERANCE = 1e-4
ROUNDING = 1e-6
"""float32 leaves a normalised vector this close to length 1; what is further off is normalised again, so that
a dot product is a cosine to 1e-5 in every store."""
_INT64 = 1 << 63
_VECTOR_NAME = re.compile(f"[a-z][a-z0-9_-]{{0,{NAME_LENGTH - 1}}}")


def collection_name(name: str) -> str:
    """Return the name of a collection as stores keep it: Unicode NFC, so that one name is one text.

    Raises:
        InvalidArgument: it has characters other than letters, digits, `_` and `-` of any script, is longer
            than `NAME_LENGTH`, or begins as one of `RESERVED`.
    """
    name = unicodedata.normalize("NFC", name)
    # Marks (M) are parts of letters in Devanagari, Thai and others.
    usable = all(c in "_-" or unicodedata.category(c)[0] in "LNM" for c in name)
    if not usable or not 1 <= len(name) <= NAME_LENGTH:
        raise InvalidArgument(
            f"{display(name)!r} cannot name a collection: letters, digits, _ and - can, at most {NAME_LENGTH}"
        )
    if name.casefold().startswith(RESERVED):
        raise InvalidArgument(f"{name!r} cannot name a collection: {' and '.join(RESERVED)} are reserved")
    return name


def vector_name(name: str) -> str:
    """Return the name of a vector.

    Raises:
        InvalidArgument: it is not 1 … 64 of a-z, 0-9, `_` and `-`, of which the first is a letter.
    """
    if not _VECTOR_NAME.fullmatch(name):
        raise InvalidArgument(
            f"{display(name)!r} cannot name a vector: a-z, 0-9, _ and - can, a letter first, at most "
            f"{NAME_LENGTH}"
        )
    return name


def same_name(name: str) -> str:
    """Return the text that is equal for names of the same collection: no case, Unicode NFC."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def is_usable_id(text: str) -> bool:
    """Tell whether a record can have this id, or its file this digest."""
    return text.isascii() and 1 <= len(text) <= ID_LENGTH and "\0" not in text


def usable_ids(ids: Iterable[str]) -> list[str]:
    """Return those that can be the id of a record, each once; other text is the id of nothing."""
    return [one for one in dict.fromkeys(ids) if is_usable_id(one)]


def check_records(records: Sequence[Record]) -> None:
    """Refuse what no store may hold.

    Raises:
        InvalidArgument: an id is there twice or is no `is_usable_id`, or a URI or digest is not plain ASCII.
    """
    seen = set()
    for record in records:
        if record.id in seen:
            raise InvalidArgument(f"record {display(record.id)} is there twice in one call")
        seen.add(record.id)
        if not record.id.isascii() or not record.uri.isascii() or not record.digest.isascii():
            raise InvalidArgument(f"record {display(record.id)}: id, URI and digest are plain ASCII")
        if not is_usable_id(record.id):
            raise InvalidArgument(
                f"record {display(record.id[:64])!r}: an id has 1 to {ID_LENGTH} characters, none of them NUL"
            )


def check_fields(record: str, fields: Fields) -> None:
    """Refuse fields that some store could not give back.

    Raises:
        InvalidArgument: a value is no string, boolean, finite number, or is an integer beyond 64 bits.
    """
    for name, value in fields.items():
        if isinstance(value, (str, bool)):
            continue
        if isinstance(value, int) and -_INT64 <= value < _INT64:
            continue
        if isinstance(value, float) and math.isfinite(value):
            continue
        raise InvalidArgument(
            f"record {display(record)}: field {display(name[:64])!r} is {display(f'{value!r:.64}')}; "
            f"a string, a boolean, a finite number or an integer of at most 64 bits can be a field"
        )


def metadata_text(record: str, metadata: Metadata) -> str:
    """Return metadata as JSON text that UTF-8 can encode and that reads back as it was.

    Raises:
        InvalidArgument: it is not JSON (NaN and infinities are not: RFC 8259, section 6).
    """
    try:
        text = json.dumps(metadata, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArgument(f"record {display(record)}: its metadata is not JSON: {error}") from error
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate, from a name that is no UTF-8
        return json.dumps(metadata)
    return text


def unit_vectors(collection: str, space: Space, vectors: Vectors, count: int | None = None) -> Vectors:
    """Return `vectors` fit to be kept or searched with: C order, float32, each row of length 1.

    Args:
        collection: its name, for messages.
        space: where they belong.
        vectors: shape (rows, dimension), each row of length 1 to `LENGTH_TOLERANCE`. Rows that are off by
            more than float32 rounding are normalised, all others are returned bit by bit.
        count: rows that there must be.

    Raises:
        InvalidArgument: not that many rows, or one is not of length 1 (or not finite).
        SpaceMismatch: the dimension is not that of the space.
    """
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    if vectors.ndim != 2 or (count is not None and len(vectors) != count):
        rows = "rows" if count is None else count
        raise InvalidArgument(f"vectors need the shape ({rows}, dimension), these have {vectors.shape}")
    if vectors.shape[1] != space.dimension:
        raise SpaceMismatch(collection, str(space), f"{vectors.shape[1]} dimensions")
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    off = np.abs(lengths - 1)
    wrong = np.flatnonzero(~(off <= LENGTH_TOLERANCE))  # negated, so that NaN is wrong
    if wrong.size:
        raise InvalidArgument(f"vector {wrong[0]} has length {lengths[wrong[0]]:.6g}, it must be 1")
    again = off > ROUNDING
    if again.any():
        vectors = vectors.copy()
        vectors[again] = vectors[again] / lengths[again, None]
    return vectors


def check_version(url: str, version: int, ours: int) -> None:
    """Refuse a store whose tables have another version than this program writes.

    Args:
        url: of the store, without a password.
        version: of its tables.
        ours: the only one that is read.

    Raises:
        StoreNewer: a later lookalike made them.
        StoreOlder: an earlier one did.
    """
    if version > ours:
        raise StoreNewer(url)
    if version < ours:
        raise StoreOlder(url)


def check_k(k: int) -> None:
    """Refuse to look for no neighbour.

    Raises:
        InvalidArgument: k is below 1.
    """
    if k < 1:
        raise InvalidArgument(f"k must be at least 1, not {k}")
