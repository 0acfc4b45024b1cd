"""The memory of normal pictures: what is chosen, how distances are calibrated, and its bytes."""

from __future__ import annotations

import numpy as np
import pytest

from lookalike.anomaly import memory as memories
from lookalike.anomaly.memory import (
    Memory,
    coreset,
    is_memory,
    joined_map,
    learn,
    locally,
    nearest_distances,
    whitening,
    worst,
)
from lookalike.embedders.builtin.efficientnet_lite_patches import EfficientNetLite0Patches
from lookalike.embedders.builtin.patches import patches_of

PICTURES = 12


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    """Features of pictures that are noise around one mean, in place of what a network makes of them."""
    random = np.random.default_rng(0)
    rows = random.standard_normal((PICTURES, EfficientNetLite0Patches.dimension), dtype=np.float32)
    return rows.astype(np.float16)


@pytest.fixture(scope="module")
def memory(features: np.ndarray) -> Memory:
    return learn(features, [f"{at:064x}" for at in range(PICTURES)], np.arange(PICTURES), {"normal": {}})


def test_whitened_rows_vary_by_one_in_every_direction() -> None:
    random = np.random.default_rng(1)
    rows = (random.standard_normal((500, 6)) @ random.standard_normal((6, 6)) + 3).astype(np.float32)
    white = whitening(rows, 0.0)(rows)
    assert np.allclose(np.cov(white.T, bias=True), np.eye(6), atol=1e-3)
    assert np.allclose(white.mean(axis=0), 0, atol=1e-3)


def test_the_nearest_distance_is_that_to_the_nearest() -> None:
    random = np.random.default_rng(2)
    rows, known = (random.standard_normal((count, 5)).astype(np.float32) for count in (7, 11))
    expected = np.linalg.norm(rows[:, None] - known[None], axis=2).min(axis=1)
    assert np.allclose(nearest_distances(rows, known), expected, atol=1e-4)


def test_a_coreset_leaves_nothing_far_from_what_it_chose() -> None:
    """Two points far from a crowd are chosen before a second one of the crowd."""
    random = np.random.default_rng(3)
    crowd = random.standard_normal((100, 2)) * 0.01
    rows = np.concatenate([crowd, [[9, 0], [0, 9]]]).astype(np.float32)
    chosen = coreset(rows, 3)
    assert {100, 101} < set(chosen.tolist())
    assert len(set(coreset(rows, 500).tolist())) == len(rows)


def test_a_lot_is_not_compared_with_itself(memory: Memory, features: np.ndarray) -> None:
    patches = patches_of(features[0].astype(np.float32)).coarse
    with_own, without = memory.coarse.distances(patches), memory.coarse.distances(patches, 0)
    own = memory.coarse.lots == 0
    assert own.any()
    assert (with_own <= without).all()
    assert with_own.min() < 0.1 < without.min()  # a patch that is kept is at its own place


def test_what_differs_at_one_place_is_highest_there(memory: Memory) -> None:
    random = np.random.default_rng(4)
    row = random.standard_normal(EfficientNetLite0Patches.dimension, dtype=np.float32)
    usual, flat = memory.judge(row)
    patches = patches_of(row)
    patches.fine[20:24, 40:44] += 5
    patches.coarse[10:12, 20:22] += 5
    parts, found = memory.judge(row)
    y, x = np.unravel_index(found.argmax(), found.shape)
    assert 20 <= y < 24
    assert 40 <= x < 44
    assert found.max() > 3 * flat.max()
    assert parts[0] > usual[0] + 5
    assert parts[1] > usual[1] + 5
    assert parts[2] == pytest.approx(usual[2])


def test_what_differs_all_over_shows_in_the_whole(memory: Memory) -> None:
    row = np.random.default_rng(5).standard_normal(EfficientNetLite0Patches.dimension, dtype=np.float32)
    before, _ = memory.judge(row)
    patches_of(row).whole[:] += 2
    after, _ = memory.judge(row)
    assert after[2] > before[2] + 5
    # Other normal pictures are most like it now: it is in their deviations.
    assert after[:2] == pytest.approx(before[:2], abs=1.5)


def test_what_lies_elsewhere_shows_in_the_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every patch is usual, and no normal picture has them so: two halves of two normal pictures."""
    monkeypatch.setattr(memories, "_KEPT", 20)  # takes long, and makes no difference here
    random = np.random.default_rng(7)
    rows = 0.1 * random.standard_normal((2 * PICTURES, EfficientNetLite0Patches.dimension), dtype=np.float32)
    for at, row in enumerate(rows):
        # Bright above and dark below, or the other way round.
        patches_of(row).coarse[:14] += at % 2
        patches_of(row).coarse[14:] += 1 - at % 2
    memory = learn(
        rows.astype(np.float16), [f"{at:064x}" for at in range(len(rows))], np.arange(len(rows)), {}
    )
    mixed = 0.1 * random.standard_normal(EfficientNetLite0Patches.dimension, dtype=np.float32)
    patches_of(mixed).coarse[:, :] += 1
    usual = 0.1 * random.standard_normal(EfficientNetLite0Patches.dimension, dtype=np.float32)
    patches_of(usual).coarse[:14] += 1
    assert memory.judge(mixed)[0][3] > 5
    assert memory.judge(usual)[0][3] < 2


def test_a_picture_is_in_deviations_of_those_most_like_it() -> None:
    """What is much among calm pictures is little among wild ones."""
    random = np.random.default_rng(8)
    usual = np.concatenate([random.normal(1, 0.1, (40, 4)), random.normal(9, 2, (40, 4))]).astype(np.float32)
    picture = np.full(4, 4, np.float32)
    near_calm, near_wild = np.r_[np.zeros(40), np.ones(40)], np.r_[np.ones(40), np.zeros(40)]
    assert (locally(picture, usual, near_calm) > 0.5).all()
    assert (locally(picture, usual, near_wild) < -1).all()


def test_normal_pictures_score_about_nothing(memory: Memory) -> None:
    """New ones of the same kind score as those that were held out."""
    random = np.random.default_rng(6)
    rows = random.standard_normal((8, EfficientNetLite0Patches.dimension), dtype=np.float32)
    scores = np.array([memory.judge(row)[0] for row in rows])
    assert abs(scores[:, :2].mean()) < 1.5


def test_a_normal_picture_is_judged_as_it_was_held_out(memory: Memory, features: np.ndarray) -> None:
    parts, _ = memory.judge(features[3].astype(np.float32), f"{3:064x}")
    assert (parts == memory.held_parts[3]).all()
    stranger, _ = memory.judge(features[3].astype(np.float32))
    assert stranger[2] < parts[2]  # it would be its own like


def test_its_bytes_give_it_back(memory: Memory, features: np.ndarray) -> None:
    data = memory.to_bytes()
    assert is_memory(data)
    assert not is_memory(b"")
    assert not is_memory(None)
    again = Memory.from_bytes(data)
    assert again.facts == memory.facts
    assert again.digests == memory.digests
    row = features[1].astype(np.float32)
    for one, other in zip(again.judge(row), memory.judge(row), strict=True):
        assert np.allclose(one, other, atol=0.02)
    assert again.to_bytes() == data


@pytest.mark.parametrize("at", [30, 5000, -1])
def test_damaged_bytes_are_refused(memory: Memory, at: int) -> None:
    data = bytearray(memory.to_bytes())
    data[at] ^= 1
    with pytest.raises(ValueError, match="checksum"):
        Memory.from_bytes(bytes(data))


def test_the_worst_is_the_mean_of_the_highest_hundredth() -> None:
    values = np.zeros((20, 20), np.float32)
    values[3, :4] = 8
    assert worst(values) == 8
    assert worst(values[:5, :5]) == 8


def test_a_map_is_the_mean_of_both_sizes() -> None:
    fine, coarse = np.full((4, 4), 2, np.float32), np.full((2, 2), 4, np.float32)
    assert (joined_map(fine, coarse) == 3).all()
