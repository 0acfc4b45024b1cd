"""A cache of the orders in which collections are looked through: to make one, all labels are read."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cachetools import LRUCache

from lookalike.errors import LookalikeError
from lookalike.server.workers.jobs import lower_priority
from lookalike.stores.checks import same_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lookalike.database import Database
    from lookalike.search.listing import Listing, Order
    from lookalike.types import Where

_LOG = logging.getLogger("lookalike.server")

SECONDS = 60.0
"""After which an order is made anew, behind the answers: what others changed meanwhile is not in it yet."""

MOST_RECORDS = 3_000_000
"""In all orders that are kept, 0.2 kB each; the one that was asked for last is kept in any case."""

# Of more records an order is made anew rather than changed.
_MOST_CHANGED = 5_000


@dataclass(slots=True)
class _Entry:
    listing: Listing
    made: float
    version: str = field(default_factory=lambda: secrets.token_hex(8))
    renewing: bool = False
    since: list[str] = field(default_factory=list)
    """Records that changed while it is being made anew."""


def _size(entry: _Entry) -> int:
    return min(len(entry.listing), MOST_RECORDS)


class ListingCache:
    """The orders that were asked for last; thread-safe."""

    def __init__(self, database: Database, timer: Callable[[], float] = time.monotonic) -> None:
        """Begin empty.

        Args:
            database: makes them.
            timer: the clock, in seconds.
        """
        self._database = database
        self._timer = timer
        self._lock = threading.Lock()
        self._cache: LRUCache[tuple[Any, ...], _Entry] = LRUCache(MOST_RECORDS, getsizeof=_size)
        # Writers leave word here, and do not wait for an order that is being made.
        self._told = threading.Lock()
        self._changed: dict[str, list[Sequence[str] | None]] = {}
        self._stopped = False
        self._renewing = ThreadPoolExecutor(1, "browse", lower_priority)

    def get(self, name: str, order: Order, by: str | None, where: Where) -> tuple[Listing, str]:
        """Return the records of a collection in an order, and which version of it this is; may block."""
        asked = tuple(sorted((field, repr(values)) for field, values in where.items()))
        key = same_name(name), order, by, asked

        def make() -> Listing:
            return self._database[name].browse(order, by=by, where=where or None, progress=self._tell)

        with self._lock:
            self._follow(key[0])
            entry = self._cache.get(key)
            if entry is None:
                entry = self._cache[key] = _Entry(make(), self._timer())
            elif self._timer() - entry.made >= SECONDS and not entry.renewing and not self._stopped:
                entry.renewing = True
                entry.since.clear()
                self._renewing.submit(self._renew, key, entry, make)
            return entry.listing, entry.version

    def changed(self, name: str, ids: Sequence[str] | None = None) -> None:
        """Take it that records of a collection have changed: these, or (None) any."""
        with self._told:
            waiting = self._changed.setdefault(same_name(name), [])
            waiting.append(ids)
            # Nobody may look through it for months.
            if ids is None or sum(len(some or ()) for some in waiting) > _MOST_CHANGED:
                waiting[:] = [None]

    def abort(self) -> None:
        """Begin to make no order anew, and end the one that is being made."""
        self._stopped = True

    def close(self) -> None:
        """End the thread."""
        self.abort()
        self._renewing.shutdown(cancel_futures=True)

    def _follow(self, name: str) -> None:
        """Put into the orders of a collection what has changed in it."""
        with self._told:
            changed = self._changed.pop(name, [])
        if not changed:
            return
        ids = {one for some in changed if some is not None for one in some}
        forget = None in changed or len(ids) > _MOST_CHANGED
        for key, entry in [each for each in self._cache.items() if each[0][0] == name]:
            del self._cache[key]
            if forget:
                continue
            now = entry.listing.changed(list(ids))
            entry.since += ids
            if now.entries != entry.listing.entries:
                entry.version = secrets.token_hex(8)
            entry.listing = now
            self._cache[key] = entry

    def _renew(self, key: tuple[Any, ...], entry: _Entry, make: Callable[[], Listing]) -> None:
        """Put an order that was made anew in the place of an old one."""
        made: Listing | None = None
        try:
            made = make()
        except _Stopped:
            return
        except LookalikeError:
            pass  # the next question is told why
        except Exception:  # noqa: BLE001 the old one goes on to answer
            _LOG.exception("unexpected error while a collection was put in order")
        with self._lock:
            if self._cache.get(key) is not entry:
                return
            del self._cache[key]
            if made is None:
                return
            now = made.changed(entry.since) if entry.since else made
            same = now.entries == entry.listing.entries
            self._cache[key] = _Entry(now, self._timer(), entry.version if same else secrets.token_hex(8))

    def _tell(self, _done: int, _total: int) -> None:
        if self._stopped:
            raise _Stopped


class _Stopped(Exception):
    """Ends a judgement from inside its progress callback."""
