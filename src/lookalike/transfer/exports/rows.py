"""The rows of a collection as an export has them: records, their vectors, and what was predicted of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from lookalike.errors import ImageNotFound, InvalidArgument
from lookalike.label_normalisation import check_fields, kept_filter
from lookalike.progress import silent
from lookalike.stores.batches import SCAN_BATCH, chunks
from lookalike.stores.stored import readable_path
from lookalike.uris import uri_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lookalike.metric_learning.spaces import Spaces
    from lookalike.progress import Progress
    from lookalike.stores.store import Store
    from lookalike.transfer.exports.predictions import Predictions
    from lookalike.types import CollectionInfo, Record, VectorInfo, Vectors, Where


class Batch(NamedTuple):
    """Some rows."""

    records: list[Record]
    vectors: dict[str, Vectors]
    """By the names of the vectors: float32 of shape (records, dimension), each row of length 1."""


@dataclass(slots=True)
class Rows:
    """The records of a collection that match, in order of id, read a thousand at a time."""

    store: Store
    collection: CollectionInfo
    where: Where | None = None
    """Its names of fields as the collection has them."""
    vectors: tuple[VectorInfo, ...] = ()
    """Those that are wanted; none: no vector is read."""
    predictions: Predictions | None = None
    progress: Progress = silent
    name_of: Callable[[Record], str] | None = None
    """What a record is called where nobody is to learn where its file lies; None: by path and URI."""
    ids: tuple[str, ...] | None = None
    """Only these records, in this order."""
    read: int = 0
    """Records that the last reading to the end had."""

    @classmethod
    def of(
        cls,
        spaces: Spaces,
        name: str,
        where: Where | None,
        *,
        vectors: bool,
        ids: Sequence[str] | None = None,
    ) -> Rows:
        """Return the rows of a collection.

        Args:
            spaces: of the store with the collection.
            name: the collection.
            where: only records that match, the fields as people write them.
            vectors: whether all vectors that are ready are read.
            ids: only these records, in this order.

        Raises:
            CollectionNotFound: there is none of that name.
            FieldNotFound: no record has a field of `where`.
            ImageNotFound: no record has one of the ids.
            InvalidArgument: both a filter and ids.
        """
        collection = spaces.store.collection(name)
        check_fields(where or (), collection)
        if ids is not None:
            if where:
                raise InvalidArgument("a filter, or ids: both at once are not taken")
            there = {record.id for record in spaces.store.get(collection.name, ids)}
            for one in ids:
                if one not in there:
                    raise ImageNotFound(collection.name, one)
        wanted = tuple(each for each in collection.vectors if each.ready) if vectors else ()
        only = None if ids is None else tuple(dict.fromkeys(ids))
        return cls(spaces.store, collection, kept_filter(where, collection), wanted, ids=only)

    def with_predictions(self, predictions: Predictions | None, progress: Progress) -> Rows:
        """Return the rows with what was predicted of them.

        Args:
            predictions: None: nothing was.
            progress: called with records read and records in the collection.
        """
        return replace(self, predictions=predictions, progress=progress)

    def records(self) -> Iterator[list[Record]]:
        """Yield the records, without vectors."""
        for batch in self._batches(()):
            yield batch.records

    def batches(self) -> Iterator[Batch]:
        """Yield the rows.

        Raises:
            VectorNotFound: a vector is dropped meanwhile.
        """
        return self._batches(self.vectors)

    def _batches(self, vectors: tuple[VectorInfo, ...]) -> Iterator[Batch]:
        name = self.collection.name
        self.read = 0
        found: Iterator[Batch]
        if self.ids is not None:
            found = (self._some(some, vectors) for some in chunks(self.ids, SCAN_BATCH))
        elif vectors:
            spaces = [each.space for each in vectors]
            scanned = self.store.scan_vectors(name, self.where, spaces=spaces)
            found = (
                Batch(records, {each.name: rows[each.space] for each in vectors}) for records, rows in scanned
            )
        else:
            found = (Batch(records, {}) for records in self.store.scan_records(name, self.where))
        for batch in found:
            yield batch
            self.read += len(batch.records)
            self.progress(self.read, max(self.read, self.collection.count))

    def _some(self, ids: Sequence[str], vectors: tuple[VectorInfo, ...]) -> Batch:
        """Return the records with these ids, in that order, without those that are gone."""
        name = self.collection.name
        if not vectors:
            return Batch(self.store.get(name, ids), {})
        records, rows = self.store.vectors_of(name, ids)
        places = {record.id: place for place, record in enumerate(records)}
        order = [places[one] for one in ids if one in places]
        return Batch(
            [records[place] for place in order], {each.name: rows[each.space][order] for each in vectors}
        )

    def own_values(self, record: Record) -> Mapping[str, str | int]:
        """Return what the columns have of a record that are neither of fields nor of metadata."""
        if self.name_of is not None:
            return {"id": record.id, "name": self.name_of(record)}
        return own_values(record)


def own_values(record: Record) -> Mapping[str, str | int]:
    """Return what the columns of `columns.OWN` have of a record, but for its metadata."""
    path = readable_path(record.uri)
    return {
        "id": record.id,
        "uri": record.uri,
        "path": uri_text(record.uri) if path is None else path,
        "digest": record.digest,
        "size": record.size,
        "modified_ns": record.modified_ns,
    }
