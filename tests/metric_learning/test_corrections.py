"""Labels that a person has put right or confirmed: they stay for as long as they are about the same thing."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookalike.embedders.feature_cache import FeatureCache
from lookalike.errors import CollectionNotFound, ImageNotFound, InvalidArgument
from lookalike.ingest.embedding import Encoder
from lookalike.ingest.index_options import IndexOptions
from lookalike.ingest.index_report import IndexReport
from lookalike.ingest.indexing import index
from lookalike.label_normalisation import labels_digest
from lookalike.labels.labelling import Label
from lookalike.metric_learning.corrections import (
    LONGEST_NAME,
    LONGEST_VALUE,
    MOST_FIELDS,
    Marks,
    correct,
    corrected,
    delivered,
    delivered_again,
    indexed_again,
    is_confirmed,
    marks_of,
    stored,
)
from lookalike.metric_learning.fitting import fit
from lookalike.stores.registry import open_store
from lookalike.stores.store import Store
from lookalike.testing.samples import SPACE, STRANGE_TEXTS, corners, record
from lookalike.types import (
    OWN_KEY,
    Record,
    Scalar,
)
from lookalike.uris import uri_path
from tests.conftest import CommandLine
from tests.mean_colours import MeanColours, save
from tests.transfer.test_copy_servers import elasticsearch_url  # noqa: F401 a fixture

STORES = (
    "sqlite",
    "postgres",
    pytest.param("elasticsearch", marks=pytest.mark.xdist_group("elasticsearch")),
)


class Shelf:
    """Pictures with a table of their labels, and a collection of them."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.store = store
        self.root = folder / "pictures"
        self.labels: dict[str, dict[str, str]] = {}
        self._embedder = MeanColours()
        self._cache = FeatureCache(folder / "cache", MeanColours.fingerprint, MeanColours.dimension)
        for number in range(8):
            save(self.root / f"{number}.png", number)
            self.labels[f"{number}.png"] = {"label": "good", "part": f"p{number % 2}"}
        self.write()

    def write(self) -> None:
        names = list(dict.fromkeys(name for each in self.labels.values() for name in each))
        with (self.root / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, ["file_name", *names])
            table.writeheader()
            table.writerows({"file_name": name, **each} for name, each in self.labels.items())

    def index(self) -> IndexReport:
        encoders = [Encoder(self._embedder, self._cache)]
        return index(self.store, "parts", [self.root], encoders, IndexOptions())

    def again(self) -> tuple[int, int, int, int]:
        """Index, and return how many were added, updated, relabelled and unchanged."""
        report = self.index()
        return report.added, report.updated, report.relabelled, report.unchanged

    def record(self, name: str) -> Record:
        (found,) = [one for one in self.records() if uri_path(one.uri).name == name]
        return found

    def records(self) -> list[Record]:
        return [one for batch, _ in self.store.scan("parts") for one in batch]

    def correct(self, name: str, changes: Mapping[str, Scalar | None], *confirm: str) -> Record:
        return correct(self.store, "parts", self.record(name).id, changes, confirm)

    def close(self) -> None:
        self._cache.close()


@pytest.fixture(params=STORES)
def any_shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shelf]:
    """A shelf on each kind of store."""
    url = f"sqlite:///{tmp_path}/parts.db"
    if request.param != "sqlite":
        url = request.getfixturevalue(f"{request.param}_url")
    with open_store(url) as store:
        shelf = Shelf(tmp_path, store)
        yield shelf
        shelf.close()


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    with open_store(f"sqlite:///{tmp_path}/parts.db") as store:
        shelf = Shelf(tmp_path, store)
        yield shelf
        shelf.close()


def test_a_correction_outlives_indexing_until_the_label_file_changes_its_mind(any_shelf: Shelf) -> None:
    shelf = any_shelf
    assert shelf.again() == (8, 0, 0, 0)
    before = shelf.record("3.png")
    now = shelf.correct("3.png", {"label": "bad", "seen": True, "part": None}, "label")
    assert now == shelf.record("3.png")
    assert now.fields == {"label": "bad", "seen": True}
    marks = marks_of(now)
    assert marks.corrected == {"label": "good", "seen": None, "part": "p1"}
    assert marks.confirmed == {"label": "bad"}
    assert delivered(now) == Label(before.fields, before.metadata)
    assert shelf.again() == (0, 0, 0, 8)

    # Something else in the file: that is taken up, and the correction stays.
    shelf.labels["3.png"]["line"] = "L2"
    shelf.write()
    report = shelf.index()
    assert (report.relabelled, report.overruled) == (8, [])  # the new column is in all metadata
    assert shelf.record("3.png").fields == {"label": "bad", "seen": True, "line": "L2"}
    assert shelf.again() == (0, 0, 0, 8)

    # What was corrected: the file counts.
    shelf.labels["3.png"]["label"] = "scratched"
    shelf.write()
    report = shelf.index()
    assert (report.relabelled, report.unchanged) == (1, 7)
    assert report.overruled == [str(shelf.root / "3.png")]
    now = shelf.record("3.png")
    assert now.fields == {"label": "scratched", "seen": True, "line": "L2"}
    assert marks_of(now).corrected == {"seen": None, "part": "p1"}
    assert marks_of(now).confirmed == {}
    assert shelf.again() == (0, 0, 0, 8)


def test_an_undone_correction_leaves_the_record_as_it_was_delivered(any_shelf: Shelf) -> None:
    shelf = any_shelf
    shelf.index()
    before = shelf.records()
    shelf.correct("5.png", {"label": "bad", "part": None, "extra": 1})
    shelf.correct("5.png", {"label": "good", "part": "p1", "extra": None})
    assert shelf.records() == before
    assert shelf.again() == (0, 0, 0, 8)


def test_a_label_file_that_comes_to_say_the_same_overrules_nobody(shelf: Shelf) -> None:
    shelf.index()
    shelf.correct("1.png", {"label": "bad"}, "label")
    shelf.labels["1.png"]["label"] = "bad"
    shelf.write()
    report = shelf.index()
    assert (report.relabelled, report.unchanged, report.overruled) == (1, 7, [])
    now = shelf.record("1.png")
    assert (now.fields["label"], marks_of(now)) == ("bad", Marks(confirmed={"label": "bad"}))


def test_a_correction_is_about_a_picture(shelf: Shelf) -> None:
    shelf.index()
    for name in ("1.png", "2.png"):
        shelf.correct(name, {"label": "bad"}, "label")
    # The same bytes at another time: read again, and still the same picture.
    os.utime(shelf.root / "1.png", ns=(1, 1))
    save(shelf.root / "2.png", 77)
    report = shelf.index()
    assert (report.updated, report.relabelled, report.unchanged) == (2, 0, 6)
    assert report.overruled == [str(shelf.root / "2.png")]
    assert shelf.record("1.png").fields["label"] == "bad"
    assert is_confirmed(shelf.record("1.png"), "label")
    assert shelf.record("2.png").fields["label"] == "good"
    assert marks_of(shelf.record("2.png")) == Marks()


def test_only_records_whose_digest_differs_are_fetched(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.index()
    corrected_one = shelf.correct("4.png", {"label": "bad"})
    asked: list[str] = []
    get = type(shelf.store).get

    def noted(store: Store, name: str, ids: list[str]) -> list[Record]:
        asked.extend(ids)
        return get(store, name, ids)

    monkeypatch.setattr(type(shelf.store), "get", noted)
    assert shelf.again() == (0, 0, 0, 8)
    assert asked == [corrected_one.id]


def test_a_record_that_goes_while_its_labels_are_written_is_indexed_anew(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.index()
    gone = shelf.record("6.png").id
    shelf.labels["6.png"]["label"] = "bad"
    shelf.write()
    stamps = type(shelf.store).stamps

    def removed_meanwhile(store: Store, name: str) -> object:
        found = stamps(store, name)
        store.remove(name, [gone])
        return found

    monkeypatch.setattr(type(shelf.store), "stamps", removed_meanwhile)
    assert shelf.again() == (1, 0, 0, 7)
    assert shelf.record("6.png").fields["label"] == "bad"


def test_a_fitted_collection_is_put_right_and_its_fit_stays(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/parts.db") as store:
        shelf = Shelf(tmp_path, store)
        for number in range(8, 40):
            save(shelf.root / f"{number}.png", number)
        for number in range(40):
            shelf.labels[f"{number}.png"] = {"label": "good" if number % 2 else "bad"}
        shelf.write()
        shelf.index()
        fit(store, "parts", "label", locks=tmp_path / "locks")
        metric = store.metric("parts")
        shelf.correct("3.png", {"label": "bad"}, "label")
        (one,) = store.get("parts", [shelf.record("3.png").id])
        assert (one.fields["label"], marks_of(one).corrected) == ("bad", {"label": "good"})
        assert store.metric("parts") == metric
        assert shelf.again() == (0, 0, 0, 40)
        shelf.close()


def test_the_command_line_says_whom_the_files_overruled(lookalike: CommandLine, tmp_path: Path) -> None:
    for number, folder in enumerate(("good", "good", "bad", "bad")):
        save(tmp_path / "pictures" / folder / f"{number}.png", number)
    lookalike("index", tmp_path / "pictures")
    with open_store(lookalike.store) as store:
        (one,) = [
            each for batch, _ in store.scan("images") for each in batch if each.uri.endswith("/good/1.png")
        ]
        correct(store, "images", one.id, {"label": "bad"})
    assert "4 unchanged" in lookalike("index", tmp_path / "pictures")[0]
    out, _ = lookalike("index", tmp_path / "pictures", "--labels", "none", "--format", "jsonl")
    *lines, summary = map(json.loads, out.splitlines())
    assert {"type": "overruled", "path": str(tmp_path / "pictures/good/1.png")} in lines
    assert (summary["relabelled"], summary["overruled"]) == (4, 1)


def test_a_correction_travels_with_a_copy_and_the_wrong_label_finds_nothing(
    lookalike: CommandLine, tmp_path: Path
) -> None:
    with open_store(lookalike.store) as store:
        store.create("parts", SPACE)
        store.put("parts", [record(1, {"label": "walnut"})], {SPACE: corners(1)})
        assert store.search_words("parts", "walnut", 5)
        now = correct(store, "parts", record(1).id, {"label": "beech"}, ["label"])
        assert store.search_words("parts", "walnut", 5) == []
        assert store.search_words("parts", "beech", 5) == [now]
    lookalike("copy", lookalike.store, f"sqlite:///{tmp_path}/other.db", "--collection", "parts")
    with open_store(f"sqlite:///{tmp_path}/other.db") as other:
        assert other.get("parts", [now.id]) == [now]


def test_what_does_not_exist_cannot_be_put_right(shelf: Shelf) -> None:
    shelf.index()
    with pytest.raises(ImageNotFound):
        correct(shelf.store, "parts", "f" * 32, {"label": "bad"})
    with pytest.raises(CollectionNotFound):
        correct(shelf.store, "others", "f" * 32, {"label": "bad"})
    with pytest.raises(InvalidArgument, match="no field 'colour'"):
        shelf.correct("1.png", {}, "colour")
    with pytest.raises(InvalidArgument, match="no field 'label'"):
        shelf.correct("1.png", {"label": None}, "label")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"": "x"}, "needs a name"),
        ({"x" * (LONGEST_NAME + 1): "x"}, "name of a field"),
        ({"x": "x" * (LONGEST_VALUE + 1)}, "a string has at most"),
        ({str(number): number for number in range(MOST_FIELDS + 1)}, "fields"),
        ({"x": 1 << 63}, "64 bits"),
        ({"x": float("nan")}, "finite"),
        ({"x": float("inf")}, "finite"),
    ],
)
def test_labels_that_no_image_may_have_are_refused(
    shelf: Shelf, changes: dict[str, Scalar], reason: str
) -> None:
    shelf.index()
    before = shelf.records()
    with pytest.raises(InvalidArgument, match=reason):
        shelf.correct("1.png", changes)
    assert shelf.records() == before


def test_strange_names_and_labels_are_kept_as_they_are(any_shelf: Shelf) -> None:
    shelf = any_shelf
    shelf.index()
    changes: dict[str, Scalar | None] = {text or "empty": text for text in STRANGE_TEXTS}
    now = shelf.correct("1.png", {"label": STRANGE_TEXTS[-1], **changes}, "label", *changes)
    assert shelf.record("1.png") == now
    assert now.fields == {"label": STRANGE_TEXTS[-1], "part": "p1", **changes}
    assert shelf.again() == (0, 0, 0, 8)


# Pairs of labels that look alike, and those that tell types apart.
VALUES = st.one_of(
    st.sampled_from(["good", "bad", "", "1", "true", "\udcff", 1, 1.0, True, False, 0, -0.0, 2**63 - 1, 0.5]),
    st.text(max_size=5),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
)
NAMES = st.sampled_from(["label", "part", "탱크", OWN_KEY, "corrected"])
FIELDS = st.dictionaries(NAMES, VALUES, max_size=4)
CHANGES = st.dictionaries(NAMES, VALUES | st.none(), max_size=4)
METADATA = st.dictionaries(
    NAMES,
    st.recursive(
        VALUES | st.none(), lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner), max_leaves=4
    ),
    max_size=3,
)
LABELS = st.builds(Label, FIELDS, METADATA)


def as_recorded(label: Label, marks: Marks | None = None) -> Record:
    """Return a record as a store gives it back: its metadata went through JSON."""
    kept = stored(label, marks or Marks())
    return record(1, kept.fields, metadata=json.loads(json.dumps(kept.metadata)))


def relabelled(one: Record, label: Label) -> Record:
    return replace(one, fields=label.fields, metadata=json.loads(json.dumps(label.metadata)))


def digest(label: Label | Record) -> str:
    return labels_digest(label.fields, label.metadata)


@settings(deadline=None)
@given(LABELS, st.lists(CHANGES, min_size=1, max_size=3))
def test_what_was_delivered_can_always_be_told_and_brought_back(
    label: Label, rounds: list[dict[str, Scalar | None]]
) -> None:
    before = one = as_recorded(label)
    for changes in rounds:
        one = relabelled(one, corrected(one, changes))
        for name, value in changes.items():
            assert one.fields.get(name) == value
        assert digest(delivered(one)) == digest(label)
        again, given_up = indexed_again(one, label, one.digest)
        assert (digest(again), given_up) == (digest(one), False)
    undone = {name: label.fields.get(name) for name in {*one.fields, *label.fields}}
    one = relabelled(one, corrected(one, undone))
    assert digest(one) == digest(before)


@settings(deadline=None)
@given(LABELS, CHANGES, LABELS)
def test_what_is_delivered_anew_counts_where_it_is_new(
    label: Label, changes: dict[str, Scalar | None], new: Label
) -> None:
    one = relabelled(as_recorded(label), corrected(as_recorded(label), changes))
    again = relabelled(one, delivered_again(one, new)[0])
    assert digest(delivered(again)) == digest(new)
    for name in {*label.fields, *new.fields, *changes}:
        same = digest(Label({"x": new.fields.get(name, "")}, {"is": name in new.fields})) == digest(
            Label({"x": label.fields.get(name, "")}, {"is": name in label.fields})
        )
        if same and name in marks_of(one).corrected:
            assert again.fields.get(name) == one.fields.get(name)
            assert name in marks_of(again).corrected
        elif name not in marks_of(again).corrected:
            assert again.fields.get(name) == new.fields.get(name)


@settings(deadline=None)
@given(LABELS, st.text(min_size=1))
def test_labels_that_came_with_a_picture_are_not_those_of_label_files(label: Label, name: str) -> None:
    one = as_recorded(label, Marks(name))
    assert marks_of(one).name == name
    again, given_up = indexed_again(one, Label({"label": "folder"}, {}), one.digest)
    assert (again, given_up) == (Label(one.fields, one.metadata), False)
