"""Blocking work of requests, on a few threads."""

from __future__ import annotations

import asyncio
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

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
        self._limit = limit
        self._closing = False
        self.under_way = 0
        """Calls that are under way or wait."""
        self._calls: SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"work-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    async def __call__(self, act: Callable[[], _T]) -> _T:
        """Run `act` in a thread and return what it returns.

        Raises:
            Overloaded: too many calls wait, or the service is stopping.
        """
        if self._closing:
            raise Overloaded("the service is stopping")
        if self.under_way >= self._limit:
            raise Overloaded(f"{self.under_way} searches wait already; ask again in a moment")
        # Not `run_in_executor`, whose two futures a call take twice the time of this.
        future: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        self.under_way += 1
        try:
            self._calls.put((act, future))
            return await future
        finally:
            self.under_way -= 1

    def close(self) -> None:
        """Finish what was accepted, and end the threads."""
        self._closing = True
        for _ in self._threads:
            self._calls.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            act, future = call
            if future.cancelled():  # whoever asked has gone
                continue
            try:
                answer = act()
            except BaseException as error:  # noqa: BLE001 it is the request's and not this thread's
                settle(future, None, error)
            else:
                settle(future, answer, None)
            # What a request held is not to be held until the next one comes.
            del call, act, future


def settle(future: asyncio.Future[Any], answer: Any, error: BaseException | None) -> None:
    """Give an answer or an error to the request that waits for it, in its own thread."""

    def give() -> None:
        if future.done():  # whoever asked has gone
            return
        if isinstance(error, StopIteration) or not isinstance(error, Exception | None):
            # No future takes a StopIteration, and what is meant to end a thread is not to end the service.
            future.set_exception(RuntimeError(repr(error)))
        elif error is not None:
            future.set_exception(error)
        else:
            future.set_result(answer)

    loop = future.get_loop()
    if not loop.is_closed():
        loop.call_soon_threadsafe(give)
