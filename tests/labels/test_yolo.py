"""Labels from text files of YOLO, with the names of classes where tools put them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.errors import LabelsInvalid
from lookalike.labels.image_names import ImageNames
from lookalike.labels.labelling import Unusable
from lookalike.labels.yolo import find_yolo, read_yolo
from lookalike.sources.objects import Location
from tests.labelled_tree import fields, read, reasons, tree

TWO = "0 0.5 0.5 0.1 0.1\n1 0.2 0.2 0.1 0.1\n"


@pytest.mark.parametrize(
    "names",
    [
        {"data.yaml": "train: ../train/images\nnc: 2\nnames: ['hole', 'stain']\n"},
        {"data.yaml": "path: x\nnames:\n  0: hole\n  1: stain\n"},
        {"set.yml": "names:\n- hole\n- stain\n"},
        {"data.yaml": "names: {0: hole, 1: stain}\n"},
        {"classes.txt": "hole\nstain\n"},
        {"labels/classes.txt": "hole\r\nstain\r\n"},
        {"obj.names": "hole\nstain"},
        {"train/_darknet.labels": "hole\nstain"},
    ],
)
def test_numbers_are_named_by_what_lists_names(tmp_path: Path, names: dict[str, str]) -> None:
    tree(tmp_path, {f"images/train/{n}.jpg": None for n in "abc"} | names)
    tree(tmp_path, {"labels/train/a.txt": TWO, "labels/train/b.txt": "", "README.txt": "words"})
    labelling = read(tmp_path, "auto")
    assert labelling.mode == "yolo"
    assert fields(tmp_path, labelling) == {
        "images/train/a.jpg": {"label": "hole, stain", "split": "train"},
        "images/train/b.jpg": {"split": "train"},
    }
    assert labelling.labels[tmp_path / "images/train/a.jpg"].metadata["objects"][1] == {
        "class": "stain",
        "numbers": [0.2, 0.2, 0.1, 0.1],
    }
    assert (labelling.skipped, labelling.remarks) == ([], [])


def test_without_names_the_numbers_are_and_that_is_said(tmp_path: Path) -> None:
    tree(tmp_path, {"a.jpg": None, "b.jpg": None, "a.txt": "0.0 .1 .2 .3 .4 .5 .6\n"})
    labelling = read(tmp_path, "auto")
    assert fields(tmp_path, labelling) == {"a.jpg": {"label": "0"}}
    assert "are called by their numbers" in labelling.remarks[0].text


def test_the_nearest_names_and_the_image_in_the_same_place_count(tmp_path: Path) -> None:
    for folder, name in (("one", "cat"), ("two", "dog")):
        tree(tmp_path, {f"{folder}/images/val/a.jpg": None, f"{folder}/labels/val/a.txt": "0 0 0 0 0"})
        tree(tmp_path, {f"{folder}/data.yaml": f"names: [{name}]"})
    found = fields(tmp_path, read(tmp_path, "auto"))
    assert {path: each["label"] for path, each in found.items()} == {
        "one/images/val/a.jpg": "cat",
        "two/images/val/a.jpg": "dog",
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0 0.5 0.5 0.1\n", "line 1: 4 numbers, not a class and a box of four"),
        ("0 0 0 0 0\nhole 0 0 0 0\n", "line 2: not a class and a box, which are numbers"),
        ("1.5 0 0 0 0\n", "line 1: 1.5 is no class, which is counted from 0"),
        ("0 0 0 0 nan\n", "line 1: 0 is no class, which is counted from 0"),
        ("7 0 0 0 0\n", "line 1: class 7, and classes.txt has 2 names, from 0"),
    ],
)
def test_each_file_that_cannot_be_used_is_reported(tmp_path: Path, text: str, reason: str) -> None:
    tree(
        tmp_path, {"a.jpg": None, "b.jpg": None, "a.txt": TWO, "b.txt": text, "classes.txt": "hole\nstain\n"}
    )
    assert reasons(tmp_path, read(tmp_path, "auto")) == [("b.txt", reason)]


def test_yaml_that_is_none_is_reported_and_aliases_are_not_multiplied(tmp_path: Path) -> None:
    laughs = "a: &a [x]\n" + "".join(
        f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in ("ab", "bc", "cd")
    )
    tree(
        tmp_path,
        {"a.jpg": None, "a.txt": TWO, "data.yaml": "names: [a\n", "more.yaml": laughs + "names: *d\n"},
    )
    labelling = read(tmp_path, "auto")
    assert fields(tmp_path, labelling) == {"a.jpg": {"label": "0, 1"}}
    ((name, reason),) = reasons(tmp_path, labelling)
    assert name == "data.yaml"
    assert reason.startswith("not YAML: ")


def test_text_beside_images_is_not_taken_for_labels(tmp_path: Path) -> None:
    tree(tmp_path, {"good/a.jpg": None, "bad/b.jpg": None, "good/a.txt": "a caption\n", "bad/b.txt": "1 2\n"})
    labelling = read(tmp_path, "auto")
    assert labelling.mode == "folders"
    assert [remark.text for remark in labelling.remarks] == [
        "is called as an image is, as 2 .txt files are: not read"
    ]
    with pytest.raises(LabelsInvalid, match="no text file"):
        read(tmp_path, "yolo")


@given(st.text(max_size=40) | st.lists(st.floats().map(str), max_size=9).map(" ".join), st.text(max_size=60))
def test_any_text_is_read_or_skipped(label: str, names: str) -> None:
    root = Path("/root")
    images = [root / "a.jpg", root / "b.jpg"]
    texts = {"a.txt": "0 0 0 0 0", "b.txt": label, "classes.txt": names, "data.yaml": f"names: {names}"}

    def text_of(path: Location) -> str:
        if path.name not in texts:
            raise Unusable("gone")
        return texts[path.name]

    others = [root / name for name in texts if name != "data.yaml"]
    files = find_yolo(ImageNames(root, images), others, text_of)
    assert files is not None
    claims, skipped, _ = read_yolo(ImageNames(root, images), files, text_of)
    assert len(claims) + len(skipped) >= 2
