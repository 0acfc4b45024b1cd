"""Statements of the Oracle store, rewritten for SQLite and executed there.

There is no Oracle server where the tests run. What stands here shows what the steps of the back end come to,
one after the other and in their transactions, with several sessions at once. It does not show that Oracle
takes the statements, nor how: each construct that SQLite lacks is replaced by one that means the same. Views,
sequences, text and vector indexes are made in name only.
"""

from __future__ import annotations

import itertools
import json
import math
import re
import sqlite3
from array import array
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import oracledb
import pytest

from tests.servers.oracle import Recorder, RecordingConnection, RecordingCursor, driver_error

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

_MERGE = re.compile(
    r"MERGE INTO (\w+) t USING .*? ON \((.*?)\) WHEN MATCHED THEN UPDATE SET (.*?)"
    r" WHEN NOT MATCHED THEN INSERT \((.*?)\) VALUES \((.*)\)"
)
_REWRITTEN = (
    (r"FETCH (?:EXACT |APPROX )?FIRST (:\w+) ROWS ONLY(?: WITH TARGET ACCURACY 95)?", r"LIMIT \1"),
    (r"FETCH FIRST ROW ONLY", "LIMIT 1"),
    (r"(VECTOR_DISTANCE\(.*?, .*?), COSINE\)", r"\1)"),
    (r"\bt\.ORA_ROWSCN\b", "1"),
    (r"FETCH FIRST (\d+) ROWS ONLY", r"LIMIT \1"),
    (r"SCORE\(1\)", "CONTAINS(w.words, :words, 1)"),
    (
        r"JSON_TABLE\((:\w+), '\$\[\*\]' COLUMNS \(value_key VARCHAR2\(32\) PATH '\$'\)\) j",
        r"(SELECT value AS value_key FROM json_each(\1)) j",
    ),
    (r" FOR UPDATE WAIT \d+| FROM dual| CASCADE CONSTRAINTS PURGE", ""),
    (r"\b(?:VECTOR\(\d+, FLOAT32\)|RAW\(8\))", "BLOB"),
    (r"\bJSON\b", "TEXT"),
)
_IN_NAME_ONLY = re.compile(
    r"ALTER SESSION|SET TRANSACTION|CREATE SEQUENCE|CREATE VECTOR|DROP INDEX|CREATE OR REPLACE VIEW|DROP VIEW"
    r"|CREATE INDEX lookalike_text_"
)
_DEFINES = re.compile(r"CREATE|DROP")
_SHOWN_BY_THE_SERVER = re.compile(r"FROM (?:user_objects|user_dependencies)")


class OracleOnSqlite(Recorder):
    """Stands for `oracledb.connect`; each connection is one to the same SQLite file."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file
        self.numbers = itertools.count(1)

    def connect(self, **how: Any) -> SqliteConnection:
        self.connections.append(connection := SqliteConnection(self, how))
        return connection


class SqliteConnection(RecordingConnection):
    def __init__(self, recorder: OracleOnSqlite, how: Mapping[str, Any]) -> None:
        super().__init__(recorder, how)
        self.numbers = recorder.numbers
        self.sqlite = sqlite3.connect(
            recorder.file, isolation_level=None, check_same_thread=False, timeout=30
        )
        self.sqlite.execute("PRAGMA journal_mode = WAL")
        self.sqlite.execute("PRAGMA synchronous = OFF")
        self.sqlite.create_function("CONTAINS", 3, _contains)
        self.sqlite.create_function("VECTOR_DISTANCE", 2, _distance)
        self.sqlite.create_function("VECTOR_NORM", 1, lambda one: one and math.sqrt(_numbers(one)[1]))
        self.sqlite.create_function("VECTOR_DIMENSION_COUNT", 1, lambda one: one and len(one) // 4)
        self.sqlite.create_function("TO_CHAR", 1, str)
        self.sqlite.create_function("SYS_CONTEXT", 2, lambda *_: "PLANT")

    def cursor(self) -> SqliteCursor:
        return SqliteCursor(self)

    def commit(self) -> None:
        super().commit()
        self.end("COMMIT")

    def rollback(self) -> None:
        super().rollback()
        self.end("ROLLBACK")

    def end(self, how: str) -> None:
        if self.sqlite.in_transaction:
            self.sqlite.execute(how)
        self.transaction_in_progress = False

    def close(self) -> None:
        super().close()
        self.sqlite.close()


class SqliteCursor(RecordingCursor):
    def __init__(self, connection: SqliteConnection) -> None:
        super().__init__(connection)
        self.sqlite = connection.sqlite
        self.session = connection

    def _do(self, statement: str, rows: list[dict[str, Any]]) -> None:
        flat = " ".join(statement.split())
        self.description, self._rows, self.rowcount = [("C0",)], [], 0
        if "NEXTVAL" in flat:
            self._rows = [(next(self.session.numbers),)]
        elif _DEFINES.match(flat):
            self.session.end("COMMIT")
        if "NEXTVAL" in flat or _IN_NAME_ONLY.match(flat) or _SHOWN_BY_THE_SERVER.search(flat):
            return
        writes = not flat.startswith("SELECT") or " FOR UPDATE " in flat
        try:
            if writes and not _DEFINES.match(flat) and not self.sqlite.in_transaction:
                self.sqlite.execute("BEGIN IMMEDIATE")
            for binds in rows:
                self._execute(flat, {name: _bound(value) for name, value in binds.items()})
        except sqlite3.IntegrityError as error:
            raise driver_error(f"ORA-00001: {error}", 1) from error
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            raise driver_error(f"ORA-00942: {error}", 942) from error
        finally:
            self.session.transaction_in_progress = self.sqlite.in_transaction

    def _execute(self, flat: str, binds: dict[str, Any]) -> None:
        found = self.sqlite.execute(rewritten(flat), binds)
        self.rowcount += found.rowcount
        if found.description is not None:
            names = [column[0].lower() for column in found.description]
            is_json = [
                name == "kept" or (name == "name" and "FROM lookalike_fields" in flat) for name in names
            ]
            self._rows = [
                tuple(
                    _fetched(value, name, as_json=as_json)
                    for value, name, as_json in zip(row, names, is_json, strict=True)
                )
                for row in found
            ]


def rewritten(flat: str) -> str:
    """Return a statement of the store, in one line, as SQLite has it."""
    merge = _MERGE.fullmatch(flat)
    if merge is not None:
        table, keys, updates, columns, values = merge.groups()
        key = ", ".join(re.findall(r"t\.(\w+) = s\.", keys))
        values, updates = re.sub(r"\bs\.(\w+)", r":\1", values), updates.replace("t.", "")
        return (
            f"INSERT INTO {table} ({columns}) VALUES ({values}) ON CONFLICT ({key}) DO UPDATE SET {updates}"
        )
    for pattern, replacement in _REWRITTEN:
        flat = re.sub(pattern, replacement, flat)
    return flat


def _bound(value: Any) -> Any:
    if isinstance(value, array):
        return value.tobytes()
    if isinstance(value, (dict, list)):
        return json.dumps(value)
    return None if value == "" else value  # as it is to Oracle


def _fetched(value: Any, name: str, *, as_json: bool) -> Any:
    if value is None:
        return None
    if name == "embedding":
        return array("f", value)
    return json.loads(value) if as_json else value


def _contains(words: str | None, asked: str, _: int) -> int:
    there = (words or "").split()
    return sum(there.count(word.strip("{}")) for word in asked.split(","))


@lru_cache(maxsize=10_000)
def _numbers(content: bytes) -> tuple[NDArray[np.float64], float]:
    """Return a vector, and the square of its length."""
    vector = np.frombuffer(content, np.float32).astype(np.float64)
    return vector, float(vector.dot(vector))


def _distance(a: bytes, b: bytes) -> float | None:
    with np.errstate(all="ignore"):
        (x, xx), (y, yy) = _numbers(a), _numbers(b)
        length = math.sqrt(xx * yy)
        distance = 1 - float(x.dot(y)) / length if length else math.nan
    return distance if math.isfinite(distance) else None


@pytest.fixture
def oracle_on_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OracleOnSqlite:
    """Take the place of the driver's `connect` for one test, with an empty schema."""
    oracle = OracleOnSqlite(tmp_path / "oracle.db")
    monkeypatch.setattr(oracledb, "connect", oracle.connect)
    return oracle
