"""Pixels of the pictures that a network is trained on: decoded once, and not once an epoch.

They lie in an unnamed file in the cache folder, whose space is reserved at once and which is gone with the
process, however it ends: 50,000 pictures of 256 × 256 pixels are 10 GB, more than many machines have memory.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from lookalike.errors import UnusableImage
from lookalike.images import decoding
from lookalike.images.levels import AUTO, Range
from lookalike.sources.locations import readable_location

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lookalike.embedders.preprocessing import Preprocessing
    from lookalike.types import Record
    from lookalike.vectors.nearest import Rows

    Pixels: TypeAlias = NDArray[np.uint8]
    """(n, height, width, 3), RGB."""

CHANGED = "its file has changed since it was indexed"
ELSEWHERE = "it is no file on this machine"


def with_margin(preprocessing: Preprocessing) -> Preprocessing:
    """Return the same preprocessing before its middle is cut out: the margin is there for crops."""
    if preprocessing.resize != "shortest" or preprocessing.resize_to is None:
        return preprocessing
    return replace(preprocessing, size=preprocessing.resize_to)


def read_pixels(
    records: Sequence[Record],
    preprocessing: Preprocessing,
    folder: Path,
    lost: dict[str, str],
    step: Callable[[], None],
    levels: Range = AUTO,
) -> Pixels:
    """Decode the pictures of records.

    Args:
        records: n of them.
        preprocessing: how they are resized and cropped.
        folder: where the file with the pixels is; made if it is missing.
        lost: by id why a record has no pixels; added to.
        step: called for each record.
        levels: which samples of more than 8 bits become black and white.

    Returns:
        (n, height, width, 3); zeros for those that are lost.

    Raises:
        OSError: the folder has no room for them.
    """
    height, width = preprocessing.size
    # An empty file cannot be mapped.
    shape = (max(1, len(records)), height, width, 3)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        # Without it a full disk would end the process with a signal, in the middle of an assignment.
        os.posix_fallocate(file.fileno(), 0, int(np.prod(shape, dtype=np.int64)))
        pixels: Pixels = np.memmap(file, np.uint8, "r+", shape=shape)

    def read(row: int) -> str | None:
        record = records[row]
        if record.id in lost:
            return lost[record.id]
        path = readable_location(record.uri)
        if path is None:
            return ELSEWHERE
        try:
            content = path.read_bytes()
            if not record.is_file(hashlib.sha256(content).hexdigest()):
                return CHANGED
            image = decoding.decode(content, str(path), at_least=preprocessing.input_size, levels=levels)
        except UnusableImage as error:
            return error.reason
        except OSError as error:
            return f"cannot be read: {error.strerror or type(error).__name__}"
        except ValueError:  # a name that no file can have, in a store made elsewhere
            return ELSEWHERE
        pixels[row] = preprocessing.pixels(image)
        return None

    pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="pixels")
    try:
        for record, reason in zip(records, pool.map(read, range(len(records))), strict=True):
            if reason is not None:
                lost.setdefault(record.id, reason)
            step()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return pixels


def closed_up(pixels: Pixels, rows: Rows) -> Pixels:
    """Return these rows alone, moved together in place: a copy may be larger than the memory.

    Args:
        pixels: (n, height, width, 3); not to be used afterwards.
        rows: in rising order.

    Returns:
        (len(rows), height, width, 3).
    """
    for to, row in enumerate(rows.tolist()):
        if to != row:
            pixels[to] = pixels[row]
    return pixels[: len(rows)]
