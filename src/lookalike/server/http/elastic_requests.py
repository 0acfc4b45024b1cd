"""How requests of Elasticsearch's clients are told from others, and read."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from lookalike.errors import InvalidArgument

if TYPE_CHECKING:
    from starlette.types import Scope

ELASTIC_HEADERS = {"X-Elastic-Product": "Elasticsearch"}
"""Without it, Elastic's clients (since 8.0) do not believe an answer."""

# What Elasticsearch does begins with _, in its own addresses and in an index's; nothing else here does.
_PATH = re.compile(r"/([^/]+/)?_[^/]+(/.*)?")
_ACCEPT = b"application/vnd.elasticsearch+json"
_VENDOR = b"application/vnd.elasticsearch+"


def is_elastic(scope: Scope) -> bool:
    """Tell whether a request is one of Elasticsearch's: by its address, or by what its client says."""
    path = scope["path"]
    if path == "/":
        return asks_elastic(scope)
    if path.startswith("/v1/"):
        return False
    said = (value for name, value in scope["headers"] if name in (b"accept", b"content-type"))
    return _PATH.fullmatch(path) is not None or any(_VENDOR in value for value in said)


def asks_elastic(scope: Scope) -> bool:
    """Tell whether a client of Elasticsearch asks, by what it takes: `/` is also the page's address."""
    taken = [value for name, value in scope["headers"] if name == b"accept"]
    return any(_ACCEPT in value or value.strip() == b"application/json" for value in taken)


def read_json(body: bytes) -> Any:
    """Return the JSON of a body; of none an empty object.

    Raises:
        InvalidArgument: it is none.
    """
    if not body.strip():
        return {}
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument("the body cannot be read: it is no JSON in UTF-8") from error


def read_lines(body: bytes) -> list[Any]:
    """Return the JSON of every line.

    Raises:
        InvalidArgument: one is none.
    """
    return [read_json(line) for line in body.rstrip(b"\n").split(b"\n")]
