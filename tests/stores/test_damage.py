"""Damage to what is stored: noticed when it is read, said in one line, and never answered from."""

from __future__ import annotations

import json
import math
import os
import shutil
import sqlite3
import struct
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.checksums import features_checksum
from lookalike.embedders.feature_cache import FeatureCache, sound_features
from lookalike.metric_learning.corrections import correct
from lookalike.stores.registry import open_store
from lookalike.stores.verification import vector_fault, verify_vectors
from lookalike.testing.samples import flipped, random_vectors, record
from lookalike.uris import file_uri, record_id
from tests.conftest import CommandLine
from tests.service import in_process, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAN, INF = struct.pack("<f", math.nan), struct.pack("<f", math.inf)
SIGNALLING_NAN = b"\x01\x00\x80\x7f"

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "a bit of an exponent": lambda vector: flipped(vector, 8 * 403 + 6),
    "the last bit of a mantissa": lambda vector: flipped(vector, 0),
    "a sign": lambda vector: flipped(vector, 31),
    "NaN": lambda vector: NAN + vector[4:],
    "a signalling NaN": lambda vector: SIGNALLING_NAN + vector[4:],
    "only NaN": lambda vector: NAN * (len(vector) // 4),
    "infinite": lambda vector: INF + vector[4:],
    "zero": lambda vector: bytes(len(vector)),
    "too short": lambda vector: vector[:-4],
    "too long": lambda vector: vector + vector[:4],
    "no whole number of floats": lambda vector: vector[:-1],
    "empty": lambda _: b"",
    "twice as long in space": lambda vector: (2 * np.frombuffer(vector, "<f4")).tobytes(),
    "of another direction": lambda vector: np.frombuffer(vector, "<f4")[::-1].tobytes(),
}


@given(bit=st.integers(0, 8 * 4 * 16 - 1), seed=st.integers(0, 9))
def test_any_single_bit_of_a_vector_is_noticed(bit: int, seed: int) -> None:
    from lookalike.checksums import vector_checksum

    content = random_vectors(1, 16, seed).tobytes()
    one = record(seed)
    checksum = vector_checksum(one.id, content)
    vectors, wrong = verify_vectors([one.id] * 2, [checksum] * 2, [content, flipped(content, bit)], 16)
    assert wrong == [1]
    assert vectors[0].tobytes() == content
    assert np.linalg.norm(vectors[1]) == 1
    assert vector_fault(flipped(content, bit), 16).startswith("its vector")
    for changed in (flipped(checksum, bit % 64), b"", None, 5):
        assert verify_vectors([one.id], [changed], [content], 16)[1] == [0]
    for identity in (record(seed + 1).id, flipped(one.id.encode(), bit % 7).decode(), None):
        assert verify_vectors([identity], [checksum], [content], 16)[1] == [0]


@given(bit=st.integers(0, 8 * 4 * 16 - 1), seed=st.integers(0, 9))
def test_any_single_bit_of_cached_features_is_noticed(bit: int, seed: int) -> None:
    content = random_vectors(1, 16, seed).tobytes()
    digest = record(seed).digest
    checksum = features_checksum("ab", digest, content)
    assert sound_features("ab", digest, checksum, content)
    assert not sound_features("ab", digest, checksum, flipped(content, bit))
    assert not sound_features("ab", digest, flipped(checksum, bit % 64), content)
    assert not sound_features("ab", record(seed + 1).digest, checksum, content)
    assert not sound_features("ac", digest, checksum, content)


# The commands


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, textile_files: dict[str, list[Path]], cache: Path
) -> Path:
    """A folder with 36 photographs, a store and a cache of them: they are copied, never changed.

    The cache is its own: in that of all tests, files come and go while another worker is at it.
    """
    from lookalike.cli import main

    folder = tmp_path_factory.mktemp("whole")
    for name, files in textile_files.items():
        (folder / "textile" / name).mkdir(parents=True)
        for file in files[:12]:
            shutil.copy2(file, folder / "textile" / name / file.name)
    (cache / "models").mkdir(parents=True, exist_ok=True)
    (folder / "cache").mkdir()
    (folder / "cache" / "models").symlink_to(cache / "models")
    store = ["--store", f"sqlite:///{folder}/whole.db", "--cache", str(folder / "cache")]
    assert main(["index", str(folder / "textile"), *store]) == 0
    return folder


@pytest.fixture
def store(whole: Path, lookalike: CommandLine, tmp_path: Path) -> CommandLine:
    """The command line on a copy of that store."""
    shutil.copy2(whole / "whole.db", tmp_path / "test.db")
    return lookalike


@pytest.fixture
def victim(whole: Path) -> Path:
    return min((whole / "textile" / "local").iterdir())


def change(file: Path, victim: Path, column: str, make: Callable[[Any], Any]) -> None:
    """Change a column of the record of a file, or its first vector."""
    with closing(sqlite3.connect(file)) as connection, connection:
        ((number,),) = connection.execute(
            "SELECT record FROM lookalike_records WHERE id = ?", (record_id(victim.as_uri()),)
        )
        table = "lookalike_v1" if column == "vector" else "lookalike_records"
        ((before,),) = connection.execute(f"SELECT {column} FROM {table} WHERE record = {number}")
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE record = {number}", (make(before),))


def lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["a bit of an exponent", "only NaN", "infinite", "zero", "too short"])
def test_every_command_leaves_a_damaged_vector_out_and_names_it(
    store: CommandLine, victim: Path, whole: Path, tmp_path: Path, kind: str
) -> None:
    change(tmp_path / "test.db", victim, "vector", DAMAGES[kind])
    identity = record_id(victim.as_uri())
    other = sorted((whole / "textile" / "local").iterdir())[1]

    def damaged(*words: str | Path) -> str:
        out, err = store(*words, code=1)
        assert len(err.splitlines()) == 1, err
        line = err.rstrip("\n")
        assert line.startswith(f"lookalike: {store.store}: collection 'images")
        assert f": record {identity} ({victim}) is damaged and left out: its vector" in line
        return out

    for query in (victim, other):
        hits = lines(damaged("search", query, "-k", "34", "--format", "jsonl"))
        assert len(hits) == 34
        assert identity not in [hit["id"] for hit in hits]
        assert all(-1 <= float(hit["similarity"]) <= 1 for hit in hits)
    assert identity not in damaged("classify", other, "--by", "label", "--format", "jsonl")
    summary = lines(damaged("evaluate", "--by", "label", "--format", "jsonl"))[-1]
    assert "35" in json.dumps(summary)
    assert identity not in damaged("audit", "--by", "label", "--format", "jsonl")
    found = damaged(
        "sql",
        "SELECT a.id, cosine_similarity(a.vector, b.vector) AS s FROM images a, images b WHERE b.id = '"
        f"{identity}' OR a.id = '{identity}'",
        "--format",
        "jsonl",
    )
    assert {line["s"] for line in lines(found)} == {None}
    target = f"sqlite:///{tmp_path}/copied.db"
    assert lines(damaged("copy", store.store, target, "--format", "jsonl"))[-1]["images"] == 35
    _, err = store("fit", "--by", "label", code=1)
    assert [f"record {identity} ({victim})" in line for line in err.splitlines()] == [False, True]
    assert "1 record of collection 'images' is damaged and cannot get the vector 'fitted'" in err
    assert "`lookalike check --repair`" in err
    with open_store(target) as copied:
        assert identity not in [one.id for records, _ in copied.scan("images") for one in records]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_vector_of_any_kind_is_left_out_and_the_others_stay(
    whole: Path, victim: Path, tmp_path: Path, kind: str
) -> None:
    shutil.copy2(whole / "whole.db", tmp_path / "test.db")
    change(tmp_path / "test.db", victim, "vector", DAMAGES[kind])
    before = vectors_of(f"sqlite:///{whole}/whole.db")
    del before[record_id(victim.as_uri())]
    assert vectors_of(f"sqlite:///{tmp_path}/test.db") == before


@pytest.mark.parametrize(
    ("column", "make", "said"),
    [
        ("fields", lambda fields: fields.replace("local", "locbl"), "its fields or metadata"),
        ("metadata", lambda text: text[:-1], "its fields or metadata"),
        ("fields", lambda _: b"\xff\xfe", "its fields or metadata"),
        ("digest", lambda digest: "0" + digest[1:-1] + "x", "its URI, digest, size or date"),
        ("size", lambda size: size ^ 1024, "its URI, digest, size or date"),
        ("modified_ns", lambda _: "yesterday", "its URI, digest, size or date"),
    ],
)
def test_a_record_whose_labels_or_file_are_damaged_is_left_out(
    store: CommandLine,
    victim: Path,
    whole: Path,
    tmp_path: Path,
    column: str,
    make: Callable[[Any], Any],
    said: str,
) -> None:
    change(tmp_path / "test.db", victim, column, make)
    identity = record_id(victim.as_uri())
    other = sorted((whole / "textile" / "local").iterdir())[1]
    for words in (
        ("search", other, "-k", "34", "--format", "jsonl"),
        ("classify", other, "--by", "label", "-k", "34", "--format", "jsonl"),
        ("evaluate", "--by", "label", "--format", "jsonl"),
        ("audit", "--by", "label", "--format", "jsonl"),
    ):
        out, err = store(*words, code=1)
        assert identity not in out
        assert len(err.splitlines()) == 1, err
        assert f"({victim}) is damaged and left out: {said}" in err


def test_what_filters_compare_is_held_against_the_record(
    store: CommandLine, whole: Path, victim: Path, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "test.db")) as connection, connection:
        connection.execute(
            "UPDATE lookalike_values SET value = 'global' WHERE record ="
            " (SELECT record FROM lookalike_records WHERE id = ?)",
            (record_id(victim.as_uri()),),
        )
    out, err = store("search", victim, "--where", "label=global", "-k", "12", "--format", "jsonl", code=1)
    hits = lines(out)
    assert len(hits) == 12
    assert {hit["fields"]["label"] for hit in hits} == {"global"}
    assert "what filters compare is not what its fields say" in err


def test_index_mends_a_record_that_names_another_file(
    store: CommandLine, whole: Path, victim: Path, tmp_path: Path
) -> None:
    change(tmp_path / "test.db", victim, "uri", lambda uri: uri[:-1] + "h")
    store("search", victim, "-k", "34", code=1)
    out, _ = store("index", whole / "textile", "--format", "jsonl")
    assert lines(out)[-1]["unchanged"] == 35
    assert store("search", victim, "-k", "34")[1] == ""


def test_a_copy_that_prunes_keeps_what_is_damaged_at_the_source(
    store: CommandLine, victim: Path, tmp_path: Path
) -> None:
    target = f"sqlite:///{tmp_path}/copied.db"
    store("copy", store.store, target)
    change(tmp_path / "test.db", victim, "vector", DAMAGES["a sign"])
    store("copy", store.store, target, "--prune", code=1)
    with open_store(target) as copied:
        assert copied.collection("images").count == 36
        assert copied.get("images", [record_id(victim.as_uri())]) != []


def test_more_damage_than_anybody_reads_is_counted(store: CommandLine, victim: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "test.db")) as connection, connection:
        connection.execute("UPDATE lookalike_v1 SET vector = zeroblob(length(vector))")
    _, err = store("search", victim, code=1)
    assert len(err.splitlines()) == 22
    assert "and 16 more damaged records: `lookalike check` lists them all" in err
    _, err = store("evaluate", "--by", "label", code=1)
    assert "Traceback" not in err


# The feature cache


@pytest.fixture
def own_cache(whole: Path, tmp_path: Path) -> Path:
    """A copy of the features that are kept."""
    shutil.copytree(whole / "cache", tmp_path / "cache", symlinks=True)
    return tmp_path / "cache"


def vectors_of(url: str) -> dict[str, bytes]:
    with open_store(url) as store:
        return {
            one.id: vector.tobytes()
            for records, vectors in store.scan("images")
            for one, vector in zip(records, vectors, strict=True)
        }


@pytest.mark.parametrize(
    "kind", ["a bit of an exponent", "the last bit of a mantissa", "NaN", "too short", "empty"]
)
def test_damaged_features_are_embedded_again_and_do_not_reach_the_store(
    whole: Path, own_cache: Path, victim: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    import hashlib

    digest = hashlib.sha256(victim.read_bytes()).hexdigest()
    changed = 0
    for file in (own_cache / "features").glob("*.db"):
        with closing(sqlite3.connect(file)) as connection, connection:
            for (numbers,) in connection.execute(
                "SELECT numbers FROM features WHERE digest = ?", (digest,)
            ).fetchall():
                new = DAMAGES[kind](numbers)
                connection.execute("UPDATE features SET numbers = ? WHERE digest = ?", (new, digest))
                changed += 1
    assert changed
    lookalike = CommandLine(tmp_path / "again.db", own_cache, capsys)
    _, err = lookalike("index", whole / "textile")
    assert "1 image was embedded again: the features kept in" in err
    assert vectors_of(lookalike.store) == vectors_of(f"sqlite:///{whole}/whole.db")
    lookalike.options[1] = f"sqlite:///{tmp_path}/third.db"
    assert lookalike("index", whole / "textile")[1] == "", "it was kept anew"


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[FeatureCache]:
    cache = FeatureCache(tmp_path, "a" * 64, 8)
    yield cache
    cache.close()


def test_features_of_an_earlier_version_are_none(tmp_path: Path) -> None:
    path = tmp_path / "features" / f"{'a' * 64}.db"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE TABLE features (digest TEXT PRIMARY KEY, numbers BLOB NOT NULL) WITHOUT ROWID"
        )
        connection.execute("INSERT INTO features VALUES ('ab', zeroblob(32))")
    cache = FeatureCache(tmp_path, "a" * 64, 8)
    assert cache.get("ab") is None
    cache.put({"ab": np.ones(8, np.float32)})
    assert cache.get("ab") is not None
    assert cache.problem is None
    cache.close()


def test_features_of_two_files_that_were_exchanged_are_none(kept: FeatureCache) -> None:
    kept.put({"a": np.ones(8, np.float32), "b": np.zeros(8, np.float32)})
    with closing(sqlite3.connect(kept.path)) as connection, connection:
        connection.execute(
            "UPDATE features SET (checksum, numbers) ="
            " (SELECT checksum, numbers FROM features WHERE digest = 'b') WHERE digest = 'a'"
        )
    assert kept.get("a") is None
    assert kept.damaged == {"a"}
    assert kept.get("b") is not None


@pytest.mark.parametrize(
    "content",
    [b"", bytes(4096), bytes(100_000), b"SQLite format 3\0" + bytes(4080)],
    ids=["empty", "zeros", "many zeros", "head"],
)
def test_a_cache_of_zeros_is_made_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "features" / f"{'a' * 64}.db"
    path.parent.mkdir()
    path.write_bytes(content)
    cache = FeatureCache(tmp_path, "a" * 64, 8)
    cache.put({"a": np.ones(8, np.float32)})
    assert cache.get("a") is not None
    assert cache.problem is None
    cache.close()


# The service


def test_the_service_answers_without_damaged_records_and_says_so(
    whole: Path, victim: Path, tmp_path: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copy2(whole / "whole.db", tmp_path / "test.db")
    change(tmp_path / "test.db", victim, "vector", DAMAGES["only NaN"])
    identity = record_id(victim.as_uri())
    other = sorted((whole / "textile" / "local").iterdir())[1]
    with in_process(f"sqlite:///{tmp_path}/test.db", cache) as service:
        until(lambda: service.client.get("/readyz").status_code == 200)
        assert service.client.get("/readyz").json() == {"status": "ok", "damaged": 1}
        assert f"record {identity} ({victim}) is damaged and left out" in caplog.text
        with other.open("rb") as picture:
            parts: list[Any] = [
                ("query", (None, json.dumps({"k": 36}), "application/json")),
                ("image", ("a.jpg", picture.read(), "image/jpeg")),
            ]
        answer = service.client.post("/v1/collections/images/search", files=parts)
        assert answer.status_code == 200, answer.text
        assert identity not in answer.text
        assert record_id(other.as_uri()) in answer.text
        assert "lookalike_damaged_records 1.0" in service.client.get("/metrics").text
        found = service.client.get(f"/v1/collections/images/images/{identity}")
        assert found.status_code == 200, "its labels are sound"


# What else befalls files


def test_a_folder_of_features_that_cannot_be_written_is_read(
    kept: FeatureCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.put({"a": np.ones(8, np.float32)})
    kept.close()
    kept.path.parent.chmod(0o500)
    kept.path.chmod(0o400)
    try:
        cache = FeatureCache(tmp_path, "a" * 64, 8)
        cache.put({"b": np.ones(8, np.float32)})
        found = cache.get("a"), cache.get("b")
        cache.close()
    finally:
        kept.path.parent.chmod(0o700)
        kept.path.chmod(0o600)
    if cache.problem is None:  # we are root, whom no permission stops
        assert found[1] is not None
    else:
        assert found[1] is None


@pytest.mark.parametrize("part", ["fields", "metadata", "uri", "digest", "id"])
def test_text_that_is_no_utf8_costs_its_record_only(
    store: CommandLine, victim: Path, tmp_path: Path, part: str
) -> None:
    with closing(sqlite3.connect(tmp_path / "test.db")) as connection, connection:
        connection.execute(
            f"UPDATE lookalike_records SET {part} = CAST(x'7bff' AS TEXT) WHERE id = ?",
            (record_id(victim.as_uri()),),
        )
    out, err = store("search", victim, "-k", "34", "--format", "jsonl", code=1)
    assert len(out.splitlines()) == 34
    assert "is damaged and left out" in err
    store("evaluate", "--by", "label", code=1)
    out, _ = store("check", "--format", "jsonl", code=1)
    assert lines(out)[-1]["damages"] >= 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: os.truncate(file, 20_000),
        lambda file: os.truncate(file, file.stat().st_size // 2),
        lambda file: file.write_bytes(b"\0" * file.stat().st_size),
        lambda file: file.write_bytes(file.read_bytes()[:16384] + b"\xa5" * (file.stat().st_size - 16384)),
        lambda file: file.write_text("these are my notes\n" * 1000),
    ],
    ids=["two pages", "half", "zeros", "rubbish after the first page", "notes"],
)
@pytest.mark.filterwarnings("error")
def test_a_file_that_is_damaged_as_a_whole_is_one_line_in_every_command(
    store: CommandLine, victim: Path, tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    spoil(tmp_path / "test.db")
    for words in (
        ("search", victim),
        ("classify", victim, "--by", "label"),
        ("evaluate", "--by", "label"),
        ("audit", "--by", "label"),
        ("fit", "--by", "label"),
        ("sql", "SELECT id, vector FROM images"),
        ("index", victim),
        ("copy", store.store, f"sqlite:///{tmp_path}/copied.db"),
    ):
        _, err = store(*words, code=1)
        assert [line[:10] for line in err.splitlines()][-1:] == ["lookalike:"], (words, err)
        assert len(err.splitlines()) == 1, (words, err)
    out, err = store("check", code=1)
    assert "Traceback" not in err
    assert "damage" in out or "damage" in err or "not a database" in out + err


@pytest.mark.parametrize("vector", [1, 2], ids=["plain", "fitted"])
def test_a_record_of_which_one_vector_is_damaged_keeps_what_was_put_right(
    store: CommandLine, whole: Path, victim: Path, tmp_path: Path, vector: int
) -> None:
    """What a person put right is nowhere else by then: neither the next `index` nor `fit` may remove it."""
    store("fit", "--by", "label")
    identity = record_id(file_uri(victim))
    with open_store(store.store) as opened:
        correct(opened, "images", identity, {"note": "scratch"}, ())
    with closing(sqlite3.connect(tmp_path / "test.db")) as connection, connection:
        connection.execute(
            f"UPDATE lookalike_v{vector} SET vector = zeroblob(length(vector))"
            " WHERE record = (SELECT record FROM lookalike_records WHERE id = ?)",
            (identity,),
        )
    other = tmp_path / "other" / "local"
    other.mkdir(parents=True)
    shutil.copy2(next(p for p in victim.parent.iterdir() if p != victim), other / "copy.jpg")

    def note() -> object:
        with open_store(store.store) as opened:
            (kept,) = opened.get("images", [identity])
            return kept.fields["note"]

    for words in (("index", other.parent), ("index", whole / "textile")):
        store(*words)
        assert note() == "scratch"
    store("fit", "--by", "label", code=int(vector == 1))
    assert note() == "scratch"
    store("check", "--repair", code=int(vector == 1))
    store("check", code=0)
    assert note() == "scratch"
    with open_store(store.store) as opened:
        records, vectors = opened.vectors_of("images", [identity])
        assert [len(rows) for rows in vectors.values()] == [1, 1]
        assert records[0].fields["note"] == "scratch"
