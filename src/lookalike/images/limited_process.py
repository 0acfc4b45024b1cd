"""A process with limits of memory and time, which decodes for this one and can be ended."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

SECONDS = 30
"""Of a core, for one image, and for one step through a film: 134 megapixels of JPEG 2000, the slowest format,
take 22, at 2.5 GHz."""

WALL = 4 * SECONDS
"""Seconds until an answer, however many others want the cores."""

# Without -P and our own path, a file called json.py where the user happens to be would be run.
_PROGRAM = """
import importlib, json, sys
sys.path[:] = json.loads(sys.argv[1])
importlib.import_module(sys.argv[2]).main(*map(int, sys.argv[3:]))
"""


class Ended(Exception):
    """The process ended before it had answered."""


class LimitedProcess:
    """A process that decodes, the channel to it, and the file in memory that it leaves its answers in."""

    def __init__(self, module: str, kind: socket.SocketKind = socket.SOCK_STREAM) -> None:
        """Start it.

        Args:
            module: whose `main(channel, lifeline, pixels)` it runs, given the descriptors of the socket, of a
                pipe whose other end closes with this process, and of the file in memory.
            kind: of the socket.

        Raises:
            OSError: it cannot be started.
        """
        if not sys.executable or getattr(sys, "frozen", False):  # it would start the whole program again
            raise OSError(errno.ENOEXEC, "this program has no interpreter of its own")
        # Not in /dev/shm, which a container may lack, or have little of.
        self.pixels = os.memfd_create("lookalike-pixels")
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, kind)
        lifeline, self._lifeline = os.pipe()
        try:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-c", _PROGRAM),
                    *(json.dumps(_search_path()), module),
                    *(str(theirs.fileno()), str(lifeline), str(self.pixels)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), lifeline, self.pixels),
                # Ctrl-C on the terminal is for the program.
                start_new_session=True,
                # One arena: each other one would take 64 MB of the address space.
                env={**os.environ, "MALLOC_ARENA_MAX": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        except BaseException:
            self.socket.close()
            os.close(self._lifeline)
            os.close(self.pixels)
            raise
        finally:
            theirs.close()
            os.close(lifeline)
        self.socket.settimeout(WALL)
        self._forgotten = False

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended, a signal is negative; None where it has not."""
        return self._process.returncode

    def is_alive(self) -> bool:
        """Tell whether the process still runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End the process, from any thread."""
        self._process.kill()

    def close(self) -> int:
        """End the process, from the thread that asks it, and return how it ended: a signal is negative."""
        # It may be about to end by itself, which tells more.
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(0.2)
        self._process.kill()
        code = self._process.wait()
        self.forget()
        return code

    def end(self) -> None:
        """End the process at once, whatever it does."""
        self.kill()
        self.close()

    def forget(self) -> None:
        """Close what leads to the process."""
        if not self._forgotten:
            self._forgotten = True
            self.socket.close()
            os.close(self._lifeline)
            os.close(self.pixels)


def ending(code: int, seconds: int = SECONDS) -> str:
    """Say why a process ended before it had answered, which had so many seconds of a core."""
    if code == -signal.SIGXCPU:
        return f"decoding it takes more than {seconds} seconds of a core"
    if code == -signal.SIGKILL:
        return "decoding it was ended by the system: it took too long, or too much memory"
    if code < 0:
        name = signal.Signals(-code).name if -code in {each.value for each in signal.Signals} else str(-code)
        return f"its decoder crashed ({name})"
    return f"its decoder ended with code {code}"


def _search_path() -> list[str]:
    """Return where this program finds its modules, the folder where it was started apart."""
    own = str(Path(__file__).parents[2])
    return [own, *(each for each in sys.path if each not in ("", own))]
