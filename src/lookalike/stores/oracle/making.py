"""Making and deleting collections with their tables and views, and their vector indexes."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from lookalike.errors import StoreBusy, StoreError
from lookalike.stores.oracle.collections import delete, insert, set_index
from lookalike.stores.oracle.errors import OracleRefusal
from lookalike.stores.oracle.schema import (
    clear_away,
    drop_tables,
    make_store,
    make_tables,
    vector_index,
)
from lookalike.stores.oracle.search import index_statement
from lookalike.stores.oracle.views import drop_view, refresh_views

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.stores.oracle.collections import Place
    from lookalike.stores.oracle.session import OracleSession
    from lookalike.types import Space


def make_collection(session: OracleSession, name: str, space: Space, metric: bytes | None) -> None:
    """Make a collection, unless another process is faster: its tables first, then the row that counts."""
    make_store(session)
    with suppress(OracleRefusal, StoreBusy):
        clear_away(session)
    number = make_tables(session, space.dimension)
    try:
        made = insert(session, number, name, space, metric)
        if made:
            session.commit()
    except Exception:
        _undo(session, number)
        raise
    if made:
        refresh_views(session)
    else:
        _undo(session, number)


def delete_collection(session: OracleSession, place: Place) -> None:
    """Delete a locked collection: the row that counts first, then its view and its tables."""
    delete(session, place.number)
    session.commit()
    # It is gone. What cannot be dropped now, because somebody reads it, is cleared away later.
    with suppress(StoreError):
        drop_view(session, place.view, place.number)
        drop_tables(session, place.number)


def make_vector_index(session: OracleSession, place: Place, kinds: Sequence[str]) -> str:
    """Build the vector index anew, of the first kind that the server can build, and return its kind."""
    set_index(session, place.number, None, None)
    session.execute(f"DROP INDEX IF EXISTS {vector_index(place.number)}")
    *preferred, last = kinds
    built = next((kind for kind in preferred if _can_build(session, place.number, kind)), None)
    if built is None:
        session.execute(index_statement(last, place.number))
        built = last
    set_index(session, place.number, built, None)
    return built


def _can_build(session: OracleSession, number: int, kind: str) -> bool:
    try:
        session.execute(index_statement(kind, number))
    except OracleRefusal:
        return False  # no memory for it; if it is something else, the next kind tells
    return True


def _undo(session: OracleSession, number: int) -> None:
    with suppress(StoreError):
        session.rollback()
        drop_tables(session, number)
