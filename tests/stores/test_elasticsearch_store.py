"""The Elasticsearch store: the contract of all stores, its indexes, and people's own requests to them."""

from __future__ import annotations

import base64
import json
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lookalike.cli import main
from lookalike.errors import InvalidArgument, QueryRefused, StoreCorrupt, StoreNewer, StoreOlder, Unanswerable
from lookalike.stores.elasticsearch import catalog, collections, pages, search, words
from lookalike.stores.elasticsearch.address import read_elasticsearch_address
from lookalike.stores.elasticsearch.connection import ElasticsearchClient
from lookalike.stores.elasticsearch.store import ElasticsearchStore
from lookalike.stores.registry import open_store
from lookalike.stores.store import Store
from lookalike.testing.stores import (
    CORNERS,
    SPACE,
    STRANGE_TEXTS,
    Damage,
    StoreContract,
    fill,
    flipped,
    random_vectors,
    record,
    scanned,
)
from lookalike.types import Record
from lookalike.uris import file_uri

# One node for all tests of it, also where several processes run tests (pytest --dist loadgroup).
pytestmark = pytest.mark.xdist_group("elasticsearch")

PREFIX = f"t{uuid.uuid4().hex[:12]}"
"""Of all stores of this process: theirs alone where the server is somebody's."""


def ask(url: str, method: str, path: str, body: Any = None) -> Any:
    """Send a request of one's own to the server of a store, and return what it answers."""
    client = ElasticsearchClient(read_elasticsearch_address(url), 30)
    try:
        return client.request(method, path, body).body
    finally:
        client.close()


def remove_indexes(url: str, pattern: str) -> None:
    """Delete indexes by name: wildcards are for those who look, not for those who delete."""
    names = ask(url, "GET", f"/{pattern}/_alias")
    if names:
        ask(url, "DELETE", f"/{','.join(names)}")


@pytest.fixture
def url(elasticsearch_server: str) -> Iterator[str]:
    """A store that is empty; its catalogue's index stays, because making one takes time."""
    url = f"{elasticsearch_server}?prefix={PREFIX}&shards=1&replicas=0"
    yield url
    remove_indexes(url, f"{PREFIX}.*.data")
    client = ElasticsearchClient(read_elasticsearch_address(url), 30)
    client.request("DELETE", f"/{PREFIX}.catalogue/_doc/names", allow=(404,))
    client.close()


@pytest.fixture
def fresh_url(elasticsearch_server: str) -> Iterator[str]:
    """A store that was never there."""
    prefix = f"t{uuid.uuid4().hex[:12]}"
    url = f"{elasticsearch_server}?prefix={prefix}&shards=1&replicas=0"
    yield url
    remove_indexes(url, f"{prefix}.*")


@pytest.fixture
def store(url: str) -> Iterator[ElasticsearchStore]:
    with ElasticsearchStore(url) as store:
        yield store


@pytest.fixture(scope="module", autouse=True)
def no_catalogue_stays(elasticsearch_server: str) -> Iterator[None]:
    yield
    remove_indexes(elasticsearch_server, f"{PREFIX}.*")


def damage_record(url: str, identity: str, part: str) -> None:
    """Change one part of what is stored of a record, see `PARTS`."""
    prefix = read_elasticsearch_address(url).prefix
    path = f"/{prefix}-parts"
    found = ask(url, "GET", f"{path}/_search?size=1000")["hits"]["hits"]
    source = next(hit["_source"] for hit in found if hit["_id"] == identity)
    other = next(hit["_source"] for hit in found if hit["_id"] != identity)
    vector = flipped(base64.b64decode(source["vector"]), 14)
    changed = {
        "vector": {"vector": base64.b64encode(vector).decode()},
        "exchanged": {name: other[name] for name in ("vector", "vector_checksum")},
        "digest": {"digest": flipped(source["digest"].encode(), 3).decode()},
        "fields": {"labels": source["labels"].replace("bad", "bae")},
    }
    ask(url, "POST", f"{path}/_update/{identity}?refresh=true", {"doc": changed[part]})


class TestElasticsearchStore(StoreContract):
    @pytest.fixture
    def url(self, url: str) -> str:
        return url

    @pytest.fixture
    def damage(self, url: str) -> Damage:
        return partial(damage_record, url)

    # Some six thousand requests: on a machine that does other things too they take minutes.
    @pytest.mark.timeout(900)
    def test_any_sequence_of_calls_answers_as_the_model_does(self, store: Store, other: Store) -> None:
        super().test_any_sequence_of_calls_answers_as_the_model_does(store, other)


# People's own requests


def test_requests_as_elastic_writes_them_find_images(
    store: ElasticsearchStore, url: str, tmp_path: Path
) -> None:
    store.create("Teile", replace(SPACE, dimension=33))
    vectors = random_vectors(50, 33)
    paths = [tmp_path / f"탱크 {number}%.jpg" for number in range(50)]
    records = [
        replace(
            record(file_uri(path), {"quality": "bad" if number % 2 else "good", "weight": number}),
            uri=file_uri(path),
        )
        for number, path in enumerate(paths)
    ]
    store.put("Teile", records, vectors)
    # As the image search that Elastic published asks: k, num_candidates, fields without _source. The vector
    # need not be of length 1.
    knn: dict[str, Any] = {
        "field": "image_embedding",
        "query_vector": (7 * vectors[3]).tolist(),
        "k": 5,
        "num_candidates": 10,
    }
    index = f"/{PREFIX}-teile"
    body = {"knn": knn, "fields": ["image_id", "image_name", "relative_path"], "_source": False, "size": 5}
    hits = ask(url, "POST", f"{index}/_search", body)["hits"]["hits"]
    assert len(hits) == 5
    assert hits[0]["fields"] == {
        "image_id": [records[3].id],
        "image_name": ["탱크 3%.jpg"],
        "relative_path": [str(paths[3]).lstrip("/")],
    }
    assert 2 * hits[0]["_score"] - 1 == pytest.approx(1, abs=1e-6)
    best = np.argsort(-(vectors.astype(np.float64) @ vectors[3].astype(np.float64)))[:5]
    assert [hit["_id"] for hit in hits] == [records[row].id for row in best]
    # With a filter inside knn, on labels, and with fields taken out of _source.
    filtered = {**knn, "filter": [{"term": {"fields.quality": "good"}}, {"range": {"size": {"gte": 1}}}]}
    body = {"knn": filtered, "_source": {"excludes": ["image_embedding", "vector"]}}
    sources = [hit["_source"] for hit in ask(url, "POST", f"{index}/_search", body)["hits"]["hits"]]
    assert len(sources) == 5
    assert {source["fields"]["quality"] for source in sources} == {"good"}
    assert "image_embedding" not in sources[0]
    found = ask(url, "POST", f"{index}/_search", {"query": {"term": {"fields": "bad"}}, "size": 0})
    assert found["hits"]["total"]["value"] == 25
    # And as a query among others.
    query = {"query": {"knn": {"field": "image_embedding", "query_vector": vectors[7].tolist(), "k": 1}}}
    hits = ask(url, "POST", f"{index}/_search", query)["hits"]["hits"]
    assert hits[0]["_id"] == records[7].id
    # The approximate index is another field: the same request, with its name.
    store.build_index("Teile")
    knn["field"] = "image_embedding_int8_hnsw"
    hits = ask(url, "POST", f"{index}/_search", {"knn": knn, "_source": False})["hits"]["hits"]
    assert hits[0]["_id"] == records[3].id


def test_vectors_come_back_through_fields(store: ElasticsearchStore, url: str) -> None:
    store.create("parts", SPACE)
    store.put("parts", [record(1)], random_vectors(1, 4))
    body = {"fields": ["image_embedding"], "_source": False}
    (hit,) = ask(url, "POST", f"/{PREFIX}-parts/_search", body)["hits"]["hits"]
    np.testing.assert_allclose(hit["fields"]["image_embedding"], random_vectors(1, 4)[0], atol=1e-6)


def test_a_mapping_takes_no_other_fields(store: ElasticsearchStore, url: str) -> None:
    fill(store, 1, [{text: text for text in STRANGE_TEXTS}])
    mapping = next(iter(ask(url, "GET", f"/{PREFIX}-parts/_mapping").values()))["mappings"]
    assert mapping["dynamic"] == "strict"
    assert {"image_id", "image_name", "relative_path", "image_embedding"} < set(mapping["properties"])
    assert mapping["properties"]["image_embedding"]["index_options"]["type"] == "flat"
    assert mapping["properties"]["image_embedding"]["similarity"] == "cosine"


def aliases(url: str) -> dict[str, str]:
    """Return the readable aliases of the store, each with its index."""
    found = ask(url, "GET", f"/{PREFIX}.*.data/_alias")
    return {
        alias: index
        for index, one in found.items()
        for alias in one["aliases"]
        if alias.startswith(f"{PREFIX}-")
    }


def test_readable_names_follow_the_collections(store: ElasticsearchStore, url: str) -> None:
    store.create("Größe", SPACE)
    store.create("b", SPACE)
    before = aliases(url)
    assert set(before) == {f"{PREFIX}-grösse", f"{PREFIX}-b"}
    store.rename({"Größe": "b", "b": "GRÖSSE"})
    assert aliases(url) == {
        f"{PREFIX}-grösse": before[f"{PREFIX}-b"],
        f"{PREFIX}-b": before[f"{PREFIX}-grösse"],
    }
    store.delete("b")
    assert set(aliases(url)) == {f"{PREFIX}-grösse"}
    long = "ก" * 64
    store.create(long, SPACE)
    store.create("ΐ" * 64, SPACE)
    assert len(aliases(url)) == 3
    assert all(len(alias.encode()) <= 255 for alias in aliases(url))


def test_readable_names_that_a_kill_left_wrong_are_put_right(store: ElasticsearchStore, url: str) -> None:
    store.create("a", SPACE)
    store.create("b", SPACE)
    right = aliases(url)
    swapped = [{"remove": {"index": f"{PREFIX}.*.data", "alias": f"{PREFIX}-*"}}]
    ask(url, "POST", "/_aliases", {"actions": swapped})
    wrong = {"index": right[f"{PREFIX}-a"], "alias": f"{PREFIX}-b"}
    ask(url, "POST", "/_aliases", {"actions": [{"add": wrong}]})
    store.create("c", SPACE)
    assert {**right, f"{PREFIX}-c": aliases(url)[f"{PREFIX}-c"]} == aliases(url)


# Exact and approximate


@pytest.mark.parametrize("kind", ["hnsw", "int8_hnsw", "bbq_hnsw"])
def test_exact_search_stays_exact_beside_an_index_of_each_kind(url: str, kind: str) -> None:
    with ElasticsearchStore(f"{url}&approximate={kind}") as store:
        store.create("parts", replace(SPACE, dimension=64))
        records = [record(number) for number in range(1_500)]
        vectors = random_vectors(1_500, 64)
        store.put("parts", records, vectors)
        queries = random_vectors(40, 64, seed=1)
        before = store.nearest("parts", queries, 10)
        built = store.build_index("parts")
        assert built.kind == kind
        assert built.recall >= 0.8
        assert store.nearest("parts", queries, 10) == before
        best = np.argsort(-(queries.astype(np.float64) @ vectors.astype(np.float64).T), axis=1)[:, :10]
        assert [[hit.record for hit in hits] for hits in before] == [
            [records[row] for row in one] for one in best
        ]
        mapping = next(iter(ask(url, "GET", f"/{PREFIX}-parts/_mapping").values()))["mappings"]["properties"]
        assert mapping["image_embedding"]["index_options"]["type"] == "flat"
        assert mapping[f"image_embedding_{kind}"]["index_options"]["type"] == kind
        assert np.array_equal(
            np.concatenate([rows for _, rows in store.scan("parts")]),
            vectors[np.argsort([one.id for one in records])],
        )


def test_an_index_of_another_kind_takes_the_place_of_the_first(url: str) -> None:
    space = replace(SPACE, dimension=64)
    vectors = random_vectors(30, 64)
    with ElasticsearchStore(f"{url}&approximate=hnsw") as store:
        store.create("parts", space)
        store.put("parts", [record(number) for number in range(30)], vectors)
        assert store.build_index("parts").kind == "hnsw"
    with ElasticsearchStore(f"{url}&approximate=bbq_hnsw") as store:
        assert store.build_index("parts").kind == "bbq_hnsw"
        body = {"query": {"exists": {"field": "image_embedding_hnsw"}}}
        assert ask(url, "POST", f"/{PREFIX}-parts/_count", body)["count"] == 0
        body = {"query": {"exists": {"field": "image_embedding_bbq_hnsw"}}}
        assert ask(url, "POST", f"/{PREFIX}-parts/_count", body)["count"] == 30
        assert store.nearest("parts", vectors[:1], 1, approximate=True)[0][0].record == record(0)


def test_bbq_needs_64_dimensions(url: str) -> None:
    with ElasticsearchStore(f"{url}&approximate=bbq_hnsw") as store:
        fill(store, 3)
        with pytest.raises(Unanswerable, match="64 dimensions"):
            store.build_index("parts")
        assert store.collection("parts").approximation is None


def test_who_does_not_know_of_an_index_yet_hides_nothing_from_it(store: ElasticsearchStore, url: str) -> None:
    store.create("parts", replace(SPACE, dimension=32))
    vectors = random_vectors(301, 32)
    store.put("parts", [record(number) for number in range(300)], vectors[:300])
    store.build_index("parts")
    with ElasticsearchStore(url) as late:
        find = late._catalog.find
        late._catalog.find = lambda name: find(name)._replace(kind=None)  # type: ignore[method-assign]
        late.put("parts", [record("late")], vectors[300:])
    assert store.nearest("parts", vectors[300:], 1, approximate=True)[0][0].record == record("late")


def test_more_neighbours_than_a_search_can_give(store: ElasticsearchStore) -> None:
    count = 10_100
    store.create("parts", SPACE)
    records = [record(number, {"n": number % 2}) for number in range(count)]
    vectors = random_vectors(count, 4)
    store.put("parts", records, vectors)
    query = random_vectors(1, 4, seed=1)
    similarities = vectors.astype(np.float64) @ query[0].astype(np.float64)
    (hits,) = store.nearest("parts", query, 10_050, exclude=[[records[0].id]])
    assert len(hits) == 10_050
    order = [row for row in np.argsort(-similarities) if row != 0]
    assert [hit.similarity for hit in hits] == pytest.approx(similarities[order[:10_050]], abs=1e-12)
    assert len(store.nearest("parts", query, 10**9, {"n": [1]})[0]) == count // 2
    assert len(store.stamps("parts")) == len(scanned(store)) == count  # more than a page of either


def test_more_ties_than_a_search_can_give(store: ElasticsearchStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_MOST_CANDIDATES", 40)
    monkeypatch.setattr(search, "_PAGE", 7)
    monkeypatch.setattr(pages, "_WINDOW", 7)
    store.create("parts", SPACE)
    records = [record(number) for number in range(90)]
    store.put("parts", records, np.repeat(CORNERS[:1], 90, axis=0))
    first = sorted(one.id for one in records)
    for hits in store.nearest("parts", CORNERS[:2], 5, exclude=[[], [first[0]]]):
        assert len(hits) == 5
    (hits,) = store.nearest("parts", CORNERS[:1], 5, exclude=[[first[0]]])
    assert [hit.record.id for hit in hits] == first[1:6]


def test_a_collection_in_several_shards_answers_as_in_one(url: str) -> None:
    with ElasticsearchStore(url.replace("shards=1", "shards=3")) as store:
        store.create("parts", replace(SPACE, dimension=8))
        records = [record(number, {"n": number % 3}) for number in range(400)]
        vectors = random_vectors(400, 8)
        store.put("parts", records, vectors)
        settings = next(iter(ask(url, "GET", f"/{PREFIX}-parts/_settings").values()))["settings"]["index"]
        assert (settings["number_of_shards"], settings["number_of_replicas"]) == ("3", "0")
        queries = random_vectors(9, 8, seed=1)
        store.build_index("parts")
        for approximate in (False, True):
            found = store.nearest("parts", queries, 12, {"n": [1]}, approximate=approximate)
            for hits, query in zip(found, queries, strict=True):
                rows = np.arange(1, 400, 3)
                best = rows[np.argsort(-(vectors[rows].astype(np.float64) @ query.astype(np.float64)))[:12]]
                assert [hit.record for hit in hits] == [records[row] for row in best]
        assert [one.id for one in scanned(store)] == sorted(one.id for one in records)


# Names and what is kept


def test_a_put_of_several_requests_comes_back_bit_by_bit(store: ElasticsearchStore) -> None:
    store.create("parts", replace(SPACE, dimension=1_280))
    records = sorted((record(number) for number in range(900)), key=lambda one: one.id)
    vectors = random_vectors(900, 1_280)  # 25 MB as JSON
    store.put("parts", records, vectors)
    ((first, rows),) = store.scan("parts")
    assert first == records
    assert rows.tobytes() == vectors.tobytes()


def test_a_metric_larger_than_a_request_should_be_is_kept(store: ElasticsearchStore) -> None:
    metric = np.random.default_rng(0).bytes(catalog._METRIC_BYTES * 20 + 1)
    store.create("fitted", SPACE, metric)
    assert store.metric("fitted") == metric
    store.create("empty", SPACE, b"")
    assert store.metric("empty") == b""


def test_who_makes_a_collection_at_once_makes_one(fresh_url: str) -> None:
    made: list[Any] = []

    def make() -> None:
        with ElasticsearchStore(fresh_url) as store:
            made.append(store.create("parts", SPACE, b"metric"))
            store.put("parts", [record(len(made))], CORNERS[:1])

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 6
    prefix = read_elasticsearch_address(fresh_url).prefix
    assert len(ask(fresh_url, "GET", f"/{prefix}.*.data/_alias")) == 1
    with ElasticsearchStore(fresh_url) as store:
        assert store.metric("parts") == b"metric"
        assert [one.name for one in store.collections()] == ["parts"]


def test_names_that_many_exchange_at_once_are_never_half_exchanged(
    store: ElasticsearchStore, url: str
) -> None:
    spaces = {"a": SPACE, "b": replace(SPACE, dimension=2)}
    for name, space in spaces.items():
        store.create(name, space)
    failures: list[BaseException] = []

    def exchange() -> None:
        try:
            with ElasticsearchStore(url) as own:
                for _ in range(10):
                    own.rename({"a": "b", "b": "a"})
        except BaseException as failure:  # noqa: BLE001 shown below
            failures.append(failure)

    threads = [threading.Thread(target=exchange) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert {one.space.dimension for one in store.collections()} == {2, 4}
        assert [one.name for one in store.collections()] == ["a", "b"]
    assert failures == []
    assert store.collection("a").space == SPACE  # thirty exchanges
    entries = store._catalog.entries()
    wanted = {f"{PREFIX}-{name}": f"{PREFIX}.{entry.number}.data" for name, entry in entries.items()}
    assert aliases(url) == wanted


def test_a_rename_whose_answer_is_lost_is_not_done_twice(
    store: ElasticsearchStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create("a", SPACE)
    store.create("b", replace(SPACE, dimension=2))
    request = store._client.request

    def twice(method: str, path: str, *words: Any, **named: Any) -> Any:
        reply = request(method, path, *words, **named)
        # As the client does when a connection breaks between its request and the answer.
        return request(method, path, *words, **named) if path.endswith("_doc/names") else reply

    monkeypatch.setattr(store._client, "request", twice)
    store.rename({"a": "b", "b": "a"})
    assert store.collection("a").space.dimension == 2
    store.create("c", SPACE)
    assert store.delete("c") == 0
    assert [one.name for one in store.collections()] == ["a", "b"]


def test_labels_and_vectors_that_change_at_once_stay_whole(store: ElasticsearchStore, url: str) -> None:
    store.create("parts", SPACE)
    store.put("parts", [record(1)], CORNERS[:1])

    def label() -> None:
        with ElasticsearchStore(url) as own:
            for turn in range(40):
                own.relabel("parts", [(record(1).id, {"turn": turn}, {})])

    thread = threading.Thread(target=label)
    thread.start()
    turn = 0
    while thread.is_alive():
        turn += 1
        store.put("parts", [record(1, size=turn)], CORNERS[turn % 24 : turn % 24 + 1])
        ((records, vectors),) = store.scan("parts")
        assert records[0].size == turn  # a relabelling keeps what was put last
        assert np.array_equal(vectors[0], CORNERS[turn % 24])
    thread.join()


def test_an_index_that_a_kill_left_to_nobody_is_deleted_later(
    fresh_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = read_elasticsearch_address(fresh_url).prefix
    with ElasticsearchStore(fresh_url) as store:
        store.create("a", SPACE)
        left = store._catalog.entries()["a"].number
        store.put("a", [record(1)], CORNERS[:1])
        store._catalog.change(lambda _: [])  # a delete that was killed half-way
        assert store.collections() == []
        store.create("a", SPACE)
        assert f"{prefix}.{left}.data" in ask(fresh_url, "GET", f"/{prefix}.*.data/_alias")  # too young
        monkeypatch.setattr(collections, "ABANDONED_MS", 0)
        store.create("b", SPACE)
        names = ask(fresh_url, "GET", f"/{prefix}.*.data/_alias")
        assert f"{prefix}.{left}.data" not in names
        assert len(names) == 2


def test_two_prefixes_are_two_stores(store: ElasticsearchStore, fresh_url: str) -> None:
    fill(store, 2)
    with ElasticsearchStore(fresh_url) as other:
        assert other.collections() == []
        fill(other, 3)
        assert (store.collection("parts").count, other.collection("parts").count) == (2, 3)
        assert other.delete("parts") == 3
    assert store.collection("parts").count == 2


# Words


def test_more_records_than_one_search_gives_are_found_by_words(
    store: ElasticsearchStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = fill(store, 40, [{"a": "red"}, {"a": "blue"}])
    reds = [one for one in records if one.fields["a"] == "red"]
    monkeypatch.setattr(words, "_WINDOW", 7)
    for k in (7, 8, 14, 15, 20, 21, 99):
        assert store.search_words("parts", "red", k) == reds[:k]
    assert store.search_words("parts", "red", 99, {"a": ["blue"]}) == []


def test_equal_texts_score_alike_on_all_shards(fresh_url: str) -> None:
    with ElasticsearchStore(fresh_url.replace("shards=1", "shards=3")) as store:
        records = fill(store, 40, [{"a": "red"}, {"a": "blue"}, {"a": "blue"}])
        reds = [one for one in records if one.fields["a"] == "red"]
        assert store.search_words("parts", "red", 99) == reds
        assert store.search_words("parts", "red", 5) == reds[:5]


# Refused


def test_what_a_later_version_wrote_is_not_touched(fresh_url: str) -> None:
    prefix = read_elasticsearch_address(fresh_url).prefix
    with ElasticsearchStore(fresh_url) as store:
        fill(store, 2)
        number = store._catalog.find("parts").number
        path = f"/{prefix}.catalogue/_doc"
        for name in (number, "names"):
            ask(fresh_url, "PUT", f"{path}/{name}", {"format": 4, "content": {"anything": 1}})
            with pytest.raises(StoreNewer, match="later version"):
                store.collection("parts")
        for call in (
            store.collections,
            lambda: store.create("others", SPACE),
            lambda: store.put("parts", [record(9)], CORNERS[:1]),
            lambda: store.delete("parts"),
            lambda: store.rename({"parts": "others"}),
        ):
            with pytest.raises(StoreNewer):
                call()
        (index,) = ask(fresh_url, "GET", f"/{prefix}.*.data/_alias")
        assert ask(fresh_url, "GET", f"/{index}/_count")["count"] == 2


def test_what_an_earlier_version_wrote_says_what_to_do(fresh_url: str) -> None:
    prefix = read_elasticsearch_address(fresh_url).prefix
    with ElasticsearchStore(fresh_url) as store:
        fill(store, 2)
        ask(fresh_url, "PUT", f"/{prefix}.catalogue/_doc/names", {"format": 2, "content": "[]"})
        for call in (store.collections, lambda: store.put("parts", [record(9)], CORNERS[:1])):
            with pytest.raises(StoreOlder, match="index the images again into a new store"):
                call()


def test_an_index_that_was_deleted_on_the_server_is_named(store: ElasticsearchStore, url: str) -> None:
    fill(store, 2)
    number = store._catalog.find("parts").number
    ask(url, "DELETE", f"/{PREFIX}.{number}.data")
    for call in (
        lambda: store.collection("parts"),
        store.collections,
        lambda: store.put("parts", [record(9)], CORNERS[:1]),
        lambda: store.nearest("parts", CORNERS[:1], 1),
        lambda: store.get("parts", [record(0).id]),
        lambda: store.remove("parts", [record(0).id]),
    ):
        with pytest.raises(StoreCorrupt, match="deleted on the server"):
            call()
    store.create("others", SPACE)  # the rest of the store is not held up
    store.rename({"others": "more"})
    assert f"{PREFIX}-more" in aliases(url)
    assert store.delete("parts") == 0
    assert [one.name for one in store.collections()] == ["more"]


def test_a_catalogue_that_does_not_read_is_named(fresh_url: str) -> None:
    with ElasticsearchStore(fresh_url) as store:
        fill(store, 1)
        ask(fresh_url, "PUT", f"/{store._catalog.index}/_doc/names", {"format": 3, "content": "{"})
        with pytest.raises(StoreCorrupt, match="does not read"):
            store.collections()


def test_what_cannot_be_in_elasticsearch_is_refused(store: ElasticsearchStore) -> None:
    with pytest.raises(InvalidArgument, match="4096 dimensions"):
        store.create("parts", replace(SPACE, dimension=4_097))
    assert store.collections() == []
    fill(store, 1)
    for identity in ("", "x" * 513):
        with pytest.raises(InvalidArgument, match="1 to 512 characters"):
            store.put("parts", [record(7), Record(identity, "file:///x", "", {}, {}, 1, 1)], CORNERS[:2])
    assert store.remove("parts", ["x" * 513]) == 0
    assert scanned(store) == [record(0)]


def test_sql_says_what_to_use(store: ElasticsearchStore) -> None:
    with pytest.raises(QueryRefused, match="_search and knn"):
        store.sql("SELECT 1")


def test_a_name_that_is_an_index_of_somebody_is_refused(store: ElasticsearchStore, url: str) -> None:
    store.create("others", SPACE)
    ask(url, "PUT", f"/{PREFIX}-parts", {"settings": {"number_of_replicas": 0}})
    try:
        for call in (lambda: store.create("Parts", SPACE), lambda: store.rename({"others": "parts"})):
            with pytest.raises(InvalidArgument, match="prefix="):
                call()
        assert [one.name for one in store.collections()] == ["others"]
    finally:
        ask(url, "DELETE", f"/{PREFIX}-parts")
    store.create("parts", SPACE)


# The URL


@pytest.mark.parametrize(
    ("url", "shown", "hosts"),
    [
        ("elasticsearch+http://h", "elasticsearch+http://h", ["http://h:9200"]),
        ("elasticsearch+https://h:443/es/", "elasticsearch+https://h:443/es/", ["https://h:443/es"]),
        ("elasticsearch+http://[::1]:9/", "elasticsearch+http://[::1]:9/", ["http://[::1]:9"]),
        (
            "elasticsearch+https://anna:s%40cret@h1:1,h2/?prefix=a",
            "elasticsearch+https://anna@h1:1,h2/?prefix=a",
            ["https://h1:1", "https://h2:9200"],
        ),
        (
            "elasticsearch+http://h/?api_key=s%40cret&shards=2",
            "elasticsearch+http://h/?shards=2",
            ["http://h:9200"],
        ),
    ],
)
def test_a_url_is_shown_without_secrets(url: str, shown: str, hosts: list[str]) -> None:
    address = read_elasticsearch_address(url)
    assert (address.url, address.hosts) == (shown, hosts)
    with open_store(url) as store:
        assert store.url == shown
        assert "cret" not in repr(address) + repr(store) + repr(vars(store))


def test_an_api_key_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKALIKE_ELASTICSEARCH_API_KEY", "name:key")
    assert read_elasticsearch_address("elasticsearch+http://h").api_key == ("name", "key")
    assert read_elasticsearch_address("elasticsearch+http://h?api_key=a2V5").api_key == "a2V5"
    address = read_elasticsearch_address("elasticsearch+http://anna:word@h")
    assert (address.user, address.api_key) == (("anna", "word"), None)


@pytest.mark.parametrize(
    "rest",
    [
        "",
        ",h",
        "h:port",
        "h?shards=0",
        "h?shards=x",
        "h?replicas=-1",
        "h?prefix=A",
        "h?prefix=a-b",
        "h?prefix=",
        "h?approximate=flat",
        "h?ca_file=/none/such",
        f"h?ca_file={__file__}",
        "h?shards=1&shards=2",
        "h?colour=red",
        "anna:secret@h?api_key=secret",
        "h?api_key=secret%0A",
    ],
)
def test_a_url_that_says_something_else_is_refused(rest: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        open_store(f"elasticsearch+http://{rest}")
    assert "secret" not in str(refused.value)


# The command line


def test_the_command_line_works_on_it(
    url: str,
    textile_files: dict[str, list[Path]],
    tmp_path: Path,
    cache: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = tmp_path / "textile"
    for name, files in textile_files.items():
        (root / name).mkdir(parents=True)
        for file in files[:10]:
            (root / name / file.name).write_bytes(file.read_bytes())

    def run(*words: str | Path) -> str:
        capsys.readouterr()
        assert main([*map(str, words), "--store", url, "--cache", str(cache)]) == 0
        return capsys.readouterr().out

    run("index", root)
    new = textile_files["local"][15]
    (found,) = (json.loads(line) for line in run("search", new, "--format", "jsonl").splitlines()[:1])
    assert found
    assert "local" in run("search", new)
    (predicted,) = run("classify", new, "--by", "label", "--format", "jsonl").splitlines()
    assert json.loads(predicted)
    assert "30" in run("info")
    run("index", root)
    with open_store(url) as store:
        (collection,) = store.collections()
        assert collection.count == 30
