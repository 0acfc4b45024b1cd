"""Search: the query and the answer."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from lookalike.schemas.values import Approximation, DataUrl, Hit, Id, RequestModel, ResponseModel, Where

MOST_TERMS = 32
"""Terms of one sum."""
DEEPEST = 10_000
"""Hits that can be paged through: as far as Elasticsearch goes by default (index.max_result_window)."""


Region: TypeAlias = Annotated[
    tuple[float, float, float, float],
    Field(description="From the left, from the top, width and height.", examples=[[120, 40, 64, 64]]),
]


class Term(RequestModel):
    """A picture, an image of the collection, a text or a vector; added, or taken away."""

    text: str | None = Field(None, min_length=1, max_length=10_000, examples=["a red car"])
    id: Id | None = None
    image: DataUrl | int | None = Field(
        None,
        description="A picture; in a multipart request, the place of the `image` part that has it, from 0.",
    )
    vector: list[float] | None = Field(
        None,
        min_length=1,
        max_length=65_536,
        description="A vector of the collection's space that was computed elsewhere, of any length but 0.",
    )
    sign: Literal[1, -1] = 1
    box: Region | None = Field(
        None, description="Of a picture or an image: the region that is meant, in pixels of it, upright."
    )
    part: Region | None = Field(
        None, description="The same in parts of width and height, 0 … 1.", examples=[[0.25, 0.25, 0.5, 0.5]]
    )

    @model_validator(mode="after")
    def _one_of_four(self) -> Self:
        if sum(each is not None for each in (self.text, self.id, self.image, self.vector)) != 1:
            raise ValueError("a term is one of text, id, image and vector")
        if self.box is not None and self.part is not None:
            raise ValueError("a region is given as box or as part, not as both")
        if self.id is None and self.image is None and (self.box is not None or self.part is not None):
            raise ValueError("a region is of a picture or an image, and not of a text")
        return self


class SearchQuery(RequestModel):
    """What to search for."""

    terms: list[Term] = Field(
        [],
        max_length=MOST_TERMS,
        description="They are added up. In a multipart request without terms, its pictures are.",
        examples=[[{"text": "a red car"}, {"text": "at night", "sign": -1}]],
    )
    k: int = Field(10, ge=1, le=1000, description="Hits a page.")
    offset: int = Field(0, ge=0, le=DEEPEST - 1001, description="Hits to pass over.")
    where: Where = Field({})
    using: str | None = Field(
        None,
        max_length=64,
        description="The vector that is searched; null is the default one, or for texts one whose model "
        "reads them.",
    )
    hybrid: bool = Field(
        False, description="Find the words in labels, names, fields and captions too, and fuse both rankings."
    )
    min_similarity: Annotated[float, Field(ge=-1, le=1)] | Literal["auto"] | None = Field(
        None, description="Leave out what is less similar; `auto` sets this against the collection."
    )
    false_alarm: float | None = Field(
        None, gt=0, lt=1, description="For `auto`: how often something may be found that is not there."
    )
    approximate: bool = Field(False, description="Use the collection's approximate index, if it has one.")


class Cutoff(ResponseModel):
    """The similarity that hits had to reach."""

    similarity: float
    false_alarm: float | None


class SearchAnswer(ResponseModel):
    """What was found, most similar first."""

    hits: list[Hit]
    more: bool = Field(description="Whether another page follows.")
    approximation: Approximation | None = Field(
        None, description="What was searched with; null where the search was exact."
    )
    using: str = Field(description="The vector that was searched.", examples=["image"])
    model: str | None = Field(
        None,
        description="Of that vector, where texts were searched for.",
        examples=["efficientnet-lite0"],
    )
    left_out: int = Field(0, description="Images that are terms of a sum themselves.")
    cutoff: Cutoff | None = None
    best: float | None = Field(None, description="The highest similarity, also below the cutoff.")
    remarks: list[str] = Field([], description="What is to be known of this answer.")
    remark_kinds: list[str] = Field(
        [],
        description="What each remark is about, for whoever says it in another language: `vocabulary`, "
        "`unread`, `plain` or `recall`.",
    )
