"""Rows of a collection as CSV and as JSON lines, piece by piece."""

from __future__ import annotations

import codecs
import csv
import io
import json
from typing import TYPE_CHECKING, Any

from lookalike.column_names import field_columns
from lookalike.output_files import plain_cell
from lookalike.transfer.exports.columns import CONFIDENCE, OWN, PREDICTED, VECTOR

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lookalike.transfer.exports.rows import Rows
    from lookalike.types import Scalar

# Those of the record itself; a service names no places on its machine.
_OWN, _OWN_NAMED = ("id", "uri", "path", "digest"), ("id", "name")
# For a spreadsheet, and for a program that asks for a column by its name.
_MARK = codecs.BOM_UTF8


def csv_lines(rows: Rows) -> Iterator[bytes]:
    """Yield a table as CSV (RFC 4180) in UTF-8 with a byte order mark, which spreadsheets look for.

    A row for each record: `id`, `uri`, `path`, `digest`, a column for each field, what was predicted, and a
    vector as a list of JSON. A field that a record lacks is empty; metadata is not there. What a service
    sends, whose names and labels are other people's, has no formulas: see `plain_cell`.
    """
    predictions = rows.predictions
    told = [] if predictions is None else [PREDICTED + predictions.by, CONFIDENCE + predictions.by]
    vectors = [VECTOR + each.name for each in rows.vectors]
    columns = _OWN if rows.name_of is None else _OWN_NAMED
    others = OWN if rows.name_of is None else columns
    fields = field_columns(rows.collection.fields, (*others, *told, *vectors))
    written = io.StringIO(newline="")
    writer = csv.writer(written)

    def write(line: Iterable[object]) -> None:
        writer.writerow(line if rows.name_of is None else map(plain_cell, line))

    write([*columns, *fields.values(), *told, *vectors])
    yield _MARK + _taken(written)
    for batch in rows.batches():
        for at, record in enumerate(batch.records):
            own = rows.own_values(record)
            line = [own[name] for name in columns] + [_cell(record.fields.get(name)) for name in fields]
            if predictions is not None:
                found = predictions.of.get(record.id)
                line += ["", ""] if found is None else [_cell(found.label), _cell(found.confidence)]
            line += [json.dumps(batch.vectors[each.name][at].tolist()) for each in rows.vectors]
            write(line)
        yield _taken(written)


def json_lines(rows: Rows) -> Iterator[bytes]:
    """Yield the records as JSON lines in UTF-8, whole: what is written here is read back as it was.

    An object for each: the columns of `columns.OWN`, `fields`, `prediction` where there are such, and
    `vectors` by name.
    """
    predictions = rows.predictions
    for batch in rows.batches():
        lines = []
        for at, record in enumerate(batch.records):
            line: dict[str, Any] = {**rows.own_values(record), "fields": dict(record.fields)}
            if rows.name_of is None:
                line["metadata"] = dict(record.metadata)
            if predictions is not None:
                found = predictions.of.get(record.id)
                line["prediction"] = None if found is None else {"field": predictions.by, **found._asdict()}
            if rows.vectors:
                line["vectors"] = {name: vectors[at].tolist() for name, vectors in batch.vectors.items()}
            lines.append(_json(line))
        yield b"".join(lines)


def _json(line: dict[str, Any]) -> bytes:
    try:
        return json.dumps(line, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair, which JSON has an escape for
        return json.dumps(line).encode() + b"\n"


def _cell(value: Scalar | None) -> Scalar:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else value


def _taken(written: io.StringIO) -> bytes:
    """Return what was written since, and forget it."""
    text = written.getvalue()
    written.seek(0)
    written.truncate()
    return text.encode("utf-8", "backslashreplace")
