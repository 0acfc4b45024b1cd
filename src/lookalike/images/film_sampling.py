"""Which frames of a film are taken: one a scene, or one every so often."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lookalike.errors import InvalidArgument
from lookalike.file_names import display

FILM_SUFFIXES = frozenset(
    {".3g2", ".3gp", ".asf", ".avi", ".f4v", ".flv", ".m2ts", ".m2v", ".m4v", ".mkv", ".mov", ".mp4"}
    | {".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".vob", ".webm", ".wmv"}
)
"""What a film's name ends in, in lower case. `.ts` is TypeScript more often; by its own name it is taken."""

_EVERY = re.compile(r"every:(\d+(?:\.\d{1,3})?)(ms|s|min|h)?")
_UNITS = {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000}
_HOW = "write scene, or every:1s, every:500ms, every:2min"


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which frames of a film are taken."""

    step: int | None = None
    """The milliseconds from one to the next, at least 1; None: one a scene."""

    @classmethod
    def parse(cls, text: str) -> Sampling:
        """Read `scene`, `every:1s`, `every:0.5s`, `every:500ms`, `every:2min` or `every:1h`.

        Raises:
            InvalidArgument: it is none of these, or less than a millisecond.
        """
        asked = text.strip().lower()
        if asked == "scene":
            return cls()
        found = _EVERY.fullmatch(asked)
        if found is None:
            raise InvalidArgument(f"{display(text[:40])!r} says no frames of a film: {_HOW}")
        step = round(float(found[1]) * _UNITS[found[2] or "s"])
        if not 1 <= step <= 1 << 40:
            raise InvalidArgument(f"{display(text[:40])!r}: frames are at least a millisecond apart: {_HOW}")
        return cls(step)

    def __str__(self) -> str:
        return "scene" if self.step is None else f"every:{seconds_text(self.step)}s"


def seconds_text(milliseconds: int) -> str:
    """Return milliseconds as seconds, as a media fragment has them: `12.5`."""
    whole, rest = divmod(milliseconds, 1000)
    return f"{whole}.{rest:03}".rstrip("0").rstrip(".")


def clock_text(milliseconds: int) -> str:
    """Return milliseconds as people read them: `1:02:03.5`, `0:12`."""
    whole, rest = divmod(milliseconds, 1000)
    minutes, seconds = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
    return f"{text}.{rest:03}".rstrip("0") if rest else text
