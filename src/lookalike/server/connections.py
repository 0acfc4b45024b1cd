"""HTTP connections with limits on heads, on slow bodies, and on clients that take no answer.

uvicorn leaves the size of a head and all times but that between two requests to a proxy in front of it
(https://github.com/Kludex/uvicorn/issues/157); here there may be none.
"""

from __future__ import annotations

import asyncio
import http
import json
import logging
import re
import resource
import socket
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from lookalike.schemas.values import Problem
from lookalike.server.http.headers import ALWAYS
from lookalike.server.http.problems import PROBLEM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_LOG = logging.getLogger("lookalike.server")

HEAD_BYTES = 32 * 1024
"""Of the head of a request, give or take one reading: as many as nginx (large_client_header_buffers 4 8k)."""
HEAD_SECONDS = 20.0
"""In which a head must have arrived: as long as Apache waits (RequestReadTimeout header=20)."""

LINGER_SECONDS = 30.0
"""For which what a refused client still sends is read, so that it has its answer (nginx: lingering_time)."""
LINGER_BYTES = 1 << 30
"""Of that, so many at most: what a client sends in `LINGER_SECONDS` over a fast line."""

# Within which some of it must come: as long as nginx waits (lingering_timeout). Where the request was read to
# its end, nothing more is to be expected.
_LINGER_SILENCE = 5.0
_LINGER_SILENCE_AFTER = 1.0
# Connections beyond the limit that may do so: they come out of `_OTHER_FILES`.
_MOST_LINGER = 64
# Beyond the time of a body: for the answer that says that it took too long.
_MARGIN = 5.0
# Of what was read, so much is looked at before it is seen whether requests in it wait for others: some 100
# requests of a line each.
_PART = 4096
# Of an answer, so much waits unsent in the kernel (TCP_NOTSENT_LOWAT, tcp(7)), which would take megabytes.
_KERNEL_BYTES = 128 * 1024
# The authority of an address in absolute form (RFC 9112, section 3.2.2).
_AUTHORITY = re.compile(rb"[a-z][a-z0-9+.-]*://([^/?#]*)", re.IGNORECASE)
# Files that the process has open beside its connections: stores, models, pictures.
_OTHER_FILES = 256
_MOST_FILES = 65_536


class _CoalescingTransport:
    """A transport that coalesces the writes of one turn of the event loop.

    uvicorn writes the head of an answer and its body each for itself, and uvloop sends each at once: whoever
    waits for the answer is woken by the head alone, and takes a core from who is still writing.
    """

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, on_close: Callable[[], None]
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._on_close = on_close
        self._parts: list[bytes] = []
        self.lingers = False
        """Whether nothing more is written, and only what still comes is awaited."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if self.is_closing():  # the client went away in the middle of its answer
            return
        if not self._parts:
            self._loop.call_soon(self.send)
        self._parts.append(data)

    def is_closing(self) -> bool:
        return self.lingers or self._transport.is_closing()

    def close(self) -> None:
        """Send what was written, and end the connection, see `Connection.end`."""
        self._on_close()

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size() + sum(map(len, self._parts))

    def send(self) -> None:
        parts, self._parts = self._parts, []
        if parts and not self._transport.is_closing():
            self._transport.write(b"".join(parts))

    def close_now(self) -> None:
        self.send()
        self._transport.close()


class _PipelineFlowControl(FlowControl):
    """uvicorn's flow control, which resumes reading only after buffered requests are parsed."""

    waits = False

    def resume_reading(self) -> None:
        if not self.waits:
            super().resume_reading()


class RequestScheduler:
    """Schedules pipelined requests, one a turn of the event loop.

    Whoever sends hundreds of them at once would otherwise be answered as often as everybody else together.
    """

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()

    def wait(self, begin: Callable[[], None]) -> None:
        """Call a function in a turn of the loop in which no other one that waits here is called."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._next)
        self._waiting.append(begin)

    def _next(self) -> None:
        begin = self._waiting.popleft()
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._next)
        begin()


class Connection(HttpToolsProtocol):
    """An HTTP connection that is closed when its client is too slow, see `close_if_slow`."""

    scheduler = RequestScheduler()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        self._coalescing = _CoalescingTransport(transport, self.loop, self.end)
        super().connection_made(cast(asyncio.Transport, self._coalescing))
        self.flow: _PipelineFlowControl = _PipelineFlowControl(self.transport)
        self._began: float | None = self.loop.time()  # when the request began that is not complete yet
        self._in_head = True
        self._fresh = False  # whether it did so in this part of a reading
        self._head = 0  # bytes of its head, but for those of the first part
        self._unread = b""  # what was read and not looked at: requests before it wait for their answers
        self._running: RequestResponseCycle | None = None  # the request that is being answered
        self._behind = False  # whether that of this call was sent behind others
        self._hung_up = False  # whether the client sends nothing more, and waits for answers
        self._unsent = 0  # bytes of answers that waited to be taken when we last looked
        self._moved = 0.0  # when some were taken
        self._refused = False  # whether that was answered without the application
        self._lingers_since = 0.0
        self._drained = 0  # bytes that came since, and were thrown away
        self._drained_at = 0.0
        # No more unsent bytes than these are kept by the kernel for a client that takes nothing.
        with suppress(OSError, AttributeError):  # a socket of another kind; a system without it
            transport.get_extra_info("socket").setsockopt(
                socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _KERNEL_BYTES
            )
        # uvicorn looks once more at each request, and answers in plain text.
        limit, self.limit_concurrency = self.limit_concurrency, None
        if limit is not None and len(self.connections) >= limit:
            self.refuse(
                503,
                "too many connections at once; ask again in a moment",
                lingers=len(self.connections) < limit + _MOST_LINGER,
            )

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it, and whoever works for it."""
        self._unread = b""
        self.pipeline.clear()
        running = self._running
        if running is not None and not running.response_complete:
            running.disconnected = True
            running.message_event.set()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Begin to read a request."""
        super().on_message_begin()
        self._began = self.loop.time()
        self._in_head = True
        self._fresh = True
        self._head = 0
        self.scope["state"]["peer"] = self.client[0] if self.client else None

    def on_headers_complete(self) -> None:
        """Begin to answer it."""
        self._in_head = False
        found = _AUTHORITY.match(self.url)
        if found is not None and sum(name == b"host" for name, _ in self.headers) <= 1:
            # What the address says counts, and not the header (RFC 9112, section 3.2.2).
            self.headers[:] = [(b"host", found[1]), *(each for each in self.headers if each[0] != b"host")]
        super().on_headers_complete()
        if self.parser.should_upgrade():  # nothing that comes after it is read as a request
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """Have all of it."""
        self._began = None
        super().on_message_complete()
        if (
            self.cycle.response_complete
            and self.timeout_keep_alive_task is None
            and not self._coalescing.lingers
        ):
            # It was refused before all of it came, and what came since has stopped uvicorn's clock.
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self._coalescing.lingers:
            self._drained += len(data)
            self._drained_at = self.loop.time()
            if self._drained > LINGER_BYTES:
                self._coalescing.close_now()
            return
        self._unread += data
        if not self.flow.waits:
            self._read_on()

    def _read_on(self) -> None:
        """Look at what was read, part by part, up to a request that waits for another one's answer."""
        unread, self._unread = memoryview(self._unread), b""
        while unread and not self.pipeline and not self._coalescing.is_closing():
            part, unread = unread[:_PART], unread[_PART:]
            self._fresh = False
            super().data_received(cast(bytes, part))
            # Where a head began in this part, others may have ended in it: it is not counted.
            if self._in_head and not self._fresh and not self._coalescing.is_closing():
                self._head += len(part)
                if self._head > HEAD_BYTES:
                    self.refuse(431, f"the head of a request has at most {HEAD_BYTES // 1024} kB")
        if self._coalescing.is_closing():
            return
        waited, self.flow.waits = self.flow.waits, bool(self.pipeline)
        if self.pipeline:
            self._unread = bytes(unread)
            self.flow.pause_reading()
        elif waited:
            self.flow.resume_reading()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        if self._behind:
            self.scheduler.wait(lambda: self._start(cycle, app))
        else:
            self._start(cycle, app)

    def _start(self, cycle: RequestResponseCycle, app: Any) -> None:
        if not self._coalescing.is_closing():
            super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """Go on with the next request."""
        self._behind = True
        super().on_response_complete()
        self._behind = False
        if self._coalescing.is_closing():
            return
        if self.flow.waits:
            self.scheduler.wait(self._read_unread)
        elif self._hung_up and self.cycle.response_complete:
            self.transport.close()

    def _read_unread(self) -> None:
        if not self._coalescing.is_closing():
            self._read_on()
            if self._hung_up:
                self._hang_up()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Let a client that sends nothing more have the answers to what it sent whole."""
        if self._coalescing.lingers:
            return False
        self._hung_up = True
        if self.flow.waits:
            return True
        return self._hang_up()

    def _hang_up(self) -> bool:
        """Close the connection after the last answer; False where there is none to wait for."""
        if self.flow.waits:
            return True
        if self._began is not None and not self._in_head:
            # What came in part is never answered.
            if self.pipeline and self.pipeline[0][0] is self.cycle:
                self.pipeline.popleft()
            elif self._running is self.cycle:
                self.transport.close()
                return False
        last = self.pipeline[0][0] if self.pipeline else self._running
        if last is None or last.response_complete:
            self.transport.close()
            return False
        last.keep_alive = False
        return True

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 uvicorn's name
        """Say that this is not HTTP."""
        self.refuse(400, "this is no HTTP request that can be read")

    def refuse(self, status: int, detail: str, *, lingers: bool = True) -> None:
        """Answer with a problem, without the application, and close the connection.

        Args:
            status: of HTTP.
            detail: in a sentence.
            lingers: whether to wait until the client has the answer.
        """
        if self.transport.is_closing():
            return
        cycle: RequestResponseCycle | None = self._running
        if cycle is not None and cycle is self.cycle and not cycle.response_started:
            # It is this request that cannot be read on: nobody else answers it.
            cycle.disconnected = True
            cycle.message_event.set()
            cycle = None
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
            self._refused = lingers
            # Nobody knows what was asked, so it is no line of the requests' log.
            _LOG.info("refused", extra={"client": self.client[0] if self.client else None, "status": status})
        self.transport.close()

    def end(self) -> None:
        """Close the connection, so that its client has what was written last.

        A system that is told to close a connection on which something came that nobody has read says so to
        the other side, which then throws away what it has not read either. So this side only ends its own
        half, and reads on until the client ends the other one: see RFC 9112, section 9.6.
        """
        if self._coalescing.is_closing():
            if self._coalescing.lingers and self._began is None:
                self._coalescing.close_now()  # all of the request was read: the service ends
            return
        self._unset_keepalive_if_required()
        self._coalescing.send()
        answered = self._refused or (self._running is not None and self._running.response_started)
        if not answered or self._hung_up or not self.transport.can_write_eof():
            self._coalescing.close_now()
            return
        self._unread = b""
        self._coalescing.lingers = True
        self._lingers_since = self._drained_at = self.loop.time()
        self.transport.write_eof()
        self.flow.waits = False
        self.flow.resume_reading()

    def close_if_slow(self, now: float, seconds: float) -> None:
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
        if self._coalescing.lingers:
            if unsent:
                self._lingers_since = self._drained_at = now
                return
            silence = _LINGER_SILENCE_AFTER if self._began is None else _LINGER_SILENCE
            if now - self._drained_at > min(seconds, silence) or (
                now - self._lingers_since > min(seconds, LINGER_SECONDS)
            ):
                self._coalescing.close_now()
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
                    self._coalescing.close_now()
        elif waited > seconds + _MARGIN:
            self.transport.abort()


def close_slow(connections: Iterable[Any], now: float, seconds: float) -> None:
    """Close the connections whose clients are too slow: see `Connection.close_if_slow`."""
    for connection in list(connections):
        cast(Connection, connection).close_if_slow(now, seconds)


def connection_limit() -> int:
    """Let this process open as many files as it may, and return how many connections that leaves room for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    return max(soft if soft != resource.RLIM_INFINITY else most, 2 * _OTHER_FILES) - _OTHER_FILES
