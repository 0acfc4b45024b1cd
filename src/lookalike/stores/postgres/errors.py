"""SQLSTATE codes of PostgreSQL, and the errors of lookalike that they become.

Source: postgresql.org/docs, appendix "PostgreSQL Error Codes".
"""

from __future__ import annotations

import re

from lookalike.errors import (
    StoreBusy,
    StoreCorrupt,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnreachable,
)
from lookalike.file_names import display

UNDEFINED_TABLE = "42P01"
DEADLOCK = "40P01"

_REASONS: dict[str, tuple[type[StoreError], str]] = {
    "25006": (StoreReadOnly, "can be read but not written: {message}"),
    "2BP01": (
        StoreError,
        "views of another program depend on one of ours that is to be made anew: drop them first ({message})",
    ),
    "40001": (StoreBusy, "another process changed the same; run it again"),
    DEADLOCK: (StoreBusy, "two processes waited for each other; run it again"),
    "42501": (StoreDenied, "the user lacks a right: {message}"),
    "42704": (StoreCorrupt, "is not as lookalike made it: {message}"),
    "42703": (StoreCorrupt, "is not as lookalike made it: {message}"),
    UNDEFINED_TABLE: (StoreCorrupt, "is not as lookalike made it: {message}"),
    "42P07": (
        StoreError,
        "another program has a table of that name: take another name, or another ?schema= ({message})",
    ),
    "53100": (StoreFull, "no space left; free some and run it again"),
    "53300": (StoreBusy, "the server has as many connections as it allows; try again later"),
    "55P03": (StoreBusy, "another process kept it locked for {timeout:g} s; try again later"),
    "57014": (StoreBusy, "the server cancelled the statement; run it again ({message})"),
    "58P01": (StoreError, "the server lacks a file: {message}"),
    "XX001": (StoreCorrupt, "is damaged: {message}"),
    "XX002": (StoreCorrupt, "is damaged: {message}"),
}
# By class, the first two characters, where the code itself is not above.
_CLASSES: dict[str, tuple[type[StoreError], str]] = {
    "08": (StoreUnreachable, "the connection broke: {message}; run it again"),
    "28": (StoreDenied, "the server refuses the user: {message}"),
    "53": (StoreBusy, "the server lacks memory or connections: {message}"),
}

# While it starts or stops. The codes do not reach the client before it is connected, only their texts.
_STARTING = re.compile(r"starting up|shutting down|in recovery mode|not yet accepting connections")
_REFUSED = re.compile(r"(?:FATAL|ERROR):\s+(.*)")
_UNANSWERED = re.compile(r"failed: (?:error: )?([^\n]+)")


def store_error(url: str, code: str | None, message: str, timeout: float) -> StoreError:
    """Return the error that fits what a server answered.

    Args:
        url: of the store, without a password.
        code: SQLSTATE; None where the connection broke before there was one.
        message: what the server or libpq says, of which the first line is shown.
        timeout: seconds that we wait for a lock.
    """
    text = one_line(message)
    if code is None or code.startswith("57P"):  # admin_shutdown, crash_shutdown, cannot_connect_now …
        return StoreUnreachable(url, f"the connection broke: {text}; is the server running? run it again")
    kind, reason = _REASONS.get(code) or _CLASSES.get(code[:2]) or (StoreError, "{message}")
    return kind(url, reason.format(message=text, timeout=timeout))


def connection_error(url: str, message: str, *, has_password: bool) -> StoreError:
    """Return the error that fits what libpq says when there is no connection.

    Args:
        url: of the store, without a password.
        message: in English, as servers speak by default; in other languages a refusal is a StoreDenied.
        has_password: whether one was sent.
    """
    refused = _REFUSED.search(message)
    if refused is None:
        if "no password supplied" in message:
            return StoreDenied(
                url, "the server wants a password: put it into the URL, PGPASSWORD or ~/.pgpass"
            )
        lost = _UNANSWERED.search(message)
        reason = one_line(lost[1] if lost else message)
        return StoreUnreachable(url, f"no server answers there: {reason}; is it running?")
    text = one_line(refused[1])
    if is_starting(message):
        return StoreUnreachable(url, f"the server is not ready: {text}; try again later")
    if re.search(r"too many (?:clients|connections)|connection slots", text):
        return StoreBusy(url, f"the server has as many connections as it allows: {text}")
    if re.search(r"database .* does not exist", text):
        return StoreError(url, f"{text}; make it with CREATE DATABASE, or name another")
    hint = "" if has_password else "; no password was given: put it into the URL, PGPASSWORD or ~/.pgpass"
    return StoreDenied(url, f"the server refuses the user: {text}{hint}")


def is_starting(message: str) -> bool:
    """Return whether a server that refused a connection may take it in a moment."""
    return _STARTING.search(message) is not None


def one_line(message: str) -> str:
    """Return the first line of a message, fit to be shown."""
    lines = message.strip().splitlines()
    return display(lines[0].strip()) if lines else "no reason given"
