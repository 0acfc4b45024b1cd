"""The web page: its files out of the package, and nothing else.

They are read once, when the service starts, and a request is looked up among their names: no path is ever
made of what a client sends. Everything but the page itself has an address that changes with its content, so
that a browser may keep it for good (RFC 8246), and never mixes two versions.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Header
from fastapi.responses import Response

from lookalike.server.http.problems import Refused
from lookalike.server.http.responses import not_modified

if TYPE_CHECKING:
    from collections.abc import Mapping

router = APIRouter(include_in_schema=False)

WEB = Path(__file__).parents[1] / "web"
"""The folder of the page's files in the package."""

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",  # RFC 9239
    ".svg": "image/svg+xml",
}
_PAGE = "index.html"
_STATIC = "/static/"
_MODULES = '<script type="module"'

# Of the digest over all files, so many hexadecimal digits stand in their addresses.
_DIGITS = 16


@dataclass(frozen=True, slots=True)
class File:
    """A file of the page, ready to be sent."""

    content: bytes
    media_type: str
    etag: str
    """With its quotation marks (RFC 9110, section 8.8.3)."""


class Page:
    """All files of the page."""

    def __init__(self, folder: Path = WEB) -> None:
        """Read them.

        Args:
            folder: that has them, and nothing that is not to be served.
        """
        contents = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.suffix in _TYPES
        }
        digest = hashlib.sha256()
        for name, content in contents.items():
            digest.update(hashlib.sha256(name.encode()).digest() + hashlib.sha256(content).digest())
        self.version = digest.hexdigest()[:_DIGITS]
        """Stands in the address of every file but the page."""
        text = contents.pop(_PAGE).decode()
        self.page = _file(_PAGE, self._addressed(text, contents).encode())
        self.files: Mapping[str, File] = {name: _file(name, content) for name, content in contents.items()}
        """By their path below the folder, with `/`."""

    def _addressed(self, text: str, contents: Mapping[str, bytes]) -> str:
        """Return the page with the addresses of this version, and all modules named.

        A browser then asks for all of them at once, and not for each when it has read who imports it.
        """
        modules = "".join(
            f'<link rel="modulepreload" href="{_STATIC}{name}">\n'
            for name in contents
            if name.endswith(".js")
        )
        text = text.replace(_MODULES, modules + _MODULES)
        return text.replace(f'"{_STATIC}', f'"{_STATIC}{self.version}/')


def _file(name: str, content: bytes) -> File:
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return File(content, _TYPES[Path(name).suffix], etag)


_THE_PAGE = Page()

IfNoneMatch = Annotated[str | None, Header()]


@router.api_route("/", methods=["GET", "HEAD"])
async def page(if_none_match: IfNoneMatch = None) -> Response:
    """Show the page. A browser asks each time whether it is still the same."""
    return _answer(_THE_PAGE.page, "no-cache", if_none_match)


@router.api_route(_STATIC + "{path:path}", methods=["GET", "HEAD"])
async def static(path: str, if_none_match: IfNoneMatch = None) -> Response:
    """Give a file that the page needs, at the version of the page and its name."""
    version, _, name = path.partition("/")
    file = _THE_PAGE.files.get(name)
    if file is None or version != _THE_PAGE.version:
        # Of another version: the page that asks is an old one, and is to be loaded again.
        raise Refused(404, "the page has no such file; load it again")
    return _answer(file, "public, max-age=31536000, immutable", if_none_match)


def _answer(file: File, cache: str, if_none_match: str | None) -> Response:
    headers = {"ETag": file.etag, "Cache-Control": cache}
    return not_modified(if_none_match, headers) or Response(
        file.content, headers=headers, media_type=file.media_type
    )
