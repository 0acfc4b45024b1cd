"""Synchronisation of a collection in one store with one in another, pass by pass."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import StoreError
from lookalike.transfer.contents import Row, joined, read_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from lookalike.stores.store import Store

# Records that are put, or removed, at once.
_BATCH = 1000
# Ids that an error names.
_NAMED = 5


@dataclass(slots=True)
class Tally:
    """Counts of records that were added, updated or removed in one collection at the target."""

    collection: str
    """The name that it has in the end."""
    images: int = 0
    """How many the source has."""
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    """Those that were there from the beginning, every bit alike."""
    removed: int = 0
    """Those that the source does not have."""
    only_there: int = 0
    """Those that the source does not have, and that stayed."""


class Synchronisation:
    """Synchronises a collection at the target with one at the source."""

    def __init__(
        self, source: tuple[Store, str], target: tuple[Store, str], prune: bool, tally: Tally
    ) -> None:
        """Name both.

        Args:
            source: the store, and the collection's name in it.
            target: the same where it is copied to.
            prune: whether records that the source does not have are removed.
            tally: counts what is done.
        """
        self._source, self._name = source
        self._target, self._name_there = target
        self._prune = prune
        self._tally = tally
        self._passes = 0
        self._sent: dict[str, bytes] = {}
        """Digests of the rows that were put after the first pass, by id."""

    def pass_over(self, progress: Callable[[int], None]) -> tuple[int, bytes]:
        """Read both from end to end and put what differs.

        Args:
            progress: called with how many records of the source were looked at.

        Returns:
            How many records differed, and a SHA-256 over all rows of the source.

        Raises:
            StoreError: the target does not give back what was put, or as the stores say.
        """
        tally, digest = self._tally, hashlib.sha256()
        tally.images = tally.only_there = differ = 0
        changed: list[Row] = []
        extra: list[str] = []
        rows = joined(read_rows(self._source, self._name), read_rows(self._target, self._name_there))
        for identity, ours, theirs in rows:
            if ours is None:
                extra.append(identity)
                differ += self._prune and identity not in self._source.damage.ids(self._name)
            else:
                tally.images += 1
                digest.update(ours.digest)
                if theirs is None or theirs.digest != ours.digest:
                    differ += 1
                    tally.added += theirs is None
                    tally.updated += theirs is not None
                    kept = {space: row.copy() for space, row in ours.vectors.items()}
                    changed.append(ours._replace(vectors=kept))
                elif not self._passes:
                    tally.unchanged += 1
            if len(changed) == _BATCH:
                self._put(changed)
                changed = []
            if len(extra) == _BATCH:
                self._remove(extra)
                extra = []
            if not tally.images % _BATCH:
                progress(tally.images)
        self._put(changed)
        self._remove(extra)
        progress(tally.images)
        self._passes += 1
        return differ, digest.digest()

    def _put(self, rows: list[Row]) -> None:
        if not rows:
            return
        again = [row.record.id for row in rows if self._sent.get(row.record.id) == row.digest]
        if again:
            more = f" and {len(again) - _NAMED:,} more" if len(again) > _NAMED else ""
            raise StoreError(
                self._target.url,
                f"collection {self._name_there!r} does not give back what was put: "
                f"{', '.join(again[:_NAMED])}{more} differ from the source though they were put twice; "
                f"does another program write there?",
            )
        if self._passes:
            self._sent.update((row.record.id, row.digest) for row in rows)
        vectors = {space: np.stack([row.vectors[space] for row in rows]) for space in rows[0].vectors}
        self._target.put(self._name_there, [row.record for row in rows], vectors)

    def _remove(self, ids: list[str]) -> None:
        # What is damaged at the source is left out of what it gives, and is not gone.
        damaged = self._source.damage.ids(self._name)
        gone = [identity for identity in ids if identity not in damaged] if self._prune else []
        if gone:
            self._tally.removed += self._target.remove(self._name_there, gone)
        self._tally.only_there += len(ids) - len(gone)
