"""Tables of an Oracle store: their names, what makes them and what drops them.

    lookalike_store         one row: the version of the tables
    lookalike_collections   name, default vector, and which state its view shows
    lookalike_vectors       the vectors that collections declare: name, space, approximate index
    lookalike_metrics       the fit that a vector went through, where there was one
    lookalike_fields        which fields a collection has had, and the column each has in the view
    lookalike_records_<n>   one row a record of collection n
    lookalike_values_<n>    one row a record and field: digests of values, which filters compare
    lookalike_words_<n>     one row a record: its words, with the index of Oracle Text lookalike_text_<n>
    lookalike_vector_<v>    one row a record that has vector v
    lookalike_index_<v>     the vector index of vector v, where one was built
    "<COLLECTION>"          a view; see `views`

One sequence numbers collections and vectors, and gives no number twice. A table for each vector: a search
reads the one that it asks for, and a vector is dropped as a table is, whatever its size.

DDL commits whatever is open (SQL Language Reference, "Types of SQL Statements"), so that a collection or a
vector cannot be made or dropped in one transaction with its tables. The truth is the row in
lookalike_collections or lookalike_vectors: tables are made before it and dropped after it, and tables without
a row are cleared away an hour later.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from lookalike.errors import InvalidArgument, StoreDenied
from lookalike.stores.oracle.errors import (
    NAME_IN_USE,
    NO_SUCH_TABLE,
    NOT_UNIQUE,
    OracleRefusal,
    suppress_code,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from lookalike.stores.oracle.connection import OracleSession

VERSION = 3
"""Of the tables; a store of another one is not touched. 2 has checksums, 3 named vectors."""

LONGEST_VECTOR = 65_535
"""Dimensions of a VECTOR: AI Vector Search User's Guide, "Create Tables Using the VECTOR Data Type"."""

TABLES = (
    "CREATE SEQUENCE IF NOT EXISTS lookalike_numbers",
    """CREATE TABLE IF NOT EXISTS lookalike_collections (
        collection_id NUMBER(18) PRIMARY KEY,
        name_key VARCHAR2(64) NOT NULL UNIQUE,
        name VARCHAR2(256) NOT NULL,
        default_vector VARCHAR2(64) NOT NULL,
        revision NUMBER(18) NOT NULL,
        view_revision NUMBER(18),
        view_name VARCHAR2(130)
    )""",
    """CREATE TABLE IF NOT EXISTS lookalike_vectors (
        vector_id NUMBER(18) PRIMARY KEY,
        collection_id NUMBER(18) NOT NULL,
        name VARCHAR2(64) NOT NULL,
        embedder VARCHAR2(1000),
        embedder_fingerprint VARCHAR2(1000),
        dimension NUMBER(9) NOT NULL,
        metric_fingerprint VARCHAR2(1000),
        ready NUMBER(1) NOT NULL,
        becomes_default NUMBER(1) NOT NULL,
        index_kind VARCHAR2(100),
        index_recall NUMBER,
        index_k NUMBER(9),
        index_queries NUMBER(9)
    )""",
    """CREATE TABLE IF NOT EXISTS lookalike_metrics (
        vector_id NUMBER(18) PRIMARY KEY,
        metric BLOB
    )""",
    """CREATE TABLE IF NOT EXISTS lookalike_fields (
        collection_id NUMBER(18) NOT NULL,
        field_id NUMBER(18) NOT NULL,
        name_key VARCHAR2(64) NOT NULL,
        name JSON,
        column_name VARCHAR2(128) NOT NULL,
        only_numbers NUMBER(1) NOT NULL,
        PRIMARY KEY (collection_id, field_id)
    )""",
    """CREATE TABLE IF NOT EXISTS lookalike_store (
        singleton NUMBER(1) PRIMARY KEY,
        version NUMBER(9) NOT NULL
    )""",
)
"""Made in this order, and then the row of the version: a store without it is one that nobody wrote to."""

_PUT_VERSION = (
    "INSERT INTO lookalike_store (singleton, version) SELECT 1, :version FROM dual"
    " WHERE NOT EXISTS (SELECT 1 FROM lookalike_store)"
)
_LEFT_OVER = (
    "SELECT o.object_name FROM user_objects o WHERE o.object_type = 'TABLE'"
    " AND REGEXP_LIKE(o.object_name, '^LOOKALIKE_(RECORDS|VALUES|WORDS|VECTOR)_[0-9]+$')"
    " AND o.created < SYSDATE - 1/24 AND REGEXP_SUBSTR(o.object_name, '[0-9]+$') NOT IN"
    " (SELECT TO_CHAR(c.collection_id) FROM lookalike_collections c"
    " UNION ALL SELECT TO_CHAR(v.vector_id) FROM lookalike_vectors v)"
)
_OWN_TABLE = re.compile(r"LOOKALIKE_(?:RECORDS|VALUES|WORDS|VECTOR)_[0-9]+")


def records_table(collection: int) -> str:
    """Return the name of the table of a collection's records."""
    return f"lookalike_records_{collection:d}"


def values_table(collection: int) -> str:
    """Return the name of the table of a collection's values."""
    return f"lookalike_values_{collection:d}"


def words_table(collection: int) -> str:
    """Return the name of the table of a collection's words."""
    return f"lookalike_words_{collection:d}"


def text_index(collection: int) -> str:
    """Return the name of the index of a collection's words."""
    return f"lookalike_text_{collection:d}"


def vector_table(vector: int) -> str:
    """Return the name of the table of a vector."""
    return f"lookalike_vector_{vector:d}"


def tables_beside(collection: int, vectors: Iterable[int]) -> list[str]:
    """Return the names of a collection's tables that have a row a record, but for that of records."""
    return [*map(vector_table, vectors), values_table(collection), words_table(collection)]


def vector_index(vector: int) -> str:
    """Return the name of a vector's approximate index."""
    return f"lookalike_index_{vector:d}"


def collection_tables(collection: int) -> tuple[str, ...]:
    """Return the statements that make the tables of one collection.

    JSON columns: JSON Developer's Guide, "Creating a Table With a JSON Column".
    """
    records, values = records_table(collection), values_table(collection)
    return (
        f"""CREATE TABLE {records} (
        id VARCHAR2(512) PRIMARY KEY,
        uri VARCHAR2(1000),
        path VARCHAR2(1000),
        digest VARCHAR2(512),
        size_bytes NUMBER(19) NOT NULL,
        modified_ns NUMBER(19) NOT NULL,
        labels_digest VARCHAR2(64) NOT NULL,
        fields JSON,
        metadata JSON,
        kept JSON,
        file_checksum RAW(8) NOT NULL,
        labels_checksum RAW(8) NOT NULL
    )""",
        f"CREATE INDEX lookalike_digests_{collection:d} ON {records} (digest, id)",
        f"""CREATE TABLE {values} (
        id VARCHAR2(512) NOT NULL,
        field_id NUMBER(18) NOT NULL,
        value_key VARCHAR2(32) NOT NULL,
        PRIMARY KEY (id, field_id)
    )""",
        f"CREATE INDEX lookalike_filters_{collection:d} ON {values} (field_id, value_key, id)",
    )


def vector_table_statement(vector: int, dimension: int) -> str:
    """Return the statement that makes the table of one vector.

    Oracle AI Vector Search User's Guide, "Create Tables Using the VECTOR Data Type".
    """
    return f"""CREATE TABLE {vector_table(vector)} (
        id VARCHAR2(512) PRIMARY KEY,
        vector_checksum RAW(8) NOT NULL,
        embedding VECTOR({dimension:d}, FLOAT32)
    )"""


def words_table_statement(collection: int) -> str:
    """Return the statement that makes the table of a collection's words."""
    return f"""CREATE TABLE {words_table(collection)} (
        id VARCHAR2(512) PRIMARY KEY,
        words CLOB
    )"""


def text_index_statement(collection: int) -> str:
    """Return the statement that makes the text index, in which a word is there once it is committed."""
    return (
        f"CREATE INDEX {text_index(collection)} ON {words_table(collection)} (words)"
        " INDEXTYPE IS CTXSYS.CONTEXT"
        " PARAMETERS ('FILTER CTXSYS.NULL_FILTER LEXER CTXSYS.BASIC_LEXER STOPLIST CTXSYS.EMPTY_STOPLIST"
        " SYNC (ON COMMIT)')"
    )


def make_words(session: OracleSession, collection: int) -> None:
    """Make the table of a collection's words, and its index where the server has Oracle Text."""
    session.execute(words_table_statement(collection))
    try:
        session.execute(text_index_statement(collection))
    except (OracleRefusal, StoreDenied):
        # One that failed is there all the same, and would keep others from writing to the table (ORA-29861).
        with suppress(OracleRefusal, StoreDenied):
            session.execute(f"DROP INDEX IF EXISTS {text_index(collection)} FORCE")


def make_store(session: OracleSession) -> None:
    """Make the tables that all collections share; what is there already is left as it is."""
    with suppress_code(*NO_SUCH_TABLE):
        if session.query("SELECT version FROM lookalike_store", rows=1):
            return
    for statement in TABLES:
        try:
            session.execute(statement)
        except OracleRefusal as error:
            if error.code != NAME_IN_USE:  # another process made it at this very moment
                raise
    with suppress_code(NOT_UNIQUE):
        session.execute(_PUT_VERSION, {"version": VERSION})
    session.commit()


def next_number(session: OracleSession) -> int:
    """Return a number that no collection and no vector has had."""
    ((number,),) = session.query("SELECT lookalike_numbers.NEXTVAL FROM dual", rows=1)
    return int(number)


def make_tables(session: OracleSession, collection: int) -> None:
    """Make the tables of a collection that has no row yet, but for those of its vectors."""
    for statement in collection_tables(collection):
        session.execute(statement)
    make_words(session, collection)


def make_vector_table(session: OracleSession, dimension: int) -> int:
    """Make the table of a vector that has no row yet, and return its number.

    Raises:
        InvalidArgument: Oracle has no vectors of that dimension.
    """
    check_dimension(dimension)
    vector = next_number(session)
    session.execute(vector_table_statement(vector, dimension))
    return vector


def check_dimension(dimension: int) -> None:
    """Refuse a dimension that Oracle has no vectors of.

    Raises:
        InvalidArgument: it is not 1 … `LONGEST_VECTOR`.
    """
    if not 1 <= dimension <= LONGEST_VECTOR:
        raise InvalidArgument(f"a vector of Oracle has 1 … {LONGEST_VECTOR} dimensions")


def drop_tables(session: OracleSession, collection: int | None, vectors: Collection[int]) -> None:
    """Drop the tables of vectors and of a collection, with their indexes; what is not there is no error."""
    tables = list(map(vector_table, vectors))
    if collection is not None:
        tables = [*tables_beside(collection, vectors), records_table(collection)]
    for table in tables:
        session.execute(_drop_statement(table))


def clear_away(session: OracleSession) -> None:
    """Drop the tables of collections and vectors that were being made or dropped when somebody was killed."""
    for (table,) in session.query(_LEFT_OVER):
        if _OWN_TABLE.fullmatch(table):
            session.execute(_drop_statement(table))


def _drop_statement(table: str) -> str:
    return f"DROP TABLE IF EXISTS {table} CASCADE CONSTRAINTS PURGE"
