"""The embedders `timm:NAME` and `timm-inspect:NAME`: networks of the library timm, with its weights."""

from __future__ import annotations

import hashlib
import logging
from itertools import accumulate, pairwise
from math import floor, isfinite
from typing import TYPE_CHECKING, Any

from lookalike.embedders.file_digests import digest_of
from lookalike.embedders.onnx.graph_cache import built_once
from lookalike.embedders.onnx.model_documents import MOST_PIXELS, read_object, shown
from lookalike.embedders.preprocessing import RESAMPLING, Preprocessing, View
from lookalike.embedders.protocol import Card
from lookalike.embedders.torch.network_description import Network
from lookalike.embedders.torch.networks import embedder_of, first_difference, output_width, seeded
from lookalike.embedders.torch.statistics import STATISTICS, chosen_channels, statistics_network
from lookalike.errors import ExtraMissing, InvalidArgument, WeightsInvalid

try:
    import timm
except ImportError as _error:
    raise ExtraMissing("models of timm", "torch") from _error

if TYPE_CHECKING:
    from pathlib import Path

    from lookalike.embedders.protocol import Device
    from lookalike.embedders.torch.hub import Hub
    from lookalike.embedders.torch.networks import TorchEmbedder

_FILES = ("config.json",)
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_CROPS = {"center": "shortest", "squash": "squash", "border": "longest"}


def open_timm(name: str, hub: Hub, cache: Path, device: Device, *, inspect: bool) -> TorchEmbedder:
    """Open a network of timm.

    Args:
        name: as timm has it, with the tag of its weights: densenet121.tv_in1k.
        hub: where its weights come from.
        cache: the user's cache folder.
        device: where it runs.
        inspect: whether to give statistics of its layers instead of its last one's mean.

    Raises:
        InvalidArgument: timm has no network of that name, or none with layers to inspect.
        WeightsMissing: the weights are not here.
        WeightsInvalid: they do not fit the network.
    """
    config = timm.get_pretrained_cfg(name)
    if config is None or not config.hf_hub_id:
        raise InvalidArgument(
            f"timm {timm.__version__} has no network {name!r} with weights on the hub; "
            f"python -c 'import timm; print(*timm.list_pretrained(\"*dense*\"))' lists them"
        )
    folder = hub.folder(config.hf_hub_id, _FILES, _WEIGHTS)
    file = next(folder / each for each in _WEIGHTS if (folder / each).is_file())
    settings = _settings(name, folder, config)
    weights = digest_of([file], cache)
    network = _filled(name, file, settings, weights, cache, inspect=inspect)
    data = _data(settings, folder)
    licence = str(settings.get("license") or "not stated")
    options: dict[str, Any] = {
        "licence": licence,
        "source": f"hub: {config.hf_hub_id}",
        "size": file.stat().st_size,
    }
    options["parameters"] = sum(each.numel() for each in network.parameters())
    full = f"{'timm-inspect' if inspect else 'timm'}:{name}"
    if inspect:
        return embedder_of(_inspecting(full, network, settings, data, weights, cache, options), device)
    view = View(_preprocessing(data))
    summary = f"{name.partition('.')[0]} of timm"
    # What comes out may be wider than the maps: a head that is no classifier is kept.
    width = output_width(network, view)
    card = Card(full, width, summary=summary, **options)
    return embedder_of(
        Network(full, network, (view,), width, weights, "forward, no classifier", card), device
    )


def _settings(name: str, folder: Path, config: Any) -> dict[str, Any]:
    """Return what timm knows of the weights, corrected by the config.json that lies beside them."""
    settings: dict[str, Any] = config.to_dict()
    path = folder / "config.json"
    if not path.is_file():
        return settings
    found = read_object(path)
    try:
        architecture = found.get("architecture", name.partition(".")[0])
        beside = found.get("pretrained_cfg", {})
        if architecture != name.partition(".")[0]:
            raise WeightsInvalid(str(path), f"these are weights of {architecture}, and not of {name}")
        return settings | {key: value for key, value in beside.items() if value is not None}
    except (ValueError, AttributeError, TypeError) as error:
        raise WeightsInvalid(str(path), f"cannot be read: {error}") from error


def _data(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return how timm feeds a network, where its settings make sense.

    Raises:
        WeightsInvalid: they do not.
    """
    path = folder / "config.json"
    try:
        data: dict[str, Any] = timm.data.resolve_data_config(pretrained_cfg=settings)
        channels, height, width = map(int, data["input_size"])
        numbers = [*map(float, data["mean"]), *map(float, data["std"]), float(data["crop_pct"])]
        good = channels > 0 and 0 < height <= MOST_PIXELS and 0 < width <= MOST_PIXELS
        good = good and all(map(isfinite, numbers)) and float(data["crop_pct"]) > 0
        good = good and data["crop_mode"] in _CROPS
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise WeightsInvalid(
            str(path), f"says no size, mean or deviation that can be used: {error!r}"
        ) from error
    if not good:
        raise WeightsInvalid(str(path), f"says no size, mean or deviation that can be used: {shown(data)}")
    return data


def _filled(
    name: str, file: Path, settings: dict[str, Any], weights: str, cache: Path, *, inspect: bool
) -> Any:
    """Return the network, after it was made sure of once that the file fills all of it.

    timm takes what fits and leaves the rest as it was drawn: two networks drawn from different seeds show it.
    """
    with seeded(1):
        network = _build(name, file, settings, inspect=inspect)

    def check() -> bytes:
        with seeded(2):
            unfilled = first_difference(network, _build(name, file, settings, inspect=inspect))
        if unfilled is not None:
            raise WeightsInvalid(
                str(file), f"these weights do not fit timm's {name}: they have no {unfilled}"
            )
        return b"all of it\n"

    stem = hashlib.sha256(f"{timm.__version__}; {name}; {inspect}; {weights}".encode()).hexdigest()[:16]
    built_once(cache / "models" / f"filled-{stem}.txt", check)
    return network


def _build(name: str, file: Path, settings: dict[str, Any], *, inspect: bool) -> Any:
    overlay: dict[str, Any] = {
        key: settings[key] for key in ("input_size", "num_classes", "first_conv") if key in settings
    }
    overlay |= {"file": str(file), "hf_hub_id": None, "url": ""}
    options: dict[str, Any] = {"features_only": True} if inspect else {"num_classes": 0}
    log = logging.getLogger("timm")
    before = log.level
    # timm lists each tensor that it leaves out: the classifier, always.
    log.setLevel(logging.ERROR)
    try:
        return timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, **options).eval()
    except (RuntimeError, AttributeError, NotImplementedError, TypeError) as error:
        text = " ".join(str(error).split())[:300]
        if inspect and "size mismatch" not in text and "Missing key" not in text:
            raise InvalidArgument(
                f"timm's {name} has no layers to inspect ({text}); timm:{name} works"
            ) from error
        raise WeightsInvalid(str(file), f"these weights do not fit timm's {name}: {text}") from error
    except Exception as error:  # pickles and safetensors raise what they like
        raise WeightsInvalid(str(file), f"cannot be read: {error}") from error
    finally:
        log.setLevel(before)


def _preprocessing(data: dict[str, Any], side: int | None = None) -> Preprocessing:
    """Return what timm's evaluation transform does; with a `side`, the whole image at that size instead."""
    _, height, width = data["input_size"]
    mean, deviation = tuple(map(float, data["mean"])), tuple(map(float, data["std"]))
    if len(mean) != 3 or len(deviation) != 3 or data["interpolation"] not in RESAMPLING:
        raise InvalidArgument(f"this network wants images that are not made here: {data}")
    filtered = data["interpolation"]
    if side is not None:
        return Preprocessing((side, side), mean, deviation, "squash", interpolation=filtered)
    mode = _CROPS[data["crop_mode"]]
    to = (floor(height / data["crop_pct"]), floor(width / data["crop_pct"]))
    if mode != "squash" and height != width:
        raise InvalidArgument(
            f"this network wants images of {width} × {height} pixels; squares alone are made here"
        )
    red, green, blue = (round(255 * value) for value in mean)
    return Preprocessing(
        (height, width), mean, deviation, mode, to, interpolation=filtered, fill=(red, green, blue)  # type: ignore[arg-type]
    )  # fmt: skip


def _inspecting(
    name: str, network: Any, settings: dict[str, Any], data: dict[str, Any], weights: str, cache: Path,
    options: dict[str, Any],
) -> Network:  # fmt: skip
    """Return the network that gives statistics of layers, at the size it was made for and at twice that."""
    info = network.feature_info
    if str(getattr(network, "output_fmt", "NCHW")).rpartition(".")[2] != "NCHW":
        raise InvalidArgument(
            f"{name}: its layers are no maps that can be inspected; without -inspect it works"
        )
    widths = info.channels()
    fixed = bool(settings.get("fixed_input_size"))
    side = int(data["input_size"][1]) * (1 if fixed else 2)
    # The last layer says what the picture is of, and not what is wrong with it: that is the plain model's.
    layers = len(widths) - 1 if len(widths) > 2 and not fixed else len(widths)
    channels = chosen_channels(widths[:layers], 1 if fixed else 2)
    stem = hashlib.sha256(f"{name}; {weights}; {data}; {layers}".encode()).hexdigest()[:16]
    kept = cache / "models" / f"units-{stem}.f4"
    module = statistics_network(
        lambda planes: network(planes)[:layers],
        channels,
        side,
        data["mean"],
        data["std"],
        halved=not fixed,
        kept=kept,
    )
    ends = list(
        accumulate(
            [len(each) for each in channels for _ in range(STATISTICS)] * (1 if fixed else 2), initial=0
        )
    )
    card = Card(
        name, ends[-1],
        summary=f"for inspection: statistics of {layers} layers; for `fit`",
        groups=tuple(slice(*pair) for pair in pairwise(ends)), **options,
    )  # fmt: skip
    recipe = f"statistics 1 of {layers} layers, {'one resolution' if fixed else 'two resolutions'}"
    return Network(name, module, (View(_preprocessing(data, side)),), ends[-1], weights, recipe, card)
