"""Images are labelled by the names of labels alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lookalike.classification.zero_shot import SCALE, TEMPLATES, label_vectors, name_image
from lookalike.embedders.protocol import TextEmbedder
from lookalike.embedders.registry import open_embedder
from lookalike.errors import InvalidArgument
from lookalike.vectors.metric import normalise
from tests.conftest import CommandLine
from tests.drawings import DRAWINGS, drawn

CLIP = Path(__file__).parents[1] / "data" / "clip"
ENGLISH = ", ".join(each[0].removeprefix("a ").removeprefix("an ") for each in DRAWINGS.values())
KOREAN = ",".join(each[1] for each in DRAWINGS.values())


@pytest.fixture
def things(tmp_path: Path) -> dict[str, Path]:
    files = {name: tmp_path / f"{name}.png" for name in DRAWINGS}
    for name, file in files.items():
        drawn(name).save(file)
    return files


@pytest.mark.parametrize("labels", [ENGLISH, KOREAN])
def test_labels_are_chosen_by_their_names(
    lookalike: CommandLine, things: dict[str, Path], labels: str
) -> None:
    out, err = lookalike("classify", *things.values(), "--labels", labels, "--format", "jsonl")
    found = [json.loads(line) for line in out.splitlines()]
    names = [label.strip() for label in labels.split(",")]
    assert sum(line["label"] == name for line, name in zip(found, names, strict=True)) >= 5
    for line in found:
        assert sum(each["share"] for each in line["labels"]) == pytest.approx(1)
        assert {each["label"] for each in line["labels"]} == set(names)
        ordered = [each["similarity"] for each in line["labels"]]
        assert ordered == sorted(ordered, reverse=True)
        assert line["label"] == line["labels"][0]["label"]
        assert line["model"] == "efficientnet-lite0", "the default, where there is no collection"
    assert "It knows everyday things" in err
    out, _ = lookalike("classify", things["umbrella"], "--labels", "umbrella, 풍선")
    assert "umbrella.png: umbrella (share" in out
    assert "not calibrated" in out


def test_shares_are_those_of_a_softmax_over_the_mean_of_the_templates(cache: Path) -> None:
    model = open_embedder(f"onnx:{CLIP}", cache)
    assert isinstance(model, TextEmbedder)
    templates = ("a photo of a {}", "a drawing of a {}.")
    labels = ("good weld", "bad weld", "용접")
    rows = label_vectors(model, labels, templates)
    for label, row in zip(labels, rows, strict=True):
        each = normalise(model.embed_texts([template.format(label) for template in templates]))
        np.testing.assert_allclose(row, each.mean(axis=0) / np.linalg.norm(each.mean(axis=0)), atol=1e-6)
    image = normalise(model.embed([drawn("balloon")]))[0]
    found = name_image(Path("a.png"), image, labels, rows)
    logits = np.exp(SCALE * (rows.astype(np.float64) @ image))
    expected = dict(zip(labels, logits / logits.sum(), strict=True))
    assert {label: share for label, share, _ in found.labels} == pytest.approx(expected)


def test_the_english_template_is_for_labels_in_plain_letters(cache: Path) -> None:
    model = open_embedder(f"onnx:{CLIP}", cache)
    assert isinstance(model, TextEmbedder)
    rows = label_vectors(model, ["weld", "용접"])
    expected = normalise(model.embed_texts([TEMPLATES[0].format("weld"), "용접"]))
    np.testing.assert_allclose(rows, expected, atol=1e-6)


def test_braces_in_labels_and_templates_are_text(cache: Path) -> None:
    model = open_embedder(f"onnx:{CLIP}", cache)
    assert isinstance(model, TextEmbedder)
    rows = label_vectors(model, ["{0}", "a{}b"], ["{x} of {}"])
    expected = normalise(model.embed_texts(["{x} of {0}", "{x} of a{}b"]))
    np.testing.assert_allclose(rows, expected, atol=1e-6)
    with pytest.raises(InvalidArgument, match="no template"):
        label_vectors(model, ["a", "b"], [])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--labels", "one"], "at least two different ones are needed, not one"),
        (["--labels", "one,one"], "at least two different ones"),
        (["--labels", " , "], "not none"),
        (["--labels", "a,b", "--template", "a photo"], "template 'a photo' has no {}"),
        (["--labels", "a,b", "--by", "label"], "--by says nothing beside --labels"),
        (["--labels", "a,b", "-k", "3"], "-k says nothing beside --labels"),
        (["--labels", "a,b", "--where", "x=1"], "--where says nothing beside --labels"),
        (["--labels", "a,b", "--model", "nothing"], "no model 'nothing'"),
        (["--by", "label", "--template", "{}"], "--template says nothing beside --by"),
        ([], "one is needed"),
    ],
)
def test_what_does_not_go_together_is_told(
    lookalike: CommandLine, things: dict[str, Path], words: list[str], said: str
) -> None:
    out, err = lookalike("classify", things["umbrella"], *words, code=2)
    assert said in err
    assert out == ""


def test_the_model_is_that_of_the_collection_and_must_read_texts(
    lookalike: CommandLine, things: dict[str, Path]
) -> None:
    lookalike("index", *things.values(), "-c", "inspect", "--model", "efficientnet-lite0-inspect")
    words = ("classify", things["umbrella"], "--labels", "umbrella,balloon", "-c", "inspect")
    _, err = lookalike(*words, code=1)
    assert "images cannot be named in words: efficientnet-lite0-inspect reads no texts" in err
    out, _ = lookalike(*words, "--model", f"onnx:{CLIP}", "--format", "jsonl")
    assert json.loads(out)["model"] == f"onnx:{CLIP.resolve()}"


def test_what_cannot_be_read_is_skipped(lookalike: CommandLine, things: dict[str, Path]) -> None:
    words = ("classify", "missing.png", things["umbrella"], "--labels", "umbrella,balloon")
    out, err = lookalike(*words, "--format", "jsonl", code=1)
    assert len(out.splitlines()) == 1
    assert "missing.png: cannot be read" in err
