"""Folders that other programs write: of clip-retrieval, FiftyOne and Hugging Face's datasets."""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from lookalike.errors import InvalidArgument, PathNotFound
from lookalike.file_names import display
from lookalike.labels.fields import joined
from lookalike.labels.tables.column_types import typed
from lookalike.transfer.imports.blocks import Block
from lookalike.transfer.imports.json_tables import json_table
from lookalike.transfer.imports.matrices import matrix_table
from lookalike.transfer.imports.table import Table
from lookalike.transfer.imports.tables import ARROW, PARQUET, TEXTS, arrow_table, named_table, read_table
from lookalike.transfer.imports.text_files import bare_suffix
from lookalike.vectors.written_vectors import read_npy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from lookalike.types import Scalar

SPLIT = "split"
"""The field that says which part of a data set a row is of."""

# Bytes that a serialised array of FiftyOne may have when it is unpacked.
_MOST = 1 << 26


def open_table(path: Path, ids: Path | None = None, encoding: str | None = None) -> Table:
    """Return the table in what an import names: a folder that a program wrote, or one file (`read_table`).

    Args:
        path: of either.
        ids: of a .npy, the file that names its rows.
        encoding: of CSV that is not UTF-8; None to guess.

    Raises:
        PathNotFound: it is not there.
        InvalidArgument: it is of no form that is known here, or cannot be read.
        ExtraMissing: pyarrow is needed, and not installed.
    """
    if not path.exists():
        raise PathNotFound(str(path))
    if not path.is_dir():
        if path.name == "samples.json":
            return fiftyone_table(path)
        return read_table(path, ids, encoding)
    for has, opened in (
        ("img_emb", clip_retrieval_table),
        ("samples.json", lambda folder: fiftyone_table(folder / "samples.json")),
        ("dataset_dict.json", _dataset_dict),
        ("state.json", _dataset),
    ):
        if (path / has).exists():
            return opened(path)
    return _files_table(path, encoding)


def _files_table(folder: Path, encoding: str | None) -> Table:
    """Return the table in files of one form below a folder, one after the other, by name.

    So `datasets`, Spark, pandas and others write large tables. Names that begin with a full stop or `_` are
    theirs; a folder called `label=good` is a column, as Hive has it.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder)
        if any(part.startswith((".", "_")) and "=" not in part for part in inner.parts):
            if inner.parts[0] == "_delta_log":
                raise InvalidArgument(
                    f"{display(folder)} is a table of Delta Lake, whose files have rows that were deleted "
                    f"since: write it as Parquet"
                )
        elif path.is_file():
            found.setdefault(bare_suffix(path), []).append(path)
    files = next((found[each] for each in (*PARQUET, *ARROW, *TEXTS) if each in found), None)
    if files is None:
        raise InvalidArgument(
            f"{display(folder)} is no folder of clip-retrieval (img_emb), FiftyOne (samples.json) or Hugging "
            f"Face's datasets (state.json), and has no .parquet, .arrow, .csv or .jsonl: name a file"
        )
    parts = [read_table(path, encoding=encoding) for path in files]
    keys = [_partition(path.relative_to(folder)) for path in files]
    for name in dict.fromkeys(name for each in keys for name in each):
        values = typed([each.get(name) or "" for each in keys])
        parts = [
            replace(part, open=_with_column(part.open, name, value))
            for part, value in zip(parts, values, strict=True)
        ]
    table = _one_after_another(parts, parts[0].form, folder)
    others = [
        path for each in found.values() for path in each if each is not files and bare_suffix(path) in TEXTS
    ]
    if others:
        table.remarks.append(f"{len(others):,} files of other forms are not read, {others[0].name}, say")
    return table


def _partition(path: Path) -> dict[str, str]:
    """Return the columns that the folders of a file are: label=good, as Hive, Spark and pandas write them."""
    pairs = (part.partition("=") for part in path.parent.parts if "=" in part)
    return {unquote(name): "" if value == _NO_VALUE else unquote(value) for name, _, value in pairs}


# What Hive calls the folder of rows without a value.
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


def clip_retrieval_table(folder: Path) -> Table:
    """Return what `clip-retrieval inference` has written: img_emb/img_emb_N.npy, metadata/metadata_N.parquet.

    See clip_inference/writer.py in github.com/rom1504/clip-retrieval: a row of each stands for one picture;
    `image_path` is its path, or the key of a sample in a WebDataset.
    """
    matrices = sorted((folder / "img_emb").glob("img_emb_*.npy"), key=_number)
    if not matrices:
        raise InvalidArgument(f"{display(folder)}/img_emb has no img_emb_*.npy")
    parts = []
    for matrix in matrices:
        number = matrix.stem.removeprefix("img_emb_")
        metadata = folder / "metadata" / f"metadata_{number}.parquet"
        if not metadata.is_file():
            raise PathNotFound(str(metadata), f"which names the rows of {matrix.name}")
        parts.append(matrix_table(matrix, named_table(metadata)))
    table = _one_after_another(parts, "clip-retrieval", folder)
    table.remarks = []
    return table


def _number(path: Path) -> tuple[int, str]:
    found = re.search(r"(\d+)$", path.stem)
    return (int(found[1]) if found else -1, path.name)


def _dataset_dict(folder: Path) -> Table:
    """Return the parts of a DatasetDict of Hugging Face's datasets, each with the field `split`."""
    try:
        splits = json.loads((folder / "dataset_dict.json").read_text("utf-8"))["splits"]
        parts = [(str(split), _dataset(folder / str(split))) for split in splits]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidArgument(f"{display(folder)}/dataset_dict.json names no parts") from error
    named = [replace(part, open=_with_column(part.open, SPLIT, split)) for split, part in parts]
    return _one_after_another(named, "Hugging Face dataset", folder)


def _dataset(folder: Path) -> Table:
    """Return what `Dataset.save_to_disk` of Hugging Face's datasets wrote: state.json, data-*.arrow."""
    try:
        files = [
            folder / each["filename"]
            for each in json.loads((folder / "state.json").read_text("utf-8"))["_data_files"]
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidArgument(f"{display(folder)}/state.json names no files") from error
    for file in files:
        if not file.is_file():
            raise PathNotFound(str(file))
    if not files:
        raise InvalidArgument(f"{display(folder)} has no rows")
    return replace(arrow_table(files), form="Hugging Face dataset", name=folder.name, base=folder)


def _with_column(
    opened: Callable[[], Iterator[Block]], name: str, value: Scalar | None
) -> Callable[[], Iterator[Block]]:
    return lambda: (
        replace(block, columns={name: [value] * block.count, **block.columns}) for block in opened()
    )


def _one_after_another(parts: Sequence[Table], form: str, folder: Path) -> Table:
    def blocks() -> Iterator[Block]:
        start = 0
        for part in parts:
            for block in part.open():
                yield replace(block, start=start)
                start += block.count

    totals = [part.total for part in parts if part.total is not None]
    total = sum(totals) if len(totals) == len(parts) else None
    first = parts[0]
    remarks = list(dict.fromkeys(remark for part in parts for remark in part.remarks))
    return Table(form, folder, blocks, folder.name, total, first.note, first.classes, first.index, remarks)


def fiftyone_table(path: Path) -> Table:
    """Return the samples of a data set that FiftyOne has exported as FiftyOneDataset.

    samples.json holds `samples`: `filepath` relative to its folder, labels (`Classification`,
    `Classifications`, `Detections` …) and arrays, which are `numpy.save` through zlib in base64
    (`serialize_numpy_array` in fiftyone/core/utils.py), MongoDB's `$binary` of that, or lists. Labels become
    fields, and several of one sample one text.
    """
    listed = json_table(path, "samples")

    def blocks() -> Iterator[Block]:
        for block in listed.open():
            columns: dict[str, list[Any]] = {}
            for name, found in block.columns.items():
                if name == "metadata":
                    columns["media"] = found  # of the file: its size and type
                else:
                    columns["id" if name == "_id" else name] = [_sample_value(value) for value in found]
            yield Block(block.start, block.count, columns)

    return replace(listed, form="FiftyOne", open=blocks, name=path.parent.name)


def _sample_value(value: Any) -> Any:
    """Return a value of a sample: a label as its text, an array as its numbers, all else as it is."""
    if isinstance(value, str) and len(value) >= 16:
        return _array(value) or value
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return joined(value)
    if not isinstance(value, dict):
        return value
    if "$oid" in value:
        return value["$oid"]
    if "$binary" in value:
        packed = value["$binary"]
        return _array(packed.get("base64", "") if isinstance(packed, dict) else str(packed)) or value
    if "_cls" in value:
        labels = _labels(value)
        return joined(labels) if labels else None
    return value


def _labels(value: Mapping[str, Any]) -> list[str]:
    if isinstance(value.get("label"), str):
        return [value["label"]]
    several = (found for found in value.values() if isinstance(found, list))
    return [
        one["label"]
        for found in several
        for one in found
        if isinstance(one, dict) and isinstance(one.get("label"), str)
    ]


def _array(text: str) -> list[float] | None:
    """Return the numbers of an array that FiftyOne has packed; None where it is none."""
    try:
        packed = base64.b64decode(text, validate=True)
        unpacked = zlib.decompressobj().decompress(packed, _MOST)
        found = read_npy(unpacked)
    except (ValueError, zlib.error, binascii.Error, EOFError, OSError):
        return None
    listed: list[float] = found.tolist()
    return listed if found.ndim == 1 else None
