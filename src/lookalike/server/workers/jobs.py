"""Background jobs: queued, run, observed and cancelled.

A job runs in a thread of the service, on the same session as the requests. It is cancelled by its progress
callback, which everything that takes long calls each second or so; what that raises ends the work, threads
included.
"""

from __future__ import annotations

import logging
import os
import secrets
import sys
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from lookalike.errors import LookalikeError, NotFound
from lookalike.schemas.jobs import Job as ShownJob
from lookalike.schemas.values import Problem
from lookalike.server.http.problems import Overloaded, Refused, problem_body
from lookalike.stores.checks import same_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from lookalike.progress import Progress
    from lookalike.schemas.jobs import JobKind, JobState
    from lookalike.schemas.values import RequestModel

_LOG = logging.getLogger("lookalike.server")

MOST_WAITING = 16
"""Jobs that wait; one more is refused."""
KEPT = 20
"""Jobs that have ended and are still known, with their results."""
_RETRY_AFTER = 10
# Requests go first: see nice(1), and the figures in docs/api.md.
_NICE = 10

_CANCELLED = Problem(title="Conflict", status=409, detail="the job was cancelled", error="Cancelled")
_STOPPED = Problem(
    title="Service Unavailable", status=503, detail="the service stopped before it was done", error="Stopped"
)


class _Cancelled(Exception):
    """Ends a job from inside its progress callback."""


@dataclass(slots=True, eq=False)
class Job:
    """A background job; only `Jobs` changes it."""

    kind: JobKind
    collection: str
    """Its name."""
    asked: RequestModel
    act: Callable[[Progress], object]
    """Does it and returns the result, which is kept as it is: small, and without records or vectors."""
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    state: JobState = "waiting"
    far: tuple[int, int] = (0, 0)
    """What is done and what is to do."""
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    started: datetime | None = None
    finished: datetime | None = None
    problem: Problem | None = None
    result: Any = None
    ending: Problem | None = None
    """Why it is to end before it is done."""

    def tell(self, done: int, total: int) -> None:
        """Take how far it is; ends the work where it is cancelled."""
        self.far = done, total
        if self.ending is not None:
            raise _Cancelled

    def shown(self) -> ShownJob:
        """Convert it to its schema."""
        done, total = self.far
        return ShownJob(
            id=self.id,
            kind=self.kind,
            collection=self.collection,
            asked=self.asked.model_dump(),
            state=self.state,
            done=done,
            total=total,
            created=self.created,
            started=self.started,
            finished=self.finished,
            problem=self.problem,
        )


class Jobs:
    """The job queue of a service; thread-safe."""

    def __init__(self, threads: int) -> None:
        """Start the threads.

        Args:
            threads: jobs that run at once; the others wait, first come, first served.
        """
        self._lock = threading.Lock()
        self._known: dict[str, Job] = {}
        """Every job that may be asked for, in the order of their making."""
        self._ended: deque[Job] = deque()
        self._closing = False
        self._threads = ThreadPoolExecutor(threads, "job", lower_priority)

    def put(
        self, kind: JobKind, collection: str, asked: RequestModel, act: Callable[[Progress], object]
    ) -> Job:
        """Queue a job; where the same query waits or runs already, return that job.

        Args:
            kind: of the job.
            collection: its name, as the store has it.
            asked: the question.
            act: see `Job`.

        Raises:
            Overloaded: too many wait, or the service is stopping.
        """
        with self._lock:
            for known in self._known.values():
                same = (known.kind, same_name(known.collection)) == (kind, same_name(collection))
                if same and known.asked == asked and known.finished is None and known.ending is None:
                    return known
            if self._closing:
                raise Overloaded("the service is stopping")
            waiting = sum(known.state == "waiting" for known in self._known.values())
            if waiting >= MOST_WAITING:
                raise Overloaded(f"{waiting} jobs wait already; ask again when one is done", _RETRY_AFTER)
            job = Job(kind, collection, asked, act)
            self._known[job.id] = job
            self._threads.submit(self._run, job)
        return job

    def get(self, identity: str) -> Job:
        """Return a job.

        Raises:
            NotFound: there is none of that id, or it ended so long ago that it is forgotten.
        """
        job = self._known.get(identity)
        if job is None:
            raise NotFound(
                f"no such job: one that ended is known until {KEPT} others have, or the service starts again"
            )
        return job

    def all(self) -> list[Job]:
        """Return the jobs that are known, the newest first."""
        with self._lock:
            return list(self._known.values())[::-1]

    def result(self, identity: str, kind: JobKind) -> tuple[Job, Any]:
        """Return a job that is done, and its result.

        Args:
            identity: the job's id.
            kind: that it has to be of.

        Raises:
            NotFound: there is no such job, or it is of another kind.
            Refused: it is not done: 409.
        """
        job = self.get(identity)
        if job.kind != kind:
            raise NotFound(f"this job is of kind {job.kind!r} and has no such result")
        if job.state == "done":
            return job, job.result
        if job.problem is not None:
            raise Refused(409, f"this job is {job.state} and has no result: {job.problem.detail}")
        raise Refused(409, f"this job is {job.state}: it has a result when it is done")

    def cancel(self, identity: str) -> Job:
        """Let a job end; one that runs does so the next time it tells how far it is.

        Raises:
            NotFound: there is none of that id.
        """
        with self._lock:
            job = self.get(identity)
            self._end(job, _CANCELLED)
        return job

    def abort(self) -> None:
        """Cancel what waits and runs, and take nothing more."""
        with self._lock:
            self._closing = True
            for job in list(self._known.values()):
                self._end(job, _STOPPED)

    def close(self) -> None:
        """Cancel what waits and runs, and end the threads."""
        self.abort()
        self._threads.shutdown()

    def _end(self, job: Job, why: Problem) -> None:
        """Cancel a job that has not ended; the lock is held."""
        if job.finished is not None or job.ending is not None:
            return
        job.ending = why
        if job.started is None:
            self._finish(job, "cancelled", None, why)

    def _run(self, job: Job) -> None:
        with self._lock:
            if job.finished is not None:  # cancelled while it waited
                return
            job.state, job.started = "running", datetime.now(UTC)
        state, result, problem = _done(job)
        with self._lock:
            self._finish(job, state, result, problem)
        _LOG.info("job %s of %s: %s", job.kind, job.collection, state, extra={"job": job.id, "state": state})

    def _finish(self, job: Job, state: JobState, result: object, problem: Problem | None) -> None:
        """Write down how a job ended, and forget the oldest; the lock is held."""
        job.result, job.problem = result, problem
        # What it worked with may hold more than its result.
        job.act = _nothing
        job.state, job.finished = state, datetime.now(UTC)
        self._ended.append(job)
        while len(self._ended) > KEPT:
            del self._known[self._ended.popleft().id]


def lower_priority() -> None:
    """Let the requests go before what this thread does from now on."""
    if sys.platform == "linux":
        # Of this thread alone, and of those that it starts: see setpriority(2).
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, _NICE)


def _done(job: Job) -> tuple[JobState, object, Problem | None]:
    """Do a job."""
    # It loads SciPy, whose products are to keep to one thread like NumPy's: see `Service`.
    from lookalike.evaluation import calibration  # noqa: F401

    try:
        with threadpool_limits(1):
            return "done", job.act(job.tell), None
    except _Cancelled:
        return "cancelled", None, job.ending
    except LookalikeError as error:
        return "failed", None, problem_body(error)
    except Exception:  # noqa: BLE001 whatever it is, the next job gets its turn
        _LOG.exception("unexpected error", extra={"job": job.id, "kind": job.kind})
        detail = "something went wrong here, and the log says what"
        return (
            "failed",
            None,
            Problem(title="Internal Server Error", status=500, detail=detail, error="InternalError"),
        )


def _nothing(_progress: Progress) -> None:
    """Replaces the work of a job that has ended."""
