"""What SQLite's errors mean for a store."""

from __future__ import annotations

import os
import shutil
import sqlite3
from typing import TYPE_CHECKING

from lookalike.errors import StoreBusy, StoreCorrupt, StoreError, StoreFull, StoreReadOnly

if TYPE_CHECKING:
    from pathlib import Path


def store_error(error: sqlite3.Error, url: str, path: Path, timeout: float, *, write: bool) -> StoreError:
    """Return what an error of SQLite means (sqlite.org/rescode.html).

    Args:
        error: as it was raised.
        url: of the store.
        path: of its file.
        timeout: seconds that a lock was waited for.
        write: whether something was to be written.
    """
    said = " ".join(str(error).split())  # one of a damaged schema quotes a statement of several lines
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    match code:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreBusy(url, f"another process kept it locked for {timeout:g} s; try again later")
        case sqlite3.SQLITE_READONLY:
            return StoreReadOnly(url, "can be read but not written")
        case sqlite3.SQLITE_CANTOPEN if write and not _may_write(path):
            return StoreReadOnly(url, "cannot be written here")
        case sqlite3.SQLITE_CANTOPEN if not os.access(path, os.R_OK) and path.exists():
            return StoreError(url, "cannot be read: permission denied")
        case sqlite3.SQLITE_FULL:
            return StoreFull(url, "no space left; free some and run it again")
        case sqlite3.SQLITE_IOERR if write and not shutil.disk_usage(path.parent).free:
            return StoreFull(url, "no space left; free some and run it again")
        case sqlite3.SQLITE_NOTADB:
            return StoreCorrupt(url, "is not a database; nothing was changed")
        case sqlite3.SQLITE_CORRUPT:
            return StoreCorrupt(url, f"is damaged ({said}); restore it or index into a new store")
        case _:
            return StoreError(url, said)


def _may_write(path: Path) -> bool:
    return all(os.access(each, os.W_OK) for each in (path.parent, path) if each.exists())
