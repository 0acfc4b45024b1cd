"""Files of models that strangers bring: cards, the hub's settings and graphs, good, odd and made to harm."""

from __future__ import annotations

import json
import math
import resource
import shutil
import string
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from lookalike.embedders.onnx import embedder as onnx_embedder
from lookalike.embedders.onnx import runtime
from lookalike.embedders.onnx.embedder import open_onnx
from lookalike.embedders.onnx.folder import find_model, read_preprocessing
from lookalike.embedders.onnx.model_documents import MOST_BYTES, MOST_PIXELS, MOST_SIZES, CardFields
from lookalike.embedders.text.tokens import Tokens
from lookalike.errors import LookalikeError, WeightsInvalid
from lookalike.testing.embedders import embed, picture
from tests.onnx_graphs import DIMENSION, IMAGENET, image_encoder, text_encoder, write_card

CLIP = Path(__file__).parents[1] / "data" / "clip"
TEXT = {"model": "text.onnx", "tokenizer": "tokenizer.json", "length": 20}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a graph, a text graph and a tokenizer, whose card each test writes anew."""
    path = tmp_path_factory.mktemp("models") / "model"
    image_encoder(path / "model.onnx")
    text_encoder(path / "text.onnx", vocabulary=2000)
    shutil.copy(CLIP / "tokenizer.json", path)
    return path


def told(call: Callable[[], Any]) -> str:
    """Return the one line of the error of ours that a call ends in."""
    with pytest.raises(WeightsInvalid) as raised:
        call()
    line = str(raised.value)
    assert line.isprintable()
    assert len(line) < 1_500
    return line


def written(values: dict[str, Any]) -> str:
    """Return JSON in which infinity is a number, as any number is that is too large."""
    return json.dumps(values).replace("Infinity", "1e999")


# --- cards


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"mirrored": 5}, "mirrored is 5,"),
        ({"mirrored": [31]}, "mirrored is [31],"),
        ({"mirrored": [True]}, "mirrored is [true],"),
        ({"mirrored": [32] * 100_000}, "mirrored is [32, 32"),
        ({"mirrored": {"32": 1}}, 'mirrored is {"32": 1},'),
        ({"size": None, "sizes": None}, "size is null,"),
        ({"sizes": None}, "sizes is null,"),
        ({"fill": None}, "fill is null,"),
        ({"text": {**TEXT, "pad_to": None}}, "text.pad_to is null,"),
        ({"sizes": []}, "sizes is [],"),
        ({"sizes": [32] * 100_000}, "sizes is [32, 32"),
        ({"sizes": [32] * (MOST_SIZES + 1)}, "sizes is [32, 32"),
        ({"sizes": 32}, "sizes is 32,"),
        ({"sizes": [[32, 32, 32]]}, "sizes is [[32, 32, 32]],"),
        ({"size": 10**30}, "size is 1000000000000000000000000000000,"),
        ({"size": MOST_PIXELS + 1}, "size is 4097,"),
        ({"size": 32.5}, "size is 32.5,"),
        ({"size": 32.0}, "size is 32.0,"),
        ({"size": True}, "size is true,"),
        ({"size": "32"}, 'size is "32",'),
        ({"size": -32}, "size is -32,"),
        ({"size": [32]}, "size is [32],"),
        ({"size": [32, 10**9], "resize": "squash"}, "size is [32, 1000000000],"),
        ({"size": {"height": 32}}, 'size is {"height": 32},'),
        ({"resize_to": 10**9}, "resize_to is 1000000000,"),
        ({"resize_to": [40, "40"]}, 'resize_to is [40, "40"],'),
        ({"interpolation": []}, "interpolation is [],"),
        ({"interpolation": {}}, "interpolation is {},"),
        ({"interpolation": None}, "interpolation is null,"),
        ({"interpolation": 3}, "interpolation is 3,"),
        ({"layout": ["NCHW"]}, 'layout is ["NCHW"],'),
        ({"fill": [1e999, 0, 0]}, "fill is [Infinity, 0, 0],"),
        ({"fill": [256, 0, 0]}, "fill is [256, 0, 0],"),
        ({"fill": [-1, 0, 0]}, "fill is [-1, 0, 0],"),
        ({"fill": [0, 0]}, "fill is [0, 0],"),
        ({"fill": "black"}, 'fill is "black",'),
        ({"scale": 1e999}, "scale is Infinity,"),
        ({"scale": 0}, "scale is 0,"),
        ({"scale": 1e300}, "scale is 1e+300,"),
        ({"mean": [1e999, 0, 0]}, "mean is [Infinity, 0, 0],"),
        ({"mean": [1e300, 0, 0]}, "mean is [1e+300, 0, 0],"),
        ({"mean": "0.5"}, 'mean is "0.5",'),
        ({"deviation": [1e-300, 1, 1]}, "deviation is [1e-300, 1, 1],"),
        ({"deviation": [True, 1, 1]}, "deviation is [true, 1, 1],"),
        ({"groups": [0]}, "groups is [0],"),
        ({"groups": [1] * 100_000}, "groups is [1, 1"),
        ({"groups": [True] * 10}, "groups is [true, true"),
        ({"parameters": 10**400}, "parameters is a number of very many digits,"),
        ({"parameters": -1}, "parameters is -1,"),
        ({"licence": "MIT\n\x1b[2J"}, 'licence is "MIT\\n\\u001b[2J",'),
        ({"summary": "x" * 20_000}, 'summary is "xxx'),
        ({"source": ["a"]}, 'source is ["a"],'),
        ({"pool": "max"}, 'pool is "max",'),
        ({"input": ""}, 'input is "",'),
        ({"text": 5}, "text is 5,"),
        ({"text": []}, "text is [],"),
        ({"text": {**TEXT, "length": 0}}, "text.length is 0,"),
        ({"text": {**TEXT, "length": 10**9}}, "text.length is 1000000000,"),
        ({"text": {**TEXT, "pad_to": 10**6}}, "text.pad_to is 1000000,"),
        ({"text": {**TEXT, "tokenizer": "../tokenizer.json"}}, 'text.tokenizer is "../tokenizer.json",'),
        ({"text": {**TEXT, "model": 1}}, "text.model is 1,"),
        ({"text": {**TEXT, "more": 1}}, "no key text.'more'"),
        ({"\x1b[2J\n": 1}, "no key '\\x1b[2J\\n'"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_field_that_is_not_as_it_should_be_is_named(
    folder: Path, values: dict[str, Any], field: str
) -> None:
    card = folder / "lookalike.json"
    card.write_text(written({"size": 32, "model": "model.onnx", **IMAGENET, **values}))
    line = told(lambda: find_model(folder))
    assert str(card) in line
    assert field in line


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[" * 100_000, "recursion limit"),
        (b'{"size": ' * 100_000, "recursion limit"),
        (b'{"size": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "recursion limit"),
        (b'{"size": ' + b"9" * 10_000 + b"}", "out of range"),
        (b'{"size": NaN}', "no JSON"),
        (b'{"size": Infinity}', "no JSON"),
        (b'{"licence": "\\ud800"}', "no JSON"),
        (b"\xff\xfe{\x00}\x00", "no JSON"),
        (b"\x00" * 100, "no JSON"),
        (b"", "no JSON"),
        (b"null", "is no JSON object"),
        (b"{}\n{}", "no JSON"),
        (b"version https://git-lfs.github.com/spec/v1\n", "no JSON"),
        (b" " * (MOST_BYTES + 1), "more than 16 MB"),
    ],
    ids=lambda value: value[:20].decode("latin-1") if isinstance(value, bytes) else value,
)
def test_a_card_that_is_none_is_told(folder: Path, content: bytes, said: str) -> None:
    (folder / "lookalike.json").write_bytes(content)
    assert said in told(lambda: find_model(folder))


def test_a_card_may_begin_with_a_byte_order_mark(folder: Path) -> None:
    card = write_card(folder / "lookalike.json", size=32, model="model.onnx")
    card.write_bytes(b"\xef\xbb\xbf" + card.read_bytes())
    assert find_model(folder).graph == folder / "model.onnx"


def test_a_card_says_all_that_it_may(folder: Path, cache: Path) -> None:
    most = {
        "size": 32, "mirrored": [32], "resize": "squash", "resize_to": [40, 50], "crop": "floor",
        "interpolation": "lanczos", "scale": 1, "fill": [0, 127.5, 255], "layout": "NCHW", "channels": "BGR",
        "model": "model.onnx", "input": "pixel_values", "output": "features", "pool": "mean",
        "text": {**TEXT, "output": "text_embeds", "input": "input_ids", "mask": "m", "pad_to": 20,
                 "pad_token": "<|endoftext|>"},
        "groups": [4, 6], "parameters": 99, "licence": "MIT", "summary": "탱크 …", "source": "here",
        **IMAGENET,
    }  # fmt: skip
    assert set(CardFields.model_fields) - set(most) == {"sizes"}
    write_card(folder / "lookalike.json", **most)
    found: Any = open_onnx(folder, cache)
    assert embed(found, [picture(30, 40)]).shape == (1, DIMENSION)
    assert found.embed_texts(["a"]).shape == (1, DIMENSION)


@pytest.mark.parametrize(
    "name",
    [
        "../other/x.onnx", "/etc/passwd", "..", ".", "a/../../x.onnx", "", "./model.onnx", "a//model.onnx",
        "C:\\model.onnx", "..\\other\\x.onnx", "model.onnx\n", "a\0b", "outside.onnx", "up/x.onnx", "round",
        5, None, ["model.onnx"], "a" * 300, "탱" * 100,
    ],
)  # fmt: skip
def test_a_card_names_files_of_its_own_folder(tmp_path: Path, name: Any) -> None:
    other = image_encoder(tmp_path / "other" / "x.onnx")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "outside.onnx").symlink_to(other)
    (folder / "up").symlink_to(tmp_path / "other")
    (folder / "round").symlink_to(folder / "round")
    write_card(folder / "lookalike.json", size=32, model=name)
    assert "model is" in told(lambda: find_model(folder))
    write_card(folder / "lookalike.json", size=32, model="model.onnx", text={**TEXT, "model": name})
    shutil.copy(other, folder / "model.onnx")
    assert "text.model is" in told(lambda: find_model(folder))


def test_a_card_may_name_a_file_in_a_folder_below_and_in_the_cache_of_the_hub(
    tmp_path: Path, cache: Path
) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "0123"
    image_encoder(blobs / "abc")
    write_card(blobs / "def", size=32, model="onnx/model.onnx")
    (snapshot / "onnx").mkdir(parents=True)
    (snapshot / "onnx" / "model.onnx").symlink_to(blobs / "abc")
    (snapshot / "lookalike.json").symlink_to(blobs / "def")
    assert open_onnx(snapshot, cache).dimension == DIMENSION


# --- the hub's files


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"size": 10**30}, "size is"),
        ({"size": {"shortest_edge": "48"}}, "size is"),
        ({"size": {"height": 48}}, "size has neither"),
        ({"size": {"height": 48, "width": 1e999}}, "size is"),
        ({"size": []}, "size is"),
        ({"size": None}, "size is null"),
        ({"size": {"shortest_edge": 9000}}, "size is"),
        ({"crop_size": "x"}, 'crop_size is "x"'),
        ({"crop_size": {"height": 10**9, "width": 1}}, "crop_size is"),
        ({"crop_size": {"height": 1}}, "crop_size has no"),
        ({"crop_size": 4000}, "crop_size is"),
        ({"image_mean": [1e999, 0, 0]}, "image_mean is"),
        ({"image_mean": None}, "image_mean is null"),
        ({"image_std": [0, 1, 1]}, "image_std is"),
        ({"image_std": 5}, "image_std is 5"),
        ({"rescale_factor": 1e999}, "rescale_factor is"),
        ({"rescale_factor": "x"}, "rescale_factor is"),
        ({"resample": 99}, "resample is 99"),
        ({"resample": "bicubic"}, "resample is"),
        ({"do_center_crop": "yes"}, "do_center_crop is"),
        ({"image_processor_type": {}}, "image_processor_type is"),
    ],
)
def test_a_processor_that_is_not_as_it_should_be_is_named(
    tmp_path: Path, values: dict[str, Any], field: str
) -> None:
    path = tmp_path / "preprocessor_config.json"
    given_ = json.loads((CLIP / path.name).read_text())
    path.write_text(written({**given_, **values}))
    line = told(lambda: read_preprocessing(tmp_path))
    assert str(path) in line
    assert field in line


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", {"text_config": []}),
        ("config.json", {"text_config": {"max_position_embeddings": "77"}}),
        ("config.json", {"model_type": 5}),
        ("tokenizer_config.json", {"pad_token": {"content": []}}),
        ("tokenizer_config.json", {"pad_token": 5}),
        ("tokenizer_config.json", {"model_max_length": []}),
        ("tokenizer_config.json", []),
    ],
)
def test_so_is_a_text_side(tmp_path: Path, name: str, content: Any) -> None:
    shutil.copytree(CLIP, tmp_path / "clip")
    (tmp_path / "clip" / name).write_text(json.dumps(content))
    assert name in told(lambda: find_model(tmp_path / "clip"))


def test_a_text_without_a_limit_has_that_of_the_network(tmp_path: Path) -> None:
    shutil.copytree(CLIP, tmp_path / "clip")
    for limit, context, length in ((10**30, 20, 20), (12, 20, 12), (None, 20, 20), (10**30, None, 77)):
        config = {"text_config": {"max_position_embeddings": context}}
        (tmp_path / "clip" / "config.json").write_text(json.dumps(config))
        (tmp_path / "clip" / "tokenizer_config.json").write_text(json.dumps({"model_max_length": limit}))
        text = find_model(tmp_path / "clip").text
        assert text is not None
        assert text.length == length


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        {"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "[UNK]"}},
        {"version": "1.0", "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "[UNK]"}},
        {"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 10**30}, "merges": []}},
        {"version": "1.0", "model": {"type": "BPE", "vocab": {}, "merges": ["a b"]}},
        {"version": "1.0", "model": {"type": "Unigram", "unk_id": 5, "vocab": []}},
    ],
)
def test_a_tokenizer_fails_with_an_error_of_ours(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "tokenizer.json"
    if isinstance(content, dict) and "model" in content:
        content = {**dict.fromkeys(("normalizer", "pre_tokenizer", "post_processor", "decoder")), **content}
        content |= {"added_tokens": []}
    path.write_text(json.dumps(content))

    def ask() -> Any:
        return Tokens(path, 20)("b unlike anything")

    try:
        numbers, mask = ask()
    except LookalikeError:
        assert str(path) in told(ask)
    else:
        assert len(numbers) == len(mask)


# --- any bytes, any JSON

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-5, 5000), st.floats(), _TEXTS,
    st.sampled_from(["model.onnx", "../x", "squash", "NCHW", 10**30, 1e999, -1, 32, "", "\x1b"]),
)  # fmt: skip
_ANY = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_TEXTS, inner, max_size=4)),
    max_leaves=12,
)
_FIELDS = st.sampled_from([*CardFields.model_fields, "other"])
_HUB = ("preprocessor_config.json", "config.json", "tokenizer_config.json", "processor_config.json")
_HUB_FIELDS = st.sampled_from(
    [
        *(
            "size",
            "crop_size",
            "do_center_crop",
            "do_normalize",
            "do_rescale",
            "rescale_factor",
            "image_mean",
        ),
        *("image_std", "resample", "image_processor_type", "do_pad", "crop_pct", "image_processor"),
        *("model_type", "text_config", "model_max_length", "pad_token"),
    ]
)
fuzzed = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def holds(call: Callable[[], Any]) -> Any:
    """Check that a call gives something or an error of ours in one line, and nothing else."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return call()
        except LookalikeError as error:
            line = str(error)
    assert line.isprintable()
    assert len(line) < 2_000
    return None


@fuzzed
@given(st.dictionaries(_FIELDS, _ANY, max_size=3))
@example({"mirrored": 5})
@example({"sizes": None})
def test_any_value_in_any_field_of_a_card(folder: Path, values: dict[str, Any]) -> None:
    good = {"size": 32, "model": "model.onnx", "text": TEXT, **IMAGENET}
    (folder / "lookalike.json").write_text(json.dumps({**good, **values}))
    found = holds(lambda: find_model(folder))
    if found is not None:
        for view in found.views:
            assert max(view.preprocessing.size) <= MOST_PIXELS
            assert all(math.isfinite(n) for n in (*view.preprocessing.mean, *view.preprocessing.deviation))
        assert all(
            file.resolve().parent == folder.resolve()
            for file in (found.graph, *([found.text.graph, found.text.tokenizer] if found.text else []))
        )


@fuzzed
@given(st.one_of(st.binary(max_size=200), _ANY.map(lambda value: json.dumps(value).encode())))
def test_any_bytes_and_any_document_as_a_card(folder: Path, content: bytes) -> None:
    (folder / "lookalike.json").write_bytes(content)
    holds(lambda: find_model(folder))


@fuzzed
@given(st.integers(0, 2_000), st.binary(min_size=1, max_size=3))
def test_a_good_card_with_damage(folder: Path, place: int, damage: bytes) -> None:
    card = write_card(folder / "lookalike.json", size=32, model="model.onnx", text=TEXT, fill=[1, 2, 3])
    content = bytearray(card.read_bytes())
    place %= len(content)
    content[place : place + len(damage)] = damage
    card.write_bytes(content)
    holds(lambda: find_model(folder))


@pytest.fixture(scope="module")
def hub_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(CLIP, tmp_path_factory.mktemp("hub") / "clip"))


@fuzzed
@given(st.sampled_from(_HUB), st.dictionaries(_HUB_FIELDS, _ANY, max_size=3))
def test_any_value_in_any_field_of_the_hub_s_files(
    hub_folder: Path, name: str, values: dict[str, Any]
) -> None:
    for each in _HUB:
        (hub_folder / each).unlink(missing_ok=True)
        if (CLIP / each).is_file():
            shutil.copy(CLIP / each, hub_folder / each)
    known = json.loads((CLIP / name).read_text()) if (CLIP / name).is_file() else {}
    (hub_folder / name).write_text(json.dumps({**known, **values}))
    holds(lambda: find_model(hub_folder))


@fuzzed
@given(st.sampled_from(_HUB), st.binary(max_size=100))
def test_any_bytes_as_the_hub_s_files(hub_folder: Path, name: str, content: bytes) -> None:
    (hub_folder / name).write_bytes(content)
    holds(lambda: find_model(hub_folder))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "resize": st.sampled_from(["shortest", "squash", "longest"]),
            "resize_to": st.integers(1, 200) | st.lists(st.integers(1, 200), min_size=2, max_size=2),
            "crop": st.sampled_from(["floor", "round"]),
            "interpolation": st.sampled_from(["nearest", "box", "hamming", "lanczos"]),
            "scale": st.floats(1e-9, 1e9),
            "mean": st.lists(st.floats(-1e9, 1e9), min_size=3, max_size=3),
            "deviation": st.lists(st.floats(1e-9, 1e9), min_size=3, max_size=3),
            "fill": st.lists(st.floats(0, 255), min_size=3, max_size=3),
            "channels": st.sampled_from(["RGB", "BGR"]),
            "mirrored": st.just([32]),
            "pool": st.sampled_from(["first", "mean"]),
        },
    ),
    st.sampled_from([(1, 1), (1, 300), (300, 1), (40, 50)]),
)
def test_every_card_that_is_taken_can_be_worked_with(
    folder: Path, cache: Path, values: dict[str, Any], shape: tuple[int, int]
) -> None:
    write_card(folder / "lookalike.json", **{"size": 32, "model": "model.onnx", **values})
    found = holds(lambda: open_onnx(folder, cache))
    if found is not None:
        vectors = holds(lambda: embed(found, [picture(*shape)]))
        assert vectors is None or vectors.shape == (1, DIMENSION)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=8))
def test_a_graph_with_damage(folder: Path, cache: Path, place: int, damage: bytes) -> None:
    content = bytearray((folder / "model.onnx").read_bytes())
    place %= len(content)
    content[place : place + len(damage)] = damage
    path = folder / "damaged.onnx"
    path.write_bytes(content)
    write_card(path.with_suffix(".json"), size=32)
    found = holds(lambda: open_onnx(path, cache))
    if found is not None:
        holds(lambda: embed(found, [picture(30, 40)]))


# --- graphs

_node = helper.make_node
_ONE = {"one": np.array([1, 1], np.int64), "ten": np.array([1, 10], np.int64)}
# The mean of all pixels, 1 × 1.
_MEAN = [_node("ReduceMean", ["pixel_values"], ["m"], keepdims=0), _node("Reshape", ["m", "one"], ["mean"])]
_BIG = 3_000_000_000


def graph(
    path: Path, nodes: list[Any], out: list[Any], constants: dict[str, Any], batch: int | str = "n"
) -> Path:
    """Write a graph from the mean of the pixels, and a card."""
    made = helper.make_graph(
        [*_MEAN, *nodes],
        "strange",
        [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, [batch, 3, 32, 32])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, out)],
        [numpy_helper.from_array(value, name) for name, value in {**_ONE, **constants}.items()],
    )
    model = helper.make_model(made, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    onnx.save(model, path)
    write_card(path.with_suffix(".json"), size=32)
    return path


@pytest.mark.parametrize("out", [[1, _BIG], [None, None]])
def test_a_graph_with_billions_of_outputs_is_refused_before_it_runs(
    tmp_path: Path, cache: Path, out: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def runs(*_: object) -> None:
        raise AssertionError("it runs")

    monkeypatch.setattr(runtime.Graph, "_run", runs)
    nodes = [_node("ConstantOfShape", ["big"], ["zeros"]), _node("Add", ["zeros", "mean"], ["features"])]
    path = graph(tmp_path / "m.onnx", nodes, out, {"big": np.array([1, _BIG], np.int64)})
    assert "features has the shape [1, 3000000000]" in told(lambda: open_onnx(path, cache))
    nodes = [_node("Expand", ["mean", "ten"], ["features"])]
    path = graph(tmp_path / "m.onnx", nodes, [None, 10], {}, batch=10**9)
    assert "pixel_values has the shape [1000000000, 3, 32, 32]" in told(lambda: open_onnx(path, cache))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no limit of memory on this system")
def test_nor_does_one_that_takes_all_memory(tmp_path: Path, cache: Path) -> None:
    """Inside of the graph, and where its size is known only when it runs."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    size = {"big": np.array([1, _BIG], np.int64), "axis": np.array([1], np.int64)}
    nodes = [
        _node("ConstantOfShape", ["big"], ["zeros"]),
        _node("Add", ["zeros", "mean"], ["added"]),
        _node("ReduceSum", ["added", "axis"], ["sum"]),
        _node("Expand", ["sum", "ten"], ["features"]),
    ]
    assert "of memory" in told(lambda: open_onnx(graph(tmp_path / "a.onnx", nodes, [None, 10], size), cache))
    size = {"first": np.array([1], np.int64), "big": np.array([_BIG], np.int64)}
    nodes = [
        _node("Cast", ["mean"], ["whole"], to=TensorProto.INT64),
        _node("Reshape", ["whole", "first"], ["flat"]),
        _node("Abs", ["flat"], ["absolute"]),
        _node("Add", ["absolute", "big"], ["much"]),
        _node("Concat", ["first", "much"], ["shape"], axis=0),
        _node("Expand", ["mean", "shape"], ["features"]),
    ]
    assert "of memory" in told(
        lambda: open_onnx(graph(tmp_path / "b.onnx", nodes, [None, None], size), cache)
    )
    # And then memory is given again as before.
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    path = image_encoder(tmp_path / "good.onnx")
    write_card(path.with_suffix(".json"), size=32)
    assert open_onnx(path, cache).dimension == DIMENSION


def test_nor_does_one_that_never_ends(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_embedder, "TRY_SECONDS", 0.5)
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [_node("Add", ["sum", "sum"], ["more"]), _node("Identity", ["goes"], ["on"])],
        "body",
        [
            value("turn", TensorProto.INT64, []),
            value("goes", TensorProto.BOOL, []),
            value("sum", TensorProto.FLOAT, [1, 1]),
        ],
        [value("on", TensorProto.BOOL, []), value("more", TensorProto.FLOAT, [1, 1])],
    )
    nodes = [
        _node("Loop", ["", "true", "mean"], ["last"], body=body),
        _node("Expand", ["last", "ten"], ["features"]),
    ]
    path = graph(tmp_path / "m.onnx", nodes, [None, 10], {"true": np.array(True)})
    assert "more than 0.5 seconds" in told(lambda: open_onnx(path, cache))


def test_numbers_that_are_none_are_refused(tmp_path: Path, cache: Path) -> None:
    nodes = [
        _node("Expand", ["mean", "ten"], ["wide"]),
        _node("Div", ["wide", "zero"], ["infinite"]),
        _node("Mul", ["infinite", "zero"], ["features"]),
    ]
    path = graph(tmp_path / "m.onnx", nodes, [None, 10], {"zero": np.zeros(1, np.float32)})
    found = open_onnx(path, cache)
    assert "no finite number" in told(lambda: embed(found, [picture(9, 9)]))


@pytest.mark.parametrize("where", ["../weights.bin", "ABSOLUTE", "link.bin", "below/../../weights.bin"])
def test_tensors_outside_of_the_folder_are_not_read(tmp_path: Path, cache: Path, where: str) -> None:
    path = image_encoder(tmp_path / "model" / "m.onnx")
    outside = tmp_path / "weights.bin"
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    outside.write_bytes(tensor.raw_data)
    (path.parent / "link.bin").symlink_to(outside)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", str(outside) if where == "ABSOLUTE" else where
    path.write_bytes(model.SerializeToString())
    write_card(path.with_suffix(".json"), size=32)
    told(lambda: open_onnx(path, cache))


def test_a_text_graph_is_tried_out_as_well(tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "clip"
    shutil.copytree(CLIP, folder)
    path = folder / "onnx" / "text_model.onnx"
    made = helper.make_graph(
        [_node("ConstantOfShape", ["big"], ["text_embeds"])],
        "strange",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["n", "t"])],
        [helper.make_tensor_value_info("text_embeds", TensorProto.FLOAT, [None, None])],
        [numpy_helper.from_array(np.array([1, _BIG], np.int64), "big")],
    )
    onnx.save(helper.make_model(made, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]), path)
    found: Any = open_onnx(folder, cache)
    assert "text_embeds has the shape" in told(lambda: found.embed_texts(["a"]))


def test_letters_of_any_kind_are_shown_in_one_line(folder: Path) -> None:
    for letter in string.whitespace + "\u2028\u202e\x7f\x85":
        write_card(folder / "lookalike.json", size=32, model=f"a{letter}b")
        if letter != " ":
            told(lambda: find_model(folder))
