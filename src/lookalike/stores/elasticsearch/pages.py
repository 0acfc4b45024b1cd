"""All documents that a query finds, in pages, as they were at one point in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lookalike.stores.elasticsearch.connection import ElasticsearchClient

# Above it a search needs a point in time: index.max_result_window, unless it was changed.
_WINDOW = 10_000
# Between two pages; a page takes seconds at the most.
_KEEP_ALIVE = "5m"


def pages(
    client: ElasticsearchClient,
    index: str,
    clauses: Sequence[dict[str, Any]],
    source: Sequence[str] | None,
    size: int = _WINDOW,
    without: Sequence[dict[str, Any]] = (),
    vectors: Sequence[str] = (),
) -> Iterator[list[dict[str, Any]]]:
    """Yield the documents of a collection that match, as they are when the first page is asked for.

    Args:
        client: where it asks.
        index: one index or alias.
        clauses: what must hold, as `elasticsearch_documents.matching` makes them.
        source: the fields that are wanted; None for none.
        size: documents in a page, at most.
        without: what must not hold.
        vectors: fields of vectors that are wanted; their numbers come from the index.

    Raises:
        IndexGone: the index is not there when the first page is asked for.
    """
    body: dict[str, Any] = {
        "query": {"bool": {"filter": list(clauses), "must_not": list(without)}},
        "_source": False if source is None else list(source),
        "docvalue_fields": list(vectors),
        "size": min(size, _WINDOW),
    }
    # Most collections fit into one page, and need no point in time.
    (first,) = client.search([(index, {**body, "track_total_hits": True})])
    if first["hits"]["total"]["value"] <= body["size"]:
        if first["hits"]["hits"]:
            yield first["hits"]["hits"]
        return
    yield from sorted_pages(
        client, index, {**body, "track_total_hits": False, "sort": [{"_shard_doc": "asc"}]}
    )


def sorted_pages(
    client: ElasticsearchClient, index: str, body: dict[str, Any], params: dict[str, str] | None = None
) -> Iterator[list[dict[str, Any]]]:
    """Yield the documents that a search finds, a page at a time, as they are when the first is asked for.

    Args:
        client: where it asks.
        index: one index or alias.
        body: of a search, with a size and an order in which no two documents tie.
        params: of the query string.
    """
    opened = client.request("POST", f"/{index}/_pit", params={"keep_alive": _KEEP_ALIVE})
    point = opened.body["id"]
    params = {"allow_partial_search_results": "false", **(params or {})}
    try:
        after: dict[str, Any] = {}
        while True:
            search = {**body, **after, "pit": {"id": point, "keep_alive": _KEEP_ALIVE}}
            answer = client.request("POST", "/_search", search, params=params).body
            point = answer["pit_id"]
            hits = answer["hits"]["hits"]
            if not hits:
                return
            after = {"search_after": hits[-1]["sort"]}
            yield hits
    finally:
        # Gone already when its index was deleted.
        client.request("DELETE", "/_pit", {"id": point}, allow=(404,))
