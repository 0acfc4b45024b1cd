"""A cache of the value counts of fields."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

from cachetools import TTLCache

from lookalike.schemas.collections import FieldValues, ValueCount, Values
from lookalike.stores.checks import same_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from lookalike.database import Database
    from lookalike.server.workers.thread_pool import ThreadPool

SECONDS = 60.0
"""For which counts are believed: what others changed in the collection meanwhile is not in them yet."""

MOST_VALUES = 200
"""Values of a field that are listed."""


# Collections whose counts are kept.
_MOST = 64


class FieldCountCache:
    """The value counts of the collections that were asked for last; of one event loop, but for `forget`."""

    def __init__(self, database: Database, timer: Callable[[], float] = time.monotonic) -> None:
        """Begin empty.

        Args:
            database: with the store.
            timer: the clock, in seconds.
        """
        self._database = database
        self._lock = threading.Lock()
        self._cache: TTLCache[str, asyncio.Task[Values]] = TTLCache(_MOST, SECONDS, timer)

    async def get(self, name: str, pool: ThreadPool) -> Values:
        """Return the values of a collection's fields; requests that come meanwhile wait for the same count.

        Args:
            name: the collection.
            pool: threads that may count.
        """
        key = same_name(name)
        with self._lock:
            task = self._cache.get(key)
            if task is None or task.cancelled():
                task = asyncio.create_task(pool.run(lambda: count_values(self._database, name)))
                self._cache[key] = task
        try:
            # Shielded: a client that disconnects takes nothing from the others.
            return await asyncio.shield(task)
        except BaseException:
            with self._lock:
                if task.done() and self._cache.get(key) is task:
                    del self._cache[key]
            raise

    def forget(self, name: str) -> None:
        """Drop the counts of a collection that has changed; any thread may call this."""
        with self._lock:
            self._cache.pop(same_name(name), None)


def count_values(database: Database, name: str) -> Values:
    """Count the values of a collection's fields, in one pass over it.

    A store that lets one read at a time is free between two batches of a scan.

    Args:
        database: with the store.
        name: the collection.
    """
    return Values(
        fields=[
            FieldValues(
                field=field,
                distinct=len(counts),
                values=[ValueCount(value=value, count=images) for value, images in counts[:MOST_VALUES]],
            )
            for field, counts in database[name].values().items()
        ]
    )
