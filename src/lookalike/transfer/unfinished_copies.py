"""Unfinished copies: the names that they are built under, and how they are known again.

A copy of NAME is built as `NAME-copying`. Its first vector carries a note in the place of a metric, which
plain vectors have none of. So a collection of a user that happens to have such a name is told apart, and
never written to.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING

from lookalike.errors import CollectionNotFound, InvalidArgument
from lookalike.stores.checks import NAME_LENGTH, same_name
from lookalike.stores.places import store_place

if TYPE_CHECKING:
    from lookalike.stores.store import Store
    from lookalike.types import CollectionInfo, Space

COPYING = "-copying"
"""What ends the name of a collection that a copy is building."""

_NOTE = b"lookalike copy\n"
_DIGITS = 8


def building_name(name: str) -> str:
    """Return the name under which a collection called `name` is built; a long one is cut."""
    whole = name + COPYING
    if len(whole) <= NAME_LENGTH:
        return whole
    digits = hashlib.sha256(same_name(name).encode()).hexdigest()[:_DIGITS]
    return f"{name[: NAME_LENGTH - len(COPYING) - _DIGITS - 1]}-{digits}{COPYING}"


def note_of(source: Store, name: str) -> bytes:
    """Return the note on what is being copied from a store: where it comes from, and what it becomes."""
    origin = hashlib.sha256(store_place(source.url).encode("utf-8", "surrogatepass")).hexdigest()
    return _NOTE + origin.encode() + b"\n" + name.encode()


def is_unfinished(store: Store, collection: CollectionInfo) -> bool:
    """Tell whether a collection is one that a copy is building, or has left."""
    return _note_on(store, collection) is not None


def take_up(source: Store, target: Store, name: str, spaces: set[Space]) -> None:
    """Make room for a copy to be built: what the same copy left stays if its vectors are those wanted.

    Args:
        source: where it comes from.
        target: where it is built.
        name: what it will be called.
        spaces: those of its vectors.

    Raises:
        InvalidArgument: a collection that is no such leftover has the name that it is built under.
    """
    left = _left(target, name)
    if left is None:
        return
    note = _note_on(target, left)
    if note is None:
        raise InvalidArgument(
            f"{target.url}: collection {left.name!r} has the name that a copy needs for a while: "
            f"delete it there first"
        )
    if note != note_of(source, name):
        raise InvalidArgument(
            f"{target.url}: {left.name!r} is a copy from another store that has not ended: "
            f"run that again, or delete it there"
        )
    # Declared one after another: a copy that was killed early has the first ones only, and no record.
    there = {vector.space for vector in left.vectors}
    if there != spaces and (left.count or not there <= spaces):
        _delete(target, left)


def clear(source: Store, target: Store, name: str) -> None:
    """Delete what a copy of this collection from this store has left."""
    left = _left(target, name)
    if left is not None and _note_on(target, left) == note_of(source, name):
        _delete(target, left)


def _left(target: Store, name: str) -> CollectionInfo | None:
    with suppress(CollectionNotFound):
        return target.collection(building_name(name))
    return None


def _delete(target: Store, collection: CollectionInfo) -> None:
    with suppress(CollectionNotFound):
        target.delete(collection.name)


def _note_on(store: Store, collection: CollectionInfo) -> bytes | None:
    """Return the note on a collection; None where there is none, or it is finished."""
    if not same_name(collection.name).endswith(COPYING):
        return None
    try:
        note = store.metric(collection.name, space=collection.vectors[0].space)
    except CollectionNotFound:
        return None
    if note is None or not note.startswith(_NOTE):
        return None
    becomes = building_name(note.removeprefix(_NOTE).partition(b"\n")[2].decode())
    return note if same_name(collection.name) == same_name(becomes) else None
