"""Embeds the texts and images of a request into unit vectors."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from pydantic import TypeAdapter

from lookalike.embedders.protocol import TextEmbedder
from lookalike.errors import InvalidArgument
from lookalike.server.http.problems import Refused
from lookalike.server.http.request_bodies import read_data_url
from lookalike.types import Skipped
from lookalike.vectors.metric import normalise

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from fastapi import Request
    from numpy.typing import NDArray

    from lookalike.embedders.protocol import Embedder
    from lookalike.server.service import Service
    from lookalike.sources.uploads import Upload
    from lookalike.types import Vectors

_T = TypeVar("_T")

LONGEST = 10_000
"""Characters of a text, as in a search; models read the beginning, some hundreds of characters."""

# RFC 2397; a text may begin with "data:" as well.
_DATA_URL = re.compile(r"data:(image/|[^,\s]*;base64,)", re.IGNORECASE)

# Ten times as fast as the standard library's json.
_NUMBERS = TypeAdapter(list[float])

# Of the queue, so much at most is one request's at a time: others have their turn in between, and a request
# may have more texts than can wait.
_PART = 4


class TextTooLong(Refused):
    """A text of more than `LONGEST` characters."""

    def __init__(self, name: str, length: int) -> None:
        """Say which.

        Args:
            name: of the input.
            length: in characters.
        """
        # The second sentence is OpenAI's: Elasticsearch looks for it, and sends half of the text then
        # (OpenAiResponseHandler.isContentTooLarge).
        super().__init__(
            400,
            f"{name} has {length:,} characters, the limit is {LONGEST:,}. "
            "Please reduce your prompt; or completion length.",
        )


async def embed_inputs(
    request: Request, service: Service, public: str, name: str, inputs: Sequence[str]
) -> Vectors:
    """Embed texts and pictures, together with those of other requests.

    Args:
        request: whose client is not embedded for once it has hung up.
        service: whose queue is used.
        public: the model's name for clients.
        name: the name that opens it.
        inputs: texts, and pictures as data URLs; at least one.

    Returns:
        Shape (n, d), each row of length 1, in the order given.

    Raises:
        InvalidArgument: an input cannot be used, or is nothing that the model reads; or too many pictures.
        TextTooLong: a text is too long.
        Overloaded: too much waits already.
        Refused: the client has hung up.
    """
    pictures = {
        place: read_data_url(each, f"input {place}")
        for place, each in enumerate(inputs)
        if _DATA_URL.match(each)
    }
    texts = {place: each for place, each in enumerate(inputs) if place not in pictures}
    if len(pictures) > service.settings.max_images:
        raise InvalidArgument(
            f"at most {service.settings.max_images} pictures a request, not {len(pictures)}"
        )
    for place, text in texts.items():
        if len(text) > LONGEST:
            raise TextTooLong(f"input {place}", len(text))
        if not text.strip():
            raise InvalidArgument(f"input {place} is blank: a text without words has no vector")
    embedder = await service.store_pool.run(lambda: service.database.embedder(name))
    if texts and not isinstance(embedder, TextEmbedder):
        raise InvalidArgument(
            f"input {next(iter(texts))} is a text, and {public} reads none, only pictures as "
            "data:image/…;base64,…; GET /v1/models says which models read texts"
        )
    rows = await _pictures(request, service, embedder, pictures)
    if isinstance(embedder, TextEmbedder):
        rows |= await _texts(request, service, embedder, texts)
    return await service.store_pool.run(lambda: _unit(rows))


def numbers(vector: Vectors) -> str:
    """Return a vector as a JSON list of numbers."""
    return _NUMBERS.dump_json(vector.tolist()).decode()


async def _pictures(
    request: Request, service: Service, embedder: Embedder, pictures: dict[int, Upload]
) -> dict[int, NDArray[np.float32]]:
    rows: dict[int, NDArray[np.float32]] = {}
    cache = await service.store_pool.run(lambda: service.database.features(embedder))
    async for part in _parts(request, service, pictures):
        files = await service.embedding_queue.pictures(list(part.values()), embedder, cache)
        for place, file in zip(part, files, strict=True):
            if isinstance(file, Skipped):
                raise InvalidArgument(f"{file.path} is no picture that can be used: {file.reason}")
            rows[place] = file.features
    return rows


async def _texts(
    request: Request, service: Service, embedder: TextEmbedder, texts: dict[int, str]
) -> dict[int, NDArray[np.float32]]:
    rows: dict[int, NDArray[np.float32]] = {}
    async for part in _parts(request, service, texts):
        found = await service.embedding_queue.texts(list(part.values()), embedder)
        rows.update(zip(part, found, strict=True))
    return rows


async def _parts(request: Request, service: Service, inputs: dict[int, _T]) -> AsyncIterator[dict[int, _T]]:
    """Yield as many inputs, by their places, as go to the queue at once; none for a client that has gone."""
    waiting = iter(inputs.items())
    while part := dict(islice(waiting, max(1, service.settings.queue // _PART))):
        if await request.is_disconnected():
            raise Refused(408, "the client hung up before all was embedded")
        yield part


def _unit(rows: dict[int, NDArray[np.float32]]) -> Vectors:
    vectors = normalise(np.stack([rows[place] for place in range(len(rows))]))
    for place, vector in enumerate(vectors):
        if not vector.any():
            raise InvalidArgument(f"input {place} says nothing to the model: say it in other words")
    return vectors
