"""One table of others in PostgreSQL with a column of pgvector's: every question is a statement.

A record's fields are one `jsonb` that the statement makes of columns and of paths in their JSON, so that
filters are what they are for a collection of ours. Exact search orders by the cosine distance and uses no
index; approximate search uses the one that PostgreSQL's planner takes for the table or view, and says so.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lookalike.errors import Unanswerable
from lookalike.stores.attached.description import row_id
from lookalike.stores.attached.foreign import Tally
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
from lookalike.stores.checks import LENGTH_TOLERANCE
from lookalike.stores.postgres.connection import SQL, Composed, Literal, Wire
from lookalike.stores.postgres.encoding import binary_vectors, read_vectors
from lookalike.stores.postgres.filters import matching
from lookalike.stores.postgres.foreign_rows import TABLES, ForeignRows
from lookalike.stores.reranking import approximate_nearest, exact_nearest

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence

    from lookalike.stores.attached.description import Attachment, ForeignRow
    from lookalike.stores.attached.foreign import Change
    from lookalike.stores.postgres.address import PostgresAddress
    from lookalike.stores.postgres.connection import Connection, PostgresServer, Transaction
    from lookalike.stores.query import Query
    from lookalike.stores.reranking import Candidates
    from lookalike.types import Vectors, Where

_SPARE = 8  # candidates beyond k that an index is asked for
_PROBES = 10  # lists that an ivfflat index looks through, at least
_OPERATORS = {
    "<=>": "the cosine distance",
    "<->": "the Euclidean distance",
    "<#>": "the inner product",
}


class _Order(NamedTuple):
    """How an index orders: what stands in ORDER BY for it."""

    operator: str
    expression: Composed
    name: str


class PostgresTable:
    """One attached table: see `ForeignTable`."""

    def __init__(self, server: PostgresServer, address: PostgresAddress, attachment: Attachment) -> None:
        self._address = address
        self._of = attachment
        self._dimension = attachment.space.dimension
        self._rows = ForeignRows(server, attachment)
        self._order: _Order | None = None

    def tally(self, *, thorough: bool = False) -> Tally:
        identity, norm = self._rows.text_id(), SQL("vector_norm({})").format(self._numbers())
        reasons = [
            (NO_VECTOR, SQL("{} IS NULL").format(self._rows.vector)),
            (OTHER_DIMENSION.format(self._dimension), SQL("NOT ({})").format(self._dims())),
            (ZEROS, SQL("{} = 0").format(norm)),
            (NO_ID, SQL("NOT ({})").format(self._rows.has_id())),
        ]
        when = SQL(" ").join(
            SQL("WHEN {} THEN {}").format(condition, Literal(place))
            for place, (_, condition) in enumerate(reasons)
        )
        rows = self._rows.execute(
            SQL(
                "SELECT reason, count(*), min(id), count(DISTINCT id), count(*) FILTER (WHERE off),"
                " min(id) FILTER (WHERE off) FROM (SELECT CASE {when} END AS reason, {id} AS id,"
                " abs({norm} - 1) > {tolerance} AS off FROM {table} AS t) AS r GROUP BY reason"
            ).format(
                when=when, id=identity, norm=norm, tolerance=Literal(LENGTH_TOLERANCE), table=self._rows.table
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
        rows = self._rows.execute(
            SQL(
                "SELECT {id} FROM {table} AS t WHERE {usable}"
                " GROUP BY 1 HAVING count(*) > 1 ORDER BY 1 LIMIT 1"
            ).format(id=self._rows.text_id(), table=self._rows.table, usable=self._usable())
        )
        return rows[0][0] if rows else None

    def ids(self, where: Where | None = None, having: str | None = None) -> list[str]:
        statement, bound = self._select([self._rows.text_id()], where, having)
        return sorted({str(row_id(identity)) for (identity,) in self._rows.execute(statement, bound)})

    def rows(self, ids: Sequence[str] | None = None) -> Iterator[ForeignRow]:
        every, _ = self._select([self._version(), *self._rows.columns()])
        seen: set[str] = set()
        for version, *values in self._rows.asked(every, ids):
            identity = str(row_id(values[0]))
            if identity not in seen:
                seen.add(identity)
                yield self._rows.made(identity, values, version)

    def vectors(self, ids: Sequence[str]) -> tuple[list[str], Vectors]:
        statement, _ = self._select([self._rows.text_id(), self._numbers()])
        rows: dict[str, bytes] = {}
        for text, vector in self._rows.asked(statement, ids, binary=True):
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

        return self._rows.read(nearest)

    def index(self) -> str:
        self._order = None
        found = self._index()
        assert found is not None  # noqa: S101 it raises where there is none
        return found.name

    def state(self) -> Hashable | None:
        return self._rows.state()

    def update(self, changes: Mapping[str, Mapping[str, Change]]) -> None:
        self._rows.update(changes)

    def remove(self, ids: Sequence[str]) -> int:
        return self._rows.remove(ids)

    # Statements

    def _select(
        self, columns: Sequence[Composed | SQL], where: Where | None = None, having: str | None = None
    ) -> tuple[Composed, list[Any]]:
        """Return the statement that reads something of all records that match, and what is bound."""
        condition: Composed | SQL = SQL("")
        bound: list[Any] = []
        if where or having is not None:
            matches, bound = matching(where, having)
            condition = SQL(" AND (SELECT {} FROM (SELECT {} AS fields) AS f)").format(
                matches, self._rows.fields()
            )
        statement = SQL("SELECT {} FROM {} AS t WHERE {}{}").format(
            SQL(", ").join(columns), self._rows.table, self._usable(), condition
        )
        return statement, bound

    def _numbers(self) -> Composed:
        return SQL("{}::vector").format(self._rows.vector)

    def _dims(self) -> SQL | Composed:
        if self._of.detail("typed") == "yes":
            return SQL("true")
        return SQL("vector_dims({}) = {}").format(self._rows.vector, Literal(self._dimension))

    def _usable(self) -> Composed:
        # In this order: a vector that is not there, or of another dimension, has no norm that is asked for.
        return SQL("CASE WHEN {} IS NULL OR NOT {} THEN false ELSE {} AND vector_norm({}) > 0 END").format(
            self._rows.vector, self._dims(), self._rows.has_id(), self._numbers()
        )

    def _version(self) -> Composed | SQL:
        if self._of.detail("kind") in TABLES and not self._of.detail("part"):
            return SQL("t.xmin::text::bigint")  # of the transaction that wrote the row as it is
        return SQL("('x' || left(md5(vector_send({})), 15))::bit(60)::bigint").format(self._numbers())

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
        identity = self._rows.text_id()
        every, bound = self._select([identity, self._numbers()], query.where, query.having)
        left_out = SQL("") if query.exclude is None else SQL(" AND {} <> ALL(%s::text[])").format(identity)
        statement = SQL("{}{} ORDER BY {} LIMIT %s").format(
            every, left_out, order or SQL("({} <=> %b::vector) + 0").format(self._numbers())
        )
        candidates: list[Candidates] = []
        with connection.cursor(binary=True) as cursor:
            for row in rows:
                excluded = [] if query.exclude is None else [self._rows.texts(query.exclude[row])]
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

    def _read(self, rows: Mapping[str, bytes]) -> tuple[list[str], Vectors]:
        """Return ids and directions of vectors as PostgreSQL sends them."""
        if not rows:
            return [], np.empty((0, self._dimension), np.float32)
        ids = list(rows)
        try:
            vectors = read_vectors(list(rows.values()), self._dimension)
        except ValueError as error:
            raise self._rows.altered(str(error)) from error
        found = usable(vectors, range(len(ids)), {})
        return [ids[row] for row in found.rows], found.vectors

    def _index(self) -> _Order | None:
        """Return the order of the index that serves; it is looked for once, and by whoever asks `index`.

        Raises:
            Unanswerable: there is none, or it orders by something else than the cosine does.
        """
        if self._order is None:
            self._order = self._rows.read(lambda transaction: self._find_index(transaction.connection))
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
                    self._rows.vector, SQL(cast), SQL(operator), SQL(f"::{own}({self._dimension:d})")
                )
                statement = SQL("EXPLAIN (FORMAT JSON) SELECT {} FROM {} AS t ORDER BY {} LIMIT 10").format(
                    self._rows.text_id(), self._rows.table, order
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
        statement, bound = self._select([SQL("count(*)"), SQL("min({})").format(self._rows.text_id())])
        off = SQL("{} AND abs(vector_norm({}) - 1) > {}").format(
            statement, self._numbers(), Literal(LENGTH_TOLERANCE)
        )
        ((count, example),) = self._rows.execute(off, bound)
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
