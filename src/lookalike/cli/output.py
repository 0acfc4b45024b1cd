"""Output on stdout: tables for people, JSON lines for programs, CSV for spreadsheets."""

from __future__ import annotations

import base64
import csv
import json
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from lookalike.column_names import field_columns
from lookalike.file_names import display
from lookalike.sources.frames import FramePath
from lookalike.sources.locations import named_location
from lookalike.sources.objects import ObjectPath, is_object
from lookalike.uris import frame_uri, local_path, split_frame, uri_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from lookalike.anomaly.scoring import Anomaly, Box
    from lookalike.classification.explanation import Region
    from lookalike.sources.frames import Place
    from lookalike.types import Approximation, CollectionInfo, Neighbour, Record, VectorInfo
    from lookalike.vectors.exclusions import LeftOut

_WIDEST = 1_000_000
# Under which a command's context has the file of lines that become CSV.
_CSV = "lookalike.csv"
# Stands before fields until it is known which other columns there are; no other key begins so.
_FIELDS = "\0"
# Rows of a list that a table shows, of a list of files and of one of findings; JSON lines have them all.
SHOWN = 50
SHOWN_FINDINGS = 10


def print_line(value: Mapping[str, object]) -> None:
    """Print one JSON line, or keep it for a CSV file.

    Text that stdout cannot encode (a file name, say) is written as JSON's escapes.
    """
    context = click.get_current_context(silent=True)
    kept = None if context is None else context.meta.get(_CSV)
    if kept is not None:
        kept.write(json.dumps(value, default=_encode) + "\n")
        return
    text = json.dumps(value, ensure_ascii=False, default=_encode)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, ensure_ascii=True, default=_encode)
    sys.stdout.write(text + "\n")


@contextmanager
def lines_as_csv(context: click.Context) -> Iterator[None]:
    """Write what `print_line` is given as CSV (RFC 4180) on stdout, when the block ends.

    A column for each key of any line, in the order in which they came; what is nested has its keys joined by
    dots, and a list is JSON; fields are called as `field_columns` says. Which columns there are is known
    at the end only, so lines wait in a file.

    Args:
        context: of the command whose lines they are.
    """
    with tempfile.TemporaryFile("w+", encoding="ascii") as kept:
        context.meta[_CSV] = kept
        try:
            yield
        finally:
            del context.meta[_CSV]
            columns: dict[str, None] = {}
            for line in _lines_of(kept):
                columns.update(dict.fromkeys(line))
            fields = [each.removeprefix(_FIELDS) for each in columns if each.startswith(_FIELDS)]
            others = [each for each in columns if not each.startswith(_FIELDS)]
            named = {_FIELDS + field: name for field, name in field_columns(fields, others).items()}
            if columns:
                rows = csv.writer(sys.stdout, lineterminator="\n")
                rows.writerow(named.get(each, each) for each in columns)
                rows.writerows([line.get(each) for each in columns] for line in _lines_of(kept))


def _lines_of(kept: IO[str]) -> Iterator[dict[str, object]]:
    kept.seek(0)
    for text in kept:
        line = json.loads(text)
        found: dict[str, object] = {}
        for key, cell in line.items():
            # Those of the image itself: they are called as in other tables.
            of_fields = key == "fields" and isinstance(cell, dict)
            found.update(_cells(cell, _FIELDS) if of_fields else _cells({key: cell}))
        yield found


def _cells(value: Mapping[str, object], above: str = "") -> Iterator[tuple[str, object]]:
    """Return the cells of a line, nested keys after those above them."""
    for key, cell in value.items():
        if isinstance(cell, dict):
            yield from _cells(cell, f"{above}{key}.")
        elif isinstance(cell, str) or cell is None:
            yield above + key, cell
        else:
            yield above + key, json.dumps(cell, ensure_ascii=False)


def _encode(value: object) -> object:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """Print a table; text is shown as it is, numbers are set to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    body = [list(row) for row in rows]
    table = Table(
        box=SIMPLE_HEAD, title=title and Text(display(title), "bold"), title_justify="left", pad_edge=False
    )
    for at, column in enumerate(columns):
        numbers = bool(body) and all(isinstance(row[at], int | float | None) for row in body)
        table.add_column(Text(display(column)), justify="right" if numbers else "left", overflow="fold")
    for row in body:
        table.add_row(*(Text(text_of(value)) for value in row))
    # Piped tables are as wide as they are: nothing is folded to some assumed width.
    width = None if sys.stdout.isatty() else Console(width=_WIDEST).measure(table).maximum
    Console(file=sys.stdout, highlight=False, width=width).print(table)


def text_of(value: object) -> str:
    """Return a value as a table shows it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, int):
        return str(value)
    return display(str(value))


def counted(count: int, what: str) -> str:
    """Return a count with its noun: `1 record`, `2,000 records`."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def print_text(text: str = "") -> None:
    """Print one line of prose on stdout."""
    sys.stdout.write(text + "\n")


def print_rest(count: int, shown: int | None, what: str = "") -> None:
    """Print how many rows of a list were not shown, and what shows them.

    Args:
        count: of the rows.
        shown: how many of them were; None for all.
        what: they are, for a command that has --all.
    """
    if shown is not None and count > shown:
        how = f" {what}: --all shows them" if what else ": --format jsonl lists them all"
        print_text(f"… and {count - shown:,} more{how}")


def short_path(path: Place | str) -> str:
    """Return a path, or that of a `file:` URI, for people: relative to the current folder where it can be.

    An object is shown as people write it, and any other URI as it is.
    """
    frame = split_frame(path) if isinstance(path, str) else None
    if frame is not None:
        return frame_uri(short_path(frame[0]), frame[1])
    if isinstance(path, FramePath):
        return frame_uri(short_path(path.film), path.seconds)
    place = local_path(path) if isinstance(path, str) else path
    if place is None or isinstance(place, ObjectPath):
        return display(uri_text(path) if isinstance(path, str) else path)
    try:
        here = Path.cwd()
    except OSError:  # it was removed under this process
        return display(place)
    return display(place.relative_to(here) if place.is_relative_to(here) else place)


def short_name(name: str) -> str:
    """Return what a file or object was called, for people, as `short_path` does; also what cannot be one."""
    return display(name) if is_object(name) else short_path(named_location(name))


def record_line(record: Record) -> dict[str, Any]:
    """Return a record as JSON output has it."""
    return {
        "id": record.id,
        "uri": record.uri,
        "path": None if (path := local_path(record.uri)) is None else str(path),
        "fields": dict(record.fields),
    }


def neighbour_line(neighbour: Neighbour) -> dict[str, Any]:
    """Return a neighbour as JSON output has it."""
    return {"similarity": neighbour.similarity, **record_line(neighbour.record)}


def approximation_text(found: Approximation) -> str:
    """Describe an approximate index, and its recall."""
    return (
        f"{found.kind}, recall@{found.k} {found.recall:.4f} on {counted(found.queries, 'image')} of its own"
    )


def print_how_searched(found: Approximation | None) -> None:
    """Print how a search was made that was to be approximate."""
    if found is None:
        print_text("exact: there is no approximate index; `lookalike index PATH --approximate` makes one")
    else:
        print_text(f"approximate: {approximation_text(found)}")


def approximation_line(found: Approximation | None) -> dict[str, Any] | None:
    """Return an approximate index as JSON output has it; None where there is none."""
    return None if found is None else asdict(found)


def collection_line(collection: CollectionInfo) -> dict[str, object]:
    """Return a collection as JSON output has it."""
    return {
        "collection": collection.name,
        "images": collection.count,
        "fields": list(collection.fields),
        **asdict(collection.space),
        "default": collection.default,
        "vectors": [asdict(vector) for vector in collection.vectors],
        **({} if collection.problem is None else {"problem": str(collection.problem)}),
    }


def vector_text(vector: VectorInfo) -> str:
    """Return the name of a vector with its model and dimensions, and whether records lack it still."""
    lacking = "" if vector.ready else ", not complete"
    return f"{vector.name}: {vector.space.embedder}, {vector.space.dimension}{lacking}"


def verdict_text(found: Anomaly) -> str:
    """Return what is said of a picture that was held against normal ones, in one line."""
    verdict = "ANOMALOUS" if found.anomalous else "normal"
    return (
        f"{verdict}, score {found.score:.2f} (threshold {found.threshold:.2f} for "
        f"{found.false_alarm:.4g} false alarms, p = {found.p_value:.4f})"
    )


def box_text(box: Box | Region) -> str:
    """Return where a box is, in words."""
    return f"{box.left:.0%} … {box.right:.0%} from the left, {box.top:.0%} … {box.bottom:.0%} from the top"


class OutputNames:
    """File names of PNGs that are written for pictures: the pictures' own, each once."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def of(self, path: Place) -> str:
        """Return the name for a picture, with a number where another has it."""
        stem = path.film.stem + f"-{path.seconds}s" if isinstance(path, FramePath) else path.stem
        number, name = 1, f"{stem}.png"
        while name.casefold() in self._taken:
            number += 1
            name = f"{stem}-{number}.png"
        self._taken.add(name.casefold())
        return name


def describe(record: Record) -> str:
    """Return the fields of a record in one line."""
    return ", ".join(f"{name}={text_of(value)}" for name, value in sorted(record.fields.items()))


def print_left_out(
    left_out: Sequence[LeftOut],
    shown: int | None = SHOWN_FINDINGS,
    *,
    heading: str = "left out",
    what: str = "",
) -> None:
    """Print the images that were left out, and why.

    Args:
        left_out: the images.
        shown: how many of them a table shows; None for all.
        heading: above them.
        what: they are, for a command that has --all.
    """
    if left_out:
        rows = [(short_path(each.record.uri), each.reason) for each in left_out[:shown]]
        print_table((heading, "because"), rows)
        print_rest(len(left_out), shown, what)


def print_left_out_lines(left_out: Sequence[LeftOut]) -> None:
    """Print the images that were left out as JSON lines."""
    for each in left_out:
        print_line({"type": "left_out", "id": each.record.id, "uri": each.record.uri, "reason": each.reason})
