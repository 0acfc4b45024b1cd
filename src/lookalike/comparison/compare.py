"""Compares embedders, metrics, k and networks trained end to end by cross-validation, all in the same folds.

The best of several looks better than it is, because it was chosen by these figures; whether it differs from
another is told by McNemar's test, which looks only at the images that just one of the two got right.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING

import numpy as np

from lookalike.comparison.comparison import FINE_TUNED, Comparison, RankedCandidate, paired_test
from lookalike.comparison.finetuning.pixels import CHANGED, ELSEWHERE, closed_up, read_pixels
from lookalike.comparison.finetuning.predictions import images_at_most, images_expected, predict_by_training
from lookalike.comparison.finetuning.training_split import folds_of, split_training
from lookalike.embedders.ranged import range_of
from lookalike.errors import InvalidArgument, Unanswerable
from lookalike.evaluation.figures import class_figures
from lookalike.evaluation.folds import FOLDS
from lookalike.evaluation.held_out_predictions import HoldOutOptions, predict_held_out
from lookalike.images import decoding
from lookalike.images.levels import AUTO, Range
from lookalike.ingest.embedding import embed_files
from lookalike.metric_learning.fitted import refit_with
from lookalike.progress import silent
from lookalike.sources.film_groups import with_films_together
from lookalike.sources.locations import readable_location
from lookalike.types import Skipped
from lookalike.vectors.exclusions import LeftOut, evaluable_rows
from lookalike.vectors.metric import normalise
from lookalike.vectors.near_duplicates import near_duplicate_groups

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from lookalike.comparison.finetuning.pixels import Pixels
    from lookalike.comparison.finetuning.predictions import NetworkCandidate
    from lookalike.embedders.feature_cache import FeatureCache
    from lookalike.embedders.protocol import Embedder
    from lookalike.evaluation.held_out_predictions import HeldOutPredictions
    from lookalike.progress import Progress
    from lookalike.types import Record, Vectors
    from lookalike.vectors.metric import Fit, Metric
    from lookalike.vectors.vote import Codes

# Images that an embedder is timed with: enough for two figures, a second or two a model.
_TIMED = 16


@dataclass(frozen=True, slots=True)
class EmbedderCandidate:
    """An embedder to compare, with its feature cache."""

    embedder: Embedder
    cache: FeatureCache
    groups: tuple[slice, ...]
    """Ranges of its features' columns that belong together."""


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """How candidates are compared."""

    ks: Sequence[int] = (1, 5)
    """Numbers of neighbours that vote, each at least 1."""
    folds: int = FOLDS
    seed: int = 0
    """Of the drawing of folds, and of what is drawn in training."""


_USUAL = CompareOptions()


def compare(
    records: Sequence[Record],
    embedders: Mapping[str, EmbedderCandidate],
    by: str,
    options: CompareOptions = _USUAL,
    *,
    networks: Sequence[NetworkCandidate] = (),
    levels: Range = AUTO,
    folder: Path | None = None,
    progress: Progress = silent,
) -> Comparison:
    """Rank embedders × metrics × k, and networks that are trained, by cross-validation.

    Each image is held out once; the folds are the same for all, stratified by label, and near-duplicates stay
    together. A metric is fitted, and a network trained, anew in each fold. Images whose file is gone, has
    changed since it was indexed, or that one of the models cannot use, are left out for all.

    Args:
        records: all records of a collection.
        embedders: the embedders, by name; at least one.
        by: the field that holds the label.
        options: how.
        networks: networks to train.
        levels: by which their pictures are decoded; an embedder has its own.
        folder: where their pictures lie meanwhile; None: where temporary files do.
        progress: called with steps done and steps to do.

    Returns:
        The places by falling accuracy; of equal ones the faster model first, then the plain metric, then the
        smaller k.

    Raises:
        InvalidArgument: no k, or one below 1; no candidate.
        FieldNotFound: no record has the field.
        Unanswerable: too little to compare, or a network cannot be trained.
    """
    ks, folds, seed = options.ks, options.folds, options.seed
    if not ks or min(ks) < 1:
        raise InvalidArgument("k must be at least 1" if ks else "compare needs a k")
    if not embedders:
        raise InvalidArgument("compare needs a model")
    rows, left_out = evaluable_rows(records, by)
    taking = [records[row] for row in rows]
    steps = _Steps(progress, len(embedders) * (len(taking) + 2 * folds))
    guesses = [images_at_most(one.recipe, len(taking), folds) for one in networks]
    steps.total += len(networks) * len(taking) + sum(guesses)

    vectors: dict[str, dict[str, NDArray[np.float32]]] = {}
    lost: dict[str, str] = {}
    for name, candidate in embedders.items():
        vectors[name] = _embed(taking, candidate, lost, steps.did)
    place = folder or Path(gettempdir())
    pictures = [
        read_pixels(taking, one.network.preprocessing, place, lost, steps.did, levels) for one in networks
    ]
    left_out = (*left_out, *(LeftOut(one, lost[one.id]) for one in taking if one.id in lost))
    kept = np.array([row for row, one in enumerate(taking) if one.id not in lost], dtype=np.intp)
    taking = [taking[row] for row in kept]
    if not taking:
        raise Unanswerable(f"no image with a value of {by!r} could be read: {next(iter(lost.values()))}")
    matrices = {name: normalise(np.stack([some[one.id] for one in taking])) for name, some in vectors.items()}
    del vectors
    near = near_duplicate_groups(next(iter(matrices.values())), [one.digest for one in taking])
    lots = with_films_together(near, taking)

    found: list[tuple[RankedCandidate, NDArray[np.bool_]]] = []
    for name, candidate in embedders.items():
        milliseconds = _milliseconds(candidate.embedder, taking)
        for metric, fit in (("plain", _stay_plain), ("fitted", refit_with(candidate.groups))):
            remembered = _OnceAFold(fit, steps)
            for k in sorted(set(ks)):
                held = predict_held_out(
                    taking, matrices[name], by, HoldOutOptions(k=k, folds=folds, repeats=1, seed=seed),
                    fit=remembered, lots=lots,
                )  # fmt: skip
                one = _place(name, metric, k, held, held.predicted, remembered.seconds, milliseconds)
                found.append((one, held.right))
    for network, pixels, guess in zip(networks, pictures, guesses, strict=True):
        shown = closed_up(pixels, kept[held.rows])
        found.append(_trained(network, shown, remembered, held, taking, seed, guess, steps))
    found.sort(key=lambda one: _rank(one[0]))
    best = found[0][1]
    places = [found[0][0], *(replace(one, test=paired_test(best, right)) for one, right in found[1:])]
    left_out = tuple(sorted((*left_out, *held.left_out), key=lambda each: each.record.uri))
    return Comparison(by, held.folds, tuple(places), left_out)


def _trained(
    candidate: NetworkCandidate,
    pixels: Pixels,
    remembered: _OnceAFold,
    held: HeldOutPredictions,
    taking: Sequence[Record],
    seed: int,
    guess: int,
    steps: _Steps,
) -> tuple[RankedCandidate, NDArray[np.bool_]]:
    """Train a network in the same folds as the neighbours, and return its place."""
    drawn = folds_of(remembered.held_in, held.lots)
    splits = [split_training(fold, held.truth, held.lots, held.ranks, seed=seed) for fold in drawn]
    steps.total += images_expected(candidate.recipe, splits) - guess
    answers = predict_by_training(candidate, pixels, drawn, splits, held.truth, seed=seed, progress=steps.did)
    milliseconds = float("nan") if answers.embedder is None else _milliseconds(answers.embedder, taking)
    name = candidate.network.name
    place = _place(name, FINE_TUNED, None, held, answers.predicted, answers.seconds, milliseconds)
    return replace(place, epochs=answers.epochs), answers.predicted == held.truth


def _rank(place: RankedCandidate) -> tuple[float, float, bool, int]:
    slow = float("inf") if np.isnan(place.milliseconds) else place.milliseconds
    return -place.accuracy, slow, place.metric != "plain", place.k or 0


def _place(
    model: str,
    metric: str,
    k: int | None,
    held: HeldOutPredictions,
    predicted: Codes,
    seconds: float,
    milliseconds: float,
) -> RankedCandidate:
    figures = class_figures(held.truth, predicted, held.labels)
    f1 = [each.f1 for each in figures if each.support]
    correct = int((predicted == held.truth).sum())
    return RankedCandidate(
        model, metric, k, len(held.rows), correct, sum(f1) / len(f1), seconds, milliseconds
    )


@dataclass(slots=True)
class _Steps:
    """Progress of a comparison, in steps."""

    progress: Progress
    total: int
    done: int = 0

    def did(self, count: int = 1) -> None:
        self.done += count
        self.progress(self.done, self.total)


def _embed(
    records: Sequence[Record], candidate: EmbedderCandidate, lost: dict[str, str], step: Callable[[int], None]
) -> dict[str, NDArray[np.float32]]:
    """Return the features of each record by id; note in `lost` why there are none."""
    found: dict[str, NDArray[np.float32]] = {}
    places = [(record, readable_location(record.uri)) for record in records]
    here = [(record, path) for record, path in places if path is not None]
    for record, path in places:
        if path is None:
            step(1)
            lost.setdefault(record.id, ELSEWHERE)
    files = embed_files((path for _, path in here), candidate.embedder, candidate.cache)
    for (record, _), file in zip(here, files, strict=True):
        step(1)
        if isinstance(file, Skipped):
            lost.setdefault(record.id, file.reason)
        elif not record.is_file(file.digest):
            lost.setdefault(record.id, CHANGED)
        else:
            found[record.id] = file.features
    return found


def _milliseconds(embedder: Embedder, records: Sequence[Record]) -> float:
    """Time the embedder on some of the images, one after another; NaN if none can be read any more."""
    contents = []
    for record in records[:_TIMED]:
        path = readable_location(record.uri)
        if path is None:
            continue
        try:
            contents.append((path.read_bytes(), str(path)))
        except OSError:
            continue
    if not contents:
        return float("nan")
    levels = range_of(embedder)
    embedder.embed([decoding.decode(*contents[0], at_least=embedder.input_size, levels=levels)])  # warm
    started = time.perf_counter()
    for content, name in contents:
        embedder.embed([decoding.decode(content, name, at_least=embedder.input_size, levels=levels)])
    return 1000 * (time.perf_counter() - started) / len(contents)


@dataclass(frozen=True, slots=True)
class _PlainMetric:
    """Leaves vectors as they are."""

    dimension: int

    def project(self, vectors: Vectors) -> Vectors:
        """Return `vectors`."""
        return vectors


def _stay_plain(vectors: Vectors, _codes: Codes, _lots: Codes) -> Metric:
    """Fit nothing: so that the plain metric is judged on the same folds as the others."""
    return _PlainMetric(vectors.shape[1])


@dataclass(slots=True)
class _OnceAFold:
    """Remembers the metric of each fold, for the next k: lots are whole in or out, so they name the fold."""

    fit: Fit
    steps: _Steps
    seconds: float = 0.0
    """What fitting took, all folds together."""
    held_in: list[Codes] = field(default_factory=list)
    """The lots of the images held in, for each fold as it was drawn."""
    known: dict[bytes, Metric] = field(default_factory=dict)

    def __call__(self, vectors: Vectors, codes: Codes, lots: Codes) -> Metric:
        key = lots.tobytes()
        if key not in self.known:
            started = time.perf_counter()
            self.known[key] = self.fit(vectors, codes, lots)
            self.seconds += time.perf_counter() - started
            self.held_in.append(lots.copy())
            self.steps.did()
        return self.known[key]
