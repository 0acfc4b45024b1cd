"""How records, labels and filters look in the tables of an Oracle store: no statement, no connection.

The columns `fields` and `metadata` are for SQL, and cannot hold everything: '' is NULL to SQL, a NUMBER has
no 5e-324 and no -0.0, and a lone surrogate is no UTF-8. What a record is, is in `kept`: the same as JSON
texts, in a JSON document, whose strings are UTF-8 whatever the character set of the database is (JSON
Developer's Guide, "Character Sets and Character Encoding for JSON Data").
"""

from __future__ import annotations

import hashlib
import json
from array import array
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from lookalike.checksums import vector_checksum
from lookalike.stores.field_values import comparable
from lookalike.stores.sql import sql_text
from lookalike.stores.view_columns import COLUMNS, ColumnNames, cut, vector_column

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lookalike.stores.stored import StoredLabels, StoredRecord
    from lookalike.types import Fields, Scalar, Vectors

Row: TypeAlias = "tuple[Any, ...]"

TEXT_LENGTH = 1000
"""Bytes in `uri` and `path`. The driver allows four bytes a character, and a bind of more than 4,000 is a
LONG to the server, which it takes in few places (ORA-01461). A longer uri is in `kept` alone."""

RECORD_COLUMNS = (
    "r.id, r.uri, r.digest, r.size_bytes, r.modified_ns, r.kept, r.file_checksum, r.labels_checksum"
)
"""What is fetched of a record: see `record_row`."""

COLUMN_LENGTH = 100
"""Bytes in the name of a view's column, of 128 that Oracle has (SQL Language Reference, "Database Object
Naming Rules"), so that there is room for a number at its end."""

_NO_COLUMN = ("ROWID",)  # not even in quotes: SQL Language Reference, "Oracle SQL Reserved Words"

# The range of NUMBER: SQL Language Reference, "Data Types".
_SMALLEST, _LARGEST = 1e-129, 1e125
_DIGITS = 38
_JSON_KEY_BYTES = 255  # of a field's name in Oracle's binary JSON, unless both sides know longer ones
_JSON_DEPTH = 100  # far below what Oracle or Python take; what is nested deeper is kept as text


class Field(NamedTuple):
    """A field that a collection has had, and its column in the view."""

    number: int
    name: str
    column: str
    only_numbers: bool
    """Whether all its values were numbers."""


def text_key(text: str) -> str:
    """Return a digest of any text, 64 hexadecimal digits: what names are compared by."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def value_key(value: Scalar) -> str | None:
    """Return a digest of what is `comparable` of a value; None for what equals nothing."""
    text = comparable(value)
    return None if text is None else text_key(text)[:32]


def value_rows(identity: str, fields: Fields, numbers: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return what the table of values holds of a record: the rows that filters compare."""
    return [
        {"id": identity, "field_id": numbers[name], "value_key": value_key(value)}
        for name, value in fields.items()
    ]


def vector_bind(vector: Vectors) -> array[float]:
    """Return one vector, float32 of shape (dimension,), as the driver binds a VECTOR of FLOAT32."""
    return array("f", vector.tobytes())


def vector_content(found: object) -> bytes | None:
    """Return the numbers of a fetched vector as little-endian float32; None where it is of another format."""
    if not isinstance(found, array) or found.typecode != "f":
        return None
    return np.frombuffer(found, np.float32).astype("<f4").tobytes()


def vector_binds(identity: str, vector: Vectors) -> dict[str, Any]:
    """Return the binds of one vector, float32 of shape (dimension,)."""
    return {
        "id": identity,
        "vector_checksum": vector_checksum(identity, vector.astype("<f4").tobytes()),
        "embedding": vector_bind(vector),
    }


def label_binds(labels: StoredLabels, columns: Mapping[str, str]) -> dict[str, Any]:
    """Return the binds of labels_digest, fields, metadata, kept and labels_checksum.

    Args:
        labels: of one record.
        columns: the view's column of each field.
    """
    return {
        "labels_digest": labels.digest,
        "fields": {columns[name]: for_sql(value) for name, value in labels.fields.items()},
        "metadata": for_sql(json.loads(labels.metadata_text)),
        "kept": {"fields": labels.fields_text, "metadata": labels.metadata_text},
        "labels_checksum": labels.checksum,
    }


def record_binds(stored: StoredRecord, columns: Mapping[str, str]) -> dict[str, Any]:
    """Return all binds of one record."""
    record = stored.record
    binds = label_binds(stored.labels, columns)
    long = len(record.uri) > TEXT_LENGTH
    if long:
        binds["kept"]["uri"] = record.uri
    path = stored.path or ""
    return {
        "id": record.id,
        "uri": None if long else record.uri,
        "path": path if 1 <= len(path.encode()) <= TEXT_LENGTH else None,
        "digest": record.digest,
        "size_bytes": record.size,
        "modified_ns": record.modified_ns,
        **binds,
        "file_checksum": stored.checksum,
    }


def record_row(row: Row) -> Row:
    """Return a row of `RECORD_COLUMNS` as `backend.RecordRow` says."""
    identity, uri, digest, size, modified_ns, kept, of_file, of_labels = row
    said = kept if isinstance(kept, dict) else {}
    known = kept_uri(uri, said)
    return (
        *(identity, known, digest or "", said.get("fields"), said.get("metadata")),
        *(_whole(size), _whole(modified_ns), of_file, of_labels),
    )


def _whole(number: object) -> Any:
    """Return a number of the driver's as an integer, and anything else as it is."""
    return int(number) if isinstance(number, (int, float, Decimal)) else number


def kept_uri(uri: str | None, kept: Mapping[str, str]) -> str:
    """Return the uri of a record, wherever it is; '' is NULL to Oracle."""
    return uri if uri is not None else kept.get("uri", "")


def plan_fields(
    known: Sequence[Field], records: Iterable[Fields], vectors: Iterable[str] = ()
) -> list[Field]:
    """Return the fields that are new, or that had only numbers and no longer have, as they are to be.

    Args:
        known: those that the collection has had.
        records: fields of records.
        vectors: names of the collection's vectors, whose columns are left to them.
    """
    fields = {field.name: field for field in known}
    columns = column_names((*_NO_COLUMN, *map(vector_column, vectors), *(field.column for field in known)))
    number = max((field.number for field in known), default=0)
    for name, value in ((name, value) for record in records for name, value in record.items()):
        is_number = not isinstance(value, (str, bool))
        field = fields.get(name)
        if field is None:
            number += 1
            field = Field(number, name, columns.take(column_name(name)), is_number)
        fields[name] = field._replace(only_numbers=field.only_numbers and is_number)
    before = {field.name: field for field in known}
    return [field for field in fields.values() if field != before.get(field.name)]


def identifier(name: str) -> str | None:
    """Return a name as a quoted identifier; None where Oracle can have none of that name.

    A plain ASCII word is in capitals, so that SQL finds it without quotes, whatever the case.
    """
    name = name.upper() if name.isascii() else name
    usable = name.isprintable() and '"' not in name and 1 <= len(name.encode("utf-8", "replace")) <= 128
    return f'"{name}"' if usable else None


def for_sql(value: Any) -> Any:
    """Return a JSON value as Oracle's JSON type can hold it; what it cannot hold is text."""
    return _for_sql(value, 0)


def _for_sql(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return sql_text(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if len(str(abs(value))) <= _DIGITS else str(value)
    if isinstance(value, float):
        if value == 0:
            return 0
        return value if _SMALLEST < abs(value) < _LARGEST else repr(value)
    if depth >= _JSON_DEPTH:
        return json.dumps(value)
    if isinstance(value, dict):
        # An empty name is an error to some functions of Oracle, and a longer one to older servers.
        return {
            cut(sql_text(name), _JSON_KEY_BYTES) or "_": _for_sql(one, depth + 1)
            for name, one in value.items()
        }
    return [_for_sql(one, depth + 1) for one in value]


def column_names(taken: Iterable[str]) -> ColumnNames:
    """Return the names of a view's columns, of which no two are the same in capitals of any script."""
    return ColumnNames((*COLUMNS, *taken), same=str.upper)


def column_name(name: str) -> str:
    """Return a name that is fit for SQL and for a JSON path, in capitals if it is a plain ASCII word."""
    plain = "".join(c if c.isprintable() and c not in "\"'\\" else "_" for c in name)
    plain = cut(plain.encode("utf-8", "replace").decode(), COLUMN_LENGTH).strip() or "_"
    return plain.upper() if plain.isascii() else plain
