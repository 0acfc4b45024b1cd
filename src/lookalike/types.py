"""The values that travel between the rooms: records, spaces, neighbours, predictions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from lookalike.errors import VectorNotFound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from lookalike.errors import LookalikeError

Scalar: TypeAlias = str | int | float | bool
Fields: TypeAlias = "Mapping[str, Scalar]"
Metadata: TypeAlias = "Mapping[str, Any]"
Where: TypeAlias = "Mapping[str, Sequence[Scalar]]"
"""Every field named must equal one of its values. Numbers compare as numbers (3 equals 3.0), a boolean only
with a boolean, a string only with a string; a record without the field does not match."""

Features: TypeAlias = "NDArray[np.float32]"
"""What an embedder returns: shape (images, dimension), float32, not normalised."""

Vectors: TypeAlias = "NDArray[np.float32]"
"""What a store holds: shape (records, dimension), float32, each row of length 1."""

OWN_KEY = "lookalike"
"""The key in a record's metadata that is ours: see `corrections`."""

SERIES = "series"
"""What images are grouped by where no field tells, but series of exposures that are found."""

FILM = "film"
"""The field of a frame that names its film."""

TIME = "time"
"""The field of a frame that says when it is shown, in seconds from the beginning of its film."""

CAPTURED = "captured"
"""The key in that of when and by what the picture was taken: `time`, as in ISO 8601, and `camera`."""

PLAIN_METRIC = "cosine"
"""Fingerprint of the metric that only normalises."""


@dataclass(frozen=True, slots=True)
class Space:
    """A space of vectors that may be compared: one embedder, one metric, one dimension."""

    embedder: str
    """Name under which `open_embedder` finds the embedder."""
    embedder_fingerprint: str
    dimension: int
    metric_fingerprint: str = PLAIN_METRIC

    def __str__(self) -> str:
        metric = "" if self.metric_fingerprint == PLAIN_METRIC else f", metric {self.metric_fingerprint[:8]}"
        fingerprint = self.embedder_fingerprint[:8]
        return f"{self.embedder} ({self.dimension} dimensions, fingerprint {fingerprint}{metric})"


ROW = "row-"
"""Begins what stands for the digest of a row of others, whose file nobody has read; its id follows."""


@dataclass(frozen=True, slots=True)
class Record:
    """One image of a collection; its vector travels beside it, as a row of a matrix."""

    id: str
    """`record_id(uri)`, 32 hexadecimal digits; of attached and imported rows that of the row."""
    uri: str
    """`file_uri(path)`, or that of an object: plain ASCII, whatever the name."""
    digest: str
    """SHA-256 of the file's bytes, 64 hexadecimal digits; see `ROW`."""
    fields: Fields
    metadata: Metadata
    size: int
    """Bytes in the file when it was read; 0 where nobody has read it."""
    modified_ns: int
    """The file's time of modification when it was read, in nanoseconds since 1970; of an object a number
    below 0, made of its ETag and version: see `sources.source.Status`."""

    def is_file(self, digest: str) -> bool:
        """Tell whether a file with this SHA-256 is its picture; of a row of others, any that is there is."""
        return digest == self.digest or self.digest.startswith(ROW)


@dataclass(frozen=True, slots=True)
class Stamp:
    """Size, time and labels' digest of a record, which tell whether file or labels changed since."""

    id: str
    size: int
    modified_ns: int
    labels_digest: str
    """`labels_digest(fields, metadata)` of the record."""


@dataclass(frozen=True, slots=True)
class Approximation:
    """An index that finds most of the nearest neighbours without looking at every vector."""

    kind: str
    """What it is, as its store calls it: `hnsw`, `int8_hnsw`, `ivf-rabitq`"""
    recall: float
    """Part of the exact `k` nearest that it found for `queries` of the collection's own vectors, 0 … 1."""
    k: int
    queries: int


@dataclass(frozen=True, slots=True)
class VectorInfo:
    """A named vector that a collection declares: each of its records has one."""

    name: str
    """1 … 64 of a-z, 0-9, `_` and `-`, of which the first is a letter."""
    space: Space
    ready: bool = True
    """False while records may lack it: puts give it already, and nobody searches it."""
    becomes_default: bool = False
    """Of one that is not ready: it becomes the default in the step that makes it ready."""
    approximation: Approximation | None = None
    """What `build_index` made of it, with the recall that it measured then; None where there is no index."""

    @property
    def fitted(self) -> bool:
        """Whether it went through a fitted metric."""
        return self.space.metric_fingerprint != PLAIN_METRIC


@dataclass(frozen=True, slots=True)
class VectorStatus:
    """A named vector of a collection, how many records have it, and what it takes."""

    vector: VectorInfo
    default: bool
    """Whether it is the one that is searched where none is named."""
    lacking: int
    """Records that lack it still; 0 of one that is ready."""
    bytes: int
    """Of its numbers, 4 each; what the store adds to them, its indexes say, is not counted."""


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """What a store says of a named set of records."""

    name: str
    count: int
    fields: tuple[str, ...]
    """Names of all fields that any record has had, sorted."""
    vectors: tuple[VectorInfo, ...]
    """In order of declaration. Those that are ready have different names; beside one of them there may be one
    of its name that is not ready, which is to take its place. No two are of one space."""
    default: str
    """Name of the vector that is searched where none is named; a ready one has it."""
    problem: LookalikeError | None = None
    """Why its records cannot be read now, and are not counted: of an attached table that is gone, say."""
    attached: bool = False
    """Whether its records are rows of a table of others: no record is added to it, and no vector made."""
    writable: bool = True
    """Whether its records can be changed and removed: not those of a table that was attached to be read."""

    def vector(self, using: str | None = None) -> VectorInfo:
        """Return the ready vector of a name.

        Args:
            using: its name; None for the default.

        Raises:
            VectorNotFound: no ready vector has that name.
        """
        name = self.default if using is None else using
        for one in self.vectors:
            if one.name == name and one.ready:
                return one
        known = [one.name for one in self.vectors if one.ready]
        declared = any(one.name == name for one in self.vectors)
        raise VectorNotFound(self.name, name, known, declared=declared)

    @property
    def space(self) -> Space:
        """That of the default vector."""
        return self.vector().space

    @property
    def approximation(self) -> Approximation | None:
        """That of the default vector."""
        return self.vector().approximation

    @property
    def fitted(self) -> bool:
        """Whether its vectors went through a fitted metric."""
        return self.space.metric_fingerprint != PLAIN_METRIC


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A record and its cosine similarity to a query."""

    record: Record
    similarity: float
    """−1 … 1."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file or label that could not be used, and why: a value, never an exception."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Remark:
    """What was assumed of a file, or what a person should look at in it; the file is used all the same."""

    path: str
    """Of the file; empty where it is about all of them."""
    text: str


@dataclass(frozen=True, slots=True)
class Prediction:
    """The label that the neighbours of one image vote for."""

    label: Scalar | None
    """None when no neighbour has a label, or `reason` says why it is not to be relied on: *unknown*."""
    share: float
    """Part of the vote that the label got, 0 … 1."""
    votes: tuple[tuple[Scalar, float], ...]
    """Every label with its share, winner first."""
    neighbours: tuple[Neighbour, ...] = field(default=())
    """Those that voted, most similar first."""
    confidence: float | None = None
    """How probable it is that the label with the most votes is right, 0 … 1; None where nobody judged it."""
    p_value: float | None = None
    """How usual it is in this collection to have no nearer neighbour, 0 … 1; None where nobody judged it."""
    reason: str | None = None
    """Why the label is *unknown*; None where it is known, or where nobody voted."""
    label_set: tuple[Scalar, ...] | None = None
    """The labels that fit, most similar first, where a coverage was asked for."""
    exemplars: int | None = None
    """Held-out images of the winning label, which the confidence rests on; None where nobody judged it."""
    caution: str | None = None
    """Why the confidence rests on little, or is missing; None where it does not."""
    usual: float | None = None
    """The confidence that right answers with the label usually have at least; None where nobody judged it."""
    doubtful: bool | None = None
    """Whether the confidence is below that, or below ½; None where nobody judged it."""
    runner_up: tuple[Scalar, float] | None = None
    """Of a doubtful one, the label that comes next and its share of the vote; None where there is none."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows that a SQL statement answered with, in its order."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
