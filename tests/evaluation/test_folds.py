"""Folds: every image held out once, labels spread, lots whole."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookalike.errors import FieldNotFound, InvalidArgument, Unanswerable
from lookalike.evaluation.evaluate import evaluate
from lookalike.evaluation.evaluation import evaluation_lines
from lookalike.evaluation.folds import repeat_seeds, stratified_folds
from lookalike.evaluation.lots import Joined, joined_text, lots_of
from lookalike.types import Record, Scalar
from lookalike.uris import record_id
from lookalike.vectors.groupings import merge_groupings


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 15)), min_size=2, max_size=60),
    st.integers(2, 7),
    st.integers(0, 99),
)
def test_each_row_is_held_out_once_and_no_lot_is_on_both_sides(
    rows: list[tuple[int, int]], folds: int, seed: int
) -> None:
    codes, lots = np.array(rows, dtype=np.intp).T
    try:
        found = stratified_folds(codes, lots, folds=folds, seed=seed)
    except Unanswerable:
        assert len(set(lots.tolist())) < 2 or np.bincount(codes).max() < 2
        return
    held_out = np.concatenate([fold.held_out for fold in found])
    assert sorted(held_out.tolist()) == list(range(len(rows)))
    assert 1 <= len(found) <= folds
    for fold in found:
        assert sorted([*fold.held_in.tolist(), *fold.held_out.tolist()]) == list(range(len(rows)))
        assert not set(lots[fold.held_in].tolist()) & set(lots[fold.held_out].tolist())


def test_labels_are_spread_over_the_folds() -> None:
    codes = np.repeat([0, 1, 2], [50, 25, 5]).astype(np.intp)
    for fold in stratified_folds(codes, folds=5, seed=3):
        assert np.bincount(codes[fold.held_out]).tolist() == [10, 5, 1]


def test_a_label_on_two_images_does_not_reduce_the_folds_of_the_others() -> None:
    codes = np.repeat([0, 1], [40, 2]).astype(np.intp)
    assert len(stratified_folds(codes, folds=5)) == 5
    assert len(stratified_folds(np.array([0, 0, 0, 1, 1], dtype=np.intp), folds=5)) == 3


def test_the_seed_decides_and_every_repeat_has_its_own() -> None:
    codes = np.arange(40, dtype=np.intp) % 2
    first, again, other = (stratified_folds(codes, seed=seed)[0].held_out.tolist() for seed in (1, 1, 2))
    assert first == again != other
    assert repeat_seeds(7, 3) == [7, 8, 9]


@pytest.mark.parametrize(("folds", "seed"), [(1, 0), (0, 0), (5, -1), (5, 1 << 32)])
def test_folds_that_cannot_be_are_refused(folds: int, seed: int) -> None:
    with pytest.raises(InvalidArgument):
        stratified_folds(np.array([0, 0, 1, 1], dtype=np.intp), folds=folds, seed=seed)
    with pytest.raises(InvalidArgument):
        repeat_seeds(0, 0)


def test_one_lot_or_no_two_of_a_label_cannot_be_held_out() -> None:
    with pytest.raises(Unanswerable, match="one group"):
        stratified_folds(np.array([0, 0, 1], dtype=np.intp), np.zeros(3, dtype=np.intp))
    with pytest.raises(Unanswerable, match="no two images"):
        stratified_folds(np.arange(4, dtype=np.intp))


def test_groups_that_share_an_image_are_one_lot() -> None:
    days = np.array([0, 0, 1, 1, 2, 3], dtype=np.intp)
    copies = np.array([0, 1, 1, 2, 3, 4], dtype=np.intp)
    assert merge_groupings([days, copies]).tolist() == [0, 0, 0, 0, 1, 2]
    assert merge_groupings([days]).tolist() == [0, 0, 1, 1, 2, 3]


def records_of(*fields: Mapping[str, Scalar]) -> list[Record]:
    uris = [f"file:///{place}.png" for place in range(len(fields))]
    return [
        Record(record_id(uri), uri, uri, values, {}, 1, 1) for uri, values in zip(uris, fields, strict=True)
    ]


def test_an_image_without_the_lots_field_is_a_lot_of_its_own() -> None:
    records = records_of({"q": 1, "roll": 1}, {"q": 2}, {"q": 1, "roll": 1}, {"q": 2}, {"roll": True})
    vectors = np.eye(5, dtype=np.float32)
    lots = lots_of(records, vectors, "q", group="roll", near_duplicates=False)
    assert lots.together is not None
    assert lots.together.tolist() == [0, 1, 0, 2, 3]
    assert lots.alike.tolist() == [0] * 5
    with pytest.raises(FieldNotFound):
        lots_of(records, vectors, "q", group="batch", near_duplicates=False)
    with pytest.raises(InvalidArgument):
        lots_of(records, vectors, "q", group="q", near_duplicates=False)


def test_copies_are_found_and_where_nothing_is_alike_there_are_no_lots() -> None:
    vectors = np.eye(20, dtype=np.float32)
    vectors[7] = vectors[3]
    records = records_of(*({"q": place % 2} for place in range(20)))
    lots = lots_of(records, vectors, "q", group=None, near_duplicates=True)
    assert lots.together is not None
    assert lots.together[7] == lots.together[3]
    assert np.flatnonzero(lots.alike).tolist() == [3, 7]
    nothing = lots_of(records, np.eye(20, dtype=np.float32), "q", group=None, near_duplicates=True)
    assert nothing.together is None


def test_lots_of_several_groups_are_told() -> None:
    """A chain of groups: each of five rolls has a copy of a picture of the next; two of others share one."""
    count = 40
    vectors = np.eye(count, dtype=np.float32)
    fields: list[Mapping[str, Scalar]] = [{"q": place % 2, "roll": place // 4} for place in range(count - 2)]
    records = records_of(*fields, {"q": 0}, {"q": 1})
    for roll in range(4):
        vectors[4 * roll + 4] = vectors[4 * roll + 3]
    vectors[28] = vectors[27]
    vectors[38] = vectors[35]  # without a roll: it joins none
    vectors[39] = vectors[38]
    found = evaluate(records, vectors, "q", k=1, group="roll", near_duplicates=True)
    assert found.joined == (Joined(20, 5), Joined(8, 2))
    assert next(evaluation_lines(found))["joined"] == [
        {"images": 20, "groups": 5},
        {"images": 8, "groups": 2},
    ]
    assert "2 lots; the largest: 20 images, 5 values" in joined_text(found.joined, "roll")
    assert evaluate(records, vectors, "q", k=1, group="roll").joined == ()
    assert evaluate(records, vectors, "q", k=1, near_duplicates=True).joined == ()


def test_where_groups_are_joined_into_one_the_error_says_so() -> None:
    vectors = np.eye(24, dtype=np.float32)
    for place in range(4, 24, 4):
        vectors[place] = vectors[place - 1]
    records = records_of(*({"q": place % 2, "roll": place // 4} for place in range(24)))
    for k in (1, "auto"):
        with pytest.raises(Unanswerable, match=r"several values of roll.*one lot: 24 images, 6 values"):
            evaluate(records, vectors, "q", k=k, group="roll", near_duplicates=True)
