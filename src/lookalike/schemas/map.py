"""A map: a two-dimensional projection of a collection."""

from __future__ import annotations

from pydantic import Field

from lookalike.schemas.values import FieldName, RequestModel, ResponseModel, Value


class MapQuery(RequestModel):
    """How to draw the map of a collection."""

    by: FieldName | None = Field(None, description="The field whose values are the labels of the points.")


class MapAnswer(ResponseModel):
    """A collection projected onto its first two principal components."""

    ids: list[str] = Field(description="Of the images that are drawn.")
    names: list[str]
    x: list[float]
    y: list[float]
    label: list[int] = Field(
        description="Of each image, a place in `labels`; −1: it has none, or one too rare to be there."
    )
    labels: list[Value] = Field(description="The 50 most frequent at most, in the order of an evaluation.")
    variance: list[float] = Field(
        min_length=2, max_length=2, description="Part of the variance that each axis holds."
    )
    images: int = Field(description="Of the collection.")
    drawn: int = Field(description="10,000 at most, evenly chosen.")
