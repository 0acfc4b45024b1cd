"""What is named like an image and is none to index is left out and counted; patterns leave out more."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.errors import InvalidArgument
from lookalike.sources.files import find
from lookalike.sources.patterns import Patterns


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def images(root: Path, exclude: tuple[str, ...] = (), include: tuple[str, ...] = ()) -> list[str]:
    found = find(root, Patterns(exclude, include))
    return [str(path.relative_to(root)) for path in found.images]


def left_out(root: Path) -> dict[str, int]:
    return {each.reason: each.count for each in find(root).left_out}


@pytest.mark.parametrize(
    ("place", "what"),
    [
        ("good/@eaDir/001.jpg/SYNOPHOTO_THUMB_XL.jpg", "in @eaDir (thumbnails of a NAS)"),
        ("@EADIR/a.jpg", "in @EADIR (thumbnails of a NAS)"),
        ("good/.@__thumb/default001.jpg", "in .@__thumb (thumbnails of a NAS)"),
        (".thumbnails/a.jpg", "in .thumbnails (thumbnails of a NAS)"),
        ("#recycle/good/a.jpg", "in #recycle (a recycle bin)"),
        ("@Recycle/a.jpg", "in @Recycle (a recycle bin)"),
        ("$RECYCLE.BIN/S-1-5/a.jpg", "in $RECYCLE.BIN (a recycle bin)"),
        (".Trash-1000/files/a.jpg", "in .Trash-1000 (a recycle bin)"),
        ("System Volume Information/a.jpg", "in System Volume Information (what Windows keeps for itself)"),
        ("__MACOSX/good/a.jpg", "in __MACOSX (what macOS packs beside the files)"),
        ("lost+found/a.jpg", "in lost+found (what a file system check found)"),
        (".ipynb_checkpoints/a-checkpoint.jpg", "in hidden folders"),
        ("good/._001.jpg", "with hidden names"),
    ],
)
def test_what_systems_keep_is_left_out_and_counted(tmp_path: Path, place: str, what: str) -> None:
    touch(tmp_path, "good/001.jpg", place)
    assert images(tmp_path) == ["good/001.jpg"]
    assert left_out(tmp_path) == {what: 1}


def test_a_folder_that_is_left_out_is_walked_where_it_is_named_itself(tmp_path: Path) -> None:
    touch(tmp_path, "@eaDir/a.jpg")
    assert images(tmp_path / "@eaDir") == ["a.jpg"]


def test_what_a_link_shows_of_a_hidden_folder_is_an_image(tmp_path: Path) -> None:
    touch(tmp_path, ".store/a.jpg")
    (tmp_path / "good").symlink_to(".store")
    assert images(tmp_path) == ["good/a.jpg"]
    assert left_out(tmp_path) == {}


@pytest.mark.parametrize(
    ("pictures", "masks"),
    [
        (["test/cut/000.png", "train/good/000.png"], ["ground_truth/cut/000_mask.png"]),  # MVTec AD
        (["bottle/test/cut/000.png"], ["bottle/ground_truth/cut/000_mask.png"]),
        (["test/ko/0001.bmp", "train/ok/0001.bmp"], ["ground_truth/ko/0001.png"]),  # BTAD
        (["test/logical_anomalies/000.png"], ["ground_truth/logical_anomalies/000/000.png"]),  # MVTec LOCO
        (["Data/Images/Anomaly/000.JPG"], ["Data/Masks/Anomaly/000.png"]),  # VisA
        (["JPEGImages/a.jpg"], ["SegmentationClass/a.png", "SegmentationObject/a.png"]),  # Pascal VOC
        (["images/training/a.jpg"], ["annotations/training/a.png"]),  # ADE20K
        (["Class1/Train/0576.PNG"], ["Class1/Train/Label/0576_label.PNG"]),  # DAGM
        (["train/10000.png"], ["train/10000_GT.png"]),  # KolektorSDD2
        (["kos01/Part0.jpg"], ["kos01/Part0_label.bmp"]),  # KolektorSDD
        (["benign/benign (1).png"], ["benign/benign (1)_mask.png", "benign/benign (1)_mask_1.png"]),  # BUSI
        (["train/a.jpg"], ["train_masks/a_mask.gif"]),  # Carvana
        (
            ["leftImg8bit/a/x_leftImg8bit.png"],
            ["gtFine/a/x_gtFine_labelIds.png", "gtFine/a/x_gtFine_color.png"],
        ),
        (["100034_sat.jpg"], ["100034_mask.png"]),  # DeepGlobe
        (["good/001.png"], ["good/masks/001.png"]),
        (["imgs/001.png"], ["mask/001.png"]),
    ],
)
def test_masks_are_left_out_and_counted(tmp_path: Path, pictures: list[str], masks: list[str]) -> None:
    touch(tmp_path, *pictures, *masks)
    assert images(tmp_path) == sorted(pictures)
    assert sum(left_out(tmp_path).values()) == len(masks)
    assert all("mask" in reason for reason in left_out(tmp_path))


@pytest.mark.parametrize(
    "pictures",
    [
        ["mask/001.jpg", "no_mask/001.jpg"],  # people with a mask and without
        ["train/mask/001.jpg", "train/no_mask/001.jpg", "test/mask/001.jpg", "test/no_mask/001.jpg"],
        ["ground_truth/good/1.jpg", "ground_truth/bad/1.jpg"],
        ["labels/1.jpg", "boxes/1.jpg"],
        ["a_mask.png"],
        ["001_label.jpg", "001.jpg"],  # a part and its label
        ["bitmask.png", "bit.png"],
    ],
)
def test_pictures_that_only_might_be_masks_are_pictures(tmp_path: Path, pictures: list[str]) -> None:
    touch(tmp_path, *pictures)
    assert images(tmp_path) == sorted(pictures)


PLACES = ("a.jpg", "bad/b.jpg", "bad/x/c.png", "good/bad/d.jpg", "good/e.png")


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        ("bad", ["a.jpg", "good/e.png"]),
        ("bad/", ["a.jpg", "good/e.png"]),
        ("/bad", ["a.jpg", "good/bad/d.jpg", "good/e.png"]),
        ("bad/*", ["a.jpg", "good/bad/d.jpg", "good/e.png"]),
        ("./bad/*", ["a.jpg", "good/bad/d.jpg", "good/e.png"]),
        ("**/bad/*", ["a.jpg", "good/e.png"]),
        ("bad/**", ["a.jpg", "good/bad/d.jpg", "good/e.png"]),
        ("*.png", ["a.jpg", "bad/b.jpg", "good/bad/d.jpg"]),
        ("?.jpg", ["bad/x/c.png", "good/e.png"]),
        ("[ab].jpg", ["bad/x/c.png", "good/bad/d.jpg", "good/e.png"]),
        ("nothing", list(PLACES)),
    ],
)
def test_exclude_is_a_pattern_of_gitignore_relative_to_the_folder(
    tmp_path: Path, pattern: str, left: list[str]
) -> None:
    touch(tmp_path, *PLACES)
    assert images(tmp_path, exclude=(pattern,)) == left


def test_include_takes_only_what_matches_and_exclude_wins(tmp_path: Path) -> None:
    touch(tmp_path, *PLACES)
    assert images(tmp_path, include=("*.png",)) == ["bad/x/c.png", "good/e.png"]
    assert images(tmp_path, include=("*.png", "a.jpg")) == ["a.jpg", "bad/x/c.png", "good/e.png"]
    assert images(tmp_path, include=("*.png",), exclude=("bad",)) == ["good/e.png"]


def test_include_takes_what_it_names_although_that_is_left_out_otherwise(tmp_path: Path) -> None:
    touch(
        tmp_path, "test/cut/0.png", "ground_truth/cut/0_mask.png", ".old/b.jpg", "@eaDir/c.jpg", "d_mask.png"
    )
    touch(tmp_path, "d.png", "#recycle/e.jpg")
    assert images(tmp_path, include=("ground_truth",)) == ["ground_truth/cut/0_mask.png"]
    assert images(tmp_path, include=(".old/**",)) == [".old/b.jpg"]
    assert images(tmp_path, include=("@eaDir",)) == ["@eaDir/c.jpg"]
    assert images(tmp_path, include=("#recycle/*",)) == ["#recycle/e.jpg"]
    assert images(tmp_path, include=("*_mask.png",)) == ["d_mask.png"]
    everything = images(tmp_path, include=("*",))
    assert everything == ["d.png", "test/cut/0.png"]
    assert images(tmp_path, include=("*", "@eaDir")) == ["@eaDir/c.jpg", *everything]


def test_a_pattern_means_the_name_that_people_read(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "불량")
    packed = os.fsdecode("불량".encode("cp949"))
    touch(tmp_path, f"{decomposed}/1.jpg", f"x/{packed}/2.jpg", "양품/3.jpg")
    assert images(tmp_path, exclude=("불량",)) == ["양품/3.jpg"]
    assert images(tmp_path, exclude=(decomposed,)) == ["양품/3.jpg"]


@pytest.mark.parametrize("pattern", ["", "/", "[z-a]", "\\", " "])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidArgument, match="is no pattern"):
        Patterns(exclude=(pattern,))


@given(st.text(max_size=8), st.text(min_size=1, max_size=8).filter(lambda name: "\0" not in name))
def test_any_text_is_a_pattern_or_refused(pattern: str, name: str) -> None:
    try:
        patterns = Patterns((pattern,), (pattern,))
    except InvalidArgument:
        return
    assert patterns.reason([name]) is not None


def test_what_a_pattern_leaves_out_is_counted_and_one_that_matches_nothing_is_known(tmp_path: Path) -> None:
    touch(tmp_path, *PLACES)
    patterns = Patterns(("bad", "typo"), ("*.png",))
    reasons = {each.reason: each.count for each in find(tmp_path, patterns).left_out}
    assert reasons == {"by --exclude bad": 3, "by --include, which others match": 1}
    assert patterns.unused == ["typo"]


def test_label_files_in_a_folder_that_is_excluded_are_not_read(tmp_path: Path) -> None:
    touch(tmp_path, "good/a.jpg", "old/metadata.csv", "metadata.csv")
    others = find(tmp_path, Patterns(("old",), ("*.jpg",))).others
    assert others == [tmp_path / "metadata.csv"]
