"""Parts of multipart requests: those that were sent, whatever they contain, or a refusal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartParser

from lookalike.server.http.multipart import Part, parts_of
from lookalike.server.http.problems import Refused

BOUNDARY = "x9"


def form(parts: list[Part], boundary: str = BOUNDARY) -> bytes:
    """Write a form as browsers do (html.spec.whatwg.org, multipart-form-data-encoding-algorithm)."""
    out = b""
    for part in parts:
        file = "" if part.filename is None else f'; filename="{escaped(part.filename)}"'
        kind = "" if part.filename is None else "\r\nContent-Type: image/png"
        head = f'Content-Disposition: form-data; name="{escaped(part.name)}"{file}{kind}\r\n\r\n'
        out += f"--{boundary}\r\n{head}".encode() + part.content + b"\r\n"
    return out + f"--{boundary}--\r\n".encode()


def escaped(name: str) -> str:
    return name.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22").replace("\\", "\\\\")


def as_starlette_reads(body: bytes) -> list[Part]:
    async def stream() -> AsyncGenerator[bytes]:
        yield body
        yield b""

    async def read() -> list[Part]:
        headers = Headers({"content-type": f"multipart/form-data; boundary={BOUNDARY}"})
        read = await MultiPartParser(headers, stream()).parse()
        parts = []
        for name, value in read.multi_items():
            if isinstance(value, UploadFile):
                parts.append(Part(name, value.filename, await value.read()))
                await value.close()
            else:
                parts.append(Part(name, None, value.encode("utf-8", "surrogateescape")))
        return parts

    return asyncio.run(read())


# What looks like a boundary, or like the end of a line of a head, as well as anything.
CONTENT = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from([b"\r\n", b"--", b"\r\n--", b"--x", b"\r\n\r\n", b"x9", b'name="', b"\r", b"\n"]),
    ),
    max_size=8,
).map(lambda pieces: b"".join(pieces).replace(b"--" + BOUNDARY.encode(), b""))
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
PARTS = st.lists(
    st.builds(Part, NAMES, st.none() | NAMES.filter(bool), CONTENT),
    max_size=5,
)


@settings(max_examples=300, deadline=None)
@given(parts=PARTS)
def test_what_was_sent_is_read(parts: list[Part]) -> None:
    wanted = [Part(part.name.replace('"', "%22"), _quoted(part.filename), part.content) for part in parts]
    assert parts_of(form(parts), BOUNDARY.encode(), 5) == wanted


def _quoted(name: str | None) -> str | None:
    return None if name is None else name.replace('"', "%22")


@settings(max_examples=200, deadline=None)
@given(parts=st.lists(st.builds(Part, st.text("abc é한", min_size=1), st.just("a.png"), CONTENT), max_size=4))
def test_it_is_read_as_starlette_reads_it(parts: list[Part]) -> None:
    body = form(parts)
    assert parts_of(body, BOUNDARY.encode(), 5) == as_starlette_reads(body)


@settings(max_examples=500, deadline=None)
@given(parts=PARTS, at=st.integers(0, 400), cut=st.integers(0, 30), put=CONTENT)
def test_what_is_damaged_is_refused_or_read(parts: list[Part], at: int, cut: int, put: bytes) -> None:
    body = form(parts)
    damaged = body[:at] + put + body[at + cut :]
    with suppress(Refused):
        found = parts_of(damaged, BOUNDARY.encode(), 5)
        assert sum(len(part.content) for part in found) <= len(damaged)


def test_clients_other_than_browsers_are_read() -> None:
    sent = httpx.Request(
        "POST",
        "http://localhost",
        data={"query": '{"k": 3}'},
        files=[("image", ('a "b".png', b"\r\n--\r\n", "image/png")), ("image", b"no name")],
    )
    boundary = sent.headers["content-type"].partition("boundary=")[2]
    assert parts_of(sent.read(), boundary.encode(), 2) == [
        Part("query", None, b'{"k": 3}'),
        Part("image", "a %22b%22.png", b"\r\n--\r\n"),
        Part("image", "upload", b"no name"),
    ]
    # curl escapes with backslashes; others leave quotes out, or write the header in small letters.
    odd = (
        b'before\r\n--x \t\r\ncontent-disposition:form-data;name=a;filename="c\\"d\\\\e"\r\n\r\n1\r\n--x--end'
    )
    assert parts_of(odd, b"x", 1) == [Part("a", 'c"d\\e', b"1")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--x",
        b"--x\r\n",
        b"--y--",
        b"text --x--",
        b"--x\r\n\r\na\r\n--x--",
        b"--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--",
        b'--x\r\nContent-Disposition: attachment; name="a"\r\n\r\na\r\n--x--',
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\na',
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\na\r\n--xy--',
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n' + b"B: c\r\n" * 2000 + b"\r\na\r\n--x--",
        form([Part("a", "b", b"")] * 3, "x"),
        form([Part("a", None, b"")] * 17, "x"),
    ],
    ids=lambda body: repr(body[:60]),
)
def test_what_is_no_form_is_refused(body: bytes) -> None:
    with pytest.raises(Refused) as refused:
        parts_of(body, b"x", 2)
    assert refused.value.status == 400
