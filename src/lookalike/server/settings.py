"""The settings of a service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from lookalike.sources.objects import Location

MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Settings:
    """Limits and places; the defaults are those of the command line."""

    collections: tuple[str, ...] = ()
    """The collections that are served, in this order; empty: all of the store."""
    models: tuple[str, ...] = ()
    """Models that embeddings may be asked of, beside those of the collections."""
    aliases: tuple[tuple[str, str], ...] = ()
    """Further names of models, as (name, model): what an application that is there already calls one."""
    index_aliases: tuple[tuple[str, str], ...] = ()
    """Further names of collections as indexes of Elasticsearch, as (name, collection)."""
    roots: tuple[Location, ...] = ()
    """Folders, and prefixes of objects, whose pictures may be shown, beside those that `index` was given on
    this machine; clients may have them indexed, and any folder below them."""
    uploads: Path | None = None
    """Where added pictures are kept; None: none can be added."""
    host: str = "127.0.0.1"
    """The address that it listens on."""
    hosts: tuple[str, ...] = ()
    """Names that a request may call the service by, beside loopback and the address it listens on."""
    proxies: tuple[str, ...] = ()
    """Addresses and networks whose `X-Forwarded-For` and `-Proto` are believed; empty: loopback."""
    origins: tuple[str, ...] = ()
    """Origins of other pages that may ask (CORS), as `https://example.org`."""
    keys_file: Path | None = None
    """A file with the hashes of keys; with it, or with `keys`, every request needs a key."""
    keys: str = ""
    """More of them, separated by spaces or commas: see `server.auth.keys`."""
    max_bytes: int = 32 * MEGABYTE
    """Of one request."""
    max_pixels: int = 50_000_000
    """Of one picture: 200 MB at the 4 bytes that a pixel takes while it is decoded."""
    max_images: int = 32
    """Of one request."""
    body_seconds: float = 60.0
    """In which a request must have arrived, and in which a part of the answer must be taken."""
    queue: int = 256
    """Pictures and texts that wait to be embedded, and searches that wait: one more is refused."""
    memory: int = 512 * MEGABYTE
    """Bytes of requests that are held at once; what would exceed them is refused."""
    threads: int = 8
    """That search stores."""
    workers: int = 0
    """Threads that embed; 0: one for each core."""
    jobs: int = 1
    """Evaluations, audits and the like that run at once; the others wait."""
