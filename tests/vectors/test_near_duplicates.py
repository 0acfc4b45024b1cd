"""Near-duplicates: what is found, what is not, and that no chain of them becomes one group."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conformal_clip_data import textile_simulated_root
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from lookalike.embedders.registry import open_embedder
from lookalike.errors import InvalidArgument
from lookalike.types import Vectors
from lookalike.vectors import near_duplicates
from lookalike.vectors.groupings import numbered_by_first_row
from lookalike.vectors.metric import normalise
from lookalike.vectors.near_duplicates import (
    find_near_duplicates,
    near_duplicate_groups,
    near_duplicate_threshold,
)


def scattered(count: int, seed: int = 0, dimension: int = 32) -> Vectors:
    return normalise(np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32))


def distinct(count: int) -> list[str]:
    return [f"{n:064x}" for n in range(count)]


def nudged(vectors: Vectors, by: float, seed: int = 1) -> Vectors:
    noise = np.random.default_rng(seed).normal(scale=by, size=vectors.shape)
    return normalise((vectors + noise).astype(np.float32))


def saved_as(kind: str, **options: int) -> Callable[[Image.Image], Image.Image]:
    def again(image: Image.Image) -> Image.Image:
        written = io.BytesIO()
        image.save(written, kind, **options)
        return Image.open(written).convert("RGB")

    return again


@pytest.fixture(scope="module")
def photographs() -> list[Image.Image]:
    files = sorted(textile_simulated_root().rglob("*.jpg"))[::20]
    return [Image.open(file).convert("RGB") for file in files]


@pytest.fixture(scope="module")
def photograph_vectors(photographs: list[Image.Image], cache: Path) -> Vectors:
    return embedded(photographs, cache)


def embedded(images: list[Image.Image], cache: Path) -> Vectors:
    return normalise(open_embedder("efficientnet-lite0", cache).embed(images))


def test_different_photographs_of_one_cloth_are_no_near_duplicates(photograph_vectors: Vectors) -> None:
    groups = near_duplicate_groups(photograph_vectors, distinct(len(photograph_vectors)))
    assert groups.tolist() == list(range(len(photograph_vectors)))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(saved_as("JPEG", quality=75), id="jpeg"),
        pytest.param(saved_as("WEBP", quality=80), id="webp"),
        pytest.param(lambda image: ImageEnhance.Brightness(image).enhance(1.05), id="brighter"),
    ],
)
def test_a_photograph_saved_again_is_found(
    change: Callable[[Image.Image], Image.Image],
    photographs: list[Image.Image],
    photograph_vectors: Vectors,
    cache: Path,
) -> None:
    copied = list(range(0, len(photographs), 10))
    vectors = np.concatenate([photograph_vectors, embedded([change(photographs[n]) for n in copied], cache)])
    groups = near_duplicate_groups(vectors, distinct(len(vectors)))
    assert groups[len(photographs) :].tolist() == copied


def test_a_collection_that_holds_every_picture_twice_is_found_out() -> None:
    once = scattered(100)
    groups = near_duplicate_groups(np.concatenate([once, nudged(once, 0.005)]), distinct(200))
    assert groups.tolist() == [*range(100), *range(100)]


def test_the_scale_is_the_collections_own_whatever_the_embedder() -> None:
    """Adding a constant to all features, as an embedder with a strong bias does, moves all cosines to 1."""
    once = scattered(100)
    both = np.concatenate([once, nudged(once, 0.005)])
    biased = normalise(np.concatenate([both, np.full((200, 1), 20, np.float32)], axis=1))
    assert near_duplicate_threshold(biased) > 0.999 > near_duplicate_threshold(both)
    assert near_duplicate_groups(biased, distinct(200)).tolist() == [*range(100), *range(100)]


def test_the_same_bytes_are_one_group_however_few_the_images() -> None:
    assert near_duplicate_groups(scattered(2), ["a", "a"]).tolist() == [0, 0]
    assert near_duplicate_groups(scattered(2), ["a", "b"]).tolist() == [0, 1]
    assert near_duplicate_groups(scattered(1), ["a"]).tolist() == [0]
    assert near_duplicate_groups(scattered(0), []).tolist() == []


def test_equal_vectors_are_near_duplicates_though_all_are_equal() -> None:
    vectors = np.repeat(scattered(1), 5_000, axis=0)
    assert not near_duplicate_groups(vectors, distinct(5_000)).any()


def filmed(count: int, among: int, degrees: float = 90) -> Vectors:
    """Return a slow turn through `count` frames, each near the next ones only, before others far away."""
    turn = np.radians(np.linspace(0, degrees, count))
    frames = np.zeros((count, 34), np.float32)
    frames[:, 32], frames[:, 33] = np.cos(turn), np.sin(turn)
    return np.concatenate(
        [frames, np.concatenate([scattered(among), np.zeros((among, 2), np.float32)], axis=1)]
    )


def least_inside(vectors: Vectors, groups: NDArray[np.intp]) -> float:
    """Return the least similarity between two rows of one group."""
    return min(
        float((vectors[groups == group] @ vectors[groups == group].T).min()) for group in np.unique(groups)
    )


@pytest.mark.parametrize("at_once", [64, 2048])
def test_a_chain_is_taken_apart_and_told(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By single linkage the frames were one group, though the first and the last have nothing in common."""
    monkeypatch.setattr(near_duplicates, "_LINKED", at_once)
    vectors = filmed(1_300, 1_500)
    order = np.random.default_rng(0).permutation(len(vectors))
    found = find_near_duplicates(vectors[order], distinct(len(order)))
    groups = found.groups[np.argsort(order)]
    assert found.threshold > 0.8
    assert least_inside(vectors, groups) >= found.threshold - 1e-6
    # A group spans no more than the angle of the threshold; complete linkage fills at least a third of it.
    spanned = np.degrees(np.arccos(found.threshold))
    assert 90 / spanned <= len(set(groups[:1_300].tolist())) <= 3 * 90 / spanned
    assert len(set(groups[1_300:].tolist())) == 1_500
    (chain,) = found.chains
    assert (chain.images, chain.groups) == (1_300, len(set(groups[:1_300].tolist())))
    assert chain.similarity == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("at_once", [64, 2048])
def test_copies_of_frames_stay_together_wherever_the_chain_is_cut(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near_duplicates, "_LINKED", at_once)
    vectors = filmed(300, 800)
    frames = vectors[:300]
    again = nudged(frames, 1e-4)
    groups = near_duplicate_groups(np.concatenate([vectors, again]), distinct(1_400))
    assert groups[:300].tolist() == groups[1_100:].tolist()
    assert len(set(groups[:300].tolist())) > 2


@pytest.mark.parametrize("at_once", [50, 2048])
def test_very_many_copies_of_one_picture_are_one_group_beside_a_chain(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A camera that stood still for 400 frames before it turned away."""
    monkeypatch.setattr(near_duplicates, "_LINKED", at_once)
    film = filmed(60, 1_000, 60)
    still = nudged(np.repeat(film[:1], 400, axis=0), 1e-4)
    groups = near_duplicate_groups(np.concatenate([film, still]), distinct(1_460))
    assert len(set(groups[1_060:].tolist())) == 1


def test_the_order_of_the_images_makes_no_difference_to_where_a_chain_is_cut() -> None:
    vectors, digests = filmed(200, 300), distinct(500)
    groups = near_duplicate_groups(vectors, digests)
    order = np.random.default_rng(1).permutation(500)
    again = near_duplicate_groups(vectors[order], [digests[row] for row in order.tolist()])
    assert numbered_by_first_row(again[np.argsort(order)]).tolist() == groups.tolist()


def test_as_many_digests_as_vectors_are_needed() -> None:
    with pytest.raises(InvalidArgument, match="3 vectors need as many digests, not 2"):
        near_duplicate_groups(scattered(3), ["a", "b"])


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(3, 30),
    seed=st.integers(0, 999),
    digests=st.lists(st.integers(0, 12), min_size=30, max_size=30),
)
def test_groups_are_cliques_that_cannot_be_joined(count: int, seed: int, digests: list[int]) -> None:
    """Against the pairs themselves: all of a group are near, and no two whole groups are all near."""
    rng = np.random.default_rng(seed)
    vectors = scattered(count, seed, 4)
    vectors[rng.integers(count, size=count // 3)] = vectors[rng.integers(count)]
    names = [str(digest) for digest in digests[:count]]
    # The same bytes have the same vector.
    vectors = vectors[[names.index(name) for name in names]]
    found = find_near_duplicates(vectors, names)
    similarities = vectors @ vectors.T
    near = similarities >= found.threshold
    unsure = np.abs(similarities - found.threshold) < 1e-6
    numbers = range(int(found.groups.max()) + 1)
    members = [np.flatnonzero(found.groups == number) for number in numbers]
    for number in numbers:
        own = np.ix_(members[number], members[number])
        assert (near | unsure)[own].all()
        for other in range(number):
            assert not (near & ~unsure)[np.ix_(members[number], members[other])].all()
    assert len({(name, group) for name, group in zip(names, found.groups.tolist(), strict=True)}) == len(
        set(names)
    )
    assert [chain for chain in found.chains if chain.groups < 2] == []
