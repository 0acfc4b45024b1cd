"""The store that tests work with: in a SQLite file, where a module does not say where else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lookalike.stores.registry import open_store
from lookalike.stores.store import Store


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of a SQLite store, which is not there yet."""
    return tmp_path / "parts.db"


@pytest.fixture
def url(file: Path) -> str:
    """The URL of an empty store."""
    return f"sqlite:///{file}"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with open_store(url) as store:
        yield store
