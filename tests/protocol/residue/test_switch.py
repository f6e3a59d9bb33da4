from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.residue import switch
from protocol.residue.ciphertext import SecretKey, encrypt_symmetric, expand_many, noise, phase
from protocol.residue.ring import Ring
from protocol.residue.rounding import scale_down, scale_up
from protocol.residue.sampling import new_seed
from tests.protocol.noise import assert_noise


@pytest.mark.parametrize("limbs", [1, 2])
def test_switched_ciphertexts_decrypt_with_the_stated_noise(make_ring: Callable[..., Ring], limbs: int) -> None:
    ring = make_ring(2048, 52, limbs)
    t, bits_a, bits_b = 1 << 9, 24, 20
    secret = SecretKey.generate(ring)
    message = np.random.default_rng(0).integers(0, t, (8, 2048), dtype=np.uint64)
    a = expand_many(ring, new_seed(), "answer", 8)
    b = encrypt_symmetric(secret, scale_up(message, ring, t), a)
    short_a = switch.switch_modulus(ring.inverse(a), ring, bits_a)
    short_b = switch.switch_modulus(b, ring, bits_b)
    assert int(short_a.max()) < 1 << bits_a
    assert int(short_b.max()) < 1 << bits_b
    lifted = np.stack(
        [
            ring.forward(switch.lift_modulus(short, ring, bits))
            for short, bits in ((short_b, bits_b), (short_a, bits_a))
        ],
        axis=1,
    )
    phases = phase(secret, lifted)
    assert (scale_down(phases, ring, t) == message).all()
    q = float(ring.modulus)
    variance = (q / 2**bits_a) ** 2 * 2048 / 18 + (q / 2**bits_b) ** 2 / 12
    # All of them share the size of one secret.
    assert_noise(noise(ring, phases, message, t), variance, bits=0.02, samples=2048)


@settings(deadline=None)
@given(st.integers(2, 60), st.integers(0, 59), st.integers(0, (1 << 61) - 1), st.integers(0, 3))
def test_dropped_bits_cost_at_most_half_a_step(bits: int, dropped: int, value: int, below: int) -> None:
    modulus = (1 << bits) - 2 * below - 1
    if modulus < 3 or dropped >= modulus.bit_length():
        return
    residues = np.array([value % modulus, modulus - 1, 0, modulus // 2], dtype=np.uint64)
    short = switch.drop_low_bits(residues, modulus, dropped)
    assert int(short.max()) < 1 << switch.kept_bits(modulus, dropped)
    restored = switch.restore_low_bits(short, modulus, dropped)
    for before, after in zip(residues.tolist(), restored.tolist(), strict=True):
        distance = (after - before) % modulus
        assert min(distance, modulus - distance) <= (1 << dropped) >> 1


def test_error_of_dropped_bits_is_uniform(make_ring: Callable[..., Ring]) -> None:
    q = make_ring(2048, 52).modulus
    residues = np.random.default_rng(1).integers(0, q, 1 << 16, dtype=np.uint64)
    restored = switch.restore_low_bits(switch.drop_low_bits(residues, q, 20), q, 20)
    errors = (restored.astype(np.int64) - residues.astype(np.int64)).astype(np.float64)
    errors -= np.round(errors / q) * q
    assert abs(np.log2(errors.std() / np.sqrt(4.0**20 / 12))) < 0.02
    assert abs(errors.mean()) < 6 * 2.0**20 / np.sqrt(12 * len(errors))


def test_wrong_widths_and_values(make_ring: Callable[..., Ring]) -> None:
    ring = make_ring(64, 30)
    zeros = np.zeros((1, 64), dtype=np.uint64)
    with pytest.raises(ValueError, match="modulus 1073741824"):
        switch.switch_modulus(zeros, ring, 30)
    with pytest.raises(ValueError, match="value 4 is not below"):
        switch.lift_modulus(zeros[0] + np.uint64(4), ring, 2)
    for dropped in (-1, 30):
        with pytest.raises(ValueError, match="dropped_bits"):
            switch.drop_low_bits(zeros, ring.modulus, dropped)
    with pytest.raises(ValueError, match="not below the modulus"):
        switch.restore_low_bits(np.array([1 << 10], dtype=np.uint64), ring.modulus, 20)
