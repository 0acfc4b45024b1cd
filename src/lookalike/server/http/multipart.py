"""Parts of multipart requests (RFC 7578), out of bodies that are complete.

`Limits` reads a body whole before anything works for it, so that parts need only be found in it. Starlette's
parser is made for bodies that trickle in: it takes a tenth of a millisecond for a small picture, writes large
ones to disk, and reads them back.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from lookalike.server.http.problems import Refused

if TYPE_CHECKING:
    from fastapi import Request

# Of the lines before a part's content, in bytes.
_LONGEST_HEAD = 8192
# Parts without a file name.
_MOST_FIELDS = 16
# RFC 2046, section 5.1.1: what a boundary may consist of; it does not end with a space.
_BOUNDARY = re.compile(r';\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
_BOUNDARY_SIGNS = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]*[0-9A-Za-z'()+_,\-./:=?]")
_DISPOSITION = re.compile(
    rb"^content-disposition[ \t]*:[ \t]*form-data[ \t]*(;.*)$", re.IGNORECASE | re.MULTILINE
)
_PARAMETER = re.compile(rb';[ \t]*([^\s=;"]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))')
_ESCAPED = re.compile(rb'\\(["\\])')


class Part(NamedTuple):
    """One part of a form."""

    name: str
    filename: str | None
    content: bytes


async def read_parts(request: Request, most_files: int) -> list[Part]:
    """Return the parts of a multipart request, in order.

    Args:
        request: of the type multipart/form-data.
        most_files: parts with a file name that it may have.

    Raises:
        Refused: 400 where it has more, or is not as RFC 7578 says.
    """
    found = _BOUNDARY.search(request.headers.get("content-type", ""))
    boundary = "" if found is None else found[1] or found[2]
    if not _BOUNDARY_SIGNS.fullmatch(boundary):
        raise Refused(400, "a multipart request names its boundary in the header Content-Type")
    return parts_of(await read_body(request), boundary.encode(), most_files)


async def read_body(request: Request) -> bytes:
    """Return the body of a request, which does not keep it: pictures in it are not to be held twice."""
    return b"".join([part async for part in request.stream() if part])


def parts_of(body: bytes, boundary: bytes, most_files: int) -> list[Part]:
    """Return the parts of a body: see `read_parts`."""
    delimiter = b"\r\n--" + boundary
    place = 0 if body.startswith(delimiter[2:]) else body.find(delimiter) + 2
    if place == 1:
        raise Refused(400, "Invalid multipart body: it does not have the boundary that its header names")
    place += len(delimiter) - 2
    parts: list[Part] = []
    while not body.startswith(b"--", place):
        head = body.find(b"\r\n", place)
        start = body.find(b"\r\n\r\n", head, head + _LONGEST_HEAD)
        end = body.find(delimiter, start + 2)
        # Between a boundary and the end of its line there may be space (RFC 2046, section 5.1.1).
        if head < 0 or body[place:head].strip(b" \t") or start < 0 or end < 0:
            raise Refused(400, f"Invalid multipart body: part {len(parts)} is cut off or damaged")
        parts.append(_part(len(parts), body[head + 2 : start], body[start + 4 : end]))
        files = sum(part.filename is not None for part in parts)
        if files > most_files:
            raise Refused(400, f"Too many files: a request has at most {most_files}")
        if len(parts) - files > _MOST_FIELDS:
            raise Refused(
                400,
                f"Too many fields: a request has at most {_MOST_FIELDS} parts without a file name, and a "
                "picture has one",
            )
        place = end + len(delimiter)
    return parts


def _part(number: int, head: bytes, content: bytes) -> Part:
    found = _DISPOSITION.search(head)
    said: dict[bytes, bytes] = {}
    for each in _PARAMETER.finditer(b"" if found is None else found[1]):
        said[each[1].lower()] = each[3] if each[2] is None else each[2]
    if b"name" not in said:
        raise Refused(400, f'Invalid multipart body: part {number} has no Content-Disposition with a "name"')
    filename = said.get(b"filename")
    return Part(_text(said[b"name"]), None if filename is None else _text(filename), content)


def _text(value: bytes) -> str:
    """Return a name; browsers write it as UTF-8, and other programs escape quotes."""
    return _ESCAPED.sub(rb"\1", value).decode("utf-8", "replace")
