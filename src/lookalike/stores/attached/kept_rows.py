"""The rows of a table of others in memory, as they were in one state, and what they answer.

For tables whose database cannot compare the vectors itself. Where the vectors do not fit into memory, they
are read in blocks.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from lookalike.checksums import content_checksum
from lookalike.memory import kept_bytes
from lookalike.stores.attached.description import row_id
from lookalike.stores.attached.foreign import Tally
from lookalike.stores.attached.foreign_vectors import NO_ID, NOT_UNIT, SAME_ID, Counts, read_vectors
from lookalike.stores.batches import chunks
from lookalike.stores.reranking import nearest_of_blocks, rows_of
from lookalike.stores.verification import fields_match
from lookalike.vectors.nearest import nearest_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from numpy.typing import NDArray

    from lookalike.stores.attached.description import ForeignRow
    from lookalike.stores.attached.foreign_vectors import Written
    from lookalike.stores.query import Query
    from lookalike.types import Vectors, Where

Row: TypeAlias = "Sequence[Any]"
"""What the id column says, the vector as it is written, and whatever else was asked for."""

_TOGETHER = 500  # rows that are asked for by their keys at once
_BLOCK_BYTES = 32 << 20  # of vectors that are in memory at once, where all do not fit
_REMEMBERED = 16  # filters
_FEW = 0.25  # of the rows, of which a copy of their vectors costs less than to compare all


@dataclass(slots=True)
class KeptRows:
    """The records of a table in one state, in order of id."""

    state: Hashable | None
    """What changes whenever the table may have changed; None where nothing tells."""
    ids: list[str]
    keys: list[Any]
    """What the id column says of each."""
    rows: list[ForeignRow]
    vectors: Vectors | None
    """float32 of shape (records, dimension), of length 1; None where they do not fit into memory."""
    tally: Tally
    _written: Written
    _dimension: int
    _answers: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    """Places of those that match, for the last filters."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def places(self, ids: Iterable[str]) -> list[int]:
        """Return where these ids are, of those that are there."""
        return rows_of(self.ids, list(ids))

    def matching(self, where: Where | None, having: str | None) -> NDArray[np.int64] | None:
        """Return the places of the records that match; None for all."""
        if not where and having is None:
            return None
        key = repr(([(name, list(values)) for name, values in (where or {}).items()], having))
        with self._lock:
            known = self._answers.pop(key, None)
            if known is None:
                matches = (fields_match(row.fields, where, having) for row in self.rows)
                known = np.flatnonzero(np.fromiter(matches, bool, len(self.rows)))
            self._answers[key] = known
            while len(self._answers) > _REMEMBERED:
                del self._answers[next(iter(self._answers))]
        return known

    def matching_ids(self, where: Where | None, having: str | None) -> list[str]:
        """Return the ids of the records that match, sorted."""
        places = self.matching(where, having)
        return list(self.ids) if places is None else [self.ids[place] for place in places]

    def vectors_of(
        self, ids: Sequence[str], fetch: Callable[[Sequence[Any]], Iterable[Row]]
    ) -> tuple[list[str], Vectors]:
        """Return those of these ids that are there, and their vectors.

        Args:
            ids: of records.
            fetch: reads the rows with some keys, where vectors are not in memory.
        """
        places = self.places(ids)
        if self.vectors is not None:
            return [self.ids[place] for place in places], self.vectors[places]
        parts: list[Vectors] = [np.empty((0, self._dimension), np.float32)]
        there: list[str] = []
        for some in chunks(places, _TOGETHER):
            rows = list(fetch([self.keys[place] for place in some]))
            wanted = {self.ids[place] for place in some}
            read = read_vectors([row[1] for row in rows], self._written, self._dimension)
            first: dict[str, int] = {}
            for at, number in enumerate(read.rows):
                identity = str(row_id(rows[number][0]))
                if identity in wanted:  # to the database other keys may be equal: in any case, say
                    first.setdefault(identity, at)  # of rows of one id
            there += first
            parts.append(read.vectors[list(first.values())])
        return there, np.concatenate(parts)

    def nearest(
        self, queries: Vectors, query: Query, fetch: Callable[[Sequence[Any]], Iterable[Row]]
    ) -> list[list[tuple[str, float]]]:
        """Return ids and exact similarities of the nearest neighbours of each query.

        Args:
            queries: float32 of shape (queries, dimension), each row of length 1.
            query: what else is asked.
            fetch: see `vectors_of`.
        """
        places = self.matching(query.where, query.having)
        ids = self.ids if places is None else [self.ids[place] for place in places]
        if self.vectors is None:
            size = max(1, _BLOCK_BYTES // (4 * self._dimension))
            blocks = (self.vectors_of(some, fetch) for some in chunks(ids, size))
            return nearest_of_blocks(queries, query.k, blocks, query.exclude)
        k, vectors, among = max(1, min(query.k, len(ids))), self.vectors, None
        if places is not None and len(places) < _FEW * len(self.ids):
            vectors = vectors[places]
        elif places is not None:
            ids, among = self.ids, np.zeros(len(self.ids), bool)
            among[places] = True
        left_out = None if query.exclude is None else [rows_of(ids, some) for some in query.exclude]
        rows, similarities = nearest_rows(queries, vectors, k, left_out, among)
        return [
            [(ids[row], value) for row, value in zip(some, values, strict=True) if row >= 0]
            for some, values in zip(rows.tolist(), similarities.tolist(), strict=True)
        ]


def version_of(vector: Vectors) -> int:
    """Return a number that is another whenever the vector is, of 63 bits: every database can hold it."""
    return int.from_bytes(content_checksum(vector.tobytes()), "big") >> 1


def keep_rows(
    batches: Iterable[Sequence[Row]],
    make: Callable[[str, Row, Vectors], ForeignRow],
    *,
    state: Hashable | None,
    written: Written,
    dimension: int,
) -> KeptRows:
    """Return the records among the rows of a table, and what is to be told of the others.

    Args:
        batches: all of its rows, in parts.
        make: the row of a record, of its id, what was read, and its vector.
        state: of the table.
        written: how its vectors are written.
        dimension: that they must have.
    """
    counts, remarks = Counts(), Counts()
    seen: set[str] = set()
    keys: list[Any] = []
    rows: list[ForeignRow] = []
    parts: list[Vectors] = []
    room, total = kept_bytes(), 0
    for some in batches:
        read = read_vectors([row[1] for row in some], written, dimension)
        for number, reason in read.reasons.items():
            counts.add(reason, some[number][0])
        kept = []
        for at, number in enumerate(read.rows):
            identity = row_id(some[number][0])
            if identity is None or identity in seen:
                counts.add(NO_ID if identity is None else SAME_ID, some[number][0])
                continue
            seen.add(identity)
            kept.append(at)
            keys.append(some[number][0])
            rows.append(make(identity, some[number], read.vectors[at]))
        there = {read.rows[at] for at in kept}
        for number in read.not_unit:
            if number in there:
                remarks.add(NOT_UNIT, some[number][0])
        total += len(kept)
        if 4 * dimension * total <= room:
            parts.append(read.vectors[kept])
        else:
            parts.clear()
    order = sorted(range(len(rows)), key=lambda place: rows[place].id)
    fits = 4 * dimension * total <= room
    empty = np.empty((0, dimension), np.float32)
    return KeptRows(
        state,
        [rows[place].id for place in order],
        [keys[place] for place in order],
        [rows[place] for place in order],
        np.concatenate([empty, *parts])[np.array(order, np.intp)] if fits else None,
        Tally(len(rows), counts.told(), remarks.told()),
        written,
        dimension,
    )
