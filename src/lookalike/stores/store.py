"""A store: collections of records and their named vectors, over any back end."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Self

from lookalike.errors import (
    CollectionEmpty,
    CollectionExists,
    CollectionNotFound,
    InvalidArgument,
    NotFound,
    SpaceMismatch,
    StoreForeign,
    VectorNotFound,
)
from lookalike.stores.batches import SCAN_BATCH, chunks, drawn_order
from lookalike.stores.checks import (
    check_k,
    check_records,
    collection_name,
    is_usable_id,
    same_name,
    unit_vectors,
    usable_ids,
    vector_name,
)
from lookalike.stores.damage import Fault, StructureFault
from lookalike.stores.documents import KeepsDocuments
from lookalike.stores.entry import with_default, with_finished, with_vector, without_vector
from lookalike.stores.recall import QUERIES, measure_recall
from lookalike.stores.sql import SECONDS
from lookalike.stores.stored import stored_labels, stored_record
from lookalike.stores.verification import (
    LOST_RECORD,
    LOST_VECTOR,
    DamagedCandidates,
    sound_records,
    sound_stamps,
    sound_vectors,
)
from lookalike.stores.wording import query_terms
from lookalike.types import Approximation, Neighbour, VectorInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lookalike.stores.attached.backend import AttachedBackend
    from lookalike.stores.backend import Backend, BuiltIndex, Choose, Rows
    from lookalike.stores.damage import DamageLog
    from lookalike.stores.entry import Entry, VectorEntry
    from lookalike.stores.query import Query
    from lookalike.types import CollectionInfo, Fields, Metadata, Record, Space, Stamp, Table, Vectors, Where

VECTOR = "image"
"""Name of the vector that a collection is made with, unless another is asked for."""

# Records that lack a vector, that `check` names.
_NAMED = 5


class Store:
    """Collections of records and their named vectors. The same question has the same answer in every store.

    A collection declares one vector or several, each of one space, and which of them is the default; every
    record has all of them. One that is declared for records that are there is not ready at first: puts give
    it, `fill` brings it to those that lack it, and `finish_vector` makes it ready, in one step for all who
    read.

    Threads may share a store, and processes may open the same one. Every method that names a collection
    raises CollectionNotFound where there is none of that name; every method may raise a StoreError. Names of
    collections compare without regard to case.

    Args:
        backend: where the collections are.
        attached: tables of others that are collections too; None where none can be attached.
    """

    def __init__(self, backend: Backend, attached: AttachedBackend | None = None) -> None:
        self._backend = backend
        self._attached = attached

    def _of(self, name: str) -> Backend:
        """Return the back end that a collection is of."""
        if self._attached is not None and self._attached.has(name):
            return self._attached
        return self._backend

    @property
    def attached(self) -> AttachedBackend:
        """The tables of others that are collections too.

        Raises:
            InvalidArgument: this store attaches none.
        """
        if self._attached is None:
            raise InvalidArgument(f"{self.url}: no table can be attached there")
        return self._attached

    def picture_base(self, name: str) -> str | None:
        """Return the URI of the folder that the paths in an attached table are relative to; else None."""
        attached = self._attached
        return attached.attachment(name).base if attached is not None and attached.has(name) else None

    @property
    def url(self) -> str:
        """The URL it was opened with, without a password."""
        return self._backend.url

    @property
    def damage(self) -> DamageLog:
        """The records that were found damaged since it was opened; they are in no answer but `collections`.

        Each vector is verified when it is read into memory, and what else a record says when it is read.
        """
        return self._backend.damage

    @property
    def problems(self) -> list[str]:
        """What went on without being as it should be, one line each: an index that cannot be kept, say."""
        return [*self._backend.problems, *(() if self._attached is None else self._attached.problems)]

    @property
    def documents(self) -> KeepsDocuments | None:
        """What it can do for programs that read its records as documents; None where they are none."""
        return self._backend if isinstance(self._backend, KeepsDocuments) else None

    # Collections

    def collections(self) -> list[CollectionInfo]:
        """Return all collections, by name."""
        found = [entry.info() for entry in self._entries()]
        return found if self._attached is None else sorted(found, key=lambda one: same_name(one.name))

    def _entries(self) -> list[Entry]:
        """Return all collections; an attached one is in front of one of its name."""
        attached = [] if self._attached is None else self._attached.entries()
        names = {same_name(entry.name) for entry in attached}
        return [*attached, *(entry for entry in self._own_entries() if same_name(entry.name) not in names)]

    def _own_entries(self) -> list[Entry]:
        """Return the collections that are no attached tables: none in a database of another program."""
        try:
            return self._backend.entries()
        except StoreForeign:
            if self._has_attached():
                return []
            raise

    def _has_attached(self) -> bool:
        return self._attached is not None and bool(self._attached.notes.all())

    def collection(self, name: str) -> CollectionInfo:
        """Return one collection."""
        try:
            return self._of(name).entry(name, counted=True).info()
        except StoreForeign as error:
            if self._attached is None or not self._has_attached():
                raise
            attached = [each.name for each in self._attached.notes.all().values()]
            raise CollectionNotFound(name, attached, attached=True) from error

    def create(
        self, name: str, space: Space, *, vector: str = VECTOR, metric: bytes | None = None
    ) -> CollectionInfo:
        """Return the collection `name`, made now unless it is there; one that is there is not written to.

        Args:
            name: letters, digits, `_` and `-` of any script, at most 64.
            space: that of its vectors; one that is there has a ready vector of that space, whatever its name.
            vector: name of the vector that a new one declares: see `VectorInfo`.
            metric: what `metric` gives back of that vector of a new one, from the first moment.

        Raises:
            InvalidArgument: not a usable name, or vectors that the back end cannot keep.
            SpaceMismatch: it is there, and no ready vector of it is of that space.
        """
        name, vector = collection_name(name), vector_name(vector)
        try:
            found = self.collection(name)
        except CollectionNotFound:
            self._backend.create(name, VectorInfo(vector, space), metric)
            found = self.collection(name)
        ready = [one.space for one in found.vectors if one.ready]
        if space not in ready:
            raise SpaceMismatch(found.name, " and ".join(map(str, ready)), str(space))
        return found

    def rename(self, name: str, new: str) -> None:
        """Give a collection another name, in one step.

        Args:
            name: the collection.
            new: a name that no other collection has.

        Raises:
            InvalidArgument: the new name is not usable.
            CollectionExists: another collection has it.
        """
        new, of = collection_name(new), self._of(name)
        if self._attached is not None and same_name(new) != same_name(name):
            of.entry(name)
            with suppress(CollectionNotFound, StoreForeign):
                raise CollectionExists(self._of(new).entry(new).name)
        of.rename(name, new)
        self.damage.forget(name)

    def delete(self, name: str) -> int:
        """Delete a collection and return how many records it had."""
        count = self._of(name).delete(name)
        self.damage.forget(name)
        return count

    # Named vectors

    def add_vector(
        self,
        name: str,
        vector: str,
        space: Space,
        metric: bytes | None = None,
        *,
        becomes_default: bool = False,
    ) -> CollectionInfo:
        """Declare a further vector of a collection, and return that.

        It is not ready while there are records, which lack it; in an empty collection it is ready at once.
        Beside a ready one of its name it will take its place. One of its name that is not ready and of
        another space is dropped; one of the same space stays as it is, so that what was begun goes on, and
        only its metric is kept anew.

        Args:
            name: the collection.
            vector: name of the vector: see `VectorInfo`.
            space: that no other vector of the collection has.
            metric: what `metric` gives back: the fit that the vectors went through, None for what it gives
                already. No store looks into it.
            becomes_default: whether it is to be the default when it is ready.

        Raises:
            InvalidArgument: not a usable name, a space that another vector has, or vectors that the back end
                cannot keep.
        """
        wanted = VectorInfo(vector_name(vector), space, becomes_default=becomes_default)
        metrics = {} if metric is None else {space: metric}
        self._of(name).declare(name, lambda entry, lacking: with_vector(entry, wanted, lacking), metrics)
        return self.collection(name)

    def lacking(self, name: str, space: Space, most: int | None = None) -> list[str]:
        """Return the ids of the records that lack the vector of a space, sorted.

        Args:
            name: the collection.
            space: of a declared vector, ready or not.
            most: the first so many; None for all.

        Raises:
            SpaceMismatch: the collection declares no vector of that space.
        """
        return self._of(name).lacking(name, lambda entry: entry.declared(space), most)

    def fill(self, name: str, space: Space, records: Sequence[Record], vectors: Vectors) -> int:
        """Give the vector of a space to records that lack it, all or none, and return how many got it.

        Records that have it, that are gone, or that have another digest now are left alone: what was put
        meanwhile is newer.

        Args:
            name: the collection.
            space: of a declared vector.
            records: of which id and digest count, none twice.
            vectors: float32 of shape (records, dimension), as for `put`.

        Raises:
            SpaceMismatch: the vectors have another dimension, or the collection declares none of that space.
            InvalidArgument: a vector is not of length 1.
        """
        checked = unit_vectors(name, space, vectors, len(records))
        rows = [row for row, one in enumerate(records) if is_usable_id(one.id)]
        if len(rows) < len(records):
            records, checked = [records[row] for row in rows], checked[rows]
        return self._of(name).fill(name, lambda entry: entry.declared(space), records, checked)

    def finish_vector(self, name: str, space: Space) -> CollectionInfo:
        """Make the vector of a space ready, in one step, and return the collection.

        It takes the place of a ready one of its name, which is dropped, and becomes the default if it was
        declared so. One that is ready stays as it is.

        Raises:
            SpaceMismatch: the collection declares no vector of that space.
            VectorIncomplete: records lack it.
        """
        self._of(name).declare(name, lambda entry, lacking: with_finished(entry, space, lacking), {})
        return self.collection(name)

    def drop_vector(self, name: str, space: Space) -> CollectionInfo:
        """Drop the vector of a space, ready or not, and return the collection.

        Where it was the default, the first declared that is left and ready becomes it.

        Raises:
            SpaceMismatch: the collection declares no vector of that space.
            InvalidArgument: no ready one would be left, or a fitted one is made from it.
        """
        self._of(name).declare(name, lambda entry, _: without_vector(entry, space), {})
        return self.collection(name)

    def set_default(self, name: str, vector: str) -> CollectionInfo:
        """Make a ready vector the default, and return the collection.

        Raises:
            VectorNotFound: no ready one has that name.
        """
        self._of(name).declare(name, lambda entry, _: with_default(entry, vector), {})
        return self.collection(name)

    def metric(self, name: str, using: str | None = None, *, space: Space | None = None) -> bytes | None:
        """Return what was last kept as the `metric` of a vector, None for none.

        Args:
            name: the collection.
            using: name of a ready vector; None for the default.
            space: where given, the vector of that space, ready or not.

        Raises:
            VectorNotFound: no ready vector has that name.
            SpaceMismatch: no vector is of that space.
        """
        return self._of(name).metric(name, _choice(using, space))

    # Records

    def put(self, name: str, records: Sequence[Record], vectors: Mapping[Space, Vectors]) -> None:
        """Add records, or replace those of the same id, all or none; on return they survive a kill.

        Args:
            name: the collection.
            records: no id twice, each plain ASCII of 1 to 512 characters without NUL; fields are strings,
                booleans, finite numbers, integers of at most 64 bits; metadata is JSON.
            vectors: of every declared space, ready or not, and of no other: float32 of shape (len(records),
                dimension), each row of length 1 to 1e-4; rows that are off by more than 1e-6 are kept
                normalised, all others bit by bit.

        Raises:
            SpaceMismatch: the spaces are not those that the collection declares, or vectors have another
                dimension than theirs.
            InvalidArgument: a vector is not of length 1, or a record is not as said.
        """
        check_records(records)
        stored = [stored_record(record) for record in records]
        self._of(name).entry(name).given(vectors)
        checked = {space: unit_vectors(name, space, rows, len(records)) for space, rows in vectors.items()}
        self._of(name).put(name, stored, lambda entry: entry.given(checked))
        self.damage.forget(name, [record.id for record in records])

    def check_takes_records(self, name: str) -> None:
        """Refuse new records of an attached table, before the work that they take.

        Raises:
            StoreReadOnly: the collection is one.
        """
        if self._attached is not None and self._attached.has(name):
            self._attached.refuse_rows(name)

    def relabel(self, name: str, labels: Sequence[tuple[str, Fields, Metadata]]) -> None:
        """Replace fields and metadata of the records with these ids, all or none; unknown ids are ignored.

        Raises:
            InvalidArgument: labels that `put` would refuse.
        """
        stored = [stored_labels(*one) for one in labels]
        by_id = {one.id: one for one in stored}
        self._of(name).relabel(name, [by_id[one] for one in usable_ids(by_id)])
        self.damage.forget(name, [identity for identity, _, _ in labels])

    def remove(self, name: str, ids: Sequence[str]) -> int:
        """Remove records by id and return how many there were."""
        count = self._of(name).remove(name, usable_ids(ids))
        self.damage.forget(name, ids)
        return count

    def stamps(self, name: str) -> dict[str, Stamp]:
        """Return the stamp of every record, by uri; a record that names another file than it did has none."""
        return dict(self.scan_stamps(name))

    def scan_stamps(self, name: str) -> Iterator[tuple[str, Stamp]]:
        """Yield uri and stamp of every record as `stamps` has them, of one state, in any order.

        To be read to its end at once: the store may be held until then.
        """
        return sound_stamps(self._of(name).stamps(name), partial(self.damage.note, name))

    def get(self, name: str, ids: Sequence[str]) -> list[Record]:
        """Return the records with these ids, in the order asked, without those that are not there."""
        rows = self._of(name).read(name, usable_ids(ids), lambda _: ())
        found = {} if rows is None else sound_records(rows.records, partial(self.damage.note, name))
        return [found[identity] for identity in ids if identity in found]

    def vectors_of(
        self, name: str, ids: Sequence[str], using: str | None = None
    ) -> tuple[list[Record], dict[Space, Vectors]]:
        """Return some records with their vectors, by rising id, without those that are gone or damaged.

        Args:
            name: the collection.
            ids: any, all of which are read at once.
            using: name of the one vector that is wanted; None for all that are ready.

        Returns:
            The records, and of each space float32 of shape (records, dimension), bit by bit as put.

        Raises:
            VectorNotFound: no ready vector has that name.
        """

        def choose(entry: Entry) -> list[VectorEntry]:
            return [one for one in entry.vectors if one.info.ready] if using is None else [entry.ready(using)]

        rows = self._of(name).read(name, usable_ids(ids), choose)
        assert rows is not None  # noqa: S101 a name that is none raises
        chosen = choose(rows.entry)
        records, vectors = self._sound(name, rows, chosen)
        return records, {one.info.space: some for one, some in zip(chosen, vectors, strict=True)}

    def ids_by_digest(self, name: str, digest: str) -> list[str]:
        """Return the ids of the records whose file has this SHA-256, sorted."""
        if is_usable_id(digest):
            return self._of(name).ids_by_digest(name, digest)
        self._of(name).entry(name)
        return []

    def scan(
        self, name: str, where: Where | None = None, *, using: str | None = None
    ) -> Iterator[tuple[list[Record], Vectors]]:
        """Yield all matching records with one vector, in order of id, at most 1,000 at a time.

        Those that match when the first batch is asked for; each batch is read when it is asked for, and
        nothing is held open in between. One that is removed meanwhile is left out, one that is replaced comes
        as it is then. A collection that is renamed meanwhile is read to its end.

        Args:
            name: the collection.
            where: only records that match.
            using: name of the vector; None for the default.

        Raises:
            VectorNotFound: no ready vector has that name, or it is dropped meanwhile.
        """
        for records, vectors in self._batches(name, where, lambda entry: [entry.ready(using)]):
            yield records, vectors[0]

    def scan_sample(self, name: str, *, using: str | None = None) -> Iterator[Vectors]:
        """Yield the vectors of all records in a random order that is the same each time, as `scan` does.

        Args:
            name: the collection.
            using: name of the vector; None for the default.

        Raises:
            VectorNotFound: no ready vector has that name, or it is dropped meanwhile.
        """
        for _, vectors in self._batches(name, None, lambda entry: [entry.ready(using)], drawn=True):
            yield vectors[0]

    def scan_records(self, name: str, where: Where | None = None) -> Iterator[list[Record]]:
        """Yield all matching records as `scan` does, and read no vector."""
        for records, _ in self._batches(name, where, lambda _: []):
            yield records

    def scan_vectors(
        self, name: str, where: Where | None = None, *, spaces: Sequence[Space] | None = None
    ) -> Iterator[tuple[list[Record], dict[Space, Vectors]]]:
        """Yield all matching records as `scan` does, with several vectors.

        A record of which one vector is damaged is left out.

        Args:
            name: the collection.
            where: only records that match.
            spaces: those of the vectors; None: of all that are ready when the first batch is asked for.

        Raises:
            VectorNotFound: one of these vectors is dropped meanwhile.
        """
        wanted = spaces
        if wanted is None:
            entry = self._of(name).entry(name)
            wanted = [one.info.space for one in entry.vectors if one.info.ready]
        for records, vectors in self._batches(
            name, where, lambda entry: [_kept(entry, one) for one in wanted]
        ):
            yield records, dict(zip(wanted, vectors, strict=True))

    def _batches(
        self,
        name: str,
        where: Where | None,
        choose: Callable[[Entry], list[VectorEntry]],
        *,
        drawn: bool = False,
    ) -> Iterator[tuple[list[Record], list[Vectors]]]:
        """Yield matching records with the chosen vectors of each, in order of id, or of `drawn_order`."""
        entry, ids = self._of(name).matching(name, where)
        if drawn:
            ids = drawn_order(ids)
        chosen = [one.info.space for one in choose(entry)]

        def again(entry: Entry) -> list[VectorEntry]:
            return [_kept(entry, space) for space in chosen]

        for some in chunks(ids, SCAN_BATCH):
            rows = self._of(name).read(entry, usable_ids(some), again)
            if rows is None:
                return
            # What matched may match no more where somebody has changed it since.
            unchanged = rows.entry.revision is not None and rows.entry.revision == entry.revision
            if unchanged and len(rows.records) < len(some):
                there = {str(row[0]) for row in rows.records}
                self.damage.note(name, [Fault(one, None, LOST_RECORD) for one in some if one not in there])
            batch = self._sound(name, rows, again(rows.entry), where if unchanged else None)
            if drawn:
                places = {one: place for place, one in enumerate(some)}
                order = sorted(range(len(batch[0])), key=lambda row: places[batch[0][row].id])
                batch = [batch[0][row] for row in order], [each[order] for each in batch[1]]
            if batch[0]:
                yield batch

    def _sound(
        self, name: str, rows: Rows, vectors: Sequence[VectorEntry], where: Where | None = None
    ) -> tuple[list[Record], list[Vectors]]:
        """Return the records that are sound with all these vectors, in order of id, and the vectors."""
        note = partial(self.damage.note, name)
        records = sound_records(rows.records, note, where)
        uris = _uris(rows)
        found, wrong = [], set[str]()
        for vector, those in zip(vectors, rows.vectors, strict=True):
            by_id = sorted(those, key=lambda row: str(row[0]))
            places, numbers, faults = sound_vectors(by_id, vector.info.space.dimension)
            lost = uris.keys() - places.keys() - {fault.id for fault in faults}
            faults += [Fault(one, None, LOST_VECTOR.format(vector.info.name)) for one in sorted(lost)]
            note([fault._replace(uri=uris.get(fault.id)) for fault in faults])
            wrong |= {fault.id for fault in faults}
            found.append((places, numbers))
        ids = sorted(records.keys() - wrong)
        return (
            [records[one] for one in ids],
            # Where all are sound they are in that order already, and are not copied once more.
            [
                numbers if len(numbers) == len(ids) else numbers[[places[one] for one in ids]]
                for places, numbers in found
            ],
        )

    # Search

    def nearest(self, name: str, query: Query) -> list[list[Neighbour]]:
        """Return the nearest neighbours of each query, the exact ones unless told otherwise.

        Args:
            name: the collection.
            query: what is asked.

        Returns:
            A list a query, in order: by falling similarity, then by rising id.

        Raises:
            InvalidArgument: k is below 1, or a query is not of length 1.
            VectorNotFound: no ready vector has the name that it asks for.
            SpaceMismatch: the queries have another dimension than the vector, or it is of another space.
        """
        return self._nearest(name, query, lambda entry: entry.ready(query.using, query.space))

    def _nearest(self, name: str, query: Query, choose: Choose) -> list[list[Neighbour]]:
        check_k(query.k)
        if query.exclude is not None:
            query = replace(query, exclude=[usable_ids(ids) for ids in query.exclude])
        checked: dict[Space, Vectors] = {}

        def ask(entry: Entry) -> tuple[VectorEntry, Vectors]:
            vector = choose(entry)
            space = vector.info.space
            if space not in checked:
                checked[space] = unit_vectors(entry.name, space, query.vectors)
            return vector, checked[space]

        if not len(query.vectors):
            ask(self._of(name).entry(name))
            return []
        left_out: set[str] = set()

        def note(faults: Sequence[Fault]) -> None:
            self.damage.note(name, faults)
            left_out.update(fault.id for fault in faults)

        while True:
            try:
                hits = self._of(name).nearest(name, ask, query.leaving_out(left_out))
            except DamagedCandidates as damaged:
                ids = usable_ids(fault.id for fault in damaged.faults)
                rows = self._of(name).read(name, ids, lambda _: ())
                uris = {} if rows is None else _uris(rows)
                note([fault._replace(uri=uris.get(fault.id)) for fault in damaged.faults])
                continue
            known = {identity for found in hits.found for identity, _ in found}
            asked = (query.where, query.having) if hits.certain else (None, None)
            records = sound_records(hits.records, note, *asked)
            lost = known - records.keys()
            if not lost:
                return [[Neighbour(records[one], value) for one, value in found] for found in hits.found]
            if hits.certain:  # else somebody has removed it since
                note([Fault(one, None, LOST_RECORD) for one in sorted(lost - left_out)])

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
        check_k(k)
        terms, note = query_terms(words), partial(self.damage.note, name)
        if not terms:
            self._of(name).entry(name)
            return []
        wanted = k
        while True:
            hits = self._of(name).words(name, terms, wanted, where)
            records = sound_records(hits.records, note, where)
            found = [records[identity] for identity in hits.ids if identity in records]
            if len(found) >= k or len(hits.ids) < wanted:
                return found[:k]
            wanted *= 2  # some are damaged, and others take their places

    def build_index(
        self, name: str, using: str | None = None, *, space: Space | None = None
    ) -> Approximation:
        """Make the approximate index of a vector, or bring it up to date, and measure its recall.

        Records that are put, changed or removed afterwards are found, or not, as all others are.

        Args:
            name: the collection.
            using: name of a ready vector; None for the default.
            space: where given, the vector of that space, ready or not.

        Raises:
            Unanswerable: the collection is empty, or its vectors are too long for the store's indexes.
            ExtraMissing: the package that makes it is not installed.
            VectorNotFound: no ready vector has that name.
            SpaceMismatch: no vector is of that space.
        """
        entry, choose = self._of(name).entry(name, counted=True), _choice(using, space)
        choose(entry)
        if not entry.count:
            raise CollectionEmpty(entry.name)
        built = self._of(name).build_index(name, choose)
        if isinstance(built, Approximation):
            return built
        measured = self._measured(name, built)
        self._of(name).keep_recall(built, measured)
        return measured

    def _measured(self, name: str, built: BuiltIndex) -> Approximation:
        """Return what an index finds of the neighbours of some records, which are drawn."""

        def choose(entry: Entry) -> VectorEntry:
            return _kept(entry, built.vector.info.space)

        _, ids = self._of(name).matching(name, None)
        rows = self._of(name).read(name, drawn_order(ids)[:QUERIES], lambda entry: [choose(entry)])
        if rows is None or not rows.vectors[0]:
            raise CollectionEmpty(built.entry.name)
        places, vectors, _ = sound_vectors(rows.vectors[0], built.vector.info.space.dimension)
        some = sorted(places)
        queries = vectors[[places[one] for one in some]]
        every = self._batches(name, None, lambda entry: [choose(entry)])
        return measure_recall(
            built.kind,
            some,
            queries,
            ((records, vectors) for records, (vectors,) in every),
            lambda query: self._nearest(name, query, choose),
        )

    # Looking after

    def check(self) -> list[StructureFault]:
        """Return what is wrong with all that a store keeps beside its records: indexes, words, views.

        It reads as much of that as the store lets it, and finds records that lack a vector that is ready;
        what records and vectors say is for `scan` to find.
        """
        own = self._own_entries()
        faults = [] if self._attached is None else self._attached.check()
        if own or not self._has_attached():
            faults += self._backend.check()
        for entry in own:
            for vector in entry.vectors:
                choose = partial(_kept, space=vector.info.space)
                with suppress(NotFound):  # dropped or deleted meanwhile
                    lost = self._backend.lacking(entry.name, choose, None) if vector.info.ready else []
                    if lost:
                        records = "1 record lacks" if len(lost) == 1 else f"{len(lost):,} records lack"
                        reason = f"{records} the vector {vector.info.name!r}: {', '.join(lost[:_NAMED])}"
                        faults.append(StructureFault(entry.name, None, reason))
        return faults

    def sql(self, statement: str, seconds: float = SECONDS) -> Table:
        """Answer one SQL statement that only reads.

        Args:
            statement: in the store's own SQL; each collection is a view of its name.
            seconds: after which it is stopped, above 0.

        Raises:
            QueryRefused: it does not parse, fails, is more than one, or would write; or the store speaks no
                SQL.
            QueryStopped: it takes longer, or its answer is larger than `sql.MOST_BYTES`.
        """
        answer = None if self._attached is None else self._attached.answer(statement, seconds)
        return self._backend.sql(statement, seconds) if answer is None else answer

    def close(self) -> None:
        """Give back connections and files. A second call does nothing; another call opens them again."""
        self._backend.close()
        if self._attached is not None:
            self._attached.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _choice(using: str | None, space: Space | None) -> Choose:
    """Return what chooses the vector of a space, ready or not, or else the ready one of a name."""
    return lambda entry: entry.ready(using) if space is None else entry.declared(space)


def _uris(rows: Rows) -> dict[str, str]:
    return {str(row[0]): row[1] for row in rows.records if isinstance(row[1], str)}


def _kept(entry: Entry, space: Space) -> VectorEntry:
    """Return the vector that was chosen before, by its space.

    Raises:
        VectorNotFound: it was dropped meanwhile.
    """
    try:
        return entry.declared(space)
    except SpaceMismatch:
        raise VectorNotFound(entry.name, str(space), [one.info.name for one in entry.vectors]) from None
