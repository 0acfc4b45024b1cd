"""Tables of others in Oracle Database: vectors are ordered there, and fields are read here.

What stands in JSON is read with the rows and taken apart as everywhere, so that a filter is what it is in any
other database: it reads the columns of the fields of all rows, and then the vectors of those that match. The
names of tables and columns come from the data dictionary and are quoted; all else is bound.
"""

from __future__ import annotations

import json
import re
from array import array
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from lookalike.errors import InvalidArgument, TableNotFound, Unanswerable
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
    read_vectors,
)
from lookalike.stores.attached.json_paths import document_in, field_value, values_at
from lookalike.stores.batches import chunks
from lookalike.stores.checks import LENGTH_TOLERANCE
from lookalike.stores.oracle.connection import OracleServer
from lookalike.stores.oracle.encoding import vector_bind
from lookalike.stores.oracle.filters import TOGETHER, in_list
from lookalike.stores.oracle.search import ACCURACY
from lookalike.stores.reranking import approximate_nearest, exact_nearest, nearest_of_blocks
from lookalike.stores.verification import fields_match

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence

    from lookalike.stores.attached.description import Attachment, Source
    from lookalike.stores.attached.foreign import Change, Kind
    from lookalike.stores.oracle.connection import OracleSession
    from lookalike.stores.query import Query
    from lookalike.stores.reranking import Candidates
    from lookalike.types import Table, Vectors, Where

SAMPLE = 200
"""Rows that are looked at to tell what a column holds."""

_SPARE = 8  # rows beyond k that an index is asked for
_BLOCK = 4_096  # vectors of rows that match a filter which are in memory at once
_NAME = re.compile(r'"([^"]+)"|([^".]+)')
_WHOLE = re.compile(r"-?\d{1,38}")
_HEX = re.compile("(?:[0-9A-F]{2}){1,256}")
# By data type: SQL Language Reference, "Data Types".
_KINDS: dict[str, Kind] = {
    "VECTOR": "vector",
    "JSON": "json",
    "NUMBER": "number",
    "FLOAT": "number",
    "BINARY_FLOAT": "number",
    "BINARY_DOUBLE": "number",
    "BOOLEAN": "boolean",
    "VARCHAR2": "text",
    "NVARCHAR2": "text",
    "CHAR": "text",
    "NCHAR": "text",
    "CLOB": "text",
}
_FOUND = (
    "SELECT o.owner, o.object_name, o.object_type FROM all_objects o"
    " WHERE o.object_type IN ('TABLE', 'VIEW', 'MATERIALIZED VIEW')"
    " AND o.object_name IN (:name, :upper_name)"
    " AND o.owner IN (:owner, :upper_owner)"
)
_CURRENT = "SELECT SYS_CONTEXT('USERENV', 'CURRENT_SCHEMA') FROM dual"
_COLUMNS = (
    "SELECT c.column_name, c.data_type FROM all_tab_columns c"
    " WHERE c.owner = :owner AND c.table_name = :name ORDER BY c.column_id"
)
_KEY = (
    "SELECT k.column_name FROM all_constraints c JOIN all_cons_columns k"
    " ON k.owner = c.owner AND k.constraint_name = c.constraint_name"
    " WHERE c.owner = :owner AND c.table_name = :name AND c.constraint_type = 'P'"
)
_WITH_VECTORS = (
    "SELECT DISTINCT c.owner, c.table_name FROM all_tab_columns c WHERE c.data_type = 'VECTOR'"
    " ORDER BY c.owner, c.table_name"
)
_INDEXES = (
    "SELECT i.index_name FROM all_indexes i"
    " WHERE i.table_owner = :owner AND i.table_name = :name AND i.index_type = 'VECTOR'"
)


def split_names(table: str) -> list[str]:
    """Return schema and name, or the name alone, of a table as SQL writes it.

    Raises:
        InvalidArgument: it is no name.
    """
    parts = _NAME.findall(table)
    names = [quoted or plain for quoted, plain in parts]
    if not 1 <= len(names) <= 2 or len(_NAME.sub("", table)) != len(names) - 1:
        raise InvalidArgument(f'{table!r} names no table: write NAME, SCHEMA.NAME or "Schema"."Name"')
    return names


def quoted(*names: str) -> str:
    """Return names of the data dictionary as SQL has them; none of them has a double quote in it.

    Raises:
        InvalidArgument: one has.
    """
    for name in names:
        if '"' in name or "\0" in name:
            raise InvalidArgument(f"{name!r} is no name that Oracle has")
    return ".".join(f'"{name}"' for name in names)


class OracleTables:
    """The tables of others in one database: see `ForeignDatabase`.

    Args:
        url: see `oracle_address`.
        timeout: seconds to wait for the server.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self.server = OracleServer(url, timeout)

    def find(self, table: str) -> FoundTable:
        names = split_names(table)
        with self.server.session() as session:
            ((current,),) = session.query(_CURRENT)
            owner = names[0] if len(names) > 1 else str(current)
            binds = {
                "name": names[-1],
                "upper_name": names[-1].upper(),
                "owner": owner,
                "upper_owner": owner.upper(),
            }
            found = session.query(_FOUND, binds)
            # As it was written before as Oracle writes it.
            found.sort(key=lambda row: (row[1] != names[-1], row[0] != owner, row[2] != "TABLE"))
            if not found:
                known = [".".join(row) for row in session.query(_WITH_VECTORS)]
                raise TableNotFound(table, known)
            owner, name, kind = found[0]
            own = quoted(name) if owner == current else quoted(owner, name)
            of = {"owner": owner, "name": name}
            types = session.query(_COLUMNS, of)
            keys = [column for (column,) in session.query(_KEY, of)]
            columns = [self._column(session, own, column, sort, keys, of, kind) for column, sort in types]
            shown = [each for each in columns if each.kind not in ("vector", "other")]
            rows = session.query(
                f"SELECT {', '.join(quoted(each.name) for each in shown) or '1'} FROM {own}"  # noqa: S608 quoted
                f" FETCH FIRST {SAMPLE:d} ROWS ONLY"
            )
        sample = [{each.name: _value(value) for each, value in zip(shown, row, strict=False)} for row in rows]
        # A text that is JSON is what it says: columns of CLOB or VARCHAR2 with IS JSON.
        columns = [_as_json(each, [row.get(each.name) for row in sample]) for each in columns]
        documents = {each.name for each in columns if each.kind == "json"}
        sample = [
            {name: document_in(value) if name in documents else value for name, value in row.items()}
            for row in sample
        ]
        return FoundTable(own, kind.lower(), tuple(columns), sample, in_capitals=True)

    def _column(
        self,
        session: OracleSession,
        table: str,
        name: str,
        data_type: str,
        keys: Sequence[str],
        of: Mapping[str, str],
        kind: str,
    ) -> Column:
        if data_type == "VECTOR":
            rows = session.query(
                f"SELECT VECTOR_DIMENSION_COUNT({quoted(name)}) FROM {table}"  # noqa: S608 quoted
                f" WHERE {quoted(name)} IS NOT NULL FETCH FIRST {SAMPLE:d} ROWS ONLY"
            )
            counts = [int(count) for (count,) in rows]
            usual = max(sorted(set(counts)), key=counts.count) if counts else None
            details = (("kind", kind), ("owner", of["owner"]), ("name", of["name"]))
            return Column(name, "vector", data_type, usual, details=details)
        sort = _KINDS.get(data_type, "other")
        return Column(name, sort, data_type, None, keys == [name], (("id_type", data_type),))

    def open(self, attachment: Attachment) -> OracleTable:
        return OracleTable(self.server, attachment)

    def sql(self, attachments: Sequence[Attachment], statement: str, seconds: float) -> Table | None:
        return None

    def close(self) -> None:
        self.server.close()


class OracleTable:
    """One attached table: see `ForeignTable`."""

    def __init__(self, server: OracleServer, attachment: Attachment) -> None:
        self._server = server
        self._of = attachment
        self._dimension = attachment.space.dimension
        self._table = attachment.table
        self._vector = f"t.{quoted(attachment.vector)}"
        self._type = attachment.detail("id_type") or "VARCHAR2"
        column = f"t.{quoted(attachment.id)}"
        self._key = column
        self._id = {"NUMBER": f"TO_CHAR({column})", "RAW": f"RAWTOHEX({column})"}.get(self._type, column)
        self._usable = (
            f"{column} IS NOT NULL AND {self._vector} IS NOT NULL"
            f" AND VECTOR_DIMENSION_COUNT({self._vector}) = {self._dimension:d}"
            f" AND VECTOR_NORM({self._vector}) > 0"
        )

    def state(self) -> Hashable | None:
        return None

    def tally(self, *, thorough: bool = False) -> Tally:
        reasons = [
            (NO_ID, f"{self._key} IS NULL"),
            (NO_VECTOR, f"{self._vector} IS NULL"),
            (
                OTHER_DIMENSION.format(self._dimension),
                f"VECTOR_DIMENSION_COUNT({self._vector}) <> {self._dimension:d}",
            ),
            (ZEROS, f"VECTOR_NORM({self._vector}) = 0"),
        ]
        when = " ".join(f"WHEN {said} THEN {place:d}" for place, (_, said) in enumerate(reasons))
        off = f"CASE WHEN {self._usable} AND ABS(VECTOR_NORM({self._vector}) - 1) > {LENGTH_TOLERANCE}"
        with self._server.session(patient=True) as session:
            rows = session.query(
                "SELECT r.reason, COUNT(*), MIN(r.id), COUNT(DISTINCT r.id), COUNT(r.off), MIN(r.off)"  # noqa: S608
                f" FROM (SELECT CASE {when} END AS reason, {self._id} AS id,"
                f" {off} THEN {self._id} END AS off FROM {self._table} t) r GROUP BY r.reason"
            )
        counts, remarks, records = Counts(), Counts(), 0
        for reason, count, example, different, off_count, off_example in rows:
            if reason is not None:
                counts.add(reasons[int(reason)][0], example, int(count))
                continue
            records = int(different)
            remarks.add(NOT_UNIT, off_example, int(off_count))
            counts.add(SAME_ID, example, int(count) - records)
        return Tally(records, counts.told(), remarks.told())

    def ids(self, where: Where | None = None, having: str | None = None) -> list[str]:
        if not where and having is None:
            with self._server.session() as session:
                rows = session.query(f"SELECT {self._id} FROM {self._table} t WHERE {self._usable}")  # noqa: S608
            return sorted({identity for (text,) in rows if (identity := row_id(text)) is not None})
        return sorted(row.id for row in self.rows() if fields_match(row.fields, where, having))

    def rows(self, ids: Sequence[str] | None = None) -> Iterator[ForeignRow]:
        of = self._of
        columns = dict.fromkeys(of.columns if of.metadata is None else [*of.columns, of.metadata])
        version = "t.ORA_ROWSCN" if of.detail("kind") == "TABLE" else "0"
        chosen = "".join(f", t.{quoted(column)}" for column in columns)
        seen: set[str] = set()
        every = f"SELECT {self._id}, {version}{chosen} FROM {self._table} t WHERE {self._usable}"  # noqa: S608
        for text, changed, *values in self._asked(every, ids):
            identity = row_id(text)
            if identity is None or identity in seen:
                continue
            seen.add(identity)
            said = dict(zip(columns, map(_value, values), strict=True))
            fields = {name: found for name, source in of.fields if (found := _at(said, source)) is not None}
            place = None if of.uri is None else _at(said, of.uri)
            metadata = None if of.metadata is None else document_in(said[of.metadata])
            digest = None if of.digest is None else said[of.digest]
            yield ForeignRow(
                identity,
                None if place is None else str(place),
                fields,
                metadata if isinstance(metadata, dict) else {},
                int(changed or 0),
                digest if isinstance(digest, str) else None,
            )

    def vectors(self, ids: Sequence[str]) -> tuple[list[str], Vectors]:
        every = f"SELECT {self._id}, {self._vector} FROM {self._table} t WHERE {self._usable}"  # noqa: S608
        return self._read(self._asked(every, ids))

    def nearest(self, queries: Vectors, query: Query) -> list[list[tuple[str, float]]]:
        if query.where or query.having is not None:
            blocks = map(self.vectors, chunks(self.ids(query.where, query.having), _BLOCK))
            return nearest_of_blocks(queries, query.k, blocks, query.exclude)

        def exact(rows: Sequence[int], count: int) -> list[Candidates]:
            return [self._candidates(queries, query, row, count, approximate=False) for row in rows]

        if not query.approximate:
            return exact_nearest(queries, query.k, exact)
        rows = range(len(queries))
        found = [self._candidates(queries, query, row, query.k + _SPARE, approximate=True) for row in rows]
        return approximate_nearest(queries, query.k, found, exact)

    def index(self) -> str:
        binds = {name: self._of.detail(name) for name in ("owner", "name")}
        with self._server.session() as session:
            if session.query(_INDEXES, binds):
                return "vector index"
        raise Unanswerable(
            f"{self._table} has no vector index; search stays exact. Its owner can make one: "
            f"CREATE VECTOR INDEX … ON {self._table} ({quoted(self._of.vector)})"
            f" ORGANIZATION NEIGHBOR PARTITIONS DISTANCE COSINE"
        )

    def update(self, changes: Mapping[str, Mapping[str, Change]]) -> None:
        with self._server.session() as session:
            for identity, change in changes.items():
                keys = self._keys([identity])
                if not keys:
                    continue
                names = [quoted(column) for column in change]
                rows = session.query(
                    f"SELECT {', '.join(names)} FROM {self._table} WHERE {quoted(self._of.id)} = :id"  # noqa: S608
                    f" FOR UPDATE WAIT {self._server.wait:d}",
                    {"id": keys[0]},
                )
                if not rows:
                    continue  # gone meanwhile
                binds, sizes = {"id": keys[0]}, {}
                for place, (work, found) in enumerate(zip(change.values(), rows[0], strict=True)):
                    before = _value(found)
                    is_text = isinstance(before, str)
                    value = work(document_in(before) if is_text and _is_object(before) else before)
                    nested = isinstance(value, dict | list)
                    binds[f"value{place}"] = (
                        json.dumps(value, ensure_ascii=False) if nested and is_text else value
                    )
                    if nested and not is_text:
                        sizes[f"value{place}"] = "json"
                settings = ", ".join(f"{name} = :value{place:d}" for place, name in enumerate(names))
                changed = session.execute(
                    f"UPDATE {self._table} SET {settings} WHERE {quoted(self._of.id)} = :id",  # noqa: S608
                    binds,
                    sizes or None,
                )
                check_rows(self._of.table, changed, [identity])
            session.commit()

    def remove(self, ids: Sequence[str]) -> int:
        removed = 0
        with self._server.session() as session:
            for some in chunks(self._keys(ids), TOGETHER):
                condition, binds = in_list(quoted(self._of.id), "id", some)
                distinct = f"COUNT(DISTINCT {quoted(self._of.id)})"
                ((there,),) = session.query(f"SELECT {distinct} FROM {self._table} WHERE {condition}", binds)  # noqa: S608
                changed = session.execute(f"DELETE FROM {self._table} WHERE {condition}", binds)  # noqa: S608
                # Of ids that are not there, none makes up for one that several rows have.
                removed += check_rows(self._of.table, changed, list(map(str, some)), there)
            session.commit()
        return removed

    def _keys(self, ids: Sequence[str]) -> list[Any]:
        """Return what is bound for ids: without those that no value of the column's type can have."""
        texts = list(map(id_value, ids))
        if self._type == "NUMBER":
            return [int(text) for text in texts if _WHOLE.fullmatch(text)]
        if self._type == "RAW":
            return [bytes.fromhex(text) for text in texts if _HEX.fullmatch(text)]
        return texts

    def _asked(self, every: str, ids: Sequence[str] | None) -> list[tuple[Any, ...]]:
        """Return what a statement says of the rows with some ids, or of all."""
        with self._server.session(patient=ids is None) as session:
            if ids is None:
                return session.query(every)
            found = []
            for some in chunks(self._keys(ids), TOGETHER):
                condition, binds = in_list(self._key, "id", some)
                found += session.query(f"{every} AND {condition}", binds)
            return found

    def _candidates(
        self, queries: Vectors, query: Query, row: int, count: int, *, approximate: bool
    ) -> Candidates:
        left_out = frozenset() if query.exclude is None else frozenset(query.exclude[row])
        kind, accuracy = ("APPROX", f" WITH TARGET ACCURACY {ACCURACY:d}") if approximate else ("EXACT", "")
        fetched = count + len(left_out)
        with self._server.session() as session:
            rows = session.query(
                f"SELECT {self._id}, {self._vector} FROM {self._table} t WHERE {self._usable}"  # noqa: S608
                f" ORDER BY VECTOR_DISTANCE({self._vector}, :query, COSINE)"
                f" FETCH {kind} FIRST :fetched ROWS ONLY{accuracy}",
                {"query": vector_bind(queries[row]), "fetched": fetched},
                {"query": "vector"},
                rows=fetched,
            )
        ids, vectors = self._read(rows)
        kept = [place for place, identity in enumerate(ids) if identity not in left_out]
        return [ids[place] for place in kept], vectors[kept]

    def _read(self, rows: Sequence[tuple[Any, ...]]) -> tuple[list[str], Vectors]:
        different: dict[str, Any] = {}
        for text, vector in rows:
            identity = row_id(text)
            if identity is not None:
                # Binary vectors are bits, eight a number.
                usable = isinstance(vector, array) and vector.typecode in "fdb"
                different.setdefault(identity, vector.tolist() if usable else None)
        ids = list(different)
        found = read_vectors(list(different.values()), "json", self._dimension)
        return [ids[row] for row in found.rows], found.vectors


def _value(found: object) -> Any:
    """Return a fetched value as Python has it in JSON: a NUMBER as an integer where it is one."""
    if isinstance(found, Decimal):
        return int(found) if found == found.to_integral_value() else float(found)
    return found


def _is_object(value: object) -> bool:
    return isinstance(value, str) and value.lstrip()[:1] == "{"


def _as_json(column: Column, values: Sequence[object]) -> Column:
    there = [value for value in values if value is not None]
    is_json = column.kind == "text" and there and all(_is_object(one) for one in there)
    return Column(column.name, "json", column.type, None, details=column.details) if is_json else column


def _at(said: Mapping[str, Any], source: Source) -> Any:
    value = said[source.column]
    if source.path is None:
        return field_value([value])
    found = values_at(document_in(value), source.steps)
    return field_value(cast("list[object]", [_value(one) for one in found]))
