"""Named vectors over HTTP: shown, added by a job, chosen as the default, and dropped."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lookalike.server.auth.keys import new_key
from lookalike.server.settings import Settings
from lookalike.types import Space
from tests.mean_colours import MeanColours, save
from tests.service import COLLECTION, InProcess, in_process, until

BASE = f"/v1/collections/{COLLECTION}"
COLOURS = {"name": "colours", "model": "mean-colours"}


@pytest.fixture
def service(store_url: str, cache: Path, pictures: Path, tmp_path: Path) -> Iterator[InProcess]:
    """The application over a copy of the shared store, which serves another small model."""
    settings = Settings(roots=(pictures,), models=("mean-colours",), uploads=tmp_path / "uploads")
    with in_process(store_url, cache, settings) as running:
        running.database.use(MeanColours(8))
        yield running


def ask(service: InProcess, method: str, path: str, status: int = 200, **how: Any) -> Any:
    answer = service.client.request(method, path, **how)
    assert answer.status_code == status, answer.text
    return answer.json()


def add(service: InProcess, name: str = COLLECTION, wanted: dict[str, str] = COLOURS) -> dict[str, Any]:
    """Add a vector, and return what the job made."""
    answer = service.client.post(f"/v1/collections/{name}/vectors", json=wanted)
    assert answer.status_code == 202, answer.text
    job = answer.headers["location"]
    until(lambda: ask(service, "GET", job)["finished"] is not None)
    assert ask(service, "GET", job)["state"] == "done", ask(service, "GET", job)
    found: dict[str, Any] = ask(service, "GET", f"{job}/vector")
    return found


def vectors(service: InProcess) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in ask(service, "GET", BASE)["vectors"]}


def hits(service: InProcess, **query: Any) -> list[tuple[str, float]]:
    found = ask(service, "POST", f"{BASE}/search", json={"terms": [{"id": first(service)}], "k": 3, **query})
    return [(hit["id"], hit["similarity"]) for hit in found["hits"]]


def first(service: InProcess) -> str:
    return service.database[COLLECTION].vectors.read()[0][0].id


def test_a_further_vector_is_made_chosen_and_dropped(service: InProcess) -> None:
    before = hits(service)
    made = add(service)
    assert made == {
        "name": "colours",
        "model": "mean-colours",
        "dimension": 27,
        "fitted": False,
        "ready": True,
        "default": False,
        "lacking": 0,
        "bytes": 60 * 27 * 4,
        "approximation": None,
    }
    assert vectors(service)["colours"] == made
    assert vectors(service)["image"]["default"]
    assert hits(service) == before
    by_colours = hits(service, using="colours")
    assert by_colours != before
    found = ask(service, "PATCH", BASE, json={"default": "colours"})
    assert (found["default"], found["model"], found["texts"]) == ("colours", "mean-colours", True)
    assert hits(service) == by_colours
    # Words go to the other, and the answer says so.
    said = ask(service, "POST", f"{BASE}/search", json={"terms": [{"text": "cloth"}], "k": 1})
    assert (said["using"], said["model"]) == ("image", "efficientnet-lite0")
    assert said["remarks"][-1].startswith("searched by the vector 'image', of efficientnet-lite0")
    assert said["remark_kinds"] == ["vocabulary", "unread"]
    assert ask(service, "POST", f"{BASE}/search", json={"terms": [{"id": first(service)}]})["model"] is None
    found = ask(service, "DELETE", f"{BASE}/vectors/colours")
    assert ([each["name"] for each in found["vectors"]], found["default"]) == (["image"], "image")
    assert hits(service) == before
    assert [each["id"] for each in ask(service, "GET", "/v1/models")["data"]] == [
        "efficientnet-lite0",
        "mean-colours",
    ]


def test_pictures_that_are_added_have_all_vectors_whichever_is_the_default(
    service: InProcess, tmp_path: Path
) -> None:
    add(service)
    for seed, default in enumerate(("image", "colours")):
        ask(service, "PATCH", BASE, json={"default": default})
        picture = save(tmp_path / "new.png", 900 + seed).read_bytes()
        (new,) = ask(service, "POST", f"{BASE}/images", 201, files={"image": ("new.png", picture)})["images"]
        for using in ("image", "colours"):
            found = service.database[COLLECTION].search(picture, k=1, using=using).hits
            assert found[0].record.id == new["id"]
            assert found[0].similarity == pytest.approx(1, abs=1e-5)
    assert service.database.store.check() == []


@pytest.mark.parametrize(
    ("method", "path", "asked", "status", "words"),
    [
        ("POST", "/vectors", {"name": "No Name", "model": "mean-colours"}, 400, "cannot name a vector"),
        ("POST", "/vectors", {"name": "벡터", "model": "mean-colours"}, 400, "cannot name a vector"),
        ("POST", "/vectors", {"name": "fitted", "model": "mean-colours"}, 400, "that `lookalike fit` makes"),
        ("POST", "/vectors", {"name": "image", "model": "mean-colours"}, 409, "image"),
        ("POST", "/vectors", {"name": "two", "model": "efficientnet-lite0"}, 400, "already, as 'image'"),
        ("POST", "/vectors", {"name": "two", "model": "no-such-model"}, 404, "no model"),
        ("POST", "/vectors", {"name": "two"}, 422, "model"),
        ("PATCH", "", {"default": "nothing"}, 400, "no vector 'nothing': it has image"),
        ("PATCH", "", {}, 422, "default"),
        ("DELETE", "/vectors/nothing", None, 400, "no vector 'nothing': it has image"),
        ("DELETE", "/vectors/image", None, 400, "the only vector"),
    ],
)
def test_what_cannot_be_is_refused_at_once_and_changes_nothing(
    service: InProcess, method: str, path: str, asked: dict[str, str] | None, status: int, words: str
) -> None:
    before = ask(service, "GET", BASE)
    answer = service.client.request(method, f"{BASE}{path}", json=asked)
    assert (answer.status_code, words in answer.text) == (status, True), answer.text
    assert ask(service, "GET", BASE) == before
    assert ask(service, "GET", "/v1/jobs")["jobs"] == []


def test_a_vector_that_images_lack_is_shown_and_not_searched(
    service: InProcess, tmp_path: Path, pictures: Path
) -> None:
    shutil.copytree(pictures, tmp_path / "mine")
    service.database["mine"].index([tmp_path / "mine"])
    shutil.rmtree(tmp_path / "mine" / "local")
    shades = MeanColours(8)
    shades.fingerprint = "c1" * 32  # features that another test has kept would spare the files
    service.database.use(shades)
    made = add(service, "mine", {"name": "shades", "model": "mean-colours"})
    assert (made["ready"], made["lacking"], made["bytes"]) == (False, 20, 40 * 27 * 4)
    query = {"terms": [{"id": first(service)}], "using": "shades"}
    ask(service, "PATCH", "/v1/collections/mine", 400, json={"default": "shades"})
    ask(service, "POST", "/v1/collections/mine/search", 400, json=query)
    ask(service, "DELETE", "/v1/collections/mine/vectors/shades")
    assert [each["name"] for each in ask(service, "GET", "/v1/collections/mine")["vectors"]] == ["image"]


def test_only_who_may_write_changes_vectors(make_service: Callable[..., InProcess]) -> None:
    reading, line = new_key("reader", "read")
    client = make_service(keys=str(line)).client
    client.headers["Authorization"] = f"Bearer {reading}"
    assert client.post(f"{BASE}/vectors", json=COLOURS).status_code == 403
    assert client.patch(BASE, json={"default": "image"}).status_code == 403
    assert client.delete(f"{BASE}/vectors/image").status_code == 403
    assert client.get(BASE).json()["vectors"][0]["name"] == "image"


def test_a_vector_whose_model_is_not_here_is_named_in_the_log_and_the_others_are_ready(
    make_service: Callable[..., InProcess], store_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    service = make_service()
    records, rows = service.database[COLLECTION].vectors.read()
    space = Space("no-such-model", "0" * 64, rows.shape[1])
    service.database.store.add_vector(COLLECTION, "strange", space)
    service.database.store.fill(COLLECTION, space, records, rows)
    service.database.store.finish_vector(COLLECTION, space)
    again = make_service()
    until(lambda: again.client.get("/readyz").status_code == 200)
    said = [line for line in caplog.messages if "vector 'strange'" in line]
    assert re.search(f"collection '{COLLECTION}', vector 'strange': .*no-such-model", said[0])
    assert len(said) == 1


def test_readiness_has_opened_the_model_of_every_vector(service: InProcess) -> None:
    add(service)
    colours = service.database.embedder("mean-colours")
    assert isinstance(colours, MeanColours)
    with in_process(service.database.url, service.database.cache) as again:
        fresh = MeanColours(8)
        again.database.use(fresh)
        until(lambda: again.client.get("/readyz").status_code == 200)
        assert fresh.embedded == 1
