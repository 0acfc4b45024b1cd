"""Tables of labels that are not called metadata: labels.csv, train.tsv, annotations.xlsx and the like.

Any folder may have tables that are no labels. One counts as labels by what stands in it: a column that names
images which are there. Its own name only decides whether it is worth a word where nothing was read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from lookalike.errors import ExtraMissing, LabelsInvalid
from lookalike.file_names import display
from lookalike.labels.labelling import Unusable
from lookalike.labels.tables.headings import is_file_heading, is_image_name
from lookalike.labels.tables.sheets import SUFFIXES, Sheet, is_table, read_sheets
from lookalike.types import Skipped

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lookalike.labels.encodings import Encodings
    from lookalike.labels.image_names import ImageNames
    from lookalike.sources.objects import Location

_WORKBOOKS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".numbers")
_LIKE_LABELS = re.compile(
    r"label|annot|metadata|ground.?truth|\bgt\b|class|categor|target|dataset|train|val|test|split|caption|"
    r"라벨|레이블|정답|분류|标签|标注|标记|標籤|標註|ラベル|正解",
    re.IGNORECASE,
)
# What a model said, or is asked to say, is no label.
_PREDICTIONS = re.compile(r"submission|predict|inference", re.IGNORECASE)
# Where there are more, they are what was measured of each image, say.
_MOST_FILES = 50
# Bytes of a table that is looked into unasked; of one that is called like labels, and is text.
_LARGEST = 16 << 20
_LARGEST_LABELS = 256 << 20
_LOOKED_AT = 500


class OtherTable(NamedTuple):
    """A table that names images which are there."""

    sheet: Sheet
    found: int
    """Rows, of those that were looked at, that name an image."""
    looked_at: int

    def __str__(self) -> str:
        return f"its column {self.sheet.heading!r} names images ({self.found:,} of {self.looked_at:,} rows)"


def find_other_tables(
    others: Iterable[Location], names: ImageNames, encodings: Encodings
) -> tuple[list[OtherTable], list[Skipped]]:
    """Return the tables that name images, whatever they are called, and those that only look as if they did.

    Args:
        others: the files below the folder that was walked, other than images.
        names: the images below it.
        encodings: of its label files.

    Returns:
        Both in the order given; of the second kind by their names alone, with the reason why they are no use.
    """
    candidates = [path for path in others if may_be_table(path) and not is_table(path)]
    # What Excel keeps beside a workbook that is open.
    candidates = [path for path in candidates if not path.name.startswith("~$")]
    candidates.sort(key=lambda path: not _LIKE_LABELS.search(path.name))
    tables: list[OtherTable] = []
    useless: list[Skipped] = []
    for path in candidates[:_MOST_FILES]:
        suspicious = bool(_LIKE_LABELS.search(path.name))
        try:
            sheet = _sheet(path, names, encodings)
        except Unusable as error:
            if suspicious and path.suffix.lower() != ".txt":
                useless.append(
                    Skipped(str(path), f"looks like labels and is not used: {display(str(error))}")
                )
            continue
        if _PREDICTIONS.search(path.name):
            useless.append(Skipped(str(path), "is not used: it is called like the answers of a model"))
            continue
        sample = sheet.rows[:_LOOKED_AT]
        headed = is_file_heading(sheet.heading)
        # A column of numbers that names 1.jpg, 2.jpg … by chance is none of names.
        found = sum(
            (headed or is_image_name(row.name)) and _is_there(row.name, path, names) for row in sample
        )
        if found:
            tables.append(OtherTable(sheet, found, len(sample)))
        elif suspicious and sample:
            reason = _missing(sheet, path, names)
            useless.append(Skipped(str(path), f"looks like labels and is not used: {reason}"))
    tables.sort(key=_likeness)
    return tables, useless


def is_like_labels(table: OtherTable) -> bool:
    """Tell whether a table that names images says what they are: it has labels, or is called so."""
    return _has_label(table) or bool(_LIKE_LABELS.search(table.sheet.path.name))


def _has_label(table: OtherTable) -> bool:
    return any("label" in row.fields for row in table.sheet.rows[:_LOOKED_AT])


def _likeness(table: OtherTable) -> tuple[object, ...]:
    """Return what sorts tables by how much they are like labels, the likest first."""
    return (
        not _has_label(table),
        not _LIKE_LABELS.search(table.sheet.path.name),
        -table.found,
        str(table.sheet.path),
    )


def may_be_table(path: Location) -> bool:
    """Tell by a file's name whether it is worth a look for labels."""
    suffix = path.suffix.lower()
    if suffix == ".txt":
        # A list of classes, a licence, one file of boxes for each image: what is called so is hardly a table.
        return bool(_LIKE_LABELS.search(path.stem))
    return suffix in SUFFIXES or suffix in _WORKBOOKS


def _sheet(path: Location, names: ImageNames, encodings: Encodings) -> Sheet:
    suffix = path.suffix.lower()
    if suffix in _WORKBOOKS:
        raise Unusable(f"a workbook ({suffix}) is not read: save it as CSV (UTF-8), called metadata.csv")
    try:
        likely = suffix != ".parquet" and _LIKE_LABELS.search(path.name)
        largest = _LARGEST_LABELS if likely else _LARGEST
        if path.stat().st_size > largest:
            raise Unusable(f"it has more than {largest >> 20} MB; called metadata{suffix} it is read")
        (sheet,) = read_sheets([path], names, encodings)
    except OSError as error:
        raise Unusable(f"cannot be read: {error.strerror}") from error
    except ExtraMissing as error:
        raise Unusable(str(error)) from error
    if isinstance(sheet, LabelsInvalid):
        raise Unusable(sheet.reason)
    return sheet


def _is_there(name: object, path: Location, names: ImageNames) -> bool:
    try:
        return isinstance(name, str) and bool(names.locate(name, path.parent))
    except Unusable:
        return False


def _missing(sheet: Sheet, path: Location, names: ImageNames) -> str:
    """Return why the first row of a table names no image."""
    for row in sheet.rows[:_LOOKED_AT]:
        if isinstance(row.name, str):
            try:
                names.locate(row.name, path.parent)
            except Unusable as error:
                return f"{row.place}: {error}"
    return "no row names an image"


def not_used(tables: Sequence[OtherTable], why: str) -> list[Skipped]:
    """Report tables that name images and are not read; `why` says what was read instead."""
    return [
        Skipped(
            str(table.sheet.path),
            f"looks like labels and is not used: {table}, but {why}; called metadata"
            f"{_read_as(table.sheet.path.suffix.lower())} it is read",
        )
        for table in tables
    ]


def _read_as(suffix: str) -> str:
    """Return what the name of a table called metadata ends in that is read as one of this ending."""
    return {".txt": ".csv", ".tab": ".tsv", ".ndjson": ".jsonl"}.get(suffix, suffix)
