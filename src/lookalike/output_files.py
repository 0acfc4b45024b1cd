"""Output files: checked before the work they are for, then written whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path

from lookalike.errors import InvalidArgument, OutputFailed


def check_file(path: Path, what: str = "the file") -> None:
    """Refuse a file that cannot be written, before the work is done.

    Args:
        path: the file.
        what: it is.

    Raises:
        InvalidArgument: it is a folder, or would lie in none.
        OutputFailed: its folder may not be written to, or there is no space.
    """
    if path.is_dir():
        raise InvalidArgument(f"{path} is a folder: name a file for {what}")
    if _is_special(path):
        return
    folder = Path(os.path.realpath(path)).parent
    if not folder.is_dir():
        raise InvalidArgument(f"{folder} is no folder: {what} cannot be written there")
    _check_folder(folder, path)


def check_new_folder(path: Path) -> None:
    """Refuse a folder that cannot be made, before the work is done; those above it are made too.

    Raises:
        InvalidArgument: something is there already, or a file is in its way.
        OutputFailed: the folder above may not be written to, or there is no space.
    """
    if path.exists() and not path.is_dir():
        raise InvalidArgument(f"{path} is not empty; name a new folder")
    if path.is_dir() and any(path.iterdir()):
        raise InvalidArgument(f"{path} is not empty; name a new folder")
    above = next(each for each in path.absolute().parents if each.exists())
    if not above.is_dir():
        raise InvalidArgument(f"{above} is no folder: {path.name} cannot be made there")
    _check_folder(above, path)


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; one that is there is replaced, a device or pipe is written to.

    Raises:
        InvalidArgument: see `check_file`.
        OutputFailed: it cannot be written.
    """
    check_file(path)
    try:
        if _is_special(path):
            with path.open("wb") as file:
                file.write(content)
            return
        real = Path(os.path.realpath(path))  # of a link, what it leads to is replaced
        descriptor, name = tempfile.mkstemp(dir=real.parent, prefix=f".{real.name[:40]}-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            Path(name).chmod(0o666 & ~_umask())
            Path(name).replace(real)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputFailed(str(path), error.strerror or str(error)) from error


def _is_special(path: Path) -> bool:
    """Tell whether it is a device, a pipe or the like: /dev/stdout, which must not be replaced by a file."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def _check_folder(folder: Path, path: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputFailed(str(path), f"{folder} may not be written to")
    space = os.statvfs(folder)
    free = space.f_bfree if os.geteuid() == 0 else space.f_bavail
    if space.f_blocks and not free:  # some file systems do not know how large they are
        raise OutputFailed(str(path), os.strerror(errno.ENOSPC))


def _umask() -> int:
    """Return the process's mask for new files; the temporary file has a stricter one."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
