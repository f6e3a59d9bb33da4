from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from protocol.residue import keyswitch
from protocol.residue.automorphism import evaluation_permutation, permute_coefficients
from protocol.residue.ciphertext import SecretKey, encrypt_symmetric, expand_many, noise, phase
from protocol.residue.keyswitch import Gadget
from protocol.residue.ring import Ring
from protocol.residue.rounding import scale_down, scale_up
from protocol.residue.sampling import new_seed
from tests.protocol.noise import log2_ratio
from tests.protocol.residue.bridge import key_noise
from tests.protocol.residue.packing import switch_variance

# digits that divide the limb, digits that do not, narrow ones, and dropped bits
SIZES = [
    (1024, 52, 1, Gadget(18)),
    (1024, 52, 1, Gadget(13)),
    (1024, 60, 2, Gadget(20)),
    (2048, 54, 2, Gadget(9)),
    (1024, 30, 1, Gadget(10)),
    (1024, 61, 1, Gadget(2)),
    (2048, 52, 1, Gadget(17, 18)),
    (2048, 52, 1, Gadget(13, 26)),
    (1024, 61, 1, Gadget(25, 1)),
]


@pytest.mark.parametrize(("degree", "bits", "limbs", "gadget"), SIZES)
def test_switched_phases_and_their_noise(
    make_ring: Callable[..., Ring], degree: int, bits: int, limbs: int, gadget: Gadget
) -> None:
    ring = make_ring(degree, bits, limbs)
    measured = []
    for _ in range(8):  # errors by one key are alike
        old, new = SecretKey.generate(ring), SecretKey.generate(ring)
        keys = keyswitch.SwitchingKeys.generate(new, [old.residues], [gadget], new_seed(), "key")
        a = expand_many(ring, new_seed(), "ciphertext", 2)
        a[0, :, :3] = np.array(ring.moduli, dtype=np.uint64)[:, None] - np.uint64(1)
        errors = ring.subtract(phase(new, keys.switch(a)), ring.inverse(old.multiply(a)))
        measured.append(ring.to_integers(errors).astype(float))
    assert abs(log2_ratio(measured, switch_variance(gadget, ring))) < 0.3


def test_extreme_coefficients_are_decomposed_exactly(make_ring: Callable[..., Ring]) -> None:
    """A key without noise switches without error, whatever the digits."""
    for degree, bits, limbs, gadget in SIZES[:4]:
        width = gadget.digit_bits
        ring = make_ring(degree, bits, limbs)
        old, new = SecretKey.generate(ring), SecretKey.generate(ring)
        rows = gadget.rows(ring)
        a = expand_many(ring, new_seed(), "key", len(rows))
        noisy = keyswitch.generate_key(new, old.residues, gadget, a)
        errors = key_noise(new, old.residues, gadget, noisy, a).astype(np.int64)
        b = ring.subtract(noisy, ring.forward(ring.from_signed(errors)))
        keys = keyswitch.SwitchingKeys(ring, [gadget], [b], [a])
        half = 1 << (width - 1)
        edges = [0, 1, half - 1, half, half + 1, 2 * half - 1]
        coefficients = np.random.default_rng(0).integers(0, min(ring.moduli), (limbs, degree), dtype=np.uint64)
        for limb, q in enumerate(ring.moduli):
            values = [x << (width * j) for x in edges for j in range(bits // width)]
            values += [q - 1, q // 2, q // 2 + 1, q // 2 - half]
            coefficients[limb, : len(values)] = [v % q for v in values]
        a_ciphertext = ring.forward(coefficients)
        assert (phase(new, keys.switch(a_ciphertext)) == ring.inverse(old.multiply(a_ciphertext))).all()


@pytest.mark.parametrize(("limbs", "exponent"), [(1, 3), (1, 2047), (2, 5), (2, 1025)])
def test_rotated_ciphertexts_decrypt_to_rotated_messages(
    make_ring: Callable[..., Ring], limbs: int, exponent: int
) -> None:
    ring = make_ring(1024, 52, limbs)
    t = 1 << 10
    secret = SecretKey.generate(ring)
    keys = keyswitch.automorphism_keys(secret, [9, exponent], [Gadget(18), Gadget(13)], new_seed(), "rotation")
    message = np.random.default_rng(1).integers(0, t, (4, 1024), dtype=np.uint64)
    a = expand_many(ring, new_seed(), "message", 4)
    b = encrypt_symmetric(secret, scale_up(message, ring, t), a)
    rotated = keys.rotate(np.stack([ring.forward(b), a], axis=1), exponent, 1)
    expected = permute_coefficients(message, exponent, t)
    phases = phase(secret, rotated)
    assert (scale_down(phases, ring, t) == expected).all()
    measured = noise(ring, phases, expected, t).std()
    assert abs(np.log2(measured / np.sqrt(switch_variance(Gadget(13), ring)))) < 0.3


@pytest.mark.parametrize("exponent", [1, 3, 33, 127])
def test_automorphism_in_both_forms(make_ring: Callable[..., Ring], exponent: int) -> None:
    ring = make_ring(64, 45)
    f = np.random.default_rng(2).integers(0, ring.modulus, (3, 1, 64), dtype=np.uint64)
    f[0, 0, 5] = 0
    permuted = permute_coefficients(f, exponent, ring.modulus)
    assert (ring.forward(permuted) == ring.forward(f)[..., evaluation_permutation(exponent, 64)]).all()
    target, sign = divmod(exponent, 64)[::-1]
    assert int(permuted[1, 0, target]) == (-int(f[1, 0, 1]) if sign else int(f[1, 0, 1])) % ring.modulus


def test_key_noise_is_of_the_full_width(make_ring: Callable[..., Ring]) -> None:
    ring = make_ring(2048, 54, 2)
    secret = SecretKey.generate(ring)
    seed = new_seed()
    keys = keyswitch.automorphism_keys(secret, [3, 5], [Gadget(18), Gadget(27)], seed, "keys")
    a = expand_many(ring, seed, "keys", 6 + 4)
    assert (keys.tables.factors[:, 1] == a).all()
    for rows, exponent, width in ((slice(0, 6), 3, 18), (slice(6, 10), 5, 27)):
        source = keyswitch.apply_automorphism(secret.residues, exponent)
        errors = key_noise(secret, source, Gadget(width), keys.b[rows], a[rows])
        assert abs(np.log2(errors.std() / 3.19)) < 0.08
        assert np.abs(errors).max() < 3.19 * 10


def test_wrong_widths_exponents_and_shapes(make_ring: Callable[..., Ring]) -> None:
    ring = make_ring(64, 30)
    secret = SecretKey.generate(ring)
    for width in (0, 29):
        with pytest.raises(ValueError, match="digit_bits"):
            Gadget(width).counts(ring)
    for dropped in (-1, 30):
        with pytest.raises(ValueError, match="dropped_bits"):
            Gadget(10, dropped).counts(ring)
    with pytest.raises(ValueError, match="dropped_bits 1: need 0 to 0 with 2 limbs"):
        Gadget(10, 1).counts(make_ring(64, 30, 2))
    for exponent in (0, 4, 128, 129):
        with pytest.raises(ValueError, match="exponent"):
            keyswitch.automorphism_keys(secret, [exponent], [Gadget(10)], new_seed(), "k")
    rows = np.zeros((2, 1, 64), dtype=np.uint64)
    with pytest.raises(ValueError, match="a of shape"):
        keyswitch.generate_key(secret, secret.residues, Gadget(10), rows)
    with pytest.raises(ValueError, match="key of shape"):
        keyswitch.SwitchingKeys(ring, [Gadget(10)], [rows], [rows])
    with pytest.raises(ValueError, match="one of each"):
        keyswitch.SwitchingKeys(ring, [Gadget(10)] * 2, [rows], [rows])


def test_dropping_a_full_digit_lessens_the_noise(make_ring: Callable[..., Ring]) -> None:
    ring = make_ring(2048, 54)
    assert len(Gadget(18, 18).rows(ring)) == 2
    assert switch_variance(Gadget(18, 18), ring) < switch_variance(Gadget(18), ring)
