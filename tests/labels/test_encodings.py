"""In which encoding label files are read: what is known of them, what is guessed, and that it is said."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from lookalike.errors import InvalidArgument
from lookalike.labels.encodings import ENCODINGS, Encodings
from lookalike.labels.labelling import Labelling
from lookalike.labels.reading import read_labels
from tests.labelled_tree import fields, read, reasons, remarks, tree

# What people call parts that they inspect, and a few other things.
WORDS = {
    "cp949": "양품 불량 정상 오염 긁힘 균열 찍힘 스크래치 구멍 얼룩 "
    "파손 변형 탱크 부품 이물 기포 합격 불합격 결함 좋음",
    "gb18030": "良品 不良 合格 不合格 划痕 裂纹 正常 缺陷 瑕疵 破损 "
    "污渍 气泡 毛刺 变形 漏装 孔洞 断线 色差 产品 零件",
    "cp932": "良品 不良 合格 不合格 傷あり キズ 汚れ ひび割れ 正常 異常 "
    "欠陥 変形 穴 破損 気泡 部品 検査 しみ へこみ 異物",
    "big5hkscs": "良品 不良 合格 不合格 刮傷 裂痕 正常 瑕疵 缺陷 破損 "
    "污漬 氣泡 毛邊 變形 孔洞 斷線 色差 產品 零件 外觀",
    "cp1252": "größe schön hässlich beschädigt défaut rayé écaillé fêlé "
    "señal rasguño daño niño São não blå röd fläck",
    "cp1251": "трещина царапина норма брак годен дефект пятно скол вмятина хорошо плохо деталь",
}


def table(*labels: str) -> str:
    return "file_name,label\n" + "".join(f"{n:03}.jpg,{label}\n" for n, label in enumerate(labels, 1))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tree(tmp_path / "root", {"001.jpg": None, "002.jpg": None, "003.jpg": None})


@pytest.mark.parametrize(
    ("encoding", "good", "bad"),
    [
        ("gbk", "良品", "不良"),
        ("gbk", "合格", "不合格"),
        ("gbk", "好", "坏"),
        ("cp949", "양품", "불량"),
        ("cp949", "정상", "균열"),
        ("cp932", "良品", "不良"),
        ("shift_jis", "キズなし", "傷あり"),
        ("big5", "良品", "不良"),
        ("cp1252", "schön", "beschädigt"),
        ("cp1250", "dobrý", "špatný"),
        ("cp1251", "годен", "брак"),
    ],
)
def test_the_encoding_of_two_words_is_found_and_said(root: Path, encoding: str, good: str, bad: str) -> None:
    labelling = read(tree(root, {"metadata.csv": table(good, bad).encode(encoding)}), "auto")
    assert fields(root, labelling) == {"001.jpg": {"label": good}, "002.jpg": {"label": bad}}
    (said,) = labelling.remarks
    assert said.path == str(root / "metadata.csv")
    assert "is not UTF-8; read as " in said.text
    assert "--encoding NAME" in said.text


@pytest.mark.parametrize("encoding", WORDS)
def test_of_short_tables_in_each_encoding_hardly_one_is_read_wrongly(encoding: str) -> None:
    """Six of a hundred at most, of 2 to 30 rows with two or three different words."""
    draw = random.Random(5)
    right = tried = 0
    for rows in (2, 3, 5, 10, 30):
        for _ in range(20):
            words = draw.sample(WORDS[encoding].split(), 2 if rows < 5 else 3)
            text = table(*(words[n % len(words)] for n in range(rows)))
            guessed = Encodings().guess({Path("metadata.csv"): text.encode(encoding)})
            tried += 1
            right += guessed == {Path("metadata.csv"): text}
    assert right >= 0.94 * tried, (right, tried)


@pytest.mark.parametrize("encoding", ["cp949", "gb18030", "cp932", "big5"])
def test_names_of_images_that_are_there_decide(tmp_path: Path, encoding: str) -> None:
    """`중국 中國` is valid in all of them; only in one it is the name of an image, or of its folder."""
    name = {"cp949": "중국", "gb18030": "中国", "cp932": "中国", "big5": "中國"}[encoding]
    text = f"file_name,label\n{name}/a.jpg,x\n"
    root = tree(tmp_path, {f"{name}/a.jpg": None, "metadata.csv": text.encode(encoding)})
    assert fields(root, read(root, "auto")) == {f"{name}/a.jpg": {"label": "x"}}


def test_all_files_below_a_folder_are_guessed_together(tmp_path: Path) -> None:
    """양호 alone is 剧龋 in GBK just as well; with other labels it is Korean."""
    words = ["양호", "긁힘", "균열", "오염", "얼룩"]
    for n, word in enumerate(words):
        label = '{"images": [{"file_name": "%d.jpg"}], "annotations": [{"attributes": {"q": "%s"}}]}'
        tree(tmp_path, {f"{n}.jpg": None, f"{n}.json": (label % (n, word)).encode("cp949")})
    labelling = read(tmp_path, "auto")
    assert {found["q"] for found in fields(tmp_path, labelling).values()} == set(words)
    assert remarks(labelling) == [
        "is not UTF-8; read as CP949 (Korean), and so are 4 more files: --encoding NAME reads it otherwise"
    ]


def test_an_encoding_that_is_given_overrules_the_guess_and_not_what_a_file_says_itself(root: Path) -> None:
    def read_as(encoding: str | None) -> Labelling:
        return read_labels(root, [root / "001.jpg"], [root / "metadata.csv"], "auto", encoding)

    tree(root, {"metadata.csv": table("양호").encode("cp949")})
    labelling = read_as("euc-kr")
    assert fields(root, labelling) == {"001.jpg": {"label": "양호"}}
    assert labelling.remarks == []
    assert fields(root, read_as("gbk")) == {"001.jpg": {"label": "양호".encode("cp949").decode("gbk")}}
    tree(root, {"metadata.csv": table("양호").encode("utf-8-sig")})
    assert fields(root, read_as("gbk")) == {"001.jpg": {"label": "양호"}}
    tree(root, {"metadata.csv": table("양호").encode("utf-16")})
    assert fields(root, read_as("cp1252")) == {"001.jpg": {"label": "양호"}}


@pytest.mark.parametrize("name", ["no-such-thing", "base64", "", "a\0b"])
def test_what_is_no_text_encoding_is_refused_with_those_that_are(root: Path, name: str) -> None:
    with pytest.raises(InvalidArgument, match="such as utf-8, utf-16, cp949"):
        read_labels(root, [], [], "none", name)


def test_text_that_is_not_in_the_encoding_given_is_reported(root: Path) -> None:
    tree(root, {"a.json": b"\xff\xff", "b.json": b"{}"})
    labelling = read_labels(root, [root / "001.jpg"], [root / "a.json", root / "b.json"], "json", "utf-8")
    assert reasons(root, labelling)[0] == ("a.json", "the text is not utf-8, which --encoding says")


def test_utf8_with_a_damaged_byte_is_not_taken_for_another_encoding(root: Path) -> None:
    damaged = table("정상이 아님", "긁힘이 깊음").encode().replace("깊음".encode(), b"\xea\xb9\x8a\xec\x9d")
    labelling = read(tree(root, {"metadata.csv": damaged}), "auto")
    assert fields(root, labelling) == {
        "001.jpg": {"label": "정상이 아님"},
        "002.jpg": {"label": "긁힘이 깊\ufffd"},
    }
    assert "read as UTF-8 with 1 damaged character" in remarks(labelling)[0]


def test_every_encoding_that_is_guessed_is_one_of_pythons() -> None:
    for name in ENCODINGS:
        assert "label".encode(name) == b"label"
