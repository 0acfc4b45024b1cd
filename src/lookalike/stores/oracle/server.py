"""Sessions on the Oracle database that a URL names, for the threads that share a store.

A pool of our own, because the driver's waits without limit for a listener that accepts a connection and says
nothing: `tcp_connect_timeout` ends with the TCP connection, and the pool connects in a thread that keeps the
process from ending. Here a thread that is waited for only so long connects, and may be left behind.
"""

from __future__ import annotations

import os
import queue
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from lookalike.errors import StoreBusy, StoreUnreachable
from lookalike.stores.oracle.address import oracle_address
from lookalike.stores.oracle.session import OracleSession, connect

if TYPE_CHECKING:
    from collections.abc import Iterator

SESSIONS = 8
"""Sessions that threads of one store have at the same time, at most; each is a process on the server."""
_MORE_SECONDS = 5.0  # that an answer may take longer than waiting for a lock, which then tells better


class OracleServer:
    """The database that a URL names. Nothing is connected before the first session."""

    def __init__(self, url: str, timeout: float) -> None:
        self._address = oracle_address(url, os.environ)
        self.url = self._address.shown
        self.timeout = timeout
        limit = self._address.call_timeout
        self._answer_seconds = timeout + _MORE_SECONDS if limit is None else limit
        self._idle: list[OracleSession] = []
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(SESSIONS)

    @property
    def indexes(self) -> tuple[str, ...]:
        """Kinds of vector index, the preferred one first."""
        return self._address.indexes

    @property
    def wait(self) -> int:
        """Whole seconds that a statement waits for a lock, at least 1."""
        return max(1, int(self.timeout))

    @contextmanager
    def session(self, *, patient: bool = False) -> Iterator[OracleSession]:
        """Lend a session; what the block does not commit is undone.

        Args:
            patient: an answer may take as long as it takes: an index that is built, a person's own statement.

        Raises:
            StoreError: the class that fits what the server or the driver says.
        """
        if not self._free.acquire(timeout=self.timeout):
            raise StoreBusy(self.url, f"all {SESSIONS} sessions were in use for {self.timeout:g} s")
        try:
            session = self._take()
            try:
                session.limit_answers(0 if patient else self._answer_seconds)
                yield session
            except Exception:
                self._put_back(session, failed=True)
                raise
            except BaseException:
                session.abandon()  # Ctrl-C: the answer to a statement may be half read
                raise
            else:
                self._put_back(session, failed=False)
        finally:
            self._free.release()

    def close(self) -> None:
        """Close the sessions that nobody works with. Another call opens new ones."""
        with self._lock:
            idle, self._idle = self._idle, []
        for session in idle:
            session.end()

    def _take(self) -> OracleSession:
        while True:
            with self._lock:
                session = self._idle.pop() if self._idle else None
            if session is None:
                return self._connect()
            session.limit_answers(self._answer_seconds)
            if session.is_there():
                return session
            session.end()

    def _put_back(self, session: OracleSession, *, failed: bool) -> None:
        if session.settle(failed=failed):
            with self._lock:
                self._idle.append(session)
        else:
            session.end()

    def _connect(self) -> OracleSession:
        """Return a new session, made in a thread that is waited for as long as the timeout says."""
        done: queue.SimpleQueue[OracleSession | BaseException] = queue.SimpleQueue()
        left_behind = threading.Event()

        def work() -> None:
            try:
                session = connect(self._address, self.timeout, self._answer_seconds, self.wait)
            except BaseException as error:  # noqa: BLE001 raised where it is waited for
                done.put(error)
                return
            done.put(session)
            if left_behind.is_set():
                end_unclaimed()

        def end_unclaimed() -> None:
            with suppress(queue.Empty):
                late = done.get_nowait()
                if isinstance(late, OracleSession):
                    late.end()

        threading.Thread(target=work, daemon=True, name="lookalike-oracle-connect").start()
        try:
            made = done.get(timeout=self.timeout)
        except BaseException as error:
            left_behind.set()
            end_unclaimed()
            if not isinstance(error, queue.Empty):
                raise
            raise StoreUnreachable(
                self.url, f"no server answers there within {self.timeout:g} s; is it running?"
            ) from None
        if isinstance(made, OracleSession):
            return made
        raise made
