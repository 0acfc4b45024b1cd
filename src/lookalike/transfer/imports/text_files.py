"""Files of text, packed or not, in whatever encoding they were written."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import zlib
from contextlib import contextmanager
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from lookalike.arrow import pyarrow
from lookalike.errors import InvalidArgument
from lookalike.file_names import display
from lookalike.labels.encodings import ENCODINGS, MARKS, check_encoding, guess_encoding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import TextIO

_CHUNK = 1 << 20
# Bytes that an encoding is guessed of.
_SAMPLE = 200_000


def _zstandard(path: Path) -> BinaryIO:
    pa = pyarrow("unpacking .zst")
    return cast("BinaryIO", pa.CompressedInputStream(pa.OSFile(str(path)), "zstd"))


_PACKED: dict[str, Callable[[Path], Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": _zstandard,
}


def bare_suffix(path: PurePath) -> str:
    """Return what a file's name ends in, in small letters, without that of its packing: .csv of a.csv.gz."""
    suffix = path.suffix.lower()
    return PurePath(path.stem).suffix.lower() if suffix in _PACKED else suffix


def is_packed(path: PurePath) -> bool:
    """Tell whether a file is packed, by its name."""
    return path.suffix.lower() in _PACKED


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """Open a file, and unpack it as it is read.

    Raises:
        InvalidArgument: it cannot be opened or unpacked, there or later.
        ExtraMissing: pyarrow is needed, and not installed.
    """
    try:
        with _PACKED.get(path.suffix.lower(), io.FileIO)(path) as file:
            yield io.BufferedReader(file) if isinstance(file, io.FileIO) else file
    except UnicodeError:
        raise
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        why = getattr(error, "strerror", None) or error
        raise InvalidArgument(f"{display(path)} cannot be read: {why}") from error


@contextmanager
def open_text(path: Path, encoding: str) -> Iterator[TextIO]:
    """Open a text, and unpack it as it is read; ends of lines are as they are there.

    Raises:
        InvalidArgument: it cannot be read, or is not in the encoding, there or later.
        ExtraMissing: pyarrow is needed, and not installed.
    """
    try:
        with open_bytes(path) as file, io.TextIOWrapper(file, encoding=encoding, newline="") as text:
            yield text
    except UnicodeError as error:
        raise InvalidArgument(f"{display(path)} is no {encoding} (--encoding)") from error


def find_encoding(path: Path, said: str | None) -> tuple[str, str | None]:
    """Return the encoding of a text, and what was assumed of it.

    Args:
        path: the file.
        said: what a person says; what the file's first bytes say is surer.

    Raises:
        InvalidArgument: there is no such encoding, or the file cannot be read.
    """
    checked = None if said is None else check_encoding(said)
    with open_bytes(path) as file:
        first = file.read(_SAMPLE)
    for mark, encoding in MARKS:
        if first.startswith(mark):
            return encoding, None
    if checked is not None:
        return checked, None
    if len(first) >= 2 and 0 in first[:2] and first[:2] != b"\0\0":  # one sign of ASCII in UTF-16
        wide = "utf-16-be" if first[0] == 0 else "utf-16-le"
        if _decodes(path, wide):
            return wide, f"it has no mark of its encoding, and is read as {wide}"
    if _decodes(path, "utf-8"):
        return "utf-8-sig", None
    guessed = guess_encoding(first[: first.rfind(b"\n") + 1] or first)
    known = () if guessed is None else (guessed,)
    found = next(one for one in (*known, *ENCODINGS, "latin-1") if _decodes(path, one))
    return found, f"it is not UTF-8, and read as {found}: --encoding NAME reads it otherwise"


def _decodes(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with open_bytes(path) as file:
            while piece := file.read(_CHUNK):
                decoder.decode(piece)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
