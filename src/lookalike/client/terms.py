"""What a user hands over: pictures, ids, and what is to be taken away."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from lookalike.errors import PathNotFound, UnusableImage

Picture: TypeAlias = Path | bytes
"""A file of this machine, which is read and sent, or the bytes of one."""


@dataclass(frozen=True, slots=True)
class Id:
    """An image of the collection."""

    id: str
    """32 hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class Minus:
    """What is taken away from a sum."""

    term: Picture | Id | str


Term: TypeAlias = Picture | Id | str | Minus
"""A part of a sum; a string is a text."""


def read_picture(picture: Picture) -> tuple[str, bytes]:
    """Return the name and the bytes of a picture.

    Raises:
        PathNotFound: there is no such file.
        UnusableImage: it cannot be read.
    """
    if isinstance(picture, bytes):
        return "image", picture
    try:
        data = picture.read_bytes()
    except FileNotFoundError as error:
        raise PathNotFound(str(picture)) from error
    except OSError as error:
        raise UnusableImage(str(picture), f"cannot be read: {error.strerror}") from error
    # A name may have bytes that are no UTF-8.
    return picture.name.encode("utf-8", "replace").decode(), data


def data_url(picture: Picture) -> str:
    """Return a picture as a data URL (RFC 2397).

    Raises:
        PathNotFound: there is no such file.
        UnusableImage: it cannot be read.
    """
    data = base64.b64encode(read_picture(picture)[1]).decode()
    # What it really is, the service sees from its bytes.
    return f"data:application/octet-stream;base64,{data}"
