"""Programs that a test kills: each in a fork of one process that has imported what they need."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

_FORKS = multiprocessing.get_context("forkserver")
# Nothing here begins a thread, which a fork would lose.
_FORKS.set_forkserver_preload(
    [
        "lookalike.metric_learning.fitting",
        "lookalike.stores.elasticsearch.backend",
        "lookalike.stores.postgres.backend",
        "lookalike.stores.sqlite.backend",
        "lookalike.testing.samples",
    ]
)


class ForkedProgram:
    """A function of a module, running in a process of its own; it is killed when a `with` ends.

    Args:
        program: a function of a module; what it prints is read from `stdout`.
        arguments: of the function.
    """

    def __init__(self, program: Callable[..., None], *arguments: Any) -> None:
        ours, theirs = _FORKS.Pipe(duplex=False)
        self._process = _FORKS.Process(target=_run, args=(theirs, program, *arguments))
        self._process.start()
        theirs.close()
        self.stdout = os.fdopen(os.dup(ours.fileno()))
        ours.close()

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        self._process.kill()

    def __enter__(self) -> ForkedProgram:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._process.join()
        self._process.close()
        self.stdout.close()


def _run(output: Connection, program: Callable[..., None], *arguments: Any) -> None:
    os.dup2(output.fileno(), 1)
    output.close()
    program(*arguments)
