"""JSON documents beside models, read with limits and validated: our card, and those of the hub's exports.

Strangers write them, so each field has a type, a range and a length, and the first that is not as it should
be is told. What a file of the hub's has beside the fields that are read here is passed over.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from lookalike.embedders.preprocessing import RESAMPLING
from lookalike.errors import WeightsInvalid
from lookalike.file_names import display

if TYPE_CHECKING:
    from pathlib import Path

_D = TypeVar("_D", bound=BaseModel)

MOST_BYTES = 16 << 20
"""Of a file: the config.json of a network of 21,841 classes has 1 MB."""
MOST_PIXELS = 4096
"""Of a side of a network's input; what is published has 1,024 at most."""
MOST_SIZES = 16
"""Sizes whose features are laid end to end."""

# Of a value that is shown in an error.
_SHOWN = 120
# Resizing comes before cutting out, as in size / crop_pct.
_MOST_RESIZED = 2 * MOST_PIXELS
# Beyond these float32 has no finite factor left.
_TINY, _HUGE = 1e-9, 1e9
_LONGEST_LINE = 10_000
_LONGEST_NAME = 255  # bytes: NAME_MAX of Linux and macOS
_MOST_GROUPS = 4096
_MOST_COLUMNS = 1 << 24
_MOST_PARAMETERS = 10**15
# Tokens: of a text at most, and of one that is filled up.
_MOST_TOKENS = 1_000_000
_MOST_PADDED = 8192


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("control characters")
    return text


def _relative(text: str) -> str:
    parts = text.split("/")
    if text.startswith("/") or "\\" in text or not {"", ".", ".."}.isdisjoint(parts):
        raise ValueError("leads out of the folder")
    if max(len(part.encode()) for part in parts) > _LONGEST_NAME:
        raise ValueError("no file system has such a name")
    return text


_Line = Annotated[str, Field(min_length=1, max_length=_LONGEST_LINE), AfterValidator(_one_line)]
_Name = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_one_line)]
_File = Annotated[
    str, Field(min_length=1, max_length=1024), AfterValidator(_one_line), AfterValidator(_relative)
]
_Pixels = Annotated[int, Field(ge=1, le=MOST_PIXELS)]
_Resized = Annotated[int, Field(ge=1, le=_MOST_RESIZED)]
_Pair = Annotated[list[_Pixels], Field(min_length=2, max_length=2)]
_Mean = Annotated[float, Field(ge=-_HUGE, le=_HUGE, allow_inf_nan=False)]
_Factor = Annotated[float, Field(ge=_TINY, le=_HUGE, allow_inf_nan=False)]
_Level = Annotated[float, Field(ge=0, le=255, allow_inf_nan=False)]
_Tokens = Annotated[int, Field(ge=1, le=_MOST_TOKENS)]

_TEXT = "a text"
_FILE = "a text: the name of a file in the card's folder"
_SIDE = f"a number of pixels, or [height, width], of 1 … {MOST_PIXELS:,}"
_THREE = "3 numbers"
_ABOVE = "three numbers above 0"
_YES = "true or false"


def _one_of(choices: tuple[str, ...]) -> str:
    return f"one of {', '.join(choices)}"


class _Document(BaseModel):
    """A JSON object whose fields say what they should be in their descriptions."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class TextCard(_Document):
    """The part `text` of a card."""

    model: _File = Field(description=_FILE)
    tokenizer: _File = Field(description=_FILE)
    length: _Tokens = Field(description=f"a whole number above 0, {_MOST_TOKENS:,} at most")
    input: _Name | None = Field(None, description=_TEXT)
    mask: _Name | None = Field(None, description=_TEXT)
    output: _Name | None = Field(None, description=_TEXT)
    pad_to: Annotated[int, Field(ge=1, le=_MOST_PADDED)] | None = Field(
        None, description=f"a whole number above 0, {_MOST_PADDED:,} at most"
    )
    pad_token: _Name | None = Field(None, description=_TEXT)


class CardFields(_Document):
    """A card: see docs/models.md."""

    mean: Annotated[list[_Mean], Field(min_length=3, max_length=3)] = Field(description=_THREE)
    deviation: Annotated[list[_Factor], Field(min_length=3, max_length=3)] = Field(
        description=f"{_THREE}, and {_ABOVE}"
    )
    size: _Pixels | _Pair | None = Field(None, description=_SIDE)
    sizes: Annotated[list[_Pixels | _Pair], Field(min_length=1, max_length=MOST_SIZES)] | None = Field(
        None, description=f"a list of 1 … {MOST_SIZES} sizes of 1 … {MOST_PIXELS:,} pixels"
    )
    mirrored: Annotated[list[_Pixels | _Pair], Field(max_length=MOST_SIZES)] = Field(
        [], description="a list of some of the sizes"
    )
    resize: Literal["shortest", "squash", "longest"] = Field(
        "shortest", description=_one_of(("shortest", "squash", "longest"))
    )
    resize_to: _Resized | Annotated[list[_Resized], Field(min_length=2, max_length=2)] | None = Field(
        None, description=f"a number of pixels, or [height, width], of 1 … {_MOST_RESIZED:,}"
    )
    crop: Literal["floor", "round"] = Field("round", description=_one_of(("floor", "round")))
    interpolation: Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"] = Field(
        "bicubic", description=_one_of(tuple(RESAMPLING))
    )
    scale: _Factor = Field(1 / 255, description="a number above 0")
    fill: Annotated[list[_Level], Field(min_length=3, max_length=3)] = Field(
        [0, 0, 0], description="3 numbers of 0 … 255"
    )
    layout: Literal["NCHW", "NHWC"] = Field("NCHW", description=_one_of(("NCHW", "NHWC")))
    channels: Literal["RGB", "BGR"] = Field("RGB", description=_one_of(("RGB", "BGR")))
    model: _File | None = Field(None, description=_FILE)
    input: _Name | None = Field(None, description=_TEXT)
    output: _Name | None = Field(None, description=_TEXT)
    pool: Literal["first", "mean"] | None = Field(None, description=_one_of(("first", "mean")))
    text: TextCard | None = Field(None, description="an object with model, tokenizer and length")
    groups: Annotated[list[Annotated[int, Field(ge=1, le=_MOST_COLUMNS)]], Field(max_length=_MOST_GROUPS)] = (
        Field([], description="a list of numbers of columns")
    )
    parameters: Annotated[int, Field(ge=1, le=_MOST_PARAMETERS)] | None = Field(
        None, description="a whole number above 0"
    )
    licence: _Line | None = Field(None, description=_TEXT)
    summary: _Line | None = Field(None, description=_TEXT)
    source: _Line | None = Field(None, description=_TEXT)


class _Foreign(_Document):
    model_config = ConfigDict(extra="ignore")


class Sides(_Foreign):
    """A size as image processors of transformers write it."""

    shortest_edge: _Resized | None = Field(None, description=_SIDE)
    height: _Resized | None = Field(None, description=_SIDE)
    width: _Resized | None = Field(None, description=_SIDE)


class Processor(_Foreign):
    """What is read of a preprocessor_config.json."""

    size: _Resized | Sides = Field(description=f"a size of 1 … {MOST_PIXELS:,} pixels")
    crop_size: _Pixels | Sides | None = Field(None, description=f"a size of 1 … {MOST_PIXELS:,} pixels")
    do_center_crop: bool | None = Field(None, description=_YES)
    do_normalize: bool | None = Field(True, description=_YES)
    do_rescale: bool | None = Field(True, description=_YES)
    rescale_factor: _Factor = Field(1 / 255, description="a number above 0")
    image_mean: Annotated[list[_Mean], Field(min_length=3, max_length=3)] | None = Field(
        None, description=_THREE
    )
    image_std: Annotated[list[_Factor], Field(min_length=3, max_length=3)] | None = Field(
        None, description=f"{_THREE}, and {_ABOVE}"
    )
    resample: Annotated[int, Field(ge=0, le=5)] | None = Field(
        None, description="a filter of Pillow's, 0 … 5"
    )
    image_processor_type: _Name | None = Field(None, description=_TEXT)
    feature_extractor_type: _Name | None = Field(None, description=_TEXT)


class TextConfig(_Foreign):
    """The part `text_config` of a config.json."""

    max_position_embeddings: _Tokens | None = Field(None, description="a whole number above 0")


class Config(_Foreign):
    """What is read of a config.json."""

    model_type: _Name | None = Field(None, description=_TEXT)
    text_config: TextConfig | None = Field(None, description="an object")


class AddedToken(_Foreign):
    """A token as tokenizers write those that they were given."""

    content: _Name = Field(description=_TEXT)


class TokenizerConfig(_Foreign):
    """What is read of a tokenizer_config.json."""

    model_max_length: float | None = Field(None, description="a number")  # 10 ** 30 where there is no limit
    pad_token: _Name | AddedToken | None = Field(None, description=_TEXT)


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file: of limited size and depth, in UTF-8, and with numbers that exist.

    Raises:
        WeightsInvalid: it is none.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise WeightsInvalid(str(path), f"has more than {MOST_BYTES >> 20} MB, and is not read")
        content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
        found = from_json(content, allow_inf_nan=False)
    except OSError as error:
        raise WeightsInvalid(str(path), f"cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise WeightsInvalid(str(path), f"cannot be read: no JSON: {error}") from error
    if not isinstance(found, dict):
        raise WeightsInvalid(str(path), "is no JSON object")
    return found


def read_fields(path: Path, values: dict[str, Any], kind: type[_D]) -> _D:
    """Return what a JSON object says, as a document of some kind.

    Args:
        path: where it was read, for errors.
        values: the object.
        kind: one of the classes above.

    Raises:
        WeightsInvalid: the first field that is not as it should be.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise WeightsInvalid(str(path), _told(error, values, kind)) from error


def wrong(path: Path, field: str, value: object, wanted: str) -> WeightsInvalid:
    """Return the error of a field that is not as it should be.

    Args:
        path: of the file.
        field: its name, `text.model` say.
        value: what it says.
        wanted: what it should be.
    """
    return WeightsInvalid(str(path), f"{field} is {shown(value)}, and not {wanted}")


def shown(value: object) -> str:
    """Return a value of JSON as it stands there, in one line and not too long."""
    # Of a list or text of any length, no more is written than is shown.
    if isinstance(value, list | str):
        value = value[: _SHOWN + 1]
    elif isinstance(value, dict):
        value = dict(list(value.items())[:_SHOWN])
    elif isinstance(value, int) and abs(value) > 10**_SHOWN:
        return "a number of very many digits"
    text = display(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _told(error: ValidationError, values: dict[str, Any], kind: type[BaseModel]) -> str:
    """Return what is wrong first, in the order of the fields, and of unknown ones before all others."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    first = next((each for each in found if each["type"] == "extra_forbidden"), found[0])
    names: list[str] = []
    document: type[BaseModel] | None = kind
    value: Any = values
    wanted = "as it should be"
    for part in first["loc"]:
        if document is None or not isinstance(value, dict):
            break
        field = document.model_fields.get(str(part))
        if field is None:
            have = ", ".join(sorted(document.model_fields))
            where = "".join(f"{name}." for name in names)
            return f"no key {where}{display(repr(str(part)[:_SHOWN]))}: a card has {have}"
        names.append(str(part))
        wanted = field.description or wanted
        value = value.get(str(part))
        document = next((each for each in _DOCUMENTS if each in _kinds(field.annotation)), None)
    return f"{'.'.join(names)} is {shown(value)}, and not {wanted}"


_DOCUMENTS: tuple[type[BaseModel], ...] = (TextCard,)


def _kinds(annotation: Any) -> tuple[Any, ...]:
    return getattr(annotation, "__args__", (annotation,))
