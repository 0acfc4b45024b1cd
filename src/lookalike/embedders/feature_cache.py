"""The feature cache: features by digest of the file, so that nothing is embedded twice by one embedder.

One SQLite file per embedder fingerprint, so that features of two models never meet and a model that is no
longer used can be forgotten by deleting its file. It is a cache: features are verified by their checksum, and
damaged ones are as good as none; a damaged file is made anew; when it cannot be written the work goes on
without it, and `problem` says so.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from typing import TYPE_CHECKING

import numpy as np

from lookalike.checksums import features_checksum

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS features (digest TEXT PRIMARY KEY, checksum BLOB NOT NULL,"
    " numbers BLOB NOT NULL) WITHOUT ROWID"
)
VERSION = 1
"""Of the tables, in `PRAGMA user_version`: since 1 with checksums."""
# What was assumed when a file was decoded, as JSON: said again when its features are taken from here.
_NOTES_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS notes (digest TEXT PRIMARY KEY, notes TEXT NOT NULL) WITHOUT ROWID"
)
# How long to wait for another process that writes the same cache, in seconds.
_BUSY_SECONDS = 10.0
_WAIT_SECONDS = 0.02


class FeatureCache:
    """Features by digest, for one embedder; safe for several threads and processes."""

    def __init__(self, cache: Path, fingerprint: str, dimension: int) -> None:
        """Open the features of one embedder.

        Args:
            cache: the user's cache folder, made if it is missing.
            fingerprint: of the embedder.
            dimension: numbers per image.
        """
        self.path = cache / "features" / f"{fingerprint}.db"
        self.problem: str | None = None
        """Why features are not kept, in a few words, or None."""
        self.damaged: set[str] = set()
        """Digests of files whose features were found damaged since, and not put again."""
        self.replaced = 0
        """How many damaged features were put again."""
        self._fingerprint = fingerprint
        self._dimension = dimension
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = self._open()
        except sqlite3.DatabaseError as error:
            self._start_again(error)
        except OSError as error:
            self.problem = error.strerror or "cannot be opened"

    def get(self, digest: str) -> NDArray[np.float32] | None:
        """Return the features of the file with this SHA-256, shape (dimension,); None without sound ones."""
        with self._lock:
            if self._connection is None:
                return None
            try:
                row = self._connection.execute(
                    "SELECT checksum, numbers FROM features WHERE digest = ?", (digest,)
                ).fetchone()
            except sqlite3.Error as error:
                self._give_up(error)
                return None
            if row is None:
                return None
            if not sound_features(self._fingerprint, digest, *row):
                self.damaged.add(digest)
                return None
        if len(row[1]) != 4 * self._dimension:
            return None
        numbers = np.frombuffer(row[1], dtype="<f4").astype(np.float32)
        return numbers if np.isfinite(numbers).all() else None

    def put(self, features: Mapping[str, NDArray[np.float32]]) -> None:
        """Keep features, each of shape (dimension,), by the SHA-256 of their files."""
        with self._lock:
            if self._connection is None or not features:
                return
            rows = []
            for digest, numbers in features.items():
                content = numbers.astype("<f4").tobytes()
                rows.append((digest, features_checksum(self._fingerprint, digest, content), content))
            try:
                with self._connection:
                    self._connection.executemany(
                        "INSERT OR REPLACE INTO features (digest, checksum, numbers) VALUES (?, ?, ?)", rows
                    )
            except sqlite3.Error as error:
                self._give_up(error)
            else:
                self.replaced += len(self.damaged & features.keys())
                self.damaged -= features.keys()

    def notes(self, digest: str) -> tuple[str, ...]:
        """Return what was assumed when the file with this SHA-256 was decoded; see `put_notes`."""
        with self._lock:
            if self._connection is None:
                return ()
            try:
                row = self._connection.execute(
                    "SELECT notes FROM notes WHERE digest = ?", (digest,)
                ).fetchone()
            except sqlite3.Error as error:
                self._give_up(error)
                return ()
        try:
            found = json.loads(row[0]) if row is not None else []
        except (TypeError, ValueError):
            return ()
        return tuple(note for note in found if isinstance(note, str)) if isinstance(found, list) else ()

    def put_notes(self, notes: Mapping[str, tuple[str, ...]]) -> None:
        """Keep what was assumed of files, by their SHA-256; files without a note need not be there."""
        rows = [(digest, json.dumps(said)) for digest, said in notes.items() if said]
        with self._lock:
            if self._connection is None or not rows:
                return
            try:
                with self._connection:
                    self._connection.executemany("INSERT OR REPLACE INTO notes VALUES (?, ?)", rows)
            except sqlite3.Error as error:
                self._give_up(error)

    def close(self) -> None:
        """Give back the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, check_same_thread=False)
        try:
            _set_journal(connection)
            # A power cut may cost the last features, which are then computed again.
            connection.execute("PRAGMA synchronous = NORMAL")
            _make_table(connection)
            connection.execute(_NOTES_SCHEMA)
            _check_table(connection)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _start_again(self, error: sqlite3.DatabaseError) -> None:
        """Replace a damaged file; anything but damage is left alone and reported."""
        if isinstance(error, sqlite3.OperationalError):
            self.problem = str(error)
            return
        try:
            self._remove()
            self._connection = self._open()
        except (OSError, sqlite3.Error) as again:
            self.problem = str(again)

    def _give_up(self, error: sqlite3.Error) -> None:
        """Go on without the cache; a damaged file is removed, so that the next run makes it anew."""
        self.problem = str(error)
        damaged = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None
        if damaged:
            with contextlib.suppress(OSError):
                self._remove()

    def _remove(self) -> None:
        """Remove the file with its log, which must not meet another file of that name."""
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)


def sound_features(fingerprint: str, digest: str, checksum: object, content: object) -> bool:
    """Tell whether kept features match their checksum.

    Args:
        fingerprint: of the embedder.
        digest: SHA-256 of the file that they are of.
        checksum: as it was read.
        content: the numbers, as they were read.
    """
    return isinstance(content, bytes) and features_checksum(fingerprint, digest, content) == checksum


def _set_journal(connection: sqlite3.Connection) -> None:
    """Give the file a write-ahead log, which a new file gets from whichever process is first.

    SQLite does not wait for a lock here, whatever the timeout says: where two would wait for each other it
    refuses at once (sqlite.org/c3ref/busy_handler.html).
    """
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() >= deadline:
                raise
            time.sleep(_WAIT_SECONDS)
        else:
            return


def _make_table(connection: sqlite3.Connection) -> None:
    """Make the table, unless it is there; that of an earlier version is emptied."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == VERSION:
        connection.execute(_SCHEMA)
        return
    # In one transaction, and looked at again in it: another process may be doing the same.
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version != VERSION:
            connection.execute("DROP TABLE IF EXISTS features")
            connection.execute(_SCHEMA)
            connection.execute(f"PRAGMA user_version = {VERSION:d}")


def _check_table(connection: sqlite3.Connection) -> None:
    """Refuse a file whose table is another one than ours.

    Raises:
        sqlite3.DatabaseError: it is.
    """
    try:
        connection.execute("SELECT digest, checksum, numbers FROM features LIMIT 0")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
            raise
        raise sqlite3.DatabaseError(str(error)) from error
