from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.residue.bits import pack_bits, pack_integers, packed_bytes, unpack_bits, unpack_integers


@settings(deadline=None)
@given(st.integers(1, 64), st.integers(0, 70), st.integers(0, 2**32))
def test_encoding_is_one_little_endian_number(bits: int, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = (
        rng.integers(0, 1 << bits, count, dtype=np.uint64)
        if bits < 64
        else rng.integers(0, (1 << 64) - 1, count, dtype=np.uint64, endpoint=True)
    )
    if count:
        values[0] = (1 << bits) - 1
    data = pack_bits(values, bits)
    number = sum(v << (i * bits) for i, v in enumerate(values.tolist()))
    assert data == number.to_bytes((count * bits + 7) // 8, "little")
    assert len(data) == packed_bytes(count, bits)
    assert (unpack_bits(data, count, bits) == values).all()


def test_arrays_are_packed_in_c_order() -> None:
    values = np.arange(12, dtype=np.uint64).reshape(3, 4)
    assert unpack_bits(pack_bits(values.T, 4), 12, 4).tolist() == values.T.reshape(-1).tolist()


def test_malformed_data() -> None:
    data = pack_bits(np.array([5, 6, 7], dtype=np.uint64), 3)
    assert len(data) == 2
    for wrong in (data[:1], data + b"\0", b""):
        with pytest.raises(ValueError, match="3 integers of 3 bits take 2"):
            unpack_bits(wrong, 3, 3)
    for bit in range(1, 8):
        with pytest.raises(ValueError, match="padding bits"):
            unpack_bits(bytes([data[0], data[1] | 1 << bit]), 3, 3)


def test_wrong_widths_counts_and_values() -> None:
    for bits in (0, 65, -1):
        with pytest.raises(ValueError, match="bits"):
            pack_bits(np.zeros(1, dtype=np.uint64), bits)
    with pytest.raises(ValueError, match="count -1"):
        unpack_bits(b"", -1, 3)
    with pytest.raises(ValueError, match="value 8 needs more than 3 bits"):
        pack_bits(np.array([8], dtype=np.uint64), 3)


@given(st.integers(1, 130), st.lists(st.integers(0, 2**130 - 1), max_size=20))
def test_integers_of_any_width_take_the_same_form(bits: int, values: list[int]) -> None:
    kept = [value % 2**bits for value in values]
    data = pack_integers(kept, bits)
    assert unpack_integers(data, len(kept), bits) == kept
    if bits <= 64:
        assert data == pack_bits(np.array(kept, dtype=np.uint64), bits)


def test_malformed_integers() -> None:
    with pytest.raises(ValueError, match="take 3"):
        unpack_integers(b"12", 2, 11)
    with pytest.raises(ValueError, match="padding"):
        unpack_integers(b"\0\0\x40", 2, 11)
