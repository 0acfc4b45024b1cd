"""Imports: vectors that others computed become records of a collection, a block of rows at a time.

What is written survives a kill, and the same import again goes on from there: a row that is there as it is to
be is not written once more. Memory: two blocks of 1,000 rows.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from lookalike.embedders.unknown import unknown_space
from lookalike.errors import CollectionNotFound, InvalidArgument, OutputFailed, SpaceMismatch, UnusableImage
from lookalike.file_names import display
from lookalike.images.formats import format_of
from lookalike.images.limits import MAX_PIXELS
from lookalike.ingest.declaration import check_vector_name, declare
from lookalike.ingest.embedding import MAX_BYTES, embed_files, read_digest
from lookalike.ingest.record_writer import RecordWriter, unit_rows
from lookalike.label_normalisation import labels_digest
from lookalike.labels.fields import INTEGERS, scalar
from lookalike.labels.labelling import Label
from lookalike.labels.tables.parquet import plain
from lookalike.metric_learning.corrections import delivered_again
from lookalike.output_files import replace_file
from lookalike.progress import silent
from lookalike.sources.folders import file_status, file_time
from lookalike.sources.locations import folder_uri
from lookalike.sources.uploads import Upload
from lookalike.stores.attached.description import SHA_256, row_id
from lookalike.stores.attached.foreign_vectors import (
    NO_ID,
    NO_VECTOR,
    NOT_UNIT,
    OTHER_DIMENSION,
    SAME_ID,
    UNREADABLE,
    Counts,
    usable,
)
from lookalike.stores.checks import ID_LENGTH, collection_name
from lookalike.stores.id_table import IdTable
from lookalike.stores.store import VECTOR
from lookalike.transfer.exports.columns import mixed_value
from lookalike.transfer.imports.columns import Columns, Wanted, find_columns, with_later
from lookalike.transfer.imports.folders import open_table
from lookalike.types import OWN_KEY, ROW, Record, Skipped, Space
from lookalike.uris import file_uri, frame_uri, local_path, place_uri, record_id, split_frame
from lookalike.vectors.metric import normalise

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from lookalike.embedders.models import Models
    from lookalike.embedders.protocol import Embedder
    from lookalike.ingest.embedding import EmbeddedFile
    from lookalike.progress import Progress
    from lookalike.stores.attached.foreign import LeftOut
    from lookalike.stores.store import Store
    from lookalike.transfer.imports.blocks import Block
    from lookalike.transfer.imports.table import Table
    from lookalike.types import CollectionInfo, Features, Scalar

# Pictures that are embedded to see whether the model would give the vectors that are imported.
_VERIFIED = 8
# The same model on another runtime is nearer than this; another model, or another preprocessing, is not.
_ALIKE = 0.99
SENT_FOLDER = "file://sent/"
"""The root of the machine that a file was sent from, as URIs name it (RFC 8089): no file here is below it."""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What is imported, and what is known of it."""

    model: str | None = None
    """The embedder that the vectors were made by, or that embeds the pictures."""
    space: str | None = None
    """Instead, a name for an unknown one."""
    columns: Wanted = field(default_factory=Wanted)
    ids: Path | None = None
    """Of a .npy, the file that names its rows."""
    base: str | None = None
    """The folder, or the `s3://bucket/prefix`, that paths are relative to; None: the file's own."""
    pictures: Path | None = None
    """A folder for the pictures that are in the file; None: they are not kept."""
    encoding: str | None = None
    """Of CSV that is not UTF-8; None to guess."""
    vector: str | None = None
    """The name that the vector has in the collection; None: the file's, or the usual one."""
    dry_run: bool = False
    """Say what would be taken of the first rows, and write nothing."""
    max_pixels: int = MAX_PIXELS
    sent: bool = False
    """It came from another machine: paths in it are of that one, but for those below `base`, and nothing that
    its rows name is opened."""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of every row."""

    collection: str
    form: str
    """What was read: Parquet, CSV, clip-retrieval …"""
    columns: Mapping[str, str]
    """What was taken for what."""
    spaces: Mapping[str, Space]
    """Of each vector, by its name."""
    rows: int
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    left_out: tuple[LeftOut, ...] = ()
    """Rows that are no records, and why."""
    counted: tuple[LeftOut, ...] = ()
    """Rows that are records, and what is to be known of them."""
    skipped: tuple[Skipped, ...] = ()
    """Pictures that could not be embedded."""
    verified: int = 0
    """Pictures that were embedded to compare the vectors with what the model makes of them."""
    similarity: float | None = None
    """The least that was found so; None where no picture was at hand."""
    remarks: tuple[str, ...] = ()

    @property
    def doubtful(self) -> bool:
        """Whether the model would give other vectors than those that were imported."""
        return self.similarity is not None and self.similarity < _ALIKE


def import_vectors(
    store: Store,
    models: Models,
    name: str,
    path: Path,
    options: ImportOptions,
    progress: Progress = silent,
) -> ImportReport:
    """Make records of the rows of a file or folder.

    Args:
        store: where the collection lives, which is made if it is missing.
        models: open the embedder.
        name: the collection.
        path: see `folders.open_table`.
        options: what, and what is known of it.
        progress: called with rows done and rows to do, where the file tells that.

    Returns:
        What became of every row.

    Raises:
        PathNotFound: a file is not there.
        InvalidArgument: it cannot be read, a column is not there, or nobody says what made the vectors.
        SpaceMismatch: the collection has other vectors.
        ModelNotFound, WeightsMissing, ExtraMissing: of the embedder, or of what reads the file.
    """
    collection_name(name)
    table = open_table(path, options.ids, options.encoding)
    first = next(iter(table.open()), None)
    if first is None:
        raise InvalidArgument(f"{table.name} has no rows")
    if options.vector is not None:
        check_vector_name(options.vector)
    columns = find_columns(table, first, options.columns, options.vector or VECTOR)
    run = _Import(store, models, name, table, columns, options)
    with closing(run):
        run.settle_spaces(first)
        if options.dry_run:
            run.look(first)
        else:
            run.declare()
            for block in table.open():
                run.take(block)
                done = block.start + block.count
                progress(done, max(done, table.total or 0))
    return run.report()


class _Import:
    """One import under way."""

    def __init__(
        self,
        store: Store,
        models: Models,
        name: str,
        table: Table,
        columns: Columns,
        options: ImportOptions,
    ) -> None:
        self._store = store
        self._models = models
        self._name = name
        self._table = table
        self._columns = columns
        self._options = options
        self._spaces: dict[str, Space] = {}
        self._embedder: Embedder | None = None
        self._writer = RecordWriter(store, name)
        self._seen = IdTable()
        self._left_out, self._counted = Counts(), Counts()
        self._skipped: list[Skipped] = []
        self._rows = self._added = self._updated = self._unchanged = self._verified = 0
        self._similarity: float | None = None
        self._known: set[str] = set()
        base = SENT_FOLDER if options.sent and options.base is None else options.base or table.base
        self._base = base if base == SENT_FOLDER else folder_uri(base)

    def close(self) -> None:
        """Give back what is on disk."""
        self._seen.close()

    def settle_spaces(self, first: Block) -> None:
        """Find out which space each vector is of, of the first rows, by which the columns were found.

        Raises:
            InvalidArgument: nobody says so, or the model's vectors have another dimension.
        """
        options, columns = self._options, self._columns
        self._known = {*first.columns}
        if options.model is not None and options.space is not None:
            raise InvalidArgument(
                "either a model is named, or an unknown one gets a name (--space), not both"
            )
        if options.model is not None:
            self._embedder = self._models.embedder(options.model)
        if not columns.vectors:
            if self._embedder is None:
                raise InvalidArgument(
                    f"{self._table.name} has pictures and no vectors: say which model embeds them (--model)"
                )
            self._spaces = {options.vector or VECTOR: _space_of(self._embedder)}
            return
        for vector, of in columns.vectors.items():
            said = columns.spaces.get(vector)
            dimension = _dimension(first, of, columns.bytes_of) if said is None else int(said["dimension"])
            if self._embedder is not None and said is None and self._embedder.dimension != dimension:
                raise InvalidArgument(
                    f"the vectors have {dimension:,} numbers, and those of {options.model} have "
                    f"{self._embedder.dimension:,}"
                )
            if said is not None:
                space = Space(str(said["embedder"]), str(said["embedder_fingerprint"]), dimension)
                if (
                    self._embedder is not None
                    and len(columns.vectors) == 1
                    and space != _space_of(self._embedder)
                ):
                    raise SpaceMismatch(self._name, str(space), str(_space_of(self._embedder)))
            elif self._embedder is not None:
                space = _space_of(self._embedder)
            elif options.space is not None:
                space = unknown_space(options.space, dimension)
            else:
                raise InvalidArgument(
                    "say which model the vectors are of (--model), or give an unknown one a name (--space)"
                )
            self._spaces[vector] = space
        if len({*self._spaces.values()}) < len(self._spaces):
            raise InvalidArgument(
                f"{self._table.name} has several vectors: say which one (--vector), {', '.join(self._spaces)}"
            )

    def declare(self) -> None:
        """Make the collection, or see that it has the vectors."""
        there: CollectionInfo | None = None
        with suppress(CollectionNotFound):
            there = self._store.collection(self._name)
        if there is not None:
            given = {space.embedder_fingerprint for space in self._spaces.values()}
            lacking = [each for each in there.vectors if each.space.embedder_fingerprint not in given]
            if lacking:
                held = " and ".join(str(each.space) for each in there.vectors)
                found = " and ".join(map(str, self._spaces.values()))
                error = SpaceMismatch(there.name, held, found)
                line = (
                    f"collection {there.name!r} holds vectors of {held}, those of {self._table.name} are of "
                    f"{found}: import into another collection (--collection)"
                )
                error.args = (line,)
                raise error
        for number, (vector, space) in enumerate(self._spaces.items()):
            known = there is not None and any(each.space == space for each in there.vectors)
            if not known:
                declare(
                    self._store,
                    self._name,
                    space,
                    vector if number or there is None else self._options.vector,
                )

    def look(self, block: Block) -> None:
        """Count what would become of some rows."""
        self._prepare(block)

    def take(self, block: Block) -> None:
        """Make records of some rows, and write those that are not there as they are to be."""
        records, features = self._prepare(block)
        if not records:
            return
        known = {each.id: each for each in self._store.get(self._name, [record.id for record in records])}
        records = [self._merged(record, known.get(record.id)) for record in records]
        same = self._same(records, features, known)
        write = [place for place, record in enumerate(records) if record.id not in same]
        if write:
            some = {made_by: rows[write] for made_by, rows in features.items()}
            self._writer.put([records[place] for place in write], some)
        self._unchanged += len(same)
        self._updated += sum(records[place].id in known for place in write)
        self._added += sum(records[place].id not in known for place in write)

    def report(self) -> ImportReport:
        """Return what became of the rows so far."""
        return ImportReport(
            self._name, self._table.form, self._columns.told(), self._spaces, self._rows, self._added,
            self._updated, self._unchanged, self._left_out.told(), self._counted.told(), tuple(self._skipped),
            self._verified, self._similarity, (*self._table.remarks, *self._columns.remarks),
        )  # fmt: skip

    def _merged(self, record: Record, known: Record | None) -> Record:
        """Return a record as it is to be: what people have put right since stays."""
        if known is None or OWN_KEY in record.metadata:
            return record
        label, _ = delivered_again(known, Label(record.fields, record.metadata))
        return replace(record, fields=label.fields, metadata=label.metadata)

    def _same(
        self, records: Sequence[Record], features: Mapping[str, Features], known: Mapping[str, Record]
    ) -> set[str]:
        """Return the ids of those that are there already, with these vectors."""
        alike = {
            record.id
            for record in records
            if (there := known.get(record.id)) is not None
            and replace(there, fields={}, metadata={}) == replace(record, fields={}, metadata={})
            and labels_digest(there.fields, there.metadata) == labels_digest(record.fields, record.metadata)
        }
        if not alike:
            return alike
        places = {record.id: place for place, record in enumerate(records)}
        stored, vectors = self._store.vectors_of(self._name, sorted(alike))
        for space, rows in vectors.items():
            given = features.get(space.embedder_fingerprint)
            if given is None or space not in self._spaces.values():  # a fit's, which is made of these
                continue
            for record, row in zip(stored, rows, strict=True):
                if not np.array_equal(given[places[record.id]], row):
                    alike.discard(record.id)
        return alike & {record.id for record in stored}

    def _prepare(self, block: Block) -> tuple[list[Record], dict[str, Features]]:
        """Return the records of some rows, and the vectors of each embedder."""
        self._rows += block.count
        later = [name for name in block.columns if name not in self._known]
        if later and not self._columns.stamped and self._columns.whole is None:
            guess = not self._options.columns.fields
            self._columns = with_later(self._columns, block, later, guess=guess)
        self._known.update(later)
        names = self._names(block)
        usable = [row for row, (identity, _) in enumerate(names) if identity is not None]
        for row, (identity, said) in enumerate(names):
            if identity is None:
                self._left_out.add(NO_ID, said)
            elif not self._seen.add(identity):
                self._left_out.add(SAME_ID, said)
                usable.remove(row)
        if not self._columns.vectors:
            return self._embedded(block, usable, names)
        found: dict[str, Features] = {}
        for vector, columns in self._columns.vectors.items():
            rows = block.vectors(columns, self._columns.bytes_of)
            space = self._spaces[vector]
            kept, matrix = self._usable([rows[row] for row in usable], usable, names, space.dimension)
            usable = [usable[place] for place in kept]
            found = {made_by: before[kept] for made_by, before in found.items()}
            found[space.embedder_fingerprint] = matrix
        records = self._records(block, usable, names)
        if self._embedder is not None and not self._verified:
            self._verify(block, usable, records, found)
        return records, found

    def _names(self, block: Block) -> list[tuple[str | None, object]]:
        """Return the id of each row, None where it can have none, and what the file calls it."""
        columns = self._columns
        if columns.id is not None:
            return [(row_id(value), value) for value in block.values(columns.id)]
        uris = self._uris(block, None)
        return [(record_id(uri), uri) for uri in uris]

    def _usable(
        self,
        vectors: Sequence[NDArray[np.float32] | str | None],
        rows: Sequence[int],
        names: Sequence[tuple[str | None, object]],
        dimension: int,
    ) -> tuple[list[int], Features]:
        """Return the places of those whose vector can be used, and these vectors, of length 1."""
        reasons: dict[int, str] = {}
        numbers: dict[int, NDArray[np.float32]] = {}
        for place, vector in enumerate(vectors):
            if vector is None:
                reasons[place] = NO_VECTOR
            elif isinstance(vector, str):
                reasons[place] = UNREADABLE.format("numbers")
            elif len(vector) != dimension:
                reasons[place] = OTHER_DIMENSION.format(dimension)
            else:
                numbers[place] = vector
        matrix = np.array(list(numbers.values()), np.float32).reshape(len(numbers), dimension)
        found = usable(matrix, list(numbers), reasons)
        for place in sorted(found.reasons):
            self._left_out.add(found.reasons[place], names[rows[place]][1])
        for place in found.not_unit:
            self._counted.add(NOT_UNIT, names[rows[place]][1])
        return found.rows, unit_rows(matrix[np.isin(list(numbers), found.rows)])

    def _uris(self, block: Block, ids: Sequence[str | None] | None) -> list[str]:
        """Return where the picture of each row is, or a name for the row."""
        columns = self._columns
        places = [None] * block.count if columns.uri is None else block.values(columns.uri)
        images = self._images(block)
        found = []
        for row, (place, (data, path)) in enumerate(zip(places, images, strict=True)):
            if columns.stamped and isinstance(place, str) and place:
                found.append(self._theirs(place))
                continue
            written = place if isinstance(place, str) and place else None
            if written is None and data is None:
                written = path
            if written is not None:
                found.append(self._theirs(place_uri(written, self._base)))
            elif data is not None and self._options.pictures is not None:
                found.append(file_uri(self._kept_picture(data)))
            else:
                named = None if ids is None else ids[row]
                of = named if named is not None else str(block.start + row)
                found.append(f"row:{quote(self._table.name, safe='')}/{of}")
        return found

    def _theirs(self, uri: str) -> str:
        """Return the URI of a picture as one of the machine that the file came from, unless it is of this."""
        path = local_path(uri) if self._options.sent else None
        if path is None or (uri.startswith(self._base) and ".." not in path.parts):
            return uri
        frame = split_frame(uri)
        sent = SENT_FOLDER + file_uri(path).removeprefix("file:///")
        return sent if frame is None else frame_uri(sent, frame[1])

    def _images(self, block: Block) -> list[tuple[bytes | None, str | None]]:
        """Return the bytes of each row's picture, and the path that stands beside them."""
        if self._columns.image is None:
            return [(None, None)] * block.count
        found: list[tuple[bytes | None, str | None]] = []
        for value in block.values(self._columns.image):
            if isinstance(value, dict):
                found.append((value.get("bytes"), value.get("path")))
            else:
                found.append((value if isinstance(value, bytes) else None, None))
        return found

    def _kept_picture(self, data: bytes) -> Path:
        """Return where the picture lies that is in the file."""
        kind = format_of(data)
        suffix = ".bin" if kind is None else kind.suffix
        folder = (self._options.pictures or Path()).expanduser().absolute()
        return folder / f"{hashlib.sha256(data).hexdigest()}{suffix}"

    def _records(
        self,
        block: Block,
        rows: Sequence[int],
        names: Sequence[tuple[str | None, object]],
        embedded: Mapping[int, EmbeddedFile] | None = None,
    ) -> list[Record]:
        """Return the records of some rows."""
        columns = self._columns
        ids = [identity for identity, _ in names]
        uris, images = self._uris(block, ids), self._images(block)
        fields = {name: block.values(column) for name, column in columns.fields.items()}
        whole = None if columns.whole is None else block.values(columns.whole)
        metadata = None if columns.metadata is None else block.values(columns.metadata)
        more = {name: block.values(name) for name in columns.more}
        digests = None if columns.digest is None else block.values(columns.digest)
        sizes = block.values("size") if columns.stamped else None
        times = block.values("modified_ns") if columns.stamped else None
        found = []
        for row in rows:
            identity, uri, data = ids[row] or "", uris[row], images[row][0]
            if whole is not None:
                said = whole[row] or {}
                if not isinstance(said, dict):
                    raise self._miswritten(block, row, columns.whole or "", said)
                own: dict[str, Scalar] = dict(said)
            else:
                values = {name: self._value(name, listed[row]) for name, listed in fields.items()}
                own = {name: value for name, value in values.items() if value is not None}
            document = {} if metadata is None else _document(columns.metadata or "", metadata[row])
            document |= {name: plain(listed[row]) for name, listed in more.items() if listed[row] is not None}
            digest = None if digests is None else digests[row]
            stamp: tuple[str | None, int, int] = (None, 0, 0)
            if sizes is not None and times is not None:
                size, time = (
                    self._whole(block, row, name, listed[row] or 0)
                    for name, listed in (("size", sizes), ("modified_ns", times))
                )
                stamp = (digest if isinstance(digest, str) else None, size, time)
            elif embedded is not None:
                stamp = (embedded[row].digest, embedded[row].size, embedded[row].modified_ns)
            elif data is not None:
                stamp = (hashlib.sha256(data).hexdigest(), len(data), 0)
            elif not self._options.sent:
                stamp = _stamp(uri)
            if stamp[0] is None and isinstance(digest, str) and SHA_256.fullmatch(digest):
                stamp = (digest.lower(), *stamp[1:])
            if data is not None and self._options.pictures is not None and not self._options.dry_run:
                stamp = (stamp[0], *self._keep(data))
            # Nobody knows whether two pictures are one file: no two rows are said to be.
            found.append(
                Record(identity, uri, stamp[0] or f"{ROW}{identity}"[:ID_LENGTH], own, document, *stamp[1:])
            )
        return found

    def _keep(self, data: bytes) -> tuple[int, int]:
        """Write a picture that is in the file into the folder of pictures; return its size and time there."""
        path = self._kept_picture(data)
        if not path.exists():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                replace_file(path, data)
            except OSError as error:
                raise OutputFailed(str(path), error.strerror or str(error)) from error
        status = path.stat()
        return status.st_size, file_time(status)

    def _whole(self, block: Block, row: int, column: str, value: object) -> int:
        """Return a size or time as `lookalike export` wrote it."""
        with suppress(TypeError, ValueError, OverflowError):
            if (found := int(value)) in INTEGERS:  # type: ignore[call-overload]
                return int(found)
        raise self._miswritten(block, row, column, value)

    def _miswritten(self, block: Block, row: int, column: str, value: object) -> InvalidArgument:
        shown = display(repr(value)[:80])
        return InvalidArgument(
            f"{self._table.name}, row {block.start + row + 1:,}: {column!r} is {shown}, which "
            f"`lookalike export` writes otherwise"
        )

    def _value(self, name: str, value: object) -> Scalar | None:
        """Return the value of a field."""
        columns = self._columns
        if columns.stamped:  # as a store gave it
            if name in columns.mixed and isinstance(value, str):
                return mixed_value(value)
            return value if isinstance(value, str | int | float) else None
        classes = self._table.classes.get(columns.fields[name])
        if classes is not None and isinstance(value, int):
            return classes[value] if 0 <= value < len(classes) else None
        if value is None or isinstance(value, str | int | float | list | dict):
            return scalar(value)
        return scalar(value.isoformat() if hasattr(value, "isoformat") else str(value))

    def _sources(self, block: Block, rows: Sequence[int], uris: Sequence[str]) -> dict[int, Upload | Path]:
        """Return the pictures of some rows that are at hand."""
        images = self._images(block)
        found: dict[int, Upload | Path] = {}
        for row in rows:
            data, path = images[row][0], None if self._options.sent else local_path(uris[row])
            if data is not None:
                found[row] = Upload(f"{self._table.name}, row {block.start + row}", data)
            elif path is not None and path.is_file():
                found[row] = path
        return found

    def _embedded(
        self, block: Block, rows: Sequence[int], names: Sequence[tuple[str | None, object]]
    ) -> tuple[list[Record], dict[str, Features]]:
        """Return the records of rows whose pictures are embedded now."""
        embedder = self._embedder
        assert embedder is not None  # noqa: S101 as `settle_spaces` has seen to
        uris = self._uris(block, [identity for identity, _ in names])
        sources = self._sources(block, rows, uris)
        for row in rows:
            if row not in sources:
                self._skipped.append(Skipped(uris[row], "there is no picture"))
        if self._options.dry_run:
            return [], {}
        embedded: dict[int, EmbeddedFile] = {}
        outcomes = embed_files(
            list(sources.values()), embedder, self._models.features(embedder),
            max_pixels=self._options.max_pixels,
        )  # fmt: skip
        for row, outcome in zip(sources, outcomes, strict=True):
            if isinstance(outcome, Skipped):
                self._skipped.append(outcome)
            else:
                embedded[row] = outcome
        records = self._records(block, list(embedded), names, embedded)
        if not records:
            return [], {}
        return records, {embedder.fingerprint: np.stack([each.features for each in embedded.values()])}

    def _verify(
        self, block: Block, rows: Sequence[int], records: Sequence[Record], found: Mapping[str, Features]
    ) -> None:
        """Compare a few vectors with what the model makes of their pictures, where these are at hand."""
        embedder = self._embedder
        if embedder is None or embedder.fingerprint not in found:
            return
        uris = {row: record.uri for row, record in zip(rows, records, strict=True)}
        sources = self._sources(block, rows, [uris.get(row, "") for row in range(block.count)])
        some = dict(islice(sources.items(), _VERIFIED))
        outcomes = embed_files(list(some.values()), embedder, self._models.features(embedder))
        given = normalise(found[embedder.fingerprint])
        places = {row: place for place, row in enumerate(rows)}
        for row, outcome in zip(some, outcomes, strict=True):
            if not isinstance(outcome, Skipped):
                made = normalise(outcome.features[None])[0]
                similarity = float(made @ given[places[row]])
                self._verified += 1
                self._similarity = min(similarity, 1.0 if self._similarity is None else self._similarity)


def _space_of(embedder: Embedder) -> Space:
    return Space(embedder.name, embedder.fingerprint, embedder.dimension)


def _dimension(block: Block, columns: tuple[str, ...], bytes_of: str) -> int:
    """Return the dimension that most of the first vectors have."""
    lengths = [len(each) for each in block.vectors(columns, bytes_of) if isinstance(each, np.ndarray)]
    if not lengths:
        raise InvalidArgument(
            f"no vector can be read in {columns[0]!r}: say which column has them (--vector)"
        )
    return max(set(lengths), key=lambda length: (lengths.count(length), length))


def _stamp(uri: str) -> tuple[str | None, int, int]:
    """Return SHA-256, size and time of the file that a URI names, where it is on this machine."""
    path = local_path(uri)
    if path is None:
        return None, 0, 0
    try:
        status = file_status(path)
    except (OSError, UnusableImage):
        return None, 0, 0
    digest = read_digest(path) if status.st_size <= MAX_BYTES else None
    if not isinstance(digest, str):
        return None, 0, 0
    return digest, status.st_size, file_time(status)


def _document(column: str, value: object) -> dict[str, Any]:
    """Return metadata as a document."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {column: value}
    if value is None:
        return {}
    found = plain(value)
    return found if isinstance(found, dict) else {column: found}
