"""Request ids, security headers, access log and metrics of every answer.

Unexpected errors are answered here too, with a 500.
"""

from __future__ import annotations

import ipaddress
import logging
import random
import re
import time
from typing import TYPE_CHECKING

from lookalike.server.http.error_formats import in_client_format
from lookalike.server.http.headers import with_headers
from lookalike.server.http.problems import problem
from lookalike.server.logs import ACCESS, REQUEST

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from lookalike.server.middleware.metrics import Metrics

_LOG = logging.getLogger("lookalike.server")
_ACCESS = logging.getLogger(ACCESS)

# An id that a proxy in front of us gave, if it is none that would look odd in a log.
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")

# As nginx has it: the client went away before there was an answer.
# https://github.com/nginx/nginx/blob/master/src/http/ngx_http_request.h
_LEFT = 499

UNKNOWN_ROUTE = "unmatched"
"""The route of a request without one, or that was refused before routing."""


class Instrumentation:
    """The outermost ASGI middleware: instruments every request."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        """Wrap an application.

        Args:
            app: all the rest.
            metrics: what counts requests.
        """
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        state = scope.setdefault("state", {})
        token = REQUEST.set(request_id)
        began = time.perf_counter()
        status = _LEFT
        sent = 0

        async def enveloped(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = with_headers(message.get("headers", ()), request_id)
            elif message["type"] == "http.response.body":
                sent += len(message.get("body", b""))
            await send(message)

        self._metrics.in_flight += 1
        try:
            await self._app(scope, receive, enveloped)
        except Exception:  # noqa: BLE001 whatever it is, this request gets an answer and the others go on
            # The traceback is for the log, and only for it.
            _LOG.exception("unexpected error")
            # Where a part of the answer is out, it ends here: uvicorn then cuts the connection.
            if status == _LEFT:
                answer = problem(500, "something went wrong here, and the log says what", "InternalError")
                await in_client_format(scope, answer)(scope, receive, enveloped)
        finally:
            self._metrics.in_flight -= 1
            seconds = time.perf_counter() - began
            method, route = scope["method"], _route(scope)
            self._metrics.answered(method, route, status, seconds)
            if _ACCESS.isEnabledFor(logging.INFO):
                client, peer = _addresses(scope)
                _ACCESS.info(
                    "answered",
                    extra={
                        "request": request_id,
                        "client": client,
                        **({} if peer is None or peer == client else {"proxy": peer}),
                        "key": state.get("key"),
                        "method": method,
                        "route": route,
                        "status": status,
                        "ms": round(seconds * 1000, 2),
                        "received": state.get("received", 0),
                        "sent": sent,
                    },
                )
            REQUEST.reset(token)


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return str(value, "ascii")
    return f"{random.getrandbits(64):016x}"


def _addresses(scope: Scope) -> tuple[str | None, str | None]:
    """Return the address of the client, and that of the peer, which differs behind a proxy.

    uvicorn believes only of proxies that are allowed to what they say of clients; what one says that is no
    address is not taken for one.
    """
    client = scope.get("client")
    found = str(client[0]) if client else None
    peer = scope["state"].get("peer")
    if found != peer:
        try:
            found = str(ipaddress.ip_address(found or ""))
        except ValueError:
            found = peer
    return found, peer


def _route(scope: Scope) -> str:
    """Return the template of the path that was asked for: paths themselves are without number."""
    route = getattr(scope.get("route"), "path", None)
    if isinstance(route, str):
        return route
    if "endpoint" not in scope or scope.get("path_params"):
        return UNKNOWN_ROUTE
    # What is mounted says only where; else a path without parameters, which is its own template.
    return f"{scope['root_path']}/*" if scope["root_path"] else str(scope["path"])
