"""Full-text search on an Elasticsearch server: its BM25 over the words that `wording` splits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lookalike.stores.elasticsearch.filters import matching
from lookalike.stores.elasticsearch.pages import sorted_pages
from lookalike.stores.elasticsearch.records import RECORD_FIELDS
from lookalike.stores.elasticsearch.schema import WORDS_FIELD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.stores.elasticsearch.connection import ElasticsearchClient
    from lookalike.types import Where

# Above it a search needs a point in time: index.max_result_window, unless it was changed.
_WINDOW = 10_000
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
    found: list[dict[str, Any]] = []
    if k <= _WINDOW:
        answer = client.request("POST", f"/{index}/_search", {**body, "size": k}, params=_PARAMS).body
        found = answer["hits"]["hits"]
    else:
        for hits in sorted_pages(client, index, {**body, "size": _WINDOW}, _PARAMS):
            found += hits
            if len(hits) < _WINDOW or len(found) >= k:
                break
    return found[:k]
