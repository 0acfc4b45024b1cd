"""Records as they were, so that what is done to them next can be undone: fields, metadata and vectors."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from lookalike.errors import SpaceMismatch
from lookalike.ingest.record_writer import RecordWriter
from lookalike.types import PLAIN_METRIC, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lookalike.stores.store import Store
    from lookalike.types import Space, Vectors

_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Some records of a collection as they were, and which of them were not there."""

    collection: str
    ids: tuple[str, ...]
    """That were asked for, without those that are damaged."""
    records: Mapping[str, Record]
    """By id; of ids that are not among them there was no record."""
    vectors: Mapping[Space, Vectors] | None = field(repr=False)
    """Of each space that was ready, float32 of shape (records, dimension), by rising id; None where labels
    alone were read."""

    def labels_of(self, ids: Iterable[str]) -> Snapshot:
        """Return the labels of some of the records alone."""
        records = {one: self.records[one] for one in ids}
        return Snapshot(self.collection, tuple(records), records, None)

    def nbytes(self, others: Iterable[Record] = ()) -> int:
        """Return the bytes that vectors and records take in memory.

        Args:
            others: records that are kept beside these; what they share is counted once.
        """
        rows = 0 if self.vectors is None else sum(each.nbytes for each in self.vectors.values())
        return rows + _held_bytes([self.ids, dict(self.records), *others])


class Restored(NamedTuple):
    """What became of records that were to be as they were."""

    restored: int
    left: int
    """Records that somebody else has changed since, and that stay as they are now."""


def _held_bytes(values: list[object]) -> int:
    """Return the bytes of values and of all that is in them, each object once."""
    seen: set[int] = set()
    count = 0
    while values:
        one = values.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        count += sys.getsizeof(one)
        if isinstance(one, dict):
            values += one
            values += one.values()
        elif isinstance(one, list | tuple):
            values += one
        elif isinstance(one, Record):
            values += (one.id, one.uri, one.digest, one.fields, one.metadata, one.size, one.modified_ns)
    return count


def take_snapshot(store: Store, name: str, ids: Iterable[str], *, labels_only: bool = False) -> Snapshot:
    """Read records as they are.

    Args:
        store: where the collection lives.
        name: the collection.
        ids: of records that are there, or not.
        labels_only: read no vectors: enough to undo what is done to fields and metadata.
    """
    wanted = tuple(dict.fromkeys(ids))
    if labels_only:
        return Snapshot(name, wanted, {one.id: one for one in store.get(name, wanted)}, None)
    records, vectors = store.vectors_of(name, wanted)
    sound = {one.id: one for one in records}
    # One that is there and damaged is not to be taken for one that was not.
    damaged = {one.id for one in store.get(name, [each for each in wanted if each not in sound])}
    return Snapshot(name, tuple(each for each in wanted if each not in damaged), sound, vectors)


def restore_snapshot(store: Store, snapshot: Snapshot, since: Mapping[str, Record] | None = None) -> Restored:
    """Make records as they were: put back those that are gone, remove those that came, give back labels.

    Vectors come back bit for bit; where the collection has got or lost some since, they are made of others.

    Args:
        store: where the collection lives.
        snapshot: taken before.
        since: the records as they were left by what is undone, by id; of ids that are not among them it left
            none. What is otherwise now stays. None: whatever they are now.

    Raises:
        CollectionNotFound: it was deleted since.
        SpaceMismatch: it has got vectors of another model since, and records are gone: index them again.
    """
    name = snapshot.collection
    now = {one.id: one for one in store.get(name, snapshot.ids)}
    agreed = [one for one in snapshot.ids if since is None or now.get(one) == since.get(one)]
    among, ids = set(agreed), sorted(snapshot.records)
    rows = [
        row
        for row, one in enumerate(ids)
        if one in among and (one not in now or _file(now[one]) != _file(snapshot.records[one]))
    ]
    lost = {ids[row] for row in rows}
    for start in range(0, len(rows), _BATCH):
        some = rows[start : start + _BATCH]
        if snapshot.vectors is not None:
            _put(store, name, [snapshot.records[ids[row]] for row in some], snapshot.vectors, some)
    kept = [snapshot.records[one] for one in agreed if one in now and one in snapshot.records]
    relabelled = [
        (one.id, one.fields, one.metadata) for one in kept if one.id not in lost and one != now[one.id]
    ]
    for start in range(0, len(relabelled), _BATCH):
        store.relabel(name, relabelled[start : start + _BATCH])
    came = [one for one in agreed if one in now and one not in snapshot.records]
    store.remove(name, came)
    unfit = lost if snapshot.vectors is None else set[str]()
    left = len(snapshot.ids) - len(agreed) + len(unfit)
    return Restored(len(lost - unfit) + len(relabelled) + len(came), left)


def _file(record: Record) -> tuple[str, str, int, int]:
    return record.uri, record.digest, record.size, record.modified_ns


def _put(
    store: Store, name: str, records: Sequence[Record], vectors: Mapping[Space, Vectors], rows: list[int]
) -> None:
    given = {space: numbers[rows] for space, numbers in vectors.items()}
    try:
        store.put(name, records, given)
    except SpaceMismatch:  # fitted, or a fit undone, since
        plain = {
            space.embedder_fingerprint: numbers
            for space, numbers in given.items()
            if space.metric_fingerprint == PLAIN_METRIC
        }
        RecordWriter(store, name).put(records, plain)
