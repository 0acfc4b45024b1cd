"""What every store offers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

from lookalike.stores.answers import SECONDS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from lookalike.stores.damage import DamageLog, StructureFault
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


class Store(Protocol):
    """Collections of records and their vectors. The same question has the same answer in every store.

    Every method that names a collection raises CollectionNotFound where there is none of that name; every
    method may raise a StoreError. Names of collections compare without regard to case.
    """

    @property
    def url(self) -> str:
        """The URL it was opened with, without a password."""
        ...

    @property
    def damage(self) -> DamageLog:
        """The records that were found damaged since it was opened; they are in no answer but `collections`.

        Each vector is verified when it is read into memory, and what else a record says when it is read.
        """
        ...

    def collections(self) -> list[CollectionInfo]:
        """Return all collections, by name."""
        ...

    def collection(self, name: str) -> CollectionInfo:
        """Return one collection."""
        ...

    def create(self, name: str, space: Space, metric: bytes | None = None) -> CollectionInfo:
        """Return the collection `name`, made now unless it is there; one that is there is not written to.

        Args:
            name: letters, digits, `_` and `-` of any script, at most 64.
            space: that of its vectors.
            metric: what `metric` gives back: the fit that the vectors went through. No store looks into it.

        Raises:
            InvalidArgument: not a usable name.
            SpaceMismatch: it is there and of another space.
        """
        ...

    def metric(self, name: str) -> bytes | None:
        """Return what the collection was created with as its `metric`."""
        ...

    def rename(self, names: Mapping[str, str]) -> None:
        """Give collections other names, all at once: who looks sees either all old names or all new ones.

        Args:
            names: the new name of each collection, by its present one. A new name may be the present one of
                another that is renamed too: so two exchange their names.

        Raises:
            InvalidArgument: a new name is not usable, is there twice, or belongs to another that
                keeps it.
        """
        ...

    def delete(self, name: str) -> int:
        """Delete a collection and return how many records it had."""
        ...

    def put(
        self, name: str, records: Sequence[Record], vectors: Vectors, *, space: Space | None = None
    ) -> None:
        """Add records, or replace those of the same id, all or none; on return they survive a kill.

        Args:
            name: the collection.
            records: no id twice; fields are strings, booleans, finite numbers, integers of at most 64 bits;
                metadata is JSON.
            vectors: float32 of shape (len(records), dimension), each row of length 1 to 1e-4; rows that are
                off by more than 1e-6 are kept normalised, all others bit by bit.
            space: that of the vectors, where it is known: a collection may have been renamed meanwhile.

        Raises:
            SpaceMismatch: the vectors have another dimension, or the collection another space.
            InvalidArgument: a vector is not of length 1, or a record is not as said.
        """
        ...

    def relabel(self, name: str, labels: Sequence[tuple[str, Fields, Metadata]]) -> None:
        """Replace fields and metadata of the records with these ids, all or none; unknown ids are ignored.

        Raises:
            InvalidArgument: labels that `put` would refuse.
        """
        ...

    def remove(self, name: str, ids: Sequence[str]) -> int:
        """Remove records by id and return how many there were."""
        ...

    def stamps(self, name: str) -> dict[str, Stamp]:
        """Return the stamp of every record, by uri."""
        ...

    def get(self, name: str, ids: Sequence[str]) -> list[Record]:
        """Return the records with these ids, in the order asked, without those that are not there."""
        ...

    def ids_by_digest(self, name: str, digest: str) -> list[str]:
        """Return the ids of the records whose file has this SHA-256, sorted."""
        ...

    def scan(self, name: str, where: Where | None = None) -> Iterator[tuple[list[Record], Vectors]]:
        """Yield all matching records with their vectors, in order of id, at most 1,000 at a time.

        Those that match when the first batch is asked for; one that is removed meanwhile is left out. A
        collection that is renamed meanwhile is read to its end.
        """
        ...

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
        """Return the nearest neighbours of each query, the exact ones unless told otherwise.

        Args:
            name: the collection.
            queries: float32 of shape (queries, dimension), each row of length 1.
            k: neighbours per query, at least 1; fewer come back only where fewer match.
            where: only records that match.
            exclude: for each query, ids that are left out.
            having: only records that have this field, whatever its value: those that can vote on it.
            space: that of the queries, where it is known: a collection may have been renamed meanwhile.
            approximate: use the index of `build_index` where there is one. A neighbour may be missed then;
                the similarities of those found are as exact, and no fewer than k come back where k match.

        Returns:
            A list a query, in order: by falling similarity, then by rising id.

        Raises:
            InvalidArgument: k is below 1, or a query is not of length 1.
            SpaceMismatch: the queries have another dimension, or the collection another space.
        """
        ...

    def search_words(self, name: str, words: str, k: int, where: Where | None = None) -> list[Record]:
        """Return the records that have any of the words of a text, best first as the store ranks texts.

        Searched are the values of their fields, the names of their files and folders, and the strings in
        their metadata: see `wording`. Stores agree on which records have any of the words, and each has an
        order of its own; equal ones are ordered by id.

        Args:
            name: the collection.
            words: any text; no sign in it has a meaning. One without a letter or digit finds nothing.
            k: records, at least 1; fewer come back only where fewer match.
            where: only records that match.

        Raises:
            InvalidArgument: k is below 1.
        """
        ...

    def build_index(self, name: str) -> Approximation:
        """Make the collection's approximate index, or bring it up to date, and measure its recall.

        Records that are put, changed or removed afterwards are found, or not, as all others are. It stays
        with the collection when that is renamed.

        Raises:
            Unanswerable: the collection is empty, or its vectors are too long for the store's indexes.
        """
        ...

    def check(self) -> list[StructureFault]:
        """Return what is wrong with all that a store keeps beside its records: indexes, words, views.

        It reads as much of that as the store lets it; records and vectors are for `scan`.
        """
        ...

    def sql(self, statement: str, seconds: float = SECONDS) -> Table:
        """Answer one SQL statement that only reads.

        Args:
            statement: in the store's own SQL.
            seconds: after which it is stopped, above 0.

        Raises:
            QueryRefused: it does not parse, fails, or would write; or the store speaks no SQL.
            QueryStopped: it takes longer, or its answer is larger than `answers.MOST_BYTES`.
        """
        ...

    def close(self) -> None:
        """Give back connections and files. A second call does nothing."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...
