"""What is asked of a collection's vectors: one value from the caller to the back end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from lookalike.types import Space, Vectors, Where


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """Who is nearest to these vectors, among whom."""

    vectors: Vectors
    """float32 of shape (queries, dimension), each row of length 1."""
    k: int
    """Neighbours per query, at least 1; fewer come back only where fewer match."""
    using: str | None = None
    """Name of the vector that is searched; None for the collection's default."""
    space: Space | None = None
    """That of the queries, where it is known: what a name stands for may have changed meanwhile."""
    where: Where | None = None
    """Only records that match."""
    exclude: Sequence[Collection[str]] | None = None
    """For each query, ids that are left out."""
    having: str | None = None
    """Only records that have this field, whatever its value: those that can vote on it."""
    approximate: bool = False
    """Use the index of `Store.build_index` where there is one. A neighbour may be missed then; the
    similarities of those found are as exact, and no fewer than k come back where k match."""

    def leaving_out(self, ids: Collection[str]) -> Query:
        """Return the same query, for which these ids are left out too."""
        if not ids:
            return self
        exclude = self.exclude if self.exclude is not None else [()] * len(self.vectors)
        return replace(self, exclude=[{*some, *ids} for some in exclude])
