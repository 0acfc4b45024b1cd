"""Thumbnails on disk, so that those of a large collection are made once."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES = 1 << 30
"""Of the file: some 100,000 thumbnails of 256 pixels. Those that were used longest ago make room."""

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS thumbnails (key BLOB PRIMARY KEY, used INTEGER NOT NULL,"
    " checksum BLOB NOT NULL, picture BLOB NOT NULL)"
)
# What makes room at once, as a part of all.
_FREED = 0.1
# How exactly it is known when one was used last.
_DAY = 86_400


class ThumbnailFile:
    """Thumbnails in a SQLite file of the cache folder; thread-safe, and processes may share it.

    It is a cache: a damaged thumbnail is as good as none, and where the file cannot be read or written the
    work goes on without it.
    """

    def __init__(self, cache: Path, most_bytes: int = MOST_BYTES, *, wait: float = 5.0) -> None:
        """Open it; it is made if it is missing.

        Args:
            cache: the user's cache folder.
            most_bytes: of the file.
            wait: for another process that has it locked, in seconds.
        """
        self._most = most_bytes
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        path = cache / "thumbnails.db"
        with suppress(OSError, sqlite3.Error):
            cache.mkdir(parents=True, exist_ok=True)
            try:
                self._connection = _opened(path, wait)
            except sqlite3.DatabaseError as error:
                # Damaged, it is begun anew; one that another process has locked is left alone.
                if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                    raise
                for end in ("", "-wal", "-shm"):
                    path.with_name(path.name + end).unlink(missing_ok=True)
                self._connection = _opened(path, wait)

    @property
    def full(self) -> bool:
        """Whether one more would need room that others have; also where nothing can be kept."""
        with self._lock:
            try:
                return self._connection is None or self._size(self._connection) >= (1 - _FREED) * self._most
            except sqlite3.Error:
                return True

    def get(self, key: tuple[str | int, ...]) -> bytes | None:
        """Return the thumbnail of a file, as it is now, in a size; None where it is not kept."""
        name, now = _name(key), int(time.time())
        with self._lock:
            if self._connection is None:
                return None
            try:
                row = self._connection.execute(
                    "SELECT picture, checksum, used FROM thumbnails WHERE key = ?", (name,)
                ).fetchone()
                if row is None or _checksum(name, row[0]) != row[1]:
                    return None
                if now - row[2] > _DAY:
                    with self._connection:
                        self._connection.execute("UPDATE thumbnails SET used = ? WHERE key = ?", (now, name))
            except sqlite3.Error:
                return None
        picture: bytes = row[0]
        return picture

    def put(self, key: tuple[str | int, ...], thumbnail: bytes) -> None:
        """Keep a thumbnail."""
        name = _name(key)
        with self._lock:
            if self._connection is None:
                return
            with suppress(sqlite3.Error), self._connection as connection:
                connection.execute(
                    "INSERT OR REPLACE INTO thumbnails VALUES (?, ?, ?, ?)",
                    (name, int(time.time()), _checksum(name, thumbnail), thumbnail),
                )
                if self._size(connection) > self._most:
                    (count,) = connection.execute("SELECT count(*) FROM thumbnails").fetchone()
                    oldest = "SELECT key FROM thumbnails ORDER BY used LIMIT ?"
                    connection.execute(
                        f"DELETE FROM thumbnails WHERE key IN ({oldest})",  # noqa: S608 our own
                        (max(1, int(_FREED * count)),),
                    )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @staticmethod
    def _size(connection: sqlite3.Connection) -> int:
        """Return the bytes that are in use."""
        pages, free, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)


def _opened(path: Path, wait: float) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=wait, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = OFF")  # what a loss of power takes is made again
    connection.execute(_SCHEMA)
    connection.execute("SELECT count(*) FROM thumbnails WHERE key = x''").fetchone()
    return connection


def _name(key: tuple[str | int, ...]) -> bytes:
    return hashlib.blake2b(repr(key).encode(), digest_size=16).digest()


def _checksum(name: bytes, picture: bytes) -> bytes:
    return hashlib.blake2b(name + picture, digest_size=8).digest()
