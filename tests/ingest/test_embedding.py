"""From files to features: one answer a path, in order, and no thread is left behind."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lookalike.embedders.feature_cache import FeatureCache
from lookalike.ingest import embedding as pipeline
from lookalike.ingest.embedding import EmbeddedFile, embed_files
from lookalike.types import Features, Skipped
from tests.mean_colours import MeanColours, mean_colours, picture, save


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[FeatureCache]:
    cache = FeatureCache(tmp_path / "cache", MeanColours.fingerprint, MeanColours.dimension)
    yield cache
    cache.close()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    return [save(folder / f"{seed}.png", seed) for seed in range(120)]


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("embed")]


def test_a_file_comes_with_its_digest_its_stamp_and_its_features(
    pictures: list[Path], kept: FeatureCache
) -> None:
    (file,) = embed_files(pictures[:1], MeanColours(), kept)
    assert isinstance(file, EmbeddedFile)
    assert file.path == pictures[0]
    assert file.digest == hashlib.sha256(pictures[0].read_bytes()).hexdigest()
    assert (file.size, file.modified_ns) == (pictures[0].stat().st_size, pictures[0].stat().st_mtime_ns)
    np.testing.assert_array_equal(file.features, mean_colours(picture(0)))
    assert not file.cached


@settings(deadline=None, max_examples=40)
@given(
    choice=st.lists(st.integers(0, 29), max_size=40),
    batch_size=st.sampled_from([1, 7]),
    workers=st.sampled_from([1, 2, 5]),
)
def test_every_path_has_one_answer_in_order(
    tmp_path_factory: pytest.TempPathFactory,
    pictures: list[Path],
    choice: list[int],
    batch_size: int,
    workers: int,
) -> None:
    folder = tmp_path_factory.mktemp("mixed")
    # The same path may come twice; above 20 there is no file, above 25 it is no image.
    paths = [pictures[number] if number < 20 else folder / f"{number}.png" for number in choice]
    for number in range(25, 30):
        (folder / f"{number}.png").write_bytes(b"no image")
    cache = FeatureCache(folder / "cache", MeanColours.fingerprint, MeanColours.dimension)
    answers = list(embed_files(paths, MeanColours(batch_size), cache, workers=workers))
    cache.close()
    assert [Path(answer.path) for answer in answers] == paths
    for number, answer in zip(choice, answers, strict=True):
        if number >= 20:
            assert isinstance(answer, Skipped)
            assert ("No such file" in answer.reason) == (number < 25)
        else:
            assert isinstance(answer, EmbeddedFile)
            np.testing.assert_array_equal(answer.features, mean_colours(picture(number)))
    assert threads() == []


@pytest.mark.parametrize("batch_size", [1, 7])
def test_what_was_embedded_once_is_not_embedded_again(
    pictures: list[Path], kept: FeatureCache, tmp_path: Path, batch_size: int
) -> None:
    embedder = MeanColours(batch_size)
    first = list(embed_files(pictures, embedder, kept))
    assert embedder.embedded == len(pictures)
    assert max(embedder.calls) == batch_size
    moved = [tmp_path / f"moved {path.name}" for path in pictures]
    for path, target in zip(pictures, moved, strict=True):
        target.write_bytes(path.read_bytes())
    again = list(embed_files([*moved, save(tmp_path / "new.png", 1000)], embedder, kept))
    assert embedder.embedded == len(pictures) + 1
    for old, new in zip(first, again[:-1], strict=True):
        assert isinstance(old, EmbeddedFile)
        assert isinstance(new, EmbeddedFile)
        assert (old.cached, new.cached) == (False, True)
        assert new.features.tobytes() == old.features.tobytes()


def test_without_a_cache_everything_is_embedded(pictures: list[Path], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = FeatureCache(tmp_path / "file", MeanColours.fingerprint, MeanColours.dimension)
    assert cache.problem
    for _ in range(2):
        answers = list(embed_files(pictures, MeanColours(7), cache))
        assert all(isinstance(answer, EmbeddedFile) and not answer.cached for answer in answers)
        assert len(answers) == len(pictures)


class _Failing(MeanColours):
    """Fails at one call, as a model that runs out of memory does."""

    def __init__(self, at: int, batch_size: int) -> None:
        super().__init__(batch_size)
        self._at = at

    def embed(self, images: Sequence[Image.Image]) -> Features:
        features = super().embed(images)
        if len(self.calls) > self._at:
            raise MemoryError("no memory for this batch")
        return features


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_what_the_embedder_raises_comes_through_and_no_thread_stays(
    pictures: list[Path], kept: FeatureCache, batch_size: int
) -> None:
    embedder = _Failing(at=0 if batch_size == 1000 else 5, batch_size=batch_size)
    with pytest.raises(MemoryError, match="no memory for this batch"):
        list(embed_files(pictures, embedder, kept))
    assert threads() == []
    assert len(embedder.calls) < len(pictures)


def test_closing_early_ends_the_threads_and_reads_no_further(
    pictures: list[Path], kept: FeatureCache
) -> None:
    taken: list[Path] = []

    def paths() -> Iterator[Path]:
        for path in pictures * 100:
            taken.append(path)
            yield path

    embedder = MeanColours()
    answers = embed_files(paths(), embedder, kept, workers=2)
    assert next(answers).path == pictures[0]
    assert threads() != []
    ahead = len(taken)
    answers.close()
    assert threads() == []
    assert len(taken) == ahead <= 64 + 2 * 4 + 2, "memory is bounded, however many the paths"
    assert embedder.embedded <= ahead


def test_files_above_the_cap_are_skipped_unread(
    pictures: list[Path], kept: FeatureCache, tmp_path: Path
) -> None:
    huge = tmp_path / "huge.png"
    with huge.open("wb") as file:
        file.truncate(pipeline.MAX_BYTES + 1)  # a hole: it takes no space, but would take memory
    before, huge_answer, after = embed_files([pictures[0], huge, pictures[1]], MeanColours(), kept)
    assert huge_answer == Skipped(str(huge), "1,073,741,825 bytes, more than 1,073,741,824")
    assert isinstance(before, EmbeddedFile)
    assert isinstance(after, EmbeddedFile)


def test_what_is_no_file_is_never_opened(kept: FeatureCache, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)  # opening it would wait for a writer for ever
    (tmp_path / "folder.png").mkdir()
    answers = list(embed_files([pipe, tmp_path / "folder.png", Path("/dev/zero")], MeanColours(), kept))
    assert [answer.reason for answer in answers if isinstance(answer, Skipped)] == ["not a file"] * 3


@pytest.mark.parametrize("batch_size", [1, 7])
def test_an_image_the_model_sees_nothing_in_is_skipped_also_from_the_cache(
    pictures: list[Path], kept: FeatureCache, tmp_path: Path, batch_size: int
) -> None:
    black = tmp_path / "black.png"
    Image.new("RGB", (12, 12)).save(black)
    for _ in range(2):
        before, nothing, after = embed_files([pictures[0], black, pictures[1]], MeanColours(batch_size), kept)
        assert nothing == Skipped(str(black), "the model sees nothing in it: all its features are 0")
        assert isinstance(before, EmbeddedFile)
        assert isinstance(after, EmbeddedFile)


def test_the_cap_on_pixels_holds(pictures: list[Path], kept: FeatureCache) -> None:
    (answer,) = embed_files(pictures[:1], MeanColours(), kept, max_pixels=143)
    assert isinstance(answer, Skipped)
    assert "limit of 143" in answer.reason
    (answer,) = embed_files(pictures[:1], MeanColours(), kept, max_pixels=144)
    assert isinstance(answer, EmbeddedFile)


def test_a_file_that_changes_while_it_is_read_has_its_earlier_stamp(tmp_path: Path) -> None:
    """So that the next look at its stamp sees the change."""
    path = save(tmp_path / "changing.png", 1)
    before, digest = path.stat(), hashlib.sha256(path.read_bytes()).hexdigest()

    class Writer(FeatureCache):
        def get(self, digest: str) -> None:
            """Asked for after the bytes were read: just then, another program writes the file."""
            save(path, 2)
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000))

    cache = Writer(tmp_path / "cache", MeanColours.fingerprint, MeanColours.dimension)
    (answer,) = embed_files([path], MeanColours(), cache)
    cache.close()
    assert isinstance(answer, EmbeddedFile)
    assert (answer.digest, answer.modified_ns) == (digest, before.st_mtime_ns)
    np.testing.assert_array_equal(answer.features, mean_colours(picture(1)))
    assert path.stat().st_mtime_ns != answer.modified_ns
