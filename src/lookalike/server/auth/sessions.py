"""Browser sessions: a signed cookie in exchange for an API key."""

from __future__ import annotations

import hmac
import secrets
import time
from typing import TYPE_CHECKING

from starlette.requests import cookie_parser

if TYPE_CHECKING:
    from starlette.types import Scope

    from lookalike.server.auth.keys import Key, Keys

SECONDS = 12 * 3600
"""For which somebody stays logged in: a working day."""


class LoginSessions:
    """Signs and verifies the session cookies of browsers.

    The browser keeps a name, an end and a seal over both, not the key: what leaks from a browser is worth
    something until that end, or until the key's line is gone, or this process ends.
    """

    def __init__(self, keys: Keys) -> None:
        """Draw the secret that signs cookies.

        Args:
            keys: those in force.
        """
        self.keys = keys
        """Those in force."""
        self._secret = secrets.token_bytes(32)

    def open(self, key: Key) -> str:
        """Return the cookie value for a key, in characters that a cookie may have (RFC 6265, 4.1.1)."""
        text = f"{int(time.time()) + SECONDS}.{key.name}"
        return f"{text}.{self._seal(text, key)}"

    def find(self, scope: Scope, cookies: str) -> Key | None:
        """Return the key of a request's session cookie; None where there is no valid one."""
        text, _, seal = cookie_parser(cookies).get(cookie_name(scope), "").rpartition(".")
        end, _, name = text.partition(".")
        key = self.keys.named(name)
        if key is None or not hmac.compare_digest(self._seal(text, key).encode(), seal.encode()):
            return None
        return key if int(end) > time.time() else None

    def _seal(self, text: str, key: Key) -> str:
        # With the key's hash: another key that gets the same name does not inherit its sessions.
        return hmac.digest(self._secret, text.encode() + key.digest, "sha256").hex()


def cookie_name(scope: Scope) -> str:
    """Return the name of the cookie: with the port, since browsers give a host's cookies to all its ports."""
    server = scope.get("server")
    return f"lookalike-{server[1] if server else 0}"
