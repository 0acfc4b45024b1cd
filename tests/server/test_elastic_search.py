"""Elasticsearch's search requests by Elastic's own client: over SQLite, and over a genuine node."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import elasticsearch
import httpx
import numpy as np
import pytest

from lookalike.collection import Collection
from lookalike.database import Database
from lookalike.errors import InvalidArgument
from lookalike.server.app import make_app
from lookalike.server.auth.keys import new_key
from lookalike.server.elastic import answers
from lookalike.server.elastic.forwarding import passed_documents, passed_header, passed_search
from lookalike.server.elastic.questions import read_mget
from lookalike.server.settings import Settings
from tests.documents import blocks
from tests.listening import listening
from tests.service import COLLECTION

# One node for all tests of it, also where several processes run tests (pytest --dist loadgroup).
pytestmark = pytest.mark.xdist_group("elasticsearch")

DOCUMENT = Path(__file__).parents[2] / "docs" / "elasticsearch-applications.md"
INDEX = "my-image-embeddings"
MODEL = "sentence-transformers__clip-vit-b-32-multilingual-v1"
SETTINGS = Settings(aliases=((MODEL, "efficientnet-lite0"),), index_aliases=(("cloths.2", COLLECTION),))
QUERY = np.random.default_rng(0).random(1280).round(6).tolist()
SECRET = "not-ours"

Ask = Callable[[elasticsearch.Elasticsearch], Any]


@pytest.fixture(scope="module")
def addresses(filled_store: Path, cache: Path, elasticsearch_server: str) -> Iterator[dict[str, str]]:
    """Where the same 60 photographs are served from SQLite and from Elasticsearch, and the node itself."""
    prefix = f"t{uuid.uuid4().hex[:12]}"
    url = f"{elasticsearch_server}?prefix={prefix}&shards=1&replicas=0"
    node = elasticsearch_server.replace("elasticsearch+", "").rstrip("/")
    with ExitStack() as stack:
        enter = stack.enter_context
        file = enter(Database(f"sqlite:///{filled_store}", cache=cache))
        server = enter(Database(url, cache=cache))
        try:
            file.copy(COLLECTION, server)
            assert server.documents is not None
            server.documents.set_index_name(COLLECTION, INDEX)
            own = enter(listening(make_app(file, SETTINGS)))
            passed = enter(listening(make_app(server, SETTINGS)))
            yield {"sqlite": own, "elasticsearch": passed, "node": node}
        finally:
            with elasticsearch.Elasticsearch(node) as es:
                es.indices.delete(index=",".join(es.indices.get(index=f"{prefix}.*")))


@pytest.fixture(scope="module")
def web() -> Iterator[httpx.Client]:
    """A client that writes addresses as they are given."""
    with httpx.Client() as client:
        yield client


@pytest.fixture(scope="module")
def clients(addresses: dict[str, str]) -> Iterator[dict[str, elasticsearch.Elasticsearch]]:
    """Elastic's client of each."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(elasticsearch.Elasticsearch(address, max_retries=0))
            for name, address in addresses.items()
        }


def knn(**more: Any) -> dict[str, Any]:
    asked = {"field": "image_embedding", "query_vector": QUERY, "k": 7, "num_candidates": 60, **more}
    return {name: value for name, value in asked.items() if value is not None}


def term(value: str) -> dict[str, Any]:
    return {"term": {"fields.label": value}}


TEXT = {"text_embedding": {"model_id": MODEL, "model_text": "woven cloth"}}
SHOWN = {"excludes": ["vector*", "match", "words", "labels_digest", "*checksum"]}
SEARCHES: dict[str, dict[str, Any]] = {
    "plain": {"knn": knn()},
    "what is shown of a document": {"knn": knn(), "source": SHOWN},
    "fields": {
        "knn": knn(),
        "source": False,
        "fields": ["relative_path", "fields.*", "si*e", "fields.label"],
    },
    "labels of every kind": {"knn": knn(k=60), "size": 60, "source": ["fields.mixed", "image_id"]},
    "the flattened field": {"knn": knn(), "source": False, "fields": ["fields", {"field": "image_name"}]},
    "the rest of the k": {"knn": knn(), "size": 3, "from_": 5, "source": False},
    "k from size": {"knn": knn(k=None, num_candidates=None), "size": 4, "source": False},
    "no hits": {"knn": knn(), "size": 0},
    "another name of the vector": {"knn": [knn(field="vector_image")], "source": False},
    "words": {"knn": knn(query_vector=None, query_vector_builder=TEXT), "source": False},
    "similarity": {"knn": knn(k=60, similarity=0.23, boost=2.0), "size": 60, "source": False},
    "least score": {"knn": knn(k=60), "size": 60, "source": False, "min_score": 0.615},
    "count of hits": {"knn": knn(), "source": False, "track_total_hits": 3},
    "term": {"knn": knn(filter=term("local")), "source": False},
    "terms": {"knn": knn(filter=[{"terms": {"fields.label": ["local", "global"]}}]), "source": False},
    "values are texts": {"knn": knn(filter={"term": {"fields.mixed": 1}}, k=60), "size": 60, "source": False},
    "true": {"knn": knn(filter={"match": {"fields.mixed": True}}, k=60), "size": 60, "source": False},
    "any label": {"knn": knn(filter={"term": {"fields": "1.5"}}, k=60), "size": 60, "source": False},
    "bool": {
        "knn": knn(
            filter={"bool": {"must": [term("local")], "must_not": {"term": {"fields.mixed": "true"}}}}
        ),
        "source": False,
    },
    "should": {
        "knn": knn(
            k=60,
            filter={
                "bool": {
                    "should": [term("local"), {"range": {"size": {"gt": 21000, "lte": 22000}}}],
                    "minimum_should_match": 1,
                }
            },
        ),
        "size": 60,
        "source": False,
    },
    "range of texts": {
        "knn": knn(k=60, filter={"range": {"fields.label": {"gte": "h", "lt": "nominal"}}}),
        "size": 60,
    },
    "prefix": {"knn": knn(filter={"prefix": {"relative_path": "nomi"}}), "source": False},
    "a path": {"knn": knn(filter={"term": {"relative_path": "local/textile_0003.jpg"}}), "source": False},
    "a field that nobody has": {"knn": knn(filter={"exists": {"field": "fields.nosuch"}})},
    "an unknown field": {"knn": knn(filter={"term": {"fields.nosuch": "a"}})},
    "without vectors": {
        "query": {"bool": {"filter": [term("local"), {"exists": {"field": "image_id"}}]}},
        "size": 60,
        "source": False,
    },
    "constant": {
        "query": {"constant_score": {"filter": term("local"), "boost": 3}},
        "size": 60,
        "source": False,
    },
    "everything": {"query": {"match_all": {}}, "size": 60, "source": ["relative_path"]},
    "least score of all": {"query": {"match_all": {"_name": "nosuch"}}, "min_score": 1.5},
    "sizes with a fraction": {
        "query": {"terms": {"size": [n + 0.5 for n in range(21000, 22000)], "_name": "nosuch"}}
    },
    "a retriever": {"retriever": {"knn": knn(filter=term("local"))}, "source": False},
    "a retriever of a query": {
        "retriever": {"standard": {"query": {"match_all": {}}}},
        "source": False,
        "size": 60,
    },
    "a query that is knn": {"query": {"knn": knn(k=None, num_candidates=20)}, "source": False, "size": 5},
    "a query that is knn of few": {"query": {"knn": knn(k=3, filter=term("local"))}, "source": False},
    "a part of the answer": {"knn": knn(), "filter_path": "hits.hits._id,hits.total"},
}


def plain(answer: Any, ordered: bool) -> Any:
    """Return an answer without what tells one server from another; scores to 1e-6."""
    body = json.loads(json.dumps(answer.body))
    for name in ("took", "_shards", "timed_out"):
        body.pop(name, None)
    hits = body["hits"]["hits"]
    for hit in hits:
        hit.pop("_index", None)
        if "_score" in hit:
            hit["_score"] = round(hit["_score"], 6)
    if not ordered:
        hits.sort(key=lambda hit: str(hit["_id"]))
    if body["hits"].get("max_score"):
        body["hits"]["max_score"] = round(body["hits"]["max_score"], 6)
    return body


@pytest.mark.parametrize("asked", SEARCHES.values(), ids=list(SEARCHES))
def test_the_same_search_has_the_same_answer(
    clients: dict[str, elasticsearch.Elasticsearch], asked: dict[str, Any]
) -> None:
    asked = {"source": SHOWN, **asked}
    own, passed = (
        plain(clients[name].search(index=INDEX if name != "sqlite" else "cloths.2", **asked), "knn" in asked)
        for name in ("sqlite", "elasticsearch")
    )
    assert own == passed
    ids = [hit["_id"] for hit in own["hits"]["hits"]]
    nobody = "nosuch" in json.dumps(asked) or asked.get("size") == 0
    assert bool(ids) != nobody


OTHERS: dict[str, Ask] = {
    "info": lambda es: es.info()["version"]["number"] >= "8",
    "ping": lambda es: es.ping(),
    "exists": lambda es: [bool(es.indices.exists(index=name)) for name in (COLLECTION, "cloths.2", "nosuch")],
    "count": lambda es: [
        es.count(index=COLLECTION)["count"],
        es.count(index="cloths.2", query=term("local"))["count"],
    ],
    "one of several searches": lambda es: [
        (each["status"], [hit["_id"] for hit in each["hits"]["hits"]])
        for each in es.msearch(
            index=COLLECTION,
            searches=[
                {},
                {"knn": knn(), "_source": False},
                {"index": "cloths.2"},
                {"knn": knn(k=2), "size": 2},
            ],
        )["responses"]
    ],
    "mapping": lambda es: {
        name: one.get("type")
        for each in es.indices.get_mapping(index=COLLECTION).values()
        for name, one in each["mappings"]["properties"].items()
        if name in ("image_id", "relative_path", "size", "fields", "labels")
    },
    "embedding": lambda es: np.round(
        es.ml.infer_trained_model(model_id=MODEL, docs=[{"text_field": "a"}])["inference_results"][0][
            "predicted_value"
        ],
        6,
    ).tolist(),
}


@pytest.mark.parametrize("ask", OTHERS.values(), ids=list(OTHERS))
def test_so_have_the_other_calls(clients: dict[str, elasticsearch.Elasticsearch], ask: Ask) -> None:
    own = ask(clients["sqlite"])
    assert own
    assert own == ask(clients["elasticsearch"])


def test_a_document_is_found_by_its_id(clients: dict[str, elasticsearch.Elasticsearch]) -> None:
    (identity,) = (
        hit["_id"] for hit in clients["sqlite"].search(index=COLLECTION, knn=knn(), size=1)["hits"]["hits"]
    )
    for name in ("sqlite", "elasticsearch"):
        es = clients[name]
        found = es.get(index=COLLECTION, id=identity, source_includes=["relative_path", "fields.label"])
        label = found["_source"]["fields"][0]["label"]
        assert found["_source"] == {
            "relative_path": f"{label}/{found['_source']['relative_path'].rpartition('/')[2]}",
            "fields": [{"label": label}],
        }
        assert es.exists(index=found["_index"], id=identity)
        assert not es.exists(index=COLLECTION, id="nosuch")
        with pytest.raises(elasticsearch.NotFoundError):
            es.get(index=COLLECTION, id="../_search")
        source = es.get_source(index=COLLECTION, id=identity, source_includes=["relative_path"])
        assert source.body == {"relative_path": found["_source"]["relative_path"]}
        assert es.exists_source(index=COLLECTION, id=identity)
        assert not es.exists_source(index=COLLECTION, id="nosuch")
        with pytest.raises(elasticsearch.NotFoundError, match="resource_not_found_exception"):
            es.get_source(index=COLLECTION, id="nosuch")
        several = es.mget(
            docs=[
                {"_index": "cloths.2", "_id": identity, "_source": ["relative_path"]},
                {"_index": COLLECTION, "_id": identity, "_source": False},
                {"_index": COLLECTION, "_id": "nosuch"},
            ]
        )["docs"]
        assert [(one["found"], one.get("_source")) for one in several] == [
            (True, source.body),
            (True, None),
            (False, None),
        ]
        assert (
            es.mget(index=COLLECTION, ids=[identity], source_includes=["relative_path"])["docs"][0]["_source"]
            == source.body
        )
        for other in ("*", SECRET):
            with pytest.raises(elasticsearch.ApiError, match=r"patterns and _all|no such index"):
                es.mget(docs=[{"_index": other, "_id": "1"}])


def test_the_shard_of_a_document_is_asked_for_as_it_came() -> None:
    """An index of others may have its documents by another routing than by their ids."""
    body = {"docs": [{"_id": "1", "routing": "x", "_source": False}, {"_id": "2"}]}
    assert passed_documents(read_mget(body, "theirs", {}), {"theirs": "key"})["docs"] == [
        {"_index": "key", "_id": "1", "_source": False, "routing": "x"},
        {"_index": "key", "_id": "2", "_source": {"includes": (), "excludes": ()}},
    ]


@pytest.mark.parametrize("store", ["sqlite", "elasticsearch"])
def test_an_id_is_no_step_of_a_path(web: httpx.Client, addresses: dict[str, str], store: str) -> None:
    for identity in ("%2e%2e", "%2E", "..%00"):
        answer = web.get(f"{addresses[store]}/{COLLECTION}/_doc/{identity}")
        assert (answer.status_code, answer.json().get("found")) == (404, False), answer.text


def test_few_that_match_are_found_far_away(
    clients: dict[str, elasticsearch.Elasticsearch], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is far from the question is not looked for among neighbours that memory has to hold."""
    asked: dict[str, Any] = {"knn": knn(k=3, filter={"prefix": {"relative_path": "nomi"}}), "size": 3}
    before = clients["sqlite"].search(index=COLLECTION, **asked)["hits"]
    monkeypatch.setattr(answers, "MOST_HITS", 3)
    assert clients["sqlite"].search(index=COLLECTION, **asked)["hits"] == before
    assert len(before["hits"]) == 3


REFUSED: dict[str, dict[str, Any]] = {
    "[k]": {"knn": knn(k=0)},
    "[num_candidates]": {"knn": knn(num_candidates=2)},
    "number of dimensions": {"knn": knn(query_vector=[1.0, 2.0])},
    "0": {"knn": knn(query_vector=[0.0] * 1280)},
    "script": {"query": {"match_all": {}}, "script_fields": {"a": {"script": {"source": "1"}}}},
    "terms": {"query": {"terms": {"fields.label": {"index": SECRET, "id": "1", "path": "word"}}}},
    "runtime_mappings": {"query": {"match_all": {}}, "runtime_mappings": {"a": {"type": "long"}}},
    "rank": {"knn": knn(), "rank": {"rrf": {}}},
    "more_like_this": {"query": {"more_like_this": {"like": [{"_index": SECRET, "_id": "1"}]}}},
    "text_embedding": {"knn": knn(query_vector=None, query_vector_builder={"lookup": {"index": SECRET}})},
    "no model": {
        "knn": knn(
            query_vector=None,
            query_vector_builder={"text_embedding": {"model_id": "nosuch", "model_text": "a"}},
        )
    },
}


@pytest.mark.parametrize("store", ["sqlite", "elasticsearch"])
@pytest.mark.parametrize(("word", "asked"), REFUSED.items())
def test_what_cannot_be_answered_is_refused_as_elasticsearch_does(
    clients: dict[str, elasticsearch.Elasticsearch], store: str, word: str, asked: dict[str, Any]
) -> None:
    with pytest.raises(elasticsearch.ApiError) as error:
        clients[store].search(index=COLLECTION, **asked)
    assert error.value.meta.status in (400, 404)
    assert error.value.meta.headers["x-elastic-product"] == "Elasticsearch"
    assert word in json.dumps(error.value.body["error"])


@pytest.mark.parametrize(
    "asked",
    [
        {"knn": [knn(), knn()]},
        {"knn": knn(), "query": {"match_all": {}}},
        {"query": term("local")},
        {"query": {"match": {"words": "local"}}},
        {"knn": knn(filter={"wildcard": {"fields.label": "l*"}})},
        {"knn": knn(), "aggs": {"a": {"terms": {"field": "fields.label"}}}},
        {"knn": knn(), "sort": ["size"]},
        {"knn": knn(), "fields": ["image_embedding"]},
        {"knn": knn(field="vector_nosuch")},
        {"knn": knn(), "highlight": {"fields": {"uri": {}}}},
        {"query": {"match_all": {}}, "from": 9_999, "size": 2},
        {"retriever": {"rrf": {"retrievers": []}}},
        {"retriever": {"knn": knn()}, "query": {"match_all": {}}},
        {"query": {"bool": {"must": {"knn": knn()}, "filter": term("local")}}},
        {"knn": knn(boost=1e300)},
        {"knn": knn(filter={"range": {"fields.label": {"gte": "a"}}})},
        {"knn": knn(filter={"bool": {"filter": {"nosuch": {}}}})},
        "text",
        {"query": {"match_all": {}, "term": {}}},
    ],
    ids=lambda asked: json.dumps(asked).replace(json.dumps(QUERY), "…")[:60],
)
def test_nothing_else_is_answered_in_silence(
    web: httpx.Client, addresses: dict[str, str], asked: Any
) -> None:
    answer = web.post(f"{addresses['sqlite']}/{COLLECTION}/_search", json=asked)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["type"] == "illegal_argument_exception"


# --- what may be reached


def test_no_other_index_is_reached(
    web: httpx.Client, addresses: dict[str, str], clients: dict[str, elasticsearch.Elasticsearch]
) -> None:
    clients["node"].index(index=SECRET, id="1", document={"word": "local"}, refresh=True)
    asked = addresses["elasticsearch"]
    every: dict[str, Any] = {"query": {"match_all": {}}}
    try:
        for name in (
            SECRET, "*", "_all", f"{COLLECTION},{SECRET}", f"{COLLECTION},*", f"-{COLLECTION}", "lookalike*",
            f"<{SECRET}>", f"other:{SECRET}", f"{COLLECTION}/../{SECRET}", quote(f"../{SECRET}", safe=""),
            f"{COLLECTION}%2C{SECRET}", f"{COLLECTION}%00", "", "%20", f"{COLLECTION}%2F_search%3F",
        ):  # fmt: skip
            for call in ("_search", "_count", "_msearch", "_mapping", "_doc/1"):
                method = "GET" if call in ("_mapping", "_doc/1") else "POST"
                lines = f"{{}}\n{json.dumps(every)}\n"
                body = None if method == "GET" else lines if call == "_msearch" else json.dumps(every)
                answer = web.request(method, f"{asked}/{name}/{call}", content=body)
                assert answer.status_code in (400, 404, 405), (name, call, answer.text)
            assert web.head(f"{asked}/{name}").status_code >= 400 or name in (
                "",
                f"{COLLECTION}/../{SECRET}",
            )
        for header in (
            {"index": SECRET},
            {"index": [COLLECTION, SECRET]},
            {"indices": SECRET},
            {"index": "*"},
        ):
            body = f"{json.dumps(header)}\n{json.dumps(every)}\n"
            for path in ("_msearch", f"{COLLECTION}/_msearch"):
                answer = web.post(f"{asked}/{path}", content=body)
                assert answer.status_code in (400, 404), answer.text
        # Written twice, one name hides the other from whoever reads but one of them.
        twice = f'{{"index": "{SECRET}", "index": "{COLLECTION}"}}\n{json.dumps(every)}\n'
        (found,) = web.post(f"{asked}/_msearch", content=twice).json()["responses"]
        assert found["hits"]["total"]["value"] == 60
        for params in ({"source": "{}"}, {"scroll": "1m"}, {"index": SECRET}):
            answer = web.post(f"{asked}/{COLLECTION}/_search", params=params, json=every)
            assert answer.status_code == 400, answer.text
    finally:
        clients["node"].indices.delete(index=SECRET)


@pytest.mark.parametrize("store", ["sqlite", "elasticsearch"])
def test_nothing_is_written(web: httpx.Client, addresses: dict[str, str], store: str) -> None:
    for method, path in (
        ("PUT", COLLECTION), ("DELETE", COLLECTION), ("POST", f"{COLLECTION}/_doc"), ("POST", "_bulk"),
        ("PUT", f"{COLLECTION}/_doc/1"), ("DELETE", f"{COLLECTION}/_doc/1"),
        ("PUT", f"{COLLECTION}/_mapping"),
        ("POST", f"{COLLECTION}/_update/1"), ("POST", f"{COLLECTION}/_delete_by_query"), ("POST", "_aliases"),
        ("POST", f"{COLLECTION}/_pit"), ("POST", "_search/scroll"), ("DELETE", f"{COLLECTION}/_search"),
        ("POST", "_sql"), ("GET", "_cat/indices"), ("GET", "_cluster/state"),
    ):  # fmt: skip
        answer = web.request(method, f"{addresses[store]}/{path}", content="{}")
        assert answer.status_code in (400, 404, 405), (method, path, answer.text)


@pytest.mark.parametrize("store", ["sqlite", "elasticsearch"])
def test_what_is_not_there_is_told_as_elasticsearch_tells_it(
    clients: dict[str, elasticsearch.Elasticsearch], store: str
) -> None:
    """Elastic's client reads no problem details, and would say nothing but that it cannot."""
    es = clients[store]
    unanswered: list[Callable[[], Any]] = [
        lambda: es.index(index=COLLECTION, document={"a": 1}),
        lambda: es.bulk(operations=[{"index": {"_index": COLLECTION}}, {"a": 1}]),
        lambda: es.indices.refresh(index=COLLECTION),
        lambda: es.indices.get_settings(index=COLLECTION),
        es.cat.indices,
        es.cluster.health,
        lambda: es.sql.query(query="SELECT 1"),
    ]
    for asked in unanswered:
        with pytest.raises(
            elasticsearch.BadRequestError, match=r"no handler found for uri .* writes nothing"
        ):
            asked()
    for refused in (es.indices.create, es.indices.delete):
        with pytest.raises(elasticsearch.ApiError, match=r"does not take that method|no handler"):
            refused(index=COLLECTION)


def build(_field: str, _builder: Any) -> list[float]:
    return [1.0]


@pytest.mark.parametrize(
    "body",
    [
        {"query": {"bool": {"filter": [{"bool": {"should": {"terms": {"a": {"index": "b"}}}}}]}}},
        {"query": {"script_score": {"query": {"match_all": {}}, "script": {"source": "1"}}}},
        {"query": {"function_score": {"script_score": {"script": "1"}}}},
        {"query": {"geo_shape": {"a": {"indexed_shape": {"index": "b", "id": "1"}}}}},
        {"query": {"percolate": {"field": "a", "index": "b", "id": "1"}}},
        {"query": {"has_child": {"type": "a", "query": {"match_all": {}}}}},
        {"query": {"nested": {"path": "a", "query": {"terms": {"a": {"index": "b"}}}}}},
        {"query": {"match": {"a": {"query": {"index": "b"}}}}},
        {"knn": {"field": "a", "query_vector": [1], "filter": {"terms": {"a": {"index": "b"}}}}},
        {"knn": {"field": "a", "query_vector": [1], "inner_hits": {"script_fields": {}}}},
        {"aggs": {"a": {"filter": {"terms": {"a": {"index": "b"}}}}}},
        {"aggs": {"a": {"terms": {"script": "1"}}}},
        {"aggs": {"a": {"terms": {"field": "a"}, "aggs": {"b": {"scripted_metric": {"map_script": "1"}}}}}},
        {"aggs": {"a": {"significant_terms": {"background_filter": {"terms": {"a": {"index": "b"}}}}}}},
        {"aggs": {"a": {"filters": {"filters": {"x": {"terms": {"a": {"index": "b"}}}}}}}},
        {"sort": [{"_script": {"script": "1", "type": "number"}}]},
        {"sort": [{"a": {"nested": {"path": "a", "filter": {"terms": {"a": {"index": "b"}}}}}}]},
        {"highlight": {"fields": {"a": {"highlight_query": {"terms": {"a": {"index": "b"}}}}}}},
        {"pit": {"id": "a"}},
        {"retriever": {"standard": {}}},
        {"suggest": {"text": "a"}},
        {"indices_boost": [{"b": 2}]},
        {"collapse": {"field": "a", "inner_hits": {}}},
        {"rescore": {"query": {"rescore_query": {"terms": {"a": {"index": "b"}}}}}},
        {"ext": {}},
        [],
    ],
    ids=json.dumps,
)
def test_what_could_look_elsewhere_is_not_passed_on(body: Any) -> None:
    with pytest.raises(InvalidArgument):
        passed_search(body, build)


def test_what_only_reads_is_passed_on_as_it_came() -> None:
    body = {
        "query": {
            "bool": {
                "must": {"match": {"words": {"query": "a b", "operator": "and"}}},
                "filter": [{"terms": {"fields.index": ["a"]}}, {"range": {"size": {"gte": 1}}}],
                "minimum_should_match": 0,
            }
        },
        "aggs": {
            "a": {"terms": {"field": "fields.a"}, "aggs": {"b": {"filter": {"ids": {"values": ["c"]}}}}}
        },
        "sort": ["_score", {"size": {"order": "desc"}}],
        "highlight": {"fields": {"words": {}}},
        "_source": {"includes": ["a*"]},
        "size": 3,
    }
    assert passed_search(body, build) == body
    built = passed_search({"knn": {"field": "a", "query_vector_builder": {}, "k": 1}}, build)
    assert built == {"knn": {"field": "a", "k": 1, "query_vector": [1.0]}}
    assert passed_header({"index": "a,b", "routing": "c"}, str.upper, None) == {
        "routing": "c",
        "index": ["A", "B"],
    }


def test_keys_of_the_service_count(web: httpx.Client, filled_store: Path, cache: Path) -> None:
    key, kept = new_key("app", "read")
    with (
        Database(f"sqlite:///{filled_store}", cache=cache) as database,
        listening(make_app(database, Settings(keys=str(kept)))) as address,
    ):
        with elasticsearch.Elasticsearch(address, basic_auth=("elastic", key)) as es:
            assert es.info()["tagline"]
            assert es.search(index=COLLECTION, knn=knn())["hits"]["hits"]
        with elasticsearch.Elasticsearch(address) as es:
            with pytest.raises(elasticsearch.AuthenticationException, match="security_exception"):
                es.info()
            with pytest.raises(elasticsearch.AuthenticationException, match="security_exception"):
                es.search(index=COLLECTION, knn=knn())
        assert "text/html" in web.get(address).headers["content-type"]


@pytest.fixture(scope="module")
def folder(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two photographs."""
    folder = tmp_path_factory.mktemp("two")
    for name in ("local", "nominal"):
        (folder / "in" / name).mkdir(parents=True)
        shutil.copy2(pictures / name / "textile_0001.jpg", folder / "in" / name / "a.jpg")
    return folder


@pytest.mark.parametrize("store", ["sqlite", "elasticsearch"])
def test_paths_are_relative_to_what_was_indexed_or_named(
    store: str, folder: Path, tmp_path: Path, cache: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path}/{uuid.uuid4().hex}.db"  # what was indexed is noted in the cache
    if store == "elasticsearch":
        server = request.getfixturevalue("elasticsearch_server")
        url = f"{server}?prefix=t{uuid.uuid4().hex[:12]}&shards=1&replicas=0"
    with Database(url, cache=cache) as database:
        parts = database["parts"]

        def paths() -> set[str]:
            with listening(make_app(database, Settings())) as address, httpx.Client() as web:
                body = {"size": 9, "_source": ["relative_path"]}
                found = web.post(f"{address}/lookalike-parts/_search", json=body)
                if found.status_code == 404:  # of another prefix
                    found = web.post(f"{address}/parts/_search", json=body)
                return {hit["_source"]["relative_path"] for hit in found.json()["hits"]["hits"]}

        parts.index(folder / "in" / "local")
        assert paths() == {"a.jpg"}
        parts.index(folder / "in")
        assert paths() == {"local/a.jpg", "nominal/a.jpg"}
        parts.index(folder / "in", path_base=folder)
        parts.index([folder / "in" / "local" / "a.jpg"])
        assert paths() == {"in/local/a.jpg", "in/nominal/a.jpg"}
        with pytest.raises(InvalidArgument, match="path base"):
            parts.index(folder / "in", path_base=folder / "in" / "local")
        if store == "sqlite":
            with pytest.raises(InvalidArgument, match="--index-alias"):
                parts.index(folder / "in", index_name="a")
            return
        names(parts, database, folder / "in")
        parts.delete()


def names(parts: Collection, database: Database, folder: Path) -> None:
    """Name the index of a collection, and once more, as an index may be called."""
    node = database.url.partition("?")[0].replace("elasticsearch+", "")
    ours, foreign = f"a.{uuid.uuid4().hex[:8]}", f"b-{uuid.uuid4().hex[:8]}"
    with elasticsearch.Elasticsearch(node) as es:
        es.indices.create(index=foreign, aliases={f"{foreign}-alias": {}}, settings={"number_of_replicas": 0})
        try:
            parts.index(folder, index_name=ours)
            assert es.count(index=ours)["count"] == 2
            for bad in (
                "Big", "_a", "-a", "a b", "a*", "a,b", "..", "", "a" * 256, "a/b", "a\0", "a:b",
                foreign, f"{foreign}-alias",
            ):  # fmt: skip
                with pytest.raises(InvalidArgument, match="index"):
                    parts.index(folder, index_name=bad)
            other = database.create("other", "efficientnet-lite0", index_name=f"{ours}-2")
            with pytest.raises(InvalidArgument, match="has an alias"):
                other.index(folder, index_name=ours)
            other.delete()
            parts.index(folder, index_name=f"{ours}-2")
            assert es.count(index=f"{ours}-2")["count"] == 2
            assert not es.indices.exists(index=ours)
            assert es.count(index=foreign)["count"] == 0
        finally:
            es.indices.delete(index=foreign)


@pytest.mark.parametrize("version", ["8", "9"])
@pytest.mark.parametrize("store", ["sqlite", "elasticsearch"])
def test_clients_of_both_versions_are_answered(
    web: httpx.Client, addresses: dict[str, str], store: str, version: str
) -> None:
    kind = f"application/vnd.elasticsearch+json; compatible-with={version}"
    headers = {"accept": kind, "content-type": kind}
    info = web.get(addresses[store], headers=headers)
    assert info.json()["version"]["number"].split(".")[0] == version
    body = json.dumps({"knn": knn(), "_source": False})
    found = web.post(f"{addresses[store]}/{COLLECTION}/_search", content=body, headers=headers)
    assert len(found.json()["hits"]["hits"]) == 7
    assert found.headers["x-elastic-product"] == "Elasticsearch"


@pytest.mark.parametrize("store", ["sqlite", "elasticsearch"])
def test_the_application_of_the_document_runs_unchanged(
    addresses: dict[str, str], store: str, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = (block.text for block in blocks(DOCUMENT.read_text()) if block.argument == "app.py")
    if store == "sqlite":
        code = code.replace(f'"{INDEX}"', '"cloths.2"')
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "images").symlink_to(pictures)
    monkeypatch.setenv("ELASTICSEARCH_URL", addresses[store])
    names: dict[str, Any] = {"__name__": "app"}
    exec(compile(code, "app.py", "exec"), names)
    app = names["app"]
    app.static_folder = tmp_path / "static"
    client = app.test_client()
    page = client.get("/", query_string={"q": "woven cloth"}).text
    paths = [part.partition('"')[0] for part in page.split('<img src="')[1:]]
    assert len(paths) == 5
    for path in paths:
        shown = client.get(f"/{path}")
        assert shown.data == (pictures / path.removeprefix("static/images/")).read_bytes()
        shown.close()
    names["es"].close()
