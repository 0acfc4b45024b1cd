"""What the modes of `--labels` promise, and how `auto` chooses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from lookalike.errors import InvalidArgument, LabelsInvalid
from lookalike.labels.reading import MODES, read_labels
from tests.labelled_tree import fields, label, read, reasons, tree

COCO: dict[str, Any] = {
    "images": [{"id": 1, "file_name": "a.jpg"}],
    "annotations": [{"image_id": 1, "category_id": 1}],
    "categories": [{"id": 1, "name": "cat"}],
}
TABLE = "file_name,n\na.jpg,1\n"


def test_each_folder_is_a_field_and_the_innermost_is_the_label(tmp_path: Path) -> None:
    tree(tmp_path, {"a.jpg": None, "good/b.jpg": None, "bad/탱크/c.jpg": None})
    labelling = read(tmp_path, "folders")
    assert fields(tmp_path, labelling) == {
        "bad/탱크/c.jpg": {"category1": "bad", "category2": "탱크", "label": "탱크"},
        "good/b.jpg": {"category1": "good", "label": "good"},
    }
    assert labelling.unlabelled == [tmp_path / "a.jpg"]
    assert all(found.metadata == {} for found in labelling.labels.values())


def test_folders_that_are_one_level_deep_are_the_label_alone(tmp_path: Path) -> None:
    tree(tmp_path, {"a.jpg": None, "good/b.jpg": None, "bad/c.jpg": None})
    assert fields(tmp_path, read(tmp_path, "folders")) == {
        "good/b.jpg": {"label": "good"},
        "bad/c.jpg": {"label": "bad"},
    }


def test_an_unknown_mode_is_refused_with_the_ones_there_are(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="auto, folders, json, table, xml, yolo, none"):
        read_labels(tmp_path, [], [], "voc")


def test_paths_that_do_not_begin_with_the_root_are_refused(tmp_path: Path) -> None:
    """Their folders would be counted wrongly: `..` in the root and not in the paths, say."""
    tree(tmp_path, {"x/a.jpg": None, "y/b.jpg": None})
    with pytest.raises(InvalidArgument, match="is not below"):
        read_labels(tmp_path / "y/../x", [tmp_path / "x/a.jpg"], [], "folders")


@pytest.mark.parametrize("mode", MODES)
def test_a_single_image_has_no_label(tmp_path: Path, mode: str) -> None:
    tree(tmp_path, {"x/a.jpg": None})
    image = tmp_path / "x/a.jpg"
    labelling = read_labels(image, [image], [], mode)
    assert (labelling.mode, labelling.labels, labelling.unlabelled) == ("none", {}, [image])


def test_with_none_nothing_is_read(tmp_path: Path) -> None:
    tree(tmp_path, {"x/a.jpg": None, "x/metadata.csv": "broken", "x/a.json": "{"})
    labelling = read(tmp_path, "none")
    assert (labelling.mode, labelling.labels, labelling.skipped) == ("none", {}, [])


@pytest.mark.parametrize(
    ("files", "mode"),
    [
        ({"a.jpg": None}, "none"),
        ({}, "none"),
        ({"x/a.jpg": None}, "folders"),
        ({"x/a.jpg": None, "package.json": {"name": "x"}, "other.csv": TABLE}, "folders"),
        ({"x/a.jpg": None, "manifest.json": {"images": [{"src": "a.png"}]}}, "folders"),
        ({"x/a.jpg": None, "y/a.json": label("a.jpg"), "package.json": {}}, "json"),
        ({"x/a.jpg": None, "y/a.JSON": label("a.jpg")}, "json"),
        ({"x/a.jpg": None, "x/metadata.csv": TABLE, "y/a.json": label("a.jpg")}, "table"),
        ({"x/a.jpg": None, "annotations/instances.json": COCO}, "table"),
        ({"x/a.jpg": None, "y/1.json": COCO, "y/2.json": COCO}, "json"),
        ({"x/a.jpg": None, "y/1.json": COCO, "y/2.json": {"images": COCO["images"] * 2}}, "table"),
    ],
)
def test_auto_takes_the_first_of_table_json_and_folders_that_is_there(
    tmp_path: Path, files: dict[str, Any], mode: str
) -> None:
    assert read(tree(tmp_path, files), "auto").mode == mode


def test_auto_reports_label_files_that_it_did_not_use_and_leaves_other_files_alone(tmp_path: Path) -> None:
    others = {"package.json": {"name": "x"}, "list.json": [1], "broken.json": "{", "b.json": {"images": {}}}
    tree(tmp_path, {"x/a.jpg": None, **others})
    assert [name for name, _ in reasons(tmp_path, read(tmp_path, "auto"))] == ["b.json", "broken.json"]
    tree(tmp_path, {"x/metadata.csv": TABLE, "y/a.json": label("a.jpg")})
    labelling = read(tmp_path, "auto")
    assert fields(tmp_path, labelling) == {"x/a.jpg": {"n": 1}}
    assert reasons(tmp_path, labelling)[-1] == (
        "y/a.json",
        "not used: the labels are taken from metadata.csv",
    )


def test_json_mode_reports_files_that_name_no_image(tmp_path: Path) -> None:
    tree(tmp_path, {"a.jpg": None, "a.json": label("a.jpg"), "package.json": {"name": "x"}})
    ((name, reason),) = reasons(tmp_path, read(tmp_path, "json"))
    assert name == "package.json"
    assert reason.startswith("names no image")


def test_table_mode_without_a_table_names_the_mode_for_labels_of_one_image(tmp_path: Path) -> None:
    tree(tmp_path, {"a.jpg": None, "a.json": label("a.jpg"), "package.json": {"name": "x"}})
    with pytest.raises(LabelsInvalid, match="--labels json"):
        read(tmp_path, "table")


def test_json_mode_without_a_json_file_is_an_error(tmp_path: Path) -> None:
    tree(tmp_path, {"a.jpg": None, "a.txt": None})
    with pytest.raises(LabelsInvalid, match="no JSON file"):
        read(tmp_path, "json")


@pytest.mark.timeout(20)
def test_a_named_pipe_or_a_missing_file_is_skipped_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    gone = tmp_path / "gone.json"
    labelling = read_labels(tmp_path, [], [gone, tmp_path / "pipe.json"], "json")
    assert [skipped.reason for skipped in labelling.skipped] == ["not a regular file"] * 2


def test_no_name_breaks_the_reading_of_labels(tmp_path: Path) -> None:
    names = ["a'b\"", "new\nline", "100%", "😀", os.fsdecode(b"\xff")]
    tree(tmp_path, {f"{name}/{name}.jpg": None for name in names})
    found = fields(tmp_path, read(tmp_path, "folders"))
    labels = {values["label"] for values in found.values()}
    assert labels == {*names[:-1], r"\udcff"}
    for text in labels:
        text.encode()
