"""Tables of others in a SQLite file: attached, they answer as NumPy does on their columns."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import lookalike
from lookalike.stores.query import Query
from lookalike.vectors.metric import normalise
from tests.attach.foreign_tables import Story, check_story, make_items, nearest, story  # noqa: F401 a fixture


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
