"""Fitted collections: their names, and what is kept of the fit.

A collection that was fitted is two: `NAME` holds the vectors that went through the fitted metric, and
`NAME-unfitted` the plain ones they were made of. While a fit runs, its vectors are in `NAME-fitting`; then
names are exchanged, in one transaction of the store.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lookalike.checksums import CHECKSUM_BYTES, content_checksum
from lookalike.errors import CollectionNotFound, InvalidArgument, SpaceMismatch, StoreCorrupt
from lookalike.progress import silent
from lookalike.stores.checks import NAME_LENGTH, same_name
from lookalike.types import PLAIN_METRIC
from lookalike.vectors.metric import FittedMetric
from lookalike.vectors.vote import label_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lookalike.evaluation.fold_predictor import Fit
    from lookalike.progress import Progress
    from lookalike.stores.store import Store
    from lookalike.types import CollectionInfo, Record, Vectors, Where
    from lookalike.vectors.vote import Codes

UNFITTED = "-unfitted"
"""What ends the name of the plain side."""
FITTING = "-fitting"
"""What ends the name of the collection that a fit is building."""

# Whoever changes what `fit_metric` makes of the same images changes this.
_LESSON = "fit 1"


@dataclass(frozen=True, slots=True)
class Fitting:
    """A fitted metric, and what it was fitted to: kept by the store beside the fitted side."""

    metric: FittedMetric
    by: str
    """The field whose labels it learned."""
    at: str
    """When, in ISO 8601, to the second, in UTC."""
    images: int
    """Images that it learned from: those with the label."""
    classes: int
    digests: frozenset[str]
    """SHA-256 of all images that were in the collection, with or without the label."""
    lesson: str = ""
    """A digest of the images and labels that it learned from, see `lesson_of`."""

    def to_bytes(self) -> bytes:
        """Return it as bytes: one line of JSON, those of the metric, and the checksum of both."""
        facts = {
            "by": self.by,
            "at": self.at,
            "images": self.images,
            "classes": self.classes,
            "digests": sorted(self.digests),
            "lesson": self.lesson,
        }
        content = json.dumps(facts).encode() + b"\n" + self.metric.to_bytes()
        return content + content_checksum(content)

    @classmethod
    def from_bytes(cls, data: bytes) -> Fitting:
        """Return what `to_bytes` made the bytes of.

        Raises:
            ValueError: the bytes are not those, or the first line is damaged.
            InvalidArgument: the metric is damaged.
        """
        content, checksum = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
        if content_checksum(content) != checksum:
            raise ValueError("its checksum differs")
        line, _, metric = content.partition(b"\n")
        facts = json.loads(line)
        try:
            facts["digests"] = frozenset(facts["digests"])
            return cls(FittedMetric.from_bytes(metric), **facts)
        except (KeyError, TypeError) as error:
            raise ValueError(f"the first line is no fit: {error}") from error


def lesson_of(records: Iterable[Record], by: str) -> str:
    """Return a digest of what a metric learns from, 64 hexadecimal digits: images with their labels.

    Args:
        records: those it learns from, in any order.
        by: the field that holds the label.
    """
    lines = sorted(f"{record.digest} {label_key(record.fields[by])!r}" for record in records)
    return hashlib.sha256("\n".join((_LESSON, by, *lines)).encode("utf-8", "surrogatepass")).hexdigest()


def is_fitted(collection: CollectionInfo) -> bool:
    """Tell whether the vectors of a collection went through a fitted metric."""
    return collection.space.metric_fingerprint != PLAIN_METRIC


def plain_name(collection: CollectionInfo) -> str:
    """Return the name under which the plain vectors of a collection are."""
    return collection.name + UNFITTED if is_fitted(collection) else collection.name


def fitting_of(store: Store, collection: CollectionInfo) -> Fitting:
    """Return the fit that the vectors of a fitted collection went through.

    Raises:
        StoreCorrupt: it does not read.
        SpaceMismatch: the collection is no longer of that space.
    """
    data = store.metric(collection.name)
    now = store.collection(collection.name)
    if now.space != collection.space:
        raise SpaceMismatch(collection.name, str(now.space), str(collection.space))
    try:
        fitting = Fitting.from_bytes(data or b"")
    except (ValueError, InvalidArgument) as error:
        reason = f"is damaged: the metric of {collection.name} does not read: {error}"
        raise StoreCorrupt(store.url, reason) from error
    if fitting.metric.fingerprint != collection.space.metric_fingerprint:
        raise StoreCorrupt(store.url, f"is damaged: {collection.name} has the metric of another collection")
    return fitting


def refit_with(groups: Sequence[slice], beat: Callable[[], None] = lambda: None) -> Fit:
    """Return what fits a metric to some images of a collection as `fit` would, for `held_out`.

    Args:
        groups: as for `fit_metric`.
        beat: as for `fit_metric`.
    """
    # SciPy takes long to import, and only a fit needs it.
    from lookalike.vectors.metric import fit_metric

    def refit(vectors: Vectors, codes: Codes, lots: Codes) -> FittedMetric:
        return fit_metric(vectors, codes, groups=groups or None, lots=lots, beat=beat)

    return refit


# Readings that may come back shorter than the collection was, before others are taken to delete from it.
_TRIES = 5


def read(
    store: Store, name: str, where: Where | None = None, progress: Progress = silent
) -> tuple[list[Record], Vectors]:
    """Return all matching records of a collection and their vectors, in order of id.

    Memory: twice the vectors, for a moment. `progress` is called with records read and records to read.
    """
    records: list[Record] = []
    collection = store.collection(name)
    blocks = [np.empty((0, collection.space.dimension), np.float32)]
    for batch, rows in store.scan(name, where):
        records += batch
        blocks.append(rows)
        progress(min(len(records), collection.count), collection.count)
    # Where names were exchanged since, what was read says how many dimensions there are.
    return records, np.concatenate(blocks[1:] or blocks)


def read_plain(store: Store, name: str, progress: Progress = silent) -> tuple[list[Record], Vectors]:
    """Return all records of a collection and their plain vectors, in order of id, fitted or not.

    `progress` is told as by `read`; once more from the beginning where the collection is fitted meanwhile.
    """
    tries = _TRIES
    while True:
        collection = store.collection(name)
        found = None
        try:
            plain = store.collection(plain_name(collection))
            found = read(store, plain.name, None, progress)
        except CollectionNotFound:
            if store.collection(name).space == collection.space:
                raise
        # Else a fit or an undo has exchanged the names meanwhile.
        if found is not None and store.collection(name).space == collection.space:
            # Twice, perhaps: what was read then is gone by half, or of another space. Where records do
            # disappear, they are not waited for.
            tries -= 1
            whole = len(found[0]) + len(store.damage.ids(plain.name)) >= plain.count
            if found[1].shape[1] == plain.space.dimension and (whole or tries <= 0):
                return found


def refuse_side(store: Store, name: str) -> None:
    """Refuse a name that is the side of a fitted collection, or what an interrupted fit left.

    Raises:
        InvalidArgument: it is one.
    """
    collections = {same_name(collection.name): collection for collection in store.collections()}
    for collection in collections.values():
        if is_fitted(collection) and same_name(collection.name + UNFITTED) == same_name(name):
            raise InvalidArgument(
                f"{name!r} holds the plain vectors of {collection.name!r} and follows it: "
                f"name {collection.name!r} instead"
            )
        if same_name(collection.name + FITTING) == same_name(name) and _is_leftover(store, name):
            raise InvalidArgument(
                f"{name!r} is what a fit of {collection.name!r} is building or has left: "
                f"name {collection.name!r} instead"
            )


def remove_leftover(store: Store, name: str) -> None:
    """Delete what a fit of `name` that was killed has left.

    Raises:
        InvalidArgument: a collection that is no such leftover has its name.
    """
    with suppress(CollectionNotFound):
        building = store.collection(name + FITTING)
        if not _is_leftover(store, building.name):
            raise InvalidArgument(
                f"collection {building.name!r} has the name that a fit needs for a while: delete it first"
            )
        store.delete(building.name)


def check_free(store: Store, name: str) -> None:
    """Refuse to fit a collection whose plain side would have no name.

    Raises:
        InvalidArgument: the name would be too long, or another collection has it.
    """
    if len(name + UNFITTED) > NAME_LENGTH:
        raise InvalidArgument(
            f"{name!r} is too long a name for a collection to be fitted: {NAME_LENGTH - len(UNFITTED)} "
            f"characters, so that {UNFITTED!r} can follow"
        )
    with suppress(CollectionNotFound):
        taken = store.collection(name + UNFITTED)
        raise InvalidArgument(
            f"collection {taken.name!r} has the name that the plain vectors of {name!r} would get: "
            f"delete it first"
        )


def _is_leftover(store: Store, name: str) -> bool:
    """Tell whether a collection is fitted and has no plain side, as only an unfinished fit leaves it."""
    try:
        if not is_fitted(store.collection(name)):
            return False
        store.collection(name + UNFITTED)
    except CollectionNotFound:
        return True
    return False
