"""Suggestions of what to label next: the query and the answer."""

from __future__ import annotations

from pydantic import Field

from lookalike.schemas.values import FieldName, Hit, Image, RequestModel, ResponseModel, Where


class SuggestQuery(RequestModel):
    """How to choose which images to label next."""

    by: FieldName = Field(description="The field that is to hold the label.")
    count: int = Field(20, ge=1, le=1000, description="How many images.")
    where: Where = Field({}, description="Only images that match are suggested.")
    using: str | None = Field(None, max_length=64, description="The vector; null is the default one.")
    seed: int = Field(0, ge=0, lt=1 << 32, description="Of what is drawn where there are very many.")


class Suggestion(ResponseModel):
    """An image to label next."""

    image: Image
    covers: int = Field(description="Images without a label that it stands for, itself included.")
    uncertainty: float | None = Field(
        description="Part of the images without a label that are more certain; null where none has one yet."
    )
    nearest: Hit | None = Field(description="The nearest image that has a label.")


class SuggestAnswer(ResponseModel):
    """Images to label next, the one that tells most first; without those that were removed since."""

    by: str
    labelled: int
    unlabelled: int
    drawn: int = Field(description="Of the unlabelled, those that were looked at.")
    compared: int | None = Field(
        None, description="Of the labelled, those that were compared with; null for all."
    )
    series: str | None = Field(
        description="What tells series among them, of each of which one image at most is suggested; null "
        "where none were found."
    )
    suggestions: list[Suggestion]
