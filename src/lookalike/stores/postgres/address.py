"""The URL of a PostgreSQL store: parameters of the connection for libpq, and options of our own."""

from __future__ import annotations

from typing import NamedTuple

from lookalike.errors import InvalidArgument
from lookalike.file_names import display
from lookalike.stores.address import read_address

SCHEMA = "lookalike"
"""The schema of our tables and views where the URL names no other."""

# Defaults of pgvector but for ef_search: README of pgvector, "HNSW". 40 candidates find too few of ten.
_NUMBERS = {"m": (16, 2, 100), "ef_construction": (64, 4, 1000), "ef_search": (200, 1, 1000)}
# Bytes in a name, at most: NAMEDATALEN - 1 (postgresql.org/docs, "Identifiers and Key Words").
NAME_BYTES = 63


class PostgresAddress(NamedTuple):
    """Where a store is, and how it is to be used."""

    masked: str
    """The URL without password and other secrets: what may be shown."""
    connection: dict[str, str]
    """Keywords of libpq; what is not here libpq takes from PGHOST, PGPASSWORD, ~/.pgpass and so on."""
    schema: str
    m: int
    """Neighbours that each vector of an HNSW index is linked with."""
    ef_construction: int
    """Candidates that are looked at when a vector is linked."""
    ef_search: int
    """Candidates that are looked at when the index is searched, at least."""


def read_postgres_address(url: str) -> PostgresAddress:
    """Take the URL of a PostgreSQL store apart.

    Args:
        url: `postgresql://user:password@host:port/database?option=value`. All parts may be left out. Options
            are `schema`, `m`, `ef_construction`, `ef_search`, and the keywords of libpq (`sslmode` …).

    Raises:
        InvalidArgument: it cannot be read; the message does not repeat what may be a password.
    """
    address = read_address(url)
    options = dict(address.options)
    schema = options.pop("schema", SCHEMA)
    if not 1 <= len(schema.encode("utf-8", "surrogatepass")) <= NAME_BYTES or schema.startswith("pg_"):
        raise InvalidArgument(f"?schema= names a schema of at most {NAME_BYTES} bytes, not pg_…")
    numbers = {name: _number(name, options.pop(name, None)) for name in _NUMBERS}
    parts = {
        "user": address.user,
        "password": address.password,
        "host": address.host,
        "port": None if address.port is None else str(address.port),
        "dbname": address.path,
    }
    given = {name: value for name, value in parts.items() if value}
    twice = sorted(given.keys() & options.keys())
    if twice:
        raise InvalidArgument(f"the URL of the PostgreSQL store says {', '.join(twice)} twice")
    return PostgresAddress(address.masked, given | options, schema, **numbers)


def _number(name: str, text: str | None) -> int:
    default, least, most = _NUMBERS[name]
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and least <= int(text[:9]) <= most):
        raise InvalidArgument(f"?{name}= is a whole number, {least} to {most}, not {display(text[:20])!r}")
    return int(text)
