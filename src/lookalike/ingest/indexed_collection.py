"""Indexing a collection of a store: its embedder, what to leave out, and the note of what was indexed."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from lookalike.embedders.models import DEFAULT_MODEL
from lookalike.embedders.ranged import ranged_name, split_name
from lookalike.embedders.speeds import note_speed
from lookalike.embedders.unknown import is_unknown
from lookalike.errors import CollectionNotFound, EmbedderUnknown, InvalidArgument, PathNotFound
from lookalike.images.film_sampling import Sampling
from lookalike.images.films import check_films
from lookalike.ingest.completion import complete_vectors
from lookalike.ingest.embedding import Encoder
from lookalike.ingest.indexed_folders import Indexed, indexed_paths, remember_indexed
from lookalike.ingest.indexing import index
from lookalike.ingest.removals import is_below
from lookalike.metric_learning.fitted import plain_vector
from lookalike.progress import silent
from lookalike.sources.locations import full, location_of
from lookalike.sources.objects import ObjectPath
from lookalike.sources.patterns import Patterns
from lookalike.stores.checks import same_name
from lookalike.stores.relative_paths import is_base, merged_bases
from lookalike.types import Remark

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lookalike.embedders.models import Models
    from lookalike.ingest.index_options import IndexOptions
    from lookalike.ingest.index_report import IndexReport
    from lookalike.progress import Progress
    from lookalike.sources.objects import Location
    from lookalike.stores.store import Store


# Records whose vectors are completed on one machine after a run on many.
_FEW = 1000
_LACKING = (
    f"more than {_FEW:,} records lack a vector that the collection declares: `lookalike index` without "
    "--workers ray completes it"
)
_NO_INDEXES = (
    "an index name is for Elasticsearch stores; with another one, applications ask for the collection by its "
    "name, or by that of `lookalike serve --index-alias NAME=COLLECTION`"
)


def index_collection(
    store: Store,
    models: Models,
    name: str,
    paths: Sequence[Location],
    options: IndexOptions,
    progress: Progress = silent,
) -> tuple[IndexReport, str | None]:
    """Bring a collection up to date with the images below some paths: see `indexing.index`.

    That these paths were indexed is noted on this machine: see `indexed_folders`.

    Args:
        store: where the collection lives.
        models: open the embedder.
        name: the collection, made if it is missing.
        paths: folders and files.
        options: how.
        progress: called with images done and images to do.

    Returns:
        What became of every file; and why it could not be noted, None where all is well.
    """
    for path in paths:
        if isinstance(path, ObjectPath):
            path.check()
    encoders = _encoders(store, models, name, options)
    embedder = encoders[0].embedder
    roots = [full(path) for path in paths]
    patterns: Mapping[Location, Patterns] = dict.fromkeys(roots, Patterns(options.exclude, options.include))
    noted = indexed_paths(models.cache, store.url).get(same_name(name), Indexed())
    if options.as_before:
        patterns = {**noted.patterns, **{root: _beside(noted.patterns.get(root), options) for root in roots}}
    group_by = dict.fromkeys(roots, options.group_by) if options.group_by is not None else {}
    if options.as_before:
        group_by = {**noted.group_by, **group_by}
    frames = _frames(options, roots, noted)

    bases = _bases(store, name, roots, options.path_base, noted)
    begin = _document_names(store, name, options.index_name, bases)

    def note(there: Sequence[Location]) -> str | None:
        gone = _left(store, name, paths)
        how = {path: str(sampling) for path, sampling in frames.items()}
        return remember_indexed(models.cache, store.url, name, there, patterns, gone, group_by, how, bases)

    try:
        if options.machines is None:
            report = index(
                store,
                name,
                paths,
                encoders,
                options,
                patterns,
                progress,
                folders=noted.folders,
                group_by=group_by,
                frames=frames,
                begin=begin,
            )
        else:
            from lookalike.ingest.cluster.driver import index_on_cluster

            report = index_on_cluster(
                *(store, models, name, roots, encoders, options, options.machines, patterns, group_by),
                frames,
                progress,
                begin,
            )
    except PathNotFound:
        if options.prune:
            note([])
        raise
    # What a run or a fit before this one was killed over, and what a further model has not seen yet.
    if options.machines is None or _few_lack(store, name):
        for incomplete in complete_vectors(store, name, models, progress, roots):
            report.remarks.append(Remark("", str(incomplete)))
    else:
        report.remarks.append(Remark("", _LACKING))
    unnoted = note([path for path in paths if _is_there(path)])
    # Most of the time of a run in which nearly all were new to the model is the model's.
    if options.machines is None and report.embedded >= 0.9 * report.images:
        note_speed(models.cache, split_name(embedder.name)[0], report.embedded, report.seconds)
    return report, unnoted


def _document_names(
    store: Store, name: str, index_name: str | None, bases: Mapping[str, str]
) -> Callable[[], None]:
    """Return what names index and paths for those who read the records as documents, once there are some.

    Raises:
        InvalidArgument: the index cannot be called so.
    """
    documents = store.documents
    if documents is None:
        if index_name is not None:
            raise InvalidArgument(_NO_INDEXES)
        return lambda: None
    if index_name is not None:
        documents.check_index_name(name, index_name)

    def begin() -> None:
        documents.set_path_bases(name, bases)
        if index_name is not None:
            documents.set_index_name(name, index_name)

    return begin


def _bases(
    store: Store, name: str, roots: Sequence[Location], named: Location | None, noted: Indexed
) -> dict[str, str]:
    """Return what relative paths are relative to, when some paths have been indexed.

    Raises:
        InvalidArgument: the folder that was named is not above all of them.
    """
    known: Mapping[str, str] = noted.bases
    if store.documents is not None:
        with suppress(CollectionNotFound):
            known = store.documents.path_bases(name) or known
    folders = [str(root if isinstance(root, ObjectPath) or root.is_dir() else root.parent) for root in roots]
    base = None if named is None else str(full(named))
    for folder in folders:
        if base is not None and not is_base(base, folder):
            raise InvalidArgument(
                f"path base {base}: it is neither {folder} nor a folder above it, which paths are relative to"
            )
    return merged_bases(known, folders, base)


def _beside(before: Patterns | None, options: IndexOptions) -> Patterns:
    """Return what was left out before, and what is to be left out now, without saying it twice."""
    if before is None:
        return Patterns(options.exclude, options.include)
    return Patterns(
        list(dict.fromkeys((*before.exclude, *options.exclude))),
        list(dict.fromkeys((*before.include, *options.include))),
    )


def _few_lack(store: Store, name: str) -> bool:
    """Tell whether no vector is lacked by more records than one machine sees to at the end of a run."""
    return all(
        len(store.lacking(name, vector.space, _FEW + 1)) <= _FEW for vector in store.collection(name).vectors
    )


def _frames(options: IndexOptions, roots: Sequence[Location], noted: Indexed) -> Mapping[Location, Sampling]:
    """Return which frames of films are taken below which path.

    Raises:
        ExtraMissing: some are to be taken, and PyAV is not installed.
    """
    before = noted.frames if options.as_before and options.frames is None else {}
    frames = {path: Sampling.parse(how) for path, how in before.items()}
    if options.frames is not None:
        frames = dict.fromkeys(roots, options.frames)
    if frames:
        check_films()
    return frames


def _encoders(store: Store, models: Models, name: str, options: IndexOptions) -> list[Encoder]:
    """Return the model that is asked for, or that the collection was made by, and then its others."""
    collection = None
    with suppress(CollectionNotFound):
        collection = store.collection(name)
    for vector in () if collection is None else collection.vectors:
        if is_unknown(vector.space):
            raise EmbedderUnknown(name, vector.space.embedder)
    model = options.model
    if model is None and collection is not None:
        using = options.vector if options.vector in [each.name for each in collection.vectors] else None
        model = plain_vector(collection, using).space.embedder
    if options.levels is not None:
        model = ranged_name(model or DEFAULT_MODEL, options.levels)
    first = models.embedder(model or DEFAULT_MODEL, download=True)
    found = {first.fingerprint: Encoder(first, models.features(first))}
    for vector in () if collection is None else collection.vectors:
        if vector.space.embedder_fingerprint not in found:
            other = models.embedder(vector.space.embedder, download=True)
            found[other.fingerprint] = Encoder(other, models.features(other))
    return list(found.values())


def _is_there(path: Location) -> bool:
    """Tell whether a path is there; a prefix of objects always is, with objects or without."""
    return isinstance(path, ObjectPath) or os.path.lexists(path)


def _left(store: Store, name: str, paths: Sequence[Location]) -> list[Location]:
    """Return the paths that are gone, and that no record of the collection is below any more."""
    gone = {full(path) for path in paths if not _is_there(path)}
    if not gone:
        return []
    with suppress(CollectionNotFound):
        for uri, _ in store.scan_stamps(name):
            path = location_of(uri)
            if path is not None and is_below(path, gone):
                gone -= {path, *path.parents}
    return sorted(gone)
