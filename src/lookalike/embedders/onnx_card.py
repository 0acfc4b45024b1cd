"""The card that says how an ONNX model is to be fed, as JSON beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lookalike.embedders.preprocessing import RESAMPLING, Preprocessing, View
from lookalike.errors import WeightsInvalid

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

CARD_NAME = "lookalike.json"
"""The card of a folder; that of a file FILE.onnx is FILE.json beside it."""

EXAMPLE = '{"size": 224, "resize_to": 256, "mean": [0.485, 0.456, 0.406], "deviation": [0.229, 0.224, 0.225]}'
"""What a card of a network trained on ImageNet says at least."""

_CHOICES: dict[str, Collection[str]] = {
    "resize": ("shortest", "squash", "longest"),
    "crop": ("floor", "round"),
    "interpolation": RESAMPLING,
    "layout": ("NCHW", "NHWC"),
    "channels": ("RGB", "BGR"),
    "pool": ("first", "mean"),
}
_TEXTS = ("model", "input", "output", "licence", "summary", "source")
_KEYS = {
    *("size", "sizes", "mirrored", "resize_to", "mean", "deviation", "scale", "fill", "groups", "parameters"),
    *("text", *_TEXTS, *_CHOICES),
}
_TEXT_KEYS = {"model", "tokenizer", "input", "mask", "output", "length", "pad_to", "pad_token"}


@dataclass(frozen=True, slots=True)
class TextSide:
    """The text encoder that belongs to an image encoder."""

    graph: Path
    tokenizer: Path
    length: int
    """Tokens at most."""
    input: str | None = None
    mask: str | None = None
    output: str | None = None
    pad_to: int | None = None
    pad_token: str | None = None

    @property
    def recipe(self) -> str:
        """What is done beyond applying the weights, as one line for a fingerprint."""
        return f"{self.output} of {self.length} tokens, padded to {self.pad_to} with {self.pad_token}"


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """An ONNX image encoder, and what its card says of it."""

    graph: Path
    views: tuple[View, ...]
    input: str | None = None
    """The graph's input; None: the only one."""
    output: str | None = None
    """The graph's output; None: the first that it has of `onnx_embedder.OUTPUTS`, or the only one."""
    pool: str | None = None
    """What becomes of an output of images × tokens × numbers: first or mean; None: it is refused."""
    text: TextSide | None = None
    groups: tuple[int, ...] = ()
    """Widths of the groups of columns that belong together."""
    parameters: int = 0
    licence: str = "not stated"
    summary: str = "an ONNX model of yours"
    source: str = field(default="a file of yours")


def read_card(path: Path, graph: Path | None) -> OnnxModel:
    """Read a card.

    Args:
        path: the card.
        graph: the model it stands beside; None: the card names it.

    Raises:
        WeightsInvalid: the card cannot be read, or says something that makes no sense.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsInvalid(str(path), f"the card cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise WeightsInvalid(str(path), f"the card is no JSON object; the least is {EXAMPLE}")
    card = _Values(path, values)
    card.check_keys(_KEYS)
    for key in _TEXTS:
        if key in values:
            card.text(key)
    for key, choices in _CHOICES.items():
        if key in values and values[key] not in choices:
            raise card.wrong(key, f"one of {', '.join(choices)}")
    if graph is None:
        graph = path.parent / card.text("model")
    described = {key: values[key] for key in ("input", "output", "pool", *_TEXTS[3:]) if key in values}
    groups = values.get("groups", [])
    if not isinstance(groups, list) or not all(isinstance(n, int) and n > 0 for n in groups):
        raise card.wrong("groups", "a list of numbers of columns")
    return OnnxModel(
        graph,
        _views(card),
        text=_text_side(_Values(path, values["text"], "text.")) if "text" in values else None,
        groups=tuple(groups),
        parameters=card.whole("parameters") if "parameters" in values else 0,
        **described,
    )


def _views(card: _Values) -> tuple[View, ...]:
    values = card.values
    if "size" not in values and "sizes" not in values:
        raise WeightsInvalid(str(card.path), f"the card says no size; the least is {EXAMPLE}")
    options = {
        key: values[key] for key in ("resize", "crop", "interpolation", "layout", "channels") if key in values
    }
    if "scale" in values:
        options["scale"] = card.number("scale")
    if "fill" in values:
        options["fill"] = tuple(int(n) for n in card.numbers("fill", 3))
    mean, deviation = card.numbers("mean", 3), card.numbers("deviation", 3)
    if min(deviation) <= 0:
        raise card.wrong("deviation", "three numbers above 0")
    mirrored = values.get("mirrored", [])
    views = []
    for size in values.get("sizes", [values.get("size")]):
        height, width = card.pair("size", size)
        to = card.pair("resize_to", values["resize_to"]) if "resize_to" in values else None
        shape: dict[str, Any] = {"size": (height, width), "resize_to": to}
        if options.get("resize", "shortest") != "squash" and (height != width or (to and to[0] != to[1])):
            raise card.wrong("size", "one number, or two with resize squash")
        if to and options.get("resize", "shortest") != "longest" and (to[0] < height or to[1] < width):
            raise card.wrong("resize_to", "at least the size")
        views.append(
            View(Preprocessing(mean=mean, deviation=deviation, **shape, **options), size in mirrored)
        )
    return tuple(views)


def _text_side(card: _Values) -> TextSide:
    if not isinstance(card.values, dict):
        raise WeightsInvalid(str(card.path), "text is no JSON object")
    card.check_keys(_TEXT_KEYS)
    names = {key: card.text(key) for key in ("input", "mask", "output", "pad_token") if key in card.values}
    folder = card.path.parent
    return TextSide(
        folder / card.text("model"),
        folder / card.text("tokenizer"),
        card.whole("length"),
        pad_to=card.whole("pad_to") if "pad_to" in card.values else None,
        **names,
    )


@dataclass(frozen=True, slots=True)
class _Values:
    """The entries of a card, read with an eye on what they should be."""

    path: Path
    values: Mapping[str, Any]
    prefix: str = ""

    def wrong(self, key: str, wanted: str) -> WeightsInvalid:
        return WeightsInvalid(
            str(self.path), f"{self.prefix}{key} is {json.dumps(self.values.get(key))}, and not {wanted}"
        )

    def check_keys(self, known: Collection[str]) -> None:
        if unknown := sorted(set(self.values) - set(known)):
            have = ", ".join(sorted(known))
            raise WeightsInvalid(str(self.path), f"no key {self.prefix}{unknown[0]!r}: a card has {have}")

    def text(self, key: str) -> str:
        value = self.values.get(key)
        if not isinstance(value, str) or not value:
            raise self.wrong(key, "a text")
        return value

    def number(self, key: str) -> float:
        value = self.values.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(key, "a number")
        return float(value)

    def whole(self, key: str) -> int:
        value = self.values.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise self.wrong(key, "a whole number above 0")
        return value

    def numbers(self, key: str, count: int) -> tuple[float, float, float]:
        value = self.values.get(key)
        good = isinstance(value, list) and len(value) == count
        if not good or not all(isinstance(n, int | float) and not isinstance(n, bool) for n in value or ()):
            raise self.wrong(key, f"{count} numbers")
        red, green, blue = (value or [])[:3]
        return float(red), float(green), float(blue)

    def pair(self, key: str, value: object) -> tuple[int, int]:
        """Return height and width of one number or two."""
        sides = [value, value] if isinstance(value, int) else value
        if not isinstance(sides, list) or len(sides) != 2:
            raise self.wrong(key, "a number of pixels, or [height, width]")
        height, width = sides
        for side in (height, width):
            if isinstance(side, bool) or not isinstance(side, int) or side < 1:
                raise self.wrong(key, "a number of pixels, or [height, width]")
        return height, width
