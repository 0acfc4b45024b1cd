"""Collections in one SQLite file, read and written with Python's own sqlite3."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import CollectionNotFound
from lookalike.stores.backend import Rows, WordHits
from lookalike.stores.batches import SCAN_BATCH
from lookalike.stores.damage import DamageLog
from lookalike.stores.sqlite.catalog import (
    add_collection,
    change_entry,
    count_records,
    count_vectors,
    existing_entry,
    find_entry,
    read_entries,
    read_entry,
    read_metric,
    remove_collection,
    rename_collection,
    revisions,
    with_count,
    write_metrics,
)
from lookalike.stores.sqlite.change_log import ChangeLog
from lookalike.stores.sqlite.check import check_structure
from lookalike.stores.sqlite.connection import SqliteFile
from lookalike.stores.sqlite.filters import SqliteFilters
from lookalike.stores.sqlite.keys import RECORDS, ids_by_digest, numbers_by_id
from lookalike.stores.sqlite.records import (
    RECORD_COLUMNS,
    fill_vector,
    keys_of,
    lacking_numbers,
    put_labels,
    put_records,
    record_keys,
    remove_records,
    select_by_id,
    select_vectors,
)
from lookalike.stores.sqlite.search import SqliteSearch
from lookalike.stores.sqlite.sql import answer
from lookalike.stores.sqlite.words import ids_by_words

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from lookalike.stores.backend import Ask, BuiltIndex, Choose, ChooseSome, Edit, Give, Hits, StampRow
    from lookalike.stores.damage import StructureFault
    from lookalike.stores.entry import Entry, VectorEntry
    from lookalike.stores.query import Query
    from lookalike.stores.sqlite.catalog import Counted
    from lookalike.stores.sqlite.filters import Numbers
    from lookalike.stores.stored import StoredLabels, StoredRecord
    from lookalike.types import Approximation, Record, Space, Table, VectorInfo, Vectors, Where


def _are_among(numbers: list[int], rising: Numbers) -> NDArray[np.bool_]:
    """Tell which numbers are among others that are rising."""
    places = np.searchsorted(rising, numbers)
    there: NDArray[np.bool_] = np.zeros(len(numbers), bool)
    inside = places < len(rising)
    there[inside] = rising[places[inside]] == np.array(numbers, np.int64)[inside]
    return there


class SqliteBackend:
    """A store in one file.

    Processes may open the same file: readers see a finished state while others write, and writers take turns.
    The vectors that were searched stay in memory, and are read again when one of them has changed, whoever
    changed it. The space of what is deleted or dropped is used again; the file does not shrink.

    Args:
        url: `sqlite:///relative/path.db` or `sqlite:////absolute/path.db`; the path stands as it is, without
            percent-encoding. The file is made when first written, in a folder that exists.
        timeout: seconds to wait for another process's lock.

    Raises:
        InvalidArgument: the URL names no file.
    """

    def __init__(self, url: str, timeout: float = 30.0) -> None:
        self._file = SqliteFile(url, timeout)
        self.damage = DamageLog(url)
        self._log = ChangeLog()
        self._filters = SqliteFilters(self._log)
        self._search = SqliteSearch(self._file, timeout, self.damage, self._filters, self._log)
        self._counted: dict[int, Counted] = {}

    @property
    def url(self) -> str:
        return self._file.url

    @property
    def problems(self) -> list[str]:
        """Why a shortlist is only in memory, one line; none where nothing is wrong."""
        problem = self._search.shortlists.problem
        return [] if problem is None else [problem]

    def close(self) -> None:
        self._file.close()
        self._search.forget()
        self._filters.forget()

    @contextmanager
    def _reading(self, name: str) -> Iterator[tuple[sqlite3.Connection, Entry]]:
        """Read one state of a collection."""
        with self._file.reading() as connection:
            entry = existing_entry(connection, name)
            assert connection is not None  # noqa: S101 it has collections
            yield connection, entry

    @contextmanager
    def _writing(self, name: str) -> Iterator[tuple[sqlite3.Connection, Entry]]:
        """Change a collection in one transaction."""
        with self._reading(name):  # a store that is not there is not made
            pass
        with self._file.writing() as connection:
            yield connection, existing_entry(connection, name)

    @contextmanager
    def _changing(self, name: str) -> Iterator[tuple[sqlite3.Connection, Entry, list[int]]]:
        """Change records in one transaction; the numbers of those that it changes are put into the list."""
        numbers: list[int] = []
        with self._writing(name) as (connection, entry):
            before = revisions(connection, entry)
            yield connection, entry, numbers
            after = revisions(connection, entry)
        self._log.note(before, after, numbers)

    # The catalogue

    def entries(self) -> list[Entry]:
        with self._file.reading() as connection:
            if connection is None:
                return []
            return [with_count(connection, entry, self._counted) for entry in read_entries(connection)]

    def entry(self, name: str, *, counted: bool = False) -> Entry:
        with self._reading(name) as (connection, entry):
            return with_count(connection, entry, self._counted) if counted else entry

    def create(self, name: str, vector: VectorInfo, metric: bytes | None) -> None:
        with self._file.writing() as connection:
            if find_entry(connection, name) is None:  # another process may have been faster
                add_collection(connection, name, vector, metric)

    def declare(self, name: str, edit: Edit, metrics: Mapping[Space, bytes]) -> None:
        with self._writing(name) as (connection, entry):

            def lacking(vector: VectorEntry) -> int:
                return count_records(connection, entry) - count_vectors(connection, vector)

            wanted = edit(entry, lacking)
            tokens = [] if wanted == entry else change_entry(connection, entry, wanted)
            write_metrics(connection, entry.key, metrics)
        kept = {one.number for one in wanted.vectors}
        self._search.forget([one.number for one in entry.vectors if one.number not in kept], tokens)

    def metric(self, name: str, choose: Choose) -> bytes | None:
        with self._reading(name) as (connection, entry):
            return read_metric(connection, choose(entry))

    def rename(self, name: str, new: str) -> None:
        with self._writing(name) as (connection, entry):
            rename_collection(connection, entry, new)

    def delete(self, name: str) -> int:
        with self._writing(name) as (connection, entry):
            count = count_records(connection, entry)
            tokens = remove_collection(connection, entry)
        self._search.forget([one.number for one in entry.vectors], tokens)
        return count

    # Records

    def put(self, name: str, records: Sequence[StoredRecord], give: Give) -> None:
        with self._changing(name) as (connection, entry, numbers):
            numbers += put_records(connection, entry, records, give(entry))

    def fill(self, name: str, choose: Choose, records: Sequence[Record], vectors: Vectors) -> int:
        with self._writing(name) as (connection, entry):
            return fill_vector(connection, entry, choose(entry), records, vectors)

    def lacking(self, name: str, choose: Choose, most: int | None) -> list[str]:
        with self._reading(name) as (connection, entry):
            numbers = lacking_numbers(connection, entry, choose(entry))
            return sorted(record_keys(connection, numbers.tolist()).ids)[:most]

    def relabel(self, name: str, labels: Sequence[StoredLabels]) -> None:
        with self._changing(name) as (connection, entry, numbers):
            numbers += put_labels(connection, entry, labels)

    def remove(self, name: str, ids: Sequence[str]) -> int:
        with self._changing(name) as (connection, entry, numbers):
            numbers += remove_records(connection, entry, ids)
        return len(numbers)

    def stamps(self, name: str) -> Iterator[StampRow]:
        with self._reading(name) as (connection, entry):
            # By rising number, as they stand in the file: that is twice as fast as in order of id.
            yield from connection.execute(
                "SELECT uri, id, size, modified_ns, labels_digest, digest, file_checksum"  # noqa: S608 our own
                f" FROM lookalike_records WHERE record IN ({RECORDS})",
                (entry.key,),
            )

    def ids_by_digest(self, name: str, digest: str) -> list[str]:
        with self._reading(name) as (connection, entry):
            return ids_by_digest(connection, entry.key, digest)

    def matching(self, name: str, where: Where | None) -> tuple[Entry, list[str]]:
        with self._reading(name) as (connection, entry):
            found = self._filters.read(connection, entry, where)
            keys = numbers_by_id(connection, entry.key)
            ids: list[str] = []
            # A few at a time: numbers take as much memory as ids.
            while some := keys.fetchmany(SCAN_BATCH):
                if found is not None:
                    rows = np.flatnonzero(_are_among([number for number, _ in some], found)).tolist()
                    some = [some[row] for row in rows]
                ids += [identity for _, identity in some]
        return entry, ids

    def read(self, of: str | Entry, ids: Sequence[str], choose: ChooseSome) -> Rows | None:
        with self._file.reading() as connection:
            if isinstance(of, str):
                found: Entry | None = existing_entry(connection, of)
            else:
                found = None if connection is None else read_entry(connection, of.key)
            if connection is None or found is None:
                return None
            rows = list(select_by_id(connection, found.key, f"{RECORD_COLUMNS}, record", ids))
            keys = keys_of((row[-1], row[0]) for row in rows)
            vectors = [
                [
                    row
                    for some in select_vectors(connection, vector, keys)
                    for row in zip(some.ids, some.checksums, some.contents, strict=True)
                ]
                for vector in choose(found)
            ]
            return Rows(found, [row[:-1] for row in rows], vectors)

    # Search

    def nearest(self, name: str, ask: Ask, query: Query) -> Hits:
        return self._search.nearest(name, ask, query)

    def words(self, name: str, terms: Sequence[str], k: int, where: Where | None) -> WordHits:
        """Return the records that have any of the words, best first by FTS5's BM25: see `Backend.words`."""
        with self._reading(name) as (connection, entry):
            matches = self._filters.read(connection, entry, where)
            ids = ids_by_words(connection, entry.key, terms, k, matches)
            return WordHits(ids, list(select_by_id(connection, entry.key, RECORD_COLUMNS, ids)))

    def build_index(self, name: str, choose: Choose) -> Approximation:
        """Make the shortlist of a vector, and measure it: see `Backend.build_index`.

        All vectors are read once for both. While nothing changed since the last time, nothing is done.

        Raises:
            StoreBusy: another process is building one for longer than we wait.
        """
        with self._reading(name) as (_, entry):
            vector = choose(entry)
        approximation = self._search.shortlists.build(entry, vector)
        if approximation is None:
            with self._reading(name) as (_, entry):
                choose(entry)
            raise CollectionNotFound(name, [])
        return approximation

    def keep_recall(self, built: BuiltIndex, measured: Approximation) -> None:
        """Do nothing: `build_index` has measured."""

    # Looking after

    def check(self) -> list[StructureFault]:
        """Return what is wrong with the file, and with what repeats the labels: values, words, views.

        A shortlist beside the database is verified when it is read, and made again where it is damaged.
        """
        with self._file.reading() as connection:
            if connection is None:
                return []
        return check_structure(self._file)

    def sql(self, statement: str, seconds: float) -> Table:
        """Answer one SQL statement that only reads.

        Each collection is a view of its name; `cosine_similarity(a, b)` compares two vectors.
        """
        return answer(self._file, statement, seconds, self.damage)
