"""The judgement of a collection: its calibration set, kept in the cache, with what has changed since.

To judge a collection each of its images is answered by the others, which takes a thousand times what one
classification does, and more where a metric is fitted in folds. One more picture hardly moves the outcome. So
a judgement that is there goes on to be used after images came, went or were relabelled, it says how many did,
and it is made anew where that is asked for, takes less than `QUICK_SECONDS`, or where less than half of the
judged images are still what they were. A judgement of another vector, fit, k or field is another one.

Of many images a random sample is answered by all others, see `sampled_predictions`.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
import zipfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lookalike.evaluation.calibration_set import CalibrationSet, calibration_set_of
from lookalike.evaluation.sample import Sample
from lookalike.memory import fits
from lookalike.metric_learning.fitted import plain_vector
from lookalike.output_files import replace_file
from lookalike.progress import divided, silent
from lookalike.stores.checks import same_name
from lookalike.stores.places import store_place
from lookalike.vectors.vote import label_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lookalike.embedders.models import Models
    from lookalike.evaluation.held_out_predictions import Ks
    from lookalike.metric_learning.spaces import Spaces
    from lookalike.progress import Progress
    from lookalike.types import CollectionInfo, Stamp, Where

JUDGED_IMAGES = 10_000
"""Images up to which all are answered by all others, without being asked to; and of a sample, at most."""

SAMPLED_IMAGES = 100_000
"""Images up to which a sample is answered by all others without being asked to, which takes what comparing
`JUDGED_IMAGES` with each other does; and all are, where that is asked for."""

QUICK_SECONDS = 1.0
"""CPU time below which a judgement is made anew at once: less than a command takes to start and embed."""

# Part of the judged images that has to be as it was, for a judgement to go on to be used.
_LEAST_UNCHANGED = 0.5
# Of the file format and of all that is computed into it: another number, and old files are not read.
_VERSION = 3
_FOLDER = "judgements"


@dataclass(frozen=True, slots=True)
class Age:
    """What has changed in a collection since it was judged."""

    at: str
    """When it was judged, in ISO 8601, to the second, in UTC."""
    images: int
    """That the collection had then."""
    added: int = 0
    removed: int = 0
    changed: int = 0
    """Images with other labels, or another file."""
    counted: bool = True
    """Whether these figures are exact; else they are the least that they can be."""

    @property
    def current(self) -> bool:
        """Whether nothing has changed."""
        return self.counted and not (self.added or self.removed or self.changed)

    @property
    def text(self) -> str:
        """In words, for where something has changed."""
        counts = ((self.added, "added"), (self.removed, "removed"), (self.changed, "changed"))
        since = ", ".join(f"{count:,} {what}" for count, what in counts if count) or "it has changed"
        since += "" if self.counted else " (not counted yet)"
        return f"confidence is as judged on {self.images:,} images at {self.at}; since then {since}"


class _Records(NamedTuple):
    """Hashes of the records that a collection had."""

    ids: NDArray[np.uint64]
    """(n,), rising."""
    stamps: NDArray[np.uint64]
    """(n,): of what tells whether a record has changed."""


@dataclass(frozen=True, slots=True)
class Related:
    """Series among the images that a judgement was made of, whose held-out answers flatter."""

    how: str
    """What tells them, in words."""
    share: float
    """Part of the images whose nearest neighbour is of their own series, 0 … 1."""

    @property
    def text(self) -> str:
        """In words."""
        return (
            f"confidence is that of images held out one by one, and {self.share:.0%} of these have their "
            f"nearest neighbour in their own series ({self.how}): where no image of a series is in the "
            "collection it is too high, see `evaluate --group series`"
        )


@dataclass(frozen=True, slots=True)
class Judgement:
    """A calibration set, what has changed since it was made, and series that it was made of."""

    calibration_set: CalibrationSet
    age: Age
    related: Related | None
    """None where none were found."""
    sample: Sample | None
    """That was answered; None where all images were."""
    judged: NDArray[np.uint64]
    """(n,): hashes of the ids of the images of the calibration set, in its order."""

    def confidence(self, ids: Sequence[str]) -> NDArray[np.float64]:
        """Return how sure the held-out answers of some records were, 0 … 1; NaN where none was given.

        Args:
            ids: of the records.

        Returns:
            Shape (ids,). Records that were relabelled since have what they had.
        """
        found = np.full(len(ids), np.nan)
        if not len(self.judged):
            return found
        order = np.argsort(self.judged)
        wanted = np.frombuffer(b"".join(map(_hash, ids)), "<u8")
        places = np.searchsorted(self.judged, wanted, sorter=order).clip(max=len(order) - 1)
        rows = order[places]
        there = self.judged[rows] == wanted
        found[there] = self.calibration_set.confidence[rows[there]]
        return found


class _Kept(NamedTuple):
    """What is kept in a file."""

    calibration_set: CalibrationSet
    records: _Records
    at: str
    seconds: float
    """CPU time that it took."""
    related: Related | None
    judged: NDArray[np.uint64]
    sample: Sample | None = None

    def to_bytes(self) -> bytes:
        out = io.BytesIO()
        related = None if self.related is None else asdict(self.related)
        sample = None if self.sample is None else asdict(self.sample)
        said = {
            "version": _VERSION, "at": self.at, "seconds": self.seconds, "related": related, "sample": sample
        }  # fmt: skip
        text = json.dumps(said)
        np.savez(
            out,
            text=np.frombuffer(text.encode(), np.uint8),
            calibration_set=np.frombuffer(self.calibration_set.to_bytes(), np.uint8),
            ids=self.records.ids,
            stamps=self.records.stamps,
            judged=self.judged,
        )
        return out.getvalue()

    @classmethod
    def read(cls, path: Path) -> _Kept | None:
        """Return what is kept in a file; None where none is, or what is damaged."""
        try:
            return cls.from_bytes(path.read_bytes())
        except OSError:
            return None

    @classmethod
    def from_bytes(cls, data: bytes) -> _Kept | None:
        """Return what `to_bytes` wrote; None where that is damaged or of another version."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                text = json.loads(file["text"].tobytes())
                if text["version"] != _VERSION:
                    return None
                made = CalibrationSet.from_bytes(file["calibration_set"].tobytes())
                records = _Records(file["ids"], file["stamps"])
                related = None if text["related"] is None else Related(**text["related"])
                sample = None if text.get("sample") is None else Sample(**text["sample"])
                said = str(text["at"]), float(text["seconds"]), related, file["judged"], sample
                return None if made is None else cls(made, records, *said)
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
            return None

    def age(self, now: _Records) -> Age:
        """Return what has changed between the judgement and some records."""
        before = self.records
        both, then, later = np.intersect1d(before.ids, now.ids, assume_unique=True, return_indices=True)
        changed = int((before.stamps[then] != now.stamps[later]).sum())
        counts = len(now.ids) - len(both), len(before.ids) - len(both), changed
        return Age(self.at, len(before.ids), *counts)

    def usable(self, age: Age, *, where_quick: bool) -> bool:
        """Tell whether it goes on to be used although something has changed."""
        unchanged = age.images - age.removed - age.changed
        if unchanged < _LEAST_UNCHANGED * age.images:
            return False
        again = self.seconds * ((unchanged + age.changed + age.added) / max(age.images, 1)) ** 2
        return not where_quick or again > QUICK_SECONDS


@dataclass(frozen=True, slots=True)
class JudgeOptions:
    """What of a collection is judged."""

    by: str
    """The field that holds the label, as the collection has it."""
    using: str | None = None
    """The vector that is searched; None: the default one."""
    k: Ks = 5
    """How many neighbours vote, or `auto`."""
    where: Where | None = None
    """Only records that match, its fields as the collection has them."""
    seed: int = 0
    """Of the folds."""


def open_judgement(
    spaces: Spaces,
    models: Models,
    collection: CollectionInfo,
    options: JudgeOptions,
    *,
    refresh: bool | None = None,
    asked: bool = True,
    progress: Progress = silent,
) -> Judgement | None:
    """Return the judgement of a collection: the one that is there, or a new one.

    Near-duplicates are kept together. With a fitted metric, or where k is chosen, one repeat of five folds
    is held out; else each image is. Of a collection that does not fit into memory a sample is answered, and
    of more than `JUDGED_IMAGES`, too, where nobody asked for it.

    Args:
        spaces: of the store with the collection.
        models: with the cache folder.
        collection: as it is now.
        options: what of it.
        refresh: make a new one wherever something has changed, or (False) only where the old one cannot be
            used; None: also where it takes less than `QUICK_SECONDS`.
        asked: whether somebody asked for it; else more than `SAMPLED_IMAGES` are not judged, and None comes
            back where they have not been before.
        progress: called with images read and compared, and those to do, where a new one is made.

    Raises:
        FieldNotFound, Unanswerable: as for `predict_held_out`.
    """
    store = spaces.store
    fitting = spaces.fitting(collection, options.using)
    count = _sample_of(collection, plain_vector(collection, options.using).space.dimension, asked=asked)
    whole = (
        store_place(store.url),
        same_name(collection.name),
        collection.vector(options.using).space,
        options.by,
        options.k,
        sorted((name, tuple(map(label_key, values))) for name, values in (options.where or {}).items()),
        None if fitting is None else fitting.by,
        options.seed,
    )
    folder = models.cache / _FOLDER
    # One of all images is better than one of a sample, where both are there.
    paths = [
        folder / f"{hashlib.sha256(repr(key).encode()).hexdigest()}.npz"
        for key in ([whole] if count is None else [whole, (*whole, "sample")])
    ]
    now = _records(stamp for _, stamp in store.scan_stamps(collection.name))
    for path in paths:
        kept = _Kept.read(path)
        if kept is not None:
            age = kept.age(now)
            if age.current or (not refresh and kept.usable(age, where_quick=refresh is None)):
                return Judgement(kept.calibration_set, age, kept.related, kept.sample, kept.judged)
    if not asked and collection.count > SAMPLED_IMAGES:
        return None
    # SciPy and scikit-learn: an answer from the cache need not wait for them, nor are they part of judging.
    from lookalike.evaluation import calibration  # noqa: F401

    started = time.thread_time()
    at = datetime.now(UTC).isoformat(timespec="seconds")
    sample = None
    related = None
    if count is None:
        made, judged, related = _judge(spaces, models, collection, options, progress)
    else:
        made, judged, sample = _judge_sample(spaces, models, collection, options, count, progress)
    new = _Kept(made, now, at, time.thread_time() - started, related, judged, sample)
    path = paths[-1]
    # Of a damaged collection it would speak of records that it has not seen. Not to keep it is no error.
    if not store.damage.found():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, new.to_bytes(), mode=0o600)
        except OSError:
            pass
    return Judgement(made, new.age(now), related, sample, judged)


def _sample_of(collection: CollectionInfo, dimension: int, *, asked: bool) -> int | None:
    """Return how many images are to be answered by all others; None for all."""
    count = collection.count
    if count <= (SAMPLED_IMAGES if asked else JUDGED_IMAGES) and fits(count, dimension):
        return None
    return (
        JUDGED_IMAGES
        if asked
        else max(JUDGED_IMAGES // 10, min(JUDGED_IMAGES, JUDGED_IMAGES**2 // max(count, 1)))
    )


def _judge_sample(
    spaces: Spaces,
    models: Models,
    collection: CollectionInfo,
    options: JudgeOptions,
    count: int,
    progress: Progress,
) -> tuple[CalibrationSet, NDArray[np.uint64], Sample | None]:
    """Answer a sample of the images by all others, see `_judge`."""
    from lookalike.evaluation.sampled_predictions import SampleOptions, predict_sample

    plain, fit, fit_by = spaces.for_folds(collection, options.using, models)
    drawn = SampleOptions(options.by, options.where, k=options.k, count=count, seed=options.seed)
    found = predict_sample(spaces.store, collection, plain, drawn, fit=fit, fit_by=fit_by, progress=progress)
    judged = _hashes(found.records[row].id for row in found.held.rows)
    return calibration_set_of(found.held, seed=options.seed), judged, found.held.sample


def _judge(
    spaces: Spaces,
    models: Models,
    collection: CollectionInfo,
    options: JudgeOptions,
    progress: Progress,
) -> tuple[CalibrationSet, NDArray[np.uint64], Related | None]:
    """Answer each image by others; return what tells how sure answers are, whose they are, and series."""
    from lookalike.evaluation.held_out_predictions import HoldOutOptions, predict_held_out, workload
    from lookalike.evaluation.lots import lots_of
    from lookalike.evaluation.series import find_series

    by, k, seed = options.by, options.k, options.seed
    found, judging = spaces.read_for_folds(collection, options.using, models, progress)
    records, vectors = found.records, found.vectors
    if options.where is not None:
        batches = spaces.store.scan_records(collection.name, options.where)
        matching = {record.id for batch in batches for record in batch}
        rows = [row for row, record in enumerate(records) if record.id in matching]
        records, vectors = [records[row] for row in rows], vectors[rows]
    # Each pair is looked at once for near-duplicates, twice for answers.
    work = [len(records) // 2, sum(workload(len(records), k, found.fit, 1)), len(records) // 8 + 1]
    alike, comparing, telling = divided(judging, work)
    lots = lots_of(records, vectors, by, group=None, near_duplicates=True, progress=alike)
    held = predict_held_out(
        records, vectors, by, HoldOutOptions(k=k, repeats=1, seed=seed),
        fit=found.fit, fit_by=found.fit_by, lots=lots.together, progress=comparing,
    )  # fmt: skip
    made = calibration_set_of(held, seed=seed, progress=telling)
    series = find_series(records, vectors, held.rows, held.neighbours[:, 0], by, seed=seed)
    judging(sum(work), sum(work))
    judged = _hashes(records[row].id for row in held.rows)
    return made, judged, None if series is None else Related(series.how, series.share)


def _records(stamps: Iterable[Stamp]) -> _Records:
    ids, contents = bytearray(), bytearray()
    for each in stamps:
        ids += _hash(each.id)
        contents += _hash(f"{each.size} {each.modified_ns} {each.labels_digest}")
    numbers = np.frombuffer(ids, "<u8")
    order = np.argsort(numbers)
    return _Records(numbers[order], np.frombuffer(contents, "<u8")[order])


def _hashes(ids: Iterable[str]) -> NDArray[np.uint64]:
    return np.frombuffer(b"".join(map(_hash, ids)), "<u8")


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
