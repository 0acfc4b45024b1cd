"""Full-text search in a PostgreSQL store: a table of words for each collection, and their ranking.

The words are split before (`wording`); as lexemes of a `tsvector` they pass no configuration of text search.
They have a table of their own, so that ranking reads no vectors, and a new label touches no index of vectors.

PostgreSQL has no BM25, and its own `ts_rank_cd` takes a word that is everywhere for as telling as one that is
rare. So the score is BM25, with the counts that `ts_rank_cd` gives for a single word.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from lookalike.stores.damage import StructureFault
from lookalike.stores.postgres.connection import SQL, Composed, Literal
from lookalike.stores.postgres.filters import matching
from lookalike.stores.postgres.schema import record_table, words_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lookalike.stores.entry import Entry
    from lookalike.stores.postgres.connection import Connection
    from lookalike.types import Where

# Positions in a tsvector, and of one word, at most (postgresql.org/docs, "Limitations" of text search).
_LAST_POSITION = 16_383
_MOST_POSITIONS = 255
# k1 and b of BM25 as Lucene and FTS5 have them.
_SATURATION, _LENGTH = 1.2, 0.75
_MOST_ROWS = 2**62

# How often a word is in a text is what ts_rank_cd says of that word alone, where every position weighs 1.
# How many texts have a word is counted among those that have any. A text's length is that of its distinct
# words, the average that of the texts that match. Not materialised, the counts would be made for every row.
_FIND = SQL(
    """WITH matched AS MATERIALIZED (
        SELECT id, words, greatest(length(words), 1)::float8 AS size FROM {words} WHERE words @@ %s::tsquery
    ), term AS MATERIALIZED (
        SELECT word::tsquery AS word,
            ln(1 + (greatest(%s - count(id), 0) + 0.5)::float8 / (count(id) + 0.5)::float8) AS weight
        FROM unnest(%s::text[]) AS asked (word) LEFT JOIN matched ON words @@ word::tsquery
        GROUP BY asked.word
    ), scored AS (
        SELECT id, (
            SELECT sum(weight * times / (times + {saturation} * (1 - {length} + {length} * size
                / (SELECT avg(size) FROM matched))))
            FROM term, LATERAL (SELECT ts_rank_cd('{{1, 1, 1, 1}}', words, word)::float8 AS times) AS counted
            WHERE words @@ word
        ) AS score
        FROM matched
    )
    SELECT id FROM scored {kept} ORDER BY score DESC, id LIMIT %s"""
)
_COPY = SQL("COPY {} (id, words) FROM STDIN (FORMAT BINARY)")


def add_words(connection: Connection, number: int, texts: Iterable[tuple[str, str]]) -> None:
    """Add the words of records that have none there.

    Args:
        connection: with a transaction that writes.
        number: of the collection.
        texts: id and `record_text` of each.
    """
    with connection.cursor() as cursor, cursor.copy(_COPY.format(words_table(number))) as copy:
        for identity, text in texts:
            copy.write_row((identity.encode(), binary_words(text)))


def check_words(connection: Connection, entry: Entry) -> list[StructureFault]:
    """Return the records of a collection that the table of its words does not agree with."""
    differ = connection.execute(
        SQL(
            "SELECT r.id, w.id FROM {} AS w FULL JOIN {} AS r USING (id) WHERE r.id IS NULL OR w.id IS NULL"
        ).format(words_table(entry.key), record_table(entry.key))
    )
    return [
        StructureFault(entry.name, None, f"words of record {word}, which is not there")
        if record is None
        else StructureFault(entry.name, record, "a search for words does not know it")
        for record, word in differ.fetchall()
    ]


def ids_by_words(
    connection: Connection, entry: Entry, terms: Sequence[str], k: int, where: Where | None
) -> list[str]:
    """Return the ids of the records that have any of the words, best first by BM25, then by id.

    Args:
        connection: with a transaction open.
        entry: the collection.
        terms: from `query_terms`, at least one.
        k: ids, at most.
        where: only records that match.
    """
    kept: SQL | Composed = SQL("")
    condition, bound = matching(where)
    if where:
        kept = SQL("JOIN {} AS r USING (id) WHERE {}").format(record_table(entry.key), condition)
    statement = _FIND.format(
        words=words_table(entry.key),
        saturation=Literal(_SATURATION),
        length=Literal(_LENGTH),
        kept=kept,
    )
    # In quotes a word is no operator; none has a quote or a backslash in it.
    asked = [f"'{term}'" for term in terms]
    parameters: list[Any] = [" | ".join(asked), entry.count, asked, *bound, min(k, _MOST_ROWS)]
    return [identity for (identity,) in connection.execute(statement, parameters)]


def binary_words(text: str) -> bytes:
    """Return a text of words as a `tsvector` in PostgreSQL's binary form: `tsvectorsend` in its tsvector.c.

    Args:
        text: words with a space between each two, as `record_text` makes it.
    """
    places: dict[bytes, list[int]] = {}
    for place, word in enumerate(text.encode().split(b" ") if text else (), 1):
        known = places.setdefault(word, [])
        position = min(place, _LAST_POSITION)
        if len(known) < _MOST_POSITIONS and known[-1:] != [position]:
            known.append(position)
    lexemes = (
        word + b"\0" + struct.pack(f">H{len(known)}H", len(known), *known)
        for word, known in sorted(places.items())
    )
    return struct.pack(">i", len(places)) + b"".join(lexemes)
