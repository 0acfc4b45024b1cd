"""The URL of a store on a server, and the same URL without its secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from lookalike.errors import InvalidArgument
from lookalike.file_names import display

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_T = TypeVar("_T")

_SECRET = frozenset({"api_key", "passfile", "password", "sslpassword", "wallet_password"})


class Address(NamedTuple):
    """What a URL says, with percent-encoding undone."""

    scheme: str
    user: str | None
    password: str | None
    host: str | None
    port: int | None
    path: str
    """Without the slash at its beginning."""
    options: dict[str, str]
    masked: str
    """The URL without password and other secrets: what may be shown."""


def read_address(url: str) -> Address:
    """Take a URL apart.

    Raises:
        InvalidArgument: it is no URL, or says an option twice. The message does not repeat it.
    """
    behind = url.partition("://")[2].partition("/")[2]
    if "#" in url or "@" in behind or "\0" in url:
        # A password that is not encoded ends the part that is masked, so nothing of the URL is shown.
        raise InvalidArgument(
            "the URL of the store has a #, or an @ behind the host: "
            "write # / ? and @ in a password as %23 %2F %3F and %40"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError as error:
        raise InvalidArgument("the store's URL cannot be read: check host, port and options") from error
    options = dict(pairs)
    if len(options) < len(pairs):
        raise InvalidArgument("the URL of the store says an option twice")
    user = None if parts.username is None else unquote(parts.username)
    password = None if parts.password is None else unquote(parts.password)
    return Address(
        scheme=parts.scheme,
        user=user,
        password=password,
        host=parts.hostname,
        port=port,
        path=unquote(parts.path).removeprefix("/"),
        options=options,
        masked=_masked(url, user, [(name, value) for name, value in pairs if name not in _SECRET]),
    )


def whole_number(options: Mapping[str, str], name: str, least: int, most: int, default: _T) -> int | _T:
    """Return an option that is a whole number.

    Args:
        options: of a URL.
        name: of the option.
        least: that it may be, at least 0.
        most: that it may be.
        default: what is returned where it is not given.

    Raises:
        InvalidArgument: it is something else.
    """
    text = options.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and least <= int(text[:9]) <= most):
        raise InvalidArgument(f"?{name}= is a whole number, {least} to {most}, not {display(text[:20])!r}")
    return int(text)


def one_of(options: Mapping[str, str], name: str, choices: Collection[str], default: _T) -> str | _T:
    """Return an option that is one of some words; `default` where it is not given.

    Raises:
        InvalidArgument: it is something else.
    """
    said = options.get(name)
    if said is not None and said not in choices:
        raise InvalidArgument(f"{name} is one of {', '.join(choices)}")
    return default if said is None else said


def _masked(url: str, user: str | None, options: list[tuple[str, str]]) -> str:
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    if user:
        place = f"{quote(user)}@{place}"
    return parts._replace(netloc=place, query=urlencode(options), fragment="").geturl()
