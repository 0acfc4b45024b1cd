"""Labels from tables: one row for an image, with a column that names it.

A table is metadata.csv, .tsv, .jsonl or .parquet with the column file_name, as Hugging Face's ImageFolder has
it (https://huggingface.co/docs/datasets/image_dataset#imagefolder): it may stand in any folder, file_name is
relative to that folder, and where there is a table the names of folders say nothing. What people bring is
read too where it can only mean one thing: other headings, other separators, paths of another machine.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lookalike.errors import LabelsInvalid
from lookalike.file_names import display
from lookalike.label_normalisation import label_text
from lookalike.labels.fields import joined, scalar_fields, storable
from lookalike.labels.json.annotations import attribute_fields
from lookalike.labels.json.documents import kind, parse_json
from lookalike.labels.labelling import Claim, Label, Unusable, skip
from lookalike.labels.tables.column_types import decimal_comma, listed, typed
from lookalike.labels.tables.delimited import read_delimited
from lookalike.labels.tables.headings import (
    FILE_NAME,
    field_name,
    file_column,
    is_file_heading,
    is_image_name,
    is_label_heading,
)
from lookalike.labels.tables.parquet import read_parquet
from lookalike.types import Remark, Skipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from lookalike.labels.encodings import Encodings
    from lookalike.labels.image_names import ImageNames, Place
    from lookalike.sources.objects import Location
    from lookalike.types import Scalar

TABLE_NAMES = ("metadata.csv", "metadata.tsv", "metadata.jsonl", "metadata.parquet")
"""Names of files that are read as tables of labels, in any case."""

SUFFIXES = (".csv", ".tsv", ".tab", ".txt", ".jsonl", ".ndjson", ".parquet")
"""What the name of any table ends in, in lower case."""

# Rows above the heading that a table may have: a title, a date.
_ROWS_ABOVE = 10
# Columns of 0 and 1 that are one for each class.
_LEAST_CLASSES = 2
_PARTS = frozenset({"split", "fold", "subset"})
# What VGG Image Annotator has in its CSV, https://www.robots.ox.ac.uk/~vgg/software/via/, each a JSON object.
_ATTRIBUTES = frozenset({"file_attributes", "region_attributes"})
# How sure a way of naming an image is; of two names for one image the surer counts.
_SURE = {"exact": 3, "below": 2, "case": 2, "folders": 1, "ending": 1, "packed": 1, "upload": 1}
_HOW = {
    "below": "lie in another folder than the table says",
    "case": "differ from their images by upper and lower case",
    "ending": "have no ending, and their images have",
    "folders": "have folders before them that are not here",
    "packed": "have characters of another code page, or their images have",
    "upload": "have before them what Label Studio puts there",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table, or what is wrong with it."""

    place: str
    """Its line in the file, as an editor counts, or its number in a parquet file, from 1."""
    delivered: Mapping[str, Any]
    fields: Mapping[str, Scalar]
    name: object = None
    """What names the image."""
    flaw: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """The rows of one table."""

    path: Location
    rows: list[Row]
    heading: str
    """Of the column that names the images; empty where there are no headings."""
    fields: int
    """Columns beside it."""
    remarks: list[str] = field(default_factory=list)


def is_table(path: Location) -> bool:
    """Tell whether a file is a table of labels by its name."""
    return path.name.casefold() in TABLE_NAMES


def read_tables(
    tables: Iterable[Location], names: ImageNames, encodings: Encodings
) -> tuple[list[Claim], list[Skipped], list[Remark]]:
    """Read the labels that stand in tables.

    Every other column is a field. Of a CSV file a column is of numbers, or of booleans, where all its values
    are; an empty value is absent. JSON Lines and Parquet keep their types, and their nested values only in
    the metadata, which is the row. Several rows of one image are joined as `fields.joined` says.

    Args:
        tables: paths below the folder that was walked.
        names: the images below it.
        encodings: of its label files.

    Returns:
        The labels with their images, the rows that cannot be used with the reason, and what was assumed.

    Raises:
        LabelsInvalid: no table can be read, or none has a column that names images.
        ExtraMissing: a Parquet file, and no pyarrow to read it.
    """
    claims: list[Claim] = []
    skipped: list[Skipped] = []
    remarks: list[Remark] = []
    sheets = read_sheets(tables, names, encodings)
    invalid = [sheet for sheet in sheets if isinstance(sheet, LabelsInvalid)]
    if invalid and len(invalid) == len(sheets):
        raise invalid[0]
    for sheet in sheets:
        if isinstance(sheet, LabelsInvalid):
            skipped.append(Skipped(sheet.path, f"cannot be used at all: {sheet.reason}"))
            continue
        found, unused, said = claim_rows(sheet, names)
        claims += found
        skipped += unused
        remarks += said
    return claims, skipped, remarks


def read_sheets(
    tables: Iterable[Location], names: ImageNames, encodings: Encodings
) -> list[Sheet | LabelsInvalid]:
    """Return tables in the order given, each or why it cannot be used.

    Raises:
        ExtraMissing: a Parquet file, and no pyarrow to read it.
    """
    texts: dict[Location, str | Unusable] = {}
    uncertain: dict[Location, bytes] = {}
    for table in tables:
        try:
            read = "" if table.suffix.lower() == ".parquet" else encodings.read(table)
            texts[table] = "" if isinstance(read, bytes) else read
            if isinstance(read, bytes):
                uncertain[table] = read
        except Unusable as error:
            texts[table] = error
    texts |= encodings.guess(uncertain)
    sheets: list[Sheet | LabelsInvalid] = []
    for table, text in texts.items():
        try:
            sheets.append(_sheet(table, text, names) if isinstance(text, str) else _invalid(table, text))
        except Unusable as error:
            sheets.append(_invalid(table, error))
    return sheets


def _invalid(table: Location, error: Unusable) -> LabelsInvalid:
    invalid = LabelsInvalid(str(table), display(str(error)))
    invalid.__cause__ = error
    return invalid


def locate_rows(sheet: Sheet, names: ImageNames) -> Iterator[tuple[Row, Place | Skipped]]:
    """Yield the rows of a table, each with the image that it names, or why it cannot be used."""
    for row in sheet.rows:
        try:
            place = names.locate(_file_name(row, sheet.heading or FILE_NAME), sheet.path.parent)
        except Unusable as error:
            yield row, skip(sheet.path, row.place, str(error))
        else:
            yield row, place


def claim_rows(sheet: Sheet, names: ImageNames) -> tuple[list[Claim], list[Skipped], list[Remark]]:
    """Return the labels of a table with their images, the rows that cannot be used, and what was assumed."""
    skipped: list[Skipped] = []
    found: dict[tuple[Location, str], list[tuple[Row, Place]]] = {}
    how: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for row, place in locate_rows(sheet, names):
        if isinstance(place, Skipped):
            skipped.append(place)
            continue
        # Names that differ by folders that are not here may have been two images; others are one.
        apart = place.name if place.how in ("folders", "packed", "upload") else ""
        found.setdefault((place.image, apart), []).append((row, place))
        if place.how != "exact":
            how[place.how] += 1
            if place.how not in examples:
                examples[place.how] = f"{row.name} is {names.below(place.image)}"
    if not sheet.rows:
        skipped.append(Skipped(str(sheet.path), "has headings and no rows below them"))
    claims = []
    several: list[Claim] = []
    for (image, _), rows in found.items():
        first, place = rows[0]
        sure = (max(_SURE[each.how] for _, each in rows),)
        different = list({_key(row): row for row, _ in rows}.values())
        if len(different) == 1:
            label = Label(first.fields, first.delivered)
        else:
            label = Label(_joined_fields(different), {"rows": [dict(row.delivered) for row in different]})
        claims.append(Claim(image, label, sheet.path, first.place, sure, place.namesakes))
        if len(different) > 1:
            several.append(claims[-1])
    said = [*sheet.remarks]
    if several:
        count = f"{len(several):,} images have" if len(several) > 1 else "1 image has"
        fields = ", ".join(f"{name}={value}" for name, value in list(several[0].label.fields.items())[:3])
        said.append(f"{count} several rows, which are joined: {several[0].image.name} is {fields}")
    for way, times in how.items():
        names_are = f"{times:,} names {_HOW[way]}" if times > 1 else f"1 name {_singular(_HOW[way])}"
        said.append(f"{names_are}: {examples[way]}")
    return claims, skipped, [Remark(str(sheet.path), display(text)) for text in said]


def _singular(words: str) -> str:
    for many, one in (("lie", "lies"), ("differ", "differs"), ("have", "has")):
        words = re.sub(rf"^{many}\b", one, words)
    return (
        words.replace("their images have", "its image has")
        .replace("their images", "its image")
        .replace("before them", "before it")
    )


def _key(row: Row) -> str:
    return repr(sorted(row.delivered.items(), key=str))


def _joined_fields(rows: Iterable[Row]) -> dict[str, Scalar]:
    values: dict[str, list[Scalar]] = {}
    for row in rows:
        for name, value in row.fields.items():
            values.setdefault(name, []).append(value)
    found = {name: joined(several) for name, several in values.items()}
    return {name: value for name, value in found.items() if value is not None}


def _file_name(row: Row, heading: str) -> str:
    name, heading = row.name, label_text(heading)
    if row.flaw:
        raise Unusable(row.flaw)
    if name is None:
        raise Unusable(f"names no image: {heading} is empty")
    if not isinstance(name, str):
        raise Unusable(f"{heading} is {kind(name)}, not a string")
    if not label_text(name):
        raise Unusable(f"names no image: {heading} is empty")
    return name


def _sheet(table: Location, text: str, names: ImageNames) -> Sheet:
    def is_there(value: str) -> bool:
        try:
            names.locate(value, table.parent)
        except Unusable:
            return False
        return True

    suffix = table.suffix.lower()
    if suffix == ".parquet":
        rows = [(f"row {n}", row) for n, row in enumerate(read_parquet(table), 1)]
        return _with_label(_typed_sheet(table, rows, is_there, "no column file_name: the columns are "))
    if suffix in (".jsonl", ".ndjson"):
        return _with_label(_json_sheet(table, text, is_there))
    try:
        return _with_label(_text_sheet(table, text, is_there))
    except csv.Error as error:
        raise Unusable(str(error)) from error


def _with_label(sheet: Sheet) -> Sheet:
    """Return a table with the field `label`, where a column that is called otherwise says it.

    That is a column such as `class`; or columns of 0 and 1 alone, at least two, one for each class, as
    Roboflow's _classes.csv has them: the label is the headings of those that are 1.
    """
    columns = dict.fromkeys(name for row in sheet.rows for name in row.fields)
    if "label" in columns:
        return sheet
    if (named := next(filter(is_label_heading, columns), None)) is not None:
        remark = f"its column {named!r} is the label"
        labels = [row.fields.get(named) for row in sheet.rows]
    else:
        classes = [name for name in columns if name.casefold() not in _PARTS]
        values = [row.fields.get(name) for row in sheet.rows if not row.flaw for name in classes]
        if len(classes) < _LEAST_CLASSES or not all(_is_bit(value) for value in values):
            return sheet
        some = ", ".join(classes[:3]) + (" …" if len(classes) > _LEAST_CLASSES + 1 else "")
        remark = f"its columns {some} hold 0 or 1: the label is the names of those that are 1"
        labels = [joined(name for name in classes if row.fields.get(name) == 1) for row in sheet.rows]
    rows = [
        row if label is None else replace(row, fields={**row.fields, "label": label})
        for row, label in zip(sheet.rows, labels, strict=True)
    ]
    return replace(sheet, rows=rows, remarks=[*sheet.remarks, remark])


def _is_bit(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value in (0, 1)


def _typed_sheet(
    table: Location,
    rows: Sequence[tuple[str, Mapping[str, Any] | str]],
    is_there: Callable[[str], bool],
    none: str,
) -> Sheet:
    """Return rows that have types; a text in place of a row is what is wrong with it."""
    columns = list(dict.fromkeys(name for _, row in rows if not isinstance(row, str) for name in row))
    column = file_column(
        columns, lambda n: [row.get(columns[n]) for _, row in rows if not isinstance(row, str)], is_there
    )
    if column is None:
        raise Unusable(none + ", ".join(columns) if none.endswith(" ") else none)
    found = []
    for place, row in rows:
        if isinstance(row, str):
            found.append(Row(place, {}, {}, flaw=row))
            continue
        fields = scalar_fields(
            {field_name(name): value for name, value in row.items() if name != columns[column]}
        )
        found.append(Row(place, row, fields, row.get(columns[column])))
    return Sheet(table, found, columns[column], len(columns) - 1, _about(columns[column]))


def _json_sheet(table: Location, text: str, is_there: Callable[[str], bool]) -> Sheet:
    rows: list[tuple[str, Mapping[str, Any] | str]] = []
    # Not str.splitlines, which also parts at characters that may stand inside a JSON string.
    for n, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
        except Unusable as error:
            rows.append((f"line {n}", str(error)))
            continue
        rows.append((f"line {n}", row if isinstance(row, dict) else f"is {kind(row)}, not an object"))
    if all(isinstance(row, str) for _, row in rows):
        # A JSON text of one list, whatever its name says.
        try:
            whole = parse_json(text)
        except Unusable:
            whole = None
        if isinstance(whole, list):
            rows = [
                (f"[{n}]", row if isinstance(row, dict) else f"is {kind(row)}, not an object")
                for n, row in enumerate(whole)
            ]
    return _typed_sheet(table, rows, is_there, "no line has a file_name")


def _about(heading: str) -> list[str]:
    plain = label_text(heading)
    return [] if plain.casefold() == FILE_NAME else [f"its column {plain!r} names the images"]


def _text_sheet(table: Location, text: str, is_there: Callable[[str], bool]) -> Sheet:
    def speaks(values: Sequence[str]) -> bool:
        return any(is_file_heading(value) or is_image_name(value) for value in values)

    separator, lines = read_delimited(text, speaks)
    remarks: list[str] = []
    header, lines = _headed(_unquoted(lines), is_there, remarks)
    column = file_column(header, lambda n: [values[n] for _, values in lines if len(values) > n], is_there)
    if column is None:
        raise Unusable(f"no column {FILE_NAME}: the columns are {', '.join(header)}")
    if header[column]:
        remarks += _about(header[column])
    wide = len(header)
    columns: list[list[str]] = [
        [label_text(values[n]) if n < len(values) else "" for _, values in lines] for n in range(wide)
    ]
    keys = _keys(header, columns, remarks)
    values_of: dict[int, list[Scalar | None]] = {}
    for n in range(wide):
        if n == column or not label_text(keys[n]):
            continue
        cells = columns[n]
        if separator != "," and (points := decimal_comma(cells)) is not None:
            cells = points
            remarks.append(f"the numbers of {keys[n]} have a decimal comma")
        values_of[n] = typed(cells)
    found = []
    for at, (line, values) in enumerate(lines):
        fields = _text_fields(values_of, at, header, keys)
        flaw = ""
        if any(label_text(value) for value in values[wide:]):
            flaw = f"has {len(values)} values for {wide} columns"
        name = values[column] if column < len(values) else None
        delivered = dict(zip(keys, values, strict=False))
        found.append(Row(f"line {line}", delivered, fields, name, flaw))
    return Sheet(table, found, header[column] or FILE_NAME, len(values_of), remarks)


def _unquoted(lines: list[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
    """Return the rows without the single quotation marks that are around all values below the headings."""
    values = [value.strip() for _, row in lines[1:] for value in row if value.strip()]
    if not values or not all(len(value) > 1 and value[0] == value[-1] == "'" for value in values):
        return lines
    return [(line, [re.sub(r"^\s*'(.*)'\s*$", r"\1", value) for value in row]) for line, row in lines]


def _text_fields(
    columns: Mapping[int, Sequence[Scalar | None]], at: int, header: Sequence[str], keys: Sequence[str]
) -> dict[str, Scalar]:
    """Return the fields of the row `at`: of each column, by its number, the value."""
    fields: dict[str, Scalar] = {}
    for n, values in columns.items():
        cell = values[at]
        if isinstance(cell, str) and header[n] in _ATTRIBUTES and (said := _attributes(cell)) is not None:
            fields.update(said)
            continue
        if isinstance(cell, str):
            cell = joined(listed(cell) or [cell])
        if cell is not None:
            fields[storable(field_name(keys[n]))] = cell
    return fields


def _attributes(cell: str) -> dict[str, Scalar] | None:
    """Return the attributes that stand in a cell as JSON; None where it is something else."""
    try:
        value = parse_json(cell)
    except Unusable:
        return None
    return attribute_fields(value, "") if isinstance(value, dict) else None


def _headed(
    lines: list[tuple[int, list[str]]], is_there: Callable[[str], bool], remarks: list[str]
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the headings of a table and its other rows; headings of our own where it has none."""
    for n, (line, values) in enumerate(lines[:_ROWS_ABOVE]):
        heads = any(is_file_heading(value) for value in values) and not any(map(is_image_name, values))
        if heads and (n == 0 or all(_filled(above) < _filled(values) for _, above in lines[:n])):
            if n:
                remarks.append(f"line {line} is taken for its headings")
            return values, lines[n + 1 :]
        if any(is_image_name(value) for value in values):
            break
    first = lines[0][1]
    named = [
        n for n, value in enumerate(first) if is_image_name(value) or (len(lines) > 1 and is_there(value))
    ]
    if not named:
        return first, lines[1:]
    wide = max(len(values) for _, values in lines)
    header = [f"column{n}" for n in range(1, wide + 1)]
    header[named[0]] = FILE_NAME
    if wide == 2:
        header[1 - named[0]] = "label"
    remarks.append(f"has no headings; its columns are taken for {', '.join(header)}")
    return header, lines


def _filled(values: Sequence[str]) -> int:
    return sum(bool(label_text(value)) for value in values)


def _keys(header: Sequence[str], columns: Sequence[Sequence[str]], remarks: list[str]) -> list[str]:
    """Return the headings, different ones for columns that have the same; of two equal columns one counts."""
    keys: list[str] = []
    seen: dict[str, int] = {}
    times: Counter[str] = Counter()
    for n, name in enumerate(header):
        plain = field_name(name)
        if plain in seen and plain:
            times[plain] += 1
            if columns[n] == columns[seen[plain]]:
                keys.append("")
                continue
            renamed = f"{plain}_{times[plain] + 1}"
            remarks.append(f"two columns are called {plain}: the later one is {renamed}")
            keys.append(renamed)
            continue
        seen[plain] = n
        keys.append(name)
    return keys
