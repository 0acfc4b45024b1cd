"""Open connections to a server that nobody uses at the moment, kept for the next one who needs one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


class IdlePool(Generic[_T]):
    """Connections that nobody uses; threads may share it."""

    def __init__(self, close: Callable[[_T], object], most: int) -> None:
        """Begin with none.

        Args:
            close: closes a connection, and raises nothing.
            most: connections that are kept.
        """
        self._close = close
        self._most = most
        self._lock = threading.Lock()
        self._idle: list[_T] = []
        self._period = 0

    def take(self) -> tuple[_T | None, int]:
        """Return the connection that was used last, None where there is none, and the `period` of `keep`."""
        with self._lock:
            return (self._idle.pop() if self._idle else None), self._period

    def keep(self, connection: _T, period: int) -> None:
        """Keep a connection, or close it where there are enough, or the pool was closed since `take`.

        Args:
            connection: that can be used again.
            period: as `take` gave it.
        """
        with self._lock:
            kept = period == self._period and len(self._idle) < self._most
            if kept:
                self._idle.append(connection)
        if not kept:
            self._close(connection)

    def close(self) -> None:
        """Close the connections; those that are in use are closed when they come back."""
        with self._lock:
            self._period += 1
            idle, self._idle = self._idle, []
        for connection in idle:
            self._close(connection)
