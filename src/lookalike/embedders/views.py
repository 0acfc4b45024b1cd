"""Inference over the views of an image (sizes, mirror images), whatever runtime infers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from PIL.Image import Image

    from lookalike.embedders.preprocessing import View
    from lookalike.types import Features


def embed_views(
    images: Sequence[Image],
    views: Sequence[View],
    infer: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    dimension: int,
    batch_size: int,
) -> Features:
    """Return the features of images of any sizes, several views of an image end to end.

    Args:
        images: of mode RGB, none of them empty.
        views: how the model looks at each.
        infer: takes inputs of one view, stacked, to features, a row each.
        dimension: numbers per image, of all views together.
        batch_size: images that are inferred together, at most.

    Raises:
        InvalidArgument: an image is not of mode RGB, or empty.
    """
    features = np.empty((len(images), dimension), np.float32)
    for start in range(0, len(images), batch_size):
        batch, column = images[start : start + batch_size], 0
        for view in views:
            turns = zip(*(view.inputs(image) for image in batch), strict=True)
            found = np.mean([infer(np.stack(turn)) for turn in turns], axis=0, dtype=np.float32)
            features[start : start + batch_size, column : column + found.shape[1]] = found
            column += found.shape[1]
    return features
