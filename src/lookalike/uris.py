"""URIs of files, as records name them (RFC 8089), and the ids that follow from them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

SENT = "sent:/"
"""Begins what stands for a URI of an image that was sent and is not kept; its name follows as it is."""


def file_uri(path: Path) -> str:
    """Return the `file:` URI of an absolute path (RFC 8089): bytes outside ASCII are percent-encoded.

    Any name of the file system has one, invalid UTF-8 and newlines included.
    """
    return path.as_uri()


def local_path(uri: str) -> Path | None:
    """Return the path of the file on this machine that a URI names; None where it names something else."""
    text = _local_text(uri)
    return None if text is None else Path(text)


def uri_path(uri: str) -> Path:
    """Return the path that a `file:` URI names: the inverse of `file_uri`.

    Raises:
        ValueError: it names no file on this machine: an object in `s3:`, say. See `local_path`.
    """
    path = local_path(uri)
    if path is None:
        raise ValueError(f"{uri} names no file on this machine")
    return path


def uri_text(uri: str) -> str:
    """Return the same path as text, for people: of what is no file on this machine, the URI as it is.

    Where there are many, making paths of them takes its time.
    """
    text = _local_text(uri)
    return uri if text is None else text


def _local_text(uri: str) -> str | None:
    """Return the path that a URI names on this machine, by RFC 8089: without a host, or with `localhost`.

    The path of any other URI is one on another machine, and whatever lies at that path here is another file.
    """
    try:
        parts = urlsplit(uri)
    except ValueError:  # no URI at all
        return None
    here = parts.scheme == "file" and parts.netloc.lower() in ("", "localhost")
    return os.fsdecode(unquote_to_bytes(parts.path)) if here and parts.path.startswith("/") else None


def record_id(uri: str) -> str:
    """Return the id of the record for `uri`: the first 128 bits of its SHA-256, in hexadecimal.

    Of fixed length, because Elasticsearch ends an `_id` at 512 bytes and paths are longer.
    """
    return hashlib.sha256(uri.encode()).hexdigest()[:32]
