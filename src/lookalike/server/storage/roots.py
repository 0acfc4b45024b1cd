"""The folders whose image files may be served: those that were indexed here, and no others.

A record says where its file lies, and whoever writes to the store says what a record says. So a file is shown
only where its real path, all links followed, is below the real path of a folder that was given to `index` on
this machine for that collection, or to the service when it started. `index` follows links out of there, too:
what one leads to is shown where it is, byte by byte, what was indexed. So a link that is laid or turned later
shows nothing that the collection does not have. With objects, only those below a prefix that was given to
`index` are asked for, with the keys that the service was started with.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard
from urllib.parse import unquote

from lookalike.errors import ExtraMissing, SourceError, outcome
from lookalike.file_names import readable
from lookalike.metric_learning.corrections import marks_of
from lookalike.server.http.problems import Refused
from lookalike.sources.objects import ObjectPath, object_of
from lookalike.stores.checks import same_name
from lookalike.types import ROW
from lookalike.uris import local_path, uri_text

if TYPE_CHECKING:
    from collections.abc import Container, Iterable
    from io import BufferedReader

    from lookalike.database import Database
    from lookalike.sources.objects import Location
    from lookalike.types import Record

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class _Known:
    """The folders and files that were indexed on this machine, as noted last."""

    state: tuple[int, int, int] | None
    folders: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    """As they were named, by `same_name` of the collection."""
    files: dict[str, frozenset[Path]] = field(default_factory=dict)
    """Single files; likewise."""
    objects: dict[str, frozenset[ObjectPath]] = field(default_factory=dict)
    """Prefixes of objects, and single ones; likewise."""
    named: frozenset[str] = frozenset()
    """Folders as they were named, of all collections, and those that the service was given."""


class Roots:
    """The folders whose image files may be served; thread-safe."""

    def __init__(self, paths: Iterable[Location], uploads: Path | None, database: Database) -> None:
        """Remember the folders.

        Args:
            paths: folders, prefixes of objects or single files that are shown whatever the collection.
            uploads: where added pictures are kept; shown likewise.
            database: knows what was indexed here; it is asked again whenever that changes.
        """
        every = [*paths, *([] if uploads is None else [uploads])]
        self._given = tuple(path.absolute() for path in every if isinstance(path, Path))
        self._given_objects = frozenset(path for path in every if isinstance(path, ObjectPath))
        self._paths = frozenset(map(str, (*self._given, *self._given_objects)))
        self._database = database
        self._known = self._read()

    def name(self, record: Record) -> str:
        """Return what people call an image: as who added it did, or its path below what was indexed."""
        return self.names([record])[0]

    def names(self, records: Iterable[Record]) -> list[str]:
        """Return the same of several, with one look at what was indexed."""
        named = self._now().named
        return [marks_of(record).name or _below(_text(record.uri), named) for record in records]

    def open(self, collection: str, record: Record, *, compared: bool = False) -> BufferedReader:
        """Open the file or object of an image to read; the caller closes it.

        What is opened is a regular file below a root; on the way from there no link is followed, so that
        nothing can be exchanged between the look and the opening.

        Args:
            collection: the name of the collection.
            record: of the image.
            compared: the caller shows nothing but bytes whose SHA-256 is the record's. Then a link below a
                root may lead anywhere.

        Raises:
            Refused: 403 where the file lies below no root or may not be read, 404 where it is gone, 502 or
                503 where the server of an object refuses or does not answer.
        """
        if (place := object_of(record.uri)) is not None:
            return self._open_object(collection, place)
        try:
            named = local_path(record.uri)
            path = None if named is None else _real(named)
        except ValueError as error:  # a name that no file can have, in a store made elsewhere
            raise _outside() from error
        if named is None or path is None:
            raise _outside()
        known, key = self._now(), same_name(collection)
        # A root may be a link too, and lead elsewhere by now: so it is followed each time.
        folders = *self._given, *known.folders.get(key, ())
        root = next((root for root in map(_real, folders) if path.is_relative_to(root)), None)
        if root is None and named in known.files.get(key, ()):
            root = path
        if root is None:
            below = ".." not in named.parts and any(named.is_relative_to(folder) for folder in folders)
            if below and compared:
                return _open_linked(path, record)
            raise _led_out() if below else _outside()
        try:
            return os.fdopen(_open_below(root, path), "rb")
        except PermissionError as error:
            raise Refused(403, "the service may not read the file of this image") from error
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EISDIR):
                raise Refused(404, "the file of this image is not there any more") from error
            raise Refused(404, f"the file of this image cannot be read: {error.strerror}") from error

    def _open_object(self, collection: str, place: ObjectPath) -> BufferedReader:
        """Open an object below a prefix that was indexed into a collection, with the service's own keys."""
        roots = self._given_objects | self._now().objects.get(same_name(collection), frozenset())
        if not any(one in roots for one in (place, *place.parents)):
            raise _outside()
        try:
            return place.open("rb")
        except FileNotFoundError as error:
            raise Refused(404, "the object of this image is not there any more") from error
        except PermissionError as error:
            raise Refused(403, "the service may not read the object of this image") from error
        except (SourceError, ExtraMissing) as error:
            status = outcome(error).status
            raise Refused(
                status, "the objects of this collection cannot be read by the service now"
            ) from error

    def _now(self) -> _Known:
        if self._database.indexed_state() != self._known.state:
            self._known = self._read()
        return self._known

    def _read(self) -> _Known:
        # Taken first: what is noted meanwhile shows as a change the next time.
        state = self._database.indexed_state()
        noted = self._database.indexed()
        return _Known(
            state,
            {name: tuple(filter(_is_path, each.folders)) for name, each in noted.items()},
            {name: frozenset(filter(_is_path, each.files)) for name, each in noted.items()},
            {
                name: frozenset(path for path in each.paths if isinstance(path, ObjectPath))
                for name, each in noted.items()
            },
            self._paths.union(str(folder) for each in noted.values() for folder in each.folders),
        )


def _is_path(place: Location) -> TypeGuard[Path]:
    return isinstance(place, Path)


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _text(uri: str) -> str:
    """Return what a URI names; of a file on another machine its path there."""
    text = uri_text(uri)
    return unquote(text) if text.startswith("file://") else text


def _below(path: str, folders: Container[str]) -> str:
    """Return what follows the innermost of the folders, or only the name, as people read it."""
    last = end = path.rfind("/")
    # As text: an answer may have a thousand names, and paths are slow.
    while end >= 0:
        if path[: end or 1] in folders:
            return readable(path[end + 1 :])
        end = path.rfind("/", 0, end) if end else -1
    return readable(path[last + 1 :])


def _outside() -> Refused:
    return Refused(
        403,
        "the picture may not be shown: it lies below no folder that was indexed into this collection on the "
        "service's machine, nor below one that `lookalike serve --root` names",
    )


def _led_out() -> Refused:
    return Refused(
        403,
        "the picture may not be shown: a link leads out of the folders that were indexed, and not to the "
        "file that was indexed, or to a film; what lies below `lookalike serve --root` is shown",
    )


def _open_linked(path: Path, record: Record) -> BufferedReader:
    """Open the file that a link leads to, if it may be the one that was indexed, as large as that was.

    Whatever else is there, or is not, has one answer, from which whoever may lay links learns nothing.
    A row of others does not say what its picture is.
    """
    try:
        file = os.fdopen(_open_below(path, path), "rb")
    except OSError as error:
        raise _led_out() from error
    if not record.size or record.digest.startswith(ROW) or os.fstat(file.fileno()).st_size != record.size:
        file.close()
        raise _led_out()
    return file


def _open_below(root: Path, path: Path) -> int:
    """Open a regular file, step by step from a folder that it is below; `path` may be the root itself."""
    with ExitStack() as opened:
        here = os.open(root.parent if path == root else root, _FOLDER)
        opened.callback(os.close, here)
        *folders, name = [path.name] if path == root else path.relative_to(root).parts
        for folder in folders:
            here = os.open(folder, _FOLDER, dir_fd=here)
            opened.callback(os.close, here)
        file = os.open(name, _FILE, dir_fd=here)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    return file
