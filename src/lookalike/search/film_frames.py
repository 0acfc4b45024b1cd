"""Frames of a film as queries: decoded in order, and embedded as they come."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from lookalike.errors import UnusableImage
from lookalike.file_names import display
from lookalike.images.films import open_film
from lookalike.images.limits import MAX_PIXELS
from lookalike.ingest.embedding import embed_files
from lookalike.search.query import Embedding, Image
from lookalike.sources.frames import film_status, read_frames
from lookalike.types import Skipped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lookalike.embedders.models import Models
    from lookalike.images.film_sampling import Sampling
    from lookalike.sources.objects import Location
    from lookalike.types import CollectionInfo, VectorInfo


def embed_film(
    models: Models,
    collection: CollectionInfo,
    vector: VectorInfo,
    film: Location,
    sampling: Sampling,
    max_pixels: int = MAX_PIXELS,
) -> Iterator[Image | Skipped]:
    """Yield the frames of a film that are taken, in order, embedded; at the end why there are no more.

    Args:
        models: opens the embedder.
        collection: that is asked.
        vector: of it.
        film: the file or the object.
        sampling: which frames are taken.
        max_pixels: a film with larger frames is refused.
    """
    embedder = models.embedder_of(collection, vector)
    try:
        status = film_status(film)
        with film.open("rb") as file, open_film(file, str(film), max_pixels) as opened:
            frames = read_frames(film, opened, sampling, status)
            with closing(embed_files(frames, embedder, models.features(embedder))) as found:
                for each in found:
                    if isinstance(each, Skipped):
                        yield each
                    else:
                        made = Embedding(each.features, embedder.fingerprint, each.digest)
                        yield Image(str(each.path), made)
            if opened.fault is not None:
                yield Skipped(str(film), opened.fault)
    except UnusableImage as error:
        yield Skipped(str(film), error.reason)
    except OSError as error:
        yield Skipped(str(film), f"cannot be read: {error.strerror or display(str(error))}")
