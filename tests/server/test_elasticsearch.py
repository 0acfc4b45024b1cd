"""Elasticsearch's calls of trained models, by Elastic's own client and as its example applications ask."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import elasticsearch
import httpx
import numpy as np
import pytest

from lookalike.database import Database
from lookalike.embedders.protocol import TextEmbedder
from lookalike.embedders.registry import open_embedder
from lookalike.schemas.elasticsearch import ElasticProblem, InferResult, InferResults, TrainedModelsStats
from lookalike.server.app import make_app
from lookalike.server.auth.keys import new_key
from lookalike.server.routes.elasticsearch import elastic_ids
from lookalike.server.settings import Settings
from lookalike.vectors.metric import normalise
from tests.listening import listening
from tests.onnx_graphs import IMAGENET, image_encoder, write_card
from tests.service import InProcess

MODEL = "efficientnet-lite0"
ALIAS = "sentence-transformers__clip-vit-b-32-multilingual-v1"
TEXT = "endless route to the top"
INFER = "/_ml/trained_models/{}/_infer"
INFER_DEPLOYMENT = "/_ml/trained_models/{}/deployment/_infer"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two models whose ids are the same in lower case, and one more."""
    folder = tmp_path_factory.mktemp("models")
    paths = [image_encoder(folder / f"{name}.onnx") for name in ("Mine", "mine", "Parts")]
    for path in paths:
        write_card(path.with_suffix(".json"), size=32, **IMAGENET)
    return paths


@pytest.fixture(scope="module")
def url(filled_store: Path, cache: Path, models: list[Path]) -> Iterator[str]:
    """The address of a service on a real socket."""
    served = tuple(f"onnx:{path}" for path in models)
    with (
        Database(f"sqlite:///{filled_store}", cache=cache) as database,
        listening(make_app(database, Settings(models=served, aliases=((ALIAS, MODEL),)))) as address,
    ):
        yield address


@pytest.fixture(scope="module")
def es(url: str) -> Iterator[elasticsearch.Elasticsearch]:
    with elasticsearch.Elasticsearch(url, max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def expected(cache: Path) -> Any:
    """The vector of the text."""
    reader = open_embedder(MODEL, cache)
    assert isinstance(reader, TextEmbedder)
    return normalise(reader.embed_texts([TEXT]))[0]


def test_elastics_client_gets_the_vector_of_a_text(es: elasticsearch.Elasticsearch, expected: Any) -> None:
    answer = es.ml.infer_trained_model(model_id=MODEL, docs=[{"text_field": TEXT}], timeout="60s")
    assert answer.meta.headers["x-elastic-product"] == "Elasticsearch"
    (result,) = answer["inference_results"]
    assert set(result) == {"predicted_value"}
    np.testing.assert_allclose(result["predicted_value"], expected, rtol=0, atol=1e-6)


def test_a_model_answers_to_the_name_that_an_application_has_for_it(
    es: elasticsearch.Elasticsearch, url: str, expected: Any
) -> None:
    (config,) = es.ml.get_trained_models(model_id=ALIAS)["trained_model_configs"]
    assert (config["model_id"], config["input"]) == (ALIAS, {"field_names": ["text_field"]})
    (stats,) = es.ml.get_trained_models_stats(model_id=ALIAS)["trained_model_stats"]
    assert stats["deployment_stats"]["state"] == "started"
    (result,) = es.ml.infer_trained_model(model_id=ALIAS, docs=[{"text_field": TEXT}])["inference_results"]
    np.testing.assert_allclose(result["predicted_value"], expected, rtol=0, atol=1e-6)
    answer = httpx.post(f"{url}/v1/embeddings", json={"model": ALIAS, "input": TEXT}).json()
    assert answer["model"] == ALIAS
    np.testing.assert_allclose(answer["data"][0]["embedding"], expected, rtol=0, atol=1e-6)
    assert [each["id"] for each in httpx.get(f"{url}/v1/models").json()["data"]].count(ALIAS) == 1
    assert es.ml.get_trained_models()["count"] == 5
    with pytest.raises(elasticsearch.NotFoundError):
        es.ml.get_trained_models(model_id="nosuch")


def test_several_documents_come_back_in_order(es: elasticsearch.Elasticsearch, expected: Any) -> None:
    answer = es.ml.infer_trained_model(model_id=MODEL, docs=[{"text_field": "빨간 차"}, {"text_field": TEXT}])
    read = InferResults.model_validate(answer.body)
    assert len(read.inference_results) == 2
    np.testing.assert_allclose(read.inference_results[1].predicted_value, expected, rtol=0, atol=1e-6)


def test_an_application_asks_whether_the_model_is_started(es: elasticsearch.Elasticsearch) -> None:
    """As flask-elastic-image-search does before each search."""
    answer = es.ml.get_trained_models_stats(model_id=MODEL)
    assert answer["trained_model_stats"][0]["deployment_stats"]["state"] == "started"
    with pytest.raises(elasticsearch.NotFoundError):
        es.ml.get_trained_models_stats(model_id="nosuch")
    every = TrainedModelsStats.model_validate(es.ml.get_trained_models_stats().body)
    assert every.count == 5
    assert every.trained_model_stats[0].model_id == MODEL


def test_the_calls_of_older_applications_are_answered(url: str, expected: Any) -> None:
    """As flask-elastic-nlp did before Elasticsearch 8.3: one vector, and the document without a list, too."""
    for body in (
        '{ "docs" : [ {"text_field": "' + TEXT + '"} ] }',
        '{ "docs": { "text_field": "' + TEXT + '"} }',
    ):
        answer = httpx.post(
            url + INFER_DEPLOYMENT.format(MODEL),
            content=body,
            headers={"Content-Type": "application/json"},
            params={"timeout": "1m"},
        )
        assert answer.status_code == 200, answer.text
        InferResult.model_validate_json(answer.content)
        np.testing.assert_allclose(answer.json()["predicted_value"], expected, rtol=0, atol=1e-6)


def test_a_picture_may_stand_in_the_field(
    url: str, textile_files: dict[str, list[Path]], cache: Path
) -> None:
    picture = base64.b64encode(textile_files["local"][0].read_bytes()).decode()
    docs = [{"text_field": f"data:image/png;base64,{picture}"}]
    answer = httpx.post(url + INFER.format(MODEL), json={"docs": docs}).json()
    again = httpx.post(f"{url}/v1/embeddings", json={"model": MODEL, "input": docs[0]["text_field"]}).json()
    found = answer["inference_results"][0]["predicted_value"]
    np.testing.assert_allclose(found, again["data"][0]["embedding"], rtol=0, atol=1e-6)


def test_ids_are_elastics_too() -> None:
    pair = "sentence-transformers:clip-ViT-B-32+clip-ViT-B-32-multilingual-v1"
    # What eland makes of the hub's sentence-transformers/clip-ViT-B-32-multilingual-v1.
    assert "sentence-transformers__clip-vit-b-32-multilingual-v1" in elastic_ids(pair)
    assert "sentence-transformers__clip-vit-b-32" in elastic_ids("sentence-transformers:clip-ViT-B-32")
    assert "somebody__texts" in elastic_ids("sentence-transformers:clip-ViT-B-32+somebody/Texts")
    assert "timm__resnet50.a1_in1k" in elastic_ids("timm:resnet50.a1_in1k")
    long = "sentence-transformers:owner/" + "A-model-of-a-very-long-name-" * 4
    assert {len(each) for each in elastic_ids(long)} == {64, len(long) + 2}


def test_an_id_that_several_models_have_is_not_guessed(
    url: str, textile_files: dict[str, list[Path]], models: list[Path]
) -> None:
    picture = base64.b64encode(textile_files["local"][0].read_bytes()).decode()
    body = {"docs": {"text_field": f"data:image/png;base64,{picture}"}}
    for name, status in {
        "onnx__parts.onnx": 200,
        "onnx:Parts.onnx": 200,
        f"onnx:{models[2]}": 200,
        "onnx:mine.onnx": 200,
        "onnx__mine.onnx": 404,
    }.items():
        for call in (INFER, INFER_DEPLOYMENT):
            for spelling in (name, name.replace("/", "%2F")):
                assert httpx.post(url + call.format(spelling), json=body).status_code == status, spelling


@pytest.mark.parametrize(
    ("docs", "line"),
    [
        ([], "at least 1 item"),
        ([{}], "document 0 needs a string"),
        ([{"text_field": 3}], "document 0 needs a string"),
        ([{"text_field": TEXT}, {"a": "b", "c": "d"}], "document 1 needs a string"),
        ([{"text_field": " "}], "input 0 is blank"),
        ([{"text_field": TEXT}] * 2049, "at most 2,048 documents"),
        ("text", "docs"),
    ],
)
def test_documents_that_cannot_be_used_are_refused_in_elastics_shape(url: str, docs: Any, line: str) -> None:
    answer = httpx.post(url + INFER.format(MODEL), json={"docs": docs})
    assert answer.status_code == 400, answer.text
    problem = ElasticProblem.model_validate_json(answer.content)
    assert problem.status == 400
    assert problem.error.type == "illegal_argument_exception"
    assert line in problem.error.reason
    assert problem.error.root_cause[0].reason == problem.error.reason
    assert answer.headers["x-elastic-product"] == "Elasticsearch"


def test_a_document_may_call_its_only_text_otherwise(url: str, expected: Any) -> None:
    body = {"docs": [{"input": TEXT, "number": 3}]}
    found = httpx.post(url + INFER.format(MODEL), json=body).json()["inference_results"][0]["predicted_value"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_the_old_call_takes_one_document(url: str) -> None:
    body = {"docs": [{"text_field": TEXT}, {"text_field": TEXT}]}
    answer = httpx.post(url + INFER_DEPLOYMENT.format(MODEL), json=body)
    assert answer.status_code == 400
    assert "takes one document, not 2" in answer.json()["error"]["reason"]


def test_the_inference_config_names_the_result_and_other_tasks_are_refused(
    es: elasticsearch.Elasticsearch, expected: Any
) -> None:
    config: dict[str, Any] = {
        "text_embedding": {"results_field": 'my "vector"', "tokenization": {"bert": {}}}
    }
    answer = es.ml.infer_trained_model(model_id=MODEL, docs=[{"text_field": TEXT}], inference_config=config)
    np.testing.assert_allclose(answer["inference_results"][0]['my "vector"'], expected, rtol=0, atol=1e-6)
    with pytest.raises(elasticsearch.BadRequestError, match="illegal_argument_exception"):
        es.ml.infer_trained_model(
            model_id=MODEL, docs=[{"text_field": TEXT}], inference_config={"ner": {"results_field": "a"}}
        )


def test_an_unknown_model_is_elastics_not_found(es: elasticsearch.Elasticsearch) -> None:
    with pytest.raises(elasticsearch.NotFoundError, match="resource_not_found_exception") as error:
        es.ml.infer_trained_model(model_id="sentence-transformers__nosuch", docs=[{"text_field": TEXT}])
    assert MODEL in error.value.body["error"]["reason"]
    with pytest.raises(elasticsearch.NotFoundError, match="resource_not_found_exception"):
        es.ml.get_jobs()


def test_a_key_may_be_an_api_key_or_a_bearers(filled_store: Path, cache: Path) -> None:
    key, kept = new_key("app", "read")
    with (
        Database(f"sqlite:///{filled_store}", cache=cache) as database,
        listening(make_app(database, Settings(keys=str(kept)))) as address,
    ):
        known: list[dict[str, Any]] = [{"api_key": key}, {"bearer_auth": key}]
        for good in known:
            with elasticsearch.Elasticsearch(address, **good) as client:
                assert client.ml.infer_trained_model(model_id=MODEL, docs=[{"text_field": TEXT}]).body
        unknown: list[dict[str, Any]] = [{}, {"api_key": "wrong"}, {"basic_auth": ("elastic", "changeme")}]
        for bad in unknown:
            with (
                elasticsearch.Elasticsearch(address, **bad) as client,
                pytest.raises(elasticsearch.AuthenticationException, match="security_exception"),
            ):
                client.ml.infer_trained_model(model_id=MODEL, docs=[{"text_field": TEXT}])


@pytest.mark.parametrize("time", ["10", "s", "-2s", "1 s", "1w", ""])
def test_a_timeout_that_elasticsearch_would_not_read_is_refused(url: str, time: str) -> None:
    body = {"docs": [{"text_field": TEXT}]}
    answer = httpx.post(url + INFER.format(MODEL), json=body, params={"timeout": time})
    assert answer.status_code == 400, answer.text


def test_what_is_not_done_in_time_is_given_up(service: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    reader: Any = service.database.embedder(MODEL)
    going = threading.Event()

    def wait(_self: object, texts: list[str]) -> Any:
        assert going.wait(60)
        return np.ones((len(texts), 1280), np.float32)

    monkeypatch.setattr(type(reader), "embed_texts", wait)
    body = {"docs": [{"text_field": TEXT}]}
    answer = service.client.post(INFER.format(MODEL), json=body, params={"timeout": "50ms"})
    assert answer.status_code == 408
    assert "not done within 50ms" in answer.json()["error"]["reason"]
    going.set()
    # The thread that was given up waiting for works on.
    answer = service.client.post(INFER.format(MODEL), json=body, params={"timeout": "-1"})
    assert json.loads(answer.content)["inference_results"]
