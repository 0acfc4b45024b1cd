"""Fitted vectors: the fit that they went through, and the plain vectors that they were made of.

A fit gives each record of a collection a further vector, `fitted`, made of one that it has: features that
were only normalised. The collection declares both; the fitted one is then its default.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lookalike.checksums import CHECKSUM_BYTES, content_checksum
from lookalike.errors import InvalidArgument, SpaceMismatch, StoreCorrupt
from lookalike.memory import check_fits
from lookalike.progress import silent
from lookalike.vectors.dual_metric import DualMetric
from lookalike.vectors.metric import FittedMetric, fit_metric
from lookalike.vectors.vote import label_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lookalike.progress import Progress
    from lookalike.stores.store import Store
    from lookalike.types import CollectionInfo, Record, VectorInfo, Vectors, Where
    from lookalike.vectors.metric import Fit, Metric
    from lookalike.vectors.vote import Codes

FITTED = "fitted"
"""The name of the vector that a fit makes."""

# Whoever changes what `fit_metric` makes of the same images changes this.
_LESSON = "fit 1"


@dataclass(frozen=True, slots=True)
class Fitting:
    """A fitted metric, and what it was fitted to: kept beside the vectors that went through it."""

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


def plain_vector(collection: CollectionInfo, using: str | None = None) -> VectorInfo:
    """Return the vector that one of a collection was made of: itself, unless it is fitted.

    Args:
        collection: as the store has it.
        using: the name of the vector, by default the default one.

    Raises:
        VectorNotFound: the collection has none of that name.
    """
    return plain_of(collection, collection.vector(using))


def plain_of(collection: CollectionInfo, vector: VectorInfo) -> VectorInfo:
    """Return the plain vector that a vector of a collection was made of: itself, unless it is fitted.

    Raises:
        SpaceMismatch: there is none.
    """
    if not vector.fitted:
        return vector
    for other in collection.vectors:
        same = other.space.embedder_fingerprint == vector.space.embedder_fingerprint
        if other.ready and not other.fitted and same:
            return other
    raise SpaceMismatch(collection.name, str(vector.space), "no plain vector of its model")


def fitting_of(store: Store, collection: CollectionInfo, vector: VectorInfo) -> Fitting | None:
    """Return the fit that a vector went through; None for a plain one.

    Args:
        store: where the collection lives.
        collection: as the store has it.
        vector: one of its own.

    Raises:
        StoreCorrupt: the fit does not read.
        SpaceMismatch: the collection has no longer a vector of that space.
    """
    if not vector.fitted:
        return None
    data = store.metric(collection.name, space=vector.space)
    try:
        fitting = Fitting.from_bytes(data or b"")
    except (ValueError, InvalidArgument) as error:
        reason = f"is damaged: the metric of {collection.name} does not read: {error}"
        raise StoreCorrupt(store.url, reason) from error
    if fitting.metric.fingerprint != vector.space.metric_fingerprint:
        raise StoreCorrupt(store.url, f"is damaged: {collection.name} has the metric of another collection")
    return fitting


def refit_with(groups: Sequence[slice], beat: Callable[[], None] = lambda: None) -> Fit:
    """Return what fits a metric to some images of a collection as `fit` would, for folds.

    Args:
        groups: as for `fit_metric`.
        beat: as for `fit_metric`.
    """

    def refit(vectors: Vectors, codes: Codes, lots: Codes) -> Metric:
        learn = DualMetric if len(vectors) <= vectors.shape[1] else fit_metric
        return learn(vectors, codes, groups=groups or None, lots=lots, beat=beat)

    return refit


def read(
    store: Store,
    collection: CollectionInfo,
    vector: VectorInfo,
    where: Where | None = None,
    progress: Progress = silent,
) -> tuple[list[Record], Vectors]:
    """Return all matching records of a collection and one vector of each, in order of id.

    Args:
        store: where the collection lives.
        collection: as the store has it.
        vector: one of its own.
        where: only records that match.
        progress: called with records read and records to read.

    Raises:
        MemoryTooSmall: they do not fit into memory, and a filter does not make them few.
    """
    if where is None:
        check_fits(collection.name, collection.count, vector.space.dimension)
    records: list[Record] = []
    # Room for all at once, instead of a list of parts that would have to be copied together.
    vectors = np.empty((collection.count if where is None else 0, vector.space.dimension), np.float32)
    for batch, rows in store.scan(collection.name, where, using=vector.name):
        end = len(records) + len(batch)
        if end > len(vectors):
            if where is not None:
                check_fits(collection.name, end, vector.space.dimension)
            more = max(end, len(vectors) + len(vectors) // 2) - len(vectors)
            vectors = np.concatenate([vectors, np.empty((more, vectors.shape[1]), np.float32)])
        vectors[len(records) : end] = rows
        records += batch
        progress(min(len(records), collection.count), collection.count)
    return records, vectors[: len(records)]
