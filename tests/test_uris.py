"""Where pictures are that the tables of others name."""

from __future__ import annotations

from pathlib import Path

import pytest

from lookalike.errors import InvalidArgument
from lookalike.sources.locations import folder_uri
from lookalike.uris import place_uri


@pytest.mark.parametrize(
    ("place", "base", "uri"),
    [
        ("a b/../7.jpg", "file:///srv/pictures/", "file:///srv/pictures/7.jpg"),
        ("../../../7.jpg", "file:///srv/pictures/", "file:///7.jpg"),
        ("7.jpg", "file:///", "file:///7.jpg"),
        ("/srv//a/./7#8.jpg", "s3://bucket/all/", "file:///srv/a/7%238.jpg"),
        ("../탱크+.jpg", "s3://bucket/all/", "s3://bucket/%ED%83%B1%ED%81%AC+.jpg"),
        ("s3://other/a b.jpg", "file:///srv/", "s3://other/a%20b.jpg"),
        ("s3://other/a%20b.jpg", None, "s3://other/a%20b.jpg"),
        ("https://example.com/a b.jpg?n=1", None, "https://example.com/a%20b.jpg?n=1"),
        ("a/7.jpg", None, "a/7.jpg"),
    ],
)
def test_a_place_is_a_uri_below_its_folder(place: str, base: str | None, uri: str) -> None:
    assert place_uri(place, base) == uri


def test_a_folder_has_one_uri_however_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my pictures").mkdir()
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    monkeypatch.setenv("HOME", str(tmp_path))
    uri = f"{(tmp_path / 'my pictures').as_uri()}/"
    for named in ("../my pictures", "~/my pictures", tmp_path / "my pictures", uri):
        assert folder_uri(named) == uri
    assert folder_uri("s3://bucket/my pictures/") == "s3://bucket/my%20pictures/"
    with pytest.raises(InvalidArgument, match="no bucket"):
        folder_uri("s3://")
