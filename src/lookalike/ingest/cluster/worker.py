"""A worker: it has models and a connection to the store, and brings the records of its tasks up to date."""

from __future__ import annotations

import os
import platform
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lookalike.embedders.models import Models
from lookalike.errors import InvalidArgument, PathNotFound, SpaceMismatch
from lookalike.file_names import display
from lookalike.images.films import check_films
from lookalike.ingest.batch import index_batch, put, relabel
from lookalike.ingest.cluster.task_labels import TaskLabels
from lookalike.ingest.cluster.tasks import STORE, Task, TaskReport
from lookalike.ingest.completion import embed_lacking
from lookalike.ingest.embedding import Encoder
from lookalike.ingest.film_labels import name_films
from lookalike.ingest.films import sort_films, write_films
from lookalike.ingest.index_report import IndexReport
from lookalike.ingest.record_writer import RecordWriter
from lookalike.ingest.removals import Disk
from lookalike.ingest.run import IndexRun, StepProgress
from lookalike.ingest.survey import NO_LABEL
from lookalike.label_normalisation import labels_digest
from lookalike.labels.path_fields import add_path_fields
from lookalike.progress import silent
from lookalike.sources.frames import is_film
from lookalike.stores.registry import open_store
from lookalike.types import Stamp
from lookalike.uris import record_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.images.film_sampling import Sampling
    from lookalike.ingest.cluster.tasks import Completion, Plan
    from lookalike.labels.labelling import Label, Labelling
    from lookalike.sources.objects import Location
    from lookalike.stores.store import Store


def open_worker(plan: Plan) -> BatchWorker:
    """Open the store and the models of a plan on this machine.

    Raises:
        InvalidArgument: the environment names no store, or another one.
        SpaceMismatch: a model here is another version than that of the driver.
        LookalikeError: store or models cannot be opened.
    """
    url = os.environ.get(STORE) if plan.store is None else plan.store
    if url is None:
        raise InvalidArgument(
            f"{platform.node()}: {STORE} is not in the environment of Ray there, and the store's URL has "
            "a password, which is not sent: start Ray with it on every machine"
        )
    store = open_store(url, plan.timeout)
    if store.url != plan.store_name:
        raise InvalidArgument(
            f"{platform.node()}: {STORE} names {store.url} there, and {plan.store_name} here"
        )
    models = Models(Path(plan.cache), None if plan.weights is None else Path(plan.weights), plan.device)
    encoders = []
    if plan.frames:
        check_films()
    for name, fingerprint in zip(plan.models, plan.fingerprints, strict=True):
        embedder = models.embedder(name, download=True)
        if embedder.fingerprint != fingerprint:
            there = f"{name} {embedder.fingerprint[:12]} on {platform.node()}"
            raise SpaceMismatch(plan.collection, f"{name} {fingerprint[:12]}", there)
        encoders.append(Encoder(embedder, models.features(embedder)))
    return BatchWorker(plan, store, encoders, models)


class BatchWorker:
    """Embeds the images of tasks and puts their records; one thread calls it."""

    def __init__(
        self, plan: Plan, store: Store, encoders: Sequence[Encoder], models: Models | None = None
    ) -> None:
        """Take what it works with.

        Args:
            plan: of the run.
            store: where the collection lives.
            encoders: one for each model that the collection has vectors of.
            models: that have opened these, and tell of problems with their caches.
        """
        self._plan = plan
        self._store = store
        self._encoders = encoders
        self._models = models
        self._writer = RecordWriter(store, plan.collection)
        self._labels = {root: TaskLabels(root, labels, plan.encoding) for root, labels in plan.labels.items()}

    def do(self, task: Task | Completion) -> TaskReport:
        """Do a task.

        Raises:
            LookalikeError: see `index` and `complete`.
        """
        return self.index(task) if isinstance(task, Task) else self.complete(task)

    def complete(self, task: Completion) -> TaskReport:
        """Give records the vector that they lack, as far as their pictures are at hand.

        Raises:
            LookalikeError: a server does not answer, say; what was put stays.
        """
        plan = self._plan
        (encoder,) = (
            one for one in self._encoders if one.embedder.fingerprint == task.space.embedder_fingerprint
        )
        roots = frozenset(plan.labels)
        embed_lacking(
            self._store, plan.collection, task.space, encoder, task.images, roots, workers=plan.threads
        )
        return TaskReport(IndexReport(plan.collection), {}, problems=self._problems())

    def index(self, task: Task) -> TaskReport:
        """Bring the records of the images of a task up to date.

        Raises:
            PathNotFound: the folder is not on this machine.
            LookalikeError: a server does not answer, say; what was put stays.
        """
        plan = self._plan
        if isinstance(task.root, Path) and not task.root.is_dir():
            raise PathNotFound(
                display(task.root), f"on {platform.node()}: all machines need it at the same place"
            )
        labels = self._labels[task.root]
        used = labels.used
        labelling = labels.read(task)
        report = IndexReport(plan.collection, labels=[labelling.mode])
        wanted, films, assumed = self._wanted(task, labelling, report)
        run = IndexRun(
            store=self._store,
            name=plan.collection,
            encoders=self._encoders,
            wanted=wanted,
            stamps={**self._stamps(wanted), **task.stamps},
            max_pixels=plan.max_pixels,
            report=report,
            progress=StepProgress(silent),
            disk=Disk(),
            roots=frozenset({task.root}),
            writer=self._writer,
            films=films,
            workers=plan.threads,
        )
        jobs, others = sort_films(run, verify=plan.verify)
        relabel(run, others)
        for note, paths in index_batch(run, verify=plan.verify).items():
            assumed[note] = paths[0], len(paths)
        if jobs:
            write_films(run, jobs, {}, partial(put, run))
        unused = {skipped.path for skipped in report.skipped}
        report.unlabelled = [path for path in report.unlabelled if path not in unused]
        return TaskReport(report, assumed, labels.used - used, labels.rows, self._problems())

    def _problems(self) -> list[str]:
        return [] if self._models is None else self._models.problems

    def _wanted(
        self, task: Task, labelling: Labelling, report: IndexReport
    ) -> tuple[dict[Location, Label], dict[Location, Sampling], dict[str, tuple[str, int]]]:
        """Return the images with their labels, those that are films, and what was assumed of them."""
        wanted = {image: labelling.labels.get(image, NO_LABEL) for image in task.images}
        report.skipped += labelling.skipped
        report.remarks += labelling.remarks
        if labelling.expected:
            report.unlabelled += map(str, labelling.unlabelled)
        report.told_apart += map(str, labelling.told_apart)
        assumed = {}
        regex = self._plan.group_by.get(task.root)
        if regex is not None:
            before = wanted
            wanted, _ = add_path_fields(before, dict.fromkeys(before, task.root), {task.root: regex})
            unmatched = [image for image in before if wanted[image] is before[image]]
            if unmatched:
                text = f"--group-by {display(regex)!r} does not match the path"
                assumed[text] = str(unmatched[0]), len(unmatched)
        films: dict[Location, Sampling] = {}
        if (sampling := self._plan.frames.get(task.root)) is not None:
            films = dict.fromkeys(filter(is_film, wanted), sampling)
            wanted, overridden = name_films(wanted, films, dict.fromkeys(films, task.root))
            report.remarks += overridden
        return wanted, films, assumed

    def _stamps(self, wanted: dict[Location, Label]) -> dict[str, Stamp]:
        """Ask the store what it has of these images: it is the checkpoint."""
        ids = [record_id(path.as_uri()) for path in wanted]
        return {
            one.uri: Stamp(one.id, one.size, one.modified_ns, labels_digest(one.fields, one.metadata))
            for one in self._store.get(self._plan.collection, ids)
        }
