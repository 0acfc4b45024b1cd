"""Routes of models, and the public names of those served.

A model is served because a collection was made by it, or because the settings name it; never because a client
does.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter

from lookalike.embedders.protocol import Described
from lookalike.embedders.ranged import split_name
from lookalike.embedders.registry import cards
from lookalike.errors import LookalikeError
from lookalike.file_names import display
from lookalike.schemas.embeddings import Model, Models, OpenAIProblem
from lookalike.server.http.problems import Refused
from lookalike.server.service import InjectedService, Service

if TYPE_CHECKING:
    from collections.abc import Iterable

router = APIRouter(tags=["embeddings"], responses={"default": {"model": OpenAIProblem}})

_ONNX = "onnx:"


class ModelNotServed(Refused):
    """A model that is not among those served, or a name that several of them have."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        """Say which there are.

        Args:
            name: that was asked for.
            known: those that are served.
        """
        have = ", ".join(sorted(known))
        there = f"those served are {have}" if have else "there is none, for no collection is served"
        super().__init__(404, f"no model {display(name)[:200]!r} is served: {there}")


@router.get("/v1/models")
async def models(service: InjectedService) -> Models:
    """List the models that may be asked for embeddings."""
    return await service.store_pool.run(
        lambda: Models(data=[_described(service, *each) for each in callable_models(service).items()])
    )


@router.get("/v1/embedders")
async def embedders(service: InjectedService) -> Models:
    """List the models that a new collection may be made by: those of lookalike itself, and those served."""

    def describe() -> Models:
        own = [
            Model(
                id=card.name,
                dimension=card.dimension,
                capabilities=list(card.capabilities),
                licence=card.licence,
                summary=card.summary,
            )
            for card in cards().values()
        ]
        others = served_models(service).items()
        return Models(data=[*own, *(_described(service, *each) for each in others if each[0] not in cards())])

    return await service.store_pool.run(describe)


@router.get("/v1/models/{model:path}")
async def model(model: str, service: InjectedService) -> Model:
    """Describe a model."""

    def describe() -> Model:
        public, name = served_model(service, model)
        return _described(service, public, name)

    return await service.store_pool.run(describe)


def served_models(service: Service) -> dict[str, str]:
    """Return the models that may be asked, names for clients → names that open them; blocks."""
    named = [_absolute(name) for name in service.settings.models]
    named += [_absolute(name) for _, name in service.settings.aliases]
    made_by = [vector.space.embedder for each in service.served() for vector in each.vectors]
    return public_names([*made_by, *named])


def callable_models(service: Service) -> dict[str, str]:
    """Return the models that may be asked under all their names, aliases last; blocks."""
    aliases = {alias: _absolute(name) for alias, name in service.settings.aliases}
    return {**served_models(service), **aliases}


def served_model(service: Service, asked: str) -> tuple[str, str]:
    """Return the name for clients and the name that opens a model; blocks.

    Args:
        service: that is asked.
        asked: a model's name or alias; of an ONNX model, as much of the end of its path as tells it from
            others.

    Raises:
        ModelNotServed: none is called so, or several.
    """
    for alias, name in service.settings.aliases:
        if asked == alias:
            return alias, _absolute(name)
    known = served_models(service)
    found = [(public, name) for public, name in known.items() if asked in _endings(name)]
    if len(found) != 1:
        raise ModelNotServed(asked, callable_models(service))
    return found[0]


def usable_model(service: Service, asked: str) -> str:
    """Return the name that opens a model which a client may have vectors made by; blocks.

    Args:
        service: that is asked.
        asked: one that is part of lookalike, or that is served.

    Raises:
        ModelNotServed: it is neither.
    """
    return asked if split_name(asked)[0] in cards() else served_model(service, asked)[1]


def shown_model(service: Service, name: str) -> str:
    """Return the name for clients of a model that a collection was made by; blocks."""
    if not name.startswith(_ONNX):
        return name
    found = [public for public, other in served_models(service).items() if other == name]
    return found[0] if found else _endings(name)[0]


def public_names(names: Iterable[str]) -> dict[str, str]:
    """Return names for clients → names that open models.

    They are the same, but for ONNX models: where those lie on this machine is nobody else's business, and the
    end of the path that tells one from the others is enough.
    """
    endings = {name: _endings(name) for name in names}
    counts = Counter(each for tails in endings.values() for each in tails)
    return {next(each for each in tails if counts[each] == 1): name for name, tails in endings.items()}


def _endings(name: str) -> list[str]:
    """Return what a model may be called: its name; of an ONNX model every end of its path, shortest first."""
    if not name.startswith(_ONNX):
        return [name]
    parts = name.removeprefix(_ONNX).split("/")
    return [_ONNX + "/".join(parts[-count:]) for count in range(1, len(parts) + 1)]


def _absolute(name: str) -> str:
    """Return a model's name as its embedder has it: an ONNX model's with an absolute path."""
    if not name.startswith(_ONNX):
        return name
    path = os.path.expanduser(name.removeprefix(_ONNX))  # noqa: PTH111 without a home folder: as it is
    return f"{_ONNX}{Path(path).resolve()}"


def _described(service: Service, public: str, name: str) -> Model:
    try:
        embedder = service.database.embedder(name)
    except LookalikeError as error:
        # Its text may say where on this machine something is missing.
        return Model(id=public, problem=type(error).__name__)
    card = embedder.card if isinstance(embedder, Described) else None
    return Model(
        id=public,
        dimension=embedder.dimension,
        capabilities=[] if card is None else list(card.capabilities),
        licence=None if card is None else card.licence,
        summary=None if card is None else card.summary,
        fingerprint=embedder.fingerprint,
    )
