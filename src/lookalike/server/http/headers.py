"""Security headers of every response."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The page loads nothing from elsewhere and runs nothing that stands in its HTML (W3C CSP Level 3)."""

# OWASP's HTTP Headers Cheat Sheet says what each is for:
# https://cheatsheetseries.owasp.org/cheatsheets/HTTP_Headers_Cheat_Sheet.html
ALWAYS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
"""Names in lower case, as ASGI has them, and values. A request's own function may set another value."""


def with_headers(headers: Iterable[tuple[bytes, bytes]], request_id: str) -> list[tuple[bytes, bytes]]:
    """Add the security headers and the request id to the headers of a response.

    Args:
        headers: that the request's function set; these stay as they are.
        request_id: what the log calls the request.
    """
    own = list(headers)
    names = {name for name, _ in own}
    own += [pair for pair in ALWAYS if pair[0] not in names]
    own.append((b"x-request-id", request_id.encode("ascii")))
    return own
