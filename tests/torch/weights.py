"""Models of the real libraries with weights made at random, in the folders and files that the hub has."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import open_clip
import safetensors.torch
import timm
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPProcessor,
    CLIPTokenizer,
    DistilBertConfig,
    DistilBertModel,
    PreTrainedTokenizerFast,
)

import torch

DIMENSION = 24
"""Of the small CLIP."""

SENTENCES = [
    "a photo of a cat",
    "눈 덮인 산 위의 사람들",
    "Ein rotes Auto, bei Nacht!",
    "it's 3.5 km (or so), isn't it?",
    "  spaces   everywhere\tand\nlines ",
    "émile ﬁnds naïve café 🚗",
    "weld " * 200,
]


def randomised(module: Any, seed: int = 0) -> Any:
    """Make the weights of a module anew, so that no two numbers agree by chance, and its norms are used."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.05, 0.3)
            elif name.endswith("running_mean"):
                value.normal_(0, 0.1)
            elif value.is_floating_point() and value.ndim == 1:
                value.add_(torch.randn_like(value) * 0.1)
    return module.eval()


def timm_folder(folder: Path, name: str) -> Any:
    """Save a network of timm as its repository on the hub has it; return the network with its classifier."""
    torch.manual_seed(0)  # else its weights depend on which tests this process ran before
    network = randomised(timm.create_model(name, pretrained=False))
    timm.models.save_for_hf(network, folder)
    return network


@functools.cache
def clip_tokenizer() -> CLIPTokenizer:
    """The real tokenizer of CLIP: open_clip brings its vocabulary."""
    simple = open_clip.tokenizer.SimpleTokenizer()
    marks = {simple.sot_token_id: "<|startoftext|>", simple.eot_token_id: "<|endoftext|>"}
    vocabulary = {marks.get(number, token): number for token, number in simple.encoder.items()}
    return CLIPTokenizer(vocab=vocabulary, merges=list(simple.bpe_ranks), model_max_length=77)


@functools.cache
def clip() -> CLIPModel:
    """A small CLIP of transformers, with the image size, patches and vocabulary of ViT-B/32."""
    side: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    torch.manual_seed(5)
    model = CLIPModel(
        CLIPConfig(
            text_config={
                **side, "vocab_size": 49408, "max_position_embeddings": 77, "bos_token_id": 49406,
                "eos_token_id": 49407, "pad_token_id": 49407,
            },
            vision_config={**side, "image_size": 224, "patch_size": 32},
            projection_dim=DIMENSION,
        )
    )  # fmt: skip
    return randomised(model, 1)


def clip_folder(folder: Path) -> None:
    """Save the small CLIP as sentence-transformers/clip-ViT-B-32 has it: modules.json and 0_CLIPModel."""
    inner = folder / "0_CLIPModel"
    clip().save_pretrained(inner)
    CLIPProcessor(CLIPImageProcessorPil(), clip_tokenizer()).save_pretrained(inner)
    # As the repository has it; transformers 5 would write processor_config.json.
    settings = json.loads((inner / "processor_config.json").read_text())["image_processor"]
    (inner / "processor_config.json").unlink()
    (inner / "preprocessor_config.json").write_text(json.dumps(settings))
    module = {"idx": 0, "name": "0", "path": "0_CLIPModel", "type": "sentence_transformers.models.CLIPModel"}
    (folder / "modules.json").write_text(json.dumps([module]))


def multilingual_folder(folder: Path) -> None:
    """Save a small model as clip-ViT-B-32-multilingual-v1 is built: DistilBERT, mean pooling, dense."""
    parts = folder.with_name(f"{folder.name}-parts")
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=special)
    tokenizer.train_from_iterator(SENTENCES * 3, trainer)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=64, pad_token="[PAD]", unk_token="[UNK]",
        cls_token="[CLS]",         sep_token="[SEP]", mask_token="[MASK]",
    )  # fmt: skip
    torch.manual_seed(6)
    config = DistilBertConfig(
        vocab_size=400, dim=32, n_layers=2, n_heads=2, hidden_dim=64, max_position_embeddings=64
    )
    randomised(DistilBertModel(config), 2).save_pretrained(parts)
    fast.save_pretrained(parts)
    words = Transformer(str(parts), max_seq_length=48)
    dense = Dense(32, DIMENSION, bias=False, activation_function=torch.nn.Identity())
    SentenceTransformer(modules=[words, Pooling(32, "mean"), dense], device="cpu").save(str(folder))


def open_clip_folder(folder: Path, architecture: str, *, quick_gelu: bool) -> Any:
    """Save a model of open_clip as its repository on the hub has it; return the model."""
    torch.manual_seed(3)
    model = randomised(open_clip.create_model(architecture, force_quick_gelu=quick_gelu), 3)
    folder.mkdir(parents=True)
    safetensors.torch.save_file(
        {name: value.contiguous() for name, value in model.state_dict().items()},
        folder / "open_clip_model.safetensors",
    )
    return model
