"""URIs of files (RFC 8089) and objects, as records name them, and the ids that follow from them."""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
from pathlib import Path
from urllib.parse import quote, unquote, unquote_to_bytes, urlsplit

OBJECT_SCHEMES = ("s3", "gs", "az")
"""Of URIs that name an object in a bucket: Amazon S3 and whatever speaks as it does, Google Cloud Storage and
Azure Blob Storage, whose buckets are called containers."""

SENT = "sent:/"
"""Begins what stands for a URI of an image that was sent and is not kept; its name follows as it is."""


def file_uri(path: Path) -> str:
    """Return the `file:` URI of an absolute path (RFC 8089): bytes outside ASCII are percent-encoded.

    Any name of the file system has one, invalid UTF-8 and newlines included.
    """
    return path.as_uri()


def local_path(uri: str) -> Path | None:
    """Return the path of the file on this machine that a URI names; None where it names something else.

    Of a frame it is that of the film.
    """
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


def frame_uri(film: str, time: str) -> str:
    """Return the URI of a frame: that of its film with a media fragment (W3C, Media Fragments URI 1.0).

    Args:
        film: the URI of the film.
        time: in seconds, as `images.film_sampling.seconds_text` writes it.
    """
    return f"{film}#t={time}"


def split_frame(uri: str) -> tuple[str, str] | None:
    """Return the URI of its film and the time of a frame, in seconds; None where a URI names no frame.

    The name of a file or an object that has `#t=` in it has that percent-encoded in its URI.
    """
    found = _FRAME.fullmatch(uri)
    return None if found is None else (found[1], found[2])


def object_uri(text: str) -> str:
    """Return the URI of an object that is named as people write it: bytes outside ASCII are percent-encoded.

    Args:
        text: `s3://bucket/key`, with the key as it is.
    """
    scheme, _, rest = text.partition("://")
    return f"{scheme}://{quote(rest, safe=_IN_KEYS)}"


def object_text(uri: str) -> str | None:
    """Return the object that a URI names as people write it, of a frame its film; None for something else.

    The inverse of `object_uri`.
    """
    scheme, parted, rest = uri.partition("#")[0].partition("://")
    return f"{scheme}://{unquote(rest)}" if parted and scheme in OBJECT_SCHEMES else None


def place_uri(place: str, base: str | None = None) -> str:
    """Return the URI of a picture that the table of somebody else names.

    Args:
        place: an absolute or relative path, an object as people write it, or a URI.
        base: the URI of the folder that relative paths are relative to; None: they stay relative.
    """
    written = object_text(place)
    if written is not None:  # as URIs are, or as people write them
        return place if object_uri(written) == place else object_uri(place)
    text = place.encode("utf-8", "surrogatepass")
    if _SCHEME.match(place):
        return quote(text, safe=f"{_IN_KEYS}%?#[]")
    above = "file:///" if place.startswith("/") else base
    if above is None:
        return quote(text)
    scheme, _, rest = above.partition("://")
    host, _, folder = rest.partition("/")
    path = f"{folder}/{quote(text, safe='/' if scheme == 'file' else _IN_KEYS)}".lstrip("/")
    return f"{scheme}://{host}{posixpath.normpath(f'/{path}')}"


def uri_text(uri: str) -> str:
    """Return what a URI names as text, for people: a path on this machine, or an object; a frame of either.

    Of anything else it is the URI as it is. Where there are many, making paths of them takes its time.
    """
    frame = split_frame(uri) if "#" in uri else None
    place = uri if frame is None else frame[0]
    text = _local_text(place)
    if text is None:
        text = object_text(place)
    if text is None:
        return uri
    return text if frame is None else frame_uri(text, frame[1])


_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_FRAME = re.compile(r"([^#]+)#t=(\d{1,12}(?:\.\d{1,3})?)", re.DOTALL)
# What RFC 3986 lets stand in a path as it is, of which `~` is quoted by nobody.
_IN_KEYS = "/!$&'()*+,;=:@"


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
