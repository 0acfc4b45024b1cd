"""Embeddings and models, as OpenAI's API has them.

Source: https://platform.openai.com/docs/api-reference/embeddings and .../models, and the types of OpenAI's
Python client (openai/types).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from lookalike.schemas.values import RequestModel, ResponseModel

MOST_INPUTS = 2048
"""Inputs of one request, as many as OpenAI takes."""


class EmbeddingsRequest(RequestModel):
    """What to embed: texts, and pictures as data URLs."""

    input: str | Annotated[list[str], Field(min_length=1, max_length=MOST_INPUTS)] = Field(
        description="A text, or a picture as `data:image/jpeg;base64,…` (RFC 2397), or a list of them. An "
        "address is a text like any other: nothing is fetched.",
        examples=["a red car", ["a red car", "빨간 자동차"]],
    )
    model: str = Field(description="One of GET /v1/models.", examples=["efficientnet-lite0"])
    encoding_format: Literal["float", "base64"] | None = Field(
        None, description="Numbers, or the bytes of little-endian float32 in base64; by default numbers."
    )
    dimensions: int | None = Field(
        None, ge=1, description="If given, those of the model: vectors are not shortened.", examples=[1280]
    )
    user: str | None = Field(None, description="Not used.")

    @field_validator("input", mode="before")
    @classmethod
    def _texts(cls, value: Any) -> Any:
        if isinstance(value, list):
            if any(isinstance(each, int | float | list) for each in value):
                raise ValueError(
                    "arrays of tokens are not read: each model has a tokenizer of its own; send the texts"
                )
            if not 1 <= len(value) <= MOST_INPUTS:
                raise ValueError(f"1 to {MOST_INPUTS:,} inputs a request, not {len(value):,}")
        return value

    @property
    def inputs(self) -> list[str]:
        """The inputs as a list."""
        return [self.input] if isinstance(self.input, str) else self.input


class Embedding(ResponseModel):
    """The vector of one input."""

    object: Literal["embedding"] = "embedding"
    index: int = Field(description="The place of its input, from 0.")
    embedding: list[float] | str = Field(description="Of length 1; as numbers or in base64.")


class Usage(ResponseModel):
    """Tokens that are paid for: none."""

    prompt_tokens: int = 0
    total_tokens: int = 0


class EmbeddingsAnswer(ResponseModel):
    """One vector for each input, in order."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: Usage = Usage()


class Model(ResponseModel):
    """A model that embeds, with what is known of it beyond what OpenAI tells."""

    id: str = Field(examples=["efficientnet-lite0"])
    object: Literal["model"] = "model"
    created: int = Field(0, description="Always 0: when it was made is not known.")
    owned_by: str = "lookalike"
    dimension: int | None = Field(None, description="Numbers in a vector.")
    capabilities: list[Literal["images", "texts"]] = Field([], description="What it embeds.")
    licence: str | None = None
    summary: str | None = None
    fingerprint: str | None = Field(None, description="Over its weights and preprocessing.")
    problem: str | None = Field(
        None,
        description="The error that it cannot be opened for; the rest is unknown then.",
        examples=["WeightsMissing"],
    )


class Models(ResponseModel):
    """The models that may be asked."""

    object: Literal["list"] = "list"
    data: list[Model]


class OpenAIError(BaseModel):
    """What OpenAI's clients read of an error."""

    model_config = ConfigDict(frozen=True)

    message: str
    type: str = Field(examples=["invalid_request_error"])
    param: str | None = Field(examples=["input"])
    code: str | None = Field(examples=["model_not_found"])


class OpenAIProblem(BaseModel):
    """An error as OpenAI's API has it."""

    model_config = ConfigDict(frozen=True)

    error: OpenAIError
