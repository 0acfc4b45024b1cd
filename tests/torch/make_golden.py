"""Writes tests/data/clip: a tiny CLIP laid out as the hub's ONNX exports, and what transformers makes of it.

`.venv-torch/bin/python -m tests.torch.make_golden` writes it anew; without torch it is read by
tests/embedders/test_onnx_models.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from conformal_clip_data import textile_simulated_root
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

import torch
from lookalike.embedders.torch.networks import function_module, write_graph
from tests.torch.weights import SENTENCES, clip_tokenizer, randomised

FOLDER = Path(__file__).parents[1] / "data" / "clip"
CONTEXT = 20
# The first merges of CLIP's vocabulary: enough that common words are a token or two.
MERGES = 500


def main() -> None:
    (FOLDER / "onnx").mkdir(parents=True, exist_ok=True)
    tokenizer = small_tokenizer()
    side: dict[str, Any] = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = CLIPConfig(
        text_config={**side, **ends, "vocab_size": len(tokenizer), "max_position_embeddings": CONTEXT},
        vision_config={**side, "image_size": 48, "patch_size": 16},
        projection_dim=12,
    )
    torch.manual_seed(9)
    model = randomised(CLIPModel(config), 9)
    vision = function_module(
        model, lambda planes: model.get_image_features(pixel_values=planes).pooler_output
    )
    texts = function_module(model, lambda numbers: model.get_text_features(input_ids=numbers).pooler_output)
    planes = [("pixel_values", (2, 3, 48, 48), False)]
    write_graph(FOLDER / "onnx" / "vision_model.onnx", vision, planes, [{0: "batch_size"}], "image_embeds")
    numbers = [("input_ids", (2, CONTEXT), True)]
    axes = {0: "batch_size", 1: "sequence_length"}
    write_graph(FOLDER / "onnx" / "text_model.onnx", texts, numbers, [axes], "text_embeds")
    # As CLIP's repository has it: bare numbers, and the kind under its old name.
    processor = CLIPImageProcessorPil(size={"shortest_edge": 48}, crop_size={"height": 48, "width": 48})
    settings = {
        "crop_size": 48, "do_center_crop": True, "do_normalize": True, "do_resize": True, "resample": 3,
        "size": 48,
        "feature_extractor_type": "CLIPFeatureExtractor", "image_mean": list(processor.image_mean),
        "image_std": list(processor.image_std),
    }  # fmt: skip
    (FOLDER / "preprocessor_config.json").write_text(json.dumps(settings, indent=1) + "\n")
    model_config = {"model_type": "clip", "text_config": {"max_position_embeddings": CONTEXT}}
    (FOLDER / "config.json").write_text(json.dumps(model_config) + "\n")
    tokenizer.backend_tokenizer.save(str(FOLDER / "tokenizer.json"), pretty=False)
    (FOLDER / "tokenizer_config.json").write_text(
        json.dumps({"model_max_length": CONTEXT, "pad_token": "<|endoftext|>"}) + "\n"
    )

    files = [
        f"{kind}/{min((textile_simulated_root() / kind).iterdir()).name}" for kind in ("global", "nominal")
    ]
    images = [Image.open(textile_simulated_root() / file).convert("RGB") for file in files]
    images.append(images[0].crop((3, 5, 120, 190)))
    with torch.inference_mode():
        pixels = processor(images, return_tensors="pt").pixel_values
        pictures = model.get_image_features(pixel_values=pixels).pooler_output.numpy()
        found = [
            tokenizer(text, truncation=True, max_length=CONTEXT, return_tensors="pt") for text in SENTENCES
        ]
        vectors = np.concatenate([model.get_text_features(**each).pooler_output.numpy() for each in found])
    golden = {
        "files": files,
        "crop": [3, 5, 120, 190],
        "images": pictures.round(7).tolist(),
        "texts": SENTENCES,
        "tokens": [each.input_ids[0].tolist() for each in found],
        "text_vectors": vectors.round(7).tolist(),
    }
    (FOLDER / "golden.json").write_text(json.dumps(golden, ensure_ascii=False) + "\n", encoding="utf-8")


def small_tokenizer() -> CLIPTokenizer:
    """Return CLIP's tokenizer with all its letters and only its first merges."""
    backend = json.loads(clip_tokenizer().backend_tokenizer.to_str())["model"]
    merges = [tuple(pair) for pair in backend["merges"][:MERGES]]
    letters = sorted((number, token) for token, number in backend["vocab"].items() if number < 512)
    tokens = [token for _, token in letters] + ["".join(pair) for pair in merges]
    vocabulary = {token: number for number, token in enumerate([*tokens, "<|startoftext|>", "<|endoftext|>"])}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=CONTEXT)


if __name__ == "__main__":
    main()
