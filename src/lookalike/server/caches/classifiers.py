"""A cache of classifiers: to make one may take the held-out answers of a whole collection.

Once there is one, nobody waits for the next: where the collection has changed, the classifier that is there
goes on to answer and says how old its judgement is, while a thread of low priority judges anew.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from cachetools import LRUCache

from lookalike.errors import LookalikeError
from lookalike.server.workers.jobs import lower_priority

if TYPE_CHECKING:
    from collections.abc import Callable

    from lookalike.classification.classifier import Classifier
    from lookalike.database import Database
    from lookalike.types import CollectionInfo, Where

_LOG = logging.getLogger("lookalike.server")

SECONDS = 60.0
"""For which a classifier is used: what others changed in the collection meanwhile is not in it yet."""

_MOST = 64


class _Stopped(Exception):
    """Ends a judgement from inside its progress callback."""


@dataclass(slots=True)
class _Entry:
    """A classifier, and what is known of its age."""

    classifier: Classifier
    made: float
    changes: int = 0
    """By this service in the collection since."""
    renewing: bool = False
    """Whether one with a new judgement is being made, or waits to be."""


class ClassifierCache:
    """The classifiers of the last queries; thread-safe."""

    def __init__(self, database: Database, timer: Callable[[], float] = time.monotonic) -> None:
        """Begin empty.

        Args:
            database: makes classifiers.
            timer: the clock, in seconds.
        """
        self._database = database
        self._timer = timer
        self._lock = threading.Lock()
        self._cache: LRUCache[tuple[Any, ...], _Entry] = LRUCache(_MOST)
        self._stopped = False
        self._renewing = ThreadPoolExecutor(1, "judge", lower_priority)

    def get(
        self,
        collection: CollectionInfo,
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
        """Return what classifies so: see `Collection.classifier`.

        It may be one with an old judgement, as its `age` says; then a new one is made meanwhile.
        """
        asked = tuple(sorted((field, repr(values)) for field, values in where.items()))
        promises = max_error, coverage, false_alarm
        # A fit makes another space: its similarities are not those that an older judgement is of.
        space = collection.vector(using).space
        key = (collection.name.casefold(), space, by, k, asked, using, promises, approximate)

        def make(refresh: bool) -> Classifier:
            return self._database[collection.name].classifier(
                by, k=k, where=where, using=using, max_error=max_error, coverage=coverage,
                false_alarm=false_alarm, approximate=approximate, refresh=refresh, progress=self._tell,
            )  # fmt: skip

        # One at a time: the first one compares all images with each other, and the others wait for it.
        with self._lock:
            entry = self._cache.get(key)
            if entry is None or (not entry.changes and self._timer() - entry.made >= SECONDS):
                entry = self._cache[key] = _Entry(make(refresh=False), self._timer())
            age = entry.classifier.age
            old = entry.changes > 0 or (age is not None and not age.current)
            if old and not entry.renewing and not self._stopped:
                entry.renewing = True
                self._renewing.submit(self._renew, key, entry, make)
            return _aged(entry.classifier, collection.count) if entry.changes else entry.classifier

    def forget(self, name: str) -> None:
        """Take it that a collection has changed."""
        with self._lock:
            for key, entry in self._cache.items():
                if key[0] == name.casefold():
                    entry.changes += 1

    def abort(self) -> None:
        """Begin no new judgement, and end the one that is being made."""
        self._stopped = True

    def close(self) -> None:
        """End the thread."""
        self.abort()
        self._renewing.shutdown(cancel_futures=True)

    def _renew(self, key: tuple[Any, ...], entry: _Entry, make: Callable[[bool], Classifier]) -> None:
        """Put a classifier with a new judgement in the place of an old one."""
        before = entry.changes
        try:
            made: _Entry | None = _Entry(make(True), self._timer())
        except _Stopped:
            return
        except LookalikeError:
            made = None  # the next question is told why
        except Exception:  # noqa: BLE001 the old one goes on to answer
            _LOG.exception("unexpected error while a collection was judged")
            made = None
        with self._lock:
            if self._cache.get(key) is not entry:
                return
            if made is None:
                del self._cache[key]
            else:
                made.changes = entry.changes - before
                self._cache[key] = made

    def _tell(self, _done: int, _total: int) -> None:
        if self._stopped:
            raise _Stopped


def _aged(classifier: Classifier, count: int) -> Classifier:
    """Return a classifier that says that its collection has changed since, which nobody has counted yet."""
    age = classifier.age
    if age is None:
        return classifier
    more = count - (age.images + age.added - age.removed)
    aged = copy(classifier)
    aged.age = replace(
        age, added=age.added + max(more, 0), removed=age.removed + max(-more, 0), counted=False
    )
    return aged
