"""The process of the `lookalike` command: how it starts, and how it ends in every case."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from lookalike.cli.loading import loading
from lookalike.cli.messages import warn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

# 128 + SIGINT, as shells report it.
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: those after the program's name, by default the process's own.

    Returns:
        The exit code: 0 done, 1 the data or the machine said no, 2 the call was wrong, 130 interrupted.
    """
    try:
        _open_streams()
        _set_home()
        with loading():
            from lookalike.cli.group import run
        code = run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _interrupted()
    except BrokenPipeError:
        # The reader (`head`, say) has left: https://docs.python.org/3/library/signal.html#note-on-sigpipe
        _drop(sys.stdout)
        return 1
    except OSError as error:
        warn(_described(error))
        _drop(sys.stdout)
        return 1
    except Exception as error:
        if _began_with_interrupt(error):
            return _interrupted()
        raise
    return code


def _open_streams() -> None:
    """Give the process streams that take any text; those that the caller closed (`<&-`, `>&-`) lead nowhere.

    They are opened in the order of their numbers, so that no file of ours gets one of these.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123,SIM115 open to the end
        stream = getattr(sys, name)
        # A name that the terminal cannot show is escaped, not fatal.
        if mode == "w" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _set_home() -> None:
    """Give the process a home folder where none is known, and nothing can be there.

    HOME is not set and the user has no entry in passwd in many containers; packages that we use end with an
    error then, and some as soon as they are imported.
    """
    if os.path.isabs(os.environ.get("HOME", "")):  # noqa: PTH117 before pathlib has anything to say
        return
    import pwd

    try:
        home = pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        home = ""
    os.environ["HOME"] = home or os.devnull


def _described(error: OSError) -> str:
    """Describe an error of the operating system."""
    reason = error.strerror or str(error)
    if isinstance(error.filename, str | bytes):
        return f"{os.fsdecode(error.filename)}: {reason}"
    try:
        os.getcwd()  # noqa: PTH109 pathlib takes a tenth of the time of `lookalike --help`
    except OSError:
        return "the folder that this was started in does not exist any more: go to another one"
    # What was done with a file carries its name; what was not is the writing of the result.
    return f"the output cannot be written: {reason}"


def _interrupted() -> int:
    warn("interrupted; what was acknowledged is kept, and the same command goes on from there")
    return _INTERRUPTED


def _began_with_interrupt(error: BaseException | None) -> bool:
    """Tell whether Ctrl-C led to `error`: compiled modules make an ImportError of it while they load."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _drop(stream: TextIO) -> None:
    """Send what waits in `stream` nowhere, or Python complains when it closes it."""
    with suppress(OSError, ValueError):  # a stream without a file
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
