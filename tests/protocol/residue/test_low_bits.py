from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.answers import SharedAnswer, a_values
from protocol.residue import low_bits

SHAPES = [
    SharedAnswer(512, 32, 2, 1, 1, 8, 3, 35, 1, degree=16),
    SharedAnswer(2, 32, 2, 1, 1, 8, 3, 5, 8, degree=16),
    SharedAnswer(1 << 37, 32, 2, 1, 1, 8, 3, 93, 3, degree=16, modulus_bits=52),
    SharedAnswer(8000, 32, 2, 1, 1, 8, 3, 43, 2, degree=16, modulus_bits=41),
    SharedAnswer(1 << 45, 32, 2, 1, 1, 8, 3, 104, 8, degree=16, modulus_bits=53),
]


@pytest.mark.parametrize("shape", SHAPES)
@given(data=st.data())
@settings(deadline=None)
def test_integers_are_what_the_formulas_say(shape: SharedAnswer, data: st.DataObject) -> None:
    """Shares, low bits and rounded a at both ends and around every step, against fractions."""
    modulus, t, steps, values = 1 << shape.modulus_bits, shape.plaintext_modulus, 1 << shape.low_bits, shape.a_values
    x = data.draw(st.one_of(st.integers(0, modulus - 1), st.sampled_from([0, 1, modulus - 1, modulus // 2])))
    array = np.array([x], dtype=np.uint64)
    beta = Fraction(t * x, modulus)
    sigma, low = (int(values[0]) for values in low_bits.server_shares(shape, array))
    assert sigma == beta.__floor__()
    assert low == ((beta - sigma) * steps).__floor__()
    nearest = (Fraction(values * x, modulus) + Fraction(1, 2)).__floor__() % values
    assert int(low_bits.round_a(shape, array)[0]) == nearest


@pytest.mark.parametrize("shape", SHAPES)
@given(data=st.data())
@settings(deadline=None, max_examples=20)
def test_client_takes_the_nearest_integer(shape: SharedAnswer, data: st.DataObject) -> None:
    """With the secrets 1 and -1 the product is a and -a: the phase is known."""
    values, t = shape.a_values, shape.plaintext_modulus
    edges = [0, 1, values - 1, values // 2, values // t, values - values // t]
    a = data.draw(st.lists(st.one_of(st.integers(0, values - 1), st.sampled_from(edges)), min_size=16, max_size=16))
    low = data.draw(st.lists(st.integers(0, (1 << shape.low_bits) - 1), min_size=32, max_size=32))
    secrets = np.zeros((2, 16), dtype=np.int64)
    secrets[:, 0] = (1, -1)
    shares = low_bits.client_shares(
        shape, np.array(a, dtype=np.uint64), np.array(low, dtype=np.uint64).reshape(2, 16), secrets
    )
    for place, (share, bits) in enumerate(zip(shares.reshape(-1).tolist(), low, strict=True)):
        phase = a[place] if place < 16 else -a[place - 16] % values
        exact = Fraction(2 * bits + 1, 2 << shape.low_bits) + Fraction(t * phase, values)
        assert share == (exact + Fraction(1, 2)).__floor__() % t


@given(st.integers(2, 106), st.data())
def test_pairs_of_a_travel_in_their_bits(half_bits: int, data: st.DataObject) -> None:
    radix = a_values(half_bits)
    values = [*data.draw(st.lists(st.integers(0, radix - 1), min_size=6, max_size=6)), radix - 1, radix - 1]
    packed = low_bits.pack_a(np.array(values, dtype=np.uint64), half_bits)
    assert len(packed) == -(-4 * half_bits // 8)
    assert low_bits.unpack_a(packed, 8, half_bits).tolist() == values


def test_malformed_pairs_are_refused() -> None:
    radix = a_values(35)
    assert radix**2 < 1 << 35
    with pytest.raises(ValueError, match="must be below"):
        low_bits.unpack_a(((1 << 35) - 1).to_bytes(5, "little"), 2, 35)
    with pytest.raises(ValueError, match="padding"):
        low_bits.unpack_a((1 << 36).to_bytes(5, "little"), 2, 35)
    with pytest.raises(ValueError, match="bytes"):
        low_bits.unpack_a(b"\0" * 4, 2, 35)
    with pytest.raises(ValueError, match="two at a time"):
        low_bits.pack_a(np.zeros(3, dtype=np.uint64), 35)
    with pytest.raises(ValueError, match=f"it must be below {radix}"):
        low_bits.pack_a(np.full(2, radix, dtype=np.uint64), 35)
