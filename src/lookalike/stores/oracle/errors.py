"""What errors of Oracle and of its driver mean.

Codes are those of the Oracle Database Error Messages Reference (ORA-) and of python-oracledb's errors.py
(DPY-). The driver puts codes of its own in front of some of the server's; the server's is what counts here.
"""

from __future__ import annotations

import re
from typing import Protocol

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

NOT_UNIQUE = "ORA-00001"
NAME_IN_USE = "ORA-00955"
NO_SUCH_TABLE = frozenset({"ORA-00942", "ORA-08103"})
"""A table is not there, or was dropped while it was read."""
CHANGED_SINCE = "ORA-01466"
"""A table was defined after the read-only transaction began, as the server's coarse clock has it."""
READ_ONLY_TRANSACTION = "ORA-01456"

_CLASSES: tuple[tuple[type[StoreError], str, str], ...] = (
    (
        StoreUnreachable,
        (
            "ORA-00028 ORA-01012 ORA-01033 ORA-01034 ORA-01089 ORA-01090 ORA-01092 ORA-02396"
            " ORA-03113 ORA-03114 ORA-03135 ORA-12153 ORA-12170 ORA-12505 ORA-12514 ORA-12528"
            " ORA-12537 ORA-12541 ORA-12543 ORA-12545 ORA-12547 ORA-12570 DPY-1001 DPY-4011"
            " DPY-6000 DPY-6001 DPY-6003 DPY-6005"
        ),
        "no server answers there: {}; is it running?",
    ),
    (
        StoreDenied,
        (
            "ORA-01005 ORA-01017 ORA-01031 ORA-01045 ORA-01950 ORA-28000 ORA-28001 ORA-28002"
            " DPY-3015 DPY-4001 DPY-6002 DPY-6008"
        ),
        "the server refuses: {}; check user, password and rights",
    ),
    (
        StoreBusy,
        (
            "ORA-00018 ORA-00020 ORA-00054 ORA-00060 ORA-01013 ORA-02049 ORA-04021 ORA-08177"
            " ORA-12516 ORA-12519 ORA-12520 ORA-30006 DPY-4024"
        ),
        "is busy: {}; try again later, or wait longer",
    ),
    (
        StoreFull,
        (
            "ORA-00257 ORA-01536 ORA-01652 ORA-01653 ORA-01654 ORA-01655 ORA-01658 ORA-01659"
            " ORA-01688 ORA-01691 ORA-01692 ORA-01693 ORA-01694 ORA-12953 ORA-12954 ORA-19809"
            " ORA-30036"
        ),
        "no space left: {}; free some and run it again",
    ),
    (StoreReadOnly, "ORA-00372 ORA-01647 ORA-12081 ORA-16000", "can be read but not written: {}"),
    (StoreCorrupt, "ORA-01578 ORA-26040", "is damaged: {}; restore it or index into a new store"),
)
_CLASS = {code: (kind, text) for kind, codes, text in _CLASSES for code in codes.split()}
_CODE = re.compile(r"\b(?:ORA|DPY)-\d{4,5}\b")
_NOISE = re.compile(r"\s*\(CONNECTION_ID=[^)]*\)|\s*\[Errno -?\d+\]")


class DriverError(Protocol):
    """What an exception of python-oracledb carries: `oracledb._Error`."""

    @property
    def full_code(self) -> str:
        """Return `ORA-00942`, `DPY-6005` and the like."""
        ...

    @property
    def message(self) -> str:
        """Return one or more lines, each with a code in front or without."""
        ...


class OracleRefusal(StoreError):
    """A statement that the server refuses for a reason that no other class stands for."""

    def __init__(self, url: str, reason: str, code: str) -> None:
        self.code = code
        super().__init__(url, reason)


def store_error(url: str, error: DriverError) -> StoreError:
    """Return the store's error that an error of the driver means, its text in one line.

    Args:
        url: of the store, without a password.
        error: the first argument of the exception.
    """
    # The innermost that is known: the driver wraps "refused" into "cannot connect", and names the server's
    # code after one of its own.
    codes = [*_CODE.findall(error.message), error.full_code]
    known = [code for code in codes if code in _CLASS]
    if known:
        server = [code for code in known if code.startswith("ORA-")]
        kind, text = _CLASS[(server or known)[0]]
        return kind(url, text.format(one_line(error.message)))
    server = [code for code in codes if code.startswith("ORA-")]
    return OracleRefusal(url, one_line(error.message), (server or [error.full_code])[0])


def one_line(message: str) -> str:
    """Return what a message of the driver says last, without links to the manual and connection ids."""
    lines = [line for line in message.splitlines() if line.strip() and not line.startswith("Help:")]
    # Of "cannot connect to database" and a second line, the second says why.
    last = lines[-1] if lines and lines[0].startswith("DPY-") else (lines or ["no reason was given"])[0]
    return display(_NOISE.sub("", last).strip().rstrip("."))


class suppress_code:  # noqa: N801 as contextlib.suppress
    """Ignore a refusal of the server with one of these codes, as `contextlib.suppress` ignores exceptions."""

    def __init__(self, *codes: str) -> None:
        self._codes = codes

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: object, trace: object) -> bool:
        return isinstance(error, OracleRefusal) and error.code in self._codes


def is_missing_table(error: OracleRefusal) -> bool:
    """Tell whether the server says that a table is not there, or no longer."""
    return error.code in NO_SUCH_TABLE
