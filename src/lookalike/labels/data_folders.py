"""Folder names that say the kind of data or the split (images, train), and are never a label."""

from __future__ import annotations

import re
from unicodedata import normalize

_SPLITS = {
    **dict.fromkeys(("train", "training", "trn", "학습", "학습용", "ts", "tl"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "검증", "검증용", "vs", "vl"), "val"),
    **dict.fromkeys(("test", "testing", "tst", "holdout", "시험", "테스트", "평가", "평가용"), "test"),
}
"""Parts of data sets by what folders and files call them. TS, TL, VS and VL are AI Hub's archives of pictures
(원천) and labels (라벨) for training and validation."""

_KINDS = frozenset({
    # Pascal VOC's JPEGImages and Annotations, YOLO's images and labels, MVTec's ground_truth, COCO's folders.
    "image", "images", "img", "imgs", "jpegimages", "pngimages", "jpg", "jpgs", "jpeg", "jpegs", "png",
    "photo", "photos", "picture", "pictures", "pic", "pics", "rgb",
    "label", "labels", "annotation", "annotations", "ann", "anns", "json", "jsons", "xml", "xmls",
    "data", "dataset", "datasets", "raw", "rawdata",
    "vocdevkit", "coco", "trainval", "unlabeled", "unlabelled", "ground_truth", "groundtruth",
    # AI Hub, https://aihub.or.kr: 원천데이터 and 라벨링데이터 below Training and Validation.
    "원천", "원천데이터", "원천이미지", "원천 데이터", "원본", "원본데이터", "원시데이터", "이미지", "사진",
    "라벨", "라벨링", "라벨데이터", "라벨링데이터", "라벨링 데이터", "레이블", "레이블데이터", "어노테이션",
    "데이터", "데이터셋", "개방데이터", "정식개방데이터", "샘플", "샘플데이터", "전체",
})  # fmt: skip
_NUMBERED = re.compile(
    r"^(?:\d+(?:-\d+)?[._ -]+)?\[?(?P<name>.*?)\]?"
    r"(?:[_ .-]?(?:19|20)?\d{2,6})?(?:[_ -]?\d{1,3})?(?:[_ -]add)?$"
)
"""What is around a name: `1.Training`, `[원천]`, `원천데이터_230118_add`, `train2017`."""
_VOC_YEAR = re.compile(r"voc20\d\d")
_WORDS = re.compile(r"[a-z]+|[가-힣]+")
_JOINT = re.compile(r"[_ .-]+")
_FILLERS = frozenset({"set", "sets", "folder", "files", "all"})
"""Words that say nothing more beside one that says the kind of data: `test-set`, `train_images_all`."""


_THINGS_TOO = frozenset({"train", "label", "photo", "picture"})
"""Of these, those that are things, too: CIFAR-100's class train is a vehicle."""


def is_thing(name: str) -> bool:
    """Tell whether a name that may say the kind of data may be a class as well: a train is a vehicle."""
    return normalize("NFC", name).casefold() in _THINGS_TOO


def _plain(name: str) -> str:
    folded = normalize("NFC", name).casefold().strip()
    found = _NUMBERED.match(folded)
    return found["name"].strip("_ .-") if found else folded


def is_data_folder(name: str) -> bool:
    """Tell whether a folder's name only says what kind of data is in it: `images`, `train`, 원천."""
    plain = _plain(name)
    return (
        plain in _KINDS
        or plain in _SPLITS
        or len(_joined_words(plain)) > 1
        or _VOC_YEAR.fullmatch(normalize("NFC", name).casefold()) is not None
    )


def _joined_words(plain: str) -> list[str]:
    """Return the words of a name where all of them say the kind of data: `train_images`; else none."""
    words = _JOINT.split(plain)
    if all(word in _KINDS or word in _SPLITS or word in _FILLERS for word in words) and not (
        _FILLERS.issuperset(words)
    ):
        return words
    return []


def split_of(name: str) -> str | None:
    """Return which part of a data set a folder is called after: train, val or test; None where it is none."""
    plain = _plain(name)
    if plain in _SPLITS:
        return _SPLITS[plain]
    found = {_SPLITS[word] for word in _joined_words(plain) if word in _SPLITS}
    return found.pop() if len(found) == 1 else None


def split_in(name: str) -> str | None:
    """Return the part of a data set that a word in the name of a file says: `instances_val2017` is of val."""
    found = {_SPLITS[word] for word in _WORDS.findall(normalize("NFC", name).casefold()) if word in _SPLITS}
    return found.pop() if len(found) == 1 else None
