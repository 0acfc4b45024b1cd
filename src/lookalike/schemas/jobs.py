"""Work that takes longer than a request may: what is asked for, and how far it is."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AwareDatetime, Field, StrictBool

from lookalike.schemas.values import Asked, Given, Problem, Unusable

FieldName: TypeAlias = Annotated[str, Field(min_length=1, max_length=10_000, examples=["label"])]

JobKind: TypeAlias = Literal["evaluate", "audit", "map", "index"]

JobState: TypeAlias = Literal["waiting", "running", "done", "failed", "cancelled"]

JobId: TypeAlias = Annotated[str, Field(description="Of a job.", examples=["5f0c954a1d2b43e7"])]


class EvaluateQuery(Asked):
    """How to measure how often the neighbours are right."""

    by: FieldName = Field(description="The field that holds the label.")
    within: FieldName | None = Field(
        None,
        description="Compare an image only with those of the same value of this field.",
        examples=["part"],
    )
    k: Annotated[int, Field(ge=1, le=1000)] | Literal["auto"] = Field(
        5, description="Neighbours that vote; `auto` chooses by cross-validation."
    )
    group: FieldName | None = Field(
        None,
        description="Never compare an image with those of the same value of this field.",
        examples=["day"],
    )
    folds: int = Field(5, ge=2, le=100, description="For a fitted metric or k `auto`.")
    repeats: int = Field(3, ge=1, le=10, description="How often folds are drawn.")
    seed: int = Field(0, ge=0, lt=1 << 32, description="Of the first drawing.")
    max_error: float | None = Field(
        None, gt=0, lt=1, description="Find the confidence above which the error is at most this."
    )
    coverage: float | None = Field(
        None, gt=0, lt=1, description="Measure label sets that contain the true label this often."
    )
    false_alarm: float | None = Field(
        None, ge=0, lt=1, description="Part of the known pictures that may be called unknown; 0 for never."
    )


class AuditQuery(Asked):
    """How to look for what is wrong with labels and images."""

    by: FieldName = Field(description="The field that holds the label.")
    split: FieldName | None = Field(
        None,
        description="The field that tells training images from test images; null: one with such names for "
        "values.",
        examples=["split"],
    )
    k: int = Field(5, ge=1, le=1000, description="Neighbours that vote, as evidence.")


class MapQuery(Asked):
    """How to draw the map of a collection."""

    by: FieldName | None = Field(None, description="The field whose values are the labels of the points.")


class IndexQuery(Asked):
    """How to index again what was indexed; folders are never named by a client."""

    labels: Literal["auto", "folders", "json", "table", "xml", "yolo", "none"] = Field(
        "auto", description="Where labels are read from."
    )
    prune: StrictBool = Field(False, description="Remove images whose file is gone.")
    yes: StrictBool = Field(
        False, description="Even where these are more than a tenth of the collection; else the job fails."
    )


class Job(Given):
    """A piece of work, and how far it is."""

    id: JobId
    kind: JobKind
    collection: str = Field(examples=["images"])
    asked: dict[str, Any] = Field(
        description="The question, with its defaults.", examples=[{"by": "label", "split": None, "k": 5}]
    )
    state: JobState = Field(description="Only a job that is done has a result.")
    done: int = Field(description="Part of `total`; it never falls.", examples=[1200])
    total: int = Field(description="In images read, compared or indexed; 0 until that is known.")
    created: AwareDatetime
    started: AwareDatetime | None = Field(description="Null while it waits.")
    finished: AwareDatetime | None = Field(description="Null until it is done, has failed or is cancelled.")
    problem: Problem | None = Field(description="Why it has failed, or that it was cancelled.")


class Jobs(Given):
    """The jobs that wait, run, or ended last; the newest first."""

    jobs: list[Job]


class LeftOut(Given):
    """Files that are named like images and were not looked at, for one reason."""

    reason: str = Field(examples=["in @eaDir (thumbnails of a NAS)"])
    count: int
    example: str = Field(description="One of them.")


class Indexing(Given):
    """What became of every file below the folders that were indexed."""

    collection: str = Field(examples=["images"])
    labels: list[str] = Field(
        description="How the labels of each folder were read: folders, json, table, xml, yolo or none."
    )
    images: int = Field(description="Images that are in the collection after this run because of it.")
    added: int
    updated: int = Field(description="The file had changed.")
    relabelled: int = Field(description="The file is the same, what is known of it had changed.")
    unchanged: int
    moved: int = Field(
        description="The file was elsewhere before; its image kept what people had said of it."
    )
    removed: int = Field(description="Images whose file is gone (`prune`).")
    embedded: int = Field(description="Images that went through the model; the others' features were known.")
    skipped: list[Unusable] = Field(description="Files that could not be used.")
    unlabelled: list[str] = Field(
        description="Images without a label although others have one, by their names."
    )
    told_apart: list[str] = Field(
        description="Images of a name that others have too, whose labels found them by their folders."
    )
    overruled: list[str] = Field(
        description="Images whose labels a person had put right or confirmed, and of which the file or the "
        "label file says something else since: that counts now."
    )
    left_out: list[LeftOut] = Field(
        description="What is named like an image and is none to index: masks, thumbnails, hidden files, and "
        "what the patterns leave out with which `lookalike index` was run."
    )
    remarks: list[str] = Field(description="What was assumed, and what a person should look at.")
    other_files: int = Field(description="Files that are neither images nor labels.")
    seconds: float
