"""Spaces of embedders that nobody can open here: of vectors that others computed, by a name of choice."""

from __future__ import annotations

import hashlib

from lookalike.embedders.registry import cards, families
from lookalike.errors import InvalidArgument
from lookalike.types import Space


def unknown_space(name: str, dimension: int) -> Space:
    """Return the space of an embedder that is known by a name only; the same for the same name everywhere.

    Its vectors can be compared with one another. Pictures and texts cannot be embedded into it.

    Args:
        name: any text that is no name of a model of ours.
        dimension: of the vectors.

    Raises:
        InvalidArgument: it is empty, or names a model.
    """
    if not name.strip() or len(name) > _LENGTH:
        raise InvalidArgument(f"a space has a name of 1 to {_LENGTH} characters")
    if name in cards() or (":" in name and name.partition(":")[0] in families()):
        raise InvalidArgument(f"{name!r} names a model: say --model {name} if the vectors are of it")
    return Space(name, _fingerprint(name), dimension)


def is_unknown(space: Space) -> bool:
    """Tell whether a space is that of an embedder which is known by a name only."""
    return space.embedder_fingerprint == _fingerprint(space.embedder)


def _fingerprint(name: str) -> str:
    return hashlib.sha256(f"an unknown embedder: {name}".encode()).hexdigest()


_LENGTH = 200
