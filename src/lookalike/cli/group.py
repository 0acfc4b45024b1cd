"""The group of commands, and the exit codes of their errors."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
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


# Each command's module has its name, and so has the command in it. What `lookalike --help` says of it stands
# here too, as the first sentence of its docstring, so that its module need not be imported.
COMMANDS = {
    "anomaly": "Find what is like nothing in pictures of good parts, and show where it is.",
    "audit": "Look for wrong labels, near-duplicates, outliers, small classes and pictures of poor quality.",
    "check": "Verify a store, the cache folder and, with --uploads, the pictures that were added "
    "to a service.",
    "classify": "Give each IMAGE the label that most of its nearest neighbours have, or whose name "
    "fits best.",
    "collections": "List the collections of a store.",
    "compare": "Rank embedders, metrics and k by cross-validation on the images of a collection.",
    "copy": "Copy a collection from the store FROM into the store TO, and compare both to the last bit.",
    "default": "Make the vector NAME of a collection the default one.",
    "delete": "Delete a collection, only the records of some IMAGEs, or one of its vectors; no image file is "
    "touched.",
    "drift": "Test whether new images are still what a collection was judged on.",
    "embed": "Print the vector of each IMAGE, of length 1, as JSON lines.",
    "evaluate": "Measure how often the neighbours are right, on the collection's own images.",
    "export": "Write MODEL as an ONNX model into FOLDER, for `--model onnx:FOLDER` on machines without "
    "torch.",
    "fit": "Learn from a collection's labels how to compare its images.",
    "index": "Add the images below PATH to a collection, or bring it up to date.",
    "info": "Describe a collection: its vectors, its fields and how often each value stands.",
    "key": "Make an API key called NAME for `lookalike serve`, and print it: nobody keeps it.",
    "label": "Put the labels of IMAGEs right, or confirm them; indexing again keeps to that.",
    "models": "List the embedders: what they read, dimension, licence, and whether their weights are here.",
    "parity": "Ask several stores the same questions about one collection, and compare what they hold and "
    "answer.",
    "search": "Find the images that are most like an image, a text, or a sum of them.",
    "serve": "Serve an inference endpoint, a search API and a page to search, classify and judge, over HTTP.",
    "sql": "Answer one SQL STATEMENT that only reads.",
    "suggest": "Suggest which images to label next: uncertain, typical and different ones.",
}


def load(name: str) -> click.Command:
    """Import a command.

    Args:
        name: one of `COMMANDS`.
    """
    with loading():
        command: click.Command = getattr(import_module(f"lookalike.cli.{name}"), name)
    return command


class _Commands(click.Group):
    """Imports a command when it is called; the others are known by name and help only."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return name, command if name is None else load(name), rest


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
