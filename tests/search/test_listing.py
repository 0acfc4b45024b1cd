"""The orders in which a collection is looked through."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lookalike.database import Database
from lookalike.errors import FieldNotFound, InvalidArgument
from lookalike.search.listing import Group, Order
from lookalike.types import Record, Space
from lookalike.uris import record_id
from lookalike.vectors.metric import normalise

SECOND = 10**9
SPACE = Space("made-up", "0" * 64, 8)


def record(name: str, label: object, written: int, taken: str | None = None) -> Record:
    uri = f"file:///{name}"
    own = {} if taken is None else {"lookalike": {"captured": {"time": taken}}}
    fields: dict[str, object] = {} if label is None else {"label": label}
    return Record(record_id(uri), uri, record_id(uri) * 2, fields, own, 1, written)  # type: ignore[arg-type]


RECORDS = [
    record("a.jpg", "good", 5 * SECOND, "1970-01-01T00:00:09"),
    record("b.jpg", "bad", 3 * SECOND),
    record("c.jpg", None, 4 * SECOND),
    record("d.jpg", "good", 1 * SECOND),
    record("e.jpg", 1, -7),  # an object: no time
    record("film.mp4#t=2.5", True, 4 * SECOND),
    record("film.mp4#t=0.5", "bad", 4 * SECOND),
]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(f"sqlite:///{tmp_path}/some.db", cache=tmp_path) as database:
        database.store.create("some", SPACE)
        vectors = normalise(np.random.default_rng(0).normal(size=(len(RECORDS), 8)).astype(np.float32))
        database.store.put("some", RECORDS, {SPACE: vectors})
        yield database


def names(records: list[Record]) -> str:
    """Return the letters of files; a frame is its time."""
    return " ".join(one.uri.removeprefix("file:///").removesuffix(".jpg")[-3:] for one in records)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("label", "2.5 e 0.5 b a d c"),
        # The camera's word goes before the file's; frames follow their film; objects have no time.
        ("time", "d b c 0.5 2.5 a e"),
        ("newest", "2.5 a 0.5 c b d e"),
    ],
)
def test_records_come_in_order_from_any_place(database: Database, order: Order, expected: str) -> None:
    listing = database["some"].browse(order, by="label")
    assert len(listing) == len(RECORDS)
    whole = listing.read()
    shown = names(whole).split()
    if order == "label":  # of one label by id
        assert [one.fields.get("label") for one in whole] == [True, 1, "bad", "bad", "good", "good", None]
        assert listing.groups == [
            Group(True, 0, 1), Group(1, 1, 1), Group("bad", 2, 2), Group("good", 4, 2), Group(None, 6, 1),
        ]  # fmt: skip
        assert [one.id for one in whole[2:4]] == sorted(one.id for one in whole[2:4])
        assert sorted(shown) == sorted(expected.split())
    else:
        assert listing.groups == []
        assert shown == expected.split()
    assert [names([one]) for one in listing.read(2, 3)] == shown[2:5]
    assert listing.read(7, 3) == listing.read(900) == []


def test_ids_are_those_of_a_scan_and_filters_hold(database: Database) -> None:
    some = database["some"]
    assert some.browse().ids() == sorted(one.id for one in RECORDS)
    assert some.browse("newest", where={"label": ["good", True]}).ids() == [
        RECORDS[each].id for each in (5, 0, 3)
    ]
    assert len(some.browse(where={"label": "none"})) == 0
    with pytest.raises(FieldNotFound):
        some.browse(where={"part": "hull"})
    with pytest.raises(InvalidArgument, match="by a field"):
        some.browse("label")
    with pytest.raises(InvalidArgument, match="no order 'size': id, label"):
        some.browse("size")  # type: ignore[arg-type]


def test_what_changed_takes_its_place_and_what_is_gone_leaves_it(database: Database) -> None:
    some = database["some"]
    orders: tuple[Order, ...] = ("id", "label", "time", "newest")
    filters = (None, {"label": ["good", "bad"]})
    before = [
        (order, known, some.browse(order, by="label", where=known)) for order in orders for known in filters
    ]
    some.correct(RECORDS[0].id, {"label": "worse"})
    some.correct(RECORDS[2].id, {"label": "bad"})
    some.remove(RECORDS[1].id)
    new = record("new.jpg", "bad", 2 * SECOND)
    database.store.put("some", [new], {SPACE: np.eye(1, 8, dtype=np.float32)})
    touched = [RECORDS[0].id, RECORDS[1].id, RECORDS[2].id, new.id]
    for order, known, listing in before:
        now = some.browse(order, by="label", where=known)
        changed = listing.changed(touched)
        assert changed.entries == now.entries
        assert changed.groups == now.groups
    assert len(before[0][2].read()) == len(RECORDS) - 1, "without the one that is gone"


def test_the_least_certain_come_first(tmp_path: Path) -> None:
    """Two clouds, and a few images between them."""
    random = np.random.default_rng(1)
    side = np.r_[np.zeros(20), np.ones(20), np.full(6, 0.5)]
    vectors = random.normal(scale=0.2, size=(46, 8)).astype(np.float32)
    vectors[:, 0] += side * 2 - 1
    vectors[:, 1] += 1
    records = [record(f"{row}.jpg", "ab"[int(side[row] + 0.5 * (row % 2))], row) for row in range(46)]
    with Database(f"sqlite:///{tmp_path}/some.db", cache=tmp_path) as database:
        database.store.create("some", SPACE)
        some = database["some"]
        assert len(some.browse("uncertain", by="label")) == 0
        database.store.put("some", records, {SPACE: normalise(vectors)})
        listing = some.browse("uncertain", by="label")
        ids = listing.ids()
        sure = listing.confidence(ids)
        assert None not in sure
        assert sure == sorted(sure)  # type: ignore[type-var]
        between = {one.id for one in records[40:]}
        assert len(between & set(ids[:10])) >= 5
        # The judgement is kept, and an image that came since has none.
        new = record("new.jpg", "a", 1)
        database.store.put("some", [new], {SPACE: np.eye(1, 8, dtype=np.float32)})
        listing = some.browse("uncertain", by="label")
        assert listing.ids() == [*ids, new.id]
        assert listing.confidence([ids[0], new.id]) == [sure[0], None]
