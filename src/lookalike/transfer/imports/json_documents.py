"""Rows in JSON documents that are no list of them: what databases and programs of others write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lookalike.transfer.imports.vector_cells import is_vector

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_DEEPEST = 3
# What a line of Elasticsearch's bulk format says of the document in the next line.
_ACTIONS = ("index", "create")


def rows_of(document: Mapping[str, Any]) -> Sequence[dict[str, Any]] | None:
    """Return the rows of a document that has all of them; None where it is a row itself.

    Known are a vector by each name, a list of rows at some place (`data`, `hits.hits`, `result.points`),
    lists by the name of their column as Chroma has them, rows by their names, and columns by their names as
    pandas writes them.
    """
    values = list(document.values())
    if len(values) > 1 and all(_is_vector(value) for value in values):
        return [{"id": name, "vector": value} for name, value in document.items()]
    if any(_is_vector(value) for value in values):
        return None
    lists = {name: value for name, value in document.items() if isinstance(value, list)}
    counts = {len(value) for value in lists.values() if _are_vectors(value)}
    if len(counts) == 1:
        columns = {name: value for name, value in lists.items() if {len(value)} == counts}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    listed = list(_lists_of_rows(document, 1))
    if len(listed) == 1:
        return listed[0]
    inner = [value for value in values if isinstance(value, dict)]
    if not inner or len(inner) < len(values):
        return None
    if all(any(_is_vector(one) for one in value.values()) for value in inner):
        if all(_are_vectors(list(value.values())) for value in inner) and len(inner) == 1:
            return _by_column(document)
        return [{"id": name, **row} for name, row in document.items()]
    if any(_are_vectors(list(value.values())) for value in inner):
        return _by_column(document)
    return None


def documents_of(items: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows that lines or items are: objects, documents of Elasticsearch, ids, or vectors."""
    pending: dict[str, Any] | None = None
    for item in items:
        if isinstance(item, list):
            yield {"vector": item}
        elif not isinstance(item, dict):
            yield {"id": item}
        elif (action := _action(item)) is not None:
            pending = action
        else:
            row = item if pending is None else {**pending, **item}
            pending = None
            if isinstance(row.get("_source"), dict):  # a hit
                row = {"_id": row.get("_id"), **row["_source"]}
            yield row


def _action(item: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the id that a line of Elasticsearch's bulk format has for the next; None where it is none."""
    for name in _ACTIONS if len(item) == 1 else ():
        said = item.get(name)
        if isinstance(said, dict) and all(key[:1] == "_" or key == "routing" for key in said):
            return {"_id": said["_id"]} if "_id" in said else {}
    return None


def _by_column(document: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    indices = dict.fromkeys(index for column in document.values() for index in column)
    numbered = list(indices) == [str(number) for number in range(len(indices))]
    return [
        ({} if numbered or "id" in document else {"id": index})
        | {name: column.get(index) for name, column in document.items()}
        for index in indices
    ]


def _lists_of_rows(value: Mapping[str, Any], depth: int) -> Iterator[list[dict[str, Any]]]:
    for one in value.values():
        if isinstance(one, list) and one and all(isinstance(each, dict) for each in one):
            yield one
        elif isinstance(one, dict) and depth < _DEEPEST:
            yield from _lists_of_rows(one, depth + 1)


def _are_vectors(values: Sequence[Any]) -> bool:
    there = [value for value in values if value is not None]
    return bool(there) and 2 * sum(map(_is_vector, there)) > len(there)


def _is_vector(value: object) -> bool:
    return isinstance(value, list) and is_vector(value, named=False)
