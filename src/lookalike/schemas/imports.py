"""Importing vectors that others computed: the query and the report."""

from __future__ import annotations

from pydantic import Field, StrictBool

from lookalike.schemas.index import AllowedFolder
from lookalike.schemas.values import FieldName, RequestModel, ResponseModel, Unusable

_COLUMN = 1000


class ImportQuery(RequestModel):
    """What the columns of a file are, and what made its vectors; what is not said is guessed, and told."""

    model: str | None = Field(
        None,
        min_length=1,
        max_length=_COLUMN,
        description="What made the vectors: a model that is part of lookalike, or that the service serves.",
        examples=["efficientnet-lite0"],
    )
    space: str | None = Field(
        None, min_length=1, max_length=200, description="Instead, a name for a model that is not known here."
    )
    id: str | None = Field(None, max_length=_COLUMN, description="The column that names the rows.")
    uri: str | None = Field(
        None, max_length=_COLUMN, description="The column of the pictures' paths or URIs."
    )
    vector: str | None = Field(
        None, max_length=_COLUMN, description="The column of vectors; `emb_*` for one of each number."
    )
    fields: dict[FieldName, str] = Field(
        default_factory=dict, max_length=1000, description="Of each field its column; empty: guessed."
    )
    metadata: str | None = Field(None, max_length=_COLUMN, description="The column that is kept as metadata.")
    digest: str | None = Field(
        None, max_length=_COLUMN, description="The column with the SHA-256 of the pictures."
    )
    name: str | None = Field(
        None, max_length=64, description="Of the vector in the collection; null: the file's, or `image`."
    )
    encoding: str | None = Field(None, max_length=40, description="Of CSV that is not UTF-8.")
    folder: AllowedFolder | None = Field(
        None,
        description="What relative paths are relative to; null: pictures are not on the service's machine.",
    )
    dry_run: StrictBool = Field(
        False, description="Say what would be taken of the first rows, and write nothing."
    )


class ImportJob(ImportQuery):
    """The query with the files that it is about."""

    file: str = Field(description="The name of the file.")
    sha256: list[str] = Field(description="Of its bytes, and of those of the file of ids.")


class RowsTold(ResponseModel):
    """Rows of which one thing is to be known."""

    reason: str = Field(description="In words that follow `3 rows have`.", examples=["no vector"])
    count: int
    example: str = Field(description="The id of one of them.")


class ImportedSpace(ResponseModel):
    """What a vector is of."""

    vector: str = Field(description="Its name in the collection.", examples=["image"])
    model: str
    dimension: int


class Imported(ResponseModel):
    """What became of every row of a file."""

    collection: str = Field(examples=["products"])
    form: str = Field(description="What it was read as.", examples=["Parquet"])
    columns: dict[str, str] = Field(description="What was taken for what.")
    spaces: list[ImportedSpace]
    rows: int
    added: int
    updated: int
    unchanged: int
    left_out: list[RowsTold] = Field(description="Rows that are no images, and why.")
    counted: list[RowsTold] = Field(description="Rows that are, and what is to be known of them.")
    skipped: list[Unusable] = Field(description="Pictures in the file that could not be embedded.")
    verified: int = Field(description="Pictures in the file that the vectors were compared with.")
    similarity: float | None = Field(description="The least that the model makes of them.")
    doubtful: bool = Field(description="Whether the model would give other vectors.")
    remarks: list[str]
