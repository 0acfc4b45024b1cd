"""Paths in JSON, as SQL/JSON writes them: members, places in lists, and all of a list.

`$.annotations[*].attributes.quality`, in the lax mode of ISO 9075-2 that PostgreSQL and Oracle have too: a
member of a list is that of each of its items, and an item of what is no list is that itself.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, TypeAlias

from lookalike.errors import InvalidArgument
from lookalike.file_names import display

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lookalike.types import Scalar

Step: TypeAlias = "str | int | None"
"""The name of a member, the place of an item, or None for all items."""

_STEP = re.compile(
    r'\.(?P<plain>[^\W\d]\w*)|\."(?P<quoted>(?:[^"\\\x00-\x1f]|\\.)+)"|\[(?P<place>\d{1,9})\]|\[(?P<all>\*)\]'
)


def read_path(text: str) -> tuple[Step, ...]:
    """Take a path apart.

    Raises:
        InvalidArgument: it has something else in it than `$`, `.name`, `."any name"`, `[7]` and `[*]`.
    """
    steps: list[Step] = []
    place = 1
    while text.startswith("$") and place < len(text):
        found = _STEP.match(text, place)
        if found is None:
            break
        place = found.end()
        if found["place"] is not None:
            steps.append(int(found["place"]))
        elif found["all"]:
            steps.append(None)
        else:
            try:
                steps.append(found["plain"] or json.loads(f'"{found["quoted"]}"'))
            except ValueError:
                place = -1
                break
    if place != len(text):
        raise InvalidArgument(
            f'{display(text)!r} is no path in JSON: write $.name, $."any name", $.list[0] or $.list[*].name'
        )
    return tuple(steps)


def write_path(steps: Sequence[Step]) -> str:
    """Return a path as text that the databases understand: each name in double quotes."""
    return "$" + "".join(
        f".{json.dumps(step)}" if isinstance(step, str) else "[*]" if step is None else f"[{step:d}]"
        for step in steps
    )


def show_path(steps: Sequence[Step]) -> str:
    """Return a path as `write_path`, with names in any script as people read them."""
    return "$" + "".join(
        f".{_shown(step)}" if isinstance(step, str) else "[*]" if step is None else f"[{step:d}]"
        for step in steps
    )


def _shown(name: str) -> str:
    # A lone surrogate is in no text that can be written.
    return json.dumps(name, ensure_ascii=any("\ud800" <= one <= "\udfff" for one in name))


def values_at(document: object, steps: Sequence[Step]) -> list[Any]:
    """Return what is at a path in a JSON document, in order; nothing where it leads nowhere."""
    values = [document]
    for step in steps:
        values = [found for value in values for found in _stepped(value, step)]
    return values


def _stepped(value: object, step: Step) -> Iterator[object]:
    if isinstance(step, str):
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict) and step in each:
                yield each[step]
    elif not isinstance(value, list):
        if not step:
            yield value
    elif step is None:
        yield from value
    elif step < len(value):
        yield value[step]


def document_in(content: object) -> Any:
    """Return the JSON in a column that is text; None where it is none. What is no text is there as it is."""
    if not isinstance(content, str | bytes):
        return content
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def field_value(values: Iterable[object]) -> Scalar | None:
    """Return what was found at a path as the value of a field; None where there is none.

    Several different values become one text, sorted and parted by commas, as those of label files do. What is
    nested is none; nor are a number that is not finite and an integer beyond 64 bits.
    """
    found: dict[str, Scalar] = {}
    for value in values:
        if isinstance(value, bool | str):
            found[str(value).lower() if isinstance(value, bool) else value] = value
        elif (isinstance(value, int) and -(2**63) <= value < 2**63) or (
            isinstance(value, float) and math.isfinite(value)
        ):
            found[str(value)] = value
    if len(found) <= 1:
        return next(iter(found.values()), None)
    return ", ".join(sorted(found))
