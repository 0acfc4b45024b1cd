"""Browsing: which records, in which order, and a part of them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lookalike.schemas.values import FieldName, Image, RequestModel, ResponseModel, Value, Where

MOST = 1000
"""Images of one answer."""


class BrowseQuery(RequestModel):
    """What to look through."""

    order: Literal["id", "label", "time", "newest", "uncertain"] = Field(
        "id",
        description="`label`: by the values of `by`; `time`: of the picture, earliest first; `newest`: by "
        "its file, latest first; `uncertain`: those first whose held-out answers are least sure.",
    )
    by: FieldName | None = Field(
        None, description="The field that holds the label, for the orders `label` and `uncertain`."
    )
    where: Where = Field({})
    offset: int = Field(0, ge=0, description="Images to pass over; any number, as quickly as none.")
    limit: int = Field(100, ge=0, le=MOST, description="Images at most; 0: the counts alone.")
    fields: Annotated[list[FieldName], Field(max_length=64)] | None = Field(
        None, description="The fields that are wanted of each image; null: all.", examples=[["label"]]
    )

    @model_validator(mode="after")
    def _by_a_field(self) -> Self:
        if self.by is None and self.order in ("label", "uncertain"):
            raise ValueError(f"the order {self.order} is by a field: name it as `by`")
        return self


class BrowsedImage(Image):
    """An image, with what it is ordered by."""

    time: str | None = Field(
        None,
        description="When it was taken, else when its file was written, in ISO 8601, UTC; null: unknown.",
        examples=["2026-11-29T22:12:59Z"],
    )
    confidence: float | None = Field(
        None, description="In the order `uncertain`: how sure its held-out answer was; null: not judged."
    )


class BrowsedGroup(ResponseModel):
    """Images of one label, which follow each other in the order `label`."""

    value: Value | None = Field(description="null: they have none.")
    start: int = Field(description="The offset of the first.")
    count: int


class BrowseAnswer(ResponseModel):
    """A part of the images, in order."""

    images: list[BrowsedImage] = Field(
        description="From `offset` on; without those that were removed since the order was made."
    )
    total: int = Field(description="Images that match.")
    version: str = Field(
        description="Of the order: where it is another, images have come, gone or changed places."
    )
    groups: list[BrowsedGroup] = Field(
        [], description="In the order `label`, all labels, where `offset` is 0."
    )
