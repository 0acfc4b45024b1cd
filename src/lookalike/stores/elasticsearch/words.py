"""Full-text search on an Elasticsearch server: its BM25 over the words that `wording` splits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lookalike.stores.elasticsearch.filters import matching
from lookalike.stores.elasticsearch.records import RECORD_FIELDS
from lookalike.stores.elasticsearch.schema import WORDS_FIELD

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lookalike.stores.elasticsearch.connection import ElasticsearchClient
    from lookalike.types import Where

# Above it a search needs a point in time: index.max_result_window, unless it was changed.
_WINDOW = 10_000
_KEEP_ALIVE = "5m"
# Words are counted over all shards: a text has the same score wherever it is, and equal ones tie.
_PARAMS = {"search_type": "dfs_query_then_fetch", "allow_partial_search_results": "false"}


def hits_by_words(
    client: ElasticsearchClient, index: str, terms: Sequence[str], where: Where | None, k: int
) -> list[dict[str, Any]]:
    """Return the documents that have any of the words, best first, then by rising id, with `RECORD_FIELDS`.

    Args:
        client: where it asks.
        index: the alias of the collection's index.
        terms: from `query_terms`, at least one; their analyzer sees only the spaces between them.
        where: only records that match.
        k: documents, at most.

    Raises:
        IndexGone: the index is not there.
    """
    body: dict[str, Any] = {
        "query": {
            "bool": {"must": [{"match": {WORDS_FIELD: " ".join(terms)}}], "filter": matching(where)},
        },
        "sort": [{"_score": "desc"}, {"image_id": "asc"}],
        "_source": list(RECORD_FIELDS),
        "track_total_hits": False,
    }
    if k > _WINDOW:
        return list(_many(client, index, body, k))
    answer = client.request("POST", f"/{index}/_search", {**body, "size": k}, params=_PARAMS).body
    found: list[dict[str, Any]] = answer["hits"]["hits"]
    return found


def _many(client: ElasticsearchClient, index: str, body: dict[str, Any], k: int) -> Iterator[dict[str, Any]]:
    """Yield more hits than one search gives, read at one point in time."""
    opened = client.request("POST", f"/{index}/_pit", params={"keep_alive": _KEEP_ALIVE})
    point = opened.body["id"]
    try:
        after: dict[str, Any] = {}
        while k > 0:
            size = min(k, _WINDOW)
            search = {**body, **after, "size": size, "pit": {"id": point, "keep_alive": _KEEP_ALIVE}}
            answer = client.request("POST", "/_search", search, params=_PARAMS).body
            point = answer["pit_id"]
            hits = answer["hits"]["hits"]
            yield from hits
            if len(hits) < size:
                return
            after = {"search_after": hits[-1]["sort"]}
            k -= size
    finally:
        # Gone already when its index was deleted.
        client.request("DELETE", "/_pit", {"id": point}, allow=(404,))
