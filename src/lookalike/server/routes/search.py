"""The route that searches images."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from fastapi import APIRouter, Request, Response

from lookalike.embedders.ranged import split_name
from lookalike.errors import InvalidArgument, UnusableImage
from lookalike.images.decoding import may_take_long
from lookalike.images.regions import WHOLE, check_box, crop
from lookalike.schemas.search import Cutoff, SearchAnswer, SearchQuery
from lookalike.schemas.search import Term as AskedTerm
from lookalike.schemas.values import Hit, Unusable
from lookalike.search.query import Embedding, Image, RecordId, Sum, Summand, Text, Vector
from lookalike.server.http.csv_answers import CSV, FORMAT, Columns, csv_response, csv_text
from lookalike.server.http.request_bodies import body_schema, read_data_url, read_query
from lookalike.server.http.responses import json_response
from lookalike.server.routes.fast_route import FastRoute
from lookalike.server.routes.image_files import read_image
from lookalike.server.routes.models import shown_model
from lookalike.server.service import InjectedService, Service, shown_approximation
from lookalike.sources.uploads import Upload
from lookalike.types import Skipped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from lookalike.ingest.embedding import EmbeddedFile
    from lookalike.search.query import Terms

router = APIRouter(tags=["search"], route_class=FastRoute)

_EXAMPLE = {"terms": [{"text": "a red car"}], "k": 10, "where": {"part": ["tank"]}}


@router.post(
    "/v1/collections/{name}/search",
    response_model=SearchAnswer,
    responses=CSV,
    openapi_extra={
        **body_schema(SearchQuery, example=_EXAMPLE, pictures="Pictures; terms name them by their place."),
        "parameters": [FORMAT],
    },
)
async def search(name: str, request: Request, service: InjectedService) -> Response:
    """Find the images that are most like a picture, an image, a text, or a sum of them."""
    form = request.query_params.get("format", "json")
    if form not in ("json", "csv"):
        raise InvalidArgument(f"format is json or csv, not {form!r}")
    query, uploads = await read_query(request, SearchQuery, service.settings)
    if query.false_alarm is not None and query.min_similarity != "auto":
        raise InvalidArgument("false_alarm is for min_similarity auto")
    asked = _asked(query, uploads)
    if sum(isinstance(each, _Picture) for each in asked) > service.settings.max_images:
        raise InvalidArgument(f"at most {service.settings.max_images} pictures a request")

    asked = [await _region(service, name, each) for each in asked]

    async def answer() -> Response:
        terms = await _embedded(service, name, query.using, asked)
        respond = json_response if form == "json" else partial(_file, service, name)
        return await service.store_pool.run(lambda: respond(_search(service, name, terms, query)))

    return await service.embedders.checked(name, answer)


class _Picture(NamedTuple):
    upload: Upload
    sign: int
    term: AskedTerm | None = None
    """Where it may be a region that is meant."""


def _asked(query: SearchQuery, uploads: Sequence[Upload]) -> list[AskedTerm | _Picture]:
    """Return what is asked for, with the pictures themselves."""
    if not query.terms:
        if not uploads:
            raise InvalidArgument("nothing to search for: send a picture, an id or a text")
        return [_Picture(upload, 1) for upload in uploads]
    asked: list[AskedTerm | _Picture] = []
    for place, term in enumerate(query.terms):
        if isinstance(term.image, str):
            upload = read_data_url(term.image, f"the picture of term {place}")
            asked.append(_Picture(upload, term.sign, term))
        elif term.image is None:
            asked.append(term)
        elif 0 <= term.image < len(uploads):
            asked.append(_Picture(uploads[term.image], term.sign, term))
        else:
            raise InvalidArgument(
                f"term {place} is picture {term.image}, and the request has {len(uploads)} (counted from 0)"
            )
    if unused := set(range(len(uploads))).difference(term.image for term in query.terms):
        raise InvalidArgument(f"picture {min(unused)} is in no term (counted from 0)")
    return asked


async def _region(service: Service, name: str, asked: AskedTerm | _Picture) -> AskedTerm | _Picture:
    """Return the region of a picture or an image that is meant as a picture; a whole one as it is."""
    term = asked.term if isinstance(asked, _Picture) else asked
    if term is None or (term.box is None and term.part is None):
        return asked
    box, parts = (term.box, False) if term.part is None else (term.part, True)
    assert box is not None  # noqa: S101 one of both is there
    check_box(box, parts=parts)
    if isinstance(asked, _Picture):
        whole = asked.upload
    else:
        collection, record = await service.store_pool.run(lambda: service.record(name, term.id or ""))
        found = await service.image_pool.run(lambda: read_image(service, collection.name, record))
        if isinstance(found, Unusable):
            raise UnusableImage(found.name, found.skipped)
        whole = found
    most = service.settings.max_pixels
    pool = service.slow_image_pool if may_take_long(whole.data, WHOLE, most) else service.image_pool
    levels = split_name((await service.store_pool.run(lambda: service.collection(name))).space.embedder)[1]
    data = await pool.run(
        lambda: crop(whole.data, whole.name, box, parts=parts, max_pixels=most, levels=levels)
    )
    return _Picture(Upload(whole.name, data), term.sign)


async def _embedded(
    service: Service, name: str, using: str | None, asked: Sequence[AskedTerm | _Picture]
) -> Terms:
    """Return the terms with their pictures and texts embedded, together with those of other requests."""
    pictures = [each.upload for each in asked if isinstance(each, _Picture)]
    texts = [each.text for each in asked if isinstance(each, AskedTerm) and each.text is not None]
    model = None
    if pictures or texts:
        model = await service.embedders.get(name, using, reading=bool(texts))
    files: Iterator[EmbeddedFile | Skipped] = iter(())
    if model is not None and pictures:
        files = iter(await service.embedding_queue.pictures(pictures, model.embedder, model.cache))
    rows: Iterator[NDArray[np.float32]] = iter(())
    if model is not None and texts:
        reader = await service.store_pool.run(lambda: service.database[name].vectors.text_embedder(using))
        rows = iter(await service.embedding_queue.texts(texts, reader))
    made_by = "" if model is None else model.embedder.fingerprint
    terms: list[Summand] = []
    for each in asked:
        if isinstance(each, _Picture):
            file = next(files)
            if isinstance(file, Skipped):
                raise UnusableImage(file.path, file.reason)
            known = Embedding(file.features, made_by, file.digest)
            terms.append(Summand(each.sign, Image(each.upload.name, known)))
        elif each.text is not None:
            terms.append(Summand(each.sign, Text(each.text, Embedding(next(rows), made_by))))
        elif each.id is not None:
            terms.append(Summand(each.sign, RecordId(each.id)))
        elif each.vector is not None:
            terms.append(Summand(each.sign, Vector(each.vector)))
    return Sum(tuple(terms))


def _file(service: Service, name: str, answer: SearchAnswer) -> Response:
    """Return the hits of an answer as CSV; blocks."""
    columns = Columns(Hit, service.collection(name).fields)
    return csv_response("results", csv_text(columns.names, map(columns.row, answer.hits), head=True))


def _search(service: Service, name: str, terms: Terms, query: SearchQuery) -> SearchAnswer:
    """Search, and write down what was found; blocks."""
    service.check_served(name)
    answer = service.database[name].search(
        terms,
        k=query.offset + query.k + 1,
        where=query.where,
        using=query.using,
        hybrid=query.hybrid,
        min_similarity=query.min_similarity,
        false_alarm=query.false_alarm,
        approximate=query.approximate,
    )
    # Where it lies on this machine is nobody else's business.
    answer = replace(answer, model=shown_model(service, answer.model))
    model = answer.model if answer.texts else None
    hits = answer.hits[query.offset : query.offset + query.k]
    return SearchAnswer(
        hits=service.hits(hits),
        more=len(answer.hits) > query.offset + query.k,
        approximation=shown_approximation(answer.approximation),
        using=answer.using,
        model=model,
        left_out=answer.itself,
        cutoff=None
        if answer.cutoff is None
        else Cutoff(similarity=answer.cutoff.similarity, false_alarm=answer.cutoff.rate),
        best=answer.best,
        remarks=answer.remarks,
        remark_kinds=list(answer.remarks_by_kind),
    )
