"""Where an image lies: a file on this machine, or an object; as it is written, and as records name it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lookalike.errors import InvalidArgument
from lookalike.sources.buckets import has_settings
from lookalike.sources.files import absolute
from lookalike.sources.folders import file_content
from lookalike.sources.objects import ObjectPath, is_object, object_of, object_path
from lookalike.uris import local_path

if TYPE_CHECKING:
    from lookalike.sources.objects import Location
    from lookalike.sources.source import Content


def location(text: str | Location) -> Location:
    """Return what a person names: `s3://bucket/prefix`, say, or a path on this machine.

    Raises:
        InvalidArgument: it begins as the name of an object does, and is none.
    """
    if isinstance(text, ObjectPath):
        return text
    return object_path(text) if isinstance(text, str) and is_object(text) else Path(text)


def named_location(text: str) -> Location:
    """Return the same of what may be no name at all, as a path then: for people, and never to be opened."""
    try:
        return location(text)
    except InvalidArgument:
        return Path(text)


def location_of(uri: str) -> Location | None:
    """Return what a record's URI names; None where it is neither a file of this machine nor an object."""
    return local_path(uri) or object_of(uri)


def readable_location(uri: str) -> Location | None:
    """Return where the picture of a record may be read: None where that is no file and no object for us.

    Whoever writes to a store says what its records name, and asking for an object sends a request. So objects
    are asked for only where the environment says how, by any setting of their kind of store.
    """
    place = location_of(uri)
    return None if isinstance(place, ObjectPath) and not has_settings(place.scheme) else place


def full(place: Location) -> Location:
    """Return a path absolute and without `..`, so that one file has one name; see `files.absolute`."""
    return place if isinstance(place, ObjectPath) else absolute(place)


def content(place: Location, most: int) -> Content:
    """Read an image whole.

    Args:
        place: where it lies.
        most: bytes that are taken.

    Raises:
        UnusableImage: it has more, or is no file.
        OSError: it is not there, or may not be read.
        SourceError: the server of an object does not answer, or refuses everything.
    """
    return place.content(most) if isinstance(place, ObjectPath) else file_content(place, most)
