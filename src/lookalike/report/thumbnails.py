"""Thumbnails for a report, as large as its size allows."""

from __future__ import annotations

import base64
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lookalike.errors import UnusableImage
from lookalike.file_names import display
from lookalike.images.levels import AUTO, Range
from lookalike.images.thumbnails import thumbnails
from lookalike.ingest.embedding import MAX_BYTES
from lookalike.sources.locations import content, readable_location

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.types import Record

BUDGET = 13_000_000
"""Characters that the pictures of a report may take: the file stays below 20 MB with Bokeh's 1.3 MB, the
mistakes and a map of 10,000 points."""

# Longer side in pixels, the largest first; below the last nobody recognises anything.
_SIZES = (128, 96, 80, 64, 56, 48, 40, 32)
# Images whose pictures are made in every size to choose one.
_SAMPLE = 40
# WebP at this quality shows texture at about half the bytes of a JPEG.
_QUALITY = 60
_LEFT_OUT = "no room for its picture in this file"


@dataclass(slots=True)
class Thumbnails:
    """The pictures of a report, by the id of their record."""

    levels: Range = AUTO
    """By which pictures of more than 8 bits are shown."""
    pictures: dict[str, str] = field(default_factory=dict)
    """WebP in base64."""
    missing: dict[str, str] = field(default_factory=dict)
    """Why there is none."""

    @property
    def size(self) -> int:
        """Characters that the pictures take."""
        return sum(map(len, self.pictures.values()))

    def add(self, records: Sequence[Record], budget: int, largest: int = _SIZES[0]) -> None:
        """Add pictures of those records that have none yet, all of one size that the budget allows.

        Args:
            records: whose pictures; a file that cannot be read has a reason for picture.
            budget: characters that they may take together.
            largest: longer side in pixels, at most.
        """
        todo = list({record.id: record for record in records if record.id not in self.pictures}.values())
        if not todo:
            return
        sizes = [size for size in _SIZES if size <= largest]
        with ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="thumbnail") as pool:
            sample = todo[:: max(1, len(todo) // _SAMPLE)]
            tried = [
                made
                for made in pool.map(lambda record: _pictures(record, sizes, self.levels, {}), sample)
                if made[0]
            ]
            wanted = sizes[-1]
            for place, size in enumerate(sizes):
                mean = sum(len(made[0][place]) for made in tried) / max(1, len(tried))
                if mean * len(todo) <= budget:
                    wanted = size
                    break
            seen: dict[str, list[str]] = {}
            found = pool.map(lambda record: _pictures(record, [wanted], self.levels, seen), todo)
            for record, (made, reason) in zip(todo, found, strict=True):
                if made and len(made[0]) <= budget:
                    self.pictures[record.id] = made[0]
                    budget -= len(made[0])
                else:
                    self.missing[record.id] = reason or _LEFT_OUT

    def put(self, key: str, data: bytes, name: str, size: int) -> None:
        """Add a picture that is no record's.

        Args:
            key: by which the page names it.
            data: the whole file.
            name: what the error calls it.
            size: longer side in pixels.
        """
        try:
            (made,) = thumbnails(data, name, [size], quality=_QUALITY, levels=self.levels)
        except UnusableImage as error:
            self.missing[key] = error.reason
        else:
            self.pictures[key] = base64.b64encode(made).decode()


def _pictures(
    record: Record, sizes: Sequence[int], levels: Range, seen: dict[str, list[str]]
) -> tuple[list[str], str]:
    """Return the picture of a record in several sizes, the largest first; or none and the reason.

    Args:
        record: whose picture.
        sizes: of the longer side in pixels.
        levels: by which pictures of more than 8 bits are shown.
        seen: gets the pictures by the digest of their file, and gives them for copies of it.
    """
    path = readable_location(record.uri)
    if path is None:
        return [], "it is no file on this machine"
    try:
        data = content(path, MAX_BYTES).data
        digest = hashlib.sha256(data).hexdigest()
        if not record.is_file(digest):
            return [], "its file has changed since it was indexed"
        if digest not in seen:
            made = thumbnails(data, str(path), sizes, quality=_QUALITY, levels=levels)
            seen[digest] = [base64.b64encode(each).decode() for each in made]
    except UnusableImage as error:
        return [], error.reason
    except OSError as error:
        return [], f"cannot be read: {error.strerror or display(str(error))}"
    except ValueError:  # a name that no file can have, in a store made elsewhere
        return [], "cannot be read: no such file"
    return seen[digest], ""
