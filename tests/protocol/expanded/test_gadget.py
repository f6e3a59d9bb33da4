"""Digits of single residues, at both ends of the modulus and around every place where a digit steps."""

from __future__ import annotations

import numpy as np
import pytest

from costmodel.expanded.parameters import Gadget
from protocol.expanded.gadget import external_products, gadget_elements
from protocol.expanded.products import Factors
from tests.protocol.residue.conftest import ring_of

DEGREE = 256


@pytest.mark.parametrize(
    ("bits", "limbs", "gadget"),
    [
        (60, 3, Gadget(5, 26)),
        (60, 3, Gadget(13, 10)),
        (60, 3, Gadget(4, 31)),
        (60, 3, Gadget(1, 58)),
        (53, 3, Gadget(4, 22)),
        (53, 2, Gadget(2, 51)),
        (60, 1, Gadget(30, 2)),
    ],
)
def test_digits_of_the_largest_residues_and_around_steps(bits: int, limbs: int, gadget: Gadget) -> None:
    ring = ring_of(DEGREE, bits, limbs)
    modulus, kept = ring.modulus, gadget.kept_bits
    steps = [(2 * (1 << k) + 1) * modulus >> (kept + 1) for k in range(kept)]
    edges = [0, modulus // 2, *steps]
    integers = [(edge + d) % modulus for edge in edges for d in (-1, 0, 1)][:DEGREE]
    integers += [modulus - 1 - k for k in range(DEGREE - len(integers))]
    x = np.array([[value % q for value in integers] for q in ring.moduli], dtype=np.uint64)
    total = [0] * DEGREE
    for k, element in enumerate(gadget_elements(modulus, gadget)):
        one = np.zeros((gadget.digits, 2, ring.limbs, DEGREE), dtype=np.uint64)
        one[k, 0] = 1
        digit = ring.to_integers(ring.inverse(external_products(x[None, None], gadget, Factors.of(ring, one))[0, 0]))
        half = 1 << (gadget.bits - 1)
        assert all(-half <= int(u) < half for u in digit)
        total = [t + int(u) * element for t, u in zip(total, digit, strict=True)]
    # half a step, what rounding every element leaves, and one for a fraction known to 2^-124
    allowed = modulus // (1 << (kept + 1)) + gadget.digits * (1 << (gadget.bits - 1)) + 1 + (modulus >> 120)
    for value, made in zip(integers, total, strict=True):
        error = (value - made) % modulus
        assert min(error, modulus - error) <= allowed
