"""Removal of records whose file is gone, on many machines: ids are kept on disk, and compared in pages.

What is gone is found before the work, so that a refusal comes before it; it is removed after all tasks have
ended well, if it is gone still.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from lookalike.errors import CollectionNotFound, PathNotFound
from lookalike.file_names import display
from lookalike.ingest.moves import pair
from lookalike.ingest.removals import Disk, EmptiedFolders, Removal, are_gone, is_below
from lookalike.metric_learning.corrections import delivered, indexed_again, marks_of
from lookalike.sources.frames import place_of
from lookalike.sources.locations import location_of
from lookalike.stores.stamp_table import StampTable
from lookalike.types import Remark
from lookalike.uris import record_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lookalike.ingest.cluster.listing import RootListing
    from lookalike.ingest.index_options import IndexOptions
    from lookalike.sources.frames import Place
    from lookalike.sources.objects import Location
    from lookalike.stores.id_table import IdTable
    from lookalike.stores.store import Store
    from lookalike.types import Record, Stamp

# Records that are looked at, or removed, at once.
_PAGE = 1000


class Pruning:
    """The records below some roots whose file is gone: found first, removed at the end."""

    def __init__(
        self, store: Store, name: str, listings: Sequence[RootListing], met: IdTable, options: IndexOptions
    ) -> None:
        """Find them, and ask whether they may be removed.

        Args:
            store: where the collection lives.
            name: the collection.
            listings: what is below the roots.
            met: ids of the records of all files that were listed, whether there are such records or not.
            options: of the run.

        Raises:
            CollectionNotFound: it is not there, and there is no image to make it of.
            PathNotFound: a root is gone, and has no records.
            FolderEmpty: it looks as though a disk were not mounted.
            RemovalUnconfirmed: more than a tenth of the collection would be removed, and nobody agreed.
        """
        self._store, self._name, self._met = store, name, met
        self._carried = 0
        self._disk = Disk()
        self._roots = frozenset(listing.root for listing in listings)
        self._unknown = {listing.root for listing in listings if listing.gone}
        """Roots that are gone, and below which no record was seen yet."""
        imageless = [listing.root for listing in listings if not listing.gone and not listing.images]
        self._emptied = EmptiedFolders(imageless, self._disk)
        self._total = 0
        try:
            left = StampTable(self._missing())
        except CollectionNotFound:
            if not any(listing.images for listing in listings):
                raise
            left = StampTable(())
        if self._unknown:
            raise PathNotFound(
                display(min(self._unknown, key=str)),
                f"and collection {name!r} has no record below it: there is nothing to prune",
            )
        self._gone = StampTable(self._for_certain(left))
        if len(self._gone) and not options.prune_empty:
            self._emptied.check(self._total)
        removal = Removal(name, len(self._gone), self._total)
        self._agreed = not removal.large or options.agree(removal)

    def _missing(self) -> Iterator[tuple[str, Stamp]]:
        """Yield the records below the roots whose file was not listed."""
        for uri, stamp in self._store.scan_stamps(self._name):
            self._total += 1
            path = location_of(uri)
            if path is None or not is_below(path, self._roots):
                continue
            if self._unknown:
                self._unknown.difference_update((path, *path.parents))
            if record_id(path.as_uri()) in self._met:
                self._emptied.see(path, gone=False)
            else:
                yield uri, stamp

    def _for_certain(self, left: StampTable) -> Iterator[tuple[str, Stamp]]:
        """Yield those of them whose file is gone for certain."""
        for page in _pages(left):
            for (uri, path), gone in zip(page.items(), are_gone(page.values(), self._disk), strict=True):
                self._emptied.see(path, gone=gone)
                if gone:
                    yield uri, left[uri]

    def remove(self) -> int:
        """Remove what is gone still, and return how many there were.

        What people put right of a file goes with an image of the same bytes, where one was listed.
        """
        removed = 0
        # A disk may have been mounted meanwhile.
        disk = Disk()
        for page in _pages(self._gone) if self._agreed else ():
            flags = are_gone(page.values(), disk)
            ids = [self._gone[uri].id for uri, is_gone in zip(page, flags, strict=True) if is_gone]
            self._carry(ids)
            removed += self._store.remove(self._name, ids) if ids else 0
        return removed

    def _carry(self, ids: Sequence[str]) -> None:
        """Give what people have put right of files that are gone to images of the same bytes."""
        lost = [record for record in self._store.get(self._name, ids) if _is_said(record)]
        found: dict[Place, str] = {}
        targets: dict[Place, Record] = {}
        for digest in sorted({record.digest for record in lost}):
            there = self._store.ids_by_digest(self._name, digest)
            for record in self._store.get(self._name, there):
                place = place_of(record.uri)
                if place is not None and record.uri not in self._gone and not _is_said(record):
                    found[place] = digest
                    targets[place] = record
        changed = []
        for move in pair(lost, found):
            target = targets[move.path]
            label, _ = indexed_again(move.record, delivered(target), target.digest)
            changed.append((target.id, label.fields, label.metadata))
        if changed:
            self._store.relabel(self._name, changed)
            self._carried += len(changed)

    def remarks(self) -> list[Remark]:
        """Return what to say of what was removed."""
        if not self._carried:
            return []
        text = f"labels that people put right went with {self._carried:,} files that are elsewhere now"
        return [Remark("", text)]


def _pages(stamps: StampTable) -> Iterator[dict[str, Location]]:
    """Yield the files of records by URI, some at a time."""
    uris = iter(stamps)
    while some := list(islice(uris, _PAGE)):
        yield {uri: path for uri in some if (path := location_of(uri)) is not None}


def _is_said(record: Record) -> bool:
    """Tell whether a person has put right, or confirmed, something of a record."""
    marks = marks_of(record)
    return bool(marks.corrected or marks.confirmed)
