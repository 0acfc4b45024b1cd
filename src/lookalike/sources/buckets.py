"""Buckets of an object store, listed, read and signed through obstore.

Settings are those that obstore takes from the environment, which other programs share: AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL, GOOGLE_SERVICE_ACCOUNT,
AZURE_STORAGE_ACCOUNT_NAME and so on, else the role of the machine. What a server says in its own words may
repeat keys and signed addresses, so of an error only its kind and its code are told.
"""

from __future__ import annotations

import errno
import os
import re
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from lookalike.errors import ExtraMissing, SourceDenied, SourceError, SourceUnreachable, UnusableImage
from lookalike.sources.s3_listing import listed_pages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import ModuleType

    from obstore.store import ClientConfig, RetryConfig, S3Config

_T = TypeVar("_T")

# Objects of a page: what servers give at most in one answer.
_PAGE = 1000
# A server that is started anew is waited for some 6 seconds: 0.1 + 0.2 + 0.4 + 0.8 + 1.6 + 3.2.
_RETRIES = 6
_FIRST_WAIT = timedelta(milliseconds=100)
_LONGEST_WAIT = timedelta(seconds=10)
_NO_LONGER = timedelta(seconds=60)
# Of all that they begin with, other programs have their own: AWS_PAGER, AWS_CA_BUNDLE.
_WHO = re.compile("ACCESS_KEY|ACCOUNT|CREDENTIALS|ENDPOINT|REGION|ROLE|SKIP_SIGNATURE|TOKEN")
_SETTINGS = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_"}
_ENDPOINTS = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "gs": ("GOOGLE_BASE_URL",),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
_CODE = re.compile(r"<Code>([A-Za-z.]{3,60})</Code>")
_STATUS = re.compile(r"\b(?:status|code)\W{1,3}([45]\d\d)\b", re.IGNORECASE)
_UNNAMEABLE = re.compile(
    r"""Path "(.{1,1100}?)" contained empty|Error parsing Path "(.{1,1100}?)":""", re.DOTALL
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
UNASKABLE = (
    "a key with an empty name between slashes, with . or .. for one, or with control characters cannot be "
    "asked for: rename it"
)
# What S3 refuses of one object, and gives of others.
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_OF_ONE_OBJECT = {
    "InvalidObjectState": "it is archived (Glacier): restore it first",
    "InvalidRequest": "the server does not give it without the key that it was encrypted with",
}
_KMS = "KMS."
# Of a bucket in another region; obstore's own words of an answer that redirects to nowhere.
_OTHER_REGION = re.compile("Redirect|AuthorizationHeaderMalformed|LocationConstraint")
_NO_LOCATION = "incorrectly configured region"
_UNUSABLE = "the settings in the environment, or the name, cannot be used"
# An end of obstore that no `except Exception` sees: pyo3_runtime.PanicException, which cannot be imported.
_PANIC = "PanicException"
# Where a machine in a cloud is asked for its role: link-local, RFC 3927.
_MACHINE = "//169.254."


class UnaskableKey(SourceError):
    """A listing has a key that cannot be asked for, and cannot be given without it."""


class ObjectMeta(NamedTuple):
    """What a server says of one object."""

    key: str
    size: int
    e_tag: str
    """Without quotation marks; where a server gives none, the time of the last modification."""
    version: str
    """Empty where the server does not say it."""


class Bucket:
    """One bucket of a server; threads may share it."""

    def __init__(self, scheme: str, name: str) -> None:
        """Name it; no server is asked.

        Args:
            scheme: s3, gs or az.
            name: of the bucket.

        Raises:
            ExtraMissing: obstore is not installed.
            SourceError: the settings contradict each other, or one cannot be used.
        """
        self.uri = f"{scheme}://{name}"
        self._obstore = _obstore()
        self._store = _open(scheme, name, _settings(scheme, os.environ))

    def pages(self, prefix: str, after: str | None = None) -> Iterator[Sequence[ObjectMeta]]:
        """List the objects below a prefix, some at a time.

        Args:
            prefix: whole names between slashes; empty for all.
            after: a key: only those that come after it.

        Raises:
            UnaskableKey: there is a key that cannot be asked for, and the server is not S3, or may not be
                asked by signed requests: from S3 such keys are among the others.
            SourceError: it cannot be listed.
        """
        stream = self._obstore.list(self._store, prefix or None, offset=after, chunk_size=_PAGE)
        count, last = 0, None
        while True:
            try:
                page = self._ask(None, lambda: next(stream, None))
            except UnaskableKey as refusal:
                yield from self._other_pages(prefix, after, count, last, refusal)
                return
            if page is None:
                return
            listed = [_meta(each) for each in page]
            count, last = count + len(listed), listed[-1]
            yield listed

    def level(self, prefix: str) -> tuple[list[str], list[str]]:
        """List what is directly below a prefix: the prefixes there, and the keys of objects.

        Raises:
            UnaskableKey: there is a key that cannot be asked for.
            SourceError: it cannot be listed.
        """
        found = self._ask(None, lambda: self._obstore.list_with_delimiter(self._store, prefix or None))
        return list(found["common_prefixes"]), [str(each["path"]) for each in found["objects"]]

    def _other_pages(
        self, prefix: str, after: str | None, count: int, last: ObjectMeta | None, refusal: UnaskableKey
    ) -> Iterator[Sequence[ObjectMeta]]:
        """List, by the server's own words, what comes after the first objects, of which this is the last."""
        if not self.uri.startswith("s3:"):
            raise refusal
        settings = _settings("s3", os.environ)
        pages = listed_pages(
            self._obstore, self._store, lambda address: _store(self.uri, settings, address), prefix, after
        )
        while True:
            try:
                page = next(pages, None)
            except (self._obstore.exceptions.BaseError, ValueError, OSError):
                page = ()
            if page is None:
                return
            listed = [_meta(each) for each in page]
            if not listed or (0 < count <= len(listed) and listed[count - 1] != last):
                raise refusal  # also where the bucket has changed meanwhile
            yield listed[count:]
            count = max(0, count - len(listed))

    def head(self, key: str) -> ObjectMeta:
        """Ask for what is known of an object.

        Raises:
            OSError: it is not there, or may not be read.
            SourceError: the server does not answer, or refuses everything.
        """
        return _meta(self._ask(key, lambda: self._obstore.head(self._store, key)))

    def get(self, key: str, most: int) -> tuple[bytes, ObjectMeta]:
        """Read an object whole.

        Args:
            key: of the object.
            most: bytes that are taken.

        Raises:
            UnusableImage: it has more bytes.
            OSError: it is not there, or may not be read.
            SourceError: the server does not answer, or refuses everything.
        """
        for last in (False, True):
            answer = self._ask(key, lambda: self._obstore.get(self._store, key))
            meta = _meta(answer.meta)
            if meta.size > most:
                raise UnusableImage(f"{self.uri}/{key}", f"{meta.size:,} bytes, more than {most:,}")
            try:
                return self._ask(key, lambda: bytes(answer.bytes())), meta  # noqa: B023 called at once
            except SourceUnreachable:
                # A server that went away in the middle of an object is waited for, as one that is not there.
                if last:
                    raise
        raise AssertionError("the last one returns or raises")

    def part(self, key: str, start: int, end: int) -> tuple[bytes, ObjectMeta]:
        """Read some bytes of an object, and what is known of it.

        Args:
            key: of the object.
            start: the first byte, from 0; below its size.
            end: after the last one.

        Raises:
            OSError: it is not there, or may not be read.
            SourceError: the server does not answer, or refuses everything.
        """
        options = {"range": (start, end)}
        answer = self._ask(key, lambda: self._obstore.get(self._store, key, options=options))
        return self._ask(key, lambda: bytes(answer.bytes())), _meta(answer.meta)

    def sign(self, key: str, seconds: int) -> str:
        """Return a URL by which anybody may read an object for some time.

        Raises:
            SourceError: there are no keys to sign with.
        """
        lasting = timedelta(seconds=seconds)
        return str(self._ask(key, lambda: self._obstore.sign(self._store, "GET", key, lasting)))

    def _ask(self, key: str | None, request: Callable[[], _T]) -> _T:
        """Return what becomes of a request, or say why nothing does, without the words of the server.

        Args:
            key: of the object that is asked for; None: the bucket is listed.
            request: asks.
        """
        try:
            return request()
        except (self._obstore.exceptions.BaseError, ValueError, OSError) as error:
            refusal = self._refusal(error, key)
        except BaseException as error:
            if type(error).__name__ != _PANIC:
                raise
            refusal = SourceError(self.uri, _UNUSABLE)
        # Outside the `except`: nothing that prints a chain of errors shall have the server's words.
        raise refusal

    def _refusal(self, error: Exception, key: str | None) -> Exception:
        known, text = self._obstore.exceptions, str(error)
        if _MACHINE in text:
            profiles = " (profiles are not read)" if self.uri.startswith("s3:") else ""
            said = f"no keys are in the environment{profiles}, and this machine has no role"
            return SourceDenied(self.uri, said)
        status = _STATUS.search(text)
        found = _CODE.search(text) or status
        code = found[1] if found else ""
        if code in ("NoSuchBucket", "ContainerNotFound") or (
            isinstance(error, FileNotFoundError) and key is None
        ):
            return SourceError(self.uri, "the server has no such bucket")
        if isinstance(error, FileNotFoundError):
            return FileNotFoundError(errno.ENOENT, "no such object")
        if unnameable := _UNNAMEABLE.search(text):
            named = (unnameable[1] or unnameable[2]).encode("unicode_escape").decode()
            return UnaskableKey(
                self.uri, f"an object is called {named!r}: {UNASKABLE}, or index prefixes beside it"
            )
        if _NO_LOCATION in text or (_OTHER_REGION.search(code) and self.uri.startswith("s3:")):
            return SourceError(self.uri, "it is in another region than AWS_REGION says")
        if key is not None and (code in _OF_ONE_OBJECT or code.startswith(_KMS)):
            return PermissionError(errno.EACCES, _OF_ONE_OBJECT.get(code, f"its key refuses it ({code})"))
        denied = known.PermissionDeniedError, known.UnauthenticatedError
        if isinstance(error, denied) or (status and status[1] in ("401", "403")):
            if key is not None and code in ("AccessDenied", "403", ""):
                return PermissionError(errno.EACCES, "the server refuses access to this object")
            said = f" ({code})" if code else ""
            return SourceDenied(
                self.uri, f"the server refuses access{said}: look at the keys and rights in the environment"
            )
        if code:
            return SourceError(self.uri, f"the server answers with an error ({code})")
        return SourceUnreachable(self.uri, "no server answers, or it went away in the middle")


def is_askable(key: str) -> bool:
    """Tell whether an object of this key can be asked for: see `UNASKABLE`."""
    return not any(name in ("", ".", "..") or _CONTROL.search(name) for name in key.split("/"))


def has_settings(scheme: str) -> bool:
    """Tell whether the environment says who we are, or which server it is: a region, say."""
    return any(name.startswith(_SETTINGS[scheme]) and _WHO.search(name) for name in os.environ)


@lru_cache(maxsize=1)
def _obstore() -> ModuleType:
    try:
        import obstore
        import obstore.exceptions
    except ImportError as error:
        raise ExtraMissing("reading from object storage", "objects") from error
    return obstore


def _settings(scheme: str, environment: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return what of the environment says how a bucket is reached: one that changed is opened anew."""
    return tuple(sorted(each for each in environment.items() if each[0].startswith(_SETTINGS[scheme])))


@lru_cache(maxsize=64)
def _open(scheme: str, name: str, settings: tuple[tuple[str, str], ...]) -> Any:
    return _store(f"{scheme}://{name}", settings)


def _store(uri: str, settings: tuple[tuple[str, str], ...], address: str | None = None) -> Any:
    """Return obstore's store of a bucket; of an S3 bucket at this address, perhaps."""
    from obstore.exceptions import BaseError
    from obstore.store import from_url

    given, scheme = dict(settings), uri.partition(":")[0]
    _check_settings(uri, given)
    named = next((name for name in _ENDPOINTS[scheme] if given.get(name)), "")
    endpoint = given.get(named, "")
    if endpoint and not _is_address(endpoint):
        raise SourceError(uri, f"{named} in the environment is no address, http://… or https://…")
    config: S3Config = {}
    if address:
        config = {"endpoint": address, "virtual_hosted_style_request": True}
    elif scheme == "s3" and endpoint:
        config["endpoint"] = endpoint
    # Whoever writes http:// means it: the keys are not sent, only signatures are.
    client: ClientConfig = {"allow_http": True} if endpoint.lower().startswith("http://") else {}
    retries: RetryConfig = {
        "max_retries": _RETRIES,
        "retry_timeout": _NO_LONGER,
        "backoff": {"init_backoff": _FIRST_WAIT, "max_backoff": _LONGEST_WAIT, "base": 2},
    }
    try:
        return from_url(uri, config=config, client_options=client, retry_config=retries)
    except (BaseError, ValueError):
        pass
    raise SourceError(uri, _UNUSABLE)


def _check_settings(uri: str, given: Mapping[str, str]) -> None:
    """Refuse settings of which requests cannot be made: obstore ends in a panic, or says nothing of them."""
    for name, value in given.items():
        if _WHO.search(name) and (value != value.strip() or _CONTROL.search(value)):
            raise SourceError(uri, f"{name} in the environment has a blank or a line end that is not its own")
    keys = [name for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") if given.get(name)]
    if len(keys) == 1:
        raise SourceError(uri, f"of the two keys, there is only {keys[0]} in the environment")
    for name in ("GOOGLE_SERVICE_ACCOUNT", "GOOGLE_APPLICATION_CREDENTIALS"):
        if given.get(name) and not os.path.isfile(given[name]):  # noqa: PTH113 - says no where `Path` raises
            raise SourceError(uri, f"{name} in the environment names no file")
    if uri.startswith("az:") and not any("ACCOUNT_NAME" in name or "EMULATOR" in name for name in given):
        raise SourceError(uri, "AZURE_STORAGE_ACCOUNT_NAME is not in the environment")


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    return bool(
        parts.scheme in ("http", "https") and parts.hostname and port != 0 and not re.search(r"\s", text)
    )


def _meta(said: Mapping[str, Any]) -> ObjectMeta:
    tag = said["e_tag"]
    e_tag = tag.removeprefix("W/").strip('"') if tag else said["last_modified"].isoformat()
    return ObjectMeta(said["path"], said["size"], e_tag, said["version"] or "")
