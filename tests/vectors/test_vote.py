"""The rule by which neighbours decide, for one image and for many at once."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.types import Neighbour, Record, Scalar
from lookalike.vectors.vote import label_key, label_of, vote, winning_codes


def neighbour(name: str, similarity: float, label: Scalar | None) -> Neighbour:
    fields: dict[str, Scalar] = {"other": "x"} if label is None else {"quality": label, "other": "x"}
    return Neighbour(Record(name, f"file:///{name}", "0" * 64, fields, {}, 1, 1), similarity)


def neighbours(*pairs: tuple[float, Scalar | None]) -> list[Neighbour]:
    return [neighbour(f"{place:02}", similarity, label) for place, (similarity, label) in enumerate(pairs)]


# Few values of each, so that draws, equal similarities and Python's 1 == True all come up often.
LABELS = st.sampled_from([True, False, 1, 1.0, 0, -0.0, 2.5, "1", "", "True", "탱크", None])
SIMILARITIES = st.sampled_from([1.0, 1.0 - 2**-53, 0.5, 0.0, -1.0])
NEIGHBOURS = st.lists(st.tuples(SIMILARITIES, LABELS), max_size=12).map(lambda pairs: neighbours(*pairs))


def same(one: Scalar, other: Scalar) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def winner_by_pairs(labels: Sequence[Scalar]) -> int | None:
    """Say which place wins, comparing every label, nearest first, with every other."""
    best, most = None, 0
    for place, label in enumerate(labels):
        votes = sum(same(label, other) for other in labels)
        if votes > most:
            best, most = place, votes
    return best


def test_the_label_with_most_votes_wins_however_near_the_others_are() -> None:
    found = vote(neighbours((1.0, "bad"), (0.4, "good"), (0.3, "good")), "quality")
    assert (found.label, found.share) == ("good", 2 / 3)
    assert found.votes == (("good", 2 / 3), ("bad", 1 / 3))


def test_of_equally_many_votes_the_nearest_neighbour_decides() -> None:
    found = vote(neighbours((0.1, "a"), (0.8, "a"), (0.85, "b"), (0.9, "c"), (0.2, "c")), "quality")
    assert found.votes == (("c", 2 / 5), ("a", 2 / 5), ("b", 1 / 5))


def test_of_equally_near_neighbours_the_lower_id_decides() -> None:
    assert vote([neighbour("2", 1.0, "a"), neighbour("1", 1.0, "b")], "quality").label == "b"


def test_a_copy_at_distance_zero_has_one_vote_like_the_others() -> None:
    found = vote(neighbours((1.0, "bad"), (1.0, "good"), (0.2, "good")), "quality")
    assert (found.label, found.share) == ("good", 2 / 3)


def test_a_neighbour_without_the_label_does_not_vote() -> None:
    group = neighbours((0.9, None), (0.8, float("nan")), (0.7, "good"), (0.6, None))
    found = vote(group, "quality")
    assert (found.label, found.share, found.neighbours) == ("good", 1.0, (group[2],))


@pytest.mark.parametrize("group", [[], neighbours((0.9, None), (0.8, None))])
def test_without_a_vote_the_label_is_unknown(group: list[Neighbour]) -> None:
    found = vote(group, "quality")
    assert (found.label, found.share, found.votes, found.neighbours) == (None, 0.0, (), ())


def test_one_and_true_and_the_string_are_three_labels_and_one_point_zero_is_one() -> None:
    found = vote(neighbours((0.9, True), (0.8, 1), (0.7, "1"), (0.6, 1.0)), "quality")
    assert found.votes[0] == (1, 0.5)
    assert found.votes[0][0] is not True
    assert found.votes[1][0] is True
    assert found.votes[2][0] == "1"


def test_labels_sort_booleans_first_then_numbers_then_strings() -> None:
    labels: list[Scalar] = ["b", 2, "10", True, 1.5, False, -1, "나", "2"]
    assert sorted(labels, key=label_key) == [False, True, -1, 1.5, 2, "10", "2", "b", "나"]


def test_an_empty_string_and_false_and_zero_are_labels() -> None:
    for label in ("", False, 0):
        assert label_of(neighbour("1", 0.5, label).record, "quality") == label
        assert vote([neighbour("1", 0.5, label)], "quality").share == 1.0


@given(NEIGHBOURS)
def test_the_rule_holds_as_it_is_told(group: list[Neighbour]) -> None:
    found = vote(group, "quality")
    labelled = [each for each in group if "quality" in each.record.fields]
    assert sorted(found.neighbours, key=lambda each: each.record.id) == labelled
    order = [(-each.similarity, each.record.id) for each in found.neighbours]
    assert order == sorted(order)
    place = winner_by_pairs([each.record.fields["quality"] for each in found.neighbours])
    if place is None:
        assert found.label is None
    else:
        assert repr(found.label) == repr(found.neighbours[place].record.fields["quality"])
        assert found.votes[0] == (found.label, found.share)
        assert sum(share for _, share in found.votes) == pytest.approx(1.0)
        shares = [share for _, share in found.votes]
        assert shares == sorted(shares, reverse=True)


@given(NEIGHBOURS, st.randoms(use_true_random=False))
def test_the_order_in_which_neighbours_come_changes_nothing(
    group: list[Neighbour], shuffler: random.Random
) -> None:
    shuffled = list(group)
    shuffler.shuffle(shuffled)
    # repr tells 1 from 1.0 and True, which == does not.
    assert repr(vote(shuffled, "quality")) == repr(vote(group, "quality"))


@given(st.lists(NEIGHBOURS, max_size=5))
def test_many_rows_at_once_decide_as_one_by_one(groups: list[list[Neighbour]]) -> None:
    values: list[Scalar] = [True, False, 1, 0, 2.5, "1", "", "True", "탱크"]
    numbers = {label_key(value): number for number, value in enumerate(values)}
    width = max((len(group) for group in groups), default=0)
    codes = np.full((len(groups), width), -1, dtype=np.intp)
    expected = []
    for row, group in enumerate(groups):
        ranked = sorted(group, key=lambda each: (-each.similarity, each.record.id))
        for column, each in enumerate(ranked):
            label = label_of(each.record, "quality")
            codes[row, column] = -1 if label is None else numbers[label_key(label)]
        found = vote(group, "quality").label
        expected.append(-1 if found is None else numbers[label_key(found)])
    assert winning_codes(codes).tolist() == expected


def test_rows_without_neighbours_have_no_winner() -> None:
    assert winning_codes(np.empty((3, 0), dtype=np.intp)).tolist() == [-1, -1, -1]
    assert winning_codes(np.empty((0, 4), dtype=np.intp)).shape == (0,)
    assert winning_codes(np.full((2, 2), -1, dtype=np.intp)).tolist() == [-1, -1]
