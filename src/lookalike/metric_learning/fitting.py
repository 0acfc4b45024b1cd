"""Fitting a collection: its labels become a metric, its vectors go through it, names are exchanged at once.

Killed at any moment, a fit leaves the collection as it was or as it shall be; what it was building is removed
by the next one. Images that are added while it runs are in the fitted collection too.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import CollectionNotFound, InvalidArgument, LookalikeError, StoreBusy, Unanswerable
from lookalike.file_names import display
from lookalike.metric_learning.fitted import (
    FITTING,
    UNFITTED,
    Fitting,
    check_free,
    fitting_of,
    is_fitted,
    lesson_of,
    plain_name,
    read,
    refuse_side,
    remove_leftover,
)
from lookalike.metric_learning.sides import level
from lookalike.stores.checks import same_name
from lookalike.stores.recall import build_index_if_possible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from lookalike.evaluation.exclusions import LeftOut
    from lookalike.stores.store import Store
    from lookalike.types import CollectionInfo, Record, Vectors
    from lookalike.vectors.metric import FittedMetric
    from lookalike.vectors.vote import Codes

# Passes over what others write meanwhile, before names are exchanged all the same: `Sides.level` of whoever
# writes, and the last pass of the fit, bring the rest.
_PASSES = 5


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


def fit(
    store: Store,
    name: str,
    by: str,
    *,
    groups: Sequence[slice] = (),
    locks: Path,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> FitReport:
    """Fit a metric to the labels of a collection, and let the collection's vectors go through it.

    Memory: twice the plain vectors, and what `fit_metric` needs.

    Args:
        store: where the collection lives.
        name: the collection; one that is fitted is fitted anew, from its plain vectors.
        by: the field whose labels the metric learns.
        groups: ranges of the plain vectors' columns that belong together, as the embedder's card has them.
        locks: a folder for the lock that keeps two fits apart, made if it is missing.
        progress: called with records written and records to write.

    Returns:
        What was fitted.

    Raises:
        CollectionNotFound, FieldNotFound: of the collection or of `by`.
        InvalidArgument: the name is no name of a collection to fit, or leaves no room for its plain side.
        Unanswerable: the collection is empty, or has too few labels or labelled images to learn from.
        StoreBusy: another fit of the collection is running.
    """
    from lookalike.vectors.metric import fit_metric

    started = time.monotonic()
    refuse_side(store, name)
    name = store.collection(name).name
    with only_one(store, name, locks):
        collection = store.collection(name)
        if not is_fitted(collection):
            check_free(store, name)
        remove_leftover(store, name)
        plain = store.collection(plain_name(collection))
        records, vectors = read(store, plain.name)
        rows, codes, lots, left_out = learnable(records, vectors, by)
        alone = int((np.bincount(codes) == 1).sum())
        lesson = lesson_of((records[row] for row in rows), by)
        if is_fitted(collection) and collection.count == len(records):
            known = fitting_of(store, collection)
            if known.lesson == lesson:
                return _report(collection, plain, known, alone, left_out, started, unchanged=True)
        learned = vectors if len(rows) == len(records) else vectors[rows]
        metric = fit_metric(learned, codes, groups=groups or None, lots=lots)
        fitting = Fitting(
            metric,
            by,
            datetime.now(UTC).isoformat(timespec="seconds"),
            len(rows),
            int(codes.max()) + 1,
            frozenset(record.digest for record in records),
            lesson,
        )
        try:
            _build(store, plain, name, fitting, (records, vectors), progress)
            if collection.approximation is not None:
                build_index_if_possible(store, name + FITTING)
        except BaseException:
            with suppress(LookalikeError):
                store.delete(name + FITTING)
            raise
        _exchange(store, collection, fitting.metric)
    return _report(collection, plain, fitting, alone, left_out, started, unchanged=False)


def _report(
    before: CollectionInfo,
    plain: CollectionInfo,
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
        *(is_fitted(before), unchanged, time.monotonic() - started),
    )


def undo_fit(store: Store, name: str, *, locks: Path) -> int:
    """Give a fitted collection its plain vectors back, and drop the fitted ones.

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
    refuse_side(store, name)
    name = store.collection(name).name
    with only_one(store, name, locks):
        collection = store.collection(name)
        if not is_fitted(collection):
            raise InvalidArgument(f"collection {name!r} is not fitted: there is nothing to undo")
        remove_leftover(store, name)
        if collection.approximation and not store.collection(name + UNFITTED).approximation:
            build_index_if_possible(store, name + UNFITTED)
        store.rename({name: name + FITTING, name + UNFITTED: name})
        store.delete(name + FITTING)
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
    # SciPy and scikit-learn take most of a second to import, which no search should wait for.
    from lookalike.evaluation.exclusions import evaluable_rows
    from lookalike.evaluation.held_out_predictions import encode
    from lookalike.vectors.near_duplicates import near_duplicate_groups

    rows, left_out = evaluable_rows(records, by)
    codes, labels = encode(records[row].fields[by] for row in rows)
    if len(rows) == len(labels):
        raise Unanswerable(
            f"each of the {len(labels)} values of {display(by)!r} is on one image only: "
            f"a metric is learned from two images of one label, and more"
        )
    learned = vectors if len(rows) == len(records) else vectors[rows]
    lots = near_duplicate_groups(learned, [records[row].digest for row in rows])
    return rows, codes, lots, left_out


@contextmanager
def only_one(store: Store, name: str, locks: Path) -> Iterator[None]:
    """Keep two fits of one collection apart; the lock goes with its process, whatever ends it.

    Raises:
        StoreBusy: another process, or thread, has it.
    """
    from filelock import FileLock, Timeout

    key = hashlib.sha256(f"{store.url}\n{same_name(name)}".encode()).hexdigest()[:32]
    lock = FileLock(locks / f"fit-{key}.lock", thread_local=False)
    try:
        locks.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise StoreBusy(
            store.url, f"another fit of {name!r} is running; try again when it has ended"
        ) from error
    except OSError:
        # A folder that cannot be written keeps nobody from fitting: names are exchanged all or none.
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _build(
    store: Store,
    plain: CollectionInfo,
    name: str,
    fitting: Fitting,
    content: tuple[list[Record], Vectors],
    progress: Callable[[int, int], None],
) -> None:
    """Write the projected vectors beside the collection, and then what came meanwhile."""
    metric = fitting.metric
    space = replace(plain.space, dimension=metric.dimension, metric_fingerprint=metric.fingerprint)
    building = store.create(name + FITTING, space, fitting.to_bytes())
    records, vectors = content
    step = 1000
    progress(0, len(records))
    for start in range(0, len(records), step):
        part = slice(start, start + step)
        store.put(building.name, records[part], metric.project(vectors[part]), space=space)
        progress(min(start + step, len(records)), len(records))
    for _ in range(_PASSES):
        if not level(store, plain.name, building, metric):
            return


def _exchange(store: Store, collection: CollectionInfo, metric: FittedMetric) -> None:
    """Let the fitted vectors have the collection's name, at once, and remove those of a fit before."""
    name = collection.name
    if is_fitted(collection):
        store.rename({name: name + FITTING, name + FITTING: name})
    else:
        store.rename({name: name + UNFITTED, name + FITTING: name})
    # Written between the last pass and the exchange, by somebody who did not know of it yet.
    with suppress(CollectionNotFound):  # deleted meanwhile
        level(store, name + UNFITTED, store.collection(name), metric)
    if is_fitted(collection):
        store.delete(name + FITTING)
