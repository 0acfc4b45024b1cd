"""What the columns of a table are: said by the user, or guessed from their names and first rows."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.column_names import column_field
from lookalike.errors import InvalidArgument
from lookalike.images.formats import format_of
from lookalike.label_normalisation import label_text
from lookalike.labels.fields import scalar
from lookalike.transfer.exports.columns import CONFIDENCE, OWN, PREDICTED, VECTOR
from lookalike.transfer.imports.blocks import Block, read_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lookalike.transfer.imports.table import Table

# Names that such columns have, the surest first.
_IDS = ("id", "_id", "image_id", "imageid", "uuid", "key", "sample_id", "sku")
_PLACES = (
    *("uri", "url", "filepath", "file_path", "path", "image_path", "img_path", "relative_path"),
    *("image_url", "file_name", "filename", "image", "image_name", "file"),
)
_VECTORS = (
    *("vector", "vectors", "embedding", "embeddings", "image_embedding", "image_embeddings", "image_vector"),
    *("img_emb", "clip_embedding", "emb", "vec", "features", "feature"),
)
_METADATA = ("metadata", "meta")
_DIGESTS = ("digest", "sha256")
_SAMPLE = 100
# Characters that a label has at most, on average: more is a caption, and metadata.
_LONG = 200
# Columns called emb_0, emb_1 … are the numbers of one vector from so many on.
_FEWEST = 8


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

    def told(self) -> dict[str, str]:
        """Return what was taken for what, for people."""
        found = {"id": self.id, "uri": self.uri, "image": self.image, "digest": self.digest}
        said = {name: column for name, column in found.items() if column is not None}
        for name, columns in self.vectors.items():
            said[f"vector {name}"] = columns[0] if len(columns) == 1 else f"{columns[0]} … {columns[-1]}"
        fields = [self.whole] if self.whole is not None else list(self.fields.values())
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
    wide = _wide(kinds)
    remarks: list[str] = []

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
    place = "name" if sent and wanted.uri is None else named(wanted.uri, _PLACES, "text")
    image = next((name for name in names if kinds[name] == "image"), None)
    metadata = named(wanted.metadata, () if sent else _METADATA, "json", "text")
    digest = named(wanted.digest, () if sent else _DIGESTS, "text")
    whole = "fields" if own and "fields" in names and "label" not in names else None
    vectors: dict[str, tuple[str, ...]] = {}
    taken = {identity, place, image, metadata, digest}
    if whole is not None:  # JSON lines of `lookalike export`
        there = {name.removeprefix(VECTOR): (name,) for name in names if name.startswith(VECTOR)}
        return Columns(
            *(identity, place, None, there, {}, {}, frozenset(), whole, metadata, (), digest, not sent)
        )
    found = _vector(names, kinds, wide, wanted.vector, taken)
    if found:
        vectors[found[0].removeprefix(VECTOR) if own and len(found) == 1 else vector] = found
    elif image is None and place is None:
        raise InvalidArgument(f"{table.name} has no column of vectors nor of pictures: {_listed(kinds)}")
    taken |= {each for columns in wide.values() for each in columns} | set(found)
    if own:
        taken |= {*_predicted(names), *(() if sent else ("path",))}
    reserved = {name for name in taken if name is not None}.union(() if sent else OWN)
    if wanted.fields:
        fields = {label_text(name): _column(names, column) for name, column in wanted.fields.items()}
    else:
        fields = {
            label_text(column_field(name, reserved) if own else name): name
            for name in names
            if name not in taken and kinds[name] in ("text", "number", "boolean") and label_text(name)
        }
    more = [name for name in names if name not in taken and kinds[name] in ("json", "long")]
    lost = [name for name in names if name not in taken and kinds[name] in ("bytes", "vector")]
    if lost:
        remarks.append(f"columns that are not taken: {', '.join(lost)}")
    return Columns(
        *(
            identity,
            place,
            image,
            vectors,
            {},
            fields,
            frozenset(),
            None,
            metadata,
            tuple(more),
            digest,
            False,
        ),
        tuple(remarks),
    )


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
    """Return a column by its name, or by one that differs in case only."""
    alike = [name for name in names if name == said] or [
        name for name in names if name.casefold() == said.casefold()
    ]
    if len(alike) != 1:
        raise InvalidArgument(f"there is no column {said!r}: {', '.join(names)}")
    return alike[0]


def _wide(kinds: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return the columns that are the numbers of one vector, `emb_0`, `emb_1` and so on."""
    groups: dict[str, dict[int, str]] = {}
    for name, kind in kinds.items():
        found = re.fullmatch(r"(.*?)(0|[1-9]\d{0,5})", name)
        if found and kind == "number":
            groups.setdefault(found[1], {})[int(found[2])] = name
    wide = {}
    for prefix, members in groups.items():
        first = min(members)
        if (
            len(members) >= _FEWEST
            and first in (0, 1)
            and sorted(members) == list(range(first, first + len(members)))
        ):
            wide[f"{prefix}*"] = tuple(members[number] for number in sorted(members))
    return wide


def _vector(
    names: Sequence[str],
    kinds: Mapping[str, str],
    wide: Mapping[str, tuple[str, ...]],
    said: str | None,
    taken: set[str | None],
) -> tuple[str, ...]:
    """Return the column of vectors, or the columns of their numbers; none where there is none."""
    if said is not None:
        return wide[said] if said in wide else (_column(names, said),)
    possible: dict[str, tuple[str, ...]] = {
        name: (name,) for name in names if kinds[name] == "vector" and name not in taken
    }
    possible |= wide
    for name in _VECTORS:
        for each, columns in possible.items():
            if each.casefold() == name:
                return columns
    if len(possible) > 1:
        raise InvalidArgument(f"several columns hold vectors: say --vector {' or '.join(possible)}")
    return next(iter(possible.values()), ())


def _kind(block: Block, name: str) -> str:
    """Return what the first values of a column are."""
    column = block.columns[name]
    if isinstance(column, np.ndarray):
        return "vector" if column.ndim == 2 else "number"
    some = column[:_SAMPLE] if isinstance(column, list) else column.slice(0, _SAMPLE).to_pylist()
    values = [value for value in some if value is not None and value != ""]
    if not values:
        return "text"
    if all(isinstance(value, bool) for value in values):
        return "boolean"
    if all(isinstance(value, bool | int | float) for value in values):
        return "number"
    if all(isinstance(value, str) for value in values):
        if all(value.lstrip().startswith("[") and _is_vector_text(value) for value in values):
            return "vector"
        return "long" if sum(map(len, values)) / len(values) > _LONG else "text"
    if all(isinstance(value, bytes) for value in values):
        return "image" if format_of(values[0]) is not None else "bytes"
    if all(isinstance(value, dict) for value in values):
        is_image = all({"bytes", "path"} == value.keys() for value in values)
        return "image" if is_image else "json"
    if all(isinstance(value, list) for value in values):
        return "vector" if any(map(_is_vector, values)) else "json"
    # What other values are labels of, dates and decimals, say, has a text.
    return "text" if all(scalar(str(value)) is not None for value in values) else "json"


def _is_vector(value: list[Any]) -> bool:
    return (
        len(value) > 1
        and all(isinstance(one, int | float) for one in value)
        and any(isinstance(one, float) for one in value)
    )


def _is_vector_text(text: str) -> bool:
    try:
        return _is_vector(read_text(text))
    except (ValueError, RecursionError):
        return False


def _listed(kinds: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({kind})" for name, kind in kinds.items())
