"""Elasticsearch's API of trained models, for applications that were written against it.

Sources: https://www.elastic.co/guide/en/elasticsearch/reference/8.19/infer-trained-model.html and .../8.0/
infer-trained-model-deployment.html; `RestInferTrainedModelDeploymentAction`; what Elastic's example
applications send and read (github.com/radoondas/flask-elastic-image-search and flask-elastic-nlp).
"""

from __future__ import annotations

import asyncio
import json
import string
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from lookalike.errors import InvalidArgument, LookalikeError
from lookalike.schemas.elasticsearch import (
    DeploymentStats,
    ElasticProblem,
    InferRequest,
    InferResult,
    InferResults,
    TrainedModelConfig,
    TrainedModelConfigs,
    TrainedModelsStats,
    TrainedModelStats,
)
from lookalike.schemas.embeddings import MOST_INPUTS
from lookalike.server.http.elastic_requests import ELASTIC_HEADERS
from lookalike.server.http.problems import Refused
from lookalike.server.routes.embedding_inputs import embed_inputs, numbers
from lookalike.server.routes.models import ModelNotServed, callable_models, served_model, served_models
from lookalike.server.service import InjectedService, Service

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

router = APIRouter(
    prefix="/_ml/trained_models", tags=["elastic"], responses={"default": {"model": ElasticProblem}}
)

_FIELD = "text_field"

# https://www.elastic.co/guide/en/elasticsearch/reference/8.19/api-conventions.html#time-units
_SECONDS = {"nanos": 1e-9, "micros": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

# Of `elasticsearch_model_id` in eland/ml/pytorch/transformers.py: the end of a name that is longer.
_LONGEST_ID = 64

Timeout = Annotated[
    str | None,
    Query(
        pattern=rf"^(-1|0|\d{{1,9}}({'|'.join(_SECONDS)}))$",
        description="After which the request is given up; by default, and with -1, never.",
        examples=["30s"],
    ),
]


@router.get("/_stats")
async def all_stats(service: InjectedService, response: Response) -> TrainedModelsStats:
    """Tell which models are started."""
    response.headers.update(ELASTIC_HEADERS)
    return await service.store_pool.run(lambda: _stats(service, callable_models(service)))


@router.get("")
async def all_configurations(service: InjectedService, response: Response) -> TrainedModelConfigs:
    """Describe the models."""
    response.headers.update(ELASTIC_HEADERS)
    return _configurations(await service.store_pool.run(lambda: list(callable_models(service))))


@router.get("/{model:path}/_stats")
async def stats(model: str, service: InjectedService, response: Response) -> TrainedModelsStats:
    """Tell whether a model is started, which applications ask before they use it."""
    response.headers.update(ELASTIC_HEADERS)
    return await service.store_pool.run(lambda: _stats(service, {model: found_model(service, model)[1]}))


# No path, which would take the calls above and below it, too: an id of Elasticsearch has no slash.
@router.get("/{model}")
async def configuration(model: str, service: InjectedService, response: Response) -> TrainedModelConfigs:
    """Describe a model, which applications ask to find out whether it is there."""
    response.headers.update(ELASTIC_HEADERS)
    await service.store_pool.run(lambda: found_model(service, model))
    return _configurations([model])


@router.post("/{model:path}/deployment/_infer", response_model=None, responses={200: {"model": InferResult}})
async def infer_deployment(
    request: Request, model: str, asked: InferRequest, service: InjectedService, timeout: Timeout = None
) -> Response:
    """Embed one document: the call of Elasticsearch 8.0 to 8.2, which later ones know as well."""
    documents = asked.documents
    if len(documents) != 1:
        raise InvalidArgument(f"this call takes one document, not {len(documents)}; /_infer takes several")
    (result,) = await _infer(request, model, asked, service, timeout)
    return _json(result)


@router.post("/{model:path}/_infer", response_model=None, responses={200: {"model": InferResults}})
async def infer(
    request: Request, model: str, asked: InferRequest, service: InjectedService, timeout: Timeout = None
) -> Response:
    """Embed documents."""
    results = await _infer(request, model, asked, service, timeout)
    return _json(f'{{"inference_results":[{",".join(results)}]}}')


def elastic_ids(name: str) -> set[str]:
    """Return what Elasticsearch may call a model.

    Its ids are lower case, and eland puts `__` for the `/` of the hub. Of a pair of models the text side
    alone counts too: it is what an application that sends texts knows.

    Args:
        name: for clients.
    """
    family, _, rest = name.partition(":")
    text = rest.partition("+")[2]
    hub = [name.replace(":", "/").replace("+", "/")]
    if text:
        hub.append(text if "/" in text else f"{family}/{text}")
    ids = {each.replace("/", "__").lower() for each in hub}
    return ids | {each[-_LONGEST_ID:] for each in ids}


def found_model(service: Service, asked: str) -> tuple[str, str]:
    """Return the name for clients and the name that opens a model of any of its names; blocks."""
    try:
        return served_model(service, asked)
    except ModelNotServed:
        known = served_models(service)
        found = [each for each in known.items() if asked in elastic_ids(each[0])]
        if len(found) != 1:
            raise
        return found[0]


async def _infer(
    request: Request, model: str, asked: InferRequest, service: Service, timeout: str | None
) -> list[str]:
    """Return the result for each document as JSON."""
    if len(asked.documents) > MOST_INPUTS:
        raise InvalidArgument(f"at most {MOST_INPUTS:,} documents a request, not {len(asked.documents):,}")
    inputs = [_input(document, place) for place, document in enumerate(asked.documents)]
    field = json.dumps(asked.inference_config.text_embedding.results_field)
    try:
        async with asyncio.timeout(_seconds(timeout)):
            public, name = await service.store_pool.run(lambda: found_model(service, model))
            vectors = await embed_inputs(request, service, public, name, inputs)
            return await service.store_pool.run(
                lambda: [f"{{{field}:{numbers(vector)}}}" for vector in vectors]
            )
    except TimeoutError as error:
        raise Refused(408, f"not done within {timeout}") from error


def _input(document: Mapping[str, Any], place: int) -> str:
    """Return what to embed of a document: its `text_field`, or the one field that is a string.

    In Elasticsearch the name is the model's configuration, `input.field_names`; here it has none.
    """
    found = [document[_FIELD]] if _FIELD in document else [*filter(_is_text, document.values())]
    if len(found) != 1 or not _is_text(found[0]):
        raise InvalidArgument(f"document {place} needs a string in `{_FIELD}`, or in one field alone")
    text: str = found[0]
    return text


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _seconds(timeout: str | None) -> float | None:
    if timeout is None or timeout == "-1":
        return None
    number = timeout.rstrip(string.ascii_lowercase)
    return int(number) * _SECONDS.get(timeout.removeprefix(number), 0.0)


def _stats(service: Service, models: Mapping[str, str]) -> TrainedModelsStats:
    return TrainedModelsStats(
        count=len(models), trained_model_stats=[_stat(service, *each) for each in models.items()]
    )


def _configurations(names: Sequence[str]) -> TrainedModelConfigs:
    configs = [TrainedModelConfig(model_id=name) for name in names]
    return TrainedModelConfigs(count=len(configs), trained_model_configs=configs)


def _stat(service: Service, asked: str, name: str) -> TrainedModelStats:
    try:
        service.database.embedder(name)
    except LookalikeError:
        return TrainedModelStats(model_id=asked)
    return TrainedModelStats(
        model_id=asked, deployment_stats=DeploymentStats(model_id=asked, state="started")
    )


def _json(body: str) -> Response:
    return Response(body, headers=ELASTIC_HEADERS, media_type="application/json")
