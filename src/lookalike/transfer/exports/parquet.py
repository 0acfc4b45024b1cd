"""Rows of a collection as a Parquet file, which `lookalike import` reads back to the last bit."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import IO, TYPE_CHECKING, Any

from lookalike.arrow import pyarrow
from lookalike.column_names import field_columns
from lookalike.errors import StoreBusy
from lookalike.transfer.exports.columns import (
    CONFIDENCE,
    OWN,
    PREDICTED,
    VECTOR,
    mixed_text,
)
from lookalike.transfer.exports.rows import own_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lookalike.transfer.exports.rows import Batch, Rows
    from lookalike.types import Fields, Scalar

NOTE = b"lookalike"
"""The key of the file's metadata under which it says what its columns are."""

# Bytes of vectors that a row group has: what a reader holds at once.
_GROUP = 1 << 25
# Integers that a double holds exactly.
_EXACT = 1 << 53


def write_parquet(rows: Rows, file: IO[bytes]) -> int:
    """Write a Parquet file, and return how many rows it has.

    The columns of `columns.OWN` (metadata is JSON), a column for each field, of the type that its values
    have, what was predicted, and `vector_NAME`, a list of float32 of fixed size. A field whose values are
    of several types is text, as `columns.mixed_text` writes it.

    Args:
        rows: read twice: which types the fields have is found out first.
        file: to write to.

    Raises:
        ExtraMissing: pyarrow is not installed.
        StoreBusy: another process gave a field values of another type meanwhile.
    """
    pa = pyarrow("Parquet")
    types = _field_types(record.fields for records in rows.records() for record in records)
    told: list[str] = []
    guessed = "str"
    if rows.predictions is not None:
        told = [PREDICTED + rows.predictions.by, CONFIDENCE + rows.predictions.by]
        labels = ({"": each.label} for each in rows.predictions.of.values())
        guessed = _field_types(labels).get("", guessed)
    others = [*OWN, *told, *(VECTOR + each.name for each in rows.vectors)]
    columns = field_columns(types, others)
    schema = pa.schema(
        [
            *(pa.field(name, _own_type(pa, name)) for name in OWN),
            *(pa.field(column, _field_array(pa, [], types[name]).type) for name, column in columns.items()),
            *(pa.field(name, _field_array(pa, [], guessed).type) for name in told[:1]),
            *(pa.field(name, pa.float64()) for name in told[1:]),
            *(
                pa.field(VECTOR + each.name, pa.list_(pa.float32(), each.space.dimension))
                for each in rows.vectors
            ),
        ],
        metadata={NOTE: json.dumps(_note(rows, types, columns)).encode()},
    )
    numbers = sum(each.space.dimension for each in rows.vectors)
    group = max(1, min(10_000, _GROUP // (4 * numbers + 1)))
    count = 0
    with pa.parquet.ParquetWriter(
        file, schema, compression="zstd", use_dictionary=[*columns.values(), *told[:1]]
    ) as writer:
        for batch in rows.batches():
            table = pa.Table.from_arrays(list(_arrays(pa, rows, batch, types, guessed)), schema=schema)
            writer.write_table(table, row_group_size=group)
            count += len(batch.records)
    return count


def _note(rows: Rows, types: dict[str, str], columns: dict[str, str]) -> dict[str, Any]:
    """Return what the file says of itself."""
    return {
        "version": 1,
        "collection": rows.collection.name,
        "fields": {
            column: {"name": name, "mixed": types[name] == "mixed"} for name, column in columns.items()
        },
        "vectors": {VECTOR + each.name: {"name": each.name, **asdict(each.space)} for each in rows.vectors},
        "default": rows.collection.default,
    }  # fmt: skip


def _field_types(records: Iterable[Fields]) -> dict[str, str]:
    """Return the type of each field's values, by name in order: str, bool, int, float, or mixed."""
    kinds: dict[str, set[str]] = {}
    for fields in records:
        for name, value in fields.items():
            large = type(value) is int and abs(value) > _EXACT
            kinds.setdefault(name, set()).add("large" if large else type(value).__name__)
    return {name: _type(kinds[name]) for name in sorted(kinds)}


def _type(kinds: set[str]) -> str:
    if kinds <= {"int", "large"}:
        return "int"
    if kinds <= {"int", "float"}:  # 3 and 3.0 are one value to every filter and vote
        return "float"
    return kinds.pop() if len(kinds) == 1 else "mixed"


def _arrays(pa: Any, rows: Rows, batch: Batch, types: dict[str, str], guessed: str) -> Iterator[Any]:
    """Yield the columns of some rows, in the order of the schema."""
    own = [own_values(record) for record in batch.records]
    for name in OWN[:-1]:
        yield pa.array([each[name] for each in own], _own_type(pa, name))
    yield pa.array([json.dumps(dict(record.metadata)) for record in batch.records], pa.string())
    yield from _fields_arrays(pa, rows, batch, types)
    if rows.predictions is not None:
        found = [rows.predictions.of.get(record.id) for record in batch.records]
        yield _field_array(pa, [None if each is None else each.label for each in found], guessed)
        yield pa.array([None if each is None else each.confidence for each in found], pa.float64())
    for each in rows.vectors:
        vectors = batch.vectors[each.name]
        yield pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), each.space.dimension)


def _fields_arrays(pa: Any, rows: Rows, batch: Batch, types: dict[str, str]) -> list[Any]:
    changed = "fields were changed while they were exported: run it again"
    if any(name not in types for record in batch.records for name in record.fields):
        raise StoreBusy(rows.store.url, changed)
    try:
        return [
            _field_array(pa, [record.fields.get(name) for record in batch.records], kind)
            for name, kind in types.items()
        ]
    except (pa.ArrowException, TypeError) as error:
        raise StoreBusy(rows.store.url, changed) from error


def _own_type(pa: Any, name: str) -> Any:
    return pa.int64() if name in ("size", "modified_ns") else pa.string()


def _field_array(pa: Any, values: Sequence[Scalar | None], kind: str) -> Any:
    """Return the values of a field as an array.

    Raises:
        ArrowInvalid, ArrowTypeError: one is not of that type.
    """
    if kind == "mixed":
        return pa.array([None if value is None else mixed_text(value) for value in values], pa.string())
    types = {"bool": pa.bool_(), "int": pa.int64(), "float": pa.float64(), "str": pa.string()}
    return pa.array(values, types[kind])
