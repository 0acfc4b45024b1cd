"""The Python client, against the service on a real socket."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conformal_clip_data import textile_simulated_root

from lookalike.client import (
    AccessDenied,
    Client,
    JobFailed,
    JobUnfinished,
    ResourceNotFound,
    ServiceBusy,
    ServiceError,
    ServiceRefused,
    ServiceUnanswerable,
    ServiceUnreachable,
)
from lookalike.database import Database
from lookalike.embedders.registry import open_embedder
from lookalike.errors import (
    InvalidArgument,
    LookalikeError,
    NotFound,
    PathNotFound,
    Unanswerable,
    UnusableImage,
)
from lookalike.schemas.classify import Prediction
from lookalike.schemas.values import Unusable
from lookalike.search.query import Image, RecordId, Sum, Text
from lookalike.server.app import make_app
from lookalike.server.auth.keys import new_key
from lookalike.server.settings import Settings
from lookalike.uris import file_uri, record_id
from lookalike.vectors.metric import normalise
from tests.documents import Terminal, served
from tests.listening import listening
from tests.service import COLLECTION

MODEL = "efficientnet-lite0"


@pytest.fixture(scope="module")
def database(filled_store: Path, cache: Path) -> Iterator[Database]:
    with Database(f"sqlite:///{filled_store}", cache=cache) as database:
        yield database


@pytest.fixture(scope="module")
def url(database: Database, pictures: Path) -> Iterator[str]:
    """The address of a service that nothing is changed in."""
    with listening(make_app(database, Settings(roots=(pictures,)))) as address:
        yield address


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[Client]:
    with Client(url) as client:
        yield client


@pytest.fixture(scope="module")
def files(pictures: Path) -> list[Path]:
    return sorted(each for each in pictures.rglob("*") if each.is_file())


def ids(hits: Any) -> list[str]:
    return [hit.id for hit in hits]


# What is asked.


def test_images_are_listed_in_an_order_and_searched_with_in_part(client: Client, files: list[Path]) -> None:
    textile = client[COLLECTION]
    found = textile.browse("label", by="label", offset=19, limit=2, fields=["label"])
    assert [image.fields for image in found.images] == [{"label": "global"}, {"label": "local"}]
    assert found.total == len(files)
    assert textile.browse(where={"label": "local"}, limit=0).total == 20
    with pytest.raises(InvalidArgument, match="by a field"):
        textile.browse("label")
    whole = textile.search(Image(files[0]), k=1).hits[0]
    part = textile.search(Image(files[0], box=(0, 0, 64, 64)), k=1).hits[0]
    assert (whole.similarity or 0) > 0.999 > (part.similarity or 0)
    assert textile.search(RecordId(whole.id, box=(0, 0, 64, 64)), k=1).hits[0].similarity == part.similarity


def test_collections_are_described(client: Client) -> None:
    (collection,) = client.collections()
    assert (collection.name, collection.count, collection.model) == (COLLECTION, 60, MODEL)
    # Whether it knows what is normal is told of one alone.
    assert collection.normal is None
    assert client[COLLECTION].info() == collection.model_copy(update={"normal": False})


def test_a_picture_is_searched_for_by_path_and_by_bytes(
    client: Client, database: Database, files: list[Path]
) -> None:
    found = database[COLLECTION].search(files[7], k=5).hits
    for picture in (files[7], files[7].read_bytes()):
        answer = client[COLLECTION].search(picture, k=5)
        assert ids(answer.hits) == [hit.record.id for hit in found]
        assert answer.hits[0].similarity == pytest.approx(1, abs=1e-5)
        assert answer.more


def test_terms_of_all_kinds_are_added_up(client: Client, database: Database, files: list[Path]) -> None:
    identity = record_id(file_uri(files[5]))
    assert client[COLLECTION].search(RecordId(identity), k=1).hits[0].id == identity
    query = Image(files[3]) - Text("a red car") + RecordId(identity) - Image(files[9])
    answer = client[COLLECTION].search(query, k=7)
    found = database[COLLECTION].search(query, k=7)
    assert ids(answer.hits) == [hit.record.id for hit in found.hits]
    assert answer.left_out == found.itself == 3


def test_the_options_of_a_search_arrive(client: Client, database: Database) -> None:
    first = client[COLLECTION].search(Text("cloth"), k=4)
    assert ids(client[COLLECTION].search(Text("cloth"), k=2, offset=2).hits) == ids(first.hits)[2:]
    only = client[COLLECTION].search(Text("cloth"), k=50, where={"label": ["local", "global"]})
    assert len(only.hits) == 40
    assert {hit.fields["label"] for hit in only.hits} == {"local", "global"}
    # `true`, 1 and "1" are three.
    counts = [
        len(client[COLLECTION].search(Text("cloth"), k=60, where={"mixed": [v]}).hits) for v in (True, 1, "1")
    ]
    assert counts == [12, 12, 12]
    cut = client[COLLECTION].search(Text("cloth"), min_similarity=0.99)
    assert cut.hits == []
    assert cut.cutoff is not None
    assert cut.best == pytest.approx(first.hits[0].similarity)
    hybrid = client[COLLECTION].search(Text("local"), hybrid=True, k=3)
    assert any(hit.by_words for hit in hybrid.hits)


def test_pictures_that_are_sent_are_compared_with_the_collection(
    client: Client, database: Database, files: list[Path]
) -> None:
    job = client[COLLECTION].drift(files[:6], by="label")
    job.wait()
    found = job.drift()
    expected = database[COLLECTION].drift(files[:6], by="label")
    assert (found.summary.images, found.summary.known) == (6, expected.known)
    assert found.summary.p_value == expected.p_value
    assert {each.name for each in found.drivers} == {file.name for file in files[:6]}
    job = client[COLLECTION].drift(new_where={"label": "local"})
    job.wait()
    assert all(each.image is not None for each in job.drift().drivers)
    with pytest.raises(InvalidArgument, match="send pictures"):
        client[COLLECTION].drift()


def test_pictures_are_classified_in_the_order_given(
    client: Client, database: Database, files: list[Path], tmp_path: Path
) -> None:
    records, _ = database[COLLECTION].vectors.read()
    record = next(each for each in records if each.fields["label"] == "nominal")
    text = tmp_path / "notes.png"
    text.write_text("no picture")
    answer = client[COLLECTION].classify(
        [files[0], RecordId(record.id), text, files[30].read_bytes()], by="label", k=3
    )
    kinds = [type(each) for each in answer.predictions]
    assert kinds == [Prediction, Prediction, Unusable, Prediction]
    first, by_id, unusable, last = answer.predictions
    assert isinstance(first, Prediction)
    assert first.name == files[0].name
    assert len(first.neighbours) == 3
    assert isinstance(by_id, Prediction)
    assert by_id.name == f"nominal/{_name(record.uri)}"
    assert isinstance(unusable, Unusable)
    assert unusable.name == "notes.png"
    assert isinstance(last, Prediction)
    assert last.name == "image"
    assert answer.k == 3


def _name(uri: str) -> str:
    return uri.rpartition("/")[2]


def test_vectors_are_those_of_the_model(client: Client, cache: Path, files: list[Path]) -> None:
    found = client.embed(MODEL, files[2], Text("a red car"), files[4].read_bytes())
    assert all(type(number) is float for number in found[0])
    from PIL import Image

    embedder: Any = open_embedder(MODEL, cache)
    images = [Image.open(files[place]).convert("RGB") for place in (2, 4)]
    one, two = normalise(embedder.embed(images))
    expected = [one, normalise(embedder.embed_texts(["a red car"]))[0], two]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert [model.id for model in client.models()] == [MODEL]


def test_the_service_says_what_it_lets_one_do(client: Client) -> None:
    said = client.service()
    assert (said.may, said.keys, said.uploads) == ("write", False, False)
    assert said.limits.images == 32


def test_threads_may_share_a_client(client: Client, files: list[Path]) -> None:
    expected = [ids(client[COLLECTION].search(file).hits) for file in files[:8]]

    async def ask() -> list[list[str]]:
        search = client[COLLECTION].search
        answers = await asyncio.gather(*(asyncio.to_thread(search, file) for file in files[:8]))
        return [ids(answer.hits) for answer in answers]

    assert asyncio.run(ask()) == expected


# What is changed.


@pytest.fixture
def writing(store_url: str, cache: Path, pictures: Path, tmp_path: Path) -> Iterator[Client]:
    """A client of a service of its own, that pictures can be added to."""
    settings = Settings(roots=(pictures,), uploads=tmp_path / "uploads")
    with ExitStack() as stack:
        database = stack.enter_context(Database(store_url, cache=cache))
        address = stack.enter_context(listening(make_app(database, settings)))
        yield stack.enter_context(Client(address))


def test_a_collection_is_made_filled_put_right_and_deleted(writing: Client, files: list[Path]) -> None:
    mine = writing.create("mine", MODEL)
    made = mine.info()
    assert (mine.name, made.name, made.count, made.model) == ("mine", "mine", 0, MODEL)
    added = mine.add(
        [files[0], files[25].read_bytes(), b"no picture"],
        fields=[{"label": "good"}, {"label": "bad", "checked": True}, {"label": "none"}],
        metadata={"camera": {"line": 3}},
    )  # fmt: skip
    assert [image.fields for image in added.images] == [{"label": "good"}, {"label": "bad", "checked": True}]
    assert [each.name for each in added.skipped] == ["image"]
    first, second = added.images
    assert first.metadata["camera"] == {"line": 3}
    assert mine.record(first.id) == first
    assert mine.original(first.id) == files[0].read_bytes()
    assert mine.thumbnail(first.id, 64)[8:12] == b"WEBP"
    found = mine.search(files[0], k=1).hits[0]
    assert found.id == first.id
    values = {each.field: each for each in mine.values().fields}
    assert values["label"].distinct == 2
    right = mine.correct(second.id, {"label": "good", "checked": None}, confirm=["label"])
    assert right.fields == {"label": "good"}
    assert right.corrected == {"label": "bad", "checked": True}
    assert right.confirmed == ["label"]
    mine.remove(first.id)
    with pytest.raises(ResourceNotFound, match=first.id) as error:
        mine.record(first.id)
    assert error.value.error == "ImageNotFound"
    assert mine.delete() == 1
    assert [collection.name for collection in writing.collections()] == [COLLECTION]


def test_a_collection_is_written_into_a_file(client: Client, database: Database, tmp_path: Path) -> None:
    client[COLLECTION].export(tmp_path / "some.jsonl", where={"label": "local"})
    lines = [json.loads(line) for line in (tmp_path / "some.jsonl").read_text().splitlines()]
    records = database[COLLECTION].vectors.read({"label": "local"})[0]
    assert [(line["id"], line["fields"]) for line in lines] == [(each.id, each.fields) for each in records]
    client[COLLECTION].export(tmp_path / "two.csv", ids=[each.id for each in records[:2]])
    assert (tmp_path / "two.csv").read_text("utf-8-sig").startswith("id,name,label,mixed\n")
    with pytest.raises(ResourceNotFound):
        client["nosuch"].export(tmp_path / "none.csv")
    with pytest.raises(InvalidArgument, match="is no folder"):
        client[COLLECTION].export(tmp_path / "nosuch" / "x.csv")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["some.jsonl", "two.csv"]


def test_an_evaluation_is_waited_for_and_read(client: Client) -> None:
    seen: list[tuple[int, int]] = []
    job = client[COLLECTION].evaluate("label", k=3)
    begun = job.info()
    assert (begun.kind, begun.collection) == ("evaluate", COLLECTION)
    done = job.wait(lambda *steps: seen.append(steps))
    assert done.state == "done"
    assert seen[-1] == (done.total, done.total)
    assert [steps for steps, _ in seen] == sorted(steps for steps, _ in seen)
    figures = job.evaluation()
    assert figures.summary.evaluated == 60
    assert figures.summary.k == 3
    assert sum(cell.count for cell in figures.confusion) == 60
    mistakes = client.job(job.id).images(wrong=True, limit=3)
    assert mistakes.total == figures.summary.mistakes
    cell = figures.confusion[0]
    labels = [each.label for each in figures.classes]
    place, predicted = labels.index(cell.label), labels.index(cell.predicted)
    page = job.images(label=place, predicted=predicted, offset=1, limit=1)
    assert page.total == cell.count
    assert [image.label for image in page.images] == [cell.label] * min(1, cell.count - 1)
    assert job.id in [each.id for each in client.jobs()]
    assert client.job(job.id).info() == done


def test_an_audit_and_a_map_are_read(client: Client) -> None:
    audit = client[COLLECTION].audit("label")
    assert audit.wait().state == "done"
    suspects = audit.suspects(contradicted=False, limit=2)
    assert suspects.summary.images == 60
    assert len(suspects.suspects) == 2
    assert audit.suspects().total == suspects.summary.contradicted
    assert audit.duplicates().total == suspects.summary.duplicates
    assert audit.outliers().total == suspects.summary.outliers
    assert audit.small_classes().total == suspects.summary.small_classes
    assert audit.left_out().total == suspects.summary.left_out
    drawn = client[COLLECTION].map("label")
    drawn.wait()
    points = drawn.map()
    assert points.images == points.drawn == len(points.ids) == len(points.x) == 60
    assert points.labels == ["global", "local", "nominal"]


def test_what_was_indexed_is_indexed_again(writing: Client) -> None:
    indexed = writing[COLLECTION].index()
    indexed.wait()
    report = indexed.indexing()
    assert report.images == report.unchanged + report.relabelled == 60
    (root,) = writing.folders().folders
    below = writing.folders(root.name).folders
    assert [each.path for each in below] == ["global", "local", "nominal"]
    assert writing.folders(root.name, "local").images == 20
    one = writing[COLLECTION].index(root.name, "local")
    one.wait()
    assert one.indexing().images == 20
    with pytest.raises(ResourceNotFound):
        writing.folders(root.name, "..")


def test_vectors_of_others_are_sent(writing: Client, tmp_path: Path) -> None:
    matrix, ids = tmp_path / "v.npy", tmp_path / "ids.txt"
    np.save(matrix, np.eye(3, 8, dtype=np.float32))
    ids.write_text("a\nb\nc\n")
    goods = writing["goods"]
    job = goods.import_vectors(matrix, ids=ids, space="theirs", dry_run=True)
    job.wait()
    assert (job.imported().rows, job.imported().added) == (3, 0)
    job = goods.import_vectors(matrix, ids=ids, space="theirs")
    assert job.wait().kind == "import"
    assert (job.imported().added, goods.info().count) == (3, 3)
    assert goods.search(RecordId("b"), k=1).hits[0].id == "b"
    with pytest.raises(ServiceError, match="say which model"):
        goods.import_vectors(matrix, ids=ids)


def test_a_job_that_fails_says_why(client: Client) -> None:
    with pytest.raises(ServiceError, match="colour"):
        client[COLLECTION].evaluate("colour").wait()
    with pytest.raises(ResourceNotFound):
        client.job("nosuch").cancel()


# What goes wrong.


def test_refusals_are_errors_of_ours(client: Client) -> None:
    with pytest.raises(ResourceNotFound, match="no collection 'nosuch'") as missing:
        client["nosuch"].search(Text("a car"))
    assert isinstance(missing.value, NotFound)
    assert (missing.value.status, missing.value.error) == (404, "CollectionNotFound")
    with pytest.raises(ServiceRefused, match="no field 'colour'") as refused:
        client[COLLECTION].search(Text("a car"), where={"colour": ["red"]})
    assert isinstance(refused.value, InvalidArgument)
    assert refused.value.error == "FieldNotFound"
    with pytest.raises(ServiceRefused, match="not an image") as unusable:
        client[COLLECTION].search(b"no picture")
    assert (unusable.value.status, unusable.value.error) == (422, "UnusableImage")
    with pytest.raises(ServiceRefused, match="nothing to search for"):
        client[COLLECTION].search(Sum(()))
    with pytest.raises(ServiceUnanswerable) as unanswerable:
        client[COLLECTION].classify(b"x", by="mixed", where={"mixed": ["nosuch"]}, max_error=0.01)
    assert isinstance(unanswerable.value, Unanswerable)
    # In OpenAI's shape there, and the same errors here.
    with pytest.raises(ResourceNotFound, match="no model 'gpt-4' is served"):
        client.embed("gpt-4", Text("a car"))
    with pytest.raises(ServiceRefused, match="input 0 is blank"):
        client.embed(MODEL, Text(" "))


def test_what_this_side_knows_to_be_wrong_is_not_sent(client: Client, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"^k: ") as error:
        client[COLLECTION].search(Text("a car"), k=0)
    assert not isinstance(error.value, ServiceError)
    with pytest.raises(InvalidArgument, match="terms/0/id"):
        client[COLLECTION].search(RecordId("no such"))
    with pytest.raises(InvalidArgument, match=r"^the question: .* at most 20,000"):
        client[COLLECTION].search(Text("a car"), where={"label": [str(number) for number in range(20_000)]})
    with pytest.raises(PathNotFound, match=r"nosuch\.png"):
        client[COLLECTION].search(tmp_path / "nosuch.png")
    with pytest.raises(UnusableImage, match="cannot be read"):
        client[COLLECTION].classify(tmp_path, by="label")


@pytest.mark.parametrize("url", ["nosuch", "ftp://127.0.0.1", "http://", "http://[::1", "127.0.0.1:8000"])
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(InvalidArgument, match="address"):
        Client(url)


def test_a_port_where_nobody_listens_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        port = taken.getsockname()[1]
        with (
            Client(f"http://127.0.0.1:{port}", retries=1) as client,
            pytest.raises(ServiceUnreachable, match=f"nobody answers at http://127.0.0.1:{port}") as error,
        ):
            client.collections()
    assert error.value.status is None


class Scripted:
    """A server that says what it is told, one answer a connection."""

    def __init__(self, *answers: bytes) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.requests: list[bytes] = []
        self._thread = threading.Thread(target=self._run, args=(answers,), daemon=True)
        self._thread.start()

    def _run(self, answers: tuple[bytes, ...]) -> None:
        with suppress(OSError):  # closed
            for answer in answers:
                with self._socket.accept()[0] as connection:
                    self.requests.append(connection.recv(65536))
                    connection.sendall(answer)
                    if not answer:  # silence, until the other side has enough
                        connection.recv(1)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(60)


def said(status: str, body: bytes = b"", *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


@pytest.fixture
def scripted() -> Iterator[Callable[..., Scripted]]:
    with ExitStack() as stack:

        def start(*answers: bytes) -> Scripted:
            server = Scripted(*answers)
            stack.callback(server.close)
            return server

        yield start


BUSY = said("503 Service Unavailable", b'{"detail": "much to do", "error": "Overloaded"}', "Retry-After: 0")


def test_silence_is_an_error_in_the_time_given(scripted: Callable[..., Scripted]) -> None:
    server = scripted(b"")
    with (
        Client(f"http://127.0.0.1:{server.port}", timeout=0.2) as client,
        pytest.raises(ServiceUnreachable, match=r"did not answer within 0\.2 seconds"),
    ):
        client.collections()


@pytest.mark.parametrize(
    "answer",
    [
        said("200 OK", b"<html>a page of something else</html>"),
        said("200 OK", b'{"images": []}'),
        said("200 OK", b"[]"),
    ],
)
def test_another_program_at_the_address_is_told_apart(
    scripted: Callable[..., Scripted], answer: bytes
) -> None:
    with (
        Client(f"http://127.0.0.1:{scripted(answer).port}") as client,
        pytest.raises(ServiceError, match="answers, but not as lookalike does"),
    ):
        client.collections()


def test_an_error_of_a_proxy_is_an_error(scripted: Callable[..., Scripted]) -> None:
    with (
        Client(f"http://127.0.0.1:{scripted(said('502 Bad Gateway', b'<html>')).port}") as client,
        pytest.raises(ServiceError, match="/v1/collections answers 502 Bad Gateway") as error,
    ):
        client.collections()
    assert error.value.status == 502


def test_a_broken_connection_is_an_error(scripted: Callable[..., Scripted]) -> None:
    server = scripted(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    with (
        Client(f"http://127.0.0.1:{server.port}") as client,
        pytest.raises(ServiceUnreachable, match=r"the connection to .* broke"),
    ):
        client.collections()


def test_a_busy_service_is_asked_again_a_few_times(scripted: Callable[..., Scripted]) -> None:
    good = said("200 OK", b'{"collections": []}')
    with Client(f"http://127.0.0.1:{scripted(BUSY, BUSY, good).port}", retries=2) as client:
        assert client.collections() == []
    server = scripted(BUSY, BUSY, good)
    with (
        Client(f"http://127.0.0.1:{server.port}", retries=1) as client,
        pytest.raises(ServiceBusy, match="much to do") as error,
    ):
        client[COLLECTION].search(Text("a car"))
    assert error.value.error == "Overloaded"
    assert len(server.requests) == 2


def test_a_change_that_is_not_to_happen_twice_is_not_sent_twice(scripted: Callable[..., Scripted]) -> None:
    server = scripted(BUSY)
    with Client(f"http://127.0.0.1:{server.port}") as client, pytest.raises(ServiceBusy):
        client[COLLECTION].evaluate("label")
    assert len(server.requests) == 1


def test_keys_are_sent_and_told_apart(database: Database) -> None:
    reading, kept = new_key("reader", "read")
    app = make_app(database, Settings(keys=str(kept)))
    with listening(app) as address:
        for key in (None, "wrong"):
            with Client(address, key=key) as client, pytest.raises(AccessDenied, match="key") as error:
                client.collections()
            assert error.value.status == 401
        with Client(address, key=reading) as client:
            assert client.service().may == "read"
            with pytest.raises(AccessDenied, match="may read and not write") as error:
                client.create("mine", MODEL)
            assert error.value.status == 403


def _job(state: str, done: int, **more: Any) -> bytes:
    job = {
        "id": "a1", "kind": "audit", "collection": COLLECTION, "asked": {"by": "label"}, "state": state,
        "done": done, "total": 60, "created": "2026-01-01T00:00:00Z", "started": None, "finished": None,
        "problem": None, **more,
    }  # fmt: skip
    return said("200 OK", json.dumps(job).encode())


def test_a_job_is_watched_and_its_end_is_told(scripted: Callable[..., Scripted]) -> None:
    steps: list[int] = []
    server = scripted(*(_job("running", done) for done in (0, 20, 20)), _job("done", 60))
    with Client(f"http://127.0.0.1:{server.port}") as client:
        assert client.job("a1").wait(lambda done, _total: steps.append(done)).done == 60
    assert steps == [0, 20, 60]
    problem = {"title": "Gone", "status": 410, "detail": "somebody cancelled it", "error": "Cancelled"}
    server = scripted(_job("running", 1), _job("cancelled", 1, problem=problem), _job("running", 2))
    with Client(f"http://127.0.0.1:{server.port}") as client:
        with pytest.raises(JobFailed, match="somebody cancelled it") as failed:
            client.job("a1").wait()
        assert (failed.value.status, failed.value.error) == (410, "Cancelled")
        assert failed.value.job.state == "cancelled"
        with pytest.raises(JobUnfinished, match="the job a1 goes on: 2 of 60") as unfinished:
            client.job("a1").wait(timeout=0)
        assert unfinished.value.job.done == 2


def test_a_proxys_path_before_ours_is_kept(scripted: Callable[..., Scripted]) -> None:
    server = scripted(said("200 OK", b'{"collections": []}'))
    with Client(f"http://127.0.0.1:{server.port}/images/") as client:
        client.collections()
    assert server.requests[0].startswith(b"GET /images/v1/collections HTTP/1.1\r\n")


def test_a_name_is_one_part_of_the_path(scripted: Callable[..., Scripted]) -> None:
    server = scripted(said("404 Not Found"))
    with Client(f"http://127.0.0.1:{server.port}") as client, pytest.raises(ResourceNotFound):
        client["../a b/?c=%2F#"].info()
    assert b"/v1/collections/..%2Fa%20b%2F%3Fc%3D%252F%23 HTTP" in server.requests[0]


@pytest.mark.parametrize("name", ["", ".", "..", "\ud800"])
def test_a_name_that_would_lead_elsewhere_is_not_sent(scripted: Callable[..., Scripted], name: str) -> None:
    # Of `/v1/collections/parts/images/..` what is deleted would be the collection.
    server = scripted(said("204 No Content"))
    with Client(f"http://127.0.0.1:{server.port}") as client:
        for call in (lambda: client["parts"].remove(name), client[name].delete):
            with pytest.raises(InvalidArgument, match="no name of a collection"):
                call()
    assert server.requests == []


# What the documents say.


@pytest.mark.parametrize("document", ["client", "embeddings"])
def test_the_documents_examples_run(
    document: str, tmp_path: Path, cache: Path, textile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copyfile(textile_simulated_root() / "global" / "textile_0021.jpg", tmp_path / "new.jpg")
    monkeypatch.chdir(tmp_path)
    path = Path(__file__).parents[2] / "docs" / f"{document}.md"
    with Database(f"sqlite:///{tmp_path}/lookalike.db", cache=cache) as database:
        database["textile"].index([textile])
        with listening(make_app(database, Settings(roots=(textile,), uploads=tmp_path / "added"))) as address:
            terminal = Terminal()
            found = served(path, address)
            differences = [told for block in found for told in terminal.run(block)]
            for value in terminal.namespace.values():
                if hasattr(value, "close") and not isinstance(value, type):
                    value.close()
    assert found
    assert not differences, "\n\n".join(differences)


# What it needs.


def test_without_its_packages_the_line_says_what_to_install() -> None:
    for package in ("httpx", "pydantic"):
        program = (
            f"import sys; sys.modules[{package!r}] = None\n"
            "from lookalike.errors import ExtraMissing\n"
            "try:\n    import lookalike.client\nexcept ExtraMissing as error:\n    print(error)"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout == "the client needs an optional package: pip install 'lookalike[client]'\n"


def test_it_imports_no_more_than_it_needs() -> None:
    program = (
        "import sys, lookalike.client; "
        "print(*({'numpy', 'fastapi', 'starlette', 'PIL', 'onnxruntime'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_every_error_is_one_of_ours() -> None:
    assert issubclass(ServiceError, LookalikeError)
