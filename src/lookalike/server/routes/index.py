"""Routes that index a collection: pick a folder, start the job, read its report."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Response

from lookalike.errors import LookalikeError, Unanswerable
from lookalike.file_names import display
from lookalike.images.film_sampling import Sampling
from lookalike.ingest.removals import disagree
from lookalike.schemas.index import FolderEntry, Folders, Indexing, IndexQuery, LeftOutFiles
from lookalike.schemas.jobs import Job, JobId
from lookalike.schemas.values import Unusable
from lookalike.server.auth.access_control import WriteAccess
from lookalike.server.http.problems import Refused
from lookalike.server.routes.jobs import ACCEPTED, accepted
from lookalike.server.service import InjectedService, Service
from lookalike.sources.locations import full, location_of
from lookalike.sources.objects import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.ingest.index_report import IndexReport
    from lookalike.progress import Progress
    from lookalike.sources.objects import Location
    from lookalike.types import CollectionInfo

router = APIRouter(tags=["index"])

_GONE = "it was indexed and is not there any more"


@router.get("/v1/folders", dependencies=[WriteAccess])
async def folders(
    service: InjectedService,
    root: Annotated[
        str | None, Query(max_length=4096, description="A root; without it they are listed.")
    ] = None,
    path: Annotated[str, Query(max_length=4096, description="Below it, parted by slashes.")] = "",
) -> Folders:
    """List the folders and buckets that may be indexed: those that `lookalike serve --root` names, and below.

    Where they lie on the service's machine is not told. Needs a writing key.
    """
    if root is None:
        names = service.folders.names
        every = [FolderEntry(name=name, path="", problem=None) for name in names]
        return Folders(root=None, path="", folders=every, images=0, films=0)
    found = await service.store_pool.run(lambda: service.folders.level(root, path))
    below = f"{path}/" if path else ""
    return Folders(
        root=root,
        path=path,
        folders=[
            FolderEntry(name=display(each.name), path=below + each.name, problem=each.problem)
            for each in found.folders
        ],
        images=found.images,
        films=found.films,
    )


@router.post("/v1/collections/{name}/indexings", **ACCEPTED, dependencies=[WriteAccess])
async def index(name: str, query: IndexQuery, response: Response, service: InjectedService) -> Job:
    """Bring a collection up to date with the folders that were indexed into it on the service's machine.

    Those are the folders that `lookalike index` was given, and, of the folders that `lookalike serve --root`
    names, those with images of the collection, or all where it is empty and nothing was indexed into it yet;
    or only the `folder` that the query names, see `GET /v1/folders`. What is unchanged costs one look. A job
    that is cancelled leaves a collection that the same job completes.
    """
    if query.frames is not None:
        Sampling.parse(query.frames)
    collection = await service.store_pool.run(lambda: _indexable(service, name, query))
    act = partial(_index, service, collection, query)
    return accepted(service.jobs.put("index", collection.name, query, act), response)


@router.get("/v1/jobs/{id}/indexing")
async def indexing(id: JobId, service: InjectedService) -> Indexing:  # noqa: A002 as the contract calls it
    """Tell what became of every file, when the job is done."""
    found: Indexing = service.jobs.result(id, "index")[1]
    return found


def indexed_roots(service: Service, collection: CollectionInfo) -> list[Location]:
    """Return what a collection is indexed from; blocks.

    Args:
        service: that knows its own roots.
        collection: as the store has it.
    """
    handle = service.database[collection.name]
    paths = handle.indexed().paths
    roots = list(map(full, service.settings.roots))
    if roots and (paths or collection.count):
        files = [path for uri in handle.records.uris() if (path := location_of(uri))]
        roots = [root for root in roots if any(file.is_relative_to(root) for file in files)]
    return list(dict.fromkeys([*paths, *roots]))


def _indexable(service: Service, name: str, query: IndexQuery) -> CollectionInfo:
    collection = service.collection(name)
    # Before a job is made: its model has to be here, for nothing is fetched.
    service.database[collection.name].check_indexable()
    if query.folder is not None:
        service.folders.find(query.folder.root, query.folder.path)
    elif not indexed_roots(service, collection):
        raise Refused(
            409,
            f"nothing was indexed into {collection.name!r} on the service's machine: index a folder with "
            "`lookalike index`, or name one with `lookalike serve --root`",
        )
    return collection


def _index(service: Service, collection: CollectionInfo, query: IndexQuery, progress: Progress) -> Indexing:
    outside: Sequence[str] = ()
    if query.folder is None:
        roots = indexed_roots(service, collection)
    else:
        roots = [service.folders.find(query.folder.root, query.folder.path)]
        outside = service.folders.links_outside(query.folder.root, roots[0])
    # One that is gone, or a disk that is not there today, keeps nobody from the others.
    there = [root for root in roots if isinstance(root, ObjectPath) or root.exists()]
    gone = [Unusable(name=root.name, skipped=_GONE) for root in roots if root not in there]
    if not there:
        raise Unanswerable("what was indexed is not there any more")
    try:
        report = service.database[collection.name].index(
            there,
            labels=query.labels,
            prune=query.prune,
            agree=(lambda _removal: True) if query.yes else disagree,
            exclude=outside,
            as_before=True,
            frames=query.frames,
            index_name=query.index_name,
            progress=progress,
        )
    except LookalikeError as error:
        # Its line is shown to whoever asks for the job.
        error.args = (_without(roots, str(error)),)
        raise
    finally:
        # Also where it was cancelled: what is written is written.
        service.changed(collection.name)
    return _shown(report, roots, gone)


def _shown(report: IndexReport, roots: Sequence[Location], gone: Sequence[Unusable]) -> Indexing:
    def named(paths: Sequence[str]) -> list[str]:
        return [display(_without(roots, path)) for path in paths]

    return Indexing(
        collection=report.collection,
        labels=report.labels,
        images=report.images,
        added=report.added,
        updated=report.updated,
        relabelled=report.relabelled,
        unchanged=report.unchanged,
        moved=report.moved,
        removed=report.removed,
        films=report.films,
        embedded=report.embedded,
        skipped=[
            *gone,
            *(
                Unusable(name=name, skipped=reason)
                for name, reason in zip(
                    named([each.path for each in report.skipped]),
                    named([each.reason for each in report.skipped]),
                    strict=True,
                )
            ),
        ],
        unlabelled=named(report.unlabelled),
        told_apart=named(report.told_apart),
        overruled=named(report.overruled),
        left_out=[
            LeftOutFiles(
                reason=display(each.reason), count=each.count, example=display(_without(roots, each.example))
            )
            for each in report.left_out
        ],
        remarks=named(
            [
                *([report.label_trouble] if report.label_trouble else []),
                *(f"{each.path}: {each.text}" if each.path else each.text for each in report.remarks),
            ]
        ),
        other_files=report.other_files,
        seconds=report.seconds,
    )


def _without(roots: Sequence[Location], text: str) -> str:
    """Return a text that names no folder of this machine above those that are indexed."""
    for root in sorted(map(str, roots), key=len, reverse=True):
        text = text.replace(f"{root}/", "").replace(root, root.rpartition("/")[2] or root)
    return text
