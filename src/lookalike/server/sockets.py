"""Listening sockets of a service."""

from __future__ import annotations

import ctypes
import ipaddress
import os
import socket
import struct
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from lookalike.errors import InvalidArgument, LookalikeError

if TYPE_CHECKING:
    from collections.abc import Iterable

# Connections that wait to be accepted; the kernel may allow fewer.
_BACKLOG = 2048

# Linux: include/uapi/asm-generic/socket.h, and the filter that lets nothing in, as linux/filter.h has it (one
# instruction, BPF_RET | BPF_K, which returns 0 bytes of each packet).
_ATTACH_FILTER = 26
_LET_NOTHING_IN = struct.pack("HBBI", 0x06, 0, 0, 0)


class CannotListen(LookalikeError):
    """The address is in use by another process, or is not this machine's."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        self.host = host
        self.port = port
        super().__init__(
            f"cannot listen on {url(host, port)}: {reason}; --port N takes another port, and --port 0 any "
            "that is free"
        )


def resolve(host: str) -> list[str]:
    """Return the addresses of a host, those of the system's order first.

    Raises:
        InvalidArgument: it has none.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise InvalidArgument(f"--host {host}: no such address") from error
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def is_loopback(addresses: list[str]) -> bool:
    """Tell whether only this machine reaches all of these addresses."""
    # Without the zone of a link-local address.
    return all(ipaddress.ip_address(each.partition("%")[0]).is_loopback for each in addresses)


LOOPBACK = ("127.0.0.0/8", "::1")
"""The addresses of this machine alone."""


def check_proxies(proxies: Iterable[str]) -> tuple[str, ...]:
    """Check the addresses and networks of proxies.

    Raises:
        InvalidArgument: one is none.
    """
    for proxy in proxies:
        try:
            ipaddress.ip_network(proxy)
        except ValueError as error:
            raise InvalidArgument(
                f"--allow-proxy {proxy}: write it as 10.0.0.7, 10.0.0.0/8 or 2001:db8::/32"
            ) from error
    return tuple(proxies)


def listen(host: str, addresses: list[str], port: int) -> list[socket.socket]:
    """Listen on every address that this machine has of some, on one port.

    Args:
        host: their name, for errors.
        addresses: at least one.
        port: 0 for any that is free.

    Raises:
        CannotListen: there is none of them here, or another process listens there.
    """
    sockets: list[socket.socket] = []
    failed: OSError | None = None
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:  # a machine without that family
            failed = error
            continue
        try:
            # What the last process left in TIME_WAIT is no hindrance; one that listens still is.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((address, port))
            sock.listen(_BACKLOG)
        except OSError as error:
            sock.close()
            failed = error
            continue
        port = sock.getsockname()[1]
        sockets.append(sock)
    if not sockets:
        reason = os.strerror(failed.errno) if failed is not None and failed.errno else str(failed)
        raise CannotListen(host, port, reason)
    return sockets


def accept_all(sockets: Iterable[socket.socket]) -> list[socket.socket]:
    """Return the connections that wait on sockets that do not block, and let nobody connect any more."""
    found: list[socket.socket] = []
    for sock in sockets:
        _let_nobody_in(sock)
        with suppress(OSError):  # BlockingIOError: that was all
            while True:
                found.append(sock.accept()[0])
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
    return found


def _let_nobody_in(sock: socket.socket) -> None:
    """Leave whoever asks to connect from now on without an answer, where the system can (Linux).

    Who connects between the last that is accepted and the end of the socket would be let in and then thrown
    out. So he asks again a second later, and is refused or comes to who listens there then.
    """
    if sys.platform != "linux":
        return
    instructions = ctypes.create_string_buffer(_LET_NOTHING_IN)
    with suppress(OSError):
        sock.setsockopt(
            socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(instructions))
        )


def url(host: str, port: int) -> str:
    """Return where a service answers."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
