"""What the calls of a collection take, one or several, as the rooms below take it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from lookalike.errors import InvalidArgument
from lookalike.search.query import Image, RecordId
from lookalike.sources.frames import FramePath
from lookalike.sources.locations import location, picture_place
from lookalike.sources.objects import ObjectPath
from lookalike.sources.uploads import Upload
from lookalike.types import Skipped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lookalike.sources.frames import Place
    from lookalike.sources.objects import Location

_OnePlace: TypeAlias = str | Path | ObjectPath | FramePath

Paths: TypeAlias = "str | Place | Iterable[str | Place]"
"""One path, or several."""
Classifiable: TypeAlias = "str | Place | bytes | Image | RecordId | Skipped"
"""An image as it can be classified: a path, bytes, an image of the collection; what was skipped stays so."""
Picture: TypeAlias = "str | Place | bytes"
"""A picture as it can be looked at: a path, or bytes."""

_T = TypeVar("_T")


def paths_of(paths: Paths) -> list[Location]:
    """Return one path, or several, as a list: `s3://bucket/prefix` names objects.

    Raises:
        InvalidArgument: one is a frame, or begins as the name of an object does and is none.
    """
    several = [paths] if isinstance(paths, _OnePlace) else list(paths)
    if any(isinstance(path, FramePath) for path in several):
        raise InvalidArgument("one frame of a film is no file: name the film")
    return [location(path) for path in several if not isinstance(path, FramePath)]


def files_or_images(given: Paths | Iterable[str | Place | Image] | None) -> list[Location | Image]:
    """Return files and folders, or images that need be no files, as a list: see `paths_of`."""
    if given is None or isinstance(given, _OnePlace):
        return [] if given is None else [*paths_of(given)]
    return [each if isinstance(each, Image) else paths_of(each)[0] for each in given]


def images_of(images: Classifiable | Iterable[Classifiable]) -> Iterator[Image | RecordId | Skipped]:
    """Yield images as terms: what is a path, or bytes, is an image."""
    several = [images] if isinstance(images, _OnePlace | bytes | Image | RecordId | Skipped) else images
    for each in several:
        if isinstance(each, ObjectPath | FramePath):
            yield Image(str(each))
        else:
            yield Image(each) if isinstance(each, str | Path | bytes) else each


def pictures_of(images: Picture | Iterable[Picture]) -> Iterator[Place | Upload]:
    """Yield pictures as they are read: bytes are an upload."""
    for each in [images] if isinstance(images, _OnePlace | bytes) else images:
        yield Upload("image", each) if isinstance(each, bytes) else picture_place(each)


def one_for_each(given: Mapping[str, _T] | Sequence[Mapping[str, _T]], count: int) -> list[Mapping[str, _T]]:
    """Return what is given of all images, or of each, as a list with one of each.

    Raises:
        InvalidArgument: it is given of another number of images than `count`.
    """
    if isinstance(given, Mapping):
        return [given] * count
    if not given:
        return [{}] * count
    if len(given) != count:
        raise InvalidArgument(f"labels of {len(given)} images are given for {count}")
    return list(given)
