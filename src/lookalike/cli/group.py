"""The commands as one group, and what becomes of their errors."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from lookalike import __version__
from lookalike.cli.auditing import audit
from lookalike.cli.check import check
from lookalike.cli.collecting import delete, index
from lookalike.cli.copying import copy, parity
from lookalike.cli.describing import collections, info, models
from lookalike.cli.exporting import export_command
from lookalike.cli.fitting import compare, fit
from lookalike.cli.judging import classify, evaluate
from lookalike.cli.looking import embed, sql
from lookalike.cli.output import warn
from lookalike.cli.searching import search
from lookalike.cli.serving import key, serve
from lookalike.errors import LookalikeError, outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.stores.protocol import Store


# Damaged records that are named one by one.
_DAMAGES = 20


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="lookalike")
def group() -> None:
    """Find and classify images by their lookalikes.

    A folder of labelled images becomes vectors in a database; a new image gets the label of its nearest
    neighbours, and the neighbours are the evidence.
    """


for _command in (
    index,
    search,
    classify,
    fit,
    compare,
    evaluate,
    audit,
    sql,
    collections,
    info,
    delete,
    copy,
    parity,
    check,
    models,
    export_command,
    embed,
    serve,
    key,
):
    group.add_command(_command)


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
    stores: list[Store] = []
    code = _run(arguments, stores)
    found = [damage for store in stores for damage in store.damage.found()]
    for damage in found[:_DAMAGES]:
        warn(str(damage))
    if len(found) > _DAMAGES:
        warn(f"… and {len(found) - _DAMAGES:,} more damaged records: `lookalike check` lists them all")
    return code or int(bool(found))


def _run(arguments: Sequence[str] | None, stores: list[Store]) -> int:
    """Run one command; `stores` gets those that it opens."""
    try:
        code = group(args=arguments, prog_name="lookalike", standalone_mode=False, obj=stores)
    except click.ClickException as error:
        with suppress(OSError):
            error.show()
        return error.exit_code
    except click.Abort as error:
        raise KeyboardInterrupt from error
    except LookalikeError as error:
        warn(str(error))
        return outcome(error).exit_code
    return code if isinstance(code, int) else 0
