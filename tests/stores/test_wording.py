"""Which words a record is found by, and which a question asks for."""

from __future__ import annotations

import string
import unicodedata
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.stores.wording import MOST_TERMS, TEXT_BYTES, WORD_CHARACTERS, query_terms, record_text

if TYPE_CHECKING:
    from lookalike.types import Scalar

texts = st.text(st.characters(codec=None), max_size=60) | st.text(
    st.sampled_from("aZz09 _-.\u0301탱크ー々中ßſﬁ①\u200b\xad\u200d'\"{}"), max_size=60
)


def words_of(text: str) -> list[str]:
    return record_text("", {}, {"a": text}).split()


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("A photo of a RED car", "a photo of red car"),
        ("mountains cities boxes glass bus gas shoes lens", "mountain city boxe glass bus gas shoe len"),
        ("탱크", "탱크"),
        ("탱크상부", "탱크상부 탱크 크상 상부"),
        ("눈 덮인 산", "눈 덮인 산"),
        ("부품A12호", "부품 a12 호"),
        ("東京タワー ｶﾒﾗ", "東京タワー 東京 京タ タワ ワー カメラ カメ メラ"),
        ("葛\U000e0100飾", "葛飾"),
        ("हिन्दी ไทย العربيّة", "हिन्दी ไทย العربيّة"),
        ("Straße ΣΊΣΥΦΟΣ ﬁle Cafe\u0301", "strasse σίσυφοσ file café"),
        ("co\xadop a\u200bb ①", "coop a b 1"),
        ("it's 3.5 -2 v1.2_x", "it s 3 5 2 v1 x"),
        ('"a" AND b* NEAR(c) {d} ^e:f %g& h|i\\\\j', "a and b near c d e f g h i j"),
        ("two words two words", "two word"),
        (" \n\0\udcff?!👩\u200d🔬", ""),
    ],
)
def test_a_question_asks_for_words(text: str, terms: str) -> None:
    assert query_terms(text) == terms.split()


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("file:///home/Parts/weldSeam_12.JPG", "weldseam weld seam 12 home part"),
        ("file:///a/IMG-0042.b.jpeg", "img 0042 b a"),
        (
            "file:///HTTPServer2/탱크상부3.png".replace("탱크상부", "%ED%83%B1%ED%81%AC%EC%83%81%EB%B6%80"),
            "탱크상부 탱크 크상 상부 3 httpserver2 http server 2",
        ),
        ("file:///x/no_extension", "no extension x"),
        ("file:///x/.hidden", "hidden x"),
        ("file:///x/.hidden.png", "hidden x"),
        ("file:///%FF/%00.jpg", ""),
        ("s3://my-bucket/One.jpg", "one my bucket"),
        ("one.jpg", "one"),
        ("", ""),
    ],
)
def test_a_file_is_found_by_its_name_and_folders(uri: str, words: str) -> None:
    assert record_text(uri, {}, {}) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1, "1"),
        (1.0, "1"),
        (True, "true"),
        (False, "false"),
        (0.0, "0"),
        (-0.0, "0"),
        (2.5, "2 5"),
        (-7, "7"),
        (1e300, str(int(1e300))[:WORD_CHARACTERS]),
        (2**63 - 1, "9223372036854775807"),
        ("1", "1"),
        ("Very bad", "very bad"),
    ],
    ids=repr,
)
def test_values_of_fields_are_words_and_their_names_are_not(value: Scalar, words: str) -> None:
    assert record_text("", {"quality": value}, {}) == words


def test_all_strings_in_metadata_are_words_in_their_order() -> None:
    deep: Any = "deep"
    for _ in range(5_000):
        deep = [deep]
    metadata = {"key": "one", "b": [{"c": "two", "d": 3}, None, True, ["three"]], "e": deep}
    assert record_text("", {"x": "zero"}, metadata) == "zero one two three deep"


@given(texts)
def test_what_is_asked_for_is_found_in_what_was_kept(text: str) -> None:
    kept = set(words_of(text))
    assert set(query_terms(text)) == kept
    for word in text.split():
        assert set(query_terms(word)) <= kept


@given(texts)
def test_words_are_the_same_in_any_case_and_unicode_form(text: str) -> None:
    for form in ("NFC", "NFD"):
        assert query_terms(unicodedata.normalize(form, text)) == query_terms(text)
    if text.isascii():
        assert query_terms(text.upper()) == query_terms(text.swapcase())


@given(texts)
def test_words_hold_nothing_that_a_query_language_reads(text: str) -> None:
    for word in words_of(text):
        assert 1 <= len(word) <= WORD_CHARACTERS
        assert all(unicodedata.category(character)[0] in "LNM" for character in word)
        word.encode()


@given(st.text(string.ascii_lowercase, min_size=1, max_size=12))
def test_a_word_is_one_word_whatever_its_ending(word: str) -> None:
    (term,) = query_terms(word)
    assert query_terms(word + " " + word) == [term]


def test_long_words_are_compared_by_their_beginning() -> None:
    assert query_terms("x" * 10_000) == ["x" * WORD_CHARACTERS]
    assert query_terms("탱" * 10_000) == ["탱" * WORD_CHARACTERS, "탱탱"]


def test_a_long_question_is_cut() -> None:
    assert query_terms(" ".join(map(str, range(1_000)))) == [str(n) for n in range(MOST_TERMS)]


@pytest.mark.parametrize("word", ["w{}", "탱크{}"])
def test_the_words_of_a_record_have_an_end(word: str) -> None:
    many = " ".join(word.format(number) for number in range(200_000))
    text = record_text("file:///a/name.jpg", {"a": "first"}, {"b": many, "c": "last"})
    assert TEXT_BYTES - 300 < len(text.encode()) <= TEXT_BYTES
    assert text.startswith("first name a ")
    assert "last" not in text
    assert not text.endswith(" ")
    small = record_text("file:///a/name.jpg", {"a": "first"}, {"b": ["x"] * 10, "c": "last"})
    assert small.endswith(" x last")
