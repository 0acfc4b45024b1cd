"""How far a work of several parts is."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.progress import Pulse, divided


class Heard(list[tuple[int, int]]):
    """What a work told."""

    def __call__(self, done: int, total: int) -> None:
        self.append((done, total))

    def check(self) -> None:
        """Assert that it never fell, and ended at its total, which stayed the same."""
        assert all(0 <= one[0] <= other[0] for one, other in pairwise(self))
        assert {total for _, total in self} == {self[-1][0]}


sizes = st.lists(st.integers(0, 1000), max_size=6).map(lambda some: [*some, 1000])


@given(sizes, st.lists(st.integers(0, 100), min_size=7, max_size=7), st.sets(st.integers(0, 5)))
def test_parts_that_follow_one_another_tell_as_one(
    sizes: list[int], counts: list[int], out: set[int]
) -> None:
    heard = Heard()
    for place, (tell, count) in enumerate(zip(divided(heard, sizes), counts, strict=False)):
        if place not in out or place == len(sizes) - 1:
            for done in range(count + 1):
                tell(done, count)
    heard.check()
    assert heard[-1] == (sum(sizes), sum(sizes))


def test_a_part_has_its_share_of_the_whole() -> None:
    heard = Heard()
    first, second = divided(heard, [1, 3])
    first(1, 2)
    first(2, 2)
    inner, _ = divided(second, [20, 20])
    inner(5, 10)
    inner(10, 10)
    second(2, 3)
    assert heard == [(0, 4), (1, 4), (1, 4), (2, 4), (3, 4)]


def test_a_pulse_tells_again_and_never_less() -> None:
    heard = Heard()
    pulse = Pulse(heard)
    pulse.beat()
    pulse(3, 9)
    pulse.beat()
    pulse(1, 9)
    pulse(9, 9)
    pulse.beat()
    assert heard == [(0, 1), (3, 9), (3, 9), (3, 9), (9, 9), (9, 9)]


def test_what_is_raised_ends_the_work() -> None:
    def refuse(done: int, _total: int) -> None:
        if done:
            raise KeyError(done)

    first, second = divided(Pulse(refuse), [1, 1])
    first(0, 1)
    with pytest.raises(KeyError):
        second(0, 1)
