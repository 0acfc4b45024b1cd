"""Tables of others in PostgreSQL, made as pgvector's README, LangChain and Django make them."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
import psycopg
import pytest
from numpy.typing import NDArray
from psycopg.sql import SQL, Identifier

import lookalike
from lookalike.stores.attached import kept_rows
from lookalike.testing.attached_tables import AttachedTableContract, MakeTable, Rows
from lookalike.vectors.metric import normalise
from tests.attach.foreign_tables import (
    COLORS,
    Story,
    agree,
    ask,
    check_answers,
    check_story,
    nearest,
    numbers,
    story,  # noqa: F401 a fixture
)

SCHEMA = f'상점 "{os.getpid()}"'
"""With all that has to be quoted."""


@pytest.fixture
def owner(postgres_server: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection of the tables' owner, in a schema of its own."""
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector SCHEMA public")
        connection.execute(SQL("CREATE SCHEMA {}").format(Identifier(SCHEMA)))
        connection.execute(SQL("SET search_path = {}, public").format(Identifier(SCHEMA)))
        try:
            yield connection
        finally:
            connection.execute(SQL("DROP SCHEMA {} CASCADE").format(Identifier(SCHEMA)))


@pytest.fixture
def database(
    postgres_server: str, owner: psycopg.Connection[Any], tmp_path: Path
) -> Iterator[lookalike.Database]:
    with lookalike.open(postgres_server, cache=tmp_path) as database:
        yield database


def text(vector: NDArray[Any]) -> str:
    return "[" + ",".join(map(repr, vector.tolist())) + "]"


def test_the_readme_of_pgvector(owner: psycopg.Connection[Any], database: lookalike.Database) -> None:
    owner.execute("CREATE TABLE items (id bigserial PRIMARY KEY, embedding vector(8))")
    vectors = numbers(300)
    with owner.cursor() as cursor:
        cursor.executemany("INSERT INTO items (embedding) VALUES (%s)", [(text(one),) for one in vectors])
    owner.execute("CREATE INDEX ON items USING hnsw (embedding vector_l2_ops)")
    owner.execute("INSERT INTO items (embedding) VALUES (NULL), ('[0,0,0,0,0,0,0,0]')")
    done = database.attach(f'"{SCHEMA.replace(chr(34), chr(34) * 2)}".items', space="theirs")
    assert (done.attachment.id, done.attachment.vector, done.tally.records) == ("id", "embedding", 300)
    assert {(one.reason, one.count, one.example) for one in done.tally.left_out} == {
        ("no vector (NULL)", 1, "301"),
        ("a vector of zeros", 1, "302"),
    }
    assert done.tally.remarks[0].count == 300
    assert done.index is not None
    assert "Euclidean distance, and 300 vectors are not of length 1" in done.index
    queries, ids = numbers(5, seed=1), list(range(1, 301))
    expected = [nearest(one, vectors, ids, 5) for one in queries]
    agree(ask(database, "items", queries), expected)
    agree(ask(database, "items", queries, approximate=True), expected)
    # What its owner does is seen by the next question.
    owner.execute("INSERT INTO items (embedding) VALUES (%s)", (text(queries[0] * 7),))
    owner.execute("DELETE FROM items WHERE id = %s", (int(expected[1][0][0]),))
    again = ask(database, "items", queries)
    agree([again[0][:1]], [[("303", 1.0)]])
    assert expected[1][0][0] not in [one for one, _ in again[1]]
    assert database["items"].info().count == 300
    assert owner.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'lookalike'").fetchone() == (0,)


def test_an_index_by_the_cosine_serves_approximate_searches(
    owner: psycopg.Connection[Any], database: lookalike.Database
) -> None:
    owner.execute(
        'CREATE TABLE "Pictures of parts" (no integer PRIMARY KEY, "file Name" text,'
        " label text, v halfvec(8))"
    )
    vectors = numbers(400).astype(np.float16).astype(np.float32)
    with owner.cursor() as cursor:
        cursor.executemany(
            'INSERT INTO "Pictures of parts" VALUES (%s, %s, %s, %s)',
            [(n, f"{n}.jpg", COLORS[n % 3], text(one)) for n, one in enumerate(vectors)],
        )
    owner.execute('CREATE INDEX ON "Pictures of parts" USING hnsw (v halfvec_cosine_ops)')
    owner.execute(
        'CREATE VIEW seen AS SELECT no AS picture_id, v, label FROM "Pictures of parts" WHERE no >= 10'
    )
    for table, name, least in (("Pictures of parts", "parts", 0), ("seen", "seen", 10)):
        done = database.attach(table, name, space="theirs")
        assert done.index is None
        measured = database[name].info().approximation
        assert measured is not None
        assert (measured.kind, measured.recall > 0.9) == ("hnsw", True)
        assert dict(done.attachment.fields)["label"].column == "label"
        queries, ids = numbers(4, seed=2), list(range(least, 400))
        few = [n for n in ids if COLORS[n % 3] == "초록"]
        expected = [nearest(one, vectors[few], few, 7) for one in queries]
        where = {"label": ["초록"]}
        agree(ask(database, name, queries, 7, where=where), expected)
        found = ask(database, name, queries, 7, where=where, approximate=True)
        assert [len(hits) for hits in found] == [7] * 4
        assert (
            sum(len(dict(one).keys() & dict(other)) for one, other in zip(found, expected, strict=True)) >= 24
        )


def test_langchain_s_tables(owner: psycopg.Connection[Any], database: lookalike.Database) -> None:
    """As langchain-postgres 0.0.19 declares them to SQLAlchemy (vectorstores.py)."""
    owner.execute(
        "CREATE TABLE langchain_pg_collection (uuid UUID NOT NULL, name VARCHAR NOT NULL, cmetadata JSON,"
        " PRIMARY KEY (uuid), UNIQUE (name))"
    )
    owner.execute(
        "CREATE TABLE langchain_pg_embedding (id VARCHAR NOT NULL, collection_id UUID, embedding VECTOR,"
        " document VARCHAR, cmetadata JSONB, PRIMARY KEY (id), FOREIGN KEY(collection_id)"
        " REFERENCES langchain_pg_collection (uuid) ON DELETE CASCADE)"
    )
    owner.execute(
        "CREATE INDEX ix_cmetadata_gin ON langchain_pg_embedding USING gin (cmetadata jsonb_path_ops)"
    )
    draws = np.random.default_rng(3)
    kept = uuid.UUID(bytes=draws.bytes(16))
    owner.execute("INSERT INTO langchain_pg_collection VALUES (%s, 'pictures', NULL)", (kept,))
    vectors = numbers(90)
    ids = [str(uuid.UUID(bytes=draws.bytes(16))) for _ in vectors]
    ids[7] = "사진 7/a"
    metadata = [{"source": f"{n}.jpg", "page": n % 4, "shown": n % 2 == 0} for n in range(90)]
    with owner.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO langchain_pg_embedding VALUES (%s, %s, %s, %s, %s)",
            [
                (ids[n], kept, text(vectors[n]), "a long text " * 40, json.dumps(metadata[n]))
                for n in range(90)
            ],
        )
        cursor.execute("INSERT INTO langchain_pg_embedding VALUES ('other', %s, '[1,2,3]')", (kept,))
    done = database.attach("langchain_pg_embedding", "lc", space="theirs", path="cmetadata:$.source")
    assert {name: str(one) for name, one in done.attachment.fields} == {
        "collection_id": "collection_id",
        "page": 'cmetadata:$."page"',
        "shown": 'cmetadata:$."shown"',
        "source": 'cmetadata:$."source"',
    }
    assert [(one.reason, one.example) for one in done.tally.left_out] == [
        ("a vector that has not 8 dimensions", "other")
    ]
    queries = numbers(3, seed=4)
    page = [n for n in range(90) if n % 4 in (1, 3)]
    named = [quote(ids[n], safe="") for n in page]
    expected = [nearest(one, vectors[page], named, 6) for one in queries]
    agree(ask(database, "lc", queries, 6, where={"page": [1, 3.0]}), expected)
    (record,) = database["lc"].records.get(["%EC%82%AC%EC%A7%84%207%2Fa"])
    assert (record.fields["page"], record.metadata, record.uri) == (3, metadata[7], "7.jpg")
    answer = database.sql("SELECT page, count(*), max(vector_dims(vector)) FROM lc GROUP BY page ORDER BY 1")
    assert answer.rows[:2] == [("0", 23, 8), ("1", 23, 8)]
    assert database["lc"].search(lookalike.RecordId(record.id), k=1).hits


def test_django_s_table(owner: psycopg.Connection[Any], database: lookalike.Database) -> None:
    """As Django makes it of pgvector-python's `VectorField` and `HnswIndex`; vectors of length 1."""
    owner.execute(
        'CREATE TABLE "shop_item" ("id" bigint NOT NULL PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY,'
        ' "image" varchar(100) NOT NULL, "name" varchar(100) NOT NULL, "sold" boolean NOT NULL,'
        ' "embedding" vector(8) NULL, "made" timestamptz NOT NULL DEFAULT now())'
    )
    owner.execute(
        'CREATE INDEX "my_index" ON "shop_item" USING hnsw ("embedding" vector_ip_ops)'
        " WITH (m = 16, ef_construction = 64)"
    )
    vectors = normalise(numbers(120))
    with owner.cursor() as cursor:
        cursor.executemany(
            'INSERT INTO "shop_item" ("image", "name", "sold", "embedding") VALUES (%s, %s, %s, %s)',
            [(f"items/{n}.jpg", COLORS[n % 3], n % 2 == 0, text(one)) for n, one in enumerate(vectors)],
        )
    done = database.attach("shop_item", space="theirs", base=str(database.cache))
    assert done.attachment.uri is not None
    assert [name for name, _ in done.attachment.fields] == ["name", "sold"]
    assert (done.index, done.tally.remarks) == (
        None,
        (),
    )  # of length 1 the inner product orders as the cosine
    queries, ids = numbers(3, seed=5), list(range(1, 121))
    expected = [nearest(one, vectors, ids, 5) for one in queries]
    agree(ask(database, "shop_item", queries), expected)
    agree(ask(database, "shop_item", queries, approximate=True), expected)
    (record,) = database["shop_item"].records.get(["2"])
    assert record.uri == f"{database.cache.as_uri()}/items/1.jpg"
    assert record.fields == {"name": "blue", "sold": False}


def test_the_table_of_the_first_story(
    story: Story,  # noqa: F811 a fixture
    owner: psycopg.Connection[Any],
    database: lookalike.Database,
) -> None:
    owner.execute(
        "CREATE TABLE image_demo1 (image_id numeric PRIMARY KEY, metadata jsonb, embedding vector(144))"
    )
    rows = zip(story.ids, story.documents, story.vectors, strict=True)
    with owner.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO image_demo1 VALUES (%s, %s, %s)",
            [(n, json.dumps(said), text(vector)) for n, said, vector in rows],
        )
    columns = "part text PATH '$.part', quality text PATH '$.quality', defect text PATH '$.defect'"
    of_annotations = f"JSON_TABLE(i.metadata, '$.annotations[*].attributes' COLUMNS ({columns})) AS a"
    if owner.info.server_version < 170000:  # without JSON_TABLE
        of_annotations = (
            "jsonb_path_query(i.metadata, '$.annotations[*].attributes') AS o(j),"
            " jsonb_to_record(o.j) AS a(part text, quality text, defect text)"
        )
    owner.execute(
        "CREATE VIEW image_labels AS SELECT i.image_id, i.embedding, a.part, a.quality, a.defect"
        f" FROM image_demo1 AS i, {of_annotations}"
    )
    check_story(database, story)


def test_who_may_only_read_attaches(
    owner: psycopg.Connection[Any], postgres_server: str, tmp_path: Path
) -> None:
    owner.execute(
        "CREATE TABLE parts (id uuid, kind text, v vector(8)) PARTITION BY LIST (kind);"
        "CREATE TABLE parts_a PARTITION OF parts FOR VALUES IN ('a');"
        "CREATE TABLE parts_b PARTITION OF parts DEFAULT"
    )
    vectors, draws = numbers(40), np.random.default_rng(6)
    ids = [str(uuid.UUID(bytes=draws.bytes(16))) for _ in vectors]
    with owner.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO parts VALUES (%s, %s, %s)",
            [(ids[n], "ab"[n % 2], text(one)) for n, one in enumerate(vectors)],
        )
    owner.execute("CREATE INDEX ON parts USING hnsw (v vector_cosine_ops)")
    reader = f"reader_{os.getpid()}"
    owner.execute(SQL("CREATE ROLE {} LOGIN PASSWORD 'secret'").format(Identifier(reader)))
    parts = urlsplit(postgres_server)
    url = parts._replace(netloc=f"{reader}:secret@{parts.netloc.rpartition('@')[2]}").geturl()
    try:
        with lookalike.open(url, cache=tmp_path) as database:
            with pytest.raises(
                lookalike.TableNotFound, match=r"no table, view or column 'none': there are.*\.parts"
            ):
                database.attach("none", space="theirs")
            with pytest.raises(lookalike.StoreDenied, match="may not be read"):
                database.attach("parts", space="theirs")
            owner.execute(
                SQL("GRANT USAGE ON SCHEMA {} TO {}").format(Identifier(SCHEMA), Identifier(reader))
            )
            owner.execute(SQL("GRANT SELECT ON parts TO {}").format(Identifier(reader)))
            done = database.attach("parts", space="theirs", writable=True)
            assert (done.found.kind, done.index, done.tally.records) == ("partitioned table", None, 40)
            queries = numbers(3, seed=7)
            expected = [nearest(one, vectors, ids, 5) for one in queries]
            agree(ask(database, "parts", queries), expected)
            agree(ask(database, "parts", queries, approximate=True), expected)
            with pytest.raises(lookalike.StoreDenied):
                database["parts"].remove(ids[0])
    finally:
        owner.execute(SQL("DROP OWNED BY {}").format(Identifier(reader)))
        owner.execute(SQL("DROP ROLE {}").format(Identifier(reader)))


def test_a_row_that_is_no_record_is_not_removed_with_one(
    database: lookalike.Database, owner: psycopg.Connection[Any]
) -> None:
    """Nor where another of the ids is not there, so that as many rows would go as ids are named."""
    owner.execute("CREATE TABLE twice (code text, v vector(8))")
    with owner.cursor() as cursor:
        rows = [(code, text(one)) for code, one in zip("aab", numbers(3), strict=True)]
        cursor.executemany("INSERT INTO twice VALUES (%s, %s)", rows)
    database.attach(
        f'"{SCHEMA.replace(chr(34), 2 * chr(34))}".twice', id="code", space="theirs", writable=True
    )
    with pytest.raises(lookalike.Unanswerable, match="several rows have one of these ids"):
        database["twice"].remove(["a", "none"])
    assert database["twice"].remove(["b", "none"]) == 1
    assert owner.execute("SELECT count(*) FROM twice").fetchone() == (2,)


ODD = ("NULL", "'{}'", "'{1,2,3}'", "'{0,0,0,0,0,0,0,0}'", "'{1,NULL,3,4,5,6,7,8}'", "'{NaN,2,3,4,5,6,7,8}'")
KINDS: dict[str, Callable[[NDArray[Any]], Any]] = {
    "real[]": lambda one: one.tolist(),
    "double precision[]": lambda one: one.astype(float).tolist(),
    "numeric[]": lambda one: [str(number) for number in one],
    "jsonb": text,
    "json": text,
    "text": text,
    "character varying": lambda one: text(one).strip("[]"),
    "bytea": lambda one: one.astype(np.float64).tobytes(),
}


def test_vectors_that_are_not_pgvector_s(
    owner: psycopg.Connection[Any], postgres_server: str, tmp_path: Path
) -> None:
    """In a database that has no pgvector, and the tables of whoever gets by without it."""
    vectors, name = numbers(40), f"plain_{os.getpid()}"
    owner.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
    url = urlsplit(postgres_server)._replace(path=f"/{name}").geturl()
    labels = {str(n): COLORS[n % 3] for n in range(40)}
    try:
        with (
            psycopg.connect(url, autocommit=True) as theirs,
            lookalike.open(url, cache=tmp_path) as database,
        ):
            for number, (kind, write) in enumerate(KINDS.items()):
                table = f"t{number}"
                theirs.execute(
                    f"CREATE TABLE {table} (id int PRIMARY KEY, label text, about jsonb, v {kind})"
                )
                with theirs.cursor() as cursor:
                    cursor.executemany(
                        f"INSERT INTO {table} VALUES (%s, %s, %s, %s)",
                        [(n, COLORS[n % 3], f'{{"n": {n}}}', write(one)) for n, one in enumerate(vectors)],
                    )
                done = database.attach(table, space="theirs", writable=True)
                assert (done.attachment.vector, done.tally.records) == ("v", 40)
                assert dict(done.attachment.fields).keys() == {"label", "n"}
                assert f"kept as {kind}; search stays exact" in str(done.index)
                if kind in ("real[]", "text"):
                    check_answers(database, table, vectors, labels, "label")
                agree(
                    ask(database, table, vectors[:2]),
                    [nearest(one, vectors, list(labels), 5) for one in vectors[:2]],
                )
                (record,) = database[table].records.get(["7"])
                assert (record.fields, record.metadata) == ({"label": COLORS[1], "n": 7}, {"n": 7})
                # What its owner does is seen by the next question, and so is what is put right here.
                theirs.execute(f"DELETE FROM {table} WHERE id = 7")
                database[table].correct("8", {"label": "흰색"})
                assert database[table].info().count == 39
                red = [n for n in range(40) if n % 3 == 0]
                few = ask(database, table, vectors[:2], 5, where={"label": ["red", "흰색"]})
                agree(few, [nearest(one, vectors[[*red, 8]], [*red, 8], 5) for one in vectors[:2]])
                assert database[table].remove(["8"]) == 1
            for value in ODD:
                theirs.execute(f"INSERT INTO t0 SELECT max(id) + 1, 'odd', '[]', {value} FROM t0")
            theirs.execute("INSERT INTO t0 VALUES (99, 'odd', NULL, '{{1,2,3,4},{5,6,7,8}}')")
            done = database.attach("t0", space="theirs")
            assert {(one.reason, one.example) for one in done.tally.left_out} == {
                ("no vector (NULL)", "40"), ("a vector that has not 8 dimensions", "41"),
                ("a vector of zeros", "43"), ("a vector that cannot be read as numbers", "44"),
                ("a vector with numbers that are not finite", "45"),
            }  # fmt: skip
            with pytest.MonkeyPatch.context() as patch:  # they do not fit into memory, and are read in blocks
                patch.setattr(kept_rows, "kept_bytes", lambda: 0)
                patch.setattr(kept_rows, "_BLOCK_BYTES", 100)
                database.attach("t1", space="theirs")
                ids = [n for n in range(40) if n not in (7, 8)]
                agree(
                    ask(database, "t1", vectors[:2]),
                    [nearest(one, vectors[ids], ids, 5) for one in vectors[:2]],
                )
                theirs.execute("CREATE TABLE named AS SELECT '%20 ' || id AS name, v FROM t1")
                database.attach("named", id="name", space="theirs")
                expected = [nearest(vectors[1], vectors[ids], [f"%2520%20{n}" for n in ids], 5)]
                agree(ask(database, "named", vectors[1:2]), expected)
            theirs.execute("CREATE VIEW seen AS SELECT id, v, label FROM t1 WHERE id < 5")
            assert database.attach("seen", id="id", space="theirs").tally.records == 5
            theirs.execute("DELETE FROM t1 WHERE id = 3")
            assert database["seen"].info().count == 4
            assert database.sql("SELECT count(*), max(cardinality(v)) FROM seen").rows == [(4, 8)]
            # One without any row takes its dimension from the model.
            theirs.execute("CREATE TABLE empty (id int PRIMARY KEY, v real[])")
            with pytest.raises(lookalike.InvalidArgument, match="it is empty"):
                database.attach("empty", space="theirs")
    finally:
        owner.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


def test_columns_of_every_type(owner: psycopg.Connection[Any], database: lookalike.Database) -> None:
    owner.execute(
        "CREATE TYPE mood AS ENUM ('sad', '행복'); CREATE DOMAIN embedding AS vector(8);"
        'CREATE TABLE "물건" (a int, b text, mood mood, ok bool, count int, price numeric(10, 2), day date,'
        " at timestamptz, tags text[], box real[], code char(5), half int GENERATED ALWAYS AS (count / 2)"
        ' STORED, more jsonb, bits bit(8), few sparsevec(8), "V" embedding, PRIMARY KEY (a, b))'
    )
    vectors = numbers(30)
    with owner.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO \"물건\" VALUES (1, %s, %s, %s, %s, %s, '2024-01-02', '2024-01-02 10:00Z', %s,"
            " '{1,2,3,4}', 'ab', DEFAULT, '{\"k\": [\"x\", \"y\"]}', B'00000000', '{1:1}/8', %s)",
            [
                (f"{n}", ("sad", "행복")[n % 2], n % 3 == 0, n, n / 4, ["q", "p", "q"], text(one))
                for n, one in enumerate(vectors)
            ],
        )
    with pytest.raises(lookalike.InvalidArgument, match=r"several columns together .a, b."):
        database.attach("물건", space="theirs")
    for column, reason in (("bits", "Hamming distance"), ("few", "a view that has few::vector")):
        with pytest.raises(lookalike.InvalidArgument, match=reason):
            database.attach("물건", vector=column, id="b", space="theirs")
    done = database.attach("물건", vector="box", id="b", space="theirs", dry_run=True)
    assert done.attachment.space.dimension == 4
    columns = {"day": "day", "at": "at"}
    guessed = database.attach("물건", id="b", space="theirs", dry_run=True).attachment
    assert [name for name, _ in guessed.fields] == [
        *("a", "mood", "ok", "count", "price", "tags", "code", "half"),
    ]  # fmt: skip
    fields = {name: str(source) for name, source in guessed.fields} | columns | {"k": "more:$.k[*]"}
    database.attach("물건", id="b", space="theirs", fields=fields, writable=True)
    (record,) = database["물건"].records.get(["3"])
    assert record.fields == {
        "a": 1, "mood": "행복", "ok": True, "count": 3, "price": 0.75, "tags": "p, q", "code": "ab",
        "half": 1, "day": "2024-01-02", "at": record.fields["at"], "k": "x, y",
    }  # fmt: skip
    check_answers(database, "물건", vectors, {f"{n}": ("sad", "행복")[n % 2] for n in range(30)}, "mood")
    for where, rows in (
        ({"mood": ["행복"], "ok": [True]}, range(3, 30, 6)), ({"price": [0.75, 2]}, (3, 8)),
        ({"code": ["ab"], "tags": ["p, q"], "count": [1, 2]}, (1, 2)), ({"day": ["2024-01-03"]}, ()),
    ):  # fmt: skip
        found = ask(database, "물건", vectors[:1], 30, where=where)
        assert {one for one, _ in found[0]} == {str(n) for n in rows}
    for name, value in (("mood", "sad"), ("ok", False), ("price", 2.5), ("day", "2024-02-03"), ("count", 8)):
        database["물건"].correct("3", {name: value})
        assert database["물건"].record("3").fields[name] == value
    for name, value in (("mood", "angry"), ("count", "x"), ("half", 9), ("tags", "q"), ("code", "too long")):
        with pytest.raises(lookalike.InvalidArgument, match="does not take it, and nothing is changed"):
            database["물건"].correct("3", {name: value})
    assert database["물건"].record("3").fields["half"] == 4


def test_a_table_that_its_owner_alters(owner: psycopg.Connection[Any], database: lookalike.Database) -> None:
    owner.execute("CREATE TABLE t (id int PRIMARY KEY, label text, v vector(8))")
    with owner.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO t VALUES (%s, 'a', %s)", [(n, text(one)) for n, one in enumerate(numbers(5))]
        )
    for change in (
        "ALTER TABLE t DROP COLUMN label", "ALTER TABLE t ALTER v TYPE vector(3) USING '[1,2,3]'::vector(3)",
        "ALTER TABLE t ALTER v TYPE text USING '[1,2]'", "DROP TABLE t",
    ):  # fmt: skip
        database.attach("t", space="theirs")
        owner.execute(change)
        told = r"not any more what was attached .*: attach it again|is gone, which collection 't' was made of"
        with pytest.raises((lookalike.StoreError, lookalike.TableGone), match=told):
            database["t"].search(lookalike.RecordId("1"), k=1)
        assert {each.collection for each in database.check().findings} == {"t"}
        assert "lookalike detach t" in str(database.check().findings[0].todo)


def test_rights_to_some_rows_and_columns(
    owner: psycopg.Connection[Any], postgres_server: str, tmp_path: Path
) -> None:
    owner.execute(
        "CREATE TABLE mine (id int PRIMARY KEY, owner text, label text, v vector(8), w real[]);"
        "ALTER TABLE mine ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY seen ON mine FOR SELECT USING (owner = 'a');"
        "CREATE POLICY changed ON mine FOR UPDATE USING (id < 4);"
        "CREATE POLICY gone ON mine FOR DELETE USING (id < 4);"
        "CREATE TABLE part (id int PRIMARY KEY, secret text, label text, v vector(8))"
    )
    vectors = numbers(20)
    with owner.cursor() as cursor:
        rows = [(n, "ab"[n % 2], COLORS[n % 3], text(one), one.tolist()) for n, one in enumerate(vectors)]
        cursor.executemany("INSERT INTO mine VALUES (%s, %s, %s, %s, %s)", rows)
        cursor.execute("INSERT INTO part SELECT id, owner, label, v FROM mine")
    reader = f"reader_{os.getpid()}"
    role, schema = Identifier(reader), Identifier(SCHEMA)
    owner.execute(
        SQL(
            "CREATE ROLE {role} LOGIN PASSWORD 'secret'; GRANT USAGE ON SCHEMA {schema} TO {role};"
            " GRANT SELECT, UPDATE, DELETE ON mine TO {role}; GRANT SELECT (id, label, v) ON part TO {role}"
        ).format(role=role, schema=schema)
    )
    parts = urlsplit(postgres_server)
    url = parts._replace(netloc=f"{reader}:secret@{parts.netloc.rpartition('@')[2]}").geturl()
    try:
        with lookalike.open(url, cache=tmp_path) as database:
            own = list(range(0, 20, 2))
            for vector in ("w", "v"):
                assert database.attach("mine", vector=vector, space="s", writable=True).tally.records == 10
                check_answers(database, "mine", vectors[own], {str(n): COLORS[n % 3] for n in own}, "label")
            mine = database["mine"]
            mine.correct("2", {"label": "흰색"})
            for change in (lambda: mine.correct("6", {"label": "흰색"}), lambda: mine.remove(["2", "6"])):
                with pytest.raises(lookalike.StoreDenied, match="row-level security"):
                    change()
            assert mine.remove(["2"]) == 1
            assert mine.info().count == 9
            done = database.attach("part", space="s")
            assert [each.name for each in done.found.columns] == ["id", "label", "v"]
            check_answers(database, "part", vectors, {str(n): COLORS[n % 3] for n in range(20)}, "label")
            assert database.sql("SELECT count(*), min(label) FROM part").rows == [(20, "blue")]
    finally:
        owner.execute(SQL("DROP OWNED BY {role}; DROP ROLE {role}").format(role=role))


class TestPostgresTable(AttachedTableContract):
    VECTOR = "vector(4)"

    @pytest.fixture
    def make_table(self, owner: psycopg.Connection[Any], postgres_server: str, tmp_path: Path) -> MakeTable:
        def make(rows: Rows) -> lookalike.Database:
            owner.execute(f"CREATE TABLE parts (id integer PRIMARY KEY, labels jsonb, v {self.VECTOR})")
            write: Callable[[NDArray[Any]], Any] = KINDS.get(self.VECTOR, text)
            with owner.cursor() as cursor:
                cursor.executemany(
                    "INSERT INTO parts VALUES (%s, %s, %s)",
                    [(int(one), json.dumps(fields), write(v)) for one, (fields, v) in rows.items()],
                )
            return lookalike.open(postgres_server, cache=tmp_path)

        return make


class TestPostgresArrays(TestPostgresTable):
    VECTOR = "real[]"
