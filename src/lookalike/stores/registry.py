"""Stores: where collections live, named by a URL."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from lookalike.errors import InvalidArgument
from lookalike.plugins import STORES, load_plugin, plugin_names

if TYPE_CHECKING:
    from pathlib import Path

    from lookalike.stores.attached.foreign import ForeignDatabase
    from lookalike.stores.backend import Backend
    from lookalike.stores.store import Store

TIMEOUT = 30.0
"""Seconds to wait for a store that another process has locked, unless the caller says otherwise."""


def open_store(url: str, timeout: float = TIMEOUT, *, cache: Path | None = None) -> Store:
    """Open the store that `url` names; it is made when something is first written.

    Args:
        url: one of

            - `sqlite:///relative/path.db` or `sqlite:////absolute/path.db`
            - `postgresql://user:password@host:port/database`
            - `elasticsearch+http://host:port`, `elasticsearch+https://user:password@host:port`
            - `oracle://user:password@host:port/service`
            - a scheme that another package brings: see `plugins`
        timeout: seconds to wait for a server, or for another process's lock.
        cache: the user's cache folder, where it is noted which tables of others are attached; None: none are.

    Raises:
        InvalidArgument: no store speaks that scheme, or the URL is not as the store wants it.
        ExtraMissing: the store's client is not installed.
        PluginFailed: the store is another package's, and cannot be loaded.
        StoreError: it is there and cannot be opened.
    """
    from lookalike.stores.store import Store

    backend = _open_backend(url, timeout)
    scheme = url.partition(":")[0].lower()
    if cache is None or scheme not in _ATTACHING:
        return Store(backend)
    from lookalike.stores.attached.backend import AttachedBackend
    from lookalike.stores.attached.notes import AttachedNotes
    from lookalike.stores.places import store_place

    open_database = partial(_open_foreign, _ATTACHING[scheme], url, timeout)
    return Store(
        backend,
        AttachedBackend(backend.url, open_database, AttachedNotes(cache, store_place(url)), backend.damage),
    )


# What reads tables of others, by the scheme of the store's URL.
_ATTACHING = {
    "sqlite": ("sqlite", "SqliteTables"),
    "postgresql": ("postgres", "PostgresTables"),
    "postgres": ("postgres", "PostgresTables"),
    "elasticsearch+http": ("elasticsearch", "ElasticsearchTables"),
    "elasticsearch+https": ("elasticsearch", "ElasticsearchTables"),
    "oracle": ("oracle", "OracleTables"),
}


def _open_foreign(module: tuple[str, str], url: str, timeout: float) -> ForeignDatabase:
    """Open a database whose tables are attached: a class in the `foreign_tables` of its room."""
    tables = import_module(f"lookalike.stores.{module[0]}.foreign_tables")
    opened: ForeignDatabase = getattr(tables, module[1])(url, timeout)
    return opened


def _open_backend(url: str, timeout: float) -> Backend:
    scheme = url.partition(":")[0].lower()
    if scheme == "sqlite":
        from lookalike.stores.sqlite.backend import SqliteBackend

        return SqliteBackend(url, timeout)
    if scheme in ("postgresql", "postgres"):
        from lookalike.stores.postgres.backend import PostgresBackend

        return PostgresBackend(url, timeout)
    if scheme in ("elasticsearch+http", "elasticsearch+https"):
        from lookalike.stores.elasticsearch.backend import ElasticsearchBackend

        return ElasticsearchBackend(url, timeout)
    if scheme == "oracle":
        from lookalike.stores.oracle.backend import OracleBackend

        return OracleBackend(url, timeout)
    open_backend = load_plugin(STORES, scheme) if ":" in url else None
    if open_backend is not None:
        opened: Backend = open_backend(url, timeout)
        return opened
    # What was written may be a password: it is not repeated.
    known = "sqlite:///, postgresql://, elasticsearch+http://, elasticsearch+https://"
    known += "".join(f", {name}:" for name in plugin_names(STORES))
    raise InvalidArgument(f"no store speaks that URL: it begins with {known} or oracle://")


def check_approximate(url: str) -> None:
    """Refuse to build an approximate index that could not be built, before the work that comes first.

    Args:
        url: as for `open_store`; servers have indexes of their own.

    Raises:
        ExtraMissing: the package that makes it is not installed.
    """
    if url.partition(":")[0].lower() == "sqlite":
        from lookalike.stores.sqlite.shortlist.compressed import check_installed

        check_installed()
