"""Every error that lookalike raises on purpose.

    LookalikeError
    ├── InvalidArgument        the call's words are off
    │   ├── CollectionExists   a name for a new collection that one has already
    │   └── RemovalUnconfirmed more than a tenth of a collection would go, and nobody said yes
    ├── NotFound
    │   ├── PathNotFound       no such file or folder
    │   ├── CollectionNotFound
    │   ├── TableNotFound      no table, view or column of that name in a database of others
    │   ├── FieldNotFound      no record of the collection has that field
    │   ├── ImageNotFound      no record of the collection has that id
    │   ├── VectorNotFound     no vector of the collection has that name
    │   └── ModelNotFound      no embedder of that name
    ├── Unanswerable           the data cannot answer the question: one class only, say
    │   ├── CollectionEmpty
    │   ├── EmbedderUnknown    vectors of a model that nobody has named: no picture can be embedded
    │   ├── MemoryTooSmall     not all records fit into memory, and the question needs them there
    │   └── FolderEmpty        nothing is where records say that files are: a disk that is not mounted?
    ├── LabelsInvalid          a label file that cannot be read at all
    ├── OutputFailed           a file that was asked for cannot be written
    ├── SourceError            where the pictures are kept cannot be read
    │   ├── SourceUnreachable  no server answers, or it went away in the middle
    │   └── SourceDenied       the server refuses key or signature, or a right is missing
    ├── UnusableImage          one file that is no picture we can read; `Skipped` carries its reason
    ├── DecodingStopped        an image whose decoding was ended because the program stops
    ├── SpaceMismatch          vectors of another embedder, metric or dimension
    │   └── TargetDiffers      a copy's target has a collection of that name and another space
    ├── VectorIncomplete       a vector that records still lack
    ├── WeightsInvalid         a weights file that is not the one it should be
    ├── WeightsMissing         a model's weights are not on this machine, or cannot be fetched
    ├── ClusterError           no cluster answers, or it cannot do what it should
    ├── ExtraMissing           an optional package is not installed
    ├── PluginFailed           a store or an embedder of another package cannot be loaded
    ├── QueryRefused           SQL that fails or that would write
    └── StoreError
        ├── StoreUnreachable   no server answers, or it went away in the middle
        ├── StoreDenied        the server refuses user, password or key, or a right is missing
        ├── StoreBusy          another process holds the lock for too long
        ├── StoreReadOnly
        ├── StoreFull          no space left
        ├── StoreCorrupt
        │   └── StoreForeign   a database of another program: its tables can be attached
        ├── StoreNewer         written by a later version of lookalike
        └── StoreOlder         written by an earlier version, without what this one needs

Each carries what it speaks of as attributes, and its text says what to do. `outcome` maps a class to the
exit code of the command line and to the status of the HTTP service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class LookalikeError(Exception):
    """Root of the tree: one clear line for the person at the keyboard."""


class InvalidArgument(LookalikeError):
    """An argument outside its range, or two that exclude each other."""


class CollectionExists(InvalidArgument):
    """A name for a new collection that is taken."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"there is a collection {name!r} already")


class RemovalUnconfirmed(InvalidArgument):
    """So many records would be removed that somebody has to say yes, and nobody did."""

    def __init__(self, collection: str, count: int, total: int) -> None:
        self.collection = collection
        self.count = count
        self.total = total
        super().__init__(
            f"the files of {count:,} of {total:,} records of {collection!r} are gone, which is more than a "
            f"tenth: nothing was removed; if that is right, say so (--yes)"
        )


class NotFound(LookalikeError):
    """Something that was named does not exist."""


class PathNotFound(NotFound):
    """A file or folder that was named does not exist."""

    def __init__(self, path: str, more: str = "") -> None:
        self.path = path
        super().__init__(f"no such file or folder: {path}{more and f', {more}'}")


class CollectionNotFound(NotFound):
    """A collection that the store does not hold."""

    def __init__(self, name: str, known: Iterable[str], *, attached: bool = False) -> None:
        """Say which there are.

        Args:
            name: that was asked for.
            known: those that are there.
            attached: whether only tables of others, which are attached, are collections there.
        """
        self.name = name
        self.known = sorted(known)
        if attached:
            have = f"attached are {', '.join(self.known)}" if self.known else "nothing is attached"
            super().__init__(f"no collection {name!r}: {have}; `lookalike attach TABLE` makes one of a table")
            return
        have = f"the store has {', '.join(self.known)}" if self.known else "the store is empty"
        super().__init__(
            f"no collection {name!r}: {have}; `lookalike index PATH --collection {name}` makes it"
        )


class TableNotFound(NotFound):
    """A table, view or column that a database does not have."""

    def __init__(self, table: str, known: Iterable[str]) -> None:
        self.table = table
        self.known = list(known)
        most = 40  # that one line names
        have = f"there are {', '.join(self.known[:most])}" if self.known else "there is none"
        more = f" and {len(self.known) - most:,} more" if len(self.known) > most else ""
        super().__init__(f"no table, view or column {table!r}: {have}{more}")


class TableGone(TableNotFound):
    """A table that was attached, and that the database does not have any more."""

    def __init__(self, collection: str, table: str) -> None:
        self.collection = collection
        self.table = table
        self.known = []
        LookalikeError.__init__(
            self,
            f"the table {table} is gone, which collection {collection!r} was made of by `lookalike attach`: "
            f"`lookalike detach {collection}` forgets it",
        )


class FieldNotFound(NotFound):
    """A field that no record of the collection has."""

    def __init__(self, field: str, known: Iterable[str]) -> None:
        self.field = field
        self.known = sorted(known)
        have = f"the fields are {', '.join(self.known)}" if self.known else "its images have no fields"
        super().__init__(f"no field {field!r} in this collection: {have}")


class ImageNotFound(NotFound):
    """An id that no record of the collection has."""

    def __init__(self, collection: str, identity: str) -> None:
        self.collection = collection
        self.identity = identity
        super().__init__(f"no image of collection {collection!r} has the id {identity}")


class VectorNotFound(NotFound):
    """A name that no vector of the collection has, or one that records still lack."""

    def __init__(self, collection: str, vector: str, known: Iterable[str], *, declared: bool = False) -> None:
        """Say so.

        Args:
            collection: its name.
            vector: the name that was asked for.
            known: names of those that can be asked.
            declared: whether there is one of that name, which records still lack.
        """
        self.collection = collection
        self.vector = vector
        self.known = list(known)
        there = ", ".join(self.known)
        said = f"collection {collection!r} has no vector {vector!r}: it has {there}"
        if declared:
            said = (
                f"vector {vector!r} of collection {collection!r} is not complete, and cannot be asked yet: "
                f"`lookalike index` goes on with it"
            )
        super().__init__(said)


class ModelNotFound(NotFound):
    """An embedder name that nothing is registered for."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        self.known = sorted(known)
        super().__init__(f"no model {name!r}: lookalike has {', '.join(self.known)} (`lookalike models`)")


class Unanswerable(LookalikeError):
    """The data that is there cannot answer the question that was asked."""


class CollectionEmpty(Unanswerable):
    """A collection without a record."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"collection {name!r} is empty; `lookalike index PATH` fills it")


class EmbedderUnknown(Unanswerable):
    """A picture or words for vectors of which nobody has said by which embedder they were made."""

    def __init__(self, collection: str, space: str) -> None:
        self.collection = collection
        self.space = space
        super().__init__(
            f"the vectors of {collection!r} are of the space {space!r}, whose model lookalike does "
            f"not know: ask by a vector or by an image of the collection; no picture or text can be compared"
        )


class FolderEmpty(Unanswerable):
    """A folder that is there and empty, where records say that their files are."""

    def __init__(self, path: str, count: int) -> None:
        self.path = path
        self.count = count
        records = "the file of 1 record was" if count == 1 else f"the files of {count:,} records were"
        super().__init__(
            f"no image is in {path}, where {records}: is a disk not mounted? Nothing was removed; if it was "
            f"emptied, say so (--prune-empty)"
        )


class MemoryTooSmall(Unanswerable):
    """A question that needs all records of a collection in memory, and there is not enough of it."""

    def __init__(
        self, collection: str, count: int, dimension: int, needed: int, limit: int, instead: str = ""
    ) -> None:
        """Say so.

        Args:
            collection: its name.
            count: its records.
            dimension: of their vectors.
            needed: bytes that it takes.
            limit: bytes that this process may take.
            instead: what can be done instead, in words.
        """
        self.collection = collection
        self.count = count
        self.needed = needed
        self.limit = limit
        super().__init__(
            f"all {count:,} records of {collection} with vectors of {dimension:,} numbers take about "
            f"{needed / (1 << 30):.1f} GiB of memory, and this process may take {limit / (1 << 30):.1f} GiB: "
            f"{f'{instead}, or ' if instead else ''}"
            "use a machine with more (LOOKALIKE_MEMORY_LIMIT says how much may be taken)"
        )


class OutputFailed(LookalikeError):
    """A file or folder that was asked for and cannot be written."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path} cannot be written: {reason}")


class LabelsInvalid(LookalikeError):
    """A label file that cannot be used at all, as opposed to one label that is skipped."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"labels in {path}: {reason}")


class UnusableImage(LookalikeError):
    """One file that cannot be read as a picture."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}")


class DecodingStopped(LookalikeError):
    """An image was not decoded to the end, because the program stops; nothing is wrong with it."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(f"{path}: it was not decoded to the end, because the program stops")


class SpaceMismatch(LookalikeError):
    """Vectors that do not belong into the collection they were meant for."""

    def __init__(self, collection: str, expected: str, found: str) -> None:
        self.collection = collection
        self.expected = expected
        self.found = found
        super().__init__(
            f"collection {collection!r} holds vectors of {expected}, these are of {found}; "
            f"use that model, add another beside it (--as NAME), or index into another collection "
            f"(--collection)"
        )


class TargetDiffers(SpaceMismatch):
    """The target of a copy has a collection of that name and of another space."""

    def __init__(self, url: str, collection: str, expected: str, found: str) -> None:
        super().__init__(collection, expected, found)
        self.url = url
        line = (
            f"{url}: collection {collection!r} holds vectors of {expected} there, those to copy are of "
            f"{found}: delete it there, or copy into another store"
        )
        self.args = (line,)


class VectorIncomplete(LookalikeError):
    """A vector cannot be searched yet, because records of its collection lack it."""

    def __init__(self, collection: str, vector: str, lacking: int, *, damaged: bool = False) -> None:
        """Say so.

        Args:
            collection: its name.
            vector: the name of the vector.
            lacking: how many records lack it.
            damaged: whether they are damaged, so that it cannot be made of what they have.
        """
        self.collection = collection
        self.vector = vector
        self.lacking = lacking
        records = "1 record" if lacking == 1 else f"{lacking:,} records"
        lack, are = ("lacks", "is") if lacking == 1 else ("lack", "are")
        said = f"{lack} the vector {vector!r}: index them again, or remove them"
        if damaged:
            said = (
                f"{are} damaged and cannot get the vector {vector!r}: `lookalike check --repair` mends what "
                f"can be mended, and says what to do else"
            )
        super().__init__(f"{records} of collection {collection!r} {said}")


class WeightsInvalid(LookalikeError):
    """A weights file whose checksum or content is not the expected one."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}")


class WeightsMissing(LookalikeError):
    """A model whose weights are not on this machine; nothing is fetched unless the user asked for it."""

    def __init__(self, model: str, reason: str) -> None:
        self.model = model
        self.reason = reason
        super().__init__(f"weights of {model}: {reason}")


class ExtraMissing(LookalikeError):
    """An optional package is needed and not installed."""

    def __init__(self, what: str, extra: str) -> None:
        self.what = what
        self.extra = extra
        super().__init__(f"{what} needs an optional package: pip install 'lookalike[{extra}]'")


class ClusterError(LookalikeError):
    """The cluster that the work was to be done on cannot be reached, or not be worked on."""


class SourceError(LookalikeError):
    """Where pictures are kept cannot be read as a whole; what was indexed before stays.

    Its text never holds what a server said in its own words, which may repeat keys and signed addresses.
    """

    def __init__(self, place: str, reason: str) -> None:
        self.place = place
        self.reason = reason
        super().__init__(f"{place}: {reason}")


class SourceUnreachable(SourceError):
    """No server answers, or it went away in the middle."""


class SourceDenied(SourceError):
    """The server refuses key or signature, or a right is missing."""


class PluginFailed(LookalikeError):
    """What another package brings for lookalike cannot be loaded."""

    def __init__(self, group: str, name: str, package: str, reason: str) -> None:
        self.group = group
        self.name = name
        self.package = package
        self.reason = reason
        super().__init__(f"{name!r} of {group} cannot be loaded from {package}: {reason}")


class StoreError(LookalikeError):
    """The store cannot do what was asked; nothing was half-written."""

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        self.reason = reason
        super().__init__(f"{url}: {reason}")


class StoreUnreachable(StoreError):
    """No server answers there, or the connection broke; what was acknowledged is kept."""


class StoreDenied(StoreError):
    """The server refuses the credentials, or they do not suffice for what was asked."""


class StoreBusy(StoreError):
    """Another process held the write lock for longer than we wait."""


class StoreReadOnly(StoreError):
    """The store may be read but not written."""


class StoreFull(StoreError):
    """No space is left where the store lives."""


class StoreCorrupt(StoreError):
    """It is no store of ours, or a damaged one."""


class StoreForeign(StoreCorrupt):
    """It is a database of another program, which is left as it is; its tables can be attached."""

    def __init__(self, url: str) -> None:
        super().__init__(
            url,
            "is a database of another program; nothing was changed. `lookalike attach TABLE` makes a "
            "collection of a table in it",
        )


class StoreNewer(StoreError):
    """A later version of lookalike wrote this store."""

    def __init__(self, url: str) -> None:
        super().__init__(
            url, "was written by a later version of lookalike: install that version or a later one"
        )


class StoreOlder(StoreError):
    """An earlier version of lookalike wrote this store, without what this one needs."""

    def __init__(self, url: str) -> None:
        super().__init__(
            url,
            "was written by an earlier version of lookalike: index the images again into a new store",
        )


class QueryRefused(LookalikeError):
    """SQL that does not parse, fails, or would change something."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"SQL: {reason}")


class QueryStopped(LookalikeError):
    """SQL that takes longer, or answers with more, than was allowed."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"SQL: {reason}")


class Outcome(NamedTuple):
    """What a program sees of an error: the process's exit code and the HTTP status."""

    exit_code: int
    status: int


# Exit codes: 1 the data or the machine said no, 2 the call was wrong (as click and POSIX tools have it).
# Statuses: RFC 9110, section 15; 507 is RFC 4918, section 11.5.
_OUTCOMES: dict[type[LookalikeError], Outcome] = {
    LookalikeError: Outcome(1, 500),
    InvalidArgument: Outcome(2, 400),
    CollectionExists: Outcome(2, 409),
    RemovalUnconfirmed: Outcome(2, 409),
    NotFound: Outcome(1, 404),
    PathNotFound: Outcome(2, 404),
    FieldNotFound: Outcome(2, 400),
    VectorNotFound: Outcome(2, 400),
    ModelNotFound: Outcome(2, 404),
    Unanswerable: Outcome(1, 409),
    LabelsInvalid: Outcome(1, 422),
    UnusableImage: Outcome(1, 422),
    DecodingStopped: Outcome(1, 503),
    SpaceMismatch: Outcome(1, 409),
    VectorIncomplete: Outcome(1, 409),
    WeightsMissing: Outcome(1, 503),
    ClusterError: Outcome(1, 503),
    ExtraMissing: Outcome(1, 501),
    SourceError: Outcome(1, 502),
    SourceUnreachable: Outcome(1, 503),
    PluginFailed: Outcome(1, 501),
    StoreError: Outcome(1, 500),
    StoreUnreachable: Outcome(1, 503),
    StoreBusy: Outcome(1, 503),
    StoreReadOnly: Outcome(1, 403),
    StoreFull: Outcome(1, 507),
    QueryRefused: Outcome(2, 400),
    QueryStopped: Outcome(1, 503),
}


def outcome(error: LookalikeError) -> Outcome:
    """Return the exit code and HTTP status of `error`: those of its nearest class in the table."""
    return next(_OUTCOMES[kind] for kind in type(error).__mro__ if kind in _OUTCOMES)
