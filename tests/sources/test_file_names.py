"""Names of files whose bytes are no UTF-8, or that were read in the wrong code page, say what they were."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.file_names import display, possible_names, read_name, readable


def packed(name: str, encoding: str) -> str:
    """Return a name as Python has it where a zip's bytes were written as they are."""
    return os.fsdecode(name.encode(encoding))


@pytest.mark.parametrize(
    ("name", "encoding", "called"),
    [
        ("부품1.jpg", "cp949", "CP949"),
        ("양품", "cp949", "CP949"),
        ("불량 사진 2.png", "cp949", "CP949"),
        ("똠방각하", "cp949", "CP949"),
        ("img부품_01.jpg", "cp949", "CP949"),
        ("部品1.jpg", "cp932", "Shift-JIS"),
        ("テスト.png", "cp932", "Shift-JIS"),
        ("不良品", "cp932", "Shift-JIS"),
        ("照片", "gbk", "GBK"),
        ("圖片", "big5", "Big5"),
        ("café.jpg", "cp1252", "CP1252"),
        ("café.jpg", "cp437", "CP437"),
        ("Größe", "latin-1", "CP1252"),
    ],
)
def test_bytes_that_are_no_utf8_are_read(name: str, encoding: str, called: str) -> None:
    assert read_name(packed(name, encoding)) == (name, called)
    assert readable(f"/data/가/{packed(name, encoding)}/1.jpg") == f"/data/가/{name}/1.jpg"
    assert display(f"there is no image '{packed(name, encoding)}'") == f"there is no image '{name}'"


@pytest.mark.parametrize(
    ("shown", "name"),
    [
        ("║╬╟░1.jpg", "부품1.jpg"),
        ("╛τ╟░", "양품"),
        ("║╥╖« ╗τ┴°.jpg", "불량 사진.jpg"),
        ("ºÎÇ°1.jpg", "부품1.jpg"),
        ("║╬Ã░1.jpg", "부품1.jpg"),
        ("δ╢ÇφÆê1.jpg", "부품1.jpg"),
        ("òöòi1.jpg", "部品1.jpg"),
        ("Ä╩É^.jpg", "写真.jpg"),
        ("cafÃ©.jpg", "café.jpg"),
    ],
)
def test_names_that_were_read_in_the_wrong_code_page_are_read_again(shown: str, name: str) -> None:
    assert readable(shown) == name
    assert display(Path(f"/data/{shown}")) == f"/data/{name}"
    assert name in possible_names(shown)


@pytest.mark.parametrize(
    "name",
    [
        *("château.jpg", "créée", "pâté", "âgé", "Ångström", "Übergröße", "Łódź", "São_Tomé", "naïve café"),
        *("── title ──", "────", "┌─┐", "│ │", "25°C", "100±5µm", "½¾", "«texto»", "©®™", "•·•", "Δx"),
        *("부품", "양품 1.jpg", "部品", "テスト", "photo.jpg", "😀", "привет", "αβγ", "ÀÁÂÃ", "ÄÖÜ"),
    ],
)
def test_names_that_are_right_stay(name: str) -> None:
    assert read_name(name) == (name, "")
    assert display(name) == name


def test_bytes_that_say_nothing_are_escaped() -> None:
    assert display("1\udcff.jpg\n") == "1\\udcff.jpg\\n"


@given(st.binary(max_size=12))
def test_any_name_is_shown_in_one_valid_line(name: bytes) -> None:
    text = os.fsdecode(name)
    for shown in (display(text), display(Path(text))):
        assert shown.isprintable()
        shown.encode()
    for possible in possible_names(text):
        assert isinstance(possible, str)


@given(st.text(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3), min_size=1, max_size=6))
def test_syllables_in_use_are_read_in_cp949(name: str) -> None:
    if len(name.encode("euc_kr")) > 2 * len(name):  # KS X 1001 has no such syllable
        return
    assert readable(f"/{packed(name, 'cp949')}.jpg") == f"/{name}.jpg"
