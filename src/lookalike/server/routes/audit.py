"""Routes that audit a collection: start the job, read its lists."""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from fastapi import APIRouter, Query, Response

from lookalike.audit.reconsideration import Judged, judged_by
from lookalike.errors import InvalidArgument, UnusableImage
from lookalike.ingest.embedding import MAX_BYTES
from lookalike.metric_learning.corrections import is_confirmed
from lookalike.schemas.audit import (
    AlikeImage,
    AuditQuery,
    DuplicateGroups,
    Duplicates,
    LeftOut,
    LeftOuts,
    Outlier,
    Outliers,
    Picture,
    Pictures,
    SmallClass,
    SmallClasses,
    Suspect,
    Suspects,
    Unread,
)
from lookalike.schemas.jobs import Job, JobId
from lookalike.schemas.values import Unusable
from lookalike.server.http.csv_answers import CSV, Columns, Format, csv_of_pages
from lookalike.server.http.problems import Refused
from lookalike.server.routes.audit_result import AuditResult, DuplicateIds, audit_result
from lookalike.server.routes.image_files import read_image
from lookalike.server.routes.jobs import ACCEPTED, accepted, check_answerable, check_votes
from lookalike.server.routes.votes import read_records
from lookalike.server.service import InjectedService, Service
from lookalike.types import Neighbour
from lookalike.uris import split_frame
from lookalike.vectors.vote import label_key, label_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pydantic import BaseModel

    from lookalike.progress import Progress
    from lookalike.server.http.csv_answers import Row
    from lookalike.types import Record

router = APIRouter(tags=["audit"])

Part: TypeAlias = Suspects | DuplicateGroups | Outliers | SmallClasses | LeftOuts | Pictures | Unread
ListName: TypeAlias = Literal[
    "suspects", "duplicates", "outliers", "small_classes", "left_out", "pictures", "unread"
]

_MOST_ALIKE = 100
_ITEMS: dict[ListName, type[BaseModel]] = {
    "suspects": Suspect,
    "duplicates": AlikeImage,
    "outliers": Outlier,
    "small_classes": SmallClass,
    "left_out": LeftOut,
    "pictures": Picture,
    "unread": LeftOut,
}
"""What the rows of a list are, as CSV."""
_GROUP = ("group", "similarity", "identical", "disagree", "straddle")
"""What is known of the near-duplicates that a row is one of."""


@router.post("/v1/collections/{name}/audits", **ACCEPTED)
async def audit(name: str, query: AuditQuery, response: Response, service: InjectedService) -> Job:
    """Look for wrong labels, near-duplicates, outliers, small classes and pictures of poor quality.

    Each label is held against the nearest other images, in a fitted collection with the metric fitted anew in
    folds, and each finding comes with the images that speak for it.
    """
    collection = await service.store_pool.run(lambda: service.collection(name))
    check_answerable(collection, query.by, query.split)
    if query.split is not None and query.split == query.by:
        raise InvalidArgument(f"by and split are both {query.by!r}: a label is no split")
    check_votes(collection, query.k, 1)
    act = partial(_audit, service, collection.name, query)
    return accepted(service.jobs.put("audit", collection.name, query, act), response)


@router.get("/v1/jobs/{id}/audit", response_model=Part, responses=CSV)
async def audited(
    id: JobId,  # noqa: A002 as the contract calls it
    service: InjectedService,
    part: Annotated[ListName, Query(alias="list", description="Which list.")] = "suspects",
    every: Annotated[
        bool, Query(alias="all", description="Also labels that the neighbours do not contradict.")
    ] = False,
    offset: Annotated[int, Query(ge=0, description="Entries to pass over.")] = 0,
    limit: Annotated[int, Query(ge=1, le=200, description="Entries a page.")] = 50,
    format: Format = "json",  # noqa: A002
) -> Part | Response:
    """Return one list of an audit that is done.

    Labels are those that the job read; names, fields, and what people have settled since, are those of now.
    Images that were removed since are left out.
    """
    job, kept = service.jobs.result(id, "audit")

    async def read(page: slice) -> Part:
        if part == "suspects":
            return await service.store_pool.run(
                lambda: _suspects(service, job.collection, kept, page, every=every)
            )
        return await service.store_pool.run(lambda: _PARTS[part](service, job.collection, kept, page))

    if format == "json":
        return await read(slice(offset, offset + limit))

    fields = (await service.store_pool.run(lambda: service.collection(job.collection))).fields
    columns = Columns(_ITEMS[part], fields, _GROUP if part == "duplicates" else ())

    async def rows(page: slice) -> tuple[int, list[Row]]:
        found = await read(page)
        if isinstance(found, DuplicateGroups):
            return found.total, list(_alike_rows(found.duplicates, page.start, columns))
        return found.total, [columns.row(each) for each in getattr(found, part)]

    return await csv_of_pages(part, columns.names, rows)


def _audit(service: Service, name: str, query: AuditQuery, progress: Progress) -> AuditResult:
    def read(record: Record) -> bytes:
        if split_frame(record.uri):
            frame = read_image(service, name, record)
            if isinstance(frame, Unusable):
                raise UnusableImage(record.uri, frame.skipped)
            return frame.data
        try:
            with service.roots.open(name, record) as file:
                data = file.read(MAX_BYTES + 1)
        except Refused as error:
            raise UnusableImage(record.uri, str(error)) from error
        if len(data) > MAX_BYTES:
            raise UnusableImage(record.uri, "the file is too large to be read")
        return data

    found = service.database[name].audit(
        query.by,
        split=query.split,
        using=query.using,
        k=query.k,
        look=query.look,
        read=read,
        progress=progress,
    )
    return audit_result(found)


def _suspects(service: Service, collection: str, kept: AuditResult, page: slice, *, every: bool) -> Suspects:
    by = kept.summary.by
    if by is None:
        return Suspects(summary=kept.summary, total=0, suspects=[])
    first = read_records(service, collection, kept.votes.on(range(kept.contradicted)))
    places = [place for place in range(kept.contradicted) if kept.votes.image(place) in first]
    before = dict(zip(kept.votes.rows.tolist(), kept.labels, strict=True))
    judged: dict[int, Judged] = {}

    def judge(place: int, records: dict[str, Record]) -> Judged:
        """Return what speaks against a label, by the labels of now where the evidence has changed."""
        if place not in judged:
            then = Judged(kept.suggested[place], kept.scores[place], place < kept.contradicted)
            again = kept.votes.changed(place, records, by, before)
            judged[place] = then if again is None else judged_by(kept.labels[place], again, by)
        return judged[place]

    # What nothing speaks against any more is no suspect; what was put right itself is told as settled.
    places = [
        place
        for place in places
        if judge(place, first).contradicted or _is_settled(first[kept.votes.image(place)], kept, place, by)
    ]
    gone = set(range(kept.contradicted)) - set(places)

    places.sort(key=lambda place: _is_settled(first[kept.votes.image(place)], kept, place, by))
    if every:
        places += sorted(place for place in gone if kept.votes.image(place) in first)
        places += range(kept.contradicted, len(kept.labels))
    total, places = len(places), places[page]
    records = read_records(service, collection, kept.votes.on(places))
    found = []
    for place in places:
        record = records.get(kept.votes.image(place))
        if record is not None:
            found.append(
                Suspect(
                    image=service.image(record),
                    label=kept.labels[place],
                    suggested=judge(place, records).suggested,
                    score=judge(place, records).score,
                    contradicted=judge(place, records).contradicted,
                    confirmed=is_confirmed(record, by),
                    changed=_has_changed(record, kept, place, by),
                    neighbours=kept.votes.hits(service, place, records),
                )
            )
    return Suspects(summary=kept.summary, total=total, suspects=found)


def _has_changed(record: Record, kept: AuditResult, place: int, by: str) -> bool:
    now = label_of(record, by)
    return now is None or label_key(now) != label_key(kept.labels[place])


def _is_settled(record: Record, kept: AuditResult, place: int, by: str) -> bool:
    return is_confirmed(record, by) or _has_changed(record, kept, place, by)


def _duplicates(service: Service, collection: str, kept: AuditResult, page: slice) -> DuplicateGroups:
    groups = kept.duplicates[page]
    ids = (identity for group in groups for identity in group.ids.first(_MOST_ALIKE))
    records = read_records(service, collection, ids)
    found = [
        Duplicates(
            count=len(group.labels),
            images=_alike(service, group, records),
            disagree=group.disagree,
            straddle=group.straddle,
            identical=group.identical,
            similarity=group.similarity,
        )
        for group in groups
    ]
    return DuplicateGroups(
        summary=kept.summary,
        total=len(kept.duplicates),
        duplicates=[each for each in found if each.images],
    )


def _alike_rows(groups: Sequence[Duplicates], first: int, columns: Columns) -> Iterator[Row]:
    """Return near-duplicates as rows, those of a group under its number, from 1."""
    for number, group in enumerate(groups, first + 1):
        known = {"group": number} | {name: getattr(group, name) for name in _GROUP[1:]}
        for image in group.images:
            yield known | columns.row(image)


def _alike(service: Service, group: DuplicateIds, records: dict[str, Record]) -> list[AlikeImage]:
    splits = group.splits or itertools.repeat(None)
    return [
        AlikeImage(**service.image(record).model_dump(), label=label, split=split)
        for identity, label, split in zip(group.ids.first(_MOST_ALIKE), group.labels, splits, strict=False)
        if (record := records.get(identity)) is not None
    ]


def _outliers(service: Service, collection: str, kept: AuditResult, page: slice) -> Outliers:
    outliers = kept.outliers[page]
    records = read_records(
        service, collection, (identity for each in outliers for identity in (each.id, each.nearest))
    )
    found = []
    for each in outliers:
        record, nearest = (records.get(identity) for identity in (each.id, each.nearest))
        if record is not None:
            found.append(
                Outlier(
                    image=service.image(record),
                    label=each.label,
                    deviation=each.deviation,
                    nearest=None
                    if nearest is None
                    else service.neighbours([Neighbour(nearest, each.similarity)])[0],
                )
            )
    return Outliers(summary=kept.summary, total=len(kept.outliers), outliers=found)


def _small_classes(_service: Service, _collection: str, kept: AuditResult, page: slice) -> SmallClasses:
    return SmallClasses(
        summary=kept.summary, total=len(kept.small_classes), small_classes=kept.small_classes[page]
    )


def _left_out(service: Service, collection: str, kept: AuditResult, page: slice) -> LeftOuts:
    return LeftOuts(
        summary=kept.summary,
        total=len(kept.left_out),
        left_out=_reasons(service, collection, kept.left_out[page]),
    )


def _reasons(service: Service, collection: str, some: Sequence[tuple[str, str]]) -> list[LeftOut]:
    """Return images that are there still, with the reason that is given for each."""
    records = read_records(service, collection, (identity for identity, _ in some))
    return [
        LeftOut(image=service.image(record), reason=reason)
        for identity, reason in some
        if (record := records.get(identity)) is not None
    ]


def _pictures(service: Service, collection: str, kept: AuditResult, page: slice) -> Pictures:
    some = kept.pictures[page]
    records = read_records(service, collection, (identity for identity, _, _ in some))
    found = [
        Picture(image=service.image(record), kind=kind, value=value)
        for identity, kind, value in some
        if (record := records.get(identity)) is not None
    ]
    return Pictures(summary=kept.summary, total=len(kept.pictures), pictures=found)


def _unread(service: Service, collection: str, kept: AuditResult, page: slice) -> Unread:
    return Unread(
        summary=kept.summary,
        total=len(kept.unread),
        unread=_reasons(service, collection, kept.unread[page]),
    )


_PARTS: dict[str, Callable[[Service, str, AuditResult, slice], Part]] = {
    "duplicates": _duplicates,
    "outliers": _outliers,
    "small_classes": _small_classes,
    "left_out": _left_out,
    "pictures": _pictures,
    "unread": _unread,
}
