"""Damaged records, as every store notices them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from lookalike.stores.registry import open_store
from lookalike.stores.store import Store
from lookalike.testing.samples import (
    CORNERS,
    FIELDS,
    SPACE,
    fill,
    nearest,
    put,
    random_vectors,
    record,
    scanned,
)

if TYPE_CHECKING:
    from collections.abc import Callable


Damage: TypeAlias = "Callable[[str, str], None]"
"""Changes one part of what is stored of the record with this id: see `PARTS`."""

PARTS = ("vector", "exchanged", "digest", "fields")
"""A bit of the vector; the vector of another record, with its checksum; the file's digest; the labels."""


class DamageContract:
    """Records that were changed behind the store's back."""

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
