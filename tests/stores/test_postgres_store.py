"""The PostgreSQL store: the contract of all stores, its tables, its views and its SQL."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import numpy as np
import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from lookalike.cli import main
from lookalike.errors import (
    InvalidArgument,
    QueryRefused,
    QueryStopped,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreNewer,
    StoreOlder,
    Unanswerable,
)
from lookalike.stores import row_spool
from lookalike.stores.postgres import records
from lookalike.stores.postgres.address import read_postgres_address
from lookalike.stores.postgres.encoding import given_text, stored_text
from lookalike.stores.query import Query
from lookalike.stores.registry import open_store
from lookalike.stores.sql import AnswerLimit
from lookalike.testing.samples import (
    CORNERS,
    FIELDS,
    FITTED,
    REFITTED,
    SPACE,
    STRANGE_TEXTS,
    WORDS,
    corners,
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
from lookalike.uris import file_uri, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lookalike.stores.store import Store
    from lookalike.types import Scalar, Space

ROOT = Path(__file__).parents[2]


def damage_record(administrator: psycopg.Connection[Any], identity: str, part: str) -> None:
    """Change one part of what is stored of a record, see `PARTS`."""
    found = administrator.execute(
        "SELECT vector::text, digest, exact_fields FROM lookalike_c1 JOIN lookalike_v1 USING (id)"
        " WHERE id = %s",
        (identity,),
    ).fetchone()
    assert found is not None
    vector = flipped(np.array(json.loads(found[0]), "<f4").tobytes(), 14)
    numbers = json.dumps(np.frombuffer(vector, "<f4").tolist())
    others = "SELECT vector, checksum FROM lookalike_v1 WHERE id <> %s LIMIT 1"
    changed: dict[str, tuple[str, object]] = {
        "vector": ("lookalike_v1 SET vector = %s", numbers),
        "exchanged": (f"lookalike_v1 SET (vector, checksum) = ({others})", identity),
        "digest": ("lookalike_c1 SET digest = %s", flipped(found[1].encode(), 3).decode()),
        "fields": ("lookalike_c1 SET exact_fields = %s", found[2].replace("bad", "bae")),
    }
    what, value = changed[part]
    administrator.execute(f"UPDATE {what} WHERE id = %s".encode(), (value, identity))


@pytest.fixture
def url(postgres_url: str) -> str:
    return postgres_url


class TestPostgresStore(StoreContract):
    @pytest.fixture
    def url(self, url: str) -> str:
        return url

    @pytest.fixture
    def damage(self, administrator: psycopg.Connection[Any]) -> Damage:
        return partial(damage_record, administrator)


def schema_of(url: str) -> str:
    return unquote(url.partition("schema=")[2])


@pytest.fixture
def administrator(postgres_url: str, postgres_server: str) -> Iterator[psycopg.Connection[Any]]:
    """Somebody else's connection, which looks into the store's schema."""
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(SQL("SET search_path TO {}, public").format(Identifier(schema_of(postgres_url))))
        yield connection


# Views


def test_a_view_has_a_column_for_each_field_with_its_sql_type(store: Store, tmp_path: Path) -> None:
    store.create("parts", SPACE)
    uri = file_uri(tmp_path / "탱크 1%.jpg")
    one = record(1, FIELDS, uri=uri, id=record_id(uri), metadata={"part": {"name": "탱크"}})
    put(store, "parts", [one, record(2)], CORNERS[:2])
    table = store.sql("SELECT * FROM parts WHERE quality = 'bad' AND count > 2 AND sealed")
    assert table.columns == (
        *("id", "uri", "path", "digest", "quality", "count", "weight", "whole", "sealed"),
        *("metadata", "vector"),
    )
    (row,) = table.rows
    assert row[:9] == (one.id, uri, str(tmp_path / "탱크 1%.jpg"), one.digest, "bad", 3, 3.5, 3, True)
    assert [type(value) for value in row[4:9]] == [str, int, float, int, bool]
    assert row[-1] == "[1,0,0,0]"
    within = "metadata -> 'part' ->> 'name', metadata::text LIKE '%탱크%'"
    assert store.sql(f"SELECT {within} FROM parts ORDER BY quality").rows == [("탱크", True), (None, False)]
    assert store.sql("SELECT quality, count(*) FROM PARTS GROUP BY 1 ORDER BY 1").rows == [
        ("bad", 1),
        (None, 1),
    ]


def test_a_field_whose_values_are_of_two_kinds_is_text(store: Store) -> None:
    fill(store, 1, [{"a": 3, "b": True}])
    assert store.sql("SELECT a, b FROM parts").rows == [(3, True)]
    put(store, "parts", [record(1, {"a": "three"}), record(2, {"a": 2.5, "b": 1})], CORNERS[:2])
    assert sorted(store.sql("SELECT a, b FROM parts").rows, key=repr) == [
        ("2.5", "1"),
        ("3", "true"),
        ("three", None),
    ]


def test_a_new_field_is_a_column_in_the_same_transaction(store: Store) -> None:
    fill(store, 1)
    with pytest.raises(QueryRefused, match='column "colour" does not exist'):
        store.sql("SELECT colour FROM parts")
    put(store, "parts", [record(1, {"colour": "red"})], CORNERS[:1])
    assert store.sql("SELECT colour FROM parts WHERE colour IS NOT NULL").rows == [("red",)]
    store.relabel("parts", [(record(1).id, {"shade": "dark"}, {})])
    assert store.sql("SELECT colour, shade FROM parts WHERE shade IS NOT NULL").rows == [(None, "dark")]


def test_a_field_named_like_another_column_gets_a_number_as_in_sqlite(store: Store, tmp_path: Path) -> None:
    names = ("ID", "id", "label", "Label", "label_2", "vector", "Ä", "ä", "oid", "ctid", "x\0", "x\\x00")
    fields: dict[str, Scalar] = dict.fromkeys(names, "x")
    with open_store(f"sqlite:///{tmp_path}/parts.db") as other:
        for each in (store, other):
            fill(each, 1, [fields])
        columns = store.sql("SELECT * FROM parts").columns
        assert columns == other.sql("SELECT * FROM parts").columns
    assert len({column.lower() for column in columns if column.isascii()}) == len(columns) - 2


@pytest.mark.parametrize("text", STRANGE_TEXTS, ids=ascii)
def test_any_name_is_a_column_and_any_text_a_value(store: Store, text: str) -> None:
    fill(store, 2, [{text: "here"}, {"other": text}])
    column = store.sql("SELECT * FROM parts").columns[4]
    assert len(column.encode()) <= 63
    found = store.sql('SELECT "{}" FROM parts ORDER BY 1'.format(column.replace('"', '""')))
    assert found.rows == [("here",), (None,)]
    ((value,),) = store.sql("SELECT other FROM parts WHERE other IS NOT NULL").rows
    assert given_text(value) == text


def test_texts_that_postgres_cannot_hold_stay_apart() -> None:
    texts = ["\0", "\x1a0000", "\x1a", "\x1a\x1a", "\x1a001a", "\udcff", "\x1adcff", "\\udcff", "탱크", ""]
    stored = [stored_text(text) for text in texts]
    assert [given_text(text) for text in stored] == texts
    assert len(set(stored)) == len(texts)
    assert not any("\0" in text.encode().decode() for text in stored)


def test_long_names_that_begin_alike_do_not_meet(store: Store) -> None:
    names = ["탱" * 63 + last for last in "가나"]
    for number, name in enumerate(names):
        store.create(name, SPACE)
        put(store, name, [record(number, {"필" * 40 + "드": 1, "필" * 40 + "도": 2})], CORNERS[:1])
    views = store.sql("SELECT view_name FROM lookalike_collections ORDER BY collection").rows
    assert len({view for (view,) in views}) == 2
    for number, (view,) in enumerate(views):
        assert len(view.encode()) <= 63
        table = store.sql(f'SELECT * FROM "{view}"')
        assert table.rows[0][0] == record(number).id
        assert table.rows[0][4:6] == (1, 2)


def test_fields_beyond_the_columns_of_a_view_are_still_fields(store: Store) -> None:
    fields = {f"field {number:04}": number for number in range(1_700)}
    fill(store, 1, [fields])
    assert store.get("parts", [record(0).id])[0].fields == fields
    assert len(scanned(store, where={"field 1699": [1699]})) == 1
    columns = store.sql("SELECT * FROM parts").columns
    assert columns[4:-2] == tuple(sorted(fields))[:1594]


def test_deleting_a_collection_leaves_nothing_of_it(
    store: Store, administrator: psycopg.Connection[Any]
) -> None:
    fill(store, 3, [FIELDS])
    store.delete("PARTS")
    tables = administrator.execute(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'v')"
        " AND relnamespace = quote_ident(current_schema())::regnamespace"
    ).fetchall()
    own = ("collections", "fields", "schema", "vectors")
    assert sorted(tables) == [(f"lookalike_{name}",) for name in own]
    for name in own[:2] + own[3:]:
        rows = administrator.execute(SQL("SELECT FROM {}").format(Identifier(f"lookalike_{name}"))).fetchall()
        assert rows == []


def test_a_view_that_others_build_on_is_not_torn_away(
    store: Store, administrator: psycopg.Connection[Any]
) -> None:
    records = fill(store, 1, [{"a": 1}])
    administrator.execute("CREATE VIEW theirs AS SELECT a FROM parts")
    with pytest.raises(StoreError, match="drop them first"):
        put(store, "parts", [record(1, {"new": 1})], CORNERS[:1])
    assert scanned(store) == records
    put(store, "parts", [record(1, {"a": 2})], CORNERS[:1])  # nothing new in it
    administrator.execute("DROP VIEW theirs")
    put(store, "parts", [record(1, {"new": 1})], CORNERS[:1])


# SQL

REFUSED = [
    "DELETE FROM parts",
    "DELETE FROM lookalike_c1",
    "UPDATE lookalike_collections SET name = ''",
    "INSERT INTO lookalike_schema VALUES (9)",
    "WITH a AS (DELETE FROM lookalike_c1 RETURNING 1) SELECT * FROM a",
    "TRUNCATE lookalike_c1",
    "DROP TABLE lookalike_c1",
    "CREATE TABLE a (b int)",
    "CREATE TEMP TABLE a (b int)",
    "SELECT 1 AS one INTO a",
    "SELECT * FROM lookalike_collections FOR UPDATE",
    "SET default_transaction_read_only = off",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
    "SET TRANSACTION READ WRITE",
    "RESET ALL",
    "BEGIN",
    "COMMIT",
    "COMMIT; DELETE FROM lookalike_collections",
    "SELECT 1; COMMIT; DELETE FROM lookalike_collections",
    "SELECT 1; SELECT 2",
    "COPY (SELECT 1) TO '{file}'",
    "COPY (SELECT 1) TO PROGRAM 'touch {file}'",
    "COPY lookalike_collections FROM PROGRAM 'touch {file}'",
    "DO $$ BEGIN PERFORM 1; END $$",
    "CALL nothing()",
    "LISTEN a",
    "NOTIFY a",
    "LOCK TABLE lookalike_collections",
    "EXPLAIN ANALYZE DELETE FROM lookalike_c1",
    "PREPARE a AS DELETE FROM lookalike_c1",
    "VACUUM",
    "SELECT set_config('transaction_read_only', 'off', true)",
    "SELECT pg_catalog.set_config('transaction_read_only', 'off', true)",
    "SELECT \"set_config\"('transaction_read_only', 'off', true)",
    "SELECT U&\"\\0073et_config\"('transaction_read_only', 'off', true)",
    "SELECT Set_Config /* a */ ('transaction_read_only', 'off', true)",
    "SELECT nextval('lookalike_collections_collection_seq')",
    "SELECT lo_from_bytea(0, 'a')",
    "SELECT lo_export(1, '{file}')",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_terminate_backend(1)",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_notify('a', 'b')",
    "SELECT pg_sleep(1000)",
    "SELECT query_to_xml('SELECT pg_sleep(1000)', true, true, '')",
    "SELECT their_writer()",
    'SELECT "their_writer" -- a\n ()',
    'SELECT "{schema}" . Their_Writer /* a */ ()',
    "",
    " -- only a comment",
    "SELECT $1",
    "SELECT '\0'",
    "SELECT '\udcff'",
    "SELECT 1/0",
    "SELECT id FROM parts) TO STDOUT; --",
]


@pytest.mark.parametrize("statement", REFUSED)
def test_sql_that_writes_fails_or_is_not_one_statement_is_refused(
    store: Store, administrator: psycopg.Connection[Any], tmp_path: Path, statement: str
) -> None:
    records = fill(store, 2, [FIELDS])
    administrator.execute(
        "CREATE SEQUENCE theirs; CREATE FUNCTION their_writer() RETURNS bigint LANGUAGE sql"
        " AS $$ SELECT nextval('theirs') $$"
    )
    before = administrator.execute("SELECT last_value, is_called FROM theirs").fetchone()
    tmp_path.chmod(0o777)
    schema = schema_of(store.url.replace("+", " "))
    with pytest.raises(QueryRefused) as refused:
        store.sql(statement.replace("{file}", f"{tmp_path}/written").replace("{schema}", schema))
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []
    assert scanned(store) == records
    assert administrator.execute("SELECT last_value, is_called FROM theirs").fetchone() == before
    assert administrator.execute("SELECT count(*) FROM lookalike_collections").fetchone() == (1,)
    assert store.sql("SELECT count(*) FROM parts").rows == [(2,)]


def test_sql_reads_in_every_way(store: Store) -> None:
    fill(store, 3, [{"n": 1, "their_writer": "%s"}, {"n": 2, "their_writer": "copy"}])
    for statement, rows in (
        ("SELECT sum(n) FROM parts;", [(4,)]),
        ("VALUES (1, 'a'), (2.5, NULL)", [(1, "a"), (2.5, None)]),
        (
            "WITH RECURSIVE c(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM c) SELECT * FROM c LIMIT 2",
            [(1,), (2,)],
        ),
        ("TABLE lookalike_schema", [(4,)]),
        ("SELECT n, row_number() OVER (ORDER BY n DESC) FROM parts ORDER BY 2 LIMIT 1", [(2, 1)]),
        ("SELECT count(*) FROM parts WHERE their_writer LIKE '%s'", [(2,)]),
        ("SELECT avg(n) + 0.25, 0.1 + 0.2 FROM parts WHERE n = 1", [(1.25, 0.3)]),
        ("SELECT 'nan'::float8, '-infinity'::real, 'nan'::numeric", [("NaN", "-Infinity", "NaN")]),
        (
            "SELECT DATE '2020-02-03', '{\"a\": 1}'::jsonb, '\\xff'::bytea",
            [("2020-02-03", '{"a": 1}', "\\xff")],
        ),
        ("SELECT 10::numeric ^ 20, ARRAY[1, 2], NULL::int", [(10**20, "{1,2}", None)]),
        ("SELECT random() BETWEEN 0 AND 1, now() IS NULL", [(True, False)]),
    ):
        found = store.sql(statement).rows
        assert found == rows
        json.dumps(found, allow_nan=False)


def test_sql_on_a_store_that_was_never_written_makes_none(
    store: Store, administrator: psycopg.Connection[Any]
) -> None:
    assert store.sql("SELECT 1 AS one").rows == [(1,)]
    with pytest.raises(QueryRefused, match='"parts" does not exist'):
        store.sql("SELECT * FROM parts")
    assert administrator.execute(
        "SELECT count(*) FROM pg_namespace WHERE nspname = %s", (schema_of(store.url.replace("+", " ")),)
    ).fetchone() == (0,)


def test_vectors_compare_in_sql_as_nearest_does(store: Store) -> None:
    store.create("parts", SPACE)
    put(store, "parts", [record(number) for number in range(50)], random_vectors(50, 4))
    pairs = store.sql(
        "SELECT a.id, b.id, 1 - (a.vector <=> b.vector) FROM parts AS a CROSS JOIN parts AS b"
        " ORDER BY a.id, 3 DESC, b.id"
    )
    vectors = np.concatenate([rows for _, rows in store.scan("parts")])
    hits = nearest(store, "parts", vectors, 50)
    similarities = [hit.similarity for some in hits for hit in some]
    assert [row[2] for row in pairs.rows] == pytest.approx(similarities, abs=1e-6)


def test_ctrl_c_ends_an_endless_statement(
    store: Store, postgres_url: str, administrator: psycopg.Connection[Any]
) -> None:
    program = (
        "import sys\nfrom lookalike.stores.registry import open_store\n"
        "with open_store(sys.argv[1]) as store:\n"
        "    print('ready', flush=True)\n"
        "    try:\n        store.sql(sys.argv[2])\n"
        "    except KeyboardInterrupt:\n        print('interrupted', flush=True)\n"
    )
    endless = "WITH RECURSIVE c(i) AS (VALUES (1) UNION ALL SELECT i + 0 FROM c) SELECT max(i) FROM c"
    with subprocess.Popen(
        [sys.executable, "-c", program, postgres_url, endless], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        try:
            assert process.communicate(timeout=20)[0] == "interrupted\n"
        finally:
            process.kill()
    until_none_runs(administrator, endless)


@pytest.mark.parametrize(
    "statement",
    [
        "WITH RECURSIVE c(i) AS (VALUES (1) UNION ALL SELECT i + 0 FROM c) SELECT max(i) FROM c",
        "SELECT count(*) FROM generate_series(1, 1000000000000)",
        "SELECT pg_sleep_for(x) FROM (VALUES (interval '1 hour')) t(x)",
    ],
)
def test_sql_that_takes_too_long_is_stopped(
    store: Store, administrator: psycopg.Connection[Any], statement: str
) -> None:
    fill(store, 1)
    with pytest.raises((QueryStopped, QueryRefused), match=r"within 0.5 seconds|volatile") as stopped:
        store.sql(statement, 0.5)
    assert "\n" not in str(stopped.value)
    assert store.sql("SELECT count(*) FROM parts", 1e300).rows == [(1,)]
    # Nothing of it is left running.
    until_none_runs(administrator, statement)


def until_none_runs(administrator: psycopg.Connection[Any], statement: str) -> None:
    deadline = time.monotonic() + 30
    while administrator.execute(
        "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE %s AND pid <> pg_backend_pid()",
        (f"%{statement[:40].replace('%', '_')}%",),
    ).fetchone():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_sql_that_takes_too_much_memory_is_stopped(
    store: Store, administrator: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AnswerLimit.__init__, "__defaults__", (1 << 20,))
    fill(store, 1)
    statement = "SELECT i, repeat('x', 1000) FROM generate_series(1, 300000) AS s(i)"
    with pytest.raises(QueryStopped, match="more than 1 MB"):
        store.sql(statement)
    until_none_runs(administrator, statement)
    assert store.sql("SELECT count(*) FROM parts").rows == [(1,)]


def test_an_answer_in_parts_is_whole(store: Store) -> None:
    fill(store, 1)
    found = store.sql("SELECT i, i || 'x' AS text FROM generate_series(1, 2500) AS s(i)")
    assert found.columns == ("i", "text")
    assert found.rows == [(number, f"{number}x") for number in range(1, 2501)]
    with pytest.raises(QueryRefused, match="division by zero"):
        store.sql("SELECT 1 / (2000 - i) FROM generate_series(1, 2500) AS s(i)")


# The schema


def test_a_store_of_a_later_version_is_left_alone(
    store: Store, administrator: psycopg.Connection[Any], postgres_url: str
) -> None:
    fill(store, 1)
    administrator.execute("UPDATE lookalike_schema SET version = 1000")
    with open_store(postgres_url) as again:
        for each in (store, again):
            for call in (
                each.collections,
                lambda: each.create("others", SPACE),  # noqa: B023 called at once
                lambda: put(each, "parts", [record(2)], CORNERS[:1]),  # noqa: B023
                lambda: each.sql("SELECT 1"),  # noqa: B023
            ):
                with pytest.raises(StoreNewer, match="later version"):
                    call()
    assert administrator.execute("SELECT count(*) FROM lookalike_c1").fetchone() == (1,)


def test_a_store_of_an_earlier_version_says_what_to_do(
    store: Store, administrator: psycopg.Connection[Any]
) -> None:
    fill(store, 1)
    administrator.execute("UPDATE lookalike_schema SET version = 2")
    for call in (
        store.collections,
        lambda: store.create("others", SPACE),
        lambda: put(store, "parts", [record(2)], CORNERS[:1]),
        lambda: store.sql("SELECT 1"),
    ):
        with pytest.raises(StoreOlder, match="index the images again into a new store"):
            call()


def test_a_rare_word_weighs_more_than_a_frequent_one(store: Store) -> None:
    fill(store, 50, [{"a": "common thing"}, {"a": "common thing"}, {"a": "common"}])
    for number, text in {1: "rare", 2: "rare rare rare", 3: "rare and many other words beside"}.items():
        store.relabel("parts", [(record(number).id, {"a": text}, {})])
    found = store.search_words("parts", "common rare", 50)
    assert [one.fields["a"] for one in found[:4]] == [
        "rare rare rare",
        "rare",
        "rare and many other words beside",
        "common",
    ]


def test_words_are_lexemes_with_their_places(store: Store, administrator: psycopg.Connection[Any]) -> None:
    store.create("parts", SPACE)
    one = record(1, {"a": "b c b 탱크"})
    often = record(2, metadata={"a": "often " * 20_000 + "late"})
    put(store, "parts", [one, often], CORNERS[:2])
    found = {
        identity: (words, count)
        for identity, words, count in administrator.execute(
            "SELECT id, CASE WHEN length(words) < 9 THEN words::text END,"
            " (SELECT max(cardinality(positions)) FROM unnest(words)) FROM lookalike_w1"
        )
    }
    assert found[one.id] == ("'1':5 'b':1,3 'c':2 'picture':6 '탱크':4", 2)
    assert found[often.id][1] == 255
    assert store.search_words("parts", "late", 5) == [often]


def test_tables_of_others_are_not_touched(
    store: Store, administrator: psycopg.Connection[Any], postgres_url: str
) -> None:
    schema = Identifier(schema_of(postgres_url))
    administrator.execute(SQL("CREATE SCHEMA {}").format(schema))
    administrator.execute("CREATE TABLE parts (a int); INSERT INTO parts VALUES (1)")
    assert store.collections() == []
    with pytest.raises(StoreError, match="another program has a table of that name"):
        store.create("parts", SPACE)
    store.create("others", SPACE)
    with pytest.raises(StoreError, match="another program has a table of that name"):
        store.rename("others", "parts")
    assert [one.name for one in store.collections()] == ["others"]
    store.delete("others")
    assert administrator.execute("TABLE parts").fetchall() == [(1,)]


def test_a_store_with_a_table_missing_is_corrupt(
    store: Store, administrator: psycopg.Connection[Any]
) -> None:
    fill(store, 1)
    administrator.execute("DROP TABLE lookalike_c1 CASCADE")
    with pytest.raises(StoreCorrupt, match="not as lookalike made it"):
        store.stamps("parts")


def test_stamps_come_in_pages_and_are_of_one_state(
    store: Store, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, 24)
    before = store.stamps("parts")
    monkeypatch.setattr(records, "_STAMPS", 5)
    monkeypatch.setattr(row_spool, "_MOST_IN_MEMORY", 7)
    found = store.scan_stamps("parts")
    first = next(found)
    with open_store(postgres_url) as other:
        other.delete("parts")
    assert dict([first, *found]) == before
    assert len(before) == 24


def test_two_stores_in_one_database_know_nothing_of_each_other(store: Store, postgres_url: str) -> None:
    fill(store, 2)
    with open_store(postgres_url + " second") as other:
        assert other.collections() == []
        other.create("parts", replace(SPACE, dimension=2))
        assert store.collection("parts").space.dimension == 4
    with psycopg.connect(postgres_url.partition("?")[0], autocommit=True) as connection:
        connection.execute(
            SQL("DROP SCHEMA {} CASCADE").format(Identifier(f"{schema_of(postgres_url)} second"))
        )


def test_stores_made_at_once_by_threads_and_processes_agree(postgres_url: str) -> None:
    program = (
        "import sys\nfrom lookalike.testing.samples import SPACE, corners, record\n"
        "from lookalike.stores.registry import open_store\n"
        "with open_store(sys.argv[1]) as store:\n"
        "    store.create('parts', SPACE)\n"
        "    store.put('parts', [record(f'{sys.argv[2]}-{n}', {f'field{n % 7}': 1}) for n in range(20)],"
        " {SPACE: corners(20)})\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", program, postgres_url, name], cwd=ROOT)
        for name in "abcd"
    ]
    assert [writer.wait() for writer in writers] == [0] * 4
    with open_store(postgres_url) as store:
        assert store.collection("parts").count == 80 == len(scanned(store))


def test_the_count_is_that_of_the_rows(store: Store, administrator: psycopg.Connection[Any]) -> None:
    fill(store, 30)
    put(store, "parts", [record(number) for number in range(20, 45)], corners(25))
    store.remove("parts", [record(number).id for number in (3, 40, 99)])
    assert store.collection("parts").count == 43
    assert administrator.execute("SELECT count(*) FROM lookalike_c1").fetchone() == (43,)


# Vectors


@pytest.mark.parametrize("dimension", [1, 512, 1_280, 1_800, 1_801, 2_001, 4_000, 4_001, 16_000])
def test_vectors_of_any_length_come_back_bit_by_bit(store: Store, dimension: int) -> None:
    store.create("parts", replace(SPACE, dimension=dimension))
    records = [record(number, {"text": "x" * 500 * number}) for number in range(12)]
    vectors = random_vectors(12, dimension)
    put(store, "parts", records, vectors)
    ((found, rows),) = store.scan("parts")
    by_id = {one.id: row for one, row in zip(found, rows, strict=True)}
    assert all(np.array_equal(by_id[one.id], row) for one, row in zip(records, vectors, strict=True))
    if dimension > 1:
        assert [hits[0].record.id for hits in nearest(store, "parts", vectors, 1)] == [
            one.id for one in records
        ]


def test_vectors_that_are_too_long_are_refused(store: Store) -> None:
    with pytest.raises(InvalidArgument, match="16,000"):
        store.create("parts", replace(SPACE, dimension=16_001))
    assert store.collections() == []


@pytest.mark.parametrize(("dimension", "kind"), [(64, "hnsw"), (2_001, "hnsw-halfvec")])
def test_approximate_search_uses_the_index_and_exact_search_does_not(
    store: Store, administrator: psycopg.Connection[Any], dimension: int, kind: str
) -> None:
    store.create("parts", replace(SPACE, dimension=dimension))
    vectors = random_vectors(300, dimension)
    put(store, "parts", [record(number, {"n": number % 3}) for number in range(300)], vectors)
    assert store.build_index("parts").kind == kind

    def uses() -> int:
        administrator.execute("SELECT pg_stat_clear_snapshot()")
        row = administrator.execute(
            "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'lookalike_v1_hnsw'"
            " AND schemaname = current_schema()"
        ).fetchone()
        assert row is not None
        return int(row[0])

    def settled() -> int:
        """Servers give their figures away when a connection ends."""
        store.close()
        deadline, last = time.monotonic() + 10, -1
        while (now := uses()) != last and time.monotonic() < deadline:
            last = now
            time.sleep(0.3)
        return now

    before = settled()
    exact = nearest(store, "parts", vectors[:20], 10)
    assert settled() == before
    found = nearest(store, "parts", vectors[:20], 10, approximate=True)
    assert settled() >= before + 20
    assert sum(a == b for a, b in zip(exact, found, strict=True)) >= 18


def test_vectors_too_long_for_an_index_say_so(store: Store) -> None:
    store.create("parts", replace(SPACE, dimension=4_001))
    put(store, "parts", [record(1)], random_vectors(1, 4_001))
    with pytest.raises(Unanswerable, match="4,000 numbers"):
        store.build_index("parts")
    assert store.collection("parts").approximation is None
    assert len(nearest(store, "parts", random_vectors(1, 4_001), 1, approximate=True)[0]) == 1


def test_an_index_may_be_built_while_others_read_and_write(store: Store, postgres_url: str) -> None:
    store.create("parts", replace(SPACE, dimension=64))
    vectors = random_vectors(1_500, 64)
    put(store, "parts", [record(number) for number in range(1_500)], vectors)
    built: list[object] = []
    thread = threading.Thread(target=lambda: built.append(store.build_index("parts")))
    thread.start()
    with open_store(postgres_url) as other:
        for number in range(5):
            assert len(nearest(other, "parts", vectors[:3], 5)[2]) == 5
            put(other, "parts", [record(f"more-{number}")], vectors[:1])
    thread.join()
    assert built == [store.collection("parts").approximation]
    assert store.collection("parts").count == 1_505


# Named vectors


def fit(store: Store, count: int, space: Space = FITTED) -> None:
    """Give the first `count` records the vector `fitted`, which becomes the default."""
    store.add_vector("parts", "fitted", space, becomes_default=True)
    store.fill("parts", space, [record(number) for number in range(count)], turned(count, space))
    store.finish_vector("parts", space)


def tables(administrator: psycopg.Connection[Any]) -> list[str]:
    rows = administrator.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^lookalike_[cvw][0-9]+$'"
        " AND relnamespace = quote_ident(current_schema())::regnamespace ORDER BY relname"
    )
    return [name for (name,) in rows]


def test_a_view_has_a_column_for_each_vector_as_in_sqlite(store: Store, tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/parts.db") as other:
        for each in (store, other):
            fill(each, 3, [{"vector_image": "a field"}])
            fit(each, 3)
            each.put(
                "parts",
                [record(0, {"vector_words": "another"})],
                {SPACE: CORNERS[:1], FITTED: turned(1, FITTED)},
            )
            each.add_vector("parts", "words", WORDS)
            assert "vector_words" in each.sql("SELECT * FROM parts").columns
        columns = store.sql("SELECT * FROM parts").columns
        assert columns == other.sql("SELECT * FROM parts").columns
    assert columns[4:] == ("vector_image_2", "vector_words", "metadata", "vector", "vector_image")
    one = f"SELECT vector, vector_image FROM parts WHERE id = '{record(2).id}'"
    ((fitted, image),) = store.sql(one).rows
    assert json.loads(image) == CORNERS[2].tolist()
    assert np.array(json.loads(fitted), np.float32).tolist() == turned(3, FITTED)[2].tolist()
    store.set_default("parts", "image")
    assert store.sql("SELECT * FROM parts").columns[-2:] == ("vector", "vector_fitted")


def test_a_vector_that_is_dropped_leaves_nothing(
    store: Store, administrator: psycopg.Connection[Any]
) -> None:
    fill(store, 3)
    assert tables(administrator) == ["lookalike_c1", "lookalike_v1", "lookalike_w1"]
    fit(store, 3)
    fit(store, 3, REFITTED)
    assert tables(administrator) == ["lookalike_c1", "lookalike_v1", "lookalike_v3", "lookalike_w1"]
    store.drop_vector("parts", REFITTED)
    assert tables(administrator) == ["lookalike_c1", "lookalike_v1", "lookalike_w1"]
    assert store.sql("SELECT * FROM parts").columns[-1] == "vector"
    fit(store, 3)
    store.delete("parts")
    assert tables(administrator) == []


def test_a_fit_adds_a_table_and_leaves_the_others_as_they_are(
    store: Store, administrator: psycopg.Connection[Any]
) -> None:
    fill(store, 500)

    def sizes() -> list[Any]:
        return administrator.execute(
            "SELECT pg_total_relation_size('lookalike_c1'), pg_total_relation_size('lookalike_v1')"
        ).fetchall()

    before = sizes()
    fit(store, 500)
    assert sizes() == before


def test_who_asks_for_one_vector_reads_no_other(
    store: Store, administrator: psycopg.Connection[Any], postgres_url: str
) -> None:
    records = fill(store, 5)
    fit(store, 5)
    query = Query(turned(1, FITTED), 5)
    with administrator.transaction(), open_store(postgres_url, timeout=0.3) as impatient:
        administrator.execute("LOCK TABLE lookalike_v1 IN ACCESS EXCLUSIVE MODE")
        assert len(impatient.nearest("parts", query)[0]) == 5
        assert len(impatient.nearest("parts", replace(query, using="fitted"))[0]) == 5
        assert scanned(impatient) == records
        with pytest.raises(StoreBusy):
            nearest(impatient, "parts", CORNERS[:1], 5, using="image")
        administrator.execute("LOCK TABLE lookalike_v2 IN ACCESS EXCLUSIVE MODE")
        assert [one for some in impatient.scan_records("parts") for one in some] == records
        assert impatient.get("parts", [records[0].id]) == records[:1]
        assert len(impatient.search_words("parts", "pictures", 9)) == 5


def test_an_index_serves_sql_through_the_view(store: Store, administrator: psycopg.Connection[Any]) -> None:
    fill(store, 50)
    fit(store, 50)
    store.build_index("parts")
    administrator.execute("SET enable_seqscan = off")
    plan = administrator.execute(
        "EXPLAIN SELECT id, label FROM (SELECT id, digest AS label, vector FROM parts) AS p"
        " ORDER BY vector <=> '[1, 0]' LIMIT 3"
    ).fetchall()
    assert "lookalike_v2_hnsw" in str(plan)
    assert "lookalike_v1" not in str(plan)


def test_two_that_wait_for_each_other_both_end(store: Store, administrator: psycopg.Connection[Any]) -> None:
    fill(store, 3)
    deleted: list[int] = []
    thread = threading.Thread(target=lambda: deleted.append(store.delete("parts")))
    administrator.execute("SET deadlock_timeout = '1h'")  # so that it is the store's that is undone
    with administrator.transaction():
        administrator.execute("LOCK TABLE lookalike_w1 IN ACCESS SHARE MODE")
        thread.start()
        deadline = time.monotonic() + 20
        while not administrator.execute(
            "SELECT FROM pg_locks WHERE relation = 'lookalike_w1'::regclass AND NOT granted"
        ).fetchall():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        administrator.execute("LOCK TABLE lookalike_v1 IN ACCESS SHARE MODE")
    thread.join(30)
    assert deleted == [3]


def test_what_the_tables_of_a_collection_do_not_agree_on_is_found(
    store: Store, administrator: psycopg.Connection[Any]
) -> None:
    records = fill(store, 5)
    assert store.check() == []
    gone, unknown, lost = (one.id for one in records[1:4])
    administrator.execute("DELETE FROM lookalike_c1 WHERE id = %s", (gone,))
    administrator.execute("DELETE FROM lookalike_w1 WHERE id = %s", (unknown,))
    administrator.execute("DELETE FROM lookalike_v1 WHERE id = %s", (lost,))
    assert {(fault.id, fault.reason) for fault in store.check()} == {
        (None, f"words of record {gone}, which is not there"),
        (None, f"vector 'image' of record {gone}, which is not there"),
        (unknown, "a search for words does not know it"),
        (None, f"1 record lacks the vector 'image': {lost}"),
    }
    (hits,) = nearest(store, "parts", CORNERS[:1], 9)
    assert sorted(hit.record.id for hit in hits) == [records[place].id for place in (0, 2, 4)]
    assert store.damage.ids("parts") == {gone}
    assert scanned(store) == [records[0], records[2], records[4]]
    assert store.damage.ids("parts") == {gone, lost}


# URLs


def test_a_url_is_shown_without_its_secrets(postgres_url: str) -> None:
    address = read_postgres_address("postgresql://me:s%40cret@h:1/db?sslmode=require&sslpassword=hidden&m=8")
    assert address.masked == "postgresql://me@h:1/db?sslmode=require&m=8"
    assert (address.connection["password"], address.m, address.schema) == ("s@cret", 8, "lookalike")
    place = urlsplit(postgres_url)
    if place.password is None:
        pytest.skip("the URL of the server that was named has no password")
    with open_store(postgres_url) as store:
        assert f"{place.username}@{place.hostname}" in store.url
        for shown in (store.url, repr(store)):
            assert place.password not in shown
            assert unquote(place.password) not in shown


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://u:4711#hidden@h/db", "write # / ? and @ in a password as %23 %2F %3F and %40"),
        ("postgresql://u:4711/hidden@h/db", "write # / ? and @ in a password as %23 %2F %3F and %40"),
        ("postgresql://u:4711?hidden=1@h/db", "an option that neither libpq nor lookalike knows"),
        ("postgresql://u:hidden[@h/db", "check host, port and options"),
        ("postgresql://u:hidden@h:99999/hidden", "check host, port and options"),
        ("postgresql://u:hidden@h/db?hidden=1", "an option that neither libpq nor lookalike knows"),
        ("postgresql://u:hidden@h/db?sslmode=a&sslmode=b", "says an option twice"),
        ("postgresql://u:hidden@h/db?host=hidden", "says host twice"),
        ("postgresql://u:hidden@h/db?ef_search=0", "?ef_search= is a whole number, 1 to 1000, not '0'"),
        # The value of an option that is no secret is repeated.
        ("postgresql://u:hidden@h/db?m=many", "?m= is a whole number, 2 to 100, not 'many'"),
        ("postgresql://u:hidden@h/db?schema=", "?schema= names a schema of at most 63 bytes, not pg_…"),
        ("postgresql://u:hidden@h/db?schema=pg_hidden", "?schema= names a schema of at most 63 bytes"),
        ("postgresql://u:hidden@h/db\0", "write # / ? and @ in a password as %23 %2F %3F and %40"),
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_repeating_passwords(url: str, said: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        open_store(url)
    assert said in str(refused.value)
    assert "hidden" not in str(refused.value)
    assert "4711" not in str(refused.value)


def test_without_psycopg_the_install_line_is_named() -> None:
    program = (
        "import sys\nsys.modules['psycopg'] = None\n"
        "from lookalike.stores.registry import open_store\nfrom lookalike.errors import ExtraMissing\n"
        "try:\n    open_store('postgresql://h/db')\n"
        "except ExtraMissing as missing:\n    print(missing)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "PostgreSQL needs an optional package: pip install 'lookalike[postgres]'\n"


# The command line


def test_the_commands_work_from_index_to_sql(
    postgres_url: str, textile: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in textile.iterdir():
        for file in sorted(folder.iterdir())[10:]:
            file.unlink()
    query = tmp_path / "query.jpg"
    shutil.copyfile(textile / "global" / "textile_0001.jpg", query)
    (textile / "global" / "textile_0001.jpg").unlink()

    password = urlsplit(postgres_url).password
    assert password
    password = unquote(password)

    def answers(store: str) -> list[Any]:
        def run(*words: str | Path) -> list[Any]:
            capsys.readouterr()
            code = main([*map(str, words), "--store", store, "--cache", str(cache), "--format", "jsonl"])
            out, err = capsys.readouterr()
            assert code == 0, err
            assert password not in unquote(out + err)
            return [json.loads(line) for line in out.splitlines()]

        run("index", textile)
        assert run("index", textile)[-1]["unchanged"] == 29
        classified = run("classify", query, "--by", "label", "-k", "5")
        assert classified[0]["judged"].pop("at")
        info = run("info")
        with open_store(store) as opened:
            assert info[0]["store"] == opened.url
        return [
            run("search", query, "-k", "5"),
            run("search", query, "-k", "5", "--where", "label=local"),
            classified,
            run("evaluate", "--by", "label", "-k", "1")[0]["accuracy"],
            run("sql", "SELECT label, count(*) AS images FROM images GROUP BY label ORDER BY label"),
            run("fit", "--by", "label")[0]["classes"],
            run("search", query, "-k", "5"),
            run("search", query, "-k", "5", "--using", "image"),
            list(run("fit", "--undo")[0]),
            run("search", query, "-k", "5"),
        ]

    assert answers(postgres_url) == answers(f"sqlite:///{tmp_path}/same.db")
