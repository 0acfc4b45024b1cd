"""Indexes of others in Elasticsearch, made with Elastic's own client, on a genuine node."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import elasticsearch
import numpy as np
import pytest
from elasticsearch.helpers import bulk

import lookalike
from lookalike.cli import main
from lookalike.server.app import make_app
from lookalike.server.settings import Settings
from lookalike.stores.elasticsearch.foreign_tables import ElasticsearchTable
from lookalike.vectors.metric import normalise
from tests.attach.foreign_tables import COLORS, agree, ask, check_answers, nearest, numbers
from tests.listening import listening

# One node for all tests of it, also where several processes run tests (pytest --dist loadgroup).
pytestmark = pytest.mark.xdist_group("elasticsearch")

NAME = f"사진-{uuid.uuid4().hex[:8]}"
COUNT, DIMENSION = 90, 64
KINDS = ("flat", "hnsw", "int8_hnsw", "int4_hnsw", "bbq_hnsw", "int8_flat")
SETTINGS = {"number_of_replicas": 0, "number_of_shards": 2}
VECTORS = numbers(COUNT, DIMENSION)
BYTES = np.rint(normalise(VECTORS) * 200).clip(-128, 127)
PASSAGES = numbers(2 * COUNT, 8, seed=5)


def vector(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": "dense_vector", "dims": DIMENSION, "index_options": {"type": kind}, **more}


def document(number: int) -> dict[str, Any]:
    row = VECTORS[number].tolist()
    made = {f"v_{kind}": row for kind in KINDS}
    return made | {
        "v_none": row,
        "v_l2": row,
        "v_inner": row,
        "v_dot": normalise(VECTORS[number : number + 1])[0].tolist(),
        "v_byte": BYTES[number].astype(int).tolist(),
        "v_bit": "00" * (DIMENSION // 8),
        "color": COLORS[number % 3],
        "meta": {"price": number / 2, "sold": number % 2 == 0},
        "labels": {"kind": "x", "even": str(number % 2)},
        "relative_path": f"a/{number}.jpg",
        "passages": [{"v": PASSAGES[2 * number + part].tolist(), "part": str(part)} for part in (0, 1)],
    }


@pytest.fixture(scope="module")
def es(elasticsearch_server: str) -> Iterator[elasticsearch.Elasticsearch]:
    """Elastic's client, and the index of an application that was there before."""
    mappings = {
        "properties": {f"v_{kind}": vector(kind, similarity="cosine") for kind in KINDS}
        | {
            "v_none": {"type": "dense_vector", "dims": DIMENSION, "index": False},
            "v_l2": vector("hnsw", similarity="l2_norm"),
            "v_inner": vector("hnsw", similarity="max_inner_product"),
            "v_dot": vector("hnsw", similarity="dot_product"),
            "v_byte": vector("hnsw", similarity="cosine", element_type="byte"),
            "v_bit": {"type": "dense_vector", "dims": DIMENSION, "element_type": "bit"},
            "color": {"type": "keyword"},
            "labels": {"type": "flattened"},
            "relative_path": {"type": "keyword"},
            "passages": {
                "type": "nested",
                "properties": {
                    "v": {"type": "dense_vector", "dims": 8, "similarity": "l2_norm"},
                    "part": {"type": "keyword"},
                },
            },
        }
    }
    with elasticsearch.Elasticsearch(elasticsearch_server.replace("elasticsearch+", "")) as client:
        client.indices.create(index=NAME, settings=SETTINGS, mappings=mappings)
        bulk(client, ({"_index": NAME, "_id": f"{n}", "_source": document(n)} for n in range(COUNT)))
        client.index(index=NAME, id="없음 /1", document={"color": "red"})
        client.indices.refresh(index=NAME)
        try:
            yield client
        finally:
            client.indices.delete(index=NAME)


@pytest.fixture
def database(
    es: elasticsearch.Elasticsearch, elasticsearch_server: str, tmp_path: Path
) -> Iterator[lookalike.Database]:
    prefix = f"t{uuid.uuid4().hex[:12]}"
    before = changes(es)
    with lookalike.open(f"{elasticsearch_server}?prefix={prefix}", cache=tmp_path) as database:
        yield database
    assert changes(es) == before, "an index of others was written to"
    assert not es.indices.get_alias(index=f"{prefix}*", ignore_unavailable=True).body


def changes(es: elasticsearch.Elasticsearch) -> Any:
    stats = es.indices.stats(index=NAME, metric="indexing,refresh")["_all"]["total"]
    return (
        stats["indexing"]["index_total"],
        stats["indexing"]["delete_total"],
        es.indices.get(index=NAME).body,
    )


QUERIES = numbers(3, DIMENSION, seed=1)
IDS = [str(n) for n in range(COUNT)]


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        *((f"v_{kind}", None if "hnsw" in kind else "no approximate index") for kind in KINDS),
        ("v_none", "no approximate index"),
        ("v_l2", "the Euclidean distance, and 90 vectors"),
        ("v_inner", "the inner product, and 90 vectors"),
        ("v_dot", None),
        ("v_byte", None),
    ],
)
def test_every_kind_of_vector_answers_as_numpy(
    database: lookalike.Database, field: str, reason: str | None
) -> None:
    vectors = BYTES.astype(np.float32) if field == "v_byte" else VECTORS
    done = database.attach(NAME, "theirs", vector=field, space="ours")
    assert (done.attachment.id, done.tally.records) == ("_id", COUNT)
    assert [(one.reason, one.count) for one in done.tally.left_out] == [("no vector (NULL)", 1)]
    assert sum(one.count for one in done.tally.remarks) == (0 if field == "v_dot" else COUNT)
    agree(ask(database, "theirs", QUERIES), [nearest(one, vectors, IDS, 5) for one in QUERIES], 1e-5)
    assert database["theirs"].info().count == COUNT
    if reason is not None:
        assert reason in str(done.index)
        return
    measured = database["theirs"].info().approximation
    assert measured is not None
    assert measured.recall > 0.8
    found = ask(database, "theirs", QUERIES, approximate=True)
    known = dict(nearest(QUERIES[0], vectors, IDS, COUNT))
    agree([found[0]], [[(one, known[one]) for one, _ in found[0]]], 1e-5)


@pytest.mark.parametrize("field", ["v_flat", "v_hnsw", "v_byte"])
def test_the_server_is_asked_where_its_answer_is_enough(
    database: lookalike.Database, elasticsearch_server: str, field: str
) -> None:
    """By a process that has read nothing into memory, and reads nothing."""
    approximate, vectors = field != "v_flat", BYTES.astype(np.float32) if field == "v_byte" else VECTORS
    database.attach(NAME, "theirs", vector=field, space="ours")
    with lookalike.open(database.url, cache=database.cache) as other:
        found = ask(other, "theirs", QUERIES, approximate=approximate)
        known = [dict(nearest(one, vectors, IDS, COUNT)) for one in QUERIES]
        agree(
            found, [[(one, by[one]) for one, _ in hits] for hits, by in zip(found, known, strict=True)], 1e-5
        )
        best = [{one for one, _ in nearest(query, vectors, IDS, 5)} for query in QUERIES]
        right = [len(some & {one for one, _ in hits}) for some, hits in zip(best, found, strict=True)]
        assert sum(right) == 15 if not approximate else sum(right) > 12
        table = other.store.attached.table_of(other.attached()[0])
        assert isinstance(table, ElasticsearchTable)
        assert table._snapshot is None


def test_indexes_of_every_form(
    es: elasticsearch.Elasticsearch, elasticsearch_server: str, tmp_path: Path
) -> None:
    vectors, name = numbers(40, 8), f"forms-{uuid.uuid4().hex[:8]}"
    label = {"label": {"type": "keyword"}}
    v = {"v": {"type": "dense_vector", "dims": 8}}
    source = {"index.mapping.source.mode": "synthetic"}
    forms: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "synthetic": (source, {"properties": {**label, **v}}),
        "without": ({}, {"properties": {**label, **v}, "_source": {"excludes": ["v"]}}),
        "only": ({"hidden": True}, {"properties": {**label, **v}, "_source": {"includes": ["label"]}}),
        "lists": ({}, {"properties": label}),
        "other": ({}, {"properties": {**label, "v": {**v["v"], "index_options": {"type": "flat"}}}}),
        "sorted": (source, {"properties": {**label, "v": {"type": "float"}}}),
    }
    labels = {str(n): COLORS[n % 3] for n in range(40)}
    documents = [{"v": one.tolist(), "label": COLORS[n % 3], "n": n} for n, one in enumerate(vectors)]
    try:
        for form, (settings, mappings) in forms.items():
            es.indices.create(
                index=f"{name}-{form}", settings={"number_of_replicas": 0, **settings}, mappings=mappings
            )
            some = enumerate(documents) if form != "other" else [(n + 40, documents[n]) for n in range(5)]
            bulk(es, ({"_index": f"{name}-{form}", "_id": f"{n}", "_source": one} for n, one in some))
        es.indices.refresh(index=f"{name}-*", expand_wildcards="all")
        es.indices.put_alias(index=f"{name}-lists", name=f"{name}-unlike")
        es.indices.put_alias(index=f"{name}-synthetic,{name}-other", name=f"{name}-both")
        with lookalike.open(elasticsearch_server, cache=tmp_path) as database:
            for form in ("synthetic", "without", "only", "lists"):
                done = database.attach(f"{name}-{form}", form, space="ours")
                assert (done.attachment.vector, done.tally.records) == ("v", 40)
                assert ("n" in dict(done.attachment.fields)) is (form != "only")
                expected = [nearest(one, vectors, list(labels), 5) for one in vectors[:2]]
                agree(ask(database, form, vectors[:2]), expected, 1e-5)
                if form in ("synthetic", "lists"):
                    check_answers(database, form, vectors, labels, "label")
            assert database.attach(f"{name}-both", "both", space="ours").tally.records == 45
            agree(
                ask(database, "both", vectors[:1], 2),
                [[("0", 1.0), ("40", 1.0)]],
            )
            with pytest.raises(lookalike.InvalidArgument, match=r"no column of vectors.*v \(number, float\)"):
                database.attach(f"{name}-sorted", space="ours")  # it does not keep the order of a list
            es.indices.put_alias(index=f"{name}-synthetic", name=f"{name}-unlike")
            with pytest.raises(lookalike.InvalidArgument, match="whose field v differs"):
                database.attach(f"{name}-unlike", space="ours")
            es.indices.close(index=f"{name}-lists")
            for change in (
                lambda: database.attach(f"{name}-lists", "lists", space="ours"),
                database["lists"].info,
            ):
                with pytest.raises(lookalike.StoreError, match="the index is closed; its owner opens it"):
                    change()
            assert {each.collection for each in database.check().findings} == {"lists"}
    finally:
        es.indices.delete(index=",".join(f"{name}-{form}" for form in forms), ignore_unavailable=True)


def test_fields_and_filters_are_what_documents_say(database: lookalike.Database, tmp_path: Path) -> None:
    done = database.attach(NAME, "theirs", vector="v_flat", space="ours", base=tmp_path)
    assert {name: str(source) for name, source in done.attachment.fields} == {
        "color": "color", "meta.price": "meta.price", "meta.sold": "meta.sold",
        "passages.part": "passages.part", "even": 'labels:$."even"', "kind": 'labels:$."kind"',
    }  # fmt: skip
    theirs = database["theirs"]
    (record,) = theirs.records.get(["7"])
    assert record.uri == (tmp_path / "a" / "7.jpg").as_uri()
    assert record.fields == {
        "color": COLORS[1], "meta.price": 3.5, "meta.sold": False, "passages.part": "0, 1", "even": "1",
        "kind": "x",
    }  # fmt: skip
    among = [n for n in range(COUNT) if n % 3 == 2 and n % 2]
    found = ask(database, "theirs", QUERIES, where={"color": ["초록"], "meta.sold": [False]})
    agree(found, [nearest(one, VECTORS[among], [IDS[n] for n in among], 5) for one in QUERIES], 1e-5)
    assert {each.value: each.images for each in theirs.values()["color"]} == dict.fromkeys(COLORS, COUNT // 3)
    with pytest.raises(lookalike.StoreReadOnly, match="--writable"):
        theirs.correct("7", {"color": "red"})
    with pytest.raises(lookalike.InvalidArgument, match="only read"):
        database.attach(NAME, "theirs", vector="v_flat", space="ours", writable=True)


def test_nested_vectors_are_records_of_their_own(database: lookalike.Database) -> None:
    fields = {"color": "color", "part": "passages.part"}
    done = database.attach(NAME, "passages", vector="passages.v", space="ours", fields=fields)
    assert done.tally.records == 2 * COUNT
    assert "nested" in str(done.index)
    ids = [f"{n // 2}[{n % 2}]" for n in range(2 * COUNT)]
    queries = numbers(3, 8, seed=2)
    agree(ask(database, "passages", queries), [nearest(one, PASSAGES, ids, 5) for one in queries], 1e-5)
    (record,) = database["passages"].records.get(["8[1]"])
    assert record.fields == {"color": COLORS[2], "part": "1"}


def test_what_its_owner_does_is_seen_by_the_next_question(
    es: elasticsearch.Elasticsearch, elasticsearch_server: str, tmp_path: Path
) -> None:
    stream, backing, alias = f"s-{NAME}", f"i-{NAME}", f"a-{NAME}"
    properties = {
        "v": {"type": "dense_vector", "dims": 8, "similarity": "cosine", "index_options": {"type": "hnsw"}}
    }
    mappings = {"properties": {**properties, "label": {"type": "keyword"}}}
    vectors, count = numbers(20, 8), 10
    try:
        for number, name in enumerate((backing, stream)):
            es.indices.create(index=name, settings=SETTINGS, mappings=mappings, aliases={alias: {}})
            for n in range(number * count, (number + 1) * count):
                es.index(index=name, id=str(n), document={"v": vectors[n].tolist(), "label": COLORS[n % 3]})
            # One id in two indexes is one record.
            es.index(index=name, id="same", document={"v": vectors[0].tolist()})
            es.indices.refresh(index=alias)
        with lookalike.open(elasticsearch_server, cache=tmp_path) as database:
            done = database.attach(alias, "both", space="ours")
            assert (done.found.kind, done.tally.records) == ("alias", 21)
            assert [one.reason for one in done.tally.left_out] == [
                "an id that another row has; one of these rows is the record"
            ]
            assert "several indexes" in str(done.index)
            ids = [str(n) for n in range(20)]
            query = vectors[3:4] - vectors[7:8]
            agree(ask(database, "both", query, k=3), [nearest(query[0], vectors, ids, 3)], 1e-5)
            es.index(index=stream, id="new", document={"v": query[0].tolist()}, refresh=True)
            assert ask(database, "both", query, k=1)[0][0][0] == "new"
            es.delete(index=stream, id="new", refresh=True)
            agree(ask(database, "both", query, k=3), [nearest(query[0], vectors, ids, 3)], 1e-5)
            es.indices.delete(index=backing)
            assert database["both"].info().count == 11
            es.indices.delete(index=stream)
            with pytest.raises(lookalike.LookalikeError, match=alias):
                database["both"].info()
    finally:
        es.options(ignore_status=404).indices.delete(index=f"{backing},{stream}", ignore_unavailable=True)


def test_the_service_passes_its_requests_on(database: lookalike.Database) -> None:
    database.attach(NAME, "theirs", vector="v_flat", space="ours")
    asked = {"field": "v_flat", "query_vector": QUERIES[0].tolist(), "k": 3, "num_candidates": 10}
    with listening(make_app(database, Settings())) as address, elasticsearch.Elasticsearch(address) as client:
        for index in (NAME, "theirs"):
            found = client.search(index=index, knn=asked, source={"includes": ["color"]})["hits"]["hits"]
            assert [hit["_id"] for hit in found] == [one for one, _ in nearest(QUERIES[0], VECTORS, IDS, 3)]
            assert all(hit["_source"]["color"] in COLORS for hit in found)
        database.detach("theirs")
        with pytest.raises(elasticsearch.NotFoundError):
            client.search(index=NAME, knn=asked)


def test_what_cannot_be_attached_is_one_line(database: lookalike.Database) -> None:
    for table, vector, line in (
        ("nosuch", None, NAME), ("*", None, "without patterns"), (f"{NAME},x", None, "without patterns"),
        ("_all", None, "without patterns"), (NAME, None, "several columns of vectors"),
        (NAME, "v_bit", "holds no vectors .dense_vector, vectors of bits"),
        (NAME, "color", "holds no vectors"), (NAME, "nosuch", "nosuch"),
    ):  # fmt: skip
        with pytest.raises(lookalike.LookalikeError, match=line):
            database.attach(table, "theirs", vector=vector, space="ours")
    with pytest.raises(lookalike.InvalidArgument, match="64"):
        database.attach(NAME, "theirs", vector="v_flat", model="efficientnet-lite0")


def test_the_command_says_what_it_took(
    es: elasticsearch.Elasticsearch,
    elasticsearch_server: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["--store", elasticsearch_server, "--cache", str(tmp_path)]
    assert main(["attach", NAME, "-c", "theirs", "--vector", "v_hnsw", "--space", "ours", *options]) == 0
    out, err = capsys.readouterr()
    assert "v_hnsw, 64 numbers of" in out
    assert "1 row has no vector" in err
    assert main(["evaluate", "--by", "color", "-k", "1", "-c", "theirs", *options]) == 0
    assert "90 images" in capsys.readouterr().out
