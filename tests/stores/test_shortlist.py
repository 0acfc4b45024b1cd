"""Approximate search in SQLite: what the shortlist finds, and what becomes of it when things go wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from filelock import FileLock

from lookalike.errors import CollectionNotFound, ExtraMissing, StoreBusy, StoreError
from lookalike.stores.registry import open_store
from lookalike.stores.sqlite.shortlist import compressed, search
from lookalike.stores.sqlite.shortlist.compressed import Shortlist, find_centres
from lookalike.stores.store import Store
from lookalike.testing.samples import nearest, put, random_vectors, record
from lookalike.types import Space
from lookalike.uris import record_id
from lookalike.vectors.nearest import nearest_rows
from tests.stores.test_sqlite_failures import mere_user, python
from tests.stores.test_sqlite_store import backend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lookalike.types import Neighbour, Vectors
    from tests.conftest import CommandLine

__all__ = ["mere_user"]

ROOT = Path(__file__).parents[2]
DIMENSION = 24
SPACE = Space("some-model", "ab" * 32, DIMENSION)
COUNT = 1_500
VECTORS = random_vectors(COUNT, DIMENSION)
QUERIES = random_vectors(5, DIMENSION, seed=1)


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """A store with a shortlist, which nobody searched yet."""
    with open_store(url) as store:
        store.create("parts", SPACE)
        put(store, "parts", [record(n, {"turn": n % 50}) for n in range(COUNT)], VECTORS)
        store.build_index("parts")
        yield store


def cached(store: Store) -> Path:
    (file,) = (backend(store)._file.path.parent / "parts.db.shortlist").glob("*.cache")
    return file


def ask(store: Store, **how: Any) -> list[list[Neighbour]]:
    return nearest(store, "parts", QUERIES, 10, **how, approximate=True)


def agree(found: list[list[Neighbour]], exact: list[list[Neighbour]]) -> bool:
    """Tell whether nearly all neighbours are there, each as similar as it is."""
    pairs = [
        ({hit.record.id: hit.similarity for hit in some}, {hit.record.id: hit.similarity for hit in best})
        for some, best in zip(found, exact, strict=True)
    ]
    same = [some[name] == best[name] for some, best in pairs for name in some.keys() & best.keys()]
    return all(same) and len(same) >= 0.96 * sum(len(best) for best in exact)


# In memory


def tight(count: int, dimension: int = 64, seed: int = 0) -> Vectors:
    """Vectors around two points, as photographs of two kinds have them: cosines of 0.97 and more."""
    rng = np.random.default_rng(seed)
    around = np.random.default_rng(7).standard_normal((2, dimension))[rng.integers(2, size=count)]
    vectors = around + 0.15 * rng.standard_normal((count, dimension))
    unit: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


def filled(vectors: Vectors) -> Shortlist:
    made = Shortlist.around(find_centres(vectors[:1000], len(vectors)))
    for start in range(0, len(vectors), 700):
        part = vectors[start : start + 700]
        made.add(np.arange(start, start + len(part)) + 10, part)
    return made


def found_by(made: Shortlist, queries: Vectors, **how: Any) -> list[set[int]]:
    return [set((row - 10).tolist()) for row in made.search(queries, 100, **how)]


def test_candidates_hold_the_nearest_even_where_all_lie_close_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compressed, "_LEAST_COMPARED", 1_000)
    vectors, queries = tight(6_000), tight(40, seed=1)
    made = filled(vectors)
    assert len(made) == 6_000
    for again in (made, Shortlist.from_parts([np.array(part) for part in made.to_parts()])):
        exact, _ = nearest_rows(queries, vectors, 10)
        candidates = found_by(again, queries)
        assert all(len(some) == 100 for some in candidates)
        hits = sum(len(set(best.tolist()) & some) for best, some in zip(exact, candidates, strict=True))
        assert hits >= 0.93 * exact.size
        allowed = np.arange(0, 6_000, 7) + 10
        only = found_by(again, queries, allowed=allowed)
        assert all(row % 7 == 0 for some in only for row in some)
        assert all(len(some) == 100 for some in only)


def test_queries_farther_away_than_any_neighbour_have_more_candidates() -> None:
    """As sentences are, whose vectors lie beside those of all pictures."""
    random = np.random.default_rng(0)
    centres = random.standard_normal((40, 1280), dtype=np.float32)
    near = centres[random.integers(40, size=5_000)] + 0.4 * random.standard_normal((5_000, 1280), np.float32)
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    vectors, queries = near[:4_900], near[4_900:]
    beside = random.standard_normal(1280, dtype=np.float32)
    far = (0.1 * queries + 0.99 * beside / np.linalg.norm(beside)).astype(np.float32)
    far /= np.linalg.norm(far, axis=1, keepdims=True)
    shortlist = Shortlist.around(find_centres(vectors[:2_000], len(vectors)))
    shortlist.add(np.arange(len(vectors)), vectors)
    known = np.arange(0, len(vectors), 25)
    neighbours = nearest_rows(vectors[known], vectors, 11)[0][:, 1:]
    shortlist.calibrate(vectors[known], known, list(neighbours))
    for asked in (queries, far):
        found = shortlist.search(asked, shortlist.candidate_count(10))
        exact = nearest_rows(asked, vectors, 10)[0]
        there = [np.isin(best, some).mean() for best, some in zip(exact, found, strict=True)]
        assert np.mean(there) >= 0.99
    found = shortlist.search(np.stack([queries[0], far[0]]), 20)
    assert [len(one) for one in found] == [20, 120], "those beside them have no more"


def test_what_is_removed_is_not_found_and_its_number_can_come_again() -> None:
    vectors = tight(2_000)
    made = filled(vectors)
    made.remove(np.arange(10, 1_910))
    made.remove(np.array([20, 9_999]))
    assert len(made) == 100
    assert found_by(made, vectors[:1]) == [set(range(1_900, 2_000))]
    made.add(np.array([10]), vectors[:1])
    assert 0 in found_by(made, vectors[:1])[0]
    with pytest.raises(KeyError):
        made.search(vectors[:1], 5, np.array([11]))
    assert [len(one) for one in made.search(vectors[:1], 5, np.empty(0, np.int64))] == [0]


@pytest.mark.parametrize("dimension", [1, 4, 9, 64])
def test_any_dimension_and_equal_vectors_and_one_alone(dimension: int) -> None:
    vector = np.eye(1, dimension, dtype=np.float32)
    for count in (1, 300):
        made = filled(np.repeat(vector, count, axis=0))
        assert [len(one) for one in made.search(vector, count + 5)] == [count]
    assert [len(one) for one in Shortlist.around(vector).search(vector, 3)] == [0]


# Beside the database


def test_searches_find_what_exact_ones_do_whatever_is_asked(store: Store, url: str) -> None:
    left_out = [[hit.record.id for hit in row] for row in nearest(store, "parts", QUERIES, 3)]
    with open_store(url) as other:
        for how in (
            {},
            {"where": {"turn": [1, 2, 3]}},
            {"where": {"turn": [7]}, "having": "turn"},
            {"exclude": left_out},
            {"where": {"turn": [7]}, "exclude": left_out},
        ):
            assert agree(ask(other, **how), nearest(store, "parts", QUERIES, 10, **how))
        assert [len(row) for row in ask(other, where={"turn": [7]}, exclude=left_out)] == [10] * 5
        assert backend(other)._search.matrices._matrices == {}, "no exact search was needed"
        assert ask(other, where={"turn": [99]}) == [[]] * 5
        many = nearest(other, "parts", QUERIES, 1_400, approximate=True)
        assert many == nearest(store, "parts", QUERIES, 1_400)
        assert nearest(other, "parts", QUERIES[:0], 3, approximate=True) == []


def test_an_index_that_is_as_it_would_be_is_left_alone(store: Store) -> None:
    file, known = cached(store), store.collection("parts").approximation
    store.relabel("parts", [(record(1).id, {"turn": 1000}, {})])
    assert store.build_index("parts") == known
    assert cached(store) == file
    store.remove("parts", [record(1).id])
    again = store.build_index("parts")
    assert again.queries == 200
    assert cached(store) != file
    assert store.sql("SELECT count(*) FROM lookalike_changes").rows == [(0,)]


def truncate(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    for place in range(1_000, len(content), 997):
        content[place] ^= 0x55
    file.write_bytes(content)


def claim(file: Path) -> None:
    """Make the file say that it shows another revision."""
    head, _, content = file.read_bytes().partition(b"\n")
    file.write_bytes(json.dumps(json.loads(head) | {"revision": 0}).encode() + b"\n" + content)


def age(file: Path) -> None:
    head, _, content = file.read_bytes().partition(b"\n")
    file.write_bytes(json.dumps(json.loads(head) | {"engine": "faiss 1.0"}).encode() + b"\n" + content)


@pytest.mark.parametrize(
    "harm",
    [
        Path.unlink,
        truncate,
        flip,
        claim,
        age,
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(b"[1]\n"),
        lambda file: shutil.rmtree(file.parent),
        lambda file: (file.unlink(), file.mkdir()),
    ],
    ids=["gone", "cut", "flipped", "revision", "older", "empty", "foreign", "no folder", "a folder"],
)
def test_a_damaged_cache_is_made_again(store: Store, url: str, harm: Callable[[Path], Any]) -> None:
    exact, before, file = nearest(store, "parts", QUERIES, 10), ask(store), cached(store)
    whole = file.read_bytes()
    harm(file)
    assert ask(store) == before, "who has it in memory goes on"
    with open_store(url) as other:
        assert ask(other) == before
        assert agree(before, exact)
        if file.is_file():
            assert file.read_bytes() == whole
            assert other.problems == []
        else:
            assert other.problems[0].startswith("the shortlist is not kept (")


def test_changes_of_others_are_followed_in_memory_and_now_and_then_on_disk(
    store: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "_UNWRITTEN", 40)
    file = cached(store)
    before = file.read_bytes()
    with open_store(url) as other:
        assert agree(ask(other), nearest(store, "parts", QUERIES, 10))
        new, written = random_vectors(70, DIMENSION, seed=3), []
        for step in range(7):
            part = slice(10 * step, 10 * step + 10)
            # Some are new, some replace others, some go.
            names = [f"new-{n}" if n % 2 else n for n in range(part.start, part.stop)]
            put(store, "parts", [record(name) for name in names], new[part])
            store.remove("parts", [record(100 + step).id])
            hits = nearest(other, "parts", new[part], 1, approximate=True)
            assert [row[0].record.id for row in hits] == [record(name).id for name in names]
            gone = VECTORS[100 + step][None]
            assert nearest(other, "parts", gone, 1, approximate=True)[0][0].similarity < 0.99
            written.append(file.read_bytes() != before)
            before = file.read_bytes()
        assert written == [False, False, False, True, False, False, False]
        with open_store(url) as third:
            assert ask(third) == ask(other)
            assert agree(ask(third), nearest(store, "parts", QUERIES, 10))


def test_a_copy_that_was_put_back_does_not_get_the_shortlist_of_another_history(
    store: Store, url: str, tmp_path: Path
) -> None:
    store.close()
    shutil.copy(tmp_path / "parts.db", tmp_path / "copy.db")
    one, two = random_vectors(2, DIMENSION, seed=9)
    put(store, "parts", [record("one")], one[None])
    backend(store)._search.shortlists._files.remove(cached(store).stem)
    assert ask(store)  # makes it again, with the one, and keeps it
    store.close()
    shutil.copy(tmp_path / "copy.db", tmp_path / "parts.db")
    with open_store(url) as back:
        put(back, "parts", [record("two")], two[None])
        best = nearest(back, "parts", two[None], 1, approximate=True)[0][0]
        assert best.record == record("two")
        other = nearest(back, "parts", one[None], 1, approximate=True)[0][0]
        assert other == nearest(back, "parts", one[None], 1)[0][0]


def test_a_deleted_collection_takes_its_shortlist_along(store: Store) -> None:
    file = cached(store)
    store.delete("parts")
    assert not file.exists()
    assert store.sql("SELECT count(*) FROM lookalike_shortlists").rows == [(0,)]


# Bad luck


def test_a_missing_package_is_named_where_it_is_needed(
    store: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with open_store(url) as other:
        other.create("plain", SPACE)
        put(other, "plain", [record(1)], VECTORS[:1])
        assert nearest(other, "plain", QUERIES, 1, approximate=True) == nearest(other, "plain", QUERIES, 1)
        for call in (lambda: ask(other), lambda: other.build_index("plain")):
            with pytest.raises(ExtraMissing, match=r"pip install 'lookalike\[approximate\]'"):
                call()
        assert other.collection("plain").approximation is None


def test_vectors_may_be_long(url: str) -> None:
    vectors = np.eye(3, 20_000, dtype=np.float32)
    with open_store(url) as store:
        store.create("long", Space("some-model", "ab" * 32, 20_000))
        put(store, "long", [record(n) for n in range(3)], vectors)
        assert store.build_index("long").recall == 1
        hits = nearest(store, "long", vectors, 1, approximate=True)
        assert [row[0].record.id for row in hits] == [record(n).id for n in range(3)]


def test_an_interrupted_build_leaves_all_as_it_was(
    store: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, file = store.collection("parts").approximation, cached(store)
    store.remove("parts", [record(0).id])
    before = ask(store)

    def interrupted(self: Shortlist) -> list[memoryview]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Shortlist, "to_parts", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.build_index("parts")
    assert cached(store) == file
    assert store.collection("parts").approximation == known
    with open_store(url) as other:
        assert ask(other) == before
        other.create("more", SPACE)
        put(other, "more", [record(1)], VECTORS[:1])
        with monkeypatch.context() as patch:
            patch.setattr(Shortlist, "to_parts", interrupted)
            with pytest.raises(KeyboardInterrupt):
                other.build_index("more")
        assert other.collection("more").approximation is None
        assert len(nearest(other, "more", QUERIES[:1], 1, approximate=True)[0]) == 1
        assert other.build_index("more").recall == 1
        assert [len(row) for row in ask(other)] == [10] * 5
    assert not list(file.parent.glob("*.part"))


def test_who_waits_too_long_for_another_build_is_told(store: Store, url: str) -> None:
    store.remove("parts", [record(0).id])
    with open_store(url, timeout=0.2) as other, FileLock(cached(store).parent / "lock"):
        with pytest.raises(StoreBusy, match="building a shortlist"):
            other.build_index("parts")
        cached(store).unlink()
        assert agree(ask(other), nearest(store, "parts", QUERIES, 10)), "it is made in memory"


BUILD = """
import sys
from lookalike.stores.registry import open_store
with open_store(sys.argv[1]) as store:
    print(store.build_index("parts").recall)
"""


def test_processes_that_build_at_once_agree(store: Store, url: str) -> None:
    store.remove("parts", [record(0).id])
    builders = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", BUILD, url], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        for _ in range(3)
    ]
    while any(builder.poll() is None for builder in builders):
        assert [len(row) for row in ask(store)] == [10] * 5
    said = {builder.communicate()[0] for builder in builders}
    assert len(said) == 1
    assert [builder.returncode for builder in builders] == [0] * 3
    assert cached(store).is_file()


def test_threads_search_while_one_builds_and_one_writes(store: Store) -> None:
    exact = nearest(store, "parts", QUERIES, 10)
    failures: list[BaseException] = []
    done = threading.Event()

    def repeat(act: Callable[[], object]) -> None:
        try:
            while not done.is_set():
                act()
        except BaseException as failure:  # noqa: BLE001 told below
            failures.append(failure)

    def search() -> None:
        assert agree(ask(store), exact)

    threads = [threading.Thread(target=repeat, args=(search,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    far = -QUERIES[:1]
    for number in range(10):
        put(store, "parts", [record(f"far-{number}")], far)
        store.build_index("parts")
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []


SEARCH = """
import sys
from tests.stores.test_shortlist import QUERIES
from lookalike.stores.registry import open_store
from lookalike.testing.samples import nearest
with open_store(sys.argv[1]) as store:
    print(len(nearest(store, "parts", QUERIES, 10, approximate=True)[4]), len(store.problems))
"""


def test_where_nothing_can_be_written_it_is_made_in_memory(
    store: Store, url: str, tmp_path: Path, mere_user: tuple[str, ...]
) -> None:
    file = cached(store)
    store.close()
    folders = (file.parent, tmp_path)
    try:
        for folder in folders:
            folder.chmod(0o555)
        assert python("-c", SEARCH, url, before=mere_user).split() == ["10", "0"]
        file.parent.chmod(0o755)
        file.unlink()
        file.parent.chmod(0o555)
        assert python("-c", SEARCH, url, before=mere_user).split() == ["10", "1"]
    finally:
        for folder in folders:
            folder.chmod(0o755)


def test_a_disk_that_gets_full_is_named_and_loses_nothing(tmp_path: Path) -> None:
    mount = 'mount -t tmpfs -o size=3m tmpfs "$0" && exec "$@"'
    own = ("unshare", "--mount") if os.geteuid() == 0 else ("unshare", "--map-root-user", "--mount")
    before = (*own, "sh", "-c", mount, str(tmp_path))
    if shutil.which("unshare") is None or subprocess.run([*before, "true"], capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    program = """
import pathlib, sys
from lookalike.errors import StoreFull
from lookalike.stores.registry import open_store
from lookalike.testing.samples import nearest, put, random_vectors, record
from tests.stores.test_shortlist import QUERIES, SPACE, ask
folder = pathlib.Path(sys.argv[1])
with open_store(f"sqlite:///{folder}/parts.db") as store:
    store.create("parts", SPACE)
    put(store, "parts", [record(n) for n in range(500)], random_vectors(500, 24))
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1000))
        except OSError:
            pass
    with ballast.open("rb+") as file:
        file.truncate(ballast.stat().st_size - 60_000)
    try:
        store.build_index("parts")
    except StoreFull as error:
        print(chr(10) not in str(error) and "no space left" in str(error))
    print(store.collection("parts").approximation, len(ask(store)))
    print(len(list(folder.glob("*.shortlist/*.part"))))
    ballast.unlink()
    print(store.build_index("parts").queries)
"""
    said = python("-c", program, str(tmp_path), before=before).split()
    assert said == ["True", "None", "5", "0", "200"]


def test_a_collection_that_goes_during_the_build_is_named(
    store: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.remove("parts", [record(0).id])
    write = Shortlist.to_parts

    def deleted(self: Shortlist) -> list[memoryview]:
        with open_store(url) as other:
            other.delete("parts")
        return write(self)

    monkeypatch.setattr(Shortlist, "to_parts", deleted)
    with pytest.raises(CollectionNotFound):
        store.build_index("parts")
    assert not list(backend(store)._file.path.with_name("parts.db.shortlist").glob("*.cache"))


def test_a_shortlist_folder_that_is_a_file_is_named(store: Store, url: str, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "parts.db.shortlist")
    (tmp_path / "parts.db.shortlist").write_text("in the way")
    assert [len(row) for row in ask(store)] == [10] * 5
    store.remove("parts", [record(0).id])
    with pytest.raises(StoreError, match=r"cannot be written to .*parts\.db\.shortlist"):
        store.build_index("parts")


# Exact search


def test_exact_search_reads_the_vectors_once_while_nothing_changes(url: str) -> None:
    with open_store(url) as store, open_store(url) as other:
        store.create("parts", SPACE)
        put(store, "parts", [record(n) for n in range(COUNT)], VECTORS)
        store.create("others", SPACE)
        nearest(store, "parts", QUERIES, 3)
        reader = backend(store)._file._reader
        assert reader is not None
        statements: list[str] = []
        reader.set_trace_callback(statements.append)

        def reads() -> int:
            """Count the statements that read vectors, a thousand at a time, since the last call."""
            count = sum("vector FROM lookalike_v" in statement for statement in statements)
            statements.clear()
            return count

        for _ in range(5):
            nearest(store, "parts", QUERIES, 3)
        put(other, "others", [record(1)], VECTORS[:1])
        nearest(store, "parts", QUERIES, 3)
        assert reads() == 0
        put(other, "parts", [record("new")], QUERIES[:1])
        best = [nearest(store, "parts", QUERIES[:1], 1)[0][0].record for _ in range(3)]
        assert best == [record("new")] * 3
        assert reads() == 2


# The command line


def test_the_command_line_builds_it_and_says_how_it_searched(lookalike: CommandLine, textile: Path) -> None:
    out, _ = lookalike("index", textile)
    assert "approximate" not in out
    image = next((textile / "local").iterdir())
    out, _ = lookalike("search", image, "-k", "3", "--approximate")
    assert out.startswith(
        "exact: there is no approximate index; `lookalike index PATH --approximate` makes one"
    )
    out, _ = lookalike("index", textile, "--approximate", "--format", "jsonl")
    built = json.loads(out.splitlines()[-1])
    assert built == {"type": "approximation", "kind": "ivf-rabitq", "recall": 1.0, "k": 10, "queries": 60}
    said = "ivf-rabitq, recall@10 1.0000 on 60 images of its own"
    assert lookalike("index", textile, "--approximate")[0].splitlines()[-1] == f"approximate index: {said}"
    out, _ = lookalike("search", image, "-k", "3", "--approximate")
    assert out.splitlines()[0] == f"approximate: {said}"
    exact, _ = lookalike("search", image, "-k", "3", "--format", "jsonl")
    found, _ = lookalike("search", image, "-k", "3", "--format", "jsonl", "--approximate")
    del built["type"]
    for line, same in zip(found.splitlines(), exact.splitlines(), strict=True):
        assert json.loads(line) == json.loads(same) | {"approximation": built}
    out, _ = lookalike("classify", image, "--by", "label", "--approximate")
    assert out.splitlines()[0] == f"approximate: {said}"
    out, _ = lookalike("classify", image, "--by", "label", "--approximate", "--format", "jsonl")
    assert json.loads(out)["approximation"] == built
    assert said in lookalike("info")[0]
    assert json.loads(lookalike("info", "--format", "jsonl")[0].splitlines()[0])["approximation"] == built


def test_a_fit_and_its_undoing_keep_what_was_asked_for(lookalike: CommandLine, textile: Path) -> None:
    lookalike("index", textile, "--approximate")
    lookalike("fit", "--by", "label")
    with open_store(lookalike.store) as store:
        vectors = store.collection("images").vectors
        assert [one.name for one in vectors] == ["image", "fitted"]
        for one in vectors:
            assert one.approximation is not None
            assert one.approximation.queries == 60
    image = next((textile / "local").iterdir())
    assert lookalike("search", image, "--approximate")[0].startswith("approximate: ")
    lookalike("fit", "--undo")
    with open_store(lookalike.store) as store:
        assert store.collection("images").approximation is not None
    # Asked for after the fit, both vectors get one, as classifications ask both.
    lookalike("index", textile, "-c", "others")
    lookalike("fit", "--by", "label", "-c", "others")
    with open_store(lookalike.store) as store:
        assert [one.approximation for one in store.collection("others").vectors] == [None, None]
    lookalike("index", textile, "-c", "others", "--approximate")
    with open_store(lookalike.store) as store:
        assert None not in [one.approximation for one in store.collection("others").vectors]
    lookalike("fit", "--undo", "-c", "others")
    with open_store(lookalike.store) as store:
        assert store.collection("others").approximation is not None
        new = record_id("file:///new")
        assert store.get("others", [new]) == []
