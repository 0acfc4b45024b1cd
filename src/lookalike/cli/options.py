"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import functools
import math
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import platformdirs

from lookalike.cli.loading import loading
from lookalike.cli.messages import warn
from lookalike.errors import InvalidArgument
from lookalike.images.limits import MAX_PIXELS
from lookalike.sources.locations import picture_place
from lookalike.stores.registry import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    from lookalike.database import Database
    from lookalike.embedders.protocol import Device
    from lookalike.evaluation.held_out_predictions import Ks
    from lookalike.sources.frames import Place
    from lookalike.types import Scalar, Where

_Command = TypeVar("_Command", bound="Callable[..., Any]")

DEFAULT_STORE = "sqlite:///lookalike.db"
DEFAULT_COLLECTION = "images"


@dataclass(frozen=True, slots=True)
class Settings:
    """The global options of one call."""

    store: str
    cache: Path
    timeout: float
    quiet: bool
    weights: Path | None = None
    device: Device = "auto"

    @contextmanager
    def open(self, *, told: bool = True) -> Iterator[Database]:
        """Open the store; at the end, say what went on without being as it should be.

        Args:
            told: whether its damaged records are told when the command ends; some tell them themselves.
        """
        with loading():
            from lookalike.database import Database

        database = Database(
            self.store, cache=self.cache, timeout=self.timeout, weights=self.weights, device=self.device
        )
        context = click.get_current_context(silent=True)
        opened = None if context is None else context.find_object(list)
        if told and opened is not None:
            opened.append(database)
        with database:
            yield database
            for problem in database.problems:
                warn(problem, quiet=self.quiet)

    def open_at(self, url: str) -> AbstractContextManager[Database]:
        """Open another store."""
        return replace(self, store=url).open()


def option(*names: str, default_text: str | None = None, **settings: Any) -> Callable[[_Command], _Command]:
    """Return an option whose help ends with its variable and its default.

    Args:
        names: as they are typed.
        default_text: the default in words; None: its value.
        settings: those of `click.option`.
    """
    default = settings.get("default") if default_text is None else default_text
    if isinstance(default, int):
        default = f"{default:,}"
    elif isinstance(default, float):
        default = f"{default:g}"
    parts = (("env", settings.get("envvar")), ("default", default))
    said = "; ".join(f"{what}: {value}" for what, value in parts if value is not None)
    return click.option(*names, **settings | {"help": f"{settings['help']} [{said}]"})


cache_option = option(
    "--cache",
    # One that cannot be read is a warning, as one that cannot be written is.
    type=click.Path(path_type=Path, file_okay=False, readable=False),
    envvar="LOOKALIKE_CACHE",
    default=lambda: Path(platformdirs.user_cache_dir("lookalike")),
    help="Folder for models and features.",
    default_text="the user's cache folder",
)


class Seconds(click.FloatRange):
    """A number of seconds in a range, which `nan` never is."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return it as a float."""
        seconds = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value!r} is no number", param, ctx)
        return seconds


def global_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--store`, `--cache`, `--timeout` and `--quiet`, handed on as one `settings`."""

    @option(
        "--store",
        envvar="LOOKALIKE_STORE",
        default=DEFAULT_STORE,
        metavar="URL",
        help="Where collections live.",
    )
    @cache_option
    @option(
        "--timeout",
        type=Seconds(min=0),
        envvar="LOOKALIKE_TIMEOUT",
        default=TIMEOUT,
        metavar="SECONDS",
        help="How long to wait for a store that another process has locked.",
    )
    @option(
        "--quiet", "-q", is_flag=True, envvar="LOOKALIKE_QUIET", help="No progress and no warnings on stderr."
    )
    @functools.wraps(command)
    def with_settings(*, store: str, cache: Path, timeout: float, quiet: bool, **options: Any) -> Any:
        return command(Settings(store, cache, timeout, quiet), **options)

    return with_settings


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--weights` and `--device` to a command that opens a model; stands below `global_options`."""

    @option(
        "--weights",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        envvar="LOOKALIKE_WEIGHTS",
        metavar="DIRECTORY",
        help="The weights of a model of the hub, laid out as they are there.",
        default_text="the hub's own cache",
    )
    @option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda"]),
        envvar="LOOKALIKE_DEVICE",
        default="auto",
        help="Where models run; auto takes a GPU that the installed runtime can use.",
    )
    @functools.wraps(command)
    def with_models(settings: Settings, *, weights: Path | None, device: Device, **options: Any) -> Any:
        return command(replace(settings, weights=weights, device=device), **options)

    return with_models


collection_option = option(
    "--collection",
    "-c",
    envvar="LOOKALIKE_COLLECTION",
    default=DEFAULT_COLLECTION,
    metavar="NAME",
    help="The collection.",
)

using_option = option(
    "--using",
    metavar="NAME",
    help="Which vector of the collection, where it has several. [default: its default one]",
)


def _read_format(context: click.Context, _option: click.Parameter, value: str) -> str:
    """Read the form of the output; CSV is JSON lines that become rows when the command ends."""
    if value != "csv":
        return value
    from lookalike.cli.output import lines_as_csv

    context.with_resource(lines_as_csv(context))
    return "jsonl"


format_option = option(
    "--format",
    "form",
    type=click.Choice(["table", "jsonl", "csv"]),
    envvar="LOOKALIKE_FORMAT",
    default="table",
    callback=_read_format,
    help="A table for people, JSON lines for programs, or CSV for spreadsheets.",
)


def collection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--collection`, `--format`, and what `global_options` and `model_options` add."""
    return collection_option(format_option(global_options(model_options(command))))


max_pixels_option = option(
    "--max-pixels",
    type=click.IntRange(min=1),
    envvar="LOOKALIKE_MAX_PIXELS",
    default=MAX_PIXELS,
    metavar="N",
    help="Skip images of more pixels.",
)

approximate_option = click.option(
    "--approximate",
    is_flag=True,
    help="Search the index that `lookalike index --approximate` made, and say how much such a search finds; "
    "exact where there is none.",
)

where_option = click.option(
    "--where",
    "conditions",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Only images whose field has this value; several fields must all match, several values of one field "
    "are alternatives.",
)


def _read_votes(_context: click.Context, _option: click.Parameter, value: str) -> Ks:
    """Read a number of neighbours, or `auto`."""
    if value == "auto":
        return "auto"
    try:
        return int(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither a number nor auto.") from None


votes_option = option(
    "-k",
    callback=_read_votes,
    default="5",
    metavar="N",
    help="How many neighbours vote; `auto` chooses by cross-validation.",
)
max_error_option = click.option(
    "--max-error",
    type=float,
    metavar="E",
    help="Answer only where the held-out answers of the collection promise an error of at most this.",
)
coverage_option = click.option(
    "--coverage",
    type=float,
    metavar="P",
    help="Give label sets that contain the true label this often, for every label.",
)
false_alarm_option = option(
    "--false-alarm",
    type=float,
    metavar="R",
    help="Call pictures unlike anything in the collection unknown, and so this part of the "
    "known ones; 0 for never.",
    default_text="0.01",
)


def parse_where(conditions: Iterable[str]) -> Where:
    """Turn `part=탱크` conditions into a filter; a value that reads as a number may be one."""
    where: dict[str, list[Scalar]] = {}
    for condition in conditions:
        field, equals, value = condition.partition("=")
        if not equals or not field:
            raise InvalidArgument(f"--where {condition!r}: write FIELD=VALUE")
        where.setdefault(field, []).extend(_readings(value))
    return where


def _readings(text: str) -> list[Scalar]:
    readings: list[Scalar] = [text]
    if text in ("true", "false"):
        readings.append(text == "true")
    for kind in (int, float):
        try:
            readings.append(kind(text))
        except ValueError:
            continue
        break
    return readings


def read_paths(paths: tuple[str, ...]) -> list[Place]:
    """Return the paths that were named; `-` stands for those on stdin, one a line."""
    return [picture_place(name) for name in read_names(paths)]


def read_names(names: tuple[str, ...]) -> list[str]:
    """Return what was named as it was written; `-` stands for what stands on stdin, one a line."""
    named: list[str] = []
    for name in names:
        if name == "-":
            named += [_decode(line) for line in sys.stdin.buffer.read().split(b"\n") if line]
        else:
            named.append(name)
    if not named:
        raise InvalidArgument("no path was given")
    return named


def _decode(name: bytes) -> str:
    return name.decode(sys.getfilesystemencoding(), "surrogateescape")
