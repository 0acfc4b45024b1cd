"""Collections in one SQLite file, read and written with Python's own sqlite3."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Self

from lookalike.errors import CollectionNotFound, InvalidArgument
from lookalike.stores.batches import SCAN_BATCH, chunks
from lookalike.stores.checks import (
    check_fields,
    check_records,
    collection_name,
    of_space,
    same_name,
    unit_vectors,
)
from lookalike.stores.damage import DamageLog, Fault
from lookalike.stores.sql import SECONDS
from lookalike.stores.sqlite.file import SqliteFile
from lookalike.stores.sqlite.matrix import LOST, verified
from lookalike.stores.sqlite.named import reading_named, writing_named
from lookalike.stores.sqlite.query import answer
from lookalike.stores.sqlite.rows import (
    RECORD_COLUMNS,
    Counted,
    collection_names,
    collection_number,
    put_labels,
    put_records,
    read_collection,
    read_revision,
    read_space,
    remove_records,
    select_by_id,
)
from lookalike.stores.sqlite.schema import (
    add_collection,
    read_catalog,
    remove_collection,
    rename_collections,
)
from lookalike.stores.sqlite.search import SqliteSearch
from lookalike.stores.sqlite.structure import check_structure
from lookalike.stores.verification import sound_records, sound_stamps

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from lookalike.stores.damage import StructureFault
    from lookalike.types import (
        Approximation,
        CollectionInfo,
        Fields,
        Metadata,
        Neighbour,
        Record,
        Space,
        Stamp,
        Table,
        Vectors,
        Where,
    )


class SqliteStore:
    """A store in one file.

    Threads may share it. Processes may open the same file: readers see a finished state while others write,
    and writers take turns. The vectors of each collection that was searched stay in memory, and are read
    again when the collection has changed, whoever changed it. A deleted collection's space is used again;
    the file does not shrink.

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
        self._search = SqliteSearch(self._file, timeout, self.damage)
        self._counted: dict[int, Counted] = {}

    @property
    def url(self) -> str:
        """The URL it was opened with."""
        return self._file.url

    @property
    def problems(self) -> list[str]:
        """What went on without being as it should be: a shortlist that cannot be kept, one line each."""
        return self._search.problems

    def collections(self) -> list[CollectionInfo]:
        """Return all collections, by name."""
        with self._file.reading() as connection:
            if connection is None:
                return []
            rows = read_catalog(connection)
            return [read_collection(connection, row.collection, self._counted) for row in rows]

    def collection(self, name: str) -> CollectionInfo:
        """Return one collection."""
        with reading_named(self._file, name) as (connection, number):
            return read_collection(connection, number, self._counted)

    def create(self, name: str, space: Space, metric: bytes | None = None) -> CollectionInfo:
        """Return the collection `name`, made now unless it is there; one that is there is not written to."""
        name = collection_name(name)
        with self._file.reading() as reader:
            number = None if reader is None else collection_number(reader, name)
            if reader is not None and number is not None:
                return of_space(read_collection(reader, number), space)
        with self._file.writing() as connection:
            number = collection_number(connection, name)  # another process may have been faster
            if number is None:
                number = add_collection(connection, name, space, metric)
            return of_space(read_collection(connection, number), space)

    def metric(self, name: str) -> bytes | None:
        """Return what the collection was created with as its `metric`."""
        with reading_named(self._file, name) as (connection, number):
            row = connection.execute(
                "SELECT metric FROM lookalike_metrics WHERE collection = ?", (number,)
            ).fetchone()
            return None if row is None else bytes(row[0])

    def rename(self, names: Mapping[str, str]) -> None:
        """Give collections other names in one transaction; their views are renamed with them."""
        for name in names:
            self.collection(name)  # a store that is not there is not made
        with self._file.writing() as connection:
            renamed: dict[int, str] = {}
            for old, new in names.items():
                number = collection_number(connection, old)
                if number is None:
                    raise CollectionNotFound(old, collection_names(connection))
                renamed[number] = collection_name(new)
            wanted = {same_name(new) for new in renamed.values()}
            if len(wanted) < len(names):
                raise InvalidArgument("two collections cannot have one name")
            for new in renamed.values():
                if collection_number(connection, new) not in (None, *renamed):
                    raise InvalidArgument(f"there is a collection {new!r}")
            rename_collections(connection, renamed)
        self.damage.forget()

    def delete(self, name: str) -> int:
        """Delete a collection and its view, and return how many records it had."""
        with writing_named(self._file, name) as (connection, number):
            count = read_collection(connection, number).count
            token = remove_collection(connection, number)
        self._search.forget(number, token)
        self.damage.forget(name)
        return count

    def put(
        self, name: str, records: Sequence[Record], vectors: Vectors, *, space: Space | None = None
    ) -> None:
        """Add records, or replace those of the same id, in one transaction."""
        check_records(records)
        with reading_named(self._file, name) as (connection, number):
            collection = of_space(read_space(connection, number), space)
        vectors = unit_vectors(collection, vectors, len(records))
        with writing_named(self._file, name) as (connection, number):
            # Again, because another process may have made or renamed the collection.
            collection = read_space(connection, number)
            unit_vectors(of_space(collection, space), vectors[:0])
            put_records(connection, number, records, vectors)
        self.damage.forget(name, [record.id for record in records])

    def relabel(self, name: str, labels: Sequence[tuple[str, Fields, Metadata]]) -> None:
        """Replace fields and metadata of the records with these ids, in one transaction."""
        for identity, fields, _ in labels:
            check_fields(identity, fields)
        with writing_named(self._file, name) as (connection, number):
            put_labels(connection, number, labels)
        self.damage.forget(name, [identity for identity, _, _ in labels])

    def remove(self, name: str, ids: Sequence[str]) -> int:
        """Remove records by id, in one transaction, and return how many there were."""
        with writing_named(self._file, name) as (connection, number):
            count = remove_records(connection, number, ids)
        self.damage.forget(name, ids)
        return count

    def stamps(self, name: str) -> dict[str, Stamp]:
        """Return the stamp of every record, by uri; a record that names another file than it did has none."""
        with reading_named(self._file, name) as (connection, number):
            rows = connection.execute(
                "SELECT uri, id, size, modified_ns, labels_digest, digest, file_checksum"
                " FROM lookalike_records WHERE collection = ?",
                (number,),
            )
            return sound_stamps(rows, partial(self.damage.note, name))

    def get(self, name: str, ids: Sequence[str]) -> list[Record]:
        """Return the records with these ids, in the order asked, without those that are not there."""
        with reading_named(self._file, name) as (connection, number):
            rows = select_by_id(connection, number, RECORD_COLUMNS, ids)
            found = sound_records(rows, partial(self.damage.note, name))
        return [found[identity] for identity in ids if identity in found]

    def ids_by_digest(self, name: str, digest: str) -> list[str]:
        """Return the ids of the records whose file has this SHA-256, sorted."""
        with reading_named(self._file, name) as (connection, number):
            rows = connection.execute(
                "SELECT id FROM lookalike_records WHERE collection = ? AND digest = ? ORDER BY id",
                (number, digest if digest.isascii() else ""),
            )
            return [identity for (identity,) in rows]

    def scan(self, name: str, where: Where | None = None) -> Iterator[tuple[list[Record], Vectors]]:
        """Yield all matching records with their vectors, in order of id, at most 1,000 at a time.

        The ids are those that match when the first batch is asked for; each batch is read when it is asked
        for, so that no transaction is open in between and a log that others write can be cleared. A record
        that was removed meanwhile is left out, one that was replaced comes as it is now. A collection that
        is renamed meanwhile is read to its end.
        """
        with reading_named(self._file, name) as (connection, number):
            dimension = read_space(connection, number).space.dimension
            keys = connection.execute(
                "SELECT record, id FROM lookalike_records WHERE collection = ? ORDER BY id", (number,)
            ).fetchall()
            found = self._search.matches.read(connection, number, where)
            revision = read_revision(connection, number)
        note = partial(self.damage.note, name)
        matches = None if found is None else set(found.tolist())
        wanted = [identity for record, identity in keys if matches is None or record in matches]
        for some in chunks(wanted, SCAN_BATCH):
            with self._file.reading() as reader:
                if reader is None:
                    return
                columns = f"{RECORD_COLUMNS}, record, id, vector_checksum, vector"
                batch = sorted(select_by_id(reader, number, columns, some), key=lambda row: str(row[0]))
                vectors = verified(reader, [row[-4:] for row in batch], dimension)
                # What matched may match no more where somebody has changed it since.
                unchanged = read_revision(reader, number) == revision
                asked = where if unchanged else None
            note(vectors.faults)
            records = sound_records((row[:-4] for row in batch), note, asked)
            ids = [str(row[0]) for row in batch]
            if unchanged and len(ids) < len(some):
                note([Fault(each, None, LOST) for each in some if each not in set(ids)])
            rows = [row for row, name in enumerate(ids) if vectors.sound[row] and name in records]
            if rows:
                yield [records[ids[row]] for row in rows], vectors.vectors[rows]

    def nearest(
        self,
        name: str,
        queries: Vectors,
        k: int,
        where: Where | None = None,
        exclude: Sequence[Collection[str]] | None = None,
        having: str | None = None,
        *,
        space: Space | None = None,
        approximate: bool = False,
    ) -> list[list[Neighbour]]:
        """Return the nearest neighbours of each query, by falling similarity, then by rising id.

        Approximate search in a collection without a shortlist is exact.

        Raises:
            ExtraMissing: there is a shortlist, and the package that reads it is not installed.
        """
        return self._search.nearest(name, queries, k, where, exclude, having, space, approximate=approximate)

    def search_words(self, name: str, words: str, k: int, where: Where | None = None) -> list[Record]:
        """Return the records that have any of the words, best first by FTS5's BM25, then by rising id."""
        return self._search.search_words(name, words, k, where)

    def build_index(self, name: str) -> Approximation:
        """Make the collection's shortlist, or bring it up to date, and measure its recall.

        All vectors are read once for both. While nothing changed since the last time, nothing is done.

        Raises:
            ExtraMissing: the package that makes it is not installed.
            StoreBusy: another process is building one for longer than we wait.
            Unanswerable: the collection is empty, or its vectors are too long.
        """
        return self._search.build_index(name)

    def check(self) -> list[StructureFault]:
        """Return what is wrong with the file, and with what repeats the labels: values, words, views.

        A shortlist beside the database is verified when it is read, and made again where it is damaged.
        """
        with self._file.reading() as connection:
            if connection is None:
                return []
        return check_structure(self._file)

    def sql(self, statement: str, seconds: float = SECONDS) -> Table:
        """Answer one SQL statement that only reads.

        Each collection is a view of its name; `cosine_similarity(a, b)` compares two vectors.

        Raises:
            QueryRefused: it does not parse, fails, is more than one, or would write.
            QueryStopped: it takes longer than `seconds`, or its answer is too large to be held.
        """
        return answer(self._file, statement, seconds, self.damage)

    def close(self) -> None:
        """Close the file and forget the vectors. A second call does nothing; another call opens it again."""
        self._file.close()
        self._search.forget()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
