"""The directions of concepts among image features: the data file, its checks, and how it is unfolded.

The file is made by tools/build_concepts.py; data/README.md names its sources and their licences.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lookalike.errors import WeightsInvalid

if TYPE_CHECKING:
    from numpy.typing import NDArray

DATA = Path(__file__).with_name("data")
DATA_SHA256 = "ac26d36e00280c026fcb1ece030916cd55f4cbd0c1d969c8aaeb39916060c940"


class Concepts(NamedTuple):
    """Texts, and for each of them a direction in the space of the image features."""

    language_means: NDArray[np.float32]
    """Shape (5, 384): the mean vector of queries in English, Korean, Japanese, Chinese and other scripts."""
    text_basis: NDArray[np.float32]
    """Shape (d, 384): the directions in which texts are compared."""
    texts: NDArray[np.float32]
    """Shape (texts, d): the concepts' texts, centred, of length 1, along these directions."""
    text_concepts: NDArray[np.int16]
    """Shape (texts,): the row of `directions` that a text speaks of."""
    directions: NDArray[np.float32]
    """Shape (concepts, 1280), of length 1: the classes, then groups of them, then emoji."""


def read_concepts(class_rows: NDArray[np.float32], path: Path = DATA / "concepts.npz") -> Concepts:
    """Read the data file and unfold it.

    Args:
        class_rows: the classifier's weights, shape (1000, 1280), in the order of ImageNet-1k.
        path: the data file.

    Raises:
        WeightsInvalid: the file is missing or damaged.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsInvalid(
            str(path), f"cannot be read: {error.strerror}; install lookalike anew"
        ) from error
    if hashlib.sha256(content).hexdigest() != DATA_SHA256:
        raise WeightsInvalid(str(path), "is damaged, or of another version; install lookalike anew")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return _unfolded(class_rows, dict(file))
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise WeightsInvalid(str(path), "has another layout; install lookalike anew") from error


def _unfolded(class_rows: NDArray[np.float32], file: dict[str, NDArray[Any]]) -> Concepts:
    classes = unit(class_rows - class_rows.mean(axis=0))
    # Where the network sees how a thing is drawn rather than what it is, a class says less. The directions
    # are orthogonal, so that this is (covariance + shrinkage · identity)⁻¹ up to a factor.
    style = file["style_basis"].astype(np.float32)
    classes = unit(classes - (classes @ style.T * file["style_damping"]) @ style)
    starts = np.concatenate([[0], np.cumsum(file["group_sizes"], dtype=np.int64)[:-1]])
    sums = np.add.reduceat(classes[file["group_members"]], starts)
    anchors = file["anchor_rows"].astype(np.float32) @ file["anchor_basis"].astype(np.float32)
    return Concepts(
        language_means=file["language_means"],
        text_basis=file["text_basis"].astype(np.float32),
        texts=file["text_rows"] * file["text_scales"][:, np.newaxis],
        text_concepts=file["text_concepts"],
        directions=np.concatenate([classes, unit(sums), unit(anchors)]).astype(np.float32),
    )


def unit(rows: NDArray[Any]) -> NDArray[Any]:
    """Return rows of length 1; what is all zeros stays so."""
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    scaled: NDArray[Any] = rows / np.maximum(lengths, 1e-12)
    return scaled
