"""What goes between the driver and its workers: the plan of a run, its tasks, and what became of each.

None of it holds a password or a key: Ray writes what it is given into files of its session.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lookalike.embedders.protocol import Device
    from lookalike.errors import LookalikeError
    from lookalike.images.film_sampling import Sampling
    from lookalike.ingest.index_report import IndexReport
    from lookalike.labels.labelling import Label
    from lookalike.sources.objects import Location
    from lookalike.types import Space, Stamp

STORE = "LOOKALIKE_STORE"
"""The variable that workers take the store's URL from, where it holds a password."""


@dataclass(frozen=True, slots=True)
class LabelPlan:
    """Where the labels below one root stand."""

    mode: str
    """folders, table, json, xml, yolo or none."""
    given: bool = False
    """Whether the driver has read them, and tasks have those of their images."""
    expected: bool = True
    """Whether it is told of an image that it has none."""
    tables: Sequence[Location] = ()
    """Files called metadata."""
    appended: bool = False
    """Whether a JSON file is called `a.jpg.json`."""
    replaced: bool = False
    """Whether a JSON file is called `a.json`."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What all workers of a run have to know."""

    store: str | None
    """Its URL; None: the variable `STORE` says it."""
    store_name: str
    """The same without a password, by which it is known to be the same."""
    timeout: float
    collection: str
    models: Sequence[str]
    """Names of the embedders, of each vector that the collection declares one."""
    fingerprints: Sequence[str]
    """Of these embedders on the driver's machine."""
    cache: str
    weights: str | None
    device: Device
    threads: int
    """That embed, a worker."""
    max_pixels: int
    verify: bool
    encoding: str | None
    labels: Mapping[Location, LabelPlan]
    """By root."""
    group_by: Mapping[Location, str]
    frames: Mapping[Location, Sampling]
    """Which frames of films are taken below which root; of others films are left out."""


@dataclass(frozen=True, slots=True)
class Task:
    """Images below one root, which a worker takes at once."""

    root: Location
    images: Sequence[Location]
    labels: Mapping[Location, Label] = field(default_factory=dict)
    """Of those that the driver has read the labels of."""
    stamps: Mapping[str, Stamp] = field(default_factory=dict)
    """Of the frames that the collection has of films among them, by URI."""


@dataclass(frozen=True, slots=True)
class Completion:
    """Records that lack a vector which the collection declares."""

    images: Sequence[str]
    """Their ids."""
    space: Space
    """Of the vector."""


@dataclass(frozen=True, slots=True)
class TaskReport:
    """What became of a task."""

    report: IndexReport
    assumed: Mapping[str, tuple[str, int]]
    """What was assumed of images, with one of them, and how many they are."""
    used: int = 0
    """Rows of tables, or JSON files, that name one of its images."""
    rows: int = 0
    """Rows of all tables below its root."""
    problems: Sequence[str] = ()
    """What went on without being as it should be."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a worker could not do what it was asked: not the error itself, which may not travel."""

    kind: type[LookalikeError]
    text: str

    def error(self) -> LookalikeError:
        """Return the error, as it reads."""
        error = self.kind.__new__(self.kind)
        error.args = (self.text,)
        return error
