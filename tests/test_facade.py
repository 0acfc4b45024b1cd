"""`lookalike.open`, the database and the handles of its collections."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

import lookalike
from lookalike import (
    CollectionNotFound,
    Database,
    Image,
    ImageNotFound,
    InvalidArgument,
    RecordId,
    SpaceMismatch,
    Text,
    Unanswerable,
    UnusableImage,
)
from lookalike.search.query import Embedding, Sum
from lookalike.uris import local_path
from tests.mean_colours import MeanColours, picture, save


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    """A database with twelve pictures of two kinds in `parts`."""
    with lookalike.open(f"sqlite:///{tmp_path}/parts.db", cache=str(tmp_path / "cache")) as database:
        database.use(MeanColours())
        for seed in range(12):
            save(tmp_path / "pictures" / ("good" if seed % 2 else "bad") / f"{seed}.png", seed)
        database["parts"].index(tmp_path / "pictures", model=MeanColours.name)
        yield database


def named(hits: list[lookalike.Hit]) -> list[str]:
    return [Path(str(local_path(hit.record.uri))).name for hit in hits]


def test_a_handle_needs_no_collection_and_what_asks_it_says_so(db: Database) -> None:
    handle = db["nosuch"]
    assert repr(handle) == f"Collection({db.url!r}, 'nosuch')"
    for ask in (handle.info, handle.vectors.read, handle.fitting, lambda: handle.search(b"")):
        with pytest.raises(CollectionNotFound):
            ask()
    made = db.create("nosuch", model=MeanColours.name)
    assert made.info() == handle.info()
    assert [each.name for each in db.collections()] == ["nosuch", "parts"]


def test_paths_are_texts_or_paths_one_or_several(db: Database, tmp_path: Path) -> None:
    folders = tmp_path / "pictures" / "good", tmp_path / "pictures" / "bad"
    for name, paths in (("a", str(folders[0])), ("b", folders[0]), ("c", folders), ("d", map(str, folders))):
        report = db[name].index(paths, model=MeanColours.name)
        assert report.added == (6 if name < "c" else 12)
    assert db["d"].indexed().folders == tuple(sorted(folders))


def test_a_filter_has_values_or_lists_of_them(db: Database, tmp_path: Path) -> None:
    query = tmp_path / "pictures" / "bad" / "0.png"
    for where in ({"label": "good"}, {"label": ["good"]}, {"label": ("good", "nosuch")}):
        found = db["parts"].search(query, k=12, where=where)
        assert {hit.record.fields["label"] for hit in found.hits} == {"good"}
        assert len(found.hits) == len(db["parts"].vectors.read(where)[0]) == 6


def test_a_path_bytes_a_record_and_an_embedded_image_find_the_same(db: Database, tmp_path: Path) -> None:
    path = tmp_path / "pictures" / "good" / "3.png"
    first = db["parts"].search(path, k=3).hits
    assert named(first)[0] == "3.png"
    assert first[0].similarity == pytest.approx(1, abs=1e-6)
    (embedded,) = db.embed(path, MeanColours.name)
    assert isinstance(embedded, lookalike.PlainVector)
    known = Embedding(embedded.vector, MeanColours.fingerprint, embedded.digest)
    queries: list[Any] = [
        str(path),
        path.read_bytes(),
        Image(path),
        RecordId(first[0].record.id),
        Image("it", known),
    ]
    for query in queries:
        assert named(db["parts"].search(query, k=3).hits) == named(first)
    with pytest.raises(SpaceMismatch):
        db["parts"].search(Image("it", Embedding(embedded.vector, "another model")))


def test_terms_are_added_and_taken_away(db: Database, tmp_path: Path) -> None:
    one, other = tmp_path / "pictures" / "good" / "3.png", tmp_path / "pictures" / "bad" / "4.png"
    found = db["parts"].search(Image(one) - Image(other), k=12)
    assert found.itself == 2
    vectors = {each.name: each.vector for each in db.embed([one, other], MeanColours.name) if each.name}  # type: ignore[union-attr]
    query = vectors[str(one)].astype(np.float64) - vectors[str(other)]
    records, rows = db["parts"].vectors.read()
    expected = dict(
        zip((record.id for record in records), rows @ (query / np.linalg.norm(query)), strict=True)
    )
    assert [hit.similarity for hit in found.hits] == pytest.approx(
        sorted((expected[hit.record.id] for hit in found.hits), reverse=True), abs=1e-5
    )
    with pytest.raises(InvalidArgument, match="cancel each other out"):
        db["parts"].search(Image(one) - Image(one))
    with pytest.raises(InvalidArgument, match="nothing to search for"):
        db["parts"].search(Sum(()))
    with pytest.raises(Unanswerable, match="reads no texts"):
        db["parts"].search(Text("a car"))
    with pytest.raises(ImageNotFound):
        db["parts"].search(RecordId("0" * 32))
    with pytest.raises(UnusableImage):
        db["parts"].search(b"no picture")


def test_terms_are_values() -> None:
    query = Text("car") - (Image("a.jpg") + RecordId("1")) + -Text("night")
    assert [(each.sign, each.term) for each in query.summands] == [
        (1, Text("car")), (-1, Image("a.jpg")), (-1, RecordId("1")), (-1, Text("night")),
    ]  # fmt: skip
    assert query == Text("car") - Image("a.jpg") - RecordId("1") - Text("night")
    back = -query
    assert -back == query
    words: Any = "night"
    with pytest.raises(TypeError, match="unsupported operand"):
        Text("car") + words


def test_images_of_all_kinds_are_classified_in_their_order(db: Database, tmp_path: Path) -> None:
    path = tmp_path / "pictures" / "good" / "3.png"
    identity = db["parts"].search(path, k=1).hits[0].record.id
    images: list[Any] = [path, RecordId(identity), tmp_path / "missing.png", path.read_bytes(), str(path)]
    answers = list(db["parts"].classify(images, by="label", k=3))
    assert isinstance(answers[2], lookalike.Skipped)
    classified = [each for each in answers if isinstance(each, lookalike.Classified)]
    assert len({each.prediction.votes for each in classified}) == 1
    assert [each.itself for each in classified] == [1] * 4
    (single,) = db["parts"].classify(path, by="label", k=3)
    assert single == classified[0]
    classifier = db["parts"].classifier("label", k="auto")
    assert classifier.k in (1, 3, 5, 7, 9, 15)
    assert len(list(classifier.classify([Image(path)]))) == 1


def test_single_images_are_added_with_labels_of_all_or_of_each(db: Database, tmp_path: Path) -> None:
    paths = [save(tmp_path / "new" / f"{seed}.png", seed) for seed in (100, 101)]
    both = db["parts"].add(paths, fields={"label": "good"}, metadata=[{"line": 1}, {"line": 2}])
    assert [record.fields for record in both] == [{"label": "good"}] * 2
    assert db["parts"].record(both[1].id).metadata["line"] == 2
    assert db["parts"].info().count == 14
    again = db["parts"].add(paths[0], fields={"checked": True})
    assert again[0].fields == {"label": "good", "checked": True}
    with pytest.raises(InvalidArgument, match="labels of 1 images are given for 2"):
        db["parts"].add(paths, fields=[{}])
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(UnusableImage):
        db["parts"].add([paths[0], tmp_path / "notes.txt"])
    assert db["parts"].remove(both[0].id) + db["parts"].remove([both[1].id]) == 2


def test_values_are_counted_the_most_frequent_first(db: Database, tmp_path: Path) -> None:
    paths = [save(tmp_path / "new" / f"{seed}.png", seed) for seed in range(100, 104)]
    db["parts"].add(paths, fields=[{"n": n} for n in (1, 1.0, True, "1")])
    counted = db["parts"].values()
    assert counted["label"] == [("bad", 6), ("good", 6)]
    assert [(str(value) in ("1", "1.0"), images) for value, images in counted["n"]] == [
        (True, 2),
        (False, 1),
        (True, 1),
    ]
    assert [type(value) for value, _ in counted["n"][1:]] == [bool, str]


def test_a_fit_is_known_and_read_around(db: Database, tmp_path: Path) -> None:
    assert db["parts"].fitting() is None
    plain = db["parts"].vectors.read()[1]
    report = db["parts"].fit(by="label")
    fitting = db["parts"].fitting()
    assert fitting is not None
    assert (fitting.by, report.images) == ("label", 12)
    np.testing.assert_array_equal(db["parts"].vectors.read(plain=True)[1], plain)
    assert db["parts"].added_since_fit() == 0
    db["parts"].add(save(tmp_path / "new.png", 100))
    assert db["parts"].added_since_fit() == 1
    assert db["parts"].undo_fit() == 13


def test_one_database_is_copied_into_another_and_agrees_with_it(db: Database, tmp_path: Path) -> None:
    with lookalike.open(f"sqlite:///{tmp_path}/other.db", cache=tmp_path / "cache") as other:
        assert db.copyable() == ["parts"]
        assert db.copy("parts", other).verified
        assert other["parts"].info() == db["parts"].info()
        assert db.parity([other], "parts", k=3, where={"label": "good"}).agrees


def test_a_check_reads_all_that_is_kept(db: Database) -> None:
    report = db.check()
    assert (report.findings, report.records, report.features, report.pictures) == ([], 12, 12, None)
    assert db.problems == []
    assert db.damage() == db["parts"].records.damage() == []


def test_sql_and_records_of_a_file(db: Database) -> None:
    assert db.sql("SELECT count(*) FROM parts").rows == [(12,)]
    record = db["parts"].vectors.read()[0][0]
    assert db.records_of(record.digest) == [record]
    assert json.dumps(dict(record.fields))
    assert sorted(db["parts"].records.uris()) == sorted(each.uri for each in db["parts"].vectors.read()[0])
    assert [card.name for card in db.models()][:1] == ["efficientnet-lite0"]


# Regions, and undoing.


def test_a_region_is_an_image_of_its_own(db: Database, tmp_path: Path) -> None:
    collage = PIL.Image.new("RGB", (60, 40), "white")
    collage.paste(picture(3), (30, 7))
    path, parts = tmp_path / "collage.png", db["parts"]
    collage.save(path)
    box = (30, 7, 12, 12)
    for term in (lookalike.Image(path, box=box), lookalike.Image(path.read_bytes(), box=box)):
        best = parts.search(term).hits[0]
        assert (named([best]), round(best.similarity or 0, 6)) == (["3.png"], 1)
    # Of a record its file is read; and terms add up as others do.
    parts.add(path)
    (added,) = (one for one in parts.vectors.read()[0] if one.uri.endswith("collage.png"))
    region = lookalike.RecordId(added.id, box=box)
    assert named(parts.search(region).hits)[0] == "3.png"
    assert parts.search(region + lookalike.Image(path)).hits
    # What sticks out is left out; a phone's picture is turned before it is cut.
    wide = parts.search(lookalike.Image(path, box=(30, 7, 900, 12))).hits[0].similarity
    assert wide == parts.search(lookalike.Image(path, box=(30, 7, 30, 12))).hits[0].similarity
    exif = PIL.Image.Exif()
    exif[0x0112] = 3  # upside down
    collage.rotate(180).save(path, exif=exif)
    assert named(parts.search(lookalike.Image(path, box=box)).hits)[0] == "3.png"
    with pytest.raises(UnusableImage, match="has changed since it was indexed"):
        parts.search(region)
    for wrong, said in (((60, 0, 5, 5), "outside"), ((0, 0, 0, 5), "is not"), ((-1, 0, 5, 5), "is not")):
        with pytest.raises(InvalidArgument, match=said):
            parts.search(lookalike.Image(path, box=wrong))
    with pytest.raises(UnusableImage):
        parts.search(lookalike.Image(b"no picture", box=box))


def test_what_was_done_to_records_is_undone_bit_for_bit(db: Database) -> None:
    parts = db["parts"]
    parts.fit("label")
    parts.correct(parts.vectors.read()[0][3].id, {"label": "odd"}, ["label"])
    records, vectors = parts.vectors.read()
    _, plain = parts.vectors.read(using="image")
    ids = [one.id for one in records[:5]]
    before = parts.records.snapshot(ids)
    assert parts.remove(ids) == 5
    assert parts.records.restore(before) == (5, 0)
    assert parts.vectors.read()[0] == records
    assert np.array_equal(parts.vectors.read()[1], vectors)
    assert np.array_equal(parts.vectors.read(using="image")[1], plain)
    # Labels alone; what came since is removed, and what somebody else has changed since stays.
    labels = parts.records.snapshot([*ids, "0" * 32], labels_only=True)
    after = {one.id: parts.correct(one.id, {"label": "new"}) for one in records[:5]}
    parts.correct(ids[0], {"label": "newer"})
    assert parts.records.restore(labels, after) == (4, 1)
    assert parts.records.get(ids)[1:] == records[1:5]
    assert parts.records.get(ids)[0].fields["label"] == "newer"
    assert parts.records.restore(labels) == (1, 0)
    assert parts.vectors.read()[0] == records
