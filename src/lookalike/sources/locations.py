"""Where an image is: a file, an object, or a frame of a film; as it is written, and as records name it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, overload

from lookalike.errors import InvalidArgument
from lookalike.file_names import display
from lookalike.sources.buckets import has_settings
from lookalike.sources.files import absolute
from lookalike.sources.folders import file_content
from lookalike.sources.frames import FramePath, named_frame, place_of
from lookalike.sources.objects import ObjectPath, is_object, object_of, object_path
from lookalike.uris import file_uri, local_path, object_uri

if TYPE_CHECKING:
    from lookalike.sources.frames import Place
    from lookalike.sources.objects import Location
    from lookalike.sources.source import Content


# As other programs call the same stores: Hadoop, Spark, fsspec, browsers.
_OTHER_SCHEMES = (
    {"gs": "gs", "gcs": "gs", "az": "az", "azure": "az"}
    | dict.fromkeys(("s3", "s3a", "s3n", "http", "https"), "s3")
    | dict.fromkeys(("abfs", "abfss", "wasb", "wasbs"), "az")
)


def location(text: str | Location) -> Location:
    """Return what a person names: `s3://bucket/prefix`, say, or a path on this machine.

    Raises:
        InvalidArgument: it begins as the name of an object does, and is none.
    """
    if isinstance(text, ObjectPath):
        return text
    if not isinstance(text, str):
        return Path(text)
    if is_object(text):
        return object_path(text)
    scheme, parted, _ = text.partition("://")
    if parted and scheme.lower() in _OTHER_SCHEMES and not os.path.lexists(text):
        server = "; AWS_ENDPOINT_URL in the environment says the server's address"
        raise InvalidArgument(
            f"{display(text)!r} is no path: write {_OTHER_SCHEMES[scheme.lower()]}://bucket/prefix"
            f"{server if scheme.lower().startswith('http') else ''}"
        )
    return Path(text)


def folder_uri(folder: str | Path) -> str:
    """Return the URI, with a slash at its end, of a folder or prefix that a person names.

    Args:
        folder: a path, also below `~`, `s3://bucket/prefix`, or a `file:` URI.

    Raises:
        InvalidArgument: it begins as the name of an object does, and is none.
    """
    text = str(folder)
    if is_object(text):
        return f"{object_uri(str(object_path(text)))}/"
    path = local_path(text) or Path(text).expanduser()
    return f"{file_uri(absolute(path)).rstrip('/')}/"


def picture_place(text: str | Place) -> Place:
    """Return where a picture is that a person names: `film.mp4#t=12.5` is a frame of that film.

    Raises:
        InvalidArgument: it begins as the name of an object does, and is none.
    """
    if isinstance(text, FramePath):
        return text
    frame = named_frame(str(text))
    return location(text) if frame is None else FramePath(location(frame[0]), frame[1])


def named_location(text: str) -> Location:
    """Return the same of what may be no name at all, as a path then: for people, and never to be opened."""
    try:
        return location(text)
    except InvalidArgument:
        return Path(text)


def named_place(text: str) -> Place:
    """Return what `picture_place` does of what may be no name at all, as `named_location` does."""
    try:
        return picture_place(text)
    except InvalidArgument:
        return Path(text)


def location_of(uri: str) -> Location | None:
    """Return the file of this machine or the object that a record's URI names, of a frame that of its film.

    None where it is neither.
    """
    return local_path(uri) or object_of(uri)


def readable_location(uri: str) -> Place | None:
    """Return where the picture of a record may be read: None where that is none for us.

    Whoever writes to a store says what its records name, and asking for an object sends a request. So objects
    are asked for only where the environment says how, by any setting of their kind of store.
    """
    place = place_of(uri)
    file = place.film if isinstance(place, FramePath) else place
    return None if isinstance(file, ObjectPath) and not has_settings(file.scheme) else place


@overload
def full(place: Location) -> Location: ...
@overload
def full(place: Place) -> Place: ...
def full(place: Place) -> Place:
    """Return a path absolute and without `..`, so that one file has one name; see `files.absolute`."""
    if isinstance(place, FramePath):
        return FramePath(full(place.film), place.moment)
    return place if isinstance(place, ObjectPath) else absolute(place)


def content(place: Place, most: int) -> Content:
    """Read an image whole.

    Args:
        place: where it is; a frame is read as a picture of its own.
        most: bytes that are taken of a file.

    Raises:
        UnusableImage: it has more, or is no file.
        OSError: it is not there, or may not be read.
        SourceError: the server of an object does not answer, or refuses everything.
    """
    if isinstance(place, FramePath):
        return place.content()
    return place.content(most) if isinstance(place, ObjectPath) else file_content(place, most)
