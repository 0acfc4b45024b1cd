"""Elasticsearch's search requests, for applications that were written against it.

Where the store is an Elasticsearch server, they are passed on to it, as far as they only read indexes of the
collections that are served; with every other store lookalike answers them itself.

Sources: https://www.elastic.co/guide/en/elasticsearch/reference/8.19/search.html and .../docs-get.html.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.routing import APIRoute
from starlette.routing import Match

from lookalike.errors import InvalidArgument, LookalikeError, StoreDenied
from lookalike.schemas.elasticsearch import ElasticCount, ElasticProblem, ElasticSearch
from lookalike.search.query import Embedding
from lookalike.server.elastic import answers, forwarding
from lookalike.server.elastic.documents import vector_of
from lookalike.server.elastic.indexes import DocumentNotFound, Index, index_named
from lookalike.server.elastic.questions import (
    OF_SOURCE,
    Built,
    check_params,
    read_built,
    read_count,
    read_mget,
    read_search,
    read_source,
)
from lookalike.server.http.elastic_requests import ELASTIC_HEADERS, asks_elastic, read_json, read_lines
from lookalike.server.http.error_formats import in_client_format
from lookalike.server.http.problems import problem_of
from lookalike.server.http.responses import JsonResponse
from lookalike.server.routes.elasticsearch import found_model
from lookalike.server.routes.embedding_inputs import embed_inputs
from lookalike.server.service import InjectedService, Service
from lookalike.version import VERSION

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from starlette.types import Scope

    from lookalike.stores.documents import RawAnswer
    from lookalike.types import Vectors

router = APIRouter(tags=["elastic"], responses={"default": {"model": ElasticProblem}})

MOST_SEARCHES = 100
"""Of one `_msearch`."""

_PART = 1 << 16
_KINDS = ("_bbq_hnsw", "_int8_hnsw", "_hnsw")  # of approximate indexes: see `stores.elasticsearch.schema`
# Of the API that is answered where no server is: what clients of 8 and 9 look for.
_VERSIONS = {"8": "8.19.0", "9": "9.0.0"}
_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "As Elasticsearch answers.",
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
}
_SEARCH, _COUNT = (
    {"requestBody": {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}}}
    for name in (ElasticSearch.__name__, ElasticCount.__name__)
)


class _RootRoute(APIRoute):
    """`/` for clients of Elasticsearch; for browsers it is the page."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Tell whether this route answers a request."""
        return super().matches(scope) if asks_elastic(scope) else (Match.NONE, {})


class _HeadRoute(APIRoute):
    """HEAD alone: other methods of such an address are of other routes, or of none."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Tell whether this route answers a request."""
        return super().matches(scope) if scope.get("method") == "HEAD" else (Match.NONE, {})


_roots = APIRouter(route_class=_RootRoute, include_in_schema=False)
heads = APIRouter(route_class=_HeadRoute, include_in_schema=False)
"""To be asked after all others: an index may have any name."""


@_roots.api_route("/", methods=["GET", "HEAD"])
async def root(request: Request, service: InjectedService) -> Response:
    """Tell what is here, which Elastic's clients ask with `info` and `ping`."""
    documents = service.database.documents
    if documents is not None:
        answer = await service.store_pool.run(lambda: documents.pass_on("GET", "/", None, {}))
        if answer.status == 200:
            return _streamed(service, answer)
        await service.store_pool.run(answer.close)  # a server without this request
    asked = request.headers.get("accept", "").replace(" ", "")
    major = next((each for each in _VERSIONS if f"compatible-with={each}" in asked), "8")
    version = {"number": _VERSIONS[major], "build_flavor": "default", "lookalike": VERSION}
    body = {"name": "lookalike", "cluster_name": "lookalike", "version": version}
    return _json({**body, "tagline": "You Know, for Search"})


@heads.api_route("/{index}", methods=["HEAD"])
async def exists(index: str, service: InjectedService) -> Response:
    """Tell whether an index is there."""
    for one in index.split(","):
        await service.store_pool.run(lambda one=one: index_named(service, one))  # type: ignore[misc]
    return Response(headers=ELASTIC_HEADERS, media_type="application/json")


router.include_router(_roots)


@router.api_route("/_search", methods=["GET", "POST"], include_in_schema=False)
async def search_everything() -> Response:
    """Refuse a search of all indexes: each asks one collection here."""
    raise InvalidArgument("[index] name the index: patterns and _all are not answered here")


@router.get("/{index}/_search", response_model=None, responses=_ANSWER)
@router.post("/{index}/_search", response_model=None, openapi_extra=_SEARCH, responses=_ANSWER)
async def search(index: str, request: Request, service: InjectedService) -> Response:
    """Search an index by `knn`, or for what matches a `query`."""
    found = await _indexes(service, index)
    body, params = read_json(await request.body()), _params(request)
    if found[0].key is None:
        return await _answered(request, service, _only(found), body, params)
    passed = await _passed_search(request, service, found[0].collection, body)
    return await _pass_on(service, found, "_search", forwarding.text(passed), params)


@router.post("/_msearch", include_in_schema=False)
async def search_several(request: Request, service: InjectedService) -> Response:
    """Answer several searches, each of which names its index."""
    return await _search_several(request, service, None)


@router.post("/{index}/_msearch", include_in_schema=False)
async def search_several_of(index: str, request: Request, service: InjectedService) -> Response:
    """Answer several searches, of this index where they name none."""
    return await _search_several(request, service, index)


@router.get("/{index}/_count", response_model=None, responses=_ANSWER)
@router.post("/{index}/_count", response_model=None, openapi_extra=_COUNT, responses=_ANSWER)
async def count(index: str, request: Request, service: InjectedService) -> Response:
    """Count the documents that match a query."""
    found = await _indexes(service, index)
    body, params = read_json(await request.body()), _params(request)
    if found[0].key is None:
        collection, query = _only(found).collection, read_count(body, params)
        answer = await service.store_pool.run(lambda: answers.count(service.database[collection], query))
        return _json(answers.filtered(answer, params.get("filter_path")))
    built = await _built(
        request, service, found[0].collection, lambda build: forwarding.passed_count(body, build)
    )
    return await _pass_on(service, found, "_count", forwarding.text(built), params)


@router.get("/{index}/_mapping", response_model=None, responses=_ANSWER)
async def mapping(index: str, request: Request, service: InjectedService) -> Response:
    """Tell the fields of an index, and their types."""
    found = await _indexes(service, index)
    params = _params(request)
    if found[0].key is not None:
        return await _pass_on(service, found, "_mapping", None, params)
    check_params(params, ("local", "master_timeout"))
    name = _only(found).collection
    answer = await service.store_pool.run(lambda: answers.mapping_of(service.database[name]))
    return _json(answers.filtered(answer, params.get("filter_path")))


@router.head("/{index}/_doc/{identity}", include_in_schema=False)
@router.get("/{index}/_doc/{identity}", response_model=None, responses={**_ANSWER, 404: _ANSWER[200]})
async def document(index: str, identity: str, request: Request, service: InjectedService) -> Response:
    """Return one document."""
    answer = await _looked_up(service, index, f"_doc/{_step(identity)}", identity, request)
    if isinstance(answer, Response):
        return answer
    found = answers.filtered(answer, request.query_params.get("filter_path"))
    return _json(found, 200 if answer["found"] else 404)


@router.head("/{index}/_source/{identity}", include_in_schema=False)
@router.get("/{index}/_source/{identity}", include_in_schema=False)
async def source_of(index: str, identity: str, request: Request, service: InjectedService) -> Response:
    """Return the source of one document."""
    answer = await _looked_up(service, index, f"_source/{_step(identity)}", identity, request)
    if isinstance(answer, Response):
        return answer
    if not answer["found"]:
        raise DocumentNotFound(index, identity)
    return _json(answers.filtered(answer.get("_source", {}), request.query_params.get("filter_path")))


async def _looked_up(
    service: Service, index: str, path: str, identity: str, request: Request
) -> Response | dict[str, Any]:
    """Return one document, or what the store's own server answers."""
    found = _only(await _indexes(service, index))
    params = _params(request)
    if found.key is not None:
        return await _pass_on(service, [found], path, None, params, request.method)
    check_params(params, (*OF_SOURCE, "routing"))
    source, name = read_source({}, params), found.collection
    return await service.store_pool.run(lambda: answers.document_of(service.database[name], identity, source))


@router.api_route("/_mget", methods=["GET", "POST"], include_in_schema=False)
async def documents(request: Request, service: InjectedService) -> Response:
    """Return several documents, each of which names its index."""
    return await _documents(request, service, None)


@router.api_route("/{index}/_mget", methods=["GET", "POST"], include_in_schema=False)
async def documents_of(index: str, request: Request, service: InjectedService) -> Response:
    """Return several documents, of this index where they name none."""
    return await _documents(request, service, index)


async def _documents(request: Request, service: Service, index: str | None) -> Response:
    params = _params(request)
    asked = read_mget(read_json(await request.body()), index, params)
    named = dict.fromkeys(each.index_name for each in asked)
    known = {name: _only(await _indexes(service, name)) for name in named}
    keys = {name: one.key for name, one in known.items() if one.key is not None}
    if keys:
        body = forwarding.passed_documents(asked, keys)
        others = {name: value for name, value in params.items() if not name.startswith("_source")}
        return await _pass_on(service, [], "_mget", forwarding.text(body), others)
    collections = {name: service.database[one.collection] for name, one in known.items()}
    answer = await service.store_pool.run(lambda: answers.documents_of(collections, asked))
    return _json(answers.filtered(answer, params.get("filter_path")))


def _step(identity: str) -> str:
    """Return an id as one step of a path: . and .. would be others, and the index itself be asked for."""
    return quote(identity, safe="") if identity not in (".", "..") else identity.replace(".", "%2E")


async def _search_several(request: Request, service: Service, index: str | None) -> Response:
    lines, params = read_lines(await request.body()), _params(request)
    if len(lines) % 2 or len(lines) > 2 * MOST_SEARCHES:
        raise InvalidArgument(
            f"[msearch] has two lines a search, its header and its body, of at most {MOST_SEARCHES} searches"
        )
    known: dict[str, Index] = {}

    def resolve(name: str) -> str:
        known[name] = known.get(name) or index_named(service, name)
        return known[name].key or name

    def headers() -> list[dict[str, Any]]:
        default = None if index is None else [resolve(one) for one in index.split(",")]
        return [forwarding.passed_header(line, resolve, default) for line in lines[::2]]

    if service.database.documents is None:
        return await _answer_several(request, service, index, lines, params)
    passed = await service.store_pool.run(headers)
    collections = {each.key: each.collection for each in known.values()}
    parts = []
    for header, body in zip(passed, lines[1::2], strict=True):
        made = await _passed_search(request, service, collections[header["index"][0]], body)
        parts += [forwarding.text(header), forwarding.text(made)]
    return await _pass_on(service, [], "_msearch", b"\n".join([*parts, b""]), params)


async def _answer_several(
    request: Request, service: Service, index: str | None, lines: list[Any], params: Mapping[str, str]
) -> Response:
    """Answer several searches one after the other; one that fails does not keep the others from it."""
    check_params(params, ("max_concurrent_searches", "rest_total_hits_as_int"))
    found: list[dict[str, Any]] = []
    for header, body in zip(lines[::2], lines[1::2], strict=True):
        try:
            named = forwarding.passed_header(header, lambda name: name, None if index is None else [index])
            one = _only(await _indexes(service, ",".join(named["index"])))
            found.append({**await _answer(request, service, one, body, {}), "status": 200})
        except LookalikeError as error:
            problem = in_client_format(request.scope, problem_of(error))
            found.append(read_json(bytes(problem.body)))
    took = sum(one.get("took", 0) for one in found)
    return _json(answers.filtered({"took": took, "responses": found}, params.get("filter_path")))


async def _answered(
    request: Request, service: Service, index: Index, body: Any, params: Mapping[str, str]
) -> Response:
    answer = await _answer(request, service, index, body, params)
    return _json(answers.filtered(answer, params.get("filter_path")))


async def _answer(
    request: Request, service: Service, index: Index, body: Any, params: Mapping[str, str]
) -> dict[str, Any]:
    question = read_search(body, params)
    name = index.collection
    vector: Vectors | list[float] | None = None
    if question.knn is not None:
        vector = question.knn.vector if isinstance(question.knn.vector, list) else None
        if isinstance(question.knn.vector, Built):
            vector = await _vector(request, service, name, question.knn.field, question.knn.vector)
    answer = await service.store_pool.run(lambda: answers.search(service.database[name], question, vector))
    if params.get("rest_total_hits_as_int") == "true" and "total" in answer["hits"]:
        answer["hits"]["total"] = answer["hits"]["total"]["value"]
    return answer


async def _passed_search(request: Request, service: Service, collection: str, body: Any) -> dict[str, Any]:
    return await _built(request, service, collection, lambda build: forwarding.passed_search(body, build))


async def _built(
    request: Request, service: Service, collection: str, make: Callable[[forwarding.Build], dict[str, Any]]
) -> dict[str, Any]:
    """Return what is passed on, its texts as vectors of the models that are served here."""
    asked: dict[tuple[str, Built], list[float]] = {}

    def build(field: str, builder: Any) -> list[float]:
        return asked.setdefault((field, read_built(builder)), [])

    made = make(build)
    for (field, built), numbers in asked.items():
        numbers.extend(map(float, await _vector(request, service, collection, field, built)))
    return made


async def _vector(request: Request, service: Service, collection: str, field: str, built: Built) -> Vectors:
    """Return a text as a vector of the field that is searched."""
    public, name = await service.store_pool.run(lambda: found_model(service, built.model))
    (row,) = await embed_inputs(request, service, public, name, [built.text])

    def project() -> Vectors:
        asked = service.database[collection]
        kind = next((each for each in _KINDS if field.endswith(each)), "")
        theirs = [one.vector for one in service.database.attached() if one.name == collection]
        using = None if field in theirs else vector_of(field.removesuffix(kind), asked.info())
        return asked.vectors.project(Embedding(row, service.database.embedder(name).fingerprint), using)

    return await service.store_pool.run(project)


async def _indexes(service: Service, named: str) -> list[Index]:
    """Return the indexes that an address names, at least one."""
    return await service.store_pool.run(lambda: [index_named(service, one) for one in named.split(",")])


def _only(indexes: list[Index]) -> Index:
    if len(indexes) != 1:
        raise InvalidArgument("[index] name one index: over this store each search asks one collection")
    return indexes[0]


def _params(request: Request) -> dict[str, str]:
    return dict(request.query_params)


async def _pass_on(
    service: Service,
    indexes: list[Index],
    call: str,
    body: bytes | None,
    params: Mapping[str, str],
    method: str | None = None,
) -> Response:
    """Send a request to the store's own server, and answer as it does."""
    documents = service.database.documents
    assert documents is not None  # noqa: S101 else no index has a key
    passed = forwarding.passed_params(params)
    named = ",".join(quote(str(one.key), safe="") for one in indexes)
    path = f"/{named}/{call}" if named else f"/{call}"
    how = method or ("GET" if body is None else "POST")
    lines = call == "_msearch"
    answer = await service.store_pool.run(lambda: documents.pass_on(how, path, body, passed, lines))
    if answer.status in (401, 403):
        await service.store_pool.run(answer.close)
        raise StoreDenied(service.database.url, f"it answers {answer.status} to {call}")
    return _streamed(service, answer)


def _streamed(service: Service, answer: RawAnswer) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        try:
            while part := await service.store_pool.run(lambda: answer.read(_PART)):
                yield part
        finally:
            answer.close()

    return StreamingResponse(parts(), answer.status, ELASTIC_HEADERS, answer.media_type)


def _json(body: dict[str, Any], status: int = 200) -> Response:
    return JsonResponse(body, status, ELASTIC_HEADERS)
