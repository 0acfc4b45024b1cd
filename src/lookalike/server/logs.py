"""Logs as JSON lines on stderr."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Any

from pythonjsonlogger.json import JsonFormatter

REQUEST: ContextVar[str | None] = ContextVar("request", default=None)
"""The id of the request that is being answered."""

ACCESS = "lookalike.access"
"""The logger of answered requests."""


class _Formatter(JsonFormatter):
    """Writes time, level, logger and message, and what was given beside them."""

    def __init__(self) -> None:
        super().__init__(
            ["levelname", "name", "message"],
            rename_fields={"levelname": "level", "name": "logger", "exc_info": "traceback"},
            # Of uvicorn: its message once more, with colours for terminals.
            reserved_attrs=[*_RESERVED, "color_message"],
            timestamp="time",
        )

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        return {"time": log_data.pop("time"), **log_data}


# Attributes that every record has: https://docs.python.org/3/library/logging.html#logrecord-attributes
_RESERVED = (*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName")


class _OfRequest(logging.Filter):
    """Adds the id of the current request to a log record."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not hasattr(record, "request"):
            request = REQUEST.get()
            if request is not None:
                record.request = request
        return True


def log_as_json(*, quiet: bool) -> None:
    """Let this process log as JSON lines on stderr: what went wrong, and one line for each request.

    Args:
        quiet: only what went wrong.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter())
    handler.addFilter(_OfRequest())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name in ("lookalike", "uvicorn"):
        logging.getLogger(name).setLevel(logging.WARNING if quiet else logging.INFO)
    # It writes a traceback for each try; what came of it is said by an error of ours.
    logging.getLogger("elastic_transport").setLevel(logging.ERROR)
    # It writes a line for each damaged body, which is a client's fault and answered with 400.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
