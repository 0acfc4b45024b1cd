"""What the paths in documents are relative to."""

from __future__ import annotations

from pathlib import Path

import pytest

from lookalike.stores.relative_paths import is_base, merged_bases, relative_path
from lookalike.uris import file_uri, frame_uri, object_uri

PHOTO = file_uri(Path("/p/탱크 #1/a/x.jpg"))


@pytest.mark.parametrize(
    ("uri", "bases", "path"),
    [
        (PHOTO, {}, "p/탱크 #1/a/x.jpg"),
        (PHOTO, {"/p": "/p"}, "탱크 #1/a/x.jpg"),
        (PHOTO, {"/p/탱크 #1/a": "/p/탱크 #1"}, "a/x.jpg"),
        (PHOTO, {"/p": "/p", "/p/탱크 #1": "/p/탱크 #1"}, "a/x.jpg"),
        (PHOTO, {"/p/탱크": "/p/탱크"}, "p/탱크 #1/a/x.jpg"),
        (PHOTO, {"/": "/"}, "p/탱크 #1/a/x.jpg"),
        (object_uri("s3://b/k/x y.jpg"), {"s3://b": "s3://b"}, "k/x y.jpg"),
        (object_uri("s3://b/k/x y.jpg"), {"s3://b/k": "s3://b/k"}, "x y.jpg"),
        (object_uri("s3://b/k/x.jpg"), {}, "s3://b/k/x.jpg"),
        (frame_uri(file_uri(Path("/p/f.mp4")), "1.5"), {"/p": "/p"}, "f.mp4#t=1.5"),
    ],
)
def test_a_path_is_below_its_base(uri: str, bases: dict[str, str], path: str) -> None:
    assert relative_path(uri, bases) == path


def test_a_base_stays_until_another_is_named() -> None:
    bases = merged_bases({}, ["/p/a"])
    assert bases == {"/p/a": "/p/a"}
    assert merged_bases(bases, ["/p/a/b"]) == bases
    assert merged_bases(bases, ["/p"]) == {"/p": "/p"}
    named = merged_bases(bases, ["/p/b"], "/p")
    assert named == {"/p/a": "/p/a", "/p/b": "/p"}
    assert merged_bases(named, ["/p", "/p/b"]) == {"/p": "/p", "/p/b": "/p"}
    assert merged_bases(named, ["/p"], "/p") == {"/p": "/p"}
    assert merged_bases(named, ["/p/b"], "/p/b") == {"/p/a": "/p/a", "/p/b": "/p/b"}


def test_a_base_is_the_folder_or_one_above_it() -> None:
    assert is_base("/p", "/p")
    assert is_base("/", "/p/a")
    assert is_base("s3://b", "s3://b/k")
    assert not is_base("/p/a", "/p")
    assert not is_base("/p/a", "/p/ab")
