"""Predictions in one fold: the metric fitted to the images held in, and the vote of those on the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lookalike.evaluation.folds import Fold, stratified_folds
from lookalike.progress import Pulse, divided, silent
from lookalike.vectors.dual_metric import DualMetric
from lookalike.vectors.nearest import BestOfClass, nearest_rows
from lookalike.vectors.product_threads import one_product_thread
from lookalike.vectors.vote import winning_codes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from lookalike.progress import Progress
    from lookalike.types import Vectors
    from lookalike.vectors.metric import Fit, Metric
    from lookalike.vectors.nearest import Rows, Similarities
    from lookalike.vectors.vote import Codes

CANDIDATE_KS = (1, 3, 5, 7, 9, 15)
"""What `auto` chooses from: odd numbers, so that two labels never draw."""
_INNER_FOLDS = 3
# Similarities to every class are kept for all images up to this many numbers, 256 MiB in each repeat.
_MOST_SIMILARITIES = 1 << 26
# Vectors that a metric projects at once: a whole number of its own blocks, and half a second of one core.
_PROJECTED = 8192


def gather(codes: Codes, rows: Rows) -> Codes:
    """Return the codes of rows, of their shape; −1 where there is no row."""
    return np.where(rows >= 0, codes[rows], -1)


def _projected(metric: Metric, vectors: Vectors, rows: Rows, beat: Callable[[], None]) -> Vectors:
    """Return some of the vectors as the metric has them."""
    projected = np.empty((len(rows), metric.dimension), np.float32)
    for start in range(0, len(rows), _PROJECTED):
        part = slice(start, start + _PROJECTED)
        projected[part] = metric.project(vectors[rows[part]])
        beat()
    return projected


@dataclass(slots=True)
class FoldPredictions:
    """The predictions of one repeat, filled fold by fold."""

    predicted: Codes
    shares: Similarities
    neighbours: Rows
    similarities: Similarities
    by_class: NDArray[np.float32] | None

    @classmethod
    def empty(cls, count: int, k: int, classes: int) -> FoldPredictions:
        """Return room for `count` predictions by `k` neighbours, and by class unless none or too many."""
        kept = 0 < count * classes <= _MOST_SIMILARITIES
        return cls(
            np.full(count, -1, dtype=np.intp),
            np.zeros(count),
            np.full((count, k), -1, dtype=np.intp),
            np.full((count, k), np.nan),
            np.full((count, classes), -np.inf, dtype=np.float32) if kept else None,
        )


@dataclass(frozen=True, slots=True)
class FoldPredictor:
    """Classifies the images held out of a fold by those held in; knows which may be compared."""

    vectors: Vectors
    truth: Codes
    parts: Codes
    lots: Codes
    classes: int
    fit: Fit | None
    learned: Codes
    """What the metric learns: −1 where an image has no such label."""
    ranks: Rows
    """In whose order folds are drawn."""

    def predict(self, fold: Fold, k: int, predictions: FoldPredictions, progress: Progress = silent) -> None:
        """Fill the predictions for the rows held out; progress is told with rows done."""
        with one_product_thread(len(self.vectors)):
            self._predict(fold, k, predictions, progress)

    def _predict(self, fold: Fold, k: int, predictions: FoldPredictions, progress: Progress) -> None:
        total = len(fold.held_out)
        told = Pulse(progress)
        done = 0
        for queries, candidates, asked, known in self._compared(fold, told.beat):
            exclude = self._same_lot(queries, candidates)
            best = None
            if predictions.by_class is not None:
                by_class = np.full((len(queries), self.classes), -np.inf, dtype=np.float32)
                best = BestOfClass(self.truth[candidates], by_class)
            telling = told.after(done, total)
            found, similarities = nearest_rows(asked, known, k, exclude, best=best, progress=telling)
            done += len(queries)
            if predictions.by_class is not None:
                predictions.by_class[queries] = by_class
            neighbours = np.where(found >= 0, candidates[found], -1)
            predictions.neighbours[queries, :k] = neighbours
            predictions.similarities[queries, :k] = similarities
            codes = gather(self.truth, neighbours)
            winners = winning_codes(codes)
            predictions.predicted[queries] = winners
            votes = (codes >= 0).sum(axis=1)
            agreeing = ((codes == winners[:, None]) & (codes >= 0)).sum(axis=1)
            predictions.shares[queries] = agreeing / np.maximum(votes, 1)
        progress(total, total)

    def choose_k(self, held_in: Rows, seed: int, progress: Progress = silent) -> int:
        """Return the k that is right most often among the rows held in; of several, the smallest."""
        k = max(CANDIDATE_KS)
        predictions = FoldPredictions.empty(len(self.truth), k, 0)
        inner = [Fold(held_in, held_in)]
        if self.fit is not None:
            drawn = stratified_folds(
                np.unique(self.truth[held_in], return_inverse=True)[1],
                self.lots[held_in],
                ranks=self.ranks[held_in],
                folds=_INNER_FOLDS,
                seed=seed,
            )
            inner = [Fold(held_in[fold.held_in], held_in[fold.held_out]) for fold in drawn]
        for fold, tell in zip(inner, divided(progress, [len(fold.held_out) for fold in inner]), strict=True):
            self.predict(fold, k, predictions, tell)
        codes = gather(self.truth, predictions.neighbours[held_in])
        right = [int((winning_codes(codes[:, :each]) == self.truth[held_in]).sum()) for each in CANDIDATE_KS]
        return CANDIDATE_KS[int(np.argmax(right))]

    def _compared(
        self, fold: Fold, beat: Callable[[], None]
    ) -> Iterable[tuple[Rows, Rows, Vectors, Vectors]]:
        """Yield, a part at a time, queries and candidates as rows and as vectors of the fold's metric."""
        metric, learned = None, np.empty(0, dtype=np.intp)
        if self.fit is not None:
            learned = fold.held_in[self.learned[fold.held_in] >= 0]
            # A label may be held out whole: those held in are numbered anew.
            codes = np.unique(self.learned[learned], return_inverse=True)[1].astype(np.intp)
            metric = self.fit(self.vectors[learned], codes, self.lots[learned])
        for part in np.unique(self.parts[fold.held_out]):
            queries = fold.held_out[self.parts[fold.held_out] == part]
            candidates = fold.held_in[self.parts[fold.held_in] == part]
            if not len(candidates):
                continue
            if metric is not None:
                yield (
                    queries,
                    candidates,
                    _projected(metric, self.vectors, queries, beat),
                    self._projected_candidates(metric, learned, candidates, beat),
                )
            elif len(queries) == len(candidates) == len(self.vectors):
                yield queries, candidates, self.vectors, self.vectors
            else:
                yield queries, candidates, self.vectors[queries], self.vectors[candidates]

    def _projected_candidates(
        self, metric: Metric, learned: Rows, candidates: Rows, beat: Callable[[], None]
    ) -> Vectors:
        """Return candidates as the metric has them, which knows those already that it learned from."""
        if not isinstance(metric, DualMetric):
            return _projected(metric, self.vectors, candidates, beat)
        if np.array_equal(learned, candidates):
            return metric.learned
        places = np.minimum(np.searchsorted(learned, candidates), len(learned) - 1)
        known = learned[places] == candidates
        projected = np.empty((len(candidates), metric.dimension), np.float32)
        projected[known] = metric.learned[places[known]]
        projected[~known] = _projected(metric, self.vectors, candidates[~known], beat)
        return projected

    def _same_lot(self, queries: Rows, candidates: Rows) -> list[list[int]]:
        """Return, for each query, the places among the candidates that it must not be compared with."""
        order = np.argsort(self.lots[candidates], kind="stable")
        lots = self.lots[candidates][order]
        starts = np.searchsorted(lots, self.lots[queries], side="left").tolist()
        ends = np.searchsorted(lots, self.lots[queries], side="right").tolist()
        return [order[start:end].tolist() for start, end in zip(starts, ends, strict=True)]
