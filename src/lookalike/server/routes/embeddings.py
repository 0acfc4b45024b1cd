"""The route of embeddings, as OpenAI's API has it."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import Response

from lookalike.errors import InvalidArgument
from lookalike.schemas.embeddings import EmbeddingsAnswer, EmbeddingsRequest, OpenAIProblem, Usage
from lookalike.server.routes.embedding_inputs import embed_inputs, numbers
from lookalike.server.routes.models import served_model
from lookalike.server.service import InjectedService, Service

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.types import Vectors

router = APIRouter(tags=["embeddings"], responses={"default": {"model": OpenAIProblem}})


@router.post("/v1/embeddings", response_model=None, responses={200: {"model": EmbeddingsAnswer}})
async def embeddings(request: Request, asked: EmbeddingsRequest, service: InjectedService) -> Response:
    """Embed texts and pictures; OpenAI's clients and Elasticsearch's service `openai` ask so.

    Vectors have length 1. An answer is as long as its numbers: base64 takes a quarter of what digits take.
    """
    public, name = await service.store_pool.run(lambda: served_model(service, asked.model))
    await service.store_pool.run(lambda: _check_dimensions(service, public, name, asked.dimensions))
    vectors = await embed_inputs(request, service, public, name, asked.inputs)
    encode = _base64 if asked.encoding_format == "base64" else numbers
    # Row by row and in a thread: 2,048 vectors take a tenth of a second, in which others are answered.
    body = await service.store_pool.run(lambda: _body([encode(vector) for vector in vectors], public))
    return Response(body, media_type="application/json")


def _check_dimensions(service: Service, public: str, name: str, asked: int | None) -> None:
    """Refuse what would be another vector, before anything is embedded."""
    if asked is None:
        return
    dimension = service.database.embedder(name).dimension
    if asked != dimension:
        raise InvalidArgument(
            f"the vectors of {public} have {dimension:,} dimensions and are not shortened to {asked:,}: "
            f"leave `dimensions` out, or say {dimension}"
        )


def _base64(vector: Vectors) -> str:
    """Return the numbers as little-endian float32 in base64, as a JSON string."""
    return f'"{base64.b64encode(vector.astype("<f4").tobytes()).decode()}"'


def _body(vectors: Sequence[str], model: str) -> str:
    """Return the answer as JSON; `EmbeddingsAnswer` describes it."""
    data = ",".join(
        f'{{"object":"embedding","index":{index},"embedding":{vector}}}'
        for index, vector in enumerate(vectors)
    )
    usage = Usage().model_dump_json()
    return f'{{"object":"list","data":[{data}],"model":{json.dumps(model)},"usage":{usage}}}'
