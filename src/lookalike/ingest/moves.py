"""Files that were moved or renamed: their records go with them, recognised by the digest of the file.

A record is taken to have moved where its file is gone for certain, and a file that has no record yet has the
same bytes. Only files of the size of one that is gone are read for that. Of several with the same bytes,
those belong together whose paths end alike, and each record moves once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lookalike.uris import local_path

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from lookalike.ingest.removals import Disk
    from lookalike.types import Record, Stamp


@dataclass(frozen=True, slots=True)
class Move:
    """A record, and the path where its file is now."""

    path: Path
    record: Record


def lost_records(
    sizes: Collection[int], wanted: Collection[Path], stamps: Mapping[str, Stamp], disk: Disk
) -> list[str]:
    """Return the ids of records whose file is gone and had one of some sizes.

    A file that would lie on a mount point with nothing on it is not gone for certain.

    Args:
        sizes: of files that have no record, in bytes.
        wanted: files that are there.
        stamps: of the collection, by URI.
        disk: that says what is there.
    """
    lost = []
    for uri, stamp in stamps.items():
        if stamp.size not in sizes:
            continue
        path = local_path(uri)
        if path is not None and path not in wanted and disk.is_gone(path) and not disk.is_unmounted(path):
            lost.append(stamp.id)
    return lost


def pair(lost: Iterable[Record], found: Mapping[Path, str]) -> list[Move]:
    """Return which record belongs to which file.

    Args:
        lost: records whose file is gone.
        found: the SHA-256 of files that have no record, by path.

    Returns:
        The moves, in the order of `found`; no record and no path is there twice.
    """
    records: dict[str, list[Record]] = {}
    for record in sorted(lost, key=lambda record: record.uri):
        records.setdefault(record.digest, []).append(record)
    paths: dict[str, list[Path]] = {}
    for path, digest in found.items():
        if digest in records:
            paths.setdefault(digest, []).append(path)
    moved: dict[Path, Record] = {}
    for digest, some in paths.items():
        moved |= _matched(some, records[digest])
    return [Move(path, moved[path]) for path in found if path in moved]


def _matched(paths: Sequence[Path], records: Sequence[Record]) -> dict[Path, Record]:
    """Match files and records of the same bytes: those whose paths share most of their ends come first."""
    matched: dict[Path, Record] = {}
    places = [(record, local_path(record.uri)) for record in records]
    left = [(record, path.parts) for record, path in places if path is not None]
    todo = list(paths)
    longest = max((len(parts) for _, parts in left), default=0)
    for length in range(longest, -1, -1):
        ends: dict[tuple[str, ...], list[Record]] = {}
        for record, parts in left:
            if len(parts) >= length:
                ends.setdefault(parts[len(parts) - length :], []).append(record)
        for path in todo:
            parts = path.parts
            same = ends.get(parts[len(parts) - length :]) if len(parts) >= length else None
            if same:
                matched[path] = same.pop(0)
        taken = {record.id for record in matched.values()}
        left = [(record, parts) for record, parts in left if record.id not in taken]
        todo = [path for path in todo if path not in matched]
        if not left or not todo:
            break
    return matched
