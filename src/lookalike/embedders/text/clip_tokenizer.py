"""CLIP's tokenizer as a tokenizer.json, from its vocabulary and its merges.

The steps are those of transformers' `CLIPTokenizer`, which open_clip's `SimpleTokenizer` agrees with but for
what it does first: repair broken encodings (ftfy) and unescape HTML. Sentences need neither.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_START, _END = "<|startoftext|>", "<|endoftext|>"
_WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def clip_tokenizer(
    vocabulary: Mapping[str, int], merges: Sequence[tuple[str, str]], start: int, end: int
) -> str:
    """Return the content of a tokenizer.json.

    Args:
        vocabulary: numbers by token.
        merges: pairs of tokens that become one, the first first.
        start: number of the token that begins every text.
        end: number of the token that ends it.
    """
    marks = {start: _START, end: _END}
    tokens = {marks.get(number, token): number for token, number in vocabulary.items()}
    return json.dumps(
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [
                {
                    "id": number, "content": mark, "single_word": False, "lstrip": False, "rstrip": False,
                    "normalized": False, "special": True,
                }
                for number, mark in sorted(marks.items())
            ],
            "normalizer": {
                "type": "Sequence",
                "normalizers": [
                    {"type": "NFC"},
                    {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
                    {"type": "Lowercase"},
                ],
            },
            "pre_tokenizer": {
                "type": "Sequence",
                "pretokenizers": [
                    {"type": "Split", "pattern": {"Regex": _WORDS}, "behavior": "Removed", "invert": True},
                    {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
                ],
            },
            "post_processor": {
                "type": "RobertaProcessing",
                "sep": [_END, end],
                "cls": [_START, start],
                "trim_offsets": False,
                "add_prefix_space": False,
            },
            "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True},
            "model": {
                "type": "BPE", "dropout": None, "unk_token": _END, "continuing_subword_prefix": "",
                "end_of_word_suffix": "</w>", "fuse_unk": False, "byte_fallback": False,
                "vocab": tokens, "merges": [list(pair) for pair in merges],
            },
        },
        ensure_ascii=False,
    )  # fmt: skip
