"""Which records people name: by an id, a path, a URI, or as the table of somebody else names its pictures."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from lookalike.images.film_sampling import seconds_text
from lookalike.search.expressions import is_record_id, named_id
from lookalike.sources.files import absolute
from lookalike.sources.frames import named_frame
from lookalike.stores.attached.description import row_id
from lookalike.uris import file_uri, frame_uri, object_text, object_uri, place_uri, record_id, split_frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lookalike.stores.store import Store

# RFC 3986, section 3.1, and two slashes: a path may well have a colon in it.
_URI = re.compile("[A-Za-z][A-Za-z0-9+.-]*://")


def find_named(
    store: Store, collection: str, images: Iterable[str], folders: Sequence[str]
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return the ids of the records that each image may be, sorted; none where there is none.

    And those of the frames of each film among the images.

    An id, or the path or URI that an id is made of, is looked up. What that does not find, such as a row of
    an attached table, is looked for among the URIs of all records: as a path, as the table has it, or, where
    no file of that path is there, below one of the folders.

    Args:
        store: with the collection.
        collection: its name.
        images: ids, paths, URIs; `film.mp4#t=12.5` is a frame, and `id:7` what has the id 7.
        folders: URIs, with a slash at the end, that pictures are named relative to.

    Raises:
        CollectionNotFound: there is none of that name.
    """
    wanted = {image: _id_of(image) for image in images}
    there = {record.id for record in store.get(collection, list(wanted.values()))}
    there |= {damage.id for damage in store.damage.found(collection)}
    found = {image: [one] if one in there else [] for image, one in wanted.items()}
    left = [image for image, ids in found.items() if not ids and not _is_exact(image)]
    frames: dict[str, list[str]] = {}
    if not left:
        return found, frames
    named: dict[str, set[str]] = {}
    for image in left:
        for uri in _uris(image, folders):
            named.setdefault(uri, set()).add(image)
    by_id = {row_id(image): image for image in left}
    for record in store.get(collection, [one for one in by_id if one]):
        found[by_id[record.id]].append(record.id)
    for uri, stamp in store.scan_stamps(collection):
        for image in named.get(uri, ()):
            found[image].append(stamp.id)
        film = split_frame(uri) if "#" in uri else None
        for image in () if film is None else named.get(film[0], ()):
            frames.setdefault(image, []).append(stamp.id)
    return {image: sorted(set(ids)) for image, ids in found.items()}, frames


def _id_of(image: str) -> str:
    """Return the id that an image is, or that is made of its path, whose file may be gone, or of its URI."""
    if _is_exact(image):
        return named_id(image) or image
    frame = named_frame(image)
    return record_id(_uri(image) if frame is None else frame_uri(_uri(frame[0]), seconds_text(frame[1])))


def _uris(image: str, folders: Sequence[str]) -> set[str]:
    """Return the URIs that the picture may have in a record."""
    frame = named_frame(image)
    if frame is not None:
        return {frame_uri(film, seconds_text(frame[1])) for film in _uris(frame[0], folders)}
    # Of what lies here, that is meant, and not its namesake elsewhere.
    others = () if os.path.lexists(image) else folders
    return {_uri(image), *(place_uri(image, folder) for folder in (None, *others))}


def _uri(image: str) -> str:
    if (text := object_text(image)) is not None:
        # As the record has it, or as people write it.
        return image if object_uri(text) == image else object_uri(image)
    if _URI.match(image) and not os.path.lexists(image):
        return image
    return file_uri(absolute(Path(image)))


def _is_exact(image: str) -> bool:
    """Tell whether it is an id, and nothing else."""
    return is_record_id(image) or named_id(image) is not None
