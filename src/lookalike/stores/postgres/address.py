"""The URL of a PostgreSQL store: parameters of the connection for libpq, and options of our own."""

from __future__ import annotations

from typing import NamedTuple

from lookalike.errors import InvalidArgument
from lookalike.stores.address import read_address, whole_number

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
    numbers = {
        name: whole_number(options, name, least, most, default)
        for name, (default, least, most) in _NUMBERS.items()
    }
    for name in _NUMBERS:
        options.pop(name, None)
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
