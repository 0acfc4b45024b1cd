"""Who may do what."""

from __future__ import annotations

from fastapi import Depends, Request

from lookalike.server.problems import Refused


def _may_write(request: Request) -> None:
    if getattr(request.state, "may", "write") != "write":
        raise Refused(403, "this key may read and not write; ask with a writing key")


Writing = Depends(_may_write)
"""For the `dependencies` of a request that changes something."""
