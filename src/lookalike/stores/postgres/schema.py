"""Tables and version of a PostgreSQL store.

    lookalike_schema        the version
    lookalike_collections   name, default vector, count of records
    lookalike_vectors       the vectors that a collection declares: space, metric, approximate index, recall
    lookalike_fields        which fields a collection has had, the column each has in the view, and its type
    lookalike_c<number>     one row a record of that collection
    lookalike_w<number>     its words, for full-text search
    lookalike_v<number>     one of its vectors, a row for each record that has it
    "<collection>"          a view: id, uri, path, digest, one column a field, metadata, one a ready vector

All of them are in one schema, by default `lookalike`, so that they stand in nobody's way. Each collection has
tables of its own, and each vector has one, because `vector(d)` and its indexes want one dimension, so that a
search by one vector reads no other, and so that a fit leaves no dead rows behind: an update would write every
row anew, with all its vectors.

Who locks several of these tables takes vectors first, then words, then records, so that no two wait for each
other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.errors import StoreDenied, StoreError
from lookalike.stores.postgres.connection import SQL, VERSION, Identifier, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lookalike.stores.postgres.connection import Connection, PostgresServer, Transaction

# A vector of up to this many numbers stays in the row, which makes an exact search twice as fast; with what
# else is in the row it has to fit into a page of 8 KiB.
_INLINE_DIMENSIONS = 1_800
# Room that is left in a row beside the vector before an id moves out of it, and the largest row there is
# (postgresql.org/docs, CREATE TABLE, toast_tuple_target).
_ROOM, _LARGEST = 2_032, 8_160

_TABLES = (
    "CREATE TABLE lookalike_schema (version integer NOT NULL)",
    """CREATE TABLE lookalike_collections (
        collection bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name text NOT NULL,
        same_name text COLLATE "C" NOT NULL UNIQUE,
        view_name text COLLATE "C" NOT NULL UNIQUE,
        default_vector text NOT NULL,
        count bigint NOT NULL DEFAULT 0
    )""",
    # Of one name there may be one that is ready, and one that is to take its place.
    """CREATE TABLE lookalike_vectors (
        vector bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        collection bigint NOT NULL REFERENCES lookalike_collections ON DELETE CASCADE,
        name text NOT NULL,
        embedder text NOT NULL,
        embedder_fingerprint text NOT NULL,
        dimension integer NOT NULL,
        metric_fingerprint text NOT NULL,
        metric bytea,
        ready boolean NOT NULL,
        becomes_default boolean NOT NULL,
        index_kind text,
        approximation jsonb,
        UNIQUE (collection, name, ready)
    )""",
    """CREATE TABLE lookalike_fields (
        collection bigint NOT NULL REFERENCES lookalike_collections ON DELETE CASCADE,
        position integer NOT NULL,
        name text NOT NULL,
        column_name text NOT NULL,
        column_type text NOT NULL,
        PRIMARY KEY (collection, position)
    )""",
)


def record_table(collection: int) -> Identifier:
    """Return the name of the table of a collection's records."""
    return Identifier(f"lookalike_c{collection}")


def words_table(collection: int) -> Identifier:
    """Return the name of the table of a collection's words."""
    return Identifier(f"lookalike_w{collection}")


def vector_table(vector: int) -> Identifier:
    """Return the name of the table of a vector."""
    return Identifier(f"lookalike_v{vector}")


def index(vector: int) -> Identifier:
    """Return the name of a vector's approximate index."""
    return Identifier(f"lookalike_v{vector}_hnsw")


def lock_schema(connection: Connection, schema: str) -> None:
    """Wait until no other process makes tables or collections in this schema; let go with the transaction."""
    connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended('lookalike ' || %s::text, 0))", (schema,)
    )


def make_schema(server: PostgresServer, transaction: Transaction, schema: str) -> None:
    """Make the schema, the extension and our tables, where they are not there; the schema is locked.

    Raises:
        StoreError: the database cannot hold every text, or the server has no pgvector.
        StoreDenied: the user may make none of it.
    """
    connection = transaction.connection
    row = connection.execute(
        "SELECT to_regnamespace(quote_ident(%(schema)s)) IS NOT NULL,"
        " to_regclass(quote_ident(%(schema)s) || '.lookalike_schema') IS NOT NULL,"
        " EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'vector'),"
        " EXISTS (SELECT FROM pg_catalog.pg_available_extensions WHERE name = 'vector'),"
        " coalesce(has_schema_privilege(to_regnamespace('public')::oid, 'CREATE'), false),"
        " current_setting('server_encoding')",
        {"schema": schema},
    ).fetchone()
    assert row is not None  # noqa: S101 for the type
    has_schema, has_tables, has_extension, available, public, encoding = row
    if has_tables:
        return
    if encoding != "UTF8":
        raise StoreError(server.url, f"the database keeps text as {encoding}; make one with ENCODING 'UTF8'")
    if not has_schema:
        connection.execute(SQL("CREATE SCHEMA {}").format(Identifier(schema)))
    if not has_extension:
        if not available:
            raise StoreError(
                server.url, "the server has no pgvector: install it there (github.com/pgvector/pgvector)"
            )
        _add_extension(server, connection, "public" if public else schema)
        server.set_up(transaction)
    for statement in _TABLES:
        connection.execute(SQL(statement))
    connection.execute("INSERT INTO lookalike_schema (version) VALUES (%s)", (VERSION,))


def _add_extension(server: PostgresServer, connection: Connection, schema: str) -> None:
    # It is a trusted extension: who may create in the database may add it.
    row = connection.execute(
        "SELECT has_database_privilege(current_database(), 'CREATE'), current_database()"
    ).fetchone()
    if row is None or not row[0]:
        raise StoreDenied(
            server.url,
            "the user may not add pgvector: have an administrator run CREATE EXTENSION vector there",
        )
    connection.execute(SQL("CREATE EXTENSION vector SCHEMA {}").format(Identifier(schema)))


def create_collection_tables(connection: Connection, collection: int) -> None:
    """Make the empty tables of a collection: of its records, and of its words."""
    connection.execute(
        SQL(
            """CREATE TABLE {table} (
                id text COLLATE "C" PRIMARY KEY,
                uri text NOT NULL,
                path text,
                digest text COLLATE "C" NOT NULL,
                size bigint NOT NULL,
                modified_ns bigint NOT NULL,
                labels_digest text NOT NULL,
                fields jsonb NOT NULL,
                exact_fields text NOT NULL,
                metadata json NOT NULL,
                file_checksum bytea NOT NULL,
                labels_checksum bytea NOT NULL
            );
            CREATE INDEX {digest} ON {table} (digest, id);
            CREATE INDEX {fields} ON {table} USING gin (fields jsonb_path_ops);
            CREATE TABLE {words} (id text COLLATE "C" PRIMARY KEY, words tsvector NOT NULL);
            CREATE INDEX {words_index} ON {words} USING gin (words)"""
        ).format(
            table=record_table(collection),
            digest=Identifier(f"lookalike_c{collection}_digest"),
            fields=Identifier(f"lookalike_c{collection}_fields"),
            words=words_table(collection),
            words_index=Identifier(f"lookalike_w{collection}_words"),
        )
    )


def create_vector_table(connection: Connection, vector: int, dimension: int) -> None:
    """Make the empty table of a vector."""
    inline = dimension <= _INLINE_DIMENSIONS
    room = min(_LARGEST, _ROOM + (4 * dimension if inline else 0))
    connection.execute(
        SQL(
            """CREATE TABLE {table} (
                id text COLLATE "C" PRIMARY KEY,
                checksum bytea NOT NULL,
                vector vector({dimension}) NOT NULL
            ) WITH (toast_tuple_target = {room});
            ALTER TABLE {table} ALTER vector SET STORAGE {storage}"""
        ).format(
            table=vector_table(vector),
            dimension=Literal(dimension),
            storage=SQL("PLAIN") if inline else SQL("EXTERNAL"),
            room=Literal(room),
        )
    )


def drop_vector_tables(connection: Connection, vectors: Iterable[int]) -> None:
    """Drop the tables of vectors."""
    for vector in vectors:
        connection.execute(SQL("DROP TABLE {}").format(vector_table(vector)))


def drop_collection_tables(connection: Connection, collection: int, vectors: Iterable[int]) -> None:
    """Drop the tables of a collection and of all its vectors."""
    drop_vector_tables(connection, vectors)
    connection.execute(SQL("DROP TABLE {}, {}").format(words_table(collection), record_table(collection)))
