"""Hyperparameters of fine-tuning, each with its source.

One recipe for every network of timm, so that nobody has to choose: AdamW (I. Loshchilov and F. Hutter,
"Decoupled weight decay regularization", ICLR 2019) with a warm-up (P. Goyal and others, arXiv:1706.02677,
2017) and half a cosine down to 0 (Loshchilov and Hutter, "SGDR", ICLR 2017); R. Wightman, H. Touvron and
H. Jégou, "ResNet strikes back" (arXiv:2110.00476, 2021), train networks of timm by a cosine too. The loss is
the cross-entropy of all images alike: classes have no weights, as neighbours vote unweighted, and accuracy
is what both are compared by; what a rare class suffers from it, macro F1 shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, cos, pi

from lookalike.errors import InvalidArgument

MOST_EPOCHS = 1000
"""More are refused: a slip of the pen."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How long, how fast and on what pictures a network is trained."""

    epochs: int | None = None
    """At most; None: `EPOCHS`, or as many as `UPDATES` take."""
    batch: int = 32
    """Images an update, at least 4: batch normalisation cannot learn from one, and the last update of an
    epoch may have half as many. D. Masters and C. Luschi, arXiv:1804.07612, 2018, find 2 to 32 the best."""
    learning_rate: float = 1e-4
    """Of the layers that come with weights: a tenth of 0.001, AdamW's usual rate from scratch and PyTorch's
    default, as timm's author advises (huggingface/pytorch-image-models, issue 25). DeiT's authors fine-tune
    at 0.000075 (facebookresearch/deit, issue 141)."""
    head: float = 10.0
    """Times that rate for the classifier, which begins at random: layers that know less learn faster, as in
    J. Howard and S. Ruder, "Universal language model fine-tuning", ACL 2018; ten is custom."""
    weight_decay: float = 0.05
    """Of weights, and not of biases and norms: DeiT's and ConvNeXt's."""
    warm_up: float = 0.1
    """Part of the updates in which the rate rises from 0."""
    smoothing: float = 0.1
    """Of the labels: C. Szegedy and others, CVPR 2016; timm's default."""
    clip: float = 1.0
    """Largest norm of a gradient: A. Dosovitskiy and others, "An image is worth 16x16 words", ICLR 2021."""
    patience: float = 0.2
    """Part of the epochs without a lower loss on the images held back, after which training ends."""
    area: float = 0.7
    """Least part of a picture that a crop shows. timm's is 0.08, for millions of photographs of things: of a
    part it would often show all but the defect."""
    stretch: float = 4 / 3
    """Most that a crop is wider than high, or higher than wide: timm's."""
    colour: float = 0.1
    """Most that brightness, contrast and saturation change: a quarter of timm's 0.4, as colour may be what
    tells two classes apart."""

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            InvalidArgument: epochs outside 1 … `MOST_EPOCHS`, or fewer than 4 images an update.
        """
        if self.batch < 4:
            raise InvalidArgument(f"an update needs at least 4 images, not {self.batch}")
        if self.epochs is not None and not 1 <= self.epochs <= MOST_EPOCHS:
            raise InvalidArgument(f"epochs must be 1 … {MOST_EPOCHS:,}, not {self.epochs}")

    def steps(self, images: int) -> int:
        """Return the updates an epoch for so many images, at least 1."""
        return max(1, ceil(images / self.batch))

    def most_epochs(self, images: int) -> int:
        """Return the epochs at most for so many images to learn from, at least 1."""
        if self.epochs is not None:
            return self.epochs
        return max(EPOCHS, min(_UPPER, ceil(UPDATES / self.steps(images))))

    def most_patience(self, images: int) -> int:
        """Return after how many epochs without a lower loss training ends, at least 2."""
        return max(2, ceil(self.patience * self.most_epochs(images)))

    def rate(self, update: int, updates: int) -> float:
        """Return the part of the learning rate that an update takes, above 0 and up to 1.

        Args:
            update: 0 … updates − 1.
            updates: those of all epochs.
        """
        rising = ceil(self.warm_up * updates)
        if update < rising:
            return (update + 1) / rising
        return (1 + cos(pi * (update - rising) / max(1, updates - rising))) / 2


EPOCHS = 20
"""For a thousand images or more; timm's own are for training from nothing, 100 to 600."""
UPDATES = 500
"""For few images, as epochs are then too short to learn in: what A. Kolesnikov and others give tasks of fewer
than 20,000 images ("Big Transfer", ECCV 2020, the HyperRule)."""
_UPPER = 100
