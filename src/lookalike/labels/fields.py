"""Fields: the flat part of a label, in types that every database has."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lookalike.label_normalisation import label_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lookalike.types import Scalar

INTEGERS = range(-(2**63), 2**63)
"""What a 64-bit integer holds: SQLite's INTEGER, PostgreSQL's bigint, Elasticsearch's long."""


def storable(text: str) -> str:
    r"""Return `text` as a label or the name of a field is kept.

    In Unicode's form NFC, without blanks at its ends, and valid: a lone surrogate, as from an undecodable
    name, becomes `\udcff`.
    """
    return label_text(text).encode("utf-8", "backslashreplace").decode()


def scalar(value: object) -> Scalar | None:
    """Return `value` as the value of a field, or None where it is absent, nested or not a finite number.

    An integer that no database's integer can hold becomes text, so that no digit is lost. A list of strings
    is several labels of one image, and becomes one text as `joined` makes it.
    """
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if value in INTEGERS else str(value)
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return joined(value)
    return None


def joined(values: Iterable[Scalar]) -> Scalar | None:
    """Return several values of one field as one: the different ones as text, sorted, parted by a comma.

    A single value keeps its type; None where there is none.
    """
    by_text = {
        str(value).lower() if isinstance(value, bool) else storable(str(value)): value for value in values
    }
    if len(by_text) <= 1:
        return next((storable(one) if isinstance(one, str) else one for one in by_text.values()), None)
    return ", ".join(sorted(text for text in by_text if text))


def scalar_fields(values: Mapping[str, Any]) -> dict[str, Scalar]:
    """Return the members of `values` that can be fields; those without a name cannot."""
    found = ((storable(name), scalar(value)) for name, value in values.items() if label_text(name))
    return {name: value for name, value in found if value is not None}


def category_fields(directories: Sequence[str]) -> dict[str, Scalar]:
    """Return the fields category1, category2, … of these directories, outermost first."""
    return {f"category{n}": storable(name) for n, name in enumerate(directories, 1)}
