"""Attaching: what the columns of a found table are, said by the user or guessed from their names and rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lookalike.errors import InvalidArgument, TableNotFound
from lookalike.file_names import display
from lookalike.label_normalisation import label_text
from lookalike.labels.tables.headings import is_sure_file_heading
from lookalike.stores.attached.description import Attachment, Source, read_source
from lookalike.stores.attached.json_paths import write_path
from lookalike.stores.checks import NAME_LENGTH, collection_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from lookalike.stores.attached.foreign import Column, FoundTable, Tally
    from lookalike.stores.attached.json_paths import Step
    from lookalike.types import CollectionInfo, Space

# Names that columns of pictures have, the surest first.
_PLACES = (
    *("uri", "image_uri", "url", "image_url", "path", "image_path", "file_path", "filepath", "relative_path"),
    *("img_path", "file_name", "filename", "file", "image", "image_name", "img", "picture", "photo"),
    *("uris", "paths", "image_paths", "file_names", "filenames"),  # as lists are called in .npz and by Chroma
)
_LONG = 200  # characters that a label has at most, on average: more is a caption, and metadata
MOST_FIELDS = 40
"""Fields that are guessed of JSON, at most."""


@dataclass(frozen=True, slots=True)
class Columns:
    """What the user says of the columns of a table; what is not said is guessed."""

    id: str | None = None
    vector: str | None = None
    uri: str | None = None
    """A column, or `column:$.path.in.json`."""
    base: str | None = None
    """The URI of the folder, with a slash at its end, that relative paths are relative to."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Of each field a column, or `column:$.path.in.json`."""
    metadata: str | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Attached:
    """What was attached, or would be."""

    attachment: Attachment
    found: FoundTable
    tally: Tally
    collection: CollectionInfo | None
    """None where it was only looked at."""
    index: str | None
    """Why searches are exact; None where an index of the table serves approximate ones."""


def describe(
    found: FoundTable, name: str, columns: Columns, space: Callable[[int | None], Space], *, writable: bool
) -> Attachment:
    """Return what a table is as a collection.

    Args:
        found: the table.
        name: of the collection.
        columns: what the user says.
        space: gives the space of vectors of a dimension; None where the table does not tell it.
        writable: whether changes are written into it.

    Raises:
        InvalidArgument: a column is not what it should be, or which is meant cannot be told.
        TableNotFound: it has no column of a name.
    """
    vector = _vector(found, columns.vector)
    identity = _identity(found, columns.id, vector.name)
    metadata = _metadata(found, columns.metadata)
    taken = {identity, vector.name, metadata, columns.digest}
    uri = _given(found, columns.uri) if columns.uri is not None else _place(found, taken)
    if columns.fields:
        fields = {_field_name(name): _given(found, text) for name, text in columns.fields.items()}
    else:
        fields = dict(_guessed_fields(found, {*taken, None if uri is None else str(uri)}, metadata))
    if columns.digest is not None:
        _column(found, columns.digest)
    return Attachment(
        name=collection_name(name),
        table=found.table,
        id=identity,
        vector=vector.name,
        space=space(vector.dimension),
        uri=uri,
        base=columns.base,
        fields=tuple(fields.items()),
        metadata=metadata,
        digest=columns.digest,
        writable=writable,
        details=(*vector.details, *_column(found, identity).details),
    )


def attachable_name(found: FoundTable) -> str:
    """Return the name of a collection for a table: its own, with _ for what cannot be in it."""
    own = found.spelt(found.table.rpartition(".")[2].strip('"'))
    return "".join(c if c.isalnum() or c in "_-" else "_" for c in own)[:NAME_LENGTH] or "table"


def _column(found: FoundTable, name: str) -> Column:
    """Return a column by its name, or by one that differs in case only."""
    exact = [each for each in found.columns if each.name == name]
    alike = exact or [each for each in found.columns if each.name.casefold() == name.casefold()]
    if len(alike) != 1:
        raise TableNotFound(f"{found.table}.{name}", [each.name for each in found.columns])
    return alike[0]


def _given(found: FoundTable, text: str) -> Source:
    """Return the source that a user wrote."""
    exact = next((each.name for each in found.columns if each.name == text), None)
    source = Source(exact) if exact is not None else read_source(text)
    return Source(_column(found, source.column).name, source.path)


def _vector(found: FoundTable, name: str | None) -> Column:
    if name is not None:
        column = _column(found, name)
        if column.kind != "vector":
            raise InvalidArgument(
                f"column {display(column.name)!r} of {found.table} holds no vectors ({column.type or '?'})"
            )
        return column
    every = [each for each in found.columns if each.kind == "vector"]
    vectors = [each for each in every if each.surely] or every
    if len(vectors) == 1:
        return vectors[0]
    if not vectors:
        raise InvalidArgument(f"{found.table} has no column of vectors: {_listed(found.columns)}")
    raise InvalidArgument(
        f"{found.table} has several columns of vectors: say --vector {_one_of(each.name for each in vectors)}"
    )


def _identity(found: FoundTable, name: str | None, vector: str) -> str:
    if name is not None:
        return _column(found, name).name
    others = [
        each for each in found.columns if each.name != vector and each.kind in ("number", "text", "other")
    ]
    for fits in (
        lambda each: each.unique,
        lambda each: each.name.casefold() in ("id", "_id", "uuid"),
        lambda each: each.name.casefold().endswith(("_id", "_uuid")),
    ):
        some = [each.name for each in others if fits(each)]
        if len(some) == 1:
            return some[0]
    if not others:
        raise InvalidArgument(
            f"{found.table} has no column that could name its rows: attach a view of it that has one"
        )
    if found.key:
        raise InvalidArgument(
            f"the rows of {found.table} are named by several columns together ({', '.join(found.key)}): "
            f"attach a view of it in which one column has them all, or say --id and the column that no two "
            f"rows have the same value in"
        )
    raise InvalidArgument(
        f"{found.table} has no one column that names its rows: say --id "
        f"{_one_of(each.name for each in others)}"
    )


def _metadata(found: FoundTable, name: str | None) -> str | None:
    if name is not None:
        column = _column(found, name)
        if column.kind != "json":
            raise InvalidArgument(f"column {display(column.name)!r} of {found.table} holds no JSON objects")
        return column.name
    documents = [each.name for each in found.columns if each.kind == "json"]
    if len(documents) == 1:
        return documents[0]
    named = [one for one in documents if "meta" in one.casefold()]
    return named[0] if len(named) == 1 else None


def _place(found: FoundTable, taken: Iterable[str | None]) -> Source | None:
    texts = [each.name for each in found.columns if each.kind == "text" and each.name not in taken]
    name = place_column(texts)
    return None if name is None else Source(name)


def place_column(names: Iterable[str]) -> str | None:
    """Return which column says where the pictures are, by what it is called; None where none is called so."""
    folded = {name.casefold(): name for name in names}
    known = next((folded[name] for name in _PLACES if name in folded), None)
    return known or next(filter(is_sure_file_heading, folded.values()), None)


def _field_name(name: str) -> str:
    kept = label_text(name)
    if not kept:
        raise InvalidArgument("a field needs a name: --field NAME=COLUMN")
    return kept


def _guessed_fields(
    found: FoundTable, taken: Iterable[str | None], metadata: str | None
) -> Iterator[tuple[str, Source]]:
    """Yield the columns that can be labels, and what in their JSON can be."""
    left_out, names = set(taken), set()
    for column in found.columns:
        if column.name in left_out or column.kind not in ("text", "number", "boolean"):
            continue
        if is_long(row.get(column.name) for row in found.sample):
            continue
        name = label_text(found.spelt(column.name))
        if name and name not in names:
            names.add(name)
            yield name, Source(column.name)
    for column in found.columns:
        if column.kind == "json" and (metadata is None or column.name == metadata):
            for name, steps in json_fields([row.get(column.name) for row in found.sample]):
                if name not in names and len(names) < MOST_FIELDS:
                    names.add(name)
                    yield name, Source(column.name, write_path(steps))


def is_long(values: Iterable[object]) -> bool:
    """Tell whether texts are too long for labels."""
    texts = [len(value) for value in values if isinstance(value, str)]
    return bool(texts) and sum(texts) / len(texts) > _LONG


def json_fields(documents: Sequence[object]) -> list[tuple[str, tuple[Step, ...]]]:
    """Return names and paths of what can be labels in JSON: attributes of annotations, or what is on top."""
    leaves: dict[tuple[Step, ...], list[object]] = {}
    for document in documents:
        for steps, value in _leaves(document, ()):
            leaves.setdefault(steps, []).append(value)
    short = [steps for steps, values in leaves.items() if not is_long(values)]
    attributes = [
        steps for steps in short if steps[-3:-1] == (None, "attributes") or steps[-2:-1] == ("attributes",)
    ]
    categories = [steps for steps in short if steps[-3:] == ("categories", None, "name")]
    chosen = attributes or [steps for steps in short if len(steps) == 1]
    named = [(str(steps[-1]), steps) for steps in chosen]
    named += [("categories", steps) for steps in categories[:1]]
    count = Counter(name for name, _ in named)
    return [(label_text(name), steps) for name, steps in named if count[name] == 1 and label_text(name)]


def _leaves(value: object, steps: tuple[Step, ...]) -> Iterator[tuple[tuple[Step, ...], object]]:
    if len(steps) > _DEEPEST:
        return
    if isinstance(value, dict):
        for name, one in value.items():
            if name and isinstance(name, str):
                yield from _leaves(one, (*steps, name))
    elif isinstance(value, list):
        for one in value:
            yield from _leaves(one, (*steps, None))
    elif value is not None and steps and isinstance(steps[-1], str):
        yield steps, value


_DEEPEST = 8


def _listed(columns: Iterable[Column]) -> str:
    return ", ".join(f"{each.name} ({each.kind}{f', {each.type}' if each.type else ''})" for each in columns)


def _one_of(names: Iterable[str]) -> str:
    return " or ".join(names)
