from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from protocol.packing_tree import packed_polynomials, packed_positions, packing_depth, packing_exponents
from protocol.residue import packlwes
from protocol.residue.ciphertext import SecretKey, decrypt, encrypt_symmetric, expand_many, noise, phase
from protocol.residue.keyswitch import Gadget, SwitchingKeys, automorphism_keys
from protocol.residue.ring import Ring
from protocol.residue.rounding import scale_up
from protocol.residue.sampling import new_seed
from tests.protocol.noise import log2_ratio
from tests.protocol.residue import packing

T = 1 << 10


def leaves_of(secret: SecretKey, message: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return fresh encryptions, (leaves, 2, limbs, N), times 2^-l."""
    ring = secret.ring
    a = expand_many(ring, new_seed(), "leaves", len(message))
    b = encrypt_symmetric(secret, scale_up(message, ring, T), a)
    return times_factors(np.stack([ring.forward(b), a], axis=1), ring)


def times_factors(ciphertexts: NDArray[np.uint64], ring: Ring) -> NDArray[np.uint64]:
    factors = packlwes.packing_factors(len(ciphertexts), ring)
    scaled = [ring.limb(i).scale(ciphertexts[:, :, i : i + 1], f) for i, f in enumerate(factors)]
    return np.concatenate(scaled, axis=2)


def keys_for(secret: SecretKey, leaves: int, width: int) -> SwitchingKeys:
    exponents = packing_exponents(leaves, secret.ring.ring_degree) or (3,)
    return automorphism_keys(secret, exponents, [Gadget(width)] * len(exponents), new_seed(), "packing")


CASES = [(64, 52, 1, n) for n in (1, 2, 3, 5, 33, 63, 64, 65, 129, 150)] + [(64, 54, 2, 43), (64, 54, 2, 64)]


@pytest.mark.parametrize(("degree", "bits", "limbs", "count"), CASES)
def test_constants_land_where_they_are_said_to(
    make_ring: Callable[..., Ring], degree: int, bits: int, limbs: int, count: int
) -> None:
    ring = make_ring(degree, bits, limbs)
    secret = SecretKey.generate(ring)
    message = np.random.default_rng(count).integers(0, T, (count, degree), dtype=np.uint64)
    outputs = packing.pack(leaves_of(secret, message), keys_for(secret, count, 9))
    assert len(outputs) == packed_polynomials(count, degree) == -(-count // degree)
    output, coefficient = packed_positions(count, degree)
    assert len(set(zip(output.tolist(), coefficient.tolist(), strict=True))) == count
    assert (decrypt(secret, outputs, T)[output, coefficient] == message[:, 0]).all()


@pytest.mark.parametrize(("limbs", "count"), [(1, 23), (1, 64), (1, 97), (2, 21)])
def test_all_but_the_sum_on_b_can_be_done_before_it_is_known(
    make_ring: Callable[..., Ring], limbs: int, count: int
) -> None:
    ring = make_ring(64, 52, limbs)
    secret = SecretKey.generate(ring)
    message = np.random.default_rng(count).integers(0, T, (count, 64), dtype=np.uint64)
    leaves = leaves_of(secret, message)
    keys = keys_for(secret, count, 13)
    whole = packing.pack(leaves, keys)

    prepared = packing.pack_first_halves(leaves[:, 1], keys)
    depth = packing_depth(count, 64)
    constants = ring.scale(ring.inverse(leaves[:, 0]), 1 << depth)[:, :, 0]
    b = packing.add_constants(ring.inverse(prepared[:, 0]), constants, ring)
    output, coefficient = packed_positions(count, 64)
    assert (prepared[:, 1] == whole[:, 1]).all()
    assert (b[output, :, coefficient] == ring.inverse(whole[:, 0])[output, :, coefficient]).all()


def test_leaves_may_come_in_any_portions(make_ring: Callable[..., Ring]) -> None:
    ring = make_ring(64, 52)
    secret = SecretKey.generate(ring)
    keys = keys_for(secret, 150, 18)
    leaves = leaves_of(secret, np.zeros((150, 64), dtype=np.uint64))
    whole = packing.pack(leaves, keys)
    packer = packlwes.Packer(keys, 150)
    for portion in np.split(leaves, [0, 1, 8, 70, 149]):
        packer.push(portion)
    assert (packer.finish() == whole).all()


@pytest.mark.parametrize(("count", "merges"), [(1366, 1370), (1, 0), (2, 1), (2048, 2047), (2049, 2047 + 11)])
def test_number_of_merges(count: int, merges: int) -> None:
    assert packing.packing_merges(count, 2048) == merges


@pytest.mark.parametrize(("count", "gap"), [(1, 64), (37, 64), (64, 64), (150, 64), (37, 16), (16, 4)])
def test_merges_are_counted_as_they_are_made(make_ring: Callable[..., Ring], count: int, gap: int) -> None:
    ring = make_ring(64, 52)
    exponents = packing_exponents(count, 64, gap) or (3,)
    secret = SecretKey.generate(ring)
    keys = automorphism_keys(secret, exponents, [Gadget(18)] * len(exponents), new_seed(), "packing")
    packer = packlwes.Packer(keys, count, gap)
    packer.push(np.zeros((count, 2, 1, 64), dtype=np.uint64))
    packer.finish()
    assert packer.merges == packing.packing_merges(count, gap)


def test_noise_of_the_tree(make_ring: Callable[..., Ring]) -> None:
    ring = make_ring(1024, 52)
    count = 600
    gadgets = (Gadget(13),) * 3 + (Gadget(17, 18),) * 4 + (Gadget(18),) * 3
    exponents = packing_exponents(count, 1024)
    output, coefficient = packed_positions(count, 1024)
    message = np.random.default_rng(5).integers(0, T, (count, 1024), dtype=np.uint64)
    measured = []
    for _ in range(5):  # all leaves share the errors of the last keys
        secret = SecretKey.generate(ring)
        keys = automorphism_keys(secret, exponents, gadgets, new_seed(), "packing")
        outputs = packing.pack(leaves_of(secret, message), keys)
        phases = phase(secret, outputs)[output, :, coefficient].T
        measured.append(noise(ring, phases, message[:, 0], T))
    assert abs(log2_ratio(measured, packing.packing_noise_variance(ring, gadgets))) < 0.3


def test_variance_with_equal_digits_is_the_geometric_sum(make_ring: Callable[..., Ring]) -> None:
    ring = make_ring(2048, 54)  # 54 = 3 * 18: every digit is full
    one = 3 * 2048 * 4.0**18 / 12 * 3.19**2
    measured = packing.packing_noise_variance(ring, (Gadget(18),) * 11)
    assert measured == pytest.approx(one * (4**11 - 1) / 3, rel=1e-3)


def test_wrong_numbers_of_leaves_and_keys(make_ring: Callable[..., Ring]) -> None:
    ring = make_ring(64, 52)
    secret = SecretKey.generate(ring)
    keys = keys_for(secret, 4, 18)
    leaves = np.zeros((3, 2, 1, 64), dtype=np.uint64)
    with pytest.raises(ValueError, match="leaves 0"):
        packing_depth(0, 64)
    with pytest.raises(ValueError, match="2 keys: 5 leaves need 3"):
        packlwes.Packer(keys, 5)
    packer = packlwes.Packer(keys, 4)
    with pytest.raises(ValueError, match="shape"):
        packer.push(leaves[:, :1])
    packer.push(leaves)
    with pytest.raises(ValueError, match="3 leaves pushed, 4 announced"):
        packer.finish()
    with pytest.raises(ValueError, match="6 leaves pushed, 4 announced"):
        packer.push(leaves)
