"""The command serve: the service over HTTP."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from lookalike.cli.options import Seconds, Settings, global_options, model_options
from lookalike.cli.output import print_text
from lookalike.errors import InvalidArgument

_MEGABYTE = 1 << 20


@click.command()
@click.option(
    "--host",
    envvar="LOOKALIKE_HOST",
    default="127.0.0.1",
    metavar="ADDRESS",
    help="Where to listen; one that other machines reach needs --keys. [env: LOOKALIKE_HOST; default: "
    "127.0.0.1]",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    envvar="LOOKALIKE_PORT",
    default="8000",
    metavar="N",
    help="0 takes any that is free. [env: LOOKALIKE_PORT; default: 8000]",
)
@click.option(
    "--collection",
    "-c",
    "collections",
    multiple=True,
    envvar="LOOKALIKE_COLLECTION",
    metavar="NAME",
    help="Serve this collection, and others that are named so, but no more. [env: LOOKALIKE_COLLECTION; "
    "default: all]",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME",
    help="Embed with this model too, beside those of the collections.",
)
@click.option(
    "--root",
    "roots",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    metavar="PATH",
    help="Show pictures below this folder too; those that were indexed here are shown anyway.",
)
@click.option(
    "--uploads",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="LOOKALIKE_UPLOADS",
    metavar="DIRECTORY",
    help="Keep pictures that are added here; without it none can be. [env: LOOKALIKE_UPLOADS]",
)
@click.option(
    "--keys",
    "keys_file",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="LOOKALIKE_KEYS_FILE",
    metavar="FILE",
    help="Let in only who has one of these keys, see `lookalike key`; those in the variable LOOKALIKE_KEYS "
    "count too. [env: LOOKALIKE_KEYS_FILE]",
)
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    envvar="LOOKALIKE_ALLOW_HOST",
    metavar="NAME",
    help="Answer requests that call the service so, behind a proxy say. [env: LOOKALIKE_ALLOW_HOST]",
)
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    envvar="LOOKALIKE_ALLOW_ORIGIN",
    metavar="ORIGIN",
    help="Let pages of this origin ask, https://example.org say. [env: LOOKALIKE_ALLOW_ORIGIN]",
)
@click.option(
    "--allow-proxy",
    "proxies",
    multiple=True,
    envvar="LOOKALIKE_ALLOW_PROXY",
    metavar="ADDRESS",
    help="Believe what the proxy at this address, or in this network, says of who asks (X-Forwarded-For and "
    "-Proto). [env: LOOKALIKE_ALLOW_PROXY; default: this machine]",
)
@click.option(
    "--max-mb",
    type=click.IntRange(1),
    envvar="LOOKALIKE_MAX_MB",
    default=32,
    metavar="N",
    help="Megabytes of one request. [env: LOOKALIKE_MAX_MB; default: 32]",
)
@click.option(
    "--max-images",
    type=click.IntRange(1),
    envvar="LOOKALIKE_MAX_IMAGES",
    default=32,
    metavar="N",
    help="Pictures in one request. [env: LOOKALIKE_MAX_IMAGES; default: 32]",
)
@click.option(
    "--max-pixels",
    type=click.IntRange(1),
    envvar="LOOKALIKE_MAX_PIXELS",
    default=50_000_000,
    metavar="N",
    help="Skip pictures of more pixels. [env: LOOKALIKE_MAX_PIXELS; default: 50,000,000]",
)
@click.option(
    "--max-seconds",
    type=Seconds(0.1),
    envvar="LOOKALIKE_MAX_SECONDS",
    default=60.0,
    metavar="SECONDS",
    help="In which a request must have arrived. [env: LOOKALIKE_MAX_SECONDS; default: 60]",
)
@click.option(
    "--queue",
    type=click.IntRange(1),
    envvar="LOOKALIKE_QUEUE",
    default=256,
    metavar="N",
    help="Pictures, texts and searches that may wait; more are told to come again. [env: LOOKALIKE_QUEUE; "
    "default: 256]",
)
@click.option(
    "--memory",
    type=click.IntRange(1),
    envvar="LOOKALIKE_MEMORY",
    default=512,
    metavar="N",
    help="Megabytes of all requests that are held at once. [env: LOOKALIKE_MEMORY; default: 512]",
)
@global_options
@model_options
def serve(settings: Settings, port: int, max_mb: int, max_seconds: float, memory: int, **told: Any) -> int:
    """Serve an inference endpoint, a search API and a page to search, classify and judge, over HTTP.

    SIGTERM and Ctrl-C end it when all that was accepted is answered; a second Ctrl-C ends it at once.
    """
    from lookalike.server.process import serve as serve_until_stopped
    from lookalike.server.settings import Settings as Served

    served = Served(
        keys=os.environ.get("LOOKALIKE_KEYS", ""),
        max_bytes=max_mb * _MEGABYTE,
        body_seconds=max_seconds,
        memory=memory * _MEGABYTE,
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
