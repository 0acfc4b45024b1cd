"""Output files: checked before the work they are for, then written whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from typing import IO, TYPE_CHECKING

from lookalike.errors import InvalidArgument, OutputFailed

if TYPE_CHECKING:
    from collections.abc import Iterator


# What makes a spreadsheet calculate a cell: https://owasp.org/www-community/attacks/CSV_Injection.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


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
    """Write a file whole or not at all; see `new_file`."""
    with new_file(path) as file:
        file.write(content)


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """Write a file piece by piece: it takes its place when the block ends, and else nothing of it is left.

    One that is there is replaced; a device or pipe is written to.

    Args:
        path: the file.

    Yields:
        What is written to.

    Raises:
        InvalidArgument: see `check_file`.
        OutputFailed: it cannot be written.
    """
    check_file(path)
    try:
        if _is_special(path):
            with path.open("wb") as file:
                yield file
            return
        with _part(Path(os.path.realpath(path))) as file:  # of a link, what it leads to is replaced
            yield file
    except OSError as error:
        raise OutputFailed(str(path), error.strerror or str(error)) from error


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Fill a folder: it takes its place when the block ends, and else nothing of it is left.

    Args:
        path: the folder, which is not there, or empty.

    Yields:
        A folder beside it, which is to be filled.

    Raises:
        InvalidArgument: see `check_new_folder`.
        OutputFailed: it cannot be written.
    """
    check_new_folder(path)
    part = _beside(path)
    try:
        part.mkdir(parents=True)
        yield part
        with suppress(FileNotFoundError):
            path.rmdir()
        part.replace(path)
    except OSError as error:
        raise OutputFailed(str(path), error.strerror or str(error)) from error
    finally:
        rmtree(part, ignore_errors=True)


def replace_file(path: Path, *content: bytes | memoryview, mode: int = 0o666, synced: bool = False) -> None:
    """Write a file in one step: whoever reads it gets all of it, or what was there before.

    Args:
        path: the file, in a folder that is there.
        content: its parts, one after the other.
        mode: of the file, of which the process's mask takes away what it does.
        synced: whether the content is on the disk on return, so that it survives a loss of power.

    Raises:
        OSError: it cannot be written; nothing of it is left.
    """
    with _part(path, mode) as file:
        file.writelines(content)
        if synced:
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def _part(path: Path, mode: int = 0o666) -> Iterator[IO[bytes]]:
    """Yield a file that becomes the one of that path at the end; else nothing of it is left."""
    part = _beside(path)
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            yield file
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def _beside(path: Path) -> Path:
    """Return the name of what becomes a file or folder; hidden: what a kill leaves is nothing for `index`."""
    return path.with_name(f".{path.name[:40]}.{secrets.token_hex(8)}.part")


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


def plain_cell(value: object) -> object:
    """Return a value as no spreadsheet calculates it: a text that looks like a formula has a quotation mark.

    At the beginning it says that a text follows, and is not shown by most.
    """
    if isinstance(value, str) and value.lstrip(" ").startswith(_FORMULA):
        return f"'{value}"
    return value
