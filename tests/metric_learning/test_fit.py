"""Fitting a collection: a further vector of each record, a default that changes at once, and a way back."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lookalike.database import Database
from lookalike.embedders.models import Models
from lookalike.errors import (
    FieldNotFound,
    InvalidArgument,
    LookalikeError,
    SpaceMismatch,
    StoreBusy,
    StoreCorrupt,
    Unanswerable,
    VectorNotFound,
)
from lookalike.ingest.completion import complete_vectors
from lookalike.ingest.record_writer import RecordWriter
from lookalike.metric_learning.fitted import Fitting, fitting_of, read
from lookalike.metric_learning.fitting import FitReport, fit, undo_fit
from lookalike.metric_learning.locks import only_one
from lookalike.stores.query import Query
from lookalike.stores.registry import open_store
from lookalike.stores.store import Store
from lookalike.testing.samples import record
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
from tests.forked_programs import ForkedProgram
from tests.mean_colours import MeanColours, mean_colours, picture, save
from tests.metric_learning.killed_fits import fit_or_undo

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


def put(store: Store, records: list[Record]) -> None:
    RecordWriter(store, "parts").put(records, {SPACE.embedder_fingerprint: plain_vectors(records)})


def fill(store: Store, count: int = 60) -> list[Record]:
    records = labelled(count)
    store.create("parts", SPACE)
    put(store, records)
    return sorted(records, key=lambda one: one.id)


def vectors(store: Store, using: str = "image") -> tuple[list[Record], Vectors]:
    collection = store.collection("parts")
    return read(store, collection, collection.vector(using))


def kept(store: Store) -> Fitting:
    collection = store.collection("parts")
    found = fitting_of(store, collection, collection.vector("fitted"))
    assert found is not None
    return found


def is_fit(store: Store) -> bool:
    return "fitted" in names(store)


def whole(store: Store) -> None:
    """Check that the fitted vectors of a collection are what its metric makes of the plain ones."""
    collection = store.collection("parts")
    assert collection.default == "fitted"
    assert [vector.ready for vector in collection.vectors] == [True, True]
    plain = collection.vector("image")
    metric = kept(store).metric
    assert plain.space == SPACE
    assert collection.space == replace(
        SPACE, dimension=metric.dimension, metric_fingerprint=metric.fingerprint
    )
    records, rows = vectors(store)
    projected_records, projected = vectors(store, "fitted")
    assert projected_records == records
    assert len(records) == collection.count
    np.testing.assert_allclose(projected, metric.project(rows), atol=1e-6)


def names(store: Store) -> list[str]:
    """Return the names of the vectors that are declared, ready or not."""
    return [vector.name for vector in store.collection("parts").vectors]


# What a fit makes


def test_a_fit_gives_each_record_a_projected_vector_the_default(store: Store, locks: Path) -> None:
    records = fill(store)
    before = vectors(store)
    report = fit(store, "PARTS", "label", locks=locks)
    assert [one.name for one in store.collections()] == ["parts"]
    assert names(store) == ["image", "fitted"]
    whole(store)
    assert vectors(store)[0] == before[0] == records
    assert np.array_equal(vectors(store)[1], before[1])
    found = kept(store)
    assert (found.by, found.images, found.classes) == ("label", 60, 3)
    assert found.digests == {one.digest for one in records}
    assert report == FitReport(
        *("parts", "label", 60, 3, 0, (), DIMENSION, found.metric.dimension, found.metric.fingerprint),
        *(False, False, report.seconds),
    )


def test_a_fit_to_the_same_images_and_labels_does_nothing(store: Store, locks: Path) -> None:
    records = fill(store)
    first = fit(store, "parts", "label", locks=locks)
    before = kept(store)
    again = fit(store, "parts", "label", locks=locks)
    assert (first.unchanged, again.unchanged, again.fingerprint) == (False, True, first.fingerprint)
    assert kept(store).at == before.at
    other = {"label": next(one.fields["label"] for one in records if one.fields != records[0].fields)}
    store.relabel("parts", [(records[0].id, other, {})])
    assert not fit(store, "parts", "label", locks=locks).unchanged


def test_a_fit_to_the_same_images_is_the_default_again(store: Store, locks: Path) -> None:
    fill(store)
    fit(store, "parts", "label", locks=locks)
    store.set_default("parts", "image")
    assert fit(store, "parts", "label", locks=locks).unchanged
    assert store.collection("parts").default == "fitted"


def test_a_fit_tells_the_labels_apart_better(store: Store, locks: Path) -> None:
    fill(store, 150)
    strangers = labelled(60, first=1_000)

    def right(queries: Vectors) -> int:
        found = store.nearest("parts", Query(queries, 1))
        return sum(hits[0].record.fields == one.fields for hits, one in zip(found, strangers, strict=True))

    plain = right(plain_vectors(strangers))
    fit(store, "parts", "label", locks=locks)
    fitted = right(kept(store).metric.project(plain_vectors(strangers)))
    assert fitted > plain + 10


def test_images_without_the_label_are_projected_and_named(store: Store, locks: Path) -> None:
    fill(store)
    bare = record("bare")
    put(store, [bare])
    report = fit(store, "parts", "label", locks=locks)
    assert [(one.record, one.reason) for one in report.left_out] == [(bare, "no value of label")]
    assert report.images == 60
    whole(store)
    assert store.collection("parts").count == 61


def test_undo_gives_back_what_was_there_before(store: Store, locks: Path) -> None:
    fill(store)
    before = store.collections(), vectors(store)
    fit(store, "parts", "label", locks=locks)
    assert undo_fit(store, "parts", locks=locks) == 60
    assert store.collections() == before[0]
    records, rows = vectors(store)
    assert records == before[1][0]
    assert np.array_equal(rows, before[1][1])


def test_undo_makes_the_vector_the_default_that_the_fit_was_made_of(store: Store, locks: Path) -> None:
    records = fill(store)
    other = replace(SPACE, embedder="another-model", embedder_fingerprint="cd" * 32)
    store.add_vector("parts", "other", other)
    store.fill("parts", other, records, plain_vectors(records))
    store.finish_vector("parts", other)
    for default in ("other", "image"):
        fit(store, "parts", "label", using="other", locks=locks)
        if default == "image":
            store.set_default("parts", "image")  # chosen since: it stays
        undo_fit(store, "parts", locks=locks)
        assert store.collection("parts").default == default


def test_a_second_fit_starts_from_the_plain_vectors(store: Store, locks: Path) -> None:
    records = fill(store)
    first = fit(store, "parts", "label", locks=locks)
    fingerprint = kept(store).metric.fingerprint
    store.relabel("parts", [(one.id, {"label": LABELS[row % 2]}, {}) for row, one in enumerate(records)])
    again = fit(store, "parts", "label", locks=locks)
    assert again.fingerprint != first.fingerprint == fingerprint
    assert (again.refit, again.dimension_in) == (True, DIMENSION)
    assert names(store) == ["image", "fitted"]
    whole(store)
    store.relabel("parts", [(one.id, one.fields, one.metadata) for one in records])
    assert fit(store, "parts", "label", locks=locks).fingerprint == first.fingerprint


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
        store.create(name, SPACE)
        collection = store.add_vector(name, "fitted", space, metric)
        with pytest.raises(StoreCorrupt, match=r"parts\.db"):
            fitting_of(store, collection, collection.vector("fitted"))


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


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (one_class, Unanswerable, "all 60 images to compare have label 'good'"),
        (no_labels, FieldNotFound, "no field 'label'"),
        (classes_of_one, Unanswerable, "is on one image only"),
        (two_images, Unanswerable, "is on one image only"),
        (one_image, Unanswerable, "nothing to compare"),
        (nothing, Unanswerable, "is empty"),
    ],
)
def test_what_cannot_be_fitted_is_one_line_and_stays_as_it_is(
    store: Store, locks: Path, make: Any, error: type[LookalikeError], says: str
) -> None:
    fill(store)
    make(store)
    before = store.collections(), vectors(store)
    with pytest.raises(error) as raised:
        fit(store, "parts", "label", locks=locks)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)
    assert store.collections() == before[0]
    assert np.array_equal(vectors(store)[1], before[1][1])


def test_a_vector_that_is_not_there_cannot_be_fitted(store: Store, locks: Path) -> None:
    fill(store)
    with pytest.raises(VectorNotFound, match="it has image"):
        fit(store, "parts", "label", using="words", locks=locks)


def test_what_is_not_fitted_has_nothing_to_undo(store: Store, locks: Path) -> None:
    fill(store)
    fit(store, "parts", "label", locks=locks)
    undo_fit(store, "parts", locks=locks)
    with pytest.raises(InvalidArgument, match="not fitted"):
        undo_fit(store, "parts", locks=locks)


# A further model


WORDS = Space("another-model", "cd" * 32, 6)


def test_a_fit_is_of_the_vector_that_is_named_and_of_one_at_a_time(store: Store, locks: Path) -> None:
    records = fill(store)
    store.add_vector("parts", "words", WORDS)
    rows = normalise(np.random.default_rng(1).standard_normal((60, 6)).astype(np.float32))
    store.fill("parts", WORDS, records, rows)
    store.finish_vector("parts", WORDS)
    fit(store, "parts", "label", using="words", locks=locks)
    collection = store.collection("parts")
    assert collection.default == "fitted"
    assert collection.space.embedder_fingerprint == WORDS.embedder_fingerprint
    fit(store, "parts", "label", using="image", locks=locks)
    assert store.collection("parts").space.embedder_fingerprint == SPACE.embedder_fingerprint
    assert sorted(names(store)) == ["fitted", "image", "words"]
    undo_fit(store, "parts", locks=locks)
    assert (names(store), store.collection("parts").default) == (["image", "words"], "image")


# What is written afterwards


def test_what_is_written_after_a_fit_has_both_vectors(store: Store, locks: Path) -> None:
    fill(store)
    fit(store, "parts", "label", locks=locks)
    more = labelled(5, first=58)
    put(store, more)
    whole(store)
    assert store.collection("parts").count == 63
    store.relabel("Parts", [(more[0].id, {"label": "odd", "new": 1}, {"a": [1]})])
    whole(store)
    assert store.get("parts", [more[0].id])[0].fields == {"label": "odd", "new": 1}
    assert store.remove("parts", [more[1].id, more[2].id, "0" * 32]) == 2
    whole(store)
    assert store.collection("parts").count == 61
    assert store.delete("PARTS") == 61
    assert store.collections() == []


def test_a_put_without_the_fitted_vector_is_refused(store: Store, locks: Path) -> None:
    fill(store)
    fit(store, "parts", "label", locks=locks)
    more = labelled(1, first=100)
    with pytest.raises(SpaceMismatch):
        store.put("parts", more, {SPACE: plain_vectors(more)})
    with pytest.raises(SpaceMismatch):
        RecordWriter(store, "parts").put(more, {"cd" * 32: plain_vectors(more)})
    assert store.get("parts", [more[0].id]) == []
    whole(store)


def test_what_is_written_while_a_fit_runs_has_both_vectors(
    store: Store, locks: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the new vector is declared, between two batches, and before it is ready."""
    records = fill(store)
    more = labelled(6, first=200)
    replaced = replace(records[2], digest="0" * 64)
    with open_store(url) as other:

        def before(step: str, act: Callable[[], None]) -> None:
            real = getattr(store, step)

            def late(*arguments: Any, **options: Any) -> Any:
                monkeypatch.setattr(store, step, real)
                act()
                return real(*arguments, **options)

            monkeypatch.setattr(store, step, late)

        def first() -> None:
            put(other, [*more[:2], replaced])
            other.remove("parts", [records[1].id])

        before("add_vector", first)
        before("fill", lambda: put(other, more[2:4]))
        before("finish_vector", lambda: put(other, more[4:]))
        fit(store, "parts", "label", locks=locks)
        whole(store)
        assert store.collection("parts").count == 65
        assert store.get("parts", [replaced.id]) == [replaced]


def test_a_writer_that_began_before_a_fit_goes_on(store: Store, locks: Path, url: str) -> None:
    fill(store)
    with open_store(url) as other:
        writer = RecordWriter(other, "parts")
        for first, change in ((300, fit), (400, undo_fit)):
            more = labelled(2, first=first)
            if change is fit:
                fit(store, "parts", "label", locks=locks)
            else:
                undo_fit(store, "parts", locks=locks)
            writer.put(more, {SPACE.embedder_fingerprint: plain_vectors(more)})
        assert store.collection("parts").count == 64
        assert store.collection("parts").space.metric_fingerprint == PLAIN_METRIC


# Bad luck


@pytest.mark.slow
def test_killed_at_any_moment_a_fit_leaves_the_old_state_or_the_new(url: str, locks: Path) -> None:
    chance = random.Random(7)
    with open_store(url) as store:
        fill(store, 1_500)
        before = vectors(store)[1]
        seen = set()
        began = time.monotonic()
        with ForkedProgram(fit_or_undo, url, locks, "fit") as process:
            assert process.stdout.read() == "ready\ndone\n"
        took = time.monotonic() - began
        for turn in range(10):
            how = "undo" if turn % 3 == 2 and store.collection("parts").default == "fitted" else "fit"
            with ForkedProgram(fit_or_undo, url, locks, how) as process:
                assert process.stdout.readline() == "ready\n"
                time.sleep(chance.uniform(0, took if how == "fit" else 0.05))
                process.kill()
            fitted = store.collection("parts").default == "fitted"
            seen.add((how, fitted))
            assert np.array_equal(vectors(store)[1], before)
            if fitted:
                assert len(vectors(store, "fitted")[0]) == 1_500
        assert len(seen) > 1
        fit(store, "parts", "label", locks=locks)
        assert names(store) == ["image", "fitted"]
        whole(store)


@pytest.mark.parametrize("step", ["add_vector", "fill", "lacking", "finish_vector"])
def test_stopped_between_any_two_steps_a_fit_leaves_the_old_state(
    store: Store, locks: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """As a kill would: nothing is tidied up by who is killed. Then either the fit or `index` goes on."""
    fill(store)
    fit(store, "parts", "label", locks=locks)
    before = kept(store).lesson
    store.relabel("parts", [(one.id, {"label": LABELS[n % 2]}, {}) for n, one in enumerate(labelled(60))])

    class Killed(BaseException):
        pass

    def killed(*_arguments: Any, **_options: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        for one in ("drop_vector", step):
            patch.setattr(store, one, killed)
        with pytest.raises(Killed):
            fit(store, "parts", "label", locks=locks)
    assert kept(store).lesson == before
    assert len(vectors(store, "fitted")[0]) == 60
    more = labelled(2, first=500)
    put(store, more)
    assert complete_vectors(store, "parts", Models(locks)) == []
    assert (kept(store).lesson == before) == (step == "add_vector")
    whole(store)
    fit(store, "parts", "label", locks=locks)
    assert names(store) == ["image", "fitted"]
    whole(store)


def test_a_fit_that_fails_removes_what_it_built(
    store: Store, locks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store)

    def full(*_arguments: Any, **_options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "fill", full)
    with pytest.raises(KeyboardInterrupt):
        fit(store, "parts", "label", locks=locks)
    assert names(store) == ["image"]


def test_a_second_fit_at_once_is_one_line(store: Store, locks: Path, url: str) -> None:
    fill(store)
    with only_one(store, "PARTS", "fit", locks), open_store(url) as other:
        for call in (
            lambda: fit(other, "parts", "label", locks=locks),
            lambda: undo_fit(other, "parts", locks=locks),
        ):
            with pytest.raises(StoreBusy, match="another fit of 'parts' is running"):
                call()
    fit(store, "parts", "label", locks=locks)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A database with forty pictures of two kinds in `parts`: by their tint, under much noise."""
    with Database(f"sqlite:///{tmp_path}/parts.db", cache=tmp_path / "cache") as database:
        database.use(MeanColours())
        for seed in range(40):
            save(tmp_path / "pictures" / ("good" if seed % 2 else "bad") / f"{seed}.png", seed)
        database["parts"].index([tmp_path / "pictures"], model=MeanColours.name)
        yield database


def neighbours(database: Database, path: Path, k: int, **options: Any) -> list[tuple[Path, float]]:
    found = database["parts"].search(path, k=k, **options)
    return [(uri_path(one.record.uri), one.similarity) for one in found.hits if one.similarity is not None]


def test_search_and_classify_see_the_neighbours_of_the_fitted_space(
    database: Database, tmp_path: Path
) -> None:
    database["parts"].fit("label")
    kept = database["parts"].fitting()
    assert kept is not None
    records, plain = database["parts"].vectors.read(plain=True)
    assert plain.shape == (40, MeanColours.dimension)
    query = save(tmp_path / "query.png", 99)
    projected = kept.metric.project(plain).astype(np.float64)
    vector = kept.metric.project(normalise(mean_colours(picture(99))[None])).astype(np.float64)[0]
    similarities = projected @ vector
    order = np.argsort(-similarities, kind="stable")
    found = neighbours(database, query, 7)
    assert [path for path, _ in found] == [uri_path(records[row].uri) for row in order[:7]]
    assert [value for _, value in found] == pytest.approx(similarities[order[:7]], abs=1e-5)
    (answer,) = database["parts"].classify([query], "label")
    assert not isinstance(answer, Skipped)
    assert [one.record for one in answer.prediction.neighbours] == [records[row] for row in order[:5]]


def test_index_after_a_fit_adds_relabels_and_prunes_without_a_new_one(
    database: Database, tmp_path: Path
) -> None:
    root = tmp_path / "pictures"
    database["parts"].fit("label")
    before = database.store.metric("parts")
    save(root / "good" / "new.png", 1_000)
    (root / "bad" / "0.png").rename(root / "good" / "0.png")
    (root / "bad" / "2.png").unlink()
    report = database["parts"].index([root], prune=True)
    assert (report.added, report.moved, report.removed, report.unchanged) == (1, 1, 1, 38)
    assert database.store.metric("parts") == before
    report = database["parts"].index([root / "good"], labels="none")
    assert (report.relabelled, report.embedded) == (22, 0)
    kept = database["parts"].fitting()
    assert kept is not None
    records, plain = database["parts"].vectors.read(plain=True)
    fitted_records, fitted = database["parts"].vectors.read()
    assert fitted_records == records
    assert len(records) == 40
    np.testing.assert_allclose(fitted, kept.metric.project(plain), atol=1e-6)
    assert sum(one.digest not in kept.digests for one in records) == 1
    new = root / "good" / "new.png"
    ((nearest, similarity),) = neighbours(database, new, 1)
    assert nearest == new
    assert similarity == pytest.approx(1)


def test_a_search_never_fails_while_the_collection_is_fitted_and_unfitted(
    database: Database, tmp_path: Path
) -> None:
    query = save(tmp_path / "query.png", 99)
    plain = neighbours(database, query, 3)
    database["parts"].fit("label")
    fitted = neighbours(database, query, 3)
    assert plain != fitted
    stop = threading.Event()
    failures: list[BaseException] = []

    def turn() -> None:
        try:
            with Database(database.url, cache=database.cache) as other:
                while not stop.is_set():
                    other["parts"].undo_fit()
                    other["parts"].fit("label")
        except BaseException as failure:  # noqa: BLE001 shown below
            failures.append(failure)

    thread = threading.Thread(target=turn)
    thread.start()
    seen = {True: 0, False: 0}
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and min(seen.values()) < 20:
        found = neighbours(database, query, 3)
        assert found in (plain, fitted)
        seen[found == fitted] += 1
        assert len(database["parts"].vectors.read(plain=True)[0]) == 40
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
    assert "fitted: efficientnet-lite0" in " ".join(out.split())
    lookalike("delete", "images", textile / "local" / "textile_0001.jpg")
    new = textile / "local" / "new.jpg"
    new.write_bytes((textile / "local" / "textile_0002.jpg").read_bytes() + b"\0")
    lookalike("index", textile)
    out, _ = lookalike("info")
    assert "fitted by label" in " ".join(out.split()).replace("fitted by label,", "fitted by label")
    assert "added since the fit 1" in " ".join(out.split())
    out, _ = lookalike("classify", textile / "global" / "textile_0001.jpg", "--by", "label")
    assert "label = global" in out
    _, err = lookalike("delete", "images", "--using", "image", code=2)
    assert "are made from 'image'" in err
    out, _ = lookalike("fit", "--undo")
    assert out == "images is as before the fit: 61 images with plain vectors\n"
    _, err = lookalike("fit", "--undo", code=2)
    assert "not fitted" in err
    lookalike("fit", "--by", "label", "--format", "jsonl")
    out, _ = lookalike("delete", "images", "--yes")
    assert out == "61 records deleted with collection images\n"
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
