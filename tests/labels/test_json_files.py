"""What `--labels json` promises."""

from __future__ import annotations

import json
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lookalike.label_normalisation import labels_digest
from lookalike.labels.image_names import ImageNames
from lookalike.labels.json.documents import MAX_DEPTH, Document
from lookalike.labels.json.files import read_json_files
from tests.labelled_tree import fields, label, read, reasons, tree

SHARED = Path(__file__).parents[2] / "../shared"


def test_the_hostile_delivery_gives_all_its_labels_and_names_each_trap(tmp_path: Path) -> None:
    tool, source = SHARED / "tools/make_json_sample.py", SHARED / "data/extrusion"
    if not tool.is_file() or not source.is_dir():
        pytest.skip("the sample's tool and pictures are not beside this repository")
    command = [sys.executable, str(tool), str(source), str(tmp_path), "--hostile"]
    subprocess.run(command, check=True, capture_output=True)

    labelling = read(tmp_path, "auto")

    assert labelling.mode == "json"
    extras = {"truncated.jpg": 1, "notimage.jpg": 1, "twin.jpg": 2, "only.jpg": 1}
    names = [image.name for image in labelling.labels]
    assert {name: names.count(name) for name in extras} == extras
    assert len(names) == 219 + sum(extras.values())
    assert [image.name for image in labelling.unlabelled] == ["unlabelled.jpg"]
    assert [image.name for image in labelling.told_apart] == ["twin.jpg", "twin.jpg"]
    skipped = {Path(path).name: reason for path, reason in reasons(tmp_path, labelling)}
    assert skipped == {
        "broken.json": "not JSON: Expecting value (line 1, column 13)",
        "lost.json": "there is no image 'lost.jpg'",
    }
    for image, found in labelling.labels.items():
        quality, part = image.parent.parent.name, image.parent.name
        assert found.fields["part"] == found.fields["category2"] == part
        assert found.fields["quality"] == found.fields["category1"] == quality
        assert found.metadata["categories"] == [quality, part]


def test_attributes_become_fields_nested_ones_by_both_names_and_lists_of_numbers_and_null_do_not(
    tmp_path: Path,
) -> None:
    given = {"part": "a", "n": 3, "x": 0.5, "ok": True, "no": None, "box": [1], "more": {"a": 1}, "": "z"}
    tree(tmp_path, {"a.jpg": None, "a.json": label("a.jpg", **given)})
    labelling = read(tmp_path, "json")
    assert fields(tmp_path, labelling) == {"a.jpg": {"part": "a", "n": 3, "x": 0.5, "ok": True, "more_a": 1}}
    assert labelling.labels[tmp_path / "a.jpg"].metadata["annotations"][0]["attributes"] == given


def test_different_values_of_one_attribute_are_sorted_and_joined(tmp_path: Path) -> None:
    many = [{"attributes": {"defect": d, "part": "p", "n": n}} for d, n in [("scratch", 2), ("dent", 10)]]
    tree(tmp_path, {"a.jpg": None, "a.json": {"images": [{"file_name": "a.jpg"}], "annotations": many}})
    assert fields(tmp_path, read(tmp_path, "json")) == {
        "a.jpg": {"defect": "dent, scratch", "part": "p", "n": "10, 2"}
    }


def test_the_metadata_is_the_file_as_delivered_and_its_own_categories_stay(tmp_path: Path) -> None:
    own = {**label("b.jpg"), "categories": "theirs", "info": {"x": [1, None]}}
    tree(tmp_path, {"p/a.jpg": None, "p/a.json": label("a.jpg"), "p/b.jpg": None, "p/b.json": own})
    labels = read(tmp_path, "json").labels
    assert labels[tmp_path / "p/a.jpg"].metadata == {**label("a.jpg"), "categories": ["p"]}
    assert labels[tmp_path / "p/b.jpg"].metadata == own


@pytest.mark.parametrize(
    ("label_folder", "image_folder", "expected"),
    [
        ("labels/good/tank", "images/good/tank", ["good", "tank"]),
        ("good/tank", "good/tank", ["good", "tank"]),
        ("labels/good", "images/x/good", ["good"]),
        ("labels/good", "images/bad", ["labels", "good"]),
        (".", "images/good", []),
    ],
)
def test_categories_are_what_label_and_image_share_from_the_inside_out_else_the_labels_folders(
    tmp_path: Path, label_folder: str, image_folder: str, expected: list[str]
) -> None:
    tree(tmp_path, {f"{image_folder}/a.jpg": None, f"{label_folder}/a.json": label("a.jpg")})
    (found,) = read(tmp_path, "json").labels.values()
    assert found.metadata["categories"] == expected
    assert found.fields == {f"category{n}": name for n, name in enumerate(expected, 1)}


def test_an_attribute_wins_over_a_category_of_the_same_name(tmp_path: Path) -> None:
    tree(tmp_path, {"p/a.jpg": None, "p/a.json": label("a.jpg", category1="mine")})
    assert fields(tmp_path, read(tmp_path, "json")) == {"p/a.jpg": {"category1": "mine"}}


def test_a_file_with_categories_of_its_own_gives_the_label_too(tmp_path: Path) -> None:
    content = {
        "images": [{"file_name": "a.jpg"}],
        "annotations": [{"category_id": 2, "attributes": {"size": 4}}],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    tree(tmp_path, {"a.jpg": None, "a.json": content})
    assert fields(tmp_path, read(tmp_path, "json")) == {"a.jpg": {"label": "dog", "size": 4}}


def test_of_images_of_one_name_the_one_whose_folders_agree_best_is_labelled(tmp_path: Path) -> None:
    images = ["images/good/tank", "images/bad/tank", "images/bad/deck", "tank"]
    tree(tmp_path, {f"{folder}/a.jpg": None for folder in images})
    tree(tmp_path, {"labels/bad/tank/a.json": label("a.jpg", which="bad tank")})
    assert fields(tmp_path, read(tmp_path, "json")) == {
        "images/bad/tank/a.jpg": {"category1": "bad", "category2": "tank", "which": "bad tank"}
    }


def test_equal_endings_are_decided_from_the_root(tmp_path: Path) -> None:
    tree(tmp_path, {f"{batch}/images/tank/a.jpg": None for batch in ("one", "two")})
    tree(tmp_path, {"two/labels/tank/a.json": label("a.jpg")})
    assert list(fields(tmp_path, read(tmp_path, "json"))) == ["two/images/tank/a.jpg"]


@pytest.mark.parametrize("name", ["y/a.jpg", "./y/a.jpg", "y\\a.jpg", "/data/set/y/a.jpg", "C:\\y\\a.jpg"])
def test_folders_in_the_file_name_decide_first(tmp_path: Path, name: str) -> None:
    tree(tmp_path, {"x/a.jpg": None, "y/a.jpg": None, "x/a.json": label(name)})
    assert list(fields(tmp_path, read(tmp_path, "json"))) == ["y/a.jpg"]


def test_a_draw_is_an_error_of_that_label_that_names_the_candidates(tmp_path: Path) -> None:
    tree(tmp_path, {f"images/{n}/a.jpg": None for n in range(5)} | {"labels/a.json": label("a.jpg")})
    labelling = read(tmp_path, "json")
    assert labelling.labels == {}
    assert reasons(tmp_path, labelling) == [
        (
            "labels/a.json",
            "5 images agree equally well with it: images/0/a.jpg, images/1/a.jpg, images/2/a.jpg and 2 more",
        )
    ]


def test_names_are_the_same_in_either_unicode_form(tmp_path: Path) -> None:
    tank, name = (unicodedata.normalize("NFD", text) for text in ("탱크", "사진.jpg"))
    assert tank != "탱크"
    tree(tmp_path, {f"원천/{tank}/{name}": None, "원천/선체/사진.jpg": None})
    tree(tmp_path, {"라벨/탱크/a.json": label("사진.jpg")})
    assert fields(tmp_path, read(tmp_path, "json")) == {f"원천/{tank}/{name}": {"category1": "탱크"}}


def test_upper_and_lower_case_differ_unless_there_is_no_other(tmp_path: Path) -> None:
    tree(tmp_path, {"A.jpg": None, "a.jpg": None, "B.JPG": None})
    tree(
        tmp_path,
        {"1.json": label("a.jpg", n=1), "2.json": label("A.jpg", n=2), "3.json": label("b.jpg", n=3)},
    )
    found = fields(tmp_path, read(tmp_path, "json"))
    assert found == {"A.jpg": {"n": 2}, "a.jpg": {"n": 1}, "B.JPG": {"n": 3}}


def test_two_labels_that_say_the_same_are_one(tmp_path: Path) -> None:
    twice = {f"{n}.json": label("a.jpg", n=1) for n in (1, 2)}
    tree(tmp_path, {"a.jpg": None, **twice})
    labelling = read(tmp_path, "json")
    assert fields(tmp_path, labelling) == {"a.jpg": {"n": 1}}
    assert labelling.skipped == []


def test_of_two_labels_with_the_same_fields_the_first_gives_the_metadata(tmp_path: Path) -> None:
    tree(tmp_path, {"a.jpg": None, "1.json": {**label("a.jpg", n=1), "v": 1}, "2.json": label("a.jpg", n=1)})
    labelling = read(tmp_path, "json")
    assert labelling.labels[tmp_path / "a.jpg"].metadata["v"] == 1
    assert reasons(tmp_path, labelling) == [
        ("2.json", f"a.jpg has the same fields from {tmp_path}/1.json, whose metadata is kept")
    ]


@pytest.mark.parametrize(("one", "other"), [("good", "bad"), (1, True), (1, "1")])
def test_labels_that_contradict_each_other_are_reported_and_none_is_used(
    tmp_path: Path, one: object, other: object
) -> None:
    tree(tmp_path, {"a.jpg": None, "1.json": label("a.jpg", q=one), "2.json": label("a.jpg", q=other)})
    labelling = read(tmp_path, "json")
    assert labelling.unlabelled == [tmp_path / "a.jpg"]
    assert reasons(tmp_path, labelling) == [
        ("1.json", f"contradicts {tmp_path}/2.json about a.jpg; neither is used"),
        ("2.json", f"contradicts {tmp_path}/1.json about a.jpg; neither is used"),
    ]


def test_a_label_whose_own_image_is_missing_does_not_take_that_of_a_better_label(tmp_path: Path) -> None:
    labels = {f"labels/{q}/a.json": label("a.jpg", quality=q) for q in ("bad", "good")}
    tree(tmp_path, {"images/good/a.jpg": None, **labels})
    labelling = read(tmp_path, "json")
    assert fields(tmp_path, labelling)["images/good/a.jpg"]["quality"] == "good"
    ((path, reason),) = reasons(tmp_path, labelling)
    assert path == "labels/bad/a.json"
    assert "labels/good/a.json, whose directories agree better" in reason


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949"])
def test_korean_text_is_read_in_each_encoding_that_deliveries_use(tmp_path: Path, encoding: str) -> None:
    text = json.dumps(label("사진.jpg", 부품="탱크"), ensure_ascii=False)
    tree(tmp_path, {"사진.jpg": None, "a.json": text.encode(encoding)})
    assert fields(tmp_path, read(tmp_path, "json")) == {"사진.jpg": {"부품": "탱크"}}


ONE: list[Any] = [{"file_name": "a.jpg"}]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xff\x81\x00", "is a binary file, no text"),
        ("", "not JSON: Expecting value (line 1, column 1)"),
        ("[" * 5000, f"nested more than {MAX_DEPTH} levels deep"),
        ("[" * 500 + "]" * 500, f"nested more than {MAX_DEPTH} levels deep"),
        ("1" * 5000, "not JSON that can be read: an integer has too many digits"),
        ([1], "names no image: no member of the list has a file_name"),
        ({"name": "package"}, "names no image: there is no images[].file_name"),
        ({"images": {}}, "names no image: images is empty"),
        ({"images": 5}, "images is a number, not a list"),
        ({"images": None}, "images is null, not a list"),
        ({"images": []}, "names no image: images is empty"),
        ({"images": ["a"]}, "images[0] is a string, not an object"),
        ({"images": [{}]}, "names no image: images[0] has no file_name"),
        ({"images": [{"file_name": 7}]}, "images[0].file_name is a number, not a string"),
        ({"images": [{"file_name": ""}]}, "images[0].file_name is empty"),
        ({"images": [{"file_name": ".."}]}, "there is no image '..'"),
        ({"images": [{"file_name": "b.jpg"}]}, "there is no image 'b.jpg'"),
        ({"images": ONE, "annotations": None}, "annotations is null, not a list"),
        ({"images": ONE, "annotations": 5}, "annotations is a number, not a list"),
        ({"images": ONE, "annotations": [True]}, "annotations[0] is a boolean, not an object"),
        (
            {"images": ONE, "annotations": [{}, {"attributes": 5}]},
            "annotations[1].attributes is a number, not an object",
        ),
        ({"images": ONE * 2}, "names 2 images: such a file (COCO) is read by --labels table"),
        (
            {"images": ONE, "annotations": [{"category_id": 9}], "categories": [{"id": 1, "name": "x"}]},
            "annotations[0].category_id is 9, which is not among the categories",
        ),
    ],
)
def test_a_file_that_is_no_label_is_skipped_with_what_is_wrong(
    tmp_path: Path, content: object, reason: str
) -> None:
    tree(tmp_path, {"a.jpg": None, "a.json": content})
    labelling = read(tmp_path, "json")
    assert reasons(tmp_path, labelling) == [("a.json", reason)]
    assert labelling.unlabelled == [tmp_path / "a.jpg"]


def test_numbers_that_json_does_not_have_are_absent_and_great_integers_keep_their_digits(
    tmp_path: Path,
) -> None:
    attributes = '{"a": NaN, "b": 1e999, "c": -Infinity, "d": 123456789012345678901, "e": 1e3}'
    text = f'{{"images": [{{"file_name": "a.jpg"}}], "annotations": [{{"attributes": {attributes}}}]}}'
    tree(tmp_path, {"a.jpg": None, "a.json": text})
    labelling = read(tmp_path, "json")
    assert fields(tmp_path, labelling) == {"a.jpg": {"d": "123456789012345678901", "e": 1000.0}}
    json.dumps(labelling.labels[tmp_path / "a.jpg"].metadata, allow_nan=False)


def test_fields_are_valid_unicode_whatever_the_names(tmp_path: Path) -> None:
    folder = tmp_path / b"\xff\xfe".decode("utf-8", "surrogateescape")
    tree(folder, {"a.jpg": None, "a.json": '{"images": [{"file_name": "a.jpg"}], "annotations": []}'})
    tree(tmp_path, {"b.jpg": None, "b.json": label("b.jpg", **{"\ud800": "\udc00"})})
    found = fields(tmp_path, read(tmp_path, "json"))
    assert found["b.jpg"] == {r"\ud800": r"\udc00"}
    assert found[str((folder / "a.jpg").relative_to(tmp_path))] == {"category1": r"\udcff\udcfe"}


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
_ANY = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_ANNOTATION = st.fixed_dictionaries(
    {}, optional={"attributes": _ANY, "category_id": _ANY, "image_id": _ANY, "id": _ANY}
)
_NEARLY = st.fixed_dictionaries(
    {},
    optional={
        "images": _ANY | st.lists(st.fixed_dictionaries({"file_name": _ANY | st.just("a.jpg"), "id": _ANY})),
        "annotations": _ANY | st.lists(_ANY | _ANNOTATION, max_size=3),
        "categories": _ANY | st.lists(_ANY | st.fixed_dictionaries({"id": _ANY, "name": _ANY}), max_size=3),
    },
)


@given(_ANY | _NEARLY)
@example(
    {"images": [{"file_name": "a.jpg"}], "annotations": [{"category_id": []}], "categories": [{"id": {}}]}
)
def test_any_json_value_is_a_label_or_is_skipped(content: Any) -> None:
    root = Path("/root")
    claims, skipped = read_json_files(
        ImageNames(root, [root / "a.jpg"]), [Document(root / "a.json", content)]
    )
    assert len(claims) + len(skipped) == 1
    for claim in claims:
        assert labels_digest(claim.label.fields, claim.label.metadata)
        assert all(isinstance(value, str | int | float) for value in claim.label.fields.values())
    for one in skipped:
        assert one.reason
        assert "\n" not in one.reason


@pytest.mark.timeout(60)
@pytest.mark.parametrize("layout", ["a folder each", "two trees"])
def test_time_grows_with_the_number_of_labels_not_with_its_square(layout: str) -> None:
    """Ten thousand images of one name: compared each with each, the time limit would end this."""
    root = Path("/root")
    count = 10_000
    if layout == "a folder each":
        images = [root / f"sample{n}" / "image.jpg" for n in range(count)]
        labels = [root / f"sample{n}" / "label.json" for n in range(count)]
    else:
        images = [root / f"batch{n}/images/tank/image.jpg" for n in range(count)]
        labels = [root / f"batch{n}/labels/tank/label.json" for n in range(count)]
    claims, skipped = read_json_files(
        ImageNames(root, images), [Document(path, label("image.jpg")) for path in labels]
    )
    assert skipped == []
    assert [claim.image for claim in claims] == images
