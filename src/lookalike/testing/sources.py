"""What every source of images promises.

A source's tests subclass `SourceContract`, and say in one fixture how a source with certain contents is made.
"""

from __future__ import annotations

import urllib.request
from typing import TYPE_CHECKING, TypeAlias

import pytest

from lookalike.errors import UnusableImage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lookalike.sources.source import Source

Maker: TypeAlias = "Callable[[Mapping[str, bytes]], Source]"
"""Makes a source of these contents by name, or changes them in the one that it has made."""

NAMES = (
    *("a.jpg", "with blanks .jpg", "한국/양품 1.jpg", "100%.jpg", "a%20b.jpg", "a+b.jpg", "q?x#y.jpg"),
    *(
        "😀/👩‍🔧.jpg",
        "deep/er/and/deeper.png",
        "label=bad,x;y&z.jpg",
        "it's [1] {2} (3)!~$@^`.png",
        "no ending",
    ),
)
"""Names that a path and a key may have, with all that has a meaning in URLs."""


class SourceContract:
    """Override `make` and `names`."""

    names = NAMES
    """Those that the source can hold."""
    changes = True
    """Whether what a source holds can be replaced."""

    @pytest.fixture
    def make(self) -> Maker:
        """Return what makes the source."""
        raise NotImplementedError

    def test_all_is_listed_once_and_read_as_it_is(self, make: Maker) -> None:
        """Whatever its name: as many as were put, each with its size, and with its very bytes."""
        contents = {name: name.encode() * (n + 1) for n, name in enumerate(self.names)}
        source = make(contents)
        entries = [entry for page in source.pages() for entry in page]
        assert len({entry.uri for entry in entries}) == len(entries) == len(contents)
        found = {entry.uri: source.read(entry.uri, 1 << 20) for entry in entries}
        assert sorted(each.data for each in found.values()) == sorted(contents.values())
        for entry in entries:
            assert found[entry.uri].status == source.stat(entry.uri) == entry.status
            assert entry.status.size == len(found[entry.uri].data)
            assert entry.uri.isascii()
            assert entry.uri.isprintable()

    def test_more_than_a_page_is_listed(self, make: Maker) -> None:
        """Servers give a thousand at a time."""
        source = make({f"{n}.jpg": b"x" for n in range(1001)})
        assert len({entry.uri for page in source.pages() for entry in page}) == 1001

    def test_what_is_too_large_is_refused(self, make: Maker) -> None:
        """Before it is in memory."""
        source = make({"a.jpg": b"12345"})
        ((entry, *_), *_) = source.pages()
        assert source.read(entry.uri, 5).data == b"12345"
        with pytest.raises(UnusableImage, match="5 bytes, more than 4"):
            source.read(entry.uri, 4)

    def test_what_is_not_of_the_source_is_not_there(self, make: Maker) -> None:
        """Neither elsewhere nor by another scheme, nor what was never there."""
        source = make({"a.jpg": b"a"})
        ((entry, *_), *_) = source.pages()
        for uri in (
            "file:///etc/passwd",
            "s3://elsewhere/a.jpg",
            f"{entry.uri}x",
            "",
            "a.jpg",
            "http://a/a.jpg",
        ):
            for ask in (source.stat, lambda one: source.read(one, 1 << 20)):
                with pytest.raises(FileNotFoundError):
                    ask(uri)
        with pytest.raises(FileNotFoundError):
            source.sign("file:///etc/passwd", 60)

    def test_a_change_shows_in_the_status(self, make: Maker) -> None:
        """Also one to as many bytes in the same second; what stays has the status that it had."""
        if not self.changes:
            pytest.skip("declared: it never changes")
        first = make({"a.jpg": b"one", "b.jpg": b"same"})
        before = {entry.uri: entry.status for page in first.pages() for entry in page}
        second = make({"a.jpg": b"two", "b.jpg": b"same"})
        after = {entry.uri: entry.status for page in second.pages() for entry in page}
        assert before.keys() == after.keys()
        changed = {uri for uri in before if before[uri] != after[uri]}
        assert {second.read(uri, 10).data for uri in changed} == {b"two"}

    def test_a_signed_url_reads_that_one(self, make: Maker) -> None:
        """Where there is such a thing; without our keys."""
        source = make({"한 +%.jpg": b"signed", "b.jpg": b"other"})
        for page in source.pages():
            for entry in page:
                url = source.sign(entry.uri, 60)
                if url is not None:
                    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 it is http
                        assert answer.read() == source.read(entry.uri, 10).data
