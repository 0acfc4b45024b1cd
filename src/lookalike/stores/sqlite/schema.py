"""Tables, views and version of a SQLite store.

    lookalike_collections   name, space, and a revision that every change raises by one
    lookalike_records       one row a record: fields and metadata as JSON, the vector as little-endian float32
    lookalike_fields        which fields a collection has had, and the column each has in the view
    lookalike_metrics       the fit that a collection's vectors went through, where there was one
    lookalike_values        one row a record and field: what SQL and filters compare
    lookalike_shortlists    which collections have a shortlist for approximate search, and how good it is
    lookalike_changes       which vectors of those came, changed or went, and at which revision
    lookalike_words_<n>     the words of collection n, for full-text search (FTS5)
    "<collection>"          a view: id, uri, path, digest, one column a field, metadata, vector

The record is what `fields` and `metadata` say; `lookalike_values` repeats the fields with SQL types, because
JSON functions of SQLite stop at NUL characters and know no field name with a quote in it. What a record says
has checksums, see `checksums`: of its file, of its labels, of its vector.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from lookalike.checksums import content_checksum
from lookalike.stores.checks import same_name
from lookalike.stores.sqlite.views import create_view, drop_view, field_numbers
from lookalike.stores.sqlite.words import create_words, drop_words

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from lookalike.types import Space

APPLICATION_ID = 0x6C6B616C
"""`PRAGMA application_id` of our files: "lkal" in ASCII; not among those listed in SQLite's magic.txt."""

VERSION = 5
"""Of the tables, in `PRAGMA user_version`: since 5 with checksums."""

TABLES = (
    # AUTOINCREMENT: a number must not come back after a delete, readers remember it.
    """CREATE TABLE lookalike_collections (
        collection INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL,
        same_name TEXT NOT NULL UNIQUE,
        embedder TEXT NOT NULL,
        embedder_fingerprint TEXT NOT NULL,
        dimension INTEGER NOT NULL,
        metric_fingerprint TEXT NOT NULL,
        checksum BLOB NOT NULL,
        revision INTEGER NOT NULL DEFAULT 0
    )""",
    # The vector is last, so that what stands before it is read without it.
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
        labels_checksum BLOB NOT NULL,
        vector_checksum BLOB NOT NULL,
        vector BLOB NOT NULL,
        UNIQUE (collection, id)
    )""",
    "CREATE INDEX lookalike_records_digest ON lookalike_records (collection, digest, id)",
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
    # A table of its own: a row of lookalike_collections is written anew with every change.
    """CREATE TABLE lookalike_metrics (
        collection INTEGER PRIMARY KEY,
        metric BLOB NOT NULL
    )""",
    # Without a token it is being built: changes are noted already, nobody searches with it yet.
    """CREATE TABLE lookalike_shortlists (
        collection INTEGER PRIMARY KEY,
        token TEXT,
        since INTEGER NOT NULL DEFAULT 0,
        kind TEXT NOT NULL DEFAULT '',
        recall REAL NOT NULL DEFAULT 0,
        k INTEGER NOT NULL DEFAULT 0,
        queries INTEGER NOT NULL DEFAULT 0
    )""",
    # The mark tells this history from that of a copy of the file that went another way.
    """CREATE TABLE lookalike_changes (
        collection INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        record INTEGER NOT NULL,
        mark INTEGER NOT NULL DEFAULT (random()),
        PRIMARY KEY (collection, revision, record)
    ) WITHOUT ROWID""",
)


class ForeignFile(Exception):
    """A database that lookalike did not make."""


class NewerFile(Exception):
    """A database that a later lookalike made."""


class OlderFile(Exception):
    """A database that an earlier lookalike made."""


class DamagedCatalog(Exception):
    """A row of `lookalike_collections` that says something else than what was written."""


class CatalogRow(NamedTuple):
    """What the catalogue says of a collection."""

    collection: int
    """Its number."""
    name: str
    same_name: str
    embedder: str
    embedder_fingerprint: str
    dimension: int
    metric_fingerprint: str


_CATALOG = ", ".join(CatalogRow._fields)


def stored_version(connection: sqlite3.Connection) -> int:
    """Return the version of the schema in the database, 0 where there is none yet.

    Raises:
        ForeignFile: it belongs to another program.
        NewerFile: it has a version that this program does not know.
        OlderFile: it has no checksums yet.
    """
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application_id != APPLICATION_ID:
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application_id or version or tables:
            raise ForeignFile
        return 0
    if version > VERSION:
        raise NewerFile
    if version < VERSION:
        raise OlderFile
    return int(version)


def make_tables(connection: sqlite3.Connection) -> None:
    """Make the tables in the transaction that is open, where there are none yet."""
    if stored_version(connection):
        return
    for statement in TABLES:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def add_collection(connection: sqlite3.Connection, name: str, space: Space, metric: bytes | None) -> int:
    """Make an empty collection with its view and return its number."""
    (number,) = connection.execute(
        "INSERT INTO lookalike_collections (name, same_name, embedder, embedder_fingerprint, dimension,"
        " metric_fingerprint, checksum) VALUES (?, ?, ?, ?, ?, ?, x'') RETURNING collection",
        (
            name,
            same_name(name),
            space.embedder,
            space.embedder_fingerprint,
            space.dimension,
            space.metric_fingerprint,
        ),
    ).fetchall()[0]
    _seal(connection, number)
    if metric is not None:
        connection.execute(
            "INSERT INTO lookalike_metrics (collection, metric) VALUES (?, ?)", (number, metric)
        )
    create_view(connection, number)
    create_words(connection, number)
    return int(number)


def remove_collection(connection: sqlite3.Connection, number: int) -> str | None:
    """Remove a collection with all that belongs to it, and return the token of its shortlist, if any."""
    shortlist = connection.execute(
        "SELECT token FROM lookalike_shortlists WHERE collection = ?", (number,)
    ).fetchone()
    drop_view(connection, number)
    drop_words(connection, number)
    connection.executemany(
        "DELETE FROM lookalike_values WHERE field = ?",
        ((field,) for field in field_numbers(connection, number).values()),
    )
    for table in ("records", "fields", "metrics", "shortlists", "changes", "collections"):
        connection.execute(f"DELETE FROM lookalike_{table} WHERE collection = ?", (number,))  # noqa: S608
    return None if shortlist is None else shortlist[0]


def rename_collections(connection: sqlite3.Connection, names: dict[int, str]) -> None:
    """Give collections, by number, names that no other has, and their views with them."""
    for number in names:
        drop_view(connection, number)
        # Names are unique at every moment: out of the way first, under one that no collection can have.
        connection.execute(
            "UPDATE lookalike_collections SET same_name = ? WHERE collection = ?", (f" {number}", number)
        )
    for number, name in names.items():
        connection.execute(
            "UPDATE lookalike_collections SET name = ?, same_name = ? WHERE collection = ?",
            (name, same_name(name), number),
        )
        _seal(connection, number)
        create_view(connection, number)


def read_catalog(connection: sqlite3.Connection) -> list[CatalogRow]:
    """Return the row of every collection, by name.

    Raises:
        DamagedCatalog: one is not what was written.
    """
    rows = connection.execute(f"SELECT {_CATALOG}, checksum FROM lookalike_collections")  # noqa: S608 our own
    return sorted((_catalog_row(row) for row in rows.fetchall()), key=lambda row: row.name)


def read_catalog_row(connection: sqlite3.Connection, key: str) -> CatalogRow | None:
    """Return the row of one collection; None where there is none.

    Args:
        connection: with a transaction open.
        key: `same_name` of its name.

    Raises:
        DamagedCatalog: it is not what was written, or another is not, so that it may be that one.
    """
    # The names are few, and sqlite3 cannot bind every text as a parameter.
    rows = connection.execute(f"SELECT {_CATALOG}, checksum FROM lookalike_collections").fetchall()  # noqa: S608
    for row in rows:
        if row[2] == key:
            return _catalog_row(row)
    for row in rows:
        _catalog_row(row)
    return None


def _catalog_row(row: tuple[Any, ...]) -> CatalogRow:
    *said, checksum = row
    if _catalog_checksum(said) != checksum:
        raise DamagedCatalog
    return CatalogRow(*said)


def _catalog_checksum(said: Sequence[Any]) -> bytes:
    return content_checksum("\0".join(map(str, said)).encode("utf-8", "surrogatepass"))


def _seal(connection: sqlite3.Connection, number: int) -> None:
    """Write the checksum of what a row of the catalogue says now."""
    said = connection.execute(
        f"SELECT {_CATALOG} FROM lookalike_collections WHERE collection = ?",  # noqa: S608 our own
        (number,),
    ).fetchone()
    connection.execute(
        "UPDATE lookalike_collections SET checksum = ? WHERE collection = ?",
        (_catalog_checksum(said), number),
    )
