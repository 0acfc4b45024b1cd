"""Tables of vectors in files of many forms, read a block at a time.

Parquet, Arrow (both forms of IPC, which Feather is one of), NumPy's .npy with a list or a table of ids, CSV,
and JSON: lines, or one list.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.arrow import pyarrow
from lookalike.errors import InvalidArgument, PathNotFound
from lookalike.file_names import display
from lookalike.transfer.exports.parquet import NOTE
from lookalike.transfer.imports.blocks import MOST_ROWS, Block
from lookalike.transfer.imports.csv_tables import csv_table
from lookalike.transfer.imports.json_tables import json_table
from lookalike.transfer.imports.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

MATRIX = "vectors"
"""What the column is called that a .npy file is."""


def read_table(path: Path, ids: Path | None = None, encoding: str | None = None) -> Table:
    """Return the table in one file, whose form its suffix tells.

    Args:
        path: the file.
        ids: of a .npy, the file that names its rows.
        encoding: of CSV that is not UTF-8; None to guess.

    Raises:
        PathNotFound: it is not there.
        InvalidArgument: it is of no form that is known here, or cannot be read.
        ExtraMissing: pyarrow is needed, and not installed.
    """
    if not path.is_file():
        raise PathNotFound(str(path))
    suffix = path.suffix.lower()
    if ids is not None and suffix != ".npy":
        raise InvalidArgument("a file of ids is for the vectors of a .npy")
    if suffix == ".npy":
        return matrix_table(path, _ids_of(path) if ids is None else ids, encoding)
    if suffix in (".parquet", ".pq"):
        return parquet_table([path])
    if suffix in (".arrow", ".feather", ".ipc"):
        return arrow_table([path])
    if suffix in (".jsonl", ".ndjson", ".json"):
        return json_table(path)
    if suffix in (".csv", ".tsv", ".txt"):
        return csv_table(path, encoding)
    raise InvalidArgument(
        f"{display(path)}: .parquet, .arrow, .feather, .npy, .csv, .tsv, .jsonl and .json are read, and the "
        f"folders of clip-retrieval, FiftyOne and Hugging Face's datasets"
    )


def parquet_table(paths: Sequence[Path]) -> Table:
    """Return the table in Parquet files, one after the other."""
    pa = pyarrow("reading Parquet and Arrow")
    # Once, so that what is no Parquet is told before anything is written.
    files = [_said(pa, path, partial(pa.parquet.ParquetFile, path)) for path in paths]
    total = sum(file.metadata.num_rows for file in files)
    schema = files[0].schema_arrow
    for file in files:
        file.close()

    def batches() -> Iterator[Any]:
        for path in paths:
            with pa.parquet.ParquetFile(path) as file:
                yield from file.iter_batches(batch_size=MOST_ROWS)

    return _arrow("Parquet", paths[0], schema, total, lambda: _said_all(pa, paths[0], batches()))


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


def matrix_table(path: Path, ids: Path | None, encoding: str | None = None) -> Table:
    """Return the table that a matrix in a .npy file is, with the columns of a file that names its rows.

    Args:
        path: of the matrix, shape (rows, dimension).
        ids: .npy or .txt with a name for each row, or a table with a row for each; None: none.
        encoding: of `ids`.
    """
    try:
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InvalidArgument(f"{display(path)} is no matrix of NumPy: {error}") from error
    if matrix.ndim != 2 or matrix.dtype.kind not in "fiu":
        raise InvalidArgument(
            f"{display(path)} holds {matrix.dtype} of shape {matrix.shape}, and no vectors (rows, dimension)"
        )
    named = None if ids is None else _named_rows(ids, encoding)
    if named is not None and named.total is not None and named.total != len(matrix):
        raise InvalidArgument(
            f"{display(path)} has {len(matrix):,} rows, and {named.name} names {named.total:,}"
        )

    def blocks() -> Iterator[Block]:
        if named is None:
            for start in range(0, len(matrix), MOST_ROWS):
                rows = matrix[start : start + MOST_ROWS]
                yield Block(start, len(rows), {MATRIX: rows})
            return
        end = 0
        for block in named.open():
            end = block.start + block.count
            if end > len(matrix):
                break
            yield Block(block.start, block.count, {**block.columns, MATRIX: matrix[block.start : end]})
        if end != len(matrix):
            raise InvalidArgument(
                f"{display(path)} has {len(matrix):,} rows, and {named.name} another number"
            )

    table = Table("NumPy", path.parent, blocks, path.name, len(matrix))
    if named is None:
        table.remarks.append("no file names the rows (--ids): they are named by their numbers")
    else:
        table.remarks += [f"the rows are named by {named.name}", *named.remarks]
        table.classes = named.classes
    return table


def _ids_of(path: Path) -> Path | None:
    """Return the file beside a .npy that names its rows by its own name."""
    stems = (path.stem, f"{path.stem}_ids", path.stem.replace("vectors", "ids").replace("embeddings", "ids"))
    for stem in dict.fromkeys((*stems, "ids")):
        for suffix in (".csv", ".parquet", ".jsonl", ".txt", ".npy"):
            beside = path.with_name(stem + suffix)
            if beside != path and beside.is_file():
                return beside
    return None


def _named_rows(path: Path, encoding: str | None) -> Table:
    if not path.is_file():
        raise PathNotFound(str(path))
    if path.suffix.lower() == ".npy":
        try:
            names = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise InvalidArgument(
                f"{display(path)} is no list of NumPy that is read without running code: {error}"
            ) from error
        if names.ndim != 1:
            raise InvalidArgument(f"{display(path)} holds no list of ids, but {names.shape}")

        def some() -> Iterator[Block]:
            for start in range(0, len(names), MOST_ROWS):
                listed = names[start : start + MOST_ROWS].tolist()
                yield Block(start, len(listed), {"id": listed})

        return Table("NumPy", path.parent, some, path.name, len(names))
    if path.suffix.lower() != ".txt":
        return read_table(path, encoding=encoding)

    def lines() -> Iterator[Block]:
        start = 0
        with path.open(encoding=encoding or "utf-8-sig") as file:
            while listed := [line.rstrip("\r\n") for _, line in zip(range(MOST_ROWS), file, strict=False)]:
                yield Block(start, len(listed), {"id": listed})
                start += len(listed)

    return Table("text", path.parent, lambda: _decoded(path, lines()), path.name)


def _decoded(path: Path, blocks: Iterator[Block]) -> Iterator[Block]:
    try:
        yield from blocks
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"{display(path)} is no {error.encoding} (--encoding)") from error
