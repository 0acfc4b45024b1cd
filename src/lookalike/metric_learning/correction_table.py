"""Corrections that stand in a table: a row for each image, with a column that names it, and its labels."""

from __future__ import annotations

import os.path
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from lookalike.column_names import FIELD, column_field
from lookalike.errors import LabelsInvalid
from lookalike.file_names import display
from lookalike.label_normalisation import kept_name
from lookalike.labels.encodings import Encodings
from lookalike.labels.image_names import ImageNames
from lookalike.labels.labelling import Claim, Label, settle, skip
from lookalike.labels.tables.headings import field_name, is_label_heading
from lookalike.labels.tables.sheets import locate_rows, read_sheets
from lookalike.metric_learning.corrections import Correction
from lookalike.output_files import plain_cell
from lookalike.sources.objects import ObjectPath
from lookalike.types import Remark, Skipped
from lookalike.uris import local_path, split_frame, uri_text
from lookalike.vectors.vote import label_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from lookalike.labels.tables.sheets import Sheet
    from lookalike.sources.objects import Location
    from lookalike.types import CollectionInfo, Scalar

# New values of a field that are shown.
_SHOWN = 3
# What `label_key` tells apart, in its order.
_KINDS = ("true or false", "a number", "text")
_SEVERAL = "several images are called so: an id names one of them"


@dataclass(frozen=True, slots=True)
class CorrectionTable:
    """What a table says of a collection's images."""

    corrections: list[Correction]
    """One for each image, in the order of their paths."""
    skipped: list[Skipped]
    """Rows that cannot be used: they name no image of the collection, or contradict another."""
    remarks: list[Remark]
    """What was assumed."""


def read_corrections(
    table: Location,
    collection: CollectionInfo,
    uris: Mapping[str, str],
    values: Mapping[str, Sequence[Scalar]],
    fields: Sequence[str] = (),
    encoding: str | None = None,
) -> CorrectionTable:
    """Read corrections from a table, as labels are read from one: see `labels.tables.sheets`.

    An empty cell says nothing. Rows that say different things of a field of one image are not used.

    Args:
        table: its absolute path.
        collection: what is corrected.
        uris: those of its records, by id; several may have one.
        values: those that its fields have, by field.
        fields: the columns that are taken; none: those that are fields of the collection.
        encoding: of a text that is no Unicode by its marks; None to guess.

    Raises:
        LabelsInvalid: it cannot be read, names no image, or has none of the fields.
        InvalidArgument: there is no such encoding.
        ExtraMissing: a Parquet file, and no pyarrow to read it.
    """
    named = _Named(table.parent, uris)
    root, images = named.root, named.images
    if table.suffix.lower() == ".json":
        raise LabelsInvalid(
            str(table), "is JSON, and no table: in JSON Lines, .jsonl, each line is an object"
        )
    encodings = Encodings(images, encoding, root)
    names = ImageNames(root, images, named.places)
    (sheet,) = read_sheets([table], names, encodings)
    if isinstance(sheet, LabelsInvalid):
        raise sheet
    taken, unused = _columns(table, sheet, collection, fields)
    claims: list[Claim] = []
    skipped: list[Skipped] = []
    for row, found in locate_rows(sheet, names):
        if isinstance(found, Skipped):
            skipped.append(found)
            continue
        if found.image in named.several:
            skipped.append(skip(table, row.place, _SEVERAL))
            continue
        said = {taken[name]: value for name, value in row.fields.items() if name in taken}
        kept = {name: like_others(value, values.get(name, ())) for name, value in said.items()}
        claims.append(Claim(found.image, Label(kept, {}), table, row.place, (), found.namesakes))
    settled = settle("table", images, claims)
    corrections = [
        Correction(named.identities[image], label.fields) for image, label in settled.labels.items()
    ]
    remarks = [*encodings.remarks(), *(Remark(str(table), text) for text in sheet.remarks)]
    for name in dict.fromkeys(taken.values()):
        said_of_it = [value for one in corrections if (value := one.fields.get(name)) is not None]
        if name in values and (unheard := new_values(name, said_of_it, values[name])):
            remarks.append(Remark(str(table), unheard))
    if unused:
        columns = ", ".join(display(name) for name in unused)
        remarks.append(Remark(str(table), f"not used, as no image has a field of that name: {columns}"))
    return CorrectionTable(corrections, [*skipped, *settled.skipped], remarks)


class _Named:
    """What the records of a collection are called in tables.

    Each has a place below one folder, as files have one: its file; what is no file on this machine, a frame,
    and one of several records of a file have one that nothing lies at.
    """

    def __init__(self, folder: Location, uris: Mapping[str, str]) -> None:
        files = {
            identity: path
            for identity, uri in uris.items()
            if split_frame(uri) is None and (path := local_path(uri)) is not None
        }
        if isinstance(folder, ObjectPath):
            files = {}  # beside a table in a bucket no file lies: each is called by its whole path
        self.root = folder if isinstance(folder, ObjectPath) else _common(folder, list(files.values()))
        self.identities: dict[Location, str] = {}
        """The ids of the records, by their places."""
        counts = Counter(files.values())
        self.several: set[Location] = {path for path, count in counts.items() if count > 1}
        """Places that are not those of one record."""
        naming: dict[str, list[Location]] = {}
        for identity, uri in uris.items():
            path = files.get(identity)
            place = self.root / identity if path is None or path in self.several else path
            if self.identities.setdefault(place, identity) != identity:
                self.several.add(place)  # an id that is called as the file of another
            # A path in a table of others that is relative to nothing is no URI to whoever writes it, nor is
            # an id there percent-encoded.
            names = {identity, unquote(identity), uri, unquote(uri)}
            if path is None:
                text = uri_text(uri)
                names |= {text, text.removeprefix(f"{folder}/")}
            for name in names:
                naming.setdefault(name, []).append(place)
        self.images: list[Location] = sorted({*self.identities, *self.several})
        nowhere = self.root / "?"
        self.several.add(nowhere)
        self.places = {name: some[0] if len(some) == 1 else nowhere for name, some in naming.items()}
        """By what names a record exactly as it is: its id or its URI."""


def like_others(value: Scalar, others: Iterable[Scalar]) -> Scalar:
    """Return a value that was read from text in the type that others of its field have.

    A label `7` is a number to whoever reads a table, and text where folders are called so: it is what the
    collection has already, or what all its other values are.
    """
    known = {label_key(other): other for other in others}
    readings = [value, *_readings(value)]
    for reading in readings:
        if label_key(reading) in known:
            return known[label_key(reading)]
    kinds = {kind for kind, _ in known}
    if len(kinds) == 1:
        return next((reading for reading in readings if label_key(reading)[0] in kinds), value)
    return value


def new_values(field: str, values: Iterable[Scalar], others: Iterable[Scalar]) -> str:
    """Return in words which values of a field no image has; empty where there is none.

    Args:
        field: its name.
        values: that it is to have, in their types: see `like_others`.
        others: that it has; none: it is a new field.
    """
    known = {label_key(other) for other in others}
    new = list({label_key(value): value for value in values if label_key(value) not in known}.values())
    if not new:
        return ""
    if not known:
        return f"{display(field)} is a new field"
    shown = ", ".join(_text(value) for value in new[:_SHOWN])
    more = f" and {len(new) - _SHOWN:,} more" if len(new) > _SHOWN else ""
    kinds = {_KINDS[kind] for kind, _ in known}
    mixed = {_KINDS[label_key(value)[0]] for value in new} - kinds
    so_far = f"; so far each is {' or '.join(sorted(kinds))}" if mixed else ""
    return f"no image had {display(field)} = {shown}{more} before{so_far}"


def _text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else display(str(value))


def _readings(value: Scalar) -> list[Scalar]:
    """Return what else a value may be that stood in a text."""
    if not isinstance(value, str):
        return [str(value).lower() if isinstance(value, bool) else str(value)]
    # As the service's files have it, so that no spreadsheet calculates it.
    found: list[Scalar] = [value[1:]] if value.startswith("'") and plain_cell(value[1:]) == value else []
    with suppress(ValueError):
        found.append(int(value))
    with suppress(ValueError):
        found.append(float(value))
    if value.lower() in ("true", "false"):
        found.append(value.lower() == "true")
    return found


def _columns(
    table: Location, sheet: Sheet, collection: CollectionInfo, fields: Sequence[str]
) -> tuple[dict[str, str], list[str]]:
    """Return the columns that are taken, each with the field that it is of, and those that are not."""
    if not sheet.rows:
        raise LabelsInvalid(str(table), "has headings and no rows below them")
    columns = list(dict.fromkeys(name for row in sheet.rows for name in row.fields))
    if not columns and sheet.fields:
        raise LabelsInvalid(str(table), "says nothing: beside the images, all its cells are empty")
    headings = {*columns, sheet.heading}
    of = {name: column_field(name, headings) for name in columns}
    # In a table of ours the one is the field, and the other what the table says of its own.
    found = {
        name: kept_name(field, collection)
        for name, field in of.items()
        if field != name or not (name in collection.fields and f"{FIELD}{name}" in columns)
    }
    if fields:
        wanted = [kept_name(name, collection) for name in fields]
        if missing := [name for name in wanted if name not in found.values()]:
            raise LabelsInvalid(str(table), f"no column {display(missing[0])}: {_listed(columns)}")
        return {name: kept for name, kept in found.items() if kept in wanted}, []
    taken = {name: kept for name, kept in found.items() if kept in collection.fields}
    if not taken:
        raise LabelsInvalid(
            str(table),
            f"none of its columns is a field of {collection.name}: {_listed(columns)}; "
            "--field NAME makes one",
        )
    # Where a column called `class` is the label, `sheets` gives it under both names, and says so.
    stand = {field_name(name) for row in sheet.rows for name in row.delivered}
    return taken, [
        name
        for name in columns
        if name in stand and name not in taken and not ("label" in taken and is_label_heading(name))
    ]


def _listed(columns: Sequence[str]) -> str:
    said = ", ".join(display(name) for name in columns)
    return f"the columns beside the images are {said}" if said else "there is none beside the images"


def _common(folder: Path, paths: Sequence[Path]) -> Path:
    """Return the innermost folder that has a folder and all these files in it."""
    return type(folder)(os.path.commonpath([folder, *(path.parent for path in paths)]))
