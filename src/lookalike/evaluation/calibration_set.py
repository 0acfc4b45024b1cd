"""The calibration set of a collection: what is kept of held-out predictions to calibrate new ones.

It is made once and kept in the cache folder, under a digest of all that it depends on; see `calibrator`.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import Unanswerable
from lookalike.evaluation.confidence import LogisticCalibration
from lookalike.output_files import replace_file
from lookalike.progress import divided, silent
from lookalike.vectors.vote import label_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from lookalike.embedders.models import Models
    from lookalike.evaluation.confidence import Scores
    from lookalike.evaluation.held_out_predictions import HeldOutPredictions, Ks
    from lookalike.metric_learning.spaces import Spaces
    from lookalike.progress import Progress
    from lookalike.types import CollectionInfo, Scalar, Space, Stamp, Where
    from lookalike.vectors.vote import Codes

# Of the file format and of all that is computed into it: another number, and old files are not read.
_VERSION = 4


@dataclass(frozen=True, slots=True)
class CalibrationSet:
    """What is kept of n held-out predictions."""

    method: str
    k: int
    """Neighbours that vote."""
    labels: tuple[Scalar, ...]
    calibration: LogisticCalibration
    confidence: Scores
    """(n,): cross-fitted."""
    right: NDArray[np.bool_]
    """(n,)"""
    truth: Codes
    """(n,): places in `labels`."""
    own_scores: Scores
    """(n,): how ill the true label fits."""
    nearest: Scores
    """(n,): plain similarity to the nearest image, rising."""

    def to_bytes(self) -> bytes:
        """Return it as a file's content: NumPy's npz, without pickled objects."""
        out = io.BytesIO()
        text = json.dumps({"method": self.method, "k": self.k, "labels": list(self.labels)})
        np.savez(
            out,
            version=np.array(_VERSION),
            text=np.frombuffer(text.encode(), dtype=np.uint8),
            calibration=self.calibration.to_numbers(),
            confidence=self.confidence,
            right=self.right,
            truth=self.truth,
            own_scores=self.own_scores,
            nearest=self.nearest,
        )
        return out.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> CalibrationSet | None:
        """Return what `to_bytes` wrote; None where that is damaged or of another version."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                if int(file["version"]) != _VERSION:
                    return None
                text = json.loads(file["text"].tobytes())
                return cls(
                    str(text["method"]),
                    int(text["k"]),
                    tuple(text["labels"]),
                    LogisticCalibration.from_numbers(file["calibration"]),
                    file["confidence"],
                    file["right"],
                    file["truth"],
                    file["own_scores"],
                    file["nearest"],
                )
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
            return None


def calibration_set_of(
    held: HeldOutPredictions, *, seed: int = 0, progress: Progress = silent
) -> CalibrationSet:
    """Return the calibration set of held-out predictions.

    Args:
        held: the predictions.
        seed: of the folds in which confidence is cross-fitted.
        progress: as for `cross_fitted_confidence`.

    Raises:
        Unanswerable: there are too many labels.
    """
    # scikit-learn takes a second to load, which a calibration set from the cache need not wait for.
    from lookalike.evaluation.calibration import cross_fitted_confidence, fit_calibration, held_out_scores
    from lookalike.evaluation.conformal import label_scores

    scores = held_out_scores(held)
    if held.class_similarities is None:
        raise Unanswerable("too many labels to judge")
    every_score = label_scores(held.class_similarities)
    return CalibrationSet(
        held.method,
        held.k,
        held.labels,
        fit_calibration(scores, held.right),
        cross_fitted_confidence(
            scores, held.right, held.lots, ranks=held.ranks, seed=seed, progress=progress
        ),
        held.right,
        held.truth,
        every_score[np.arange(len(held.truth)), held.truth],
        np.sort(held.plain_nearest),
    )


def calibration_key(space: Space, stamps: Iterable[Stamp], **options: object) -> str:
    """Return a digest of all that a calibration set depends on, 64 hexadecimal digits.

    Args:
        space: of the collection.
        stamps: of its records, in any order.
        options: how it is made; values whose `repr` tells them apart.
    """
    digest = hashlib.sha256(repr((_VERSION, space, sorted(options.items()))).encode())
    for stamp in sorted(stamps, key=lambda each: each.id):
        digest.update(repr((stamp.id, stamp.size, stamp.modified_ns, stamp.labels_digest)).encode())
    return digest.hexdigest()


def cached_calibration_set(
    cache: Path, key: str, make: Callable[[], CalibrationSet], whole: Callable[[], bool] = lambda: True
) -> CalibrationSet:
    """Return the calibration set kept under `key`, or make and keep it; that it cannot be kept is no error.

    Args:
        cache: the user's cache folder.
        key: as `calibration_key` has it.
        make: called where nothing usable is kept.
        whole: called after that: whether all records that the key speaks of went into it, so that it is kept.
    """
    path = cache / "calibrations" / f"{key}.npz"
    try:
        kept = CalibrationSet.from_bytes(path.read_bytes())
    except OSError:
        kept = None
    if kept is not None:
        return kept
    made = make()
    if not whole():
        return made
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, made.to_bytes(), mode=0o600)
    except OSError:
        pass
    return made


def open_calibration_set(
    spaces: Spaces,
    models: Models,
    collection: CollectionInfo,
    by: str,
    *,
    using: str | None = None,
    k: Ks = 5,
    where: Where | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> CalibrationSet:
    """Return the calibration set of a collection, from the cache where nothing has changed since.

    Near-duplicates are kept together. With a fitted metric, or where k is chosen, one repeat of five folds
    is held out; else each image is.

    Args:
        spaces: of the store with the collection.
        models: with the cache folder.
        collection: as it is now.
        by: the field that holds the label, as the collection has it.
        using: the vector that is searched, by default the default one.
        k: how many neighbours vote, or `auto`.
        where: only records that match, its fields as the collection has them.
        seed: of the folds.
        progress: called with images read and compared, and those to do, where nothing is kept.

    Raises:
        FieldNotFound, Unanswerable: as for `predict_held_out`.
    """
    store = spaces.store
    fitting = spaces.fitting(collection, using)
    key = calibration_key(
        collection.vector(using).space,
        store.stamps(collection.name).values(),
        by=by,
        k=k,
        where=sorted((name, tuple(map(label_key, values))) for name, values in (where or {}).items()),
        fit_by=None if fitting is None else fitting.by,
        seed=seed,
    )

    def make() -> CalibrationSet:
        from lookalike.evaluation.held_out_predictions import predict_held_out, workload
        from lookalike.evaluation.lots import lots_of

        found, judging = spaces.read_for_folds(collection, using, models, progress)
        records, vectors = found.records, found.vectors
        if where is not None:
            matching = {record.id for batch in store.scan_records(collection.name, where) for record in batch}
            rows = [row for row, record in enumerate(records) if record.id in matching]
            records, vectors = [records[row] for row in rows], vectors[rows]
        # Each pair is looked at once for near-duplicates, twice for answers.
        work = [len(records) // 2, sum(workload(len(records), k, found.fit, 1)), len(records) // 8 + 1]
        alike, comparing, telling = divided(judging, work)
        lots = lots_of(records, vectors, by, group=None, near_duplicates=True, progress=alike)
        held = predict_held_out(
            records, vectors, by,
            k=k, fit=found.fit, fit_by=found.fit_by, lots=lots.together, repeats=1, seed=seed,
            progress=comparing,
        )  # fmt: skip
        made = calibration_set_of(held, seed=seed, progress=telling)
        judging(sum(work), sum(work))
        return made

    return cached_calibration_set(models.cache, key, make, lambda: not store.damage.found())
