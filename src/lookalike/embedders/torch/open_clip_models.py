"""The embedders `open_clip:ARCH/TAG`: images and texts by the library open_clip, with its weights."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from lookalike.embedders.file_digests import digest_of
from lookalike.embedders.preprocessing import Preprocessing, View
from lookalike.embedders.protocol import Card
from lookalike.embedders.text.clip_tokenizer import clip_tokenizer
from lookalike.embedders.torch.network_description import Network, Texts
from lookalike.embedders.torch.networks import embedder_of, function_module
from lookalike.errors import ExtraMissing, InvalidArgument, WeightsInvalid

try:
    import open_clip
except ImportError as _error:
    raise ExtraMissing("models of open_clip", "torch") from _error

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lookalike.embedders.protocol import Device
    from lookalike.embedders.torch.hub import Hub
    from lookalike.embedders.torch.networks import TorchEmbedder

_FILES = ("open_clip_config.json",)
_WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
)
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "tokenizer.model")
# What open_clip pads with, whatever the tokenizer (open_clip.tokenizer.SimpleTokenizer).
_PADDING = 0


def open_open_clip(name: str, hub: Hub, cache: Path, device: Device) -> TorchEmbedder:
    """Open a model of open_clip.

    Args:
        name: architecture and tag of its weights, ViT-B-32/openai, as open_clip lists them.
        hub: where its weights come from.
        cache: the user's cache folder.
        device: where it runs.

    Raises:
        InvalidArgument: open_clip has no such model with weights on the hub.
        WeightsMissing: the weights are not here.
        WeightsInvalid: they do not fit the model.
    """
    architecture, _, tag = name.partition("/")
    tagged = open_clip.get_pretrained_cfg(architecture, tag) if tag else {}
    repository, file_name = _repository(tagged)
    if not repository:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(architecture))
        have = (
            f"its tags are {tags}"
            if tags
            else "python -c 'import open_clip; print(open_clip.list_pretrained())'"
        )
        raise InvalidArgument(f"open_clip has no {name!r} with weights on the hub: {have}")
    settings = open_clip.get_model_config(architecture)
    if "hf_model_name" in settings["text_cfg"]:
        raise InvalidArgument(
            f"{architecture} builds its text side from another repository, which is not done here"
        )
    patterns = (file_name, *_WEIGHTS) if file_name else _WEIGHTS
    folder = hub.folder(repository, _FILES, patterns)
    file = next(folder / each for each in patterns if (folder / each).is_file())
    model = _build(architecture, file, quick_gelu=bool(tagged.get("quick_gelu", settings.get("quick_gelu"))))
    weights = digest_of([file], cache)
    card = Card(
        f"open_clip:{name}", model_dimension(settings), licence="see its source",
        parameters=sum(each.numel() for each in model.parameters()), summary=f"{architecture} of open_clip",
        source=f"hub: {repository}", size=file.stat().st_size, capabilities=("images", "texts"),
    )  # fmt: skip
    network = Network(
        f"open_clip:{name}", function_module(model, model.encode_image),
        (View(_preprocessing(tagged, model.visual.image_size)),), model_dimension(settings), weights,
        f"encode_image, quick gelu {tagged.get('quick_gelu', False)}", card,
        _texts(architecture, model, settings["text_cfg"], hub, weights, cache),
    )  # fmt: skip
    return embedder_of(network, device)


def model_dimension(settings: dict[str, Any]) -> int:
    """Return the numbers per image of a model with these settings."""
    return int(settings["embed_dim"])


def _repository(tagged: dict[str, Any]) -> tuple[str, str]:
    """Return the repository and the file of what open_clip writes as owner/name/file, each "" if missing."""
    owner, slash, rest = str(tagged.get("hf_hub") or "").partition("/")
    name, _, file = rest.partition("/")
    return (f"{owner}/{name}" if slash and name else ""), file


def _build(architecture: str, file: Path, *, quick_gelu: bool) -> Any:
    quiet = logging.getLogger()
    before = quiet.level
    # open_clip reports every step on the root logger.
    quiet.setLevel(logging.ERROR)
    try:
        return open_clip.create_model(
            architecture, pretrained=str(file), force_quick_gelu=quick_gelu, device="cpu", weights_only=True
        ).eval()
    except Exception as error:  # pickles and safetensors raise what they like
        text = " ".join(str(error).split())[:300]
        raise WeightsInvalid(
            str(file), f"these weights do not fit open_clip's {architecture}: {text}"
        ) from error
    finally:
        quiet.setLevel(before)


def _preprocessing(tagged: dict[str, Any], size: int | Sequence[int]) -> Preprocessing:
    """Return what open_clip's evaluation transform does with the settings of a tag."""
    height, width = (size, size) if isinstance(size, int) else size
    resize = tagged.get("resize_mode", "shortest")
    if height != width and resize != "squash":
        raise InvalidArgument(
            f"this model wants images of {width} × {height} pixels; squares alone are made here"
        )
    red, green, blue = tagged["mean"]
    mean = (float(red), float(green), float(blue))
    red, green, blue = tagged["std"]
    return Preprocessing(
        (height, width), mean, (float(red), float(green), float(blue)), resize,
        interpolation=tagged.get("interpolation", "bicubic"),
    )  # fmt: skip


def _texts(
    architecture: str, model: Any, settings: dict[str, Any], hub: Hub, weights: str, cache: Path
) -> Texts:
    """Return the text side; its tokenizer comes from the hub where open_clip has none of its own."""
    length = int(settings.get("context_length", open_clip.tokenizer.DEFAULT_CONTEXT_LENGTH))
    network = function_module(model, model.encode_text)
    if "hf_tokenizer_name" not in settings:
        if "siglip" in architecture.lower():
            raise InvalidArgument(f"the tokenizer of {architecture} comes from no hub: it is not used here")
        tokenizer = open_clip.get_tokenizer(architecture)
        written = clip_tokenizer(
            tokenizer.encoder, list(tokenizer.bpe_ranks), tokenizer.sot_token_id, tokenizer.eot_token_id
        )
        pad_token = next(token for token, number in tokenizer.encoder.items() if number == _PADDING)
    else:
        options = dict(settings.get("tokenizer_kwargs", {}))
        folder = hub.folder(
            settings["hf_tokenizer_name"], _TOKENIZER_FILES, ("tokenizer.json", "tokenizer.model")
        )
        tokenizer = open_clip.tokenizer.HFTokenizer(
            str(folder), context_length=length, tokenizer_mode=settings.get("tokenizer_mode"), **options
        )
        weights += digest_of(sorted(folder.glob("tokenizer*")), cache)
        # What cleans the text first is not written into a tokenizer.json.
        written, pad_token = None, None

    def tokenize(text: str) -> tuple[Sequence[int], Sequence[int]]:
        numbers = tokenizer([text])[0].tolist()
        return numbers, [1] * len(numbers)

    return Texts(
        network, tokenize, length, weights, written, masked=False, pad_to=length, pad_token=pad_token
    )  # fmt: skip
