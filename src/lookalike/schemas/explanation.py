"""Explanations of classifications, as part of a prediction."""

from __future__ import annotations

from pydantic import Field

from lookalike.schemas.anomaly import AnomalyBox
from lookalike.schemas.values import DataUrl, Id, ResponseModel, Value


class Region(ResponseModel):
    """A rectangle, as parts of a picture's width and height."""

    left: float
    top: float
    right: float
    bottom: float


class RegionPair(ResponseModel):
    """A region of the picture and one of a voter, which match."""

    region: Region = Field(description="Of the picture.")
    voter: Id
    voter_region: Region
    similarity: float = Field(description="Of the two regions, −1 … 1.")
    runner_up_similarity: float = Field(
        description="Of the region and the one most like it in images of the runner-up."
    )


class LeftOutVoter(ResponseModel):
    """An image that could not be compared, and why."""

    id: Id
    reason: str


class Explanation(ResponseModel):
    """Which regions of a picture its voters lack, and which pair of regions speaks most for its label."""

    label: Value | None = Field(description="With the most votes; it is explained.")
    runner_up: Value | None = Field(description="The label that comes next; null where there is no other.")
    threshold: float | None = Field(
        description="The highest value that a voter's own map, held out, has anywhere; null where fewer than "
        "two voters can be read."
    )
    false_alarm: float | None = Field(description="Part of pictures like the voters that exceed it.")
    boxes: list[AnomalyBox] = Field(description="Regions that no voter has, the strongest first.")
    pair: RegionPair | None = Field(
        description="Null where no region is more like the voters for the label than like images of the "
        "runner-up."
    )
    voters: list[Id] = Field(description="Those that were compared, most similar first.")
    runners_up: list[Id] = Field(description="The nearest images of the runner-up, compared likewise.")
    left_out: list[LeftOutVoter] = Field(description="Of both, those that could not be.")
    remarks: list[str] = Field(description="What is to be known of it.")
    overlay: DataUrl = Field(
        description="A PNG: the picture with its map, red boxes, and a blue one for the region of the pair."
    )
