"""The cache of ONNX graphs that are built from weights: built once, verified by checksum."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING

from filelock import FileLock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# A graph is built in a tenth of that; who waits longer builds their own, in memory.
_WAIT_S = 10.0


def built_once(path: Path, build: Callable[[], bytes]) -> bytes:
    """Return the content of `path`, which the first process to ask for it builds.

    A file that is damaged is built again. Where the folder cannot be written to, or is full, the content is
    built for this call alone.

    Args:
        path: a file that only this function writes. Its SHA-256 stands beside it, in `path` + ".sha256", in
            the format of sha256sum(1), and its lock in `path` + ".lock".
        build: makes the content; what it raises goes through.
    """
    if (content := _intact(path)) is not None:
        return content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock", timeout=_WAIT_S):
            if (content := _intact(path)) is None:
                content = build()
                _keep(path, content)
            return content
    except OSError:  # filelock.Timeout is one
        return content if content is not None else build()


def _intact(path: Path) -> bytes | None:
    try:
        digest = path.with_name(f"{path.name}.sha256").read_bytes()[:64]
        content = path.read_bytes()
    except OSError:
        return None
    return content if hashlib.sha256(content).hexdigest().encode() == digest else None


def _keep(path: Path, content: bytes) -> None:
    checksum = f"{hashlib.sha256(content).hexdigest()}  {path.name}\n".encode()
    # Only the holder of the lock writes, so that the name of the unfinished file can be a fixed one: what a
    # killed process left behind is overwritten. Between the two, the old checksum refuses the new content.
    part = path.with_name(f"{path.name}.part")
    try:
        for target, data in ((path, content), (path.with_name(f"{path.name}.sha256"), checksum)):
            part.write_bytes(data)
            part.replace(target)
    except OSError:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
