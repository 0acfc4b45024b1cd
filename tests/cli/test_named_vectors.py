"""Several models in one collection: `index --as`, `--using`, and where words go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import CommandLine
from tests.mean_colours import save

INSPECT = "efficientnet-lite0-inspect"


@pytest.fixture
def some(tmp_path: Path) -> Path:
    """A folder of twelve small pictures in two classes, which no other test has embedded."""
    for seed in range(12):
        save(tmp_path / "some" / ("good" if seed % 2 else "bad") / f"{seed}.png", seed)
    return tmp_path / "some"


@pytest.fixture
def both(lookalike: CommandLine, some: Path) -> CommandLine:
    """A command line whose collection was made for inspection, and has vectors for words beside."""
    lookalike("index", some, "--model", INSPECT)
    lookalike("index", some, "--model", "efficientnet-lite0", "--as", "words")
    return lookalike


def hits(lookalike: CommandLine, *words: str | Path) -> list[dict[str, object]]:
    out, _ = lookalike("search", *words, "--format", "jsonl", "-k", "3")
    return [json.loads(line) for line in out.splitlines()]


def vectors(lookalike: CommandLine) -> dict[str, bool]:
    """Return the vectors of the collection, and whether each is ready."""
    (line,) = map(json.loads, lookalike("collections", "--format", "jsonl")[0].splitlines())
    return {one["name"]: one["ready"] for one in line["vectors"]}


def test_a_further_model_makes_a_further_vector_of_the_same_images(both: CommandLine, some: Path) -> None:
    (line,) = map(json.loads, both("collections", "--format", "jsonl")[0].splitlines())
    assert (line["images"], line["default"], line["embedder"]) == (12, "image", INSPECT)
    assert vectors(both) == {"image": True, "words": True}
    out, _ = both("index", some, "--format", "jsonl")
    assert json.loads(out.splitlines()[-1])["unchanged"] == 12
    save(some / "good" / "new.png", 100)
    both("index", some)  # with both models: no vector is named any more
    (line,) = map(json.loads, both("collections", "--format", "jsonl")[0].splitlines())
    assert line["images"] == 13
    assert vectors(both) == {"image": True, "words": True}


def test_a_search_is_by_the_vector_that_is_named(both: CommandLine, some: Path, tmp_path: Path) -> None:
    query = save(tmp_path / "query.png", 200)
    by_default, by_image, by_words = (
        hits(both, query, *using) for using in ([], ["--using", "image"], ["--using", "words"])
    )
    assert by_default == by_image
    assert [hit["similarity"] for hit in by_words] != [hit["similarity"] for hit in by_image]
    both("index", some, "--collection", "alone", "--model", "efficientnet-lite0")
    assert [hit["similarity"] for hit in hits(both, query, "--collection", "alone")] == [
        hit["similarity"] for hit in by_words
    ]
    out, _ = both("classify", query, "--by", "label", "--using", "words", "--format", "jsonl")
    voters = [each["id"] for each in json.loads(out)["neighbours"]]
    assert voters[:3] == [hit["id"] for hit in by_words]


def test_words_go_to_a_vector_whose_model_reads_them(both: CommandLine) -> None:
    assert hits(both, "a striped cloth") == hits(both, "a striped cloth", "--using", "words")
    _, err = both("search", "a striped cloth", "--using", "image", code=1)
    assert "reads no texts" in err


def test_a_search_by_words_says_which_vector_of_which_model_answered(both: CommandLine, some: Path) -> None:
    said = "searched by the vector 'words', of efficientnet-lite0: the model of 'image', the default vector,"
    out, err = both("search", "a striped cloth", "--format", "jsonl")
    assert said in err
    hit = json.loads(out.splitlines()[0])
    assert (hit["using"], hit["model"]) == ("words", "efficientnet-lite0")
    for words in (["a striped cloth", "--using", "words"], [some / "good" / "1.png"]):
        out, err = both("search", *words, "--format", "jsonl")
        assert "searched by" not in err
        assert json.loads(out.splitlines()[0])["using"] == ("words" if len(words) > 1 else "image")
    both("default", "words")
    assert "searched by" not in both("search", "a striped cloth")[1]


def test_labels_by_their_names_are_read_by_the_model_that_reads_texts(both: CommandLine, some: Path) -> None:
    query = some / "good" / "1.png"
    by_default = both("classify", query, "--labels", "a car,a dog")
    assert by_default == both("classify", query, "--labels", "a car,a dog", "--model", "efficientnet-lite0")


def test_info_shows_each_vector_and_default_chooses_one(both: CommandLine, some: Path) -> None:
    both("index", some, "--approximate")
    both("fit", "--by", "label", "--using", "words")
    out, _ = both("default", "words")
    assert out == "the default vector of images is words\n"
    rows = {line.split()[0]: line for line in both("info")[0].splitlines() if line.strip()}
    assert rows["image"].split()[1:7] == ["ready", INSPECT, "2976", "0.1", "MB", "ivf-rabitq,"]
    assert rows["words"].split()[1:] == ["default", "efficientnet-lite0", "1280", "61.4", "kB", "none"]
    assert rows["fitted"].split()[1:3] == ["ready", "efficientnet-lite0"]
    line = json.loads(both("info", "--format", "jsonl")[0].splitlines()[0])
    assert [(one["name"], one["default"], one["lacking"]) for one in line["vectors"]] == [
        ("image", False, 0),
        ("words", True, 0),
        ("fitted", False, 0),
    ]
    assert line["vectors"][1]["bytes"] == 12 * 1280 * 4
    _, err = both("default", "nothing", code=2)
    assert err == "lookalike: collection 'images' has no vector 'nothing': it has image, words, fitted\n"
    _, err = both("default", "words", "--collection", "none", code=1)
    assert "no collection 'none'" in err


def test_a_fit_is_of_the_vector_that_is_named(both: CommandLine) -> None:
    both("fit", "--by", "label", "--using", "words")
    assert vectors(both) == {"image": True, "words": True, "fitted": True}
    (line,) = map(json.loads, both("collections", "--format", "jsonl")[0].splitlines())
    assert (line["default"], line["embedder"]) == ("fitted", "efficientnet-lite0")
    both("evaluate", "--by", "label", "--using", "image")
    both("fit", "--undo")
    both("delete", "images", "--using", "words")
    assert vectors(both) == {"image": True}


def test_names_that_do_not_fit_are_one_line(both: CommandLine, some: Path) -> None:
    _, err = both("search", some / "good" / "1.png", "--using", "nothing", code=2)
    assert "no vector 'nothing': it has image, words" in err
    _, err = both("index", some, "--model", INSPECT, "--as", "words", code=1)
    assert "words" in err
    _, err = both("index", some, "--model", INSPECT, "--as", "No Name", code=2)
    assert err.count("\n") == 1


def test_images_whose_files_are_gone_keep_a_further_vector_from_being_ready(
    lookalike: CommandLine, some: Path
) -> None:
    gone = save(some / "good" / "gone.png", 4321)  # the other model has not seen it in another test
    lookalike("index", some)
    gone.unlink()
    out, _ = lookalike("index", some, "--model", INSPECT, "--as", "inspect", "--format", "jsonl")
    said = [line["text"] for line in map(json.loads, out.splitlines()) if line["type"] == "remark"]
    assert any("1 record of collection 'images' lacks the vector 'inspect'" in text for text in said), out
    query = some / "good" / "3.png"
    assert vectors(lookalike) == {"image": True, "inspect": False}
    assert "inspect   not complete: 1 image to go" in lookalike("info")[0]
    _, err = lookalike("default", "inspect", code=2)
    assert "'inspect' of collection 'images' is not complete" in err
    _, err = lookalike("search", query, "--using", "inspect", code=2)
    assert "'inspect' of collection 'images' is not complete" in err
    assert hits(lookalike, query)
    lookalike("index", some, "--prune", "--yes")
    assert hits(lookalike, query, "--using", "inspect")
