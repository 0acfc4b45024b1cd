"""Export of a torch model as an ONNX folder that needs no torch; both must give the same vectors."""

from __future__ import annotations

import importlib.util
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from lookalike.embedders.onnx.card import CARD_NAME
from lookalike.embedders.onnx.embedder import open_onnx
from lookalike.embedders.protocol import TextEmbedder
from lookalike.embedders.torch.networks import TorchEmbedder, write_graph
from lookalike.errors import InvalidArgument, WeightsInvalid
from lookalike.output_files import check_new_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lookalike.embedders.protocol import Embedder
    from lookalike.embedders.torch.network_description import Network, Texts
    from lookalike.types import Features

AGREEMENT = 1e-4
"""How far a number of a vector of length 1 may be off, and a cosine similarity below 1."""

SENTENCES = (
    "a photo of a cat",
    "Two dogs, running on the beach!",
    "눈 덮인 산",
    "ein rotes Auto bei Nacht",
    "it's 3.5 km (or so) — isn't it?",
    "a",
    "weld " * 200,
)
"""Texts that the text side is checked with: of several scripts, with signs, and longer than any context."""


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written, and how well it agrees with the model it came from."""

    folder: Path
    photographs: int
    sentences: int
    """0 where the model has no text side, or one that could not be written."""
    difference: float
    """The largest difference of a number, of vectors of length 1."""
    similarity: float
    """The smallest cosine similarity of two vectors of the same image or text."""
    size: int
    """Bytes in all files."""
    left_out: str | None
    """Why the text side was not written; None where nothing is missing."""


def export(
    embedder: Embedder, folder: Path, cache: Path, photographs: Sequence[Image.Image] = ()
) -> ExportReport:
    """Write a torch model as an ONNX folder, for `onnx:FOLDER`.

    Args:
        embedder: a torch model on the CPU.
        folder: where to; it must not exist, or be empty. It appears when all is written and checked.
        cache: the user's cache folder.
        photographs: pictures to compare both with, of mode RGB; none: those of `sample_photographs`.

    Raises:
        InvalidArgument: no torch model, or something is in the folder.
        WeightsInvalid: torch cannot write the model, or what it wrote gives other vectors.
    """
    if not isinstance(embedder, TorchEmbedder):
        raise InvalidArgument(f"{embedder.name} needs no export: it runs without torch")
    check_new_folder(folder)
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        left_out = _write(embedder, part)
        report = _check(embedder, part, folder, cache, photographs or sample_photographs(), left_out)
        if folder.exists():
            folder.rmdir()
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return report


def sample_photographs() -> list[Image.Image]:
    """Return eight pictures: the two photographs that scikit-learn has, whole, turned and in parts.

    They are under a Creative Commons licence (CC BY 2.0); the README beside them says whose they are.
    """
    spec = importlib.util.find_spec("sklearn.datasets")
    folders = (
        [] if spec is None else [Path(place) / "images" for place in spec.submodule_search_locations or ()]
    )
    found = []
    for path in sorted(file for folder in folders for file in folder.glob("*.jpg")):
        with Image.open(path) as opened:
            whole = opened.convert("RGB")
        found += [whole, whole.transpose(Image.Transpose.ROTATE_90), whole.crop((10, 20, 233, 147))]
        found.append(whole.convert("L").resize((97, 31)).convert("RGB"))
    return found


def _write(embedder: TorchEmbedder, folder: Path) -> str | None:
    """Write all files; return why there is no text side although the model has one."""
    network, texts = embedder.network, embedder.network.texts
    height, width = network.views[0].preprocessing.size
    shapes = [("pixel_values", (2, 3, height, width), False)]
    write_graph(folder / "vision_model.onnx", network.module, shapes, [{0: "images"}])
    left_out = None
    if texts is not None and texts.tokenizer is None:
        left_out = "its tokenizer cannot be written as a tokenizer.json"
    elif texts is not None:
        _write_texts(texts, folder)
    card = _card(network, None if left_out else texts)
    (folder / CARD_NAME).write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return left_out


def _write_texts(texts: Texts, folder: Path) -> None:
    shapes = [("input_ids", (2, texts.length), True)]
    axes = [{0: "texts"} if texts.pad_to else {0: "texts", 1: "tokens"}]
    if texts.masked:
        shapes.append(("attention_mask", (2, texts.length), True))
        axes *= 2
    write_graph(folder / "text_model.onnx", texts.network, shapes, axes)
    (folder / "tokenizer.json").write_text(texts.tokenizer or "", encoding="utf-8")


def _card(network: Network, texts: Texts | None) -> dict[str, Any]:
    """Return the card of what was written; all views of a torch network are one."""
    (view,) = network.views
    steps = asdict(view.preprocessing)
    steps = {key: list(value) if isinstance(value, tuple) else value for key, value in steps.items()}
    card = {key: value for key, value in steps.items() if value is not None}
    card |= {
        "model": "vision_model.onnx",
        "output": "features",
        "parameters": network.card.parameters,
        "licence": network.card.licence,
        "summary": f"{network.name}, exported",
        "source": network.card.source,
    }
    if network.card.groups:
        card["groups"] = [group.stop - group.start for group in network.card.groups]
    if texts is not None:
        side = {"model": "text_model.onnx", "tokenizer": "tokenizer.json", "output": "features"}
        optional = {"pad_to": texts.pad_to, "pad_token": texts.pad_token}
        card["text"] = {
            **side,
            "length": texts.length,
            **{k: v for k, v in optional.items() if v is not None},
        }
    return card


def _check(
    embedder: TorchEmbedder, part: Path, folder: Path, cache: Path, photographs: Sequence[Image.Image],
    left_out: str | None,
) -> ExportReport:  # fmt: skip
    """Compare both on pictures and sentences."""
    written = open_onnx(part, cache, "cpu")
    pairs = [(embedder.embed(photographs), written.embed(photographs))]
    if isinstance(written, TextEmbedder) and isinstance(embedder, TextEmbedder):
        pairs.append((embedder.embed_texts(SENTENCES), written.embed_texts(SENTENCES)))
    difference, similarity = 0.0, 1.0
    for expected, found in pairs:
        difference = max(difference, _difference(expected, found))
        similarity = min(similarity, _similarity(expected, found))
    if difference > AGREEMENT or similarity < 1 - AGREEMENT:
        raise WeightsInvalid(
            embedder.name,
            f"its ONNX export gives other vectors: a number is off by {difference:.1e}, a similarity is "
            f"{similarity:.6f}; nothing was written",
        )
    size = sum(file.stat().st_size for file in part.iterdir())
    sentences = len(SENTENCES) if len(pairs) > 1 else 0
    return ExportReport(folder, len(photographs), sentences, difference, similarity, size, left_out)


def _difference(expected: Features, found: Features) -> float:
    """Return by how much numbers differ once rows are of length 1, as a store holds them."""
    return float(np.abs(_unit(expected) - _unit(found)).max())


def _similarity(expected: Features, found: Features) -> float:
    return float((_unit(expected) * _unit(found)).sum(axis=1).min())


def _unit(rows: Features) -> NDArray[np.float64]:
    wide = rows.astype(np.float64)
    unit: NDArray[np.float64] = wide / np.linalg.norm(wide, axis=1, keepdims=True)
    return unit
