"""The URL of an Elasticsearch store: one or several hosts, credentials, and options."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from lookalike.errors import InvalidArgument
from lookalike.stores.address import Address, one_of, read_address, whole_number

API_KEY_VARIABLE = "LOOKALIKE_ELASTICSEARCH_API_KEY"
"""Environment variable of the API key, used where the URL names neither key nor user."""

PORT = 9200
"""Where Elasticsearch listens unless told otherwise (its setting `http.port`)."""

KINDS = ("hnsw", "int8_hnsw", "bbq_hnsw")
"""Approximate indexes that `?approximate=` can name (`index_options.type` of `dense_vector`)."""

_OPTIONS = ("api_key", "approximate", "ca_file", "prefix", "replicas", "shards")
# Without a hyphen, which ends the prefix in the readable names: those of two prefixes never meet.
_PREFIX = re.compile("[a-z][a-z0-9_]{0,31}")
_MOST_SHARDS = 1024  # of one index: the server's own limit (es.index.max_number_of_shards)


class ElasticsearchAddress(NamedTuple):
    """What the URL of an Elasticsearch store says."""

    url: str
    """Without password and key: what may be shown."""
    hosts: list[str]
    """One URL each: scheme, host, port and path."""
    user: tuple[str, str] | None
    api_key: str | tuple[str, str] | None
    ca_file: str | None
    prefix: str
    """How the names of all indexes and aliases begin."""
    shards: int | None
    """Primary shards of a new collection; None leaves it to the server, as `replicas`."""
    replicas: int | None
    approximate: str
    """What `build_index` makes: one of `KINDS`."""

    def __repr__(self) -> str:
        return f"ElasticsearchAddress({self.url!r})"


def read_elasticsearch_address(url: str) -> ElasticsearchAddress:
    """Take the URL of an Elasticsearch store apart; a key that it lacks may come from the environment.

    Args:
        url: `elasticsearch+http://host:port` or `elasticsearch+https://user:password@host:port`; several
            hosts are separated by commas.

    Raises:
        InvalidArgument: it is not as that, or an option is unknown or out of range. No secret is repeated.
    """
    addresses = _each_host(url)
    first = addresses[0]
    options = first.options
    unknown = sorted(set(options) - set(_OPTIONS))
    if unknown:
        raise InvalidArgument(
            f"an Elasticsearch store has no option {unknown[0]!r}: there are {', '.join(_OPTIONS)}"
        )
    hosts = [_host_url(address) for address in addresses]
    places = ",".join(urlsplit(address.masked).netloc.rpartition("@")[2] for address in addresses)
    user, key = _credentials(first)
    prefix = options.get("prefix", "lookalike")
    if not _PREFIX.fullmatch(prefix):
        raise InvalidArgument(
            "prefix: a small letter, then small letters, digits and _, at most 32 characters in all"
        )
    ca_file = options.get("ca_file")
    if ca_file is not None and not Path(ca_file).is_file():
        raise InvalidArgument(f"ca_file: no such file: {ca_file}")
    if ca_file is not None and any(host.startswith("http:") for host in hosts):
        raise InvalidArgument("ca_file is for elasticsearch+https://, this URL speaks without TLS")
    shown = urlsplit(first.masked)
    at = "@" if "@" in shown.netloc else ""
    return ElasticsearchAddress(
        url=shown._replace(netloc=shown.netloc.rpartition("@")[0] + at + places).geturl(),
        hosts=hosts,
        user=user,
        api_key=key,
        ca_file=ca_file,
        prefix=prefix,
        shards=whole_number(options, "shards", 1, _MOST_SHARDS, None),
        replicas=whole_number(options, "replicas", 0, _MOST_SHARDS, None),
        approximate=one_of(options, "approximate", KINDS, "int8_hnsw"),
    )


def _each_host(url: str) -> list[Address]:
    """Return the address of each host, as if the URL named it alone."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise InvalidArgument("the store's URL cannot be read: check host, port and options") from error
    user, at, places = parts.netloc.rpartition("@")
    addresses = [
        read_address(parts._replace(netloc=f"{user}{at}{place}").geturl()) for place in places.split(",")
    ]
    if not all(address.host for address in addresses):
        raise InvalidArgument("the URL of the store names no host: elasticsearch+http://localhost:9200")
    return addresses


def _host_url(address: Address) -> str:
    scheme = address.scheme.lower().removeprefix("elasticsearch+")
    host = f"[{address.host}]" if ":" in (address.host or "") else address.host
    path = address.path.strip("/")
    return f"{scheme}://{host}:{address.port or PORT}" + (f"/{path}" if path else "")


def _credentials(address: Address) -> tuple[tuple[str, str] | None, str | tuple[str, str] | None]:
    """Return user and password, or an API key: as the server encodes it, or `id:key`."""
    key = address.options.get("api_key")
    if address.user is not None:
        if key is not None:
            raise InvalidArgument("the URL of the store names a user and an API key: one of them is enough")
        return (address.user, address.password or ""), None
    key = key or os.environ.get(API_KEY_VARIABLE) or None
    if key is not None and not (key.isascii() and key.isprintable()):
        raise InvalidArgument("that is no API key: it has other characters than letters, digits and signs")
    if key is None or ":" not in key:
        return None, key
    identity, _, secret = key.partition(":")
    return None, (identity, secret)
