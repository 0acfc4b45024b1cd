"""The Elasticsearch store: the contract of all stores, its indexes, and people's own requests to them."""

from __future__ import annotations

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
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lookalike.cli import main
from lookalike.errors import (
    InvalidArgument,
    QueryRefused,
    SpaceMismatch,
    StoreCorrupt,
    StoreNewer,
    StoreOlder,
    Unanswerable,
)
from lookalike.stores.elasticsearch import catalog, collections, pages, search, words
from lookalike.stores.elasticsearch.address import read_elasticsearch_address
from lookalike.stores.elasticsearch.backend import ElasticsearchBackend
from lookalike.stores.elasticsearch.catalog import Listing
from lookalike.stores.elasticsearch.connection import ElasticsearchClient
from lookalike.stores.elasticsearch.records import decimals
from lookalike.stores.registry import open_store
from lookalike.stores.store import Store
from lookalike.testing.samples import (
    CORNERS,
    FITTED,
    REFITTED,
    SPACE,
    STRANGE_TEXTS,
    WORDS,
    exchange,
    fill,
    flipped,
    nearest,
    put,
    random_vectors,
    record,
    scanned,
    turned,
)
from lookalike.testing.store_contract.damage import Damage
from lookalike.testing.stores import StoreContract
from lookalike.types import Space, Vectors
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


@pytest.fixture(scope="module", autouse=True)
def no_catalogue_stays(elasticsearch_server: str) -> Iterator[None]:
    yield
    remove_indexes(elasticsearch_server, f"{PREFIX}.*")


def server(store: Store) -> ElasticsearchBackend:
    """Return the back end of a store."""
    backend = store._backend
    assert isinstance(backend, ElasticsearchBackend)
    return backend


def damage_record(url: str, identity: str, part: str, vector: int = 1) -> None:
    """Change one part of what is stored of a record, see `PARTS`; of the vector of this number."""
    prefix = read_elasticsearch_address(url).prefix
    path, number, field = f"/{prefix}-parts", str(vector), f"vector_{vector}"
    body = {"size": 1000, "docvalue_fields": [field]}
    found = ask(url, "POST", f"{path}/_search", body)["hits"]["hits"]
    mine = next(hit for hit in found if hit["_id"] == identity)
    other = next(hit for hit in found if hit["_id"] != identity)
    source = mine["_source"]
    content = flipped(np.array(mine["fields"][field], "<f4").tobytes(), 14)
    changed = {
        "vector": {field: np.frombuffer(content, "<f4").tolist()},
        "exchanged": {
            field: np.ravel(other["fields"][field]).tolist(),
            "vectors": {number: other["_source"]["vectors"][number]},
        },
        "digest": {"digest": flipped(source["digest"].encode(), 3).decode()},
        "fields": {"labels": source["labels"].replace("bad", "bae")},
    }
    ask(url, "POST", f"{path}/_update/{identity}?refresh=true", {"doc": changed[part]})


class TestElasticsearchStore(StoreContract):
    # Some 240 requests each.
    sequences = 10

    @pytest.fixture
    def url(self, url: str) -> str:
        return url

    @pytest.fixture
    def damage(self, url: str) -> Damage:
        return partial(damage_record, url)

    # On a machine that does other things too they take minutes.
    @pytest.mark.timeout(900)
    def test_any_sequence_of_calls_answers_as_the_model_does(self, store: Store, other: Store) -> None:
        super().test_any_sequence_of_calls_answers_as_the_model_does(store, other)


# People's own requests


def test_requests_as_elastic_writes_them_find_images(store: Store, url: str, tmp_path: Path) -> None:
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
    put(store, "Teile", records, vectors)
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
    body = {"knn": filtered, "_source": {"excludes": ["vector*"]}}
    sources = [hit["_source"] for hit in ask(url, "POST", f"{index}/_search", body)["hits"]["hits"]]
    assert len(sources) == 5
    assert {one["quality"] for source in sources for one in source["fields"]} == {"good"}
    assert not [name for name in sources[0] if name.startswith("vector")]
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


def test_vectors_come_back_through_fields(store: Store, url: str) -> None:
    store.create("parts", SPACE)
    put(store, "parts", [record(1)], random_vectors(1, 4))
    # From 9.2 on a vector is not given under an alias alone.
    body = {"fields": ["image_embedding", "vector_1"], "_source": False}
    (hit,) = ask(url, "POST", f"/{PREFIX}-parts/_search", body)["hits"]["hits"]
    for name in ("image_embedding", "vector_1"):
        np.testing.assert_allclose(hit["fields"][name], random_vectors(1, 4)[0], atol=1e-6)


def test_a_mapping_takes_no_other_fields(store: Store, url: str) -> None:
    fill(store, 1, [{text: text for text in STRANGE_TEXTS}])
    mapping = next(iter(ask(url, "GET", f"/{PREFIX}-parts/_mapping").values()))["mappings"]
    assert mapping["dynamic"] == "strict"
    assert {"image_id", "image_name", "relative_path", "image_embedding"} < set(mapping["properties"])
    assert mapping["properties"]["image_embedding"] == {"type": "alias", "path": "vector_1"}
    assert mapping["properties"]["vector_1"]["index_options"]["type"] == "flat"
    assert mapping["properties"]["vector_1"]["similarity"] == "cosine"


def aliases(url: str) -> dict[str, str]:
    """Return the readable aliases of the store, each with its index."""
    found = ask(url, "GET", f"/{PREFIX}.*.data/_alias")
    return {
        alias: index
        for index, one in found.items()
        for alias in one["aliases"]
        if alias.startswith(f"{PREFIX}-")
    }


def test_readable_names_follow_the_collections(store: Store, url: str) -> None:
    store.create("Größe", SPACE)
    store.create("b", SPACE)
    before = aliases(url)
    assert set(before) == {f"{PREFIX}-grösse", f"{PREFIX}-b"}
    exchange(store, "b", "GRÖSSE")
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


def test_readable_names_that_a_kill_left_wrong_are_put_right(store: Store, url: str) -> None:
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
    with open_store(f"{url}&approximate={kind}") as store:
        store.create("parts", replace(SPACE, dimension=64))
        records = [record(number) for number in range(1_500)]
        vectors = random_vectors(1_500, 64)
        put(store, "parts", records, vectors)
        queries = random_vectors(40, 64, seed=1)
        before = nearest(store, "parts", queries, 10)
        built = store.build_index("parts")
        assert built.kind == kind
        assert built.recall >= 0.8
        assert nearest(store, "parts", queries, 10) == before
        best = np.argsort(-(queries.astype(np.float64) @ vectors.astype(np.float64).T), axis=1)[:, :10]
        assert [[hit.record for hit in hits] for hits in before] == [
            [records[row] for row in one] for one in best
        ]
        mapping = next(iter(ask(url, "GET", f"/{PREFIX}-parts/_mapping").values()))["mappings"]["properties"]
        for name, index in (("image_embedding", "flat"), (f"image_embedding_{kind}", kind)):
            assert mapping[mapping[name]["path"]]["index_options"]["type"] == index
        assert np.array_equal(
            np.concatenate([rows for _, rows in store.scan("parts")]),
            vectors[np.argsort([one.id for one in records])],
        )


def test_an_index_of_another_kind_takes_the_place_of_the_first(url: str) -> None:
    space = replace(SPACE, dimension=64)
    vectors = random_vectors(30, 64)
    with open_store(f"{url}&approximate=hnsw") as store:
        store.create("parts", space)
        put(store, "parts", [record(number) for number in range(30)], vectors)
        assert store.build_index("parts").kind == "hnsw"
    with open_store(f"{url}&approximate=bbq_hnsw") as store:
        assert store.build_index("parts").kind == "bbq_hnsw"
        body = {"query": {"exists": {"field": "image_embedding_hnsw"}}}
        assert ask(url, "POST", f"/{PREFIX}-parts/_count", body)["count"] == 0
        body = {"query": {"exists": {"field": "image_embedding_bbq_hnsw"}}}
        assert ask(url, "POST", f"/{PREFIX}-parts/_count", body)["count"] == 30
        assert nearest(store, "parts", vectors[:1], 1, approximate=True)[0][0].record == record(0)


def test_bbq_needs_64_dimensions(url: str) -> None:
    with open_store(f"{url}&approximate=bbq_hnsw") as store:
        fill(store, 3)
        with pytest.raises(Unanswerable, match="64 dimensions"):
            store.build_index("parts")
        assert store.collection("parts").approximation is None


def test_who_does_not_know_of_an_index_yet_hides_nothing_from_it(
    store: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create("parts", replace(SPACE, dimension=32))
    vectors = random_vectors(301, 32)
    put(store, "parts", [record(number) for number in range(300)], vectors[:300])
    store.build_index("parts")
    with open_store(url) as late:
        catalog = server(late)._catalog
        find = catalog.find

        def before(name: str) -> Listing:
            listing = find(name)
            vectors = tuple(replace(one, index=None) for one in listing.entry.vectors)
            return listing._replace(entry=replace(listing.entry, vectors=vectors))

        monkeypatch.setattr(catalog, "find", before)
        put(late, "parts", [record("late")], vectors[300:])
    assert nearest(store, "parts", vectors[300:], 1, approximate=True)[0][0].record == record("late")


def test_more_neighbours_than_a_search_can_give(store: Store) -> None:
    count = 10_100
    store.create("parts", SPACE)
    records = [record(number, {"n": number % 2}) for number in range(count)]
    vectors = random_vectors(count, 4)
    put(store, "parts", records, vectors)
    query = random_vectors(1, 4, seed=1)
    similarities = vectors.astype(np.float64) @ query[0].astype(np.float64)
    (hits,) = nearest(store, "parts", query, 10_050, exclude=[[records[0].id]])
    assert len(hits) == 10_050
    order = [row for row in np.argsort(-similarities) if row != 0]
    assert [hit.similarity for hit in hits] == pytest.approx(similarities[order[:10_050]], abs=1e-12)
    assert len(nearest(store, "parts", query, 10**9, {"n": [1]})[0]) == count // 2
    assert len(store.stamps("parts")) == len(scanned(store)) == count  # more than a page of either


def test_more_ties_than_a_search_can_give(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_MOST_CANDIDATES", 40)
    monkeypatch.setattr(search, "_PAGE", 7)
    monkeypatch.setattr(pages, "_WINDOW", 7)
    store.create("parts", SPACE)
    records = [record(number) for number in range(90)]
    put(store, "parts", records, np.repeat(CORNERS[:1], 90, axis=0))
    first = sorted(one.id for one in records)
    for hits in nearest(store, "parts", CORNERS[:2], 5, exclude=[[], [first[0]]]):
        assert len(hits) == 5
    (hits,) = nearest(store, "parts", CORNERS[:1], 5, exclude=[[first[0]]])
    assert [hit.record.id for hit in hits] == first[1:6]


def test_a_collection_in_several_shards_answers_as_in_one(url: str) -> None:
    with open_store(url.replace("shards=1", "shards=3")) as store:
        store.create("parts", replace(SPACE, dimension=8))
        records = [record(number, {"n": number % 3}) for number in range(400)]
        vectors = random_vectors(400, 8)
        put(store, "parts", records, vectors)
        settings = next(iter(ask(url, "GET", f"/{PREFIX}-parts/_settings").values()))["settings"]["index"]
        assert (settings["number_of_shards"], settings["number_of_replicas"]) == ("3", "0")
        queries = random_vectors(9, 8, seed=1)
        store.build_index("parts")
        for approximate in (False, True):
            found = nearest(store, "parts", queries, 12, {"n": [1]}, approximate=approximate)
            for hits, query in zip(found, queries, strict=True):
                rows = np.arange(1, 400, 3)
                best = rows[np.argsort(-(vectors[rows].astype(np.float64) @ query.astype(np.float64)))[:12]]
                assert [hit.record for hit in hits] == [records[row] for row in best]
        assert [one.id for one in scanned(store)] == sorted(one.id for one in records)


# Named vectors


def documents(url: str) -> dict[str, Any]:
    """Return what the documents of the collection `parts` hold, by id."""
    found = ask(url, "GET", f"/{PREFIX}-parts/_search?size=1000")["hits"]["hits"]
    return {hit["_id"]: hit["_source"] for hit in found}


def fit(store: Store, space: Space = FITTED, name: str = "fitted") -> None:
    """Give all records a further vector, and make it the default."""
    store.add_vector("parts", name, space, b"metric", becomes_default=True)
    records = store.get("parts", store.lacking("parts", space))
    store.fill("parts", space, records, turned(len(records), space))
    store.finish_vector("parts", space)


def test_a_field_each_and_names_that_lead_to_them(store: Store, url: str) -> None:
    fill(store, 4)

    def asked(field: str, vector: Vectors) -> dict[str, float]:
        knn = {"field": field, "query_vector": vector.tolist(), "k": 1, "num_candidates": 4}
        found = ask(url, "POST", f"/{PREFIX}-parts/_search", {"knn": knn, "_source": False})["hits"]["hits"]
        return {hit["_id"]: 2 * hit["_score"] - 1 for hit in found}

    plain = asked("image_embedding", CORNERS[1])
    assert plain == {record(1).id: pytest.approx(1, abs=1e-6)}
    fit(store)
    for field in ("image_embedding", "vector_fitted"):
        (best,) = asked(field, turned(1, FITTED)[0]).values()
        assert best == pytest.approx(1, abs=1e-6)
    assert asked("vector_image", CORNERS[1]) == plain
    store.build_index("parts")
    fit(store, REFITTED)
    assert len(asked("image_embedding", turned(1, REFITTED)[0])) == 1
    # The refit has no approximate index: under its name nothing is found, rather than the fit before.
    assert asked("image_embedding_int8_hnsw", turned(1, REFITTED)[0]) == {}
    store.drop_vector("parts", REFITTED)
    assert asked("image_embedding", CORNERS[1]) == plain


def test_who_asks_for_one_vector_reads_no_other(
    store: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, 4, [{"a": 1}])
    fit(store)
    before = documents(url)
    read: list[str] = []
    request = server(store)._client.request

    def watched(*words: Any, **named: Any) -> Any:
        reply = request(*words, **named)
        read.append(json.dumps(reply.body))
        return reply

    def seen(number: str) -> bool:
        return any(f'"vector_{number}"' in text for text in read)

    monkeypatch.setattr(server(store)._client, "request", watched)
    for using, mine, other in (("image", "1", "2"), ("fitted", "2", "1")):
        space = store.collection("parts").vector(using).space
        for call in (
            partial(
                nearest,
                store,
                "parts",
                turned(1, space) if using == "fitted" else CORNERS[:1],
                2,
                using=using,
            ),
            partial(scanned, store, using=using),
            partial(store.vectors_of, "parts", list(before), using),
        ):
            read.clear()
            call()
            assert seen(mine)
            assert not seen(other)
    read.clear()
    store.get("parts", list(before))
    list(store.scan_records("parts"))
    store.relabel("parts", [(one, {"b": 2}, {}) for one in before])
    store.lacking("parts", FITTED)
    assert not seen("1")
    assert not seen("2")


def test_a_fit_changes_nothing_else_in_a_document(store: Store, url: str) -> None:
    fill(store, 4, [{"a": 1}])
    before = documents(url)
    fit(store)
    for identity, after in documents(url).items():
        assert set(after["vectors"]) == {"1", "2"}
        after["vectors"].pop("2")
        after.pop("vector_2", None)  # from 9.2 on it is not in `_source`
        assert after == before[identity]


def test_what_documents_hold_of_a_dropped_vector_goes_when_they_are_written(store: Store, url: str) -> None:
    records = fill(store, 4)
    fit(store)
    store.build_index("parts")
    store.drop_vector("parts", FITTED)
    assert [one.name for one in store.collection("parts").vectors] == ["image"]
    assert all("2" in one["vectors"] for one in documents(url).values())  # dropping it wrote none of them
    put(store, "parts", records[:1], CORNERS[:1])
    assert "2" not in documents(url)[records[0].id]["vectors"]
    fit(store, REFITTED)
    for one in documents(url).values():
        assert {number for number, kept in one["vectors"].items() if kept} == {"1", "3"}
        assert one.get("vector_2") is None
        assert one.get("vector_2_int8_hnsw") is None
    body = {"query": {"exists": {"field": "vector_2"}}}
    assert ask(url, "POST", f"/{PREFIX}-parts/_count", body)["count"] == 0


def test_metrics_that_no_vector_has_any_more_are_deleted(store: Store, url: str) -> None:
    fill(store, 2)
    index = server(store)._catalog.index

    def kept() -> int:
        ask(url, "POST", f"/{index}/_refresh")
        key = server(store)._catalog.find("parts").entry.key
        count: int = ask(url, "POST", f"/{index}/_count", {"query": {"term": {"collection": key}}})["count"]
        return count

    fit(store)
    assert kept() == 1
    store.add_vector("parts", "fitted", FITTED, bytes(catalog._METRIC_BYTES + 1))
    assert kept() == 2
    assert store.metric("parts") == bytes(catalog._METRIC_BYTES + 1)
    fit(store, REFITTED)
    assert kept() == 1
    store.drop_vector("parts", REFITTED)
    assert kept() == 0


def test_who_declares_vectors_at_once_gets_a_field_each(store: Store, url: str) -> None:
    fill(store, 3)
    spaces = [replace(WORDS, embedder=f"model-{number}", dimension=2 + number) for number in range(5)]
    failures: list[BaseException] = []

    def declare(number: int) -> None:
        try:
            with open_store(url) as own:
                own.add_vector("parts", f"model-{number}", spaces[number])
        except BaseException as failure:  # noqa: BLE001 shown below
            failures.append(failure)

    threads = [threading.Thread(target=declare, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    declared = server(store)._catalog.find("parts").entry.vectors
    assert {one.info.space for one in declared} == {SPACE, *spaces}
    mapped = server(store)._collections.mapped(server(store)._catalog.find("parts").entry)
    assert {one.number: mapped[f"vector_{one.number}"]["dims"] for one in declared} == {
        one.number: one.info.space.dimension for one in declared
    }


def test_a_put_that_a_new_vector_overtakes_is_refused_and_then_gives_it(
    store: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, 2)
    late = record("late")
    client = server(store)._client
    bulk = client.bulk

    def overtaken(*words: Any, **named: Any) -> Any:
        monkeypatch.setattr(client, "bulk", bulk)
        with open_store(url) as other:
            fit(other)  # from its beginning to its end, between reading the catalogue and writing
        return bulk(*words, **named)

    monkeypatch.setattr(client, "bulk", overtaken)
    with pytest.raises(SpaceMismatch, match="fitted"):
        put(store, "parts", [late], CORNERS[:1])
    # As it was killed there: the record is written, and `check` says what it lacks.
    (fault,) = store.check()
    assert (fault.id, fault.reason) == (None, f"1 record lacks the vector 'fitted': {late.id}")
    assert late.id not in {hit.record.id for hit in nearest(store, "parts", turned(1, FITTED), 9)[0]}
    store.put("parts", [late], {SPACE: CORNERS[:1], FITTED: turned(1, FITTED)})
    assert store.check() == []
    assert store.collection("parts").count == 3


def test_a_declaration_that_is_killed_at_any_step_can_be_made_again(
    store: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(Exception):
        pass

    fill(store, 3)
    client = server(store)._client
    request = client.request
    before = store.collection("parts")
    steps = 0
    while True:
        left = steps

        def until(*words: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return request(*words, **named)

        monkeypatch.setattr(client, "request", until)
        try:
            store.add_vector("parts", "fitted", FITTED, b"metric")
        except Killed:
            pass
        else:
            break
        monkeypatch.setattr(client, "request", request)
        with open_store(url) as other:
            (image, *more) = other.collection("parts").vectors
            assert image == before.vectors[0]
            assert [one.ready for one in more] in ([], [False])
            assert [other.metric("parts", space=one.space) for one in more] in ([], [b"metric"])
            assert len(nearest(other, "parts", CORNERS[:1], 9)[0]) == 3
            if more:  # so that the next turn begins anew
                other.drop_vector("parts", FITTED)
        steps += 1
    monkeypatch.setattr(client, "request", request)
    assert steps > 8
    fit(store)
    assert store.collection("parts").default == "image"  # it was declared so, and that was kept
    assert store.metric("parts", "fitted") == b"metric"


# Names and what is kept


def test_a_put_of_several_requests_comes_back_bit_by_bit(store: Store) -> None:
    store.create("parts", replace(SPACE, dimension=1_280))
    records = sorted((record(number) for number in range(900)), key=lambda one: one.id)
    vectors = random_vectors(900, 1_280)  # 15 MB as JSON
    vectors[0] = 0
    vectors[0, :5] = -1, -0.0, 1e-30, np.float32(1e-45), -3.1e-12
    put(store, "parts", records, vectors)
    ((first, rows),) = store.scan("parts")
    assert first == records
    assert rows.tobytes() == vectors.tobytes()


@given(vector=arrays(np.float32, 9, elements=st.floats(-1, 1, width=32)))
def test_decimals_are_the_vector_bit_by_bit(vector: Vectors) -> None:
    assert np.array(json.loads(json.dumps(decimals(vector))), np.float32).tobytes() == vector.tobytes()


def test_decimals_are_short() -> None:
    numbers = decimals(random_vectors(1, 1_280)[0])
    assert all(len(f"{number!r}".lstrip("-0.").replace(".", "").partition("e")[0]) <= 9 for number in numbers)


def test_a_document_holds_the_numbers_of_a_vector_in_its_field_alone(store: Store, url: str) -> None:
    """A server from 9.2 on keeps them in the index and nowhere else, an older one in `_source` as well."""
    records = fill(store, 20)
    fit(store)
    assert all(
        set(kept) == {"checksum"} for one in documents(url).values() for kept in one["vectors"].values()
    )
    # Where some have none, and all are in one segment: servers have erred there (elasticsearch, pull 137862).
    for one in records[::2]:
        body = {"doc": {"vector_2": None, "vectors": {"2": None}}}
        ask(url, "POST", f"/{PREFIX}-parts/_update/{one.id}", body)
    ask(url, "POST", f"/{PREFIX}-parts/_forcemerge?max_num_segments=1")
    ask(url, "POST", f"/{PREFIX}-parts/_refresh")
    ((found, vectors),) = store.scan("parts", using="fitted")
    kept = sorted(records[1::2], key=lambda one: one.id)
    assert found == kept
    wanted = dict(
        zip([one.id for one in sorted(records, key=lambda one: one.id)], turned(20, FITTED), strict=True)
    )
    assert vectors.tobytes() == np.array([wanted[one.id] for one in kept]).tobytes()


def test_a_metric_larger_than_a_request_should_be_is_kept(store: Store) -> None:
    metric = np.random.default_rng(0).bytes(catalog._METRIC_BYTES * 20 + 1)
    store.create("fitted", SPACE, metric=metric)
    assert store.metric("fitted") == metric
    store.create("empty", SPACE, metric=b"")
    assert store.metric("empty") == b""


def test_who_makes_a_collection_at_once_makes_one(fresh_url: str) -> None:
    made: list[Any] = []

    def make() -> None:
        with open_store(fresh_url) as store:
            made.append(store.create("parts", SPACE, metric=b"metric"))
            put(store, "parts", [record(len(made))], CORNERS[:1])

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 6
    prefix = read_elasticsearch_address(fresh_url).prefix
    assert len(ask(fresh_url, "GET", f"/{prefix}.*.data/_alias")) == 1
    with open_store(fresh_url) as store:
        assert store.metric("parts") == b"metric"
        assert [one.name for one in store.collections()] == ["parts"]


def test_names_that_many_change_at_once_are_never_lost(store: Store, url: str) -> None:
    spaces = {"a": SPACE, "b": replace(SPACE, dimension=2)}
    for name, space in spaces.items():
        store.create(name, space)
    failures: list[BaseException] = []

    def move(name: str) -> None:
        try:
            with open_store(url) as own:
                for turn in range(10):
                    own.rename(f"{name}{turn or ''}", f"{name}{turn + 1}")
        except BaseException as failure:  # noqa: BLE001 shown below
            failures.append(failure)

    threads = [threading.Thread(target=move, args=(name,)) for name in spaces]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert {one.space.dimension for one in store.collections()} == {2, 4}
        assert [one.name[0] for one in store.collections()] == ["a", "b"]
    assert failures == []
    assert store.collection("a10").space == SPACE
    listings = server(store)._catalog.listings()
    wanted = {f"{PREFIX}-{name}": f"{PREFIX}.{one.entry.key}.data" for name, one in listings.items()}
    assert aliases(url) == wanted


def test_a_rename_whose_answer_is_lost_is_not_done_twice(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create("a", SPACE)
    store.create("b", replace(SPACE, dimension=2))
    client = server(store)._client
    request = client.request

    def twice(method: str, path: str, *words: Any, **named: Any) -> Any:
        reply = request(method, path, *words, **named)
        # As the client does when a connection breaks between its request and the answer.
        return request(method, path, *words, **named) if path.endswith("_doc/names") else reply

    monkeypatch.setattr(client, "request", twice)
    exchange(store, "a", "b")
    assert store.collection("a").space.dimension == 2
    store.create("c", SPACE)
    assert store.delete("c") == 0
    assert [one.name for one in store.collections()] == ["a", "b"]


def test_labels_and_vectors_that_change_at_once_stay_whole(store: Store, url: str) -> None:
    store.create("parts", SPACE)
    put(store, "parts", [record(1)], CORNERS[:1])

    def label() -> None:
        with open_store(url) as own:
            for turn in range(40):
                own.relabel("parts", [(record(1).id, {"turn": turn}, {})])

    thread = threading.Thread(target=label)
    thread.start()
    turn = 0
    while thread.is_alive():
        turn += 1
        put(store, "parts", [record(1, size=turn)], CORNERS[turn % 24 : turn % 24 + 1])
        ((records, vectors),) = store.scan("parts")
        assert records[0].size == turn  # a relabelling keeps what was put last
        assert np.array_equal(vectors[0], CORNERS[turn % 24])
    thread.join()


def test_an_index_that_a_kill_left_to_nobody_is_deleted_later(
    fresh_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = read_elasticsearch_address(fresh_url).prefix
    with open_store(fresh_url) as store:
        store.create("a", SPACE)
        left = server(store)._catalog.listings()["a"].entry.key
        put(store, "a", [record(1)], CORNERS[:1])
        server(store)._catalog.change(lambda _: [])  # a delete that was killed half-way
        assert store.collections() == []
        store.create("a", SPACE)
        assert f"{prefix}.{left}.data" in ask(fresh_url, "GET", f"/{prefix}.*.data/_alias")  # too young
        monkeypatch.setattr(collections, "ABANDONED_MS", 0)
        store.create("b", SPACE)
        names = ask(fresh_url, "GET", f"/{prefix}.*.data/_alias")
        assert f"{prefix}.{left}.data" not in names
        assert len(names) == 2


def test_two_prefixes_are_two_stores(store: Store, fresh_url: str) -> None:
    fill(store, 2)
    with open_store(fresh_url) as other:
        assert other.collections() == []
        fill(other, 3)
        assert (store.collection("parts").count, other.collection("parts").count) == (2, 3)
        assert other.delete("parts") == 3
    assert store.collection("parts").count == 2


# Words


def test_more_records_than_one_search_gives_are_found_by_words(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = fill(store, 40, [{"a": "red"}, {"a": "blue"}])
    reds = [one for one in records if one.fields["a"] == "red"]
    monkeypatch.setattr(words, "_WINDOW", 7)
    for k in (7, 8, 14, 15, 20, 21, 99):
        assert store.search_words("parts", "red", k) == reds[:k]
    assert store.search_words("parts", "red", 99, {"a": ["blue"]}) == []


def test_equal_texts_score_alike_on_all_shards(fresh_url: str) -> None:
    with open_store(fresh_url.replace("shards=1", "shards=3")) as store:
        records = fill(store, 40, [{"a": "red"}, {"a": "blue"}, {"a": "blue"}])
        reds = [one for one in records if one.fields["a"] == "red"]
        assert store.search_words("parts", "red", 99) == reds
        assert store.search_words("parts", "red", 5) == reds[:5]


# Refused


def test_what_a_later_version_wrote_is_not_touched(fresh_url: str) -> None:
    prefix = read_elasticsearch_address(fresh_url).prefix
    with open_store(fresh_url) as store:
        fill(store, 2)
        number = server(store)._catalog.find("parts").entry.key
        path = f"/{prefix}.catalogue/_doc"
        for name in (number, "names"):
            ask(fresh_url, "PUT", f"{path}/{name}", {"format": 6, "content": {"anything": 1}})
            with pytest.raises(StoreNewer, match="later version"):
                store.collection("parts")
        for call in (
            store.collections,
            lambda: store.create("others", SPACE),
            lambda: put(store, "parts", [record(9)], CORNERS[:1]),
            lambda: store.delete("parts"),
            lambda: store.rename("parts", "others"),
        ):
            with pytest.raises(StoreNewer):
                call()
        (index,) = ask(fresh_url, "GET", f"/{prefix}.*.data/_alias")
        assert ask(fresh_url, "GET", f"/{index}/_count")["count"] == 2


def test_what_an_earlier_version_wrote_says_what_to_do(fresh_url: str) -> None:
    prefix = read_elasticsearch_address(fresh_url).prefix
    with open_store(fresh_url) as store:
        fill(store, 2)
        ask(fresh_url, "PUT", f"/{prefix}.catalogue/_doc/names", {"format": 4, "content": "[]"})
        for call in (store.collections, lambda: put(store, "parts", [record(9)], CORNERS[:1])):
            with pytest.raises(StoreOlder, match="index the images again into a new store"):
                call()


def test_an_index_that_was_deleted_on_the_server_is_named(store: Store, url: str) -> None:
    fill(store, 2)
    number = server(store)._catalog.find("parts").entry.key
    ask(url, "DELETE", f"/{PREFIX}.{number}.data")
    for call in (
        lambda: store.collection("parts"),
        store.collections,
        lambda: put(store, "parts", [record(9)], CORNERS[:1]),
        lambda: nearest(store, "parts", CORNERS[:1], 1),
        lambda: store.get("parts", [record(0).id]),
        lambda: store.remove("parts", [record(0).id]),
    ):
        with pytest.raises(StoreCorrupt, match="deleted on the server"):
            call()
    store.create("others", SPACE)  # the rest of the store is not held up
    store.rename("others", "more")
    assert f"{PREFIX}-more" in aliases(url)
    assert store.delete("parts") == 0
    assert [one.name for one in store.collections()] == ["more"]


def test_a_catalogue_that_does_not_read_is_named(fresh_url: str) -> None:
    with open_store(fresh_url) as store:
        fill(store, 1)
        ask(fresh_url, "PUT", f"/{server(store)._catalog.index}/_doc/names", {"format": 5, "content": "{"})
        with pytest.raises(StoreCorrupt, match="does not read"):
            store.collections()


def test_what_cannot_be_in_elasticsearch_is_refused(store: Store) -> None:
    with pytest.raises(InvalidArgument, match="4096 dimensions"):
        store.create("parts", replace(SPACE, dimension=4_097))
    assert store.collections() == []


def test_sql_says_what_to_use(store: Store) -> None:
    with pytest.raises(QueryRefused, match="_search and knn"):
        store.sql("SELECT 1")


def test_a_name_that_is_an_index_of_somebody_is_refused(store: Store, url: str) -> None:
    store.create("others", SPACE)
    ask(url, "PUT", f"/{PREFIX}-parts", {"settings": {"number_of_replicas": 0}})
    try:
        for call in (lambda: store.create("Parts", SPACE), lambda: store.rename("others", "parts")):
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
