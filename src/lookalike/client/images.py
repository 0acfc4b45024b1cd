"""Collections and single images: what is in them, and what may be put right."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from lookalike.client.connection import JSON, picture_parts, question
from lookalike.client.jobs import Jobs
from lookalike.client.terms import read_picture
from lookalike.schemas.collections import Collection, Collections, Deleted, NewCollection, Values
from lookalike.schemas.images import Added, Correction, ImageDetails

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lookalike.client.connection import Part
    from lookalike.client.terms import Picture
    from lookalike.schemas.values import Value

    Fields = Mapping[str, Value]


class Images(Jobs):
    """What is asked and changed of collections and their images."""

    def collections(self) -> list[Collection]:
        """Return the collections that are served."""
        return self._ask(Collections, "GET", "v1", "collections").collections

    def collection(self, name: str) -> Collection:
        """Return one of them."""
        return self._ask(Collection, "GET", "v1", "collections", name)

    def create_collection(self, name: str, model: str) -> Collection:
        """Make an empty collection; a writing key is needed.

        Args:
            name: letters, digits, `_` and `-`.
            model: its embedder.

        Raises:
            InvalidArgument: the name is too long or too short.
        """
        body = question(NewCollection, {"name": name, "model": model})
        return self._ask(Collection, "POST", "v1", "collections", body=body, again=False)

    def delete_collection(self, name: str) -> int:
        """Delete a collection and return how many images it had; a writing key is needed."""
        return self._ask(Deleted, "DELETE", "v1", "collections", name, again=False).deleted

    def values(self, name: str) -> Values:
        """Return the values of every field of a collection, the most frequent first."""
        return self._ask(Values, "GET", "v1", "collections", name, "values")

    def add(
        self,
        collection: str,
        *pictures: Picture,
        fields: Fields | Sequence[Fields] = (),
        metadata: Mapping[str, Any] | Sequence[Mapping[str, Any]] = (),
    ) -> Added:
        """Put pictures into a collection; a writing key is needed. The same picture again is the same image.

        Args:
            collection: its name.
            pictures: paths of this machine, or bytes.
            fields: of all, or of each.
            metadata: of all, or of each.

        Raises:
            PathNotFound, UnusableImage: a file of this machine cannot be read.
        """
        parts: list[Part] = [
            (name, (None, json.dumps(given), JSON))
            for name, given in (("fields", fields), ("metadata", metadata))
            if given
        ]
        parts += picture_parts([read_picture(each) for each in pictures])
        return self._ask(Added, "POST", *_images(collection), parts=parts)

    def image(self, collection: str, identity: str) -> ImageDetails:
        """Return all that is known of an image."""
        return self._ask(ImageDetails, "GET", *_images(collection), identity)

    def correct(
        self,
        collection: str,
        identity: str,
        fields: Mapping[str, Value | None] | None = None,
        *,
        confirm: Sequence[str] = (),
    ) -> ImageDetails:
        """Put fields of an image right; a writing key is needed.

        Args:
            collection: its name.
            identity: of the image.
            fields: new values; None removes a field.
            confirm: fields that are right as they are, or as `fields` has them.

        Raises:
            InvalidArgument: a value is none that a field can have.
        """
        body = question(Correction, {"fields": dict(fields or {}), "confirm": list(confirm)})
        return self._ask(ImageDetails, "PATCH", *_images(collection), identity, body=body)

    def delete_image(self, collection: str, identity: str) -> None:
        """Take an image out of a collection; a writing key is needed."""
        self._send("DELETE", *_images(collection), identity, again=False)

    def thumbnail(self, collection: str, identity: str, size: Literal[64, 128, 256, 512] = 256) -> bytes:
        """Return an image as a WebP of at most so many pixels a side."""
        answer = self._send("GET", *_images(collection), identity, "thumbnail", query={"size": size})
        return answer.content

    def original(self, collection: str, identity: str) -> bytes:
        """Return the file of an image."""
        return self._send("GET", *_images(collection), identity, "original").content


def _images(collection: str) -> tuple[str, ...]:
    return ("v1", "collections", collection, "images")
