"""Embedding tables in files: safetensors, one or in shards, folders of Hugging Face models, GGUF and NumPy arrays."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.lib.format import MAGIC_PREFIX
from numpy.typing import NDArray

from quantize._optional import require
from quantize.gguf_file import GGUF_TYPES, GGUFFile, open_gguf
from quantize.sources import MAX_CHANNELS, MAX_ROWS, TableSource

INDEX: Final = "model.safetensors.index.json"
SUFFIXES: Final = (".safetensors", ".index.json", ".gguf", ".npy")
FORMS: Final = (
    "FILE.safetensors:KEY, FILE.gguf, FILE.npy, a Hugging Face model folder or model.safetensors.index.json "
    "(:KEY after any but .npy)"
)
EMBEDDINGS: Final = (
    "model.embed_tokens.weight",  # Llama, Mistral, Qwen, Gemma, Phi
    "transformer.wte.weight",  # GPT-2, GPT-J
    "wte.weight",
    "embeddings.word_embeddings.weight",  # BERT and its kin, without and with a head
    "bert.embeddings.word_embeddings.weight",
    "roberta.embeddings.word_embeddings.weight",
    "distilbert.embeddings.word_embeddings.weight",
    "gpt_neox.embed_in.weight",
    "model.decoder.embed_tokens.weight",  # OPT
    "transformer.word_embeddings.weight",  # Falcon, BLOOM
    "word_embeddings.weight",
    "shared.weight",  # T5
    "backbone.embeddings.weight",  # Mamba
    "model.language_model.embed_tokens.weight",  # language models within others
    "language_model.model.embed_tokens.weight",
    "tok_embeddings.weight",
    "token_embd.weight",  # GGUF
)
"""Names that the input embedding has in the usual architectures, the first that a file has being taken."""
_HEADS: Final = ("lm_head.weight", "embed_out.weight", "output.weight", "cls.predictions.decoder.weight")
_FLOAT_TYPES: Final = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_ARRAY_TYPES: Final = ("float16", "float32", "float64")
_MAX_JSON_BYTES: Final = 1 << 28
_SHOWN_KEYS: Final = 8


@dataclass(frozen=True)
class TensorTable(TableSource):
    """A two-dimensional float tensor of a file, read by rows.

    Attributes
    ----------
    path : Path
    key : str
        The tensor's name; empty where a file holds but one array.
    remarks : tuple of str
    """

    path: Path
    key: str
    remarks: tuple[str, ...] = field(compare=False)

    @property
    def notes(self) -> tuple[str, ...]:
        """How the tensor was found, and whether it is tied or padded."""
        return self.remarks


@dataclass(frozen=True)
class SafetensorsTable(TensorTable):
    """A tensor of a ``.safetensors`` file, memory-mapped."""

    dtype: str
    offset_bytes: int

    @cached_property
    def _stored(self) -> NDArray[Any]:
        shape = (self.rows, self.channels)
        return np.memmap(self.path, _FLOAT_TYPES[self.dtype], "r", self.offset_bytes, shape).view(np.ndarray)

    def _read(self, start: int, stop: int) -> NDArray[np.float32]:
        part = self._stored[start:stop]
        if self.dtype == "BF16":
            return (part.astype(np.uint32) << 16).view(np.float32)
        return np.array(part, np.float32)


@dataclass(frozen=True)
class GGUFTable(TensorTable):
    """A tensor of a ``.gguf`` file, dequantised as it is read."""

    file: GGUFFile = field(compare=False, repr=False)

    def _read(self, start: int, stop: int) -> NDArray[np.float32]:
        if start == stop:
            return np.empty((0, self.channels), np.float32)
        return self.file.rows(self.key, start, stop)


@dataclass(frozen=True)
class ArrayFileTable(TensorTable):
    """The array of a ``.npy`` file, memory-mapped."""

    def _read(self, start: int, stop: int) -> NDArray[np.float32]:
        with np.errstate(over="ignore"):  # a weight beyond float32 becomes infinite, which is refused by its place
            return np.array(np.load(self.path, mmap_mode="r", allow_pickle=False)[start:stop], np.float32)


class Tensors:
    """Tensors that are named together: a file's, or those of a model's shards."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path

    @property
    @abstractmethod
    def keys(self) -> tuple[str, ...]:
        """Names of the tensors."""

    @abstractmethod
    def table(self, key: str, remarks: tuple[str, ...]) -> TensorTable:
        """The tensor as a table."""

    def tokens(self) -> int | None:
        """Tokens of the vocabulary, if the files say it."""
        return None

    def tied(self) -> bool:
        """Whether the table serves as the output head as well."""
        return False

    def embedding(self) -> TensorTable:
        """The input embedding by its usual names, with what is to be said of it.

        Raises
        ------
        ValueError
            If none of the names is there.
        """
        found = next((key for key in EMBEDDINGS if key in self.keys), None)
        if found is None:
            raise ValueError(
                f"table {self.name!r}: {str(self.path)!r} has no tensor of a usual name such as {EMBEDDINGS[0]!r}; "
                f"write :KEY after it, with one of {_shown(self.keys)}"
            )
        return self.named(found, (f"input embedding found by its usual name, {found}",))

    def named(self, key: str, remarks: tuple[str, ...] = ()) -> TensorTable:
        """A tensor by name, with what is to be said of it if it is an input embedding.

        Raises
        ------
        ValueError
            If there is no such tensor, or it is no table.
        """
        if key not in self.keys:
            raise ValueError(
                f"table {self.name!r}: {str(self.path)!r} has no tensor {key!r}; it has {_shown(self.keys)}"
            )
        table = self.table(key, remarks)
        if key not in EMBEDDINGS:
            return table
        tokens, said = self.tokens(), list(remarks)
        if tokens is not None and tokens < table.rows:
            said.append(f"padded: the vocabulary has {tokens} tokens, the rows from {tokens} on are no token's")
        if self.tied():
            said.append("tied: the model's output head is the same tensor; only the lookup is quantised")
        return self.table(key, tuple(said))


class SafetensorsFile(Tensors):
    """One ``.safetensors`` file."""

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Names of the tensors."""
        return safetensors_keys(self.path, self.name)

    def table(self, key: str, remarks: tuple[str, ...]) -> TensorTable:
        """The tensor as a table."""
        return safetensors_table(self.name, self.path, key, remarks)

    def tied(self) -> bool:
        """Whether the file is a whole model with no head of its own."""
        return _tied(self.path.parent / "config.json", self.keys) and self.path.name == "model.safetensors"

    def tokens(self) -> int | None:
        """Tokens of the tokeniser beside the file."""
        return _vocabulary(self.path.parent)


class ShardedModel(Tensors):
    """The shards that a ``model.safetensors.index.json`` names."""

    @cached_property
    def _files(self) -> Mapping[str, str]:
        document = _json(self.path, self.name)
        files = document.get("weight_map") if isinstance(document, dict) else None
        if not isinstance(files, dict) or not all(isinstance(file, str) for file in files.values()):
            raise ValueError(f"table {self.name!r}: {str(self.path)!r} has no weight_map of tensors and files")
        for key, file in files.items():
            if Path(file).name != file:
                raise ValueError(
                    f"table {self.name!r}: {str(self.path)!r} puts tensor {key!r} into {file!r}; "
                    "a file of the same folder is expected"
                )
        return files

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Names of the tensors."""
        return tuple(sorted(self._files))

    def table(self, key: str, remarks: tuple[str, ...]) -> TensorTable:
        """The tensor as a table, of the shard that holds it."""
        return safetensors_table(self.name, self.path.parent / self._files[key], key, remarks)

    def tied(self) -> bool:
        """Whether the model has no head of its own."""
        return _tied(self.path.parent / "config.json", self.keys)

    def tokens(self) -> int | None:
        """Tokens of the tokeniser beside the index."""
        return _vocabulary(self.path.parent)


class GGUFModel(Tensors):
    """One ``.gguf`` file."""

    @cached_property
    def file(self) -> GGUFFile:
        """The file, opened."""
        return open_gguf(self.path, self.name)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Names of the tensors."""
        return tuple(sorted(self.file.tensors))

    def table(self, key: str, remarks: tuple[str, ...]) -> TensorTable:
        """The tensor as a table."""
        where = f"table {self.name!r}: tensor {key!r} of {str(self.path)!r}"
        rows, channels = bounded_rank_two(where, self.file.shape(key))
        dtype = self.file.type_name(key)
        if dtype not in GGUF_TYPES:
            raise ValueError(f"{where} is of type {dtype}; valid are {', '.join(GGUF_TYPES)}")
        provenance = {"kind": "gguf", "file": self.path.name, "key": key, "dtype": dtype}
        return GGUFTable(self.name, rows, channels, provenance, self.path, key, remarks, self.file)

    def tied(self) -> bool:
        """Whether the file has no head of its own."""
        return not any(head in self.keys for head in _HEADS)

    def tokens(self) -> int | None:
        """Tokens of the tokeniser in the file."""
        names = "tokenizer.ggml.tokens"
        return len(self.file.reader.fields[names].data) if names in self.file.reader.fields else None


def split_name(name: str) -> tuple[Path, str | None] | None:
    """Path and key of ``PATH`` or ``PATH:KEY``; None if the name is of neither form.

    Paths and keys may have colons: the longest part before a colon, or the whole, that is a file or a folder is the
    path. Where nothing of the name exists, a suffix tells that a file was meant.
    """
    ends = [len(name), *(k for k in range(len(name) - 1, 0, -1) if name[k] == ":")]
    for end in ends:
        path = Path(name[:end])
        if end and ((name[:end].endswith(SUFFIXES) and path.is_file()) or path.is_dir()):
            return path, name[end + 1 :] or None
    for end in ends:
        if name[:end].endswith(SUFFIXES):
            return Path(name[:end]), name[end + 1 :] or None
    return None


def open_path(name: str, path: Path, key: str | None) -> TensorTable:
    """The table in a file or folder.

    Raises
    ------
    ValueError
        If there is no such file, it is not valid, or the tensor is no table; the message names them.
    """
    if path.suffix == ".npy":
        if key is not None:
            raise ValueError(f"table {name!r}: {str(path)!r} holds one array and takes no :KEY, got {key!r}")
        return _array(name, path)
    tensors = tensors_of(name, path)
    if key is None and path.suffix == ".safetensors":
        raise ValueError(
            f"table: {name!r} names no tensor; write FILE.safetensors:KEY, with one of {_shown(tensors.keys)}"
        )
    return tensors.embedding() if key is None else tensors.named(key)


def tensors_of(name: str, path: Path) -> Tensors:
    """The tensors of a file, of shards, or of a model's folder.

    Raises
    ------
    ValueError
        If there is no such file, or a folder holds no model.
    """
    if path.is_dir():
        return _folder(name, path)
    kinds: dict[str, type[Tensors]] = {".safetensors": SafetensorsFile, ".json": ShardedModel, ".gguf": GGUFModel}
    return kinds[path.suffix](name, path)


def safetensors_keys(path: Path, name: str) -> tuple[str, ...]:
    """Names of the tensors of a file that the safetensors package finds valid.

    Raises
    ------
    ValueError
        If the package or the file is missing, or the file is not valid.
    """
    safetensors = require("safetensors", f"table {name!r}")
    if not path.is_file():
        raise ValueError(f"table {name!r}: there is no file {str(path)!r}")
    try:
        with safetensors.safe_open(path, "numpy") as file:
            return tuple(sorted(file.keys()))
    except (safetensors.SafetensorError, OSError) as error:
        raise ValueError(f"table {name!r}: {str(path)!r} is no valid safetensors file ({error})") from error


def safetensors_table(name: str, path: Path, key: str, remarks: tuple[str, ...] = ()) -> SafetensorsTable:
    """A tensor of two dimensions as a table.

    Raises
    ------
    ValueError
        If the file, key, rank or type does not fit.
    """
    dtype, shape, offset = _locate(name, path, key)
    rows, channels = bounded_rank_two(f"table {name!r}: tensor {key!r} of {str(path)!r}", shape)
    provenance = {"kind": "safetensors", "file": path.name, "key": key, "dtype": dtype}
    return SafetensorsTable(name, rows, channels, provenance, path, key, remarks, dtype, offset)


def read_tensor(path: Path, key: str) -> NDArray[np.float32]:
    """A float tensor of one or two dimensions of a ``.safetensors`` file, as float32.

    Raises
    ------
    ValueError
        If the file, key, rank or type does not fit, or a value is not finite.
    """
    name = f"{path}:{key}"
    dtype, shape, offset = _locate(name, path, key)
    rows, channels = (1, shape[0]) if len(shape) == 1 else bounded_rank_two(f"table {name!r}: the tensor", shape)
    return SafetensorsTable(name, rows, channels, {}, path, key, (), dtype, offset).read(0, rows).reshape(shape)


def read_tensors(path: Path) -> dict[str, NDArray[np.float32]]:
    """All float tensors of one or two dimensions of a ``.safetensors`` file, as float32, by key."""
    with require("safetensors", f"reading {str(path)!r}").safe_open(path, "numpy") as file:
        keys = [key for key in file.keys() if file.get_slice(key).get_dtype() in _FLOAT_TYPES]  # noqa: SIM118
    return {key: read_tensor(path, key) for key in keys}


def bounded_shape(where: str, rows: int, channels: int) -> tuple[int, int]:
    """Rows and channels, or a ValueError where they are out of bounds."""
    if not (1 <= rows <= MAX_ROWS and 1 <= channels <= MAX_CHANNELS):
        raise ValueError(
            f"{where}: {rows} x {channels} is out of bounds; valid are 1 to {MAX_ROWS} rows and "
            f"1 to {MAX_CHANNELS} channels"
        )
    return rows, channels


def bounded_rank_two(where: str, shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and channels of a tensor's shape, or a ValueError where it is no table's."""
    if len(shape) != 2:
        raise ValueError(f"{where} has rank {len(shape)}; a table has 2, rows by channels")
    return bounded_shape(where, shape[0], shape[1])


def _folder(name: str, folder: Path) -> Tensors:
    if (folder / INDEX).is_file():
        return ShardedModel(name, folder / INDEX)
    if (folder / "model.safetensors").is_file():
        return SafetensorsFile(name, folder / "model.safetensors")
    files = sorted([*folder.glob("*.safetensors"), *folder.glob("*.gguf")])
    if len(files) == 1:
        return tensors_of(name, files[0])
    found = ", ".join(file.name for file in files[:_SHOWN_KEYS]) or "no .safetensors or .gguf file"
    raise ValueError(
        f"table {name!r}: the folder {str(folder)!r} has neither {INDEX} nor model.safetensors; it has {found}"
    )


def _array(name: str, path: Path) -> ArrayFileTable:
    if not path.is_file():
        what = f"{str(path)!r} is no regular file" if path.exists() else f"there is no file {str(path)!r}"
        raise ValueError(f"table {name!r}: {what}; name a .npy file of rows by channels")
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC_PREFIX)) != MAGIC_PREFIX:
                raise ValueError("it does not begin as one; numpy.save writes one")
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"table {name!r}: {str(path)!r} is no valid .npy file ({error})") from error
    if not isinstance(stored, np.ndarray):
        raise ValueError(f"table {name!r}: {str(path)!r} holds several arrays; a .npy file of one is expected")
    where = f"table {name!r}: the array of {str(path)!r}"
    if stored.dtype.name not in _ARRAY_TYPES:
        raise ValueError(f"{where} is of type {stored.dtype.name}; valid are {', '.join(_ARRAY_TYPES)}")
    rows, channels = bounded_rank_two(where, stored.shape)
    provenance = {"kind": "npy", "file": path.name, "dtype": stored.dtype.name}
    return ArrayFileTable(name, rows, channels, provenance, path, "", ())


def _locate(name: str, path: Path, key: str) -> tuple[str, tuple[int, ...], int]:
    """Type, shape and file offset of a tensor, in a file that the safetensors package found valid.

    The package reads no bfloat16 into NumPy; hence the offset, and the rest by memory map.
    """
    keys = safetensors_keys(path, name)
    if key not in keys:
        raise ValueError(f"table {name!r}: {str(path)!r} has no tensor {key!r}; it has {_shown(keys)}")
    with path.open("rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(header_bytes))[key]
    if entry["dtype"] not in _FLOAT_TYPES:
        raise ValueError(
            f"table {name!r}: tensor {key!r} of {str(path)!r} is of type {entry['dtype']}; "
            f"valid are {', '.join(_FLOAT_TYPES)}"
        )
    return entry["dtype"], tuple(entry["shape"]), 8 + header_bytes + entry["data_offsets"][0]


def _shown(keys: tuple[str, ...]) -> str:
    likely = sorted(keys, key=lambda key: "emb" not in key and "wte" not in key)
    return ", ".join(likely[:_SHOWN_KEYS]) + (", ..." if len(keys) > _SHOWN_KEYS else "")


def _json(path: Path, name: str) -> Any:
    if not path.is_file():
        raise ValueError(f"table {name!r}: there is no file {str(path)!r}")
    if path.stat().st_size > _MAX_JSON_BYTES:
        raise ValueError(f"table {name!r}: {str(path)!r} has more than {_MAX_JSON_BYTES} bytes")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"table {name!r}: {str(path)!r} is no valid JSON ({error})") from error


def _tied(config: Path, keys: tuple[str, ...]) -> bool:
    """Whether a model's configuration says that table and head are tied, or a language model has no head's tensor."""
    if not config.is_file():
        return False
    said = _json(config, str(config))
    tied = said.get("tie_word_embeddings") if isinstance(said, dict) else None
    return tied is True and not any(head in keys for head in _HEADS)


def _vocabulary(folder: Path) -> int | None:
    """Tokens of a ``tokenizer.json``: one more than the largest id."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        return None
    document = _json(path, str(path))
    try:
        vocabulary = document["model"]["vocab"]
        # Unigram models list their pieces, others map them to ids.
        ids = list(vocabulary.values()) if isinstance(vocabulary, dict) else list(range(len(vocabulary)))
        return 1 + max(int(token) for token in [*ids, *(added["id"] for added in document.get("added_tokens", []))])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
