"""Where the data of a store is: what of its URL names it on this machine, whoever asks."""

from __future__ import annotations

import os
from urllib.parse import parse_qsl, urlencode, urlsplit

from lookalike.stores.sqlite.address import file_path

# Options of stores' URLs that say where the data is.
_PLACES = frozenset({"dbname", "host", "port", "prefix", "schema"})


def store_place(url: str) -> str:
    """Return what of a store's URL says where the data is: not who asks for it, nor how it is searched."""
    scheme = url.partition(":")[0].lower()
    if scheme == "sqlite":
        return f"sqlite:///{os.path.realpath(file_path(url))}"
    parts = urlsplit(url)
    # In Oracle a user's name is also that of the schema with the tables.
    user, at, host = parts.netloc.rpartition("@")
    owner = user.partition(":")[0] + at if scheme == "oracle" else ""
    said = [pair for pair in parse_qsl(parts.query) if pair[0] in _PLACES]
    return parts._replace(netloc=owner + host, query=urlencode(sorted(said))).geturl()
