"""Files of labels in forms that few tools write: they are read, or it is said that they are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lookalike.labels.similar_labels import similar_label_remarks
from tests.labelled_tree import fields, read, reasons, tree

IMAGES = {"d/001.jpg": None, "d/002.jpg": None, "d/003.jpg": None}


@pytest.mark.parametrize(
    "content",
    [
        {"good": ["001.jpg", "003.jpg"], "bad": ["d/002.jpg"]},
        {"file_name": ["001.jpg", "002.jpg", "003.jpg"], "label": ["good", "bad", "good"]},
        {
            "file_name": {"0": "001.jpg", "1": "002.jpg", "2": "003.jpg"},
            "label": {"0": "good", "1": "bad", "2": "good"},
        },
        {"classes": ["good", "bad"], "labels": {"001": 0, "002": 1, "003": 0}},
        {"labels": {"001": "good", "002": "bad", "003": "good"}},
        {"labels": {"001": {"label": "good", "confidence": 1}, "002": {"label": "bad"}, "003": "good"}},
    ],
)
def test_one_json_file_of_all_labels_is_read(tmp_path: Path, content: Any) -> None:
    labelling = read(tree(tmp_path, {**IMAGES, "labels.json": content}), "auto")
    labels = {path: each["label"] for path, each in fields(tmp_path, labelling).items()}
    assert labels == {"d/001.jpg": "good", "d/002.jpg": "bad", "d/003.jpg": "good"}
    assert labelling.skipped == []


def test_numbers_by_name_are_classes_where_some_recur(tmp_path: Path) -> None:
    tree(tmp_path, {**IMAGES, "labels.json": {"001.jpg": 0, "002.jpg": 1, "003.jpg": 0}})
    found = fields(tmp_path, read(tmp_path, "auto"))
    assert [each["label"] for each in found.values()] == ["0", "1", "0"]


@pytest.mark.parametrize(
    ("content", "label"),
    [
        ({"tags": [{"name": "good", "value": None}], "objects": []}, "good"),
        ({"tags": [], "objects": [{"classTitle": "hole", "geometryType": "bitmap", "tags": []}]}, "hole"),
        ({"tags": ["good", "train"]}, "good"),
        ({"label": "bad", "tags": ["good"]}, "bad"),
    ],
)
def test_tags_are_the_label_where_nothing_else_is(tmp_path: Path, content: Any, label: str) -> None:
    tree(tmp_path, {"ds/img/001.jpg": None, "ds/ann/001.jpg.json": content})
    assert fields(tmp_path, read(tmp_path, "auto"))["ds/img/001.jpg"]["label"] == label


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.json", {"001": "good", "002": "bad"}),
        ("labels.json", [["001.jpg", "good"], ["002.jpg", "bad"]]),
        ("vott.json", {"assets": {"a": {"asset": {"name": "001.jpg"}}, "b": {"asset": {"name": "002.jpg"}}}}),
        ("sizes.json", {"001.jpg": 48213, "002.jpg": 49001}),
        ("parts.json", {"train": ["001.jpg"], "test": ["002.jpg"]}),
        ("e.ndjson", '{"row": {"id": "001.jpg"}, "a": 1}\n{"row": {"id": "002.jpg"}, "a": 2}\n'),
        (
            "o.manifest",
            '{"source-ref": "s3://b/001.jpg", "q": 0}\n{"source-ref": "s3://b/002.jpg", "q": 1}\n',
        ),
        ("Flickr8k.token.txt", "001.jpg#0\tA cat\n001.jpg#1\tOne cat\n002.jpg#0\tA dog\n"),
        ("list_attr.txt", "2\nMale Smiling\n001.jpg -1  1\n002.jpg -1 -1\n"),
    ],
)
@pytest.mark.parametrize("folder", ["", "good/"])
def test_what_names_images_in_another_form_is_said(
    tmp_path: Path, name: str, content: Any, folder: str
) -> None:
    images = {f"{folder}001.jpg": None, f"{folder}002.jpg": None}
    labelling = read(tree(tmp_path, {**images, name: content}), "auto")
    assert labelling.mode == ("folders" if folder else "none")
    ((path, reason),) = reasons(tmp_path, labelling)
    assert path == name
    assert "names images, such as" in reason
    assert "a metadata.csv with the columns file_name and label is read" in reason
    assert labelling.expected == (not folder)


def test_what_phones_write_beside_each_picture_is_one_remark_and_no_failure(tmp_path: Path) -> None:
    for n in (1, 2):
        taken = {"title": f"IMG_{n}.jpg", "photoTakenTime": {"timestamp": "1258375918"}}
        tree(tmp_path, {f"IMG_{n}.jpg": None, f"IMG_{n}.jpg.supplemental-metad.json": taken})
    labelling = read(tmp_path, "auto")
    assert (labelling.mode, labelling.skipped, labelling.expected) == ("none", [], False)
    (remark,) = labelling.remarks
    assert "names an image (IMG_1.jpg), as 2 JSON files name one: not read" in remark.text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("files.txt", "d/001.jpg\nd/002.jpg\n"),
        ("md5sums.txt", "aa  001.jpg\nbb  002.jpg\n"),
        ("README.txt", "see 001.jpg\n\nand\nwhat\nis\nsaid of 002.jpg\nin\nthe book\n"),
        ("config.json", {"name": "x", "1": ["a"]}),
    ],
)
def test_what_only_lists_or_mentions_them_is_not(tmp_path: Path, name: str, content: Any) -> None:
    labelling = read(tree(tmp_path, {**IMAGES, name: content}), "auto")
    assert (labelling.skipped, labelling.remarks, labelling.expected) == ([], [], False)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metadata.csv", "file_name,label\n/data/upload/2/ffcd1234-001.jpg,good\n"),
        (
            "result.json",
            {
                "images": [{"id": 1, "file_name": "..\\..\\media\\upload\\4\\cb0618f6-001.jpg"}],
                "annotations": [{"id": 1, "image_id": 1, "category_id": 0}],
                "categories": [{"id": 0, "name": "good"}],
            },
        ),
    ],
)
def test_what_label_studio_puts_before_a_name_is_taken_off(tmp_path: Path, name: str, content: Any) -> None:
    labelling = read(tree(tmp_path, {**IMAGES, name: content}), "auto")
    assert fields(tmp_path, labelling)["d/001.jpg"]["label"] == "good"
    assert labelling.skipped == []


def test_a_panoptic_file_of_one_image_gives_its_label(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 1, "file_name": "001.jpg"}],
        "annotations": [
            {"image_id": 1, "file_name": "001.png", "segments_info": [{"id": 5, "category_id": 3}]}
        ],
        "categories": [{"id": 3, "name": "cat", "isthing": 1}],
    }
    tree(tmp_path, {"001.jpg": None, "panoptic_val.json": content})
    assert fields(tmp_path, read(tmp_path, "auto"))["001.jpg"]["label"] == "cat"


def test_an_image_that_is_called_so_comes_before_one_without_it(tmp_path: Path) -> None:
    tree(
        tmp_path,
        {"cb0618f6-1.jpg": None, "1.jpg": None, "metadata.csv": "file_name,label\ncb0618f6-1.jpg,a\n"},
    )
    assert set(fields(tmp_path, read(tmp_path, "auto"))) == {"cb0618f6-1.jpg"}


def test_a_label_that_programs_write_for_none_is_told() -> None:
    fields = [{"label": text} for text in ("NaN", "good", "NaN", "none", "Nantes")]
    (remark,) = similar_label_remarks(fields)
    assert remark.text == "label: 'NaN' (2) is kept as a value; programs write it for none"
