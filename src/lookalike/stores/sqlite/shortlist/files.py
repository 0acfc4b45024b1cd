"""Shortlists in files beside the database: caches, whole or not there, made again when they are not right.

`parts.db.shortlist/` has one file a shortlist, under the token that the database knows it by. A file is
written under another name first and then renamed, so that nobody reads half of one, and nobody waits to read.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock, Timeout

from lookalike.checksums import parts_checksum
from lookalike.output_files import replace_file
from lookalike.stores.sqlite.shortlist.compressed import Shortlist, engine

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_FORMAT = "lookalike shortlist 3"
_END = ".cache"


@dataclass(frozen=True, slots=True)
class Moment:
    """The state of a vector that a shortlist shows."""

    revision: int
    mark: int | None
    """Of the last change to a vector until then; None where there was none since the shortlist was built."""


class SqliteShortlistFiles:
    """The folder of shortlists beside a database."""

    def __init__(self, database: Path) -> None:
        self.folder = database.with_name(database.name + ".shortlist")

    def read(self, token: str, dimension: int) -> tuple[Shortlist, Moment] | None:
        """Return a shortlist and the state it shows; None where there is no file, or not a sound one.

        Raises:
            ExtraMissing: the package that reads it is not installed.
        """
        made_by = engine()
        try:
            with (self.folder / (token + _END)).open("rb") as file:
                head = json.loads(file.readline(4096))
                sizes = head["sizes"]
                if sum(sizes) != os.fstat(file.fileno()).st_size - file.tell():
                    return None
                parts = [np.empty(size, np.uint8) for size in sizes]
                for part in parts:
                    file.readinto(part.data)
            wanted = {"format": _FORMAT, "engine": made_by, "token": token, "dimension": dimension}
            if {name: head.get(name) for name in wanted} != wanted:
                return None
            moment = Moment(head["revision"], head["mark"])
            if head["checksum"] != _checksum(moment, [part.data for part in parts]):
                return None
            return Shortlist.from_parts(parts), moment
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write(self, token: str, dimension: int, shortlist: Shortlist, moment: Moment) -> None:
        """Write a shortlist, or replace it.

        Raises:
            OSError: it cannot be written; nothing of it is left.
        """
        self.folder.mkdir(exist_ok=True)
        parts = shortlist.to_parts()
        head = {
            "format": _FORMAT,
            "engine": engine(),
            "token": token,
            "dimension": dimension,
            **asdict(moment),
            "sizes": [part.nbytes for part in parts],
            "checksum": _checksum(moment, parts),
        }
        replace_file(self.folder / (token + _END), json.dumps(head).encode() + b"\n", *parts, mode=0o600)

    def keep_only(self, tokens: set[str]) -> None:
        """Remove what is none of these: shortlists that were replaced, and what a kill left of writing one.

        To be called by who has the lock.
        """
        with suppress(OSError):
            for path in self.folder.iterdir():
                if path.suffix in (_END, ".part") and path.name.removesuffix(_END) not in tokens:
                    path.unlink(missing_ok=True)

    def remove(self, token: str) -> None:
        """Remove a shortlist, if it is there."""
        with suppress(OSError):
            (self.folder / (token + _END)).unlink()

    @contextmanager
    def locked(self, timeout: float) -> Iterator[bool]:
        """Keep others from writing here meanwhile; the lock goes with its process.

        Args:
            timeout: seconds to wait for another process, or thread.

        Yields:
            False where another kept it. True also where there can be no lock: a folder that cannot be written
            says so when it is written to, and elsewhere files are renamed whole all the same.
        """
        lock = FileLock(self.folder / "lock", thread_local=False)
        try:
            self.folder.mkdir(exist_ok=True)
            lock.acquire(timeout=timeout)
        except Timeout:
            yield False
            return
        except OSError:
            yield True
            return
        try:
            yield True
        finally:
            lock.release()


def _checksum(moment: Moment, parts: Iterable[memoryview]) -> str:
    return parts_checksum([json.dumps(asdict(moment)).encode(), *parts])
