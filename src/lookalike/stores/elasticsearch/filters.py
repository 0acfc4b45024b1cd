"""Filters on fields: the tokens that a document is found by, and the query clauses over them."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from lookalike.stores.field_values import comparable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lookalike.types import Fields, Scalar, Where

# Below index.max_terms_count, 65,536 unless it was changed.
_TERMS = 30_000


def matching(where: Where | None, having: str | None = None) -> list[dict[str, Any]]:
    """Return the clauses of a query that hold for the records that match, by the rules of `Where`."""
    clauses = [_any_of([_token(name)]) for name in (() if having is None else (having,))]
    for name, values in (where or {}).items():
        tokens = (_value_token(name, value) for value in values)
        clauses.append(_any_of(sorted({token for token in tokens if token is not None})))
    return clauses


def _any_of(tokens: list[str]) -> dict[str, Any]:
    parts = [{"terms": {"match": tokens[start : start + _TERMS]}} for start in range(0, len(tokens), _TERMS)]
    if not parts:
        return {"match_none": {}}
    return parts[0] if len(parts) == 1 else {"bool": {"should": parts}}


def field_tokens(fields: Fields) -> Iterator[str]:
    """Yield what a filter can ask of a record: that it has a field, and that the field has a value."""
    for name, value in fields.items():
        yield _token(name)
        token = _value_token(name, value)
        if token is not None:
            yield token


def _value_token(name: str, value: Scalar) -> str | None:
    """Return a text that is equal where field and value are equal; None for what equals nothing."""
    text = comparable(value)
    return None if text is None else _token(name, text)


def _token(*parts: str) -> str:
    # A digest: terms of Elasticsearch are short and hold no lone surrogate.
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
