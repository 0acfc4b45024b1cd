"""What was read from a store, held against its checksums before anybody uses it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.checksums import file_checksum, labels_checksum, vector_checksum
from lookalike.stores.checks import LENGTH_TOLERANCE
from lookalike.stores.damage import Fault
from lookalike.types import Record, Stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from lookalike.types import Fields, Vectors, Where


class DamagedCandidates(Exception):
    """Some of a server's candidates are damaged: it has to be asked again without them."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults
        super().__init__()


CHANGED_VECTOR = "its vector is not the one that was stored (its checksum differs)"
CHANGED_FILE = "its URI, digest, size or date is not what was stored (the checksum differs)"
CHANGED_LABELS = "its fields or metadata are not what was stored (the checksum differs)"
CHANGED_FILTER = "what filters compare is not what its fields say"
LOST_RECORD = "an index of the database names it, and its row is not there"
LOST_VECTOR = "its vector {!r} is not there"


def verify_vectors(
    ids: Sequence[Any], checksums: Sequence[Any], contents: Sequence[Any], dimension: int
) -> tuple[Vectors, list[int]]:
    """Return stored vectors, and which of them are damaged.

    Args:
        ids: of the records, as they were read.
        checksums: `vector_checksum` of each, as it was read.
        contents: the numbers of each as little-endian float32, as they were read.
        dimension: that they must have.

    Returns:
        float32 of shape (ids, dimension), of which the row of a damaged vector is an axis of the space, so
        that it can be computed with; and the damaged rows, rising.
    """
    size = 4 * dimension
    wrong = [
        row
        for row, (identity, checksum, content) in enumerate(zip(ids, checksums, contents, strict=True))
        if not isinstance(content, bytes)
        or len(content) != size
        or not isinstance(identity, str)
        or vector_checksum(identity, content) != checksum
    ]
    if wrong:
        axis = np.zeros(dimension, "<f4")
        axis[:1] = 1
        contents = list(contents)
        for row in wrong:
            contents[row] = axis.tobytes()
    # Of a bytearray, so that it can be written to.
    found = np.frombuffer(bytearray().join(contents), "<f4").reshape(len(contents), dimension)
    return found.astype(np.float32, copy=False), wrong


def sound_vectors(
    rows: Sequence[Sequence[Any]], dimension: int
) -> tuple[dict[str, int], Vectors, list[Fault]]:
    """Return stored vectors, and what is wrong with those that are damaged.

    Args:
        rows: id, checksum and numbers of each, as they were read.
        dimension: that they must have.

    Returns:
        The row of each id whose vector is sound; float32 of shape (rows, dimension); and the faults.
    """
    ids, checksums, contents = zip(*rows, strict=True) if rows else ((), (), ())
    vectors, wrong = verify_vectors(ids, checksums, contents, dimension)
    damaged = set(wrong)
    places = {str(identity): row for row, identity in enumerate(ids) if row not in damaged}
    return (
        places,
        vectors,
        [Fault(str(ids[row]), None, vector_fault(contents[row], dimension)) for row in wrong],
    )


def sound_candidates(rows: Sequence[Sequence[Any]], dimension: int) -> tuple[list[str], Vectors]:
    """Return ids and vectors of a server's candidates, see `sound_vectors`.

    Raises:
        DamagedCandidates: some are damaged.
    """
    places, vectors, faults = sound_vectors(rows, dimension)
    if faults:
        raise DamagedCandidates(faults)
    return list(places), vectors


def vector_fault(content: object, dimension: int) -> str:
    """Return in words what is wrong with a stored vector whose checksum does not fit.

    Args:
        content: as it was read.
        dimension: that it should have.
    """
    if not isinstance(content, bytes):
        return "its vector is no row of numbers"
    if len(content) != 4 * dimension:
        return f"its vector has {len(content):,} bytes, not {4 * dimension:,}"
    with np.errstate(all="ignore"):  # a signalling NaN warns where it is converted
        numbers = np.frombuffer(content, "<f4").astype(np.float64)
        length = float(np.sqrt(numbers.dot(numbers)))
    if not np.isfinite(numbers).all():
        return "its vector has numbers that are not finite (NaN or infinite)"
    if not length:
        return "its vector is all zeros"
    if abs(length - 1) > LENGTH_TOLERANCE:
        return f"its vector has length {length:.6g}, not 1"
    return CHANGED_VECTOR


def read_record(row: Sequence[Any]) -> Record | Fault:
    """Return the record of a row, or what is wrong with it.

    Args:
        row: id, uri, digest, fields and metadata as JSON, size, modified_ns, `file_checksum`,
            `labels_checksum`; anything may be anything.
    """
    identity, uri, digest, fields, metadata, size, modified_ns, of_file, of_labels = row
    name, known_uri = str(identity), uri if isinstance(uri, str) else None
    if file_checksum(name, str(uri), str(digest), size, modified_ns) != of_file:
        return Fault(name, known_uri, CHANGED_FILE)
    if labels_checksum(name, str(fields), str(metadata)) != of_labels:
        return Fault(name, known_uri, CHANGED_LABELS)
    try:
        return Record(identity, uri, digest, json.loads(fields), json.loads(metadata), size, modified_ns)
    except (TypeError, ValueError) as error:
        return Fault(name, known_uri, f"its labels do not read: {error}")


def sound_records(
    rows: Iterable[Sequence[Any]],
    note: Callable[[list[Fault]], None],
    where: Where | None = None,
    having: str | None = None,
) -> dict[str, Record]:
    """Return the records of rows by id, without those that are damaged.

    Args:
        rows: see `read_record`.
        note: told what is wrong with those that are left out.
        where: what a filter let through: their own fields must match as well.
        having: the field that a filter asked for.
    """
    sound: dict[str, Record] = {}
    faults: list[Fault] = []
    for row in rows:
        record = read_record(row)
        if isinstance(record, Fault):
            faults.append(record)
        elif not fields_match(record.fields, where, having):
            faults.append(Fault(record.id, record.uri, CHANGED_FILTER))
        else:
            sound[record.id] = record
    if faults:
        note(faults)
    return sound


def sound_stamps(
    rows: Iterable[Sequence[Any]], note: Callable[[list[Fault]], None]
) -> Iterator[tuple[str, Stamp]]:
    """Yield uri and stamp of rows, without those that name another file than they did.

    Args:
        rows: uri, id, size, modified_ns, labels_digest, digest, `file_checksum`.
        note: told what is wrong with those that are left out.
    """
    faults: list[Fault] = []
    for uri, identity, size, modified_ns, labels, digest, checksum in rows:
        if file_checksum(str(identity), str(uri), str(digest), size, modified_ns) == checksum:
            yield uri, Stamp(identity, size, modified_ns, labels)
        else:
            faults.append(Fault(str(identity), uri if isinstance(uri, str) else None, CHANGED_FILE))
    note(faults)


def fields_match(fields: Fields, where: Where | None, having: str | None = None) -> bool:
    """Tell whether fields match, by the rules of `Where`.

    Args:
        fields: of one record.
        where: every field named must equal one of its values.
        having: a field that must be there.
    """
    if having is not None and having not in fields:
        return False
    for name, values in (where or {}).items():
        if name not in fields:
            return False
        value = fields[name]
        if not any(value == one and isinstance(value, bool) is isinstance(one, bool) for one in values):
            return False
    return True
