"""The integrity check of uploaded pictures: files without a record, records without a file."""

from __future__ import annotations

import os
import re
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lookalike.file_names import display
from lookalike.ingest.embedding import read_digest
from lookalike.integrity.finding import Finding
from lookalike.stores.checks import NAME_LENGTH
from lookalike.types import Skipped
from lookalike.uris import file_uri, local_path, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lookalike.stores.store import Store

UPLOAD = re.compile(r"[^/]+/([0-9a-f]{2})/(\1[0-9a-f]{62})\.[a-z0-9]{2,4}")
"""The path of an added picture below its folder: COLLECTION/ab/ab….jpg, named by the SHA-256 of its bytes."""

ABANDONED_SECONDS = 3600
"""Seconds after which a picture without a record, or a part of one, is nobody's any more: no request that is
being answered takes so long between its file and its record."""

# Characters from which the name of a collection may have been cut to that of a folder.
_CUT = NAME_LENGTH - 4


def check_uploads(
    store: Store, folder: Path, *, repair: bool = False, grace: float = ABANDONED_SECONDS
) -> tuple[list[Finding], int]:
    """Compare the uploaded pictures with the records of a store.

    Args:
        store: that the service works with.
        folder: what it was given as --uploads.
        repair: whether files without a record are removed. None is where records of the store are damaged,
            as one of these may be its record; nor where no record of the store lies in the folder, or no
            collection of it has the name, as it may be that of another store.
        grace: seconds for which a file waits for its record: a service may be running.

    Returns:
        What was found, and how many pictures were looked at.

    Raises:
        StoreError: as the store says.
    """
    folder = Path(os.path.realpath(folder))
    owners = _owners(store, folder)
    findings: list[Finding] = []
    hold = ""
    if store.damage.found():
        hold = "records of the store are damaged: mend these first"
    elif not owners:
        hold = "no record of the store lies in this folder: is it that of another store?"
    names = {each.name for each in store.collections()}
    read = 0
    there: set[Path] = set()
    for path in _files(folder):
        match = UPLOAD.fullmatch(path.relative_to(folder).as_posix())
        if match is None:
            if path.name.startswith(".") and path.name.endswith(".part") and _is_old(path, grace):
                findings.append(_orphan(store, path, "a part of a picture", repair, "", grace))
            continue
        read += 1
        there.add(path)
        owner = owners.get(path)
        if owner is None:
            if _is_old(path, grace):
                name = path.relative_to(folder).parts[0]
                # A long name is cut by the service.
                known = any(each == name or (each.startswith(name) and len(name) > _CUT) for each in names)
                other = "" if known else f"no collection {display(name)!r} in the store: another store's?"
                findings.append(
                    _orphan(store, path, "a picture without a record", repair, hold or other, grace)
                )
            continue
        digest = read_digest(path)
        if not isinstance(digest, Skipped) and digest != match[2]:
            said = "the picture is not the one that was added: its SHA-256 differs from its name"
            todo = "add it again, or remove it over HTTP"
            findings.append(Finding(str(folder), said, *owner, str(path), todo=todo))
    for path, owner in owners.items():
        if path not in there and not path.exists():
            todo = f"add it again, or `lookalike delete {owner[0]} {owner[1]}`"
            findings.append(
                Finding(str(folder), "a record whose picture is gone", *owner, str(path), todo=todo)
            )
    return findings, read


def _owners(store: Store, folder: Path) -> dict[Path, tuple[str, str]]:
    """Return collection and id of the records whose file lies in the folder."""
    owners: dict[Path, tuple[str, str]] = {}
    for collection in store.collections():
        for uri, stamp in store.scan_stamps(collection.name):
            path = local_path(uri)
            if path is not None and path.is_relative_to(folder):
                owners.setdefault(path, (collection.name, stamp.id))
    return owners


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(place, name)
            if not path.is_symlink():
                yield path


def _is_old(path: Path, grace: float) -> bool:
    try:
        return time.time() - path.stat().st_mtime > grace
    except OSError:  # gone meanwhile
        return False


def _orphan(store: Store, path: Path, what: str, repair: bool, hold: str, grace: float) -> Finding:
    """Return a finding about a file of nobody, which is removed where it is to be repaired."""
    if not repair or hold:
        return Finding(str(path), what, todo=hold or "`lookalike check --repair` removes it")
    # Looked at again: a request may have brought its record meanwhile, or may be about to.
    identity = record_id(file_uri(path))
    if any(store.get(each.name, [identity]) for each in store.collections()) or not _is_old(path, grace):
        return Finding(str(path), f"{what}, until a moment ago", mended=True)
    # Out of the way first: what a service looks for from now on it writes anew, and what it found before then
    # has been touched (`UploadFolder.keep`).
    aside = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}.part")
    try:
        path.rename(aside)
        if not _is_old(aside, grace):
            aside.rename(path)
            return Finding(str(path), f"{what}, until a moment ago", mended=True)
        aside.unlink()
    except FileNotFoundError:  # somebody was faster
        pass
    except OSError as error:
        return Finding(str(path), what, todo=f"it cannot be removed: {error.strerror}")
    return Finding(str(path), what, mended=True)
