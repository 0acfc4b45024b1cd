"""Files below a folder, as a source; how a file is read whole."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from lookalike.errors import PathNotFound, UnusableImage
from lookalike.file_names import display
from lookalike.sources.files import absolute
from lookalike.sources.source import Content, Entry, Status
from lookalike.uris import file_uri, local_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from lookalike.sources.objects import ObjectStatus

# What stores keep integers in.
_INT64 = 1 << 63
# Files of a page.
_PAGE = 1000


def file_time(status: os.stat_result | ObjectStatus) -> int:
    """Return when a file was modified, in nanoseconds since 1970, as far as 64 bits go: to the year 2262.

    Of an object it is the number that stands for that.
    """
    return max(-_INT64, min(status.st_mtime_ns, _INT64 - 1))


def file_status(path: Path) -> os.stat_result:
    """Look at a file.

    Raises:
        UnusableImage: no file has such a name, or it is no file.
        OSError: it is not there, or may not be looked at.
    """
    try:
        status = path.stat()
    except ValueError as error:  # a name with a null byte
        raise UnusableImage(str(path), "cannot be read: no file has such a name") from error
    if not stat.S_ISREG(status.st_mode):
        raise UnusableImage(str(path), "not a file")
    return status


def file_content(path: Path, most: int) -> Content:
    """Read a file whole.

    Args:
        path: of the file.
        most: bytes that are taken.

    Raises:
        UnusableImage: it has more, no file has such a name, or it is no file.
        OSError: it is not there, or may not be read.
    """
    # The status is taken before the bytes: what is written meanwhile shows as a change the next time.
    status = file_status(path)
    if status.st_size > most:
        raise UnusableImage(str(path), f"{status.st_size:,} bytes, more than {most:,}")
    return Content(path.read_bytes(), Status(status.st_size, file_time(status)))


class FolderSource:
    """The files below a folder, as a source."""

    def __init__(self, root: Path) -> None:
        self._root = absolute(root)

    def pages(self) -> Iterator[Sequence[Entry]]:
        """List the regular files; links to folders are not followed."""
        if not self._root.is_dir():
            raise PathNotFound(str(self._root))
        page = []
        for folder, _, names in os.walk(self._root):
            for name in names:
                path = self._root / folder / name
                try:
                    status = file_status(path)
                except (UnusableImage, OSError):
                    continue
                page.append(Entry(file_uri(path), Status(status.st_size, file_time(status))))
                if len(page) == _PAGE:
                    yield page
                    page = []
        yield page

    def stat(self, uri: str) -> Status:
        """Look at one."""
        status = file_status(self._path(uri))
        return Status(status.st_size, file_time(status))

    def read(self, uri: str, most: int) -> Content:
        """Read one."""
        return file_content(self._path(uri), most)

    def sign(self, uri: str, seconds: int) -> str | None:  # noqa: ARG002 the protocol's
        """Return nothing: files have no URL that others could read them by."""
        self._path(uri)
        return None

    def _path(self, uri: str) -> Path:
        path = local_path(uri)
        if path is None or path == self._root or not absolute(path).is_relative_to(self._root):
            raise FileNotFoundError(f"{display(uri)} is not below {display(self._root)}")
        return path
