"""Sums of products against Python's integers: largest residues, longest sums, and what is left as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.expanded.products import Factors, sums_of_products, tiled
from protocol.residue.multiply_accumulate import half_bits, pack_halves
from protocol.residue.ring import Ring
from tests.protocol.residue.conftest import ring_of

DEGREE = 16
# a limb of 61 bits is reduced after every product, of 60 after four, of 53 after 256
BITS = [20, 31, 53, 60, 61]
SHAPES = [(1, 1, 1), (3, 7, 2), (1, 9, 3), (2, 300, 1)]


def operands(ring: Ring, columns: int, blocks: int, largest: bool) -> tuple[Any, Any]:
    """Polynomials (limbs, columns, blocks, N) and factors (blocks, 2, limbs, N): random, or q-1 where they are met."""
    moduli = ring.moduli
    if largest:
        left = [np.full((columns, blocks, DEGREE), q - 1, dtype=np.uint64) for q in moduli]
        met = [np.full((blocks, 2, DEGREE), (q - 1) * pow(1 << 64, -1, q) % q, dtype=np.uint64) for q in moduli]
    else:
        rng = np.random.default_rng(0)
        left = [rng.integers(0, q, (columns, blocks, DEGREE), dtype=np.uint64) for q in moduli]
        met = [rng.integers(0, q, (blocks, 2, DEGREE), dtype=np.uint64) for q in moduli]
    return np.stack(left), np.stack(met, axis=2)


def check(bits: int, limbs: int, columns: int, blocks: int, groups: int, largest: bool) -> None:
    ring = ring_of(DEGREE, bits, limbs)
    left, factors = operands(ring, columns, blocks, largest)
    prepared = Factors(ring, groups, blocks, 1 << 64)
    for group in range(groups):
        prepared.put(group, factors, np.zeros((blocks, limbs), dtype=np.uint64))
    packed = left.copy()
    for limb, q in zip(packed, ring.moduli, strict=True):
        pack_halves(limb.reshape(-1), np.uint64(half_bits(q)))
    for form in (tiled(left, ring), packed):
        sums = sums_of_products(form, prepared)
        for limb, q in enumerate(ring.moduli):
            ours, theirs = left[limb].astype(object), factors[:, :, limb].astype(object)
            expected = np.einsum("cbn,ben->cen", ours, theirs) % q
            for group in range(groups):
                np.testing.assert_array_equal(sums[group, :, :, limb].astype(object), expected)


@pytest.mark.parametrize("largest", [False, True])
@pytest.mark.parametrize("limbs", [1, 3])
@pytest.mark.parametrize("bits", BITS)
def test_sums_of_products_are_exact(bits: int, limbs: int, largest: bool) -> None:
    for columns, blocks, groups in SHAPES:
        check(bits, limbs, columns, blocks, groups, largest)


def test_constants_are_added_to_b_alone() -> None:
    ring = ring_of(DEGREE, 53, 2)
    left, factors = operands(ring, 1, 2, True)
    constants = np.array([[q - 1 for q in ring.moduli], [5, 7]], dtype=np.uint64)
    prepared = Factors(ring, 1, 2, 1 << 64)
    prepared.put(0, factors, constants)
    added = factors.copy()
    added[:, 0] = ring.add(factors[:, 0], np.broadcast_to(constants[..., None], factors[:, 0].shape))
    expected = sums_of_products(tiled(left, ring), Factors.of(ring, added))
    np.testing.assert_array_equal(sums_of_products(tiled(left, ring), prepared), expected)


@pytest.mark.parametrize(("columns", "blocks"), [(1, 1), (1, 2), (2, 1)])
def test_what_is_tiled_stays_as_it_was(columns: int, blocks: int) -> None:
    ring = ring_of(DEGREE, 53)
    left, _ = operands(ring, columns, blocks, True)
    before = left.copy()
    tiled(left, ring)
    np.testing.assert_array_equal(left, before)


def test_operands_that_do_not_match_are_refused() -> None:
    ring = ring_of(DEGREE, 53)
    left, factors = operands(ring, 1, 2, False)
    for wrong in (left[:, :, :1], left[..., :8], np.concatenate([left, left])):
        with pytest.raises(ValueError, match="need 1 limbs of 2 blocks"):
            sums_of_products(wrong, Factors.of(ring, factors))


@pytest.mark.slow
def test_processors_without_wide_vectors(tmp_path: Path) -> None:
    """The loop in LLVM's vector types, compiled for nothing but the architecture's baseline."""
    root = Path(__file__).parents[3]
    calls = [f"check({bits}, 3, *{shape}, True)" for bits in BITS for shape in SHAPES]
    program = "; ".join(["from tests.protocol.expanded.test_products import check", *calls])
    environment = {
        **os.environ, "NUMBA_CPU_NAME": "generic", "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(root),
    }  # fmt: skip
    subprocess.run([sys.executable, "-c", program], env=environment, cwd=root, check=True, timeout=300)
