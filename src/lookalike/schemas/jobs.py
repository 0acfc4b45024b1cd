"""Background jobs: kind, state and progress."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AwareDatetime, Field

from lookalike.schemas.values import Problem, ResponseModel

JobKind: TypeAlias = Literal["evaluate", "audit", "map", "index", "import", "vector", "drift", "suggest"]

JobState: TypeAlias = Literal["waiting", "running", "done", "failed", "cancelled"]

JobId: TypeAlias = Annotated[str, Field(description="Of a job.", examples=["5f0c954a1d2b43e7"])]


class Job(ResponseModel):
    """A background job and its progress."""

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


class Jobs(ResponseModel):
    """The jobs that wait, run, or ended last; the newest first."""

    jobs: list[Job]
