"""The records of a collection in an order that people look through: any part of it is read at once.

The order is worked out in one pass over the labels, which reads no vector: 1.5 s of one core for 100,000
records in SQLite. It is kept as a list of ids with what they are ordered by, 0.2 kB a record; a change of a
few records is put into it without another pass.
"""

from __future__ import annotations

import math
from bisect import insort
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from lookalike.errors import InvalidArgument, Unanswerable
from lookalike.evaluation.judgement import SAMPLED_IMAGES, JudgeOptions, open_judgement
from lookalike.label_normalisation import kept_filter, kept_name
from lookalike.metric_learning.corrections import marks_of
from lookalike.search.neighbours import answerable
from lookalike.stores.batches import SCAN_BATCH
from lookalike.stores.verification import fields_match
from lookalike.uris import split_frame
from lookalike.vectors.vote import label_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lookalike.embedders.models import Models
    from lookalike.evaluation.judgement import Judgement
    from lookalike.metric_learning.spaces import Spaces
    from lookalike.progress import Progress
    from lookalike.stores.store import Store
    from lookalike.types import Record, Scalar, Where

Order = Literal["id", "label", "time", "newest", "uncertain"]
"""By id; by the value of a field; by when the picture was taken, the earliest first; by when its file was
written, the latest first; by the confidence of its held-out answer, the least first."""

_Key: TypeAlias = "tuple[object, ...]"
# What has nothing to be ordered by comes last.
_LAST: _Key = (math.inf,)


@dataclass(frozen=True, slots=True)
class ListingOptions:
    """What is listed, and in which order."""

    order: Order = "id"
    by: str | None = None
    """The field that holds the label, for `label` and `uncertain`."""
    where: Where | None = None
    """Only records that match."""


@dataclass(frozen=True, slots=True)
class Group:
    """Records of one label, which follow each other in the order `label`."""

    value: Scalar | None
    """None: they have none."""
    start: int
    """The place of the first, from 0."""
    count: int


@dataclass(frozen=True, slots=True)
class Listing:
    """The records of a collection in an order."""

    store: Store
    name: str
    """The collection."""
    options: ListingOptions
    """With the names of fields as the collection has them."""
    entries: tuple[tuple[_Key, str], ...]
    """What each record is ordered by, and its id; sorted, so records that are alike are in order of id."""
    values: Mapping[_Key, Scalar]
    """In the order `label`, the label of each key."""
    judgement: Judgement | None = None
    """In the order `uncertain`."""

    def __len__(self) -> int:
        return len(self.entries)

    def ids(self, start: int = 0, count: int | None = None) -> list[str]:
        """Return ids in order.

        Args:
            start: places to pass over, at least 0.
            count: ids at most; None: all that follow.
        """
        end = None if count is None else start + count
        return [identity for _, identity in self.entries[start:end]]

    def read(self, start: int = 0, count: int = SCAN_BATCH) -> list[Record]:
        """Return records in order, as they are now, without those that were removed since it was made.

        Args:
            start: places to pass over, at least 0.
            count: records at most.
        """
        return self.store.get(self.name, self.ids(start, count))

    @property
    def groups(self) -> list[Group]:
        """Where each label begins, and how many records have it, in the order `label`; else none."""
        if self.options.order != "label":
            return []
        found, start = [], 0
        for key, some in groupby(self.entries, lambda entry: entry[0]):
            count = sum(1 for _ in some)
            found.append(Group(self.values.get(key), start, count))
            start += count
        return found

    def confidence(self, ids: Sequence[str]) -> list[float | None]:
        """Return how sure held-out answers were, 0 … 1; None where none was judged, or in another order."""
        if self.judgement is None:
            return [None] * len(ids)
        return [None if math.isnan(one) else float(one) for one in self.judgement.confidence(ids)]

    @staticmethod
    def times(records: Sequence[Record]) -> list[float | None]:
        """Return when each picture was taken, in seconds since 1970: see `moment`."""
        return list(map(moment, records))

    def changed(self, ids: Sequence[str]) -> Listing:
        """Return the listing with some records as they are now: those that came, changed or were removed.

        How sure an answer was stays as it was judged.
        """
        records = {
            record.id: record
            for record in self.store.get(self.name, ids)
            if fields_match(record.fields, self.options.where)
        }
        touched = set(ids)
        entries = [entry for entry in self.entries if entry[1] not in touched]
        values = dict(self.values)
        keys = _keys(self.options, list(records.values()), self.judgement, values)
        for key, identity in zip(keys, records, strict=True):
            insort(entries, (key, identity))
        return replace(self, entries=tuple(entries), values=values)


def list_records(
    spaces: Spaces, models: Models, name: str, options: ListingOptions, progress: Progress
) -> Listing:
    """Put the records of a collection in order.

    Args:
        spaces: of the store with the collection.
        models: with the cache folder, where judgements are kept.
        name: the collection.
        options: what is listed.
        progress: for the order `uncertain`, while the collection is judged: see `open_judgement`.

    Raises:
        InvalidArgument: no such order, or it needs a field.
        FieldNotFound: no record has the field, or one of `where`.
        Unanswerable: the collection cannot be judged, or has too many records to judge them unasked.
    """
    if options.order not in get_args(Order):
        raise InvalidArgument(f"no order {options.order!r}: {', '.join(get_args(Order))}")
    if options.by is None and options.order in ("label", "uncertain"):
        raise InvalidArgument(f"the order {options.order!r} is by a field: name it")
    store = spaces.store
    collection = store.collection(name)
    by = None if options.by is None else kept_name(options.by, collection)
    options = replace(options, by=by, where=kept_filter(options.where, collection) or None)
    if not collection.count:
        return Listing(store, collection.name, options, (), {})
    answerable(store, collection.name, options.where, *([] if by is None else [by]))
    judgement = None
    if options.order == "uncertain" and by is not None:
        judgement = open_judgement(
            spaces, models, collection, JudgeOptions(by), refresh=False, asked=False, progress=progress
        )
        if judgement is None:
            raise Unanswerable(
                f"{collection.count:,} images are judged only where that is asked for (more than "
                f"{SAMPLED_IMAGES:,}): `lookalike classify IMAGE --by {by} --refresh` does it once"
            )
    values: dict[_Key, Scalar] = {}
    entries: list[tuple[_Key, str]] = []
    for records in store.scan_records(collection.name, options.where):
        keys = _keys(options, records, judgement, values)
        entries += zip(keys, [record.id for record in records], strict=True)
    entries.sort()
    return Listing(store, collection.name, options, tuple(entries), values, judgement)


def moment(record: Record) -> float | None:
    """Return when a picture was taken, in seconds since 1970; None where nothing tells.

    It is what the picture says of itself, else the time of its file; a frame follows its film's. A camera
    names no time zone, so its time is taken for UTC.
    """
    taken = marks_of(record).captured.get("time")
    if taken is not None:
        try:
            said = datetime.fromisoformat(taken)
        except ValueError:
            pass
        else:
            return (said if said.tzinfo else said.replace(tzinfo=UTC)).timestamp()
    return _written(record)


def _written(record: Record) -> float | None:
    """Return when the file of a record was written.

    None of an object, whose stamp is no time, and of a file that nobody looked at: of imported vectors, or of
    a row of others, whose stamp is the version of its vector.
    """
    if record.modified_ns < 0 or not record.size:
        return None
    frame = split_frame(record.uri)
    return record.modified_ns / 1e9 + (0.0 if frame is None else float(frame[1]))


def _keys(
    options: ListingOptions,
    records: Sequence[Record],
    judgement: Judgement | None,
    values: dict[_Key, Scalar],
) -> list[_Key]:
    """Return what each record is ordered by; labels are noted in `values`."""
    if judgement is not None:
        sure = judgement.confidence([record.id for record in records])
        return [_LAST if math.isnan(one) else (float(one),) for one in sure]
    return [_KEYS[options.order](record, options.by or "", values) for record in records]


def _by_label(record: Record, by: str, values: dict[_Key, Scalar]) -> _Key:
    if by not in record.fields:
        return _LAST
    key = label_key(record.fields[by])
    values.setdefault(key, record.fields[by])
    return key


def _by_time(record: Record, _by: str, _values: dict[_Key, Scalar]) -> _Key:
    taken = moment(record)
    return _LAST if taken is None else (taken,)


def _by_newest(record: Record, _by: str, _values: dict[_Key, Scalar]) -> _Key:
    written = _written(record)
    return _LAST if written is None else (-written,)


_KEYS: dict[str, Callable[[Record, str, dict[_Key, Scalar]], _Key]] = {
    "id": lambda _record, _by, _values: (),
    "label": _by_label,
    "time": _by_time,
    "newest": _by_newest,
}
