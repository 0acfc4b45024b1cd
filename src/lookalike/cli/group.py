"""The group of commands, and the exit codes of their errors."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from keyword import iskeyword
from typing import TYPE_CHECKING

import click

from lookalike.cli.loading import loading
from lookalike.cli.messages import warn
from lookalike.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.database import Database


# Damaged records that are named one by one.
_DAMAGES = 20


# Each command's module has its name, as `module_name` writes it, and so has the command in it. What
# `lookalike --help` says of it stands here too, as the first sentence of its docstring, so that its module
# need not be imported.
SECTIONS = {
    "Find and classify": {
        "index": "Add the images below PATH to a collection, or update it.",
        "search": "Find the images most like an image, a text, or a sum.",
        "classify": "Give each IMAGE the label of its nearest neighbours.",
        "anomaly": "Find defects by pictures of good parts alone.",
    },
    "Measure": {
        "evaluate": "Measure how often the neighbours are right.",
        "compare": "Rank embedders, metrics and k by cross-validation.",
        "audit": "Look for wrong labels, duplicates and poor pictures.",
        "drift": "Test whether new images are still as the collection's.",
    },
    "Improve": {
        "fit": "Learn from labels how to compare a collection's images.",
        "label": "Put the labels of IMAGEs right, or confirm them.",
        "suggest": "Suggest which images to label next.",
    },
    "Collections": {
        "collections": "List the collections of a store.",
        "info": "Describe a collection: vectors, fields and values.",
        "attach": "Make a collection of a TABLE that somebody else writes.",
        "detach": "Forget an attached table; nothing in it is changed.",
        "sql": "Answer one SQL STATEMENT that only reads.",
        "copy": "Copy a collection from the store FROM into the store TO.",
        "import": "Take vectors that others computed, from files.",
        "export": "Write a collection as a table, as COCO or ImageFolder.",
        "parity": "Ask several stores the same, and compare the answers.",
        "default": "Make the vector NAME of a collection the default one.",
        "check": "Verify a store, the cache folder and added pictures.",
        "delete": "Delete a collection, some records, or a vector.",
    },
    "Models": {
        "models": "List the embedders, and whether their weights are here.",
        "embed": "Print the vector of each IMAGE as JSON lines.",
        "export-model": "Write MODEL as an ONNX model into FOLDER.",
    },
    "Service": {
        "serve": "Serve an API and a page to search, classify and judge.",
        "key": "Make an API key called NAME for `lookalike serve`.",
    },
    "This machine": {
        "doctor": "Tell what works on this machine, and what to run.",
        "completion": "Print or install what completes commands in a SHELL.",
    },
}

# Commands that work where a configuration file does not; `doctor` tells why.
_WITHOUT_FILES = ("completion", "doctor")

COMMANDS = {name: summary for commands in SECTIONS.values() for name, summary in commands.items()}
_WIDEST = max(map(len, COMMANDS))


def module_name(command: str) -> str:
    """Return the name of a command as Python writes it: `export_model`, `import_`."""
    name = command.replace("-", "_")
    return f"{name}_" if iskeyword(name) else name


def load(name: str) -> click.Command:
    """Import a command.

    Args:
        name: one of `COMMANDS`.
    """
    with loading():
        written = module_name(name)
        command: click.Command = getattr(import_module(f"lookalike.cli.{written}"), written)
    return command


class _Commands(click.Group):
    """Imports a command when it is called; the others are known by name and help only."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if name is None:
            return name, command, rest
        loaded = load(name)
        # Here, as `lookalike --help` needs neither.
        from lookalike.cli.configuration import defaults_of
        from lookalike.errors import LookalikeError

        try:
            ctx.default_map = defaults_of(loaded, COMMANDS)
        except LookalikeError:
            if name not in _WITHOUT_FILES:
                raise
        return name, loaded, rest

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section, commands in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(name.ljust(_WIDEST), summary) for name, summary in commands.items()])


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(VERSION, prog_name="lookalike")
def group() -> None:
    """Find and classify images by their lookalikes.

    A folder of labelled images becomes vectors in a database; a new image gets the label of its nearest
    neighbours, and the neighbours are the evidence.
    """


for _name, _help in COMMANDS.items():
    group.add_command(click.Command(_name, help=_help))


def run(arguments: Sequence[str] | None) -> int:
    """Run one command.

    Args:
        arguments: those after the program's name, None for the process's own.

    Returns:
        The exit code; not 0 where records were found damaged, which are told at the end.

    Raises:
        KeyboardInterrupt: Ctrl-C, or a question whose answer never came.
        OSError: an error that no room expected; the output cannot be written, say.
    """
    opened: list[Database] = []
    code = _run(arguments, opened)
    found = [damage for database in opened for damage in database.damage()]
    for damage in found[:_DAMAGES]:
        warn(str(damage))
    if len(found) > _DAMAGES:
        warn(f"… and {len(found) - _DAMAGES:,} more damaged records: `lookalike check` lists them all")
    return code or int(bool(found))


def _run(arguments: Sequence[str] | None, opened: list[Database]) -> int:
    """Run one command; `opened` gets the databases that it opens."""
    try:
        code = group(args=arguments, prog_name="lookalike", standalone_mode=False, obj=opened)
    except click.ClickException as error:
        with suppress(OSError):
            error.show()
        return error.exit_code
    except click.Abort as error:
        raise KeyboardInterrupt from error
    except Exception as error:
        # Here, as it takes a twentieth of the time of `lookalike --help`.
        from lookalike.errors import LookalikeError, outcome

        if not isinstance(error, LookalikeError):
            raise
        warn(str(error))
        return outcome(error).exit_code
    return code if isinstance(code, int) else 0
