"""A cache of thumbnails."""

from __future__ import annotations

import threading
from contextlib import suppress

from cachetools import LRUCache

MOST_BYTES = 64 << 20
"""Of thumbnails in memory: some 10,000 of 256 pixels."""


class ThumbnailCache:
    """The thumbnails that were used last; thread-safe."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        """Begin empty.

        Args:
            most_bytes: bytes of thumbnails that are kept.
        """
        self._lock = threading.Lock()
        self._cache: LRUCache[tuple[str | int, ...], bytes] = LRUCache(most_bytes, getsizeof=len)

    @property
    def size(self) -> int:
        """Bytes of all that are kept."""
        return int(self._cache.currsize)

    def get(self, key: tuple[str | int, ...]) -> bytes | None:
        """Return the thumbnail of a file, as it is now, in a size; None where it is not kept."""
        with self._lock:
            return self._cache.get(key)

    def put(self, key: tuple[str | int, ...], thumbnail: bytes) -> None:
        """Keep a thumbnail, and as many of the others, the last used first, as there is room for."""
        with self._lock, suppress(ValueError):  # larger than the whole cache
            self._cache[key] = thumbnail
