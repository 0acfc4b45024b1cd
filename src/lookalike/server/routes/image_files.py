"""Routes that serve thumbnails and original image files."""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import ExitStack
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple
from urllib.parse import quote

from fastapi import APIRouter, Header, Query
from fastapi.responses import Response, StreamingResponse

from lookalike.embedders.ranged import split_name
from lookalike.errors import UnusableImage
from lookalike.file_names import display
from lookalike.images.decoding import may_take_long
from lookalike.images.films import open_film
from lookalike.images.formats import SIGNED_BYTES, format_of
from lookalike.images.thumbnails import as_jpeg, thumbnails
from lookalike.ingest.embedding import MAX_BYTES
from lookalike.schemas.values import Id, Unusable
from lookalike.server.http.problems import Refused
from lookalike.server.http.responses import not_modified
from lookalike.server.service import InjectedService, Service
from lookalike.sources.folders import file_time
from lookalike.sources.frames import FramePath, place_of
from lookalike.sources.objects import ObjectFile
from lookalike.sources.uploads import Upload
from lookalike.uris import split_frame, uri_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader

    from starlette.types import Receive, Scope, Send

    from lookalike.images.formats import Format
    from lookalike.sources.objects import ObjectStatus
    from lookalike.types import CollectionInfo, Record

router = APIRouter(tags=["images"])

QUALITY = 75
"""Of WebP: people judge surfaces by these pictures. A report, which has to be small, takes less."""

_CHUNK = 256 << 10
_LONGEST_NAME = 150  # characters of a file's name: below 255 bytes for nearly everybody's file system
_CACHED = "private, no-cache"  # kept by the browser alone, which asks each time whether it still holds

_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")


class _FilmKind(NamedTuple):
    media_type: str
    suffix: str


# As browsers play them: what they play of QuickTime is what is in MPEG-4 as well.
_FILMS = {
    **dict.fromkeys((".mp4", ".m4v", ".mov", ".f4v", ".3gp", ".3g2"), _FilmKind("video/mp4", ".mp4")),
    ".webm": _FilmKind("video/webm", ".webm"),
    ".mkv": _FilmKind("video/x-matroska", ".mkv"),
    ".ogv": _FilmKind("video/ogg", ".ogv"),
    ".avi": _FilmKind("video/x-msvideo", ".avi"),
    **dict.fromkeys((".mpg", ".mpeg", ".m2v", ".vob"), _FilmKind("video/mpeg", ".mpg")),
    **dict.fromkeys((".mts", ".m2ts"), _FilmKind("video/mp2t", ".mts")),
    **dict.fromkeys((".wmv", ".asf"), _FilmKind("video/x-ms-wmv", ".wmv")),
    ".flv": _FilmKind("video/x-flv", ".flv"),
    ".mxf": _FilmKind("application/mxf", ".mxf"),
}

IfNoneMatch = Annotated[str | None, Header(description="An ETag: 304 where the picture is still that one.")]


@router.get(
    "/v1/collections/{name}/images/{id}/thumbnail",
    response_class=Response,
    responses={
        200: {"content": {"image/webp": {"schema": {"type": "string", "format": "binary"}}}},
        304: {"description": "It is still the one of that ETag"},
    },
)
async def thumbnail(
    name: str,
    id: Id,  # noqa: A002 as the contract calls it
    service: InjectedService,
    size: Annotated[
        Literal["64", "128", "256", "512", "2048"], Query(description="Of the longer side, in pixels.")
    ] = "256",
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Show an image small: WebP, upright, never enlarged."""
    collection, record = await service.store_pool.run(lambda: service.record(name, id))
    headers = _cached(record, f"{record.digest}-{size}")
    if unchanged := not_modified(if_none_match, headers):
        return unchanged
    picture = await service.image_pool.run(lambda: small(service, collection, record, int(size)))
    if picture is None:
        picture = await service.slow_image_pool.run(
            lambda: small(service, collection, record, int(size), take_long=True)
        )
    return Response(picture, headers=headers, media_type="image/webp")


@router.get(
    "/v1/collections/{name}/images/{id}/original",
    response_class=Response,
    responses={
        200: {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}},
        304: {"description": "It is still the one of that ETag"},
    },
)
async def original(
    name: str,
    id: Id,  # noqa: A002
    service: InjectedService,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Give the file of an image, byte by byte as it was indexed; a frame of a film as JPEG."""
    collection, record = await service.store_pool.run(lambda: service.record(name, id))
    headers = _cached(record, record.digest)
    if unchanged := not_modified(if_none_match, headers):
        return unchanged
    if split_frame(record.uri):
        frame = await service.slow_image_pool.run(lambda: _frame(service, collection.name, record))
        jpeg = await service.image_pool.run(lambda: as_jpeg(frame))
        headers["Content-Disposition"] = disposition(service.roots.name(record), ".jpg")
        return Response(jpeg, headers=headers, media_type="image/jpeg")
    file, kind, size = await service.image_pool.run(lambda: open_image(service, collection.name, record))
    headers |= {
        "Content-Length": str(size),
        "Content-Disposition": disposition(service.roots.name(record), kind.suffix),
        "X-Content-Type-Options": "nosniff",
    }
    return _File(file, size, headers, kind.media_type)


@router.get(
    "/v1/collections/{name}/images/{id}/film",
    response_class=Response,
    responses={
        200: {"content": {"video/*": {"schema": {"type": "string", "format": "binary"}}}},
        206: {"description": "The part of it that `Range` asks for"},
        304: {"description": "It is still the one of that ETag"},
        416: {"description": "It has no such part"},
    },
)
async def film(
    name: str,
    id: Id,  # noqa: A002
    service: InjectedService,
    wanted: Annotated[
        str | None, Header(alias="Range", description="One part: `bytes=0-1023`; of several the whole.")
    ] = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Give the film that an image is a frame of, or a part of it, as players ask for."""
    collection, record = await service.store_pool.run(lambda: service.record(name, id))
    frame = split_frame(record.uri)
    kind = None if frame is None else _FILMS.get(PurePath(uri_text(frame[0])).suffix.lower())
    if kind is None:
        raise Refused(404, "this image is no frame of a film")
    # Nobody reads a whole film for its digest: the time of its last change stands for it, as with `index`.
    headers = _cached(record, f"{record.size}-{record.modified_ns}")
    if unchanged := not_modified(if_none_match, headers):
        return unchanged
    file, size = await service.image_pool.run(lambda: _open_film(service, collection.name, record))
    headers |= {
        "Accept-Ranges": "bytes",
        "Content-Disposition": disposition(service.roots.name(record).rpartition("#")[0], kind.suffix),
        "X-Content-Type-Options": "nosniff",
    }
    start, end = _part(wanted, size)
    if start >= size:
        file.close()
        headers["Content-Range"] = f"bytes */{size}"
        return Response(status_code=416, headers=headers)
    headers["Content-Length"] = str(end - start)
    if wanted is None or (start, end) == (0, size):
        return _File(file, end - start, headers, kind.media_type)
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    file.seek(start)
    return _File(file, end - start, headers, kind.media_type, 206)


def _part(wanted: str | None, size: int) -> tuple[int, int]:
    """Return the first byte of a part and the one after the last (RFC 9110, section 14.1.2).

    What is no range of one part is the whole; what begins after the end, begins there.
    """
    found = None if wanted is None else _RANGE.fullmatch(wanted.strip())
    if found is None or not (found[1] or found[2]):
        return 0, size
    if not found[1]:
        return max(0, size - int(found[2])) if int(found[2]) else size, size
    start = int(found[1])
    end = min(size, int(found[2]) + 1) if found[2] else size
    return (start, end) if start < end or start >= size else (0, size)


def disposition(name: str, suffix: str) -> str:
    """Return a Content-Disposition (RFC 6266) that shows a picture and proposes a name to save it by.

    The name is the last part of what people call the image, without signs that file systems or headers read
    otherwise, and ends as its format wants it: what is saved as .html is no picture to a browser.

    Args:
        name: what people call the image.
        suffix: of its format.
    """
    last = PurePath(name.replace("\\", "/")).name
    # Of no use in names and of much to those who deceive: controls, marks of direction, half surrogates.
    plain = "".join(c if c.isprintable() and c not in '<>:"/\\|?*' else "_" for c in last).strip(" .")
    stem = (plain or "image")[:_LONGEST_NAME]
    same = {".jpeg": ".jpg", ".jpe": ".jpg", ".jfif": ".jpg", ".tiff": ".tif", ".apng": ".png"}
    ending = PurePath(stem).suffix.lower()
    if same.get(ending, ending) != suffix:
        stem += suffix
    ascii_only = re.sub(r"[^A-Za-z0-9._ ()-]", "_", stem)
    # RFC 8187, section 3.2: what is not in attr-char is percent-encoded UTF-8.
    return f"inline; filename=\"{ascii_only}\"; filename*=UTF-8''{quote(stem, safe='!#$&+-.^_`|~')}"


def small(
    service: Service, collection: CollectionInfo, record: Record, size: int, *, take_long: bool = False
) -> bytes | None:
    """Return an image small, from memory, from disk, or made now; None where that may take too long.

    Raises:
        Refused: it is not to be read here, is gone, or has changed since it was indexed.
        UnusableImage: it cannot be decoded.
    """
    _, levels = split_name(collection.space.embedder)
    with service.roots.open(collection.name, record, compared=True) as file:
        length, state = _check_size(file, record)
        frame = split_frame(record.uri)
        # Of the rows of others, the digest does not tell one moment of a film from another.
        moment = () if frame is None else frame[1:]
        key: tuple[str | int, ...] = (record.digest, size, str(levels), *state, *moment)
        known = service.thumbnails.get(key)
        if known is not None:
            return known
        kept = service.thumbnail_file.get(key)
        if kept is not None:
            service.thumbnails.put(key, kept)
            return kept
        if frame is not None:
            if not take_long:
                return None
            data = _frame_of(file, record, service.roots.name(record))
        else:
            data = file.read(length + 1)
    if not record.is_file(hashlib.sha256(data).hexdigest()):
        raise _changed()
    if not take_long and may_take_long(data, size):
        return None
    (picture,) = thumbnails(data, display(service.roots.name(record)), [size], quality=QUALITY, levels=levels)
    service.thumbnails.put(key, picture)
    service.thumbnail_file.put(key, picture)
    return picture


def open_image(service: Service, collection: str, record: Record) -> tuple[BufferedReader, Format, int]:
    """Open the file of an image, which the caller closes, and return it with its format and its bytes.

    Raises:
        Refused: it is not to be read here, is gone, or has changed since it was indexed.
    """
    with ExitStack() as opened:
        file = opened.enter_context(service.roots.open(collection, record, compared=True))
        size, _ = _check_size(file, record)
        kind = format_of(file.read(SIGNED_BYTES))
        file.seek(0)
        if kind is None or not record.is_file(hashlib.file_digest(file, "sha256").hexdigest()):
            raise _changed()
        file.seek(0)
        opened.pop_all()
    return file, kind, size


def read_image(service: Service, collection: str, record: Record) -> Upload | Unusable:
    """Read the file of an image, or a frame, or say why it cannot be read; blocks."""
    shown = service.roots.name(record)
    try:
        if split_frame(record.uri):
            return Upload(shown, _frame(service, collection, record))
        file, _, size = open_image(service, collection, record)
    except Refused as error:
        return Unusable(name=shown, skipped=str(error))
    except UnusableImage as error:
        return Unusable(name=shown, skipped=error.reason)
    with file:
        return Upload(shown, file.read(size))


def _open_film(
    service: Service, collection: str, record: Record, *, compared: bool = False
) -> tuple[BufferedReader, int]:
    """Open the film of a frame, and return it with its bytes; the caller closes it.

    Args:
        service: that is asked.
        collection: its name.
        record: of the frame.
        compared: see `Roots.open`.

    Raises:
        Refused: it is not to be read here, is gone, or has changed since it was indexed.
    """
    with ExitStack() as opened:
        file = opened.enter_context(service.roots.open(collection, record, compared=compared))
        size, _ = _check_size(file, record)
        found = file.raw.status if isinstance(file.raw, ObjectFile) else os.fstat(file.fileno())
        if record.size and file_time(found) != record.modified_ns:  # a row of others says of neither
            raise _changed()
        opened.pop_all()
    return file, size


def _frame(service: Service, collection: str, record: Record) -> bytes:
    """Return a frame as a picture.

    Raises:
        Refused: its film is not to be read here, is gone, or has changed since it was indexed.
        UnusableImage: it cannot be decoded.
    """
    file, _ = _open_film(service, collection, record, compared=True)
    with file:
        picture = _frame_of(file, record, service.roots.name(record))
    if not record.is_file(hashlib.sha256(picture).hexdigest()):
        raise _changed()
    return picture


def _frame_of(file: BufferedReader, record: Record, name: str) -> bytes:
    place = place_of(record.uri)
    if not isinstance(place, FramePath):
        raise _changed()
    with open_film(file, display(name)) as film:
        return film.frame(place.moment).picture


def _cached(record: Record, tag: str) -> dict[str, str]:
    """Return headers that let a browser keep a picture; no ETag where only the file tells what it is."""
    return {"Cache-Control": _CACHED} | ({"ETag": f'"{tag}"'} if record.size else {})


def _check_size(file: BufferedReader, record: Record) -> tuple[int, tuple[int, ...]]:
    """Refuse a file of another size than was indexed; a row of others does not say how large its file is.

    Returns:
        The bytes of the file, and what changes whenever it does: a file system or a server sets that, and
        nobody else can.
    """
    found: os.stat_result | ObjectStatus
    if isinstance(file.raw, ObjectFile):
        found = file.raw.status
        state: tuple[int, ...] = (found.st_mtime_ns,)
    else:
        found = os.fstat(file.fileno())
        state = found.st_dev, found.st_ino, found.st_ctime_ns
    size = found.st_size
    if size != (record.size or size) or (size > MAX_BYTES and not split_frame(record.uri)):
        raise _changed()
    return size, state


def _changed() -> Refused:
    return Refused(
        409,
        "the file of this image has changed since it was indexed: `lookalike index` takes up what it is now",
    )


class _File(StreamingResponse):
    """A streamed file that is closed whatever becomes of the client."""

    def __init__(
        self, file: BufferedReader, size: int, headers: dict[str, str], media_type: str, status: int = 200
    ) -> None:
        self._file = file
        super().__init__(self._pieces(size), status, headers, media_type)

    def _pieces(self, size: int) -> Iterator[bytes]:
        left = size
        while left:
            piece = self._file.read(min(_CHUNK, left))
            if not piece:  # cut off while it was sent: fewer bytes than were promised tell the client
                raise OSError("a picture became shorter while it was sent")
            left -= len(piece)
            yield piece

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()
