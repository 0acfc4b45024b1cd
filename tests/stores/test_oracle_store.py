"""The Oracle store: the contract where there is a server, and everywhere what it says to the driver."""

from __future__ import annotations

import gc
import hashlib
import json
import re
import socket
import threading
import time
from array import array
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import oracledb
import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st
from sqlglot.errors import ParseError

from lookalike.checksums import file_checksum, vector_checksum
from lookalike.errors import (
    CollectionExists,
    CollectionNotFound,
    InvalidArgument,
    QueryRefused,
    QueryStopped,
    SpaceMismatch,
    StoreBusy,
    StoreCorrupt,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreNewer,
    StoreOlder,
    StoreReadOnly,
    StoreUnreachable,
    Unanswerable,
    VectorIncomplete,
)
from lookalike.stores.batches import chunks
from lookalike.stores.damage import Fault
from lookalike.stores.oracle.address import OracleAddress, oracle_address
from lookalike.stores.oracle.backend import OracleBackend
from lookalike.stores.oracle.catalog import must_find
from lookalike.stores.oracle.encoding import (
    Field,
    for_sql,
    identifier,
    plan_fields,
    record_binds,
    record_row,
    value_key,
    vector_binds,
    vector_content,
)
from lookalike.stores.oracle.errors import OracleRefusal, one_line, store_error
from lookalike.stores.oracle.filters import filter_of, in_list
from lookalike.stores.oracle.records import (
    fill_statement,
    put_statement,
    put_vector_statement,
    relabel_statement,
)
from lookalike.stores.oracle.schema import (
    TABLES,
    collection_tables,
    vector_table_statement,
    words_table_statement,
)
from lookalike.stores.oracle.search import index_statement, nearest_statement
from lookalike.stores.oracle.sql import only_reading, shown
from lookalike.stores.oracle.views import vector_columns, view_statement
from lookalike.stores.oracle.words import find_statement
from lookalike.stores.query import Query
from lookalike.stores.registry import open_store
from lookalike.stores.sql import AnswerLimit
from lookalike.stores.store import Store
from lookalike.stores.stored import stored_record
from lookalike.stores.verification import CHANGED_LABELS, read_record
from lookalike.testing.samples import CORNERS, SPACE, STRANGE_TEXTS, flipped, record
from lookalike.testing.store_contract.damage import Damage
from lookalike.testing.store_model import same
from lookalike.testing.stores import StoreContract
from lookalike.types import Approximation, Space, Stamp
from tests.servers.oracle import Recorder, driver_error, oracle_url, placeholders, recorder
from tests.servers.oracle_on_sqlite import OracleOnSqlite, oracle_on_sqlite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lookalike.types import Record, Vectors

__all__ = ["oracle_on_sqlite", "oracle_url", "recorder"]

FETCHED = ("id", "uri", "digest", "size_bytes", "modified_ns", "kept", "file_checksum", "labels_checksum")
ROOT = Path(__file__).parents[2]
URL = "oracle://scott:tiger%2F1@db.example:1522/parts_pdb"
SHOWN = "oracle://scott@db.example:1522/parts_pdb"
ONE = "ON c.name_key = :name_key"
NOBODY = (3, *[None] * 15)
"""What the catalog answers where there is no such collection."""


def place(number: int = 7, name: str = "parts", *, index: tuple[Any, ...] = (None,) * 4) -> tuple[Any, ...]:
    """Return the row of a collection and its only vector, whose number is two more than the collection's."""
    vector = (number + 2, "image", "some-model", "ab" * 32, 4, "cosine", 1, 0)
    return (3, number, name, "image", *vector, *index)


def fitted(number: int, *, ready: int = 0, becomes_default: int = 1) -> tuple[Any, ...]:
    """Return the row of a second vector of the collection 7."""
    return (*place()[:4], number, "fitted", "some-model", "ab" * 32, 2, "cd" * 32, ready, becomes_default) + (
        (None,) * 4
    )


PLACE = place()


class OracleContract(StoreContract):
    """How records are damaged in an Oracle store."""

    @pytest.fixture
    def damage(self, url: str) -> Damage:
        def change(identity: str, part: str) -> None:
            with closing(OracleBackend(url)) as backend, backend._server.session() as session:
                entry = must_find(session, backend.url, "parts")
                records = f"lookalike_records_{entry.key}"
                vectors = f"lookalike_vector_{entry.vectors[0].number}"
                ((vector, digest, kept),) = session.query(
                    f"SELECT v.embedding, r.digest, r.kept FROM {records} r JOIN {vectors} v ON v.id = r.id"
                    " WHERE r.id = :id",
                    {"id": identity},
                )
                turned = array("f", flipped(vector.tobytes(), 14))
                labels = {**kept, "fields": kept["fields"].replace("bad", "bae")}
                others = (
                    f"SELECT embedding, vector_checksum FROM {vectors} WHERE id <> :id FETCH FIRST ROW ONLY"
                )
                changed: dict[str, tuple[str, dict[str, Any]]] = {
                    "vector": ("embedding = :changed", {"changed": turned}),
                    "exchanged": (f"(embedding, vector_checksum) = ({others})", {}),
                    "digest": (
                        "digest = :changed",
                        {"changed": flipped(digest.encode(), 3).decode()},
                    ),
                    "fields": ("kept = :changed", {"changed": labels}),
                }
                what, binds = changed[part]
                table = vectors if part in ("vector", "exchanged") else records
                size = {"vector": "vector", "fields": "json"}.get(part)
                sizes = {} if size is None else {"changed": size}
                session.execute(f"UPDATE {table} SET {what} WHERE id = :id", {**binds, "id": identity}, sizes)
                session.commit()

        return change


class TestOracleStore(OracleContract):
    """The whole contract, on a real server."""

    @pytest.fixture
    def url(self, oracle_url: str) -> str:
        return oracle_url


class TestOracleOnSqlite(OracleContract):
    """The whole contract, with the statements rewritten for SQLite."""

    @pytest.fixture
    def url(self, oracle_on_sqlite: OracleOnSqlite) -> str:
        return URL


def oracle(url: str = URL, timeout: float = 30.0) -> Store:
    return Store(OracleBackend(url, timeout))


def put(store: Store, records: list[Record], vectors: Vectors) -> None:
    store.put("parts", records, {SPACE: vectors})


@pytest.fixture
def store(recorder: Recorder) -> Iterator[Store]:
    """A store whose collection `parts` has the number 7 and one vector, of the number 9, and is empty."""
    recorder.answer(ONE, [PLACE])
    recorder.answer("SELECT COUNT(*)", [(0,)])
    with oracle(timeout=9) as store:
        yield store


def since(recorder: Recorder, done: int = 0) -> str:
    return "\n".join(line for line in recorder.said[done:] if not line.startswith("ALTER SESSION"))


def golden(text: str) -> str:
    """Return a readable text as it is said: a paragraph is one statement."""
    return "\n".join(" ".join(paragraph.split()) for paragraph in re.split(r"\n\n+", text.strip()))


FIND = """
SELECT s.version, c.collection_id, c.name, c.default_vector, v.vector_id, v.name, v.embedder,
    v.embedder_fingerprint, v.dimension, v.metric_fingerprint, v.ready, v.becomes_default, v.index_kind,
    v.index_recall, v.index_k, v.index_queries FROM lookalike_store s
    LEFT JOIN lookalike_collections c ON c.name_key = :name_key
    LEFT JOIN lookalike_vectors v ON v.collection_id = c.collection_id ORDER BY v.vector_id
"""
LOCK = """
SELECT collection_id FROM lookalike_collections WHERE collection_id = :collection_id FOR UPDATE WAIT 9
"""
READ_FIELDS = """
SELECT field_id, name, column_name, only_numbers FROM lookalike_fields
    WHERE collection_id = :collection_id ORDER BY field_id
"""
STALE = """
SELECT collection_id, name, revision, view_name, default_vector FROM lookalike_collections
    WHERE view_revision IS NULL OR view_revision <> revision ORDER BY collection_id
"""


# What is said


def test_create_makes_tables_first_and_then_the_row_that_counts(recorder: Recorder) -> None:
    none = driver_error("ORA-00942: no table", 942)
    recorder.answer("SELECT version", none)
    recorder.answer(ONE, none, none, [PLACE])
    recorder.answer("NEXTVAL", [(7,)], [(9,)])
    recorder.answer("SELECT COUNT(*)", [(0,)])
    recorder.answer("view_revision IS NULL", [(7, "parts", 1, None, "image")])
    recorder.answer("SELECT vector_id, name", [(9, "image")])
    with oracle(timeout=9) as store:
        made = store.create("parts", SPACE, metric=b"metric")
    assert (made.name, made.space, made.count, made.fields) == ("parts", SPACE, 0, ())
    assert since(recorder) == golden(f"""
{FIND}
SELECT version FROM lookalike_store
{FIND.replace("c.name_key = :name_key", "c.collection_id > 0")}
ROLLBACK
{FIND}
SELECT version FROM lookalike_store

SELECT version FROM lookalike_store

CREATE SEQUENCE IF NOT EXISTS lookalike_numbers

CREATE TABLE IF NOT EXISTS lookalike_collections ( collection_id NUMBER(18) PRIMARY KEY,
    name_key VARCHAR2(64) NOT NULL UNIQUE, name VARCHAR2(256) NOT NULL, default_vector VARCHAR2(64) NOT NULL,
    revision NUMBER(18) NOT NULL, view_revision NUMBER(18), view_name VARCHAR2(130) )

CREATE TABLE IF NOT EXISTS lookalike_vectors ( vector_id NUMBER(18) PRIMARY KEY,
    collection_id NUMBER(18) NOT NULL, name VARCHAR2(64) NOT NULL, embedder VARCHAR2(1000),
    embedder_fingerprint VARCHAR2(1000), dimension NUMBER(9) NOT NULL, metric_fingerprint VARCHAR2(1000),
    ready NUMBER(1) NOT NULL, becomes_default NUMBER(1) NOT NULL, index_kind VARCHAR2(100),
    index_recall NUMBER, index_k NUMBER(9), index_queries NUMBER(9) )

CREATE TABLE IF NOT EXISTS lookalike_metrics ( vector_id NUMBER(18) PRIMARY KEY, metric BLOB )

CREATE TABLE IF NOT EXISTS lookalike_fields ( collection_id NUMBER(18) NOT NULL, field_id NUMBER(18) NOT NULL,
    name_key VARCHAR2(64) NOT NULL, name JSON, column_name VARCHAR2(128) NOT NULL,
    only_numbers NUMBER(1) NOT NULL, PRIMARY KEY (collection_id, field_id) )

CREATE TABLE IF NOT EXISTS lookalike_store ( singleton NUMBER(1) PRIMARY KEY, version NUMBER(9) NOT NULL )

INSERT INTO lookalike_store (singleton, version) SELECT 1, :version FROM dual
    WHERE NOT EXISTS (SELECT 1 FROM lookalike_store)

COMMIT

SELECT o.object_name FROM user_objects o WHERE o.object_type = 'TABLE'
    AND REGEXP_LIKE(o.object_name, '^LOOKALIKE_(RECORDS|VALUES|WORDS|VECTOR)_[0-9]+$')
    AND o.created < SYSDATE - 1/24 AND REGEXP_SUBSTR(o.object_name, '[0-9]+$') NOT IN
    (SELECT TO_CHAR(c.collection_id) FROM lookalike_collections c
    UNION ALL SELECT TO_CHAR(v.vector_id) FROM lookalike_vectors v)

SELECT lookalike_numbers.NEXTVAL FROM dual

CREATE TABLE lookalike_records_7 ( id VARCHAR2(512) PRIMARY KEY, uri VARCHAR2(1000), path VARCHAR2(1000),
    digest VARCHAR2(512), size_bytes NUMBER(19) NOT NULL, modified_ns NUMBER(19) NOT NULL,
    labels_digest VARCHAR2(64) NOT NULL, fields JSON, metadata JSON, kept JSON, file_checksum RAW(8) NOT NULL,
    labels_checksum RAW(8) NOT NULL )

CREATE INDEX lookalike_digests_7 ON lookalike_records_7 (digest, id)

CREATE TABLE lookalike_values_7 ( id VARCHAR2(512) NOT NULL, field_id NUMBER(18) NOT NULL,
    value_key VARCHAR2(32) NOT NULL, PRIMARY KEY (id, field_id) )

CREATE INDEX lookalike_filters_7 ON lookalike_values_7 (field_id, value_key, id)

CREATE TABLE lookalike_words_7 ( id VARCHAR2(512) PRIMARY KEY, words CLOB )

CREATE INDEX lookalike_text_7 ON lookalike_words_7 (words) INDEXTYPE IS CTXSYS.CONTEXT
    PARAMETERS ('FILTER CTXSYS.NULL_FILTER LEXER CTXSYS.BASIC_LEXER STOPLIST CTXSYS.EMPTY_STOPLIST
    SYNC (ON COMMIT)')

SELECT lookalike_numbers.NEXTVAL FROM dual

CREATE TABLE lookalike_vector_9 ( id VARCHAR2(512) PRIMARY KEY, vector_checksum RAW(8) NOT NULL,
    embedding VECTOR(4, FLOAT32) )

INSERT INTO lookalike_collections (collection_id, name_key, name, default_vector, revision)
    VALUES (:collection_id, :name_key, :name, :default_vector, :revision)

INSERT INTO lookalike_vectors (vector_id, collection_id, name, embedder, embedder_fingerprint, dimension,
    metric_fingerprint, ready, becomes_default) VALUES (:vector_id, :collection_id, :name, :embedder,
    :embedder_fingerprint, :dimension, :metric_fingerprint, :ready, :becomes_default)

DELETE FROM lookalike_metrics WHERE vector_id = :vector_id

INSERT INTO lookalike_metrics (vector_id, metric) VALUES (:vector_id, :metric)

COMMIT
{STALE}
SELECT object_type FROM user_objects WHERE object_name = :name AND object_type IN ('TABLE', 'VIEW',
    'SEQUENCE', 'SYNONYM', 'PROCEDURE', 'FUNCTION', 'PACKAGE', 'MATERIALIZED VIEW', 'TYPE', 'OPERATOR')

SELECT field_id, column_name, only_numbers FROM lookalike_fields
    WHERE collection_id = :collection_id ORDER BY field_id

SELECT vector_id, name FROM lookalike_vectors WHERE collection_id = :collection_id AND ready = 1
    ORDER BY vector_id

CREATE OR REPLACE VIEW "PARTS" ("ID", "URI", "PATH", "DIGEST", "METADATA", "VECTOR") AS
    SELECT r.id, r.uri, r.path, r.digest, r.metadata, v9.embedding FROM lookalike_records_7 r
    LEFT JOIN lookalike_vector_9 v9 ON v9.id = r.id

UPDATE lookalike_collections SET view_name = :view_name, view_revision = :revision
    WHERE collection_id = :collection_id

COMMIT
{FIND}
SELECT COUNT(*) FROM lookalike_records_7
{READ_FIELDS}
CLOSE
""")


def test_a_collection_that_another_process_made_first_is_taken_and_our_tables_go(recorder: Recorder) -> None:
    recorder.answer(ONE, [NOBODY], [NOBODY], [PLACE])
    recorder.answer("SELECT version", [(1,)])
    recorder.answer("NEXTVAL", [(8,)], [(10,)])
    recorder.answer("SELECT COUNT(*)", [(3,)])
    recorder.answer("INSERT INTO lookalike_collections", driver_error("ORA-00001: unique constraint", 1))
    with oracle() as store:
        assert store.create("parts", SPACE).count == 3
    assert "COMMIT" not in recorder.said
    assert recorder.said[-9:-4] == [
        "ROLLBACK",
        "DROP TABLE IF EXISTS lookalike_vector_10 CASCADE CONSTRAINTS PURGE",
        "DROP TABLE IF EXISTS lookalike_values_8 CASCADE CONSTRAINTS PURGE",
        "DROP TABLE IF EXISTS lookalike_words_8 CASCADE CONSTRAINTS PURGE",
        "DROP TABLE IF EXISTS lookalike_records_8 CASCADE CONSTRAINTS PURGE",
    ]


def test_put_is_one_transaction_of_merges(recorder: Recorder, store: Store) -> None:
    recorder.answer("view_revision IS NULL", [(7, "parts", 2, '"PARTS"', "image")])
    recorder.answer("SELECT field_id, column_name", [(1, "LABEL", 0), (2, "COUNT", 1)])
    recorder.answer("user_objects WHERE object_name = :name", [("VIEW",)])
    recorder.answer("user_dependencies", [("LOOKALIKE_RECORDS_7",)])
    recorder.answer("SELECT vector_id, name", [(9, "image")])
    one = record(1, {"label": "bad", "count": 3}, metadata={"a": [1, "x"]})
    put(store, [one], CORNERS[:1])
    assert since(recorder) == golden(
        f"""
{FIND}
{FIND}
{LOCK}
{FIND}
{READ_FIELDS}
MERGE INTO lookalike_fields t USING (SELECT :collection_id AS collection_id, :field_id AS field_id
    FROM dual) s ON (t.collection_id = s.collection_id AND t.field_id = s.field_id)
    WHEN MATCHED THEN UPDATE SET t.only_numbers = :only_numbers
    WHEN NOT MATCHED THEN INSERT (collection_id, field_id, name_key, name, column_name, only_numbers)
    VALUES (s.collection_id, s.field_id, :name_key, :name, :column_name, :only_numbers)

UPDATE lookalike_collections SET revision = revision + 1 WHERE collection_id = :collection_id

MERGE INTO lookalike_records_7 t USING (SELECT :id AS id FROM dual) s ON (t.id = s.id)
    WHEN MATCHED THEN UPDATE SET t.uri = :uri, t.path = :path, t.digest = :digest, t.size_bytes = :size_bytes,
    t.modified_ns = :modified_ns, t.labels_digest = :labels_digest, t.fields = :fields,
    t.metadata = :metadata, t.kept = :kept, t.labels_checksum = :labels_checksum,
    t.file_checksum = :file_checksum
    WHEN NOT MATCHED THEN INSERT (id, uri, path, digest, size_bytes, modified_ns, labels_digest, fields,
    metadata, kept, labels_checksum, file_checksum) VALUES (s.id, :uri, :path, :digest, :size_bytes,
    :modified_ns, :labels_digest, :fields, :metadata, :kept, :labels_checksum, :file_checksum)

DELETE FROM lookalike_values_7 WHERE id IN (:id0)

INSERT INTO lookalike_values_7 (id, field_id, value_key) VALUES (:id, :field_id, :value_key)

DELETE FROM lookalike_words_7 WHERE id IN (:id0)

INSERT INTO lookalike_words_7 (id, words) VALUES (:id, :words)

MERGE INTO lookalike_vector_9 t USING (SELECT :id AS id FROM dual) s ON (t.id = s.id)
    WHEN MATCHED THEN UPDATE SET t.vector_checksum = :vector_checksum, t.embedding = :embedding
    WHEN NOT MATCHED THEN INSERT (id, vector_checksum, embedding)
    VALUES (s.id, :vector_checksum, :embedding)

COMMIT
{STALE}
SELECT object_type FROM user_objects WHERE object_name = :name AND object_type IN ('TABLE', 'VIEW',
    'SEQUENCE', 'SYNONYM', 'PROCEDURE', 'FUNCTION', 'PACKAGE', 'MATERIALIZED VIEW', 'TYPE', 'OPERATOR')

SELECT referenced_name FROM user_dependencies WHERE name = :name AND type = 'VIEW'

SELECT field_id, column_name, only_numbers FROM lookalike_fields
    WHERE collection_id = :collection_id ORDER BY field_id

SELECT vector_id, name FROM lookalike_vectors WHERE collection_id = :collection_id AND ready = 1
    ORDER BY vector_id

CREATE OR REPLACE VIEW "PARTS" ("ID", "URI", "PATH", "DIGEST", "LABEL", "COUNT", "METADATA", "VECTOR") AS
    SELECT r.id, r.uri, r.path, r.digest, j.f1, j.f2, r.metadata, v9.embedding
    FROM lookalike_records_7 r
    CROSS JOIN JSON_TABLE(r.fields, '$' COLUMNS (f1 VARCHAR2(4000) PATH '$."LABEL"',
    f2 NUMBER PATH '$."COUNT"')) j
    LEFT JOIN lookalike_vector_9 v9 ON v9.id = r.id

UPDATE lookalike_collections SET view_name = :view_name, view_revision = :revision
    WHERE collection_id = :collection_id

COMMIT
"""
    )
    ((_, (binds,)),) = recorder.asked("MERGE INTO lookalike_vector_9")
    assert binds["embedding"] == array("f", [1, 0, 0, 0])
    assert binds["vector_checksum"] == vector_checksum(one.id, CORNERS[0].tobytes())
    ((_, (binds,)),) = recorder.asked("MERGE INTO lookalike_records_7")
    assert binds["fields"] == {"LABEL": "bad", "COUNT": 3}
    assert binds["kept"] == {"fields": '{"label": "bad", "count": 3}', "metadata": '{"a": [1, "x"]}'}
    ((_, values),) = recorder.asked("INSERT INTO lookalike_values_7")
    assert [(row["field_id"], row["value_key"]) for row in values] == [
        (1, value_key("bad")),
        (2, value_key(3)),
    ]
    ((_, words),) = recorder.asked("INSERT INTO lookalike_words_7")
    assert words == [{"id": one.id, "words": "wbad w3 w1 wpicture wx"}]


def test_many_records_are_merged_in_batches_and_committed_once(recorder: Recorder, store: Store) -> None:
    records = [record(number) for number in range(1_100)]
    put(store, records, CORNERS[np.arange(1_100) % len(CORNERS)])
    for table in ("lookalike_records_7", "lookalike_vector_9"):
        assert [len(rows) for _, rows in recorder.asked(f"MERGE INTO {table}")] == [512, 512, 76]
    assert recorder.said.count("COMMIT") == 1


def test_a_batch_that_fails_leaves_nothing(recorder: Recorder, store: Store) -> None:
    recorder.answer("MERGE INTO lookalike_records_7", [], driver_error("ORA-01653: unable to extend", 1653))
    with pytest.raises(StoreFull, match="unable to extend"):
        put(store, [record(n) for n in range(600)], CORNERS[np.arange(600) % len(CORNERS)])
    assert "COMMIT" not in recorder.said
    assert recorder.said[-1] == "ROLLBACK"


def test_relabel_changes_only_the_records_that_are_there(recorder: Recorder, store: Store) -> None:
    recorder.answer("SELECT r.id, r.uri FROM lookalike_records_7", [(record(1).id, record(1).uri)])
    store.relabel("parts", [(record(1).id, {"a": 1}, {}), (record(2).id, {"never": 1}, {})])
    ((statement, rows),) = recorder.asked("UPDATE lookalike_records_7")
    assert statement == golden("""
UPDATE lookalike_records_7 SET labels_digest = :labels_digest, fields = :fields, metadata = :metadata,
    kept = :kept, labels_checksum = :labels_checksum WHERE id = :id
""")
    assert [row["id"] for row in rows] == [record(1).id]
    ((_, fields),) = recorder.asked("MERGE INTO lookalike_fields")
    assert [row["name"] for row in fields] == [{"name": '"a"'}]
    ((_, words),) = recorder.asked("INSERT INTO lookalike_words_7")
    assert words == [{"id": record(1).id, "words": "w1 w1 wpicture"}]


def test_remove_counts_what_was_there(recorder: Recorder, store: Store) -> None:
    recorder.answer("DELETE FROM lookalike_records_7", 512, 88)
    assert store.remove("parts", [record(n).id for n in range(600)]) == 600
    for table in ("lookalike_records_7", "lookalike_vector_9", "lookalike_values_7", "lookalike_words_7"):
        assert [len(rows[0]) for _, rows in recorder.asked(f"DELETE FROM {table}")] == [512, 512]
    assert recorder.said.count("COMMIT") == 1


def test_nearest_asks_exactly_and_binds_everything(recorder: Recorder, store: Store) -> None:
    recorder.answer("SELECT name_key, field_id", lookup("label", 3) + lookup("count", 4))
    near = [embedded(n) for n in (0, 8, 1)]
    recorder.answer("VECTOR_DISTANCE", near)
    recorder.answer("r.labels_checksum FROM", [row(n) for n in (0, 8)])
    where = {"label": ["bad", "worse"]}
    (hits,) = store.nearest(
        "parts", Query(CORNERS[:1], 2, where=where, exclude=[[record(1).id]], having="count")
    )
    assert [(hit.record, hit.similarity) for hit in hits] == [(record(0), 1.0), (record(8), 0.5)]
    ((statement, (binds,)),) = recorder.asked("VECTOR_DISTANCE")
    assert statement == golden("""
SELECT r.id, r.vector_checksum, r.embedding FROM lookalike_vector_9 r
    WHERE r.id IN (SELECT v.id FROM lookalike_values_7 v WHERE v.field_id = :field0
    AND v.value_key IN (:value0_0, :value0_1, :value0_2, :value0_3, :value0_4, :value0_5, :value0_6,
    :value0_7))
    AND r.id IN (SELECT v.id FROM lookalike_values_7 v WHERE v.field_id = :had)
    ORDER BY VECTOR_DISTANCE(r.embedding, :query, COSINE) FETCH EXACT FIRST :fetched ROWS ONLY
""")
    assert binds["query"] == array("f", CORNERS[0])
    assert (binds["field0"], binds["had"], binds["fetched"]) == (3, 4, 2 + 8 + 1)
    assert {value for name, value in binds.items() if name.startswith("value0_")} == {
        value_key("bad"),
        value_key("worse"),
    }
    ((statement, _),) = recorder.asked("r.labels_checksum FROM")
    assert statement == golden("""
SELECT r.id, r.uri, r.digest, r.size_bytes, r.modified_ns, r.kept, r.file_checksum, r.labels_checksum
    FROM lookalike_records_7 r
    WHERE r.id IN (:id0, :id1, :id2, :id3, :id4, :id5, :id6, :id7)
""")


def test_many_values_are_one_bind(recorder: Recorder, store: Store) -> None:
    recorder.answer("SELECT name_key, field_id", lookup("n", 3))
    store.nearest("parts", Query(CORNERS[:1], 2, where={"n": list(range(70_000))}))
    ((statement, (binds,)),) = recorder.asked("VECTOR_DISTANCE")
    assert (
        golden("""
v.value_key IN (SELECT j.value_key FROM JSON_TABLE(:values0, '$[*]'
    COLUMNS (value_key VARCHAR2(32) PATH '$')) j))
""")
        in statement
    )
    assert len(binds["values0"]) == 70_000


def test_an_unknown_field_is_not_asked_for(recorder: Recorder, store: Store) -> None:
    assert store.nearest("parts", Query(CORNERS[:2], 2, where={"none": ["x"]})) == [[], []]
    assert list(store.scan("parts", {"none": ["x"]})) == []
    assert recorder.asked("VECTOR_DISTANCE") == recorder.asked("ORDER BY r.id") == []


def test_approximate_search_asks_again_exactly_where_few_came(recorder: Recorder, store: Store) -> None:
    recorder.answer(ONE, [place(index=("hnsw", 0.99, 10, 200))])
    recorder.answer("FETCH APPROX", [embedded(8)])
    recorder.answer("FETCH EXACT", [embedded(n) for n in (0, 8)])
    recorder.answer("r.labels_checksum FROM", [row(n) for n in (0, 8)])
    found = store.nearest("parts", Query(CORNERS[:2], 2, approximate=True))
    assert [len(hits) for hits in found] == [2, 2]
    asked = [statement.partition("FETCH ")[2] for statement, _ in recorder.asked("VECTOR_DISTANCE")]
    assert asked == [
        *["APPROX FIRST :fetched ROWS ONLY WITH TARGET ACCURACY 95"] * 2,
        *["EXACT FIRST :fetched ROWS ONLY"] * 2,
    ]


def test_without_an_index_approximate_search_is_exact(recorder: Recorder, store: Store) -> None:
    assert store.nearest("parts", Query(CORNERS[:1], 2, approximate=True)) == [[]]
    assert recorder.asked("FETCH APPROX") == []


def test_a_record_that_is_removed_during_a_search_is_not_missed(recorder: Recorder, store: Store) -> None:
    both = [embedded(n) for n in (0, 8)]
    recorder.answer("VECTOR_DISTANCE", both, both[1:])
    recorder.answer("r.labels_checksum FROM", [row(8)])
    (hits,) = store.nearest("parts", Query(CORNERS[:1], 2))
    assert [hit.record for hit in hits] == [record(8)]


@pytest.mark.parametrize(
    ("option", "tried", "built"),
    [
        ("", ["hnsw", "ivf"], "ivf"),
        ("?approximate=ivf", ["ivf"], "ivf"),
        ("?approximate=hnsw", ["hnsw"], None),
    ],
)
def test_where_the_graph_has_no_memory_partitions_are_built(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, option: str, tried: list[str], built: str | None
) -> None:
    measured = Approximation("ivf", 0.98, 10, 200)
    monkeypatch.setattr("lookalike.stores.store.measure_recall", lambda *_: measured)
    recorder.answer(ONE, [PLACE])
    recorder.answer("SELECT COUNT(*)", [(5,)])
    recorder.answer("NOT EXISTS", [(0,)])
    recorder.answer("ORDER BY r.id", [(f"{n:032x}",) for n in range(5)])
    recorder.answer("v9.embedding FROM", [joined(n) for n in range(5)])
    recorder.answer(
        "NEIGHBOR GRAPH", driver_error("ORA-51962: The vector memory area is out of space", 51962)
    )
    with oracle(URL + option) as store:
        if built is None:
            with pytest.raises(StoreError, match="vector memory area"):
                store.build_index("parts")
        else:
            assert store.build_index("parts") == measured
    asked = [statement for statement, _ in recorder.asked("VECTOR INDEX")]
    assert asked == [index_statement(kind, 9) for kind in tried]
    kinds = [rows[0]["kind"] for _, rows in recorder.asked("SET index_kind")]
    assert kinds == ([None] if built is None else [None, built, built])


def test_vector_indexes_are_made_with_these_statements() -> None:
    assert index_statement("hnsw", 9) == golden("""
CREATE VECTOR INDEX lookalike_index_9 ON lookalike_vector_9 (embedding)
    ORGANIZATION INMEMORY NEIGHBOR GRAPH DISTANCE COSINE WITH TARGET ACCURACY 95
""")
    assert index_statement("ivf", 9) == golden("""
CREATE VECTOR INDEX lookalike_index_9 ON lookalike_vector_9 (embedding)
    ORGANIZATION NEIGHBOR PARTITIONS DISTANCE COSINE WITH TARGET ACCURACY 95
""")


def test_an_empty_collection_gets_no_index(recorder: Recorder, store: Store) -> None:
    with pytest.raises(Unanswerable, match="empty"):
        store.build_index("parts")
    assert recorder.asked("INDEX") == []


def test_words_are_asked_for_as_data(recorder: Recorder, store: Store) -> None:
    recorder.answer("SELECT name_key, field_id", lookup("label", 3))
    bad = [record(number, {"label": "bad"}) for number in (8, 0)]
    recorder.answer("CONTAINS", [row(one) for one in bad])
    assert store.search_words("parts", "{weld} AND 탱크 & w%", 2, {"label": ["bad"]}) == bad
    ((statement, (binds,)),) = recorder.asked("CONTAINS")
    assert statement == golden("""
SELECT r.id, r.uri, r.digest, r.size_bytes, r.modified_ns, r.kept, r.file_checksum, r.labels_checksum
    FROM lookalike_words_7 w JOIN lookalike_records_7 r ON r.id = w.id
    WHERE CONTAINS(w.words, :words, 1) > 0
    AND r.id IN (SELECT v.id FROM lookalike_values_7 v WHERE v.field_id = :field0
    AND v.value_key IN (:value0_0))
    ORDER BY SCORE(1) DESC, r.id FETCH FIRST :fetched ROWS ONLY
""")
    korean = "u" + hashlib.sha256("탱크".encode()).hexdigest()[:16]
    assert binds["words"] == f"{{wweld}},{{wand}},{{{korean}}},{{ww}}"
    assert binds["fetched"] == 2
    done = len(recorder.said)
    assert store.search_words("parts", "?!", 2) == []
    assert store.search_words("parts", "weld", 2, {"label": []}) == []
    assert "CONTAINS" not in since(recorder, done)


def test_of_a_long_question_as_many_words_are_asked_for_as_one_bind_takes(
    recorder: Recorder, store: Store
) -> None:
    store.search_words("parts", " ".join(f"{number:x}abcdefghijklmnopqrstuvwxyz" for number in range(99)), 2)
    ((_, (binds,)),) = recorder.asked("CONTAINS")
    assert 950 < len(binds["words"]) <= 1000
    assert re.fullmatch(r"(\{w\w+\},)*\{w\w+\}", binds["words"])


def test_without_oracle_text_all_else_works(recorder: Recorder, store: Store) -> None:
    recorder.answer(ONE, [NOBODY], [NOBODY], [PLACE])
    recorder.answer("SELECT version", [(1,)])
    recorder.answer("NEXTVAL", [(7,)], [(9,)])
    recorder.answer("CTXSYS.CONTEXT", driver_error("ORA-29833: indextype does not exist", 29833))
    assert store.create("parts", SPACE).count == 0
    assert [statement for statement, _ in recorder.asked("DROP")] == [
        "DROP INDEX IF EXISTS lookalike_text_7 FORCE"
    ]
    put(store, [record(1)], CORNERS[:1])
    recorder.answer(
        "CONTAINS", driver_error("ORA-30600: Oracle Text error\nDRG-10599: column is not indexed", 30600)
    )
    with pytest.raises(Unanswerable, match="no text index"):
        store.search_words("parts", "weld", 2)
    recorder.answer("CONTAINS", driver_error("ORA-00936: missing expression", 936))
    with pytest.raises(StoreError, match="missing expression"):
        store.search_words("parts", "weld", 2)


def test_a_new_name_is_one_transaction(recorder: Recorder, store: Store) -> None:
    done = len(recorder.said)
    store.rename("parts", "others")
    assert since(recorder, done) == golden(f"""
{FIND}
{LOCK}
{FIND}
UPDATE lookalike_collections SET name_key = :name_key, name = :name, revision = revision + 1
    WHERE collection_id = :collection_id

COMMIT
{STALE}
""")
    ((_, (binds,)),) = recorder.asked("SET name_key")
    assert (binds["collection_id"], binds["name"]) == (7, "others")
    recorder.answer("SET name_key", driver_error("ORA-00001: unique constraint", 1))
    with pytest.raises(CollectionExists, match="others"):
        store.rename("parts", "others")
    assert recorder.said[-1] == "ROLLBACK"


def test_a_name_that_changed_hands_before_it_was_locked_is_locked_again(
    recorder: Recorder, store: Store
) -> None:
    recorder.answer(ONE, [PLACE], [place(9)])
    assert store.remove("parts", []) == 0
    locked = [rows[0]["collection_id"] for _, rows in recorder.asked("FOR UPDATE")]
    assert locked == [7, 9]
    assert recorder.said[-1] == "COMMIT"


# Named vectors


(UPDATE_VECTOR,) = golden("""
UPDATE lookalike_vectors SET ready = :ready, becomes_default = :becomes_default WHERE vector_id = :vector_id
""").splitlines()
(UPDATE_DEFAULT,) = golden("""
UPDATE lookalike_collections SET default_vector = :default_vector, revision = revision + 1
    WHERE collection_id = :collection_id
""").splitlines()
FITTED = Space("some-model", "ab" * 32, 2, "cd" * 32)
TURNED = np.array([[1, 0], [0, 1]], np.float32)


def test_a_further_vector_has_its_table_before_its_row(recorder: Recorder, store: Store) -> None:
    recorder.answer("SELECT COUNT(*)", [(5,)])
    recorder.answer("NEXTVAL", [(11,)])
    done = len(recorder.said)
    store.add_vector("parts", "fitted", FITTED, b"metric", becomes_default=True)
    expected = golden(f"""
{FIND}
{LOCK}
{FIND}
SELECT COUNT(*) FROM lookalike_records_7 r

ROLLBACK

SELECT lookalike_numbers.NEXTVAL FROM dual

CREATE TABLE lookalike_vector_11 ( id VARCHAR2(512) PRIMARY KEY, vector_checksum RAW(8) NOT NULL,
    embedding VECTOR(2, FLOAT32) )
{FIND}
{LOCK}
{FIND}
SELECT COUNT(*) FROM lookalike_records_7 r

INSERT INTO lookalike_vectors (vector_id, collection_id, name, embedder, embedder_fingerprint, dimension,
    metric_fingerprint, ready, becomes_default) VALUES (:vector_id, :collection_id, :name, :embedder,
    :embedder_fingerprint, :dimension, :metric_fingerprint, :ready, :becomes_default)

{UPDATE_DEFAULT}

DELETE FROM lookalike_metrics WHERE vector_id = :vector_id

INSERT INTO lookalike_metrics (vector_id, metric) VALUES (:vector_id, :metric)

COMMIT
{STALE}
""")
    assert since(recorder, done).startswith(expected)
    ((_, (binds,)),) = recorder.asked("INSERT INTO lookalike_vectors")
    assert (binds["vector_id"], binds["collection_id"], binds["name"], binds["dimension"]) == (
        *(11, 7, "fitted", 2),
    )
    assert (binds["ready"], binds["becomes_default"]) == (0, 1)
    assert recorder.asked("DROP") == []


def test_the_metric_of_a_vector_that_is_there_is_kept_anew_and_nothing_else(
    recorder: Recorder, store: Store
) -> None:
    recorder.answer(ONE, [PLACE, fitted(11, ready=1)])
    recorder.answer("view_revision IS NULL", [])
    store.add_vector("parts", "fitted", FITTED, b"another")
    begun = recorder.said.index(" ".join(golden(LOCK).split()))
    assert recorder.said[begun + 2 :][:4] == [
        "DELETE FROM lookalike_metrics WHERE vector_id = :vector_id",
        "INSERT INTO lookalike_metrics (vector_id, metric) VALUES (:vector_id, :metric)",
        "COMMIT",
        *golden(STALE).splitlines(),
    ]
    ((_, (binds,)),) = recorder.asked("INSERT INTO lookalike_metrics")
    assert binds == {"vector_id": 11, "metric": b"another"}


def test_what_another_process_declared_first_is_taken_and_our_table_goes(
    recorder: Recorder, store: Store
) -> None:
    recorder.answer("SELECT COUNT(*)", [(5,)])
    recorder.answer("NEXTVAL", [(11,)])
    recorder.answer(ONE, [PLACE], [PLACE], [PLACE, fitted(10)])
    store.add_vector("parts", "fitted", FITTED)
    assert recorder.asked("INSERT INTO") == []
    assert "COMMIT" not in recorder.said
    assert [statement for statement, _ in recorder.asked("DROP")] == [
        "DROP TABLE IF EXISTS lookalike_vector_11 CASCADE CONSTRAINTS PURGE"
    ]


def test_a_vector_that_cannot_be_declared_leaves_no_table(recorder: Recorder, store: Store) -> None:
    recorder.answer("SELECT COUNT(*)", [(5,)])
    recorder.answer("NEXTVAL", [(11,)])
    recorder.answer("CREATE TABLE lookalike_vector_11", driver_error("ORA-01658: unable to create", 1658))
    with pytest.raises(StoreFull):
        store.add_vector("parts", "fitted", FITTED)
    with pytest.raises(InvalidArgument, match="65535"):
        store.add_vector("parts", "fitted", Space("m", "f", 70_000))
    assert recorder.asked("INSERT INTO") == []
    assert "COMMIT" not in recorder.said


def test_a_finished_vector_becomes_the_default_in_one_step_and_the_old_one_goes_afterwards(
    recorder: Recorder, store: Store
) -> None:
    recorder.answer(ONE, [PLACE, fitted(11, ready=1), (*fitted(13)[:9], "ee" * 32, *fitted(13)[10:])])
    recorder.answer("SELECT COUNT(*)", [(0,)])
    recorder.answer("view_revision IS NULL", [(7, "parts", 2, '"PARTS"', "fitted")])
    recorder.answer("SELECT vector_id, name", [(9, "image"), (13, "fitted")])
    store.finish_vector("parts", Space("some-model", "ab" * 32, 2, "ee" * 32))
    done = recorder.said.index(" ".join(golden(LOCK).split()))
    said = recorder.said[done:]
    ended = said.index("COMMIT")
    assert said[ended - 4 : ended] == [
        "DELETE FROM lookalike_metrics WHERE vector_id = :vector_id",
        "DELETE FROM lookalike_vectors WHERE vector_id = :vector_id",
        UPDATE_VECTOR,
        UPDATE_DEFAULT,
    ]
    ((_, (binds,)),) = recorder.asked("DELETE FROM lookalike_vectors")
    assert binds == {"vector_id": 11}
    ((_, (binds,)),) = recorder.asked("SET ready")
    assert binds == {"vector_id": 13, "ready": 1, "becomes_default": 0}
    ((_, (binds,)),) = recorder.asked("SET default_vector")
    assert binds == {"collection_id": 7, "default_vector": "fitted"}
    view = next(line for line in said if line.startswith("CREATE OR REPLACE VIEW"))
    assert view == golden("""
CREATE OR REPLACE VIEW "PARTS" ("ID", "URI", "PATH", "DIGEST", "METADATA", "VECTOR", "VECTOR_IMAGE") AS
    SELECT r.id, r.uri, r.path, r.digest, r.metadata, v13.embedding, v9.embedding
    FROM lookalike_records_7 r LEFT JOIN lookalike_vector_13 v13 ON v13.id = r.id
    LEFT JOIN lookalike_vector_9 v9 ON v9.id = r.id
""")
    dropped = said.index("DROP TABLE IF EXISTS lookalike_vector_11 CASCADE CONSTRAINTS PURGE")
    assert ended < said.index(view) < dropped


def test_a_vector_that_records_lack_is_not_finished(recorder: Recorder, store: Store) -> None:
    recorder.answer(ONE, [PLACE, fitted(11)])
    recorder.answer("SELECT COUNT(*)", [(2,)])
    with pytest.raises(VectorIncomplete):
        store.finish_vector("parts", FITTED)
    assert "COMMIT" not in recorder.said
    ((statement, _),) = recorder.asked("NOT EXISTS")
    assert statement == golden("""
SELECT COUNT(*) FROM lookalike_records_7 r
    WHERE NOT EXISTS (SELECT 1 FROM lookalike_vector_11 v WHERE v.id = r.id)
""")


def test_a_vector_is_filled_in_where_it_is_lacking_and_the_picture_is_the_same(
    recorder: Recorder, store: Store
) -> None:
    recorder.answer(ONE, [PLACE, fitted(11)])
    recorder.answer("r.digest FROM", [(record(1).id, record(1).digest), (record(2).id, "another")])
    assert store.fill("parts", FITTED, [record(1), record(2)], TURNED) == 1
    ((statement, _),) = recorder.asked("r.digest FROM")
    assert statement == golden("""
SELECT r.id, r.digest FROM lookalike_records_7 r
    WHERE r.id IN (:id0, :id1, :id2, :id3, :id4, :id5, :id6, :id7)
    AND NOT EXISTS (SELECT 1 FROM lookalike_vector_11 v WHERE v.id = r.id)
""")
    ((statement, rows),) = recorder.asked("INSERT INTO lookalike_vector_11")
    assert statement == golden("""
INSERT INTO lookalike_vector_11 (id, vector_checksum, embedding)
    VALUES (:id, :vector_checksum, :embedding)
""")
    assert [(row["id"], row["embedding"]) for row in rows] == [(record(1).id, array("f", TURNED[0]))]
    assert recorder.said[-1] == "COMMIT"


def test_what_lacks_a_vector_is_asked_for_in_order(recorder: Recorder, store: Store) -> None:
    recorder.answer(ONE, [PLACE, fitted(11)])
    recorder.answer("NOT EXISTS", [(record(1).id,)])
    assert store.lacking("parts", FITTED, 10) == [record(1).id]
    ((statement, (binds,)),) = recorder.asked("NOT EXISTS")
    assert statement == golden("""
SELECT r.id FROM lookalike_records_7 r
    WHERE NOT EXISTS (SELECT 1 FROM lookalike_vector_11 v WHERE v.id = r.id)
    ORDER BY r.id FETCH FIRST :fetched ROWS ONLY
""")
    assert binds == {"fetched": 10}


def test_all_declared_vectors_are_put_in_one_transaction_or_nothing_is(
    recorder: Recorder, store: Store
) -> None:
    recorder.answer(ONE, [PLACE, fitted(11)])
    with pytest.raises(SpaceMismatch):
        put(store, [record(1)], CORNERS[:1])
    assert recorder.asked("MERGE") == []
    store.put("parts", [record(1)], {SPACE: CORNERS[:1], FITTED: TURNED[:1]})
    assert [len(recorder.asked(f"MERGE INTO lookalike_vector_{number}")) for number in (9, 11)] == [1, 1]
    assert recorder.said.count("COMMIT") == 1


def test_a_record_and_its_vectors_are_read_by_one_statement_and_no_other_vector(
    recorder: Recorder, store: Store
) -> None:
    recorder.answer(ONE, [PLACE, fitted(11, ready=1), fitted(13)])
    recorder.answer("ON c.collection_id = :collection_id", [PLACE, fitted(11, ready=1)])
    recorder.answer("SELECT r.id FROM", [(record(1).id,)])
    other = vector_binds(record(1).id, TURNED[0])
    recorder.answer("v11.embedding FROM", [(*joined(1), other["vector_checksum"], other["embedding"])])
    ((records, vectors),) = store.scan_vectors("parts")
    assert records == [record(1)]
    assert {space: rows.tolist() for space, rows in vectors.items()} == {
        SPACE: [CORNERS[1].tolist()],
        FITTED: [[1, 0]],
    }
    ((statement, _),) = recorder.asked("v11.embedding")
    assert statement == golden("""
SELECT r.id, r.uri, r.digest, r.size_bytes, r.modified_ns, r.kept, r.file_checksum, r.labels_checksum,
    v9.vector_checksum, v9.embedding, v11.vector_checksum, v11.embedding FROM lookalike_records_7 r
    LEFT JOIN lookalike_vector_9 v9 ON v9.id = r.id LEFT JOIN lookalike_vector_11 v11 ON v11.id = r.id
    WHERE r.id IN (:id0)
""")
    assert "lookalike_vector_13" not in since(recorder)
    recorder.answer("r.labels_checksum FROM", [row(1)])
    done = len(recorder.said)
    assert store.get("parts", [record(1).id]) == [record(1)]
    assert "lookalike_vector" not in since(recorder, done).replace("lookalike_vectors", "")


def test_a_vector_that_is_replaced_while_it_is_searched_is_searched_again(
    recorder: Recorder, store: Store
) -> None:
    recorder.answer(ONE, [PLACE], [place(index=("ivf", 1, 10, 200))])
    recorder.answer("VECTOR_DISTANCE", driver_error("ORA-00942: no table", 942), [embedded(0)])
    recorder.answer("r.labels_checksum FROM", [row(0)])
    (hits,) = store.nearest("parts", Query(CORNERS[:1], 1))
    assert [hit.record for hit in hits] == [record(0)]


def test_a_vector_without_its_record_is_told_and_left_out(recorder: Recorder, store: Store) -> None:
    recorder.answer("VECTOR_DISTANCE", [embedded(n) for n in (0, 8)])
    recorder.answer("r.labels_checksum FROM", [row(8)])
    recorder.answer("SELECT v.id FROM lookalike_vector_9", [(record(0).id,)], [])
    (hits,) = store.nearest("parts", Query(CORNERS[:1], 1))
    assert [hit.record for hit in hits] == [record(8)]
    assert [damage.id for damage in store.damage.found("parts")] == [record(0).id]
    asked = [statement for statement, _ in recorder.asked("SELECT v.id FROM lookalike_vector_9 v")]
    assert asked[0] == golden("""
SELECT v.id FROM lookalike_vector_9 v WHERE v.id IN (:id0)
    AND NOT EXISTS (SELECT 1 FROM lookalike_records_7 r WHERE r.id = v.id)
""")


def test_a_field_and_a_vector_keep_the_column_that_they_had_first() -> None:
    (field,) = plan_fields([], [{"vector_fitted": 1}])
    columns = vector_columns([(9, "image"), (11, "fitted"), (13, "my-words")], "image", [field])
    assert columns == {"VECTOR": 9, "VECTOR_FITTED_2": 11, "VECTOR_MY-WORDS": 13}
    (later,) = plan_fields([], [{"vector_fitted": 1}], ["image", "fitted"])
    assert later.column == "VECTOR_FITTED_2"


def test_the_tables_of_another_version_are_known_where_this_one_has_more(
    recorder: Recorder, store: Store
) -> None:
    recorder.answer(ONE, driver_error("ORA-00942: no lookalike_vectors", 942))
    recorder.answer("SELECT version", [(2,)])
    with pytest.raises(StoreOlder):
        store.collection("parts")


def test_delete_takes_the_row_first_and_what_cannot_be_dropped_stays_for_later(
    recorder: Recorder, store: Store
) -> None:
    recorder.answer("SELECT COUNT(*)", [(5,)])
    recorder.answer("SELECT view_name", [('"PARTS"',)])
    recorder.answer("user_dependencies", [("LOOKALIKE_RECORDS_7",)])
    recorder.answer("DROP TABLE", driver_error("ORA-00054: resource busy", 54))
    assert store.delete("parts") == 5
    assert recorder.said[-8:] == [
        "DELETE FROM lookalike_metrics WHERE vector_id = :vector_id",
        "DELETE FROM lookalike_vectors WHERE vector_id = :vector_id",
        "DELETE FROM lookalike_fields WHERE collection_id = :collection_id",
        "DELETE FROM lookalike_collections WHERE collection_id = :collection_id",
        "COMMIT",
        "SELECT referenced_name FROM user_dependencies WHERE name = :name AND type = 'VIEW'",
        'DROP VIEW "PARTS"',
        "DROP TABLE IF EXISTS lookalike_vector_9 CASCADE CONSTRAINTS PURGE",
    ]


def test_what_a_kill_left_behind_is_cleared_away(recorder: Recorder) -> None:
    recorder.answer(ONE, [NOBODY], [NOBODY], [PLACE])
    recorder.answer("SELECT version", [(1,)])
    recorder.answer("NEXTVAL", [(7,)], [(9,)])
    recorder.answer("SELECT COUNT(*)", [(0,)])
    recorder.answer("o.created", [("LOOKALIKE_RECORDS_3",), ("LOOKALIKE_RECORDS_4; DROP TABLE x",)])
    with oracle() as store:
        store.create("parts", SPACE)
    assert [statement for statement, _ in recorder.asked("DROP")] == [
        "DROP TABLE IF EXISTS LOOKALIKE_RECORDS_3 CASCADE CONSTRAINTS PURGE"
    ]


def test_a_table_or_view_of_somebody_else_is_not_replaced(recorder: Recorder, store: Store) -> None:
    recorder.answer("view_revision IS NULL", [(7, "parts", 2, None, "image")])
    recorder.answer("user_objects WHERE object_name = :name", [("TABLE",)], [("VIEW",)])
    recorder.answer("user_dependencies", [("ORDERS",)])
    for _ in range(2):
        put(store, [record(1, {"a": 1})], CORNERS[:1])
    assert recorder.asked("CREATE OR REPLACE VIEW") == []
    assert [rows[0]["view_name"] for _, rows in recorder.asked("SET view_name")] == [None, None]


def test_a_scan_reads_ids_first_and_ends_where_the_collection_does(recorder: Recorder, store: Store) -> None:
    recorder.answer("ORDER BY r.id", [(f"{n:032x}",) for n in range(1_500)])
    recorder.answer(
        "v9.embedding FROM",
        [joined(0)],
        [joined(1)],
        driver_error("ORA-00942: table or view does not exist", 942),
    )
    recorder.answer("ON c.collection_id = :collection_id", [PLACE], [PLACE], [])
    ((records, vectors),) = store.scan("parts")
    assert sorted(one.uri for one in records) == [record(0).uri, record(1).uri]
    assert vectors.dtype == np.float32
    assert len(recorder.asked("v9.embedding FROM")) == 3


def test_what_is_read_comes_from_rows_as_they_are(recorder: Recorder, store: Store) -> None:
    long = record("x" * 5_000, {"b": 1})
    other = place(8, "others", index=("ivf", 1, 10, 200))
    recorder.answer("ON c.collection_id > 0", [PLACE, other])
    recorder.answer("lookalike_records_8", driver_error("ORA-00942: dropped just now", 942))
    recorder.answer(
        "SELECT field_id, name,", [(1, {"name": '"\\udcff"'}, "_", 1), (2, {"name": '"a"'}, "A", 0)]
    )
    recorder.answer("SELECT metric", [(b"metric",)], [])
    recorder.answer(
        "r.labels_digest",
        [
            (
                one.uri if one is not long else None,
                one.id,
                one.size,
                one.modified_ns,
                "d",
                one.digest,
                checksum,
            )
            for one, checksum in (
                (one, file_checksum(one.id, one.uri, one.digest, one.size, one.modified_ns))
                for one in (record(1), long, record(2))
            )
        ]
        + [(record(3).uri, record(3).id, 5, 6, "d", record(3).digest, b"other")],
    )
    recorder.answer("SELECT r.id, r.kept", [(long.id, record_binds(stored_record(long), {"b": "B"})["kept"])])
    (collection,) = store.collections()
    assert (collection.name, collection.fields, collection.count) == ("parts", ("a", "\udcff"), 0)
    recorder.answer(ONE, [place(index=("ivf", 1, 10, 200))])
    assert store.collection("parts").approximation == Approximation("ivf", 1.0, 10, 200)
    assert [store.metric("parts"), store.metric("parts")] == [b"metric", None]
    assert store.stamps("parts") == {
        one.uri: Stamp(one.id, one.size, one.modified_ns, "d") for one in (record(1), long, record(2))
    }
    assert [damage.id for damage in store.damage.found("parts")] == [record(3).id]


@pytest.mark.parametrize(
    ("again", "error"),
    [
        ([[PLACE]], StoreCorrupt),
        ([[place(8)], [place(9)], [place(10)]], StoreBusy),
        ([[NOBODY]], CollectionNotFound),
    ],
)
def test_a_table_that_goes_while_it_is_read_is_told(
    recorder: Recorder, store: Store, again: Any, error: type[Exception]
) -> None:
    recorder.answer(ONE, [PLACE], *again)
    recorder.answer("r.labels_checksum FROM", driver_error("ORA-08103: object no longer exists", 8103))
    with pytest.raises(error):
        store.get("parts", [record(1).id])


def test_sql_runs_in_a_read_only_transaction_and_values_come_as_in_other_stores(
    recorder: Recorder, store: Store
) -> None:
    recorder.answer("FROM parts", [(1, "x", None, array("f", [1, 0]), {"a": ["탱크"]}, b"y")])
    table = store.sql("SELECT * FROM parts;")
    assert table.rows == [(1, "x", None, np.array([1, 0], np.float32).tobytes(), '{"a": ["탱크"]}', b"y")]
    assert recorder.said[-4:] == ["ROLLBACK", "SET TRANSACTION READ ONLY", "SELECT * FROM parts", "ROLLBACK"]
    assert recorder.connections[0].call_timeout == 0


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (driver_error("ORA-01456: may not perform insert in a READ ONLY transaction", 1456), "that read"),
        (driver_error("ORA-00942: table or view does not exist", 942), "does not exist"),
        (driver_error("ORA-01031: insufficient privileges", 1031), "insufficient privileges"),
        (driver_error("ORA-00904: invalid\nORA-06512: at line 1", 904), "SQL: ORA-00904: invalid$"),
    ],
)
def test_sql_that_the_server_refuses_is_refused_in_one_line(
    recorder: Recorder, store: Store, raised: Exception, message: str
) -> None:
    recorder.answer("FROM parts", raised)
    with pytest.raises(QueryRefused, match=message) as refused:
        store.sql("SELECT * FROM parts FOR UPDATE")
    assert "\n" not in str(refused.value)
    assert recorder.said[-1] == "ROLLBACK"


def test_sql_that_takes_too_long_is_stopped(recorder: Recorder, store: Store) -> None:
    """The driver breaks it off, and the server says so; somebody else's break is not ours."""
    broken = driver_error("ORA-01013: user requested cancel of current operation", 1013)
    recorder.answer("FROM parts", broken, broken)
    with pytest.raises(QueryStopped, match="not answered within 1e-09 seconds"):
        store.sql("SELECT * FROM parts", 1e-9)
    with pytest.raises(StoreBusy):
        store.sql("SELECT * FROM parts", 1e9)


def test_sql_that_answers_with_too_much_is_stopped(
    recorder: Recorder, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AnswerLimit.__init__, "__defaults__", (1 << 20,))
    recorder.answer("FROM parts", [(n, array("f", [0] * 1000)) for n in range(300)])
    with pytest.raises(QueryStopped, match="more than 1 MB"):
        store.sql("SELECT id, vector FROM parts")
    assert recorder.said[-1] == "ROLLBACK"


def test_sql_waits_for_a_table_that_was_made_a_moment_ago(
    recorder: Recorder, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lookalike.stores.oracle.sql._PAUSE", 0.0)
    recorder.answer("FROM parts", driver_error("ORA-01466: definition has changed", 1466), [(1,)])
    assert store.sql("SELECT count(*) FROM parts").rows == [(1,)]
    assert recorder.said.count("SET TRANSACTION READ ONLY") == 2


@pytest.mark.parametrize(
    "statement",
    [
        "",
        ";",
        "selec 1",
        "-- SELECT",
        "/* SELECT */ DELETE FROM parts",
        "BEGIN NULL; END;",
        "ALTER SESSION SET x = 1",
        "WITH FUNCTION f RETURN NUMBER IS BEGIN RETURN 1; END; SELECT f FROM dual",
        "with /* a */ procedure p IS BEGIN NULL; END; SELECT 1 FROM dual",
        "SELECTED",
        "SET TRANSACTION READ WRITE",
        "CREATE TABLE a (b NUMBER)",
    ],
)
def test_only_a_statement_that_reads_leaves_the_store(
    recorder: Recorder, store: Store, statement: str
) -> None:
    with pytest.raises(QueryRefused):
        store.sql(statement)
    assert recorder.said == []


@pytest.mark.parametrize(
    ("statement", "sent"),
    [
        ("select 1 from dual ; \n", "select 1 from dual"),
        ("-- a\n/* b */ (SELECT 1 FROM dual)", "-- a\n/* b */ (SELECT 1 FROM dual)"),
        ("WITH functions AS (SELECT 1 a FROM dual) SELECT a FROM functions", None),
    ],
)
def test_a_statement_that_reads_is_sent_as_it_is(statement: str, sent: str | None) -> None:
    assert only_reading(statement) == (sent or statement)


# What is never said


@pytest.mark.parametrize(
    "text", [text for text in STRANGE_TEXTS if text.strip()] + ["'; DROP TABLE x; --"], ids=ascii
)
def test_no_text_of_a_user_is_in_a_statement(recorder: Recorder, store: Store, text: str) -> None:
    recorder.answer("SELECT name_key, field_id", lookup(text, 1))
    recorder.answer("view_revision IS NULL", [(7, "parts", 2, None, "image")])
    (field,) = plan_fields([], [{text: text}])
    recorder.answer("SELECT field_id, column_name", [(1, field.column, 0)])
    one = record(1, {text: text}, metadata={text: text})
    put(store, [one], CORNERS[:1])
    list(store.scan("parts", {text: [text]}))
    store.nearest("parts", Query(CORNERS[:1], 2, where={text: [text, 1]}, exclude=[[text]], having=text))
    store.get("parts", [text])
    store.remove("parts", [text])
    store.ids_by_digest("parts", text)
    with pytest.raises(InvalidArgument):
        store.create(text + " ", SPACE)
    recorder.answer(ONE, [NOBODY])
    with pytest.raises(CollectionNotFound):
        store.collection(text)
    for statement, _ in recorder.binds:
        if statement.startswith("CREATE OR REPLACE VIEW"):
            # Here alone a name stands, checked and between quotes: neither can end the other.
            assert statement.count(field.column) == 2
            assert re.search(r"[\"'\\\0\n]", field.column) is None
        else:
            assert text not in statement, statement


def test_no_bind_or_column_of_ours_is_a_reserved_word() -> None:
    names = set(
        re.findall(
            r"^\s+(\w+) [A-Z]",
            "\n".join(
                (*TABLES, *collection_tables(1), vector_table_statement(2, 4), words_table_statement(1))
            ),
            re.MULTILINE,
        )
    )
    matching = filter_of(1, {"a": 1}, {"a": ["x"]}, "a")
    assert matching is not None
    statements: tuple[str, ...] = (
        put_statement(1),
        put_vector_statement(2),
        fill_statement(2),
        relabel_statement(1),
        matching.condition,
    )
    statements += (nearest_statement(1, "", approximate=True), find_statement(1, ""))
    names |= {name for statement in statements for name in placeholders("SELECT " + statement)}
    assert len(names) > 30
    assert {name.upper() for name in names} & RESERVED == set()


# Oracle Database SQL Language Reference, "Oracle SQL Reserved Words".
WORDS = """
    ACCESS ADD ALL ALTER AND ANY AS ASC AUDIT BETWEEN BY CHAR CHECK CLUSTER COLUMN COLUMN_VALUE COMMENT
    COMPRESS CONNECT CREATE CURRENT DATE DECIMAL DEFAULT DELETE DESC DISTINCT DROP ELSE EXCLUSIVE EXISTS FILE
    FLOAT FOR FROM GRANT GROUP HAVING IDENTIFIED IMMEDIATE IN INCREMENT INDEX INITIAL INSERT INTEGER INTERSECT
    INTO IS LEVEL LIKE LOCK LONG MAXEXTENTS MINUS MLSLABEL MODE MODIFY NESTED_TABLE_ID NOAUDIT NOCOMPRESS NOT
    NOWAIT NULL NUMBER OF OFFLINE ON ONLINE OPTION OR ORDER PCTFREE PRIOR PUBLIC RAW RENAME RESOURCE REVOKE
    ROW ROWID ROWNUM ROWS SELECT SESSION SET SHARE SIZE SMALLINT START SUCCESSFUL SYNONYM SYSDATE TABLE THEN
    TO TRIGGER UID UNION UNIQUE UPDATE USER VALIDATE VALUES VARCHAR VARCHAR2 VIEW WHENEVER WHERE WITH
"""
RESERVED = frozenset(WORDS.split())

FILTER = "r.id IN (SELECT v.id FROM lookalike_values_7 v WHERE v.field_id = :had)"
VECTORS = {"VECTOR": 9, "VECTOR_FITTED": 11}
VIEW = view_statement('"PARTS"', 7, [Field(1, "label", "LABEL", False), Field(2, "n", "N", True)], VECTORS)


@pytest.mark.parametrize(
    "statement",
    [
        *TABLES,
        *collection_tables(7),
        put_statement(7),
        put_vector_statement(9),
        fill_statement(9),
        relabel_statement(7),
        VIEW,
        view_statement('"PARTS"', 7, [], VECTORS),
        nearest_statement(9, FILTER, approximate=False).replace("EXACT ", ""),
        words_table_statement(7),
        find_statement(7, FILTER),
    ],
)
def test_a_parser_of_the_dialect_reads_the_statement(statement: str) -> None:
    (parsed,) = sqlglot.parse(statement, dialect="oracle")
    assert parsed is not None
    assert not isinstance(parsed, sqlglot.exp.Command), "taken as it is, not parsed"


def test_a_parser_of_the_dialect_reads_all_that_is_said_of_a_collection(
    oracle_on_sqlite: OracleOnSqlite,
) -> None:
    records = [record(number, {"label": "bad", "count": number}) for number in range(9)]
    spread = np.array([[np.cos(number), np.sin(number)] for number in range(9)], np.float32)
    with oracle() as store:
        store.create("parts", SPACE, metric=b"")
        put(store, records, CORNERS[:9])
        store.add_vector("parts", "fitted", FITTED, b"metric", becomes_default=True)
        store.fill("parts", FITTED, records[:5], spread[:5])
        assert store.lacking("parts", FITTED, 2) == sorted(one.id for one in records[5:])[:2]
        store.fill("parts", FITTED, records, spread)
        assert store.finish_vector("parts", FITTED).default == "fitted"
        assert store.metric("parts") == b"metric"
        where = {"label": ["bad"]}
        (hits,) = store.nearest("parts", Query(spread[:1], 2, where=where, having="count"))
        assert hits[0].record == records[0]
        assert [one.id for some in store.scan_vectors("parts") for one in some[0]] == sorted(
            one.id for one in records
        )
        assert len(store.search_words("parts", "bad", 5, where)) == 5
        store.relabel("parts", [(records[0].id, {"label": "good"}, {})])
        store.build_index("parts", "image")
        assert len(store.stamps("parts")) == 9
        assert store.ids_by_digest("parts", records[1].digest) == [records[1].id]
        store.drop_vector("parts", FITTED)
        store.rename("parts", "others")
        assert store.remove("others", [one.id for one in records]) == 9
        assert [one.name for one in store.collections()] == ["others"]
        assert store.check() == []
        assert store.delete("others") == 0
    spoken = [statement for statement, _ in oracle_on_sqlite.binds if not UNREAD.search(statement)]
    assert len({statement.split()[0] for statement in spoken}) >= 6
    for statement in spoken:
        (parsed,) = sqlglot.parse(statement, dialect="oracle")
        assert not isinstance(parsed, sqlglot.exp.Command), statement


# What no parser here can read: see the test below.
UNREAD = re.compile(r"ALTER SESSION|CTXSYS|VECTOR\(|VECTOR INDEX|FETCH (?:EXACT|APPROX)|DROP (?:TABLE|INDEX)")


def test_the_statements_in_the_documents_are_read_too() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md"))
    fences = re.findall(r"^```text\n((?:SELECT|WITH)\b.*?)^```", text, re.MULTILINE | re.DOTALL)
    statements = [fence for fence in fences if "VECTOR_DISTANCE" in fence]
    assert len(statements) >= 3
    for statement in statements:
        assert only_reading(statement) == statement.rstrip()
        (parsed,) = sqlglot.parse(statement, dialect="oracle")
        assert isinstance(parsed, sqlglot.exp.Select)


@pytest.mark.parametrize(
    "statement",
    [
        vector_table_statement(9, 4),
        nearest_statement(9, FILTER, approximate=False),
        nearest_statement(9, FILTER, approximate=True),
        index_statement("hnsw", 7),
        index_statement("ivf", 7),
    ],
)
def test_these_statements_no_parser_here_can_read(statement: str) -> None:
    """Once one can, they belong in the test above."""
    try:
        (parsed,) = sqlglot.parse(statement, dialect="oracle")
    except ParseError:
        return
    assert isinstance(parsed, sqlglot.exp.Command)


# Rows


def row(one: int | Record) -> tuple[Any, ...]:
    """Return what is fetched of a record, or of the one of a number."""
    binds = record_binds(stored_record(record(one) if isinstance(one, int) else one), {"label": "LABEL"})
    return tuple(binds[name] for name in FETCHED)


def joined(number: int) -> tuple[Any, ...]:
    """Return what is fetched of a record together with its vector."""
    return (*row(number), *embedded(number)[1:])


def embedded(number: int) -> tuple[Any, ...]:
    """Return what a search fetches of a record whose vector is the corner of its number."""
    return (
        record(number).id,
        vector_checksum(record(number).id, CORNERS[number].tobytes()),
        array("f", CORNERS[number]),
    )


def stamp_row(one: Record) -> tuple[Any, ...]:
    checksum = file_checksum(one.id, one.uri, one.digest, one.size, one.modified_ns)
    return one.uri, one.id, one.size, one.modified_ns, "d", one.digest, checksum


def lookup(name: str, number: int) -> list[tuple[str, int]]:
    from lookalike.stores.oracle.encoding import text_key

    return [(text_key(name), number)]


scalars = (
    st.text(st.characters(codec=None), max_size=20)
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
)
documents = st.recursive(
    st.none() | scalars | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(
    st.sampled_from([0, -0.0, 1, 1.0, True, False, "1", "", 2**53, 2**53 + 1, 2.0**53, 0.1, 10**40, 1e40]),
    scalars,
)
def test_equal_values_have_one_key(a: Any, b: Any) -> None:
    assert (value_key(a) == value_key(b)) == same(a, b)


@given(scalars, scalars)
def test_values_have_one_key_only_where_they_are_equal(a: Any, b: Any) -> None:
    assert (value_key(a) == value_key(b)) == same(a, b)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_equals_nothing_has_no_key(value: float) -> None:
    assert value_key(value) is None


@given(st.dictionaries(st.text(st.characters(codec=None), max_size=10), scalars, max_size=5), documents)
def test_a_record_comes_back_from_its_row_as_it_was(fields: dict[str, Any], document: Any) -> None:
    one = record(1, fields, metadata={"document": document})
    columns = {field.name: field.column for field in plan_fields([], [fields])}
    binds = record_binds(stored_record(one), columns)
    assert len(binds["fields"]) == len(fields)
    for text in (*binds["kept"].values(), *binds["fields"]):
        text.encode()
    json.dumps(binds["fields"], allow_nan=False).encode()
    back = read_record(record_row(tuple(binds[name] for name in FETCHED)))
    assert repr(back) == repr(one)


def test_a_vector_comes_back_from_its_row_bit_by_bit() -> None:
    binds = vector_binds(record(1).id, CORNERS[3])
    content = CORNERS[3].astype("<f4").tobytes()
    assert vector_content(binds["embedding"]) == content
    assert binds["vector_checksum"] == vector_checksum(record(1).id, content)


def test_a_uri_too_long_for_its_column_comes_back_too() -> None:
    one = record("x" * 5_000)
    binds = record_binds(stored_record(one), {})
    assert binds["uri"] is binds["path"] is None
    assert read_record(record_row(tuple(binds[name] for name in FETCHED))) == one


@pytest.mark.parametrize("kept", [None, {}, {"fields": "{", "metadata": "{}"}, "x"])
def test_a_row_that_holds_no_record_is_told(kept: Any) -> None:
    binds = {**record_binds(stored_record(record(1)), {}), "kept": kept}
    found = read_record(record_row(tuple(binds[name] for name in FETCHED)))
    assert found == Fault(record(1).id, record(1).uri, CHANGED_LABELS)


@given(documents)
def test_what_goes_into_a_json_column_is_what_oracle_can_hold(document: Any) -> None:
    def check(value: Any) -> None:
        if isinstance(value, dict):
            for name, one in value.items():
                assert 1 <= len(name.encode()) <= 255
                check(one)
        elif isinstance(value, list):
            for one in value:
                check(one)
        elif isinstance(value, str):
            assert "\0" not in value
            value.encode()
        elif isinstance(value, float):
            assert 1e-130 <= abs(value) < 1e126
        elif isinstance(value, int):
            assert abs(value) < 10**38

    check(for_sql(document))


def test_json_that_is_nested_deeply_is_text_from_there() -> None:
    document: Any = []
    for _ in range(300):
        document = [document]
    found, depth = for_sql(document), 0
    while isinstance(found, list):
        (found,), depth = found, depth + 1
    assert depth == 100
    assert json.loads(found) == json.loads("[" * 201 + "]" * 201)


@pytest.mark.parametrize("value", [5e-324, 1e300, -1e300, 10**39])
def test_a_number_that_number_cannot_hold_is_text(value: float) -> None:
    assert for_sql({"a": value}) == {"a": repr(value)}


@given(st.lists(st.text(st.characters(codec=None), max_size=130), unique=True, max_size=12))
def test_every_field_has_a_column_of_its_own(names: list[str]) -> None:
    fields = plan_fields([], [dict.fromkeys(names, 1)])
    assert [field.name for field in fields] == names
    columns = [field.column for field in fields]
    assert len({column.upper() for column in columns}) == len(names)
    for column in columns:
        assert 1 <= len(column.encode()) <= 128
        assert column.isprintable()
        assert not set(column) & set("\"'\\")


def test_columns_are_in_capitals_and_numbered_where_taken() -> None:
    fields = plan_fields([], [{"id": "x", "Part No": 1, "a": 1, "A": True, "": "", "탱크": 2, "rowid": 3}])
    assert {field.name: field.column for field in fields} == {
        "id": "ID_2",
        "Part No": "PART NO",
        "a": "A",
        "A": "A_2",
        "": "_",
        "탱크": "탱크",
        "rowid": "ROWID_2",
    }
    changed = plan_fields(fields, [{"a": "text", "id": "y"}, {"Part No": 2.5, "new": 1}])
    assert changed == [Field(3, "a", "A", False), Field(8, "new", "NEW", True)]


@pytest.mark.parametrize(
    ("name", "quoted"),
    [("parts", '"PARTS"'), ("a-1", '"A-1"'), ("Straße", '"Straße"'), ("탱" * 43, None), ('a"b', None)],
)
def test_a_view_is_found_without_quotes_where_its_name_is_a_plain_word(name: str, quoted: str | None) -> None:
    assert identifier(name) == quoted


@given(st.lists(st.text(min_size=1), min_size=1, max_size=512))
def test_a_list_of_values_is_bound_one_by_one(values: list[str]) -> None:
    condition, binds = in_list("r.id", "id", values)
    assert placeholders("SELECT " + condition) == list(binds)
    assert set(binds.values()) == set(values)
    assert len(binds) in (1, 8, 64, 512)


@given(st.lists(st.integers(), max_size=50), st.integers(1, 9))
def test_chunks_are_the_values_in_order(values: list[int], size: int) -> None:
    parts = list(chunks(values, size))
    assert [value for part in parts for value in part] == values
    assert all(1 <= len(part) <= size for part in parts)


def test_values_that_the_driver_knows_more_of_are_shown_as_text() -> None:
    assert shown(oracledb.Timestamp(2026, 1, 2)) == "2026-01-02 00:00:00"
    assert shown([1, {"a": None}]) == '[1, {"a": null}]'


# Where, and who


@pytest.mark.parametrize(
    ("url", "environment", "shown", "connecting"),
    [
        (
            URL,
            {"PYTHON_USERNAME": "x", "PYTHON_PASSWORD": "y", "PYTHON_CONNECTSTRING": "z"},
            SHOWN,
            {"user": "scott", "password": "tiger/1", "host": "db.example", "port": 1522}
            | {"service_name": "parts_pdb"},
        ),
        (
            "oracle://",
            {"PYTHON_USERNAME": "x", "PYTHON_PASSWORD": "y", "PYTHON_CONNECTSTRING": "localhost/FREEPDB1"},
            "oracle://x@localhost/FREEPDB1",
            {"user": "x", "password": "y", "dsn": "localhost/FREEPDB1"},
        ),
        (
            "oracle://a:b@",
            {"PYTHON_CONNECTSTRING": "(DESCRIPTION=(x=wallet_password=secret))"},
            "oracle://a@(DESCRIPTION=…)",
            {"user": "a", "password": "b", "dsn": "(DESCRIPTION=(x=wallet_password=secret))"},
        ),
        (
            "oracle://a@[::1]/s?protocol=tcps&wallet_location=%2Fw&wallet_password=c&call_timeout=7",
            {"PYTHON_PASSWORD": "b"},
            "oracle://a@[::1]:1521/s",
            {"user": "a", "password": "b", "host": "::1", "port": 1521, "service_name": "s"}
            | {"protocol": "tcps", "wallet_location": "/w", "wallet_password": "c"},
        ),
        (
            "oracle://a:b@parts_high?config_dir=%2Ftns",
            {},
            "oracle://a@parts_high",
            {"user": "a", "password": "b", "dsn": "parts_high", "config_dir": "/tns"},
        ),
    ],
)
def test_the_url_wins_over_the_environment(
    url: str, environment: dict[str, str], shown: str, connecting: dict[str, Any]
) -> None:
    address = oracle_address(url, environment)
    assert (address.shown, address.connecting) == (shown, connecting)
    assert "password" not in repr(address).replace("wallet_password", "")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("oracle://", "PYTHON_USERNAME"),
        ("oracle://a@h/s", "PYTHON_PASSWORD"),
        ("oracle://a:secret@", "PYTHON_CONNECTSTRING"),
        ("oracle://a:secret@h:1521", "names a service"),
        ("oracle://a:secret@h/s?approximate=yes", "approximate is one of"),
        ("oracle://a:secret@h/s?protocol=ipx", "protocol is one of"),
        ("oracle://a:secret@h/s?call_timeout=soon", "call_timeout"),
        ("oracle://a:secret@h/s?secret=1", "has the options"),
        ("oracle://a:secret@h:port/s", "check host, port"),
    ],
)
def test_a_url_that_leads_nowhere_is_refused_without_its_password(url: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message) as refused:
        oracle_address(url, {})
    assert "secret" not in str(refused.value)


def test_a_session_is_set_up_once_and_limited_each_time(recorder: Recorder, store: Store) -> None:
    store.get("parts", [])
    store.get("parts", [])
    (connection,) = recorder.connections
    assert recorder.said[0] == "ALTER SESSION SET NLS_COMP = BINARY NLS_SORT = BINARY DDL_LOCK_TIMEOUT = 9"
    assert sum(line.startswith("ALTER") for line in recorder.said) == 1
    assert connection.call_timeout == 14_000
    assert connection.how["tcp_connect_timeout"] == 9
    assert connection.how["password"] == "tiger/1"
    assert store.url == SHOWN


def test_an_older_server_is_told_and_left(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.servers.oracle.RecordingConnection.version", "19.3.0.0.0")
    with oracle() as store, pytest.raises(StoreError, match=r"19\.3\.0\.0\.0; vectors need"):
        store.collections()
    assert recorder.said == ["CLOSE"]


def test_a_server_that_restarted_between_two_calls_is_found_again(
    recorder: Recorder, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.get("parts", [])
    monkeypatch.setattr("lookalike.stores.oracle.connection._FRESH_SECONDS", 0.0)
    recorder.connections[0].gone = True
    put(store, [record(1)], CORNERS[:1])
    assert len(recorder.connections) == 2
    assert recorder.said.count("COMMIT") == 1


def test_a_connection_lost_in_the_middle_is_told_and_nothing_is_said_twice(
    recorder: Recorder, store: Store
) -> None:
    lost = driver_error("ORA-03113: end-of-file on communication channel", 3113)
    recorder.answer("MERGE INTO lookalike_records_7", lost, [])
    with pytest.raises(StoreUnreachable, match="end-of-file"):
        put(store, [record(1)], CORNERS[:1])
    assert len(recorder.asked("MERGE INTO lookalike_records_7")) == 1
    assert "COMMIT" not in recorder.said


def test_ctrl_c_leaves_the_session_and_what_it_began(recorder: Recorder, store: Store) -> None:
    recorder.answer("MERGE INTO lookalike_records_7", KeyboardInterrupt(), [])
    with pytest.raises(KeyboardInterrupt):
        put(store, [record(1)], CORNERS[:1])
    deadline = time.monotonic() + 5
    while recorder.said[-2:] != ["CANCEL", "CLOSE"] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert recorder.said[-2:] == ["CANCEL", "CLOSE"]
    assert "COMMIT" not in recorder.said
    put(store, [record(1)], CORNERS[:1])
    assert len(recorder.connections) == 2


def test_threads_have_a_session_each_and_more_wait_or_give_up(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lookalike.stores.oracle.connection.SESSIONS", 1)
    with (
        closing(OracleBackend(URL, timeout=0.05)) as backend,
        backend._server.session(),
        pytest.raises(StoreBusy, match="all 1 sessions"),
    ):
        Store(backend).collections()


def test_a_later_version_is_not_touched(recorder: Recorder, store: Store) -> None:
    recorder.answer(ONE, [(4, *PLACE[1:])])
    for call in (store.collection, store.delete):
        with pytest.raises(StoreNewer, match="later version"):
            call("parts")
    with pytest.raises(StoreNewer):
        store.create("parts", SPACE)
    assert {line.split()[0] for line in recorder.said} <= {"ALTER", "SELECT", "ROLLBACK"}


def test_an_earlier_version_says_what_to_do(recorder: Recorder, store: Store) -> None:
    recorder.answer(ONE, [(2, *PLACE[1:])])
    for call in (store.collection, store.delete):
        with pytest.raises(StoreOlder, match="index the images again into a new store"):
            call("parts")


@pytest.mark.parametrize("dimension", [0, 65_536])
def test_vectors_that_oracle_cannot_hold_are_refused(recorder: Recorder, dimension: int) -> None:
    with oracle() as store, pytest.raises(InvalidArgument, match="65535"):
        store.create("parts", Space("m", "f", dimension))
    assert {line.split()[0] for line in recorder.said} == {"ALTER", "SELECT", "ROLLBACK", "CLOSE"}


# What goes wrong


@pytest.mark.parametrize(
    ("message", "code", "kind", "said"),
    [
        ("ORA-03113: end-of-file on communication channel", 3113, StoreUnreachable, "end-of-file"),
        ("ORA-01033: ORACLE initialization in progress", 1033, StoreUnreachable, "initialization"),
        (
            "DPY-6005: cannot connect to database (CONNECTION_ID=x/y==).\n[Errno 111] Connection refused",
            0,
            StoreUnreachable,
            "no server answers there: Connection refused; is it running",
        ),
        (
            "DPY-6005: cannot connect to database.\nDPY-6001: Service is not registered (as ORA-12514)",
            0,
            StoreUnreachable,
            "not registered",
        ),
        ("DPY-1001: not connected to database", 0, StoreUnreachable, "not connected"),
        ("ORA-01017: invalid credential or not authorized; logon denied", 1017, StoreDenied, "logon denied"),
        ("ORA-01950: no privileges on tablespace 'USERS'", 1950, StoreDenied, "USERS"),
        ("ORA-01031: insufficient privileges", 1031, StoreDenied, "privileges"),
        ("ORA-30006: resource busy; acquire with WAIT timeout expired", 30006, StoreBusy, "busy"),
        ("ORA-00054: resource busy", 54, StoreBusy, "busy"),
        ("DPY-4024: call timeout of 5000 ms exceeded", 0, StoreBusy, "5000 ms"),
        ("ORA-01653: unable to extend table", 1653, StoreFull, "extend"),
        ("ORA-12954: exceeds the maximum allowed database size of 12 GB", 12954, StoreFull, "12 GB"),
        ("ORA-16000: database open for read-only access", 16000, StoreReadOnly, "read-only"),
        ("ORA-01578: ORACLE data block corrupted", 1578, StoreCorrupt, "corrupted"),
        ("ORA-51803: Vector dimension count must match", 51803, OracleRefusal, "dimension"),
        ("DPY-3002: Python value of type x is not supported", 0, OracleRefusal, "not supported"),
    ],
)
def test_an_error_of_the_driver_is_one_of_ours(
    message: str, code: int, kind: type[StoreError], said: str
) -> None:
    error = store_error(SHOWN, driver_error(message, code).args[0])
    assert type(error) is kind
    assert said in str(error)
    assert str(error).startswith(f"{SHOWN}: ")
    assert "\n" not in str(error)
    assert "http" not in str(error)


def test_a_message_of_nothing_is_a_line_too() -> None:
    assert one_line("") == "no reason was given"


@pytest.fixture
def real_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Name a port where somebody takes connections and answers with `request.param`; None is silence."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        ended = threading.Event()

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client:
                    client.recv(4096)
                    if request.param is None:
                        ended.wait(30)
                    else:
                        client.sendall(request.param)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"oracle://scott:tiger@127.0.0.1:{listener.getsockname()[1]}/parts"
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)
        for other in threading.enumerate():
            if other.name == "lookalike-oracle-connect":
                other.join(10)
        gc.collect()  # of sockets that the driver leaves open when it is told nonsense


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "real_url",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n" * 4, b"", b"\0\x08\0\0\x04\0\0\0", None],
    ids=repr,
    indirect=True,
)
def test_a_listener_that_is_no_oracle_is_unreachable_in_time(real_url: str) -> None:
    began = time.monotonic()
    with open_store(real_url, timeout=1) as store, pytest.raises(StoreUnreachable) as told:
        store.collections()
    assert time.monotonic() - began < 5
    assert "tiger" not in str(told.value)
    assert "\n" not in str(told.value)


def test_a_closed_port_is_unreachable() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    with open_store(f"oracle://scott:tiger@127.0.0.1:{port}/parts", timeout=3) as store:
        for _ in range(2):
            with pytest.raises(StoreUnreachable) as told:
                store.create("parts", SPACE)
            assert str(told.value) == (
                f"oracle://scott@127.0.0.1:{port}/parts: no server answers there: Connection refused;"
                " is it running?"
            )


def test_an_address_shows_no_password() -> None:
    assert "tiger" not in repr(OracleAddress(SHOWN, {"password": "tiger"}))
