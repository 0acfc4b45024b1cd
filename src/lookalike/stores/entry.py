"""A collection as a back end finds it: the vectors that it declares, under the back end's own numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from lookalike.errors import InvalidArgument, SpaceMismatch, VectorIncomplete, VectorNotFound
from lookalike.types import PLAIN_METRIC, CollectionInfo, VectorInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lookalike.errors import LookalikeError
    from lookalike.types import Space

_T = TypeVar("_T")

NEW = 0
"""The number of a vector that the back end has made no place for yet."""


@dataclass(frozen=True, slots=True)
class VectorEntry:
    """A vector that a collection declares, and where its back end keeps it."""

    number: int
    """Of its table, column or field, in this store; never used again for another. `NEW` where it is to be
    made."""
    info: VectorInfo
    index: str | None = None
    """The back end's own note of the approximate index that it has (its kind, or a token); None for none."""


def vector_columns(vector: VectorInfo) -> dict[str, Any]:
    """Return what a SQL store keeps of a vector in its catalogue, by column."""
    state = {"ready": vector.ready, "becomes_default": vector.becomes_default}
    return {"name": vector.name, **asdict(vector.space), **state}


@dataclass(frozen=True, slots=True)
class Entry:
    """A collection of a store, resolved from its name in a transaction of the back end."""

    key: Any
    """The back end's own, never used again for another collection."""
    name: str
    vectors: tuple[VectorEntry, ...]
    """In order of declaration, which is that of their numbers."""
    default: str
    """Name of the vector that is searched where none is named; a ready one has it."""
    revision: int | None = None
    """Raised by every change of a record, where the back end counts them."""
    count: int | None = None
    """How many records it has, where that was asked for."""
    fields: tuple[str, ...] = ()
    """Names of all fields that any record has had, sorted, where that was asked for."""
    problem: LookalikeError | None = None
    """Why it could not be counted, of an attached table."""
    attached: bool = False
    writable: bool = True

    def info(self) -> CollectionInfo:
        """Return the collection as callers of a store know it."""
        infos = tuple(vector.info for vector in self.vectors)
        return CollectionInfo(
            self.name,
            self.count or 0,
            self.fields,
            infos,
            self.default,
            self.problem,
            self.attached,
            self.writable,
        )

    def ready(self, using: str | None = None, space: Space | None = None) -> VectorEntry:
        """Return the vector that is searched.

        Args:
            using: its name; None for the default.
            space: that it must have, where it is known.

        Raises:
            VectorNotFound: no ready vector has that name.
            SpaceMismatch: it is of another space.
        """
        name = self.default if using is None else using
        found = next((one for one in self.vectors if one.info.name == name and one.info.ready), None)
        if found is None:
            known = [one.info.name for one in self.vectors if one.info.ready]
            declared = any(one.info.name == name for one in self.vectors)
            raise VectorNotFound(self.name, name, known, declared=declared)
        if space is not None and found.info.space != space:
            raise SpaceMismatch(self.name, str(found.info.space), str(space))
        return found

    def declared(self, space: Space) -> VectorEntry:
        """Return the vector of a space, ready or not.

        Raises:
            SpaceMismatch: none is of that space.
        """
        found = next((one for one in self.vectors if one.info.space == space), None)
        if found is None:
            raise SpaceMismatch(self.name, self._spaces(), str(space))
        return found

    def given(self, vectors: Mapping[Space, _T]) -> list[tuple[VectorEntry, _T]]:
        """Return what a put gives of each declared vector, in order of declaration.

        Raises:
            SpaceMismatch: it does not give exactly the declared spaces.
        """
        if {one.info.space for one in self.vectors} != vectors.keys():
            found = " and ".join(map(str, vectors)) or "no space"
            raise SpaceMismatch(self.name, self._spaces(), found)
        return [(one, vectors[one.info.space]) for one in self.vectors]

    def _spaces(self) -> str:
        if len(self.vectors) == 1:
            return str(self.vectors[0].info.space)
        return " and ".join(f"{one.info.space} as {one.info.name!r}" for one in self.vectors)


# What a collection is to declare instead: pure functions, called inside the back end's transaction.


def with_vector(entry: Entry, vector: VectorInfo, lacking: Callable[[VectorEntry], int]) -> Entry:
    """Return the collection with one vector more, ready at once where no record is there to lack it.

    One of its name that is not ready and of another space goes; one of its space stays as it is.

    Args:
        entry: the collection.
        vector: its name and space, and whether it becomes the default.
        lacking: tells how many records lack a vector.

    Raises:
        InvalidArgument: the collection has a vector of that space under another name.
    """
    known = next((one for one in entry.vectors if one.info.space == vector.space), None)
    if known is not None:
        if known.info.name != vector.name:
            raise taken(entry.name, known.info.name, vector.name)
        return entry
    kept = (one for one in entry.vectors if one.info.ready or one.info.name != vector.name)
    new = VectorEntry(NEW, replace(vector, ready=False, approximation=None))
    made = replace(entry, vectors=(*kept, new))
    return made if lacking(new) else _finished(made, new)


def taken(collection: str, known: str, vector: str) -> InvalidArgument:
    """Return the refusal of vectors that a collection has already, under another name."""
    return InvalidArgument(
        f"collection {collection!r} has these vectors already, as {known!r}: they cannot be {vector!r} too"
    )


def with_finished(entry: Entry, space: Space, lacking: Callable[[VectorEntry], int]) -> Entry:
    """Return the collection with its vector of a space ready, in the place of a ready one of that name.

    Raises:
        SpaceMismatch: it declares none of that space.
        VectorIncomplete: records lack it still.
    """
    vector = entry.declared(space)
    if vector.info.ready:
        return entry
    count = lacking(vector)
    if count:
        raise VectorIncomplete(entry.name, vector.info.name, count)
    return _finished(entry, vector)


def _finished(entry: Entry, vector: VectorEntry) -> Entry:
    name = vector.info.name
    ready = replace(vector, info=replace(vector.info, ready=True, becomes_default=False))
    vectors = tuple(
        ready if one is vector else one for one in entry.vectors if one is vector or one.info.name != name
    )
    default = name if vector.info.becomes_default else entry.default
    return replace(entry, vectors=vectors, default=default)


def without_vector(entry: Entry, space: Space) -> Entry:
    """Return the collection without the vector of a space; another becomes the default where it was.

    Raises:
        SpaceMismatch: it declares none of that space.
        InvalidArgument: no ready vector would be left, or a fitted one was made from it.
    """
    gone = entry.declared(space)
    left = tuple(one for one in entry.vectors if one is not gone)
    name, ready = gone.info.name, [one.info.name for one in left if one.info.ready]
    if not ready:
        raise InvalidArgument(f"{name!r} is the only vector of collection {entry.name!r}: it stays")
    made = next((one for one in left if _is_fitted_from(one.info.space, space)), None)
    if made is not None:
        raise InvalidArgument(
            f"the vectors {made.info.name!r} of collection {entry.name!r} are made from {name!r}: "
            f"drop those first"
        )
    return replace(entry, vectors=left, default=entry.default if entry.default in ready else ready[0])


def _is_fitted_from(fitted: Space, plain: Space) -> bool:
    """Tell whether vectors of one space are those of the other through a fit."""
    same = (fitted.embedder, fitted.embedder_fingerprint) == (plain.embedder, plain.embedder_fingerprint)
    return same and fitted.metric_fingerprint != PLAIN_METRIC == plain.metric_fingerprint


def with_default(entry: Entry, name: str) -> Entry:
    """Return the collection with another default vector.

    Raises:
        VectorNotFound: no ready vector has that name.
    """
    return replace(entry, default=entry.ready(name).info.name)
