"""Folders, objects and uploads keep the contract of a source."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from lookalike.errors import PathNotFound
from lookalike.sources.folders import FolderSource
from lookalike.sources.objects import ObjectSource
from lookalike.sources.source import Source
from lookalike.sources.uploads import Upload, UploadSource
from lookalike.testing.sources import Maker, SourceContract
from tests.servers.s3 import Bucket


class TestFolders(SourceContract):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Maker:
        def make(contents: Mapping[str, bytes]) -> Source:
            for name, data in contents.items():
                path = tmp_path / "source" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                if not path.exists() or path.read_bytes() != data:
                    path.write_bytes(data)
            return FolderSource(tmp_path / "source")

        return make

    def test_one_that_is_not_there_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(PathNotFound):
            list(FolderSource(tmp_path / "none").pages())

    def test_nothing_beside_it_is_read(self, tmp_path: Path) -> None:
        (tmp_path / "beside.jpg").write_bytes(b"x")
        (tmp_path / "folder").mkdir()
        source = FolderSource(tmp_path / "folder")
        for uri in ((tmp_path / "beside.jpg").as_uri(), (tmp_path / "folder").as_uri() + "/../beside.jpg"):
            with pytest.raises(FileNotFoundError):
                source.read(uri, 10)


class TestUploads(SourceContract):
    changes = False

    @pytest.fixture
    def make(self) -> Maker:
        return lambda contents: UploadSource([Upload(name, data) for name, data in contents.items()])


@pytest.mark.xdist_group("s3")
class TestObjects(SourceContract):
    @pytest.fixture
    def make(self, bucket: Bucket) -> Maker:
        def make(contents: Mapping[str, bytes]) -> Source:
            bucket.put({f"below/{name}": data for name, data in contents.items()})
            bucket.put({"below.jpg": b"beside", "belowx/a.jpg": b"beside"})
            return ObjectSource(bucket.path("below"))

        return make

    def test_nothing_beside_it_is_read(self, make: Maker, bucket: Bucket) -> None:
        source = make({"a.jpg": b"a"})
        for key in ("below.jpg", "belowx/a.jpg", "below", "below/../below.jpg", "below//a.jpg"):
            with pytest.raises(FileNotFoundError):
                source.read(f"{bucket.uri}/{key}", 10)
