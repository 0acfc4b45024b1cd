"""Classification: the query and the answer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lookalike.schemas.explanation import Explanation
from lookalike.schemas.values import (
    Approximation,
    DataUrl,
    Hit,
    Id,
    RequestModel,
    ResponseModel,
    Unusable,
    Value,
    Where,
)


class ClassifyQuery(RequestModel):
    """Which images to label, and how."""

    by: str = Field(description="The field that holds the label.", examples=["label"])
    images: list[DataUrl] = Field([], max_length=32)
    ids: list[Id] = Field(
        [], max_length=32, description="Images of the collection; none has a vote on itself."
    )
    k: Annotated[int, Field(ge=1, le=1000)] | Literal["auto"] = Field(5, description="Neighbours that vote.")
    where: Where = Field({})
    using: str | None = Field(
        None, max_length=64, description="The vector that is searched; null is the default one."
    )
    max_error: float | None = Field(
        None, gt=0, lt=1, description="Answer only where the held-out answers promise at most this error."
    )
    coverage: float | None = Field(
        None, gt=0, lt=1, description="Give label sets that contain the true label this often."
    )
    false_alarm: float | None = Field(
        None, ge=0, lt=1, description="Part of the known pictures that may be called unknown."
    )
    approximate: bool = False
    explain: bool = Field(
        False,
        description="Also tell which regions of each picture the voters lack, and which pair of regions "
        "speaks most for the label; at most 4 pictures.",
    )


class Vote(ResponseModel):
    """A label and its share."""

    label: Value
    share: float


class Prediction(ResponseModel):
    """The label of one picture, with its evidence."""

    name: str = Field(description="Of the file that was sent, or of the image.")
    label: Value | None = Field(description="Null: *unknown*, for `reason`, or nobody voted.")
    share: float
    confidence: float | None = Field(description="How probable it is that the first vote is right.")
    exemplars: int | None = Field(
        None, description="Held-out images of the first vote's label that the confidence rests on."
    )
    caution: str | None = Field(None, description="Why the confidence rests on little, or is missing.")
    usual: float | None = Field(
        None, description="The confidence that right answers with this label usually have at least."
    )
    doubtful: bool | None = Field(
        None, description="Whether the confidence is below that, or below 0.5; null: not judged."
    )
    runner_up: Vote | None = Field(
        None, description="Of a doubtful one, the label that comes next; its share may be 0."
    )
    p_value: float | None = Field(description="How usual it is to have no nearer neighbour.")
    reason: str | None = Field(description="Why the label is unknown.")
    label_set: list[Value] | None = None
    votes: list[Vote] = Field(description="Winner first.")
    neighbours: list[Hit] = Field(description="Those that voted, most similar first.")
    itself: int = Field(description="Images of the very same bytes, which had no vote.")
    explanation: Explanation | Unusable | None = Field(None, description="Where it was asked for.")


class Judged(ResponseModel):
    """What has changed in a collection since it was judged."""

    at: str = Field(description="When, in ISO 8601, in UTC.")
    images: int = Field(description="That it had then.")
    added: int
    removed: int
    changed: int = Field(description="Images with other labels, or another file.")
    counted: bool = Field(description="Whether these figures are exact; else they are the least possible.")


class ClassifyAnswer(ResponseModel):
    """A prediction, or the reason why there is none, for each picture in order: `images`, then `ids`."""

    by: str
    k: int
    predictions: list[Prediction | Unusable]
    approximation: Approximation | None = None
    judged: Judged | None = Field(
        None,
        description="How old the judgement behind the confidence is; the service brings it up to date behind "
        "its answers. Null: there is none.",
    )
    remarks: list[str] = Field([], description="What is to be known of this answer.")
