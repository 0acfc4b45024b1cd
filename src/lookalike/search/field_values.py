"""How many images of a collection have which value of a field."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from lookalike.vectors.vote import label_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lookalike.types import Record, Scalar
    from lookalike.vectors.vote import LabelKey


class ValueCount(NamedTuple):
    """A value, and how many images have it."""

    value: Scalar
    images: int


def count_values(batches: Iterable[Sequence[Record]]) -> dict[str, list[ValueCount]]:
    """Count the values of every field, in one pass.

    Args:
        batches: records.

    Returns:
        Fields by name, each with its values, the most frequent first; of equally frequent ones as `label_key`
        sorts them. 1 and 1.0 are one value, and shown as the first image has it.
    """
    counted: dict[str, Counter[LabelKey]] = {}
    spelt: dict[tuple[str, LabelKey], Scalar] = {}
    for records in batches:
        for record in records:
            for field, value in record.fields.items():
                key = label_key(value)
                spelt.setdefault((field, key), value)
                counted.setdefault(field, Counter())[key] += 1
    return {
        field: [
            ValueCount(spelt[field, key], count)
            for key, count in sorted(counts.items(), key=lambda each: (-each[1], each[0]))
        ]
        for field, counts in sorted(counted.items())
    }
