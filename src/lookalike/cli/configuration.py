"""Configuration files: `lookalike.toml`, defaults of options for a folder and for a user."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import platformdirs

from lookalike.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Collection

NAME = "lookalike.toml"
"""Of the file, in the current folder and in the user's configuration folder."""

SHARED = (
    *("cache", "collection", "device", "format", "max-pixels", "quiet", "store", "timeout", "using"),
    "weights",
)
"""Options that may stand above all tables: every command that has one takes it."""


def configuration_places() -> list[Path]:
    """Return where files may be: the user's before the current folder's, which wins."""
    return [platformdirs.user_config_path("lookalike") / NAME, Path(NAME)]


def configuration_files() -> list[Path]:
    """Return the files that are there, in that order."""
    return [path for path in configuration_places() if os.path.lexists(path)]


def defaults_of(command: click.Command, commands: Collection[str]) -> dict[str, Any]:
    """Return what the files say of the options of a command, as click's `default_map` has it.

    Options and environment variables win over it.

    Args:
        command: one of the program's.
        commands: the names of all.

    Raises:
        InvalidArgument: as `defaults_from` does.
    """
    defaults: dict[str, Any] = {}
    for path in configuration_files():
        _merge(defaults, defaults_from(path, command, commands))
    return {str(command.name): defaults}


def defaults_from(path: Path, command: click.Command, commands: Collection[str]) -> dict[str, Any]:
    """Return what one file says of the options of a command.

    Raises:
        InvalidArgument: it cannot be read or is no TOML, a table is named after no command, an option is none
            of the command's, or a value is none that it takes.
    """
    found = read_configuration(path)
    for key, value in found.items():
        if isinstance(value, dict) and key not in commands:
            raise InvalidArgument(f"{path}: [{key}] is no command; `lookalike --help` lists them")
        if not isinstance(value, dict) and key not in SHARED:
            known = ", ".join(SHARED)
            raise InvalidArgument(
                f"{path}: {key!r} is not one of {known}; an option of one command stands in its [table]"
            )
    shared = {key: value for key, value in found.items() if not isinstance(value, dict)}
    return _of_command(command, path, shared, found.get(str(command.name), {}))


def read_configuration(path: Path) -> dict[str, Any]:
    """Read one file: options, and a table of options for each command.

    Raises:
        InvalidArgument: it cannot be read, or is no TOML.
    """
    # Here, as most calls have no such file.
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InvalidArgument(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise InvalidArgument(f"{path}: not in UTF-8, as TOML is") from None
    except tomllib.TOMLDecodeError as error:
        raise InvalidArgument(f"{path}: no TOML: {error}") from None


def _merge(defaults: dict[str, Any], more: dict[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict):
            _merge(defaults.setdefault(key, {}), value)
        else:
            defaults[key] = value


def _of_command(
    command: click.Command, path: Path, shared: dict[str, Any], table: dict[str, Any]
) -> dict[str, Any]:
    """Return the values for a command, or, nested, for those of a group."""
    if isinstance(command, click.Group):
        for key in table:
            if key not in command.commands:
                known = ", ".join(command.commands)
                raise InvalidArgument(f"{path}: [{command.name}] has {key!r}, which is not one of {known}")
        return {
            name: _of_command(each, path, shared, table.get(name, {}))
            for name, each in command.commands.items()
        }
    options = {
        opt.lstrip("-"): each
        for each in command.params
        if isinstance(each, click.Option) and not each.is_eager
        for opt in each.opts
    }
    for key in table:
        if key not in options:
            raise InvalidArgument(f"{path}: [{command.name}] has {key!r}, which is no option of it")
    both = {key: value for key, value in shared.items() if key in options} | table
    return {str(options[key].name): _value(options[key], f"{path}: {key}", both[key]) for key in both}


def _value(option: click.Option, place: str, value: Any) -> Any:
    """Return a value as the option wants it: several in a list, a path with its `~`."""
    if option.multiple and not isinstance(value, list):
        value = [value]
    if isinstance(option.type, click.Path) and isinstance(value, str):
        value = os.path.expanduser(value)  # noqa: PTH111 what is no path yet stays as it is
    if option.is_flag and not isinstance(value, bool):
        raise InvalidArgument(f"{place}: {value!r} is neither true nor false")
    try:
        option.type_cast_value(click.Context(click.Command(None)), value)
    except (click.BadParameter, TypeError) as error:
        said = error.message if isinstance(error, click.BadParameter) else f"{value!r} does not fit"
        raise InvalidArgument(f"{place}: {said}") from None
    return value
