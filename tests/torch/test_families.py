"""Models of timm, open_clip and sentence-transformers give what those give; all keep the contract."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import safetensors.torch
import timm
from conformal_clip_data import textile_simulated_root
from numpy.typing import NDArray
from PIL import Image
from sentence_transformers import SentenceTransformer
from transformers import CLIPImageProcessorPil

import torch
from lookalike.embedders.onnx.folder import read_preprocessing
from lookalike.embedders.protocol import Embedder, TextEmbedder
from lookalike.embedders.registry import groups_of, open_embedder
from lookalike.embedders.text.tokens import Tokens
from lookalike.embedders.torch.exporting import SENTENCES as CHECKED
from lookalike.embedders.torch.exporting import export, sample_photographs
from lookalike.errors import InvalidArgument, WeightsInvalid, WeightsMissing
from lookalike.images import decoding
from lookalike.testing.embedders import EmbedderContract, TextEmbedderContract, embed, picture
from tests.torch import weights as made

TIMM = "mobilenetv3_small_050.lamb_in1k"
DENSE = "densenet121.tv_in1k"
CLIP = "sentence-transformers:clip-ViT-B-32"
MULTILINGUAL = f"{CLIP}+clip-ViT-B-32-multilingual-v1"
OPEN_CLIP = "open_clip:ViT-B-32/openai"


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of repositories as the hub has them, with weights made at random."""
    root = tmp_path_factory.mktemp("hub")
    for name in (TIMM, DENSE, "vit_tiny_patch16_224.augreg_in21k"):
        made.timm_folder(root / "timm" / name, name)
    made.clip_folder(root / "clip-ViT-B-32")
    made.multilingual_folder(root / "clip-ViT-B-32-multilingual-v1")
    made.open_clip_folder(root / "timm" / "vit_base_patch32_clip_224.openai", "ViT-B-32", quick_gelu=True)
    return root


@pytest.fixture(scope="session")
def opened(hub: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """Return what opens a model once for all tests."""
    cache = tmp_path_factory.mktemp("cache")
    known: dict[str, Embedder] = {}

    def get(name: str) -> Embedder:
        if name not in known:
            known[name] = open_embedder(name, cache, weights=hub, device="cpu")
        return known[name]

    return get


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> list[Image.Image]:
    """Real photographs as lookalike decodes them: rotated by EXIF, grey, CMYK, transparent, of odd sizes."""
    folder = tmp_path_factory.mktemp("photographs")
    first, second = (min((textile_simulated_root() / kind).iterdir()) for kind in ("global", "nominal"))
    whole = sample_photographs()[0]
    exif = Image.Exif()
    exif[274] = 6
    whole.save(folder / "rotated.jpg", exif=exif)
    whole.convert("L").save(folder / "grey.png")
    whole.convert("CMYK").save(folder / "cmyk.jpg")
    transparent = whole.convert("RGBA")
    transparent.putalpha(whole.convert("L"))
    transparent.save(folder / "transparent.png")
    for width, height in ((1, 7), (3000, 11), (225, 223), (300, 227), (231, 224), (224, 224)):
        whole.resize((width, height)).save(folder / f"{width}.png")
    paths = [first, second, *sorted(folder.iterdir())]
    return [decoding.decode(path.read_bytes(), str(path), at_least=224) for path in paths]


def close(found: NDArray[np.float32], expected: Any) -> None:
    expected = np.asarray(expected, np.float32)
    np.testing.assert_allclose(found, expected, atol=1e-4 * float(np.abs(expected).max()))


def alike(found: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    """Check vectors as a store holds them: torch adds up in another order on another number of cores."""
    one, other = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (found, expected))
    np.testing.assert_allclose(one, other, atol=1e-4)


# What the libraries give


@pytest.mark.parametrize("name", [TIMM, DENSE, "vit_tiny_patch16_224.augreg_in21k"])
def test_timm_gives_what_its_own_transform_and_forward_give(
    opened: Callable[[str], Any], photographs: list[Image.Image], name: str, hub: Path
) -> None:
    network = timm.create_model(f"local-dir:{hub / 'timm' / name}", pretrained=True, num_classes=0).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(network))
    with torch.inference_mode():
        expected = network(torch.stack([transform(image) for image in photographs]))
    close(opened(f"timm:{name}").embed(photographs), expected)


TIMM_CONFIGS: dict[str, dict[str, Any]] = {
    "shortest": {"crop_pct": 0.875, "crop_mode": "center", "interpolation": "bilinear"},
    "squash": {"crop_pct": 0.9, "crop_mode": "squash", "interpolation": "bicubic"},
    "border": {"crop_pct": 1.0, "crop_mode": "border", "interpolation": "bicubic"},
    "border cut": {"crop_pct": 0.8, "crop_mode": "border", "interpolation": "lanczos"},
}


@pytest.mark.parametrize("kind", TIMM_CONFIGS)
def test_preprocessing_is_that_of_timm(photographs: list[Image.Image], kind: str) -> None:
    from lookalike.embedders.torch.timm_models import _preprocessing

    data: dict[str, Any] = {"input_size": (3, 224, 224), "mean": (0.48, 0.45, 0.4), "std": (0.26, 0.25, 0.27)}
    data |= TIMM_CONFIGS[kind]
    transform = timm.data.create_transform(**data)
    ours = _preprocessing(data)
    # timm's own resize leaves nothing of a strip of 3000 × 11 or 1 × 7 pixels in mode border and fails.
    thick = [image for image in photographs if min(image.size) > 20] if "border" in kind else photographs
    for image in thick:
        np.testing.assert_allclose(ours(image), transform(image).numpy(), atol=1e-4)


@pytest.mark.parametrize("mode", ["shortest", "squash", "longest"])
def test_preprocessing_is_that_of_open_clip(photographs: list[Image.Image], mode: str) -> None:
    from lookalike.embedders.torch.open_clip_models import _preprocessing

    tagged = {
        "mean": (0.48, 0.45, 0.4),
        "std": (0.26, 0.25, 0.27),
        "interpolation": "bicubic",
        "resize_mode": mode,
    }
    transform = open_clip.transform.image_transform(
        224, is_train=False, mean=tagged["mean"], std=tagged["std"], resize_mode=mode, interpolation="bicubic"
    )
    ours = _preprocessing(tagged, 224)
    thick = [image for image in photographs if min(image.size) > 20] if mode == "longest" else photographs
    for image in thick:
        np.testing.assert_allclose(ours(image), transform(image).numpy(), atol=1e-4)


PROCESSORS: dict[str, dict[str, Any]] = {
    "CLIP": {},
    "square": {"size": {"height": 200, "width": 180}, "do_center_crop": False, "resample": 2},
    "DINOv2": {"size": {"shortest_edge": 256}},
    "plain": {"do_normalize": False},
    "unscaled": {"do_rescale": False, "image_mean": [100, 101, 102], "image_std": [50, 51, 52]},
}


@pytest.mark.parametrize("kind", PROCESSORS)
def test_preprocessing_is_that_of_transformers(
    photographs: list[Image.Image], kind: str, tmp_path: Path
) -> None:
    processor = CLIPImageProcessorPil(**PROCESSORS[kind])
    processor.save_pretrained(tmp_path)
    ours = read_preprocessing(tmp_path)
    for image in photographs:
        expected = processor(image, return_tensors="np").pixel_values[0]
        np.testing.assert_allclose(ours(image), expected, atol=1e-4)


def test_open_clip_gives_what_its_own_transform_and_encoders_give(
    opened: Callable[[str], Any], photographs: list[Image.Image], hub: Path
) -> None:
    file = hub / "timm" / "vit_base_patch32_clip_224.openai" / "open_clip_model.safetensors"
    model, _, transform = open_clip.create_model_and_transforms(
        "ViT-B-32", pretrained=str(file), force_quick_gelu=True
    )
    tokens = open_clip.get_tokenizer("ViT-B-32")(made.SENTENCES)
    with torch.inference_mode():
        expected = model.eval().encode_image(torch.stack([transform(image) for image in photographs]))
        texts = model.encode_text(tokens)
    found = opened(OPEN_CLIP)
    close(found.embed(photographs), expected)
    close(found.embed_texts(made.SENTENCES), texts)


def test_sentence_transformers_gives_what_transformers_gives(
    opened: Callable[[str], Any], photographs: list[Image.Image]
) -> None:
    processor, model = CLIPImageProcessorPil(), made.clip()
    with torch.inference_mode():
        pixels = processor(photographs, return_tensors="pt").pixel_values
        expected = model.get_image_features(pixel_values=pixels).pooler_output
        texts = [
            model.get_text_features(
                **made.clip_tokenizer()(text, truncation=True, return_tensors="pt")
            ).pooler_output[0]
            for text in made.SENTENCES
        ]
    close(opened(CLIP).embed(photographs), expected)
    close(opened(CLIP).embed_texts(made.SENTENCES), np.stack(texts))


def test_a_multilingual_text_side_gives_what_its_library_gives_and_leaves_the_images_alone(
    opened: Callable[[str], Any], hub: Path
) -> None:
    model = SentenceTransformer(str(hub / "clip-ViT-B-32-multilingual-v1"), device="cpu")
    plain, found = opened(CLIP), opened(MULTILINGUAL)
    expected = [model.encode([text])[0] for text in made.SENTENCES]
    close(found.embed_texts(made.SENTENCES), np.stack(expected))
    assert found.fingerprint == plain.fingerprint
    assert found.text_fingerprint != plain.text_fingerprint


@pytest.mark.parametrize("text", [*made.SENTENCES, *CHECKED])
def test_tokens_are_those_of_transformers_and_open_clip(text: str, tmp_path: Path) -> None:
    from lookalike.embedders.text.clip_tokenizer import clip_tokenizer

    simple = open_clip.tokenizer.SimpleTokenizer()
    written = clip_tokenizer(simple.encoder, list(simple.bpe_ranks), simple.sot_token_id, simple.eot_token_id)
    (tmp_path / "tokenizer.json").write_text(written, encoding="utf-8")
    found = list(Tokens(tmp_path / "tokenizer.json", 77)(text)[0])
    assert found == made.clip_tokenizer()(text, truncation=True).input_ids
    if "ﬁ" not in text:  # open_clip takes ligatures apart (ftfy), transformers does not
        assert found == [number for number in simple([text])[0].tolist() if number]


# The contract


class _OfFamily:
    name: str

    @pytest.fixture
    def weights(self, hub: Path) -> Path:
        return hub

    @pytest.fixture
    def opener(self, hub: Path) -> Callable[[Path], Embedder]:
        return lambda cache: open_embedder(self.name, cache, weights=hub, device="cpu")

    @pytest.fixture
    def embedder(self, opened: Callable[[str], Any]) -> Embedder:
        found: Embedder = opened(self.name)
        return found


class TestTimm(_OfFamily, EmbedderContract):
    name = f"timm:{TIMM}"


class TestTimmInspect(_OfFamily, EmbedderContract):
    name = f"timm-inspect:{TIMM}"


class TestSentenceTransformers(_OfFamily, TextEmbedderContract):
    name = CLIP


class TestMultilingual(_OfFamily, TextEmbedderContract):
    name = MULTILINGUAL


class TestOpenClip(_OfFamily, TextEmbedderContract):
    name = OPEN_CLIP


# Inspection


def test_inspection_reads_all_layers_but_the_last_at_two_sizes(
    opened: Callable[[str], Any], hub: Path
) -> None:
    found = opened(f"timm-inspect:{TIMM}")
    layers = timm.create_model(TIMM, features_only=True).feature_info.channels()[:-1]
    room = 4096 // (len(layers) * 6)
    widths = [min(width, room) for width in layers for _ in range(3)] * 2
    assert [group.stop - group.start for group in groups_of(found)] == widths
    assert found.input_size == 448
    # Measured in units of their own, statistics of a photograph are around 1, times 1 / sqrt(channels).
    (vector,) = found.embed(sample_photographs()[:1])
    for group in groups_of(found):
        assert 0.02 < float(np.linalg.norm(vector[group])) < 50


def test_units_of_inspection_are_found_once(hub: Path, tmp_path: Path) -> None:
    image = [Image.fromarray(picture(300, 200))]
    first = open_embedder(f"timm-inspect:{TIMM}", tmp_path, weights=hub, device="cpu")
    (kept,) = (tmp_path / "models").glob("units-*.f4")
    written = kept.stat().st_mtime_ns
    second = open_embedder(f"timm-inspect:{TIMM}", tmp_path, weights=hub, device="cpu")
    assert kept.stat().st_mtime_ns == written
    np.testing.assert_array_equal(first.embed(image), second.embed(image))


# Export


@pytest.mark.parametrize("name", [f"timm:{TIMM}", f"timm-inspect:{TIMM}", CLIP, MULTILINGUAL])
def test_an_export_gives_the_same_without_torch(
    opened: Callable[[str], Any], photographs: list[Image.Image], tmp_path: Path, name: str
) -> None:
    model = opened(name)
    report = export(model, tmp_path / "folder", tmp_path, photographs)
    assert report.photographs == len(photographs)
    assert report.sentences == (len(CHECKED) if isinstance(model, TextEmbedder) else 0)
    assert report.difference < 1e-4
    assert report.left_out is None
    found: Any = open_embedder(f"onnx:{tmp_path / 'folder'}", tmp_path, device="cpu")
    alike(found.embed(photographs), model.embed(photographs))
    assert groups_of(found) == groups_of(model)
    if isinstance(model, TextEmbedder):
        alike(found.embed_texts(made.SENTENCES), model.embed_texts(made.SENTENCES))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["folder", "models"]


def test_an_export_that_differs_leaves_nothing(
    opened: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lookalike.embedders.torch import exporting

    written = exporting._card

    def other(*arguments: Any) -> dict[str, Any]:
        return {**written(*arguments), "mean": [0.0, 0.0, 0.0]}

    monkeypatch.setattr(exporting, "_card", other)
    with pytest.raises(
        WeightsInvalid, match=r"gives other vectors: a number is off by .*; nothing was written"
    ):
        export(opened(f"timm:{TIMM}"), tmp_path / "folder", tmp_path)
    assert not (tmp_path / "folder").exists()
    assert not list(tmp_path.glob("*.part"))


def test_what_cannot_be_exported_is_told(opened: Callable[[str], Any], tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="efficientnet-lite0 needs no export"):
        export(open_embedder("efficientnet-lite0", tmp_path), tmp_path / "folder", tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(InvalidArgument, match="is not empty"):
        export(opened(f"timm:{TIMM}"), tmp_path / "full", tmp_path)


# Weights and names


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm:no_such_network", "timm .* has no network 'no_such_network'"),
        ("open_clip:ViT-B-32/nothing", "its tags are openai, "),
        ("open_clip:ViT-B-32", "its tags are openai, "),
        ("open_clip:nothing/openai", "no 'nothing/openai' with weights on the hub"),
        ("open_clip:xlm-roberta-base-ViT-B-32/laion5b_s13b_b90k", "text side from another repository"),
        ("sentence-transformers:clip-ViT-B-32-multilingual-v1", "reads no images"),
        (f"timm-inspect:{'vit_tiny_patch16_224.augreg_in21k'}", ""),
    ],
)
def test_a_name_that_is_off_is_told(hub: Path, tmp_path: Path, name: str, message: str) -> None:
    if not message:  # a vision transformer's blocks are maps too: read at one size
        found = open_embedder(name, tmp_path, weights=hub, device="cpu")
        assert found.input_size == 224
        return
    with pytest.raises(InvalidArgument, match=message):
        open_embedder(name, tmp_path, weights=hub, device="cpu")


def test_weights_of_another_network_are_refused(hub: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsInvalid, match=r"weights of densenet121, and not of mobilenetv3"):
        open_embedder(f"timm:{TIMM}", tmp_path, weights=hub / "timm" / DENSE, device="cpu")
    folder = tmp_path / "bare"
    folder.mkdir()
    network = timm.create_model(DENSE)
    safetensors.torch.save_file(network.state_dict(), folder / "model.safetensors")
    with pytest.raises(WeightsInvalid, match="do not fit timm's mobilenetv3"):
        open_embedder(f"timm:{TIMM}", tmp_path, weights=folder, device="cpu")
    (folder / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(WeightsInvalid, match="cannot be read"):
        open_embedder(f"timm:{TIMM}", tmp_path, weights=folder, device="cpu")


def test_a_folder_without_the_weights_is_told(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=r"has none of model\.safetensors, pytorch_model\.bin"):
        open_embedder(f"timm:{TIMM}", tmp_path, weights=tmp_path, device="cpu")


def test_other_weights_have_another_fingerprint(opened: Callable[[str], Any], tmp_path: Path) -> None:
    network = made.randomised(timm.create_model(TIMM), seed=77)
    timm.models.save_for_hf(network, tmp_path / "other")
    other = open_embedder(f"timm:{TIMM}", tmp_path, weights=tmp_path / "other", device="cpu")
    assert other.fingerprint != opened(f"timm:{TIMM}").fingerprint
    # What lies beside the weights decides on the preprocessing, and so has a part.
    path = tmp_path / "other" / "config.json"
    config = json.loads(path.read_text())
    config["pretrained_cfg"]["crop_pct"] = 0.5
    path.write_text(json.dumps(config))
    again = open_embedder(f"timm:{TIMM}", tmp_path, weights=tmp_path / "other", device="cpu")
    assert again.fingerprint != other.fingerprint


def test_a_gpu_gives_the_same_or_is_refused(opened: Callable[[str], Any], hub: Path, tmp_path: Path) -> None:
    name = f"timm:{TIMM}"
    if not torch.cuda.is_available():
        with pytest.raises(InvalidArgument, match="device cuda: torch finds no GPU"):
            open_embedder(name, tmp_path, weights=hub, device="cuda")
        return
    on_gpu = open_embedder(name, tmp_path, weights=hub, device="cuda")
    expected = embed(opened(name), [picture(300, 200)])
    np.testing.assert_allclose(
        embed(on_gpu, [picture(300, 200)]), expected, atol=1e-3 * np.abs(expected).max()
    )
