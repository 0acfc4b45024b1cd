"""Connections that nobody can hold on to: heads without end, bodies that do not come, answers nobody takes.

uvicorn leaves the size of a head and all times but that between two requests to a proxy in front of it
(https://github.com/Kludex/uvicorn/issues/157); here there may be none.
"""

from __future__ import annotations

import asyncio
import http
import json
import resource
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from lookalike.schemas.values import Problem
from lookalike.server.wire.headers import ALWAYS
from lookalike.server.wire.problems import PROBLEM

if TYPE_CHECKING:
    from collections.abc import Iterable

HEAD_BYTES = 32 * 1024
"""Of the head of a request, give or take one reading: as many as nginx (large_client_header_buffers 4 8k)."""
HEAD_SECONDS = 20.0
"""In which a head must have arrived: as long as Apache waits (RequestReadTimeout header=20)."""

# Beyond the time of a body: for the answer that says that it took too long.
_MARGIN = 5.0
# Files that the process has open beside its connections: stores, models, pictures.
_OTHER_FILES = 256
_MOST_FILES = 65_536


class _Together:
    """A transport that sends what is written in one turn of the loop as one.

    uvicorn writes the head of an answer and its body each for itself, and uvloop sends each at once: whoever
    waits for the answer is woken by the head alone, and takes a core from who is still writing.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._loop.call_soon(self._send)
        self._parts.append(data)

    def close(self) -> None:
        self._send()
        self._transport.close()

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size() + sum(map(len, self._parts))

    def _send(self) -> None:
        parts, self._parts = self._parts, []
        if parts:
            self._transport.write(b"".join(parts))


class Connection(HttpToolsProtocol):
    """A connection that is given up where its client is too slow, see `give_up`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(cast(asyncio.Transport, _Together(transport, self.loop)))
        self._began: float | None = self.loop.time()  # when the request began that is not complete yet
        self._in_head = True
        self._fresh = False  # whether it did so in this reading
        self._head = 0  # bytes of its head, but for those of the first reading
        self._unsent = 0  # bytes of answers that waited to be taken when we last looked
        self._moved = 0.0  # when some were taken
        if self.limit_concurrency is not None and len(self.connections) >= self.limit_concurrency:
            self.refuse(503, "too many connections at once; ask again in a moment")

    def on_message_begin(self) -> None:
        """Begin to read a request."""
        super().on_message_begin()
        self._began = self.loop.time()
        self._in_head = True
        self._fresh = True
        self._head = 0

    def on_headers_complete(self) -> None:
        """Begin to answer it."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Have all of it."""
        self._began = None
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Read on."""
        self._fresh = False
        super().data_received(data)
        # Where a head began in this reading, others may have ended in it: it is not counted.
        if self._in_head and not self._fresh:
            self._head += len(data)
            if self._head > HEAD_BYTES:
                self.refuse(431, f"the head of a request has at most {HEAD_BYTES // 1024} kB")

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 uvicorn's name
        """Say that this is not HTTP."""
        self.refuse(400, "this is no HTTP request that can be read")

    def refuse(self, status: int, detail: str) -> None:
        """Answer with a problem, without the application, and close the connection.

        Args:
            status: of HTTP.
            detail: in a sentence.
        """
        if self.transport.is_closing():
            return
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:  # else it would land in another's answer
            phrase = http.HTTPStatus(status).phrase
            problem = Problem(title=phrase, status=status, detail=detail, error="Refused")
            body = json.dumps(problem.model_dump(mode="json")).encode()
            headers = [
                *self.server_state.default_headers,
                *ALWAYS,
                (b"content-type", PROBLEM.encode()),
                (b"content-length", str(len(body)).encode()),
                (b"connection", b"close"),
                *([(b"retry-after", b"1")] if status == http.HTTPStatus.SERVICE_UNAVAILABLE else []),
            ]
            lines = [f"HTTP/1.1 {status} {phrase}".encode(), *(b"%b: %b" % pair for pair in headers)]
            self.transport.write(b"\r\n".join([*lines, b"", body]))
        self.transport.close()

    def give_up(self, now: float, seconds: float) -> None:
        """Close the connection if its client is too slow.

        Args:
            now: by the loop's clock.
            seconds: in which a request must have arrived, and within which some of an answer must be taken.
        """
        unsent = self.transport.get_write_buffer_size()
        if unsent == 0 or unsent != self._unsent:
            self._unsent, self._moved = unsent, now
        elif now - self._moved > seconds:
            self.transport.abort()
            return
        # With others before it, a request waits for us.
        if self._began is None or self.pipeline or self.flow.read_paused:
            return
        waited = now - self._began
        if self._in_head:
            if waited > min(seconds, HEAD_SECONDS):
                if self._fresh or self._head:
                    self.refuse(408, "the head of the request did not arrive in time")
                else:  # a browser that opened one in advance expects nothing
                    self.transport.close()
        elif waited > seconds + _MARGIN:
            self.transport.abort()


def give_up_slow(connections: Iterable[Any], now: float, seconds: float) -> None:
    """Close the connections whose clients are too slow: see `Connection.give_up`."""
    for connection in list(connections):
        cast(Connection, connection).give_up(now, seconds)


def connection_limit() -> int:
    """Let this process open as many files as it may, and return how many connections that leaves room for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    return max(soft if soft != resource.RLIM_INFINITY else most, 2 * _OTHER_FILES) - _OTHER_FILES
