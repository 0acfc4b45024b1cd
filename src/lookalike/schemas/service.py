"""The service itself: login, limits, health."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lookalike.schemas.values import RequestModel, ResponseModel


class Login(RequestModel):
    """A key."""

    key: str = Field(min_length=1, max_length=1000, repr=False)


class Limits(ResponseModel):
    """What one request may bring."""

    bytes: int = Field(description="Of its body.", examples=[33_554_432])
    pixels: int = Field(description="Of one picture.", examples=[50_000_000])
    images: int = Field(description="Pictures.", examples=[32])


class ServiceInfo(ResponseModel):
    """What a service is and lets whoever asks do."""

    version: str
    may: Literal["read", "write"] = Field(description="What this request's key is good for.")
    keys: bool = Field(description="Whether keys are asked for.")
    uploads: bool = Field(description="Whether pictures can be added.")
    limits: Limits


class Alive(ResponseModel):
    """The service runs."""

    status: Literal["ok"] = "ok"


class Ready(Alive):
    """The service answers."""

    damaged: int = Field(
        0, description="Records that were found damaged and are in no answer; the service's log names them."
    )
