"""Classifications over HTTP: the labels, votes and confidences of the command line, and refusals."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lookalike.classification.classifier import Classifier
from lookalike.database import Database
from lookalike.schemas.classify import ClassifyAnswer
from lookalike.server.caches.classifiers import ClassifierCache
from lookalike.server.settings import Settings
from lookalike.types import CollectionInfo
from tests.service import COLLECTION, InProcess, data_url, fill, in_process

Typed = Callable[..., list[dict[str, Any]]]

# What the service says of a prediction and the command line too, and what only hits have there.
SAID = ("label", "share", "confidence", "p_value", "reason", "votes", "itself")


def figures(predictions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what predictions say, whoever says it."""
    return [
        {
            **{name: each[name] for name in SAID},
            "label_set": each.get("label_set"),
            "neighbours": [(hit["id"], hit["similarity"], hit["fields"]) for hit in each["neighbours"]],
        }
        for each in predictions
    ]


def classified(service: InProcess, query: dict[str, Any], pictures: list[Path]) -> dict[str, Any]:
    """Return an answer that is as it is described."""
    answer: dict[str, Any] = service.ask("classify", query, pictures)
    ClassifyAnswer.model_validate(answer)
    return answer


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({}, []),
        ({"k": 1}, ["-k", "1"]),
        ({"k": 15}, ["-k", "15"]),
        ({"k": "auto"}, ["-k", "auto"]),
        ({"by": "mixed", "k": 3}, ["--by", "mixed", "-k", "3"]),
        ({"where": {"label": ["local", "global"]}}, ["--where", "label=local", "--where", "label=global"]),
        ({"max_error": 0.45}, ["--max-error", "0.45"]),
        ({"coverage": 0.9}, ["--coverage", "0.9"]),
        ({"false_alarm": 0.5}, ["--false-alarm", "0.5"]),
        ({"false_alarm": 0}, ["--false-alarm", "0"]),
        ({"approximate": True}, ["--approximate"]),
    ],
    ids=str,
)
def test_pictures_are_labelled_as_on_the_command_line(
    service: InProcess, typed: Typed, strangers: list[Path], query: dict[str, Any], words: list[str]
) -> None:
    by = [] if "by" in query else ["--by", "label"]
    expected = typed("classify", *strangers, *by, *words)
    answer = classified(service, {"by": "label", **query}, strangers)
    assert figures(answer["predictions"]) == figures(expected)
    assert [each["name"] for each in answer["predictions"]] == [path.name for path in strangers]
    assert answer["by"] == query.get("by", "label")
    if isinstance(query.get("k", 5), int):
        assert answer["k"] == query.get("k", 5)
    assert any("an error of at most" in remark for remark in answer["remarks"]) == ("max_error" in query)
    if "by" not in query:
        assert all(each["confidence"] is not None for each in answer["predictions"])
    if query.get("false_alarm") == 0.5:
        assert {each["label"] is None for each in answer["predictions"]} == {True, False}
    if "coverage" in query:
        assert all(each["label_set"] for each in answer["predictions"])


def test_an_approximate_index_is_used_and_named(
    service: InProcess, typed: Typed, strangers: list[Path]
) -> None:
    built = service.database[COLLECTION].vectors.build_index()
    answer = classified(service, {"by": "label", "approximate": True}, strangers)
    expected = typed("classify", *strangers, "--by", "label", "--approximate")
    assert figures(answer["predictions"]) == figures(expected)
    assert answer["approximation"]["recall"] == built.recall


def test_images_of_the_collection_have_no_vote_on_themselves(
    service: InProcess, typed: Typed, pictures: Path
) -> None:
    found = typed("search", next(pictures.rglob("*.jpg")), "-k", "3")
    ids = [line["id"] for line in found]
    files = [Path(line["path"]) for line in found]
    answer = classified(service, {"by": "label", "ids": ids}, [])
    assert figures(answer["predictions"]) == figures(typed("classify", *files, "--by", "label"))
    for identity, file, each in zip(ids, files, answer["predictions"], strict=True):
        assert each["itself"] == 1
        assert each["name"] == str(file.relative_to(pictures))
        assert identity not in [hit["id"] for hit in each["neighbours"]]


def test_pictures_and_ids_are_answered_in_their_order(
    service: InProcess, typed: Typed, strangers: list[Path]
) -> None:
    """Those of the query, those that go with it, then ids; the same one twice is answered twice."""
    identity = typed("search", strangers[0], "-k", "1")[0]["id"]
    query = {"by": "label", "images": [data_url(strangers[3]), data_url(strangers[4])], "ids": [identity] * 2}
    together = classified(service, query, strangers[:3])["predictions"]
    apart = [
        classified(service, {"by": "label"}, [path])["predictions"][0]
        for path in (*strangers[3:5], *strangers[:3])
    ]
    apart += classified(service, {"by": "label", "ids": [identity]}, [])["predictions"] * 2
    assert figures(together) == figures(apart)
    assert [each["name"] for each in together[:5]] == [
        "picture 0",
        "picture 1",
        *(p.name for p in strangers[:3]),
    ]


def test_a_picture_that_cannot_be_used_keeps_its_place(
    service: InProcess, strangers: list[Path], tmp_path: Path
) -> None:
    text, cut = tmp_path / "text.jpg", tmp_path / "cut.jpg"
    text.write_text("no picture")
    cut.write_bytes(strangers[0].read_bytes()[:3000])
    files = [text, strangers[0], cut, strangers[1]]
    found = classified(service, {"by": "label"}, files)["predictions"]
    assert ["skipped" in each for each in found] == [True, False, True, False]
    assert [each["name"] for each in found] == [file.name for file in files]
    assert found[0]["skipped"].startswith("not an image")
    assert "truncated" in found[2]["skipped"]
    only = classified(service, {"by": "label"}, strangers[:2])["predictions"]
    assert [found[1], found[3]] == only


REFUSED: list[tuple[dict[str, Any], int, int, str]] = [
    ({}, 1, 422, "by"),
    ({"by": "label"}, 0, 400, "nothing to classify"),
    ({"by": "label", "images": [], "ids": []}, 0, 400, "nothing to classify"),
    ({"by": "colour"}, 1, 400, "no field 'colour'"),
    ({"by": ""}, 1, 400, "no field ''"),
    ({"by": "label", "where": {"colour": ["red"]}}, 1, 400, "no field 'colour'"),
    ({"by": "label", "ids": ["0" * 32]}, 0, 404, "0" * 32),
    ({"by": "label", "ids": ["0 1"]}, 0, 422, "ids/0"),
    ({"by": "label", "ids": ["0"]}, 0, 404, "the id 0"),
    ({"by": "label", "images": ["https://example.org/a.jpg"]}, 0, 422, "images/0"),
    ({"by": "label", "images": ["data:image/png;base64,#"]}, 0, 400, "damaged base64"),
    ({"by": "label", "k": 0}, 1, 422, "k"),
    ({"by": "label", "k": "some"}, 1, 422, "k"),
    ({"by": "label", "max_error": 0}, 1, 422, "max_error"),
    ({"by": "label", "max_error": 1e-9}, 1, 409, ""),
    ({"by": "label", "coverage": 1}, 1, 422, "coverage"),
    ({"by": "label", "false_alarm": 1}, 1, 422, "false_alarm"),
    ({"by": "label", "neighbours": 3}, 1, 422, "neighbours"),
]


def test_what_cannot_be_answered_is_refused_with_the_reason(
    service: InProcess, strangers: list[Path]
) -> None:
    for query, pictures, status, said in REFUSED:
        problem = service.ask("classify", query, strangers[:pictures], status=status)
        assert said in problem["detail"], (query, problem)
    answer = service.client.post("/v1/collections/others/classify", json={"by": "label", "ids": ["0" * 32]})
    assert (answer.status_code, answer.json()["error"]) == (404, "CollectionNotFound")


def test_no_more_pictures_are_taken_than_is_said(
    make_service: Callable[..., InProcess], strangers: list[Path]
) -> None:
    service = make_service(max_images=3)
    identity = service.database[COLLECTION].vectors.read()[0][0].id
    query = {"by": "label", "images": [data_url(strangers[0])], "ids": [identity]}
    assert len(classified(service, query, strangers[:1])["predictions"]) == 3
    for pictures in (2, 4):
        service.ask("classify", query, strangers[:pictures], status=400)
    service.ask("classify", {"by": "label", "images": [data_url(strangers[0])] * 4}, status=400)


def there(judged: dict[str, int]) -> int:
    """Return how many images a collection has, by what is said of its judgement."""
    return judged["images"] + judged["added"] - judged["removed"]


def test_a_judge_is_asked_again_when_the_collection_has_changed(
    service: InProcess, typed: Typed, strangers: list[Path]
) -> None:
    """By this service at once; by others within `SECONDS`."""
    query = {"by": "label"}
    before = classified(service, query, strangers[:3])
    count = there(before["judged"])
    local = [r.id for r in service.database[COLLECTION].vectors.read({"label": ["local"]})[0]]
    for identity in local[:10]:
        answer = service.client.delete(f"/v1/collections/{COLLECTION}/images/{identity}")
        assert answer.status_code == 204
    old = classified(service, query, strangers[:3])
    assert there(old["judged"]) == count - 10
    assert any("since then" in remark and "removed" in remark for remark in old["remarks"])
    deadline = time.monotonic() + 100
    while old["judged"]["images"] != count - 10 and time.monotonic() < deadline:  # judged behind the answers
        time.sleep(0.1)
        old = classified(service, query, strangers[:3])
    assert old["judged"] | {"at": ""} == {
        "at": "", "images": count - 10, "added": 0, "removed": 0, "changed": 0, "counted": True,
    }  # fmt: skip
    assert old["remarks"] == []
    after = figures(classified(service, query, strangers[:3])["predictions"])
    assert after == figures(typed("classify", *strangers[:3], "--by", "label"))
    confidences = [each["confidence"] for each in figures(before["predictions"])]
    assert [each["confidence"] for each in after] != confidences


def test_classifiers_are_kept_for_a_while_and_no_longer(store_url: str, cache: Path) -> None:
    now = 1000.0
    with Database(store_url, cache=cache) as database:
        classifiers = ClassifierCache(database, lambda: now)
        collection = database[COLLECTION].info()

        def get(collection: CollectionInfo = collection, **where: list[Any]) -> Classifier:
            return classifiers.get(collection, "label", 5, where, None, None, None, None, approximate=False)

        first = get()
        now += 59
        assert get() is first
        # 1 and "1" are two filters, and so are two collections' names that differ in more than case.
        others = [get(replace(collection, name="TEXTILE"), mixed=[value]) for value in (1, "1")]
        assert others[0] is not others[1]
        now += 2
        again = get()
        assert again is not first
        # What has changed is said at once, and judged behind the answers.
        classifiers.forget("Textile")
        old = get()
        assert old.age is not None
        assert not old.age.current
        classifiers.close()
        assert get().age is not None


@pytest.fixture(
    params=[
        "postgresql",
        pytest.param("elasticsearch", marks=pytest.mark.xdist_group("elasticsearch")),
    ]
)
def other_store(request: pytest.FixtureRequest, cache: Path, pictures: Path) -> Iterator[str]:
    """The URL of a store on a server, filled as the shared one."""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    else:
        url = f"{request.getfixturevalue('elasticsearch_server')}?prefix=service"
    fill(url, cache, pictures)
    yield url
    with Database(url, cache=cache) as database:
        database.store.delete(COLLECTION)


def test_other_stores_answer_the_same(
    service: InProcess, other_store: str, cache: Path, pictures: Path, strangers: list[Path]
) -> None:
    identity = service.database[COLLECTION].vectors.read()[0][0].id
    asked: list[tuple[str, dict[str, Any], list[Path]]] = [
        ("search", {"k": 60}, strangers[:1]),
        ("search", {"k": 20, "offset": 15, "where": {"mixed": [1, "1"]}}, strangers[:1]),
        ("search", {"terms": [{"id": identity}, {"text": "a hole", "sign": -1}]}, []),
        ("search", {"min_similarity": "auto"}, strangers[:1]),
        ("classify", {"by": "label"}, strangers),
        ("classify", {"by": "mixed", "ids": [identity], "coverage": 0.8}, strangers[:2]),
    ]
    with in_process(other_store, cache, Settings(roots=(pictures,))) as other:
        for what, query, files in asked:
            expected, found = (each.ask(what, query, files) for each in (service, other))
            for answer in (expected, found):
                answer.get("judged", {}).pop("at", None)
            assert found == near(expected), (what, query)
        assert [
            other.ask("classify", {"by": "colour"}, strangers[:1], status=400)["error"],
            other.ask("search", {"terms": [{"id": "0" * 32}]}, status=404)["error"],
        ] == ["FieldNotFound", "ImageNotFound"]


def near(answer: Any) -> Any:
    """Return an answer with its numbers compared to 1e-5, as stores agree."""
    if isinstance(answer, float):
        return pytest.approx(answer, abs=1e-5)
    if isinstance(answer, dict):
        return {name: near(value) for name, value in answer.items()}
    return [near(each) for each in answer] if isinstance(answer, list) else answer
