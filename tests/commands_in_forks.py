"""Runs several command lines, each in a fork of one process: the modules are imported once.

usage: commands_in_forks.py RESULTS < /dev/null, with the command lines as JSON in the variable COMMANDS.
RESULTS gets a JSON list for each: the words, the exit code, stdout, stderr. Streams that are closed stay so.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import traceback
from contextlib import suppress

from lookalike.cli import main
from lookalike.cli.group import COMMANDS, load

SECONDS = 120

# Commands take longer to import these than to work; nothing here begins a thread, which a fork would lose.
MODULES = ("lookalike.database", "lookalike.stores.sqlite.backend", "lookalike.embedders.onnx.embedder")
JUDGING = {"fit", "evaluate", "audit", "compare"}
MODULES_OF_JUDGING = ("scipy.stats", "sklearn.linear_model", "sklearn.model_selection")


def run(words: list[str], out: int, err: int) -> None:
    """Run one command line, and end the process."""
    code = 99
    try:
        if sys.stdout is not None:
            os.dup2(out, 1)
        if sys.stderr is not None:
            os.dup2(err, 2)
        signal.alarm(SECONDS)
        code = main(words)
    except BaseException:  # noqa: BLE001 whatever it is, the test is to see it
        os.write(err, traceback.format_exc().encode())
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(code)


def content(file: int) -> str:
    """Return what was written to a file of memory."""
    size = os.lseek(file, 0, os.SEEK_END)
    text = os.pread(file, size, 0).decode(errors="replace")
    os.close(file)
    return text


for name in COMMANDS:
    load(name)
command_lines: list[list[str]] = json.loads(os.environ["COMMANDS"])
judging = any(words[0] in JUDGING and words[-1] != "--help" for words in command_lines)
for name in (*MODULES, *(MODULES_OF_JUDGING if judging else ())):
    importlib.import_module(name)
results = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
for words in command_lines:
    out, err = os.memfd_create("out"), os.memfd_create("err")
    child = os.fork()
    if child == 0:
        run(words, out, err)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.write(results, (json.dumps([words, code, content(out), content(err)]) + "\n").encode())
