"""The examination of this machine: what of lookalike works here, and what to run where something does not."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from contextlib import closing
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from packaging.requirements import Requirement

from lookalike.embedders.registry import known_cards
from lookalike.errors import LookalikeError
from lookalike.file_names import display
from lookalike.stores.registry import open_store
from lookalike.stores.sqlite.address import file_path
from lookalike.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lookalike.embedders.protocol import Card
    from lookalike.stores.store import Store

State = Literal["works", "not installed", "not there", "trouble"]
"""`trouble` is what was asked for and fails; the two others are what may be missed or not."""

# Below this much free space on a disk the next index or fit may fail: a hundred thousand vectors, roughly.
_LITTLE_SPACE = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Examined:
    """One thing that was looked at."""

    what: str
    state: State
    found: str
    """In words: versions, places, sizes, or why it fails."""
    todo: str = ""
    """What to run, where there is something to be done."""


def examine_machine(url: str, cache: Path, timeout: float) -> Iterator[Examined]:
    """Look at everything that lookalike stands on; nothing is fetched, and nothing written but a try.

    Args:
        url: of the store, as for `open_store`.
        cache: the user's cache folder.
        timeout: seconds to wait for the store.
    """
    yield Examined("lookalike", "works", f"{VERSION}, {Path(__file__).parents[1]}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Examined("Python", "works", f"{platform.python_version()}, {sys.executable}")
    yield Examined("machine", "works", f"{platform.system()} {platform.machine()}, cores: {cores}")
    yield _examine_runtime()
    yield _examine_cache(cache)
    known = known_cards(cache)
    yield from _examine_store(url, cache, timeout, known)
    here = ", ".join(name for name, card in known.items() if card.here)
    yield Examined("models", "works", f"on this machine: {here}", "lookalike models lists all")
    yield from _examine_extras()


def _examine_runtime() -> Examined:
    """Look at ONNX Runtime, and whether it can use a GPU."""
    try:
        from lookalike.embedders.onnx.runtime import runs_on_gpu, runtime_version
    except ImportError as error:
        return Examined("ONNX Runtime", "trouble", f"cannot be loaded: {error}", _again("onnxruntime"))
    where = "GPU (CUDA) and CPU" if runs_on_gpu() else "CPU; a GPU is used where onnxruntime-gpu is installed"
    return Examined("ONNX Runtime", "works", f"{runtime_version()}, on {where}")


def _again(package: str) -> str:
    return f"pip install --force-reinstall {package}"


def _examine_cache(cache: Path) -> Examined:
    """Look at the cache folder: whether it can be written to, and the space beside it."""
    todo = "name a folder with --cache or LOOKALIKE_CACHE"
    place = next((each for each in (cache, *cache.parents) if each.exists()), cache)
    if not (place.is_dir() and os.access(place, os.W_OK)):
        return Examined("cache", "trouble", f"{display(cache)} cannot be written to", todo)
    size = sum(each.stat().st_size for each in cache.rglob("*") if each.is_file()) if cache.is_dir() else 0
    return _with_space("cache", place, f"{display(cache)}, {_size(size)}", todo)


def _with_space(what: str, place: Path, found: str, todo: str) -> Examined:
    free = shutil.disk_usage(place).free
    said = f"{found}; {_size(free)} free on its disk"
    return Examined(what, "works", said) if free >= _LITTLE_SPACE else Examined(what, "trouble", said, todo)


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"


def _examine_store(url: str, cache: Path, timeout: float, known: Mapping[str, Card]) -> Iterator[Examined]:
    """Look at the store and at the models of its collections."""
    try:
        store = open_store(url, timeout, cache=cache)
    except LookalikeError as error:
        yield Examined("store", "trouble", str(error))
        return
    with closing(store):
        try:
            found = store.collections()
        except LookalikeError as error:
            yield Examined("store", "trouble", f"{store.url}: {error}")
            return
        yield _examine_place(store, sum(each.count for each in found), len(found))
        away = {name for name, card in known.items() if not card.here}
        for each in found:
            for name in sorted({vector.space.embedder for vector in each.vectors}):
                if name in away:
                    yield Examined(
                        f"collection {each.name}",
                        "trouble",
                        f"the weights of its model {name} are not on this machine",
                        f"lookalike index PATH --collection {each.name}, which fetches them",
                    )


def _examine_place(store: Store, images: int, collections: int) -> Examined:
    counted = f"collections: {collections:,}, images: {images:,}"
    said = f"{display(store.url)}, {counted}"
    if not store.url.startswith("sqlite:"):
        return Examined("store", "works", said)
    path = file_path(store.url)
    if not path.exists():
        return Examined("store", "not there", f"{display(store.url)}", "lookalike index PATH makes it")
    return _with_space("store", path.parent, said, "make room, or name another place with --store")


def _examine_extras() -> Iterator[Examined]:
    """Look at the packages of each extra, as the installed lookalike declares them."""
    try:
        own = metadata.metadata("lookalike")
    except metadata.PackageNotFoundError:
        yield Examined("extras", "trouble", "lookalike itself is not installed", "pip install lookalike")
        return
    needs = [Requirement(each) for each in own.get_all("Requires-Dist") or ()]
    for extra in sorted(own.get_all("Provides-Extra") or ()):
        if extra == "all":
            continue
        packages = sorted(_packages(needs, extra), key=lambda each: each.name)
        lacking = [each for each in packages if not _satisfied(each)]
        if lacking:
            said = f"lacks {', '.join(map(str, lacking))}"
            yield Examined(f"extra {extra}", "not installed", said, f"pip install 'lookalike[{extra}]'")
        else:
            said = ", ".join(f"{each.name} {metadata.version(each.name)}" for each in packages)
            yield Examined(f"extra {extra}", "works", said)


def _packages(needs: list[Requirement], extra: str) -> Iterator[Requirement]:
    """Return what an extra asks for, without its marker; extras that it is made of are followed."""
    for need in needs:
        if need.marker is None or not need.marker.evaluate({"extra": extra}):
            continue
        if need.marker.evaluate({"extra": ""}):
            continue
        if need.name == "lookalike":
            for each in need.extras:
                yield from _packages(needs, each)
        else:
            plain = Requirement(str(need))
            plain.marker = None
            yield plain


def _satisfied(need: Requirement) -> bool:
    try:
        return need.specifier.contains(metadata.version(need.name), prereleases=True)
    except metadata.PackageNotFoundError:
        return False
