"""Exact nearest neighbours of some queries among vectors that go by in blocks, which are never all in memory.

The answer is that of `nearest`: a float32 matrix product finds candidates, and their similarities are
computed again in float64, pair by pair. Of a block only those are looked at that come near the k-th best so
far.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lookalike.vectors.nearest import MARGIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lookalike.types import Vectors
    from lookalike.vectors.nearest import Rows
    from lookalike.vectors.vote import Codes

_GATHERED_BYTES = 32 << 20


class NearestInBlocks:
    """The k nearest of q queries, of all blocks that went by so far."""

    def __init__(self, queries: Vectors, k: int) -> None:
        """Begin with none.

        Args:
            queries: float32 of shape (q, d), each row of length 1.
            k: neighbours per query, at least 1.
        """
        self.queries = queries
        self.numbers = np.full((len(queries), k), -1, np.int64)
        """(q, k): of the nearest, by falling similarity, then by rising number; the rest is −1."""
        self.similarities = np.full((len(queries), k), -np.inf)
        """(q, k): theirs, −1 … 1; −inf where there is none."""
        self.codes = np.full((len(queries), k), -1, np.intp)
        """(q, k): what was said to be theirs, −1 where there is none."""

    def take(
        self, some: Rows, rough: NDArray[np.float32], vectors: Vectors, numbers: Rows, codes: Codes
    ) -> None:
        """Take the similarities of some queries to the vectors of a block.

        Args:
            some: places of the queries, none twice: shape (s,).
            rough: their products with the vectors, −inf for those that do not count: shape (s, n).
            vectors: float32 of shape (n, d), each row of length 1.
            numbers: shape (n,): of the vectors, none twice in all blocks; they decide between equals.
            codes: shape (n,): what is kept beside them.
        """
        k = self.numbers.shape[1]
        least = self.similarities[some, k - 1] - MARGIN
        fewer = np.flatnonzero(~np.isfinite(least))
        if len(fewer):
            # Both sides of this comparison are rough.
            wide = min(k, rough.shape[1])
            kth = np.partition(rough[fewer], rough.shape[1] - wide, axis=1)[:, rough.shape[1] - wide]
            least[fewer] = kth - 2 * MARGIN
        # The least finite number stands for "any": what is −inf does not count.
        least = np.maximum(least, np.finfo(np.float32).min)
        rows, columns = np.nonzero(rough >= least[:, None].astype(np.float32))
        if not len(rows):
            return
        exact = self._exact(some[rows], vectors, columns)
        touched, places = np.unique(rows, return_inverse=True)
        queries = some[touched]
        own = np.repeat(np.arange(len(queries)), k)
        # What was found before, and what is new, as one list: query, similarity, number, code.
        of = np.concatenate([own, places])
        similarities = np.concatenate([self.similarities[queries].ravel(), exact])
        found = np.concatenate([self.numbers[queries].ravel(), numbers[columns]])
        kept = np.concatenate([self.codes[queries].ravel(), codes[columns]])
        order = np.lexsort((found, -similarities, of))
        starts = np.searchsorted(of[order], np.arange(len(queries)))
        # Each query has at least k entries, though the similarity of some may be −inf.
        best = order[starts[:, None] + np.arange(k)]
        self.similarities[queries] = similarities[best]
        self.numbers[queries] = found[best]
        self.codes[queries] = kept[best]

    def _exact(self, queries: Rows, vectors: Vectors, columns: Rows) -> NDArray[np.float64]:
        """Return the similarity of each pair of a query and a vector."""
        out = np.empty(len(columns))
        step = max(1, _GATHERED_BYTES // (16 * vectors.shape[1]))
        for start in range(0, len(columns), step):
            part = slice(start, start + step)
            pairs = vectors[columns[part]].astype(np.float64), self.queries[queries[part]].astype(np.float64)
            np.vecdot(*pairs, out=out[part])
        return np.clip(out, -1.0, 1.0, out=out)
