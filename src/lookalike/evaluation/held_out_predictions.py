"""Held-out predictions: each labelled image classified by neighbours that did not include it.

With the plain metric each image is classified by all others (leave-one-out). A fitted metric has seen the
labels, so it is fitted anew in each fold to the images held in, and classifies those held out; the same goes
for a k that is chosen by data. Accuracy, confidence, label sets and novelty are all computed from these
predictions, never from images that were among their own neighbours.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from lookalike.errors import InvalidArgument, Unanswerable
from lookalike.evaluation.fold_predictor import CANDIDATE_KS, FoldPredictions, FoldPredictor
from lookalike.evaluation.folds import FOLDS, REPEATS, Fold, repeat_seeds, stratified_folds
from lookalike.progress import divided, silent
from lookalike.vectors.exclusions import LeftOut, evaluable_rows
from lookalike.vectors.vote import encode, label_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lookalike.evaluation.sample import Sample
    from lookalike.progress import Progress
    from lookalike.types import Record, Scalar, Vectors
    from lookalike.vectors.metric import Fit
    from lookalike.vectors.nearest import Rows, Similarities
    from lookalike.vectors.vote import Codes

Ks: TypeAlias = int | Literal["auto"]

# Choosing k takes so many times what predicting with it does: four fifths of five folds against a fifth.
_CHOICE = 4


@dataclass(frozen=True, slots=True)
class HeldOutPredictions:
    """Predictions for the n images that took part, of the repeat with the median accuracy."""

    rows: Rows
    """(n,): their places among the records, in order of id."""
    labels: tuple[Scalar, ...]
    """The labels; booleans first, then numbers, then strings, each sorted."""
    truth: Codes
    """(n,): true label, as a place in `labels`."""
    predicted: Codes
    """(n,): label that the neighbours voted for, as a place in `labels`."""
    shares: Similarities
    """(n,): part of the vote that the predicted label got."""
    neighbours: Rows
    """(n, k): places among the records of those that voted, most similar first; the rest is −1."""
    similarities: Similarities
    """(n, k): theirs; NaN where there is none."""
    nearest: Similarities
    """(n,): similarity to the nearest image."""
    plain_nearest: Similarities
    """(n,): similarity of the plain vectors to the nearest image of another lot: how usual the image is."""
    class_similarities: NDArray[np.float32] | None
    """(n, labels): similarity to the nearest held-in image of each label, −inf where there is none; None
    where images × labels are too many for the memory."""
    parts: Codes
    """(n,): images are compared within one number only."""
    lots: Codes
    """(n,): images of one number were never compared with each other."""
    ranks: Rows
    """(n,): in whose order folds are drawn: that of the digests, so that no folder's name decides."""
    repeats: NDArray[np.intp]
    """(repeats, n): the labels of the neighbours in every repeat, as drawn; one of them is `predicted`."""
    k: int
    """For new images: as it was given, or chosen from all that took part."""
    ks: tuple[tuple[int, int], ...]
    """Each k that was used, with the number of folds that used it."""
    folds: int
    """0 for leave-one-out."""
    refitted: bool
    """Whether the metric was fitted anew in each fold."""
    chosen: bool
    """Whether k was chosen by data."""
    left_out: tuple[LeftOut, ...]
    sample: Sample | None = None
    """What they are a sample of; None where all images were classified."""

    @property
    def right(self) -> NDArray[np.bool_]:
        """(n,): whether the prediction is the true label."""
        right: NDArray[np.bool_] = self.predicted == self.truth
        return right

    @property
    def method(self) -> str:
        """How the predictions were made, in words."""
        if self.sample is not None:
            return self.sample.text
        if not self.folds:
            return "leave-one-out"
        what = ["metric refitted"] * self.refitted + ["k chosen"] * self.chosen
        return f"{self.folds}-fold × {len(self.repeats)}, {' and '.join(what)} in each fold"


@dataclass(frozen=True, slots=True)
class HoldOutOptions:
    """How images are held out and classified."""

    within: str | None = None
    """Compare an image only with those that have the same value of this field."""
    k: Ks = 5
    """How many neighbours vote, at least 1; `auto` chooses in each fold, by cross-validation of the images
    held in, the k of `CANDIDATE_KS` that is right most often (of several, the smallest)."""
    folds: int = FOLDS
    """Folds a repeat, where folds are needed: with a fit, or with `auto`."""
    repeats: int = REPEATS
    """How often the folds are drawn."""
    seed: int = 0
    """Of the first drawing."""


_USUAL = HoldOutOptions()


def predict_held_out(
    records: Sequence[Record],
    vectors: Vectors,
    by: str,
    options: HoldOutOptions = _USUAL,
    *,
    fit: Fit | None = None,
    fit_by: str | None = None,
    lots: Codes | None = None,
    progress: Progress = silent,
) -> HeldOutPredictions:
    """Classify each labelled image by images that it had no part in.

    Args:
        records: all records of the collection, in any order.
        vectors: plain, float32 of shape (len(records), d), each row of length 1.
        by: the field that holds the label.
        options: how.
        fit: makes the metric; None stays with the plain one.
        fit_by: the field whose labels the metric learns, by default `by`.
        lots: shape (len(records),): images of one number are not compared with each other.
        progress: called with what is compared and what is to be compared.

    Raises:
        InvalidArgument: k is below 1, `within` is `by`, or lengths that differ.
        FieldNotFound: no record has the field `by`, or `within`.
        Unanswerable: nothing to compare, one label only, or too little to hold out.
    """
    k, seed, within = options.k, options.seed, options.within
    if k != "auto" and k < 1:
        raise InvalidArgument(f"k must be at least 1, not {k}")
    if len(records) != len(vectors):
        raise InvalidArgument(f"{len(records)} records need as many vectors, not {len(vectors)}")
    taking, left_out = evaluable_rows(records, by, within)
    rows = np.array(taking, dtype=np.intp)
    truth, labels = encode(records[row].fields[by] for row in taking)
    parts = np.zeros_like(rows)
    if within is not None:
        parts = encode(records[row].fields[within] for row in taking)[0]
    lots = np.arange(len(rows)) if lots is None else np.asarray(lots)[rows]
    if taking != list(range(len(records))):
        vectors = vectors[rows]

    ranks = _ranks([records[row] for row in taking])
    learned = truth
    if fit is not None and fit_by not in (None, by):
        learned = _learned([records[row] for row in taking], str(fit_by))
    if fit is not None:
        _check_learnable(learned)
    predictor = FoldPredictor(vectors, truth, parts, lots, len(labels), fit, learned, ranks)
    work = workload(len(rows), k, fit, options.repeats)
    *repeated, plainly, choosing = divided(progress, work)
    predictions, ks = _predict_in_folds(predictor, options, repeated)
    every = np.stack([each.predicted for each in predictions])
    kept = (every >= 0).all(axis=0)
    # The middle one, so that neither a lucky drawing nor an unlucky one speaks for all.
    order = np.argsort((every == truth).sum(axis=1), kind="stable")
    middle = predictions[order[(len(predictions) - 1) // 2]]
    if not kept.any():
        raise Unanswerable("every image has only images of its own group to be compared with")
    reason = "all images that it could be compared with are in its group or fold"
    lost = tuple(LeftOut(records[row], reason) for row in rows[~kept])
    left_out = tuple(sorted((*left_out, *lost), key=lambda each: each.record.uri))
    plain_nearest = _plain_nearest(predictor, middle, plainly)[kept]
    best_k = predictor.choose_k(np.arange(len(rows)), seed, choosing) if k == "auto" else k
    progress(sum(work), sum(work))
    return HeldOutPredictions(
        rows=rows[kept],
        labels=tuple(labels),
        truth=truth[kept],
        predicted=middle.predicted[kept],
        shares=middle.shares[kept],
        neighbours=np.where(middle.neighbours >= 0, rows[middle.neighbours], -1)[kept],
        similarities=middle.similarities[kept],
        nearest=middle.similarities[kept, 0],
        plain_nearest=plain_nearest,
        class_similarities=None if middle.by_class is None else middle.by_class[kept],
        parts=parts[kept],
        lots=lots[kept],
        ranks=ranks[kept],
        repeats=every[:, kept],
        k=best_k,
        ks=tuple(sorted(ks.items())),
        folds=0 if fit is None and k != "auto" else sum(ks.values()) // len(predictions),
        refitted=fit is not None,
        left_out=left_out,
        chosen=k == "auto",
    )


def _predict_in_folds(
    predictor: FoldPredictor, options: HoldOutOptions, progress: Sequence[Progress]
) -> tuple[list[FoldPredictions], Counter[int]]:
    """Predict every image, once for each repeat; without a fit or a choice of k once, by all others.

    Args:
        predictor: of the images that take part.
        options: how.
        progress: of each repeat.

    Returns:
        The predictions of each repeat, and each k that was used with the number of folds that used it.
    """
    k, count = options.k, len(predictor.truth)
    largest = max(1, int(np.bincount(predictor.parts).max()) - 1)
    wide = min(max(CANDIDATE_KS) if k == "auto" else k, largest)
    predictions: list[FoldPredictions] = []
    ks: Counter[int] = Counter()
    if predictor.fit is None and k != "auto":
        everything = np.arange(count)
        predictions.append(FoldPredictions.empty(count, wide, predictor.classes))
        predictor.predict(Fold(everything, everything), min(k, wide), predictions[0], progress[0])
        ks[k] += 1
    else:
        for repeat_seed, tell in zip(repeat_seeds(options.seed, options.repeats), progress, strict=True):
            predictions.append(FoldPredictions.empty(count, wide, predictor.classes))
            drawing, *predicting = divided(tell, [count // 8, *[count] * options.folds])
            drawn = stratified_folds(
                predictor.truth,
                predictor.lots,
                ranks=predictor.ranks,
                folds=options.folds,
                seed=repeat_seed,
                progress=drawing,
            )
            for fold, part in zip(drawn, predicting, strict=False):
                first, then = divided(part, [_CHOICE * count if k == "auto" else 0, count])
                used = predictor.choose_k(fold.held_in, options.seed, first) if k == "auto" else k
                predictor.predict(fold, min(used, wide), predictions[-1], then)
                ks[used] += 1
    return predictions, ks


def workload(count: int, k: Ks, fit: Fit | None, repeats: int) -> list[int]:
    """Return how many images `predict_held_out` compares: in each repeat, by plain vectors, and to choose k.

    Args:
        count: images that take part.
        k: as for `predict_held_out`.
        fit: as for `predict_held_out`.
        repeats: as for `predict_held_out`.
    """
    auto = _CHOICE * count if k == "auto" else 0
    if fit is None and not auto:
        return [count, 0, 0]
    return [*[count + auto] * repeats, 0 if fit is None else count, auto]


def _check_learnable(learned: Codes) -> None:
    """Refuse labels of which a fold may hold in one only, which nothing can be learned from."""
    several = int((np.bincount(learned[learned >= 0]) > 1).sum())
    if several < 2:
        raise Unanswerable(
            f"{several} of its labels is on two images or more: a fitted metric needs two such labels to be "
            f"tested on what it has not seen; add images, or go back with `lookalike fit --undo`"
        )


def _plain_nearest(
    predictor: FoldPredictor, predictions: FoldPredictions, progress: Progress
) -> Similarities:
    """Return each image's plain similarity to the nearest other; where all are of its lot, to none: −inf."""
    if predictor.fit is None:
        return predictions.similarities[:, 0]
    everything = np.arange(len(predictor.truth))
    plain = FoldPredictions.empty(len(everything), 1, 0)
    replace(predictor, fit=None).predict(Fold(everything, everything), 1, plain, progress)
    nearest: Similarities = np.nan_to_num(plain.similarities[:, 0], nan=-np.inf)
    return nearest


def _ranks(records: Sequence[Record]) -> Rows:
    """Return each record's place in the order of digests; of copies, in the order given."""
    order = sorted(range(len(records)), key=lambda row: records[row].digest)
    ranks = np.empty(len(records), dtype=np.intp)
    ranks[order] = np.arange(len(records))
    return ranks


def _learned(records: Sequence[Record], field: str) -> Codes:
    """Return the labels in another field as numbers; −1 where an image has none."""
    values = [label_of(record, field) for record in records]
    learned = np.full(len(values), -1, dtype=np.intp)
    known = [row for row, value in enumerate(values) if value is not None]
    learned[known] = encode(value for value in values if value is not None)[0]
    return learned
