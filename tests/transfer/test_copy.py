"""Copying a collection: all of it arrives, a kill costs nothing, and nobody sees half of one."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lookalike.errors import (
    CollectionNotFound,
    InvalidArgument,
    LookalikeError,
    StoreBusy,
    StoreError,
    TargetDiffers,
)
from lookalike.ingest.record_writer import RecordWriter
from lookalike.metric_learning.fitted import fitting_of
from lookalike.metric_learning.fitting import fit, undo_fit
from lookalike.stores.query import Query
from lookalike.stores.registry import open_store
from lookalike.stores.store import Store
from lookalike.testing.samples import (
    CORNERS,
    FIELDS,
    SPACE,
    STRANGE_TEXTS,
    corners,
    fill,
    random_vectors,
    record,
    scanned,
)
from lookalike.transfer.contents import read_rows
from lookalike.transfer.copy import copy, copyable
from lookalike.transfer.unfinished_copies import building_name
from lookalike.types import Scalar, Space
from tests.conftest import CommandLine
from tests.forked_programs import run_command
from tests.unmeasured import unmeasured

ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).with_name("lookalike")
LABELS = ("good", "bad", "worse")
WIDE = Space("some-model", "ab" * 32, 24)
MANY = 12_000


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path}/from.db") as store:
        yield store


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path}/to.db") as store:
        yield store


@pytest.fixture
def locks(tmp_path: Path) -> Path:
    return tmp_path / "locks"


def contents(store: Store, name: str = "parts") -> list[bytes]:
    return [row.digest for row in read_rows(store, name)]


def names(store: Store) -> list[str]:
    return [one.name for one in store.collections()]


def fill_fitted(store: Store, locks: Path, count: int = 60, by: str = "label") -> None:
    """Make a collection `parts` that is fitted to its labels."""
    store.create("parts", WIDE)
    add_labelled(store, 0, count, by)
    fit(store, "parts", by, locks=locks)


def add_labelled(store: Store, first: int, count: int, by: str = "label") -> None:
    records = [record(number, {by: LABELS[number % 3]}) for number in range(first, first + count)]
    vectors = random_vectors(count, WIDE.dimension, first)
    for row, one in enumerate(records):
        vectors[row, LABELS.index(str(one.fields[by]))] += 1
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    RecordWriter(store, "parts").put(records, {WIDE.embedder_fingerprint: vectors})


# What arrives


def test_everything_arrives_to_the_last_bit_and_under_its_name(source: Store, target: Store) -> None:
    made = fill(source, 2500, [FIELDS, {"탱크": "상부"}, {}])
    report = copy(source, target, "PARTS")
    assert scanned(target) == made
    assert contents(target) == contents(source)
    assert target.collection("parts") == source.collection("parts")
    assert names(target) == ["parts"]
    side = report.tally
    assert (side.collection, side.images, side.added) == ("parts", 2500, 2500)
    assert (report.verified, report.passes, report.under) == (True, 2, None)
    (row,) = target.nearest("parts", Query(CORNERS[:1], 7))
    assert row == source.nearest("parts", Query(CORNERS[:1], 7))[0]


def test_done_again_there_is_nothing_to_do(source: Store, target: Store) -> None:
    fill(source, 5, [FIELDS])
    first = copy(source, target, "parts")
    again = copy(source, target, "parts")
    side = again.tally
    assert (side.unchanged, side.added, side.updated, side.removed) == (5, 0, 0, 0)
    assert again.passes == 1
    assert again.digest == first.digest


def test_an_empty_collection_is_copied_too(source: Store, target: Store) -> None:
    source.create("parts", SPACE)
    assert copy(source, target, "parts").verified
    assert target.collection("parts").space == SPACE


def test_a_fitted_collection_brings_all_its_vectors_and_its_fit(
    source: Store, target: Store, locks: Path
) -> None:
    fill_fitted(source, locks)
    report = copy(source, target, "parts")
    assert names(target) == ["parts"]
    assert report.vectors == ("image", "fitted")
    assert target.collection("parts") == source.collection("parts")
    assert contents(target) == contents(source)
    assert target.metric("parts") == source.metric("parts")
    ours, theirs = (
        fitting_of(store, store.collection("parts"), store.collection("parts").vector("fitted"))
        for store in (source, target)
    )
    for what in ("by", "at", "images", "classes", "digests", "lesson"):
        assert getattr(theirs, what) == getattr(ours, what)
    # It is a fitted collection like any other there: it takes images, is fitted again, and goes back.
    add_labelled(target, 100, 6)
    assert target.collection("parts").count == 66
    assert fit(target, "parts", "label", locks=locks).refit
    assert undo_fit(target, "parts", locks=locks) == 66


def test_vectors_of_several_models_come_along_and_those_that_are_not_complete_do_not(
    source: Store, target: Store
) -> None:
    made = fill(source, 7)
    words = Space("words", "cd" * 32, 6)
    source.add_vector("parts", "words", words)
    source.fill("parts", words, made, random_vectors(7, 6))
    source.finish_vector("parts", words)
    source.set_default("parts", "words")
    source.add_vector("parts", "half", Space("half", "ef" * 32, 5))
    assert copy(source, target, "parts").vectors == ("image", "words")
    there = target.collection("parts")
    assert (there.default, [one.name for one in there.vectors]) == ("words", ["image", "words"])
    assert contents(target) == contents(source)


def test_what_was_copied_can_be_copied_on(source: Store, target: Store, tmp_path: Path, locks: Path) -> None:
    fill_fitted(source, locks)
    copy(source, target, "parts")
    with open_store(f"sqlite:///{tmp_path}/third.db") as third:
        assert copyable(target) == ["parts"]
        assert copy(target, third, "parts").digest == copy(source, third, "parts").digest


texts = st.text(max_size=20) | st.sampled_from(STRANGE_TEXTS)
numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
scalars = texts | st.booleans() | numbers
json_values: st.SearchStrategy[Any] = st.recursive(
    scalars | st.none(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.dictionaries(
        st.integers(0, 30),
        st.tuples(
            st.dictionaries(texts, scalars, max_size=4),
            st.dictionaries(texts, json_values, max_size=3),
            st.integers(0, 2**62),
            st.sampled_from(range(len(CORNERS))),
        ),
        max_size=8,
    ),
    there=st.sets(st.integers(0, 40)),
)
def test_whatever_records_hold_and_whatever_is_there_both_are_the_same_then(
    tmp_path: Path, rows: dict[int, tuple[dict[str, Scalar], dict[str, Any], int, int]], there: set[int]
) -> None:
    run = tmp_path / os.urandom(8).hex()
    run.mkdir()
    with open_store(f"sqlite:///{run}/from.db") as source, open_store(f"sqlite:///{run}/to.db") as target:
        for store in (source, target):
            store.create("parts", SPACE)
        records = [
            record(number, fields, metadata=metadata, size=stamp, modified_ns=stamp)
            for number, (fields, metadata, stamp, _) in rows.items()
        ]
        source.put("parts", records, {SPACE: CORNERS[[row for *_, row in rows.values()]].reshape(-1, 4)})
        target.put("parts", [record(number) for number in there], {SPACE: corners(len(there))})
        assert copy(source, target, "parts", prune=True).verified
        assert scanned(target) == sorted(records, key=lambda one: one.id)
        assert contents(target) == contents(source)


# Into a collection that is there


def test_one_that_is_there_is_brought_up_to_date(source: Store, target: Store) -> None:
    fill(source, 30, [FIELDS])
    copy(source, target, "parts")
    source.put(
        "parts", [record(0, FIELDS, digest="00" * 32), record(40, {"new": 1})], {SPACE: CORNERS[[5, 6]]}
    )
    source.relabel("parts", [(record(1).id, {"quality": "good"}, {})])
    # The same stamp, digest and labels: only the vector tells.
    source.put("parts", [record(2, FIELDS)], {SPACE: CORNERS[[20]]})
    source.remove("parts", [record(3).id])
    report = copy(source, target, "parts")
    side = report.tally
    assert (side.added, side.updated, side.unchanged, side.removed, side.only_there) == (1, 3, 26, 0, 1)
    assert record(3).id in {one.id for one in scanned(target)}
    side = copy(source, target, "parts", prune=True).tally
    assert (side.removed, side.only_there, side.unchanged) == (1, 0, 30)
    assert contents(target) == contents(source)


def test_a_fitted_one_that_is_there_gets_both_vectors_up_to_date(
    source: Store, target: Store, locks: Path
) -> None:
    fill_fitted(source, locks)
    copy(source, target, "parts")
    add_labelled(source, 200, 9)
    report = copy(source, target, "parts")
    assert report.tally.added == 9
    assert not report.fit_differs
    assert contents(target) == contents(source)


def test_another_fit_of_the_same_metric_is_told(source: Store, target: Store, locks: Path) -> None:
    fill_fitted(source, locks)
    copy(source, target, "parts")
    undo_fit(source, "parts", locks=locks)
    source.put("parts", [record("unlabelled")], {WIDE: random_vectors(1, WIDE.dimension)})
    fit(source, "parts", "label", locks=locks)
    report = copy(source, target, "parts")
    assert report.fit_differs
    assert report.verified


def test_another_space_is_refused_and_stays(source: Store, target: Store) -> None:
    fill(source, 3)
    other = replace(SPACE, embedder="other")
    target.create("parts", other)
    target.put("parts", [record(9)], {other: CORNERS[:1]})
    before = contents(target)
    said = r"to\.db: collection 'parts' holds vectors of image: other .*delete it"
    with pytest.raises(TargetDiffers, match=said) as told:
        copy(source, target, "parts")
    assert "\n" not in str(told.value)
    assert contents(target) == before
    assert names(target) == ["parts"]


def test_a_plain_collection_is_not_taken_for_the_fitted_one(
    source: Store, target: Store, locks: Path
) -> None:
    fill_fitted(source, locks)
    copy(source, target, "parts")
    undo_fit(target, "parts", locks=locks)
    with pytest.raises(TargetDiffers, match="metric"):
        copy(source, target, "parts")


# Names


@pytest.mark.parametrize("spelling", ["{folder}/from.db", "{folder}/./from.db", "{folder}/link.db"])
def test_a_store_is_not_copied_into_itself(source: Store, tmp_path: Path, spelling: str) -> None:
    fill(source, 3)
    (tmp_path / "link.db").symlink_to(tmp_path / "from.db")
    url = "sqlite:///" + spelling.format(folder=tmp_path)
    with open_store(url) as same, pytest.raises(InvalidArgument, match="nothing to copy"):
        copy(source, same, "parts")


@pytest.mark.parametrize("length", [1, 47, 48, 55, 56, 64])
def test_names_of_any_length_have_one_to_be_built_under(source: Store, target: Store, length: int) -> None:
    name = "é" * length
    source.create(name, SPACE)
    source.put(name, [record(1)], {SPACE: CORNERS[:1]})
    assert copy(source, target, name).verified
    assert names(target) == [name]
    assert len(building_name(name)) <= 64
    assert building_name(name) != building_name(name[:-1] + "a")


def test_a_collection_of_that_name_is_not_taken_for_what_a_copy_left(source: Store, target: Store) -> None:
    fill(source, 3)
    target.create("Parts-Copying", SPACE)
    target.put("parts-copying", [record("mine")], {SPACE: CORNERS[:1]})
    with pytest.raises(InvalidArgument, match="'Parts-Copying' has the name that a copy needs"):
        copy(source, target, "parts")
    assert scanned(target, "parts-copying") == [record("mine")]
    # One that was itself copied there is no leftover either.
    source.create("x-copying", SPACE)
    source.create("x", SPACE)
    assert copy(source, target, "x-copying").verified
    with pytest.raises(InvalidArgument, match="'x-copying' has the name"):
        copy(source, target, "x")
    assert copyable(target) == ["Parts-Copying", "x-copying"]


def test_what_is_not_there_is_not_copied(source: Store, target: Store, locks: Path) -> None:
    fill_fitted(source, locks)
    assert copyable(source) == ["parts"]
    with pytest.raises(CollectionNotFound):
        copy(source, target, "pieces")
    assert names(target) == []


# Interrupted


class Ended(BaseException):
    """As a kill would: nothing catches it."""


def end_after(target: Store, puts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process end after some batches were put."""
    put = target.put
    done: list[None] = []

    def putting(*words: Any, **more: Any) -> None:
        if len(done) == puts:
            raise Ended
        put(*words, **more)
        done.append(None)

    monkeypatch.setattr(target, "put", putting)


def test_what_was_sent_before_is_not_sent_again(
    source: Store, target: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(source, 3500, [FIELDS])
    with monkeypatch.context() as patch:
        end_after(target, 2, patch)
        with pytest.raises(Ended):
            copy(source, target, "parts")
    assert names(target) == ["parts-copying"]
    assert target.collection("parts-copying").count == 2000
    assert copyable(target) == []
    gone = scanned(source)[17]
    source.remove("parts", [gone.id])
    side = copy(source, target, "parts").tally
    assert (side.unchanged, side.added, side.removed) == (1999, 1500, 1)
    assert contents(target) == contents(source)
    assert names(target) == ["parts"]


@pytest.mark.parametrize("step", ["create", "add_vector", "set_default", "put", "rename"])
def test_a_fitted_one_goes_on_as_well_and_no_half_of_it_has_the_name(
    source: Store, target: Store, locks: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    fill_fitted(source, locks)
    with monkeypatch.context() as patch:
        patch.setattr(target, step, end_now)
        with pytest.raises(Ended):
            copy(source, target, "parts")
    assert names(target) == ([] if step == "create" else ["parts-copying"])
    assert copyable(target) == []
    report = copy(source, target, "parts")
    assert report.tally.unchanged == 60 * (step == "rename")
    assert names(target) == ["parts"]
    assert target.collection("parts") == source.collection("parts")
    assert contents(target) == contents(source)


def end_now(*words: Any, **more: Any) -> None:
    raise Ended


def test_what_is_left_of_a_copy_can_be_deleted(
    source: Store, target: Store, locks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_fitted(source, locks)
    with monkeypatch.context() as patch:
        end_after(target, 0, patch)
        with pytest.raises(Ended):
            copy(source, target, "parts")
    target.delete("parts-copying")
    assert names(target) == []


def test_a_fit_at_the_source_between_two_runs_is_begun_anew(
    source: Store, target: Store, locks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_fitted(source, locks)
    changes: list[tuple[int, Callable[[], object]]] = [
        (0, lambda: undo_fit(source, "parts", locks=locks)),
        (0, lambda: fit(source, "parts", "label", locks=locks)),
    ]
    for puts, change in changes:
        with monkeypatch.context() as patch:
            end_after(target, puts, patch)
            with pytest.raises(Ended):
                copy(source, target, "parts")
        change()
    assert copy(source, target, "parts").verified
    assert names(target) == ["parts"]
    assert target.collection("parts").vectors == source.collection("parts").vectors
    assert contents(target) == contents(source)


def test_what_a_copy_from_another_store_left_is_not_mixed_in(
    source: Store, target: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(source, 10)
    with monkeypatch.context() as patch:
        patch.setattr(target, "rename", end_now)
        with pytest.raises(Ended):
            copy(source, target, "parts")
    before = contents(target, "parts-copying")
    with open_store(f"sqlite:///{tmp_path}/third.db") as third:
        fill(third, 3)
        with pytest.raises(InvalidArgument, match="a copy from another store that has not ended"):
            copy(third, target, "parts")
    assert contents(target, "parts-copying") == before
    # Made meanwhile by somebody else: it is brought up to date, and the leftover goes.
    target.create("parts", SPACE)
    assert copy(source, target, "parts").verified
    assert names(target) == ["parts"]


# While others write


def during(target: Store, monkeypatch: pytest.MonkeyPatch, act: Callable[[int], object]) -> None:
    """Let something happen after each batch that is put."""
    put = target.put
    times = []

    def putting(*words: Any, **more: Any) -> None:
        put(*words, **more)
        times.append(1)
        act(len(times))

    monkeypatch.setattr(target, "put", putting)


def test_what_the_source_gets_meanwhile_comes_along(
    source: Store, target: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(source, 2500)

    def change(times: int) -> None:
        if times == 2:
            first, *_, last = scanned(source)
            source.remove("parts", [first.id])
            source.put("parts", [record("late"), replace(last, size=7)], {SPACE: CORNERS[:2]})

    during(target, monkeypatch, change)
    report = copy(source, target, "parts")
    assert report.verified
    assert report.passes >= 2
    assert contents(target) == contents(source)


def test_a_source_that_never_rests_is_not_called_verified(
    source: Store, target: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(source, 10)
    with monkeypatch.context() as patch:
        during(
            target, patch, lambda times: source.put("parts", [record(0, size=times)], {SPACE: CORNERS[:1]})
        )
        report = copy(source, target, "parts")
    assert (report.verified, report.digest, report.under) == (False, None, "parts-copying")
    assert names(target) == ["parts-copying"]
    assert copy(source, target, "parts").verified
    assert names(target) == ["parts"]


def test_a_target_that_loses_what_was_put_is_an_error_that_names_ids(
    source: Store, target: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(source, 20)
    lost = [one.id for one in scanned(source)][4:13]
    during(target, monkeypatch, lambda _times: target.remove("parts-copying", lost))
    with pytest.raises(StoreError, match=f"{', '.join(lost[:5])} and 4 more differ") as told:
        copy(source, target, "parts")
    assert "\n" not in str(told.value)
    assert names(target) == ["parts-copying"]


@pytest.mark.parametrize("kind", ["fit", "undo"])
def test_a_fit_at_the_source_in_the_middle_of_a_copy_is_seen(
    source: Store, target: Store, locks: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    fill_fitted(source, locks)
    if kind == "fit":
        undo_fit(source, "parts", locks=locks)

    def change(times: int) -> None:
        if times == 1 and kind == "fit":
            fit(source, "parts", "label", locks=locks)
        elif times == 1:
            undo_fit(source, "parts", locks=locks)

    during(target, monkeypatch, change)
    assert copy(source, target, "parts").verified
    assert names(target) == names(source)
    assert target.collection("parts").vectors == source.collection("parts").vectors
    assert contents(target) == contents(source)


@pytest.mark.parametrize("fitted", [False, True])
def test_another_copy_that_ends_first_is_found(
    source: Store, target: Store, locks: Path, monkeypatch: pytest.MonkeyPatch, fitted: bool
) -> None:
    if fitted:
        fill_fitted(source, locks)
    else:
        fill(source, 2500)

    def overtake(times: int) -> None:
        if times == 1:
            with open_store(target.url) as other:
                assert copy(source, other, "parts").verified

    during(target, monkeypatch, overtake)
    assert copy(source, target, "parts").verified
    assert names(target) == names(source)
    assert contents(target) == contents(source)


def test_a_collection_that_somebody_else_makes_meanwhile_keeps_what_it_has(
    source: Store, target: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(source, 5)

    def index(times: int) -> None:
        if times == 1:
            target.create("parts", SPACE)
            Store.put(target, "parts", [record("theirs")], {SPACE: CORNERS[:1]})

    during(target, monkeypatch, index)
    side = copy(source, target, "parts").tally
    assert (side.added, side.only_there) == (5, 1)
    assert names(target) == ["parts"]
    assert record("theirs") in scanned(target)


# As a command


def start(*words: str | Path, **options: Any) -> subprocess.Popen[str]:
    options = {"env": unmeasured(), **options}
    return subprocess.Popen(
        [PROGRAM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def call(*words: str | Path, code: int = 0, **options: Any) -> str:
    """Run a command that must end with `code`; return what it said."""
    if options:
        with start(*words, **options) as process:
            out, err = process.communicate(timeout=120)
        ended = process.returncode
    else:
        ended, out, err = run_command(words, timeout=120)
    assert ended == code, (out, err)
    assert err.count("\n") <= 1, err
    return out + err


@pytest.fixture
def many(source: Store) -> Store:
    """A source that takes so long to copy that a signal comes in the middle."""
    space = replace(SPACE, dimension=64)
    source.create("parts", space)
    for first in range(0, MANY, 1000):
        rows = [record(number, {"label": LABELS[number % 3]}) for number in range(first, first + 1000)]
        source.put("parts", rows, {space: random_vectors(1000, 64, first)})
    return source


def waits_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def grown_or_ended(url: str, before: int, process: subprocess.Popen[str]) -> bool:
    return count(url, "parts-copying") > before or process.poll() is not None


def count(url: str, name: str) -> int:
    try:
        with open_store(url) as store:
            return store.collection(name).count
    except CollectionNotFound:
        return 0


@pytest.mark.slow
def test_killed_at_any_moment_and_run_again_it_ends_well(many: Store, target: Store) -> None:
    chance = random.Random(os.urandom(8))
    killed = 0
    words = ("copy", many.url, target.url, "-c", "parts")
    for _ in range(4):
        before = count(target.url, "parts-copying")
        with start(*words) as process:
            waits_for(partial(grown_or_ended, target.url, before, process))
            time.sleep(chance.uniform(0, 0.05))
            process.kill()
        killed += process.returncode == -signal.SIGKILL
        assert set(names(target)) <= {"parts-copying"} or names(target) == ["parts"]
    assert killed
    assert f"verified: {MANY:,} images alike to the last bit" in call(*words)
    assert contents(target) == contents(many)
    assert names(target) == ["parts"]


@pytest.mark.slow
def test_ctrl_c_is_one_line_and_the_same_command_goes_on(many: Store, target: Store) -> None:
    words = ("copy", many.url, target.url, "-c", "parts")
    with start(*words) as process:
        waits_for(lambda: count(target.url, "parts-copying") > 0)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert err.strip().startswith("lookalike: interrupted")
    assert err.strip().count("\n") == 0
    done = count(target.url, "parts-copying")
    assert 0 < done < MANY
    assert f"{done:,} unchanged" in call(*words)


@pytest.mark.slow
def test_two_at_once_do_no_damage(many: Store, target: Store) -> None:
    running = [start("copy", many.url, target.url, "-c", "parts") for _ in range(2)]
    ended = [process.communicate() for process in running]
    assert [process.returncode for process in running] == [0, 0], ended
    assert contents(target) == contents(many)
    assert names(target) == ["parts"]


def test_a_target_that_is_locked_is_one_line(source: Store, target: Store, tmp_path: Path) -> None:
    fill(source, 3)
    target.create("others", SPACE)
    with closing(sqlite3.connect(tmp_path / "to.db", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        words = ("copy", source.url, target.url, "-c", "parts")
        said = call(*words, "--timeout", "0.2", code=1)
        assert "to.db: another process kept it locked" in said
    assert "parts: 3 added" in call(*words)


def test_a_source_that_is_locked_for_writing_is_copied(source: Store, target: Store, tmp_path: Path) -> None:
    fill(source, 3)
    with closing(sqlite3.connect(tmp_path / "from.db", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        assert copy(source, target, "parts").verified


def test_a_source_that_is_locked_even_for_reading_is_named(
    source: Store, target: Store, tmp_path: Path
) -> None:
    fill(source, 3)
    source.close()
    with closing(sqlite3.connect(tmp_path / "from.db", isolation_level=None)) as holder:
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN IMMEDIATE")
        with open_store(source.url, timeout=0.2) as waiting, pytest.raises(StoreBusy, match=r"from\.db"):
            copy(waiting, target, "parts")
    assert names(target) == []


def no_file_above(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.mark.slow
def test_a_target_that_may_not_grow_is_one_line_and_goes_on_later(many: Store, target: Store) -> None:
    words = ("copy", many.url, target.url, "-c", "parts")
    said = call(*words, code=1, preexec_fn=no_file_above(4_000_000))
    assert said.startswith(f"lookalike: {target.url}: ")
    there = count(target.url, "parts-copying")
    assert 0 < there < MANY
    assert f"{there:,} unchanged" in call(*words)
    assert contents(target) == contents(many)


def test_a_target_that_cannot_be_written_is_one_line(source: Store, target: Store, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        folder = Path("/proc")  # even root makes no file there
    else:
        folder = tmp_path / "closed"
        folder.mkdir(mode=0o555)
    fill(source, 3)
    said = call("copy", source.url, f"sqlite:///{folder}/to.db", "-c", "parts", code=1)
    assert said.startswith(f"lookalike: sqlite:///{folder}/to.db: ")


# The command's words


def test_the_command_says_what_it_did(lookalike: CommandLine, source: Store, target: Store) -> None:
    fill(source, 3, [FIELDS])
    out, _ = lookalike("copy", source.url, target.url, "-c", "parts")
    assert out.splitlines()[0] == "parts: 3 added"
    assert "verified: 3 images alike to the last bit, SHA-256 " in out
    out, _ = lookalike("copy", source.url, target.url, "-c", "parts")
    assert out.splitlines()[0] == "parts: nothing to do (3 unchanged)"
    source.remove("parts", [record(0).id])
    out, _ = lookalike("copy", source.url, target.url, "-c", "parts")
    assert out.splitlines()[0] == "parts: nothing to do (2 unchanged, 1 only at TO)"
    assert "--prune removes them" in out
    out, _ = lookalike("copy", source.url, target.url, "-c", "parts", "--prune", "--format", "jsonl")
    (summary,) = map(json.loads, out.splitlines())
    assert (summary["collection"], summary["removed"], summary["unchanged"]) == ("parts", 1, 2)
    assert summary["vectors"] == ["image"]
    assert (summary["verified"], summary["images"], summary["approximation"]) == (True, 2, None)
    assert len(summary["digest"]) == 64


def test_every_collection_is_copied_and_one_that_cannot_be_stops_no_other(
    lookalike: CommandLine, source: Store, target: Store, locks: Path
) -> None:
    fill_fitted(source, locks)
    for name in ("a", "b"):
        source.create(name, SPACE)
    target.create("a", replace(SPACE, dimension=5))
    out, err = lookalike("copy", source.url, target.url, "--all", code=1)
    assert [line for line in err.splitlines() if "collection 'a' holds vectors" in line] == err.splitlines()
    assert names(target) == ["a", "b", "parts"]
    target.delete("a")
    out, _ = lookalike("copy", source.url, target.url, "--all")
    assert out.count("verified") == 3


def test_wrong_words_are_refused(lookalike: CommandLine, source: Store, target: Store) -> None:
    fill(source, 1)
    _, err = lookalike("copy", source.url, source.url, "-c", "parts", code=2)
    assert "FROM and TO are both" in err
    _, err = lookalike("copy", source.url, target.url, "-c", "parts", "--all", code=2)
    assert "exclude each other" in err
    _, err = lookalike("copy", target.url, source.url, "--all", code=1)
    assert "to.db has no collections" in err
    _, err = lookalike("copy", source.url, target.url, code=1)
    assert "no collection 'images'" in err
    _, err = lookalike("copy", "mysql://user:secret@host/db", target.url, code=2)
    assert "secret" not in err


def test_a_source_that_is_being_written_is_told_by_the_code(
    lookalike: CommandLine, source: Store, target: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(source, 10)
    put = Store.put
    times: list[int] = []

    def putting(store: Store, *words: Any, **more: Any) -> None:
        put(store, *words, **more)
        times.append(1)
        if store.url == target.url:
            source.put("parts", [record(0, size=len(times))], {SPACE: CORNERS[:1]})

    monkeypatch.setattr(Store, "put", putting)
    out, _ = lookalike("copy", source.url, target.url, "-c", "parts", code=1)
    assert "not verified: FROM or TO changed in each of 5 passes" in out
    assert "is called parts-copying" in out


def test_threads_that_copy_at_once_agree(source: Store, target: Store) -> None:
    fill(source, 3000)
    errors: list[LookalikeError] = []

    def one() -> None:
        try:
            with open_store(source.url) as here, open_store(target.url) as there:
                copy(here, there, "parts")
        except LookalikeError as error:
            errors.append(error)

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert names(target) == ["parts"]
    assert contents(target) == contents(source)


def test_the_approximate_index_is_built_when_it_is_asked_for(
    lookalike: CommandLine, source: Store, target: Store
) -> None:
    fill(source, 40)
    lookalike("copy", source.url, target.url, "-c", "parts")
    assert target.collection("parts").approximation is None
    out, _ = lookalike("copy", source.url, target.url, "-c", "parts", "--approximate")
    built = target.collection("parts").approximation
    assert built is not None
    assert f"approximate index {built.kind}: recall@10 {built.recall:.4f} on 40 images" in out
    source.create("empty", SPACE)
    out, _ = lookalike("copy", source.url, target.url, "--all", "--approximate", "--format", "jsonl")
    indexes = [
        line["approximation"] for line in map(json.loads, out.splitlines()) if line["type"] == "summary"
    ]
    assert indexes[0] is None
    assert indexes[1]["queries"] == 40
