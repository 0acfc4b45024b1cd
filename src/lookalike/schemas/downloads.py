"""Files with what is known of chosen images."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lookalike.schemas.values import Id, RequestModel

MOST = 10_000
"""Images of one file."""


class DownloadQuery(RequestModel):
    """Which images, and as what."""

    ids: Annotated[list[Id], Field(min_length=1, max_length=MOST, description="Of the images, in order.")]
    format: Literal["csv", "zip"] = Field(
        "csv",
        description="`csv`: a row for each image, a column for each field; `zip`: that, and a link for each.",
    )
    address: Annotated[str, Field(pattern=r"^https?://[^\s/]{1,300}$")] | None = Field(
        None,
        description="Where this service is reached, for the links; by default as this request reached it.",
        examples=["https://images.example.org"],
    )
