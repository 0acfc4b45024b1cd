"""What every store promises.

A store's tests subclass `StoreContract` and say in the fixture `url` where an empty store is. Those who say
in the fixture `damage` too how what is stored is changed behind the store's back have that tested as well.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from lookalike.errors import (
    CollectionExists,
    CollectionNotFound,
    InvalidArgument,
    QueryRefused,
    SpaceMismatch,
    Unanswerable,
    VectorIncomplete,
    VectorNotFound,
)
from lookalike.label_normalisation import labels_digest
from lookalike.stores.query import Query
from lookalike.stores.registry import open_store
from lookalike.stores.store import Store
from lookalike.stores.wording import query_terms
from lookalike.testing.store_model import StoreModel
from lookalike.types import Record, Space, Stamp, VectorInfo
from lookalike.uris import record_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lookalike.types import Metadata, Neighbour, Scalar, Vectors, Where

SPACE = Space("some-model", "ab" * 32, 4)
FITTED = replace(SPACE, dimension=2, metric_fingerprint="cd" * 32)
REFITTED = replace(FITTED, dimension=3, metric_fingerprint="ce" * 32)
WORDS = Space("another-model", "ef" * 32, 3)

# The corners of the 24-cell: exactly of length 1 in float32, with many exact ties among their products.
CORNERS: Vectors = np.array(
    [sign * row for row in np.eye(4) for sign in (1, -1)] + list(itertools.product((0.5, -0.5), repeat=4)),
    dtype=np.float32,
)

FIELDS: dict[str, Scalar] = {"quality": "bad", "count": 3, "weight": 3.5, "whole": 3.0, "sealed": True}
STRANGE_TEXTS = [
    "",
    " ",
    "it's",
    'a "quoted" name',
    "100 %s",
    "two\nlines\r\n",
    "nul\0inside",
    "탱크 상부",
    "cafe\u0301",
    "👩‍🔬",
    "not UTF-8: \udcff\udc80",
    "[a](b){c};--",
    "x" * 10_000,
]


def record(number: int | str, fields: Mapping[str, Scalar] | None = None, **more: Any) -> Record:
    uri = f"file:///pictures/{number}.jpg"
    digest = hashlib.sha256(uri.encode()).hexdigest()
    plain = Record(record_id(uri), uri, digest, fields or {}, {}, size=1000, modified_ns=1_700_000_000)
    return replace(plain, **more)


def corners(count: int) -> Vectors:
    return CORNERS[np.arange(count) % len(CORNERS)]


def random_vectors(count: int, dimension: int, seed: int = 0) -> Vectors:
    vectors = np.random.default_rng(seed).standard_normal((count, dimension))
    unit: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


def flipped(content: bytes, bit: int) -> bytes:
    """Return bytes with one bit turned."""
    turned = bytearray(content)
    turned[bit // 8] ^= 1 << bit % 8
    return bytes(turned)


def put(store: Store, name: str, records: Sequence[Record], vectors: Vectors) -> None:
    """Put records into a collection of one vector."""
    store.put(name, records, {store.collection(name).space: vectors})


def nearest(
    store: Store,
    name: str,
    vectors: Vectors,
    k: int,
    where: Where | None = None,
    exclude: Sequence[Any] | None = None,
    having: str | None = None,
    **more: Any,
) -> list[list[Neighbour]]:
    """Return the nearest neighbours."""
    return store.nearest(name, Query(vectors, k, where=where, exclude=exclude, having=having, **more))


def exchange(store: Store, one: str, other: str) -> None:
    """Let two collections exchange their names, each as it is spelt here."""
    store.rename(one, "between")
    store.rename(other, one)
    store.rename("between", other)


def turned(count: int, space: Space, start: int = 0) -> Vectors:
    """Return vectors of two or three dimensions: points on a circle, by turns of 37 degrees."""
    angles = np.radians(37.0 * np.arange(start, start + count))
    vectors = np.zeros((count, space.dimension), np.float32)
    vectors[:, 0], vectors[:, 1] = np.cos(angles), np.sin(angles)
    return vectors


def fill(store: Store, count: int, fields: Sequence[Mapping[str, Scalar]] = ({},)) -> list[Record]:
    """Put `count` records into the collection `parts`, with these fields by turns; return them by id."""
    records = [record(number, fields[number % len(fields)]) for number in range(count)]
    store.create("parts", SPACE)
    store.put("parts", records, {SPACE: corners(count)})
    return sorted(records, key=lambda one: one.id)


def known(store: Store, ids: Sequence[str]) -> list[Record]:
    """Return the records of these ids; for an id of none, one that is not there."""
    there = {one.id: one for one in store.get("parts", ids)}
    return [there.get(identity) or replace(record(0), id=identity) for identity in ids]


def scanned(store: Store, name: str = "parts", **how: Any) -> list[Record]:
    return [one for records, _ in store.scan(name, **how) for one in records]


Damage: TypeAlias = "Callable[[str, str], None]"
"""Changes one part of what is stored of the record with this id: see `PARTS`."""

PARTS = ("vector", "exchanged", "digest", "fields")
"""A bit of the vector; the vector of another record, with its checksum; the file's digest; the labels."""


class StoreContract:
    """One suite for all stores."""

    sequences = 25
    """Sequences of 25 calls each that are tried; fewer suit a store that takes long over a call."""

    @pytest.fixture
    def url(self) -> str:
        """Name a store that is empty."""
        raise NotImplementedError("a store's tests say where it is")

    @pytest.fixture
    def damage(self) -> Damage:
        """Change what is stored of a record of the collection `parts`, without the store's knowledge."""
        pytest.skip("the store's tests do not say how what is stored is damaged: see the fixture `damage`")

    @pytest.fixture
    def store(self, url: str) -> Iterator[Store]:
        with open_store(url) as store:
            yield store

    @pytest.fixture
    def other(self, url: str) -> Iterator[Store]:
        """Open the same store a second time, as another process would."""
        with open_store(url) as store:
            yield store

    # Collections

    def test_a_new_store_has_no_collections(self, store: Store) -> None:
        assert store.collections() == []

    @pytest.mark.parametrize(
        "call",
        [
            lambda store: store.collection("parts"),
            lambda store: store.delete("parts"),
            lambda store: store.metric("parts"),
            lambda store: store.add_vector("parts", "fitted", FITTED),
            lambda store: store.fill("parts", SPACE, [], CORNERS[:0]),
            lambda store: store.lacking("parts", SPACE),
            lambda store: store.finish_vector("parts", SPACE),
            lambda store: store.drop_vector("parts", SPACE),
            lambda store: store.set_default("parts", "image"),
            lambda store: store.vectors_of("parts", ["0"]),
            lambda store: list(store.scan_records("parts")),
            lambda store: list(store.scan_vectors("parts")),
            lambda store: store.rename("parts", "pieces"),
            lambda store: store.put("parts", [], {SPACE: CORNERS[:0]}),
            lambda store: store.relabel("parts", []),
            lambda store: store.remove("parts", []),
            lambda store: store.stamps("parts"),
            lambda store: store.get("parts", []),
            lambda store: store.ids_by_digest("parts", "0"),
            lambda store: list(store.scan("parts")),
            lambda store: nearest(store, "parts", CORNERS[:1], 1),
            lambda store: store.search_words("parts", "bad", 1),
            lambda store: store.search_words("parts", "?", 1),
            lambda store: store.build_index("parts"),
        ],
    )
    def test_every_call_names_the_collections_there_are_when_one_is_not(
        self, store: Store, call: Any
    ) -> None:
        with pytest.raises(CollectionNotFound, match="the store is empty"):
            call(store)
        store.create("others", SPACE)
        with pytest.raises(CollectionNotFound, match="others"):
            call(store)

    def test_a_created_collection_is_empty_and_of_its_space(self, store: Store, other: Store) -> None:
        space = replace(SPACE, dimension=7, metric_fingerprint="cd" * 32)
        made = store.create("parts", space)
        assert (made.name, made.space, made.count, made.fields) == ("parts", space, 0, ())
        assert store.collection("parts") == made == store.create("parts", space)
        assert other.collections() == [made]

    def test_a_collection_of_another_space_is_refused_and_stays(self, store: Store) -> None:
        made = store.create("parts", SPACE)
        for space in (
            replace(SPACE, embedder="other"),
            replace(SPACE, embedder_fingerprint="cd" * 32),
            replace(SPACE, dimension=5),
            replace(SPACE, metric_fingerprint="cd" * 32),
        ):
            with pytest.raises(SpaceMismatch):
                store.create("parts", space)
        assert store.collections() == [made]

    def test_collections_come_by_name(self, store: Store) -> None:
        for name in ("b", "c", "a"):
            store.create(name, SPACE)
        assert [one.name for one in store.collections()] == ["a", "b", "c"]

    @pytest.mark.parametrize("name", ["탱크_상부-1", "Straße", "हिन्दी", "select", "2024", "x" * 64, "-"])
    def test_names_of_any_script_work(self, store: Store, name: str) -> None:
        assert store.create(name, SPACE).name == name
        put(store, name, [record(1)], CORNERS[:1])
        assert store.collection(name).count == 1
        assert store.delete(name) == 1

    def test_names_compare_without_case_and_in_one_unicode_form(self, store: Store) -> None:
        made = store.create("Café", SPACE)
        for name in ("CAFÉ", "cafe\u0301", "café"):
            assert store.create(name, SPACE) == made == store.collection(name)
        assert store.delete("CAFE\u0301") == 0
        assert store.collections() == []

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "a b",
            "a.b",
            "a/b",
            'a"b',
            "a'b",
            "a%",
            "a\0",
            "a\n",
            "👍",
            "\udcff",
            "x" * 65,
            "lookalike_a",
            "SQLite_a",
        ],
    )
    def test_unusable_names_are_refused(self, store: Store, name: str) -> None:
        with pytest.raises(InvalidArgument):
            store.create(name, SPACE)
        assert store.collections() == []
        with pytest.raises(CollectionNotFound):
            store.collection(name)

    def test_delete_returns_the_count_and_leaves_other_collections(self, store: Store) -> None:
        fill(store, 5, [FIELDS])
        store.create("others", SPACE)
        put(store, "others", [record(1, {"a": 1})], CORNERS[:1])
        assert store.delete("parts") == 5
        assert [one.name for one in store.collections()] == ["others"]
        assert scanned(store, "others") == [record(1, {"a": 1})]

    def test_a_collection_made_anew_has_nothing_of_the_old_one(self, store: Store, other: Store) -> None:
        fill(store, 5, [FIELDS])
        assert len(nearest(other, "parts", CORNERS[:1], 9)[0]) == 5
        store.delete("parts")
        assert store.create("parts", SPACE).fields == ()
        put(store, "parts", [record(9)], CORNERS[:1])
        assert [one.record for one in nearest(other, "parts", CORNERS[:1], 9)[0]] == [record(9)]

    # Names

    def test_two_collections_exchange_their_names_with_all_they_hold(
        self, store: Store, other: Store
    ) -> None:
        fill(store, 5, [FIELDS])
        store.create("Others", FITTED, vector="fitted")
        one = record("x", {"a": 1})
        store.put("Others", [one], {FITTED: np.array([[1, 0]], np.float32)})
        for each in (store, other):
            assert len(nearest(each, "parts", CORNERS[:1], 9)[0]) == 5
        exchange(store, "parts", "Others")
        for each in (store, other):
            assert [(c.name, c.space, c.count) for c in each.collections()] == [
                ("Others", SPACE, 5),
                ("parts", FITTED, 1),
            ]
            assert [(c.default, len(c.vectors)) for c in each.collections()] == [("image", 1), ("fitted", 1)]
            assert scanned(each, "parts") == [one]
            (hits,) = nearest(each, "parts", np.array([[0, 1]], np.float32), 9)
            assert [(hit.record, hit.similarity) for hit in hits] == [(one, 0.0)]
            assert len(nearest(each, "others", CORNERS[:1], 9)[0]) == 5
        put(store, "others", [record(9, {"b": 2})], CORNERS[:1])
        assert other.collection("others").fields == tuple(sorted({*FIELDS, "b"}))
        assert store.delete("parts") == 1
        assert [c.name for c in other.collections()] == ["Others"]

    def test_names_move_on_in_a_row(self, store: Store) -> None:
        for name in ("a", "b"):
            store.create(name, SPACE)
        put(store, "a", [record(1)], CORNERS[:1])
        store.rename("A", "a-old")
        store.rename("b", "a")
        assert [(c.name, c.count) for c in store.collections()] == [("a", 0), ("a-old", 1)]

    def test_a_collection_may_be_spelt_anew(self, store: Store) -> None:
        store.create("parts", SPACE)
        store.rename("parts", "Parts")
        assert [c.name for c in store.collections()] == ["Parts"]

    @pytest.mark.parametrize(
        ("name", "new", "error"),
        [
            ("a", "B", CollectionExists),
            ("A", "b", CollectionExists),
            ("b", "a.b", InvalidArgument),
            ("a", "lookalike_a", InvalidArgument),
            ("a", "", InvalidArgument),
            ("none", "d", CollectionNotFound),
            ("none", "a", CollectionNotFound),
        ],
    )
    def test_a_rename_that_cannot_be_changes_no_name(
        self, store: Store, name: str, new: str, error: type[Exception]
    ) -> None:
        store.create("a", SPACE)
        store.create("b", replace(SPACE, dimension=2))
        before = store.collections()
        with pytest.raises(error):
            store.rename(name, new)
        assert store.collections() == before

    def test_vectors_of_a_space_that_a_name_no_longer_stands_for_are_refused(
        self, store: Store, other: Store
    ) -> None:
        fitted = replace(SPACE, metric_fingerprint="cd" * 32)
        store.create("parts", SPACE)
        store.create("fitted", fitted)
        for name, space in (("parts", SPACE), ("fitted", fitted)):
            store.put(name, [record(1)], {space: CORNERS[:1]})
            assert len(nearest(store, name, CORNERS[:1], 1, space=space)[0]) == 1
        exchange(other, "parts", "fitted")
        for name, space in (("parts", SPACE), ("fitted", fitted)):
            with pytest.raises(SpaceMismatch):
                store.put(name, [record(2)], {space: CORNERS[:1]})
            with pytest.raises(SpaceMismatch):
                nearest(store, name, CORNERS[:1], 1, space=space)
            assert scanned(store, name) == [record(1)]

    def test_a_scan_goes_on_where_it_began_though_names_change(self, store: Store, other: Store) -> None:
        fill(store, 1500)
        other.create("others", replace(SPACE, dimension=2))
        scan = store.scan("parts")
        records, _ = next(scan)
        exchange(other, "parts", "others")
        rest, vectors = next(scan)
        assert len(records) + len(rest) == 1500
        assert vectors.shape == (len(rest), 4)

    # Named vectors

    def test_a_collection_is_made_with_one_vector_of_any_name(self, store: Store, other: Store) -> None:
        made = store.create("parts", SPACE, vector="w-1_x")
        assert made.vectors == (VectorInfo("w-1_x", SPACE),)
        assert (made.default, made.space, made.approximation) == ("w-1_x", SPACE, None)
        assert made.vector("w-1_x") == made.vector() == made.vectors[0]
        assert other.create("parts", SPACE) == made, "one that is there keeps its name"
        assert store.create("others", SPACE).default == "image"
        with pytest.raises(VectorNotFound, match="it has w-1_x"):
            made.vector("image")

    @pytest.mark.parametrize("name", ["", "A", "1", "-a", "_a", "a b", "a.b", "ä", "a\n", "x" * 65, 'a"'])
    def test_unusable_names_of_vectors_are_refused(self, store: Store, name: str) -> None:
        with pytest.raises(InvalidArgument):
            store.create("parts", SPACE, vector=name)
        assert store.collections() == []
        made = store.create("parts", SPACE)
        with pytest.raises(InvalidArgument):
            store.add_vector("parts", name, FITTED)
        assert store.collection("parts") == made

    def test_a_vector_that_an_empty_collection_gets_is_ready_at_once(
        self, store: Store, other: Store
    ) -> None:
        store.create("parts", SPACE)
        made = store.add_vector("parts", "x" * 64, WORDS)
        assert made.vectors == (VectorInfo("image", SPACE), VectorInfo("x" * 64, WORDS))
        assert made.default == "image"
        made = store.add_vector("parts", "fitted", FITTED, becomes_default=True)
        assert made.vectors[2] == VectorInfo("fitted", FITTED)
        assert (made.default, made.space) == ("fitted", FITTED)
        assert other.collection("parts") == made
        made = store.add_vector("parts", "fitted", REFITTED)
        assert [one.space for one in made.vectors] == [SPACE, WORDS, REFITTED]
        assert (made.default, made.space) == ("fitted", REFITTED)

    def test_a_vector_that_records_lack_is_not_searched_and_puts_give_it(
        self, store: Store, other: Store
    ) -> None:
        records = fill(store, 5, [FIELDS])
        made = store.add_vector("parts", "fitted", FITTED, b"fit", becomes_default=True)
        assert made.vectors == (
            VectorInfo("image", SPACE),
            VectorInfo("fitted", FITTED, ready=False, becomes_default=True),
        )
        assert (made.default, made.count) == ("image", 5)
        assert other.collection("parts") == made
        for call in (
            lambda: nearest(other, "parts", turned(1, FITTED), 1, using="fitted"),
            lambda: list(other.scan("parts", using="fitted")),
            lambda: other.vectors_of("parts", ["0"], "fitted"),
            lambda: other.metric("parts", "fitted"),
            lambda: other.build_index("parts", "fitted"),
            lambda: other.set_default("parts", "fitted"),
            lambda: other.collection("parts").vector("fitted"),
        ):
            with pytest.raises(VectorNotFound, match=r"vector 'fitted' .* is not complete") as refused:
                call()
            assert (refused.value.vector, refused.value.known) == ("fitted", ["image"])
        assert len(nearest(other, "parts", CORNERS[:1], 9)[0]) == 5
        for wrong in (
            {SPACE: CORNERS[:1]},
            {FITTED: turned(1, FITTED)},
            {},
            {SPACE: CORNERS[:1], FITTED: turned(1, FITTED), WORDS: turned(1, WORDS)},
            {SPACE: CORNERS[:1], WORDS: turned(1, WORDS)},
        ):
            with pytest.raises(SpaceMismatch):
                other.put("parts", [record("new")], wrong)
        assert scanned(store) == records
        other.put("parts", [record("new")], {FITTED: turned(1, FITTED), SPACE: CORNERS[:1]})
        assert len(scanned(store)) == 6
        assert store.lacking("parts", FITTED) == [one.id for one in records]
        assert store.lacking("parts", SPACE) == []

    def test_a_put_of_several_vectors_is_all_or_none(self, store: Store) -> None:
        store.create("parts", SPACE)
        store.add_vector("parts", "words", WORDS)
        store.put("parts", [record(1)], {SPACE: CORNERS[:1], WORDS: turned(1, WORDS)})
        for wrong in (turned(2, WORDS) * np.float32(2), turned(1, WORDS), turned(3, WORDS)):
            with pytest.raises(InvalidArgument):
                store.put("parts", [record(1, FIELDS), record(2)], {SPACE: CORNERS[:2], WORDS: wrong})
        with pytest.raises(SpaceMismatch):
            store.put("parts", [record(1, FIELDS)], {SPACE: CORNERS[:1], WORDS: turned(1, FITTED)})
        assert scanned(store) == [record(1)]
        assert store.collection("parts").fields == ()

    def test_fill_gives_to_those_that_lack_and_never_over_what_was_put(
        self, store: Store, other: Store
    ) -> None:
        records = fill(store, 12)
        ids = [one.id for one in records]
        store.add_vector("parts", "fitted", FITTED)
        assert store.lacking("parts", FITTED) == ids
        assert store.lacking("parts", FITTED, 5) == ids[:5]
        newer = turned(1, FITTED, 100)
        other.put("parts", [records[0]], {SPACE: CORNERS[9:10], FITTED: newer})
        assert other.remove("parts", ids[1:2]) == 1
        asked = [*ids[:6], "f" * 32, "\udcff"]
        assert store.fill("parts", FITTED, known(store, asked), turned(8, FITTED)) == 4
        assert other.lacking("parts", FITTED) == ids[6:]
        assert other.lacking("parts", FITTED, 2) == ids[6:8]
        assert store.fill("parts", FITTED, known(store, asked), turned(8, FITTED, 50)) == 0
        assert store.fill("parts", FITTED, [], turned(0, FITTED)) == 0
        assert other.fill("parts", FITTED, known(other, ids[6:]), turned(6, FITTED, 6)) == 6
        store.finish_vector("parts", FITTED)
        found, vectors = other.vectors_of("parts", [*ids, "f" * 32], "fitted")
        expected = np.concatenate([newer, *(turned(1, FITTED, row) for row in range(2, 12))])
        assert found == records[:1] + records[2:]
        assert vectors.keys() == {FITTED}
        assert np.array_equal(vectors[FITTED], expected)
        assert other.collection("parts").count == 11

    def test_fill_leaves_a_record_alone_that_is_of_another_image_now(
        self, store: Store, other: Store
    ) -> None:
        before = fill(store, 3)
        store.add_vector("parts", "fitted", FITTED)
        store.drop_vector("parts", FITTED)
        other.put("parts", [replace(before[1], digest="ab" * 32)], {SPACE: CORNERS[:1]})
        other.relabel("parts", [(before[2].id, {"n": 1}, {})])
        store.add_vector("parts", "fitted", FITTED)
        assert store.fill("parts", FITTED, before, turned(3, FITTED)) == 2
        assert other.lacking("parts", FITTED) == [before[1].id]
        now = other.get("parts", [before[1].id])
        assert store.fill("parts", FITTED, now, turned(1, FITTED, 9)) == 1
        assert store.finish_vector("parts", FITTED).vector("fitted").ready

    def test_fill_is_all_or_none_and_refuses_what_put_does(self, store: Store) -> None:
        ids = [one.id for one in fill(store, 3)]
        store.add_vector("parts", "fitted", FITTED)
        bad = turned(3, FITTED)
        bad[2] *= 2
        for rows in (bad, turned(2, FITTED)):
            with pytest.raises(InvalidArgument):
                store.fill("parts", FITTED, known(store, ids), rows)
        with pytest.raises(SpaceMismatch, match="3 dimensions"):
            store.fill("parts", FITTED, known(store, ids), turned(3, WORDS))
        for call in (
            lambda: store.fill("parts", WORDS, known(store, ids), turned(3, WORDS)),
            lambda: store.lacking("parts", WORDS),
            lambda: store.finish_vector("parts", WORDS),
            lambda: store.metric("parts", space=WORDS),
            lambda: store.build_index("parts", space=WORDS),
        ):
            with pytest.raises(SpaceMismatch):
                call()
        assert store.lacking("parts", FITTED) == ids

    def test_a_vector_is_finished_only_when_no_record_lacks_it(self, store: Store, other: Store) -> None:
        records = fill(store, 5)
        ids = [one.id for one in records]
        before = store.add_vector("parts", "fitted", FITTED, becomes_default=True)
        for count, lacking in ((3, 2), (1, 1)):
            store.fill(
                "parts", FITTED, known(store, store.lacking("parts", FITTED, count)), turned(count, FITTED)
            )
            with pytest.raises(VectorIncomplete, match=r"lacks? the vector 'fitted'") as refused:
                store.finish_vector("parts", FITTED)
            assert (refused.value.vector, refused.value.lacking) == ("fitted", lacking)
            assert other.collection("parts") == before
        other.remove("parts", store.lacking("parts", FITTED))
        made = store.finish_vector("parts", FITTED)
        assert made.vectors == (VectorInfo("image", SPACE), VectorInfo("fitted", FITTED))
        assert (made.default, made.count) == ("fitted", 4)
        assert other.finish_vector("parts", FITTED) == made == other.collection("parts")
        assert store.finish_vector("parts", SPACE) == made
        assert len(nearest(other, "parts", turned(1, FITTED), 9)[0]) == 4
        assert [one.id for one in scanned(other)] == ids[:4]

    def test_readers_find_by_the_one_vector_or_by_the_other_while_it_becomes_the_default(
        self, store: Store, other: Store
    ) -> None:
        ids = [one.id for one in fill(store, 24)]
        failures: list[BaseException] = []
        seen: list[int] = []
        done = threading.Event()

        def read() -> None:
            try:
                while not done.is_set():
                    info = other.collection("parts")
                    seen.append(info.space.dimension)
                    query = CORNERS[:1] if info.space == SPACE else turned(1, info.space)
                    try:
                        (hits,) = nearest(other, "parts", query, 99, space=info.space)
                    except SpaceMismatch:
                        assert info.space != other.collection("parts").space
                        continue
                    assert len(hits) == 24
                    assert sum(len(some) for some in other.scan_records("parts")) == 24
            except BaseException as failure:  # noqa: BLE001 shown below
                failures.append(failure)

        reader = threading.Thread(target=read)
        reader.start()
        for space in (FITTED, REFITTED):
            store.add_vector("parts", "fitted", space, becomes_default=True)
            for start in range(0, 24, 8):
                store.fill("parts", space, known(store, ids[start : start + 8]), turned(8, space, start))
            store.finish_vector("parts", space)
        done.set()
        reader.join()
        assert failures == []
        assert seen == sorted(seen, key=[4, 2, 3].index)
        assert [one.space for one in other.collection("parts").vectors] == [SPACE, REFITTED]

    def fill_both(self, store: Store, count: int = 24) -> list[Record]:
        """Put records with two ready vectors each; the first is the default."""
        records = [record(number, {"n": number % 5}) for number in range(count)]
        store.create("parts", SPACE)
        store.add_vector("parts", "words", WORDS, b"metric")
        store.put("parts", records, {SPACE: corners(count), WORDS: turned(count, WORDS)})
        return records

    def test_each_vector_is_searched_by_its_name(self, store: Store, other: Store) -> None:
        records = self.fill_both(store)
        number = {one.id: place for place, one in enumerate(records)}
        queries = turned(3, WORDS, 7)
        similarities = queries.astype(np.float64) @ turned(24, WORDS).astype(np.float64).T
        for how, among in (
            ({}, set(range(24))),
            ({"where": {"n": [1, 3]}}, {n for n in range(24) if n % 5 in (1, 3)}),
            ({"exclude": [[records[7].id, records[8].id]] * 3}, set(range(24)) - {7, 8}),
            ({"having": "n", "approximate": True}, set(range(24))),
        ):
            found = nearest(other, "parts", queries, 12, using="words", space=WORDS, **how)
            for hits, row in zip(found, similarities, strict=True):
                expected = sorted(among, key=lambda n: (-row[n], records[n].id))[:12]
                assert [number[hit.record.id] for hit in hits] == expected
                assert [hit.similarity for hit in hits] == pytest.approx(row[expected], abs=1e-6)
        plain = nearest(other, "parts", CORNERS[:1], 5)
        assert plain == nearest(other, "parts", CORNERS[:1], 5, using="image")
        assert plain[0][0].record.id == records[0].id
        with pytest.raises(VectorNotFound, match="it has image, words"):
            nearest(other, "parts", CORNERS[:1], 5, using="fitted")
        for wrong in ({"using": "words"}, {"using": "image", "space": WORDS}, {"space": WORDS}):
            with pytest.raises(SpaceMismatch):
                nearest(other, "parts", CORNERS[:1], 5, **wrong)
        assert nearest(other, "parts", turned(0, WORDS), 5, using="words") == []

    def test_each_vector_is_read_by_its_name(self, store: Store, other: Store) -> None:
        records = self.fill_both(store, 1_100)
        rows = {one.id: place for place, one in enumerate(records)}
        ids = sorted(rows)
        known = {"image": corners(1_100), "words": turned(1_100, WORDS)}
        for using, vectors in ((None, known["image"]), *known.items()):
            batches = list(other.scan("parts", {"n": [0, 1]}, using=using))
            found = [one.id for some, _ in batches for one in some]
            assert found == [one for one in ids if rows[one] % 5 < 2]
            assert np.array_equal(np.concatenate([v for _, v in batches]), vectors[[rows[o] for o in found]])
            asked = [*reversed(ids[5:1_050]), ids[7], "f" * 32]
            some, theirs = other.vectors_of("parts", asked, using or "image")
            assert [one.id for one in some] == ids[5:1_050]
            (only,) = theirs.values()
            assert np.array_equal(only, vectors[[rows[one] for one in ids[5:1_050]]])
        some, every = other.vectors_of("parts", ids[:7])
        assert some == scanned(other)[:7]
        assert every.keys() == {SPACE, WORDS}
        assert np.array_equal(every[WORDS], known["words"][[rows[one] for one in ids[:7]]])
        assert np.array_equal(every[SPACE], known["image"][[rows[one] for one in ids[:7]]])
        assert other.vectors_of("parts", ["f" * 32])[0] == []
        both = list(other.scan_vectors("parts"))
        assert [one.id for some, _ in both for one in some] == ids
        for space, name in ((SPACE, "image"), (WORDS, "words")):
            assert np.array_equal(
                np.concatenate([vectors[space] for _, vectors in both]), known[name][[rows[o] for o in ids]]
            )
        assert [len(some) for some in other.scan_records("parts")] == [1_000, 100]
        assert [one for some in other.scan_records("parts", {"n": [3]}) for one in some] == scanned(
            other, where={"n": [3]}
        )
        with pytest.raises(VectorNotFound):
            list(other.scan("parts", using="fitted"))

    def test_every_change_reaches_all_vectors(self, store: Store, other: Store) -> None:
        records = self.fill_both(store)
        for using, query in (("image", CORNERS[:1]), ("words", turned(1, WORDS))):
            assert nearest(other, "parts", query, 1, using=using)[0][0].record == records[0]
        new = replace(records[0], fields={"n": "new"})
        store.put("parts", [new], {SPACE: CORNERS[1:2], WORDS: turned(1, WORDS, 200)})
        (hit,) = nearest(other, "parts", CORNERS[1:2], 1, {"n": ["new"]})[0]
        assert (hit.record, hit.similarity) == (new, 1.0)
        (hit,) = nearest(other, "parts", turned(1, WORDS, 200), 1, {"n": ["new"]}, using="words")[0]
        assert hit.record == new
        assert hit.similarity == pytest.approx(1, abs=1e-6)
        store.relabel("parts", [(new.id, {"n": "newer"}, {})])
        (hits,) = nearest(other, "parts", turned(1, WORDS), 99, {"n": ["newer"]}, using="words")
        assert [hit.record.id for hit in hits] == [new.id]
        assert store.remove("parts", [new.id]) == 1
        for using, query in (("image", CORNERS[:1]), ("words", turned(1, WORDS))):
            (hits,) = nearest(other, "parts", query, 99, using=using)
            assert {hit.record.id for hit in hits} == {one.id for one in records[1:]}
        store.rename("parts", "pieces")
        assert len(nearest(other, "pieces", turned(1, WORDS), 99, using="words")[0]) == 23
        assert store.delete("pieces") == 23
        assert store.create("pieces", SPACE).vectors == (VectorInfo("image", SPACE),)

    def test_a_dropped_vector_is_gone_and_the_first_is_the_default_again(
        self, store: Store, other: Store
    ) -> None:
        records = sorted(self.fill_both(store), key=lambda one: one.id)
        assert store.set_default("parts", "words").default == "words"
        assert len(nearest(other, "parts", turned(1, WORDS), 99)[0]) == 24
        made = store.drop_vector("parts", WORDS)
        assert (made.vectors, made.default, made.count) == ((VectorInfo("image", SPACE),), "image", 24)
        assert other.collection("parts") == made
        assert scanned(other) == records
        assert len(nearest(other, "parts", CORNERS[:1], 99)[0]) == 24
        for call in (
            lambda: nearest(other, "parts", turned(1, WORDS), 1, using="words"),
            lambda: other.set_default("parts", "words"),
        ):
            with pytest.raises(VectorNotFound):
                call()
        with pytest.raises(SpaceMismatch):
            other.drop_vector("parts", WORDS)
        with pytest.raises(InvalidArgument, match="only vector"):
            store.drop_vector("parts", SPACE)
        with pytest.raises(SpaceMismatch):
            other.put("parts", [record("new")], {SPACE: CORNERS[:1], WORDS: turned(1, WORDS)})
        other.put("parts", [record("new")], {SPACE: CORNERS[:1]})
        store.add_vector("parts", "words", WORDS)
        assert len(store.lacking("parts", WORDS)) == 25
        assert store.metric("parts", space=WORDS) is None

    def test_a_vector_that_another_was_made_from_stays(self, store: Store) -> None:
        self.fill_both(store, 3)
        before = store.add_vector("parts", "fitted", FITTED)
        for _ in range(2):
            with pytest.raises(InvalidArgument, match="made from 'image'"):
                store.drop_vector("parts", SPACE)
            ids = store.lacking("parts", FITTED)
            store.fill("parts", FITTED, known(store, ids), turned(len(ids), FITTED))
            store.finish_vector("parts", FITTED)
        assert [one.name for one in before.vectors] == ["image", "words", "fitted"]
        store.drop_vector("parts", FITTED)
        assert store.drop_vector("parts", SPACE).default == "words"
        assert len(nearest(store, "parts", turned(1, WORDS), 9)[0]) == 3

    def test_a_refit_takes_the_place_of_the_fit_when_it_is_finished(self, store: Store, other: Store) -> None:
        ids = [one.id for one in fill(store, 10)]
        store.add_vector("parts", "fitted", FITTED, b"one", becomes_default=True)
        store.fill("parts", FITTED, known(store, ids), turned(10, FITTED))
        store.finish_vector("parts", FITTED)
        made = store.add_vector("parts", "fitted", REFITTED, b"two", becomes_default=True)
        assert [(one.name, one.ready) for one in made.vectors] == [
            ("image", True),
            ("fitted", True),
            ("fitted", False),
        ]
        assert (made.default, made.space, made.vector("fitted").space) == ("fitted", FITTED, FITTED)
        assert other.metric("parts") == other.metric("parts", "fitted") == b"one"
        assert other.metric("parts", space=REFITTED) == b"two"
        assert other.metric("parts", "image") is None
        assert len(nearest(other, "parts", turned(1, FITTED), 99, using="fitted")[0]) == 10
        with pytest.raises(VectorIncomplete):
            store.finish_vector("parts", REFITTED)
        # A refit that fails is dropped, and the fit before it goes on.
        made = store.drop_vector("parts", REFITTED)
        assert made.vectors == (VectorInfo("image", SPACE), VectorInfo("fitted", FITTED))
        assert made.default == "fitted"
        assert len(nearest(other, "parts", turned(1, FITTED), 99)[0]) == 10
        store.add_vector("parts", "fitted", REFITTED, b"two", becomes_default=True)
        store.fill("parts", REFITTED, known(store, ids), turned(10, REFITTED))
        made = store.finish_vector("parts", REFITTED)
        assert made.vectors == (VectorInfo("image", SPACE), VectorInfo("fitted", REFITTED))
        assert (made.default, other.metric("parts")) == ("fitted", b"two")
        assert len(nearest(other, "parts", turned(1, REFITTED), 99)[0]) == 10
        with pytest.raises(SpaceMismatch):
            nearest(other, "parts", turned(1, FITTED), 99)
        store.add_vector("parts", "fitted", FITTED)
        made = store.drop_vector("parts", REFITTED)
        assert made.default == "image"
        assert [(one.space, one.ready) for one in made.vectors] == [(SPACE, True), (FITTED, False)]
        assert store.drop_vector("parts", FITTED).vectors == (VectorInfo("image", SPACE),)

    def test_what_was_begun_goes_on_and_what_replaces_it_begins_anew(self, store: Store, url: str) -> None:
        ids = [one.id for one in fill(store, 6)]
        before = store.add_vector("parts", "fitted", FITTED, b"one", becomes_default=True)
        store.fill("parts", FITTED, known(store, ids[:4]), turned(4, FITTED))
        with open_store(url) as again:
            assert again.add_vector("parts", "fitted", FITTED, b"another") == before
            assert again.lacking("parts", FITTED) == ids[4:]
            assert again.metric("parts", space=FITTED) == b"another"
            assert again.add_vector("parts", "fitted", FITTED) == before
            assert again.metric("parts", space=FITTED) == b"another"
        with open_store(url) as again:
            made = again.add_vector("parts", "fitted", REFITTED)
            assert [one.space for one in made.vectors] == [SPACE, REFITTED]
            assert again.lacking("parts", REFITTED) == ids
            assert again.metric("parts", space=REFITTED) is None
        with pytest.raises(SpaceMismatch):
            store.fill("parts", FITTED, known(store, ids[4:]), turned(2, FITTED))
        with pytest.raises(InvalidArgument, match="already, as 'image'"):
            store.add_vector("parts", "words", SPACE)
        with open_store(url) as again:
            assert again.fill("parts", REFITTED, known(again, ids), turned(6, REFITTED)) == 6
        with open_store(url) as again:
            made = again.finish_vector("parts", REFITTED)
            assert (made.default, made.vector("fitted").space) == ("image", REFITTED)
            assert again.set_default("parts", "fitted").default == "fitted"
            assert again.add_vector("parts", "fitted", REFITTED) == again.collection("parts")
            assert len(nearest(again, "parts", turned(1, REFITTED), 9)[0]) == 6

    def test_a_vector_keeps_the_metric_it_was_declared_with(self, store: Store, other: Store) -> None:
        metric = bytes(range(256)) * 5_000
        store.create("parts", SPACE)
        store.add_vector("parts", "fitted", FITTED, metric, becomes_default=True)
        assert other.metric("parts") == other.metric("parts", "fitted") == metric
        assert other.metric("parts", "image") is None
        assert other.metric("parts", space=FITTED) == metric
        before = store.collection("parts")
        assert before.vector("fitted").ready
        assert store.add_vector("parts", "fitted", FITTED, b"of other labels") == before
        assert other.metric("parts") == b"of other labels"
        store.delete("parts")
        store.create("parts", FITTED)
        assert other.metric("parts") is None
        store.create("parts", FITTED, metric=b"of one that was there")
        assert other.metric("parts") is None
        store.create("others", FITTED, metric=metric)
        assert other.metric("others") == metric

    def test_a_scan_of_a_vector_that_is_dropped_meanwhile_says_so(self, store: Store, other: Store) -> None:
        self.fill_both(store, 1_100)
        by_name, both = store.scan("parts", using="words"), store.scan_vectors("parts")
        plain = store.scan("parts")
        for scan in (by_name, both, plain):
            next(scan)
        other.drop_vector("parts", WORDS)
        assert len(next(plain)[0]) == 100
        for scan in (by_name, both):
            with pytest.raises(VectorNotFound):
                next(scan)

    def test_each_vector_has_an_approximate_index_of_its_own(self, store: Store, other: Store) -> None:
        space, fitted = replace(SPACE, dimension=64), replace(FITTED, dimension=72)
        vectors, others = random_vectors(600, 64), random_vectors(600, 72, seed=3)
        records = [record(number) for number in range(600)]
        store.create("parts", space)
        store.put("parts", records, {space: vectors})
        plain = store.build_index("parts")
        store.add_vector("parts", "fitted", fitted, becomes_default=True)
        store.fill("parts", fitted, records, others)
        built = store.build_index("parts", space=fitted)
        assert built.recall >= 0.9
        info = other.collection("parts")
        assert [one.approximation for one in info.vectors] == [plain, built]
        store.finish_vector("parts", fitted)
        info = other.collection("parts")
        assert [one.approximation for one in info.vectors] == [plain, built]
        assert info.approximation == built
        for using, rows in (("image", vectors), ("fitted", others), (None, others)):
            found = nearest(other, "parts", rows[:20], 5, using=using, approximate=True)
            assert [hits[0].record for hits in found] == records[:20]
            assert [len(hits) for hits in found] == [5] * 20
        new = {space: random_vectors(1, 64, seed=8), fitted: random_vectors(1, 72, seed=9)}
        store.put("parts", [record("new")], new)
        for using, rows in (("image", new[space]), ("fitted", new[fitted])):
            (hits,) = nearest(other, "parts", rows, 1, using=using, approximate=True)
            assert hits[0].record == record("new")
        store.drop_vector("parts", fitted)
        info = other.collection("parts")
        assert [one.approximation for one in info.vectors] == [plain]
        (hits,) = nearest(other, "parts", new[space], 1, approximate=True)
        assert hits[0].record == record("new")

    def test_writers_that_do_not_know_of_a_new_vector_are_refused_and_then_give_it(
        self, store: Store, other: Store
    ) -> None:
        fill(store, 20)
        failures: list[BaseException] = []
        done = threading.Event()

        def write() -> None:
            try:
                number = 0
                while not done.is_set():
                    number += 1
                    while True:
                        known = [one.space for one in other.collection("parts").vectors]
                        given = {
                            space: CORNERS[:1] if space == SPACE else turned(1, space, number)
                            for space in known
                        }
                        try:
                            other.put("parts", [record(f"w{number % 9}")], given)
                            break
                        except SpaceMismatch:
                            continue
            except BaseException as failure:  # noqa: BLE001 shown below
                failures.append(failure)

        writer = threading.Thread(target=write)
        writer.start()
        for space in (FITTED, REFITTED):
            store.add_vector("parts", "fitted", space, becomes_default=True)
            while True:
                ids = store.lacking("parts", space, 7)
                store.fill("parts", space, known(store, ids), turned(len(ids), space))
                try:
                    store.finish_vector("parts", space)
                    break
                except VectorIncomplete:
                    continue
            assert store.lacking("parts", space) == []
        done.set()
        writer.join()
        assert failures == []
        count = store.collection("parts").count
        assert len(nearest(store, "parts", turned(1, REFITTED), 99)[0]) == count
        assert len(nearest(store, "parts", CORNERS[:1], 99, using="image")[0]) == count
        assert store.check() == []

    # Records

    def test_what_was_put_comes_back_as_it_was(self, store: Store, other: Store) -> None:
        metadata: Metadata = {
            "a": [1, 2.5, None, True, {"b": "탱크\0\n"}],
            "": {},
            "big": 10**30,
            "\udcff": "\ud800",
        }
        uri = "file:///a%00b%FF/%ED%83%B1%0A%22'.jpg"
        one = record(1, FIELDS, uri=uri, id=record_id(uri), metadata=metadata, size=2**40, modified_ns=2**61)
        store.create("parts", SPACE)
        put(store, "parts", [one], CORNERS[:1])
        assert store.get("parts", [one.id]) == [one]
        (again,) = other.get("parts", [one.id])
        assert again == one
        assert {name: type(value) for name, value in again.fields.items()} == {
            name: type(value) for name, value in FIELDS.items()
        }
        ((_, vectors),) = other.scan("parts")
        assert vectors.dtype == np.float32
        assert np.array_equal(vectors, CORNERS[:1])

    @pytest.mark.parametrize("text", STRANGE_TEXTS, ids=ascii)
    def test_any_text_is_a_field_and_a_value(self, store: Store, text: str) -> None:
        store.create("parts", SPACE)
        one, two = record(1, {text: text, "x": 1}), record(2, {text: text + "!"})
        put(store, "parts", [one, two], CORNERS[:2])
        assert store.get("parts", [one.id]) == [one]
        assert scanned(store, where={text: [text]}) == [one]
        assert store.collection("parts").fields == tuple(sorted({text, "x"}))
        hits = nearest(store, "parts", CORNERS[:1], 5, {text: [text + "!"]})
        assert [hit.record for hit in hits[0]] == [two]

    @pytest.mark.parametrize(
        "value", [0, -1, 2**63 - 1, -(2**63), 2**53 + 1, 0.1, -0.0, 1e300, 5e-324, True, False, "1", "true"]
    )
    def test_a_value_keeps_its_type(self, store: Store, value: Scalar) -> None:
        store.create("parts", SPACE)
        put(store, "parts", [record(1, {"a": value})], CORNERS[:1])
        (back,) = store.get("parts", [record(1).id])
        assert repr(back.fields["a"]) == repr(value)

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 2**63, -(2**63) - 1])
    def test_numbers_that_some_store_cannot_hold_are_refused(self, store: Store, value: Scalar) -> None:
        fill(store, 1)
        with pytest.raises(InvalidArgument, match="'a'"):
            put(store, "parts", [record(7), record(8, {"a": value})], CORNERS[:2])
        with pytest.raises(InvalidArgument, match="'a'"):
            store.relabel("parts", [(record(0).id, {"a": value}, {})])
        assert scanned(store) == [record(0)]

    @pytest.mark.parametrize("metadata", [{"a": float("nan")}, {"a": b"x"}, {"a": {1, 2}}], ids=repr)
    def test_metadata_that_is_not_json_is_refused(self, store: Store, metadata: Metadata) -> None:
        fill(store, 1)
        with pytest.raises(InvalidArgument, match="not JSON"):
            put(store, "parts", [record(7), record(8, metadata=metadata)], CORNERS[:2])
        with pytest.raises(InvalidArgument, match="not JSON"):
            store.relabel("parts", [(record(0).id, {}, metadata)])
        assert scanned(store) == [record(0)]

    def test_put_replaces_records_of_the_same_id(self, store: Store, other: Store) -> None:
        fill(store, 3, [FIELDS])
        assert nearest(other, "parts", CORNERS[:1], 1)[0][0].record.id == record(0).id
        new = record(0, {"quality": "good"}, digest="0" * 64, size=1, modified_ns=2)
        put(store, "parts", [new], CORNERS[5:6])
        assert store.collection("parts").count == 3
        assert store.get("parts", [new.id]) == [new]
        assert scanned(store, where={"sealed": [True]}) == sorted(
            [record(1, FIELDS), record(2, FIELDS)], key=lambda one: one.id
        )
        (hit,) = nearest(other, "parts", CORNERS[5:6], 1)[0]
        assert (hit.record, hit.similarity) == (new, 1.0)

    def test_put_of_nothing_changes_nothing(self, store: Store) -> None:
        records = fill(store, 2)
        put(store, "parts", [], CORNERS[:0])
        assert scanned(store) == records

    def test_put_is_all_or_none(self, store: Store) -> None:
        records = fill(store, 1)
        bad = CORNERS[:3].copy()
        bad[2] *= 2
        for rows, vectors in (
            ([record(1), record(2), record(3)], bad),
            ([record(1), record(2), record(1)], CORNERS[:3]),
            ([record(1), record(2)], CORNERS[:3]),
            ([record(1), record(2), record(3, {"new": None})], CORNERS[:3]),  # type: ignore[dict-item]  # refused
        ):
            with pytest.raises(InvalidArgument):
                put(store, "parts", rows, vectors)
        assert scanned(store) == records
        assert store.collection("parts").fields == ()

    def test_texts_that_can_be_no_id_are_refused_and_found_nowhere(self, store: Store) -> None:
        records = fill(store, 1)
        odd = ["", "x" * 513, "a\0", "é", "\udcff"]
        for identity in odd:
            with pytest.raises(InvalidArgument):
                put(store, "parts", [record(1), replace(record(2), id=identity)], CORNERS[:2])
        store.relabel("parts", [(identity, {"new": 1}, {}) for identity in odd])
        assert store.fill("parts", SPACE, [replace(record(2), id=one) for one in odd], CORNERS[:5]) == 0
        assert (store.get("parts", odd), store.remove("parts", odd)) == ([], 0)
        assert [store.ids_by_digest("parts", one) for one in odd] == [[]] * 5
        assert [len(some) for some in nearest(store, "parts", CORNERS[:1], 1, exclude=[odd])] == [1]
        assert scanned(store) == records

    @pytest.mark.parametrize("factor", [0.0, 0.999, 1.001, float("nan"), float("inf")])
    def test_vectors_that_are_not_of_length_1_are_refused(self, store: Store, factor: float) -> None:
        fill(store, 1)
        vectors = random_vectors(2, 4) * np.array([[1], [factor]], dtype=np.float32)
        with pytest.raises(InvalidArgument, match="vector 1 has length"):
            put(store, "parts", [record(1), record(2)], vectors)
        with pytest.raises(InvalidArgument, match="vector 1 has length"):
            nearest(store, "parts", vectors, 1)

    def test_vectors_within_the_tolerance_are_kept_at_length_1(self, store: Store) -> None:
        store.create("parts", SPACE)
        exact = random_vectors(1, 4)
        put(store, "parts", [record(1), record(2)], np.concatenate([exact * np.float32(1.00009), exact]))
        kept = {
            one.id: row
            for records, rows in store.scan("parts")
            for one, row in zip(records, rows, strict=True)
        }
        assert abs(np.linalg.norm(kept[record(1).id].astype(np.float64)) - 1) < 1e-6
        assert np.array_equal(kept[record(2).id], exact[0])

    @pytest.mark.parametrize("dimension", [1, 3, 5])
    def test_vectors_of_another_dimension_are_refused(self, store: Store, dimension: int) -> None:
        fill(store, 1)
        with pytest.raises(SpaceMismatch, match=f"{dimension} dimensions"):
            put(store, "parts", [record(1)], random_vectors(1, dimension))
        with pytest.raises(SpaceMismatch, match=f"{dimension} dimensions"):
            nearest(store, "parts", random_vectors(1, dimension), 1)
        assert store.collection("parts").count == 1

    def test_relabel_replaces_labels_and_nothing_else(self, store: Store, other: Store) -> None:
        fill(store, 3, [FIELDS])
        assert nearest(other, "parts", CORNERS[:1], 3, {"new": [1]}) == [[]]
        store.relabel("parts", [(record(1).id, {"new": 1}, {"from": "hand"}), ("f" * 32, {"never": 1}, {})])
        changed = record(1, {"new": 1}, metadata={"from": "hand"})
        assert store.get("parts", [changed.id]) == [changed]
        assert scanned(store, where={"quality": ["bad"]}) == sorted(
            [record(0, FIELDS), record(2, FIELDS)], key=lambda one: one.id
        )
        assert [hit.record for hit in nearest(other, "parts", CORNERS[:1], 3, {"new": [1]})[0]] == [changed]
        assert store.stamps("parts")[changed.uri].labels_digest == labels_digest(
            changed.fields, changed.metadata
        )
        assert store.collection("parts").fields == tuple(sorted({*FIELDS, "new"}))

    def test_remove_returns_how_many_there_were(self, store: Store, other: Store) -> None:
        fill(store, 4, [FIELDS])
        assert len(nearest(other, "parts", CORNERS[:1], 9)[0]) == 4
        ids = [record(1).id, record(1).id, record(2).id, "f" * 32, "\udcff"]
        assert store.remove("parts", ids) == 2
        assert store.remove("parts", ids) == 0
        left = {record(0).id, record(3).id}
        assert {one.id for one in scanned(store)} == left
        assert {hit.record.id for hit in nearest(other, "parts", CORNERS[:1], 9)[0]} == left
        assert store.collection("parts").fields == tuple(sorted(FIELDS))

    def test_stamps_tell_size_time_and_labels_by_uri(self, store: Store) -> None:
        store.create("parts", SPACE)
        one = record(1, FIELDS, size=5, modified_ns=6, metadata={"a": 1})
        put(store, "parts", [one, record(2)], CORNERS[:2])
        stamps = store.stamps("parts")
        assert set(stamps) == {one.uri, record(2).uri}
        assert stamps[one.uri] == Stamp(one.id, 5, 6, labels_digest(one.fields, one.metadata))

    def test_get_answers_in_the_order_asked(self, store: Store) -> None:
        fill(store, 5)
        ids = [record(number).id for number in (3, 0, 4, 0)]
        assert [one.id for one in store.get("parts", [ids[0], "f" * 32, "", "\udcff", *ids[1:]])] == ids

    def test_ids_by_digest_are_those_of_equal_files_sorted(self, store: Store) -> None:
        store.create("parts", SPACE)
        same = [record(number, digest="a" * 64) for number in range(5)]
        put(store, "parts", [*same, record(9)], corners(6))
        assert store.ids_by_digest("parts", "a" * 64) == sorted(one.id for one in same)
        assert store.ids_by_digest("parts", "b" * 64) == store.ids_by_digest("parts", "\udcff") == []

    def test_calls_take_more_ids_and_values_than_a_statement_has_parameters(self, store: Store) -> None:
        records = fill(store, 40, [{"n": number} for number in range(40)])
        ids = [f"{number:032x}" for number in range(70_000)] + [one.id for one in records]
        assert store.get("parts", ids) == records
        many = list(range(5, 70_000))
        assert len(scanned(store, where={"n": many})) == 35
        assert len(nearest(store, "parts", CORNERS[:1], 99, {"n": many}, exclude=[ids[:70_000]])[0]) == 35
        store.relabel("parts", [(name, {"n": 1}, {}) for name in ids])
        assert store.remove("parts", ids) == 40

    # Scan

    def test_scan_yields_everything_once_in_order_of_id(self, store: Store) -> None:
        store.create("parts", SPACE)
        records = [record(number) for number in range(2_500)]
        vectors = random_vectors(2_500, 4)
        put(store, "parts", records, vectors)
        batches = list(store.scan("parts"))
        assert max(len(some) for some, _ in batches) <= 1_000
        order = np.argsort([one.id for one in records])
        assert [one for some, _ in batches for one in some] == [records[row] for row in order]
        assert np.array_equal(np.concatenate([rows for _, rows in batches]), vectors[order])

    def test_scan_of_an_empty_collection_or_of_no_match_yields_nothing(self, store: Store) -> None:
        store.create("parts", SPACE)
        assert list(store.scan("parts")) == []
        fill(store, 3)
        assert list(store.scan("parts", {"a": ["b"]})) == []

    def test_a_scan_that_was_begun_hinders_no_writing(self, store: Store, other: Store) -> None:
        store.create("parts", SPACE)
        records = sorted((record(number) for number in range(1_500)), key=lambda one: one.id)
        put(store, "parts", records, corners(1_500))
        scan = store.scan("parts")
        first, _ = next(scan)
        other.remove("parts", [records[-1].id])
        put(store, "parts", [record("new")], CORNERS[:1])
        rest = [one for some, _ in scan for one in some]
        assert [one for one in first + rest if one != record("new")] == records[:-1]

    def test_a_scan_that_was_begun_yields_nothing_of_a_collection_made_anew(
        self, store: Store, other: Store
    ) -> None:
        store.create("parts", SPACE)
        records = [record(number) for number in range(1_500)]
        put(store, "parts", records, corners(1_500))
        scan = store.scan("parts")
        first, _ = next(scan)
        assert len(first) < 1_500
        other.delete("parts")
        other.create("parts", SPACE)
        put(other, "parts", records, corners(1_500))
        assert list(scan) == []

    # Filters

    @pytest.mark.parametrize(
        ("where", "numbers"),
        [
            ({}, {0, 1, 2, 3, 4, 5}),
            ({"a": [3]}, {0, 1}),
            ({"a": [3.0]}, {0, 1}),
            ({"a": ["3"]}, {2}),
            ({"a": [True]}, {3}),
            ({"a": [1]}, {4}),
            ({"a": [1.0, "3"]}, {2, 4}),
            ({"a": [False]}, set()),
            ({"a": [0]}, set()),
            ({"a": []}, set()),
            ({"a": ["", "3.0", "true", "True"]}, set()),
            ({"A": [3]}, set()),
            ({"none": [3]}, set()),
            ({"a": [3], "b": ["x"]}, {0}),
            ({"b": ["x"], "c": ["y"]}, set()),
            ({"a": [10**40, float("nan"), float("inf")]}, set()),
        ],
        ids=repr,
    )
    def test_filters_compare_values_by_type(
        self, store: Store, where: dict[str, list[Scalar]], numbers: set[int]
    ) -> None:
        fields: list[dict[str, Scalar]] = [
            {"a": 3, "b": "x"},
            {"a": 3.0},
            {"a": "3", "b": "x"},
            {"a": True},
            {"a": 1, "c": "y"},
            {},
        ]
        fill(store, 6, fields)
        expected = {record(number).id for number in numbers}
        assert {one.id for one in scanned(store, where=where)} == expected
        assert {hit.record.id for hit in nearest(store, "parts", CORNERS[:1], 9, where)[0]} == expected

    def test_integers_beyond_the_precision_of_floats_stay_apart(self, store: Store) -> None:
        fill(store, 2, [{"a": 2**53}, {"a": 2**53 + 1}])
        assert [one.fields["a"] for one in scanned(store, where={"a": [2**53 + 1]})] == [2**53 + 1]
        assert [one.fields["a"] for one in scanned(store, where={"a": [2.0**53]})] == [2**53]

    # Nearest

    @pytest.mark.parametrize("k", [1, 3, 50])
    def test_nearest_is_exact(self, store: Store, k: int) -> None:
        store.create("parts", replace(SPACE, dimension=33))
        records = [record(number) for number in range(200)]
        vectors = random_vectors(200, 33)
        put(store, "parts", records, vectors)
        queries = random_vectors(7, 33, seed=1)
        similarities = queries.astype(np.float64) @ vectors.astype(np.float64).T
        for hits, row in zip(nearest(store, "parts", queries, k), similarities, strict=True):
            best = np.argsort(-row)[:k]
            assert [hit.record for hit in hits] == [records[place] for place in best]
            assert [hit.similarity for hit in hits] == pytest.approx(row[best], abs=1e-5)

    def test_ties_come_by_id_also_across_the_k_th_place(self, store: Store) -> None:
        store.create("parts", replace(SPACE, dimension=64))
        records = [record(number) for number in range(100)]
        put(store, "parts", records, np.repeat(random_vectors(2, 64), 50, axis=0))
        (hits,) = nearest(store, "parts", random_vectors(1, 64), 20)
        assert [hit.record.id for hit in hits] == sorted(one.id for one in records[:50])[:20]
        assert len({hit.similarity for hit in hits}) == 1

    def test_fewer_than_k_come_only_where_fewer_match(self, store: Store) -> None:
        fill(store, 30, [{"rare": True}, {}, {}, {}, {}])
        queries = CORNERS[:3]
        assert [len(hits) for hits in nearest(store, "parts", queries, 10**9)] == [30, 30, 30]
        assert [len(hits) for hits in nearest(store, "parts", queries, 6, {"rare": [True]})] == [6, 6, 6]
        assert [len(hits) for hits in nearest(store, "parts", queries, 6, having="rare")] == [6, 6, 6]
        left_out = [[record(0).id, record(1).id, record(1).id, "f" * 32, "\udcff"], [], {record(5).id: 1}]
        hits = nearest(store, "parts", queries, 6, {"rare": [True]}, left_out)
        assert [len(some) for some in hits] == [5, 6, 5]
        assert record(0).id not in {hit.record.id for hit in hits[0]}

    def test_having_needs_the_field_whatever_its_value(self, store: Store) -> None:
        fill(store, 6, [{"a": False}, {"a": ""}, {"b": 1}])
        found = nearest(store, "parts", CORNERS[:1], 9, having="a")[0]
        assert {hit.record.id for hit in found} == {record(number).id for number in (0, 1, 3, 4)}
        found = nearest(store, "parts", CORNERS[:1], 9, {"a": [False]}, having="a")[0]
        assert {hit.record.id for hit in found} == {record(0).id, record(3).id}
        assert nearest(store, "parts", CORNERS[:1], 9, having="none") == [[]]

    def test_everything_left_out_leaves_nothing(self, store: Store) -> None:
        records = fill(store, 3)
        assert nearest(store, "parts", CORNERS[:1], 2, exclude=[[one.id for one in records]]) == [[]]

    def test_an_empty_collection_answers_with_empty_lists(self, store: Store) -> None:
        store.create("parts", SPACE)
        assert nearest(store, "parts", CORNERS[:2], 5) == [[], []]
        assert nearest(store, "parts", CORNERS[:0], 5) == []

    @pytest.mark.parametrize("k", [0, -1])
    def test_k_below_1_is_refused(self, store: Store, k: int) -> None:
        fill(store, 3)
        with pytest.raises(InvalidArgument, match="k must be at least 1"):
            nearest(store, "parts", CORNERS[:1], k)

    def test_a_similarity_is_between_minus_1_and_1(self, store: Store) -> None:
        store.create("parts", replace(SPACE, dimension=1_280))
        vectors = random_vectors(50, 1_280)
        vectors = np.concatenate([vectors, -vectors])
        put(store, "parts", [record(number) for number in range(100)], vectors)
        for hits in nearest(store, "parts", vectors, 100):
            assert hits[0].similarity == pytest.approx(1, abs=1e-6)
            assert hits[-1].similarity == pytest.approx(-1, abs=1e-6)
            assert all(-1 <= hit.similarity <= 1 for hit in hits)

    # Words

    def test_words_are_found_in_fields_names_and_captions(self, store: Store) -> None:
        store.create("parts", SPACE)
        uris = [
            "file:///factory/%ED%83%B1%ED%81%AC%EC%83%81%EB%B6%80/weldSeam_12.jpg",
            "file:///a/b/plain.jpg",
        ]
        one, two = (record(uri, id=record_id(uri), uri=uri) for uri in uris)
        one = replace(one, fields={"quality": "Very Bad", "count": 37, "weight": 2.5, "sealed": True})
        two = replace(two, metadata={"caption": [{"text": "나무가 있는 Mountains"}, 4711], "key": None})
        put(store, "parts", [one, two], CORNERS[:2])
        for words, found in {
            "BAD": [one],
            "37": [one],
            "2.5": [one],
            "true": [one],
            "seam": [one],
            "weldseam": [one],
            "12 factories": [one],
            "탱크": [one],
            "상부": [one],
            "나무": [two],
            "mountain": [two],
            "plain": [two],
            "quality": [],
            "caption": [],
            "4711": [],
            "jpg": [],
            "mount": [],
            "부탱": [],
        }.items():
            assert (words, store.search_words("parts", words, 9)) == (words, found)
        assert sorted(one.id for one in store.search_words("parts", "seam OR plain", 9)) == sorted(
            [one.id, two.id]
        )

    def test_more_words_come_first_and_equal_ones_by_id(self, store: Store, other: Store) -> None:
        records = fill(store, 60, [{"part": "lid", "n": "x"}, {"part": "nut", "n": "x"}, {"part": "bolt"}])
        store.relabel("parts", [(record(7).id, {"part": "bolt nut red"}, {})])
        found = other.search_words("parts", "a red bolt", 50)
        assert found[0].fields["part"] == "bolt nut red"
        bolts = [one for one in records if one.fields == {"part": "bolt"}]
        assert found[1:] == bolts
        assert other.search_words("parts", "bolt red", 5) == found[:5]
        assert other.search_words("parts", "bolt", 99, {"part": ["bolt"]}) == bolts
        assert other.search_words("parts", "bolt", 3, {"part": ["bolt"]}) == bolts[:3]
        assert other.search_words("parts", "bolt", 3, {"part": ["lid"]}) == []
        assert other.search_words("parts", "bolt", 3, {"none": ["x"]}) == []
        assert len(other.search_words("parts", "x", 100_000, {"part": ["lid", "nut"]})) == 39

    @pytest.mark.parametrize(
        "words", ["", " \n", "?!", '"', "* ^ : -", "\0", "\udcff", "{}", "%_&|"], ids=ascii
    )
    def test_a_text_without_words_finds_nothing(self, store: Store, words: str) -> None:
        fill(store, 2, [{"a": words}])
        assert store.search_words("parts", words, 5) == []
        with pytest.raises(InvalidArgument, match="k must be at least 1"):
            store.search_words("parts", words, 0)

    def test_no_sign_in_a_text_has_a_meaning(self, store: Store) -> None:
        fill(store, 3, [{"a": "red"}, {"a": "blue"}, {"a": "near and not or"}])
        reds, blues, ands = (store.search_words("parts", word, 9) for word in ("red", "blue", "near"))
        assert [len(some) for some in (reds, blues, ands)] == [1, 1, 1]
        for words, found in {
            '"red': reds,
            "red*": reds,
            "re*": [],
            "^red": reds,
            "-red": reds,
            "words:red": reds,
            "id : red": reds,
            "red') OR ('": reds + ands,
            "red AND": reds + ands,
            "red NOT": reds + ands,
            "NEAR(red blue, 9)": reds + blues + ands,
            "{red}": reds,
            "red}{": reds,
            "(red": reds,
            "red%": reds,
            "r_d": [],
            "$red": reds,
            "!red": reds,
            "red & !blue": reds + blues,
            "red | blue \\": reds + blues,
            "red:*": reds,
            "red~9": reds,
            "/red/": reds,
            "red;--": reds,
        }.items():
            got = store.search_words("parts", words, 9)
            assert (words, {one.id for one in got}) == (words, {one.id for one in found})

    def test_words_follow_what_changes(self, store: Store, other: Store) -> None:
        records = fill(store, 4, [{"a": "red"}, {"a": "blue"}])
        red = [one.id for one in records if one.fields["a"] == "red"]

        def found(words: str, name: str = "parts") -> list[str]:
            return [one.id for one in other.search_words(name, words, 9)]

        assert found("red") == red
        store.relabel("parts", [(red[0], {"a": "green"}, {"caption": "leaf"}), ("unknown", {"a": "red"}, {})])
        assert (found("red"), found("green"), found("leaf")) == (red[1:], red[:1], red[:1])
        uri = next(one.uri for one in records if one.id == red[0])
        assert red[0] in found(uri.rpartition("/")[2].partition(".")[0])
        put(
            store,
            "parts",
            [replace(one, fields={"a": "white"}) for one in records if one.id == red[1]],
            CORNERS[:1],
        )
        assert (found("red"), found("white")) == ([], red[1:])
        store.create("others", replace(SPACE, dimension=2))
        exchange(store, "parts", "others")
        assert (found("white"), found("white", "others")) == ([], red[1:])
        assert store.remove("others", red[1:]) == 1
        assert found("white", "others") == []
        store.delete("others")
        store.create("others", SPACE)
        assert found("blue", "others") == []

    def test_every_record_is_found_by_each_word_of_its_texts(self, store: Store) -> None:
        texts = [
            *STRANGE_TEXTS,
            "눈 덮인 산 위의 나무가",
            "東京タワーの夜景 ｶﾒﾗ ①番",
            "हिन्दी में लिखा ไทย العربيّة",
            "Straße ΣΊΣΥΦΟΣ İstanbul ﬁle Å A\u030a",
            "\U0001e900\U0001e901 \U00020000\U00020001 \u0301x x\u0301\u0323",
            "탱" * 300,
            "AND OR NOT NEAR {} % * ^ : \"'\\",
            "null None -1 1e10 3,14 v1.2.3-rc1",
        ]
        store.create("parts", SPACE)
        for start in range(0, len(texts), 8):
            some = [
                record(start + n, {"a": text} if n % 2 else {}, metadata={} if n % 2 else {"b": [text]})
                for n, text in enumerate(texts[start : start + 8])
            ]
            put(store, "parts", some, corners(len(some)))
        for number, text in enumerate(texts):
            words = [word for word in text.split() if query_terms(word)]
            for word in words[:6]:
                found = store.search_words("parts", word, len(texts))
                assert record(number).id in {one.id for one in found}, ascii((text, word))

    def test_any_record_is_found_by_any_word_of_its_own(self, store: Store) -> None:
        @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(st.lists(st.text(st.characters(codec=None), max_size=40), min_size=1, max_size=6))
        def check(texts: list[str]) -> None:
            records = [
                record(n, {"a": text} if n % 2 else {}, metadata={} if n % 2 else {"b": {"c": [text]}})
                for n, text in enumerate(texts)
            ]
            store.create("parts", SPACE)
            put(store, "parts", records, corners(len(records)))
            for one, text in zip(records, texts, strict=True):
                for word in text.split()[:2]:
                    found = store.search_words("parts", word, len(records))
                    assert (one in found) == bool(query_terms(word))
            store.delete("parts")

        check()

    def test_a_record_with_more_words_than_can_be_kept_is_found_by_the_first(self, store: Store) -> None:
        store.create("parts", SPACE)
        many = " ".join(f"w{number}" for number in range(100_000))
        one = record(1, {"a": "first"}, metadata={"b": many, "c": "last"})
        put(store, "parts", [one, record(2)], CORNERS[:2])
        assert store.search_words("parts", "first", 5) == [one] == store.search_words("parts", "w9", 5)
        assert store.search_words("parts", "last", 5) == []
        assert store.search_words("parts", many + " first", 5) == [one]

    # Approximate

    def test_approximate_search_without_an_index_is_exact(self, store: Store) -> None:
        fill(store, 30, [FIELDS, {}])
        assert store.collection("parts").approximation is None
        exact = nearest(store, "parts", CORNERS[:3], 7, {"quality": ["bad"]})
        assert nearest(store, "parts", CORNERS[:3], 7, {"quality": ["bad"]}, approximate=True) == exact

    def test_an_index_of_nothing_is_refused(self, store: Store) -> None:
        store.create("parts", SPACE)
        with pytest.raises(Unanswerable, match="empty"):
            store.build_index("parts")
        assert store.collection("parts").approximation is None

    def test_an_index_finds_most_neighbours_and_their_exact_similarities(
        self, store: Store, other: Store
    ) -> None:
        store.create("parts", replace(SPACE, dimension=32))
        records = [record(number, {"turn": number % 50}) for number in range(2_000)]
        vectors = random_vectors(2_000, 32)
        put(store, "parts", records, vectors)
        built = store.build_index("parts")
        assert built.kind
        assert (built.k, built.queries) == (10, 200)
        assert 0.9 <= built.recall <= 1
        assert store.collection("parts").approximation == built == other.collection("parts").approximation
        queries = random_vectors(20, 32, seed=1)
        for where in (None, {"turn": [7]}, {"turn": [1, 2, 3]}):
            exact = nearest(other, "parts", queries, 10, where)
            found = nearest(other, "parts", queries, 10, where, approximate=True)
            assert [len(some) for some in found] == [10] * 20
            similarity = {
                (number, hit.record.id): hit.similarity for number, hits in enumerate(exact) for hit in hits
            }
            same = [
                hit.similarity == similarity[number, hit.record.id]
                for number, hits in enumerate(found)
                for hit in hits
                if (number, hit.record.id) in similarity
            ]
            assert all(same)
            assert len(same) >= 180
            for hits in found:
                order = [(-hit.similarity, hit.record.id) for hit in hits]
                assert order == sorted(order)

    def test_an_index_follows_what_changes(self, store: Store, other: Store) -> None:
        store.create("parts", replace(SPACE, dimension=32))
        vectors = random_vectors(1_000, 32)
        records = [record(number) for number in range(1_000)]
        put(store, "parts", records, vectors)
        built = store.build_index("parts")

        def best(query: Vectors) -> Record:
            (hits,) = nearest(other, "parts", query, 5, approximate=True)
            assert len(hits) == 5
            return hits[0].record

        assert best(vectors[:1]) == records[0]
        new = random_vectors(1, 32, seed=2)
        put(store, "parts", [record("new", {"a": "b"})], new)
        assert best(new) == record("new", {"a": "b"})
        store.relabel("parts", [(record("new").id, {"a": "c"}, {})])
        (hits,) = nearest(other, "parts", new, 5, {"a": ["c"]}, approximate=True)
        assert [hit.record for hit in hits] == [record("new", {"a": "c"})]
        put(store, "parts", [records[0]], new)
        assert {hit.record.id for hit in nearest(other, "parts", new, 2, approximate=True)[0]} == {
            records[0].id,
            record("new").id,
        }
        store.remove("parts", [records[0].id, record("new").id])
        assert best(new) not in (records[0], record("new"))
        store.create("others", SPACE)
        exchange(store, "parts", "others")
        assert store.collection("others").approximation == built
        assert store.collection("parts").approximation is None
        assert nearest(other, "others", vectors[5:6], 1, approximate=True)[0][0].record == records[5]
        assert store.delete("others") == 999
        assert store.create("others", SPACE).approximation is None

    def test_an_index_honours_who_is_left_out_and_what_is_had(self, store: Store) -> None:
        store.create("parts", replace(SPACE, dimension=32))
        vectors = random_vectors(500, 32)
        put(store, "parts", [record(n, {"a": n} if n % 5 == 0 else {}) for n in range(500)], vectors)
        store.build_index("parts")
        left_out = [[record(0).id], [record(n).id for n in range(0, 500, 2)]]
        found = nearest(store, "parts", vectors[:2], 20, exclude=left_out, having="a", approximate=True)
        assert [len(hits) for hits in found] == [20, 20]
        for hits, out in zip(found, left_out, strict=True):
            assert all("a" in hit.record.fields and hit.record.id not in out for hit in hits)
        (hits,) = nearest(store, "parts", vectors[:1], 1_000, having="a", approximate=True)
        assert len(hits) == 100

    # Damage

    @pytest.mark.parametrize("part", PARTS)
    def test_a_damaged_record_is_named_and_in_no_answer(
        self, store: Store, url: str, damage: Damage, part: str
    ) -> None:
        records = fill(store, 40, [{**FIELDS, "n": "odd"}, {**FIELDS, "n": "even"}])
        bad = next(one for one in records if one.fields["n"] == "odd")
        damage(bad.id, part)
        sound = [one for one in records if one != bad]
        with open_store(url) as reader:
            assert scanned(reader) == sound
            (found,) = reader.damage.found()
            assert (found.store, found.collection, found.id) == (reader.url, "parts", bad.id)
            assert bad.uri.removeprefix("file://") in str(found)
            assert "\n" not in str(found)
        hows: list[dict[str, Any]] = [
            {},
            {"where": {"n": ["odd"]}},
            {"having": "n"},
            {"exclude": [[sound[0].id]]},
        ]
        for how in hows:
            without = {**how, "exclude": [[bad.id, *how.get("exclude", [[]])[0]]]}
            with open_store(url) as reader, open_store(url) as whole:
                (hits,) = nearest(reader, "parts", CORNERS[:1], 100, **how)
                assert nearest(whole, "parts", CORNERS[:1], 100, **without) == [hits]
                assert len(hits) == (19 if "where" in how else 39 - ("exclude" in how))
                assert nearest(reader, "parts", CORNERS[:1], 3, **how) == [hits[:3]]
                assert [one.id for one in reader.damage.found("PARTS")] == [bad.id]
        with open_store(url) as reader:
            there = reader.get("parts", [one.id for one in records])
            words = reader.search_words("parts", "bad", 100)
            if part in ("vector", "exchanged"):
                assert there == records
            else:
                assert there == sound
                assert {one.id for one in words} == {one.id for one in sound}
                assert len(reader.search_words("parts", "bad", 20)) == 20

    @pytest.mark.parametrize("part", PARTS)
    def test_a_damaged_record_that_is_put_again_is_whole(
        self, store: Store, url: str, damage: Damage, part: str
    ) -> None:
        records = fill(store, 5, [FIELDS])
        damage(records[2].id, part)
        with open_store(url) as reader:
            assert len(scanned(reader)) == len(nearest(reader, "parts", CORNERS[:1], 9)[0]) == 4
            put(reader, "parts", [records[2]], CORNERS[:1])
            assert scanned(reader) == records
            assert len(nearest(reader, "parts", CORNERS[:1], 9)[0]) == 5
            assert reader.damage.found() == []

    def test_a_record_whose_digest_is_damaged_has_no_stamp(
        self, store: Store, url: str, damage: Damage
    ) -> None:
        records = fill(store, 3)
        damage(records[0].id, "digest")
        with open_store(url) as reader:
            assert {stamp.id for stamp in reader.stamps("parts").values()} == {one.id for one in records[1:]}
            assert [one.id for one in reader.damage.found()] == [records[0].id]

    def test_an_approximate_search_leaves_damaged_records_out(
        self, store: Store, url: str, damage: Damage
    ) -> None:
        vectors = random_vectors(300, 64)
        records = [record(number, {"n": number}) for number in range(300)]
        store.create("parts", replace(SPACE, dimension=64))
        put(store, "parts", records, vectors)
        store.build_index("parts")
        for number in (0, 1, 2):
            damage(records[number].id, "vector")
        with open_store(url) as reader:
            found = nearest(reader, "parts", vectors[:3], 5, approximate=True)
            assert [len(hits) for hits in found] == [5, 5, 5]
            assert {hit.record.id for hits in found for hit in hits}.isdisjoint(
                {one.id for one in records[:3]}
            )
            reader.build_index("parts")
            assert {one.id for one in reader.damage.found()} <= {one.id for one in records[:3]}

    def test_where_all_are_damaged_nothing_is_found(self, store: Store, url: str, damage: Damage) -> None:
        records = fill(store, 3)
        for one in records:
            damage(one.id, "vector")
        with open_store(url) as reader:
            assert scanned(reader) == []
            assert nearest(reader, "parts", CORNERS[:2], 3) == [[], []]
            assert len(reader.damage.found()) == 3

    # Several at once

    def test_what_one_writes_the_other_sees_at_once(self, store: Store, other: Store) -> None:
        fill(store, 2)
        for number in range(2, 6):
            writer, reader = (store, other) if number % 2 else (other, store)
            put(writer, "parts", [record(number)], CORNERS[:1])
            assert reader.collection("parts").count == number + 1
            assert len(nearest(reader, "parts", CORNERS[:1], 99)[0]) == number + 1

    def test_threads_may_share_a_store(self, store: Store) -> None:
        fill(store, 100)
        failures: list[BaseException] = []

        def work(thread: int) -> None:
            try:
                for turn in range(15):
                    new = record(f"{thread}-{turn}", {f"field{thread}": turn})
                    put(store, "parts", [new], CORNERS[:1])
                    assert store.get("parts", [new.id]) == [new]
                    assert len(nearest(store, "parts", CORNERS[:2], 100)[1]) == 100
                    assert store.remove("parts", [record(thread * 15 + turn).id]) == 1
            except BaseException as failure:  # noqa: BLE001 shown below
                failures.append(failure)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert store.collection("parts").count == 100

    # SQL and the end

    def test_sql_that_fails_is_refused_in_one_line(self, store: Store) -> None:
        fill(store, 1)
        for statement in ("", "selec 1", "SELECT * FROM nothing_of_that_name"):
            with pytest.raises(QueryRefused) as refused:
                store.sql(statement)
            assert "\n" not in str(refused.value)

    def test_close_may_be_called_twice(self, url: str) -> None:
        store = open_store(url)
        records = fill(store, 2)
        store.close()
        store.close()
        with open_store(url) as again:
            assert scanned(again) == records

    def test_any_sequence_of_calls_answers_as_the_model_does(self, store: Store, other: Store) -> None:
        class Machine(StoreMachine):
            stores = (store, other)

        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=self.sequences,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                database=None,
            ),
        )


_numbers = st.integers(0, 11)
_fields = st.dictionaries(
    st.sampled_from(["a", "A", "id", "탱크\n"]),
    st.sampled_from(["", "x", "3", "\0", "\udcff", 3, 3.0, 1, 0, True, False, -2.5]),
    max_size=3,
)
_where = st.none() | st.dictionaries(
    st.sampled_from(["a", "A", "id", "none"]),
    st.lists(st.sampled_from(["x", "3", "\udcff", 3, 1.0, 0, True, False]), max_size=3),
    max_size=2,
)


# Of the machine: all of four dimensions, so that the corners are vectors of any of them.
_VECTORS = [
    VectorInfo("fitted", replace(SPACE, metric_fingerprint="cd" * 32)),
    VectorInfo("fitted", replace(SPACE, metric_fingerprint="ce" * 32)),
    VectorInfo("words", replace(SPACE, embedder="another-model", embedder_fingerprint="ef" * 32)),
]
_SPACES = [SPACE, *(one.space for one in _VECTORS)]
_using = st.none() | st.sampled_from(["image", "fitted", "words"])


def answer(call: Callable[[], object]) -> object:
    """Return what a call returns, or the class of what it raises."""
    try:
        return call()
    except (InvalidArgument, SpaceMismatch, VectorIncomplete, VectorNotFound) as error:
        return InvalidArgument if isinstance(error, InvalidArgument) else type(error)


class StoreMachine(RuleBasedStateMachine):
    """Does the same to a store, opened twice, and to the model, and compares what they answer."""

    stores: tuple[Store, Store]
    turn = 0

    @property
    def store(self) -> Store:
        """One of the two, by turns."""
        self.turn += 1
        return self.stores[self.turn % 2]

    @initialize()
    def start(self) -> None:
        for collection in self.store.collections():
            self.store.delete(collection.name)
        self.store.create("parts", SPACE)
        self.store.create("others", SPACE)
        self.model = StoreModel(SPACE)
        self.other_model = StoreModel(SPACE)

    @rule(
        rows=st.dictionaries(_numbers, st.tuples(_fields, st.integers(0, len(CORNERS) - 1)), max_size=6),
        digest=st.sampled_from(["a" * 64, "b" * 64]),
    )
    def put(self, rows: dict[int, tuple[dict[str, Scalar], int]], digest: str) -> None:
        records = [record(number, fields, digest=digest) for number, (fields, _) in rows.items()]
        chosen = np.array([corner for _, corner in rows.values()], int)
        vectors = {
            space: CORNERS[(chosen + 7 * _SPACES.index(space)) % len(CORNERS)].reshape(-1, 4)
            for space in self.model.spaces
        }
        self.store.put("parts", records, vectors)
        self.model.put(records, {space: some.tolist() for space, some in vectors.items()})

    @rule(spaces=st.sets(st.sampled_from(_SPACES)))
    def put_wrongly(self, spaces: set[Space]) -> None:
        if spaces != set(self.model.spaces):
            with pytest.raises(SpaceMismatch):
                self.store.put("parts", [record(0)], dict.fromkeys(spaces, CORNERS[:1]))

    @rule(vector=st.sampled_from(_VECTORS), becomes_default=st.booleans())
    def add_vector(self, vector: VectorInfo, becomes_default: bool) -> None:
        wanted = replace(vector, becomes_default=becomes_default)
        self.store.add_vector("parts", wanted.name, wanted.space, becomes_default=becomes_default)
        self.model.add_vector(wanted)

    @rule(space=st.sampled_from(_SPACES), numbers=st.sets(_numbers), corner=st.integers(0, len(CORNERS) - 1))
    def fill(self, space: Space, numbers: set[int], corner: int) -> None:
        ids = [record(number).id for number in sorted(numbers)]
        vectors = CORNERS[(corner + np.arange(len(ids))) % len(CORNERS)].reshape(-1, 4)
        given = dict(zip(ids, vectors.tolist(), strict=True))
        found = answer(lambda: self.store.fill("parts", space, known(self.store, ids), vectors))
        assert found == answer(lambda: self.model.fill(space, given))

    @rule(space=st.sampled_from(_SPACES))
    def fill_all(self, space: Space) -> None:
        if space in self.model.spaces:
            ids = self.store.lacking("parts", space)
            assert ids == self.model.lacking(space)
            self.store.fill("parts", space, known(self.store, ids), CORNERS[[5] * len(ids)].reshape(-1, 4))
            self.model.fill(space, {identity: CORNERS[5].tolist() for identity in ids})

    @rule(space=st.sampled_from(_SPACES))
    def finish_vector(self, space: Space) -> None:
        found = answer(lambda: bool(self.store.finish_vector("parts", space)) and None)
        assert found == answer(lambda: self.model.finish_vector(space))

    @rule(space=st.sampled_from(_SPACES))
    def drop_vector(self, space: Space) -> None:
        found = answer(lambda: bool(self.store.drop_vector("parts", space)) and None)
        assert found == answer(lambda: self.model.drop_vector(space))

    @rule(name=st.sampled_from(["image", "fitted", "words"]))
    def set_default(self, name: str) -> None:
        found = answer(lambda: self.store.set_default("parts", name).space)
        assert found == answer(lambda: self.model.ready(name))
        if isinstance(found, Space):
            self.model.default = name

    @rule(labels=st.dictionaries(_numbers, _fields, max_size=6))
    def relabel(self, labels: dict[int, dict[str, Scalar]]) -> None:
        self.store.relabel("parts", [(record(n).id, fields, {"n": n}) for n, fields in labels.items()])
        for number, fields in labels.items():
            if record(number).id in self.model.rows:
                old, _ = self.model.rows[record(number).id]
                self.model.relabel(replace(old, fields=fields, metadata={"n": number}))

    @rule(numbers=st.lists(_numbers, max_size=4))
    def remove(self, numbers: list[int]) -> None:
        ids = [record(number).id for number in numbers]
        assert self.store.remove("parts", ids) == self.model.remove(ids)

    @rule()
    def exchange(self) -> None:
        exchange(self.store, "parts", "others")
        self.model, self.other_model = self.other_model, self.model

    @rule()
    def make_anew(self) -> None:
        assert self.store.delete("parts") == len(self.model.rows)
        self.store.create("parts", SPACE)
        self.model = StoreModel(SPACE)

    @rule(where=_where, using=_using)
    def scan(self, where: dict[str, list[Scalar]] | None, using: str | None) -> None:
        space = answer(lambda: self.model.ready(using))
        batches = answer(lambda: list(self.store.scan("parts", where, using=using)))
        if not isinstance(space, Space):
            assert batches == space
            return
        assert isinstance(batches, list)
        expected = self.model.scan(where)
        assert [one for some, _ in batches for one in some] == expected
        rows = [row.tolist() for _, vectors in batches for row in vectors]
        assert rows == [list(self.model.rows[one.id][1][space]) for one in expected]

    @rule(
        corner=st.integers(0, len(CORNERS) - 1),
        k=st.integers(1, 14),
        where=_where,
        exclude=st.lists(_numbers, max_size=4),
        having=st.none() | st.sampled_from(["a", "A", "none"]),
        using=_using,
    )
    def nearest(
        self,
        corner: int,
        k: int,
        where: dict[str, list[Scalar]] | None,
        exclude: list[int],
        having: str | None,
        using: str | None,
    ) -> None:
        ids = [record(number).id for number in exclude]
        query = CORNERS[corner]
        asked = Query(np.stack([query, query]), k, using, None, where, [ids, []], having)
        space, found = (
            answer(lambda: self.model.ready(using)),
            answer(lambda: self.store.nearest("parts", asked)),
        )
        if not isinstance(space, Space):
            assert found == space
            return
        assert isinstance(found, list)
        for hits, left_out in zip(found, (ids, []), strict=True):
            expected = self.model.nearest(query.tolist(), k, where, left_out, having, space)
            assert [(hit.record.id, hit.similarity) for hit in hits] == expected
            assert [hit.record for hit in hits] == [self.model.rows[name][0] for name, _ in expected]

    @rule(words=st.sampled_from(["x", "3", "true 7", "2.5", "pictures", "1 \0", "A"]), where=_where)
    def search_words(self, words: str, where: dict[str, list[Scalar]] | None) -> None:
        found = self.store.search_words("parts", words, 99, where)
        assert sorted(found, key=lambda one: one.id) == self.model.search_words(words, where)

    @invariant()
    def counts_fields_vectors_and_stamps_agree(self) -> None:
        if not hasattr(self, "model"):
            return
        collection = self.store.collection("parts")
        assert collection.count == len(self.model.rows)
        assert collection.fields == tuple(sorted(self.model.fields))
        assert (list(collection.vectors), collection.default) == (self.model.vectors, self.model.default)
        records = [one for one, _ in self.model.rows.values()]
        assert self.store.stamps("parts") == {
            one.uri: Stamp(one.id, one.size, one.modified_ns, labels_digest(one.fields, one.metadata))
            for one in records
        }
        for digest in ("a" * 64, "b" * 64):
            assert self.store.ids_by_digest("parts", digest) == sorted(
                one.id for one in records if one.digest == digest
            )
