"""Jobs over HTTP: evaluations, audits, maps and indexings, how far they are, and that they end."""

from __future__ import annotations

import json
import shutil
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lookalike.collection import Collection
from lookalike.database import Database
from lookalike.ingest import batch
from lookalike.progress import Progress
from lookalike.schemas.audit import AuditQuery
from lookalike.schemas.evaluate import EvaluationAnswer
from lookalike.schemas.map import MapAnswer, MapQuery
from lookalike.server.auth.keys import new_key
from lookalike.server.routes.audit_result import audit_result
from lookalike.server.routes.evaluate import evaluation_result
from lookalike.server.routes.map import MOST_LABELS, MOST_POINTS
from lookalike.server.workers.jobs import KEPT, MOST_WAITING
from lookalike.stores.registry import open_store
from lookalike.types import Record, Scalar, Space
from lookalike.uris import record_id, uri_path
from lookalike.vectors.metric import normalise
from lookalike.vectors.projection import evenly, plane
from tests.cli.test_progress import Heard
from tests.mean_colours import save
from tests.service import COLLECTION, InProcess, in_process, until

Typed = Callable[..., list[dict[str, Any]]]

MANY = 12_000
FEWER = 3_000
# Of these, so many comparisons take minutes.
LONG = {"by": "label", "k": "auto", "repeats": 10}
BASE = f"/v1/collections/{COLLECTION}"
# Nothing that is waited for takes so long, even on a machine that has much else to do.
PATIENCE = 120.0


def start(service: InProcess, what: str, query: Mapping[str, Any], name: str = COLLECTION) -> str:
    """Start a job and return where it is."""
    answer = service.client.post(f"/v1/collections/{name}/{what}", json=query)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"
    return answer.headers["location"]


def look(service: InProcess, job: str) -> dict[str, Any]:
    answer = service.client.get(job)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def ended(service: InProcess, job: str) -> dict[str, Any]:
    """Wait for the end of a job, and return it as it is then."""
    until(lambda: look(service, job)["finished"] is not None)
    return look(service, job)


def done(service: InProcess, what: str, query: Mapping[str, Any], name: str = COLLECTION) -> str:
    """Do a job and return where it is."""
    job = start(service, what, query, name)
    found = ended(service, job)
    assert found["state"] == "done", found
    assert found["done"] == found["total"]
    return job


def got(service: InProcess, path: str, status: int = 200, **query: Any) -> Any:
    answer = service.client.get(path, params=query)
    assert answer.status_code == status, answer.text
    return answer.json()


def lines_of(lines: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [{name: line[name] for name in line if name != "type"} for line in lines if line["type"] == kind]


def same(found: Any, expected: Any) -> bool:
    """Compare figures; one thread and two multiply with other roundings."""
    if isinstance(expected, float):
        return bool(found == pytest.approx(expected, rel=1e-4, abs=1e-6))
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    return type(found) is type(expected) and bool(found == expected)


@pytest.fixture(scope="module")
def many_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a collection that takes seconds to judge, and a part of it; not to be written to."""
    path = tmp_path_factory.mktemp("many") / "many.db"
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 100, MANY)
    vectors = rng.normal(size=(MANY, 128)) + rng.normal(size=(100, 128))[codes]
    with open_store(f"sqlite:///{path}") as store:
        space = Space("nobody", "0" * 64, 128)
        store.create("many", space)
        records = []
        for place, code in enumerate(codes.tolist()):
            uri = f"file:///many/{place:05}.png"
            fields: dict[str, Scalar] = {"label": code, "same": "all"}
            records.append(Record(record_id(uri), uri, f"{place:064x}", fields, {}, 1, 1))
        unit = normalise(vectors.astype(np.float32))
        store.put("many", records, {space: unit})
        store.create("fewer", space)
        store.put("fewer", records[:FEWER], {space: unit[:FEWER]})
        store.create("empty", Space("nobody", "0" * 64, 128))
    return path


@pytest.fixture
def many(many_store: Path, cache: Path) -> Iterator[InProcess]:
    with in_process(f"sqlite:///{many_store}", cache) as running:
        yield running


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({}, []),
        (
            {"k": 1, "max_error": 0.45, "coverage": 0.8, "false_alarm": 0.1},
            ["-k", "1", "--max-error", "0.45", "--coverage", "0.8", "--false-alarm", "0.1"],
        ),
        (
            {"k": "auto", "folds": 3, "repeats": 2, "seed": 7, "max_error": 0.01},
            ["-k", "auto", "--folds", "3", "--repeats", "2", "--seed", "7", "--max-error", "0.01"],
        ),
        ({"by": "mixed", "within": "label"}, ["--by", "mixed", "--within", "label"]),
        ({"group": "mixed", "k": 3}, ["--group", "mixed", "-k", "3"]),
    ],
    ids=str,
)
def test_an_evaluation_says_what_the_command_line_says(
    service: InProcess, typed: Typed, query: dict[str, Any], words: list[str]
) -> None:
    lines = typed("evaluate", "--by", "label", *words)
    job = done(service, "evaluations", {"by": "label", **query})
    answer = got(service, f"{job}/evaluation")
    EvaluationAnswer.model_validate(answer)
    (summary,) = lines_of(lines, "summary")
    assert same({name: answer["summary"][name] for name in summary}, summary)
    assert not any(answer["summary"][name] for name in answer["summary"].keys() - summary.keys())
    for kind, name in (
        ("class", "classes"),
        ("confusion", "confusion"),
        ("reliability", "reliability"),
        ("coverage", "coverage"),
    ):
        assert same(answer[name], lines_of(lines, kind))

    mistakes = got(service, f"{job}/evaluation/images", wrong=True, limit=200)
    assert mistakes["total"] == len(mistakes["images"]) == summary["mistakes"] > 0
    expected = {each["id"]: each for each in lines_of(lines, "mistake")}
    for image in mistakes["images"]:
        line = expected[image["id"]]
        assert (image["label"], image["predicted"]) == (line["label"], line["predicted"])
        assert (image["share"], image["name"]) == (line["share"], "/".join(uri_path(line["uri"]).parts[-2:]))
        assert same(
            [{"id": each["id"], "similarity": each["similarity"]} for each in image["neighbours"]],
            [{"id": each["id"], "similarity": each["similarity"]} for each in line["neighbours"]],
        )


def test_a_fitted_collection_is_judged_in_folds_as_on_the_command_line(
    service: InProcess, typed: Typed
) -> None:
    typed("fit", "--by", "label")
    query = {"by": "label", "repeats": 1, "folds": 2}
    job = done(service, "evaluations", query)
    found = got(service, f"{job}/evaluation")["summary"]
    (expected,) = lines_of(typed("evaluate", "--by", "label", "--repeats", "1", "--folds", "2"), "summary")
    assert "refitted" in found["method"]
    assert same({name: found[name] for name in expected}, expected)
    points = got(service, f"{done(service, 'maps', {'by': 'label'})}/map")
    # The map of a fitted collection is that of its own vectors, as in the report.
    expected_points, variance = plane(service.database[COLLECTION].vectors.read()[1])
    np.testing.assert_allclose(np.transpose([points["x"], points["y"]]), expected_points, atol=1e-5)
    assert points["variance"] == pytest.approx(variance)


def test_a_cell_of_the_confusion_matrix_opens_its_images(service: InProcess) -> None:
    job = done(service, "evaluations", {"by": "label"})
    answer = got(service, f"{job}/evaluation")
    labels = [each["label"] for each in answer["classes"]]
    seen = 0
    for cell in answer["confusion"]:
        where = {"label": labels.index(cell["label"]), "predicted": labels.index(cell["predicted"])}
        found = got(service, f"{job}/evaluation/images", **where)
        assert found["total"] == len(found["images"]) == cell["count"]
        assert {(image["label"], image["predicted"]) for image in found["images"]} == {
            (cell["label"], cell["predicted"])
        }
        assert all(image["fields"]["label"] == image["label"] for image in found["images"])
        seen += found["total"]
    every = got(service, f"{job}/evaluation/images", limit=60)
    assert every["total"] == len(every["images"]) == seen == 60
    assert all(one["share"] >= other["share"] for one, other in pairwise(every["images"]))
    pages = [got(service, f"{job}/evaluation/images", offset=at, limit=25)["images"] for at in (0, 25, 50)]
    assert [image for page in pages for image in page] == every["images"]
    assert got(service, f"{job}/evaluation/images", label=0, predicted=0, wrong=True)["total"] == 0
    assert got(service, f"{job}/evaluation/images", label=3, status=400)["error"] == "InvalidArgument"


def test_an_audit_says_what_the_command_line_says(service: InProcess, typed: Typed, pictures: Path) -> None:
    """With a label of nobody else's, copies of which one has another label, and an image without any."""
    records, _ = service.database[COLLECTION].vectors.read()
    fields = [dict(record.fields) for record in records]
    fields[0]["label"] = "alone"
    del fields[1]["label"]
    for place, each in enumerate(fields):
        each["split"] = "train" if place % 2 else "test"
    service.database.store.relabel(
        COLLECTION, [(record.id, each, {}) for record, each in zip(records, fields, strict=True)]
    )
    copies = [(records[4], "copy 1.jpg", "train"), (records[4], "copy 2.jpg", "test")]
    by_id = {record.id: row for record, row in zip(*service.database[COLLECTION].vectors.read(), strict=True)}
    for record, name, split in copies:
        uri = (pictures / name).as_uri()
        copy = Record(record_id(uri), uri, record.digest, {"label": name, "split": split}, {}, 1, 1)
        space = service.database[COLLECTION].info().space
        service.database.store.put(COLLECTION, [copy], {space: by_id[record.id][None]})

    lines = typed("audit", "--by", "label", "-k", "7")
    job = done(service, "audits", {"by": "label", "k": 7, "look": True})
    (summary,) = lines_of(lines, "summary")
    assert summary["split"] == "split"
    assert summary["duplicates"] == summary["disagreeing"] == 1
    assert summary["left_out"] == 1
    assert summary["small_classes"] == 3
    for name, kind in (
        ("suspects", "suspect"),
        ("duplicates", "duplicates"),
        ("outliers", "outlier"),
        ("small_classes", "small_class"),
        ("left_out", "left_out"),
    ):
        found = got(service, f"{job}/audit", list=name, all=True, limit=200)
        assert same(found["summary"], summary)
        expected = lines_of(lines, kind)
        assert found["total"] == len(found[name]) == len(expected) > 0
        for one, line in zip(found[name], expected, strict=True):
            assert same(flat(one), flat(line))
    (group,) = got(service, f"{job}/audit", list="duplicates")["duplicates"]
    assert group["count"] == 3
    assert {"copy 1.jpg", "copy 2.jpg"} < {image["name"] for image in group["images"]}
    contradicted = got(service, f"{job}/audit", limit=200)
    assert contradicted["total"] == len(contradicted["suspects"]) == summary["contradicted"]


def flat(finding: dict[str, Any]) -> dict[str, Any]:
    """Return what an audit says of images, whoever says it and whatever else is said."""
    image = finding.get("image", finding)
    said: dict[str, Any] = {
        name: finding[name]
        for name in ("label", "suggested", "score", "contradicted", "disagree", "straddle", "identical")
        if name in finding
    }
    said |= {name: finding[name] for name in ("similarity", "deviation", "count", "floor") if name in finding}
    if "images" in finding:
        said["images"] = [[each[name] for name in ("id", "label", "split")] for each in finding["images"]]
        said.pop("count", None)
    if "neighbours" in finding:
        said["neighbours"] = [[each["id"], each["similarity"]] for each in finding["neighbours"]]
    if "nearest" in finding:
        said["nearest"] = [finding["nearest"]["id"], finding["nearest"]["similarity"]]
    return {**said, "id": image.get("id")}


def test_an_audit_without_labels_measures_the_pictures_that_may_be_shown(
    service: InProcess, pictures: Path, tmp_path: Path
) -> None:
    records, vectors = service.database[COLLECTION].vectors.read()
    space = service.database[COLLECTION].info().space
    for digit, path in (("e", tmp_path / "secret.jpg"), ("f", pictures / "gone.jpg")):
        if digit == "e":
            path.write_bytes(uri_path(records[0].uri).read_bytes())
        one = Record(record_id(path.as_uri()), path.as_uri(), digit * 64, {}, {}, 1, 1)
        service.database.store.put(COLLECTION, [one], {space: vectors[:1]})
    job = done(service, "audits", {"look": True})
    found = got(service, f"{job}/audit", list="unread")
    reasons = {each["image"]["name"]: each["reason"] for each in found["unread"]}
    assert "lies below no folder that was indexed" in reasons["secret.jpg"]
    assert "not there any more" in reasons["gone.jpg"]
    summary = found["summary"]
    assert (summary["by"], summary["method"], summary["judged"]) == (None, None, 0)
    measured = summary["pictures"]
    assert (measured["measured"], measured["unread"]) == (len(records), 2)
    found = got(service, f"{job}/audit", list="pictures")
    assert found["total"] == sum(kind["count"] for kind in measured["kinds"])
    assert got(service, f"{job}/audit")["suspects"] == []
    assert got(service, f"{job}/audit", list="outliers")["total"] == summary["outliers"]


def test_suspects_that_people_have_settled_come_last_and_what_is_gone_is_left_out(service: InProcess) -> None:
    job = done(service, "audits", {"by": "label"})
    before = got(service, f"{job}/audit", limit=200)
    first, second, third, fourth = (each["image"]["id"] for each in before["suspects"][:4])
    assert not any(each["confirmed"] or each["changed"] for each in before["suspects"])
    for identity, correction in (
        (first, {"confirm": ["label"]}),
        (second, {"fields": {"label": "other"}}),
        (fourth, {"confirm": ["mixed"]}),  # which says nothing of the label
    ):
        answer = service.client.patch(f"{BASE}/images/{identity}", json=correction)
        assert answer.status_code == 200, answer.text
    suspected = {each["image"]["id"] for each in before["suspects"]}
    voter = next(
        hit["id"]
        for each in before["suspects"][3:]
        for hit in each["neighbours"]
        if hit["id"] not in suspected
    )
    service.database[COLLECTION].remove([third, voter])

    after = got(service, f"{job}/audit", limit=200)
    assert after["total"] == len(after["suspects"]) == before["total"] - 1
    assert [each["image"]["id"] for each in after["suspects"][:1]] == [fourth]
    assert [(each["image"]["id"], each["confirmed"], each["changed"]) for each in after["suspects"][-2:]] == [
        (first, True, False),
        (second, False, True),
    ]
    assert after["suspects"][-1]["label"] == before["suspects"][1]["label"]
    assert after["suspects"][-1]["image"]["fields"]["label"] == "other"
    voters = {hit["id"] for each in after["suspects"] for hit in each["neighbours"]}
    assert voters
    assert not voters & {third, voter}
    # The others behind those that are contradicted, in their order.
    every = got(service, f"{job}/audit", limit=200, all=True)
    assert every["suspects"][: after["total"]] == after["suspects"]
    assert [each["contradicted"] for each in every["suspects"]] == [True] * 16 + [False] * 42


def test_after_a_correction_the_stale_opposite_is_not_offered(service: InProcess) -> None:
    job = done(service, "audits", {"by": "label", "k": 1})
    before = got(service, f"{job}/audit", limit=200)
    suspect = before["suspects"][0]
    evidence = suspect["neighbours"][0]["id"]
    assert suspect["suggested"] == suspect["neighbours"][0]["fields"]["label"]
    path = f"{BASE}/images/{evidence}"
    assert service.client.patch(path, json={"fields": {"label": suspect["label"]}}).status_code == 200
    after = got(service, f"{job}/audit", limit=200)
    offered = {each["image"]["id"]: each for each in after["suspects"]}
    assert suspect["image"]["id"] not in offered
    assert all(each["contradicted"] or each["changed"] for each in after["suspects"])
    same = [each for each in before["suspects"] if evidence not in [hit["id"] for hit in each["neighbours"]]]
    same = [each for each in same if each["image"]["id"] != evidence]
    assert same == [offered[each["image"]["id"]] for each in same]
    every = got(service, f"{job}/audit", limit=200, all=True)["suspects"]
    (again,) = (each for each in every if each["image"]["id"] == suspect["image"]["id"])
    assert (again["contradicted"], again["suggested"]) == (False, suspect["label"])
    assert len(every) == 60


def test_a_map_is_that_of_the_report(service: InProcess) -> None:
    found = got(service, f"{done(service, 'maps', {'by': 'label'})}/map")
    MapAnswer.model_validate(found)
    records, vectors = service.database[COLLECTION].vectors.read()
    points, variance = plane(vectors)
    assert found["ids"] == [record.id for record in records]
    assert found["names"] == ["/".join(uri_path(record.uri).parts[-2:]) for record in records]
    np.testing.assert_allclose(np.transpose([found["x"], found["y"]]), points, atol=1e-5)
    assert found["variance"] == pytest.approx(variance)
    assert found["labels"] == ["global", "local", "nominal"]
    assert [found["labels"][code] for code in found["label"]] == [r.fields["label"] for r in records]
    assert found["images"] == found["drawn"] == 60
    plain = got(service, f"{done(service, 'maps', {})}/map")
    assert plain["label"] == [-1] * 60
    assert plain["labels"] == []
    mixed = got(service, f"{done(service, 'maps', {'by': 'mixed'})}/map")["labels"]
    assert mixed == [True, 1, 1.5, "1", "true"]
    assert [type(value) for value in mixed] == [bool, int, float, str, str]


def test_a_map_of_many_images_has_some_of_them_and_the_most_frequent_labels(many: InProcess) -> None:
    found = got(many, f"{done(many, 'maps', {'by': 'label'}, 'many')}/map")
    records, vectors = many.database["many"].vectors.read()
    rows = evenly(MANY, MOST_POINTS).tolist()
    assert (found["images"], found["drawn"], len(rows)) == (MANY, MOST_POINTS, MOST_POINTS)
    assert found["ids"] == [records[row].id for row in rows]
    np.testing.assert_allclose(np.transpose([found["x"], found["y"]]), plane(vectors[rows])[0], atol=1e-5)
    labels = [records[row].fields["label"] for row in rows]
    assert len(found["labels"]) == MOST_LABELS
    assert found["labels"] == sorted(found["labels"])
    counts = {label: labels.count(label) for label in set(labels)}
    least = min(counts[label] for label in found["labels"])
    assert all(counts[label] <= least for label in counts.keys() - set(found["labels"]))
    assert [None if code < 0 else found["labels"][code] for code in found["label"]] == [
        label if label in found["labels"] else None for label in labels
    ]


def test_what_was_left_out_is_left_out_again(service: InProcess, textile: Path) -> None:
    (textile / "@eaDir").mkdir()
    save(textile / "@eaDir" / "thumb.png", 3)
    service.database["some"].index([textile], exclude=["local"])
    save(textile / "local" / "new.png", 1)
    save(textile / "global" / "new.png", 2)
    found = got(service, f"{done(service, 'indexings', {}, 'some')}/indexing")
    assert (found["added"], found["unchanged"]) == (1, 40)
    assert [(each["reason"], each["count"]) for each in found["left_out"]] == [
        ("by --exclude local", 21),
        ("in @eaDir (thumbnails of a NAS)", 1),
    ]
    assert all(not each["example"].startswith("/") for each in found["left_out"])


def test_what_was_indexed_is_indexed_again(service: InProcess, pictures: Path, textile: Path) -> None:
    """In a folder of the test's own, which the service was not started with."""
    service.database["mine"].index([textile])
    job = done(service, "indexings", {}, "mine")
    assert got(service, f"{job}/indexing")["unchanged"] == 60
    broken, new = textile / "local" / "broken.jpg", textile / "local" / "new.png"
    broken.write_bytes(b"\xff\xd8\xff\xe0 no more")
    save(new, 1)
    (textile / "nominal" / "textile_0001.jpg").unlink()
    job = done(service, "indexings", {"labels": "folders", "prune": True}, "mine")
    found = got(service, f"{job}/indexing")
    assert {name: found[name] for name in ("added", "unchanged", "removed", "images")} == {
        "added": 1,
        "unchanged": 59,
        "removed": 1,
        "images": 60,
    }
    assert found["labels"] == ["folders"]
    assert [each["name"] for each in found["skipped"]] == ["local/broken.jpg"]
    assert str(textile.parent) not in json.dumps(found)
    (hit,) = nearest(service, "mine", new)
    assert (hit["name"], hit["fields"]["label"]) == ("local/new.png", "local")
    # The textile photographs of the fixture lie elsewhere: they did not come in by --root.
    assert service.database.store.collection("mine").count == 60

    other = textile.parent / "other"
    save(other / "one.png", 2)
    service.database["mine"].index([other])
    shutil.rmtree(textile / "local")
    problem = ended(service, start(service, "indexings", {"prune": True}, "mine"))["problem"]
    assert (problem["status"], problem["error"]) == (409, "RemovalUnconfirmed")
    assert "21 of 61 records" in problem["detail"]
    found = got(service, f"{done(service, 'indexings', {'prune': True, 'yes': True}, 'mine')}/indexing")
    assert (found["images"], found["removed"]) == (40, 21)
    shutil.rmtree(textile)
    textile.mkdir()
    problem = ended(service, start(service, "indexings", {"prune": True, "yes": True}, "mine"))["problem"]
    assert (problem["status"], problem["error"]) == (409, "FolderEmpty")
    assert str(textile.parent) not in json.dumps(problem)
    textile.rmdir()
    found = got(service, f"{done(service, 'indexings', {'prune': True}, 'mine')}/indexing")
    assert [each["name"] for each in found["skipped"]] == ["textile"]
    assert (found["images"], found["removed"]) == (1, 0)
    shutil.rmtree(other)
    problem = ended(service, start(service, "indexings", {}, "mine"))["problem"]
    assert (problem["status"], problem["error"]) == (409, "Unanswerable")
    other.mkdir()
    problem = ended(service, start(service, "indexings", {}, "mine"))["problem"]
    assert "no image below other" in problem["detail"]
    assert str(textile.parent) not in json.dumps(problem)


def nearest(service: InProcess, name: str, file: Path) -> list[dict[str, Any]]:
    answer = service.client.post(
        f"/v1/collections/{name}/search",
        files=[("query", (None, json.dumps({"k": 1}))), ("image", (file.name, file.read_bytes()))],
    )
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["hits"]
    return found


def test_an_empty_collection_is_indexed_from_the_roots_of_the_service(service: InProcess) -> None:
    service.database.create("fresh", "efficientnet-lite0")
    job = done(service, "indexings", {}, "fresh")
    found = got(service, f"{job}/indexing")
    assert (found["added"], found["embedded"]) == (60, 0)
    assert service.database.store.collection("fresh").count == 60


def test_nothing_is_indexed_where_nothing_was(store_url: str, cache: Path) -> None:
    with in_process(store_url, cache) as service:
        service.database.create("fresh", "efficientnet-lite0")
        answer = service.client.post("/v1/collections/fresh/indexings", json={})
        assert answer.status_code == 409
        assert "serve --root" in answer.json()["detail"]
        for query in ({"path": "/etc"}, {"labels": "/etc/passwd"}, {"prune": "yes"}):
            assert service.client.post("/v1/collections/fresh/indexings", json=query).status_code == 422
        assert got(service, "/v1/jobs") == {"jobs": []}


def test_an_indexing_that_is_cancelled_is_completed_by_the_next(
    service: InProcess, textile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.database["mine"].index([textile / "local"])
    service.database["mine"].index([textile])
    service.database["mine"].remove([record.id for record in service.database["mine"].vectors.read()[0]])
    monkeypatch.setattr(batch, "BATCH_RECORDS", 8)
    jobs = service.service.jobs
    waits, goes_on = threading.Event(), threading.Event()
    act = Collection.index

    def index(*given: Any, progress: Progress, **options: Any) -> Any:
        def tell(done: int, total: int) -> None:
            if done == 16:
                waits.set()
                assert goes_on.wait(PATIENCE)
            progress(done, total)

        return act(*given, progress=tell, **options)

    monkeypatch.setattr(Collection, "index", index)
    job = start(service, "indexings", {}, "mine")
    assert waits.wait(PATIENCE)
    answer = service.client.delete(job)
    assert answer.status_code == 200
    assert answer.json()["state"] == "running"
    goes_on.set()
    found = ended(service, job)
    assert found["state"] == "cancelled"
    assert found["problem"]["error"] == "Cancelled"
    assert (found["done"], found["total"]) == (16, 60)
    assert service.database.store.collection("mine").count == 16
    monkeypatch.setattr(Collection, "index", act)
    again = start(service, "indexings", {}, "mine")
    assert again != job
    assert ended(service, again)["state"] == "done"
    assert got(service, f"{again}/indexing")["added"] == 44
    assert len(jobs.all()) == 2


def test_jobs_run_one_after_another_and_can_be_cancelled(many: InProcess) -> None:
    first = start(many, "evaluations", LONG, "many")
    others = [start(many, "audits", {"by": "label", "k": k}, "fewer") for k in range(1, MOST_WAITING + 1)]
    until(lambda: look(many, first)["done"] > 0)
    assert look(many, first)["state"] == "running"
    assert {look(many, job)["state"] for job in others} == {"waiting"}
    # The same question has the same job, whether it runs or waits.
    assert start(many, "evaluations", {**LONG, "folds": 5}, "MANY") == first
    assert start(many, "audits", {"by": "label", "k": 3}, "FEWER") == others[2]
    full = many.client.post("/v1/collections/many/maps", json={})
    assert full.status_code == 503
    assert int(full.headers["retry-after"]) > 0
    assert full.headers["content-type"] == "application/problem+json"

    assert got(many, f"{first}/evaluation", 409)["detail"].startswith("this job is running")
    assert got(many, f"{others[0]}/audit", 409)["detail"].startswith("this job is waiting")
    listed = got(many, "/v1/jobs")["jobs"]
    assert [f"/v1/jobs/{each['id']}" for each in listed] == [*reversed(others), first]

    assert many.client.delete(others[1]).json()["state"] == "cancelled"
    began = time.monotonic()
    assert many.client.delete(first).json()["state"] in ("running", "cancelled")
    found = ended(many, first)
    assert time.monotonic() - began < 20
    assert (found["state"], found["problem"]["status"]) == ("cancelled", 409)
    assert 0 < found["done"] < found["total"]
    assert got(many, f"{first}/evaluation", 409)["detail"].startswith("this job is cancelled")
    # What was cancelled is asked anew by the same question, behind those that wait.
    again = start(many, "evaluations", LONG, "many")
    assert again != first
    for job in others[3:]:
        many.client.delete(job)
    until(lambda: look(many, again)["state"] == "running")
    order = [look(many, job) for job in (others[0], others[2], again)]
    assert [each["state"] for each in order] == ["done", "done", "running"]
    for one, other in pairwise(order):
        assert datetime.fromisoformat(one["finished"]) <= datetime.fromisoformat(other["started"])
    # A job that has ended stays as it is.
    assert many.client.delete(others[0]).json() == order[0]


@pytest.mark.parametrize("fitted", [False, True])
def test_the_database_tells_how_far_it_is(
    service: InProcess, typed: Typed, tmp_path: Path, fitted: bool
) -> None:
    if fitted:
        typed("fit", "--by", "label")
    with Database(service.database.url, cache=tmp_path / "cache") as database:
        for act in (
            lambda heard: database[COLLECTION].evaluate("label", repeats=1, progress=heard),
            lambda heard: database[COLLECTION].audit("label", progress=heard),
            lambda heard: database[COLLECTION].classifier("label", progress=heard),
        ):
            heard = Heard()
            act(heard)
            heard.check()
            # A fit tells between its steps as well.
            assert len(heard) > (40 if fitted else 5)
        # What the cache knows is not made again.
        heard = Heard()
        database[COLLECTION].classifier("label", progress=heard)
        assert not heard


def test_searches_are_answered_while_a_job_runs(many: InProcess) -> None:
    identity = many.database["many"].vectors.read()[0][0].id
    job = start(many, "evaluations", LONG, "many")
    until(lambda: look(many, job)["done"] > 0)
    query = {"terms": [{"id": identity}], "k": 3}
    for _ in range(5):
        found = many.client.get(f"/v1/collections/many/images/{identity}")
        assert found.status_code == 200, found.text
        found = many.client.post("/v1/collections/many/search", json=query)
        assert found.status_code == 200, found.text
        assert found.json()["hits"][0]["id"] == identity
    assert look(many, job)["state"] == "running"
    many.client.delete(job)


def test_a_service_that_stops_does_not_wait_for_its_jobs(many_store: Path, cache: Path) -> None:
    with in_process(f"sqlite:///{many_store}", cache) as service:
        running = start(service, "evaluations", LONG, "many")
        waiting = start(service, "audits", {"by": "label"}, "many")
        until(lambda: look(service, running)["done"] > 0)
        jobs = service.service.jobs
    for place in (running, waiting):
        job = jobs.get(place.rpartition("/")[2])
        assert job.state == "cancelled"
        assert job.problem is not None
        assert job.problem.error == "Stopped"
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("job_")]


@pytest.mark.parametrize(
    ("what", "query", "status", "error"),
    [
        ("evaluations", {"by": "nothing"}, 400, "FieldNotFound"),
        ("evaluations", {"by": "label", "within": "nothing"}, 400, "FieldNotFound"),
        ("evaluations", {"by": "label", "group": "nothing"}, 400, "FieldNotFound"),
        ("evaluations", {"by": "label", "within": "label"}, 400, "InvalidArgument"),
        ("evaluations", {"by": "label", "group": "label"}, 400, "InvalidArgument"),
        ("evaluations", {}, 422, "InvalidRequest"),
        ("evaluations", {"by": "label", "k": 0}, 422, "InvalidRequest"),
        ("evaluations", {"by": "label", "k": "many"}, 422, "InvalidRequest"),
        ("evaluations", {"by": "label", "folds": 1}, 422, "InvalidRequest"),
        ("evaluations", {"by": "label", "repeats": 0}, 422, "InvalidRequest"),
        ("evaluations", {"by": "label", "seed": -1}, 422, "InvalidRequest"),
        ("evaluations", {"by": "label", "max_error": 0}, 422, "InvalidRequest"),
        ("evaluations", {"by": "label", "coverage": 1}, 422, "InvalidRequest"),
        ("evaluations", {"by": "label", "false_alarm": 1}, 422, "InvalidRequest"),
        ("evaluations", {"by": "label", "near_duplicates": True}, 422, "InvalidRequest"),
        ("audits", {"by": "nothing"}, 400, "FieldNotFound"),
        ("audits", {"by": "label", "split": "label"}, 400, "InvalidArgument"),
        ("audits", {"by": "label", "k": "auto"}, 422, "InvalidRequest"),
        ("maps", {"by": "nothing"}, 400, "FieldNotFound"),
    ],
    ids=str,
)
def test_what_cannot_be_answered_is_refused_before_a_job_is_made(
    service: InProcess, what: str, query: dict[str, Any], status: int, error: str
) -> None:
    assert service.ask(what, query, status=status)["error"] == error
    assert got(service, "/v1/jobs") == {"jobs": []}


def test_collections_without_images_and_votes_beyond_the_memory_are_refused(
    many: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    for what in ("evaluations", "audits"):
        answer = many.client.post(f"/v1/collections/empty/{what}", json={"by": "label"})
        assert (answer.status_code, answer.json()["error"]) == (409, "CollectionEmpty")
        assert many.client.post(f"/v1/collections/nobody/{what}", json={"by": "label"}).status_code == 404
    answer = many.client.post("/v1/collections/empty/maps", json={})
    assert (answer.status_code, answer.json()["error"]) == (409, "CollectionEmpty")
    # 16 bytes a vote: 12,000 images and 1,000 neighbours are 192 MB, which may be; not ten times that.
    job = start(many, "evaluations", {"by": "label", "k": 1000, "repeats": 10}, "many")
    many.client.delete(job)
    monkeypatch.setattr("lookalike.server.routes.jobs._MOST_VOTES", 16 * 999 * MANY)
    for what in ("evaluations", "audits"):
        answer = many.client.post(f"/v1/collections/many/{what}", json={"by": "label", "k": 1000})
        assert (answer.status_code, answer.json()["error"]) == (400, "InvalidArgument")
        assert "at most 999" in answer.json()["detail"]


def test_a_job_that_fails_says_why_and_the_next_one_runs(many: InProcess) -> None:
    failed = start(many, "evaluations", {"by": "same"}, "many")
    found = ended(many, failed)
    assert found["state"] == "failed"
    assert (found["problem"]["status"], found["problem"]["error"]) == (409, "Unanswerable")
    assert "at least two labels" in found["problem"]["detail"]
    assert "at least two labels" in got(many, f"{failed}/evaluation", 409)["detail"]

    def break_down(_progress: Progress) -> None:
        raise RuntimeError("of /home/somebody")

    jobs = many.service.jobs
    broken = f"/v1/jobs/{jobs.put('map', 'many', MapQuery(by=None), break_down).id}"
    problem = ended(many, broken)["problem"]
    assert (problem["status"], problem["error"]) == (500, "InternalError")
    assert "somebody" not in json.dumps(problem)
    done(many, "maps", {}, "many")


def test_results_are_found_under_their_own_job_and_kind(service: InProcess) -> None:
    job = done(service, "maps", {"by": "label"})
    for part in ("evaluation", "evaluation/images", "audit", "indexing"):
        assert "kind 'map'" in got(service, f"{job}/{part}", 404)["detail"]
    for path in ("", "/evaluation", "/evaluation/images", "/audit", "/map", "/indexing"):
        assert got(service, f"/v1/jobs/0000{path}", 404)["status"] == 404
    assert service.client.delete("/v1/jobs/0000").status_code == 404


def test_the_last_jobs_that_ended_are_kept(service: InProcess) -> None:
    jobs = [done(service, "audits", {"by": "label", "k": k}) for k in range(1, KEPT + 2)]
    assert service.client.get(jobs[0]).status_code == 404
    assert service.client.get(f"{jobs[0]}/audit").status_code == 404
    assert service.client.get(f"{jobs[1]}/audit").status_code == 200
    assert len(got(service, "/v1/jobs")["jobs"]) == KEPT


def test_what_is_kept_of_a_job_is_small(many: InProcess) -> None:
    """A hundred bytes an image where five vote, whatever it took."""
    evaluation = many.database["fewer"].evaluate("label", near_duplicates=False)
    found = many.database["fewer"].audit("label")
    for act in (lambda: evaluation_result(evaluation), lambda: audit_result(found)):
        tracemalloc.start()
        kept = act()
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert 60 * FEWER < size < 200 * FEWER
        del kept


def test_a_key_that_may_only_read_may_judge_and_not_index(make_service: Callable[..., InProcess]) -> None:
    reading, read = new_key("reader", "read")
    writing, write = new_key("writer", "write")
    service = make_service(keys=f"{read},{write}")
    client = service.client
    client.headers["Authorization"] = f"Bearer {reading}"
    assert client.post(f"{BASE}/indexings", json={}).status_code == 403
    done(service, "audits", {"by": "label"})
    held, goes_on = threading.Event(), threading.Event()

    def wait(progress: Progress) -> None:
        held.set()
        assert goes_on.wait(PATIENCE)
        progress(1, 2)

    service.service.jobs.put("audit", COLLECTION, AuditQuery(by="other", split=None, k=5), wait)
    assert held.wait(PATIENCE)
    client.headers["Authorization"] = f"Bearer {writing}"
    job = start(service, "indexings", {})
    client.headers["Authorization"] = f"Bearer {reading}"
    assert client.delete(job).status_code == 403
    assert look(service, job)["state"] == "waiting"
    client.headers["Authorization"] = f"Bearer {writing}"
    assert client.delete(job).json()["state"] == "cancelled"
    goes_on.set()


def test_a_comparison_of_new_images_and_suggestions_are_jobs(service: InProcess) -> None:
    handle = service.database[COLLECTION]
    job = done(service, "drifts", {"new": {"label": ["global"]}, "by": "label"})
    found = got(service, f"{job}/drift")
    expected = handle.drift(new_where={"label": "global"}, by="label")
    assert found["summary"]["drifted"] is True
    assert found["summary"]["p_value"] == expected.p_value
    assert [each["image"]["id"] for each in found["drivers"]] == [each.record.id for each in expected.drivers]
    assert all(each["nearest"]["fields"]["label"] != "global" for each in found["drivers"])
    job = done(service, "suggestions", {"by": "nobody has it", "count": 3})
    found = got(service, f"{job}/suggestions")
    assert [each["image"]["id"] for each in found["suggestions"]] == [
        each.record.id for each in handle.suggest("nobody has it", count=3).images
    ]
    assert (found["labelled"], found["unlabelled"]) == (0, 60)
    for what, query in (("drifts", {"new": {}}), ("drifts", {"new": {"nothing": [1]}})):
        assert service.client.post(f"{BASE}/{what}", json=query).status_code == 400
    assert service.client.post(f"{BASE}/drifts", json={}).status_code == 400
    series = done(service, "evaluations", {"by": "label", "group": "series"})
    assert got(service, f"{series}/evaluation")["summary"]["series"] is None


def test_pictures_that_are_sent_are_compared_with_the_collection(
    service: InProcess, strangers: list[Path]
) -> None:
    handle = service.database[COLLECTION]

    def send(files: list[Path], query: dict[str, Any], status: int = 202) -> dict[str, Any]:
        parts: list[Any] = [("query", (None, json.dumps(query), "application/json"))]
        parts += [("image", (file.name, file.read_bytes(), "image/jpeg")) for file in files]
        answer = service.client.post(f"{BASE}/drifts", files=parts)
        assert answer.status_code == status, answer.text
        found: dict[str, Any] = answer.json()
        return found

    job = send(strangers, {"by": "label"})
    other = send(strangers[:5], {"by": "label"})
    assert job["id"] != other["id"], "another question"
    until(lambda: got(service, f"/v1/jobs/{other['id']}")["state"] == "done")
    found = got(service, f"/v1/jobs/{job['id']}/drift")
    expected = handle.drift(strangers, by="label")
    assert found["summary"]["images"] == 9
    assert found["summary"]["p_value"] == expected.p_value
    assert [each["name"] for each in found["drivers"]] == [
        Path(each.record.uri).name for each in expected.drivers
    ]
    assert all(each["image"] is None and each["nearest"] for each in found["drivers"])
    assert all(each["image"] for each in found["missing"])
    assert found["skipped"] == []
    many = [strangers[0]] * (service.service.settings.max_images + 1)
    assert "at most" in send(many, {}, 400)["detail"]
    assert send(strangers, {"new": {"label": ["local"]}}, 400)


def test_a_name_for_an_index_is_of_elasticsearch_stores(
    make_service: Callable[..., InProcess], tmp_path: Path
) -> None:
    service = make_service(roots=(save(tmp_path / "mine" / "a.png", 1).parent,))
    named = {"name": "named", "model": "efficientnet-lite0", "index_name": "parts-index"}
    answer = service.client.post("/v1/collections", json=named)
    assert (answer.status_code, answer.json()["error"]) == (400, "InvalidArgument")
    assert service.client.get("/v1/collections/named").status_code == 404
    service.database.create("mine", "efficientnet-lite0")
    job = ended(service, start(service, "indexings", {"index_name": "parts-index"}, "mine"))
    assert (job["state"], job["problem"]["error"]) == ("failed", "InvalidArgument")
    assert service.database["mine"].info().count == 0
