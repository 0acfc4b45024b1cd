"""Objects of a bucket as paths: named, listed, looked at and read as files of a folder are."""

from __future__ import annotations

import errno
import hashlib
import io
import re
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from lookalike.errors import InvalidArgument
from lookalike.file_names import display
from lookalike.sources.buckets import UNASKABLE, Bucket, UnaskableKey, is_askable
from lookalike.sources.source import Content, Entry, Status
from lookalike.uris import OBJECT_SCHEMES, object_text, object_uri

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from lookalike.sources.buckets import ObjectMeta

# Bytes that are asked for at once, of an object that is open: most pictures are one part.
_PART = 8 << 20
# Label files are read whole; above this no object is.
_MOST = 1 << 30
# Azure has $web, and Amazon names from before 2018 have capitals and underscores. Anything else would be a
# part of an address: a user, a port, a query.
_BUCKET = re.compile(r"[A-Za-z0-9._$-]+")
# Label files that are read side by side, since a server takes longer to answer than a disk.
_AHEAD = 16
# Bytes: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html. A key that is much longer
# ends obstore in a panic, which no `except Exception` sees.
_LONGEST_KEY = 1024


class ObjectStatus(NamedTuple):
    """What is known of an object, under the names that `os.stat` has for files."""

    st_size: int
    st_mtime_ns: int
    """Below 0, and made of its ETag and version: objects are not told apart by time, which has seconds."""
    e_tag: str


class ObjectPath(PurePosixPath):
    """The path of an object, or of all that begin with it and a slash: `s3://bucket/key`.

    Its parts are `s3:`, the bucket and the names between the slashes of the key, so that objects lie in each
    other as files do in folders. Copies of it know what a listing said of the object.
    """

    _listed: ObjectStatus | None = None
    _reading: Future[bytes] | None = None

    def __str__(self) -> str:
        text = super().__str__()
        scheme, parted, rest = text.partition(":/")
        return f"{scheme}://{rest}" if parted and scheme in OBJECT_SCHEMES else text

    def __reduce__(self) -> tuple[Any, ...]:
        """What was listed of it goes to other processes, too."""
        return _restored, (self.parts, self._listed)

    @property
    def scheme(self) -> str:
        """The kind of its store: s3, gs or az."""
        return self.parts[0].removesuffix(":")

    @property
    def key(self) -> str:
        """The key of the object; empty of the whole bucket."""
        return "/".join(self.parts[2:])

    def as_uri(self) -> str:
        """Return the URI, percent-encoded, as records have it."""
        return object_uri(str(self))

    def check(self) -> None:
        """Refuse, before any work, what can never be read here: see `buckets.Bucket`."""
        _bucket(self)

    def listed(self, status: ObjectStatus) -> ObjectPath:
        """Return the same path, which knows what was listed of its object."""
        same = ObjectPath(self)
        same._listed = status
        return same

    @property
    def empty(self) -> bool:
        """Whether it was listed with no bytes; what was not listed is not asked for."""
        return self._listed is not None and not self._listed.st_size

    def stat(self) -> ObjectStatus:
        """Return what was listed of the object, or what the server says now.

        Raises:
            OSError: it is not there, or may not be looked at.
            SourceError: the server does not answer, or refuses everything.
        """
        return self._listed or status_of(_bucket(self).head(self.key))

    def exists(self) -> bool:
        """Ask whether there is an object of this name now; what may not be looked at is there."""
        try:
            _bucket(self).head(self.key)
        except FileNotFoundError:
            return False
        except PermissionError:
            return True
        return True

    def is_file(self) -> bool:
        """Tell whether it is an object."""
        return bool(self.key) and (self._listed is not None or self.exists())

    def is_dir(self) -> bool:
        """Tell whether there are objects below it."""
        return self._listed is None and any(_bucket(self).pages(self.key))

    def content(self, most: int = _MOST) -> Content:
        """Read the object, with the status that belongs to these very bytes.

        Args:
            most: bytes that are taken.

        Raises:
            UnusableImage: it has more bytes.
            OSError: it is not there, or may not be read.
            SourceError: the server does not answer, or refuses everything.
        """
        data, meta = _bucket(self).get(self.key, most)
        # Some servers say the version when an object is read, and not when it is listed.
        status = status_of(meta._replace(version=""))
        if self._listed is not None and (self._listed.e_tag, self._listed.st_size) == (meta.e_tag, meta.size):
            status = self._listed
        return Content(data, Status(status.st_size, status.st_mtime_ns))

    def begin_reading(self, pool: ThreadPoolExecutor) -> None:
        """Let a thread read the object, for the next `read_bytes`."""
        self._reading = pool.submit(lambda: self.content().data)

    def read_bytes(self) -> bytes:
        """Read the object, or give what was read ahead of it: see `read_ahead`."""
        reading, self._reading = self._reading, None
        return self.content().data if reading is None else reading.result()

    def read_text(self, encoding: str, errors: str = "strict") -> str:
        """Read the object as text."""
        return self.read_bytes().decode(encoding, errors)

    def open(self, mode: str) -> io.BufferedReader:
        """Open the object, to be read as far as is asked for; `mode` is `rb`.

        Raises:
            OSError: it is not there, or may not be read; also when it is read, or if it changes meanwhile.
            SourceError: the server does not answer, or refuses everything.
        """
        if mode != "rb":
            raise ValueError("objects are only read")
        return io.BufferedReader(ObjectFile(self), _PART)


class ObjectFile(io.RawIOBase):
    """An object that is open, read part by part as it was when it was opened."""

    def __init__(self, path: ObjectPath) -> None:
        """Ask what it is.

        Raises:
            OSError: it is not there, or may not be looked at.
            SourceError: the server does not answer, or refuses everything.
        """
        super().__init__()
        self.status = status_of(_bucket(path).head(path.key)._replace(version=""))
        self._path = path
        self._at = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.status.st_size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer as much as it takes, or as there is."""
        end = min(self._at + len(buffer), self.status.st_size)
        if self._at >= end:
            return 0
        data, meta = _bucket(self._path).part(self._path.key, self._at, end)
        if (meta.size, meta.e_tag) != (self.status.st_size, self.status.e_tag):
            raise OSError(errno.ESTALE, "the object was changed while it was read")
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


Location: TypeAlias = Path | ObjectPath
"""A file on this machine or an object, or a folder of either."""


def _restored(parts: Sequence[str], listed: ObjectStatus | None) -> ObjectPath:
    path = ObjectPath(*parts)
    return path if listed is None else path.listed(listed)


def is_object(text: str) -> bool:
    """Tell whether a path names objects: `s3://…`, `gs://…` or `az://…`."""
    scheme, parted, _ = text.partition("://")
    return bool(parted) and scheme in OBJECT_SCHEMES


def object_path(text: str) -> ObjectPath:
    """Return what `s3://bucket/key` names; the key stands there as it is, a slash at its end says nothing.

    Raises:
        InvalidArgument: there is no bucket, or the key is one that cannot be asked for.
    """
    scheme, _, rest = text.partition("://")
    bucket, *names = rest.removesuffix("/").split("/")
    if not bucket:
        raise InvalidArgument(f"{display(text)!r} names no bucket: write {scheme}://bucket/prefix")
    if not _BUCKET.fullmatch(bucket):
        raise InvalidArgument(
            f"{display(text)!r} names no bucket: they have letters from a to z, digits, dots, hyphens"
        )
    if not is_askable("/".join((bucket, *names))):
        raise InvalidArgument(f"{display(text)!r}: {UNASKABLE}")
    if len("/".join(names).encode("utf-8", "surrogatepass")) > _LONGEST_KEY:
        raise InvalidArgument(
            f"a key of more than {_LONGEST_KEY:,} bytes cannot be asked for: {rest[:60]!r}…"
        )
    return ObjectPath(f"{scheme}:/{'/'.join((bucket, *names))}")


def object_of(uri: str) -> ObjectPath | None:
    """Return the object that a URI names; None where it names something else, or none that can be."""
    text = object_text(uri)
    try:
        return None if text is None else object_path(text)
    except InvalidArgument:
        return None


def status_of(meta: ObjectMeta) -> ObjectStatus:
    """Return the status of an object of which a server says this."""
    made_of = f"{meta.e_tag}\0{meta.version}".encode("utf-8", "surrogatepass")
    number = int.from_bytes(hashlib.sha256(made_of).digest()[:8]) >> 1
    return ObjectStatus(meta.size, -1 - number, meta.e_tag)


def list_objects(
    root: ObjectPath, after: ObjectPath | None = None, *, skip: Callable[[str], None] | None = None
) -> Iterator[list[ObjectPath]]:
    """List the objects below a path, a page at a time; each knows what was listed of it.

    Args:
        root: of the objects.
        after: only those whose keys come after this one's, to go on after a page.
        skip: told of objects that cannot be asked for; None: there may be none.

    Raises:
        SourceError: they cannot be listed.
    """
    bucket = ObjectPath(f"{root.parts[0]}/{root.parts[1]}")
    for page in _bucket(root).pages(root.key, None if after is None else after.key):
        paths = []
        for meta in page:
            if not meta.key or is_askable(meta.key):
                paths.append((bucket / meta.key).listed(status_of(meta)))
            elif skip is None:
                raise UnaskableKey(str(bucket), f"an object is called {meta.key!r}: {UNASKABLE}")
            else:
                skip(f"{bucket}/{meta.key}")
        yield paths


def list_level(folder: ObjectPath) -> tuple[list[str], list[str]]:
    """Return the names of the folders and of the objects directly below a path, those that can be asked for.

    Raises:
        SourceError: they cannot be listed.
    """
    folders, keys = _bucket(folder).level(folder.key)
    names = [[key.rpartition("/")[2] for key in some if is_askable(key)] for some in (folders, keys)]
    return names[0], names[1]


def read_ahead(paths: Iterable[Location]) -> Iterator[Location]:
    """Yield paths in order; objects among them are being read before they are asked for: a few at a time."""
    waiting: deque[Location] = deque()
    with ThreadPoolExecutor(_AHEAD, thread_name_prefix="ahead") as pool:
        for path in paths:
            if isinstance(path, ObjectPath):
                path.begin_reading(pool)
            waiting.append(path)
            if len(waiting) > 2 * _AHEAD:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()


class ObjectSource:
    """The objects below a path, as a source."""

    def __init__(self, root: ObjectPath) -> None:
        self._root = root

    def pages(self) -> Iterator[Sequence[Entry]]:
        """List them."""
        for page in list_objects(self._root):
            yield [Entry(path.as_uri(), Status(*path.stat()[:2])) for path in page]

    def stat(self, uri: str) -> Status:
        """Ask for one."""
        return Status(*self._path(uri).stat()[:2])

    def read(self, uri: str, most: int) -> Content:
        """Read one."""
        return self._path(uri).content(most)

    def sign(self, uri: str, seconds: int) -> str | None:
        """Return a URL by which anybody may read one, signed with our keys."""
        path = self._path(uri)
        return _bucket(path).sign(path.key, seconds)

    def _path(self, uri: str) -> ObjectPath:
        path = object_of(uri)
        if path is None or not path.key or not path.is_relative_to(self._root):
            raise FileNotFoundError(f"{display(uri)} is not below {display(str(self._root))}")
        return path


def _bucket(path: ObjectPath) -> Bucket:
    if len(path.parts) < 2:
        raise InvalidArgument(f"{display(str(path))!r} names no bucket")
    return Bucket(path.scheme, path.parts[1])
