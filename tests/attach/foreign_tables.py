"""Tables as others make them, and what NumPy says of their columns."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import lookalike
from lookalike.stores.query import Query
from lookalike.types import Scalar
from lookalike.vectors.metric import normalise

COLORS = ("red", "blue", "초록")


def numbers(count: int, dimension: int = 8, seed: int = 0) -> NDArray[np.float32]:
    """Return vectors of any length."""
    return np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)


def nearest(query: NDArray[Any], vectors: NDArray[Any], ids: list[Any], k: int) -> list[tuple[str, float]]:
    """Return ids and cosines of the nearest rows, as anybody would compute them."""
    wide, asked = vectors.astype(np.float64), query.astype(np.float64)
    cosines = wide @ asked / np.linalg.norm(wide, axis=1) / np.linalg.norm(asked)
    ranked = sorted(zip(cosines.tolist(), map(str, ids), strict=True), key=lambda hit: (-hit[0], hit[1]))
    return [(identity, cosine) for cosine, identity in ranked[:k]]


def make_items(file: Path, count: int = 60) -> NDArray[np.float32]:
    """Make a table as an application does that keeps NumPy's bytes, and return its vectors."""
    vectors = numbers(count)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 7")
        connection.execute(
            "CREATE TABLE items (item_id INTEGER PRIMARY KEY, image_path TEXT, color TEXT, price REAL,"
            " embedding BLOB, extra TEXT)"
        )
        connection.executemany(
            "INSERT INTO items VALUES (?, ?, ?, ?, ?, ?)",
            [
                (n + 1, f"a/{n}.jpg", COLORS[n % 3], n / 2, row.tobytes(), json.dumps({"kind": "x", "n": n}))
                for n, row in enumerate(vectors)
            ],
        )
        connection.commit()
    return vectors


def ask(
    database: lookalike.Database, name: str, queries: NDArray[Any], k: int = 5, **how: Any
) -> list[list[tuple[str, float]]]:
    found = database.store.nearest(name, Query(normalise(queries), k, **how))
    return [[(hit.record.id, hit.similarity) for hit in hits] for hits in found]


def agree(
    found: list[list[tuple[str, float]]], expected: list[list[tuple[str, float]]], within: float = 1e-6
) -> None:
    for hits, known in zip(found, expected, strict=True):
        assert [one for one, _ in hits] == [one for one, _ in known]
        assert [one for _, one in hits] == pytest.approx([one for _, one in known], abs=within)


class Story:
    """The table of 219 pictures whose part, quality and defect stand in JSON, as `image_demo1` has them."""

    def __init__(self, shared: Path, folder: Path) -> None:
        """Make the pictures, and plain features of them: their grey values in 12 x 12 cells."""
        tool = shared / "tools" / "make_json_sample.py"
        source = shared / "data" / "extrusion"
        if not tool.is_file() or not source.is_dir():
            pytest.skip("make_json_sample.py and the photographs of extrusions are not in ../shared")
        subprocess.run([sys.executable, tool, source, folder], check=True, capture_output=True)
        self.base = folder / "Sample" / "원천데이터"
        self.pictures = sorted(self.base.rglob("*.jpg"))
        self.ids = [3 * n + 1 for n in range(len(self.pictures))]
        self.paths = [str(each.relative_to(self.base)) for each in self.pictures]
        self.documents = [
            json.loads((folder / "Sample" / "라벨링데이터" / path).with_suffix(".json").read_text())
            for path in self.paths
        ]
        self.vectors = np.stack([_cells(each) for each in self.pictures]).astype(np.float64)

    def labels(self, name: str) -> list[str]:
        """Return what the annotations of each picture say."""
        return [one["annotations"][0]["attributes"][name] for one in self.documents]

    def accuracy(self, by: str, within: str) -> float:
        """Return what the story's own loop over the table gives: the nearest other row of the same part."""
        truth, parts = self.labels(by), self.labels(within)
        right = 0
        for row, vector in enumerate(self.vectors):
            others = [n for n, part in enumerate(parts) if n != row and part == parts[row]]
            cosines = self.vectors[others] @ vector / np.linalg.norm(self.vectors[others], axis=1)
            right += truth[others[int(cosines.argmax())]] == truth[row]
        return right / len(truth)


def _cells(picture: Path) -> NDArray[np.float32]:
    with Image.open(picture) as image:
        grey = image.convert("L").resize((12, 12), Image.Resampling.BOX)
        values: NDArray[np.float32] = np.array(grey, np.float32).ravel()
    values -= values.mean() - 1
    return values


@pytest.fixture(scope="session")
def story(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Story:
    return Story(shared, tmp_path_factory.mktemp("story"))


def check_story(database: lookalike.Database, story: Story) -> None:
    """Attach the table and its view, and hold what is evaluated against the story's own loop."""
    for table in ("image_demo1", "image_labels"):
        done = database.attach(table, space="grey values", writable=table == "image_demo1")
        assert (done.tally.records, done.attachment.id.lower()) == (219, "image_id")
        assert sorted(name for name, _ in done.attachment.fields) == ["defect", "part", "quality"]
        for by in ("quality", "defect") if table == "image_demo1" else ("quality",):
            # The loop compares near-duplicates, too.
            evaluation = database[table].evaluate(by=by, within="part", k=1, near_duplicates=False)
            assert evaluation.evaluated == 219
            assert evaluation.accuracy == pytest.approx(story.accuracy(by, "part"))
    demo = database["image_demo1"]
    (record,) = demo.records.get([str(story.ids[5])])
    assert record.metadata == story.documents[5]
    assert {each.value: each.images for each in demo.values()["quality"]} == {
        name: story.labels("quality").count(name) for name in ("양품", "불량")
    }
    # A correction goes to the place in the JSON that the label was read from, and into the view with it.
    wrong = "양품" if record.fields["quality"] == "불량" else "불량"
    demo.correct(record.id, {"quality": wrong})
    (now,) = database["image_labels"].records.get([record.id])
    assert now.fields == {**record.fields, "quality": wrong}
    (again,) = demo.records.get([record.id])
    assert again.metadata["annotations"][0]["attributes"]["quality"] == wrong
    assert again.metadata["images"] == story.documents[5]["images"]
    with pytest.raises(lookalike.StoreReadOnly, match="--writable"):
        database["image_labels"].correct(record.id, {"quality": wrong + "!"})
    with pytest.raises(lookalike.StoreReadOnly, match="no column and no other vector"):
        demo.fit(by="quality")
    with pytest.raises(lookalike.StoreReadOnly, match="lookalike detach image_demo1"):
        demo.delete()
    assert demo.remove([record.id]) == 1
    assert (demo.info().count, database["image_labels"].info().count) == (218, 218)
    assert demo.search(lookalike.RecordId(str(story.ids[6])), k=3).hits
    assert "image_demo1" in database.detach("image_demo1").lower()
    assert [one.name for one in database.attached()] == ["image_labels"]


def check_answers(
    database: lookalike.Database, name: str, vectors: NDArray[Any], labels: Mapping[str, Scalar], by: str
) -> None:
    """Hold what is searched, classified, evaluated and audited against NumPy.

    Args:
        database: with the collection.
        name: of the collection.
        vectors: of its records, in the order of `labels`.
        labels: what each id has in the field `by`.
        by: a field.
    """
    ids, collection = list(labels), database[name]
    agree(
        ask(database, name, vectors[:2] + 0.1, 4),
        [nearest(one + 0.1, vectors, ids, 4) for one in vectors[:2]],
        1e-5,
    )
    wide = normalise(vectors.astype(np.float32)).astype(np.float64)
    cosines = wide @ wide.T
    np.fill_diagonal(cosines, -np.inf)
    best = [ids[place] for place in cosines.argmax(axis=1)]
    found = collection.search(lookalike.RecordId(ids[3]), k=2).hits
    assert [hit.record.id for hit in found] == [ids[3], best[3]]
    (judged,) = collection.classify(lookalike.RecordId(ids[3]), by, k=1)
    assert isinstance(judged, lookalike.Classified)
    voted = judged.prediction
    assert ([each.record.id for each in voted.neighbours], voted.votes) == (
        [best[3]],
        ((labels[best[3]], 1.0),),
    )
    evaluation = collection.evaluate(by=by, k=1, near_duplicates=False)
    assert evaluation.evaluated == len(ids)
    right = sum(labels[one] == labels[other] for one, other in zip(ids, best, strict=True))
    assert evaluation.accuracy == pytest.approx(right / len(ids))
    audit = collection.audit(by)
    assert (audit.images, {each.record.id for each in audit.suspects} <= set(ids)) == (len(ids), True)
