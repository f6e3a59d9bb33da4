"""Widening of shares: the arithmetic that it rests on, and what its transfers cost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.alignment.formulas import (
    FERRET,
    ferret_batch,
    ferret_bits_per_correlation,
    ferret_bytes,
    ferret_correlation_bytes,
    iknp_bytes,
    sirnn_bytes,
    softspoken_bytes,
)

ELEMENTS = st.integers(1, 10**6)
BITS = st.integers(1, 64)


@given(k=st.integers(2, 20), extension=st.integers(1, 20), data=st.data())
def test_one_transfer_of_l_bits_extends_a_value(k, extension, data):
    """Shares modulo 2^k and shares of the wrap modulo 2^L are shares modulo 2^(k + L)."""
    x = data.draw(st.integers(0, 2 ** (k - 1) - 1))
    c = data.draw(st.integers(0, 2**k - 1))
    s = (x - c) % 2**k
    a, b = c >> (k - 1), s >> (k - 1)
    pad = data.draw(st.integers(0, 2**extension - 1))
    received = (pad + a * b) % 2**extension
    client_wrap, server_wrap = a - received, b + pad
    assert (c - 2**k * client_wrap + s - 2**k * server_wrap) % 2 ** (k + extension) == x


def test_main_job():
    """4096 channels of 5-bit fields to 37 bits: 82 KB by IKNP."""
    assert iknp_bytes(4096, 32) == (65536, 16384)
    silent = ferret_bytes(4096, 37)
    assert sum(silent) + ferret_correlation_bytes(4096, FERRET["b11"]) == pytest.approx(20.2e3, rel=0.01)


def test_ferret_as_published():
    """Yang et al. 2020 state 0.44 bits for the parameters that emp-ot calls b13."""
    assert ferret_bits_per_correlation() == pytest.approx(0.44, abs=0.005)
    assert ferret_bits_per_correlation(FERRET["b11"]) == pytest.approx(1.47, abs=0.005)
    for parameters in FERRET.values():
        assert parameters.n == parameters.t << parameters.depth
        assert ferret_batch(parameters) >= 10**7


@given(elements=ELEMENTS, bits=BITS)
def test_order_of_the_protocols(elements, bits):
    iknp = iknp_bytes(elements, bits)
    assert softspoken_bytes(elements, bits, 1) == iknp
    totals = [sum(f(elements, bits)) for f in (ferret_bytes, softspoken_bytes, iknp_bytes, sirnn_bytes)]
    assert totals == sorted(totals)
    assert iknp.receiver == 16 * elements
    assert 8 * iknp.sender >= elements * bits > 8 * (iknp.sender - 1)


def test_arrays_broadcast_and_scalars_stay_scalar():
    elements, bits = np.array([[1], [4096]]), np.array([1, 16, 37])
    for formula in (iknp_bytes, softspoken_bytes, ferret_bytes, sirnn_bytes):
        table = formula(elements, bits)
        receiver = np.broadcast_to(table.receiver, (2, 3))
        for i in range(2):
            for j in range(3):
                one = formula(int(elements[i, 0]), int(bits[j]))
                assert (receiver[i, j], table.sender[i, j]) == one
                assert np.ndim(one.sender) == 0
