"""Search requests that are passed on to an Elasticsearch server: only what reads, and only of known indexes.

What is passed on is written anew from what was understood here; nothing that is not in these lists is. So no
request reaches another index, be it by a lookup (`terms`, `more_like_this`, `indexed_shape`), a point in time
or a scroll, and none runs a script or a model of the server's.

Sources: https://www.elastic.co/guide/en/elasticsearch/reference/8.19/search-search.html, .../query-dsl.html,
.../search-aggregations.html, .../search-multi-search.html.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lookalike.errors import InvalidArgument
from lookalike.server.elastic.questions import as_object, unwrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lookalike.server.elastic.questions import AskedDocument

    Resolve = Callable[[str], str]
    """Returns the name that the server knows an index by, or refuses it."""
    Build = Callable[[str, Any], list[float]]
    """Returns the vector of a field that a `query_vector_builder` asks for."""

_DEEPEST = 40
SEARCHED = frozenset(
    {
        *("knn", "query", "post_filter", "size", "from", "_source", "fields", "docvalue_fields", "sort"),
        *("min_score", "track_total_hits", "track_scores", "timeout", "terminate_after", "highlight"),
        *("aggs", "aggregations", "search_after", "explain", "version", "seq_no_primary_term", "profile"),
    }
)
_HEADER = frozenset(
    {
        *("index", "indices", "preference", "routing", "search_type", "request_cache"),
        *("ignore_unavailable", "allow_no_indices", "expand_wildcards", "allow_partial_search_results"),
        *("ccs_minimize_roundtrips",),
    }
)
# What is searched for, by queries without another one inside.
_LEAVES = frozenset(
    {
        *("match_all", "match_none", "match", "match_phrase", "match_phrase_prefix", "match_bool_prefix"),
        *("multi_match", "term", "terms", "range", "exists", "ids", "prefix", "wildcard", "fuzzy"),
        *("query_string", "simple_query_string"),
    }
)
# By the names under which those with others inside have them.
_COMPOUND: Mapping[str, tuple[str, ...]] = {
    "bool": ("must", "filter", "should", "must_not"),
    "constant_score": ("filter",),
    "dis_max": ("queries",),
    "boosting": ("positive", "negative"),
}
_KNN = frozenset(
    {
        *("field", "query_vector", "k", "num_candidates", "filter", "similarity", "boost", "_name"),
        *("rescore_vector", "visit_percentage"),
    }
)
_AGGREGATIONS = frozenset(
    {
        *("terms", "rare_terms", "significant_terms", "histogram", "date_histogram", "range", "date_range"),
        *("avg", "min", "max", "sum", "stats", "extended_stats", "cardinality", "value_count", "missing"),
        *("percentiles", "composite", "sampler", "filter", "filters", "global"),
    }
)
# Names that nothing has which only reads one index; fields of documents are called `fields.script` and so on.
_NEVER = frozenset(
    {
        *("script", "scripts", "script_fields", "_script", "runtime_mappings", "index", "_index", "indices"),
        *("pit", "scroll", "scroll_id", "lookup", "indexed_shape", "like", "unlike", "query_vector_builder"),
        *("background_filter", "highlight_query", "nested", "rescore", "suggest", "model_id", "inner_hits"),
        *("query", "filter", "knn", "retriever", "percolate", "ext", "slice", "collapse"),
    }
)
_PARAMS = frozenset(
    {
        *("size", "from", "_source", "_source_includes", "_source_excludes", "_source_exclude_vectors"),
        *("sort", "track_total_hits", "track_scores", "timeout", "terminate_after", "rest_total_hits_as_int"),
        *("allow_partial_search_results", "ignore_unavailable", "allow_no_indices", "expand_wildcards"),
        *("ignore_throttled", "preference", "request_cache", "search_type", "typed_keys", "routing"),
        *("batched_reduce_size", "max_concurrent_shard_requests", "pre_filter_shard_size", "version"),
        *("max_concurrent_searches", "ccs_minimize_roundtrips", "seq_no_primary_term", "min_score"),
        *("filter_path", "pretty", "human", "error_trace", "realtime"),
    }
)


def passed_search(body: Any, build: Build) -> dict[str, Any]:
    """Return a search that may be passed on.

    Args:
        body: of the request, as JSON.
        build: makes vectors of texts.

    Raises:
        InvalidArgument: something in it is not among what is passed on.
    """
    given = unwrapped(as_object("search", body))
    _check("search", given, SEARCHED)
    made = {name: _plain(name, value) for name, value in given.items() if name not in _PARTS}
    for name, part in given.items():
        if name in ("query", "post_filter"):
            made[name] = _query(part, build, 0)
        elif name == "knn":
            made[name] = [_knn(one, build) for one in part] if isinstance(part, list) else _knn(part, build)
        elif name in ("aggs", "aggregations"):
            made[name] = _aggregations(part, build, 0)
    return made


_PARTS = frozenset({"query", "post_filter", "knn", "aggs", "aggregations"})


def passed_count(body: Any, build: Build) -> dict[str, Any]:
    """Return the body of a count that may be passed on: see `passed_search`."""
    given = as_object("count", body)
    _check("count", given, {"query"})
    return {name: _query(part, build, 0) for name, part in given.items()}


def passed_documents(asked: Sequence[AskedDocument], keys: Mapping[str, str]) -> dict[str, Any]:
    """Return the body that asks for documents.

    Args:
        asked: which.
        keys: what the server calls their indexes.
    """
    return {
        "docs": [
            {
                "_index": keys[each.index_name],
                "_id": each.identity,
                "_source": {"includes": each.source.includes, "excludes": each.source.excludes}
                if each.source.wanted
                else False,
                **({} if each.routing is None else {"routing": each.routing}),
            }
            for each in asked
        ]
    }


def passed_header(line: Any, resolve: Resolve, default: list[str] | None) -> dict[str, Any]:
    """Return the header of one search of several.

    Args:
        line: as it came.
        resolve: of the indexes that it names.
        default: the indexes of the address, for a header that names none; None where it names none either.

    Raises:
        InvalidArgument: something in it is not among what is passed on.
    """
    given = as_object("header", line)
    _check("header", given, _HEADER)
    named = given.get("index", given.get("indices"))
    if "index" in given and "indices" in given:
        raise InvalidArgument("[index] and [indices] are one: name one of them")
    names = named.split(",") if isinstance(named, str) else named
    made = {name: _plain(name, given[name]) for name in given if name not in ("index", "indices")}
    if names is None or names == []:
        if default is None:
            raise InvalidArgument("[index] each search names its index")
        return {**made, "index": default}
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidArgument("[index] is a name, or a list of names")
    return {**made, "index": [resolve(name) for name in names]}


def passed_params(params: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters of a query string that may be passed on.

    Raises:
        InvalidArgument: one may not.
    """
    _check("parameter", params, _PARAMS)
    return dict(params)


def text(body: Any) -> bytes:
    """Return JSON in ASCII, which a lone surrogate has a form in, too."""
    return json.dumps(body, separators=(",", ":")).encode()


def _query(given: Any, build: Build, depth: int) -> dict[str, Any]:
    query = as_object("query", given)
    if depth > _DEEPEST or len(query) != 1:
        raise InvalidArgument(f"a query has one name, that of its kind, and is at most {_DEEPEST} deep")
    ((kind, body),) = query.items()
    if kind in _LEAVES:
        leaf = as_object(kind, body)
        if kind == "terms" and any(isinstance(value, dict) for value in leaf.values()):
            raise InvalidArgument("[terms] terms of another document are not looked up through lookalike")
        return {kind: _within(leaf)}
    if kind == "knn":
        return {kind: _knn(body, build)}
    if kind == "nested":
        inner = as_object(kind, body)
        _check(kind, inner, {"path", "query", "score_mode", "ignore_unmapped", "boost", "_name"})
        return {kind: {**inner, "query": _query(inner.get("query"), build, depth + 1)}}
    if kind not in _COMPOUND:
        known = ", ".join(sorted({*_LEAVES, *_COMPOUND, "knn", "nested"}))
        raise InvalidArgument(f"[{str(kind)[:100]}] queries are not passed on: {known} are")
    made = {}
    for name, value in as_object(kind, body).items():
        if name not in _COMPOUND[kind]:
            made[name] = _plain(name, value)
        elif isinstance(value, list):
            made[name] = [_query(one, build, depth + 1) for one in value]
        else:
            made[name] = _query(value, build, depth + 1)
    return {kind: made}


def _knn(given: Any, build: Build) -> dict[str, Any]:
    knn = dict(as_object("knn", given))
    if "query_vector_builder" in knn:
        builder = knn.pop("query_vector_builder")
        if "query_vector" in knn:
            raise InvalidArgument("[knn] needs one of [query_vector] and [query_vector_builder]")
        knn["query_vector"] = build(str(knn.get("field")), builder)
    _check("knn", knn, _KNN)
    clauses = knn.pop("filter", None)
    made = {name: _plain(name, value) for name, value in knn.items()}
    if clauses is not None:
        filters = clauses if isinstance(clauses, list) else [clauses]
        made["filter"] = [_query(one, build, 1) for one in filters]
    return made


def _aggregations(given: Any, build: Build, depth: int) -> dict[str, Any]:
    if depth > _DEEPEST:
        raise InvalidArgument(f"[aggs] are at most {_DEEPEST} deep")
    made: dict[str, Any] = {}
    for label, one in as_object("aggs", given).items():
        made[label] = {}
        for kind, body in as_object("aggs", one).items():
            if kind in ("aggs", "aggregations"):
                made[label][kind] = _aggregations(body, build, depth + 1)
            elif kind == "filter":
                made[label][kind] = _query(body, build, depth + 1)
            elif kind == "filters":
                made[label][kind] = _filters(body, build, depth)
            elif kind in _AGGREGATIONS or kind == "meta":
                made[label][kind] = _plain(kind, body)
            else:
                known = ", ".join(sorted(_AGGREGATIONS))
                raise InvalidArgument(f"[{kind[:100]}] aggregations are not passed on: {known} are")
    return made


def _filters(given: Any, build: Build, depth: int) -> dict[str, Any]:
    said = as_object("filters", given)
    _check("filters", said, {"filters", "other_bucket", "other_bucket_key", "keyed"})
    inner = said.get("filters")
    if isinstance(inner, list):
        return {**said, "filters": [_query(one, build, depth + 1) for one in inner]}
    named = as_object("filters", inner)
    return {**said, "filters": {name: _query(one, build, depth + 1) for name, one in named.items()}}


def _within(leaf: Mapping[str, Any]) -> dict[str, Any]:
    """Return a query without others inside: what it looks for stands under the names of fields."""
    # `query` is the text of those that read one, and stands beside or below the field's name.
    return {
        name: {inner: _plain(inner, one, known=("query",)) for inner, one in value.items()}
        if isinstance(value, dict) and name not in _NEVER
        else _plain(name, value, known=("query",))
        for name, value in leaf.items()
    }


def _plain(name: str, value: Any, depth: int = 0, known: Sequence[str] = ()) -> Any:
    """Return a value that has nothing in it which could ask for more.

    Raises:
        InvalidArgument: it has.
    """
    if name in _NEVER and name not in known:
        raise InvalidArgument(f"[{name}] is not passed on here")
    if depth > _DEEPEST:
        raise InvalidArgument(f"[{name[:100]}] is at most {_DEEPEST} deep")
    if isinstance(value, dict):
        if name in known:
            raise InvalidArgument(f"[{name}] is a text")
        return {inner: _plain(inner, one, depth + 1) for inner, one in value.items()}
    if isinstance(value, list):
        for one in value:
            if isinstance(one, dict | list):
                _plain("", one, depth + 1)
    return value


def _check(what: str, given: Mapping[str, Any], known: Sequence[str] | frozenset[str] | set[str]) -> None:
    for name in given:
        if name not in known:
            raise InvalidArgument(f"[{what}] [{str(name)[:100]}] is not passed on here: leave it out")
