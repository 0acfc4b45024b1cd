"""Relative paths of images: their paths below the folder that was indexed, or below one that was named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.file_names import readable
from lookalike.stores.sql import sql_text
from lookalike.uris import uri_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    Bases = Mapping[str, str]
    """What was indexed, and for each the folder that the paths of images below it are relative to; both as
    people write them: an absolute path, or `s3://bucket/prefix`."""


def relative_path(uri: str, bases: Bases) -> str:
    """Return the path of an image for people and SQL: below its base, or else below the root.

    Args:
        uri: of its record.
        bases: those of its collection; the innermost that was indexed counts.
    """
    path = uri_text(uri)
    root = next((each for each in _folders(path) if each in bases), None)
    text = path if root is None else path[len(bases[root]) :]
    return sql_text(readable(text).lstrip("/"))


def merged_bases(known: Bases, indexed: Iterable[str], base: str | None = None) -> dict[str, str]:
    """Return the bases of a collection into which some more was indexed.

    Args:
        known: those it has.
        indexed: folders, and the folders of single files.
        base: the folder that was named for all of these, and for what is below them; None: each has the base
            that it had before, or that of a folder around it, or else is its own.
    """
    found = dict(known)
    for root in indexed:
        if base is not None:
            found = {each: kept for each, kept in found.items() if root not in _folders(each)}
            found[root] = base
        elif root not in found and not any(each in found for each in _folders(root)):
            found = {each: kept for each, kept in found.items() if kept != each or root not in _folders(each)}
            found[root] = root
    return found


def is_base(base: str, root: str) -> bool:
    """Tell whether a folder is another one or above it."""
    return base == root or base in _folders(root)


def _folders(path: str) -> Iterator[str]:
    """Yield the folders that a path is below, the innermost first."""
    end = path.rfind("/")
    while end >= 0 and not path[:end].endswith(":/"):
        yield path[:end] or "/"
        end = path.rfind("/", 0, end) if end else -1
