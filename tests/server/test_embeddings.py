"""POST /v1/embeddings and GET /v1/models, asked by OpenAI's own client and by plain requests."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import httpx
import numpy as np
import openai
import pytest
from fastapi import FastAPI

from lookalike.database import Database
from lookalike.embedders.protocol import TextEmbedder
from lookalike.embedders.registry import open_embedder
from lookalike.schemas.embeddings import EmbeddingsAnswer, Models
from lookalike.search.query import Text
from lookalike.server.app import make_app
from lookalike.server.auth.keys import new_key
from lookalike.server.settings import Settings
from lookalike.stores.query import Query
from lookalike.vectors.metric import normalise
from tests.conftest import CommandLine
from tests.listening import listening
from tests.onnx_graphs import IMAGENET, image_encoder, write_card
from tests.service import InProcess, until

MODEL = "efficientnet-lite0"
NO_TEXTS = "efficientnet-lite0-inspect"
DIMENSION = 1280
ENGLISH, KOREAN = "a red car at the road", "산에서 뛰는 강아지"


def data_url(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


@pytest.fixture(scope="module")
def url(filled_store: Path, cache: Path) -> Iterator[str]:
    """The address of a service on a real socket."""
    with Database(f"sqlite:///{filled_store}", cache=cache) as database:
        app = make_app(database, Settings(models=(NO_TEXTS,), max_images=3))
        with listening(app) as address:
            yield address


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def picture(textile_files: dict[str, list[Path]]) -> Path:
    return textile_files["local"][0]


def post(service: InProcess, **asked: Any) -> Any:
    return service.client.post("/v1/embeddings", json={"model": MODEL, **asked})


def test_openais_client_gets_the_vectors_of_texts(client: openai.OpenAI, cache: Path) -> None:
    answer = client.embeddings.create(model=MODEL, input=[ENGLISH, KOREAN])
    assert answer.object == "list"
    assert answer.model == MODEL
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (0, 0)
    assert [(each.object, each.index) for each in answer.data] == [("embedding", 0), ("embedding", 1)]
    reader = open_embedder(MODEL, cache)
    assert isinstance(reader, TextEmbedder)
    expected = normalise(reader.embed_texts([ENGLISH, KOREAN]))
    found = np.array([each.embedding for each in answer.data])
    assert found.shape == (2, DIMENSION)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


def test_a_picture_has_the_vector_that_the_command_line_prints(
    client: openai.OpenAI, lookalike: CommandLine, picture: Path
) -> None:
    out, _ = lookalike("embed", picture, "--model", MODEL)
    printed = json.loads(out)["vector"]
    encodings: tuple[Literal["float", "base64"], ...] = ("float", "base64")
    for encoding in encodings:
        answer = client.embeddings.create(
            model=MODEL,
            input=data_url(picture),
            encoding_format=encoding,
        )
        vector: Any = answer.data[0].embedding
        if encoding == "base64":
            assert isinstance(vector, str)
            vector = struct.unpack(f"<{DIMENSION}f", base64.b64decode(vector, validate=True))
        np.testing.assert_allclose(vector, printed, rtol=0, atol=1e-6)


def test_a_text_finds_what_its_vector_finds(client: openai.OpenAI, filled_store: Path, cache: Path) -> None:
    vector = np.array(client.embeddings.create(model=MODEL, input=ENGLISH).data[0].embedding, np.float32)
    with Database(f"sqlite:///{filled_store}", cache=cache) as database:
        hits = database["textile"].search(Text(ENGLISH), k=5).hits
        space = database.store.collection("textile").space
        found = database.store.nearest("textile", Query(vector[None], 5, space=space))[0]
    assert [hit.record.id for hit in hits] == [each.record.id for each in found]
    np.testing.assert_allclose(
        [hit.similarity or 0.0 for hit in hits], [each.similarity for each in found], rtol=0, atol=1e-5
    )


def test_texts_and_pictures_come_back_in_the_order_in_which_they_went(
    client: openai.OpenAI, picture: Path, textile_files: dict[str, list[Path]]
) -> None:
    inputs = [data_url(picture), ENGLISH, data_url(textile_files["global"][3]), KOREAN, "data: numbers"]
    together = client.embeddings.create(model=MODEL, input=inputs).data
    alone = [client.embeddings.create(model=MODEL, input=each).data[0].embedding for each in inputs]
    assert [each.index for each in together] == [0, 1, 2, 3, 4]
    np.testing.assert_allclose([each.embedding for each in together], alone, rtol=0, atol=1e-6)


def test_the_asynchronous_client_asks_many_at_once(url: str) -> None:
    texts = [f"a picture with {number} dogs" for number in range(6)]

    async def ask() -> list[list[float]]:
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client:
            answers = await asyncio.gather(
                *(client.embeddings.create(model=MODEL, input=text) for text in texts)
            )
        return [answer.data[0].embedding for answer in answers]

    with openai.OpenAI(base_url=f"{url}/v1", api_key="none") as client:
        expected = [each.embedding for each in client.embeddings.create(model=MODEL, input=texts).data]
    np.testing.assert_allclose(asyncio.run(ask()), expected, rtol=0, atol=1e-6)


def test_the_answer_is_as_openapi_describes_it(service: InProcess, picture: Path) -> None:
    for encoding in ("float", "base64", None):
        answer = post(service, input=[ENGLISH, data_url(picture)], encoding_format=encoding, user="somebody")
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json"
        read = EmbeddingsAnswer.model_validate_json(answer.content, strict=True)
        assert read.model_dump() == answer.json()
        assert isinstance(read.data[1].embedding, str if encoding == "base64" else list)


def test_more_texts_than_can_wait_are_embedded_part_by_part(filled_store: Path, cache: Path) -> None:
    texts = [f"{number} red cars" for number in range(9)]
    with Database(f"sqlite:///{filled_store}", cache=cache) as database:
        app = make_app(database, Settings(queue=8))
        with listening(app) as address:
            answer = httpx.post(f"{address}/v1/embeddings", json={"model": MODEL, "input": texts}, timeout=60)
            assert answer.status_code == 200, answer.text
            assert len(answer.json()["data"]) == 9
            # The same vectors as alone.
            alone = httpx.post(
                f"{address}/v1/embeddings", json={"model": MODEL, "input": texts[8]}, timeout=60
            )
            np.testing.assert_allclose(
                answer.json()["data"][8]["embedding"], alone.json()["data"][0]["embedding"], atol=1e-6
            )


def test_a_client_that_hangs_up_is_not_embedded_for(filled_store: Path, cache: Path) -> None:
    texts = [f"{number} red cars" for number in range(1_000)]
    body = json.dumps({"model": MODEL, "input": texts}).encode()
    head = (
        "POST /v1/embeddings HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with Database(f"sqlite:///{filled_store}", cache=cache) as database:
        app = make_app(database, Settings(queue=16))
        with listening(app) as address:
            service, metrics = app.state.service, app.state.metrics
            with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))) as leaving:
                leaving.sendall(head.encode() + body)
                until(lambda: service.embedding_queue.embedded > 0)
            until(lambda: metrics.in_flight == 0)
            assert service.embedding_queue.embedded < len(texts)


# Errors.


def test_dimensions_are_those_of_the_model_or_refused(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model=MODEL, input=ENGLISH, dimensions=DIMENSION)
    assert len(answer.data[0].embedding) == DIMENSION
    with pytest.raises(
        openai.BadRequestError, match="1,280 dimensions and are not shortened to 256"
    ) as error:
        client.embeddings.create(model=MODEL, input=ENGLISH, dimensions=256)
    assert error.value.type == "invalid_request_error"


def test_an_unknown_model_is_a_404_that_names_those_there_are(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match=f"text-embedding-3-small.*{NO_TEXTS}") as error:
        client.embeddings.create(model="text-embedding-3-small", input=ENGLISH)
    assert error.value.code == "model_not_found"


def test_token_arrays_are_refused_in_plain_words(client: openai.OpenAI) -> None:
    for tokens in ([1, 2, 3], [[1, 2], [3]]):
        with pytest.raises(openai.BadRequestError, match="arrays of tokens are not read") as error:
            client.embeddings.create(model=MODEL, input=tokens)
        assert error.value.param == "input"


def test_a_text_for_a_model_that_reads_none_is_refused(client: openai.OpenAI, picture: Path) -> None:
    with pytest.raises(openai.BadRequestError, match=f"input 1 is a text, and {NO_TEXTS} reads none"):
        client.embeddings.create(model=NO_TEXTS, input=[data_url(picture), ENGLISH])
    answer = client.embeddings.create(model=NO_TEXTS, input=[data_url(picture)])
    assert len(answer.data) == 1


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ("", "input 0 is blank"),
        (["a car", " \n"], "input 1 is blank"),
        ([], "1 to 2,048 inputs"),
        (["a"] * 2049, "1 to 2,048 inputs"),
        ("\x00\x01", "a text without words"),
        ("data:image/png;base64,AAAA", "input 0 is no picture that can be used"),
        ("data:image/png;base64,?", "input 0"),
        ("DATA:image/png;base64,AAAA", "input 0: a picture is sent as data:"),
        (["data:image/png;base64,AAAA"] * 4, "at most 3 pictures a request, not 4"),
        ({"text": "a car"}, "input"),
        (["a car", None], "input"),
    ],
)
def test_inputs_that_cannot_be_used_are_400_with_a_line(url: str, asked: Any, line: str) -> None:
    answer = httpx.post(f"{url}/v1/embeddings", json={"model": MODEL, "input": asked}, timeout=60)
    assert answer.status_code == 400, answer.text
    assert set(answer.json()) == {"error"}
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert line in answer.json()["error"]["message"]


def test_a_text_that_is_too_long_says_what_openai_and_elasticsearch_look_for(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="input 1 has 10,001 characters") as error:
        client.embeddings.create(model=MODEL, input=["a car", "x" * 10_001])
    assert error.value.code == "context_length_exceeded"
    assert "Please reduce your prompt; or completion length." in error.value.message


def test_what_cannot_be_read_at_all_is_in_openais_shape_too(url: str) -> None:
    requests: list[dict[str, Any]] = [
        {"content": b"{", "headers": {"content-type": "application/json"}},
        {"content": b"input=a", "headers": {"content-type": "application/x-www-form-urlencoded"}},
        {"json": {"input": "a car"}},
        {"json": {"input": "a car", "model": MODEL, "colour": "red"}},
    ]
    for request in requests:
        answer = httpx.post(f"{url}/v1/embeddings", **request)
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["type"] == "invalid_request_error"
    answer = httpx.get(f"{url}/v1/embeddings")
    assert answer.status_code == 405
    assert "message" in answer.json()["error"]


def test_a_missing_or_unknown_key_is_openais_authentication_error(filled_store: Path, cache: Path) -> None:
    key, kept = new_key("app", "read")
    with ExitStack() as stack:
        database = stack.enter_context(Database(f"sqlite:///{filled_store}", cache=cache))
        address = stack.enter_context(listening(make_app(database, Settings(keys=str(kept)))))
        with openai.OpenAI(base_url=f"{address}/v1", api_key=key) as client:
            assert client.embeddings.create(model=MODEL, input=ENGLISH).data
            assert [each.id for each in client.models.list()] == [MODEL]
        with openai.OpenAI(base_url=f"{address}/v1", api_key="wrong") as client:
            with pytest.raises(openai.AuthenticationError, match="that key is not known") as error:
                client.embeddings.create(model=MODEL, input=ENGLISH)
            assert error.value.type == "invalid_request_error"
            with pytest.raises(openai.AuthenticationError, match="that key is not known"):
                client.models.list()


def test_a_request_that_is_too_large_is_in_openais_shape(filled_store: Path, cache: Path) -> None:
    with ExitStack() as stack:
        database = stack.enter_context(Database(f"sqlite:///{filled_store}", cache=cache))
        address = stack.enter_context(listening(make_app(database, Settings(max_bytes=1000))))
        client = stack.enter_context(openai.OpenAI(base_url=f"{address}/v1", api_key="none"))
        with pytest.raises(openai.APIStatusError, match="at most") as error:
            client.embeddings.create(model=MODEL, input="x" * 1000)
        # Upon which Elasticsearch sends half of the text.
        assert error.value.status_code == 413


def test_another_paths_errors_stay_problems(url: str) -> None:
    answer = httpx.get(f"{url}/v1/collections/nosuch")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["error"] == "CollectionNotFound"


def test_one_text_without_words_spoils_no_other_request(service: InProcess) -> None:
    embedding = service.service.embedding_queue
    reader: Any = service.database.embedder(MODEL)

    async def ask() -> list[Any]:
        # In one turn of the loop, so that they are taken together.
        return await asyncio.gather(
            *(embedding.texts([text], reader) for text in ("a car", "\x00", "a dog", "\x01")),
            return_exceptions=True,
        )

    answers = asyncio.run(ask())
    assert [isinstance(answer, Exception) for answer in answers] == [False, True, False, True]


def test_a_full_queue_answers_503_and_openais_client_asks_again(filled_store: Path, cache: Path) -> None:
    held, waited = threading.Event(), threading.Event()
    with ExitStack() as stack:
        database = stack.enter_context(Database(f"sqlite:///{filled_store}", cache=cache))
        app: FastAPI = make_app(database, Settings(queue=1, workers=1))
        address = stack.enter_context(listening(app))
        embedder: Any = database.embedder(MODEL)

        class Slow:
            """The embedder, as slow as the test wants it."""

            text_fingerprint = embedder.text_fingerprint

            def embed_texts(self, texts: list[str]) -> Any:
                held.set()
                assert waited.wait(60)
                return embedder.embed_texts(texts)

        loop_thread = threading.Thread(
            target=lambda: asyncio.run(_fill(app.state.service.embedding_queue, Slow(), held))
        )
        stack.callback(loop_thread.join)
        stack.callback(waited.set)
        loop_thread.start()
        until(lambda: app.state.service.embedding_queue.waiting > 0)
        body = {"model": MODEL, "input": "a car"}
        answer = httpx.post(f"{address}/v1/embeddings", json=body, timeout=60)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert answer.json()["error"]["type"] == "server_error"
        client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)
        with client, pytest.raises(openai.InternalServerError, match="wait already"):
            client.embeddings.create(model=MODEL, input="a car")
        retried: list[int] = []

        def seen(response: Any) -> None:
            retried.append(response.status_code)
            waited.set()

        http = openai.DefaultHttpxClient(event_hooks={"response": [seen]})
        with openai.OpenAI(base_url=f"{address}/v1", api_key="none", http_client=http) as client:
            assert len(client.embeddings.create(model=MODEL, input="a car").data) == 1
        assert retried[0] == 503
        assert retried[-1] == 200


async def _fill(embedding: Any, reader: Any, held: threading.Event) -> None:
    """Let one text be embedded and another wait: the queue is full."""
    first = asyncio.ensure_future(embedding.texts(["a car"], reader))
    assert await asyncio.to_thread(held.wait, 60)
    await asyncio.gather(first, embedding.texts(["a dog"], reader))


# Models.


def test_models_are_listed_with_their_facts(client: openai.OpenAI, url: str) -> None:
    listed = {each.id: each for each in client.models.list()}
    assert list(listed) == [MODEL, NO_TEXTS]
    one = client.models.retrieve(MODEL)
    assert one == listed[MODEL]
    read = {each.id: each for each in Models.model_validate_json(httpx.get(f"{url}/v1/models").content).data}
    assert read[MODEL].dimension == DIMENSION
    assert read[MODEL].capabilities == ["images", "texts"]
    assert read[MODEL].licence == "Apache-2.0"
    assert read[NO_TEXTS].capabilities == ["images"]
    with pytest.raises(openai.NotFoundError, match="no model 'gpt-4' is served"):
        client.models.retrieve("gpt-4")


@pytest.fixture
def onnx(tmp_path: Path) -> Path:
    """A model that can be opened."""
    path = image_encoder(tmp_path / "models" / "mine.onnx")
    write_card(path.with_suffix(".json"), size=32, **IMAGENET)
    return path


def test_a_model_is_never_opened_because_a_client_names_it(service: InProcess, onnx: Path) -> None:
    for name in (f"onnx:{onnx}", f"onnx:{onnx.parent}", "timm:resnet50.a1_in1k", NO_TEXTS, "onnx:", "onnx:/"):
        answer = service.client.post("/v1/embeddings", json={"model": name, "input": "a car"})
        assert answer.status_code == 404, answer.text
        assert answer.json()["error"]["code"] == "model_not_found"
        assert service.client.get(f"/v1/models/{name}").status_code == 404
    assert set(service.database._models._embedders) <= {MODEL}
    # It could have been.
    assert service.database.embedder(f"onnx:{onnx}").dimension == 10


def test_an_onnx_model_is_known_by_the_end_of_its_path(
    tmp_path: Path, onnx: Path, filled_store: Path, cache: Path, picture: Path
) -> None:
    other = image_encoder(tmp_path / "others" / "mine.onnx")
    write_card(other.with_suffix(".json"), size=32, **IMAGENET)
    lone = image_encoder(tmp_path / "lone.onnx")
    write_card(lone.with_suffix(".json"), size=32, **IMAGENET)
    served = (f"onnx:{onnx}", f"onnx:{other}", f"onnx:{lone}", "onnx:/no/such.onnx")
    with ExitStack() as stack:
        database = stack.enter_context(Database(f"sqlite:///{filled_store}", cache=cache))
        address = stack.enter_context(listening(make_app(database, Settings(models=served))))
        client = stack.enter_context(openai.OpenAI(base_url=f"{address}/v1", api_key="none"))
        listed = {each.id: each for each in client.models.list()}
        ends = ["models/mine.onnx", "others/mine.onnx", "lone.onnx", "such.onnx"]
        assert list(listed) == [MODEL, *(f"onnx:{end}" for end in ends)]
        assert str(tmp_path) not in httpx.get(f"{address}/v1/models").text
        assert (listed["onnx:such.onnx"].model_extra or {})["problem"] == "PathNotFound"
        assert client.models.retrieve("onnx:others/mine.onnx").id == "onnx:others/mine.onnx"
        for name in ("onnx:models/mine.onnx", f"onnx:{onnx}", "onnx:lone.onnx"):
            answer = client.embeddings.create(model=name, input=data_url(picture))
            assert len(answer.data[0].embedding) == 10
            assert answer.model in listed
        with pytest.raises(openai.NotFoundError, match=r"models/mine\.onnx, onnx:others/mine\.onnx"):
            client.embeddings.create(model="onnx:mine.onnx", input=data_url(picture))


def test_a_collections_onnx_model_is_shown_without_its_folder_and_may_be_asked(
    service: InProcess, onnx: Path, picture: Path
) -> None:
    service.database.create("parts", f"onnx:{onnx}")
    answer = service.client.get("/v1/collections")
    assert str(onnx.parent) not in answer.text
    shown = {each["name"]: each["model"] for each in answer.json()["collections"]}
    assert shown == {"textile": MODEL, "parts": "onnx:mine.onnx"}
    asked = {"model": shown["parts"], "input": data_url(picture)}
    answer = service.client.post("/v1/embeddings", json=asked)
    assert len(answer.json()["data"][0]["embedding"]) == 10


# Elasticsearch.


def test_what_elasticsearchs_service_openai_sends_is_answered_as_it_reads(url: str) -> None:
    """Elasticsearch itself was not run: Elastic's distribution for tests has no x-pack, nor has Maven.

    The request is that of OpenAiEmbeddingsRequest and OpenAiEmbeddingsRequestEntity, the answer is read as
    OpenAiEmbeddingsResponseEntity does; both in x-pack/plugin/inference of github.com/elastic/elasticsearch.
    """
    texts = [ENGLISH, KOREAN, "how big is it"]
    body = {"input": texts, "model": MODEL, "user": "an-app", "dimensions": DIMENSION}
    headers = {"Content-Type": "application/json", "Authorization": "Bearer none"}
    answer = httpx.post(f"{url}/v1/embeddings", content=json.dumps(body).encode(), headers=headers)
    assert 200 <= answer.status_code < 300
    data = answer.json()["data"]
    assert isinstance(data, list)
    assert len(data) == len(texts)
    for entry in data:
        assert isinstance(entry["embedding"], list)
        assert all(isinstance(number, float) for number in entry["embedding"])
        # What an index for dot products wants: lengths of 1 to 1e-4 (DenseVectorFieldMapper).
        assert abs(float(np.linalg.norm(np.array(entry["embedding"], np.float32))) - 1) < 1e-4
    # ErrorMessageResponseEntity reads error.message.
    refused = httpx.post(f"{url}/v1/embeddings", json={"input": [""], "model": MODEL}, headers=headers)
    assert refused.json()["error"]["message"].startswith("input 0 is blank")
