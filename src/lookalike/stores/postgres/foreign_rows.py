"""The rows of a table of others in PostgreSQL, whatever its vectors are: their ids, fields and changes.

A record's fields are one `jsonb` that a statement makes of columns and of paths in their JSON, so that
filters are what they are for a collection of ours.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from lookalike.errors import InvalidArgument, StoreDenied, StoreError
from lookalike.stores.attached.description import ForeignRow, id_value
from lookalike.stores.attached.foreign import check_rows
from lookalike.stores.attached.json_paths import field_value
from lookalike.stores.batches import chunks
from lookalike.stores.postgres.connection import SQL, Composed, Error, Identifier, Literal, PostgresServer
from lookalike.stores.postgres.errors import UNDEFINED_TABLE, one_line
from lookalike.stores.view_columns import ColumnNames

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
    from typing import TypeVar

    from lookalike.stores.attached.description import Attachment, Source
    from lookalike.stores.attached.foreign import Change
    from lookalike.stores.postgres.connection import Connection, Transaction

    _T = TypeVar("_T")

TABLES = ("r", "p", "m")
"""Kinds of relations (`relkind`) that change by what is committed alone: a view may read elsewhere."""

_TOGETHER = 1_000  # rows that are asked for by id at once
_MOST_ARGUMENTS = 40  # fields in one jsonb_build_object, which takes 100 arguments
_NAME = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')
_WHOLE = re.compile(r"-?\d{1,19}")
_SURROGATES = re.compile("[\ud800-\udfff]")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# What `row_id` leaves as it is.
_PLAIN = r"[A-Za-z0-9_.~!$&'()*+,;:=@^`{|}\[\]-]"
# undefined_column, undefined_function, data_exception (a vector of another dimension), cannot_coerce,
# datatype_mismatch, invalid_schema_name
_ALTERED = {UNDEFINED_TABLE, "42703", "42883", "22000", "42846", "42804", "3F000"}
# Classes of errors that a value is to blame for: "data exception", "integrity constraint violation"; and
# generated_always (postgresql.org/docs, appendix "PostgreSQL Error Codes").
_VALUE = ("22", "23", "428C9")
# Types of ids that their column's index is asked for by, with the largest value of those that are numbers.
_BOUNDED = {"bigint": "bigint", "integer": "integer", "smallint": "smallint", "uuid": "uuid"}
_MOST = {"bigint": 2**63, "integer": 2**31, "smallint": 2**15}


def split_names(table: str) -> list[str]:
    """Return schema and name, or the name alone, of a table as SQL writes it; quotes as in SQL.

    Raises:
        InvalidArgument: it is no name.
    """
    names, place = [], 0
    while found := _NAME.match(table, place):
        names.append(found[1].replace('""', '"') if found[1] is not None else found[2])
        place = found.end()
        if place == len(table):
            if len(names) <= 2:
                return names
            break
        if table[place] != ".":
            break
        place += 1
    raise InvalidArgument(f'{table!r} names no table: write NAME, SCHEMA.NAME or "Any schema"."Any name"')


class ForeignRows:
    """What a table's rows are asked for, but for their vectors.

    Args:
        server: the database.
        attachment: says what is what.
    """

    def __init__(self, server: PostgresServer, attachment: Attachment) -> None:
        self._server = server
        self._of = attachment
        self.table = Identifier(*split_names(attachment.table))
        self.vector = SQL("t.{}").format(Identifier(attachment.vector))
        self._id = SQL("t.{}").format(Identifier(attachment.id))

    def state(self) -> Hashable | None:
        """Return what the next transaction sees: nothing is committed while that is the same."""
        if self._of.detail("kind") not in TABLES:
            return None  # what a view reads may be elsewhere

        def snapshot(transaction: Transaction) -> Hashable:
            return snapshot_of(transaction.connection)

        return self.read(snapshot)

    def read(self, work: Callable[[Transaction], _T]) -> _T:
        """Do what only reads.

        Raises:
            StoreError: the class that fits what the server says; of a table that was altered, that it was.
        """
        try:
            return self._server.read(work)
        except StoreError as error:
            cause = error.__cause__
            if not isinstance(cause, Error) or cause.sqlstate not in _ALTERED:
                raise
            raise self.altered(one_line(cause.diag.message_primary or str(cause))) from error

    def altered(self, reason: str) -> StoreError:
        """Return what is said of a table that its owner has altered since it was attached."""
        said = f"{self._of.table} is not any more what was attached ({reason}): attach it again"
        return StoreError(self._server.url, said)

    def execute(self, statement: Composed, bound: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return what a statement says."""
        return self.read(lambda transaction: transaction.connection.execute(statement, bound).fetchall())

    def asked(
        self, every: Composed, ids: Sequence[str] | None, *, binary: bool = False
    ) -> list[tuple[Any, ...]]:
        """Return what a statement says of the rows with some ids, or of all."""

        def asked(transaction: Transaction) -> list[tuple[Any, ...]]:
            with transaction.connection.cursor(binary=binary) as cursor:
                if ids is None:
                    return cursor.execute(every).fetchall()
                statement = SQL("{} AND {}").format(every, self.among())
                return [
                    row
                    for some in chunks(ids, _TOGETHER)
                    for row in cursor.execute(statement, [self.keys(some)]).fetchall()
                ]

        return self.read(asked)

    def view(self, names: Sequence[str]) -> Composed:
        """Return the table with its own columns, and those of a collection that it has not."""
        of, taken = self._of, ColumnNames(names)
        columns: dict[str, Composed | SQL] = {"id": self.text_id(), "vector": self.vector}
        if of.uri is not None:
            columns["path"] = self.text_of(of.uri)
        if of.metadata is not None:
            columns["metadata"] = SQL("t.{}").format(Identifier(of.metadata))
        columns |= {name: self.text_of(source) for name, source in of.fields}
        more = [
            SQL(", {} AS {}").format(value, Identifier(name))
            for name, value in columns.items()
            if taken.take(name) == name
        ]
        own = SQL(", ").join(SQL("t.{}").format(Identifier(name)) for name in names)
        return SQL("SELECT {}{} FROM {} AS t").format(own, SQL("").join(more), self.table)

    def text_id(self) -> Composed:
        """Return the text that names a row."""
        return SQL("{}::text").format(self._id)

    def _id_type(self) -> str:
        return self._of.detail("id_type") or "text"

    def has_id(self) -> Composed:
        """Return the condition that `row_id` makes an id of what names a row."""
        if self._id_type() in _BOUNDED:
            return SQL("{} IS NOT NULL").format(self._id)
        return SQL(
            "coalesce(octet_length({id}) > 0"
            " AND octet_length({id}) + 2 * octet_length(regexp_replace({id}, {plain}, '', 'g')) <= 512,"
            " false)"
        ).format(id=self.text_id(), plain=Literal(_PLAIN))

    def among(self) -> Composed:
        """Return the condition that a row has one of the ids that are bound."""
        kind = self._id_type()
        if kind in _BOUNDED:
            return SQL("{} = ANY(%s::text[]::{}[])").format(self._id, SQL(_BOUNDED[kind]))
        return SQL("{} = ANY(%s::text[])").format(self.text_id())

    def keys(self, ids: Sequence[str]) -> list[str]:
        """Return what is bound for ids: without those that no value of the column's type can have."""
        texts = [text for text in map(id_value, ids) if "\0" not in text]
        if self._id_type() == "uuid":
            return [text for text in texts if _UUID.fullmatch(text)]
        if self._id_type() in _BOUNDED:
            most = _MOST[self._id_type()]
            return [text for text in texts if _WHOLE.fullmatch(text) and -most <= int(text) < most]
        return [text for text in texts if not _SURROGATES.search(text)]

    def _json_of(self, source: Source) -> Composed:
        """Return what a source says as jsonb: a text, a number or a boolean, else NULL."""
        column = SQL("t.{}").format(Identifier(source.column))
        if source.path is not None:
            return self._one_of(SQL("{}::jsonb").format(column), source.path)
        # Blanks that fill up a character(n) are no part of it.
        return SQL(
            "(SELECT CASE WHEN jsonb_typeof(v) = 'array' THEN {}"
            " WHEN pg_typeof({column}) = 'bpchar'::regtype THEN to_jsonb({column}::text)"
            " WHEN jsonb_typeof(v) IN ('string', 'number', 'boolean') THEN v END"
            " FROM to_jsonb({column}) AS v)"
        ).format(self._one_of(SQL("v"), "$[*]"), column=column)

    @staticmethod
    def _one_of(document: Composed | SQL, path: str) -> Composed:
        """Return what is at a path as `json_paths.field_value` does: several values are one text."""
        return SQL(
            "(SELECT CASE count(DISTINCT o) WHEN 0 THEN NULL WHEN 1 THEN min(o::text)::jsonb ELSE to_jsonb("
            "string_agg(DISTINCT (o #>> '{{}}') COLLATE \"C\", ', '"
            " ORDER BY (o #>> '{{}}') COLLATE \"C\")) END"
            " FROM jsonb_path_query({}, {}::jsonpath, '{{}}', true) AS o"
            " WHERE jsonb_typeof(o) IN ('string', 'number', 'boolean'))"
        ).format(document, Literal(path))

    def fields(self) -> Composed:
        """Return the fields of a record, as jsonb."""
        parts = [
            SQL("jsonb_build_object({})").format(
                SQL(", ").join(
                    SQL("{}::text, {}").format(Literal(name), self._json_of(source)) for name, source in some
                )
            )
            for some in chunks(self._of.fields, _MOST_ARGUMENTS)
        ]
        return SQL("jsonb_strip_nulls({})").format(SQL(" || ").join(parts or [SQL("'{{}}'::jsonb").format()]))

    def text_of(self, source: Source | None) -> Composed | SQL:
        """Return what a source says as text."""
        if source is None:
            return SQL("NULL")
        if source.path is None:
            return SQL("t.{}::text").format(Identifier(source.column))
        return SQL("({} #>> '{{}}')").format(self._json_of(source))

    @staticmethod
    def texts(ids: Iterable[str]) -> list[str]:
        """Return what `text_id` may say for ids."""
        return [text for text in map(id_value, ids) if "\0" not in text and not _SURROGATES.search(text)]

    def columns(self, *, metadata: bool = True) -> list[Composed | SQL]:
        """Return what `made` reads, with metadata or without."""
        of = self._of
        return [
            self.text_id(),
            self.text_of(of.uri),
            SQL("({})::text").format(self.fields()),
            self.metadata() if metadata else SQL("NULL"),
            SQL("NULL") if of.digest is None else SQL("t.{}::text").format(Identifier(of.digest)),
        ]

    def metadata(self) -> Composed | SQL:
        """Return the metadata as text."""
        of = self._of
        return SQL("NULL") if of.metadata is None else SQL("t.{}::text").format(Identifier(of.metadata))

    @staticmethod
    def made(identity: str, values: Sequence[Any], version: int) -> ForeignRow:
        """Return the row that `columns` said something of.

        Args:
            identity: of the record.
            values: what was read.
            version: of its vector.
        """
        _, place, fields, metadata, digest = values
        known = {name: field_value([value]) for name, value in json.loads(fields).items()}
        return ForeignRow(
            identity,
            place,
            {name: value for name, value in known.items() if value is not None},
            document(metadata),
            version,
            digest,
        )

    # Changes

    def update(self, changes: Mapping[str, Mapping[str, Change]]) -> None:
        """Change columns of some rows: see `ForeignTable.update`."""

        def update(transaction: Transaction) -> None:
            for identity, change in changes.items():
                self._update(transaction.connection, identity, change)

        self._write(update)

    def _update(self, connection: Connection, identity: str, change: Mapping[str, Change]) -> None:
        bound: list[Any] = [self.keys([identity])]
        columns = SQL(", ").join(SQL("t.{}").format(Identifier(column)) for column in change)
        read = SQL("SELECT {} FROM {} AS t WHERE {}").format(columns, self.table, self.among())
        row = connection.execute(SQL("{} FOR UPDATE").format(read), bound).fetchone()
        if row is None:
            if connection.execute(read, bound).fetchone() is not None:
                raise self._denied([identity])
            return  # gone meanwhile
        made = [work(value) for work, value in zip(change.values(), row, strict=True)]
        # As text, which PostgreSQL reads as the column's own type.
        texts = [
            json.dumps(one, ensure_ascii=False)
            if isinstance(one, dict | list)
            else None
            if one is None
            else str(one)
            for one in made
        ]
        changed = connection.execute(
            SQL("UPDATE {} AS t SET {} WHERE {}").format(
                self.table,
                SQL(", ").join(SQL("{} = %s").format(Identifier(column)) for column in change),
                self.among(),
            ),
            [*texts, *bound],
        )
        check_rows(self._of.table, changed.rowcount, [identity])

    def remove(self, ids: Sequence[str]) -> int:
        """Delete some rows: see `ForeignTable.remove`."""

        def remove(transaction: Transaction) -> int:
            connection, removed = transaction.connection, 0
            which = SQL("FROM {} AS t WHERE {}").format(self.table, self.among())
            for some in chunks(ids, _TOGETHER):
                bound = [self.keys(some)]
                distinct = SQL("SELECT count(DISTINCT {}) {}").format(self.text_id(), which)
                ((there,),) = connection.execute(distinct, bound).fetchall()
                gone = connection.execute(SQL("DELETE {}").format(which), bound).rowcount
                # Of ids that are not there, none makes up for one that several rows have.
                removed += check_rows(self._of.table, gone, some, there)
                if connection.execute(SQL("SELECT {}").format(which), bound).fetchone() is not None:
                    raise self._denied(some)
            return removed

        return self._write(remove)

    def _write(self, work: Callable[[Transaction], _T]) -> _T:
        try:
            return self._server.write(work)
        except StoreError as error:
            cause = error.__cause__
            if not isinstance(cause, Error) or not (cause.sqlstate or "").startswith(_VALUE):
                raise
            said = one_line(cause.diag.message_primary or str(cause))
            raise InvalidArgument(
                f"{self._of.table} does not take it, and nothing is changed: {said}"
            ) from error

    def _denied(self, ids: Sequence[str]) -> StoreDenied:
        rows = f"the row {ids[0]!r}" if len(ids) == 1 else "one of these rows"
        return StoreDenied(
            self._server.url,
            f"{self._of.table}: row-level security, or a rule, lets this user read {rows} and not change it: "
            f"nothing is changed",
        )


def snapshot_of(connection: Connection) -> str | None:
    """Return what a transaction sees: nothing is committed while that is the same; None on a standby."""
    row = connection.execute(
        "SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_current_snapshot()::text END"
    ).fetchone()
    return None if row is None else row[0]


def document(text: str | None) -> dict[str, Any]:
    """Return the JSON object of a text; of another none."""
    said = None if text is None else json.loads(text)
    return said if isinstance(said, dict) else {}
