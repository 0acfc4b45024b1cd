"""The feature cache: what was put comes back, and whatever is wrong with the file, the work goes on."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from lookalike.embedders import feature_cache as features
from lookalike.embedders.feature_cache import FeatureCache

FINGERPRINT = "a" * 64
DIMENSION = 8


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[FeatureCache]:
    cache = FeatureCache(tmp_path, FINGERPRINT, DIMENSION)
    yield cache
    cache.close()


def digest(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def row(number: int, dimension: int = DIMENSION) -> NDArray[np.float32]:
    return np.random.default_rng(number).standard_normal(dimension, np.float32)


def same(a: NDArray[np.float32] | None, b: NDArray[np.float32]) -> bool:
    return a is not None and a.dtype == np.float32 and a.tobytes() == b.tobytes()


@settings(deadline=None)  # it writes to the disk
@given(
    numbers=arrays.arrays(
        np.float32, DIMENSION, elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
    )
)
def test_what_was_put_comes_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, numbers: NDArray[np.float32]
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    cache = FeatureCache(folder, FINGERPRINT, DIMENSION)
    cache.put({digest(0): numbers})
    assert same(cache.get(digest(0)), numbers)
    cache.close()
    again = FeatureCache(folder, FINGERPRINT, DIMENSION)
    assert same(again.get(digest(0)), numbers)
    assert again.get(digest(1)) is None
    again.close()


def test_what_comes_back_may_be_written_to(kept: FeatureCache) -> None:
    kept.put({digest(0): row(0)})
    found = kept.get(digest(0))
    assert found is not None
    found += 1
    assert same(kept.get(digest(0)), row(0))


def test_what_is_put_again_replaces(kept: FeatureCache) -> None:
    kept.put({digest(0): row(0)})
    kept.put({digest(0): row(1)})
    assert same(kept.get(digest(0)), row(1))


def test_another_embedder_sees_nothing(kept: FeatureCache, tmp_path: Path) -> None:
    kept.put({digest(0): row(0)})
    other = FeatureCache(tmp_path, "b" * 64, DIMENSION)
    assert other.get(digest(0)) is None
    other.close()


@pytest.mark.parametrize("dimension", [DIMENSION - 1, DIMENSION + 1])
def test_features_of_another_dimension_are_not_returned(
    kept: FeatureCache, tmp_path: Path, dimension: int
) -> None:
    kept.put({digest(0): row(0)})
    other = FeatureCache(tmp_path, FINGERPRINT, dimension)
    assert other.get(digest(0)) is None
    other.close()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_not_returned(kept: FeatureCache, bad: float) -> None:
    numbers = row(0)
    numbers[3] = bad
    kept.put({digest(0): numbers, digest(1): row(1)})
    assert kept.get(digest(0)) is None
    assert same(kept.get(digest(1)), row(1))
    assert kept.problem is None


@pytest.mark.parametrize(
    "content", [b"x", b"this is no database" * 1000, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_a_file_that_is_no_database_is_made_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "features" / f"{FINGERPRINT}.db"
    path.parent.mkdir()
    path.write_bytes(content)
    path.with_name(path.name + "-wal").write_bytes(b"rubbish" * 100)
    cache = FeatureCache(tmp_path, FINGERPRINT, DIMENSION)
    assert cache.problem is None
    cache.put({digest(0): row(0)})
    assert same(cache.get(digest(0)), row(0))
    cache.close()


def test_damage_that_shows_later_costs_this_run_its_cache_and_the_next_nothing(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, FINGERPRINT, DIMENSION)
    cache.put({digest(number): row(number) for number in range(1000)})
    cache.close()
    content = bytearray(cache.path.read_bytes())
    assert len(content) > 3 * 4096
    content[4096:] = b"\xa5" * (len(content) - 4096)  # the first page, with the schema, stays whole
    cache.path.write_bytes(content)

    cache = FeatureCache(tmp_path, FINGERPRINT, DIMENSION)
    assert cache.get(digest(1)) is None
    assert cache.problem == "database disk image is malformed"
    cache.put({digest(1): row(1)})
    assert cache.get(digest(1)) is None
    cache.close()
    assert list(cache.path.parent.iterdir()) == []

    cache = FeatureCache(tmp_path, FINGERPRINT, DIMENSION)
    cache.put({digest(1): row(1)})
    assert same(cache.get(digest(1)), row(1))
    assert cache.problem is None
    cache.close()


def test_a_folder_that_cannot_be_made_is_a_problem_and_the_work_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    cache = FeatureCache(tmp_path / "file", FINGERPRINT, DIMENSION)
    assert cache.problem == "Not a directory"
    cache.put({digest(0): row(0)})
    assert cache.get(digest(0)) is None
    cache.close()


def test_a_folder_in_the_place_of_the_file_is_a_problem_and_stays(tmp_path: Path) -> None:
    (tmp_path / "features" / f"{FINGERPRINT}.db" / "mine").mkdir(parents=True)
    cache = FeatureCache(tmp_path, FINGERPRINT, DIMENSION)
    assert cache.problem == "unable to open database file"
    assert cache.get(digest(0)) is None
    cache.close()
    assert (cache.path / "mine").is_dir()


def test_a_lock_that_is_held_for_too_long_is_a_problem_and_nothing_is_lost(
    kept: FeatureCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.put({digest(0): row(0)})
    monkeypatch.setattr(features, "_BUSY_SECONDS", 0.1)
    late = FeatureCache(tmp_path, FINGERPRINT, DIMENSION)
    holder = sqlite3.connect(kept.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert same(late.get(digest(0)), row(0)), "readers do not wait"
    late.put({digest(1): row(1)})
    assert late.problem == "database is locked"
    late.put({digest(2): row(2)})
    late.close()
    holder.execute("ROLLBACK")
    holder.close()
    assert same(kept.get(digest(0)), row(0))
    assert kept.get(digest(1)) is None


def test_a_cache_without_space_is_a_problem_and_the_work_goes_on(kept: FeatureCache) -> None:
    assert kept._connection is not None
    kept._connection.execute("PRAGMA max_page_count = 3")  # the same error as a full disk, from SQLite itself
    kept.put({digest(number): row(number) for number in range(1000)})
    assert kept.problem == "database or disk is full"
    assert kept.get(digest(1)) is None
    kept.put({digest(1): row(1)})


def test_a_closed_cache_knows_nothing_and_closes_again(kept: FeatureCache) -> None:
    kept.put({digest(0): row(0)})
    kept.close()
    kept.close()
    assert kept.get(digest(0)) is None


def test_threads_share_a_cache(kept: FeatureCache) -> None:
    wrong: list[int] = []

    def work(first: int) -> None:
        for number in range(first, first + 50):
            kept.put({digest(number): row(number)})
            if not same(kept.get(digest(number)), row(number)):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 25, 50, 75)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert all(same(kept.get(digest(number)), row(number)) for number in range(125))


_WRITER = """
import hashlib, sys
from pathlib import Path
import numpy as np
from lookalike.embedders.feature_cache import FeatureCache
cache = FeatureCache(Path(sys.argv[1]), "a" * 64, 8)
first = int(sys.argv[2])
for number in range(first, first + 60):
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    cache.put({digest: np.random.default_rng(number).standard_normal(8, np.float32)})
assert cache.problem is None, cache.problem
cache.close()
"""


def test_processes_write_one_cache_at_once(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path), str(first)]) for first in (0, 30, 60)
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    cache = FeatureCache(tmp_path, FINGERPRINT, DIMENSION)
    assert all(same(cache.get(digest(number)), row(number)) for number in range(120))
    cache.close()


def test_many_open_a_new_cache_at_once(tmp_path: Path) -> None:
    """Each finds it writable: SQLite refuses at once, without waiting, where two set the journal together."""
    ready = threading.Barrier(8)
    problems: list[str | None] = []

    def work(folder: Path) -> None:
        ready.wait(60)
        cache = FeatureCache(folder, FINGERPRINT, DIMENSION)
        problems.append(cache.problem)
        cache.close()

    for number in range(25):
        threads = [threading.Thread(target=work, args=(tmp_path / str(number),)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert problems == [None] * 200
