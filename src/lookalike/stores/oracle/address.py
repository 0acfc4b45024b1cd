"""The address of an Oracle database and its login, read from a URL and from environment variables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

from lookalike.errors import InvalidArgument
from lookalike.stores.address import one_of, read_address

if TYPE_CHECKING:
    from collections.abc import Mapping

USER, PASSWORD, CONNECT_STRING = "PYTHON_USERNAME", "PYTHON_PASSWORD", "PYTHON_CONNECTSTRING"
"""Environment variables, named as the samples of python-oracledb name them (samples/sample_env.py)."""

_PORT = 1521  # Oracle Net's default: Net Services Administrator's Guide, "Easy Connect Plus"
_DRIVER_OPTIONS = ("config_dir", "wallet_location", "wallet_password")
_PROTOCOLS = ("tcp", "tcps")
INDEXES: dict[str, tuple[str, ...]] = {"auto": ("hnsw", "ivf"), "hnsw": ("hnsw",), "ivf": ("ivf",)}
"""What the option `approximate` may say, and the kinds of index that are tried for it, in this order."""


@dataclass(frozen=True, slots=True)
class OracleAddress:
    """Where an Oracle database is, who logs in, and how it is used."""

    shown: str
    """The URL that leads there, without a password: what may be shown."""
    connecting: Mapping[str, str | int] = field(repr=False)
    """Keyword arguments of `oracledb.connect`, the password among them."""
    indexes: tuple[str, ...] = INDEXES["auto"]
    """Kinds of vector index, the preferred one first."""
    call_timeout: float | None = None
    """Seconds that one answer of the server may take; None: a little more than the store's timeout."""


def oracle_address(url: str, environment: Mapping[str, str]) -> OracleAddress:
    """Read a URL `oracle://user:password@host:port/service?option=value`.

    Each of user, password and place may be left out, and comes from the environment then: `oracle://` alone
    takes all three from there. A host without port and service is a name in `tnsnames.ora`.

    Args:
        url: its options are `approximate` (`auto`, `hnsw`, `ivf`), `call_timeout` (seconds, 0 for none),
            `protocol` (`tcp`, `tcps`), `config_dir`, `wallet_location` and `wallet_password`.
        environment: `os.environ`.

    Raises:
        InvalidArgument: something is missing, or there is no such option. The message shows no password.
    """
    address = read_address(url)
    user = address.user or environment.get(USER)
    password = address.password or environment.get(PASSWORD)
    if not user or not password:
        what, variable = ("user", USER) if not user else ("password", PASSWORD)
        raise InvalidArgument(
            f"the Oracle store needs a {what}: oracle://user:password@host:port/service, or set {variable}"
        )
    options = dict(address.options)
    connecting: dict[str, str | int] = {"user": user, "password": password}
    indexes, call_timeout = INDEXES[one_of(options, "approximate", INDEXES, "auto")], _call_timeout(options)
    protocol = one_of(options, "protocol", _PROTOCOLS, None)
    for name in ("approximate", "protocol"):
        options.pop(name, None)
    connecting |= {name: options.pop(name) for name in _DRIVER_OPTIONS if name in options}
    if options:
        known = ("approximate", "call_timeout", "protocol", *_DRIVER_OPTIONS)
        raise InvalidArgument(f"the URL of an Oracle store has the options {', '.join(known)}")

    if address.host is None:
        connect_string = environment.get(CONNECT_STRING)
        if address.path or address.port is not None or not connect_string:
            raise InvalidArgument(
                f"the Oracle store needs a place: oracle://user:password@host:port/service, "
                f"or set {CONNECT_STRING}"
            )
        connecting["dsn"] = connect_string
        # A descriptor may hold anything, a wallet's password too.
        place = "(DESCRIPTION=…)" if "(" in connect_string else connect_string.rpartition("@")[2]
    elif not address.path and address.port is None:
        connecting["dsn"] = place = address.host
    elif not address.path:
        raise InvalidArgument("the URL of an Oracle store names a service: oracle://host:port/service")
    else:
        host = f"[{address.host}]" if ":" in address.host else address.host
        port = address.port or _PORT
        place = f"{host}:{port}/{address.path}"
        connecting |= {"host": address.host, "port": port, "service_name": address.path}
    if protocol is not None:
        connecting["protocol"] = protocol
    return OracleAddress(f"oracle://{quote(user)}@{place}", connecting, indexes, call_timeout)


def _call_timeout(options: dict[str, str]) -> float | None:
    text = options.pop("call_timeout", None)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal()):
        raise InvalidArgument("call_timeout is a whole number of seconds, 0 for no limit")
    return float(text)
