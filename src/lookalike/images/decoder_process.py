"""The decoder process: decodes what may cost too much, asked over a socket, and ended by the kernel.

`lookalike.images.decoder_pool` starts it and asks it one image at a time. A question is a line of JSON with
the name, the options and the length of the file, then the file; an answer is a line of JSON, and the pixels
of an image lie in a file in memory that both have.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import select
import signal
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from io import BufferedReader

    from PIL.Image import Image

# Bytes of pixels that are copied at once.
_BAND = 1 << 22

# What a process takes beyond the image itself: libraries that are loaded late, stacks of threads.
_SPARE = 1 << 28


def main(channel: int, lifeline: int, pixels: int) -> None:
    """Decode what is asked over the socket until its other end closes.

    Args:
        channel: descriptor of the socket.
        lifeline: descriptor of a pipe that nothing is written to; its other end closes when the program that
            asks ends, however it does.
        pixels: descriptor of the file that pixels are left in.
    """
    end_with(lifeline)
    # Ctrl-C is for the program, which ends this one where it wants to.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    # Loaded before the first question, so that it is not counted there.
    from PIL import AvifImagePlugin

    from lookalike.images import decoding  # noqa: F401

    # One image keeps to one core: how long it takes is then the same on every machine.
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    with socket.socket(fileno=channel) as connection, connection.makefile("rb") as questions:
        while line := questions.readline():
            _answer(connection, json.loads(line), questions, pixels)


def end_with(lifeline: int) -> None:
    """Let the kernel end this process when the other end of a pipe closes, whatever it is doing."""
    # SIGIO, whose default action ends a process: fcntl(2), O_ASYNC.
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([lifeline], [], [], 0)[0]:  # it had closed before
        raise SystemExit


def _answer(
    connection: socket.socket, question: dict[str, Any], questions: BufferedReader, pixels: int
) -> None:
    data = questions.read(question["length"])
    limit(question["seconds"], question["memory"])
    try:
        image, notes = _decoded(data, question["name"], question["options"])
    except MemoryError:
        say(connection, {"reason": "not enough memory to decode it"})
        return
    except Exception as error:  # noqa: BLE001 whatever a decoder raises, the next image gets its turn
        reason = getattr(error, "reason", f"it cannot be decoded: {type(error).__name__}")
        say(connection, {"reason": reason})
        return
    del data
    _write(image, pixels)
    say(connection, {"mode": image.mode, "size": image.size, "notes": notes})


def _decoded(data: bytes, name: str, options: dict[str, Any]) -> tuple[Image, tuple[str, ...]]:
    from lookalike.images import decoding
    from lookalike.images.levels import Range

    levels = Range.parse(options["levels"])
    return decoding.decode_here(
        data, name, at_least=options["at_least"], max_pixels=options["max_pixels"], levels=levels
    )


def _write(image: Image, pixels: int) -> None:
    """Write the pixels of an image, row by row, into a file."""
    rows = max(1, _BAND // max(1, image.width * len(image.getbands())))
    place = 0
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height))).tobytes()
        place += os.pwrite(pixels, band, place)


def say(connection: socket.socket, answer: dict[str, Any]) -> None:
    """Answer with a line of JSON."""
    connection.sendall(json.dumps(answer).encode() + b"\n")


def limit(seconds: int, memory: int) -> None:
    """Let the kernel end this process after so many more seconds, and refuse it so many more bytes."""
    limit_time(seconds)
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 no need of pathlib for one line
            pages = int(file.read().split()[0])
    except OSError:
        return
    _set_limit(resource.RLIMIT_AS, pages * resource.getpagesize() + memory + _SPARE)


def limit_time(seconds: int) -> None:
    """Let the kernel end this process after so many more seconds of a core."""
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    _set_limit(resource.RLIMIT_CPU, int(used) + 1 + seconds)


def _set_limit(what: int, most: int) -> None:
    """Set a limit, below the one that whoever started the program may have set."""
    _, hard = resource.getrlimit(what)
    resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
