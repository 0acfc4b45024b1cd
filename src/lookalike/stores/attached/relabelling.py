"""New labels of a row as changes of its columns: of those alone whose labels are others."""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING, Any

from lookalike.errors import InvalidArgument
from lookalike.file_names import display

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.stores.attached.description import Attachment, ForeignRow
    from lookalike.stores.attached.foreign import Change
    from lookalike.stores.attached.json_paths import Step
    from lookalike.types import Fields, Metadata, Scalar


def changes_of(
    attachment: Attachment, row: ForeignRow, fields: Fields, metadata: Metadata
) -> dict[str, Change]:
    """Return what becomes of the columns of a row that is given other labels.

    Raises:
        InvalidArgument: a field has no column.
    """
    sources = dict(attachment.fields)
    works: dict[str, list[Change]] = {}
    if attachment.metadata is not None:
        for name in {**row.metadata, **metadata}:
            if row.metadata.get(name) != metadata.get(name):
                work: Change = partial(_with_value, steps=(name,), value=metadata.get(name))
                works.setdefault(attachment.metadata, []).append(work)
    for name in {**row.fields, **fields}:
        before, value = row.fields.get(name), fields.get(name)
        if before == value and type(before) is type(value):
            continue
        if name not in sources:
            raise InvalidArgument(
                f"{attachment.table} has no column for the field {display(name)!r}: "
                f"`lookalike attach {attachment.table} --field NAME=COLUMN` names one"
            )
        source = sources[name]
        if source.path is None:
            work = partial(_replaced, value)
        else:
            work = partial(_with_value, steps=source.steps, value=value)
        works.setdefault(source.column, []).append(work)
    return {column: partial(_in_turn, some) for column, some in works.items()}


def _replaced(value: Scalar | None, _before: object) -> Scalar | None:
    return value


def _in_turn(works: Sequence[Change], value: Any) -> Any:
    for work in works:
        value = work(value)
    return value


def _with_value(document: Any, *, steps: Sequence[Step], value: Any) -> Any:
    """Return a JSON document with a value in each place that a path leads to; None takes it away.

    Raises:
        InvalidArgument: it leads nowhere, or there is something that is no object and no list.
    """
    if document is not None and not isinstance(document, dict | list):
        raise InvalidArgument(
            f"the row has no JSON object, but {display(str(document)[:80])!r}: it stays as it is"
        )
    made = {} if document is None else deepcopy(document)
    *before, last = steps
    places = [made]
    for step in before:
        places = [found for place in places for found in _below(place, step)]
    count = sum(_put(place, last, value) for place in places)
    if not count and value is not None:
        raise InvalidArgument("the JSON of the row has no place for the label: its path leads nowhere there")
    return made


def _below(place: Any, step: Step) -> list[Any]:
    if isinstance(step, str):
        items = place if isinstance(place, list) else [place]
        return [each.setdefault(step, {}) for each in items if isinstance(each, dict)]
    if not isinstance(place, list):
        return [] if step else [place]
    return place if step is None else place[step : step + 1]


def _put(place: Any, step: Step, value: Any) -> int:
    """Put a value into a place, and return how often it fitted."""
    if isinstance(step, str):
        members = [each for each in (place if isinstance(place, list) else [place]) if isinstance(each, dict)]
        for each in members:
            if value is None:
                each.pop(step, None)
            else:
                each[step] = value
        return len(members)
    if not isinstance(place, list):
        return 0
    numbers = range(len(place)) if step is None else range(step, min(step + 1, len(place)))
    for number in numbers:
        place[number] = value
    return len(numbers)
