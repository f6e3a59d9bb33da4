"""The tokeniser that a GGUF file carries: byte-level BPE, as GPT-2's, with digits split one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantize._optional import require
from quantize.gguf_file import GGUFFile


@dataclass(frozen=True, eq=False)
class BytePairTokenizer:
    """Text to token ids, without special tokens."""

    tokenizer: Any

    @classmethod
    def of(cls, file: GGUFFile) -> BytePairTokenizer:
        """The tokeniser of a model's file.

        Raises
        ------
        ValueError
            If the file's tokeniser is of another kind.
        """
        kinds = tuple(str(file.metadata(f"tokenizer.ggml.{key}")) for key in ("model", "pre"))
        if kinds != ("gpt2", "smollm"):
            raise ValueError(f"{str(file.path)!r}: its tokeniser is {'/'.join(kinds)}; gpt2/smollm is expected")
        tokenizers = require("tokenizers", "a language model's tokeniser")
        vocabulary = {token: k for k, token in enumerate(file.metadata("tokenizer.ggml.tokens"))}
        merges = [tuple(merge.split(" ")) for merge in file.metadata("tokenizer.ggml.merges")]
        made = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, merges))
        split = tokenizers.pre_tokenizers
        made.pre_tokenizer = split.Sequence(
            [split.Digits(individual_digits=True), split.ByteLevel(add_prefix_space=False)]
        )
        return cls(made)

    def encode(self, text: str) -> NDArray[np.int64]:
        """Token ids of a text."""
        return np.array(self.tokenizer.encode(text, add_special_tokens=False).ids, np.int64)
