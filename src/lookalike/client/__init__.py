"""A client of the service: `lookalike[client]`.

    from pathlib import Path
    from lookalike.client import Client, Minus

    with Client("http://127.0.0.1:8000") as client:
        answer = client.search("parts", Path("part.jpg"), Minus("a scratch"))

It is written once, for threads: one client may be used by several, and asynchronous code asks through
`asyncio.to_thread`.
"""

from __future__ import annotations

from lookalike.errors import ExtraMissing

try:
    from lookalike.client.client import Client
    from lookalike.client.errors import (
        AccessDenied,
        JobFailed,
        JobUnfinished,
        ResourceNotFound,
        ServiceBusy,
        ServiceError,
        ServiceRefused,
        ServiceUnanswerable,
        ServiceUnreachable,
    )
    from lookalike.client.terms import Id, Minus, Picture
except ImportError as error:
    raise ExtraMissing("the client", "client") from error

__all__ = [
    "AccessDenied",
    "Client",
    "Id",
    "JobFailed",
    "JobUnfinished",
    "Minus",
    "Picture",
    "ResourceNotFound",
    "ServiceBusy",
    "ServiceError",
    "ServiceRefused",
    "ServiceUnanswerable",
    "ServiceUnreachable",
]
