"""A record from a row of SQL."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lookalike.errors import StoreCorrupt
from lookalike.records import Record

if TYPE_CHECKING:
    from typing import Any


def record_from(url: str, row: tuple[Any, ...]) -> Record:
    """Return the record of a row: id, uri, digest, fields and metadata as JSON, size, modified_ns.

    Raises:
        StoreCorrupt: the row does not hold one.
    """
    identity, uri, digest, fields, metadata, size, modified_ns = row
    try:
        return Record(identity, uri, digest, json.loads(fields), json.loads(metadata), size, modified_ns)
    except (TypeError, ValueError) as error:
        raise StoreCorrupt(url, f"is damaged: record {identity} does not read: {error}") from error
