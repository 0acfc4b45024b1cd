"""Words in names, fields and captions, as every store finds them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lookalike.errors import InvalidArgument
from lookalike.stores.store import Store
from lookalike.stores.wording import query_terms
from lookalike.testing.samples import CORNERS, SPACE, STRANGE_TEXTS, corners, exchange, fill, put, record
from lookalike.uris import record_id


class WordsContract:
    """Search by words."""

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
