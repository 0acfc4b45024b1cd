"""How far a work of several parts is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.cli.progress_bar import Bar, progress_bar
from lookalike.errors import InvalidArgument
from lookalike.progress import Lines, Pulse, divided
from tests.conftest import CommandLine


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


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_lines_say_how_far_a_work_is_and_what_is_left() -> None:
    clock = Clock()
    lines = Lines("embedding", 10, "images", clock)
    assert lines.line() is None
    clock.now += 10
    assert lines.line() == "embedding: 10 s so far"
    lines(0, 4_000)
    clock.now += 9.9
    assert lines.line() is None
    clock.now += 0.1
    assert lines.line() == "embedding: 20 s so far"
    lines(1_000, 4_000)
    clock.now += 20
    assert lines.line() == "embedding: 1,000 of 4,000 images, 25 %, about 2 min left"
    assert lines.line() is None
    lines(3_999, 4_000)
    clock.now += 10
    assert lines.line() == "embedding: 3,999 of 4,000 images, 99 %, about 1 s left"
    lines(4_000, 4_000)
    clock.now += 12.5
    assert lines.line() == "embedding: 4,000 of 4,000 images, 100 %"


def test_counts_that_mean_nothing_to_people_are_not_said() -> None:
    clock = Clock()
    lines = Lines("evaluating", 10, clock=clock)
    lines(1, 1_000)
    clock.now += 36
    assert lines.line() == "evaluating: 0 %, about 10.0 h left"


@pytest.mark.parametrize(("hours", "most"), [(1 / 60, 5), (1, 25), (24, 42), (24 * 30, 60)])
def test_a_long_work_has_few_lines(hours: float, most: int) -> None:
    clock = Clock()
    lines = Lines("evaluating", 10, clock=clock)
    said = 0
    for second in range(int(3600 * hours)):
        clock.now = 100.0 + second
        said += lines.line() is not None
    assert most / 2 < said <= most


def test_where_there_is_no_terminal_lines_are_said_while_a_work_is_silent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The work ends when a line was said, however long that takes."""
    said = threading.Event()
    monkeypatch.setenv("LOOKALIKE_PROGRESS", "0.001")

    def warn(line: str) -> None:
        click.echo(line, err=True)
        said.set()

    monkeypatch.setattr("lookalike.cli.progress_bar.warn", warn)
    with progress_bar("copying", quiet=False, unit="images") as bar:
        assert said.wait(60)
        said.clear()
        bar(3, 9)
        assert said.wait(60)
        said.clear()
        assert said.wait(60)
    out, err = capsys.readouterr()
    assert "copying: 3 of 9 images, 33 %" in err
    assert out == ""
    assert [thread for thread in threading.enumerate() if thread.name == "progress"] == []


@pytest.mark.parametrize(("seconds", "quiet"), [("0", False), ("0.001", True)])
def test_who_wants_no_lines_gets_none(
    seconds: str, quiet: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOOKALIKE_PROGRESS", seconds)
    with progress_bar("copying", quiet=quiet) as bar:
        bar(1, 2)
        assert [thread for thread in threading.enumerate() if thread.name == "progress"] == []
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("seconds", ["often", "-1", "inf", "nan"])
def test_a_time_between_lines_that_cannot_be_is_refused(
    seconds: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOKALIKE_PROGRESS", seconds)
    with pytest.raises(InvalidArgument, match="LOOKALIKE_PROGRESS"), progress_bar("copying", quiet=False):
        pass


WORKS = [
    ("embedding", "index textile -c other"),
    ("building the approximate index", "index textile --approximate"),
    ("evaluating", "evaluate --by label"),
    ("auditing", "audit"),
    ("judging", "classify textile/local/textile_0001.jpg --by label"),
    ("comparing", "compare --by label --models efficientnet-lite0"),
    ("fitting", "fit --by label"),
    ("copying textile", "copy {store} sqlite:///there.db -c textile"),
    ("asking", "parity {store} sqlite:///there.db -c textile"),
]


@pytest.mark.slow
def test_every_long_work_tells(
    textile: Path, lookalike: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each opens the one place that says how far a work is, and tells it of its end."""
    told: dict[str, list[tuple[int, int]]] = {}

    @contextmanager
    def bar(text: str, *, quiet: bool, unit: str = "") -> Iterator[Bar]:
        heard = told.setdefault(text, [])
        yield Bar(lambda done, total: heard.append((done, total)), lambda: None, lambda: None)

    for module in ("index", "classify", "evaluate", "audit", "fit", "compare", "copy", "parity"):
        monkeypatch.setattr(f"lookalike.cli.{module}.progress_bar", bar)
    lookalike("index", textile, "-c", "textile")
    for text, words in WORKS:
        told.pop(text, None)
        given = words.format(store=lookalike.store).split()
        lookalike(*given, *([] if "-c" in given else ["-c", "textile"]))
        assert text in told, words
        if text != "building the approximate index":
            assert told[text], words
            assert told[text][-1][0] == told[text][-1][1] > 0, words
