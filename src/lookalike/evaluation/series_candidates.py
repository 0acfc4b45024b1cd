"""Candidates for series: groupings and orders of images that their names, folders and capture times suggest.

A series is several exposures of one part, the frames of one film, or crops of one photograph. Cameras number
pictures in the order in which they are taken, and people name the exposures of a part alike.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from lookalike.types import CAPTURED, OWN_KEY
from lookalike.uris import uri_text
from lookalike.vectors.groupings import numbered_by_first_row
from lookalike.vectors.vote import label_key, label_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from numpy.typing import NDArray

    from lookalike.types import Record
    from lookalike.vectors.groupings import Groups
    from lookalike.vectors.vote import LabelKey

    Key: TypeAlias = tuple[str | int, ...]

# Largest differences of two numbers in a row, and of two capture times in seconds, that may be one series.
_NUMBER_GAPS = (1, 2, 3, 5, 10, 20, 50, 100, 1000)
_SECONDS = (2, 5, 10, 30, 60, 300, 900, 3600)
# Folders above an image that may each be a part, and fields of a name, from its end, that may be an exposure.
_LEVELS = 3
# A grouping whose images lie in series of more than so many, and of more than this part of all images, is
# rather one of products or days, which a field tells better.
_MOST, _MOST_PART = 10, 0.05
# Folders of several images from which they may be one for each part; fewer are lots, days or products.
_FEWEST_FOLDERS = 20
# Names of which this part is found once have one numbering across folders.
_ONCE = 0.99

_FIELD = re.compile(r"[^\W_]+")
_PIECE = re.compile(r"\d+|\D+")
# What is no number of a picture has more digits: a digest, an id.
_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Grouping:
    """A division of the images into series."""

    how: str
    """What the images of one series have in common, in words."""
    groups: Groups
    """(n,): the series of each image."""
    folders: bool = False
    """Whether it divides by folders, so that chance is counted across them."""


@dataclass(frozen=True, slots=True)
class Order:
    """An order in which the images may have been taken."""

    how: str
    """What it goes by, in words."""
    places: NDArray[np.intp]
    """(n,): the place of each image; between two that cannot be one series there is a wide gap."""


BREAK = 1_000
"""Places between two images of an order that cannot be one series."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """All divisions and orders that the images' names and times suggest."""

    groupings: tuple[Grouping, ...]
    orders: tuple[Order, ...]
    strata: Groups
    """(n,): images of one label in one folder, among which names are exchanged at random by a test."""
    labels: Groups
    """(n,): images of one label."""


def find_candidates(records: Sequence[Record], *fields: str | None) -> Candidates:
    """Return the groupings and orders of images that may be series.

    Args:
        records: in any order.
        fields: by which images are alike, or are compared, whatever series they are of: those of the label
            and of the part within which they are compared; None: none.
    """
    paths = [_path(record) for record in records]
    folders = [path.rpartition("/")[0] for path in paths]
    stems = [_stem(path.rpartition("/")[2]) for path in paths]
    keys = [tuple(_value(record, field) for field in fields) for record in records]
    # One numbering for all folders, as a camera has it, or one for each.
    counts = Counter(stems)
    once = sum(count == 1 for count in counts.values()) >= _ONCE * len(stems)
    domains = [""] * len(stems) if once else folders
    groupings = [*_by_folder(folders), *_by_name(domains, stems)]
    names = [_natural(stem) for stem in stems]
    order, groups = _by_number(domains, names)
    groupings += groups
    orders = [order]
    timed = _by_time(records)
    if timed is not None:
        orders.append(timed[0])
        groupings += timed[1]
    return Candidates(
        tuple(_different(groupings)),
        tuple(orders),
        _numbered(zip(keys, folders, strict=True)),
        _numbered(keys),
    )


def _value(record: Record, field: str | None) -> LabelKey | None:
    value = None if field is None else label_of(record, field)
    return None if value is None else label_key(value)


def _own(record: Record) -> dict[str, Any]:
    own = record.metadata.get(OWN_KEY)
    return own if isinstance(own, dict) else {}


def _path(record: Record) -> str:
    """Return the path of an image; of one that was sent to a service, the name that it was sent by."""
    path, name = uri_text(record.uri), _own(record).get("name")
    return f"{path.rpartition('/')[0]}/{name.rpartition('/')[2]}" if isinstance(name, str) else path


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name


def _natural(stem: str) -> Key:
    """Return a name as texts and numbers by turns, so that frame10 comes after frame9."""
    pieces = _PIECE.findall(stem.casefold())
    return tuple(int(piece) if piece.isdecimal() and len(piece) <= _DIGITS else piece for piece in pieces)


def _numbered(keys: Iterable[Hashable]) -> Groups:
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.intp)


def _by_folder(folders: Sequence[str]) -> list[Grouping]:
    found = []
    for level in range(_LEVELS):
        names = [folder.rsplit("/", level)[0] for folder in folders]
        said = "the same folder" if not level else f"the same folder, {level} above their own"
        found.append(Grouping(said, _numbered(names), folders=True))
    return found


def _by_name(domains: Sequence[str], stems: Sequence[str]) -> list[Grouping]:
    """Return groupings of names that are alike up to their last field, number or letter."""
    fields = [[each.casefold() for each in _FIELD.findall(stem)] for stem in stems]
    found = []

    def add(how: str, keys: Iterable[Hashable]) -> None:
        found.append(Grouping(how, _numbered(zip(domains, keys, strict=True))))

    add("file names alike but for their last number", (stem.rstrip("0123456789") for stem in stems))
    add(
        "file names alike but for their last letter",
        (stem[:-1] if stem[-1:].isalpha() and stem[-2:-1].isdecimal() else stem for stem in stems),
    )
    for last in range(1, _LEVELS + 1):
        what = "field" if last == 1 else f"{last} fields"
        add(
            f"file names alike but for their last {what}",
            (tuple(each[: max(1, len(each) - last)]) for each in fields),
        )
    for first in range(1, _LEVELS):
        what = "field" if first == 1 else f"{first} fields"
        add(f"file names alike in their first {what}", (tuple(each[:first]) for each in fields))
    if len(set(domains)) > 1:
        found.append(Grouping("the same file name in several folders", _numbered(stems)))
    return found


def _by_number(domains: Sequence[str], names: Sequence[Key]) -> tuple[Order, list[Grouping]]:
    """Return the order of the numbers in the names, and the runs of near numbers in it."""
    # Texts and numbers cannot be compared; a text comes first, as in a list of files.
    keys = [
        (domain, tuple((isinstance(piece, int), piece) for piece in name))
        for domain, name in zip(domains, names, strict=True)
    ]
    order = np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.intp)
    rows = order.tolist()
    gaps = np.array(
        [
            _distance(names[one], names[other]) if domains[one] == domains[other] else np.inf
            for one, other in pairwise(rows)
        ],
        dtype=float,
    )
    elsewhere = np.array([domains[one] != domains[other] for one, other in pairwise(rows)], dtype=bool)
    said = "file names alike but for one number, which differs by at most {:,} from the next"
    return Order("the order of the numbers in file names", _places(order, elsewhere)), [
        Grouping(said.format(gap), _runs(order, gaps, gap)) for gap in _NUMBER_GAPS
    ]


def _distance(one: Key, other: Key) -> float:
    """Return by how much two names differ that are alike but for one number; infinity for any others."""
    if len(one) != len(other):
        return np.inf
    different = [(a, b) for a, b in zip(one, other, strict=True) if a != b]
    if not different:
        return 0
    (a, b), *more = different
    return abs(a - b) if not more and isinstance(a, int) and isinstance(b, int) else np.inf


def _by_time(records: Sequence[Record]) -> tuple[Order, list[Grouping]] | None:
    """Return the order of capture and the runs of images taken within seconds; None where few are known."""
    captures = [_capture(record) for record in records]
    if sum(capture is not None for capture in captures) < len(records) / 2:
        return None
    keys = [
        ("", float(row * max(_SECONDS) * 2), row) if capture is None else (*capture, row)
        for row, capture in enumerate(captures)
    ]
    rows = sorted(range(len(keys)), key=keys.__getitem__)
    order = np.array(rows, dtype=np.intp)
    pairs = list(pairwise(rows))
    apart = np.array([keys[one][0] != keys[other][0] or not keys[one][0] for one, other in pairs], dtype=bool)
    seconds = np.array([keys[other][1] - keys[one][1] for one, other in pairs], dtype=float)
    seconds[apart] = np.inf
    said = "captured by one camera, each within {:,} seconds of the one before"
    return Order("the order of capture", _places(order, apart)), [
        Grouping(said.format(most), _runs(order, seconds, most)) for most in _SECONDS
    ]


def _capture(record: Record) -> tuple[str, float] | None:
    """Return the camera of an image and its time of capture in seconds."""
    captured = _own(record).get(CAPTURED)
    if not isinstance(captured, dict) or not isinstance(captured.get("time"), str):
        return None
    try:
        seconds = (datetime.fromisoformat(captured["time"]) - datetime(1970, 1, 1)).total_seconds()  # noqa: DTZ001
    except (TypeError, ValueError):
        return None
    return f"camera {captured.get('camera', '')}", seconds


def _places(order: NDArray[np.intp], apart: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the place of each row in an order, with a gap wherever two are apart."""
    places = np.empty(len(order), dtype=np.intp)
    places[order] = np.arange(len(order)) + np.concatenate([[0], np.cumsum(apart) * BREAK])[: len(order)]
    return places


def _runs(order: NDArray[np.intp], gaps: NDArray[np.float64], most: float) -> Groups:
    """Return the runs of an order that are not further apart than `most`."""
    groups = np.empty(len(order), dtype=np.intp)
    groups[order] = np.concatenate([[0], np.cumsum(gaps > most)])[: len(order)]
    return groups


def _different(groupings: Sequence[Grouping]) -> list[Grouping]:
    """Return the groupings that divide the images into several small series, each once."""
    found: dict[bytes, Grouping] = {}
    for grouping in groupings:
        groups = numbered_by_first_row(grouping.groups)
        sizes = np.bincount(groups)
        typical = float((sizes**2).sum() / max(1, len(groups)))
        several = int((sizes > 1).sum())
        if several >= (_FEWEST_FOLDERS if grouping.folders else 1) and typical <= max(
            _MOST, _MOST_PART * len(groups)
        ):
            found.setdefault(groups.tobytes(), Grouping(grouping.how, groups, folders=grouping.folders))
    return list(found.values())
