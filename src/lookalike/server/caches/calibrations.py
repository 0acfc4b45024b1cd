"""A cache of calibrations: each takes held-out answers of a whole collection."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Literal

from cachetools import TTLCache

if TYPE_CHECKING:
    from collections.abc import Callable

    from lookalike.evaluation.calibrator import Calibrator
    from lookalike.session import Session
    from lookalike.types import Where

SECONDS = 60.0
"""For which a calibration is believed: what others changed in the collection meanwhile is not in it yet."""

_MOST = 64


class CalibrationCache:
    """The calibrations of the last queries; thread-safe."""

    def __init__(self, session: Session, timer: Callable[[], float] = time.monotonic) -> None:
        """Begin empty.

        Args:
            session: makes calibrations.
            timer: the clock, in seconds.
        """
        self._session = session
        self._lock = threading.Lock()
        self._cache: TTLCache[tuple[Any, ...], Calibrator | None] = TTLCache(_MOST, SECONDS, timer)

    def get(
        self,
        name: str,
        by: str,
        k: int | Literal["auto"],
        where: Where,
        max_error: float | None,
        coverage: float | None,
        false_alarm: float | None,
    ) -> Calibrator | None:
        """Return the calibration of such classifications: see `Session.judge`."""
        asked = tuple(sorted((field, repr(values)) for field, values in where.items()))
        key = (name.casefold(), by, k, asked, max_error, coverage, false_alarm)
        # One at a time: the first one compares all images with each other, and the others wait for it.
        with self._lock:
            try:
                return self._cache[key]
            except KeyError:
                judge = self._cache[key] = self._session.judge(
                    name,
                    by,
                    k=k,
                    where=where,
                    max_error=max_error,
                    coverage=coverage,
                    false_alarm=false_alarm,
                )
                return judge

    def forget(self, name: str) -> None:
        """Drop the calibrations of a collection that has changed."""
        with self._lock:
            for key in [key for key in self._cache if key[0] == name.casefold()]:
                self._cache.pop(key, None)
