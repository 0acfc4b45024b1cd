"""What `--labels table` promises of COCO files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.label_normalisation import labels_digest
from lookalike.labels.image_names import ImageNames
from lookalike.labels.json.coco import is_coco, read_coco
from lookalike.labels.json.documents import Document
from tests.labelled_tree import fields, read, reasons, tree

CATEGORIES = [
    {"id": 1, "name": "cat", "supercategory": "animal"},
    {"id": 2, "name": "dog", "supercategory": "animal"},
    {"id": 3, "name": "void"},
]


def coco(images: list[Any], annotations: list[Any], categories: Any = CATEGORIES) -> dict[str, Any]:
    return {"images": images, "annotations": annotations, "categories": categories}


def named(*names: str) -> list[dict[str, Any]]:
    return [{"id": n, "file_name": name} for n, name in enumerate(names)]


def test_the_label_is_the_name_of_the_category_and_the_metadata_is_the_images_own_part(
    tmp_path: Path,
) -> None:
    annotations = [
        {"image_id": 0, "category_id": 2, "bbox": [0, 0, 1, 1], "attributes": {"occluded": False, "n": [1]}},
        {"image_id": 0, "category_id": 1},
        {"image_id": 0, "category_id": 2},
        {"image_id": 1, "category_id": 3},
        {"image_id": 2, "caption": "a picture"},
    ]
    content = coco(named("a.jpg", "b.jpg", "c.jpg", "d.jpg"), annotations)
    tree(tmp_path, {f"images/{name}.jpg": None for name in "abcde"})
    tree(tmp_path, {"annotations/instances.json": content, "package.json": {"name": "x"}})

    labelling = read(tmp_path, "auto")

    assert labelling.mode == "table"
    assert labelling.skipped == []
    assert labelling.unlabelled == [tmp_path / "images/e.jpg"]
    assert fields(tmp_path, labelling) == {
        "images/a.jpg": {"label": "cat, dog", "supercategory": "animal", "occluded": False},
        "images/b.jpg": {"label": "void"},
        "images/c.jpg": {},
        "images/d.jpg": {},
    }
    assert labelling.labels[tmp_path / "images/a.jpg"].metadata == {
        "image": {"id": 0, "file_name": "a.jpg"},
        "annotations": annotations[:3],
    }


def test_a_supercategory_counts_only_where_all_categories_of_the_image_have_one(tmp_path: Path) -> None:
    both = [{"image_id": 0, "category_id": n} for n in (1, 3)]
    tree(tmp_path, {"a.jpg": None, "coco.json": coco(named("a.jpg"), both)})
    assert fields(tmp_path, read(tmp_path, "table")) == {"a.jpg": {"label": "cat, void"}}


def test_each_folder_may_have_a_file_of_its_own_with_the_same_names(tmp_path: Path) -> None:
    for n, folder in enumerate(("train", "valid"), 1):
        content = coco(named("a.jpg"), [{"image_id": 0, "category_id": n}])
        tree(tmp_path, {f"{folder}/a.jpg": None, f"{folder}/_annotations.coco.json": content})
    found = fields(tmp_path, read(tmp_path, "table"))
    assert {name: label["label"] for name, label in found.items()} == {
        "train/a.jpg": "cat",
        "valid/a.jpg": "dog",
    }


def test_folders_in_the_file_name_decide(tmp_path: Path) -> None:
    tree(tmp_path, {"images/x/a.jpg": None, "images/y/a.jpg": None})
    tree(tmp_path, {"coco.json": coco(named("y/a.jpg"), [{"image_id": 0, "category_id": 1}])})
    assert list(fields(tmp_path, read(tmp_path, "table"))) == ["images/y/a.jpg"]


def test_each_image_and_annotation_that_cannot_be_used_is_reported(tmp_path: Path) -> None:
    images = [
        *named("a.jpg", "lost.jpg", "twin.jpg"),
        "b.jpg",
        {"id": 4},
        {"id": None, "file_name": "b.jpg"},
        {"id": 6, "file_name": "b.jpg"},
        {"id": 6, "file_name": "c.jpg"},
        {"id": 7, "file_name": "d.jpg"},
        {"id": 8, "file_name": "e.jpg"},
    ]
    annotations: list[Any] = [
        {"image_id": 0, "category_id": 1},
        None,
        {"image_id": []},
        {"image_id": 99},
        {"image_id": 7, "category_id": 9},
        {"image_id": 8, "attributes": 5},
    ]
    tree(tmp_path, {f"{name}.jpg": None for name in "abcde"} | {"x/twin.jpg": None, "y/twin.jpg": None})
    tree(tmp_path, {"coco.json": coco(images, annotations)})
    labelling = read(tmp_path, "table")
    assert list(fields(tmp_path, labelling)) == ["a.jpg"]
    assert [reason for _, reason in reasons(tmp_path, labelling)] == [
        "annotations[1] is null, not an object",
        "annotations[2].image_id is a list, not a number or string",
        "images[1]: there is no image 'lost.jpg'",
        "images[2]: 2 images agree equally well with it: x/twin.jpg, y/twin.jpg",
        "images[3] is a string, not an object",
        "names no image: images[4] has no file_name",
        "images[5].id is null, not a number or string",
        "images[6]: the id 6 is given to 2 images",
        "images[7]: the id 6 is given to 2 images",
        "images[8]: annotations[4].category_id is 9, which is not among the categories",
        "images[9]: annotations[5].attributes is a number, not an object",
        "annotations[3].image_id is 99, which is not among the images",
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"annotations": None}, "annotations is null, not a list"),
        ({"categories": 5}, "categories is a number, not a list"),
        ({"categories": [1]}, "categories[0] is a number, not an object"),
        ({"categories": [{"id": 1}]}, "categories[0].name is null, not a string"),
        ({"categories": [{"name": "x"}]}, "categories[0].id is null, not a number or string"),
    ],
)
def test_a_file_that_cannot_be_used_at_all_is_skipped_with_what_is_wrong(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    tree(tmp_path, {"a.jpg": None, "coco.json": coco(named("a.jpg", "b.jpg"), []) | change})
    labelling = read(tmp_path, "table")
    assert reasons(tmp_path, labelling) == [("coco.json", reason)]
    assert labelling.unlabelled == [tmp_path / "a.jpg"]


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
_IDS = st.integers(0, 2) | _ANY


def _records(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(_ANY | st.fixed_dictionaries({}, optional=members), max_size=4) | _ANY


@given(
    st.fixed_dictionaries(
        {
            "images": _records(id=_IDS, file_name=st.sampled_from(["a.jpg", "b.jpg"]) | _ANY),
            "annotations": _records(image_id=_IDS, category_id=_IDS, attributes=_ANY),
            "categories": _records(id=_IDS, name=_ANY, supercategory=_ANY),
        }
    )
)
def test_any_json_value_is_read_or_skipped(content: Any) -> None:
    is_coco(content)
    root = Path("/root")
    images = [root / "a.jpg", root / "b.jpg"]
    claims, skipped = read_coco(ImageNames(root, images), [Document(root / "c.json", content)])
    given_images = content["images"] if isinstance(content["images"], list) else []
    assert len(claims) <= len(given_images)
    assert len(claims) == len(given_images) or skipped
    for claim in claims:
        assert labels_digest(claim.label.fields, claim.label.metadata)


def test_files_side_by_side_are_put_together(tmp_path: Path) -> None:
    images = named("a.jpg", "b.jpg")
    keypoints = coco(images, [{"image_id": 0, "category_id": 1}, {"image_id": 1, "category_id": 1}])
    keypoints["categories"] = [{"id": 1, "name": "person", "keypoints": ["nose"]}]
    captions = {"images": images, "annotations": [{"image_id": n, "caption": "x"} for n in (0, 1)]}
    panoptic = coco(images, [{"image_id": 0, "segments_info": [{"category_id": 3}]}])
    instances = coco(images, [{"image_id": 0, "category_id": 1}])
    files = {
        "instances": instances,
        "captions": captions,
        "person_keypoints": keypoints,
        "panoptic": panoptic,
    }
    tree(tmp_path, {"a.jpg": None, "b.jpg": None})
    tree(tmp_path, {f"annotations/{name}_val2017.json": content for name, content in files.items()})
    labelling = read(tmp_path, "auto")
    assert labelling.skipped == []
    assert {name: dict(each) for name, each in fields(tmp_path, labelling).items()} == {
        "a.jpg": {"label": "cat", "supercategory": "animal", "split": "val"},
        "b.jpg": {"label": "person", "split": "val"},
    }
    assert [Path(remark.path).name for remark in labelling.remarks] == [
        "panoptic_val2017.json",
        "person_keypoints_val2017.json",
    ]
    assert {"image_id": 0, "caption": "x"} in labelling.labels[tmp_path / "a.jpg"].metadata["annotations"]


@pytest.mark.parametrize(("image", "annotation", "category"), [(1, "1", 2.0), ("1", 1.0, "2"), (1.0, 1, "2")])
def test_ids_are_numbers_or_strings(tmp_path: Path, image: Any, annotation: Any, category: Any) -> None:
    content = {
        "images": {
            "x": {"id": image, "file_name": "http://host/d/a%20b.jpg?x=1"},
            "y": {"id": 5, "file_name": "c.jpg"},
        },
        "annotations": [{"image_id": annotation, "category_id": category}],
        "categories": [{"id": 2, "name": "cat"}],
    }
    tree(tmp_path, {"a b.jpg": None, "c.jpg": None, "coco.json": content})
    assert fields(tmp_path, read(tmp_path, "auto")) == {"a b.jpg": {"label": "cat"}, "c.jpg": {}}


def test_annotations_may_stand_by_the_id_of_their_image(tmp_path: Path) -> None:
    content = {
        "images": named("a.jpg", "b.jpg"),
        "annotations": {"0": [{"category_id": 1}], "1": [{"category_id": 2}]},
        "categories": {"1": "cat", "2": "dog"},
    }
    tree(tmp_path, {"a.jpg": None, "b.jpg": None, "coco.json": content})
    found = fields(tmp_path, read(tmp_path, "auto"))
    assert found == {"a.jpg": {"label": "cat"}, "b.jpg": {"label": "dog"}}
