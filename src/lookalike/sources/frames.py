"""Frames of films, as places: a film on this machine or in a bucket, and a moment of it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from lookalike.images.film_sampling import FILM_SUFFIXES, seconds_text
from lookalike.images.films import open_film
from lookalike.images.limits import MAX_PIXELS
from lookalike.sources.folders import file_status, file_time
from lookalike.sources.objects import Location, ObjectPath, object_of
from lookalike.sources.source import Content, Status
from lookalike.uris import frame_uri, local_path, split_frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lookalike.images.film_sampling import Sampling
    from lookalike.images.films import Film
    from lookalike.sources.objects import ObjectStatus

# Normal play time of a media fragment: seconds, or minutes or hours before them.
_MOMENT = re.compile(r"(.+)#t=(?:npt:)?(?:(?:(\d{1,4}):)?(\d{1,2}):)?(\d{1,9}(?:\.\d{1,3})?)s?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class FramePath:
    """The place of one frame: its film, and when it is shown."""

    film: Location
    moment: int
    """In milliseconds from the beginning."""

    def __str__(self) -> str:
        return frame_uri(str(self.film), self.seconds)

    @property
    def seconds(self) -> str:
        """The moment in seconds, as the URI has it."""
        return seconds_text(self.moment)

    def as_uri(self) -> str:
        """Return the URI, as records have it."""
        return frame_uri(self.film.as_uri(), self.seconds)

    @property
    def name(self) -> str:
        """The name of the film, with the moment."""
        return frame_uri(self.film.name, self.seconds)

    @property
    def parent(self) -> Location:
        """The folder of its film."""
        return self.film.parent

    @property
    def parts(self) -> tuple[str, ...]:
        """Those of its film."""
        return self.film.parts

    def __fspath__(self) -> str:
        return str(self)

    def stat(self) -> os.stat_result | ObjectStatus:
        """Return the status of its film."""
        return self.film.stat()

    def is_file(self) -> bool:
        """Tell whether the film is there."""
        return self.film.is_file()

    def read_bytes(self) -> bytes:
        """Return the frame as a picture: see `content`."""
        return self.content().data

    def content(self, max_pixels: int = MAX_PIXELS) -> Content:
        """Return the frame as a picture in the format PPM, with the status of its film.

        Raises:
            UnusableImage: the film cannot be read, or has ended by then.
            OSError: it is not there, or may not be read.
            SourceError: the server of an object does not answer, or refuses everything.
            ExtraMissing: PyAV is not installed.
        """
        status = film_status(self.film)
        with self.film.open("rb") as file, open_film(file, str(self), max_pixels) as film:
            return Content(film.frame(self.moment).picture, status)


Place: TypeAlias = Location | FramePath
"""Where a picture is: a file, an object, or a frame of either."""


@dataclass(frozen=True, slots=True)
class FrameRead:
    """A frame that was decoded already."""

    path: FramePath
    picture: bytes
    """In the format PPM."""
    notes: tuple[str, ...]
    status: Status
    """That of the film."""

    @property
    def name(self) -> str:
        """What people call it."""
        return str(self.path)


def is_film(path: Location) -> bool:
    """Tell whether a file is a film by its name."""
    return path.suffix.lower() in FILM_SUFFIXES


def film_status(film: Location) -> Status:
    """Look at a film.

    Raises:
        UnusableImage: no file has such a name, or it is no file.
        OSError: it is not there, or may not be looked at.
        SourceError: the server of an object does not answer, or refuses everything.
    """
    status = film.stat() if isinstance(film, ObjectPath) else file_status(film)
    return Status(status.st_size, file_time(status))


def read_frames(path: Location, film: Film, sampling: Sampling, status: Status) -> Iterator[FrameRead]:
    """Yield the frames of an open film that are taken: see `Film.frames`."""
    for frame in film.frames(sampling):
        yield FrameRead(FramePath(path, frame.time), frame.picture, frame.notes, status)


def place_of(uri: str) -> Place | None:
    """Return what a record's URI names, a frame too; None where nothing that could be read."""
    frame = split_frame(uri)
    if frame is None:
        return local_path(uri) or object_of(uri)
    film = local_path(frame[0]) or object_of(frame[0])
    return None if film is None else FramePath(film, round(float(frame[1]) * 1000))


def named_frame(text: str) -> tuple[str, int] | None:
    """Return the film and the moment, in milliseconds, that `film.mp4#t=12.5` names; None for other names.

    The moment may have minutes and hours: `#t=1:02:03.5`. A file that has this very name is meant first.
    """
    found = _MOMENT.fullmatch(text)
    if found is None or os.path.exists(text):  # noqa: PTH110 - says no where `Path.exists` raises
        return None
    film, hours, minutes, seconds = found.groups()
    whole = (int(hours or 0) * 60 + int(minutes or 0)) * 60
    return film, whole * 1000 + round(float(seconds) * 1000)
