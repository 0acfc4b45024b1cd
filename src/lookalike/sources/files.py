"""Finding images below a folder or a prefix, by their names alone: no file and no object is opened here."""

from __future__ import annotations

import heapq
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lookalike.errors import InvalidArgument, PathNotFound
from lookalike.file_names import display
from lookalike.images.film_sampling import FILM_SUFFIXES
from lookalike.memory import usable_memory
from lookalike.sources.buckets import UNASKABLE
from lookalike.sources.objects import ObjectPath, list_objects
from lookalike.sources.patterns import (
    LeftOut,
    Patterns,
    Tally,
    file_names,
    hidden_file,
    left_out_folder,
    split_masks,
)
from lookalike.types import Skipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from lookalike.sources.objects import Location

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".bmp", ".tif", ".tiff", ".gif"}
    | {".heic", ".heics", ".heif", ".heifs", ".hif", ".avif", ".avifs"}
    | {".jp2", ".j2k", ".jpc", ".jpf", ".jpx", ".j2c", ".pbm", ".pgm", ".ppm", ".pnm", ".pfm"}
)
"""What an image's name ends in, in lower case: as Pillow and pi-heif register it for those formats."""


@dataclass(frozen=True, slots=True)
class Found:
    """Every file below a folder, each list sorted by the bytes of the path."""

    images: Sequence[Location] = ()
    """Absolute, through the links that led there."""
    others: Sequence[Location] = ()
    """Regular files of any other name: labels may be among them."""
    skipped: list[Skipped] = field(default_factory=list)
    """Folders that cannot be read, and what is named like an image but is no file."""
    left_out: list[LeftOut] = field(default_factory=list)
    """What is named like an image and is none to index, by reason: hidden files, thumbnails of a NAS, masks,
    and what the patterns leave out."""


def find(
    path: Location,
    patterns: Patterns | None = None,
    manifest: Sequence[ObjectPath] | None = None,
    *,
    films: bool = False,
) -> Found:
    """List the images in a folder and in all folders below it, or the objects below a prefix.

    Links are followed, out of `path` too, and each real folder is visited once: by its own name where it lies
    below `path`, else by the first link to it. Hidden folders and those of systems, see `left_out`, are only
    looked into to count what is left out; hidden files are no images (`._x.jpg` is what macOS leaves beside
    x.jpg), nor are masks. `path` itself may be any of these.

    Args:
        path: a folder, or a single file or object, which is an image whatever its name.
        patterns: what the user leaves out or restricts the run to; by default nothing.
        manifest: the objects that there are, with their status; None: the server lists them.
        films: whether films are found as images are.

    Returns:
        What was found, below `path` made absolute; links in it are not resolved. Names are left as they are.

    Raises:
        PathNotFound: there is nothing at `path`.
        InvalidArgument: there are more files than may be in memory.
        SourceError: the objects cannot be listed.
    """
    patterns = patterns or Patterns()
    suffixes = SUFFIXES | FILM_SUFFIXES if films else SUFFIXES
    if isinstance(path, ObjectPath):
        return _find_objects(path, patterns, manifest, suffixes)
    root = absolute(path)
    try:
        status = root.stat()
    except PermissionError as error:
        return Found(skipped=[Skipped(str(root), f"cannot be read: {_words(error)}")])
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        raise PathNotFound(str(path)) from error
    if stat.S_ISREG(status.st_mode):
        reason = patterns.reason(file_names(root))
        return Found(left_out=[LeftOut(reason, 1, str(root))]) if reason else Found(images=[root])
    if not stat.S_ISDIR(status.st_mode):
        return Found(skipped=[Skipped(str(root), _NO_FILE)])
    walk = _Walk(patterns, suffixes)
    most = usable_memory() // _LISTED_BYTES
    for _ in walk.steps(str(root)):
        if len(walk.images) + len(walk.others) > most:
            raise _too_many(root, most)
    return _chosen(str(root), walk, patterns, Path)


def _find_objects(
    root: ObjectPath,
    patterns: Patterns,
    manifest: Sequence[ObjectPath] | None,
    suffixes: frozenset[str],
) -> Found:
    walk = _ObjectWalk(patterns, suffixes)
    if manifest is None:
        walk.run(root, _no_more(root, list_objects(root, skip=walk.skip)))
    else:
        walk.run(root, [[path for path in manifest if path != root and path.is_relative_to(root)]])
    alone = not walk.paths and (manifest is None or root in manifest) and root.is_file()
    if not alone and (walk.paths or walk.skipped or manifest is not None):
        return _chosen(str(root), walk, patterns, walk.paths.__getitem__)
    if not alone:
        more = "a pattern is given by --include, beside the prefix" if "*" in root.key else ""
        raise PathNotFound(display(str(root)), more)
    reason = patterns.reason([root.name, root.key])
    return Found(left_out=[LeftOut(reason, 1, str(root))]) if reason else Found(images=[root])


def _no_more(root: ObjectPath, pages: Iterable[list[ObjectPath]]) -> Iterator[list[ObjectPath]]:
    """Yield pages of objects, as far as all of them may be in memory."""
    most = usable_memory() // _LISTED_BYTES
    count = 0
    for page in pages:
        count += len(page)
        if count > most:
            raise _too_many(root, most)
        yield page


def _too_many(root: Location, most: int) -> InvalidArgument:
    return InvalidArgument(
        f"{display(str(root))}: more than {most:,} files, which is what fits into memory here at "
        f"{_LISTED_BYTES:,} bytes a file: index the folders below it one by one, or list it in pages with "
        "--workers ray, which runs on one machine, too"
    )


class Listing:
    """What is below a folder or a prefix, a page at a time: all of it is in memory at no time.

    The same files as `find` finds, in the order in which they are listed. An object may come twice where
    another's key is spelt as its own but for slashes, and an empty one that stands for a folder as a file.
    """

    def __init__(
        self,
        root: Location,
        patterns: Patterns,
        pages: Callable[[Callable[[str], None]], Iterable[Sequence[ObjectPath]]] | None = None,
        *,
        films: bool = False,
    ) -> None:
        """Take the folder or prefix.

        Args:
            root: absolute.
            patterns: what the user leaves out.
            pages: list objects from the first, and tell of those that cannot be asked for; None: the server
                does.
            films: whether films are found as images are.
        """
        self.root = root
        self._suffixes = SUFFIXES | FILM_SUFFIXES if films else SUFFIXES
        self._patterns = patterns
        self._pages = pages
        self.skipped: list[Skipped] = []
        """Of the last listing: folders that cannot be read, and so on; the first few."""
        self.more_skipped = 0
        self.left_out: list[LeftOut] = []
        """Of the last listing, as in `Found`; without what the user's patterns leave out, and masks."""

    def pages(self) -> Iterator[Found]:
        """List all from the first, each page not sorted; masks and what the patterns leave out are there.

        Raises:
            PathNotFound: there is no such folder.
            SourceError: the objects cannot be listed.
        """
        self.skipped, self.more_skipped, self.left_out = [], 0, []
        root = self.root
        walk: _Walk | _ObjectWalk
        if isinstance(root, ObjectPath):
            objects = walk = _ObjectWalk(self._patterns, self._suffixes)
            skip = objects.skip
            for page in list_objects(root, skip=skip) if self._pages is None else self._pages(skip):
                objects.run(root, [[path for path in page if path != root and path.is_relative_to(root)]])
                yield self._taken(walk, objects.paths.__getitem__)
                objects.paths.clear()
        else:
            if not root.is_dir():
                raise PathNotFound(display(root))
            walk = _Walk(self._patterns, self._suffixes)
            for _ in walk.steps(str(root)):
                yield self._taken(walk, Path)
            yield self._taken(walk, Path)
        self.left_out = walk.left_out.counted()

    def _taken(self, walk: _Walk | _ObjectWalk, place: Callable[[str], Location]) -> Found:
        """Take what a walk has found since, and keep the first few that it could not."""
        images, others = map(place, walk.images), map(place, walk.others)
        found = Found(list(images), list(others))
        room = max(0, _SKIPPED_KEPT - len(self.skipped))
        self.skipped += walk.skipped[:room]
        self.more_skipped += len(walk.skipped[room:])
        walk.images, walk.others, walk.skipped = [], [], []
        return found


def _chosen(
    root: str, walk: _Walk | _ObjectWalk, patterns: Patterns, place: Callable[[str], Location]
) -> Found:
    """Return what was found without masks, and without what the patterns leave out."""
    images, masks = split_masks(root, walk.images, patterns)
    below = len(root.rstrip("/")) + 1
    if patterns.exclude or patterns.include:
        images = [name for name in images if not walk.left_out.add(patterns.reason([name[below:]]), name)]
        walk.others = [name for name in walk.others if not patterns.leaves_out(name[below:])]
        walk.skipped = [skip for skip in walk.skipped if not patterns.leaves_out(skip.path[below:])]
    return Found(
        images=[place(name) for name in sorted(images, key=os.fsencode)],
        others=[place(name) for name in sorted(walk.others, key=os.fsencode)],
        skipped=sorted(walk.skipped, key=lambda skipped: os.fsencode(skipped.path)),
        left_out=[*walk.left_out.counted(), *masks],
    )


# Files and folders that cannot be read, of which a listing in pages keeps the paths.
_SKIPPED_KEPT = 1000
# Files of a page; of objects, it is what a server gives in one answer.
_PAGE = 1000

# What a file that is found takes in memory (docs/scale.md).
_LISTED_BYTES = 700

_NO_FILE = "neither a file nor a folder"
_SLASHES = "its key begins or ends with a slash, and cannot be asked for: rename it"


def absolute(path: Path) -> Path:
    """Return `path` absolute and without `..`, so that one file has one name however it was spelt.

    Links are not followed: a folder and a link to it are two names.
    """
    plain = Path(os.path.abspath(path))  # noqa: PTH100 - Path.absolute keeps `..`, Path.resolve follows links
    try:
        # After a link, `..` is not the folder before it.
        same = plain.samefile(path)
    except (OSError, ValueError):
        # Nothing is there, or not any more; the folder that it lay in may be.
        named = path.name not in ("", "..")
        return absolute(path.parent) / path.name if named else path.absolute()
    return plain if same else path.absolute()


def _words(error: OSError) -> str:
    return (error.strerror or "input/output error").lower()


class _Walk:
    def __init__(self, patterns: Patterns, suffixes: frozenset[str]) -> None:
        self._suffixes = suffixes
        self.left_out = Tally()
        self.images: list[str] = []
        self.others: list[str] = []
        self.skipped: list[Skipped] = []
        self._patterns = patterns
        self._unvisited: list[tuple[str, str]] = []
        """Folders that are left out, and why."""
        self._seen: set[tuple[int, int]] = set()
        self._folders: list[str] = []
        self._links: list[tuple[bytes, str]] = []
        """A heap: links wait until all real folders are done, and then come in order of their bytes."""

    def steps(self, root: str) -> Iterator[None]:
        """Walk, and stop whenever a page is full: what was found so far may be taken then."""
        self._folders.append(root)
        while self._folders or self._links:
            yield from self._visit(self._folders.pop() if self._folders else heapq.heappop(self._links)[1])
        for folder, reason in self._unvisited:
            self._count(folder, reason)

    def _count(self, folder: str, reason: str) -> None:
        """Count the images in a folder that is left out, unless a link has led into it."""
        for directory, folders, names in os.walk(folder):
            try:
                status = os.stat(directory)  # noqa: PTH116 as below
            except OSError:
                continue
            if (status.st_dev, status.st_ino) in self._seen:
                folders.clear()
                continue
            self._seen.add((status.st_dev, status.st_ino))
            for name in names:
                if _is_image(name, self._suffixes):
                    self.left_out.add(reason, f"{directory}/{name}")

    def _visit(self, folder: str) -> Iterator[None]:
        try:
            status = os.stat(folder)  # noqa: PTH116 - a Path for each folder costs more than the call
            if (status.st_dev, status.st_ino) in self._seen:
                return
            self._seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                for entry in entries:
                    self._sort(entry)
                    if len(self.images) + len(self.others) >= _PAGE:
                        yield
        except OSError as error:
            self.skipped.append(Skipped(folder, f"folder cannot be read: {_words(error)}"))

    def _sort(self, entry: os.DirEntry[str]) -> None:
        name = entry.name
        hidden = hidden_file(name, self._patterns)
        named = _is_image(name, self._suffixes)
        image = named and not hidden
        try:
            # The kernel tells the kind with the name; only links, and some file systems, cost a stat here.
            if entry.is_file():
                (self.images if image else self.others).append(entry.path)
                if named and hidden:
                    self.left_out.add("with hidden names", entry.path)
            elif entry.is_dir():
                self._sort_folder(entry, image=image)
            elif image:
                broken = entry.is_symlink() and not os.path.exists(entry.path)  # noqa: PTH110 - as above
                self.skipped.append(Skipped(entry.path, "a link that leads nowhere" if broken else _NO_FILE))
        except OSError as error:  # a link into a folder that is closed to us, or one onto itself
            if image:
                self.skipped.append(Skipped(entry.path, f"cannot be read: {_words(error)}"))

    def _sort_folder(self, entry: os.DirEntry[str], *, image: bool) -> None:
        if reason := left_out_folder(entry.name, self._patterns):
            if not entry.is_symlink():
                self._unvisited.append((entry.path, reason))
            return
        if image:
            self.skipped.append(Skipped(entry.path, "a folder, although named like an image"))
        if entry.is_symlink():
            heapq.heappush(self._links, (os.fsencode(entry.path), entry.path))
        else:
            self._folders.append(entry.path)


class _ObjectWalk:
    """The objects below a prefix, sorted as the files of a folder are."""

    def __init__(self, patterns: Patterns, suffixes: frozenset[str]) -> None:
        self._suffixes = suffixes
        self.left_out = Tally()
        self.images: list[str] = []
        self.others: list[str] = []
        self.skipped: list[Skipped] = []
        self.paths: dict[str, ObjectPath] = {}
        """All of them, by their names."""
        self._patterns = patterns
        self._folders: dict[tuple[str, ...], str | None] = {}

    def run(self, root: ObjectPath, pages: Iterable[Sequence[ObjectPath]]) -> None:
        above = len(root.parts)
        empty = []
        for page in pages:
            for path in page:
                text, parts = str(path), path.parts[above:]
                if path.empty:
                    empty.append((text, parts))
                elif text in self.paths or not parts:
                    self.skipped.append(Skipped(text, _SLASHES))
                else:
                    self.paths[text] = path
                    self._sort(text, parts)
        for text, parts in empty:
            # Consoles make an empty object `folder/` for a folder, which is listed without the slash.
            if parts and parts not in self._folders and text not in self.paths:
                self.paths[text] = root.joinpath(*parts)
                self._sort(text, parts)

    def skip(self, text: str) -> None:
        """Leave out an object that cannot be asked for."""
        self.skipped.append(Skipped(text, UNASKABLE))

    def _sort(self, text: str, parts: Sequence[str]) -> None:
        *folders, name = parts
        named = _is_image(name, self._suffixes)
        reason = self._folder(tuple(folders))
        if reason:
            self.left_out.add(reason if named else None, text)
            return
        hidden = hidden_file(name, self._patterns)
        (self.images if named and not hidden else self.others).append(text)
        if named and hidden:
            self.left_out.add("with hidden names", text)

    def _folder(self, folders: tuple[str, ...]) -> str | None:
        """Return why a folder, or one that it is in, is left out; the outermost counts."""
        if folders not in self._folders:
            above = self._folder(folders[:-1]) if folders else None
            self._folders[folders] = above or (
                left_out_folder(folders[-1], self._patterns) if folders else None
            )
        return self._folders[folders]


def _is_image(name: str, suffixes: frozenset[str]) -> bool:
    return os.path.splitext(name)[1].lower() in suffixes  # noqa: PTH122 - for speed, as above
