"""Fitting a collection: two sides that stay alike, names that change at once, and a way back."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lookalike.errors import (
    FieldNotFound,
    InvalidArgument,
    LookalikeError,
    SpaceMismatch,
    StoreBusy,
    StoreCorrupt,
    Unanswerable,
)
from lookalike.metric_learning import fitting
from lookalike.metric_learning.fitted import Fitting, fitting_of, read, read_plain
from lookalike.metric_learning.fitting import FitReport, fit, undo_fit
from lookalike.metric_learning.sides import Sides, delete, remove
from lookalike.session import Session
from lookalike.stores.registry import open_store
from lookalike.stores.store import Store
from lookalike.testing.stores import record
from lookalike.types import (
    PLAIN_METRIC,
    Record,
    Skipped,
    Space,
    Vectors,
)
from lookalike.uris import uri_path
from lookalike.vectors.metric import normalise
from tests.conftest import CommandLine
from tests.mean_colours import MeanColours, mean_colours, picture, save

DIMENSION = 24
SPACE = Space("some-model", "ab" * 32, DIMENSION)
LABELS = ("good", "bad", "worse")


def labelled(count: int, first: int = 0, by: str = "label") -> list[Record]:
    return [record(number, {by: LABELS[number % 3]}) for number in range(first, first + count)]


def plain_vectors(records: list[Record]) -> Vectors:
    """Return vectors whose first numbers tell the label, drowned in noise that all share."""
    rows = []
    for one in records:
        chance = np.random.default_rng(int(one.id[:12], 16))
        row = chance.standard_normal(DIMENSION) * ([0.2] * 4 + [2.0] * (DIMENSION - 4))
        row[0:3] += [one.fields.get("label") == label for label in LABELS]
        rows.append(row)
    return normalise(np.array(rows, np.float32))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/parts.db"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with open_store(url) as store:
        yield store


@pytest.fixture
def locks(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "locks"


def fill(store: Store, count: int = 60, name: str = "parts") -> list[Record]:
    records = labelled(count)
    store.create(name, SPACE)
    store.put(name, records, plain_vectors(records))
    return sorted(records, key=lambda one: one.id)


def sides(store: Store, name: str = "parts") -> None:
    """Check that a fitted collection is what its plain side and its metric make it."""
    fitted, plain = store.collection(name), store.collection(f"{name}-unfitted")
    kept = fitting_of(store, fitted)
    assert fitted.space == replace(
        plain.space, dimension=kept.metric.dimension, metric_fingerprint=kept.metric.fingerprint
    )
    assert plain.space == SPACE
    records, vectors = read(store, plain.name)
    projected_records, projected = read(store, fitted.name)
    assert projected_records == records
    np.testing.assert_allclose(projected, kept.metric.project(vectors), atol=1e-6)


def names(store: Store) -> list[str]:
    return [collection.name for collection in store.collections()]


# What a fit makes


def test_a_fit_puts_projected_vectors_in_the_place_of_the_plain_ones(store: Store, locks: Path) -> None:
    records = fill(store)
    before = read(store, "parts")
    report = fit(store, "PARTS", "label", locks=locks)
    assert names(store) == ["parts", "parts-unfitted"]
    sides(store)
    assert read(store, "parts-unfitted")[0] == before[0] == records
    assert np.array_equal(read(store, "parts-unfitted")[1], before[1])
    assert np.array_equal(read_plain(store, "parts")[1], before[1])
    kept = fitting_of(store, store.collection("parts"))
    assert (kept.by, kept.images, kept.classes) == ("label", 60, 3)
    assert kept.digests == {one.digest for one in records}
    assert report == FitReport(
        *("parts", "label", 60, 3, 0, (), DIMENSION, kept.metric.dimension, kept.metric.fingerprint),
        *(False, False, report.seconds),
    )


def test_a_fit_to_the_same_images_and_labels_does_nothing(store: Store, locks: Path) -> None:
    records = fill(store)
    first = fit(store, "parts", "label", locks=locks)
    before = fitting_of(store, store.collection("parts"))
    again = fit(store, "parts", "label", locks=locks)
    assert (first.unchanged, again.unchanged, again.fingerprint) == (False, True, first.fingerprint)
    assert fitting_of(store, store.collection("parts")).at == before.at
    other = {"label": next(one.fields["label"] for one in records if one.fields != records[0].fields)}
    for name in names(store):
        store.relabel(name, [(records[0].id, other, {})])
    assert not fit(store, "parts", "label", locks=locks).unchanged


def test_a_fit_tells_the_labels_apart_better(store: Store, locks: Path) -> None:
    fill(store, 150)
    strangers = labelled(60, first=1_000)

    def right(queries: Vectors) -> int:
        found = store.nearest("parts", queries, 1)
        return sum(hits[0].record.fields == one.fields for hits, one in zip(found, strangers, strict=True))

    plain = right(plain_vectors(strangers))
    fit(store, "parts", "label", locks=locks)
    fitted = right(fitting_of(store, store.collection("parts")).metric.project(plain_vectors(strangers)))
    assert fitted > plain + 10


def test_images_without_the_label_are_projected_and_named(store: Store, locks: Path) -> None:
    fill(store)
    bare = record("bare")
    store.put("parts", [bare], plain_vectors([bare]))
    report = fit(store, "parts", "label", locks=locks)
    assert [(one.record, one.reason) for one in report.left_out] == [(bare, "no value of label")]
    assert report.images == 60
    sides(store)
    assert store.collection("parts").count == 61


def test_undo_gives_back_what_was_there_before(store: Store, locks: Path) -> None:
    fill(store)
    before = store.collections(), read(store, "parts")
    fit(store, "parts", "label", locks=locks)
    assert undo_fit(store, "parts", locks=locks) == 60
    assert store.collections() == before[0]
    records, vectors = read(store, "parts")
    assert records == before[1][0]
    assert np.array_equal(vectors, before[1][1])


def test_a_second_fit_starts_from_the_plain_vectors(store: Store, locks: Path) -> None:
    fill(store)
    first = fit(store, "parts", "label", locks=locks)
    again = fit(store, "parts", "label", locks=locks)
    assert again.fingerprint == first.fingerprint
    assert (again.refit, again.dimension_in) == (True, DIMENSION)
    assert names(store) == ["parts", "parts-unfitted"]
    sides(store)


def test_a_fit_reads_back_as_it_was_kept(store: Store, locks: Path) -> None:
    fill(store)
    fit(store, "parts", "label", locks=locks)
    data = store.metric("parts")
    assert data is not None
    assert Fitting.from_bytes(data).to_bytes() == data
    for damaged in (b"", b"{}\n", data[: len(data) // 2], data[40:], data.replace(b'"by"', b'"of"')):
        with pytest.raises((ValueError, InvalidArgument)):
            Fitting.from_bytes(damaged)


def test_a_fit_of_another_collection_is_damage(store: Store, locks: Path) -> None:
    fill(store)
    fit(store, "parts", "label", locks=locks)
    space = replace(store.collection("parts").space, metric_fingerprint="ef" * 32)
    for name, metric in (("swapped", store.metric("parts")), ("broken", b"nothing"), ("none", None)):
        store.create(name, space, metric)
        with pytest.raises(StoreCorrupt, match=r"parts\.db"):
            fitting_of(store, store.collection(name))


# What cannot be fitted


def one_class(store: Store) -> None:
    store.relabel("parts", [(one.id, {"label": "good"}, {}) for one in labelled(60)])


def no_labels(store: Store) -> None:
    store.relabel("parts", [(one.id, {"other": 1}, {}) for one in labelled(60)])


def classes_of_one(store: Store) -> None:
    store.relabel("parts", [(one.id, {"label": one.id}, {}) for one in labelled(60)])


def two_images(store: Store) -> None:
    store.remove("parts", [one.id for one in labelled(60)[2:]])


def one_image(store: Store) -> None:
    store.remove("parts", [one.id for one in labelled(60)[1:]])


def nothing(store: Store) -> None:
    store.remove("parts", [one.id for one in labelled(60)])


def name_taken(store: Store) -> None:
    store.create("Parts-Unfitted", SPACE)


def building_name_taken(store: Store) -> None:
    store.create("parts-fitting", SPACE)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (one_class, Unanswerable, "all 60 images to compare have label 'good'"),
        (no_labels, FieldNotFound, "no field 'label'"),
        (classes_of_one, Unanswerable, "is on one image only"),
        (two_images, Unanswerable, "is on one image only"),
        (one_image, Unanswerable, "nothing to compare"),
        (nothing, Unanswerable, "is empty"),
        (name_taken, InvalidArgument, "'Parts-Unfitted' has the name that the plain vectors"),
        (building_name_taken, InvalidArgument, "'parts-fitting' has the name that a fit needs"),
    ],
)
def test_what_cannot_be_fitted_is_one_line_and_stays_as_it_is(
    store: Store, locks: Path, make: Any, error: type[LookalikeError], says: str
) -> None:
    fill(store)
    make(store)
    before = store.collections(), read(store, "parts")
    with pytest.raises(error) as raised:
        fit(store, "parts", "label", locks=locks)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)
    assert store.collections() == before[0]
    assert np.array_equal(read(store, "parts")[1], before[1][1])


def test_a_name_that_leaves_no_room_for_the_plain_side_is_refused(store: Store, locks: Path) -> None:
    fill(store, name="x" * 56)
    with pytest.raises(InvalidArgument, match="too long a name"):
        fit(store, "x" * 56, "label", locks=locks)
    fill(store, name="y" * 55)
    fit(store, "y" * 55, "label", locks=locks)


def test_the_plain_side_is_named_by_nobody_else(store: Store, locks: Path) -> None:
    fill(store)
    fit(store, "parts", "label", locks=locks)
    for call in (
        lambda: fit(store, "Parts-unfitted", "label", locks=locks),
        lambda: undo_fit(store, "parts-unfitted", locks=locks),
        lambda: delete(store, "parts-unfitted"),
        lambda: remove(store, "parts-unfitted", []),
        lambda: Sides(store, "parts-UNFITTED", SPACE),
    ):
        with pytest.raises(InvalidArgument, match="name 'parts' instead"):
            call()
    with pytest.raises(InvalidArgument, match="not fitted"):
        undo_fit(store, "parts", locks=locks) and undo_fit(store, "parts", locks=locks)


def test_an_ordinary_collection_may_have_any_name(store: Store, locks: Path) -> None:
    for name in ("a-unfitted", "a-fitting"):
        fill(store, name=name)
        fit(store, name, "label", locks=locks)
        sides(store, name)
    assert names(store) == ["a-fitting", "a-fitting-unfitted", "a-unfitted", "a-unfitted-unfitted"]


# What is written afterwards


def test_what_is_written_after_a_fit_reaches_both_sides(store: Store, locks: Path) -> None:
    fill(store)
    fit(store, "parts", "label", locks=locks)
    both = Sides(store, "Parts", SPACE)
    assert both.open() == "parts-unfitted"
    more = labelled(5, first=58)
    both.put(more, plain_vectors(more))
    sides(store)
    assert store.collection("parts").count == 63
    both.relabel([(more[0].id, {"label": "odd", "new": 1}, {"a": [1]})])
    sides(store)
    assert store.get("parts", [more[0].id])[0].fields == {"label": "odd", "new": 1}
    assert both.remove([more[1].id, more[2].id, "0" * 32]) == 2
    sides(store)
    assert remove(store, "parts", [more[3].id]) == 1
    sides(store)
    assert store.collection("parts").count == 60
    assert delete(store, "PARTS")[0].count == 60
    assert names(store) == []


def test_vectors_of_another_embedder_are_refused_by_both(store: Store, locks: Path) -> None:
    fill(store)
    fit(store, "parts", "label", locks=locks)
    with pytest.raises(SpaceMismatch):
        Sides(store, "parts", replace(SPACE, embedder_fingerprint="cd" * 32)).open()


def test_what_a_kill_left_undone_is_made_good_from_the_plain_side(store: Store, locks: Path) -> None:
    records = fill(store)
    fit(store, "parts", "label", locks=locks)
    more = labelled(3, first=100)
    store.put("parts-unfitted", more, plain_vectors(more))
    store.relabel("parts-unfitted", [(records[0].id, {"label": "odd"}, {})])
    store.remove("parts-unfitted", [records[1].id])
    changed = replace(records[2], size=7, digest="0" * 64)
    store.put("parts-unfitted", [changed], plain_vectors(more[:1]))
    Sides(store, "parts", SPACE).level()
    sides(store)
    assert store.collection("parts").count == 62


def test_what_is_written_while_a_fit_runs_is_in_the_fitted_collection(
    store: Store, locks: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = fill(store)
    exchange = fitting._exchange
    more = labelled(4, first=200)

    with open_store(url) as other:
        both = Sides(other, "parts", SPACE)

        def late(*arguments: Any) -> None:
            both.put(more[:2], plain_vectors(more[:2]))
            both.relabel([(records[0].id, {"label": "odd"}, {})])
            both.remove([records[1].id])
            exchange(*arguments)
            both.put(more[2:], plain_vectors(more[2:]))

        monkeypatch.setattr(fitting, "_exchange", late)
        for count in (63, 62):  # a first fit, then another
            fit(store, "parts", "label", locks=locks)
            both.level()
            sides(store)
            assert store.collection("parts").count == count + (count == 62)


def test_a_writer_that_began_before_an_exchange_writes_to_both_sides(
    store: Store, locks: Path, url: str
) -> None:
    fill(store)
    with open_store(url) as other:
        both = Sides(other, "parts", SPACE)
        both.open()
        fit(store, "parts", "label", locks=locks)
        more = labelled(2, first=300)
        both.put(more, plain_vectors(more))
        sides(store)
        undo_fit(store, "parts", locks=locks)
        more = labelled(2, first=400)
        both.put(more, plain_vectors(more))
        assert store.collection("parts").count == 64
        assert store.collection("parts").space.metric_fingerprint == PLAIN_METRIC


# Bad luck


FIT = """
import sys
from pathlib import Path
from lookalike.metric_learning.fitting import fit, undo_fit
from lookalike.stores.registry import open_store
url, locks, how = sys.argv[1:]
with open_store(url) as store:
    print("ready", flush=True)
    if how == "fit":
        fit(store, "parts", "label", locks=Path(locks))
    else:
        undo_fit(store, "parts", locks=Path(locks))
print("done", flush=True)
"""


def start(url: str, locks: Path, how: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", FIT, url, str(locks), how]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.slow
def test_killed_at_any_moment_a_fit_leaves_the_old_state_or_the_new(url: str, locks: Path) -> None:
    chance = random.Random(7)
    with open_store(url) as store:
        fill(store, 1_500)
        before = read(store, "parts")[1]
        seen = set()
        began = time.monotonic()
        process = start(url, locks, "fit")
        assert process.communicate()[0] == "done\n"
        took = time.monotonic() - began
        for turn in range(10):
            how = "undo" if turn % 3 == 2 and store.metric("parts") else "fit"
            process = start(url, locks, how)
            time.sleep(chance.uniform(0, took if how == "fit" else 0.05))
            process.send_signal(signal.SIGKILL)
            process.communicate()
            fitted = store.metric("parts") is not None
            seen.add((how, fitted))
            assert np.array_equal(read_plain(store, "parts")[1], before)
            if fitted:
                sides(store)
            else:
                assert "parts-unfitted" not in names(store)
        assert len(seen) > 1
        fit(store, "parts", "label", locks=locks)
        assert names(store) == ["parts", "parts-unfitted"]
        sides(store)


@pytest.mark.parametrize("first", ["create", "put", "rename", "delete"])
def test_stopped_between_any_two_steps_a_fit_leaves_the_old_state_or_the_new(
    store: Store, locks: Path, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """As a kill would: nothing is tidied up by who is killed."""
    fill(store)
    fit(store, "parts", "label", locks=locks)
    before = store.metric("parts")
    store.relabel(
        "parts-unfitted", [(one.id, {"label": LABELS[n % 2]}, {}) for n, one in enumerate(labelled(60))]
    )

    class Killed(BaseException):
        pass

    def killed(*_arguments: Any, **_options: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        for step in ("delete", first):
            patch.setattr(store, step, killed)
        with pytest.raises(Killed):
            fit(store, "parts", "label", locks=locks)
    assert (store.metric("parts") == before) == (first != "delete")
    Sides(store, "parts", SPACE).level()
    sides(store)
    fit(store, "parts", "label", locks=locks)
    assert names(store) == ["parts", "parts-unfitted"]
    sides(store)


def test_a_fit_that_fails_removes_what_it_built(
    store: Store, locks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store)

    def full(*_arguments: Any, **_options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "put", full)
    with pytest.raises(KeyboardInterrupt):
        fit(store, "parts", "label", locks=locks)
    assert names(store) == ["parts"]


def test_a_second_fit_at_once_is_one_line(store: Store, locks: Path, url: str) -> None:
    fill(store)
    with fitting.only_one(store, "PARTS", locks), open_store(url) as other:
        for call in (
            lambda: fit(other, "parts", "label", locks=locks),
            lambda: undo_fit(other, "parts", locks=locks),
        ):
            with pytest.raises(StoreBusy, match="another fit of 'parts' is running"):
                call()
    fit(store, "parts", "label", locks=locks)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """A session with forty pictures of two kinds in `parts`: by their tint, under much noise."""
    with Session(f"sqlite:///{tmp_path}/parts.db", tmp_path / "cache") as session:
        session._embedders[MeanColours.name] = MeanColours()
        for seed in range(40):
            save(tmp_path / "pictures" / ("good" if seed % 2 else "bad") / f"{seed}.png", seed)
        session.index("parts", [tmp_path / "pictures"], model=MeanColours.name)
        yield session


def neighbours(session: Session, path: Path, k: int, **options: Any) -> list[tuple[Path, float]]:
    found = session.search("parts", path, k, **options)
    assert not isinstance(found, Skipped)
    return [(uri_path(one.record.uri), one.similarity) for one in found.neighbours]


def test_search_and_classify_see_the_neighbours_of_the_fitted_space(session: Session, tmp_path: Path) -> None:
    session.fit("parts", "label")
    kept = session.fitting("parts")
    assert kept is not None
    records, plain = session.plain("parts")
    assert plain.shape == (40, MeanColours.dimension)
    query = save(tmp_path / "query.png", 99)
    projected = kept.metric.project(plain).astype(np.float64)
    vector = kept.metric.project(normalise(mean_colours(picture(99))[None])).astype(np.float64)[0]
    similarities = projected @ vector
    order = np.argsort(-similarities, kind="stable")
    found = neighbours(session, query, 7)
    assert [path for path, _ in found] == [uri_path(records[row].uri) for row in order[:7]]
    assert [value for _, value in found] == pytest.approx(similarities[order[:7]], abs=1e-5)
    (answer,) = session.classify("parts", [query], "label", 5)
    assert not isinstance(answer, Skipped)
    assert [one.record for one in answer.prediction.neighbours] == [records[row] for row in order[:5]]


def test_index_after_a_fit_adds_relabels_and_prunes_without_a_new_one(
    session: Session, tmp_path: Path
) -> None:
    root = tmp_path / "pictures"
    session.fit("parts", "label")
    before = session.store.metric("parts")
    save(root / "good" / "new.png", 1_000)
    (root / "bad" / "0.png").rename(root / "good" / "0.png")
    (root / "bad" / "2.png").unlink()
    report = session.index("parts", [root], prune=True)
    assert (report.added, report.moved, report.removed, report.unchanged) == (1, 1, 1, 38)
    assert session.store.metric("parts") == before
    report = session.index("parts", [root / "good"], labels="none")
    assert (report.relabelled, report.embedded) == (22, 0)
    kept = session.fitting("parts")
    assert kept is not None
    records, plain = session.plain("parts")
    fitted_records, fitted = session.read("parts")
    assert fitted_records == records
    assert len(records) == 40
    np.testing.assert_allclose(fitted, kept.metric.project(plain), atol=1e-6)
    assert sum(one.digest not in kept.digests for one in records) == 1
    new = root / "good" / "new.png"
    ((nearest, similarity),) = neighbours(session, new, 1)
    assert nearest == new
    assert similarity == pytest.approx(1)
    with pytest.raises(InvalidArgument, match="name 'parts' instead"):
        session.index("parts-unfitted", [root])


def test_a_search_never_fails_while_the_collection_is_fitted_and_unfitted(
    session: Session, tmp_path: Path
) -> None:
    query = save(tmp_path / "query.png", 99)
    plain = neighbours(session, query, 3)
    session.fit("parts", "label")
    fitted = neighbours(session, query, 3)
    assert plain != fitted
    stop = threading.Event()
    failures: list[BaseException] = []

    def turn() -> None:
        try:
            with Session(session.store.url, session.cache) as other:
                while not stop.is_set():
                    other.undo_fit("parts")
                    other.fit("parts", "label")
        except BaseException as failure:  # noqa: BLE001 shown below
            failures.append(failure)

    thread = threading.Thread(target=turn)
    thread.start()
    seen = {True: 0, False: 0}
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and min(seen.values()) < 20:
        found = neighbours(session, query, 3)
        assert found in (plain, fitted)
        seen[found == fitted] += 1
        assert len(session.plain("parts")[0]) == 40
    stop.set()
    thread.join()
    assert failures == []
    assert min(seen.values()) > 0


# The commands


def test_fit_info_collections_undo_and_delete(lookalike: CommandLine, textile: Path) -> None:
    lookalike("index", textile)
    out, _ = lookalike("fit", "--by", "label")
    assert "images: fitted, learned from 60 images of 3 classes by label" in out
    assert "1280 → " in out
    out, _ = lookalike("collections")
    assert "images-unfitted" in out
    lookalike("delete", "images", textile / "local" / "textile_0001.jpg")
    new = textile / "local" / "new.jpg"
    new.write_bytes((textile / "local" / "textile_0002.jpg").read_bytes() + b"\0")
    lookalike("index", textile)
    out, _ = lookalike("info")
    assert "fitted by label" in " ".join(out.split()).replace("fitted by label,", "fitted by label")
    assert "added since the fit 1" in " ".join(out.split())
    out, _ = lookalike("classify", textile / "global" / "textile_0001.jpg", "--by", "label")
    assert "label = global" in out
    _, err = lookalike("delete", "images-unfitted", "--yes", code=2)
    assert "name 'images' instead" in err
    out, _ = lookalike("fit", "--undo")
    assert out == "images is as before the fit: 61 images with plain vectors\n"
    _, err = lookalike("fit", "--undo", code=2)
    assert "not fitted" in err
    lookalike("fit", "--by", "label", "--format", "jsonl")
    out, _ = lookalike("delete", "images", "--yes")
    assert out.splitlines()[1] == "its plain vectors, collection images-unfitted, were deleted too"
    assert "no collections" in lookalike("collections")[0]


@pytest.mark.parametrize("words", [["fit"], ["fit", "--by", "label", "--undo"]])
def test_fit_needs_either_a_field_or_undo(lookalike: CommandLine, words: list[str]) -> None:
    _, err = lookalike(*words, code=2)
    assert err == "lookalike: fit needs either --by FIELD or --undo\n"


def test_a_class_of_one_image_is_told_and_not_judged(
    lookalike: CommandLine, textile: Path, tmp_path: Path
) -> None:
    for name in ("local", "nominal"):
        for file in sorted((textile / name).iterdir())[1 if name == "local" else 9 :]:
            file.unlink()
    lookalike("index", textile / ".." / "textile", "-c", "few")
    out, _ = lookalike("fit", "--by", "label", "-c", "few")
    assert "1 of the classes have a single image" in out
    lookalike("delete", "few", *sorted((textile / "global").iterdir()))
    _, err = lookalike("evaluate", "--by", "label", "-c", "few", code=1)
    assert "a fitted metric needs two such labels" in err
    assert len(err.splitlines()) == 1
