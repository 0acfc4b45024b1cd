"""A cache of calibrations: each takes held-out answers of a whole collection."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from lookalike.evaluation.judge import Judge
    from lookalike.session import Session
    from lookalike.types import Where

SECONDS = 60.0
"""For which a judge is believed: what others changed in the collection meanwhile is not in it yet."""

_MOST = 64


class CalibrationCache:
    """The judges of the last questions; threads may share them."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[Any, ...], tuple[float, Judge | None]] = OrderedDict()

    def get(
        self,
        name: str,
        by: str,
        k: int | Literal["auto"],
        where: Where,
        max_error: float | None,
        coverage: float | None,
        false_alarm: float | None,
    ) -> Judge | None:
        """Return what judges such classifications: see `Session.judge`."""
        asked = tuple(sorted((field, repr(values)) for field, values in where.items()))
        key = (name.casefold(), by, k, asked, max_error, coverage, false_alarm)
        # One at a time: the first one compares all images with each other, and the others wait for it.
        with self._lock:
            found = self._known.get(key)
            if found is not None and time.monotonic() - found[0] < SECONDS:
                self._known.move_to_end(key)
                return found[1]
            judge = self._session.judge(
                name, by, k=k, where=where, max_error=max_error, coverage=coverage, false_alarm=false_alarm
            )
            self._known[key] = (time.monotonic(), judge)
            while len(self._known) > _MOST:
                self._known.popitem(last=False)
            return judge

    def forget(self, name: str) -> None:
        """Forget what was known of a collection that has changed."""
        with self._lock:
            for key in [key for key in self._known if key[0] == name.casefold()]:
                del self._known[key]
