"""A place to index at: a store, a cache and a quick embedder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lookalike.embedders.feature_cache import FeatureCache
from lookalike.ingest.embedding import Encoder
from lookalike.ingest.index_options import IndexOptions
from lookalike.ingest.index_report import IndexReport
from lookalike.ingest.indexing import index
from lookalike.progress import Progress, silent
from lookalike.sources.objects import Location
from lookalike.stores.registry import open_store
from lookalike.types import (
    Record,
    Vectors,
)
from lookalike.uris import uri_path
from tests.mean_colours import MeanColours


class Desk:
    """A store, a cache and an embedder, with `index` on the collection `parts`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.store = open_store(f"sqlite:///{folder}/parts.db", timeout=0.5)
        self.embedder = MeanColours()
        self.cache = FeatureCache(folder / "cache", MeanColours.fingerprint, MeanColours.dimension)

    def index(self, *paths: Location, progress: Progress = silent, **options: Any) -> IndexReport:
        options = {"labels": "folders", "agree": lambda _removal: True, **options}
        encoders = [Encoder(self.embedder, self.cache)]
        return index(self.store, "parts", paths, encoders, IndexOptions(**options), progress=progress)

    def records(self) -> dict[Path, tuple[Record, Vectors]]:
        return {
            uri_path(record.uri): (record, vector)
            for batch, vectors in self.store.scan("parts")
            for record, vector in zip(batch, vectors, strict=True)
        }

    def close(self) -> None:
        self.cache.close()
        self.store.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "desk")
    yield desk
    desk.close()
