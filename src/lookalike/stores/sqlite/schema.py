"""Tables and version of a SQLite store.

    lookalike_collections   name, default vector, and a revision that every change of a record raises by one
    lookalike_vectors       the vectors that a collection declares, each with its space, and a revision that
                            every change of one of these vectors raises by one
    lookalike_records       one row a record: file, fields and metadata as JSON
    lookalike_ids           which record has an id, see `keys`
    lookalike_digests       which records have a file of a digest, by its beginning
    lookalike_v<n>          vector n of the records that have it, as little-endian float32
    lookalike_fields        which fields a collection has had, and the column each has in the view
    lookalike_metrics       the fit that a vector went through, where there was one
    lookalike_values        one row a record and field: what SQL and filters compare
    lookalike_shortlists    which vectors have a shortlist for approximate search, and how good it is
    lookalike_changes       which of those vectors came, changed or went, and at which of their revisions
    lookalike_words_<n>     the words of collection n, for full-text search (FTS5)
    "<collection>"          a view: id, uri, path, digest, one column a field, metadata, one a ready vector

Each vector has a table of its own, so that a search by one reads no other, and one that is dropped takes all
its pages along. The record is what `fields` and `metadata` say; `lookalike_values` repeats the fields with
SQL types, because JSON functions of SQLite stop at NUL characters and know no field name with a quote in it.
What a record says has checksums, see `checksums`: of its file, of its labels, of each vector.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.errors import StoreForeign
from lookalike.stores.checks import check_version

if TYPE_CHECKING:
    import sqlite3

APPLICATION_ID = 0x6C6B616C
"""`PRAGMA application_id` of our files: "lkal" in ASCII; not among those listed in SQLite's magic.txt."""

VERSION = 7
"""Of the tables, in `PRAGMA user_version`: since 6 with named vectors, since 7 with keys of their own."""

TABLES = (
    # AUTOINCREMENT: a number must not come back after a delete, readers remember it.
    """CREATE TABLE lookalike_collections (
        collection INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL,
        same_name TEXT NOT NULL UNIQUE,
        default_vector TEXT NOT NULL,
        checksum BLOB NOT NULL,
        revision INTEGER NOT NULL DEFAULT 0
    )""",
    """CREATE TABLE lookalike_vectors (
        vector INTEGER PRIMARY KEY AUTOINCREMENT,
        collection INTEGER NOT NULL,
        name TEXT NOT NULL,
        embedder TEXT NOT NULL,
        embedder_fingerprint TEXT NOT NULL,
        dimension INTEGER NOT NULL,
        metric_fingerprint TEXT NOT NULL,
        ready INTEGER NOT NULL,
        becomes_default INTEGER NOT NULL,
        revision INTEGER NOT NULL DEFAULT 0
    )""",
    """CREATE TABLE lookalike_records (
        record INTEGER PRIMARY KEY AUTOINCREMENT,
        collection INTEGER NOT NULL,
        id TEXT NOT NULL,
        uri TEXT NOT NULL,
        path TEXT,
        digest TEXT NOT NULL,
        size INTEGER NOT NULL,
        modified_ns INTEGER NOT NULL,
        labels_digest TEXT NOT NULL,
        fields TEXT NOT NULL,
        metadata TEXT NOT NULL,
        file_checksum BLOB NOT NULL,
        labels_checksum BLOB NOT NULL
    )""",
    """CREATE TABLE lookalike_ids (
        recent INTEGER NOT NULL,
        collection INTEGER NOT NULL,
        id TEXT NOT NULL,
        record INTEGER NOT NULL,
        PRIMARY KEY (recent, collection, id)
    ) WITHOUT ROWID""",
    """CREATE TABLE lookalike_digests (
        recent INTEGER NOT NULL,
        collection INTEGER NOT NULL,
        beginning TEXT NOT NULL,
        record INTEGER NOT NULL,
        PRIMARY KEY (recent, collection, beginning, record)
    ) WITHOUT ROWID""",
    """CREATE TABLE lookalike_fields (
        field INTEGER PRIMARY KEY AUTOINCREMENT,
        collection INTEGER NOT NULL,
        name TEXT NOT NULL,
        column_name TEXT NOT NULL,
        UNIQUE (collection, name)
    )""",
    # No type for value: a number stays a number and a string a string.
    """CREATE TABLE lookalike_values (
        field INTEGER NOT NULL,
        record INTEGER NOT NULL,
        boolean INTEGER NOT NULL,
        value NOT NULL,
        PRIMARY KEY (field, record)
    ) WITHOUT ROWID""",
    # A table of its own: a row of lookalike_vectors is written anew with every change.
    """CREATE TABLE lookalike_metrics (
        vector INTEGER PRIMARY KEY,
        metric BLOB NOT NULL
    )""",
    # Without a token it is being built: changes are noted already, nobody searches with it yet.
    """CREATE TABLE lookalike_shortlists (
        vector INTEGER PRIMARY KEY,
        token TEXT,
        since INTEGER NOT NULL DEFAULT 0,
        kind TEXT NOT NULL DEFAULT '',
        recall REAL NOT NULL DEFAULT 0,
        k INTEGER NOT NULL DEFAULT 0,
        queries INTEGER NOT NULL DEFAULT 0
    )""",
    # The mark tells this history from that of a copy of the file that went another way.
    """CREATE TABLE lookalike_changes (
        vector INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        record INTEGER NOT NULL,
        mark INTEGER NOT NULL DEFAULT (random()),
        PRIMARY KEY (vector, revision, record)
    ) WITHOUT ROWID""",
)


class DamagedCatalog(Exception):
    """Rows of `lookalike_collections` and `lookalike_vectors` that say something else than was written."""


def stored_version(connection: sqlite3.Connection, url: str) -> int:
    """Return the version of the schema in the database, 0 where there is none yet.

    Raises:
        StoreForeign: it belongs to another program.
        StoreNewer, StoreOlder: it has another version than ours.
    """
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application_id != APPLICATION_ID:
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application_id or version or tables:
            raise StoreForeign(url)
        return 0
    check_version(url, version, VERSION)
    return int(version)


def make_tables(connection: sqlite3.Connection, url: str) -> None:
    """Make the tables in the transaction that is open, where there are none yet."""
    if stored_version(connection, url):
        return
    for statement in TABLES:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def vector_table(vector: int) -> str:
    """Return the name of the table of a vector."""
    return f"lookalike_v{vector:d}"


def make_vector_table(connection: sqlite3.Connection, vector: int) -> None:
    """Make the empty table of a vector."""
    table = vector_table(vector)
    connection.execute(
        f"CREATE TABLE {table} (record INTEGER PRIMARY KEY, checksum BLOB NOT NULL, vector BLOB NOT NULL)"
    )
    # Who has the vector is known from here; the rows of the table themselves lie three to a page.
    connection.execute(f"CREATE INDEX {table}_records ON {table} (record)")


def drop_vector_table(connection: sqlite3.Connection, vector: int) -> None:
    """Drop the table of a vector."""
    connection.execute(f"DROP TABLE {vector_table(vector)}")
