"""The registry of embedders: opens each by its name."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lookalike.embedders.protocol import Card, Described, Device, Embedder
from lookalike.embedders.ranged import split_name, with_range
from lookalike.errors import InvalidArgument, ModelNotFound
from lookalike.images.levels import AUTO
from lookalike.plugins import EMBEDDERS, load_plugin, plugin_names

if TYPE_CHECKING:
    from collections.abc import Callable

FAMILIES = {
    "onnx": "onnx:PATH",
    "timm": "timm:NAME",
    "timm-inspect": "timm-inspect:NAME",
    "open_clip": "open_clip:ARCH/TAG",
    "sentence-transformers": "sentence-transformers:NAME[+TEXTNAME]",
}
"""How the names of other models begin, and how they are written."""


class OpenModel(Protocol):
    """What a package that brings models names as its entry point: see `plugins`."""

    def __call__(self, name: str, cache: Path, *, weights: Path | None, device: Device) -> Embedder:
        """Open a model; a `TextEmbedder` where it reads texts.

        Args:
            name: all of it: what it is called with in `--model`, and what the embedder is to give as its own.
            cache: the user's cache folder.
            weights: a folder with the weights, where the user named one.
            device: where it runs.
        """
        ...


def families() -> dict[str, str]:
    """Return how names of models begin, and how they are written, those of other packages included."""
    return {name: f"{name}:NAME" for name in plugin_names(EMBEDDERS)} | FAMILIES


def cards() -> dict[str, Card]:
    """Return the card of every embedder that is part of lookalike, by name."""
    from lookalike.embedders.builtin import efficientnet_lite, efficientnet_lite_inspect

    inspect = efficientnet_lite_inspect
    return {card.name: card for card in (efficientnet_lite.CARD, inspect.CARD, inspect.CARD_3_SCALES)}


def known_cards(cache: Path) -> dict[str, Card]:
    """Return the cards of the embedders that are part of lookalike and of well-known ones, by name.

    Nothing is fetched to find out what is here.

    Args:
        cache: the user's cache folder, which knows how fast models were on this machine.
    """
    from dataclasses import replace

    from lookalike.embedders.catalogue import catalogue
    from lookalike.embedders.speeds import known_speeds

    speeds = known_speeds(cache)
    found = [*cards().values(), *catalogue(cache)]
    return {card.name: replace(card, images_per_second=speeds.get(card.name)) for card in found}


def groups_of(embedder: Embedder) -> tuple[slice, ...]:
    """Return the ranges of columns that belong together in the features of an embedder; empty: all do."""
    return embedder.card.groups if isinstance(embedder, Described) else ()


def open_embedder(
    name: str,
    cache: Path,
    *,
    weights: Path | None = None,
    device: Device = "auto",
    download: bool = False,
) -> Embedder:
    """Open the embedder called `name`.

    Args:
        name: a key of `cards()`, or a name as `families` has them; `@` and a range behind it, `full` or
            LOW:HIGH, says how pictures of more than 8 bits are decoded for it.
        cache: the user's cache folder, where graphs that are built once are kept.
        weights: a folder with the weights, laid out as in the hub's repository; None: the hub's cache.
        device: where it runs.
        download: whether weights that are not on this machine may be fetched from the hub.

    Returns:
        A `TextEmbedder` too where the model reads texts.

    Raises:
        ModelNotFound: nothing is registered under that name.
        PathNotFound: there is no such ONNX model.
        InvalidArgument: the name, the device or the weights folder does not fit the model.
        ExtraMissing: the packages that run it are not installed.
        WeightsMissing: its weights are not here.
        WeightsInvalid: its weights are not the ones they should be.
        PluginFailed: the model is another package's, and that cannot be loaded.
    """
    plain, levels = split_name(name)
    if levels != AUTO:
        opened = open_embedder(plain, cache, weights=weights, device=device, download=download)
        return with_range(opened, levels)
    family, colon, rest = name.partition(":")
    if colon and family in FAMILIES:
        if not rest:
            raise InvalidArgument(f"model {name!r}: write {FAMILIES[family]}")
        return _open_family(family, rest, cache, weights, device, download=download)
    open_model: OpenModel | None = load_plugin(EMBEDDERS, family) if colon else None
    if open_model is not None:
        return open_model(name, cache, weights=weights, device=device)
    from lookalike.embedders.builtin.efficientnet_lite import EfficientNetLite0
    from lookalike.embedders.builtin.efficientnet_lite_inspect import (
        INSPECT_NAMES,
        EfficientNetLite0Inspect,
    )

    openers: dict[str, Callable[[Path, Device], Embedder]] = {
        EfficientNetLite0.name: EfficientNetLite0,
        **{each: partial(EfficientNetLite0Inspect, name=each) for each in INSPECT_NAMES},
    }
    if name not in openers:
        raise ModelNotFound(name, [*openers, *families().values()])
    if weights is not None:
        raise InvalidArgument(f"{name} carries its weights; --weights is for models of the hub")
    return openers[name](cache, device)


def _open_family(
    family: str, rest: str, cache: Path, weights: Path | None, device: Device, *, download: bool
) -> Embedder:
    """Open a model by the family its name begins with; the library of each is imported only here."""
    if family == "onnx":
        from lookalike.embedders.onnx.embedder import open_onnx

        if weights is not None:
            raise InvalidArgument("onnx:PATH names its weights itself; --weights is for models of the hub")
        return open_onnx(Path(os.path.expanduser(rest)), cache, device)  # noqa: PTH111 without a home: as it is
    from lookalike.embedders.torch.hub import Hub

    hub = Hub(f"{family}:{rest}", cache, weights, download=download)
    if family == "open_clip":
        from lookalike.embedders.torch.open_clip_models import open_open_clip

        return open_open_clip(rest, hub, cache, device)
    if family == "sentence-transformers":
        from lookalike.embedders.torch.sentence_transformers_models import open_sentence_transformers

        return open_sentence_transformers(rest, hub, cache, device)
    from lookalike.embedders.torch.timm_models import open_timm

    return open_timm(rest, hub, cache, device, inspect=family == "timm-inspect")
