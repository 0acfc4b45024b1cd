"""Texts to token numbers, by the tokenizer.json of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lookalike.errors import ExtraMissing, WeightsInvalid

if TYPE_CHECKING:
    from collections.abc import Sequence
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
        try:
            self._tokenizer: Any = Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises bare Exceptions
            raise WeightsInvalid(str(path), f"no tokenizer that can be read: {error}") from error
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
        """Return the numbers of a text's tokens and, for each, 1, or 0 where it only fills up."""
        # The tokenizer takes Unicode only: half a character cannot be sent to it.
        encoding = self._tokenizer.encode(text.encode("utf-8", "replace").decode())
        return encoding.ids, encoding.attention_mask
