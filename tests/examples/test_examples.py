"""The examples: what they print is what the documentation shows, and what they compute holds for any table."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"

pytest.importorskip("openfhe")


def loaded(name: str) -> ModuleType:
    """An example's module; its neighbours are found where it lies."""
    specification = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules.setdefault(name, module)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def bfv() -> ModuleType:
    return loaded("bfv")


@pytest.fixture(scope="module")
def coefficient_packing(bfv: ModuleType) -> ModuleType:
    return loaded("coefficient_packing")


@pytest.fixture(scope="module")
def channel_packing(coefficient_packing: ModuleType) -> ModuleType:
    return loaded("channel_packing")


@pytest.mark.parametrize("name", ["coefficient_packing", "channel_packing"])
def test_the_page_shows_what_an_example_prints(name: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py"], capture_output=True, text=True, env=environment, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    page = (ROOT / "docs" / "examples.md").read_text("utf-8")
    assert f"python examples/{name}.py" in page
    assert f"```text\n{ran.stdout}```" in page


@given(data=st.data(), rows=st.integers(1, 8), columns=st.integers(1, 8))
def test_a_product_of_polynomials_is_a_product_with_the_table(
    coefficient_packing: ModuleType, bfv: ModuleType, data: st.DataObject, rows: int, columns: int
) -> None:
    entries = st.integers(-99, 99)
    table = data.draw(st.lists(st.lists(entries, min_size=columns, max_size=columns), min_size=rows, max_size=rows))
    vector = data.draw(st.lists(entries, min_size=rows, max_size=rows))
    degree = 1 << (rows * columns - 1).bit_length()
    product = bfv.multiply(
        coefficient_packing.vector_polynomial(vector, degree), coefficient_packing.table_polynomial(table, degree)
    )
    found = coefficient_packing.results(product, rows, columns)
    assert found == list(np.array(vector) @ np.array(table))


@given(first=st.lists(st.integers(-9, 9), min_size=4, max_size=4), second=st.lists(st.integers(-9, 9), min_size=4))
def test_what_passes_the_degree_comes_back_negated(bfv: ModuleType, first: list[int], second: list[int]) -> None:
    second = second[:4]
    whole = np.polynomial.polynomial.polymul(first, second).astype(int).tolist()
    whole += [0] * (8 - len(whole))
    assert bfv.multiply(first, second) == [low - high for low, high in zip(whole[:4], whole[4:], strict=True)]


@given(channels=st.tuples(st.integers(0, 7), st.integers(0, 7), st.integers(0, 15)), mask=st.integers(0, 8191))
def test_three_channels_come_back_from_one_coefficient(
    channel_packing: ModuleType, channels: tuple[int, int, int], mask: int
) -> None:
    coefficient = channel_packing.packed(channels)
    assert coefficient < channel_packing.PLAINTEXT_MODULUS == 2**13
    assert tuple(channel_packing.unpacked(coefficient)) == channels
    assert channel_packing.unpacked((coefficient - mask + mask) % 2**13) == list(channels)


def test_a_full_coefficient_shows_its_fields(channel_packing: ModuleType) -> None:
    assert channel_packing.binary(channel_packing.packed((7, 7, 15))) == "01111 0111 0111"


@pytest.mark.parametrize(
    ("coefficients", "text"),
    [
        ([0, 0], "0"),
        ([4, 0, 1, -3], "4 + X^2 - 3X^3"),
        ([-1, 1], "-1 + X"),
        ([0, -1, 0, 12], "-X + 12X^3"),
        ([1], "1"),
    ],
)
def test_a_polynomial_is_written_as_by_hand(bfv: ModuleType, coefficients: list[int], text: str) -> None:
    assert bfv.spelt(coefficients) == text


def test_openfhe_multiplies_as_by_hand(bfv: ModuleType) -> None:
    ring = bfv.BFV(8, 2**13, secure=False)
    first, second = [1, 0, 2, 0, 0, 3, 0, 1], [4, 1, 0, 0, 7, 0, 0, 2]
    assert ring.decrypt(ring.multiply(ring.encrypt(first), second)) == bfv.multiply(first, second)
