"""Locks by which one process at a time does a work on a collection, in a folder that processes share."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lookalike.errors import StoreBusy
from lookalike.stores.checks import same_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lookalike.stores.store import Store


@contextmanager
def only_one(store: Store, name: str, work: str, locks: Path, *, wait: float = 0) -> Iterator[None]:
    """Keep two that do one work on a collection apart; the lock goes with its process, whatever ends it.

    A folder that cannot be written keeps nobody from working.

    Args:
        store: where the collection lives.
        name: the collection.
        work: what is done, in one word of a-z.
        locks: the folder, made if it is missing.
        wait: seconds to wait for another to end.

    Raises:
        StoreBusy: another process, or thread, has it.
    """
    from filelock import FileLock, Timeout

    key = hashlib.sha256(f"{store.url}\n{same_name(name)}".encode()).hexdigest()[:32]
    lock = FileLock(locks / f"{work}-{key}.lock", thread_local=False)
    try:
        locks.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=wait)
    except Timeout as error:
        raise StoreBusy(
            store.url, f"another {work} of {name!r} is running; try again when it has ended"
        ) from error
    except OSError:
        yield
        return
    try:
        yield
    finally:
        lock.release()
