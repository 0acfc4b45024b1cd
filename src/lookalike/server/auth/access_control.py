"""Access control: API keys, and checks of host and origin where none are needed.

Where keys are in force, every request needs one. Where none are, only this machine can ask, and that means
its browsers too: a page from elsewhere may neither ask in its user's name (cross-site request forgery) nor
make its own name lead to the service (DNS rebinding). Both are told by headers that a page cannot set:
`Sec-Fetch-Site` and `Origin` for the first, `Host` for the second.

Sources: https://www.w3.org/TR/fetch-metadata/, https://fetch.spec.whatwg.org/#forbidden-request-header,
https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from typing import TYPE_CHECKING

from fastapi import Depends, Request

from lookalike.errors import InvalidArgument
from lookalike.server.http.elastic_requests import asks_elastic
from lookalike.server.http.problems import Refused, answer_problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from lookalike.server.auth.keys import Key
    from lookalike.server.auth.sessions import LoginSessions
    from lookalike.server.settings import Settings

_OPEN = frozenset({"/", "/healthz", "/readyz"})
_OPEN_BELOW = "/static/"
_ASKERS = frozenset({b"host", b"origin", b"sec-fetch-site", b"authorization", b"cookie"})
# A name or an address, and a port: RFC 3986, section 3.2.2.
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.%A-Za-z]+\]|[\w.~!$&'()*+,;=%-]*)(?::\d{0,5})?", re.ASCII)
_LOGIN = "/v1/login"
# Schemes of `Authorization`: RFC 6750, and what Elastic's clients say.
_SCHEMES = frozenset({"bearer", "apikey"})
_ORIGIN = re.compile(r"https?://[^/?#@\s]+")


def check_may_write(request: Request) -> None:
    """Refuse a request whose key is read-only.

    Raises:
        Refused: 403.
    """
    if getattr(request.state, "may", "write") != "write":
        raise Refused(403, "this key may read and not write; ask with a writing key")


WriteAccess = Depends(check_may_write)
"""The dependency of every route that writes."""


class AccessControl:
    """ASGI middleware that refuses requests without a valid key, or of a foreign host or origin.

    A request that passes has in its `state` what it `may` do, and the name of its `key`.
    """

    def __init__(self, app: ASGIApp, settings: Settings, sessions: LoginSessions | None) -> None:
        """Wrap an application.

        Args:
            app: what gets the requests that pass.
            settings: names and origins that are let in.
            sessions: the keys in force, and who logged in with one; None: no key is asked for.

        Raises:
            InvalidArgument: an origin is none.
        """
        self._app = app
        self._sessions = sessions
        self._origins = check_origins(settings.origins)
        # With keys, the name matters only where somebody said which: a page whose own name leads here has
        # neither key nor cookie.
        self._any_host = sessions is not None and not settings.hosts
        self._hosts = {_host_name(name) for name in ("localhost", settings.host, *settings.hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            try:
                self._check(scope)
            except Refused as refused:
                await answer_problem(refused, scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        state = scope.setdefault("state", {})
        state["may"] = "write" if self._sessions is None else "read"
        method, path = scope["method"], scope["path"]
        reads = method in ("GET", "HEAD")
        if reads and path in _OPEN and not (path == "/" and asks_elastic(scope)):
            return
        said = _client_headers(scope)
        host = said.get(b"host")
        if not self._any_host:
            self._check_host(host)
        elif host is not None and not _HOST.fullmatch(host):
            raise Refused(400, "Host is a name or an address, and a port")
        if reads and path.startswith(_OPEN_BELOW):
            return
        self._check_origin(host, said.get(b"origin"), said.get(b"sec-fetch-site"))
        if self._sessions is None or (path == _LOGIN and method in ("POST", "DELETE")):
            return
        key = _key(self._sessions, scope, said.get(b"authorization"), said.get(b"cookie"))
        state["may"] = key.may
        state["key"] = key.name

    def _check_host(self, host: bytes | None) -> None:
        name = _host_name("" if host is None else host.decode("latin-1"))
        if name in self._hosts or _is_loopback(name):
            return
        raise Refused(
            403,
            "the service is not called as the header Host says: ask by the address it listens on, or start "
            "it with --allow-host NAME",
        )

    def _check_origin(self, host: bytes | None, origin: bytes | None, site: bytes | None) -> None:
        if origin is not None and origin in self._origins:
            return
        if site is not None:
            foreign = site not in (b"same-origin", b"none")
        else:
            # A browser that does not say it, or a connection without TLS to another machine.
            asks = (origin or b"").lower().partition(b"//")[2]
            foreign = origin is not None and asks != (host or b"").lower()
        if foreign:
            raise Refused(
                403,
                "a page of another origin asks; start the service with --allow-origin ORIGIN to let it",
            )


def _client_headers(scope: Scope) -> dict[bytes, bytes]:
    """Return the last value of each header that identifies the client.

    Raises:
        Refused: there are two hosts.
    """
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name == b"host" and name in found:  # RFC 9112, section 3.2; a proxy may have read the other
            raise Refused(400, "a request has one Host")
        if name in _ASKERS:
            found[name] = value
    return found


def _key(sessions: LoginSessions, scope: Scope, authorization: bytes | None, cookie: bytes | None) -> Key:
    """Return the API key of a request.

    Raises:
        Refused: it has none, or one that is not in force.
    """
    found = None
    if authorization is not None:
        scheme, _, given = authorization.decode("latin-1").partition(" ")
        if scheme.lower() in _SCHEMES:
            found = sessions.keys.find(given.strip())
        elif scheme.lower() == "basic":
            found = sessions.keys.find(_password(given))
    elif cookie is not None:
        found = sessions.find(scope, cookie.decode("latin-1"))
    if found is not None:
        return found
    reason = "a key is needed" if authorization is None else "that key is not known"
    # RFC 6750, section 3: with what is wrong only where something was given.
    challenge = 'Bearer realm="lookalike"' + (', error="invalid_token"' if authorization else "")
    raise Refused(401, f"{reason}: send it as `Authorization: Bearer KEY`", {"WWW-Authenticate": challenge})


def _password(given: str) -> str:
    """Return the password of basic credentials (RFC 7617), whatever the user is called."""
    try:
        return base64.b64decode(given, validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


def check_origins(origins: Iterable[str]) -> frozenset[bytes]:
    """Return origins as browsers send them.

    Raises:
        InvalidArgument: one is none.
    """
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise InvalidArgument(
                f"--allow-origin {origin}: write it as https://example.org or http://host:port"
            )
    return frozenset(origin.lower().encode("ascii", "replace") for origin in origins)


def _host_name(host: str) -> str:
    """Return the name or address in a `Host`, without its port, in lower case."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() and ":" not in name else host


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
