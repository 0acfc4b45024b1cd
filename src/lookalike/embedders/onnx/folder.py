"""Finding an ONNX image encoder and its preprocessing: by a card, or by the files of the hub's exports.

The layout without a card is that of the exports by optimum and of the repositories made for transformers.js:
`vision_model.onnx` and `text_model.onnx` (or one `model.onnx`), in the folder or in its folder `onnx`, beside
preprocessor_config.json, config.json, tokenizer.json and tokenizer_config.json.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PIL import Image

from lookalike.embedders.onnx.card import CARD_NAME, EXAMPLE, OnnxModel, TextSide, read_card, three_numbers
from lookalike.embedders.preprocessing import Preprocessing, Resize, View
from lookalike.errors import PathNotFound, WeightsInvalid

if TYPE_CHECKING:
    from pathlib import Path

    from lookalike.embedders.onnx.model_documents import Processor

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
        try:
            missing = not file.is_file()
        except OSError as error:
            raise WeightsInvalid(str(path), f"{file.name} cannot be read: {error.strerror}") from error
        if missing:
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


def _object(path: Path) -> dict[str, Any] | None:
    from lookalike.embedders.onnx.model_documents import read_object

    return read_object(path) if path.is_file() else None


def read_preprocessing(folder: Path) -> Preprocessing:
    """Return what the image processor in a folder does, as the Pillow back end of transformers does it.

    Raises:
        WeightsInvalid: there is none, or it does something that is not done here.
    """
    from lookalike.embedders.onnx.model_documents import Processor, read_fields

    path = folder / "preprocessor_config.json"
    settings = _object(path)
    if settings is None:
        # Since transformers 5, images and texts share one file.
        path = folder / "processor_config.json"
        settings = (_object(path) or {}).get("image_processor")
    if not isinstance(settings, dict):
        raise WeightsInvalid(str(folder), f"neither {CARD_NAME} nor preprocessor_config.json is there")
    for key in _OTHER_STEPS:
        if settings.get(key):
            raise WeightsInvalid(str(path), f"{key} is not done here; write a card {CARD_NAME}: {EXAMPLE}")
    return _steps(path, read_fields(path, settings, Processor))


def _steps(path: Path, settings: Processor) -> Preprocessing:
    from lookalike.embedders.onnx.model_documents import MOST_PIXELS, wrong

    cropped = bool(settings.do_center_crop)
    kind = settings.image_processor_type or settings.feature_extractor_type or ""
    size = settings.size
    resize: Resize
    # A bare number: the shorter side where CLIP's processor crops afterwards, both sides elsewhere.
    if isinstance(size, int):
        resize, to = ("shortest" if cropped or "CLIP" in kind else "squash"), (size, size)
    elif size.shortest_edge is not None:
        resize, to = "shortest", (size.shortest_edge, size.shortest_edge)
    elif size.height is not None and size.width is not None:
        resize, to = "squash", (size.height, size.width)
    else:
        raise WeightsInvalid(str(path), "size has neither shortest_edge nor height and width")
    height, width = to
    if cropped and settings.crop_size is not None:
        cut = settings.crop_size
        if isinstance(cut, int):
            height, width = cut, cut
        elif cut.height is not None and cut.width is not None:
            height, width = cut.height, cut.width
        else:
            raise WeightsInvalid(str(path), "crop_size has no height and width")
    elif cropped:
        height, width = to[0], to[0]
    if resize == "shortest" and not cropped:
        raise WeightsInvalid(
            str(path), "size gives the shorter side alone, and nothing is cut out: that is not done here"
        )
    if height > to[0] or width > to[1] or max(height, width) > MOST_PIXELS:
        raise wrong(path, "crop_size", [height, width], f"at most the size, nor more than {MOST_PIXELS:,}")
    mean, deviation = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if settings.do_normalize:
        if settings.image_mean is None or settings.image_std is None:
            missing = "image_mean" if settings.image_mean is None else "image_std"
            raise wrong(path, missing, None, "3 numbers")
        mean, deviation = three_numbers(settings.image_mean), three_numbers(settings.image_std)
    resample = Image.Resampling.BILINEAR if settings.resample is None else settings.resample
    return Preprocessing(
        size=(height, width),
        resize=resize,
        resize_to=to,
        crop="floor",
        interpolation=Image.Resampling(resample).name.lower(),
        scale=settings.rescale_factor if settings.do_rescale else 1.0,
        mean=mean,
        deviation=deviation,
    )


def _text_side(folder: Path, graph: Path) -> TextSide:
    from lookalike.embedders.onnx.model_documents import AddedToken, Config, TokenizerConfig, read_fields

    path = folder / "config.json"
    config = read_fields(path, _object(path) or {}, Config)
    path = folder / "tokenizer_config.json"
    settings = read_fields(path, _object(path) or {}, TokenizerConfig)
    context = None if config.text_config is None else config.text_config.max_position_embeddings
    limit = settings.model_max_length
    limits = [] if limit is None or not 1 <= limit < _UNLIMITED else [int(limit)]
    length = min([*limits, *([] if context is None else [context])], default=_CONTEXT)
    pad = settings.pad_token
    return TextSide(
        graph,
        folder / "tokenizer.json",
        length,
        # SigLIP was trained on texts filled up to its context, and without a mask.
        pad_to=length if (config.model_type or "").startswith("siglip") else None,
        pad_token=pad.content if isinstance(pad, AddedToken) else pad,
    )
