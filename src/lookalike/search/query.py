"""What is searched for: texts, images, records and vectors, added to each other and taken away.

    Text("red car") - Image("a.jpg")

The HTTP client speaks the same terms: nothing heavy is imported here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


Picture: TypeAlias = "str | Path | bytes"
"""The path of an image file, `s3://bucket/key` of an object, or the bytes of an image."""

Box: TypeAlias = "tuple[float, float, float, float]"
"""A region in pixels of the upright image: from the left, from the top, width and height."""

Value: TypeAlias = str | int | float | bool
"""That a field may have."""


class Terms:
    """A term or a sum of terms: `+` adds another one, `-` takes it away."""

    __slots__ = ()

    @property
    def summands(self) -> tuple[Summand, ...]:
        """The terms with their signs, in the order written."""
        raise NotImplementedError

    def __add__(self, other: Terms) -> Sum:
        return _added(self, 1, other)

    def __sub__(self, other: Terms) -> Sum:
        return _added(self, -1, other)

    def __neg__(self) -> Sum:
        return Sum(tuple(Summand(-each.sign, each.term) for each in self.summands))


class Summand(NamedTuple):
    """A term, added or taken away."""

    sign: int
    """1 or −1."""
    term: Term


@dataclass(frozen=True, slots=True)
class Sum(Terms):
    """Terms that are added to each other and taken away."""

    terms: tuple[Summand, ...]

    @property
    def summands(self) -> tuple[Summand, ...]:
        """The terms with their signs, in the order written."""
        return self.terms


def _added(query: Terms, sign: int, other: object) -> Sum:
    if not isinstance(other, Terms):
        return NotImplemented  # type: ignore[no-any-return]  # Python then says what cannot be added
    return Sum(query.summands + tuple(Summand(sign * each.sign, each.term) for each in other.summands))


class _Single(Terms):
    """A query of one term."""

    __slots__ = ()

    @property
    def summands(self) -> tuple[Summand, ...]:
        """The term itself, added."""
        return (Summand(1, cast("Term", self)),)


@dataclass(frozen=True, slots=True)
class Embedding:
    """What a model made of a text or an image before."""

    features: NDArray[np.float32]
    """Shape (dimension,), not normalised."""
    made_by: str
    """Fingerprint of the embedder."""
    digest: str | None = None
    """SHA-256 of the bytes of an image."""


@dataclass(frozen=True, slots=True)
class Text(_Single):
    """Words, for a model that reads texts."""

    text: str
    embedding: Embedding | None = field(default=None, compare=False, repr=False)
    """Where it was embedded before."""


@dataclass(frozen=True, slots=True)
class Image(_Single):
    """An image that need not be in the collection."""

    picture: Picture
    """Where it was embedded before, only what it is called."""
    embedding: Embedding | None = field(default=None, compare=False, repr=False)
    """Where it was embedded before."""
    box: Box | None = None
    """The region that is meant; None: all of it."""


@dataclass(frozen=True, slots=True)
class RecordId(_Single):
    """An image of the collection."""

    id: str
    """32 hexadecimal digits; of an attached table that of the row."""
    box: Box | None = None
    """The region that is meant, for which its file is read; None: all of it."""


@dataclass(frozen=True, slots=True)
class Vector(_Single):
    """A vector of the collection's space, of any length but 0, that was computed elsewhere."""

    numbers: Sequence[float]
    """As many as the vectors of the collection have."""


Term: TypeAlias = Text | Image | RecordId | Vector


Conditions: TypeAlias = "Mapping[str, Value | Sequence[Value]]"
"""Every field named must have the value given, or one of several."""


def alternatives(where: Conditions | None) -> dict[str, Sequence[Value]] | None:
    """Return conditions with a list of values for each field; None where there are none."""
    if where is None:
        return None
    return {
        field: [values] if isinstance(values, str | int | float) else values
        for field, values in where.items()
    }


def as_query(query: Terms | Picture) -> Terms:
    """Return a query: what is none already is a path, or the bytes of an image."""
    return query if isinstance(query, Terms) else Image(query)
