"""Single images: details, corrections, uploads."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from lookalike.schemas.changes import Undo
from lookalike.schemas.values import Image, RequestModel, ResponseModel, Unusable, Value


class ImageDetails(Image):
    """An image of a collection, with all that is known of it."""

    metadata: dict[str, Any] = Field(description="The label file as it was delivered.")
    digest: str = Field(description="SHA-256 of the file's bytes.")
    size: int = Field(description="Bytes in the file.")
    time: float | None = Field(
        None,
        description="Of a frame of a film, when it appears: seconds from the beginning. `…/film` is the film",
    )
    taken: str | None = Field(
        None,
        description="When it was taken, else when its file was written, in ISO 8601, UTC; null: unknown.",
        examples=["2026-11-29T22:12:59Z"],
    )
    corrected: dict[str, Value | None] = Field(
        {},
        description="Fields that a person has put right, with the value that was delivered; null: there was "
        "none.",
        examples=[{"label": "good"}],
    )
    confirmed: list[str] = Field(
        [], description="Fields that a person has looked at and found right.", examples=[["label"]]
    )


class Correction(RequestModel):
    """What is put right on an image."""

    fields: dict[str, Value | None] = Field(
        {},
        description="New values; null removes the field. The value that was delivered undoes a correction.",
        examples=[{"label": "rust", "seen": None}],
    )
    confirm: list[str] = Field(
        [],
        max_length=1000,
        description="Fields that are right as they are, or as `fields` has them.",
        examples=[["label"]],
    )


class Added(ResponseModel):
    """What became of pictures that were sent."""

    images: list[ImageDetails] = Field(
        description="Those that are in the collection now, in order; of the same bytes, the same one."
    )
    skipped: list[Unusable] = Field(description="Those that could not be used.")
    undo: Undo | None = Field(
        None, description="What takes them out again, or gives back the labels of those that were there."
    )
