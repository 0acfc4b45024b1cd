"""Indexing a collection again: the query and the report."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field, StrictBool

from lookalike.schemas.values import RequestModel, ResponseModel, Unusable


class AllowedFolder(RequestModel):
    """A folder below one of those that `lookalike serve --root` names."""

    root: str = Field(
        min_length=1, max_length=4096, description="As `GET /v1/folders` names it.", examples=["photographs"]
    )
    path: str = Field(
        "",
        max_length=4096,
        description="Below it, parted by slashes; empty: all of it.",
        examples=["2026/may"],
    )


FolderProblem: TypeAlias = Literal["outside", "closed", "unnameable"]


class FolderEntry(ResponseModel):
    """A folder in another, or a root."""

    name: str
    path: str = Field(description="Below its root; empty of a root itself.")
    problem: FolderProblem | None = Field(
        description="Why it cannot be indexed: a link leads out of its root, the service may not read it, or "
        "its name is no UTF-8; null where it can."
    )


class Folders(ResponseModel):
    """What lies directly in a folder; or the roots, where none was named."""

    root: str | None
    path: str
    folders: list[FolderEntry] = Field(description="By name; hidden ones and those of systems are no part.")
    images: int = Field(description="Files in it that are named like images.")
    films: int = Field(description="Those that are named like films, of which `frames` takes images.")


class IndexQuery(RequestModel):
    """How to index what was indexed again, or a folder that the service lets clients index."""

    folder: AllowedFolder | None = Field(
        None, description="What is to be indexed; null: again what was indexed."
    )
    labels: Literal["auto", "folders", "json", "table", "xml", "yolo", "none"] = Field(
        "auto", description="Where labels are read from."
    )
    frames: str | None = Field(
        None,
        max_length=40,
        description="Which frames of films are taken: scene, every:1s, every:500ms, every:2min; null: as "
        "when the folders were indexed last.",
        examples=["every:1s"],
    )
    index_name: str | None = Field(
        None,
        min_length=1,
        max_length=255,
        description="A name for the collection's index in an Elasticsearch store; other stores refuse it.",
        examples=["parts-index"],
    )
    prune: StrictBool = Field(False, description="Remove images whose file is gone.")
    yes: StrictBool = Field(
        False, description="Even where these are more than a tenth of the collection; else the job fails."
    )


class LeftOutFiles(ResponseModel):
    """Files that are named like images and were not looked at, for one reason."""

    reason: str = Field(examples=["in @eaDir (thumbnails of a NAS)"])
    count: int
    example: str = Field(description="One of them.")


class Indexing(ResponseModel):
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
    films: int = Field(0, description="Films whose frames are among these images.")
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
    left_out: list[LeftOutFiles] = Field(
        description="What is named like an image and is none to index: masks, thumbnails, hidden files, and "
        "what the patterns leave out with which `lookalike index` was run."
    )
    remarks: list[str] = Field(description="What was assumed, and what a person should look at.")
    other_files: int = Field(description="Files that are neither images nor labels.")
    seconds: float
