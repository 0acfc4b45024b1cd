"""Folders that only say what kind of data they hold are never labels; train, val and test are a split."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lookalike.labels.data_folders import is_data_folder, split_in, split_of
from tests.labelled_tree import fields, read, tree


def labels(root: Path, *images: str) -> dict[str, object]:
    found = fields(root, read(tree(root, dict.fromkeys(images)), "auto"))
    return {name: each.get("label") for name, each in found.items()}


@pytest.mark.parametrize(
    "name",
    [
        *(
            "JPEGImages",
            "images",
            "Images",
            "img",
            "imgs",
            "train",
            "val",
            "valid",
            "test",
            "Validation",
            "data",
        ),
        *(
            "dataset",
            "photos",
            "raw",
            "원천",
            "원천데이터",
            "라벨",
            "라벨링데이터",
            "Training",
            "TS",
            "VS",
            "TL1",
        ),
        *(
            "1.Training",
            "01.원천데이터",
            "[원천]",
            "원천데이터_230118_add",
            "train2017",
            "VOC2012",
            "VOCdevkit",
        ),
    ],
)
def test_such_a_name_is_no_label(tmp_path: Path, name: str) -> None:
    assert is_data_folder(name)
    images = [tmp_path / name / "a.jpg", tmp_path / name / "b.jpg"]
    tree(tmp_path, {str(image.relative_to(tmp_path)): None for image in images})
    labelling = read(tmp_path, "auto")
    assert all("label" not in label.fields for label in labelling.labels.values())
    assert [remark.text for remark in labelling.remarks] == [
        f"no label is taken from the folders {name} (2): such names only say what kind of data is there"
    ]


@pytest.mark.parametrize(
    "name",
    [
        *(
            "good",
            "bad",
            "양품",
            "불량",
            "roll-1",
            "001",
            "2020",
            "cat",
            "test_piece",
            "training_shoe",
            "TS_양품",
        ),
        *(
            "original",
            "sample",
            "image_noise",
            "database",
            "rawhide",
            "[원천]부품",
            "valve",
            "imagery",
            "class1",
        ),
    ],
)
def test_any_other_name_is_one(name: str) -> None:
    assert not is_data_folder(name)


def test_the_next_folder_above_is_the_label(tmp_path: Path) -> None:
    assert labels(tmp_path, "good/images/a.jpg", "bad/images/b.jpg") == {
        "bad/images/b.jpg": "bad",
        "good/images/a.jpg": "good",
    }


def test_a_folder_in_a_folder_is_the_label_where_it_is_the_only_one(tmp_path: Path) -> None:
    assert labels(tmp_path, "bad/worse/a.jpg") == {"bad/worse/a.jpg": "worse"}


def test_unless_it_is_the_same_for_all(tmp_path: Path) -> None:
    assert labels(tmp_path, "lines/JPEGImages/a.jpg", "lines/JPEGImages/b.jpg") == {}


def test_mvtec_gives_label_and_split(tmp_path: Path) -> None:
    tree(
        tmp_path,
        {"bottle/train/good/0.jpg": None, "bottle/test/good/1.jpg": None, "bottle/test/cut/2.jpg": None},
    )
    assert fields(tmp_path, read(tmp_path, "auto")) == {
        "bottle/test/cut/2.jpg": {
            "category1": "bottle", "category2": "test", "category3": "cut", "label": "cut", "split": "test"
        },
        "bottle/test/good/1.jpg": {
            "category1": "bottle", "category2": "test", "category3": "good", "label": "good", "split": "test"
        },
        "bottle/train/good/0.jpg": {
            "category1": "bottle", "category2": "train", "category3": "good", "label": "good",
            "split": "train",
        },
    }  # fmt: skip


def test_only_splits_give_the_split_and_no_label(tmp_path: Path) -> None:
    tree(tmp_path, {"train/a.jpg": None, "Validation/b.jpg": None})
    found = fields(tmp_path, read(tmp_path, "auto"))
    assert {name: (each.get("label"), each["split"]) for name, each in found.items()} == {
        "Validation/b.jpg": (None, "val"),
        "train/a.jpg": (None, "train"),
    }


def test_a_train_among_vehicles_is_a_class(tmp_path: Path) -> None:
    assert labels(tmp_path, "bus/1.jpg", "car/2.jpg", "train/3.jpg") == {
        "bus/1.jpg": "bus",
        "car/2.jpg": "car",
        "train/3.jpg": "train",
    }


def test_a_test_beside_classes_is_none(tmp_path: Path) -> None:
    assert labels(tmp_path, "bad/1.jpg", "good/2.jpg", "test/3.jpg")["test/3.jpg"] is None


def test_a_folder_whose_name_a_zip_left_in_cp949_is_the_label(tmp_path: Path) -> None:
    name = os.fsdecode("불량".encode("cp949"))
    found = labels(tmp_path, f"{name}/1.jpg", "양품/2.jpg", "║τ╟░/3.jpg")
    assert set(found.values()) >= {"불량", "양품"}


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"),
        ("Valid", "val"),
        ("2.Validation", "val"),
        ("검증", "val"),
        ("test2017", "test"),
        ("good", None),
    ],
)
def test_the_split_of_a_folder(name: str, split: str | None) -> None:
    assert split_of(name) == split


@pytest.mark.parametrize(
    ("name", "split"),
    [("instances_val2017", "val"), ("instances_train", "train"), ("train_val", None), ("annotations", None)],
)
def test_the_split_of_a_file(name: str, split: str | None) -> None:
    assert split_in(name) == split


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train_images", "train"),
        ("images-val", "val"),
        ("test set", "test"),
        ("Training_Data", "train"),
        ("train_val", None),
        ("image_data", None),
        ("ann", None),
    ],
)
def test_words_that_all_say_the_kind_of_data_are_no_label_together(name: str, split: str | None) -> None:
    assert is_data_folder(name)
    assert split_of(name) == split


@pytest.mark.parametrize("name", ["train_good", "image_noise", "all", "set_1", "test_bench", "label_error"])
def test_one_word_that_says_more_makes_a_label(name: str) -> None:
    assert not is_data_folder(name)
    assert split_of(name) is None
