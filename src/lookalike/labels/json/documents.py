"""Parsing of JSON of any origin, with limits."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lookalike.labels.encodings import Encodings
from lookalike.labels.labelling import Unusable
from lookalike.sources.objects import read_ahead
from lookalike.types import Skipped

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lookalike.sources.objects import Location

MAX_DEPTH = 100
"""Levels of nesting that are read. RFC 8259, section 9, lets a reader set a limit; Python's own, about 1,000,
depends on who calls, so that what was read might not be written again."""


@dataclass(frozen=True, slots=True)
class Document:
    """One JSON file and what it holds."""

    path: Location
    content: Any


def parse_json(text: str) -> Any:
    """Return the value of a JSON text.

    NaN, Infinity and numbers too great for a double, which JSON does not have but some writers write, are
    read as null.

    Raises:
        Unusable: it is no JSON, or nested too deeply.
    """
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise Unusable(f"not JSON: {error.msg} (line {error.lineno}, column {error.colno})") from error
    except ValueError as error:  # an integer of thousands of digits
        raise Unusable("not JSON that can be read: an integer has too many digits") from error
    except RecursionError as error:
        raise Unusable(f"nested more than {MAX_DEPTH} levels deep") from error
    if text.count("[") + text.count("{") > MAX_DEPTH and is_deep(value):
        raise Unusable(f"nested more than {MAX_DEPTH} levels deep")
    return value


def parse_json_file(text: str) -> Any:
    """Return the value of a text that is JSON, or a list of those in its lines: JSON Lines called .json.

    Raises:
        Unusable: it is neither; where one line is JSON and others are not, as JSON.
    """
    try:
        return parse_json(text)
    except Unusable:
        # Not str.splitlines, which also parts at characters that may stand inside a JSON string.
        lines = [line for line in text.split("\n") if line.strip()]
        if len(lines) < 2 or not all(line.strip().startswith("{") for line in lines):
            raise
        try:
            return [parse_json(line) for line in lines]
        except Unusable:
            pass
        raise


def read_documents(
    paths: Iterable[Location], encodings: Encodings | None = None
) -> tuple[list[Document], list[Skipped]]:
    """Read JSON files, each once.

    Args:
        paths: the files.
        encodings: of the label files below the folder that they lie in; by default a guess by themselves.

    Returns:
        Those that are JSON, and those that are not with the reason, both in the order given.
    """
    encodings = encodings or Encodings()
    found: dict[Location, Document | Skipped] = {}
    uncertain: dict[Location, bytes] = {}
    for path in read_ahead(paths):
        try:
            text = encodings.read(path)
            if isinstance(text, bytes):
                uncertain[path] = text
            found[path] = Document(path, None if isinstance(text, bytes) else parse_json_file(text))
        except Unusable as error:
            found[path] = Skipped(str(path), str(error))
    for path, guessed in encodings.guess(uncertain).items():
        try:
            if isinstance(guessed, Unusable):
                raise guessed
            found[path] = Document(path, parse_json_file(guessed))
        except Unusable as error:
            found[path] = Skipped(str(path), str(error))
    documents = [each for each in found.values() if isinstance(each, Document)]
    return documents, [each for each in found.values() if isinstance(each, Skipped)]


def kind(value: object) -> str:
    """Return what JSON calls a value, with its article."""
    if value is None:
        return "null"
    names = {bool: "a boolean", dict: "an object", list: "a list", str: "a string"}
    return names.get(type(value), "a number")


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _null(_: str) -> None:
    return None


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_null)


def is_deep(value: object) -> bool:
    """Tell whether a value of JSON is nested more than `MAX_DEPTH` levels deep."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        nested = [item for item in level if isinstance(item, dict | list)]
        if not nested:
            return False
        level = [inner for item in nested for inner in (item.values() if isinstance(item, dict) else item)]
    return True
