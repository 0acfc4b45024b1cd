"""A client of the service: `lookalike[client]`.

    from lookalike import Image, Text
    from lookalike.client import Client

    with Client("http://127.0.0.1:8000") as client:
        found = client["parts"].search(Image("part.jpg") - Text("a scratch"))

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
except ImportError as error:
    raise ExtraMissing("the client", "client") from error

__all__ = [
    "AccessDenied",
    "Client",
    "JobFailed",
    "JobUnfinished",
    "ResourceNotFound",
    "ServiceBusy",
    "ServiceError",
    "ServiceRefused",
    "ServiceUnanswerable",
    "ServiceUnreachable",
]
