"""The card of an ONNX model: its preprocessing, inputs and outputs, as JSON beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lookalike.embedders.preprocessing import Preprocessing, View
from lookalike.errors import WeightsInvalid

if TYPE_CHECKING:
    from pathlib import Path

    from lookalike.embedders.onnx.model_documents import CardFields, TextCard

CARD_NAME = "lookalike.json"
"""The card of a folder; that of a file FILE.onnx is FILE.json beside it."""

EXAMPLE = '{"size": 224, "resize_to": 256, "mean": [0.485, 0.456, 0.406], "deviation": [0.229, 0.224, 0.225]}'
"""What a card of a network trained on ImageNet says at least."""


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
    # It takes a tenth of a second to import, which nobody pays for who opens no such model.
    from lookalike.embedders.onnx.model_documents import CardFields, TextCard, read_fields, read_object, wrong

    try:
        values = read_object(path)
    except WeightsInvalid as error:
        raise WeightsInvalid(str(path), f"the card {error.reason}; the least is {EXAMPLE}") from error
    if "size" not in values and "sizes" not in values:
        unknown = set(values) - set(CardFields.model_fields)
        if not unknown:
            raise WeightsInvalid(str(path), f"the card says no size; the least is {EXAMPLE}")
    text = values.get("text")
    for prefix, kind, said in (("", CardFields, values), ("text.", TextCard, text)):
        for key, value in said.items() if isinstance(said, dict) else ():
            if value is None and key in kind.model_fields:  # what is not said is left out
                raise wrong(path, f"{prefix}{key}", None, str(kind.model_fields[key].description))
    card = read_fields(path, values, CardFields)
    if graph is None:
        if card.model is None:
            raise wrong(path, "model", None, "a text: the name of a file in the card's folder")
        graph = _beside(path, "model", card.model)
    described = {key: value for key in _PASSED_ON if (value := getattr(card, key)) is not None}
    return OnnxModel(
        graph,
        _views(path, card),
        text=None if card.text is None else _text_side(path, card.text),
        groups=tuple(card.groups),
        parameters=card.parameters or 0,
        **described,
    )


_PASSED_ON = ("input", "output", "pool", "licence", "summary", "source")


def _beside(card: Path, field: str, name: str) -> Path:
    """Return the path of a file that a card names: in its folder, or where the card itself is a link to.

    The second is how the hub's cache lays out a repository.

    Raises:
        WeightsInvalid: it leads out of there.
    """
    from lookalike.embedders.onnx.model_documents import wrong

    path = card.parent / name
    homes = (card.parent.resolve(), card.resolve().parent)
    try:
        real = path.resolve()
    except (OSError, RuntimeError) as error:  # links that lead to each other
        raise wrong(card, field, name, "a file that can be found") from error
    if not any(real.is_relative_to(home) for home in homes):
        raise wrong(card, field, name, "a file in the card's folder: it leads to another one")
    return path


def _views(path: Path, card: CardFields) -> tuple[View, ...]:
    from lookalike.embedders.onnx.model_documents import wrong

    sizes = card.sizes or ([] if card.size is None else [card.size])
    if not sizes:
        raise WeightsInvalid(str(path), f"the card says no size; the least is {EXAMPLE}")
    if any(size not in sizes for size in card.mirrored):
        raise wrong(path, "mirrored", card.mirrored, "a list of some of the sizes")
    red, green, blue = (int(level) for level in card.fill)
    to = None if card.resize_to is None else _pair(card.resize_to)
    views = []
    for size in sizes:
        height, width = _pair(size)
        if card.resize != "squash" and (height != width or (to and to[0] != to[1])):
            raise wrong(path, "size", size, "one number, or two with resize squash")
        if to and card.resize != "longest" and (to[0] < height or to[1] < width):
            raise wrong(path, "resize_to", card.resize_to, "at least the size")
        preprocessing = Preprocessing(
            size=(height, width),
            mean=three_numbers(card.mean),
            deviation=three_numbers(card.deviation),
            resize=card.resize,
            resize_to=to,
            crop=card.crop,
            interpolation=card.interpolation,
            scale=card.scale,
            fill=(red, green, blue),
            layout=card.layout,
            channels=card.channels,
        )
        views.append(View(preprocessing, size in card.mirrored))
    return tuple(views)


def _text_side(path: Path, text: TextCard) -> TextSide:
    return TextSide(
        _beside(path, "text.model", text.model),
        _beside(path, "text.tokenizer", text.tokenizer),
        text.length,
        input=text.input,
        mask=text.mask,
        output=text.output,
        pad_to=text.pad_to,
        pad_token=text.pad_token,
    )


def _pair(size: int | list[int]) -> tuple[int, int]:
    """Return height and width of one number or two."""
    height, width = (size, size) if isinstance(size, int) else size
    return height, width


def three_numbers(values: list[float]) -> tuple[float, float, float]:
    """Return a number for each colour."""
    red, green, blue = values
    return red, green, blue
