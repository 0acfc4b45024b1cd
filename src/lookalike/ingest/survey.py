"""The survey of a run of `index`: which images are below the paths, and what labels they have."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from lookalike.errors import InvalidArgument, PathNotFound, Unanswerable
from lookalike.file_names import display, read_name
from lookalike.ingest.film_labels import find_films, name_films
from lookalike.ingest.index_report import label_trouble
from lookalike.ingest.removals import Disk, is_below
from lookalike.labels.labelling import Label
from lookalike.labels.path_fields import add_path_fields
from lookalike.labels.reading import read_labels
from lookalike.labels.similar_labels import similar_label_remarks
from lookalike.sources.files import Found, find
from lookalike.sources.locations import location_of
from lookalike.sources.manifests import read_manifest
from lookalike.sources.objects import ObjectPath
from lookalike.sources.other_files import other_file_remarks
from lookalike.sources.patterns import LeftOut, Patterns, merged, unused_patterns
from lookalike.types import Remark, Skipped

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from lookalike.images.film_sampling import Sampling
    from lookalike.ingest.index_options import IndexOptions
    from lookalike.ingest.index_report import IndexReport
    from lookalike.sources.objects import Location
    from lookalike.types import Stamp

NO_LABEL = Label({}, {})
"""Of an image that nothing says anything of."""

_TABLES_OF_PICTURES = (".parquet", ".arrow")


@dataclass(frozen=True, slots=True)
class Survey:
    """What is below the paths that `index` was given."""

    wanted: dict[Location, Label]
    """Every image with its label, in order."""
    imageless: list[Location]
    """Paths that are there and without an image."""
    gone: list[Location]
    """Paths that are not there."""
    films: Mapping[Location, Sampling] = field(default_factory=dict)
    """Those of `wanted` that are films, with which frames of them are taken."""


def survey(
    roots: Sequence[Location],
    options: IndexOptions,
    patterns: Mapping[Location, Patterns],
    report: IndexReport,
    disk: Disk,
    folders: Sequence[Location],
    group_by: Mapping[Location, str],
    frames: Mapping[Location, Sampling] = MappingProxyType({}),
) -> Survey:
    """Return what is below some paths, and report what is left out, skipped or assumed.

    Of several paths that an image is below, the first that has a label for it counts. Files that are named
    one by one have the labels that they have in a folder which was indexed before, or that all of them are
    in: see `_list_roots`.

    Args:
        roots: absolute paths of folders and files.
        options: where labels stand, and whether paths may be gone or without an image.
        patterns: what is left out below which of the paths.
        report: gets all that a person should know.
        disk: that says what is there.
        folders: absolute paths of those that were indexed before.
        group_by: what makes fields of the paths below which folder, where `options` do not say.
        frames: which frames of films are taken below which of the paths; of others films are left out.

    Raises:
        PathNotFound: a path does not exist; with `prune`, it is not certain that it is gone.
        Unanswerable: there is no image below a path, or all are left out.
        LabelsInvalid: the labels cannot be read at all.
    """
    walk = _walk(roots, options, patterns, disk, frames)
    wanted: dict[Location, Label] = dict.fromkeys(
        (image for each in walk.below for image in each.images), NO_LABEL
    )
    below: dict[Location, Location] = {}
    skipped = dict.fromkeys(walk.skipped)
    unlabelled: dict[Location, None] = {}
    told_apart: dict[Location, None] = {}
    unused: dict[Skipped, None] = {}
    remarks: dict[Remark, None] = {}
    expected = False
    folders_of_files = _around(walk.files, options.labels, folders, frames)
    for each in [*(each for each in walk.below if each.root not in walk.files), *folders_of_files]:
        labelling = read_labels(each.root, each.among, each.others, options.labels, options.encoding)
        report.labels.append(labelling.mode)
        skipped.update(dict.fromkeys(labelling.skipped))
        unused.update(dict.fromkeys(labelling.skipped))
        remarks.update(dict.fromkeys(labelling.remarks))
        expected = expected or labelling.expected
        asked = set(each.images)
        if labelling.labels or labelling.expected:
            unlabelled.update(dict.fromkeys(image for image in labelling.unlabelled if image in asked))
        told_apart.update(dict.fromkeys(image for image in labelling.told_apart if image in asked))
        for image in each.images:
            below.setdefault(image, each.root)
            if wanted[image] is NO_LABEL:
                wanted[image] = labelling.labels.get(image, NO_LABEL)
    report.left_out = merged(walk.left_out)
    if not wanted and not (options.prune or options.prune_empty):
        raise Unanswerable(f"no image is left{_left_out_text(report.left_out)}")
    others = sorted({path for each in walk.below for path in each.others})
    report.remarks += [*unused_patterns(patterns.values()), *_assumed_names(walk.encodings)]
    report.remarks += other_file_remarks(others)
    report.other_files = len(others)
    report.told_apart += map(str, told_apart)
    report.skipped += skipped
    report.unlabelled += (str(image) for image in unlabelled if wanted[image] is NO_LABEL)
    report.remarks += [*remarks, *similar_label_remarks(label.fields for label in wanted.values())]
    report.labels_failed = expected and bool(wanted) and not any(label.fields for label in wanted.values())
    report.label_trouble = label_trouble(
        len(wanted), report.unlabelled, list(unused), failed=report.labels_failed
    )
    regexes = {root: options.group_by or group_by.get(root) for root in set(below.values())}
    wanted, unmatched = add_path_fields(wanted, below, regexes)
    report.remarks += unmatched
    films: dict[Location, Sampling] = {}
    for each in walk.below:
        if (sampling := frames.get(each.root)) is not None:
            films = {**dict.fromkeys(find_films(each.images, walk.files), sampling), **films}
    wanted, overridden = name_films(wanted, films, below)
    report.remarks += overridden
    return Survey(wanted, walk.imageless, walk.gone, films)


@dataclass(frozen=True, slots=True)
class _Below:
    """What is below one folder, or a single file."""

    root: Location
    images: Sequence[Location]
    """Those that are to be indexed."""
    among: Sequence[Location]
    """All images there, which labels may name."""
    others: Sequence[Location]
    """All other files there."""


@dataclass(frozen=True, slots=True)
class _Walk:
    """What is below all paths."""

    below: list[_Below] = field(default_factory=list)
    """Of each path that is there, in order."""
    files: dict[Location, None] = field(default_factory=dict)
    """Those paths that are single files."""
    imageless: list[Location] = field(default_factory=list)
    gone: list[Location] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    encodings: dict[Location, str] = field(default_factory=dict)


def _walk(
    roots: Sequence[Location],
    options: IndexOptions,
    patterns: Mapping[Location, Patterns],
    disk: Disk,
    frames: Collection[Location],
) -> _Walk:
    """Find what is below some paths: see `survey`."""
    walk = _Walk()
    prune = options.prune or options.prune_empty
    manifest = None if options.manifest is None else _manifest(options.manifest, roots, walk, prune=prune)
    for root in roots:
        try:
            found = find(root, patterns.get(root), manifest, films=root in frames)
        except PathNotFound:
            if not prune:
                raise
            if isinstance(root, ObjectPath):
                # Prefixes are not there or gone by themselves: this one holds nothing, as an emptied folder.
                walk.imageless.append(root)
                walk.below.append(_Below(root, (), (), ()))
                continue
            if not disk.is_gone(root):
                raise PathNotFound(
                    display(root),
                    "for a link on the way leads nowhere: is a disk not mounted? Nothing was removed",
                ) from None
            walk.gone.append(root)
            continue
        walk.left_out.extend(found.left_out)
        walk.skipped.extend(found.skipped)
        walk.encodings.update(_name_encodings(root, found))
        if not found.images:
            walk.imageless.append(root)
            alone = [each.example for each in found.left_out] == [str(root)]
            if not prune and not (alone and len(roots) > 1):
                raise _no_image(root, found)
        walk.below.append(_Below(root, found.images, found.images, found.others))
        if found.images == [root]:
            walk.files[root] = None
    return walk


def _manifest(place: Location, roots: Sequence[Location], walk: _Walk, *, prune: bool) -> list[ObjectPath]:
    """Return the objects that a manifest names below the roots.

    Raises:
        InvalidArgument: a root is no prefix of objects.
        Unanswerable: it names none there, and nothing is to be pruned.
    """
    objects = [root for root in roots if isinstance(root, ObjectPath)]
    if len(objects) < len(roots) or not objects:
        raise InvalidArgument("--manifest names objects: the paths beside it are s3://bucket/prefix")
    named = read_manifest(place, objects)
    walk.skipped.extend(named.skipped)
    if not (named.objects or prune):
        below = " or ".join(map(str, roots))
        why = "" if named.elsewhere is None else f"; the first that it names is {named.elsewhere}"
        why += "".join(f"; {each.path}: {each.reason}" for each in named.skipped[:1])
        raise Unanswerable(f"{display(str(place))} names no object below {below}{why}")
    return named.objects


def _around(
    files: Collection[Location], mode: str, folders: Sequence[Location], frames: Collection[Location]
) -> list[_Below]:
    """Return where the labels of single files are looked for.

    Their labels are those that the whole folder would give them, so that neither a list nor indexing the
    folder afterwards changes them.

    Args:
        files: absolute paths.
        mode: where labels stand.
        folders: absolute paths of folders that were indexed before.
        frames: those of the files that may be films.
    """
    around = []
    for root, images in _list_roots(files, mode, folders).items():
        films = any(image in frames for image in images)
        found = Found() if mode == "none" else find(root, films=films)
        asked = set(images)
        among = sorted({*found.images, *asked}, key=os.fsencode)
        others = [path for path in found.others if path not in asked]
        around.append(_Below(root, images, among, others))
    return around


def _list_roots(
    listed: Collection[Location], mode: str, folders: Sequence[Location]
) -> dict[Location, list[Location]]:
    """Return the folder that tells the labels of each file of a list.

    It is the one that was indexed before, or the innermost that all other files are in; where their folders
    are to be their labels and all are in one, the folder above. Of files that have nothing but the root of
    the file system in common, it is that of each folder there.
    """
    roots: dict[Location, list[Location]] = {}
    others: dict[tuple[str, ...], list[Location]] = {}
    for path in listed:
        known = next((folder for folder in folders if folder in path.parents), None)
        if known is None:
            others.setdefault((), []).append(path)
        else:
            roots.setdefault(known, []).append(path)
    if len({path.parts[:2] for path in others.get((), ())}) > 1:
        for path in others.pop(()):
            others.setdefault(path.parts[:2], []).append(path)
    for paths in others.values():
        common = _common(paths)
        if mode == "folders" and all(path.parent == common for path in paths) and len(common.parts) > 2:
            common = common.parent
        roots.setdefault(common, []).extend(paths)
    return roots


def _common(paths: Sequence[Location]) -> Location:
    """Return the innermost folder that all files are in; of objects, the bucket where no folder is."""
    first = paths[0].parent
    folders: list[Location] = [first, *first.parents]
    return next(folder for folder in folders if all(folder in path.parents for path in paths))


def _no_image(root: Location, found: Found) -> Unanswerable:
    """Return the refusal of a path without an image: it says what is there instead."""
    count = len(found.others)
    said = [f"{count:,} other files are there" if count > 1 else "1 other file is there"] if count else []
    said += [f"{each.path}: {each.text}" for each in other_file_remarks(found.others)[:3]]
    tables = [each for each in found.others if each.suffix.lower() in _TABLES_OF_PICTURES]
    said += [
        f"{each}: a table: pictures that stand in it are not read, save them as files" for each in tables[:1]
    ]
    said += [f"{each.path}: {each.reason}" for each in found.skipped[:1]]
    rest = "".join(f"; {each}" for each in said)
    return Unanswerable(f"no image below {root}{_left_out_text(found.left_out)}{rest}")


def check_gone(gone: Sequence[Location], name: str, stamps: Mapping[str, Stamp]) -> None:
    """Refuse roots that are gone and have no records: they were misspelt, or pruned before."""
    for root in gone:
        if not any((path := location_of(uri)) and is_below(path, (root,)) for uri in stamps):
            raise PathNotFound(
                display(root), f"and collection {name!r} has no record below it: there is nothing to prune"
            )


def _name_encodings(root: Location, found: Found) -> dict[Location, str]:
    """Return images whose names, or those of their folders below the root, are no UTF-8 or were misread."""
    above = len(str(root.parent if found.images == [root] else root))
    readings = ((image, read_name(str(image)[above:]).encoding) for image in found.images)
    return {image: encoding for image, encoding in readings if encoding}


def _assumed_names(encodings: Mapping[Location, str]) -> list[Remark]:
    counts = Counter(encodings.values())
    first = {encoding: path for path, encoding in reversed(list(encodings.items()))}
    return [
        Remark(
            str(first[encoding]),
            f"its name, or a folder's, was taken for {encoding}; images of such names: {count:,}",
        )
        for encoding, count in sorted(counts.items())
    ]


def _left_out_text(left_out: Sequence[LeftOut]) -> str:
    return "".join(f"; {each.count:,} left out: {each.reason}" for each in left_out)
