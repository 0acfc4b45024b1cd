"""A budget of memory for images that are decoded at once, shared by all threads."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class MemoryBudget:
    """A budget of bytes; who asks for more than are left waits, first come, first served."""

    def __init__(self, most: int, small: int = 0) -> None:
        """Say how many there are.

        Args:
            most: bytes lent at once. Who alone needs more gets it when nothing else is lent.
            small: up to so many bytes are not counted: what a thread holds in any case.
        """
        self._most = most
        self._small = small
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()
        self.lent = 0
        """Bytes that are lent."""

    @contextmanager
    def lend(self, count: int) -> Iterator[None]:
        """Lend bytes for the time of a `with`; a thread asks for no more meanwhile."""
        if count <= self._small:
            yield
            return
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                while self._waiting[0] is not ticket or (self.lent and self.lent + count > self._most):
                    self._changed.wait()
                self.lent += count
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self.lent -= count
                self._changed.notify_all()
