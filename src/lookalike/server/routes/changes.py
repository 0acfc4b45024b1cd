"""Routes that change many images at once, and undo that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter

from lookalike.errors import ImageNotFound
from lookalike.metric_learning.corrections import Correction
from lookalike.schemas.changes import Changed, Labels, Removal, Undo, UndoId, Undone
from lookalike.server.auth.access_control import WriteAccess
from lookalike.server.caches.undo import SECONDS
from lookalike.server.http.problems import Refused
from lookalike.server.service import InjectedService, Service
from lookalike.uris import local_path

if TYPE_CHECKING:
    from lookalike.collection import Collection
    from lookalike.types import Record

router = APIRouter(tags=["images"])


@router.post("/v1/collections/{name}/labels", dependencies=[WriteAccess])
async def label(name: str, wanted: Labels, service: InjectedService) -> Changed:
    """Put fields of many images right, or confirm them, as one image's; it can be undone."""
    return await service.write_pool.run(lambda: _label(service, name, wanted))


@router.post("/v1/collections/{name}/removals", dependencies=[WriteAccess])
async def remove(name: str, wanted: Removal, service: InjectedService) -> Changed:
    """Remove many images; it can be undone."""
    return await service.write_pool.run(lambda: _remove(service, name, wanted))


@router.post("/v1/collections/{name}/undo/{undo}", dependencies=[WriteAccess])
async def undo(name: str, undo: UndoId, service: InjectedService) -> Undone:
    """Undo a change: labels, vectors and all are as they were."""
    return await service.write_pool.run(lambda: _undo(service, name, undo))


def undo_of(identity: str | None) -> Undo | None:
    """Return what a client undoes a change by."""
    return None if identity is None else Undo(id=identity, seconds=int(SECONDS))


def _label(service: Service, name: str, wanted: Labels) -> Changed:
    handle, there, missing = _records(service, name, wanted.ids)
    before = handle.records.snapshot(list(there), labels_only=True)
    said = [Correction(one, wanted.fields, wanted.confirm) for one in there]
    try:
        corrected = handle.corrections.apply(said)
    except ImageNotFound as error:  # removed by another process since
        raise Refused(409, f"{error}: ask again") from error
    after = {each.after.id: each.after for each in corrected if each.before != each.after}
    if not after:
        return Changed(changed=0, missing=missing, undo=None)
    service.changed(handle.name, list(after))
    undone_by = service.undo.put(before.labels_of(after), after)
    return Changed(changed=len(after), missing=missing, undo=undo_of(undone_by))


def _remove(service: Service, name: str, wanted: Removal) -> Changed:
    handle, there, missing = _records(service, name, wanted.ids)
    before = handle.records.snapshot(list(there))
    removed = handle.remove(list(there))
    files = []
    if service.uploads is not None:
        paths = [local_path(record.uri) for record in there.values()]
        files = [path for path in paths if path is not None and service.uploads.holds(path)]
    service.changed(handle.name, list(there))
    undone_by = service.undo.put(before, {}, files) if removed else None
    return Changed(changed=removed, missing=missing, undo=undo_of(undone_by))


def _undo(service: Service, name: str, identity: str) -> Undone:
    handle = service.database[service.collection(name).name]
    change = service.undo.take(identity, handle.name)
    if change is None:
        raise Refused(404, "this can no longer be undone, or was undone already")
    restored, left = handle.records.restore(change.before, change.after)
    service.changed(handle.name, change.before.ids)
    # A file of one that was left removed is of no use; of one that was added, neither.
    service.delete_added(
        [
            path
            for record in (*change.before.records.values(), *change.after.values())
            if (path := local_path(record.uri)) is not None
        ]
    )
    return Undone(restored=restored, left=left)


def _records(service: Service, name: str, ids: list[str]) -> tuple[Collection, dict[str, Record], list[str]]:
    """Return the collection, its records of some ids, and the ids that it has none of."""
    handle = service.database[service.collection(name).name]
    wanted = list(dict.fromkeys(ids))
    there = {record.id: record for record in handle.records.get(wanted)}
    return handle, there, [one for one in wanted if one not in there]
