"""Error answers of an Elasticsearch server, translated into errors of the package."""

from __future__ import annotations

from typing import Any, NamedTuple

from lookalike.errors import StoreBusy, StoreDenied, StoreError, StoreFull, StoreReadOnly, StoreUnreachable
from lookalike.file_names import display

# A server that is overrun, or whose shards are not all up yet, says so with these; asking again helps.
_PASSING = frozenset({429, 502, 503, 504})
# What a search says whose index went while its results were read.
_GONE = frozenset({"search_context_missing_exception", "search_phase_execution_exception"})
_NO_INDEX = "index_not_found_exception"
_CLOSED = "index_closed_exception"
_SHOWN = 300  # characters of the server's own words


class IndexGone(Exception):
    """The index that was asked is not there, or no longer."""


class Refusal(NamedTuple):
    """What was not done, in the server's words."""

    status: int
    kind: str
    """The type of the error, such as `index_not_found_exception`."""
    reason: str

    @property
    def passes(self) -> bool:
        """Whether the same request may succeed a moment later."""
        # A disk that is too full is also told with 429, and stays so (the block of the flood stage).
        return self.status in _PASSING and not (self.kind == "cluster_block_exception" and self.status == 429)


def read_refusal(status: int, body: object) -> Refusal:
    """Return the refusal that an answer with an `error` tells of, of a request or of a part of one."""
    error = body.get("error", "") if isinstance(body, dict) else ""
    if isinstance(error, dict):
        return Refusal(status, str(error.get("type", "")), str(error.get("reason", "")))
    return Refusal(status, "", str(error))


def refused_search(body: dict[str, Any]) -> Refusal | None:
    """Return the first refusal among the answers of a multi-search."""
    return next((read_refusal(one["status"], one) for one in body["responses"] if "error" in one), None)


def refused_document(body: dict[str, Any]) -> Refusal | None:
    """Return the first refusal among the documents of a multi-get."""
    refusal = next((read_refusal(503, one) for one in body["docs"] if "error" in one), None)
    # Here an error has no status of its own.
    return refusal._replace(status=404) if refusal and refusal.kind == _NO_INDEX else refusal


def translated(url: str, refusal: Refusal, timeout: float) -> Exception:
    """Return what a refusal is to our callers.

    Args:
        url: of the store, without secrets.
        refusal: one that asking again did not change.
        timeout: seconds for which it was asked again, where it passes.
    """
    status, kind = refusal.status, refusal.kind
    said = display(refusal.reason[:_SHOWN])
    if kind == _NO_INDEX or (status == 404 and kind in _GONE):
        return IndexGone(said)
    if kind == _CLOSED:
        return StoreError(url, "the index is closed; its owner opens it (POST /INDEX/_open)")
    if kind == "cluster_block_exception" and status != 503:
        return _blocked(url, said)
    known = {
        401: StoreDenied(url, "the server refuses the API key, or user and password"),
        403: StoreDenied(url, f"a right is missing: {said}"),
        413: StoreError(url, "the server takes no request of that size (its http.max_content_length)"),
        429: StoreBusy(url, f"the server was too busy for {timeout:g} s: {said}"),
    }
    if status in known:
        return known[status]
    if status in _PASSING:
        return StoreUnreachable(url, f"the server is there, but not all of it is up: {said}")
    return StoreError(url, f"the server answers {status} {kind}: {said}")


def _blocked(url: str, said: str) -> StoreError:
    # Numbers of blocks: 5 read_only, 8 write, 12 read_only_allow_delete (IndexMetadata in the source).
    if "/12/" in said:
        return StoreFull(url, f"no space left: the server takes nothing more: {said}")
    if "/5/" in said or "/8/" in said:
        return StoreReadOnly(url, f"may be read only: {said}")
    return StoreDenied(url, f"is blocked: {said}")
