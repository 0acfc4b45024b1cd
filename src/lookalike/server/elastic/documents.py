"""Records as the documents that an Elasticsearch store keeps of them, and what a request picks out of one."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from lookalike.errors import InvalidArgument
from lookalike.stores.checks import metadata_text
from lookalike.stores.relative_paths import relative_path
from lookalike.stores.sql import sql_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lookalike.stores.relative_paths import Bases
    from lookalike.types import CollectionInfo, Record, Scalar

EMBEDDING = "image_embedding"
"""The field that leads to a collection's default vector."""

VECTOR = "vector_"
"""How the field that leads to a named vector begins."""

LABELS = "fields"
"""The flattened field of the labels: `fields.part` is the label `part`."""

KEYWORDS = frozenset({"image_id", "image_name", "relative_path", "uri", "digest"})
NUMBERS = frozenset({"size", "modified_ns"})
TEXTS = frozenset({"labels", "metadata"})
"""Kept and not searched: JSON as texts."""

_PATTERN = frozenset("*?[")


def document(record: Record, bases: Bases) -> dict[str, Any]:
    """Return the `_source` of a record: what Elasticsearch has of it, but what serves the store alone."""
    path = relative_path(record.uri, bases)
    return {
        "image_id": record.id,
        "image_name": path.rpartition("/")[2],
        "relative_path": path,
        "uri": record.uri,
        "digest": record.digest,
        "size": record.size,
        "modified_ns": record.modified_ns,
        # In a list, as there: what an update says of an object is added to what it was.
        LABELS: [{name: _value(value) for name, value in record.fields.items()}],
        "labels": json.dumps(dict(record.fields)),
        "metadata": metadata_text(record.id, record.metadata),
    }


def mapping(collection: CollectionInfo) -> dict[str, Any]:
    """Return the mapping of a collection: the fields of its documents that are searched or read here."""
    properties: dict[str, Any] = {name: {"type": "keyword"} for name in sorted(KEYWORDS)}
    properties |= {name: {"type": "long"} for name in sorted(NUMBERS)}
    properties |= {name: {"type": "text", "index": False} for name in sorted(TEXTS)}
    properties[LABELS] = {"type": "flattened"}
    names = {f"{VECTOR}{one.name}": one for one in collection.vectors if one.ready}
    for name, vector in {**names, EMBEDDING: collection.vector()}.items():
        properties[name] = {
            "type": "dense_vector",
            "dims": vector.space.dimension,
            "index": True,
            "similarity": "cosine",
            "index_options": {"type": "flat"},
        }
    return {"mappings": {"dynamic": "strict", "properties": properties}}


def vector_of(field: str, collection: CollectionInfo) -> str | None:
    """Return the name of the vector that a field leads to; None for the default one.

    Raises:
        InvalidArgument: it leads to none.
    """
    if field == EMBEDDING:
        return None
    names = [one.name for one in collection.vectors if one.ready]
    if field.startswith(VECTOR) and field.removeprefix(VECTOR) in names:
        return field.removeprefix(VECTOR)
    known = ", ".join([EMBEDDING, *(f"{VECTOR}{name}" for name in names)])
    raise InvalidArgument(f"[knn] no field [{field[:100]}] has vectors: those that do are {known}")


def values(record: Record, source: Mapping[str, Any], field: str) -> list[Scalar]:
    """Return the values of a field of a document; none where it has no such field.

    Args:
        record: of the document.
        source: `document` of it.
        field: its name, `fields.part` for a label.
    """
    if field.startswith(f"{LABELS}."):
        name = field.removeprefix(f"{LABELS}.")
        return [_value(record.fields[name])] if name in record.fields else []
    if field == LABELS:
        return [_value(value) for value in record.fields.values()]
    if field == "_id":
        return [record.id]
    return [source[field]] if field in KEYWORDS | NUMBERS | TEXTS else []


def fields_of(record: Record, source: Mapping[str, Any], patterns: Sequence[str]) -> dict[str, list[Any]]:
    """Return the part `fields` of a hit.

    Args:
        record: of the document.
        source: `document` of it.
        patterns: names of fields, in which `*` stands for anything.
    """
    found: dict[str, list[Any]] = {}
    for pattern in patterns:
        if pattern.startswith(f"{LABELS}.") and not _PATTERN & set(pattern):
            if got := values(record, source, pattern):
                found[pattern] = list(got)
            continue
        for name, value in source.items():
            if fnmatchcase(name, pattern):
                found[name] = value if isinstance(value, list) else [value]
    return found


def picked(source: Any, includes: Sequence[str], excludes: Sequence[str], path: str = "") -> Any:
    """Return a part of a JSON value.

    Args:
        source: the value.
        includes: dotted paths of what stays, with all below it, in which `*` stands for anything; none: all.
        excludes: likewise of what goes.
        path: of the value.

    Returns:
        The value without what is not wanted; None where nothing of it is.
    """
    if isinstance(source, list):
        found = [picked(each, includes, excludes, path) for each in source]
        return [each for each in found if each is not None] or None
    if not isinstance(source, dict):
        return source if _wanted(path, includes) else None
    kept = {}
    for name, value in source.items():
        below = f"{path}.{name}" if path else name
        if not any(fnmatchcase(below, pattern) for pattern in excludes):
            inside = picked(value, () if includes and _wanted(below, includes) else includes, excludes, below)
            if inside is not None:
                kept[name] = inside
    return kept if kept or not path else None


def _wanted(path: str, includes: Sequence[str]) -> bool:
    return not includes or any(fnmatchcase(path, pattern) for pattern in includes)


def _value(value: Scalar) -> Scalar:
    return sql_text(value) if isinstance(value, str) else value
