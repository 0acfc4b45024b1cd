"""Records and vectors that tests put into stores, and short ways to do so."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.stores.query import Query
from lookalike.stores.store import Store
from lookalike.types import Record, Space
from lookalike.uris import record_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lookalike.types import Neighbour, Scalar, Vectors, Where


SPACE = Space("some-model", "ab" * 32, 4)
FITTED = replace(SPACE, dimension=2, metric_fingerprint="cd" * 32)
REFITTED = replace(FITTED, dimension=3, metric_fingerprint="ce" * 32)
WORDS = Space("another-model", "ef" * 32, 3)

# The corners of the 24-cell: exactly of length 1 in float32, with many exact ties among their products.
CORNERS: Vectors = np.array(
    [sign * row for row in np.eye(4) for sign in (1, -1)] + list(itertools.product((0.5, -0.5), repeat=4)),
    dtype=np.float32,
)

FIELDS: dict[str, Scalar] = {"quality": "bad", "count": 3, "weight": 3.5, "whole": 3.0, "sealed": True}
STRANGE_TEXTS = [
    "",
    " ",
    "it's",
    'a "quoted" name',
    "100 %s",
    "two\nlines\r\n",
    "nul\0inside",
    "탱크 상부",
    "cafe\u0301",
    "👩‍🔬",
    "not UTF-8: \udcff\udc80",
    "[a](b){c};--",
    "x" * 10_000,
]


def record(number: int | str, fields: Mapping[str, Scalar] | None = None, **more: Any) -> Record:
    uri = f"file:///pictures/{number}.jpg"
    digest = hashlib.sha256(uri.encode()).hexdigest()
    plain = Record(record_id(uri), uri, digest, fields or {}, {}, size=1000, modified_ns=1_700_000_000)
    return replace(plain, **more)


def corners(count: int) -> Vectors:
    return CORNERS[np.arange(count) % len(CORNERS)]


def random_vectors(count: int, dimension: int, seed: int = 0) -> Vectors:
    vectors = np.random.default_rng(seed).standard_normal((count, dimension))
    unit: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


def flipped(content: bytes, bit: int) -> bytes:
    """Return bytes with one bit turned."""
    turned = bytearray(content)
    turned[bit // 8] ^= 1 << bit % 8
    return bytes(turned)


def put(store: Store, name: str, records: Sequence[Record], vectors: Vectors) -> None:
    """Put records into a collection of one vector."""
    store.put(name, records, {store.collection(name).space: vectors})


def nearest(
    store: Store,
    name: str,
    vectors: Vectors,
    k: int,
    where: Where | None = None,
    exclude: Sequence[Any] | None = None,
    having: str | None = None,
    **more: Any,
) -> list[list[Neighbour]]:
    """Return the nearest neighbours."""
    return store.nearest(name, Query(vectors, k, where=where, exclude=exclude, having=having, **more))


def exchange(store: Store, one: str, other: str) -> None:
    """Let two collections exchange their names, each as it is spelt here."""
    store.rename(one, "between")
    store.rename(other, one)
    store.rename("between", other)


def turned(count: int, space: Space, start: int = 0) -> Vectors:
    """Return vectors of two or three dimensions: points on a circle, by turns of 37 degrees."""
    angles = np.radians(37.0 * np.arange(start, start + count))
    vectors = np.zeros((count, space.dimension), np.float32)
    vectors[:, 0], vectors[:, 1] = np.cos(angles), np.sin(angles)
    return vectors


def fill(store: Store, count: int, fields: Sequence[Mapping[str, Scalar]] = ({},)) -> list[Record]:
    """Put `count` records into the collection `parts`, with these fields by turns; return them by id."""
    records = [record(number, fields[number % len(fields)]) for number in range(count)]
    store.create("parts", SPACE)
    store.put("parts", records, {SPACE: corners(count)})
    return sorted(records, key=lambda one: one.id)


def known(store: Store, ids: Sequence[str]) -> list[Record]:
    """Return the records of these ids; for an id of none, one that is not there."""
    there = {one.id: one for one in store.get("parts", ids)}
    return [there.get(identity) or replace(record(0), id=identity) for identity in ids]


def scanned(store: Store, name: str = "parts", **how: Any) -> list[Record]:
    return [one for records, _ in store.scan(name, **how) for one in records]
