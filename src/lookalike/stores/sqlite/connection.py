"""Connections to the one file of a SQLite store: transactions and locks.

There is one connection that reads and one that writes, each behind a lock, so that threads may share a store
and a reader never waits for a writer; between processes SQLite's write-ahead log does the same.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from lookalike.errors import StoreCorrupt, StoreError, StoreReadOnly, StoreUnreachable
from lookalike.stores.sqlite.address import file_path
from lookalike.stores.sqlite.encoding import stored_text
from lookalike.stores.sqlite.errors import store_error
from lookalike.stores.sqlite.schema import DamagedCatalog, make_tables, stored_version
from lookalike.uris import file_uri

if TYPE_CHECKING:
    from collections.abc import Iterator

_SMALLEST = 512  # bytes in a page, at least: sqlite.org/fileformat2.html, section 1.3.2
# A vector of 1,280 numbers and its labels fit into one page, which makes them twice as fast to read.
_PAGE_BYTES = 16 << 10
# Pages that a reader keeps, at most: of millions of records the inner pages of every tree, through which a
# search goes to each candidate.
_READ_CACHE = f"PRAGMA cache_size = -{32 << 10}"  # KiB
# Ids are looked up all over their tree, and where recent keys are moved nearly all its pages change (`keys`).
# With SQLite's own 2 MB of pages in memory and 16 MB of log, of 2,000,000 records, 5,000 at a time, the one
# took 1.2 times as long and the other 1.3 times.
_WRITE_CACHE = f"PRAGMA cache_size = -{256 << 10}"  # KiB
_LOG = "PRAGMA wal_autocheckpoint = 16000"  # pages
# SQLite sleeps inside one call and Ctrl-C waits with it; so it waits briefly and we ask again.
_WAIT_SECONDS = 0.1


class _Connection(sqlite3.Connection):
    immutable = False
    """Whether SQLite was told that nobody changes the file, and so would not notice."""
    place: tuple[int, int] | None = None
    """Which file it is of: device and inode; None while that is not known."""


class SqliteFile:
    """One database file, opened when first needed and made when first written."""

    def __init__(self, url: str, timeout: float) -> None:
        self.url = url
        self.path = file_path(url)
        self._timeout = timeout
        self._reader: _Connection | None = None
        self._writer: _Connection | None = None
        # Ctrl-C may leave a transaction open between its beginning and the block that it is for; the thread
        # that closes the store then is the one that holds its lock.
        self._read_lock = threading.RLock()
        self._write_lock = threading.RLock()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """Open a read transaction: one state of the store, whatever others write; None where it is empty.

        Raises:
            StoreError: the class that fits what SQLite says.
        """
        with self._read_lock, self.errors():
            if self._reader is None:
                self._reader = self.connect_reader()
            if self._reader is None:
                yield None
                return
            self._check_place(self._reader)
            try:
                self._begin(self._reader, "BEGIN")
                yield self._reader
            finally:
                _roll_back(self._reader)
                if self._reader.immutable:
                    self._reader.close()
                    self._reader = None

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Open a write transaction: committed and safe on disk when the block ends, undone when it raises.

        Raises:
            StoreError: the class that fits what SQLite says.
        """
        with self._write_lock, self.errors(write=True):
            if self._writer is None:
                self._writer = self._connect_writer()
            self._check_place(self._writer)
            try:
                self._begin(self._writer, "BEGIN IMMEDIATE")
                make_tables(self._writer, self.url)
                yield self._writer
                self._writer.execute("COMMIT")
            finally:
                _roll_back(self._writer)

    def connect_reader(self, *, mode: str = "rw") -> _Connection | None:
        """Return a new connection that cannot write, or None where nothing was written yet.

        A database in a folder that cannot be written, where SQLite cannot make its `-shm` file, is opened
        as immutable (sqlite.org/wal.html, "Read-Only Databases"), unless there is a log that this would
        leave unread.

        Args:
            mode: `rw` lets SQLite clear the log away when the last connection closes; `ro` does not.
        """
        if self._is_empty():
            return None
        connection = self._connect(f"mode={mode}")
        try:
            version = self._first_read(connection)
        except sqlite3.OperationalError as error:
            connection.close()
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                raise
            connection, version = self._connect_immutable(error)
        except BaseException:
            connection.close()
            raise
        if version == 0:
            connection.close()
            return None
        connection.execute("PRAGMA query_only = ON")
        connection.execute(_READ_CACHE)
        return connection

    def close(self) -> None:
        """Close both connections; the next use opens them again."""
        with self._read_lock:
            if self._reader is not None:
                self._reader.close()
                self._reader = None
        with self._write_lock:
            if self._writer is not None:
                self._writer.close()
                self._writer = None

    @contextmanager
    def errors(self, *, write: bool = False) -> Iterator[None]:
        """Turn what sqlite3 raises in the block into the class of StoreError that fits."""
        try:
            yield
        except sqlite3.Error as error:
            raise store_error(error, self.url, self.path, self._timeout, write=write) from error
        except DamagedCatalog as error:
            raise StoreCorrupt(
                self.url,
                "is damaged: its list of collections is not what was written; restore it or index into a new "
                "store",
            ) from error
        except UnicodeDecodeError as error:
            raise StoreCorrupt(self.url, "is damaged: it holds text that is no UTF-8") from error

    def _is_empty(self) -> bool:
        """Return whether nothing was written yet.

        The file is never opened other than by SQLite: closing it would take away the locks that this
        process's connections hold on it, and another process would then clear the log that is still in use
        (sqlite.org/howtocorrupt.html, section 2.2).
        """
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            return True
        except OSError as error:
            raise StoreError(self.url, f"cannot be read: {error.strerror}") from error
        if 0 < size < _SMALLEST:
            # SQLite takes a file of one byte for an empty database and would write over it.
            raise StoreCorrupt(self.url, "is not a database; nothing was changed")
        return size == 0

    def _connect(self, options: str) -> _Connection:
        connection = sqlite3.connect(
            f"{file_uri(self.path)}?{options}",
            uri=True,
            timeout=min(self._timeout, _WAIT_SECONDS),
            isolation_level=None,
            check_same_thread=False,
            factory=_Connection,
        )
        connection.text_factory = stored_text
        return connection

    def _connect_immutable(self, error: sqlite3.OperationalError) -> tuple[_Connection, int]:
        log = self.path.with_name(self.path.name + "-wal")
        if log.exists() and log.stat().st_size:
            raise StoreReadOnly(
                self.url, f"has changes in {log.name} that need a folder that can be written: copy both there"
            ) from error
        connection = self._connect("mode=ro&immutable=1")
        try:
            version = self._first_read(connection)
        except BaseException:
            connection.close()
            raise
        connection.immutable = True
        return connection, version

    def _connect_writer(self) -> _Connection:
        folder = self.path.parent
        if not folder.is_dir():
            raise StoreError(self.url, f"there is no folder {folder}")
        if self.path.is_dir():
            raise StoreError(self.url, "is a folder")
        self._is_empty()
        connection = self._connect("mode=rwc")
        try:
            self._first_read(connection)  # before anything is changed
            connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")  # of a file that is made now
            self._patiently(connection, "PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(_WRITE_CACHE)
            connection.execute(_LOG)
        except BaseException:
            connection.close()
            raise
        return connection

    def _check_place(self, connection: _Connection) -> None:
        """Refuse a file that was deleted or replaced under its connection.

        SQLite goes on with the one that has no name any more, and all that is written to it is lost with the
        process (sqlite.org/howtocorrupt.html, section 2.4).
        """
        try:
            found = self.path.stat()
        except OSError:
            place = None
        else:
            place = found.st_dev, found.st_ino
        connection.place = connection.place or place
        if place is None or place != connection.place:
            raise StoreUnreachable(
                self.url, "was deleted or replaced while it was open: start again what works with it"
            )

    def _first_read(self, connection: sqlite3.Connection) -> int:
        """Return the version of the schema, having waited for a lock."""
        # In one transaction: between two statements another process may make our tables, and what is asked in
        # several would be of another program.
        alone = not connection.in_transaction
        if alone:
            connection.execute("BEGIN")
        try:
            self._patiently(connection, "SELECT 1 FROM sqlite_master LIMIT 1")
            return stored_version(connection, self.url)
        finally:
            if alone:
                _roll_back(connection)

    def _begin(self, connection: sqlite3.Connection, how: str) -> None:
        self._patiently(connection, how)
        if how == "BEGIN":
            # The first read fixes the state that the transaction sees; and the file may be another since.
            self._first_read(connection)

    def _patiently(self, connection: sqlite3.Connection, statement: str) -> None:
        """Run a statement as soon as no other process is in the way, for as long as the timeout allows."""
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                connection.execute(statement).fetchall()
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() >= deadline:
                    raise
                time.sleep(_WAIT_SECONDS / 10)
            else:
                return


def _roll_back(connection: sqlite3.Connection) -> None:
    """End the transaction, if one is open."""
    if connection.in_transaction:
        with suppress(sqlite3.Error):  # what made it fail is what is reported
            connection.execute("ROLLBACK")
