"""Tables of others in PostgreSQL with pgvector: every question is a statement, and nothing is remembered.

A record's fields are one `jsonb` that the statement makes of columns and of paths in their JSON, so that
filters are what they are for a collection of ours. Exact search orders by the cosine distance and uses no
index; approximate search uses the one that PostgreSQL's planner takes for the table or view, and says so.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lookalike.errors import InvalidArgument, StoreDenied, TableNotFound, Unanswerable
from lookalike.stores.attached.description import ForeignRow, id_value, row_id
from lookalike.stores.attached.foreign import Column, FoundTable, Tally, check_rows
from lookalike.stores.attached.foreign_vectors import (
    NO_ID,
    NO_VECTOR,
    NOT_UNIT,
    OTHER_DIMENSION,
    SAME_ID,
    ZEROS,
    Counts,
    usable,
)
from lookalike.stores.attached.json_paths import field_value
from lookalike.stores.batches import chunks
from lookalike.stores.checks import LENGTH_TOLERANCE
from lookalike.stores.postgres.address import read_postgres_address
from lookalike.stores.postgres.connection import SQL, Composed, Identifier, Literal, PostgresServer, Wire
from lookalike.stores.postgres.encoding import binary_vectors, read_vectors
from lookalike.stores.postgres.filters import matching
from lookalike.stores.postgres.sql import answer
from lookalike.stores.postgres.views import view_name
from lookalike.stores.reranking import approximate_nearest, exact_nearest
from lookalike.stores.view_columns import ColumnNames

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence

    from lookalike.stores.attached.description import Attachment, Source
    from lookalike.stores.attached.foreign import Change, Kind
    from lookalike.stores.postgres.connection import Connection, Transaction
    from lookalike.stores.query import Query
    from lookalike.stores.reranking import Candidates
    from lookalike.types import Table, Vectors, Where

SAMPLE = 200
"""Rows that are looked at to tell what a column of JSON holds, or of what dimension vectors are."""

_TOGETHER = 1_000  # rows that are asked for by id at once
_ANSWER_BYTES = 64 << 20
_SPARE = 8  # candidates beyond k that an index is asked for
_PROBES = 10  # lists that an ivfflat index looks through, at least
_MOST_ARGUMENTS = 40  # fields in one jsonb_build_object, which takes 100 arguments
_KINDS = {"r": "table", "p": "partitioned table", "v": "view", "m": "materialized view", "f": "foreign table"}
# By typcategory of pg_type (postgresql.org/docs, "pg_type").
_CATEGORIES: dict[str, Kind] = {"S": "text", "E": "text", "N": "number", "B": "boolean"}
_NAME = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')
_WHOLE = re.compile(r"-?\d{1,19}")
_SURROGATES = re.compile("[\ud800-\udfff]")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# What `row_id` leaves as it is.
_PLAIN = r"[A-Za-z0-9_.~!$&'()*+,;:=@^`{|}\[\]-]"
_OPERATORS = {
    "<=>": "the cosine distance",
    "<->": "the Euclidean distance",
    "<#>": "the inner product",
}


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


class PostgresTables:
    """The tables of others in one database: see `ForeignDatabase`.

    Args:
        url: see `read_postgres_address`.
        timeout: seconds to wait for the server, and for locks.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self.address = read_postgres_address(url)
        self.server = PostgresServer(self.address, timeout)

    def find(self, table: str) -> FoundTable:
        names = split_names(table)
        return self.server.read(lambda transaction: _find(transaction.connection, names, table))

    def open(self, attachment: Attachment) -> PostgresTable:
        return PostgresTable(self, attachment)

    def sql(self, attachments: Sequence[Attachment], statement: str, seconds: float) -> Table:
        """Answer a statement: for which each attached table is a view of the name of its collection."""
        columns = self.server.read(lambda transaction: _columns_of(transaction.connection, attachments))
        views = [
            SQL("CREATE TEMP VIEW {} AS {}").format(
                Identifier(view_name(each.name)), PostgresTable(self, each).view(names)
            )
            for each, names in zip(attachments, columns, strict=True)
        ]
        return answer(self.server, statement, seconds, views)

    def close(self) -> None:
        self.server.close()


def _find(connection: Connection, names: Sequence[str], written: str) -> FoundTable:
    rows = connection.execute(
        "SELECT c.oid, n.nspname, c.relname, c.relkind::text, format('%%I.%%I', n.nspname, c.relname),"
        " has_table_privilege(c.oid, 'SELECT') OR has_any_column_privilege(c.oid, 'SELECT')"
        " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')"
        " AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
        " AND (c.relname = %s OR c.relname = lower(%s))"
        " AND (%s::text IS NULL OR n.nspname IN (%s, lower(%s)))"
        " ORDER BY c.relname <> %s, n.nspname <> 'public', n.nspname",
        (names[-1], names[-1], *[names[0] if len(names) > 1 else None] * 3, names[-1]),
    ).fetchall()
    if not rows:
        known = connection.execute(
            "SELECT DISTINCT format('%%I.%%I', n.nspname, c.relname) FROM pg_catalog.pg_attribute a"
            " JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n"
            " ON n.oid = c.relnamespace JOIN pg_catalog.pg_type y ON y.oid = a.atttypid"
            " WHERE y.typname IN ('vector', 'halfvec') AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"
            " AND a.attnum > 0 AND NOT a.attisdropped AND NOT c.relispartition ORDER BY 1"
        ).fetchall()
        raise TableNotFound(written, [name for (name,) in known])
    same = [row for row in rows if row[2] == rows[0][2]]
    if len(same) > 1 and len(names) == 1 and rows[0][1] != "public":
        raise InvalidArgument(f"{written!r} is in several schemas: say {' or '.join(row[4] for row in same)}")
    oid, _, _, kind, table, may_read = rows[0]
    if not may_read:
        raise StoreDenied(connection.info.host or "", f"{table} may not be read by this user")
    columns = connection.execute(
        "SELECT a.attname, y.typname, y.typcategory::text, format_type(a.atttypid, a.atttypmod), a.atttypmod,"
        " EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique"
        "  AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum AND i.indpred IS NULL AND i.indimmediate),"
        " EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = a.attrelid AND i.indisprimary"
        "  AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum)"
        " FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type y ON y.oid = a.atttypid"
        " WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
        (oid,),
    ).fetchall()
    place = Identifier(*split_names(table))
    primary = [row[0] for row in columns if row[6]]
    found = []
    for name, type_name, category, shown, modifier, unique, _ in columns:
        if type_name in ("vector", "halfvec"):
            dimension = modifier if modifier > 0 else _usual_dimension(connection, place, name)
            details = (("kind", kind), ("type", type_name), ("typed", "yes" if modifier > 0 else "no"))
            found.append(Column(name, "vector", shown, dimension, details=details))
            continue
        sort: Kind = "json" if type_name in ("json", "jsonb") else _CATEGORIES.get(category, "other")
        sort = "text" if type_name == "uuid" else sort
        names_rows = primary == [name] if primary else unique
        found.append(Column(name, sort, shown, None, names_rows, (("id_type", shown),)))
    left_out = [each.name for each in found if each.kind in ("vector", "other")]
    sample = connection.execute(
        SQL("SELECT (to_jsonb(t) - %s::text[])::text FROM {} AS t LIMIT {}").format(place, Literal(SAMPLE)),
        (left_out,),
    ).fetchall()
    return FoundTable(table, _KINDS[kind], tuple(found), [json.loads(text) for (text,) in sample])


def _columns_of(connection: Connection, attachments: Sequence[Attachment]) -> list[list[str]]:
    """Return the names of the columns of some tables; none of one that has gone."""
    found = []
    for each in attachments:
        rows = connection.execute(
            "SELECT attname FROM pg_catalog.pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0"
            " AND NOT attisdropped ORDER BY attnum",
            (each.table,),
        ).fetchall()
        found.append([name for (name,) in rows])
    return found


def _usual_dimension(connection: Connection, table: Identifier, column: str) -> int | None:
    """Return the dimension that most of the first vectors have, in a column that takes any."""
    row = connection.execute(
        SQL(
            "SELECT vector_dims(v) FROM (SELECT {column} AS v FROM {table} WHERE {column} IS NOT NULL"
            " LIMIT {some}) AS t GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1"
        ).format(column=Identifier(column), table=table, some=Literal(SAMPLE))
    ).fetchone()
    return None if row is None else int(row[0])


class _Order(NamedTuple):
    """How an index orders: what stands in ORDER BY for it."""

    operator: str
    expression: Composed
    name: str


class PostgresTable:
    """One attached table: see `ForeignTable`."""

    def __init__(self, database: PostgresTables, attachment: Attachment) -> None:
        self._server = database.server
        self._address = database.address
        self._of = attachment
        self._dimension = attachment.space.dimension
        self._table = Identifier(*split_names(attachment.table))
        self._id = SQL("t.{}").format(Identifier(attachment.id))
        self._vector = SQL("t.{}").format(Identifier(attachment.vector))
        self._order: _Order | None = None

    def state(self) -> Hashable | None:
        """Return what the next transaction sees: nothing is committed while that is the same."""
        if self._of.detail("kind") not in ("r", "p", "m"):
            return None  # what a view reads may be elsewhere

        def snapshot(transaction: Transaction) -> Hashable:
            row = transaction.connection.execute("SELECT pg_current_snapshot()::text").fetchone()
            return None if row is None else str(row[0])

        return self._server.read(snapshot)

    def tally(self, *, thorough: bool = False) -> Tally:
        identity, norm = self._text_id(), SQL("vector_norm({})").format(self._numbers())
        reasons = [
            (NO_VECTOR, SQL("{} IS NULL").format(self._vector)),
            (OTHER_DIMENSION.format(self._dimension), SQL("NOT ({})").format(self._dims())),
            (ZEROS, SQL("{} = 0").format(norm)),
            (NO_ID, SQL("NOT ({})").format(self._has_id())),
        ]
        when = SQL(" ").join(
            SQL("WHEN {} THEN {}").format(condition, Literal(place))
            for place, (_, condition) in enumerate(reasons)
        )
        rows = self._execute(
            SQL(
                "SELECT reason, count(*), min(id), count(DISTINCT id), count(*) FILTER (WHERE off),"
                " min(id) FILTER (WHERE off) FROM (SELECT CASE {when} END AS reason, {id} AS id,"
                " abs({norm} - 1) > {tolerance} AS off FROM {table} AS t) AS r GROUP BY reason"
            ).format(
                when=when, id=identity, norm=norm, tolerance=Literal(LENGTH_TOLERANCE), table=self._table
            )
        )
        counts, remarks, records = Counts(), Counts(), 0
        for reason, count, example, different, off, off_example in rows:
            if reason is not None:
                counts.add(reasons[reason][0], example, count)
                continue
            records = different
            remarks.add(NOT_UNIT, off_example, off)
            if count > different:
                counts.add(SAME_ID, self._doubled() if thorough else example, count - different)
        return Tally(records, counts.told(), remarks.told())

    def _doubled(self) -> str | None:
        rows = self._execute(
            SQL(
                "SELECT {id} FROM {table} AS t WHERE {usable}"
                " GROUP BY 1 HAVING count(*) > 1 ORDER BY 1 LIMIT 1"
            ).format(id=self._text_id(), table=self._table, usable=self._usable())
        )
        return rows[0][0] if rows else None

    def ids(self, where: Where | None = None, having: str | None = None) -> list[str]:
        statement, bound = self._select([self._text_id()], where, having)
        return sorted({str(row_id(identity)) for (identity,) in self._execute(statement, bound)})

    def rows(self, ids: Sequence[str] | None = None) -> Iterator[ForeignRow]:
        of = self._of
        columns = [
            self._text_id(),
            self._text_of(of.uri),
            SQL("({})::text").format(self._fields()),
            SQL("NULL") if of.metadata is None else SQL("t.{}::text").format(Identifier(of.metadata)),
            self._version(),
            SQL("NULL") if of.digest is None else SQL("t.{}::text").format(Identifier(of.digest)),
        ]
        every, _ = self._select(columns)
        seen: set[str] = set()
        for text, place, fields, metadata, version, digest in self._asked(every, ids):
            identity = str(row_id(text))
            if identity in seen:
                continue
            seen.add(identity)
            known = {name: field_value([value]) for name, value in json.loads(fields).items()}
            said = None if metadata is None else json.loads(metadata)
            yield ForeignRow(
                identity,
                place,
                {name: value for name, value in known.items() if value is not None},
                said if isinstance(said, dict) else {},
                version,
                digest,
            )

    def vectors(self, ids: Sequence[str]) -> tuple[list[str], Vectors]:
        statement, _ = self._select([self._text_id(), self._numbers()])
        rows: dict[str, bytes] = {}
        for text, vector in self._asked(statement, ids, binary=True):
            rows.setdefault(str(row_id(_text(text))), vector)
        return self._read(rows)

    def nearest(self, queries: Vectors, query: Query) -> list[list[tuple[str, float]]]:
        order = None
        if query.approximate:
            with suppress(Unanswerable):  # the index has gone, or vectors came that it does not serve
                order = self._index()

        def nearest(transaction: Transaction) -> list[list[tuple[str, float]]]:
            connection = transaction.connection

            def exact(rows: Sequence[int], count: int) -> list[Candidates]:
                return self._fetch(connection, queries, query, None, rows, count)

            if order is None:
                return exact_nearest(queries, query.k, exact)
            self._use_index(connection)
            rows = range(len(queries))
            candidates = self._fetch(connection, queries, query, order.expression, rows, query.k + _SPARE)
            self._use_index(connection, used=False)
            return approximate_nearest(queries, query.k, candidates, exact)

        return self._server.read(nearest)

    def index(self) -> str:
        self._order = None
        found = self._index()
        assert found is not None  # noqa: S101 it raises where there is none
        return found.name

    def update(self, changes: Mapping[str, Mapping[str, Change]]) -> None:
        def update(transaction: Transaction) -> None:
            connection = transaction.connection
            for identity, change in changes.items():
                columns = [SQL("t.{}").format(Identifier(column)) for column in change]
                row = connection.execute(
                    SQL("SELECT {} FROM {} AS t WHERE {} FOR UPDATE").format(
                        SQL(", ").join(columns), self._table, self._among()
                    ),
                    [self._keys([identity])],
                ).fetchone()
                if row is None:
                    continue  # gone meanwhile
                made = [work(value) for work, value in zip(change.values(), row, strict=True)]
                # As text, which PostgreSQL reads as the column's own type.
                bound = [
                    json.dumps(one, ensure_ascii=False)
                    if isinstance(one, dict | list)
                    else None
                    if one is None
                    else str(one)
                    for one in made
                ]
                changed = connection.execute(
                    SQL("UPDATE {} AS t SET {} WHERE {}").format(
                        self._table,
                        SQL(", ").join(SQL("{} = %s").format(Identifier(column)) for column in change),
                        self._among(),
                    ),
                    [*bound, self._keys([identity])],
                )
                check_rows(self._of.table, changed.rowcount, [identity])

        self._server.write(update)

    def remove(self, ids: Sequence[str]) -> int:
        def remove(transaction: Transaction) -> int:
            statement = SQL("DELETE FROM {} AS t WHERE {}").format(self._table, self._among())
            return sum(
                check_rows(
                    self._of.table,
                    transaction.connection.execute(statement, [self._keys(some)]).rowcount,
                    some,
                )
                for some in chunks(ids, _TOGETHER)
            )

        return self._server.write(remove)

    # Statements

    def _execute(self, statement: Composed, bound: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._server.read(
            lambda transaction: transaction.connection.execute(statement, bound).fetchall()
        )

    def _asked(
        self, every: Composed, ids: Sequence[str] | None, *, binary: bool = False
    ) -> list[tuple[Any, ...]]:
        """Return what a statement says of the rows with some ids, or of all."""

        def asked(transaction: Transaction) -> list[tuple[Any, ...]]:
            with transaction.connection.cursor(binary=binary) as cursor:
                if ids is None:
                    return cursor.execute(every).fetchall()
                statement = SQL("{} AND {}").format(every, self._among())
                return [
                    row
                    for some in chunks(ids, _TOGETHER)
                    for row in cursor.execute(statement, [self._keys(some)]).fetchall()
                ]

        return self._server.read(asked)

    def view(self, names: Sequence[str]) -> Composed:
        """Return the table with its own columns, and those of a collection that it has not."""
        of, taken = self._of, ColumnNames(names)
        columns: dict[str, Composed | SQL] = {"id": self._text_id(), "vector": self._vector}
        if of.uri is not None:
            columns["path"] = self._text_of(of.uri)
        if of.metadata is not None:
            columns["metadata"] = SQL("t.{}").format(Identifier(of.metadata))
        columns |= {name: self._text_of(source) for name, source in of.fields}
        more = [
            SQL(", {} AS {}").format(value, Identifier(name))
            for name, value in columns.items()
            if taken.take(name) == name
        ]
        return SQL("SELECT t.*{} FROM {} AS t").format(SQL("").join(more), self._table)

    def _select(
        self, columns: Sequence[Composed | SQL], where: Where | None = None, having: str | None = None
    ) -> tuple[Composed, list[Any]]:
        """Return the statement that reads something of all records that match, and what is bound."""
        condition: Composed | SQL = SQL("")
        bound: list[Any] = []
        if where or having is not None:
            matches, bound = matching(where, having)
            condition = SQL(" AND (SELECT {} FROM (SELECT {} AS fields) AS f)").format(
                matches, self._fields()
            )
        statement = SQL("SELECT {} FROM {} AS t WHERE {}{}").format(
            SQL(", ").join(columns), self._table, self._usable(), condition
        )
        return statement, bound

    def _text_id(self) -> Composed:
        return SQL("{}::text").format(self._id)

    def _numbers(self) -> Composed:
        return SQL("{}::vector").format(self._vector)

    def _id_type(self) -> str:
        return self._of.detail("id_type") or "text"

    def _has_id(self) -> Composed:
        """Return the condition that `row_id` makes an id of what names a row."""
        if self._id_type() in _BOUNDED:
            return SQL("{} IS NOT NULL").format(self._id)
        return SQL(
            "coalesce(octet_length({id}) > 0"
            " AND octet_length({id}) + 2 * octet_length(regexp_replace({id}, {plain}, '', 'g')) <= 512,"
            " false)"
        ).format(id=self._text_id(), plain=Literal(_PLAIN))

    def _dims(self) -> SQL | Composed:
        if self._of.detail("typed") == "yes":
            return SQL("true")
        return SQL("vector_dims({}) = {}").format(self._vector, Literal(self._dimension))

    def _usable(self) -> Composed:
        # In this order: a vector that is not there, or of another dimension, has no norm that is asked for.
        return SQL("CASE WHEN {} IS NULL OR NOT {} THEN false ELSE {} AND vector_norm({}) > 0 END").format(
            self._vector, self._dims(), self._has_id(), self._numbers()
        )

    def _among(self) -> Composed:
        """Return the condition that a row has one of the ids that are bound."""
        kind = self._id_type()
        if kind in _BOUNDED:
            return SQL("{} = ANY(%s::text[]::{}[])").format(self._id, SQL(_BOUNDED[kind]))
        return SQL("{} = ANY(%s::text[])").format(self._text_id())

    def _keys(self, ids: Sequence[str]) -> list[str]:
        """Return what is bound for ids: without those that no value of the column's type can have."""
        texts = [text for text in map(id_value, ids) if "\0" not in text]
        if self._id_type() == "uuid":
            return [text for text in texts if _UUID.fullmatch(text)]
        if self._id_type() in _BOUNDED:
            most = _MOST[self._id_type()]
            return [text for text in texts if _WHOLE.fullmatch(text) and -most <= int(text) < most]
        return [text for text in texts if not _SURROGATES.search(text)]

    def _version(self) -> Composed | SQL:
        if self._of.detail("kind") in ("r", "p", "m"):
            return SQL("t.xmin::text::bigint")  # of the transaction that wrote the row as it is
        return SQL("('x' || left(md5(vector_send({})), 15))::bit(60)::bigint").format(self._numbers())

    def _json_of(self, source: Source) -> Composed:
        """Return what a source says as jsonb: a text, a number or a boolean, else NULL."""
        column = SQL("t.{}").format(Identifier(source.column))
        if source.path is None:
            return SQL(
                "(SELECT CASE WHEN jsonb_typeof(v) IN ('string', 'number', 'boolean') THEN v END"
                " FROM to_jsonb({}) AS v)"
            ).format(column)
        # As `json_paths.field_value`: several different values are one text.
        return SQL(
            "(SELECT CASE count(DISTINCT v) WHEN 0 THEN NULL WHEN 1 THEN min(v::text)::jsonb ELSE to_jsonb("
            "string_agg(DISTINCT (v #>> '{{}}') COLLATE \"C\", ', '"
            " ORDER BY (v #>> '{{}}') COLLATE \"C\")) END"
            " FROM jsonb_path_query({}::jsonb, {}::jsonpath, '{{}}', true) AS v"
            " WHERE jsonb_typeof(v) IN ('string', 'number', 'boolean'))"
        ).format(column, Literal(source.path))

    def _fields(self) -> Composed:
        parts = [
            SQL("jsonb_build_object({})").format(
                SQL(", ").join(
                    SQL("{}::text, {}").format(Literal(name), self._json_of(source)) for name, source in some
                )
            )
            for some in chunks(self._of.fields, _MOST_ARGUMENTS)
        ]
        return SQL("jsonb_strip_nulls({})").format(SQL(" || ").join(parts or [SQL("'{{}}'::jsonb").format()]))

    def _text_of(self, source: Source | None) -> Composed | SQL:
        if source is None:
            return SQL("NULL")
        if source.path is None:
            return SQL("t.{}::text").format(Identifier(source.column))
        return SQL("({} #>> '{{}}')").format(self._json_of(source))

    # Search

    def _fetch(
        self,
        connection: Connection,
        queries: Vectors,
        query: Query,
        order: Composed | None,
        rows: Sequence[int],
        count: int,
    ) -> list[Candidates]:
        """Ask for the first `count` of each query: by an order that an index has, or by one that none has."""
        every, bound = self._select([self._text_id(), self._numbers()], query.where, query.having)
        left_out = (
            SQL("") if query.exclude is None else SQL(" AND {} <> ALL(%s::text[])").format(self._text_id())
        )
        statement = SQL("{}{} ORDER BY {} LIMIT %s").format(
            every, left_out, order or SQL("({} <=> %b::vector) + 0").format(self._numbers())
        )
        candidates: list[Candidates] = []
        with connection.cursor(binary=True) as cursor:
            for row in rows:
                excluded = [] if query.exclude is None else [self._all_keys(query.exclude[row])]
                asked, wanted = Wire(binary_vectors(queries[row : row + 1])[0]), count
                while True:
                    found = cursor.execute(statement, [*bound, *excluded, asked, wanted]).fetchall()
                    different: dict[str, bytes] = {}
                    for text, vector in found:
                        different.setdefault(str(row_id(_text(text))), vector)
                    # Where ids are there twice, so many more are asked for that enough are different.
                    if len(different) >= count or len(found) < wanted:
                        break
                    wanted *= 4
                candidates.append(self._read(different))
        return candidates

    def _all_keys(self, ids: Collection[str]) -> list[str]:
        return [text for text in map(id_value, ids) if "\0" not in text and not _SURROGATES.search(text)]

    def _read(self, rows: Mapping[str, bytes]) -> tuple[list[str], Vectors]:
        """Return ids and directions of vectors as PostgreSQL sends them."""
        if not rows:
            return [], np.empty((0, self._dimension), np.float32)
        ids = list(rows)
        found = usable(read_vectors(list(rows.values()), self._dimension), range(len(ids)), {})
        return [ids[row] for row in found.rows], found.vectors

    def _index(self) -> _Order | None:
        """Return the order of the index that serves; it is looked for once, and by whoever asks `index`.

        Raises:
            Unanswerable: there is none, or it orders by something else than the cosine does.
        """
        if self._order is None:
            self._order = self._server.read(lambda transaction: self._find_index(transaction.connection))
            if self._order.operator != "<=>":
                self._check_lengths(self._order)
        return self._order

    def _find_index(self, connection: Connection) -> _Order:
        """Ask the planner which index it takes, for each order that one may have."""
        connection.execute(
            "SELECT set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true)"
        )
        probe = Wire(binary_vectors(np.eye(1, self._dimension, dtype=np.float32))[0])
        kinds = ("vector", "halfvec")
        for operator in _OPERATORS:
            for kind in (None, *kinds):
                cast = "" if kind is None else f"::{kind}({self._dimension:d})"
                own = "halfvec" if (kind or self._of.detail("type") or "").startswith("halfvec") else "vector"
                order = SQL("{}{} {} %b::vector{}").format(
                    self._vector, SQL(cast), SQL(operator), SQL(f"::{own}({self._dimension:d})")
                )
                statement = SQL("EXPLAIN (FORMAT JSON) SELECT {} FROM {} AS t ORDER BY {} LIMIT 10").format(
                    self._text_id(), self._table, order
                )
                row = connection.execute(statement, [probe]).fetchone()
                name = None if row is None else _ordering_index(row[0])
                if name is not None:
                    return _Order(operator, order, self._kind_of(connection, name))
        raise Unanswerable(
            f"{self._of.table} has no index of its vectors that orders them; search stays exact. Its owner "
            f"can make one: CREATE INDEX ON … USING hnsw ({self._of.vector} {self._own_type()}_cosine_ops)"
        )

    def _own_type(self) -> str:
        return self._of.detail("type") or "vector"

    def _kind_of(self, connection: Connection, name: str) -> str:
        row = connection.execute(
            "SELECT a.amname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_am a ON a.oid = c.relam"
            " WHERE c.relname = %s AND c.relkind IN ('i', 'I') LIMIT 1",
            (name,),
        ).fetchone()
        return "index" if row is None else str(row[0])

    def _check_lengths(self, order: _Order) -> None:
        """Refuse an index by another distance where not all vectors are of length 1: it has another order.

        Raises:
            Unanswerable: the line names one such row.
        """
        statement, bound = self._select([SQL("count(*)"), SQL("min({})").format(self._text_id())])
        off = SQL("{} AND abs(vector_norm({}) - 1) > {}").format(
            statement, self._numbers(), Literal(LENGTH_TOLERANCE)
        )
        ((count, example),) = self._execute(off, bound)
        if count:
            self._order = None
            raise Unanswerable(
                f"the index of {self._of.table} is for {_OPERATORS[order.operator]}, and {count:,} vectors "
                f"are not of length 1 (of the id {example}, say), so it has another order than the cosine; "
                f"search stays exact. One with {self._own_type()}_cosine_ops would serve"
            )

    def _use_index(self, connection: Connection, *, used: bool = True) -> None:
        """Let the following statements of the transaction use the index, or not."""
        # Filters are applied behind the index: it goes on until enough have passed.
        connection.execute(
            "SELECT set_config('hnsw.iterative_scan', 'strict_order', true),"
            " set_config('ivfflat.iterative_scan', 'relaxed_order', true),"
            " set_config('hnsw.ef_search', %s, true), set_config('ivfflat.probes', %s, true),"
            " set_config('enable_seqscan', %s, true)",
            (str(self._address.ef_search), str(_PROBES), "off" if used else "on"),
        )


def _ordering_index(plan: Any) -> str | None:
    """Return the name of the index that a plan reads in order; None where there is none."""
    if isinstance(plan, list):
        return next((found for one in plan if (found := _ordering_index(one)) is not None), None)
    if not isinstance(plan, dict):
        return None
    if "Order By" in plan and "Index Name" in plan:
        return str(plan["Index Name"])
    return _ordering_index([plan.get("Plan"), *plan.get("Plans", ())])


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


# Types of ids that their column's index is asked for by, with the largest value of those that are numbers.
_BOUNDED = {"bigint": "bigint", "integer": "integer", "smallint": "smallint", "uuid": "uuid"}
_MOST = {"bigint": 2**63, "integer": 2**31, "smallint": 2**15}
