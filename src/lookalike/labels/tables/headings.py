"""Headings of table columns: which column names the images, and which holds the label."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from unicodedata import normalize

from lookalike.label_normalisation import label_text
from lookalike.sources.files import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FILE_NAME = "file_name"
"""As Hugging Face's ImageFolder has it: where a column is called so, no other is meant."""

_HEADINGS = (
    "filename", "imagefilename", "imagefile", "imagename", "imagepath", "filepath", "image", "file",
    "img", "imgname", "imgpath", "imgfile", "path", "relativepath", "fullpath", "abspath", "fname",
    "photo", "photoname", "picture", "picturename", "pic", "url", "imageurl", "uri", "imageid", "name",
    "id", "source", "src", "파일명", "파일이름", "파일", "이미지파일명", "이미지파일", "이미지명",
    "이미지이름", "이미지", "이미지경로", "파일경로", "경로", "사진", "사진명", "영상", "영상명",
    "원본파일명", "원천파일명", "文件名", "文件", "文件路径", "图片", "图片名", "图片名称", "图片路径",
    "图像", "图像名", "图像名称", "路径", "檔名", "檔案", "檔案名稱", "圖片", "圖片名稱", "圖檔", "影像",
    "路徑", "ファイル名", "ファイル", "画像", "画像名", "画像ファイル", "画像ファイル名", "パス",
    "dateiname", "datei", "bild", "bilddatei", "bildname", "pfad", "nomdefichier", "nomfichier",
    "fichier", "nombredearchivo", "nombrearchivo", "archivo", "imagen", "nomefile", "immagine",
    "nomedoarquivo", "arquivo", "imagem", "bestandsnaam", "plik", "nazwapliku", "obraz", "файл",
    "имяфайла", "изображение",
)  # fmt: skip
"""What people call the column of file names, in lower case and without signs; in the order of how surely."""
_VAGUE = {
    "name", "id", "source", "src", "imageid", "path", "url", "uri",
    "사진", "영상", "경로", "路径", "路徑", "パス", "pfad",
}  # fmt: skip
"""Those that are headings of other columns just as well: only values that name images make them one."""
_RANK = {heading: rank for rank, heading in enumerate(_HEADINGS)}
_LABELS = frozenset({
    "labels", "class", "classes", "classname", "classlabel", "labelname", "category", "categoryname",
    "target", "groundtruth", "choice",
    "라벨", "레이블", "라벨명", "클래스", "클래스명", "분류", "标签", "类别", "標籤", "類別",
    "ラベル", "クラス", "klasse", "kategorie", "classe", "clase", "etiqueta", "класс",
})  # fmt: skip
"""What people call the column of labels, in lower case without signs, where none is called label; `choice`
is Label Studio's in its CSV."""
# Their values are looked at, for other things are called so too.
_LOOKED_AT = 200
# Of the values of a column whose heading says nothing, so many must name an image.
_LEAST = 0.5


def heading(text: object) -> str:
    """Return what the heading of a column says: in lower case, without blanks and signs."""
    if not isinstance(text, str):
        return ""
    return re.sub(r"[\W_]+", "", normalize("NFKC", label_text(text)).casefold())


def field_name(text: str) -> str:
    """Return the name of the field that a column gives: its heading without blanks at its ends.

    `Label` in any case is `label`, which is what is asked for where nothing else is.
    """
    name = label_text(text)
    return "label" if name.casefold() == "label" else name


def is_file_heading(text: object) -> bool:
    """Tell whether a column of this heading may name the images."""
    return heading(text) in _RANK


def is_sure_file_heading(text: object) -> bool:
    """Tell whether a column of this heading names the images, whatever its values are."""
    return is_file_heading(text) and heading(text) not in _VAGUE


def is_label_heading(text: object) -> bool:
    """Tell whether a column of this heading holds the labels where none is called label."""
    return heading(text) in _LABELS


def is_image_name(text: object) -> bool:
    """Tell whether a value looks like the name of an image: by its ending."""
    if not isinstance(text, str):
        return False
    _, dot, ending = text.strip().strip("\"'").rpartition(".")
    return bool(dot) and f".{ending.casefold()}" in SUFFIXES


def file_column(
    headings: Sequence[str],
    values: Callable[[int], Sequence[Any]],
    is_there: Callable[[str], bool],
) -> int | None:
    """Return which column names the images, or None.

    Args:
        headings: of the columns.
        values: returns the values of a column, by its number.
        is_there: tells whether a value names an image that is there.
    """

    def share(column: int) -> float:
        some = [value for value in values(column) if isinstance(value, str) and label_text(value)][
            :_LOOKED_AT
        ]
        return sum(is_there(value) for value in some) / len(some) if some else 0.0

    exact = [n for n, name in enumerate(headings) if label_text(name) == FILE_NAME]
    named = [n for n, name in enumerate(headings) if is_file_heading(name)]
    named.sort(key=lambda n: (n not in exact, _RANK[heading(headings[n])]))
    if len(named) > 1 or (named and not exact):
        shares = {n: share(n) for n in named}
        best = max(named, key=lambda n: (shares[n], -named.index(n)))
        if shares[best] > 0:
            return exact[0] if exact and shares[exact[0]] > 0 else best
    elif exact:
        return exact[0]
    others = {n: share(n) for n in range(len(headings)) if n not in named}
    best_other = max(others, key=lambda n: others[n], default=None)
    if best_other is not None and others[best_other] >= _LEAST:
        return best_other
    return next((n for n in named if is_sure_file_heading(headings[n])), None)
