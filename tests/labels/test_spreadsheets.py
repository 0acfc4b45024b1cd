"""What tables may look like that spreadsheets and other machines write, and are read all the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookalike.errors import LabelsInvalid
from lookalike.labels.reading import read_labels
from lookalike.labels.tables.column_types import decimal_comma, listed
from tests.labelled_tree import fields, read, reasons, remarks, tree

ROWS = "file_name,label\n001.jpg,good\n002.jpg,bad\n003.jpg,good\n"
LABELS = {"001.jpg": {"label": "good"}, "002.jpg": {"label": "bad"}, "003.jpg": {"label": "good"}}
LINES = [
    '{"file_name": "001.jpg", "label": "good"}',
    '{"file_name": "002.jpg", "label": "bad "}',
    '{"file_name": "003.jpg", "label": ["good"]}',
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tree(tmp_path / "root", {"001.jpg": None, "002.jpg": None, "003.jpg": None})


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metadata.csv", ROWS.replace(",", ";")),
        ("metadata.csv", ROWS.replace(",", "\t")),
        ("metadata.csv", ROWS.replace(",", "|")),
        ("metadata.tsv", ROWS.replace(",", "\t")),
        ("METADATA.CSV", ROWS),
        ("metadata.csv", "sep=;\r\n" + ROWS.replace(",", ";")),
        ("metadata.csv", '"sep=|"\n' + ROWS.replace(",", "|")),
        ("metadata.csv", "\ufeffsep=;\r\n" + ROWS.replace(",", ";").replace("\n", "\r\n")),
        ("metadata.csv", ROWS.replace(",", "\t").encode("utf-16")),
        ("metadata.csv", b"\xfe\xff" + ROWS.encode("utf-16-be")),
        ("metadata.csv", ROWS.encode("utf-32")),
        ("metadata.csv", '\ufeff\ufeff"file_name","label"' + ROWS.removeprefix("file_name,label")),
        ("metadata.csv", ROWS.replace("\n", "\r")),
        ("metadata.csv", "\n\n" + ROWS.replace("\n", "\n,\n")),
        ("metadata.csv", ROWS.replace("\n", ",,\n")),
        ("metadata.csv", ROWS.replace("good", "good,,").replace("bad", "bad,")),
        ("metadata.csv", ROWS.replace("file_name,label", "\u200bFile_Name , LABEL\u00a0")),
        ("metadata.csv", ROWS.replace("good", "\u3000good\ufeff").replace("002.jpg", " 002.jpg\u00a0")),
        ("metadata.csv", ROWS.replace(",", ', "').replace("\n", '"\n').replace('label"', 'label"')),
        ("metadata.csv", ROWS.replace("file_name,label", "file_name,label,label").replace("bad", "bad,bad")
         .replace("good", "good,good")),
        ("metadata.jsonl", "\r".join(LINES[:2]) + "\r\n" + LINES[2]),
        ("metadata.jsonl", f"[{', '.join(LINES)}]"),
    ],
)  # fmt: skip
def test_it_is_read_and_there_is_nothing_to_say(root: Path, name: str, content: str | bytes) -> None:
    labelling = read(tree(root, {name: content}), "auto")
    assert labelling.mode == "table"
    assert fields(root, labelling) == LABELS
    assert reasons(root, labelling) == []
    assert remarks(labelling) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            ROWS.replace("jpg", "JPG"),
            "3 names differ from their images by upper and lower case: 001.JPG is 001.jpg",
        ),
        (ROWS.replace(".jpg", ""), "3 names have no ending, and their images have: 001 is 001.jpg"),
        (ROWS.replace("00", "C:\\data\\images\\00"), r"C:\data\images\001.jpg is 001.jpg"),
        (ROWS.replace("00", "\\\\nas\\set\\00"), r"\\nas\set\001.jpg is 001.jpg"),
        (ROWS.replace("00", "/home/kim/set/00"), "/home/kim/set/001.jpg is 001.jpg"),
        (ROWS.replace("00", "https://example.org/a%20b/00"), "https://example.org/a%20b/001.jpg is 001.jpg"),
        (ROWS.replace("file_name", "Image Path"), "its column 'Image Path' names the images"),
        (ROWS.replace("file_name", "파일명"), "its column '파일명' names the images"),
        (ROWS.replace("file_name", "文件名"), "its column '文件名' names the images"),
        (ROWS.replace("file_name", "ファイル名"), "its column 'ファイル名' names the images"),
        (ROWS.replace("file_name", "Dateiname"), "its column 'Dateiname' names the images"),
        (ROWS.replace("file_name", "which"), "its column 'which' names the images"),
        (
            ROWS.replace("file_name,label\n", ""),
            "has no headings; its columns are taken for file_name, label",
        ),
        (ROWS.replace("file_name,label\n", "").replace(",", " "), "has no headings"),
        ("Results of May,\n,\n" + ROWS, "line 3 is taken for its headings"),
        (ROWS.encode("utf-16-le"), "read as UTF-16-LE without its mark"),
        (ROWS.encode("utf-16-be"), "read as UTF-16-BE without its mark"),
    ],
)
def test_what_was_assumed_is_said(root: Path, content: str | bytes, said: str) -> None:
    labelling = read(tree(root, {"metadata.csv": content}), "auto")
    assert fields(root, labelling) == LABELS
    assert reasons(root, labelling) == []
    assert said in " ".join(remarks(labelling))


def test_a_name_is_looked_for_below_its_folder_and_never_in_another(tmp_path: Path) -> None:
    tree(tmp_path, {"train/001.jpg": None, "val/002.jpg": None, "val/003.jpg": None, "test/003.jpg": None})
    names = ["001", "002.jpg", "train/003.jpg", "003.jpg", "val/003.jpg"]
    tree(
        tmp_path, {"metadata.csv": "file_name,n\n" + "".join(f"{name},{n}\n" for n, name in enumerate(names))}
    )
    labelling = read(tmp_path, "table")
    assert fields(tmp_path, labelling) == {
        "train/001.jpg": {"n": 0},
        "val/002.jpg": {"n": 1},
        "val/003.jpg": {"n": 4},
    }
    assert [reason for _, reason in reasons(tmp_path, labelling)] == [
        "line 4: there is no image 'train/003.jpg': test/003.jpg has that name, in another folder",
        "line 5: 2 images agree equally well with it: test/003.jpg, val/003.jpg",
    ]


def test_two_names_that_mean_one_image_only_without_their_folders_contradict_each_other(root: Path) -> None:
    tree(root, {"metadata.csv": "file_name,label\ntrain/001.jpg,good\nval/001.jpg,bad\n"})
    labelling = read(root, "table")
    assert labelling.labels == {}
    assert all("contradicts" in reason for _, reason in reasons(root, labelling))


def test_the_folder_of_the_table_decides_between_images_of_a_name(tmp_path: Path) -> None:
    tree(tmp_path, {f"images/{part}/001.jpg": None for part in ("train", "val")})
    tree(tmp_path, {"labels/val/metadata.csv": "file_name,label\n001.jpg,good\n"})
    assert fields(tmp_path, read(tmp_path, "auto")) == {"images/val/001.jpg": {"label": "good"}}


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("001.png", "001.jpg differs by its ending"),
        ("1.jpg", "001.jpg differs by zeros before its number"),
        ("1", "001.jpg differs by zeros before its number"),
        ("0_01(.jpg", "001.jpg differs by blanks and signs"),
        ("??.jpg", "characters of its name were lost when the table was saved; save it as UTF-8"),
    ],
)
def test_a_name_that_no_image_has_is_reported_with_what_comes_nearest(
    root: Path, name: str, hint: str
) -> None:
    tree(root, {"metadata.csv": f"file_name,label\n{name},x\n"})
    assert reasons(root, read(root, "table")) == [
        ("metadata.csv", f"line 2: there is no image {name!r}: {hint}")
    ]


def test_rows_of_one_image_that_spell_it_differently_are_joined(root: Path) -> None:
    tree(root, {"metadata.csv": "file_name,label\n001.JPG,stain\n./001.jpg,hole\n001,hole\n"})
    assert fields(root, read(root, "table")) == {"001.jpg": {"label": "hole, stain"}}


def test_two_columns_of_a_name_are_two_fields_and_a_list_in_a_cell_is_several_labels(root: Path) -> None:
    tree(root, {"metadata.csv": "file_name,n,n,label\n001.jpg,1,2,\"['stain', 'hole']\"\n"})
    labelling = read(root, "table")
    assert fields(root, labelling) == {"001.jpg": {"n": 1, "n_2": 2, "label": "hole, stain"}}
    assert remarks(labelling) == ["two columns are called n: the later one is n_2"]


def test_a_value_longer_than_the_csv_modules_limit_is_read(root: Path) -> None:
    tree(root, {"metadata.csv": f"file_name,text\n001.jpg,{'x' * 200_000}\n"})
    assert fields(root, read(root, "table")) == {"001.jpg": {"text": "x" * 200_000}}


def test_a_quotation_mark_in_tab_separated_values_is_one_of_the_text(root: Path) -> None:
    tree(root, {"metadata.tsv": 'file_name\tlabel\n001.jpg\t5" hole\n002.jpg\t"bad\n'})
    assert fields(root, read(root, "table")) == {
        "001.jpg": {"label": '5" hole'},
        "002.jpg": {"label": '"bad'},
    }


def test_decimals_with_a_comma_are_numbers_where_the_comma_parts_no_values(root: Path) -> None:
    tree(root, {"metadata.csv": "file_name;w;id\n001.jpg;1,5;1,234\n002.jpg;-1.002,25;5,678\n003.jpg;3;\n"})
    labelling = read(root, "table")
    assert fields(root, labelling) == {
        "001.jpg": {"w": 1.5, "id": "1,234"},
        "002.jpg": {"w": -1002.25, "id": "5,678"},
        "003.jpg": {"w": 3},
    }
    assert remarks(labelling) == ["the numbers of w have a decimal comma"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1,5", ""], ["1.5", ""]),
        (["0,123"], ["0.123"]),
        (["1,234"], None),
        (["1,5", "x"], None),
        (["007,5"], None),
        (["1.5", "2,5"], None),
        (["15"], None),
    ],
)
def test_only_a_column_of_numbers_has_decimal_commas(values: list[str], expected: list[str] | None) -> None:
    assert decimal_comma(values) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('["a", "b"]', ["a", "b"]),
        ("['a']", ["a"]),
        ("[1, 2]", None),
        ("[]", None),
        ("[a]", None),
        ("[" * 5_000 + "]" * 5_000, None),
        ("['a'] + ['b']", None),
    ],
)
def test_only_a_list_of_strings_is_one(text: str, expected: list[str] | None) -> None:
    assert listed(text) == expected


def test_of_several_tables_one_that_cannot_be_used_is_reported_and_the_others_count(tmp_path: Path) -> None:
    tree(tmp_path, {"a/1.jpg": None, "a/metadata.csv": "file_name,label\n1.jpg,good\n"})
    tree(tmp_path, {"b/2.jpg": None, "b/metadata.csv": b"PK\x03\x04..xl/workbook.xml"})
    labelling = read(tmp_path, "auto")
    assert fields(tmp_path, labelling) == {"a/1.jpg": {"label": "good"}}
    ((name, reason),) = reasons(tmp_path, labelling)
    assert name == "b/metadata.csv"
    assert "cannot be used at all: is an Excel workbook" in reason


# Tables that are not called metadata.


def test_a_table_of_any_name_is_read_where_nothing_else_gives_labels(root: Path) -> None:
    labelling = read(tree(root, {"labels.csv": ROWS}), "auto")
    assert (labelling.mode, fields(root, labelling)) == ("table", LABELS)
    assert labelling.remarks[0].path == str(root / "labels.csv")
    assert "its column 'file_name' names images (3 of 3 rows)" in labelling.remarks[0].text


def test_tables_of_parts_are_read_together_and_of_several_about_the_same_images_one(root: Path) -> None:
    tree(root, {"train.csv": "image,label\n001.jpg,good\n", "val.csv": "image,label\n002.jpg,bad\n"})
    tree(
        root, {"sizes.csv": "image,width\n001.jpg,160\n", "sample_submission.csv": "image,label\n003.jpg,x\n"}
    )
    labelling = read(root, "auto")
    assert fields(root, labelling) == {"001.jpg": {"label": "good"}, "002.jpg": {"label": "bad"}}
    ((one, why), (other, reason)) = reasons(root, labelling)
    assert (one, other) == ("sample_submission.csv", "sizes.csv")
    assert "answers of a model" in why
    assert "the labels are taken from train.csv, and it names the same images" in reason


@pytest.mark.parametrize(
    "files",
    [
        {"good/004.jpg": None},
        {"metadata.csv": "file_name,label\n001.jpg,good\n"},
        {"001.json": {"images": [{"file_name": "001.jpg"}]}},
    ],
)
def test_else_it_is_said_what_it_looks_like_and_what_to_do(root: Path, files: dict[str, Any]) -> None:
    labelling = read(tree(root, {**files, "labels.csv": ROWS.replace("good", "from labels.csv")}), "auto")
    assert "from labels.csv" not in str(labelling.labels)
    ((name, reason),) = reasons(root, labelling)
    assert name == "labels.csv"
    assert "looks like labels and is not used" in reason
    assert "called metadata.csv it is read" in reason


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("labels.xlsx", b"PK\x03\x04", "save it as CSV"),
        ("annotations.xls", b"\xd0\xcf\x11\xe0", "save it as CSV"),
        (
            "train.csv",
            ROWS.replace("jpg", "png"),
            "there is no image '001.png': 001.jpg differs by its ending",
        ),
        ("classes.csv", "part,kind\nhull,1\n", "no column file_name: the columns are part, kind"),
        ("labels.csv", b"PK\x03\x04..xl/workbook.xml", "is an Excel workbook"),
        ("labels.csv", "", "is empty"),
    ],
)
def test_so_is_one_that_only_its_name_makes_look_like_labels(
    root: Path, name: str, content: str | bytes, reason: str
) -> None:
    labelling = read(tree(root, {name: content, "measured.csv": "time,value\n1,2\n"}), "auto")
    assert labelling.mode == "none"
    ((path, said),) = reasons(root, labelling)
    assert path == name
    assert reason in said
    assert labelling.expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        # Kaggle: folders that are parts, one table of ids.
        (
            {"train/0a.jpg": None, "test/0b.jpg": None, "train.csv": "id,label\n0a,7\n"},
            {"train/0a.jpg": {"label": 7, "split": "train"}},
        ),
        (
            {"train_images/0a.jpg": None, "test_images/0b.jpg": None, "train.csv": "id,breed\n0a,pug\n"},
            {"train_images/0a.jpg": {"breed": "pug", "split": "train"}},
        ),
        # Roboflow: a table in each part, a column for each class.
        (
            {"train/a.jpg": None, "train/b.jpg": None, "valid/c.jpg": None,
             "train/_classes.csv": "filename, Hole, Stain\na.jpg, 1, 0\nb.jpg, 0, 0\n",
             "valid/_classes.csv": "filename, Hole, Stain\nc.jpg, 1, 1\n"},
            {"train/a.jpg": {"Hole": 1, "Stain": 0, "label": "Hole", "split": "train"},
             "train/b.jpg": {"Hole": 0, "Stain": 0, "split": "train"},
             "valid/c.jpg": {"Hole": 1, "Stain": 1, "label": "Hole, Stain", "split": "val"}},
        ),
        # One folder of all images names no class beside a table of labels.
        (
            {"img_align/1.jpg": None, "img_align/2.jpg": None,
             "labels.csv": "file_name,label\n1.jpg,a\n2.jpg,b\n"},
            {"img_align/1.jpg": {"label": "a"}, "img_align/2.jpg": {"label": "b"}},
        ),
        # ImageNet's lists.
        (
            {"val/1.jpg": None, "val/2.jpg": None, "val.txt": "1.jpg 65\n2.jpg 970\n"},
            {"val/1.jpg": {"label": 65, "split": "val"}, "val/2.jpg": {"label": 970, "split": "val"}},
        ),
    ],
)  # fmt: skip
def test_so_it_is_where_folders_only_say_which_part_or_are_one(
    tmp_path: Path, files: dict[str, Any], expected: dict[str, Any]
) -> None:
    labelling = read(tree(tmp_path, files), "auto")
    assert (labelling.mode, fields(tmp_path, labelling)) == ("table", expected)


def test_one_folder_of_all_images_is_their_label_beside_a_table_of_something_else(tmp_path: Path) -> None:
    tree(tmp_path, {"hull/1.jpg": None, "hull/2.jpg": None, "sizes.csv": "file_name,width\n1.jpg,7\n"})
    labelling = read(tmp_path, "auto")
    assert [each["label"] for each in fields(tmp_path, labelling).values()] == ["hull", "hull"]


@pytest.mark.parametrize(
    ("table", "labels", "said"),
    [
        ("file_name,class\n001.jpg,a\n002.jpg,b\n", ["a", "b"], "its column 'class' is the label"),
        ("file_name,분류\n001.jpg,a\n002.jpg,\n", ["a", None], "its column '분류' is the label"),
        ("file_name,category,label\n001.jpg,a,x\n002.jpg,b,y\n", ["x", "y"], ""),
        ("file_name,A,B,C\n001.jpg,0.0,1.0,0.0\n002.jpg,1.0,0.0,1.0\n", ["B", "A, C"], "A, B, C hold 0 or 1"),
        ("file_name,split,A,B\n001.jpg,val,0,1\n002.jpg,val,1,0\n", ["B", "A"], "A, B hold 0 or 1"),
        ("file_name,A,B\n001.jpg,0,1\n002.jpg,2,0\n", [None, None], ""),
        ("file_name,A\n001.jpg,0\n002.jpg,1\n", [None, None], ""),
        ("file_name,A,B\n001.jpg,false,true\n002.jpg,true,false\n", [None, None], ""),
        ("file_name,A,B,part\n001.jpg,0,1,x\n002.jpg,1,0,y\n", [None, None], ""),
    ],
)
def test_what_a_column_of_another_name_says_is_the_label_and_that_is_said(
    root: Path, table: str, labels: list[str | None], said: str
) -> None:
    labelling = read(tree(root, {"metadata.csv": table}), "auto")
    assert [fields(root, labelling)[name].get("label") for name in ("001.jpg", "002.jpg")] == labels
    assert bool(said) == bool(labelling.remarks)
    assert all(said in remark.text for remark in labelling.remarks)


def test_the_attributes_of_vgg_image_annotator_are_fields(root: Path) -> None:
    table = (
        "filename,file_attributes,region_count,region_id,region_attributes\n"
        '001.jpg,"{""quality"":""good""}",2,0,"{""type"":""hole""}"\n'
        '001.jpg,"{""quality"":""good""}",2,1,"{""type"":""stain""}"\n'
        '002.jpg,"{}",0,0,"{}"\n003.jpg,{broken,0,0,7\n'
    )
    found = fields(root, read(tree(root, {"via_export_csv.csv": table}), "auto"))
    assert {k: found["001.jpg"][k] for k in ("quality", "type")} == {"quality": "good", "type": "hole, stain"}
    assert "region_attributes" not in found["001.jpg"]
    assert found["002.jpg"] == {"region_count": 0, "region_id": 0}
    assert found["003.jpg"]["file_attributes"] == "{broken"


def test_single_quotation_marks_around_all_values_are_none_of_them(root: Path) -> None:
    rows = "'001.jpg','a'\n'002.jpg','b, c'\n'003.jpg',\n".replace("'b, c'", "'b'")
    found = fields(root, read(tree(root, {"metadata.csv": f"'file_name','label'\n{rows}"}), "auto"))
    assert found == {"001.jpg": {"label": "a"}, "002.jpg": {"label": "b"}, "003.jpg": {}}
    tree(root, {"metadata.csv": "file_name,label\n001.jpg,'a'\n002.jpg,'b'\n"})
    assert fields(root, read(root, "auto"))["001.jpg"] == {"label": "'a'"}


def test_a_table_without_rows_says_so(root: Path) -> None:
    labelling = read(tree(root, {"metadata.csv": "file_name,label\n"}), "auto")
    assert reasons(root, labelling) == [("metadata.csv", "has headings and no rows below them")]


def test_what_excel_keeps_beside_an_open_workbook_is_no_table(root: Path) -> None:
    labelling = read(tree(root, {"labels.xlsx": b"PK\x03\x04", "~$labels.xlsx": b"x"}), "auto")
    assert [path for path, _ in reasons(root, labelling)] == ["labels.xlsx"]


def test_the_name_that_makes_a_table_read_is_one_that_is_read(root: Path) -> None:
    labelling = read(tree(root, {"good/004.jpg": None, "labels.txt": "001.jpg a\n002.jpg b\n"}), "auto")
    ((_, reason),) = reasons(root, labelling)
    assert "called metadata.csv it is read" in reason


def test_a_table_of_numbers_is_none_of_labels_though_images_are_numbered(tmp_path: Path) -> None:
    tree(tmp_path, {"1.jpg": None, "2.jpg": None, "sensor.csv": "time,value\n1,20.5\n2,20.7\n"})
    labelling = read(tmp_path, "auto")
    assert (labelling.mode, labelling.skipped, labelling.expected) == ("none", [], False)


def test_mode_table_reads_it_or_says_what_is_there(root: Path) -> None:
    tree(root, {"good/001.jpg": None, "labels.xlsx": b"PK\x03\x04"})
    with pytest.raises(LabelsInvalid, match=r"no metadata\.csv.*labels\.xlsx looks like labels"):
        read(root, "table")
    tree(root, {"labels.csv": "file_name,label\n002.jpg,bad\n"})
    assert fields(root, read(root, "table")) == {"002.jpg": {"label": "bad"}}


PIECES = [
    *(bytes([byte]) for byte in b',;\t\n\r"\0{}:[] /\\\xff\xfe'),
    *(b"file_name", b"001.jpg", b"sep=", b"images", b"label", b"\xb0\xa1", b"%00", b"..", b"\xef\xbb\xbf"),
]


@pytest.mark.parametrize(
    "name",
    [
        "metadata.csv",
        "metadata.tsv",
        "metadata.jsonl",
        "metadata.parquet",
        "labels.csv",
        "a.json",
        "labels.txt",
    ],
)
@settings(max_examples=60)
@given(
    st.binary(max_size=200)
    | st.text(max_size=100).map(str.encode)
    | st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join)
)
def test_any_bytes_are_labels_or_are_reported(
    tmp_path_factory: pytest.TempPathFactory, name: str, content: bytes
) -> None:
    root = tree(tmp_path_factory.mktemp("fuzzed"), {"001.jpg": None, name: content})
    for mode in ("auto", "table", "json"):
        try:
            labelling = read_labels(root, [root / "001.jpg"], [root / name], mode)
        except LabelsInvalid:
            continue
        for found in labelling.labels.values():
            str(dict(found.fields)).encode()


def test_a_name_with_a_nul_is_no_image(tmp_path: Path) -> None:
    table = b"file_name,label\n001.jpg,good\n0\x0001.jpg,bad\n"
    root = tree(tmp_path, {"001.jpg": None, "labels.csv": table})
    found = read_labels(root, [root / "001.jpg"], [root / "labels.csv"], "auto")
    assert dict(found.labels[root / "001.jpg"].fields)["label"] == "good"
