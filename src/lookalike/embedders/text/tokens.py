"""Tokenization of texts by the tokenizer.json of a model."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lookalike.errors import ExtraMissing, WeightsInvalid

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


class Tokens:
    """A tokenizer; safe for several threads."""

    def __init__(
        self, path: Path, length: int, pad_to: int | None = None, pad_token: str | None = None
    ) -> None:
        """Open a tokenizer.

        Args:
            path: a tokenizer.json.
            length: tokens at most, those that mark beginning and end included.
            pad_to: tokens at least, filled up with `pad_token`; None: texts of different lengths stay so.
            pad_token: by default the padding that the file names, or its token of number 0.

        Raises:
            ExtraMissing: the package tokenizers is not installed.
            WeightsInvalid: no tokenizer, or one without that token.
        """
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise ExtraMissing("reading texts with this model", "text") from error
        self._path = path
        with _errors(path, "no tokenizer that can be read"):
            self._tokenizer: Any = Tokenizer.from_file(str(path))
            padding = self._tokenizer.padding
            # How a file pads is for batches; here each text comes alone.
            self._tokenizer.no_padding()
            self._tokenizer.enable_truncation(length)
        if pad_to is not None:
            token = str(pad_token or (padding or {}).get("pad_token") or self._tokenizer.id_to_token(0))
            number = self._tokenizer.token_to_id(token)
            if number is None:
                raise WeightsInvalid(str(path), f"has no token {token!r} to pad with")
            self._tokenizer.enable_padding(length=pad_to, pad_id=number, pad_token=token)

    def __call__(self, text: str) -> tuple[Sequence[int], Sequence[int]]:
        """Return the numbers of a text's tokens and, for each, 1, or 0 where it only fills up.

        Raises:
            WeightsInvalid: the tokenizer fails at it: a word is not in its vocabulary, say.
        """
        # The tokenizer takes Unicode only: half a character cannot be sent to it.
        plain = text.encode("utf-8", "replace").decode()
        with _errors(self._path, "cannot read a text"):
            encoding = self._tokenizer.encode(plain)
            return encoding.ids, encoding.attention_mask


@contextmanager
def _errors(path: Path, what: str) -> Iterator[None]:
    """Turn what tokenizers raises, bare Exceptions and Rust's panics, into an error of ours."""
    try:
        yield
    except BaseException as error:
        # A panic is no Exception, and its class is in no module that could be imported.
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise WeightsInvalid(str(path), f"{what}: {' '.join(str(error).split())[:300]}") from error
        raise
