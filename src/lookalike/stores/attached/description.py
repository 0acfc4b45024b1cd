"""What a table of others is as a collection: which columns are what."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from lookalike.errors import InvalidArgument
from lookalike.stores.attached.json_paths import read_path, show_path, write_path
from lookalike.stores.checks import ID_LENGTH
from lookalike.types import ROW, Approximation, Record, Space, VectorInfo
from lookalike.uris import place_uri

if TYPE_CHECKING:
    from lookalike.stores.attached.json_paths import Step

VECTOR = "image"
"""Name of the one vector that an attached collection declares."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value of a row stands: in a column, or at a path in the JSON of a column."""

    column: str
    path: str | None = None
    """As `json_paths.write_path` writes it."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """The path, taken apart."""
        return () if self.path is None else read_path(self.path)

    def __str__(self) -> str:
        return self.column if self.path is None else f"{self.column}:{show_path(self.steps)}"


def read_source(text: str) -> Source:
    """Read `column` or `column:$.path.in[*].json`.

    Raises:
        InvalidArgument: what stands after the colon is no path, or there is no column before it.
    """
    column, parted, path = text.partition(":$")
    if not column:
        raise InvalidArgument(f"{text!r} names no column: write COLUMN or COLUMN:$.path.in.json")
    return Source(column, write_path(read_path(f"${path}"))) if parted else Source(column)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A table, view or index of others that is read as a collection.

    Everything in it is a name or a text that JSON can hold; a back end asks the database by it and keeps
    nothing else.
    """

    name: str
    """Of the collection."""
    table: str
    """As the database's back end found it and finds it again: with its schema, say."""
    id: str
    """The column whose values name the rows: no value twice."""
    vector: str
    """The column of vectors."""
    space: Space
    uri: Source | None = None
    """What says where the picture is: a path or a URI; None where nothing does."""
    base: str | None = None
    """The URI of the folder, with a slash at its end, that relative paths are relative to."""
    fields: tuple[tuple[str, Source], ...] = ()
    metadata: str | None = None
    """The JSON column that is given as metadata."""
    digest: str | None = None
    """The column of the SHA-256 of the picture's bytes, in hexadecimal."""
    writable: bool = False
    approximation: Approximation | None = None
    """What was measured of the index that the table has; None where there is none that serves."""
    details: tuple[tuple[str, str], ...] = ()
    """What else a back end has to know: how vectors are written, which operator its index has."""

    def detail(self, name: str) -> str | None:
        """Return one of the back end's details."""
        return dict(self.details).get(name)

    @property
    def columns(self) -> list[str]:
        """The columns that a record is read from, each once, but for its id, its vector and its metadata."""
        places = [] if self.uri is None else [self.uri.column]
        digests = [] if self.digest is None else [self.digest]
        return list(dict.fromkeys([*places, *(source.column for _, source in self.fields), *digests]))

    @property
    def info(self) -> VectorInfo:
        """Its one vector."""
        return VectorInfo(VECTOR, self.space, approximation=self.approximation)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_json(cls, said: dict[str, Any]) -> Attachment:
        """Return what `to_json` gave.

        Raises:
            ValueError: it is something else.
        """
        try:
            known = {one.name for one in dataclasses.fields(cls)}
            values = {name: value for name, value in said.items() if name in known}
            values["space"] = Space(**values["space"])
            if values.get("uri") is not None:
                values["uri"] = Source(**values["uri"])
            values["fields"] = tuple((name, Source(**source)) for name, source in values.get("fields", ()))
            values["details"] = tuple((name, value) for name, value in values.get("details", ()))
            if values.get("approximation") is not None:
                values["approximation"] = Approximation(**values["approximation"])
            return cls(**values)
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"it describes no table: {error}") from error


@dataclass(frozen=True, slots=True)
class ForeignRow:
    """A row as a back end read it, without its vector."""

    id: str
    """`row_id` of the value of the id column."""
    place: str | None
    """What the column of pictures says."""
    fields: dict[str, Any]
    """As `json_paths.field_value` gives them."""
    metadata: dict[str, Any] = field(default_factory=dict)
    version: int = 0
    """Another number whenever the vector is another, where the database tells."""
    digest: str | None = None


def row_id(value: object) -> str | None:
    """Return the id of the record of a row; None where it can have none.

    It is the text of the value, where that is plain ASCII without spaces and signs that have a meaning in
    addresses; these are percent-encoded, so that every text has an id of its own. Of at most 512 characters.
    """
    if value is None or isinstance(value, bytes):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    encoded = quote(str(value).encode("utf-8", "surrogatepass"), safe="!$&'()*+,:;=@[]^`{|}")
    return encoded if 1 <= len(encoded) <= ID_LENGTH else None


def id_value(identity: str) -> str:
    """Return the text of the value that `row_id` made an id of."""
    return unquote(identity, errors="surrogatepass")


def made_of(attachment: Attachment, row: ForeignRow) -> Record:
    """Return the record of a row."""
    digest = row.digest.lower() if row.digest is not None and SHA_256.fullmatch(row.digest) else None
    return Record(
        row.id,
        uri_of(attachment, row.id, row.place),
        # Nobody knows whether two pictures are one file: no two rows are said to be.
        digest or f"{ROW}{row.id}"[:ID_LENGTH],
        row.fields,
        row.metadata,
        0,
        row.version,
    )


SHA_256 = re.compile("[0-9A-Fa-f]{64}")
"""A digest as a column may have it."""


def uri_of(attachment: Attachment, identity: str, place: str | None) -> str:
    """Return the URI of a row's picture; of a row without one, a name for the row itself.

    Args:
        attachment: says what relative paths are relative to.
        identity: of the record.
        place: an absolute or relative path, or a URI, as it stands in the row.
    """
    if not place:
        return f"row:{quote(attachment.table)}/{identity}"
    return place_uri(place, attachment.base)
