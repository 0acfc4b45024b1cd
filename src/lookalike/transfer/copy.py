"""Copying a collection from one store to another: both sides of a fitted one, its fit, every bit of it.

A collection that the target lacks is built there under another name, and gets its own when it was found to be
the same. A copy is made of passes: each reads both sides from end to end and puts what differs. The pass that
finds nothing is the verification; so a copy that was killed goes on where it was, and one that is done again
finds that there is nothing to do.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lookalike.errors import CollectionNotFound, InvalidArgument, LookalikeError, SpaceMismatch, TargetDiffers
from lookalike.metric_learning.fitted import (
    UNFITTED,
    check_free,
    fitting_of,
    is_fitted,
    plain_name,
    refuse_side,
)
from lookalike.transfer.synchronisation import Synchronisation, Tally
from lookalike.transfer.unfinished_copies import (
    building_name,
    clear,
    is_unfinished,
    note_of,
    place_of,
    take_up,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from lookalike.stores.store import Store
    from lookalike.types import CollectionInfo, Space

# Passes until the two must be the same: one puts, one verifies, the others are for a source that changes.
_PASSES = 5
# Times that a copy begins anew because a collection was fitted, renamed or deleted meanwhile.
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class CopyReport:
    """What a copy did, and whether both collections were found to be the same."""

    collection: str
    sides: tuple[Tally, ...]
    """Of the plain side of a fitted collection, and of the collection."""
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
class _Side:
    """One of the collections that one collection is made of."""

    suffix: str
    space: Space
    metric: bytes | None


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is copied, and where to."""

    name: str
    sides: tuple[_Side, ...]
    """The plain one first."""
    there: CollectionInfo | None
    """What has its name at the target."""


def copyable(source: Store) -> list[str]:
    """Return the names of the collections that can be copied; a fitted one brings its plain side with it."""
    names = []
    for collection in source.collections():
        with suppress(InvalidArgument):
            _refuse_part(source, collection)
            names.append(collection.name)
    return names


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
        name: the collection; with a fitted one come its plain side and its fit.
        prune: whether to remove from a collection that is there what the source does not have. A collection
            that is new there has nothing else in any case.
        progress: called with records looked at in this pass, and records to look at.

    Returns:
        What was done. Where it is not verified, the same call goes on from there.

    Raises:
        CollectionNotFound: the source has none of that name.
        InvalidArgument: both stores are one; the name is that of a plain side, or of what a fit or a copy is
            building; or another collection at the target has a name that is needed.
        TargetDiffers: the target has one of that name and of another space.
        StoreError: as the stores say, or the target does not give back what was put.
    """
    if place_of(source) == place_of(target):
        raise InvalidArgument(f"FROM and TO are both {target.url}: there is nothing to copy")
    started = time.monotonic()
    attempts = 0
    while True:
        attempts += 1
        plan = _plan(source, target, name)
        try:
            return _carry_out(source, target, plan, prune, progress, started)
        except (CollectionNotFound, SpaceMismatch, InvalidArgument):
            # Somebody fitted, renamed or deleted it, or another copy of it came first.
            if attempts == _ATTEMPTS or _same(plan, _plan(source, target, name)):
                raise


def _refuse_part(source: Store, collection: CollectionInfo) -> None:
    """Refuse to copy a part of something: a plain side, or what a fit or a copy is building."""
    refuse_side(source, collection.name)
    if is_unfinished(source, collection):
        raise InvalidArgument(
            f"{source.url}: {collection.name!r} is a copy that has not ended: run it again, or delete it"
        )


def _plan(source: Store, target: Store, name: str) -> _Plan:
    """Return what the names stand for at this moment."""
    there = None
    with suppress(CollectionNotFound):
        there = target.collection(name)
    while True:
        collection = source.collection(name)
        try:
            _refuse_part(source, collection)
            sides = _sides(source, collection)
        except LookalikeError:
            if source.collection(name).space == collection.space:
                raise
            continue
        # Else a fit or an undo has exchanged the names meanwhile.
        if source.collection(name).space == collection.space:
            return _Plan(collection.name, sides, there)


def _sides(source: Store, collection: CollectionInfo) -> tuple[_Side, ...]:
    if not is_fitted(collection):
        return (_Side("", collection.space, None),)
    fitting_of(source, collection)  # one that is damaged is not copied
    plain = source.collection(plain_name(collection))
    metric = source.metric(collection.name)
    return _Side(UNFITTED, plain.space, None), _Side("", collection.space, metric)


def _same(one: _Plan, other: _Plan) -> bool:
    spaces = [None if plan.there is None else plan.there.space for plan in (one, other)]
    return one.sides == other.sides and spaces[0] == spaces[1]


def _carry_out(
    source: Store,
    target: Store,
    plan: _Plan,
    prune: bool,
    progress: Callable[[int, int], None],
    started: float,
) -> CopyReport:
    """Make the collection at the target, pass over it until nothing differs, and give it its name."""
    name, sides, there = plan.name, plan.sides, plan.there
    space = sides[-1].space
    refuse_side(target, name)
    fit_differs = False
    if there is None:
        final, under = name, building_name(name)
        if len(sides) > 1:
            check_free(target, name)
        take_up(source, target, name, {under + side.suffix: side.space for side in sides})
        # The plain side is made first, and goes last: its note tells whose both are.
        target.create(under + sides[0].suffix, sides[0].space, note_of(source, name))
    else:
        if there.space != space:
            raise TargetDiffers(target.url, there.name, str(there.space), str(space))
        final = under = there.name
        fit_differs = sides[-1].metric is not None and target.metric(there.name) != sides[-1].metric
        clear(source, target, name)
    tallies = tuple(Tally(final + side.suffix) for side in sides)
    levellings = []
    for side, tally in zip(sides, tallies, strict=True):
        target.create(under + side.suffix, side.space, side.metric)
        here, over_there = (source, name + side.suffix), (target, under + side.suffix)
        levellings.append(Synchronisation(here, over_there, side.space, prune or there is None, tally))
    passes, digest = _pass_until_same(levellings, tallies, source, plan, progress)
    if digest is not None and under != final:
        target.rename({under + side.suffix: final + side.suffix for side in sides})
    return CopyReport(
        final,
        tallies,
        digest is not None,
        digest,
        under if digest is None and under != final else None,
        fit_differs,
        passes,
        time.monotonic() - started,
    )


def _pass_until_same(
    levellings: list[Synchronisation],
    tallies: tuple[Tally, ...],
    source: Store,
    plan: _Plan,
    progress: Callable[[int, int], None],
) -> tuple[int, str | None]:
    """Pass over all sides until nothing differs; return how often, and the digest of what is the same."""
    total = sum(source.collection(plan.name + side.suffix).count for side in plan.sides)
    for number in range(1, _PASSES + 1):
        digest = hashlib.sha256()
        differ = done = 0
        for levelling, tally in zip(levellings, tallies, strict=True):
            found, content = levelling.pass_over(_from(progress, done, total))
            differ += found
            done += tally.images
            digest.update(content)
        # A scan goes on reading what a fit has renamed, and ends early on what was deleted.
        now = source.collection(plan.name)
        if now.space != plan.sides[-1].space:
            raise SpaceMismatch(now.name, str(now.space), str(plan.sides[-1].space))
        if not differ:
            return number, digest.hexdigest()
    return _PASSES, None


def _from(progress: Callable[[int, int], None], done: int, total: int) -> Callable[[int], None]:
    return lambda count: progress(done + count, total)
