"""Anomalies: the query and the answer."""

from __future__ import annotations

from pydantic import Field

from lookalike.schemas.values import DataUrl, Id, RequestModel, ResponseModel, Unusable


class AnomalyQuery(RequestModel):
    """Which pictures to hold against the normal ones, and how."""

    images: list[DataUrl] = Field([], max_length=32)
    ids: list[Id] = Field([], max_length=32, description="Images of the collection.")
    false_alarm: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Part of normal pictures that may be called anomalous; null is 0.01, or the lowest rate "
        "that so few normal pictures can promise.",
    )
    overlay: bool = Field(False, description="Also give each picture with its anomaly map over it.")


class AnomalyBox(ResponseModel):
    """A place that stands out, as parts of the picture's width and height."""

    left: float
    top: float
    right: float
    bottom: float
    peak: float = Field(description="The highest value of the map in it.")


class AnomalyParts(ResponseModel):
    """What a score is the highest of, in deviations of held-out normal pictures."""

    small: float = Field(description="The worst small places.")
    large: float = Field(description="The worst large places.")
    whole: float = Field(description="The picture as a whole.")
    layout: float = Field(description="What lies where, against the normal picture most like it.")


class AnomalyScore(ResponseModel):
    """How unlike the normal pictures one picture is, and where."""

    name: str = Field(description="Of the file that was sent, or of the image of the collection.")
    anomalous: bool = Field(description="Whether the score is above the threshold.")
    score: float
    threshold: float
    p_value: float = Field(description="How usual such a score is among normal pictures, held out.")
    parts: AnomalyParts
    boxes: list[AnomalyBox] = Field(description="The strongest first.")
    known: bool = Field(description="One of the normal pictures; it was judged by the others.")
    overlay: DataUrl | None = Field(None, description="A PNG, where it was asked for.")


class AnomalyAnswer(ResponseModel):
    """A score, or the reason why there is none, for each picture in order."""

    false_alarm: float = Field(description="That is promised.")
    normal: int = Field(description="Normal pictures that were learned from.")
    scores: list[AnomalyScore | Unusable]
