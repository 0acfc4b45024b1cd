"""The pictures of exported records: read, linked or copied, or the reason why that cannot be."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from lookalike.errors import SourceError, UnusableImage
from lookalike.file_names import display
from lookalike.images.decoding import picture_size
from lookalike.ingest.embedding import MAX_BYTES
from lookalike.sources.frames import FramePath
from lookalike.sources.locations import content, readable_location
from lookalike.types import Skipped
from lookalike.uris import uri_text

if TYPE_CHECKING:
    from lookalike.types import Record


def size_of(record: Record) -> tuple[int, int] | Skipped:
    """Return width and height of a picture: as COCO delivered them, else as its file has them."""
    delivered = record.metadata.get("image")
    if isinstance(delivered, dict):
        width, height = delivered.get("width"), delivered.get("height")
        if isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0:
            return width, height
    read = bytes_of(record)
    if isinstance(read, Skipped):
        return read
    try:
        return picture_size(read, uri_text(record.uri))
    except UnusableImage as error:
        return Skipped(error.path, error.reason)


def bytes_of(record: Record) -> bytes | Skipped:
    """Return the file of a picture."""
    name = uri_text(record.uri)
    place = readable_location(record.uri)
    if place is None:
        return Skipped(name, "it is no file on this machine, nor an object that may be read")
    try:
        return content(place, MAX_BYTES).data
    except OSError as error:
        return Skipped(name, f"cannot be read: {error.strerror}")
    except UnusableImage as error:
        return Skipped(name, error.reason)
    except SourceError as error:
        return Skipped(name, str(error))


def place_picture(record: Record, target: Path, *, copy: bool) -> Skipped | None:
    """Put a picture at a path: as a link to its file, or a copy; an object is copied in any case.

    Returns:
        Why it cannot be, None where it is there.

    Raises:
        OSError: the target cannot be written.
    """
    place = readable_location(record.uri)
    name = uri_text(record.uri)
    if isinstance(place, FramePath):
        return Skipped(name, "it is a frame of a film, and no file of its own")
    if isinstance(place, Path):
        if not place.is_file():
            return Skipped(name, "its file is not there")
        if not copy:
            target.symlink_to(place)
            return None
        try:
            source = place.open("rb")
        except OSError as error:
            return Skipped(name, f"cannot be read: {error.strerror}")
        with source, target.open("wb") as file:
            shutil.copyfileobj(source, file)
        os.utime(target, ns=(place.stat().st_atime_ns, place.stat().st_mtime_ns))
        return None
    read = bytes_of(record)
    if isinstance(read, Skipped):
        return read
    target.write_bytes(read)
    return None


def file_name(record: Record) -> str:
    """Return the name of a record's file; its id where the URI ends in none."""
    name = os.fsdecode(unquote(record.uri.rpartition("/")[2], errors="surrogateescape"))
    usable = name not in ("", ".", "..") and "/" not in name and "\0" not in name
    return name if usable and display(name) == name else record.id
