"""Several models in one collection: `index --as`, `--using`, and where words go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import CommandLine

INSPECT = "efficientnet-lite0-inspect"


@pytest.fixture
def both(lookalike: CommandLine, textile: Path) -> CommandLine:
    """A command line whose collection was made for inspection, and has vectors for words beside."""
    lookalike("index", textile / "local", textile / "global", "--model", INSPECT, "--labels", "folders")
    lookalike("index", textile / "local", "--model", "efficientnet-lite0", "--as", "words")
    return lookalike


def hits(lookalike: CommandLine, *words: str | Path) -> list[dict[str, object]]:
    out, _ = lookalike("search", *words, "--format", "jsonl", "-k", "3")
    return [json.loads(line) for line in out.splitlines()]


def test_a_further_model_makes_a_further_vector_of_the_same_images(both: CommandLine, textile: Path) -> None:
    (line,) = map(json.loads, both("collections", "--format", "jsonl")[0].splitlines())
    assert (line["images"], line["default"]) == (20, "image")
    assert [(one["name"], one["ready"]) for one in line["vectors"]] == [("image", True), ("words", True)]
    out, _ = both("index", textile / "local", "--format", "jsonl")
    assert json.loads(out.splitlines()[-1])["unchanged"] == 20
    both("index", textile / "global")  # with both models: no vector is named any more
    (line,) = map(json.loads, both("collections", "--format", "jsonl")[0].splitlines())
    assert (line["images"], [one["ready"] for one in line["vectors"]]) == (40, [True, True])


def test_a_search_is_by_the_vector_that_is_named(both: CommandLine, textile: Path) -> None:
    query = textile / "global" / "textile_0001.jpg"
    by_default, by_image, by_words = (
        hits(both, query, *using) for using in ([], ["--using", "image"], ["--using", "words"])
    )
    assert by_default == by_image
    assert [hit["similarity"] for hit in by_words] != [hit["similarity"] for hit in by_image]
    both("index", textile / "local", "--collection", "alone")
    assert [hit["similarity"] for hit in hits(both, query, "--collection", "alone")] == [
        hit["similarity"] for hit in by_words
    ]
    out, _ = both("classify", query, "--by", "label", "--using", "words")
    assert "label = local" in out


def test_words_go_to_a_vector_whose_model_reads_them(both: CommandLine) -> None:
    assert hits(both, "a striped cloth") == hits(both, "a striped cloth", "--using", "words")
    _, err = both("search", "a striped cloth", "--using", "image", code=1)
    assert "reads no texts" in err


def test_a_fit_is_of_the_vector_that_is_named(both: CommandLine, textile: Path) -> None:
    both("index", textile)
    both("fit", "--by", "label", "--using", "words")
    (line,) = map(json.loads, both("collections", "--format", "jsonl")[0].splitlines())
    assert [one["name"] for one in line["vectors"]] == ["image", "words", "fitted"]
    assert (line["default"], line["embedder"]) == ("fitted", "efficientnet-lite0")
    out, _ = both("evaluate", "--by", "label", "--using", "image", "--format", "jsonl")
    assert json.loads(out.splitlines()[0])["type"] == "summary"
    both("fit", "--undo")
    both("delete", "images", "--using", "words")
    (line,) = map(json.loads, both("collections", "--format", "jsonl")[0].splitlines())
    assert [one["name"] for one in line["vectors"]] == ["image"]


def test_names_that_do_not_fit_are_one_line(both: CommandLine, textile: Path) -> None:
    query = textile / "global" / "textile_0001.jpg"
    _, err = both("search", query, "--using", "nothing", code=1)
    assert "no vector 'nothing': it has image, words" in err
    _, err = both("index", textile / "local", "--model", INSPECT, "--as", "words", code=1)
    assert "words" in err
    _, err = both("index", textile / "local", "--model", INSPECT, "--as", "No Name", code=2)
    assert err.count("\n") == 1


def test_images_whose_files_are_gone_keep_a_further_vector_from_being_ready(
    lookalike: CommandLine, textile: Path
) -> None:
    lookalike("index", textile / "local")
    gone = textile / "local" / "textile_0001.jpg"
    gone.unlink()
    out, err = lookalike("index", textile / "local", "--model", INSPECT, "--as", "inspect")
    assert "'inspect'" in out + err
    query = textile / "global" / "textile_0001.jpg"
    _, err = lookalike("search", query, "--using", "inspect", code=1)
    assert "inspect" in err
    assert hits(lookalike, query)
    lookalike("index", textile / "local", "--prune", "--yes")
    assert hits(lookalike, query, "--using", "inspect")
