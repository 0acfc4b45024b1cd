"""A comparison of new images with a collection: the query and the answer."""

from __future__ import annotations

from pydantic import Field

from lookalike.schemas.values import (
    FieldName,
    Hit,
    Image,
    RequestModel,
    ResponseModel,
    Unusable,
    Value,
    Where,
)


class DriftQuery(RequestModel):
    """How to test whether new images are still what a collection was judged on."""

    new: Where = Field(
        {},
        description="The images of the collection that match are the new ones; left out where pictures are "
        "sent.",
    )
    where: Where = Field({}, description="Only images that match are what the new ones are compared with.")
    by: FieldName | None = Field(None, description="The field that holds the label, to tell its mixture.")
    group: FieldName | None = Field(
        None,
        description="Exchange images with the same value of this field together; `series`, where there is no "
        "such field: those of one series, as they are found.",
    )
    using: str | None = Field(
        None, max_length=64, description="The vector that is compared; null is the default one."
    )
    false_alarm: float = Field(
        0.01, gt=0, lt=1, description="How often images that are like the collection may be called different."
    )
    seed: int = Field(0, ge=0, lt=1 << 32, description="Of the permutations.")


class SentDriftQuery(DriftQuery):
    """The same of pictures that were sent, which are told by their bytes."""

    pictures: list[str] = Field(description="SHA-256 of each that can be used.")


class DriftSummary(ResponseModel):
    """What the comparison says."""

    drifted: bool
    images: int = Field(description="New images that were compared.")
    reference: int = Field(description="Images that they were compared with.")
    left_out: int = Field(description="Images that were not drawn, since a sample suffices.")
    known: int = Field(description="New images that the collection has, too: they are compared with others.")
    groups: int | None = Field(description="Groups that were exchanged; null where each image is its own.")
    group: str | None
    discrepancy: float = Field(description="The squared maximum mean discrepancy.")
    p_value: float
    permutations: int
    false_alarm: float
    share: float = Field(description="Part of the nearest neighbours of new images that are new too.")
    expected: float = Field(description="The same by chance.")
    by: str | None


class LabelShare(ResponseModel):
    """How often a label stands in the collection, and among the nearest of the new images."""

    label: Value
    before: float
    now: float


class Driver(ResponseModel):
    """An image that speaks for a difference."""

    image: Image | None = Field(description="Null for a picture that was sent.")
    name: str = Field(description="Of the image, or what the picture that was sent is called.")
    witness: float = Field(description="How much more similar it is to its own side than to the other.")
    nearest: Hit | None = Field(description="On the other side; null: it was removed since.")


class DriftAnswer(ResponseModel):
    """A comparison that is done; names and fields are those of now."""

    summary: DriftSummary
    shares: list[LabelShare] = Field(description="The largest change first; empty without `by`.")
    drivers: list[Driver] = Field(description="New images, the most unlike the others first.")
    missing: list[Driver] = Field(description="Of the others, the most unlike the new ones first.")
    skipped: list[Unusable] = Field(description="Pictures that were sent and could not be used.")
