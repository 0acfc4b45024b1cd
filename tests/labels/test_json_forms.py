"""JSON in the forms that tools and deliveries write: labels are found, or what is wrong is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.label_normalisation import labels_digest
from lookalike.labels.image_names import ImageNames
from lookalike.labels.json.documents import Document, parse_json
from lookalike.labels.json.files import read_json_files
from lookalike.labels.labelling import Unusable
from tests.labelled_tree import fields, read, reasons, tree

QUALITY = {"attributes": {"quality": "good"}}


def one(root: Path, content: Any, **others: Any) -> dict[str, Any]:
    """Return the fields that one file beside pictures p1.jpg and p2.jpg gives to p1.jpg."""
    tree(root, {"원천/p1.jpg": None, "원천/p2.jpg": None, "라벨/p1.json": content, **others})
    labelling = read(root, "auto")
    assert labelling.mode in ("json", "table"), labelling
    found = fields(root, labelling)
    assert list(found) == ["원천/p1.jpg"], labelling.skipped
    return found["원천/p1.jpg"]


@pytest.mark.parametrize(
    "content",
    [
        {"images": {"file_name": "p1.jpg"}, "annotations": [QUALITY]},
        {"images": [{"file_name": "p1.jpg"}], "annotations": QUALITY},
        {"images": {"1": {"file_name": "p1.jpg"}}, "annotations": {"7": QUALITY}},
        {"images": ["p1.jpg"], "annotations": [QUALITY]},
        {"image": {"file_name": "p1.jpg", "width": 5}, "annotations": [QUALITY]},
        {"image": {"filename": "p1.jpg"}, "annotation": QUALITY},
        {"image": "p1.jpg", "annotations": [QUALITY]},
        {"info": {"fileName": "p1.jpg", "date": "2024"}, "annotations": [QUALITY]},
        {"description": {"image": "p1.jpg", "worker": 3}, "annotations": QUALITY},
        {"FILE_NAME": "p1.jpg", "annotations": QUALITY},
        {"imageInfo": {"name": "p1.jpg"}, "objects": [QUALITY]},
        {"Source Data Info.": {"source_data_ID": "p1", "file_extension": "jpg"},
         "Learning Data Info.": {"annotation": [QUALITY]}},
        {"images": [{"file_name": "..\\원천\\p1.jpg"}], "annotations": [QUALITY]},
        {"images": [{"file_name": "D:\\data\\원천\\p1.jpg"}], "annotations": [QUALITY]},
        {"images": [{"file_name": "p1"}], "annotations": [QUALITY]},
        {"images": [{"file_name": "http://example.com/a/p1.jpg?x=1"}], "annotations": [QUALITY]},
        {"annotations": [QUALITY]},
        [{"image": "p1.jpg", "annotations": [QUALITY]}],
        {"p1.jpg": {"quality": "good"}},
        {"data": [{"file_name": "p1.jpg", "quality": "good"}]},
        {"image": {"file_name": "p1.jpg"}, "annotations": {"attributes": {"quality": {"value": "good"}}}},
        {"images": [{"file_name": "p1.jpg"}],
         "annotations": [{"attributes": [{"name": "quality", "value": "good"}]}]},
        {"images": [{"file_name": "p1.jpg", "attributes": {"quality": "good"}}], "annotations": []},
    ],
)  # fmt: skip
def test_a_delivery_may_write_the_same_in_many_ways(tmp_path: Path, content: Any) -> None:
    assert one(tmp_path, content) == {"quality": "good"}


@pytest.mark.parametrize(
    ("content", "label"),
    [
        ({"image": "p1.jpg", "annotations": [{"label": "hole"}, {"label": "stain"}]}, "hole, stain"),
        ({"image": {"file_name": "p1.jpg"}, "annotations": [{"class_name": "hole"}]}, "hole"),
        ({"image": {"file_name": "p1.jpg"}, "annotation": {"class_ID": "SF-01"}}, "SF-01"),
        ({"image": "p1.jpg", "annotation": {"class_ID": 2}, "categories": {"2": "hole"}}, "hole"),
        ({"images": [{"file_name": "p1.jpg"}], "annotations": [{"category_id": "2"}],
          "categories": [{"id": 2, "name": "hole"}]}, "hole"),
        ({"images": [{"file_name": "p1.jpg"}], "annotations": [{"category_id": 2.0}],
          "categories": [{"id": "2", "name": "hole"}]}, "hole"),
        ({"images": [{"file_name": "p1.jpg"}], "annotations": [{"category_id": 1}],
          "categories": ["good", "hole"]}, "hole"),
        ({"image": {"file_name": "p1.jpg", "label": "hole"}}, "hole"),
        ({"image": "p1.jpg", "label": ["stain", "hole"]}, "hole, stain"),
        ({"filename": "p1.jpg", "클래스": "구멍"}, "구멍"),
        ({"p1.jpg": "hole"}, "hole"),
        ({"p1.jpg": ["hole", "stain"]}, "hole, stain"),
        ([{"image": "p1.jpg", "annotations": [{"label": "hole", "coordinates": {"x": 1}}]}], "hole"),
        ([{"file": "p1.jpg", "label": "hole"}, {"file": "p1.jpg", "label": "stain"}], "hole, stain"),
    ],
)  # fmt: skip
def test_what_annotations_call_their_class_is_the_label(tmp_path: Path, content: Any, label: str) -> None:
    assert one(tmp_path, content) == {"label": label}


def test_the_scalars_of_a_single_annotation_are_fields(tmp_path: Path) -> None:
    """As in AI Hub's deliveries on diseases of plants."""
    content = {
        "description": {"image": "p1.jpg", "width": 5, "height": 6, "task": 77},
        "annotations": {"disease": 3, "crop": 1, "risk": 0, "bbox": [{"x": 1}], "points": [{"xtl": 1}]},
    }
    assert one(tmp_path, content) == {"disease": 3, "crop": 1, "risk": 0}


LABELME = {
    "version": "5.4.1",
    "flags": {},
    "shapes": [
        {"label": "hole", "points": [[1, 2]], "group_id": None, "shape_type": "polygon", "flags": {}},
        {"label": "stain", "points": [], "shape_type": "rectangle", "flags": {}},
    ],
    "imagePath": "..\\원천\\p1.jpg",
    "imageData": "A" * 5000,
    "imageHeight": 5,
    "imageWidth": 5,
}


def test_labelme(tmp_path: Path) -> None:
    assert one(tmp_path, LABELME) == {"label": "hole, stain"}
    (label,) = read(tmp_path, "json").labels.values()
    assert "imageData" not in label.metadata
    assert label.metadata["shapes"] == LABELME["shapes"]


def test_labelme_of_whole_images_and_of_a_renamed_image(tmp_path: Path) -> None:
    flags = {**LABELME, "shapes": [], "flags": {"good": True, "bad": False}, "imagePath": "old.jpg"}
    assert one(tmp_path, flags) == {"label": "good", "good": True, "bad": False}


def task(name: str, *results: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": 1, "data": {"image": name}, "annotations": [{"id": 4, "result": list(results)}], **more}


def choice(name: str, *values: str) -> dict[str, Any]:
    return {"from_name": name, "to_name": "image", "type": "choices", "value": {"choices": list(values)}}


def box(label: str) -> dict[str, Any]:
    value = {"x": 1, "y": 2, "width": 3, "height": 4, "rectanglelabels": [label]}
    return {"from_name": "box", "to_name": "image", "type": "rectanglelabels", "value": value}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([task("/data/upload/1/0a1b2c3d-p1.jpg", choice("quality", "good"))],
         {"quality": "good", "label": "good"}),
        ([task("/data/upload/1/0a1b2c3d-p1.jpg", box("hole"), box("stain"))],
         {"box": "hole, stain", "label": "hole, stain"}),
        ([task("/data/local-files/?d=a/p1.jpg", choice("quality", "good"), box("hole"))],
         {"quality": "good", "box": "hole", "label": "hole"}),
        ([task("s3://bucket/a/p1.jpg", choice("a", "x"), choice("b", "y"))], {"a": "x", "b": "y"}),
        ([task("http://host/p1.jpg", choice("label", "good"))], {"label": "good"}),
        ([{"id": 1, "image": "/data/upload/1/0a1b2c3d-p1.jpg", "choice": "good", "annotator": 1,
           "annotation_id": 4, "created_at": "2024", "updated_at": "2024", "lead_time": 2.5}],
         {"choice": "good", "label": "good"}),
        ([{"id": 1, "image": "p1.jpg", "label": [{"x": 1, "rectanglelabels": ["hole"]}], "annotator": 1,
           "annotation_id": 4, "created_at": "2024", "updated_at": "2024", "lead_time": 2.5}],
         {"label": "hole"}),
        (task("p1.jpg", choice("quality", "good")), {"quality": "good", "label": "good"}),
    ],
)  # fmt: skip
def test_label_studio(tmp_path: Path, content: Any, expected: dict[str, Any]) -> None:
    tree(tmp_path, {"p1.jpg": None, "p2.jpg": None, "project-1-at-2024.json": content})
    labelling = read(tmp_path, "auto")
    assert (labelling.mode, labelling.skipped) == ("json", [])
    assert fields(tmp_path, labelling) == {"p1.jpg": expected}


def test_a_cancelled_annotation_of_label_studio_does_not_count(tmp_path: Path) -> None:
    cancelled = {"was_cancelled": True, "result": [choice("q", "bad")]}
    content = [task("p1.jpg", choice("q", "good"))]
    content[0]["annotations"].append(cancelled)
    tree(tmp_path, {"p1.jpg": None, "export.json": content})
    assert fields(tmp_path, read(tmp_path, "auto")) == {"p1.jpg": {"q": "good", "label": "good"}}


def test_datumaro_as_cvat_exports_it(tmp_path: Path) -> None:
    content = {
        "info": {},
        "categories": {"label": {"labels": [{"name": "good", "parent": ""}, {"name": "hole", "parent": ""}]}},
        "items": [
            {"id": "p1",
             "annotations": [{"id": 0, "type": "bbox", "label_id": 1, "attributes": {"deep": True}}],
             "attr": {"frame": 0}, "image": {"path": "a/p1.jpg", "size": [5, 5]}},
            {"id": "p2", "annotations": [], "attr": {"frame": 1}},
            {"id": "p9", "annotations": []},
        ],
    }  # fmt: skip
    tree(tmp_path, {"p1.jpg": None, "p2.jpg": None, "default.json": content})
    labelling = read(tmp_path, "auto")
    assert fields(tmp_path, labelling) == {"p1.jpg": {"label": "hole", "deep": True}, "p2.jpg": {}}
    assert reasons(tmp_path, labelling) == [("default.json", "items[2]: there is no image 'p9'")]


def test_vgg_image_annotator(tmp_path: Path) -> None:
    regions = [
        {"shape_attributes": {"name": "rect"}, "region_attributes": {"defect": "hole", "kind": {"a": True}}}
    ]
    own = {"p1.jpg5": {"filename": "p1.jpg", "size": 5, "regions": regions, "file_attributes": {"part": "x"}}}
    for content in (own, {"_via_settings": {}, "_via_img_metadata": own}):
        tree(tmp_path, {"p1.jpg": None, "via.json": content})
        found = fields(tmp_path, read(tmp_path, "auto"))
        assert found == {"p1.jpg": {"part": "x", "defect": "hole", "kind": "a"}}


def test_json_in_other_encodings(tmp_path: Path) -> None:
    content = json.dumps(
        {"images": [{"file_name": "부품.jpg"}], "annotations": [{"label": "양품"}]}, ensure_ascii=False
    )
    for n, encoding in enumerate(("utf-8-sig", "cp949", "utf-16")):
        root = tree(tmp_path / str(n), {"부품.jpg": None, "부품.json": content.encode(encoding)})
        assert fields(root, read(root, "auto")) == {"부품.jpg": {"label": "양품"}}


def test_other_json_files_are_no_labels(tmp_path: Path) -> None:
    others = {
        "package.json": {"name": "x", "files": ["a.jpg"]},
        "tsconfig.json": {"include": ["src"], "compilerOptions": {"target": "es5"}},
        "list.json": [1, {"a": 1}],
        "coordinates.json": {"a.jpg": [1, 2]},
        "config.json": {"image": "nothing.jpg"},
        "page.json": {"description": "a.jpg"},
    }
    tree(tmp_path, {"x/good/a.jpg": None, "x/bad/b.jpg": None, **others})
    labelling = read(tmp_path, "auto")
    assert (labelling.mode, labelling.skipped) == ("folders", [])


def test_each_entry_that_cannot_be_used_is_reported(tmp_path: Path) -> None:
    content = [{"file_name": "a.jpg", "label": "x"}, {"file_name": "lost.jpg", "label": "x"}, 5, {"b": 1}]
    tree(tmp_path, {"a.jpg": None, "all.json": content})
    assert reasons(tmp_path, read(tmp_path, "auto")) == [
        ("all.json", "[1]: there is no image 'lost.jpg'"),
        ("all.json", "[2]: is a number, not an object"),
        ("all.json", "[3]: names no image: there is no images[].file_name"),
    ]


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.just("a.jpg"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
_FORMS: list[Any] = [
    LABELME,
    [task("/data/upload/1/0a1b2c3d-a.jpg", choice("q", "good"), box("hole"))],
    {"images": {"file_name": "a.jpg"}, "annotations": {"attributes": {"quality": "good"}}},
    {
        "categories": {"label": {"labels": [{"name": "x"}]}},
        "items": [{"id": "a", "annotations": [{"label_id": 0}]}],
    },
    {"Learning Data Info.": {"annotation": [{"class_ID": "x"}]}, "source_data_ID": "a"},
    {"a.jpg1": {"filename": "a.jpg", "regions": [{"region_attributes": {"x": "y"}}], "file_attributes": {}}},
    {"a.jpg": {"label": "good"}, "b.jpg": ["x"]},
]


def _mutated(content: Any) -> st.SearchStrategy[Any]:
    """Return the same value with any part of it replaced by anything, or left out."""
    own = [st.just(content), _ANY]
    if isinstance(content, dict):
        own.insert(
            0, st.fixed_dictionaries({}, optional={key: _mutated(value) for key, value in content.items()})
        )
    elif isinstance(content, list):
        own.insert(0, st.tuples(*map(_mutated, content)).map(list))
    return st.one_of(own)


@given(st.one_of([_mutated(form) for form in _FORMS]) | _ANY)
def test_any_json_value_is_read_or_skipped(content: Any) -> None:
    root = Path("/root")
    images = [root / "a.jpg", root / "b.jpg"]
    claims, skipped = read_json_files(ImageNames(root, images), [Document(root / "labels/a.json", content)])
    for claim in claims:
        assert labels_digest(claim.label.fields, claim.label.metadata)
    assert all(reason.reason for reason in skipped)


@given(st.sampled_from([json.dumps(form) for form in _FORMS]), st.data())
def test_any_damaged_text_is_read_or_skipped(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    put = data.draw(
        st.sampled_from(
            ['{"a":' * 300, "NaN", "1e999", "9" * 5000, "\\ud800", '"images":[],', "]", "\0", "\ufeff"]
        )
        | st.text(max_size=3)
    )
    try:
        content = parse_json(text[:at] + put + text[at + data.draw(st.integers(0, 5)) :])
    except Unusable:
        return
    root = Path("/root")
    for claim in read_json_files(ImageNames(root, [root / "a.jpg"]), [Document(root / "a.json", content)])[0]:
        json.dumps(claim.label.metadata)
        str(claim.label.fields).encode()


@pytest.mark.parametrize("folder", ["", "good/"])
def test_a_json_file_of_images_that_are_not_there_is_said(tmp_path: Path, folder: str) -> None:
    """Whether the folders are labels or not."""
    tasks = [{"image": "/data/upload/1/other.jpg", "id": 1, "choice": "good"}]
    tree(tmp_path, {f"{folder}p1.jpg": None, "export.json": tasks, "settings.json": {"image": {"width": 5}}})
    labelling = read(tmp_path, "auto")
    (said,) = [skipped for skipped in labelling.skipped if skipped.path.endswith("export.json")]
    assert "there is no image '/data/upload/1/other.jpg'" in said.reason
    assert not any(skipped.path.endswith("settings.json") for skipped in labelling.skipped)
