"""An Oracle server where one is given, and a recorder of what the store says to the driver where none is.

The recorder answers with rows that a test prepared. It knows no SQL: what it shows is which statements and
binds leave the store, in which order, and not what Oracle makes of them.
"""

from __future__ import annotations

import os
import re
from array import array
from typing import TYPE_CHECKING, Any, Self

import oracledb
import pytest
from oracledb import errors as driver_errors

from lookalike.stores.oracle.address import oracle_address

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

VARIABLE = "LOOKALIKE_TEST_ORACLE"
_OURS = (
    "SELECT object_type, object_name FROM user_objects WHERE object_type IN ('TABLE', 'SEQUENCE')"
    " AND object_name LIKE 'LOOKALIKE\\_%' ESCAPE '\\'"
    " UNION ALL SELECT 'VIEW', name FROM user_dependencies WHERE type = 'VIEW'"
    " AND referenced_name LIKE 'LOOKALIKE\\_RECORDS\\_%' ESCAPE '\\'"
)
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"")
_PLACEHOLDER = re.compile(r":(\w+)")
_KNOWS_BINDS = re.compile(r"\s*(?:SELECT|INSERT|UPDATE|DELETE|MERGE|WITH)\b", re.IGNORECASE)


@pytest.fixture
def oracle_url() -> str:
    """Name an empty schema on a real server; every object of ours in it is dropped first."""
    url = os.environ.get(VARIABLE)
    if not url:
        pytest.skip(f"Oracle: no server (set {VARIABLE})")
    with oracledb.connect(**dict[str, Any](oracle_address(url, os.environ).connecting)) as connection:
        cursor = connection.cursor()
        for kind, name in cursor.execute(_OURS).fetchall():
            purge = " CASCADE CONSTRAINTS PURGE" if kind == "TABLE" else ""
            cursor.execute(f'DROP {kind} IF EXISTS "{name}"{purge}')
    return url


def driver_error(message: str, code: int = 0) -> Exception:
    """Return the exception that python-oracledb makes of a message of the server or of its own."""
    error = driver_errors._Error(message, code=code)
    made = error.exc_type(error)
    assert isinstance(made, oracledb.Error)
    return made


def placeholders(statement: str) -> list[str]:
    """Return the names of the binds in a statement, in order, as often as they stand there."""
    return _PLACEHOLDER.findall(_QUOTED.sub("", statement)) if _KNOWS_BINDS.match(statement) else []


class Recorder:
    """Stands for `oracledb.connect` and keeps what was said to the connections it gave."""

    def __init__(self) -> None:
        self.said: list[str] = []
        """Statements, and COMMIT, ROLLBACK, PING, CLOSE, CANCEL, in order."""
        self.binds: list[tuple[str, list[dict[str, Any]]]] = []
        """Each statement with its rows of binds."""
        self.connections: list[RecordingConnection] = []
        self._answers: list[tuple[str, list[Any]]] = []

    def answer(self, fragment: str, *answers: Sequence[tuple[Any, ...]] | BaseException | int) -> None:
        """Prepare answers to statements that contain a text: one after the other, the last for ever.

        Args:
            fragment: the answers that were prepared last are looked at first.
            answers: rows; an exception that is raised; or how many rows were changed.
        """
        self._answers.insert(0, (fragment, list(answers)))

    def connect(self, **how: Any) -> RecordingConnection:
        self.connections.append(RecordingConnection(self, how))
        return self.connections[-1]

    def asked(self, fragment: str) -> list[tuple[str, list[dict[str, Any]]]]:
        """Return the statements that contain a text, with their binds."""
        return [(statement, rows) for statement, rows in self.binds if fragment in statement]

    def next_answer(self, statement: str) -> Any:
        for fragment, answers in self._answers:
            if fragment in statement:
                return answers.pop(0) if len(answers) > 1 else answers[0]
        return []


class RecordingConnection:
    version = "23.26.1.0.0"

    def __init__(self, recorder: Recorder, how: Mapping[str, Any]) -> None:
        self.recorder = recorder
        self.how = how
        self.call_timeout = 0
        self.outputtypehandler: Any = None
        self.transaction_in_progress = False
        self.gone = False

    def cursor(self) -> RecordingCursor:
        return RecordingCursor(self)

    def is_healthy(self) -> bool:
        return not self.gone

    def _said(self, what: str) -> None:
        if self.gone and what not in ("CLOSE", "CANCEL"):
            raise driver_error("DPY-4011: the database or network closed the connection")
        self.recorder.said.append(what)

    def ping(self) -> None:
        self._said("PING")

    def commit(self) -> None:
        self._said("COMMIT")
        self.transaction_in_progress = False

    def rollback(self) -> None:
        self._said("ROLLBACK")
        self.transaction_in_progress = False

    def cancel(self) -> None:
        self._said("CANCEL")

    def close(self) -> None:
        self._said("CLOSE")


class RecordingCursor:
    def __init__(self, connection: RecordingConnection) -> None:
        self.connection = connection
        self.arraysize = self.prefetchrows = 0
        self.rowcount = 0
        self.description: list[tuple[str, ...]] | None = None
        self._sizes: dict[str, Any] = {}
        self._rows: list[tuple[Any, ...]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None: ...

    def setinputsizes(self, **sizes: Any) -> None:
        self._sizes = sizes

    def execute(self, statement: str, binds: dict[str, Any]) -> None:
        self._take(statement, [binds])

    def executemany(self, statement: str, rows: list[dict[str, Any]]) -> None:
        self._take(statement, rows)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self._rows)

    def _take(self, statement: str, rows: list[dict[str, Any]]) -> None:
        self._check(statement, rows)
        self._do(statement, rows)

    def _check(self, statement: str, rows: list[dict[str, Any]]) -> None:
        """Refuse binds that the real driver would not take, and keep what was said."""
        names = set(placeholders(statement))
        for binds in rows:
            assert set(binds) == names, f"binds {sorted(binds)} for {statement}"
            for name, value in binds.items():
                self._check_type(name, value)
        assert set(self._sizes) <= names
        self.connection._said(" ".join(statement.split()))
        self.connection.recorder.binds.append((" ".join(statement.split()), rows))

    def _do(self, statement: str, rows: list[dict[str, Any]]) -> None:
        """Answer with what was prepared."""
        if not statement.lstrip().startswith(("SELECT", "WITH")) or "FOR UPDATE" in statement:
            # DDL, which commits, is told from DML by having no binds at all.
            self.connection.transaction_in_progress = bool(placeholders(statement))
        answer = self.connection.recorder.next_answer(statement)
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, int):
            self.rowcount = answer
            return
        self._rows = list(answer)
        self.description = [(f"C{n}",) for n in range(len(self._rows[0]))] if self._rows else [("C0",)]

    def _check_type(self, name: str, value: Any) -> None:
        """Refuse what the real driver could not bind as it is told to."""
        size = self._sizes.get(name)
        if size is oracledb.DB_TYPE_JSON:
            assert isinstance(value, (dict, list))
        elif size is oracledb.DB_TYPE_VECTOR:
            assert isinstance(value, array)
            assert value.typecode == "f"
        elif size is oracledb.DB_TYPE_BLOB:
            assert isinstance(value, bytes)
        elif size is oracledb.DB_TYPE_LONG:
            assert isinstance(value, str)
            assert value.isascii()
        else:
            # Bytes are bound as RAW (python-oracledb, "Supported Python types").
            assert value is None or isinstance(value, (str, int, float, bytes))
            assert not isinstance(value, bool)
            if isinstance(value, str):
                value.encode()  # no lone surrogate reaches the driver
                assert len(value) <= (size if isinstance(size, int) else 1000)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Take the place of the driver's `connect` for one test."""
    recorder = Recorder()
    monkeypatch.setattr(oracledb, "connect", recorder.connect)
    return recorder
