"""Writing to a collection that may be fitted: every change reaches both of its sides, the plain one first.

So whatever a kill interrupts can be made good from the plain side, and the next fit starts from there.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from lookalike.errors import CollectionNotFound, SpaceMismatch
from lookalike.metric_learning.fitted import Fitting, fitting_of, is_fitted, plain_name, refuse_side

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from lookalike.stores.store import Store
    from lookalike.types import CollectionInfo, Fields, Metadata, Record, Space, Vectors
    from lookalike.vectors.metric import Metric

_T = TypeVar("_T")

# Records that are put at once.
_BATCH = 1000


class Sides:
    """Both sides of a collection, or its one, for those who write.

    A fit, a refit or an undo of another process may exchange names at any moment: each call finds out what
    the names stand for, and goes again where that has changed meanwhile.
    """

    def __init__(self, store: Store, name: str, space: Space) -> None:
        """Name the collection.

        Args:
            store: where it lives.
            name: of the fitted side, or of a collection that is not fitted.
            space: of the plain vectors.

        Raises:
            InvalidArgument: the name is that of a plain side, or of what a fit left.
        """
        refuse_side(store, name)
        self._store = store
        self._name = name
        self._space = space
        self._fitting: Fitting | None = None

    def open(self) -> str:
        """Make the collection unless it is there, and return the present name of its plain side.

        Raises:
            SpaceMismatch: its plain vectors are of another space.
        """

        def open_plain(fitted: CollectionInfo | None) -> str:
            if fitted is None:
                return self._store.create(self._name, self._space).name
            plain = self._store.collection(plain_name(fitted))
            if plain.space != self._space:
                raise SpaceMismatch(fitted.name, str(plain.space), str(self._space))
            return plain.name

        return self._repeat(open_plain)

    def get(self, ids: Sequence[str]) -> list[Record]:
        """Return the records with these ids, in the order asked, without those that are not there.

        One that is damaged on the plain side is that of the fitted side, which says the same.
        """

        def get(fitted: CollectionInfo | None) -> list[Record]:
            plain = self._names(fitted)[0]
            found = self._store.get(plain, ids)
            lost = self._store.damage.ids(plain).intersection(ids) - {record.id for record in found}
            if fitted is None or not lost:
                return found
            known = {record.id: record for record in self._store.get(fitted.name, sorted(lost))}
            known |= {record.id: record for record in found}
            return [known[identity] for identity in ids if identity in known]

        return self._repeat(get)

    def vectors(self, ids: Collection[str]) -> Iterator[tuple[list[Record], Vectors]]:
        """Yield records with their plain vectors, bit by bit; reads the whole collection.

        Args:
            ids: of the records; those that are not there are left out.
        """

        def begin(fitted: CollectionInfo | None) -> Iterator[tuple[list[Record], Vectors]]:
            name = self._names(fitted)[0]
            batches = self._store.scan(name)
            # A collection that is renamed after its first batch is read to its end.
            first = next(batches, ([], np.empty((0, self._space.dimension), np.float32)))
            found = self._store.collection(name).space
            if found != self._space:
                raise SpaceMismatch(name, str(found), str(self._space))
            return chain([first], batches)

        for some, rows in self._repeat(begin):
            wanted = [row for row, record in enumerate(some) if record.id in ids]
            if wanted:
                yield [some[row] for row in wanted], rows[wanted]

    def put(self, records: Sequence[Record], vectors: Vectors) -> None:
        """Add or replace records; `vectors` are plain."""

        def put(fitted: CollectionInfo | None) -> None:
            if fitted is None:
                self._store.put(self._name, records, vectors, space=self._space)
                return
            self._store.put(plain_name(fitted), records, vectors, space=self._space)
            projected = self._metric(fitted).project(vectors)
            self._store.put(fitted.name, records, projected, space=fitted.space)

        self._repeat(put)

    def relabel(self, labels: Sequence[tuple[str, Fields, Metadata]]) -> None:
        """Replace fields and metadata of the records with these ids."""

        def relabel(fitted: CollectionInfo | None) -> None:
            for name in self._names(fitted):
                self._store.relabel(name, labels)

        self._repeat(relabel)

    def remove(self, ids: Sequence[str]) -> int:
        """Remove records by id and return how many there were."""
        return max(self._repeat(lambda fitted: [self._store.remove(n, ids) for n in self._names(fitted)]))

    def level(self) -> None:
        """Make the fitted side, if there is one, hold the records of the plain one."""

        def bring(fitted: CollectionInfo | None) -> None:
            if fitted is not None:
                level(self._store, plain_name(fitted), fitted, self._metric(fitted))

        self._repeat(bring)

    def _fitted(self) -> CollectionInfo | None:
        with suppress(CollectionNotFound):
            collection = self._store.collection(self._name)
            return collection if is_fitted(collection) else None
        return None

    def _names(self, fitted: CollectionInfo | None) -> tuple[str, ...]:
        return (self._name,) if fitted is None else (plain_name(fitted), fitted.name)

    def _metric(self, fitted: CollectionInfo) -> Metric:
        known = self._fitting
        if known is None or known.metric.fingerprint != fitted.space.metric_fingerprint:
            known = self._fitting = fitting_of(self._store, fitted)
        return known.metric

    def _repeat(self, act: Callable[[CollectionInfo | None], _T]) -> _T:
        """Act on the sides as they are, and again where that changed; return the first answer."""
        answers: list[_T] = []
        while True:
            before = self._fitted()
            try:
                answers.append(act(before))
            except (SpaceMismatch, CollectionNotFound):
                if _space_of(self._fitted()) == _space_of(before):
                    raise
                continue
            if _space_of(self._fitted()) == _space_of(before):
                return answers[0]


def _space_of(collection: CollectionInfo | None) -> Space | None:
    return None if collection is None else collection.space


def level(store: Store, plain: str, fitted: CollectionInfo, metric: Metric) -> int:
    """Make a fitted collection hold the records that its plain side holds.

    Args:
        store: where both live.
        plain: name of the plain side.
        fitted: the fitted one.
        metric: what its vectors went through.

    Returns:
        How many records were put, relabelled or removed.
    """
    there = {stamp.id: stamp for stamp in store.stamps(fitted.name).values()}
    wanted = {stamp.id: stamp for stamp in store.stamps(plain).values()}
    # What is damaged on the plain side is there, and its labels may be whole on this side only.
    damaged = store.damage.ids(plain)
    gone = [identity for identity in there if identity not in wanted and identity not in damaged]
    missing, relabelled = set(), []
    for identity, stamp in wanted.items():
        known = there.get(identity)
        if known is None or (known.size, known.modified_ns) != (stamp.size, stamp.modified_ns):
            missing.add(identity)
        elif known.labels_digest != stamp.labels_digest:
            relabelled.append(identity)
    if gone:
        store.remove(fitted.name, gone)
    for start in range(0, len(relabelled), _BATCH):
        records = store.get(plain, relabelled[start : start + _BATCH])
        store.relabel(fitted.name, [(one.id, one.fields, one.metadata) for one in records])
    if missing:
        for some, vectors in store.scan(plain):
            rows = [row for row, record in enumerate(some) if record.id in missing]
            if rows:
                projected = metric.project(vectors[rows])
                store.put(fitted.name, [some[row] for row in rows], projected, space=fitted.space)
    return len(gone) + len(relabelled) + len(missing)


def delete(store: Store, name: str) -> list[CollectionInfo]:
    """Delete a collection, and with a fitted one its plain side.

    Returns:
        What was deleted, as it was.

    Raises:
        CollectionNotFound: there is none of that name.
        InvalidArgument: the name is that of a fitted collection's plain side.
    """
    refuse_side(store, name)
    collection = store.collection(name)
    deleted = [collection]
    if is_fitted(collection):
        with suppress(CollectionNotFound):
            deleted.append(store.collection(plain_name(collection)))
    # The fitted side first: what a kill leaves is then a collection like any other.
    for each in deleted:
        store.delete(each.name)
    return deleted


def remove(store: Store, name: str, ids: Sequence[str]) -> int:
    """Remove records by id, from both sides of a fitted collection, and return how many there were.

    Raises:
        CollectionNotFound: there is none of that name.
        InvalidArgument: the name is that of a fitted collection's plain side.
    """
    plain = store.collection(plain_name(store.collection(name)))
    return Sides(store, name, plain.space).remove(ids)
