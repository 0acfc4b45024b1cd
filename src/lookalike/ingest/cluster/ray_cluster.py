"""A cluster of Ray: the one of RAY_ADDRESS, or one of this machine alone that ends with the run.

Whatever Ray is told, it may write into files of its session: the environment of a job's runtime stands in
runtime_env_agent.log, for example (Ray 2.60). So passwords and keys come to the workers by the environment of
Ray's own processes only, which those of a local cluster have from us.
"""

from __future__ import annotations

import importlib.util
import os
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lookalike.errors import ClusterError, ExtraMissing, LookalikeError
from lookalike.ingest.cluster.tasks import STORE, Failure
from lookalike.ingest.cluster.worker import open_worker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType

    from lookalike.ingest.cluster.tasks import Completion, Plan, Task, TaskReport
    from lookalike.ingest.cluster.worker import BatchWorker

ADDRESS = "RAY_ADDRESS"
"""The variable that names a cluster; `ray job submit` sets it for the job."""

# On a busy machine a part of Ray may not be up in the 15 s that Ray gives it.
_TRIES = 3
# Bytes of Ray's object store on a local cluster: tasks hold names, and no images. It takes 75 MB at least.
_OBJECTS = 80_000_000
# Of a cluster of one machine: Ray takes the loopback's address for its own, as it does by default on the
# systems that this variable is called after. It reads it when it is imported.
_LOCAL = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}

_AUTHENTICATION = "RAY_AUTH_MODE"


class RayWorker:
    """What Ray runs in a process of its own: a `BatchWorker` whose errors come back as values."""

    def __init__(self) -> None:
        self._worker: BatchWorker | None = None

    def open(self, plan: Plan) -> Failure | None:
        """Open store and models; say why they cannot be."""
        try:
            self._worker = open_worker(plan)
        except LookalikeError as error:
            return Failure(type(error), str(error))
        return None

    def do(self, task: Task | Completion) -> TaskReport | Failure:
        """Do a task; say why it cannot be done."""
        if self._worker is None:
            return Failure(ClusterError, "a worker was given a task before it was opened")
        try:
            return self._worker.do(task)
        except LookalikeError as error:
            return Failure(type(error), str(error))


class WorkerLost(Exception):
    """A worker ended, or its machine did, while it had something to do."""


@dataclass(frozen=True, slots=True)
class Room:
    """What the cluster has, and what each worker gets of it."""

    workers: int
    cpus: float
    """Of each worker."""
    gpus: float
    threads: int


class RayCluster:
    """A connection to a cluster, and the workers that were started there."""

    def __init__(self, ray: ModuleType, *, local: bool) -> None:
        self._ray = ray
        self.local = local
        self._actor: Any = None

    def room(self, actors: int | None, *, gpu: bool) -> Room:
        """Divide the cluster among workers.

        Args:
            actors: how many there are to be; None: one for each GPU that can be used, else for each CPU.
            gpu: whether they may use GPUs.
        """
        has = self._ray.cluster_resources()
        cpus, gpus = float(has.get("CPU", 1)), float(has.get("GPU", 0)) if gpu else 0.0
        count = actors or max(1, int(gpus or cpus))
        share = cpus / count
        each = float(int(share)) if share >= 1 else share
        return Room(count, each, min(1.0, gpus / count), max(1, int(share)))

    def start(self, room: Room) -> Any:
        """Start a worker; it may wait until there is room."""
        if self._actor is None:
            self._actor = self._ray.remote(max_restarts=0, max_task_retries=0)(RayWorker)
        return self._actor.options(
            num_cpus=room.cpus, num_gpus=room.gpus, scheduling_strategy="SPREAD"
        ).remote()

    def share(self, plan: Plan) -> Any:
        """Give the plan to the cluster once, for all workers."""
        return self._ray.put(plan)

    def wait(self, pending: Sequence[Any], seconds: float) -> list[Any]:
        """Return those of some answers that are there, when one is or the time is over."""
        if not pending:
            time.sleep(min(seconds, 0.05))
            return []
        ready, _ = self._ray.wait(list(pending), num_returns=1, timeout=seconds, fetch_local=True)
        return list(ready)

    def answer(self, ready: Any) -> Any:
        """Return an answer that is there.

        Raises:
            WorkerLost: its worker ended before.
        """
        errors = self._ray.exceptions
        try:
            return self._ray.get(ready)
        except (
            errors.RayActorError,
            errors.WorkerCrashedError,
            errors.NodeDiedError,
            errors.OutOfMemoryError,
            errors.ObjectLostError,
        ) as error:
            raise WorkerLost(str(error)) from error
        except errors.RayTaskError as error:
            cause = error.cause
            said = str(cause).strip().splitlines()[:1]
            raise ClusterError(": ".join(["a worker failed", type(cause).__name__, *said])) from error

    def end(self, worker: Any) -> None:
        """End a worker."""
        with suppress(Exception):
            self._ray.kill(worker)

    def close(self) -> None:
        """Leave the cluster; a local one ends."""
        self._ray.shutdown()


def check_installed() -> None:
    """Refuse, before any work, what cannot be done without Ray; it is imported later, see `_LOCAL`.

    Raises:
        ExtraMissing: it is not installed.
    """
    found = None
    with suppress(ImportError):
        found = importlib.util.find_spec("ray")
    if found is None:
        raise ExtraMissing("--workers ray", "ray")


def _ray_module() -> ModuleType:
    import ray.exceptions

    import ray

    found: ModuleType = ray
    return found


@contextmanager
def connected(store: str) -> Iterator[RayCluster]:
    """Connect to the cluster that the environment names, or start one here, and leave it at the end.

    Args:
        store: the URL that processes of a local cluster have in their environment.

    Raises:
        ClusterError: no cluster answers, or none can be started.
    """
    local = not os.environ.get(ADDRESS)
    if local:
        # Ray's own default for such a cluster; said, it does not tell of it in every run.
        os.environ.setdefault(_AUTHENTICATION, "token")
    with _environment({STORE: store, **_LOCAL} if local else {}):
        ray = _ray_module()
        _init(ray, local=local)
    cluster = RayCluster(ray, local=local)
    try:
        yield cluster
    finally:
        cluster.close()


def _init(ray: ModuleType, *, local: bool) -> None:
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": False}
    if local:
        settings |= {"address": "local", "include_dashboard": False, "object_store_memory": _OBJECTS}
    for last in (False,) * (_TRIES - 1) + (True,):
        try:
            ray.init(**settings)
        except Exception as error:
            with suppress(Exception):
                ray.shutdown()
            if last:
                where = (
                    "Ray cannot be started here" if local else "the cluster of RAY_ADDRESS cannot be reached"
                )
                lines = str(error).strip().splitlines() or [type(error).__name__]
                raise ClusterError(f"{where}: {lines[0]}") from error
        else:
            return


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set variables for the processes that are started meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
