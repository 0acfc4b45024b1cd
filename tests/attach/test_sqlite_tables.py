"""Tables of others in a SQLite file: attached, they answer as NumPy does on their columns."""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from numpy.typing import NDArray

import lookalike
from lookalike.cli import main
from lookalike.server.settings import Settings
from lookalike.stores.attached import kept_rows
from lookalike.stores.batches import SCAN_BATCH, drawn_order
from lookalike.stores.query import Query
from lookalike.testing.attached_tables import AttachedTableContract, MakeTable, Rows
from lookalike.vectors.metric import normalise
from tests.attach.foreign_tables import (
    COLORS,
    Story,
    agree,
    ask,
    check_answers,
    check_story,
    make_items,
    nearest,
    numbers,
    story,  # noqa: F401 a fixture
)
from tests.drawings import drawn
from tests.service import InProcess, in_process, until


def test_a_table_is_searched_as_it_is(tmp_path: Path) -> None:
    vectors = make_items(tmp_path / "app.db")
    before = (tmp_path / "app.db").read_bytes()
    with lookalike.open(f"sqlite:///{tmp_path}/app.db", cache=tmp_path / "cache") as database:
        with pytest.raises(lookalike.StoreForeign, match="attach TABLE"):
            database.collections()
        done = database.attach("items", space="theirs")
        assert done.attachment.id == "item_id"
        assert {name: str(one) for name, one in done.attachment.fields} == {
            "color": "color",
            "price": "price",
            "kind": 'extra:$."kind"',
            "n": 'extra:$."n"',
        }
        (info,) = database.collections()
        assert (info.name, info.count, info.fields) == ("items", 60, ("color", "kind", "n", "price"))
        ids = list(range(1, 61))
        queries = np.random.default_rng(5).standard_normal((7, 8)).astype(np.float32)
        found = database.store.nearest("items", Query(normalise(queries), 5))
        for query, hits in zip(queries, found, strict=True):
            expected = nearest(query, vectors, ids, 5)
            assert [hit.record.id for hit in hits] == [identity for identity, _ in expected]
            assert [hit.similarity for hit in hits] == pytest.approx(
                [cosine for _, cosine in expected], abs=1e-6
            )
    assert (tmp_path / "app.db").read_bytes() == before


def test_a_wrong_name_is_told_with_those_that_are_attached(tmp_path: Path) -> None:
    """No word of indexing, which a database of others refuses; names stand there as people read them."""
    with closing(sqlite3.connect(tmp_path / "app.db")) as theirs, theirs:
        theirs.execute("CREATE TABLE parts (id INTEGER PRIMARY KEY, v TEXT, 정보 TEXT)")
        theirs.executemany(
            "INSERT INTO parts (v, 정보) VALUES (?, ?)",
            [(f"[0.5, {n}]", '{"판정": "양품", "a \\"b": 1, "\\ud800": 2}') for n in range(3)],
        )
    with lookalike.open(f"sqlite:///{tmp_path}/app.db", cache=tmp_path / "cache") as database:
        with pytest.raises(
            lookalike.CollectionNotFound, match="nothing is attached; `lookalike attach TABLE`"
        ):
            database.detach("nosuch")
        done = database.attach("parts", space="theirs")
        assert [str(source) for _, source in done.attachment.fields] == [
            '정보:$."판정"',
            '정보:$."a \\"b"',
            '정보:$."\\ud800"',
        ]
        for ask_it in (database["nosuch"].info, lambda: database.detach("nosuch")):
            with pytest.raises(
                lookalike.CollectionNotFound, match="attached are parts; `lookalike attach TABLE`"
            ):
                ask_it()


def test_its_owners_sql_is_answered(tmp_path: Path) -> None:
    vectors = normalise(make_items(tmp_path / "app.db"))
    before = (tmp_path / "app.db").read_bytes()
    with lookalike.open(f"sqlite:///{tmp_path}/app.db", cache=tmp_path / "cache") as database:
        database.attach("items", "goods", space="theirs")
        for name in ("goods", "items"):
            assert database.sql(f"SELECT count(*), min(item_id) FROM {name}").rows == [(60, 1)]
        alike = "SELECT cosine_similarity(a.embedding, b.embedding) FROM items a, goods b"
        ((found,),) = database.sql(f"{alike} WHERE a.item_id = 1 AND b.item_id = 2").rows
        assert found == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-6)
        for statement in ("DELETE FROM items", "DROP VIEW goods", "CREATE TABLE other (a)", "no SQL"):
            with pytest.raises(lookalike.QueryRefused):
                database.sql(statement)
    assert (tmp_path / "app.db").read_bytes() == before


def test_the_table_of_the_first_story(story: Story, tmp_path: Path) -> None:  # noqa: F811 a fixture
    with closing(sqlite3.connect(tmp_path / "plant.db")) as connection:
        connection.execute(
            "CREATE TABLE image_demo1 (image_id INTEGER PRIMARY KEY, metadata TEXT, embedding TEXT)"
        )
        rows = zip(story.ids, story.documents, story.vectors, strict=True)
        connection.executemany(
            "INSERT INTO image_demo1 VALUES (?, ?, ?)",
            [(n, json.dumps(said), json.dumps(vector.tolist())) for n, said, vector in rows],
        )
        connection.execute(
            "CREATE VIEW image_labels AS SELECT i.image_id, i.embedding,"
            " json_extract(a.value, '$.attributes.part') AS part,"
            " json_extract(a.value, '$.attributes.quality') AS quality,"
            " json_extract(a.value, '$.attributes.defect') AS defect"
            " FROM image_demo1 AS i, json_each(i.metadata, '$.annotations') AS a"
        )
        connection.commit()
    with lookalike.open(f"sqlite:///{tmp_path}/plant.db", cache=tmp_path / "cache") as database:
        check_story(database, story)


def test_odd_rows_are_left_out_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect(tmp_path / "odd.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute('CREATE TABLE "이상한 ""표" (uuid TEXT, "la bel" TEXT, v TEXT, picture TEXT)')
        good = numbers(30, 4)
        rows: list[tuple[Any, ...]] = [
            (f"{n:02d}", "ab"[n % 2], json.dumps(one.tolist()), f"../{n}.jpg") for n, one in enumerate(good)
        ]
        rows += [
            ("none", "a", None, None),
            ("short", "a", "[1, 2, 3]", None),
            ("zero", "a", "[0, 0, 0, 0]", None),
            ("nan", "a", "[0, NaN, 0, 0]", None),
            ("no list", "a", "[0, ", None),
            (None, "a", "[1, 0, 0, 0]", None),
            ("07", "b", "[1, 0, 0, 0]", None),
            ("탱크/1", "b", "[0, 0, 0, 2]", "https://example.com/a b.jpg"),
        ]
        connection.executemany('INSERT INTO "이상한 ""표" VALUES (?, ?, ?, ?)', rows)
        options = ["--store", f"sqlite:///{tmp_path}/odd.db", "--cache", str(tmp_path / "cache")]
        pictures = tmp_path / "pictures"
        pictures.mkdir()
        more = ["-c", "odd", "--space", "theirs", "--base", str(pictures), "--path", "picture"]
        assert main(["attach", '이상한 "표', "--format", "jsonl", "--dry-run", *more, *options]) == 0
        said = capsys.readouterr()
        line = json.loads(said.out)
        assert (line["type"], line["records"], line["fields"]) == ("found", 31, {"la bel": "la bel"})
        assert {(one["reason"], one["rows"], one["id"]) for one in line["left_out"]} == {
            ("no vector (NULL)", 1, "none"),
            ("a vector that has not 4 dimensions", 1, "short"),
            ("a vector of zeros", 1, "zero"),
            ("a vector with numbers that are not finite", 1, "nan"),
            ("a vector that cannot be read as json", 1, "no list"),
            ("an id that can be none: NULL, bytes, or longer than 512 characters", 1, "NULL"),
            ("an id that another row has; one of these rows is the record", 1, "07"),
        }
        assert line["remarks"][0]["rows"] == 31
        assert "1 row has a vector of zeros (the id zero, say)" in said.err
        assert main(["info", "-c", "odd", *options]) == 1  # nothing was attached
        assert main(["attach", '이상한 "표', *more, *options]) == 0
        capsys.readouterr()
        assert main(["search", "id:%ED%83%B1%ED%81%AC%2F1", "-c", "odd", "--format", "jsonl", *options]) == 0
        first = json.loads(capsys.readouterr().out.splitlines()[0])
        assert (first["id"], first["uri"]) == ("%ED%83%B1%ED%81%AC%2F1", "https://example.com/a%20b.jpg")
        with lookalike.open(options[1], cache=options[3]) as database:
            odd = database["odd"]
            ids = [f"{n:02d}" for n in range(30)]
            queries = numbers(4, 4, seed=9)
            assert [record.uri for record in odd.records.get(["03"])] == [(tmp_path / "3.jpg").as_uri()]
            for where, rows_of in (({}, range(30)), ({"la bel": ["a"]}, range(0, 30, 2))):
                chosen = list(rows_of)
                everyone = [*(ids[n] for n in chosen), *([] if where else ["%ED%83%B1%ED%81%AC%2F1"])]
                vectors = np.vstack([good[chosen], *([] if where else [[0, 0, 0, 2.0]])])
                expected = [nearest(one, vectors, everyone, 6) for one in queries]
                agree(ask(database, "odd", queries, 6, where=where), expected)
                with (
                    pytest.MonkeyPatch.context() as patch
                ):  # they do not fit into memory, and are read in blocks
                    patch.setattr(kept_rows, "kept_bytes", lambda: 0)
                    patch.setattr(kept_rows, "_BLOCK_BYTES", 100)
                    with lookalike.open(options[1], cache=options[3]) as small:
                        agree(ask(small, "odd", queries, 6, where=where), expected)
            table = database.sql(
                "SELECT count(*), max(cosine_similarity(vector, vector)), sum(id = uuid) FROM odd"
            )
            assert table.rows == [(38, 1.0, 37)]
            # What the owner changes is seen, and by whoever has searched before.
            connection.execute(
                """UPDATE "이상한 ""표" SET v = '[9, 0, 0, 0]', "la bel" = 'c' WHERE uuid = '04'"""
            )
            connection.execute("""DELETE FROM "이상한 ""표" WHERE uuid IN ('05', 'none')""")
            ((first_now, *_),) = ask(database, "odd", np.array([[1, 0, 0, 0]], np.float32))
            agree([[first_now]], [[("04", 1.0)]])
            assert (odd.info().count, odd.records.get(["05"]), odd.records.get(["04"])[0].fields) == (
                30,
                [],
                {"la bel": "c"},
            )
            assert [one.id for one in database.store.search_words("odd", "c", 5)] == ["04"]
            assert [finding.collection for finding in database.check().findings] == ["odd"] * 6
        capsys.readouterr()
        assert main(["info", "-c", "odd", *options]) == 0
        told = " ".join(capsys.readouterr().out.split())
        assert 'attached the table 이상한 "표, it is only read' in told
        assert "left out 1 row has a vector of zeros (the id zero, say)" in told
        assert main(["index", str(pictures), "-c", "odd", *options]) == 1
        assert "whose owner inserts its rows" in capsys.readouterr().err
        assert main(["delete", "odd", "--yes", *options]) == 1
        assert "lookalike detach odd" in capsys.readouterr().err
        assert main(["detach", "odd", *options]) == 0
        assert main(["search", "id:04", "-c", "odd", *options]) == 1
        assert connection.execute('SELECT count(*) FROM "이상한 ""표"').fetchone() == (36,)


def test_numbers_of_8_and_2_bytes(tmp_path: Path) -> None:
    vectors = normalise(numbers(20, 6))
    with closing(sqlite3.connect(tmp_path / "wide.db")) as connection:
        for name, kind in (("wide", np.float64), ("narrow", np.float16)):
            connection.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, v BLOB, w BLOB)")
            rows = [(n, one.astype(kind).tobytes(), one.tobytes()) for n, one in enumerate(vectors)]
            connection.executemany(f"INSERT INTO {name} VALUES (?, ?, ?)", rows)
        connection.commit()
    with lookalike.open(f"sqlite:///{tmp_path}/wide.db", cache=tmp_path / "cache") as database:
        with pytest.raises(lookalike.InvalidArgument, match="say --vector v or w"):
            database.attach("wide", space="theirs")
        with pytest.raises(lookalike.InvalidArgument, match="--model"):
            database.attach("wide", vector="v")
        for name, kind in (("wide", np.float64), ("narrow", np.float16)):
            database.attach(name, space="theirs", vector="v")
            kept = vectors.astype(kind)
            agree(
                ask(database, name, vectors[:3]),
                [nearest(one, kept, list(range(20)), 5) for one in vectors[:3]],
            )
        # A copy is a collection of its own, which can all that they can.
        with lookalike.open(f"sqlite:///{tmp_path}/own.db", cache=tmp_path / "cache") as own:
            assert database.copy("wide", own).verified
            expected = [nearest(one, vectors, list(range(20)), 5) for one in vectors[:3]]
            agree(ask(own, "wide", vectors[:3]), expected)
            assert own["wide"].delete().count == 20


VEC0 = """
import sys, apsw, sqlite_vec
connection = apsw.Connection(sys.argv[1])
connection.enable_load_extension(True)
connection.load_extension(sqlite_vec.loadable_path())
with connection:
    for statement in sys.stdin.read().split(";;"):
        connection.execute(statement)
"""
"""By APSW, with the SQLite in it: two of them in one process would not see each other's locks on a file."""


def by_sqlite_vec(file: Path, *statements: str) -> None:
    text = ";;".join(statements)
    subprocess.run([sys.executable, "-c", VEC0, file], input=text, text=True, check=True, timeout=60)


def test_tables_of_sqlite_vec(tmp_path: Path) -> None:
    vectors, small = numbers(50), np.rint(40 * numbers(50, seed=3)).clip(-128, 127)
    labels = {str(2 * n + 1): (COLORS[n % 3] * (1 + 2 * (n % 3)))[:20] for n in range(50)}

    def row(n: int) -> str:
        values = f"X'{vectors[n].tobytes().hex()}', vec_int8(X'{small[n].astype(np.int8).tobytes().hex()}')"
        return (
            f"INSERT INTO \"그림\" VALUES ({2 * n + 1}, '{'ab'[n % 2]}', {values},"
            f" '{labels[str(2 * n + 1)]}', {n * 10**12}, {n / 4}, {n % 3 == 0}, 'a/{n}.jpg', vec_bit(X'00'))"
        )

    file = tmp_path / "vec.db"
    by_sqlite_vec(
        file,
        'CREATE VIRTUAL TABLE "그림" USING vec0(\n  item_id INTEGER PRIMARY KEY, part TEXT partition key,'
        " v float[8] distance_metric=cosine, w INT8[8], color text, number integer, price float,"
        " sold boolean, +path text, bits bit[8], chunk_size=8)",
        "CREATE VIRTUAL TABLE named USING vec0(code text primary key, v float[8])",
        *map(row, range(50)),
        *(f"INSERT INTO named VALUES ('it''s {n}', X'{vectors[n].tobytes().hex()}')" for n in range(9)),
        "CREATE VIRTUAL TABLE plain USING vec0(v float[8])",
        f"INSERT INTO plain(rowid, v) VALUES (7, X'{vectors[0].tobytes().hex()}')",
    )
    ids = list(labels)
    with lookalike.open(f"sqlite:///{file}", cache=tmp_path / "cache") as database:
        with pytest.raises(
            lookalike.InvalidArgument, match="several columns of vectors: say --vector v or w"
        ):
            database.attach("그림", space="theirs")
        with pytest.raises(lookalike.InvalidArgument, match="Hamming distance"):
            database.attach("그림", space="theirs", vector="bits")
        with pytest.raises(lookalike.InvalidArgument, match="only read"):
            database.attach("그림", space="theirs", vector="v", writable=True)
        done = database.attach("그림", "bytes", space="theirs", vector="w")
        assert (done.found.kind, done.attachment.id, done.tally.records) == ("virtual table", "item_id", 50)
        agree(ask(database, "bytes", vectors[:3]), [nearest(one, small, ids, 5) for one in vectors[:3]])
        database.attach("그림", space="theirs", vector="v")
        check_answers(database, "그림", vectors, labels, "color")
        (record,) = database["그림"].records.get(["9"])
        assert (record.uri, record.fields) == (
            "a/4.jpg",
            {"part": "a", "color": labels["9"], "number": 4 * 10**12, "price": 1.0, "sold": 0},
        )
        few = [n for n in range(50) if n % 6 == 3]
        found = ask(database, "그림", vectors[:3], 9, where={"sold": [1], "part": ["b"]})
        agree(found, [nearest(one, vectors[few], [ids[n] for n in few], 9) for one in vectors[:3]])
        with pytest.MonkeyPatch.context() as patch:  # they do not fit into memory, and are read in blocks
            patch.setattr(kept_rows, "kept_bytes", lambda: 0)
            patch.setattr(kept_rows, "_BLOCK_BYTES", 400)
            with lookalike.open(f"sqlite:///{file}", cache=tmp_path / "cache") as other:
                agree(ask(other, "그림", vectors[:2]), [nearest(one, vectors, ids, 5) for one in vectors[:2]])
        told = database.sql('SELECT count(*), max(color), sum(sold), max(number) FROM "그림" WHERE price < 3')
        assert told.rows == [(12, max(list(labels.values())[:12]), 4, 11 * 10**12)]
        assert database.attach("named", space="theirs").attachment.id == "code"
        agree(
            ask(database, "named", vectors[:1]),
            [nearest(vectors[0], vectors[:9], [f"it's%20{n}" for n in range(9)], 5)],
        )
        assert database.attach("plain", space="theirs").attachment.id == "rowid"
        assert [one for one, _ in ask(database, "plain", vectors[:1])[0]] == ["7"]
        # What its owner changes is seen.
        by_sqlite_vec(
            file,
            'DELETE FROM "그림" WHERE item_id IN (1, 3)',
            f"UPDATE \"그림\" SET color = 'new', v = X'{vectors[0].tobytes().hex()}' WHERE item_id = 5",
        )
        assert database["그림"].info().count == 48
        assert database["그림"].record("5").fields["color"] == "new"
        agree([ask(database, "그림", vectors[:1])[0][:1]], [[("5", 1.0)]])
        by_sqlite_vec(file, 'DROP TABLE "그림"')
        with pytest.raises(lookalike.TableGone, match="lookalike detach 그림"):
            database["그림"].info()


def test_tables_of_every_form(tmp_path: Path) -> None:
    """Without rowids, generated columns, unique ones, what `numpy.save` writes, and pictures among it."""
    vectors, file = numbers(30), tmp_path / "app.db"
    saved = [io.BytesIO() for _ in vectors]
    for stream, one in zip(saved, vectors, strict=True):
        np.save(stream, one.astype(np.float64))
    draws = np.random.default_rng(4)
    with closing(sqlite3.connect(file, isolation_level=None)) as owner:
        owner.execute("PRAGMA journal_mode = WAL")
        owner.execute(
            "CREATE TABLE items (code TEXT PRIMARY KEY, price INT CHECK (price < 100),"
            " twice INT AS (price * 2), picture BLOB, sha BLOB, v BLOB) WITHOUT ROWID"
        )
        owner.executemany(
            "INSERT INTO items (code, price, picture, sha, v) VALUES (?, ?, ?, ?, ?)",
            [
                (f"k{n:02d}", n % 4, draws.bytes(150_000), draws.bytes(32), stream.getvalue())
                for n, stream in enumerate(saved)
            ],
        )
        owner.execute(
            "CREATE TRIGGER kept BEFORE DELETE ON items WHEN old.code = 'k07'"
            " BEGIN SELECT raise(ABORT, 'it is sold'); END"
        )
        owner.execute("CREATE TABLE both (a INT, b TEXT, v BLOB, PRIMARY KEY (a, b)) WITHOUT ROWID")
        owner.execute("INSERT INTO both SELECT 1, code, v FROM items")
        owner.execute("CREATE TABLE other (label TEXT, code TEXT NOT NULL UNIQUE, v BLOB)")
        owner.execute("INSERT INTO other SELECT price, code, v FROM items")
        written: tuple[tuple[str, Callable[[NDArray[np.float32]], str]], ...] = (
            ("brackets", lambda one: f"({', '.join(map(str, one.tolist()))})"),
            ("printed", str),
        )
        for table, text in written:
            owner.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, size TEXT, v TEXT)")
            owner.executemany(
                f"INSERT INTO {table} VALUES (?, '3,4', ?)",
                [(n, text(one)) for n, one in enumerate(vectors)],
            )
        with lookalike.open(f"sqlite:///{file}", cache=tmp_path / "cache") as database:
            with pytest.raises(lookalike.InvalidArgument, match=r"several columns together .a, b."):
                database.attach("both", space="theirs")
            assert database.attach("other", space="theirs").attachment.id == "code"
            expected = [nearest(vectors[0], vectors, list(range(30)), 5)]
            for table, _ in written:
                assert dict(database.attach(table, space="theirs").attachment.fields).keys() == {"size"}
                agree(ask(database, table, vectors[:1]), expected)
            done = database.attach("items", space="theirs", writable=True)
            assert (done.attachment.vector, done.tally.records) == ("v", 30)
            assert [name for name, _ in done.attachment.fields] == ["price", "twice"]
            check_answers(database, "items", vectors, {f"k{n:02d}": n % 4 for n in range(30)}, "price")
            items = database["items"]
            items.correct("k03", {"price": 50})
            assert items.record("k03").fields == {"price": 50, "twice": 100}
            for change, reason in (
                (lambda: items.correct("k03", {"twice": 7}), "generated column"),
                (lambda: items.correct("k03", {"price": 100}), "CHECK constraint"),
                (lambda: items.remove(["k05", "k07"]), "it is sold"),
            ):
                with pytest.raises(lookalike.InvalidArgument, match=f"nothing is changed: .*{reason}"):
                    change()
            assert items.remove(["k05"]) == 1
            owner.execute("BEGIN IMMEDIATE")  # it goes on writing
            owner.execute("DELETE FROM items WHERE code = 'k06'")
            assert items.info().count == 29
            owner.execute("COMMIT")
            assert items.info().count == 28
            owner.execute("ALTER TABLE items DROP COLUMN twice")
            with pytest.raises(lookalike.StoreError, match=r"attached .no such column: .*: attach it again"):
                items.record("k03")
            assert "lookalike detach items" in str(database.check().findings[0].todo)


class TestSqliteTable(AttachedTableContract):
    @pytest.fixture
    def make_table(self, tmp_path: Path) -> MakeTable:
        def make(rows: Rows) -> lookalike.Database:
            with closing(sqlite3.connect(tmp_path / "theirs.db")) as connection:
                connection.execute("CREATE TABLE parts (id INTEGER PRIMARY KEY, labels TEXT, v BLOB)")
                connection.executemany(
                    "INSERT INTO parts VALUES (?, ?, ?)",
                    [(one, json.dumps(fields), v.tobytes()) for one, (fields, v) in rows.items()],
                )
                connection.commit()
            return lookalike.open(f"sqlite:///{tmp_path}/theirs.db", cache=tmp_path)

        return make


def job_of(service: InProcess, what: str, query: dict[str, Any]) -> str:
    """Have a job done, and return where it is."""
    started = service.client.post(f"/v1/collections/items/{what}", json=query)
    assert started.status_code == 202, started.text
    place = started.headers["location"]
    until(lambda: service.client.get(place).json()["finished"] is not None)
    assert service.client.get(place).json()["state"] == "done", service.client.get(place).text
    return place


def test_the_service_answers_from_a_table(tmp_path: Path) -> None:
    vectors = make_items(tmp_path / "app.db")
    url = f"sqlite:///{tmp_path}/app.db"
    (tmp_path / "pictures" / "a").mkdir(parents=True)
    picture = tmp_path / "pictures" / "a" / "6.jpg"
    drawn("balloon").convert("RGB").save(picture)
    with lookalike.open(url, cache=tmp_path) as database:
        database.attach("items", space="theirs", writable=True, base=tmp_path / "pictures")
    with in_process(url, tmp_path, Settings()) as service:
        client = service.client
        (shown,) = client.get("/v1/collections").json()["collections"]
        assert (shown["name"], shown["count"]) == ("items", 60)
        found = client.post("/v1/collections/items/search", json={"terms": [{"id": "7"}], "k": 3}).json()
        expected = nearest(vectors[6], vectors, list(range(1, 61)), 3)
        assert [hit["id"] for hit in found["hits"]] == [one for one, _ in expected]
        judged = client.post(
            "/v1/collections/items/classify", json={"by": "color", "ids": ["7"], "k": 3}
        ).json()
        assert judged["predictions"][0]["votes"]
        kept = job_of(service, "evaluations", {"by": "color", "k": 3})
        images = client.get(f"{kept}/evaluation/images", params={"limit": 100}).json()["images"]
        assert sorted(int(each["id"]) for each in images) == list(range(1, 61))
        judged = {hit["id"] for each in images if each["id"] == "7" for hit in each["neighbours"]}
        assert judged == {one for one, _ in nearest(vectors[6], vectors, list(range(1, 61)), 4)} - {"7"}
        kept = job_of(service, "audits", {"by": "color"})
        assert client.get(f"{kept}/audit", params={"list": "suspects"}).status_code == 200
        of_7 = "/v1/collections/items/images/7"
        assert client.get(f"{of_7}/original").content == picture.read_bytes()
        before = client.get(f"{of_7}/thumbnail")
        assert before.status_code == 200, before.text
        drawn("umbrella").convert("RGB").save(picture)  # by its owner
        assert client.get(f"{of_7}/thumbnail").content not in (b"", before.content)
        assert client.get("/v1/collections/items/images/8/thumbnail").status_code == 404
        with lookalike.open(url, cache=tmp_path) as database:
            looked = database["items"].audit(look=True).pictures
            assert looked is not None
            assert looked.measured == 1
        newest = client.post("/v1/collections/items/browse", json={"order": "newest", "limit": 60}).json()
        assert {each["time"] for each in newest["images"]} == {None}
        changed = client.patch("/v1/collections/items/images/7", json={"fields": {"color": "검정"}})
        assert changed.status_code == 200, changed.text
        with closing(sqlite3.connect(tmp_path / "app.db")) as owner:
            assert owner.execute("SELECT color FROM items WHERE item_id = 7").fetchone() == ("검정",)
            owner.execute(
                "INSERT INTO items (item_id, color, embedding) VALUES (99, 'red', ?)", (vectors[6].tobytes(),)
            )
            owner.commit()
        again = client.post("/v1/collections/items/search", json={"terms": [{"id": "7"}], "k": 2}).json()
        assert {hit["id"] for hit in again["hits"]} == {"7", "99"}
        assert client.delete("/v1/collections/items/images/99").status_code == 204
        assert client.get("/v1/collections/items/images/99").status_code == 404


def test_keys_that_the_database_takes_for_equal_are_two_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = numbers(6, 8)
    with closing(sqlite3.connect(tmp_path / "case.db", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (code TEXT COLLATE NOCASE, label TEXT, v BLOB)")
        rows = [(code, code, one.tobytes()) for code, one in zip("aAbBcd", vectors, strict=True)]
        connection.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    for room in (1 << 30, 0):
        monkeypatch.setattr(kept_rows, "kept_bytes", lambda room=room: room)
        with lookalike.open(f"sqlite:///{tmp_path}/case.db", cache=tmp_path / "cache") as database:
            database.attach("t", id="code", space="theirs")
            for where, ids in (
                ({"label": "a"}, ["a"]),
                ({"label": ["B", "d"]}, ["B", "d"]),
                (None, [*"ABabcd"]),
            ):
                hits = database["t"].vectors.nearest(vectors[1], k=6, where=where)
                assert sorted(hit.record.id for hit in hits) == ids


def test_a_row_that_is_no_record_is_not_changed_with_one(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "twice.db", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (code TEXT, label TEXT, v BLOB)")
        rows = [(code, "a", one.tobytes()) for code, one in zip("aabc", numbers(4, 8), strict=True)]
        connection.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
        with lookalike.open(f"sqlite:///{tmp_path}/twice.db", cache=tmp_path / "cache") as database:
            database.attach("t", id="code", space="theirs", writable=True)
            for change in (
                lambda: database["t"].remove(["b", "a"]),
                lambda: database["t"].correct("a", {"label": "b"}),
            ):
                with pytest.raises(lookalike.Unanswerable, match="several rows have the id 'a'"):
                    change()
            assert connection.execute("SELECT code || label FROM t").fetchall() == [
                ("aa",), ("aa",), ("ba",), ("ca",)
            ]  # fmt: skip
            assert database["t"].remove(["b"]) == 1
            database["t"].correct("c", {"label": "b"})
        assert connection.execute("SELECT code, label FROM t").fetchall() == [
            ("a", "a"), ("a", "a"), ("c", "b")
        ]  # fmt: skip


def test_a_table_that_is_gone_is_told_and_can_be_detached(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_items(tmp_path / "shop.db")
    url, where = f"sqlite:///{tmp_path}/shop.db", ("--cache", str(tmp_path / "cache"))

    def said(*words: str, code: int = 0) -> str:
        assert main([*words, "--store", url, *where]) == code
        told = capsys.readouterr()
        return " ".join((told.out + told.err).split())

    said("attach", "items", "--space", "theirs")
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.execute("ALTER TABLE items RENAME TO later")
        connection.commit()
        assert "items table is gone image: theirs, 8" in said("collections")
        assert '"problem": "the table items is gone' in said("collections", "--format", "jsonl")
        for words in (["info"], ["search", "id:1"], ["label", "id:1", "--confirm", "color"], ["audit"]):
            told = said(*words, "-c", "items", code=1)
            assert "the table items is gone" in told, words
            assert "`lookalike detach items` forgets it" in told
        assert "the table items is gone" in said("check", code=1)
        with in_process(url, tmp_path / "cache", Settings()) as service:
            (listed,) = service.client.get("/v1/collections").json()["collections"]
            for one in (listed, service.client.get("/v1/collections/items").json()):
                assert (one["name"], one["count"], one["problem"]) == ("items", 0, "TableGone")
            answer = service.client.post("/v1/collections/items/browse", json={})
            assert (answer.status_code, answer.json()["error"]) == (404, "TableGone")
            # What comes again is what it was.
            connection.execute("ALTER TABLE later RENAME TO items")
            connection.commit()
            one = service.client.get("/v1/collections/items").json()
            assert (one["count"], one["problem"]) == (60, "EmbedderUnknown")
        connection.execute("DROP TABLE items")
        connection.commit()
    assert "items is no collection any more" in said("detach", "items")


def test_samples_are_drawn_where_ids_follow_one_another(tmp_path: Path) -> None:
    """The first rows of a table are the oldest; our own ids are digests, and random as they are."""
    count = 2 * SCAN_BATCH + 7
    vectors = normalise(make_items(tmp_path / "shop.db", count))
    with lookalike.open(f"sqlite:///{tmp_path}/shop.db", cache=tmp_path / "cache") as database:
        database.attach("items", space="theirs")
        ids = sorted(map(str, range(1, count + 1)))
        drawn = sorted(ids, key=lambda one: hashlib.sha256(one.encode()).digest())
        found = np.concatenate(list(database.store.scan_sample("items")))
        assert found == pytest.approx(vectors[[int(one) - 1 for one in drawn]], abs=1e-6)
        # Of the first ones as many are of the older half as of the newer.
        assert 400 < sum(int(one) <= count // 2 for one in drawn[:1000]) < 600
    digests = sorted(hashlib.sha256(one.encode()).hexdigest()[:32] for one in ids)
    assert drawn_order(digests) == digests
    assert drawn_order([*digests, "7"]) != [*digests, "7"]
    assert drawn_order([]) == []


def test_rows_are_named_as_their_pictures_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the value of the column, by the path in the folder of pictures, by the file, by the id."""
    places = ["a/0 탱크.jpg", "a/1.jpg", "b/1.jpg", "b/1.jpg", "7", "https://x/a b.jpg", "x", None, "a/2.jpg"]
    (tmp_path / "pictures").mkdir()
    monkeypatch.chdir(tmp_path / "pictures")
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.execute("CREATE TABLE goods (id INTEGER PRIMARY KEY, picture TEXT, kind TEXT, v BLOB)")
        rows = [(place, "x", one.tobytes()) for place, one in zip(places, numbers(9), strict=True)]
        connection.executemany("INSERT INTO goods VALUES (NULL, ?, ?, ?)", rows)
        connection.commit()
    store = ("--store", f"sqlite:///{tmp_path}/shop.db", "--cache", str(tmp_path / "cache"))

    def said(*words: str, code: int = 0) -> str:
        assert main([*words, *store]) == code
        told = capsys.readouterr()
        return told.out + told.err

    for base in ((), ("--base", str(tmp_path / "pictures"))):
        said("attach", "goods", "--space", "theirs", "--writable", *base)
        names = [
            "a/0 탱크.jpg",
            "a/1.jpg",
            "https://x/a b.jpg",
            "id:8",
            "9",
            *(["./a/2.jpg"] if base else []),
        ]
        out = said("label", *names, "--set", "kind=y", "--dry-run", "-c", "goods")
        assert "5 put right" in out
        monkeypatch.chdir(tmp_path)
        out = said(
            "label", "a/1.jpg", *(["pictures/a/2.jpg"] if base else []), "--confirm", "kind", "-c", "goods"
        )
        assert f"{2 if base else 1} confirmed" in out
        monkeypatch.chdir(tmp_path / "pictures")
        told = said("label", "a/1.jpg", "b/1.jpg", "--set", "kind=y", "-c", "goods", code=2)
        assert "are called b/1.jpg: name one by its id, id:3, id:4; nothing was changed" in told
        # A row's id, and what another row calls its picture.
        assert "id:5, id:7" in said("delete", "goods", "7", code=2)
        assert "not in collection 'goods': b/2.jpg; nothing was deleted" in said(
            "delete", "goods", "b/2.jpg", code=2
        )
        said("detach", "goods")
    said("attach", "goods", "--space", "theirs", "--writable", "--base", str(tmp_path / "pictures"))
    # What lies here is meant, and not what is called so in the folder of pictures.
    for name in ("a", "other/a"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "1.jpg").touch()
    monkeypatch.chdir(tmp_path / "other")
    assert "not in collection 'goods': a/1.jpg" in said("delete", "goods", "a/1.jpg", "a/2.jpg", code=2)
    monkeypatch.chdir(tmp_path / "pictures")
    assert "2 records deleted" in said("delete", "goods", "a/1.jpg", "id:7")
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        left = [identity for (identity,) in connection.execute("SELECT id FROM goods ORDER BY id")]
    assert left == [1, 3, 4, 5, 6, 8, 9]
    table = tmp_path / "right.csv"
    table.write_text("picture,kind\na/0 탱크.jpg,y\n", encoding="utf-8")
    assert "1 put right" in said("label", "--from", str(table), "-c", "goods")


def test_rows_of_one_picture_are_told_apart_in_tables(tmp_path: Path) -> None:
    """A table names them by their ids; what several are called, is none of them."""
    sixth = quote("각")
    for base in (None, str(tmp_path)):
        places = ["b.jpg", "b.jpg", "2", "f.mp4#t=1", "f.mp4#t=2", "c.jpg"]
        path = tmp_path / f"{base is None}.db"
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE t (id TEXT PRIMARY KEY, place TEXT, kind TEXT, v BLOB)")
            rows = [
                (identity, place, "x", one.tobytes())
                for identity, place, one in zip("12345각", places, numbers(6), strict=True)
            ]
            connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", rows)
            connection.commit()
        table = tmp_path / "right.csv"
        with lookalike.open(f"sqlite:///{path}", cache=tmp_path / "cache") as database:
            database.attach("t", path="place", space="theirs", writable=True, base=base)
            for said_of_them, found, skipped in (
                (["b.jpg,y", "c.jpg,z"], {sixth: "z"}, 1),
                (["각,z"], {sixth: "z"}, 0),
                (["1,p", "4,q", "5,r", "9,s"], {"1": "p", "4": "q", "5": "r"}, 1),
                (["f.mp4#t=1,q", "f.mp4,r", "f.mp4#t=7,s", "c.jpg,z"], {"4": "q", sixth: "z"}, 2),
                (["2,y", "c.jpg,z"], {sixth: "z"}, 1),
            ):
                table.write_text("\n".join(["picture,kind", *said_of_them]), encoding="utf-8")
                said = database["t"].corrections.read(table)
                assert {one.id: one.fields["kind"] for one in said.corrections} == found
                assert len(said.skipped) == skipped, said.skipped


def test_what_is_no_json_is_not_written_over(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "text.db", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, label TEXT, about TEXT, v BLOB)")
        about = ['{"a": 1}', "by hand", '"text"', "null", "", None]
        rows = [("a", said, one.tobytes()) for said, one in zip(about, numbers(6, 8), strict=True)]
        with lookalike.open(f"sqlite:///{tmp_path}/text.db", cache=tmp_path / "cache") as database:
            connection.execute("INSERT INTO t VALUES (1, ?, ?, ?)", rows[0])
            database.attach("t", space="theirs", writable=True)
            connection.executemany("INSERT INTO t VALUES (NULL, ?, ?, ?)", rows[1:])
            for identity in ("2", "3"):
                with pytest.raises(lookalike.InvalidArgument, match="no JSON object"):
                    database["t"].correct(identity, {"label": "b"})
            for identity in ("1", "4", "5", "6"):
                database["t"].correct(identity, {"label": "b"})
        after = connection.execute("SELECT label, about FROM t ORDER BY id").fetchall()
        assert [label for label, _ in after] == ["b", "a", "a", "b", "b", "b"]
        assert [text for _, text in after[1:3]] == about[1:3]
        assert json.loads(after[0][1])["a"] == 1


def test_a_column_that_has_gone_is_no_text(tmp_path: Path) -> None:
    """SQLite reads "label" as the text 'label' where there is no such column: every row would have it."""
    with closing(sqlite3.connect(tmp_path / "gone.db", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (code TEXT, label TEXT, v BLOB)")
        connection.execute("INSERT INTO t VALUES ('code', 'a', ?)", (numbers(1, 8)[0].tobytes(),))
        with lookalike.open(f"sqlite:///{tmp_path}/gone.db", cache=tmp_path / "cache") as database:
            database.attach("t", id="code", space="theirs", writable=True)
            table = database["t"]
            assert dict(table.record("code").fields) == {"label": "a"}
            for column in ("label", "code"):
                connection.execute(f"ALTER TABLE t RENAME COLUMN {column} TO other")
                for ask in (lambda: table.record("code"), lambda: table.remove(["code"])):
                    with pytest.raises(lookalike.StoreError, match=f"no such column: t.{column}"):
                        ask()
                connection.execute(f"ALTER TABLE t RENAME COLUMN other TO {column}")
            assert table.remove(["code"]) == 1
