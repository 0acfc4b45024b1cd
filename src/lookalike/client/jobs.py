"""Jobs: what takes longer than an answer may."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import BaseModel

from lookalike.client.connection import Connection, question
from lookalike.client.errors import JobFailed, JobUnfinished
from lookalike.schemas.audit import AuditQuery, DuplicateGroups, LeftOuts, Outliers, SmallClasses, Suspects
from lookalike.schemas.evaluate import EvaluatedImages, EvaluateQuery, EvaluationAnswer
from lookalike.schemas.index import Indexing, IndexQuery
from lookalike.schemas.jobs import Job
from lookalike.schemas.jobs import Jobs as Listed
from lookalike.schemas.map import MapAnswer, MapQuery

if TYPE_CHECKING:
    from collections.abc import Callable

_M = TypeVar("_M", bound=BaseModel)

PAGE = 50
"""Images or entries of a page."""

# Seconds between two looks at a job: at first, and when it takes long.
_SOON, _LATER = 0.05, 1.0


class Jobs(Connection):
    """What is started, watched, cancelled, and read when it is done."""

    def evaluate(
        self,
        collection: str,
        by: str,
        *,
        within: str | None = None,
        k: int | Literal["auto"] | None = None,
        group: str | None = None,
        folds: int | None = None,
        repeats: int | None = None,
        seed: int | None = None,
        max_error: float | None = None,
        coverage: float | None = None,
        false_alarm: float | None = None,
    ) -> Job:
        """Begin to measure how often the neighbours are right; see `evaluation`.

        Args:
            collection: its name.
            by: the field that holds the label.
            within: compare an image only with those of the same value of this field.
            k: neighbours that vote; `auto` chooses; by default 5.
            group: never compare an image with those of the same value of this field.
            folds: for a fitted metric or k `auto`; by default 5.
            repeats: how often folds are drawn; by default 3.
            seed: of the first drawing; by default 0.
            max_error: find the confidence above which the error is at most this, 0 … 1.
            coverage: measure label sets that contain the true label this often, 0 … 1.
            false_alarm: part of the known pictures that may be called unknown, 0 … 1.

        Raises:
            InvalidArgument: a number is out of its range.
        """
        given = {
            "by": by, "within": within, "k": k, "group": group, "folds": folds, "repeats": repeats,
            "seed": seed, "max_error": max_error, "coverage": coverage, "false_alarm": false_alarm,
        }  # fmt: skip
        return self._begin(collection, "evaluations", EvaluateQuery, given)

    def audit(self, collection: str, by: str, *, split: str | None = None, k: int = 5) -> Job:
        """Begin to look for what is wrong with labels and images; see `suspects` and those below it.

        Args:
            collection: its name.
            by: the field that holds the label.
            split: the field that tells training images from test images.
            k: neighbours that vote.

        Raises:
            InvalidArgument: a number is out of its range.
        """
        return self._begin(collection, "audits", AuditQuery, {"by": by, "split": split, "k": k})

    def draw(self, collection: str, by: str | None = None) -> Job:
        """Begin to draw the map of a collection, with the values of a field as labels; see `map`."""
        return self._begin(collection, "maps", MapQuery, {"by": by})

    def index(
        self,
        collection: str,
        *,
        labels: Literal["auto", "folders", "json", "table", "xml", "yolo", "none"] = "auto",
        prune: bool = False,
        yes: bool = False,
    ) -> Job:
        """Begin to index again what was indexed there; a writing key is needed; see `indexing`.

        Args:
            collection: its name.
            labels: where labels are read from.
            prune: remove images whose file is gone.
            yes: even where these are more than a tenth of the collection; else the job fails.
        """
        asked = {"labels": labels, "prune": prune, "yes": yes}
        return self._begin(collection, "indexings", IndexQuery, asked)

    def jobs(self) -> list[Job]:
        """Return the jobs that wait, run, or ended last; the newest first."""
        return self._ask(Listed, "GET", "v1", "jobs").jobs

    def job(self, job: Job | str) -> Job:
        """Return a job as it is now."""
        return self._ask(Job, "GET", "v1", "jobs", _id(job))

    def cancel(self, job: Job | str) -> Job:
        """Cancel a job."""
        return self._ask(Job, "DELETE", "v1", "jobs", _id(job))

    def wait(
        self,
        job: Job | str,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
        *,
        timeout: float | None = None,
    ) -> Job:
        """Wait until a job is done.

        Args:
            job: a job, or its id.
            progress: called with what is done and what there is to do, whenever that has changed.
            timeout: seconds after which to give up; None: never.

        Raises:
            JobFailed: it failed, or somebody cancelled it.
            JobUnfinished: it goes on, and the time is over.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        known = (0, 0)
        pause = _SOON
        while True:
            now = self.job(job)
            if (now.done, now.total) != known:
                known = (now.done, now.total)
                progress(*known)
            if now.state == "done":
                return now
            if now.state in ("failed", "cancelled"):
                raise JobFailed(now)
            if deadline is not None and time.monotonic() >= deadline:
                raise JobUnfinished(now)
            time.sleep(pause)
            pause = min(2 * pause, _LATER)

    def evaluation(self, job: Job | str) -> EvaluationAnswer:
        """Return the figures of an evaluation."""
        return self._result(EvaluationAnswer, job, "evaluation")

    def evaluated_images(
        self,
        job: Job | str,
        *,
        label: int | None = None,
        predicted: int | None = None,
        wrong: bool = False,
        offset: int = 0,
        limit: int = PAGE,
    ) -> EvaluatedImages:
        """Return images of an evaluation with the neighbours that voted.

        Args:
            job: an evaluation.
            label: only images of this label: a place in its `classes`.
            predicted: only images that were given this one.
            wrong: only mistakes.
            offset: images to pass over.
            limit: images at most.
        """
        query = {"label": label, "predicted": predicted, "wrong": wrong, "offset": offset, "limit": limit}
        return self._result(EvaluatedImages, job, "evaluation", "images", **query)

    def suspects(
        self, job: Job | str, *, contradicted: bool = True, offset: int = 0, limit: int = PAGE
    ) -> Suspects:
        """Return the labels that an audit found to look wrong.

        Args:
            job: an audit.
            contradicted: only those that the neighbours contradict.
            offset: entries to pass over.
            limit: entries at most.
        """
        return self._audited(Suspects, job, "suspects", offset, limit, all=not contradicted)

    def duplicates(self, job: Job | str, *, offset: int = 0, limit: int = PAGE) -> DuplicateGroups:
        """Return the near-duplicates that an audit found."""
        return self._audited(DuplicateGroups, job, "duplicates", offset, limit)

    def outliers(self, job: Job | str, *, offset: int = 0, limit: int = PAGE) -> Outliers:
        """Return the images that an audit found to be unlike all others."""
        return self._audited(Outliers, job, "outliers", offset, limit)

    def small_classes(self, job: Job | str, *, offset: int = 0, limit: int = PAGE) -> SmallClasses:
        """Return the labels that an audit found too few images of."""
        return self._audited(SmallClasses, job, "small_classes", offset, limit)

    def left_out(self, job: Job | str, *, offset: int = 0, limit: int = PAGE) -> LeftOuts:
        """Return the images that an audit could not judge."""
        return self._audited(LeftOuts, job, "left_out", offset, limit)

    def map(self, job: Job | str) -> MapAnswer:
        """Return the map that was drawn."""
        return self._result(MapAnswer, job, "map")

    def indexing(self, job: Job | str) -> Indexing:
        """Return what became of every file that was indexed again."""
        return self._result(Indexing, job, "indexing")

    def _begin(self, collection: str, what: str, kind: type[BaseModel], given: dict[str, Any]) -> Job:
        path = ("v1", "collections", collection, what)
        return self._ask(Job, "POST", *path, body=question(kind, given), again=False)

    def _audited(
        self, kind: type[_M], job: Job | str, part: str, offset: int, limit: int, **query: object
    ) -> _M:
        return self._result(kind, job, "audit", list=part, offset=offset, limit=limit, **query)

    def _result(self, kind: type[_M], job: Job | str, *path: str, **query: object) -> _M:
        return self._ask(kind, "GET", "v1", "jobs", _id(job), *path, query=query)


def _id(job: Job | str) -> str:
    return job if isinstance(job, str) else job.id
