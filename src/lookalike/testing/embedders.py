"""What every embedder promises.

An embedder's tests subclass `EmbedderContract`, or `TextEmbedderContract` if it reads texts too, and say in
one fixture how it is opened.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from lookalike.embedders.protocol import Described, TextEmbedder
from lookalike.embedders.registry import open_embedder
from lookalike.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lookalike.embedders.protocol import Embedder

    Opener = Callable[[Path], Embedder]

# (height, width): pixels fewer than the model's, as many, more; odd ones; a point, a line, a column.
SIZES = [(1, 1), (1, 5000), (5000, 1), (2, 3), (63, 131), (224, 224), (225, 223), (480, 640), (1100, 900)]


def picture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Draw coarse blocks of colour with some noise, so that pictures of two seeds differ at any size."""
    rng = np.random.default_rng((seed, height, width))
    blocks = rng.integers(0, 240, size=(height // 16 + 1, width // 16 + 1, 3), dtype=np.uint8)
    coarse = blocks.repeat(16, axis=0).repeat(16, axis=1)[:height, :width]
    noise: NDArray[np.uint8] = coarse + rng.integers(0, 16, size=coarse.shape, dtype=np.uint8)
    return noise


def embed(embedder: Embedder, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Embed pictures that were drawn as arrays."""
    return embedder.embed([Image.fromarray(picture) for picture in pictures])


def assert_close(found: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    """Check that two vectors are the same to 1e-5, of each number or of the largest."""
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * float(np.abs(expected).max()))


class EmbedderContract:
    """Override `opener`."""

    @pytest.fixture
    def opener(self) -> Opener:
        """Return what opens the embedder, given a cache folder."""
        raise NotImplementedError

    @pytest.fixture
    def cache(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        # One for all tests of the session, so that a graph is built once.
        return tmp_path_factory.getbasetemp() / "embedder cache"

    @pytest.fixture
    def weights(self) -> Path | None:
        """Return the folder that `open_embedder` needs for it; None for the usual place."""
        return None

    @pytest.fixture
    def embedder(self, opener: Opener, cache: Path) -> Embedder:
        return opener(cache)

    def test_it_is_found_by_its_name(self, embedder: Embedder, cache: Path, weights: Path | None) -> None:
        found = open_embedder(embedder.name, cache, weights=weights, device="cpu")
        assert (found.name, found.fingerprint) == (embedder.name, embedder.fingerprint)

    def test_its_card_agrees_with_it(self, embedder: Embedder) -> None:
        assert isinstance(embedder, Described)
        card = embedder.card
        assert (card.name, card.dimension) == (embedder.name, embedder.dimension)
        assert card.licence
        assert card.parameters > 0
        assert card.source
        assert card.here
        assert ("texts" in card.capabilities) == isinstance(embedder, TextEmbedder)
        if card.groups:
            assert [group.start for group in card.groups] == [0, *(group.stop for group in card.groups[:-1])]
            assert card.groups[-1].stop == card.dimension

    def test_its_sizes_are_at_least_one(self, embedder: Embedder) -> None:
        assert min(embedder.dimension, embedder.input_size, embedder.batch_size) >= 1

    def test_its_fingerprint_is_64_hexadecimal_digits(self, embedder: Embedder) -> None:
        assert re.fullmatch("[0-9a-f]{64}", embedder.fingerprint)

    def test_a_second_opening_has_the_same_fingerprint_and_features(
        self, embedder: Embedder, opener: Opener, cache: Path, tmp_path: Path
    ) -> None:
        images = [picture(100, 150)]
        for folder in (cache, tmp_path / "fresh"):
            second = opener(folder)
            assert second.fingerprint == embedder.fingerprint
            np.testing.assert_array_equal(embed(second, images), embed(embedder, images))

    def test_no_images_give_no_rows(self, embedder: Embedder) -> None:
        features = embed(embedder, [])
        assert features.shape == (0, embedder.dimension)
        assert features.dtype == np.float32

    @pytest.mark.parametrize("size", SIZES)
    def test_an_image_of_any_size_gives_finite_features(
        self, embedder: Embedder, size: tuple[int, int]
    ) -> None:
        features = embed(embedder, [picture(*size)])
        assert features.shape == (1, embedder.dimension)
        assert features.dtype == np.float32
        assert np.isfinite(features).all()
        assert np.linalg.norm(features) > 0

    @pytest.mark.parametrize("value", [0, 127, 255])
    def test_an_image_of_one_colour_gives_finite_features(self, embedder: Embedder, value: int) -> None:
        features = embed(embedder, [np.full((64, 64, 3), value, np.uint8)])
        assert np.isfinite(features).all()
        assert np.linalg.norm(features) > 0

    def test_the_same_image_gives_the_same_features(self, embedder: Embedder) -> None:
        image = picture(300, 200)
        np.testing.assert_array_equal(embed(embedder, [image]), embed(embedder, [image.copy()]))

    def test_the_layout_in_memory_does_not_matter(self, embedder: Embedder) -> None:
        image = picture(120, 90)
        flipped = image[::-1, ::-1]
        np.testing.assert_array_equal(embed(embedder, [flipped]), embed(embedder, [flipped.copy()]))

    def test_different_images_give_different_features(self, embedder: Embedder) -> None:
        features = embed(embedder, [picture(200, 200, seed) for seed in range(4)])
        unit = features / np.linalg.norm(features, axis=1, keepdims=True)
        assert (unit @ unit.T)[np.triu_indices(4, 1)].max() < 1 - 1e-4

    def test_a_batch_gives_what_its_images_give_alone_and_in_order(self, embedder: Embedder) -> None:
        images = [picture(*size) for size in SIZES]
        together = embed(embedder, images)
        for row, image in zip(together, images, strict=True):
            assert_close(row, embed(embedder, [image])[0])

    def test_colours_are_told_apart(self, embedder: Embedder) -> None:
        image = picture(224, 224)
        swapped = image[:, :, ::-1]
        assert not np.allclose(embed(embedder, [image]), embed(embedder, [swapped]), rtol=1e-3, atol=1e-3)

    def test_a_grey_image_in_three_channels_is_an_image(self, embedder: Embedder) -> None:
        grey = np.repeat(picture(200, 300)[:, :, :1], 3, axis=2)
        # The same without a copy, as an array of stride 0.
        view = np.broadcast_to(grey[:, :, :1], grey.shape)
        np.testing.assert_array_equal(embed(embedder, [grey]), embed(embedder, [view]))

    def test_the_images_are_not_modified(self, embedder: Embedder) -> None:
        images = [picture(*size) for size in SIZES]
        copies = [image.copy() for image in images]
        for image in images:
            image.flags.writeable = False
        embed(embedder, images)
        for image, copy in zip(images, copies, strict=True):
            np.testing.assert_array_equal(image, copy)

    def test_features_stay_what_they_were_after_the_next_call(self, embedder: Embedder) -> None:
        first = embed(embedder, [picture(50, 50, 1)])
        copy = first.copy()
        embed(embedder, [picture(50, 50, 2)])
        np.testing.assert_array_equal(first, copy)

    def test_four_threads_get_what_one_gets(self, embedder: Embedder) -> None:
        images = [picture(180, 220, seed) for seed in range(12)]
        alone = [embed(embedder, [image])[0] for image in images]
        with ThreadPoolExecutor(4) as threads:
            for found, expected in zip(
                threads.map(lambda i: embed(embedder, [i])[0], images), alone, strict=True
            ):
                assert_close(found, expected)


TEXTS = [
    "a photo of a cat",
    "눈 덮인 산",
    "Ein rotes Auto!",
    "x",
    "weld " * 2000,
    "\ud800 half a character",
    "a\0b",
]


class TextEmbedderContract(EmbedderContract):
    """What an embedder promises that reads texts too; override `opener`."""

    @pytest.fixture
    def reader(self, embedder: Embedder) -> TextEmbedder:
        assert isinstance(embedder, TextEmbedder)
        return embedder

    def test_its_text_fingerprint_is_64_hexadecimal_digits_of_its_own(
        self, reader: TextEmbedder, embedder: Embedder
    ) -> None:
        assert re.fullmatch("[0-9a-f]{64}", reader.text_fingerprint)
        assert reader.text_fingerprint != embedder.fingerprint

    def test_texts_lie_in_the_space_of_its_images(self, reader: TextEmbedder, embedder: Embedder) -> None:
        features = reader.embed_texts(TEXTS)
        assert features.shape == (len(TEXTS), embedder.dimension)
        assert features.dtype == np.float32
        assert np.isfinite(features).all()
        assert (np.linalg.norm(features, axis=1) > 0).all()

    def test_no_texts_give_no_rows(self, reader: TextEmbedder, embedder: Embedder) -> None:
        assert reader.embed_texts([]).shape == (0, embedder.dimension)

    @pytest.mark.parametrize("text", ["", " \n\t"])
    def test_a_blank_text_is_refused(self, reader: TextEmbedder, text: str) -> None:
        with pytest.raises(InvalidArgument):
            reader.embed_texts(["a cat", text])

    def test_a_text_gives_what_it_gives_alone_and_in_order(self, reader: TextEmbedder) -> None:
        for row, text in zip(reader.embed_texts(TEXTS), TEXTS, strict=True):
            assert_close(row, reader.embed_texts([text])[0])

    def test_different_texts_give_different_features(self, reader: TextEmbedder) -> None:
        one, other = reader.embed_texts(TEXTS[:2])
        assert not np.allclose(one, other, rtol=1e-3, atol=1e-3)

    def test_its_vocabulary_is_a_sentence_or_nothing(self, reader: TextEmbedder) -> None:
        assert reader.vocabulary is None or reader.vocabulary.endswith(".")

    def test_four_threads_read_what_one_reads(self, reader: TextEmbedder) -> None:
        alone = reader.embed_texts(TEXTS)
        with ThreadPoolExecutor(4) as threads:
            for found, expected in zip(
                threads.map(lambda text: reader.embed_texts([text])[0], TEXTS), alone, strict=True
            ):
                assert_close(found, expected)
