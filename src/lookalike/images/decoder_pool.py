"""A pool of decoder processes, which can be ended, with limits of memory and time.

A process is started when one is needed, kept for the next image, and ended with the program. It is ended,
too, when an image takes longer than `SECONDS` of a core, when its decoder crashes, and when somebody says
stop.
"""

from __future__ import annotations

import atexit
import json
import mmap
import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from PIL import Image

from lookalike.errors import DecodingStopped, UnusableImage
from lookalike.images.limited_process import SECONDS, Ended, LimitedProcess, ending

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator


class _Decoder:
    """A decoder process, and how it is asked."""

    def __init__(self) -> None:
        self._process = LimitedProcess("lookalike.images.decoder_process")
        self._answers = self._process.socket.makefile("rb")
        self.stopped = False
        """Whether it was ended because somebody said stop."""

    def ask(
        self, data: bytes, name: str, options: dict[str, Any], memory: int
    ) -> tuple[Image.Image, tuple[str, ...]] | str:
        """Return an image and its notes, or the reason why there is none.

        Raises:
            Ended: the process ended first.
        """
        question = {"name": name, "options": options, "length": len(data)}
        question |= {"seconds": SECONDS, "memory": memory}
        try:
            self._process.socket.sendall(json.dumps(question).encode() + b"\n")
            self._process.socket.sendall(data)
            line = self._answers.readline()
            if not line.endswith(b"\n"):
                raise Ended
            answer = json.loads(line)
            if "reason" in answer:
                return str(answer["reason"])
            return self._received(answer["mode"], answer["size"]), tuple(answer["notes"])
        except (OSError, ValueError) as error:  # a timeout is one; and an answer that makes no sense
            raise Ended from error

    def _received(self, mode: str, size: list[int]) -> Image.Image:
        """Take the pixels that the process has left."""
        width, height = size
        left = self._process.pixels
        count = os.fstat(left).st_size
        try:
            with (
                mmap.mmap(left, count, access=mmap.ACCESS_READ) as pixels,
                memoryview(pixels) as view,
            ):
                return Image.frombytes(mode, (width, height), view)
        finally:
            os.ftruncate(left, 0)

    def is_alive(self) -> bool:
        """Tell whether the process still runs."""
        return self._process.is_alive()

    def kill(self) -> None:
        """End the process, from any thread."""
        self._process.kill()

    def close(self) -> int:
        """End the process, from the thread that asks it, and return how it ended: a signal is negative."""
        self._answers.close()
        return self._process.close()

    def forget(self) -> None:
        """Close what leads to the process."""
        self._answers.close()
        self._process.forget()


class DecoderPool:
    """A pool of decoder processes, one for each core at most; threads may share it."""

    def __init__(self) -> None:
        """Start none: the first image does."""
        self._begin()

    def _begin(self) -> None:
        self._most = len(os.sched_getaffinity(0))
        self._changed = threading.Condition()
        self._idle: list[_Decoder] = []
        self._busy: dict[_Decoder, int] = {}
        """Those that decode, and for which thread."""
        self._starting = 0
        self._stopping = 0

    def decode(
        self, data: bytes, path: str, options: dict[str, Any], memory: int
    ) -> tuple[Image.Image, tuple[str, ...]]:
        """Decode one image in a process of its own.

        Args:
            data: the whole file.
            path: what the error calls it.
            options: `at_least`, `max_pixels` and, as text, `levels` of `decoding.decode_here`.
            memory: bytes that decoding may take.

        Returns:
            The image and its notes.

        Raises:
            UnusableImage: as `decoding.decode_here` says, or it took too long or too much, or its decoder
            crashed. DecodingStopped: somebody said stop.
        """
        try:
            decoder = self._taken(path)
        except OSError as error:
            line = f"no process to decode it in can be started: {error.strerror}"
            raise UnusableImage(path, line) from error
        try:
            answer = decoder.ask(data, path, options, memory)
        except Ended as error:
            code = self._lost(decoder)
            if decoder.stopped:
                raise DecodingStopped(path) from error
            raise UnusableImage(path, ending(code, SECONDS)) from error
        except MemoryError as error:  # it is there that it was decoded, and here that it has no room
            self._lost(decoder)
            raise UnusableImage(path, "not enough memory for that many pixels") from error
        except BaseException:
            self._lost(decoder)
            raise
        self._back(decoder)
        if isinstance(answer, str):
            raise UnusableImage(path, answer)
        return answer

    def stop(self, threads: Collection[int] | None = None) -> None:
        """End what is being decoded: whoever waits for it gets `DecodingStopped`.

        Args:
            threads: the identifiers of those that wait for it; None: all.
        """
        with self._changed:
            for decoder, thread in self._busy.items():
                if threads is None or thread in threads:
                    decoder.stopped = True
                    decoder.kill()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Decode nothing for the time of a `with`: whoever wants that gets `DecodingStopped`."""
        with self._changed:
            self._stopping += 1
            self._changed.notify_all()
        self.stop()
        try:
            yield
        finally:
            with self._changed:
                self._stopping -= 1

    def close(self) -> None:
        """End all processes, idle or busy."""
        self.stop()
        with self._changed:
            idle, self._idle = self._idle, []
        for decoder in idle:
            decoder.kill()
            decoder.close()

    def forget(self) -> None:
        """Give the processes up in a forked child: they belong to its parent."""
        for decoder in (*self._idle, *self._busy):
            decoder.forget()
            _OF_OTHERS.append(decoder)
        self._begin()  # a new lock, too: a thread that is not here may hold the old one

    def _taken(self, path: str) -> _Decoder:
        """Wait for a process that is free, or start one."""
        with self._changed:
            while True:
                if self._is_stopping():
                    raise DecodingStopped(path)
                while self._idle:
                    decoder = self._idle.pop()
                    if decoder.is_alive():
                        self._busy[decoder] = threading.get_ident()
                        return decoder
                    decoder.close()  # the system has ended it, for want of memory, say
                if len(self._busy) + self._starting < self._most:
                    self._starting += 1
                    break
                self._changed.wait()
        try:
            decoder = _Decoder()
        except BaseException:
            with self._changed:
                self._starting -= 1
                self._changed.notify()
            raise
        with self._changed:
            self._starting -= 1
            self._busy[decoder] = threading.get_ident()
            if self._is_stopping():  # somebody said so while it began
                decoder.stopped = True
                decoder.kill()
        return decoder

    def _is_stopping(self) -> bool:
        return self._stopping > 0

    def _back(self, decoder: _Decoder) -> None:
        with self._changed:
            del self._busy[decoder]
            self._idle.append(decoder)
            self._changed.notify()

    def _lost(self, decoder: _Decoder) -> int:
        """Give up a process, and return how it ended."""
        code = decoder.close()
        with self._changed:
            del self._busy[decoder]
            self._changed.notify()
        return code


# Of the process that this one is a fork of; they are not to be collected, which would complain.
_OF_OTHERS: list[_Decoder] = []

POOL = DecoderPool()
"""The processes of this program."""

atexit.register(POOL.close)
os.register_at_fork(after_in_child=POOL.forget)
