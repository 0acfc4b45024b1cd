"""Requests that find images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request

from lookalike.asking.background import FALSE_ALARM
from lookalike.asking.queries import Term
from lookalike.errors import InvalidArgument, UnusableImage
from lookalike.records import Skipped
from lookalike.schemas.searching import Cutoff, SearchAnswer, SearchQuery
from lookalike.schemas.values import Approximation
from lookalike.server.service import Service, Serving
from lookalike.server.uploads import described, read_data_url, read_question

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.asking.hits import Answer
    from lookalike.pipeline import Upload
    from lookalike.records import Collection
    from lookalike.schemas.searching import Term as AskedTerm

router = APIRouter(tags=["search"])

_EXAMPLE = {"terms": [{"text": "a red car"}], "k": 10, "where": {"part": ["tank"]}}


@router.post(
    "/v1/collections/{name}/search",
    openapi_extra=described(
        SearchQuery, example=_EXAMPLE, pictures="Pictures; terms name them by their place."
    ),
)
async def search(name: str, request: Request, service: Serving) -> SearchAnswer:
    """Find the images that are most like a picture, an image, a text, or a sum of them."""
    query, uploads = await read_question(request, SearchQuery, service.settings)
    collection = await service.work(lambda: service.collection(name))
    terms = await _embedded(service, collection, query, uploads)
    depth = query.offset + query.k
    rate = None
    if query.min_similarity == "auto":
        rate = FALSE_ALARM if query.false_alarm is None else query.false_alarm
    elif query.false_alarm is not None:
        raise InvalidArgument("false_alarm is for min_similarity auto")
    answer = await service.work(
        lambda: service.session.find(
            collection.name,
            terms,
            depth + 1,
            query.where,
            hybrid=query.hybrid,
            min_similarity=query.min_similarity if isinstance(query.min_similarity, float | int) else None,
            false_alarm=rate,
            approximate=query.approximate,
        )
    )
    return _answer(service, answer, query)


async def _embedded(
    service: Service, collection: Collection, query: SearchQuery, uploads: Sequence[Upload]
) -> list[Term]:
    """Return the terms with their pictures and texts embedded, together with those of other requests."""
    asked: Sequence[tuple[AskedTerm | None, Upload | None]]
    asked = [(term, _picture(term, place, uploads)) for place, term in enumerate(query.terms)]
    if not asked:
        asked = [(None, upload) for upload in uploads]
    if not asked:
        raise InvalidArgument("nothing to search for: send a picture, an id or a text")
    embedder = await service.work(lambda: service.session.embedder_of(collection))
    pictures = [picture for _, picture in asked if picture is not None]
    texts = [term.text for term, _ in asked if term is not None and term.text is not None]
    files = iter(
        await service.embedding.pictures(pictures, embedder, service.session.features(embedder))
        if pictures
        else ()
    )
    rows = iter(
        await service.embedding.texts(
            texts, await service.work(lambda: service.session.reader_of(collection))
        )
        if texts
        else ()
    )
    terms = []
    for term, picture in asked:
        sign = 1 if term is None else term.sign
        if picture is not None:
            file = next(files)
            if isinstance(file, Skipped):
                raise UnusableImage(file.path, file.reason)
            terms.append(Term("image", picture.name, sign, file.features, file.digest))
        elif term is not None and term.text is not None:
            terms.append(Term("text", term.text, sign, next(rows)))
        elif term is not None and term.id is not None:
            terms.append(Term("record", term.id, sign))
    return terms


def _picture(term: AskedTerm, place: int, uploads: Sequence[Upload]) -> Upload | None:
    """Return the picture of a term, if it has one."""
    if isinstance(term.image, str):
        return read_data_url(term.image, f"the picture of term {place}")
    if isinstance(term.image, int):
        if not 0 <= term.image < len(uploads):
            raise InvalidArgument(
                f"term {place} is picture {term.image}, and the request has {len(uploads)} (counted from 0)"
            )
        return uploads[term.image]
    return None


def _answer(service: Service, answer: Answer, query: SearchQuery) -> SearchAnswer:
    hits = answer.hits[query.offset : query.offset + query.k]
    remarks = [] if answer.vocabulary is None else [answer.vocabulary]
    if answer.plain:
        remarks.append("the collection is fitted to images; words are looked for among its plain vectors")
    found = answer.approximation
    return SearchAnswer(
        hits=[service.hit(hit) for hit in hits],
        more=len(answer.hits) > query.offset + query.k,
        approximation=None
        if found is None
        else Approximation(kind=found.kind, recall=found.recall, k=found.k, queries=found.queries),
        left_out=answer.itself,
        cutoff=None
        if answer.cutoff is None
        else Cutoff(similarity=answer.cutoff.similarity, false_alarm=answer.cutoff.rate),
        best=answer.best,
        remarks=remarks,
    )
