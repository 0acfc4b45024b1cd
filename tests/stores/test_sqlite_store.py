"""The SQLite store: the contract of all stores, its file, its views and its SQL."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import tracemalloc
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lookalike.errors import (
    CollectionNotFound,
    InvalidArgument,
    LookalikeError,
    QueryRefused,
    QueryStopped,
    StoreCorrupt,
    StoreError,
    StoreNewer,
    StoreOlder,
)
from lookalike.stores import sql
from lookalike.stores.batches import chunks
from lookalike.stores.damage import StructureFault
from lookalike.stores.registry import open_store
from lookalike.stores.sqlite import blocks, keys, search
from lookalike.stores.sqlite import schema as sqlite_schema
from lookalike.stores.sqlite.backend import SqliteBackend
from lookalike.stores.sqlite.catalog import existing_entry
from lookalike.stores.sqlite.change_log import MOST, ChangeLog
from lookalike.stores.sqlite.matrix import SqliteMatrix
from lookalike.stores.sqlite.words import ids_by_words
from lookalike.stores.store import Store
from lookalike.stores.verification import CHANGED_VECTOR
from lookalike.testing.samples import (
    CORNERS,
    FIELDS,
    FITTED,
    SPACE,
    STRANGE_TEXTS,
    WORDS,
    corners,
    exchange,
    fill,
    flipped,
    nearest,
    put,
    random_vectors,
    record,
    scanned,
    turned,
)
from lookalike.testing.store_contract.damage import Damage
from lookalike.testing.stores import StoreContract
from lookalike.types import Space
from lookalike.uris import file_uri, record_id

if TYPE_CHECKING:
    from lookalike.stores.entry import Entry, VectorEntry


VERSION_1 = Path(__file__).parents[1] / "data" / "store-v1.sqlite"


OTHERS = "SELECT vector, checksum FROM {table} WHERE record <> {number} LIMIT 1"


def damage_record(file: Path, identity: str, part: str, vector: int = 1) -> None:
    """Change one part of what is stored of a record, see `PARTS`; of a vector, that of a number."""
    with closing(sqlite3.connect(file)) as connection, connection:
        number, digest, fields = connection.execute(
            "SELECT record, digest, fields FROM lookalike_records WHERE id = ?", (identity,)
        ).fetchone()
        table = f"lookalike_v{vector}"
        (content,) = connection.execute(f"SELECT vector FROM {table} WHERE record = {number}").fetchone()
        changed: dict[str, tuple[str, str, tuple[object, ...]]] = {
            "vector": (table, "vector = ?", (flipped(content, 14),)),
            "exchanged": (table, f"(vector, checksum) = ({OTHERS.format(table=table, number=number)})", ()),
            "digest": ("lookalike_records", "digest = ?", (flipped(digest.encode(), 3).decode(),)),
            "fields": ("lookalike_records", "fields = ?", (fields.replace("bad", "bae"),)),
        }
        where, what, values = changed[part]
        connection.execute(f"UPDATE {where} SET {what} WHERE record = {number}", values)


class TestSqliteStore(StoreContract):
    @pytest.fixture
    def url(self, url: str, monkeypatch: pytest.MonkeyPatch) -> str:
        # So that few records have some keys that are recent and some that are not.
        monkeypatch.setattr(keys, "_ROOTS", 1)
        return url

    @pytest.fixture
    def damage(self, file: Path) -> Damage:
        return partial(damage_record, file)


def backend(store: Store) -> SqliteBackend:
    assert isinstance(store._backend, SqliteBackend)
    return store._backend


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Views


def test_a_view_has_a_column_for_each_field_with_its_sql_type(store: Store, tmp_path: Path) -> None:
    store.create("parts", SPACE)
    uri = file_uri(tmp_path / "탱크 1%.jpg")
    one = record(1, FIELDS, uri=uri, id=record_id(uri), metadata={"part": {"name": "탱크"}})
    put(store, "parts", [one, record(2)], CORNERS[:2])
    table = store.sql("SELECT * FROM parts WHERE quality = 'bad'")
    assert table.columns == (
        *("id", "uri", "path", "digest", "quality", "count", "weight", "whole", "sealed"),
        *("metadata", "vector"),
    )
    (row,) = table.rows
    assert row[:9] == (one.id, uri, str(tmp_path / "탱크 1%.jpg"), one.digest, "bad", 3, 3.5, 3.0, 1)
    assert [type(value) for value in row[4:9]] == [str, int, float, float, int]
    assert np.array_equal(np.frombuffer(row[-1], "<f4"), CORNERS[0])
    within = "json_extract(metadata, '$.part.name'), metadata LIKE '%탱크%'"
    assert store.sql(f"SELECT {within} FROM parts ORDER BY quality DESC").rows == [("탱크", 1), (None, 0)]
    assert store.sql("SELECT quality, count(*) FROM PARTS GROUP BY 1").rows == [(None, 1), ("bad", 1)]


def test_a_new_field_is_a_column_in_the_same_transaction(store: Store) -> None:
    fill(store, 1)
    with pytest.raises(QueryRefused, match="no such column: colour"):
        store.sql("SELECT colour FROM parts")
    put(store, "parts", [record(1, {"colour": "red"})], CORNERS[:1])
    assert store.sql("SELECT colour FROM parts WHERE colour NOT NULL").rows == [("red",)]
    store.relabel("parts", [(record(1).id, {"shade": "dark"}, {})])
    assert store.sql("SELECT colour, shade FROM parts WHERE shade NOT NULL").rows == [(None, "dark")]


def test_a_field_named_like_another_column_gets_a_number(store: Store) -> None:
    fields = {
        "ID": "a",
        "id": "b",
        "label": "c",
        "Label": "d",
        "label_2": "e",
        "vector": "f",
        "Ä": "g",
        "ä": "h",
    }
    fill(store, 1, [fields])
    put(store, "parts", [record(1, {"LABEL": "i"})], CORNERS[:1])
    columns = store.sql("SELECT * FROM parts").columns
    assert columns[4:-2] == (
        *("ID_2", "id_3", "label", "Label_2", "label_2_2", "vector_2", "Ä", "ä"),
        "LABEL_3",
    )
    assert store.sql("SELECT id_3, vector_2 FROM parts WHERE label = 'c'").rows == [("b", "f")]


@pytest.mark.parametrize("text", STRANGE_TEXTS, ids=ascii)
def test_any_name_is_a_column(store: Store, text: str) -> None:
    fill(store, 2, [{text: "here"}, {"other": text}])
    column = text.replace("\0", "\\x00").replace("\udcff\udc80", "\\udcff\\udc80")
    assert store.sql("SELECT * FROM parts").columns[4:6] == (column, "other")
    found = store.sql('SELECT "{}" FROM parts ORDER BY 1'.format(column.replace('"', '""')))
    assert found.rows == [(None,), ("here",)]
    assert store.sql("SELECT other FROM parts WHERE other NOT NULL").rows == [(text,)]


def test_fields_beyond_the_columns_of_a_view_are_still_fields(store: Store) -> None:
    fields = {f"field {number:04}": number for number in range(2_100)}
    fill(store, 1, [fields])
    assert store.get("parts", [record(0).id])[0].fields == fields
    assert len(scanned(store, where={"field 2099": [2099]})) == 1
    columns = store.sql("SELECT * FROM parts").columns
    assert columns[4:-2] == tuple(sorted(fields))[: len(columns) - 6]
    assert len(columns) > 1_900


def test_the_path_of_a_name_that_is_no_utf8_is_escaped(store: Store) -> None:
    uri = "file:///a/%FF%0A%00.jpg"
    store.create("parts", SPACE)
    put(store, "parts", [record(1, uri=uri, id=record_id(uri))], CORNERS[:1])
    assert store.sql("SELECT uri, path FROM parts").rows == [(uri, "/a/\\udcff\n\\x00.jpg")]


def test_deleting_a_collection_drops_its_view(store: Store) -> None:
    fill(store, 3)
    store.delete("PARTS")
    with pytest.raises(QueryRefused, match="no such table: parts"):
        store.sql("SELECT * FROM parts")
    rest = store.sql(
        "SELECT (SELECT count(*) FROM lookalike_records), (SELECT count(*) FROM lookalike_values),"
        " (SELECT count(*) FROM lookalike_fields)"
    )
    assert rest.rows == [(0, 0, 0)]


def test_keys_are_recent_first_and_found_wherever_they_are(
    store: Store, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "_ROOTS", 1)
    store.create("parts", SPACE)
    every = [record(number, digest=f"{number % 2}" * 64) for number in range(1, 11)]
    for one in every:
        put(store, "parts", [one], CORNERS[:1])

    def counts() -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(file)) as connection:
            return connection.execute(
                "SELECT (SELECT count(*) FROM lookalike_ids WHERE recent), count(*),"
                " (SELECT count(*) FROM lookalike_digests WHERE recent),"
                " (SELECT count(*) FROM lookalike_digests) FROM lookalike_ids"
            ).fetchall()

    assert counts() == [(2, 10, 2, 10)]
    for digit in (0, 1):
        same = sorted(one.id for one in every if one.digest == f"{digit}" * 64)
        assert store.ids_by_digest("parts", f"{digit}" * 64) == same
    # Another file under the same id: of the first, whose keys are old, and of the last.
    changed = [record(number, digest="f" * 64) for number in (1, 10)]
    put(store, "parts", changed, CORNERS[:2])
    assert store.ids_by_digest("parts", "f" * 64) == sorted(one.id for one in changed)
    assert counts() == [(2, 10, 3, 10)]
    assert store.remove("parts", [every[row].id for row in (0, 1, 8)]) == 3
    assert counts() == [(1, 7, 1, 7)]
    assert store.check() == []
    left = sorted([*every[2:8], changed[1]], key=lambda one: one.id)
    assert scanned(store) == store.get("parts", [one.id for one in left]) == left
    assert store.delete("parts") == 7
    assert counts() == [(0, 0, 0, 0)]


def test_keys_that_are_lost_or_wrong_are_told(store: Store, file: Path) -> None:
    first, *_ = fill(store, 3)
    for statement, said in (
        ("DELETE FROM lookalike_digests WHERE record = 1", "1 records are not found by the digest"),
        ("UPDATE lookalike_ids SET record = 5 - record WHERE record > 1", "3 ids for 3 records, 1 of which"),
        ("DELETE FROM lookalike_ids WHERE record = 1", "2 ids for 3 records, 0 of which"),
        ("INSERT INTO lookalike_digests VALUES (0, 7, 'x', 9)", "belong to no collection"),
    ):
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute(statement)
        assert any(said in fault.reason for fault in store.check()), statement
    assert store.get("parts", [first.id]) == []


def test_records_that_another_program_removed_can_come_again(
    store: Store, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "_ROOTS", 1)
    store.create("parts", SPACE)
    every = [record(number) for number in range(32)]
    vectors = CORNERS[[number % len(CORNERS) for number in range(32)]]
    put(store, "parts", every, vectors)
    with closing(sqlite3.connect(file)) as connection, connection:
        (recent,) = connection.execute("SELECT count(*) FROM lookalike_ids WHERE recent").fetchone()
        connection.execute("DELETE FROM lookalike_records WHERE record <= 20")
    assert recent == 0
    for start in (0, 8, 16, 24):
        put(store, "parts", every[start : start + 8], vectors[start : start + 8])
    put(store, "parts", [record(number) for number in range(32, 70)], vectors[[0] * 38])
    assert store.collection("parts").count == 70
    assert {one.id for one in scanned(store)} >= {one.id for one in every}


# SQL


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT path FROM parts WHERE id = 'a'",
        "SELECT a.path FROM others AS a LEFT JOIN parts AS b USING (id) WHERE b.path IS NULL",
        "SELECT path FROM others WHERE NOT EXISTS (SELECT 1 FROM parts WHERE id = others.id)",
    ],
)
def test_sql_looks_ids_up_and_reads_no_whole_table_for_them(store: Store, file: Path, statement: str) -> None:
    fill(store, 3)
    store.create("others", SPACE)
    with closing(sqlite3.connect(file)) as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
    assert any("(recent=? AND collection=? AND id=?)" in step for step in plan), plan
    assert not any(step.startswith(("SCAN", "MATERIALIZE")) for step in plan), plan


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM lookalike_records",
        "DELETE FROM parts",
        "UPDATE lookalike_records SET uri = ''",
        "INSERT INTO lookalike_fields (collection, name, column_name) VALUES (1, 'a', 'a')",
        "WITH a AS (SELECT 1) DELETE FROM lookalike_records",
        "DROP TABLE lookalike_records",
        "CREATE TABLE a (b)",
        "CREATE TEMP TABLE a (b)",
        "ALTER TABLE lookalike_records RENAME TO a",
        "ATTACH '{folder}/other.db' AS other",
        "VACUUM",
        "VACUUM INTO '{folder}/other.db'",
        "REINDEX",
        "ANALYZE",
        "BEGIN",
        "SAVEPOINT a",
        "PRAGMA writable_schema = ON",
        "PRAGMA query_only = OFF",
        "PRAGMA user_version = 7",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA wal_checkpoint(TRUNCATE)",
        "SELECT * FROM pragma_user_version",
        "SELECT load_extension('{folder}/other.so')",
        "SELECT 1; DELETE FROM lookalike_records",
        "SELECT 1; SELECT 2",
        "EXPLAIN DELETE FROM lookalike_records",
        "",
        " -- only a comment",
        "SELECT ?",
        "SELECT '\0'",
        "SELECT '\udcff'",
        "SELECT writefile('{folder}/other', 'x')",
        "SELECT abs(-9223372036854775808)",
    ],
)
def test_sql_that_writes_fails_or_is_not_one_statement_is_refused(
    store: Store, tmp_path: Path, statement: str
) -> None:
    records = fill(store, 2, [FIELDS])
    before = names(tmp_path)
    with pytest.raises(QueryRefused):
        store.sql(statement.replace("{folder}", str(tmp_path)))
    assert scanned(store) == records
    assert names(tmp_path) == before
    assert store.sql("SELECT count(*) FROM parts").rows == [(2,)]


def test_sql_reads_in_every_way(store: Store) -> None:
    fill(store, 3, [{"n": 1}, {"n": 2}])
    for statement, rows in (
        ("SELECT sum(n) FROM parts;", [(4,)]),
        ("VALUES (1, 'a'), (2.5, NULL)", [(1, "a"), (2.5, None)]),
        (
            "WITH RECURSIVE c(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM c LIMIT 2) SELECT * FROM c",
            [(1,), (2,)],
        ),
        ("SELECT value FROM json_each('[1, 2]')", [(1,), (2,)]),
        ("SELECT CAST(x'41ff' AS TEXT), x'ff'", [("A\\xff", b"\xff")]),
        ("SELECT n, row_number() OVER (ORDER BY n DESC) FROM parts ORDER BY 2 LIMIT 1", [(2, 1)]),
    ):
        assert store.sql(statement).rows == rows


def test_sql_on_a_store_that_was_never_written_makes_none(store: Store, tmp_path: Path) -> None:
    assert store.sql("SELECT 1 AS one").rows == [(1,)]
    with pytest.raises(QueryRefused, match="no such table: parts"):
        store.sql("SELECT * FROM parts")
    assert names(tmp_path) == []


def test_cosine_similarity_is_that_of_nearest(store: Store) -> None:
    store.create("parts", SPACE)
    put(store, "parts", [record(number) for number in range(50)], random_vectors(50, 4))
    pairs = store.sql(
        "SELECT a.id, b.id, cosine_similarity(a.vector, b.vector) FROM parts AS a JOIN parts AS b"
        " ORDER BY a.id, 3 DESC, b.id"
    )
    vectors = np.concatenate([rows for _, rows in store.scan("parts")])
    hits = nearest(store, "parts", vectors, 50)
    expected = [
        (one.id, hit.record.id) for one, some in zip(scanned(store), hits, strict=True) for hit in some
    ]
    assert [row[:2] for row in pairs.rows] == expected
    similarities = [hit.similarity for some in hits for hit in some]
    assert [row[2] for row in pairs.rows] == pytest.approx(similarities, abs=1e-12)


def test_leave_one_out_is_one_select(store: Store) -> None:
    store.create("parts", SPACE)
    records = [record(number) for number in range(60)]
    put(store, "parts", records, np.concatenate([random_vectors(36, 4), CORNERS]))
    table = store.sql(
        "SELECT query, neighbour FROM (SELECT a.id AS query, b.id AS neighbour, row_number() OVER"
        " (PARTITION BY a.id ORDER BY cosine_similarity(a.vector, b.vector) DESC, b.id) AS place"
        " FROM parts AS a JOIN parts AS b ON a.id <> b.id) WHERE place = 1 ORDER BY query"
    )
    vectors = np.concatenate([rows for _, rows in store.scan("parts")])
    ids = [one.id for one in scanned(store)]
    found = nearest(store, "parts", vectors, 1, exclude=[[name] for name in ids])
    assert table.rows == [(name, hit.record.id) for name, (hit,) in zip(ids, found, strict=True)]


def blob(*numbers: float) -> str:
    return f"x'{np.array(numbers, dtype='<f4').tobytes().hex()}'"


def test_cosine_similarity_of_any_vectors(store: Store) -> None:
    for a, b, expected in (
        (blob(3, 4), blob(6, 8), 1.0),
        (blob(3, 4), blob(-3, -4), -1.0),
        (blob(5, 0), blob(0, 0.1), 0.0),
        (blob(1, 1), blob(1, 0), 0.5**0.5),
        (blob(1e30, 1e30), blob(1e-30, 0), 0.5**0.5),
        ("NULL", blob(1), None),
        (blob(1), "NULL", None),
        ("NULL", "NULL", None),
        (blob(0, 0), blob(1, 0), None),
        (blob(1, 0), blob(0, 0), None),
        ("x''", "x''", None),
    ):
        ((value,),) = store.sql(f"SELECT cosine_similarity({a}, {b})").rows
        assert value == (None if expected is None else pytest.approx(expected, abs=1e-7)), (a, b)


def test_cosine_similarity_does_not_depend_on_the_calls_before(store: Store) -> None:
    vectors = np.round(np.random.default_rng(0).standard_normal((40, 2)), 1).astype(np.float32)
    order = random.Random(0).choices(range(40), k=2_000)
    pairs = list(zip(order, order[7:] + order[:7], strict=True))
    values = ", ".join(
        f"({place}, {blob(*vectors[a])}, {blob(*vectors[b])})" for place, (a, b) in enumerate(pairs)
    )
    table = store.sql(f"SELECT cosine_similarity(column2, column3) FROM (VALUES {values}) ORDER BY column1")
    unit = vectors / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    expected = [float(unit[a] @ unit[b]) for a, b in pairs]
    assert [value for (value,) in table.rows] == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        (blob(1, 0), blob(1, 0, 0), "2 and 3 dimensions"),
        ("'text'", blob(1), "no BLOB"),
        (blob(1), "1.5", "no BLOB"),
        ("x'010203'", "x'010203'", "3 bytes"),
    ],
)
def test_cosine_similarity_says_what_it_cannot_compare(store: Store, a: str, b: str, reason: str) -> None:
    with pytest.raises(QueryRefused, match=reason):
        store.sql(f"SELECT cosine_similarity({a}, {b})")


@pytest.mark.parametrize("column", ["i", "cosine_similarity(vector, vector)"])
def test_ctrl_c_ends_an_endless_statement(store: Store, column: str) -> None:
    fill(store, 1)
    endless = "WITH RECURSIVE c(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM c)"
    program = (
        "import sys\nfrom lookalike.stores.registry import open_store\n"
        "with open_store(sys.argv[1]) as store:\n"
        "    print('ready', flush=True)\n"
        "    try:\n        store.sql(sys.argv[2])\n"
        "    except KeyboardInterrupt:\n        print('interrupted', flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, store.url, f"{endless} SELECT max({column}) FROM c, parts"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.2)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        try:
            assert process.communicate(timeout=20)[0] == "interrupted\n"
        finally:
            process.kill()


ENDLESS = "WITH RECURSIVE c(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM c)"


@pytest.mark.parametrize(
    "statement",
    [
        f"{ENDLESS} SELECT max(i) FROM c",
        f"{ENDLESS} SELECT max(cosine_similarity(vector, vector)) FROM c, parts",
        f"{ENDLESS} SELECT i FROM c WHERE i < 0",
        f"{ENDLESS} SELECT i FROM c ORDER BY -i",
        f"{ENDLESS} SELECT DISTINCT i FROM c",
        # One call of SQLite's, which does not look up in between.
        "SELECT instr(hex(zeroblob(760000)), hex(zeroblob(750000)) || '1')",
    ],
)
def test_sql_that_takes_too_long_is_stopped(store: Store, tmp_path: Path, statement: str) -> None:
    fill(store, 2)
    with pytest.raises(QueryStopped, match=r"not answered within 0.3 seconds; .*--max-seconds") as stopped:
        store.sql(statement, 0.3)
    assert "\n" not in str(stopped.value)
    assert store.sql("SELECT count(*) FROM parts").rows == [(2,)]
    put(store, "parts", [record(7)], CORNERS[:1])  # nothing holds the file


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("SELECT length(randomblob(2000000000))", QueryRefused),
        ("SELECT length(zeroblob(2000000000))", QueryRefused),
        ("SELECT hex(zeroblob(40000000))", QueryRefused),
        ("SELECT group_concat(value) FROM json_each(printf('[%s1]', hex(zeroblob(40000000))))", QueryRefused),
        (f"{ENDLESS} SELECT i, zeroblob(1000000) FROM c", QueryStopped),
        (f"{ENDLESS} SELECT i FROM c", QueryStopped),
    ],
)
def test_sql_that_takes_too_much_memory_is_stopped(
    store: Store, statement: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql.AnswerLimit.__init__, "__defaults__", (20 << 20,))
    fill(store, 2)
    with pytest.raises(error, match=r"too big|more than 20 MB"):
        store.sql(statement)


def test_sql_may_have_any_time_at_all(store: Store) -> None:
    fill(store, 2)
    for seconds in (1e300, float("inf"), 60):
        assert store.sql("SELECT count(*) FROM parts", seconds).rows == [(2,)]


def test_a_store_that_is_damaged_is_told_from_a_statement_that_is_wrong(store: Store) -> None:
    fill(store, 200)
    file = Path(store.url.removeprefix("sqlite:///"))
    store.close()
    content = bytearray(file.read_bytes())
    content[20_000 : len(content)] = bytes(len(content) - 20_000)
    file.write_bytes(content)
    with pytest.raises(StoreCorrupt):
        store.sql("SELECT * FROM parts")


# The file


def test_reading_makes_no_file(store: Store, tmp_path: Path) -> None:
    assert store.collections() == []
    with pytest.raises(CollectionNotFound):
        store.collection("parts")
    with pytest.raises(CollectionNotFound):
        put(store, "parts", [record(1)], CORNERS[:1])
    with pytest.raises(CollectionNotFound):
        store.delete("parts")
    assert names(tmp_path) == []


def test_after_close_one_file_is_left(store: Store, file: Path, tmp_path: Path) -> None:
    fill(store, 3)
    nearest(store, "parts", CORNERS[:1], 1)
    store.sql("SELECT * FROM parts")
    store.close()
    assert names(tmp_path) == ["parts.db"]
    with open_store(store.url) as reader:
        reader.sql("SELECT * FROM parts")
        assert reader.collection("parts").count == 3
    assert names(tmp_path) == ["parts.db"]
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA application_id").fetchone() == (sqlite_schema.APPLICATION_ID,)
        assert connection.execute("PRAGMA user_version").fetchone() == (sqlite_schema.VERSION,)


def test_a_relative_url_is_relative_to_where_it_was_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with open_store("sqlite:///parts.db") as store:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        fill(store, 1)
    assert (tmp_path / "parts.db").exists()


@pytest.mark.parametrize(
    "name", ["a b", "100%41", "a?mode=ro", "a#b", "탱크", "it's", "a\nb", "\udcff", "&=;"]
)
def test_a_path_in_a_url_stands_as_it_is(tmp_path: Path, name: str) -> None:
    with open_store(f"sqlite:///{tmp_path}/{name}.db") as store:
        fill(store, 1)
        assert store.sql("SELECT count(*) FROM parts").rows == [(1,)]
    assert names(tmp_path) == [f"{name}.db"]


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///a\0b", "sqlite://a.db"]
)
def test_a_url_without_a_file_is_refused(url: str) -> None:
    with pytest.raises(InvalidArgument, match="names no file"):
        open_store(url)


def other_program(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE bookmarks (url)")


def other_program_with_id(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA application_id = 252006673")


def later_version(file: Path) -> None:
    with open_store(f"sqlite:///{file}") as store:
        fill(store, 1)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 99")


def truncated(file: Path) -> None:
    with open_store(f"sqlite:///{file}") as store:
        fill(store, 100)
    os.truncate(file, 20_000)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda file: file.write_bytes(b"x"), StoreCorrupt),
        (lambda file: file.write_text("these are my notes\n" * 9), StoreCorrupt),
        (lambda file: file.write_bytes(b"SQLite format 3\0"), StoreCorrupt),
        (lambda file: file.write_bytes(b"SQLite format 3\0" + b"\xff" * 5_000), StoreCorrupt),
        (other_program, StoreCorrupt),
        (other_program_with_id, StoreCorrupt),
        (later_version, StoreNewer),
        (truncated, StoreCorrupt),
    ],
)
def test_a_file_that_is_not_ours_is_refused_and_not_changed(
    store: Store, file: Path, make: Any, error: type[StoreError]
) -> None:
    make(file)
    before = file.read_bytes()
    for call in (
        store.collections,
        lambda: nearest(store, "parts", CORNERS[:1], 1),
        lambda: store.create("others", SPACE),
        lambda: put(store, "parts", [record(1)], CORNERS[:1]),
        lambda: store.sql("SELECT * FROM parts, lookalike_records"),
    ):
        with pytest.raises(error) as raised:
            call()
        assert "\n" not in str(raised.value)
        assert str(file) in str(raised.value)
    store.close()
    assert file.read_bytes() == before


def test_an_empty_file_is_an_empty_store(store: Store, file: Path) -> None:
    file.touch()
    assert store.collections() == []
    assert file.stat().st_size == 0
    fill(store, 1)
    assert store.collection("parts").count == 1


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/no/parts.db") as store:
        assert store.collections() == []
        with pytest.raises(StoreError, match=f"no folder {tmp_path}/no"):
            store.create("parts", SPACE)
    with open_store(f"sqlite:///{tmp_path}") as store:
        for call in (store.collections, lambda: store.create("parts", SPACE)):
            with pytest.raises(StoreError, match=r"directory|folder"):
                call()


def test_a_damaged_file_gives_errors_of_ours_only(tmp_path: Path) -> None:
    whole = tmp_path / "whole.db"
    with open_store(f"sqlite:///{whole}") as store:
        fill(store, 40, [FIELDS, {"text": "탱크" * 50}])
    content = whole.read_bytes()
    answered, refused = 0, 0
    for seed in range(60):
        chance = random.Random(seed)
        damaged = bytearray(content)
        for _ in range(chance.choice([1, 30, 1_000])):
            damaged[chance.randrange(16 if seed % 2 else 100, len(damaged))] = chance.randrange(256)
        file = tmp_path / f"{seed}.db"
        file.write_bytes(damaged)
        with open_store(f"sqlite:///{file}", timeout=0.2) as store:
            for call in (
                store.collections,
                lambda store=store: list(store.scan("parts", {"quality": ["bad"]})),
                lambda store=store: nearest(store, "parts", CORNERS[:2], 50),
                lambda store=store: store.search_words("parts", "bad 탱크", 50),
                lambda store=store: store.stamps("parts"),
                lambda store=store: store.sql("SELECT * FROM parts"),
                lambda store=store: put(store, "parts", [record(99, {"new": 1})], CORNERS[:1]),
                lambda store=store: store.remove("parts", [record(3).id]),
                lambda store=store: store.delete("parts"),
            ):
                try:
                    call()
                    answered += 1
                except LookalikeError as error:
                    assert "\n" not in str(error)  # noqa: PT017 either outcome is right
                    refused += 1
    assert answered
    assert refused


def test_a_file_of_an_earlier_version_says_what_to_do_and_stays_as_it_is(store: Store, file: Path) -> None:
    """The file was written by the last program of version 1."""
    shutil.copyfile(VERSION_1, file)
    before = file.read_bytes()
    for call in (
        store.collections,
        lambda: nearest(store, "parts", CORNERS[:1], 1),
        lambda: store.create("others", SPACE),
        lambda: put(store, "parts", [record(1)], CORNERS[:1]),
        lambda: store.sql("SELECT * FROM parts"),
    ):
        with pytest.raises(StoreOlder, match="index the images again into a new store"):
            call()
    store.close()
    assert file.read_bytes() == before


def test_the_words_of_one_collection_do_not_weigh_in_another(store: Store, file: Path) -> None:
    fill(store, 20, [{"a": "red"}, {"a": "blue"}])
    with closing(sqlite3.connect(file)) as connection:
        query = "SELECT rank FROM lookalike_words_1 WHERE lookalike_words_1 MATCH 'red' ORDER BY rank"
        before = connection.execute(query).fetchall()
        store.create("others", SPACE)
        put(store, "others", [record(n, {"a": "red"}) for n in range(50)], corners(50))
        assert connection.execute(query).fetchall() == before
        store.delete("parts")
        tables = connection.execute("SELECT name FROM sqlite_master WHERE name LIKE '%words%'").fetchall()
        assert {name[:17] for (name,) in tables} == {"lookalike_words_2"}


def test_a_search_for_words_sees_one_state(store: Store) -> None:
    fill(store, 4, [{"a": "red"}])
    with backend(store)._file.reading() as connection:
        assert connection is not None
        with open_store(store.url) as other:
            other.delete("parts")
        assert len(ids_by_words(connection, 1, ["red"], 9, None)) == 4
    with pytest.raises(CollectionNotFound):
        store.search_words("parts", "red", 9)


def test_a_rename_takes_the_views_along(store: Store) -> None:
    fill(store, 3, [FIELDS])
    store.create("others", SPACE)
    put(store, "others", [record("x", {"a": 1})], CORNERS[:1])
    exchange(store, "parts", "others")
    assert store.sql("SELECT count(*) FROM others WHERE quality = 'bad'").rows == [(3,)]
    assert store.sql("SELECT a FROM parts").rows == [(1,)]
    store.rename("parts", "pieces")
    with pytest.raises(QueryRefused, match="no such table: parts"):
        store.sql("SELECT * FROM parts")


def test_a_search_does_not_read_the_vectors_again_while_none_of_them_changes(store: Store) -> None:
    store.create("parts", SPACE)
    store.add_vector("parts", "words", WORDS)
    records = [record(number) for number in range(24)]
    store.put("parts", records, {SPACE: corners(24), WORDS: turned(24, WORDS)})
    matrices = backend(store)._search.matrices
    first = matrices.read
    seen = []

    def noted(connection: sqlite3.Connection, entry: Entry, vector: VectorEntry) -> Any:
        seen.append(first(connection, entry, vector))
        return seen[-1]

    matrices.read = noted  # type: ignore[method-assign]  # to see what is used
    for _ in range(2):
        nearest(store, "parts", CORNERS[:1], 1)
    with open_store(store.url) as other:
        other.relabel("parts", [(record(1).id, {"a": 1}, {})])
        other.add_vector("parts", "fitted", FITTED)
        other.fill("parts", FITTED, records[:1], turned(1, FITTED))
    nearest(store, "parts", CORNERS[:1], 1)
    assert seen[0] is seen[1] is seen[2]
    nearest(store, "parts", turned(1, WORDS), 1, using="words")
    nearest(store, "parts", CORNERS[:1], 1)
    assert seen[2] is seen[4]
    with open_store(store.url) as other:
        other.remove("parts", [record(1).id])
    nearest(store, "parts", CORNERS[:1], 1)
    assert seen[4] is not seen[5]


def test_of_a_collection_that_this_process_changes_only_the_changed_records_are_read(store: Store) -> None:
    """Answers after each of many changes are those of a store that is opened anew; vectors are read once."""
    fill(store, 60, [{"a": "red"}, {"a": "blue"}, {"b": 1}])
    matrices = backend(store)._search.matrices
    chance = random.Random(0)

    def answers(of: Store) -> list[Any]:
        queries, left_out = CORNERS[:2], [[record(3).id], []]
        return [
            nearest(of, "parts", queries, k, **asked)
            for k in (1, 7, 100)
            for asked in (
                {},
                {"exclude": left_out},
                {"where": {"a": ["red"]}},
                {"where": {"b": [1]}, "having": "b", "exclude": left_out},
                {"having": "a"},
            )
        ]

    answers(store)
    (before,) = matrices._matrices.values()
    for turn in range(40):
        number = chance.randrange(80)
        fields: dict[str, Any] = chance.choice([{"a": "red"}, {"a": "blue", "b": 1}, {}])
        act = chance.randrange(3)
        if act == 0:
            put(store, "parts", [record(number, fields)], corners(turn + 1)[turn:])
        elif act == 1:
            store.relabel("parts", [(record(number).id, fields, {})])
        else:
            store.remove("parts", [record(number).id, record(number + 1).id])
        with open_store(store.url) as other:
            assert answers(store) == answers(other)
    (after,) = matrices._matrices.values()
    assert after.vectors is before.vectors
    assert after.recent is not None
    assert after.gone is not None
    with open_store(store.url) as other:
        other.remove("parts", [record(5).id])
        assert answers(store) == answers(other)
    (again,) = matrices._matrices.values()
    assert again.vectors is not before.vectors, "what another process changed is not known"


def test_what_came_since_makes_no_filter_look_as_if_all_matched() -> None:
    vectors = CORNERS[[0, 0, 0]]
    before = SqliteMatrix(1, 0, ["a", "b", "c"], np.array([1, 2, 3]), vectors)
    came = SqliteMatrix(2, 0, ["d", "e"], np.array([4, 5]), vectors[:2])
    (found,) = before.followed(2, [4, 5], came).nearest(vectors[:1], 9, np.array([2, 3, 4, 5]), None)
    assert [name for name, _ in found] == ["b", "c", "d", "e"]


def test_a_neighbour_that_is_removed_during_the_search_is_replaced(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, 24)
    (before,) = nearest(store, "parts", CORNERS[:1], 3)
    read = search._records
    asked = []

    def read_after_a_removal(connection: sqlite3.Connection, entry: Entry, found: Any) -> Any:
        asked.append(found)
        if len(asked) == 1:
            connection.execute("ROLLBACK")
            with open_store(store.url) as other:
                other.remove("parts", [before[1].record.id])
            connection.execute("BEGIN")
            entry = existing_entry(connection, "parts")
        return read(connection, entry, found)

    monkeypatch.setattr(search, "_records", read_after_a_removal)
    (hits,) = nearest(store, "parts", CORNERS[:1], 3)
    assert [hits[0], hits[1]] == [before[0], before[2]]
    assert len(hits) == 3
    assert len(asked) == 2


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_vectors_that_have_no_room_are_read_in_blocks_with_the_same_answers(
    store: Store, file: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    """Also where some are damaged, or lost, which both find."""
    records = fill(store, 60, [{"a": "red"}, {"a": "blue"}, {"b": 1}])
    damage_record(file, records[5].id, "vector")
    with closing(sqlite3.connect(file)) as connection, connection:
        lost = "(SELECT record FROM lookalike_records WHERE id = ?)"
        connection.execute(f"DELETE FROM lookalike_v1 WHERE record = {lost}", (records[8].id,))
    queries = random_vectors(5, SPACE.dimension)
    left_out = [[records[number].id, "none"] for number in range(5)]

    def answers(of: Store) -> list[Any]:
        return [
            nearest(of, "parts", asked, k, **among)
            for asked in (queries, CORNERS[:2])
            for k in (1, 7, 100)
            for among in (
                {},
                {"exclude": left_out[: len(asked)]},
                {"where": {"a": ["red"]}},
                {"where": {"b": [1]}, "having": "b", "exclude": left_out[: len(asked)]},
                {"where": {"b": [1], "a": ["red"]}},
            )
        ]

    expected, damaged = answers(store), store.damage.found("parts")
    assert {one.id for one in damaged} == {records[5].id, records[8].id}
    assert backend(store)._search.matrices._matrices
    monkeypatch.setenv("LOOKALIKE_MEMORY_LIMIT", "1KB")
    monkeypatch.setattr(blocks, "_BLOCK_BYTES", rows * 4 * SPACE.dimension)
    with open_store(store.url) as other:
        assert answers(other) == expected
        assert not backend(other)._search.matrices._matrices
        assert sorted(other.damage.found("parts"), key=str) == sorted(damaged, key=str)


def test_what_was_searched_first_is_let_go_of_where_there_is_no_room_for_both(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, 24)
    store.add_vector("parts", "words", WORDS)
    store.fill("parts", WORDS, [record(number) for number in range(24)], turned(24, WORDS))
    store.finish_vector("parts", WORDS)
    matrices = backend(store)._search.matrices
    room = 24 * 4 * max(SPACE.dimension, WORDS.dimension)
    for memory, kept in ((2 * room, 1), (4 * room, 2)):
        monkeypatch.setenv("LOOKALIKE_MEMORY_LIMIT", str(memory))
        nearest(store, "parts", CORNERS[:1], 1)
        nearest(store, "parts", turned(1, WORDS), 1, using="words")
        assert len(matrices._matrices) == kept


# Named vectors


def test_a_further_vector_is_a_column_and_the_default_is_vector(store: Store) -> None:
    fill(store, 2, [{"vector_words": "a field", "vector": 1}])
    store.add_vector("parts", "fitted", FITTED, becomes_default=True)
    store.add_vector("parts", "words", WORDS)
    assert store.sql("SELECT * FROM parts").columns[-1] == "vector"
    ids = store.lacking("parts", FITTED)
    for space in (FITTED, WORDS):
        store.fill("parts", space, store.get("parts", ids), turned(2, space))
        store.finish_vector("parts", space)
    table = store.sql("SELECT * FROM parts ORDER BY id")
    assert table.columns[4:] == (
        *("vector_words", "vector_2", "metadata", "vector", "vector_image", "vector_words_2"),
    )
    for row, name in ((table.rows[1], ids[1]), (table.rows[0], ids[0])):
        assert row[0] == name
        for content, using in ((row[-3], "fitted"), (row[-2], "image"), (row[-1], "words")):
            (vectors,) = store.vectors_of("parts", [name], using)[1].values()
            assert content == vectors[0].tobytes()
    store.put(
        "parts",
        [record(9, {"vector_image": 1})],
        {s: turned(1, s) for s in (FITTED, WORDS)} | {SPACE: CORNERS[:1]},
    )
    assert "vector_image_2" in store.sql("SELECT * FROM parts").columns
    store.set_default("parts", "image")
    columns = store.sql("SELECT * FROM parts").columns
    assert columns[-3:] == ("vector", "vector_fitted", "vector_words_2")
    store.drop_vector("parts", WORDS)
    assert store.sql("SELECT * FROM parts").columns == columns[:-1]
    assert store.check() == []


def test_a_search_by_one_vector_reads_no_other(store: Store, file: Path) -> None:
    """Bytes that are read, as Linux counts them, of a process that opens the file."""
    space, fitted = Space("model", "ab" * 32, 1024), Space("model", "ab" * 32, 512, "cd" * 32)
    records = [record(number) for number in range(1_000)]
    store.create("parts", space)
    store.put("parts", records, {space: random_vectors(1_000, 1024)})
    size = file_size(store)
    store.add_vector("parts", "fitted", fitted, becomes_default=True)
    for some in chunks(records, 250):
        store.fill("parts", fitted, some, random_vectors(len(some), 512))
    store.finish_vector("parts", fitted)
    assert file_size(store) < 1.6 * size
    by_plain, by_fitted, records_only = (
        bytes_read(store.url, call)
        for call in (
            "store.nearest('parts', Query(random_vectors(1, 1024), 5, 'image'))",
            "store.nearest('parts', Query(random_vectors(1, 512), 5, 'fitted'))",
            "[len(some) for some in store.scan_records('parts')]",
        )
    )
    assert records_only < 1 << 20
    assert 4 << 20 < by_plain < 6 << 20
    assert 2 << 20 < by_fitted < 4 << 20
    count = bytes_read(store.url, "store.sql('SELECT count(digest), count(metadata) FROM parts')")
    assert count < 1 << 20
    store.drop_vector("parts", fitted)
    before = file_size(store)
    store.add_vector("parts", "fitted", fitted)
    for some in chunks(records, 250):
        store.fill("parts", fitted, some, random_vectors(len(some), 512))
    assert file_size(store) <= 1.02 * before, "pages of what was dropped are used again"


def file_size(store: Store) -> int:
    store.close()
    return backend(store)._file.path.stat().st_size


def bytes_read(url: str, call: str) -> int:
    """Return how many bytes a process of its own reads for a call, beside what it reads to begin."""
    program = (
        "import sys\n"
        "from lookalike.stores.query import Query\n"
        "from lookalike.stores.registry import open_store\n"
        "from lookalike.testing.samples import random_vectors\n"
        "def read():\n"
        "    with open('/proc/self/io') as file:\n"
        "        return int(file.readline().split()[1])\n"
        "with open_store(sys.argv[1]) as store:\n"
        "    store.nearest('parts', Query(random_vectors(0, store.collection('parts').space.dimension), 1))\n"
        "    before = read()\n"
        f"    {call}\n"
        "    print(read() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, url],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    return int(done.stdout)


def test_damage_to_one_vector_leaves_the_others(store: Store, file: Path) -> None:
    records = fill(store, 5)
    ids = [one.id for one in records]
    store.add_vector("parts", "fitted", FITTED)
    store.fill("parts", FITTED, records, turned(5, FITTED))
    store.finish_vector("parts", FITTED)
    store.close()
    damage_record(file, ids[2], "exchanged", vector=2)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(
            "DELETE FROM lookalike_v2 WHERE record = (SELECT record FROM lookalike_records WHERE id = ?)",
            (ids[3],),
        )
    for using, left in (("fitted", {ids[0], ids[1], ids[4]}), ("image", set(ids))):
        query = turned(1, FITTED) if using == "fitted" else CORNERS[:1]
        with open_store(store.url) as reader:
            assert {one.id for one in scanned(reader, using=using)} == left
            assert {one.id for one in reader.vectors_of("parts", ids, using)[0]} == left
        with open_store(store.url) as reader:
            assert {hit.record.id for hit in nearest(reader, "parts", query, 9, using=using)[0]} == left
            assert reader.damage.ids("parts") == set(ids) - left
    with open_store(store.url) as reader:
        assert [one.id for some, _ in reader.scan_vectors("parts") for one in some] == [*ids[:2], ids[4]]
        reasons = {one.id: one.reason for one in reader.damage.found("parts")}
        assert reasons == {ids[2]: CHANGED_VECTOR, ids[3]: "its vector 'fitted' is not there"}
        assert reader.lacking("parts", FITTED) == [ids[3]]
        (fault,) = reader.check()
        assert fault == StructureFault("parts", None, f"1 record lacks the vector 'fitted': {ids[3]}")
        assert reader.fill("parts", FITTED, records, turned(5, FITTED)) == 1
        assert reader.check() == []


def test_what_the_catalogue_says_of_vectors_is_verified(store: Store, file: Path) -> None:
    fill(store, 2)
    store.add_vector("parts", "fitted", FITTED)
    store.close()
    content = file.read_bytes()
    for change in (
        "UPDATE lookalike_vectors SET ready = 1 WHERE vector = 2",
        "UPDATE lookalike_vectors SET dimension = 3 WHERE vector = 1",
        "UPDATE lookalike_collections SET default_vector = 'fitted'",
        "DELETE FROM lookalike_vectors WHERE vector = 2",
        "UPDATE lookalike_vectors SET collection = 2 WHERE vector = 2",
    ):
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute(change)
        with open_store(store.url) as reader, pytest.raises(StoreCorrupt, match="list of collections"):
            reader.collection("parts")
        file.write_bytes(content)
    assert len(store.collection("parts").vectors) == 2


def test_what_a_long_import_changed_does_not_fill_memory() -> None:
    log, what = ChangeLog(), ("collection", 1)
    tracemalloc.start()
    try:
        for revision in range(100):
            first = revision * MOST
            log.note({what: revision}, {what: revision + 1}, range(first, first + MOST))
        assert tracemalloc.get_traced_memory()[0] < 2 << 20
    finally:
        tracemalloc.stop()
    assert log.since(what, 99, 100) == set(range(99 * MOST, 100 * MOST))
    assert log.since(what, 98, 100) is None
    assert log.since(what, 1, 100) is None
