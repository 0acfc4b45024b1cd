"""A bound on JSON before it is parsed."""

from __future__ import annotations

from lookalike.server.http.problems import Refused

MAX_DELIMITERS = 250_000
"""Commas and opening brackets of one request, those within its texts too: as many as 5,000,000 letters of
prose have, and parsed within a tenth of a second. 32 MB of nothing else take 5 seconds and 2 GB, in which
nobody is answered, and are then refused for `MOST_PARTS`."""


def check_json_size(text: bytes) -> None:
    """Refuse JSON of more values than any request has.

    Args:
        text: as it came; counting takes about a millisecond a megabyte.

    Raises:
        Refused: 413.
    """
    if sum(text.count(sign) for sign in (b",", b"[", b"{")) > MAX_DELIMITERS:
        raise Refused(413, f"JSON of more than {MAX_DELIMITERS:,} commas and brackets is not read")
