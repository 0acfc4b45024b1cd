"""The folders that were indexed on this machine, by store and collection: noted in the cache folder.

A store may be another machine's, or written by others: what its records name as their files says nothing of
whether these are pictures that may be shown. What was given to `index` here does.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lookalike.errors import InvalidArgument
from lookalike.shared_json import change_entries, read_entries
from lookalike.sources.locations import full, location
from lookalike.sources.objects import ObjectPath
from lookalike.sources.patterns import Patterns, file_names
from lookalike.stores.checks import same_name
from lookalike.stores.places import store_place

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from lookalike.sources.objects import Location

_NAME = "indexed.json"
_WAIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Indexed:
    """The folders and files that were indexed into one collection; no path is below another."""

    folders: tuple[Location, ...] = ()
    """Absolute, links in them not followed; in the order of their names, as `files`."""
    files: tuple[Location, ...] = ()
    """Single files."""
    patterns: Mapping[Location, Patterns] = field(default_factory=dict)
    """What was left out of which folder when it was last given to `index`."""
    group_by: Mapping[Location, str] = field(default_factory=dict)
    """The regular expression that made fields of the paths below which folder then."""
    frames: Mapping[Location, str] = field(default_factory=dict)
    """Which frames of films were taken below which path then; without it films were left out."""

    bases: Mapping[str, str] = field(default_factory=dict)
    """What relative paths are relative to: see `stores.relative_paths`."""

    @property
    def paths(self) -> tuple[Location, ...]:
        """All of it: what `index` is given to bring the collection up to date."""
        return self.folders + self.files


def remember_indexed(
    cache: Path,
    store: str,
    collection: str,
    paths: Sequence[Location],
    patterns: Mapping[Location, Patterns] | None = None,
    gone: Sequence[Location] = (),
    group_by: Mapping[Location, str] | None = None,
    frames: Mapping[Location, str] | None = None,
    bases: Mapping[str, str] | None = None,
) -> str | None:
    """Note that paths were indexed, and forget those that are gone.

    Args:
        cache: the user's cache folder.
        store: the URL of the store.
        collection: the name of the collection.
        paths: folders and files that exist; what lies below another of them, or of those that are noted
            already, goes with that.
        patterns: what is left out below which of the paths, by their absolute paths.
        gone: paths that do not exist any more, and whose records were removed or have moved.
        group_by: the regular expression that makes fields of the paths below which of the paths.
        frames: which frames of films are taken below which of the paths.
        bases: what relative paths are relative to from now on; None: as before.

    Returns:
        Why it could not be noted; None where all is well.
    """
    left_out, regexes = patterns or {}, group_by or {}
    given = [path for path in map(full, paths) if not _is_left_out(path, left_out.get(path))]
    lost = {full(path) for path in gone}
    place, key = store_place(store), same_name(collection)

    def add(notes: dict[str, object]) -> dict[str, object]:
        collections = _object(notes.get(place))
        known = _indexed(collections.get(key))
        kept = [
            {path for path in paths if path not in lost and not _below(path, lost)}
            for paths in (known.folders, known.files)
        ]
        folders = _topmost({*kept[0], *(path for path in given if path.is_dir())})
        files = {path for path in (*kept[1], *given) if not _below(path, folders)} - folders
        now = {**known.patterns, **{path: left_out.get(path, Patterns()) for path in given}}
        noted: dict[str, object] = {"folders": _texts(folders), "files": _texts(files)}
        noted["patterns"] = {
            str(path): {"exclude": list(each.exclude), "include": list(each.include)}
            for path, each in now.items()
            if path in folders and (each.exclude or each.include)
        }
        kept_regexes = {path: regex for path, regex in known.group_by.items() if path not in given}
        noted["group_by"] = {
            str(path): regex for path, regex in {**kept_regexes, **regexes}.items() if path in folders
        }
        kept_frames = {path: how for path, how in known.frames.items() if path not in given}
        noted["frames"] = {
            str(path): how
            for path, how in {**kept_frames, **(frames or {})}.items()
            if path in folders or path in files
        }
        noted["bases"] = dict(known.bases if bases is None else bases)
        return {**notes, place: {**collections, key: noted}}

    return change_entries(_path(cache), add, _WAIT_S)


def forget_indexed(cache: Path, store: str, collection: str) -> None:
    """Forget what was indexed into a collection that is gone."""
    place, key = store_place(store), same_name(collection)

    def drop(notes: dict[str, object]) -> dict[str, object]:
        left = {name: noted for name, noted in _object(notes.get(place)).items() if name != key}
        others = {name: noted for name, noted in notes.items() if name != place}
        return {**others, place: left} if left else others

    change_entries(_path(cache), drop, _WAIT_S)


def indexed_paths(cache: Path, store: str) -> dict[str, Indexed]:
    """Return what was indexed into the collections of a store, by `same_name` of the collection.

    Args:
        cache: the user's cache folder.
        store: the URL of the store.
    """
    noted = _object(read_entries(_path(cache)).get(store_place(store)))
    return {name: _indexed(each) for name, each in noted.items()}


def notes_state(cache: Path) -> tuple[int, int, int] | None:
    """Return what changes whenever something is noted or forgotten; None where nothing ever was."""
    try:
        status = os.stat(f"{cache}/{_NAME}")  # noqa: PTH116 a path takes longer, and this is asked for often
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _path(cache: Path) -> Path:
    return cache / _NAME


def _below(path: Location, folders: set[Location]) -> bool:
    return any(parent in folders for parent in path.parents)


def _topmost(folders: set[Location]) -> set[Location]:
    return {path for path in folders if not _below(path, folders)}


def _texts(paths: Iterable[Location]) -> list[str]:
    return sorted(map(str, paths))


def _object(noted: object) -> dict[str, object]:
    return noted if isinstance(noted, dict) else {}


def _locations(paths: Iterable[object]) -> Iterator[Location]:
    """Yield those of some noted paths that are such, also by what is refused now."""
    for path in paths:
        if isinstance(path, str):
            with suppress(InvalidArgument):
                yield location(path)


def _indexed(noted: object) -> Indexed:
    def read(name: str) -> tuple[Location, ...]:
        paths = _object(noted).get(name)
        return tuple(_locations(paths)) if isinstance(paths, list) else ()

    def texts(name: str) -> dict[Location, str]:
        by_path = _object(_object(noted).get(name))
        return {
            path: text
            for named, text in by_path.items()
            if isinstance(text, str)
            for path in _locations([named])
        }

    return Indexed(
        read("folders"),
        read("files"),
        _patterns(_object(_object(noted).get("patterns"))),
        texts("group_by"),
        texts("frames"),
        {str(root): base for root, base in texts("bases").items()},
    )


def _patterns(noted: dict[str, object]) -> dict[Location, Patterns]:
    def texts(value: object) -> list[str]:
        return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []

    found = {}
    for path, each in noted.items():
        given = _object(each)
        with suppress(InvalidArgument):
            found[location(path)] = Patterns(texts(given.get("exclude")), texts(given.get("include")))
    return found


def _is_left_out(path: Location, patterns: Patterns | None) -> bool:
    if patterns is None or isinstance(path, ObjectPath) or not path.is_file():
        return False
    return patterns.reason(file_names(path)) is not None
