"""Any sequence of calls to a store, compared with the model of one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from lookalike.errors import (
    InvalidArgument,
    SpaceMismatch,
    VectorIncomplete,
    VectorNotFound,
)
from lookalike.label_normalisation import labels_digest
from lookalike.stores.query import Query
from lookalike.stores.store import Store
from lookalike.testing.samples import CORNERS, SPACE, exchange, known, record
from lookalike.testing.store_model import StoreModel
from lookalike.types import Space, Stamp, VectorInfo

if TYPE_CHECKING:
    from collections.abc import Callable

    from lookalike.types import Scalar


_numbers = st.integers(0, 11)
_fields = st.dictionaries(
    st.sampled_from(["a", "A", "id", "탱크\n"]),
    st.sampled_from(["", "x", "3", "\0", "\udcff", 3, 3.0, 1, 0, True, False, -2.5]),
    max_size=3,
)
_where = st.none() | st.dictionaries(
    st.sampled_from(["a", "A", "id", "none"]),
    st.lists(st.sampled_from(["x", "3", "\udcff", 3, 1.0, 0, True, False]), max_size=3),
    max_size=2,
)


# Of the machine: all of four dimensions, so that the corners are vectors of any of them.
_VECTORS = [
    VectorInfo("fitted", replace(SPACE, metric_fingerprint="cd" * 32)),
    VectorInfo("fitted", replace(SPACE, metric_fingerprint="ce" * 32)),
    VectorInfo("words", replace(SPACE, embedder="another-model", embedder_fingerprint="ef" * 32)),
]
_SPACES = [SPACE, *(one.space for one in _VECTORS)]
_using = st.none() | st.sampled_from(["image", "fitted", "words"])


def answer(call: Callable[[], object]) -> object:
    """Return what a call returns, or the class of what it raises."""
    try:
        return call()
    except (InvalidArgument, SpaceMismatch, VectorIncomplete, VectorNotFound) as error:
        return InvalidArgument if isinstance(error, InvalidArgument) else type(error)


class StoreMachine(RuleBasedStateMachine):
    """Does the same to a store, opened twice, and to the model, and compares what they answer."""

    stores: tuple[Store, Store]
    turn = 0

    @property
    def store(self) -> Store:
        """One of the two, by turns."""
        self.turn += 1
        return self.stores[self.turn % 2]

    @initialize()
    def start(self) -> None:
        for collection in self.store.collections():
            self.store.delete(collection.name)
        self.store.create("parts", SPACE)
        self.store.create("others", SPACE)
        self.model = StoreModel(SPACE)
        self.other_model = StoreModel(SPACE)

    @rule(
        rows=st.dictionaries(_numbers, st.tuples(_fields, st.integers(0, len(CORNERS) - 1)), max_size=6),
        digest=st.sampled_from(["a" * 64, "b" * 64]),
    )
    def put(self, rows: dict[int, tuple[dict[str, Scalar], int]], digest: str) -> None:
        records = [record(number, fields, digest=digest) for number, (fields, _) in rows.items()]
        chosen = np.array([corner for _, corner in rows.values()], int)
        vectors = {
            space: CORNERS[(chosen + 7 * _SPACES.index(space)) % len(CORNERS)].reshape(-1, 4)
            for space in self.model.spaces
        }
        self.store.put("parts", records, vectors)
        self.model.put(records, {space: some.tolist() for space, some in vectors.items()})

    @rule(spaces=st.sets(st.sampled_from(_SPACES)))
    def put_wrongly(self, spaces: set[Space]) -> None:
        if spaces != set(self.model.spaces):
            with pytest.raises(SpaceMismatch):
                self.store.put("parts", [record(0)], dict.fromkeys(spaces, CORNERS[:1]))

    @rule(vector=st.sampled_from(_VECTORS), becomes_default=st.booleans())
    def add_vector(self, vector: VectorInfo, becomes_default: bool) -> None:
        wanted = replace(vector, becomes_default=becomes_default)
        self.store.add_vector("parts", wanted.name, wanted.space, becomes_default=becomes_default)
        self.model.add_vector(wanted)

    @rule(space=st.sampled_from(_SPACES), numbers=st.sets(_numbers), corner=st.integers(0, len(CORNERS) - 1))
    def fill(self, space: Space, numbers: set[int], corner: int) -> None:
        ids = [record(number).id for number in sorted(numbers)]
        vectors = CORNERS[(corner + np.arange(len(ids))) % len(CORNERS)].reshape(-1, 4)
        given = dict(zip(ids, vectors.tolist(), strict=True))
        found = answer(lambda: self.store.fill("parts", space, known(self.store, ids), vectors))
        assert found == answer(lambda: self.model.fill(space, given))

    @rule(space=st.sampled_from(_SPACES))
    def fill_all(self, space: Space) -> None:
        if space in self.model.spaces:
            ids = self.store.lacking("parts", space)
            assert ids == self.model.lacking(space)
            self.store.fill("parts", space, known(self.store, ids), CORNERS[[5] * len(ids)].reshape(-1, 4))
            self.model.fill(space, {identity: CORNERS[5].tolist() for identity in ids})

    @rule(space=st.sampled_from(_SPACES))
    def finish_vector(self, space: Space) -> None:
        found = answer(lambda: bool(self.store.finish_vector("parts", space)) and None)
        assert found == answer(lambda: self.model.finish_vector(space))

    @rule(space=st.sampled_from(_SPACES))
    def drop_vector(self, space: Space) -> None:
        found = answer(lambda: bool(self.store.drop_vector("parts", space)) and None)
        assert found == answer(lambda: self.model.drop_vector(space))

    @rule(name=st.sampled_from(["image", "fitted", "words"]))
    def set_default(self, name: str) -> None:
        found = answer(lambda: self.store.set_default("parts", name).space)
        assert found == answer(lambda: self.model.ready(name))
        if isinstance(found, Space):
            self.model.default = name

    @rule(labels=st.dictionaries(_numbers, _fields, max_size=6))
    def relabel(self, labels: dict[int, dict[str, Scalar]]) -> None:
        self.store.relabel("parts", [(record(n).id, fields, {"n": n}) for n, fields in labels.items()])
        for number, fields in labels.items():
            if record(number).id in self.model.rows:
                old, _ = self.model.rows[record(number).id]
                self.model.relabel(replace(old, fields=fields, metadata={"n": number}))

    @rule(numbers=st.lists(_numbers, max_size=4))
    def remove(self, numbers: list[int]) -> None:
        ids = [record(number).id for number in numbers]
        assert self.store.remove("parts", ids) == self.model.remove(ids)

    @rule()
    def exchange(self) -> None:
        exchange(self.store, "parts", "others")
        self.model, self.other_model = self.other_model, self.model

    @rule()
    def make_anew(self) -> None:
        assert self.store.delete("parts") == len(self.model.rows)
        self.store.create("parts", SPACE)
        self.model = StoreModel(SPACE)

    @rule(where=_where, using=_using)
    def scan(self, where: dict[str, list[Scalar]] | None, using: str | None) -> None:
        space = answer(lambda: self.model.ready(using))
        batches = answer(lambda: list(self.store.scan("parts", where, using=using)))
        if not isinstance(space, Space):
            assert batches == space
            return
        assert isinstance(batches, list)
        expected = self.model.scan(where)
        assert [one for some, _ in batches for one in some] == expected
        rows = [row.tolist() for _, vectors in batches for row in vectors]
        assert rows == [list(self.model.rows[one.id][1][space]) for one in expected]

    @rule(
        corner=st.integers(0, len(CORNERS) - 1),
        k=st.integers(1, 14),
        where=_where,
        exclude=st.lists(_numbers, max_size=4),
        having=st.none() | st.sampled_from(["a", "A", "none"]),
        using=_using,
    )
    def nearest(
        self,
        corner: int,
        k: int,
        where: dict[str, list[Scalar]] | None,
        exclude: list[int],
        having: str | None,
        using: str | None,
    ) -> None:
        ids = [record(number).id for number in exclude]
        query = CORNERS[corner]
        asked = Query(np.stack([query, query]), k, using, None, where, [ids, []], having)
        space, found = (
            answer(lambda: self.model.ready(using)),
            answer(lambda: self.store.nearest("parts", asked)),
        )
        if not isinstance(space, Space):
            assert found == space
            return
        assert isinstance(found, list)
        for hits, left_out in zip(found, (ids, []), strict=True):
            expected = self.model.nearest(query.tolist(), k, where, left_out, having, space)
            assert [(hit.record.id, hit.similarity) for hit in hits] == expected
            assert [hit.record for hit in hits] == [self.model.rows[name][0] for name, _ in expected]

    @rule(words=st.sampled_from(["x", "3", "true 7", "2.5", "pictures", "1 \0", "A"]), where=_where)
    def search_words(self, words: str, where: dict[str, list[Scalar]] | None) -> None:
        found = self.store.search_words("parts", words, 99, where)
        assert sorted(found, key=lambda one: one.id) == self.model.search_words(words, where)

    @invariant()
    def counts_fields_vectors_and_stamps_agree(self) -> None:
        if not hasattr(self, "model"):
            return
        collection = self.store.collection("parts")
        assert collection.count == len(self.model.rows)
        assert collection.fields == tuple(sorted(self.model.fields))
        assert (list(collection.vectors), collection.default) == (self.model.vectors, self.model.default)
        records = [one for one, _ in self.model.rows.values()]
        assert self.store.stamps("parts") == {
            one.uri: Stamp(one.id, one.size, one.modified_ns, labels_digest(one.fields, one.metadata))
            for one in records
        }
        for digest in ("a" * 64, "b" * 64):
            assert self.store.ids_by_digest("parts", digest) == sorted(
                one.id for one in records if one.digest == digest
            )


class SequencesContract:
    """Any sequence of calls: each answers as the model of a store does."""

    sequences = 25
    """Sequences of 25 calls each that are tried; fewer suit a store that takes long over a call."""

    def test_any_sequence_of_calls_answers_as_the_model_does(self, store: Store, other: Store) -> None:
        class Machine(StoreMachine):
            stores = (store, other)

        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=self.sequences,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                database=None,
            ),
        )
