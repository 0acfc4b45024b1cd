"""The tables of others that are attached to a store, as a back end that `Store` asks as it asks its own.

Nothing of a table is copied: each answer is read from it when it is asked for. So checksums are those of what
was read just now, and rows that came, changed or went are seen by the next question.
"""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from math import log
from typing import TYPE_CHECKING

from lookalike.checksums import vector_checksum
from lookalike.errors import (
    CollectionExists,
    CollectionNotFound,
    LookalikeError,
    QueryRefused,
    StoreError,
    StoreReadOnly,
    TableGone,
    TableNotFound,
)
from lookalike.stores.attached.description import VECTOR, made_of
from lookalike.stores.attached.relabelling import changes_of
from lookalike.stores.backend import BuiltIndex, Hits, Rows, WordHits
from lookalike.stores.checks import ID_LENGTH, same_name
from lookalike.stores.damage import StructureFault
from lookalike.stores.entry import Entry, VectorEntry
from lookalike.stores.stored import stored_record
from lookalike.types import ROW, Approximation

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

    from lookalike.stores.attached.description import Attachment
    from lookalike.stores.attached.foreign import ForeignDatabase, ForeignTable, FoundTable, Tally
    from lookalike.stores.attached.notes import AttachedNotes
    from lookalike.stores.backend import Ask, Choose, ChooseSome, Edit, Give, RecordRow, StampRow, VectorRow
    from lookalike.stores.damage import DamageLog
    from lookalike.stores.query import Query
    from lookalike.stores.stored import StoredLabels, StoredRecord
    from lookalike.types import Record, Space, Table, VectorInfo, Vectors, Where

_NUMBER = 1
"""Of the one vector that an attached collection has."""


class AttachedBackend:
    """What is attached of one store: see `Backend`.

    Args:
        url: of the store, without a password.
        open_database: opens the database, when one of its tables is first asked.
        notes: where it is noted what was attached.
        damage: of the store; nothing of a table of others is damaged.
    """

    def __init__(
        self, url: str, open_database: Callable[[], ForeignDatabase], notes: AttachedNotes, damage: DamageLog
    ) -> None:
        self.url = url
        self.damage = damage
        self.problems: list[str] = []
        self.notes = notes
        self._open_database = open_database
        self._database: ForeignDatabase | None = None
        self._tables: dict[Attachment, ForeignTable] = {}
        self._tallies: dict[Attachment, tuple[Hashable, Tally]] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        with self._lock:
            if self._database is not None:
                self._database.close()
            self._database = None
            self._tables.clear()
            self._tallies.clear()

    # What is attached

    def has(self, name: str) -> bool:
        """Tell whether a collection is an attached table."""
        return same_name(name) in self.notes.all()

    def attachment(self, name: str) -> Attachment:
        """Return what was attached under a name.

        Raises:
            CollectionNotFound: nothing was.
        """
        known = self.notes.all()
        found = known.get(same_name(name))
        if found is None:
            raise CollectionNotFound(name, [each.name for each in known.values()], attached=True)
        return found

    def find(self, table: str) -> FoundTable:
        """Look at a table: see `ForeignDatabase.find`."""
        return self._opened().find(table)

    def table_of(self, attachment: Attachment) -> ForeignTable:
        """Return the table that is described so, whether it is noted or not."""
        database = self._opened()
        attachment = _unmeasured(attachment)
        with self._lock:
            if attachment not in self._tables:
                kept = {_unmeasured(each) for each in self.notes.all().values()}
                for mapping in (self._tables, self._tallies):
                    for each in mapping.keys() - kept:
                        mapping.pop(each)  # detached, or attached otherwise
                self._tables[attachment] = database.open(attachment)
            return self._tables[attachment]

    def tally(self, attachment: Attachment) -> Tally:
        """Count its rows, unless nothing has changed since that was done.

        Raises:
            TableGone: the database does not have it any more.
        """
        table, key = self.table_of(attachment), _unmeasured(attachment)
        try:
            state = table.state()
            known = self._tallies.get(key)
            if known is not None and state is not None and known[0] == state:
                return known[1]
            tally = table.tally()
        except LookalikeError as error:
            if self._is_gone(attachment):
                raise TableGone(attachment.name, attachment.table) from error
            raise
        self._tallies[key] = state, tally
        return tally

    def _is_gone(self, attachment: Attachment) -> bool:
        try:
            self.find(attachment.table)
        except TableNotFound:
            return True
        except LookalikeError:  # nobody knows
            return False
        return False

    def _opened(self) -> ForeignDatabase:
        with self._lock:
            if self._database is None:
                self._database = self._open_database()
            return self._database

    # The catalogue

    def entries(self) -> list[Entry]:
        """Return all that is attached; a table that cannot be read is a problem, and empty."""
        found = []
        for each in self.notes.all().values():
            try:
                found.append(self.entry(each.name, counted=True))
            except LookalikeError as error:
                problem = f"collection {each.name!r} is attached and cannot be read: {error}"
                self.problems = [*(one for one in self.problems if one != problem), problem]
                found.append(replace(_entry(each), count=0, problem=error))
        return found

    def entry(self, name: str, *, counted: bool = False) -> Entry:
        attachment = self.attachment(name)
        entry = _entry(attachment)
        if not counted:
            return entry
        fields = tuple(sorted(name for name, _ in attachment.fields))
        return replace(entry, count=self.tally(attachment).records, fields=fields)

    def create(self, name: str, vector: VectorInfo, metric: bytes | None) -> None:
        """Do nothing: what is attached is there, and the store's own back end makes what is not."""

    def declare(self, name: str, edit: Edit, metrics: Mapping[Space, bytes]) -> None:
        """Refuse another vector: it would need a column.

        Raises:
            StoreReadOnly: the collection would not stay as it is.
        """
        entry = self.entry(name)
        if metrics or edit(entry, lambda _: 0) != entry:
            raise StoreReadOnly(
                self.url,
                f"collection {entry.name!r} is a table of others, which gets no column and no other vector: "
                f"`lookalike copy` makes a collection of its own of it",
            )

    def metric(self, name: str, choose: Choose) -> bytes | None:
        choose(self.entry(name))
        return None

    def rename(self, name: str, new: str) -> None:
        attachment = self.attachment(name)
        if same_name(new) != same_name(name) and self.has(new):
            raise CollectionExists(new)
        self.notes.keep(replace(attachment, name=new))
        if same_name(new) != same_name(name):
            self.notes.forget(name)

    def delete(self, name: str) -> int:
        """Refuse to delete what belongs to others.

        Raises:
            StoreReadOnly: always; the line says how it is forgotten.
        """
        attachment = self.attachment(name)
        raise StoreReadOnly(
            self.url,
            f"{attachment.name!r} is the table {attachment.table} of others, which is not deleted: "
            f"`lookalike detach {attachment.name}` forgets it",
        )

    # Records

    def put(self, name: str, records: Sequence[StoredRecord], give: Give) -> None:
        if records:
            self.refuse_rows(name)

    def refuse_rows(self, name: str) -> None:
        """Refuse new rows: what else they need, only their owner knows.

        Raises:
            StoreReadOnly: always.
        """
        attachment = self.attachment(name)
        raise StoreReadOnly(
            self.url,
            f"{attachment.name!r} is the table {attachment.table} of others, whose owner inserts its rows "
            f"and their vectors (`lookalike embed` computes some; --writable allows to change labels and to "
            f"remove rows); `lookalike copy` makes a collection of its own of it",
        )

    def fill(self, name: str, choose: Choose, records: Sequence[Record], vectors: Vectors) -> int:
        choose(self.entry(name))
        return 0  # every record has its vector, or is none

    def lacking(self, name: str, choose: Choose, most: int | None) -> list[str]:
        choose(self.entry(name))
        return []

    def relabel(self, name: str, labels: Sequence[StoredLabels]) -> None:
        attachment = self._writable(name)
        table, by_id = self.table_of(attachment), {one.id: one for one in labels}
        changes = {
            row.id: found
            for row in table.rows(list(by_id))
            if (found := changes_of(attachment, row, by_id[row.id].fields, by_id[row.id].metadata))
        }
        if changes:
            table.update(changes)

    def remove(self, name: str, ids: Sequence[str]) -> int:
        return self.table_of(self._writable(name)).remove(ids)

    def _writable(self, name: str) -> Attachment:
        attachment = self.attachment(name)
        if not attachment.writable:
            raise StoreReadOnly(
                self.url,
                f"{attachment.name!r} is the table {attachment.table} of others and was attached "
                f"to be read: `lookalike attach {attachment.table} --writable` allows changes",
            )
        return attachment

    def stamps(self, name: str) -> Iterator[StampRow]:
        attachment = self.attachment(name)
        for row in self.table_of(attachment).rows():
            stored = stored_record(made_of(attachment, row))
            one = stored.record
            labels = stored.labels.digest
            yield (one.uri, one.id, one.size, one.modified_ns, labels, one.digest, stored.checksum)

    def ids_by_digest(self, name: str, digest: str) -> list[str]:
        attachment = self.attachment(name)
        table = self.table_of(attachment)
        if attachment.digest is None and not digest.startswith(ROW):
            return []
        # Where nobody knows the bytes of a picture, a row is the same as itself.
        itself = digest.startswith(ROW) and len(digest) < ID_LENGTH
        rows = table.rows([digest.removeprefix(ROW)] if itself else None)
        return sorted(row.id for row in rows if made_of(attachment, row).digest == digest)

    def matching(self, name: str, where: Where | None) -> tuple[Entry, list[str]]:
        attachment = self.attachment(name)
        return _entry(attachment), self.table_of(attachment).ids(where)

    def read(self, of: str | Entry, ids: Sequence[str], choose: ChooseSome) -> Rows | None:
        attachment = self.attachment(of) if isinstance(of, str) else of.key
        entry = _entry(attachment)
        table = self.table_of(attachment)
        chosen = choose(entry)
        vectors = [_vector_rows(*table.vectors(ids)) for _ in chosen[:1]]
        records = self._records(attachment, ids)
        if vectors:
            # A row that went, or lost its vector, between the two questions is no record any more.
            both = {row[0] for row in records} & {row[0] for row in vectors[0]}
            records = [row for row in records if row[0] in both]
            vectors = [[row for row in vectors[0] if row[0] in both]]
        return Rows(entry, records, vectors)

    def _records(self, attachment: Attachment, ids: Sequence[str] | None) -> list[RecordRow]:
        if ids is not None and not ids:
            return []
        rows = self.table_of(attachment).rows(ids)
        return [_record_row(stored_record(made_of(attachment, row))) for row in rows]

    # Search

    def nearest(self, name: str, ask: Ask, query: Query) -> Hits:
        attachment = self.attachment(name)
        _, queries = ask(_entry(attachment))
        if query.approximate and attachment.approximation is None:
            query = replace(query, approximate=False)
        found = self.table_of(attachment).nearest(queries, query)
        ids = list({identity for hits in found for identity, _ in hits})
        return Hits(found, self._records(attachment, ids), certain=False)

    def words(self, name: str, terms: Sequence[str], k: int, where: Where | None) -> WordHits:
        """Return the records that have any of the words: those with most of them first, rare ones above all.

        A table of others has no index of words of ours: all rows are read.
        """
        attachment = self.attachment(name)
        table = self.table_of(attachment)
        among = None if not where else set(table.ids(where))
        having: dict[str, set[str]] = {}
        frequency: Counter[str] = Counter()
        wanted, count = set(terms), 0
        for row in table.rows():
            if among is not None and row.id not in among:
                continue
            count += 1
            stored = stored_record(made_of(attachment, row))
            words = wanted & set(stored.labels.words(stored.record.uri).split(" "))
            if words:
                having[row.id] = words
                frequency.update(words)
        scores = {
            identity: sum(log(1 + count / frequency[word]) for word in sorted(words))
            for identity, words in having.items()
        }
        ids = sorted(scores, key=lambda one: (-scores[one], one))[:k]
        return WordHits(ids, self._records(attachment, ids))

    def build_index(self, name: str, choose: Choose) -> BuiltIndex:
        """Make nothing: find the index that the table has, which is measured then."""
        attachment = self.attachment(name)
        entry = _entry(attachment)
        kind = self.table_of(attachment).index()
        # So that the measurement goes through it.
        self.notes.keep(replace(attachment, approximation=Approximation(kind, 0.0, 0, 0)))
        return BuiltIndex(entry, choose(entry), kind)

    def keep_recall(self, built: BuiltIndex, measured: Approximation) -> None:
        found = self.notes.all().get(same_name(built.entry.name))
        if found is not None:
            self.notes.keep(replace(found, approximation=measured))

    # Looking after

    def check(self) -> list[StructureFault]:
        """Return which rows of attached tables are no records, and what else is to be known of them."""
        found = []
        for each in self.notes.all().values():
            with suppress(StoreError, TableGone):  # whoever reads its records says why that cannot be
                found += [
                    StructureFault(
                        each.name,
                        None,
                        f"{each.table}: {one}",
                        "it is left out; whoever writes the table can mend it",
                    )
                    for one in self.tally(each).left_out
                ]
        return found

    def sql(self, statement: str, seconds: float) -> Table:
        """Answer a statement in which attached tables have the names of their collections.

        Raises:
            QueryRefused: it is not to be answered with them.
        """
        found = self.answer(statement, seconds)
        if found is None:
            raise QueryRefused("no attached table is in it")
        return found

    def answer(self, statement: str, seconds: float) -> Table | None:
        """Answer a statement as `sql` does; None where the store's own back end answers as well."""
        known = list(self.notes.all().values())
        return self._opened().sql(known, statement, seconds) if known else None


def _unmeasured(attachment: Attachment) -> Attachment:
    """Return what of an attachment says how its table is read, whatever it is called."""
    return replace(attachment, approximation=None, name="")


def _entry(attachment: Attachment) -> Entry:
    kind = None if attachment.approximation is None else attachment.approximation.kind
    vector = VectorEntry(_NUMBER, attachment.info, kind)
    return Entry(attachment, attachment.name, (vector,), VECTOR, attached=True, writable=attachment.writable)


def _record_row(stored: StoredRecord) -> RecordRow:
    one, labels = stored.record, stored.labels
    return (
        *(one.id, one.uri, one.digest, labels.fields_text, labels.metadata_text, one.size, one.modified_ns),
        *(stored.checksum, labels.checksum),
    )


def _vector_rows(ids: Sequence[str], vectors: Vectors) -> list[VectorRow]:
    contents = [row.tobytes() for row in vectors.astype("<f4", copy=False)]
    return [(one, vector_checksum(one, content), content) for one, content in zip(ids, contents, strict=True)]
