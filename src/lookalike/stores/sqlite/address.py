"""The URL of a SQLite store, and the file that it names."""

from __future__ import annotations

from pathlib import Path

from lookalike.errors import InvalidArgument

_SCHEME = "sqlite:///"


def file_path(url: str) -> Path:
    """Return the absolute path in a `sqlite:///` URL; what follows the third slash is the path as it is.

    Raises:
        InvalidArgument: it names no file.
    """
    name = url.removeprefix(_SCHEME)
    if not url.startswith(_SCHEME) or name in ("", ":memory:") or "\0" in name:
        raise InvalidArgument(f"{url!r} names no file: a store is named as sqlite:///lookalike.db")
    return Path(name).absolute()
