"""Fitting: the labels of a collection become a metric, and its records get the vectors that went through it.

The new vector is declared first and given to the records in batches, beside readers and writers: whatever is
put from then on brings it along. When no record lacks it, it becomes the default in one step. Killed at any
moment, a fit leaves a collection that answers as before; the next fit, or the next `index`, goes on.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import (
    InvalidArgument,
    LookalikeError,
    Unanswerable,
    VectorIncomplete,
    VectorNotFound,
)
from lookalike.file_names import display
from lookalike.memory import fits
from lookalike.metric_learning.drawing import draw, vectors_of
from lookalike.metric_learning.fitted import (
    FITTED,
    Fitting,
    fitting_of,
    lesson_of,
    plain_vector,
    read,
)
from lookalike.metric_learning.locks import only_one
from lookalike.sources.film_groups import with_films_together
from lookalike.stores.recall import build_index_if_possible
from lookalike.vectors.exclusions import evaluable_rows
from lookalike.vectors.metric import fit_metric
from lookalike.vectors.near_duplicates import near_duplicate_groups
from lookalike.vectors.vote import encode, label_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from lookalike.stores.store import Store
    from lookalike.types import CollectionInfo, Record, Space, VectorInfo, Vectors
    from lookalike.vectors.exclusions import LeftOut
    from lookalike.vectors.metric import FittedMetric
    from lookalike.vectors.vote import Codes

LEARNED = 20_000
"""Images that a metric is fitted to where not all fit into memory: some 400 MB at 1,280 dimensions."""

# Records that get their vector at once.
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class FitReport:
    """What a fit learned from, and what came of it."""

    collection: str
    by: str
    images: int
    """Images that it learned from."""
    classes: int
    alone: int
    """Classes of a single image, of which nothing is learned but where they lie."""
    left_out: tuple[LeftOut, ...]
    """Images that it could not learn from, each with the reason."""
    dimension_in: int
    """Numbers in a plain vector."""
    dimension_out: int
    """Numbers in a fitted one."""
    fingerprint: str
    """Of the metric."""
    refit: bool
    """Whether the collection was fitted before."""
    unchanged: bool
    """Whether it was fitted to the same images and labels, so that nothing was done."""
    seconds: float
    drawn_from: int | None = None
    """Images with a label, of which it learned from some, drawn at random; None where it learned from all."""


def fit(
    store: Store,
    name: str,
    by: str,
    *,
    using: str | None = None,
    groups: Sequence[slice] = (),
    locks: Path,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> FitReport:
    """Fit a metric to the labels of a collection, and give each record the vector `fitted`, the new default.

    Memory: the plain vectors, and what `fit_metric` needs. Where they do not fit, it learns from `LEARNED`
    images, drawn at random, and the vectors of all go by in batches.

    Args:
        store: where the collection lives.
        name: the collection; one that is fitted is fitted anew, from its plain vectors.
        by: the field whose labels the metric learns.
        using: the vector that it is made of, by default the default one, or the one that was made of.
        groups: ranges of the plain vectors' columns that belong together, as the embedder's card has them.
        locks: a folder for the lock that keeps two fits apart, made if it is missing.
        progress: called with records written and records to write.

    Returns:
        What was fitted.

    Raises:
        CollectionNotFound, VectorNotFound, FieldNotFound: of the collection, of `using` or of `by`.
        Unanswerable: the collection is empty, or has too few labels or labelled images to learn from.
        StoreBusy: another fit of the collection is running.
        VectorIncomplete: records are damaged, and would lack the vector.
    """
    started = time.monotonic()
    name = store.collection(name).name
    with only_one(store, name, "fit", locks):
        collection = store.collection(name)
        plain = plain_vector(collection, using)
        before = _fitted_of(collection)
        drawn_from = None
        some = not fits(collection.count, plain.space.dimension)
        if some:
            labelled = store.scan_records(name)
            ids, drawn_from = draw(labelled, LEARNED, 0, lambda record: label_of(record, by) is not None)
            records, vectors = vectors_of(store, name, plain, ids)
        else:
            records, vectors = read(store, collection, plain)
        rows, codes, lots, left_out = learnable(records, vectors, by)
        alone = int((np.bincount(codes) == 1).sum())
        lesson = lesson_of((records[row] for row in rows), by)
        if before is not None and before.space.embedder_fingerprint == plain.space.embedder_fingerprint:
            known = fitting_of(store, collection, before)
            if known is not None and known.lesson == lesson:
                store.set_default(name, FITTED)
                told = _report(collection, plain, known, alone, left_out, started, unchanged=True)
                return replace(told, drawn_from=drawn_from)
        # Before the work: who is damaged could not get the vector, and then nobody could be asked by it.
        damaged = {each.id for each in store.damage.found(name)}.difference(each.id for each in records)
        if damaged and not some and len(records) < store.collection(name).count:
            raise VectorIncomplete(name, FITTED, len(damaged), damaged=True)
        learned = vectors if len(rows) == len(records) else vectors[rows]
        metric = fit_metric(learned, codes, groups=groups or None, lots=lots)
        fitting = Fitting(
            metric,
            by,
            datetime.now(UTC).isoformat(timespec="seconds"),
            len(rows),
            int(codes.max()) + 1,
            frozenset(record.digest for batch in _all(store, name, records, some) for record in batch),
            lesson,
        )
        space = replace(plain.space, dimension=metric.dimension, metric_fingerprint=metric.fingerprint)
        store.add_vector(name, FITTED, space, fitting.to_bytes(), becomes_default=True)
        try:
            batches = store.scan(name, using=plain.name) if some else [(records, vectors)]
            _fill(store, name, space, metric, batches, collection.count, progress)
            complete(store, name, space, metric, plain.name)
        except BaseException:
            # A kill leaves it, and what goes on finds it; who ends in another way does not want it.
            with suppress(LookalikeError):
                store.drop_vector(name, space)
            raise
    told = _report(collection, plain, fitting, alone, left_out, started, unchanged=False)
    return replace(told, drawn_from=drawn_from)


def complete(store: Store, name: str, space: Space, metric: FittedMetric, plain: str) -> None:
    """Give a fitted vector to the records that lack it still, and make it ready.

    Args:
        store: where the collection lives.
        name: the collection.
        space: of the fitted vector, which is declared and not ready.
        metric: that it goes through.
        plain: the name of the vector that it is made of.

    Raises:
        VectorIncomplete: records lack it still, because what it is made of is damaged.
    """
    damaged = False
    while lacking := store.lacking(name, space, _BATCH):
        records, vectors = store.vectors_of(name, lacking, plain)
        (rows,) = vectors.values()
        if not store.fill(name, space, records, metric.project(rows)):
            damaged = not {each.id for each in store.damage.found(name)}.isdisjoint(lacking)
            break
    if not lacking and store.collection(name).approximation is not None:
        build_index_if_possible(store, name, space=space)
    try:
        store.finish_vector(name, space)
    except VectorIncomplete as error:
        if damaged:
            raise VectorIncomplete(name, error.vector, error.lacking, damaged=True) from error
        raise


def undo_fit(store: Store, name: str, *, locks: Path) -> int:
    """Drop the fitted vectors of a collection; its plain ones are the default again.

    Args:
        store: where the collection lives.
        name: the collection.
        locks: as for `fit`.

    Returns:
        How many records the collection has.

    Raises:
        CollectionNotFound: there is none of that name.
        InvalidArgument: it is not fitted.
        StoreBusy: a fit of the collection is running.
    """
    name = store.collection(name).name
    with only_one(store, name, "fit", locks):
        collection = store.collection(name)
        fitted = _fitted_of(collection)
        if fitted is None:
            raise InvalidArgument(f"collection {name!r} is not fitted: there is nothing to undo")
        plain = plain_vector(collection, FITTED)
        if fitted.approximation and not plain.approximation:
            build_index_if_possible(store, name, space=plain.space)
        if collection.default == FITTED:  # also where another plain one was declared before it
            store.set_default(name, plain.name)
        for vector in collection.vectors:
            if vector.name == FITTED:  # with what an unfinished fit has left
                store.drop_vector(name, vector.space)
        return store.collection(name).count


def learnable(
    records: Sequence[Record], vectors: Vectors, by: str
) -> tuple[list[int], Codes, Codes, tuple[LeftOut, ...]]:
    """Tell what a metric can learn from.

    Args:
        records: all records of a collection.
        vectors: their plain vectors.
        by: the field that holds the label.

    Returns:
        The places of the images with a label; their labels as numbers from 0; the lots of near-duplicates
        among them; and the images without a label.

    Raises:
        FieldNotFound: no record has the field.
        Unanswerable: no records, fewer than two labels, fewer than two images of every label.
    """
    rows, left_out = evaluable_rows(records, by)
    codes, labels = encode(records[row].fields[by] for row in rows)
    if len(rows) == len(labels):
        raise Unanswerable(
            f"each of the {len(labels)} values of {display(by)!r} is on one image only: "
            f"a metric is learned from two images of one label, and more"
        )
    learned = vectors if len(rows) == len(records) else vectors[rows]
    near = near_duplicate_groups(learned, [records[row].digest for row in rows])
    lots = with_films_together(near, [records[row] for row in rows])
    return rows, codes, lots, left_out


def _fitted_of(collection: CollectionInfo) -> VectorInfo | None:
    with suppress(VectorNotFound):
        found = collection.vector(FITTED)
        return found if found.fitted else None
    return None


def _report(
    before: CollectionInfo,
    plain: VectorInfo,
    fitting: Fitting,
    alone: int,
    left_out: tuple[LeftOut, ...],
    started: float,
    *,
    unchanged: bool,
) -> FitReport:
    metric = fitting.metric
    return FitReport(
        *(before.name, fitting.by, fitting.images, fitting.classes, alone, left_out),
        *(plain.space.dimension, metric.dimension, metric.fingerprint),
        *(_fitted_of(before) is not None, unchanged, time.monotonic() - started),
    )


def _all(store: Store, name: str, records: list[Record], some: bool) -> Iterable[list[Record]]:
    """Return all records in batches, where only some of them were read."""
    return store.scan_records(name) if some else [records]


def _fill(
    store: Store,
    name: str,
    space: Space,
    metric: FittedMetric,
    batches: Iterable[tuple[list[Record], Vectors]],
    count: int,
    progress: Callable[[int, int], None],
) -> None:
    """Give the projected vectors to records that were read, or that go by."""
    progress(0, count)
    done = 0
    for records, vectors in batches:
        for start in range(0, len(records), _BATCH):
            part = slice(start, start + _BATCH)
            store.fill(name, space, records[part], metric.project(vectors[part]))
            done += len(records[part])
            progress(min(done, count), count)
