"""Copying a collection from one store to another: its records, all its vectors, its fit, every bit of it.

A collection that the target lacks is built there under another name, and gets its own when it was found to be
the same. A copy is made of passes: each reads both from end to end and puts what differs. The pass that finds
nothing is the verification; so a copy that was killed goes on where it was, and one that is done again finds
that there is nothing to do.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lookalike.anomaly.fitting import keep_memory, kept_memory
from lookalike.errors import CollectionNotFound, InvalidArgument, SpaceMismatch, TargetDiffers, VectorNotFound
from lookalike.metric_learning.fitted import fitting_of
from lookalike.stores.places import store_place
from lookalike.transfer.synchronisation import Synchronisation, Tally
from lookalike.transfer.unfinished_copies import (
    building_name,
    clear,
    is_unfinished,
    note_of,
    take_up,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from lookalike.stores.store import Store
    from lookalike.types import CollectionInfo, VectorInfo

# Passes until the two must be the same: one puts, one verifies, the others are for a source that changes.
_PASSES = 5
# Times that a copy begins anew because a collection was fitted, renamed or deleted meanwhile.
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class CopyReport:
    """What a copy did, and whether both collections were found to be the same."""

    collection: str
    tally: Tally
    vectors: tuple[str, ...]
    """Names of the vectors that were copied."""
    verified: bool
    """Whether the last pass found nothing that differs: False where one of the two changed in every pass."""
    digest: str | None
    """SHA-256 over all records and vectors of the source, 64 hexadecimal digits; None where not verified."""
    under: str | None
    """The name at the target of a new collection that is not yet verified; None where it has its own."""
    fit_differs: bool
    """Whether the target keeps another fit of the same metric: one that was made at another time."""
    passes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is copied, and where to."""

    name: str
    vectors: tuple[VectorInfo, ...]
    """Those that are ready, in order of declaration."""
    default: str
    metrics: tuple[bytes | None, ...]
    there: CollectionInfo | None
    """What has its name at the target."""

    @property
    def spaces(self) -> dict[str, object]:
        """Return the space of each vector by its name."""
        return {vector.name: vector.space for vector in self.vectors}


def copyable(source: Store) -> list[str]:
    """Return the names of the collections that can be copied: all but copies that have not ended."""
    return [each.name for each in source.collections() if not is_unfinished(source, each)]


def copy(
    source: Store,
    target: Store,
    name: str,
    *,
    prune: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> CopyReport:
    """Copy a collection into another store, or bring the one that is there up to date.

    Memory: a few batches of 1,000 records, and the ids of those that change while it runs.

    Args:
        source: where the collection is.
        target: where it shall be too.
        name: the collection; all its vectors come with it, and the fit of fitted ones. Those that are not
            ready are made at the target as at the source, by `fit` or `index`.
        prune: whether to remove from a collection that is there what the source does not have. A collection
            that is new there has nothing else in any case.
        progress: called with records looked at in this pass, and records to look at.

    Returns:
        What was done. Where it is not verified, the same call goes on from there.

    Raises:
        CollectionNotFound: the source has none of that name.
        InvalidArgument: both stores are one; the name is that of what a copy is building; or another
            collection at the target has the name that is needed for it.
        TargetDiffers: the target has one of that name and of other spaces.
        StoreError: as the stores say, or the target does not give back what was put.
    """
    if store_place(source.url) == store_place(target.url):
        raise InvalidArgument(f"FROM and TO are both {target.url}: there is nothing to copy")
    started = time.monotonic()
    attempts = 0
    while True:
        attempts += 1
        plan = _plan(source, target, name)
        try:
            return _carry_out(source, target, plan, prune, progress, started)
        except (CollectionNotFound, SpaceMismatch, VectorNotFound, InvalidArgument):
            # Somebody fitted, renamed or deleted it, or another copy of it came first.
            if attempts == _ATTEMPTS or _same(plan, _plan(source, target, name)):
                raise


def _plan(source: Store, target: Store, name: str) -> _Plan:
    """Return what the name stands for at this moment."""
    there = None
    with suppress(CollectionNotFound):
        there = target.collection(name)
    collection = source.collection(name)
    if is_unfinished(source, collection):
        raise InvalidArgument(
            f"{source.url}: {collection.name!r} is a copy that has not ended: run it again, or delete it"
        )
    vectors = tuple(vector for vector in collection.vectors if vector.ready)
    metrics = []
    for vector in vectors:
        fitting_of(source, collection, vector)  # one that is damaged is not copied
        metrics.append(source.metric(collection.name, space=vector.space) if vector.fitted else None)
    return _Plan(collection.name, vectors, collection.default, tuple(metrics), there)


def _same(one: _Plan, other: _Plan) -> bool:
    there = [None if plan.there is None else _spaces(plan.there) for plan in (one, other)]
    return (one.spaces, one.metrics, there[0]) == (other.spaces, other.metrics, there[1])


def _spaces(collection: CollectionInfo) -> dict[str, object]:
    return {vector.name: vector.space for vector in collection.vectors if vector.ready}


def _carry_out(
    source: Store,
    target: Store,
    plan: _Plan,
    prune: bool,
    progress: Callable[[int, int], None],
    started: float,
) -> CopyReport:
    """Make the collection at the target, pass over it until nothing differs, and give it its name."""
    name, there = plan.name, plan.there
    fit_differs = False
    if there is None:
        final, under = name, building_name(name)
        take_up(source, target, name, {vector.space for vector in plan.vectors})
        _declare(source, target, under, plan)
    else:
        if any(not vector.ready for vector in there.vectors) or _spaces(there) != plan.spaces:
            theirs = " and ".join(f"{one.name}: {one.space}" for one in there.vectors)
            ours = " and ".join(f"{one.name}: {one.space}" for one in plan.vectors)
            raise TargetDiffers(target.url, there.name, theirs, ours)
        final = under = there.name
        metrics = zip(plan.vectors, plan.metrics, strict=True)
        fit_differs = any(
            metric is not None and target.metric(there.name, space=vector.space) != metric
            for vector, metric in metrics
        )
        clear(source, target, name)
    tally = Tally(final)
    synchronisation = Synchronisation((source, name), (target, under), prune or there is None, tally)
    passes, digest = _pass_until_same(synchronisation, source, plan, progress)
    if digest is not None:
        if under != final:
            target.rename(under, final)
        _bring_memory(source, target, final)
    return CopyReport(
        final,
        tally,
        tuple(vector.name for vector in plan.vectors),
        digest is not None,
        digest,
        under if digest is None and under != final else None,
        fit_differs,
        passes,
        time.monotonic() - started,
    )


def _bring_memory(source: Store, target: Store, name: str) -> None:
    """Give the target the memory of normal pictures that the source has."""
    memory, there = kept_memory(source, source.collection(name)), target.collection(name)
    if memory is not None and memory != kept_memory(target, there):
        keep_memory(target, there, memory)


def _declare(source: Store, target: Store, under: str, plan: _Plan) -> None:
    """Make the collection that is built, unless it is there, with all vectors; it is empty until then."""
    # The note stands where a plain vector has no metric.
    first = next(vector for vector in plan.vectors if not vector.fitted)
    target.create(under, first.space, vector=first.name, metric=note_of(source, plan.name))
    for vector, metric in zip(plan.vectors, plan.metrics, strict=True):
        if vector is not first:
            target.add_vector(under, vector.name, vector.space, metric)
    target.set_default(under, plan.default)


def _pass_until_same(
    synchronisation: Synchronisation, source: Store, plan: _Plan, progress: Callable[[int, int], None]
) -> tuple[int, str | None]:
    """Pass over both until nothing differs; return how often, and the digest of what is the same."""
    total = source.collection(plan.name).count
    for number in range(1, _PASSES + 1):
        differ, content = synchronisation.pass_over(lambda count: progress(count, total))
        # A scan goes on reading what was fitted anew, and ends early on what was deleted.
        now = source.collection(plan.name)
        if _spaces(now) != plan.spaces:
            raise SpaceMismatch(now.name, str(now.space), str(plan.vectors[-1].space))
        if not differ:
            return number, content.hex()
    return _PASSES, None
