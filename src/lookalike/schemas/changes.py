"""Changes of many images at once, and undoing them."""

from __future__ import annotations

from typing import Annotated, Self, TypeAlias

from pydantic import Field, model_validator

from lookalike.schemas.values import FieldName, Id, RequestModel, ResponseModel, Value

MOST = 10_000
"""Images of one request."""

Ids: TypeAlias = Annotated[list[Id], Field(min_length=1, max_length=MOST, description="Of the images.")]

UndoId: TypeAlias = Annotated[str, Field(pattern="^[0-9a-f]{16}$", examples=["5f0c954a1d2b43e7"])]


class Undo(ResponseModel):
    """What a change is undone by."""

    id: UndoId
    seconds: int = Field(
        description="For which it can be undone, while the service runs and not too much else is changed."
    )


class Labels(RequestModel):
    """What is put right on many images."""

    ids: Ids
    fields: dict[FieldName, Value | None] = Field(
        {}, description="New values; null removes the field.", examples=[{"label": "rust"}], max_length=1000
    )
    confirm: list[FieldName] = Field(
        [], max_length=1000, description="Fields that are right as they are, or as `fields` has them."
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.fields and not self.confirm:
            raise ValueError("nothing to change: name fields, or fields to confirm")
        return self


class Removal(RequestModel):
    """Images that are to be removed."""

    ids: Ids


class Changed(ResponseModel):
    """What became of many images."""

    changed: int = Field(description="Images that are otherwise now, or gone.")
    missing: list[Id] = Field(description="Images that were not there.")
    undo: Undo | None = Field(description="null: nothing was changed, or too much to be undone.")


class Undone(ResponseModel):
    """What became of a change that was undone."""

    restored: int = Field(description="Images that are as they were.")
    left: int = Field(description="Images that somebody else has changed since, and that stay so.")
