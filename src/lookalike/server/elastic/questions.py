"""Search requests in Elasticsearch's words, read for lookalike to answer.

Sources: https://www.elastic.co/guide/en/elasticsearch/reference/8.19/search-search.html and
.../knn-search.html.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from lookalike.errors import InvalidArgument
from lookalike.server.elastic.filters import EVERYTHING, Filter, boost, check_known, number, read_filter

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_HITS = 10_000
"""That a search looks at: `index.max_result_window` of Elasticsearch, and the limit of `num_candidates`."""

SIZE = 10
"""Hits of an answer, unless told otherwise."""

_KNN = (
    "field", "query_vector", "query_vector_builder", "k", "num_candidates", "filter", "similarity", "boost",
    "_name",
)  # fmt: skip
_BODY = (
    "knn", "query", "size", "from", "_source", "fields", "sort", "min_score", "track_total_hits",
    "track_scores", "timeout",
)  # fmt: skip
# Parameters that change nothing here: what is asked is one collection, answered at once and whole.
_NEUTRAL = (
    "allow_no_indices", "allow_partial_search_results", "batched_reduce_size", "ccs_minimize_roundtrips",
    "error_trace", "expand_wildcards", "filter_path", "human", "ignore_unavailable", "ignore_throttled",
    "max_concurrent_shard_requests", "pre_filter_shard_size", "preference", "pretty", "realtime",
    "request_cache", "search_type", "timeout", "typed_keys",
)  # fmt: skip
OF_SOURCE = ("_source", "_source_includes", "_source_excludes")
"""The parameters that say what of `_source` is wanted."""


class Built(NamedTuple):
    """A text that is to become the vector of a question."""

    model: str
    text: str


class Picked(NamedTuple):
    """What of `_source` an answer has."""

    wanted: bool = True
    includes: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()


class AskedDocument(NamedTuple):
    """One of the documents that are asked for at once."""

    index_name: str
    identity: str
    source: Picked
    routing: str | None
    """By which a server finds the shard; None: the id."""


@dataclass(frozen=True, slots=True)
class Knn:
    """The part `knn` of a search."""

    field: str
    vector: list[float] | Built
    k: int
    filter: Filter
    similarity: float | None
    boost: float


@dataclass(frozen=True, slots=True)
class SearchQuestion:
    """A search."""

    knn: Knn | None
    query: Filter
    """What is asked for where there is no `knn`."""
    size: int
    start: int
    source: Picked
    fields: tuple[str, ...]
    least: float | None
    """Score below which a hit is left out."""
    total: bool | int
    """Whether all are counted, or up to how many."""


def read_search(body: Any, params: Mapping[str, str]) -> SearchQuestion:
    """Read a search.

    Args:
        body: of the request, as JSON.
        params: of the query string.

    Raises:
        InvalidArgument: something in it is not as Elasticsearch has it, or is not answered here.
    """
    body = unwrapped(as_object("search", body))
    check_params(params, ("size", "from", "track_total_hits", "rest_total_hits_as_int", *OF_SOURCE))
    check_known("search", body, _BODY)
    if "knn" in body and "query" in body:
        raise InvalidArgument(
            "[search] over this store lookalike answers knn, or query, and not the sum of both: put a filter "
            "into [knn] [filter]"
        )
    size = _whole("size", _said(body, params, "size", SIZE))
    start = _whole("from", _said(body, params, "from", 0))
    if start + size > MOST_HITS:
        raise InvalidArgument(f"[search] [from] + [size] is at most {MOST_HITS:,}, not {start + size:,}")
    _check_sort(body.get("sort", []))
    knn = _read_knn(body["knn"], size) if "knn" in body else None
    query = EVERYTHING
    if "query" in body:
        asked = body["query"]
        if isinstance(asked, dict) and list(asked) == ["knn"]:  # by the same words, and the same
            knn = _read_knn(asked["knn"], size)
        else:
            query = read_filter(asked)
    if query.score is None:
        raise InvalidArgument(
            "[query] over this store lookalike computes no BM25 of texts: put this into [bool] [filter], or "
            "[constant_score]"
        )
    least = body.get("min_score")
    return SearchQuestion(
        knn=knn,
        query=query,
        size=size,
        start=start,
        source=read_source(body, params),
        fields=_read_fields(body.get("fields", [])),
        least=None if least is None else number("min_score", least),
        total=_read_total(_said(body, params, "track_total_hits", MOST_HITS)),
    )


def unwrapped(body: dict[str, Any]) -> dict[str, Any]:
    """Return a search by a retriever as the same without: a `knn`, or a query.

    Raises:
        InvalidArgument: it is another retriever, or stands beside what it would be.
    """
    if "retriever" not in body:
        return body
    retriever = as_object("retriever", body["retriever"])
    beside = [name for name in ("knn", "query") if name in body]
    if beside:
        raise InvalidArgument(f"[retriever] cannot be specified with [{beside[0]}]")
    rest = {name: value for name, value in body.items() if name != "retriever"}
    if list(retriever) == ["knn"]:
        return {**rest, "knn": retriever["knn"]}
    standard = as_object("standard", retriever.get("standard", {}))
    if list(retriever) == ["standard"] and list(standard) == ["query"]:
        return {**rest, **standard}
    raise InvalidArgument(
        "[retriever] one of [knn], or one of [standard] with a query alone, is answered here"
    )


def read_mget(body: Any, index: str | None, params: Mapping[str, str]) -> list[AskedDocument]:
    """Read which documents are asked for at once.

    Raises:
        InvalidArgument: something in it is not as Elasticsearch has it, or is not answered here.
    """
    body = as_object("mget", body)
    check_params(params, (*OF_SOURCE, "routing"))
    check_known("mget", body, ("docs", "ids"))
    listed = body.get("docs", [{"_id": each} for each in _listed("ids", body.get("ids", []))])
    asked = []
    for each in _listed("docs", listed):
        said = as_object("docs", each)
        check_known("docs", said, ("_index", "_id", "_source", "routing"))
        named, identity = said.get("_index", index), said.get("_id")
        if not isinstance(named, str):
            raise InvalidArgument("[mget] each document names its index")
        if not isinstance(identity, str | int) or isinstance(identity, bool):
            raise InvalidArgument("[mget] each document has an _id")
        routing = said.get("routing")
        if not isinstance(routing, str | None):
            raise InvalidArgument("[routing] is a text")
        asked.append(AskedDocument(named, str(identity), read_source(said, params), routing))
    if not asked or len(asked) > MOST_HITS:
        raise InvalidArgument(f"[mget] asks for 1 to {MOST_HITS:,} documents")
    return asked


def _listed(what: str, given: Any) -> list[Any]:
    if not isinstance(given, list):
        raise InvalidArgument(f"[{what}] is a list")
    return given


def read_count(body: Any, params: Mapping[str, str]) -> Filter:
    """Read a count.

    Raises:
        InvalidArgument: something in it is not as Elasticsearch has it, or is not answered here.
    """
    body = as_object("count", body)
    check_params(params, ())
    check_known("count", body, ("query",))
    return read_filter(body["query"]) if "query" in body else EVERYTHING


def read_source(body: Mapping[str, Any], params: Mapping[str, str]) -> Picked:
    """Read what of `_source` is wanted: of a body, or of the query string.

    Raises:
        InvalidArgument: it cannot be read.
    """
    said = _said(body, params, "_source", default=True)
    if "_source" not in body:
        if said in ("true", "false"):
            said = said == "true"
        elif isinstance(said, str):
            said = said.split(",")
    picked = Picked()
    if isinstance(said, bool):
        picked = Picked(said)
    elif isinstance(said, dict):
        known = {"includes": "includes", "include": "includes", "excludes": "excludes", "exclude": "excludes"}
        check_known("_source", said, (*known, "exclude_vectors"))
        given = {known[name]: _patterns(name, said[name]) for name in said if name in known}
        picked = Picked(True, given.get("includes", ()), given.get("excludes", ()))
    else:
        picked = Picked(True, _patterns("_source", said))
    for name in ("includes", "excludes"):
        if f"_source_{name}" in params:
            picked = picked._replace(wanted=True, **{name: tuple(params[f"_source_{name}"].split(","))})
    return picked


def check_params(params: Mapping[str, str], known: tuple[str, ...]) -> None:
    """Refuse parameters of the query string that are not heeded.

    Raises:
        InvalidArgument: there is one.
    """
    for name in params:
        if name not in known and name not in _NEUTRAL:
            raise InvalidArgument(f"the parameter [{name[:100]}] is not heeded over this store: leave it out")


def _read_knn(given: Any, size: int) -> Knn:
    if isinstance(given, list):
        if len(given) != 1:
            raise InvalidArgument("[knn] over this store lookalike answers one, not the sum of several")
        (given,) = given
    knn = as_object("knn", given)
    check_known("knn", knn, _KNN)
    if not isinstance(knn.get("field"), str):
        raise InvalidArgument("[knn] needs a field")
    k = _whole("knn] [k", knn.get("k", size))
    wide = _whole("knn] [num_candidates", knn.get("num_candidates", max(k, 1)))
    if k < 1:
        raise InvalidArgument("[k] must be greater than 0")
    if wide < k:
        raise InvalidArgument("[num_candidates] cannot be less than [k]")
    if wide > MOST_HITS:
        raise InvalidArgument(f"[num_candidates] cannot exceed [{MOST_HITS}]")
    clauses = knn.get("filter", [])
    filters = clauses if isinstance(clauses, list) else [clauses]
    least = knn.get("similarity")
    return Knn(
        knn["field"],
        _read_vector(knn),
        k,
        read_filter({"bool": {"filter": filters}}),
        None if least is None else number("knn] [similarity", least),
        boost("knn", knn),
    )


def _read_vector(knn: Mapping[str, Any]) -> list[float] | Built:
    if ("query_vector" in knn) == ("query_vector_builder" in knn):
        raise InvalidArgument("[knn] needs one of [query_vector] and [query_vector_builder]")
    if "query_vector" in knn:
        given = knn["query_vector"]
        if not isinstance(given, list) or not given:
            raise InvalidArgument("[query_vector] is a list of numbers")
        return [number("query_vector", each) for each in given]
    return read_built(knn["query_vector_builder"])


def read_built(given: Any) -> Built:
    """Read a `query_vector_builder`.

    Raises:
        InvalidArgument: it names no model and text.
    """
    builder = as_object("query_vector_builder", given)
    check_known("query_vector_builder", builder, ("text_embedding",))
    said = as_object("text_embedding", builder.get("text_embedding"))
    check_known("text_embedding", said, ("model_id", "model_text"))
    model, text = said.get("model_id"), said.get("model_text")
    if not isinstance(model, str) or not isinstance(text, str):
        raise InvalidArgument("[text_embedding] needs model_id and model_text")
    return Built(model, text)


def _read_fields(given: Any) -> tuple[str, ...]:
    if not isinstance(given, list):
        raise InvalidArgument("[fields] is a list")
    names = []
    for each in given:
        name = each.get("field") if isinstance(each, dict) else each
        if isinstance(each, dict):
            check_known("fields", each, ("field",))
        if not isinstance(name, str):
            raise InvalidArgument("[fields] has names of fields")
        if name.startswith(("vector_", "image_embedding")):
            raise InvalidArgument("[fields] over this store lookalike gives no vectors out of a search")
        names.append(name)
    return tuple(names)


def _check_sort(given: Any) -> None:
    for each in given if isinstance(given, list) else [given]:
        if each not in ("_score", {"_score": "desc"}, {"_score": {"order": "desc"}}):
            raise InvalidArgument("[sort] over this store answers come by falling score only")


def _read_total(given: Any) -> bool | int:
    if given in ("true", "false"):
        return bool(given == "true")
    return given if isinstance(given, bool) else _whole("track_total_hits", given)


def _said(body: Mapping[str, Any], params: Mapping[str, str], name: str, default: Any) -> Any:
    return body.get(name, params.get(name, default))


def _whole(what: str, given: Any) -> int:
    if isinstance(given, str) and given.isascii() and given.isdigit() and len(given) < MOST_HITS:
        given = int(given[:20])
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        raise InvalidArgument(f"[{what}] is a whole number from 0")
    return int(given)


def _patterns(what: str, given: Any) -> tuple[str, ...]:
    several = [given] if isinstance(given, str) else given
    if not isinstance(several, list) or not all(isinstance(each, str) for each in several):
        raise InvalidArgument(f"[{what}] has names of fields")
    return tuple(several)


def as_object(what: str, given: Any) -> dict[str, Any]:
    """Return what is an object in a request.

    Raises:
        InvalidArgument: it is none.
    """
    if not isinstance(given, dict):
        raise InvalidArgument(f"[{what}] is an object")
    return given
