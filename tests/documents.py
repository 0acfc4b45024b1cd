"""Reads the documents' fenced examples, runs them as a person would, and compares what comes out.

A block's language says what becomes of it:

    console     commands after `$ `, each with its output; `lookalike …` runs here, anything else in a shell;
                `lookalike serve … &` is a process until the document ends, and answers at `SERVICE`
    python      runs, all blocks of a document in one namespace; a `text` block right after it is its output;
                `SERVICE` is where the process answers that was started before
    sql         is answered by `lookalike sql`; a `text` block right after it is its output; a name behind the
                language is that of the statement
    csv, json, xml, text  with a path behind the language: is written to that path
    sh, text    is not run

`python served` asks a service at `SERVICE`, which the tests of the service start elsewhere: see `served`.

`console postgresql`, `sql postgresql` and `sql postgresql-NAME` run on a store in PostgreSQL, all others on
one in SQLite.

In an output `…` stands for anything, alone on a line for any lines, or none. Blank lines and spaces at the
end of a line do not count. A number with a decimal point may differ by `TOLERANCE`: processors round
differently.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

from lookalike.cli import main
from tests.service import server_process

TOLERANCE = 1e-3
ENGINES = {"postgresql": "postgres_url"}
"""The fixture that gives the URL of an empty store, by what blocks call the database."""

SERVICE = "http://127.0.0.1:8000"
"""Where documents have their service."""

_FENCE = re.compile(r"^```(\w+)?(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"(?<![\w.])-?\d+\.\d+(?![\w.]*\.\d)(?!\w)")
_SHELL = set("|<>;&*$`")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block of a document."""

    line: int
    language: str
    argument: str
    text: str
    output: str | None
    """The `text` block that follows at once."""

    @property
    def engine(self) -> str | None:
        """The database that it is for, None for SQLite."""
        engine = self.argument.partition("-")[0]
        return engine if self.language in ("console", "sql") and engine in ENGINES else None


def blocks(document: str) -> list[Block]:
    """Return the fenced blocks of a Markdown text, in order."""
    found = list(_FENCE.finditer(document))
    made = []
    for n, match in enumerate(found):
        after = found[n + 1] if n + 1 < len(found) else None
        follows = after and after[1] == "text" and not document[match.end() : after.start()].strip()
        made.append(
            Block(
                document.count("\n", 0, match.start()) + 1,
                match[1] or "",
                match[2] or "",
                match[3],
                after[3] if after and follows else None,
            )
        )
    return made


def served(document: Path, address: str) -> list[Block]:
    """Return the blocks of a document that ask a service, with its real address, so that they can be run."""
    return [
        replace(block, text=block.text.replace(SERVICE, address), argument="")
        for block in blocks(document.read_text())
        if block.argument == "served"
    ]


def commands(text: str) -> list[tuple[str, str]]:
    """Return the commands of a console block with their outputs; a command goes on after a backslash."""
    parts = re.split(r"^\$ ((?:.*\\\n)*.*)\n?", text, flags=re.MULTILINE)
    assert not parts[0].strip(), f"a console block begins with `$ `: {parts[0]!r}"
    return list(zip(parts[1::2], parts[2::2], strict=True))


def difference(expected: str, actual: str) -> str | None:
    """Return what an output has that a document does not say, None where they agree."""
    wanted = [line.rstrip() for line in expected.splitlines() if line.strip()]
    found = [line.rstrip() for line in actual.splitlines() if line.strip()]
    numbers: list[float] = []
    pattern = "".join(_line_pattern(line, numbers) for line in wanted)
    match = re.fullmatch(pattern, "".join(f"{line}\n" for line in found))
    if match is None:
        return f"the output is\n{actual}"
    for number, text in zip(numbers, match.groups(), strict=True):
        if abs(number - float(text)) > TOLERANCE:
            return f"{number} is {text} in\n{actual}"
    return None


def _line_pattern(line: str, numbers: list[float]) -> str:
    if line.strip() == "…":
        return r"(?:.*\n)*?"
    # What follows an ellipsis is taken where it comes first, and that is kept to: to try every place for each
    # of several in a long line that differs would never end.
    first, *others = (_part_pattern(part, numbers) for part in f"{line}\n".split("…"))
    return first + "".join(f"(?>.*?{other})" for other in others)


def _part_pattern(part: str, numbers: list[float]) -> str:
    pattern, end = "", 0
    for match in _NUMBER.finditer(part):
        numbers.append(float(match[0]))
        pattern += re.escape(part[end : match.start()]) + r"(-?\d++(?:\.\d++)?+(?:e-?\d++)?+)"
        end = match.end()
    return pattern + re.escape(part[end:])


@dataclass(slots=True)
class Terminal:
    """A shell in the current folder that remembers how its last command ended."""

    code: int = 0
    namespace: dict[str, Any] = field(default_factory=dict)
    stores: dict[str, str] = field(default_factory=dict)
    """The URL of the store for blocks that ask for another than SQLite, by what they call it."""
    servers: ExitStack = field(default_factory=ExitStack)
    """What was started, and is to be stopped in the end."""
    service: str = SERVICE
    """Where the one that was started last really answers."""

    def type(self, command: str) -> str:
        """Run a command and return what a terminal would show, stdout and stderr."""
        if command == "echo $?":
            return f"{self.code}\n"
        if command.startswith("lookalike serve") and command.endswith("&"):
            server = server_process(Path.cwd(), *shlex.split(command.removesuffix("&"))[2:], ready=True)
            self.service = self.servers.enter_context(server).url
            return ""
        command = command.replace(SERVICE, self.service).replace("\\\n", "")
        words = [] if _SHELL & set(re.sub(r"'[^']*'", "", command)) else shlex.split(command)
        if words[:1] == ["lookalike"]:
            return self.lookalike(*words[1:])
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        ended = subprocess.run(
            ["sh", "-c", command],
            env={**os.environ, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.code = ended.returncode
        return ended.stdout.replace(self.service, SERVICE)

    def lookalike(self, *words: str) -> str:
        """Run `lookalike` in this process."""
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
            self.code = main(words)
        return shown.getvalue()

    def run(self, block: Block) -> list[str]:
        """Run one block and return the differences from what the document says."""
        store = block.engine and self.stores[block.engine]
        with mock.patch.dict(os.environ, {"LOOKALIKE_STORE": store} if store else {}):
            return self._run(block)

    def _run(self, block: Block) -> list[str]:
        outputs: list[tuple[str, str | None, str]] = []
        if block.language == "console":
            outputs += [(typed, output, self.type(typed)) for typed, output in commands(block.text)]
        elif block.language == "sql":
            outputs.append((block.text, block.output, self.lookalike("sql", block.text)))
            assert self.code == 0, outputs[-1]
        elif block.argument == "served":
            pass
        elif block.language == "python":
            shown = io.StringIO()
            with contextlib.redirect_stdout(shown):
                text = block.text.replace(SERVICE, self.service)
                exec(compile(text, f"line {block.line}", "exec"), self.namespace)
            outputs.append((block.text, block.output or "", shown.getvalue()))
        elif block.argument:
            Path(block.argument).parent.mkdir(parents=True, exist_ok=True)
            Path(block.argument).write_text(block.text)
        found = []
        for typed, expected, actual in outputs:
            if expected is not None and (told := difference(expected, actual)) is not None:
                found.append(f"line {block.line}: {typed}\n{told}")
        return found
