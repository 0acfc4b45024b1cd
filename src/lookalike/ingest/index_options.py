"""How images below some paths are indexed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lookalike.images.limits import MAX_PIXELS
from lookalike.ingest.removals import disagree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.images.film_sampling import Sampling
    from lookalike.images.levels import Range
    from lookalike.ingest.removals import Agree
    from lookalike.sources.objects import Location


@dataclass(frozen=True, slots=True)
class Machines:
    """The cluster of Ray that images are embedded on: that of RAY_ADDRESS, or one of this machine."""

    store: str = field(repr=False)
    """The store's URL as it was given, which may hold a password."""
    timeout: float
    """Of that store, in seconds."""
    actors: int | None = None
    """Workers; None: one for each GPU, where the models may use such, else for each CPU."""


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """How images below some paths are indexed."""

    model: str | None = None
    """The embedder; None: that of the collection, or the default one for a new collection. Weights that are
    not on this machine are fetched from the model hub."""
    vector: str | None = None
    """Name of the vector that the embedder makes, a further one of a collection that is there; None: the one
    that it has of this embedder, or `image` of a new collection."""
    levels: Range | None = None
    """Which samples of more than 8 bits become black and white; None: those that the collection has been made
    by, or `AUTO` for a new one."""
    labels: str = "auto"
    """Where labels come from: auto, folders, json, table, xml, yolo or none."""
    group_by: str | None = None
    """A regular expression whose match in an image's path is a field; None: none."""
    encoding: str | None = None
    """Of label files that are no Unicode by their marks; None to guess."""
    prune: bool = False
    """Remove records below the paths whose file is gone; those of files that are left out stay."""
    prune_empty: bool = False
    """Do so too where it looks as though a disk were not mounted."""
    agree: Agree = disagree
    """Asked before more than a tenth of the collection is removed."""
    verify: bool = False
    """Read the files whose size and date are the same, and compare their digests."""
    exclude: Sequence[str] = ()
    """Patterns of what is left out, see `patterns.Patterns`."""
    include: Sequence[str] = ()
    """Patterns of the only images that are taken."""
    as_before: bool = False
    """Leave out, too, what was left out when the same paths were indexed last on this machine."""
    max_pixels: int = MAX_PIXELS
    """Images with more pixels are skipped."""
    path_base: Location | None = None
    """The folder that relative paths are relative to: one of the paths, or a folder above all of them. None:
    as before, or each path itself."""
    index_name: str | None = None
    """A name for the collection's index, where the store is an Elasticsearch server."""
    frames: Sampling | None = None
    """Which frames of films are taken; None: films are left out."""
    manifest: Location | None = None
    """Names the objects that there are below the paths, which are not listed then; see `manifests`."""
    machines: Machines | None = None
    """On which it is done; None: here."""
