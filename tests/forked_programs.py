"""Programs and commands as processes: each in a fork of one process that has imported what they need."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

from lookalike.cli import main

_FORKS = multiprocessing.get_context("forkserver")
# Nothing here begins a thread, which a fork would lose.
_FORKS.set_forkserver_preload(
    [
        "lookalike.embedders.onnx.embedder",
        "lookalike.metric_learning.fitting",
        "lookalike.server.process",
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


class ForkedCommand:
    """The command `lookalike` as a process of its own, which has what tests ask of a `subprocess.Popen`.

    Args:
        words: of the command line.
        folder: the current one.
        environment: all of it.
        out: the file that gets what it writes to stdout.
        err: to stderr; None: the same.
    """

    def __init__(
        self,
        words: Sequence[str | Path],
        folder: Path,
        environment: Mapping[str, str],
        out: Path,
        err: Path | None = None,
    ) -> None:
        arguments = (list(map(str, words)), folder, dict(environment), out, err)
        self._process = _FORKS.Process(target=_run_command, args=arguments)
        self._process.start()

    @property
    def pid(self) -> int:
        """Its number."""
        assert self._process.pid is not None
        return self._process.pid

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it has not ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        self._process.kill()

    def poll(self) -> int | None:
        """Return how it ended, None where it has not: below 0, the signal that ended it."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended, for so many seconds at most, and return how.

        Raises:
            subprocess.TimeoutExpired: it has not.
        """
        self._process.join(timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired("lookalike", timeout or 0)
        return code


def run_command(
    words: Sequence[str | Path], environment: Mapping[str, str] = os.environ, timeout: float = 60
) -> tuple[int, str, str]:
    """Run the command `lookalike` as a process; return how it ended, and what it wrote to stdout and stderr.

    Args:
        words: of the command line.
        environment: all of it.
        timeout: seconds that it may take.
    """
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        command = ForkedCommand(words, Path.cwd(), environment, out, err)
        try:
            code = command.wait(timeout)
        finally:
            command.kill()
        return code, out.read_text(), err.read_text()


def _run_command(
    words: list[str], folder: Path, environment: dict[str, str], out: Path, err: Path | None
) -> None:
    for number, file in ((1, out), (2, err)):
        if file is not None:
            opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(opened, number)
            os.close(opened)
    if err is None:
        os.dup2(1, 2)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["lookalike", *words]
    sys.exit(main(words))
