"""Tasks of Label Studio, as its exports JSON and JSON-MIN have them.

https://labelstud.io/guide/export documents both; https://labelstud.io/guide/task_format says what is in a
result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from lookalike.labels.fields import scalar, scalar_fields, storable
from lookalike.labels.json.annotations import merged_fields
from lookalike.labels.json.documents import kind
from lookalike.labels.json.names import plain_key
from lookalike.labels.labelling import Unusable
from lookalike.sources.files import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lookalike.types import Scalar

_MIN_KEYS = frozenset({"annotator", "annotation_id", "created_at", "updated_at", "lead_time"})
"""What JSON-MIN tells of each task beside its data and results."""
_IMAGE_KEYS = ("image", "img", "photo", "picture", "url", "path", "filename", "file")


def is_task(content: Any) -> bool:
    """Tell whether an object is a task of Label Studio, of JSON or JSON-MIN."""
    if not isinstance(content, dict):
        return False
    results = content.get("annotations", content.get("completions"))
    if isinstance(content.get("data"), dict) and isinstance(results, list):
        return True
    return len(_MIN_KEYS & set(content)) >= 3 and any(isinstance(v, str) for v in content.values())


def task_names(content: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what the image of a task may be called.

    Raises:
        Unusable: it names none.
    """
    data = content.get("data", content)
    given = [data[key] for key in data if plain_key(key) in _IMAGE_KEYS]
    given += [value for value in data.values() if value not in given]
    given.insert(0, content.get("file_upload"))
    names: dict[str, None] = {}
    for value in given:
        if isinstance(value, list):
            value = next(iter(value), None)
        if isinstance(value, str):
            names.update(dict.fromkeys(_names(value)))
    if not names:
        raise Unusable("names no image: no value in data is the path of one")
    return tuple(names)


def _names(value: str) -> list[str]:
    """Return what a path or address of Label Studio names: `/data/local-files/?d=good/1.jpg`, say."""
    if len(value) > 4096 or "\n" in value:
        return []
    try:
        parts = urlsplit(value)
        local = parse_qs(parts.query).get("d", [])
    except ValueError:
        return []
    found = [*local, value, unquote(parts.path)]
    return [each for each in found if any(each.lower().endswith(suffix) for suffix in SUFFIXES)]


def task_fields(content: Mapping[str, Any]) -> dict[str, Scalar]:
    """Return the fields of a task: one by each control's name; and `label`.

    `label` holds the labels of all regions, or, where there are none, what the only control was set to that
    offers choices. Several annotations of one task are joined; cancelled ones do not count.

    Raises:
        Unusable: an annotation is no object.
    """
    if "data" not in content:
        return _min_fields(content)
    given: list[Mapping[str, Scalar]] = []
    regions: list[str] = []
    choices: dict[str, list[str]] = {}
    for n, annotation in enumerate(content.get("annotations", content.get("completions")) or []):
        if not isinstance(annotation, dict):
            raise Unusable(f"annotations[{n}] is {kind(annotation)}, not an object")
        results = annotation.get("result")
        if annotation.get("was_cancelled") or not isinstance(results, list):
            continue
        for result in results:
            if isinstance(result, dict) and isinstance(result.get("value"), dict):
                name, value = result.get("from_name"), _value(result["value"])
                if value is None:
                    continue
                texts = value if isinstance(value, list) else []
                if "choices" in result["value"] or "taxonomy" in result["value"]:
                    choices.setdefault(str(name), []).extend(texts)
                elif texts and "text" not in result["value"]:
                    regions += texts
                if isinstance(name, str) and name:
                    given.append({storable(name): _one_text(value)})
    return _with_label(merged_fields(given), regions, choices)


def _value(value: Mapping[str, Any]) -> list[str] | Scalar | None:
    """Return what a result says: labels and choices are lists, ratings and numbers are not."""
    for key, each in value.items():
        if not (
            key.endswith("labels") or key in ("choices", "taxonomy", "text", "number", "rating", "datetime")
        ):
            continue
        if isinstance(each, list):
            return ["/".join(map(str, one)) if isinstance(one, list) else str(one) for one in each]
        if each is not None:
            return scalar(each)
    return None


def _one_text(value: list[str] | Scalar) -> Scalar:
    return ", ".join(sorted({storable(each) for each in value})) if isinstance(value, list) else value


def _min_fields(content: Mapping[str, Any]) -> dict[str, Scalar]:
    fields: dict[str, Scalar] = {}
    regions: list[str] = []
    choices: dict[str, list[str]] = {}
    for name, value in content.items():
        if name in _MIN_KEYS or plain_key(name) in ("id", *_IMAGE_KEYS):
            continue
        if isinstance(value, dict) and isinstance(value.get("choices"), list):
            texts = [str(each) for each in value["choices"]]
            choices[name] = texts
            fields[storable(name)] = _one_text(texts)
        elif isinstance(value, list):
            found = [_value(each) for each in value if isinstance(each, dict)]
            texts = [text for each in found if isinstance(each, list) for text in each]
            texts += [each for each in value if isinstance(each, str)]
            if texts:
                regions += texts
                fields[storable(name)] = _one_text(texts)
        else:
            fields.update(scalar_fields({name: value}))
            if isinstance(value, str):
                choices[name] = [value]
    return _with_label(fields, regions, choices)


def _with_label(
    fields: dict[str, Scalar], regions: list[str], choices: Mapping[str, list[str]]
) -> dict[str, Scalar]:
    if "label" not in fields:
        if regions:
            fields["label"] = _one_text(regions)
        elif len(choices) == 1:
            ((_, texts),) = choices.items()
            fields["label"] = _one_text(texts)
    return fields
