"""Ids of the records that arguments name."""

from __future__ import annotations

import os
import re
from pathlib import Path

from lookalike.images.film_sampling import seconds_text
from lookalike.search.expressions import ID_PREFIX
from lookalike.sources.files import absolute
from lookalike.sources.frames import named_frame
from lookalike.uris import file_uri, frame_uri, object_text, object_uri, record_id

# RFC 3986, section 3.1, and two slashes: a path may well have a colon in it.
_URI = re.compile("[A-Za-z][A-Za-z0-9+.-]*://")


def id_of(image: str) -> str:
    """Return the id of the record that a path names, whose file may be gone, or a URI, or an id.

    `film.mp4#t=12.5` names a frame, and `id:7` what has the id 7.
    """
    if _is_id(image):
        return image
    if image.startswith(ID_PREFIX) and not os.path.lexists(image):
        return image.removeprefix(ID_PREFIX)
    frame = named_frame(image)
    return record_id(_uri(image) if frame is None else frame_uri(_uri(frame[0]), seconds_text(frame[1])))


def _uri(image: str) -> str:
    if (text := object_text(image)) is not None:
        # As the record has it, or as people write it.
        return image if object_uri(text) == image else object_uri(image)
    if _URI.match(image) and not os.path.lexists(image):
        return image
    return file_uri(absolute(Path(image)))


def _is_id(text: str) -> bool:
    return len(text) == 32 and set(text) <= set("0123456789abcdef")
