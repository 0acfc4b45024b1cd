"""Parts of multipart requests (RFC 7578), out of bodies that are complete.

python-multipart's parser finds them; `BodyLimits` has read the body whole by then. Starlette's form parser on
top of it is made for bodies that trickle in: it writes large pictures to disk and reads them back.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from python_multipart import MultipartParser
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import parse_options_header

from lookalike.server.http.problems import Refused

if TYPE_CHECKING:
    from fastapi import Request

# Of the headers of a part: bytes of one, and how many.
_LONGEST_HEADER = 8192
_MOST_HEADERS = 64
# Parts without a file name.
_MOST_FIELDS = 16
# RFC 2046, section 5.1.1: what a boundary may consist of; it does not end with a space.
_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")
# Of Content-Disposition, `parse_options_header` misreads names that end with a backslash, and cuts off what
# stands before one in a file's name.
_FORM_DATA = re.compile(rb"form-data[ \t]*(;.*)", re.IGNORECASE)
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
    boundary = parse_options_header(request.headers.get("content-type", ""))[1].get(b"boundary", b"")
    if not _BOUNDARY.fullmatch(boundary):
        raise Refused(400, "a multipart request names its boundary in the header Content-Type")
    return parts_of(await read_body(request), boundary, most_files)


async def read_body(request: Request) -> bytes:
    """Return the body of a request, which does not keep it: pictures in it are not to be held twice."""
    return b"".join([part async for part in request.stream() if part])


def parts_of(body: bytes, boundary: bytes, most_files: int) -> list[Part]:
    """Return the parts of a body: see `read_parts`."""
    form = _Form(most_files)
    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": form.begin,
            "on_header_field": form.header_name,
            "on_header_value": form.header_value,
            "on_part_data": form.data,
            "on_part_end": form.end,
            "on_end": form.close,
        },
        max_header_count=_MOST_HEADERS,
        max_header_size=_LONGEST_HEADER,
    )
    try:
        # What stands before the first part (RFC 2046, section 5.1.1) is read as a part too, and thrown away.
        parser.write(b"--" + boundary + b"\r\n\r\n\r\n")
        parser.write(body)
    except MultipartParseError as error:
        raise Refused(400, f"Invalid multipart body: part {form.number} is damaged: {error}") from error
    if form.number < 0 and not form.closed:
        raise Refused(400, "Invalid multipart body: it does not have the boundary that its header names")
    if not form.closed:
        raise Refused(400, "the multipart body was cut off: its closing boundary is missing")
    return form.parts


class _Form:
    """Collects the parts that a parser finds."""

    def __init__(self, most_files: int) -> None:
        self.parts: list[Part] = []
        self.number = -2
        """Of the part that is read, from 0; −1 for what stands before the first."""
        self.closed = False
        """Whether the closing boundary was found."""
        self._most_files = most_files
        self._header = self._disposition = b""
        self._content: list[bytes] = []

    def begin(self) -> None:
        self.number += 1
        self._header = self._disposition = b""
        self._content = []

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._header = data[start:end].lower()

    def header_value(self, data: bytes, start: int, end: int) -> None:
        if self._header == b"content-disposition":
            self._disposition = data[start:end]

    def data(self, data: bytes, start: int, end: int) -> None:
        self._content.append(data[start:end])

    def end(self) -> None:
        if self.number < 0:
            return
        self.parts.append(_part(self.number, self._disposition, b"".join(self._content)))
        files = sum(part.filename is not None for part in self.parts)
        if files > self._most_files:
            raise Refused(400, f"Too many files: a request has at most {self._most_files}")
        if len(self.parts) - files > _MOST_FIELDS:
            raise Refused(
                400,
                f"Too many fields: a request has at most {_MOST_FIELDS} parts without a file name, and a "
                "picture has one",
            )

    def close(self) -> None:
        self.closed = True


def _part(number: int, disposition: bytes, content: bytes) -> Part:
    found = _FORM_DATA.match(disposition)
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
