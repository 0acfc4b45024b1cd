"""The connections to a server that are kept for the next one who needs one."""

from __future__ import annotations

from lookalike.stores.idle_pool import IdlePool


def test_the_connection_that_was_used_last_is_taken_first() -> None:
    closed: list[str] = []
    pool = IdlePool(closed.append, most=2)
    none, period = pool.take()
    assert none is None
    for connection in ("a", "b", "c"):
        pool.keep(connection, period)
    assert closed == ["c"], "there are enough"
    assert [pool.take()[0] for _ in range(3)] == ["b", "a", None]


def test_what_was_taken_before_the_pool_was_closed_is_closed_when_it_comes_back() -> None:
    closed: list[str] = []
    pool = IdlePool(closed.append, most=2)
    _, before = pool.take()
    pool.keep("a", before)
    pool.keep("b", before)
    assert pool.take() == ("b", before)
    pool.close()
    assert closed == ["a"]
    pool.keep("b", before)
    assert closed == ["a", "b"]
    none, after = pool.take()
    assert none is None
    pool.keep("c", after)
    assert pool.take() == ("c", after)
    pool.close()
    pool.close()
    assert closed == ["a", "b"]
