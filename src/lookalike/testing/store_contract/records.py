"""Records put, read, changed and removed, as every store does it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lookalike.errors import (
    InvalidArgument,
    SpaceMismatch,
)
from lookalike.label_normalisation import labels_digest
from lookalike.stores.store import Store
from lookalike.testing.samples import (
    CORNERS,
    FIELDS,
    SPACE,
    STRANGE_TEXTS,
    corners,
    fill,
    nearest,
    put,
    random_vectors,
    record,
    scanned,
)
from lookalike.types import Stamp
from lookalike.uris import record_id

if TYPE_CHECKING:
    from lookalike.types import Metadata, Scalar


class RecordsContract:
    """Records, and scans of them."""

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
