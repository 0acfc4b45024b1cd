"""Films: their frames, decoded in a process with limits of memory and time.

Whatever a film is, the untrusted decoder works in a process of its own (`film_process`), which may be ended
at any time, reads nothing but the film, and hands over one frame when it is asked for one: a film takes no
more memory for being long.
"""

from __future__ import annotations

import atexit
import importlib.util
import json
import os
import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from lookalike.errors import ExtraMissing, UnusableImage
from lookalike.file_names import display
from lookalike.images.limited_process import SECONDS, LimitedProcess, ending
from lookalike.images.limits import MAX_PIXELS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lookalike.images.film_sampling import Sampling

_MODULE = "lookalike.images.film_process"
_MESSAGE = 1 << 16
# Processes that wait for the next film.
_IDLE = 2


class OpenFile(Protocol):
    """A film's file that is open; one with a `fileno` is read by the process itself."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a byte."""
        ...

    def read(self, size: int = -1, /) -> bytes:
        """Read some bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a film."""

    time: int
    """When it is shown first, in milliseconds from the beginning, rounded up."""
    picture: bytes
    """Upright, as a file in the format PPM: the same film gives the same bytes."""
    notes: tuple[str, ...] = ()
    """What was assumed, see `decoding.Decoded`."""


def check_films() -> None:
    """Refuse, before any work, what cannot be done without PyAV.

    Raises:
        ExtraMissing: it is not installed.
    """
    found = None
    with suppress(ImportError):
        found = importlib.util.find_spec("av")
    if found is None:
        raise ExtraMissing("reading films", "video")


class Film:
    """A film that is open; see `open_film`."""

    def __init__(self, process: LimitedProcess, file: OpenFile, name: str, max_pixels: int) -> None:
        self._process = process
        self._file = file
        self._name = name
        self.fault: str | None = None
        """Why there is no more of it after the frames that came; None where all came."""
        self.reached = 0
        """How far it was decoded, in milliseconds."""
        question: dict[str, Any] = {"max_pixels": max_pixels}
        descriptor = _descriptor(file)
        if descriptor is None:
            question["size"] = file.seek(0, os.SEEK_END)
        self.duration: int | None = self._ask(question, descriptor)["duration"]
        """In milliseconds; None where it does not tell."""

    def frames(self, sampling: Sampling) -> Iterator[Frame]:
        """Yield the frames that are taken, in order; `fault` says afterwards whether these are all.

        Raises:
            UnusableImage: there is no frame at all.
        """
        found = False
        while True:
            try:
                answer = self._ask({"step": sampling.step})
            except UnusableImage as error:
                if not found:
                    raise
                self.fault = error.reason
                return
            if "end" in answer:
                self.fault = answer["end"]
                self.reached = answer["reached"]
                return
            if "time" in answer:
                found = True
                self.reached = answer["time"]
                yield self._frame(answer)

    def frame(self, moment: int) -> Frame:
        """Return the frame that is shown at a moment.

        Args:
            moment: in milliseconds from the beginning.

        Raises:
            UnusableImage: the film has ended by then, or the frame cannot be decoded.
        """
        return self._frame(self._ask({"at": moment}))

    def _frame(self, answer: dict[str, Any]) -> Frame:
        pixels = self._process.pixels
        picture = bytearray(os.fstat(pixels).st_size)
        view, place = memoryview(picture), 0
        while view:
            count = os.preadv(pixels, [view], place)
            view, place = view[count:], place + count
        os.ftruncate(pixels, 0)
        return Frame(answer["time"], bytes(picture), tuple(answer["notes"]))

    def close(self) -> None:
        """Let the process close it."""
        if self._process.is_alive():
            self._ask({"close": True})

    def _read(self, start: int, count: int) -> bytes:
        try:
            self._file.seek(start)
            return self._file.read(count)
        except OSError as error:
            self._process.end()
            line = f"cannot be read: {error.strerror or display(str(error))}"
            raise UnusableImage(self._name, line) from error

    def _ask(self, question: dict[str, Any], descriptor: int | None = None) -> dict[str, Any]:
        connection = self._process.socket
        message = json.dumps({"seconds": SECONDS, **question}).encode()
        try:
            if descriptor is None:
                connection.send(message)
            else:
                socket.send_fds(connection, [message], [descriptor])
            while True:
                answer: dict[str, Any] = json.loads(connection.recv(_MESSAGE))  # empty where it has ended
                if "read" not in answer:
                    break
                connection.send(self._read(*answer["read"]))
        except (OSError, ValueError) as error:
            raise UnusableImage(self._name, ending(self._process.close())) from error
        if "reason" in answer:
            raise UnusableImage(self._name, answer["reason"])
        return answer


class _Idle:
    """Processes that wait for the next film."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[LimitedProcess] = []

    def take(self) -> LimitedProcess | None:
        """Return one that still runs."""
        with self._lock:
            while self._waiting:
                process = self._waiting.pop()
                if process.is_alive():
                    return process
                process.close()
        return None

    def give(self, process: LimitedProcess) -> None:
        """Keep one, or end it."""
        with self._lock:
            if process.is_alive() and len(self._waiting) < _IDLE:
                self._waiting.append(process)
                return
        process.end()

    def close(self) -> None:
        """End all."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for process in waiting:
            process.end()

    def forget(self) -> None:
        """Give them up in a forked child: they belong to its parent."""
        for process in self._waiting:
            process.forget()
            _OF_OTHERS.append(process)
        self._waiting = []
        self._lock = threading.Lock()


@contextmanager
def open_film(file: OpenFile, name: str, max_pixels: int = MAX_PIXELS) -> Iterator[Film]:
    """Open a film for the time of a `with`.

    Args:
        file: of the film, open; one of this machine is read by the process, another is read here for it.
        name: what errors call it.
        max_pixels: a film with larger frames is refused.

    Raises:
        UnusableImage: it is no film, or a damaged one, or has no pictures, or no process can be started.
        ExtraMissing: PyAV is not installed.
    """
    check_films()
    try:
        process = _IDLE_ONES.take() or LimitedProcess(_MODULE, socket.SOCK_SEQPACKET)
    except OSError as error:
        line = f"no process to decode it in can be started: {error.strerror}"
        raise UnusableImage(name, line) from error
    try:
        film = Film(process, file, name, max_pixels)
    except UnusableImage:
        _IDLE_ONES.give(process)
        raise
    except BaseException:
        process.end()
        raise
    try:
        yield film
        film.close()
    except BaseException:  # it may be about to answer
        process.end()
        raise
    _IDLE_ONES.give(process)


def _descriptor(file: OpenFile) -> int | None:
    fileno = getattr(file, "fileno", None)
    with suppress(OSError):
        return None if fileno is None else int(fileno())
    return None


_OF_OTHERS: list[LimitedProcess] = []
_IDLE_ONES = _Idle()
atexit.register(_IDLE_ONES.close)
os.register_at_fork(after_in_child=_IDLE_ONES.forget)
