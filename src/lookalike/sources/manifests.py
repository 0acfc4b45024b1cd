"""Manifests: lists of objects that are taken instead of asking a server to list them.

A manifest is a plain list, one key or `s3://bucket/key` a line; a table, CSV or Parquet, with a column `key`
or `uri` and, where there are such, `bucket`, `size` and `e_tag`; or the manifest.json of an S3 Inventory,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html, whose files are CSV or
Parquet.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote_plus

from lookalike.arrow import pyarrow
from lookalike.errors import InvalidArgument, PathNotFound
from lookalike.file_names import display
from lookalike.sources.buckets import ObjectMeta
from lookalike.sources.objects import ObjectPath, is_object, object_path, status_of
from lookalike.types import Skipped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lookalike.sources.objects import Location

_GZIP = b"\x1f\x8b"
_ARN = "arn:aws:s3:::"
# Objects of which a server is asked at once, where the manifest does not say size and ETag.
_ASKED = 16
# Objects of a page.
_PAGE = 1000
_SEPARATORS = (",", ";", "\t")
_COLUMNS = ("bucket", "key", "uri", "size", "etag", "islatest", "isdeletemarker")


class Named(NamedTuple):
    """What a manifest names."""

    objects: list[ObjectPath]
    """Below the roots, each with its status."""
    skipped: list[Skipped]
    """What cannot be had."""
    elsewhere: ObjectPath | None
    """The first object that is below no root."""


def read_manifest(place: Location, roots: Sequence[ObjectPath]) -> Named:
    """Return the objects below some paths that a manifest names.

    Objects whose size and ETag it says are not asked for; of others the server is asked. What it says is
    deleted, or no latest version, is left out.

    Args:
        place: the file, or the object, of the manifest.
        roots: the paths; keys beside which no bucket stands are of the first one's.

    Raises:
        PathNotFound: it is not there.
        InvalidArgument: it cannot be read as any of these.
        ExtraMissing: it is Parquet, and pyarrow is not installed.
        SourceError: a server does not answer, or refuses.
    """
    found: dict[ObjectPath, None] = {}
    skipped: list[Skipped] = []
    elsewhere: ObjectPath | None = None
    for page in manifest_pages(place, roots[0], skipped):
        for path in page:
            if any(path.is_relative_to(root) for root in roots):
                found[path] = None
            else:
                elsewhere = elsewhere or path
    known: list[ObjectPath] = []
    with ThreadPoolExecutor(_ASKED, thread_name_prefix="manifest") as pool:
        for one in pool.map(_looked_at, found):
            if isinstance(one, Skipped):
                skipped.append(one)
            else:
                known.append(one)
    return Named(known, skipped, elsewhere)


def manifest_pages(place: Location, bucket: ObjectPath, skipped: list[Skipped]) -> Iterator[list[ObjectPath]]:
    """Yield the objects that a manifest names, some at a time, without asking a server for any.

    Args:
        place: see `read_manifest`, which says what is raised, too.
        bucket: of keys beside which no bucket stands.
        skipped: gets what cannot be the name of an object.
    """
    page: list[ObjectPath] = []
    for row in _rows(place):
        if row.get("islatest", "").lower() == "false" or row.get("isdeletemarker", "").lower() == "true":
            continue
        named = row.get("uri") or row.get("key") or ""
        if not is_object(named):
            named = f"{bucket.scheme}://{row.get('bucket') or bucket.parts[1]}/{named}"
        try:
            path = object_path(named)
        except InvalidArgument as error:
            skipped.append(Skipped(named, str(error)))
            continue
        size, e_tag = row.get("size", ""), row.get("etag", "").strip('"')
        if size.isdecimal() and e_tag:
            path = path.listed(status_of(ObjectMeta(path.key, int(size), e_tag, "")))
        if path.key:
            page.append(path)
        if len(page) >= _PAGE:
            yield page
            page = []
    yield page


def _looked_at(path: ObjectPath) -> ObjectPath | Skipped:
    try:
        return path.listed(path.stat())
    except OSError as error:
        return Skipped(str(path), f"cannot be read: {error.strerror}")


def _rows(place: Location) -> Iterator[Mapping[str, str]]:
    """Yield the rows of a manifest by the names of its columns, in lower case and letters alone."""
    name = place.name.lower()
    if name.endswith(".parquet"):
        yield from _parquet(place)
        return
    data = _read(place)
    if name.endswith(".json"):
        yield from _inventory(place, data)
    elif name.endswith((".csv", ".csv.gz")):
        text = _text(place, data)
        for separator in _SEPARATORS:
            rows = _csv_rows(place, text, separator)
            first = next(rows, [])
            columns = [_folded(each) for each in first]
            if {"key", "uri"} & set(columns):
                yield from (dict(zip(columns, row, strict=False)) for row in rows)
                return
        yield from ({"key": line} for line in _alone(place, text))
    else:
        yield from ({"key": line} for line in _text(place, data).splitlines() if line)


def _inventory(place: Location, data: bytes) -> Iterator[Mapping[str, str]]:
    """Yield the rows of the files that the manifest.json of an S3 Inventory names."""
    try:
        said: Any = json.loads(data)
        kind, bucket = said["fileFormat"].lower(), said["destinationBucket"].removeprefix(_ARN)
        files = [object_path(f"s3://{bucket}/{each['key']}") for each in said["files"]]
        columns = [_folded(each) for each in said["fileSchema"].split(",")] if kind == "csv" else []
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidArgument(
            f"{display(str(place))} is no manifest.json of an S3 Inventory: {type(error).__name__}"
        ) from error
    if kind not in ("csv", "parquet"):
        raise InvalidArgument(
            f"{display(str(place))}: an inventory in {kind} is not read; CSV and Parquet are"
        )
    for file in files:
        if kind == "parquet":
            yield from _parquet(file)
            continue
        for row in _csv_rows(file, _text(file, _read(file))):
            found = dict(zip(columns, row, strict=False))
            # In CSV, and only there, keys are URL-encoded.
            found["key"] = unquote_plus(found.get("key", ""))
            yield found


def _alone(place: Location, text: str) -> Iterator[str]:
    """Yield the keys of a table that has one column, without a heading."""
    for count, row in enumerate(_csv_rows(place, text)):
        if len(row) > 1 and not count:
            raise InvalidArgument(
                f"{display(str(place))}: the first line names no column key or uri; of an S3 Inventory, "
                "manifest.json says what its columns are"
            )
        yield from row[:1]


def _csv_rows(place: Location, text: str, separator: str = ",") -> Iterator[list[str]]:
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    except csv.Error as error:
        raise InvalidArgument(f"{display(str(place))} is no CSV: {error}") from error


def _parquet(place: Location) -> Iterator[Mapping[str, str]]:
    pa = pyarrow(f"reading {place.name}")
    try:
        with place.open("rb") as opened, pa.parquet.ParquetFile(opened) as file:
            names = {name: _folded(name) for name in file.schema_arrow.names if _folded(name) in _COLUMNS}
            if not {"key", "uri"} & set(names.values()):
                raise InvalidArgument(f"{display(str(place))} has no column key or uri")
            for batch in file.iter_batches(columns=list(names)):
                for row in batch.to_pylist():
                    yield {names[name]: str(value) for name, value in row.items() if value is not None}
    except FileNotFoundError as error:
        raise PathNotFound(str(place)) from error
    except (pa.ArrowException, OSError) as error:
        raise InvalidArgument(f"{display(str(place))} cannot be read as Parquet") from error


def _read(place: Location) -> bytes:
    try:
        return place.read_bytes()
    except FileNotFoundError as error:
        raise PathNotFound(str(place)) from error
    except OSError as error:
        raise InvalidArgument(f"{display(str(place))} cannot be read: {error.strerror}") from error


def _text(place: Location, data: bytes) -> str:
    try:
        return (gzip.decompress(data) if data.startswith(_GZIP) else data).decode("utf-8-sig")
    except (UnicodeDecodeError, OSError, EOFError, zlib.error) as error:
        raise InvalidArgument(f"{display(str(place))} is no text in UTF-8") from error


def _folded(name: str) -> str:
    return re.sub("[^a-z]", "", name.lower())
