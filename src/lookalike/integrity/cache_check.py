"""The integrity check of the cache folder: features, judgements, and what is built of models."""

from __future__ import annotations

import hashlib
import sqlite3
import zipfile
from contextlib import closing
from typing import TYPE_CHECKING

from lookalike.embedders.feature_cache import VERSION, sound_features
from lookalike.integrity.finding import Finding
from lookalike.uris import file_uri

if TYPE_CHECKING:
    from pathlib import Path

_SECONDS = 10.0
_AGAIN = "`lookalike check --repair` removes it, and it is made again when it is needed"


def check_cache(cache: Path, *, repair: bool = False) -> tuple[list[Finding], int]:
    """Verify what is kept in the cache folder.

    Args:
        cache: the user's cache folder, which need not be there.
        repair: whether what is damaged is removed; all of it is made again when it is needed.

    Returns:
        What was found, and how many features were read.
    """
    findings: list[Finding] = []
    read = 0
    for path in sorted((cache / "features").glob("*.db")):
        found, count = _check_features(path, repair)
        findings += found
        read += count
    for path in sorted((cache / "judgements").glob("*.npz")):
        if not _whole_archive(path):
            findings.append(_removed([path], "a kept judgement is damaged", repair))
    for summed in sorted(cache.rglob("*.sha256")):
        path = summed.with_suffix("")
        if path.is_file() and not _as_summed(path, summed):
            findings.append(_removed([path, summed], "its SHA-256 is not the one beside it", repair))
    return findings, read


def _check_features(path: Path, repair: bool) -> tuple[list[Finding], int]:
    bad: list[object] = []
    read = 0
    try:
        # Not immutable: others may be writing, and what they have written is in the log.
        source = f"{file_uri(path.absolute())}?mode=ro"
        with closing(sqlite3.connect(source, uri=True, timeout=_SECONDS)) as db:
            if db.execute("PRAGMA user_version").fetchone() != (VERSION,):
                return [], 0  # of another version: made anew when it is next opened
            _quick_check(db)
            for digest, checksum, numbers in db.execute("SELECT digest, checksum, numbers FROM features"):
                read += 1
                if not sound_features(path.stem, str(digest), checksum, numbers):
                    bad.append(digest)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return [Finding(str(path), f"cannot be read: {error}", todo="try again later")], read
        return [_removed(_with_log(path), f"its features do not read: {error}", repair)], read
    except sqlite3.DatabaseError as error:
        return [_removed(_with_log(path), f"its features do not read: {error}", repair)], read
    if not bad:
        return [], read
    said = f"{len(bad):,} of the features of {read:,} images are not what was kept"
    if not repair:
        todo = "`lookalike check --repair` removes them, and they are computed again when they are needed"
        return [Finding(str(path), said, todo=todo)], read
    try:
        with closing(sqlite3.connect(path, timeout=_SECONDS)) as db, db:
            db.executemany("DELETE FROM features WHERE digest IS ?", ((digest,) for digest in bad))
    except sqlite3.Error as error:
        return [Finding(str(path), said, todo=f"they cannot be removed: {error}")], read
    return [Finding(str(path), said, mended=True)], read


def _quick_check(connection: sqlite3.Connection) -> None:
    """Look at every page of a database.

    Raises:
        sqlite3.DatabaseError: one is damaged.
    """
    ((said, *_), *_) = connection.execute("PRAGMA quick_check(1)").fetchall()
    if said != "ok":
        raise sqlite3.DatabaseError(said)


def _removed(paths: list[Path], said: str, repair: bool) -> Finding:
    """Return a finding about files that are removed where they are to be repaired."""
    if not repair:
        return Finding(str(paths[0]), said, todo=_AGAIN)
    try:
        for path in paths:
            path.unlink(missing_ok=True)
    except OSError as error:
        return Finding(str(paths[0]), said, todo=f"it cannot be removed: {error.strerror}")
    return Finding(str(paths[0]), said, mended=True)


def _with_log(path: Path) -> list[Path]:
    return [path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))]


def _whole_archive(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except FileNotFoundError:  # removed meanwhile
        return True
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError, EOFError):
        return False


def _as_summed(path: Path, summed: Path) -> bool:
    try:
        wanted = summed.read_bytes()[:64]
        return hashlib.sha256(path.read_bytes()).hexdigest().encode() == wanted
    except OSError:
        return True
