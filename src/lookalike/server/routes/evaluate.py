"""Routes that evaluate a collection: start the job, read its figures and images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Response

from lookalike.errors import InvalidArgument
from lookalike.schemas.evaluate import EvaluatedImage, EvaluatedImages, EvaluateQuery, EvaluationAnswer
from lookalike.schemas.jobs import Job, JobId
from lookalike.server.http.csv_answers import CSV, Columns, Format, Row, csv_of_pages
from lookalike.server.http.responses import json_response
from lookalike.server.routes.jobs import ACCEPTED, accepted, check_answerable, check_votes
from lookalike.server.routes.votes import Ids, Votes, read_records
from lookalike.server.service import InjectedService, Service
from lookalike.types import SERIES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lookalike.evaluation.evaluation import Evaluation
    from lookalike.progress import Progress
    from lookalike.server.routes.votes import Places
    from lookalike.types import Scalar

router = APIRouter(tags=["evaluate"])

# What of `evaluation_lines` an answer is made of; the others name records.
_SHOWN = {"class": "classes", "confusion": "confusion", "reliability": "reliability", "coverage": "coverage"}


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """The result of an evaluation job in compact form, some 100 bytes an image."""

    answer: bytes
    """`EvaluationAnswer` as JSON."""
    labels: tuple[Scalar, ...]
    votes: Votes
    """On the n evaluated images: those with the clearest votes first, then by id."""
    truth: Places
    """(n,): places in `labels`."""
    predicted: Places
    """(n,): likewise."""
    shares: NDArray[np.float64]
    """(n,)"""


@router.post("/v1/collections/{name}/evaluations", **ACCEPTED)
async def evaluate(name: str, query: EvaluateQuery, response: Response, service: InjectedService) -> Job:
    """Measure how often the neighbours are right, on the collection's own images.

    Each image is classified by others, and its own label is looked at only afterwards: by all others, or,
    where a metric was fitted or k is to be chosen, by those of other folds. Near-duplicates are kept
    together.
    """
    collection = await service.store_pool.run(lambda: service.collection(name))
    group = None if query.group == SERIES else query.group
    check_answerable(collection, query.by, query.within, group)
    for other in ("within", "group"):
        if getattr(query, other) == query.by:
            raise InvalidArgument(f"by and {other} are both {query.by!r}: nothing could be compared")
    check_votes(collection, query.k, query.repeats)
    act = partial(_evaluate, service, collection.name, query)
    return accepted(service.jobs.put("evaluate", collection.name, query, act), response)


@router.get("/v1/jobs/{id}/evaluation", response_model=EvaluationAnswer)
async def evaluation(id: JobId, service: InjectedService) -> Response:  # noqa: A002 as the contract calls it
    """Return the figures of an evaluation that is done."""
    _, kept = service.jobs.result(id, "evaluate")
    return Response(kept.answer, media_type="application/json")


@router.get("/v1/jobs/{id}/evaluation/images", response_model=EvaluatedImages, responses=CSV)
async def images(
    id: JobId,  # noqa: A002
    service: InjectedService,
    label: Annotated[int | None, Query(ge=0, description="The true one: a place in `classes`.")] = None,
    predicted: Annotated[int | None, Query(ge=0, description="The one given: likewise.")] = None,
    wrong: Annotated[bool, Query(description="Only mistakes.")] = False,
    offset: Annotated[int, Query(ge=0, description="Images to pass over.")] = 0,
    limit: Annotated[int, Query(ge=1, le=200, description="Images a page.")] = 50,
    format: Format = "json",  # noqa: A002
) -> EvaluatedImages | Response:
    """List the images of an evaluation, or those of one cell of its confusion matrix, with their neighbours.

    Labels are those that the job read; names and fields are those of now.
    """
    job, kept = service.jobs.result(id, "evaluate")
    for place in (label, predicted):
        if place is not None and place >= len(kept.labels):
            raise InvalidArgument(f"there are {len(kept.labels)} classes, counted from 0: no {place}")
    chosen = np.ones(len(kept.truth), bool)
    if label is not None:
        chosen &= kept.truth == label
    if predicted is not None:
        chosen &= kept.predicted == predicted
    if wrong:
        chosen &= kept.truth != kept.predicted
    places = np.flatnonzero(chosen)

    async def page(some: slice) -> list[EvaluatedImage]:
        wanted = places[some].tolist()
        return await service.store_pool.run(lambda: _images(service, job.collection, kept, wanted))

    if format == "json":
        return EvaluatedImages(total=len(places), images=await page(slice(offset, offset + limit)))

    found = await service.store_pool.run(lambda: service.collection(job.collection))
    columns = Columns(EvaluatedImage, found.fields)

    async def rows(some: slice) -> tuple[int, list[Row]]:
        return len(places), [columns.row(each) for each in await page(some)]

    return await csv_of_pages("mistakes" if wrong else "evaluation", columns.names, rows)


def _evaluate(service: Service, name: str, query: EvaluateQuery, progress: Progress) -> EvaluationResult:
    options = query.model_dump(exclude={"by"})
    return evaluation_result(service.database[name].evaluate(query.by, progress=progress, **options))


def evaluation_result(found: Evaluation) -> EvaluationResult:
    """Return an evaluation in compact form."""
    held = found.held
    # They are in order of id.
    order = np.argsort(-held.shares, kind="stable")
    return EvaluationResult(
        bytes(json_response(_answer(found)).body),
        held.labels,
        Votes.of(
            Ids(record.id for record in found.records),
            *(held.rows[order], held.neighbours[order], held.similarities[order]),
        ),
        held.truth[order].astype(np.int32),
        held.predicted[order].astype(np.int32),
        held.shares[order],
    )


def _answer(found: Evaluation) -> EvaluationAnswer:
    from lookalike.evaluation.evaluation import evaluation_lines

    lines = evaluation_lines(found)
    parts: dict[str, Any] = {"summary": next(lines), **{each: [] for each in _SHOWN.values()}}
    for line in takewhile(lambda line: line["type"] in _SHOWN, lines):
        parts[_SHOWN[line["type"]]].append(line)
    return EvaluationAnswer.model_validate(parts)


def _images(
    service: Service, collection: str, kept: EvaluationResult, places: list[int]
) -> list[EvaluatedImage]:
    records = read_records(service, collection, kept.votes.on(places))
    found = []
    for place in places:
        record = records.get(kept.votes.image(place))
        if record is not None:
            image = service.image(record)
            found.append(
                EvaluatedImage(
                    **image.model_dump(),
                    label=kept.labels[kept.truth[place]],
                    predicted=kept.labels[kept.predicted[place]],
                    share=float(kept.shares[place]),
                    neighbours=kept.votes.hits(service, place, records),
                )
            )
    return found
