"""Tables of others in a SQLite file: attached, they answer as NumPy does on their columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lookalike
from lookalike.stores.query import Query
from lookalike.vectors.metric import normalise
from tests.attach.foreign_tables import make_items, nearest


def test_a_table_is_searched_as_it_is(tmp_path: Path) -> None:
    vectors = make_items(tmp_path / "app.db")
    before = (tmp_path / "app.db").read_bytes()
    with lookalike.open(f"sqlite:///{tmp_path}/app.db", cache=tmp_path / "cache") as database:
        with pytest.raises(lookalike.StoreForeign, match="attach TABLE"):
            database.collections()
        done = database.attach("items", space="theirs")
        assert done.attachment.id == "item_id"
        assert {name: str(one) for name, one in done.attachment.fields} == {
            "color": "color",
            "price": "price",
            "kind": 'extra:$."kind"',
            "n": 'extra:$."n"',
        }
        (info,) = database.collections()
        assert (info.name, info.count, info.fields) == ("items", 60, ("color", "kind", "n", "price"))
        ids = list(range(1, 61))
        queries = np.random.default_rng(5).standard_normal((7, 8)).astype(np.float32)
        found = database.store.nearest("items", Query(normalise(queries), 5))
        for query, hits in zip(queries, found, strict=True):
            expected = nearest(query, vectors, ids, 5)
            assert [hit.record.id for hit in hits] == [identity for identity, _ in expected]
            assert [hit.similarity for hit in hits] == pytest.approx(
                [cosine for _, cosine in expected], abs=1e-6
            )
    assert (tmp_path / "app.db").read_bytes() == before
