"""Finds an ONNX image encoder, and how it is fed: from a card, or from the files that the hub's exports have.

The layout without a card is that of the exports by optimum and of the repositories made for transformers.js:
`vision_model.onnx` and `text_model.onnx` (or one `model.onnx`), in the folder or in its folder `onnx`, beside
preprocessor_config.json, config.json, tokenizer.json and tokenizer_config.json.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from PIL import Image

from lookalike.embedders.onnx_card import CARD_NAME, EXAMPLE, OnnxModel, TextSide, read_card
from lookalike.embedders.preprocessing import RESAMPLING, Preprocessing, View
from lookalike.errors import PathNotFound, WeightsInvalid

if TYPE_CHECKING:
    from pathlib import Path

_VISION = ("vision_model.onnx", "onnx/vision_model.onnx", "model.onnx", "onnx/model.onnx")
_TEXT = ("text_model.onnx", "onnx/text_model.onnx")
# CLIP's context (Radford et al. 2021, arXiv 2103.00020, section 2.4), where no file says another.
_CONTEXT = 77
# A tokenizer_config.json without a limit says 10 ** 30.
_UNLIMITED = 10**6
# Steps of transformers' image processors that are not done here; `crop_pct` is ConvNeXt's.
_OTHER_STEPS = ("do_pad", "do_flip_channel_order", "do_reduce_labels", "crop_pct", "do_thumbnail")


def find_model(path: Path) -> OnnxModel:
    """Return the model that a path names.

    Args:
        path: an ONNX file with its card beside it, or a folder.

    Raises:
        PathNotFound: nothing is there.
        WeightsInvalid: no ONNX model, no card that can be read, or a file of it is missing.
    """
    if not path.exists():
        raise PathNotFound(str(path))
    if path.is_dir():
        card = path / CARD_NAME
        model = read_card(card, None) if card.is_file() else _from_hub(path)
    else:
        card = path.with_suffix(".json")
        if not card.is_file():
            raise WeightsInvalid(str(path), f"needs a card beside it, {card.name}, such as {EXAMPLE}")
        model = read_card(card, path)
    needed = [model.graph]
    if model.text is not None:
        needed += [model.text.graph, model.text.tokenizer]
    for file in needed:
        if not file.is_file():
            raise WeightsInvalid(str(path), f"{file.name} is missing: {file}")
    return model


def _from_hub(folder: Path) -> OnnxModel:
    """Read the files that the hub's exports have."""
    graph = next((folder / name for name in _VISION if (folder / name).is_file()), None)
    if graph is None:
        raise WeightsInvalid(
            str(folder), f"no ONNX model: neither {CARD_NAME} nor {', '.join(_VISION[:3])} is there"
        )
    text = next((folder / name for name in _TEXT if (folder / name).is_file()), None)
    return OnnxModel(
        graph,
        (View(read_preprocessing(folder)),),
        # A vision transformer without a pooler is read at its first token, as its own classifier does.
        pool="first",
        text=None if text is None else _text_side(folder, text),
        source=str(folder),
    )


def _json(folder: Path, name: str) -> dict[str, Any] | None:
    path = folder / name
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsInvalid(str(path), f"cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise WeightsInvalid(str(path), "no JSON object")
    return found


def read_preprocessing(folder: Path) -> Preprocessing:
    """Return what the image processor in a folder does, as the Pillow back end of transformers does it.

    Raises:
        WeightsInvalid: there is none, or it does something that is not done here.
    """
    path = folder / "preprocessor_config.json"
    settings = _json(folder, path.name)
    if settings is None:
        # Since transformers 5, images and texts share one file.
        path = folder / "processor_config.json"
        settings = (_json(folder, path.name) or {}).get("image_processor")
    if not isinstance(settings, dict):
        raise WeightsInvalid(str(folder), f"neither {CARD_NAME} nor preprocessor_config.json is there")
    for key in _OTHER_STEPS:
        if settings.get(key):
            raise WeightsInvalid(str(path), f"{key} is not done here; write a card {CARD_NAME}: {EXAMPLE}")
    try:
        return _steps(settings)
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsInvalid(
            str(path), f"says no size, mean or deviation that can be used: {error!r}"
        ) from error


def _steps(settings: dict[str, Any]) -> Preprocessing:
    size, cropped = settings["size"], settings.get("do_center_crop", False)
    kind = str(settings.get("image_processor_type") or settings.get("feature_extractor_type") or "")
    # A bare number: the shorter side where CLIP's processor crops afterwards, both sides elsewhere.
    if isinstance(size, int):
        size = {"shortest_edge": size} if cropped or "CLIP" in kind else {"height": size, "width": size}
    if "shortest_edge" in size:
        side = int(size["shortest_edge"])
        resize, to = "shortest", (side, side)
    else:
        resize, to = "squash", (int(size["height"]), int(size["width"]))
    crop = settings.get("crop_size", to[0]) if cropped else list(to)
    if isinstance(crop, dict):
        crop = [crop["height"], crop["width"]]
    height, width = (crop, crop) if isinstance(crop, int) else crop
    if resize == "shortest" and not cropped:
        raise ValueError("the shorter side alone is given, and nothing is cut out")
    if height > to[0] or width > to[1]:
        raise ValueError("more is cut out than there is")
    normalised = settings.get("do_normalize", True)
    filter_name = Image.Resampling(settings.get("resample", Image.Resampling.BILINEAR)).name.lower()
    return Preprocessing(
        size=(int(height), int(width)),
        resize=cast("Any", resize),
        resize_to=to,
        crop="floor",
        interpolation=filter_name if filter_name in RESAMPLING else "bilinear",
        scale=float(settings.get("rescale_factor", 1 / 255)) if settings.get("do_rescale", True) else 1.0,
        mean=_three(settings["image_mean"]) if normalised else (0.0, 0.0, 0.0),
        deviation=_three(settings["image_std"]) if normalised else (1.0, 1.0, 1.0),
    )


def _three(values: list[float]) -> tuple[float, float, float]:
    red, green, blue = values
    return float(red), float(green), float(blue)


def _text_side(folder: Path, graph: Path) -> TextSide:
    config = _json(folder, "config.json") or {}
    settings = _json(folder, "tokenizer_config.json") or {}
    context = (config.get("text_config") or {}).get("max_position_embeddings")
    limit = settings.get("model_max_length")
    length = limit if isinstance(limit, int) and 0 < limit < _UNLIMITED else context
    length = min(length, context) if isinstance(length, int) and isinstance(context, int) else length
    pad = settings.get("pad_token")
    length = length if isinstance(length, int) else _CONTEXT
    return TextSide(
        graph,
        folder / "tokenizer.json",
        length,
        # SigLIP was trained on texts filled up to its context, and without a mask.
        pad_to=length if str(config.get("model_type", "")).startswith("siglip") else None,
        pad_token=pad["content"] if isinstance(pad, dict) else pad,
    )
