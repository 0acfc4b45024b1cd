"""Torch networks of any library as embedders and as ONNX graphs."""

from __future__ import annotations

import hashlib
import warnings
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.embedders.protocol import Described, Embedder, TextEmbedder
from lookalike.embedders.text.blank import refuse_blank
from lookalike.embedders.views import embed_views
from lookalike.errors import ExtraMissing, InvalidArgument, WeightsInvalid

try:
    import torch
except ImportError as _error:
    raise ExtraMissing("this model", "torch") from _error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL.Image import Image

    from lookalike.embedders.preprocessing import View
    from lookalike.embedders.protocol import Card, Device
    from lookalike.embedders.torch.network_description import Network
    from lookalike.types import Features

# Images a call on a GPU: it idles on fewer.
_GPU_BATCH = 32
# Bytes of weights above which they are written beside the graph.
_LARGE = 1_900_000_000


def function_module(owner: Any, function: Callable[..., Any]) -> Any:
    """Return a torch module that calls `function`, which uses the weights of the module `owner`."""

    class Called(torch.nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.owner = owner

        def forward(self, *inputs: Any) -> Any:
            return function(*inputs)

    return Called().eval()


def torch_device(device: Device) -> Any:
    """Return the torch device for a choice.

    Raises:
        InvalidArgument: cuda was asked for, and torch has no GPU.
    """
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise InvalidArgument("device cuda: torch finds no GPU that it can use; use device cpu")
    return torch.device("cuda" if there and device != "cpu" else "cpu")


class TorchEmbedder(Embedder, Described):
    """A torch network as an embedder; see `lookalike.embedders.registry.Embedder`."""

    def __init__(self, network: Network, device: Device) -> None:
        """Put a network on a device.

        Raises:
            InvalidArgument: cuda was asked for, and torch has no GPU.
        """
        self.network = network
        self._place = torch_device(device)
        self._module = network.module.eval().to(self._place)
        # The callers are the threads; more in each call would only wait for each other.
        torch.set_num_threads(1)
        recipe = "; ".join([network.recipe, *(view.recipe for view in network.views)])
        self._fingerprint = hashlib.sha256(f"torch 1; {network.weights}; {recipe}".encode()).hexdigest()

    @property
    def name(self) -> str:
        """Name under which `open_embedder` finds it."""
        return self.network.name

    @property
    def fingerprint(self) -> str:
        """Over the weights and preprocessing of the image side; the text side has no part."""
        return self._fingerprint

    @property
    def dimension(self) -> int:
        """Numbers per image."""
        return self.network.dimension

    @property
    def input_size(self) -> int:
        """Shorter side that images are resized to."""
        return max(view.preprocessing.input_size for view in self.network.views)

    @property
    def batch_size(self) -> int:
        """One on a CPU, where each core takes a call of its own."""
        return 1 if self._place.type == "cpu" else _GPU_BATCH

    @property
    def card(self) -> Card:
        """What its library and the hub say of it."""
        return self.network.card

    def embed(self, images: Sequence[Image]) -> Features:
        """Embed images: see `Embedder.embed`.

        Raises:
            InvalidArgument: an image is not of mode RGB, or empty.
            WeightsInvalid: the network gives something that is no finite number.
        """
        views = self.network.views
        return self._finite(embed_views(images, views, self._infer, self.dimension, self.batch_size))

    def _infer(self, planes: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            found: NDArray[np.float32] = (
                self._module(torch.from_numpy(planes).to(self._place)).float().cpu().numpy()
            )
        return found

    def _finite(self, features: Features) -> Features:
        if not np.isfinite(features).all():
            raise WeightsInvalid(self.name, "gives something that is no finite number")
        return features


class TorchTextEmbedder(TorchEmbedder, TextEmbedder):
    """A torch network with a text side."""

    def __init__(self, network: Network, device: Device) -> None:
        super().__init__(network, device)
        assert network.texts is not None  # noqa: S101 `embedder_of` has looked
        self._texts = network.texts
        self._text_module = network.texts.network.eval().to(self._place)

    @property
    def text_fingerprint(self) -> str:
        """Over the weights and the tokenizer of the text side."""
        texts = self._texts
        recipe = f"{texts.length}, {texts.pad_to}, {texts.masked}"
        return hashlib.sha256(f"torch text 1; {texts.weights}; {recipe}".encode()).hexdigest()

    @property
    def vocabulary(self) -> str | None:
        """Nothing is known of what it cannot understand."""
        return None

    def embed_texts(self, texts: Sequence[str]) -> Features:
        """Embed texts, one after another: see `TextEmbedder.embed_texts`."""
        refuse_blank(texts)
        features = np.empty((len(texts), self.dimension), np.float32)
        for row, text in zip(features, texts, strict=True):
            numbers, mask = self._texts.tokenize(text.encode("utf-8", "replace").decode())
            inputs = [torch.tensor([numbers], device=self._place)]
            if self._texts.masked:
                inputs.append(torch.tensor([mask], device=self._place))
            with torch.inference_mode():
                row[:] = self._text_module(*inputs).float().cpu().numpy()[0]
        return self._finite(features)


def embedder_of(network: Network, device: Device) -> TorchEmbedder:
    """Return the embedder of a network, with texts where it has them."""
    return (TorchEmbedder if network.texts is None else TorchTextEmbedder)(network, device)


def write_graph(
    path: Path,
    module: Any,
    shapes: Sequence[tuple[str, tuple[int, ...], bool]],
    open_axes: Sequence[dict[int, str]],
    output: str = "features",
) -> None:
    """Write a module as an ONNX graph of one output.

    Args:
        path: the file to write; a model above 2 GiB has its tensors in a file beside it.
        module: what is written, on the CPU.
        shapes: for each input its name, the shape of an example, and whether it holds whole numbers.
        open_axes: for each input the axes whose size is left open, with a name; if the network cannot be
            written so, they are fixed at the size of the example.
        output: what the output is called.

    Raises:
        WeightsInvalid: torch cannot write this network.
    """
    examples = tuple(
        torch.ones(shape, dtype=torch.int64) if whole else torch.zeros(shape) for _, shape, whole in shapes
    )
    names = [name for name, _, _ in shapes]
    dims: dict[str, Any] = {}
    dynamic = [
        {axis: dims.setdefault(name, torch.export.Dim(name, min=1, max=2**16)) for axis, name in axes.items()}
        for axes in open_axes
    ]
    # Protobuf ends at 2 GiB.
    large = sum(each.numel() * each.element_size() for each in module.parameters()) > _LARGE
    problem: Exception | None = None
    for choice in (tuple(dynamic), None):
        try:
            # The exporter reports its steps; what goes wrong comes as an exception too.
            with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
                warnings.simplefilter("ignore")
                torch.onnx.export(
                    module, examples, str(path), input_names=names, output_names=[output], dynamo=True,
                    dynamic_shapes=None if choice is None else (choice,), external_data=large, verbose=False,
                )  # fmt: skip
        except ImportError as error:
            raise ExtraMissing("writing ONNX graphs", "torch") from error
        except Exception as error:  # noqa: BLE001 whatever torch's tracer stumbles over
            problem = error
        else:
            return
    text = " ".join(str(problem).split())[:300]
    raise WeightsInvalid(path.name, f"torch cannot write this network as ONNX: {text}") from problem


def tensor(array: NDArray[Any]) -> Any:
    """Return an array as a torch tensor on the CPU."""
    return torch.from_numpy(np.ascontiguousarray(array))


def concatenated(parts: Sequence[Any]) -> Any:
    """Return tensors of shape (images, numbers) laid end to end."""
    return torch.cat(list(parts), dim=1)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from this seed for a while; what the program draws afterwards is not touched."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def first_difference(one: Any, other: Any) -> str | None:
    """Return the name of a tensor that two networks of one kind do not share, or None."""
    twins = other.state_dict()
    return next((name for name, value in one.state_dict().items() if not value.equal(twins[name])), None)


def gradients_off() -> Any:
    """Return a context in which nothing is remembered for training."""
    return torch.no_grad()


def output_width(module: Any, view: View) -> int:
    """Return how many numbers an image gets, by an inference."""
    height, width = view.preprocessing.size
    with torch.inference_mode():
        shape = module(torch.zeros(1, 3, height, width)).shape
    if len(shape) != 2:
        raise InvalidArgument(
            f"this network gives features of the shape {list(shape)}, and not images × numbers"
        )
    return int(shape[1])
