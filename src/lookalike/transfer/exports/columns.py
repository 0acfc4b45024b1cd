"""The columns of an exported table: which there are, and what they are called."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lookalike.types import Scalar

OWN = ("id", "uri", "path", "digest", "size", "modified_ns", "metadata")
"""The columns that are no field: as `Record` has them, and `path`, which is the URI as people read it."""

VECTOR, PREDICTED, CONFIDENCE = "vector_", "predicted_", "confidence_"
"""How columns begin that hold a named vector, the held-out label of a field, and how sure that is."""


def mixed_text(value: Scalar) -> str:
    """Return a value of a field whose values are of several types as text, which `mixed_value` reads back."""
    return value if isinstance(value, str) and _json_scalar(value) is None else json.dumps(value)


def mixed_value(text: str) -> Scalar:
    """Return what `mixed_text` wrote."""
    found = _json_scalar(text)
    return text if found is None else found


def _json_scalar(text: str) -> Scalar | None:
    """Return the string, number or boolean that a text is in JSON; None where it is none of these."""
    try:
        value = json.loads(text, parse_constant=_refuse)
        json.dumps(value, allow_nan=False)  # 1e999 is read as infinity
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, str | int | float) else None


def _refuse(constant: str) -> Any:
    raise ValueError(constant)
