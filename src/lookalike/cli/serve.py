"""The command serve: the service over HTTP."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lookalike.cli.options import Seconds, Settings, global_options, model_options, option
from lookalike.cli.output import print_text
from lookalike.errors import InvalidArgument
from lookalike.server.settings import MEGABYTE
from lookalike.server.settings import Settings as ServiceSettings
from lookalike.sources.locations import location

if TYPE_CHECKING:
    from lookalike.sources.objects import Location

_DEFAULTS = ServiceSettings()


def _read_aliases(
    _context: click.Context, option: click.Parameter, values: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    """Read further names, each for one that exists."""
    read = dict(value.partition("=")[::2] for value in values)
    for value in values:
        alias, _, name = value.partition("=")
        if not alias or not name:
            raise click.BadParameter(f"{value!r}: write {option.metavar}.")
        if read[alias] != name:
            raise click.BadParameter(f"{alias!r} is an alias of two.")
    return tuple(read.items())


def _read_roots(
    _context: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> tuple[Location, ...]:
    """Read folders that are there, and prefixes of objects."""
    roots = tuple(location(value) for value in values)
    for value, root in zip(values, roots, strict=True):
        if isinstance(root, Path) and not root.exists():
            raise click.BadParameter(f"Path {value!r} does not exist.")
    return roots


@click.command()
@option(
    "--host",
    envvar="LOOKALIKE_HOST",
    default=_DEFAULTS.host,
    metavar="ADDRESS",
    help="Where to listen; one that other machines reach needs --keys.",
)
@option(
    "--port",
    type=click.IntRange(0, 65535),
    envvar="LOOKALIKE_PORT",
    default="8000",
    metavar="N",
    help="0 takes any that is free.",
)
@option(
    "--collection",
    "-c",
    "collections",
    multiple=True,
    envvar="LOOKALIKE_COLLECTION",
    metavar="NAME",
    help="Serve this collection, and others that are named so, but no more.",
    default_text="all",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME",
    help="Embed with this model too, beside those of the collections.",
)
@click.option(
    "--model-alias",
    "aliases",
    multiple=True,
    callback=_read_aliases,
    metavar="ALIAS=MODEL",
    help="Answer to this name of a model too, as an application that is there already calls it.",
)
@click.option(
    "--index-alias",
    "index_aliases",
    multiple=True,
    callback=_read_aliases,
    metavar="ALIAS=COLLECTION",
    help="Answer Elasticsearch's requests for the index ALIAS from this collection.",
)
@click.option(
    "--root",
    "roots",
    multiple=True,
    callback=_read_roots,
    metavar="PATH",
    help="Show pictures below this folder or s3://bucket/prefix too, and let who may write have it indexed; "
    "those that were indexed here are shown anyway.",
)
@option(
    "--uploads",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="LOOKALIKE_UPLOADS",
    metavar="DIRECTORY",
    help="Keep pictures that are added here; without it none can be.",
)
@option(
    "--keys",
    "keys_file",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="LOOKALIKE_KEYS_FILE",
    metavar="FILE",
    help="Let in only who has one of these keys, see `lookalike key`; those in the variable LOOKALIKE_KEYS "
    "count too.",
)
@option(
    "--allow-host",
    "hosts",
    multiple=True,
    envvar="LOOKALIKE_ALLOW_HOST",
    metavar="NAME",
    help="Answer requests that call the service so, behind a proxy say.",
)
@option(
    "--allow-origin",
    "origins",
    multiple=True,
    envvar="LOOKALIKE_ALLOW_ORIGIN",
    metavar="ORIGIN",
    help="Let pages of this origin ask, https://example.org say.",
)
@option(
    "--allow-proxy",
    "proxies",
    multiple=True,
    envvar="LOOKALIKE_ALLOW_PROXY",
    metavar="ADDRESS",
    help="Believe what the proxy at this address, or in this network, says of who asks (X-Forwarded-For and "
    "-Proto).",
    default_text="this machine",
)
@option(
    "--max-mb",
    type=click.IntRange(1),
    envvar="LOOKALIKE_MAX_MB",
    default=_DEFAULTS.max_bytes // MEGABYTE,
    metavar="N",
    help="Megabytes of one request.",
)
@option(
    "--max-images",
    type=click.IntRange(1),
    envvar="LOOKALIKE_MAX_IMAGES",
    default=_DEFAULTS.max_images,
    metavar="N",
    help="Pictures in one request.",
)
@option(
    "--max-pixels",
    type=click.IntRange(1),
    envvar="LOOKALIKE_MAX_PIXELS",
    default=_DEFAULTS.max_pixels,
    metavar="N",
    help="Skip pictures of more pixels.",
)
@option(
    "--max-seconds",
    type=Seconds(0.1),
    envvar="LOOKALIKE_MAX_SECONDS",
    default=_DEFAULTS.body_seconds,
    metavar="SECONDS",
    help="In which a request must have arrived.",
)
@option(
    "--queue",
    type=click.IntRange(1),
    envvar="LOOKALIKE_QUEUE",
    default=_DEFAULTS.queue,
    metavar="N",
    help="Pictures, texts and searches that may wait; more are told to come again.",
)
@option(
    "--memory",
    type=click.IntRange(1),
    envvar="LOOKALIKE_MEMORY",
    default=_DEFAULTS.memory // MEGABYTE,
    metavar="N",
    help="Megabytes of all requests that are held at once.",
)
@global_options
@model_options
def serve(settings: Settings, port: int, max_mb: int, max_seconds: float, memory: int, **told: Any) -> int:
    """Serve an API and a page to search, classify and judge.

    The API has an inference endpoint in the forms of others, too. SIGTERM and Ctrl-C end it when all that was
    accepted is answered; a second Ctrl-C ends it at once.
    """
    from lookalike.server.process import serve as serve_until_stopped

    served = ServiceSettings(
        keys=os.environ.get("LOOKALIKE_KEYS", ""),
        max_bytes=max_mb * MEGABYTE,
        body_seconds=max_seconds,
        memory=memory * MEGABYTE,
        **told,
    )
    if served.max_bytes > served.memory:
        raise InvalidArgument(f"--max-mb {max_mb}: a request that large would not fit into --memory {memory}")
    if served.uploads is not None:
        served.uploads.mkdir(parents=True, exist_ok=True)
    with settings.open(told=False) as database:
        return serve_until_stopped(database, served, port, quiet=settings.quiet, announce=_announce)


def _announce(address: str) -> None:
    with suppress(OSError):  # whoever started it need not read on
        print_text(f"lookalike serves {address}")
        sys.stdout.flush()
