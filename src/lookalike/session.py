"""One store and the models its collections need: what the command line and the service both work with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from lookalike.collecting import Collecting
from lookalike.embedders.ranged import ranged_name, split_name
from lookalike.embedders.registry import cards, groups_of, open_embedder
from lookalike.errors import CollectionEmpty, FieldNotFound, Unanswerable
from lookalike.images.levels import AUTO
from lookalike.label_normalisation import kept_filter, kept_name
from lookalike.metric_learning.fitted import is_fitted, read, read_plain, refit_with
from lookalike.progress import Pulse, divided, silent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lookalike.audit.findings import Audit
    from lookalike.comparison.comparison import Comparison
    from lookalike.embedders.protocol import Embedder
    from lookalike.evaluation.calibration_set import CalibrationSet
    from lookalike.evaluation.calibrator import Calibrator
    from lookalike.evaluation.evaluate import Options
    from lookalike.evaluation.evaluation import Evaluation
    from lookalike.evaluation.fold_predictor import Fit
    from lookalike.evaluation.held_out_predictions import Ks
    from lookalike.metric_learning.fitted import Fitting
    from lookalike.progress import Progress
    from lookalike.types import CollectionInfo, Record, Vectors, Where


JUDGED_IMAGES = 10_000
"""Images above which a classification judges itself only where it is asked to: the first one has to compare
all of them with each other."""


class Session(Collecting):
    """What can be done with a store and the embedders that its collections need."""

    def calibration_set(
        self, name: str, by: str, *, k: Ks = 5, where: Where | None = None, progress: Progress = silent
    ) -> CalibrationSet:
        """Return what the held-out answers of a collection say: see `open_calibration_set`."""
        from lookalike.evaluation.calibration_set import open_calibration_set

        collection = self.store.collection(name)
        by, where = kept_name(by, collection), kept_filter(where, collection)
        collection = self._ready(name, where)
        if by not in collection.fields:
            raise FieldNotFound(by, collection.fields)
        fitting = self._fitting_of(collection)
        pulse, reading, comparing = _pulse(progress, collection)
        return open_calibration_set(
            self.store, self.cache, collection, by, read=lambda: self.plain(name, reading), k=k, where=where,
            fit=self.refit(name, pulse.beat), fit_by=None if fitting is None else fitting.by,
            progress=comparing,
        )  # fmt: skip

    def judge(
        self,
        name: str,
        by: str,
        *,
        k: Ks = 5,
        where: Where | None = None,
        max_error: float | None = None,
        coverage: float | None = None,
        false_alarm: float | None = None,
        progress: Progress = silent,
    ) -> Calibrator | None:
        """Return what judges classifications of a collection; None where nothing can be said.

        Args:
            name: the collection.
            by: the field that holds the label.
            k: neighbours that vote; `auto` chooses, and the judge's calibration_set then has the number.
            where: only records that match vote.
            max_error: what is answered has an error of at most this.
            coverage: label sets contain the true label this often.
            false_alarm: rate at which a known image may be called unknown, by default `novelty.FALSE_ALARM`.
            progress: as for `evaluate`; never called where the cache knows the answer.

        Raises:
            InvalidArgument: a promise is out of its range.
            Unanswerable: it was promised something that the collection cannot tell.
        """
        from lookalike.evaluation.calibrator import Calibrator, check_promises
        from lookalike.evaluation.novelty import FALSE_ALARM

        check_promises(max_error, coverage, false_alarm)
        asked = k == "auto" or any(promise is not None for promise in (max_error, coverage, false_alarm))
        if not asked and self.store.collection(name).count > JUDGED_IMAGES:
            return None
        try:
            calibration_set = self.calibration_set(name, by, k=k, where=where or None, progress=progress)
        except Unanswerable:
            if asked:
                raise
            return None
        rate = FALSE_ALARM if false_alarm is None else false_alarm
        return Calibrator(calibration_set, max_error=max_error, coverage=coverage, false_alarm=rate)

    def audit(
        self,
        name: str,
        by: str | None = None,
        *,
        split: str | None = None,
        k: int = 5,
        look: bool = False,
        progress: Progress = silent,
    ) -> Audit:
        """Look for wrong labels, near-duplicates, outliers and small classes: see `audit.audit`.

        A fitted metric is fitted anew in each fold. `progress` is called as for `evaluate`.
        """
        from lookalike.audit.audit import audit

        fitting, collection = self.fitting(name), self.store.collection(name)
        by = None if by is None else kept_name(by, collection)
        split = None if split is None else kept_name(split, collection)
        pulse, reading, comparing = _pulse(progress, collection)
        records, vectors = self.plain(name, reading)
        if not records:
            raise CollectionEmpty(name)
        return audit(
            records, vectors, by, split=split, k=k, fit=self.refit(name, pulse.beat),
            fit_by=None if fitting is None else fitting.by, look=look, progress=comparing,
        )  # fmt: skip

    def evaluate(
        self, name: str, by: str, *, progress: Progress = silent, **options: Unpack[Options]
    ) -> Evaluation:
        """Classify every image of a collection by others that it had no part in: see `evaluate.evaluate`.

        A fitted metric is fitted anew in each fold, and near-duplicates are kept together.

        Args:
            name: the collection.
            by: the field that holds the label.
            progress: called with what is done and what is to do, in images read and compared: each second or
                so, also while a fold's metric is fitted. What it raises ends the work.
            options: of `evaluate.evaluate`.
        """
        # scikit-learn and SciPy take most of a second to import, which no search should wait for.
        from lookalike.evaluation.evaluate import evaluate

        options = {"near_duplicates": True, **options}
        fitting, collection = self.fitting(name), self.store.collection(name)
        by = kept_name(by, collection)
        if (within := options.get("within")) is not None:
            options["within"] = kept_name(within, collection)
        if (group := options.get("group")) is not None:
            options["group"] = kept_name(group, collection)
        pulse, reading, comparing = _pulse(progress, collection)
        if fitting is not None:
            options = {"fit": self.refit(name, pulse.beat), "fit_by": fitting.by, **options}
        return evaluate(*self.plain(name, reading), by, progress=comparing, **options)

    def read(self, name: str, where: Where | None = None) -> tuple[list[Record], Vectors]:
        """Return all matching records of a collection and their vectors, in order of id."""
        return read(self.store, name, kept_filter(where, self.store.collection(name)))

    def plain(self, name: str, progress: Progress = silent) -> tuple[list[Record], Vectors]:
        """Return all records of a collection and their plain vectors, in order of id, fitted or not."""
        return read_plain(self.store, name, progress)

    def fitting(self, name: str) -> Fitting | None:
        """Return what is known of a collection's fit; None where it is not fitted."""
        return self._fitting_of(self.store.collection(name))

    def refit(self, name: str, beat: Callable[[], None] = lambda: None) -> Fit | None:
        """Return what fits the metric of a collection anew, for folds; None where it is not fitted.

        Args:
            name: the collection.
            beat: called between the steps of each fit; what it raises ends it.
        """
        collection = self.store.collection(name)
        return refit_with(self.groups(collection.space.embedder), beat) if is_fitted(collection) else None

    def compare(
        self,
        name: str,
        by: str,
        models: Sequence[str] = (),
        ks: Sequence[int] = (1, 5),
        *,
        finetune: Sequence[str] = (),
        epochs: int | None = None,
        seed: int = 0,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> Comparison:
        """Rank embedders, metrics and k on the images of a collection: see `compare.compare`.

        Args:
            name: the collection.
            by: the field that holds the label.
            models: the embedders, by default all that are part of lookalike.
            ks: numbers of neighbours that vote.
            finetune: networks to be trained in the same folds, timm:NAME; see `open_network_candidates`.
            epochs: that they are trained for at most; by default so many as `Recipe` says.
            seed: of the folds, and of what is drawn in training.
            progress: called with steps done and steps to do.
        """
        from lookalike.comparison.compare import EmbedderCandidate, compare
        from lookalike.comparison.finetuning.predictions import open_network_candidates
        from lookalike.comparison.finetuning.recipe import Recipe

        # Before anything is computed: they need packages and weights that may not be here.
        networks = open_network_candidates(
            finetune, self.cache, weights=self._weights, device=self._device, recipe=Recipe(epochs)
        )
        # As the collection's pictures were decoded.
        _, levels = split_name(self.store.collection(name).space.embedder)
        named = [
            model if split_name(model)[1] != AUTO else ranged_name(model, levels)
            for model in models or cards()
        ]
        opened = {model: self._compared(model) for model in named}
        entered = {m: EmbedderCandidate(e, self.features(e), groups_of(e)) for m, e in opened.items()}
        return compare(
            self.plain(name)[0], entered, kept_name(by, self.store.collection(name)),
            networks=networks, levels=levels, folder=self.cache, ks=ks, seed=seed, progress=progress,
        )  # fmt: skip

    def _compared(self, model: str) -> Embedder:
        """Open an embedder; one that carries its weights leaves a folder of weights to the others."""
        if self._weights is not None and split_name(model)[0] in cards():
            return open_embedder(model, self.cache, device=self._device)
        return self.embedder(model)


def _pulse(progress: Progress, collection: CollectionInfo) -> tuple[Pulse, Progress, Progress]:
    """Return what can tell again how far a judging is, and whom reading and comparing tell."""
    pulse = Pulse(progress)
    # Each image is read once, and compared about three times: that takes longer the more there are.
    reading, comparing = divided(pulse, [collection.count // 8 + 1, 3 * collection.count + 1])
    return pulse, reading, comparing
