"""The votes of held-out answers in compact form: ids and numbers, no records.

Images are shown as they are when they are looked at; one that was removed since is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lookalike.types import Neighbour
from lookalike.vectors.vote import label_key, label_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from lookalike.schemas.values import Hit
    from lookalike.server.service import Service
    from lookalike.types import Record, Scalar
    from lookalike.vectors.nearest import Rows, Similarities

    Places = NDArray[np.int32]

MOST_NEIGHBOURS = 50
"""Neighbours that are kept of each image, the most similar ones."""


class Ids:
    """A list of record ids in one piece of memory, each with 8 bytes beside its own."""

    def __init__(self, ids: Iterable[str]) -> None:
        """Keep ids."""
        parts = [each.encode() for each in ids]
        self._ends = np.cumsum([0, *map(len, parts)], dtype=np.int64)
        self._bytes = b"".join(parts)

    def __getitem__(self, place: int) -> str:
        if not 0 <= place < len(self._ends) - 1:
            raise IndexError(place)
        return self._bytes[self._ends[place] : self._ends[place + 1]].decode()

    def first(self, most: int) -> list[str]:
        """Return the first of them."""
        return [self[place] for place in range(min(most, len(self._ends) - 1))]


@dataclass(frozen=True, slots=True)
class Votes:
    """The neighbours that voted on n images, as places in a list of ids."""

    ids: Ids
    rows: Places
    """(n,): the images."""
    neighbours: Places
    """(n, m): those that voted, most similar first; the rest is −1."""
    similarities: Similarities
    """(n, m): theirs."""

    @classmethod
    def of(cls, ids: Ids, rows: Rows, neighbours: Rows, similarities: Similarities) -> Votes:
        """Keep votes, of each image the `MOST_NEIGHBOURS` most similar ones."""
        most = slice(0, MOST_NEIGHBOURS)
        return cls(
            ids,
            rows.astype(np.int32),
            neighbours[:, most].astype(np.int32),
            np.ascontiguousarray(similarities[:, most]),
        )

    def on(self, places: Sequence[int]) -> list[str]:
        """Return the ids of some of the images, and of all that voted on them."""
        some = np.concatenate([self.rows[places], self.neighbours[places].ravel()])
        return [self.ids[row] for row in np.unique(some[some >= 0]).tolist()]

    def changed(
        self, place: int, records: Mapping[str, Record], by: str, before: Mapping[int, Scalar]
    ) -> list[Neighbour] | None:
        """Return those that voted on an image as they are now; None where they have the labels that they had.

        Args:
            place: of the image.
            records: as they are now, by id; one that is missing is gone.
            by: the field that holds the label.
            before: the labels that images had, by their places in the list of ids.
        """
        found, same = [], True
        pairs = zip(self.neighbours[place].tolist(), self.similarities[place].tolist(), strict=True)
        for row, similarity in pairs:
            if row < 0:
                continue
            record = records.get(self.ids[row])
            if record is not None:
                found.append(Neighbour(record, similarity))
            now = None if record is None else label_of(record, by)
            if row in before and (now is None or label_key(now) != label_key(before[row])):
                same = False
        return None if same else found

    def image(self, place: int) -> str:
        """Return the id of an image."""
        return self.ids[int(self.rows[place])]

    def hits(self, service: Service, place: int, records: dict[str, Record]) -> list[Hit]:
        """Return those that voted on an image, as a client sees them, without those that are gone.

        Args:
            service: that shows them.
            place: of the image.
            records: by id, as `read_records` has them.
        """
        pairs = zip(self.neighbours[place].tolist(), self.similarities[place].tolist(), strict=True)
        return service.neighbours(
            [
                Neighbour(record, similarity)
                for row, similarity in pairs
                if row >= 0 and (record := records.get(self.ids[row])) is not None
            ]
        )


def read_records(service: Service, collection: str, ids: Iterable[str]) -> dict[str, Record]:
    """Return the records of a collection with some ids, by id; blocks.

    Raises:
        CollectionNotFound: the collection is gone, or is not served any more.
    """
    wanted = list(dict.fromkeys(ids))
    name = service.collection(collection).name
    return {record.id: record for record in service.database[name].records.get(wanted)}
