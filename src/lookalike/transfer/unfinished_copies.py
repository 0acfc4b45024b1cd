"""Unfinished copies: the names they are built under, and how they are recognised.

What a copy builds is `NAME-copying`, and `NAME-copying-unfitted` beside a fitted one: a pair like any other.
The plain side carries a note in place of a metric, which plain collections have none of. So a collection of a
user that happens to have such a name is told apart, and never written to.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from lookalike.errors import CollectionNotFound, InvalidArgument
from lookalike.metric_learning.fitted import UNFITTED, is_fitted, plain_name
from lookalike.stores.checks import NAME_LENGTH, same_name
from lookalike.stores.sqlite.address import file_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lookalike.stores.store import Store
    from lookalike.types import CollectionInfo, Space

COPYING = "-copying"
"""What ends the name of a collection that a copy is building."""

_NOTE = b"lookalike copy\n"
_ROOM = NAME_LENGTH - len(UNFITTED)
_DIGITS = 8


def building_name(name: str) -> str:
    """Return the name under which a collection called `name` is built; a long one is cut."""
    whole = name + COPYING
    if len(whole) <= _ROOM:
        return whole
    digits = hashlib.sha256(same_name(name).encode()).hexdigest()[:_DIGITS]
    return f"{name[: _ROOM - len(COPYING) - _DIGITS - 1]}-{digits}{COPYING}"


def place_of(store: Store) -> str:
    """Return a text that is equal for stores of the same file or URL."""
    if store.url.startswith("sqlite:///"):
        return os.path.realpath(file_path(store.url))
    return store.url


def note_of(source: Store, name: str) -> bytes:
    """Return the note on what is being copied from a store: where it comes from, and what it becomes."""
    origin = hashlib.sha256(place_of(source).encode("utf-8", "surrogatepass")).hexdigest()
    return _NOTE + origin.encode() + b"\n" + name.encode()


def is_unfinished(store: Store, collection: CollectionInfo) -> bool:
    """Tell whether a collection is one that a copy is building, or has left."""
    return _is_orphan(store, collection) or _note_on(store, collection) is not None


def take_up(source: Store, target: Store, name: str, wanted: Mapping[str, Space]) -> None:
    """Make room for a copy to be built: what the same copy left stays if it is of the spaces wanted.

    Args:
        source: where it comes from.
        target: where it is built.
        name: what it will be called.
        wanted: the space of each collection that will be built, by the name it is built under.

    Raises:
        InvalidArgument: a collection that is no such leftover has one of the names.
    """
    left = _left(target, name)
    for collection in left:
        if _is_orphan(target, collection):
            continue
        note = _note_on(target, collection)
        if note is None:
            raise InvalidArgument(
                f"{target.url}: collection {collection.name!r} has the name that a copy needs for a while: "
                f"delete it there first"
            )
        if note != note_of(source, name):
            raise InvalidArgument(
                f"{target.url}: {collection.name!r} is a copy from another store that has not ended: "
                f"run that again, or delete it there"
            )
    spaces = {same_name(each): space for each, space in wanted.items()}
    if any(spaces.get(same_name(each.name)) != each.space for each in left) or any(
        _is_orphan(target, each) for each in left
    ):
        _delete(target, left)


def clear(source: Store, target: Store, name: str) -> None:
    """Delete what a copy of this collection from this store has left."""
    left = _left(target, name)
    ours = [
        each for each in left if _is_orphan(target, each) or _note_on(target, each) == note_of(source, name)
    ]
    _delete(target, ours)


def _left(target: Store, name: str) -> list[CollectionInfo]:
    """Return what has the names that a copy is built under, the plain side last: the other is known by it."""
    left = []
    for each in (building_name(name), building_name(name) + UNFITTED):
        with suppress(CollectionNotFound):
            left.append(target.collection(each))
    return left


def _delete(target: Store, collections: list[CollectionInfo]) -> None:
    for collection in collections:
        with suppress(CollectionNotFound):
            target.delete(collection.name)


def _is_orphan(store: Store, collection: CollectionInfo) -> bool:
    """Tell whether a collection has such a name, is fitted and has no plain side, as no command leaves it."""
    if not is_fitted(collection) or not same_name(collection.name).endswith(COPYING):
        return False
    try:
        store.collection(plain_name(collection))
    except CollectionNotFound:
        return True
    return False


def _note_on(store: Store, collection: CollectionInfo) -> bytes | None:
    """Return the note on a collection or its plain side; None where there is none, or it is finished."""
    plain = plain_name(collection)
    try:
        note = store.metric(plain)
    except CollectionNotFound:
        return None
    if note is None or not note.startswith(_NOTE):
        return None
    becomes = building_name(note.removeprefix(_NOTE).partition(b"\n")[2].decode())
    names = (becomes, becomes + UNFITTED)
    return note if same_name(plain) in map(same_name, names) else None
