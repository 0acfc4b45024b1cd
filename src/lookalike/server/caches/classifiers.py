"""A cache of classifiers: to make one may take the held-out answers of a whole collection."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Literal

from cachetools import TTLCache

if TYPE_CHECKING:
    from collections.abc import Callable

    from lookalike.classification.classifier import Classifier
    from lookalike.database import Database
    from lookalike.types import Where

SECONDS = 60.0
"""For which a classifier is used: what others changed in the collection meanwhile is not in it yet."""

_MOST = 64


class ClassifierCache:
    """The classifiers of the last queries; thread-safe."""

    def __init__(self, database: Database, timer: Callable[[], float] = time.monotonic) -> None:
        """Begin empty.

        Args:
            database: makes classifiers.
            timer: the clock, in seconds.
        """
        self._database = database
        self._lock = threading.Lock()
        self._cache: TTLCache[tuple[Any, ...], Classifier] = TTLCache(_MOST, SECONDS, timer)

    def get(
        self,
        name: str,
        by: str,
        k: int | Literal["auto"],
        where: Where,
        using: str | None,
        max_error: float | None,
        coverage: float | None,
        false_alarm: float | None,
        *,
        approximate: bool,
    ) -> Classifier:
        """Return what classifies so: see `Collection.classifier`."""
        asked = tuple(sorted((field, repr(values)) for field, values in where.items()))
        key = (name.casefold(), by, k, asked, using, max_error, coverage, false_alarm, approximate)
        # One at a time: the first one compares all images with each other, and the others wait for it.
        with self._lock:
            try:
                return self._cache[key]
            except KeyError:
                made = self._cache[key] = self._database[name].classifier(
                    by, k=k, where=where, using=using, max_error=max_error, coverage=coverage,
                    false_alarm=false_alarm, approximate=approximate,
                )  # fmt: skip
                return made

    def forget(self, name: str) -> None:
        """Drop the classifiers of a collection that has changed."""
        with self._lock:
            for key in [key for key in self._cache if key[0] == name.casefold()]:
                self._cache.pop(key, None)
