"""Searches over HTTP: the answers of the command line, in pages, and refusals that say what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lookalike.embedders.unknown import unknown_space
from lookalike.schemas.search import MOST_TERMS, SearchAnswer
from lookalike.stores.registry import open_store
from lookalike.types import Record
from lookalike.vectors.metric import normalise
from tests.service import COLLECTION, MIXED, InProcess, Server, data_url, until

Typed = Callable[..., list[dict[str, Any]]]

WORDS = "cloth with a hole"


def hits(answer: Any) -> list[tuple[str, float | None]]:
    """Return ids and similarities of an answer, which must be as it is described."""
    SearchAnswer.model_validate(answer)
    return [(hit["id"], hit["similarity"]) for hit in answer["hits"]]


def lines(found: list[dict[str, Any]]) -> list[tuple[str, float | None]]:
    """Return the same of lines of the command line."""
    return [(line["id"], line["similarity"]) for line in found]


def test_a_picture_finds_the_same_however_it_is_sent(
    service: InProcess, typed: Typed, strangers: list[Path]
) -> None:
    picture = strangers[0]
    expected = lines(typed("search", picture))
    assert len(expected) == 10
    ways: list[tuple[dict[str, Any], list[Path]]] = [
        ({}, [picture]),
        ({"terms": [{"image": 0}]}, [picture]),
        ({"terms": [{"image": data_url(picture)}]}, []),
        # Whatever the type says: the bytes tell.
        ({"terms": [{"image": data_url(picture, "text/html")}]}, []),
    ]
    for query, pictures in ways:
        assert hits(service.ask("search", query, pictures)) == expected


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"k": 3}, ["-k", "3"]),
        ({"k": 60}, ["-k", "60"]),
        ({"k": 1000}, ["-k", "1000"]),
        ({"where": {"label": ["local", "nominal"]}}, ["--where", "label=local", "--where", "label=nominal"]),
        ({"min_similarity": 0.9}, ["--min-similarity", "0.9"]),
        ({"min_similarity": "auto"}, ["--min-similarity", "auto"]),
        (
            {"min_similarity": "auto", "false_alarm": 0.2},
            ["--min-similarity", "auto", "--false-alarm", "0.2"],
        ),
    ],
    ids=str,
)
def test_a_picture_finds_what_the_command_line_finds(
    service: InProcess, typed: Typed, strangers: list[Path], query: dict[str, Any], words: list[str]
) -> None:
    found = typed("search", strangers[1], *words)
    answer = service.ask("search", query, strangers[1:2])
    assert hits(answer) == lines(found)
    assert [hit["fields"] for hit in answer["hits"]] == [line["fields"] for line in found]
    if "min_similarity" in query:
        assert answer["best"] >= answer["hits"][0]["similarity"]
        cutoff = answer["cutoff"]
        assert {cutoff["similarity"]} == {line["min_similarity"] for line in found}
        rate = query.get("false_alarm", 0.01)
        assert cutoff["false_alarm"] == (rate if query["min_similarity"] == "auto" else None)


def test_ids_words_and_sums_find_what_the_command_line_finds(
    service: InProcess, typed: Typed, strangers: list[Path]
) -> None:
    one, two = (line["id"] for line in typed("search", strangers[0], "-k", "2"))
    picture = strangers[2]
    text, image = {"text": WORDS}, {"image": data_url(picture)}
    asked: list[tuple[list[dict[str, Any]], list[str | Path]]] = [
        ([{"id": one}], [one]),
        ([text], [WORDS]),
        ([image, text], [picture, "+", WORDS]),
        ([image, {**text, "sign": -1}], [picture, "-", WORDS]),
        ([{"id": one}, {"id": two, "sign": -1}, image], [one, "-", two, "+", picture]),
        ([{"id": one, "sign": -1}, {"id": two}], ["-", one, "+", two]),
    ]
    for terms, words in asked:
        answer = service.ask("search", {"terms": terms, "k": 60})
        assert hits(answer) == lines(typed("search", "-k", "60", "--", *words)), words
        # Images that are terms of a sum are left out; of one alone, it is the nearest.
        ids = {term["id"] for term in terms if "id" in term}
        assert answer["left_out"] == (len(ids) if len(terms) > 1 else 0)
        assert len(answer["hits"]) == 60 - answer["left_out"]
        assert bool(answer["remarks"]) == any("text" in term for term in terms)


def test_pictures_of_a_request_are_added_in_their_order(
    service: InProcess, typed: Typed, strangers: list[Path]
) -> None:
    first, second = strangers[:2]
    added = lines(typed("search", first, "+", second))
    assert hits(service.ask("search", {}, [first, second])) == added
    taken_away = {"terms": [{"image": 1}, {"image": 0, "sign": -1}]}
    less = lines(typed("search", second, "-", first))
    assert hits(service.ask("search", taken_away, [first, second])) == less
    assert added != less


def test_a_hybrid_search_says_how_each_hit_was_found(service: InProcess, typed: Typed) -> None:
    found = typed("search", "--text", "nominal", "--hybrid", "-k", "30")
    answer = service.ask("search", {"terms": [{"text": "nominal"}], "hybrid": True, "k": 30})
    names = ("id", "similarity", "score", "by_vectors", "by_words")
    assert [[hit[name] for name in names] for hit in answer["hits"]] == [
        [line[name] for name in names] for line in found
    ]
    assert {hit["by_words"] is None for hit in answer["hits"]} == {True, False}


def test_values_of_different_types_are_different(service: InProcess, strangers: list[Path]) -> None:
    everything = service.ask("search", {"k": 60}, strangers[:1])["hits"]
    seen = []
    for value in MIXED:
        answer = service.ask("search", {"k": 60, "where": {"mixed": [value]}}, strangers[:1])
        # 1 == True in Python, and not here.
        expected = [hit for hit in everything if repr(hit["fields"]["mixed"]) == repr(value)]
        assert answer["hits"] == expected
        assert len(expected) == 12
        seen += [hit["id"] for hit in answer["hits"]]
    assert len(set(seen)) == 60
    both = service.ask("search", {"k": 60, "where": {"mixed": [1, "1"], "label": ["local"]}}, strangers[:1])
    assert both["hits"] == [
        hit
        for hit in everything
        if repr(hit["fields"]["mixed"]) in ("1", "'1'") and hit["fields"]["label"] == "local"
    ]
    assert service.ask("search", {"where": {"mixed": []}}, strangers[:1])["hits"] == []


def test_an_approximate_search_says_so(service: InProcess, typed: Typed, strangers: list[Path]) -> None:
    exact = service.ask("search", {"approximate": True}, strangers[:1])
    assert exact["approximation"] is None
    built = service.database[COLLECTION].vectors.build_index()
    answer = service.ask("search", {"approximate": True}, strangers[:1])
    assert hits(answer) == lines(typed("search", strangers[0], "--approximate"))
    assert answer["approximation"] == {
        "kind": built.kind,
        "recall": built.recall,
        "k": built.k,
        "queries": built.queries,
    }


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    sizes=st.lists(st.integers(1, 70), min_size=1, max_size=4),
    where=st.sampled_from([{}, {"label": ["local"]}, {"mixed": [1, "true"]}, {"label": ["none of them"]}]),
    by=st.sampled_from(["picture", "text", "sum", "hybrid", "cutoff"]),
)
def test_pages_put_together_are_one_long_list(
    service: InProcess, strangers: list[Path], sizes: list[int], where: dict[str, Any], by: str
) -> None:
    terms: dict[str, list[dict[str, Any]]] = {
        "picture": [{"image": data_url(strangers[0])}],
        "text": [{"text": WORDS}],
        "sum": [{"image": data_url(strangers[0])}, {"text": WORDS}],
        "hybrid": [{"text": "nominal cloth"}],
        "cutoff": [{"image": data_url(strangers[0])}],
    }
    query = {"terms": terms[by], "where": where, "hybrid": by == "hybrid"}
    if by == "cutoff":
        query["min_similarity"] = 0.85
    whole = service.ask("search", {**query, "k": 100})
    assert not whole["more"]
    pages: list[Any] = []
    turn = 0
    while True:
        size = sizes[turn % len(sizes)]
        page = service.ask("search", {**query, "k": size, "offset": len(pages)})
        assert len(page["hits"]) == (size if page["more"] else len(whole["hits"]) - len(pages))
        pages += page["hits"]
        turn += 1
        if not page["more"]:
            break
    assert pages == whole["hits"]
    assert service.ask("search", {**query, "offset": len(pages) + 5})["hits"] == []


REFUSED: list[tuple[dict[str, Any], int, int, str]] = [
    ({}, 0, 400, "nothing to search for"),
    ({"terms": []}, 0, 400, "nothing to search for"),
    ({"terms": [{}]}, 0, 422, "a term is one of text, id, image and vector"),
    ({"terms": [{"text": "a", "id": "0" * 32}]}, 0, 422, "a term is one of text, id, image and vector"),
    ({"terms": [{"text": ""}]}, 0, 422, "terms/0/text"),
    ({"terms": [{"text": "   "}]}, 0, 400, ""),
    ({"terms": [{"text": "a" * 10_001}]}, 0, 422, "terms/0/text"),
    ({"terms": [{"text": WORDS}] * (MOST_TERMS + 1)}, 0, 422, "terms"),
    ({"terms": [{"id": "0" * 32}]}, 0, 404, "0" * 32),
    ({"terms": [{"id": "textile 1"}]}, 0, 422, "terms/0/id"),
    ({"terms": [{"id": "textile_0001.jpg"}]}, 0, 404, "textile_0001.jpg"),
    ({"terms": [{"image": 0}]}, 0, 400, "the request has 0"),
    ({"terms": [{"image": 1}]}, 1, 400, "the request has 1"),
    ({"terms": [{"image": -1}]}, 1, 400, "the request has 1"),
    ({"terms": [{"text": WORDS}]}, 1, 400, "picture 0 is in no term"),
    ({"terms": [{"image": "https://example.org/a.jpg"}]}, 0, 422, "terms/0/image"),
    ({"terms": [{"image": "file:///etc/passwd"}]}, 0, 422, "terms/0/image"),
    ({"terms": [{"image": "data:image/png;base64,###"}]}, 0, 400, "damaged base64"),
    ({"terms": [{"image": "data:image/png;base64,AAAA"}]}, 0, 422, "not an image"),
    ({"terms": [{"image": "data:,GIF89a"}]}, 0, 422, "GIF"),
    ({"terms": [{"image": "data:nothing"}]}, 0, 400, "data:image"),
    ({"k": 0}, 1, 422, "k"),
    ({"k": 1001}, 1, 422, "k"),
    ({"k": 2.5}, 1, 422, "k"),
    ({"offset": -1}, 1, 422, "offset"),
    ({"offset": 10_000}, 1, 422, "offset"),
    ({"where": {"colour": ["red"]}}, 1, 400, "no field 'colour'"),
    ({"where": {"label": "local"}}, 1, 422, "where/label"),
    ({"where": {"label": [None]}}, 1, 422, "where/label"),
    ({"hybrid": True}, 1, 400, "words"),
    ({"min_similarity": 1.5}, 1, 422, "min_similarity"),
    ({"min_similarity": "some"}, 1, 422, "min_similarity"),
    ({"false_alarm": 0.1}, 1, 400, "min_similarity auto"),
    ({"min_similarity": 0.5, "false_alarm": 0.1}, 1, 400, "min_similarity auto"),
    ({"terms": [{"image": 0}, {"image": 0, "sign": -1}]}, 1, 400, "cancel each other out"),
    ({"size": 10}, 1, 422, "size"),
]


def test_a_vector_that_was_computed_elsewhere_finds_its_neighbours(service: InProcess) -> None:
    records, vectors = service.database[COLLECTION].vectors.read()
    query = {"terms": [{"vector": (3 * vectors[7]).tolist()}], "k": 3}
    found = service.ask("search", query)["hits"]
    by_id = service.ask("search", {"terms": [{"id": records[7].id}], "k": 3})["hits"]
    assert [hit["id"] for hit in found] == [hit["id"] for hit in by_id]
    assert found[0]["id"] == records[7].id
    for wrong in ([1.0], [0.0] * vectors.shape[1]):
        assert service.ask("search", {"terms": [{"vector": wrong}]}, status=400)["error"] == "InvalidArgument"


def test_vectors_of_an_unknown_model_are_served(
    make_service: Callable[..., InProcess], store_url: str
) -> None:
    vectors = np.random.default_rng(1).normal(size=(9, 6)).astype(np.float32)
    with open_store(store_url) as store:
        space = unknown_space("theirs", 6)
        store.create("foreign", space)
        records = [
            Record(f"row-{n}", f"row:x/{n}", f"row-{n}", {"label": "ab"[n % 2]}, {}, 0, 0) for n in range(9)
        ]
        store.put("foreign", records, {space: normalise(vectors)})
    service = make_service(collections=("foreign",))
    until(lambda: service.client.get("/readyz").status_code == 200)
    ask = partial(service.client.post, "/v1/collections/foreign/search")
    for term in ({"id": "row-4"}, {"vector": vectors[4].tolist()}):
        assert ask(json={"terms": [term], "k": 1}).json()["hits"][0]["id"] == "row-4"
    refused = ask(json={"terms": [{"text": "a red car"}]})
    assert (refused.status_code, refused.json()["error"]) == (409, "EmbedderUnknown")


def test_what_cannot_be_answered_is_refused_with_the_reason(
    service: InProcess, strangers: list[Path]
) -> None:
    for query, pictures, status, said in REFUSED:
        problem = service.ask("search", query, strangers[:pictures], status=status)
        assert problem["status"] == status, query
        assert said in problem["detail"], (query, problem)
        assert problem["title"], query
        assert "/textile" not in problem["detail"], problem
    # None of them took anything with it.
    assert len(service.ask("search", {}, strangers[:1])["hits"]) == 10


def test_a_body_that_is_no_question_is_refused(service: InProcess, strangers: list[Path]) -> None:
    client, path = service.client, f"/v1/collections/{COLLECTION}/search"
    picture = ("a.jpg", strangers[0].read_bytes())
    answers = {
        "no JSON": client.post(path, content=b"{", headers={"Content-Type": "application/json"}),
        "a list": client.post(path, json=[]),
        "no UTF-8": client.post(path, content=b'{"k": "\xff"}', headers={"Content-Type": "application/json"}),
        "deep": client.post(path, content=b"[" * 100_000, headers={"Content-Type": "application/json"}),
        "two ends": client.post(path, content=b'{"k": NaN}', headers={"Content-Type": "application/json"}),
        "query is no JSON": client.post(path, data={"query": "k=1"}, files={"image": picture}),
    }
    assert {what: answer.status_code for what, answer in answers.items()} == dict.fromkeys(answers, 422)
    assert client.post(path, content=b"", headers={"Content-Type": "text/plain"}).status_code == 415
    assert client.post(path, content=picture[1], headers={"Content-Type": "image/jpeg"}).status_code == 415
    multipart = {"Content-Type": "multipart/form-data; boundary=x"}
    for body in (b"", b"--x", b"--y--\r\n", b"--x\r\nno header\r\n\r\n\r\n--x--\r\n"):
        answer = client.post(path, content=body, headers=multipart)
        assert answer.status_code in (400, 422), (body, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
    bare = client.post(path, content=b"", headers={"Content-Type": "multipart/form-data"})
    assert bare.status_code == 400
    assert client.get(path).status_code == 405


def test_no_more_pictures_are_taken_than_is_said(
    make_service: Callable[..., InProcess], strangers: list[Path]
) -> None:
    service = make_service(max_images=2)
    assert service.ask("search", {}, strangers[:2])["hits"]
    service.ask("search", {}, strangers[:3], status=400)
    url = data_url(strangers[0])
    problem = service.ask("search", {"terms": [{"image": url}] * 3}, status=400)
    assert "at most 2 pictures" in problem["detail"]


def test_only_collections_that_are_served_are_there(
    make_service: Callable[..., InProcess], strangers: list[Path]
) -> None:
    service = make_service(collections=("others",))
    record = service.database[COLLECTION].vectors.read()[0][0].id
    for query in ({"terms": [{"id": record}]}, {"terms": [{"image": data_url(strangers[0])}]}):
        problem = service.ask("search", query, status=404)
        assert problem["error"] == "CollectionNotFound"
        assert COLLECTION not in problem["detail"].replace(f"no collection '{COLLECTION}'", "").replace(
            f"--collection {COLLECTION}", ""
        )
    assert make_service(collections=("Textile",)).ask("search", {}, strangers[:1])["hits"]


def test_a_name_is_the_path_below_the_folder_that_was_indexed(
    service: InProcess, pictures: Path, strangers: list[Path]
) -> None:
    answer = service.ask("search", {"k": 60}, strangers[:1])
    names = {hit["name"] for hit in answer["hits"]}
    assert names == {str(file.relative_to(pictures)) for file in pictures.rglob("*.jpg")}
    assert str(pictures) not in json.dumps(answer)


def test_words_search_the_plain_side_of_a_fitted_collection(
    service: InProcess, typed: Typed, strangers: list[Path]
) -> None:
    plain = service.ask("search", {}, strangers[:1])
    service.database[COLLECTION].fit("label")
    fitted = service.ask("search", {}, strangers[:1])
    assert hits(fitted) == lines(typed("search", strangers[0])) != hits(plain)
    words = service.ask("search", {"terms": [{"text": WORDS}]})
    assert hits(words) == lines(typed("search", WORDS))
    assert any("plain" in remark for remark in words["remarks"])


def test_a_collection_that_is_made_anew_with_another_model_is_searched_with_that(
    service: InProcess, typed: Typed, pictures: Path, strangers: list[Path]
) -> None:
    """The service remembers which model a collection has, and finds out when it is wrong."""
    name, path = COLLECTION, strangers[0]
    before = service.ask("search", {}, [path])
    assert service.ask("classify", {"by": "label"}, [path])["predictions"]
    service.database.store.delete(name)
    assert service.ask("search", {}, [path], status=404)["error"] == "CollectionNotFound"
    typed("index", pictures, "--model", "efficientnet-lite0-inspect")
    after = service.ask("search", {}, [path])
    assert hits(after) == lines(typed("search", path)) != hits(before)
    (predicted,) = service.ask("classify", {"by": "label"}, [path])["predictions"]
    (expected,) = typed("classify", path, "--by", "label")
    assert [hit["id"] for hit in predicted["neighbours"]] == [hit["id"] for hit in expected["neighbours"]]
    # It reads no words, and says which do.
    problem = service.ask("search", {"terms": [{"text": WORDS}]}, status=409)
    assert "efficientnet-lite0" in problem["detail"]


def test_an_empty_collection_is_no_fault_of_the_service(
    service: InProcess, tmp_path: Path, strangers: list[Path]
) -> None:
    service.database.store.remove(
        COLLECTION, [record.id for record in service.database[COLLECTION].vectors.read()[0]]
    )
    problem = service.ask("search", {}, strangers[:1], status=409)
    assert problem["error"] == "CollectionEmpty"


def test_the_process_answers_as_the_application_does(
    server: Server, service: InProcess, strangers: list[Path]
) -> None:
    with httpx.Client(base_url=server.url) as client:
        files = {"image": strangers[0].read_bytes()}
        answer = client.post(f"/v1/collections/{COLLECTION}/search", files=files)
    assert answer.status_code == 200
    assert hits(answer.json()) == hits(service.ask("search", {}, strangers[:1]))
