"""Packing of words and transposition of bit matrices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.alignment.bits import (
    column_bytes,
    pack_column,
    pack_words,
    packed_bytes,
    padding_mask,
    rows_from_columns,
    unpack_words,
)


@given(st.integers(0, 64), st.lists(st.integers(0, 2**64 - 1), max_size=40))
def test_packed_words_are_one_long_little_endian_number(bits: int, values: list[int]) -> None:
    words = np.array(values, np.uint64)
    payload = pack_words(words, bits)
    number = sum((value % 2**bits) << (bits * index) for index, value in enumerate(values))
    assert payload == number.to_bytes(packed_bytes(len(values), bits), "little")
    assert unpack_words("words", payload, len(values), bits).tolist() == [value % 2**bits for value in values]


@pytest.mark.parametrize(
    ("payload", "message"), [(b"\0" * 4, "4 bytes"), (b"\0" * 6, "6 bytes"), (b"\0\0\0\0\x08", "padding")]
)
def test_malformed_words_are_refused(payload: bytes, message: str) -> None:
    unpack_words("words", b"\0\0\0\0\x07", 5, 7)
    with pytest.raises(ValueError, match=message):
        unpack_words("words", payload, 5, 7)


@pytest.mark.parametrize("count", [0, 1, 8, 13, 32768, 40001])
def test_transposition(count: int) -> None:
    matrix = np.random.default_rng(count).integers(0, 2, (128, count), np.uint8).astype(np.bool_)
    columns = np.stack([pack_column(row) for row in matrix])
    assert columns.shape == (128, column_bytes(count))
    rows = rows_from_columns(columns, count)
    assert np.array_equal(np.unpackbits(rows, axis=1, bitorder="little").astype(np.bool_), matrix.T)


def test_padding_mask_has_a_one_for_every_row() -> None:
    assert padding_mask(11).tolist() == [0xFF, 0x07]
    assert padding_mask(16).tolist() == [0xFF, 0xFF]
