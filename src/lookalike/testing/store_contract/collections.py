"""Collections made, named, renamed and deleted, as every store does it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lookalike.errors import (
    CollectionExists,
    CollectionNotFound,
    InvalidArgument,
    SpaceMismatch,
)
from lookalike.stores.store import Store
from lookalike.testing.samples import (
    CORNERS,
    FIELDS,
    FITTED,
    SPACE,
    exchange,
    fill,
    nearest,
    put,
    record,
    scanned,
)


class CollectionsContract:
    """Collections and their names."""

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
