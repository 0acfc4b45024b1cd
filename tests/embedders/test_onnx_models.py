"""Any ONNX image encoder is an embedder, with its text side; what does not fit is told in a line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from conformal_clip_data import textile_simulated_root
from onnx import TensorProto
from PIL import Image

from lookalike.embedders.onnx.embedder import OnnxEmbedder, open_onnx
from lookalike.embedders.protocol import Embedder, TextEmbedder
from lookalike.embedders.registry import groups_of, known_cards, open_embedder
from lookalike.embedders.speeds import known_speeds, note_speed
from lookalike.embedders.text.tokens import Tokens
from lookalike.errors import InvalidArgument, LookalikeError, PathNotFound, WeightsInvalid, outcome
from lookalike.testing.embedders import EmbedderContract, TextEmbedderContract, embed, picture
from tests.onnx_graphs import DIMENSION, image_encoder, text_encoder, write_card

CLIP = Path(__file__).parents[1] / "data" / "clip"
GOLDEN = json.loads((CLIP / "golden.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with its card beside it."""
    path = image_encoder(tmp_path_factory.mktemp("model") / "model.onnx")
    write_card(path.with_suffix(".json"), size=32, resize_to=40, parameters=99)
    return path


class TestFileWithCard(EmbedderContract):
    @pytest.fixture
    def opener(self, file: Path) -> Callable[[Path], Embedder]:
        return lambda cache: open_onnx(file, cache)


class TestClipFolder(TextEmbedderContract):
    @pytest.fixture
    def opener(self, tmp_path: Path) -> Callable[[Path], Embedder]:
        return lambda cache: open_onnx(CLIP, cache)

    def test_its_card_agrees_with_it(self, embedder: Embedder) -> None:
        assert isinstance(embedder, OnnxEmbedder)
        # No file of that layout counts the weights.
        assert embedder.card.parameters == 0
        assert (embedder.card.name, embedder.card.dimension) == (embedder.name, embedder.dimension)
        assert embedder.card.capabilities == ("images", "texts")


def clip(cache: Path) -> Any:
    found = open_embedder(f"onnx:{CLIP}", cache)
    assert isinstance(found, TextEmbedder)
    return found


def test_images_of_a_clip_folder_are_those_of_transformers(cache: Path) -> None:
    images = [Image.open(textile_simulated_root() / name).convert("RGB") for name in GOLDEN["files"]]
    images.append(images[0].crop(tuple(GOLDEN["crop"])))
    np.testing.assert_allclose(clip(cache).embed(images), GOLDEN["images"], atol=1e-4)


def test_texts_of_a_clip_folder_are_those_of_transformers(cache: Path) -> None:
    said = [row for row, text in enumerate(GOLDEN["texts"]) if text.strip()]
    found = clip(cache).embed_texts([GOLDEN["texts"][row] for row in said])
    np.testing.assert_allclose(found, np.array(GOLDEN["text_vectors"])[said], atol=1e-4)


@pytest.mark.parametrize("number", range(len(GOLDEN["texts"])))
def test_tokens_are_those_of_transformers(number: int) -> None:
    numbers, _ = Tokens(CLIP / "tokenizer.json", 20)(GOLDEN["texts"][number])
    assert list(numbers) == GOLDEN["tokens"][number]


def test_the_two_files_may_lie_in_the_folder_itself(tmp_path: Path, cache: Path) -> None:
    shutil.copytree(CLIP, tmp_path / "flat")
    for name in ("vision_model.onnx", "text_model.onnx"):
        (tmp_path / "flat" / "onnx" / name).rename(tmp_path / "flat" / name)
    found = open_onnx(tmp_path / "flat", cache)
    np.testing.assert_array_equal(embed(found, [picture(60, 70)]), embed(clip(cache), [picture(60, 70)]))
    assert found.fingerprint == clip(cache).fingerprint


def test_the_text_side_has_no_part_in_the_fingerprint_of_images(tmp_path: Path, cache: Path) -> None:
    shutil.copytree(CLIP, tmp_path / "other")
    text_encoder(tmp_path / "other" / "onnx" / "text_model.onnx", vocabulary=2000, width=12)
    other = open_onnx(tmp_path / "other", cache)
    assert isinstance(other, TextEmbedder)
    assert other.fingerprint == clip(cache).fingerprint
    assert other.text_fingerprint != clip(cache).text_fingerprint


def test_without_a_text_side_a_folder_embeds_images_alone(tmp_path: Path, cache: Path) -> None:
    shutil.copytree(CLIP, tmp_path / "images")
    (tmp_path / "images" / "onnx" / "text_model.onnx").unlink()
    found = open_onnx(tmp_path / "images", cache)
    assert not isinstance(found, TextEmbedder)
    assert found.card.capabilities == ("images",)


def test_a_graph_of_a_fixed_batch_gives_the_same(file: Path, tmp_path: Path, cache: Path) -> None:
    pictures = [picture(50, 60, seed) for seed in range(5)]
    expected = embed(open_onnx(file, cache), pictures)
    for batch in (1, 3):
        path = image_encoder(tmp_path / f"fixed{batch}.onnx", batch=batch)
        write_card(path.with_suffix(".json"), size=32, resize_to=40)
        found = open_onnx(path, cache)
        assert found.batch_size == batch
        np.testing.assert_allclose(embed(found, pictures), expected, atol=1e-5)


def test_colours_last_and_half_precision_are_fed_right(file: Path, tmp_path: Path, cache: Path) -> None:
    expected = embed(open_onnx(file, cache), [picture(50, 60)])
    path = image_encoder(tmp_path / "last.onnx", nhwc=True)
    write_card(path.with_suffix(".json"), size=32, resize_to=40, layout="NHWC")
    np.testing.assert_allclose(embed(open_onnx(path, cache), [picture(50, 60)]), expected, atol=1e-5)
    path = image_encoder(tmp_path / "half.onnx", type_=TensorProto.FLOAT16)
    write_card(path.with_suffix(".json"), size=32, resize_to=40)
    np.testing.assert_allclose(embed(open_onnx(path, cache), [picture(50, 60)]), expected, atol=2e-2)


def test_several_sizes_lie_end_to_end_and_mirrored_ones_are_averaged(tmp_path: Path, cache: Path) -> None:
    path = image_encoder(tmp_path / "open.onnx", side=None)  # type: ignore[arg-type]
    write_card(path.with_suffix(".json"), sizes=[32, 64], mirrored=[32], resize="squash", groups=[10, 10])
    both = open_onnx(path, cache)
    write_card(path.with_suffix(".json"), size=64, resize="squash")
    large = open_onnx(path, cache)
    write_card(path.with_suffix(".json"), size=32, resize="squash")
    small = open_onnx(path, cache)
    image = picture(90, 70)
    (found,) = embed(both, [image])
    np.testing.assert_allclose(found[10:], embed(large, [image])[0], atol=1e-6)
    mirrored = embed(small, [image, np.ascontiguousarray(image[:, ::-1])]).mean(axis=0)
    np.testing.assert_allclose(found[:10], mirrored, atol=1e-6)
    assert groups_of(both) == (slice(0, 10), slice(10, 20))
    assert len({both.fingerprint, large.fingerprint, small.fingerprint}) == 3


def test_tokens_are_pooled_as_the_card_says(tmp_path: Path, cache: Path) -> None:
    path = image_encoder(tmp_path / "tokens.onnx", shape="tokens", output="last_hidden_state")
    write_card(path.with_suffix(".json"), size=32)
    with pytest.raises(WeightsInvalid, match=r"the shape \[1, 16, 10\], and not images × numbers"):
        open_onnx(path, cache)
    write_card(path.with_suffix(".json"), size=32, pool="mean")
    rows = image_encoder(tmp_path / "rows.onnx")
    write_card(rows.with_suffix(".json"), size=32)
    expected = embed(open_onnx(rows, cache), [picture(40, 40)])
    np.testing.assert_allclose(embed(open_onnx(path, cache), [picture(40, 40)]), expected, atol=1e-5)


def with_external_data(file: Path, folder: Path) -> Path:
    folder.mkdir()
    onnx.save(
        onnx.load(file),
        folder / "model.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    shutil.copy(file.with_suffix(".json"), folder / "model.json")
    return folder / "model.onnx"


def test_tensors_beside_the_graph_are_read_and_belong_to_the_fingerprint(
    file: Path, tmp_path: Path, cache: Path
) -> None:
    path = with_external_data(file, tmp_path / "external")
    found = open_onnx(path, cache)
    expected = embed(open_onnx(file, cache), [picture(40, 40)])
    np.testing.assert_array_equal(embed(found, [picture(40, 40)]), expected)
    data = path.with_name("weights.bin")
    content = bytearray(data.read_bytes())
    content[5] ^= 1
    data.write_bytes(content)
    assert open_onnx(path, cache).fingerprint != found.fingerprint
    data.unlink()
    with pytest.raises(WeightsInvalid, match=r"its tensors lie in weights\.bin, which is not beside it"):
        open_onnx(path, cache)


def test_the_path_has_no_part_in_the_fingerprint_and_the_card_has(
    file: Path, tmp_path: Path, cache: Path
) -> None:
    shutil.copytree(file.parent, tmp_path / "moved")
    moved = open_onnx(tmp_path / "moved" / file.name, cache)
    assert moved.fingerprint == open_onnx(file, cache).fingerprint
    assert moved.name == f"onnx:{tmp_path / 'moved' / file.name}"
    write_card(tmp_path / "moved" / "model.json", size=32, resize_to=41)
    assert open_onnx(tmp_path / "moved" / file.name, cache).fingerprint != moved.fingerprint


BAD_CARDS: dict[str, tuple[Any, str]] = {
    "no JSON": ("{", "the card cannot be read"),
    "no object": ("[]", "no JSON object"),
    "a slip": ({"sise": 3}, r"no key 'sise': a card has .* size"),
    "no size": ({}, "the card says no size"),
    "size of nothing": ({"size": 0}, "size is 0, and not a number of pixels"),
    "oblong": ({"size": [32, 40]}, "one number, or two with resize squash"),
    "crop of more": ({"size": 32, "resize_to": 16}, "resize_to is 16, and not at least the size"),
    "no deviation": ({"size": 32, "deviation": [0.2, 0, 0.2]}, "three numbers above 0"),
    "two means": ({"size": 32, "mean": [0.2, 0.2]}, r"mean is \[0.2, 0.2\], and not 3 numbers"),
    "a filter of its own": (
        {"size": 32, "interpolation": "cubic"},
        'interpolation is "cubic", and not one of',
    ),
    "another output": ({"size": 32, "output": "logits"}, "no output 'logits': it has features"),
    "another input": ({"size": 32, "input": "x"}, "no input 'x': it has pixel_values"),
    "another size": ({"size": 40}, "the graph refuses its input"),
    "groups of less": ({"size": 32, "groups": [4, 4]}, "its groups have 8 columns, its features 10"),
    "half a text side": ({"size": 32, "text": {"model": "t.onnx"}}, "text.tokenizer is null, and not a text"),
    "no text model": (
        {"size": 32, "text": {"model": "t.onnx", "tokenizer": "t.json", "length": 5}},
        "t.onnx is missing",
    ),
}


@pytest.mark.parametrize("kind", BAD_CARDS)
def test_a_card_that_makes_no_sense_is_told(file: Path, tmp_path: Path, cache: Path, kind: str) -> None:
    content, message = BAD_CARDS[kind]
    path = Path(shutil.copy(file, tmp_path))
    if isinstance(content, str):
        path.with_suffix(".json").write_text(content)
    else:
        write_card(path.with_suffix(".json"), **content)
    with pytest.raises(WeightsInvalid, match=message) as raised:
        open_onnx(path, cache)
    assert "\n" not in str(raised.value)
    assert outcome(raised.value).exit_code == 1


def test_what_is_no_model_is_told(file: Path, tmp_path: Path, cache: Path) -> None:
    with pytest.raises(PathNotFound, match="no such file"):
        open_embedder(f"onnx:{tmp_path / 'gone'}", cache)
    with pytest.raises(WeightsInvalid, match=r"no ONNX model: neither lookalike\.json nor vision_model"):
        open_onnx(tmp_path, cache)
    alone = Path(shutil.copy(file, tmp_path / "alone.onnx"))
    with pytest.raises(WeightsInvalid, match=r'needs a card beside it, alone\.json, such as \{"size": 224'):
        open_onnx(alone, cache)
    write_card(alone.with_suffix(".json"), size=32)
    alone.write_bytes(b"no graph")
    with pytest.raises(WeightsInvalid, match="ONNX Runtime cannot load it"):
        open_onnx(alone, cache)
    image_encoder(alone, extra=["mask"])
    with pytest.raises(WeightsInvalid, match="needs the input mask too"):
        open_onnx(alone, cache)


def test_a_processor_with_steps_of_its_own_is_refused(tmp_path: Path, cache: Path) -> None:
    shutil.copytree(CLIP, tmp_path / "clip")
    path = tmp_path / "clip" / "preprocessor_config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps({**settings, "crop_pct": 0.875}))
    with pytest.raises(WeightsInvalid, match="crop_pct is not done here"):
        open_onnx(tmp_path / "clip", cache)
    path.write_text(json.dumps({"size": 48}))
    with pytest.raises(WeightsInvalid, match="image_mean"):
        open_onnx(tmp_path / "clip", cache)
    path.unlink()
    with pytest.raises(WeightsInvalid, match=r"neither lookalike\.json nor preprocessor_config\.json"):
        open_onnx(tmp_path / "clip", cache)


def test_texts_of_another_dimension_are_refused(tmp_path: Path, cache: Path) -> None:
    shutil.copytree(CLIP, tmp_path / "clip")
    text_encoder(tmp_path / "clip" / "onnx" / "text_model.onnx", vocabulary=2000)
    found: Any = open_onnx(tmp_path / "clip", cache)
    with pytest.raises(WeightsInvalid, match=f"texts have {DIMENSION} numbers, images 12"):
        found.embed_texts(["a"])


def test_a_text_graph_of_fixed_length_is_filled_up_and_its_mask_leaves_that_out(
    tmp_path: Path, cache: Path
) -> None:
    vectors = []
    for number, length in enumerate(("tokens", 20)):
        folder = tmp_path / str(number)
        shutil.copytree(CLIP, folder)
        graph = folder / "onnx" / "text_model.onnx"
        text_encoder(graph, vocabulary=2000, length=length, mask=True, width=12)  # type: ignore[arg-type]
        found: Any = open_onnx(folder, cache)
        vectors.append(found.embed_texts(["a photo", "weld " * 100]))
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-5)


def test_a_damaged_tokenizer_is_told_when_the_first_text_comes(tmp_path: Path, cache: Path) -> None:
    shutil.copytree(CLIP, tmp_path / "clip")
    (tmp_path / "clip" / "tokenizer.json").write_text("{}")
    found: Any = open_onnx(tmp_path / "clip", cache)
    assert embed(found, [picture(30, 30)]).shape == (1, 12)
    with pytest.raises(WeightsInvalid, match=r"tokenizer\.json: no tokenizer that can be read"):
        found.embed_texts(["a"])


def test_a_device_that_is_not_there_is_refused(file: Path, cache: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        on_gpu, on_cpu = (open_onnx(file, cache, device) for device in ("cuda", "cpu"))
        np.testing.assert_allclose(embed(on_gpu, [picture(9, 9)]), embed(on_cpu, [picture(9, 9)]), atol=1e-3)
        return
    with pytest.raises(InvalidArgument, match=r"device cuda: .* runs on the CPU only"):
        open_embedder("efficientnet-lite0", cache, device="cuda")


@pytest.mark.parametrize("name", ["timm:", "onnx:", "open_clip:"])
def test_a_family_without_a_name_says_how_it_is_written(name: str, cache: Path) -> None:
    with pytest.raises(InvalidArgument, match=f"write {name}"):
        open_embedder(name, cache)


def test_weights_are_for_models_of_the_hub(file: Path, cache: Path) -> None:
    for name in (f"onnx:{file}", "efficientnet-lite0"):
        with pytest.raises(InvalidArgument, match="--weights is for models of the hub"):
            open_embedder(name, cache, weights=file.parent)


def test_without_torch_its_models_name_what_to_install(tmp_path: Path) -> None:
    """In a process that cannot import torch, whether it is installed or not."""
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(['torch', 'timm', 'open_clip', 'sentence_transformers']))\n"
        "from pathlib import Path; from lookalike.embedders.registry import open_embedder\n"
        "from lookalike.errors import ExtraMissing\n"
        "for name in ('timm:densenet121.tv_in1k', 'open_clip:ViT-B-32/openai', 'sentence-transformers:a'):\n"
        "    try: open_embedder(name, Path(sys.argv[1]))\n"
        "    except ExtraMissing as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.count("pip install 'lookalike[torch]'") == 3, done


def test_known_models_say_what_they_are_without_a_network(tmp_path: Path) -> None:
    note_speed(tmp_path, "timm:densenet121.tv_in1k", 100, 4.0)
    found = known_cards(tmp_path)
    assert found["efficientnet-lite0"].here
    assert found["timm:densenet121.tv_in1k"].images_per_second == 25
    clip_card = found["sentence-transformers:clip-ViT-B-32+clip-ViT-B-32-multilingual-v1"]
    assert clip_card.capabilities == ("images", "texts")
    assert "Apache-2.0" in clip_card.licence
    assert all(card.licence and card.dimension and card.parameters and card.source for card in found.values())


def test_speeds_are_kept_and_nonsense_is_not(tmp_path: Path) -> None:
    note_speed(tmp_path, "a", 3, 1.0)
    note_speed(tmp_path, "b", 100, 0.0)
    assert known_speeds(tmp_path) == {}
    note_speed(tmp_path, "a", 100, 2.0)
    note_speed(tmp_path, "b", 100, 1.0)
    assert known_speeds(tmp_path) == {"a": 50, "b": 100}
    (tmp_path / "models" / "speeds.json").write_text("[")
    assert known_speeds(tmp_path) == {}
    note_speed(tmp_path, "a", 100, 4.0)
    assert known_speeds(tmp_path) == {"a": 25}
    blocked = tmp_path / "a file"
    blocked.touch()
    note_speed(blocked, "a", 100, 4.0)


def test_every_refusal_is_an_error_of_ours_and_one_line(tmp_path: Path, cache: Path) -> None:
    write_card(tmp_path / "lookalike.json", size=3)
    with pytest.raises(LookalikeError, match="model is null, and not a text"):
        open_onnx(tmp_path, cache)
