"""Declaring vectors: which models' vectors a collection has, under which names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.errors import CollectionNotFound, InvalidArgument, SpaceMismatch
from lookalike.metric_learning.fitted import FITTED
from lookalike.stores.checks import vector_name
from lookalike.stores.entry import taken
from lookalike.stores.store import VECTOR

if TYPE_CHECKING:
    from lookalike.stores.store import Store
    from lookalike.types import CollectionInfo, Space


def declare(store: Store, name: str, space: Space, vector: str | None) -> None:
    """Make a collection, or see that it has, or gets, the vector that is to be written.

    Args:
        store: where it lives.
        name: the collection.
        space: of the vector.
        vector: its name; None: that of the vector of this space, or the usual one of a new collection.

    Raises:
        SpaceMismatch: the collection is there and has no vector of this space, and none is named; or the one
            that is named is of another.
        InvalidArgument: a name is not usable.
    """
    if vector is not None:
        check_vector_name(vector)
    try:
        collection = store.collection(name)
    except CollectionNotFound:
        store.create(name, space, vector=vector or VECTOR)
        return
    if not is_declared(collection, space, vector) and vector is not None:
        store.add_vector(name, vector, space)


def check_vector_name(vector: str) -> None:
    """Refuse a name that no model's vector may have.

    Raises:
        InvalidArgument: it is not usable, or that of the vector which a fit makes and drops.
    """
    if vector_name(vector) == FITTED:
        raise InvalidArgument(f"{FITTED!r} is the vector that `lookalike fit` makes: choose another name")


def is_declared(collection: CollectionInfo, space: Space, vector: str | None) -> bool:
    """Tell whether a collection has a vector of a space already, ready or not.

    Args:
        collection: as the store has it.
        space: of a model.
        vector: the name that it is to have; None for any.

    Raises:
        SpaceMismatch: it has none of this space, and none is named; or the one that is named is of another.
        InvalidArgument: it has one of this space under another name.
    """
    known = next((each for each in collection.vectors if each.space == space), None)
    if known is not None and vector in (None, known.name):
        return True
    if vector is None:
        there = " and ".join(str(each.space) for each in collection.vectors)
        raise SpaceMismatch(collection.name, there, str(space))
    other = next((each for each in collection.vectors if each.name == vector and each.ready), None)
    if other is not None:
        raise SpaceMismatch(collection.name, f"{vector}: {other.space}", str(space))
    if known is not None:
        raise taken(collection.name, known.name, vector)
    return False
