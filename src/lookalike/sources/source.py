"""The protocol of a source of images: what is there, in pages, and how one is looked at and read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Status(NamedTuple):
    """What tells whether a file, an object or an upload is still the one that it was, without reading it."""

    size: int
    """In bytes."""
    modified_ns: int
    """Of a file the time of modification in nanoseconds since 1970; of an object a number of 64 bits below 0
    that is made of its ETag and its version; of an upload 0."""


class Entry(NamedTuple):
    """One file, object or upload of a source."""

    uri: str
    status: Status


class Content(NamedTuple):
    """The bytes of one of them, with the status that belongs to these bytes, or to older ones."""

    data: bytes
    status: Status


class Source(Protocol):
    """Where images come from: a folder, the objects below a prefix, or uploads; threads may share it.

    A URI that is not of the source is FileNotFoundError in every method: nothing else is ever opened.
    """

    def pages(self) -> Iterator[Sequence[Entry]]:
        """List all that is there, whatever its name, each once, some at a time and in no certain order.

        Raises:
            PathNotFound: there is no such folder.
            SourceError: it cannot be listed.
        """
        ...

    def stat(self, uri: str) -> Status:
        """Look at one.

        Raises:
            OSError: it is not there, or may not be looked at.
            SourceError: the server does not answer, or refuses everything.
        """
        ...

    def read(self, uri: str, most: int) -> Content:
        """Read one whole.

        Args:
            uri: of an entry.
            most: bytes that are taken.

        Raises:
            UnusableImage: it has more bytes, or is no file.
            OSError: it is not there, or may not be read.
            SourceError: the server does not answer, or refuses everything.
        """
        ...

    def sign(self, uri: str, seconds: int) -> str | None:
        """Return a URL by which anybody may read one for some time; None where there is no such thing.

        Raises:
            FileNotFoundError: it is not of this source.
        """
        ...
