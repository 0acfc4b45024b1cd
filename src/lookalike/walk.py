"""Which files below a folder are images, by their names alone: no file is opened here."""

from __future__ import annotations

import heapq
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from lookalike.errors import PathNotFound
from lookalike.records import Skipped

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".bmp", ".tif", ".tiff", ".gif"}
)
"""What an image's name ends in, in lower case: those that Pillow registers for the six formats."""


@dataclass(frozen=True, slots=True)
class Found:
    """Every file below a folder, each list sorted by the bytes of the path."""

    images: list[Path] = field(default_factory=list)
    """Absolute, through the links that led there."""
    others: list[Path] = field(default_factory=list)
    """Regular files of any other name: labels may be among them."""
    skipped: list[Skipped] = field(default_factory=list)
    """Folders that cannot be read, and what is named like an image but is no file."""


def find(path: Path) -> Found:
    """List the images in a folder and in all folders below it.

    Links are followed, out of `path` too, and each real folder is visited once: by its own name where it lies
    below `path`, else by the first link to it. Hidden folders are not visited, and hidden files are no images
    (`._x.jpg` is what macOS leaves beside x.jpg); `path` itself may be hidden.

    Args:
        path: a folder, or a single file, which is an image whatever its name.

    Returns:
        What was found, below `path` made absolute; links in it are not resolved. Names are left as they are.

    Raises:
        PathNotFound: there is nothing at `path`.
    """
    root = absolute(path)
    try:
        status = root.stat()
    except PermissionError as error:
        return Found(skipped=[Skipped(str(root), f"cannot be read: {_words(error)}")])
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        raise PathNotFound(str(path)) from error
    if stat.S_ISREG(status.st_mode):
        return Found(images=[root])
    if not stat.S_ISDIR(status.st_mode):
        return Found(skipped=[Skipped(str(root), _NO_FILE)])
    walk = _Walk()
    walk.run(str(root))
    return Found(
        images=[Path(name) for name in sorted(walk.images, key=os.fsencode)],
        others=[Path(name) for name in sorted(walk.others, key=os.fsencode)],
        skipped=sorted(walk.skipped, key=lambda skipped: os.fsencode(skipped.path)),
    )


_NO_FILE = "neither a file nor a folder"


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
    def __init__(self) -> None:
        self.images: list[str] = []
        self.others: list[str] = []
        self.skipped: list[Skipped] = []
        self._seen: set[tuple[int, int]] = set()
        self._folders: list[str] = []
        self._links: list[tuple[bytes, str]] = []
        """A heap: links wait until all real folders are done, and then come in order of their bytes."""

    def run(self, root: str) -> None:
        self._folders.append(root)
        while self._folders or self._links:
            self._visit(self._folders.pop() if self._folders else heapq.heappop(self._links)[1])

    def _visit(self, folder: str) -> None:
        try:
            status = os.stat(folder)  # noqa: PTH116 - a Path for each folder costs more than the call
            if (status.st_dev, status.st_ino) in self._seen:
                return
            self._seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                for entry in entries:
                    self._sort(entry)
        except OSError as error:
            self.skipped.append(Skipped(folder, f"folder cannot be read: {_words(error)}"))

    def _sort(self, entry: os.DirEntry[str]) -> None:
        name = entry.name
        hidden = name.startswith(".")
        image = not hidden and os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122 - for speed, as above
        try:
            # The kernel tells the kind with the name; only links, and some file systems, cost a stat here.
            if entry.is_file():
                (self.images if image else self.others).append(entry.path)
            elif entry.is_dir():
                if image:
                    self.skipped.append(Skipped(entry.path, "a folder, although named like an image"))
                if not hidden and entry.is_symlink():
                    heapq.heappush(self._links, (os.fsencode(entry.path), entry.path))
                elif not hidden:
                    self._folders.append(entry.path)
            elif image:
                broken = entry.is_symlink() and not os.path.exists(entry.path)  # noqa: PTH110 - as above
                self.skipped.append(Skipped(entry.path, "a link that leads nowhere" if broken else _NO_FILE))
        except OSError as error:  # a link into a folder that is closed to us, or one onto itself
            if image:
                self.skipped.append(Skipped(entry.path, f"cannot be read: {_words(error)}"))
