"""Conditions on the rows of a collection's tables, and what they bind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from lookalike.stores.batches import chunks
from lookalike.stores.oracle.encoding import text_key, value_key
from lookalike.stores.oracle.schema import values_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lookalike.stores.oracle.connection import OracleSession
    from lookalike.types import Where

_CHUNKS = (1, 8, 64, 512)  # few sizes of IN lists, so that the server knows their statements again

TOGETHER = _CHUNKS[-1]
"""Rows or values that one statement takes, at most."""

_LISTED = 512  # values that a condition lists one by one; more are one bind
_KEYS_OF = "SELECT j.value_key FROM JSON_TABLE(:values{}, '$[*]' COLUMNS (value_key VARCHAR2(32) PATH '$')) j"


class Filter(NamedTuple):
    """A condition on records `r`, and what it binds."""

    condition: str
    """'' where all match."""
    binds: dict[str, Any]
    sizes: dict[str, str]


NO_FILTER = Filter("", {}, {})


def in_list(column: str, name: str, values: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Return the condition that a column equals one of the values, and its binds.

    Args:
        column: as it stands in the statement.
        name: of the binds, a number is appended.
        values: 1 … 512; the last is repeated until there are as many as one of a few sizes.
    """
    size = next(size for size in _CHUNKS if size >= len(values))
    binds = {f"{name}{n}": values[min(n, len(values) - 1)] for n in range(size)}
    return f"{column} IN ({', '.join(f':{bind}' for bind in binds)})", binds


def delete_by_id(session: OracleSession, table: str, ids: Sequence[str]) -> int:
    """Delete the rows that have one of the ids, uncommitted; return how many there were."""
    deleted = 0
    for some in chunks(ids, TOGETHER):
        condition, binds = in_list("id", "id", some)
        deleted += session.execute(f"DELETE FROM {table} WHERE {condition}", binds)  # noqa: S608 our own table
    return deleted


def read_filter(
    session: OracleSession, collection: int, where: Where | None, having: str | None = None
) -> Filter | None:
    """Return the condition that says `where` and `having`; None where nothing can match."""
    names = [*(where or {}), *([having] if having is not None else [])]
    if not names:
        return NO_FILTER
    numbers: dict[str, int] = {}
    keys = {text_key(name): name for name in names}
    for some in chunks(list(keys), TOGETHER):
        listed, binds = in_list("name_key", "name_key", some)
        rows = session.query(
            "SELECT name_key, field_id FROM lookalike_fields"  # noqa: S608 binds
            f" WHERE collection_id = :collection_id AND {listed}",
            {"collection_id": collection, **binds},
        )
        numbers |= {keys[key]: int(number) for key, number in rows}
    return filter_of(collection, numbers, where, having)


def filter_of(
    collection: int, numbers: Mapping[str, int], where: Where | None, having: str | None = None
) -> Filter | None:
    """Return the condition that says `where` and `having`; None where nothing can match.

    Args:
        collection: the number of the collection.
        numbers: those of its fields, by name.
        where: names and values are never in the statement; digests of values are bound.
        having: the name of a field that must be there.
    """
    conditions: list[str] = []
    binds: dict[str, Any] = {}
    sizes: dict[str, str] = {}
    chosen = f"r.id IN (SELECT v.id FROM {values_table(collection)} v WHERE v.field_id = "  # noqa: S608
    for place, (name, values) in enumerate((where or {}).items()):
        keys = sorted({key for key in map(value_key, values) if key is not None})
        if name not in numbers or not keys:
            return None
        binds[f"field{place}"] = numbers[name]
        if len(keys) <= _LISTED:
            listed, more = in_list("v.value_key", f"value{place}_", keys)
            binds |= more
        else:
            # Past the 65,535 binds of a statement, and the elements of an IN list.
            listed = f"v.value_key IN ({_KEYS_OF.format(place)})"
            binds[f"values{place}"] = keys
            sizes[f"values{place}"] = "json"
        conditions.append(f"{chosen}:field{place} AND {listed})")
    if having is not None:
        if having not in numbers:
            return None
        binds["had"] = numbers[having]
        conditions.append(f"{chosen}:had)")
    return Filter(" AND ".join(conditions), binds, sizes)
