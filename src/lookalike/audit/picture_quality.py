"""Pictures that are dark, bright, blank, blurred, of little information, or of odd shape or size.

The kinds and their thresholds are those of cleanvision 0.3.7 (Cleanlab, Apache-2.0,
issue_managers/image_property_issue_manager.py, `get_default_params`); `blank` is ours.

Pictures are measured at the audit and not when they are indexed: most collections are never audited, and what
is embedded from the cache is not decoded at all. What was measured is kept by digest, like features, so that
no audit reads the same file twice.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lookalike.embedders.feature_cache import FeatureCache
from lookalike.errors import UnusableImage
from lookalike.images.quality import RECIPE, Quality, measure
from lookalike.ingest.embedding import MAX_BYTES
from lookalike.progress import silent
from lookalike.sources.locations import content, readable_location
from lookalike.sources.objects import ObjectPath
from lookalike.types import ROW
from lookalike.uris import uri_text
from lookalike.vectors.exclusions import LeftOut

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from lookalike.progress import Progress
    from lookalike.types import Record

    Read = Callable[[Record], bytes]
    """Returns the bytes of an image's file, or raises UnusableImage or OSError."""

_FINGERPRINT = hashlib.sha256(RECIPE.encode()).hexdigest()
# Pictures in memory at once, and how many are kept in one transaction.
_BATCH = 256
# Quartiles' distances beyond the quartiles (`iqr_factor`).
_FAR = 3.0
# Images below which no size is usual.
_FEW = 10


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of picture that is worth a look."""

    name: str
    measure: str
    """What is measured, for people."""
    low: float
    """Pictures whose measure is below this are of the kind."""
    high: float = np.inf
    """Or above this."""

    @property
    def threshold(self) -> str:
        """The thresholds, for people."""
        below = f"below {self.low:.4g}" if np.isfinite(self.low) else ""
        above = f"above {self.high:.4g}" if np.isfinite(self.high) else ""
        return " or ".join(filter(None, (below, above)))


KINDS = (
    Kind("dark", "99th percentile of brightness, 0 to 1", 0.32),
    Kind("bright", "5th percentile of brightness, 0 to 1", -np.inf, 0.95),
    # Five of 255 levels: what JPEG makes of one colour varies by less.
    Kind("blank", "difference of the 99th and the 1st percentile of brightness, 0 to 1", 0.02),
    Kind("blurred", "sharpness, 0 to 1, from the edges at 64 pixels", 0.29),
    Kind("low information", "entropy of the samples, in bits", 3.0),
    Kind("odd shape", "shorter side by longer side", 0.35),
)
"""All but `odd size`, whose threshold depends on the collection."""


@dataclass(frozen=True, slots=True)
class PictureFinding:
    """A picture that is worth a look, with the measure that says so."""

    record: Record
    kind: str
    value: float


@dataclass(frozen=True, slots=True)
class PictureQuality:
    """What was found of the pictures of a collection."""

    measured: int
    """Pictures that could be read."""
    kinds: tuple[Kind, ...]
    """Every kind that was looked for, with its threshold."""
    findings: tuple[PictureFinding, ...]
    """By kind, the most striking of each first."""
    unread: tuple[LeftOut, ...]
    """Pictures that could not be read, and why: files that are gone, say."""

    def count(self, kind: str) -> int:
        """Return how many pictures are of a kind."""
        return sum(each.kind == kind for each in self.findings)


def read_file(record: Record) -> bytes:
    """Return the bytes of an image's file on this machine.

    Raises:
        UnusableImage: it names no file of this machine, none that is there, or one that is too large.
        OSError: it cannot be read.
    """
    path = readable_location(record.uri)
    if path is None:
        raise UnusableImage(record.uri, "no file of this machine")
    if not isinstance(path, ObjectPath) and not path.is_file():
        raise UnusableImage(str(path), "the file is gone")
    try:
        return content(path, MAX_BYTES).data
    except FileNotFoundError:
        raise UnusableImage(str(path), "the object is gone") from None


def judge_pictures(
    records: Sequence[Record], cache: Path, *, read: Read = read_file, progress: Progress = silent
) -> PictureQuality:
    """Measure the pictures of records, and list those that are worth a look.

    Args:
        records: any.
        cache: the user's cache folder, where measures are kept by the digest of the file.
        read: reads the file of a record.
        progress: called with pictures measured and pictures to measure.
    """
    kept = FeatureCache(cache, _FINGERPRINT, len(Quality._fields))
    try:
        known, unread = _measure(records, kept, read, progress)
    finally:
        kept.close()
    found = [(record, known[record.digest]) for record in records if record.digest in known]
    sizes = np.array([quality.size for _, quality in found])
    kinds: tuple[Kind, ...] = KINDS
    if len(sizes) >= _FEW:
        first, third = np.percentile(sizes, (25, 75))
        away = _FAR * (third - first)
        kinds = (*KINDS, Kind("odd size", "square root of the area, in pixels", first - away, third + away))
    findings = []
    for kind in kinds:
        values = [(_value(kind.name, quality), record) for record, quality in found]
        some = [(value, record) for value, record in values if value < kind.low or value > kind.high]
        if kind.name == "odd size":
            some.sort(key=lambda each: (-abs(np.log(each[0] / np.median(sizes))), each[1].uri))
        else:
            some.sort(key=lambda each: (each[0] if np.isinf(kind.high) else -each[0], each[1].uri))
        findings += [PictureFinding(record, kind.name, value) for value, record in some]
    return PictureQuality(len(found), kinds, tuple(findings), tuple(unread))


def _value(kind: str, quality: Quality) -> float:
    return {
        "dark": quality.highest,
        "bright": quality.low,
        "blank": quality.contrast,
        "blurred": quality.sharpness,
        "low information": quality.entropy,
        "odd shape": quality.shape,
        "odd size": quality.size,
    }[kind]


def _measure(
    records: Sequence[Record], kept: FeatureCache, read: Read, progress: Progress
) -> tuple[dict[str, Quality], list[LeftOut]]:
    """Return the measures by digest, and what could not be read."""
    known: dict[str, Quality] = {}
    missing: list[Record] = []
    for record in records:
        if record.digest in known:
            continue
        # What stands for a digest says nothing of the bytes, which may be others by the next audit.
        numbers = None if record.digest.startswith(ROW) else kept.get(record.digest)
        if numbers is None:
            missing.append(record)
        else:
            known[record.digest] = Quality(*numbers.tolist())
    unread: list[LeftOut] = []
    total = len(missing) + 1
    with ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="quality") as pool:
        for start in range(0, len(missing), _BATCH):
            batch = missing[start : start + _BATCH]
            fresh = {}
            for place, (record, found) in enumerate(
                zip(batch, pool.map(lambda record: _read(record, read), batch), strict=True)
            ):
                progress(start + place, total)
                if isinstance(found, str):
                    unread.append(LeftOut(record, found))
                    continue
                # As they are kept: the next audit says the same to the last digit.
                fresh[record.digest] = np.array(found, np.float32)
                known[record.digest] = Quality(*fresh[record.digest].tolist())
            kept.put({digest: one for digest, one in fresh.items() if not digest.startswith(ROW)})
    progress(total, total)
    # A copy that is gone was measured with the other one, as it is where the measures were kept before.
    return known, [each for each in unread if each.record.digest not in known]


def _read(record: Record, read: Read) -> Quality | str:
    """Return the measures of a picture, or why there are none."""
    try:
        data = read(record)
        if not record.is_file(hashlib.sha256(data).hexdigest()):
            return "the file is another than was indexed: index again"
        return measure(data, uri_text(record.uri))
    except UnusableImage as error:
        return error.reason
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
