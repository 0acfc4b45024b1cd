"""Stores and embedders of other packages, which name them by entry points.

A package that brings a store or an embedder says so in its `pyproject.toml`:

    [project.entry-points."lookalike.stores"]
    toy = "toy_store:ToyBackend"

    [project.entry-points."lookalike.embedders"]
    toy = "toy_embedder:open_toy"

The first is called for the URLs whose scheme is `toy`, the second for the models whose names begin with
`toy:`. What is part of lookalike goes before what has the same name elsewhere.
"""

from __future__ import annotations

from importlib import metadata
from typing import Any

from lookalike.errors import PluginFailed

STORES = "lookalike.stores"
"""Entry points by scheme of the URL, called with url and timeout: they return a `stores.backend.Backend`."""

EMBEDDERS = "lookalike.embedders"
"""Entry points by the word before the colon of a model's name, called as `embedders.registry.OpenModel`."""


def plugin_names(group: str) -> list[str]:
    """Return the names of a group's entry points in all installed packages, sorted; none is imported."""
    return sorted({point.name for point in metadata.entry_points(group=group)})


def load_plugin(group: str, name: str) -> Any:
    """Import what an entry point names; None where no installed package has one of that name.

    Args:
        group: `STORES` or `EMBEDDERS`.
        name: of the entry point.

    Raises:
        PluginFailed: it cannot be imported, cannot be called, or several packages have one of that name.
    """
    points = tuple(metadata.entry_points(group=group, name=name))
    if not points:
        return None
    # Of a folder that is in the path twice the same package comes twice.
    packages = sorted({point.dist.name if point.dist else "an unknown package" for point in points})
    if len(packages) > 1:
        raise PluginFailed(group, name, " and ".join(packages), "they both have it: uninstall one of them")
    try:
        loaded = points[0].load()
    except Exception as error:  # any: it is a stranger's code
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise PluginFailed(
            group, name, packages[0], f"its import of {points[0].value} fails ({reason})"
        ) from error
    if not callable(loaded):
        raise PluginFailed(group, name, packages[0], f"{points[0].value} cannot be called")
    return loaded
