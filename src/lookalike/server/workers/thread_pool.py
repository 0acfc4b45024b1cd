"""A thread pool for the blocking calls of requests."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from lookalike.server.http.problems import Overloaded

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


class _Call(NamedTuple):
    act: Callable[[], Any]
    future: asyncio.Future[Any]


class ThreadPool:
    """Runs blocking calls (stores, files) on a bounded queue of threads."""

    def __init__(self, threads: int, limit: int, patience: float = 0.0) -> None:
        """Start the threads.

        Args:
            threads: that work at once, at most.
            limit: calls that may be under way or wait.
            patience: seconds for which calls wait for the threads that are at work already. Another one is
                woken where those have begun none for so long. Where calls are short and hold Python's lock,
                threads that share them do little but hand that lock to each other: 64 clients got a sixth
                more classifications from a SQLite store with 30 ms than with 10 (measured on 2 cores).
        """
        self._limit = limit
        self._patience = patience
        self._closing = False
        self.under_way = 0
        """Calls that are under way or wait."""
        self._calls: deque[_Call] = deque()
        self._lock = threading.Lock()  # of `_calls`, `_idle` and `_began`
        self._began = 0.0  # when a call was begun last, or a thread woken
        self._looking = False  # whether the loop will look again
        # What wakes each thread that is not at work. The one that worked last is woken first: its memory is
        # still in its core's caches.
        self._wakes: list[SimpleQueue[bool]] = [SimpleQueue() for _ in range(threads)]
        self._idle = list(self._wakes)
        self._threads = [
            threading.Thread(target=self._work, args=(wake,), name=f"work-{number}", daemon=True)
            for number, wake in enumerate(self._wakes)
        ]
        for thread in self._threads:
            thread.start()

    async def run(self, act: Callable[[], _T]) -> _T:
        """Run `act` in a thread and return what it returns.

        Raises:
            Overloaded: too many calls wait, or the service is stopping.
        """
        if self._closing:
            raise Overloaded("the service is stopping")
        if self.under_way >= self._limit:
            raise Overloaded(f"{self.under_way} requests wait already; ask again in a moment")
        loop = asyncio.get_running_loop()
        # Not `run_in_executor`, whose two futures a call take twice the time of this.
        future: asyncio.Future[_T] = loop.create_future()
        self.under_way += 1
        try:
            with self._lock:
                self._calls.append(_Call(act, future))
            self._look()
            return await future
        finally:
            self.under_way -= 1

    def abort(self) -> None:
        """Answer what waits with a refusal, and take nothing more: the service stops, its time is over."""
        self._closing = True
        with self._lock:
            calls = list(self._calls)
            self._calls.clear()
        for call in calls:
            settle(call.future, None, stopped_error())

    def close(self) -> None:
        """Finish what was accepted, and end the threads."""
        self._closing = True
        for wake in self._wakes:
            wake.put(False)  # the end
        for thread in self._threads:
            thread.join()

    def _look(self) -> None:
        """Wake a thread if calls wait that nobody begins, and look again as long as they do."""
        with self._lock:
            if not self._calls or not self._idle:
                return
            now = time.monotonic()
            none = len(self._idle) == len(self._wakes)
            due = none or now - self._began >= self._patience
            if due:
                self._began = now
                self._idle.pop().put(True)  # there is work
            more = len(self._calls) > due
        if more and not self._looking:
            self._looking = True
            asyncio.get_running_loop().call_later(self._patience, self._look_again)

    def _look_again(self) -> None:
        self._looking = False
        self._look()

    def _work(self, wake: SimpleQueue[bool]) -> None:
        while wake.get():
            while (call := self._next(wake)) is not None:
                if not call.future.cancelled():  # else whoever asked has gone
                    try:
                        answer = call.act()
                    except BaseException as error:  # noqa: BLE001 it is the request's and not this thread's
                        settle(call.future, None, error)
                    else:
                        settle(call.future, answer, None)
                        # What a request held is not to be held until the next one comes.
                        del answer
                del call

    def _next(self, wake: SimpleQueue[bool]) -> _Call | None:
        with self._lock:
            if self._calls:
                self._began = time.monotonic()
                return self._calls.popleft()
            self._idle.append(wake)
            return None


def stopped_error() -> Overloaded:
    """Return the error of work that the service stopped before."""
    return Overloaded("the service stopped before this was done; ask again when it is back")


def settle(future: asyncio.Future[Any], answer: Any, error: BaseException | None) -> None:
    """Set the result or the error of a future from another thread."""

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
