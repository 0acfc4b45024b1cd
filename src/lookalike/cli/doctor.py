"""The command doctor: what of lookalike works on this machine."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from lookalike.cli.configuration import (
    configuration_files,
    configuration_places,
    defaults_from,
    read_configuration,
)
from lookalike.cli.group import COMMANDS, load
from lookalike.cli.loading import loading
from lookalike.cli.options import Settings, format_option, global_options
from lookalike.cli.output import counted, print_line, print_table, print_text
from lookalike.errors import LookalikeError
from lookalike.file_names import display

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lookalike.integrity.machine import Examined


@click.command()
@format_option
@global_options
def doctor(settings: Settings, form: str) -> int:
    """Tell what works on this machine, and what to run.

    Versions, configuration files, cache, store, models, GPU, free disk and extras are looked at; nothing is
    fetched. The exit code is 1 where something that was asked for is in trouble; an extra that is not
    installed is none.
    """
    with loading():
        from lookalike.database import examine

    found = [
        *_examine_configuration(),
        *examine(settings.store, cache=settings.cache, timeout=settings.timeout),
    ]
    if form == "jsonl":
        for each in found:
            print_line(asdict(each))
    else:
        print_table(("", "", "", "what to run"), [(e.what, e.state, e.found, e.todo) for e in found])
        print_text(_verdict(found))
    return int(any(each.state == "trouble" for each in found))


def _verdict(found: list[Examined]) -> str:
    trouble = [each.what for each in found if each.state == "trouble"]
    return f"{counted(len(trouble), 'trouble')}: {', '.join(trouble)}" if trouble else "no trouble"


def _examine_configuration() -> Iterator[Examined]:
    """Look at the configuration files; this command works whatever they say."""
    from lookalike.integrity.machine import Examined

    files = configuration_files()
    for path in files:
        try:
            tables = [name for name, value in read_configuration(path).items() if isinstance(value, dict)]
            # One command is enough for what stands above the tables.
            for name in tables or ["search"]:
                defaults_from(path, load(name) if name in COMMANDS else load("search"), COMMANDS)
        except LookalikeError as error:
            yield Examined("configuration", "trouble", display(str(error)))
        else:
            yield Examined("configuration", "works", display(path.absolute()))
    if not files:
        yield Examined("configuration", "not there", " or ".join(map(display, configuration_places())))
