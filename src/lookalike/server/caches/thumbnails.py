"""A cache of thumbnails."""

from __future__ import annotations

import threading
from collections import OrderedDict

MOST_BYTES = 64 << 20
"""Of small pictures that are kept in memory: some 10,000 of 256 pixels."""


class ThumbnailCache:
    """Small pictures that were made last; threads may share them."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        """Begin with none.

        Args:
            most_bytes: bytes of pictures that are kept.
        """
        self._most = most_bytes
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str | int, ...], bytes] = OrderedDict()
        self.bytes = 0
        """Of all that are kept."""

    def get(self, key: tuple[str | int, ...]) -> bytes | None:
        """Return the picture for a file, as it is, and a size; None where it is not kept."""
        with self._lock:
            found = self._known.get(key)
            if found is not None:
                self._known.move_to_end(key)
            return found

    def put(self, key: tuple[str | int, ...], picture: bytes) -> None:
        """Keep a picture, and as many of the others, the last used first, as there is room for."""
        with self._lock:
            self.bytes += len(picture) - len(self._known.pop(key, b""))
            self._known[key] = picture
            while self.bytes > self._most:
                self.bytes -= len(self._known.popitem(last=False)[1])
