"""Requests that are passed on to an Elasticsearch server as they are, and answers that come as a stream."""

from __future__ import annotations

import base64
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import urllib3

from lookalike.errors import StoreUnreachable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lookalike.stores.elasticsearch.address import ElasticsearchAddress

_CONNECTIONS = 16  # that are kept open to one host


class PassedAnswer:
    """What the server answered, read as it comes."""

    def __init__(self, answer: urllib3.BaseHTTPResponse, url: str) -> None:
        self._answer = answer
        self._url = url
        self.status = answer.status
        self.media_type = answer.headers.get("content-type", "application/json")

    def read(self, size: int) -> bytes:
        """Return the next bytes of the body: see `RawAnswer`."""
        try:
            return self._answer.read(size)
        except urllib3.exceptions.HTTPError as error:
            raise StoreUnreachable(self._url, "the connection broke while it answered") from error

    def close(self) -> None:
        """Give the connection back; one whose answer was not read to its end is closed."""
        if self._answer.closed:
            self._answer.release_conn()
        else:
            self._answer.close()


class ElasticsearchPassage:
    """Passes requests on to the first of a store's hosts that answers; threads may share it.

    Elastic's own client, which all else here is asked by, reads answers whole.

    Args:
        address: where the hosts are and how one gets in.
        timeout: seconds to wait for the beginning of an answer, and for each part of it.
    """

    def __init__(self, address: ElasticsearchAddress, timeout: float) -> None:
        self._url = address.url
        self._hosts = address.hosts
        self._headers = {"accept": "application/json", **_authorization(address)}
        secure: dict[str, ssl.SSLContext] = {}
        if any(host.startswith("https:") for host in address.hosts):
            secure = {"ssl_context": ssl.create_default_context(cafile=address.ca_file)}
        self._pool = urllib3.PoolManager(
            maxsize=_CONNECTIONS,
            retries=False,
            timeout=timeout,
            **secure,  # type: ignore[arg-type]
        )

    def close(self) -> None:
        """Close the connections; another request opens them again."""
        self._pool.clear()

    def send(
        self, method: str, path: str, body: bytes | None, params: Mapping[str, str], lines: bool
    ) -> PassedAnswer:
        """Send a request: see `KeepsDocuments.pass_on`."""
        headers = dict(self._headers)
        if body is not None:
            headers["content-type"] = f"application/{'x-ndjson' if lines else 'json'}"
        query = f"?{urlencode(params)}" if params else ""
        failed: Exception | None = None
        for host in self._hosts:
            try:
                answer = self._pool.urlopen(
                    method, f"{host}{path}{query}", body=body, headers=headers, preload_content=False,
                    redirect=False,
                )  # fmt: skip
                return PassedAnswer(answer, self._url)
            except urllib3.exceptions.HTTPError as error:
                failed = error
        raise StoreUnreachable(self._url, "no host answered what was passed on; is it running?") from failed


def _authorization(address: ElasticsearchAddress) -> dict[str, str]:
    if address.user is not None:
        return {"authorization": f"Basic {_encoded(':'.join(address.user))}"}
    key = address.api_key
    if key is None:
        return {}
    return {"authorization": f"ApiKey {key if isinstance(key, str) else _encoded(':'.join(key))}"}


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
