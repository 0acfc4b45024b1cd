"""Limits on the size, the duration and the memory of request bodies.

A body is read whole before anything works for it: whoever sends slowly occupies a few bytes of memory and
nobody's turn, and what is too large, too late or too much for now is refused in one place.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from lookalike.server.http.json_limits import check_json_size
from lookalike.server.http.problems import Overloaded, Refused, answer_problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from lookalike.server.settings import Settings

_MEGABYTE = 1 << 20
# Of 2 ** 63 - 1, the longest that llhttp reads with more than zeros.
_MOST_DIGITS = 19


class MemoryBudget:
    """The bytes of request bodies in memory, and their limit."""

    def __init__(self, most: int) -> None:
        """Set the limit.

        Args:
            most: bytes.
        """
        self._most = most
        self.bytes = 0
        """In memory now."""

    def take(self, count: int) -> None:
        """Account for more bytes.

        Raises:
            Overloaded: that would be too many.
        """
        if self.bytes + count > self._most:
            raise Overloaded("too many large requests at once; ask again in a moment")
        self.bytes += count


class BodyLimits:
    """ASGI middleware that reads request bodies whole, within limits."""

    def __init__(self, app: ASGIApp, settings: Settings, held: MemoryBudget) -> None:
        """Wrap an application.

        Args:
            app: what gets requests whose bodies are complete.
            settings: the limits.
            held: what counts bytes.
        """
        self._app = app
        self._held = held
        self._most = settings.max_bytes
        self._seconds = settings.body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        try:
            length = _length(scope) if scope["type"] == "http" else 0
        except Refused as refused:
            await answer_problem(refused, scope, receive, send)
            return
        if length == 0:
            await self._app(scope, receive, send)
            return
        body = _Body(receive, self._held)
        try:
            try:
                complete = await self._read(body, scope, length)
            except Refused as refused:
                if "expect" in Headers(scope=scope):
                    # Whoever waits to be told to go on does not send the body now: what came next on this
                    # connection would be taken for it (RFC 9110, section 10.1.1).
                    refused.headers["Connection"] = "close"
                await answer_problem(refused, scope, receive, send)
                return
            if complete:
                scope.setdefault("state", {})["received"] = body.size
                await self._app(scope, body.replay, send)
        finally:
            self._held.bytes -= body.size

    async def _read(self, body: _Body, scope: Scope, length: int | None) -> bool:
        """Read a body; False where its client went away.

        Raises:
            Refused: it is too large or too late.
        """
        if length is not None and length > self._most:
            raise _too_large(self._most)
        try:
            async with asyncio.timeout(self._seconds):
                complete = await body.read(self._most)
        except TimeoutError as error:
            line = f"the request did not arrive within {self._seconds:g} seconds"
            raise Refused(408, line, {"Connection": "close"}) from error
        if complete and not Headers(scope=scope).get("content-type", "").lower().startswith("multipart/"):
            check_json_size(body.content)
        return complete


class _Body:
    """The body of one request, read whole and replayed to the application."""

    def __init__(self, receive: Receive, held: MemoryBudget) -> None:
        self._receive = receive
        self._held = held
        self._message: Message | None = None
        self.size = 0
        """Bytes that are held."""

    @property
    def content(self) -> bytes:
        """The body, where all of it was read."""
        return b"" if self._message is None else bytes(self._message["body"])

    async def read(self, most: int) -> bool:
        """Read all of it, at most so many bytes; False where its client went away."""
        parts: list[bytes] = []
        while True:
            message = await self._receive()
            if message["type"] != "http.request":
                return False
            part = message.get("body", b"")
            if self.size + len(part) > most:
                raise _too_large(most)
            self._held.take(len(part))
            self.size += len(part)
            parts.append(part)
            if not message.get("more_body", False):
                body = parts[0] if len(parts) == 1 else b"".join(parts)
                self._message = {"type": "http.request", "body": body, "more_body": False}
                return True

    async def replay(self) -> Message:
        """Return the body once, and then what follows it: the disconnect."""
        message, self._message = self._message, None
        return await self._receive() if message is None else message


def _too_large(most: int) -> Refused:
    return Refused(413, f"a request has at most {most / _MEGABYTE:g} MB")


def _length(scope: Scope) -> int | None:
    """Return the bytes of a body as its head tells them; 0 where there is none, None where it is not told.

    A request has a body if it has one of these headers: RFC 9112, section 6.3.

    Raises:
        Refused: it is told in a way that nobody can rely on, or the body is encoded.
    """
    length: int | None = 0
    for name, value in scope["headers"]:
        if name == b"content-length":
            # More digits than a size has; some clients write zeros before it.
            value = value.strip(b" \t")
            if not value.isdigit() or len(value) > _MOST_DIGITS:
                raise Refused(400, "Content-Length is no number of bytes", {"Connection": "close"})
            length = int(value)
        elif name == b"transfer-encoding":
            if value.strip().lower() != b"chunked":
                raise Refused(400, "of transfer encodings only chunked is read", {"Connection": "close"})
            length = None
        elif name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            raise Refused(415, "a body is sent as it is, without Content-Encoding")
    return length
