"""Transactions on one collection of a SQLite store, by its name."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from lookalike.errors import CollectionNotFound
from lookalike.stores.sqlite.rows import collection_names, collection_number

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from lookalike.stores.sqlite.file import SqliteFile


@contextmanager
def reading_named(file: SqliteFile, name: str) -> Iterator[tuple[sqlite3.Connection, int]]:
    """Read one state of the collection `name`, given by its number.

    Raises:
        CollectionNotFound: there is none of that name.
        StoreError: the store cannot be read.
    """
    with file.reading() as connection:
        number = None if connection is None else collection_number(connection, name)
        if connection is None or number is None:
            raise CollectionNotFound(name, () if connection is None else collection_names(connection))
        yield connection, number


@contextmanager
def writing_named(file: SqliteFile, name: str) -> Iterator[tuple[sqlite3.Connection, int]]:
    """Change the collection `name` in one transaction, which raises its revision.

    Raises:
        CollectionNotFound: there is none of that name.
        StoreError: the store cannot be written.
    """
    with reading_named(file, name):  # a store that is not there is not made
        pass
    with file.writing() as connection:
        number = collection_number(connection, name)
        if number is None:
            raise CollectionNotFound(name, collection_names(connection))
        connection.execute(
            "UPDATE lookalike_collections SET revision = revision + 1 WHERE collection = ?", (number,)
        )
        yield connection, number
