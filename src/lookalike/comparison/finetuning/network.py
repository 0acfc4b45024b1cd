"""A network of timm in PyTorch, of which all layers can be trained."""

from __future__ import annotations

import copy
import os
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.comparison.finetuning.pixels import with_margin
from lookalike.errors import ExtraMissing, InvalidArgument, Unanswerable

try:
    import torch

    # It needs torch too, and would call it "this model".
    from lookalike.embedders.torch.networks import embedder_of, torch_device
except ImportError as _error:
    raise ExtraMissing("fine-tuning", "torch") from _error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from lookalike.comparison.finetuning.augmentation import Augmentation
    from lookalike.comparison.finetuning.pixels import Pixels
    from lookalike.comparison.finetuning.recipe import Recipe
    from lookalike.embedders.preprocessing import Preprocessing
    from lookalike.embedders.protocol import Device, Embedder
    from lookalike.embedders.torch.hub import Hub
    from lookalike.embedders.torch.network_description import Network
    from lookalike.vectors.nearest import Rows
    from lookalike.vectors.vote import Codes

# Images at once where nothing is remembered for training.
_ANSWERED = 64
# Of red, green and blue in a grey: ITU-R BT.601, as in Pillow's conversion to L.
_GREY = (0.299, 0.587, 0.114)


class TrainableNetwork:
    """A network of timm with the weights that training begins with, which stay as they are."""

    def __init__(self, network: Network, device: Device) -> None:
        """Say what is trained and where.

        Args:
            network: without a classifier, of one view, on the CPU.
            device: where training and answers run.

        Raises:
            InvalidArgument: cuda was asked for, and torch has no GPU; the network takes no classifier.
        """
        if not hasattr(network.module, "reset_classifier"):
            raise InvalidArgument(f"{network.name} cannot be given a classifier")
        self._network = network
        self._device = device
        self._place = torch_device(device)
        given = network.views[0].preprocessing
        self._size = given.size
        self._mean = torch.tensor(given.mean, device=self._place)[:, None, None]
        self._deviation = torch.tensor(given.deviation, device=self._place)[:, None, None]

    @property
    def name(self) -> str:
        """As it was asked for: timm:NAME."""
        return self._network.name

    @property
    def preprocessing(self) -> Preprocessing:
        """What pictures go through before they are cropped and varied."""
        return with_margin(self._network.views[0].preprocessing)

    @contextmanager
    def training(self, seed: int) -> Iterator[None]:
        """Take all cores and draw from this seed for a while.

        Raises:
            Unanswerable: the memory did not suffice.
        """
        gpus = [self._place] if self._place.type == "cuda" else []
        try:
            with _all_cores(), torch.random.fork_rng(devices=gpus):
                torch.manual_seed(seed)
                yield
        except RuntimeError as error:
            if not isinstance(error, torch.OutOfMemoryError) and "allocate memory" not in str(error):
                raise
            raise Unanswerable(
                f"{self.name} needs more memory to be trained than there is for {self._place.type}: take a "
                f"smaller network"
            ) from error

    def fresh(self, classes: int, recipe: Recipe) -> tuple[Any, Any]:
        """Return a copy of the network with a classifier drawn at random, and what updates its weights."""
        module = copy.deepcopy(self._network.module).requires_grad_(True)
        known = {id(each) for each in module.parameters()}
        # Drawn on the CPU, so that every device begins with the same.
        module.reset_classifier(classes)
        module = module.to(self._place)
        new = {name for name, each in module.named_parameters() if id(each) not in known}
        groups = []
        for head in (False, True):
            for decays in (False, True):
                # Weights of one axis are biases and norms.
                found = [
                    each
                    for name, each in module.named_parameters()
                    if ((name in new), each.ndim > 1) == (head, decays)
                ]
                decay = recipe.weight_decay if decays else 0.0
                groups.append({"params": found, "weight_decay": decay, "times": recipe.head if head else 1.0})
        return module, torch.optim.AdamW([group for group in groups if group["params"]])

    def update(
        self,
        module: Any,
        optimizer: Any,
        pictures: tuple[Pixels, Codes],
        augmentation: Augmentation,
        recipe: Recipe,
        rate: float,
    ) -> Any:
        """Take one step down the gradient.

        Args:
            module: in training mode.
            optimizer: as `fresh` returned it.
            pictures: (n, height, width, 3), and their classes (n,).
            augmentation: of these pictures.
            recipe: how.
            rate: of the layers that came with weights.

        Returns:
            The loss, a number on the device.
        """
        for group in optimizer.param_groups:
            group["lr"] = rate * group["times"]
        pixels, codes = pictures
        planes = self._normalised(self._varied(self._planes(pixels), augmentation))
        truth = torch.from_numpy(codes.astype(np.int64)).to(self._place)
        # A GPU that can computes in bfloat16, at twice the speed or more.
        short = self._place.type == "cuda" and torch.cuda.is_bf16_supported()
        with torch.autocast(self._place.type, dtype=torch.bfloat16, enabled=short):
            scores = module(planes)
        loss = torch.nn.functional.cross_entropy(scores.float(), truth, label_smoothing=recipe.smoothing)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), recipe.clip)
        optimizer.step()
        return loss.detach()

    def scores(self, module: Any, pixels: Pixels, rows: Rows) -> NDArray[np.float32]:
        """Return the scores of rows, (len(rows), classes), from pictures that are not varied."""
        height, width = self._size
        module.eval()
        found = []
        for start in range(0, len(rows), _ANSWERED):
            planes = self._planes(pixels[rows[start : start + _ANSWERED]])
            top, left = round((planes.shape[2] - height) / 2), round((planes.shape[3] - width) / 2)
            middle = planes[:, :, top : top + height, left : left + width]
            # Not inference_mode: what a network keeps from it could not be trained with afterwards.
            with torch.no_grad():
                found.append(module(self._normalised(middle)).float().cpu().numpy())
        return np.concatenate(found)

    def scorer(self, module: Any, classes: int) -> Embedder:
        """Return a trained module as an embedder, whose features are the scores of the classes."""
        return embedder_of(replace(self._network, module=module, dimension=classes), self._device)

    def _planes(self, pixels: Pixels) -> Any:
        """Return pictures as planes on the device, 0 … 1, (n, 3, height, width)."""
        given = torch.from_numpy(np.array(pixels)).to(self._place)
        return given.permute(0, 3, 1, 2).float().div_(255)

    def _normalised(self, planes: Any) -> Any:
        return (planes - self._mean) / self._deviation

    def _varied(self, planes: Any, augmentation: Augmentation) -> Any:
        """Return crops of planes, (n, 3, height, width) of the network's size."""
        places = torch.from_numpy(augmentation.places).to(self._place)
        grid = torch.nn.functional.affine_grid(places, (len(planes), 3, *self._size), align_corners=False)
        crops = torch.nn.functional.grid_sample(planes, grid, padding_mode="border", align_corners=False)
        brightness, contrast, saturation = (
            torch.from_numpy(each).to(self._place)[:, None, None, None] for each in augmentation[1:]
        )
        grey = torch.tensor(_GREY, device=self._place)[:, None, None]
        crops = crops * brightness
        middle = (crops * grey).sum(dim=1, keepdim=True).mean(dim=(2, 3), keepdim=True)
        crops = middle + contrast * (crops - middle)
        shades = (crops * grey).sum(dim=1, keepdim=True)
        return (shades + saturation * (crops - shades)).clamp_(0, 1)


def open_trainable(name: str, hub: Hub, cache: Path, device: Device) -> TrainableNetwork:
    """Open a network of timm to be trained, with the weights that training begins with.

    Args:
        name: as timm has it, with the tag of its weights.
        hub: where they come from.
        cache: the user's cache folder.
        device: where it is trained.

    Raises:
        ExtraMissing: timm is not installed.
        InvalidArgument: timm has no such network, or torch no GPU where cuda was asked for.
        WeightsMissing: the weights are not here, and cannot be fetched.
        WeightsInvalid: they do not fit the network.
    """
    from lookalike.embedders.torch.timm_models import open_timm

    torch_device(device)
    return TrainableNetwork(open_timm(name, hub, cache, "cpu", inspect=False).network, device)


@contextmanager
def _all_cores() -> Iterator[None]:
    """Let torch use all cores for a while: embedders take one, as their callers are many."""
    before = torch.get_num_threads()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    try:
        yield
    finally:
        torch.set_num_threads(before)
