"""ImageFolder: a folder for each label, as torchvision, Keras and Hugging Face's datasets read it."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from lookalike.stores.sql import sql_text
from lookalike.transfer.exports.coco import label_text
from lookalike.transfer.exports.pictures import file_name, place_picture
from lookalike.types import Skipped
from lookalike.uris import uri_text
from lookalike.vectors.vote import label_key

if TYPE_CHECKING:
    from collections.abc import Hashable

    from lookalike.transfer.exports.rows import Rows
    from lookalike.types import Scalar

TABLE = "metadata.csv"
"""The file that says what cannot be said by a folder, as Hugging Face's `imagefolder` calls it:
https://huggingface.co/docs/datasets/image_dataset"""

# Bytes in the name of a file, as nearly all file systems have it; the rest is for what tells names apart.
_LONGEST = 255 - 20


def write_image_folder(
    rows: Rows, by: str, folder: Path, *, copy: bool
) -> tuple[int, list[Skipped], list[str]]:
    """Fill a folder with a folder for each label, and the pictures in it.

    A name that another picture has already, in any case, gets a number. `metadata.csv` has a row for each
    picture, `file_name` and the label as it is.

    Args:
        rows: without vectors.
        by: the field that holds the label.
        folder: that is empty.
        copy: whether to copy pictures, and not to link them.

    Returns:
        How many pictures are in it; those that are not, and why; and what is to be known of it.

    Raises:
        OSError: it cannot be written.
    """
    folders = _Names(TABLE)
    by_label: dict[Hashable, tuple[str, _Names]] = {}
    renamed: list[str] = []
    skipped: list[Skipped] = []
    count = 0
    with (folder / TABLE).open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file_name", by])
        for records in rows.records():
            for record in records:
                label = record.fields.get(by)
                if label is None:
                    skipped.append(Skipped(uri_text(record.uri), f"it has no {by!r}"))
                    continue
                key = label_key(label)
                if key not in by_label:
                    name = folders.of(folder_name(label))
                    by_label[key] = name, _Names()
                    (folder / name).mkdir()
                    if name != label_text(label):
                        renamed.append(f"the folder of {label_text(label)!r} is {name!r}")
                name, names = by_label[key]
                own = names.of(file_name(record))
                problem = place_picture(record, folder / name / own, copy=copy)
                if problem is not None:
                    skipped.append(problem)
                    continue
                count += 1
                table.writerow([f"{name}/{own}", label_text(label)])
    for name, _ in by_label.values():  # of labels whose pictures all cannot be had
        if not any((folder / name).iterdir()):
            (folder / name).rmdir()
    return count, skipped, renamed


def folder_name(label: Scalar) -> str:
    r"""Return the name of the folder of a label.

    What no folder's name may have is percent-encoded: `/`, `\`, control characters, a full stop that it
    begins with, and a full stop or blank that it ends with.
    """
    text = sql_text(label_text(label))
    name = "".join(_encoded(sign) if sign in "/\\" or not sign.isprintable() else sign for sign in text)
    if name.startswith("."):
        name = _encoded(".") + name[1:]
    if name.endswith((".", " ")):
        name = name[:-1] + _encoded(name[-1])
    return name or _encoded("\0")


def _encoded(sign: str) -> str:
    return "".join(f"%{byte:02X}" for byte in sign.encode())


class _Names:
    """Names in one folder, each once, whether or not the file system tells cases apart."""

    def __init__(self, *taken: str) -> None:
        self._taken = {name.casefold() for name in taken}
        self._last: dict[str, int] = {}
        """The last number that each name got: a hundred thousand may have one name."""

    def of(self, name: str) -> str:
        """Return a name, cut where it is too long, with a number where it is taken."""
        stem, suffix = Path(name).stem, Path(name).suffix
        if len(name.encode()) > _LONGEST:
            digest = hashlib.sha256(name.encode()).hexdigest()[:8]
            stem = stem.encode()[: _LONGEST - len(suffix.encode()) - 9].decode(errors="ignore") + f"-{digest}"
        wanted = free = stem + suffix
        number = self._last.get(wanted.casefold(), 1)
        while free.casefold() in self._taken:
            number += 1
            free = f"{stem}-{number}{suffix}"
        self._last[wanted.casefold()] = number
        self._taken.add(free.casefold())
        return free
