"""What the service says in the language of whoever asks: English, or Korean where a request prefers that.

Messages are made where something goes wrong, by the library as by the service, as whole English sentences.
They are put into Korean here, on their way out, by the list in korean.json: by each English message, with
{} for what is filled in, the Korean one, with {0}, {1} … for the same in its own order. What programs read
(statuses, names of errors, values) stays as it is. A test holds all that can be said against the list.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SAID = frozenset({"detail", "reason", "caution", "remarks", "skipped", "warning"})
"""Members of answers that people read."""

# Members that hold what users have said themselves.
_THEIRS = frozenset({"fields", "metadata", "corrected", "asked"})
# Larger answers are lists of many images: they are passed on as they are.
_MOST_BYTES = 4 << 20
_JSON = (b"application/json", b"application/problem+json")


class Translation:
    """ASGI middleware that words what JSON answers say."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or scope["method"] == "HEAD" or not prefers_korean(_accepted(scope)):
            await self._app(scope, receive, send)
            return
        held: list[Message] = []

        async def say(message: Message) -> None:
            if message["type"] == "http.response.start" and _is_json(message):
                held.append(message)
                return
            if not held:
                await send(message)
                return
            held.append(message)
            size = sum(len(each.get("body", b"")) for each in held)
            if message.get("more_body") and size <= _MOST_BYTES:
                return
            some = list(held) if message.get("more_body") or size > _MOST_BYTES else _worded(held)
            held.clear()
            for each in some:
                await send(each)

        await self._app(scope, receive, say)


def prefers_korean(accepted: str) -> bool:
    """Tell whether an `Accept-Language` (RFC 9110, section 12.5.4) would rather have Korean than English."""
    best: tuple[float, bool] = (0.0, False)
    for part in accepted.split(","):
        language, *parameters = (each.strip() for each in part.split(";"))
        weight = next((each[2:] for each in parameters if each.startswith("q=")), "1")
        try:
            quality = float(weight)
        except ValueError:
            continue
        main = language.partition("-")[0].lower()
        if main in ("ko", "en") and quality > best[0]:  # of equal ones the first
            best = quality, main == "ko"
    return best[1]


def in_korean(text: str) -> str:
    """Return what the service says in Korean; what is not in the list stays as it is."""
    for pattern, template in _patterns():
        found = pattern.fullmatch(text)
        if found is not None:
            return template.format(*map(in_korean, found.groups()))
    # What is said of a file, and the parts of a list.
    before, colon, after = text.partition(": ")
    if colon and (worded := in_korean(after)) != after:
        return f"{before}: {worded}"
    parts = text.split(", ")
    return ", ".join(map(in_korean, parts)) if len(parts) > 1 else text


@cache
def korean() -> dict[str, str]:
    """Return the list: Korean messages by the English ones."""
    text = files(__package__).joinpath("korean.json").read_text(encoding="utf-8")
    found: dict[str, str] = json.loads(text)
    return found


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """Return each message as a pattern, those with most words of their own first, and in Korean."""
    ordered = sorted(korean().items(), key=lambda each: -len(each[0].replace("{}", "")))
    return [
        (re.compile("(.*?)".join(map(re.escape, english.split("{}"))), re.DOTALL), said)
        for english, said in ordered
    ]


def _accepted(scope: Scope) -> str:
    values = [value for name, value in scope["headers"] if name == b"accept-language"]
    return b",".join(values).decode("latin-1")


def _is_json(message: Message) -> bool:
    kinds = [value for name, value in message.get("headers", ()) if name.lower() == b"content-type"]
    return bool(kinds) and kinds[0].partition(b";")[0].strip() in _JSON


def _worded(messages: list[Message]) -> list[Message]:
    """Return an answer as one message after its head, with what it says in Korean."""
    head, *bodies = messages
    content = b"".join(each.get("body", b"") for each in bodies)
    try:
        said = _reworded(json.loads(content))
    except (ValueError, RecursionError):  # no JSON after all
        return messages
    body = json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    headers = [each for each in head["headers"] if each[0].lower() != b"content-length"]
    headers += [(b"content-length", str(len(body)).encode()), (b"content-language", b"ko")]
    return [{**head, "headers": headers}, {"type": "http.response.body", "body": body, "more_body": False}]


def _reworded(value: Any, *, is_said: bool = False) -> Any:
    """Return JSON with the texts in Korean that people read."""
    if isinstance(value, dict):
        return {
            name: each if name in _THEIRS else _reworded(each, is_said=name in _SAID)
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [_reworded(each, is_said=is_said) for each in value]
    return in_korean(value) if is_said and isinstance(value, str) else value
