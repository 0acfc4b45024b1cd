"""The folders that a client may have indexed: those below what `lookalike serve --root` names, and no others.

A client names a root by its name and a folder by its path below that; where the root lies on this machine is
not told. What a link leads to has to be below the root, too.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lookalike.errors import SourceError, outcome
from lookalike.file_names import readable
from lookalike.images.film_sampling import FILM_SUFFIXES
from lookalike.server.http.problems import Refused
from lookalike.sources.files import SUFFIXES
from lookalike.sources.objects import ObjectPath, list_level
from lookalike.sources.patterns import Patterns, left_out_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lookalike.schemas.index import FolderProblem
    from lookalike.sources.objects import Location

# What a pattern of .gitignore takes for more than itself.
_SPECIAL = re.compile(r"[\\*?\[\] ]")
# At the end of a pattern they would be cut off, escaped or not.
_BLANK = re.compile(r"[^\S ]")


class Entry(NamedTuple):
    """A folder in another."""

    name: str
    problem: FolderProblem | None
    """Why it cannot be chosen; None where it can."""


class Level(NamedTuple):
    """What lies directly in a folder."""

    folders: list[Entry]
    """By name; without hidden ones and those of systems, which are not indexed either."""
    images: int
    films: int


class AllowedFolders:
    """The folders and prefixes of objects that a client may have indexed, and all below them."""

    def __init__(self, roots: Iterable[Location]) -> None:
        """Take the roots as the settings name them; single files among them are none."""
        every = [root if isinstance(root, ObjectPath) else root.absolute() for root in roots]
        folders = dict.fromkeys(root for root in every if isinstance(root, ObjectPath) or root.is_dir())
        endings = {root: _endings(root) for root in folders}
        counts = Counter(each for tails in endings.values() for each in tails)
        self._roots = {
            next((each for each in tails if counts[each] == 1), tails[-1]): root
            for root, tails in endings.items()
        }

    @property
    def names(self) -> list[str]:
        """What the roots are called: the end of their path that tells one from the others."""
        return list(self._roots)

    def find(self, root: str, path: str) -> Location:
        """Return the folder that a client names; blocks.

        Args:
            root: the name of a root.
            path: below it, parted by slashes; empty for all of it.

        Raises:
            Refused: 404 where there is no such root or folder, 403 where a link leads out of the root.
        """
        top = self._roots.get(root)
        parts = path.split("/") if path else []
        if top is None or any(part in ("", ".", "..") for part in parts) or not _is_nameable(path):
            raise _missing()
        found = top.joinpath(*parts)
        if isinstance(found, ObjectPath):
            return found
        if not _is_below(str(found), top):
            raise Refused(
                403, f"{path!r} is or lies behind a link that leads out of what the service may index"
            )
        if not os.path.isdir(found):  # noqa: PTH112 Path.is_dir raises where a name is too long
            raise _missing()
        return found

    def level(self, root: str, path: str) -> Level:
        """Return what lies directly in a folder; blocks.

        Raises:
            Refused: as `find`; 403 where the folder may not be read, 502 or 503 where a server of objects
                refuses or does not answer.
        """
        found = self.find(root, path)
        if isinstance(found, ObjectPath):
            return _level_of_objects(found)
        try:
            return _level_of_files(found, self._roots[root])
        except PermissionError as error:
            raise Refused(403, "the service may not read this folder") from error
        except OSError as error:
            raise _missing() from error

    def links_outside(self, root: str, folder: Location) -> list[str]:
        """Return patterns of links below a folder that lead out of its root: they are not to be indexed."""
        top = self._roots[root]
        if isinstance(folder, ObjectPath):
            return []
        found = [os.path.relpath(each, folder) for each in _links(folder) if _leads_out(each, folder, top)]
        # As `Patterns` compares names: as people read them.
        return ["/" + _BLANK.sub("?", _SPECIAL.sub(r"\\\g<0>", readable(each))) for each in found]


def _missing() -> Refused:
    return Refused(404, "no such folder is below what `lookalike serve --root` names")


def _is_nameable(path: str) -> bool:
    """Tell whether a file can be called so: half a surrogate pair and a null byte are in no name."""
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def _endings(root: Location) -> list[str]:
    if isinstance(root, ObjectPath):
        return [str(root)]
    parts = root.parts[1:]
    return ["/".join(parts[-count:]) for count in range(1, len(parts) + 1)] or ["/"]


def _is_below(path: str, top: Location) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(top))


def _leads_out(link: str, folder: Path, top: Location) -> bool:
    """Tell whether a link leads out of a root: itself, or by way of another folder of the root.

    Args:
        link: below `folder`.
        folder: all links of which are looked at anyway.
        top: the root.
    """
    todo, seen = [link], set[str]()
    while todo:
        found = os.path.realpath(todo.pop())
        if found in seen or _is_below(found, folder):
            continue
        if not _is_below(found, top):
            return True
        seen.add(found)
        todo += _links(Path(found))
    return False


def _links(folder: Path) -> Iterator[str]:
    """Return every link below a folder, those that lead nowhere and into other folders too."""
    for here, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(here, name)  # noqa: PTH118 one for every file: paths are slow
            if os.path.islink(path):  # noqa: PTH114
                yield path


def _level_of_files(folder: Path, top: Location) -> Level:
    folders, images, films = [], 0, 0
    with os.scandir(folder) as entries:
        for entry in entries:
            suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122 one for every file
            if suffix in SUFFIXES or suffix in FILM_SUFFIXES:
                images += suffix in SUFFIXES
                films += suffix in FILM_SUFFIXES
            elif entry.is_dir() and left_out_folder(entry.name, Patterns()) is None:
                folders.append(Entry(*_entry(entry, top)))
    return _sorted(folders, images, films)


def _entry(entry: os.DirEntry[str], top: Location) -> tuple[str, FolderProblem | None]:
    try:
        entry.name.encode()
    except UnicodeEncodeError:
        return os.fsencode(entry.name).decode("utf-8", "replace"), "unnameable"
    if not _is_below(entry.path, top):
        return entry.name, "outside"
    return entry.name, None if os.access(entry.path, os.R_OK | os.X_OK) else "closed"


def _level_of_objects(folder: ObjectPath) -> Level:
    try:
        folders, files = list_level(folder)
    except SourceError as error:
        raise Refused(outcome(error).status, str(error)) from error
    suffixes = [f".{name.rpartition('.')[2].lower()}" for name in files]
    entries = [Entry(name, None) for name in folders if left_out_folder(name, Patterns()) is None]
    return _sorted(
        entries, sum(each in SUFFIXES for each in suffixes), sum(each in FILM_SUFFIXES for each in suffixes)
    )


def _sorted(folders: Sequence[Entry], images: int, films: int) -> Level:
    return Level(sorted(folders, key=lambda each: (each.name.casefold(), each.name)), images, films)
