"""Tables of vectors in files of many forms, read a block at a time.

Parquet, Arrow (both forms of IPC, which Feather is one of), NumPy's .npy with a list or a table of ids and
.npz, CSV, and JSON; texts may be packed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lookalike.arrow import pyarrow
from lookalike.errors import InvalidArgument, PathNotFound
from lookalike.file_names import display
from lookalike.transfer.exports.parquet import NOTE
from lookalike.transfer.imports.blocks import MOST_ROWS, Block
from lookalike.transfer.imports.csv_tables import csv_table
from lookalike.transfer.imports.json_tables import json_table
from lookalike.transfer.imports.matrices import archive_table, matrix_table, named_rows
from lookalike.transfer.imports.table import Table
from lookalike.transfer.imports.text_files import bare_suffix, find_encoding, is_packed, open_text
from lookalike.vectors.written_vectors import NPY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path


def read_table(path: Path, ids: Path | None = None, encoding: str | None = None) -> Table:
    """Return the table in one file, whose form its suffix tells.

    Args:
        path: the file.
        ids: of a .npy, the file that names its rows.
        encoding: of a text that is no UTF-8; None to guess.

    Raises:
        PathNotFound: it is not there.
        InvalidArgument: it is of no form that is known here, or cannot be read.
        ExtraMissing: pyarrow is needed, and not installed.
    """
    if not path.is_file():
        raise PathNotFound(str(path))
    suffix = bare_suffix(path)
    if suffix not in _SUFFIXES or (is_packed(path) and suffix not in _TEXTS):
        suffix = "" if is_packed(path) else _sniffed(path)
    if ids is not None and suffix != ".npy":
        raise InvalidArgument("a file of ids is for the vectors of a .npy")
    if suffix == ".npy":
        return _matrix(path, ids, encoding)
    if suffix == ".npz":
        return archive_table(path)
    if suffix in PARQUET:
        return parquet_table(path)
    if suffix in ARROW:
        return arrow_table([path])
    if suffix in _JSON:
        return json_table(path, encoding=encoding)
    if suffix in _CSV:
        return csv_table(path, encoding)
    if suffix == ".db":
        raise InvalidArgument(
            f"{display(path)} is a database of SQLite: `lookalike attach TABLE --store sqlite:///{path.name}`"
            f" makes a collection of a table in it"
        )
    raise InvalidArgument(
        f"{display(path)}: .parquet, .arrow, .feather, .npy, .npz, .csv, .tsv, .jsonl and .json are read, "
        f"texts packed as .gz, .bz2, .xz or .zst, too, and folders of them, of clip-retrieval, FiftyOne and "
        f"Hugging Face's datasets"
    )


PARQUET = (".parquet", ".pq")
ARROW = (".arrow", ".arrows", ".feather", ".ipc")
TEXTS = (".csv", ".tsv", ".jsonl", ".ndjson")
"""What the names of files end in of which a folder may have several; texts may be packed."""
_CSV = (".csv", ".tsv", ".txt")
_JSON = (".jsonl", ".ndjson", ".json")
_TEXTS = (*_CSV, *_JSON)
_SUFFIXES = (*PARQUET, *ARROW, *_TEXTS, ".npy", ".npz")
# How files begin whose names do not say what they are.
_SIGNATURES = (
    (b"PAR1", ".parquet"),
    (b"ARROW1", ".arrow"),
    (NPY, ".npy"),
    (b"PK\x03\x04", ".npz"),
    (b"SQLite format 3\0", ".db"),
)


def _sniffed(path: Path) -> str:
    """Return what a file's name should end in, by its first bytes; empty where these say nothing."""
    try:
        with path.open("rb") as file:
            first = file.read(16)
    except OSError as error:
        raise InvalidArgument(f"{display(path)} cannot be read: {error.strerror or error}") from error
    return next((suffix for signature, suffix in _SIGNATURES if first.startswith(signature)), "")


def parquet_table(path: Path) -> Table:
    """Return the table in a Parquet file."""
    pa = pyarrow("reading Parquet and Arrow")
    with _said(pa, path, lambda: pa.parquet.ParquetFile(path)) as file:
        total, schema = file.metadata.num_rows, file.schema_arrow

    def batches() -> Iterator[Any]:
        with pa.parquet.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=MOST_ROWS)

    return _arrow("Parquet", path, schema, total, lambda: _said_all(pa, path, batches()))


def arrow_table(paths: Sequence[Path]) -> Table:
    """Return the table in Arrow files or streams (IPC), one after the other."""
    pa = pyarrow("reading Parquet and Arrow")

    def opened(path: Path) -> Any:
        source = pa.memory_map(str(path))
        try:
            return pa.ipc.open_file(source)
        except pa.ArrowInvalid:
            source.seek(0)
            return pa.ipc.open_stream(source)

    def batches() -> Iterator[Any]:
        for path in paths:
            reader = opened(path)
            if isinstance(reader, pa.ipc.RecordBatchStreamReader):
                yield from reader
            else:
                yield from (reader.get_batch(number) for number in range(reader.num_record_batches))

    schema = _said(pa, paths[0], lambda: opened(paths[0]).schema)
    return _arrow("Arrow", paths[0], schema, None, lambda: _said_all(pa, paths[0], batches()))


def _arrow(
    form: str, path: Path, schema: Any, total: int | None, batches: Callable[[], Iterator[Any]]
) -> Table:
    if len(set(schema.names)) < len(schema.names):
        raise InvalidArgument(f"{display(path)} has two columns of one name: {', '.join(schema.names)}")

    def blocks() -> Iterator[Block]:
        start = 0
        for batch in batches():
            for begin in range(0, batch.num_rows, MOST_ROWS):
                some = batch.slice(begin, MOST_ROWS)
                yield Block(start, some.num_rows, dict(zip(some.schema.names, some.columns, strict=True)))
                start += some.num_rows

    kept = schema.metadata or {}
    table = Table(form, path.parent, blocks, path.name, total)
    try:
        table.note = json.loads(kept.get(NOTE, b"{}"))
        features = json.loads(kept.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
        table.classes = {
            name: found["names"] for name, found in features.items() if found.get("_type") == "ClassLabel"
        }
        indices = json.loads(kept.get(b"pandas", b"{}")).get("index_columns", [])
        if len(indices) == 1 and isinstance(indices[0], str):
            table.index = indices[0]
    except (ValueError, AttributeError, KeyError, TypeError):
        table.remarks.append("what the file says of its own columns cannot be read, and is not used")
    return table


def _said(pa: Any, path: Path, act: Callable[[], Any]) -> Any:
    try:
        return act()
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidArgument(f"{display(path)} cannot be read: {reason}") from error


def _said_all(pa: Any, path: Path, batches: Iterator[Any]) -> Iterator[Any]:
    while True:
        batch = _said(pa, path, lambda: next(batches, None))
        if batch is None:
            return
        yield batch


def _matrix(path: Path, ids: Path | None, encoding: str | None) -> Table:
    beside = _ids_of(path) if ids is None else ids
    return matrix_table(path, None if beside is None else named_table(beside, encoding))


# What a .npy of vectors is called, and the file beside it that names its rows.
_NAMING = ("ids", "names", "filenames", "file_names", "paths", "keys")


def _ids_of(path: Path) -> Path | None:
    """Return the file beside a .npy that names its rows by its own name."""
    stems = [path.stem, f"{path.stem}_ids"]
    stems += [path.stem.replace(word, "ids") for word in ("vectors", "embeddings", "features")]
    for stem in dict.fromkeys((*stems, *_NAMING)):
        for suffix in (".csv", ".parquet", ".jsonl", ".json", ".txt", ".npy"):
            beside = path.with_name(stem + suffix)
            if beside != path and beside.is_file():
                return beside
    return None


def named_table(path: Path, encoding: str | None = None) -> Table:
    """Return the table with a row for each row of a matrix.

    Args:
        path: .npy or .txt with a name for each row, or a table.
        encoding: of a text that is no UTF-8; None to guess.

    Raises:
        PathNotFound, InvalidArgument, ExtraMissing: as `read_table`.
    """
    if not path.is_file():
        raise PathNotFound(str(path))
    if path.suffix.lower() == ".npy":
        return named_rows(path)
    if bare_suffix(path) != ".txt":
        return read_table(path, encoding=encoding)
    known, assumed = find_encoding(path, encoding)

    def lines() -> Iterator[Block]:
        start = 0
        with open_text(path, known) as file:
            while listed := [line.rstrip("\r\n") for _, line in zip(range(MOST_ROWS), file, strict=False)]:
                yield Block(start, len(listed), {"id": listed})
                start += len(listed)

    remarks = [] if assumed is None else [assumed]
    return Table("text", path.parent, lines, path.name, remarks=remarks)
