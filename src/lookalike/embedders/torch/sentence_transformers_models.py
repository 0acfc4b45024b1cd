"""The embedders `sentence-transformers:NAME[+TEXTNAME]`: CLIP as that library has it, and other text sides.

sentence-transformers:clip-ViT-B-32+clip-ViT-B-32-multilingual-v1 reads texts in 50 languages: the card of
the second model says that it was made to match the images of the first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lookalike.embedders.file_digests import digest_of
from lookalike.embedders.onnx.folder import read_preprocessing
from lookalike.embedders.preprocessing import View
from lookalike.embedders.protocol import Card
from lookalike.embedders.torch.network_description import Network, Texts
from lookalike.embedders.torch.networks import embedder_of, function_module, output_width, tensor
from lookalike.errors import ExtraMissing, InvalidArgument, WeightsInvalid

try:
    import sentence_transformers
    from transformers.utils import logging as transformers_logging
except ImportError as _error:
    raise ExtraMissing("models of sentence-transformers", "torch") from _error

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lookalike.embedders.protocol import Device
    from lookalike.embedders.torch.hub import Hub
    from lookalike.embedders.torch.networks import TorchEmbedder

_FILES = ("*.json", "*.txt", "*/*.json", "*/*.txt")
_WEIGHTS = ("*.safetensors", "*/*.safetensors", "*.bin", "*/*.bin")


def open_sentence_transformers(name: str, hub: Hub, cache: Path, device: Device) -> TorchEmbedder:
    """Open a model of sentence-transformers.

    Args:
        name: an image model and, after a plus, the text model that goes with it, each as owner/name, where
            the owner may be left out if it is sentence-transformers.
        hub: where the weights come from.
        cache: the user's cache folder.
        device: where it runs.

    Raises:
        InvalidArgument: not an image model, or texts of another dimension.
        WeightsMissing: the weights are not here.
        WeightsInvalid: they cannot be read.
    """
    image_name, _, text_name = name.partition("+")
    folder = hub.folder(_repository(image_name), _FILES, _WEIGHTS)
    model = _load(folder)
    clip: Any = getattr(model[0], "model", None)
    if not hasattr(clip, "get_image_features"):
        raise InvalidArgument(f"sentence-transformers:{image_name} reads no images")
    inner = next((each.parent for each in sorted(folder.glob("*/*processor_config.json"))), folder)
    view = View(read_preprocessing(inner))
    module = function_module(clip, lambda planes: _tensor(clip.get_image_features(pixel_values=planes)))
    weights = digest_of(_weight_files(folder), cache)
    dimension = output_width(module, view)
    if text_name:
        text_folder = hub.folder(_repository(text_name), _FILES, _WEIGHTS)
        texts = _sentence_side(_load(text_folder), text_folder, cache)
        found = len(
            texts.network(tensor_of([texts.tokenize("a")[0]]), tensor_of([texts.tokenize("a")[1]]))[0]
        )
        if found != dimension:
            raise InvalidArgument(f"{text_name} gives texts {found} numbers, {image_name} images {dimension}")
    else:
        texts = _clip_side(model, clip, folder, cache)
    full = f"sentence-transformers:{name}"
    card = Card(
        full, dimension, licence="see its source", parameters=sum(p.numel() for p in clip.parameters()),
        summary="CLIP of sentence-transformers", source=f"hub: {_repository(image_name)}",
        size=sum(file.stat().st_size for file in _weight_files(folder)), capabilities=("images", "texts"),
    )  # fmt: skip
    return embedder_of(
        Network(full, module, (view,), dimension, weights, "get_image_features", card, texts), device
    )


def _repository(name: str) -> str:
    return name if "/" in name else f"sentence-transformers/{name}"


def _load(folder: Path) -> Any:
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        return sentence_transformers.SentenceTransformer(
            str(folder), device="cpu", local_files_only=True, trust_remote_code=False
        ).eval()
    except Exception as error:  # pickles and safetensors raise what they like
        text = " ".join(str(error).split())[:300]
        raise WeightsInvalid(str(folder), f"sentence-transformers cannot read it: {text}") from error
    finally:
        transformers_logging.set_verbosity(before)
        transformers_logging.enable_progress_bar()


def _weight_files(folder: Path) -> list[Path]:
    """Return the weights that are read, in the order of their names: safetensors go before pickles."""
    return [
        file
        for file in sorted([*folder.glob("**/*.safetensors"), *folder.glob("**/*.bin")])
        if file.suffix == ".safetensors" or not any(file.parent.glob("*.safetensors"))
    ]


def _tensor(found: Any) -> Any:
    """Return the features: since transformers 5 they come with the layers below them."""
    return getattr(found, "pooler_output", found)


def tensor_of(rows: Sequence[Sequence[int]]) -> Any:
    """Return token numbers as a torch tensor of shape (texts, tokens)."""
    import numpy as np

    return tensor(np.asarray(rows, np.int64))


def _clip_side(model: Any, clip: Any, folder: Path, cache: Path) -> Texts:
    """Return CLIP's own text side."""

    def encode(numbers: Any, mask: Any) -> Any:
        return _tensor(clip.get_text_features(input_ids=numbers, attention_mask=mask))

    return _side(function_module(clip, encode), model, folder, cache)


def _sentence_side(model: Any, folder: Path, cache: Path) -> Texts:
    """Return a model of texts alone as a text side: all its modules, one after another."""

    def encode(numbers: Any, mask: Any) -> Any:
        features: dict[str, Any] = {"input_ids": numbers, "attention_mask": mask}
        for module in model:
            features = module(features)
        return features["sentence_embedding"]

    return _side(function_module(model, encode), model, folder, cache)


def _side(network: Any, model: Any, folder: Path, cache: Path) -> Texts:
    tokenizer = model.tokenizer
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise InvalidArgument(f"the tokenizer of {folder} has no tokenizer.json")
    limit = model.max_seq_length or tokenizer.model_max_length
    length = int(min(limit, 512))

    def tokenize(text: str) -> tuple[Sequence[int], Sequence[int]]:
        found = tokenizer(text, truncation=True, max_length=length)
        return found["input_ids"], found["attention_mask"]

    files = [*_weight_files(folder), *sorted(folder.glob("**/tokenizer.json"))]
    return Texts(network, tokenize, length, digest_of(files, cache), backend.to_str())
