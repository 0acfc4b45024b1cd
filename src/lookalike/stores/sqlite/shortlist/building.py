"""Building the shortlist of a vector, and measuring it in the same pass over its rows."""

from __future__ import annotations

import errno
import itertools
import uuid
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import CollectionEmpty, StoreError, StoreFull, StoreReadOnly
from lookalike.stores.recall import QUERIES, K, part_found
from lookalike.stores.sqlite.catalog import vector_revision
from lookalike.stores.sqlite.keys import numbers_by_id
from lookalike.stores.sqlite.matrix import verified
from lookalike.stores.sqlite.records import keys_of, select_vectors
from lookalike.stores.sqlite.shortlist.candidates import nearest_candidates
from lookalike.stores.sqlite.shortlist.compressed import KIND, Shortlist, find_centres, sample_size
from lookalike.stores.sqlite.shortlist.files import Moment
from lookalike.types import Approximation
from lookalike.vectors.nearest import nearest_rows

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Sequence

    from lookalike.stores.entry import Entry, VectorEntry
    from lookalike.stores.sqlite.connection import SqliteFile
    from lookalike.stores.sqlite.filters import Numbers
    from lookalike.stores.sqlite.shortlist.files import SqliteShortlistFiles
    from lookalike.types import Vectors

# Queries with which it is found how much is to be looked at: of their 4,000 neighbours, three may be missed.
_CALIBRATED = 400


@dataclass(slots=True)
class Held:
    """A shortlist in memory."""

    token: str
    shortlist: Shortlist
    moment: Moment
    """The state of the vector that it shows."""
    unwritten: int = 0
    """Changes that its file does not have yet."""


def make_shortlist(
    connection: sqlite3.Connection,
    entry: Entry,
    vector: VectorEntry,
    look: Callable[[Numbers, Vectors], None] = lambda _numbers, _vectors: None,
) -> Shortlist:
    """Make the shortlist of a vector of all records; of the same vectors always the same one.

    A damaged one is in it as an axis of the space: whoever searches verifies what it is led to.

    Args:
        connection: its open transaction sees the collection.
        entry: the collection.
        vector: which one.
        look: called with all numbers and vectors that are sound, some at a time.
    """
    dimension = vector.info.space.dimension
    keys = numbers_by_id(connection, entry.key).fetchall()
    # Not those with which the recall is measured, where there are others.
    asked = keys[QUERIES : QUERIES + _CALIBRATED] or keys[:QUERIES]
    numbers, _, queries = read_sample(connection, vector, asked)
    exact = _ExactNeighbours(numbers, queries)
    _, _, sample = read_sample(connection, vector, keys[: sample_size(len(keys))])
    centres = find_centres(sample, len(keys)) if len(sample) else np.zeros((1, dimension), np.float32)
    del sample
    shortlist = Shortlist.around(centres)
    for columns in select_vectors(connection, vector, keys_of(keys)):
        some = verified(connection, columns, dimension)
        shortlist.add(some.numbers, some.vectors)
        exact.look(some.numbers[some.sound], some.vectors[some.sound])
        look(some.numbers[some.sound], some.vectors[some.sound])
    shortlist.calibrate(queries, np.array(numbers, np.int64), exact.numbers())
    return shortlist


def read_sample(
    connection: sqlite3.Connection, vector: VectorEntry, keys: Sequence[tuple[int, str]]
) -> tuple[list[int], list[str], Vectors]:
    """Return numbers, ids and vectors of records, by id, without those that are damaged.

    Args:
        connection: its open transaction sees the collection.
        vector: which one.
        keys: number and id of each, by id: of the first, which are a random sample, as ids are digests.
    """
    # Each goes to its place at once: the sample that centres are found from is the most that a build holds.
    vectors = np.empty((len(keys), vector.info.space.dimension), np.float32)
    places = {number: place for place, (number, _) in enumerate(keys)}
    is_there = np.zeros(len(keys), bool)
    for columns in select_vectors(connection, vector, keys_of(keys)):
        some = verified(connection, columns, vector.info.space.dimension)
        rows = np.array([places[number] for number in columns.numbers], np.intp)
        vectors[rows] = some.vectors
        is_there[rows] = some.sound
    if not is_there.all():
        vectors = vectors[is_there]
    numbers, ids = zip(*itertools.compress(keys, is_there), strict=True) if is_there.any() else ((), ())
    return list(numbers), list(ids), vectors


class _ExactNeighbours:
    """The exact neighbours of some records, found while all vectors go by."""

    def __init__(self, numbers: list[int], queries: Vectors) -> None:
        self._asked = numbers
        self._queries = queries
        self._best = np.full((len(queries), K), -np.inf)
        self._numbers = np.zeros((len(queries), K), np.int64)

    def look(self, numbers: Numbers, vectors: Vectors) -> None:
        if not len(numbers) or not self._asked:
            return
        places = np.searchsorted(numbers, self._asked)
        itself = [
            [int(place)] if place < len(numbers) and numbers[place] == number else []
            for place, number in zip(places, self._asked, strict=True)
        ]
        rows, similarities = nearest_rows(self._queries, vectors, K, itself)
        both = np.concatenate([self._best, np.nan_to_num(similarities, nan=-np.inf)], axis=1)
        known = np.concatenate([self._numbers, numbers[rows]], axis=1)
        order = np.argsort(-both, axis=1, kind="stable")[:, :K]
        self._best = np.take_along_axis(both, order, axis=1)
        self._numbers = np.take_along_axis(known, order, axis=1)

    def similarities(self) -> list[list[float]]:
        return [row[np.isfinite(row)].tolist() for row in self._best]

    def numbers(self) -> list[Numbers]:
        return [some[np.isfinite(row)] for some, row in zip(self._numbers, self._best, strict=True)]


def build_shortlist(
    file: SqliteFile, files: SqliteShortlistFiles, entry: Entry, vector: VectorEntry
) -> tuple[Approximation, Held] | None:
    """Build the shortlist of a vector, measure it, keep it beside the database and its recall inside.

    To be called by who has the lock of `files`. What others write meanwhile is noted by them, and brought in
    by who searches.

    Returns:
        None where the vector was dropped meanwhile.

    Raises:
        Unanswerable: no record has the vector.
        StoreError: the store cannot be written, or the shortlist beside it.
    """
    number = vector.number
    with file.writing() as writer:
        # From here on changes are noted.
        writer.execute(
            "INSERT OR IGNORE INTO lookalike_shortlists (vector)"
            " SELECT vector FROM lookalike_vectors WHERE vector = ?",
            (number,),
        )
    with reading_apart(file) as connection:
        revision = vector_revision(connection, number)
        if revision is None:
            return None
        keys = numbers_by_id(connection, entry.key, QUERIES).fetchall()
        numbers, ids, queries = read_sample(connection, vector, keys)
        if not ids:
            raise CollectionEmpty(entry.name)
        exact = _ExactNeighbours(numbers, queries)
        shortlist = make_shortlist(connection, entry, vector, exact.look)
        itself = [[identity] for identity in ids]
        found = nearest_candidates(connection, vector, shortlist, queries, K, exclude=itself).found
    similarities = [[similarity for _, similarity in some] for some in found]
    recall = part_found(zip(exact.similarities(), similarities, strict=True))
    approximation = Approximation(KIND, recall, K, len(ids))
    held = Held(uuid.uuid4().hex, shortlist, Moment(revision, None))
    try:
        files.write(held.token, vector.info.space.dimension, shortlist, held.moment)
    except OSError as error:
        raise _not_kept(file.url, files, error) from error
    with file.writing() as writer:
        done = writer.execute(
            "UPDATE lookalike_shortlists SET token = ?, since = ?, kind = ?, recall = ?, k = ?, queries = ?"
            " WHERE vector = ?",
            (held.token, revision, KIND, recall, K, len(ids), number),
        ).rowcount
        writer.execute("DELETE FROM lookalike_changes WHERE vector = ? AND revision <= ?", (number, revision))
        tokens = {token for (token,) in writer.execute("SELECT token FROM lookalike_shortlists")}
    files.keep_only(tokens)
    return (approximation, held) if done else None


@contextmanager
def reading_apart(file: SqliteFile) -> Iterator[sqlite3.Connection]:
    """Read one state on a connection of its own: a long look, during which others are not to wait."""
    with file.errors():
        connection = file.connect_reader()
        if connection is None:
            raise StoreError(file.url, "was taken away meanwhile")
        with closing(connection):
            connection.execute("BEGIN")
            yield connection


def _not_kept(url: str, files: SqliteShortlistFiles, error: OSError) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull(
            url, f"no space left for the shortlist in {files.folder}; free some and run it again"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StoreReadOnly(url, f"the shortlist cannot be written to {files.folder}")
    return StoreError(url, f"the shortlist cannot be written to {files.folder}: {error.strerror}")
