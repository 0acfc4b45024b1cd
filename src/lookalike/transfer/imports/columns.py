"""What the columns of a table are: said by the user, or guessed from their names and first rows."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.column_names import column_field
from lookalike.errors import InvalidArgument
from lookalike.images.formats import format_of
from lookalike.label_normalisation import label_text
from lookalike.labels.fields import scalar
from lookalike.stores.attached.attaching import MOST_FIELDS, is_long, json_fields, place_column
from lookalike.stores.attached.description import Source, read_source
from lookalike.stores.attached.foreign_vectors import TYPES, vector_form
from lookalike.stores.attached.json_paths import document_in, write_path
from lookalike.transfer.exports.columns import CONFIDENCE, OWN, PREDICTED, VECTOR
from lookalike.transfer.imports.vector_cells import bytes_in, is_cut_off, is_vector
from lookalike.vectors.written_vectors import FEWEST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from lookalike.transfer.imports.blocks import Block
    from lookalike.transfer.imports.table import Table

# Names that such columns have, the surest first.
_IDS = (
    *("id", "_id", "image_id", "imageid", "uuid", "key", "sample_id", "sku"),
    *("ids", "names", "keys"),  # as lists are called in .npz and by Chroma
)
_VECTORS = (
    *("vector", "vectors", "embedding", "embeddings", "image_embedding", "image_embeddings", "image_vector"),
    *("img_emb", "clip_embedding", "emb", "vec", "features", "feature"),
)
_METADATA = ("metadata", "meta", "metadatas", "payload")
_DIGESTS = ("digest", "sha256")
_SAMPLE = 100
_LABELS = ("text", "number", "boolean")
_NUMERAL = re.compile(r"\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\s*|nan|NaN")
_MOST_NAMES = 12  # of columns, in one message


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user says of the columns; what is not said is guessed."""

    id: str | None = None
    uri: str | None = None
    vector: str | None = None
    metadata: str | None = None
    digest: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    """The column of each field; none: guessed."""


@dataclass(frozen=True, slots=True)
class Columns:
    """What is where in a table."""

    id: str | None
    """What names the rows; None: nothing but their places."""
    uri: str | None
    """Where the picture is."""
    image: str | None
    """The pictures themselves, as bytes or as `{bytes, path}`."""
    vectors: Mapping[str, tuple[str, ...]]
    """By the name of the vector its column, or the columns of its numbers; none: pictures are embedded."""
    spaces: Mapping[str, Mapping[str, Any]]
    """By the name of the vector, what the file says of its space."""
    fields: Mapping[str, str]
    """The column of each field."""
    mixed: frozenset[str]
    """Of these, those whose values are of several types, written as text."""
    whole: str | None
    """The column that has all fields of a row, as `lookalike export` writes JSON lines."""
    metadata: str | None
    """What is kept as it is."""
    more: tuple[str, ...]
    """Columns that become metadata, too: nested values and long texts."""
    digest: str | None
    stamped: bool
    """Whether size and time of each file are there, as `lookalike export` writes them."""
    remarks: tuple[str, ...] = ()
    bytes_of: str = "<f4"
    """NumPy's name of the type of the numbers that vectors in bytes have."""

    def told(self) -> dict[str, str]:
        """Return what was taken for what, for people."""
        found = {"id": self.id, "uri": self.uri, "image": self.image, "digest": self.digest}
        said = {name: column for name, column in found.items() if column is not None}
        for name, columns in self.vectors.items():
            said[f"vector {name}"] = columns[0] if len(columns) == 1 else f"{columns[0]} … {columns[-1]}"
        fields = [
            column if name == label_text(column) else f"{name} ({column})"
            for name, column in self.fields.items()
        ]
        fields = fields if self.whole is None else [self.whole]
        if fields:
            said["fields"] = ", ".join(fields)
        metadata = [each for each in (self.metadata, *self.more) if each is not None]
        if metadata:
            said["metadata"] = ", ".join(metadata)
        return said


def find_columns(table: Table, first: Block, wanted: Wanted, vector: str) -> Columns:
    """Return what is where in a table.

    Args:
        table: as it was opened.
        first: its first rows.
        wanted: what the user says.
        vector: the name that the vector is to have where the file gives it none.

    Raises:
        InvalidArgument: there is no such column, or which holds the vectors cannot be told.
    """
    if table.note:
        return _noted(table.note, first, wanted)
    names = list(first.columns)
    kinds = {name: _kind(first, name) for name in names}

    def named(said: str | None, guesses: Sequence[str], *of: str) -> str | None:
        if said is not None:
            return _column(names, said)
        folded = {name.casefold(): name for name in names}
        found = (folded[each] for each in guesses if each in folded and kinds[folded[each]] in of)
        return next(found, None)

    # As `lookalike export` writes it, and as the service sends it, which says no places of its machine.
    sent = names[:2] == ["id", "name"] and any(name.startswith(VECTOR) for name in names)
    own = sent or names[:4] == ["id", "uri", "path", "digest"]
    identity = named(wanted.id, _IDS, "text", "number")
    place = "name" if sent else place_column(name for name, kind in kinds.items() if kind == "text")
    if wanted.uri is not None:
        place = _column(names, wanted.uri)
    image = next((name for name in names if kinds[name] == "image"), None)
    metadata = named(wanted.metadata, () if sent else _METADATA, "json", "text")
    digest = named(wanted.digest, () if sent else _DIGESTS, "text")
    if own and "fields" in names and "label" not in names:  # JSON lines of `lookalike export`
        there = {name.removeprefix(VECTOR): (name,) for name in names if name.startswith(VECTOR)}
        return Columns(
            *(identity, place, None, there, {}, {}, frozenset(), "fields", metadata, (), digest, not sent)
        )
    if table.index in kinds and identity is None and (place is None or kinds[table.index] == "text"):
        identity = table.index
    taken = {identity, place, image, metadata, digest}
    if table.index is not None and table.index.startswith(_UNNAMED):
        taken.add(table.index)
    wide = _wide(first, kinds)
    found = _vector(first, kinds, wide, wanted.vector, taken)
    if not found and image is None and place is None:
        raise _no_vectors(table, kinds)
    vectors = {found[0].removeprefix(VECTOR) if own and len(found) == 1 else vector: found} if found else {}
    taken |= {each for columns in wide.values() for each in columns} | set(found)
    if own:
        taken |= {*_predicted(names), *(() if sent else ("path",))}
    left = {name: kind for name, kind in kinds.items() if name not in taken}
    if wanted.fields:
        fields = {label_text(name): _column(names, column) for name, column in wanted.fields.items()}
    else:
        reserved = {name for name in taken if name is not None}.union(() if sent else OWN) if own else set()
        fields = _fields(first, left, metadata, reserved)
    more = tuple(name for name, kind in left.items() if kind in ("json", "long"))
    lost = [name for name, kind in left.items() if kind in ("bytes", "vector", "cut off")]
    remarks = (f"columns that are not taken: {_some(lost)}",) if lost else ()
    return Columns(
        *(identity, place, image, vectors, {}, fields, frozenset(), None, metadata, more, digest, False),
        remarks,
        _bytes_of(first, found),
    )


def _bytes_of(first: Block, found: Sequence[str]) -> str:
    """Return NumPy's name of the type of numbers that a column of bytes holds, or of texts of bytes.

    Raises:
        InvalidArgument: they are no numbers of any type that is known here.
    """
    if len(found) != 1 or isinstance(first.columns.get(found[0]), np.ndarray):
        return "<f4"
    values = [value for value in first.values(found[0])[:_SAMPLE] if isinstance(value, bytes | str)]
    read = (value if isinstance(value, bytes) else bytes_in(value) for value in values)
    some = [value for value in read if value]
    dimension, written = vector_form(some)
    if dimension is None and 2 * len(some) > len(values):
        raise InvalidArgument(
            f"the bytes in {found[0]!r} are no little-endian numbers of 4, 8 or 2 bytes: write lists of "
            f"numbers"
        )
    return TYPES.get(written, "<f4")


def _no_vectors(table: Table, kinds: Mapping[str, str]) -> InvalidArgument:
    cut = next((name for name, kind in kinds.items() if kind == "cut off"), None)
    if cut is None:
        return InvalidArgument(f"{table.name} has no column of vectors nor of pictures: {_listed(kinds)}")
    return InvalidArgument(
        f"{table.name}: in {cut!r} the vectors are cut off, as NumPy prints long ones (0.1 ... 0.2): write "
        f"them whole, by json.dumps(vector.tolist())"
    )


def _fields(
    first: Block, left: Mapping[str, str], metadata: str | None, reserved: AbstractSet[str]
) -> dict[str, str]:
    """Return the columns that can be labels, and what in the metadata can be.

    Args:
        first: the first rows.
        left: the columns that are nothing else, and what they hold.
        metadata: the column that has it.
        reserved: of a table of `lookalike export`, what no field is called there: see `column_field`.
    """
    named = {name: label_text(column_field(name, reserved) if reserved else name) for name in left}
    fields = {named[name]: name for name, kind in left.items() if kind in _LABELS and named[name]}
    for name, source in [] if metadata is None else _within(first, metadata):
        if name not in fields and len(fields) < MOST_FIELDS:
            fields[name] = source
    return fields


# How a column is called that holds what pandas counts rows by, in Parquet and in CSV.
_UNNAMED = ("__index_level_", "column ")


def with_later(columns: Columns, block: Block, names: Sequence[str], *, guess: bool) -> Columns:
    """Return what is where with columns that only later rows have: more fields and metadata.

    Args:
        columns: as they were found in the rows before.
        block: those rows.
        names: of the columns that none before had.
        guess: whether fields are guessed.
    """
    kinds = {name: _kind(block, name) for name in names if not name.startswith(_UNNAMED)}
    fields = dict(columns.fields)
    lost = []
    for name, kind in kinds.items():
        if guess and kind in _LABELS and label_text(name):
            fields.setdefault(label_text(name), name)
        elif kind not in ("json", "long"):
            lost.append(name)
    more = (*columns.more, *(name for name, kind in kinds.items() if kind in ("json", "long")))
    remarks = columns.remarks
    if lost:
        remarks += (f"columns that come after {block.start:,} rows are not taken: {_some(lost)}",)
    return replace(columns, fields=fields, more=more, remarks=remarks)


def _within(first: Block, metadata: str) -> list[tuple[str, str]]:
    """Return names and places of what in JSON can be labels, as `lookalike attach` finds them."""
    documents = [document_in(value) for value in first.values(metadata)[:_SAMPLE]]
    return [(name, str(Source(metadata, write_path(steps)))) for name, steps in json_fields(documents)]


def _noted(note: Mapping[str, Any], first: Block, wanted: Wanted) -> Columns:
    """Return what a Parquet file of `lookalike export` says of itself."""
    if any((wanted.id, wanted.uri, wanted.metadata, wanted.digest, wanted.fields)):
        raise InvalidArgument("the file says itself what its columns are: lookalike has written it")
    try:
        fields = {str(each["name"]): column for column, each in note["fields"].items()}
        mixed = frozenset(each["name"] for each in note["fields"].values() if each["mixed"])
        listed = {str(each["name"]): (column, each) for column, each in note["vectors"].items()}
        default = str(note["default"])
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidArgument("what the file says of its own columns cannot be read") from error
    remarks = []
    plain: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for name in sorted(listed, key=lambda one: (one != default, one)):
        column, space = listed[name]
        if space.get("metric_fingerprint") == "cosine":
            plain[name] = column, space
        else:
            remarks.append(
                f"the vector {name!r} went through a fit, which is not in the file, and is left out: "
                f"`lookalike fit` makes it anew"
            )
    wanted_vectors = {name: (column,) for name, (column, _) in plain.items() if column in first.columns}
    if wanted.vector is not None:
        column = _column(list(first.columns), wanted.vector)
        wanted_vectors = {name: columns for name, columns in wanted_vectors.items() if columns == (column,)}
    if not wanted_vectors:
        raise InvalidArgument("the file has no vector that can be taken")
    spaces = {name: plain[name][1] for name in wanted_vectors}
    return Columns(
        *("id", "uri", None, wanted_vectors, spaces, fields, mixed, None, "metadata", (), "digest", True),
        tuple(remarks),
    )


def _predicted(names: Sequence[str]) -> list[str]:
    return [name for name in names if name.startswith((PREDICTED, CONFIDENCE))]


def _column(names: Sequence[str], said: str) -> str:
    """Return a column by its name, in any case, or `column:$.path` of what is in its JSON."""
    if said not in names and ":$" in said:
        source = read_source(said)
        return str(replace(source, column=_column(names, source.column)))
    alike = [name for name in names if name == said] or [
        name for name in names if name.casefold() == said.casefold()
    ]
    if len(alike) != 1:
        raise InvalidArgument(f"there is no column {said!r}: {_some(names)}")
    return alike[0]


def _wide(first_rows: Block, kinds: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return the columns that are the numbers of one vector: `emb_0`, `emb_1` and so on, or `emb_000`."""
    groups: dict[str, dict[int, str]] = {}
    for name, kind in kinds.items():
        found = re.fullmatch(r"(.*?)(\d{1,6})", name, re.ASCII)
        if found and (kind == "number" or (kind == "text" and _are_numerals(first_rows, name))):
            groups.setdefault(found[1], {})[int(found[2])] = name
    wide = {}
    for prefix, members in groups.items():
        first = min(members)
        if (
            len(members) >= FEWEST
            and first in (0, 1)
            and sorted(members) == list(range(first, first + len(members)))
        ):
            wide[f"{prefix}*"] = tuple(members[number] for number in sorted(members))
    return wide


def _are_numerals(block: Block, name: str) -> bool:
    """Tell whether most values of a column of texts are numbers: a nan makes a column of CSV one of texts."""
    values = [value for value in block.values(name)[:_SAMPLE] if value is not None]
    return 2 * sum(
        isinstance(value, str) and _NUMERAL.fullmatch(value) is not None for value in values
    ) > len(values)


def _vector(
    first: Block,
    kinds: Mapping[str, str],
    wide: Mapping[str, tuple[str, ...]],
    said: str | None,
    taken: set[str | None],
) -> tuple[str, ...]:
    """Return the column of vectors, or the columns of their numbers; none where there is none."""
    if said is not None:
        return wide[said] if said in wide else (_column(list(kinds), said),)
    possible: dict[str, tuple[str, ...]] = {
        name: (name,) for name, kind in kinds.items() if kind == "vector" and name not in taken
    }
    possible |= wide
    if not possible:
        possible = {name: (name,) for name in _vectors_within(first, kinds)}
    for name in _VECTORS:
        for each, columns in possible.items():
            if each.casefold() == name:
                return columns
    if len(possible) > 1:
        raise InvalidArgument(
            f"several columns hold vectors: say --vector {' or '.join(list(possible)[:_MOST_NAMES])}"
        )
    return next(iter(possible.values()), ())


def _vectors_within(first: Block, kinds: Mapping[str, str]) -> list[str]:
    """Return the places of vectors in columns of objects."""
    found = []
    for name in (name for name, kind in kinds.items() if kind == "json"):
        there = (document_in(value) for value in first.values(name)[:_SAMPLE])
        document = next((each for each in there if isinstance(each, dict)), {})
        found += [
            str(Source(name, write_path((key,))))
            for key, value in document.items()
            if isinstance(value, list) and is_vector(value, named=_is_named(key))
        ]
    return found


def _is_named(name: str) -> bool:
    """Tell whether a column is called as those of vectors are."""
    return name.casefold() in _VECTORS or name.startswith(VECTOR)


def _kind(block: Block, name: str) -> str:
    """Return what the first values of a column are: vectors where most are, for some rows may be wrong."""
    column = block.columns[name]
    if isinstance(column, np.ndarray):
        return "vector" if column.ndim == 2 else "number"
    some = column[:_SAMPLE] if isinstance(column, list) else column.slice(0, _SAMPLE).to_pylist()
    values = [value for value in some if value is not None and value != ""]
    if not values:
        return "text"
    for kind, tells in _MOSTLY.items():
        if 2 * sum(tells(value, name) for value in values) > len(values):
            return kind
    if all(isinstance(value, bool) for value in values):
        return "boolean"
    if all(isinstance(value, bool | int | float) for value in values):
        return "number"
    if all(isinstance(value, str) for value in values):
        return "long" if is_long(values) else "text"
    if all(isinstance(value, bytes) for value in values):
        return "image" if format_of(values[0]) is not None else "bytes"
    if all(isinstance(value, dict) for value in values):
        is_image = all({"bytes", "path"} == value.keys() for value in values)
        return "image" if is_image else "json"
    if all(isinstance(value, list) for value in values):
        return "json"
    # What other values are labels of, dates and decimals, say, has a text.
    return "text" if all(scalar(str(value)) is not None for value in values) else "json"


def _is_picture(value: object) -> bool:
    return isinstance(value, bytes) and format_of(value) is not None


# What most values of a column may be, by their tellers.
_MOSTLY: dict[str, Callable[[object, str], bool]] = {
    "image": lambda value, _: _is_picture(value),
    "vector": lambda value, name: is_vector(value, named=_is_named(name)),
    "cut off": lambda value, _: is_cut_off(value),
}


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST_NAMES]) + (" …" if len(names) > _MOST_NAMES else "")


def _listed(kinds: Mapping[str, str]) -> str:
    return _some([f"{name} ({kind})" for name, kind in kinds.items()])
