"""Fits that a kill may end between any two steps, and what has to be there then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.stores.registry import open_store
from lookalike.testing.samples import CORNERS, FITTED, REFITTED, SPACE, nearest, record, turned

if TYPE_CHECKING:
    from lookalike.stores.store import Store


def fit_endlessly(url: str) -> None:
    """Fit and refit by turns, and put records meanwhile; print the dimension of each finished vector."""
    with open_store(url) as store:
        number = 0
        while True:
            for space in (FITTED, REFITTED):
                store.add_vector("parts", "fitted", space, b"metric" * 100, becomes_default=True)
                number += 1
                given = {one.space: turned(1, one.space) for one in store.collection("parts").vectors[1:]}
                store.put("parts", [record(f"new-{number % 20}")], given | {SPACE: CORNERS[:1]})
                while ids := store.lacking("parts", space, 40):
                    store.fill("parts", space, store.get("parts", ids), turned(len(ids), space))
                store.finish_vector("parts", space)
                print(space.dimension, flush=True)
            store.drop_vector("parts", space)


def complete_fit(store: Store) -> None:
    """See that no record is half there, and that the fit goes on from where it was."""
    info = store.collection("parts")
    assert info.default in ("image", "fitted")
    assert store.check() == []
    for vector in info.vectors:
        lacking = store.lacking("parts", vector.space)
        if vector.ready:
            assert lacking == []
            query = CORNERS[:1] if vector.name == "image" else turned(1, vector.space)
            (hits,) = nearest(store, "parts", query, 9_999, using=vector.name)
            assert len(hits) == info.count
            if vector.name == "fitted":
                assert store.metric("parts", "fitted") == b"metric" * 100
        else:
            rows = turned(len(lacking), vector.space)
            store.fill("parts", vector.space, store.get("parts", lacking), rows)
            assert store.finish_vector("parts", vector.space).default == "fitted"
