"""Image files and bytes, as they are sent."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING

from lookalike.errors import PathNotFound, UnusableImage
from lookalike.search.query import Image

if TYPE_CHECKING:
    from lookalike.search.query import Picture


def read_picture(picture: Picture | Image) -> tuple[str, bytes]:
    """Return the name and the bytes of a picture.

    Raises:
        PathNotFound: there is no such file.
        UnusableImage: it cannot be read.
    """
    given = picture.picture if isinstance(picture, Image) else picture
    if isinstance(given, bytes):
        return "image", given
    path = Path(given)
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise PathNotFound(str(path)) from error
    except OSError as error:
        raise UnusableImage(str(path), f"cannot be read: {error.strerror}") from error
    # A name may have bytes that are no UTF-8.
    return path.name.encode("utf-8", "replace").decode(), data


def data_url(picture: Picture | Image) -> str:
    """Return a picture as a data URL (RFC 2397).

    Raises:
        PathNotFound: there is no such file.
        UnusableImage: it cannot be read.
    """
    data = base64.b64encode(read_picture(picture)[1]).decode()
    # What it really is, the service sees from its bytes.
    return f"data:application/octet-stream;base64,{data}"
