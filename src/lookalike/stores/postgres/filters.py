"""Filters of a query as SQL conditions on the table of a collection."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from lookalike.stores.postgres.connection import SQL, Composed
from lookalike.stores.postgres.encoding import stored_text, stored_value

if TYPE_CHECKING:
    from lookalike.types import Where

# More values than this are compared as an array, which PostgreSQL hashes; fewer can use the index.
_MANY = 20


def matching(where: Where | None, having: str | None = None) -> tuple[Composed, list[Any]]:
    """Return a condition on a collection's table, by the rules of `Where`, and what is bound to it."""
    conditions: list[SQL | Composed] = [SQL("true")]
    bound: list[Any] = []
    for name, values in (where or {}).items():
        texts = [stored_value(value) for value in values if _finite(value)]
        key = stored_text(name)
        if not texts:
            conditions.append(SQL("false"))
        elif len(texts) > _MANY:
            conditions.append(SQL("fields -> %s::text = ANY(%s::text[]::jsonb[])"))
            bound += [key, texts]
        else:
            conditions.append(
                SQL("({})").format(SQL(" OR ").join([SQL("fields @> %s::text::jsonb")] * len(texts)))
            )
            bound += [f"{{{json.dumps(key, ensure_ascii=False)}: {text}}}" for text in texts]
    if having is not None:
        conditions.append(SQL("fields ? %s::text"))
        bound.append(stored_text(having))
    return SQL(" AND ").join(conditions), bound


def _finite(value: object) -> bool:
    return not isinstance(value, float) or math.isfinite(value)
