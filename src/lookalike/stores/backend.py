"""What a back end of a store has to do: the primitives under `Store`, which does all the rest.

A back end knows tables, statements and a server. What is decided about a collection is decided by functions
that `Store` passes (`choose`, `give`, `edit`, `ask`): the back end resolves the name in the same transaction
in which it then reads or writes, calls the function with the `Entry` that it found, and does what comes back;
what the function raises ends the transaction and goes through. Such a function changes nothing outside: a
transaction that is begun anew calls it again. So two processes cannot mislead each other, and no back end
repeats a rule.

Ids and digests that are handed over are plain ASCII of 1 to `checks.ID_LENGTH` characters without NUL, no id
twice. Every method that takes a name raises CollectionNotFound where there is none of that name (compared by
`checks.same_name`), and every method may raise a StoreError. What a method returns was checked by nobody: the
`Store` verifies checksums, filters, and what is missing. Threads may share a back end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from lookalike.stores.damage import DamageLog, StructureFault
    from lookalike.stores.entry import Entry, VectorEntry
    from lookalike.stores.query import Query
    from lookalike.stores.stored import StoredLabels, StoredRecord
    from lookalike.types import Approximation, Record, Space, Table, VectorInfo, Vectors, Where

RecordRow: TypeAlias = "Sequence[Any]"
"""id, uri, digest, fields and metadata as JSON texts, size, modified_ns, `file_checksum`, `labels_checksum`:
as they are stored, see `verification.read_record`."""

VectorRow: TypeAlias = "tuple[Any, Any, Any]"
"""id, `vector_checksum`, and the numbers as little-endian float32 (bytes): as they are stored."""

StampRow: TypeAlias = "Sequence[Any]"
"""uri, id, size, modified_ns, labels_digest, digest, `file_checksum`."""

Choose: TypeAlias = "Callable[[Entry], VectorEntry]"
"""Says which vector of a collection is meant, or refuses."""

ChooseSome: TypeAlias = "Callable[[Entry], Sequence[VectorEntry]]"
"""Says which vectors of a collection are meant, or refuses."""

Ask: TypeAlias = "Callable[[Entry], tuple[VectorEntry, Vectors]]"
"""Says which vector is searched, and with which queries: float32 of shape (queries, dimension)."""

Give: TypeAlias = "Callable[[Entry], list[tuple[VectorEntry, Vectors]]]"
"""Returns every vector that a collection declares, with the rows of the records that are put."""

Edit: TypeAlias = "Callable[[Entry, Callable[[VectorEntry], int]], Entry]"
"""Returns what a collection is to declare: see `Backend.declare`."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Records of one collection as they are stored, with some of their vectors."""

    entry: Entry
    """The collection as it was found in the transaction that read them."""
    records: list[RecordRow]
    """In any order."""
    vectors: list[list[VectorRow]] = field(default_factory=list)
    """For each vector that was chosen, those of the records that have it, in any order."""


@dataclass(frozen=True, slots=True)
class Hits:
    """Who was found, and their records."""

    found: list[list[tuple[str, float]]]
    """For each query ids and similarities, by falling similarity, then by rising id."""
    records: list[RecordRow]
    """Of those found, in any order."""
    certain: bool = True
    """Whether the records were read in the state in which they were found: one that is missing then, or that
    does not match, is damaged; else somebody has changed it meanwhile."""


@dataclass(frozen=True, slots=True)
class WordHits:
    """Who was found by words, and their records."""

    ids: list[str]
    """Best first, then by id."""
    records: list[RecordRow]
    """Of those found, in any order, read in the same state."""


@dataclass(frozen=True, slots=True)
class BuiltIndex:
    """An approximate index that was made and is used from now on, and whose recall nobody knows yet."""

    entry: Entry
    vector: VectorEntry
    kind: str


class Backend(Protocol):
    """Collections of records and their vectors, as one database keeps them."""

    @property
    def url(self) -> str:
        """The URL it was opened with, without a password."""
        ...

    @property
    def damage(self) -> DamageLog:
        """The records that were found damaged: the `Store` notes them, and the back end what it meets."""
        ...

    @property
    def problems(self) -> list[str]:
        """What went on without being as it should be, one line each: an index that cannot be kept, say."""
        ...

    def close(self) -> None:
        """Give back connections and files. A second call does nothing; another call opens them again."""
        ...

    # The catalogue

    def entries(self) -> list[Entry]:
        """Return all collections, by name, with count and fields."""
        ...

    def entry(self, name: str, *, counted: bool = False) -> Entry:
        """Return one collection.

        Args:
            name: any text.
            counted: whether count and fields are wanted, which may take longer.
        """
        ...

    def create(self, name: str, vector: VectorInfo, metric: bytes | None) -> None:
        """Make a collection with one vector, which is ready and its default, unless it is there.

        All of it or nothing is there after a kill. One that is there is left as it is, whatever it declares:
        the `Store` looks at it afterwards.

        Args:
            name: that was checked.
            vector: that was checked; the space may be of any embedder.
            metric: what `metric` gives back of it.

        Raises:
            InvalidArgument: the back end cannot keep vectors of that dimension, or has no room for the name.
        """
        ...

    def declare(self, name: str, edit: Edit, metrics: Mapping[Space, bytes]) -> None:
        """Change in one step which vectors a collection declares, and which is its default.

        `edit` gets the collection and a function that tells how many of its records lack a vector (of one
        whose number is `NEW`, all of them), counted in the same transaction. It returns the collection as it
        is to be: a vector that is there no more is dropped with all it has; one whose number is `NEW` gets a
        place, where no record has it yet; `ready`, `becomes_default` and the default are set as they are
        there. Where nothing differs only `metrics` are written. Who reads sees the state before or the one
        after. Views follow.

        Args:
            name: the collection.
            edit: one of those in `entry`.
            metrics: what `metric` gives back from now on of the vectors of these spaces.

        Raises:
            InvalidArgument: the back end cannot keep vectors of that dimension.
        """
        ...

    def metric(self, name: str, choose: Choose) -> bytes | None:
        """Return what was last kept as the metric of a vector, None for none."""
        ...

    def rename(self, name: str, new: str) -> None:
        """Give a collection another name, which may be another spelling of its own; views follow.

        Args:
            name: the collection.
            new: that was checked.

        Raises:
            CollectionExists: another collection has that name.
        """
        ...

    def delete(self, name: str) -> int:
        """Delete a collection with all that belongs to it, and return how many records it had."""
        ...

    # Records

    def put(self, name: str, records: Sequence[StoredRecord], give: Give) -> None:
        """Add records, or replace those of the same id, all or none; on return they survive a kill.

        Args:
            name: the collection.
            records: that were checked; there may be none.
            give: returns every declared vector with its rows, float32 of shape (records, dimension).
        """
        ...

    def fill(self, name: str, choose: Choose, records: Sequence[Record], vectors: Vectors) -> int:
        """Give a vector to those of the records that are there and lack it, all or none; return how many.

        Those that have it keep what they have, and so do those that have another digest now than here: a put
        since is newer.

        Args:
            name: the collection.
            choose: which vector.
            records: of which id and digest count.
            vectors: float32 of shape (records, dimension), that were checked.
        """
        ...

    def lacking(self, name: str, choose: Choose, most: int | None) -> list[str]:
        """Return the ids of records that lack a vector, sorted.

        Args:
            name: the collection.
            choose: which vector.
            most: the first so many; None for all.
        """
        ...

    def relabel(self, name: str, labels: Sequence[StoredLabels]) -> None:
        """Replace fields and metadata of the records with these ids, all or none; others are ignored.

        Args:
            name: the collection.
            labels: that were checked.
        """
        ...

    def remove(self, name: str, ids: Sequence[str]) -> int:
        """Remove records by id with all their vectors, all or none, and return how many there were."""
        ...

    def stamps(self, name: str) -> Iterable[StampRow]:
        """Return the stamp of every record; it is read to its end at once."""
        ...

    def ids_by_digest(self, name: str, digest: str) -> list[str]:
        """Return the ids of the records whose file has this SHA-256, sorted."""
        ...

    def matching(self, name: str, where: Where | None) -> tuple[Entry, list[str]]:
        """Return a collection and the ids of its records that match, sorted."""
        ...

    def read(self, of: str | Entry, ids: Sequence[str], choose: ChooseSome) -> Rows | None:
        """Return the records with these ids, and those vectors of theirs; no other vector is read.

        Args:
            of: the name of a collection, or the entry of one that was found before: that one, however it is
                called now.
            ids: any number of them.
            choose: which vectors; none at all, maybe.

        Returns:
            None where the collection of an entry was deleted.
        """
        ...

    # Search

    def nearest(self, name: str, ask: Ask, query: Query) -> Hits:
        """Return the nearest neighbours of each query, with their records.

        Their order is that of `vectors.nearest`, whatever the database thinks: a server gives candidates with
        their vectors, and `reranking.exact_nearest` asks it for them. Records that lack the vector are no
        neighbours, nor are vectors whose record is gone for good: those are raised as damaged.

        Args:
            name: the collection.
            ask: returns the vector and the queries, float32 of shape (queries, dimension), at least one.
            query: what else is asked.

        Raises:
            DamagedCandidates: some candidates are damaged: the `Store` asks again without them.
            ExtraMissing: an approximate index is there, and the package that reads it is not.
        """
        ...

    def words(self, name: str, terms: Sequence[str], k: int, where: Where | None) -> WordHits:
        """Return the records that have any of the words, best first: one that does not match is damaged.

        Args:
            name: the collection.
            terms: from `wording.query_terms`, at least one.
            k: ids, at most.
            where: only records that match.
        """
        ...

    def build_index(self, name: str, choose: Choose) -> Approximation | BuiltIndex:
        """Make the approximate index of a vector, or bring it up to date.

        Returns:
            The index with its recall; or the index, where the `Store` is to measure it by `nearest` and to
            call `keep_recall`.

        Raises:
            Unanswerable: no record has the vector, or it is too long for an index.
            ExtraMissing: the package that makes it is not installed.
        """
        ...

    def keep_recall(self, built: BuiltIndex, measured: Approximation) -> None:
        """Keep with a vector what was measured of its index, unless the vector is gone."""
        ...

    # Looking after

    def check(self) -> list[StructureFault]:
        """Return what is wrong with what is kept beside records and vectors: views, words, what filters see.

        Records that lack a ready vector are the `Store`'s to find.
        """
        ...

    def sql(self, statement: str, seconds: float) -> Table:
        """Answer one SQL statement that only reads: see `Store.sql`."""
        ...
