"""Directories of tags, as TIFF files and EXIF blocks have them (TIFF 6.0, section 2; libtiff's tiff.h)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

UPRIGHT = 1
"""The EXIF orientation of an image that is stored as it is to be seen (Exif 2.32, section 4.6.4, tag 274)."""

ORIENTATION = 274
"""The tag that tells it; TIFF 6.0 has the same."""

MOST_ENTRIES = 4096
"""Entries of a directory that are read; libtiff takes one of more for no directory (tif_dirread.c)."""


class Entry(NamedTuple):
    """One tag."""

    tag: int
    kind: int
    length: int
    """Values, not bytes."""
    value: bytes
    """The value, or where it lies if it is longer than this field."""
    raw: bytes


class Directory(NamedTuple):
    """Where a directory lies and how its numbers are written."""

    order: str
    big: bool
    start: int

    @classmethod
    def first(cls, data: bytes) -> Directory:
        """Find the first directory of a TIFF or BigTIFF structure, which EXIF is too."""
        order = "<" if data[:2] == b"II" else ">"
        big = struct.unpack_from(order + "H", data, 2) == (43,)
        (start,) = struct.unpack_from(order + ("Q" if big else "L"), data, 8 if big else 4)
        if start > len(data):
            raise EOFError
        return cls(order, big, start)

    def count(self, data: bytes) -> int:
        """Return how many entries it says it has."""
        return int(struct.unpack_from(self.order + ("Q" if self.big else "H"), data, self.start)[0])

    def next(self, data: bytes, count: int) -> int:
        """Return where the directory that follows one of `count` entries begins; 0 where none does."""
        end = self.start + (8 + 20 * count if self.big else 2 + 12 * count)
        if end + (8 if self.big else 4) > len(data):
            return 0
        return int(struct.unpack_from(self.order + ("Q" if self.big else "L"), data, end)[0])

    def entries(self, data: bytes) -> Iterator[Entry]:
        """Yield the entries in their order, `MOST_ENTRIES` of them at most.

        struct.error where the data end before they do.
        """
        layout = struct.Struct(self.order + ("HHQ8s" if self.big else "HHL4s"))
        position = self.start + (8 if self.big else 2)
        for _ in range(min(self.count(data), MOST_ENTRIES)):
            tag, kind, length, value = layout.unpack_from(data, position)
            yield Entry(tag, kind, length, value, data[position : position + layout.size])
            position += layout.size

    def packed(self, entries: list[Entry]) -> bytes:
        """Return a directory of these entries that no other follows."""
        count = struct.pack(self.order + ("Q" if self.big else "H"), len(entries))
        return count + b"".join(entry.raw for entry in entries) + bytes(8 if self.big else 4)

    def number(self, entry: Entry) -> int:
        """Return a single number that is stored in the entry itself; 0 for any other value."""
        code = {1: "B", 3: "H", 4: "L", 16: "Q"}.get(entry.kind, "")
        if not code or (code == "Q" and not self.big):
            return 0
        return int(struct.unpack_from(self.order + code, entry.value)[0])

    def numbers(self, data: bytes, entry: Entry, kind: str) -> NDArray[np.unsignedinteger]:
        """Return the numbers of an entry, shape (length,).

        Args:
            data: the whole file.
            entry: of this directory.
            kind: how each is stored: NumPy's name of an unsigned integer, without its order.

        Raises:
            EOFError: they lie beyond the end of the file.
        """
        dtype = np.dtype(self.order + kind)
        size = entry.length * dtype.itemsize
        if size <= len(entry.value):
            return np.frombuffer(entry.value, dtype, entry.length)
        (offset,) = struct.unpack(self.order + ("Q" if self.big else "L"), entry.value)
        if offset + size > len(data):
            raise EOFError
        return np.frombuffer(data, dtype, entry.length, offset)

    def orientation(self, entry: Entry) -> int:
        """Return the orientation that an entry tells, 1 … 8; UPRIGHT where it makes no sense."""
        value = self.number(entry)
        return value if 1 <= value <= 8 else UPRIGHT


def orientation(block: bytes) -> int:
    """Return the orientation that an EXIF block tells, 1 … 8: 1 where it tells none or is damaged."""
    block = block.removeprefix(b"Exif\0\0")
    try:
        directory = Directory.first(block)
        for entry in directory.entries(block):
            if entry.tag == ORIENTATION:
                return directory.orientation(entry)
    except (EOFError, struct.error):
        pass
    return UPRIGHT
