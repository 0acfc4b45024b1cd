"""Uploaded images as files, named by digest and written atomically."""

from __future__ import annotations

import errno
import logging
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lookalike.errors import UnusableImage
from lookalike.images.formats import format_of
from lookalike.integrity.uploads_check import ABANDONED_SECONDS, UPLOAD
from lookalike.output_files import replace_file
from lookalike.server.http.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable

_LOG = logging.getLogger("lookalike.server")

# EFBIG: a limit on the size of files (setrlimit(2), RLIMIT_FSIZE).
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


# Bytes of a name in most file systems: NAME_MAX in limits.h of Linux.
_LONGEST = 255


class UploadFolder:
    """The folder of uploaded images: FOLDER/COLLECTION/ab/ab….jpg."""

    def __init__(self, folder: Path) -> None:
        """Name the folder, which is made when the first picture comes."""
        # The real path: a picture has one name, and one id, by whatever link the folder is named.
        self.folder = Path(os.path.realpath(folder))

    def keep(self, collection: str, data: bytes, digest: str) -> tuple[Path, bool]:
        """Write a picture, unless it is there as it is; on return it survives a kill, and a loss of power.

        Args:
            collection: the name of the collection, as the store has it.
            data: a picture of one of the six formats.
            digest: SHA-256 of `data`.

        Returns:
            Where it is, and whether it is new.

        Raises:
            UnusableImage: it has none of the six formats.
            Refused: 507 where no space is left; 500 where the folder cannot be written to.
        """
        kind = format_of(data)
        if kind is None:
            raise UnusableImage(digest, "it is not an image")
        path = self.folder / _folder_name(collection) / digest[:2] / f"{digest}{kind.suffix}"
        try:
            there = path.is_file()
            # Read, for what was damaged since is mended by adding it again.
            if there and path.stat().st_size == len(data) and path.read_bytes() == data:
                if time.time() - path.stat().st_mtime > ABANDONED_SECONDS / 2:
                    # It may be one without a record, which `lookalike check --repair` removes when it is old.
                    os.utime(path)
                return path, False
            _make_folder(path.parent)
            _write(path, data)
        except OSError as error:
            if error.errno in _FULL:
                raise Refused(507, "no space is left for added pictures; nothing was added") from error
            _LOG.error("an added picture cannot be kept: %s", error)
            raise Refused(
                500, f"added pictures cannot be kept: {error.strerror}; the service's log says more"
            ) from error
        return path, not there

    def holds(self, path: Path) -> bool:
        """Tell whether a file is one that `keep` wrote, by its path."""
        try:
            return UPLOAD.fullmatch(str(path.relative_to(self.folder))) is not None
        except ValueError:
            return False

    def remove(self, paths: Iterable[Path]) -> None:
        """Remove files of ours, and the folders that are empty then."""
        for path in paths:
            if not self.holds(path):
                continue
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                _LOG.warning("a picture that was removed cannot be deleted: %s", error)
                continue
            with suppress(OSError):  # not empty, or in use by another process
                path.parent.rmdir()
                path.parent.parent.rmdir()


def _folder_name(collection: str) -> str:
    """Return the name, shortened to what file systems take: two collections may share a folder."""
    while len(os.fsencode(collection)) > _LONGEST:
        collection = collection[:-1]
    return collection


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, and let the disk know of each."""
    missing = [folder, *folder.parents]
    missing = missing[: next(place for place, each in enumerate(missing) if each.is_dir())]
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        _sync_folder(each.parent)


def _write(path: Path, data: bytes) -> None:
    """Write a file in one step, and to the disk, its name too."""
    _remove_abandoned(path.parent)
    replace_file(path, data, synced=True)
    _sync_folder(path.parent)


def _remove_abandoned(folder: Path) -> None:
    """Remove the parts of pictures that a kill left in a folder."""
    for part in folder.glob(".*.part"):
        with suppress(OSError):  # another process was faster
            if time.time() - part.stat().st_mtime > ABANDONED_SECONDS:
                part.unlink()


def _sync_folder(folder: Path) -> None:
    """Write to the disk which names a folder has, which fsync of a file does not do (fsync(2))."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
