"""Which images can be evaluated, and why the others are left out.

An image can be evaluated if it has a label and, where images are compared only within parts, a value of that
field that another labelled image shares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lookalike.errors import FieldNotFound, InvalidArgument, Unanswerable
from lookalike.file_names import display
from lookalike.vectors.vote import label_key, label_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.types import Record
    from lookalike.vectors.vote import LabelKey


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An image that could not be evaluated, and why."""

    record: Record
    reason: str


def evaluable_rows(
    records: Sequence[Record], by: str, within: str | None = None
) -> tuple[list[int], tuple[LeftOut, ...]]:
    """Divide images into those that can be classified by others and those that cannot, with the reason.

    Args:
        records: all records of the collection, in any order.
        by: the field that holds the label.
        within: compare an image only with those that have the same value of this field.

    Returns:
        The places in `records` of those that take part, at least two, in order of id; and the others by uri.

    Raises:
        InvalidArgument: `within` is `by`.
        FieldNotFound: no record has the field `by`, or `within`.
        Unanswerable: no records; no two that can be compared; all that can be of one label.
    """
    if within == by:
        raise InvalidArgument(f"by and within are both {by!r}: each image would meet only its own label")
    if not records:
        raise Unanswerable("the collection is empty; `lookalike index PATH` fills it")
    for field in (by, within):
        if field is not None and all(label_of(record, field) is None for record in records):
            raise FieldNotFound(field, {name for record in records for name in record.fields} - {field})

    left_out: list[LeftOut] = []
    parts: dict[LabelKey | None, list[int]] = {}
    for row, record in enumerate(records):
        part = None if within is None else label_of(record, within)
        if label_of(record, by) is None:
            left_out.append(LeftOut(record, f"no value of {display(by)}"))
        elif within is not None and part is None:
            left_out.append(LeftOut(record, f"no value of {display(within)}"))
        else:
            parts.setdefault(None if part is None else label_key(part), []).append(row)

    rows: list[int] = []
    for members in parts.values():
        if len(members) > 1:
            rows += members
        else:
            reason = f"alone in its {display(within or by)}: no other labelled image to compare it with"
            left_out.append(LeftOut(records[members[0]], reason))
    _refuse_too_little([records[row] for row in rows], by, within)
    rows.sort(key=lambda row: records[row].id)
    return rows, tuple(sorted(left_out, key=lambda each: each.record.uri))


def _refuse_too_little(records: Sequence[Record], by: str, within: str | None) -> None:
    """Raise unless images of at least two labels take part."""
    if not records:
        found = f"only one image has a value of {by!r}"
        if within is not None:
            found = f"no two images with a value of {by!r} share their {within!r}"
        raise Unanswerable(f"{found}: nothing to compare")
    if len({label_key(record.fields[by]) for record in records}) == 1:
        raise Unanswerable(
            f"all {len(records)} images to compare have {by} {records[0].fields[by]!r}: "
            f"at least two labels are needed"
        )
