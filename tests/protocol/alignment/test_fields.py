"""The carries between fields, in the clear."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest

from protocol.alignment import Fields

SMALL = [(4,), (2, 4), (4, 4), (8, 4, 2), (4, 4, 8), (6, 10), (3, 5, 7), (4, 20), (20, 4, 6)]


def carries_by_addition(fields: Fields, client: np.ndarray[Any, Any], server: np.ndarray[Any, Any]) -> list[list[int]]:
    """Carry out of every field, by adding the lower parts of both shares."""
    rows = []
    for one, other in zip(client.tolist(), server.tolist(), strict=True):
        weights = [prod(fields.moduli[: index + 1]) for index in range(len(fields.moduli))]
        rows.append([(one % weight + other % weight) // weight for weight in weights])
    return rows


@pytest.mark.parametrize("moduli", SMALL)
def test_every_carry_is_the_or_of_one_bit_of_each_share(moduli: tuple[int, ...], parties: Any) -> None:
    fields = Fields(moduli)
    _, client, server = parties.exhaustive_case(fields)
    either = fields.reach_half(fields.split(client)) | fields.reach_half(fields.split(server))
    assert either.astype(int).tolist() == carries_by_addition(fields, client, server)


@pytest.mark.parametrize("moduli", SMALL)
@pytest.mark.parametrize("target_bits", [1, 2, 9, 37, 64])
def test_digits_and_shared_carries_open_to_the_channels(
    moduli: tuple[int, ...], target_bits: int, parties: Any
) -> None:
    fields = Fields(moduli)
    channels, client, server = parties.exhaustive_case(fields)
    carries = np.array(carries_by_addition(fields, client, server), np.uint64)
    masks = np.random.default_rng(1).integers(0, 2**64 - 1, carries.shape, np.uint64, endpoint=True)
    # The last carry need be shared to fewer bits only: whatever is above them must not matter.
    masks_above = np.random.default_rng(2).integers(0, 2**64 - 1, len(client), np.uint64, endpoint=True)
    other = carries - masks
    bits = fields.carry_bits(target_bits)[-1]
    if bits < 64:
        other[:, -1] += masks_above << np.uint64(bits)
    modulus_mask = np.uint64(2**target_bits - 1)
    opened = fields.join(fields.split(client), masks, target_bits) + fields.join(
        fields.split(server), other, target_bits
    )
    assert np.array_equal(opened & modulus_mask, channels & modulus_mask)


@pytest.mark.parametrize("moduli", [(32, 16, 16), (20, 20, 20)])
def test_one_flipped_carry_spoils_its_field_and_the_next(moduli: tuple[int, ...], parties: Any) -> None:
    fields = Fields(moduli)
    channels, client, server = parties.random_case(fields, 50, np.random.default_rng(3))
    carries = np.array(carries_by_addition(fields, client, server), np.uint64)
    none = np.zeros_like(carries)
    for field in range(len(moduli)):
        flipped = carries.copy()
        flipped[:, field] ^= np.uint64(1)
        opened = fields.join(fields.split(client), flipped, 37) + fields.join(fields.split(server), none, 37)
        wrong = (opened & np.uint64(2**37 - 1)) != channels
        assert wrong[:, field : field + 2].all()
        assert wrong.sum() == wrong[:, field : field + 2].size


def test_the_last_carry_takes_fewer_bits_by_the_twos_of_its_modulus() -> None:
    assert Fields((32, 16, 16)).carry_bits(37) == (37, 37, 33)
    assert Fields((20, 20, 20)).carry_bits(37) == (37, 37, 35)
    assert Fields((3, 5)).carry_bits(8) == (8, 8)
    assert Fields((2**13,)).carry_bits(9) == (0,)


def test_covering_widens_the_last_field() -> None:
    assert Fields.covering((16, 8, 8), 2**13) == Fields((16, 8, 64))
    assert Fields.covering((20, 20, 20), 8000) == Fields((20, 20, 20))
    assert Fields.covering((10, 6), 80) == Fields((10, 8))


@pytest.mark.parametrize(
    ("moduli", "t"), [((20, 20, 20), 8192), ((16, 8, 8), 512), ((16, 16), 128), ((), 16), ((3, 4), 16)]
)
def test_fields_that_do_not_fill_the_plaintext_modulus_are_refused(moduli: tuple[int, ...], t: int) -> None:
    with pytest.raises(ValueError, match=f"do not fill the plaintext modulus {t}"):
        Fields.covering(moduli, t)


@pytest.mark.parametrize("moduli", [(), (1,), (4, 0), (-4, 4), (2**32, 2**32)])
def test_impossible_fields_are_refused(moduli: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="moduli"):
        Fields(moduli)


def test_widest_fields() -> None:
    fields = Fields((2**31, 2**32))
    share = np.array([2**63 - 1], np.uint64)
    assert fields.split(share).tolist() == [[2**31 - 1, 2**32 - 1]]
    with pytest.raises(ValueError, match="plaintext modulus"):
        fields.split(np.array([2**63], np.uint64))


def test_shares_are_validated_and_not_shown() -> None:
    fields = Fields((4, 4))
    with pytest.raises(ValueError, match="not below the plaintext modulus 16") as refused:
        fields.split(np.array([3, 987654], np.uint64))
    assert "987654" not in str(refused.value)
    with pytest.raises(ValueError, match="must be \\(coefficients,\\) of uint64"):
        fields.split(np.zeros((2, 2), np.uint64))
    with pytest.raises(ValueError, match="int64"):
        fields.split(np.zeros(2, np.int64))


@pytest.mark.parametrize("target_bits", [0, -1, 65])
def test_target_bits_are_validated(target_bits: int) -> None:
    with pytest.raises(ValueError, match=f"target_bits is {target_bits}, must be 1 to 64"):
        Fields((4,)).carry_bits(target_bits)
