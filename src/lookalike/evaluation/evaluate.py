"""Evaluation: the accuracy of the vote on held-out images.

Each image is classified by its nearest neighbours among others, as `vote` decides, and its own label is
looked at only afterwards: among all others with the plain metric, among those held in where a metric is
fitted or k is chosen. An image that cannot be classified so is left out, named with the reason.

An image that is alone in its class takes part and cannot be right: it is counted, since a collection that is
searched for it would not find it either. What is alike for reasons of its own (a lot, near-duplicates) can be
kept together; the figure without is then given too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import Unanswerable
from lookalike.evaluation.calibrator import check_promises
from lookalike.evaluation.evaluation import Apart, Evaluation, Mistake, SeriesFigures
from lookalike.evaluation.figures import baseline_accuracy, class_figures, confusion_cells
from lookalike.evaluation.fold_predictor import gather
from lookalike.evaluation.folds import FOLDS, REPEATS
from lookalike.evaluation.held_out_predictions import HoldOutOptions, predict_held_out, workload
from lookalike.evaluation.lots import Lots, joined_text, lots_of
from lookalike.evaluation.novelty import FALSE_ALARM
from lookalike.evaluation.reliability import measure_reliability
from lookalike.evaluation.sampled_predictions import SAMPLE, SampleOptions, predict_sample
from lookalike.evaluation.series import find_series
from lookalike.label_normalisation import kept_name
from lookalike.memory import fits
from lookalike.metric_learning.fitted import plain_vector
from lookalike.progress import divided, silent
from lookalike.types import SERIES, Neighbour
from lookalike.vectors.groupings import merge_groupings
from lookalike.vectors.vote import encode, label_key, label_of, vote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.embedders.models import Models
    from lookalike.evaluation.held_out_predictions import HeldOutPredictions, Ks
    from lookalike.metric_learning.spaces import Spaces
    from lookalike.progress import Progress
    from lookalike.types import CollectionInfo, Record, Vectors
    from lookalike.vectors.metric import Fit
    from lookalike.vectors.vote import Codes

# Mistakes after which somebody is told how far it is: a hundredth of a second.
_TOLD = 256


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """How a collection is evaluated."""

    within: str | None = None
    """Compare an image only with those that have the same value of this field."""
    k: Ks = 5
    """How many neighbours vote, at least 1, or `auto`; where fewer are there, all vote."""
    group: str | None = None
    """Images with the same value of this field are never compared with each other; `series`, where no record
    has such a field: images of one series, as they are found."""
    near_duplicates: bool = False
    """Whether to keep near-duplicates together in the same way."""
    folds: int = FOLDS
    """Folds a repeat, where folds are needed."""
    repeats: int = REPEATS
    """How often folds are drawn."""
    seed: int = 0
    """Of the first drawing."""
    max_error: float | None = None
    """Find the confidence above which the error is at most this."""
    coverage: float | None = None
    """Measure label sets that contain the true label this often."""
    false_alarm: float | None = None
    """Rate at which a known image may be called unknown; None: `novelty.FALSE_ALARM`."""
    sample: int | None = None
    """Classify so many images, drawn at random, by all others; None: all, or `SAMPLE` where not all fit into
    memory."""


_USUAL = EvaluateOptions()


def evaluate_collection(
    spaces: Spaces,
    models: Models,
    name: str,
    by: str,
    options: EvaluateOptions,
    *,
    using: str | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Read a collection and evaluate it, a fitted vector by a fit made anew in each fold: see `evaluate`.

    Args:
        spaces: of the store with the collection.
        models: know which columns of its vectors belong together.
        name: the collection.
        by: the field that holds the label, as people write it.
        options: how; its fields as people write them.
        using: the vector that is judged; None: the default one.
        progress: called with images read and compared, and those to do.

    Raises:
        MemoryTooSmall: not all records fit into memory, and what is asked takes all of them.
    """
    collection = spaces.store.collection(name)
    options = replace(
        options,
        within=None if options.within is None else kept_name(options.within, collection),
        group=None if options.group is None else kept_name(options.group, collection),
    )
    dimension = plain_vector(collection, using).space.dimension
    count = options.sample
    if count is None and not fits(collection.count, dimension):
        count = SAMPLE
    if count is not None and count < collection.count:
        return _evaluate_sample(
            spaces, models, collection, kept_name(by, collection), count, options, using, progress
        )
    found, comparing = spaces.read_for_folds(collection, using, models, progress)
    return evaluate(
        *(found.records, found.vectors, kept_name(by, collection), options),
        fit=found.fit, fit_by=found.fit_by, progress=comparing,
    )  # fmt: skip


def _evaluate_sample(
    spaces: Spaces,
    models: Models,
    collection: CollectionInfo,
    by: str,
    count: int,
    options: EvaluateOptions,
    using: str | None,
    progress: Progress,
) -> Evaluation:
    """Evaluate a sample of a collection, whose records are never all in memory."""
    check_promises(options.max_error, options.coverage, options.false_alarm)
    if options.group == SERIES and SERIES not in collection.fields:
        raise Unanswerable(
            "series are told by the names and times of all images together, and this is a sample: name a "
            "field to group by, or leave the sample out"
        )
    plain, fit, fit_by = spaces.for_folds(collection, using, models)
    sampled = predict_sample(
        spaces.store, collection, plain,
        SampleOptions(
            by, None, options.within, options.group, options.near_duplicates, options.k, count, options.seed
        ),
        fit=fit, fit_by=fit_by, progress=progress,
    )  # fmt: skip
    held = sampled.held
    alike = np.zeros(len(sampled.records), np.intp)
    alike[held.rows] = sampled.alike
    apart = None if sampled.loose_right is None else Apart(len(held.rows), sampled.loose_right)
    answered = _Answered(sampled.records, held, Lots(None, alike, frames=sampled.frames), apart)
    return replace(_measure(answered, by, options), alone_in_class=sampled.alone)


def evaluate(
    records: Sequence[Record],
    vectors: Vectors,
    by: str,
    options: EvaluateOptions = _USUAL,
    *,
    fit: Fit | None = None,
    fit_by: str | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Classify every image of a collection by others, and count how often that is right.

    The answer does not depend on the order of the records. Memory beside the arguments: one copy of the
    vectors where some images are left out or the records are not in order of id, and some 100 bytes per image
    and neighbour, and 4 per image and label.

    Args:
        records: all records of the collection, best in order of id, as a store's `scan` has them.
        vectors: plain, float32 of shape (len(records), d), each row of length 1.
        by: the field that holds the label.
        options: how.
        fit: makes the metric, anew in each fold; None stays with the plain one.
        fit_by: the field whose labels the metric learns, by default `by`.
        progress: called with images compared and images to compare, each counted as often as it is.

    Returns:
        The figures, and every mistake and every image that was left out.

    Raises:
        InvalidArgument: k is below 1, `within` or `group` is `by`, another number is outside its range, or
            there are not as many vectors as records.
        FieldNotFound: no record has the field `by`, `within` or `group`, which is not `series`.
        Unanswerable: no records; no two that can be compared; all that can be of one label.
    """
    check_promises(options.max_error, options.coverage, options.false_alarm)
    k, seed = options.k, options.seed
    by_series = options.group == SERIES and all(label_of(record, SERIES) is None for record in records)
    group = None if by_series else options.group

    def answers(lots: Codes | None, progress: Progress) -> HeldOutPredictions:
        return predict_held_out(
            records, vectors, by,
            HoldOutOptions(options.within, k, options.folds, options.repeats, seed),
            fit=fit, fit_by=fit_by, lots=lots, progress=progress,
        )  # fmt: skip

    work = sum(workload(len(records), k, fit, options.repeats))
    # Each pair is looked at once for near-duplicates, twice for answers.
    little = len(records) // 8 + 1
    sizes = [len(records) // 2 if options.near_duplicates else 0, work, work, work, little, little]
    alikeness, together, serially, singly, judging, telling = divided(progress, sizes)
    lots = lots_of(
        records, vectors, by, group=group, near_duplicates=options.near_duplicates, progress=alikeness
    )
    try:
        held = answers(lots.together, together)
    except Unanswerable as error:
        if group is None or not lots.joined:
            raise
        raise Unanswerable(f"{error}; {joined_text(lots.joined, group)}") from error
    series = None
    found = None
    if group is None:
        nearest = held.neighbours[:, 0]
        found = find_series(records, vectors, held.rows, nearest, by, within=options.within, seed=seed)
    if found is not None:
        own = np.arange(len(records)) if lots.together is None else lots.together
        merged = merge_groupings([own, found.groups])
        kept = None
        try:
            kept = answers(merged, serially)
        except Unanswerable as error:
            if by_series:
                raise Unanswerable(f"{error}; {SeriesFigures.of(found).text}") from error
        series = SeriesFigures.of(found, None if kept is None else _figures(kept))
        if by_series and kept is not None:
            held, lots = kept, replace(lots, together=merged)
    apart = None
    if lots.together is not None:
        loose = answers(None, singly)
        apart = _figures(loose)
    evaluation = _measure(_Answered(records, held, lots, apart, series), by, options, judging, telling)
    progress(sum(sizes), sum(sizes))
    return evaluation


@dataclass(frozen=True, slots=True)
class _Answered:
    """The held-out predictions of an evaluation, and what was kept together for them."""

    records: Sequence[Record]
    held: HeldOutPredictions
    lots: Lots
    apart: Apart | None
    """The accuracy with nothing kept together; None where nothing was."""
    series: SeriesFigures | None = None


def _measure(
    answered: _Answered,
    by: str,
    options: EvaluateOptions,
    judging: Progress = silent,
    telling: Progress = silent,
) -> Evaluation:
    """Return the figures of held-out predictions, how reliable they are, and their mistakes."""
    records, held, lots = answered.records, answered.held, answered.lots
    reliability, reliability_refusal = None, None
    try:
        reliability = measure_reliability(
            held,
            max_error=options.max_error,
            coverage=options.coverage,
            false_alarm=FALSE_ALARM if options.false_alarm is None else options.false_alarm,
            seed=options.seed,
            progress=judging,
        )
    except Unanswerable as error:
        reliability_refusal = str(error)
    digests = encode(record.digest for record in records)[0]
    copies = (gather(digests, held.neighbours) == digests[held.rows][:, None]).any(axis=1)
    voters = (held.neighbours >= 0).sum(axis=1)
    return Evaluation(
        method=held.method,
        by=by,
        within=options.within,
        k=held.k,
        ks=held.ks,
        group=options.group,
        near_duplicates=int(lots.alike[held.rows].sum()),
        chains=lots.chains,
        joined=lots.joined,
        frames=lots.frames,
        apart=answered.apart,
        series=answered.series,
        repeats=tuple((held.repeats == held.truth).mean(axis=1).tolist()),
        classes=class_figures(held.truth, held.predicted, held.labels),
        confusion=confusion_cells(held.truth, held.predicted, held.labels),
        baseline=baseline_accuracy(held.truth, held.parts),
        mistakes=_mistakes(records, held, by, telling),
        left_out=held.left_out,
        fewer_than_k=0 if held.chosen else int(np.count_nonzero(voters < held.k)),
        alone_in_class=_alone(held.truth, held.parts),
        duplicates=int(np.count_nonzero(copies)),
        reliability=reliability,
        reliability_refusal=reliability_refusal,
        held=held,
        records=records,
    )


def _figures(held: HeldOutPredictions) -> Apart:
    return Apart(len(held.rows), int(held.right.sum()))


def _alone(truth: Codes, parts: Codes) -> int:
    """Count the images that share their label with no other of their part."""
    pairs = parts * (int(truth.max()) + 1) + truth
    return int(np.count_nonzero(np.unique(pairs, return_counts=True)[1] == 1))


def _mistakes(
    records: Sequence[Record], held: HeldOutPredictions, by: str, progress: Progress
) -> tuple[Mistake, ...]:
    """Return the mistakes, by uri, each with those that voted."""
    mistakes: list[Mistake] = []
    wrong = np.flatnonzero(~held.right).tolist()
    for row in wrong:
        if len(mistakes) % _TOLD == 0:
            progress(len(mistakes), len(wrong))
        voters = [
            Neighbour(records[other], similarity)
            for other, similarity in zip(
                held.neighbours[row].tolist(), held.similarities[row].tolist(), strict=True
            )
            if other >= 0
        ]
        prediction = vote(voters, by)
        winner = label_key(prediction.votes[0][0])
        cause = next(voter for voter in voters if label_key(voter.record.fields[by]) == winner)
        record = records[held.rows[row]]
        mistakes.append(Mistake(record, record.fields[by], prediction, cause))
    return tuple(sorted(mistakes, key=lambda mistake: mistake.record.uri))
