"""Makes the thumbnails of a collection before somebody scrolls to them."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from lookalike.server.workers.jobs import lower_priority

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LOG = logging.getLogger("lookalike.server")
_BATCH = 200

_T = TypeVar("_T")


class ThumbnailMaker:
    """One thread of low priority; thread-safe."""

    def __init__(self) -> None:
        """Begin with nothing to do."""
        self._lock = threading.Lock()
        self._asked: dict[str, int] = {}
        self._stopped = False
        self._thread = ThreadPoolExecutor(1, "thumbnails", lower_priority)

    def want(
        self,
        name: str,
        count: int,
        ids: Callable[[], Sequence[str]],
        read: Callable[[Sequence[str]], Sequence[_T]],
        make: Callable[[_T], bool],
    ) -> None:
        """Make the thumbnails of a collection, unless that was asked for while it had as many images.

        Args:
            name: the collection.
            count: of its images.
            ids: returns their ids, in the order in which they are looked at.
            read: returns the records of some ids.
            make: makes the thumbnail of one; False: no more are to be made.
        """
        with self._lock:
            if self._stopped or self._asked.get(name) == count:
                return
            self._asked[name] = count
            self._thread.submit(self._make, ids(), read, make)

    def abort(self) -> None:
        """Make no more."""
        self._stopped = True

    def close(self) -> None:
        """End the thread."""
        self.abort()
        self._thread.shutdown(cancel_futures=True)

    def _make(
        self, ids: Sequence[str], read: Callable[[Sequence[str]], Sequence[_T]], make: Callable[[_T], bool]
    ) -> None:
        try:
            for start in range(0, len(ids), _BATCH):
                for record in read(ids[start : start + _BATCH]):
                    if self._stopped or not make(record):
                        return
        except Exception:  # noqa: BLE001 thumbnails are made when they are asked for, too
            _LOG.exception("unexpected error while thumbnails were made")
