"""The records of a collection: their fields, metadata and stamps, without their vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.errors import InvalidArgument
from lookalike.file_names import display
from lookalike.ingest.indexed_folders import Indexed, indexed_paths
from lookalike.ingest.snapshots import restore_snapshot, take_snapshot
from lookalike.label_normalisation import kept_filter
from lookalike.search.query import alternatives
from lookalike.search.record_names import find_named
from lookalike.sources.locations import folder_uri
from lookalike.stores.checks import same_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from lookalike.ingest.snapshots import Restored, Snapshot
    from lookalike.opened import Opened
    from lookalike.search.query import Conditions
    from lookalike.stores.damage import Damage
    from lookalike.types import Record

# Ids that are named where several records are called alike.
_SHOWN = 5


class Records:
    """The handle of a collection's records: `collection.records`."""

    def __init__(self, opened: Opened, name: str) -> None:
        """Name a collection: see `Collection`."""
        self._opened = opened
        self._store = opened.store
        self._name = name

    def get(self, ids: Sequence[str]) -> list[Record]:
        """Return the records with these ids, in the order asked, without those that are not there."""
        return self._store.get(self._name, ids)

    def find(self, images: str | Iterable[str]) -> dict[str, str]:
        """Return the ids of the records that people name, by what each was called.

        Args:
            images: ids (`id:7` for any form of one), URIs, and paths: from the current folder, from one that
                was indexed or that the pictures of an attached table are relative to, or as that table has
                them.

        Raises:
            InvalidArgument: no record is called so, or several are.
        """
        found = {}
        for image, ids, _ in self._named(images):
            if not ids:
                raise InvalidArgument(
                    f"{display(image)} is a film, and each of its frames is an image: name NAME#t=12.5"
                )
            found[image] = ids[0]
        return found

    def find_all(self, images: str | Iterable[str]) -> list[str]:
        """Return the ids of the records that people name, each once; a film means all of its frames.

        Args:
            images: see `find`.

        Raises:
            InvalidArgument: no record is called so, or several are that are no frames of one film.
        """
        wanted: dict[str, None] = {}
        for _, ids, frames in self._named(images):
            wanted |= dict.fromkeys(ids or frames)
        return list(wanted)

    def _named(self, images: str | Iterable[str]) -> Iterator[tuple[str, list[str], list[str]]]:
        """Yield each image with the id that it is called by, or with those of its frames: see `find_all`."""
        noted = indexed_paths(self._opened.models.cache, self._store.url)
        folders = [folder_uri(str(one)) for one in noted.get(same_name(self._name), Indexed()).folders]
        base = self._store.picture_base(self._name)
        collection = self._store.collection(self._name)
        found, frames = find_named(
            self._store,
            self._name,
            [images] if isinstance(images, str) else images,
            list(dict.fromkeys([*([] if base is None else [base]), *folders])),
        )
        for image, ids in found.items():
            if len(ids) > 1:
                several = ", ".join(f"id:{one}" for one in ids[:_SHOWN])
                more = f" and {len(ids) - _SHOWN:,} more" if len(ids) > _SHOWN else ""
                raise InvalidArgument(
                    f"several images of collection {collection.name!r} are called {display(image)}: name one "
                    f"by its id, {several}{more}"
                )
            if not (ids or image in frames):
                raise InvalidArgument(f"not in collection {collection.name!r}: {display(image)}")
            yield image, ids, frames.get(image, [])

    def scan(self, where: Conditions | None = None) -> Iterator[list[Record]]:
        """Yield all matching records in order of id, at most 1,000 at a time; no vector is read."""
        collection = self._store.collection(self._name)
        return self._store.scan_records(self._name, kept_filter(alternatives(where), collection))

    def uris(self) -> list[str]:
        """Return the URI of every record."""
        return [uri for uri, _ in self._store.scan_stamps(self._name)]

    def damage(self) -> list[Damage]:
        """Return the records that were found damaged since the store was opened; no answer has them."""
        return self._store.damage.found(self._name)

    def snapshot(self, ids: str | Iterable[str], *, labels_only: bool = False) -> Snapshot:
        """Read records as they are, with all their vectors, so that what is done to them next can be undone.

        Args:
            ids: one id or several; also of records that are not there, which `restore` removes.
            labels_only: read no vectors: enough to undo what is done to fields.
        """
        wanted = [ids] if isinstance(ids, str) else ids
        name = self._store.collection(self._name).name
        return take_snapshot(self._store, name, wanted, labels_only=labels_only)

    def restore(self, snapshot: Snapshot, since: Mapping[str, Record] | None = None) -> Restored:
        """Make records as they were when a snapshot of them was taken: labels, and vectors bit for bit.

        Args:
            snapshot: of this collection.
            since: the records as they were left then, by id: those that are otherwise now stay so. None: all
                become as they were.

        Returns:
            How many were made so, and how many were left.

        Raises:
            SpaceMismatch: records are gone, and the collection has vectors of another model since.
        """
        return restore_snapshot(self._store, snapshot, since)
