"""Collections, and the values of their fields."""

from __future__ import annotations

from pydantic import Field

from lookalike.schemas.values import Approximation, RequestModel, ResponseModel, Value


class Vector(ResponseModel):
    """A named vector that every image of a collection has."""

    name: str = Field(examples=["image"])
    model: str = Field(examples=["efficientnet-lite0"])
    dimension: int
    fitted: bool = Field(description="Whether it went through a fitted metric.")
    ready: bool = Field(description="Images lack it still where it is not, and nothing is searched by it.")
    default: bool = Field(description="Whether it is searched where none is named.")
    lacking: int = Field(description="Images that lack it still.")
    bytes: int = Field(description="Of its numbers, 4 each; what the store adds to them is not counted.")
    approximation: Approximation | None = Field(description="Its approximate index.")


class Collection(ResponseModel):
    """A named set of images, each with the same named vectors."""

    name: str = Field(examples=["images"])
    count: int = Field(description="Images.")
    model: str = Field(description="Of the default vector.", examples=["efficientnet-lite0"])
    dimension: int = Field(description="Of the default vector.")
    fingerprint: str = Field(description="Of the model's weights and preprocessing.")
    fields: list[str] = Field(examples=[["label", "part"]])
    vectors: list[Vector]
    default: str = Field(description="The vector that is searched where none is named.", examples=["image"])
    fitted_by: str | None = Field(description="The field that its metric was fitted to.")
    texts: bool = Field(description="Whether it can be asked in words.")
    normal: bool | None = Field(
        None, description="Whether it has learned what is normal; null where all collections are listed."
    )
    approximation: Approximation | None
    problem: str | None = Field(
        None,
        description="Why it cannot be asked: its model cannot be opened here, say, or the table that was "
        "attached is gone (`TableGone`).",
        examples=["ExtraMissing"],
    )
    attached: bool = Field(
        False,
        description="Whether it is a table of others, which gets no images and no vectors here.",
    )
    writable: bool = Field(
        True,
        description="Whether its images can be corrected and removed: not those of a table that was attached "
        "to be read.",
    )


class Collections(ResponseModel):
    """All collections that are served; the first is what the page opens."""

    collections: list[Collection]


class NewCollection(RequestModel):
    """A collection to make."""

    name: str = Field(
        min_length=1, max_length=64, description="Letters, digits, `_` and `-`.", examples=["parts"]
    )
    model: str = Field(
        min_length=1,
        max_length=1000,
        description="Its embedder: a model that is part of lookalike, or that the service serves.",
        examples=["efficientnet-lite0"],
    )
    index_name: str | None = Field(
        None,
        min_length=1,
        max_length=255,
        description="A name for its index in an Elasticsearch store; other stores refuse it.",
    )


class NewVector(RequestModel):
    """A further vector of each image of a collection."""

    name: str = Field(
        min_length=1,
        max_length=64,
        description="a-z, 0-9, `_` and `-`, a letter first.",
        examples=["words"],
    )
    model: str = Field(
        min_length=1,
        max_length=1000,
        description="Its embedder: a model that is part of lookalike, or that the service serves.",
        examples=["efficientnet-lite0"],
    )


class CollectionChange(RequestModel):
    """What is to be different about a collection."""

    default: str = Field(
        min_length=1, max_length=64, description="The vector that is to be the default.", examples=["image"]
    )


class ValueCount(ResponseModel):
    """A value of a field, and how many images have it."""

    value: Value
    count: int


class FieldValues(ResponseModel):
    """The values of a field, the most frequent first."""

    field: str
    distinct: int = Field(description="Different values; fewer may be listed.")
    values: list[ValueCount]


class Values(ResponseModel):
    """The values of every field of a collection."""

    fields: list[FieldValues]


class Deleted(ResponseModel):
    """How many images are gone."""

    deleted: int
