"""Full-text search in an Oracle store: a table of words for each collection, with an index of Oracle Text.

The words are split before (`wording`), and written in ASCII here: what is a letter, a break or a stop word to
a lexer depends on the database's language and character set, and none of that is to matter. CREATE INDEX with
CTXSYS.CONTEXT, its parameters, CONTAINS and SCORE: Oracle Text Reference, "Oracle Text SQL Statements and
Operators"; the preferences: "System-Defined Preferences"; ACCUM, written as a comma: "CONTAINS Query
Operators".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lookalike.errors import Unanswerable
from lookalike.stores.batches import chunks
from lookalike.stores.checks import ID_LENGTH
from lookalike.stores.oracle.encoding import RECORD_COLUMNS, TEXT_LENGTH, record_row, text_key
from lookalike.stores.oracle.errors import OracleRefusal
from lookalike.stores.oracle.filters import TOGETHER, delete_by_id
from lookalike.stores.oracle.schema import records_table, words_table
from lookalike.stores.sql import insert_statement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.stores.backend import RecordRow
    from lookalike.stores.oracle.connection import OracleSession
    from lookalike.stores.oracle.filters import Filter
    from lookalike.stores.stored import StoredLabels

# Of a word that is not ASCII: among a million of them two are the same with a chance of 3 in 100 million.
_KEY_DIGITS = 16
_MOST_ROWS = 2**31 - 1
# "Oracle Text error": no index, or none that works. The first is that of 23ai, the second of versions before.
_TEXT_ERRORS = frozenset({"ORA-30600", "ORA-20000", "ORA-29861"})


def find_statement(collection: int, condition: str) -> str:
    """Return the statement that fetches the `:fetched` records that match `:words` best."""
    more = f" AND {condition}" if condition else ""
    return (
        f"SELECT {RECORD_COLUMNS} FROM {words_table(collection)} w"  # noqa: S608
        f" JOIN {records_table(collection)} r ON r.id = w.id WHERE CONTAINS(w.words, :words, 1) > 0{more}"
        " ORDER BY SCORE(1) DESC, r.id FETCH FIRST :fetched ROWS ONLY"
    )


def put_words(session: OracleSession, collection: int, labels: Sequence[tuple[str, StoredLabels]]) -> None:
    """Make the words of records what their labels say; nothing is committed.

    Args:
        session: with the collection locked.
        collection: its number.
        labels: uri and labels of each record.
    """
    delete_by_id(session, words_table(collection), [one.id for _, one in labels])
    rows = [{"id": one.id, "words": " ".join(map(_key, one.words(uri).split()))} for uri, one in labels]
    for some in chunks(rows, TOGETHER):
        statement = insert_statement(words_table(collection), ("id", "words"))
        session.execute_many(statement, some, {"id": ID_LENGTH, "words": "long"})


def records_by_words(
    session: OracleSession, collection: int, terms: Sequence[str], k: int, matching: Filter
) -> list[RecordRow]:
    """Return the records that have any of the words, best first by Oracle's score, then by rising id.

    Args:
        session: lent for as long as that takes.
        collection: its number.
        terms: from `query_terms`; those that have no room in one bind are left out.
        k: records, at most.
        matching: what records must match.

    Raises:
        Unanswerable: there is no text index.
    """
    asked = ",".join(f"{{{_key(term)}}}" for term in terms)
    asked = asked[: TEXT_LENGTH + 1].rpartition(",")[0] if len(asked) > TEXT_LENGTH else asked
    if not asked:
        return []
    binds: dict[str, Any] = {**matching.binds, "words": asked, "fetched": min(k, _MOST_ROWS)}
    try:
        rows = session.query(find_statement(collection, matching.condition), binds, matching.sizes)
    except OracleRefusal as error:
        if error.code not in _TEXT_ERRORS:
            raise
        raise Unanswerable(
            "this collection has no text index: have Oracle Text installed, then copy it: `lookalike copy`"
        ) from error
    return list(map(record_row, rows))


def _key(word: str) -> str:
    """Return what stands for a word: small ASCII letters and digits."""
    return f"w{word}" if word.isascii() else f"u{text_key(word)[:_KEY_DIGITS]}"
