"""Uploads: images that came as bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from lookalike.errors import UnusableImage
from lookalike.sources.source import Content, Entry, Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True)
class Upload:
    """An image that came as bytes; its name is never opened."""

    name: str
    data: bytes

    def content(self, most: int) -> Content:
        """Return the bytes.

        Raises:
            UnusableImage: there are more than `most`.
        """
        if len(self.data) > most:
            raise UnusableImage(self.name, f"{len(self.data):,} bytes, more than {most:,}")
        return Content(self.data, Status(len(self.data), 0))


class UploadSource:
    """Uploads, as a source."""

    def __init__(self, uploads: Sequence[Upload]) -> None:
        """Take them; their names tell them apart."""
        self._uploads = {f"upload:{quote(upload.name, safe='')}": upload for upload in uploads}

    def pages(self) -> Iterator[Sequence[Entry]]:
        """List them."""
        yield [Entry(uri, Status(len(upload.data), 0)) for uri, upload in self._uploads.items()]

    def stat(self, uri: str) -> Status:
        """Look at one."""
        return Status(len(self._upload(uri).data), 0)

    def read(self, uri: str, most: int) -> Content:
        """Return one."""
        return self._upload(uri).content(most)

    def sign(self, uri: str, seconds: int) -> str | None:  # noqa: ARG002 the protocol's
        """Return nothing: only who has sent one has it."""
        self._upload(uri)
        return None

    def _upload(self, uri: str) -> Upload:
        try:
            return self._uploads[uri]
        except KeyError:
            raise FileNotFoundError(f"there is no such upload: {uri}") from None
