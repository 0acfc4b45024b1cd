"""Asking several stores the same: what agrees is called so, and whatever differs is found."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lookalike.errors import CollectionNotFound, InvalidArgument, SpaceMismatch, Unanswerable
from lookalike.metric_learning.fitting import fit
from lookalike.stores.query import Query
from lookalike.stores.registry import open_store
from lookalike.stores.store import Store
from lookalike.testing.samples import SPACE, random_vectors, record
from lookalike.transfer.copy import copy
from lookalike.transfer.parity import Parity, parity
from lookalike.types import Neighbour, Record, Scalar, Vectors
from tests.conftest import CommandLine

SPACE = replace(SPACE, dimension=16)


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[list[Store]]:
    """Two stores with the same 500 records of three classes."""
    with (
        open_store(f"sqlite:///{tmp_path}/a.db") as first,
        open_store(f"sqlite:///{tmp_path}/b.db") as second,
    ):
        fill(first)
        copy(first, second, "parts")
        yield [first, second]


ONE = {SPACE: random_vectors(1, 16, 3)}


def fields(number: int) -> dict[str, Scalar]:
    quality = ("good", "good", "good", "bad", "worse")[number % 5]
    return {
        "number": number,
        "quality": quality,
        "one": "same",
        "sealed": number % 4 == 0,
        "탱크": number % 3,
    }


def fill(store: Store, count: int = 500) -> list[Record]:
    records = [record(number, fields(number)) for number in range(count)]
    store.create("parts", SPACE)
    store.put("parts", records, {SPACE: random_vectors(count, SPACE.dimension)})
    return records


Change = Callable[[list[list[Neighbour]]], list[list[Neighbour]]]


def answer_otherwise(store: Store, change: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a store give wrong answers."""
    nearest = store.nearest
    monkeypatch.setattr(store, "nearest", lambda *words, **more: change(nearest(*words, **more)))


def test_the_same_collection_agrees_under_every_filter(stores: list[Store]) -> None:
    found = parity(stores, "PARTS", queries=50)
    assert found.agrees
    assert [holding.images for holding in found.holdings] == [500, 500]
    assert len({holding.digest for holding in found.holdings}) == 1
    # A field of one value filters nothing, and one of 500 is no class. The most common values come first.
    assert [answer.where for answer in found.answers] == [
        None,
        {"quality": ["good"]},
        {"quality": ["bad"]},
        {"sealed": [False]},
        {"sealed": [True]},
        {"탱크": [0]},
        {"탱크": [1]},
    ]
    for answer in found.answers:
        assert (answer.store, answer.queries) == (stores[1].url, 50)
        assert (answer.same_queries, answer.same_places, answer.largest_difference) == (1, 1, 0)


def test_what_is_asked_for_is_left_out_of_its_own_answer(
    stores: list[Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Vectors, Any]] = []
    nearest = stores[0].nearest

    def asking(name: str, query: Query) -> Any:
        asked.append((query.vectors, query.exclude))
        return nearest(name, query)

    monkeypatch.setattr(stores[0], "nearest", asking)
    parity(stores, "parts", queries=7)
    queries, exclude = asked[0]
    records, vectors = next(stores[0].scan("parts"))
    assert exclude == [[one.id] for one in records[:7]]
    assert np.array_equal(queries, vectors[:7])


def test_a_filter_of_ones_own_is_asked_too(stores: list[Store]) -> None:
    where: dict[str, list[Scalar]] = {"quality": ["bad"], "number": list(range(40))}
    assert parity(stores, "parts", queries=5, where=where).answers[-1].where == where


def swap(answers: list[list[Neighbour]]) -> list[list[Neighbour]]:
    return [[row[1], row[0], *row[2:]] if at == 0 else row for at, row in enumerate(answers)]


def lose(answers: list[list[Neighbour]]) -> list[list[Neighbour]]:
    return [row[:-1] if at == 0 else row for at, row in enumerate(answers)]


def drift(by: float) -> Change:
    return lambda answers: [[replace(one, similarity=one.similarity + by) for one in row] for row in answers]


@pytest.mark.parametrize(
    ("change", "agrees", "queries", "places", "difference"),
    [
        (swap, False, 9 / 10, 98 / 100, None),
        (lose, False, 9 / 10, 99 / 100, 0.0),
        (drift(9e-6), True, 1, 1, 9e-6),
        (drift(-1.1e-5), False, 1, 1, 1.1e-5),
    ],
)
def test_an_answer_that_differs_is_found(
    stores: list[Store],
    monkeypatch: pytest.MonkeyPatch,
    change: Change,
    agrees: bool,
    queries: float,
    places: float,
    difference: float | None,
) -> None:
    answer_otherwise(stores[1], change, monkeypatch)
    found = parity(stores, "parts", queries=10)
    assert found.agrees == agrees
    answer = found.answers[0]
    assert answer.same_queries == pytest.approx(queries)
    assert answer.same_places == pytest.approx(places)
    if difference is not None:
        assert answer.largest_difference == pytest.approx(difference, rel=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        lambda store: store.remove("parts", [record(499).id]),
        lambda store: store.relabel("parts", [(record(499).id, fields(498), {})]),
        lambda store: store.put(
            "parts", [record(499, fields(499), size=1)], {SPACE: random_vectors(1, 16, 3)}
        ),
        lambda store: store.put("parts", [record(500)], {SPACE: random_vectors(1, 16, 3)}),
    ],
)
def test_contents_that_differ_are_said(stores: list[Store], change: Callable[[Store], object]) -> None:
    change(stores[1])
    found = parity(stores, "parts", queries=1)
    assert [holding.same for holding in found.holdings] == [True, False]
    assert not found.agrees


def test_a_store_of_another_space_or_without_the_collection_is_said_and_not_asked(
    stores: list[Store], tmp_path: Path
) -> None:
    with open_store(f"sqlite:///{tmp_path}/c.db") as other, open_store(f"sqlite:///{tmp_path}/d.db") as empty:
        other.create("parts", replace(SPACE, embedder="other"))
        found = parity([*stores, other, empty], "parts", queries=1)
    assert [holding.same for holding in found.holdings] == [True, True, False, False]
    assert found.holdings[3].space is None
    assert {answer.store for answer in found.answers} == {stores[1].url}
    assert not found.agrees


def test_a_fitted_collection_is_asked_in_its_own_space(stores: list[Store], tmp_path: Path) -> None:
    fit(stores[0], "parts", "quality", locks=tmp_path / "locks")
    assert not parity(stores, "parts", queries=5).agrees
    stores[1].delete("parts")
    copy(stores[0], stores[1], "parts")
    found = parity(stores, "parts", queries=5)
    assert found.agrees
    assert found.answers


def test_a_collection_that_changes_hands_meanwhile_is_not_asked_in_the_wrong_space(
    stores: list[Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refit(_answers: list[list[Neighbour]]) -> list[list[Neighbour]]:
        stores[1].delete("parts")
        stores[1].create("parts", replace(SPACE, metric_fingerprint="cd" * 32))
        return _answers

    answer_otherwise(stores[0], refit, monkeypatch)
    with pytest.raises(SpaceMismatch):
        parity(stores, "parts", queries=5)


def test_approximate_answers_are_measured_and_not_blamed(
    stores: list[Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    def nearest(store: Store, missed: int) -> Callable[..., list[list[Neighbour]]]:
        exact = type(store).nearest

        def find(name: str, query: Query) -> list[list[Neighbour]]:
            if not query.approximate:
                return exact(store, name, query)
            more = replace(query, k=query.k + missed, approximate=False)
            return [row[missed:] for row in exact(store, name, more)]

        return find

    for store, missed in zip(stores, (1, 4), strict=True):
        monkeypatch.setattr(store, "nearest", nearest(store, missed))
    found = parity(stores, "parts", queries=20, approximate=True)
    assert found.agrees
    assert [answer.store for answer in found.answers[:2]] == [store.url for store in stores]
    assert [answer.recall for answer in found.answers[:2]] == pytest.approx([0.9, 0.6])
    stores[1].remove("parts", [record(499).id])
    assert not parity(stores, "parts", queries=20, approximate=True).agrees


def test_real_approximate_indexes_are_asked(lookalike: CommandLine, stores: list[Store]) -> None:
    stores[1].build_index("parts")
    words = ("parity", *(store.url for store in stores), "-c", "parts", "--queries", "20", "--approximate")
    out, _ = lookalike(*words)
    assert "recall" in out
    assert "the 2 stores hold the same" in out
    lines = [json.loads(line) for line in lookalike(*words, "--format", "jsonl")[0].splitlines()]
    answers = [line for line in lines if line["type"] == "answers"]
    assert [line["store"] for line in answers[:2]] == [store.url for store in stores]
    assert answers[0]["recall"] == 1
    assert all(line["recall"] > 0.9 for line in answers)


def test_questions_that_cannot_be_asked_are_refused(stores: list[Store]) -> None:
    with pytest.raises(InvalidArgument, match="two stores"):
        parity(stores[:1], "parts")
    with pytest.raises(InvalidArgument, match="k must be"):
        parity(stores, "parts", k=0)
    with pytest.raises(InvalidArgument, match="queries must be"):
        parity(stores, "parts", queries=0)
    with pytest.raises(CollectionNotFound):
        parity(stores, "pieces")
    stores[0].create("empty", SPACE)
    with pytest.raises(Unanswerable, match="is empty"):
        parity(stores, "empty")


def test_fewer_images_than_neighbours_and_queries_agree_too(tmp_path: Path) -> None:
    with (
        open_store(f"sqlite:///{tmp_path}/a.db") as first,
        open_store(f"sqlite:///{tmp_path}/b.db") as second,
    ):
        fill(first, 1)
        copy(first, second, "parts")
        found = parity([first, second], "parts")
        assert found.agrees
        assert [answer.queries for answer in found.answers] == [1]


# As a command


def test_the_command_says_who_agrees(lookalike: CommandLine, stores: list[Store]) -> None:
    words = ("parity", *(store.url for store in stores), "-c", "parts", "--queries", "20")
    out, _ = lookalike(*words)
    assert "the 2 stores agree" in out
    assert out.count("100.00%") == 14
    stores[1].remove("parts", [record(1).id, record(2).id])
    out, _ = lookalike(*words, "--where", "one=same", code=1)
    assert "DIFFERS" in out
    assert "one=same" in out
    assert "the 2 stores do not agree" in out


def test_the_command_says_it_in_json(lookalike: CommandLine, stores: list[Store]) -> None:
    words = ("parity", *(store.url for store in stores), "-c", "parts", "--queries", "5", "--format", "jsonl")
    lines = [json.loads(line) for line in lookalike(*words)[0].splitlines()]
    assert [line["type"] for line in lines] == ["store"] * 2 + ["answers"] * 7 + ["summary"]
    assert lines[-1] == {"type": "summary", "collection": "parts", "k": 10, "stores": 2, "agrees": True}
    assert lines[0]["space"]["dimension"] == 16
    assert lines[3]["where"] == {"quality": ["good"]}
    assert all(line["agrees"] for line in lines[2:])


def test_the_command_says_which_store_lacks_the_collection(
    lookalike: CommandLine, stores: list[Store], tmp_path: Path
) -> None:
    nowhere = f"sqlite:///{tmp_path}/nowhere.db"
    out, _ = lookalike("parity", stores[0].url, nowhere, "-c", "parts", code=1)
    assert "no such collection" in out
    _, err = lookalike("parity", nowhere, stores[0].url, "-c", "parts", code=1)
    assert "no collection 'parts'" in err


def test_a_collection_that_is_written_meanwhile_is_asked_all_the_same(stores: list[Store]) -> None:
    stop = threading.Event()

    def write() -> None:
        with open_store(stores[1].url) as writer:
            while not stop.is_set():
                writer.put("parts", [record("new", {"quality": "bad"})], {SPACE: random_vectors(1, 16, 9)})
                writer.remove("parts", [record("new").id])

    thread = threading.Thread(target=write)
    thread.start()
    try:
        found: list[Parity] = [parity(stores, "parts", queries=10) for _ in range(3)]
    finally:
        stop.set()
        thread.join()
    assert all(len(each.answers) == 7 for each in found)
