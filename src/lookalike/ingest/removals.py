"""Removal of records whose file is gone, and when that needs a yes or is refused.

A disk that is not mounted looks like a folder that was emptied, and a link to it like one that leads nowhere.
So what cannot be told from that is not removed without a word.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from lookalike.errors import FolderEmpty, RemovalUnconfirmed
from lookalike.file_names import display
from lookalike.sources.locations import location_of
from lookalike.sources.objects import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from lookalike.sources.objects import Location
    from lookalike.types import Stamp

SHARE = 0.1
"""Part of a collection above which a removal needs a yes."""

# What file systems and their checks leave on a disk that holds nothing else.
_NOTHING = frozenset({"lost+found"})
# Objects that a server is asked for at once.
_ASKED = 16


@dataclass(frozen=True, slots=True)
class Removal:
    """Records that would be removed because their file is gone."""

    collection: str
    count: int
    total: int
    """Records of the collection."""

    @property
    def large(self) -> bool:
        """Whether it is more than a tenth of the collection."""
        return self.count > SHARE * self.total


Agree: TypeAlias = Callable[[Removal], bool]
"""Is asked before a large removal; False leaves the records where they are."""


def disagree(removal: Removal) -> bool:
    """Refuse a large removal: what is done where nobody is asked.

    Raises:
        RemovalUnconfirmed: always.
    """
    raise RemovalUnconfirmed(removal.collection, removal.count, removal.total)


class Disk:
    """The file system as it was found; a folder is looked at once, and not for each file."""

    def __init__(self) -> None:
        self._folders: dict[str, tuple[str, bool]] = {}
        self._empty: dict[str, bool] = {}
        self._mounts: dict[str, bool] = {}

    def is_gone(self, path: Location) -> bool:
        """Tell whether nothing is at a path, for certain.

        A link is there even where it leads nowhere, and what is behind such a link, or in a folder that is
        closed to us, may be there. For an object its server is asked.
        """
        if isinstance(path, ObjectPath):
            return not path.exists()
        text = str(path)
        try:
            os.lstat(text)
        except (FileNotFoundError, NotADirectoryError):
            return not self._nearest(os.path.dirname(text))[1]  # noqa: PTH120 a path for each costs more
        except (OSError, ValueError):  # ValueError: a name with a null byte, in a store made elsewhere
            return False
        return False

    def emptied(self, path: Location) -> str | None:
        """Return the folder that a path which is gone lay in or below, where that is there and empty.

        Of folders that are gone, it is the nearest above them that is there. Objects lie in no folders.
        """
        if isinstance(path, ObjectPath):
            return None
        folder = self._nearest(os.path.dirname(path))[0]  # noqa: PTH120 as above
        return folder if self._is_empty(folder) else None

    def is_unmounted(self, path: Location) -> bool:
        """Tell whether a path that is gone lay in or below a mount point with nothing on it."""
        folder = self.emptied(path)
        return folder is not None and self.is_mount(folder)

    def is_mount(self, folder: str) -> bool:
        """Tell whether a folder is a mount point."""
        if folder not in self._mounts:
            self._mounts[folder] = os.path.ismount(folder)
        return self._mounts[folder]

    def _nearest(self, folder: str) -> tuple[str, bool]:
        """Return the nearest folder that is there, and whether it is a link that leads nowhere."""
        asked = []
        while folder not in self._folders:
            asked.append(folder)
            if os.path.lexists(folder) or folder == os.path.dirname(folder):  # noqa: PTH120 as above
                lost = os.path.islink(folder) and not os.path.exists(folder)  # noqa: PTH110,PTH114 as above
                self._folders[folder] = folder, lost
                break
            folder = os.path.dirname(folder)  # noqa: PTH120 as above
        found = self._folders[folder]
        for each in asked:
            self._folders[each] = found
        return found

    def _is_empty(self, folder: str) -> bool:
        if folder not in self._empty:
            try:
                with os.scandir(folder) as entries:
                    self._empty[folder] = all(entry.name in _NOTHING for entry in entries)
            except OSError:  # it is no folder, or closed to us
                self._empty[folder] = False
        return self._empty[folder]


def is_below(path: Location, roots: Collection[Location]) -> bool:
    """Tell whether a path is one of the roots or below one; `roots` is a set where there are many."""
    if ".." in path.parts:  # in a store made elsewhere; it leads out of the folder
        return False
    return path in roots or any(parent in roots for parent in path.parents)


def find_gone(
    roots: Collection[Location], wanted: Collection[Location], stamps: Mapping[str, Stamp], disk: Disk
) -> dict[str, Location]:
    """Return the records below the roots whose file is gone, as their paths by id.

    Args:
        roots: what is indexed, absolute.
        wanted: files that are there.
        stamps: of the collection, by URI. What is neither a file of this machine nor an object is never gone.
        disk: that says what is there.
    """
    missing = {}
    for uri, stamp in stamps.items():
        path = location_of(uri)
        if path is not None and path not in wanted and is_below(path, roots):
            missing[stamp.id] = path
    gone = are_gone(missing.values(), disk)
    return {
        identity: path for (identity, path), is_gone in zip(missing.items(), gone, strict=True) if is_gone
    }


def are_gone(paths: Collection[Location], disk: Disk) -> list[bool]:
    """Tell of some paths whether nothing is there, for certain."""
    if any(isinstance(path, ObjectPath) for path in paths):  # servers take their time to answer
        with ThreadPoolExecutor(_ASKED, thread_name_prefix="gone") as pool:
            return list(pool.map(disk.is_gone, paths))
    return list(map(disk.is_gone, paths))


class EmptiedFolders:
    """Tells whether it looks as though a disk were not mounted, by where records lie that are gone."""

    def __init__(self, imageless: Iterable[Location], disk: Disk) -> None:
        """Begin.

        Args:
            imageless: roots that are there and without an image.
            disk: that says what is there.
        """
        self._disk = disk
        self._left = dict.fromkeys(imageless, 0)
        """By such a root, records below it that are not gone."""
        self._gone = dict.fromkeys(self._left, 0)
        self._emptied: Counter[str] = Counter()

    def see(self, path: Location, *, gone: bool) -> None:
        """Take a record."""
        counts = self._gone if gone else self._left
        for root in counts:
            if path != root and is_below(path, (root,)):
                counts[root] += 1
        if gone and (folder := self._disk.emptied(path)) is not None:
            self._emptied[folder] += 1

    def check(self, total: int) -> None:
        """Refuse to remove records where it looks so.

        Args:
            total: records of the collection.

        Raises:
            FolderEmpty: all records below a root are gone, and no image is there; or a folder is there,
                empty, that a root or more than a tenth of the collection was in.
        """
        for root, count in self._gone.items():
            if count and not self._left[root]:
                raise FolderEmpty(display(root), count)
        for folder, count in sorted(self._emptied.items()):
            if count > SHARE * total or self._disk.is_mount(folder):
                raise FolderEmpty(display(folder), count)


def check_emptied(
    imageless: Iterable[Location],
    gone: Mapping[str, Location],
    stamps: Mapping[str, Stamp],
    disk: Disk,
) -> None:
    """Refuse to remove records where it looks as though a disk were not mounted.

    Args:
        imageless: roots that are there and without an image.
        gone: paths of the records to remove, by id.
        stamps: of the collection, by URI.
        disk: that says what is there.

    Raises:
        FolderEmpty: see `EmptiedFolders.check`.
    """
    if not gone:
        return
    roots = list(imageless)
    emptied = EmptiedFolders(roots, disk)
    for path in gone.values():
        emptied.see(path, gone=True)
    for uri, stamp in stamps.items() if roots else ():
        if stamp.id not in gone and (there := location_of(uri)) is not None:
            emptied.see(there, gone=False)
    emptied.check(len(stamps))
