"""What a store can do whose records other programs read as documents, under names and paths of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lookalike.stores.relative_paths import Bases


class DocumentIndex(NamedTuple):
    """The index of a collection on its server."""

    collection: str
    key: str
    """Its own name, which says nothing to people."""
    names: tuple[str, ...]
    """All names by which it can be asked, its own among them."""


class RawAnswer(Protocol):
    """What the server answered to a request that was passed on, read as it comes."""

    @property
    def status(self) -> int:
        """Of HTTP."""
        ...

    @property
    def media_type(self) -> str:
        """Of the body."""
        ...

    def read(self, size: int) -> bytes:
        """Return the next bytes of the body, none at its end.

        Raises:
            StoreUnreachable: the connection broke.
        """
        ...

    def close(self) -> None:
        """Give the connection back, read to the end or not."""
        ...


@runtime_checkable
class KeepsDocuments(Protocol):
    """A back end whose records are documents of a server."""

    def indexes(self) -> Sequence[DocumentIndex]:
        """Return the index of every collection."""
        ...

    def check_index_name(self, name: str, index: str) -> None:
        """Refuse a name for the index of a collection, which may not be there yet.

        Raises:
            InvalidArgument: the server takes no such name, or it is taken.
        """
        ...

    def set_index_name(self, name: str, index: str) -> None:
        """Give the index of a collection a further name, in place of one that was given so before.

        Raises:
            InvalidArgument: as `check_index_name`.
        """
        ...

    def path_bases(self, name: str) -> dict[str, str]:
        """Return what the relative paths in the documents of a collection are relative to."""
        ...

    def set_path_bases(self, name: str, bases: Bases) -> None:
        """Make the relative paths of a collection's documents relative to other folders."""
        ...

    def pass_on(
        self, method: str, path: str, body: bytes | None, params: Mapping[str, str], lines: bool = False
    ) -> RawAnswer:
        """Send a request to the server as it is, and return what it answers; whoever asks checked it.

        Args:
            method: GET, HEAD or POST.
            path: from the slash on, percent-encoded.
            body: JSON; None for none.
            params: of the query string.
            lines: whether the body is lines of JSON.

        Raises:
            StoreUnreachable: no host answers.
        """
        ...


def whole(answer: RawAnswer) -> Iterator[bytes]:
    """Yield the body of an answer in parts, and give its connection back."""
    try:
        while part := answer.read(1 << 16):
            yield part
    finally:
        answer.close()
