"""HTTP requests to a service, with retries, and its refusals as errors."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from lookalike.client.errors import ServiceError, ServiceUnreachable, service_error
from lookalike.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Part = tuple[str, tuple[str | None, bytes | str, str]]

JSON = "application/json"

_M = TypeVar("_M", bound=BaseModel)

TIMEOUT = 60.0
"""Seconds in which an answer must have come: a picture takes the service a tenth of one, the first
classification of a collection of ten thousand images some tens."""

RETRIES = 3
"""Times that a request is sent again, where nobody answers the call or the service says that it is busy."""

# Longer than that no caller is kept waiting, whatever Retry-After says.
_LONGEST_WAIT = 30.0


class Connection:
    """Sends requests to a service, again where it is busy; thread-safe."""

    def __init__(self, url: str, *, key: str | None, timeout: float, retries: int) -> None:
        """Check the address: see `Client`.

        Raises:
            InvalidArgument: it is none.
        """
        try:
            self._url = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise InvalidArgument(f"{url!r} is no address: {error}") from error
        if self._url.scheme not in ("http", "https") or not self._url.host:
            raise InvalidArgument(f"{url!r} is no address of a service: write http://127.0.0.1:8000")
        self._timeout = timeout
        self._retries = retries
        self._client = httpx.Client(
            base_url=self._url,
            headers={} if key is None else {"Authorization": f"Bearer {key}"},
            timeout=timeout,
            transport=httpx.HTTPTransport(retries=retries),
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def request(
        self,
        answer: type[_M],
        method: str,
        *path: str,
        query: Mapping[str, Any] | None = None,
        body: BaseModel | None = None,
        parts: Sequence[Part] = (),
        again: bool = True,
    ) -> _M:
        """Send a request and read its answer; see `send`.

        Args:
            answer: what is answered.
            method: of HTTP.
            path: parts of the path, as they are.
            query: of the address; None is left out.
            body: sent as JSON; fields that were not set are left out.
            parts: those of a multipart request.
            again: whether it may be sent twice.
        """
        response = self.send(method, *path, query=query, body=body, parts=parts, again=again)
        try:
            # The standard library's json reads half a surrogate pair, which labels and names may have.
            return answer.model_validate(response.json())
        except ValueError as error:
            raise ServiceError(
                f"{self._url} answers, but not as lookalike does: {str(error).splitlines()[0]}",
                status=response.status_code,
            ) from error

    def post_query(
        self,
        answer: type[_M],
        query: BaseModel,
        images: Sequence[tuple[str, bytes]],
        *path: str,
        again: bool = True,
    ) -> _M:
        """Post a query, as multipart where it has images, and read its answer; see `send`."""
        if not images:
            return self.request(answer, "POST", *path, body=query, again=again)
        parts: list[Part] = [("query", (None, as_json(query), JSON)), *image_parts(images)]
        return self.request(answer, "POST", *path, parts=parts, again=again)

    def send(
        self,
        method: str,
        *path: str,
        query: Mapping[str, Any] | None = None,
        body: BaseModel | None = None,
        parts: Sequence[Part] = (),
        again: bool = True,
    ) -> httpx.Response:
        """Send a request and return its answer.

        Raises:
            InvalidArgument: a name in the path is none.
            ServiceError: there is no answer, or it is a refusal.
        """
        request = self._client.build_request(
            method,
            "/" + "/".join(map(_part, path)),
            params={name: value for name, value in (query or {}).items() if value is not None},
            content=None if body is None else as_json(body),
            headers={} if body is None else {"Content-Type": JSON},
            files=parts or None,
        )
        for tries_left in reversed(range(self._retries + 1 if again else 1)):
            response = self._once(request)
            if response.status_code != httpx.codes.SERVICE_UNAVAILABLE or not tries_left:
                break
            time.sleep(_wait(response))
        if not response.is_success:
            raise _refusal(response)
        return response

    @contextmanager
    def stream(self, *path: str, query: Mapping[str, Any] | None = None) -> Iterator[Iterator[bytes]]:
        """Ask for something large, and read it piece by piece while the block lasts; it is asked for once.

        Args:
            path: parts of the path, as they are.
            query: of the address; None is left out.

        Raises:
            InvalidArgument: a name in the path is none.
            ServiceError: there is no answer, it is a refusal, or it ends early.
        """
        given = {name: value for name, value in (query or {}).items() if value is not None}
        request = self._client.build_request("GET", "/" + "/".join(map(_part, path)), params=given)
        with self._told():
            response = self._client.send(request, stream=True)
            try:
                if not response.is_success:
                    response.read()
                    raise _refusal(response)
                yield response.iter_bytes()
            finally:
                response.close()

    def _once(self, request: httpx.Request) -> httpx.Response:
        with self._told():
            return self._client.send(request)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Raise what is wrong with a connection as errors of ours."""
        try:
            yield
        except httpx.TimeoutException as error:
            raise ServiceUnreachable(
                f"{self._url} did not answer within {self._timeout:g} seconds"
            ) from error
        except httpx.ConnectError as error:
            raise ServiceUnreachable(
                f"nobody answers at {self._url} ({error}): does `lookalike serve` run there?"
            ) from error
        except httpx.HTTPError as error:
            raise ServiceUnreachable(f"the connection to {self._url} broke: {error}") from error


def _part(name: str) -> str:
    """Return a name as one part of a path.

    Raises:
        InvalidArgument: it would lead elsewhere: `..` of an image leads to its collection (RFC 3986, section
            5.2.4).
    """
    try:
        if name not in ("", ".", ".."):
            return quote(name, safe="")
    except UnicodeEncodeError:  # half a surrogate pair
        pass
    raise InvalidArgument(f"{name!r} is no name of a collection, an image or a job")


def build_query(kind: type[_M], given: Mapping[str, Any]) -> _M:
    """Validate a query.

    Args:
        kind: of the query.
        given: its values; None is left out.

    Raises:
        InvalidArgument: one of them is out of its range.
    """
    try:
        return kind.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        place = "/".join(str(part) for part in first["loc"]) or "the question"
        raise InvalidArgument(f"{place}: {first['msg']}") from error


def image_parts(images: Sequence[tuple[str, bytes]]) -> list[Part]:
    """Return images, of name and bytes, as parts of a multipart request."""
    # What it really is, the service sees from its bytes.
    return [("image", (name, data, "application/octet-stream")) for name, data in images]


def as_json(query: BaseModel) -> str:
    """Return a query as JSON, without what was not set."""
    return json.dumps(query.model_dump(exclude_unset=True))


def _wait(response: httpx.Response) -> float:
    """Return the seconds after which to ask again: Retry-After, or 1."""
    try:
        seconds = float(response.headers.get("Retry-After", "1"))
    except ValueError:  # a date
        seconds = 1.0
    return min(max(seconds, 0.0), _LONGEST_WAIT)


def _refusal(response: httpx.Response) -> ServiceError:
    """Return what a service refused as an error: a problem (RFC 9457), or OpenAI's shape."""
    try:
        said = response.json()
    except ValueError:
        said = {}
    said = said if isinstance(said, dict) else {}
    error = said.get("error", "")
    if isinstance(error, dict):
        detail, error = error.get("message"), error.get("code")
    else:
        detail = said.get("detail")
    detail = detail or f"{response.url} answers {response.status_code} {response.reason_phrase}"
    return service_error(response.status_code, str(detail), str(error or ""))
