"""Types and models that several requests and answers share."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    model_validator,
)

MOST_PARTS = 20_000
"""Members of objects and items of lists in one request, those within others too."""

Value: TypeAlias = StrictBool | StrictInt | StrictFloat | StrictStr
"""What a field holds; `true`, 1 and `"1"` are three."""

FieldName: TypeAlias = Annotated[str, Field(min_length=1, max_length=10_000, examples=["label"])]

Where: TypeAlias = Annotated[
    dict[str, list[Value]],
    Field(
        description="Only images that match: every field named must have one of its values.",
        examples=[{"part": ["tank", "hull"], "checked": [True]}],
        max_length=64,
    ),
]

Id: TypeAlias = Annotated[
    str,
    Field(
        pattern="^[!-~]{1,512}$",
        description="Of an image in a collection: 32 hexadecimal digits; of an attached table the row's own.",
        examples=["9f86d081884c7d659a2feaa0c55ad015"],
    ),
]

DataUrl: TypeAlias = Annotated[
    str,
    Field(
        pattern="^data:",
        description="A picture as `data:image/jpeg;base64,…` (RFC 2397). No other address is ever fetched.",
        examples=[
            "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAFUlEQVR42mP8z8BQz4AHMOGTHCoSALpOAgfdN2v3AAAAAElFTkSuQmCC"
        ],
    ),
]


class RequestModel(BaseModel):
    """The base of requests: unknown members are refused, and their number is bounded."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _countable(cls, value: Any) -> Any:
        # Before anything else: pydantic notes all that is wrong, at 1.4 kB and 7 µs for each wrong part, so
        # that 32 MB of them would take more memory than there is.
        waiting, parts = [value], 0
        while waiting:
            each = waiting.pop()
            if isinstance(each, dict | list):
                parts += len(each)
                if parts > MOST_PARTS:
                    raise ValueError(f"a request has at most {MOST_PARTS:,} members and items")
                waiting.extend(each.values() if isinstance(each, dict) else each)
        return value


class ResponseModel(BaseModel):
    """The base of answers."""

    model_config = ConfigDict(frozen=True)


class Approximation(ResponseModel):
    """An index that finds most of the nearest neighbours without looking at every vector."""

    kind: str
    recall: float = Field(description="Part of the exact k nearest that it found, 0 … 1.")
    k: int
    queries: int = Field(description="Of the collection's own images, with which that was measured.")


class Image(ResponseModel):
    """An image of a collection."""

    id: Id
    name: str = Field(
        description="Path below the folder that was indexed, for people.", examples=["tank/a.jpg"]
    )
    fields: dict[str, Value] = Field(examples=[{"part": "tank", "label": "rust"}])


class Hit(Image):
    """An image that was found, and how."""

    similarity: float | None = Field(description="−1 … 1; null where only the words found it.")
    score: float | None = Field(None, description="What a hybrid search ranks by.")
    by_vectors: int | None = Field(None, description="Its place among the nearest, from 1.")
    by_words: int | None = Field(None, description="Its place among those whose words match, from 1.")
    weak: bool | None = Field(
        None,
        description="Of a search by words alone: whether it is no more like them than what nonsense finds; "
        "null: not told.",
    )


class Chain(ResponseModel):
    """Images that near-duplicates connect though they are not all near-duplicates of each other."""

    images: int
    groups: int = Field(description="That it was taken apart into: in each, all are near-duplicates.")
    similarity: float = Field(description="The least between two of its images.")


class Unusable(ResponseModel):
    """A picture that could not be used, and why."""

    name: str
    skipped: str = Field(description="The reason.", examples=["truncated JPEG"])


class Problem(BaseModel):
    """Why a request was refused (RFC 9457); sent as application/problem+json."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str = "about:blank"
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["no collection 'parts': the store has images"])
    error: str = Field("", description="The name of the error.", examples=["CollectionNotFound"])
