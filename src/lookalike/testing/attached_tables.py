"""What every attached table promises: the reading part of what a collection does.

Tests of what reads tables of others subclass `AttachedTableContract` and say in the fixture `make_table` how
one is made: with an id column `id`, a JSON column `labels`, and a column of vectors.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
import pytest

from lookalike.database import Database
from lookalike.errors import SpaceMismatch, StoreReadOnly
from lookalike.stores.query import Query
from lookalike.stores.store import Store
from lookalike.stores.verification import fields_match
from lookalike.testing.samples import CORNERS, FIELDS, record
from lookalike.types import Fields, Neighbour, Scalar, Vectors, Where
from lookalike.vectors.nearest import nearest_rows

Rows: TypeAlias = dict[str, tuple[Fields, Vectors]]
"""Fields and vector of each row by id."""

MakeTable: TypeAlias = Callable[[Rows], Database]
"""Makes a table of the name `parts` of rows, and gives the database with it."""

COUNT = 40
KINDS: tuple[Fields, ...] = (
    FIELDS,
    {"quality": "good", "count": 3.0, "sealed": False},
    {"quality": 'it\'s "bad" 탱크', "count": "3", "weight": 3.5},
    {"sealed": True, "count": 1},
    {},
)


class AttachedTableContract:
    """See this module."""

    @pytest.fixture
    def rows(self) -> Rows:
        """Vectors with many exact ties among their products, and fields of every type."""
        return {str(7 * n % COUNT): (KINDS[n % len(KINDS)], CORNERS[n % len(CORNERS)]) for n in range(COUNT)}

    @pytest.fixture
    def attached(self, make_table: MakeTable, rows: Rows) -> Iterator[Database]:
        with make_table(rows) as database:
            database.attach("parts", space="theirs")
            yield database

    @pytest.fixture
    def store(self, attached: Database) -> Store:
        return attached.store

    def test_it_says_what_it_holds(self, attached: Database, store: Store) -> None:
        (info,) = store.collections()
        assert (info.name, info.count, info.fields) == (
            "parts",
            COUNT,
            ("count", "quality", "sealed", "weight", "whole"),
        )
        assert store.collection("PARTS") == info
        assert store.lacking("parts", info.space) == []
        assert store.metric("parts") is None
        assert [(each.vector.name, each.lacking) for each in attached["parts"].vectors.status()] == [
            ("image", 0)
        ]

    def test_records_are_given_in_the_order_asked(self, store: Store, rows: Rows) -> None:
        asked = ["3", "none", "\0", "12", "탱크", "3", str(10**30), "0"]
        assert [one.id for one in store.get("parts", asked)] == ["3", "12", "3", "0"]
        assert [dict(one.fields) for one in store.get("parts", ["3", "0"])] == [
            rows[each][0] for each in "30"
        ]
        found = store.get("parts", ["3"])[0].fields
        assert {name: type(value) for name, value in found.items()} == {
            name: type(value) for name, value in rows["3"][0].items()
        }

    def test_a_scan_yields_everything_once_in_order_of_id(self, store: Store, rows: Rows) -> None:
        for where in (None, {"quality": ["bad", "good"]}, {"quality": ["none"]}):
            batches = list(store.scan("parts", where))
            records = [one for some, _ in batches for one in some]
            assert [one.id for one in records] == self.matching(rows, where)
            for some, vectors in batches:
                assert vectors.dtype == np.float32
                for one, vector in zip(some, vectors, strict=True):
                    np.testing.assert_array_equal(vector, rows[one.id][1])
        stamps = store.stamps("parts")
        assert sorted(each.id for each in stamps.values()) == sorted(rows)

    @staticmethod
    def matching(rows: Rows, where: Where | None, having: str | None = None) -> list[str]:
        return sorted(one for one, (fields, _) in rows.items() if fields_match(fields, where, having))

    @pytest.mark.parametrize("k", [1, 5, COUNT, 10 * COUNT])
    @pytest.mark.parametrize(
        ("where", "having"),
        [
            (None, None),
            ({"count": [3]}, None),
            ({"count": ["3"], "weight": [3.5]}, None),
            ({"sealed": [True]}, "count"),
            ({"quality": ['it\'s "bad" 탱크', "good"], "count": [3, "3"]}, None),
            ({"sealed": [1], "none": ["x"]}, None),
            (None, "weight"),
        ],
    )
    def test_the_nearest_are_exact_with_their_ties(
        self, store: Store, rows: Rows, k: int, where: dict[str, list[Scalar]] | None, having: str | None
    ) -> None:
        ids = self.matching(rows, where, having)
        queries = np.concatenate([CORNERS[:3], CORNERS[20:21]])
        exclude = [[], ids[:2], ["none", *ids[5:9]], []]
        found = store.nearest("parts", Query(queries, k, where=where, having=having, exclude=exclude))
        vectors = np.array([rows[one][1] for one in ids], np.float32).reshape(len(ids), 4)
        left_out = [[ids.index(one) for one in some if one in ids] for some in exclude]
        best, similarities = nearest_rows(queries, vectors, k, left_out)
        expected = [
            [(ids[row], value) for row, value in zip(some, values, strict=True) if row >= 0]
            for some, values in zip(best.tolist(), similarities.tolist(), strict=True)
        ]
        assert [self.hits(one) for one in found] == expected

    @staticmethod
    def hits(found: list[Neighbour]) -> list[tuple[str, float]]:
        return [(one.record.id, one.similarity) for one in found]

    def test_words_are_found(self, store: Store, rows: Rows) -> None:
        good = self.matching(rows, {"quality": ["good"]})
        assert [one.id for one in store.search_words("parts", "good", COUNT)] == good
        tank = self.matching(rows, {"quality": [str(KINDS[2]["quality"])]})
        assert [one.id for one in store.search_words("parts", "탱크 bad", len(tank))] == tank
        assert store.search_words("parts", "nothing", 3) == []
        assert store.search_words("parts", "good", 3, {"sealed": [True]}) == []

    def test_nothing_is_changed(self, store: Store, rows: Rows) -> None:
        info = store.collection("parts")
        one = record(1)
        for change in (
            lambda: store.put("parts", [one], {info.space: CORNERS[:1, :]}),
            lambda: store.relabel("parts", [("3", {"quality": "other"}, {})]),
            lambda: store.remove("parts", ["3"]),
            lambda: store.delete("parts"),
        ):
            with pytest.raises(StoreReadOnly, match="parts"):
                change()
        with pytest.raises(SpaceMismatch):
            store.put("parts", [one], {})
        assert store.fill("parts", info.space, [one], CORNERS[:1]) == 0
        assert [each.id for each in store.get("parts", sorted(rows))] == sorted(rows)

    def test_it_has_another_name(self, store: Store) -> None:
        store.rename("parts", "Parts")
        store.rename("parts", "부품")
        assert [(each.name, each.count) for each in store.collections()] == [("부품", COUNT)]

    def test_threads_may_share_it(self, store: Store) -> None:
        expected = self.hits(store.nearest("parts", Query(CORNERS[:1], 5))[0])
        found: list[bool] = []

        def ask() -> None:
            found.extend(
                self.hits(store.nearest("parts", Query(CORNERS[:1], 5))[0]) == expected for _ in range(5)
            )

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert found == [True] * 20
