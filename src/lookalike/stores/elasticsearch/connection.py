"""Requests to an Elasticsearch server: sent, repeated while it is busy, and checked for refusals."""

from __future__ import annotations

import json
import logging
import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from lookalike.errors import ExtraMissing, InvalidArgument, StoreError, StoreUnreachable
from lookalike.stores.elasticsearch.errors import (
    Refusal,
    read_refusal,
    refused_document,
    refused_search,
    translated,
)

try:
    import elasticsearch
except ImportError as error:
    raise ExtraMissing("Elasticsearch", "elasticsearch") from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from lookalike.stores.elasticsearch.address import ElasticsearchAddress

# Elastic's client: 500 documents and 10 MiB are sizes that its bulk helpers name; a server takes 100 MB.
_BULK_DOCUMENTS = 500
_BULK_BYTES = 10 << 20
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0

# Without this a host that failed would be told of on stderr by the client's own log.
logging.getLogger("elastic_transport").addHandler(logging.NullHandler())


class Reply(NamedTuple):
    """What the server answered."""

    status: int
    body: Any


class ElasticsearchClient:
    """One server or cluster; threads may share it. It connects when first asked.

    A request whose connection breaks is sent once more, to another host where there are several: each is made
    so that it may arrive twice. A server that is busy is asked again until `timeout` is over.

    Args:
        address: where it is and how one gets in.
        timeout: seconds to wait for an answer.
    """

    def __init__(self, address: ElasticsearchAddress, timeout: float) -> None:
        self.url = address.url
        self._timeout = timeout
        secure = {"ca_certs": address.ca_file} if address.ca_file else {}
        try:
            self._client = elasticsearch.Elasticsearch(
                address.hosts,
                basic_auth=address.user,
                api_key=address.api_key,
                request_timeout=timeout,
                max_retries=len(address.hosts),
                retry_on_status=(),
                **secure,  # type: ignore[arg-type]  # only this one, where it is given
            )
        except (OSError, ValueError) as error:
            raise InvalidArgument(f"{address.url}: no connection can be made from this URL") from error

    def close(self) -> None:
        """Give back the connections; another request opens them again."""
        self._client.close()

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        params: dict[str, str] | None = None,
        allow: tuple[int, ...] = (),
        refused: Callable[[Any], Refusal | None] = lambda _: None,
    ) -> Reply:
        """Send one request, and again while the server says that it is busy.

        Args:
            method: GET, POST, PUT or DELETE.
            path: from the slash on.
            body: what JSON can hold, or bytes: lines of JSON.
            params: of the query string.
            allow: statuses beside 2xx that are answers.
            refused: finds in an answer of status 200 what was not done.

        Raises:
            IndexGone: an index it names is not there.
            StoreError: the server cannot be reached or refuses.
        """
        lines = isinstance(body, bytes)
        headers = {"accept": "application/json"}
        if body is not None:
            headers["content-type"] = f"application/{'x-ndjson' if lines else 'json'}"
            # In ASCII: a lone surrogate has no UTF-8.
            body = body if lines else json.dumps(body)
        deadline, pause = time.monotonic() + self._timeout, _FIRST_PAUSE
        while True:
            try:
                answer = self._client.perform_request(method, path, params=params, headers=headers, body=body)
                refusal = refused(answer.body)
                if refusal is None:
                    return Reply(answer.meta.status, answer.body)
            except elasticsearch.ApiError as error:
                refusal = read_refusal(error.meta.status, error.body)
                if error.meta.status in allow and isinstance(error.body, dict):
                    return Reply(error.meta.status, error.body)
            except elasticsearch.TransportError as error:
                raise StoreUnreachable(self.url, self._why_unreachable(error)) from error
            except elasticsearch.UnsupportedProductError as error:
                raise StoreError(self.url, "what answers there is no Elasticsearch") from error
            if not refusal.passes or time.monotonic() + pause > deadline:
                raise translated(self.url, refusal, self._timeout)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def make_index(self, index: str, body: dict[str, Any]) -> None:
        """Make an index, unless it is there: another process, or this request before, may have made it."""
        reply = self.request("PUT", f"/{index}", body, allow=(400,))
        if reply.status == 400:
            refusal = read_refusal(400, reply.body)
            if refusal.kind != "resource_already_exists_exception":
                raise translated(self.url, refusal, self._timeout)

    def search(self, searches: Sequence[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
        """Answer searches, each an index and a body, in one request; every shard must have answered."""
        if not searches:
            return []
        lines = b"".join(search_lines(index, body) for index, body in searches)
        answer = self.request("POST", "/_msearch", lines, refused=refused_search)
        found: list[dict[str, Any]] = answer.body["responses"]
        return found

    def fetch(self, index: str, ids: Sequence[str], source: Sequence[str] | None) -> list[dict[str, Any]]:
        """Return the documents of these ids that are there, in order, as written last, refreshed or not.

        Args:
            index: one index or alias.
            ids: those of the documents.
            source: the fields that are wanted; None for none.
        """
        if not ids:
            return []
        params = {"_source": "false" if source is None else ",".join(source)}
        reply = self.request(
            "POST", f"/{index}/_mget", {"ids": list(ids)}, params=params, refused=refused_document
        )
        return [one for one in reply.body["docs"] if one["found"]]

    def bulk(
        self, index: str, actions: Iterable[bytes], *, allow: tuple[int, ...] = ()
    ) -> list[dict[str, Any]]:
        """Do many actions in some requests, then let all see what they did.

        Args:
            index: an alias: were its index deleted, writing to it would make a new one.
            actions: each as the lines that the bulk API has for it.
            allow: statuses of an action beside 2xx that are answers.

        Returns:
            What came of each action, in order.

        Raises:
            IndexGone: the alias is not there.
            StoreError: an action was refused; those before it, and some after it, are done.
        """
        results: list[dict[str, Any]] = []
        parts = 0
        chunks = _chunks(actions)
        chunk = next(chunks, None)
        while chunk is not None:
            following = next(chunks, None)
            alone = not parts and following is None
            results += self._bulk_chunk(index, chunk, "true" if alone else "false", allow)
            parts += 1
            chunk = following
        if parts > 1:
            self.request("POST", f"/{index}/_refresh")
        return results

    def _bulk_chunk(
        self, index: str, actions: list[bytes], refresh: str, allow: tuple[int, ...]
    ) -> list[dict[str, Any]]:
        results: list[dict[str, Any]] = [{} for _ in actions]
        # Below the client's own: so that it is the server that says what it waited for.
        wait = max(1, int(self._timeout * 0.8))
        params = {"refresh": refresh, "require_alias": "true", "timeout": f"{wait}s"}
        deadline, pause = time.monotonic() + self._timeout, _FIRST_PAUSE
        todo = list(range(len(actions)))
        while todo:
            body = b"".join(actions[place] for place in todo)
            reply = self.request("POST", f"/{index}/_bulk", body, params=params)
            again = []
            for place, item in zip(todo, reply.body["items"], strict=True):
                (result,) = item.values()
                results[place] = result
                if "error" in result and result["status"] not in allow:
                    refusal = read_refusal(result["status"], result)
                    if not refusal.passes or time.monotonic() + pause > deadline:
                        raise translated(self.url, refusal, self._timeout)
                    again.append(place)
            todo = again
            if todo:
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
        return results

    def _why_unreachable(self, error: elasticsearch.TransportError) -> str:
        if isinstance(error, elasticsearch.ConnectionTimeout):
            return f"no answer within {self._timeout:g} s: is it running, and does a firewall let us through?"
        if isinstance(error, elasticsearch.SerializationError):
            return "what answers there does not speak as Elasticsearch does: check host and port"
        if isinstance(error, elasticsearch.SSLError):
            return "its certificate is not trusted, or it speaks no TLS: name its CA with ?ca_file=FILE"
        named = re.search(r"\[Errno -?\d+\] ([^)\]'\"]+)", str(error))
        reason = named[1].lower() if named else "the connection broke"
        return f"no server answers there: {reason}; is it running?"


def action_lines(action: dict[str, Any], document: dict[str, Any] | None = None) -> bytes:
    """Return one action of a bulk request, in ASCII."""
    lines = [action] if document is None else [action, document]
    return b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)


def search_lines(index: str, body: dict[str, Any]) -> bytes:
    """Return one search of a multi-search: one that answers only if all shards do."""
    return action_lines({"index": index, "allow_partial_search_results": False}, body)


def _chunks(actions: Iterable[bytes]) -> Iterator[list[bytes]]:
    chunk: list[bytes] = []
    size = 0
    for action in actions:
        if chunk and (len(chunk) == _BULK_DOCUMENTS or size + len(action) > _BULK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(action)
        size += len(action)
    if chunk:
        yield chunk
