"""A store that is open twice, SQL that fails, and the end, as every store has them."""

from __future__ import annotations

import threading

import pytest

from lookalike.errors import QueryRefused
from lookalike.stores.registry import open_store
from lookalike.stores.store import Store
from lookalike.testing.samples import CORNERS, fill, nearest, put, record, scanned


class SharingContract:
    """Several who use a store at once; SQL and closing."""

    # Several at once

    def test_what_one_writes_the_other_sees_at_once(self, store: Store, other: Store) -> None:
        fill(store, 2)
        for number in range(2, 6):
            writer, reader = (store, other) if number % 2 else (other, store)
            put(writer, "parts", [record(number)], CORNERS[:1])
            assert reader.collection("parts").count == number + 1
            assert len(nearest(reader, "parts", CORNERS[:1], 99)[0]) == number + 1

    def test_threads_may_share_a_store(self, store: Store) -> None:
        fill(store, 100)
        failures: list[BaseException] = []

        def work(thread: int) -> None:
            try:
                for turn in range(15):
                    new = record(f"{thread}-{turn}", {f"field{thread}": turn})
                    put(store, "parts", [new], CORNERS[:1])
                    assert store.get("parts", [new.id]) == [new]
                    assert len(nearest(store, "parts", CORNERS[:2], 100)[1]) == 100
                    assert store.remove("parts", [record(thread * 15 + turn).id]) == 1
            except BaseException as failure:  # noqa: BLE001 shown below
                failures.append(failure)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert store.collection("parts").count == 100

    # SQL and the end

    def test_sql_that_fails_is_refused_in_one_line(self, store: Store) -> None:
        fill(store, 1)
        for statement in ("", "selec 1", "SELECT * FROM nothing_of_that_name"):
            with pytest.raises(QueryRefused) as refused:
                store.sql(statement)
            assert "\n" not in str(refused.value)

    def test_close_may_be_called_twice(self, url: str) -> None:
        store = open_store(url)
        records = fill(store, 2)
        store.close()
        store.close()
        with open_store(url) as again:
            assert scanned(again) == records
