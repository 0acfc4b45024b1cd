"""The driver of a run on many machines: it hands out tasks, and takes in what became of them.

It holds a page of a listing, and the tasks that are under way: two a worker. Whatever ends meanwhile costs no
more than these, because the store says what is there already.
"""

from __future__ import annotations

import os
import time
from collections import deque
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from lookalike.errors import (
    ClusterError,
    CollectionNotFound,
    InvalidArgument,
    SourceUnreachable,
    StoreBusy,
    StoreUnreachable,
)
from lookalike.ingest.cluster.listing import PATIENCE, RootListing
from lookalike.ingest.cluster.pruning import Pruning
from lookalike.ingest.cluster.ray_cluster import WorkerLost, connected
from lookalike.ingest.cluster.report import ReportSum
from lookalike.ingest.cluster.tasks import Completion, Failure, Plan, Task, TaskReport
from lookalike.ingest.declaration import declare, is_declared
from lookalike.ingest.index_report import IndexReport
from lookalike.ingest.removals import is_below
from lookalike.ingest.run import BATCH_RECORDS, StepProgress
from lookalike.sources.locations import location_of
from lookalike.sources.patterns import Patterns
from lookalike.stores.batches import chunks
from lookalike.stores.id_table import IdTable
from lookalike.stores.sqlite.address import file_path
from lookalike.stores.stamp_table import StampTable
from lookalike.types import Skipped
from lookalike.uris import split_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from lookalike.embedders.models import Models
    from lookalike.images.film_sampling import Sampling
    from lookalike.ingest.cluster.ray_cluster import RayCluster, Room
    from lookalike.ingest.embedding import Encoder
    from lookalike.ingest.index_options import IndexOptions, Machines
    from lookalike.progress import Progress
    from lookalike.sources.objects import Location
    from lookalike.stores.store import Store

# Tasks of a worker: one that it does, and one that waits, so that it need not.
_UNDER_WAY = 2
# Images of a task at least.
_LEAST = 16
# Losses of a worker over one task before it is halved, to find the image that may be the reason.
_LOSSES = 3
# Seconds until a task is tried again, at first and at most.
_AGAIN, _AGAIN_MOST = 1.0, 20.0
# Seconds that the driver sleeps at most.
_TICK = 0.5
_PASSING = (StoreUnreachable, StoreBusy, SourceUnreachable)
_LOST = "the process that embedded it ended each time, as where the memory does not suffice"


def index_on_cluster(
    store: Store,
    models: Models,
    name: str,
    roots: Sequence[Location],
    encoders: Sequence[Encoder],
    options: IndexOptions,
    machines: Machines,
    patterns: Mapping[Location, Patterns],
    group_by: Mapping[Location, str],
    frames: Mapping[Location, Sampling],
    progress: Progress,
    begin: Callable[[], None] = lambda: None,
) -> IndexReport:
    """Bring a collection up to date with what is below some roots, by the workers of a cluster of Ray.

    Each image is brought up to date as `indexing.index` does, and labelled as there; no record moves with its
    file. What is gone is removed at the end: see `pruning`.

    Args:
        store: where the collection lives; workers open it themselves.
        models: as they are opened here.
        name: the collection, made if it is missing.
        roots: absolute paths of folders, which all machines have, and prefixes of objects.
        encoders: see `indexing.index`.
        options: how.
        machines: on how many workers.
        patterns: what is left out below which root.
        group_by: what makes fields of the paths below which root.
        frames: which frames of films are taken below which root; of others films are left out.
        progress: told with images done and images to do.
        begin: called when the collection is there, before any record is written.

    Raises:
        InvalidArgument: a path is a single file, or named twice; its labels do not fit into memory.
        ClusterError: there is no cluster, or its workers end before they do anything.
        PathNotFound: a path is not there, and there is nothing to prune below it.
        Unanswerable: there is no image below one, and nothing to prune.
        FolderEmpty: see `indexing.index`.
        RemovalUnconfirmed: see `indexing.index`.
        SpaceMismatch: see `indexing.index`.
        LabelsInvalid: see `indexing.index`.
        SourceError: pictures cannot be listed, or not be read for five minutes.
        StoreError: nothing can be written for five minutes.
    """
    started = time.monotonic()
    _check(store, name, roots, encoders, options)
    report = IndexReport(name)
    url = _absolute(machines.store)
    with connected(url) as cluster:
        if not cluster.local and _is_file(url):
            raise InvalidArgument(
                f"{store.url} is a file of one machine: name a server that all can reach (--store), or leave "
                "RAY_ADDRESS away"
            )
        met = IdTable() if options.prune or options.prune_empty else None
        listings = _look_through(roots, patterns, frames, options, progress, met)
        pruning = None
        if met is not None:
            with closing(met):
                pruning = Pruning(store, name, listings, met, options)
        declare(store, name, encoders[0].space, options.vector)
        begin()
        room = cluster.room(machines.actors, gpu=models.device != "cpu")
        labels = {listing.root: listing.labels for listing in listings}
        plan = Plan(
            store=url if url == store.url or _is_file(url) else None,
            store_name=url if _is_file(url) else store.url,
            timeout=machines.timeout,
            collection=name,
            models=[one.embedder.name for one in encoders],
            fingerprints=[one.embedder.fingerprint for one in encoders],
            cache=os.path.abspath(models.cache),  # noqa: PTH100 as it is spelt
            weights=None if models.weights is None else os.path.abspath(models.weights),  # noqa: PTH100
            device=models.device,
            threads=room.threads,
            max_pixels=options.max_pixels,
            verify=options.verify,
            encoding=options.encoding,
            labels=labels,
            group_by=group_by,
            frames=frames,
        )
        total = ReportSum(report)
        images = sum(listing.images for listing in listings)
        # Small ones where there are few images: each worker gets several.
        most = min(BATCH_RECORDS, max(_LEAST, -(-images // (2 * _UNDER_WAY * room.workers))))
        known = frame_stamps(store, name, frozenset(frames)) if frames else None
        tasks = (task for listing in listings for task in listing.tasks(most, known))
        crew = _Crew(cluster, room, cluster.share(plan))
        steps = StepProgress(progress)
        try:
            _work(crew, tasks, total, steps, images)
            steps.end()
            incomplete = lacking(store, name, most)
            _work(crew, iter(incomplete), total, steps, sum(len(task.images) for task in incomplete))
        finally:
            crew.end()
    if pruning is not None:
        report.removed += pruning.remove()
        report.remarks += pruning.remarks()
    for listing in listings:
        total.add_listing(listing)
    total.end(images)
    report.seconds = time.monotonic() - started
    return report


def _check(
    store: Store,
    name: str,
    roots: Sequence[Location],
    encoders: Sequence[Encoder],
    options: IndexOptions,
) -> None:
    """Refuse what cannot be done, before a cluster is started.

    Raises:
        InvalidArgument: a root is named twice, or the collection has the vector under another name.
        SpaceMismatch: the collection has no vector of the model, and none is to be made.
    """
    for at, root in enumerate(roots):
        if any(is_below(root, (other,)) or is_below(other, (root,)) for other in roots[:at]):
            raise InvalidArgument(f"{root} is named twice, or lies in another that is named")
    with suppress(CollectionNotFound):
        is_declared(store.collection(name), encoders[0].space, options.vector)


def frame_stamps(store: Store, name: str, roots: Collection[Location]) -> StampTable:
    """Return the stamps of the frames that the collection has of films below some roots."""
    return StampTable(
        (uri, stamp)
        for uri, stamp in store.scan_stamps(name)
        if split_frame(uri) is not None and (film := location_of(uri)) is not None and is_below(film, roots)
    )


def lacking(store: Store, name: str, most: int) -> list[Completion]:
    """Return the records that lack a model's vector, in tasks of at most so many.

    Those of a fit are made of that, without a picture.
    """
    return [
        Completion(ids, vector.space)
        for vector in store.collection(name).vectors
        if not vector.fitted
        for ids in chunks(store.lacking(name, vector.space), most)
    ]


def _look_through(
    roots: Sequence[Location],
    patterns: Mapping[Location, Patterns],
    frames: Mapping[Location, Sampling],
    options: IndexOptions,
    progress: Progress,
    met: IdTable | None,
) -> list[RootListing]:
    listings: list[RootListing] = []
    for root in roots:
        before = sum(one.images for one in listings)
        tell = partial(_tell_seen, progress, before)
        listings.append(
            RootListing(root, patterns.get(root, Patterns()), options, tell, met, films=root in frames)
        )
    return listings


def _tell_seen(progress: Progress, before: int, seen: int) -> None:
    progress(0, before + seen)


def _is_file(url: str) -> bool:
    return url.partition(":")[0].lower() == "sqlite"


def _absolute(url: str) -> str:
    """Return a store's URL that means the same in every folder."""
    return f"sqlite:///{file_path(url)}" if _is_file(url) else url


@dataclass(slots=True)
class Waiting:
    """A task that is to be done."""

    task: Task | Completion
    losses: int = 0
    """Workers that were lost over it."""
    tries: int = 0
    """Times that a server did not answer."""
    due: float = 0.0
    """When it may be tried, on the monotonic clock."""


class _Crew:
    """The workers, and what each has to do."""

    def __init__(self, cluster: RayCluster, room: Room, plan: Any) -> None:
        self.cluster = cluster
        self._room = room
        self._plan = plan
        self._opening: dict[Any, Any] = {}
        """By the answer that is waited for, the worker that opens store and models."""
        self._free: dict[Any, int] = {}
        """By worker, how many tasks it has."""
        self._doing: dict[Any, tuple[Any, Waiting]] = {}
        self._quiet = time.monotonic()
        """Since when no worker has been able to work."""
        for _ in range(room.workers):
            self._start()

    def _start(self) -> None:
        worker = self.cluster.start(self._room)
        self._opening[worker.open.remote(self._plan)] = worker

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return not self._doing

    def has_room(self) -> bool:
        """Tell whether a worker can take a task."""
        return any(count < _UNDER_WAY for count in self._free.values())

    def give(self, waiting: Waiting) -> None:
        """Give a task to the worker that has the fewest."""
        worker = min(self._free, key=self._free.__getitem__)
        self._free[worker] += 1
        self._doing[worker.do.remote(waiting.task)] = worker, waiting

    def take(self, seconds: float) -> tuple[Waiting, TaskReport | Failure | None] | None:
        """Return a task that has ended with what became of it: None where its worker was lost.

        Raises:
            ClusterError: no worker can work, and none could for a long time.
            LookalikeError: a worker cannot open store or models.
        """
        for ready in self.cluster.wait([*self._doing, *self._opening], seconds):
            if ready in self._opening:
                self._open(ready)
                continue
            worker, waiting = self._doing.pop(ready)
            try:
                found = self.cluster.answer(ready)
            except WorkerLost:
                self._lose(worker)
                return waiting, None
            if worker in self._free:
                self._free[worker] -= 1
            return waiting, found
        if self._free:
            self._quiet = time.monotonic()
        elif time.monotonic() - self._quiet > PATIENCE:
            raise ClusterError(
                f"no worker of {self._room.cpus:g} CPUs and {self._room.gpus:g} GPUs could be started for "
                f"{PATIENCE / 60:.0f} minutes: is the cluster full, or without such machines?"
            )
        return None

    def _open(self, ready: Any) -> None:
        worker = self._opening.pop(ready)
        try:
            failure = self.cluster.answer(ready)
        except WorkerLost:
            self._start()
            return
        if failure is None:
            self._free[worker] = 0
            return
        if not issubclass(failure.kind, _PASSING) or time.monotonic() - self._quiet > PATIENCE:
            raise failure.error()
        time.sleep(_AGAIN)
        self._opening[worker.open.remote(self._plan)] = worker

    def _lose(self, worker: Any) -> None:
        if worker in self._free:
            del self._free[worker]
            self._start()

    def end(self) -> None:
        """End all workers."""
        for worker in {*self._free, *self._opening.values()}:
            self.cluster.end(worker)


def _work(
    crew: _Crew, tasks: Iterator[Task | Completion], total: ReportSum, progress: Progress, images: int
) -> None:
    """Do all tasks; none is forgotten, and no more are made than workers can take."""
    again: deque[Waiting] = deque()
    done, exhausted = 0, False
    failing: float | None = None
    progress(0, images)
    while True:
        while crew.has_room():
            now = time.monotonic()
            waiting = next((one for one in again if one.due <= now), None)
            if waiting is not None:
                again.remove(waiting)
            elif exhausted or len(again) > 0:
                break
            else:
                task = next(tasks, None)
                if task is None:
                    exhausted = True
                    break
                waiting = Waiting(task)
            crew.give(waiting)
        if exhausted and crew.idle and not again:
            break
        taken = crew.take(_TICK)
        if taken is None:
            continue
        waiting, found = taken
        if isinstance(found, TaskReport):
            total.add(waiting.task, found)
            done += len(waiting.task.images)
            failing = None
            progress(min(done, images), max(images, done))
        elif found is None:
            again += after_loss(waiting, total)
        elif issubclass(found.kind, _PASSING) and _patient(failing := failing or time.monotonic()):
            waiting.tries += 1
            waiting.due = time.monotonic() + min(_AGAIN_MOST, _AGAIN * 2**waiting.tries / 2)
            again.append(waiting)
        else:
            raise found.error()
    progress(max(images, done), max(images, done))


def _patient(since: float) -> bool:
    """Tell whether what fails since then, on the monotonic clock, is waited for."""
    return time.monotonic() - since < PATIENCE


def after_loss(waiting: Waiting, total: ReportSum) -> list[Waiting]:
    """Return what is to be done of a task whose worker was lost."""
    losses = waiting.losses + 1
    task: Any = waiting.task
    if losses < _LOSSES:
        return [Waiting(task, losses)]
    if len(task.images) == 1:
        total.keep("skipped", [Skipped(str(task.images[0]), _LOST)])
        return []
    half = len(task.images) // 2
    return [
        Waiting(replace(task, images=some), losses - 1) for some in (task.images[:half], task.images[half:])
    ]
