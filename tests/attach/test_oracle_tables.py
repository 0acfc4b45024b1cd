"""The table and the view of the first story as Oracle has them: what is said to the driver, run on SQLite."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import sqlglot

import lookalike
from tests.attach.foreign_tables import Story, agree, ask, check_story, nearest, story  # noqa: F401
from tests.servers.oracle_on_sqlite import OracleOnSqlite, oracle_on_sqlite  # noqa: F401 a fixture

# No parser here knows vectors: see tests/stores/test_oracle_store.py.
UNREAD = re.compile(r"ALTER SESSION|FETCH (?:EXACT|APPROX)|FROM lookalike_")


@pytest.fixture
def plant(
    story: Story,  # noqa: F811
    oracle_on_sqlite: OracleOnSqlite,  # noqa: F811
    tmp_path: Path,
) -> Iterator[lookalike.Database]:
    """The database of the plant, whose dictionary is what Oracle's says of the table and the view."""
    with closing(sqlite3.connect(oracle_on_sqlite.file)) as connection:
        connection.executescript(
            "CREATE TABLE all_objects (owner, object_name, object_type);"
            "CREATE TABLE all_tab_columns (owner, table_name, column_name, data_type, column_id);"
            "CREATE TABLE all_constraints (owner, table_name, constraint_name, constraint_type);"
            "CREATE TABLE all_cons_columns (owner, constraint_name, column_name);"
            "CREATE TABLE all_indexes (table_owner, table_name, index_name, index_type);"
            "CREATE TABLE IMAGE_DEMO1 (IMAGE_ID INTEGER PRIMARY KEY, METADATA, EMBEDDING);"
            "CREATE VIEW IMAGE_LABELS AS SELECT i.IMAGE_ID, i.EMBEDDING,"
            " json_extract(a.value, '$.attributes.part') AS PART,"
            " json_extract(a.value, '$.attributes.quality') AS QUALITY,"
            " json_extract(a.value, '$.attributes.defect') AS DEFECT"
            " FROM IMAGE_DEMO1 AS i, json_each(i.METADATA, '$.annotations') AS a;"
            "INSERT INTO all_objects VALUES ('PLANT', 'IMAGE_DEMO1', 'TABLE');"
            "INSERT INTO all_objects VALUES ('PLANT', 'IMAGE_LABELS', 'VIEW');"
            "INSERT INTO all_constraints VALUES ('PLANT', 'IMAGE_DEMO1', 'PK', 'P');"
            "INSERT INTO all_cons_columns VALUES ('PLANT', 'PK', 'IMAGE_ID');"
        )
        labels = dict.fromkeys(("PART", "QUALITY", "DEFECT"), "VARCHAR2")
        columns = {
            "IMAGE_DEMO1": {"IMAGE_ID": "NUMBER", "METADATA": "JSON", "EMBEDDING": "VECTOR"},
            "IMAGE_LABELS": {"IMAGE_ID": "NUMBER", "EMBEDDING": "VECTOR", **labels},
        }
        connection.executemany(
            "INSERT INTO all_tab_columns VALUES ('PLANT', ?, ?, ?, ?)",
            [
                (table, name, kind, number)
                for table, some in columns.items()
                for number, (name, kind) in enumerate(some.items())
            ],
        )
        rows = zip(story.ids, story.documents, story.vectors, strict=True)
        connection.executemany(
            "INSERT INTO IMAGE_DEMO1 VALUES (?, ?, ?)",
            [(n, json.dumps(said), vector.astype(np.float32).tobytes()) for n, said, vector in rows],
        )
        connection.commit()
    with lookalike.open("oracle://u:p@h/s", cache=tmp_path) as database:
        yield database


def test_the_table_of_the_first_story(
    story: Story,  # noqa: F811
    plant: lookalike.Database,
    oracle_on_sqlite: OracleOnSqlite,  # noqa: F811
) -> None:
    plant.attach("image_demo1", "demo", space="grey values")
    queries, ids = story.vectors[:4] + 3, story.ids
    vectors = story.vectors.astype(np.float32)
    agree(ask(plant, "demo", queries), [nearest(one, vectors, ids, 5) for one in queries])
    hulls = [row for row, part in enumerate(story.labels("part")) if part == "선체"]
    some = [nearest(one, vectors[hulls], [ids[row] for row in hulls], 5) for one in queries]
    agree(ask(plant, "demo", queries, where={"part": ["선체"]}), some)
    plant.detach("demo")
    check_story(plant, story)
    spoken = {said for said, _ in oracle_on_sqlite.binds if not UNREAD.search(said)}
    assert {said.split()[0] for said in spoken} == {"SELECT", "UPDATE", "DELETE"}
    for statement in spoken:
        (parsed,) = sqlglot.parse(statement, dialect="oracle")
        assert not isinstance(parsed, sqlglot.exp.Command), statement
    # No value of the table, and none that was asked for, is in a statement.
    assert not [said for said in oracle_on_sqlite.said if "선체" in said or "양품" in said]


def test_an_index_is_asked_for_by_approx(
    story: Story,  # noqa: F811
    plant: lookalike.Database,
    oracle_on_sqlite: OracleOnSqlite,  # noqa: F811
) -> None:
    done = plant.attach("PLANT.IMAGE_DEMO1", "demo", space="grey values")
    assert "CREATE VECTOR INDEX" in str(done.index)
    with closing(sqlite3.connect(oracle_on_sqlite.file)) as connection:
        connection.execute("INSERT INTO all_indexes VALUES ('PLANT', 'IMAGE_DEMO1', 'BY_SIGHT', 'VECTOR')")
        connection.commit()
    assert plant.attach("image_demo1", "demo", space="grey values").index is None
    assert plant["demo"].info().approximation == lookalike.Approximation("vector index", 1.0, 10, 200)
    assert oracle_on_sqlite.asked("FETCH APPROX FIRST")
    with pytest.raises(lookalike.TableNotFound, match=r"PLANT\.IMAGE_DEMO1"):
        plant.attach("image_demo2", space="grey values")
