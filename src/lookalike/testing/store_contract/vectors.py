"""Several vectors of a record, by name, as every store has them."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from lookalike.errors import (
    InvalidArgument,
    SpaceMismatch,
    VectorIncomplete,
    VectorNotFound,
)
from lookalike.stores.registry import open_store
from lookalike.stores.store import Store
from lookalike.testing.samples import (
    CORNERS,
    FIELDS,
    FITTED,
    REFITTED,
    SPACE,
    WORDS,
    corners,
    fill,
    known,
    nearest,
    random_vectors,
    record,
    scanned,
    turned,
)
from lookalike.types import Record, VectorInfo


class VectorsContract:
    """Named vectors: added, filled, searched, replaced, dropped."""

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
