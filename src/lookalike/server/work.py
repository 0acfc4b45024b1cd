"""Blocking work of requests, on a few threads."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from lookalike.server.problems import Overloaded

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


class Work:
    """Runs what blocks (stores, files) on threads, so that no request waits for another's."""

    def __init__(self, threads: int, limit: int) -> None:
        """Make the threads.

        Args:
            threads: that work at once.
            limit: calls that may be under way or wait.
        """
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="work")
        self._limit = limit
        self.under_way = 0
        """Calls that are under way or wait."""

    async def __call__(self, act: Callable[[], _T]) -> _T:
        """Run `act` in a thread and return what it returns.

        Raises:
            Overloaded: too many calls wait.
        """
        if self.under_way >= self._limit:
            raise Overloaded(f"{self.under_way} searches wait already; ask again in a moment")
        self.under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, act)
        finally:
            self.under_way -= 1

    def close(self) -> None:
        """Wait for what is under way, and end the threads."""
        self._pool.shutdown(wait=True)
